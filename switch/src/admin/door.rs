//! The door that operators and scrapes come through: so many at once, each for so long and with so many bytes to say.
//! Whoever holds a connection and says nothing, or trickles, takes no place and no descriptor for ever (P9).

use crate::config::AdminBounds;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// One for the admin port and one for the control socket: a full one shuts nobody out of the other.
#[derive(Clone)]
pub(super) struct Door {
    places: Arc<Semaphore>,
    bounds: AdminBounds,
    counts: Arc<DoorCounts>,
}

/// Connections that a bound ended.
#[derive(Default)]
pub(super) struct DoorCounts {
    pub(super) full: AtomicU64,
    pub(super) time: AtomicU64,
    pub(super) size: AtomicU64,
}

impl Door {
    pub(super) fn new(bounds: AdminBounds) -> Door {
        let places = Arc::new(Semaphore::new(bounds.connections_max));
        Door { places, bounds, counts: Arc::default() }
    }

    pub(super) fn counts(&self) -> &DoorCounts {
        &self.counts
    }

    /// None when all places are taken: the connection is closed at once. To be called inside a runtime.
    pub(super) fn admit<S>(&self, stream: S) -> Option<Guest<S>> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            self.counts.full.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        Some(Guest {
            stream,
            until: Box::pin(tokio::time::sleep(self.bounds.time)),
            bytes_left: self.bounds.request_bytes_max,
            ended: false,
            counts: self.counts.clone(),
            _place: place,
        })
    }
}

/// A connection that was let in; it fails when its time or its bytes are used up.
pub(super) struct Guest<S> {
    stream: S,
    until: Pin<Box<Sleep>>,
    bytes_left: usize,
    ended: bool,
    counts: Arc<DoorCounts>,
    _place: OwnedSemaphorePermit,
}

impl<S> Guest<S> {
    /// # Errors
    /// Its time is over.
    fn check_time(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.until.as_mut().poll(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => {
                let counts = self.counts.clone();
                Err(self.end(&counts.time, io::ErrorKind::TimedOut))
            }
        }
    }

    /// Counts once, however often it is asked.
    fn end(&mut self, count: &AtomicU64, kind: io::ErrorKind) -> io::Error {
        if !self.ended {
            self.ended = true;
            count.fetch_add(1, Ordering::Relaxed);
        }
        io::Error::from(kind)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guest<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_time(cx)?;
        if self.bytes_left == 0 {
            let counts = self.counts.clone();
            return Poll::Ready(Err(self.end(&counts.size, io::ErrorKind::InvalidData)));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.bytes_left = self.bytes_left.saturating_sub(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guest<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check_time(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
