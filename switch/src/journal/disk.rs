//! The only door to storage: a few operations on numbered files. `FileDisk` is the real one;
//! `faulty::FaultyDisk` keeps everything in memory and can crash, tear, fail and fill up, so that a missing
//! sync fails a test.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

/// A segment's file, or the anchor's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FileNo(pub u32);

impl FileNo {
    /// The anchor's file, which `list` leaves out. No segment gets so high.
    pub const ANCHOR: FileNo = FileNo(u32::MAX);
}

/// Storage as the journal needs it. All operations block. After `sync` returns, what was written to that
/// file before survives a crash; before that, any part of it may be lost or torn.
pub trait Disk: Send + Sync + 'static {
    /// The segments' files.
    fn list(&self) -> io::Result<Vec<FileNo>>;
    fn len(&self, file: FileNo) -> io::Result<u64>;
    /// A new file of `len` zeros; it and its name are durable when this returns.
    fn create(&self, file: FileNo, len: u64) -> io::Result<()>;
    /// Fills `buf` from `offset`; short only at the end of the file.
    fn read(&self, file: FileNo, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
    fn write(&self, file: FileNo, offset: u64, bytes: &[u8]) -> io::Result<()>;
    fn sync(&self, file: FileNo) -> io::Result<()>;
    fn remove(&self, file: FileNo) -> io::Result<()>;
    /// Whether the next start would find the file that is written to: it still stands under its name.
    fn is_in_place(&self, file: FileNo) -> bool;
    /// How an operator finds the file.
    fn name(&self, file: FileNo) -> String;
}

/// Segment files held open at a time: the one that is written to, the spares, and those that copies are read from.
const OPEN_MAX: usize = 64;

/// A folder of segment files on a real file system.
pub struct FileDisk {
    folder: PathBuf,
    open: RwLock<BTreeMap<FileNo, Arc<File>>>,
    writable: bool,
}

impl FileDisk {
    /// Creates the folder when it is missing, for this user alone, as all files in it.
    ///
    /// # Errors
    /// When the folder cannot be made, or its entry in the folder above not be made durable.
    pub fn create_in(folder: &Path) -> io::Result<FileDisk> {
        make_folder(folder, 0o700)?;
        Ok(FileDisk { folder: folder.to_owned(), open: RwLock::default(), writable: true })
    }

    /// For tools that only look: files are opened for reading.
    pub fn read_only(folder: &Path) -> FileDisk {
        FileDisk { folder: folder.to_owned(), open: RwLock::default(), writable: false }
    }

    fn path(&self, file: FileNo) -> PathBuf {
        self.folder.join(file_name(file))
    }

    fn handle(&self, file: FileNo) -> io::Result<Arc<File>> {
        let held = self.open.read().map_err(|_| poisoned())?.get(&file).cloned();
        if let Some(handle) = held {
            return Ok(handle);
        }
        // A pipe under a segment's name must not keep us waiting for whoever writes into it.
        let at_once = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
        let opened =
            OpenOptions::new().read(true).write(self.writable).custom_flags(at_once).open(self.path(file))?;
        if !opened.metadata()?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let handle = Arc::new(opened);
        self.keep(file, handle.clone())?;
        Ok(handle)
    }

