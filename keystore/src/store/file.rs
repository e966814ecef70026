//! The key file: what is on disk, in what order it is written, and how damage is found.
//!
//! ```text
//! line 1   {"yika_keys":1,"lmk":"5C9405","records":    3,"bytes":     1904,"seal":"<32 hex>"}
//! line 2.. {"name":"zmk.bank-a","check_value":"A1B2C3","block":"D0208K0A..","seal":"<32 hex>"}
//! ```
//! Each seal is the left half of an HMAC-SHA256, under a key derived from the master key, of the seal
//! before it and the line's own values; the header's seal covers its numbers and the last line's seal. So
//! no line can be changed, dropped, moved or copied in from another file. The header has a fixed width
//! and is rewritten in place, which one sector write does.
//!
//! Adding a key: 1. the line is written behind the last one and synced; 2. the header counts it and is
//! synced. A crash before 2 leaves one line, whole or torn, that the header does not count: its key was
//! never announced, so opening ignores it and the next key overwrites it. Anything else is damage, and
//! nothing is loaded. An older copy of the whole file cannot be told from the file itself.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::attributes::KeyInfo;
use crate::error::KeyError;
use crate::lmk::{Lmk, LmkBlock};
use crate::secret::hex;

/// The version this program writes and reads.
const VERSION: u32 = 1;
/// 500,000 keys of 500 bytes fit; a larger file is not a key file.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// No header of any version is longer.
const HEADER_BYTES_MAX: usize = 256;

const RESTORE: &str = "restore the file from its copy; nothing was loaded";

