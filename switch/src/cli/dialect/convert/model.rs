//! What both readers fill and the writer prints: the rows of a dialect, its structures, and notes of what did not come over
//! as it stood. The model holds only what a dialect file can say: [`Row::fit`] bounds lengths, the readers the rest.

use std::collections::BTreeMap;
use std::fmt;

/// A dialect on its way into a file.
#[derive(Default)]
pub(super) struct Model {
    /// What the file calls itself; empty if it does not.
    pub(super) title: String,
    pub(super) mti: Encoding,
    pub(super) bitmap: Encoding,
    pub(super) field_max: u8,
    /// Where a third bitmap stands, if there is one.
    pub(super) third: Option<&'static str>,
    pub(super) header_bytes: u8,
    pub(super) rows: BTreeMap<u8, Row>,
    pub(super) structures: BTreeMap<String, Structure>,
    pub(super) notes: Vec<Note>,
}

/// Something that could not be carried over, or was carried over with a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// The field, and the part below it: `48`, `48.2`.
    pub field: String,
    /// What stood there.
    pub found: String,
    /// What became of it, and what to do.
    pub what: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.field, self.found, self.what)
    }
}

/// One field, or one part of a structure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) size: Size,
    pub(super) encoding: Encoding,
    pub(super) pad: Option<Side>,
    pub(super) sensitivity: Option<&'static str>,
    pub(super) structure: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    N,
    XN,
    Z,
    Ans,
    B,
}

/// Units are digits, characters or bytes, whatever the kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Size {
    Fixed(u32),
    Variable {
        max: u32,
        length: Length,
    },
    /// Behind a tag that carries the length.
    UpTo(u32),
}

/// The length in front of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Length {
    pub(super) digits: u8,
    pub(super) numeral: Numeral,
    /// It counts bytes where a byte holds two units, or two bytes hold one.
    pub(super) counts_bytes: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Numeral {
    Ascii,
    Bcd,
    Binary,
    Hex,
    Ebcdic,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) enum Encoding {
    #[default]
    Ascii,
    Bcd,
    Ebcdic037,
    Ebcdic1047,
    Binary,
    Hex,
    EbcdicHex,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    Left,
    Right,
}

pub(super) struct Structure {
    pub(super) shape: Shape,
    pub(super) parts: Vec<Part>,
}

pub(super) struct Part {
    /// A tag, or what the file calls a place; `None` for the number of the place.
    pub(super) id: Option<String>,
    pub(super) row: Row,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    Positional,
    Ber,
    Tagged(Tagged),
}

/// Tag and length of fixed sizes in front of each part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tagged {
    pub(super) tag_bytes: u8,
    /// Characters; else bytes, written in hexadecimal.
    pub(super) tag_is_text: bool,
    pub(super) digits: u8,
    pub(super) numeral: Numeral,
    pub(super) length_first: bool,
    pub(super) covers_tag: bool,
}

/// The longest length that a dialect file takes.
const UNITS_MAX: u32 = 65_534;
/// The longest where two characters stand for a byte.
const HEX_BYTES_MAX: u32 = 32_767;
/// Structures of a dialect, and parts of a structure; more is no description that people keep.
pub(super) const STRUCTURES_MAX: usize = 1000;
pub(super) const PARTS_MAX: usize = 1000;

impl Model {
    /// Notes what did not come over as it stood; what came from the file is cut to a line.
    pub(super) fn note(&mut self, field: &str, found: &str, what: impl Into<String>) {
        let note = Note { field: printable(field, 60), found: printable(found, 80), what: what.into() };
        self.notes.push(note);
    }
}

impl Row {
    pub(super) fn new(kind: Kind, size: Size, encoding: Encoding) -> Row {
        let (name, pad, sensitivity, structure) = (String::new(), None, None, None);
        Row { name, kind, size, encoding, pad, sensitivity, structure }
    }

