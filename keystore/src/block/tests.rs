//! Published key blocks open, changed ones do not, and malformed ones say which field is wrong.

use super::*;
use crate::testing::{Seeded, cases, unhex};

/// (protection key, block, key, check value); TR-31:2018 annex A.7, X9.143:2021 section 8, payShield 10K.
const BLOCKS: [(&str, &str, &str, &str); 12] = [
    (
        "89E88CF7931444F334BD7547FC3F380C",
        "A0072P0TE00E0000F5161ED902807AF26F1D62263644BD24192FDB3193C730301CEE8701",
        "F039121BEC83D26B169BDCD5B22AAF8F",
        "CB9DEA",
    ),
    (
        "B8ED59E0A279A295E9F5ED7944FD06B9",
        "C0096B0TX12S0100KS1800604B120F9292800000BFB9B689CB567E66FC3FEE5AD5F52161FC6545B9D60989015D02155C",
        "EDB380DD340BC2620247D445F5B8D678",
        "F4B08D",
    ),
    (
        "B8ED59E0A279A295E9F5ED7944FD06B9",
        "C0112B0TX12S0100KS1800604B120F929280000042B758A2400AB598AE37782823DAF0BA4BDB0DAFF34915345CA169AE1F976A429EB139E5",
        "EDB380DD340BC2620247D445F5B8D678",
        "F4B08D",
    ),
    (
        "EFE0853B256B583D868F251CE99EA1D9",
        "A0072K0TN00N0000F40D5672C6D0EC86F860BA88D44D00F0CA9A8CE8CD2F640287A9A9EB",
        "5DB50B454F8389ADCE573BE50861F2BF",
        "5C9405",
    ),
    (
        "EFE0853B256B583D868F251CE99EA1D9",
        "C0072K0TN00N0000C9B875FF7A5316BF221C09ED52080DE0B45632A4EA9CE87699CB565E",
        "5DB50B454F8389ADCE573BE50861F2BF",
        "5C9405",
    ),
    (
        "DD7515F2BFC17F85CE48F3CA25CB21F6",
        "B0080P0TE00E000094B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E",
        "3F419E1CB7079442AA37474C2EFBF8B8",
        "57C409",
    ),
    (
        "1D22BF32387C600AD97F9B97A51311AC",
        "B0104B0TX12S0100KS1800604B120F9292800000BB68BE8680A400D9191AD4ECE45B6E6C0D21C4738A52190E248719E24B433627",
        "E8BC63E5479455E26577F715D587FE68",
        "9A4212",
    ),
    (
        "1D22BF32387C600AD97F9B97A51311AC",
        "B0120B0TX12S0100KS1800604B120F929280000015CEB14B76D551F21EC43A75390FA118A98C6CB049E3B9E864A5F4A8B9A5108A6DB5635C95B042D7",
        "E8BC63E5479455E26577F715D587FE68",
        "9A4212",
    ),
    (
        "EFE0853B256B583D868F251CE99EA1D9",
        "B0080K0TN00N00001C414014375212C24995E405B5EE052CB92B67F455EA2680F6751088F9F1C228",
        "5DB50B454F8389ADCE573BE50861F2BF",
        "5C9405",
    ),
    (
        "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6",
        "D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D207E2E417C07156A27E8E31DA05F7425509593D03A457DC34",
        "3F419E1CB7079442AA37474C2EFBF8B8",
        "08793E",
    ),
    (
        "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6",
        "D0144P0AE00E00002C77FA3F4A553BED6E88AE5C172A4166E3D4ACA8E2AC71C158A476FAC12C13C3829DE55D3AB54C48F4C4FEF7AC75E90FC47F1B77E7B19A73ED46E64410082557",
        "3F419E1CB7079442AA37474C2EFBF8B8",
        "08793E",
    ),
    (
        "4141414141414141414141414141414141414141414141414141414141414141",
        "D0112B0TN00N000037DB9B046B7B0048785690759580ABC3B9842AB4BB7717B49E92528E575785D8123559376A2553B27BE94F054F4E971C",
        "1FA1F7CEC798D91545DA8AE0C7796BD9",
        "FF5087",
    ),
];

fn protection(block: &str, key: &str) -> Protection {
    protection_of(block.chars().next().unwrap(), &unhex(key))
}

fn protection_of(version: char, key: &[u8]) -> Protection {
    match Version::from_letter(version).unwrap() {
        version @ (Version::A | Version::C) => Protection::variant(version, key).unwrap(),
        Version::B => Protection::new(Algorithm::Tdes, key).unwrap(),
        Version::D => Protection::new(Algorithm::Aes, key).unwrap(),
        Version::Sm4 => Protection::new(Algorithm::Sm4, key).unwrap(),
    }
}

