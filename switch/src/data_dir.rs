//! The folder a switch owns: journal, lock, control socket, and the addresses it listens on. One process at a
//! time: a second start on the same folder is refused, so that there is a single writer.

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A locked folder; unlocked when dropped, and by the kernel when the process ends in any way.
pub struct DataDir {
    folder: PathBuf,
    _lock: File,
}

#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error("cannot {doing} {path}: {source}; data_dir must be a folder this user may write")]
    Io { doing: &'static str, path: String, source: io::Error },
    #[error("another yika runs on {folder}: stop it first, or give this one a data_dir of its own")]
    InUse { folder: String },
}

/// Where a running switch really listens: port 0 in the configuration takes a free one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Addresses {
    pub listeners: Vec<SocketAddr>,
    pub admin: Option<SocketAddr>,
}

impl DataDir {
    /// Makes the folder when it is missing, and locks it.
    ///
    /// # Errors
    /// When it cannot be made or written, or another process holds it.
    pub fn lock(folder: &Path) -> Result<DataDir, DataDirError> {
        let failed =
            |doing, path: &Path, source| DataDirError::Io { doing, path: path.display().to_string(), source };
        std::fs::create_dir_all(folder).map_err(|e| failed("make", folder, e))?;
        let path = folder.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|e| failed("open", &path, e))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(DataDir { folder: folder.to_owned(), _lock: file }),
            Err(e) if e == rustix::io::Errno::WOULDBLOCK => {
                Err(DataDirError::InUse { folder: folder.display().to_string() })
            }
            Err(e) => Err(failed("lock", &path, e.into())),
        }
    }

    pub fn journal(&self) -> PathBuf {
        journal_in(&self.folder)
    }

    pub fn control_socket(&self) -> PathBuf {
        control_socket_in(&self.folder)
    }

    /// Tells callers the real ports. Failing to is logged: the switch itself does not need the file.
    pub fn write_addresses(&self, listeners: &[SocketAddr], admin: Option<SocketAddr>) {
        let addresses = Addresses { listeners: listeners.to_vec(), admin };
        let (fresh, path) = (self.folder.join("addresses.json.new"), addresses_in(&self.folder));
        let text = serde_json::to_string(&addresses).expect("addresses always make JSON");
        let written = std::fs::write(&fresh, text).and_then(|()| std::fs::rename(&fresh, &path));
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), %error, "cannot write the addresses file");
        }
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // Stale files of an ended process would only send callers to nobody.
        let _ = std::fs::remove_file(self.control_socket());
        let _ = std::fs::remove_file(addresses_in(&self.folder));
    }
}

pub fn journal_in(folder: &Path) -> PathBuf {
    folder.join("journal")
}

pub fn control_socket_in(folder: &Path) -> PathBuf {
    folder.join("control.sock")
}

pub fn addresses_in(folder: &Path) -> PathBuf {
    folder.join("addresses.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_owner_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let held = DataDir::lock(folder.path()).unwrap();
        let refused = DataDir::lock(folder.path()).err().unwrap().to_string();
        assert!(refused.contains("another yika runs on"), "{refused}");
        drop(held);
        assert!(DataDir::lock(folder.path()).is_ok());
    }
}
