//! The simulator by its frames: golden bytes, every command cut at every byte, garbage behind every code, keys in and out.

use std::sync::Arc;

use proptest::prelude::{any, proptest};
use yika_keystore::{
    ArqcAnswer, CardKeyOption, CvvCard, DukptWay, EmvCard, EmvScheme, EmvTransaction, Lmk, MacMethod,
    MacPadding, MacRule, PinFormat, PinFrom, PinIn, Usage,
};

use super::*;
use crate::command;

fn simulator() -> Simulator {
    Simulator::new(Arc::new(Keystore::in_memory(Lmk::test())), SimulatorConfig::default())
}

fn ask(simulator: &Simulator, command: &str) -> String {
    let reply = simulator.answer(format!("HEAD{command}").as_bytes());
    String::from_utf8(reply).unwrap().strip_prefix("HEAD").unwrap().to_owned()
}

/// A new key by A0, as `S` and its block.
fn made(simulator: &Simulator, attributes: &str) -> String {
    let reply = ask(simulator, &format!("A00FFFS#{attributes}00E00"));
    let key = reply.strip_prefix("A100").unwrap_or_else(|| panic!("{attributes}: {reply}"));
    key[..key.len() - 6].to_owned()
}

#[test]
fn diagnostics_have_golden_bytes() {
    let reply = simulator().answer(b"HEADNC");
    assert_eq!(reply.len(), 0x21);
    assert_eq!(&reply[..8], b"HEADND00");
    assert_eq!(&reply[14..24], b"0000000000");
    assert_eq!(&reply[24..], b"YIKA-0001");
    let shown = hex(&Keystore::in_memory(Lmk::test()).lmk_check_value());
    assert_eq!(&reply[8..14], shown.as_bytes());
}

#[test]
fn plain_commands_answer_and_trailers_come_back() {
    let simulator = simulator();
    assert_eq!(ask(&simulator, "B20004ping"), "B300ping");
    assert_eq!(ask(&simulator, "B20004ping\x19abc"), "B300ping\x19abc");
    assert_eq!(ask(&simulator, "NC\x19"), format!("{}\x19", ask(&simulator, "NC")));
    assert_eq!(ask(&simulator, "NO00"), "NP003164YIKA-000100000");
    for (command, reply) in [
        ("B20005ping", "B315"),
        ("B20003ping", "B315"),
        ("NO99", "NP29"),
        ("XX", "XY68"),
        ("HC", "HD68"),
        ("N0000", "N115"),
        ("N0257", "N115"),
        ("N0abc", "N115"),
    ] {
        assert_eq!(ask(&simulator, command), reply, "{command}");
    }
    assert_eq!(simulator.answer(b"HEADN0032").len(), 8 + 32);
}

#[test]
fn faults_fall_on_every_so_manieth_command() {
    let store = Arc::new(Keystore::in_memory(Lmk::test()));
    let config = SimulatorConfig { fail_every: 3, drop_every: 4, ..SimulatorConfig::default() };
    let simulator = Simulator::new(store, config);
    let replies: Vec<Option<Vec<u8>>> = (1..=12).map(|n| simulator.reply_to(b"HEADB20001x", n)).collect();
    for (n, reply) in (1..).zip(replies) {
        let expected = match n {
            4 | 8 | 12 => None,
            3 | 6 | 9 => Some(&b"HEADB341"[..]),
            _ => Some(&b"HEADB300x"[..]),
        };
        assert_eq!(reply.as_deref(), expected, "{n}");
    }
}

