//! Block ciphers with their key schedule expanded once: DES, two- and three-key TDES, AES.
//!
//! A thin face over aws-lc-rs. It promises that no operation allocates and that schedules are wiped on
//! drop (aws-lc-rs does both). It works on whole blocks only and never pads.

use aws_lc_rs::cipher::{
    self as engines, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;

use crate::attributes::Algorithm;
use crate::error::KeyError;

/// The largest block: AES.
pub(crate) const BLOCK_BYTES_MAX: usize = 16;

/// One expanded key.
pub(crate) struct BlockCipher {
    encrypting: EncryptingKey,
    decrypting: DecryptingKey,
    block_bytes: usize,
}

impl BlockCipher {
    /// Expands `key`.
    ///
    /// # Errors
    /// `Length` when no cipher of the algorithm has this key length; `Weak` for weak DES parts or equal
    /// parts, which would make TDES as weak as DES (SP 800-67 3.1).
    pub(crate) fn new(algorithm: Algorithm, key: &[u8]) -> Result<BlockCipher, KeyError> {
        // Devices that load three-part keys only send two-key TDES as K1 K2 K1.
        let key = match (algorithm, key.len()) {
            (Algorithm::Tdes, 24) if key[..8] == key[16..] => &key[..16],
            _ => key,
        };
        let engine = engine(algorithm, key.len())?;
        let unbound = || UnboundCipherKey::new(engine, key);
        let keys = (|| Ok((EncryptingKey::cbc(unbound()?)?, DecryptingKey::cbc(unbound()?)?)))();
        let (encrypting, decrypting) =
            keys.map_err(|_: aws_lc_rs::error::Unspecified| KeyError::Weak { algorithm })?;
        Ok(BlockCipher { encrypting, decrypting, block_bytes: algorithm.block_bytes() })
    }

    pub(crate) fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// Encrypts one block; with an IV of zeros CBC is the bare cipher.
    pub(crate) fn encrypt_block(&self, block: &mut [u8]) {
        assert_eq!(block.len(), self.block_bytes);
        self.encrypt_cbc(&[0; BLOCK_BYTES_MAX][..self.block_bytes], block);
    }

    /// Decrypts one block.
    pub(crate) fn decrypt_block(&self, block: &mut [u8]) {
        assert_eq!(block.len(), self.block_bytes);
        self.decrypt_cbc(&[0; BLOCK_BYTES_MAX][..self.block_bytes], block);
    }

    /// CBC over whole blocks, in place.
    pub(crate) fn encrypt_cbc(&self, iv: &[u8], blocks: &mut [u8]) {
        assert!(iv.len() == self.block_bytes && blocks.len().is_multiple_of(self.block_bytes));
        let context = match <&[u8; 16]>::try_from(iv) {
            Ok(iv) => EncryptionContext::Iv128(FixedLength::from(iv)),
            Err(_) => EncryptionContext::Iv64(FixedLength::from(short_iv(iv))),
        };
        self.encrypting
            .less_safe_encrypt(blocks, context)
            .expect("whole blocks and one block of IV, asserted above");
    }

    /// The inverse of [`Self::encrypt_cbc`].
    pub(crate) fn decrypt_cbc(&self, iv: &[u8], blocks: &mut [u8]) {
        assert!(iv.len() == self.block_bytes && blocks.len().is_multiple_of(self.block_bytes));
        let context = match <&[u8; 16]>::try_from(iv) {
            Ok(iv) => DecryptionContext::Iv128(FixedLength::from(iv)),
            Err(_) => DecryptionContext::Iv64(FixedLength::from(short_iv(iv))),
        };
        self.decrypting.decrypt(blocks, context).expect("whole blocks and one block of IV, asserted above");
    }

    /// Runs the CBC chain over whole blocks of `data` and leaves the last cipher block in `state`.
    /// Works through a buffer on the stack, so that a MAC of any length allocates nothing.
    pub(crate) fn chain(&self, state: &mut [u8], data: &[u8]) {
        const CHUNK_BYTES: usize = 256;
        let mut buffer = [0; CHUNK_BYTES];
        for chunk in data.chunks(CHUNK_BYTES) {
            let blocks = &mut buffer[..chunk.len()];
            blocks.copy_from_slice(chunk);
            self.encrypt_cbc(state, blocks);
            state.copy_from_slice(&blocks[blocks.len() - self.block_bytes..]);
        }
    }
}

fn short_iv(iv: &[u8]) -> &[u8; 8] {
    iv.try_into().expect("a block has 16 or 8 bytes, and 16 was ruled out")
}

#[expect(deprecated, reason = "marked legacy by the library; payment networks still run on TDES")]
fn engine(algorithm: Algorithm, bytes: usize) -> Result<&'static engines::Algorithm, KeyError> {
    Ok(match (algorithm, bytes) {
        (Algorithm::Des, 8) => &engines::DES_FOR_LEGACY_USE_ONLY,
        (Algorithm::Tdes, 16) => &engines::DES_EDE_FOR_LEGACY_USE_ONLY,
        (Algorithm::Tdes, 24) => &engines::DES_EDE3_FOR_LEGACY_USE_ONLY,
        (Algorithm::Aes, 16) => &engines::AES_128,
        (Algorithm::Aes, 24) => &engines::AES_192,
        (Algorithm::Aes, 32) => &engines::AES_256,
        _ => return Err(KeyError::Length { algorithm, bytes, expected: algorithm.lengths() }),
    })
}
