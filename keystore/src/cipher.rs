//! Block ciphers with their key schedule expanded once: DES, two- and three-key TDES, AES, SM4.
//!
//! A thin face over aws-lc-rs, and over RustCrypto for SM4. It promises that no operation allocates and that
//! schedules are wiped on drop (both libraries do so). It works on whole blocks only and never pads.

use aws_lc_rs::cipher::{
    self as engines, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use sm4::Sm4;
use sm4::cipher::{BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _};

use crate::attributes::Algorithm;
use crate::error::KeyError;

/// The largest block: AES.
pub(crate) const BLOCK_BYTES_MAX: usize = 16;

/// An expanded key that encrypts.
pub(crate) struct Encipher {
    engine: Engine<EncryptingKey>,
    block_bytes: usize,
}

/// An expanded key that decrypts. A type of its own: a key that may not decrypt simply has none.
pub(crate) struct Decipher {
    engine: Engine<DecryptingKey>,
    block_bytes: usize,
}

/// Which library holds the schedule.
enum Engine<K> {
    Lc(K),
    Sm4(Sm4),
}

impl Encipher {
    /// Expands `key`.
    ///
    /// # Errors
    /// `Length` when no cipher of the algorithm has this key length; `Weak` for weak DES parts or equal
    /// parts, which would make TDES as weak as DES (SP 800-67 3.1).
    pub(crate) fn new(algorithm: Algorithm, key: &[u8]) -> Result<Encipher, KeyError> {
        let engine = match algorithm {
            Algorithm::Sm4 => Engine::Sm4(sm4(key)?),
            _ => Engine::Lc(
                EncryptingKey::cbc(unbound(algorithm, key)?).map_err(|_| KeyError::Weak { algorithm })?,
            ),
        };
        Ok(Encipher { engine, block_bytes: algorithm.block_bytes() })
    }

    pub(crate) fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// Encrypts one block; with an IV of zeros CBC is the bare cipher.
    pub(crate) fn block(&self, block: &mut [u8]) {
        assert_eq!(block.len(), self.block_bytes);
        self.cbc(&[0; BLOCK_BYTES_MAX][..self.block_bytes], block);
    }

    /// CBC over whole blocks, in place.
    pub(crate) fn cbc(&self, iv: &[u8], blocks: &mut [u8]) {
        assert!(iv.len() == self.block_bytes && blocks.len().is_multiple_of(self.block_bytes));
        let key = match &self.engine {
            Engine::Lc(key) => key,
            Engine::Sm4(sm4) => return sm4_cbc_encrypt(sm4, iv, blocks),
        };
        let context = match <&[u8; 16]>::try_from(iv) {
            Ok(iv) => EncryptionContext::Iv128(FixedLength::from(iv)),
            Err(_) => EncryptionContext::Iv64(FixedLength::from(short_iv(iv))),
        };
        key.less_safe_encrypt(blocks, context).expect("whole blocks and one block of IV, asserted above");
    }

    /// The CBC chain of a MAC: over the whole blocks of `head`, then `last`; returns the final cipher block,
    /// left-justified. Works through a buffer on the stack, so that a MAC of any length allocates nothing.
    pub(crate) fn chain(&self, head: &[u8], last: &[u8]) -> [u8; BLOCK_BYTES_MAX] {
        self.chain_from([0; BLOCK_BYTES_MAX], head, last)
    }

    /// As [`Encipher::chain`], going on from the cipher block of what came before.
    pub(crate) fn chain_from(
        &self,
        mut state: [u8; BLOCK_BYTES_MAX],
        head: &[u8],
        last: &[u8],
    ) -> [u8; BLOCK_BYTES_MAX] {
        const CHUNK_BYTES: usize = 240;
        let n = self.block_bytes;
        let mut buffer = [0; CHUNK_BYTES + BLOCK_BYTES_MAX];
        let mut chunks = head.chunks(CHUNK_BYTES);
        loop {
            let chunk = chunks.next().unwrap_or_default();
            let mut len = chunk.len();
            buffer[..len].copy_from_slice(chunk);
            let done = chunks.len() == 0;
            if done {
                // In the same call as what comes before it: most messages need one call in all.
                buffer[len..len + n].copy_from_slice(last);
                len += n;
            }
            self.cbc(&state[..n], &mut buffer[..len]);
            state[..n].copy_from_slice(&buffer[len - n..len]);
            if done {
                return state;
            }
        }
    }
}

impl Decipher {
    /// Expands `key`.
    ///
    /// # Errors
    /// As [`Encipher::new`].
    pub(crate) fn new(algorithm: Algorithm, key: &[u8]) -> Result<Decipher, KeyError> {
        let engine = match algorithm {
            Algorithm::Sm4 => Engine::Sm4(sm4(key)?),
            _ => Engine::Lc(
                DecryptingKey::cbc(unbound(algorithm, key)?).map_err(|_| KeyError::Weak { algorithm })?,
            ),
        };
        Ok(Decipher { engine, block_bytes: algorithm.block_bytes() })
    }

    /// Decrypts one block.
    pub(crate) fn block(&self, block: &mut [u8]) {
        assert_eq!(block.len(), self.block_bytes);
        self.cbc(&[0; BLOCK_BYTES_MAX][..self.block_bytes], block);
    }

    /// The inverse of [`Encipher::cbc`].
    pub(crate) fn cbc(&self, iv: &[u8], blocks: &mut [u8]) {
        assert!(iv.len() == self.block_bytes && blocks.len().is_multiple_of(self.block_bytes));
        let key = match &self.engine {
            Engine::Lc(key) => key,
            Engine::Sm4(sm4) => return sm4_cbc_decrypt(sm4, iv, blocks),
        };
        let context = match <&[u8; 16]>::try_from(iv) {
            Ok(iv) => DecryptionContext::Iv128(FixedLength::from(iv)),
            Err(_) => DecryptionContext::Iv64(FixedLength::from(short_iv(iv))),
        };
        key.decrypt(blocks, context).expect("whole blocks and one block of IV, asserted above");
    }
}

fn sm4(key: &[u8]) -> Result<Sm4, KeyError> {
    let (algorithm, bytes) = (Algorithm::Sm4, key.len());
    let cipher = Sm4::new_from_slice(key);
    cipher.map_err(|_| KeyError::Length { algorithm, bytes, expected: algorithm.lengths() })
}

fn sm4_cbc_encrypt(sm4: &Sm4, iv: &[u8], blocks: &mut [u8]) {
    let mut state = [0; 16];
    state.copy_from_slice(iv);
    for block in blocks.as_chunks_mut::<16>().0 {
        state.iter_mut().zip(block.iter()).for_each(|(byte, data)| *byte ^= data);
        sm4.encrypt_block((&mut state).into());
        *block = state;
    }
}

fn sm4_cbc_decrypt(sm4: &Sm4, iv: &[u8], blocks: &mut [u8]) {
    let mut before = [0; 16];
    before.copy_from_slice(iv);
    for block in blocks.as_chunks_mut::<16>().0 {
        let cipher = *block;
        sm4.decrypt_block(block.into());
        block.iter_mut().zip(before).for_each(|(byte, data)| *byte ^= data);
        before = cipher;
    }
}

fn short_iv(iv: &[u8]) -> &[u8; 8] {
    iv.try_into().expect("a block has 16 or 8 bytes, and 16 was ruled out")
}

fn unbound(algorithm: Algorithm, key: &[u8]) -> Result<UnboundCipherKey, KeyError> {
    // Devices that load three-part keys only send two-key TDES as K1 K2 K1.
    let key = match (algorithm, key.len()) {
        (Algorithm::Tdes, 24) if key[..8] == key[16..] => &key[..16],
        _ => key,
    };
    let engine = engine(algorithm, key.len())?;
    UnboundCipherKey::new(engine, key).map_err(|_| KeyError::Weak { algorithm })
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

#[cfg(test)]
mod tests {
    use aes::cipher::{Block, BlockCipherEncrypt as OtherEncrypt, KeyInit as OtherKeyInit};

    use super::*;
    use crate::secret::hex;
    use crate::testing::{Seeded, cases, unhex};

    /// GB/T 32907 A.1 and A.2: once, and a million times.
    #[test]
    fn published_sm4_blocks_are_met() {
        let key = unhex("0123456789ABCDEFFEDCBA9876543210");
        let (cipher, mut block) = (Encipher::new(Algorithm::Sm4, &key).unwrap(), key.clone());
        cipher.block(&mut block);
        assert_eq!(hex(&block), "681EDF34D206965E86B3E94F536E4246");
        assert_eq!(by_the_book(Algorithm::Sm4, &key, &[0; 16], &key), block);
        (1..1_000_000).for_each(|_| cipher.block(&mut block));
        assert_eq!(hex(&block), "595298C7C6FD271F0402F804C33D3F66");
    }

    #[test]
    fn cbc_agrees_with_a_second_implementation_both_ways() {
        let mut random = Seeded::new(0xCBC);
        for case in 0..cases() {
            let (algorithm, key_bytes) = [
                (Algorithm::Des, 8),
                (Algorithm::Tdes, 16),
                (Algorithm::Tdes, 24),
                (Algorithm::Aes, 16),
                (Algorithm::Aes, 24),
                (Algorithm::Aes, 32),
                (Algorithm::Sm4, 16),
            ][case as usize % 7];
            let n = algorithm.block_bytes();
            let blocks = random.below(20);
            let (key, iv, clear) = (random.bytes(key_bytes), random.bytes(n), random.bytes(blocks * n));
            let mut data = clear.clone();
            Encipher::new(algorithm, &key).unwrap().cbc(&iv, &mut data);
            assert_eq!(data, by_the_book(algorithm, &key, &iv, &clear), "{algorithm} {key_bytes}");
            Decipher::new(algorithm, &key).unwrap().cbc(&iv, &mut data);
            assert_eq!(data, clear, "{algorithm} {key_bytes}");
        }
    }

    #[test]
    fn keys_of_other_lengths_and_weak_ones_are_refused() {
        for algorithm in [Algorithm::Des, Algorithm::Tdes, Algorithm::Aes, Algorithm::Sm4] {
            for bytes in 0..40 {
                let key = Seeded::new(9).bytes(bytes);
                let (ours, theirs) = (Encipher::new(algorithm, &key), Decipher::new(algorithm, &key));
                assert_eq!((ours.is_ok(), theirs.is_ok()), (algorithm.fits(bytes), algorithm.fits(bytes)));
                assert!(ours.is_ok() || matches!(ours, Err(KeyError::Length { .. })), "{algorithm} {bytes}");
            }
        }
        for (algorithm, key) in [(Algorithm::Des, vec![1; 8]), (Algorithm::Tdes, vec![0x13; 16])] {
            assert!(matches!(Encipher::new(algorithm, &key), Err(KeyError::Weak { .. })), "{algorithm}");
        }
    }

    type EncryptBlock = Box<dyn Fn(&mut [u8])>;

    /// CBC of one block after the other, by RustCrypto; SM4, which the product has from there, by libsmx.
    fn by_the_book(algorithm: Algorithm, key: &[u8], iv: &[u8], clear: &[u8]) -> Vec<u8> {
        fn with<C: OtherKeyInit + OtherEncrypt + 'static>(key: &[u8]) -> EncryptBlock {
            let cipher = C::new_from_slice(key).unwrap();
            Box::new(move |bytes| {
                let mut block = Block::<C>::try_from(&*bytes).unwrap();
                cipher.encrypt_block(&mut block);
                bytes.copy_from_slice(&block);
            })
        }
        let encrypt = match (algorithm, key.len()) {
            (Algorithm::Des, _) => with::<des::Des>(key),
            (Algorithm::Tdes, 16) => with::<des::TdesEde2>(key),
            (Algorithm::Tdes, _) => with::<des::TdesEde3>(key),
            (Algorithm::Aes, 16) => with::<aes::Aes128>(key),
            (Algorithm::Aes, 24) => with::<aes::Aes192>(key),
            (Algorithm::Aes, _) => with::<aes::Aes256>(key),
            _ => {
                let cipher = libsmx::sm4::Sm4Key::new(key.try_into().unwrap());
                Box::new(move |bytes: &mut [u8]| cipher.encrypt_block(bytes.try_into().unwrap()))
            }
        };
        let mut out = iv.to_vec();
        for block in clear.chunks(iv.len()) {
            let before = &out[out.len() - iv.len()..];
            let mut next: Vec<u8> = block.iter().zip(before).map(|(a, b)| a ^ b).collect();
            encrypt(&mut next);
            out.extend_from_slice(&next);
        }
        out.split_off(iv.len())
    }
}
