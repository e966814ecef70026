//! Cold reads: one entry by its sequence, from the frame that holds it. Shared between the writer, which
//! adds places, and whoever fetches. Places are sparse: a read starts at the nearest one and walks on over the
//! headers of frames, so that memory is 24 bytes for each 256 KiB of journal, however small its frames are.

use super::disk::{Disk, FileNo};
use super::format::{FRAME_HEADER, FrameHeader, SEALED_HEADER, frame_crc_holds};
use super::recovery::{FramePlace, Scan};
use crate::core::batch::Records;
use crate::core::entry::Entry;
use crate::core::ids::Seq;
use crate::wipe::wipe;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use yika_keystore::SealKey;

/// Places of one file are at least this far apart.
const STRIDE: u64 = 256 << 10;

/// Frames by their first entry, in order, a few of each file: its first, and one each `STRIDE` bytes.
#[derive(Clone, Default)]
pub struct Places(Vec<FramePlace>);

impl Places {
    /// Takes the place of the frame after the last one noted or passed over.
    pub fn note(&mut self, place: FramePlace) {
        let near = |last: &&FramePlace| last.file == place.file && place.offset < last.offset + STRIDE;
        if self.0.last().filter(near).is_none() {
            self.0.push(place);
        }
    }

    /// The last place at or before the frame that holds `seq`.
    fn before(&self, seq: Seq) -> Option<FramePlace> {
        let at = self.0.partition_point(|place| place.first_seq <= seq.0).checked_sub(1)?;
        Some(self.0[at])
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Where every durable entry stands.
pub struct Index {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    places: Places,
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
        held.places.note(place);
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
        let place = held.places.before(seq)?;
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
        let (mut place, salt, key) = self.index.find(seq)?;
        let mut header = self.header(&place, salt)?;
        while header.first_seq + u64::from(header.count) <= seq.0 {
            place.offset += header.span();
            header = self.header(&place, salt)?;
        }
        let mut frame = vec![0; FRAME_HEADER + header.body_len as usize];
        let got = self.disk.read(place.file, place.offset, &mut frame).ok()?;
        if got < frame.len() || !frame_crc_holds(&frame) {
            return None;
        }
        let (head, sealed) = frame.split_at_mut(FRAME_HEADER);
        let skip = usize::try_from(seq.0.checked_sub(header.first_seq)?).ok()?;
        let body = key.open(header.number, &head[..SEALED_HEADER], sealed).ok()?;
        let record = Records::new(body).nth(skip).and_then(Result::ok);
        let entry = record.and_then(|record| Entry::decode(record.entry).ok());
        wipe(&mut frame);
        entry
    }

    fn header(&self, place: &FramePlace, salt: u64) -> Option<FrameHeader> {
        let mut head = [0; FRAME_HEADER];
        let got = self.disk.read(place.file, place.offset, &mut head).ok()?;
        FrameHeader::decode(head.get(..got)?, salt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_few_however_many_the_frames() {
        let mut places = Places::default();
        for frame in 0..10_000 {
            let file = FileNo(frame / 4000);
            let offset = u64::from(frame % 4000 + 1) * 4096;
            places.note(FramePlace { first_seq: u64::from(frame) * 3 + 1, file, offset });
        }
        assert_eq!(places.len(), 2 * 63 + 32, "one each 64 frames, and the first of each file");
        let at = |seq| places.before(Seq(seq)).map(|place| (place.file.0, place.offset / 4096));
        assert_eq!((at(0), at(1), at(192), at(193)), (None, Some((0, 1)), Some((0, 1)), Some((0, 65))));
        assert_eq!(at(12_001), Some((1, 1)), "each file's first frame has its place");
    }
}
