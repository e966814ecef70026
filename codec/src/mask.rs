//! A set of field numbers in two words, in the order of the bits on the wire: field 1 is the topmost bit of the
//! first. So a bitmap of ISO 8583 is read and written without turning bits around.

use std::fmt;

/// A set of field numbers 1 to 128.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct FieldMask {
    primary: u64,
    secondary: u64,
}

impl FieldMask {
    /// No field.
    pub const EMPTY: FieldMask = FieldMask { primary: 0, secondary: 0 };

    /// The set of these numbers.
    ///
    /// # Panics
    /// If a number is not in 1..=128; in a `const` that is a compile error.
    pub const fn of(numbers: &[u8]) -> FieldMask {
        let mut mask = FieldMask::EMPTY;
        let mut i = 0;
        while i < numbers.len() {
            assert!(numbers[i] >= 1 && numbers[i] <= 128, "field numbers are 1 to 128");
            mask = mask.with(numbers[i]);
            i += 1;
        }
        mask
    }

    /// True if `n` is in the set.
    #[inline]
    pub const fn has(self, n: u8) -> bool {
        let word = if n > 64 { self.secondary } else { self.primary };
        n.wrapping_sub(1) < 128 && word << (n.wrapping_sub(1) & 63) >> 63 != 0
    }

    /// The set and `n`; a number outside 1..=128 changes nothing.
    #[inline]
    #[must_use]
    pub const fn with(self, n: u8) -> FieldMask {
        self.or(one(n))
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
        FieldMask { primary: self.primary & other.primary, secondary: self.secondary & other.secondary }
    }

    /// What is in either set.
    #[inline]
    #[must_use]
    pub const fn or(self, other: FieldMask) -> FieldMask {
        FieldMask { primary: self.primary | other.primary, secondary: self.secondary | other.secondary }
    }

    /// What is in this set and not in the other.
    #[inline]
    #[must_use]
    pub const fn minus(self, other: FieldMask) -> FieldMask {
        FieldMask { primary: self.primary & !other.primary, secondary: self.secondary & !other.secondary }
    }

    /// True if the set is empty.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.primary | self.secondary == 0
    }

    /// How many fields the set holds.
    pub const fn len(self) -> usize {
        (self.primary.count_ones() + self.secondary.count_ones()) as usize
    }

    /// The smallest number of the set.
    #[inline]
    pub const fn first(self) -> Option<u8> {
        if self.primary != 0 {
            Some(1 + self.primary.leading_zeros() as u8)
        } else if self.secondary != 0 {
            Some(65 + self.secondary.leading_zeros() as u8)
        } else {
            None
        }
    }

    /// The largest number of the set.
    #[inline]
    pub const fn last(self) -> Option<u8> {
        if self.secondary != 0 {
            Some(128 - self.secondary.trailing_zeros() as u8)
        } else if self.primary != 0 {
            Some(64 - self.primary.trailing_zeros() as u8)
        } else {
            None
        }
    }

    /// The numbers, ascending.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = u8> {
        let (mut left, mut next, mut first) = (self.primary, self.secondary, 1);
        std::iter::from_fn(move || {
            if left == 0 {
                (left, next, first) = (next, 0, 65);
            }
            let lead = left.leading_zeros();
            left &= !(1u64 << 63).checked_shr(lead)?;
            Some(first + lead as u8)
        })
    }

    pub(crate) const fn from_halves(primary: u64, secondary: u64) -> FieldMask {
        FieldMask { primary, secondary }
    }

    pub(crate) const fn primary(self) -> u64 {
        self.primary
    }

    pub(crate) const fn secondary(self) -> u64 {
        self.secondary
    }
}

/// The set of `n` alone; empty if there is no such field.
#[inline]
const fn one(n: u8) -> FieldMask {
    let bit = (1 << 63) >> (n.wrapping_sub(1) & 63);
    match n {
        1..=64 => FieldMask { primary: bit, secondary: 0 },
        65..=128 => FieldMask { primary: 0, secondary: bit },
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
        let mask = FieldMask::of(&[128, 2, 64, 65]);
        assert_eq!(mask.iter().collect::<Vec<_>>(), [2, 64, 65, 128]);
        assert_eq!((mask.primary(), mask.secondary()), (1 << 62 | 1, 1 << 63 | 1));
        assert_eq!(FieldMask::from_halves(mask.primary(), mask.secondary()), mask);
        assert!(mask.has(65) && !mask.has(66) && !mask.has(0) && !mask.has(255));
        assert_eq!(mask.without(2).first(), Some(64));
        assert_eq!(FieldMask::EMPTY.with(0).with(129), FieldMask::EMPTY);
        assert_eq!(mask.minus(FieldMask::of(&[2, 128])), FieldMask::of(&[64, 65]));
        assert_eq!((mask.len(), mask.is_empty()), (4, false));
    }
}
