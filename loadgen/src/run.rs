//! A run: terminals over TCP against one target, by an open schedule or a closed window, in a thread of its own.
//!
//! Promises: everything is bounded in time and count; a lost connection is taken up again and what was unanswered
//! is repeated at once; after the end of new traffic it goes on until all is answered or the deadline has come.

mod config;
mod rim;

use crate::latencies::Latencies;
use crate::pace::{Ring, Schedule, keep};
use crate::report::{Progress, Report};
use crate::terminals::Terminals;
pub use config::{Load, RunConfig, RunError};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// How long a run may take to give its latencies: it looks every few milliseconds.
const INTERVAL_TIME_MAX: Duration = Duration::from_secs(5);

/// A run that is under way; dropping the handle ends it.
pub struct RunHandle {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Report>>,
    duration: Duration,
}

/// What the handle and the thread of the run share.
pub(crate) struct Shared {
    stop_new: AtomicBool,
    abort: AtomicBool,
    /// Nanoseconds from the start of the run after which nothing is waited for.
    deadline_ns: AtomicU64,
    done: AtomicBool,
    progress: Mutex<Progress>,
    /// Approved so far, a few milliseconds old.
    approved: AtomicU64,
    /// All connections are to be cut once.
    cut: AtomicBool,
    /// Where the latencies since the last time are to go.
    interval: Mutex<Option<SyncSender<Latencies>>>,
}

/// Runs to the end, telling its progress, and waits at most `drain` for what is unanswered then.
///
/// # Errors
/// When the configuration cannot be run, or a thread cannot be made.
pub fn run(
    config: RunConfig,
    drain: Duration,
    mut progress: impl FnMut(&Progress),
) -> Result<Report, RunError> {
    let handle = start(config)?;
    let begin = Instant::now();
    while !handle.is_done() && begin.elapsed() < handle.duration {
        let left = handle.duration.saturating_sub(begin.elapsed());
        std::thread::sleep(PROGRESS_EVERY.min(left));
        progress(&handle.progress());
    }
    handle.finish(drain)
}

/// Starts a run and returns at once.
///
/// # Errors
/// When the configuration cannot be run, or a thread cannot be made.
pub fn start(config: RunConfig) -> Result<RunHandle, RunError> {
    let plan = config.plan()?;
    let thread_failed = |source| RunError::Thread { source };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(thread_failed)?;
    let shared = Arc::new(Shared {
        stop_new: AtomicBool::new(false),
        abort: AtomicBool::new(false),
        deadline_ns: AtomicU64::new(u64::MAX),
        done: AtomicBool::new(false),
        progress: Mutex::default(),
        approved: AtomicU64::new(0),
        cut: AtomicBool::new(false),
        interval: Mutex::default(),
    });
    let duration = config.duration;
    let thread_shared = Arc::clone(&shared);
    let thread = std::thread::Builder::new()
        .name("terminals".to_owned())
        .spawn(move || {
            let epoch = Instant::now();
            let ring = Ring::new();
            let pacer = pacer(&config, epoch, &ring);
            let terminals = Terminals::new(plan);
            let report = rim::drive(&runtime, &config, terminals, epoch, &ring, &thread_shared);
            ring.stop.store(true, Ordering::Relaxed);
            if let Some(pacer) = pacer {
                // It sleeps 20 ms at most before it looks; a panic of it has been reported.
                let _ended = pacer.join();
            }
            thread_shared.done.store(true, Ordering::Release);
            report
        })
        .map_err(thread_failed)?;
    Ok(RunHandle { shared, thread: Some(thread), duration })
}

fn pacer(config: &RunConfig, epoch: Instant, ring: &Arc<Ring>) -> Option<JoinHandle<()>> {
    let Load::Open { rate, arrivals, .. } = config.load else {
        ring.ended.store(true, Ordering::Release);
        return None;
    };
    let schedule = Schedule::new(rate, arrivals, config.seed);
    let end_ns = u64::try_from(config.duration.as_nanos()).unwrap_or(u64::MAX);
    let own = Arc::clone(ring);
    let thread = std::thread::Builder::new().name("pacer".to_owned());
    let spawned = thread.spawn(move || keep(schedule, epoch, end_ns, &own));
    if spawned.is_err() {
        // The report will say that nothing was offered: an invalid run.
        ring.ended.store(true, Ordering::Release);
    }
    spawned.ok()
}

impl RunHandle {
    /// The figures so far, at most half a second old.
    pub fn progress(&self) -> Progress {
        self.shared.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Operations approved so far, a few milliseconds old.
    pub fn approved(&self) -> u64 {
        self.shared.approved.load(Ordering::Relaxed)
    }

    /// Cuts every connection with a reset, once; they are made again at once.
    pub fn cut_connections(&self) {
        self.shared.cut.store(true, Ordering::Relaxed);
    }

    /// The latencies of what ended since this was called last, or since the start; None when the run has ended.
    pub fn interval(&self) -> Option<Latencies> {
        let (sender, receiver) = sync_channel(1);
        *self.shared.interval.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver.recv_timeout(INTERVAL_TIME_MAX).ok()
    }

    /// Begins nothing new from now on; what is under way goes on.
    pub fn stop_new_traffic(&self) {
        self.shared.stop_new.store(true, Ordering::Relaxed);
    }

    /// True once the run has ended by itself: its time is over and everything has been answered.
    pub fn is_done(&self) -> bool {
        self.shared.done.load(Ordering::Acquire)
    }

    /// Stops new traffic, waits until all is answered or reversed, but at most `deadline`, and reports.
    ///
    /// # Errors
    /// When the thread of the run has panicked.
    pub fn finish(mut self, deadline: Duration) -> Result<Report, RunError> {
        self.stop_new_traffic();
        let deadline_ns = u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX);
        self.shared.deadline_ns.store(deadline_ns, Ordering::Relaxed);
        let thread = self.thread.take().ok_or(RunError::Panicked)?;
        thread.join().map_err(|_| RunError::Panicked)
    }
}

impl Drop for RunHandle {
    fn drop(&mut self) {
        self.shared.abort.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _report = thread.join();
        }
    }
}
