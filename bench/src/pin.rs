//! Puts processes on the first core: what this thread starts inherits where it may run.

use crate::error::BenchError;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// This thread may run on the first core only, until this is dropped.
pub(crate) struct Pinned {
    before: CpuSet,
}

impl Pinned {
    /// # Errors
    /// When the system does not let us choose.
    pub(crate) fn to_first_core() -> Result<Pinned, BenchError> {
        let failed = || BenchError::io("choose", "the cores of a process");
        let before = sched_getaffinity(None).map_err(|e| failed()(e.into()))?;
        let mut first = CpuSet::new();
        let allowed = (0..CpuSet::MAX_CPU).find(|core| before.is_set(*core)).unwrap_or(0);
        first.set(allowed);
        sched_setaffinity(None, &first).map_err(|e| failed()(e.into()))?;
        Ok(Pinned { before })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // It was allowed before; where it no longer is, the later rows say how much they had.
        let _ = sched_setaffinity(None, &self.before);
    }
}
