//! Plain counts of what the core saw, read by the metrics at a scrape. One owner, no atomics.

use super::entry::Reason;

#[derive(Clone, Copy, Default, Debug)]
pub struct Counters {
    pub requests: u64,
    pub approved: u64,
    pub declined: u64,
    pub timed_out: u64,
    pub in_doubt: u64,
    pub stand_in: u64,
    /// Refusals with 96, by the bound that was reached.
    pub refused_at: Reached,
    pub refused_draining: u64,
    /// 94.
    pub refused_duplicate: u64,
    pub refused_format: u64,
    pub refused_sign_on: u64,
    pub reached: Reached,
    pub copies: u64,
    pub repeats_answered: u64,
    pub reversals_received: u64,
    pub not_sent: u64,
    pub late: u64,
    pub late_approvals: u64,
    pub obligations_sent: u64,
    pub discharged: u64,
    pub exceptions: u64,
    /// Exceptions and reversals that ended as unknown whose place a newer one took.
    pub ended_forgotten: u64,
    pub unmatched_unknown_key: u64,
    pub unmatched_terminal: u64,
    pub unmatched_rrn: u64,
    pub invalid_amount: u64,
    pub invalid_card: u64,
    pub invalid_code: u64,
    pub advices_dropped: u64,
    pub taps_stored: u64,
    pub taps_repeated: u64,
    /// Kept apart: another record has their key.
    pub taps_apart: u64,
    /// Not stored: unreadable, outside the window, or not taken here.
    pub taps_refused: u64,
    /// Parts and batches that found no room.
    pub taps_busy: u64,
}

/// A bound of the configuration (P9).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    Open,
    Dedupe,
    Obligations,
    Originals,
    Copies,
    Fetches,
    Late,
    Currencies,
    Terminals,
    Taps,
    Batches,
    TapSums,
    Inflight,
    /// What is not yet durable, or the spare segments.
    Journal,
    Sessions,
    SessionInflight,
    SessionOut,
    MessageMemory,
}

impl Bound {
    /// Each with the key that sets it.
    pub const ALL: [(Bound, &'static str); 18] = [
        (Bound::Open, "open_max"),
        (Bound::Dedupe, "dedupe_max"),
        (Bound::Obligations, "obligations_max"),
        (Bound::Originals, "originals_max"),
        (Bound::Copies, "copies_max"),
        (Bound::Fetches, "fetches_max"),
        (Bound::Late, "late_max"),
        (Bound::Currencies, "currencies_max"),
        (Bound::Terminals, "terminals_max"),
        (Bound::Taps, "taps_max"),
        (Bound::Batches, "batches_max"),
        (Bound::TapSums, "tap_sums_max"),
        (Bound::Inflight, "inflight_max"),
        (Bound::Journal, "journal"),
        (Bound::Sessions, "sessions_max"),
        (Bound::SessionInflight, "session_inflight_max"),
        (Bound::SessionOut, "session_out_max"),
        (Bound::MessageMemory, "message_memory_max"),
    ];
}

/// How often each bound was reached.
#[derive(Clone, Copy, Default, Debug)]
pub struct Reached([u64; Bound::ALL.len()]);

impl Reached {
    pub fn note(&mut self, bound: Bound) {
        self.0[bound as usize] += 1;
    }

    pub fn of(&self, bound: Bound) -> u64 {
        self.0[bound as usize]
    }
}

/// Why a request became no transaction (rule 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    Format,
    SignOn,
    Duplicate,
    Draining,
    Full(Bound),
}

impl Counters {
    pub(super) fn refusal(&mut self, why: Refusal) {
        match why {
            Refusal::Format => self.refused_format += 1,
            Refusal::SignOn => self.refused_sign_on += 1,
            Refusal::Duplicate => self.refused_duplicate += 1,
            Refusal::Draining => self.refused_draining += 1,
            Refusal::Full(bound) => {
                self.refused_at.note(bound);
                self.reached.note(bound);
            }
        }
    }

    pub(super) fn outcome(&mut self, reason: Reason) {
        match reason {
            Reason::Approved | Reason::Accepted => self.approved += 1,
            Reason::StandIn => {
                self.approved += 1;
                self.stand_in += 1;
            }
            Reason::InDoubt => self.in_doubt += 1,
            _ => self.declined += 1,
        }
    }
}
