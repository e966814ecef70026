//! Published PIN blocks and verification values, agreement with the second implementation, and every refusal.

use super::oracle;
use super::*;
use crate::attributes::Export;
use crate::lmk::Lmk;
use crate::testing::{Seeded, cases, put, store_with, unhex};

const TDES: &str = "0123456789ABCDEF FEDCBA9876543210";
const AES: &str = "00112233445566778899AABBCCDDEEFF";
const PAN: &[u8] = b"6222000000000000017";

fn tdes() -> PinKey {
    key(Algorithm::Tdes, &unhex(TDES))
}

fn aes() -> PinKey {
    key(Algorithm::Aes, &unhex(AES))
}

fn sm4() -> PinKey {
    key(Algorithm::Sm4, &unhex(AES))
}

fn key(algorithm: Algorithm, bytes: &[u8]) -> PinKey {
    store_with(Usage::Pin, algorithm, bytes).pin_key("key").unwrap()
}

/// A handle without a store, for thousands of keys.
fn decrypting(algorithm: Algorithm, key: &[u8]) -> PinDecryptKey {
    let opener = PinOpener::new(algorithm, key).unwrap();
    PinDecryptKey(Arc::new(DecryptInner { opener, check_value: [0; 3] }))
}

fn encrypting(algorithm: Algorithm, key: &[u8]) -> PinEncryptKey {
    let encipher = Encipher::new(algorithm, key).unwrap();
    PinEncryptKey(Arc::new(EncryptInner { algorithm, encipher, check_value: [0; 3] }))
}

/// The clear block, by taking the cipher off again.
fn clear(format: PinFormat, pin: &[u8], pan: &[u8], fill: &[u8; 16]) -> Vec<u8> {
    let key = unhex(TDES);
    let encipher = Encipher::new(format.algorithm(), &key).unwrap();
    let (pan, pin) = (Pan::new(pan).unwrap(), ClearPin::from_ascii(pin).unwrap());
    oracle::cipher(format, &key, block::seal_filled(&encipher, format, &pan, &pin, fill).as_bytes(), false)
}

#[test]
fn format_0_vectors() {
    let field_0 = |pin: &[u8], pan: &[u8]| clear(PinFormat::Iso0, pin, pan, &[0; 16]);
    assert_eq!(field_0(b"1234", b"5555555551234567"), unhex("041261AAAAEDCBA9"));
    assert_eq!(field_0(b"123456789012", b"5555555551234567"), unhex("0C1261032D8226A9"));
    // X9.24-1:2009 annex A.4: the clear block, and the encrypted one under the PIN key of the first row.
    assert_eq!(field_0(b"1234", b"4012345678909"), unhex("041274EDCBA9876F"));
    let bytes = unhex("042666B49184CF5C 68DE9628D0397B36");
    let block =
        encrypt_test_pin(&key(Algorithm::Tdes, &bytes), PinFormat::Iso0, b"4012345678909", b"1234").unwrap();
    assert_eq!(block.as_bytes(), unhex("1B9C1845EB993A7A"));
    assert_eq!(oracle::seal(PinFormat::Iso0, &bytes, "1234", "4012345678909", ""), block.as_bytes());
}

#[test]
fn format_1_and_3_vectors() {
    // The published nonce 9A33C56F87A9CBED gives its last nibbles to the block.
    let mut fill = [0; 16];
    for (at, nibble) in fill[5..].iter_mut().zip([0xE, 0xD, 0xC, 0xB, 0xA, 9, 8, 7, 6]) {
        *at = nibble;
    }
    assert_eq!(clear(PinFormat::Iso1, b"12345", PAN, &fill), unhex("1512345EDCBA9876"));
    // All fill F, one of the valid encodings of format 3: 5 is the sixth letter.
    let block = clear(PinFormat::Iso3, b"1234", b"5555555551234567", &[5; 16]);
    assert_eq!(block, unhex("341261AAAAEDCBA9"));
    let cipher = oracle::cipher(PinFormat::Iso3, &unhex(TDES), &block, true);
    let found = oracle::open(PinFormat::Iso3, &unhex(TDES), "5555555551234567", &cipher);
    assert_eq!(found.as_deref(), Some("1234"));
    let block = EncryptedPin::from_bytes(&cipher).unwrap();
    let same = matches_test_pin(&tdes(), PinFormat::Iso3, b"5555555551234567", &block, b"1234");
    assert_eq!(same, Ok(true));
}

