//! The wall time that batches carry. It never runs backwards and never stands still, so that an F11 that comes round
//! again does so under another F7 (rule 1). A clock that was set back is not followed: until it has caught up, wall
//! time runs on at half its speed. One that jumps ahead is told of and followed: nothing here could know better.

use crate::core::effect::Alarm;
use crate::core::ids::Now;

pub(super) struct WallClock {
    wall_ms: u64,
    /// The monotonic clock when `wall_ms` was right.
    moved_us: u64,
    /// What was given last: it comes back where one step of the driver calls another.
    given: Option<Now>,
    /// The system clock is behind ours, and that was told.
    is_back: bool,
}

/// A clock that is moved ahead by more than this at once is told of, milliseconds.
const AHEAD_MS: u64 = 10_000;
/// One that is set back by more than this.
const BACK_MS: u64 = 1_000;
/// Milliseconds that must pass for one of ours while the system clock is behind. Half speed: an hour set back is
/// caught up after two, and 999,999 trace numbers would have to be used up within two seconds to meet their F7 again.
const SLOW: u64 = 2;

impl WallClock {
    /// Goes on from the later of what the journal knows and what the system says.
    pub(super) fn new(durable_ms: u64, now: Now) -> WallClock {
        WallClock { wall_ms: durable_ms.max(now.wall_ms), moved_us: now.mono_us, given: None, is_back: false }
    }

    /// `now` with our wall time, and what is to be told of the system's.
    pub(super) fn forward(&mut self, now: Now) -> (Now, Option<Alarm>) {
        if self.given == Some(now) {
            return (now, None);
        }
        let passed_us = now.mono_us.saturating_sub(self.moved_us);
        let alarm = if now.wall_ms >= self.wall_ms {
            let ahead_ms = (now.wall_ms - self.wall_ms).saturating_sub(passed_us / 1000);
            (self.wall_ms, self.moved_us, self.is_back) = (now.wall_ms, now.mono_us, false);
            (ahead_ms > AHEAD_MS).then_some(Alarm::ClockAhead { by_ms: ahead_ms })
        } else {
            let by_ms = self.wall_ms - now.wall_ms;
            let tell = by_ms > BACK_MS && !self.is_back;
            self.is_back |= tell;
            // What is left of a step counts in the next.
            let steps = passed_us / (SLOW * 1000);
            self.wall_ms += steps;
            self.moved_us += steps * SLOW * 1000;
            tell.then_some(Alarm::ClockBack { by_ms })
        };
        let given = Now { wall_ms: self.wall_ms, ..now };
        self.given = Some(given);
        (given, alarm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON_MS: u64 = 1_795_476_615_000;

    fn at(mono_ms: u64, wall_ms: u64) -> Now {
        Now { mono_us: mono_ms * 1000, wall_ms }
    }

    #[test]
    fn a_clock_set_back_is_told_once_and_caught_up_with_at_half_speed() {
        let mut clock = WallClock::new(0, at(1, NOON_MS));
        let mut told = 0;
        let mut last = NOON_MS;
        // Ten seconds back; a turn each millisecond: no remainder of a step may be lost.
        for ms in 1..=20_000 {
            let (now, alarm) = clock.forward(at(1 + ms, NOON_MS - 10_000 + ms));
            assert!(now.wall_ms >= last);
            assert_eq!(clock.forward(now).0, now, "what it gave is no other clock");
            last = now.wall_ms;
            told += u32::from(matches!(alarm, Some(Alarm::ClockBack { .. })));
        }
        assert_eq!((told, last), (1, NOON_MS + 10_000), "caught up after twice the time it was set back by");
        let (now, alarm) = clock.forward(at(20_101, NOON_MS + 10_100));
        assert_eq!(now.wall_ms, NOON_MS + 10_100);
        assert!(alarm.is_none(), "followed again, and nothing to tell");
    }

    #[test]
    fn wall_time_moves_on_behind_what_the_journal_knows() {
        let mut clock = WallClock::new(NOON_MS + 3_600_000, at(1, NOON_MS));
        let (first, alarm) = clock.forward(at(1, NOON_MS));
        assert_eq!(first.wall_ms, NOON_MS + 3_600_000);
        assert!(matches!(alarm, Some(Alarm::ClockBack { by_ms: 3_600_000 })));
        let (later, _) = clock.forward(at(2_001, NOON_MS + 2_000));
        assert_eq!(later.wall_ms, first.wall_ms + 1_000, "another F7");
    }

    #[test]
    fn a_jump_ahead_is_told_and_time_that_passed_is_none() {
        let mut clock = WallClock::new(0, at(1, NOON_MS));
        assert!(clock.forward(at(60_001, NOON_MS + 60_000)).1.is_none());
        let (now, alarm) = clock.forward(at(60_002, NOON_MS + 120_001));
        assert_eq!(now.wall_ms, NOON_MS + 120_001);
        assert!(matches!(alarm, Some(Alarm::ClockAhead { by_ms: 60_000 })));
    }
}
