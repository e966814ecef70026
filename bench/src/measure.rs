//! Time per operation: several repeats, the best and the median. The best says what the code costs, the median
//! what it costs on this machine now.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) best_ns: f64,
    pub(crate) median_ns: f64,
}

/// Long enough that reading the clock does not count.
const REPEAT: Duration = Duration::from_millis(8);
const REPEATS: usize = 21;
const REPEATS_QUICK: usize = 7;

/// What one `op` costs.
pub(crate) fn cost(quick: bool, mut op: impl FnMut()) -> Cost {
    let mut count = 1u32;
    let mut took = time(count, &mut op);
    while took < REPEAT / 2 && count < 1 << 28 {
        count *= 2;
        took = time(count, &mut op);
    }
    let repeats = if quick { REPEATS_QUICK } else { REPEATS };
    let per_op = (0..repeats).map(|_| time(count, &mut op).as_nanos() as f64 / f64::from(count));
    Cost::of(per_op.collect())
}

impl Cost {
    /// Of the costs that several repeats had; zeros when there was none.
    pub(crate) fn of(mut repeats_ns: Vec<f64>) -> Cost {
        repeats_ns.sort_by(f64::total_cmp);
        let at = |at: usize| repeats_ns.get(at).copied().unwrap_or(0.0);
        Cost { best_ns: at(0), median_ns: at(repeats_ns.len() / 2) }
    }
}

fn time(count: u32, op: &mut impl FnMut()) -> Duration {
    let began = Instant::now();
    for _ in 0..count {
        op();
    }
    began.elapsed()
}

/// The quantile `q` of times in nanoseconds, in microseconds; sorts them.
pub(crate) fn quantile_us(times_ns: &mut [u64], q: f64) -> f64 {
    times_ns.sort_unstable();
    let at = (times_ns.len() as f64 * q) as usize;
    times_ns.get(at.min(times_ns.len().saturating_sub(1))).map_or(0.0, |ns| *ns as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle_and_the_best_in_front() {
        let cost = Cost::of(vec![3.0, 1.0, 9.0, 2.0, 4.0]);
        assert_eq!((cost.best_ns, cost.median_ns), (1.0, 3.0));
        assert_eq!(Cost::of(Vec::new()).best_ns, 0.0);
    }

    #[test]
    fn quantiles_are_of_the_sorted_times() {
        let mut times: Vec<u64> = (1..=100).rev().map(|n| n * 1000).collect();
        assert_eq!(quantile_us(&mut times, 0.5), 51.0);
        assert_eq!(quantile_us(&mut times, 0.99), 100.0);
        assert_eq!(quantile_us(&mut [], 0.5), 0.0);
    }
}
