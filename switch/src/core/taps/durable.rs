//! What the journal carries of taps, and how its entries change it.

use super::{Announced, BatchEnded, BatchOpened, Closed, Gateway, TapTaken, TapsTaken};
use crate::core::durable::Expiry;
use crate::core::ids::{BusinessDate, KeyedHash, raw, raw_number};
use crate::core::ring::Ring;
use crate::core::table::{Table, WIDE};
use crate::planted::{Planted, planted};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Taps, batches and sums.
#[derive(Default, Serialize, Deserialize)]
pub struct Taps {
    held: Table<KeyedHash, HeldTap, WIDE>,
    /// Keys by the moment they are forgotten, oldest first.
    ring: Ring<Expiry<KeyedHash>>,
    batches: BTreeMap<(Gateway, u64), HeldBatch>,
    /// What is kept of batches, by the moment they are forgotten.
    batch_ring: BTreeMap<(u64, Gateway, u64), ()>,
    /// Open batches of each gateway.
    open: BTreeMap<Gateway, u32>,
    sums: BTreeMap<(BusinessDate, Gateway, u8), TapSums>,
}

/// What finds a stored tap again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeldTap {
    #[serde(with = "raw_number")]
    pub print: u64,
    pub date: BusinessDate,
}

/// A batch that is announced, or was.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct HeldBatch {
    pub announced: Announced,
    /// Records that it brought and that were new.
    pub stored: u32,
    pub closed: Option<Closed>,
}

/// What a gateway compares with its own: records of one kind, on one date.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TapSums {
    pub count: u64,
    pub amount_fen: u64,
    /// SHA-256 of each, joined by exclusive or.
    #[serde(with = "raw")]
    pub hash: [u8; 32],
}

impl TapSums {
    fn add(&mut self, tap: &TapTaken) {
        self.join(&TapSums { count: 1, amount_fen: tap.amount_fen, hash: tap.hash });
    }

    fn join(&mut self, more: &TapSums) {
        self.count += more.count;
        self.amount_fen = self.amount_fen.saturating_add(more.amount_fen);
        self.hash.iter_mut().zip(more.hash).for_each(|(sum, byte)| *sum ^= byte);
    }
}

impl Taps {
    /// Taps held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Batches that are announced and not complete, of all gateways.
    pub fn batches_open(&self) -> u64 {
        self.open.values().map(|count| u64::from(*count)).sum()
    }

    /// The open batches of a gateway, ascending by id.
    pub fn open_of(&self, gateway: &Gateway) -> impl Iterator<Item = u64> {
        let all = self.batches.range((gateway.clone(), 0)..=(gateway.clone(), u64::MAX));
        all.filter(|(_, batch)| batch.closed.is_none()).map(|((_, id), _)| *id)
    }

    pub fn sums(&self, date: BusinessDate, gateway: &Gateway, kind: u8) -> TapSums {
        self.sums.get(&(date, gateway.clone(), kind)).copied().unwrap_or_default()
    }

    /// All sums: by date, gateway and kind of record.
    pub fn all_sums(&self) -> impl Iterator<Item = (BusinessDate, &Gateway, u8, &TapSums)> {
        self.sums.iter().map(|((date, gateway, kind), sums)| (*date, gateway, *kind, sums))
    }

    /// Whether these taps need another sum and there are `most` already.
    pub(super) fn no_room_for_sums(
        &self,
        date: BusinessDate,
        gateway: &Gateway,
        taps: &[TapTaken],
        most: usize,
    ) -> bool {
        if self.sums.len() + taps.len() <= most {
            return false;
        }
        let kinds: BTreeSet<u8> = taps.iter().filter(|tap| !tap.apart).map(|tap| tap.kind).collect();
        let is_new = |kind: &&u8| !self.sums.contains_key(&(date, gateway.clone(), **kind));
        let new = kinds.iter().filter(is_new).count();
        new > 0 && self.sums.len() + new > most
    }

    /// When the oldest of what is held is forgotten.
    pub fn oldest_ms(&self) -> Option<u64> {
        let tap = self.ring.oldest().map(|oldest| oldest.at_ms);
        let batch = self.batch_ring.keys().next().map(|(at_ms, _, _)| *at_ms);
        tap.into_iter().chain(batch).min()
    }

