//! Turns bodies into durable frames: seal, write, one sync. One writer owns the tail of the journal. After
//! a failed write or sync it never retries and never goes on: the pages' state is unknown from there.

use super::anchor::{Anchor, AnchorKeeper};
use super::disk::{Disk, FileNo};
use super::format::{
    BLOCK, Digest, FRAME_BODY_MAX, FRAME_HEADER, FrameHeader, SEALED_HEADER, SegmentHeader, TAG, digest_of,
    seal_crc, span, spare_block,
};
use super::reader::Index;
use super::recovery::{FramePlace, Scan};
use crate::planted::{Planted, planted};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex};
use yika_keystore::{Keystore, SealKey};

/// What one commit makes durable.
#[derive(Default)]
pub struct Body {
    pub records: Vec<u8>,
    pub count: u32,
    pub first_seq: u64,
    pub wall_ms: u64,
}

impl Body {
    pub fn has_room_for(&self, bytes: usize) -> bool {
        self.records.is_empty() || self.records.len() + bytes <= FRAME_BODY_MAX
    }
}

/// Why the journal cannot go on. The process must stop answering and say this.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("the journal cannot {doing} {file}: {source}; nothing after this was acknowledged")]
    Io { doing: &'static str, file: String, source: io::Error },
    #[error(
        "{file} is no longer in its place: it was deleted, moved or replaced while it was in use. Without it the next start is refused, \
         or lacks what was acknowledged into it: stop whatever removes it, and restore the data folder"
    )]
    Gone { file: String },
    #[error(
        "the journal has no spare segment left in its folder, and {why}: free disk space or raise the limit, then start again"
    )]
    NoSpare { why: String },
    #[error("the keystore gave no data key: {0}")]
    Key(String),
}

/// Files ready to become segments, made ahead so that a full disk is met there and not in a commit.
pub struct Spares {
    ready: Mutex<SpareState>,
    wanted: Condvar,
}

struct SpareState {
    ready: VecDeque<FileNo>,
    /// The last one taken: the segment in use.
    taken: Option<FileNo>,
    next: u32,
    /// The last failure to make one, for operators.
    trouble: Option<String>,
    closed: bool,
}

/// Spares held ready, so that a burst of full segments finds one while the next is still being written.
pub const SPARES_WANTED: usize = 4;
/// Below it new transactions are refused: the last spare is for outcomes and obligations.
pub const SPARES_MIN: usize = 2;

impl Spares {
    pub fn new(ready: Vec<FileNo>, next: u32) -> Spares {
        let state = SpareState { ready: ready.into(), taken: None, next, trouble: None, closed: false };
        Spares { ready: Mutex::new(state), wanted: Condvar::new() }
    }

    pub fn count(&self) -> usize {
        self.lock().ready.len()
    }

    pub fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    /// The next spare that is still there: one that somebody deleted would be a segment that no start finds.
    fn take(&self, disk: &dyn Disk) -> Option<FileNo> {
        let file = loop {
            // Whoever asks how many are ready must not wait for the disk.
            let first = self.lock().ready.pop_front();
            match first {
                Some(gone) if !disk.is_in_place(gone) => {
                    tracing::warn!(
                        file = disk.name(gone),
                        "a spare segment was deleted, moved or replaced: another is taken"
                    );
                }
                next => break next,
            }
        };
        let mut state = self.lock();
        state.taken = file.or(state.taken);
        drop(state);
        self.wanted.notify_one();
        file
    }

    /// # Errors
    /// `WriteError::Gone` when the segment in use, or the anchor, is not where the next start will look for it.
    pub fn check_in_place(&self, disk: &dyn Disk) -> Result<(), WriteError> {
        let Some(file) = self.lock().taken else { return Ok(()) };
        match [file, FileNo::ANCHOR].into_iter().find(|file| !disk.is_in_place(*file)) {
            None => Ok(()),
            Some(gone) => Err(WriteError::Gone { file: disk.name(gone) }),
        }
    }

