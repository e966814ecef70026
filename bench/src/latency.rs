//! Latency under an open load: payments begin by a schedule that waits for nobody, at parts of the rate that the switch
//! reaches when it is always full; each is counted from the moment it was due, so that a stall is not left out. With the
//! journal on the disk, and in memory.

use crate::error::BenchError;
use crate::memory;
use crate::place::Place;
use crate::report::{Report, Row, figure};
use crate::stage::{CONNECTIONS, Load, Scene, Seen, Times};
use crate::svg::{Line, Panel, chart};
use std::path::{Path, PathBuf};
use std::time::Duration;

const PARTS: [f64; 4] = [0.25, 0.5, 0.75, 0.9];

pub(crate) fn run(
    place: &Place,
    quick: bool,
    svg: Option<&Path>,
    report: &mut Report,
) -> Result<(), BenchError> {
    let seconds = if quick { 2 } else { 8 };
    let times = Times { warm_up: Duration::from_secs(1), measured: Duration::from_secs(seconds) };
    let mut panels = vec![panel("With sync", place, times, None, report)?];
    if let Some(held) = memory::folder()? {
        panels.push(panel(
            "Without: journal in memory",
            place,
            times,
            Some(held.path().join("switch")),
            report,
        )?);
    }
    let Some(folder) = svg else { return Ok(()) };
    let machine = report.machine();
    let title = "Latency of a payment under an open load";
    write(folder, "latency.svg", &chart(title, &machine, &panels))
}

/// Writes a figure, and says where it is.
pub(crate) fn write(folder: &Path, name: &str, text: &str) -> Result<(), BenchError> {
    let path = folder.join(name);
    std::fs::create_dir_all(folder).map_err(BenchError::io("make", folder.display()))?;
    std::fs::write(&path, text).map_err(BenchError::io("write", path.display()))?;
    eprintln!("  written: {}", path.display());
    Ok(())
}

fn panel(
    title: &str,
    place: &Place,
    times: Times,
    data: Option<PathBuf>,
    report: &mut Report,
) -> Result<Panel, BenchError> {
    let scene = |load| Scene { data: data.clone(), ..Scene::new(times, load) };
    let full = scene(Load::Window { connections: CONNECTIONS, outstanding: 16 }).play(place)?;
    let full = full.load.rate;
    report.add(Row::new("latency", format!("{title}: always full, 64 x 16"), full, "/s"));
    let mut lines = Vec::new();
    for part in PARTS {
        let rate = full * part;
        let seen = scene(Load::Rate(rate)).play(place)?.load;
        let what = format!("{title}: {:.0} % of it, p99", part * 100.0);
        let beside = format!(
            "{} /s; p90 {} max {} ms; {}",
            figure(rate),
            figure(seen.p90_ms),
            figure(seen.max_ms),
            seen.text()
        );
        report.add(Row::new("latency", what, seen.p99_ms, "ms").beside(beside));
        lines.push(Line {
            name: format!("{:.0} %: {} /s", part * 100.0, figure(rate)),
            values: percentiles(&seen),
        });
    }
    Ok(Panel {
        title: format!("{title}, full at {} /s", figure(full)),
        x_title: "payments answered within, %",
        y_title: "milliseconds from when it was due",
        x_names: ["50", "90", "99", "99.9", "all"].map(str::to_owned).to_vec(),
        lines,
    })
}

fn percentiles(seen: &Seen) -> Vec<f64> {
    vec![seen.p50_ms, seen.p90_ms, seen.p99_ms, seen.p999_ms, seen.max_ms]
}
