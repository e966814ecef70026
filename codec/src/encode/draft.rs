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
    /// The fields that there are values of.
    pub(super) present: FieldMask,
    /// Fields whose value is wire bytes, length prefix included.
    pub(super) spliced: FieldMask,
    /// The dialect those came from.
    pub(super) splice_dialect: Option<&'a Dialect>,
    pub(super) wrong: Option<Wrong>,
    /// The numbers of the fields, ascending, and their values in the same order. They stand apart because a value alone is
    /// handed on in registers; together they would go through memory, and each wait there for its own parts.
    pub(super) numbers: SmallVec<[u8; INLINE]>,
    pub(super) values: SmallVec<[&'a [u8]; INLINE]>,
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
            numbers: SmallVec::new(),
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
        self.put(n, value);
        if !self.spliced.is_empty() {
            self.spliced = self.spliced.without(n);
        }
    }

    /// Takes field `n` out.
    pub fn unset(&mut self, n: u8) {
        if let Ok(at) = self.numbers.binary_search(&n) {
            (self.present, self.spliced) = (self.present.without(n), self.spliced.without(n));
            self.numbers.remove(at);
            self.values.remove(at);
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
            for (n, value) in fields.iter() {
                self.push(n, value);
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
        self.put(n, wire);
        self.spliced.insert(n);
    }

    #[inline]
    fn put(&mut self, n: u8, value: &'a [u8]) {
        if self.numbers.last().is_none_or(|last| *last < n) {
            self.push(n, value);
        } else {
            self.put_between(n, value);
        }
    }

    #[inline]
    fn push(&mut self, n: u8, value: &'a [u8]) {
        self.present.insert(n);
        self.numbers.push(n);
        self.values.push(value);
    }

    /// Replaces a value, or puts one before those of higher fields.
    fn put_between(&mut self, n: u8, value: &'a [u8]) {
        match self.numbers.binary_search(&n) {
            Ok(at) => self.values[at] = value,
            Err(at) => {
                self.present.insert(n);
                self.numbers.insert(at, n);
                self.values.insert(at, value);
            }
        }
    }
}
