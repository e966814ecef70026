//! How long it is known what came, so that it cannot become something new when it comes again. An operator may change the
//! length; a longer window does not bring back what a shorter one has let go.

use serde::{Deserialize, Serialize};

/// How far a device's clock may be ahead of ours. It is part of what a journal means: another number would replay to
/// another state.
pub const AHEAD_MAX_MS: u64 = 5 * 60 * 1000;

/// A window in milliseconds of wall time, and the shorter one before it for as long as that still matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Window {
    length_ms: u64,
    /// What was made before this moment is known for `before_ms` only.
    since_ms: u64,
    before_ms: u64,
}

impl Window {
    /// The window is so long from now on, for what is made from `since_ms` on. The first length of a journal follows none.
    pub(super) fn set(&mut self, length_ms: u64, since_ms: u64, now_ms: u64) {
        if length_ms > self.length_ms && self.length_ms != 0 {
            let one_before_matters = self.since_ms.saturating_add(self.length_ms) > now_ms;
            let before = if one_before_matters { self.before_ms } else { u64::MAX };
            self.before_ms = before.min(self.length_ms);
            self.since_ms = since_ms;
        }
        self.length_ms = length_ms;
    }

    pub fn length_ms(&self) -> u64 {
        self.length_ms
    }

    /// Whether what was made then would still be known, had it come.
    pub fn holds(&self, made_ms: u64, now_ms: u64) -> bool {
        let age_ms = now_ms.saturating_sub(made_ms);
        age_ms < self.length_ms && (made_ms >= self.since_ms || age_ms < self.before_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_longer_window_begins_when_it_is_set() {
        let mut window = Window::default();
        assert!(!window.holds(0, 0));
        window.set(10, 100, 100);
        assert!(
            window.holds(50, 59) && !window.holds(50, 60),
            "before the first length everything is as after it"
        );
        window.set(100, 1000, 1000);
        assert!(
            window.holds(995, 1004) && !window.holds(995, 1005),
            "made before: as long as the window was then"
        );
        assert!(window.holds(1000, 1099) && !window.holds(1000, 1100));
        window.set(20, 1050, 1050);
        assert!(!window.holds(1000, 1050) && window.holds(1040, 1050));
        window.set(100, 1055, 1055);
        assert!(window.holds(1040, 1059) && !window.holds(1040, 1060), "let go by the short one between");
        assert_eq!(window.length_ms(), 100);
    }

    proptest! {
        /// Whatever an operator does, what the window holds was never forgotten: each thing comes at most `AHEAD` before
        /// it is made, by a clock that is ahead, and is kept for the length of that moment and `AHEAD` more.
        #[test]
        fn what_it_holds_is_known(
            lengths in proptest::collection::vec((1u64..40, 1u64..50), 1..8),
            came in 0u64..300,
            ahead in 0..=AHEAD,
            age in 0u64..60,
        ) {
            let (made_ms, now_ms) = (came + ahead, came + ahead + age);
            let (mut window, mut at_ms, mut kept_ms) = (Window::default(), 0, None);
            for (length_ms, after_ms) in lengths {
                if at_ms > now_ms {
                    break;
                }
                window.set(length_ms, at_ms + AHEAD, at_ms);
                if at_ms <= came {
                    kept_ms = Some(length_ms + AHEAD);
                }
                at_ms += after_ms;
            }
            let is_known = kept_ms.is_some_and(|kept_ms| now_ms < came + kept_ms);
            prop_assert!(!window.holds(made_ms, now_ms) || is_known);
        }
    }

    const AHEAD: u64 = 7;
}
