//! IBM 3624: the natural PIN of a card, and the offset from it to the PIN that the cardholder chose.
//!
//! The decimalisation table is where this method was attacked (a table of a single digit asks about one digit of the
//! PIN after the other): it is a type that refuses poor tables, and a verification tells one bit.

use std::sync::Arc;

use subtle::ConstantTimeEq as _;
use yika_arena::wiped;
use zeroize::{Zeroize as _, Zeroizing};

use super::format::Pan;
use super::{EncryptedPin, PinError, PinFormat, PinSource};
use crate::attributes::{Algorithm, Mode, Usage};
use crate::cipher::Encipher;
use crate::error::KeyError;
use crate::policy::Need;
use crate::secret::HOT_STACK_BYTES;
use crate::state::Deed;
use crate::store::Keystore;

/// A key that verifies PINs by IBM 3624 (use V1, mode V, C or N; also when it is retiring). Cheap to clone.
#[derive(Clone)]
pub struct Ibm3624VerifyKey(Arc<Encipher>);

/// A key that makes PIN offsets of IBM 3624 (use V1, mode G, C or N). Cheap to clone.
#[derive(Clone)]
pub struct Ibm3624GenerateKey(Arc<Encipher>);

/// A decimalisation table: the digit for each nibble from 0 to F. Public it is not, so it is not printed.
#[derive(Clone)]
pub struct DecimalTable([u8; 16]);

/// What the natural PIN is made of: 16 nibbles, as a rule a part of the PAN and a pad.
#[derive(Clone)]
pub struct ValidationData(pub(super) [u8; 8]);

/// A PIN offset: as many digits as the PIN has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinOffset {
    /// ASCII; zeros behind the last.
    digits: [u8; 12],
    len: usize,
}

const GENERATE: Need = Need {
    operation: "make IBM 3624 offsets",
    keys: &[(Usage::PinVerifyIbm3624, &[Algorithm::Tdes])],
    modes: &[Mode::Generate],
    deeds: &[Deed::Protect],
    needs: "an IBM 3624 key (use V1) of mode G, C or N",
};

const VERIFY: Need = Need {
    operation: "verify PINs by IBM 3624",
    modes: &[Mode::Verify],
    deeds: &[Deed::Process],
    needs: "an IBM 3624 key (use V1) of mode V, C or N",
    ..GENERATE
};

impl Keystore {
    /// Opens a key that verifies PINs by IBM 3624.
    ///
    /// # Errors
    /// `NotFound`, `State`, or `NotAllowed` unless it is a V1 key of mode V, C or N.
    pub fn ibm3624_verify_key(&self, name: &str) -> Result<Ibm3624VerifyKey, KeyError> {
        self.cipher_for(name, &VERIFY).map(Ibm3624VerifyKey)
    }

    /// Opens a key that makes IBM 3624 offsets.
    ///
    /// # Errors
    /// `NotFound`, `State`, or `NotAllowed` unless it is a V1 key of mode G, C or N.
    pub fn ibm3624_generate_key(&self, name: &str) -> Result<Ibm3624GenerateKey, KeyError> {
        self.cipher_for(name, &GENERATE).map(Ibm3624GenerateKey)
    }
}

impl Ibm3624VerifyKey {
    /// Whether the PIN in `block` is the natural PIN of the card plus `offset`, digit by digit modulo ten. An offset
    /// of another length than the PIN belongs to another PIN.
    ///
    /// # Errors
    /// Those of the block and its key as in [`super::translate_pin`]. A wrong PIN is no error.
    #[expect(clippy::too_many_arguments, reason = "four say where the PIN is, three how it is verified")]
    pub fn verify<'a>(
        &self,
        from: impl Into<PinSource<'a>>,
        format: PinFormat,
        pan: &[u8],
        block: &EncryptedPin,
        data: &ValidationData,
        table: &DecimalTable,
        offset: &PinOffset,
    ) -> Result<bool, PinError> {
        let (from, pan) = (from.into(), Pan::new(pan)?);
        wiped::<HOT_STACK_BYTES, _>(|| {
            let pin = from.open(format, &pan, block)?;
            let natural = natural(&self.0, data, table);
            let mut expected = Zeroizing::new([0; 13]);
            expected[0] = u8::try_from(offset.len).expect("an offset has at most 12 digits");
            for (n, digit) in offset.as_bytes().iter().enumerate() {
                expected[1 + n] = (natural[n] + (digit - b'0')) % 10;
            }
            Ok(pin.as_nibbles().ct_eq(expected.as_slice()).into())
        })
    }
}