    /// For writes past the page cache: what is full of zeros is not read soon, and dirty pages by the segment would keep
    /// commits waiting behind them. None where the file system has no such writes.
    fn open_direct(&self, file: FileNo) -> Option<File> {
        let direct = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).ok()?;
        OpenOptions::new().write(true).custom_flags(direct).open(self.path(file)).ok()
    }

    /// Holds a file open. The oldest is closed when there are many: what is written to has the highest numbers.
    fn keep(&self, file: FileNo, handle: Arc<File>) -> io::Result<()> {
        let mut open = self.open.write().map_err(|_| poisoned())?;
        if open.len() >= OPEN_MAX {
            open.pop_first();
        }
        open.insert(file, handle);
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

/// Makes a folder, and those above it, with this mode; one that is there stays as it is. Its entry in the folder above
/// is durable when this returns: a synced file in a folder whose own name is lost would be lost with it.
///
/// # Errors
/// When it cannot be made or synced.
pub fn make_folder(folder: &Path, mode: u32) -> io::Result<()> {
    let entries = entries_to_sync(folder);
    std::fs::DirBuilder::new().recursive(true).mode(mode).create(folder)?;
    for (above, is_new) in entries {
        match File::open(&above).and_then(|above| above.sync_all()) {
            // The owner of a folder that was there has made it, and may keep us from reading beside it.
            Err(e) if !is_new && e.kind() == io::ErrorKind::PermissionDenied => {}
            done => done?,
        }
    }
    Ok(())
}

/// The folders whose entries name `folder` and each missing one above it, and whether that entry is to be made.
fn entries_to_sync(folder: &Path) -> Vec<(PathBuf, bool)> {
    let mut entries = Vec::new();
    for own in folder.ancestors() {
        let Some(above) = own.parent() else { break };
        let is_new = !own.exists();
        // One made by a start that died before its sync is there, too: the last step is always synced.
        if !is_new && !entries.is_empty() {
            break;
        }
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        entries.push((above.to_owned(), is_new));
    }
    entries
}

/// `segment-00000007.yj`, or `anchor.yj`.
fn file_name(file: FileNo) -> String {
    if file == FileNo::ANCHOR {
        return "anchor.yj".to_owned();
    }
    format!("segment-{:08}.yj", file.0)
}

fn parse_name(name: &str) -> Option<FileNo> {
    let digits = name.strip_prefix("segment-")?.strip_suffix(".yj")?;
    (digits.len() == 8).then(|| digits.parse().ok().map(FileNo))?
}

/// Zeros written at once.
const ZEROS_BYTES: usize = 1 << 20;
/// What direct writes are aligned to, in memory and in the file: the largest block of usual disks.
const DIRECT_ALIGN: usize = 4096;

fn poisoned() -> io::Error {
    io::Error::other("a thread panicked while it held the file table")
}

impl Disk for FileDisk {
    fn list(&self) -> io::Result<Vec<FileNo>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            if let Some(file) = entry?.file_name().to_str().and_then(parse_name) {
                found.push(file);
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn len(&self, file: FileNo) -> io::Result<u64> {
        Ok(self.handle(file)?.metadata()?.len())
    }

    fn create(&self, file: FileNo, len: u64) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let handle = options.read(true).write(true).create_new(true).mode(0o600).open(self.path(file))?;
        // Zeros are written, not promised: a commit into blocks that exist is several times cheaper than
        // one that makes the file grow, and a full disk is met here.
        let zeros = vec![0; ZEROS_BYTES + DIRECT_ALIGN];
        let zeros = &zeros[zeros.as_ptr().align_offset(DIRECT_ALIGN)..][..ZEROS_BYTES];
        let direct = self.open_direct(file);
        let mut at = 0;
        while at < len {
            let part = (len - at).min(ZEROS_BYTES as u64) as usize;
            let past_cache = direct.as_ref().filter(|_| part.is_multiple_of(DIRECT_ALIGN));
            // A file system may refuse direct writes at the open or at the write. The slower way is as good, and whatever
            // else was wrong it will meet as well.
            if past_cache.is_none_or(|direct| direct.write_all_at(&zeros[..part], at).is_err()) {
                handle.write_all_at(&zeros[..part], at)?;
            }
            at += part as u64;
        }
        handle.sync_all()?;
        self.sync_folder()?;
        self.keep(file, Arc::new(handle))
    }

    fn read(&self, file: FileNo, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let handle = self.handle(file)?;
        let mut done = 0;
        while done < buf.len() {
            match handle.read_at(&mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(part) => done += part,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn write(&self, file: FileNo, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.handle(file)?.write_all_at(bytes, offset)
    }

    fn sync(&self, file: FileNo) -> io::Result<()> {
        self.handle(file)?.sync_data()
    }

    fn remove(&self, file: FileNo) -> io::Result<()> {
        self.open.write().map_err(|_| poisoned())?.remove(&file);
        std::fs::remove_file(self.path(file))?;
        self.sync_folder()
    }

    /// A file that was deleted, moved away or replaced takes writes and syncs like any other.
    fn is_in_place(&self, file: FileNo) -> bool {
        let held = self.handle(file).and_then(|handle| handle.metadata());
        let named = std::fs::metadata(self.path(file));
        held.and_then(|held| named.map(|named| (held.dev(), held.ino()) == (named.dev(), named.ino())))
            .unwrap_or(false)
    }

    fn name(&self, file: FileNo) -> String {
        self.path(file).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_of_each_folder_that_is_made_is_synced_and_of_one_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let (top, a) = (folder.path(), folder.path().join("a"));
        let wanted = [(a.clone(), true), (top.to_owned(), true)];
        assert_eq!(entries_to_sync(&a.join("journal")), wanted);
        make_folder(&a.join("journal"), 0o700).unwrap();
        assert_eq!(entries_to_sync(&a.join("journal")), [(a, false)]);
        assert_eq!(entries_to_sync(Path::new("missing-here")), [(PathBuf::from("."), true)]);
    }

    #[test]
    fn a_new_file_is_full_of_zeros_past_the_cache_and_through_it() {
        let folder = tempfile::tempdir().unwrap();
        let disk = FileDisk::create_in(folder.path()).unwrap();
        // Whole parts, blocks, and a rest that no direct write can have.
        let len = (ZEROS_BYTES + DIRECT_ALIGN + 8) as u64;
        disk.create(FileNo(0), len).unwrap();
        disk.write(FileNo(0), DIRECT_ALIGN as u64, &[7; DIRECT_ALIGN]).unwrap();
        disk.sync(FileNo(0)).unwrap();
        let bytes = std::fs::read(disk.path(FileNo(0))).unwrap();
        assert_eq!(bytes.len() as u64, len);
        let written = DIRECT_ALIGN..2 * DIRECT_ALIGN;
        assert!(
            bytes.iter().enumerate().all(|(at, byte)| *byte == if written.contains(&at) { 7 } else { 0 })
        );
    }

    #[test]
    fn a_pipe_under_a_segments_name_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let disk = FileDisk::create_in(folder.path()).unwrap();
        let made = std::process::Command::new("mkfifo").arg(disk.path(FileNo(0))).status().unwrap();
        assert!(made.success());
        assert!(disk.len(FileNo(0)).unwrap_err().to_string().contains("no file"));
        assert!(FileDisk::read_only(folder.path()).len(FileNo(0)).is_err());
    }

    #[test]
    fn many_segments_hold_few_files_open_and_all_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let disk = FileDisk::create_in(folder.path()).unwrap();
        let files: Vec<FileNo> = (0..OPEN_MAX as u32 + 20).map(FileNo).collect();
        for file in &files {
            disk.create(*file, 8).unwrap();
            disk.write(*file, 0, &file.0.to_le_bytes()).unwrap();
            disk.sync(*file).unwrap();
        }
        for file in files.iter().rev() {
            let mut bytes = [0; 4];
            assert_eq!(disk.read(*file, 0, &mut bytes).unwrap(), 4);
            assert_eq!(u32::from_le_bytes(bytes), file.0);
        }
        assert_eq!(disk.open.read().unwrap().len(), OPEN_MAX);
    }
}
