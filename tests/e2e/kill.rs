//! kill -9 at seeded moments under load, again and again, also while the switch starts: every payment has one end,
//! both sides agree, and what was in doubt is undone at the issuer exactly once.

use crate::city::City;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use yika_keystore::{Keystore, Lmk};
use yika_loadgen::ledger::{Ledger, State};
use yika_loadgen::{Load, Policy, Report, RunHandle, reconcile, run};
use yika_switch::admin::control::status;
use yika_switch::core::entry::{Entry, Outcome, Owed, OwedKind, Reason};
use yika_switch::data_dir::journal_in;
use yika_switch::journal::disk::FileDisk;
use yika_switch::journal::recovery::scan;
use yika_tests::process::{Yika, comes_true, program, run as command, wait_for};

const KILLS: u32 = 20;
/// After every so many kills the next life is killed before it is up.
const KILLED_EARLY_EVERY: u32 = 4;

/// Which moments are tried; a seed that ever fails stays here.
const SEED: u64 = 20_261_124;

#[test]
fn p3_p5_twenty_kills_under_load_leave_no_fen_unaccounted() {
    let folder = tempfile::tempdir().unwrap();
    let faults = "decline=2%,silence=0.3%,late=0.2%:900ms,duplicate=0.5%,garble=0.1%,delay=exp:1ms";
    let city = City::build(folder.path(), faults);
    let mut yika = Yika::start(folder.path());
    let mut runs = vec![start(&city, "iso87-ascii"), start(&city, "pos-bcd")];
    let mut seed = SEED;
    for kill in 0..KILLS {
        // Banks must approve in each life; then it lives on for up to 262 ms more.
        let before = approved(&runs);
        runs = until(runs, &yika, |runs| approved(runs) > before + 50);
        lives_for(&mut seed, 0x3_ffff);
        yika.kill();
        if kill % KILLED_EARLY_EVERY == 0 {
            let early = Yika::begin(folder.path(), Command::new(program("yika")));
            lives_for(&mut seed, 0x7fff);
            early.kill();
        }
        yika = Yika::start(folder.path());
    }
    runs.iter().for_each(RunHandle::stop_new_traffic);
    let runs = until(runs, &yika, |runs| runs.iter().all(RunHandle::is_done));
    let data = yika.data();
    wait_for("every obligation to be discharged", Duration::from_secs(60), || {
        status(&data).is_ok_and(|status| status.open_obligations == 0)
    });
    assert_eq!(status(&data).unwrap().unaccounted, 0, "P7");
    let reports: Vec<Report> =
        runs.into_iter().map(|run| run.finish(Duration::from_secs(5)).unwrap()).collect();
    assert!(yika.stop().success());
    let issuers: Vec<_> = city.banks.into_iter().map(|bank| bank.stop().unwrap()).collect();
    agree(&reports, &issuers);
    undone_once(&data, &issuers);
    let (code, out, err) = command("yika", &["journal", "verify", "--data", data.to_str().unwrap()]);
    assert!(code == 0 && out.contains("the journal is good"), "{out}{err}");
}

fn start(city: &City, dialect: &str) -> RunHandle {
    let mut config = city.terminals(dialect);
    config.connections = 8;
    config.load = Load::Closed { outstanding: 4 };
    config.duration = Duration::from_secs(600);
    let mix = match dialect {
        "pos-bcd" => {
            "purchase=83,void=4,refund=3,pre-auth=3,completion=2,pre-auth-cancel=1,completion-cancel=1,reversal=3"
        }
        _ => {
            "purchase=71,coupon=8,void=3,refund=3,pre-auth=4,completion=3,pre-auth-cancel=1,completion-cancel=2,\
             reversal=3,advice=2"
        }
    };
    config.mix = mix.parse().unwrap();
    let (answer_timeout, retry_pause) = (Duration::from_millis(1500), Duration::from_millis(200));
    config.policy = Policy { answer_timeout, repeats: 3, retry_pause };
    run::start(config).unwrap()
}

