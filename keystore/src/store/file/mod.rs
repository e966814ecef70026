//! The key file: what is on disk, in what order it is written, and how damage is found.
//!
//! ```text
//! line 1   {"yika_keys":2,"lmk":"5C9405","environment":"test      ","records":    3,"bytes":     1904,
//!           "audit":    4,"audit_hash":"<64 hex>","seal":"<32 hex>"}
//! line 2.. {"record":{"key":{"name":"zmk.bank-a","check_value":"A1B2C3","block":"D0208K0A..",..}},"seal":"<32 hex>"}
//!          {"record":{"state":{"name":"zmk.bank-a","state":"retiring"}},"seal":"<32 hex>"}
//! ```
//! Each seal is the left half of an HMAC-SHA256, under a key derived from the master key, of the seal
//! before it and the line's own record; the header's seal covers its values and the last line's seal. So
//! no line can be changed, dropped, moved or copied in from another file. The header has a fixed width
//! and is rewritten in place, which one sector write does. It also counts the audit log (`crate::audit`).
//!
//! A deed: 1. its record is written behind the last one and synced; 2. its line of the audit log likewise; 3. the header
//! counts both and is synced. A crash before 3 leaves one line, whole or torn, that the header does not
//! count: its key was never announced, so opening ignores it and the next one overwrites it. Anything else is damage,
//! and nothing is loaded. An older copy of both files cannot be told from the files themselves.
//!
//! Destroying a key and changing the master key write the whole file anew beside the old one, and rename it.

mod lines;
#[cfg(test)]
mod tests;
mod v1;

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::record::{Held, Record};
use super::rewrap;
use crate::audit::{AuditHead, AuditLog, AuditRecord, BROKEN_OFF};
use crate::error::KeyError;
use crate::lmk::Lmk;
use crate::secret::hex;
use lines::{HeaderLine, Seals};

/// 500,000 keys of 500 bytes fit; a larger file is not a key file.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// No header of any version is longer.
const HEADER_BYTES_MAX: usize = 512;

const RESTORE: &str = "restore the file from its copy; nothing was loaded";

/// An open key file and the place where the next line goes.
pub(super) struct KeyFile {
    path: PathBuf,
    file: File,
    seals: Seals,
    /// The header as this process last saw or wrote it.
    header: String,
    records: usize,
    bytes: u64,
    last_seal: String,
    /// None for a file of version 1 until it is first changed.
    audit: Option<AuditLog>,
    /// Set by a failed write: what the disk holds is then unknown.
    failed: bool,
}

impl KeyFile {
    /// A new file with a new audit log, which begins with `deed`.
    pub(super) fn create(path: &Path, lmk: &Lmk, deed: AuditRecord) -> Result<KeyFile, KeyError> {
        let file = create_new(path, path)?;
        let audit = AuditLog::create(path, lmk).inspect_err(|_| {
            // Made a moment ago and empty.
            let _ = std::fs::remove_file(path);
        })?;
        let mut key_file = KeyFile::over(path, file, lmk)?;
        key_file.audit = Some(audit);
        key_file
            .write_anew(&Held::default(), deed)
            .map_err(|source| io_error("write the key file", path, source))?;
        sync_directory(path).map_err(|source| io_error("make durable the directory of", path, source))?;
        Ok(key_file)
    }

    /// Reads and proves the whole file. The master key comes back as that of the file's environment.
    pub(super) fn open(path: &Path, lmk: Lmk) -> Result<(KeyFile, Held, Lmk), KeyError> {
        let io = |what| move |source| io_error(what, path, source);
        // A link is followed once, here: what is written anew takes the place of the file itself.
        let path = &std::fs::canonicalize(path).map_err(io("open the key file"))?;
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(io("open the key file"))?;
        // File and log are read as one.
        file.lock_shared().map_err(io("lock the key file"))?;
        let mut key_file = KeyFile::over(path, file, &lmk)?;
        let length = key_file.file.metadata().map_err(io("measure the key file"))?.len();
        if length > FILE_BYTES_MAX {
            return Err(key_file.damaged(1, "larger than any key file".to_owned(), RESTORE));
        }
        let mut content = Vec::new();
        let mut limited = (&key_file.file).take(FILE_BYTES_MAX);
        limited.read_to_end(&mut content).map_err(io("read the key file"))?;
        let (held, lmk) = match v1::is(&content) {
            true => (v1::read(&mut key_file, &content, &lmk)?, lmk),
            false => key_file.read(&content, lmk)?,
        };
        let _ = key_file.file.unlock();
        Ok((key_file, held, lmk))
    }

