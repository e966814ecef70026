//! The start of a simulated switch: the one of the process, on a journal that is stepped.

use std::sync::Arc;
use yika_keystore::Keystore;
use yika_switch::config::Config;
use yika_switch::core::ids::Now;
use yika_switch::driver::Driver;
use yika_switch::journal::faulty::FaultyDisk;
use yika_switch::start::{Commits, Replayed};

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
    let replayed = Replayed::read(Arc::new(disk.clone()), keys.clone()).map_err(|e| e.to_string())?;
    let started = replayed.start(config, now, Commits::Stepped).map_err(|e| e.to_string())?;
    let mut driver = started.driver;
    for _ in 0..commits.unwrap_or(usize::MAX) {
        if !driver.journal_mut().step().map_err(|e| e.to_string())? {
            return Ok(Some(driver));
        }
    }
    Ok(None)
}
