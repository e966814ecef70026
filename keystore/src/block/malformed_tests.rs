//! Malformed key blocks, one row each: how a good block was spoiled, and the field and offset that must be blamed.

use super::*;
use crate::testing::unhex;

/// X9.143:2021 8.1, and its protection key.
const GOOD: &str = "D0144P0AE00E00002C77FA3F4A553BED6E88AE5C172A4166E3D4ACA8E2AC71C158A476FAC12C13C3829DE55D3AB54C48F4C4FEF7AC75E90FC47F1B77E7B19A73ED46E64410082557";
const KBPK: &str = "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6";

const LENGTH: &str = "optional block length";
const IDENTIFIER: &str = "optional block identifier";

/// (offset, text put there, field blamed, its offset).
const FIXED: [(usize, &str, &str, usize); 43] = [
    (0, "E", "version", 0),
    (0, "d", "version", 0),
    (0, "B", "version", 0),
    (0, "A", "version", 0),
    (0, "C", "version", 0),
    (0, "4", "version", 0),
    (0, " ", "version", 0),
    (1, "A", "block length", 1),
    (1, "0143", "block length", 1),
    (1, "0145", "block length", 1),
    (1, "0000", "block length", 1),
    (1, "9999", "block length", 1),
    (1, "-144", "block length", 1),
    (1, " 144", "block length", 1),
    (1, "0x90", "block length", 1),
    (4, "F", "block length", 1),
    (5, "p", "key usage", 5),
    (5, " ", "key usage", 5),
    (6, "-", "key usage", 5),
    (6, "o", "key usage", 5),
    (6, "~", "key usage", 5),
    (7, "?", "algorithm", 7),
    (7, "a", "algorithm", 7),
    (7, " ", "algorithm", 7),
    (8, "-", "mode of use", 8),
    (8, "e", "mode of use", 8),
    (8, "*", "mode of use", 8),
    (9, "c", "key version number", 9),
    (10, ".", "key version number", 9),
    (11, "X", "exportability", 11),
    (11, "e", "exportability", 11),
    (11, "0", "exportability", 11),
    (12, "x", "number of optional blocks", 12),
    (13, "A", "number of optional blocks", 12),
    (12, "33", "number of optional blocks", 12),
    (12, "99", "number of optional blocks", 12),
    (12, " 1", "number of optional blocks", 12),
    (14, "1", "reserved", 14),
    (15, "1", "reserved", 14),
    (14, "  ", "reserved", 14),
    // One block is counted, and the payload stands where it should be: "2C" of length 77 hex.
    (12, "01", "optional blocks", 135),
    (15, "\t", "text", 15),
    (6, "\u{7f}", "text", 6),
];

/// (optional blocks put behind the fixed part, their number, field blamed, its offset).
const OPTIONAL: [(&str, usize, &str, usize); 66] = [
    ("?S0C00000000", 1, IDENTIFIER, 16),
    ("K-0C00000000", 1, IDENTIFIER, 16),
    ("  0C00000000", 1, IDENTIFIER, 16),
    ("ZZxx00000000", 1, LENGTH, 18),
    ("ZZ0c00000000", 1, LENGTH, 18),
    ("ZZ-100000000", 1, LENGTH, 18),
    ("ZZ 800000000", 1, LENGTH, 18),
    ("ZZ0100000000", 1, LENGTH, 18),
    ("ZZ0300000000", 1, LENGTH, 18),
    ("ZZFF00000000", 1, LENGTH, 18),
    ("ZZ0000000000", 1, LENGTH, 20),
    ("ZZ0005000000", 1, LENGTH, 20),
    ("ZZ00FF000000", 1, LENGTH, 20),
    ("ZZ00x2000000", 1, LENGTH, 20),
    ("ZZ0002x00000", 1, LENGTH, 22),
    ("ZZ0002070000", 1, LENGTH, 18),
    ("ZZ0004FFFF00", 1, LENGTH, 18),
    ("ZZ0C00000000", 1, "optional blocks", 28),
    ("PB08000000000000", 1, "optional blocks", 24),
    ("PB08....ZZ08....", 2, "optional block PB", 16),
    ("ZZ08....ZZ08....", 2, "optional block", 24),
    ("ZZ08....AB08....ZZ10............", 3, "optional block", 32),
    ("LB08....LB08....", 2, "optional block", 24),
    ("ZZ08....PB09....", 2, "optional blocks", 33),
    ("KS1800604B120F929280000G", 1, "optional block KS", 39),
    ("KS1800604b120F9292800000", 1, "optional block KS", 25),
    ("KS1200604B120F9292", 1, "optional block KS", 20),
    ("KS1700604B120F929280000", 1, "optional block KS", 20),
    ("KS1E00604B120F9292800000000000", 1, "optional block KS", 20),
    ("KS04", 1, "optional block KS", 20),
    ("IK13123456789012345", 1, "optional block IK", 20),
    ("IK12123456789012345678", 1, "optional block IK", 20),
    ("IK16123456789012345678", 1, "optional block IK", 20),
    ("IK14123456789012345g", 1, "optional block IK", 35),
    ("IK04", 1, "optional block IK", 20),
    ("BI0E0212345678", 1, "optional block BI", 20),
    ("BI0E0012345678", 1, "optional block BI", 22),
    ("BI0E0112345678", 1, "optional blocks", 30),
    ("BI0C01123456", 1, "optional block BI", 22),
    ("BI10011234567890", 1, "optional block BI", 22),
    ("BI0F001234567890", 1, "optional block BI", 22),
    ("BI0500", 1, "optional block BI", 20),
    ("BI0E01123456x8", 1, "optional block BI", 28),
    ("KC0400", 1, "optional block KC", 20),
    ("KC0600", 1, "optional block KC", 20),
    ("KC0C00CB9DEx", 1, "optional block KC", 27),
    ("KC0900CB9", 1, "optional block KC", 20),
    ("KC1200CB9DEACB9DEA", 1, "optional block KC", 20),
    ("KC0C0ZCB9DEA", 1, "optional block KC", 21),
    ("KP0800CB", 1, "optional block KP", 20),
    ("KP0Cg0CB9DEA", 1, "optional block KP", 20),
    ("HM0610", 1, "optional block HM", 20),
    ("HM0620", 1, "optional block HM", 20),
    ("HM0523", 1, "optional block HM", 20),
    ("HM08AABB", 1, "optional block HM", 20),
    ("TC1320201332000000Z", 1, "optional block TC", 20),
    ("TC1320200032000000Z", 1, "optional block TC", 20),
    ("TC1320201200000000Z", 1, "optional block TC", 20),
    ("TC1320201231240000Z", 1, "optional block TC", 20),
    ("TC1320201231006000Z", 1, "optional block TC", 20),
    ("TC1320201231000000 ", 1, "optional block TC", 20),
    ("TS182020-12-31 00:00:00Z", 1, "optional block TS", 20),
    ("TS182020/12/31T00:00:00Z", 1, "optional block TS", 20),
    ("TS182020-12-31T00:00:61Z", 1, "optional block TS", 20),
    ("TS1220201231000000", 1, "optional block TS", 20),
    ("TS04", 1, "optional block TS", 20),
];

