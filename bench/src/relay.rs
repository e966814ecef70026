//! A bare relay: what a switch would cost if it decided nothing. It copies bytes from each connection to one of
//! its own; the durable one first makes them durable, requests and answers alike, all that came in during a sync
//! with the next write and sync. Built like the switch: one thread for sockets, one for the disk. It reads no
//! message; it counts frames only to write as many bytes for each as the switch does.

use crate::error::BenchError;
use crate::machine::{BLOCK, Bare};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Size of the file that the durable relay writes round and round.
const FILE_BYTES: u64 = 256 << 20;

/// Runs until it is killed; says on stderr where it listens.
pub(crate) fn run(
    upstreams: &[SocketAddr],
    journal: Option<&Path>,
    record_bytes: usize,
) -> Result<(), BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(BenchError::io("start", "a runtime"))?;
    let work = Arc::new(Notify::new());
    let disk = journal.map(|path| start_disk(path, work.clone())).transpose()?;
    let hub = Rc::new(Hub {
        ends: RefCell::default(),
        dirty: RefCell::default(),
        filling: RefCell::default(),
        disk,
        busy: Cell::new(false),
        record_bytes,
        work,
    });
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(async {
        let socket =
            TcpListener::bind(("127.0.0.1", 0)).await.map_err(BenchError::io("listen on", "loopback"))?;
        let address = socket.local_addr().map_err(BenchError::io("listen on", "loopback"))?;
        eprintln!("relay listens on {address}");
        tokio::task::spawn_local(hub.clone().turns());
        for upstream in upstreams.iter().cycle() {
            let (down, _) = socket.accept().await.map_err(BenchError::io("accept on", address))?;
            let up = TcpStream::connect(upstream).await.map_err(BenchError::io("connect to", upstream))?;
            hub.join(down, up).map_err(BenchError::io("set up", address))?;
        }
        Ok(())
    }))
}

/// What one write makes durable, and where its parts go then.
#[derive(Default)]
struct Group {
    bytes: Vec<u8>,
    moves: Vec<(usize, Range<usize>)>,
}

struct Disk {
    give: SyncSender<Group>,
    done: Arc<Mutex<Option<Group>>>,
}

fn start_disk(path: &Path, work: Arc<Notify>) -> Result<Disk, BenchError> {
    let file = Bare::at(path, FILE_BYTES)?;
    let (give, take) = sync_channel(1);
    let done = Arc::new(Mutex::new(None));
    let disk = Disk { give, done: done.clone() };
    std::thread::spawn(move || write_loop(file, &take, &done, &work));
    Ok(disk)
}

fn write_loop(mut file: Bare, take: &Receiver<Group>, done: &Mutex<Option<Group>>, work: &Notify) {
    for mut group in take {
        group.bytes.resize(group.bytes.len().next_multiple_of(BLOCK), 0);
        if let Err(error) = file.put(&group.bytes) {
            // Nothing may go on after a failed sync; the run that waits for us says that we are gone.
            eprintln!("relay: {error}");
            std::process::exit(1);
        }
        *done.lock().unwrap_or_else(PoisonError::into_inner) = Some(group);
        work.notify_one();
    }
}

struct Hub {
    /// Each client's connection is followed by its own upstream.
    ends: RefCell<Vec<Rc<End>>>,
    dirty: RefCell<Vec<usize>>,
    filling: RefCell<Group>,
    disk: Option<Disk>,
    /// A group is at the disk.
    busy: Cell<bool>,
    record_bytes: usize,
    work: Arc<Notify>,
}

struct End {
    at: usize,
    stream: TcpStream,
    out: RefCell<Out>,
    frames: Cell<FrameCount>,
    /// In `Hub::dirty`.
    listed: Cell<bool>,
    closing: Cell<bool>,
    changed: Notify,
}

#[derive(Default)]
struct Out {
    bytes: Vec<u8>,
    sent: usize,
}

thread_local! {
    /// One read buffer for all connections, as in the switch.
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; 256 * 1024]);
}

impl Hub {
    fn join(self: &Rc<Hub>, down: TcpStream, up: TcpStream) -> io::Result<()> {
        for stream in [down, up] {
            stream.set_nodelay(true)?;
            let mut ends = self.ends.borrow_mut();
            let end = Rc::new(End {
                at: ends.len(),
                stream,
                out: RefCell::default(),
                frames: Cell::default(),
                listed: Cell::new(false),
                closing: Cell::new(false),
                changed: Notify::new(),
            });
            ends.push(end.clone());
            tokio::task::spawn_local(end.drive(self.clone()));
        }
        Ok(())
    }

    /// Bytes came in at one end and belong to the other of its pair.
    fn took(&self, from: &End, bytes: &[u8]) {
        let to = from.at ^ 1;
        if self.disk.is_none() {
            return self.put_out(to, bytes);
        }
        let mut group = self.filling.borrow_mut();
        let start = group.bytes.len();
        group.bytes.extend_from_slice(bytes);
        let end = group.bytes.len();
        group.moves.push((to, start..end));
        let mut frames = from.frames.get();
        let record = frames.ended_in(bytes) * self.record_bytes;
        from.frames.set(frames);
        group.bytes.resize(end.max(start + record), 0);
    }

