//! Frames of the gateway protocol: where one ends, what its head says, and which bytes its MAC covers.
//!
//! ```text
//! 0 length u32 (of all that follows) | 4 type u8 | 5 flags u8 | 6 reserved u16 | 8 sequence u32 | 12 correlation u32
//! 16 body | last 8 bytes: MAC over everything before it, unless the flag says that there is none
//! ```
//! Incremental as `Framing::next` is, and a length above the limit is an error before a byte of the body is awaited. A
//! frame is cut here, not believed: whoever takes it checks its MAC and its sequence first.

use super::layout::ReadError;
use super::message::Message;

/// Bytes before the body.
pub const HEAD_BYTES: usize = 16;
/// Bytes of a MAC.
pub const MAC_BYTES: usize = 8;
/// The most that a frame may measure, all of it, until the hello is answered.
pub const FRAME_BYTES_BEFORE_ANSWER: usize = 4096;
/// The most that a server may allow after it.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// Flag: the frame ends with its body and has no MAC. Only for what is said before there are keys.
pub const FLAG_NO_MAC: u8 = 0x01;

const LENGTH_BYTES: usize = 4;

/// What a frame says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The type of its message.
    pub kind: u8,
    /// The number of the frame in its direction of this connection: 1, 2, 3, ...
    pub sequence: u32,
    /// Chosen by whoever asks, repeated in the answer; 0 for none.
    pub correlation: u32,
}

/// One whole frame in a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// What it says of itself.
    pub head: Head,
    /// The body, to be read by [`Message::decode`].
    pub body: &'a [u8],
    /// The bytes that the MAC covers: everything before it.
    pub signed: &'a [u8],
    /// The MAC; `None` when the flag says that there is none.
    pub mac: Option<&'a [u8; MAC_BYTES]>,
    /// Bytes of the buffer that the frame takes.
    pub bytes: usize,
}

/// Why the stream cannot be cut into frames. The connection ends: nothing says where the next one begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GateFrameError {
    /// The frame is over the limit of this connection.
    #[error("frame of {bytes} bytes is over the limit of {limit}")]
    TooLong {
        /// Bytes of the frame, its length field included.
        bytes: u64,
        /// The most that is allowed.
        limit: usize,
    },
    /// The length leaves no room for head and MAC.
    #[error("frame length {length} leaves no room for its head and MAC")]
    TooShort {
        /// The length as written.
        length: u32,
    },
    /// A flag or a reserved byte that must be zero is not: it may change what the frame means.
    #[error("frame with flags {flags:02X} and reserved bytes {reserved:04X}, of which only flag 01 is known")]
    Reserved {
        /// The flags.
        flags: u8,
        /// The reserved bytes.
        reserved: u16,
    },
}

/// Cuts the next whole frame off the front of `buf`; `None` while bytes are missing.
///
/// # Errors
/// When length, flags or reserved bytes are wrong. `frame_bytes_max` limits the frame with its length field.
pub fn next(buf: &[u8], frame_bytes_max: usize) -> Result<Option<Frame<'_>>, GateFrameError> {
    let Some((length, _)) = buf.split_first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length);
    let announced = u64::from(length) + LENGTH_BYTES as u64;
    let bytes = usize::try_from(announced).ok().filter(|bytes| *bytes <= frame_bytes_max);
    let Some(bytes) = bytes else {
        return Err(GateFrameError::TooLong { bytes: announced, limit: frame_bytes_max });
    };
    let too_short = GateFrameError::TooShort { length };
    if bytes < HEAD_BYTES {
        return Err(too_short);
    }
    // What is wrong in the head is told as soon as it is there.
    let Some((head, _)) = buf.split_first_chunk::<HEAD_BYTES>() else {
        return Ok(None);
    };
    let [_, _, _, _, kind, flags, r0, r1, s0, s1, s2, s3, c0, c1, c2, c3] = *head;
    let reserved = u16::from_be_bytes([r0, r1]);
    if flags & !FLAG_NO_MAC != 0 || reserved != 0 {
        return Err(GateFrameError::Reserved { flags, reserved });
    }
    let Some(whole) = buf.get(..bytes) else {
        return Ok(None);
    };
    let (signed, mac) = if flags == FLAG_NO_MAC {
        (whole, None)
    } else {
        let (signed, mac) = whole.split_last_chunk::<MAC_BYTES>().ok_or(too_short)?;
        (signed, Some(mac))
    };
    let body = signed.get(HEAD_BYTES..).ok_or(too_short)?;
    let head = Head {
        kind,
        sequence: u32::from_be_bytes([s0, s1, s2, s3]),
        correlation: u32::from_be_bytes([c0, c1, c2, c3]),
    };
    Ok(Some(Frame { head, body, signed, mac, bytes }))
}

impl<'a> Frame<'a> {
    /// The records that it costs, whether its body can be read or not.
    pub fn records(&self) -> u64 {
        // A part has their number behind batch and first index.
        let count = || self.body.get(12..)?.first_chunk::<2>().map(|count| u16::from_be_bytes(*count));
        match self.head.kind {
            0x10 | 0x20 => 1,
            0x14 => count().map_or(0, u64::from),
            _ => 0,
        }
    }

    /// Reads the body.
    ///
    /// # Errors
    /// As [`Message::decode`].
    pub fn message(&self) -> Result<Message<'a>, ReadError> {
        Message::decode(self.head.kind, self.body)
    }
}

