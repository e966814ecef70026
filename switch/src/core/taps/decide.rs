//! What becomes of what a gateway asks: new, known already, apart, or no room for it now.

use super::durable::apart;
use super::{
    Announced, Asked, BatchEnded, BatchOpened, Closed, GateEvent, GateSaid, Gateway, Part, Tap, TapTaken,
    TapsTaken,
};
use crate::core::batch::Batch;
use crate::core::counters::Refusal;
use crate::core::effect::Effect;
use crate::core::entry::Entry;
use crate::core::ids::{BusinessDate, KeyedHash, Now};
use crate::core::window::AHEAD_MAX_MS;
use crate::core::{Bound, Core};
use crate::planted::{Planted, planted};
use std::collections::BTreeMap;
use yika_codec::gate::Verdict;

/// Open batches of one gateway: what its hello answer can name.
const OPEN_MAX: u32 = yika_codec::gate::OpenBatches::COUNT_MAX as u32;

impl Core {
    pub(in crate::core) fn gate(&mut self, now: Now, batch: &mut Batch, asked: Asked, event: GateEvent) {
        let said = match event {
            GateEvent::Open { batch: id, announced } => self.open_batch(now, batch, &asked, id, announced),
            GateEvent::Taps(part) => self.take_taps(now, batch, &asked, part),
            GateEvent::Close { batch: id, closed } => self.end_batch(batch, &asked, id, closed),
            GateEvent::Totals { date, kind } => {
                let open = self.durable.dates.open.contains_key(&date);
                let sums = self.durable.taps.sums(date, &asked.gateway, kind);
                let known = open || sums.count > 0 || self.durable.books.dates().any(|held| held == date);
                GateSaid::Totals { date, kind, sums, known, open }
            }
        };
        batch.effect(Effect::Gate(Box::new((asked, said))));
    }

    fn open_batch(
        &mut self,
        now: Now,
        batch: &mut Batch,
        asked: &Asked,
        id: u64,
        announced: Announced,
    ) -> GateSaid {
        if let Some(held) = self.durable.taps.batch(&asked.gateway, id) {
            // The gateway's day is recorded and not compared: it may have become another one meanwhile.
            if (Announced { date: held.announced.date, ..announced }) != held.announced {
                return GateSaid::Conflict;
            }
            let (announced, stored, closed) = (held.announced, held.stored, held.closed);
            return GateSaid::State { batch: id, announced, stored, closed };
        }
        if self.durable.taps.open_count(&asked.gateway) >= OPEN_MAX {
            return GateSaid::TooMany;
        }
        let full = self.durable.taps.batches_held() >= self.settings.bounds.batches_max;
        if full {
            self.counters.reached.note(Bound::Batches);
        }
        if full || self.no_room().is_some() {
            return self.busy(None);
        }
        let gateway = (*asked.gateway).clone();
        let keep_until_ms = self.keep_until_ms(now);
        let opened = BatchOpened { gateway, batch: id, announced, keep_until_ms };
        batch.record(&mut self.durable, Entry::BatchOpened(Box::new(opened)));
        GateSaid::State { batch: id, announced, stored: 0, closed: None }
    }

    fn take_taps(&mut self, now: Now, batch: &mut Batch, asked: &Asked, part: Part) -> GateSaid {
        if let Some(id) = part.batch
            && self.durable.taps.batch(&asked.gateway, id).is_none()
        {
            return GateSaid::Unannounced { batch: id, records: part.taps.len() as u32 };
        }
        let (verdicts, taken) = self.judge(now, &asked.gateway, &part);
        if taken.taps.is_empty() {
            // What was stored earlier is durable, or in a batch before this one.
            return GateSaid::Verdicts { part, verdicts };
        }
        let date = self.durable.dates.current;
        let (held, bounds) = (&self.durable.taps, &self.settings.bounds);
        let full = if held.len() + taken.taps.len() > bounds.taps_max {
            Some(Bound::Taps)
        } else if held.no_room_for_sums(date, &asked.gateway, &taken.taps, bounds.tap_sums_max) {
            Some(Bound::TapSums)
        } else {
            None
        };
        if let Some(bound) = full {
            self.counters.reached.note(bound);
        }
        if full.is_some() || self.no_room().is_some() {
            return self.busy(Some(part));
        }
        let entry = TapsTaken {
            gateway: (*asked.gateway).clone(),
            batch: part.batch,
            date,
            keep_until_ms: self.keep_until_ms(now),
            taps: taken.taps,
            records: taken.records,
        };
        self.counters.taps_stored += entry.taps.len() as u64;
        batch.record(&mut self.durable, Entry::Taps(Box::new(entry)));
        GateSaid::Verdicts { part, verdicts }
    }

