//! The whole switch as processes: terminals, the switch, two banks; and the same terminals and banks with a bare
//! relay in the switch's place. The ratio of the two is what a budget can ask for on any machine.

use crate::city::{
    ACQUIRER_MAC, ACQUIRER_PIN, BANK_MAC, BANK_PIN, DEDUPE_MAX, DEDUPE_WINDOW, LINES, Mac, configuration,
};
use crate::error::BenchError;
use crate::machine::Bare;
use crate::measure::quantile_us;
use crate::place::Place;
use crate::process::{Job, Server, Switch, Usage, beside_us};
use crate::report::{Budget, Report, Row, figure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a run warms up, and how long it is measured.
#[derive(Clone, Copy)]
struct Times {
    warm_up: Duration,
    measured: Duration,
}

const CONNECTIONS: u32 = 64;
const PIN_SHARE: &str = "20%";

/// What terminals do in a run.
#[derive(Clone, Copy)]
enum Load {
    /// Each connection keeps so many unanswered.
    Window { connections: u32, outstanding: u32 },
    /// So many begin each second, whatever becomes of them.
    Rate(f64),
}

/// Which bare relay.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Relay {
    Plain,
    Durable { record_bytes: usize },
}

pub(crate) fn run(place: &Place, quick: bool, report: &mut Report) -> Result<(), BenchError> {
    let times = match quick {
        true => Times { warm_up: Duration::from_millis(500), measured: Duration::from_secs(2) },
        false => Times { warm_up: Duration::from_secs(1), measured: Duration::from_secs(5) },
    };
    one_outstanding(place, times, report)?;
    let mut half_of = 0.0;
    // A look asks for the load that the budget speaks of.
    let loads: &[u32] = if quick { &[16] } else { &[1, 16, 64] };
    for &outstanding in loads {
        let load = Load::Window { connections: CONNECTIONS, outstanding };
        let switch = switch_run(place, times, Mac::Cmac, load)?;
        let record_bytes = switch.record_bytes();
        let durable = relay_run(place, times, load, Relay::Durable { record_bytes })?;
        let plain = relay_run(place, times, load, Relay::Plain)?;
        let what = format!("{CONNECTIONS} x {outstanding}");
        let mut row = Row::new("end to end", format!("{what}: durable payments"), switch.load.rate, "/s");
        if outstanding == 16 {
            half_of = switch.load.rate / 2.0;
            row = row.budget(Budget::AtLeast(60_000.0));
        }
        report.add(row.beside(switch.load.text()));
        switch.rows(&what, report);
        let of_durable = switch.load.rate / durable.rate;
        let ratio = Row::new("end to end", format!("{what}: ratio to the durable relay"), of_durable, "");
        let ratio = if outstanding == 16 { ratio.budget(Budget::AtLeast(0.6)) } else { ratio };
        report.add(ratio.beside(format!("of the bare relay {}", figure(switch.load.rate / plain.rate))));
        let beside = format!("{}, {record_bytes} bytes a record", durable.text());
        report
            .add(Row::new("end to end", format!("{what}: durable relay"), durable.rate, "/s").beside(beside));
        report.add(
            Row::new("end to end", format!("{what}: bare relay"), plain.rate, "/s").beside(plain.text()),
        );
    }
    if !quick {
        let load = Load::Window { connections: CONNECTIONS, outstanding: 16 };
        let retail = switch_run(place, times, Mac::Retail, load)?;
        let row = Row::new("end to end", "64 x 16 with retail MAC: durable payments", retail.load.rate, "/s");
        report.add(row.beside(retail.load.text()));
    }
    let open = switch_run(place, times, Mac::Cmac, Load::Rate(half_of.max(1.0)))?;
    let what = format!("open loop at {} /s: p50", figure(half_of));
    report.add(Row::new("end to end", what, open.load.p50_ms, "ms").beside(open.load.text()));
    open.rows("open loop", report);
    Ok(())
}

/// The latency that nothing can hide: a request and its answer each wait for a sync.
fn one_outstanding(place: &Place, times: Times, report: &mut Report) -> Result<(), BenchError> {
    let load = Load::Window { connections: 1, outstanding: 1 };
    let switch = switch_run(place, times, Mac::Cmac, load)?;
    let plain = relay_run(place, times, load, Relay::Plain)?;
    let durable = relay_run(place, times, load, Relay::Durable { record_bytes: switch.record_bytes() })?;
    let mut syncs = Bare::make(place, 16 << 20)?.sync_for(4096, Duration::from_secs(1))?;
    let sync_ms = quantile_us(&mut syncs, 0.5) / 1e3;
    let bar_ms = 2.0 * sync_ms + plain.p50_ms;
    report.add(
        Row::new("end to end", "one outstanding: p50", switch.load.p50_ms, "ms").beside(switch.load.text()),
    );
    let beside = format!(
        "fdatasync p50 {} ms, bare relay p50 {} ms, durable relay p50 {} ms",
        figure(sync_ms),
        figure(plain.p50_ms),
        figure(durable.p50_ms)
    );
    let times = Row::new("end to end", "of 2 fdatasync + bare relay", switch.load.p50_ms / bar_ms, "times");
    report.add(times.budget(Budget::AtMost(2.0)).beside(beside));
    Ok(())
}

/// What the terminals saw.
struct Seen {
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    errors: u64,
    codes: String,
    verdict: String,
}