/// Appends a frame with the MAC that `mac` makes over all its other bytes.
///
/// # Panics
/// When a value of the message is too long for its field.
pub fn write(
    out: &mut Vec<u8>,
    sequence: u32,
    correlation: u32,
    message: &Message<'_>,
    mac: impl FnOnce(&[u8]) -> [u8; MAC_BYTES],
) {
    let mark = begin(out, 0, sequence, correlation, message);
    set_length(out, mark, MAC_BYTES);
    let made = mac(&out[mark..]);
    out.extend_from_slice(&made);
}

/// Appends a frame without a MAC: the hello, or what is said before there are keys.
///
/// # Panics
/// As [`write`].
pub fn write_open(out: &mut Vec<u8>, sequence: u32, correlation: u32, message: &Message<'_>) {
    let mark = begin(out, FLAG_NO_MAC, sequence, correlation, message);
    set_length(out, mark, 0);
}

fn begin(out: &mut Vec<u8>, flags: u8, sequence: u32, correlation: u32, message: &Message<'_>) -> usize {
    let mark = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, message.kind(), flags, 0, 0]);
    out.extend_from_slice(&sequence.to_be_bytes());
    out.extend_from_slice(&correlation.to_be_bytes());
    message.encode(out);
    mark
}

fn set_length(out: &mut [u8], mark: usize, mac_bytes: usize) {
    let length = out.len() - mark - LENGTH_BYTES + mac_bytes;
    let length = u32::try_from(length).expect("what we write stays below the limit of a frame");
    out[mark..mark + LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
}

/// Counts the frames of one direction of one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sequence(u32);

/// A frame that is not the next one: one is missing, or one came twice. The connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("frame {found} came where frame {expected} was due")]
pub struct SequenceError {
    /// The number that was due.
    pub expected: u32,
    /// The number that came.
    pub found: u32,
}

impl Sequence {
    /// The number of the next frame to send; `None` when they are used up and the connection must be made anew.
    pub fn give(&mut self) -> Option<u32> {
        self.0 = self.0.checked_add(1)?;
        Some(self.0)
    }

    /// Takes a frame that came.
    ///
    /// # Errors
    /// When it is not the next one; nothing is changed.
    pub fn take(&mut self, found: u32) -> Result<(), SequenceError> {
        let expected = self.0.wrapping_add(1);
        if found != expected || found == 0 {
            return Err(SequenceError { expected, found });
        }
        self.0 = found;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Credit, Goodbye};
    use super::*;

    fn two() -> Vec<u8> {
        let mut out = Vec::new();
        write_open(&mut out, 1, 7, &Message::Credit(Credit { credits: 5 }));
        write(&mut out, 2, 0, &Message::Goodbye(Goodbye { reason: 1, text: None }), |signed| {
            assert_eq!(signed.len(), HEAD_BYTES + 1);
            *b"12345678"
        });
        out
    }

    #[test]
    fn what_is_written_is_read_at_every_split() {
        let out = two();
        let first = next(&out, 4096).unwrap().unwrap();
        assert_eq!(first.bytes, HEAD_BYTES + 8);
        assert_eq!((first.head, first.mac), (Head { kind: 5, sequence: 1, correlation: 7 }, None));
        assert_eq!(first.message(), Ok(Message::Credit(Credit { credits: 5 })));
        for cut in 0..first.bytes {
            assert_eq!(next(&out[..cut], 4096), Ok(None), "cut at {cut}");
        }
        let rest = &out[first.bytes..];
        let second = next(rest, 4096).unwrap().unwrap();
        assert_eq!((second.mac, second.bytes), (Some(b"12345678"), rest.len()));
        assert_eq!(second.signed, &rest[..rest.len() - 8]);
    }

    #[test]
    fn wrong_frames_are_refused_before_their_body() {
        let mut out = two();
        assert_eq!(next(&out[..4], 20), Err(GateFrameError::TooLong { bytes: 24, limit: 20 }));
        assert!(matches!(next(&[0xFF; 4], usize::MAX), Ok(None) | Err(GateFrameError::TooLong { .. })));
        assert_eq!(next(&[0, 0, 0, 11], 4096), Err(GateFrameError::TooShort { length: 11 }));
        let no_mac_no_body = [0, 0, 0, 12, 5, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(next(&no_mac_no_body, 4096), Err(GateFrameError::TooShort { length: 12 }));
        out[5] = 0x03;
        assert_eq!(next(&out[..16], 4096), Err(GateFrameError::Reserved { flags: 3, reserved: 0 }));
        out[5] = 0x01;
        out[7] = 1;
        assert_eq!(next(&out, 4096), Err(GateFrameError::Reserved { flags: 1, reserved: 1 }));
    }

    #[test]
    fn a_gap_and_a_repeat_are_told_apart_from_the_next() {
        let mut sequence = Sequence::default();
        assert!(sequence.take(0).is_err());
        sequence.take(1).unwrap();
        sequence.take(2).unwrap();
        for found in [2, 4, 0] {
            assert_eq!(sequence.take(found), Err(SequenceError { expected: 3, found }));
        }
        let mut last = Sequence(u32::MAX - 1);
        assert_eq!(last.give(), Some(u32::MAX));
        assert_eq!(last.give(), None);
        assert!(last.take(0).is_err());
    }
}
