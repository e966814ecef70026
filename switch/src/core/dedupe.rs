//! The hot table of rule 3: which keys are held, and by what. There are as many as transactions in the window, and they lie
//! all over the memory: keys in flight stand apart in a table so small that it stays in the processor's cache, and a payment
//! touches the wide one once when it comes and once when it ends.

use super::ids::{KeyedHash, Seq, TxId, raw_number};
use super::table::{Table, WIDE};
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize)]
pub struct Dedupe {
    in_flight: Table<KeyedHash, (Fingerprint, TxId)>,
    finished: Table<KeyedHash, (Fingerprint, Seq), WIDE>,
}

/// What tells a copy from a clash of keys.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Fingerprint(#[serde(with = "raw_number")] u64);

/// A key that is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    pub fingerprint: u64,
    pub by: HeldBy,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeldBy {
    InFlight(TxId),
    /// The outcome is read back from the journal when a copy comes.
    Done(Seq),
}

impl Dedupe {
    pub fn get(&self, key: &KeyedHash) -> Option<Held> {
        if let Some((print, tx)) = self.in_flight.get(key) {
            return Some(Held { fingerprint: print.0, by: HeldBy::InFlight(*tx) });
        }
        self.finished.get(key).map(|(print, seq)| Held { fingerprint: print.0, by: HeldBy::Done(*seq) })
    }

    /// Keys held.
    pub fn len(&self) -> usize {
        self.in_flight.len() + self.finished.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A transaction with this key begins.
    pub(super) fn begin(&mut self, key: KeyedHash, fingerprint: u64, tx: TxId) {
        self.in_flight.put(key, (Fingerprint(fingerprint), tx));
    }

    /// It ended with this entry.
    pub(super) fn finish(&mut self, key: KeyedHash, fingerprint: u64, seq: Seq) {
        self.in_flight.take(&key);
        self.finished.put(key, (Fingerprint(fingerprint), seq));
    }

    /// The window of a finished key is over.
    pub(super) fn forget(&mut self, key: &KeyedHash) {
        self.finished.take(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_held_from_the_beginning_of_its_transaction_to_the_end_of_its_window() {
        let (key, mut dedupe) = (KeyedHash(5), Dedupe::default());
        assert_eq!(dedupe.get(&key), None);
        dedupe.begin(key, 9, TxId(1));
        assert_eq!(dedupe.get(&key), Some(Held { fingerprint: 9, by: HeldBy::InFlight(TxId(1)) }));
        dedupe.forget(&key);
        assert_eq!(dedupe.len(), 1, "what is in flight has no end yet");
        dedupe.finish(key, 9, Seq(4));
        assert_eq!(dedupe.get(&key), Some(Held { fingerprint: 9, by: HeldBy::Done(Seq(4)) }));
        assert_eq!((dedupe.len(), dedupe.is_empty()), (1, false));
        dedupe.forget(&key);
        assert!(dedupe.is_empty());
    }
}
