//! A queue addressed by ever-growing numbers: records are appended, found by number in O(1), and
//! dropped from the front. Memory is taken in blocks, so that a million records do not double at once.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Records `first .. first + len`, oldest first.
#[derive(Serialize, Deserialize)]
pub struct Ring<T> {
    first: u64,
    len: u64,
    /// How many records at the front of the first block are already dropped.
    skipped: usize,
    blocks: VecDeque<Vec<T>>,
}

const BLOCK: usize = 1024;

impl<T> Ring<T> {
    pub fn new() -> Self {
        Ring { first: 0, len: 0, skipped: 0, blocks: VecDeque::new() }
    }

    /// Appends and returns the new record's number.
    pub fn push(&mut self, record: T) -> u64 {
        match self.blocks.back_mut() {
            Some(block) if block.len() < BLOCK => block.push(record),
            _ => {
                let mut block = Vec::with_capacity(BLOCK);
                block.push(record);
                self.blocks.push_back(block);
            }
        }
        self.len += 1;
        self.first + self.len - 1
    }

    pub fn get(&self, number: u64) -> Option<&T> {
        let (block, at) = self.locate(number)?;
        self.blocks.get(block)?.get(at)
    }

    pub fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let (block, at) = self.locate(number)?;
        self.blocks.get_mut(block)?.get_mut(at)
    }

    /// The number of the oldest record, or of the next one when there is none.
    pub fn first(&self) -> u64 {
        self.first
    }

    pub fn oldest(&self) -> Option<&T> {
        self.get(self.first)
    }

    /// Forgets the oldest record; its memory goes with its block.
    pub fn drop_oldest(&mut self) {
        if self.len == 0 {
            return;
        }
        self.first += 1;
        self.len -= 1;
        self.skipped += 1;
        if self.skipped == BLOCK || self.len == 0 {
            self.blocks.pop_front();
            self.skipped = 0;
        }
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn locate(&self, number: u64) -> Option<(usize, usize)> {
        let offset = number.checked_sub(self.first).filter(|offset| *offset < self.len)?;
        let at = usize::try_from(offset).ok()? + self.skipped;
        Some((at / BLOCK, at % BLOCK))
    }
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_while_the_front_is_dropped() {
        let mut ring = Ring::new();
        for n in 0..5000u64 {
            assert_eq!(ring.push(n), n);
            if n >= 1500 {
                assert_eq!(ring.oldest(), Some(&(n - 1500)));
                ring.drop_oldest();
            }
        }
        assert_eq!(ring.get(3499), None);
        assert_eq!(ring.get(3500), Some(&3500));
        assert_eq!(ring.get(4999), Some(&4999));
        assert_eq!(ring.get(5000), None);
        while !ring.is_empty() {
            ring.drop_oldest();
        }
        assert_eq!(ring.push(1), 5000);
        assert_eq!(ring.get(5000), Some(&1));
    }
}
