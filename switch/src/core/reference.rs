//! The reference that a gateway gives a payment (`docs/wire.md`, Transactions): for as long as the payment is known by its
//! dedupe key, and some minutes more, its reference may come again with the very same record and with no other.

use super::Core;
use super::batch::Batch;
use super::counters::Bound;
use super::dedupe::Dedupe;
use super::durable::Expiry;
use super::entry::Entry;
use super::ids::{KeyedHash, raw_number};
use super::ring::Ring;
use super::table::{Table, WIDE};
use super::volatile::Room;
use crate::planted::{Planted, planted};
use serde::{Deserialize, Serialize};

/// A reference and what came under it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reference {
    /// Keyed hash of participant and reference.
    pub key: KeyedHash,
    /// Keyed hash of the whole record.
    #[serde(with = "raw_number")]
    pub print: u64,
}

/// The references that are known.
#[derive(Default, Serialize, Deserialize)]
pub struct References {
    /// The record, and the dedupe key of the payment it became.
    held: Table<KeyedHash, (Print, KeyedHash), WIDE>,
    /// Each reference, by when its payment may be forgotten.
    ring: Ring<Expiry<KeyedHash>>,
    /// Those whose payment was still known then, by when it is looked at again.
    later: Ring<Expiry<KeyedHash>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Print(#[serde(with = "raw_number")] u64);

impl References {
    /// References held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether another record has this reference.
    pub(super) fn clashes(&self, reference: Reference) -> bool {
        !planted(Planted::ReferenceIgnored)
            && self.held.get(&reference.key).is_some_and(|(print, _)| print.0 != reference.print)
    }

    pub(super) fn absorb(&mut self, reference: Reference, payment: KeyedHash, until_ms: u64) {
        if self.held.put(reference.key, (Print(reference.print), payment)).is_none() {
            self.ring.push(Expiry { at_ms: until_ms, key: reference.key });
        }
    }

    /// When the next reference may be forgotten.
    pub fn oldest_ms(&self) -> Option<u64> {
        let rings = [&self.ring, &self.later];
        rings.into_iter().filter_map(Ring::oldest).map(|oldest| oldest.at_ms).min()
    }

    /// Forgets the references of payments that are not known any more.
    pub(super) fn expire(&mut self, wall_ms: u64, dedupe: &Dedupe) {
        let is_due = |oldest: &&Expiry<KeyedHash>| oldest.at_ms <= wall_ms;
        let mut due = Vec::new();
        for ring in [&mut self.ring, &mut self.later] {
            while let Some(oldest) = ring.oldest().filter(is_due) {
                due.push(oldest.key);
                ring.drop_oldest();
            }
        }
        for key in due {
            // A payment is known from its end on, which comes after its reference.
            if self.held.get(&key).is_some_and(|(_, payment)| dedupe.get(payment).is_some()) {
                self.later.push(Expiry { at_ms: wall_ms.saturating_add(LOOK_AGAIN_MS), key });
            } else {
                self.held.take(&key);
            }
        }
    }
}

/// More than a payment takes from its reference to its end.
const LOOK_AGAIN_MS: u64 = 60_000;

impl Core {
    /// A reference names the payment with this dedupe key from now on.
    pub(super) fn note_reference(&mut self, batch: &mut Batch, reference: Reference, payment: KeyedHash) {
        batch.record(&mut self.durable, Entry::Referenced { reference, payment });
    }

    /// A payment that is known comes under a reference that is not: it names it, too. Err: there is no room to note
    /// that, and the gateway has to ask again.
    pub(super) fn note_second_reference(
        &mut self,
        batch: &mut Batch,
        reference: Option<Reference>,
        payment: KeyedHash,
    ) -> Result<(), Bound> {
        let Some(reference) = reference else { return Ok(()) };
        if self.durable.references.held.get(&reference.key).is_some() {
            return Ok(());
        }
        // It is as little as an outcome, and a drain waits for repeats.
        if matches!(self.live.room, Room::Outcomes | Room::Reversals) {
            return Err(Bound::Journal);
        }
        if self.durable.repeatable() >= self.settings.bounds.dedupe_max {
            return Err(Bound::Dedupe);
        }
        self.note_reference(batch, reference, payment);
        Ok(())
    }
}
