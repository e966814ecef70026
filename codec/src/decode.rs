//! Decode: from a payload to the place of each field in it.
//!
//! Promises: allocates nothing, copies no value, reads each byte about once, and lets nothing in that a field
//! of the dialect may not hold. Whatever the bytes, it ends with a layout or with an error that names field and
//! offset; an error shows a byte only of a field that is not sensitive.

use crate::check;
use crate::convert::u64_of_hex;
use crate::dialect::{BitmapWire, Dialect, MtiWire};
use crate::mask::FieldMask;
use crate::mti::Mti;
use crate::spec::{Content, Prefix, Sensitivity, Spec, Wire};
use std::fmt;
use std::sync::Arc;

/// Where the fields of one decoded message stand; 600 bytes, no heap, to be used again for the next message.
///
/// After an error it holds what came before the fault, so that a refusal can carry the trace number.
#[derive(Clone, Debug)]
pub struct Layout {
    pub(crate) mti: Mti,
    pub(crate) mti_at: u16,
    pub(crate) present: FieldMask,
    pub(crate) slots: [Slot; 129],
}

/// Where the value of one field stands, and its length in units (see `spec`).
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Slot {
    pub(crate) start: u16,
    pub(crate) units: u16,
}

impl Default for Layout {
    fn default() -> Layout {
        Layout { mti: NO_MTI, mti_at: 0, present: FieldMask::EMPTY, slots: [Slot::default(); 129] }
    }
}

const NO_MTI: Mti = Mti::new(0);

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
            | DecodeError::Content { at, .. }
            | DecodeError::UnknownField { at } => at,
        }
    }
}

impl Dialect {
    /// Finds the fields of `payload`, one whole message with its header, and writes their places to `layout`.
    ///
    /// # Errors
    /// If the payload is no message of this dialect; `layout` then holds the fields before the fault.
    #[inline]
    pub fn decode(&self, payload: &[u8], layout: &mut Layout) -> Result<(), DecodeError> {
        let mut walk = Walk { dialect: self, payload, offset: 0 };
        layout.mti = NO_MTI;
        layout.present = FieldMask::EMPTY;
        // Offsets are kept in 16 bits; the check here makes every narrowing below exact.
        if payload.len() > usize::from(u16::MAX) {
            let at = walk.at(Part::Header);
            return Err(DecodeError::TooLong { at, bytes: payload.len() });
        }
        walk.header()?;
        layout.mti_at = walk.offset as u16;
        layout.mti = walk.mti()?;
        let (primary, secondary) = walk.bitmap()?;
        walk.fields(primary << 1 >> 1, 0, layout)?;
        walk.fields(secondary, 64, layout)?;
        match payload.len() - walk.offset {
            0 => Ok(()),
            extra => Err(DecodeError::Trailing { at: walk.at(Part::End), extra }),
        }
    }
}

/// One pass over a payload.
struct Walk<'a> {
    dialect: &'a Dialect,
    payload: &'a [u8],
    offset: usize,
}

impl<'a> Walk<'a> {
    #[inline]
    fn header(&mut self) -> Result<(), DecodeError> {
        let ours = self.dialect.default_header();
        let header = self.peek(Part::Header, ours.len())?;
        // The first byte of a TPDU says what it is; the rest are addresses and versions.
        if self.dialect.header.tpdu && header.first() != ours.first() {
            return Err(self.content(Part::Header, "the TPDU id of this dialect", header.first().copied()));
        }
        self.offset += ours.len();
        Ok(())
    }

    #[inline]
    fn mti(&mut self) -> Result<Mti, DecodeError> {
        let (bytes, mti) = match self.dialect.mti {
            MtiWire::Ascii => {
                let bytes = self.peek(Part::Mti, 4)?;
                (bytes, bytes.first_chunk().and_then(|digits| Mti::from_digits(*digits)))
            }
            MtiWire::Bcd => {
                let bytes = self.peek(Part::Mti, 2)?;
                (bytes, bytes.first_chunk().and_then(|bcd| Mti::from_bcd(u16::from_be_bytes(*bcd))))
            }
        };
        match mti {
            Some(mti) => {
                self.offset += bytes.len();
                Ok(mti)
            }
            None => Err(self.content(Part::Mti, "four digits", bytes.first().copied())),
        }
    }

    /// The bits of fields 1 to 64 and 65 to 128, topmost first.
    #[inline]
    fn bitmap(&mut self) -> Result<(u64, u64), DecodeError> {
        let primary = self.bitmap_half()?;
        if primary >> 63 == 0 {
            return Ok((primary, 0));
        }
        if self.dialect.field_max() <= 64 {
            return Err(DecodeError::UnknownField { at: self.at(Part::Field(1)) });
        }
        Ok((primary, self.bitmap_half()?))
    }

    #[inline]
    fn bitmap_half(&mut self) -> Result<u64, DecodeError> {
        let (bytes, bits) = match self.dialect.bitmap {
            BitmapWire::Binary => {
                let bytes = self.peek(Part::Bitmap, 8)?;
                (bytes, bytes.first_chunk().map(|bits| u64::from_be_bytes(*bits)))
            }
            BitmapWire::Hex => {
                let bytes = self.peek(Part::Bitmap, 16)?;
                (bytes, bytes.first_chunk().and_then(u64_of_hex))
            }
        };
        let wrong = || bytes.iter().copied().find(|c| !c.is_ascii_hexdigit());
        let bits = bits.ok_or_else(|| self.content(Part::Bitmap, "hex characters", wrong()))?;
        self.offset += bytes.len();
        Ok(bits)
    }

