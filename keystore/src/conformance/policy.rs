//! What a key must not do: each operation with every key of another use, algorithm or mode.
//!
//! The table names in the letters of the key block header which keys an operation takes; it is written by hand from X9.143
//! and knows nothing of the code. What is not in it is refused by every backend.

use super::{Asked, Card, Case, Expected, Pin, TestKey, hex, key};
use crate::attributes::{Algorithm, Attributes, Export, Mode, Usage};
use crate::backend::{MacMethod, MacRule};
use crate::card::{CardKeyOption, EmvScheme};
use crate::dukpt::DukptWay;
use crate::mac::MacPadding;
use crate::pin::PinFormat;

/// An operation, the place of the key that is tried, and the keys that are taken there as `use:algorithms:modes`.
struct Row {
    name: &'static str,
    takes: &'static [&'static str],
    ask: fn(TestKey) -> (Vec<TestKey>, Asked),
}

const ROWS: [Row; 13] = [
    Row {
        name: "make a retail MAC",
        takes: &["M3:T4:GCN"],
        ask: |own| (vec![own], Asked::GenerateMac { rule: RETAIL, data: b"0200".to_vec() }),
    },
    Row {
        name: "check a retail MAC",
        takes: &["M3:T4:VCN"],
        ask: |own| (vec![own], Asked::VerifyMac { rule: RETAIL, data: b"0200".to_vec(), mac: vec![0; 8] }),
    },
    Row {
        name: "take a PIN out of a block",
        takes: &["P0:TA4:DBN"],
        ask: |own| {
            let pin = pin(&own, None);
            (vec![own, zone()], Asked::TranslatePin { pin, to_format: PinFormat::Iso0, through: false })
        },
    },
    Row {
        name: "put a PIN into a block",
        takes: &["P0:TA4:EBN"],
        ask: |own| {
            (
                vec![zone(), own],
                Asked::TranslatePin { pin: pin(&zone(), None), to_format: PinFormat::Iso0, through: false },
            )
        },
    },
    Row {
        name: "take a PIN of a terminal out of a block",
        takes: &["B0:TA:XN"],
        ask: |own| {
            let pin = pin(&own, Some(ksn(&own)));
            (vec![own, zone()], Asked::TranslatePin { pin, to_format: PinFormat::Iso0, through: false })
        },
    },
    Row {
        name: "verify by PVV",
        takes: &["V2:T:VCN"],
        ask: |own| (vec![zone(), own], Asked::VerifyPvv { pin: pin(&zone(), None), index: 1, pvv: *b"8523" }),
    },
    Row {
        name: "verify by IBM 3624",
        takes: &["V1:T:VCN"],
        ask: |own| {
            let (table, validation) = (*b"1234567890123456", [0x11; 8]);
            (
                vec![zone(), own],
                Asked::VerifyIbm3624 { pin: pin(&zone(), None), table, validation, offset: b"0000".to_vec() },
            )
        },
    },
    Row {
        name: "make a CVV",
        takes: &["C0:T:GCN"],
        ask: |own| {
            let pan = PAN.to_owned();
            (vec![own], Asked::GenerateCvv { pan, expiry: *b"3012", service: *b"101" })
        },
    },
    Row {
        name: "check a CVV",
        takes: &["C0:T:VCN"],
        ask: |own| {
            let pan = PAN.to_owned();
            (vec![own], Asked::VerifyCvv { pan, expiry: *b"3012", service: *b"101", value: *b"123" })
        },
    },
    Row {
        name: "verify a cryptogram",
        takes: &["E0:T:XN"],
        ask: |own| {
            let card = Card {
                pan: PAN.to_owned(),
                sequence: 0,
                option: CardKeyOption::A,
                counter: [0, 1],
                unpredictable: [1; 4],
                data: vec![1; 16],
            };
            (vec![own], Asked::VerifyArqc { card, scheme: EmvScheme::VISA_CVN10, arqc: [7; 8], answer: None })
        },
    },
    Row {
        name: "encrypt data",
        takes: &["D0:TA4:EBN"],
        ask: |own| (vec![own], Asked::EncryptData { iv: vec![0; 8], data: b"text".to_vec() }),
    },
    Row {
        name: "decrypt data",
        takes: &["D0:TA4:DBN"],
        ask: |own| (vec![own], Asked::DecryptData { iv: vec![0; 8], data: vec![0; 16] }),
    },
    Row {
        name: "check a MAC of a terminal",
        takes: &["B0:TA:XN"],
        ask: |own| {
            let (ksn, way) = (ksn(&own), DukptWay::OneWay);
            (vec![own], Asked::VerifyDukptMac { ksn, way, data: b"0200".to_vec(), mac: vec![0; 8] })
        },
    },
];

const RETAIL: MacRule = MacRule { method: MacMethod::Retail, padding: MacPadding::Zeros, bytes: 8 };
const PAN: &str = "4111111111111111";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for own in every_key() {
        for row in ROWS.iter().filter(|row| !takes(row, &own)) {
            let (keys, asked) = (row.ask)(own.clone());
            let letters = format!("{} {} {}", own.usage, own.algorithm, own.mode.letter(own.usage));
            cases.push(Case::new(format!("{} with {letters}", row.name), keys, asked, Expected::Refused));
        }
    }
    cases
}

fn takes(row: &Row, own: &TestKey) -> bool {
    row.takes.iter().any(|taken| {
        let parts: Vec<&str> = taken.split(':').collect();
        parts[0] == own.usage.code()
            && parts[1].contains(own.algorithm.letter())
            && parts[2].contains(own.mode.letter(own.usage))
    })
}

/// Every combination that a key block header can hold and that makes sense.
fn every_key() -> Vec<TestKey> {
    let mut keys = Vec::new();
    for usage in Usage::ALL {
        for algorithm in Algorithm::ALL {
            for mode in Mode::ALL {
                if (Attributes { usage, algorithm, mode, export: Export::E }).check().is_ok() {
                    keys.push(TestKey { usage, algorithm, mode, value: value(usage, algorithm) });
                }
            }
        }
    }
    keys
}

fn value(usage: Usage, algorithm: Algorithm) -> Vec<u8> {
    let bytes = match (algorithm, usage) {
        (Algorithm::Des, _) => 8,
        (Algorithm::Hmac, _) | (Algorithm::Sm4, Usage::MacRetail) => 32,
        _ => 16,
    };
    hex("F039121BEC83D26B169BDCD5B22AAF8F 3F419E1CB7079442AA37474C2EFBF8B8")[..bytes].to_vec()
}

fn zone() -> TestKey {
    key(Usage::Pin, Algorithm::Tdes, "F039121BEC83D26B169BDCD5B22AAF8F")
}

/// A block as long as its key makes them; what is in it is not looked at.
fn pin(from: &TestKey, ksn: Option<Vec<u8>>) -> Pin {
    let block = hex("5593FBF8E97682A4");
    let (format, block) = match from.algorithm {
        Algorithm::Aes => (PinFormat::Iso4, block.repeat(2)),
        Algorithm::Sm4 => (PinFormat::Sm4, block.repeat(2)),
        _ => (PinFormat::Iso0, block),
    };
    Pin { ksn, format, pan: PAN.to_owned(), block }
}

fn ksn(base: &TestKey) -> Vec<u8> {
    hex(if base.algorithm == Algorithm::Aes { "123456789012345600000001" } else { "FFFF9876543210E00001" })
}
