//! What signals mean here. SIGTERM and SIGINT drain; SIGHUP, which a closing terminal sends, is told of and ignored;
//! SIGXFSZ never ends a process.

use rustix::process::Signal as SignalName;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT alike.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    pub(super) async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => tracing::info!("SIGHUP: nothing is read anew while running; SIGTERM drains"),
            }
        }
    }
}

/// From now on a write over the file-size limit fails like any other (EFBIG) and is told with its reason; by default
/// the signal that goes with it ends the process where it stands. To be called before the first file is written.
///
/// # Errors
/// When the system has no room for a handler.
pub fn outlive_file_size_limit() -> io::Result<()> {
    // The handler is the process's own and outlives the runtime that it was asked from.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    signal(SignalKind::from_raw(SignalName::XFSZ.as_raw())).map(drop)
}
