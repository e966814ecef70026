//! Cold reads: one entry by its sequence, from the frame that holds it. Shared between the writer, which
//! adds places, and whoever fetches; memory is 24 bytes a frame.

use super::disk::{Disk, FileNo};
use super::format::{BLOCK, FRAME_HEADER, FrameHeader, SEALED_HEADER, frame_crc_holds};
use super::recovery::{FramePlace, Scan};
use crate::core::batch::Records;
use crate::core::entry::Entry;
use crate::core::ids::Seq;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use yika_keystore::SealKey;

/// Where every durable entry stands.
pub struct Index {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    places: Vec<FramePlace>,
    segments: BTreeMap<FileNo, (u64, Arc<SealKey>)>,
    /// One past the last durable entry.
    end: u64,
}

impl Index {
    pub fn of(scan: &Scan) -> Index {
        let segments = scan
            .segments
            .iter()
            .map(|segment| (segment.file, (segment.header.salt, segment.key.clone())))
            .collect();
        Index { held: Mutex::new(Held { places: scan.places.clone(), segments, end: scan.next_seq }) }
    }

    pub(super) fn add(&self, place: FramePlace, end: u64) {
        let mut held = self.lock();
        held.places.push(place);
        held.end = end;
    }

    pub(super) fn add_segment(&self, file: FileNo, salt: u64, key: Arc<SealKey>) {
        self.lock().segments.insert(file, (salt, key));
    }

    fn find(&self, seq: Seq) -> Option<(FramePlace, u64, Arc<SealKey>)> {
        let held = self.lock();
        if seq.0 >= held.end {
            return None;
        }
        let at = held.places.partition_point(|place| place.first_seq <= seq.0).checked_sub(1)?;
        let place = held.places[at];
        let (salt, key) = held.segments.get(&place.file)?;
        Some((place, *salt, key.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads entries back. Blocks on the disk: never on the driver's thread in production.
#[derive(Clone)]
pub struct Reader {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) index: Arc<Index>,
}

impl Reader {
    /// The entry with this sequence; None when it is not held, or cannot be read.
    pub fn entry(&self, seq: Seq) -> Option<Entry> {
        let (place, salt, key) = self.index.find(seq)?;
        let mut block = vec![0; BLOCK as usize];
        let got = self.disk.read(place.file, place.offset, &mut block).ok()?;
        let header = FrameHeader::decode(block.get(..got)?, salt)?;
        let mut frame = vec![0; FRAME_HEADER + header.body_len as usize];
        let got = self.disk.read(place.file, place.offset, &mut frame).ok()?;
        if got < frame.len() || !frame_crc_holds(&frame) {
            return None;
        }
        let (head, sealed) = frame.split_at_mut(FRAME_HEADER);
        let body = key.open(header.number, &head[..SEALED_HEADER], sealed).ok()?;
        let skip = usize::try_from(seq.0.checked_sub(header.first_seq)?).ok()?;
        let record = Records::new(body).nth(skip)?.ok()?;
        Entry::decode(record.entry).ok()
    }
}