    /// Records what was done; durable when this returns. `record` is what it changes in the store, if anything;
    /// `held` is the store as it is before.
    pub(super) fn commit(
        &mut self,
        record: Option<&Record>,
        deed: AuditRecord,
        held: &Held,
        lmk: &Lmk,
    ) -> Result<(), KeyError> {
        self.guarded(|this| {
            if this.audit.is_none() {
                this.take_over(held, lmk)?;
            }
            this.write_deed(record, deed).map_err(|source| io_error("write the key file", &this.path, source))
        })
    }

    /// Puts a file that holds `held` under `lmk` in place of this one; the audit log goes on.
    pub(super) fn replace(&mut self, held: &Held, deed: AuditRecord, lmk: &Lmk) -> Result<(), KeyError> {
        self.guarded(|this| {
            if this.audit.is_none() {
                this.take_over(held, lmk)?;
            }
            this.write_beside(held, deed, lmk)
        })
    }

    /// After this nothing is written any more: what the store holds and what the file holds may differ.
    pub(super) fn give_up(&mut self) {
        self.failed = true;
    }

    pub(super) fn audit_public_key(&self) -> Option<[u8; 32]> {
        self.audit.as_ref().map(AuditLog::public_key)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the sealed header says of the audit log; None for a file that has none.
    pub(super) fn audit_head(&self) -> Option<AuditHead> {
        self.audit.as_ref().map(AuditLog::head)
    }

    /// Under a lock on the file, and only on the file as this process knows it.
    fn guarded(&mut self, write: impl FnOnce(&mut KeyFile) -> Result<(), KeyError>) -> Result<(), KeyError> {
        let path = self.path.clone();
        let stale = |reason| Err(KeyError::Stale { path: path.clone(), reason });
        if self.failed {
            return stale("an earlier write failed");
        }
        self.file.lock().map_err(|source| io_error("lock the key file", &path, source))?;
        let locked = self.file.try_clone().map_err(|source| io_error("lock the key file", &path, source))?;
        let written = match self.is_unchanged() {
            Ok(true) => self.mend().and_then(|()| write(self)),
            Ok(false) => stale("another process changed it"),
            Err(source) => Err(io_error("read the key file", &path, source)),
        };
        // Whether the deed is durable is decided above; a lock that stays ends with the process. Of a file that was
        // written anew both are held: the old one, for whom others wait, and the new one.
        let _ = locked.unlock();
        let _ = self.file.unlock();
        // A stale file is untouched; after an I/O error nobody knows what is on disk.
        self.failed |= matches!(written, Err(KeyError::Io { .. }));
        written
    }

    /// A deed that was broken off left its line in the log, and nothing in the file. Another line says so, and the header
    /// then counts both, so that there are never more.
    fn mend(&mut self) -> Result<(), KeyError> {
        let left = self.audit.as_mut().map(AuditLog::take_uncounted).unwrap_or_default();
        let written = match left.lines {
            0 => return Ok(()),
            1 => {
                let what = "the deed before was broken off: the key file is as it was before it";
                let deed = AuditRecord { at_ms: left.at_ms, ..by_yika(BROKEN_OFF, what.to_owned()) };
                self.write_deed(None, deed)
            }
            _ => self.count_log(),
        };
        written.map_err(|source| io_error("write the key file", &self.path, source))
    }

    /// The header of the same records, with the log as it is.
    fn count_log(&mut self) -> io::Result<()> {
        let head = self.audit.as_ref().map_or(AuditHead::EMPTY, AuditLog::head);
        let header = self.seals.header(self.records, self.bytes, head, &self.last_seal);
        self.write_at(0, header.as_bytes())?;
        self.header = header;
        Ok(())
    }

    fn is_unchanged(&mut self) -> io::Result<bool> {
        let (here, there) = (self.file.metadata()?, std::fs::metadata(&self.path)?);
        if (here.dev(), here.ino()) != (there.dev(), there.ino()) {
            return Ok(false);
        }
        let mut on_disk = Vec::with_capacity(self.header.len());
        self.file.seek(SeekFrom::Start(0))?;
        (&self.file).take(self.header.len() as u64).read_to_end(&mut on_disk)?;
        Ok(on_disk == self.header.as_bytes())
    }

    fn write_deed(&mut self, record: Option<&Record>, deed: AuditRecord) -> io::Result<()> {
        // 1. The record, in place of whatever an earlier crash left behind the counted lines.
        let mut next = (self.records, self.bytes, None);
        if let Some(record) = record {
            let (line, seal) = self.seals.line(&self.last_seal, record)?;
            self.file.set_len(self.bytes)?;
            self.write_at(self.bytes, line.as_bytes())?;
            next = (self.records + 1, self.bytes + line.len() as u64, Some(seal));
        }
        // 2. The audit log.
        let audit = self.audit.as_mut().expect("a file of version 1 was taken over before");
        audit.append(deed)?;
        let head = audit.head();
        // 3. The header that counts both.
        let (records, bytes, seal) = next;
        let last_seal = seal.unwrap_or_else(|| self.last_seal.clone());
        let header = self.seals.header(records, bytes, head, &last_seal);
        self.write_at(0, header.as_bytes())?;
        (self.records, self.bytes, self.last_seal, self.header) = (records, bytes, last_seal, header);
        Ok(())
    }

    /// Writes a whole file into `self.file`, which is empty.
    fn write_anew(&mut self, held: &Held, deed: AuditRecord) -> io::Result<()> {
        let audit = self.audit.as_mut().expect("set before");
        // The header's width does not depend on its values.
        let header_bytes = self.seals.header(0, 0, AuditHead::EMPTY, "").len();
        let mut content = " ".repeat(header_bytes);
        let (mut records, mut seal) = (0, String::new());
        for record in held.records() {
            let (line, next) = self.seals.line(&seal, &record)?;
            content.push_str(&line);
            (records, seal) = (records + 1, next);
        }
        audit.append(deed)?;
        let header = self.seals.header(records, content.len() as u64, audit.head(), &seal);
        content.replace_range(..header_bytes, &header);
        self.write_at(0, content.as_bytes())?;
        (self.records, self.bytes, self.last_seal, self.header) =
            (records, content.len() as u64, seal, header);
        Ok(())
    }

    /// The new file is whole and durable before it takes the old one's name; a crash in between leaves the old file,
    /// with at most one line of the audit log that it does not count.
    fn write_beside(&mut self, held: &Held, deed: AuditRecord, lmk: &Lmk) -> Result<(), KeyError> {
        let path = self.path.clone();
        let beside = beside(&path);
        // What an earlier try left.
        let _ = std::fs::remove_file(&beside);
        let mut anew = KeyFile::over(&path, create_new(&beside, &path)?, lmk)?;
        // It stays whose it was, and as open or closed to others.
        let before = self.file.metadata().map_err(io_on(&path, "look at the key file"))?;
        std::os::unix::fs::fchown(&anew.file, Some(before.uid()), Some(before.gid()))
            .and_then(|()| anew.file.set_permissions(before.permissions()))
            .map_err(io_on(&path, "give its owner and mode to the key file"))?;
        anew.file.lock().map_err(io_on(&path, "lock the key file"))?;
        anew.audit = self.audit.take();
        anew.write_anew(held, deed).map_err(io_on(&path, "write the key file"))?;
        std::fs::rename(&beside, &path).map_err(io_on(&path, "put in place the key file"))?;
        sync_directory(&path).map_err(io_on(&path, "make durable the directory of"))?;
        // Whoever waits for the old file's lock finds that the path names another one.
        *self = anew;
        Ok(())
    }

    /// Writes a file of version 1 anew, with an audit log that begins here.
    fn take_over(&mut self, held: &Held, lmk: &Lmk) -> Result<(), KeyError> {
        // One that is there already is of a taking over that was broken off, or this is an old copy of the file.
        let log = crate::audit::audit_path(&self.path);
        if let Ok(text) = std::fs::read(&log) {
            let lines = text.iter().filter(|&&byte| byte == b'\n').count();
            let begun = lines == 0 || String::from_utf8_lossy(&text).contains("\"action\":\"take-over\"");
            if lines > 1 || !begun {
                let reason = "a key file of version 1 beside an audit log that goes on: an older copy was put in its place";
                return Err(self.damaged(
                    1,
                    reason.to_owned(),
                    "put the key file back that belongs to the log",
                ));
            }
            std::fs::remove_file(&log)
                .map_err(|source| io_error("begin anew the audit log of", &self.path, source))?;
        }
        self.audit = Some(AuditLog::create(&self.path, lmk)?);
        let detail = format!("{} keys of a key file of version 1, which had no audit log", held.keys.len());
        self.write_beside(held, by_yika("take-over", detail), lmk)
    }

    /// A file of version 1 is taken over under its own master key, before another comes.
    pub(super) fn take_over_if_old(&mut self, held: &Held, lmk: &Lmk) -> Result<(), KeyError> {
        self.guarded(|this| if this.audit.is_none() { this.take_over(held, lmk) } else { Ok(()) })
    }

    fn over(path: &Path, file: File, lmk: &Lmk) -> Result<KeyFile, KeyError> {
        Ok(KeyFile {
            path: path.to_owned(),
            file,
            seals: Seals::new(lmk)?,
            header: String::new(),
            records: 0,
            bytes: 0,
            last_seal: String::new(),
            audit: None,
            failed: false,
        })
    }

    /// Proves header, lines, tail and audit log; fills in where the next line goes.
    fn read(&mut self, content: &[u8], lmk: Lmk) -> Result<(Held, Lmk), KeyError> {
        let header = self.read_header(content, &lmk)?;
        let lmk = match header.environment() {
            Some(environment) => lmk.in_environment(environment),
            None => return Err(self.damaged(1, "neither for test nor for production".to_owned(), RESTORE)),
        };
        self.seals = Seals::new(&lmk)?;
        let counted = usize::try_from(header.bytes).ok().and_then(|end| content.split_at_checked(end));
        let (body, tail) = match counted {
            Some((counted, tail)) => (&counted[self.header.len()..], tail),
            None => (&content[self.header.len()..], &[][..]),
        };
        let (mut held, mut rest) = (Held::default(), body);
        for line in 2..header.records.saturating_add(2) {
            let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
                let (found, counted) = (line - 2, header.records);
                let reason =
                    format!("the file ends here, after {found} of {counted} records; it was cut short");
                return Err(self.damaged(line, reason, RESTORE));
            };
            let read = self.seals.read(&self.last_seal, &rest[..end]);
            let (record, seal) = read.map_err(|reason| self.damaged(line, reason, RESTORE))?;
            held.apply(record, &lmk).map_err(|reason| self.damaged(line, reason, RESTORE))?;
            self.last_seal = seal;
            rest = &rest[end + 1..];
        }
        // Only now is the last seal known, and with it whether the header's values are its own.
        let head = header
            .audit_head()
            .ok_or_else(|| self.damaged(1, "no hash of an audit log".to_owned(), RESTORE))?;
        if self.header != self.seals.header(header.records, header.bytes, head, &self.last_seal) {
            return Err(self.damaged(1, "the header's seal does not hold".to_owned(), RESTORE));
        }
        self.check_tail(header.records + 2, rest, tail)?;
        (self.records, self.bytes) = (header.records, header.bytes);
        let retired = rewrap::retired(&held, &lmk)?;
        self.audit = Some(AuditLog::open(&self.path, retired.last().unwrap_or(&lmk), head)?);
        Ok((held, lmk))
    }

