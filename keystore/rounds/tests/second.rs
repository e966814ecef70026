//! Every cipher against a second implementation, both ways, blocks and chains, ten thousand random cases each.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use aes::cipher::{Block, BlockCipherEncrypt, KeyInit};
use yika_rounds::{AesDecrypt, AesEncrypt, Des, Tdes2, Tdes3};

/// The same numbers in every run (xorshift64).
struct Random(u64);

impl Random {
    fn byte(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u8
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }
}

fn cases() -> u32 {
    std::env::var("YIKA_DIFFERENTIAL_CASES").map_or(10_000, |text| text.parse().expect("a number of cases"))
}

/// CBC as its definition has it, by RustCrypto.
fn by_the_book<C: KeyInit + BlockCipherEncrypt>(key: &[u8], iv: &[u8], clear: &[u8]) -> Vec<u8> {
    let cipher = C::new_from_slice(key).unwrap();
    let (mut out, mut before) = (Vec::new(), iv.to_vec());
    for block in clear.chunks(iv.len()) {
        let mixed: Vec<u8> = block.iter().zip(&before).map(|(one, other)| one ^ other).collect();
        let mut next = Block::<C>::try_from(mixed.as_slice()).unwrap();
        cipher.encrypt_block(&mut next);
        before = next.to_vec();
        out.extend_from_slice(&next);
    }
    out
}

macro_rules! differential {
    ($test:ident, $name:ident, $other:ty, $key_bytes:literal) => {
        #[test]
        fn $test() {
            let mut random = Random(0x0DE5_0000 + $key_bytes);
            for case in 0..cases() {
                let (key, iv) = (random.array::<$key_bytes>(), random.array::<8>());
                let clear = random.bytes(8 * (case as usize % 9));
                let mut schedule = $name::default();
                schedule.expand(&key).unwrap();
                let (mut data, mut chain) = (clear.clone(), iv);
                schedule.cbc_encrypt(&mut chain, &mut data);
                assert_eq!(data, by_the_book::<$other>(&key, &iv, &clear), "{key:02X?}");
                assert!(data.is_empty() || chain == data[data.len() - 8..]);
                schedule.cbc_decrypt(&mut { iv }, &mut data);
                assert_eq!(data, clear);
                let mut block = iv;
                schedule.encrypt(&mut block);
                assert_eq!(block[..], by_the_book::<$other>(&key, &[0; 8], &iv));
                schedule.decrypt(&mut block);
                assert_eq!(block, iv);
            }
        }
    };
}

differential!(des_agrees, Des, des::Des, 8);
differential!(tdes_of_two_parts_agrees, Tdes2, des::TdesEde2, 16);
differential!(tdes_of_three_parts_agrees, Tdes3, des::TdesEde3, 24);

#[test]
fn aes_agrees() {
    let mut random = Random(0xAE5);
    for case in 0..cases() {
        let key_bytes = [16, 24, 32][case as usize % 3];
        let (key, iv) = (random.bytes(key_bytes), random.array::<16>());
        let clear = random.bytes(16 * (case as usize % 7));
        let book = |iv: &[u8], clear: &[u8]| match key_bytes {
            16 => by_the_book::<aes::Aes128>(&key, iv, clear),
            24 => by_the_book::<aes::Aes192>(&key, iv, clear),
            _ => by_the_book::<aes::Aes256>(&key, iv, clear),
        };
        let (mut forth, mut back) = (AesEncrypt::default(), AesDecrypt::default());
        assert!(forth.expand(&key) && back.expand(&key));
        let mut data = clear.clone();
        forth.cbc_encrypt(&mut { iv }, &mut data);
        assert_eq!(data, book(&iv, &clear), "{key:02X?}");
        back.cbc_decrypt(&mut { iv }, &mut data);
        assert_eq!(data, clear);
        let mut block = iv;
        forth.encrypt(&mut block);
        assert_eq!(block[..], book(&[0; 16], &iv));
        back.decrypt(&mut block);
        assert_eq!(block, iv);
    }
}

/// SP 800-67 (the example of B.1), FIPS 197 (appendix C).
#[test]
fn published_blocks_are_met() {
    let parts = [0x0123_4567_89AB_CDEF_u64, 0x2345_6789_ABCD_EF01, 0x4567_89AB_CDEF_0123];
    let mut tdes = Tdes3::default();
    tdes.expand(parts.map(u64::to_be_bytes).as_flattened().try_into().unwrap()).unwrap();
    let mut text = *b"The qufck brown fox jump";
    text.as_chunks_mut::<8>().0.iter_mut().for_each(|block| tdes.encrypt(block));
    let cipher = [0xA826_FD8C_E53B_855F_u64, 0xCCE2_1C81_1225_6FE6, 0x68D5_C05D_D9B6_B900];
    assert_eq!(text, cipher.map(u64::to_be_bytes).as_flattened());
    let key: [u8; 32] = std::array::from_fn(|n| n as u8);
    for (bytes, cipher) in [
        (16, 0x69C4_E0D8_6A7B_0430_D8CD_B780_70B4_C55A_u128),
        (24, 0xDDA9_7CA4_864C_DFE0_6EAF_70A0_EC0D_7191),
        (32, 0x8EA2_B7CA_5167_45BF_EAFC_4990_4B49_6089),
    ] {
        let mut aes = AesEncrypt::default();
        assert!(aes.expand(&key[..bytes]));
        let mut block = 0x0011_2233_4455_6677_8899_AABB_CCDD_EEFF_u128.to_be_bytes();
        aes.encrypt(&mut block);
        assert_eq!(block, cipher.to_be_bytes(), "{bytes}");
    }
}

#[test]
fn aes_has_three_lengths_of_keys() {
    for bytes in 0..80 {
        let key = vec![7; bytes];
        let fits = [16, 24, 32].contains(&bytes);
        assert_eq!((AesEncrypt::default().expand(&key), AesDecrypt::default().expand(&key)), (fits, fits));
    }
}

#[test]
#[should_panic(expected = "no key was expanded here")]
fn a_schedule_without_a_key_encrypts_nothing() {
    AesEncrypt::default().encrypt(&mut [0; 16]);
}

#[test]
#[should_panic(expected = "is_multiple_of(8)")]
fn parts_of_a_block_are_refused() {
    let mut des = Des::default();
    des.expand(b"some key").unwrap();
    des.cbc_encrypt(&mut [0; 8], &mut [0; 12]);
}