    /// Bounds the length by what a dialect file and the prefix can say.
    ///
    /// Tells what was changed.
    ///
    /// # Errors
    /// Why there can be no such row.
    pub(super) fn fit(&mut self) -> Result<Option<String>, String> {
        let is_hex = matches!(self.encoding, Encoding::Hex | Encoding::EbcdicHex);
        let mut most = if is_hex { HEX_BYTES_MAX } else { UNITS_MAX };
        match &mut self.size {
            Size::Fixed(units) | Size::UpTo(units) => match *units {
                0 => Err("it has no length: left out".to_owned()),
                units if units > most => Err(format!("a field has at most {most}: left out")),
                _ => Ok(None),
            },
            Size::Variable { max, length } => {
                if !(1..=6).contains(&length.digits) {
                    return Err("a length has one to six digits: left out".to_owned());
                }
                let packed = self.encoding == Encoding::Bcd;
                length.counts_bytes &= packed || is_hex;
                let counted = length.max();
                most = most.min(match (length.counts_bytes, packed) {
                    (true, true) => counted.saturating_mul(2),
                    (false, _) if is_hex => counted / 2,
                    _ => counted,
                });
                let asked = std::mem::replace(max, (*max).min(most));
                match *max {
                    0 => Err("it has no length: left out".to_owned()),
                    max if max < asked => {
                        Ok(Some(format!("its length cannot say more than {max}: that is the longest now")))
                    }
                    _ => Ok(None),
                }
            }
        }
    }

    /// True if its bytes are characters that a field of text may hold.
    pub(super) fn is_ascii(&self) -> bool {
        let numeral = match self.size {
            Size::Variable { length, .. } => length.numeral,
            Size::Fixed(_) | Size::UpTo(_) => Numeral::Ascii,
        };
        let plain = self.encoding == Encoding::Ascii || self.encoding == Encoding::Hex;
        plain && matches!(numeral, Numeral::Ascii | Numeral::Hex)
    }
}

impl Length {
    pub(super) const fn new(digits: u8, numeral: Numeral) -> Length {
        Length { digits, numeral, counts_bytes: false }
    }

    pub(super) const fn of_bytes(digits: u8, numeral: Numeral) -> Length {
        Length { digits, numeral, counts_bytes: true }
    }

    /// The longest that can be said.
    fn max(self) -> u32 {
        let digits = u32::from(self.digits);
        let (base, digits): (u64, u32) = match self.numeral {
            Numeral::Ascii | Numeral::Ebcdic | Numeral::Bcd => (10, digits),
            Numeral::Hex => (16, digits),
            Numeral::Binary => (256, digits.div_ceil(2)),
        };
        u32::try_from(base.pow(digits) - 1).unwrap_or(u32::MAX)
    }

    /// `ll` for two digits.
    pub(super) fn word(digits: u8) -> String {
        "l".repeat(usize::from(digits))
    }
}

impl Kind {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Kind::N => "n",
            Kind::XN => "x+n",
            Kind::Z => "z",
            Kind::Ans => "ans",
            Kind::B => "b",
        }
    }
}

impl Numeral {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Numeral::Ascii => "ascii",
            Numeral::Bcd => "bcd",
            Numeral::Binary => "binary",
            Numeral::Hex => "hex",
            Numeral::Ebcdic => "ebcdic",
        }
    }
}

impl Encoding {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Encoding::Ascii => "ascii",
            Encoding::Bcd => "bcd",
            Encoding::Ebcdic037 => "ebcdic-037",
            Encoding::Ebcdic1047 => "ebcdic-1047",
            Encoding::Binary => "binary",
            Encoding::Hex => "hex",
            Encoding::EbcdicHex => "ebcdic-hex",
        }
    }
}

/// Text of a file for one line: control characters and what is beyond `chars_max` taken out.
pub(super) fn printable(text: &str, chars_max: usize) -> String {
    let clean = |c: char| if c.is_control() || is_direction(c) { ' ' } else { c };
    let mut line: String = text.trim().chars().take(chars_max).map(clean).collect();
    if text.trim().chars().nth(chars_max).is_some() {
        line.push_str("...");
    }
    line
}

/// Marks that turn the direction of writing show another text than stands there.
const fn is_direction(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}
