//! One field of a dialect, compiled: what it holds, how it stands on the wire, how long it may be.
//!
//! "Units" are what a length on the wire counts: digits of a BCD field, characters of text and of binary
//! written as hex, bytes of raw binary. All lengths here are in units; [`Spec::wire_bytes`] turns them to bytes.

use crate::check::Check;
use crate::ebcdic::Page;

/// Why a field's value must not be shown, and how much of it may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Sensitivity {
    /// May be shown.
    #[default]
    None,
    /// A card number: first six and last four digits may be shown.
    Pan,
    /// Track data: never shown.
    Track,
    /// An encrypted PIN block: never shown.
    Pin,
    /// Chip data, which holds track and card number: never shown.
    Emv,
    /// A card verification code: never shown.
    Cvv,
    /// Anything else that must not be shown: keys under transport, security codes, ID numbers.
    Secret,
}

/// What the canonical value may consist of (the attributes of ISO 8583:1987).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    /// `n`: digits.
    Digits,
    /// `x+n`: C or D, then digits.
    Signed,
    /// `z`: track digits with `=` as separator.
    Track,
    /// `a`: letters and blanks.
    Letters,
    /// `an`: letters, digits and blanks.
    Alnum,
    /// `ans`: printable ASCII.
    Printable,
    /// Text of a multi-byte character set (GBK): anything without control characters.
    Text,
    /// `b`: bytes.
    Binary,
}

/// How the value stands on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wire {
    /// One byte per unit, as it is.
    Plain,
    /// Two digits per byte; an odd number of digits is padded in the last nibble.
    BcdPadRight,
    /// Two digits per byte; an odd number of digits is padded in the first nibble.
    BcdPadLeft,
    /// The sign as a letter, then two digits per byte, padded in the first nibble.
    BcdSigned,
    /// Binary as two hex characters per byte.
    Hex,
    /// One EBCDIC character per unit.
    Ebcdic(Page),
    /// Binary as two hex characters per byte, in EBCDIC; these are the same in all pages.
    EbcdicHex,
}

/// How a number is written in a length prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Numeral {
    Ascii,
    Bcd,
    /// Big-endian.
    Binary,
    /// Hex characters in ASCII.
    Hex,
    /// Digits in EBCDIC, the same in all pages.
    Ebcdic,
}

/// How the length stands on the wire. The usual forms have a name of their own, because decode meets them in every
/// message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Prefix {
    /// The field has a fixed length.
    Fixed,
    /// Two ASCII digits.
    Ascii2,
    /// Three ASCII digits.
    Ascii3,
    /// Two digits in one byte.
    Bcd1,
    /// Three digits, padded to four, in two bytes.
    Bcd2,
    /// Any other: numeral, bytes, and decimal digits that the length may have.
    Other(Numeral, u8, u8),
}

impl Prefix {
    /// The prefix for a length of so many decimal digits, 1 to 6.
    pub(crate) const fn new(numeral: Numeral, digits: u8) -> Prefix {
        match (numeral, digits) {
            (Numeral::Ascii, 2) => Prefix::Ascii2,
            (Numeral::Ascii, 3) => Prefix::Ascii3,
            (Numeral::Bcd, 2) => Prefix::Bcd1,
            (Numeral::Bcd, 3) => Prefix::Bcd2,
            // In binary and BCD, as many bytes as hold the digits.
            (Numeral::Bcd | Numeral::Binary, _) => Prefix::Other(numeral, digits.div_ceil(2), digits),
            (Numeral::Ascii | Numeral::Ebcdic | Numeral::Hex, _) => Prefix::Other(numeral, digits, digits),
        }
    }

