//! PIN keys and the one thing a switch may do with a PIN: move it from one key to another.
//!
//! PCI PIN requirement 3-3 is in the signatures: formats 0 and 4 only, one PAN for both sides, cipher in
//! and cipher out. A clear PIN lives on the stack of one function and is wiped there. Nothing here may
//! return it, print it, or tell more about it than a payShield would (codes 20 and 24).
//!
//! The bytes of a PIN key cannot be printed:
//!
//! ```compile_fail,E0277
//! fn print(key: &yika_keystore::PinKey) {
//!     println!("{key:?}");
//! }
//! ```

mod format;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

use crate::attributes::{Algorithm, Attributes, Mode, Usage};
use crate::cipher::{Decipher, Encipher};
use crate::error::KeyError;
use crate::lmk::Opened;
use crate::policy::Need;
use crate::random;
use crate::state::Deed;
use format::{ClearPin, Pan};

/// A PIN encryption key. Cheap to clone.
#[derive(Clone)]
pub struct PinKey(Arc<Inner>);

struct Inner {
    algorithm: Algorithm,
    /// Absent when the key's mode forbids it.
    encipher: Option<Encipher>,
    decipher: Option<Decipher>,
    test: bool,
    check_value: [u8; 3],
}

/// The layout of the clear PIN block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PinFormat {
    /// ISO 9564-1 format 0, 8 bytes, under TDES.
    Iso0,
    /// ISO 9564-1 format 4, 16 bytes, under AES.
    Iso4,
}

/// An encrypted PIN block: 8 bytes (format 0) or 16 (format 4). Wiped on drop, and never printed: even
/// encrypted it belongs in no log (PCI PIN requirement 4).
pub struct EncryptedPin {
    bytes: [u8; 16],
    len: u8,
}

/// Why a PIN was not translated. Answers the question "whose fault", never "what PIN".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// The decrypted block is no PIN block of this format and PAN (payShield 20): wrong key, PAN or format.
    #[error("the PIN block holds no valid values: wrong key, other PAN or other format at the sender")]
    Block,
    /// The PIN has fewer than 4 or more than 12 digits (payShield 24).
    #[error("the PIN in the block is not 4 to 12 digits long")]
    PinLength,
    /// The block length does not fit the format.
    #[error("a PIN block of {bytes} bytes does not fit: expected {expected}")]
    BlockLength {
        /// The length given.
        bytes: usize,
        /// What the format has.
        expected: &'static str,
    },
    /// The PAN is not 8 to 19 digits.
    #[error("a PAN of {bytes} characters that are not 8 to 19 digits cannot be bound to a PIN")]
    Pan {
        /// Its length in characters.
        bytes: usize,
    },
    /// The key's cipher cannot carry the format: format 0 needs TDES, format 4 needs AES.
    #[error("format {format:?} does not go with a {algorithm} key: format 0 needs TDES, format 4 AES")]
    Format {
        /// The format asked for.
        format: PinFormat,
        /// The cipher of the key.
        algorithm: Algorithm,
    },
    /// The key works in the other direction only.
    #[error("the PIN key with this mode may not {operation}")]
    Mode {
        /// What was tried.
        operation: &'static str,
    },
    /// Making or comparing a PIN is for test keys only.
    #[error("this is offered under the test master key only: a live PIN enters at a PIN entry device")]
    NotATestKey,
}

/// Moves a PIN from one key (and format) to another, for the same PAN.
///
/// `pan` is the full PAN as ASCII digits, check digit included.
///
/// # Errors
/// See [`PinError`]; the destination is untouched and the clear PIN wiped in every case.
pub fn translate_pin(
    from: &PinKey,
    from_format: PinFormat,
    to: &PinKey,
    to_format: PinFormat,
    pan: &[u8],
    block: &EncryptedPin,
) -> Result<EncryptedPin, PinError> {
    let pan = Pan::new(pan)?;
    let (decipher, encipher) = (from.decipher(from_format)?, to.encipher(to_format)?);
    let pin = decrypt(decipher, from_format, &pan, block)?;
    Ok(encrypt(encipher, to_format, &pan, &pin))
}

/// Encrypts a test PIN: what a terminal's PIN entry device does, for load generators and tests.
///
/// # Errors
/// `NotATestKey` unless the key was opened under the test master key; else as [`translate_pin`].
pub fn encrypt_test_pin(
    key: &PinKey,
    format: PinFormat,
    pan: &[u8],
    pin: &[u8],
) -> Result<EncryptedPin, PinError> {
    key.require_test()?;
    Ok(encrypt(key.encipher(format)?, format, &Pan::new(pan)?, &ClearPin::from_ascii(pin)?))
}

/// Whether an encrypted block holds `pin`: what an issuer does, for simulated issuers and tests.
///
/// # Errors
/// `NotATestKey` unless the key was opened under the test master key; else as [`translate_pin`].
pub fn matches_test_pin(
    key: &PinKey,
    format: PinFormat,
    pan: &[u8],
    block: &EncryptedPin,
    pin: &[u8],
) -> Result<bool, PinError> {
    key.require_test()?;
    let found = decrypt(key.decipher(format)?, format, &Pan::new(pan)?, block)?;
    Ok(found.as_nibbles().ct_eq(ClearPin::from_ascii(pin)?.as_nibbles()).into())
}

