//! The data of optional blocks that X9.143 gives a form: checked where it stands, so that nobody reads past it later.
//!
//! ```text
//! KS  key set identifier or KSN of TDES DUKPT: 16 to 24 hex digits (a whole KSN has 20)
//! IK  initial key identifier of AES DUKPT: 16 hex digits
//! BI  base derivation key identifier: 00 and 10 hex digits (TDES), 01 and 8 (AES)
//! KC, KP  check value of the key, of its protection key: method of two hex digits, then 4 to 10 hex digits
//! HM  hash of an HMAC key: 21, which is SHA-256; others are not served
//! TC, TS  time of creation, of this block: YYYYMMDDhhmmssZ or YYYY-MM-DDThh:mm:ssZ
//! ```
//! All others, such as a label `LB`, are text and pass as they are.

use super::header::malformed;
use crate::error::BlockError;
use crate::secret::hex_digit;

/// Checks the data of block `id`, which stands at `at` in `block`.
pub(super) fn check(block: &str, id: [u8; 2], data: &str, at: usize) -> Result<(), BlockError> {
    let text = data.as_bytes();
    match &id {
        b"KS" => {
            digits(block, "optional block KS", text, at, |n| (16..=24).contains(&n) && n % 2 == 0, "16 to 24")
        }
        b"IK" => digits(block, "optional block IK", text, at, |n| n == 16, "16"),
        b"BI" => base_key_identifier(block, text, at),
        b"KC" => check_value(block, "optional block KC", text, at),
        b"KP" => check_value(block, "optional block KP", text, at),
        b"HM" if text == b"21" => Ok(()),
        b"HM" => {
            Err(malformed(block, "optional block HM", at, "21 (SHA-256), the hash served here", text.len()))
        }
        b"TC" => time(block, "optional block TC", text, at),
        b"TS" => time(block, "optional block TS", text, at),
        _ => Ok(()),
    }
}

fn digits(
    block: &str,
    field: &'static str,
    text: &[u8],
    at: usize,
    fits: fn(usize) -> bool,
    count: &str,
) -> Result<(), BlockError> {
    if let Some(n) = text.iter().position(|&digit| hex_digit(digit).is_none()) {
        return Err(malformed(block, field, at + n, "an upper-case hex digit", 1));
    }
    if fits(text.len()) {
        return Ok(());
    }
    Err(malformed(block, field, at, format!("{count} hex digits, there are {}", text.len()), text.len()))
}

fn base_key_identifier(block: &str, text: &[u8], at: usize) -> Result<(), BlockError> {
    let field = "optional block BI";
    match text.split_at_checked(2) {
        Some((b"00", rest)) => digits(block, field, rest, at + 2, |n| n == 10, "10"),
        Some((b"01", rest)) => digits(block, field, rest, at + 2, |n| n == 8, "8"),
        _ => Err(malformed(block, field, at, "00 (TDES) or 01 (AES)", 2)),
    }
}

fn check_value(block: &str, field: &'static str, text: &[u8], at: usize) -> Result<(), BlockError> {
    digits(
        block,
        field,
        text,
        at,
        |n| (6..=12).contains(&n) && n % 2 == 0,
        "a method of 2 and a value of 4 to 10",
    )
}

fn time(block: &str, field: &'static str, text: &[u8], at: usize) -> Result<(), BlockError> {
    let refuse = || {
        malformed(
            block,
            field,
            at,
            "a UTC time as YYYYMMDDhhmmssZ or YYYY-MM-DDThh:mm:ssZ",
            text.len().max(1),
        )
    };
    let shape: &[u8] = match text.len() {
        15 => b"YYYYMMDDhhmmssZ",
        20 => b"YYYY-MM-DDThh:mm:ssZ",
        _ => return Err(refuse()),
    };
    let part = |letter: u8| {
        let places = shape.iter().zip(text).filter(|(place, _)| **place == letter);
        places.fold(0, |number, (_, digit)| number * 10 + u32::from(digit.wrapping_sub(b'0')))
    };
    let fits = shape.iter().zip(text).all(|(place, found)| match place {
        b'Y' | b'M' | b'D' | b'h' | b'm' | b's' => found.is_ascii_digit(),
        _ => place == found,
    });
    let exists = fits
        && (1..=12).contains(&part(b'M'))
        && (1..=31).contains(&part(b'D'))
        && part(b'h') < 24
        && part(b'm') < 60
        // A leap second is a second.
        && part(b's') <= 60;
    if exists { Ok(()) } else { Err(refuse()) }
}
