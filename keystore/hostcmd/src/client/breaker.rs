//! The circuit breaker of an address: after some failures in a row nobody connects there for a while; then one tries.
//!
//! ```text
//! closed --failures_max in a row--> open --open_for--> probing --works--> closed
//!                                     ^----------- fails -----'
//! ```
//! It has no clock: the time is told.

use std::time::{Duration, Instant};

pub(super) struct Breaker {
    state: State,
    failures: u32,
    failures_max: u32,
    open_for: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant },
    Probing,
}

/// What whoever wants to connect may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permission {
    /// Connect.
    Go,
    /// Ask again after this time.
    Wait(Duration),
}

impl Breaker {
    pub(super) fn new(failures_max: u32, open_for: Duration) -> Breaker {
        Breaker { state: State::Closed, failures: 0, failures_max, open_for }
    }

    pub(super) fn ask(&mut self, now: Instant) -> Permission {
        match self.state {
            State::Closed => Permission::Go,
            State::Open { until } if now < until => Permission::Wait(until - now),
            State::Open { .. } => {
                self.state = State::Probing;
                Permission::Go
            }
            // Whoever tries tells soon how it went.
            State::Probing => Permission::Wait(self.open_for / 4),
        }
    }

    /// It did work.
    pub(super) fn worked(&mut self) {
        (self.state, self.failures) = (State::Closed, 0);
    }

    /// A connection was made: enough to close an open circuit, and not enough to forget failures of the closed one.
    pub(super) fn connected(&mut self) {
        if self.state != State::Closed {
            self.worked();
        }
    }

    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if self.state == State::Probing || self.state == State::Closed && self.failures >= self.failures_max {
            self.state = State::Open { until: now + self.open_for };
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.state != State::Closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(8);

    #[test]
    fn it_opens_after_failures_in_a_row_and_one_probe_closes_it() {
        let (mut breaker, now) = (Breaker::new(3, OPEN_FOR), Instant::now());
        for _ in 0..2 {
            breaker.failed(now);
            assert_eq!((breaker.ask(now), breaker.is_open()), (Permission::Go, false));
        }
        breaker.worked();
        for _ in 0..2 {
            breaker.failed(now);
            breaker.connected();
        }
        assert!(!breaker.is_open(), "two in a row since it worked");
        breaker.failed(now);
        assert!(breaker.is_open(), "connecting alone does not make up for failures");
        let later = now + Duration::from_secs(5);
        assert_eq!(breaker.ask(later), Permission::Wait(Duration::from_secs(3)));
        breaker.failed(later);
        assert_eq!(
            breaker.ask(later),
            Permission::Wait(Duration::from_secs(3)),
            "what fails late does not prolong it"
        );
        assert_eq!(breaker.ask(now + OPEN_FOR), Permission::Go);
        assert_eq!(breaker.ask(now + OPEN_FOR), Permission::Wait(OPEN_FOR / 4), "one probe at a time");
        breaker.failed(now + OPEN_FOR);
        assert_eq!(breaker.ask(now + OPEN_FOR), Permission::Wait(OPEN_FOR));
        assert_eq!(breaker.ask(now + OPEN_FOR * 2), Permission::Go);
        breaker.connected();
        assert_eq!((breaker.is_open(), breaker.ask(now)), (false, Permission::Go));
    }
}
