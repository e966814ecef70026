//! The folder a switch owns: journal, lock, control socket, and the addresses it listens on. One process at a
//! time: a second start on the same folder is refused, so that there is a single writer. The folder and what is
//! made in it belong to the switch's user alone, from the moment of their making.

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// A locked folder; unlocked when dropped, and by the kernel when the process ends in any way.
pub struct DataDir {
    folder: PathBuf,
    _locks: [File; 2],
}

#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error("cannot {doing} {path}: {source}; data_dir must be a folder this user may write")]
    Io { doing: &'static str, path: String, source: io::Error },
    #[error("another yika runs on {folder}: stop it first, or give this one a data_dir of its own")]
    InUse { folder: String },
    #[error(
        "others than its owner may use the data folder {folder} (mode {mode:04o}), and environment is \"production\": \
         run `chmod 700 {folder}`, then start again"
    )]
    OpenToOthers { folder: String, mode: u32 },
}

/// Who may use a data folder that is there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guard {
    /// A folder that others can use is told of.
    Warn,
    /// A folder that others can use is refused.
    Refuse,
}

/// The switch's user alone: whoever reads a journal has its sealed cards, whoever reaches the control socket
/// operates the switch.
pub const FOLDER_MODE: u32 = 0o700;
pub const FILE_MODE: u32 = 0o600;
const OTHERS: u32 = 0o077;

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
    /// When it cannot be made or written, others may use it and `guard` refuses that, or another process holds it.
    pub fn lock(folder: &Path, guard: Guard) -> Result<DataDir, DataDirError> {
        let failed =
            |doing, path: &Path, source| DataDirError::Io { doing, path: path.display().to_string(), source };
        make_folder(folder).map_err(|e| failed("make", folder, e))?;
        let mode = std::fs::metadata(folder).map_err(|e| failed("look at", folder, e))?.mode() & 0o7777;
        check_mode(folder, mode, guard)?;
        let path = folder.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(FILE_MODE).open(&path);
        let file = file.map_err(|e| failed("open", &path, e))?;
        // The folder is locked as well: a lock file that somebody deletes would let a second switch in.
        let own = File::open(folder).map_err(|e| failed("open", folder, e))?;
        for (held, path) in [(&own, folder), (&file, &path)] {
            match flock(held, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(e) if e == rustix::io::Errno::WOULDBLOCK => {
                    return Err(DataDirError::InUse { folder: folder.display().to_string() });
                }
                Err(e) => return Err(failed("lock", path, e.into())),
            }
        }
        Ok(DataDir { folder: folder.to_owned(), _locks: [own, file] })
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
        let written = write_private(&fresh, &text).and_then(|()| std::fs::rename(&fresh, &path));
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

fn check_mode(folder: &Path, mode: u32, guard: Guard) -> Result<(), DataDirError> {
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let folder = folder.display().to_string();
    if guard == Guard::Refuse {
        return Err(DataDirError::OpenToOthers { folder, mode });
    }
    tracing::warn!(
        mode = format!("{mode:04o}"),
        "others than its owner may use the data folder: run `chmod 700 {folder}`; production refuses it"
    );
    Ok(())
}

/// Makes a folder, and those above it, for this user alone; one that is there stays as it is.
///
/// # Errors
/// When it cannot be made, or its entry in the folder above not be made durable.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    crate::journal::disk::make_folder(folder, FOLDER_MODE)
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(FILE_MODE).open(path)?;
    file.write_all(text.as_bytes())
}

/// Whether a switch runs on this folder, without getting in its way: its control socket is bound before it touches
/// the journal, and nobody answers on the socket of one that ended.
///
/// # Errors
/// When this user may not know, in words.
pub fn is_running(folder: &Path) -> Result<bool, String> {
    let path = control_socket_in(folder);
    match UnixStream::connect(&path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Err(format!(
            "cannot look into {}: {e}; run this as the user that the switch runs as",
            path.display()
        )),
        Err(_) => Ok(false),
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

    fn mode_of(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_folder_has_one_owner_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let held = DataDir::lock(folder.path(), Guard::Warn).unwrap();
        let refused = DataDir::lock(folder.path(), Guard::Warn).err().unwrap().to_string();
        assert!(refused.contains("another yika runs on"), "{refused}");
        std::fs::remove_file(folder.path().join("lock")).unwrap();
        assert!(DataDir::lock(folder.path(), Guard::Warn).is_err(), "the folder itself is held, too");
        drop(held);
        assert!(DataDir::lock(folder.path(), Guard::Warn).is_ok());
    }

    #[test]
    fn what_is_made_belongs_to_its_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a/data");
        let held = DataDir::lock(&place, Guard::Refuse).unwrap();
        held.write_addresses(&[], None);
        assert_eq!((mode_of(&place), mode_of(&folder.path().join("a"))), (FOLDER_MODE, FOLDER_MODE));
        assert_eq!((mode_of(&place.join("lock")), mode_of(&addresses_in(&place))), (FILE_MODE, FILE_MODE));
    }

    #[test]
    fn a_folder_that_others_may_use_is_told_of_and_refused_where_it_must_be() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o750)).unwrap();
        assert!(DataDir::lock(folder.path(), Guard::Warn).is_ok());
        let refused = DataDir::lock(folder.path(), Guard::Refuse).err().unwrap().to_string();
        let cure = format!("run `chmod 700 {}`", folder.path().display());
        assert!(refused.contains("mode 0750") && refused.contains(&cure), "{refused}");
        assert_eq!(mode_of(folder.path()), 0o750, "it is the owner who decides");
    }
}
