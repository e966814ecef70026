//! A disk in memory that behaves as badly as a real one may: what was not synced is lost at a crash, in
//! any part; syncs fail; space runs out; bits flip. Tests and the simulator run the real journal on it.

use super::disk::{Disk, FileNo};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Clones share the same storage.
#[derive(Clone, Default)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<FileNo, Held>,
    faults: Faults,
    writes: u64,
    syncs: u64,
    /// It died as `Faults::dies_at` says.
    dead: bool,
}

impl State {
    /// Whether the next write or sync is the last.
    fn dies(&self) -> bool {
        self.dead || self.faults.dies_at.is_some_and(|at| self.writes + self.syncs + 1 >= at)
    }
}

#[derive(Clone, Default)]
struct Held {
    durable: Vec<u8>,
    /// Written before a sync that failed: read as if it were there, and never written to the disk by another sync.
    forgotten: Vec<(u64, Vec<u8>)>,
    /// Written and not synced, in order.
    pending: Vec<(u64, Vec<u8>)>,
}

/// What goes wrong, and when.
#[derive(Clone, Copy, Default, Debug)]
pub struct Faults {
    /// Fails the write with this number (1 is the next).
    pub fail_write: Option<u64>,
    /// Fails the sync with this number.
    pub fail_sync: Option<u64>,
    /// The machine dies before the next sync: it fails, and what was written is still on its way to the disk.
    pub dies_in_sync: bool,
    /// The machine dies at the write or sync with this number (1 is the next): what it wrote is on its way, and nothing
    /// works any more.
    pub dies_at: Option<u64>,
    /// Syncs return without doing anything: what deleting a sync would be.
    pub lying_sync: bool,
    /// No file can be created.
    pub full: bool,
}

/// Sectors are written whole or not at all; a write of several may be torn between any two.
const SECTOR: usize = 512;

impl FaultyDisk {
    pub fn set_faults(&self, faults: Faults) {
        let mut state = self.lock();
        state.faults = faults;
        (state.writes, state.syncs, state.dead) = (0, 0, false);
    }

    /// Loses everything that was not synced.
    pub fn crash(&self) {
        self.crash_keeping(|_| false);
    }

    /// Loses what was not synced, except the sectors of pending writes that `keep` says reached the disk; it is asked
    /// once a sector that would change anything, in order of writing.
    pub fn crash_keeping(&self, mut keep: impl FnMut(usize) -> bool) {
        let mut state = self.lock();
        let mut asked = 0;
        for held in state.files.values_mut() {
            held.forgotten.clear();
            for (offset, bytes) in std::mem::take(&mut held.pending) {
                for (at, sector) in sectors(offset, &bytes) {
                    if changes(&held.durable, at, sector) {
                        if keep(asked) {
                            put(&mut held.durable, at, sector);
                        }
                        asked += 1;
                    }
                }
            }
        }
        state.faults = Faults::default();
    }

    /// Whether it died as `Faults::dies_at` says.
    pub fn is_dead(&self) -> bool {
        self.lock().dead
    }

    /// An independent copy: a disk image taken now.
    pub fn image(&self) -> FaultyDisk {
        let state = self.lock();
        let copy = State { files: state.files.clone(), ..State::default() };
        FaultyDisk { state: Arc::new(Mutex::new(copy)) }
    }

    /// How many sectors are written and not synced, and differ from what is on the disk.
    pub fn pending_sectors(&self) -> usize {
        let of = |held: &Held| {
            let pending = held.pending.iter().flat_map(|(offset, bytes)| sectors(*offset, bytes));
            pending.filter(|(at, sector)| changes(&held.durable, *at, sector)).count()
        };
        self.lock().files.values().map(of).sum()
    }

    /// Each file with how many of its bytes lie before the zeros at its end.
    pub fn written(&self) -> Vec<(FileNo, u64)> {
        let used =
            |held: &Held| seen(held).iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
        let state = self.lock();
        state.files.iter().map(|(file, held)| (*file, used(held))).filter(|(_, bytes)| *bytes > 0).collect()
    }

    pub fn flip_bit(&self, file: FileNo, bit: u64) {
        let mut state = self.lock();
        if let Some(byte) =
            state.files.get_mut(&file).and_then(|held| held.durable.get_mut((bit / 8) as usize))
        {
            *byte ^= 1 << (bit % 8);
        }
    }

    /// Zeros everything from `offset` on, as if the file had been cut there and grown back.
    pub fn zero_from(&self, file: FileNo, offset: u64) {
        let mut state = self.lock();
        if let Some(tail) =
            state.files.get_mut(&file).and_then(|held| held.durable.get_mut(offset as usize..))
        {
            tail.fill(0);
        }
    }

