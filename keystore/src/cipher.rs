//! Block ciphers with their key schedule expanded once: DES, two- and three-key TDES, AES, SM4.
//!
//! A thin face over `yika_rounds`, which is aws-lc, and over RustCrypto for SM4. It promises that no operation touches the heap
//! and that schedules are expanded in the arena, stay there, and are wiped on drop. It works on whole blocks only and
//! never pads.

use sm4::Sm4;
use sm4::cipher::{BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _};
use yika_arena::{Held, Stay, wiped};
use yika_rounds::{AesDecrypt, AesEncrypt, Des, Tdes2, Tdes3, WeakKey};

use crate::attributes::Algorithm;
use crate::error::KeyError;
use crate::secret::HOT_STACK_BYTES;

/// The largest block: AES.
pub(crate) const BLOCK_BYTES_MAX: usize = 16;

/// An expanded key that encrypts.
pub(crate) struct Encipher(Schedule<AesEncrypt>);

/// An expanded key that decrypts. A type of its own: a key that may not decrypt simply has none.
pub(crate) struct Decipher(Schedule<AesDecrypt>);

/// A schedule in the arena. That of AES serves one direction, the others both.
enum Schedule<A> {
    Des(Held<Des>),
    Tdes2(Held<Tdes2>),
    Tdes3(Held<Tdes3>),
    Aes(Held<A>),
    Sm4(Held<Sm4>),
}

impl Encipher {
    /// Expands `key`.
    ///
    /// # Errors
    /// `Length` when no cipher of the algorithm has this key length; `Weak` for weak DES parts or equal
    /// parts, which would make TDES as weak as DES (SP 800-67 3.1); `Memory` when no more keys can be held.
    pub(crate) fn new(algorithm: Algorithm, key: &[u8]) -> Result<Encipher, KeyError> {
        let expand = || Schedule::new(algorithm, key, Stay::Lasting, AesEncrypt::expand);
        wiped::<HOT_STACK_BYTES, _>(expand).map(Encipher)
    }

    /// [`Encipher::new`] for a key that ends with the call: it has its place when no more keys can be held. The caller wipes
    /// the stack.
    ///
    /// # Errors
    /// `Length` and `Weak`.
    pub(crate) fn brief(algorithm: Algorithm, key: &[u8]) -> Result<Encipher, KeyError> {
        Schedule::new(algorithm, key, Stay::Brief, AesEncrypt::expand).map(Encipher)
    }

    pub(crate) fn block_bytes(&self) -> usize {
        self.0.block_bytes()
    }

    /// Encrypts one block.
    pub(crate) fn block(&self, block: &mut [u8]) {
        match &self.0 {
            Schedule::Des(des) => des.encrypt(exactly(block)),
            Schedule::Tdes2(tdes) => tdes.encrypt(exactly(block)),
            Schedule::Tdes3(tdes) => tdes.encrypt(exactly(block)),
            Schedule::Aes(aes) => aes.encrypt(exactly(block)),
            Schedule::Sm4(sm4) => sm4.encrypt_block(exactly::<16>(block).into()),
        }
    }

    /// CBC over whole blocks, in place.
    pub(crate) fn cbc(&self, iv: &[u8], blocks: &mut [u8]) {
        assert!(blocks.len().is_multiple_of(self.block_bytes()));
        match &self.0 {
            Schedule::Des(des) => des.cbc_encrypt(&mut iv_of(iv), blocks),
            Schedule::Tdes2(tdes) => tdes.cbc_encrypt(&mut iv_of(iv), blocks),
            Schedule::Tdes3(tdes) => tdes.cbc_encrypt(&mut iv_of(iv), blocks),
            Schedule::Aes(aes) => aes.cbc_encrypt(&mut iv_of(iv), blocks),
            Schedule::Sm4(sm4) => sm4_cbc_encrypt(sm4, iv_of(iv), blocks),
        }
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
        let n = self.block_bytes();
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
        let expand = || Schedule::new(algorithm, key, Stay::Lasting, AesDecrypt::expand);
        wiped::<HOT_STACK_BYTES, _>(expand).map(Decipher)
    }

