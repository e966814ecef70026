//! A small disk: a file system of its own in a file, to be filled up. Needs root and a loop device; whoever has
//! neither is told why, and does without.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted one; unmounted when dropped.
pub struct SmallDisk {
    at: PathBuf,
    _image: tempfile::NamedTempFile,
}

impl SmallDisk {
    /// Makes it, with its image beside the folder where it is mounted.
    ///
    /// # Errors
    /// What the system said when it cannot be made or mounted here.
    pub fn mount(at: &Path, mib: u32) -> Result<SmallDisk, String> {
        let beside = at.parent().unwrap_or(at);
        let image =
            tempfile::NamedTempFile::new_in(beside).map_err(|e| format!("no file for its image: {e}"))?;
        image.as_file().set_len(u64::from(mib) << 20).map_err(|e| format!("its image: {e}"))?;
        std::fs::create_dir_all(at).map_err(|e| format!("{}: {e}", at.display()))?;
        run(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(image.path()))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(image.path()).arg(at))?;
        Ok(SmallDisk { at: at.to_owned(), _image: image })
    }

    /// Takes all that is left, at once and without writing it; the file to remove again.
    pub fn fill(&self) -> PathBuf {
        let path = self.at.join("ballast");
        // Most of it as one reservation; what does not succeed is made up for below.
        if let Some(left) = free_bytes(&self.at).filter(|left| *left > 1 << 20) {
            let _ = run(Command::new("fallocate").arg("-l").arg((left - (1 << 20)).to_string()).arg(&path));
        }
        let mut file = File::options().create(true).append(true).open(&path).expect("a file was made here");
        let part = vec![0xAA; 1 << 16];
        while file.write_all(&part).is_ok() {}
        while file.write_all(&part[..512]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that is ending may still hold a file, and the mount must go in any case.
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.at));
    }
}

/// Free bytes where this folder lies; None when the system does not say.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let output = Command::new("df").args(["--output=avail", "-B1"]).arg(folder).output().ok()?;
    String::from_utf8_lossy(&output.stdout).lines().last()?.trim().parse().ok()
}

/// Runs a command of the system to its end.
///
/// # Errors
/// What it said on stderr when it failed or could not be started.
pub fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}
