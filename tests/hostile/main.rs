//! Hostile inputs in the test command: each target over its seeds, over what once found something, and over some
//! thousands of mutations, the same in every run. The fuzzer proper is `cargo xtask fuzz`.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping it")]

use std::path::{Path, PathBuf};
use std::{fs, thread};
use yika_codec::{Dialect, Layout};
use yika_tests::hostile::{TARGETS, Target, smoke};

#[test]
fn every_target_stands_its_seeds_what_once_found_something_and_mutations() {
    thread::scope(|scope| {
        let runs: Vec<_> = TARGETS.iter().map(|target| scope.spawn(|| run(target))).collect();
        let said: Vec<String> = runs.into_iter().filter_map(|run| run.join().unwrap().err()).collect();
        assert!(said.is_empty(), "\n{}", said.join("\n"));
    });
}

fn run(target: &Target) -> Result<(), String> {
    smoke(target, &kept(target), target.smoke_cases).map_err(|found| {
        let name = target.name;
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile-{name}"));
        fs::write(&file, &found.input).unwrap();
        format!(
            "{name}: {found}\nthe input is in {}; mend the fault and keep it under {}",
            file.display(),
            folder(target).display()
        )
    })
}

/// Inputs that once found something.
fn kept(target: &Target) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder(target)).into_iter().flatten().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name)
}

/// The smoke bites: a claim that is true of every seed and not of every message is found out.
#[test]
fn a_wrong_target_stands_its_seeds_and_falls_to_a_mutation() {
    let real = TARGETS.iter().find(|target| target.name == "decode").unwrap();
    let wrong = Target { run: claims_that_no_amount_has_a_digit_above_five, ..*real };
    smoke(&wrong, &[], 0).unwrap();
    let found = smoke(&wrong, &[], real.smoke_cases).unwrap_err();
    assert!(found.said.contains("a claim that is wrong"), "{found}");
    let again = smoke(&wrong, &[], real.smoke_cases).unwrap_err();
    assert_eq!(found.input, again.input, "another run has other cases");
}

fn claims_that_no_amount_has_a_digit_above_five(payload: &[u8]) {
    for dialect in Dialect::builtin_names().filter_map(Dialect::builtin) {
        let mut layout = Layout::default();
        if dialect.decode(payload, &mut layout).is_ok() {
            let amount = dialect.message(payload, &layout).digits::<12>(4);
            assert!(
                amount.is_none_or(|digits| digits.iter().all(|digit| *digit <= b'5')),
                "a claim that is wrong"
            );
        }
    }
}