/// Lets a seeded time pass, up to `micros_mask`: when the kill comes is what this test varies.
fn lives_for(seed: &mut u64, micros_mask: u64) {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let (began, time) = (Instant::now(), Duration::from_micros(*seed >> 33 & micros_mask));
    wait_for("the moment of the kill", Duration::from_secs(5), || began.elapsed() >= time);
}

fn approved(runs: &[RunHandle]) -> u64 {
    runs.iter().map(|run| run.progress().approved).sum()
}

/// What the terminals were told is what banks and coupon platform booked.
fn agree(reports: &[Report], issuers: &[Ledger]) {
    let terminals: Vec<Ledger> = reports.iter().map(|report| report.ledger.clone()).collect();
    let result = reconcile(&terminals, issuers);
    let first = result.mismatches.first();
    assert!(result.payments > 1000, "only {} payments", result.payments);
    assert_eq!((result.duplicates, result.open), (0, 0), "{first:?}");
    assert_eq!((result.unaccounted_fen, result.unaccounted_holds_fen), (0, 0), "{first:?}");
    assert!(result.balanced, "{first:?}");
    for report in reports {
        assert!(report.disconnects >= u64::from(KILLS), "the terminals lost their connections: {report}");
        assert!(report.totals.repeats > 0, "and repeated what was unanswered: {report}");
    }
}

/// Each leg that the journal says was in doubt stands nowhere: its issuer has one row for it, which was reversed or
/// never approved.
fn undone_once(data: &Path, issuers: &[Ledger]) {
    let mut names = BTreeMap::new();
    let mut in_doubt: Vec<Owed> = Vec::new();
    let keys = Keystore::in_memory(Lmk::test());
    let read = scan(&FileDisk::read_only(&journal_in(data)), &keys, |_, record| {
        match Entry::decode(record.entry).map_err(|e| e.to_string())? {
            Entry::Named { id, name } => drop(names.insert(id, name)),
            Entry::Outcome(outcome) => in_doubt.extend(reversals(*outcome)),
            _ => {}
        }
        Ok(())
    });
    let starts = read.unwrap().epoch;
    assert!(starts > u64::from(KILLS), "the journal knows of {starts} starts");
    assert!(in_doubt.len() >= 5, "{} payments were in doubt: the kills came at idle moments", in_doubt.len());
    for owed in &in_doubt {
        let (name, original) = (&names[&owed.participant], owed.original.unwrap());
        let books = issuers.iter().find(|ledger| ledger.name == *name).unwrap();
        let rows: Vec<_> = books
            .entries
            .iter()
            .filter(|row| row.stan == original.stan && row.terminal.0 == owed.terminal)
            .collect();
        let undone = matches!(rows[..], [row] if matches!(row.state, State::Reversed | State::Declined));
        assert!(undone, "{} at {name}, trace {}: {rows:?}", owed.of.tx, original.stan);
    }
}

fn reversals(outcome: Outcome) -> impl Iterator<Item = Owed> {
    let in_doubt = outcome.reason == Reason::InDoubt;
    outcome.owed.into_iter().filter(move |owed| in_doubt && owed.kind == OwedKind::Reverse)
}

/// Waits for `done`; when it takes a minute, tells what every terminal waits for.
fn until(runs: Vec<RunHandle>, yika: &Yika, done: impl Fn(&[RunHandle]) -> bool) -> Vec<RunHandle> {
    if comes_true(Duration::from_secs(60), || done(&runs)) {
        return runs;
    }
    let own = status(&yika.data());
    for run in runs {
        let report = run.finish(Duration::ZERO).unwrap();
        let open: Vec<_> = report.ledger.entries.iter().filter(|entry| entry.state == State::Open).collect();
        println!(
            "{report}\n{:?}\n{} open, such as {:?}",
            report.silence,
            open.len(),
            &open[..open.len().min(4)]
        );
    }
    panic!("nothing more happens within a minute; the switch: {own:?}; its log: {}", yika.log());
}
