//! Why a payload is no message of a dialect, and the slow look that finds it out.
//!
//! Decode itself only learns that something does not fit; what, where and how is worked out here once, off the
//! hot path. An error shows a byte only of a field that is not sensitive.

use super::Walk;
use crate::check::{self, Check};
use crate::dialect::BitmapWire;
use crate::ebcdic::Page;
use crate::spec::{Content, Prefix, Sensitivity, Spec};
use std::fmt;
use std::sync::Arc;

/// The part of a message where decode stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// TPDU and header in front of the message type.
    Header,
    /// The message type.
    Mti,
    /// Primary or secondary bitmap.
    Bitmap,
    /// The length prefix of a field.
    Length(u8),
    /// The value of a field.
    Field(u8),
    /// After the last field.
    End,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Header => f.write_str("header"),
            Part::Mti => f.write_str("message type"),
            Part::Bitmap => f.write_str("bitmap"),
            Part::Length(n) => write!(f, "length of field {n}"),
            Part::Field(n) => write!(f, "field {n}"),
            Part::End => f.write_str("end of message"),
        }
    }
}

/// The place of a fault: dialect, part of the message, byte of the payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct At {
    /// Name of the dialect that was tried.
    pub dialect: Arc<str>,
    /// The part that could not be read.
    pub part: Part,
    /// Offset of that part in the payload.
    pub offset: usize,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} at byte {}", self.dialect, self.part, self.offset)
    }
}

/// Why a payload is no message of the dialect. It is the sender's fault; the answer, if one can be addressed,
/// is a format error.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// The payload ends too early.
    #[error("{at}: needs {needed} bytes, {left} are left")]
    Truncated {
        /// Where.
        at: At,
        /// Bytes the part needs.
        needed: usize,
        /// Bytes there are.
        left: usize,
    },
    /// The payload goes on after its last field.
    #[error("{at}: {extra} bytes follow the last field; the sender's field table differs from ours")]
    Trailing {
        /// Where.
        at: At,
        /// Bytes that follow.
        extra: usize,
    },
    /// The payload is longer than a layout can describe.
    #[error("{at}: {bytes} bytes are over the limit of 65535")]
    TooLong {
        /// Where.
        at: At,
        /// Bytes of the payload.
        bytes: usize,
    },
    /// A length prefix says more than the field may hold.
    #[error("{at}: says {found}, the most is {max}")]
    Length {
        /// Where.
        at: At,
        /// The length found.
        found: usize,
        /// The longest that is allowed, in the same units.
        max: usize,
    },
    /// The header counts another number of bytes than there are.
    #[error("{at}: its length says {}, the message with its header has {found} bytes", Said(*.said))]
    Total {
        /// Where.
        at: At,
        /// What the header says; `None` if that is no number.
        said: Option<usize>,
        /// Bytes of the payload.
        found: usize,
    },
    /// Bytes that may not stand there.
    #[error("{at}: expected {expected}{}", Shown(*.found))]
    Content {
        /// Where.
        at: At,
        /// What was expected.
        expected: &'static str,
        /// The first byte of the part that is wrong; `None` if the field is sensitive.
        found: Option<u8>,
    },
    /// The bitmap names a field that the dialect does not have.
    #[error("{at}: the dialect has no such field")]
    UnknownField {
        /// Where.
        at: At,
    },
}

struct Said(Option<usize>);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => write!(f, "{number}"),
            None => f.write_str("no number"),
        }
    }
}

struct Shown(Option<u8>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |byte| write!(f, ", found byte {byte:#04x}"))
    }
}

impl DecodeError {
    /// Where decode stopped.
    pub fn at(&self) -> &At {
        match self {
            DecodeError::Truncated { at, .. }
            | DecodeError::Trailing { at, .. }
            | DecodeError::TooLong { at, .. }
            | DecodeError::Length { at, .. }
            | DecodeError::Total { at, .. }
            | DecodeError::Content { at, .. }
            | DecodeError::UnknownField { at } => at,
        }
    }
}

