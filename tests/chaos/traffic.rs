//! Load in both dialects at once, and what its terminals were told.

use std::time::{Duration, Instant};
use yika_loadgen::ledger::State;
use yika_loadgen::{Arrivals, Latencies, Load, Policy, Report, RunHandle, run};
use yika_tests::city::City;
use yika_tests::process::comes_true;

/// Connections in each dialect.
const CONNECTIONS: u32 = 8;
pub(crate) const SESSIONS: usize = 2 * CONNECTIONS as usize;

/// What is unanswered has come to its end by then: a terminal repeats three times after 1.5 s, then reverses.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// Longer than any run: a run is stopped, it does not end by its time.
const DURATION_MAX: Duration = Duration::from_secs(86_400);

const ISO_MIX: &str = "purchase=71,coupon=8,void=3,refund=3,pre-auth=4,completion=3,pre-auth-cancel=1,completion-cancel=2,\
                       reversal=3,advice=2";
const POS_MIX: &str =
    "purchase=83,void=4,refund=3,pre-auth=3,completion=2,pre-auth-cancel=1,completion-cancel=1,reversal=3";

/// Traffic under way.
pub(crate) struct Traffic {
    runs: Vec<RunHandle>,
    began: Instant,
}

/// What came of it.
pub(crate) struct Flowed {
    pub(crate) reports: Vec<Report>,
    pub(crate) time: Duration,
}

impl Traffic {
    /// Begins: two thirds in iso87-ascii, one in pos-bcd.
    pub(crate) fn begin(city: &City, rate_per_s: u64, seed: u64) -> Result<Traffic, String> {
        let total = rate_per_s as f64;
        let start = |dialect: &str, rate: f64, mix: &str| {
            let mut config = city.terminals(dialect);
            config.connections = CONNECTIONS;
            // In two seconds without an answer every terminal is busy; what is due then is skipped.
            let terminals = (rate * 2.0) as u32 + CONNECTIONS;
            config.load = Load::Open { rate, arrivals: Arrivals::Poisson, terminals };
            config.duration = DURATION_MAX;
            config.mix = mix.parse().map_err(|e| format!("the mix: {e}"))?;
            let (answer_timeout, retry_pause) = (Duration::from_millis(1500), Duration::from_millis(200));
            config.policy = Policy { answer_timeout, repeats: 3, retry_pause };
            config.seed = seed;
            run::start(config).map_err(|e| format!("no load: {e}"))
        };
        let runs =
            vec![start("iso87-ascii", total * 2.0 / 3.0, ISO_MIX)?, start("pos-bcd", total / 3.0, POS_MIX)?];
        Ok(Traffic { runs, began: Instant::now() })
    }

    /// Approved so far.
    pub(crate) fn approved(&self) -> u64 {
        self.runs.iter().map(RunHandle::approved).sum()
    }

    /// Waits until `count` more are approved.
    pub(crate) fn flows(&self, count: u64) -> Result<(), String> {
        let before = self.approved();
        if comes_true(ANSWERED_WITHIN, || self.approved() >= before + count) {
            return Ok(());
        }
        Err(format!("no {count} payments were approved within {ANSWERED_WITHIN:?}: {}", self.progress()))
    }

    /// Every connection is reset.
    pub(crate) fn cut(&self) {
        self.runs.iter().for_each(RunHandle::cut_connections);
    }

    /// Operations ended, and latencies since the last time.
    pub(crate) fn interval(&self) -> Option<Latencies> {
        let mut sum = Latencies::default();
        for run in &self.runs {
            sum.add(&run.interval()?);
        }
        Some(sum)
    }

    /// Nothing new begins; what is under way comes to its end.
    pub(crate) fn stop(self) -> Result<Flowed, String> {
        let time = self.began.elapsed();
        self.runs.iter().for_each(RunHandle::stop_new_traffic);
        let all = comes_true(ANSWERED_WITHIN, || self.runs.iter().all(RunHandle::is_done));
        let progress = self.progress();
        let reports: Result<Vec<Report>, _> =
            self.runs.into_iter().map(|run| run.finish(Duration::ZERO)).collect();
        let reports = reports.map_err(|e| e.to_string())?;
        if all {
            return Ok(Flowed { reports, time });
        }
        let entries = reports.iter().flat_map(|report| &report.ledger.entries);
        let open: Vec<_> = entries.filter(|entry| entry.state == State::Open).take(3).collect();
        Err(format!(
            "not everything is answered {ANSWERED_WITHIN:?} after the last request: {progress}; such as {open:?}"
        ))
    }

    fn progress(&self) -> String {
        let lines = self.runs.iter().map(|run| run.progress().to_string());
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Flowed {
    /// Operations that came to an end.
    pub(crate) fn payments(&self) -> u64 {
        self.reports.iter().map(|report| report.totals.ended).sum()
    }

    /// Of these, without a decision of a bank.
    pub(crate) fn failed(&self) -> u64 {
        self.reports.iter().map(|report| report.errors).sum()
    }

    pub(crate) fn latencies(&self) -> Latencies {
        let mut sum = Latencies::default();
        self.reports.iter().for_each(|report| sum.add(&report.latencies));
        sum
    }

    /// Answers with this code.
    pub(crate) fn answered(&self, code: &str) -> u64 {
        self.reports.iter().filter_map(|report| report.codes.get(code)).sum()
    }

    pub(crate) fn disconnects(&self) -> u64 {
        self.reports.iter().map(|report| report.disconnects).sum()
    }

    pub(crate) fn repeats(&self) -> u64 {
        self.reports.iter().map(|report| report.totals.repeats).sum()
    }
}
