//! Bytes of one connection. `InBuf` holds what a read left of an unfinished frame; `OutBuf` holds what the
//! kernel has not taken yet and knows which sends it has (rule 9). What is queued in time and waits for a peer that
//! does not read is written whenever it reads again, however late: it counts as written then, and its reversal
//! follows it on the same terms as any. Only what moves to another line is looked at for its age.

use crate::core::effect::SendOf;
use crate::wipe::wipe;
use std::collections::VecDeque;

/// Room for `more` bytes; what moves for it leaves nothing behind.
fn make_room(bytes: &mut Vec<u8>, more: usize) {
    if bytes.capacity() - bytes.len() < more {
        let mut wider = Vec::with_capacity((bytes.len() * 2).max(bytes.len() + more));
        wider.extend_from_slice(bytes);
        wipe(bytes);
        *bytes = wider;
    }
}

/// The beginning of a frame whose end has not come. Empty, and without memory, most of the time.
#[derive(Default)]
pub struct InBuf {
    rest: Vec<u8>,
}

impl InBuf {
    /// What was left of earlier reads with `bytes` behind it: a borrow of `bytes` alone when nothing was.
    pub fn join<'a>(&'a mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.rest.is_empty() {
            return bytes;
        }
        make_room(&mut self.rest, bytes.len());
        self.rest.extend_from_slice(bytes);
        &self.rest
    }

    /// Keeps what follows the first `used` bytes of the last `join`ed bytes.
    pub fn keep(&mut self, bytes: &[u8], used: usize) {
        if self.rest.is_empty() {
            self.rest.extend_from_slice(&bytes[used..]);
        } else if used > 0 {
            // A fresh copy of what is left: no memory of a long frame stays, and nothing of it unwiped.
            let left = self.rest[used..].to_vec();
            wipe(&mut self.rest);
            self.rest = left;
        }
    }
}

impl Drop for InBuf {
    fn drop(&mut self) {
        wipe(&mut self.rest);
    }
}

/// Few messages are longer; a longer one may leave a copy of what stood before it.
const MESSAGE_BYTES: usize = 1024;

/// Taken bytes that are kept at most, while others wait behind them.
const KEPT_BYTES: usize = 1 << 16;

/// A send that waits for the kernel, and the moment after which it is not to be written elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Queued {
    pub of: SendOf,
    pub not_after_us: u64,
}

/// Bytes on their way to the kernel, and where each send in them ends.
#[derive(Default)]
pub struct OutBuf {
    bytes: Vec<u8>,
    /// How many of `bytes` the kernel has.
    taken: usize,
    /// Position of `bytes[0]` in everything ever queued.
    base: u64,
    /// Start and end of each send, as positions.
    marks: VecDeque<(u64, u64, Queued)>,
    /// Bytes before these that are lent: until they are back nothing is pending.
    lent: usize,
}

impl OutBuf {
    /// What may be given to the kernel now.
    pub fn pending(&self) -> &[u8] {
        if self.lent > 0 { &[] } else { &self.bytes[self.taken..] }
    }

    /// Whether the kernel has all of it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the kernel has not taken, or is not known to have.
    pub fn len(&self) -> usize {
        self.lent + self.bytes.len() - self.taken
    }

