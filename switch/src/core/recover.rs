//! What a start does before any listener opens: names get their lasting ids, every transaction found
//! without an outcome ends as in doubt with the obligations its plan names, and open obligations queue
//! again. The caller makes the batch durable before it lets anyone in.

use super::Core;
use super::batch::Batch;
use super::durable::Durable;
use super::effect::{Effect, Event, KeyOffer};
use super::entry::{Entry, Owed, OwedKind, Reason};
use super::ids::{LegRef, Now, ObligationId, ParticipantId};
use super::plan::{Allowed, End, LegResult, Next, next};
use super::volatile::LateWatch;
use crate::planted::{Planted, planted};
use std::collections::BTreeMap;
use yika_codec::FieldSet;

/// Gives every name an id that lasts: the one it has, or the next free one by an entry.
pub fn name_participants<'a>(
    durable: &mut Durable,
    batch: &mut Batch,
    names: impl IntoIterator<Item = &'a str>,
) -> BTreeMap<String, ParticipantId> {
    let mut ids = BTreeMap::new();
    for name in names {
        let id = durable.participant_by_name(name).unwrap_or_else(|| {
            let id = durable
                .participants
                .last_key_value()
                .map_or(ParticipantId(0), |(last, _)| ParticipantId(last.0 + 1));
            batch.record(durable, Entry::Named { id, name: name.to_owned() });
            id
        });
        ids.insert(name.to_owned(), id);
    }
    ids
}

impl Core {
    /// Brings a replayed state back to life; see the module.
    pub fn recover(&mut self, now: Now, batch: &mut Batch) {
        let now = Now { wall_ms: batch.wall_ms, ..now };
        self.note_limits(batch);
        self.cut_over_by_clock(now, batch);
        let owed: Vec<_> =
            self.durable.obligations.iter().map(|(id, held)| (*id, held.owed.participant)).collect();
        for (id, participant) in owed {
            self.watch_original(now, batch, id);
            // An earlier life may have sent it: it goes out as a repeat.
            if !planted(Planted::OwedNotQueued) {
                self.enqueue(now, id, participant, None, 1);
            }
        }
        let lapsed: Vec<_> = self.durable.lapsed.iter().map(|(id, _, owed)| (id, owed.clone())).collect();
        for (id, owed) in lapsed {
            self.watch_reversed(now, batch, id, &owed);
        }
        let left = usize::from(planted(Planted::DoubtLeftOpen));
        for tx in self.durable.open.keys_sorted().into_iter().skip(left) {
            self.end_in_doubt(now, batch, tx);
        }
        for (participant, held) in &self.durable.participants {
            for (usage, offer) in &held.offers {
                let (participant, usage, block) = (*participant, *usage, Some(offer.block.clone()));
                batch.effect(Effect::OfferKey(KeyOffer { participant, usage, block }));
            }
        }
        self.apply(now, Event::Tick, batch);
    }

    /// Sent as far as anyone can know, and not answered.
    fn end_in_doubt(&mut self, now: Now, batch: &mut Batch, tx: super::ids::TxId) {
        let Some(open) = self.durable.open.get(&tx) else { return };
        let verdict = next(open, LegResult::Silent, Allowed { partial: false, next_fits: false });
        if let Next::End(end) = verdict {
            let reason = if end.approved > 0 { end.reason } else { Reason::InDoubt };
            self.end(now, batch, tx, End { reason, ..end }, FieldSet::new());
        }
    }

    /// A late answer to the original of an open reversal must still find it (P6).
    fn watch_original(&mut self, now: Now, batch: &mut Batch, id: ObligationId) {
        let Some(owed) = self.durable.obligations.get(&id).map(|held| held.owed.clone()) else { return };
        self.watch_reversed(now, batch, id, &owed);
    }

    fn watch_reversed(&mut self, now: Now, batch: &mut Batch, id: ObligationId, owed: &Owed) {
        let Some(original) = owed.original.filter(|_| owed.kind == OwedKind::Reverse) else { return };
        let watch = LateWatch {
            leg: LegRef { tx: owed.of.tx, leg: owed.of.leg },
            participant: owed.participant,
            ended_us: now.mono_us,
            kind: owed.tx_kind,
            date: owed.date,
            money: owed.money,
            terminal: owed.terminal,
            rrn: original.rrn,
            card: owed.card,
            owed: owed.stood.is_none().then_some(id),
        };
        let key = self.answer_key(owed.participant, &original);
        self.watch_late(now, batch, (key, watch));
    }
}
