//! How far each open batch is: the hash over what was decided so far, from its first record on without a gap.
//!
//! Volatile: after a restart a batch begins anew at its first record, and what is stored already gets its verdict again.

use super::{BATCH_RECORDS_MAX, End, Gate, PART_RECORDS_MAX};
use crate::core::ids::{BusinessDate, Now, SessionId};
use crate::core::taps::{Announced, Closed, GateEvent, Gateway, Part, VERDICTS};
use crate::driver::Driver;
use crate::planted::{Planted, planted};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use yika_codec::gate::{BatchOpen, BatchPart, ErrorCode, Fault, Verdict};
use yika_keystore::{Authentic, Sha256};

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

/// Batches that one connection speaks of: twice as many as a gateway may have open.
const OPEN_HERE_MAX: usize = 64;
/// Gateways whose session id is remembered; it only tells them whether they are known.
const SESSIONS_MAX: usize = 10_000;

struct Progress {
    announced: Announced,
    hash: Sha256,
    next: u32,
    amount_fen: u64,
    counts: [u32; VERDICTS],
    closing: bool,
    /// Records came at an index that others had.
    has_strangers: bool,
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

    /// The index from which a batch goes on that the core has open as `announced`.
    pub(super) fn next(&mut self, gateway: &Gateway, batch: u64, announced: Announced) -> u32 {
        let fresh = Progress {
            announced,
            hash: Sha256::new(),
            next: 0,
            amount_fen: 0,
            counts: [0; VERDICTS],
            closing: false,
            has_strangers: false,
        };
        match self.under_way.entry((gateway.clone(), batch)) {
            Entry::Vacant(place) => place.insert(fresh).next,
            // What stands here is of a batch that was forgotten meanwhile, and its id is used anew.
            Entry::Occupied(mut place) if place.get().announced != announced => {
                place.insert(fresh);
                0
            }
            Entry::Occupied(place) => place.get().next,
        }
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
            if index < seen && !planted(Planted::BatchCountsRepeats) {
                // What a repeat brings for the first time is no repeat.
                progress.has_strangers |= *verdict == Verdict::Stored;
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

    /// Forgets what the core has forgotten: nobody may speak of those batches again.
    pub(super) fn sweep(&mut self, is_held: impl Fn(&Gateway, u64) -> bool) {
        self.under_way.retain(|(gateway, batch), _| is_held(gateway, *batch));
    }

    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// A batch is complete, or the core has forgotten it.
    pub(super) fn ended(&mut self, gateway: &Gateway, batch: u64) {
        self.under_way.remove(&(gateway.clone(), batch));
    }
}

impl Progress {
    fn closed(&self) -> Closed {
        let hash = self.hash.clone().finish();
        let unread = self.counts[usize::from(Verdict::Unreadable.number())] > 0;
        let sum_differs = !unread && self.amount_fen != self.announced.amount_fen;
        let differs = u8::from(self.has_strangers)
            | u8::from(sum_differs) << 1
            | u8::from(hash != self.announced.hash) << 2;
        // The date is the core's to say.
        let date = self.announced.date;
        Closed { differs, amount_fen: self.amount_fen, hash, counts: self.counts, date }
    }
}

impl Driver {
    pub(super) fn batch_open(
        &mut self,
        id: SessionId,
        gate: &mut Gate,
        correlation: u32,
        proof: Authentic<()>,
        open: &BatchOpen<'_>,
        now: Now,
    ) {
        let code = match open.content {
            // The number of what stands in no batch.
            _ if open.batch == 0 => ErrorCode::Value,
            CONTENT_TAPS if open.records == 0 || open.records > BATCH_RECORDS_MAX => ErrorCode::BatchSize,
            CONTENT_TAPS => {
                let announced = Announced {
                    content: open.content,
                    records: open.records,
                    amount_fen: open.amount_fen,
                    hash: open.hash,
                    date: BusinessDate(open.date.number()),
                };
                let event = GateEvent::Open { batch: open.batch, announced };
                return self.gate_ask(id, gate, correlation, proof, event);
            }
            CONTENT_LINES => ErrorCode::Family,
            _ => ErrorCode::Value,
        };
        self.gate_fault(id, gate, correlation, Fault::of(code, false), now);
    }

    pub(super) fn batch_part(
        &mut self,
        id: SessionId,
        gate: &mut Gate,
        correlation: u32,
        proof: Authentic<()>,
        part: &BatchPart<'_>,
        now: Now,
    ) -> Result<(), End> {
        gate.spend(u64::from(part.records.count()))?;
        let count = u32::from(part.records.count());
        let refused = match gate.open.get_mut(&part.batch) {
            None => Some(ErrorCode::BatchUnknown),
            Some(_) if part.records.count() > PART_RECORDS_MAX => Some(ErrorCode::BatchSize),
            Some(open) if part.first > open.reach || part.first.saturating_add(count) > open.records => {
                Some(ErrorCode::BatchIndex)
            }
            Some(open) => {
                open.reach = open.reach.max(part.first + count);
                None
            }
        };
        if let Some(code) = refused {
            gate.records_answered += u64::from(count);
            self.gate_fault(id, gate, correlation, Fault::of(code, false), now);
            return Ok(());
        }
        let taps = part.records.iter().map(|record| self.tap_of(gate, record)).collect();
        let records = part.records.bytes().to_vec();
        let part = Part { batch: Some(part.batch), first: part.first, taps, records };
        self.gate_ask(id, gate, correlation, proof, GateEvent::Taps(part));
        Ok(())
    }
}

/// A batch that is open on a connection.
pub(super) struct OpenHere {
    pub records: u32,
    /// The index that the next part may begin at, at most.
    pub reach: u32,
    /// Of the frame that opened it last: the end is told under it.
    pub correlation: u32,
}

impl Gate {
    /// Remembers a batch that is open; the lowest other id goes when there are too many, and is opened again.
    pub(super) fn note(&mut self, batch: u64, open: OpenHere) {
        if self.open.len() >= OPEN_HERE_MAX
            && !self.open.contains_key(&batch)
            && let Some(lowest) = self.open.pop_first()
        {
            tracing::debug!(
                batch = lowest.0,
                "a connection speaks of too many batches; one is to be opened again"
            );
        }
        self.open.insert(batch, open);
    }
}
