//! A message to be written: which fields, and where their values are borrowed from.
//!
//! Lives on the stack and is cheap to make: values stand in the order of their fields, in which they are nearly always
//! set. What no dialect can encode is kept here until encode can report it.

use crate::dialect::Dialect;
use crate::fields::FieldSet;
use crate::mask::{FIELD_MAX, FieldMask};
use crate::message::Message;
use crate::mti::Mti;
use smallvec::SmallVec;

/// Values kept without the heap: more fields than a payment has.
const INLINE: usize = 24;

/// A message to be written: message type, header and canonical values, all borrowed.
pub struct Draft<'a> {
    pub(super) mti: Mti,
    pub(super) header: &'a [u8],
    /// The fields that `values` has.
    pub(super) present: FieldMask,
    /// The dialect that spliced values came from.
    pub(super) splice_dialect: Option<&'a Dialect>,
    pub(super) wrong: Option<Wrong>,
    /// Ascending by field.
    pub(super) values: SmallVec<[Value<'a>; INLINE]>,
}

/// What one field is sent with.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) field: u8,
    /// The bytes are those of the wire, length prefix included.
    pub(super) spliced: bool,
    pub(super) bytes: &'a [u8],
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
            splice_dialect: None,
            wrong: None,
            values: SmallVec::new(),
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
        self.put(Value { field: n, spliced: false, bytes: value });
    }

    /// Takes field `n` out.
    pub fn unset(&mut self, n: u8) {
        if self.present.has(n) {
            self.present = self.present.without(n);
            self.values.retain(|value| value.field != n);
        }
    }

    /// True if field `n` is set.
    pub fn has(&self, n: u8) -> bool {
        self.present.has(n)
    }

    /// Sets each field of the set.
    pub fn set_all(&mut self, fields: &'a FieldSet) {
        if self.values.is_empty() {
            // A set is in order, and has no other numbers.
            for (field, bytes) in fields.iter() {
                self.present = self.present.with(field);
                self.values.push(Value { field, spliced: false, bytes });
            }
            return;
        }
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
        self.put(Value { field: n, spliced: true, bytes: wire });
    }

    /// The first field whose value is wire bytes.
    pub(super) fn first_spliced(&self) -> Option<u8> {
        self.values.iter().find(|value| value.spliced).map(|value| value.field)
    }

    #[inline]
    fn put(&mut self, value: Value<'a>) {
        if self.values.last().is_none_or(|last| last.field < value.field) {
            self.present = self.present.with(value.field);
            self.values.push(value);
        } else {
            self.put_between(value);
        }
    }

    /// Replaces a value, or puts one before those of higher fields.
    fn put_between(&mut self, value: Value<'a>) {
        match self.values.binary_search_by_key(&value.field, |held| held.field) {
            Ok(at) => self.values[at] = value,
            Err(at) => {
                self.present = self.present.with(value.field);
                self.values.insert(at, value);
            }
        }
    }
}
