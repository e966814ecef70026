//! The audit log of a key file: who did what with which key, one JSON line a deed, each chained to the one before.
//!
//! ```text
//! {"record":{"seq":1,"at_ms":..,"actors":["alice"],"action":"generate","key":"zak.a","check_value":"B5D8D8",..},
//!  "hash":"<64 hex>","signature":"<128 hex>"}
//! hash_n = SHA-256(hash_n-1 | record_n as written), hash_0 = 32 zeros; signature = Ed25519 over hash_n
//! ```
//! So each line is a signed root of all before it. How many lines there are, and the last hash, stand in the sealed
//! header of the key file: neither of the two can be cut without the other telling. It names check values and
//! never holds a key. Both cut back together to an older state cannot be told from that state: send the last line away.

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use yika_arena::{Held, Stay, wiped};

use crate::digest::Sha256;
use crate::error::KeyError;
use crate::lmk::Lmk;
use crate::secret::{COLD_STACK_BYTES, hex};

/// A larger log is not one of ours: some two million deeds.
const LOG_BYTES_MAX: u64 = 1 << 30;
/// Of text that comes from outside, such as a reason.
const DETAIL_CHARS_MAX: usize = 400;

const RESTORE: &str = "keep this file as it is for the auditor, and restore it from its copy";

/// What was done, as the log holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRecord {
    /// Its number, counted from 1.
    pub seq: u64,
    /// When, in milliseconds since 1970; 0 when nobody told the store the time.
    pub at_ms: u64,
    /// Who: custodians by name, or the program.
    pub actors: Vec<String>,
    /// What: `generate`, `import`, `export`, ..
    pub action: String,
    /// With which key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The check value of that key, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_value: Option<String>,
    /// More about it, and how it ended.
    pub detail: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    record: AuditRecord,
    hash: String,
    signature: String,
}

/// How far a log goes: what the header of the key file holds of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditHead {
    /// Deeds.
    pub count: u64,
    /// The hash of the last.
    pub hash: [u8; 32],
}

impl AuditHead {
    pub(crate) const EMPTY: AuditHead = AuditHead { count: 0, hash: [0; 32] };
}

/// What a line says of the one before it, whose deed never came to be.
pub(crate) const BROKEN_OFF: &str = "broken off";

/// What an interrupted deed left in the log.
#[derive(Default, Clone, Copy)]
pub(crate) struct Uncounted {
    pub lines: usize,
    /// When the last of them was written.
    pub at_ms: u64,
}

/// The log of an open key file.
pub(crate) struct AuditLog {
    /// Its last lines that the key file does not count: one of a deed that was broken off, and the one that says so.
    uncounted: Uncounted,
    file: File,
    bytes: u64,
    head: AuditHead,
    signer: Held<Ed25519KeyPair>,
}

/// Where the log of a key file is: beside it.
#[must_use]
pub fn audit_path(key_file: &Path) -> PathBuf {
    let mut path = key_file.as_os_str().to_owned();
    path.push(".audit");
    path.into()
}

impl AuditLog {
    /// A new log; one that exists is never written over.
    pub(crate) fn create(key_file: &Path, lmk: &Lmk) -> Result<AuditLog, KeyError> {
        let path = audit_path(key_file);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(|source| io_error("create the audit log", &path, source))?;
        Ok(AuditLog {
            uncounted: Uncounted::default(),
            file,
            bytes: 0,
            head: AuditHead::EMPTY,
            signer: signer(lmk)?,
        })
    }

    /// Opens a log and proves its chain up to `counted`. Behind it there may be what one interrupted deed left: its line,
    /// and the one that says so. Whole lines that are signed are taken up, a torn one goes when the next is written.
    pub(crate) fn open(key_file: &Path, lmk: &Lmk, counted: AuditHead) -> Result<AuditLog, KeyError> {
        let path = audit_path(key_file);
        let options = OpenOptions::new().read(true).write(true).open(&path);
        let mut file = options.map_err(|source| io_error("open the audit log", &path, source))?;
        let content = read(&mut file, &path)?;
        let mut walk = Walk::over(&path, &content);
        while walk.head.count < counted.count {
            if walk.step()?.is_none() {
                let reason = format!("the log ends after {} deeds of {}", walk.head.count, counted.count);
                return Err(walk.damaged(reason));
            }
        }
        if walk.head != counted {
            return Err(walk.damaged("the last hash is not that of the key file's header".to_owned()));
        }
        let signer = signer(lmk)?;
        let uncounted = walk.uncounted(&public_key(&signer))?;
        Ok(AuditLog { uncounted, head: walk.head, bytes: walk.at as u64, file, signer })
    }

    pub(crate) fn head(&self) -> AuditHead {
        self.head
    }

    /// The lines that the key file does not count; asked once.
    pub(crate) fn take_uncounted(&mut self) -> Uncounted {
        std::mem::take(&mut self.uncounted)
    }

    /// The key that checks the signatures.
    pub(crate) fn public_key(&self) -> [u8; 32] {
        public_key(&self.signer)
    }

    /// Adds one deed, whose number is given here; durable when this returns.
    pub(crate) fn append(&mut self, record: AuditRecord) -> io::Result<()> {
        let detail = record.detail.chars().take(DETAIL_CHARS_MAX).collect();
        let record = AuditRecord { seq: self.head.count + 1, detail, ..record };
        let hash = chained(&self.head.hash, &serde_json::to_string(&record)?);
        let signature = wiped::<COLD_STACK_BYTES, _>(|| hex(self.signer.sign(&hash).as_ref()));
        let mut line = serde_json::to_string(&Line { record, hash: hex(&hash), signature })?;
        line.push('\n');
        self.file.set_len(self.bytes)?;
        self.file.seek(SeekFrom::Start(self.bytes))?;
        self.file.write_all(line.as_bytes())?;
        self.file.sync_data()?;
        self.bytes += line.len() as u64;
        self.head = AuditHead { count: self.head.count + 1, hash };
        Ok(())
    }
}