    fn read_header(&mut self, content: &[u8], lmk: &Lmk) -> Result<HeaderLine, KeyError> {
        let head = &content[..content.len().min(HEADER_BYTES_MAX)];
        let end = head.iter().position(|&byte| byte == b'\n');
        let parsed = end.and_then(|end| serde_json::from_slice::<HeaderLine>(&head[..end]).ok());
        let (Some(end), Some(header)) = (end, parsed) else {
            let reason = "no header of a key file".to_owned();
            return Err(self.damaged(1, reason, "check the path, or restore the file from its copy"));
        };
        if header.yika_keys != lines::VERSION {
            let reason = format!("version {}, this program knows 1 and {}", header.yika_keys, lines::VERSION);
            return Err(self.damaged(1, reason, "use the program that wrote it, or restore the file"));
        }
        self.refuse_other_lmk(&header.lmk, lmk)?;
        self.header = String::from_utf8_lossy(&content[..=end]).into_owned();
        // The header is compared and rewritten as bytes, so it must be spelled as we spell it.
        if self.header.len() != self.seals.header(0, 0, AuditHead::EMPTY, "").len() {
            return Err(self.damaged(1, "the header has another length than ours".to_owned(), RESTORE));
        }
        if header.bytes < self.header.len() as u64 {
            return Err(self.damaged(1, "the header counts fewer bytes than it has".to_owned(), RESTORE));
        }
        Ok(header)
    }