impl Ibm3624GenerateKey {
    /// The offset from the natural PIN of the card to the PIN in `block`.
    ///
    /// # Errors
    /// As [`Ibm3624VerifyKey::verify`].
    pub fn offset<'a>(
        &self,
        from: impl Into<PinSource<'a>>,
        format: PinFormat,
        pan: &[u8],
        block: &EncryptedPin,
        data: &ValidationData,
        table: &DecimalTable,
    ) -> Result<PinOffset, PinError> {
        let (from, pan) = (from.into(), Pan::new(pan)?);
        wiped::<HOT_STACK_BYTES, _>(|| {
            let pin = from.open(format, &pan, block)?;
            let natural = natural(&self.0, data, table);
            let [len, digits @ ..] = pin.as_nibbles();
            let mut offset = PinOffset { digits: [0; 12], len: usize::from(*len) };
            for (n, digit) in offset.digits.iter_mut().take(offset.len).enumerate() {
                *digit = b'0' + (digits[n] + 10 - natural[n]) % 10;
            }
            Ok(offset)
        })
    }
}

/// The first 12 digits of the natural PIN. Every entry of the table is read for every nibble, so that the cache does
/// not learn which one was meant.
fn natural(cipher: &Encipher, data: &ValidationData, table: &DecimalTable) -> Zeroizing<[u8; 12]> {
    let mut block = Zeroizing::new(data.0);
    cipher.block(block.as_mut_slice());
    let mut pin = Zeroizing::new([0; 12]);
    for (n, digit) in pin.iter_mut().enumerate() {
        let nibble = if n % 2 == 0 { block[n / 2] >> 4 } else { block[n / 2] & 0x0F };
        for (entry, value) in (0_u8..).zip(table.0) {
            *digit |= value & u8::from(entry == nibble).wrapping_neg();
        }
    }
    pin
}

impl DecimalTable {
    /// Takes 16 ASCII digits, for the nibbles 0 to F.
    ///
    /// # Errors
    /// `Parameter` unless they are 16 digits, at least 8 of them different and none more than four times.
    pub fn new(digits: &[u8]) -> Result<DecimalTable, PinError> {
        let refuse = |expected| Err(PinError::Parameter { what: "decimalisation table", expected });
        let Ok(table) = <[u8; 16]>::try_from(digits) else { return refuse("16 digits") };
        if !table.iter().all(u8::is_ascii_digit) {
            return refuse("16 digits");
        }
        let times = |digit: &u8| table.iter().filter(|other| *other == digit).count();
        let different = (b'0'..=b'9').filter(|digit| times(digit) > 0).count();
        if different < 8 || (b'0'..=b'9').any(|digit| times(&digit) > 4) {
            return refuse("at least 8 different digits, none more than four times");
        }
        Ok(DecimalTable(table.map(|digit| digit - b'0')))
    }
}

impl Drop for DecimalTable {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ValidationData {
    /// `digits` of the PAN from `start` (counted from 0), and the pad nibble behind them.
    ///
    /// # Errors
    /// `Pan`, or `Parameter` for a part outside of the PAN, of fewer than 4 or more than 16 digits, or a pad above 15.
    pub fn of_pan(pan: &[u8], start: usize, digits: usize, pad: u8) -> Result<ValidationData, PinError> {
        let refuse = |expected| PinError::Parameter { what: "part of the PAN for validation", expected };
        let pan = Pan::new(pan)?;
        let part = start.checked_add(digits).and_then(|end| pan.digits().get(start..end));
        let part = part.ok_or(refuse("digits that are in the PAN"))?;
        if !(4..=16).contains(&digits) || pad > 0xF {
            return Err(refuse("4 to 16 digits and a pad nibble"));
        }
        let nibble = |n: usize| part.get(n).map_or(pad, |c| c - b'0');
        Ok(ValidationData(std::array::from_fn(|n| nibble(2 * n) << 4 | nibble(2 * n + 1))))
    }

    /// The 8 bytes as they are, for layouts that mix the PAN with constants.
    #[must_use]
    pub fn from_bytes(data: [u8; 8]) -> ValidationData {
        ValidationData(data)
    }
}

impl PinOffset {
    /// Takes 4 to 12 ASCII digits.
    ///
    /// # Errors
    /// `Parameter` for anything else.
    pub fn new(digits: &[u8]) -> Result<PinOffset, PinError> {
        if !(4..=12).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
            return Err(PinError::Parameter { what: "PIN offset", expected: "4 to 12 digits" });
        }
        let mut offset = PinOffset { digits: [0; 12], len: digits.len() };
        offset.digits[..digits.len()].copy_from_slice(digits);
        Ok(offset)
    }

    /// The ASCII digits.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.digits[..self.len]
    }
}

/// Handles without a store, for thousands of keys.
#[cfg(test)]
pub(super) fn of_cipher(cipher: Arc<Encipher>) -> (Ibm3624GenerateKey, Ibm3624VerifyKey) {
    (Ibm3624GenerateKey(cipher.clone()), Ibm3624VerifyKey(cipher))
}