#[test]
fn keys_are_made_sent_out_taken_in_and_joined() {
    let simulator = simulator();
    let (zmk, zpk) = (made(&simulator, "K0A3B"), made(&simulator, "P0T2B"));
    let check = |key: &str| {
        let reply = ask(&simulator, &format!("BUFFF{key};FFF;001"));
        let long = ask(&simulator, &format!("BUFFF{key}"));
        assert_eq!(long, format!("{reply}0000000000"));
        reply.strip_prefix("BV00").unwrap().to_owned()
    };
    let sent = ask(&simulator, &format!("A8FFF{zmk}{zpk}R"));
    let sent = sent.strip_prefix("A900R").unwrap();
    let (sent, value) = sent.split_at(sent.len() - 6);
    assert_eq!(value, check(&zpk));
    let taken = ask(&simulator, &format!("A6FFF{zmk}R{sent}S"));
    let taken = taken.strip_prefix("A700").unwrap();
    let (taken, value) = taken.split_at(taken.len() - 6);
    assert_eq!((value, check(taken)), (&check(&zpk)[..], check(&zpk)));

    let both = ask(&simulator, &format!("A01FFFS;0{zmk}R#M3T2C00E00"));
    let both = both.strip_prefix("A100S").unwrap();
    let (key, rest) = both.split_at(both[1..5].parse().unwrap());
    let (sent, value) = rest.strip_prefix('R').unwrap().split_at(rest.len() - 7);
    assert!(sent.starts_with('D') && value == check(&format!("S{key}")));

    let parts = [made(&simulator, "K0A3B"), made(&simulator, "K0A3B")].concat();
    let formed = ask(&simulator, &format!("A42FFFS{parts}#K0A3B00E00"));
    assert!(formed.starts_with("A500SD") && formed.len() > 100);

    for (command, reply) in [
        (format!("A6FFF{zpk}R{sent}S"), "A7A6"),
        (format!("A6FFF{zmk}U{}S", "0".repeat(32)), "A726"),
        (format!("A6FFFU{}R{sent}S", "0".repeat(32)), "A726"),
        (format!("A6002{zmk}R{sent}S"), "A715"),
        (format!("A6FFF{zmk}R{}S", sent.replace('D', "E")), "A7"),
        (format!("A8FFF{zpk}{zmk}R"), "A9A6"),
        (format!("A42FFFS{parts}#P0T2B00E00"), "A5A4"),
        (format!("A41FFFS{zmk}#K0A3B00E00"), "A503"),
        ("A00FFFS#K0T9B00E00".to_owned(), "A1A7"),
        ("A00FFFS#C0A1C00E00".to_owned(), "A1A6"),
        ("A00FFFS#P0T2B00E01".to_owned(), "A115"),
        ("A00FFFU#P0T2B00E00".to_owned(), "A126"),
        ("A0AFFFS#P0T2B00E00".to_owned(), "A104"),
    ] {
        assert!(
            ask(&simulator, &command).starts_with(reply) && !ask(&simulator, &command)[2..].starts_with("00"),
            "{command}"
        );
    }
    let never = ask(&simulator, "A00FFFS#P0T2B00N00");
    let never = &never["A100".len()..never.len() - 6];
    assert_eq!(ask(&simulator, &format!("A8FFF{zmk}{never}R")), "A929");
}

const PAN: &[u8] = b"4111111111111111";
const KSN: [u8; 10] = [0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xE0, 0, 1];

fn reference(simulator: &Simulator, attributes: &str) -> KeyRef {
    KeyRef::new(&made(simulator, attributes)).unwrap()
}

fn framed(operation: &Operation<'_>) -> Vec<u8> {
    let command = command::of(operation).unwrap();
    [b"HEAD", &command.code[..], &command.body].concat()
}

/// A PIN command of every kind, with keys that may do it and a block that holds no PIN.
fn pin_commands(simulator: &Simulator) -> Vec<(Vec<u8>, Code)> {
    let reference = |attributes| reference(simulator, attributes);
    let (zpk, other, aes, bdk) =
        (reference("P0T2B"), reference("P0T2B"), reference("P0A1B"), reference("B0T2X"));
    let (v1, v2) = (reference("V1T2C"), reference("V2T2C"));
    let pin = PinIn { from: PinFrom::Zone(&zpk), format: PinFormat::Iso0, pan: PAN, block: &[7; 8] };
    let terminal = PinIn { from: PinFrom::Dukpt { base: &bdk, ksn: &KSN }, ..pin };
    let wide = PinIn { from: PinFrom::Zone(&aes), format: PinFormat::Iso4, pan: PAN, block: &[7; 16] };
    let (table, validation, offset) = (b"1234567890123456", &[0x41; 8], &b"12345"[..]);
    let operations = [
        Operation::TranslatePin { pin, to: &other, to_format: PinFormat::Iso3 },
        Operation::TranslatePin { pin: terminal, to: &other, to_format: PinFormat::Iso0 },
        Operation::TranslatePin { pin: wide, to: &other, to_format: PinFormat::Iso0 },
        Operation::VerifyPvv { pin, key: &v2, index: 1, pvv: b"1234" },
        Operation::VerifyPvv { pin: terminal, key: &v2, index: 1, pvv: b"1234" },
        Operation::VerifyIbm3624 { pin, key: &v1, table, validation, offset },
        Operation::VerifyIbm3624 { pin: terminal, key: &v1, table, validation: &[0x11; 8], offset },
    ];
    operations.iter().map(|operation| (framed(operation), Code::PIN_BLOCK)).collect()
}

