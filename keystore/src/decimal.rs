//! Decimal digits out of a cipher block, as card verification values, PVVs and EMV card keys take them.
//!
//! The time does not depend on the block: a PVV says something about a PIN, a CVV is a secret of the card.

/// The first `N` digits: the nibbles 0 to 9 as they stand from left to right, then the nibbles A to F less ten.
/// Values, not characters.
pub(crate) fn decimal_digits<const N: usize>(block: &[u8]) -> [u8; N] {
    debug_assert!(N <= block.len() * 2);
    let nibbles = || block.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
    let mut letters_at: u8 = nibbles().map(|nibble| u8::from(nibble < 10)).sum();
    let mut digits_at = 0;
    let mut out = [0; N];
    for nibble in nibbles() {
        // All ones for a letter, all zeros for a digit.
        let letter = u8::from(nibble > 9).wrapping_neg();
        let at = (letters_at & letter) | (digits_at & !letter);
        let value = nibble - (10 & letter);
        for (slot, n) in out.iter_mut().zip(0_u8..) {
            *slot |= value & u8::from(n == at).wrapping_neg();
        }
        digits_at += 1 & !letter;
        letters_at += 1 & letter;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Seeded, cases, unhex};

    /// The same with text, in two passes.
    fn by_the_book(block: &[u8], count: usize) -> Vec<u8> {
        let text = crate::secret::hex(block);
        let digits = text.bytes().filter(u8::is_ascii_digit).map(|c| c - b'0');
        let letters = text.bytes().filter(u8::is_ascii_uppercase).map(|c| c - b'A');
        digits.chain(letters).take(count).collect()
    }

    #[test]
    fn digits_come_first_and_letters_fill_up() {
        assert_eq!(decimal_digits::<4>(&unhex("0FAB3C99EDCBA123")), [0, 3, 9, 9]);
        assert_eq!(decimal_digits::<4>(&unhex("FEDCBAABCDEF1FAB")), [1, 5, 4, 3]);
        assert_eq!(decimal_digits::<3>(&[0xFF; 8]), [5, 5, 5]);
    }

    #[test]
    fn agrees_with_another() {
        let mut seeded = Seeded::new(10);
        for case in 0..cases() {
            let mut block: [u8; 20] = seeded.array();
            if case % 3 == 0 {
                // Few digits, so that the second pass has work.
                block.iter_mut().for_each(|byte| *byte |= 0xA0 | (*byte & 0x0A));
            }
            assert_eq!(decimal_digits::<16>(&block)[..], by_the_book(&block, 16), "case {case}");
            assert_eq!(decimal_digits::<4>(&block[..8])[..], by_the_book(&block[..8], 4), "case {case}");
        }
    }
}
