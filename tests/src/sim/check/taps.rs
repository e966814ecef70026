//! Taps: whatever a gateway was told to be stored stands on the disk (P2), once (P3), and both sides add up the same.

use super::{Checker, Rest};
use crate::gateway::Sums;
use crate::sim::journal::Told;
use crate::sim::observe::Seen;
use crate::sim::run::Violation;
use std::collections::BTreeMap;

pub(super) struct Taps;

impl Checker for Taps {
    fn left_behind(&self, told: &Told, seen: &Seen) -> Result<(), Violation> {
        if let Some((record, times)) = told.taps.iter().find(|(_, times)| **times > 1) {
            return Err(Violation::new(format!(
                "P3: a tap of {} bytes stands on the disk {times} times",
                record.len()
            )));
        }
        if let Some(times) = told.tap_keys.values().find(|times| **times > 1) {
            return Err(Violation::new(format!("P3: {times} taps of one key are posted")));
        }
        match seen.stored.iter().find(|record| !told.taps.contains_key(*record)) {
            Some(record) => Err(Violation::new(format!(
                "P2: a tap of {} bytes was told to be stored, and is not",
                record.len()
            ))),
            None => Ok(()),
        }
    }

    fn at_rest(&self, rest: &Rest<'_>) -> Result<(), Violation> {
        let taps = &rest.driver.core.durable.taps;
        let mut held: BTreeMap<(&str, u32), Sums> = BTreeMap::new();
        for (date, gateway, _, sums) in taps.all_sums() {
            let sums = Sums { count: sums.count, fen: sums.amount_fen, hash: sums.hash };
            held.insert((&gateway.name, date.0), sums);
        }
        let kept = rest
            .gateways
            .iter()
            .flat_map(|ledger| ledger.sums().into_iter().map(|(date, sums)| ((ledger.name, date), sums)));
        let kept: BTreeMap<(&str, u32), Sums> = kept.collect();
        if held == kept {
            return Ok(());
        }
        let short = |sums: &BTreeMap<(&str, u32), Sums>| {
            sums.iter()
                .map(|(of, sums)| format!("{of:?} {} {}", sums.count, sums.fen))
                .collect::<Vec<_>>()
                .join(", ")
        };
        Err(Violation::new(format!(
            "P7: taps: the switch has {}; its gateways {}",
            short(&held),
            short(&kept)
        )))
    }
}