impl Seen {
    fn of(report: &Value) -> Result<Seen, BenchError> {
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
            p99_ms: number("/response/p99_ms")?,
            p999_ms: number("/response/p999_ms")?,
            errors: number("/errors")? as u64,
            codes: codes.collect::<Vec<_>>().join(", "),
            verdict: report.pointer("/verdict").and_then(Value::as_str).unwrap_or("none").to_owned(),
        })
    }

    /// Latencies; and whatever would make the rate worthless.
    fn text(&self) -> String {
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
struct Run {
    load: Seen,
    before: Sample,
    after: Sample,
}

struct Sample {
    at: Instant,
    usage: Usage,
    metrics: BTreeMap<String, f64>,
}

impl Sample {
    fn of(switch: &Switch) -> Result<Sample, BenchError> {
        Ok(Sample { at: Instant::now(), usage: switch.usage(), metrics: switch.metrics()? })
    }
}

impl Run {
    fn grew(&self, name: &str) -> f64 {
        let value = |sample: &Sample| sample.metrics.get(name).copied().unwrap_or(0.0);
        value(&self.after) - value(&self.before)
    }

    fn record_bytes(&self) -> usize {
        (self.grew("yika_journal_bytes_total") / self.grew("yika_journal_records_total").max(1.0)) as usize
    }

    fn rows(&self, what: &str, report: &mut Report) {
        let payments = self.grew("yika_replies_total").max(1.0);
        let seconds = (self.after.at - self.before.at).as_secs_f64();
        let thread_us = |name: &str| {
            let ns = |sample: &Sample| sample.usage.threads_ns.get(name).copied().unwrap_or(0);
            ns(&self.after).saturating_sub(ns(&self.before)) as f64 / 1e3 / payments
        };
        let cpu_us = (self.after.usage.all_ns() - self.before.usage.all_ns()) as f64 / 1e3 / payments;
        let switches =
            self.after.usage.voluntary_switches.saturating_sub(self.before.usage.voluntary_switches);
        report.add(Row::new("end to end", format!("{what}: CPU of the switch"), cpu_us, "us").beside(
            format!(
                "a payment; main thread {}, journal {}, segments {}; {} voluntary switches, {} turns",
                figure(thread_us("yika")),
                figure(thread_us("journal")),
                figure(thread_us("segments")),
                figure(switches as f64 / payments),
                figure(self.grew("yika_turns_total") / payments)
            ),
        ));
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

fn switch_run(place: &Place, times: Times, mac: Mac, load: Load) -> Result<Run, BenchError> {
    let bank_a = bank("bank-a", "iso87-ascii", mac)?;
    let bank_b = bank("bank-b", "pos-bcd", mac)?;
    // A journal of its own for each run: nothing is inherited from the one before.
    let folder = place.path("switch");
    let failed = || BenchError::io("prepare", folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(failed())?;
    }
    std::fs::create_dir_all(&folder).map_err(failed())?;
    let (config, data) = (folder.join("bench.toml"), folder.join("data"));
    let text = configuration(&data, mac, bank_a.address(), bank_b.address());
    std::fs::write(&config, text).map_err(failed())?;
    let switch = Switch::start(&config, &data, &folder.join("switch.log"), 2 * LINES)?;
    let job = terminals(switch.listener, times, load, &mac.option(ACQUIRER_MAC), ACQUIRER_PIN)?;
    std::thread::sleep(times.warm_up + times.measured / 10);
    let before = Sample::of(&switch)?;
    std::thread::sleep(times.measured * 8 / 10);
    let after = Sample::of(&switch)?;
    Ok(Run { load: Seen::of(&job.finish()?)?, before, after })
}

/// The relay cannot translate, so both banks speak the terminals' dialect and share their keys.
fn relay_run(place: &Place, times: Times, load: Load, relay: Relay) -> Result<Seen, BenchError> {
    let banks = [bank("bank-a", "iso87-ascii", Mac::Cmac)?, bank("bank-b", "iso87-ascii", Mac::Cmac)?];
    let upstream = banks.each_ref().map(|bank| bank.address().to_string()).join(",");
    let own = beside_us("yika-bench")?;
    let (file, bytes);
    let mut arguments = vec![OsStr::new("relay"), OsStr::new("--upstream"), OsStr::new(&upstream)];
    if let Relay::Durable { record_bytes } = relay {
        (file, bytes) = (place.path("relay"), record_bytes.to_string());
        arguments.extend([
            OsStr::new("--journal"),
            file.as_os_str(),
            OsStr::new("--record-bytes"),
            OsStr::new(&bytes),
        ]);
    }
    let server = Server::start(&own, &arguments)?;
    let job = terminals(server.address(), times, load, &Mac::Cmac.option(BANK_MAC), BANK_PIN)?;
    Seen::of(&job.finish()?)
}

fn bank(name: &str, dialect: &str, mac: Mac) -> Result<Server, BenchError> {
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

fn terminals(
    target: SocketAddr,
    times: Times,
    load: Load,
    mac: &str,
    pin_key: &str,
) -> Result<Job, BenchError> {
    let (target, duration) =
        (target.to_string(), format!("{}ms", (times.warm_up + times.measured).as_millis()));
    let warm_up = format!("{}ms", times.warm_up.as_millis());
    let mut arguments =
        vec!["run", "--target", &target, "--mac", mac, "--pin-key", pin_key, "--pin-share", PIN_SHARE];
    arguments.extend(["--duration", &duration, "--warm-up", &warm_up, "--drain", "10s", "--json", "--quiet"]);
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
