//! What makes a request the same as another (rule 3), and the hot table of it: which keys are held, and by what. There are
//! as many as transactions in the window, and they lie all over the memory: keys in flight stand apart in a table so small
//! that it stays in the processor's cache, and a payment touches the wide one once when it comes and once when it ends.

use super::Core;
use super::facts::Facts;
use super::ids::{KeyedHash, Now, Seq, TxId, raw_number};
use super::table::{Table, WIDE};
use super::window::AHEAD_MAX_MS;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use yika_codec::Mti;

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

impl Core {
    /// A repeat whose original is not held is new if its time lies inside the window (rule 3), for certain: its clock may
    /// be ahead by five minutes, or an eighth of a short window, and its original has come so much before that time.
    pub(super) fn inside_window(&self, now: Now, facts: &Facts) -> bool {
        let window = &self.durable.repeat_window;
        let ahead_max_ms = AHEAD_MAX_MS.min(window.length_ms() / 8);
        facts.made_ms.is_none_or(|made_ms| {
            made_ms <= now.wall_ms.saturating_add(ahead_max_ms)
                && window.holds(made_ms.saturating_sub(ahead_max_ms), now.wall_ms)
        })
    }

    /// Rule 3: participant + F41 + F42 + MTI without repeat digit + F11 + F12/F13, else F7 (+ 60.2).
    pub(super) fn dedupe_key(&self, facts: &Facts) -> KeyedHash {
        let parts: [&[u8]; 6] = [
            &facts.terminal,
            &facts.merchant,
            &facts.mti.without_repeat().bcd().to_le_bytes(),
            &facts.stan.to_le_bytes(),
            &facts.local_at.or(facts.sent_at).unwrap_or(0).to_le_bytes(),
            &facts.batch.unwrap_or(0).to_le_bytes(),
        ];
        self.durable.keyed(b'D', facts.acquirer, &parts)
    }

    /// Rule 3: card token, F3, F4, F49, F37, and what it names by F90 or F61.
    pub(super) fn fingerprint(&self, facts: &Facts) -> u64 {
        let mut bytes = [0; 58];
        bytes[..16].copy_from_slice(facts.card.as_ref().map_or(&[0; 16], |card| &card.token.0));
        bytes[16..22].copy_from_slice(&facts.processing);
        bytes[22..30].copy_from_slice(&facts.amount.to_le_bytes());
        bytes[30..32].copy_from_slice(&facts.currency.0.to_le_bytes());
        bytes[32..44].copy_from_slice(facts.rrn.as_ref().unwrap_or(&[0; 12]));
        let named = &facts.original;
        let len = if named.stan.is_some() || named.mti.is_some() { 58 } else { 44 };
        bytes[44..46].copy_from_slice(&named.mti.map_or(0, Mti::bcd).to_le_bytes());
        for (at, part) in [named.stan, named.sent_at, named.batch].into_iter().enumerate() {
            bytes[46 + 4 * at..][..4].copy_from_slice(&part.unwrap_or(0).to_le_bytes());
        }
        SipHasher13::new_with_key(&self.durable.seed).hash(&bytes[..len])
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
