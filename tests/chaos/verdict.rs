//! Is it flat? The median of the first third after the warm-up beside that of the last, each figure with its own
//! tolerance.

use crate::soak::Sample;
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// One figure of the table.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    first: f64,
    last: f64,
    /// The last third may have so much: `first` times a factor and some more.
    allowed: f64,
    /// Why it is not judged.
    not_judged: Option<&'static str>,
}

/// Factor and what may be added: of the allocator's parts, of what comes and goes, of neighbours on the machine.
const MEMORY: (f64, f64) = (1.10, 8.0);
const DESCRIPTORS: (f64, f64) = (1.0, 4.0);
const THREADS: (f64, f64) = (1.0, 0.0);
const P99: (f64, f64) = (1.5, 2.0);
const ENTRIES: (f64, f64) = (1.05, 0.0);
/// A frame fills whole blocks; files grow by segments of 4 MiB.
const FRAMES: (f64, f64) = (1.25, 0.0);

/// The table. `full_after` is when everything that the switch remembers for a time has been full.
pub(crate) fn judge(samples: &[Sample], length: Duration, full_after: Duration) -> Vec<Figure> {
    let long = length >= 2 * full_after;
    let warm_up_s = if long { full_after } else { length / 5 }.as_secs_f64();
    let warm: Vec<Sample> = samples.iter().copied().filter(|sample| sample.at_s > warm_up_s).collect();
    let third = warm.len() / 3;
    let (first, last) = (&warm[..third], &warm[warm.len() - third..]);
    let medians = |of: fn(&Sample) -> f64| (median(first, of), median(last, of));
    // A disk that others make slower makes us slower too; one that is faster excuses nothing.
    let (sync_first, sync_last) = medians(|sample| sample.sync_ms);
    let slowdown = if sync_first > 0.0 { (sync_last / sync_first).max(1.0) } else { 1.0 };
    let short = Some("the run is shorter than 10 min: what it remembers is still growing");
    let mut figures = vec![
        Figure::new("memory, MiB", medians(|sample| sample.memory_mib), MEMORY),
        Figure::new(
            "descriptors",
            medians(|sample| sample.descriptors.map_or(0.0, |count| count as f64)),
            DESCRIPTORS,
        ),
        Figure::new("threads", medians(|sample| sample.threads as f64), THREADS),
        Figure::new("p99, ms", medians(|sample| sample.p99_ms), (P99.0 * slowdown, P99.1)),
        Figure::new("entries, bytes a payment", (entries(first), entries(last)), ENTRIES),
        Figure::new("beyond, bytes a commit", (frames(first), frames(last)), FRAMES),
        Figure::new("one block beside it, ms", (sync_first, sync_last), (1.0, 0.0)),
    ];
    figures[0].not_judged = short.filter(|_| !long);
    if samples.iter().any(|sample| sample.descriptors.is_none()) {
        figures[1].not_judged = Some("only root may count them");
    }
    figures[6].not_judged = Some("the machine's own; p99 is allowed as much more as this grew");
    figures
}

impl Figure {
    fn new(name: &'static str, (first, last): (f64, f64), (factor, more): (f64, f64)) -> Figure {
        Figure { name, first, last, allowed: first * factor + more, not_judged: None }
    }

    pub(crate) fn holds(&self) -> bool {
        self.not_judged.is_some() || self.last <= self.allowed
    }

    pub(crate) fn header() -> String {
        format!("{:<26} {:>11} {:>11} {:>11}", "", "first third", "last third", "allowed")
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "name": self.name, "first_third": self.first, "last_third": self.last, "allowed": self.allowed,
            "holds": self.holds(), "not_judged": self.not_judged,
        })
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figure { name, first, last, allowed, .. } = self;
        let word = match (self.not_judged, self.holds()) {
            (Some(why), _) => format!("not judged: {why}"),
            (None, true) => "flat".to_owned(),
            (None, false) => "GROWN".to_owned(),
        };
        write!(f, "{name:<26} {first:>11.2} {last:>11.2} {allowed:>11.2}  {word}")
    }
}

fn median(samples: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Bytes of entries for each payment.
fn entries(samples: &[Sample]) -> f64 {
    let payments: u64 = samples.iter().skip(1).map(|sample| sample.payments).sum();
    grown(samples, |sample| sample.entry_bytes) / payments.max(1) as f64
}

/// Bytes of files beyond those of entries, for each commit: how many payments share one depends on the machine.
fn frames(samples: &[Sample]) -> f64 {
    let beyond = grown(samples, |sample| sample.journal_bytes) - grown(samples, |sample| sample.entry_bytes);
    beyond.max(0.0) / grown(samples, |sample| sample.commits).max(1.0)
}

/// From the first sample to the last.
fn grown(samples: &[Sample], of: fn(&Sample) -> u64) -> f64 {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return 0.0 };
    of(last).saturating_sub(of(first)) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twenty minutes of samples.
    fn samples(of: impl Fn(u32) -> (f64, u64)) -> Vec<Sample> {
        let sample = |number: u32| {
            let (memory_mib, journal_bytes) = of(number);
            let at_s = f64::from(number) * 10.0;
            let (payments, descriptors, threads) = (20_000, Some(30), 8);
            let (p50_ms, p99_ms, max_ms, sync_ms) = (1.0, 4.0, 20.0, 0.5);
            Sample {
                at_s,
                payments,
                memory_mib,
                descriptors,
                threads,
                journal_bytes,
                entry_bytes: journal_bytes / 4,
                commits: 1000 * u64::from(number),
                p50_ms,
                p99_ms,
                max_ms,
                sync_ms,
            }
        };
        (1..=120).map(sample).collect()
    }

    fn names(samples: &[Sample]) -> Vec<&'static str> {
        let figures = judge(samples, Duration::from_secs(1200), Duration::from_secs(150));
        figures.into_iter().filter(|figure| !figure.holds()).map(|figure| figure.name).collect()
    }

    #[test]
    fn what_stays_is_flat_and_what_creeps_is_found() {
        assert!(names(&samples(|n| (100.0, u64::from(n) << 23))).is_empty());
        assert_eq!(names(&samples(|n| (100.0 + f64::from(n) / 2.0, u64::from(n) << 23))), ["memory, MiB"]);
        let square = |n: u32| (100.0, u64::from(n * n) << 16);
        assert_eq!(names(&samples(square)), ["entries, bytes a payment", "beyond, bytes a commit"]);
    }

    #[test]
    fn a_slower_p99_is_found_unless_the_disk_itself_became_slower() {
        let mut slower = samples(|n| (100.0, u64::from(n) << 23));
        slower[60..].iter_mut().for_each(|sample| sample.p99_ms = 12.0);
        assert_eq!(names(&slower), ["p99, ms"]);
        slower[60..].iter_mut().for_each(|sample| sample.sync_ms = 1.5);
        assert!(names(&slower).is_empty());
    }

    #[test]
    fn the_time_before_the_window_is_full_does_not_count() {
        assert!(names(&samples(|n| (if n < 15 { 10.0 } else { 100.0 }, u64::from(n) << 23))).is_empty());
    }
}