/// Which direction it may work in is asked again by each translation.
const NEED: Need = Need {
    operation: "encrypt PINs",
    keys: &[(Usage::Pin, &[Algorithm::Tdes, Algorithm::Aes])],
    modes: &[],
    deeds: &[Deed::Protect, Deed::Process],
    needs: "a PIN key (use P0)",
};

impl PinFormat {
    /// Bytes of a block in this format.
    #[must_use]
    pub fn block_bytes(self) -> usize {
        match self {
            PinFormat::Iso0 => 8,
            PinFormat::Iso4 => 16,
        }
    }
}

impl PinKey {
    /// The check value of the key.
    #[must_use]
    pub fn check_value(&self) -> [u8; 3] {
        self.0.check_value
    }

    pub(crate) fn open(name: &str, opened: &Opened, test: bool) -> Result<PinKey, KeyError> {
        let attributes = &opened.attributes;
        NEED.check(name, attributes, opened.state)?;
        let Attributes { algorithm, mode, .. } = *attributes;
        let key = opened.key.as_slice();
        let encipher = mode.may(Mode::Encrypt).then(|| Encipher::new(algorithm, key)).transpose()?;
        let decipher = mode.may(Mode::Decrypt).then(|| Decipher::new(algorithm, key)).transpose()?;
        Ok(PinKey(Arc::new(Inner { algorithm, encipher, decipher, test, check_value: opened.check_value })))
    }

    fn encipher(&self, format: PinFormat) -> Result<&Encipher, PinError> {
        self.require_format(format)?;
        self.0.encipher.as_ref().ok_or(PinError::Mode { operation: "encrypt" })
    }

    fn decipher(&self, format: PinFormat) -> Result<&Decipher, PinError> {
        self.require_format(format)?;
        self.0.decipher.as_ref().ok_or(PinError::Mode { operation: "decrypt" })
    }

    fn require_format(&self, format: PinFormat) -> Result<(), PinError> {
        let algorithm = self.0.algorithm;
        match (format, algorithm) {
            (PinFormat::Iso0, Algorithm::Tdes) | (PinFormat::Iso4, Algorithm::Aes) => Ok(()),
            _ => Err(PinError::Format { format, algorithm }),
        }
    }

    fn require_test(&self) -> Result<(), PinError> {
        if self.0.test { Ok(()) } else { Err(PinError::NotATestKey) }
    }
}

/// ISO 9564-1 clause 9.3.2 (format 0) and 9.4.2 (format 4: deciphered twice, the PAN in between).
fn decrypt(
    decipher: &Decipher,
    format: PinFormat,
    pan: &Pan,
    block: &EncryptedPin,
) -> Result<ClearPin, PinError> {
    let bytes = block.as_bytes().len();
    if bytes != format.block_bytes() {
        let expected = if format == PinFormat::Iso0 { "8 in format 0" } else { "16 in format 4" };
        return Err(PinError::BlockLength { bytes, expected });
    }
    // Wiped on drop like the block it came from.
    let mut clear = EncryptedPin { bytes: block.bytes, len: block.len };
    let field = &mut clear.bytes[..format.block_bytes()];
    decipher.block(field);
    match format {
        PinFormat::Iso0 => {
            xor(field, &pan.field_0());
            ClearPin::from_field(field, 0x0, 0xF)
        }
        PinFormat::Iso4 => {
            xor(field, &pan.field_4());
            decipher.block(field);
            ClearPin::from_field(&field[..8], 0x4, 0xA)
        }
    }
}

fn encrypt(encipher: &Encipher, format: PinFormat, pan: &Pan, pin: &ClearPin) -> EncryptedPin {
    match format {
        PinFormat::Iso0 => {
            let mut out = EncryptedPin { bytes: [0; 16], len: 8 };
            let field = &mut out.bytes[..8];
            pin.write_field(field, 0x0, 0xF);
            xor(field, &pan.field_0());
            encipher.block(field);
            out
        }
        PinFormat::Iso4 => {
            let mut fill = [0; 8];
            random::fill(&mut fill);
            encrypt_iso4(encipher, pan, pin, fill)
        }
    }
}

/// Format 4 with its 8 bytes of random fill given.
fn encrypt_iso4(encipher: &Encipher, pan: &Pan, pin: &ClearPin, fill: [u8; 8]) -> EncryptedPin {
    let mut out = EncryptedPin { bytes: [0; 16], len: 16 };
    let (field, random) = out.bytes.split_at_mut(8);
    pin.write_field(field, 0x4, 0xA);
    random.copy_from_slice(&fill);
    encipher.block(&mut out.bytes);
    xor(&mut out.bytes, &pan.field_4());
    encipher.block(&mut out.bytes);
    out
}

impl EncryptedPin {
    /// Takes a block from a message.
    ///
    /// # Errors
    /// `BlockLength` unless it has 8 or 16 bytes.
    pub fn from_bytes(block: &[u8]) -> Result<EncryptedPin, PinError> {
        let mut pin = EncryptedPin { bytes: [0; 16], len: 0 };
        pin.len = match block.len() {
            8 => 8,
            16 => 16,
            bytes => return Err(PinError::BlockLength { bytes, expected: "8 or 16" }),
        };
        pin.bytes[..block.len()].copy_from_slice(block);
        Ok(pin)
    }

    /// The block, to be written into a message and nowhere else.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl Drop for EncryptedPin {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for EncryptedPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptedPin({} bytes, not shown)", self.len)
    }
}

fn xor(left: &mut [u8], right: &[u8]) {
    left.iter_mut().zip(right).for_each(|(left, right)| *left ^= right);
}
