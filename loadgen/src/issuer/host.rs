//! The sockets of a host: accepts, reads frames, asks the desk, writes answers, keeps those that have to wait.
//! Single-threaded; no state is borrowed across an await.

use super::desk::Desk;
use super::{Command, IssuerConfig, IssuerStats};
use crate::wire::{FRAME_BYTES_MAX, read_some, write_some};
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, LocalSet, spawn_local};

/// Answers that wait for their time, at most.
const DELAYED_MAX: usize = 1_000_000;

/// Bytes for a peer that does not read, at most; then it is closed.
const OUTBOX_BYTES_MAX: usize = 8 << 20;

/// Pause after a failed accept (out of file descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

struct Host {
    config: IssuerConfig,
    desk: RefCell<Desk>,
    peers: RefCell<HashMap<u64, Rc<Peer>>>,
    delayed: RefCell<BinaryHeap<Reverse<Delayed>>>,
    delayed_kick: Notify,
}

struct Peer {
    stream: TcpStream,
    outbox: RefCell<Vec<u8>>,
    closed: Cell<bool>,
    kick: Notify,
}

/// An answer that waits. Ordered by time, then by arrival.
struct Delayed {
    due: Instant,
    number: u64,
    peer: Weak<Peer>,
    bytes: Vec<u8>,
}

/// Runs until the handle says stop or is gone.
pub(super) fn run(
    runtime: &Runtime,
    listener: TcpListener,
    addr: SocketAddr,
    config: IssuerConfig,
    commands: Receiver<Command>,
    kick: Arc<Notify>,
) {
    let host = Rc::new(Host {
        desk: RefCell::new(Desk::new(&config)),
        config,
        peers: RefCell::default(),
        delayed: RefCell::default(),
        delayed_kick: Notify::new(),
    });
    let local = LocalSet::new();
    local.block_on(runtime, async {
        let _releasing = spawn_local(release_delayed(Rc::clone(&host)));
        serve(&host, listener, addr, &commands, &kick).await;
    });
}

async fn serve(
    host: &Rc<Host>,
    listener: TcpListener,
    addr: SocketAddr,
    commands: &Receiver<Command>,
    kick: &Notify,
) {
    let mut accepting = Some(spawn_local(accept(Rc::clone(host), listener)));
    loop {
        kick.notified().await;
        while let Ok(command) = commands.try_recv() {
            // A reply that nobody waits for any more is no loss.
            match command {
                Command::SetScript(script, reply) => {
                    host.desk.borrow_mut().books.script = script;
                    let _ = reply.send(());
                }
                Command::GoDown(reply) => {
                    go_down(host, accepting.take()).await;
                    let _ = reply.send(());
                }
                Command::ComeUp(reply) => {
                    let result = match &accepting {
                        Some(_) => Ok(()),
                        None => TcpListener::bind(addr).await.map(|listener| {
                            accepting = Some(spawn_local(accept(Rc::clone(host), listener)));
                        }),
                    };
                    let _ = reply.send(result);
                }
                Command::Ledger(reply) => {
                    let _ = reply.send(host.desk.borrow().books.ledger(&host.config.name));
                }
                Command::Stats(reply) => {
                    let connections_open = host.peers.borrow().len() as u64;
                    let _ = reply.send(IssuerStats { connections_open, ..host.desk.borrow().stats() });
                }
                Command::Stop => return,
            }
        }
    }
}

/// The listener goes first, so that nobody comes back in; then every connection, and what waits for one.
async fn go_down(host: &Rc<Host>, accepting: Option<JoinHandle<()>>) {
    if let Some(accepting) = accepting {
        accepting.abort();
        // The only other end of the task is a panic, which has been reported.
        let _ended = accepting.await;
    }
    for peer in host.peers.borrow().values() {
        peer.closed.set(true);
        peer.kick.notify_one();
    }
    while !host.peers.borrow().is_empty() {
        tokio::task::yield_now().await;
    }
    host.delayed.borrow_mut().clear();
}

