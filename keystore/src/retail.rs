//! ISO 9797-1 algorithm 3 as a part of other methods, as a rule under a key that was derived a moment ago: that of a
//! card, a transaction, a session.
//!
//! Two schedules of DES, and MACs of any length without an allocation. Over one whole block with zero padding it is the bare two-key TDES.

use crate::attributes::Algorithm;
use crate::cipher::{Decipher, Encipher};
use crate::error::KeyError;

/// How the last block is filled (ISO 9797-1:2011 clause 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    /// Method 1: zeros up to a whole block; nothing when it is whole.
    Zeros,
    /// Method 2: a bit of one, then zeros; always at least the bit.
    OneAndZeros,
}

/// The two DES parts, each in the one direction it is used in.
pub(crate) struct DerivedRetail {
    left: Encipher,
    right: Decipher,
}

impl DerivedRetail {
    /// Expands both parts.
    ///
    /// # Errors
    /// `Weak`, which a derived key is once in 2^52 times.
    pub(crate) fn new(key: &[u8; 16]) -> Result<DerivedRetail, KeyError> {
        let (left, right) = key.split_at(8);
        Ok(DerivedRetail {
            left: Encipher::brief(Algorithm::Des, left)?,
            right: Decipher::brief(Algorithm::Des, right)?,
        })
    }

    /// As [`DerivedRetail::new`], for a stored key.
    ///
    /// # Errors
    /// `Weak`, `Memory`, and `Length` unless it has two parts.
    pub(crate) fn from_slice(key: &[u8]) -> Result<DerivedRetail, KeyError> {
        let (algorithm, bytes) = (Algorithm::Tdes, key.len());
        let Some((left, right)) = key.split_at_checked(8).filter(|(_, right)| right.len() == 8) else {
            return Err(KeyError::Length { algorithm, bytes, expected: "16 bytes" });
        };
        Ok(DerivedRetail {
            left: Encipher::new(Algorithm::Des, left)?,
            right: Decipher::new(Algorithm::Des, right)?,
        })
    }

    pub(crate) fn mac(&self, data: &[u8], padding: Padding) -> [u8; 8] {
        // Zeros need no block of their own after whole ones, the bit of one does.
        let whole = match padding {
            Padding::Zeros => data.len().saturating_sub(1) / 8,
            Padding::OneAndZeros => data.len() / 8,
        };
        let (head, tail) = data.split_at(whole * 8);
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        if padding == Padding::OneAndZeros {
            last[tail.len()] = 0x80;
        }
        let chained = self.left.chain(head, &last);
        let mut state = [0; 8];
        state.copy_from_slice(&chained[..8]);
        self.right.block(&mut state);
        self.left.block(&mut state);
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Seeded, cases, unhex};
    use retail_mac::{KeyInit as _, Mac as _};

    fn retail(key: &[u8]) -> DerivedRetail {
        DerivedRetail::new(key.try_into().unwrap()).unwrap()
    }

    /// ISO/IEC 9797-1:2011 annex B.
    #[test]
    fn published_macs() {
        let key = retail(&unhex("0123456789ABCDEF FEDCBA9876543210"));
        let (all, it) = (b"Now is the time for all ", b"Now is the time for it");
        for (data, padding, mac) in [
            (&all[..], Padding::Zeros, "A1C72E74EA3FA9B6"),
            (all, Padding::OneAndZeros, "E9086230CA3BE796"),
            (it, Padding::Zeros, "2E2B1428CC78254F"),
            (it, Padding::OneAndZeros, "5A692CE64F404145"),
        ] {
            assert_eq!(key.mac(data, padding)[..], unhex(mac), "{padding:?}");
        }
    }

    #[test]
    fn agrees_with_another() {
        let mut seeded = Seeded::new(9797);
        for case in 0..cases() {
            let key: [u8; 16] = seeded.array();
            let mut data = seeded.bytes(case as usize % 90);
            let padding = if case % 2 == 0 { Padding::Zeros } else { Padding::OneAndZeros };
            let ours = retail(&key).mac(&data, padding);
            match padding {
                Padding::OneAndZeros => data.push(0x80),
                // Nothing at all is one block of zeros.
                Padding::Zeros if data.is_empty() => data.push(0),
                Padding::Zeros => {}
            }
            let theirs = retail_mac::RetailMac::<des::Des>::new_from_slice(&key).unwrap();
            assert_eq!(ours[..], theirs.chain_update(&data).finalize().into_bytes()[..], "case {case}");
        }
    }
}
