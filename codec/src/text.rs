//! Small conversions that every crate needs in one way only: hexadecimal, and numbers as digits of a field.

/// Reads hexadecimal of either case; `None` when it is none, or has an odd number of digits.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let pairs = text.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect()
}

/// Bytes as upper-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789ABCDEF"[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)]).collect()
}

/// Fills `place` with the decimal digits of `number`, zeros in front; digits that do not fit are cut off there.
#[inline]
pub fn write_digits(mut number: u64, place: &mut [u8]) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// The last `N` decimal digits of a number.
#[inline]
pub fn digits<const N: usize>(number: u64) -> [u8; N] {
    let mut place = [0; N];
    write_digits(number, &mut place);
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_in_pairs() {
        assert_eq!(unhex("00fFa1"), Some(vec![0x00, 0xFF, 0xA1]));
        assert_eq!(hex(&[0x00, 0xFF, 0xA1]), "00FFA1");
        assert_eq!(unhex(""), Some(Vec::new()));
        for wrong in ["0", "0g", "+1", "é0"] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn digits_are_padded_and_cut() {
        assert_eq!(&digits::<6>(42), b"000042");
        assert_eq!(&digits::<6>(1_234_567), b"234567");
        assert_eq!(&digits::<0>(7), b"");
    }
}
