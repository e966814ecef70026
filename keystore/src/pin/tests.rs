//! Published PIN blocks, agreement with another implementation, and every refusal.

use des::cipher::{BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _};
use proptest::prelude::*;

use super::*;
use crate::attributes::Export;
use crate::lmk::Lmk;
use crate::store::Keystore;
use crate::testing::{put, store_with, unhex};

const TDES: &str = "0123456789ABCDEF FEDCBA9876543210";
const AES: &str = "00112233445566778899AABBCCDDEEFF";
const PAN: &[u8] = b"6222000000000000017";

fn tdes() -> PinKey {
    store_with(Usage::Pin, Algorithm::Tdes, &unhex(TDES)).pin_key("key").unwrap()
}

fn aes() -> PinKey {
    store_with(Usage::Pin, Algorithm::Aes, &unhex(AES)).pin_key("key").unwrap()
}

fn field_0(pin: &[u8], pan: &[u8]) -> Vec<u8> {
    let mut field = [0; 8];
    ClearPin::from_ascii(pin).unwrap().write_field(&mut field, 0, 0xF);
    xor(&mut field, &Pan::new(pan).unwrap().field_0());
    field.to_vec()
}

#[test]
fn format_0_vectors() {
    assert_eq!(field_0(b"1234", b"5555555551234567"), unhex("041261AAAAEDCBA9"));
    assert_eq!(field_0(b"123456789012", b"5555555551234567"), unhex("0C1261032D8226A9"));
    // X9.24-1:2009 annex A.4: the clear block, and the encrypted one under the PIN key of the first row.
    assert_eq!(field_0(b"1234", b"4012345678909"), unhex("041274EDCBA9876F"));
    let key = store_with(Usage::Pin, Algorithm::Tdes, &unhex("042666B49184CF5C 68DE9628D0397B36"));
    let key = key.pin_key("key").unwrap();
    let block = encrypt_test_pin(&key, PinFormat::Iso0, b"4012345678909", b"1234").unwrap();
    assert_eq!(block.as_bytes(), unhex("1B9C1845EB993A7A"));
}

#[test]
fn format_4_vectors() {
    let encipher = Encipher::new(Algorithm::Aes, &unhex(AES)).unwrap();
    let (pan, pin) = (Pan::new(b"1234567890123456789").unwrap(), ClearPin::from_ascii(b"1234").unwrap());
    let block = encrypt_iso4(&encipher, &pan, &pin, [0xFF; 8]);
    assert_eq!(block.as_bytes(), unhex("28B41FDDD29B743E93124BD8E32D921E"));
    // X9.24-3:2017 supplement, KSN 1: PIN field 441234AAAAAAAAAA 2F69ADDE2E9E7ACE.
    let encipher = Encipher::new(Algorithm::Aes, &unhex("AF8CB133A78F8DC2D1359F18527593FB")).unwrap();
    let pan = Pan::new(b"4111111111111111").unwrap();
    let block = encrypt_iso4(&encipher, &pan, &pin, unhex("2F69ADDE2E9E7ACE").try_into().unwrap());
    assert_eq!(block.as_bytes(), unhex("A912150391AB65A67E52883D81CE2D15"));
}

#[test]
fn pan_fields() {
    let field = |pan: &'static [u8]| Pan::new(pan).unwrap().field_4().to_vec();
    assert_eq!(field(b"112233445566778899"), unhex("61122334455667788990000000000000"));
    assert_eq!(field(b"4111111111111111"), unhex("44111111111111111000000000000000"));
    assert_eq!(field(b"12345678"), unhex("00000123456780000000000000000000"));
    assert_eq!(Pan::new(b"12345678").unwrap().field_0()[..], unhex("0000000001234567"));
    for wrong in [&b""[..], b"1234567", b"12345678901234567890", b"411111111111111x", b"4111 11111111111"] {
        assert_eq!(Pan::new(wrong).err(), Some(PinError::Pan { bytes: wrong.len() }));
    }
}