    /// A verdict for each record of a part, and what of it is new.
    fn judge(&mut self, now: Now, gateway: &Gateway, part: &Part) -> (Vec<(Verdict, BusinessDate)>, New) {
        let current = self.durable.dates.current;
        let mut new = New::default();
        // A record may stand in one part twice.
        let mut here: BTreeMap<KeyedHash, u64> = BTreeMap::new();
        let batch = part.batch.and_then(|id| self.durable.taps.batch(gateway, id));
        let is_closed = batch.is_some_and(|batch| batch.closed.is_some());
        let mut at = 0;
        let mut verdicts = Vec::with_capacity(part.taps.len());
        for tap in &part.taps {
            let record = part.records.get(at..at + tap.bytes as usize).unwrap_or_default();
            at += tap.bytes as usize;
            let held = |key: KeyedHash| {
                let stored = self.durable.taps.held(key).map(|held| (held.print, held.date));
                stored.or_else(|| here.get(&key).map(|print| (*print, current)))
            };
            let known = held(tap.key).filter(|_| !planted(Planted::TapStoredAgain));
            let judged = || if known.is_none() { self.not_new(now, tap, is_closed) } else { None };
            if let Some(refused) = tap.refused.or_else(judged) {
                self.counters.taps_refused += 1;
                verdicts.push((refused, current));
                continue;
            }
            let place = apart(tap.key, tap.print);
            let (verdict, date, is_new) = match known {
                None => (Verdict::Stored, current, Some(false)),
                Some((print, date)) if print == tap.print => {
                    let date = if planted(Planted::TapDateOfToday) { current } else { date };
                    (Verdict::StoredEarlier, date, None)
                }
                Some(_) => match held(place) {
                    Some((_, date)) => (Verdict::Conflict, date, None),
                    None => (Verdict::Conflict, current, Some(true)),
                },
            };
            self.counters.taps_repeated += u64::from(verdict == Verdict::StoredEarlier);
            self.counters.taps_apart += u64::from(is_new == Some(true));
            if let Some(apart) = is_new {
                here.insert(if apart { place } else { tap.key }, tap.print);
                let (key, print, hash, kind) = (tap.key, tap.print, tap.hash, tap.kind);
                let (amount_fen, bytes) = (tap.amount_fen, tap.bytes);
                new.taps.push(TapTaken { key, print, hash, kind, amount_fen, apart, bytes });
                new.records.extend_from_slice(record);
            }
            verdicts.push((verdict, date));
        }
        (verdicts, new)
    }

    /// Why a tap that is not known is not stored: of another time, or of a batch that is complete without it.
    fn not_new(&self, now: Now, tap: &Tap, batch_is_closed: bool) -> Option<Verdict> {
        let is_ahead = tap.made_ms > now.wall_ms.saturating_add(AHEAD_MAX_MS);
        let is_old = !self.durable.tap_window.holds(tap.made_ms, now.wall_ms);
        if is_ahead || is_old {
            return Some(Verdict::OutsideWindow);
        }
        batch_is_closed.then_some(Verdict::NotAccepted)
    }

    fn end_batch(&mut self, batch: &mut Batch, asked: &Asked, id: u64, closed: Closed) -> GateSaid {
        match self.durable.taps.batch(&asked.gateway, id) {
            None => GateSaid::Unannounced { batch: id, records: 0 },
            // It came whole a second time: what it came to stands.
            Some(held) if held.closed.is_some() => {
                GateSaid::Closed { batch: id, closed: held.closed.unwrap_or(closed) }
            }
            Some(_) => {
                let closed = Closed { date: self.durable.dates.current, ..closed };
                let ended = BatchEnded { gateway: (*asked.gateway).clone(), batch: id, closed };
                batch.record(&mut self.durable, Entry::BatchEnded(Box::new(ended)));
                GateSaid::Closed { batch: id, closed }
            }
        }
    }

    fn busy(&mut self, part: Option<Part>) -> GateSaid {
        self.counters.taps_busy += 1;
        let draining = matches!(self.no_room(), Some(Refusal::Draining));
        GateSaid::Busy { part, draining }
    }

    fn keep_until_ms(&self, now: Now) -> u64 {
        now.wall_ms.saturating_add(self.settings.bounds.tap_window_ms).saturating_add(AHEAD_MAX_MS)
    }
}

/// What of a part is new.
#[derive(Default)]
struct New {
    taps: Vec<TapTaken>,
    records: Vec<u8>,
}
