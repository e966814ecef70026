//! From an issuer master key to the key of a card, and from that to the key of a transaction (EMV 4.3 book 2, A1.3 and A1.4).

use ring::digest;
use zeroize::Zeroizing;

use super::super::{CardError, pan_digits};
use crate::attributes::Algorithm;
use crate::cipher::Encipher;
use crate::decimal::decimal_digits;
use crate::secret::set_odd_parity;

/// Two DES parts of a card or a transaction.
pub(super) type CardKey = Zeroizing<[u8; 16]>;

/// The card, as far as its keys are concerned.
#[derive(Clone, Copy)]
pub struct EmvCard<'a> {
    /// The full PAN, 8 to 19 ASCII digits.
    pub pan: &'a [u8],
    /// PAN sequence number (tag 5F34), 0 to 99; 0 when the card has none.
    pub sequence: u8,
    /// How the issuer derives the keys of its cards.
    pub option: CardKeyOption,
}

/// The two derivations of a card's key (EMV book 2, A1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardKeyOption {
    /// Of the last 16 digits of PAN and sequence number.
    A,
    /// As A up to 16 digits of PAN; of longer ones the first 16 digits of a SHA-1, so that all of them count.
    B,
}

/// The key of a card, in odd parity.
pub(super) fn card_key(master: &Encipher, card: &EmvCard<'_>) -> Result<CardKey, CardError> {
    let pan = pan_digits(card.pan, 8, "8 to 19 digits")?;
    if card.sequence > 99 {
        return Err(CardError::Parameter { what: "PAN sequence number", expected: "0 to 99" });
    }
    let mut digits = [0; 21];
    let digits = &mut digits[..pan.len() + 2];
    digits.iter_mut().zip(pan).for_each(|(digit, c)| *digit = c - b'0');
    digits[pan.len()] = card.sequence / 10;
    digits[pan.len() + 1] = card.sequence % 10;
    let y = if card.option == CardKeyOption::B && pan.len() > 16 { hashed(digits) } else { last_16(digits) };
    Ok(pair(master, y, y.map(|byte| !byte)))
}

/// A1.4.1: the 16 digits on the right, zeros on the left of fewer.
fn last_16(digits: &[u8]) -> [u8; 8] {
    let mut packed = [0; 8];
    for (n, digit) in digits.iter().rev().take(16).enumerate() {
        packed[7 - n / 2] |= digit << (4 * (n % 2));
    }
    packed
}

/// A1.4.2: SHA-1 of all digits packed, a zero before an odd number of them; 16 decimal digits of the hash.
fn hashed(digits: &[u8]) -> [u8; 8] {
    let mut packed = [0; 11];
    for (n, digit) in digits.iter().rev().enumerate() {
        packed[10 - n / 2] |= digit << (4 * (n % 2));
    }
    let packed = &packed[11 - digits.len().div_ceil(2)..];
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, packed);
    let mut y = [0; 8];
    for (byte, two) in y.iter_mut().zip(decimal_digits::<16>(hash.as_ref()).chunks_exact(2)) {
        *byte = two[0] << 4 | two[1];
    }
    y
}

/// The common session key derivation (A1.3.1) for any diversification value: F0 and 0F take the place of its third byte.
pub(super) fn diversify(card: &CardKey, value: [u8; 8]) -> Result<CardKey, CardError> {
    let cipher = Encipher::brief(Algorithm::Tdes, card.as_slice()).map_err(|_| CardError::WeakKey)?;
    let (mut left, mut right) = (value, value);
    left[2] = 0xF0;
    right[2] = 0x0F;
    Ok(pair(&cipher, left, right))
}

/// Visa's session keys for scripts: the counter xor-ed into the end of the left part, its complement into the right.
pub(super) fn visa_script_key(card: &CardKey, counter: [u8; 2]) -> CardKey {
    let mut key = card.clone();
    for (n, byte) in counter.into_iter().enumerate() {
        key[6 + n] ^= byte;
        key[14 + n] ^= !byte;
    }
    key
}

fn pair(cipher: &Encipher, left: [u8; 8], right: [u8; 8]) -> CardKey {
    let mut key = Zeroizing::new([0; 16]);
    key[..8].copy_from_slice(&left);
    key[8..].copy_from_slice(&right);
    key.chunks_exact_mut(8).for_each(|part| cipher.block(part));
    set_odd_parity(key.as_mut_slice());
    key
}
