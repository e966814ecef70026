//! A set of field numbers in three words, in the order of the bits on the wire: field 1 is the topmost bit of the
//! first. So a bitmap of ISO 8583 is read and written without turning bits around.

use std::fmt;

/// The highest field number: that of the last bit of a third bitmap.
pub(crate) const FIELD_MAX: u8 = 192;

/// A set of field numbers 1 to 192.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct FieldMask {
    words: [u64; 3],
}

impl FieldMask {
    /// No field.
    pub const EMPTY: FieldMask = FieldMask { words: [0; 3] };

    /// The set of these numbers.
    ///
    /// # Panics
    /// If a number is not in 1..=192; in a `const` that is a compile error.
    pub const fn of(numbers: &[u8]) -> FieldMask {
        let mut mask = FieldMask::EMPTY;
        let mut i = 0;
        while i < numbers.len() {
            assert!(numbers[i] >= 1 && numbers[i] <= FIELD_MAX, "field numbers are 1 to 192");
            mask = mask.with(numbers[i]);
            i += 1;
        }
        mask
    }

    /// True if `n` is in the set.
    #[inline]
    pub const fn has(self, n: u8) -> bool {
        let bit = n.wrapping_sub(1);
        bit < FIELD_MAX && self.words[bit as usize / 64] << (bit & 63) >> 63 != 0
    }

    /// The set and `n`; a number outside 1..=192 changes nothing.
    #[inline]
    #[must_use]
    pub const fn with(self, n: u8) -> FieldMask {
        self.or(one(n))
    }

    /// Adds `n` in its place: where one is added after the other, each change of one word does not wait for the whole set.
    #[inline]
    pub(crate) const fn insert(&mut self, n: u8) {
        let bit = n.wrapping_sub(1);
        if bit < FIELD_MAX {
            self.words[bit as usize / 64] |= (1 << 63) >> (bit & 63);
        }
    }

    /// The set without `n`.
    #[inline]
    #[must_use]
    pub const fn without(self, n: u8) -> FieldMask {
        self.minus(one(n))
    }

    /// What is in both sets.
    #[inline]
    #[must_use]
    pub const fn and(self, other: FieldMask) -> FieldMask {
        let ([a, b, c], [x, y, z]) = (self.words, other.words);
        FieldMask { words: [a & x, b & y, c & z] }
    }

    /// What is in either set.
    #[inline]
    #[must_use]
    pub const fn or(self, other: FieldMask) -> FieldMask {
        let ([a, b, c], [x, y, z]) = (self.words, other.words);
        FieldMask { words: [a | x, b | y, c | z] }
    }

    /// What is in this set and not in the other.
    #[inline]
    #[must_use]
    pub const fn minus(self, other: FieldMask) -> FieldMask {
        let ([a, b, c], [x, y, z]) = (self.words, other.words);
        FieldMask { words: [a & !x, b & !y, c & !z] }
    }

    /// True if the set is empty.
    #[inline]
    pub const fn is_empty(self) -> bool {
        let [a, b, c] = self.words;
        a | b | c == 0
    }

    /// How many fields the set holds.
    pub const fn len(self) -> usize {
        let [a, b, c] = self.words;
        (a.count_ones() + b.count_ones() + c.count_ones()) as usize
    }

    /// The smallest number of the set.
    #[inline]
    pub const fn first(self) -> Option<u8> {
        match self.words {
            [0, 0, 0] => None,
            [0, 0, c] => Some(129 + c.leading_zeros() as u8),
            [0, b, _] => Some(65 + b.leading_zeros() as u8),
            [a, _, _] => Some(1 + a.leading_zeros() as u8),
        }
    }

    /// The largest number of the set.
    #[inline]
    pub const fn last(self) -> Option<u8> {
        match self.words {
            [0, 0, 0] => None,
            [a, 0, 0] => Some(64 - a.trailing_zeros() as u8),
            [_, b, 0] => Some(128 - b.trailing_zeros() as u8),
            [_, _, c] => Some(192 - c.trailing_zeros() as u8),
        }
    }

    /// The numbers, ascending.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = u8> {
        let ([mut left, mut next, mut last], mut first) = (self.words, 1);
        std::iter::from_fn(move || {
            while left == 0 {
                if next | last == 0 {
                    return None;
                }
                (left, next, last, first) = (next, last, 0, first + 64);
            }
            let lead = left.leading_zeros();
            left &= !(1 << 63 >> lead);
            Some(first + lead as u8)
        })
    }

    /// The set whose bits are those of a primary, a secondary and a third bitmap.
    pub(crate) const fn from_words(words: [u64; 3]) -> FieldMask {
        FieldMask { words }
    }

    /// The bits of the three bitmaps, without those that say that another bitmap follows.
    pub(crate) const fn words(self) -> [u64; 3] {
        self.words
    }
}

/// The set of `n` alone; empty if there is no such field.
#[inline]
const fn one(n: u8) -> FieldMask {
    let bit = (1 << 63) >> (n.wrapping_sub(1) & 63);
    match n {
        1..=64 => FieldMask { words: [bit, 0, 0] },
        65..=128 => FieldMask { words: [0, bit, 0] },
        129..=FIELD_MAX => FieldMask { words: [0, 0, bit] },
        _ => FieldMask::EMPTY,
    }
}

impl fmt::Debug for FieldMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kept_in_wire_order() {
        let mask = FieldMask::of(&[192, 129, 128, 2, 64, 65]);
        assert_eq!(mask.iter().collect::<Vec<_>>(), [2, 64, 65, 128, 129, 192]);
        assert_eq!(mask.words(), [1 << 62 | 1, 1 << 63 | 1, 1 << 63 | 1]);
        assert_eq!(FieldMask::from_words(mask.words()), mask);
        assert!(mask.has(65) && !mask.has(66) && !mask.has(0) && !mask.has(255) && mask.has(192));
        assert_eq!(mask.without(2).first(), Some(64));
        assert_eq!((mask.last(), mask.without(192).without(129).last()), (Some(192), Some(128)));
        assert_eq!(FieldMask::EMPTY.with(0).with(193), FieldMask::EMPTY);
        assert_eq!(mask.minus(FieldMask::of(&[2, 128, 129, 192])), FieldMask::of(&[64, 65]));
        assert_eq!(FieldMask::of(&[130]).first(), Some(130));
        assert_eq!(FieldMask::of(&[130]).iter().collect::<Vec<_>>(), [130]);
        assert_eq!((mask.len(), mask.is_empty()), (6, false));
        for n in 0..=255 {
            let mut inserted = mask;
            inserted.insert(n);
            assert_eq!(inserted, mask.with(n), "{n}");
        }
    }
}
