//! What must hold of the switch's state whatever it switches: sums (P7), replay (P8), bounds (P9), silence about
//! secrets (P10), and damage that is found (P12).

use super::{Checker, Rest};
use crate::sim::run::Violation;
use yika_keystore::Keystore;
use yika_switch::config::Config;
use yika_switch::driver::Driver;
use yika_switch::journal::faulty::FaultyDisk;
use yika_switch::journal::{Opened, replay};

pub(super) struct State;

impl Checker for State {
    fn living(&self, driver: &Driver, config: &Config) -> Result<(), Violation> {
        let durable = &driver.core.durable;
        let unaccounted: i64 = durable.books.books().map(|(_, book)| book.unaccounted().abs()).sum();
        if unaccounted != 0 {
            return Err(Violation::new(format!("P7: {unaccounted} fen stand on no book")));
        }
        let bounds = &config.bounds;
        // A late approval that opens a reversal again may come on top; no seed has been seen where that mattered.
        let held = [
            ("transactions in flight", durable.open.len(), bounds.open_max),
            ("dedupe keys", durable.dedupe.len(), bounds.dedupe_max + bounds.dedupe_max / 4 + 1),
            (
                "obligations",
                durable.obligations.len() + 2 * durable.open.len(),
                bounds.obligations_max + bounds.obligations_max / 4,
            ),
            ("exceptions", durable.exceptions.len(), bounds.obligations_max.max(1)),
            ("reversals that ended as unknown", durable.lapsed.len(), bounds.late_max.max(1)),
            ("bytes of live messages", driver.messages().bytes(), config.rim.message_bytes_max),
            ("sessions", driver.sessions_open(), config.rim.sessions_max),
        ];
        match held.iter().find(|(_, held, most)| held > most) {
            Some((what, held, most)) => {
                Err(Violation::new(format!("P9: {held} {what}, the bound is {most}")))
            }
            None => Ok(()),
        }
    }

    fn started(&self, driver: &Driver, disk: &FaultyDisk, keys: &Keystore) -> Result<(), Violation> {
        let replayed = replay(disk, keys).map_err(|e| Violation::new(format!("P8: no replay: {e}")))?;
        if replayed.durable.to_bytes() == driver.core.durable.to_bytes() {
            Ok(())
        } else {
            Err(Violation::new("P8: a replay gives another state"))
        }
    }

    /// P10: no test card's number stands on the disk, in digits or packed.
    fn at_rest(&self, rest: &Rest<'_>) -> Result<(), Violation> {
        let bytes = rest.disk.all_bytes();
        // Cards have numbers from 1 to 4 behind their prefix, and a check digit.
        let packed = |seen: &[u8]| {
            (seen.starts_with(&[0x41, 0x11, 0x11]) || seen.starts_with(&[0x62, 0x22, 0]))
                && seen[3..7] == [0; 4]
                && (0x10..0x50).contains(&seen[7])
        };
        let plain = |seen: &[u8]| seen == b"41111100" || seen == b"62220000";
        match bytes.windows(8).find(|seen| packed(seen) || plain(seen)) {
            Some(_) => Err(Violation::new("P10: a card number stands on the disk in clear")),
            None => Ok(()),
        }
    }
}

/// A disk with one bit flipped: true when its damage is found. What is taken for whole must be whole, but for a last
/// frame that nothing vouches for.
pub(in crate::sim) fn damaged(
    rotten: &FaultyDisk,
    whole: &FaultyDisk,
    keys: &Keystore,
) -> Result<bool, Violation> {
    let Ok(Opened { durable, scan }) = replay(rotten, keys) else { return Ok(true) };
    let good = replay(whole, keys).map_err(|e| Violation::new(format!("P12: {e}")))?;
    let same = durable.to_bytes() == good.durable.to_bytes();
    let last_only = scan.torn.is_some() && scan.last_frame + 2 >= good.scan.last_frame;
    if same || last_only {
        return Ok(scan.torn.is_some());
    }
    let what =
        format!("P12: a flipped bit went unnoticed: frame {} of {}", scan.last_frame, good.scan.last_frame);
    Err(Violation::new(what))
}
