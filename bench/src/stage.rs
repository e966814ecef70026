//! One run of the whole switch: two banks, `yika serve` and terminals as processes; what the terminals saw, and what the
//! switch used in the middle of it.

use crate::city::{
    ACQUIRER_MAC, ACQUIRER_PIN, BANK_MAC, BANK_PIN, DEDUPE_MAX, DEDUPE_WINDOW, LINES, Mac, configuration,
};
use crate::error::BenchError;
use crate::pin::Pinned;
use crate::place::Place;
use crate::process::{Job, Server, Switch, Usage, beside_us};
use crate::report::{Report, Row, figure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a run warms up, and how long it is measured.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

pub(crate) const CONNECTIONS: u32 = 64;
const PIN_SHARE: &str = "20%";

/// What terminals do in a run.
#[derive(Clone, Copy)]
pub(crate) enum Load {
    /// Each connection keeps so many unanswered.
    Window { connections: u32, outstanding: u32 },
    /// So many begin each second, whatever becomes of them.
    Rate(f64),
}

/// What the terminals saw.
pub(crate) struct Seen {
    pub(crate) rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
    errors: u64,
    codes: String,
    verdict: String,
}

impl Seen {
    pub(crate) fn of(report: &Value) -> Result<Seen, BenchError> {
        let number = |path: &str| {
            let found = report.pointer(path).and_then(Value::as_f64);
            found.ok_or_else(|| {
                BenchError::setup("the load generator's report")(&format!("it has no number {path}"))
            })
        };
        let codes = report.pointer("/codes").and_then(Value::as_object);
        let codes = codes.into_iter().flatten().map(|(code, count)| format!("{code}: {count}"));
        Ok(Seen {
            rate: number("/rate")?,
            p50_ms: number("/response/p50_ms")?,
            p90_ms: number("/response/p90_ms")?,
            p99_ms: number("/response/p99_ms")?,
            p999_ms: number("/response/p999_ms")?,
            max_ms: number("/response/max_ms")?,
            errors: number("/errors")? as u64,
            codes: codes.collect::<Vec<_>>().join(", "),
            verdict: report.pointer("/verdict").and_then(Value::as_str).unwrap_or("none").to_owned(),
        })
    }

    /// Latencies; and whatever would make the rate worthless.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "p50 {} p99 {} p99.9 {} ms",
            figure(self.p50_ms),
            figure(self.p99_ms),
            figure(self.p999_ms)
        );
        if self.errors > 0 || !self.codes.starts_with("00: ") || self.codes.contains(',') {
            text += &format!("; {} ERRORS, codes {}", self.errors, self.codes);
        }
        if self.verdict != "pass" {
            text += &format!("; load generator: {}", self.verdict);
        }
        text
    }
}

/// A run against the switch: what the terminals saw, and what the switch used in the middle of it.
pub(crate) struct Run {
    pub(crate) load: Seen,
    before: Sample,
    after: Sample,
    /// System calls of the switch, where they were counted.
    calls_a_second: Option<f64>,
}

struct Sample {
    at: Instant,
    usage: Usage,
    metrics: BTreeMap<String, f64>,
    /// What `OTHERS` used.
    others_ns: [u64; 3],
}

/// Who else is on the stage.
const OTHERS: [&str; 3] = ["terminals", "bank-a", "bank-b"];

impl Sample {
    fn of(switch: &Switch, others_ns: [u64; 3]) -> Result<Sample, BenchError> {
        Ok(Sample { at: Instant::now(), usage: switch.usage(), metrics: switch.metrics()?, others_ns })
    }
}

impl Run {
    fn grew(&self, name: &str) -> f64 {
        let value = |sample: &Sample| sample.metrics.get(name).copied().unwrap_or(0.0);
        value(&self.after) - value(&self.before)
    }

    pub(crate) fn record_bytes(&self) -> usize {
        (self.grew("yika_journal_bytes_total") / self.grew("yika_journal_records_total").max(1.0)) as usize
    }

    /// Time of all threads of the switch on a processor, microseconds a payment.
    pub(crate) fn cpu_us(&self) -> f64 {
        let payments = self.grew("yika_replies_total").max(1.0);
        (self.after.usage.all_ns() - self.before.usage.all_ns()) as f64 / 1e3 / payments
    }

