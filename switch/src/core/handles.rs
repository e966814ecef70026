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
/// count comes near it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Packed(u64);

const ENDED: u64 = 1 << 63;

/// What became of a transaction in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Became {
    Kept(OriginalNo),
    Ended { sent_at: u32 },
}

impl From<Became> for Packed {
    fn from(became: Became) -> Packed {
        Packed(match became {
            Became::Kept(no) => no.0,
            Became::Ended { sent_at } => u64::from(sent_at) | ENDED,
        })
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
    pub(super) fn take(&mut self, key: KeyedHash, tx: TxId) {
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

    /// What is left in a place goes if it `fits`; false when it stays, or there is none.
    pub(super) fn drop_if(&mut self, key: &KeyedHash, fits: impl FnOnce(Handle) -> bool) -> bool {
        self.ended.take_if(key, |left| fits(left.handle())).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_belongs_to_whoever_took_it_last() {
        let (key, mut handles) = (KeyedHash(3), HandleTable::default());
        handles.take(key, TxId(1));
        handles.take(key, TxId(2));
        assert!(!handles.leave(key, TxId(1), Became::Kept(OriginalNo(7))));
        assert_eq!(handles.get(&key), Some(Handle::Open(TxId(2))));
        assert!(handles.leave(key, TxId(2), Became::Ended { sent_at: 1_231_235_959 }));
        assert_eq!(handles.get(&key), Some(Handle::Ended { sent_at: 1_231_235_959 }));
        handles.take(key, TxId(3));
        assert!(handles.leave(key, TxId(3), Became::Kept(OriginalNo(8))));
        assert_eq!(handles.get(&key), Some(Handle::Kept(OriginalNo(8))));
        assert!(!handles.drop_if(&key, |left| left == Handle::Kept(OriginalNo(7))));
        assert!(handles.drop_if(&key, |left| left == Handle::Kept(OriginalNo(8))));
        assert_eq!(handles.get(&key), None);
    }
}
