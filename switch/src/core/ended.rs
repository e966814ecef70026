//! What is remembered of obligations that ended: by number, and by time, for numbers do not end in their order. Nothing
//! in here is owed any more, so it takes no slot from what may be; it has a bound of its own, at which the oldest is
//! forgotten (`Entry::Forgotten`), because that is what a late answer comes to last. No money goes with it (P5): the
//! sum of an exception stays on the books, and its name in the journal and in the alarm that told of it.

use super::ids::ObligationId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Serialize, Deserialize)]
pub struct Ended<T> {
    held: BTreeMap<ObligationId, (u64, T)>,
    by_time: BTreeSet<(u64, ObligationId)>,
}

impl<T> Default for Ended<T> {
    fn default() -> Self {
        Ended { held: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<T> Ended<T> {
    /// `at_ms` is the wall time that orders it: when it ended, or will be forgotten.
    pub fn insert(&mut self, id: ObligationId, at_ms: u64, value: T) {
        self.remove(id);
        self.held.insert(id, (at_ms, value));
        self.by_time.insert((at_ms, id));
    }

    pub fn remove(&mut self, id: ObligationId) -> Option<T> {
        let (at_ms, value) = self.held.remove(&id)?;
        self.by_time.remove(&(at_ms, id));
        Some(value)
    }

    pub fn get(&self, id: ObligationId) -> Option<&T> {
        self.held.get(&id).map(|(_, value)| value)
    }

    pub fn get_mut(&mut self, id: ObligationId) -> Option<&mut T> {
        self.held.get_mut(&id).map(|(_, value)| value)
    }

    pub fn has(&self, id: ObligationId) -> bool {
        self.held.contains_key(&id)
    }

    pub fn len(&self) -> usize {
        self.held.len()
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Each with its time, in order of number.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (ObligationId, u64, &T)> {
        self.held.iter().map(|(id, (at_ms, value))| (*id, *at_ms, value))
    }

    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.held.values().map(|(_, value)| value)
    }

    /// The oldest, and its time.
    pub fn oldest(&self) -> Option<(u64, ObligationId)> {
        self.by_time.first().copied()
    }

    /// Forgets all whose time is at or before this one, and hands each over.
    pub fn forget_until(&mut self, at_ms: u64, mut gone: impl FnMut(T)) {
        while let Some((_, id)) = self.oldest().filter(|(oldest_ms, _)| *oldest_ms <= at_ms) {
            self.remove(id).into_iter().for_each(&mut gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_by_time_and_not_by_number() {
        let mut ended = Ended::default();
        for (id, at_ms) in [(1, 30), (2, 10), (3, 20)] {
            ended.insert(ObligationId(id), at_ms, id);
        }
        assert_eq!(ended.oldest(), Some((10, ObligationId(2))));
        // It ends again, later.
        ended.insert(ObligationId(2), 40, 22);
        ended.forget_until(20, |gone| assert_eq!(gone, 3));
        assert_eq!(ended.values().copied().collect::<Vec<_>>(), [1, 22]);
        ended.forget_until(30, |gone| assert_eq!(gone, 1));
        assert_eq!((ended.len(), ended.remove(ObligationId(2)), ended.oldest()), (1, Some(22), None));
    }
}
