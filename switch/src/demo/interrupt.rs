//! Ctrl-C and SIGTERM end the demo early, with its switch stopped and its folder put away.

use super::DemoError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Watches for both signals from now on, on a thread of its own.
    pub(super) fn watch() -> Result<Interrupt, DemoError> {
        let failed = |source| DemoError::Io { doing: "watch for", what: "signals".into(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (mut interrupt, mut terminate) = {
            let _inside = runtime.enter();
            let of = |kind| signal(kind).map_err(failed);
            (of(SignalKind::interrupt())?, of(SignalKind::terminate())?)
        };
        let asked = Arc::new(AtomicBool::new(false));
        let told = asked.clone();
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            told.store(true, Ordering::Relaxed);
        });
        Ok(Interrupt(asked))
    }

    /// An error once a signal came: it ends the demo, and everything in its way is dropped.
    pub(super) fn check(&self) -> Result<(), DemoError> {
        if self.0.load(Ordering::Relaxed) { Err(DemoError::Interrupted) } else { Ok(()) }
    }
}
