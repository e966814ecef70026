//! Encode: from canonical values to a message on the wire.
//!
//! Promises: writes fields in ascending order, checks each value against the dialect, and leaves the buffer as
//! it was when something is wrong. Values are borrowed; a field spliced from a decoded message of the same
//! dialect is copied as it stood.

mod draft;

pub use draft::Draft;

use crate::check;
use crate::convert::{copy_short, write_bcd, write_hex};
use crate::dialect::{BitmapWire, Dialect, MtiWire, TOTAL_DIGITS, ThirdBitmap};
use crate::ebcdic::Page;
use crate::mask::FieldMask;
use crate::spec::{Content, Prefix, Spec, Wire};
use crate::text::write_digits;
use draft::Wrong;
use std::ops::Range;
use std::sync::Arc;

/// Where a written message stands in the buffer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Encoded {
    /// From the message type to the end.
    pub message: Range<usize>,
    /// The value of the MAC field, if it was set. The MAC is made over `message.start..mac.start`.
    pub mac: Option<Range<usize>>,
}

/// Why a draft cannot be written in this dialect. No part of it is in the buffer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeError {
    /// The dialect has no such field.
    #[error("{dialect}: field {field} cannot be sent, the dialect has none")]
    UnknownField {
        /// Name of the dialect.
        dialect: Arc<str>,
        /// The field.
        field: u8,
    },
    /// The value is too long, or not as long as a fixed field has to be.
    #[error("{dialect}: field {field} has {found} units, the dialect allows {}{max}", if *.fixed { "exactly " } else { "at most " })]
    Length {
        /// Name of the dialect.
        dialect: Arc<str>,
        /// The field.
        field: u8,
        /// Length of the value in units of the wire: digits, characters or bytes.
        found: usize,
        /// Length allowed, in the same units.
        max: usize,
        /// True if no other length is allowed.
        fixed: bool,
    },
    /// The value holds something the field may not.
    #[error("{dialect}: field {field} holds characters that the dialect does not allow there")]
    Content {
        /// Name of the dialect.
        dialect: Arc<str>,
        /// The field.
        field: u8,
    },
    /// The header has another length than the dialect's.
    #[error("{dialect}: header of {found} bytes, the dialect has {expected}")]
    Header {
        /// Name of the dialect.
        dialect: Arc<str>,
        /// Length of the header given.
        found: usize,
        /// Length of the dialect's.
        expected: usize,
    },
    /// The message is longer than its header can tell, or than decode reads.
    #[error("{dialect}: header and message have {bytes} bytes, the most is {max}")]
    TooLong {
        /// Name of the dialect.
        dialect: Arc<str>,
        /// Bytes of header and message.
        bytes: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A field was spliced from a message of another dialect.
    #[error("{dialect}: field {field} was spliced from a message of another dialect; set its value instead")]
    Foreign {
        /// Name of the dialect.
        dialect: Arc<str>,
        /// The field.
        field: u8,
    },
}

/// What the digits of a header can tell.
const TOTAL_MAX: usize = 9999;

impl Dialect {
    /// Appends header, message type, bitmap and fields of `draft` to `out`.
    ///
    /// # Errors
    /// If the draft does not fit the dialect; `out` is then as it was.
    pub fn encode(&self, draft: &Draft<'_>, out: &mut Vec<u8>) -> Result<Encoded, EncodeError> {
        self.check_draft(draft)?;
        let begin = out.len();
        let present = self.with_mac_last(draft);
        let mut pen = Pen { at: begin, out };
        let header = if draft.header.is_empty() { self.default_header() } else { draft.header };
        pen.take(header.len()).copy_from_slice(header);
        let start = pen.at;
        self.write_mti(draft, &mut pen);
        self.write_bitmap(present, &mut pen);
        let written = self.write_fields(present, draft, &mut pen);
        if let Err(error) = written {
            pen.out.truncate(begin);
            return Err(error);
        }
        let end = pen.at;
        out.truncate(end);
        let bytes = end - begin;
        let max = if self.header.total_at.is_some() { TOTAL_MAX } else { usize::from(u16::MAX) };
        if bytes > max {
            out.truncate(begin);
            return Err(EncodeError::TooLong { dialect: self.shared_name(), bytes, max });
        }
        // The dialect was not built if its default header, which has the length of all, had no room there.
        if let Some(place) =
            self.header.total_at.and_then(|at| out.get_mut(begin + at..begin + at + TOTAL_DIGITS))
        {
            write_digits(bytes as u64, place);
        }
        // The MAC is fixed in length and the last field, so its value is the end of the message.
        let mac_bytes = self.spec(self.mac_field).map_or(0, |spec| usize::from(spec.units_max));
        let is_mac = |last| matches!(last, 64 | 128) || last == self.mac_field;
        let mac = present.last().filter(|last| mac_bytes > 0 && is_mac(*last)).map(|_| end - mac_bytes..end);
        Ok(Encoded { message: start..end, mac })
    }

