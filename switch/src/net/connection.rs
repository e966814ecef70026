//! One socket and its task: reads until it would block, and writes what a turn could not.

use super::serve::Shared;
use crate::core::ids::{LineId, SessionId};
use crate::wipe::wipe;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Which machine of the driver a socket feeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Session(SessionId),
    /// A line, and the attempt that this is the connection of.
    Line(LineId, u32),
}

pub(super) struct Connection {
    /// Shared with whoever sends on it beside us.
    pub(super) stream: Arc<TcpStream>,
    pub(super) end: End,
    /// Something changed that the task must look at: bytes left over, room to read again, or a close.
    pub(super) changed: Notify,
    pub(super) closing: Cell<bool>,
    /// Not read until some of its requests are answered.
    pub(super) paused: Cell<bool>,
    /// The peer sends nothing more: a session stays until what it asked for is answered, and not beyond this.
    leaves_at: Cell<Option<Instant>>,
}

thread_local! {
    /// One read buffer for all connections of the runtime's thread: idle ones hold none.
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; 256 * 1024]);
}

impl Connection {
    pub(super) fn new(stream: TcpStream, end: End) -> Rc<Connection> {
        Rc::new(Connection {
            stream: Arc::new(stream),
            end,
            changed: Notify::new(),
            closing: Cell::new(false),
            paused: Cell::new(false),
            leaves_at: Cell::new(None),
        })
    }

    /// Reads and writes until the connection ends; then tells the driver.
    pub(super) async fn drive(self: Rc<Self>, shared: Rc<Shared>) {
        loop {
            self.flush(&shared);
            if self.is_over(&shared) {
                break;
            }
            let wants_write = !self.pending_is_empty(&shared);
            let wants_read = match self.end {
                _ if self.leaves_at.get().is_some() => false,
                End::Session(id) => shared.driver.borrow().session_wants_read(id),
                End::Line(..) => true,
            };
            self.paused.set(!wants_read);
            let changed = self.changed.notified();
            tokio::pin!(changed);
            let ready = poll_fn(|cx| {
                if changed.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Ok(false));
                }
                if wants_write && let Poll::Ready(done) = self.stream.poll_write_ready(cx) {
                    return Poll::Ready(done.map(|()| false));
                }
                if wants_read && let Poll::Ready(done) = self.stream.poll_read_ready(cx) {
                    return Poll::Ready(done.map(|()| true));
                }
                Poll::Pending
            });
            let ready = match self.leaves_at.get() {
                None => ready.await,
                Some(at) => tokio::time::timeout_at(at, ready).await.unwrap_or(Ok(false)),
            };
            match ready {
                Ok(true) if self.read(&shared) => {
                    while shared.driver.borrow().is_behind() {
                        tokio::task::yield_now().await;
                    }
                }
                Ok(false) => {}
                Ok(true) | Err(_) => break,
            }
        }
        shared.ended(&self);
    }

    /// Closed, or left by its peer with nothing more to say to it. While somebody else writes to it the last words, why it
    /// is closed, wait for that to be done.
    fn is_over(&self, shared: &Shared) -> bool {
        let lent = self.is_lent(shared);
        self.closing.get() && !lent || self.has_left(shared, lent)
    }

    fn is_lent(&self, shared: &Shared) -> bool {
        matches!(self.end, End::Session(id) if shared.driver.borrow().session_is_lent(id))
    }

    /// The peer sends nothing more, and there is nothing more to say to it, or it takes too long.
    fn has_left(&self, shared: &Shared, lent: bool) -> bool {
        let (Some(at), End::Session(id)) = (self.leaves_at.get(), self.end) else { return false };
        !lent && !shared.driver.borrow().session_is_owed(id) || Instant::now() >= at
    }

    /// Nothing more comes: true when answers are still to be heard, by those who only ended their sending.
    fn ends_sending(&self, shared: &Shared) -> bool {
        if matches!(self.end, End::Line(..)) {
            return false;
        }
        let idle = shared.driver.borrow().rim().bounds.idle;
        self.leaves_at.set(Some(Instant::now() + idle));
        true
    }

    /// One read; false when the connection is over.
    fn read(&self, shared: &Shared) -> bool {
        READ.with_borrow_mut(|buffer| match self.stream.try_read(buffer) {
            Ok(0) => self.ends_sending(shared),
            Ok(count) => {
                let bytes = &mut buffer[..count];
                let mut driver = shared.driver.borrow_mut();
                match self.end {
                    End::Session(id) => driver.session_bytes(id, bytes, shared.now()),
                    End::Line(id, _) => driver.line_bytes(id, bytes, shared.now()),
                }
                drop(driver);
                // The buffer lives as long as the process; cards and tracks in it must not.
                wipe(bytes);
                shared.work.notify_one();
                true
            }
            Err(e) => e.kind() == io::ErrorKind::WouldBlock,
        })
    }

    /// Writes what is pending as far as the kernel takes it.
    pub(super) fn flush(&self, shared: &Shared) {
        if self.closing.get() && matches!(self.end, End::Line(..)) {
            // What is pending by now belongs to the line's next connection.
            return;
        }
        let mut driver = shared.driver.borrow_mut();
        loop {
            let pending = match self.end {
                End::Session(id) => driver.session_pending(id),
                End::Line(id, _) => driver.line_pending(id),
            };
            if pending.is_empty() {
                return;
            }
            match self.stream.try_write(pending) {
                Ok(count) => match self.end {
                    End::Session(id) => driver.session_wrote(id, count),
                    End::Line(id, _) => {
                        driver.line_wrote(id, count);
                        shared.work.notify_one();
                    }
                },
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.closing.set(true);
                    return;
                }
            }
        }
    }

    /// Whether the kernel has all that was ever to be said here.
    pub(super) fn has_sent_all(&self, shared: &Shared) -> bool {
        match self.end {
            End::Session(id) => shared.driver.borrow().session_has_all(id),
            End::Line(..) => self.pending_is_empty(shared),
        }
    }

    /// Whether nothing can be given to the kernel now.
    pub(super) fn pending_is_empty(&self, shared: &Shared) -> bool {
        let driver = shared.driver.borrow();
        match self.end {
            End::Session(id) => driver.session_pending(id).is_empty(),
            End::Line(id, _) => driver.line_pending(id).is_empty(),
        }
    }
}
