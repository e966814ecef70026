//! Where a reversal, void, completion or refund finds what it names. As in `dedupe`, what is in flight stands apart: the wide
//! table is touched when a transaction looks whether its place is free and when it ends.

use super::ids::{KeyedHash, OriginalNo, TxId};
use super::table::{Table, WIDE};
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize)]
pub(super) struct HandleTable {
    open: Table<KeyedHash, TxId>,
    ended: Table<KeyedHash, Packed, WIDE>,
}

/// What is found in a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handle {
    Open(TxId),
    Kept(OriginalNo),
    /// Ended without effect; its F7 as sent.
    Ended {
        sent_at: u32,
    },
}

/// What is left in a place, in eight bytes: there are two for each transaction in the window. The top bit says which; no
/// count comes near it. Where one ended without effect, the bits between it and F7 are the lowest of the moment at which the
/// place is free again: enough to know that moment from any other that the same place may have.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Packed(u64);

const ENDED: u64 = 1 << 63;

fn ended(sent_at: u32, until_ms: u64) -> Packed {
    Packed(ENDED | until_ms << 32 & !ENDED | u64::from(sent_at))
}

/// What became of a transaction in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Became {
    Kept(OriginalNo),
    /// Without effect; its place is free again at that wall time.
    Ended {
        sent_at: u32,
        until_ms: u64,
    },
}

impl From<Became> for Packed {
    fn from(became: Became) -> Packed {
        match became {
            Became::Kept(no) => Packed(no.0),
            Became::Ended { sent_at, until_ms } => ended(sent_at, until_ms),
        }
    }
}

impl Packed {
    fn handle(self) -> Handle {
        match self.0 & ENDED {
            0 => Handle::Kept(OriginalNo(self.0)),
            _ => Handle::Ended { sent_at: self.0 as u32 },
        }
    }
}

impl HandleTable {
    pub(super) fn get(&self, key: &KeyedHash) -> Option<Handle> {
        self.open
            .get(key)
            .map(|tx| Handle::Open(*tx))
            .or_else(|| self.ended.get(key).map(|left| left.handle()))
    }

    /// A transaction takes a place, whoever had it.
    pub(super) fn occupy(&mut self, key: KeyedHash, tx: TxId) {
        self.open.put(key, tx);
    }

    /// It ended; false when another has taken the place meanwhile.
    pub(super) fn leave(&mut self, key: KeyedHash, tx: TxId, became: Became) -> bool {
        let own = self.open.take_if(&key, |held| *held == tx).is_some();
        if own {
            self.ended.put(key, became.into());
        }
        own
    }

    /// The place is free of this kept payment, if it is still there.
    pub(super) fn drop_kept(&mut self, key: &KeyedHash, no: OriginalNo) {
        self.ended.take_if(key, |left| left.handle() == Handle::Kept(no));
    }

    /// The place is free of what ended without effect, if its time is over now and not later.
    pub(super) fn drop_ended(&mut self, key: &KeyedHash, until_ms: u64) {
        self.ended.take_if(key, |left| *left == ended(left.0 as u32, until_ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_belongs_to_whoever_took_it_last() {
        let (key, mut handles) = (KeyedHash(3), HandleTable::default());
        handles.occupy(key, TxId(1));
        handles.occupy(key, TxId(2));
        assert!(!handles.leave(key, TxId(1), Became::Kept(OriginalNo(7))));
        assert_eq!(handles.get(&key), Some(Handle::Open(TxId(2))));
        let until_ms = 1_795_000_000_000;
        assert!(handles.leave(key, TxId(2), Became::Ended { sent_at: 1_231_235_959, until_ms }));
        handles.drop_ended(&key, until_ms - 1);
        assert_eq!(handles.get(&key), Some(Handle::Ended { sent_at: 1_231_235_959 }));
        handles.occupy(key, TxId(3));
        assert!(handles.leave(key, TxId(3), Became::Kept(OriginalNo(8))));
        assert_eq!(handles.get(&key), Some(Handle::Kept(OriginalNo(8))));
        handles.drop_kept(&key, OriginalNo(7));
        handles.drop_ended(&key, until_ms);
        assert_eq!(handles.get(&key), Some(Handle::Kept(OriginalNo(8))));
        handles.drop_kept(&key, OriginalNo(8));
        assert_eq!(handles.get(&key), None);
        handles.occupy(key, TxId(4));
        assert!(handles.leave(key, TxId(4), Became::Ended { sent_at: 0, until_ms }));
        handles.drop_ended(&key, until_ms);
        assert_eq!(handles.get(&key), None);
    }
}
