//! The demo's folder: on what file system it lies, and where things are in it.

use super::{DemoError, DemoOptions};
use std::path::{Path, PathBuf};

/// Removed when the demo ends.
pub(super) struct Folder {
    held: tempfile::TempDir,
    file_system: &'static str,
}

/// `statfs` magic numbers of Linux.
const FILE_SYSTEMS: [(u64, &str); 7] = [
    (TMPFS, "tmpfs"),
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x794c_7630, "overlayfs"),
    (0x2fc1_2fc1, "zfs"),
    (0x6969, "nfs"),
];
const TMPFS: u64 = 0x0102_1994;

impl Folder {
    pub(super) fn make(options: &DemoOptions) -> Result<Folder, DemoError> {
        let base = options.folder.clone().unwrap_or_else(std::env::temp_dir);
        let failed =
            |doing, source: std::io::Error| DemoError::Io { doing, what: base.display().to_string(), source };
        std::fs::create_dir_all(&base).map_err(|e| failed("make the folder", e))?;
        let stat = rustix::fs::statfs(&base).map_err(|e| failed("look at", e.into()))?;
        let magic = stat.f_type as u64;
        if magic == TMPFS && !options.allow_tmpfs {
            return Err(DemoError::Tmpfs { folder: base.display().to_string() });
        }
        let file_system = FILE_SYSTEMS
            .iter()
            .find(|(known, _)| *known == magic)
            .map_or("another file system", |(_, name)| name);
        let held = tempfile::Builder::new()
            .prefix("yika-demo-")
            .tempdir_in(&base)
            .map_err(|e| failed("make a folder in", e))?;
        Ok(Folder { held, file_system })
    }

    /// Stays when the demo ends.
    pub(super) fn keep(self) {
        // The path was already told; what this returns is the same.
        let _ = self.held.keep();
    }

    pub(super) fn path(&self) -> &Path {
        self.held.path()
    }

    pub(super) fn file_system(&self) -> &'static str {
        self.file_system
    }

    pub(super) fn config(&self) -> PathBuf {
        self.path().join("demo.toml")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.data().join("journal")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path().join("switch.log")
    }

    /// The last lines of the switch's log, for an error.
    pub(super) fn log_tail(&self) -> String {
        tail_of(&self.log())
    }

    /// Asks the running switch.
    pub(super) fn open_obligations(&self) -> Result<u64, DemoError> {
        let status = crate::admin::control::status(&self.data()).map_err(DemoError::Control)?;
        Ok(status.open_obligations)
    }
}

/// The last lines of a file in one.
pub(super) fn tail_of(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}
