//! PIN keys and what a switch may do with a PIN: move it from one key to another, and ask whether it is right.
//!
//! PCI PIN requirement 3-3 is in the signatures: the translations of [`PinFormat::may_become`] only, one PAN for both
//! sides, cipher in and cipher out. A clear PIN lives on the stack of one function, which is wiped below it. Nothing here may
//! return it, print it, or tell more about it than a payShield would (codes 20 and 24).
//!
//! The bytes of a PIN key cannot be printed, and a key that encrypts takes no PIN out of a block:
//!
//! ```compile_fail,E0277
//! fn print(key: &yika_keystore::PinDecryptKey) {
//!     println!("{key:?}");
//! }
//! ```
//!
//! ```compile_fail,E0277
//! use yika_keystore::{EncryptedPin, PinEncryptKey, PinFormat, translate_pin};
//! fn turn_round(key: &PinEncryptKey, pan: &[u8], block: &EncryptedPin) {
//!     let _ = translate_pin(key, PinFormat::Iso0, key, PinFormat::Iso0, pan, block);
//! }
//! ```

mod block;
mod format;
mod ibm3624;
#[cfg(test)]
pub(crate) mod oracle;
mod pvv;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq as _;
use yika_arena::wiped;
use zeroize::Zeroize as _;

pub use format::PinFormat;
pub use ibm3624::{DecimalTable, Ibm3624GenerateKey, Ibm3624VerifyKey, PinOffset, ValidationData};
pub use pvv::{PvvGenerateKey, PvvVerifyKey};

use crate::attributes::{Algorithm, Mode, Usage};
use crate::cipher::{Decipher, Encipher};
use crate::error::KeyError;
use crate::lmk::Opened;
use crate::policy::Need;
use crate::secret::HOT_STACK_BYTES;
use crate::state::Deed;
use crate::store::Keystore;
use format::{ClearPin, Pan};

/// A PIN key that takes PINs out of blocks, to move or to verify them (mode D, B or N; also when it is retiring).
/// Cheap to clone.
#[derive(Clone)]
pub struct PinDecryptKey(Arc<DecryptInner>);

/// A PIN key that puts PINs into blocks (mode E, B or N). Cheap to clone.
#[derive(Clone)]
pub struct PinEncryptKey(Arc<EncryptInner>);

/// The PIN key of a partner, in the directions that its mode allows. Cheap to clone.
#[derive(Clone)]
pub struct PinKey {
    decrypting: Option<PinDecryptKey>,
    encrypting: Option<PinEncryptKey>,
    test: bool,
    check_value: [u8; 3],
}

/// The key that a PIN is taken from: a [`PinDecryptKey`], or the [`crate::DukptPinKey`] of one transaction. Made by `From`.
#[derive(Clone, Copy)]
pub struct PinSource<'a>(&'a PinOpener);

/// A schedule that opens PIN blocks, and its cipher.
pub(crate) struct PinOpener {
    algorithm: Algorithm,
    decipher: Decipher,
}

struct DecryptInner {
    opener: PinOpener,
    check_value: [u8; 3],
}

struct EncryptInner {
    algorithm: Algorithm,
    encipher: Encipher,
    check_value: [u8; 3],
}

/// An encrypted PIN block: 8 bytes (formats 0, 1 and 3) or 16 (format 4 and that of SM4). Wiped on drop, and never
/// printed: even encrypted it belongs in no log (PCI PIN requirement 4).
pub struct EncryptedPin {
    bytes: [u8; 16],
    len: u8,
}

