//! A message to be written: which fields, and where their values are borrowed from.
//!
//! Lives on the stack and is cheap to make: values stand in the order they were set, with an index by field.
//! What no dialect can encode is kept here until encode can report it.

use crate::dialect::{Dialect, SPECS};
use crate::fields::FieldSet;
use crate::mask::{FIELD_MAX, FieldMask};
use crate::message::Message;
use crate::mti::Mti;

/// Values kept without the heap: more fields than any network puts into one message.
const INLINE: usize = 32;

/// A message to be written: message type, header and canonical values, all borrowed.
pub struct Draft<'a> {
    pub(super) mti: Mti,
    pub(super) header: &'a [u8],
    pub(super) present: FieldMask,
    /// Fields whose value is wire bytes, length prefix included.
    pub(super) spliced: FieldMask,
    /// The dialect those came from.
    pub(super) splice_dialect: Option<&'a Dialect>,
    pub(super) wrong: Option<Wrong>,
    /// By field number: which of the values is its own.
    index: [u8; SPECS],
    /// How many values there are.
    count: u8,
    inline: [&'a [u8]; INLINE],
    spilled: Vec<&'a [u8]>,
}

/// The first thing that no dialect can encode.
#[derive(Clone, Copy)]
pub(super) enum Wrong {
    Number(u8),
    Splice(u8),
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
            index: [NO_VALUE; SPECS],
            count: 0,
            inline: [&[]; INLINE],
            spilled: Vec::new(),
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
        if !(2..=FIELD_MAX).contains(&n) {
            self.wrong.get_or_insert(Wrong::Number(n));
            return;
        }
        self.put(n, value);
        if !self.spliced.is_empty() {
            self.spliced = self.spliced.without(n);
        }
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

    /// The spliced fields under the numbers they are sent with: a MAC that was set in 64 may be sent in 128.
    #[inline]
    pub(super) fn spliced_as_sent(&self, moved_mac: bool) -> FieldMask {
        if moved_mac && self.spliced.has(64) { self.spliced.with(128) } else { self.spliced }
    }

    #[inline]
    fn put(&mut self, n: u8, value: &'a [u8]) {
        let Some(index) = self.index.get_mut(usize::from(n)) else {
            return;
        };
        self.present = self.present.with(n);
        if *index == NO_VALUE {
            *index = self.count;
            self.count += 1;
            if usize::from(*index) >= INLINE {
                self.spilled.push(value);
                return;
            }
        }
        let at = usize::from(*index);
        let place = if at < INLINE { self.inline.get_mut(at) } else { self.spilled.get_mut(at - INLINE) };
        if let Some(place) = place {
            *place = value;
        }
    }

    /// The value of field `n`; empty if it was never set.
    #[inline]
    pub(super) fn value(&self, n: u8) -> &'a [u8] {
        let at = self.index.get(usize::from(n)).map_or(usize::from(NO_VALUE), |at| usize::from(*at));
        let value = if at < INLINE { self.inline.get(at) } else { self.spilled.get(at - INLINE) };
        value.copied().unwrap_or_default()
    }
}

/// There are 127 fields, so no value has this number.
const NO_VALUE: u8 = 255;