    fn put_out(&self, to: usize, bytes: &[u8]) {
        let Some(end) = self.ends.borrow().get(to).cloned() else { return };
        end.out.borrow_mut().bytes.extend_from_slice(bytes);
        if !end.listed.replace(true) {
            self.dirty.borrow_mut().push(to);
        }
    }

    /// One turn after the other: what became durable goes out, what came in goes to the disk.
    async fn turns(self: Rc<Hub>) {
        loop {
            self.work.notified().await;
            if let Some(disk) = &self.disk {
                self.disk_turn(disk);
            }
            let dirty = std::mem::take(&mut *self.dirty.borrow_mut());
            for at in dirty {
                let Some(end) = self.ends.borrow().get(at).cloned() else { continue };
                end.listed.set(false);
                if !end.flush() {
                    end.changed.notify_one();
                }
            }
        }
    }

    fn disk_turn(&self, disk: &Disk) {
        let done = disk.done.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut spent = None;
        if let Some(mut group) = done {
            for (to, range) in group.moves.drain(..) {
                self.put_out(to, group.bytes.get(range).unwrap_or_default());
            }
            group.bytes.clear();
            self.busy.set(false);
            spent = Some(group);
        }
        if self.busy.get() || self.filling.borrow().moves.is_empty() {
            return;
        }
        let group = self.filling.replace(spent.unwrap_or_default());
        self.busy.set(true);
        // It has room: a group is given only when the one before came back.
        let _ = disk.give.send(group);
    }

    fn close(&self, end: &End) {
        for at in [end.at, end.at ^ 1] {
            if let Some(end) = self.ends.borrow().get(at) {
                end.closing.set(true);
                end.changed.notify_one();
            }
        }
    }
}

impl End {
    async fn drive(self: Rc<Self>, hub: Rc<Hub>) {
        while !self.closing.get() {
            let wants_write = !self.flush();
            let changed = self.changed.notified();
            tokio::pin!(changed);
            let readable = poll_fn(|cx| {
                if changed.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Ok(false));
                }
                if wants_write && let Poll::Ready(done) = self.stream.poll_write_ready(cx) {
                    return Poll::Ready(done.map(|()| false));
                }
                self.stream.poll_read_ready(cx).map_ok(|()| true)
            });
            match readable.await {
                Ok(false) => {}
                Ok(true) if self.read(&hub) => {}
                Ok(true) | Err(_) => hub.close(&self),
            }
        }
    }

    /// One read; false when the peer closed or the socket failed.
    fn read(&self, hub: &Hub) -> bool {
        READ.with_borrow_mut(|buffer| match self.stream.try_read(buffer) {
            Ok(0) => false,
            Ok(count) => {
                hub.took(self, buffer.get(..count).unwrap_or_default());
                hub.work.notify_one();
                true
            }
            Err(e) => e.kind() == io::ErrorKind::WouldBlock,
        })
    }

    /// Writes as far as the kernel takes it; whether everything is written.
    fn flush(&self) -> bool {
        let mut out = self.out.borrow_mut();
        while let Some(pending) = out.bytes.get(out.sent..).filter(|pending| !pending.is_empty()) {
            match self.stream.try_write(pending) {
                Ok(count) => out.sent += count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => {
                    self.closing.set(true);
                    return true;
                }
            }
        }
        out.bytes.clear();
        out.sent = 0;
        true
    }
}

/// Counts frames with a binary length of two bytes in front, over any cuts of the stream.
#[derive(Clone, Copy, Default)]
struct FrameCount {
    /// First byte of a length whose second has not come.
    half: Option<u8>,
    left: usize,
}

impl FrameCount {
    /// Frames that end in `bytes`.
    fn ended_in(&mut self, mut bytes: &[u8]) -> usize {
        let mut ended = 0;
        loop {
            if self.left > 0 {
                let part = self.left.min(bytes.len());
                bytes = &bytes[part..];
                self.left -= part;
                if self.left > 0 {
                    return ended;
                }
                ended += 1;
            }
            let Some((byte, rest)) = bytes.split_first() else { return ended };
            bytes = rest;
            match self.half.take() {
                None => self.half = Some(*byte),
                Some(high) => self.left = usize::from(u16::from_be_bytes([high, *byte])),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FrameCount;

    #[test]
    fn frames_are_counted_over_every_cut() {
        let mut stream = Vec::new();
        for len in [3u16, 300, 1, 7] {
            stream.extend_from_slice(&len.to_be_bytes());
            stream.extend(std::iter::repeat_n(7, usize::from(len)));
        }
        for cut in 0..=stream.len() {
            let mut count = FrameCount::default();
            let (one, two) = stream.split_at(cut);
            assert_eq!(count.ended_in(one) + count.ended_in(two), 4, "cut at {cut}");
        }
    }
}
