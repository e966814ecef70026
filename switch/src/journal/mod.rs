//! The journal: entries become durable in frames, many entries and one sync each, and only then are the
//! effects that rest on them released. `Released` can be made here alone, and sessions and lines take
//! nothing else: that is the whole durability argument (P1, P2), and the types carry it.

pub mod anchor;
pub mod disk;
pub mod faulty;
pub mod format;
mod reader;
pub mod recovery;
#[cfg(test)]
mod tests;
pub mod writer;

pub use reader::Reader;

use crate::core::batch::{Batch, Records};
use crate::core::durable::Durable;
use crate::core::effect::Effect;
use crate::core::entry::{CUSTODY_BYTES_MAX, Entry};
use crate::core::ids::Seq;
use crate::core::{Misfit, Room};
use crate::planted::{Planted, planted};
use crate::wipe::wipe;
use disk::{Disk, FileNo};
use format::{BLOCK, FRAME_BODY_MAX};
use reader::Index;
use recovery::{RecoveryError, Scan, scan};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use writer::{Body, SPARES_MIN, Spares, WriteError, Writer};
use yika_keystore::Keystore;

/// An effect that may happen: everything it rests on is durable.
pub struct Released<T>(T);

impl<T> Released<T> {
    pub fn get(&self) -> &T {
        &self.0
    }

    pub fn into_inner(self) -> T {
        self.0
    }
}

/// A journal that was read to its end, and the state its entries make.
pub struct Opened {
    pub durable: Durable,
    pub scan: Scan,
}

/// Replays the journal on `disk` into a fresh state. Two threads share the work: one reads, checks and decodes, this
/// one absorbs.
///
/// # Errors
/// Damage, a wrong key, or an entry that does not fit; nothing was changed.
pub fn replay(disk: &dyn Disk, keys: &Keystore) -> Result<Opened, RecoveryError> {
    let mut durable = Durable::new(keys.hash_seed());
    let (give, pieces) = sync_channel(PIECES_AHEAD);
    let (scan, misfit) = std::thread::scope(|scope| {
        let reading = scope.spawn(move || read_pieces(disk, keys, &give));
        let misfit = absorb_pieces(&mut durable, pieces);
        (reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), misfit)
    });
    match misfit {
        Some(misfit) => Err(entry_error(disk, keys, &misfit)),
        None => Ok(Opened { durable, scan: scan? }),
    }
}

/// An entry on its way from the thread that opens and decodes to the one that absorbs.
struct Decoded {
    seq: Seq,
    wall_ms: u64,
    entry: Entry,
}

/// Entries that change threads at once: few enough to stay in the cache, many enough to make the change cheap.
const PIECE: usize = 1024;
/// Pieces that may wait to be absorbed: bounds the memory.
const PIECES_AHEAD: usize = 16;

fn read_pieces(
    disk: &dyn Disk,
    keys: &Keystore,
    give: &SyncSender<Vec<Decoded>>,
) -> Result<Scan, RecoveryError> {
    let mut piece = Vec::with_capacity(PIECE);
    let scan = scan(disk, keys, |seq, record| {
        let entry = Entry::decode(record.entry).map_err(|e| e.to_string())?;
        piece.push(Decoded { seq: Seq(seq), wall_ms: record.wall_ms, entry });
        if piece.len() == PIECE {
            let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE));
            // Nobody takes more after a misfit, which is what will be told.
            give.send(full).map_err(|_| "an entry before it does not fit".to_owned())?;
        }
        Ok(())
    })?;
    let _ = give.send(piece);
    Ok(scan)
}

fn absorb_pieces(durable: &mut Durable, pieces: Receiver<Vec<Decoded>>) -> Option<Misfit> {
    pieces.into_iter().flatten().find_map(|one| durable.absorb(one.seq, one.wall_ms, one.entry).err())
}

/// Reads again to tell in which file the entry stands.
fn entry_error(disk: &dyn Disk, keys: &Keystore, misfit: &Misfit) -> RecoveryError {
    let there = |seq| if Seq(seq) == misfit.seq { Err(misfit.to_string()) } else { Ok(()) };
    match scan(disk, keys, |seq, _| there(seq)) {
        Err(error) => error,
        Ok(_) => {
            RecoveryError::Entry { file: "the journal".into(), seq: misfit.seq.0, what: misfit.to_string() }
        }
    }
}

