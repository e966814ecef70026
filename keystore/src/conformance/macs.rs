//! MACs: the published vectors of each method, whole and cut, right and wrong; data keys; DUKPT; random bytes.

use super::{Asked, Case, Damage, Expected, TestKey, hex, key};
use crate::attributes::{Algorithm, Usage};
use crate::backend::{MacMethod, MacRule};
use crate::dukpt::DukptWay;
use crate::mac::MacPadding;

/// Method, padding, key, message, whole tag.
type Vector = (MacMethod, MacPadding, TestKey, Vec<u8>, &'static str);

const PADDINGS: [MacPadding; 3] = [MacPadding::Zeros, MacPadding::OneThenZeros, MacPadding::LengthFirst];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for vector in vectors() {
        of_vector(&vector, &mut cases);
    }
    cases.extend(data_keys());
    cases.extend(dukpt());
    for bytes in [1, 8, 16, 255, 256] {
        cases.push(Case::new(
            format!("{bytes} random bytes"),
            vec![],
            Asked::Random { bytes },
            Expected::Random(bytes),
        ));
    }
    for bytes in [0, 257] {
        cases.push(Case::new(
            format!("{bytes} random bytes"),
            vec![],
            Asked::Random { bytes },
            Expected::Input,
        ));
    }
    cases
}

fn vectors() -> Vec<Vector> {
    [iso_9797(), sm4(), cmac()].into_iter().flatten().collect()
}

/// ISO/IEC 9797-1:2011 annex B, and one of the Bouncy Castle test suite.
fn iso_9797() -> Vec<Vector> {
    let single = key(Usage::MacIso9797Alg1, Algorithm::Des, "0123456789ABCDEF");
    let double = key(Usage::MacRetail, Algorithm::Tdes, "0123456789ABCDEF FEDCBA9876543210");
    let mut vectors = Vec::new();
    for (message, alg_3, alg_1) in [
        (
            "Now is the time for all ",
            ["A1C72E74EA3FA9B6", "E9086230CA3BE796", "AB059463D7A7D170"],
            ["70A30640CC76DD8B", "10E1F0F108341B6D", "2C58FB8FF12AAEAC"],
        ),
        (
            "Now is the time for it",
            ["2E2B1428CC78254F", "5A692CE64F404145", "C59F7EED328DDD69"],
            ["E45B3AD2B7CC0856", "A924C72136149211", "B1ECD6FC8B37C392"],
        ),
    ] {
        for (n, padding) in PADDINGS.into_iter().enumerate() {
            vectors.push((MacMethod::Retail, padding, double.clone(), message.into(), alg_3[n]));
            vectors.push((MacMethod::Cbc, padding, single.clone(), message.into(), alg_1[n]));
        }
    }
    let other = key(Usage::MacRetail, Algorithm::Tdes, "7CA110454A1A6E57 0131D9619DC1376E");
    vectors.push((
        MacMethod::Retail,
        MacPadding::Zeros,
        other,
        b"Hello World !!!!".to_vec(),
        "F09B856213BAB83B",
    ));
    vectors
}

/// GB/T 15852.1-2020 annex B.
fn sm4() -> Vec<Vector> {
    const KEY: &str = "0123456789ABCDEFFEDCBA9876543210";
    let cbc = key(Usage::MacIso9797Alg1, Algorithm::Sm4, KEY);
    let two = key(Usage::MacRetail, Algorithm::Sm4, &format!("{KEY}4149D2ADED9456681EC8B511D9E7EE04"));
    let cmac = key(Usage::MacCmac, Algorithm::Sm4, KEY);
    let mut vectors = Vec::new();
    for (message, by_cmac, by_cbc, by_retail) in [
        (
            "",
            "29E154322E5C7BD8EE6A25BA549B24BC",
            "8C338E5A27E349BEAE39214FEDA97099",
            "B4736BE9A174FAA34DB1E9F1DACD5D62",
        ),
        (
            "This is the test message for mac",
            "692C437100F3B5EE2B8ABCEF373D990C",
            "4B6553AF3C4E27448412315AC7849535",
            "51E9928C2238330C3231B8752A9AFD7F",
        ),
        (
            "This is the test message ",
            "4738A6C760B280FC0C8A8AF3886E9F5D",
            "421AD1690AA152E2846FA2A5D83445A9",
            "197247229CE9D7B6AE405BF885B27057",
        ),
    ] {
        let second = MacPadding::OneThenZeros;
        vectors.push((MacMethod::Cmac, MacPadding::Zeros, cmac.clone(), message.into(), by_cmac));
        vectors.push((MacMethod::Cbc, second, cbc.clone(), message.into(), by_cbc));
        vectors.push((MacMethod::Retail, second, two.clone(), message.into(), by_retail));
    }
    vectors
}

