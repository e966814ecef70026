//! What bytes may stand in a field, eight at a time.
//!
//! Decode checks every byte it lets in, so that nobody after it has to; these checks are therefore on the hot
//! path and work on words. Each promises the same answer as the plain loop its test compares it with.

use crate::ebcdic::Page;
use crate::spec::{Content, Wire};

/// What decode demands of the bytes of a field on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Check {
    Digits,
    Signed,
    Track,
    Letters,
    Alnum,
    Printable,
    Text,
    Any,
    Hex,
    Bcd { pad_left: bool, track: bool },
    BcdSigned,
    Ebcdic(Page, Content),
    EbcdicHex,
}

impl Check {
    pub(crate) fn of(content: Content, wire: Wire) -> Check {
        let track = content == Content::Track;
        match (wire, content) {
            (Wire::BcdPadRight, _) => Check::Bcd { pad_left: false, track },
            (Wire::BcdPadLeft, _) => Check::Bcd { pad_left: true, track },
            (Wire::BcdSigned, _) => Check::BcdSigned,
            (Wire::Hex, _) => Check::Hex,
            (Wire::Ebcdic(page), content) => Check::Ebcdic(page, content),
            (Wire::EbcdicHex, _) => Check::EbcdicHex,
            (Wire::Plain, Content::Digits) => Check::Digits,
            (Wire::Plain, Content::Signed) => Check::Signed,
            (Wire::Plain, Content::Track) => Check::Track,
            (Wire::Plain, Content::Letters) => Check::Letters,
            (Wire::Plain, Content::Alnum) => Check::Alnum,
            (Wire::Plain, Content::Printable) => Check::Printable,
            (Wire::Plain, Content::Text) => Check::Text,
            (Wire::Plain, Content::Binary) => Check::Any,
        }
    }
}

/// True if these wire bytes may be the value, of `units`, of a field.
#[inline]
pub(crate) fn wire(check: Check, bytes: &[u8], units: usize) -> bool {
    match check {
        Check::Digits => digits(bytes),
        Check::Signed => canonical(Content::Signed, bytes),
        // On the wire either separator of track 2 is met; the canonical one is `=` (ISO/IEC 7813).
        Check::Track => track(bytes, b'D'),
        Check::Letters => canonical(Content::Letters, bytes),
        Check::Alnum => alnum(bytes),
        Check::Printable => printable(bytes),
        Check::Text => canonical(Content::Text, bytes),
        Check::Any => true,
        Check::Hex => units & 1 == 0 && hex(bytes),
        Check::Bcd { pad_left, track } => bcd(bytes, units, pad_left, track),
        Check::BcdSigned => {
            bytes.first().is_some_and(|sign| is_sign(*sign))
                && bcd(rest(bytes), units.wrapping_sub(1), true, false)
        }
        Check::Ebcdic(page, content) => ebcdic(page, content, bytes),
        Check::EbcdicHex => units & 1 == 0 && Page::Cp037.all(bytes, |c| c.is_ascii_hexdigit()),
    }
}

fn ebcdic(page: Page, content: Content, bytes: &[u8]) -> bool {
    match content {
        Content::Signed => {
            let sign = |byte: &u8| is_sign(page.to_ascii(*byte));
            bytes.first().is_none_or(sign) && page.all(rest(bytes), |c| c.is_ascii_digit())
        }
        Content::Digits => page.all(bytes, |c| c.is_ascii_digit()),
        Content::Track => page.all(bytes, |c| c.is_ascii_digit() || matches!(c, b'=' | b'D')),
        Content::Letters => page.all(bytes, |c| c.is_ascii_alphabetic() || c == b' '),
        Content::Alnum => page.all(bytes, |c| c.is_ascii_alphanumeric() || c == b' '),
        Content::Printable | Content::Text | Content::Binary => page.all(bytes, |_| true),
    }
}

