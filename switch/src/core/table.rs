//! The core's only hash map. It has no iterator: nothing in the core may depend on the order of a
//! hash table, so that the same journal always gives the same state (P8). Its ways out, keys and
//! serialisation, sort by key and are therefore canonical.

use super::entry::Identity;
use super::ids::{CardToken, KeyedHash, ObligationId, OriginalNo, ParticipantId, TxId};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::marker::PhantomData;

/// A key that brings its own well-mixed hash. Keys from outside are `KeyedHash` or `CardToken`,
/// both made with a secret; the rest are numbers that the core itself assigned.
pub trait TableKey: Copy + Eq + Ord {
    fn hash64(&self) -> u64;
}

/// A hash table without iteration. Lookups and changes are O(1); serialisation is O(n log n).
pub struct Table<K, V> {
    slots: HashTable<(K, V)>,
}

impl<K: TableKey, V> Table<K, V> {
    pub fn new() -> Self {
        Table { slots: HashTable::new() }
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        self.slots.find(key.hash64(), |(k, _)| k == key).map(|(_, v)| v)
    }

    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.slots.find_mut(key.hash64(), |(k, _)| k == key).map(|(_, v)| v)
    }

    pub fn has(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Sets the value and returns the one it replaces.
    pub fn put(&mut self, key: K, value: V) -> Option<V> {
        match self.slots.entry(key.hash64(), |(k, _)| *k == key, |(k, _)| k.hash64()) {
            Entry::Occupied(mut held) => Some(std::mem::replace(&mut held.get_mut().1, value)),
            Entry::Vacant(place) => {
                place.insert((key, value));
                None
            }
        }
    }

    pub fn take(&mut self, key: &K) -> Option<V> {
        let entry = self.slots.find_entry(key.hash64(), |(k, _)| k == key).ok()?;
        Some(entry.remove().0.1)
    }

    /// Takes the value out if there is one and `fits`.
    pub fn take_if(&mut self, key: &K, fits: impl FnOnce(&V) -> bool) -> Option<V> {
        let entry = self.slots.find_entry(key.hash64(), |(k, _)| k == key).ok()?;
        fits(&entry.get().1).then(|| entry.remove().0.1)
    }

    /// The value under `key`, made by `fresh` when there is none.
    pub fn entry_or(&mut self, key: K, fresh: impl FnOnce() -> V) -> &mut V {
        &mut self
            .slots
            .entry(key.hash64(), |(k, _)| *k == key, |(k, _)| k.hash64())
            .or_insert_with(|| (key, fresh()))
            .into_mut()
            .1
    }

    /// All keys in order: for recovery, where each open transaction is met once.
    pub fn keys_sorted(&self) -> Vec<K> {
        let mut keys: Vec<K> = self.slots.iter().map(|pair| pair.0).collect();
        keys.sort_unstable();
        keys
    }

    pub fn clear(&mut self) {
        self.slots.clear();
    }
}

impl<K: TableKey, V> Default for Table<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: TableKey + Serialize, V: Serialize> Serialize for Table<K, V> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut sorted: Vec<&(K, V)> = self.slots.iter().collect();
        sorted.sort_unstable_by_key(|pair| pair.0);
        out.collect_seq(sorted)
    }
}

impl<'de, K: TableKey + Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Table<K, V> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Pairs<K, V>(PhantomData<(K, V)>);
        impl<'de, K: TableKey + Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Pairs<K, V> {
            type Value = Table<K, V>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a sequence of key and value pairs")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut table = Table::new();
                while let Some((key, value)) = seq.next_element::<(K, V)>()? {
                    table.put(key, value);
                }
                Ok(table)
            }
        }
        input.deserialize_seq(Pairs(PhantomData))
    }
}

/// Fibonacci hashing: spreads small counters over all 64 bits (the multiplier is 2^64 / phi, odd).
fn spread(number: u64) -> u64 {
    let product = u128::from(number ^ 0x5bd1_e995_9d1b_54a5) * 0x9e37_79b9_7f4a_7c15;
    (product as u64) ^ ((product >> 64) as u64)
}

impl TableKey for KeyedHash {
    fn hash64(&self) -> u64 {
        self.0 as u64
    }
}

impl TableKey for CardToken {
    fn hash64(&self) -> u64 {
        let mut low = [0; 8];
        low.copy_from_slice(&self.0[..8]);
        u64::from_le_bytes(low)
    }
}

impl TableKey for (ParticipantId, CardToken) {
    fn hash64(&self) -> u64 {
        self.1.hash64() ^ spread(u64::from(self.0.0))
    }
}

macro_rules! counter_keys {
    ($($name:ident),*) => {$(
        impl TableKey for $name {
            fn hash64(&self) -> u64 {
                spread(self.0)
            }
        }
    )*};
}
counter_keys!(TxId, ObligationId, OriginalNo);

impl TableKey for super::ids::Seq {
    fn hash64(&self) -> u64 {
        spread(self.0)
    }
}

/// What an answer is looked up by (rule 1): participant, MTI class, F11, and F7 where the dialect
/// carries it in answers (else 0).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct AnswerKey {
    pub participant: ParticipantId,
    pub class: u8,
    pub stan: u32,
    pub sent_at: u32,
}

impl AnswerKey {
    /// What an answer to a message with this identity is looked up by; `by_time` where its dialect carries F7 in answers.
    pub fn of(participant: ParticipantId, identity: &Identity, by_time: bool) -> AnswerKey {
        let sent_at = if by_time { identity.sent_at } else { 0 };
        AnswerKey { participant, class: identity.mti.class(), stan: identity.stan, sent_at }
    }
}

impl TableKey for AnswerKey {
    fn hash64(&self) -> u64 {
        let who = u64::from(self.participant.0) << 40 | u64::from(self.class) << 32 | u64::from(self.stan);
        spread(who ^ spread(u64::from(self.sent_at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_takes_and_finds() {
        let mut table = Table::new();
        assert_eq!(table.put(TxId(7), "a"), None);
        assert_eq!(table.put(TxId(7), "b"), Some("a"));
        assert_eq!(table.get(&TxId(7)), Some(&"b"));
        assert_eq!(table.get(&TxId(8)), None);
        assert_eq!(*table.entry_or(TxId(8), || "c"), "c");
        assert_eq!(table.take(&TxId(7)), Some("b"));
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn serialises_the_same_whatever_the_order_of_insertion() {
        let (mut up, mut down) = (Table::new(), Table::new());
        for n in 0..1000u64 {
            up.put(TxId(n), n * 3);
            down.put(TxId(999 - n), (999 - n) * 3);
        }
        let bytes = postcard::to_stdvec(&up).unwrap();
        assert_eq!(bytes, postcard::to_stdvec(&down).unwrap());
        let back: Table<TxId, u64> = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(bytes, postcard::to_stdvec(&back).unwrap());
    }
}