/// What the driver's side and the writer's side share.
struct Shared {
    inbox: Mutex<Inbox>,
    filled: Condvar,
    /// The last batch that is durable.
    durable_batch: AtomicU64,
    /// Bytes handed over and not yet durable.
    pending_bytes: AtomicU64,
    /// Blocks that are free in the segment being written.
    tail_blocks: AtomicU64,
    failure: Mutex<Option<String>>,
    /// The files are gone, and what was made durable in them with it: nothing is released any more.
    gone: AtomicBool,
    stats: Stats,
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Inbox {
    bodies: VecDeque<(Body, u64)>,
    spent: Vec<Body>,
    closed: bool,
}

impl Inbox {
    /// Appends records to the last body, or to a new one when it has no room.
    fn add(&mut self, records: &[u8], count: u32, first_seq: u64, wall_ms: u64, makes_durable: u64) {
        if !self.bodies.back().is_some_and(|(body, _)| body.has_room_for(records.len())) {
            let mut body = self.spent.pop().unwrap_or_default();
            body.records.clear();
            (body.count, body.first_seq) = (0, first_seq);
            self.bodies.push_back((body, 0));
        }
        if let Some((body, last)) = self.bodies.back_mut() {
            body.records.extend_from_slice(records);
            body.count += count;
            body.wall_ms = wall_ms;
            *last = makes_durable;
        }
    }
}

/// Plain counts for the metrics.
#[derive(Default)]
pub struct Stats {
    pub commits: AtomicU64,
    pub records: AtomicU64,
    pub bytes: AtomicU64,
    pub commit_ns: AtomicU64,
    pub commit_ns_max: AtomicU64,
}

/// The driver's side: batches go in, released effects come out, in the same order.
pub struct Journal {
    shared: Arc<Shared>,
    spares: Arc<Spares>,
    reader: Reader,
    waiting: VecDeque<(u64, Effect)>,
    last_batch: u64,
    threads: Vec<std::thread::JoinHandle<()>>,
    /// Says that they have all ended.
    ended: Receiver<()>,
    /// Without a thread, `step` commits: for tests and the simulator.
    stepped: Option<Writer>,
    segment_bytes: u64,
}

/// Size and place of the journal.
#[derive(Clone, Copy, Debug)]
pub struct JournalSize {
    pub segment_bytes: u64,
    /// Bound on what is handed over and not yet durable; beyond it new transactions get 96.
    pub pending_bytes_max: u64,
}

/// A turn hands its entries over and looks at the room again when it has this many bytes of them: a frame's worth.
pub const TURN_BYTES_MAX: usize = FRAME_BODY_MAX;

/// The entries of one reversal at most: its custody in its intent and in what two legs owe, the same again for the
/// two legs of a void in flight that it ends first, and as much as three more for all that is no custody.
const REVERSAL_BYTES_MAX: usize = 8 * CUSTODY_BYTES_MAX;

/// What the reversals of one turn take at most, in a frame that is full and one for what did not go into it.
const TURN_BLOCKS: u64 = blocks_of((TURN_BYTES_MAX + REVERSAL_BYTES_MAX) as u64, 2);

/// Blocks of so many bytes of entries in so many frames: each has its header, and an end that fills no block.
const fn blocks_of(bytes: u64, frames: u64) -> u64 {
    bytes.div_ceil(BLOCK) + frames
}

/// Blocks of the longest frame.
const FRAME_BLOCKS_MAX: u64 = blocks_of(FRAME_BODY_MAX as u64, 1);

/// How often the preparer looks whether a spare is wanted again, and whether the segment in use is still in its place.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long an end waits for a disk that does not answer.
const STOP_WAITS: Duration = Duration::from_secs(10);
/// The longest pause between attempts to make a spare on a disk that takes none.
const PREPARE_AGAIN_MAX: Duration = Duration::from_secs(5);
/// After this idle time a watermark is written, and after the second it is synced.
const WATERMARK_AFTER: Duration = Duration::from_millis(1);
const WATERMARK_SYNC_AFTER: Duration = Duration::from_millis(20);

impl Journal {
    /// Opens the tail behind `scan` and starts the writer and the preparer of spares. `wake` is called after
    /// each commit, from the writer's thread.
    ///
    /// # Errors
    /// `WriteError` when no segment can be made durable.
    pub fn start(
        disk: Arc<dyn Disk>,
        keys: Arc<Keystore>,
        scan: &Scan,
        size: JournalSize,
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Journal, WriteError> {
        let (mut journal, writer) = Journal::assemble(disk.clone(), keys, scan, size, wake)?;
        let (shared, spares) = (journal.shared.clone(), journal.spares.clone());
        let (end, ended) = channel();
        journal.ended = ended;
        let writers_end: Sender<()> = end.clone();
        let spawned = std::thread::Builder::new().name("journal".into()).spawn(move || {
            write_loop(&shared, writer);
            drop(writers_end);
        });
        let preparing = journal.shared.clone();
        let prepare = move || {
            let _end = end;
            let mut again = Instant::now();
            let mut pause = LOOK_EVERY;
            while spares.wait(LOOK_EVERY) {
                // First: in a folder that is gone no spare can be made either, and that is the lesser news.
                if let Err(gone) = spares.check_in_place(&*disk) {
                    return preparing.fail(&gone);
                }
                if Instant::now() < again {
                    continue;
                }
                spares.prepare_one(&*disk, size.segment_bytes);
                if spares.trouble().is_some() {
                    // Each attempt on a full disk fills what is left of it, and empties it again.
                    pause = (pause * 2).min(PREPARE_AGAIN_MAX);
                    again = Instant::now() + pause;
                } else {
                    pause = LOOK_EVERY;
                }
            }
        };
        let preparer = std::thread::Builder::new().name("segments".into()).spawn(prepare);
        for thread in [spawned, preparer] {
            let thread = thread.map_err(|source| WriteError::Io {
                doing: "start a thread for",
                file: "itself".into(),
                source,
            })?;
            journal.threads.push(thread);
        }
        Ok(journal)
    }

    /// The same without threads: nothing is durable until `step`.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_stepped(
        disk: Arc<dyn Disk>,
        keys: Arc<Keystore>,
        scan: &Scan,
        size: JournalSize,
    ) -> Result<Journal, WriteError> {
        let (mut journal, writer) = Journal::assemble(disk, keys, scan, size, Box::new(|| {}))?;
        journal.stepped = Some(writer);
        Ok(journal)
    }