    /// Writes the MAC over its placeholder in a message that was encoded with the MAC field set.
    ///
    /// # Panics
    /// If the message has no MAC field or `out` is not the buffer it was encoded to: a fault of the caller that
    /// would otherwise send an unprotected message.
    pub fn set_mac(&self, out: &mut [u8], encoded: &Encoded, mac: &[u8; 8]) {
        let place = encoded.mac.clone().and_then(|range| out.get_mut(range));
        let place = place.expect("set_mac follows an encode of a draft with the MAC field set");
        if self.mac_is_hex_text() {
            write_hex(mac, place);
        } else {
            place.copy_from_slice(mac);
        }
    }

    fn check_draft(&self, draft: &Draft<'_>) -> Result<(), EncodeError> {
        let dialect = || self.shared_name();
        match draft.wrong {
            Some(Wrong::Number(field)) => {
                return Err(EncodeError::UnknownField { dialect: dialect(), field });
            }
            Some(Wrong::Splice(field)) => return Err(EncodeError::Foreign { dialect: dialect(), field }),
            None => {}
        }
        let foreign = draft.splice_dialect.is_some_and(|from| !std::ptr::eq(from, self));
        if let (true, Some(field)) = (foreign, draft.spliced.first()) {
            return Err(EncodeError::Foreign { dialect: dialect(), field });
        }
        if let Some(field) = draft.present.minus(self.known).first() {
            return Err(EncodeError::UnknownField { dialect: dialect(), field });
        }
        let (found, expected) = (draft.header.len(), self.default_header().len());
        if found != 0 && found != expected {
            return Err(EncodeError::Header { dialect: dialect(), found, expected });
        }
        Ok(())
    }

    /// The fields as they will be sent. A MAC has to be the last field (ISO 8583:1987, fields 64 and 128): one
    /// set in 64 goes to 128 when there are fields above 64.
    fn with_mac_last(&self, draft: &Draft<'_>) -> FieldMask {
        let [_, secondary, third] = draft.present.words();
        if draft.has(64) && secondary != 0 && third == 0 && self.known.has(128) && !draft.has(128) {
            return draft.present.without(64).with(128);
        }
        draft.present
    }

    fn write_mti(&self, draft: &Draft<'_>, pen: &mut Pen<'_>) {
        match self.mti {
            MtiWire::Ascii => pen.take(4).copy_from_slice(&draft.mti.digits()),
            MtiWire::Bcd => pen.take(2).copy_from_slice(&draft.mti.bcd().to_be_bytes()),
            // Digits are the same in all pages.
            MtiWire::Ebcdic => {
                pen.take(4).copy_from_slice(&draft.mti.digits().map(|digit| digit + (0xF0 - b'0')));
            }
        }
    }

    /// The bitmaps, but for a third one that stands in the place of field 65.
    fn write_bitmap(&self, present: FieldMask, pen: &mut Pen<'_>) {
        // Bit 1 of a bitmap says that another one follows (ISO 8583:1987, bit map).
        const ANOTHER: u64 = 1 << 63;
        let [primary, mut secondary, third] = present.words();
        if third != 0 {
            secondary |= ANOTHER;
        }
        if secondary == 0 {
            return self.write_bits(primary, pen);
        }
        self.write_bits(primary | ANOTHER, pen);
        self.write_bits(secondary, pen);
        if third != 0 && self.third == ThirdBitmap::Contiguous {
            self.write_bits(third, pen);
        }
    }

