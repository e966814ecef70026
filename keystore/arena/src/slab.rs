//! Who has which slot: free lists, one slab for each size. Pure bookkeeping over addresses it never follows.
//!
//! Each slab keeps slots back for work that ends within a call: when the limit is reached no new key is taken in, but
//! those that are loaded go on working.

/// How long a secret will stay. A part of the arena is kept for brief work, so that loaded keys go on working when no
/// more can be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// As long as a handle to a key.
    Lasting,
    /// No longer than a call.
    Brief,
}

/// The free slots of one size.
pub(crate) struct Slab<S> {
    lasting: Vec<S>,
    brief: Vec<S>,
    held: usize,
}

impl<S: Copy> Slab<S> {
    pub(crate) const fn new() -> Slab<S> {
        Slab { lasting: Vec::new(), brief: Vec::new(), held: 0 }
    }

    /// A free slot with the list it belongs to, the one given back last: it is in the cache. Brief work may take what is for
    /// lasting keys once its own is used up, never the other way round.
    pub(crate) fn take(&mut self, stay: Stay) -> Option<(S, Stay)> {
        let own = if stay == Stay::Brief { self.brief.pop().map(|slot| (slot, Stay::Brief)) } else { None };
        let taken = own.or_else(|| self.lasting.pop().map(|slot| (slot, Stay::Lasting)))?;
        self.held += 1;
        Some(taken)
    }

    /// Takes a wiped slot back. Never allocates: the lists have room for every slot there is.
    pub(crate) fn give_back(&mut self, slot: S, list: Stay) {
        debug_assert!(self.held > 0, "more slots given back than taken");
        self.held -= 1;
        self.list(list).push(slot);
    }

    /// New slots.
    pub(crate) fn add(&mut self, slots: impl ExactSizeIterator<Item = S>, list: Stay) {
        let held = self.held;
        let list = self.list(list);
        list.reserve(held + slots.len());
        list.extend(slots);
    }

    /// Slots in use.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    fn list(&mut self, list: Stay) -> &mut Vec<S> {
        match list {
            Stay::Lasting => &mut self.lasting,
            Stay::Brief => &mut self.brief,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn slab() -> Slab<u32> {
        let mut slab = Slab::new();
        slab.add(0..4, Stay::Brief);
        slab.add(4..10, Stay::Lasting);
        slab
    }

    #[test]
    fn a_slot_has_one_owner_at_a_time() {
        let (mut slab, mut seed) = (slab(), 1_u64);
        let mut owned: Vec<(u32, Stay)> = Vec::new();
        for step in 0..10_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let stay = if seed >> 40 & 1 == 0 { Stay::Brief } else { Stay::Lasting };
            if seed >> 50 & 1 == 0 {
                owned.extend(slab.take(stay));
            } else if !owned.is_empty() {
                let (slot, list) = owned.swap_remove((seed >> 33) as usize % owned.len());
                slab.give_back(slot, list);
            }
            let distinct: BTreeSet<u32> = owned.iter().map(|(slot, _)| *slot).collect();
            assert_eq!((distinct.len(), slab.held()), (owned.len(), owned.len()), "step {step}");
            assert!(owned.iter().all(|(slot, list)| (*slot < 4) == (*list == Stay::Brief)));
        }
    }

    #[test]
    fn lasting_keys_leave_the_brief_slots_alone() {
        let mut slab = slab();
        let lasting = std::iter::from_fn(|| slab.take(Stay::Lasting)).count();
        assert_eq!(lasting, 6);
        let brief: Vec<_> = std::iter::from_fn(|| slab.take(Stay::Brief)).collect();
        assert_eq!(brief.len(), 4);
        brief.into_iter().for_each(|(slot, list)| slab.give_back(slot, list));
        assert!(slab.take(Stay::Lasting).is_none(), "given back to where they came from");
    }

    #[test]
    fn brief_work_borrows_when_its_own_is_used_up() {
        let mut slab = slab();
        assert_eq!(std::iter::from_fn(|| slab.take(Stay::Brief)).count(), 10);
    }
}