impl Walk<'_> {
    /// Why the header cannot be taken.
    #[cold]
    pub(super) fn why_not_header(&self) -> DecodeError {
        let ours = self.dialect.default_header();
        if let Some(short) = self.short(Part::Header, ours.len()) {
            return short;
        }
        let header = self.rest();
        if self.dialect.header.has_mark() && header.first() != ours.first() {
            return self.content(
                Part::Header,
                "the first byte of this dialect's header",
                header.first().copied(),
            );
        }
        let said = self.dialect.header.total_at.and_then(|at| super::header_total(header, at));
        DecodeError::Total { at: self.at(Part::Header), said, found: self.payload.len() }
    }

    /// Why the message type cannot be taken.
    #[cold]
    pub(super) fn why_not_mti(&self) -> DecodeError {
        let bytes = self.dialect.mti.bytes();
        self.short(Part::Mti, bytes)
            .unwrap_or_else(|| self.content(Part::Mti, "four digits", self.rest().first().copied()))
    }

    /// Why a bitmap cannot be taken.
    #[cold]
    pub(super) fn why_not_bitmap(&self) -> DecodeError {
        let bytes = self.dialect.bitmap.bytes();
        let is_hex = |c: &u8| match self.dialect.bitmap {
            BitmapWire::EbcdicHex => Page::Cp037.to_ascii(*c).is_ascii_hexdigit(),
            BitmapWire::Hex | BitmapWire::Binary => c.is_ascii_hexdigit(),
        };
        let wrong = self.rest().iter().copied().find(|c| !is_hex(c));
        self.short(Part::Bitmap, bytes).unwrap_or_else(|| self.content(Part::Bitmap, "hex characters", wrong))
    }

    /// Why field `n` cannot be taken.
    #[cold]
    pub(super) fn why_not_field(&mut self, n: u8) -> DecodeError {
        let Some(spec) = self.dialect.spec(n) else {
            return self.unknown_field(n);
        };
        let units_max = usize::from(spec.units_max);
        let mut units = units_max;
        if spec.prefix != Prefix::Fixed {
            let (part, bytes) = (Part::Length(n), spec.prefix.bytes());
            if let Some(short) = self.short(part, bytes) {
                return short;
            }
            let Some(found) = spec.prefix.read(self.rest()) else {
                return self.content(part, "digits", self.rest().first().copied());
            };
            let max = spec.counted(units_max);
            if found > max {
                return DecodeError::Length { at: self.at(part), found, max };
            }
            self.offset += bytes;
            let longest = spec.wire_bytes(if spec.counts_bytes { found * 2 } else { found });
            if let Some(short) = self.short(Part::Field(n), longest) {
                return short;
            }
            units = spec.units_counted(found, self.rest()).unwrap_or(units_max);
            if units > units_max {
                return DecodeError::Length { at: self.at(part), found, max };
            }
        }
        let bytes = spec.wire_bytes(units);
        self.short(Part::Field(n), bytes).unwrap_or_else(|| {
            let value = self.rest().get(..bytes).unwrap_or_default();
            self.content(Part::Field(n), check::expected(spec.check), first_wrong(spec, value))
        })
    }

    #[cold]
    pub(super) fn unknown_field(&self, n: u8) -> DecodeError {
        DecodeError::UnknownField { at: self.at(Part::Field(n)) }
    }

    #[cold]
    pub(super) fn trailing(&self, extra: usize) -> DecodeError {
        DecodeError::Trailing { at: self.at(Part::End), extra }
    }

    #[cold]
    pub(super) fn too_long(&self) -> DecodeError {
        DecodeError::TooLong { at: self.at(Part::Header), bytes: self.payload.len() }
    }

    fn short(&self, part: Part, needed: usize) -> Option<DecodeError> {
        let left = self.rest().len();
        (left < needed).then(|| DecodeError::Truncated { at: self.at(part), needed, left })
    }

    fn content(&self, part: Part, expected: &'static str, found: Option<u8>) -> DecodeError {
        DecodeError::Content { at: self.at(part), expected, found }
    }

    fn at(&self, part: Part) -> At {
        At { dialect: self.dialect.shared_name(), part, offset: self.offset }
    }
}

/// The first byte that may not stand in the field by itself, unless the field is sensitive. Of a sign and of digits, the
/// first that is neither.
fn first_wrong(spec: &Spec, value: &[u8]) -> Option<u8> {
    if spec.sensitivity != Sensitivity::None || spec.check == Check::BcdSigned {
        return None;
    }
    let check = match spec.check {
        Check::Signed => Check::Alnum,
        Check::Ebcdic(page, Content::Signed) => Check::Ebcdic(page, Content::Alnum),
        check => check,
    };
    // Two bytes alike are a whole number of hex pairs and of BCD bytes.
    value.iter().copied().find(|byte| !check::wire(check, &[*byte; 2], spec.units_of_two_bytes()))
}
