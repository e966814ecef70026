//! The bytes of commands, and replies that are not what they should be.

use yika_keystore::CvvCard;

use super::*;

const BLOCK: &str = "SD0016P0TB00E0000";
const PAN: &[u8] = b"4111111111111111";

fn key() -> KeyRef {
    KeyRef::new(BLOCK).unwrap()
}

fn text(operation: &Operation<'_>) -> String {
    let command = of(operation).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    format!("{}{}", text(&command.code), text(&command.body)).replace(BLOCK, "<key>")
}

#[test]
fn commands_have_golden_bytes() {
    let key = &key();
    let rule = MacRule { method: MacMethod::Retail, padding: MacPadding::Zeros, bytes: 8 };
    let short = MacRule { method: MacMethod::Cmac, bytes: 4, ..rule };
    let pin = PinIn { from: PinFrom::Zone(key), format: PinFormat::Iso0, pan: PAN, block: &[0xAB; 8] };
    let ksn = &[0x12; 10][..];
    let terminal = PinIn { from: PinFrom::Dukpt { base: key, ksn }, ..pin };
    let card = CvvCard { pan: b"4123456789012345", expiry: *b"8701", service: *b"101" };
    let (table, offset) = (b"1234567890123456", &b"0000"[..]);
    for (operation, expected) in [
        (Operation::GenerateMac { key, rule, data: b"0200" }, "M600131FFF<key>00040200"),
        (
            Operation::VerifyMac { key, rule: short, data: b"0200", mac: &[1; 4] },
            "M800060FFF<key>0004020001010101",
        ),
        (
            Operation::TranslatePin { pin, to: key, to_format: PinFormat::Iso3 },
            "CC<key><key>12ABABABABABABABAB0147111111111111",
        ),
        (
            Operation::TranslatePin { pin, to: key, to_format: PinFormat::Iso4 },
            "CC<key><key>12ABABABABABABABAB01484111111111111111;",
        ),
        (
            Operation::TranslatePin { pin: terminal, to: key, to_format: PinFormat::Iso0 },
            "G0<key><key>A0512121212121212121212ABABABABABABABAB0101111111111111",
        ),
        (
            Operation::VerifyPvv { pin, key, index: 1, pvv: b"8523" },
            "EC<key><key>ABABABABABABABAB0111111111111118523",
        ),
        (
            Operation::VerifyIbm3624 { pin, key, table, validation: &[0x11; 8], offset },
            "EA<key><key>12ABABABABABABABAB01041111111111111234567890123456N111111111110000FFFFFFFF",
        ),
        (
            Operation::VerifyIbm3624 { pin, key, table, validation: &[0x22; 8], offset },
            "EA<key><key>12ABABABABABABABAB01041111111111111234567890123456P22222222222222220000FFFFFFFF",
        ),
        (Operation::GenerateCvv { key, card }, "CW<key>4123456789012345;8701101"),
        (Operation::VerifyCvv { key, card, value: b"561" }, "CY<key>5614123456789012345;8701101"),
        (
            Operation::VerifyDukptMac { base: key, ksn, way: DukptWay::OneWay, data: b"0200", mac: &[1; 4] },
            "GW21<key>A051212121212121212121201010101",
        ),
        (Operation::Random { bytes: 16 }, "N0016"),
        (Operation::CheckValue { key }, "BUFFF<key>;FFF;001"),
    ] {
        let expected =
            if expected.starts_with("GW") { format!("{expected}00040200") } else { expected.to_owned() };
        assert_eq!(text(&operation), expected);
    }
}