    fn write_bits(&self, bits: u64, pen: &mut Pen<'_>) {
        let place = pen.take(self.bitmap.bytes());
        match self.bitmap {
            BitmapWire::Binary => place.copy_from_slice(&bits.to_be_bytes()),
            BitmapWire::Hex => write_hex(&bits.to_be_bytes(), place),
            BitmapWire::EbcdicHex => {
                write_hex(&bits.to_be_bytes(), place);
                place.iter_mut().for_each(|c| *c = Page::Cp037.of_ascii(*c));
            }
        }
    }

    /// Writes one field after the other, and a third bitmap where it stands in field 65.
    #[inline]
    fn write_fields(
        &self,
        present: FieldMask,
        draft: &Draft<'_>,
        pen: &mut Pen<'_>,
    ) -> Result<(), EncodeError> {
        let [_, _, third] = present.words();
        if third != 0 && self.third == ThirdBitmap::Field65 {
            let middle = draft.numbers.partition_point(|n| *n < 65);
            self.write_values(draft, 0..middle, pen)?;
            self.write_bits(third, pen);
            return self.write_values(draft, middle..draft.numbers.len(), pen);
        }
        if present == draft.present {
            return self.write_values(draft, 0..draft.numbers.len(), pen);
        }
        // The MAC goes behind the rest.
        let at = draft.numbers.partition_point(|n| *n < 64);
        self.write_values(draft, 0..at, pen)?;
        self.write_values(draft, at + 1..draft.numbers.len(), pen)?;
        match draft.values.get(at) {
            Some(mac) => self.write_one(128, draft.spliced.has(64), mac, pen),
            None => Ok(()),
        }
    }

    #[inline]
    fn write_values(
        &self,
        draft: &Draft<'_>,
        which: Range<usize>,
        pen: &mut Pen<'_>,
    ) -> Result<(), EncodeError> {
        let numbers = draft.numbers.get(which.clone()).unwrap_or_default();
        let values = draft.values.get(which).unwrap_or_default();
        let any_spliced = !draft.spliced.is_empty();
        for (n, value) in numbers.iter().zip(values) {
            self.write_one(*n, any_spliced && draft.spliced.has(*n), value, pen)?;
        }
        Ok(())
    }

    #[inline]
    fn write_one(&self, n: u8, spliced: bool, value: &[u8], pen: &mut Pen<'_>) -> Result<(), EncodeError> {
        if spliced {
            copy_short(value, pen.take(value.len()));
            return Ok(());
        }
        self.write_field(n, value, pen)
    }

    #[inline]
    fn write_field(&self, n: u8, value: &[u8], pen: &mut Pen<'_>) -> Result<(), EncodeError> {
        let Some(spec) = self.spec(n) else {
            return Err(EncodeError::UnknownField { dialect: self.shared_name(), field: n });
        };
        if !check::canonical(spec.content, value) {
            return Err(self.wrong_value(n, spec, value));
        }
        if spec.is_verbatim && value.len() == usize::from(spec.units_max) {
            // Most fields of a message in ASCII, and the texts of any other.
            copy_short(value, pen.take(value.len()));
            return Ok(());
        }
        let units = units_on_wire(spec, value).ok_or_else(|| self.wrong_length(n, spec, value))?;
        let prefix_bytes = spec.prefix.bytes();
        let (prefix, place) = pen.take(prefix_bytes + spec.wire_bytes(units)).split_at_mut(prefix_bytes);
        spec.prefix.write(spec.counted(units), prefix);
        write_value(spec, value, place);
        Ok(())
    }

    /// The length is told first: characters of a value that is too long do not matter.
    #[cold]
    fn wrong_value(&self, field: u8, spec: &Spec, value: &[u8]) -> EncodeError {
        match units_on_wire(spec, value) {
            Some(_) => EncodeError::Content { dialect: self.shared_name(), field },
            None => self.wrong_length(field, spec, value),
        }
    }

