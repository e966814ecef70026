//! The reference that a gateway gives a payment (`docs/wire.md`, Transactions): for as long as the payment is known by its
//! dedupe key, its reference may come again with the very same record and with no other.

use super::Core;
use super::batch::Batch;
use super::dedupe::Dedupe;
use super::durable::Expiry;
use super::effect::Effect;
use super::entry::Entry;
use super::ids::{KeyedHash, raw_number};
use super::ring::Ring;
use super::table::Table;
use super::volatile::Waiter;
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
    held: Table<KeyedHash, (Print, KeyedHash)>,
    /// Each reference once, by when it is looked at next.
    ring: Ring<Expiry<KeyedHash>>,
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
    fn clashes(&self, reference: Reference) -> bool {
        self.held.get(&reference.key).is_some_and(|(print, _)| print.0 != reference.print)
    }

    pub(super) fn absorb(&mut self, reference: Reference, payment: KeyedHash, look_at_ms: u64) {
        if self.held.put(reference.key, (Print(reference.print), payment)).is_none() {
            self.ring.push(Expiry { at_ms: look_at_ms, key: reference.key });
        }
    }

    /// When the next reference may be forgotten.
    pub fn oldest_ms(&self) -> Option<u64> {
        self.ring.oldest().map(|oldest| oldest.at_ms)
    }

    /// Forgets the references of payments that are not known any more.
    pub(super) fn expire(&mut self, wall_ms: u64, look_again_ms: u64, dedupe: &Dedupe) {
        while let Some(oldest) = self.ring.oldest().filter(|oldest| oldest.at_ms <= wall_ms) {
            let key = oldest.key;
            self.ring.drop_oldest();
            let is_known = self.held.get(&key).is_some_and(|(_, payment)| dedupe.get(payment).is_some());
            if is_known && look_again_ms > wall_ms {
                self.ring.push(Expiry { at_ms: look_again_ms, key });
            } else {
                self.held.take(&key);
            }
        }
    }
}

impl Core {
    /// Refuses a record whose reference names another one. Err: it was.
    pub(super) fn reference_fits(
        &self,
        batch: &mut Batch,
        waiter: Waiter,
        reference: Option<Reference>,
    ) -> Result<(), ()> {
        if reference.is_none_or(|reference| !self.durable.references.clashes(reference)) {
            return Ok(());
        }
        batch.effect(Effect::ReferenceTaken { peer: waiter.peer, msg: waiter.msg });
        Err(())
    }

    /// A reference names the payment with this dedupe key from now on.
    pub(super) fn note_reference(&mut self, batch: &mut Batch, reference: Reference, payment: KeyedHash) {
        batch.record(&mut self.durable, Entry::Referenced { reference, payment });
    }

    /// A payment that is known comes under a reference that is not: it names it, too. Err: there is no room to note
    /// that, so nothing may be said either.
    pub(super) fn note_second_reference(
        &mut self,
        batch: &mut Batch,
        reference: Option<Reference>,
        payment: KeyedHash,
    ) -> Result<(), ()> {
        let Some(reference) = reference else { return Ok(()) };
        if self.durable.references.held.get(&reference.key).is_some() {
            return Ok(());
        }
        if self.no_room().is_some() || self.durable.repeatable() >= self.settings.bounds.dedupe_max {
            return Err(());
        }
        self.note_reference(batch, reference, payment);
        Ok(())
    }
}
