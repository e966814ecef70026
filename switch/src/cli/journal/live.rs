//! Reading a journal that a switch is writing. A reader takes no lock and sees blocks in the order in which it comes
//! to them, not in that of their writing: it may miss a frame and find the next one, or meet a segment whose
//! forerunner was still a spare when it looked. Such trouble is gone at the next reading; what stands at the same
//! place twice is real.

use super::super::CliError;
use crate::data_dir::is_running;
use crate::journal::recovery::RecoveryError;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

/// More than a writer can spoil by chance; each reading takes the whole journal.
const READINGS_MAX: usize = 8;
/// Long against the write of a block, short for whoever waits.
const PAUSE: Duration = Duration::from_millis(50);

/// Where a switch may run beside the reader.
pub(super) struct Live {
    is_running: Box<dyn Fn() -> bool>,
}

impl Live {
    pub(super) fn on(data: PathBuf) -> Live {
        Live { is_running: Box::new(move || is_running(&data).unwrap_or(false)) }
    }

    /// What `reading` gives, and whether a switch ran beside it. Reads again where a running switch may have made
    /// the trouble.
    ///
    /// # Errors
    /// Trouble without a running switch, or at the same place twice.
    pub(super) fn read<T>(
        &self,
        mut reading: impl FnMut() -> Result<T, RecoveryError>,
    ) -> Result<(T, bool), CliError> {
        let mut live = (self.is_running)();
        let mut before = None;
        for _ in 0..READINGS_MAX {
            let done = reading();
            // It may have been started while we read.
            live = live || (self.is_running)();
            let error = match done {
                Ok(value) => return Ok((value, live)),
                Err(error) => error,
            };
            let place = place_of(&error).filter(|_| live);
            if place.is_none() || place == before {
                return Err(error.into());
            }
            before = place;
            std::thread::sleep(PAUSE);
        }
        let what = format!(
            "{READINGS_MAX} readings each met trouble at another place: the running switch writes faster than it can be read; \
             try again when it is less busy"
        );
        Err(CliError::Control(what))
    }
}

/// Where the trouble is, when a writer beside us may have made it.
fn place_of(error: &RecoveryError) -> Option<(String, u64)> {
    match error {
        RecoveryError::Damaged { file, offset, .. } => Some((file.clone(), *offset)),
        RecoveryError::Io { file, source, .. } if source.kind() == ErrorKind::NotFound => {
            Some((file.clone(), 0))
        }
        RecoveryError::Io { .. } | RecoveryError::WrongKey { .. } | RecoveryError::Entry { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(is_running: bool) -> Live {
        Live { is_running: Box::new(move || is_running) }
    }

    fn damaged_at(offset: u64) -> RecoveryError {
        RecoveryError::Damaged { file: "segment-1".into(), offset, what: "unreadable".into() }
    }

    /// Reads a journal whose readings meet trouble at these offsets, and then none.
    fn reads(live: &Live, offsets: &[u64]) -> (Result<bool, String>, usize) {
        let (mut left, mut readings) = (offsets.iter(), 0);
        let done = live.read(|| {
            readings += 1;
            left.next().map_or(Ok(()), |offset| Err(damaged_at(*offset)))
        });
        (done.map(|((), live)| live).map_err(|e| e.to_string()), readings)
    }

    #[test]
    fn beside_a_running_switch_only_trouble_at_the_same_place_twice_counts() {
        let live = running(true);
        assert_eq!(reads(&live, &[]), (Ok(true), 1));
        assert_eq!(reads(&live, &[4096]), (Ok(true), 2));
        assert_eq!(reads(&live, &[4096, 8192]), (Ok(true), 3));
        let (done, readings) = reads(&live, &[4096, 8192, 8192]);
        assert!(done.unwrap_err().contains("offset 8192") && readings == 3);
        let elsewhere: Vec<u64> = (0..100).collect();
        let (done, readings) = reads(&live, &elsewhere);
        assert!(done.unwrap_err().contains("each met trouble at another place") && readings == READINGS_MAX);
    }

    #[test]
    fn without_a_switch_the_first_trouble_counts() {
        let (done, readings) = reads(&running(false), &[4096]);
        assert!(done.unwrap_err().contains("journal damaged: segment-1, offset 4096") && readings == 1);
    }

    #[test]
    fn a_wrong_key_is_no_trouble_of_time() {
        let mut readings = 0;
        let done = running(true).read(|| -> Result<(), _> {
            readings += 1;
            Err(RecoveryError::WrongKey { file: "segment-1".into(), check_value: "ABCDEF".into() })
        });
        assert!(done.is_err() && readings == 1);
    }
}
