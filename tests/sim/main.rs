//! Seeds in the test command: a thousand worlds in virtual time, each with faults of its own.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping it")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use yika_tests::sim::matrix::{Tried, crash_matrix};
use yika_tests::sim::run::{faults_of, replay_line};
use yika_tests::sim::{Coverage, run, shrink};

/// The world of the crash matrix, and how many of its writes and syncs are tried.
const MATRIX_SEED: u64 = 4;
const PLACES: u64 = 1_200;

/// Seeds of one test run.
const SEEDS: u64 = 1_000;

/// The checkers bite: a switch that is wrong on purpose is found out. All planted faults: `cargo xtask sim --planted all`.
#[test]
fn two_planted_faults_are_found() {
    for fault in ["NoSync", "SilenceOwesNothing"] {
        let mut tool = std::process::Command::new(env!("CARGO_BIN_EXE_yika-sim"));
        let ran = tool.args(["--planted", fault, "--seeds", "60"]).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.contains("found by seed"), "{said}");
    }
}

/// A world of several segments, stopped at each of its first writes and syncs in turn.
#[test]
fn every_disk_that_a_crash_may_leave_is_recovered() {
    let tried: Vec<Tried> = std::thread::scope(|scope| {
        let parts: Vec<_> =
            (0..2).map(|first| scope.spawn(move || crash_matrix(MATRIX_SEED, first, 2, PLACES))).collect();
        parts.into_iter().map(|part| part.join().unwrap().unwrap_or_else(|bad| panic!("{bad}"))).collect()
    });
    println!("{tried:?}");
    assert_eq!(tried.iter().map(|part| part.places).sum::<u64>(), PLACES, "the world ended too soon");
}

#[test]
fn a_thousand_seeds_violate_nothing() {
    let (next, coverage) = (AtomicU64::new(0), Mutex::new(Coverage::default()));
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= SEEDS {
                        return;
                    }
                    match run(seed, &faults_of(seed), false) {
                        Ok(outcome) => coverage.lock().unwrap().add(&outcome.coverage),
                        Err(violation) => failed.lock().unwrap().push((seed, violation.what)),
                    }
                }
            });
        }
    });
    let coverage = coverage.into_inner().unwrap();
    println!("{coverage}");
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    for (seed, what) in &failed {
        println!("FAILED {seed}: {what}");
    }
    if let Some((seed, what)) = failed.first() {
        let faults = shrink(*seed, &faults_of(*seed));
        if let Err(violation) = run(*seed, &faults, true) {
            println!("{violation}");
        }
        println!("{} seeds failed; the first with its fewest faults: {faults:?}", failed.len());
        println!("{}", replay_line(*seed, &faults));
        panic!("seed {seed}: {what}");
    }
    assert_eq!(coverage.unused_faults(), [], "these faults never fired");
    assert_eq!(
        coverage.surprises(),
        [""; 0],
        "never met, or met though `kinds::NEVER` says that it cannot be"
    );
}
