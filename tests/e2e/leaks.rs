//! Looks for what must not be in anything that was written or said (P10): card numbers under the test prefixes as
//! text and as packed digits, test PINs in clear blocks, and the keys of the test city.

use crate::city::{ACQUIRER_MAC, ACQUIRER_PIN, BANK_MAC, BANK_PIN};
use std::path::{Path, PathBuf};
use yika_codec::{Pan, unhex};
use yika_loadgen::{TEST_PIN, TEST_PREFIXES};

const DIGITS: usize = 16;
/// Packed digits are looked for in sealed bytes as well, where any eight may come up: a test card's account has at
/// least so many zeros, or is ones alone.
const ZEROS_MIN: usize = 6;

/// What is looked for besides card numbers.
pub(crate) struct Leaks {
    secrets: Vec<(String, Vec<u8>)>,
}

impl Leaks {
    /// `cards` are those whose PIN may have been entered; `others` any text or bytes that must be nowhere.
    pub(crate) fn of(cards: &[String], others: &[(&str, &[u8])]) -> Leaks {
        let mut secrets: Vec<(String, Vec<u8>)> =
            others.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        for key in [ACQUIRER_MAC, BANK_MAC, ACQUIRER_PIN, BANK_PIN] {
            secrets.push(("a key".to_owned(), unhex(key).unwrap()));
        }
        // ISO 9564 format 0 before encryption: the PIN field by itself, and with the card's digits over it.
        let field = pin_field();
        secrets.push(("a PIN field".to_owned(), field.to_vec()));
        for card in cards {
            let over = card_field(card);
            let block: Vec<u8> = field.iter().zip(over).map(|(one, other)| one ^ other).collect();
            secrets.push((format!("the clear PIN block of {}", masked(card)), block));
        }
        let in_hex: Vec<(String, Vec<u8>)> = secrets
            .iter()
            .map(|(name, bytes)| {
                (format!("{name} in hex"), bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>())
            })
            .map(|(name, text)| (name, text.into_bytes()))
            .collect();
        secrets.extend(in_hex);
        Leaks { secrets }
    }

    /// Panics when these bytes hold any of it.
    #[track_caller]
    pub(crate) fn none_in(&self, whence: &str, bytes: &[u8]) {
        if let Some((what, at)) = self.first(bytes) {
            let before = String::from_utf8_lossy(&bytes[at.saturating_sub(60)..at]).into_owned();
            panic!("{whence} holds {what} at {at}: ...{before}");
        }
    }

    /// The same for every file below a folder; how many there were.
    #[track_caller]
    pub(crate) fn none_below(&self, folder: &Path) -> usize {
        let files = files_below(folder);
        for file in &files {
            let bytes = std::fs::read(file).unwrap_or_default();
            self.none_in(&file.display().to_string(), &bytes);
        }
        files.len()
    }

    fn first(&self, bytes: &[u8]) -> Option<(String, usize)> {
        if let Some(at) = (0..bytes.len()).find(|at| card_in_text(&bytes[*at..])) {
            return Some(("a card number".to_owned(), at));
        }
        if let Some(at) = (0..2 * bytes.len()).find(|at| card_in_nibbles(bytes, *at)) {
            return Some(("a card number in packed digits".to_owned(), at / 2));
        }
        let upper = bytes.to_ascii_uppercase();
        self.secrets.iter().find_map(|(name, secret)| {
            // Hexadecimal in either case; bytes as they are.
            let place = if name.ends_with("in hex") { &upper } else { bytes };
            find(place, secret).map(|at| (name.clone(), at))
        })
    }
}

fn find(bytes: &[u8], secret: &[u8]) -> Option<usize> {
    let first = *secret.first()?;
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == first) {
        if bytes[from + at..].starts_with(secret) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

fn is_test_card(digits: &[u8]) -> bool {
    TEST_PREFIXES.iter().any(|prefix| digits.starts_with(prefix.as_bytes()))
        && Pan::new(digits).is_some_and(|pan| pan.luhn_ok())
}

fn card_in_text(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(b'4' | b'6')) && bytes.get(..DIGITS).is_some_and(is_test_card)
}

fn card_in_nibbles(bytes: &[u8], at: usize) -> bool {
    let nibble = |at: usize| {
        let byte = *bytes.get(at / 2)?;
        Some(if at.is_multiple_of(2) { byte >> 4 } else { byte & 0xF }).filter(|digit| *digit < 10)
    };
    if !matches!(nibble(at), Some(4 | 6)) {
        return false;
    }
    let digits: Option<Vec<u8>> = (at..at + DIGITS).map(|at| Some(b'0' + nibble(at)?)).collect();
    digits.is_some_and(|digits| is_test_card(&digits) && is_plain(&digits))
}

/// An account that a test card has.
fn is_plain(digits: &[u8]) -> bool {
    let account = &digits[6..DIGITS - 1];
    account.iter().filter(|digit| **digit == b'0').count() >= ZEROS_MIN || account.iter().all(|d| *d == b'1')
}

/// 0, the PIN's length, its digits, and F to the end.
fn pin_field() -> [u8; 8] {
    let mut nibbles = vec![0, TEST_PIN.len() as u8];
    nibbles.extend(TEST_PIN.iter().map(|digit| digit - b'0'));
    nibbles.resize(16, 0xF);
    packed(&nibbles)
}

/// Four zeros and the twelve digits before the check digit.
fn card_field(card: &str) -> [u8; 8] {
    let digits = card.as_bytes();
    let mut nibbles = vec![0; 4];
    nibbles.extend(digits[digits.len() - 13..digits.len() - 1].iter().map(|digit| digit - b'0'));
    packed(&nibbles)
}

fn packed(nibbles: &[u8]) -> [u8; 8] {
    std::array::from_fn(|at| nibbles[2 * at] << 4 | nibbles[2 * at + 1])
}

fn masked(card: &str) -> String {
    Pan::new(card.as_bytes()).map_or(String::new(), |pan| pan.to_string())
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found
}

#[test]
fn each_form_of_a_secret_is_found() {
    let card = "6222000000000009";
    let leaks = Leaks::of(&[card.to_owned()], &[("a track", b"=2912201000")]);
    let even = packed(&card.bytes().map(|digit| digit - b'0').collect::<Vec<_>>());
    // The same half a byte later.
    let mut odd = vec![0x90 | even[0] >> 4];
    odd.extend(even.windows(2).map(|pair| pair[0] << 4 | pair[1] >> 4));
    odd.push(even[7] << 4);
    let block: Vec<u8> = pin_field().iter().zip(card_field(card)).map(|(one, other)| one ^ other).collect();
    let key = unhex(BANK_MAC).unwrap();
    for held in [
        b"pan=6222000000000009 ".as_slice(),
        b"x4111111111111111",
        &even,
        &odd,
        &block,
        &pin_field(),
        &key,
        BANK_MAC.to_ascii_lowercase().as_bytes(),
        b"6210000000000000=2912201000",
    ] {
        let bytes = [b"before ", held, b" after"].concat();
        assert!(leaks.first(&bytes).is_some(), "{held:02x?}");
    }
    for harmless in ["6222000000000008", "411111******1111", "1795476615250", "tx=62220000"] {
        assert!(leaks.first(harmless.as_bytes()).is_none(), "{harmless}");
    }
}
