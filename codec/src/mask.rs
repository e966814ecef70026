//! A set of field numbers in one `u128`, in the order of the bits on the wire: field 1 is the topmost bit.
//! So a bitmap of ISO 8583 is read and written without turning bits around.

use std::fmt;

/// A set of field numbers 1 to 128.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct FieldMask(u128);

impl FieldMask {
    /// No field.
    pub const EMPTY: FieldMask = FieldMask(0);

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
        self.0 & bit(n) != 0
    }

    /// The set and `n`; a number outside 1..=128 changes nothing.
    #[inline]
    #[must_use]
    pub const fn with(self, n: u8) -> FieldMask {
        FieldMask(self.0 | bit(n))
    }

    /// The set without `n`.
    #[inline]
    #[must_use]
    pub const fn without(self, n: u8) -> FieldMask {
        FieldMask(self.0 & !bit(n))
    }

    /// What is in both sets.
    #[inline]
    #[must_use]
    pub const fn and(self, other: FieldMask) -> FieldMask {
        FieldMask(self.0 & other.0)
    }

    /// What is in either set.
    #[inline]
    #[must_use]
    pub const fn or(self, other: FieldMask) -> FieldMask {
        FieldMask(self.0 | other.0)
    }

    /// What is in this set and not in the other.
    #[inline]
    #[must_use]
    pub const fn minus(self, other: FieldMask) -> FieldMask {
        FieldMask(self.0 & !other.0)
    }

    /// True if the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many fields the set holds.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The smallest number of the set.
    #[inline]
    pub const fn first(self) -> Option<u8> {
        if self.0 == 0 { None } else { Some(self.0.leading_zeros() as u8 + 1) }
    }

    /// The largest number of the set.
    #[inline]
    pub const fn last(self) -> Option<u8> {
        if self.0 == 0 { None } else { Some(128 - self.0.trailing_zeros() as u8) }
    }

    /// The numbers, ascending.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = u8> {
        let mut left = self;
        std::iter::from_fn(move || {
            let n = left.first()?;
            left = left.without(n);
            Some(n)
        })
    }

    pub(crate) const fn from_halves(primary: u64, secondary: u64) -> FieldMask {
        FieldMask((primary as u128) << 64 | secondary as u128)
    }

    pub(crate) const fn primary(self) -> u64 {
        (self.0 >> 64) as u64
    }

    pub(crate) const fn secondary(self) -> u64 {
        self.0 as u64
    }
}

impl fmt::Debug for FieldMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[inline]
const fn bit(n: u8) -> u128 {
    if n >= 1 && n <= 128 { 1 << (128 - n as u32) } else { 0 }
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