    pub(super) fn held(&self, key: KeyedHash) -> Option<&HeldTap> {
        self.held.get(&key)
    }

    /// Whether a batch is announced and not complete.
    pub fn is_open(&self, gateway: &Gateway, batch: u64) -> bool {
        self.batch(gateway, batch).is_some_and(|batch| batch.closed.is_none())
    }

    pub(super) fn batch(&self, gateway: &Gateway, batch: u64) -> Option<&HeldBatch> {
        self.batches.get(&(gateway.clone(), batch))
    }

    pub(super) fn open_count(&self, gateway: &Gateway) -> u32 {
        self.open.get(gateway).copied().unwrap_or(0)
    }

    /// Batches held, open and complete.
    pub(super) fn batches_held(&self) -> usize {
        self.batches.len()
    }

    pub(in crate::core) fn absorb_taps(&mut self, taken: &TapsTaken) {
        let mut sums: BTreeMap<u8, TapSums> = BTreeMap::new();
        for tap in &taken.taps {
            let place = if tap.apart { apart(tap.key, tap.print) } else { tap.key };
            self.held.put(place, HeldTap { print: tap.print, date: taken.date });
            self.ring.push(Expiry { at_ms: taken.keep_until_ms, key: place });
            if tap.apart || planted(Planted::TapsNotSummed) && taken.batch.is_some() {
                continue;
            }
            sums.entry(tap.kind).or_default().add(tap);
        }
        for (kind, more) in sums {
            self.sums.entry((taken.date, taken.gateway.clone(), kind)).or_default().join(&more);
        }
        if let Some(batch) = taken.batch.and_then(|id| self.batches.get_mut(&(taken.gateway.clone(), id))) {
            batch.stored += taken.taps.len() as u32;
        }
    }

    pub(in crate::core) fn absorb_opened(&mut self, opened: BatchOpened) {
        let BatchOpened { gateway, batch, announced, keep_until_ms } = opened;
        self.batch_ring.insert((keep_until_ms, gateway.clone(), batch), ());
        *self.open.entry(gateway.clone()).or_default() += 1;
        self.batches.insert((gateway, batch), HeldBatch { announced, stored: 0, closed: None });
    }

    pub(in crate::core) fn absorb_ended(&mut self, ended: BatchEnded) -> Result<(), &'static str> {
        let key = (ended.gateway, ended.batch);
        let batch = self.batches.get_mut(&key).filter(|batch| batch.closed.is_none());
        batch.ok_or("it ends a batch that is not open")?.closed = Some(ended.closed);
        self.close_one(&key.0);
        Ok(())
    }

    fn close_one(&mut self, gateway: &Gateway) {
        if let Some(count) = self.open.get_mut(gateway) {
            *count -= 1;
            if *count == 0 {
                self.open.remove(gateway);
            }
        }
    }

    /// Forgets what lies outside its window; sums go with the dates before `oldest`.
    pub(in crate::core) fn expire(&mut self, wall_ms: u64) {
        while let Some(oldest) = self.ring.oldest().filter(|oldest| oldest.at_ms <= wall_ms) {
            let key = oldest.key;
            self.held.take(&key);
            self.ring.drop_oldest();
        }
        while let Some(first) = self.batch_ring.first_entry().filter(|first| first.key().0 <= wall_ms) {
            let ((_, gateway, batch), ()) = first.remove_entry();
            let gone = self.batches.remove(&(gateway.clone(), batch));
            if gone.is_some_and(|gone| gone.closed.is_none()) {
                self.close_one(&gateway);
            }
        }
    }

    /// Sums of dates before this one are forgotten.
    pub(in crate::core) fn forget_sums_before(&mut self, date: BusinessDate) {
        self.sums.retain(|(of, _, _), _| *of >= date);
    }
}

/// Where a record is held whose key another one has.
pub(super) fn apart(key: KeyedHash, print: u64) -> KeyedHash {
    KeyedHash(key.0 ^ print.rotate_left(17) ^ 0x9e37_79b9_7f4a_7c15)
}
