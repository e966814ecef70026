//! Turning values between wire and canonical form: BCD and digits, hex and bytes.
//!
//! Callers have checked the input. Wrong input gives wrong output here, never a panic: every loop is bounded
//! by both slices.

use crate::check::{hex_nibbles, hex_spelt};

/// Digits of packed BCD, from nibble `first` on, as many as `digits` has room for.
///
/// Nibble 0xD becomes `=`, the separator of track 2: both end in D, so one rule serves digits and track data.
#[inline]
pub(crate) fn digits_of_bcd(bcd: &[u8], first: usize, digits: &mut [u8]) {
    let (lead, rest) = digits.split_at_mut(first.min(digits.len()));
    let mut bytes = bcd.iter();
    // An odd start means the first byte gives only its low nibble.
    if let [low] = lead {
        *low = b'0' + (bytes.next().copied().unwrap_or(0) & 0xF);
    }
    let (eights, rest) = rest.as_chunks_mut::<8>();
    let (fours, left) = bytes.as_slice().as_chunks::<4>();
    for (eight, four) in eights.iter_mut().zip(fours) {
        *eight = (spread(u32::from_be_bytes(*four)) + ASCII_ZEROS).to_be_bytes();
    }
    // The eights may be fewer than the fours: what they did not take is still to be read.
    let left = fours.get(eights.len()..).unwrap_or_default().as_flattened().iter().chain(left);
    for (pair, byte) in rest.chunks_mut(2).zip(left) {
        pair[0] = b'0' + (byte >> 4);
        if let Some(low) = pair.get_mut(1) {
            *low = b'0' + (byte & 0xF);
        }
    }
}

/// Writes digits (and `=`) as packed BCD over `place`; an odd one out is padded with a zero nibble on the side
/// asked for.
#[inline]
pub(crate) fn write_bcd(digits: &[u8], pad_left: bool, place: &mut [u8]) {
    let lead = if pad_left { digits.len() & 1 } else { 0 };
    let (first, rest) = digits.split_at(lead);
    let (padded, place) = place.split_at_mut(lead.min(place.len()));
    if let ([digit], [byte]) = (first, padded) {
        *byte = digit & 0xF;
    }
    let (eights, rest) = rest.as_chunks::<8>();
    let (fours, place) = place.split_at_mut((4 * eights.len()).min(place.len()));
    for (four, eight) in fours.as_chunks_mut::<4>().0.iter_mut().zip(eights) {
        *four = gather(u64::from_be_bytes(*eight) & NIBBLES).to_be_bytes();
    }
    let (pairs, odd) = rest.as_chunks::<2>();
    for (byte, [high, low]) in place.iter_mut().zip(pairs) {
        *byte = high << 4 | low & 0xF;
    }
    if let ([high], Some(byte)) = (odd, place.get_mut(pairs.len())) {
        *byte = high << 4;
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