fn blamed(block: &str) -> (&'static str, usize) {
    match Header::parse(block, Some(Version::D)) {
        Err(BlockError::Malformed { field, offset, expected, found }) => {
            assert!(!expected.is_empty() && found.len() <= 48, "{block}");
            assert!(
                block.is_empty() || !block.is_ascii() || block[offset.min(block.len())..].starts_with(&found),
                "{block}"
            );
            (field, offset)
        }
        other => panic!("{block}: {other:?}"),
    }
}

#[test]
fn a_wrong_character_of_the_fixed_part_is_named() {
    for (at, text, field, offset) in FIXED {
        let mut block = GOOD.to_owned();
        block.replace_range(at..at + text.len(), text);
        assert_eq!(blamed(&block), (field, offset), "{text:?} at {at}");
    }
}

#[test]
fn a_wrong_optional_block_is_named() {
    let mut wrong = Vec::new();
    for (optional, count, field, offset) in OPTIONAL {
        let total = GOOD.len() + optional.len();
        let block =
            format!("D{total:04}{}{count:02}{}{optional}{}", &GOOD[5..12], &GOOD[14..16], &GOOD[16..]);
        if blamed(&block) != (field, offset) {
            wrong.push((optional, blamed(&block)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_wrong_frame_is_named() {
    let sized = |end: usize| format!("D{end:04}{}", &GOOD[5..end]);
    for (block, field, offset) in [
        (String::new(), "header", 0),
        ("D".to_owned(), "header", 0),
        (GOOD[..15].to_owned(), "header", 0),
        (GOOD.replacen("P0", "P\u{fffd}", 1), "text", 6),
        (GOOD[..143].to_owned(), "block length", 1),
        (format!("{GOOD}0"), "block length", 1),
        (format!("{GOOD}\n"), "text", 144),
        (sized(16), "encrypted payload", 16),
        (sized(48), "encrypted payload", 16),
        (sized(79), "encrypted payload", 16),
        (sized(81), "encrypted payload", 16),
        (sized(96), "encrypted payload", 16),
        (sized(143), "encrypted payload", 16),
    ] {
        assert_eq!(blamed(&block), (field, offset), "{block}");
    }
}

#[test]
fn a_wrong_digit_behind_the_header_is_named() {
    let protection = Protection::new(Algorithm::Aes, &unhex(KBPK)).unwrap();
    for (at, digit, field) in [
        (16, "g", "encrypted payload"),
        (20, "z", "encrypted payload"),
        (21, "a", "encrypted payload"),
        (111, " ", "encrypted payload"),
        (112, "G", "MAC"),
        (143, "f", "MAC"),
    ] {
        let mut block = GOOD.to_owned();
        block.replace_range(at..=at, digit);
        let error = protection.unwrap(&block).err().unwrap();
        let named =
            matches!(error, BlockError::Malformed { field: f, offset, .. } if (f, offset) == (field, at));
        assert!(named, "{at}: {error}");
    }
}

#[test]
fn optional_blocks_of_good_form_pass() {
    for blocks in [
        &["KS1800604B120F9292800000"][..],
        &["IK141234567890123456"],
        &["BI10001234567890", "ZZ04"],
        &["BI0E0112345678"],
        &["KC0C00CB9DEA", "KP0C015C9405"],
        &["HM0621", "TC1320261231235960Z"],
        &["TS182026-12-31T23:59:59Z", "LB08text"],
        &["LB00020Ctext", "WP0800xx"],
    ] {
        let mut optional = blocks.concat();
        let fill = 16 - (optional.len() + 4) % 16;
        optional += &format!("PB{:02X}{}", fill + 4, "0".repeat(fill));
        let (count, total) = (blocks.len() + 1, GOOD.len() + optional.len());
        let block =
            format!("D{total:04}{}{count:02}{}{optional}{}", &GOOD[5..12], &GOOD[14..16], &GOOD[16..]);
        let header = Header::parse(&block, Some(Version::D)).unwrap();
        assert_eq!(header.optional.len(), blocks.len(), "{optional}");
    }
}