async fn accept(host: Rc<Host>, listener: TcpListener) {
    for number in 0.. {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        if host.peers.borrow().len() >= host.config.connections_max || stream.set_nodelay(true).is_err() {
            continue;
        }
        let peer = Rc::new(Peer {
            stream,
            outbox: RefCell::default(),
            closed: Cell::new(false),
            kick: Notify::new(),
        });
        host.desk.borrow_mut().stats.connections += 1;
        host.peers.borrow_mut().insert(number, Rc::clone(&peer));
        let host = Rc::clone(&host);
        spawn_local(async move {
            // However it ended, the connection is over: the peer comes back if it wants to.
            let _why = converse(&host, &peer).await;
            host.peers.borrow_mut().remove(&number);
        });
    }
}

async fn converse(host: &Host, peer: &Rc<Peer>) -> io::Result<()> {
    let mut inbox = Vec::new();
    while !peer.closed.get() {
        let waiting = !peer.outbox.borrow().is_empty();
        let interest = if waiting { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        tokio::select! {
            ready = peer.stream.ready(interest) => { ready?; }
            () = peer.kick.notified() => {}
        }
        while !peer.closed.get() && read_some(&peer.stream, &mut inbox)? {
            host.take_frames(peer, &mut inbox)?;
        }
        let mut outbox = peer.outbox.borrow_mut();
        if !write_some(&peer.stream, &mut outbox)? && outbox.len() > OUTBOX_BYTES_MAX {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    Ok(())
}

impl Host {
    /// Answers each whole frame in `inbox` and keeps the rest.
    fn take_frames(&self, peer: &Rc<Peer>, inbox: &mut Vec<u8>) -> io::Result<()> {
        let mut taken = 0;
        let mut outbox = peer.outbox.borrow_mut();
        loop {
            let rest = &inbox[taken..];
            match self.config.wire.framing.next(rest, FRAME_BYTES_MAX) {
                Ok(Some(frame)) => {
                    let payload = &rest[frame.start..frame.end];
                    if !payload.is_empty() {
                        self.take_frame(peer, payload, &mut outbox);
                    }
                    taken += frame.next;
                }
                Ok(None) => break,
                Err(_) => {
                    self.desk.borrow_mut().stats.frame_errors += 1;
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
        inbox.drain(..taken);
        Ok(())
    }

    fn take_frame(&self, peer: &Rc<Peer>, payload: &[u8], outbox: &mut Vec<u8>) {
        let start = outbox.len();
        let mut desk = self.desk.borrow_mut();
        let delay = desk.take_frame(payload, outbox);
        if delay.is_zero() || outbox.len() == start {
            return;
        }
        let bytes = outbox.split_off(start);
        let mut delayed = self.delayed.borrow_mut();
        if delayed.len() >= DELAYED_MAX {
            desk.stats.answers_dropped += 1;
            return;
        }
        let (due, number) = (Instant::now() + delay, desk.stats.requests);
        let first = delayed.peek().is_none_or(|Reverse(first)| due < first.due);
        delayed.push(Reverse(Delayed { due, number, peer: Rc::downgrade(peer), bytes }));
        if first {
            self.delayed_kick.notify_one();
        }
    }

    /// Moves what is due to its connection; says when the next one is.
    fn release(&self, now: Instant) -> Option<Instant> {
        let mut delayed = self.delayed.borrow_mut();
        while delayed.peek().is_some_and(|Reverse(first)| first.due <= now) {
            let Some(Reverse(first)) = delayed.pop() else { break };
            match first.peer.upgrade().filter(|peer| !peer.closed.get()) {
                Some(peer) => {
                    peer.outbox.borrow_mut().extend_from_slice(&first.bytes);
                    peer.kick.notify_one();
                }
                None => self.desk.borrow_mut().stats.answers_dropped += 1,
            }
        }
        delayed.peek().map(|Reverse(first)| first.due)
    }
}

async fn release_delayed(host: Rc<Host>) {
    loop {
        let next = host.release(Instant::now());
        let sleep = async {
            match next {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => {}
            () = host.delayed_kick.notified() => {}
        }
    }
}

impl PartialEq for Delayed {
    fn eq(&self, other: &Delayed) -> bool {
        (self.due, self.number) == (other.due, other.number)
    }
}

impl Eq for Delayed {}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Delayed) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Delayed {
    fn cmp(&self, other: &Delayed) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}