/// RFC 4493 section 4.
fn cmac() -> Vec<Vector> {
    let cmac = key(Usage::MacCmac, Algorithm::Aes, "2B7E151628AED2A6ABF7158809CF4F3C");
    let message = hex("6BC1BEE22E409F96E93D7E117393172A AE2D8A571E03AC9C9EB76FAC45AF8E51
         30C81C46A35CE411E5FBC1191A0A52EF F69F2445DF4F9B17AD2B417BE66C3710");
    [
        (0, "BB1D6929E95937287FA37D129B756746"),
        (16, "070A16B46B4D4144F79BDD9DD04A287C"),
        (40, "DFA66747DE9AE63030CA32611497C827"),
        (64, "51F0BEBF7E3B9D92FC49741779363CFE"),
    ]
    .map(|(bytes, tag)| (MacMethod::Cmac, MacPadding::Zeros, cmac.clone(), message[..bytes].to_vec(), tag))
    .into()
}

/// Made and checked in each length; wrong in one bit, in its message, under another key, under a method that is not its
/// key's; under keys that are damaged.
fn of_vector((method, padding, mac_key, message, tag): &Vector, cases: &mut Vec<Case>) {
    let tag = hex(tag);
    let (keys, method, padding) = (vec![mac_key.clone()], *method, *padding);
    let name = |what: &str| format!("{what}: {method:?}, {padding:?}, {} bytes", message.len());
    for bytes in [4, 8, tag.len()] {
        let rule = MacRule { method, padding, bytes };
        let make = Asked::GenerateMac { rule, data: message.clone() };
        let right = tag[..bytes].to_vec();
        cases.push(Case::new(name("made"), keys.clone(), make, Expected::Bytes(right.clone())));
        let verify = |data: &[u8], mac: Vec<u8>| Asked::VerifyMac { rule, data: data.to_vec(), mac };
        let holds = |what, keys: &Vec<TestKey>, asked, holds| {
            Case::new(name(what), keys.clone(), asked, Expected::Verified(holds))
        };
        cases.push(holds("right", &keys, verify(message, right.clone()), true));
        for at in [0, bytes - 1] {
            let mut wrong = right.clone();
            wrong[at] ^= 1 << (at % 8);
            cases.push(holds("one bit wrong", &keys, verify(message, wrong), false));
        }
        let longer = [message, &b"x"[..]].concat();
        cases.push(holds("longer message", &keys, verify(&longer, right.clone()), false));
        let mut other = mac_key.clone();
        other.value[1] ^= 0x10;
        cases.push(holds("other key", &vec![other], verify(message, right.clone()), false));
        cases.push(holds("cut", &keys, verify(message, right[..bytes - 1].to_vec()), false));
    }
    let other_method = if method == MacMethod::Cmac { MacMethod::Retail } else { MacMethod::Cmac };
    let rule = MacRule { method: other_method, padding, bytes: 8 };
    let make = Asked::GenerateMac { rule, data: message.clone() };
    cases.push(Case::new(name("other method"), keys.clone(), make, Expected::Refused));
    for damage in [Damage::Cut, Damage::Changed] {
        let make = Asked::GenerateMac { rule: MacRule { method, padding, bytes: 8 }, data: message.clone() };
        cases.push(Case { damage, ..Case::new(name("damaged key"), keys.clone(), make, Expected::Key) });
    }
}

/// CBC with padding method 2, computed with openssl.
fn data_keys() -> Vec<Case> {
    const TEXT: &[u8] = b"Now is the time for it";
    let mut cases = Vec::new();
    for (algorithm, value, iv, cipher) in [
        (
            Algorithm::Tdes,
            "F039121BEC83D26B169BDCD5B22AAF8F",
            "0011223344556677",
            "E6F79197BF7DAA0F0B1381B86DD235637AEF9DBC26CF5C94",
        ),
        (
            Algorithm::Aes,
            "3F419E1CB7079442AA37474C2EFBF8B8",
            "00112233445566778899AABBCCDDEEFF",
            "B8D12695D4E4D5E2F9289472D65EDA041D66E4DCF14CD72DFB07369AC6278E4D",
        ),
        (
            Algorithm::Sm4,
            "0123456789ABCDEFFEDCBA9876543210",
            "00112233445566778899AABBCCDDEEFF",
            "FB2EC68965287BE8BE3BDC2A71DCD25F9DCEFFAC92AA2094D4B06D09BDF471F5",
        ),
    ] {
        let keys = || vec![key(Usage::Data, algorithm, value)];
        let (iv, cipher) = (hex(iv), hex(cipher));
        let encrypt = |iv: &[u8]| Asked::EncryptData { iv: iv.to_vec(), data: TEXT.to_vec() };
        let decrypt = |data: &[u8]| Asked::DecryptData { iv: iv.clone(), data: data.to_vec() };
        let name = |what: &str| format!("{what}, {algorithm}");
        cases.push(Case::new(name("text"), keys(), encrypt(&iv), Expected::Bytes(cipher.clone())));
        cases.push(Case::new(name("cipher"), keys(), decrypt(&cipher), Expected::Bytes(TEXT.to_vec())));
        cases.push(Case::new(name("short IV"), keys(), encrypt(&iv[1..]), Expected::Input));
        cases.push(Case::new(name("no cipher"), keys(), decrypt(&[]), Expected::Input));
        cases.push(Case::new(name("cut cipher"), keys(), decrypt(&cipher[1..]), Expected::Input));
        cases.push(Case::new(name("no padding"), keys(), decrypt(&cipher[..iv.len()]), Expected::Input));
    }
    cases
}

/// X9.24-1:2009 annex A.4 (requests). For AES the keys are those of the supplement to X9.24-3:2017, the MACs openssl's.
fn dukpt() -> Vec<Case> {
    const TEXT: &[u8] = b"4012345678909D987";
    let tdes = key(Usage::DukptBase, Algorithm::Tdes, "0123456789ABCDEFFEDCBA9876543210");
    let aes = key(Usage::DukptBase, Algorithm::Aes, "FEDCBA9876543210F1F1F1F1F1F1F1F1");
    let mut cases = Vec::new();
    for (base, ksn, mac) in [
        (&tdes, "FFFF9876543210E00001", "9CCC7817"),
        (&tdes, "FFFF9876543210E00002", "F608A9BC"),
        (&tdes, "FFFF9876543210E00003", "20B59A4F"),
        (&tdes, "FFFF9876543210E00015", "B2033EBD"),
        (&tdes, "FFFF9876543210EFF800", "23E3CB62"),
        (&tdes, "FFFF9876543210F00000", "7DFA9315"),
        (&aes, "1234567890123456 00000001", "A2EB5C1C35809E58"),
        (&aes, "1234567890123456 00000002", "4D104704C53491A6"),
        (&aes, "1234567890123456 00000003", "6A18904AA8E966A0"),
    ] {
        let (ksn, mac) = (hex(ksn), hex(mac));
        let asked = |ksn: &[u8], data: &[u8], mac: &[u8]| Asked::VerifyDukptMac {
            ksn: ksn.to_vec(),
            way: DukptWay::OneWay,
            data: data.to_vec(),
            mac: mac.to_vec(),
        };
        let mut case = |what: &str, asked, expected| {
            let name = format!("{what}, {} counter ..{:02X}", base.algorithm, ksn[ksn.len() - 1]);
            cases.push(Case::new(name, vec![base.clone()], asked, expected));
        };
        case("right", asked(&ksn, TEXT, &mac), Expected::Verified(true));
        case("four bytes", asked(&ksn, TEXT, &mac[..4]), Expected::Verified(true));
        for at in 0..mac.len() {
            let mut wrong = mac.clone();
            wrong[at] ^= 0x40;
            case("one bit wrong", asked(&ksn, TEXT, &wrong), Expected::Verified(false));
        }
        case("other message", asked(&ksn, b"4012345678909D988", &mac), Expected::Verified(false));
        let mut other = ksn.clone();
        other[2] ^= 1;
        if base.algorithm == Algorithm::Aes {
            other[6] ^= 1;
        }
        case("other device", asked(&other, TEXT, &mac), Expected::Verified(false));
        case("short serial number", asked(&ksn[1..], TEXT, &mac), Expected::Input);
        case("three bytes", asked(&ksn, TEXT, &mac[..3]), Expected::Input);
        let mut unused = ksn.clone();
        let end = unused.len();
        unused[end - 3..].copy_from_slice(&[0xFF; 3]);
        case("a counter that is skipped", asked(&unused, TEXT, &mac), Expected::Input);
    }
    cases
}
