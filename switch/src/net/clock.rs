//! The system clock against the journal's, before anything is decided by either: windows, kept originals and business
//! dates all end by wall time, and what has ended once does not come back.

use super::serve::ServeError;

/// What a start makes of a system clock that is far ahead of the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClockJudge {
    /// More than a year ahead is taken for a wrong clock.
    Refuse,
    /// The operator has looked at it: it is right.
    Accept,
}

const DAY_MS: u64 = 86_400_000;
/// A clock further ahead of the journal than this is more likely wrong than a switch stood still for so long: a year,
/// milliseconds.
const AHEAD_MAX_MS: u64 = 366 * DAY_MS;
/// A clock further behind the journal than this is told of at the start, milliseconds.
const BACK_MS: u64 = 3_600_000;

/// Compares the last wall time in the journal (0: none yet) with the system's, milliseconds since 1970.
///
/// # Errors
/// `ServeError::Clock`, when the system's is more than a year ahead and nobody said that it is right.
pub(super) fn judge(journal_ms: u64, system_ms: u64, judge: ClockJudge) -> Result<(), ServeError> {
    let (ahead_ms, behind_ms) = (system_ms.saturating_sub(journal_ms), journal_ms.saturating_sub(system_ms));
    let days = ahead_ms / DAY_MS;
    if journal_ms > 0 && ahead_ms > AHEAD_MAX_MS {
        if judge == ClockJudge::Refuse {
            return Err(ServeError::Clock { days });
        }
        tracing::warn!(days, "the system clock is more than a year ahead of the journal, and is accepted");
    } else if behind_ms > BACK_MS {
        tracing::warn!(
            by_ms = behind_ms,
            "the system clock is behind the journal: time goes on from the journal's, at half speed until it is caught up. \
             Check time synchronisation"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST_MS: u64 = 1_795_476_615_000;
    const YEAR_MS: u64 = 366 * 86_400_000;

    #[test]
    fn a_clock_more_than_a_year_ahead_of_the_journal_is_refused_unless_accepted() {
        let refused = |system| judge(LAST_MS, system, ClockJudge::Refuse);
        assert!(refused(LAST_MS + YEAR_MS).is_ok());
        let why = refused(LAST_MS + YEAR_MS + 1).unwrap_err().to_string();
        assert!(why.contains("366 days") && why.contains("--accept-clock"), "{why}");
        assert!(judge(LAST_MS, LAST_MS + 2 * YEAR_MS, ClockJudge::Accept).is_ok());
    }

    #[test]
    fn a_clock_behind_and_an_empty_journal_are_no_reason_to_refuse() {
        assert!(judge(LAST_MS, LAST_MS - 2 * YEAR_MS, ClockJudge::Refuse).is_ok());
        assert!(judge(0, LAST_MS, ClockJudge::Refuse).is_ok());
    }
}
