//! What a run found out: live figures, percentiles, counts by code, and the verdict by stated limits.
//!
//! The generator judges itself first: if it was late or offered too little, the run is invalid, not passed.

use crate::latencies::Latencies;
pub use crate::latencies::Percentiles;
use crate::ledger::Ledger;
use crate::run::{Load, RunConfig};
use crate::script::Share;
use crate::terminals::{Metrics, Terminals};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Version of the JSON form of a report.
const VERSION: u32 = 1;

/// The part of the target rate that has to be offered.
const OFFERED_MIN: f64 = 0.99;

/// The part of the p99 limit that the generator's own lag may have.
const LAG_PART_MAX: f64 = 0.1;

/// What a run is judged by; nothing by default.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Limits {
    /// 99 % of requests are answered in this time, from when they were due.
    pub p99_max: Option<Duration>,
    /// The same for 99.9 %.
    pub p999_max: Option<Duration>,
    /// At most this share fails: no decision of an issuer, or given up.
    pub errors_max: Option<Share>,
    /// At least this many per second are answered.
    pub rate_min: Option<f64>,
}

/// Live figures of a run.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Progress {
    /// Since the start.
    pub elapsed_s: f64,
    /// Operations begun.
    pub begun: u64,
    /// Operations ended.
    pub ended: u64,
    /// Of these: approved.
    pub approved: u64,
    /// Declined.
    pub declined: u64,
    /// Reversed, and the reversal acknowledged.
    pub reversed: u64,
    /// Given up: a balance that nobody answered.
    pub unanswered: u64,
    /// Sum of what was approved, fen.
    pub approved_fen: u64,
    /// Without an end yet.
    pub under_way: u64,
    /// Ended per second since the figures before.
    pub rate: f64,
    /// Messages sent again.
    pub repeats: u64,
    /// Due, but no terminal was idle.
    pub skipped: u64,
    /// Connections that are up.
    pub connections_up: u32,
    /// Median from due to answered, ms.
    pub p50_ms: f64,
    /// 99 % from due to answered, ms.
    pub p99_ms: f64,
}

impl Progress {
    pub(crate) fn new(terminals: &Terminals, now_ns: u64, before: &Progress) -> Progress {
        let metrics = &terminals.metrics;
        let elapsed_s = now_ns as f64 / 1e9;
        let since_s = elapsed_s - before.elapsed_s;
        let quantile = |q| metrics.response.histogram().value_at_quantile(q) as f64 / 1e6;
        Progress {
            elapsed_s,
            begun: metrics.begun,
            ended: metrics.ended,
            approved: metrics.approved,
            declined: metrics.declined,
            reversed: metrics.reversed,
            unanswered: metrics.unanswered,
            approved_fen: metrics.approved_fen,
            under_way: u64::from(terminals.under_way()),
            rate: if since_s > 0.0 {
                metrics.ended.saturating_sub(before.ended) as f64 / since_s
            } else {
                0.0
            },
            repeats: metrics.repeats,
            skipped: metrics.skipped,
            connections_up: terminals.lines_up(),
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
        }
    }
}

/// How many requests went out in one turn: bursts flatter throughput and hide latency.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Bursts {
    /// Turns in which requests went out.
    pub turns: u64,
    /// Mean.
    pub mean: f64,
    /// 99 %.
    pub p99: u64,
    /// The largest.
    pub max: u64,
}

/// Why messages found no place: the places to look when answers are missing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Silence {
    /// Frames that are no message of the dialect.
    pub parse_errors: u64,
    /// Connections closed because the stream could not be cut into frames.
    pub frame_errors: u64,
    /// The first of these, in words.
    pub first_error: Option<String>,
    /// Answers without the MAC they have to have.
    pub mac_missing: u64,
    /// Answers whose MAC does not hold.
    pub mac_wrong: u64,
    /// Sign-ons that were refused; nothing is sent on such a connection.
    pub sign_ons_refused: u64,
    /// Answers that belong to nothing we sent (F41, F11, F37 or message type).
    pub unmatched: u64,
    /// Answers to what had been answered or given up already.
    pub late_or_second: u64,
    /// The latest of them, from when the request was sent.
    pub late_ms_max: u64,
    /// Approvals over another amount than was asked.
    pub wrong_amounts: u64,
    /// Messages that we could not encode: a fault of ours.
    pub unwritable: u64,
}

/// The verdict, with its reasons.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict", content = "reasons")]
pub enum Verdict {
    /// All limits are met.
    Pass,
    /// Some are not.
    LimitsNotMet(Vec<String>),
    /// The generator itself was late or slow: the figures say nothing about the target.
    Invalid(Vec<String>),
}

