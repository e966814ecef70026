//! One field of a dialect, compiled: what it holds, how it stands on the wire, how long it may be.
//!
//! "Units" are what a length on the wire counts: digits of a BCD field, characters of text and of binary
//! written as hex, bytes of raw binary. All lengths here are in units; [`Spec::wire_bytes`] turns them to bytes.

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

/// What the canonical value may consist of (ISO 8583:1987, 4.2: attribute specifications).
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
    /// So many ASCII digits.
    Ascii(u8),
    /// So many bytes of two digits each.
    Bcd(u8),
}

impl Prefix {
    #[inline]
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Prefix::Fixed => 0,
            Prefix::Ascii(bytes) | Prefix::Bcd(bytes) => bytes as usize,
        }
    }
}

/// One field, compiled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Spec {
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
    pub(crate) const fn wire_bytes(&self, units: usize) -> usize {
        match self.wire {
            Wire::Plain | Wire::Hex => units,
            Wire::BcdPadRight | Wire::BcdPadLeft => units.div_ceil(2),
        }
    }

    /// Bytes of the canonical value of `units`.
    #[inline]
    pub(crate) const fn canonical_bytes(&self, units: usize) -> usize {
        if matches!(self.wire, Wire::Hex) { units / 2 } else { units }
    }

    /// Units of a canonical value of so many bytes.
    #[inline]
    pub(crate) const fn units(&self, canonical_bytes: usize) -> usize {
        if matches!(self.wire, Wire::Hex) { canonical_bytes * 2 } else { canonical_bytes }
    }

    /// Writes the canonical value of these wire bytes, which decode has checked, into `place`, whose length is
    /// [`Spec::canonical_bytes`].
    #[inline]
    pub(crate) fn expand(&self, wire: &[u8], place: &mut [u8]) {
        use crate::convert;
        match self.wire {
            Wire::Plain if self.content == Content::Track => convert::track_text(wire, place),
            Wire::Plain => place.copy_from_slice(wire),
            Wire::BcdPadRight => convert::digits_of_bcd(wire, 0, place),
            Wire::BcdPadLeft => convert::digits_of_bcd(wire, place.len() & 1, place),
            Wire::Hex => convert::bytes_of_hex(wire, place),
        }
    }
}
