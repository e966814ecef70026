//! Data keys of a zone: fields and files that travel encrypted.
//!
//! CBC with an IV that the caller gives and sends along, padded by ISO 9797-1 method 2 (a byte `80`, then zeros),
//! under TDES, AES or SM4. There is no ECB. CBC keeps secret and proves nothing: whoever may try many cipher texts and
//! learns which of them fail can decrypt by that alone, so check the message's MAC first. One type for each direction:
//!
//! ```compile_fail,E0599
//! fn open(key: &yika_keystore::DataEncryptKey, data: &mut Vec<u8>) {
//!     let _ = key.decrypt(&[0; 16], data);
//! }
//! ```
//! ```compile_fail,E0599
//! fn close(key: &yika_keystore::DataDecryptKey, data: &mut Vec<u8>) {
//!     let _ = key.encrypt(&[0; 16], data);
//! }
//! ```
//! ```compile_fail,E0277
//! fn print(key: &yika_keystore::DataDecryptKey) {
//!     println!("{key:?}");
//! }
//! ```
//! ```compile_fail,E0599
//! fn copy(key: &yika_keystore::DataEncryptKey) -> yika_keystore::DataEncryptKey {
//!     key.clone()
//! }
//! ```

#[cfg(test)]
mod tests;

use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};
use zeroize::Zeroize as _;

use crate::attributes::{Algorithm, Mode, Usage};
use crate::cipher::{BLOCK_BYTES_MAX, Decipher, Encipher};
use crate::error::KeyError;
use crate::policy::Need;
use crate::state::Deed;
use crate::store::Keystore;

/// A key that encrypts data.
pub struct DataEncryptKey {
    cipher: Encipher,
    block_bytes: usize,
    check_value: [u8; 3],
}

/// A key that decrypts data.
pub struct DataDecryptKey {
    cipher: Decipher,
    block_bytes: usize,
    check_value: [u8; 3],
}

/// Why data was not encrypted or decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// The IV is not one block of the key's cipher.
    #[error("an IV of {bytes} bytes does not fit: the key's cipher has blocks of {expected}")]
    Iv {
        /// The length given.
        bytes: usize,
        /// The length of a block: 8 (TDES) or 16 (AES, SM4).
        expected: usize,
    },
    /// The cipher text is empty or no multiple of the block.
    #[error("{bytes} bytes are no cipher text: expected a multiple of {block}, and at least that")]
    Length {
        /// The length given.
        bytes: usize,
        /// The length of a block.
        block: usize,
    },
    /// What came out is not padded: another key, another IV, or changed on the way.
    #[error("the data does not decrypt to padded text: wrong key or IV, or changed on the way")]
    Padding,
}

const ENCRYPT: Need = Need {
    operation: "encrypt data",
    keys: &[(Usage::Data, &[Algorithm::Tdes, Algorithm::Aes, Algorithm::Sm4])],
    modes: &[Mode::Encrypt],
    deeds: &[Deed::Protect],
    needs: "a data key (use D0) of mode E, B or N",
};

const DECRYPT: Need = Need {
    operation: "decrypt data",
    modes: &[Mode::Decrypt],
    deeds: &[Deed::Process],
    needs: "a data key (use D0) of mode D, B or N",
    ..ENCRYPT
};

impl Keystore {
    /// Opens a key that encrypts data (mode E, B or N).
    ///
    /// # Errors
    /// `NotFound`, `NotAllowed` or `State`.
    pub fn data_encrypt_key(&self, name: &str) -> Result<DataEncryptKey, KeyError> {
        let opened = self.open_for(name, &ENCRYPT)?;
        let algorithm = opened.attributes.algorithm;
        let cipher = Encipher::new(algorithm, opened.key.as_slice())?;
        Ok(DataEncryptKey { cipher, block_bytes: algorithm.block_bytes(), check_value: opened.check_value })
    }

    /// Opens a key that decrypts data (mode D, B or N).
    ///
    /// # Errors
    /// `NotFound`, `NotAllowed` or `State`.
    pub fn data_decrypt_key(&self, name: &str) -> Result<DataDecryptKey, KeyError> {
        let opened = self.open_for(name, &DECRYPT)?;
        let algorithm = opened.attributes.algorithm;
        let cipher = Decipher::new(algorithm, opened.key.as_slice())?;
        Ok(DataDecryptKey { cipher, block_bytes: algorithm.block_bytes(), check_value: opened.check_value })
    }
}

impl DataEncryptKey {
    /// Pads and encrypts in place; `data` grows by 1 byte to one block. `iv` is one block, random for each text
    /// ([`Keystore::random`]), and not secret.
    ///
    /// # Errors
    /// `Iv`; `data` is then untouched.
    pub fn encrypt(&self, iv: &[u8], data: &mut Vec<u8>) -> Result<(), DataError> {
        check_iv(iv, self.block_bytes)?;
        data.push(0x80);
        data.resize(data.len().next_multiple_of(self.block_bytes), 0);
        self.cipher.cbc(iv, data);
        Ok(())
    }

    /// Bytes of a block, and so of an IV: 8 or 16.
    #[must_use]
    pub fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// The check value of the key.
    #[must_use]
    pub fn check_value(&self) -> [u8; 3] {
        self.check_value
    }
}

impl DataDecryptKey {
    /// The inverse of [`DataEncryptKey::encrypt`]: decrypts in place and takes the padding off.
    ///
    /// # Errors
    /// `Iv` and `Length`, `data` is then untouched; `Padding`, `data` is then wiped and empty.
    pub fn decrypt(&self, iv: &[u8], data: &mut Vec<u8>) -> Result<(), DataError> {
        check_iv(iv, self.block_bytes)?;
        let (bytes, block) = (data.len(), self.block_bytes);
        if bytes == 0 || !bytes.is_multiple_of(block) {
            return Err(DataError::Length { bytes, block });
        }
        self.cipher.cbc(iv, data);
        match unpadded(&data[bytes - block..]) {
            Some(kept) => {
                data.truncate(bytes - block + kept);
                Ok(())
            }
            None => {
                data.zeroize();
                Err(DataError::Padding)
            }
        }
    }

    /// Bytes of a block, and so of an IV: 8 or 16.
    #[must_use]
    pub fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// The check value of the key.
    #[must_use]
    pub fn check_value(&self) -> [u8; 3] {
        self.check_value
    }
}

fn check_iv(iv: &[u8], expected: usize) -> Result<(), DataError> {
    if iv.len() == expected { Ok(()) } else { Err(DataError::Iv { bytes: iv.len(), expected }) }
}

/// How many bytes of the last block are text. Every byte is looked at, so that the time does not tell where the
/// padding begins or goes wrong.
fn unpadded(last: &[u8]) -> Option<usize> {
    debug_assert!(last.len() <= BLOCK_BYTES_MAX);
    let (mut found, mut wrong, mut kept) = (Choice::from(0), Choice::from(0), 0_u8);
    for (n, byte) in last.iter().enumerate().rev() {
        let mark = byte.ct_eq(&0x80);
        let begins = mark & !found;
        wrong |= !found & !mark & !byte.ct_eq(&0);
        kept.conditional_assign(&(n as u8), begins);
        found |= begins;
    }
    bool::from(found & !wrong).then_some(usize::from(kept))
}
