//! Published MAC vectors, and agreement with independent implementations on random data.

use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use cmac::Mac as _;
use proptest::prelude::*;

use super::*;
use crate::testing::{store_with, unhex};

fn key(usage: Usage, algorithm: Algorithm, bytes: &[u8]) -> MacKey {
    store_with(usage, algorithm, bytes).mac_key("key").unwrap()
}

#[test]
fn retail_mac_vectors() {
    // ISO/IEC 9797-1:2011 annex B, padding method 1.
    let iso = key(Usage::MacRetail, Algorithm::Tdes, &unhex("0123456789ABCDEF FEDCBA9876543210"));
    assert_eq!(iso.generate(b"Now is the time for all ")[..], unhex("A1C72E74EA3FA9B6"));
    assert_eq!(iso.generate(b"Now is the time for it")[..], unhex("2E2B1428CC78254F"));
    // The Bouncy Castle test suite.
    let other = key(Usage::MacRetail, Algorithm::Tdes, &unhex("7CA110454A1A6E57 0131D9619DC1376E"));
    assert_eq!(other.generate(b"Hello World !!!!")[..], unhex("F09B856213BAB83B"));
    // Padding method 1 makes at least one block, also of nothing.
    assert_eq!(iso.generate(b""), iso.generate(&[0; 8]));
}

#[test]
fn cmac_vectors() {
    // RFC 4493 section 4, cut to 8 bytes.
    let key = key(Usage::MacCmac, Algorithm::Aes, &unhex("2B7E151628AED2A6ABF7158809CF4F3C"));
    let message = unhex(
        "6BC1BEE22E409F96E93D7E117393172A AE2D8A571E03AC9C9EB76FAC45AF8E51 \
         30C81C46A35CE411E5FBC1191A0A52EF F69F2445DF4F9B17AD2B417BE66C3710",
    );
    for (len, mac) in [
        (0, "BB1D6929E9593728"),
        (16, "070A16B46B4D4144"),
        (40, "DFA66747DE9AE630"),
        (64, "51F0BEBF7E3B9D92"),
    ] {
        assert_eq!(key.generate(&message[..len])[..], unhex(mac), "length {len}");
    }
}

#[test]
fn unionpay_vector() {
    // A published terminal message with its field 64; the key arrives wrapped in `store::tests`.
    let key = key(Usage::MacUnionPayEcb, Algorithm::Des, &unhex("C24A8FB57AA20123"));
    assert_eq!(&key.generate(&unhex(crate::testing::UNIONPAY_DATA)), b"8A9E91B8");
}

#[test]
fn verify_turns_a_value_into_a_proof_and_gives_it_back_otherwise() {
    let key = key(Usage::MacCmac, Algorithm::Aes, &[7; 16]);
    let mac = key.generate(b"payload");
    let proof = key.verify(b"payload", &mac, 42).unwrap();
    assert_eq!((proof.get(), proof.waiver()), (&42, None));
    assert_eq!(proof.map(|n| n + 1).into_inner(), 43);
    for bit in 0..64 {
        let mut wrong = mac;
        wrong[bit / 8] ^= 1 << (bit % 8);
        let (error, value) = key.verify(b"payload", &wrong, 42).unwrap_err();
        assert_eq!((error.check_value, value), (key.check_value(), 42));
    }
    assert!(key.verify(b"payloae", &mac, ()).is_err());
}

#[test]
fn a_waiver_says_why() {
    let waived = crate::waive(crate::Waiver::OwnCustody, "reversal").map(str::len);
    assert_eq!((waived.waiver(), waived.into_inner()), (Some(crate::Waiver::OwnCustody), 8));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn cmac_agrees_with_two_others(
        bytes in prop::array::uniform32(any::<u8>()),
        size in 0usize..3,
        data in prop::collection::vec(any::<u8>(), 0..700),
    ) {
        let bytes = &bytes[..[16, 24, 32][size]];
        let ours = Cmac::new(Encipher::new(Algorithm::Aes, bytes).unwrap()).tag(&data);
        let theirs = match size {
            0 => cmac::Cmac::<aes::Aes128>::new_from_slice(bytes).unwrap().chain_update(&data).finalize(),
            1 => return compare_with_aws_lc(&aws_lc_rs::cmac::AES_192, bytes, &data, &ours),
            _ => return compare_with_aws_lc(&aws_lc_rs::cmac::AES_256, bytes, &data, &ours),
        };
        prop_assert_eq!(&ours[..], &theirs.into_bytes()[..]);
        compare_with_aws_lc(&aws_lc_rs::cmac::AES_128, bytes, &data, &ours)?;
    }

    #[test]
    fn tdes_cmac_agrees_with_another(
        bytes in prop::array::uniform24(any::<u8>()),
        data in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let ours = Cmac::new(Encipher::new(Algorithm::Tdes, &bytes).unwrap()).tag(&data);
        let theirs = cmac::Cmac::<des::TdesEde3>::new_from_slice(&bytes).unwrap();
        let theirs = theirs.chain_update(&data).finalize().into_bytes();
        prop_assert_eq!((&ours[..8], &ours[8..]), (&theirs[..], &[0; 8][..]));
    }

    #[test]
    fn retail_mac_agrees_with_another(
        bytes in prop::array::uniform16(any::<u8>()),
        data in prop::collection::vec(any::<u8>(), 1..700),
    ) {
        let ours = Retail::new(&bytes).unwrap().mac(&data);
        let theirs = retail_mac::RetailMac::<des::Des>::new_from_slice(&bytes).unwrap();
        prop_assert_eq!(&ours[..], &theirs.chain_update(&data).finalize().into_bytes()[..]);
    }

    #[test]
    fn unionpay_mac_agrees_with_another(
        bytes in prop::array::uniform16(any::<u8>()),
        double in any::<bool>(),
        data in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let (algorithm, bytes) = if double { (Algorithm::Tdes, &bytes[..]) } else { (Algorithm::Des, &bytes[..8]) };
        let ours = unionpay_ecb_mac(&Encipher::new(algorithm, bytes).unwrap(), &data);
        let theirs = unionpay_by_the_book(bytes, &data);
        prop_assert_eq!(&ours[..], theirs.as_bytes());
    }
}

fn compare_with_aws_lc(
    algorithm: &aws_lc_rs::cmac::Algorithm,
    key: &[u8],
    data: &[u8],
    ours: &[u8],
) -> Result<(), TestCaseError> {
    let theirs = aws_lc_rs::cmac::sign(&aws_lc_rs::cmac::Key::new(*algorithm, key).unwrap(), data).unwrap();
    prop_assert_eq!(ours, theirs.as_ref());
    Ok(())
}

/// The method told with strings, as terminal manuals tell it.
fn unionpay_by_the_book(key: &[u8], data: &[u8]) -> String {
    let mut sum = 0u64;
    for block in data.chunks(8) {
        let mut padded = [0; 8];
        padded[..block.len()].copy_from_slice(block);
        sum ^= u64::from_be_bytes(padded);
    }
    let text = format!("{sum:016X}");
    let encrypt = |block: [u8; 8]| {
        let mut block = block.into();
        match key.len() {
            8 => des::Des::new_from_slice(key).unwrap().encrypt_block(&mut block),
            _ => des::TdesEde2::new_from_slice(key).unwrap().encrypt_block(&mut block),
        }
        u64::from_be_bytes(block.into())
    };
    let first = encrypt(text.as_bytes()[..8].try_into().unwrap());
    let second = first ^ u64::from_be_bytes(text.as_bytes()[8..].try_into().unwrap());
    format!("{:016X}", encrypt(second.to_be_bytes()))[..8].to_owned()
}