    /// As [`Encipher::brief`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn brief(algorithm: Algorithm, key: &[u8]) -> Result<Decipher, KeyError> {
        Schedule::new(algorithm, key, Stay::Brief, AesDecrypt::expand).map(Decipher)
    }

    /// Decrypts one block.
    pub(crate) fn block(&self, block: &mut [u8]) {
        match &self.0 {
            Schedule::Des(des) => des.decrypt(exactly(block)),
            Schedule::Tdes2(tdes) => tdes.decrypt(exactly(block)),
            Schedule::Tdes3(tdes) => tdes.decrypt(exactly(block)),
            Schedule::Aes(aes) => aes.decrypt(exactly(block)),
            Schedule::Sm4(sm4) => sm4.decrypt_block(exactly::<16>(block).into()),
        }
    }

    /// The inverse of [`Encipher::cbc`].
    pub(crate) fn cbc(&self, iv: &[u8], blocks: &mut [u8]) {
        assert!(blocks.len().is_multiple_of(self.0.block_bytes()));
        match &self.0 {
            Schedule::Des(des) => des.cbc_decrypt(&mut iv_of(iv), blocks),
            Schedule::Tdes2(tdes) => tdes.cbc_decrypt(&mut iv_of(iv), blocks),
            Schedule::Tdes3(tdes) => tdes.cbc_decrypt(&mut iv_of(iv), blocks),
            Schedule::Aes(aes) => aes.cbc_decrypt(&mut iv_of(iv), blocks),
            Schedule::Sm4(sm4) => sm4_cbc_decrypt(sm4, iv_of(iv), blocks),
        }
    }
}

impl<A: Default> Schedule<A> {
    fn new(
        algorithm: Algorithm,
        key: &[u8],
        stay: Stay,
        expand_aes: fn(&mut A, &[u8]) -> bool,
    ) -> Result<Schedule<A>, KeyError> {
        let weak = |WeakKey| KeyError::Weak { algorithm };
        let bytes = key.len();
        let wrong_length = || KeyError::Length { algorithm, bytes, expected: algorithm.lengths() };
        Ok(match (algorithm, bytes) {
            (Algorithm::Des, 8) => {
                Schedule::Des(Held::try_new_with(stay, |des: &mut Des| des.expand(part(key)).map_err(weak))?)
            }
            // Devices that load three-part keys only send two-key TDES as K1 K2 K1.
            (Algorithm::Tdes, 24) if key[..8] != key[16..] => {
                let expand = |tdes: &mut Tdes3| tdes.expand(part(key)).map_err(weak);
                Schedule::Tdes3(Held::try_new_with(stay, expand)?)
            }
            (Algorithm::Tdes, 16 | 24) => {
                let expand = |tdes: &mut Tdes2| tdes.expand(part(key)).map_err(weak);
                Schedule::Tdes2(Held::try_new_with(stay, expand)?)
            }
            (Algorithm::Aes, _) => Schedule::Aes(Held::try_new_with(stay, |aes: &mut A| {
                if expand_aes(aes, key) { Ok(()) } else { Err(wrong_length()) }
            })?),
            // The library makes its schedule on the stack.
            (Algorithm::Sm4, 16) => {
                Schedule::Sm4(wiped::<1024, _>(|| Held::new(stay, Sm4::new(part::<16>(key).into())))?)
            }
            _ => return Err(wrong_length()),
        })
    }
}

impl<A> Schedule<A> {
    fn block_bytes(&self) -> usize {
        match self {
            Schedule::Des(_) | Schedule::Tdes2(_) | Schedule::Tdes3(_) => 8,
            Schedule::Aes(_) | Schedule::Sm4(_) => 16,
        }
    }
}

/// The beginning of a key whose length was looked at.
fn part<const N: usize>(key: &[u8]) -> &[u8; N] {
    key.first_chunk().expect("the match is on the length of the key")
}

/// One block.
fn exactly<const N: usize>(block: &mut [u8]) -> &mut [u8; N] {
    block.try_into().expect("the caller asked for the length of a block")
}

/// One block, to be chained along.
fn iv_of<const N: usize>(iv: &[u8]) -> [u8; N] {
    iv.try_into().expect("the caller asked for the length of a block")
}

fn sm4_cbc_encrypt(sm4: &Sm4, mut state: [u8; 16], blocks: &mut [u8]) {
    for block in blocks.as_chunks_mut::<16>().0 {
        state.iter_mut().zip(block.iter()).for_each(|(byte, data)| *byte ^= data);
        sm4.encrypt_block((&mut state).into());
        *block = state;
    }
}

fn sm4_cbc_decrypt(sm4: &Sm4, mut before: [u8; 16], blocks: &mut [u8]) {
    for block in blocks.as_chunks_mut::<16>().0 {
        let cipher = *block;
        sm4.decrypt_block(block.into());
        block.iter_mut().zip(before).for_each(|(byte, data)| *byte ^= data);
        before = cipher;
    }
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
