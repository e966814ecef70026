//! A set of fields by value: canonical, serialised, owned. The currency between session, core, journal and link.
//!
//! Its bytes are records `[field u8][length u16 little-endian][value]`, ascending by field, and are what the
//! journal stores. Values may be card data: the bytes are wiped on drop and on growth, and Debug names only
//! the fields. A value of this type is always well formed; bytes from outside go through `from_bytes`.

use crate::mask::FIELD_MAX;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use zeroize::Zeroize;

const HEAD_BYTES: usize = 3;

/// Fields and their canonical values, ascending by number.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct FieldSet(Vec<u8>);

/// Why bytes are no field set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FieldSetError {
    /// A record ends after the bytes do.
    #[error("field set: the record at byte {offset} is cut off")]
    Truncated {
        /// Where the record begins.
        offset: usize,
    },
    /// Numbers must be 2 to 192 and ascend.
    #[error("field set: field {field} at byte {offset} is out of order or out of range")]
    Order {
        /// Where the record begins.
        offset: usize,
        /// The number found there.
        field: u8,
    },
}

impl FieldSet {
    /// An empty set; allocates nothing.
    pub const fn new() -> FieldSet {
        FieldSet(Vec::new())
    }

    /// An empty set with room for `bytes` of records.
    pub fn with_capacity(bytes: usize) -> FieldSet {
        FieldSet(Vec::with_capacity(bytes))
    }

    /// Inserts or replaces field `n`.
    ///
    /// # Panics
    /// If `n` is not 2 to 192 or the value is longer than 65,535 bytes: field numbers and values come out of a
    /// decoded message or our own code, both of which stay below.
    pub fn set(&mut self, n: u8, value: &[u8]) {
        self.set_with(n, value.len(), |place| place.copy_from_slice(value));
    }

    /// Inserts or replaces field `n` by a value of `len` bytes that `fill` writes.
    pub(crate) fn set_with(&mut self, n: u8, len: usize, fill: impl FnOnce(&mut [u8])) {
        let (at, old_bytes) = self.place(n);
        self.write(n, at, old_bytes, len, fill);
    }

    /// Adds field `n`, above all that are in the set, with a value of `len` bytes that `fill` writes.
    #[inline]
    pub(crate) fn push_with(&mut self, n: u8, len: usize, fill: impl FnOnce(&mut [u8])) {
        debug_assert!(self.last().is_none_or(|last| last < n), "push_with takes ascending fields");
        let at = self.0.len();
        self.grow(at + HEAD_BYTES + len);
        self.0.extend_from_slice(&head(n, len));
        self.0.resize(at + HEAD_BYTES + len, 0);
        fill(&mut self.0[at + HEAD_BYTES..]);
    }

    /// Adds field `n`, above all that are in the set.
    #[inline]
    pub(crate) fn push(&mut self, n: u8, value: &[u8]) {
        debug_assert!(self.last().is_none_or(|last| last < n), "push takes ascending fields");
        self.grow(self.0.len() + HEAD_BYTES + value.len());
        self.0.extend_from_slice(&head(n, value.len()));
        self.0.extend_from_slice(value);
    }

    /// The highest field in the set.
    pub(crate) fn last(&self) -> Option<u8> {
        self.iter().last().map(|(n, _)| n)
    }

    /// Writes a record at `at` in place of the `old_bytes` there.
    fn write(&mut self, n: u8, at: usize, old_bytes: usize, len: usize, fill: impl FnOnce(&mut [u8])) {
        let head = head(n, len);
        let new_bytes = HEAD_BYTES + len;
        let old_end = self.0.len();
        let tail = at + old_bytes;
        let end = old_end - old_bytes + new_bytes;
        if end > old_end {
            self.grow(end);
            self.0.resize(end, 0);
            self.0.copy_within(tail..old_end, at + new_bytes);
        } else {
            self.0.copy_within(tail.., at + new_bytes);
            self.cut(end);
        }
        let (head_place, value) = self.0[at..at + new_bytes].split_at_mut(HEAD_BYTES);
        head_place.copy_from_slice(&head);
        fill(value);
    }

    /// The value of field `n`.
    pub fn get(&self, n: u8) -> Option<&[u8]> {
        self.iter().find(|&(field, _)| field >= n).filter(|&(field, _)| field == n).map(|(_, value)| value)
    }

    /// Takes field `n` out; true if it was there.
    pub fn remove(&mut self, n: u8) -> bool {
        let (at, bytes) = self.place(n);
        self.0.copy_within(at + bytes.., at);
        self.cut(self.0.len() - bytes);
        bytes > 0
    }

    /// True if field `n` is in the set.
    pub fn has(&self, n: u8) -> bool {
        self.get(n).is_some()
    }

