//! Latencies of some part of a run: to be added up over several runs, and read as percentiles.
//! Three digits of precision from a nanosecond to an hour; a few hundred kilobytes.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::fmt;

/// Longest latency told apart from longer ones: an hour.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// From due to answered, one value for each operation that ended.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies(crate::terminals::histogram(LATENCY_NS_MAX))
    }
}

impl Latencies {
    pub(crate) fn record(&mut self, latency_ns: u64) {
        self.0.saturating_record(latency_ns);
    }

    /// Adds those of another run or part.
    pub fn add(&mut self, other: &Latencies) {
        self.0.add(&other.0).expect("all have the same bounds, which are constants");
    }

    /// Their percentiles.
    pub fn percentiles(&self) -> Percentiles {
        Percentiles::of(&self.0)
    }

    pub(crate) fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }
}

/// Percentiles of one histogram, in milliseconds.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Percentiles {
    /// Values recorded.
    pub count: u64,
    /// Mean.
    pub mean_ms: f64,
    /// Median.
    pub p50_ms: f64,
    /// 90 %.
    pub p90_ms: f64,
    /// 99 %.
    pub p99_ms: f64,
    /// 99.9 %.
    pub p999_ms: f64,
    /// 99.99 %.
    pub p9999_ms: f64,
    /// The largest.
    pub max_ms: f64,
}

impl Percentiles {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Percentiles {
        let ms = |ns: u64| ns as f64 / 1e6;
        let quantile = |q| ms(histogram.value_at_quantile(q));
        Percentiles {
            count: histogram.len(),
            mean_ms: histogram.mean() / 1e6,
            p50_ms: quantile(0.5),
            p90_ms: quantile(0.9),
            p99_ms: quantile(0.99),
            p999_ms: quantile(0.999),
            p9999_ms: quantile(0.9999),
            max_ms: ms(histogram.max()),
        }
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>10.3} {:>10.3} {:>10.3} {:>10.3} {:>10.3} {:>10.3}",
            self.p50_ms, self.p90_ms, self.p99_ms, self.p999_ms, self.p9999_ms, self.max_ms
        )
    }
}
