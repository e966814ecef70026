//! Published key blocks open, changed ones do not, and malformed ones say which field is wrong.

use super::*;
use crate::testing::unhex;

/// (protection key, block, key, check value); TR-31:2018 annex A.7, X9.143:2021 section 8, payShield 10K.
const BLOCKS: [(&str, &str, &str, &str); 7] = [
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

/// Versions A and C of the same sources: deprecated, so refused.
const VARIANT_BLOCKS: [&str; 5] = [
    "A0072P0TE00E0000F5161ED902807AF26F1D62263644BD24192FDB3193C730301CEE8701",
    "A0072K0TN00N0000F40D5672C6D0EC86F860BA88D44D00F0CA9A8CE8CD2F640287A9A9EB",
    "C0096B0TX12S0100KS1800604B120F9292800000BFB9B689CB567E66FC3FEE5AD5F52161FC6545B9D60989015D02155C",
    "C0112B0TX12S0100KS1800604B120F929280000042B758A2400AB598AE37782823DAF0BA4BDB0DAFF34915345CA169AE1F976A429EB139E5",
    "C0072K0TN00N0000C9B875FF7A5316BF221C09ED52080DE0B45632A4EA9CE87699CB565E",
];

const P0: &str = BLOCKS[5].1;

fn protection(block: &str, key: &str) -> Protection {
    let algorithm = if block.starts_with('D') { Algorithm::Aes } else { Algorithm::Tdes };
    Protection::new(algorithm, &unhex(key)).unwrap()
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
    }
    let (header, _) = protection("B", BLOCKS[1].0).unwrap(BLOCKS[1].1).unwrap();
    assert_eq!(header.optional(*b"KS"), Some("00604B120F9292800000"));
}

#[test]
fn variant_binding_is_refused() {
    for block in VARIANT_BLOCKS {
        let error = Header::parse(block, None).unwrap_err();
        assert!(matches!(error, BlockError::Malformed { field: "version", offset: 0, .. }), "{error}");
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
    fn nothing_from_outside_panics(text in "[BD][0-9]{4}[A-Z0-9]{7}0[0-9]00[A-Z0-9]{0,80}|.{0,60}") {
        let length = format!("{:04}", text.len());
        let mut agreed = text.clone();
        if text.is_ascii() && text.len() > 5 {
            agreed.replace_range(1..5, &length);
        }
        for block in [text, agreed] {
            assert!(protection("D", BLOCKS[4].0).unwrap(&block).is_err());
            assert!(protection("B", BLOCKS[0].0).unwrap(&block).is_err());
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
        for protection in [aes, tdes] {
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
    let protection = protection("D", BLOCKS[4].0);
    let lengths = |algorithm, sizes: [usize; 3]| {
        sizes.map(|n| {
            let key = KeyBytes::new(&[7; 32][..n]).unwrap();
            protection.wrap(&header(*b"P0", algorithm, Vec::new()), &key).len()
        })
    };
    assert_eq!(lengths(b'A', [16, 24, 32]), [144; 3]);
    assert_eq!(lengths(b'T', [8, 16, 24]), [112; 3]);
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

/// (how to spoil a good block, the field blamed, its offset).
type Spoil = (&'static str, fn(&str) -> String, &'static str, usize);

#[test]
fn malformed_blocks_name_the_field() {
    let with_optional = |optional: &str| {
        let total = P0.len() + optional.len();
        format!("D{total:04}{}01{}{optional}{}", &P0[5..12], &P0[14..16], &P0[16..])
    };
    let cases: [Spoil; 12] = [
        ("not ASCII", |b| b.replacen("P0", "P\u{fffd}", 1), "text", 6),
        ("empty", |_| String::new(), "header", 0),
        ("too short", |b| b[..15].to_owned(), "header", 0),
        ("version E", |b| b.replacen('D', "E", 1), "version", 0),
        ("length letters", |b| b.replacen("0144", "01A4", 1), "block length", 1),
        ("length too small", |b| b.replacen("0144", "0143", 1), "block length", 1),
        ("usage lower case", |b| b.replacen("P0A", "p0A", 1), "key usage", 5),
        ("algorithm", |b| b.replacen("P0A", "P0?", 1), "algorithm", 7),
        ("mode", |b| b.replacen("P0AE", "P0A-", 1), "mode of use", 8),
        ("exportability", |b| b.replacen("00E", "00X", 1), "exportability", 11),
        ("count", |b| b.replacen("E0000", "E0x00", 1), "number of optional blocks", 12),
        ("reserved", |b| b.replacen("E0000", "E0001", 1), "reserved", 14),
    ];
    for (what, spoil, field, offset) in cases {
        check(what, &spoil(P0), field, offset);
    }
    let length = "optional block length";
    for (what, optional, field, offset) in [
        ("identifier", "?S0C00000000", "optional block identifier", 16),
        ("length not hex", "KSxx00000000", length, 18),
        ("length lower case", "KS0c00000000", length, 18),
        ("shorter than its head", "KS0300000000", length, 18),
        ("longer than the block", "KSFF00000000", length, 18),
        ("extended, no digits", "KS0000000000", length, 20),
        ("extended, too many digits", "KS0005000000", length, 20),
        ("extended, shorter than its head", "KS0002070000", length, 18),
        ("header of no multiple", "KS0C00000000", "optional blocks", 28),
        ("padding", "PB08000000000000", "optional blocks", 24),
    ] {
        check(what, &with_optional(optional), field, offset);
    }
    check("many", &P0.replacen("E0000", "E3300", 1), "number of optional blocks", 12);
    let two = |optional: &str| with_optional(optional).replacen("E01", "E02", 1);
    check("padding not last", &two("PB08....KS08...."), "optional block PB", 16);
    check("twice", &two("KS08....KS08...."), "optional block", 24);
    check("no payload", &format!("D0048{}{}", &P0[5..16], &P0[112..]), "encrypted payload", 16);
    check("odd payload", &format!("D0079{}{}", &P0[5..16], &P0[81..]), "encrypted payload", 16);

    let protection = protection("D", BLOCKS[5].0);
    let lower = |at: usize| format!("{}z{}", &P0[..at], &P0[at + 1..]);
    for (at, field) in [(20, "encrypted payload"), (143, "MAC")] {
        let error = protection.unwrap(&lower(at)).err().unwrap();
        assert!(
            matches!(error, BlockError::Malformed { field: f, offset, .. } if f == field && offset == at),
            "{error}"
        );
    }
}

fn check(what: &str, block: &str, field: &str, offset: usize) {
    match Header::parse(block, Some(Version::D)) {
        Err(BlockError::Malformed { field: f, offset: o, .. }) => {
            assert_eq!((f, o), (field, offset), "{what}: {block}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn an_extended_length_is_read() {
    let data = "x".repeat(0x130 - 10);
    let optional = format!("LB00040130{data}");
    let total = P0.len() + optional.len();
    let block = format!("D{total:04}{}01{}{optional}{}", &P0[5..12], &P0[14..16], &P0[16..]);
    assert_eq!(Header::parse(&block, None).unwrap().optional(*b"LB"), Some(data.as_str()));
}