/// What a check wants, for errors.
pub(crate) fn expected(check: Check) -> &'static str {
    match check {
        Check::Hex => "pairs of hex characters",
        Check::Bcd { track: true, .. } => "track digits in BCD",
        Check::Bcd { track: false, .. } => "digits in BCD",
        Check::Digits => "digits",
        Check::Signed => "C or D and digits",
        Check::BcdSigned => "C or D and digits in BCD",
        Check::EbcdicHex => "pairs of hex characters in EBCDIC",
        Check::Ebcdic(_, Content::Digits) => "digits in EBCDIC",
        Check::Ebcdic(_, Content::Signed) => "C or D and digits in EBCDIC",
        Check::Ebcdic(_, Content::Track) => "track digits in EBCDIC",
        Check::Ebcdic(_, Content::Letters) => "letters in EBCDIC",
        Check::Ebcdic(_, Content::Alnum) => "letters and digits in EBCDIC",
        Check::Ebcdic(..) => "printable characters in EBCDIC",
        Check::Track => "track digits",
        Check::Letters => "letters",
        Check::Alnum => "letters and digits",
        Check::Printable => "printable characters",
        Check::Text => "text without control characters",
        Check::Any => "bytes",
    }
}

/// Credit or debit (ISO 8583:1987, attribute x).
const fn is_sign(c: u8) -> bool {
    matches!(c, b'C' | b'D')
}

/// True if the canonical value may stand in a field of this content.
#[inline]
pub(crate) fn canonical(content: Content, value: &[u8]) -> bool {
    match content {
        Content::Digits => digits(value),
        Content::Signed => value.first().is_none_or(|sign| is_sign(*sign)) && digits(rest(value)),
        Content::Track => track(value, b'='),
        Content::Letters => all(value, |c| c.is_ascii_alphabetic() || c == b' '),
        Content::Alnum => alnum(value),
        Content::Printable => printable(value),
        Content::Text => all(value, |c| c >= 0x20),
        Content::Binary => true,
    }
}

/// True if all bytes are ASCII digits.
#[inline]
pub(crate) fn digits(bytes: &[u8]) -> bool {
    no_word(bytes, |word| {
        // The high nibble is 3, and stays 3 when 6 is added to the low one.
        let high = word & (0xF0 * ONES);
        let carried = word.wrapping_add(0x06 * ONES) & (0xF0 * ONES);
        (high | carried >> 4) ^ (0x33 * ONES)
    })
}

/// True if all bytes are printable ASCII, blank to tilde.
#[inline]
pub(crate) fn printable(bytes: &[u8]) -> bool {
    no_word(bytes, |word| {
        let below_blank = !((word | HIGH).wrapping_sub(0x20 * ONES));
        let above_tilde = word | word.wrapping_add(ONES);
        // A byte with the top bit set is bad by itself, so a carry out of it changes nothing.
        (below_blank | above_tilde) & HIGH
    })
}

/// True if all bytes are letters, digits or blanks.
#[inline]
pub(crate) fn alnum(bytes: &[u8]) -> bool {
    no_word(bytes, |word| {
        let lower = word | (0x20 * ONES);
        let good = within(lower, b'a', b'z') | within(word, b'0', b'9') | within(word, b' ', b' ');
        (!good | word) & HIGH
    })
}

/// True if all bytes are digits, `=`, or the other separator.
#[inline]
fn track(bytes: &[u8], separator: u8) -> bool {
    no_word(bytes, |word| {
        let separators = within(word, b'=', b'=') | within(word, separator, separator);
        (!(within(word, b'0', b'9') | separators) | word) & HIGH
    })
}

/// Sets the top bit of each byte that lies between `low` and `high`. Bytes whose top bit is set already are the
/// caller's to refuse; no byte borrows from its neighbour.
#[inline(always)]
const fn within(word: u64, low: u8, high: u8) -> u64 {
    let from_low = (word | HIGH).wrapping_sub(low as u64 * ONES);
    let above_high = (word | HIGH).wrapping_sub((high + 1) as u64 * ONES);
    from_low & !above_high
}

