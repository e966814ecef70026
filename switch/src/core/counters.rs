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
    pub refused: u64,
    pub not_signed_on: u64,
    pub copies: u64,
    pub repeats_answered: u64,
    pub reversals_received: u64,
    pub not_sent: u64,
    pub late: u64,
    pub late_approvals: u64,
    pub obligations_sent: u64,
    pub discharged: u64,
    pub exceptions: u64,
    pub unmatched_unknown_key: u64,
    pub unmatched_terminal: u64,
    pub unmatched_rrn: u64,
    pub invalid_amount: u64,
    pub invalid_card: u64,
    pub invalid_code: u64,
    pub advices_dropped: u64,
}

impl Counters {
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