    /// What waits here because the peer does not read; what is lent is on its way to it.
    pub fn unread(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Lends what is pending to whoever gives it to the kernel beside us; `spare` takes its place. None when nothing is
    /// pending, or when it holds sends, whose fate we must know ourselves.
    pub fn lend(&mut self, spare: &mut Vec<u8>) -> Option<Vec<u8>> {
        if self.pending().is_empty() || self.taken > 0 || !self.marks.is_empty() {
            return None;
        }
        self.lent = self.bytes.len();
        Some(std::mem::replace(&mut self.bytes, std::mem::take(spare)))
    }

    /// Whether something is lent.
    pub fn is_lent(&self) -> bool {
        self.lent > 0
    }

    /// What was lent is back, and the kernel took the first `taken` bytes. Returns memory that is free again.
    pub fn give_back(&mut self, mut bytes: Vec<u8>, taken: usize) -> Vec<u8> {
        self.lent = 0;
        if taken < bytes.len() {
            make_room(&mut bytes, self.bytes.len());
            bytes.extend_from_slice(&self.bytes);
            self.taken = taken;
            std::mem::swap(&mut self.bytes, &mut bytes);
        }
        wipe(&mut bytes);
        bytes.clear();
        bytes
    }

    /// The buffer to append a message to.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        make_room(&mut self.bytes, MESSAGE_BYTES);
        &mut self.bytes
    }

    /// Notes that what was appended since `from` bytes were in the tail is this send.
    pub fn mark(&mut self, from: usize, send: Queued) {
        self.marks.push_back((self.base + from as u64, self.base + self.bytes.len() as u64, send));
    }

    /// The kernel took `count` more bytes: every send that is complete now is given to `written`.
    pub fn took(&mut self, count: usize, mut written: impl FnMut(SendOf)) {
        self.taken = (self.taken + count).min(self.bytes.len());
        let position = self.base + self.taken as u64;
        while let Some((_, _, send)) = self.marks.front().filter(|(_, end, _)| *end <= position) {
            written(send.of);
            self.marks.pop_front();
        }
        if self.taken > KEPT_BYTES && self.taken > self.bytes.len() / 2 {
            // A peer that never lets the buffer run empty must not keep all that was ever sent.
            let left = self.bytes[self.taken..].to_vec();
            wipe(&mut self.bytes);
            self.bytes = left;
            self.base = position;
            self.taken = 0;
        }
        if self.is_empty() {
            self.base = position;
            self.taken = 0;
            wipe(&mut self.bytes);
            self.bytes.clear();
            if self.bytes.capacity() > KEPT_BYTES {
                self.bytes = Vec::new();
            }
        }
    }

    /// The connection is gone. Sends with a byte in the kernel count as written; of the others, which never left, the
    /// bytes are given.
    pub fn abandon(&mut self, mut fate: impl FnMut(Queued, Option<&[u8]>)) {
        let position = self.base + self.taken as u64;
        for (start, end, send) in self.marks.drain(..) {
            let at = |position: u64| (position - self.base) as usize;
            fate(send, (start >= position).then(|| &self.bytes[at(start)..at(end)]));
        }
        *self = OutBuf::default();
    }
}

impl Drop for OutBuf {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::ObligationId;

    fn send(n: u64) -> Queued {
        Queued { of: SendOf::Obligation(ObligationId(n)), not_after_us: n }
    }

    #[test]
    fn a_long_frame_leaves_no_memory_behind() {
        let mut input = InBuf::default();
        assert_eq!(input.join(b"abc"), b"abc");
        input.keep(b"abc", 0);
        let long = [7; 100_000];
        assert_eq!(input.join(&long).len(), 100_003);
        input.keep(&long, 100_001);
        assert_eq!(input.join(b"x"), [7, 7, b'x']);
        assert!(input.rest.capacity() < 100);
        input.keep(b"x", 3);
        assert_eq!(input.rest.capacity(), 0, "an idle connection holds nothing");
    }

