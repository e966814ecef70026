//! Turning values between wire and canonical form: BCD and digits, hex and bytes.
//!
//! Callers have checked the input. Wrong input gives wrong output here, never a panic: every loop is bounded
//! by both slices.

use crate::check::{hex_nibbles, hex_spelt};

/// Digits of packed BCD, from nibble `first` (0 or 1) on, as many as `digits` has room for.
///
/// Nibble 0xD becomes `=`, the separator of track 2: both end in D, so one rule serves digits and track data.
#[inline]
pub(crate) fn digits_of_bcd(bcd: &[u8], first: usize, digits: &mut [u8]) {
    // An odd start means the first byte gives only its low nibble, an odd end the last one only its high.
    let (lead, digits) = digits.split_at_mut(first.min(digits.len()));
    let (led, bcd) = bcd.split_at(lead.len().min(bcd.len()));
    if let ([digit], [byte]) = (lead, led) {
        *digit = b'0' + (byte & 0xF);
    }
    let (pairs, last) = digits.split_at_mut(digits.len() & !1);
    let (bcd, odd) = bcd.split_at((pairs.len() / 2).min(bcd.len()));
    unpack(bcd, pairs);
    if let ([digit], [byte, ..]) = (last, odd) {
        *digit = b'0' + (byte >> 4);
    }
}

/// Writes digits (and `=`) as packed BCD over `place`; an odd one out is padded with a zero nibble on the side
/// asked for.
#[inline]
pub(crate) fn write_bcd(digits: &[u8], pad_left: bool, place: &mut [u8]) {
    let odd = digits.len() & 1;
    let (lead, digits) = digits.split_at(if pad_left { odd } else { 0 });
    let (led, place) = place.split_at_mut(lead.len().min(place.len()));
    if let ([digit], [byte]) = (lead, led) {
        *byte = digit & 0xF;
    }
    let (pairs, last) = digits.split_at(digits.len() & !1);
    let (place, padded) = place.split_at_mut((pairs.len() / 2).min(place.len()));
    pack(pairs, place);
    if let ([digit], [byte, ..]) = (last, padded) {
        *byte = digit << 4;
    }
}

/// Two digits per byte for an even number of digits; the last word overlaps the one before.
#[inline]
fn pack(digits: &[u8], bcd: &mut [u8]) {
    let eight = |digits: &[u8; 8]| gather(u64::from_be_bytes(*digits) & NIBBLES).to_be_bytes();
    let four = |[a, b, c, d]: [u8; 4]| [a << 4 | b & 0xF, c << 4 | d & 0xF];
    if let (Some(digits_end), true) = (digits.last_chunk::<8>(), bcd.len() >= 4) {
        let (words, _) = digits.as_chunks::<8>();
        for (place, word) in bcd.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *place = eight(word);
        }
        if let Some(place) = bcd.last_chunk_mut::<4>() {
            *place = eight(digits_end);
        }
    } else if let (Some(start), Some(end)) = (digits.first_chunk::<4>(), digits.last_chunk::<4>()) {
        if let Some(place) = bcd.first_chunk_mut::<2>() {
            *place = four(*start);
        }
        if let Some(place) = bcd.last_chunk_mut::<2>() {
            *place = four(*end);
        }
    } else if let (&[high, low], [place]) = (digits, bcd) {
        *place = high << 4 | low & 0xF;
    }
}

/// The way back, for whole bytes.
#[inline]
fn unpack(bcd: &[u8], digits: &mut [u8]) {
    let four = |bcd: &[u8; 4]| (spread(u32::from_be_bytes(*bcd)) + ASCII_ZEROS).to_be_bytes();
    let two = |[a, b]: [u8; 2]| [a >> 4, a & 0xF, b >> 4, b & 0xF].map(|nibble| b'0' + nibble);
    if let (Some(bcd_end), true) = (bcd.last_chunk::<4>(), digits.len() >= 8) {
        let (words, _) = bcd.as_chunks::<4>();
        for (place, word) in digits.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *place = four(word);
        }
        if let Some(place) = digits.last_chunk_mut::<8>() {
            *place = four(bcd_end);
        }
    } else if let (Some(start), Some(end)) = (bcd.first_chunk::<2>(), bcd.last_chunk::<2>()) {
        if let Some(place) = digits.first_chunk_mut::<4>() {
            *place = two(*start);
        }
        if let Some(place) = digits.last_chunk_mut::<4>() {
            *place = two(*end);
        }
    } else if let (&[byte], [high, low]) = (bcd, digits) {
        (*high, *low) = (b'0' + (byte >> 4), b'0' + (byte & 0xF));
    }
}

/// Track text with the separator in its canonical form.
#[inline]
pub(crate) fn track_text(wire: &[u8], place: &mut [u8]) {
    for (to, &from) in place.iter_mut().zip(wire) {
        *to = if from == b'D' { b'=' } else { from };
    }
}

/// Bytes of hex text, upper or lower case.
#[inline]
pub(crate) fn bytes_of_hex(hex: &[u8], bytes: &mut [u8]) {
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = nibble(pair[0]) << 4 | nibble(pair[1]);
    }
}

/// Writes bytes as upper-case hex text over `place`.
#[inline]
pub(crate) fn write_hex(bytes: &[u8], place: &mut [u8]) {
    let (fours, odd) = bytes.as_chunks::<4>();
    let (eights, rest) = place.as_chunks_mut::<8>();
    for (eight, four) in eights.iter_mut().zip(fours) {
        *eight = hex_spelt(spread(u32::from_be_bytes(*four))).to_be_bytes();
    }
    for (pair, byte) in rest.chunks_exact_mut(2).zip(odd) {
        let spelt = hex_spelt(u64::from(byte >> 4) << 8 | u64::from(byte & 0xF));
        pair.copy_from_slice(&(spelt as u16).to_be_bytes());
    }
}

