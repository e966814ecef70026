//! Rounds: traffic, one fault, rest, comparison; one line each, and a table at the end.

use crate::faults::{Fault, Random};
use crate::options::Options;
use crate::traffic::Traffic;
use crate::world::World;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;
use yika_tests::city::Settings;
use yika_tests::process::passes;

/// What banks do wrong by themselves, all the time.
const SCRIPT: &str = "decline=2%,silence=0.3%,late=0.2%:900ms,duplicate=0.5%,garble=0.1%,delay=exp:1ms";
/// A world is replaced when its journal is longer: a start replays all of it, and it has to fit on the small disk.
const JOURNAL_BYTES_MAX: u64 = 512 << 20;
const MIB: f64 = (1 << 20) as f64;

/// One round.
pub(crate) struct Row {
    fault: Fault,
    payments: u64,
    /// Without a decision of a bank: refused by the switch, or reversed because no answer came.
    failed: u64,
    rate_per_s: f64,
    p99_ms: f64,
    restarts: u64,
    recovery_ms: f64,
    reversals: u64,
    unaccounted_fen: u64,
    memory_mib: f64,
    descriptors: Option<u64>,
    journal_mib: f64,
}

/// All rounds, and what was left out.
pub(crate) struct Outcome {
    rows: Vec<Row>,
    skipped: Vec<(Fault, String)>,
}

/// Runs rounds until the time is over.
pub(crate) fn all(
    folder: &Path,
    options: &Options,
    own_network: &Result<(), String>,
) -> Result<Outcome, String> {
    let (began, mut random) = (Instant::now(), Random(options.seed));
    let mut outcome = Outcome { rows: Vec::new(), skipped: Vec::new() };
    let mut world = open(folder, 0)?;
    for fault in &options.faults {
        if let Err(why) = fault.possible(&world, own_network) {
            options.tell(&format!("skipped: {}: {why}", fault.name()));
            outcome.skipped.push((*fault, why));
        }
    }
    let skipped = |fault: &Fault| outcome.skipped.iter().any(|(skipped, _)| skipped == fault);
    let faults: Vec<Fault> = options.faults.iter().copied().filter(|fault| !skipped(fault)).collect();
    if faults.is_empty() {
        return Err("none of these faults can be made here".to_owned());
    }
    options.tell(&header());
    for (number, fault) in (0..options.rounds_max).zip(faults.into_iter().cycle()) {
        // Rest and comparison take some seconds more than the round itself; the first comes in any case.
        if number > 0 && began.elapsed() + options.round > options.length {
            break;
        }
        let row = match one(&mut world, fault, options, &mut random) {
            Ok(row) => row,
            Err(why) => {
                world.keep();
                return Err(format!("round {}, {}: {why}", number + 1, fault.name()));
            }
        };
        options.tell(&row.line(number + 1));
        let long = row.journal_mib * MIB > JOURNAL_BYTES_MAX as f64;
        outcome.rows.push(row);
        if long {
            world.close()?;
            world = open(folder, number + 1)?;
        }
    }
    world.close()?;
    Ok(outcome)
}

fn open(folder: &Path, number: u64) -> Result<World, String> {
    // Small segments: many of them are made in a round, and a full disk is felt soon.
    let settings = Settings { keyed: true, segment: "1MiB", ..Settings::default() };
    World::open(&folder.join(format!("world-{number}")), SCRIPT, &settings, true)
}

/// One round; the fault comes after a tenth of it and has to be over after three quarters.
fn one(world: &mut World, fault: Fault, options: &Options, random: &mut Random) -> Result<Row, String> {
    let began = Instant::now();
    let traffic = Traffic::begin(&world.city, options.rate_per_s, random.below(1 << 30))?;
    traffic.flows(50)?;
    passes((options.round / 10).saturating_sub(began.elapsed()));
    let struck = fault.strike(world, &traffic, options.round * 3 / 4, random)?;
    passes(options.round.saturating_sub(began.elapsed()));
    let flowed = traffic.stop()?;
    let rest = world.rests(&flowed)?;
    fault.was_felt(&struck, &flowed)?;
    Ok(Row {
        fault,
        payments: flowed.payments(),
        failed: flowed.failed(),
        rate_per_s: flowed.payments() as f64 / flowed.time.as_secs_f64(),
        p99_ms: flowed.latencies().percentiles().p99_ms,
        restarts: struck.restarts,
        recovery_ms: struck.recovery_ms,
        reversals: rest.reversals,
        unaccounted_fen: rest.unaccounted_fen,
        memory_mib: rest.memory_kib as f64 / 1024.0,
        descriptors: rest.descriptors,
        journal_mib: rest.journal_bytes as f64 / MIB,
    })
}

