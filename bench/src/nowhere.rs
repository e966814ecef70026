//! A disk that takes everything at once and keeps nothing: what is timed on it is the journal's own work, its frames and
//! seals, and no storage. Nothing can be recovered from it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use yika_switch::journal::disk::{Disk, FileNo};

/// Which files there would be, and how long.
#[derive(Default)]
pub(crate) struct Nowhere {
    lens: Mutex<BTreeMap<FileNo, u64>>,
}

impl Nowhere {
    fn lens(&self) -> MutexGuard<'_, BTreeMap<FileNo, u64>> {
        self.lens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for Nowhere {
    fn list(&self) -> io::Result<Vec<FileNo>> {
        Ok(self.lens().keys().copied().filter(|file| *file != FileNo::ANCHOR).collect())
    }

    fn len(&self, file: FileNo) -> io::Result<u64> {
        self.lens().get(&file).copied().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn create(&self, file: FileNo, len: u64) -> io::Result<()> {
        self.lens().insert(file, len);
        Ok(())
    }

    fn read(&self, file: FileNo, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.len(file)?.saturating_sub(offset);
        let got = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        buf[..got].fill(0);
        Ok(got)
    }

    fn write(&self, file: FileNo, _: u64, _: &[u8]) -> io::Result<()> {
        self.len(file).map(|_| ())
    }

    fn sync(&self, file: FileNo) -> io::Result<()> {
        self.len(file).map(|_| ())
    }

    fn remove(&self, file: FileNo) -> io::Result<()> {
        self.lens().remove(&file);
        Ok(())
    }

    fn is_in_place(&self, file: FileNo) -> bool {
        self.lens().contains_key(&file)
    }

    fn name(&self, file: FileNo) -> String {
        format!("nowhere:{}", file.0)
    }
}