/// Proves a log line by line: chain, numbers and signatures. `head` is what the key file's header says of it, None
/// when there is no key file at hand; a log that was cut at its end is then not found out.
///
/// # Errors
/// `Damaged` with the line and what is wrong there, or `Io`.
pub fn verify_audit(
    log: &Path,
    public_key: &[u8; 32],
    head: Option<AuditHead>,
    mut each: impl FnMut(&AuditRecord),
) -> Result<AuditHead, KeyError> {
    let mut file = File::open(log).map_err(|source| io_error("open the audit log", log, source))?;
    let content = read(&mut file, log)?;
    let mut walk = Walk::over(log, &content);
    let verifier = UnparsedPublicKey::new(&ED25519, public_key);
    while let Some((record, signature)) = walk.step()? {
        if verifier.verify(&walk.head.hash, &signature).is_err() {
            walk.line -= 1;
            return Err(walk.damaged("the signature does not hold under this public key".to_owned()));
        }
        each(&record);
    }
    match head {
        Some(head) if head != walk.head => {
            let reason = format!(
                "the key file counts {} deeds and another last hash, the log has {}",
                head.count, walk.head.count
            );
            Err(walk.damaged(reason))
        }
        _ => Ok(walk.head),
    }
}

/// A walk along the lines of a log.
struct Walk<'a> {
    path: &'a Path,
    content: &'a [u8],
    at: usize,
    line: usize,
    head: AuditHead,
}

impl<'a> Walk<'a> {
    fn over(path: &'a Path, content: &'a [u8]) -> Walk<'a> {
        Walk { path, content, at: 0, line: 1, head: AuditHead::EMPTY }
    }

    fn rest(&self) -> &'a [u8] {
        &self.content[self.at..]
    }

    /// Takes up the lines that the key file does not count.
    fn uncounted(&mut self, key: &[u8; 32]) -> Result<Uncounted, KeyError> {
        let verifier = UnparsedPublicKey::new(&ED25519, key);
        let mut taken = Uncounted::default();
        while self.rest().contains(&b'\n') {
            let Some((record, signature)) = self.step()? else { break };
            let wrong = if verifier.verify(&self.head.hash, &signature).is_err() {
                "a line that the key file does not count, and nobody signed"
            } else if taken.lines > 1 || (taken.lines == 1 && record.action != BROKEN_OFF) {
                "lines that the key file does not count"
            } else {
                taken = Uncounted { lines: taken.lines + 1, at_ms: record.at_ms };
                continue;
            };
            self.line -= 1;
            return Err(self.damaged(wrong.to_owned()));
        }
        Ok(taken)
    }

    /// The next deed and its signature; none at the end.
    fn step(&mut self) -> Result<Option<(AuditRecord, Vec<u8>)>, KeyError> {
        if self.rest().is_empty() {
            return Ok(None);
        }
        let Some(end) = self.rest().iter().position(|&byte| byte == b'\n') else {
            return Err(self.damaged("the line has no end: the log was cut short".to_owned()));
        };
        let text = &self.rest()[..end];
        let line: Line = serde_json::from_slice(text)
            .map_err(|error| self.damaged(format!("not a line of an audit log ({error})")))?;
        // Whatever does not stand in the chain, a space or an escape, must be as we write it.
        if serde_json::to_vec(&line).ok().as_deref() != Some(text) {
            return Err(self.damaged("not as this program writes it".to_owned()));
        }
        let text = serde_json::to_string(&line.record).map_err(|error| self.damaged(error.to_string()))?;
        let hash = chained(&self.head.hash, &text);
        if line.record.seq != self.head.count + 1 || hex(&hash) != line.hash {
            let reason = "the hash does not hold: the line, or one before it, was changed, dropped or moved";
            return Err(self.damaged(reason.to_owned()));
        }
        let signature = crate::secret::unhex(line.signature.as_bytes())
            .map_err(|_| self.damaged("the signature is not hexadecimal".to_owned()))?;
        self.head = AuditHead { count: line.record.seq, hash };
        self.at += end + 1;
        self.line += 1;
        Ok(Some((line.record, signature.to_vec())))
    }

    fn damaged(&self, reason: String) -> KeyError {
        KeyError::Damaged { path: self.path.to_owned(), line: self.line, reason, remedy: RESTORE }
    }
}

fn chained(before: &[u8; 32], record: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(record.as_bytes());
    hash.finish()
}

/// The signing key belongs to the master key, as the seals of the key file do.
fn signer(lmk: &Lmk) -> Result<Held<Ed25519KeyPair>, KeyError> {
    let seed = lmk.derive("audit signature", 32);
    let expand =
        || Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).expect("every 32 bytes are an Ed25519 seed");
    Ok(wiped::<COLD_STACK_BYTES, _>(|| Held::new(Stay::Lasting, expand()))?)
}

fn public_key(signer: &Ed25519KeyPair) -> [u8; 32] {
    signer.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes")
}

fn read(file: &mut File, path: &Path) -> Result<Vec<u8>, KeyError> {
    let mut content = Vec::new();
    let read = file.take(LOG_BYTES_MAX).read_to_end(&mut content);
    read.map_err(|source| io_error("read the audit log", path, source))?;
    Ok(content)
}

fn io_error(what: &'static str, path: &Path, source: io::Error) -> KeyError {
    KeyError::Io { what, path: path.to_owned(), source }
}
