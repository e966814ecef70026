//! A folder on a file system in memory, where a sync costs nothing: for figures without sync beside those with it.

use crate::error::BenchError;
use crate::place::is_in_memory;
use std::path::Path;
use tempfile::TempDir;

const FOLDER: &str = "/dev/shm";

/// None, and a word about it, where there is no such folder.
pub(crate) fn folder() -> Result<Option<TempDir>, BenchError> {
    if !is_in_memory(Path::new(FOLDER)) {
        eprintln!("  {FOLDER} is not in memory: the rows without sync are left out");
        return Ok(None);
    }
    let held = tempfile::Builder::new().prefix("yika-bench-").tempdir_in(FOLDER);
    held.map(Some).map_err(BenchError::io("make a folder in", FOLDER))
}
