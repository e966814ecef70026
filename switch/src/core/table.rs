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

/// A hash table without iteration. Lookups and changes are O(1); serialisation is O(n log n). A large one is made of
/// `PARTS` that grow one after another, so that no single insert moves a million records.
pub struct Table<K, V, const PARTS: usize = 1> {
    parts: [HashTable<(K, V)>; PARTS],
    len: usize,
}

/// `PARTS` of a table that may hold as many records as there are transactions in a window.
pub const WIDE: usize = 256;

/// Which part holds a hash: by bits that neither the place in a part nor its tag is made of.
fn part<const PARTS: usize>(hash: u64) -> usize {
    (hash >> 40) as usize % PARTS
}

impl<K: TableKey, V, const PARTS: usize> Table<K, V, PARTS> {
    pub fn new() -> Self {
        Table { parts: std::array::from_fn(|_| HashTable::new()), len: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        let hash = key.hash64();
        self.parts[part::<PARTS>(hash)].find(hash, |(k, _)| k == key).map(|(_, v)| v)
    }

    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let hash = key.hash64();
        self.parts[part::<PARTS>(hash)].find_mut(hash, |(k, _)| k == key).map(|(_, v)| v)
    }

    pub fn has(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Sets the value and returns the one it replaces.
    pub fn put(&mut self, key: K, value: V) -> Option<V> {
        let hash = key.hash64();
        match self.parts[part::<PARTS>(hash)].entry(hash, |(k, _)| *k == key, |(k, _)| k.hash64()) {
            Entry::Occupied(mut held) => Some(std::mem::replace(&mut held.get_mut().1, value)),
            Entry::Vacant(place) => {
                place.insert((key, value));
                self.len += 1;
                None
            }
        }
    }

    pub fn take(&mut self, key: &K) -> Option<V> {
        self.take_if(key, |_| true)
    }

    /// Takes the value out if there is one and `fits`.
    pub fn take_if(&mut self, key: &K, fits: impl FnOnce(&V) -> bool) -> Option<V> {
        let hash = key.hash64();
        let entry = self.parts[part::<PARTS>(hash)].find_entry(hash, |(k, _)| k == key).ok()?;
        if !fits(&entry.get().1) {
            return None;
        }
        self.len -= 1;
        Some(entry.remove().0.1)
    }

    /// The value under `key`, made by `fresh` when there is none.
    pub fn entry_or(&mut self, key: K, fresh: impl FnOnce() -> V) -> &mut V {
        let len = &mut self.len;
        let hash = key.hash64();
        let place = self.parts[part::<PARTS>(hash)].entry(hash, |(k, _)| *k == key, |(k, _)| k.hash64());
        let held = place.or_insert_with(|| {
            *len += 1;
            (key, fresh())
        });
        &mut held.into_mut().1
    }

    /// All keys in order: for recovery, where each open transaction is met once.
    pub fn keys_sorted(&self) -> Vec<K> {
        let mut keys: Vec<K> = self.parts.iter().flatten().map(|pair| pair.0).collect();
        keys.sort_unstable();
        keys
    }

    pub fn clear(&mut self) {
        self.parts.iter_mut().for_each(HashTable::clear);
        self.len = 0;
    }
}

impl<K: TableKey, V, const PARTS: usize> Default for Table<K, V, PARTS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: TableKey + Serialize, V: Serialize, const PARTS: usize> Serialize for Table<K, V, PARTS> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut sorted: Vec<&(K, V)> = self.parts.iter().flatten().collect();
        sorted.sort_unstable_by_key(|pair| pair.0);
        out.collect_seq(sorted)
    }
}

impl<'de, K, V, const PARTS: usize> Deserialize<'de> for Table<K, V, PARTS>
where
    K: TableKey + Deserialize<'de>,
    V: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Pairs<K, V, const PARTS: usize>(PhantomData<(K, V)>);
        impl<'de, K: TableKey + Deserialize<'de>, V: Deserialize<'de>, const PARTS: usize> Visitor<'de>
            for Pairs<K, V, PARTS>
        {
            type Value = Table<K, V, PARTS>;
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
        self.0
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
        let mut table: Table<TxId, &str, 4> = Table::new();
        assert_eq!(table.put(TxId(7), "a"), None);
        assert_eq!(table.put(TxId(7), "b"), Some("a"));
        assert_eq!(table.get(&TxId(7)), Some(&"b"));
        assert_eq!(table.get(&TxId(8)), None);
        assert_eq!(*table.entry_or(TxId(8), || "c"), "c");
        assert_eq!(table.take_if(&TxId(7), |held| *held == "a"), None);
        assert_eq!((table.len(), table.take(&TxId(7)), table.take(&TxId(7))), (2, Some("b"), None));
        assert_eq!((table.len(), table.is_empty()), (1, false));
    }

    #[test]
    fn serialises_the_same_whatever_the_order_of_insertion() {
        let (mut up, mut down) = (Table::<TxId, u64>::new(), Table::<TxId, u64, WIDE>::new());
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
