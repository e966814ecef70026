//! Keeps one participant from filling the log: one line an interval about the same thing, with a count of those that
//! were held back. The metric counts them all.

use crate::core::ids::ParticipantId;
use std::collections::BTreeMap;

/// Who was told of last, and when. As many as there are configured participants at most.
#[derive(Default)]
pub(super) struct Told(BTreeMap<ParticipantId, Quiet>);

struct Quiet {
    until_us: u64,
    held_back: u64,
}

/// Long against what an operator needs to act, short against what he may miss.
const LINE_EVERY_US: u64 = 60_000_000;

impl Told {
    /// Whether this one may be told now: with the count of those held back since the last line.
    pub(super) fn may_tell(&mut self, participant: ParticipantId, now_us: u64) -> Option<u64> {
        if let Some(quiet) = self.0.get_mut(&participant).filter(|quiet| now_us < quiet.until_us) {
            quiet.held_back += 1;
            return None;
        }
        let fresh = Quiet { until_us: now_us + LINE_EVERY_US, held_back: 0 };
        Some(self.0.insert(participant, fresh).map_or(0, |before| before.held_back))
    }
}