/// True if all bytes are hex characters.
#[inline]
pub(crate) fn hex(bytes: &[u8]) -> bool {
    no_word(bytes, |word| hex_nibbles(word).1)
}

/// The values of eight hex characters, one per byte, and a word that is 0 if all eight are hex characters.
#[inline]
pub(crate) fn hex_nibbles(word: u64) -> (u64, u64) {
    // A letter has bit 6 set; its low nibble counts from 1 where its value counts from 10.
    let letter = word >> 6 & ONES;
    let nibbles = (word & (0x0F * ONES)).wrapping_add(9 * letter);
    // Spelling the values out again must give the characters, but for the case of letters.
    let bad = hex_spelt(nibbles) ^ (word & !(letter << 5)) | (nibbles & (0xF0 * ONES));
    (nibbles, bad)
}

/// Eight values below 16, one per byte, as upper-case hex characters.
#[inline]
pub(crate) fn hex_spelt(nibbles: u64) -> u64 {
    let above_nine = nibbles.wrapping_add(6 * ONES) >> 4 & ONES;
    // Seven characters stand between 9 and A.
    nibbles.wrapping_add(0x30 * ONES).wrapping_add(7 * above_nine)
}

/// True if `units` digits in packed BCD are digits (or, for track data, the separator 0xD) and the pad nibble,
/// if there is one, is 0 or F.
#[inline]
pub(crate) fn bcd(bytes: &[u8], units: usize, pad_left: bool, track: bool) -> bool {
    if units & 1 == 0 {
        return nibbles(bytes, track);
    }
    let split = if pad_left { bytes.split_first() } else { bytes.split_last() };
    let Some((&padded, whole)) = split else {
        return false;
    };
    let (digit, pad) = if pad_left { (padded & 0xF, padded >> 4) } else { (padded >> 4, padded & 0xF) };
    (pad == 0 || pad == 0xF) && nibbles(&[digit], track) && nibbles(whole, track)
}

#[inline]
fn nibbles(bytes: &[u8], track: bool) -> bool {
    no_word(bytes, |word| {
        let (b3, b2, b1, b0) = (word >> 3, word >> 2, word >> 1, word);
        // Above nine: bit 3 with bit 2 or bit 1. The separator 1101 is let through for track data.
        let separator = if track { b3 & b2 & !b1 & b0 } else { 0 };
        b3 & (b2 | b1) & !separator & NIBBLES
    })
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * ONES;
const NIBBLES: u64 = 0x11 * ONES;

/// True if `bad` gives zero for the bytes taken as words. Short input is filled up with `0`, long input overlaps.
#[inline(always)]
fn no_word(bytes: &[u8], bad: impl Fn(u64) -> u64) -> bool {
    if let Some(last) = bytes.last_chunk::<8>() {
        let (words, _) = bytes.as_chunks::<8>();
        let sum = words.iter().fold(0, |sum, word| sum | bad(u64::from_le_bytes(*word)));
        return sum | bad(u64::from_le_bytes(*last)) == 0;
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let word = u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
        return bad(word) == 0;
    }
    let [a, b, c] = match *bytes {
        [] => return true,
        [a] => [a; 3],
        [a, b] => [a, b, b],
        [a, b, c, ..] => [a, b, c],
    };
    let fill = (0x30 * ONES) << 24;
    bad(fill | u64::from(a) << 16 | u64::from(b) << 8 | u64::from(c)) == 0
}

/// All, without an early way out: the loop then has no branch per byte.
#[inline(always)]
fn all(bytes: &[u8], good: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |sum, &c| sum & good(c))
}