/// Why nothing was done with a PIN. Answers the question "whose fault", never "what PIN".
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
    /// The key's cipher cannot carry the format.
    #[error("format {format:?} does not go with a {algorithm} key: it needs {}", format.algorithm())]
    Format {
        /// The format asked for.
        format: PinFormat,
        /// The cipher of the key.
        algorithm: Algorithm,
    },
    /// PCI PIN requirement 3-3 forbids this pair of formats.
    #[error("a PIN block of format {from:?} must not become one of format {to:?} (PCI PIN requirement 3-3)")]
    Translation {
        /// The format of the block.
        from: PinFormat,
        /// The format asked for.
        to: PinFormat,
    },
    /// A value that stands beside the PIN is not what the method takes.
    #[error("the {what} is refused: expected {expected}")]
    Parameter {
        /// Which one.
        what: &'static str,
        /// What would fit.
        expected: &'static str,
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
/// `pan` is the full PAN as ASCII digits, check digit included. Nothing is allocated.
///
/// # Errors
/// See [`PinError`]; the destination is untouched and the clear PIN wiped in every case.
pub fn translate_pin<'a>(
    from: impl Into<PinSource<'a>>,
    from_format: PinFormat,
    to: &PinEncryptKey,
    to_format: PinFormat,
    pan: &[u8],
    block: &EncryptedPin,
) -> Result<EncryptedPin, PinError> {
    if !from_format.may_become(to_format) {
        return Err(PinError::Translation { from: from_format, to: to_format });
    }
    let pan = Pan::new(pan)?;
    let (from, encipher) = (from.into(), to.0.encipher(to_format)?);
    wiped::<HOT_STACK_BYTES, _>(|| {
        let pin = from.open(from_format, &pan, block)?;
        Ok(block::seal(encipher, to_format, &pan, &pin))
    })
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
    let encipher = key.encrypting()?.0.encipher(format)?;
    let pan = Pan::new(pan)?;
    wiped::<HOT_STACK_BYTES, _>(|| Ok(block::seal(encipher, format, &pan, &ClearPin::from_ascii(pin)?)))
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
    let (from, pan) = (PinSource::from(key.decrypting()?), Pan::new(pan)?);
    wiped::<HOT_STACK_BYTES, _>(|| {
        let found = from.open(format, &pan, block)?;
        Ok(found.as_nibbles().ct_eq(ClearPin::from_ascii(pin)?.as_nibbles()).into())
    })
}

const DECRYPT: Need = Need {
    operation: "decrypt PINs",
    keys: &[(Usage::Pin, &[Algorithm::Tdes, Algorithm::Aes, Algorithm::Sm4])],
    modes: &[Mode::Decrypt],
    deeds: &[Deed::Process],
    needs: "a PIN key (use P0) of mode D, B or N",
};

const ENCRYPT: Need = Need {
    operation: "encrypt PINs",
    modes: &[Mode::Encrypt],
    deeds: &[Deed::Protect],
    needs: "a PIN key (use P0) of mode E, B or N",
    ..DECRYPT
};

/// Which direction it may work in follows from the mode; it may have one or both.
const EITHER: Need = Need {
    operation: "move PINs",
    // Terminals of the oldest kind have keys of single DES; production refuses to give them any.
    keys: &[(Usage::Pin, &[Algorithm::Des, Algorithm::Tdes, Algorithm::Aes, Algorithm::Sm4])],
    modes: &[],
    deeds: &[Deed::Protect, Deed::Process],
    needs: "a PIN key (use P0)",
};

impl Keystore {
    /// Opens a PIN key that takes PINs out of blocks; one that is retiring still does.
    ///
    /// # Errors
    /// `NotFound`, `State`, or `NotAllowed` unless it is a PIN key of mode D, B or N.
    pub fn pin_decrypt_key(&self, name: &str) -> Result<PinDecryptKey, KeyError> {
        let opened = self.open_for(name, &DECRYPT)?;
        PinDecryptKey::expand(&opened)
    }

    /// Opens a PIN key that puts PINs into blocks.
    ///
    /// # Errors
    /// `NotFound`, `State`, or `NotAllowed` unless it is a PIN key of mode E, B or N.
    pub fn pin_encrypt_key(&self, name: &str) -> Result<PinEncryptKey, KeyError> {
        let opened = self.open_for(name, &ENCRYPT)?;
        PinEncryptKey::expand(&opened)
    }
}

