//! The start of a simulated switch: what `net::serve` does, without sockets and threads.

use std::sync::Arc;
use yika_keystore::Keystore;
use yika_switch::config::{Config, core_settings, participant_names, ways};
use yika_switch::core::batch::Batch;
use yika_switch::core::ids::Now;
use yika_switch::core::{Core, keep_ways, name_participants};
use yika_switch::driver::Driver;
use yika_switch::driver::rim::{Keys, Rim};
use yika_switch::journal::disk::Disk;
use yika_switch::journal::faulty::FaultyDisk;
use yika_switch::journal::{Journal, JournalSize, replay};

/// Replays, recovers, and makes the recovery durable, but for at most `commits` commits: then the machine dies.
///
/// # Errors
/// The start's own message.
pub fn start(
    config: &Config,
    disk: &FaultyDisk,
    keys: &Arc<Keystore>,
    now: Now,
    commits: Option<usize>,
) -> Result<Option<Driver>, String> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let opened = replay(&*shared, keys).map_err(|e| e.to_string())?;
    let mut durable = opened.durable;
    let mut batch = Batch::new(now.wall_ms.max(durable.wall_ms));
    let ids = name_participants(&mut durable, &mut batch, participant_names(config));
    let settings = Arc::new(core_settings(config, &ids));
    let open_keys = Keys::open(keys.clone(), config, &ids, &durable, now).map_err(|e| e.to_string())?;
    let mut core = Core::new(durable, settings);
    core.recover(now, &mut batch);
    keep_ways(&mut core.durable, &mut batch, ways(config, &ids)).map_err(|e| e.to_string())?;
    let size = JournalSize {
        segment_bytes: config.journal.segment_bytes,
        pending_bytes_max: config.journal.pending_bytes_max,
    };
    let journal =
        Journal::start_stepped(shared, keys.clone(), &opened.scan, size).map_err(|e| e.to_string())?;
    let rim = Rim::new(config, &ids);
    let mut driver = Driver::new(core, journal, size, rim, open_keys, batch, now);
    for _ in 0..commits.unwrap_or(usize::MAX) {
        if !driver.journal_mut().step().map_err(|e| e.to_string())? {
            return Ok(Some(driver));
        }
    }
    Ok(None)
}