    #[inline]
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Prefix::Fixed => 0,
            Prefix::Bcd1 => 1,
            Prefix::Ascii2 | Prefix::Bcd2 => 2,
            Prefix::Ascii3 => 3,
            Prefix::Other(_, bytes, _) => bytes as usize,
        }
    }

    /// The longest length it can express; a fixed length is bounded by its own field, and all by what a layout can hold.
    pub(crate) const fn units_max(self) -> u16 {
        let (base, digits): (u64, u8) = match self {
            Prefix::Fixed => return u16::MAX,
            Prefix::Ascii2 | Prefix::Bcd1 => return 99,
            Prefix::Ascii3 | Prefix::Bcd2 => return 999,
            Prefix::Other(Numeral::Binary, bytes, _) => (256, bytes),
            Prefix::Other(Numeral::Hex, chars, _) => (16, chars),
            Prefix::Other(_, _, digits) => (10, digits),
        };
        let end = base.pow(digits as u32);
        if end > u16::MAX as u64 { u16::MAX } else { (end - 1) as u16 }
    }

    /// The length at the front of these bytes; `None` if it is cut off or holds anything but digits.
    #[inline]
    pub(crate) fn read(self, bytes: &[u8]) -> Option<usize> {
        match (self, bytes) {
            (Prefix::Ascii2, &[tens, ones, ..]) => Some(ascii_digit(tens)? * 10 + ascii_digit(ones)?),
            (Prefix::Ascii3, &[hundreds, tens, ones, ..]) => {
                Some(ascii_digit(hundreds)? * 100 + ascii_digit(tens)? * 10 + ascii_digit(ones)?)
            }
            (Prefix::Bcd1, &[low, ..]) => bcd_pair(low),
            (Prefix::Bcd2, &[high, low, ..]) => Some(bcd_pair(high)? * 100 + bcd_pair(low)?),
            (Prefix::Other(numeral, len, _), _) => read_other(numeral, bytes.get(..usize::from(len))?),
            _ => None,
        }
    }

    /// Writes a length up to [`Prefix::units_max`] over `place`, which has [`Prefix::bytes`].
    #[inline]
    pub(crate) fn write(self, units: usize, place: &mut [u8]) {
        // Lengths have at most five digits; 32 bits make the divisions cheap.
        let units = units as u32;
        let bcd = |[tens, ones]: [u8; 2]| tens << 4 | ones & 0xF;
        match (self, place) {
            (Prefix::Ascii2, [tens, ones]) => [*tens, *ones] = pair(units),
            (Prefix::Ascii3, [hundreds, tens, ones]) => {
                *hundreds = b'0' + (units / 100 % 10) as u8;
                [*tens, *ones] = pair(units);
            }
            (Prefix::Bcd1, [low]) => *low = bcd(pair(units)),
            (Prefix::Bcd2, [high, low]) => (*high, *low) = (bcd(pair(units / 100)), bcd(pair(units))),
            (Prefix::Other(numeral, ..), place) => write_other(numeral, units, place),
            _ => {}
        }
    }
}

/// The last two digits.
#[inline]
fn pair(units: u32) -> [u8; 2] {
    const PAIRS: [[u8; 2]; 100] = {
        let (mut pairs, mut n) = ([[b'0'; 2]; 100], 0);
        while n < 100 {
            pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
            n += 1;
        }
        pairs
    };
    PAIRS[(units % 100) as usize]
}

#[inline]
fn ascii_digit(c: u8) -> Option<usize> {
    c.checked_sub(b'0').filter(|digit| *digit <= 9).map(usize::from)
}

#[inline]
fn bcd_pair(byte: u8) -> Option<usize> {
    let (high, low) = (byte >> 4, byte & 0xF);
    (high <= 9 && low <= 9).then(|| usize::from(high) * 10 + usize::from(low))
}

impl Numeral {
    const fn base(self) -> u32 {
        match self {
            Numeral::Ascii | Numeral::Ebcdic => 10,
            Numeral::Bcd => 100,
            Numeral::Hex => 16,
            Numeral::Binary => 256,
        }
    }
}

fn read_other(numeral: Numeral, bytes: &[u8]) -> Option<usize> {
    let digit = |&byte: &u8| match numeral {
        Numeral::Ascii => ascii_digit(byte),
        Numeral::Ebcdic => byte.checked_sub(0xF0).filter(|digit| *digit <= 9).map(usize::from),
        Numeral::Bcd => bcd_pair(byte),
        Numeral::Hex => char::from(byte).to_digit(16).map(|digit| digit as usize),
        Numeral::Binary => Some(usize::from(byte)),
    };
    bytes.iter().try_fold(0, |sum, byte| Some(sum * numeral.base() as usize + digit(byte)?))
}

fn write_other(numeral: Numeral, mut units: u32, place: &mut [u8]) {
    for byte in place.iter_mut().rev() {
        let digit = (units % numeral.base()) as u8;
        units /= numeral.base();
        *byte = match numeral {
            Numeral::Ascii => b'0' + digit,
            Numeral::Ebcdic => 0xF0 + digit,
            Numeral::Bcd => ((digit / 10) << 4) | (digit % 10),
            Numeral::Hex => b"0123456789ABCDEF"[usize::from(digit & 0xF)],
            Numeral::Binary => digit,
        };
    }
}

/// One field, compiled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Spec {
    /// What decode demands of the wire bytes; follows from `content` and `wire`.
    pub(crate) check: Check,
    pub(crate) content: Content,
    pub(crate) wire: Wire,
    pub(crate) prefix: Prefix,
    /// The exact length of a fixed field, the longest of a variable one.
    pub(crate) units_max: u16,
    /// A short value of fixed text is filled with blanks on this side.
    pub(crate) fill_left: bool,
    /// True if the prefix counts bytes on the wire where a byte has two units. An odd digit is then padded with a
    /// nibble of F, which tells it from a digit.
    pub(crate) counts_bytes: bool,
    pub(crate) sensitivity: Sensitivity,
    /// Bytes on the wire are `(units + wire_add) >> wire_shift`, those of the canonical value `units >> hex_shift`.
    pub(crate) wire_add: u8,
    pub(crate) wire_shift: u8,
    pub(crate) hex_shift: u8,
    /// A value of the whole length stands on the wire as it is, without a prefix.
    pub(crate) is_verbatim: bool,
}