#[test]
fn a_pin_survives_every_allowed_translation() {
    let (tdes, aes) = (tdes(), aes());
    let sides = [(&tdes, PinFormat::Iso0), (&aes, PinFormat::Iso4)];
    for pin in ["1234", "98765", "123456789012"] {
        for (from, from_format) in sides {
            for (to, to_format) in sides {
                let block = encrypt_test_pin(from, from_format, PAN, pin.as_bytes()).unwrap();
                let moved = translate_pin(from, from_format, to, to_format, PAN, &block).unwrap();
                assert_eq!(moved.as_bytes().len(), to_format.block_bytes());
                assert_eq!(matches_test_pin(to, to_format, PAN, &moved, pin.as_bytes()), Ok(true));
                assert_eq!(matches_test_pin(to, to_format, PAN, &moved, b"0000"), Ok(false));
            }
        }
    }
}

#[test]
fn format_4_never_gives_the_same_block_twice() {
    let key = aes();
    let block = || encrypt_test_pin(&key, PinFormat::Iso4, PAN, b"1234").unwrap();
    assert_ne!(block().as_bytes(), block().as_bytes());
}

#[test]
fn another_pan_or_key_is_refused() {
    let (tdes, aes) = (tdes(), aes());
    for (key, format) in [(&tdes, PinFormat::Iso0), (&aes, PinFormat::Iso4)] {
        let block = encrypt_test_pin(key, format, PAN, b"1234").unwrap();
        // Every digit that format 0 covers, changed so that a digit of the PIN turns into a letter.
        let other = b"6222000000009900017";
        let moved = translate_pin(key, format, key, format, other, &block);
        assert_eq!(moved.err(), Some(PinError::Block), "{format:?}");
    }
}

#[test]
fn lengths_and_values_give_two_different_answers() {
    let key = Encipher::new(Algorithm::Tdes, &unhex(TDES)).unwrap();
    let pan = Pan::new(PAN).unwrap();
    let translate = |clear: &str| {
        let mut field = unhex(clear);
        xor(&mut field, &pan.field_0());
        key.block(&mut field);
        let block = EncryptedPin::from_bytes(&field).unwrap();
        translate_pin(&tdes(), PinFormat::Iso0, &tdes(), PinFormat::Iso0, PAN, &block).map(drop)
    };
    assert_eq!(translate("041234FFFFFFFFFF"), Ok(()));
    for (clear, error) in [
        ("03123FFFFFFFFFFF", PinError::PinLength),
        ("00FFFFFFFFFFFFFF", PinError::PinLength),
        ("0D1234567890123F", PinError::PinLength),
        ("0E12345678901234", PinError::PinLength),
        ("0F12345678901234", PinError::PinLength),
        ("141234FFFFFFFFFF", PinError::Block),
        ("041234FFFFFFFFF0", PinError::Block),
        ("0412345FFFFFFFFF", PinError::Block),
        ("04123AFFFFFFFFFF", PinError::Block),
        ("441234AAAAAAAAAA", PinError::Block),
    ] {
        assert_eq!(translate(clear), Err(error), "{clear}");
    }
}

#[test]
fn key_mode_and_format_are_enforced() {
    let store = Keystore::in_memory(Lmk::test());
    put(&store, "in", Usage::Pin, Algorithm::Tdes, Mode::Decrypt, &unhex(TDES));
    put(&store, "out", Usage::Pin, Algorithm::Tdes, Mode::Encrypt, &unhex(TDES));
    let (input, output) = (store.pin_key("in").unwrap(), store.pin_key("out").unwrap());
    use PinFormat::{Iso0, Iso4};
    let block = encrypt_test_pin(&output, Iso0, PAN, b"1234").unwrap();
    let run = |from, from_format, to, to_format| {
        translate_pin(from, from_format, to, to_format, PAN, &block).map(drop)
    };
    assert_eq!(run(&input, Iso0, &output, Iso0), Ok(()));
    assert_eq!(run(&output, Iso0, &output, Iso0), Err(PinError::Mode { operation: "decrypt" }));
    assert_eq!(run(&input, Iso0, &input, Iso0), Err(PinError::Mode { operation: "encrypt" }));
    let format = |format, algorithm| Err(PinError::Format { format, algorithm });
    assert_eq!(run(&input, Iso4, &output, Iso0), format(Iso4, Algorithm::Tdes));
    assert_eq!(run(&input, Iso0, &output, Iso4), format(Iso4, Algorithm::Tdes));
    assert_eq!(run(&aes(), Iso0, &output, Iso0), format(Iso0, Algorithm::Aes));
    let short = translate_pin(&aes(), Iso4, &output, Iso0, PAN, &block).map(drop);
    assert!(matches!(short, Err(PinError::BlockLength { bytes: 8, .. })));
    for bytes in [0, 7, 9, 15, 17, 64] {
        assert!(EncryptedPin::from_bytes(&vec![0; bytes]).is_err(), "{bytes}");
    }
}

