//! TAC keys: the transaction authorization code that a purse leaves with each tap (PBOC, JR/T 0025 part 1; T-Union).
//!
//! The master key never checks a TAC itself: each card has a key of its own, made of its serial number, and the code
//! is a CBC-MAC under that. Cards make codes, this side checks them; there is no call that makes one. The bytes of a
//! key cannot be had or printed:
//!
//! ```compile_fail,E0277
//! fn print(key: &yika_keystore::TacMasterKey) {
//!     println!("{key:?}");
//! }
//! ```
//! ```compile_fail,E0599
//! fn copy(key: &yika_keystore::TacMasterKey) -> yika_keystore::TacMasterKey {
//!     key.clone()
//! }
//! ```
//! ```compile_fail,E0599
//! fn make(key: &yika_keystore::TacMasterKey) -> [u8; 4] {
//!     key.generate(&[0; 8], b"tap")
//! }
//! ```

#[cfg(test)]
mod tests;

use subtle::ConstantTimeEq as _;
use yika_arena::wiped;
use zeroize::Zeroizing;

use crate::attributes::{Algorithm, Mode, Usage};
use crate::cipher::Encipher;
use crate::error::KeyError;
use crate::policy::Need;
use crate::secret::HOT_STACK_BYTES;
use crate::state::Deed;
use crate::store::Keystore;

/// The master of the cards' TAC keys.
///
/// TDES: the card's key is E(D) || E(not D), D its serial number, and a TAC the left 4 bytes of the single-DES CBC-MAC
/// under left half xor right half. SM4: the card's key is E(D || not D) and a TAC the left 4 bytes of the SM4 CBC-MAC.
/// Both pad with `80` and zeros. No text of the SM4 rule was found in public; it is by analogy with the other: ask the
/// operator for real cards before relying on it.
pub struct TacMasterKey {
    cipher: Encipher,
    algorithm: Algorithm,
    check_value: [u8; 3],
}

/// One tap to check, in a batch.
#[derive(Debug, Clone, Copy)]
pub struct TacRecord<'a> {
    /// The card's serial number as its key was made of it.
    pub card: [u8; 8],
    /// What the code covers, in the order of the card's specification: amount, type, terminal, serial, date, time.
    pub data: &'a [u8],
    /// The code to check.
    pub tac: [u8; 4],
}

const NEED: Need = Need {
    operation: "check TACs",
    keys: &[(Usage::TacMaster, &[Algorithm::Tdes, Algorithm::Sm4])],
    modes: &[Mode::Both],
    // What was tapped before the master was replaced is still to be checked.
    deeds: &[Deed::Process],
    needs: "a TAC master key (use 91)",
};

impl Keystore {
    /// Opens a master key that checks TACs.
    ///
    /// # Errors
    /// `NotFound`, `NotAllowed` or `State`.
    pub fn tac_master_key(&self, name: &str) -> Result<TacMasterKey, KeyError> {
        let opened = self.open_for(name, &NEED)?;
        let algorithm = opened.attributes.algorithm;
        let cipher = Encipher::new(algorithm, opened.key.as_slice())?;
        Ok(TacMasterKey { cipher, algorithm, check_value: opened.check_value })
    }
}

impl TacMasterKey {
    /// Whether `tac` is the code of this card over `data`; compared in constant time.
    #[must_use]
    pub fn verify(&self, card: &[u8; 8], data: &[u8], tac: &[u8; 4]) -> bool {
        holds(self.card_key(card).as_ref(), data, tac)
    }

    /// Checks a batch: one verdict for each record, in its order, written over what `verdicts` held. Consecutive
    /// records of one card share its key, so a batch sorted by card is the fastest. Allocates nothing but the room for
    /// verdicts that the buffer lacks.
    pub fn verify_all(&self, records: &[TacRecord<'_>], verdicts: &mut Vec<bool>) {
        verdicts.clear();
        let mut held: Option<([u8; 8], Option<Encipher>)> = None;
        for record in records {
            let key = match held.take() {
                Some((card, key)) if card == record.card => key,
                _ => self.card_key(&record.card),
            };
            verdicts.push(holds(key.as_ref(), record.data, &record.tac));
            held = Some((record.card, key));
        }
    }

    /// The check value of the master key.
    #[must_use]
    pub fn check_value(&self) -> [u8; 3] {
        self.check_value
    }

    /// The card's key, expanded. Nothing for the one card in 2^50 whose DES key is weak: no card is made with it.
    fn card_key(&self, card: &[u8; 8]) -> Option<Encipher> {
        wiped::<HOT_STACK_BYTES, _>(|| expand(self.algorithm, &self.diversify(card)))
    }

    fn diversify(&self, card: &[u8; 8]) -> Zeroizing<[u8; 16]> {
        let mut key = Zeroizing::new([0; 16]);
        let (left, right) = key.split_at_mut(8);
        left.copy_from_slice(card);
        right.iter_mut().zip(card).for_each(|(byte, serial)| *byte = !serial);
        key.chunks_exact_mut(self.cipher.block_bytes()).for_each(|block| self.cipher.block(block));
        key
    }
}

/// A card's key made ready for its CBC-MAC.
fn expand(algorithm: Algorithm, key: &[u8; 16]) -> Option<Encipher> {
    if algorithm == Algorithm::Sm4 {
        return Encipher::brief(Algorithm::Sm4, key).ok();
    }
    let (left, right) = key.split_at(8);
    let mut folded = Zeroizing::new([0; 8]);
    folded.iter_mut().zip(left.iter().zip(right)).for_each(|(byte, (l, r))| *byte = l ^ r);
    Encipher::brief(Algorithm::Des, folded.as_slice()).ok()
}

fn holds(key: Option<&Encipher>, data: &[u8], tac: &[u8; 4]) -> bool {
    key.is_some_and(|key| bool::from(code(key, data).ct_eq(tac)))
}

/// CBC-MAC with padding method 2, cut to 4 bytes.
fn code(key: &Encipher, data: &[u8]) -> [u8; 4] {
    let n = key.block_bytes();
    let (head, tail) = data.split_at(data.len() / n * n);
    let mut last = [0; 16];
    last[..tail.len()].copy_from_slice(tail);
    last[tail.len()] = 0x80;
    let [a, b, c, d, ..] = key.chain(head, &last[..n]);
    [a, b, c, d]
}
