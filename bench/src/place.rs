//! The folder of a run: on a real disk, removed when the run ends.

use crate::error::BenchError;
use std::path::{Path, PathBuf};

pub(crate) struct Place {
    held: tempfile::TempDir,
    file_system: String,
}

/// `statfs` magic numbers of Linux.
const FILE_SYSTEMS: [(u64, &str); 6] = [
    (TMPFS, "tmpfs"),
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x794c_7630, "overlayfs"),
    (0x2fc1_2fc1, "zfs"),
];
const TMPFS: u64 = 0x0102_1994;

/// Whether a folder is on a file system that keeps nothing.
pub(crate) fn is_in_memory(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|stat| stat.f_type as u64 == TMPFS)
}

impl Place {
    /// # Errors
    /// `Tmpfs` where a sync costs nothing; else when the folder cannot be made.
    pub(crate) fn make(base: Option<&Path>) -> Result<Place, BenchError> {
        let base = base.map_or_else(std::env::temp_dir, Path::to_owned);
        std::fs::create_dir_all(&base).map_err(BenchError::io("make", base.display()))?;
        let stat =
            rustix::fs::statfs(&base).map_err(|e| BenchError::io("look at", base.display())(e.into()))?;
        let magic = stat.f_type as u64;
        if magic == TMPFS {
            return Err(BenchError::Tmpfs { folder: base.display().to_string() });
        }
        let known = FILE_SYSTEMS.iter().find(|(known, _)| *known == magic);
        let file_system =
            known.map_or_else(|| format!("file system {magic:#x}"), |(_, name)| (*name).to_owned());
        let held = tempfile::Builder::new().prefix("yika-bench-").tempdir_in(&base);
        Ok(Place { held: held.map_err(BenchError::io("make a folder in", base.display()))?, file_system })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.held.path().join(name)
    }

    pub(crate) fn file_system(&self) -> &str {
        &self.file_system
    }
}