#[test]
fn test_pins_need_the_test_master_key() {
    let store = Keystore::in_memory(Lmk::random());
    store.generate("key", Usage::Pin, Algorithm::Tdes, Mode::Both, Export::N).unwrap();
    let key = store.pin_key("key").unwrap();
    let refused = encrypt_test_pin(&key, PinFormat::Iso0, PAN, b"1234");
    assert_eq!(refused.err(), Some(PinError::NotATestKey));
    let block = EncryptedPin::from_bytes(&[0; 8]).unwrap();
    let refused = matches_test_pin(&key, PinFormat::Iso0, PAN, &block, b"1234");
    assert_eq!(refused, Err(PinError::NotATestKey));
    for pin in [&b"123"[..], b"1234567890123", b""] {
        assert_eq!(encrypt_test_pin(&tdes(), PinFormat::Iso0, PAN, pin).err(), Some(PinError::PinLength));
    }
    assert_eq!(encrypt_test_pin(&tdes(), PinFormat::Iso0, PAN, b"12a4").err(), Some(PinError::Block));
}

#[test]
fn debug_tells_nothing() {
    let block = EncryptedPin::from_bytes(&[0xAB; 8]).unwrap();
    assert_eq!(format!("{block:?}"), "EncryptedPin(8 bytes, not shown)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn translation_agrees_with_another(
        left in prop::array::uniform16(any::<u8>()),
        right in prop::array::uniform24(any::<u8>()),
        pin in "[0-9]{4,12}",
        pan in "[0-9]{8,19}",
    ) {
        let store = store_with(Usage::Pin, Algorithm::Tdes, &left);
        put(&store, "right", Usage::Pin, Algorithm::Tdes, Mode::Both, &right);
        let (from, to) = (store.pin_key("key").unwrap(), store.pin_key("right").unwrap());
        let clear = by_the_book(&pin, &pan);
        let (left, right) = (des::TdesEde2::new_from_slice(&left).unwrap(), des::TdesEde3::new_from_slice(&right).unwrap());
        let (mut block, mut expected) = (clear.into(), clear.into());
        left.encrypt_block(&mut block);
        right.encrypt_block(&mut expected);
        let block = EncryptedPin::from_bytes(&block).unwrap();
        let moved = translate_pin(&from, PinFormat::Iso0, &to, PinFormat::Iso0, pan.as_bytes(), &block).unwrap();
        prop_assert_eq!(moved.as_bytes(), &expected[..]);
    }

    #[test]
    fn format_4_agrees_with_another(
        key in prop::array::uniform32(any::<u8>()),
        pin in "[0-9]{4,12}",
        pan in "[0-9]{12,19}",
    ) {
        let ours = store_with(Usage::Pin, Algorithm::Aes, &key).pin_key("key").unwrap();
        let block = encrypt_test_pin(&ours, PinFormat::Iso4, pan.as_bytes(), pin.as_bytes()).unwrap();
        let theirs = aes::Aes256::new_from_slice(&key).unwrap();
        let mut field = aes::Block::try_from(block.as_bytes()).unwrap();
        theirs.decrypt_block(&mut field);
        let account = format!("{}{pan}", pan.len() - 12);
        xor(&mut field, &unhex(&format!("{account:0<32}")));
        theirs.decrypt_block(&mut field);
        prop_assert_eq!(&field[..8], unhex(&format!("{:A<16}", format!("4{:X}{pin}", pin.len()))));
    }
}

/// Format 0 told with strings.
fn by_the_book(pin: &str, pan: &str) -> [u8; 8] {
    let field = format!("{:F<16}", format!("0{:X}{pin}", pin.len()));
    let account = &pan[..pan.len() - 1];
    let account = format!("{:0>16}", &account[account.len().saturating_sub(12)..]);
    let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
    (number(&field) ^ number(&account)).to_be_bytes()
}
