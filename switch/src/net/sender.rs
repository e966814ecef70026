//! A thread that gives answers to the kernel while the runtime's thread goes on deciding. A send over TCP costs more than
//! decoding and deciding a payment together, and under load there is one for each session and commit. With few at a time
//! nobody is asked to help: a second thread would only make their way longer.

use super::connection::Connection;
use crate::core::ids::SessionId;
use crate::wipe::wipe;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Times that sessions ask for a send in one turn, from which on it is worth to wake somebody for them.
pub(super) const LEND_FROM: usize = 16;
/// Buffers kept for the next loans, and how large they may be.
const SPARES_MAX: usize = 256;
const SPARE_BYTES_MAX: usize = 1 << 16;

/// One session's bytes on their way; at most one loan of each.
pub(super) struct Loan {
    pub(super) session: SessionId,
    stream: Arc<TcpStream>,
    pub(super) bytes: Vec<u8>,
    /// How many of them the kernel took, when it did not take all.
    pub(super) taken: usize,
    /// The connection is broken.
    pub(super) broken: bool,
}

impl Drop for Loan {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

impl Loan {
    pub(super) fn new(session: SessionId, connection: &Connection, bytes: Vec<u8>) -> Loan {
        Loan { session, stream: connection.stream.clone(), bytes, taken: 0, broken: false }
    }

    /// As far as the kernel takes it at once. What it took whole is wiped: nothing comes back but the memory.
    fn send(&mut self) {
        while self.taken < self.bytes.len() {
            match self.stream.try_write(&self.bytes[self.taken..]) {
                Ok(count) => self.taken += count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.broken = true;
                    return;
                }
            }
        }
        wipe(&mut self.bytes);
        self.bytes.clear();
        self.taken = 0;
    }
}

#[derive(Default)]
struct Desk {
    loans: Vec<Loan>,
    back: Vec<Loan>,
    closed: bool,
}

struct Shared {
    desk: Mutex<Desk>,
    filled: Condvar,
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The runtime's side of the thread; it ends when this is dropped.
pub(super) struct Sender {
    shared: Arc<Shared>,
    spares: Vec<Vec<u8>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Sender {
    /// None on a machine with one core, where nobody could help. `work` is notified when loans are back.
    pub(super) fn start(work: Arc<Notify>) -> io::Result<Option<Sender>> {
        if std::thread::available_parallelism()?.get() == 1 {
            return Ok(None);
        }
        let shared = Arc::new(Shared { desk: Mutex::default(), filled: Condvar::new() });
        let theirs = shared.clone();
        let thread = std::thread::Builder::new().name("sender".into()).spawn(move || run(&theirs, &work))?;
        Ok(Some(Sender { shared, spares: Vec::new(), thread: Some(thread) }))
    }

    pub(super) fn hand_over(&self, loans: &mut Vec<Loan>) {
        if !loans.is_empty() {
            self.shared.desk().loans.append(loans);
            self.shared.filled.notify_one();
        }
    }

    pub(super) fn take_back(&self, into: &mut Vec<Loan>) {
        into.append(&mut self.shared.desk().back);
    }

    pub(super) fn spare(&mut self) -> Vec<u8> {
        self.spares.pop().unwrap_or_default()
    }

    pub(super) fn keep(&mut self, spare: Vec<u8>) {
        if self.spares.len() < SPARES_MAX && (1..=SPARE_BYTES_MAX).contains(&spare.capacity()) {
            self.spares.push(spare);
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.shared.desk().closed = true;
        self.shared.filled.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic in it has already been reported by its message.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, work: &Notify) {
    let mut loans = Vec::new();
    while next_loans(shared, &mut loans) {
        loans.iter_mut().for_each(Loan::send);
        shared.desk().back.append(&mut loans);
        work.notify_one();
    }
}

/// Waits for loans; false when there will be no more.
fn next_loans(shared: &Shared, loans: &mut Vec<Loan>) -> bool {
    let mut desk = shared.desk();
    while desk.loans.is_empty() && !desk.closed {
        desk = shared.filled.wait(desk).unwrap_or_else(PoisonError::into_inner);
    }
    std::mem::swap(&mut desk.loans, loans);
    !desk.closed
}
