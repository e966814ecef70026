//! What one turn decided: entries to be made durable, and the effects that wait for them. The only
//! way into the durable state is `Batch::record`, which encodes an entry and absorbs it in one step,
//! so that what is journalled and what is believed cannot differ.

use super::durable::Durable;
use super::effect::Effect;
use super::entry::Entry;
use super::ids::Seq;
use crate::planted::{Planted, planted};
use crate::wipe::wipe;

/// Bytes in front of each encoded entry: length (u32 LE) and wall milliseconds (u64 LE).
pub const RECORD_HEADER_BYTES: usize = 12;

#[derive(Default)]
pub struct Batch {
    pub wall_ms: u64,
    pub first_seq: Seq,
    pub count: u32,
    /// Records one after another, each with its header.
    pub records: Vec<u8>,
    pub effects: Vec<Effect>,
}

impl Batch {
    pub fn new(wall_ms: u64) -> Self {
        Batch { wall_ms, ..Batch::default() }
    }

    /// Forgets what it held and keeps the memory.
    pub fn clear(&mut self) {
        self.count = 0;
        wipe(&mut self.records);
        self.records.clear();
        self.effects.clear();
    }

    /// Journals and absorbs an entry, and returns its number.
    pub fn record(&mut self, durable: &mut Durable, entry: Entry) -> Seq {
        let seq = durable.next_seq;
        if self.count == 0 {
            self.first_seq = seq;
        }
        let start = self.records.len();
        self.records.extend_from_slice(&[0; 4]);
        self.records.extend_from_slice(&self.wall_ms.to_le_bytes());
        entry.encode(&mut self.records);
        let len = (self.records.len() - start - RECORD_HEADER_BYTES) as u32;
        self.records[start..start + 4].copy_from_slice(&len.to_le_bytes());
        self.count += 1;
        let absorbed = durable.absorb(seq, self.wall_ms, entry);
        if planted(Planted::StateBesideEntries) {
            durable.next_obligation += 1;
        }
        assert!(absorbed.is_ok(), "the core recorded an entry that does not fit its own state: {absorbed:?}");
        seq
    }

    pub fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.effects.is_empty()
    }
}

/// One record of a frame's body: its wall time and encoded entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    pub wall_ms: u64,
    pub entry: &'a [u8],
}

/// Walks the records of a frame's body; ends with an error when a length does not fit.
pub struct Records<'a> {
    rest: &'a [u8],
}

/// A frame's body ends inside a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a record says {wanted} bytes, the frame holds {left} more")]
pub struct CutRecord {
    pub wanted: usize,
    pub left: usize,
}

impl<'a> Records<'a> {
    pub fn new(body: &'a [u8]) -> Self {
        Records { rest: body }
    }

    /// How many records stand within the first `bytes_max` bytes, at least one, and the bytes they take.
    pub fn leading(body: &[u8], bytes_max: usize) -> (u32, usize) {
        let (mut count, mut bytes) = (0, 0);
        for record in Records::new(body).map_while(Result::ok) {
            let len = RECORD_HEADER_BYTES + record.entry.len();
            if count > 0 && bytes + len > bytes_max {
                break;
            }
            count += 1;
            bytes += len;
        }
        (count, bytes)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, CutRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let cut = |wanted, left| Some(Err(CutRecord { wanted, left }));
        let Some((header, rest)) = self.rest.split_first_chunk::<RECORD_HEADER_BYTES>() else {
            let left = self.rest.len();
            self.rest = &[];
            return cut(RECORD_HEADER_BYTES, left);
        };
        let (len, wall) = header.split_at(4);
        let len = u32::from_le_bytes([len[0], len[1], len[2], len[3]]) as usize;
        let mut wall_ms = [0; 8];
        wall_ms.copy_from_slice(wall);
        let Some((entry, rest)) = rest.split_at_checked(len) else {
            let left = rest.len();
            self.rest = &[];
            return cut(len, left);
        };
        self.rest = rest;
        Some(Ok(Record { wall_ms: u64::from_le_bytes(wall_ms), entry }))
    }
}