    fn refuse_other_lmk(&self, file: &str, lmk: &Lmk) -> Result<(), KeyError> {
        let given = hex(&lmk.check_value());
        if file == given {
            return Ok(());
        }
        Err(KeyError::WrongLmk { path: self.path.clone(), file: file.to_owned(), given })
    }

    /// Behind the counted lines there may be what one interrupted deed left, and nothing else.
    fn check_tail(&self, line: usize, uncounted: &[u8], tail: &[u8]) -> Result<(), KeyError> {
        if !uncounted.is_empty() {
            return Err(self.damaged(line, "more lines than the header counts".to_owned(), RESTORE));
        }
        let ours = match tail.iter().position(|&byte| byte == b'\n') {
            None => true,
            Some(end) if end + 1 == tail.len() => self.seals.read(&self.last_seal, &tail[..end]).is_ok(),
            Some(_) => false,
        };
        if ours {
            return Ok(());
        }
        let reason = "lines that the header does not count and no interrupted write explains".to_owned();
        Err(self.damaged(line, reason, "remove them if you added them by hand, or restore the file"))
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.write_all(bytes)?;
        self.file.sync_data()
    }

    fn damaged(&self, line: usize, reason: String, remedy: &'static str) -> KeyError {
        KeyError::Damaged { path: self.path.clone(), line, reason, remedy }
    }
}

/// A line of the log that nobody asked for.
fn by_yika(action: &str, detail: String) -> AuditRecord {
    AuditRecord {
        seq: 0,
        at_ms: 0,
        actors: vec!["yika".to_owned()],
        action: action.to_owned(),
        key: None,
        check_value: None,
        detail,
    }
}

/// The file that is being written in place of `path`.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn create_new(path: &Path, called: &Path) -> Result<File, KeyError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    options.open(path).map_err(|source| io_error("create the key file", called, source))
}

fn io_on(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> KeyError {
    move |source| io_error(what, path, source)
}

fn io_error(what: &'static str, path: &Path, source: io::Error) -> KeyError {
    KeyError::Io { what, path: path.to_owned(), source }
}

/// A new file is durable only when its directory is.
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