    /// Takes one field after the other; `bits` are those of fields `below + 1` to `below + 64`.
    #[inline]
    fn fields(&mut self, bits: u64, below: u8, layout: &mut Layout) -> Result<(), DecodeError> {
        let mut left = bits;
        while left != 0 {
            let lead = left.leading_zeros();
            let n = below + 1 + lead as u8;
            match self.field(n) {
                Ok(slot) => layout.slots[usize::from(n)] = slot,
                Err(error) => {
                    layout.keep(bits & !left, below);
                    return Err(error);
                }
            }
            left &= !(1 << 63 >> lead);
        }
        layout.keep(bits, below);
        Ok(())
    }

    #[inline]
    fn field(&mut self, n: u8) -> Result<Slot, DecodeError> {
        let Some(spec) = self.dialect.spec(n) else {
            return Err(DecodeError::UnknownField { at: self.at(Part::Field(n)) });
        };
        let units = match spec.prefix {
            Prefix::Fixed => usize::from(spec.units_max),
            prefix => self.length(n, prefix, spec)?,
        };
        let bytes = spec.wire_bytes(units);
        let value = self.peek(Part::Field(n), bytes)?;
        if !wire_is_good(spec, value, units) {
            return Err(self.bad_value(n, spec, value));
        }
        let slot = Slot { start: self.offset as u16, units: units as u16 };
        self.offset += bytes;
        Ok(slot)
    }

    #[inline]
    fn length(&mut self, n: u8, prefix: Prefix, spec: &Spec) -> Result<usize, DecodeError> {
        let bytes = self.peek(Part::Length(n), prefix.bytes())?;
        let (good, found) = match prefix {
            Prefix::Bcd(_) => (
                check::bcd(bytes, bytes.len() * 2, false, false),
                bytes.iter().fold(0, |sum, b| sum * 100 + usize::from(b >> 4) * 10 + usize::from(b & 0xF)),
            ),
            Prefix::Ascii(_) | Prefix::Fixed => (
                bytes.iter().all(u8::is_ascii_digit),
                bytes.iter().fold(0, |sum, c| sum * 10 + usize::from(c & 0xF)),
            ),
        };
        if !good {
            return Err(self.content(Part::Length(n), "digits", bytes.first().copied()));
        }
        let max = usize::from(spec.units_max);
        if found > max {
            return Err(DecodeError::Length { at: self.at(Part::Length(n)), found, max });
        }
        self.offset += bytes.len();
        Ok(found)
    }

    /// The next `bytes` of the payload; the walk does not move yet, so that an error points at their start.
    #[inline]
    fn peek(&self, part: Part, bytes: usize) -> Result<&'a [u8], DecodeError> {
        let rest = self.payload.get(self.offset..).unwrap_or_default();
        rest.get(..bytes).ok_or_else(|| self.truncated(part, bytes, rest.len()))
    }

    #[cold]
    fn truncated(&self, part: Part, needed: usize, left: usize) -> DecodeError {
        DecodeError::Truncated { at: self.at(part), needed, left }
    }

    #[cold]
    fn content(&self, part: Part, expected: &'static str, found: Option<u8>) -> DecodeError {
        DecodeError::Content { at: self.at(part), expected, found }
    }

    #[cold]
    fn bad_value(&self, n: u8, spec: &Spec, value: &[u8]) -> DecodeError {
        let expected = expected(spec);
        let one_is_good = |&byte: &u8| match spec.wire {
            Wire::Plain | Wire::Hex => {
                wire_is_good(&Spec { prefix: Prefix::Ascii(2), ..*spec }, &[byte; 2], 2)
            }
            Wire::BcdPadRight | Wire::BcdPadLeft => wire_is_good(spec, &[byte], 2),
        };
        let shown = spec.sensitivity == Sensitivity::None;
        let found = value.iter().copied().find(|byte| !one_is_good(byte)).filter(|_| shown);
        self.content(Part::Field(n), expected, found)
    }

    #[cold]
    fn at(&self, part: Part) -> At {
        At { dialect: self.dialect.shared_name(), part, offset: self.offset }
    }
}

impl Layout {
    #[inline]
    fn keep(&mut self, bits: u64, below: u8) {
        let (primary, secondary) = if below == 0 { (bits, 0) } else { (0, bits) };
        self.present = self.present.or(FieldMask::from_halves(primary, secondary));
    }
}

/// True if these wire bytes may be the value of the field.
#[inline]
fn wire_is_good(spec: &Spec, wire: &[u8], units: usize) -> bool {
    match spec.wire {
        // On the wire either separator of track 2 is met; the canonical one is `=` (ISO/IEC 7813).
        Wire::Plain if spec.content == Content::Track => {
            wire.iter().all(|&c| c.is_ascii_digit() || c == b'=' || c == b'D')
        }
        Wire::Plain => check::canonical(spec.content, wire),
        Wire::BcdPadRight => check::bcd(wire, units, false, spec.content == Content::Track),
        Wire::BcdPadLeft => check::bcd(wire, units, true, spec.content == Content::Track),
        Wire::Hex => units & 1 == 0 && check::hex(wire),
    }
}

fn expected(spec: &Spec) -> &'static str {
    match (spec.wire, spec.content) {
        (Wire::Hex, _) => "pairs of hex characters",
        (Wire::BcdPadRight | Wire::BcdPadLeft, Content::Track) => "track digits in BCD",
        (Wire::BcdPadRight | Wire::BcdPadLeft, _) => "digits in BCD",
        (_, Content::Digits) => "digits",
        (_, Content::Signed) => "C or D and digits",
        (_, Content::Track) => "track digits",
        (_, Content::Letters) => "letters",
        (_, Content::Alnum) => "letters and digits",
        (_, Content::Printable) => "printable characters",
        (_, Content::Text) => "text without control characters",
        (_, Content::Binary) => "bytes",
    }
}
