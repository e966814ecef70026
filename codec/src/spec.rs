//! One field of a dialect, compiled: what it holds, how it stands on the wire, how long it may be.
//!
//! "Units" are what a length on the wire counts: digits of a BCD field, characters of text and of binary
//! written as hex, bytes of raw binary. All lengths here are in units; [`Spec::wire_bytes`] turns them to bytes.

use crate::check::Check;

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
    /// Binary as two hex characters per byte.
    Hex,
}

/// How the length stands on the wire.
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
    /// Four digits in two bytes.
    Bcd2,
}

impl Prefix {
    #[inline]
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Prefix::Fixed => 0,
            Prefix::Bcd1 => 1,
            Prefix::Ascii2 | Prefix::Bcd2 => 2,
            Prefix::Ascii3 => 3,
        }
    }

    /// The longest length it can express; a fixed length is bounded by its own field.
    pub(crate) const fn units_max(self) -> u16 {
        match self {
            Prefix::Fixed => u16::MAX,
            Prefix::Ascii2 | Prefix::Bcd1 => 99,
            Prefix::Ascii3 | Prefix::Bcd2 => 999,
        }
    }

    /// The length at the front of these bytes; `None` if it is cut off or holds anything but digits.
    #[inline]
    pub(crate) fn read(self, bytes: &[u8]) -> Option<usize> {
        let ascii = |c: u8| c.checked_sub(b'0').filter(|digit| *digit <= 9).map(usize::from);
        let pair =
            |b: u8| (b >> 4 <= 9 && b & 0xF <= 9).then(|| usize::from(b >> 4) * 10 + usize::from(b & 0xF));
        match (self, bytes) {
            (Prefix::Ascii2, &[tens, ones, ..]) => Some(ascii(tens)? * 10 + ascii(ones)?),
            (Prefix::Ascii3, &[hundreds, tens, ones, ..]) => {
                Some(ascii(hundreds)? * 100 + ascii(tens)? * 10 + ascii(ones)?)
            }
            (Prefix::Bcd1, &[low, ..]) => pair(low),
            (Prefix::Bcd2, &[high, low, ..]) => Some(pair(high)? * 100 + pair(low)?),
            _ => None,
        }
    }

    /// Writes a length below [`Prefix::units_max`] over `place`, which has [`Prefix::bytes`].
    #[inline]
    pub(crate) fn write(self, units: usize, place: &mut [u8]) {
        // Lengths have at most three digits; 32 bits make the divisions cheap.
        let units = units as u32;
        let ascii = |value: u32| b'0' + (value % 10) as u8;
        let pair = |value: u32| (((value / 10 % 10) << 4) | (value % 10)) as u8;
        match (self, place) {
            (Prefix::Ascii2, [tens, ones]) => (*tens, *ones) = (ascii(units / 10), ascii(units)),
            (Prefix::Ascii3, [hundreds, tens, ones]) => {
                (*hundreds, *tens, *ones) = (ascii(units / 100), ascii(units / 10), ascii(units));
            }
            (Prefix::Bcd1, [low]) => *low = pair(units),
            (Prefix::Bcd2, [high, low]) => (*high, *low) = (pair(units / 100), pair(units)),
            _ => {}
        }
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
    pub(crate) sensitivity: Sensitivity,
}

impl Spec {
    /// Bytes on the wire of a value of `units`.
    #[inline]
    pub(crate) fn wire_bytes(&self, units: usize) -> usize {
        let packed = usize::from(matches!(self.wire, Wire::BcdPadRight | Wire::BcdPadLeft));
        (units + packed) >> packed
    }

    /// Bytes of the canonical value of `units`.
    #[inline]
    pub(crate) fn canonical_bytes(&self, units: usize) -> usize {
        units >> usize::from(self.wire == Wire::Hex)
    }

    /// Units of a canonical value of so many bytes.
    #[inline]
    pub(crate) fn units(&self, canonical_bytes: usize) -> usize {
        canonical_bytes << usize::from(self.wire == Wire::Hex)
    }

    /// Units of two bytes on the wire.
    pub(crate) const fn units_of_two_bytes(&self) -> usize {
        match self.wire {
            Wire::Plain | Wire::Hex => 2,
            Wire::BcdPadRight | Wire::BcdPadLeft => 4,
        }
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
            Wire::Hex => convert::bytes_of_hex(wire, place),
        }
    }
}
