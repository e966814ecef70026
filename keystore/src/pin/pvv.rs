//! The PIN verification value (ANSI X9.8, as Visa defined it): four digits that the issuer keeps or the stripe carries.
//!
//! A PIN enters as a block and what leaves is one bit, or the value for a new PIN. Comparison and the choice of digits
//! take the same time for every PIN.
//!
//! A key that verifies cannot make values:
//!
//! ```compile_fail,E0599
//! use yika_keystore::{EncryptedPin, PinDecryptKey, PinFormat, PvvVerifyKey};
//! fn make(key: &PvvVerifyKey, from: &PinDecryptKey, pan: &[u8], block: &EncryptedPin) {
//!     let _ = key.generate(from, PinFormat::Iso0, pan, block, 1);
//! }
//! ```

use std::sync::Arc;

use subtle::ConstantTimeEq as _;
use yika_arena::wiped;
use zeroize::Zeroizing;

use super::format::{ClearPin, Pan};
use super::{EncryptedPin, PinError, PinFormat, PinSource};
use crate::attributes::{Algorithm, Mode, Usage};
use crate::cipher::Encipher;
use crate::decimal::decimal_digits;
use crate::error::KeyError;
use crate::policy::Need;
use crate::secret::HOT_STACK_BYTES;
use crate::state::Deed;
use crate::store::Keystore;

/// A key that verifies PINs by their PVV (use V2, mode V, C or N; also when it is retiring). Cheap to clone.
#[derive(Clone)]
pub struct PvvVerifyKey(Arc<Encipher>);

/// A key that makes PVVs (use V2, mode G, C or N). Cheap to clone.
#[derive(Clone)]
pub struct PvvGenerateKey(Arc<Encipher>);

const GENERATE: Need = Need {
    operation: "make PVVs",
    keys: &[(Usage::PinVerifyPvv, &[Algorithm::Tdes])],
    modes: &[Mode::Generate],
    deeds: &[Deed::Protect],
    needs: "a PVV key (use V2) of mode G, C or N",
};

const VERIFY: Need = Need {
    operation: "verify PINs by PVV",
    modes: &[Mode::Verify],
    deeds: &[Deed::Process],
    needs: "a PVV key (use V2) of mode V, C or N",
    ..GENERATE
};

impl Keystore {
    /// Opens a key that verifies PINs by their PVV.
    ///
    /// # Errors
    /// `NotFound`, `State`, or `NotAllowed` unless it is a V2 key of mode V, C or N.
    pub fn pvv_verify_key(&self, name: &str) -> Result<PvvVerifyKey, KeyError> {
        self.cipher_for(name, &VERIFY).map(PvvVerifyKey)
    }

    /// Opens a key that makes PVVs.
    ///
    /// # Errors
    /// `NotFound`, `State`, or `NotAllowed` unless it is a V2 key of mode G, C or N.
    pub fn pvv_generate_key(&self, name: &str) -> Result<PvvGenerateKey, KeyError> {
        self.cipher_for(name, &GENERATE).map(PvvGenerateKey)
    }
}

impl PvvVerifyKey {
    /// Whether the PIN in `block` is the one that `pvv` (four ASCII digits) was made of.
    ///
    /// `index` is the PVKI, 0 to 6, `pan` the full PAN of at least 12 digits. Of a longer PIN the first four digits count.
    ///
    /// # Errors
    /// Those of the block and its key as in [`super::translate_pin`], and `Parameter`. A wrong PIN is no error.
    pub fn verify<'a>(
        &self,
        from: impl Into<PinSource<'a>>,
        format: PinFormat,
        pan: &[u8],
        block: &EncryptedPin,
        index: u8,
        pvv: &[u8; 4],
    ) -> Result<bool, PinError> {
        if !pvv.iter().all(u8::is_ascii_digit) {
            return Err(PinError::Parameter { what: "PVV", expected: "4 digits" });
        }
        let found = of_block(&self.0, from.into(), format, pan, block, index)?;
        Ok(found.ct_eq(pvv).into())
    }
}

impl PvvGenerateKey {
    /// The PVV of the PIN in `block`, four ASCII digits; arguments as in [`PvvVerifyKey::verify`].
    ///
    /// # Errors
    /// As [`PvvVerifyKey::verify`].
    pub fn generate<'a>(
        &self,
        from: impl Into<PinSource<'a>>,
        format: PinFormat,
        pan: &[u8],
        block: &EncryptedPin,
        index: u8,
    ) -> Result<[u8; 4], PinError> {
        of_block(&self.0, from.into(), format, pan, block, index).map(|pvv| *pvv)
    }
}

fn of_block(
    cipher: &Encipher,
    from: PinSource<'_>,
    format: PinFormat,
    pan: &[u8],
    block: &EncryptedPin,
    index: u8,
) -> Result<Zeroizing<[u8; 4]>, PinError> {
    let pan = Pan::new(pan)?;
    if pan.digits().len() < 12 {
        return Err(PinError::Parameter { what: "PAN", expected: "at least 12 digits for a PVV" });
    }
    if index > 6 {
        return Err(PinError::Parameter { what: "PVV key index", expected: "0 to 6" });
    }
    wiped::<HOT_STACK_BYTES, _>(|| {
        let pin = from.open(format, &pan, block)?;
        Ok(pvv(cipher, &pan, index, &pin))
    })
}

/// The transformed security parameter, 16 digits: the eleven rightmost of the PAN without its check digit, the key
/// index, the first four of the PIN. Its cipher block gives the PVV.
fn pvv(cipher: &Encipher, pan: &Pan, index: u8, pin: &ClearPin) -> Zeroizing<[u8; 4]> {
    let account = &pan.digits()[pan.digits().len() - 12..pan.digits().len() - 1];
    let mut digits = Zeroizing::new([0; 16]);
    digits.iter_mut().zip(account).for_each(|(digit, c)| *digit = c - b'0');
    digits[11] = index;
    digits[12..].copy_from_slice(&pin.as_nibbles()[1..5]);
    let mut block = Zeroizing::new([0; 8]);
    for (byte, pair) in block.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    cipher.block(block.as_mut_slice());
    Zeroizing::new(decimal_digits::<4>(block.as_slice()).map(|digit| digit | b'0'))
}

/// Handles without a store, for thousands of keys.
#[cfg(test)]
pub(super) fn of_cipher(cipher: Arc<Encipher>) -> (PvvGenerateKey, PvvVerifyKey) {
    (PvvGenerateKey(cipher.clone()), PvvVerifyKey(cipher))
}