    pub fn truncate(&self, file: FileNo, len: u64) {
        if let Some(held) = self.lock().files.get_mut(&file) {
            held.durable.truncate(len as usize);
        }
    }

    /// All bytes of all files, pending writes included: what a thief or a grep would see.
    pub fn all_bytes(&self) -> Vec<u8> {
        let state = self.lock();
        state.files.values().flat_map(seen).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sectors of a write, each with its place.
fn sectors(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    bytes.chunks(SECTOR).enumerate().map(move |(at, sector)| (offset as usize + at * SECTOR, sector))
}

fn changes(durable: &[u8], at: usize, sector: &[u8]) -> bool {
    durable.get(at..at + sector.len()) != Some(sector)
}

/// A file as a reader sees it.
fn seen(held: &Held) -> Vec<u8> {
    let mut bytes = held.durable.clone();
    for (offset, part) in held.forgotten.iter().chain(&held.pending) {
        put(&mut bytes, *offset as usize, part);
    }
    bytes
}

fn put(bytes: &mut Vec<u8>, at: usize, part: &[u8]) {
    if bytes.len() < at + part.len() {
        bytes.resize(at + part.len(), 0);
    }
    bytes[at..at + part.len()].copy_from_slice(part);
}

fn dead() -> io::Error {
    io::Error::other("the machine is dead")
}

fn missing() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl Disk for FaultyDisk {
    fn list(&self) -> io::Result<Vec<FileNo>> {
        Ok(self.lock().files.keys().copied().filter(|file| *file != FileNo::ANCHOR).collect())
    }

    fn len(&self, file: FileNo) -> io::Result<u64> {
        let state = self.lock();
        let held = state.files.get(&file).ok_or_else(missing)?;
        let pending = held.pending.iter().map(|(offset, bytes)| offset + bytes.len() as u64).max();
        Ok(pending.unwrap_or(0).max(held.durable.len() as u64))
    }

    fn create(&self, file: FileNo, len: u64) -> io::Result<()> {
        let mut state = self.lock();
        if state.dead {
            return Err(dead());
        }
        if state.faults.full {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        if state.files.contains_key(&file) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        state.files.insert(file, Held { durable: vec![0; len as usize], ..Held::default() });
        Ok(())
    }

    fn read(&self, file: FileNo, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let state = self.lock();
        let held = state.files.get(&file).ok_or_else(missing)?;
        let synced = held.pending.is_empty() && held.forgotten.is_empty();
        let bytes = if synced { None } else { Some(seen(held)) };
        let bytes = bytes.as_deref().unwrap_or(&held.durable);
        let Some(rest) = bytes.get(offset as usize..) else { return Ok(0) };
        let got = rest.len().min(buf.len());
        buf[..got].copy_from_slice(&rest[..got]);
        Ok(got)
    }

    fn write(&self, file: FileNo, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        if state.dies() {
            // The write that it dies in may have got any part of the way.
            let first = !std::mem::replace(&mut state.dead, true);
            if let Some(held) = state.files.get_mut(&file).filter(|_| first) {
                held.pending.push((offset, bytes.to_vec()));
            }
            return Err(dead());
        }
        state.writes += 1;
        if state.faults.fail_write == Some(state.writes) {
            return Err(io::Error::other("injected write failure"));
        }
        let held = state.files.get_mut(&file).ok_or_else(missing)?;
        held.pending.push((offset, bytes.to_vec()));
        Ok(())
    }

    fn sync(&self, file: FileNo) -> io::Result<()> {
        let mut state = self.lock();
        if state.dies() {
            state.dead = true;
            return Err(dead());
        }
        state.syncs += 1;
        if state.faults.fail_sync == Some(state.syncs) {
            if let Some(held) = state.files.get_mut(&file) {
                let lost = std::mem::take(&mut held.pending);
                held.forgotten.extend(lost);
            }
            return Err(io::Error::other("injected sync failure"));
        }
        if state.faults.dies_in_sync {
            return Err(io::Error::other("the machine dies"));
        }
        if state.faults.lying_sync {
            return Ok(());
        }
        let held = state.files.get_mut(&file).ok_or_else(missing)?;
        for (offset, bytes) in std::mem::take(&mut held.pending) {
            put(&mut held.durable, offset as usize, &bytes);
        }
        Ok(())
    }

    fn remove(&self, file: FileNo) -> io::Result<()> {
        self.lock().files.remove(&file).map(|_| ()).ok_or_else(missing)
    }

    fn is_in_place(&self, file: FileNo) -> bool {
        self.lock().files.contains_key(&file)
    }

    fn name(&self, file: FileNo) -> String {
        match file {
            FileNo::ANCHOR => "memory:anchor".to_owned(),
            FileNo(number) => format!("memory:segment-{number:08}"),
        }
    }
}
