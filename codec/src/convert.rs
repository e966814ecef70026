//! Turning values between wire and canonical form: BCD and digits, hex and bytes.
//!
//! Callers have checked the input. Wrong input gives wrong output here, never a panic: every loop is bounded
//! by both slices.

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
    for (pair, byte) in rest.chunks_mut(2).zip(bytes) {
        pair[0] = b'0' + (byte >> 4);
        if let Some(low) = pair.get_mut(1) {
            *low = b'0' + (byte & 0xF);
        }
    }
}

/// Appends digits (and `=`) as packed BCD; an odd one out is padded with a zero nibble on the side asked for.
#[inline]
pub(crate) fn push_bcd(digits: &[u8], pad_left: bool, out: &mut Vec<u8>) {
    let lead = if pad_left { digits.len() & 1 } else { 0 };
    let (first, rest) = digits.split_at(lead);
    out.extend(first.iter().map(|digit| digit & 0xF));
    out.extend(rest.chunks(2).map(|pair| pair[0] << 4 | pair.get(1).map_or(0, |low| low & 0xF)));
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

/// Appends bytes as upper-case hex text.
#[inline]
pub(crate) fn push_hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(bytes.iter().flat_map(|byte| [hex_char(byte >> 4), hex_char(byte & 0xF)]));
}

/// Writes bytes as upper-case hex text over `place`.
#[inline]
pub(crate) fn write_hex(bytes: &[u8], place: &mut [u8]) {
    for (pair, byte) in place.chunks_exact_mut(2).zip(bytes) {
        pair[0] = hex_char(byte >> 4);
        pair[1] = hex_char(byte & 0xF);
    }
}

/// The value of sixteen hex characters, or `None` if one of them is none.
#[inline]
pub(crate) fn u64_of_hex(hex: &[u8; 16]) -> Option<u64> {
    if !crate::check::hex(hex) {
        return None;
    }
    Some(hex.iter().fold(0, |value, &c| value << 4 | u64::from(nibble(c))))
}

/// The value of a checked hex character: the low nibble, plus nine for a letter (whose bit 6 is set).
#[inline]
pub(crate) const fn nibble(c: u8) -> u8 {
    (c & 0xF) + 9 * (c >> 6 & 1)
}

#[inline]
const fn hex_char(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bcd_pads_on_the_side_asked_for() {
        let bcd = |digits: &[u8], left| {
            let mut out = Vec::new();
            push_bcd(digits, left, &mut out);
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
    fn hex_both_ways() {
        let mut out = Vec::new();
        push_hex(&[0x01, 0xAF], &mut out);
        assert_eq!(out, b"01AF");
        let mut bytes = [0; 2];
        bytes_of_hex(b"01aF", &mut bytes);
        assert_eq!(bytes, [0x01, 0xAF]);
        write_hex(&[0x9C, 0x00], &mut out);
        assert_eq!(out, b"9C00");
        assert_eq!(u64_of_hex(b"7238000008C08000"), Some(0x7238_0000_08C0_8000));
        assert_eq!(u64_of_hex(b"7238000008C0800G"), None);
    }
}