#[test]
fn a_cryptogram_has_golden_bytes() {
    let key = &key();
    let of_transaction =
        yika_keystore::EmvTransaction { counter: [0, 7], unpredictable: [1, 2, 3, 4], data: &[0xDA; 9] };
    let card = EmvCard { pan: PAN, sequence: 12, option: CardKeyOption::A };
    let ask = |card, scheme, answer| {
        let arqc = [0xAC; 8];
        let command =
            of(&Operation::VerifyArqc { key, card, scheme, of: of_transaction, arqc, answer }).unwrap();
        (command.code, command.body)
    };
    let (code, body) = ask(card, EmvScheme::VISA_CVN10, Some(ArqcAnswer::Method1(*b"00")));
    let data = [&[0xDA; 9][..], &[0; 7]].concat();
    let expected = [
        b"10",
        BLOCK.as_bytes(),
        b"\x11\x11\x11\x11\x11\x11\x11\x12\0\x07\x01\x02\x03\x0410",
        &data,
        b";",
        &[0xAC; 8],
        b"00",
    ];
    assert_eq!((code, body), (*b"KQ", expected.concat()));
    let card = EmvCard { option: CardKeyOption::B, ..card };
    let (code, body) = ask(card, EmvScheme::VISA_CVN18, Some(ArqcAnswer::Method2([9; 4], &[5; 2])));
    let data = [&[0xDA; 9][..], &[0x80, 0, 0, 0, 0, 0, 0]].concat();
    let expected = [
        b"33",
        BLOCK.as_bytes(),
        b"09\x41\x11\x11\x11\x11\x11\x11\x11\x12;\0\x0710",
        &data,
        b";",
        &[0xAC; 8],
        &[9; 4],
        b"2\x05\x05",
    ];
    assert_eq!((code, body), (*b"KW", expected.concat()));
}

#[test]
fn what_has_no_field_is_denied_and_never_sent() {
    let key = &key();
    let rule = MacRule { method: MacMethod::Retail, padding: MacPadding::Zeros, bytes: 8 };
    let pin = PinIn { from: PinFrom::Zone(key), format: PinFormat::Sm4, pan: PAN, block: &[0; 16] };
    for operation in [
        Operation::GenerateMac { key, rule: MacRule { bytes: 16, ..rule }, data: b"" },
        Operation::GenerateMac { key, rule: MacRule { method: MacMethod::Hmac, ..rule }, data: b"" },
        Operation::GenerateMac { key, rule, data: &[0; 10_000] },
        Operation::TranslatePin { pin, to: key, to_format: PinFormat::Iso0 },
        Operation::EncryptData { key, iv: &[0; 8], data: b"" },
        Operation::VerifyDukptMac {
            base: key,
            ksn: &[1; 10],
            way: DukptWay::OneWay,
            data: b"",
            mac: &[0; 5],
        },
    ] {
        assert!(!can(&operation));
        assert!(matches!(of(&operation), Err(BackendError::NotServed { .. })), "{operation:?}");
    }
}

#[test]
fn keys_that_are_not_as_long_as_they_say_are_never_sent() {
    for text in ["D0016P0TB00E0000", "SD0017P0TB00E0000", "SD0016P0TB00E00000", "U0123456789ABCDEF", "S"] {
        let key = KeyRef::new(text).unwrap();
        assert!(matches!(of(&Operation::CheckValue { key: &key }), Err(BackendError::Key { .. })), "{text}");
    }
}

#[test]
fn replies_are_whole_or_a_fault() {
    let key = &key();
    let rule = MacRule { method: MacMethod::Retail, padding: MacPadding::Zeros, bytes: 4 };
    let make = Operation::GenerateMac { key, rule, data: b"" };
    assert!(matches!(outcome(&make, Code::OK, b"0A0B0C0D"), Ok(Outcome::Mac(_))));
    assert!(matches!(outcome(&make, Code::OK, b"0A0B0C0D\x19t"), Ok(Outcome::Mac(_))));
    for body in [&b""[..], b"0A0B0C0", b"0A0B0C0G", b"0A0B0C0D0E"] {
        assert!(matches!(outcome(&make, Code::OK, body), Err(BackendError::Protocol { .. })));
    }
    let not_verified = outcome(&make, Code::NOT_VERIFIED, b"");
    assert!(matches!(not_verified, Err(BackendError::Protocol { .. })), "M6 verifies nothing");
    let check = Operation::VerifyMac { key, rule, data: b"", mac: &[0; 4] };
    assert!(matches!(outcome(&check, Code::NOT_VERIFIED, b""), Ok(Outcome::Verified(false))));
    let pin = PinIn { from: PinFrom::Zone(key), format: PinFormat::Iso0, pan: PAN, block: &[0; 8] };
    let translate = Operation::TranslatePin { pin, to: key, to_format: PinFormat::Iso0 };
    assert!(matches!(outcome(&translate, Code::OK, b"04000102030405060701"), Ok(Outcome::Pin(_))));
    let other_format = outcome(&translate, Code::OK, b"04000102030405060747");
    assert!(matches!(other_format, Err(BackendError::Protocol { .. })));
}