/// The value of sixteen hex characters, or `None` if one of them is none.
#[inline]
pub(crate) fn u64_of_hex(hex: &[u8; 16]) -> Option<u64> {
    let (words, _) = hex.as_chunks::<8>();
    let (mut value, mut bad) = (0, 0);
    for word in words {
        let (nibbles, wrong) = hex_nibbles(u64::from_be_bytes(*word));
        value = value << 32 | u64::from(gather(nibbles));
        bad |= wrong;
    }
    (bad == 0).then_some(value)
}

/// Copies `from` to `to`, both of the same length. Most fields have 2 to 16 bytes, for which two overlapping
/// words are several times quicker than a call of the general copy.
#[inline]
pub(crate) fn copy_short(from: &[u8], to: &mut [u8]) {
    if from.len() > 16
        || !overlapping::<8>(from, to) && !overlapping::<4>(from, to) && !overlapping::<2>(from, to)
    {
        to.copy_from_slice(from);
    }
}

/// Copies first and last `N` bytes; false if there are fewer, and so nothing is copied.
#[inline(always)]
fn overlapping<const N: usize>(from: &[u8], to: &mut [u8]) -> bool {
    let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else {
        return false;
    };
    if let Some(place) = to.first_chunk_mut::<N>() {
        *place = *first;
    }
    if let Some(place) = to.last_chunk_mut::<N>() {
        *place = *last;
    }
    true
}

/// Eight nibbles, one per byte, moved together in three steps: pairs, fours, eights.
#[inline]
const fn gather(nibbles: u64) -> u32 {
    let pairs = (nibbles | nibbles >> 4) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs | pairs >> 8) & 0x0000_FFFF_0000_FFFF;
    (fours | fours >> 16) as u32
}

/// The way back: eight nibbles, each into a byte of its own.
#[inline]
const fn spread(packed: u32) -> u64 {
    let word = packed as u64;
    let fours = (word | word << 16) & 0x0000_FFFF_0000_FFFF;
    let pairs = (fours | fours << 8) & 0x00FF_00FF_00FF_00FF;
    (pairs | pairs << 4) & NIBBLES
}

const NIBBLES: u64 = 0x0F0F_0F0F_0F0F_0F0F;
const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;

/// The value of a checked hex character: the low nibble, plus nine for a letter (whose bit 6 is set).
#[inline]
pub(crate) const fn nibble(c: u8) -> u8 {
    (c & 0xF) + 9 * (c >> 6 & 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bcd_pads_on_the_side_asked_for() {
        let bcd = |digits: &[u8], left| {
            let mut out = vec![0xEE; digits.len().div_ceil(2)];
            write_bcd(digits, left, &mut out);
            out
        };
        // F22 and F23 of the POS dialect: 071 pads to 0710 and to 0071.
        assert_eq!(bcd(b"071", false), [0x07, 0x10]);
        assert_eq!(bcd(b"071", true), [0x00, 0x71]);
        assert_eq!(bcd(b"12=3", false), [0x12, 0xD3]);
        let digits = |bcd: &[u8], first, len| {
            let mut out = vec![0; len];
            digits_of_bcd(bcd, first, &mut out);
            out
        };
        assert_eq!(digits(&[0x07, 0x10], 0, 3), b"071");
        assert_eq!(digits(&[0x00, 0x71], 1, 3), b"071");
        assert_eq!(digits(&[0x12, 0xD3], 0, 4), b"12=3");
        assert_eq!(digits(&[], 1, 0), b"");
    }

    #[test]
    fn bcd_of_every_length_and_side() {
        let all = b"1234567890=0987654321234567890123456789";
        for len in 0..all.len() {
            for left in [false, true] {
                let digits = &all[..len];
                let mut bcd = vec![0; len.div_ceil(2)];
                write_bcd(digits, left, &mut bcd);
                let nibbles = bcd.iter().flat_map(|byte| [byte >> 4, byte & 0xF]);
                let lead = if left { len % 2 } else { 0 };
                assert!(nibbles.skip(lead).take(len).map(|nibble| nibble + b'0').eq(digits.iter().copied()));
                let mut back = vec![0; len];
                digits_of_bcd(&bcd, lead, &mut back);
                assert_eq!(back, digits);
            }
        }
    }

    #[test]
    fn hex_both_ways() {
        let mut out = [0; 4];
        write_hex(&[0x01, 0xAF], &mut out);
        assert_eq!(&out, b"01AF");
        let mut bytes = [0; 2];
        bytes_of_hex(b"01aF", &mut bytes);
        assert_eq!(bytes, [0x01, 0xAF]);
        assert_eq!(u64_of_hex(b"7238000008C08000"), Some(0x7238_0000_08C0_8000));
        assert_eq!(u64_of_hex(b"0123456789abcDEF"), Some(0x0123_4567_89AB_CDEF));
        for c in 0..=255u8 {
            let digit = char::from(c).to_digit(16).filter(|_| c.is_ascii()).map(u64::from);
            for at in 0..16 {
                let mut hex = [b'0'; 16];
                hex[at] = c;
                assert_eq!(u64_of_hex(&hex), digit.map(|digit| digit << (60 - 4 * at)), "{c:#x} at {at}");
            }
        }
    }

    #[test]
    fn short_copies_of_every_length() {
        let from: Vec<u8> = (1..=40).collect();
        for len in 0..=40 {
            let mut to = vec![0; len];
            copy_short(&from[..len], &mut to);
            assert_eq!(to, from[..len]);
        }
    }
}
