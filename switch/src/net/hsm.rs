//! The bounded pool before an HSM: PINs wait in one queue, a few threads take them in batches, and what comes back wakes
//! the switch. The switch itself never waits.

use crate::driver::{PinJob, PinLost};
use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use std::sync::Arc;
use tokio::sync::Notify;
use yika_keystore::{Backend, BackendError, EncryptedPin, Operation, Outcome, PinFormat, PinFrom, PinIn};

/// PINs that one call takes along.
const BATCH_MAX: usize = 32;
/// A batch is under way in each: while one waits, the next is on its way.
const THREADS: usize = 4;

/// What came of a job, by its ticket.
pub(super) type Moved = (u64, Result<EncryptedPin, PinLost>);

/// Where the switch's thread leaves PINs and takes them up again.
pub(super) struct HsmDesk {
    jobs: Sender<PinJob>,
    moved: Receiver<Moved>,
}

impl HsmDesk {
    /// Starts the threads.
    pub(super) fn start(backend: &Arc<dyn Backend>, waiting_max: usize, work: &Arc<Notify>) -> HsmDesk {
        let (jobs, asked) = bounded::<PinJob>(waiting_max);
        // Never fuller than what was asked.
        let (answer, moved) = bounded(waiting_max + THREADS * BATCH_MAX);
        for _ in 0..THREADS {
            let (backend, asked, answer, work) =
                (backend.clone(), asked.clone(), answer.clone(), work.clone());
            std::thread::spawn(move || ask(&*backend, &asked, &answer, &work));
        }
        HsmDesk { jobs, moved }
    }

    /// Err: too many wait already.
    pub(super) fn leave(&self, job: PinJob) -> Result<(), u64> {
        self.jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job.ticket,
        })
    }

    pub(super) fn take(&self) -> impl Iterator<Item = Moved> + '_ {
        self.moved.try_iter()
    }
}

fn ask(backend: &dyn Backend, asked: &Receiver<PinJob>, answer: &Sender<Moved>, work: &Notify) {
    while let Ok(first) = asked.recv() {
        let mut batch = vec![first];
        batch.extend(asked.try_iter().take(BATCH_MAX - 1));
        let operations: Vec<Operation<'_>> = batch.iter().map(operation).collect();
        let outcomes = backend.submit(&operations);
        for (job, outcome) in batch.iter().zip(outcomes) {
            // The switch is gone: nobody waits.
            if answer.send((job.ticket, moved(outcome))).is_err() {
                return;
            }
        }
        work.notify_one();
    }
}

fn operation(job: &PinJob) -> Operation<'_> {
    let from = PinFrom::Zone(&job.from);
    let pin = PinIn { from, format: job.format, pan: &job.pan, block: job.block.as_bytes() };
    Operation::TranslatePin { pin, to: &job.to, to_format: PinFormat::Iso0 }
}

fn moved(outcome: Result<Outcome, BackendError>) -> Result<EncryptedPin, PinLost> {
    match outcome {
        Ok(Outcome::Pin(pin)) => Ok(pin),
        Ok(_) => Err(PinLost::Refused),
        Err(
            error @ (BackendError::Unavailable { .. }
            | BackendError::Overloaded { .. }
            | BackendError::Protocol { .. }),
        ) => {
            tracing::debug!(%error, "the HSM did not move a PIN");
            Err(PinLost::NoHsm)
        }
        Err(error) => {
            tracing::debug!(%error, "the HSM refuses a PIN");
            Err(PinLost::Refused)
        }
    }
}