/// The result of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this form.
    pub version: u32,
    /// The load asked for.
    pub load: String,
    /// The mix asked for.
    pub mix: String,
    /// Connections.
    pub connections: u32,
    /// Seconds in which requests began.
    pub duration_s: f64,
    /// Figures at the end.
    pub totals: Progress,
    /// Ended per second of the measured time.
    pub rate: f64,
    /// Requests begun, as a part of those due; open load only.
    pub offered: Option<f64>,
    /// From due to answered: what a customer waits.
    pub response: Percentiles,
    /// From sent to answered: what the target takes.
    pub service: Percentiles,
    /// From due to sent: the generator's own lag.
    pub lag: Percentiles,
    /// Requests per turn.
    pub bursts: Bursts,
    /// Failed: no decision of an issuer, or given up.
    pub errors: u64,
    /// Reversals begun, and answers to them that were no acknowledgement.
    pub reversals: u64,
    /// Answers to reversals that did not acknowledge them.
    pub reversals_refused: u64,
    /// Connections made and lost.
    pub connects: u64,
    /// Connections lost.
    pub disconnects: u64,
    /// Answers by F39.
    pub codes: BTreeMap<String, u64>,
    /// Operations by kind.
    pub kinds: BTreeMap<String, u64>,
    /// Why answers found no place.
    pub silence: Silence,
    /// Judged by the limits.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What `response` is made of, to be added to that of other runs; not part of the JSON form.
    #[serde(skip)]
    pub latencies: Latencies,
    /// What the terminals believe; not part of the JSON form.
    #[serde(skip)]
    pub ledger: Ledger,
}

impl Report {
    pub(crate) fn new(config: &RunConfig, terminals: &Terminals, now_ns: u64, overflowed: u64) -> Report {
        let metrics = &terminals.metrics;
        let duration_s = config.duration.as_secs_f64().min(now_ns as f64 / 1e9);
        let measured_s = (duration_s - config.warm_up.as_secs_f64()).max(f64::MIN_POSITIVE);
        let mut totals = Progress::new(terminals, now_ns, &Progress::default());
        totals.skipped += overflowed;
        let due = metrics.begun + totals.skipped;
        let mut report = Report {
            version: VERSION,
            load: describe(config.load),
            mix: config.mix.to_string(),
            connections: config.connections,
            duration_s,
            rate: metrics.measured as f64 / measured_s,
            offered: offered(config, due, metrics.begun, duration_s),
            response: metrics.response.percentiles(),
            service: Percentiles::of(&metrics.service_ns),
            lag: Percentiles::of(&metrics.lag_ns),
            bursts: bursts(metrics),
            errors: metrics.errors,
            reversals: metrics.reversals,
            reversals_refused: metrics.reversals_refused,
            connects: metrics.connects,
            disconnects: metrics.disconnects,
            codes: metrics.codes(),
            kinds: metrics.kinds(),
            silence: silence(metrics),
            verdict: Verdict::Pass,
            latencies: metrics.response.clone(),
            ledger: terminals.ledger(&config.name),
            totals,
        };
        report.verdict = report.judge(config);
        report
    }

    fn judge(&self, config: &RunConfig) -> Verdict {
        let limits = &config.limits;
        let open = matches!(config.load, Load::Open { .. });
        let mut invalid = Vec::new();
        if self.totals.ended == 0 {
            invalid.push("no operation came to an end: nothing was measured".to_owned());
        }
        if let Some(offered) = self.offered.filter(|offered| *offered < OFFERED_MIN) {
            invalid.push(format!("only {:.1} % of the rate was offered", offered * 100.0));
        }
        if let Some(p99) = limits.p99_max.filter(|_| open) {
            let allowed_ms = p99.as_secs_f64() * 1e3 * LAG_PART_MAX;
            if self.lag.p99_ms > allowed_ms {
                invalid.push(format!(
                    "the generator was {:.3} ms late (p99), allowed are {allowed_ms:.3} ms",
                    self.lag.p99_ms
                ));
            }
        }
        if !invalid.is_empty() {
            return Verdict::Invalid(invalid);
        }
        let mut missed = Vec::new();
        for (name, found_ms, limit) in
            [("p99", self.response.p99_ms, limits.p99_max), ("p99.9", self.response.p999_ms, limits.p999_max)]
        {
            if let Some(limit) = limit.filter(|limit| found_ms > limit.as_secs_f64() * 1e3) {
                missed.push(format!("{name} is {found_ms:.3} ms, the limit is {limit:?}"));
            }
        }
        // What was still open when the run ended has failed as well.
        let (failed, all) = (self.errors + self.totals.under_way, self.totals.ended + self.totals.under_way);
        let errors = Share::per_ten_thousand(
            u32::try_from((failed * 10_000).div_ceil(all.max(1))).unwrap_or(u32::MAX),
        );
        if let Some(limit) = limits.errors_max.filter(|limit| errors > *limit) {
            missed.push(format!("{errors} of the operations failed, the limit is {limit}"));
        }
        if let Some(limit) = limits.rate_min.filter(|limit| self.rate < *limit) {
            missed.push(format!("{:.0} per second were answered, the limit is {limit:.0}", self.rate));
        }
        if missed.is_empty() { Verdict::Pass } else { Verdict::LimitsNotMet(missed) }
    }
}