fn header(usage: [u8; 2], algorithm: u8, optional: Vec<Optional>) -> Header {
    Header { usage, algorithm, mode: b'B', key_version: *b"00", export: b'E', optional, chars: 0 }
}

#[test]
fn published_blocks_open() {
    for (kbpk, block, key, check_value) in BLOCKS {
        let (header, found) = protection(block, kbpk).unwrap(block).unwrap();
        assert_eq!(found.as_slice(), unhex(key), "{block}");
        let algorithm = Algorithm::from_letter(char::from(header.algorithm)).unwrap();
        assert_eq!(hex(&found.check_value(algorithm).unwrap()), check_value, "{block}");
        assert_eq!([header.usage[0], header.usage[1]], block.as_bytes()[5..7], "{block}");
        let ksn = block.starts_with("C0096").then_some("00604B120F9292800000");
        assert!(ksn.is_none() || header.optional(*b"KS") == ksn, "{block}");
        assert_eq!(
            oracle::unwrap(&unhex(kbpk), block),
            Some(unhex(key)),
            "{block} in the second implementation"
        );
    }
}

/// Blocks of one version, made and opened by both implementations.
fn agree(version: char, seed: u64) {
    let mut random = Seeded::new(seed);
    for case in 0..cases() {
        let kbpk = match version {
            'D' => random.bytes([16, 24, 32][case as usize % 3]),
            '4' => random.bytes(16),
            _ => random.bytes([16, 24][case as usize % 2]),
        };
        let (letter, longest, bytes) =
            [('T', 24, 16), ('T', 24, 24), ('A', 32, 32), ('4', 24, 16), ('D', 24, 8)][random.below(5)];
        let key = random.bytes(bytes);
        let label = "a label of any text"[..random.below(20)].to_owned();
        let data = [("KS", "00604B120F9292800000".to_owned()), ("LB", label)];
        let used = &data[..random.below(3)];
        let protection = protection_of(version, &kbpk);

        let optional = used.iter().map(|(id, data)| {
            let id = id.as_bytes().try_into().unwrap();
            Optional { id, data: data.clone() }
        });
        let ours = header(*b"D0", letter as u8, optional.collect());
        let block = protection.wrap(&ours, &KeyBytes::new(&key).unwrap());
        assert_eq!(oracle::unwrap(&kbpk, &block), Some(key.clone()), "{block}");

        let n = if matches!(version, 'D' | '4') { 16 } else { 8 };
        // Some senders pad to the longest key, some to the block alone.
        let padded = if random.below(2) == 0 { longest } else { bytes };
        let fill = random.bytes((2 + padded).next_multiple_of(n) - 2 - bytes);
        let texts: Vec<_> = used.iter().map(|(id, data)| (*id, data.as_str())).collect();
        let theirs = oracle::wrap(version, &kbpk, &format!("D0{letter}B00E"), &texts, &key, &fill);
        let (found, opened) = protection.unwrap(&theirs).unwrap();
        assert_eq!((opened.as_slice(), found.optional.len()), (&key[..], used.len()), "{theirs}");
    }
}

#[test]
fn version_a_agrees_with_a_second_implementation() {
    agree('A', 0xA);
}

#[test]
fn version_b_agrees_with_a_second_implementation() {
    agree('B', 0xB);
}

#[test]
fn version_c_agrees_with_a_second_implementation() {
    agree('C', 0xC);
}

#[test]
fn version_d_agrees_with_a_second_implementation() {
    agree('D', 0xD);
}

#[test]
fn version_4_agrees_with_a_second_implementation() {
    agree('4', 0x4);
}

#[test]
fn a_block_of_one_version_is_none_of_another() {
    let key = unhex(BLOCKS[0].0);
    for (from, to) in [('A', 'C'), ('C', 'A'), ('B', 'A'), ('C', 'B')] {
        let block = protection_of(from, &key)
            .wrap(&header(*b"D0", b'T', Vec::new()), &KeyBytes::new(&[7; 16]).unwrap());
        let error = protection_of(to, &key).unwrap(&block).err().unwrap();
        assert!(matches!(error, BlockError::Malformed { field: "version", offset: 0, .. }), "{error}");
        // The letter alone, rewritten, is covered by the MAC.
        let relabelled = format!("{to}{}", &block[1..]);
        assert!(protection_of(to, &key).unwrap(&relabelled).is_err(), "{from} as {to}");
    }
}

#[test]
fn every_changed_character_is_refused() {
    for (kbpk, block, ..) in BLOCKS {
        let protection = protection(block, kbpk);
        for at in 0..block.len() {
            for other in ['0', '1', 'A', 'N', 'Z', ' ', 'a'] {
                let mut changed = block.to_owned();
                changed.replace_range(at..=at, &other.to_string());
                let opened = protection.unwrap(&changed);
                assert_eq!(opened.is_ok(), changed == block, "{at} {other} in {block}");
            }
        }
    }
}

