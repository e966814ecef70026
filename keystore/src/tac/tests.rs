//! TACs against known values and a second implementation, one by one and in batches.

use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};

use super::*;
use crate::secret::hex;
use crate::testing::{Seeded, cases, store_with, unhex};

/// amount, type, terminal, terminal serial, date, time.
const TAP: &str = "00001000 06 112233445566 00000001 20110401 120000";
const MASTER: &str = "0123456789ABCDEFFEDCBA9876543210";

fn master(algorithm: Algorithm, key: &[u8]) -> TacMasterKey {
    store_with(Usage::TacMaster, algorithm, key).tac_master_key("key").unwrap()
}

/// The card's key by the book.
fn card_key(algorithm: Algorithm, master: &[u8], card: &[u8; 8]) -> Vec<u8> {
    let both = [*card, card.map(|byte| !byte)].concat();
    if algorithm == Algorithm::Sm4 {
        let mut block = sm4::cipher::Block::<sm4::Sm4>::try_from(&both[..]).unwrap();
        sm4::Sm4::new_from_slice(master).unwrap().encrypt_block(&mut block);
        return block.to_vec();
    }
    both.chunks(8)
        .flat_map(|half| {
            let mut block = aes::cipher::Block::<des::TdesEde2>::try_from(half).unwrap();
            match master.len() {
                16 => des::TdesEde2::new_from_slice(master).unwrap().encrypt_block(&mut block),
                _ => des::TdesEde3::new_from_slice(master).unwrap().encrypt_block(&mut block),
            }
            block.to_vec()
        })
        .collect()
}

/// The code by the book: the padded tap as numbers.
fn code_by_the_book(algorithm: Algorithm, key: &[u8], data: &[u8]) -> [u8; 4] {
    let mut padded = [data, &[0x80]].concat();
    if algorithm == Algorithm::Sm4 {
        padded.resize(padded.len().next_multiple_of(16), 0);
        let cipher = sm4::Sm4::new_from_slice(key).unwrap();
        let last = padded.chunks(16).fold(0_u128, |state, block| {
            let mut next = (state ^ u128::from_be_bytes(block.try_into().unwrap())).to_be_bytes().into();
            cipher.encrypt_block(&mut next);
            u128::from_be_bytes(next.into())
        });
        return last.to_be_bytes()[..4].try_into().unwrap();
    }
    padded.resize(padded.len().next_multiple_of(8), 0);
    let half = |n: usize| u64::from_be_bytes(key[n..n + 8].try_into().unwrap());
    let cipher = des::Des::new_from_slice(&(half(0) ^ half(8)).to_be_bytes()).unwrap();
    let last = padded.chunks(8).fold(0_u64, |state, block| {
        let mut next = (state ^ u64::from_be_bytes(block.try_into().unwrap())).to_be_bytes().into();
        cipher.encrypt_block(&mut next);
        u64::from_be_bytes(next.into())
    });
    last.to_be_bytes()[..4].try_into().unwrap()
}

#[test]
fn known_codes_and_card_keys_are_met() {
    // The card's key as published with a script; the code was computed apart from this program.
    let key = unhex("479E71BEFF107A76138D34F84B2031FF");
    let ready = expand(Algorithm::Tdes, key.as_slice().try_into().unwrap()).unwrap();
    assert_eq!(hex(&code(&ready, &unhex(TAP))), "BEB65AFA");
    assert_eq!(hex(&code_by_the_book(Algorithm::Tdes, &key, &unhex(TAP))), "BEB65AFA");

    let card = unhex("2016122100001003").try_into().unwrap();
    let diversified = "77420133DFEB5CBBE641153C7E742DA9";
    assert_eq!(hex(&master(Algorithm::Tdes, &unhex(MASTER)).diversify(&card)[..]), diversified);
    assert_eq!(hex(&card_key(Algorithm::Tdes, &unhex(MASTER), &card)), diversified);
}

#[test]
fn tacs_agree_with_a_second_implementation() {
    let mut random = Seeded::new(0x7AC);
    for (algorithm, key_bytes) in [(Algorithm::Tdes, 16), (Algorithm::Tdes, 24), (Algorithm::Sm4, 16)] {
        // A store for each key costs more than the code: many cards under one master.
        for _ in 0..cases().div_ceil(100) {
            let mut bytes = random.bytes(key_bytes);
            if algorithm == Algorithm::Tdes {
                bytes
                    .iter_mut()
                    .for_each(|byte| *byte = *byte & 0xFE | u8::from((*byte >> 1).count_ones() % 2 == 0));
            }
            let master = master(algorithm, &bytes);
            for _ in 0..100 {
                let (card, data) = (random.bytes(8).try_into().unwrap(), random.some(64));
                let tac = code_by_the_book(algorithm, &card_key(algorithm, &bytes, &card), &data);
                assert!(master.verify(&card, &data, &tac));
                let mut wrong = tac;
                wrong[random.below(4)] ^= 1 << random.below(8);
                assert!(!master.verify(&card, &data, &wrong));
            }
        }
    }
}

#[test]
fn every_changed_bit_is_refused() {
    for algorithm in [Algorithm::Tdes, Algorithm::Sm4] {
        let master = master(algorithm, &unhex(MASTER));
        let (card, data): ([u8; 8], _) = (*b"\x20\x16\x12\x21\0\0\x10\x03", unhex(TAP));
        let tac = code_by_the_book(algorithm, &card_key(algorithm, &unhex(MASTER), &card), &data);
        assert!(master.verify(&card, &data, &tac));
        for bit in 0..32 {
            let mut wrong = tac;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!master.verify(&card, &data, &wrong), "code bit {bit}");
        }
        for bit in 0..64 {
            let mut wrong = card;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!master.verify(&wrong, &data, &tac), "card bit {bit}");
        }
        for bit in 0..data.len() * 8 {
            let mut wrong = data.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!master.verify(&card, &wrong, &tac), "data bit {bit}");
        }
        for len in 0..data.len() {
            assert!(!master.verify(&card, &data[..len], &tac), "cut to {len}");
        }
        // The padding cannot be taken for data.
        assert!(!master.verify(&card, &[&data[..], &[0x80]].concat(), &tac));
    }
}

#[test]
fn a_batch_gives_the_verdicts_of_its_records_and_keeps_its_buffer() {
    for algorithm in [Algorithm::Tdes, Algorithm::Sm4] {
        let master = master(algorithm, &unhex(MASTER));
        let mut random = Seeded::new(0xBA7C);
        let cards: Vec<[u8; 8]> = (0..5).map(|_| random.bytes(8).try_into().unwrap()).collect();
        let taps: Vec<Vec<u8>> = (0..300).map(|_| random.some(40)).collect();
        let mut expected = Vec::new();
        let records: Vec<_> = taps
            .iter()
            .map(|data| {
                let card = cards[random.below(cards.len())];
                let mut tac = code_by_the_book(algorithm, &card_key(algorithm, &unhex(MASTER), &card), data);
                let good = random.below(3) > 0;
                tac[0] ^= u8::from(!good);
                expected.push(good);
                TacRecord { card, data, tac }
            })
            .collect();
        let mut verdicts = Vec::with_capacity(records.len());
        let room = (verdicts.as_ptr(), verdicts.capacity());
        verdicts.push(true);
        master.verify_all(&records, &mut verdicts);
        assert_eq!(verdicts, expected);
        assert_eq!((verdicts.as_ptr(), verdicts.capacity()), room);
        master.verify_all(&[], &mut verdicts);
        assert!(verdicts.is_empty());
    }
}