    /// Time of one thread of the switch on a processor, microseconds a payment.
    pub(crate) fn thread_us(&self, name: &str) -> f64 {
        let ns = |sample: &Sample| sample.usage.threads_ns.get(name).copied().unwrap_or(0);
        let payments = self.grew("yika_replies_total").max(1.0);
        ns(&self.after).saturating_sub(ns(&self.before)) as f64 / 1e3 / payments
    }

    /// Time of terminals and banks on a processor, microseconds a payment.
    pub(crate) fn others_us(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let payments = self.grew("yika_replies_total").max(1.0);
        let used = self.before.others_ns.into_iter().zip(self.after.others_ns);
        let us = used.map(move |(before, after)| after.saturating_sub(before) as f64 / 1e3 / payments);
        OTHERS.into_iter().zip(us)
    }

    pub(crate) fn calls_a_payment(&self) -> Option<f64> {
        let seconds = (self.after.at - self.before.at).as_secs_f64();
        Some(self.calls_a_second? * seconds / self.grew("yika_replies_total").max(1.0))
    }

    pub(crate) fn resident_mb(&self) -> f64 {
        self.after.usage.resident_kb as f64 / 1e3
    }

    pub(crate) fn rows(&self, what: &str, report: &mut Report) {
        let payments = self.grew("yika_replies_total").max(1.0);
        let seconds = (self.after.at - self.before.at).as_secs_f64();
        let thread_us = |name: &str| self.thread_us(name);
        let cpu_us = self.cpu_us();
        let switches =
            self.after.usage.voluntary_switches.saturating_sub(self.before.usage.voluntary_switches);
        report
            .add(Row::new("end to end", format!("{what}: CPU of the switch"), cpu_us, "us").beside(format!(
            "a payment; main thread {}, sender {}, journal {}, segments {}; {} voluntary switches, {} turns",
            figure(thread_us("yika")),
            figure(thread_us("sender")),
            figure(thread_us("journal")),
            figure(thread_us("segments")),
            figure(switches as f64 / payments),
            figure(self.grew("yika_turns_total") / payments)
        )));
        let commits = self.grew("yika_journal_commits_total").max(1.0);
        let records = self.grew("yika_journal_records_total");
        report.add(Row::new("end to end", format!("{what}: journal commits"), commits / seconds, "/s").beside(format!(
            "{} records and {} ms each, {} bytes a record; resident {} MB, {} keys in a window of {DEDUPE_WINDOW}, {DEDUPE_MAX} at most",
            figure(records / commits),
            figure(self.grew("yika_journal_commit_seconds_sum") * 1e3 / commits),
            self.record_bytes(),
            figure(self.after.usage.resident_kb as f64 / 1e3),
            figure(self.after.metrics.get("yika_dedupe_keys").copied().unwrap_or(0.0))
        )));
    }
}

/// What a run is made of.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) times: Times,
    pub(crate) mac: Mac,
    pub(crate) load: Load,
    /// Where the switch has its data: None for the folder of the bench.
    pub(crate) data: Option<PathBuf>,
    /// Cards under each of the three test prefixes.
    pub(crate) cards: u32,
    /// Which of the processes share the first core.
    pub(crate) one_core: OneCore,
    pub(crate) watch: Watch,
}

/// What perf does with the switch in the middle of a run. It slows it a little.
#[derive(Clone)]
pub(crate) enum Watch {
    Nothing,
    /// Counts system calls.
    Calls,
    /// Samples stacks into this file.
    Samples(PathBuf),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OneCore {
    Nobody,
    Switch,
    Everybody,
}

impl Scene {
    pub(crate) fn new(times: Times, load: Load) -> Scene {
        Scene {
            times,
            mac: Mac::Cmac,
            load,
            data: None,
            cards: 1000,
            one_core: OneCore::Nobody,
            watch: Watch::Nothing,
        }
    }