/// An open key file and the place where the next line goes.
pub(super) struct KeyFile {
    path: PathBuf,
    file: File,
    seals: hmac::Key,
    lmk: String,
    /// The header as this process last saw or wrote it.
    header: String,
    records: usize,
    bytes: u64,
    last_seal: String,
    /// Set by a failed write: what the disk holds is then unknown.
    failed: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine {
    yika_keys: u32,
    lmk: String,
    records: usize,
    bytes: u64,
    seal: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordLine {
    name: String,
    check_value: String,
    block: LmkBlock,
    seal: String,
}

impl KeyFile {
    pub(super) fn create(path: &Path, lmk: &Lmk) -> Result<KeyFile, KeyError> {
        let io = |what| move |source| KeyError::Io { what, path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(io("create the key file"))?;
        let mut key_file = KeyFile::over(path, file, lmk);
        // The header's width does not depend on its numbers.
        key_file.bytes = key_file.header_line(0, 0).len() as u64;
        key_file.header = key_file.header_line(0, key_file.bytes);
        let header = key_file.header.clone();
        key_file.write_at(0, header.as_bytes()).map_err(io("write the key file"))?;
        sync_directory(path).map_err(io("make durable the directory of"))?;
        Ok(key_file)
    }

    /// Reads and proves the whole file.
    pub(super) fn open(path: &Path, lmk: &Lmk) -> Result<(KeyFile, Vec<(KeyInfo, LmkBlock)>), KeyError> {
        let io = |what| move |source| KeyError::Io { what, path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(io("open the key file"))?;
        let mut key_file = KeyFile::over(path, file, lmk);
        let length = key_file.file.metadata().map_err(io("measure the key file"))?.len();
        if length > FILE_BYTES_MAX {
            return Err(key_file.damaged(1, "larger than any key file".to_owned(), RESTORE));
        }
        let mut content = Vec::new();
        let mut limited = (&key_file.file).take(FILE_BYTES_MAX);
        limited.read_to_end(&mut content).map_err(io("read the key file"))?;
        let records = key_file.read(&content, lmk)?;
        Ok((key_file, records))
    }

    /// Adds one key; it is durable when this returns.
    pub(super) fn append(&mut self, info: &KeyInfo, block: &LmkBlock) -> Result<(), KeyError> {
        if self.failed {
            let reason = "an earlier write failed";
            return Err(KeyError::Stale { path: self.path.clone(), reason });
        }
        let result = self.append_locked(info, block);
        // A stale file is untouched; after an I/O error nobody knows what is on disk.
        self.failed |= matches!(result, Err(KeyError::Io { .. }));
        result
    }

    /// Adds under a lock on the file, and only to the file as this process knows it.
    fn append_locked(&mut self, info: &KeyInfo, block: &LmkBlock) -> Result<(), KeyError> {
        let path = &self.path.clone();
        let io = |what| move |source| KeyError::Io { what, path: path.clone(), source };
        self.file.lock().map_err(io("lock the key file"))?;
        let written = match self.is_unchanged() {
            Ok(true) => self.write_record(info, block).map_err(io("write the key file")),
            Ok(false) => Err(KeyError::Stale { path: path.clone(), reason: "another process added keys" }),
            Err(source) => Err(io("read the key file")(source)),
        };
        // Whether the key is durable is decided above; a lock that stays ends with the process.
        let _ = self.file.unlock();
        written
    }

    fn is_unchanged(&mut self) -> io::Result<bool> {
        let mut on_disk = Vec::with_capacity(self.header.len());
        self.file.seek(SeekFrom::Start(0))?;
        (&self.file).take(self.header.len() as u64).read_to_end(&mut on_disk)?;
        Ok(on_disk == self.header.as_bytes())
    }

    fn write_record(&mut self, info: &KeyInfo, block: &LmkBlock) -> io::Result<()> {
        let check_value = hex(&info.check_value);
        let seal = self.record_seal(&self.last_seal, &info.name, &check_value, block);
        let record =
            RecordLine { name: info.name.clone(), check_value, block: block.clone(), seal: seal.clone() };
        let mut line = serde_json::to_string(&record)?;
        line.push('\n');

        // 1. The line, in place of whatever an earlier crash left behind the counted lines.
        self.file.set_len(self.bytes)?;
        self.write_at(self.bytes, line.as_bytes())?;
        // 2. The header that counts it.
        let (records, bytes) = (self.records + 1, self.bytes + line.len() as u64);
        let last_seal = std::mem::replace(&mut self.last_seal, seal);
        let header = self.header_line(records, bytes);
        if let Err(error) = self.write_at(0, header.as_bytes()) {
            self.last_seal = last_seal;
            return Err(error);
        }
        (self.records, self.bytes, self.header) = (records, bytes, header);
        Ok(())
    }

    fn over(path: &Path, file: File, lmk: &Lmk) -> KeyFile {
        KeyFile {
            path: path.to_owned(),
            file,
            seals: hmac::Key::new(hmac::HMAC_SHA256, lmk.derive::<32>("key file").as_slice()),
            lmk: hex(&lmk.check_value()),
            header: String::new(),
            records: 0,
            bytes: 0,
            last_seal: String::new(),
            failed: false,
        }
    }

    /// Proves header, lines and tail; fills in where the next line goes.
    fn read(&mut self, content: &[u8], lmk: &Lmk) -> Result<Vec<(KeyInfo, LmkBlock)>, KeyError> {
        let header = self.read_header(content)?;
        let counted = usize::try_from(header.bytes).ok().and_then(|end| content.split_at_checked(end));
        let (body, tail) = match counted {
            Some((counted, tail)) => (&counted[self.header.len()..], tail),
            None => (&content[self.header.len()..], &[][..]),
        };
        let mut records: Vec<(KeyInfo, LmkBlock)> = Vec::new();
        let mut names = std::collections::HashSet::new();
        let mut rest = body;
        for line in 2..header.records.saturating_add(2) {
            let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
                let reason = format!(
                    "the file ends here, after {} of {} keys; it was cut short",
                    records.len(),
                    header.records
                );
                return Err(self.damaged(line, reason, RESTORE));
            };
            let (info, block) = self.read_record(line, &rest[..end], lmk)?;
            if !names.insert(info.name.clone()) {
                let reason = format!("a second key named {:?}", info.name);
                return Err(self.damaged(line, reason, RESTORE));
            }
            records.push((info, block));
            rest = &rest[end + 1..];
        }
        // Only now is the last seal known, and with it whether the header's numbers are its own.
        if header.seal != self.header_seal(header.records, header.bytes) {
            return Err(self.damaged(1, "the header's seal does not hold".to_owned(), RESTORE));
        }
        self.check_tail(records.len() + 2, rest, tail)?;
        (self.records, self.bytes) = (header.records, header.bytes);
        Ok(records)
    }

    fn read_header(&mut self, content: &[u8]) -> Result<HeaderLine, KeyError> {
        let head = &content[..content.len().min(HEADER_BYTES_MAX)];
        let end = head.iter().position(|&byte| byte == b'\n');
        let parsed = end.and_then(|end| serde_json::from_slice::<HeaderLine>(&head[..end]).ok());
        let (Some(end), Some(header)) = (end, parsed) else {
            let reason = "no header of a key file".to_owned();
            return Err(self.damaged(1, reason, "check the path, or restore the file from its copy"));
        };
        if header.yika_keys != VERSION {
            let reason = format!("version {}, this program knows {VERSION}", header.yika_keys);
            return Err(self.damaged(1, reason, "use the program that wrote it, or restore the file"));
        }
        if header.lmk != self.lmk {
            let (file, given) = (header.lmk, self.lmk.clone());
            return Err(KeyError::WrongLmk { path: self.path.clone(), file, given });
        }
        self.header = String::from_utf8_lossy(&content[..=end]).into_owned();
        // The header is compared and rewritten as bytes, so it must be spelled as we spell it.
        if self.header.len() != self.header_line(0, 0).len() {
            return Err(self.damaged(1, "the header has another length than ours".to_owned(), RESTORE));
        }
        if header.bytes < self.header.len() as u64 {
            return Err(self.damaged(1, "the header counts fewer bytes than it has".to_owned(), RESTORE));
        }
        Ok(header)
    }

    fn read_record(&mut self, line: usize, text: &[u8], lmk: &Lmk) -> Result<(KeyInfo, LmkBlock), KeyError> {
        let record: RecordLine = serde_json::from_slice(text)
            .map_err(|error| self.damaged(line, format!("not a key record ({error})"), RESTORE))?;
        let seal = self.record_seal(&self.last_seal, &record.name, &record.check_value, &record.block);
        if seal != record.seal {
            let reason = "the seal does not hold: the line, or one before it, was changed or moved";
            return Err(self.damaged(line, reason.to_owned(), RESTORE));
        }
        let opened =
            lmk.unwrap(&record.block).map_err(|error| self.damaged(line, error.to_string(), RESTORE))?;
        if opened.label.as_deref() != Some(&record.name) || hex(&opened.check_value) != record.check_value {
            let reason = format!("the key block is not that of {:?}", record.name);
            return Err(self.damaged(line, reason, RESTORE));
        }
        self.last_seal = seal;
        Ok((lmk.info(&record.name, &opened), record.block))
    }

    /// Behind the counted lines there may be what one interrupted append left, and nothing else.
    fn check_tail(&self, line: usize, uncounted: &[u8], tail: &[u8]) -> Result<(), KeyError> {
        if !uncounted.is_empty() {
            let reason = "more lines than the header counts".to_owned();
            return Err(self.damaged(line, reason, RESTORE));
        }
        let whole = match tail.iter().position(|&byte| byte == b'\n') {
            None => return Ok(()),
            Some(end) if end + 1 == tail.len() => serde_json::from_slice::<RecordLine>(&tail[..end]).ok(),
            Some(_) => None,
        };
        let ours = whole.is_some_and(|record| {
            record.seal == self.record_seal(&self.last_seal, &record.name, &record.check_value, &record.block)
        });
        if ours {
            return Ok(());
        }
        let reason = "lines that the header does not count and no interrupted write explains".to_owned();
        Err(self.damaged(line, reason, "remove them if you added them by hand, or restore the file"))
    }

    fn record_seal(&self, previous: &str, name: &str, check_value: &str, block: &LmkBlock) -> String {
        self.seal(&["record", previous, name, check_value, block.as_str()])
    }

    fn header_seal(&self, records: usize, bytes: u64) -> String {
        self.seal(&["header", &self.lmk, &records.to_string(), &bytes.to_string(), &self.last_seal])
    }

    /// The parts are joined by a character that none of them can hold.
    fn seal(&self, parts: &[&str]) -> String {
        let tag = hmac::sign(&self.seals, parts.join("\n").as_bytes());
        hex(&tag.as_ref()[..16])
    }

    fn header_line(&self, records: usize, bytes: u64) -> String {
        let seal = self.header_seal(records, bytes);
        let lmk = &self.lmk;
        format!(
            "{{\"yika_keys\":{VERSION},\"lmk\":\"{lmk}\",\"records\":{records:>7},\"bytes\":{bytes:>10},\"seal\":\"{seal}\"}}\n"
        )
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

/// A new file is durable only when its directory is.
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