fn header() -> String {
    format!(
        "{:>5} {:<10} {:>9} {:>7} {:>7} {:>9} {:>8} {:>11} {:>9} {:>11} {:>10} {:>5} {:>11}",
        "round",
        "fault",
        "payments",
        "failed",
        "/s",
        "p99 ms",
        "restarts",
        "recovery ms",
        "reversals",
        "unaccounted",
        "memory MiB",
        "files",
        "journal MiB"
    )
}

/// A count, or a dash where the system does not let us count.
pub(crate) fn counted(count: Option<u64>) -> String {
    count.map_or_else(|| "-".to_owned(), |count| count.to_string())
}

impl Row {
    fn line(&self, number: u64) -> String {
        format!(
            "{number:>5} {:<10} {:>9} {:>7} {:>7.0} {:>9.1} {:>8} {:>11.0} {:>9} {:>11} {:>10.1} {:>5} {:>11.0}",
            self.fault.name(),
            self.payments,
            self.failed,
            self.rate_per_s,
            self.p99_ms,
            self.restarts,
            self.recovery_ms,
            self.reversals,
            self.unaccounted_fen,
            self.memory_mib,
            counted(self.descriptors),
            self.journal_mib
        )
    }

    fn json(&self) -> Value {
        json!({
            "fault": self.fault.name(), "payments": self.payments, "failed": self.failed, "rate_per_s": self.rate_per_s,
            "p99_ms": self.p99_ms, "restarts": self.restarts, "recovery_ms": self.recovery_ms,
            "reversals": self.reversals, "unaccounted_fen": self.unaccounted_fen,
            "memory_mib": self.memory_mib, "descriptors": self.descriptors, "journal_mib": self.journal_mib,
        })
    }
}

impl Outcome {
    pub(crate) fn json(&self) -> Value {
        let skipped: Vec<_> =
            self.skipped.iter().map(|(fault, why)| json!({ "fault": fault.name(), "why": why })).collect();
        json!({
            "version": 1, "rounds": self.rows.iter().map(Row::json).collect::<Vec<_>>(), "skipped": skipped,
        })
    }

    /// One line for each kind of fault: sums, and the worst of p99 and recovery.
    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "{:<10} {:>6} {:>9} {:>7} {:>15} {:>8} {:>17} {:>9} {:>11}\n",
            "fault",
            "rounds",
            "payments",
            "failed",
            "p99 ms, worst",
            "restarts",
            "recovery ms, most",
            "reversals",
            "unaccounted"
        );
        let kinds = Fault::ALL.map(|fault| (fault.name(), Some(fault)));
        for (name, kind) in kinds.into_iter().chain([("all", None)]) {
            let rows: Vec<&Row> =
                self.rows.iter().filter(|row| kind.is_none_or(|kind| row.fault == kind)).collect();
            if rows.is_empty() {
                continue;
            }
            let sum = |of: fn(&Row) -> u64| rows.iter().map(|row| of(row)).sum::<u64>();
            let most = |of: fn(&Row) -> f64| rows.iter().map(|row| of(row)).fold(0.0, f64::max);
            let _ = writeln!(
                text,
                "{name:<10} {:>6} {:>9} {:>7} {:>15.1} {:>8} {:>17.0} {:>9} {:>11}",
                rows.len(),
                sum(|row| row.payments),
                sum(|row| row.failed),
                most(|row| row.p99_ms),
                sum(|row| row.restarts),
                most(|row| row.recovery_ms),
                sum(|row| row.reversals),
                sum(|row| row.unaccounted_fen)
            );
        }
        for (fault, why) in &self.skipped {
            let _ = writeln!(text, "{:<10} skipped: {why}", fault.name());
        }
        text + "ALL AGREE: nothing open, every fen accounted for, every journal good"
    }
}
