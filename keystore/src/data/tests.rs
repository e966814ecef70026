//! Agreement with a second implementation, published cipher vectors, and every way in which data does not decrypt.

use aes::cipher::{Block, BlockCipherEncrypt, KeyInit};

use super::*;
use crate::testing::{Seeded, cases, store_with, unhex};

const CIPHERS: [(Algorithm, usize); 6] = [
    (Algorithm::Tdes, 16),
    (Algorithm::Tdes, 24),
    (Algorithm::Aes, 16),
    (Algorithm::Aes, 24),
    (Algorithm::Aes, 32),
    (Algorithm::Sm4, 16),
];

/// CBC over padded text by other libraries, written from ISO/IEC 10116 and ISO 9797-1 method 2.
fn by_the_book(algorithm: Algorithm, key: &[u8], iv: &[u8], text: &[u8]) -> Vec<u8> {
    fn run<C: KeyInit + BlockCipherEncrypt>(key: &[u8], iv: &[u8], text: &[u8]) -> Vec<u8> {
        let cipher = C::new_from_slice(key).unwrap();
        let mut bits = [text, &[0x80]].concat();
        while bits.len() % iv.len() != 0 {
            bits.push(0);
        }
        let mut chained = Block::<C>::try_from(iv).unwrap();
        let mut out = Vec::new();
        for block in bits.chunks(iv.len()) {
            chained.iter_mut().zip(block).for_each(|(a, b)| *a ^= b);
            cipher.encrypt_block(&mut chained);
            out.extend_from_slice(&chained);
        }
        out
    }
    match (algorithm, key.len()) {
        (Algorithm::Tdes, 16) => run::<des::TdesEde2>(key, iv, text),
        (Algorithm::Tdes, _) => run::<des::TdesEde3>(key, iv, text),
        (Algorithm::Aes, 16) => run::<aes::Aes128>(key, iv, text),
        (Algorithm::Aes, 24) => run::<aes::Aes192>(key, iv, text),
        (Algorithm::Aes, _) => run::<aes::Aes256>(key, iv, text),
        _ => run::<sm4::Sm4>(key, iv, text),
    }
}

fn keys(algorithm: Algorithm, key: &[u8]) -> (DataEncryptKey, DataDecryptKey) {
    let store = store_with(Usage::Data, algorithm, key);
    (store.data_encrypt_key("key").unwrap(), store.data_decrypt_key("key").unwrap())
}

#[test]
fn published_blocks_are_met() {
    // FIPS 197 C.1 and GB/T 32907 A.1: with an IV of zeros the first block is the bare cipher.
    for (algorithm, key, text, cipher) in [
        (
            Algorithm::Aes,
            "000102030405060708090A0B0C0D0E0F",
            "00112233445566778899AABBCCDDEEFF",
            "69C4E0D86A7B0430D8CDB78070B4C55A",
        ),
        (
            Algorithm::Sm4,
            "0123456789ABCDEFFEDCBA9876543210",
            "0123456789ABCDEFFEDCBA9876543210",
            "681EDF34D206965E86B3E94F536E4246",
        ),
    ] {
        let (encrypt, decrypt) = keys(algorithm, &unhex(key));
        let mut data = unhex(text);
        encrypt.encrypt(&[0; 16], &mut data).unwrap();
        assert_eq!((data.len(), &data[..16]), (32, &unhex(cipher)[..]));
        assert_eq!(by_the_book(algorithm, &unhex(key), &[0; 16], &unhex(text)), data);
        decrypt.decrypt(&[0; 16], &mut data).unwrap();
        assert_eq!(data, unhex(text));
    }
}

#[test]
fn data_agrees_with_a_second_implementation() {
    let mut random = Seeded::new(0xDA7A);
    for (algorithm, key_bytes) in CIPHERS {
        // A store for each key costs more than the cipher: many texts under one key.
        for _ in 0..cases().div_ceil(100) {
            let mut key = random.bytes(key_bytes);
            if algorithm == Algorithm::Tdes {
                key.iter_mut()
                    .for_each(|byte| *byte = *byte & 0xFE | u8::from((*byte >> 1).count_ones() % 2 == 0));
            }
            let (encrypt, decrypt) = keys(algorithm, &key);
            for _ in 0..100 {
                let (iv, text) = (random.bytes(encrypt.block_bytes()), random.some(80));
                let mut data = text.clone();
                encrypt.encrypt(&iv, &mut data).unwrap();
                assert_eq!(data, by_the_book(algorithm, &key, &iv, &text));
                decrypt.decrypt(&iv, &mut data).unwrap();
                assert_eq!(data, text);
            }
        }
    }
}

#[test]
fn padding_is_method_2_and_nothing_else() {
    for (last, kept) in [
        (&b"\x80\0\0\0\0\0\0\0"[..], Some(0)),
        (b"1234567\x80", Some(7)),
        (b"123\x80\0\0\0\0", Some(3)),
        (b"123\x80\x80\0\0\0", Some(4)),
        (b"\0\0\0\x80\0\0\0\0", Some(3)),
        (b"12345678", None),
        (b"\0\0\0\0\0\0\0\0", None),
        (b"123\x80\0\0\0\x01", None),
        (b"123\x80\0\x01\0\0", None),
        (b"123\x81\0\0\0\0", None),
        (b"1234\0\0\0\0", None),
        // PKCS #7, which others use.
        (b"12345\x03\x03\x03", None),
    ] {
        assert_eq!(unpadded(last), kept, "{last:02X?}");
    }
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_nothing_behind() {
    for (algorithm, key_bytes) in CIPHERS {
        let (encrypt, decrypt) = keys(algorithm, &Seeded::new(1).bytes(key_bytes));
        let block = encrypt.block_bytes();
        for bytes in (0..40).filter(|bytes| *bytes != block) {
            let mut data = vec![7; 32];
            let error = DataError::Iv { bytes, expected: block };
            assert_eq!(encrypt.encrypt(&vec![0; bytes], &mut data), Err(error));
            assert_eq!(decrypt.decrypt(&vec![0; bytes], &mut data), Err(error));
            assert_eq!(data, [7; 32]);
        }
        let iv = vec![9; block];
        for bytes in (0..70).filter(|bytes| *bytes == 0 || bytes % block != 0) {
            let error = DataError::Length { bytes, block };
            assert_eq!(decrypt.decrypt(&iv, &mut vec![7; bytes]), Err(error));
        }
        // A bit flipped in the one block spoils the padding, but for one chance in thousands that it looks like one.
        let mut whole = b"text".to_vec();
        encrypt.encrypt(&iv, &mut whole).unwrap();
        let mut refused = 0;
        for bit in 0..block * 8 {
            let mut changed = whole.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            match decrypt.decrypt(&iv, &mut changed) {
                Err(error) => {
                    assert_eq!((error, changed.len()), (DataError::Padding, 0));
                    refused += 1;
                }
                Ok(()) => assert_ne!(changed, b"text"),
            }
        }
        assert!(refused > block * 8 - 4, "{algorithm}: {refused}");
        // Another key.
        let (_, other) = keys(algorithm, &Seeded::new(2).bytes(key_bytes));
        assert_eq!(other.decrypt(&iv, &mut whole), Err(DataError::Padding));
    }
}