    #[test]
    fn what_was_read_or_written_is_overwritten() {
        let mut bytes = *b"4111111111111111=2912";
        wipe(&mut bytes[..16]);
        assert_eq!(&bytes, b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0=2912");
    }

    #[test]
    fn a_send_is_written_when_its_last_byte_is_taken() {
        let mut out = OutBuf::default();
        for n in 0..3 {
            let from = out.tail().len();
            out.tail().extend_from_slice(&[n as u8; 10]);
            out.mark(from, send(n));
        }
        let mut written = Vec::new();
        out.took(9, |of| written.push(of));
        assert!(written.is_empty());
        out.took(11, |of| written.push(of));
        assert_eq!(written, [send(0).of, send(1).of]);
        assert_eq!(out.pending(), [2; 10]);
        out.took(1, |_| {});
        let mut fates = Vec::new();
        out.abandon(|of, left| fates.push((of, left.map(<[u8]>::to_vec))));
        assert_eq!(fates, [(send(2), None)]);
    }

    #[test]
    fn what_is_lent_is_pending_for_nobody_else_and_comes_back_in_front() {
        let mut out = OutBuf::default();
        let mut spare = Vec::with_capacity(100);
        assert_eq!(out.lend(&mut spare), None);
        out.tail().extend_from_slice(b"first");
        let lent = out.lend(&mut spare).unwrap();
        assert_eq!(
            (&lent[..], out.pending(), out.len(), out.is_empty()),
            (&b"first"[..], &b""[..], 5, false)
        );
        out.tail().extend_from_slice(b"second");
        assert_eq!(out.lend(&mut spare), None);
        assert_eq!((out.pending(), out.len()), (&b""[..], 11));
        assert!(out.give_back(lent, 3).is_empty());
        assert_eq!((out.pending(), out.len()), (&b"stsecond"[..], 8));
        assert_eq!(out.lend(&mut spare), None, "the kernel is slow: its peer is waited for");
        out.took(8, |_| {});
        out.tail().extend_from_slice(b"third");
        let lent = out.lend(&mut spare).unwrap();
        let free = out.give_back(lent, 5);
        assert!(free.is_empty() && free.capacity() > 0 && out.is_empty());
    }

    #[test]
    fn a_send_is_not_lent() {
        let mut out = OutBuf::default();
        out.tail().extend_from_slice(b"0123");
        out.mark(0, send(1));
        assert_eq!(out.lend(&mut Vec::new()), None);
    }

    #[test]
    fn what_never_reached_the_kernel_is_told_apart() {
        let mut out = OutBuf::default();
        out.tail().extend_from_slice(b"0123456789");
        out.mark(0, send(1));
        out.took(10, |_| {});
        let from = out.tail().len();
        out.tail().extend_from_slice(b"abcd");
        out.mark(from, send(2));
        let mut fates = Vec::new();
        out.abandon(|of, left| fates.push((of, left.map(<[u8]>::to_vec))));
        assert_eq!(fates, [(send(2), Some(b"abcd".to_vec()))]);
    }

    #[test]
    fn partial_frames_join_over_reads() {
        let mut buf = InBuf::default();
        let bytes = b"abc".as_slice();
        assert_eq!(buf.join(bytes), b"abc");
        buf.keep(bytes, 1);
        let joined = buf.join(b"de").to_vec();
        assert_eq!(joined, b"bcde");
        buf.keep(&joined, 4);
        assert_eq!(buf.join(b"f"), b"f");
    }

    #[test]
    fn what_is_lent_is_not_held_against_a_peer_as_unread() {
        let mut out = OutBuf::default();
        out.tail().extend_from_slice(b"first");
        let lent = out.lend(&mut Vec::new()).unwrap();
        out.tail().extend_from_slice(b"second");
        assert_eq!((out.len(), out.unread()), (11, 6));
        out.give_back(lent, 2);
        assert_eq!((out.len(), out.unread()), (9, 9), "it has not read the rest");
    }

    #[test]
    fn what_waits_behind_much_that_was_taken_stays_in_order() {
        let mut out = OutBuf::default();
        out.tail().extend_from_slice(&[7; 2 * KEPT_BYTES]);
        out.mark(0, send(1));
        out.tail().extend_from_slice(b"the rest");
        let mut written = 0;
        out.took(2 * KEPT_BYTES, |_| written += 1);
        assert_eq!((out.pending(), written), (b"the rest".as_slice(), 1));
        assert!(out.bytes.capacity() < KEPT_BYTES, "nothing of what was taken is left in memory");
    }
}
