//! DUKPT: a key of its own for every transaction of a terminal, all of them from one base key
//! (ANSI X9.24-1:2009 with TDES, X9.24-3:2017 with AES).
//!
//! A base key makes the initial key of a device, that the key of a transaction, and that the working keys: for the PIN, for
//! MACs, for data. None leaves. What is done with them is the host's side: it takes PINs, checks the MACs of requests
//! and makes those of responses. A working key is derived in the call and wiped at its end, with a schedule for each step of
//! the counter, all in one place of the arena.
//!
//! The two generations are types of their own, as are their key serial numbers; a wrong pair does not compile:
//!
//! ```compile_fail,E0308
//! use yika_keystore::{DukptAesBaseKey, DukptTdesKsn};
//! fn mixed(base: &DukptAesBaseKey, ksn: &DukptTdesKsn) {
//!     let _ = base.initial_key(ksn.device());
//! }
//! ```
//!
//! ```compile_fail,E0277
//! fn print(key: &yika_keystore::DukptTdesInitialKey) {
//!     println!("{key:?}");
//! }
//! ```
//!
//! ```compile_fail,E0599
//! fn copy(key: yika_keystore::DukptAesInitialKey) -> [yika_keystore::DukptAesInitialKey; 2] {
//!     [key.clone(), key]
//! }
//! ```

mod aes;
mod ksn;
mod tdes;

pub use aes::{DukptAesBaseKey, DukptAesInitialKey};
pub use ksn::{DukptAesDevice, DukptAesKsn, DukptTdesDevice, DukptTdesKsn, KsnError};
pub use tdes::{DukptTdesBaseKey, DukptTdesInitialKey};

use subtle::ConstantTimeEq as _;
use yika_arena::ArenaError;

use crate::authentic::Authentic;
use crate::error::KeyError;
use crate::pin::{PinError, PinOpener, PinSource};

/// The PIN key of one transaction: PINs are taken out of its terminal's blocks, to be moved or verified.
pub struct DukptPinKey(PinOpener);

/// Which of the working keys of a kind both sides have agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DukptWay {
    /// One key for what the terminal sends and another for what it receives.
    OneWay,
    /// The same key in both ways.
    BothWays,
}

/// Why nothing was done under a DUKPT key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DukptError {
    /// The key serial number is that of another device than the initial key.
    #[error(
        "the key serial number belongs to another device than this initial key: derive the one of that device"
    )]
    OtherDevice,
    /// There is no locked memory left for another key.
    #[error(transparent)]
    Memory(#[from] ArenaError),
    /// The PIN was not moved.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The MAC does not hold.
    #[error("the MAC does not hold under the key of this transaction: changed data, another key or counter")]
    Mac,
    /// A MAC of this length is not taken.
    #[error("a MAC of {bytes} bytes is refused: expected 4 to 8")]
    MacLength {
        /// The length given.
        bytes: usize,
    },
    /// The data is not whole blocks.
    #[error("{bytes} bytes of data are refused: expected whole blocks of {block_bytes}")]
    DataLength {
        /// The length given.
        bytes: usize,
        /// Bytes of a block of the cipher.
        block_bytes: usize,
    },
    /// The derivation gave a weak DES key, which happens once in 2^52 times: the terminal goes on to its next key.
    #[error("the key derived for this transaction is a weak DES key: the terminal has to use its next one")]
    WeakKey,
    /// A working key must not be stronger than the key it is derived from (X9.24-3:2017 clause 6).
    #[error(
        "working keys of {bytes} bytes are refused: expected 16, 24 or 32 and no more than the initial key has"
    )]
    WorkingLength {
        /// The length asked for.
        bytes: usize,
    },
}

impl From<KeyError> for DukptError {
    /// Derived keys have the right length; being weak is all that can be wrong with them, and that there is no place.
    fn from(error: KeyError) -> DukptError {
        match error {
            KeyError::Memory(error) => DukptError::Memory(error),
            _ => DukptError::WeakKey,
        }
    }
}

impl<'a> From<&'a DukptPinKey> for PinSource<'a> {
    fn from(key: &'a DukptPinKey) -> PinSource<'a> {
        PinSource::new(&key.0)
    }
}

/// Compares as many bytes of a MAC as were sent, 4 to 8, in constant time.
fn check_mac<T>(computed: &[u8], mac: &[u8], value: T) -> Result<Authentic<T>, (DukptError, T)> {
    let bytes = mac.len();
    match computed.get(..bytes).filter(|_| (4..=8).contains(&bytes)) {
        None => Err((DukptError::MacLength { bytes }, value)),
        Some(expected) if bool::from(expected.ct_eq(mac)) => Ok(Authentic::verified(value)),
        Some(_) => Err((DukptError::Mac, value)),
    }
}

fn check_blocks(data: &[u8], block_bytes: usize) -> Result<(), DukptError> {
    let bytes = data.len();
    if bytes > 0 && bytes.is_multiple_of(block_bytes) {
        Ok(())
    } else {
        Err(DukptError::DataLength { bytes, block_bytes })
    }
}