    /// # Errors
    /// When a process does not start, or the terminals give no report.
    pub(crate) fn play(&self, place: &Place) -> Result<Run, BenchError> {
        let all = (self.one_core == OneCore::Everybody).then(Pinned::to_first_core).transpose()?;
        let bank_a = bank("bank-a", "iso87-ascii", self.mac)?;
        let bank_b = bank("bank-b", "pos-bcd", self.mac)?;
        // A journal of its own for each run: nothing is inherited from the one before.
        let folder = self.data.clone().unwrap_or_else(|| place.path("switch"));
        let failed = || BenchError::io("prepare", folder.display());
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(failed())?;
        }
        std::fs::create_dir_all(&folder).map_err(failed())?;
        let (config, data) = (folder.join("bench.toml"), folder.join("data"));
        let text = configuration(&data, self.mac, bank_a.address(), bank_b.address());
        std::fs::write(&config, text).map_err(failed())?;
        let alone = (self.one_core == OneCore::Switch).then(Pinned::to_first_core).transpose()?;
        let switch = Switch::start(&config, &data, &folder.join("switch.log"), 2 * LINES)?;
        drop(alone);
        let mac = self.mac.option(ACQUIRER_MAC);
        let job = terminals(switch.listener, self.times, self.load, &mac, ACQUIRER_PIN, self.cards)?;
        drop(all);
        // Ten million cards take a while to make.
        for _ in 0..6000 {
            if switch.metrics()?.get("yika_replies_total").is_some_and(|replies| *replies > 0.0) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(self.times.warm_up + self.times.measured / 10);
        let others = || [job.used_ns(), bank_a.used_ns(), bank_b.used_ns()];
        let before = Sample::of(&switch, others())?;
        let middle = self.times.measured * 8 / 10;
        let mut calls_a_second = None;
        match &self.watch {
            Watch::Nothing => std::thread::sleep(middle),
            Watch::Calls => {
                calls_a_second = switch.system_calls(middle).map(|calls| calls / middle.as_secs_f64());
            }
            // Writing them takes perf a while, and the terminals must still be there.
            Watch::Samples(into) => switch.sample(middle / 2, into)?,
        }
        let after = Sample::of(&switch, others())?;
        Ok(Run { load: Seen::of(&job.finish()?)?, before, after, calls_a_second })
    }
}

pub(crate) fn bank(name: &str, dialect: &str, mac: Mac) -> Result<Server, BenchError> {
    let mac = mac.option(BANK_MAC);
    let arguments = [
        "issuer",
        "--listen",
        "127.0.0.1:0",
        "--name",
        name,
        "--dialect",
        dialect,
        "--mac",
        &mac,
        "--pin-key",
        BANK_PIN,
    ];
    Server::start(&beside_us("yika-loadgen")?, &arguments.map(OsStr::new))
}

pub(crate) fn terminals(
    target: SocketAddr,
    times: Times,
    load: Load,
    mac: &str,
    pin_key: &str,
    cards: u32,
) -> Result<Job, BenchError> {
    let (target, duration) =
        (target.to_string(), format!("{}ms", (times.warm_up + times.measured).as_millis()));
    let warm_up = format!("{}ms", times.warm_up.as_millis());
    let mut arguments =
        vec!["run", "--target", &target, "--mac", mac, "--pin-key", pin_key, "--pin-share", PIN_SHARE];
    arguments.extend(["--duration", &duration, "--warm-up", &warm_up, "--drain", "10s", "--json", "--quiet"]);
    let cards = cards.to_string();
    arguments.extend(["--cards", &cards]);
    let (connections, amount);
    match load {
        Load::Window { connections: count, outstanding } => {
            (connections, amount) = (count.to_string(), outstanding.to_string());
            arguments.extend(["--connections", &connections, "--window", &amount]);
        }
        Load::Rate(rate) => {
            (connections, amount) = (CONNECTIONS.to_string(), format!("{rate:.0}"));
            arguments.extend(["--connections", &connections, "--rate", &amount, "--arrivals", "poisson"]);
            arguments.extend(["--terminals", "20000"]);
        }
    }
    let arguments: Vec<&OsStr> = arguments.into_iter().map(OsStr::new).collect();
    Job::start("yika-loadgen run", &beside_us("yika-loadgen")?, &arguments)
}