impl PinDecryptKey {
    /// The check value of the key.
    #[must_use]
    pub fn check_value(&self) -> [u8; 3] {
        self.0.check_value
    }

    fn expand(opened: &Opened) -> Result<PinDecryptKey, KeyError> {
        let opener = PinOpener::new(opened.attributes.algorithm, opened.key.as_slice())?;
        Ok(PinDecryptKey(Arc::new(DecryptInner { opener, check_value: opened.check_value })))
    }
}

impl PinEncryptKey {
    /// The check value of the key.
    #[must_use]
    pub fn check_value(&self) -> [u8; 3] {
        self.0.check_value
    }

    fn expand(opened: &Opened) -> Result<PinEncryptKey, KeyError> {
        let algorithm = opened.attributes.algorithm;
        let encipher = Encipher::new(algorithm, opened.key.as_slice())?;
        Ok(PinEncryptKey(Arc::new(EncryptInner { algorithm, encipher, check_value: opened.check_value })))
    }
}

impl EncryptInner {
    fn encipher(&self, format: PinFormat) -> Result<&Encipher, PinError> {
        require_format(format, self.algorithm).map(|()| &self.encipher)
    }
}

impl PinKey {
    /// The check value of the key.
    #[must_use]
    pub fn check_value(&self) -> [u8; 3] {
        self.check_value
    }

    /// The half that takes PINs out of blocks.
    ///
    /// # Errors
    /// `Mode` when the key only encrypts.
    pub fn decrypting(&self) -> Result<&PinDecryptKey, PinError> {
        self.decrypting.as_ref().ok_or(PinError::Mode { operation: "decrypt" })
    }

    /// The half that puts PINs into blocks.
    ///
    /// # Errors
    /// `Mode` when the key only decrypts.
    pub fn encrypting(&self) -> Result<&PinEncryptKey, PinError> {
        self.encrypting.as_ref().ok_or(PinError::Mode { operation: "encrypt" })
    }

    pub(crate) fn open(name: &str, opened: &Opened, test: bool) -> Result<PinKey, KeyError> {
        EITHER.check(name, &opened.attributes, opened.state)?;
        let mode = opened.attributes.mode;
        Ok(PinKey {
            decrypting: mode.may(Mode::Decrypt).then(|| PinDecryptKey::expand(opened)).transpose()?,
            encrypting: mode.may(Mode::Encrypt).then(|| PinEncryptKey::expand(opened)).transpose()?,
            test,
            check_value: opened.check_value,
        })
    }

    fn require_test(&self) -> Result<(), PinError> {
        if self.test { Ok(()) } else { Err(PinError::NotATestKey) }
    }
}

impl PinOpener {
    pub(crate) fn new(algorithm: Algorithm, key: &[u8]) -> Result<PinOpener, KeyError> {
        Ok(PinOpener { algorithm, decipher: Decipher::new(algorithm, key)? })
    }
}

impl<'a> PinSource<'a> {
    pub(crate) fn new(opener: &'a PinOpener) -> PinSource<'a> {
        PinSource(opener)
    }

    fn open(self, format: PinFormat, pan: &Pan, block: &EncryptedPin) -> Result<ClearPin, PinError> {
        require_format(format, self.0.algorithm)?;
        block::open(&self.0.decipher, format, pan, block)
    }
}

impl<'a> From<&'a PinDecryptKey> for PinSource<'a> {
    fn from(key: &'a PinDecryptKey) -> PinSource<'a> {
        PinSource(&key.0.opener)
    }
}

fn require_format(format: PinFormat, algorithm: Algorithm) -> Result<(), PinError> {
    let fits = format.algorithm() == algorithm
        || (format.algorithm() == Algorithm::Tdes && algorithm == Algorithm::Des);
    if fits { Ok(()) } else { Err(PinError::Format { format, algorithm }) }
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
