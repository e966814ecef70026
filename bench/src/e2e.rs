//! The whole switch as processes: terminals, the switch, two banks; and the same terminals and banks with a bare
//! relay in the switch's place. The ratio of the two is what a budget can ask for on any machine.

use crate::city::{BANK_MAC, BANK_PIN, Mac};
use crate::error::BenchError;
use crate::machine::Bare;
use crate::measure::quantile_us;
use crate::memory;
use crate::place::Place;
use crate::process::{Server, beside_us};
use crate::report::{Budget, Report, Row, figure};
use crate::stage::{CONNECTIONS, Load, Scene, Seen, Times, Watch, bank, terminals};
use std::ffi::OsStr;
use std::time::Duration;

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
        let switch = Scene::new(times, load).play(place)?;
        let record_bytes = switch.record_bytes();
        let durable = relay_run(place, times, load, Relay::Durable { record_bytes })?;
        let plain = relay_run(place, times, load, Relay::Plain)?;
        let what = format!("{CONNECTIONS} x {outstanding}");
        let mut row = Row::new("end to end", format!("{what}: durable payments"), switch.load.rate, "/s");
        if outstanding == 16 {
            half_of = switch.load.rate / 2.0;
            calls(place, times, load, report)?;
            sync_free(place, times, load, switch.load.rate, report)?;
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
        let retail = Scene { mac: Mac::Retail, ..Scene::new(times, load) }.play(place)?;
        let row = Row::new("end to end", "64 x 16 with retail MAC: durable payments", retail.load.rate, "/s");
        report.add(row.beside(retail.load.text()));
    }
    let open = Scene::new(times, Load::Rate(half_of.max(1.0))).play(place)?;
    let what = format!("open loop at {} /s: p50", figure(half_of));
    report.add(Row::new("end to end", what, open.load.p50_ms, "ms").beside(open.load.text()));
    open.rows("open loop", report);
    Ok(())
}

/// A run of its own: counting slows the calls.
fn calls(place: &Place, times: Times, load: Load, report: &mut Report) -> Result<(), BenchError> {
    let counted = Scene { watch: Watch::Calls, ..Scene::new(times, load) }.play(place)?;
    match counted.calls_a_payment() {
        Some(calls) => report.add(
            Row::new("end to end", "64 x 16: system calls of the switch", calls, "")
                .beside("a payment, all threads; counted by perf"),
        ),
        None => eprintln!("  perf cannot count system calls here: their row is left out"),
    }
    Ok(())
}

/// The same switch where a sync costs nothing: with its data on a file system in memory. It seals and writes as ever; what is
/// left out is the disk. The product has no level of durability below the one that the other rows have.
fn sync_free(
    place: &Place,
    times: Times,
    load: Load,
    rate: f64,
    report: &mut Report,
) -> Result<(), BenchError> {
    let held = memory::folder()?;
    let Some(held) = held else { return Ok(()) };
    let free = Scene { data: Some(held.path().join("switch")), ..Scene::new(times, load) }.play(place)?;
    let what = "64 x 16, journal in memory: payments";
    report.add(Row::new("end to end", what, free.load.rate, "/s").beside(free.load.text()));
    free.rows("64 x 16, journal in memory", report);
    let what = "64 x 16: with sync to without";
    report.add(Row::new("end to end", what, rate / free.load.rate, "").budget(Budget::AtLeast(0.8)));
    Ok(())
}

/// The latency that nothing can hide: a request and its answer each wait for a sync.
fn one_outstanding(place: &Place, times: Times, report: &mut Report) -> Result<(), BenchError> {
    let load = Load::Window { connections: 1, outstanding: 1 };
    let switch = Scene::new(times, load).play(place)?;
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
    let job = terminals(server.address(), times, load, &Mac::Cmac.option(BANK_MAC), BANK_PIN, 1000)?;
    Seen::of(&job.finish()?)
}