    /// Numbers and values, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        Records { left: &self.0 }
    }

    /// Sets each field of `other` here too; its values win.
    pub fn extend(&mut self, other: &FieldSet) {
        for (n, value) in other.iter() {
            self.set(n, value);
        }
    }

    /// The serialised records.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The set these bytes describe.
    ///
    /// # Errors
    /// If a record is cut off, or the numbers are not ascending in 2..=192; the bytes are wiped.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<FieldSet, FieldSetError> {
        let set = FieldSet(bytes);
        let (mut offset, mut last) = (0, 1);
        while offset < set.0.len() {
            let value_bytes = record_len(&set.0[offset..]).ok_or(FieldSetError::Truncated { offset })?;
            let field = set.0[offset];
            if field <= last || field > FIELD_MAX {
                return Err(FieldSetError::Order { offset, field });
            }
            last = field;
            offset += HEAD_BYTES + value_bytes;
        }
        Ok(set)
    }

    /// Bytes of the serialised records.
    pub fn byte_len(&self) -> usize {
        self.0.len()
    }

    /// True if no field is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where field `n` stands or would stand, and how many bytes its record takes there now.
    fn place(&self, n: u8) -> (usize, usize) {
        let mut at = 0;
        for (field, value) in self.iter() {
            let bytes = HEAD_BYTES + value.len();
            if field >= n {
                return (at, if field == n { bytes } else { 0 });
            }
            at += bytes;
        }
        (at, 0)
    }

    /// Makes room without leaving a copy of the values behind, which `Vec` would when it moves.
    #[inline]
    fn grow(&mut self, bytes: usize) {
        if bytes > self.0.capacity() {
            self.move_out(bytes);
        }
    }

    #[cold]
    fn move_out(&mut self, bytes: usize) {
        let mut roomy = Vec::with_capacity(bytes.max(self.0.capacity() * 2).max(64));
        roomy.extend_from_slice(&self.0);
        self.wipe();
        self.0 = roomy;
    }

    /// Wipes what is in use. The room behind it never holds a value: growth moves to fresh memory, and `cut` wipes
    /// what it gives up.
    fn wipe(&mut self) {
        self.0.as_mut_slice().zeroize();
    }

    fn cut(&mut self, bytes: usize) {
        self.0[bytes..].zeroize();
        self.0.truncate(bytes);
    }
}

struct Records<'a> {
    left: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let value_bytes = record_len(self.left)?;
        let (record, left) = self.left.split_at(HEAD_BYTES + value_bytes);
        self.left = left;
        Some((record[0], &record[HEAD_BYTES..]))
    }
}

/// Bytes of the value of the record at the front, if it is whole.
fn record_len(bytes: &[u8]) -> Option<usize> {
    let &[_, low, high, ref rest @ ..] = bytes else {
        return None;
    };
    let value_bytes = usize::from(u16::from_le_bytes([low, high]));
    (value_bytes <= rest.len()).then_some(value_bytes)
}

/// Field number and length in front of each value.
#[inline]
fn head(n: u8, len: usize) -> [u8; HEAD_BYTES] {
    assert!((2..=FIELD_MAX).contains(&n), "field numbers are 2 to 192");
    let [low, high] = u16::try_from(len).expect("a field value is shorter than 64 KiB").to_le_bytes();
    [n, low, high]
}

impl Drop for FieldSet {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl fmt::Debug for FieldSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FieldSet")?;
        f.debug_list().entries(self.iter().map(|(n, _)| n)).finish()
    }
}

impl Serialize for FieldSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for FieldSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FieldSet, D::Error> {
        struct Bytes;
        impl<'de> de::Visitor<'de> for Bytes {
            type Value = FieldSet;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the bytes of a field set")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<FieldSet, E> {
                FieldSet::from_bytes(bytes.to_vec()).map_err(E::custom)
            }

            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<FieldSet, E> {
                FieldSet::from_bytes(bytes).map_err(E::custom)
            }

            // Formats without a byte type, such as JSON, hand over a list of numbers.
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<FieldSet, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = list.next_element()? {
                    bytes.push(byte);
                }
                FieldSet::from_bytes(bytes).map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn golden_bytes() {
        let mut set = FieldSet::new();
        set.set(41, b"T1");
        set.set(4, b"100");
        assert_eq!(set.as_bytes(), b"\x04\x03\x00100\x29\x02\x00T1");
        assert_eq!(FieldSet::from_bytes(set.as_bytes().to_vec()), Ok(set));
    }

    #[test]
    fn debug_names_fields_and_no_values() {
        let mut set = FieldSet::new();
        set.set(2, b"4111111111111111");
        assert_eq!(format!("{set:?}"), "FieldSet[2]");
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let truncated = |bytes: &[u8]| FieldSet::from_bytes(bytes.to_vec()).unwrap_err();
        assert_eq!(truncated(b"\x04\x03"), FieldSetError::Truncated { offset: 0 });
        assert_eq!(truncated(b"\x04\x03\x0010"), FieldSetError::Truncated { offset: 0 });
        assert_eq!(truncated(b"\x04\x00\x00\x04\x00\x00"), FieldSetError::Order { offset: 3, field: 4 });
        assert_eq!(truncated(b"\x01\x00\x00"), FieldSetError::Order { offset: 0, field: 1 });
        assert_eq!(truncated(b"\xC1\x00\x00"), FieldSetError::Order { offset: 0, field: 193 });
    }

    proptest! {
        #[test]
        fn behaves_like_a_map(steps in prop::collection::vec((2..=FIELD_MAX, prop::option::of(
            prop::collection::vec(any::<u8>(), 0..20))), 0..40)) {
            let mut set = FieldSet::new();
            let mut map = BTreeMap::new();
            for (n, value) in &steps {
                match value {
                    Some(value) => {
                        set.set(*n, value);
                        map.insert(*n, value.clone());
                    }
                    None => prop_assert_eq!(set.remove(*n), map.remove(n).is_some()),
                }
            }
            prop_assert!(set.iter().eq(map.iter().map(|(&n, value)| (n, &value[..]))));
            for n in 2..=FIELD_MAX {
                prop_assert_eq!(set.get(n), map.get(&n).map(|value| &value[..]));
            }
            prop_assert_eq!(FieldSet::from_bytes(set.as_bytes().to_vec()), Ok(set));
        }

        #[test]
        fn any_bytes_are_refused_or_kept(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(set) = FieldSet::from_bytes(bytes.clone()) {
                prop_assert_eq!(set.as_bytes(), &bytes[..]);
                let mut again = FieldSet::new();
                again.extend(&set);
                prop_assert_eq!(again, set);
            }
        }
    }
}