impl Spec {
    /// A spec without the numbers that follow from the rest.
    #[expect(clippy::too_many_arguments, reason = "each is a column of the table, named where it is read")]
    pub(crate) const fn new(
        check: Check,
        content: Content,
        wire: Wire,
        prefix: Prefix,
        units_max: u16,
        fill_left: bool,
        counts_bytes: bool,
        sensitivity: Sensitivity,
    ) -> Spec {
        let (wire_add, wire_shift) = match wire {
            Wire::BcdPadRight | Wire::BcdPadLeft => (1, 1),
            // The sign has a byte of its own.
            Wire::BcdSigned => (2, 1),
            Wire::Plain | Wire::Hex | Wire::Ebcdic(_) | Wire::EbcdicHex => (0, 0),
        };
        let hex_shift = matches!(wire, Wire::Hex | Wire::EbcdicHex) as u8;
        Spec {
            check,
            content,
            wire,
            prefix,
            units_max,
            fill_left,
            counts_bytes,
            sensitivity,
            wire_add,
            wire_shift,
            hex_shift,
            is_verbatim: matches!((wire, prefix), (Wire::Plain, Prefix::Fixed)),
        }
    }

    /// Two units to a byte on the wire.
    const fn is_packed(&self) -> bool {
        matches!(self.wire, Wire::BcdPadRight | Wire::BcdPadLeft)
    }

    /// Bytes on the wire of a value of `units`.
    #[inline]
    pub(crate) fn wire_bytes(&self, units: usize) -> usize {
        (units + usize::from(self.wire_add)) >> self.wire_shift
    }

    /// Bytes of the canonical value of `units`.
    #[inline]
    pub(crate) fn canonical_bytes(&self, units: usize) -> usize {
        units >> self.hex_shift
    }

    /// Units of a canonical value of so many bytes.
    #[inline]
    pub(crate) fn units(&self, canonical_bytes: usize) -> usize {
        canonical_bytes << self.hex_shift
    }

    const fn is_hex(&self) -> bool {
        self.hex_shift == 1
    }

    /// What the prefix says of a value of `units`.
    #[inline]
    pub(crate) fn counted(&self, units: usize) -> usize {
        if self.counts_bytes { self.bytes_counted(units) } else { units }
    }

    #[cold]
    fn bytes_counted(&self, units: usize) -> usize {
        if self.is_hex() { units / 2 } else { self.wire_bytes(units) }
    }

    /// Units of the value at the front of `rest`, of which the prefix says `counted`; `None` where the value is cut off.
    #[inline]
    pub(crate) fn units_counted(&self, counted: usize, rest: &[u8]) -> Option<usize> {
        if self.counts_bytes { self.units_of_bytes(counted, rest) } else { Some(counted) }
    }

    #[cold]
    fn units_of_bytes(&self, counted: usize, rest: &[u8]) -> Option<usize> {
        let units = counted * 2;
        let padded = match self.wire {
            Wire::BcdPadRight => rest.get(..counted)?.last().is_some_and(|byte| byte & 0xF == 0xF),
            Wire::BcdPadLeft => rest.get(..counted)?.first().is_some_and(|byte| byte >> 4 == 0xF),
            _ => false,
        };
        Some(units - usize::from(padded))
    }

    /// Units of two bytes on the wire.
    pub(crate) const fn units_of_two_bytes(&self) -> usize {
        if self.is_packed() { 4 } else { 2 }
    }

    /// Writes the canonical value of these wire bytes, which decode has checked, into `place`, whose length is
    /// [`Spec::canonical_bytes`].
    #[inline]
    pub(crate) fn expand(&self, wire: &[u8], place: &mut [u8]) {
        use crate::convert;
        match self.wire {
            Wire::Plain if self.content == Content::Track => convert::track_text(wire, place),
            Wire::Plain => convert::copy_short(wire, place),
            Wire::BcdPadRight => convert::digits_of_bcd(wire, 0, place),
            Wire::BcdPadLeft => convert::digits_of_bcd(wire, place.len() & 1, place),
            Wire::BcdSigned => {
                if let (Some((sign, digits)), Some((from, bcd))) =
                    (place.split_first_mut(), wire.split_first())
                {
                    *sign = *from;
                    convert::digits_of_bcd(bcd, digits.len() & 1, digits);
                }
            }
            Wire::Hex => convert::bytes_of_hex(wire, place),
            Wire::Ebcdic(page) => {
                let track = self.content == Content::Track;
                for (to, &from) in place.iter_mut().zip(wire) {
                    let c = page.to_ascii(from);
                    *to = if track && c == b'D' { b'=' } else { c };
                }
            }
            Wire::EbcdicHex => {
                for (byte, pair) in place.iter_mut().zip(wire.chunks_exact(2)) {
                    let [high, low] = [pair[0], pair[1]].map(|c| convert::nibble(Page::Cp037.to_ascii(c)));
                    *byte = high << 4 | low;
                }
            }
        }
    }
}
