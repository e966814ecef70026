//! The start of a switch on its journal: replay, names, recovery, journal, driver, in this order. The process and the
//! simulator both come through here, so that what is tested is what runs. Nothing of it is durable yet: the caller
//! commits what recovery wrote before it lets anyone in (P4, P5).

use crate::config::{Config, core_settings, participant_names, ways};
use crate::core::batch::Batch;
use crate::core::ids::Now;
use crate::core::{Core, Debt, keep_ways, name_participants};
use crate::driver::Driver;
use crate::driver::rim::{Keys, Rim};
use crate::journal::disk::Disk;
use crate::journal::recovery::{RecoveryError, Scan};
use crate::journal::writer::WriteError;
use crate::journal::{Journal, JournalSize, Opened, replay};
use std::sync::Arc;
use yika_keystore::{KeyError, Keystore};

/// Why a switch did not start on its journal; the journal is as it was, but for `Journal`.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Debts(#[from] Debt),
    #[error(transparent)]
    Journal(#[from] WriteError),
}

/// How the journal commits.
pub enum Commits {
    /// On a thread of its own, which calls this after each commit.
    Threaded(Box<dyn Fn() + Send + Sync>),
    /// When `Journal::step` is called: tests and the simulator.
    Stepped,
}

/// A switch whose recovery is handed to the journal.
pub struct Started {
    pub driver: Driver,
    pub scan: Scan,
    /// What the journal left: transactions without an outcome, and obligations.
    pub in_doubt: usize,
    pub obligations: usize,
}

/// A journal that was read, before anything is decided on it.
pub struct Replayed {
    disk: Arc<dyn Disk>,
    keystore: Arc<Keystore>,
    pub opened: Opened,
}

impl Replayed {
    /// # Errors
    /// `StartError::Recovery`.
    pub fn read(disk: Arc<dyn Disk>, keystore: Arc<Keystore>) -> Result<Replayed, StartError> {
        let opened = replay(&*disk, &keystore)?;
        Ok(Replayed { disk, keystore, opened })
    }

    /// # Errors
    /// `StartError`, after which nothing was written unless it is the journal's own.
    pub fn start(self, config: &Config, now: Now, commits: Commits) -> Result<Started, StartError> {
        let Opened { mut durable, scan } = self.opened;
        let (disk, keystore) = (self.disk, self.keystore);
        let mut batch = Batch::new(now.wall_ms.max(durable.wall_ms));
        let ids = name_participants(&mut durable, &mut batch, participant_names(config));
        let settings = Arc::new(core_settings(config, &ids));
        let keys = Keys::open(keystore.clone(), config, &ids, &durable, now)?;
        let (in_doubt, obligations) = (durable.open.len(), durable.obligations.len());
        let mut core = Core::new(durable, settings);
        core.recover(now, &mut batch);
        // Recovery owes what was in flight as well. Nothing of it is written yet: a refused start changes nothing.
        keep_ways(&mut core.durable, &mut batch, ways(config, &ids))?;
        let size = JournalSize {
            segment_bytes: config.journal.segment_bytes,
            pending_bytes_max: config.journal.pending_bytes_max,
        };
        let journal = match commits {
            Commits::Threaded(wake) => Journal::start(disk, keystore, &scan, size, wake)?,
            Commits::Stepped => Journal::start_stepped(disk, keystore, &scan, size)?,
        };
        let rim = Rim::new(config, &ids);
        let driver = Driver::new(core, journal, size, rim, keys, batch, now);
        Ok(Started { driver, scan, in_doubt, obligations })
    }
}