/// Another command of every kind, with keys that may do it and values that do not hold.
fn other_commands(simulator: &Simulator) -> Vec<(Vec<u8>, Code)> {
    let reference = |attributes| reference(simulator, attributes);
    let (zak, cmac, bdk, aes_bdk) =
        (reference("M3T2C"), reference("M6A1C"), reference("B0T2X"), reference("B0A1X"));
    let (cvk, imk) = (reference("C0T2C"), reference("E0T2X"));
    let rule = MacRule { method: MacMethod::Retail, padding: MacPadding::OneThenZeros, bytes: 8 };
    let of_cmac = MacRule { method: MacMethod::Cmac, ..rule };
    let card = CvvCard { pan: PAN, expiry: *b"3012", service: *b"101" };
    let emv = EmvCard { pan: PAN, sequence: 1, option: CardKeyOption::A };
    let long = EmvCard { pan: b"4111111111111111111", option: CardKeyOption::B, ..emv };
    let of = EmvTransaction { counter: [0, 1], unpredictable: [2; 4], data: &[9; 37] };
    let arqc =
        |card, scheme, answer| Operation::VerifyArqc { key: &imk, card, scheme, of, arqc: [1; 8], answer };
    let (one, two) = (ArqcAnswer::Method1([0; 2]), ArqcAnswer::Method2([0; 4], &[5; 3]));
    let terminal = |base, ksn, way, mac| Operation::VerifyDukptMac { base, ksn, way, data: b"data", mac };
    let done = [
        Operation::GenerateMac { key: &zak, rule, data: b"\x19\x19 data" },
        Operation::GenerateCvv { key: &cvk, card },
        Operation::Random { bytes: 9 },
        Operation::CheckValue { key: &imk },
    ];
    let not_verified = [
        Operation::VerifyMac { key: &cmac, rule: of_cmac, data: b"data", mac: &[0; 8] },
        Operation::VerifyCvv { key: &cvk, card, value: b"000" },
        arqc(emv, EmvScheme::VISA_CVN10, None),
        arqc(emv, EmvScheme::MASTERCARD, Some(one)),
        arqc(emv, EmvScheme::VISA_CVN18, Some(two)),
        arqc(long, EmvScheme::COMMON, None),
        terminal(&bdk, &KSN, DukptWay::OneWay, &[0; 4]),
        terminal(&aes_bdk, &[1; 12], DukptWay::BothWays, &[0; 8]),
    ];
    let done = done.iter().map(|operation| (framed(operation), Code::OK));
    done.chain(not_verified.iter().map(|operation| (framed(operation), Code::NOT_VERIFIED))).collect()
}

#[test]
fn every_command_is_understood_whole_and_refused_when_it_is_cut_or_longer() {
    let simulator = simulator();
    for (command, expected) in [pin_commands(&simulator), other_commands(&simulator)].concat() {
        let name = String::from_utf8_lossy(&command[4..6]).into_owned();
        let code = |command: &[u8]| Code(simulator.answer(command)[6..8].try_into().unwrap());
        assert_eq!(code(&command), expected, "{name}");
        for end in 6..command.len() {
            let cut = code(&command[..end]);
            // BU may end behind its key.
            assert!(cut != Code::OK && cut != expected || name == "BU", "{name} cut at {end}");
        }
        let longer = code(&[&command[..], b"x"].concat());
        assert_ne!(longer, Code::OK, "{name} with a letter behind it");
        let trailed = simulator.answer(&[&command[..], b"\x19trailer"].concat());
        assert!(trailed.ends_with(b"\x19trailer"), "{name}: {:?}", String::from_utf8_lossy(&trailed));
    }
}

#[test]
fn keys_under_a_variant_master_key_are_another_scheme() {
    let simulator = simulator();
    for code in ["CA", "CC", "CI", "G0", "DA", "DC", "EA", "EC", "CW", "CY"] {
        let command = format!("{code}U{}{}", "0".repeat(32), "0".repeat(100));
        assert_eq!(&ask(&simulator, &command)[2..], "26", "{code}");
    }
}

#[test]
fn a_key_of_another_use_mode_or_algorithm_has_a_code_of_its_own() {
    let simulator = simulator();
    let (pin, only_verifies) = (made(&simulator, "P0T2B"), made(&simulator, "C0T2V"));
    let cvv = |key: &str| ask(&simulator, &format!("CW{key}4111111111111111;3012101"));
    assert_eq!((cvv(&pin), cvv(&only_verifies)), ("CXA6".into(), "CXA8".into()));
    let aes = made(&simulator, "P0A1B");
    let translate = |from: &str, block: &str, format: &str| {
        ask(&simulator, &format!("CC{from}{pin}12{block}{format}01000000000000"))
    };
    assert_eq!(translate(&aes, &"0".repeat(32), "01"), "CDA7", "format 0 under AES");
    assert_eq!(translate(&pin, &"0".repeat(16), "99"), "CD23");
    let to_format_1 = ask(&simulator, &format!("CC{pin}{pin}12{}0105000000000000", "0".repeat(16)));
    assert_eq!(to_format_1, "CD69", "PCI forbids it");
    let usages = [Usage::Pin, Usage::CardVerification].map(Usage::code);
    assert_eq!(usages, ["P0", "C0"]);
}

proptest! {
    #[test]
    fn nothing_behind_a_code_is_too_strange(
        code in proptest::sample::select(vec![
            *b"NC", *b"NO", *b"B2", *b"N0", *b"A0", *b"A4", *b"A6", *b"A8", *b"BU", *b"CA", *b"CC", *b"CI", *b"G0",
            *b"DA", *b"EA", *b"GO", *b"DC", *b"EC", *b"GQ", *b"M6", *b"M8", *b"GW", *b"CW", *b"CY", *b"KQ", *b"KW",
        ]),
        body in proptest::collection::vec(any::<u8>(), 0..200),
        digits in "[0-9A-FSRU;#]{0,200}",
    ) {
        let simulator = simulator();
        for body in [&body[..], digits.as_bytes()] {
            let reply = simulator.answer(&[b"HEAD", &code[..], body].concat());
            assert_eq!(reply[..6], [b"HEAD", &frame::reply_code(code)[..]].concat());
            assert!(reply.len() >= 8);
        }
    }
}