#[test]
fn format_4_vectors() {
    let seal = |key: &str, pan: &str, fill: &str| {
        let encipher = Encipher::new(Algorithm::Aes, &unhex(key)).unwrap();
        let (pan_field, pin) = (Pan::new(pan.as_bytes()).unwrap(), ClearPin::from_ascii(b"1234").unwrap());
        let random = unhex(&format!("0000000000000000{fill}")).try_into().unwrap();
        let ours = block::seal_filled(&encipher, PinFormat::Iso4, &pan_field, &pin, &random);
        assert_eq!(ours.as_bytes(), oracle::seal(PinFormat::Iso4, &unhex(key), "1234", pan, fill));
        crate::secret::hex(ours.as_bytes())
    };
    let block = seal(AES, "1234567890123456789", "FFFFFFFFFFFFFFFF");
    assert_eq!(block, "28B41FDDD29B743E93124BD8E32D921E");
    // X9.24-3:2017 supplement, KSN 1: PIN field 441234AAAAAAAAAA 2F69ADDE2E9E7ACE.
    let block = seal("AF8CB133A78F8DC2D1359F18527593FB", "4111111111111111", "2F69ADDE2E9E7ACE");
    assert_eq!(block, "A912150391AB65A67E52883D81CE2D15");
}

#[test]
fn sm4_format_has_the_bytes_that_its_description_says() {
    let block = clear(PinFormat::Sm4, b"123456", b"6222000000000000017", &[0; 16]);
    assert_eq!(block, unhex("06123456FFFFFFFF FFFFFFFFFFFFFFFE"));
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

/// PCI PIN requirement 3-3, written out: from, then every format it may become.
#[test]
fn the_matrix_of_translations_is_that_of_pci() {
    use PinFormat::{Iso0, Iso1, Iso3, Iso4, Sm4};
    for from in PinFormat::ALL {
        let allowed: Vec<_> = PinFormat::ALL.into_iter().filter(|to| from.may_become(*to)).collect();
        assert_eq!(allowed, [Iso0, Iso3, Iso4, Sm4], "{from:?}");
        for to in PinFormat::ALL {
            let keys = [tdes(), aes(), sm4()];
            let fits = |format: PinFormat| match format.algorithm() {
                Algorithm::Tdes => &keys[0],
                Algorithm::Aes => &keys[1],
                _ => &keys[2],
            };
            let block = encrypt_test_pin(fits(from), from, PAN, b"123456").unwrap();
            let (source, sink) = (fits(from).decrypting().unwrap(), fits(to).encrypting().unwrap());
            let moved = translate_pin(source, from, sink, to, PAN, &block);
            if to == Iso1 {
                assert_eq!(moved.err(), Some(PinError::Translation { from, to }));
                continue;
            }
            let moved = moved.unwrap();
            assert_eq!(moved.as_bytes().len(), to.block_bytes());
            assert_eq!(matches_test_pin(fits(to), to, PAN, &moved, b"123456"), Ok(true), "{from:?} {to:?}");
            assert_eq!(matches_test_pin(fits(to), to, PAN, &moved, b"123457"), Ok(false));
            assert_eq!(matches_test_pin(fits(to), to, PAN, &moved, b"1234560"), Ok(false));
        }
    }
}

#[test]
fn formats_with_a_fill_never_give_the_same_block_twice() {
    for (key, format) in [(aes(), PinFormat::Iso4), (tdes(), PinFormat::Iso3), (tdes(), PinFormat::Iso1)] {
        let block = || encrypt_test_pin(&key, format, PAN, b"1234").unwrap();
        assert_ne!(block().as_bytes(), block().as_bytes(), "{format:?}");
    }
}

#[test]
fn another_pan_is_refused() {
    for (key, format) in [
        (tdes(), PinFormat::Iso0),
        (tdes(), PinFormat::Iso3),
        (aes(), PinFormat::Iso4),
        (sm4(), PinFormat::Sm4),
    ] {
        let block = encrypt_test_pin(&key, format, PAN, b"1234").unwrap();
        // Every digit that format 0 covers, changed so that a digit of the PIN turns into a letter.
        let other = b"6222000000009900017";
        let (from, to) = (key.decrypting().unwrap(), key.encrypting().unwrap());
        let moved = translate_pin(from, format, to, format, other, &block);
        assert_eq!(moved.err(), Some(PinError::Block), "{format:?}");
    }
}

#[test]
fn lengths_and_values_give_two_different_answers() {
    let translate = |format: PinFormat, clear: &str| {
        let (key, mut field) = (unhex(TDES), unhex(clear));
        if format != PinFormat::Iso1 {
            let pan = Pan::new(PAN).unwrap().field_0();
            field.iter_mut().rev().zip(pan.iter().rev()).for_each(|(byte, pan)| *byte ^= pan);
        }
        let block = EncryptedPin::from_bytes(&oracle::cipher(format, &key, &field, true)).unwrap();
        let (from, to) = (decrypting(format.algorithm(), &key), encrypting(Algorithm::Tdes, &key));
        translate_pin(&from, format, &to, PinFormat::Iso0, PAN, &block).map(drop)
    };
    for (format, clear) in [
        (PinFormat::Iso0, "041234FFFFFFFFFF"),
        (PinFormat::Iso1, "1412340123456789"),
        (PinFormat::Iso3, "341234ABCDEFFFAB"),
        (PinFormat::Sm4, "041234FFFFFFFFFFFFFFFFFFFFFFFFFF"),
    ] {
        assert_eq!(translate(format, clear), Ok(()));
    }
    for (format, clear, error) in [
        (PinFormat::Iso0, "03123FFFFFFFFFFF", PinError::PinLength),
        (PinFormat::Iso0, "00FFFFFFFFFFFFFF", PinError::PinLength),
        (PinFormat::Iso0, "0D1234567890123F", PinError::PinLength),
        (PinFormat::Iso0, "0E12345678901234", PinError::PinLength),
        (PinFormat::Iso0, "0F12345678901234", PinError::PinLength),
        (PinFormat::Iso0, "141234FFFFFFFFFF", PinError::Block),
        (PinFormat::Iso0, "041234FFFFFFFFF0", PinError::Block),
        (PinFormat::Iso0, "0412345FFFFFFFFF", PinError::Block),
        (PinFormat::Iso0, "04123AFFFFFFFFFF", PinError::Block),
        (PinFormat::Iso0, "441234AAAAAAAAAA", PinError::Block),
        (PinFormat::Iso1, "13123FFFFFFFFFFF", PinError::PinLength),
        (PinFormat::Iso1, "041234FFFFFFFFFF", PinError::Block),
        (PinFormat::Iso1, "14123A0123456789", PinError::Block),
        (PinFormat::Iso3, "341234ABCDEFFFA9", PinError::Block),
        (PinFormat::Iso3, "041234FFFFFFFFFF", PinError::Block),
        (PinFormat::Sm4, "041234FFFFFFFFFFFFFFFFFFFFFFFFF0", PinError::Block),
        (PinFormat::Sm4, "041234FFFFFFFFFF0FFFFFFFFFFFFFFF", PinError::Block),
        (PinFormat::Sm4, "03123FFFFFFFFFFFFFFFFFFFFFFFFFFF", PinError::PinLength),
    ] {
        assert_eq!(translate(format, clear), Err(error), "{format:?} {clear}");
    }
}

#[test]
fn key_mode_and_format_are_enforced() {
    let store = Keystore::in_memory(Lmk::test());
    put(&store, "in", Usage::Pin, Algorithm::Tdes, Mode::Decrypt, &unhex(TDES));
    put(&store, "out", Usage::Pin, Algorithm::Tdes, Mode::Encrypt, &unhex(TDES));
    let (input, output) = (store.pin_key("in").unwrap(), store.pin_key("out").unwrap());
    assert_eq!(output.decrypting().err(), Some(PinError::Mode { operation: "decrypt" }));
    assert_eq!(input.encrypting().err(), Some(PinError::Mode { operation: "encrypt" }));
    use PinFormat::{Iso0, Iso4, Sm4};
    let block = encrypt_test_pin(&output, Iso0, PAN, b"1234").unwrap();
    let run = |from: &PinKey, from_format, to: &PinKey, to_format| {
        let (from, to) = (from.decrypting().unwrap(), to.encrypting().unwrap());
        translate_pin(from, from_format, to, to_format, PAN, &block).map(drop)
    };
    assert_eq!(run(&input, Iso0, &output, Iso0), Ok(()));
    let format = |format, algorithm| Err(PinError::Format { format, algorithm });
    assert_eq!(run(&input, Iso4, &output, Iso0), format(Iso4, Algorithm::Tdes));
    assert_eq!(run(&input, Iso0, &output, Iso4), format(Iso4, Algorithm::Tdes));
    assert_eq!(run(&input, Iso0, &output, Sm4), format(Sm4, Algorithm::Tdes));
    assert_eq!(run(&aes(), Iso0, &output, Iso0), format(Iso0, Algorithm::Aes));
    assert_eq!(run(&aes(), Sm4, &output, Iso0), format(Sm4, Algorithm::Aes));
    assert!(matches!(run(&aes(), Iso4, &output, Iso0), Err(PinError::BlockLength { bytes: 8, .. })));
    assert!(matches!(run(&sm4(), Sm4, &output, Iso0), Err(PinError::BlockLength { bytes: 8, .. })));
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

/// Every pair of formats, keys of every length; the block made and opened by the second implementation.
#[test]
fn translation_agrees_with_another() {
    let mut seeded = Seeded::new(9564);
    for case in 0..cases() {
        let from = PinFormat::ALL[seeded.below(5)];
        let to = PinFormat::ALL[seeded.below(5)];
        let (from_key, to_key) = (some_key(&mut seeded, from), some_key(&mut seeded, to));
        let (digits, pan_digits) = (4 + seeded.below(9), 8 + seeded.below(12));
        let (pin, pan) = (seeded.digits(digits), seeded.digits(pan_digits));
        let block = oracle::seal(from, &from_key, &pin, &pan, &some_fill(&mut seeded, from));
        let (source, sink) = (decrypting(from.algorithm(), &from_key), encrypting(to.algorithm(), &to_key));
        let block = EncryptedPin::from_bytes(&block).unwrap();
        let moved = translate_pin(&source, from, &sink, to, pan.as_bytes(), &block);
        if to == PinFormat::Iso1 {
            assert_eq!(moved.err(), Some(PinError::Translation { from, to }));
            continue;
        }
        let moved = oracle::open(to, &to_key, &pan, moved.unwrap().as_bytes());
        assert_eq!(moved.as_ref(), Some(&pin), "case {case}: {from:?} to {to:?}");
    }
}

/// A block with one bit changed, or of chance: both implementations find the same PIN or none.
#[test]
fn damage_is_judged_as_by_another() {
    let mut seeded = Seeded::new(3);
    let (mut good, mut bad) = (0, 0);
    for case in 0..cases() {
        let format = PinFormat::ALL[seeded.below(5)];
        let key = some_key(&mut seeded, format);
        let (pin, pan) = (seeded.digits(4 + case as usize % 9), seeded.digits(16));
        // The clear block is near a valid one, so that every check is met often.
        let whole = oracle::seal(format, &key, &pin, &pan, &some_fill(&mut seeded, format));
        let mut clear = oracle::cipher(format, &key, &whole, false);
        let bit = seeded.below(clear.len() * 8);
        clear[bit / 8] ^= 1 << (bit % 8);
        let block = oracle::cipher(format, &key, &clear, true);
        let expected = oracle::open(format, &key, &pan, &block);
        let (source, sink) =
            (decrypting(format.algorithm(), &key), encrypting(Algorithm::Tdes, &unhex(TDES)));
        let block = EncryptedPin::from_bytes(&block).unwrap();
        let moved = translate_pin(&source, format, &sink, PinFormat::Iso0, pan.as_bytes(), &block).ok();
        let found = moved.and_then(|m| oracle::open(PinFormat::Iso0, &unhex(TDES), &pan, m.as_bytes()));
        assert_eq!(found, expected, "case {case}: {format:?}");
        if found.is_some() { good += 1 } else { bad += 1 }
    }
    assert!(good > 0 && bad > good, "{good} passed, {bad} did not");
}

fn some_key(seeded: &mut Seeded, format: PinFormat) -> Vec<u8> {
    let lengths: &[usize] = match format.algorithm() {
        Algorithm::Tdes => &[16, 24],
        Algorithm::Aes => &[16, 24, 32],
        _ => &[16],
    };
    let len = lengths[seeded.below(lengths.len())];
    seeded.bytes(len)
}

fn some_fill(seeded: &mut Seeded, format: PinFormat) -> String {
    let digits: &[u8] = if format == PinFormat::Iso3 { b"ABCDEF" } else { b"0123456789ABCDEF" };
    (0..16).map(|_| char::from(digits[seeded.below(digits.len())])).collect()
}

/// Verification of PINs: PVV and IBM 3624.
mod verify {
    use super::*;

    const PVK: &str = "0123456789ABCDEFFEDCBA9876543210";
    const PAN: &str = "1122334455667788";
    const TABLE: &str = "1234567890123456";

    fn block(pan: &str, pin: &str) -> EncryptedPin {
        EncryptedPin::from_bytes(&oracle::seal(PinFormat::Iso0, &unhex(TDES), pin, pan, "")).unwrap()
    }

    fn pin_key() -> PinDecryptKey {
        decrypting(Algorithm::Tdes, &unhex(TDES))
    }

    fn pvv_keys(key: &[u8]) -> (PvvGenerateKey, PvvVerifyKey) {
        let store = store_with(Usage::PinVerifyPvv, Algorithm::Tdes, key);
        (store.pvv_generate_key("key").unwrap(), store.pvv_verify_key("key").unwrap())
    }

    fn ibm_keys(key: &[u8]) -> (Ibm3624GenerateKey, Ibm3624VerifyKey) {
        let store = store_with(Usage::PinVerifyIbm3624, Algorithm::Tdes, key);
        (store.ibm3624_generate_key("key").unwrap(), store.ibm3624_verify_key("key").unwrap())
    }

    #[test]
    fn pvv_vectors() {
        let (generate, verify) = pvv_keys(&unhex(PVK));
        let from = &pin_key();
        for (index, pin, pan, pvv) in [
            (1, "4524", PAN, "8523"),
            (2, "1912", PAN, "3244"),
            (1, "0570", "1122334455667718", "3144"),
            (1, "8299", "1122334455667708", "4422"),
        ] {
            let (block, bytes) = (block(pan, pin), pan.as_bytes());
            let made = generate.generate(from, PinFormat::Iso0, bytes, &block, index).unwrap();
            assert_eq!(
                (&made[..], oracle::pvv(&unhex(PVK), pan, index, pin)),
                (pvv.as_bytes(), pvv.to_owned())
            );
            assert_eq!(verify.verify(from, PinFormat::Iso0, bytes, &block, index, &made), Ok(true));
            for wrong in 0..4 {
                let mut other = made;
                other[wrong] = b'0' + (other[wrong] - b'0' + 1) % 10;
                assert_eq!(verify.verify(from, PinFormat::Iso0, bytes, &block, index, &other), Ok(false));
            }
        }
    }

    #[test]
    fn ibm_3624_vectors() {
        let (generate, verify) = ibm_keys(&unhex(PVK));
        let (from, table) = (&pin_key(), DecimalTable::new(TABLE.as_bytes()).unwrap());
        for (offset, start, digits, pad, pin) in [
            ("0000", 0, 16, 0xF, "4524"),
            ("1111", 0, 16, 0xF, "5635"),
            ("6586", 0, 16, 0xF, "0000"),
            ("7697", 0, 16, 0xF, "1111"),
            ("7710", 0, 16, 0xF, "1234"),
            ("0000", 0, 14, 0xF, "5518"),
            ("0000", 1, 14, 0x1, "3675"),
            ("0000", 2, 14, 0x1, "5550"),
        ] {
            let (block, pan) = (block(PAN, pin), PAN.as_bytes());
            let data = ValidationData::of_pan(pan, start, digits, pad).unwrap();
            assert_eq!(oracle::ibm_pin(&unhex(PVK), &data.0, TABLE, offset), pin);
            let made = generate.offset(from, PinFormat::Iso0, pan, &block, &data, &table).unwrap();
            assert_eq!(made.as_bytes(), offset.as_bytes());
            let ask = |offset: &str| {
                let offset = PinOffset::new(offset.as_bytes()).unwrap();
                verify.verify(from, PinFormat::Iso0, pan, &block, &data, &table, &offset)
            };
            assert_eq!(ask(offset), Ok(true));
            assert_eq!(ask(&format!("{offset}0")), Ok(false), "an offset of another length");
            assert_eq!(ask("9999"), Ok(false));
        }
    }

    #[test]
    fn parameters_are_checked() {
        let (generate, verify) = pvv_keys(&unhex(PVK));
        let (from, short) = (&pin_key(), "11223344556");
        let refused =
            |what| move |error: &PinError| matches!(error, PinError::Parameter { what: w, .. } if *w == what);
        let made = generate.generate(from, PinFormat::Iso0, PAN.as_bytes(), &block(PAN, "1234"), 7);
        assert!(made.as_ref().is_err_and(refused("PVV key index")), "{made:?}");
        let made = generate.generate(from, PinFormat::Iso0, short.as_bytes(), &block(short, "1234"), 1);
        assert!(made.as_ref().is_err_and(refused("PAN")), "{made:?}");
        let asked = verify.verify(from, PinFormat::Iso0, PAN.as_bytes(), &block(PAN, "1234"), 1, b"12a4");
        assert!(asked.as_ref().is_err_and(refused("PVV")), "{asked:?}");
        for table in ["123456789012345", "12345678901234567", "123456789012345A", "", "0000000000000000"] {
            assert!(DecimalTable::new(table.as_bytes()).as_ref().is_err_and(refused("decimalisation table")));
        }
        // Seven different digits; and eight, one of them five times.
        assert!(DecimalTable::new(b"0123456012345601").is_err());
        assert!(DecimalTable::new(b"0123456700012345").is_ok());
        assert!(DecimalTable::new(b"0123456700001234").is_err());
        for offset in [&b""[..], b"123", b"1234567890123", b"12a4"] {
            assert!(PinOffset::new(offset).is_err());
        }
        for (start, digits, pad) in [(1, 16, 15), (0, 17, 15), (0, 3, 15), (0, 16, 16), (usize::MAX, 4, 0)] {
            assert!(ValidationData::of_pan(PAN.as_bytes(), start, digits, pad).is_err());
        }
    }

    #[test]
    fn pvv_agrees_with_another() {
        let mut seeded = Seeded::new(4);
        for case in 0..cases() {
            let key: [u8; 16] = seeded.array();
            let cipher = Arc::new(Encipher::new(Algorithm::Tdes, &key).unwrap());
            let (generate, verify) = pvv::of_cipher(cipher);
            let (pin, pan) = (seeded.digits(4 + case as usize % 9), seeded.digits(12 + case as usize % 8));
            let index = seeded.below(7) as u8;
            let (block, from, pan_bytes) = (block(&pan, &pin), &pin_key(), pan.as_bytes());
            let ours = generate.generate(from, PinFormat::Iso0, pan_bytes, &block, index).unwrap();
            assert_eq!(&ours[..], oracle::pvv(&key, &pan, index, &pin).as_bytes(), "case {case}");
            assert_eq!(verify.verify(from, PinFormat::Iso0, pan_bytes, &block, index, &ours), Ok(true));
        }
    }

    #[test]
    fn ibm_3624_agrees_with_another() {
        let mut seeded = Seeded::new(3624);
        for case in 0..cases() {
            let key = if case % 2 == 0 { seeded.bytes(16) } else { seeded.bytes(24) };
            let cipher = Arc::new(Encipher::new(Algorithm::Tdes, &key).unwrap());
            let (generate, verify) = ibm3624::of_cipher(cipher);
            let mut table: Vec<u8> = b"0123456789".repeat(2)[..16].to_vec();
            (0..16).for_each(|n| table.swap(n, seeded.below(16)));
            let text = String::from_utf8(table.clone()).unwrap();
            let (data, table) = (seeded.array(), DecimalTable::new(&table).unwrap());
            let (pin, pan) = (seeded.digits(4 + case as usize % 9), seeded.digits(16));
            let (block, from, data) = (block(&pan, &pin), &pin_key(), ValidationData::from_bytes(data));
            let ours = generate.offset(from, PinFormat::Iso0, pan.as_bytes(), &block, &data, &table).unwrap();
            let offset = std::str::from_utf8(ours.as_bytes()).unwrap();
            assert_eq!(oracle::ibm_pin(&key, &data.0, &text, offset), pin, "case {case}");
            let ask = |offset: &PinOffset| {
                verify.verify(from, PinFormat::Iso0, pan.as_bytes(), &block, &data, &table, offset)
            };
            assert_eq!(ask(&ours), Ok(true), "case {case}");
            let mut other = ours.as_bytes().to_vec();
            let at = seeded.below(other.len());
            other[at] = b'0' + (other[at] - b'0' + 1 + seeded.below(9) as u8) % 10;
            assert_eq!(ask(&PinOffset::new(&other).unwrap()), Ok(false), "case {case}");
        }
    }
}
