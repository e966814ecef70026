//! PINs: every pair of formats for every key that can carry them, the wrong PAN, key, format and length, DUKPT terminals,
//! PVV and IBM 3624. Blocks that are not published were computed with openssl.

use super::{Asked, Case, Damage, Expected, Pin, TestKey, array, hex, key};
use crate::attributes::{Algorithm, Usage};
use crate::pin::PinFormat;

/// The zone that PINs come from, and the one they go to.
const FROM: &str = "F039121BEC83D26B169BDCD5B22AAF8F";
const TO: &str = "3F419E1CB7079442AA37474C2EFBF8B8";
const SM4: &str = "0123456789ABCDEFFEDCBA9876543210";

/// The PAN of the PVV and IBM 3624 vectors.
const PAN: &str = "1122334455667788";

pub(super) fn cases() -> Vec<Case> {
    [translations(), broken(), dukpt(), pvv(), ibm_3624()].into_iter().flatten().collect()
}

/// A PIN in every format, and in format 0 under the other key.
struct Holder {
    pan: &'static str,
    blocks: [(PinFormat, &'static str); 5],
    in_format_0: &'static str,
}

const HOLDERS: [Holder; 4] = [
    Holder {
        pan: "4111111111111111",
        blocks: [
            (PinFormat::Iso0, "5593FBF8E97682A4"),
            (PinFormat::Iso1, "A737C54104AC999F"),
            (PinFormat::Iso3, "EDC7EDA72FA3DD16"),
            (PinFormat::Iso4, "787661A142E7D9E22619D9A8030EAFA7"),
            (PinFormat::Sm4, "DD558C04E66DBA7AB2776D5314DC129B"),
        ],
        in_format_0: "A4D8D8D81462CF6D",
    },
    Holder {
        pan: "4111111111111111",
        blocks: [
            (PinFormat::Iso0, "389C1C37DB9FE00A"),
            (PinFormat::Iso1, "C13E21378A4A6FC9"),
            (PinFormat::Iso3, "40A3A17DE2038794"),
            (PinFormat::Iso4, "8DC235DA7765F6A37B81E3B2ECFB7F11"),
            (PinFormat::Sm4, "600F90A3B783BCBCEEAF2FE15C169DEF"),
        ],
        in_format_0: "7AE8A6358F9B042D",
    },
    Holder {
        pan: "6210000000000000011",
        blocks: [
            (PinFormat::Iso0, "518E160AE341D586"),
            (PinFormat::Iso1, "A737C54104AC999F"),
            (PinFormat::Iso3, "5CF8D2AAFBBE1FE1"),
            (PinFormat::Iso4, "AA00914B97459EC99AAEB46530058D69"),
            (PinFormat::Sm4, "D7C577BFF9C12415BCED4656C4A726B5"),
        ],
        in_format_0: "44DBBC824C81D0F8",
    },
    Holder {
        pan: "6210000000000000011",
        blocks: [
            (PinFormat::Iso0, "A161E095E5CEBEE9"),
            (PinFormat::Iso1, "C13E21378A4A6FC9"),
            (PinFormat::Iso3, "ED53F8668B3B8F2E"),
            (PinFormat::Iso4, "F946711B3B9F13C340396F408EF773CD"),
            (PinFormat::Sm4, "11F42109BA84ABFA00FBB4A3940EAF65"),
        ],
        in_format_0: "8DD9F172E6E5275B",
    },
];

fn pin_key(format: PinFormat, tdes: &str) -> TestKey {
    let algorithm = format.algorithm();
    let value = match algorithm {
        Algorithm::Tdes => tdes,
        Algorithm::Aes => TO,
        _ => SM4,
    };
    key(Usage::Pin, algorithm, value)
}

fn pin(format: PinFormat, pan: &str, block: &[u8]) -> Pin {
    Pin { ksn: None, format, pan: pan.to_owned(), block: block.to_vec() }
}

/// PCI PIN requirement 3-3, table of formats.
fn translations() -> Vec<Case> {
    let mut cases = Vec::new();
    for holder in &HOLDERS {
        for (format, block) in holder.blocks {
            for to_format in PinFormat::ALL {
                let (block, through) = (hex(block), to_format != PinFormat::Iso0);
                let keys = vec![pin_key(format, FROM), pin_key(to_format, TO), pin_key(PinFormat::Iso0, TO)];
                let asked = Asked::TranslatePin { pin: pin(format, holder.pan, &block), to_format, through };
                let name = format!("{format:?} to {to_format:?}, PAN {}..", &holder.pan[..6]);
                let expected = match to_format {
                    PinFormat::Iso1 => Expected::Refused,
                    _ => Expected::Bytes(hex(holder.in_format_0)),
                };
                cases.push(Case::new(name, keys, asked, expected));
            }
        }
    }
    cases
}

/// What is no PIN block of this key, PAN and format.
fn broken() -> Vec<Case> {
    let mut cases = Vec::new();
    for (holder, other) in [(0, 2), (1, 3), (2, 0), (3, 1)].map(|(a, b)| (&HOLDERS[a], &HOLDERS[b])) {
        for (format, block) in holder.blocks {
            let mut case =
                |what: &str, format: PinFormat, from: TestKey, pan: &str, block: &[u8], expected| {
                    let asked = Asked::TranslatePin {
                        pin: pin(format, pan, block),
                        to_format: PinFormat::Iso0,
                        through: false,
                    };
                    cases.push(Case::new(
                        format!("{what}, {format:?}, PAN {}..", &holder.pan[..6]),
                        vec![from, pin_key(PinFormat::Iso0, TO)],
                        asked,
                        expected,
                    ));
                };
            let (block, own) = (hex(block), pin_key(format, FROM));
            let mut changed = own.clone();
            changed.value[3] ^= 0x08;
            case("other key", format, changed, holder.pan, &block, Expected::Input);
            // Format 1 knows no PAN, and the random fill of format 3 often hides another one.
            if !matches!(format, PinFormat::Iso1 | PinFormat::Iso3) {
                case("other PAN", format, own.clone(), other.pan, &block, Expected::Input);
            }
            for pan in ["", "4111111", "41111111111111111111", "411111111111111x"] {
                case("no PAN", format, own.clone(), pan, &block, Expected::Input);
            }
            case("short block", format, own.clone(), holder.pan, &block[1..], Expected::Input);
            case("no block", format, own.clone(), holder.pan, &[], Expected::Input);
            case("longer block", format, own.clone(), holder.pan, &block.repeat(2), Expected::Input);
            for wrong in PinFormat::ALL.into_iter().filter(|wrong| *wrong != format) {
                let expected =
                    if wrong.algorithm() == format.algorithm() { Expected::Input } else { Expected::Refused };
                case("as another format", wrong, own.clone(), holder.pan, &block, expected);
            }
        }
    }
    let format_0 = |what: &str, block: &str, damage, expected| Case {
        damage,
        ..Case::new(
            what,
            vec![pin_key(PinFormat::Iso0, FROM), pin_key(PinFormat::Iso0, TO)],
            Asked::TranslatePin {
                pin: pin(PinFormat::Iso0, HOLDERS[0].pan, &hex(block)),
                to_format: PinFormat::Iso0,
                through: false,
            },
            expected,
        )
    };
    cases.push(format_0("a PIN of 15 digits", "140A41AF3CD4A877", Damage::None, Expected::Input));
    cases.push(format_0("a PIN of 3 digits", "E442CC01EB53A2FC", Damage::None, Expected::Input));
    for damage in [Damage::Cut, Damage::Changed, Damage::Relabelled] {
        cases.push(format_0("damaged key", "5593FBF8E97682A4", damage, Expected::Key));
    }
    cases
}

/// X9.24-1:2009 annex A.4, and the supplement to X9.24-3:2017.
fn dukpt() -> Vec<Case> {
    let tdes = key(Usage::DukptBase, Algorithm::Tdes, "0123456789ABCDEFFEDCBA9876543210");
    let aes = key(Usage::DukptBase, Algorithm::Aes, "FEDCBA9876543210F1F1F1F1F1F1F1F1");
    let (pan, in_format_0) = ("4012345678909", "F590CAA408030850");
    let mut cases = Vec::new();
    for (base, format, pan, ksn, block, in_format_0) in [
        (&tdes, PinFormat::Iso0, pan, "FFFF9876543210E00001", "1B9C1845EB993A7A", in_format_0),
        (&tdes, PinFormat::Iso0, pan, "FFFF9876543210E00002", "10A01C8D02C69107", in_format_0),
        (&tdes, PinFormat::Iso0, pan, "FFFF9876543210E00003", "18DC07B94797B466", in_format_0),
        (&tdes, PinFormat::Iso0, pan, "FFFF9876543210E00015", "72105C22EBC791E6", in_format_0),
        (&tdes, PinFormat::Iso0, pan, "FFFF9876543210EFF800", "33365F5CC6F23C35", in_format_0),
        (&tdes, PinFormat::Iso0, pan, "FFFF9876543210F00000", "73EC88AD0AC5830E", in_format_0),
        (
            &aes,
            PinFormat::Iso4,
            HOLDERS[0].pan,
            "123456789012345600000001",
            "A912150391AB65A67E52883D81CE2D15",
            HOLDERS[0].in_format_0,
        ),
        (
            &aes,
            PinFormat::Iso4,
            HOLDERS[0].pan,
            "123456789012345600000002",
            "52A00503BD34BA1383F6A7EE9FE2547F",
            HOLDERS[0].in_format_0,
        ),
        (
            &aes,
            PinFormat::Iso4,
            HOLDERS[0].pan,
            "123456789012345600000003",
            "A5A27E82B43A9A866A93D7ABE89CEF93",
            HOLDERS[0].in_format_0,
        ),
    ] {
        let mut case = |what: &str, ksn: Vec<u8>, pan: &str, block: &[u8], to_format, expected| {
            let name = format!("{what}, DUKPT, {}, counter ..{:02X?}", base.algorithm, ksn.last());
            let pin = Pin { ksn: Some(ksn), ..pin(format, pan, block) };
            let through = to_format != PinFormat::Iso0;
            let keys = vec![base.clone(), pin_key(to_format, TO), pin_key(PinFormat::Iso0, TO)];
            cases.push(Case::new(name, keys, Asked::TranslatePin { pin, to_format, through }, expected));
        };
        let (ksn, block) = (hex(ksn), hex(block));
        for to_format in PinFormat::ALL {
            let expected = match to_format {
                PinFormat::Iso1 => Expected::Refused,
                _ => Expected::Bytes(hex(in_format_0)),
            };
            case("terminal to zone", ksn.clone(), pan, &block, to_format, expected);
        }
        let mut next = ksn.clone();
        *next.last_mut().expect("a serial number has bytes") ^= 0x20;
        case("other counter", next, pan, &block, PinFormat::Iso0, Expected::Input);
        case("other PAN", ksn.clone(), HOLDERS[2].pan, &block, PinFormat::Iso0, Expected::Input);
        case("short serial number", ksn[1..].to_vec(), pan, &block, PinFormat::Iso0, Expected::Input);
        let bytes = ksn.len();
        let mut initial = ksn;
        initial[bytes - 3..].fill(0);
        if base.algorithm == Algorithm::Tdes {
            initial[bytes - 3] = 0xE0;
        }
        case("the initial key", initial, pan, &block, PinFormat::Iso0, Expected::Input);
    }
    cases
}

/// psec's vectors; the PIN comes in format 0 under the key of a zone.
fn pvv() -> Vec<Case> {
    let keys = || vec![pin_key(PinFormat::Iso0, FROM), key(Usage::PinVerifyPvv, Algorithm::Tdes, SM4)];
    let mut cases = Vec::new();
    for (index, pan, block, pvv) in [
        (1, PAN, "1F6C6D0654F466F3", "8523"),
        (2, PAN, "77352771752A18A2", "3244"),
        (1, "1122334455667718", "0A6FEA54E6F9FBDA", "3144"),
        (1, "1122334455667708", "A410D3789294469E", "4422"),
    ] {
        let mut case = |what: &str, index, block: &[u8], pvv: &str, expected| {
            let pvv = pvv.as_bytes().try_into().expect("four characters");
            let asked = Asked::VerifyPvv { pin: pin(PinFormat::Iso0, pan, block), index, pvv };
            cases.push(Case::new(format!("{what}, PVV {pan}"), keys(), asked, expected));
        };
        let block = hex(block);
        case("right", index, &block, pvv, Expected::Verified(true));
        for at in 0..4 {
            let mut wrong = pvv.as_bytes().to_vec();
            wrong[at] = b'0' + (wrong[at] - b'0' + 1) % 10;
            let wrong = String::from_utf8(wrong).expect("digits");
            case("one digit wrong", index, &block, &wrong, Expected::Verified(false));
        }
        case("other index", index + 1, &block, pvv, Expected::Verified(false));
        case("no index", 7, &block, pvv, Expected::Input);
        case("no PVV", index, &block, "85x3", Expected::Input);
        case("short block", index, &block[1..], pvv, Expected::Input);
    }
    cases
}

fn ibm_3624() -> Vec<Case> {
    const TABLE: &str = "1234567890123456";
    let keys = || vec![pin_key(PinFormat::Iso0, FROM), key(Usage::PinVerifyIbm3624, Algorithm::Tdes, SM4)];
    let mut cases = Vec::new();
    for (validation, offset, block) in [
        ("1122334455667788", "0000", "1F6C6D0654F466F3"),
        ("1122334455667788", "1111", "FDF6AE835822BBC4"),
        ("1122334455667788", "6586", "823C77159E69BD69"),
        ("1122334455667788", "7697", "384646B499EC47A0"),
        ("1122334455667788", "7710", "57E965109B972119"),
        ("11223344556677FF", "0000", "0DF4AE64EF3DC75A"),
        ("1223344556677811", "0000", "8DAB26E2CC0BBDB0"),
        ("2233445566778811", "0000", "BFB44D12E495D0BA"),
    ] {
        let mut case = |what: &str, table: &str, block: &[u8], offset: &str, expected| {
            let asked = Asked::VerifyIbm3624 {
                pin: pin(PinFormat::Iso0, PAN, block),
                table: table.as_bytes().try_into().expect("16 characters"),
                validation: array(validation),
                offset: offset.as_bytes().to_vec(),
            };
            cases.push(Case::new(format!("{what}, IBM 3624, {validation}"), keys(), asked, expected));
        };
        let block = hex(block);
        case("right", TABLE, &block, offset, Expected::Verified(true));
        for at in 0..4 {
            let mut wrong = offset.as_bytes().to_vec();
            wrong[at] = b'0' + (wrong[at] - b'0' + 1) % 10;
            let wrong = String::from_utf8(wrong).expect("digits");
            case("one digit wrong", TABLE, &block, &wrong, Expected::Verified(false));
        }
        case("longer offset", TABLE, &block, &format!("{offset}0"), Expected::Verified(false));
        case("short offset", TABLE, &block, &offset[1..], Expected::Input);
        case("a table of few digits", "0000000011111111", &block, offset, Expected::Input);
        case("no table", "123456789012345F", &block, offset, Expected::Input);
        case("no block", TABLE, &[], offset, Expected::Input);
    }
    cases
}