#[test]
fn every_cut_is_refused() {
    for (kbpk, block, ..) in BLOCKS {
        let protection = protection(block, kbpk);
        for end in 0..block.len() {
            let cut = &block[..end];
            assert!(protection.unwrap(cut).is_err());
            // The same, with a length field that agrees.
            if end > 5 {
                let agreed = format!("{}{end:04}{}", &cut[..1], &cut[5..]);
                assert!(protection.unwrap(&agreed).is_err(), "{agreed}");
            }
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(4_000))]

    #[test]
    fn nothing_from_outside_panics(text in "[A-D4][0-9]{4}[A-Z0-9]{7}0[0-9]00([A-Z0-9]{2}[0-9A-F]{2})?[A-Z0-9]{0,80}|.{0,60}") {
        let length = format!("{:04}", text.len());
        let mut agreed = text.clone();
        if text.is_ascii() && text.len() > 5 {
            agreed.replace_range(1..5, &length);
        }
        for block in [text, agreed] {
            for version in ['A', 'B', 'C', 'D', '4'] {
                assert!(protection(&version.to_string(), BLOCKS[0].0).unwrap(&block).is_err());
            }
        }
    }

    #[test]
    fn wrapped_keys_come_back(
        kbpk in proptest::collection::vec(0u8.., 32),
        key in proptest::collection::vec(0u8.., 32),
        sizes in 0usize..9,
        label in "[a-z0-9]{0,64}",
    ) {
        let kbpk = &kbpk[..[16, 24, 32][sizes % 3]];
        let (algorithm, key) = match sizes / 3 {
            0 => (b'D', &key[..8]),
            1 => (b'T', &key[..24]),
            _ => (b'A', &key[..16]),
        };
        let aes = Protection::new(Algorithm::Aes, kbpk).unwrap();
        let tdes = Protection::new(Algorithm::Tdes, &kbpk[..kbpk.len().min(24)]).unwrap();
        let optional = vec![Optional { id: *b"LB", data: label.clone() }];
        let variant = Protection::variant(Version::C, &kbpk[..kbpk.len().min(24)]).unwrap();
        for protection in [aes, tdes, variant] {
            let block = protection.wrap(&header(*b"D0", algorithm, optional.clone()), &KeyBytes::new(key).unwrap());
            let (found, bytes) = protection.unwrap(&block).unwrap();
            assert_eq!(bytes.as_slice(), key);
            assert_eq!(found.optional(*b"LB"), Some(label.as_str()));
            assert_eq!(found.optional(*b"PB"), None);
        }
    }
}

#[test]
fn a_block_does_not_tell_the_length_of_its_key() {
    let aes = protection("D", BLOCKS[9].0);
    let variant = protection("C", BLOCKS[0].0);
    let lengths = |protection: &Protection, algorithm, sizes: [usize; 3]| {
        sizes.map(|n| {
            let key = KeyBytes::new(&[7; 32][..n]).unwrap();
            protection.wrap(&header(*b"P0", algorithm, Vec::new()), &key).len()
        })
    };
    assert_eq!(lengths(&aes, b'A', [16, 24, 32]), [144; 3]);
    assert_eq!(lengths(&aes, b'T', [8, 16, 24]), [112; 3]);
    assert_eq!(lengths(&variant, b'T', [8, 16, 24]), [88; 3]);
}

#[test]
fn the_protected_length_must_fit_the_payload_and_the_algorithm() {
    let payload = |bits: u16, bytes: usize| [&bits.to_be_bytes()[..], &vec![7; bytes]].concat();
    let found = |algorithm, bits, bytes| payload_key(algorithm, &payload(bits, bytes)).is_ok();
    assert!(found(b'A', 128, 30) && found(b'T', 192, 30) && found(b'D', 64, 14));
    for (algorithm, bits, bytes) in [
        (b'A', 128, 14),
        (b'A', 129, 30),
        (b'A', 64, 30),
        (b'T', 256, 46),
        (b'Z', 128, 30),
        (b'A', u16::MAX, 30),
    ] {
        assert!(!found(algorithm, bits, bytes), "{algorithm} {bits} {bytes}");
    }
    assert!(payload_key(b'A', &[]).is_err());
}

#[test]
fn an_extended_length_is_read() {
    let data = "x".repeat(0x130 - 10);
    let optional = format!("LB00040130{data}");
    let p0 = BLOCKS[10].1;
    let total = p0.len() + optional.len();
    let block = format!("D{total:04}{}01{}{optional}{}", &p0[5..12], &p0[14..16], &p0[16..]);
    assert_eq!(Header::parse(&block, None).unwrap().optional(*b"LB"), Some(data.as_str()));
}
