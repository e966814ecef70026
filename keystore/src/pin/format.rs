//! The clear side of PIN blocks (ISO 9564-1): the PIN field and the PAN fields.
//! Clear PINs are wiped on drop and checked without a branch on their digits.

use zeroize::Zeroize as _;

use super::PinError;

/// Digits in a PIN (ISO 9564-1 clause 8.1).
const PIN_DIGITS_MIN: u8 = 4;
const PIN_DIGITS_MAX: u8 = 12;

/// A clear PIN: its length, then its digits as one nibble each in a byte.
pub(super) struct ClearPin {
    /// `[length, digit, digit, ..]`; unused digits are zero.
    nibbles: [u8; 1 + PIN_DIGITS_MAX as usize],
}

impl ClearPin {
    pub(super) fn from_ascii(pin: &[u8]) -> Result<ClearPin, PinError> {
        let len = u8::try_from(pin.len()).unwrap_or(u8::MAX);
        if !(PIN_DIGITS_MIN..=PIN_DIGITS_MAX).contains(&len) {
            return Err(PinError::PinLength);
        }
        if !pin.iter().all(u8::is_ascii_digit) {
            return Err(PinError::Block);
        }
        let mut clear = ClearPin { nibbles: [0; 13] };
        clear.nibbles[0] = len;
        clear.nibbles[1..].iter_mut().zip(pin).for_each(|(nibble, digit)| *nibble = digit - b'0');
        Ok(clear)
    }

    /// Reads the 8 bytes `control | length | digits | filler`. All nibbles are looked at before anything
    /// is decided, so that the time does not tell where a block went wrong.
    pub(super) fn from_field(field: &[u8], control: u8, filler: u8) -> Result<ClearPin, PinError> {
        debug_assert_eq!(field.len(), 8);
        let mut clear = ClearPin { nibbles: [0; 13] };
        let len = field[0] & 0x0F;
        let mut wrong = (field[0] >> 4) ^ control;
        for n in 0..14 {
            let nibble = if n % 2 == 0 { field[1 + n / 2] >> 4 } else { field[1 + n / 2] & 0x0F };
            // All ones where a digit belongs, all zeros where filler does.
            let digit = u8::from((n as u8) < len).wrapping_neg();
            wrong |= digit & u8::from(nibble > 9);
            wrong |= !digit & (nibble ^ filler);
            if let Some(slot) = clear.nibbles.get_mut(1 + n) {
                *slot = digit & nibble;
            }
        }
        clear.nibbles[0] = len;
        match (wrong, len) {
            (0, PIN_DIGITS_MIN..=PIN_DIGITS_MAX) => Ok(clear),
            (0, _) => Err(PinError::PinLength),
            _ => Err(PinError::Block),
        }
    }

    /// The inverse of [`ClearPin::from_field`].
    pub(super) fn write_field(&self, field: &mut [u8], control: u8, filler: u8) {
        debug_assert_eq!(field.len(), 8);
        let len = usize::from(self.nibbles[0]);
        let nibble = |n: usize| if n < len { self.nibbles[1 + n] } else { filler };
        field[0] = control << 4 | self.nibbles[0];
        for (n, byte) in field[1..].iter_mut().enumerate() {
            *byte = nibble(2 * n) << 4 | nibble(2 * n + 1);
        }
    }

    pub(super) fn as_nibbles(&self) -> &[u8] {
        &self.nibbles
    }
}

impl Drop for ClearPin {
    fn drop(&mut self) {
        self.nibbles.zeroize();
    }
}

/// A PAN as digits, checked once.
pub(super) struct Pan<'a>(&'a [u8]);

impl Pan<'_> {
    pub(super) fn new(pan: &[u8]) -> Result<Pan<'_>, PinError> {
        let fits = (8..=19).contains(&pan.len()) && pan.iter().all(u8::is_ascii_digit);
        if fits { Ok(Pan(pan)) } else { Err(PinError::Pan { bytes: pan.len() }) }
    }

    /// Clause 9.3.2.3: four zeros, then the twelve rightmost digits without the check digit.
    pub(super) fn field_0(&self) -> [u8; 8] {
        let digits = &self.0[..self.0.len() - 1];
        let mut field = [0; 8];
        for (n, digit) in digits.iter().rev().take(12).enumerate() {
            field[7 - n / 2] |= (digit - b'0') << (4 * (n % 2));
        }
        field
    }

    /// Clause 9.4.2.3: number of digits above 12, the digits (at least 12, zeros on their left), zeros.
    pub(super) fn field_4(&self) -> [u8; 16] {
        let zeros = 12usize.saturating_sub(self.0.len());
        let mut field = [0; 16];
        let over = u8::try_from((self.0.len() + zeros) - 12).expect("a PAN has at most 19 digits");
        field[0] = over << 4;
        for (n, digit) in self.0.iter().enumerate() {
            let at = 1 + zeros + n;
            field[at / 2] |= (digit - b'0') << (4 * ((at + 1) % 2));
        }
        field
    }
}
