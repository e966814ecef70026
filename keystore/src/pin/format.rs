//! The clear side of PIN blocks (ISO 9564-1): formats, which may become which, the PIN field and the PAN fields.
//! Clear PINs are wiped on drop and checked without a branch on their digits.

use zeroize::Zeroize as _;

use super::PinError;
use crate::attributes::Algorithm;

/// The layout of the clear PIN block. Format 2 is not among them: it belongs between a terminal and the card in it,
/// and PCI PIN requirement 3-3 lets it pass through no switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PinFormat {
    /// ISO 9564-1 format 0, 8 bytes, under TDES, bound to the PAN.
    Iso0,
    /// ISO 9564-1 format 1, 8 bytes, under TDES, bound to no PAN. Comes in, never goes out.
    Iso1,
    /// ISO 9564-1 format 3, 8 bytes, under TDES: format 0 with a random fill.
    Iso3,
    /// ISO 9564-1 format 4, 16 bytes, under AES, bound to the PAN by the cipher.
    Iso4,
    /// Format 0 stretched to the block of SM4: 16 bytes of length, PIN and fill F, exclusive or with the PAN field of
    /// format 0 behind 8 bytes of zeros, under SM4. Our reading of what Chinese networks do, of no public text:
    /// compare a block with the other side before it is relied on.
    Sm4,
}

/// PCI PIN requirement 3-3, and SM4 as one of the formats with a PAN: from a row to a column, in the order of [`PinFormat::ALL`].
const TRANSLATIONS: [[bool; 5]; 5] = [
    //  0     1      3     4     SM4
    [true, false, true, true, true],
    [true, false, true, true, true],
    [true, false, true, true, true],
    [true, false, true, true, true],
    [true, false, true, true, true],
];

impl PinFormat {
    /// Every format.
    pub const ALL: [PinFormat; 5] =
        [PinFormat::Iso0, PinFormat::Iso1, PinFormat::Iso3, PinFormat::Iso4, PinFormat::Sm4];

    /// Bytes of a block in this format.
    #[must_use]
    pub const fn block_bytes(self) -> usize {
        match self {
            PinFormat::Iso0 | PinFormat::Iso1 | PinFormat::Iso3 => 8,
            PinFormat::Iso4 | PinFormat::Sm4 => 16,
        }
    }

    /// The cipher its blocks are under.
    #[must_use]
    pub const fn algorithm(self) -> Algorithm {
        match self {
            PinFormat::Iso0 | PinFormat::Iso1 | PinFormat::Iso3 => Algorithm::Tdes,
            PinFormat::Iso4 => Algorithm::Aes,
            PinFormat::Sm4 => Algorithm::Sm4,
        }
    }

    /// Whether a block of this format may be translated to that one (PCI PIN requirement 3-3).
    #[must_use]
    pub const fn may_become(self, to: PinFormat) -> bool {
        TRANSLATIONS[self as usize][to as usize]
    }
}

/// Digits in a PIN (ISO 9564-1 clause 8.1).
const PIN_DIGITS_MIN: u8 = 4;
const PIN_DIGITS_MAX: u8 = 12;

/// What stands behind the digits of a PIN field.
#[derive(Clone, Copy)]
pub(super) enum Filler {
    /// This nibble, everywhere.
    Always(u8),
    /// Any of A to F (format 3).
    Letters,
    /// Any nibble (format 1).
    Any,
}

impl Filler {
    /// Not zero when the nibble is none of these.
    fn differs(self, nibble: u8) -> u8 {
        match self {
            Filler::Always(filler) => nibble ^ filler,
            Filler::Letters => u8::from(nibble < 0xA),
            Filler::Any => 0,
        }
    }

    /// The nibble that a random byte stands for.
    fn nibble(self, random: u8) -> u8 {
        match self {
            Filler::Always(filler) => filler,
            Filler::Letters => 0xA + random % 6,
            Filler::Any => random & 0x0F,
        }
    }
}

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
    /// is decided, so that the time does not tell where a block went wrong; `wrong` is what was found before.
    pub(super) fn from_field(
        field: &[u8; 8],
        control: u8,
        filler: Filler,
        wrong: u8,
    ) -> Result<ClearPin, PinError> {
        let mut clear = ClearPin { nibbles: [0; 13] };
        let len = field[0] & 0x0F;
        let mut wrong = wrong | ((field[0] >> 4) ^ control);
        for n in 0..14 {
            let nibble = if n % 2 == 0 { field[1 + n / 2] >> 4 } else { field[1 + n / 2] & 0x0F };
            // All ones where a digit belongs, all zeros where filler does.
            let digit = u8::from((n as u8) < len).wrapping_neg();
            wrong |= digit & u8::from(nibble > 9);
            wrong |= !digit & filler.differs(nibble);
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

    /// The inverse of [`ClearPin::from_field`]; a filler that varies is taken from `random`.
    pub(super) fn write_field(&self, field: &mut [u8; 8], control: u8, filler: Filler, random: &[u8; 16]) {
        let len = usize::from(self.nibbles[0]);
        let nibble = |n: usize| if n < len { self.nibbles[1 + n] } else { filler.nibble(random[n]) };
        field[0] = control << 4 | self.nibbles[0];
        for (n, byte) in field[1..].iter_mut().enumerate() {
            *byte = nibble(2 * n) << 4 | nibble(2 * n + 1);
        }
    }

    /// `[length, digit, digit, ..]`, zeros behind the last digit.
    pub(super) fn as_nibbles(&self) -> &[u8; 13] {
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

    pub(super) fn digits(&self) -> &[u8] {
        self.0
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
