//! Small damage to good inputs, by a seeded generator: the same cases in every run of the test command.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::ops::Range;

pub(super) struct Mutator {
    random: StdRng,
    bytes_max: usize,
}

/// Bytes at the ends of what digits, lengths, bitmaps and tags may be.
const TELLING: [u8; 16] =
    [0x00, 0x01, 0x09, 0x10, 0x1F, 0x20, b'0', b'9', b'=', b'A', b'D', b'F', b'f', 0x7F, 0x80, 0xFF];
const STEPS_MAX: u32 = 4;
const RANGE_BYTES_MAX: usize = 16;

impl Mutator {
    pub(super) fn new(bytes_max: usize) -> Mutator {
        // Any number will do; it stands for the cases.
        Mutator { random: StdRng::seed_from_u64(8583), bytes_max }
    }

    /// One of the pool, damaged in one to four places. The pool is not empty.
    pub(super) fn from(&mut self, pool: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.one_of(pool).clone();
        for _ in 0..self.random.random_range(1..=STEPS_MAX) {
            self.step(&mut input, pool);
        }
        input.truncate(self.bytes_max);
        input
    }

    fn one_of<'a>(&mut self, pool: &'a [Vec<u8>]) -> &'a Vec<u8> {
        &pool[self.random.random_range(0..pool.len())]
    }

    fn step(&mut self, input: &mut Vec<u8>, pool: &[Vec<u8>]) {
        let at = self.random.random_range(0..=input.len());
        match (self.random.random_range(0..9), input.get_mut(at)) {
            (0, Some(byte)) => *byte ^= 1 << self.random.random_range(0..8),
            (1, Some(byte)) => *byte = TELLING[self.random.random_range(0..TELLING.len())],
            (2, Some(byte)) => *byte = byte.wrapping_add(1),
            (3, Some(byte)) => *byte = byte.wrapping_sub(1),
            (8, Some(byte)) => *byte = self.random.random_range(b'0'..=b'9'),
            (4, _) => input.truncate(at),
            (5, _) => drop(input.drain(self.range(input.len()))),
            (6, _) => {
                let other = self.one_of(pool);
                let range = self.range(other.len());
                input.splice(at..at, other[range].iter().copied());
            }
            (7, _) => {
                let other = self.one_of(pool);
                input.truncate(at);
                input.extend_from_slice(other.get(at..).unwrap_or_default());
            }
            _ => input.push(self.random.random()),
        }
    }

    /// A short range within `0..end`.
    fn range(&mut self, end: usize) -> Range<usize> {
        let from = self.random.random_range(0..=end);
        from..(from + self.random.random_range(0..=RANGE_BYTES_MAX)).min(end)
    }
}