    #[cold]
    fn wrong_length(&self, field: u8, spec: &Spec, value: &[u8]) -> EncodeError {
        EncodeError::Length {
            dialect: self.shared_name(),
            field,
            found: spec.units(value.len()),
            max: usize::from(spec.units_max),
            fixed: spec.prefix == Prefix::Fixed,
        }
    }
}

/// Writes at the end of a buffer that is kept longer than what is written, so that most fields need no growth.
struct Pen<'a> {
    out: &'a mut Vec<u8>,
    at: usize,
}

impl Pen<'_> {
    /// More than the rest of a usual message; growing costs a call, wiping costs by the byte.
    const AHEAD_BYTES: usize = 256;

    /// The next `bytes` to be written.
    #[inline]
    fn take(&mut self, bytes: usize) -> &mut [u8] {
        let from = self.at;
        self.at += bytes;
        if self.at > self.out.len() {
            self.out.resize(self.at + Pen::AHEAD_BYTES, 0);
        }
        &mut self.out[from..self.at]
    }
}

/// Units that the value takes on the wire, blanks included; `None` if the field does not allow that many.
#[inline]
pub(crate) fn units_on_wire(spec: &Spec, value: &[u8]) -> Option<usize> {
    let (units, units_max) = (spec.units(value.len()), usize::from(spec.units_max));
    match spec.prefix {
        Prefix::Fixed if units == units_max || units < units_max && fills(spec) => Some(units_max),
        Prefix::Fixed => None,
        _ => (units <= units_max).then_some(units),
    }
}

/// Text is filled up with blanks; a number or bytes of the wrong length are a fault that blanks would hide.
fn fills(spec: &Spec) -> bool {
    matches!(spec.content, Content::Letters | Content::Alnum | Content::Printable | Content::Text)
}

#[inline]
pub(crate) fn write_value(spec: &Spec, value: &[u8], place: &mut [u8]) {
    match spec.wire {
        Wire::Plain if value.len() == place.len() => copy_short(value, place),
        Wire::Plain => copy_short(value, blanks_beside(spec, value, place, b' ')),
        Wire::BcdPadRight if !spec.counts_bytes => write_bcd(value, false, place),
        Wire::BcdPadLeft if !spec.counts_bytes => write_bcd(value, true, place),
        Wire::Hex => write_hex(value, place),
        _ => write_rare(spec, value, place),
    }
}

/// What no message of the usual dialects holds by the dozen.
#[cold]
fn write_rare(spec: &Spec, value: &[u8], place: &mut [u8]) {
    match spec.wire {
        // Where bytes are counted, an odd digit shows by its pad.
        Wire::BcdPadRight => {
            write_bcd(value, false, place);
            if let (true, [.., last]) = (value.len() % 2 == 1, place) {
                *last |= 0x0F;
            }
        }
        Wire::BcdPadLeft => {
            write_bcd(value, true, place);
            if let (true, [first, ..]) = (value.len() % 2 == 1, place) {
                *first |= 0xF0;
            }
        }
        Wire::BcdSigned => {
            if let (Some((sign, digits)), Some((place, bcd))) = (value.split_first(), place.split_first_mut())
            {
                *place = *sign;
                write_bcd(digits, true, bcd);
            }
        }
        Wire::Ebcdic(page) => {
            let text = blanks_beside(spec, value, place, page.of_ascii(b' '));
            for (to, from) in text.iter_mut().zip(value) {
                *to = page.of_ascii(*from);
            }
        }
        Wire::EbcdicHex => {
            write_hex(value, place);
            place.iter_mut().for_each(|c| *c = Page::Cp037.of_ascii(*c));
        }
        Wire::Plain | Wire::Hex => {}
    }
}

/// Fills with blanks what a short text leaves of its place, and gives the rest.
fn blanks_beside<'p>(spec: &Spec, value: &[u8], place: &'p mut [u8], blank: u8) -> &'p mut [u8] {
    let blanks = place.len().saturating_sub(value.len());
    let (text, blank_place) = if spec.fill_left {
        let (blank_place, text) = place.split_at_mut(blanks);
        (text, blank_place)
    } else {
        place.split_at_mut(place.len() - blanks)
    };
    blank_place.fill(blank);
    text
}
