//! How far each open batch is: the hash over what was decided so far, from its first record on without a gap.
//!
//! Volatile: after a restart a batch begins anew at its first record, and what is stored already gets its verdict again.

use super::BATCH_RECORDS_MAX;
use crate::core::ids::BusinessDate;
use crate::core::taps::{Announced, Closed, Gateway, Part, VERDICTS};
use std::collections::BTreeMap;
use yika_codec::gate::Verdict;
use yika_keystore::Sha256;

/// What `BatchOpen` calls a batch of taps, and one of disbursement lines.
pub(super) const CONTENT_TAPS: u8 = 1;
pub(super) const CONTENT_LINES: u8 = 2;

/// Batches under way, by gateway and id: each is open in the core too, which bounds them.
#[derive(Default)]
pub struct GateBatches {
    under_way: BTreeMap<(Gateway, u64), Progress>,
    /// The session id that each gateway proved last.
    sessions: BTreeMap<Gateway, [u8; 16]>,
}

/// Gateways whose session id is remembered; it only tells them whether they are known.
const SESSIONS_MAX: usize = 10_000;

struct Progress {
    announced: Announced,
    hash: Sha256,
    next: u32,
    amount_fen: u64,
    counts: [u32; VERDICTS],
    closing: bool,
}

impl GateBatches {
    /// Whether this is the session id that the gateway proved last.
    pub(super) fn knows(&self, gateway: &Gateway, session: &[u8; 16]) -> bool {
        self.sessions.get(gateway) == Some(session)
    }

    pub(super) fn note_session(&mut self, gateway: &Gateway, session: [u8; 16]) {
        self.sessions.insert(gateway.clone(), session);
        if self.sessions.len() > SESSIONS_MAX {
            self.sessions.pop_first();
        }
    }

    /// The index from which a batch goes on.
    pub(super) fn next(&mut self, gateway: &Gateway, batch: u64, announced: Announced) -> u32 {
        let fresh = || Progress {
            announced,
            hash: Sha256::new(),
            next: 0,
            amount_fen: 0,
            counts: [0; VERDICTS],
            closing: false,
        };
        self.under_way.entry((gateway.clone(), batch)).or_insert_with(fresh).next
    }

    /// The index it goes on from now; None when it is not under way.
    pub(super) fn reached(&self, gateway: &Gateway, batch: u64) -> Option<u32> {
        self.under_way.get(&(gateway.clone(), batch)).map(|progress| progress.next)
    }

    /// Counts a part that was decided; what the batch came to, once it is whole.
    pub(super) fn decided(
        &mut self,
        gateway: &Gateway,
        batch: u64,
        part: &Part,
        verdicts: &[(Verdict, BusinessDate)],
    ) -> Option<Closed> {
        let progress = self.under_way.get_mut(&(gateway.clone(), batch))?;
        let seen = progress.next.checked_sub(part.first)? as usize;
        let mut at = 0;
        for (index, (tap, (verdict, _))) in part.taps.iter().zip(verdicts).enumerate() {
            let record = part.records.get(at..at + tap.bytes as usize).unwrap_or_default();
            at += tap.bytes as usize;
            if index < seen {
                continue;
            }
            progress.hash.update(record);
            progress.next += 1;
            progress.amount_fen = progress.amount_fen.saturating_add(tap.amount_fen);
            progress.counts[usize::from(verdict.number())] += 1;
        }
        let whole = progress.next == progress.announced.records && !progress.closing;
        progress.closing |= whole;
        debug_assert!(progress.next <= BATCH_RECORDS_MAX, "a part that goes beyond its batch is refused");
        whole.then(|| progress.closed())
    }

    /// A batch is complete.
    pub(super) fn ended(&mut self, gateway: &Gateway, batch: u64) {
        self.under_way.remove(&(gateway.clone(), batch));
    }
}

impl Progress {
    fn closed(&self) -> Closed {
        let hash = self.hash.clone().finish();
        let unread = self.counts[usize::from(Verdict::Unreadable.number())] > 0;
        let sum_differs = !unread && self.amount_fen != self.announced.amount_fen;
        let differs = u8::from(sum_differs) << 1 | u8::from(hash != self.announced.hash) << 2;
        Closed { differs, amount_fen: self.amount_fen, hash, counts: self.counts, date: self.announced.date }
    }
}
