//! When requests are due, and the thread that says so.
//!
//! The schedule is absolute: a late start of one request moves no other. The thread sleeps to the moment and never
//! asks a socket; what it hands over is only the due time. It spins only where that costs little of a core.

use crossbeam::queue::ArrayQueue;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::thread::{ClockId, Timespec, clock_nanosleep_relative, set_current_timer_slack};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How requests follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Arrivals {
    /// At equal distances.
    #[default]
    Even,
    /// Independently, as customers come: exponential distances.
    Poisson,
}

/// The due times of a run, in nanoseconds from its start; endless.
pub(crate) struct Schedule {
    interval_ns: f64,
    at_ns: f64,
    random: Option<StdRng>,
}

impl Schedule {
    pub(crate) fn new(rate_per_s: f64, arrivals: Arrivals, seed: u64) -> Schedule {
        let random = (arrivals == Arrivals::Poisson).then(|| StdRng::seed_from_u64(seed));
        Schedule { interval_ns: 1e9 / rate_per_s, at_ns: 0.0, random }
    }
}

impl Iterator for Schedule {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let due = self.at_ns;
        let factor = match &mut self.random {
            // A draw lies in 0..1, so the logarithm is of a number above 0.
            Some(random) => -(1.0 - random.random::<f64>()).ln(),
            None => 1.0,
        };
        self.at_ns += self.interval_ns * factor;
        Some(due as u64)
    }
}

/// What the pacing thread and the sockets share.
pub(crate) struct Ring {
    pub(crate) due: ArrayQueue<u64>,
    pub(crate) kick: Notify,
    pub(crate) stop: AtomicBool,
    /// Requests that found the ring full.
    pub(crate) overflowed: AtomicU64,
    /// Set when the schedule has ended.
    pub(crate) ended: AtomicBool,
}

/// Requests that are due and not yet taken; a quarter of a second at 250,000 per second.
const RING_MAX: usize = 1 << 16;

/// The thread sleeps up to this long before the moment and then spins, when the gaps are wide.
const SPIN: Duration = Duration::from_micros(50);

/// Gaps from which on spinning is worth it: at most a quarter of a core goes into it.
const SPIN_GAP_MIN_NS: f64 = 200_000.0;

/// Shorter sleeps than this end late by more than they last.
const SLEEP_MIN: Duration = Duration::from_micros(20);

impl Ring {
    pub(crate) fn new() -> Arc<Ring> {
        Arc::new(Ring {
            due: ArrayQueue::new(RING_MAX),
            kick: Notify::new(),
            stop: AtomicBool::new(false),
            overflowed: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        })
    }
}

/// Hands over each due time when it has come, until `end_ns` or until told to stop. Runs in its own thread.
pub(crate) fn keep(mut schedule: Schedule, epoch: Instant, end_ns: u64, ring: &Ring) {
    // Without it the kernel may wake us 50 us late (the default slack); it only makes a better clock.
    let _slack = set_current_timer_slack(NonZeroU64::new(1));
    let spins = schedule.interval_ns >= SPIN_GAP_MIN_NS;
    let mut next = schedule.next().unwrap_or(u64::MAX);
    while next < end_ns && !ring.stop.load(Ordering::Relaxed) {
        let now = elapsed_ns(epoch);
        let mut handed_over = false;
        while next <= now && next < end_ns {
            if ring.due.push(next).is_err() {
                ring.overflowed.fetch_add(1, Ordering::Relaxed);
            }
            handed_over = true;
            next = schedule.next().unwrap_or(u64::MAX);
        }
        if handed_over {
            ring.kick.notify_one();
        }
        wait(epoch, next.min(end_ns), spins);
    }
    ring.ended.store(true, Ordering::Release);
    ring.kick.notify_one();
}

fn wait(epoch: Instant, due_ns: u64, spins: bool) {
    // A run can be stopped: no sleep is longer than this.
    const SLEEP_MAX: Duration = Duration::from_millis(20);
    let left = Duration::from_nanos(due_ns.saturating_sub(elapsed_ns(epoch)));
    if left > SLEEP_MAX {
        sleep(SLEEP_MAX);
        return;
    }
    if !spins {
        sleep(left.max(SLEEP_MIN));
        return;
    }
    if left > SPIN {
        sleep(left - SPIN);
    }
    while elapsed_ns(epoch) < due_ns {
        std::hint::spin_loop();
    }
}

fn sleep(duration: Duration) {
    let request = Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    };
    // Woken early by a signal: the caller looks at the clock again.
    let _interrupted = clock_nanosleep_relative(ClockId::Monotonic, &request);
}

pub(crate) fn elapsed_ns(epoch: Instant) -> u64 {
    u64::try_from(epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_schedule_does_not_drift() {
        let due: Vec<u64> = Schedule::new(3.0, Arrivals::Even, 0).take(3_000_001).collect();
        assert_eq!(due[0], 0);
        assert!(due[3_000_000].abs_diff(1_000_000 * 1_000_000_000) < 1_000_000);
        assert!(due.windows(2).all(|pair| (333_333_000..333_334_000).contains(&(pair[1] - pair[0]))));
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread_of_exponential_gaps() {
        let due: Vec<u64> = Schedule::new(1000.0, Arrivals::Poisson, 7).take(100_001).collect();
        let gaps: Vec<f64> = due.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e6).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        assert!((0.98..1.02).contains(&mean), "{mean}");
        // An exponential gap is longer than its mean with a probability of 1/e.
        let long = gaps.iter().filter(|gap| **gap > 1.0).count() as f64 / gaps.len() as f64;
        assert!((0.36..0.376).contains(&long), "{long}");
        let again: Vec<u64> = Schedule::new(1000.0, Arrivals::Poisson, 7).take(100_001).collect();
        assert_eq!(due, again);
    }

    #[test]
    fn the_thread_hands_over_each_due_time_once_and_in_order() {
        let ring = Ring::new();
        keep(Schedule::new(20_000.0, Arrivals::Even, 0), Instant::now(), 50_000_000, &ring);
        assert!(ring.ended.load(Ordering::Acquire));
        let due: Vec<u64> = std::iter::from_fn(|| ring.due.pop()).collect();
        assert_eq!(due.len(), 1000);
        assert!(due.windows(2).all(|pair| pair[1] - pair[0] == 50_000));
    }
}
