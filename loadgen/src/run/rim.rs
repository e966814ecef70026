//! The sockets of a run: connects, hands what is received to the terminals, writes what they have to say.
//! One thread; no decision is made here, and no state is borrowed across an await.

use super::{RunConfig, Shared};
use crate::clock::now_s;
use crate::pace::{Ring, elapsed_ns};
use crate::report::{Progress, Report};
use crate::terminals::Terminals;
use crate::wire::{FRAME_BYTES_MAX, read_some, write_some};
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};

/// How often time-outs are looked for, and the end.
const TICK: Duration = Duration::from_millis(5);

/// Ticks between two reports of progress.
const PROGRESS_TICKS: u32 = 40;

/// Pauses before a connection is tried again: doubled each time, up to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

struct Rim {
    terminals: RefCell<Terminals>,
    lines: Vec<Line>,
    epoch: Instant,
}

struct Line {
    stream: RefCell<Option<Rc<TcpStream>>>,
    /// The socket did not take everything: its task has to wait for room.
    kick: Notify,
    /// The connection is to be cut.
    cut: Notify,
}

/// Runs until everything is over, and reports.
pub(super) fn drive(
    runtime: &Runtime,
    config: &RunConfig,
    terminals: Terminals,
    epoch: Instant,
    ring: &std::sync::Arc<Ring>,
    shared: &Shared,
) -> Report {
    let lines = 0..config.connections;
    let rim = Rc::new(Rim {
        terminals: RefCell::new(terminals),
        lines: lines
            .map(|_| Line { stream: RefCell::default(), kick: Notify::new(), cut: Notify::new() })
            .collect(),
        epoch,
    });
    let local = LocalSet::new();
    local.block_on(runtime, async {
        for (line, target) in (0..config.connections).zip(config.targets.iter().cycle()) {
            spawn_local(drive_line(Rc::clone(&rim), line, *target, config.reconnect));
        }
        spawn_local(drive_schedule(Rc::clone(&rim), std::sync::Arc::clone(ring)));
        drive_time(&rim, config, ring, shared).await;
    });
    let terminals = rim.terminals.borrow();
    Report::new(config, &terminals, elapsed_ns(epoch), ring.overflowed.load(Ordering::Relaxed))
}