    fn assemble(
        disk: Arc<dyn Disk>,
        keys: Arc<Keystore>,
        scan: &Scan,
        size: JournalSize,
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> Result<(Journal, Writer), WriteError> {
        for blank in &scan.blanks {
            let failed = |source| WriteError::Io { doing: "remove", file: disk.name(*blank), source };
            disk.remove(*blank).map_err(failed)?;
        }
        let used = scan.segments.iter().map(|segment| segment.file);
        let next = used.chain(scan.spares.iter().copied()).max().map_or(0, |last: FileNo| last.0 + 1);
        let fits = |file: &FileNo| disk.len(*file).is_ok_and(|len| len == size.segment_bytes);
        let (fitting, outgrown): (Vec<FileNo>, Vec<FileNo>) = scan.spares.iter().partition(|file| fits(file));
        for spare in outgrown {
            // Of another segment size: it would only take the place of those that are used.
            let failed = |source| WriteError::Io { doing: "remove", file: disk.name(spare), source };
            disk.remove(spare).map_err(failed)?;
        }
        let spares = Arc::new(Spares::new(fitting, next));
        let index = Arc::new(Index::of(scan));
        let writer =
            Writer::start(disk.clone(), keys, spares.clone(), index.clone(), scan, size.segment_bytes)?;
        while spares.count() < SPARES_MIN && spares.prepare_one(&*disk, size.segment_bytes) {}
        let shared = Arc::new(Shared {
            inbox: Mutex::default(),
            filled: Condvar::new(),
            durable_batch: AtomicU64::new(0),
            pending_bytes: AtomicU64::new(0),
            tail_blocks: AtomicU64::new(writer.free_blocks()),
            failure: Mutex::default(),
            gone: AtomicBool::new(false),
            stats: Stats::default(),
            wake,
        });
        let journal = Journal {
            shared,
            spares,
            reader: Reader { disk, index },
            waiting: VecDeque::new(),
            last_batch: 0,
            threads: Vec::new(),
            ended: channel().1,
            stepped: None,
            segment_bytes: size.segment_bytes,
        };
        Ok((journal, writer))
    }

    /// Hands a batch over. Its effects come back from `released` once it and all before it are durable; a
    /// batch without entries writes no frame but waits its turn. Never blocks on the disk.
    pub fn submit(&mut self, mut batch: Batch) {
        self.take(&mut batch);
    }

    /// `submit` of a batch that will be filled again: it comes back empty.
    pub fn take(&mut self, batch: &mut Batch) {
        if batch.count > 0 {
            self.last_batch += 1;
            self.shared.pending_bytes.fetch_add(batch.records.len() as u64, Ordering::Relaxed);
            let mut inbox = self.shared.inbox();
            let (mut rest, mut seq) = (&batch.records[..], batch.first_seq.0);
            while !rest.is_empty() {
                let (count, len) = Records::leading(rest, FRAME_BODY_MAX);
                let (piece, after) = rest.split_at(len);
                // Effects wait for the last piece: until then a body only makes the batch before it durable.
                let makes_durable = self.last_batch - u64::from(!after.is_empty());
                inbox.add(piece, count, seq, batch.wall_ms, makes_durable);
                rest = after;
                seq += u64::from(count);
            }
            drop(inbox);
            self.shared.filled.notify_one();
        }
        let last = self.last_batch;
        self.waiting.extend(batch.effects.drain(..).map(|effect| (last, effect)));
        batch.clear();
    }

    /// Moves every effect whose batch is durable into `out`, in order.
    pub fn released(&mut self, out: &mut Vec<Released<Effect>>) {
        if self.shared.gone.load(Ordering::Acquire) {
            return;
        }
        let durable = self.shared.durable_batch.load(Ordering::Acquire);
        let early = planted(Planted::ReleasedEarly);
        let count = self.waiting.partition_point(|(batch, _)| *batch <= durable || early);
        out.extend(self.waiting.drain(..count).map(|(_, effect)| Released(effect)));
    }

    /// Commits one body, when there is one: the stepped journal's turn of the writer.
    ///
    /// # Errors
    /// `WriteError`, after which nothing is ever released again.
    pub fn step(&mut self) -> Result<bool, WriteError> {
        let Some(writer) = &mut self.stepped else { return Ok(false) };
        let Some((body, last)) = self.shared.inbox().bodies.pop_front() else { return Ok(false) };
        let done = writer.commit(&body);
        self.shared.tail_blocks.store(writer.free_blocks(), Ordering::Relaxed);
        self.shared.committed(&body, last, done.as_ref().err(), Duration::ZERO);
        self.make_spares();
        done.map(|()| true)
    }

    /// The turn of the thread that makes spares.
    fn make_spares(&self) {
        if self.stepped.is_some() {
            while self.spares.prepare_one(&*self.reader.disk, self.segment_bytes) {}
        }
    }

    /// The stepped journal's idle time: vouches for the last frame, as the thread does after a pause.
    ///
    /// # Errors
    /// As `step`.
    pub fn step_idle(&mut self, wall_ms: u64) -> Result<(), WriteError> {
        self.make_spares();
        match &mut self.stepped {
            Some(writer) if writer.wants_watermark() => {
                writer.write_watermark(wall_ms).and_then(|()| writer.sync())
            }
            _ => Ok(()),
        }
    }

    /// What it can take beside what was handed over and what `answers` still to come make. At worst each of them
    /// is a frame of its own, one block long. The last spare segment is not for new transactions.
    pub fn room(&self, size: &JournalSize, answers: usize) -> Room {
        let spares = self.spares.count() as u64;
        let tail = self.shared.tail_blocks.load(Ordering::Relaxed);
        let pending = self.shared.pending_bytes.load(Ordering::Relaxed);
        // Two bodies one after the other hold more than a full one; another is being written.
        let frames = if pending == 0 { 0 } else { pending / FRAME_BODY_MAX as u64 * 2 + 2 };
        let handed_over = blocks_of(pending, frames);
        // A frame that does not fit into the end of a segment leaves that end empty.
        let segment = size.segment_bytes / BLOCK - 1;
        let segment = segment - FRAME_BLOCKS_MAX.min(segment / 16);
        let blocks = |spares: u64| (tail + spares * segment).saturating_sub(handed_over);
        let outcomes = answers as u64;
        if blocks(spares) < outcomes + TURN_BLOCKS || pending > size.pending_bytes_max * 2 {
            Room::Outcomes
        } else if spares < SPARES_MIN as u64
            || blocks(spares - 1) < outcomes
            || pending > size.pending_bytes_max
        {
            Room::Reversals
        } else {
            Room::All
        }
    }

    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Why it failed; after that nothing is released any more.
    pub fn failure(&self) -> Option<String> {
        self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why no spare segment can be made, while that is so.
    pub fn spare_trouble(&self) -> Option<String> {
        self.spares.trouble()
    }

    pub fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    pub fn pending_bytes(&self) -> u64 {
        self.shared.pending_bytes.load(Ordering::Relaxed)
    }

    pub fn spare_count(&self) -> usize {
        self.spares.count()
    }

    /// Whether everything submitted is durable.
    pub fn is_durable(&self) -> bool {
        self.shared.durable_batch.load(Ordering::Acquire) >= self.last_batch
    }

    /// Whether everything submitted is durable and released.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.is_durable()
    }
}

impl Drop for Journal {
    /// Commits what was handed over, then ends the threads.
    fn drop(&mut self) {
        self.shared.inbox().closed = true;
        self.shared.filled.notify_all();
        self.spares.close();
        if self.threads.is_empty() {
            return;
        }
        // Nothing is sent here; the threads drop their ends when they are done.
        let ended = self.ended.recv_timeout(STOP_WAITS);
        if ended == Err(RecvTimeoutError::Timeout) {
            tracing::error!(
                waited_s = STOP_WAITS.as_secs(),
                "the disk did not finish a write or sync: stopped without it. What was not durable was never answered; \
                 see the disk before the next start"
            );
            return;
        }
        for thread in self.threads.drain(..) {
            // A writer that panicked has already been reported by its panic message.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn committed(&self, body: &Body, last: u64, failed: Option<&WriteError>, took: Duration) {
        match failed {
            None => {
                let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
                self.stats.commits.fetch_add(1, Ordering::Relaxed);
                self.stats.records.fetch_add(u64::from(body.count), Ordering::Relaxed);
                self.stats.bytes.fetch_add(body.records.len() as u64, Ordering::Relaxed);
                self.stats.commit_ns.fetch_add(nanos, Ordering::Relaxed);
                self.stats.commit_ns_max.fetch_max(nanos, Ordering::Relaxed);
                self.pending_bytes.fetch_sub(body.records.len() as u64, Ordering::Relaxed);
                self.durable_batch.store(last, Ordering::Release);
            }
            Some(error) => return self.fail(error),
        }
        (self.wake)();
    }

    /// Stops the journal for good; the first reason stands.
    fn fail(&self, error: &WriteError) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.to_string());
        self.gone.fetch_or(matches!(error, WriteError::Gone { .. }), Ordering::Release);
        (self.wake)();
    }
}

/// The writer's thread: everything that queued during a sync is the next frame; no timer.
fn write_loop(shared: &Shared, mut writer: Writer) {
    while let Some((mut body, last)) = next_body(shared, &mut writer) {
        let began = Instant::now();
        let done = writer.commit(&body);
        shared.tail_blocks.store(writer.free_blocks(), Ordering::Relaxed);
        shared.committed(&body, last, done.as_ref().err(), began.elapsed());
        if done.is_err() {
            return;
        }
        wipe(&mut body.records);
        shared.inbox().spent.push(body);
    }
    if shared.failure.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
        writer.close();
    }
}

/// Waits for work; a pause writes the watermark, a longer one syncs it. None when the journal closed.
fn next_body(shared: &Shared, writer: &mut Writer) -> Option<(Body, u64)> {
    let mut unsynced = false;
    loop {
        let limit = match (writer.wants_watermark(), unsynced) {
            (true, _) => WATERMARK_AFTER,
            (false, true) => WATERMARK_SYNC_AFTER,
            (false, false) => Duration::from_secs(3600),
        };
        let mut inbox = shared.inbox();
        if inbox.bodies.is_empty() && !inbox.closed {
            inbox =
                shared.filled.wait_timeout(inbox, limit).map_or_else(|e| e.into_inner().0, |waited| waited.0);
        }
        if let Some(next) = inbox.bodies.pop_front() {
            return Some(next);
        }
        if inbox.closed {
            return None;
        }
        drop(inbox);
        let idle = if writer.wants_watermark() {
            unsynced = true;
            let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            writer.write_watermark(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX))
        } else if unsynced {
            unsynced = false;
            writer.sync()
        } else {
            Ok(())
        };
        if let Err(error) = idle {
            shared.committed(&Body::default(), 0, Some(&error), Duration::ZERO);
            return None;
        }
    }
}