    /// Makes one spare if fewer than wanted are ready; returns whether it made one.
    pub fn prepare_one(&self, disk: &dyn Disk, segment_bytes: u64) -> bool {
        let file = {
            let mut state = self.lock();
            if state.ready.len() >= SPARES_WANTED {
                return false;
            }
            state.next += 1;
            FileNo(state.next - 1)
        };
        let made = disk
            .create(file, segment_bytes)
            .and_then(|()| disk.write(file, 0, &spare_block()))
            .and_then(|()| disk.sync(file));
        if made.as_ref().is_err_and(|e| e.kind() != io::ErrorKind::AlreadyExists) {
            // Whatever was written of it would only fill the disk further; a file that somebody put there is his.
            let _ = disk.remove(file);
        }
        let why = made.err().map(|e| format!("cannot make {}: {e}", disk.name(file)));
        let mut state = self.lock();
        if why.is_none() {
            state.ready.push_back(file);
        }
        tell_trouble(state.trouble.as_deref(), why.as_deref(), state.ready.len());
        state.trouble = why;
        state.trouble.is_none()
    }

    /// Blocks until a spare is wanted, the time is up, or the journal closes; false when it closed.
    pub fn wait(&self, limit: std::time::Duration) -> bool {
        let state = self.lock();
        if state.closed {
            return false;
        }
        let enough = state.ready.len() >= SPARES_WANTED || state.trouble.is_some();
        if !enough {
            return true;
        }
        let waited = self.wanted.wait_timeout(state, limit);
        waited.is_ok_and(|(state, _)| !state.closed)
    }

