//! kill -9 at seeded moments under load, again and again: every payment has one end, and both sides agree.

use crate::city::City;
use std::time::{Duration, Instant};
use yika_loadgen::{Load, Policy, RunHandle, reconcile, run};
use yika_switch::admin::control::status;
use yika_tests::process::{Yika, wait_for};

const KILLS: u32 = 20;

#[test]
fn p3_p5_twenty_kills_under_load_leave_no_fen_unaccounted() {
    let folder = tempfile::tempdir().unwrap();
    let faults = "decline=2%,silence=0.3%,late=0.2%:900ms,duplicate=0.5%,garble=0.1%,delay=exp:1ms";
    let city = City::build(folder.path(), faults);
    let mut yika = Yika::start(folder.path());
    let mut runs: Vec<_> = ["iso87-ascii", "pos-bcd"]
        .into_iter()
        .map(|dialect| {
            let mut config = city.terminals(dialect);
            config.connections = 8;
            config.load = Load::Closed { outstanding: 4 };
            config.duration = Duration::from_secs(600);
            config.mix = match dialect {
                "pos-bcd" => "purchase=90,void=4,refund=3,reversal=3".parse().unwrap(),
                _ => "purchase=75,coupon=8,void=3,refund=3,pre-auth=3,completion=3,reversal=3,advice=2"
                    .parse()
                    .unwrap(),
            };
            let (answer_timeout, retry_pause) = (Duration::from_millis(1500), Duration::from_millis(200));
            config.policy = Policy { answer_timeout, repeats: 3, retry_pause };
            run::start(config).unwrap()
        })
        .collect();
    let mut seed = 20_261_124u64;
    for _ in 0..KILLS {
        // Some payments must get through in each life; then it lives on for up to 300 ms more.
        let before = ended(&runs);
        runs = until(runs, &yika, |runs| ended(runs) > before + 50);
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let alive = Instant::now();
        let more = Duration::from_micros(seed >> 33 & 0x3_ffff);
        wait_for("the moment of the kill", Duration::from_secs(5), || alive.elapsed() >= more);
        yika.kill();
        yika = Yika::start(folder.path());
    }
    for run in &runs {
        run.stop_new_traffic();
    }
    let runs = until(runs, &yika, |runs| runs.iter().all(RunHandle::is_done));
    let data = yika.data();
    wait_for("every obligation to be discharged", Duration::from_secs(60), || {
        status(&data).is_ok_and(|status| status.open_obligations == 0)
    });
    let own = status(&data).unwrap();
    assert_eq!(own.unaccounted, 0, "P7");
    let terminals: Vec<_> =
        runs.into_iter().map(|run| run.finish(Duration::from_secs(5)).unwrap().ledger).collect();
    assert!(yika.stop().success());
    let issuers: Vec<_> = city.banks.into_iter().map(|bank| bank.stop().unwrap()).collect();
    let result = reconcile(&terminals, &issuers);
    assert!(result.payments > 1000, "only {} payments", result.payments);
    assert_eq!((result.duplicates, result.open), (0, 0));
    assert_eq!(
        (result.unaccounted_fen, result.unaccounted_holds_fen),
        (0, 0),
        "{:?}",
        result.mismatches.first()
    );
    assert!(result.balanced, "{:?}", result.mismatches.first());
}

fn ended(runs: &[RunHandle]) -> u64 {
    runs.iter().map(|run| run.progress().ended).sum()
}

/// Waits for `done`; when it takes a minute, tells what every terminal waits for.
fn until(runs: Vec<RunHandle>, yika: &Yika, done: impl Fn(&[RunHandle]) -> bool) -> Vec<RunHandle> {
    let began = Instant::now();
    while !done(&runs) {
        if began.elapsed() > Duration::from_secs(60) {
            let own = status(&yika.data());
            for run in runs {
                let report = run.finish(Duration::ZERO).unwrap();
                let open: Vec<_> = report
                    .ledger
                    .entries
                    .iter()
                    .filter(|entry| format!("{entry:?}").contains("Open"))
                    .collect();
                println!(
                    "{report}\n{:?}\n{} open, such as {:?}",
                    report.silence,
                    open.len(),
                    &open[..open.len().min(4)]
                );
            }
            panic!("payments without an end after a minute; the switch: {own:?}; its log: {}", yika.log());
        }
        std::thread::yield_now();
    }
    runs
}
