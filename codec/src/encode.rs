//! Encode: from canonical values to a message on the wire.
//!
//! Promises: writes fields in ascending order, checks each value against the dialect, and leaves the buffer as
//! it was when something is wrong. Values are borrowed; a field spliced from a decoded message of the same
//! dialect is copied as it stood.

use crate::check;
use crate::convert::{push_bcd, push_hex, write_hex};
use crate::dialect::{BitmapWire, Dialect, MtiWire};
use crate::fields::FieldSet;
use crate::mask::FieldMask;
use crate::message::Message;
use crate::mti::Mti;
use crate::spec::{Content, Prefix, Spec, Wire};
use std::ops::Range;
use std::sync::Arc;

/// A message to be written: message type, header and canonical values, all borrowed.
pub struct Draft<'a> {
    mti: Mti,
    header: &'a [u8],
    present: FieldMask,
    /// Fields whose value is wire bytes, length prefix included.
    spliced: FieldMask,
    /// The dialect those came from.
    splice_dialect: Option<&'a Dialect>,
    /// The first thing that no dialect can encode, kept until encode can report it.
    wrong: Option<Wrong>,
    values: [&'a [u8]; 129],
}

#[derive(Clone, Copy)]
enum Wrong {
    Number(u8),
    Splice(u8),
}

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
    /// A field was spliced from a message of another dialect.
    #[error("{dialect}: field {field} was spliced from a message of another dialect; set its value instead")]
    Foreign {
        /// Name of the dialect.
        dialect: Arc<str>,
        /// The field.
        field: u8,
    },
}

impl<'a> Draft<'a> {
    /// A message of this type without fields; the dialect's default header unless one is given.
    #[inline]
    pub fn new(mti: Mti) -> Draft<'a> {
        Draft {
            mti,
            header: &[],
            present: FieldMask::EMPTY,
            spliced: FieldMask::EMPTY,
            splice_dialect: None,
            wrong: None,
            values: [&[]; 129],
        }
    }

    /// The message type.
    pub fn mti(&self) -> Mti {
        self.mti
    }

    /// Gives TPDU and header.
    pub fn header(&mut self, header: &'a [u8]) {
        self.header = header;
    }

    /// Sets or replaces the canonical value of field `n`. A field number that no dialect has makes encode fail.
    #[inline]
    pub fn set(&mut self, n: u8, value: &'a [u8]) {
        if !(2..=128).contains(&n) {
            self.wrong.get_or_insert(Wrong::Number(n));
            return;
        }
        self.put(n, value);
        self.spliced = self.spliced.without(n);
    }

    /// Takes field `n` out.
    pub fn unset(&mut self, n: u8) {
        self.present = self.present.without(n);
    }

    /// True if field `n` is set.
    pub fn has(&self, n: u8) -> bool {
        self.present.has(n)
    }

    /// Sets each field of the set.
    pub fn set_all(&mut self, fields: &'a FieldSet) {
        for (n, value) in fields.iter() {
            self.set(n, value);
        }
    }

    /// Takes field `n` of a decoded message as it stands on the wire, without making it canonical first; does
    /// nothing if the message does not have it. The draft can then be written in that dialect only.
    #[inline]
    pub fn splice(&mut self, from: &Message<'a>, n: u8) {
        let Some(wire) = from.wire(n) else {
            return;
        };
        match self.splice_dialect {
            Some(dialect) if !std::ptr::eq(dialect, from.dialect()) => {
                self.wrong.get_or_insert(Wrong::Splice(n));
            }
            _ => self.splice_dialect = Some(from.dialect()),
        }
        self.put(n, wire);
        self.spliced = self.spliced.with(n);
    }

    #[inline]
    fn put(&mut self, n: u8, value: &'a [u8]) {
        if let Some(place) = self.values.get_mut(usize::from(n)) {
            *place = value;
            self.present = self.present.with(n);
        }
    }

    #[inline]
    fn value(&self, n: u8) -> &'a [u8] {
        self.values.get(usize::from(n)).copied().unwrap_or_default()
    }
}