    pub fn close(&self) {
        self.lock().closed = true;
        self.wanted.notify_all();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, SpareState> {
        self.ready.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// One line when trouble begins and one when it ends, however often it is tried in between.
fn tell_trouble(before: Option<&str>, now: Option<&str>, spares: usize) {
    match (before, now) {
        (None, Some(why)) => tracing::error!(
            why,
            spares,
            "no spare segment can be made: payments go on while two are ready, then new ones get 96. Free disk space, or raise \
             the quota or file-size limit; a switch that runs goes on by itself"
        ),
        (Some(_), None) => tracing::info!(spares, "spare segments can be made again"),
        _ => {}
    }
}

/// The tail of the journal.
pub struct Writer {
    disk: Arc<dyn Disk>,
    keys: Arc<Keystore>,
    spares: Arc<Spares>,
    index: Arc<Index>,
    anchor: AnchorKeeper,
    file: FileNo,
    key: Arc<SealKey>,
    segment: SegmentHeader,
    at: u64,
    segment_bytes: u64,
    last_frame: u64,
    last_digest: Digest,
    /// Highest frame that a sync has covered.
    durable: u64,
    /// Highest watermark that a written frame carries.
    vouched: u64,
    /// The last frame with records in it: what a watermark has to vouch for.
    last_record_frame: u64,
    next_seq: u64,
    frame: Vec<u8>,
}

impl Writer {
    /// Opens a fresh segment behind what `scan` found: a start never appends to an existing one, and the new
    /// header is the durable cut.
    ///
    /// # Errors
    /// `WriteError` when the segment cannot be made durable.
    pub fn start(
        disk: Arc<dyn Disk>,
        keys: Arc<Keystore>,
        spares: Arc<Spares>,
        index: Arc<Index>,
        scan: &Scan,
        segment_bytes: u64,
    ) -> Result<Writer, WriteError> {
        write_tail_again(&*disk, scan)?;
        let (key, _) = keys.new_data_key().map_err(|e| WriteError::Key(e.to_string()))?;
        let newest = scan.segments.last().map(|last| Anchor::of(last.file, &last.header));
        let anchor =
            AnchorKeeper::open(&*disk, newest.unwrap_or_default()).map_err(|e| anchor_failed(&*disk, e))?;
        let segment = SegmentHeader {
            anchored: true,
            blocks: 0,
            number: newest.map_or(0, |newest| newest.segment),
            salt: 0,
            epoch: scan.epoch + 1,
            continues: scan.last_frame,
            digest: scan.last_digest,
            wrapped: Vec::new(),
        };
        let mut writer = Writer {
            disk,
            keys,
            spares,
            index,
            anchor,
            file: FileNo(0),
            key: Arc::new(key),
            segment,
            at: BLOCK,
            segment_bytes,
            last_frame: scan.last_frame,
            last_digest: scan.last_digest,
            durable: scan.last_frame,
            vouched: scan.watermark,
            last_record_frame: 0,
            next_seq: scan.next_seq,
            frame: Vec::with_capacity(FRAME_BODY_MAX + BLOCK as usize),
        };
        writer.rotate()?;
        Ok(writer)
    }

    /// Makes a body durable. Blocks for one write and one sync.
    ///
    /// # Errors
    /// `WriteError`; the writer must not be used again.
    pub fn commit(&mut self, body: &Body) -> Result<(), WriteError> {
        let len = body.records.len() + TAG;
        if self.at + span(len) > self.segment_bytes {
            self.rotate()?;
        }
        let place = FramePlace { first_seq: body.first_seq, file: self.file, offset: self.at };
        self.write_frame(&body.records, body.count, body.first_seq, body.wall_ms)?;
        self.sync()?;
        self.next_seq = body.first_seq + u64::from(body.count);
        self.index.add(place, self.next_seq);
        Ok(())
    }

    /// Blocks behind the last frame, up to the end of its segment.
    pub fn free_blocks(&self) -> u64 {
        (self.segment_bytes - self.at) / BLOCK
    }

    /// Whether an acknowledged frame has no later frame yet that vouches for it. On a full disk the blocks are for outcomes.
    pub fn wants_watermark(&self) -> bool {
        self.last_record_frame > self.vouched
            && self.durable >= self.last_record_frame
            && self.at + span(TAG) <= self.segment_bytes
            && self.spares.count() >= SPARES_MIN
    }

    /// Writes a frame that holds no record, only the watermark; not synced, so that it never gets into a
    /// commit's way.
    ///
    /// # Errors
    /// `WriteError`; the writer must not be used again.
    pub fn write_watermark(&mut self, wall_ms: u64) -> Result<(), WriteError> {
        self.write_frame(&[], 0, self.next_seq, wall_ms)
    }

    /// # Errors
    /// `WriteError`; the writer must not be used again: after a failed sync nobody knows what reached the disk.
    pub fn sync(&mut self) -> Result<(), WriteError> {
        if !planted(Planted::NoSync) {
            self.disk.sync(self.file).map_err(|e| self.failed("sync", e))?;
        }
        self.durable = self.last_frame;
        Ok(())
    }

    fn write_frame(
        &mut self,
        records: &[u8],
        count: u32,
        first_seq: u64,
        wall_ms: u64,
    ) -> Result<(), WriteError> {
        assert!(
            records.len() <= FRAME_BODY_MAX * 2,
            "a longer frame could not be read back: bodies are cut before"
        );
        let header = FrameHeader {
            body_len: (records.len() + TAG) as u32,
            count,
            salt: self.segment.salt,
            epoch: self.segment.epoch,
            number: self.last_frame + 1,
            first_seq,
            wall_ms,
            watermark: self.durable,
            previous: self.last_digest,
        };
        let head = header.encode();
        // The body is sealed in place behind a gap that the header then fills.
        self.frame.clear();
        self.frame.extend_from_slice(records);
        self.key.seal(header.number, &head[..SEALED_HEADER], &mut self.frame);
        self.frame.splice(0..0, head);
        seal_crc(&mut self.frame);
        let digest = digest_of(&self.frame);
        self.frame.resize(header.span() as usize, 0);
        if planted(Planted::ClearPadding) {
            let room = (self.frame.len() - FRAME_HEADER - header.body_len as usize).min(records.len());
            let from = self.frame.len() - room;
            self.frame[from..].copy_from_slice(&records[..room]);
        }
        self.disk.write(self.file, self.at, &self.frame).map_err(|e| self.failed("write", e))?;
        self.at += header.span();
        self.last_frame = header.number;
        if count > 0 {
            self.last_record_frame = header.number;
        }
        self.last_digest = digest;
        self.vouched = header.watermark;
        Ok(())
    }

    /// The next segment: 1. a spare, full of zeros and durable; 2. its header with a fresh key and salt, and
    /// the frame it continues from; 3. a sync; 4. its name in the anchor, with a sync; only then its first frame.
    fn rotate(&mut self) -> Result<(), WriteError> {
        if self.last_frame > self.durable {
            self.sync()?;
        }
        let file = match self.spares.take(&*self.disk) {
            Some(file) => file,
            None => {
                self.spares.prepare_one(&*self.disk, self.segment_bytes);
                self.spares.take(&*self.disk).ok_or_else(|| WriteError::NoSpare {
                    why: self.spares.trouble().unwrap_or_else(|| "none was made in time".into()),
                })?
            }
        };
        let (key, wrapped) = self.keys.new_data_key().map_err(|e| WriteError::Key(e.to_string()))?;
        let mut salt = [0; 8];
        self.keys.random(&mut salt);
        self.segment = SegmentHeader {
            anchored: true,
            // The configuration's longest segment, 4 GiB, is 2^20 blocks.
            blocks: u32::try_from(self.segment_bytes / BLOCK).unwrap_or(0),
            number: self.segment.number + 1,
            salt: u64::from_le_bytes(salt),
            epoch: self.segment.epoch,
            continues: self.last_frame,
            digest: self.last_digest,
            wrapped,
        };
        self.file = file;
        self.key = Arc::new(key);
        self.at = BLOCK;
        self.disk.write(file, 0, &self.segment.encode()).map_err(|e| self.failed("write", e))?;
        self.sync()?;
        let name = Anchor::of(file, &self.segment);
        self.anchor.name(&*self.disk, name).map_err(|e| anchor_failed(&*self.disk, e))?;
        self.index.add_segment(file, self.segment.salt, self.key.clone());
        Ok(())
    }

    /// The end of a clean stop: the anchor names the last frame. Blocks for one write and one sync.
    pub fn close(mut self) {
        if self.last_record_frame > self.durable {
            return;
        }
        let ends = self.last_record_frame.max(self.segment.continues);
        let name = Anchor { ends, ..Anchor::of(self.file, &self.segment) };
        // Without it the end is only as sure as after a crash.
        if let Err(error) = self.anchor.name(&*self.disk, name) {
            tracing::warn!(%error, "the anchor could not note the clean stop; nothing is lost");
        }
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> WriteError {
        WriteError::Io { doing, file: self.disk.name(self.file), source }
    }
}

fn anchor_failed(disk: &dyn Disk, source: io::Error) -> WriteError {
    WriteError::Io { doing: "write", file: disk.name(FileNo::ANCHOR), source }
}

/// After a failed sync a file reads as it was written, though nobody knows what of it reached the disk, and a later
/// sync need not write it either: the pages count as clean. A start builds on what it reads, so:
/// 1. the last segment's header and every frame that no later one vouches for are written again, the same bytes;
/// 2. they are synced. Only then may the next segment name the frame that it continues from.
fn write_tail_again(disk: &dyn Disk, scan: &Scan) -> Result<(), WriteError> {
    let Some(last) = scan.segments.last().filter(|_| !planted(Planted::NoTailAgain)) else { return Ok(()) };
    let failed = |doing| move |source| WriteError::Io { doing, file: disk.name(last.file), source };
    for (from, to) in [(0, BLOCK), (scan.unvouched, last.end)] {
        let mut bytes = vec![0; to.saturating_sub(from) as usize];
        let got = disk.read(last.file, from, &mut bytes).map_err(failed("read"))?;
        disk.write(last.file, from, &bytes[..got]).map_err(failed("write again"))?;
    }
    disk.sync(last.file).map_err(failed("sync"))
}