/// Looks after time-outs, progress and the end.
async fn drive_time(rim: &Rim, config: &RunConfig, ring: &Ring, shared: &Shared) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let end_ns = u64::try_from(config.duration.as_nanos()).unwrap_or(u64::MAX);
    let (mut before, mut stopped_ns) = (Progress::default(), None);
    for tick in 0u32.. {
        ticks.tick().await;
        let now_ns = rim.now();
        let mut terminals = rim.terminals.borrow_mut();
        terminals.set_wall(now_s());
        terminals.handle_time(now_ns);
        let over = now_ns >= end_ns && ring.ended.load(Ordering::Acquire) && ring.due.is_empty();
        if shared.stop_new.load(Ordering::Relaxed) || over {
            terminals.stop_new();
            ring.stop.store(true, Ordering::Relaxed);
            stopped_ns.get_or_insert(now_ns);
        }
        if tick % PROGRESS_TICKS == 0 {
            before = Progress::new(&terminals, now_ns, &before);
            *shared.progress.lock().unwrap_or_else(PoisonError::into_inner) = before.clone();
        }
        tell(&mut terminals, shared);
        let waited_ns = stopped_ns.map_or(0, |since| now_ns.saturating_sub(since));
        let late = waited_ns >= shared.deadline_ns.load(Ordering::Relaxed);
        let drained = stopped_ns.is_some() && terminals.under_way() == 0;
        drop(terminals);
        rim.flush();
        if shared.cut.swap(false, Ordering::Relaxed) {
            // Those that wait to connect keep no permit: only who listens is woken.
            rim.lines.iter().for_each(|line| line.cut.notify_waiters());
        }
        if drained || late || shared.abort.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// What others may see of a run between its reports.
fn tell(terminals: &mut Terminals, shared: &Shared) {
    shared.approved.store(terminals.metrics.approved, Ordering::Relaxed);
    let asked = shared.interval.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(asked) = asked {
        // Whoever asked may have lost patience.
        let _ = asked.try_send(std::mem::take(&mut terminals.metrics.interval));
    }
}

/// Hands due requests to the terminals, as many as have come due, and writes them in one go.
async fn drive_schedule(rim: Rc<Rim>, ring: std::sync::Arc<Ring>) {
    loop {
        ring.kick.notified().await;
        let now_ns = rim.now();
        let mut terminals = rim.terminals.borrow_mut();
        terminals.set_wall(now_s());
        let mut requests = 0;
        while let Some(due_ns) = ring.due.pop() {
            requests += u64::from(terminals.handle_due(due_ns, now_ns));
        }
        if requests > 0 {
            terminals.metrics.burst(requests);
        }
        drop(terminals);
        rim.flush();
    }
}

/// Keeps one connection: connects, converses, and begins again with back-off when it is lost.
async fn drive_line(rim: Rc<Rim>, line: u32, target: SocketAddr, reconnect: bool) {
    let mut pause = BACK_OFF.0;
    loop {
        let connected = tokio::time::timeout(CONNECT_TIME_MAX, TcpStream::connect(target)).await;
        if let Ok(Ok(stream)) = connected {
            pause = BACK_OFF.0;
            // What ended it does not matter: what was under way is repeated on the next one.
            let _why = converse(&rim, line, stream).await;
            rim.lines[line as usize].stream.replace(None);
            let mut terminals = rim.terminals.borrow_mut();
            terminals.handle_disconnected(line);
            terminals.metrics.disconnects += 1;
        }
        if !reconnect {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(BACK_OFF.1);
    }
}

async fn converse(rim: &Rim, line: u32, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let stream = Rc::new(stream);
    let own = &rim.lines[line as usize];
    own.stream.replace(Some(Rc::clone(&stream)));
    {
        let mut terminals = rim.terminals.borrow_mut();
        terminals.metrics.connects += 1;
        terminals.set_wall(now_s());
        terminals.handle_connected(line, rim.now());
    }
    rim.flush();
    let mut inbox = Vec::new();
    loop {
        let waiting = !rim.terminals.borrow_mut().outbox(line).is_empty();
        let interest = if waiting { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        tokio::select! {
            // The cut first: where another branch is taken beside it, it is forgotten.
            biased;
            () = own.cut.notified() => {
                // Closed without linger, the other side gets a reset and not an end.
                stream.set_zero_linger()?;
                return Ok(());
            }
            ready = stream.ready(interest) => { ready?; }
            () = own.kick.notified() => {}
        }
        while read_some(&stream, &mut inbox)? {
            rim.take_frames(line, &mut inbox)?;
        }
        write_some(&stream, rim.terminals.borrow_mut().outbox(line))?;
        rim.flush();
    }
}

impl Rim {
    fn now(&self) -> u64 {
        elapsed_ns(self.epoch)
    }

    /// Gives each whole frame in `inbox` to the terminals and keeps the rest.
    fn take_frames(&self, line: u32, inbox: &mut Vec<u8>) -> io::Result<()> {
        let mut terminals = self.terminals.borrow_mut();
        let framing = terminals.framing();
        let now_ns = self.now();
        terminals.set_wall(now_s());
        let mut taken = 0;
        loop {
            let rest = &inbox[taken..];
            match framing.next(rest, FRAME_BYTES_MAX) {
                Ok(Some(frame)) => {
                    let payload = &rest[frame.start..frame.end];
                    if !payload.is_empty() {
                        terminals.handle_message(line, payload, now_ns);
                    }
                    taken += frame.next;
                }
                Ok(None) => break,
                Err(error) => {
                    terminals.metrics.frame_errors += 1;
                    terminals.metrics.first_parse_error.get_or_insert_with(|| error.to_string());
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
        inbox.drain(..taken);
        Ok(())
    }

    /// Writes what the terminals have to say, one write per connection.
    fn flush(&self) {
        let mut terminals = self.terminals.borrow_mut();
        while let Some(line) = terminals.poll_dirty() {
            let own = &self.lines[line as usize];
            let stream = own.stream.borrow();
            let Some(stream) = stream.as_ref() else { continue };
            // An error shows again in the connection's own task, which then ends it.
            if !matches!(write_some(stream, terminals.outbox(line)), Ok(true)) {
                own.kick.notify_one();
            }
        }
    }
}
