//! The sockets of the simulator: one task a connection, commands answered in their order.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::Simulator;
use crate::frame::{self, FrameError};
use crate::stream::{Accepting, Stream};

/// A simulator in a thread of its own, for tests and for programs that hold one. Dropping it closes its connections.
pub struct Server {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The reason.
        source: io::Error,
    },
    /// No thread or no runtime.
    #[error("cannot start the thread of the simulator: {0}")]
    Thread(io::Error),
}

impl Server {
    /// Listens on `addr`; port 0 takes a free one.
    ///
    /// # Errors
    /// `Listen` and `Thread`.
    pub fn start(
        addr: SocketAddr,
        simulator: Simulator,
        accepting: Accepting,
    ) -> Result<Server, ServerError> {
        let listen = |source| ServerError::Listen { addr, source };
        let listener = std::net::TcpListener::bind(addr).map_err(listen)?;
        let bound = listener.local_addr().map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ServerError::Thread)?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("yika-hsm".to_owned()).spawn(move || {
            runtime.block_on(async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => serve(listener, Arc::new(simulator), accepting, stopped).await,
                    Err(error) => tracing::error!(%error, "the simulator cannot listen"),
                }
            });
        });
        Ok(Server { addr: bound, stop: Some(stop), thread: Some(thread.map_err(ServerError::Thread)?) })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers whoever connects until `stopped` is ready; then closes everything.
pub async fn serve<T>(
    listener: TcpListener,
    simulator: Arc<Simulator>,
    accepting: Accepting,
    stopped: impl Future<Output = T>,
) {
    let commands = Arc::new(AtomicU64::new(0));
    let mut connections = JoinSet::new();
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((_, peer)) if connections.len() >= simulator.config.connections_max => {
                    tracing::warn!(%peer, max = simulator.config.connections_max, "too many connections: closed");
                }
                Ok((stream, peer)) => {
                    let (simulator, accepting) = (simulator.clone(), accepting.clone());
                    let commands = commands.clone();
                    connections.spawn(async move {
                        if let Err(error) = connection(stream, &simulator, &accepting, &commands).await {
                            tracing::info!(%peer, %error, "a connection ended");
                        }
                    });
                }
                // Such as too many open files; the others go on, and this one comes again.
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    simulator: &Simulator,
    accepting: &Accepting,
    commands: &AtomicU64,
) -> io::Result<()> {
    // Answers are small and waited for.
    stream.set_nodelay(true)?;
    let mut stream = accepting.protect(stream).await?;
    let (mut received, mut out) = (BytesMut::with_capacity(4096), Vec::new());
    loop {
        out.clear();
        match frame::next(&mut received, simulator.config.frame_bytes_max) {
            Ok(Some(command)) => {
                let number = commands.fetch_add(1, Ordering::Relaxed) + 1;
                if let Some(reply) = simulator.reply_to(&command, number) {
                    append(&mut out, &reply)?;
                }
                if !simulator.config.delay.is_zero() {
                    tokio::time::sleep(simulator.config.delay).await;
                }
            }
            Ok(None) => {
                if stream.read_buf(&mut received).await? == 0 {
                    return Ok(());
                }
            }
            Err(FrameError::Long { bytes, .. } | FrameError::Short { bytes, .. }) => {
                let beginning = pass_over(&mut stream, &mut received, bytes).await?;
                append(&mut out, &simulator.answer_long(&beginning))?;
            }
        }
        if !out.is_empty() {
            stream.write_all(&out).await?;
            stream.flush().await?;
        }
    }
}

/// Reads a frame that is too long to its end and keeps its first bytes, for the reply.
async fn pass_over(
    stream: &mut Box<dyn Stream>,
    received: &mut BytesMut,
    bytes: usize,
) -> io::Result<Vec<u8>> {
    const KEPT_BYTES: usize = 512;
    received.advance(2);
    let (mut left, mut beginning) = (bytes, Vec::new());
    loop {
        let part = received.len().min(left);
        let kept = part.min(KEPT_BYTES - beginning.len());
        beginning.extend_from_slice(&received[..kept]);
        received.advance(part);
        left -= part;
        if left == 0 {
            return Ok(beginning);
        }
        if stream.read_buf(received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn append(out: &mut Vec<u8>, reply: &[u8]) -> io::Result<()> {
    let length =
        u16::try_from(reply.len()).map_err(|_| io::Error::other("a reply too long for its length"))?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(reply);
    Ok(())
}