#[inline]
fn rest(value: &[u8]) -> &[u8] {
    value.get(1..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nearly(good: &'static str) -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![40 => prop::sample::select(good.as_bytes()), 1 => any::<u8>()];
        prop::collection::vec(byte, 0..40)
    }

    proptest! {
        #[test]
        fn words_agree_with_plain_loops(bytes in prop_oneof![nearly("0123456789"), nearly(" ~AZaz09=CD")]) {
            prop_assert_eq!(digits(&bytes), bytes.iter().all(u8::is_ascii_digit));
            prop_assert_eq!(printable(&bytes), bytes.iter().all(|c| (0x20..0x7F).contains(c)));
            prop_assert_eq!(hex(&bytes), bytes.iter().all(u8::is_ascii_hexdigit));
            let of_track = |c: &u8, other| c.is_ascii_digit() || *c == b'=' || *c == other;
            prop_assert_eq!(wire(Check::Track, &bytes, bytes.len()), bytes.iter().all(|c| of_track(c, b'D')));
            prop_assert_eq!(canonical(Content::Track, &bytes), bytes.iter().all(|c| of_track(c, b'=')));
            let alnum = bytes.iter().all(|c| c.is_ascii_alphanumeric() || *c == b' ');
            prop_assert_eq!(canonical(Content::Alnum, &bytes), alnum);
        }

        #[test]
        fn nibbles_agree_with_a_plain_loop(bytes in nearly("\u{1}\u{10}\u{9}2BRbr "), track: bool) {
            let good = |n: u8| n <= 9 || track && n == 0xD;
            let plain = bytes.iter().all(|c| good(c >> 4) && good(c & 0xF));
            prop_assert_eq!(bcd(&bytes, bytes.len() * 2, false, track), plain);
        }
    }

    #[test]
    fn every_single_byte_is_judged_alone_and_in_a_word() {
        for c in 0..=255u8 {
            for len in [1, 2, 3, 4, 7, 8, 9, 19] {
                for at in 0..len {
                    let mut bytes = vec![b'5'; len];
                    bytes[at] = c;
                    assert_eq!(digits(&bytes), c.is_ascii_digit(), "{c:#x} at {at} of {len}");
                    assert_eq!(printable(&bytes), (0x20..0x7F).contains(&c), "{c:#x} at {at} of {len}");
                    let is_alnum = c.is_ascii_alphanumeric() || c == b' ';
                    assert_eq!(alnum(&bytes), is_alnum, "{c:#x} at {at} of {len}");
                    assert_eq!(hex(&bytes), c.is_ascii_hexdigit(), "{c:#x} at {at} of {len}");
                    let is_track = c.is_ascii_digit() || c == b'=' || c == b'D';
                    assert_eq!(track(&bytes, b'D'), is_track, "{c:#x} at {at} of {len}");
                }
            }
        }
    }

    #[test]
    fn a_pad_nibble_is_zero_or_f_and_the_rest_is_judged() {
        assert!(bcd(&[0x07, 0x10], 3, false, false) && bcd(&[0x07, 0x1F], 3, false, false));
        assert!(!bcd(&[0x07, 0x11], 3, false, false) && !bcd(&[0x07, 0xA0], 3, false, false));
        assert!(bcd(&[0x00, 0x71], 3, true, false) && bcd(&[0xF0, 0x71], 3, true, false));
        assert!(!bcd(&[0x10, 0x71], 3, true, false) && !bcd(&[0x0A, 0x71], 3, true, false));
        assert!(
            bcd(&[0x1D], 2, false, true) && !bcd(&[0x1D], 2, false, false) && !bcd(&[0x1E], 2, false, true)
        );
        assert!(!bcd(&[], 1, false, false) && bcd(&[], 0, false, false));
    }

    #[test]
    fn a_sign_stands_only_in_front() {
        assert!(canonical(Content::Signed, b"C00000012") && canonical(Content::Signed, b"D1"));
        assert!(!canonical(Content::Signed, b"100000012") && !canonical(Content::Signed, b"C0000D012"));
    }
}
