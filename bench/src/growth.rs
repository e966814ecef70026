//! How cost grows: with connections, with cards, with the length of the journal, and what one core does where there are two.

use crate::core_run::Till;
use crate::error::BenchError;
use crate::journal_run::Ledger;
use crate::latency;
use crate::place::Place;
use crate::report::{Report, Row, figure};
use crate::stage::{Load, OneCore, Run, Scene, Times};
use crate::svg::{Line, Panel, chart};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use yika_keystore::{Keystore, Lmk};
use yika_switch::core::batch::Batch;
use yika_switch::journal::disk::FileDisk;
use yika_switch::journal::replay;

const CONNECTIONS: [u32; 4] = [10, 100, 1_000, 10_000];
/// Unanswered requests of all connections together, where each has one at least.
const OUTSTANDING: u32 = 1_024;
const CARDS: [u32; 3] = [100_000, 1_000_000, 10_000_000];

pub(crate) fn run(
    place: &Place,
    quick: bool,
    svg: Option<&Path>,
    report: &mut Report,
) -> Result<(), BenchError> {
    let seconds = if quick { 2 } else { 5 };
    let times = Times { warm_up: Duration::from_secs(2), measured: Duration::from_secs(seconds) };
    let mut panels = Vec::new();
    let mut grown = Vec::new();
    for connections in CONNECTIONS {
        let scene = Scene::new(times, spread(connections));
        grown.push((
            count(connections),
            row(&format!("{} connections", count(connections)), &scene, place, report)?,
        ));
    }
    panels.push(panel("Connections, 1,024 requests under way at least", "connections", &grown));
    let mut grown = Vec::new();
    for cards in CARDS {
        let scene = Scene { cards: cards / 3, ..Scene::new(times, spread(64)) };
        grown.push((count(cards), row(&format!("{} cards", count(cards)), &scene, place, report)?));
    }
    panels.push(panel("Cards", "cards", &grown));
    for (name, one_core) in [
        ("everybody on all cores", OneCore::Nobody),
        ("the switch on one core, banks and terminals on both", OneCore::Switch),
        ("everybody on one core", OneCore::Everybody),
    ] {
        row(name, &Scene { one_core, ..Scene::new(times, spread(64)) }, place, report)?;
    }
    kept(quick, report)?;
    journal(place, quick, report)?;
    let Some(folder) = svg else { return Ok(()) };
    let machine = report.machine();
    latency::write(folder, "growth.svg", &chart("How cost grows", &machine, &panels))
}

fn spread(connections: u32) -> Load {
    Load::Window { connections, outstanding: OUTSTANDING.div_ceil(connections) }
}

fn row(name: &str, scene: &Scene, place: &Place, report: &mut Report) -> Result<Run, BenchError> {
    let run = scene.play(place)?;
    let beside = format!(
        "{} us of the switch's CPU a payment; resident {} MB; {}",
        figure(run.cpu_us()),
        figure(run.resident_mb()),
        run.load.text()
    );
    report.add(Row::new("growth", format!("{name}: payments"), run.load.rate, "/s").beside(beside));
    Ok(run)
}

fn panel(title: &str, x_title: &'static str, grown: &[(String, Run)]) -> Panel {
    let line = |name: &str, value: fn(&Run) -> f64| Line {
        name: name.to_owned(),
        values: grown.iter().map(|(_, run)| value(run)).collect(),
    };
    Panel {
        title: title.to_owned(),
        x_title,
        y_title: "each in its unit",
        x_names: grown.iter().map(|(name, _)| name.clone()).collect(),
        lines: vec![
            line("thousand payments/s", |run| run.load.rate / 1e3),
            line("CPU, us a payment", Run::cpu_us),
            line("p50, ms", |run| run.load.p50_ms),
            line("p99, ms", |run| run.load.p99_ms),
        ],
    }
}

/// The core alone, with as many payments kept: what one more costs when there are many.
fn kept(quick: bool, report: &mut Report) -> Result<(), BenchError> {
    let keys = Keystore::in_memory(Lmk::test());
    let (mut till, _) = Till::open(&keys, 86_400_000)?;
    let (mut requested, mut ended) = (Batch::default(), Batch::default());
    let (mut made, steps): (u64, &[u64]) =
        (0, if quick { &[100_000, 300_000] } else { &[100_000, 1_000_000, 5_000_000] });
    for step in steps {
        // The last tenth of the way is timed, which has nearly as many kept as its end.
        let (timed_from, mut spent, mut timed) = (step - step / 10, Duration::ZERO, 0u64);
        while made < *step {
            let requests = till.requests(64);
            let began = Instant::now();
            till.apply_to(&mut requested, requests);
            let asked = began.elapsed();
            let answers = till.answers(&requested);
            let began = Instant::now();
            till.apply_to(&mut ended, answers);
            if made >= timed_from {
                spent += asked + began.elapsed();
                timed += 64;
            }
            made += 64;
        }
        let what = format!("core.apply with {} payments kept", count(*step as u32));
        report.add(Row::new("growth", what, spent.as_nanos() as f64 / timed as f64, "ns"));
    }
    Ok(())
}

/// Replay by the gigabyte: measured as far as this run writes, and from there by the same slope.
fn journal(place: &Place, quick: bool, report: &mut Report) -> Result<(), BenchError> {
    let keys = Arc::new(Keystore::in_memory(Lmk::test()));
    let folder = place.path("growth-journal");
    let mut ledger = Ledger::start(&folder, &keys)?;
    let sizes: &[u64] = if quick { &[32 << 20, 64 << 20] } else { &[256 << 20, 1 << 30] };
    let mut slope = 0.0;
    for size in sizes {
        while ledger.bytes < *size {
            ledger.payments(1024)?;
        }
        let began = Instant::now();
        let opened = replay(&FileDisk::read_only(&folder), &keys)?;
        let took = began.elapsed().as_secs_f64();
        slope = took / (*size as f64 / 1e9);
        let beside = format!(
            "read from the page cache; {} entries, {} /s; {} frames' places and {} keys in memory",
            figure(opened.scan.records as f64),
            figure(opened.scan.records as f64 / took),
            figure(opened.scan.last_frame as f64),
            figure(opened.durable.dedupe.len() as f64)
        );
        let what = format!("a start with {} MB of entries", figure(*size as f64 / 1e6));
        report.add(Row::new("growth", what, took, "s").beside(beside));
    }
    for gigabytes in [10.0, 100.0] {
        let what = format!("a start with {} GB, extrapolated", figure(gigabytes));
        let beside = "the last slope; with all of it inside its windows, memory would end it first";
        report.add(Row::new("growth", what, slope * gigabytes, "s").beside(beside));
    }
    Ok(())
}

fn count(number: u32) -> String {
    figure(f64::from(number)).trim_end_matches(".0").to_owned()
}
