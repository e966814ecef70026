//! A secret in the arena: a box that cannot be printed or copied, is wiped on drop, and can be filled in place.
#![expect(unsafe_code, reason = "slots are bare memory; this type gives each of them one owner")]

use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use zeroize::Zeroize as _;

use crate::arena::{Arena, ArenaError, SLOT_BYTES_MAX, class_bytes, class_of};
use crate::pages::Slot;
use crate::slab::Stay;

/// The largest thing that a slot takes; anything larger does not compile.
pub const HELD_BYTES_MAX: usize = SLOT_BYTES_MAX;

/// A value in the arena. It has neither Debug nor Clone nor Serialize; what the value owns elsewhere (a `Vec`) is not
/// in the arena.
pub struct Held<T> {
    at: NonNull<T>,
    list: Stay,
}

// SAFETY: a Held owns its value as a Box does, so it may go where the value may go.
unsafe impl<T: Send> Send for Held<T> {}
// SAFETY: a shared Held gives shared access to the value and no more.
unsafe impl<T: Sync> Sync for Held<T> {}

impl<T> Held<T> {
    const CLASS: usize = {
        assert!(size_of::<T>() <= SLOT_BYTES_MAX, "larger than any slot of the arena");
        // Slots are aligned to their size, and no size is below the alignment of a type.
        assert!(align_of::<T>() <= 32, "more strictly aligned than the smallest slot");
        class_of(size_of::<T>())
    };

    /// Moves a value in. A move may leave a copy where the value was: use it for what cannot be made in place, inside
    /// [`crate::wiped`].
    ///
    /// # Errors
    /// When the arena can have no more memory.
    pub fn new(stay: Stay, value: T) -> Result<Held<T>, ArenaError> {
        let (slot, list) = Arena::global()?.take(Self::CLASS, stay)?;
        let at = slot.0.cast::<T>();
        // SAFETY: the slot is ours alone from here on, large enough and aligned, as CLASS says.
        unsafe { at.write(value) };
        Ok(Held { at, list })
    }
}

impl<T: Default> Held<T> {
    /// Makes a value in place: `fill` gets the type's default, which holds no secret, in its slot.
    ///
    /// # Errors
    /// When the arena can have no more memory.
    pub fn new_with(stay: Stay, fill: impl FnOnce(&mut T)) -> Result<Held<T>, ArenaError> {
        let mut held = Held::new(stay, T::default())?;
        fill(&mut held);
        Ok(held)
    }

    /// As [`Held::new_with`], for a value that may not come about.
    ///
    /// # Errors
    /// When the arena can have no more memory, and what `fill` says.
    pub fn try_new_with<E: From<ArenaError>>(
        stay: Stay,
        fill: impl FnOnce(&mut T) -> Result<(), E>,
    ) -> Result<Held<T>, E> {
        let mut held = Held::new(stay, T::default())?;
        fill(&mut held)?;
        Ok(held)
    }

    /// A default value for work that ends within a call.
    ///
    /// # Panics
    /// When what is kept for such work is used up, the arena full, and the limit on locked memory reached, all at once; and
    /// when there is no arena at all. There is no safe place to go on in.
    #[must_use]
    pub fn brief() -> Held<T> {
        match Held::new(Stay::Brief, T::default()) {
            Ok(held) => held,
            Err(error) => panic!("{error}"),
        }
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the slot holds a value until drop, and is shared as `self` is.
        unsafe { self.at.as_ref() }
    }
}

impl<T> DerefMut for Held<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the slot holds a value until drop, and is ours alone as `self` is.
        unsafe { self.at.as_mut() }
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        let slot = Slot(self.at.cast());
        // SAFETY: the value is there, and nobody sees it after this.
        unsafe { self.at.drop_in_place() };
        let bytes = self.at.as_ptr().cast::<MaybeUninit<u8>>();
        // SAFETY: the slot is ours until it is given back, and has so many bytes; they need not be initialized.
        let slot_bytes = unsafe { std::slice::from_raw_parts_mut(bytes, class_bytes(Self::CLASS)) };
        slot_bytes.zeroize();
        if let Ok(arena) = Arena::global() {
            arena.give_back(Self::CLASS, slot, self.list);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A size that no other test of this process uses, so that its slots are not given to others in between.
    type Rare = [[u8; 32]; 32];

    #[test]
    fn a_slot_is_wiped_before_it_is_used_again() {
        let held =
            Held::<Rare>::new_with(Stay::Lasting, |bytes| bytes.as_flattened_mut().fill(0xA5)).unwrap();
        let before = held.at.addr();
        assert!(held.as_flattened().iter().all(|&byte| byte == 0xA5));
        let at = held.at.as_ptr().cast::<u8>();
        drop(held);
        // SAFETY: chunks are never unmapped; nobody has taken the slot, as this test alone has this size.
        let left = unsafe { std::slice::from_raw_parts(at, 1024) };
        assert!(left.iter().all(|&byte| byte == 0));
        let again = Held::<Rare>::new_with(Stay::Lasting, |_| ()).unwrap();
        assert_eq!(again.at.addr(), before, "the same slot");
    }

    #[test]
    fn a_value_is_dropped_once_and_goes_to_other_threads() {
        struct Counted(Arc<AtomicUsize>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let drops = Arc::new(AtomicUsize::new(0));
        let held = Held::new(Stay::Lasting, Counted(Arc::clone(&drops))).unwrap();
        std::thread::spawn(move || assert_eq!(held.0.load(Ordering::Relaxed), 0)).join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_value_that_does_not_come_about_leaves_nothing() {
        let failed = Held::<[u64; 8]>::try_new_with(Stay::Lasting, |words| {
            words.fill(0x5EC2E7);
            Err(ArenaError::Full { bytes_max: 7 })
        });
        assert_eq!(failed.err(), Some(ArenaError::Full { bytes_max: 7 }));
        let next = Held::<[u64; 8]>::new_with(Stay::Lasting, |_| ()).unwrap();
        assert_eq!(*next, [0; 8]);
    }

    #[test]
    fn threads_have_slots_of_their_own() {
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                scope.spawn(move || {
                    for round in 0..2000 {
                        let mark = thread << 32 | round;
                        let mut one = Held::<[u64; 16]>::brief();
                        one.fill(mark);
                        let two =
                            Held::<[u64; 16]>::new_with(Stay::Lasting, |words| words.fill(!mark)).unwrap();
                        assert!(
                            one.iter().all(|&word| word == mark) && two.iter().all(|&word| word == !mark)
                        );
                    }
                });
            }
        });
    }
}