fn offered(config: &RunConfig, due: u64, begun: u64, duration_s: f64) -> Option<f64> {
    let Load::Open { rate, .. } = config.load else { return None };
    // Poisson arrivals differ from rate times duration by chance: then what was due counts.
    let planned = (rate * duration_s).min(due.max(1) as f64).max(1.0);
    Some((begun as f64 / planned).min(1.0))
}

fn describe(load: Load) -> String {
    match load {
        Load::Open { rate, arrivals, terminals } => {
            format!("open: {rate} per second, {arrivals:?} arrivals, {terminals} terminals")
        }
        Load::Closed { outstanding } => format!("closed: {outstanding} under way on each connection"),
    }
}

fn bursts(metrics: &Metrics) -> Bursts {
    let bursts = &metrics.bursts;
    Bursts {
        turns: bursts.len(),
        mean: bursts.mean(),
        p99: bursts.value_at_quantile(0.99),
        max: bursts.max(),
    }
}

fn silence(metrics: &Metrics) -> Silence {
    Silence {
        parse_errors: metrics.parse_errors,
        frame_errors: metrics.frame_errors,
        first_error: metrics.first_parse_error.clone(),
        mac_missing: metrics.mac_missing,
        mac_wrong: metrics.mac_wrong,
        sign_ons_refused: metrics.sign_ons_refused,
        unmatched: metrics.unmatched,
        late_or_second: metrics.late_or_second,
        late_ms_max: metrics.late_ms_max,
        wrong_amounts: metrics.wrong_amounts,
        unwritable: metrics.unwritable,
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:7.1} s {:>9.0}/s  ended {:>9}  approved {:>9}  declined {:>7}  reversed {:>5}  under way {:>6}  \
             p50 {:.3} ms  p99 {:.3} ms  connections {}",
            self.elapsed_s,
            self.rate,
            self.ended,
            self.approved,
            self.declined,
            self.reversed,
            self.under_way,
            self.p50_ms,
            self.p99_ms,
            self.connections_up
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = &self.totals;
        writeln!(f, "load        {} on {} connections; mix {}", self.load, self.connections, self.mix)?;
        writeln!(f, "answered    {:.0} per second over {:.1} s", self.rate, self.duration_s)?;
        writeln!(
            f,
            "operations  {} begun, {} approved, {} declined, {} reversed, {} unanswered, {} open, {} skipped",
            totals.begun,
            totals.approved,
            totals.declined,
            totals.reversed,
            totals.unanswered,
            totals.under_way,
            totals.skipped
        )?;
        writeln!(f, "latency, ms        p50        p90        p99      p99.9     p99.99        max")?;
        writeln!(f, "  response  {}", self.response)?;
        writeln!(f, "  service   {}", self.service)?;
        writeln!(f, "  own lag   {}", self.lag)?;
        let Bursts { turns, mean, p99, max } = self.bursts;
        writeln!(f, "bursts      mean {mean:.2}, p99 {p99}, max {max} requests in {turns} turns")?;
        writeln!(f, "codes       {:?}", self.codes)?;
        writeln!(f, "kinds       {:?}", self.kinds)?;
        writeln!(
            f,
            "repeats     {}; reversals {}, refused {}",
            totals.repeats, self.reversals, self.reversals_refused
        )?;
        writeln!(f, "connections {} made, {} lost", self.connects, self.disconnects)?;
        if self.silence != Silence::default() {
            writeln!(f, "no place for {:?}", self.silence)?;
        }
        match &self.verdict {
            Verdict::Pass => f.write_str("PASS"),
            Verdict::LimitsNotMet(reasons) => write!(f, "LIMITS NOT MET: {}", reasons.join("; ")),
            Verdict::Invalid(reasons) => write!(f, "INVALID: {}", reasons.join("; ")),
        }
    }
}
