//! No card number of a person stands in the tree: whatever could be one is in a test range, with an account
//! number that anyone sees is made up (PCI DSS 6.5.5: live PANs are not used for test).
//!
//! Looks at whole runs of digits of the lengths ISO/IEC 7812 allows, in every file that is text.

use crate::tree::{Finding, Tree};
use std::collections::BTreeSet;
use yika_codec::Pan;

const TEST_PREFIXES: [&str; 3] = ["411111", "6210", "6222"];
/// More digits other than zero than this look like an account.
const NON_ZERO_DIGITS_MAX: usize = 5;

/// Numbers that are no test numbers and may stand all the same: (file, digits, reason).
/// The digits stand in two halves, so that this file holds none of them.
const ALLOWED: [(&str, &str, &str); 11] = [
    (
        "keystore/src/block/malformed_tests.rs",
        concat!("141234", "567890123456"),
        "an optional block with its length, no card",
    ),
    (
        "keystore/src/block/malformed_tests.rs",
        concat!("132026", "1231235960"),
        "an optional block with its length, no card",
    ),
    ("keystore/src/sm2/tests.rs", concat!("958893", "93692860"), "a published number in hexadecimal"),
    (
        "keystore/src/store/file/golden_v2.audit.jsonl",
        concat!("227255", "865400862"),
        "a signature in hexadecimal",
    ),
    ("codec/tests/common/mod.rs", concat!("26000000", "00000000"), "field 53: kinds of PIN and MAC, no card"),
    (
        "keystore/src/conformance/macs.rs",
        concat!("40123", "45678909"),
        "published vector, X9.24-1:2009 annex A.4",
    ),
    (
        "keystore/src/conformance/pins.rs",
        concat!("40123", "45678909"),
        "published vector, X9.24-1:2009 annex A.4",
    ),
    (
        "keystore/src/dukpt/tdes/tests.rs",
        concat!("40123", "45678909"),
        "published vector, X9.24-1:2009 annex A.4",
    ),
    ("keystore/src/pin/tests.rs", concat!("40123", "45678909"), "published vector, X9.24-1:2009 annex A.4"),
    ("keystore/src/pin/tests.rs", concat!("112233", "445566778899"), "counted up, to see each digit's place"),
    (
        "loadgen/tests/loopback.rs",
        concat!("112233", "445566778899"),
        "the middle of a test key in hexadecimal",
    ),
];

/// Possible card numbers outside the test ranges.
pub(crate) fn test_ranges(tree: &Tree) -> Vec<Finding> {
    check(tree, &ALLOWED)
}

fn check(tree: &Tree, allowed: &[(&str, &str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut met = BTreeSet::new();
    for (path, line, digits) in possible_cards(tree) {
        if allowed.iter().any(|(file, number, _)| (*file, *number) == (path, digits)) {
            met.insert((path, digits));
        } else if !is_test_number(digits) {
            let (start, length) = (&digits[..6], digits.len());
            let what = format!(
                "{start}.. with {length} digits may be a card: use 411111, 6210 or 6222 with an account of zeros"
            );
            findings.push(Finding { path: path.to_owned(), line, what });
        }
    }
    for (path, digits, reason) in allowed.iter().filter(|(path, digits, _)| !met.contains(&(*path, *digits)))
    {
        let start = &digits[..6];
        let what = format!("{start}.. ({reason}) is gone: take it out of ALLOWED in tests/tidy/cards.rs");
        findings.push(Finding { path: (*path).to_owned(), line: 1, what });
    }
    findings
}

/// Path, line and digits of each run that may be a card number. Checksums of dependencies in a lock file
/// are hexadecimal and end up with any digits at all.
fn possible_cards(tree: &Tree) -> impl Iterator<Item = (&str, usize, &str)> {
    tree.files().filter(|(path, _)| !path.ends_with("Cargo.lock")).flat_map(|(path, text)| {
        text.lines().enumerate().flat_map(move |(at, line)| {
            let runs = line.split(|letter: char| !letter.is_ascii_digit());
            runs.filter(|run| may_be_card(run)).map(move |run| (path, at + 1, run))
        })
    })
}

/// 13 to 19 digits that pass Luhn; no issuer's number begins with 0 (ISO/IEC 7812-1, major industry identifier).
fn may_be_card(digits: &str) -> bool {
    (13..=19).contains(&digits.len())
        && !digits.starts_with('0')
        && Pan::new(digits.as_bytes()).is_some_and(|pan| pan.luhn_ok())
}

fn is_test_number(digits: &str) -> bool {
    TEST_PREFIXES.iter().filter_map(|prefix| digits.strip_prefix(prefix)).any(|rest| {
        let account = &rest[..rest.len() - 1];
        account.bytes().filter(|digit| *digit != b'0').count() <= NON_ZERO_DIGITS_MAX
            || account.bytes().all(|digit| digit == b'1')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Digits with the check digit that makes them pass, so that this file holds no such number itself.
    fn card(digits: &str) -> String {
        format!("{digits}{}", char::from(Pan::check_digit(digits.as_bytes())))
    }

    fn found(text: &str) -> usize {
        check(&Tree::of(&[("a.csv", text)]), &[]).len()
    }

    #[test]
    fn a_number_outside_the_test_ranges_is_found() {
        for digits in ["401234567890123", "622848000000000000", "411111234567890", "62220123456789012"] {
            assert_eq!(found(&format!("card,{},ok", card(digits))), 1, "{digits}");
        }
    }

    #[test]
    fn test_numbers_and_other_digits_are_not() {
        for digits in ["411111111111111", "411111000000000", "621000000000001", "622200000000990001"] {
            assert_eq!(found(&card(digits)), 0, "{digits}");
        }
        let one_off = card("401234567890123").replace("401", "402");
        for text in [&one_off, "0000000000000000", "123456", "12345678901234567890123", ""] {
            assert_eq!(found(text), 0, "{text}");
        }
    }

    #[test]
    fn an_allowed_number_may_stand_until_it_is_gone() {
        let number = card("401234567890123");
        let allowed = [("a.csv", number.as_str(), "a published vector")];
        let both = format!("{number}\n{number}\n");
        assert!(check(&Tree::of(&[("a.csv", &both)]), &allowed).is_empty());
        assert_eq!(check(&Tree::of(&[("b.csv", &both)]), &allowed).len(), 3);
    }
}