impl Dialect {
    /// Appends header, message type, bitmap and fields of `draft` to `out`.
    ///
    /// # Errors
    /// If the draft does not fit the dialect; `out` is then as it was.
    #[inline]
    pub fn encode(&self, draft: &Draft<'_>, out: &mut Vec<u8>) -> Result<Encoded, EncodeError> {
        let begin = out.len();
        self.write(draft, out).inspect_err(|_| out.truncate(begin))
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

    fn write(&self, draft: &Draft<'_>, out: &mut Vec<u8>) -> Result<Encoded, EncodeError> {
        self.check_draft(draft)?;
        let present = self.with_mac_last(draft);
        out.extend_from_slice(if draft.header.is_empty() { self.default_header() } else { draft.header });
        let start = out.len();
        match self.mti {
            MtiWire::Ascii => out.extend_from_slice(&draft.mti.digits()),
            MtiWire::Bcd => out.extend_from_slice(&draft.mti.bcd().to_be_bytes()),
        }
        self.write_bitmap(present, out);
        let mut left = present;
        while let Some(n) = left.first() {
            left = left.without(n);
            let from = if n == 128 && !draft.has(128) { 64 } else { n };
            if draft.spliced.has(from) {
                out.extend_from_slice(draft.value(from));
            } else {
                self.write_field(n, draft.value(from), out)?;
            }
        }
        // The MAC is fixed in length and the last field, so its value is the end of the message.
        let mac_bytes = self.spec(self.mac_field).map_or(0, |spec| usize::from(spec.units_max));
        let has_mac = matches!(present.last(), Some(64 | 128));
        let mac = has_mac.then(|| out.len() - mac_bytes..out.len());
        Ok(Encoded { message: start..out.len(), mac })
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
        if let Some(field) = draft.spliced.and(draft.present).first().filter(|_| foreign) {
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

    /// The fields as they will be sent. A MAC has to be the last field (ISO 8583:1987, 4.4): one set in 64 goes
    /// to 128 when there are fields above 64.
    fn with_mac_last(&self, draft: &Draft<'_>) -> FieldMask {
        if draft.has(64) && draft.present.secondary() != 0 && self.known.has(128) {
            return draft.present.without(64).with(128);
        }
        draft.present
    }

    fn write_bitmap(&self, present: FieldMask, out: &mut Vec<u8>) {
        let secondary = present.secondary();
        // Bit 1 says that a second bitmap follows (ISO 8583:1987, 4.3).
        let primary = present.primary() | u64::from(secondary != 0) << 63;
        for half in [primary, secondary].iter().take(1 + usize::from(secondary != 0)) {
            match self.bitmap {
                BitmapWire::Binary => out.extend_from_slice(&half.to_be_bytes()),
                BitmapWire::Hex => push_hex(&half.to_be_bytes(), out),
            }
        }
    }

    #[inline]
    fn write_field(&self, n: u8, value: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let Some(spec) = self.spec(n) else {
            return Err(EncodeError::UnknownField { dialect: self.shared_name(), field: n });
        };
        let (units, units_max) = (spec.units(value.len()), usize::from(spec.units_max));
        let fixed = spec.prefix == Prefix::Fixed;
        let blanks = if fixed && fills(spec) { units_max.saturating_sub(units) } else { 0 };
        if units > units_max || fixed && units + blanks != units_max {
            let dialect = self.shared_name();
            return Err(EncodeError::Length { dialect, field: n, found: units, max: units_max, fixed });
        }
        if !check::canonical(spec.content, value) {
            return Err(EncodeError::Content { dialect: self.shared_name(), field: n });
        }
        match spec.prefix {
            Prefix::Fixed => {}
            Prefix::Ascii(digits) => push_length_ascii(units, digits, out),
            Prefix::Bcd(bytes) => push_length_bcd(units, bytes, out),
        }
        let blank = |out: &mut Vec<u8>, wanted| {
            if wanted {
                out.extend(std::iter::repeat_n(b' ', blanks));
            }
        };
        blank(out, blanks > 0 && spec.fill_left);
        match spec.wire {
            Wire::Plain => out.extend_from_slice(value),
            Wire::BcdPadRight => push_bcd(value, false, out),
            Wire::BcdPadLeft => push_bcd(value, true, out),
            Wire::Hex => push_hex(value, out),
        }
        blank(out, blanks > 0 && !spec.fill_left);
        Ok(())
    }
}

/// Text is filled up with blanks; a number or bytes of the wrong length are a fault that blanks would hide.
fn fills(spec: &Spec) -> bool {
    matches!(spec.content, Content::Letters | Content::Alnum | Content::Printable | Content::Text)
}

#[inline]
fn push_length_ascii(units: usize, digits: u8, out: &mut Vec<u8>) {
    let digit = |weight: usize| b'0' + (units / weight % 10) as u8;
    if digits == 2 {
        out.extend_from_slice(&[digit(10), digit(1)]);
    } else {
        out.extend_from_slice(&[digit(100), digit(10), digit(1)]);
    }
}

#[inline]
fn push_length_bcd(units: usize, bytes: u8, out: &mut Vec<u8>) {
    let pair = |value: usize| (((value / 10 % 10) << 4) | (value % 10)) as u8;
    if bytes == 1 {
        out.push(pair(units));
    } else {
        out.extend_from_slice(&[pair(units / 100), pair(units)]);
    }
}
