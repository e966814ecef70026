//! The keystore of Yika: secrets go in, only results come out.
//!
//! It owns the master key, every key wrapped under it, and the operations that need a key: MAC, PIN
//! translation, sealing of data at rest, tokens. It promises that a key does only what its key block
//! allows, and that no clear key and no clear PIN leaves the crate. It must never print a secret, guess
//! at a damaged key file, or know anything about messages, sockets and time.
//!
//! The hierarchy: [`Lmk`] (master key) > key-encryption keys > working keys. Keys rest as X9.143 version
//! D key blocks under the master key; a handle such as [`MacKey`] or [`PinKey`] is opened once, checked
//! once, and is then free of look-ups and locks.
#![warn(missing_docs)]

mod attributes;
mod authentic;
mod block;
mod cipher;
mod cmac;
mod error;
mod lmk;
mod mac;
mod pin;
mod random;
mod seal;
mod secret;
mod store;
#[cfg(test)]
mod testing;
mod token;

pub use attributes::{Algorithm, Export, KeyInfo, Mode, Usage};
pub use authentic::{Authentic, Waiver, waive};
pub use error::{BlockError, KeyError};
pub use lmk::{Lmk, LmkBlock};
pub use mac::{MacError, MacGenerateKey, MacKey, MacVerifyKey};
pub use pin::{EncryptedPin, PinError, PinFormat, PinKey, encrypt_test_pin, matches_test_pin, translate_pin};
pub use seal::{DATA_KEY_WRAPPED_BYTES, SEAL_TAG_BYTES, SealError, SealKey};
pub use store::{Keystore, WrapForm, Wrapped};
pub use token::Tokenizer;
