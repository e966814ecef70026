//! `yika-sim`: seeds on demand, one seed again, and what it takes to make it fail.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
#[cfg(debug_assertions)]
use yika_switch::planted::Planted;
use yika_tests::sim::run::{faults_of, replay_line};
use yika_tests::sim::{Coverage, Fault, run, shrink};

const HELP: &str = "\
Runs the switch in simulated worlds and checks the promises.

  --seeds N      how many seeds (default 10000)
  --first S      the first of them (default 0)
  --minutes M    stop after this time (default 60)
  --seed S       one seed alone, with everything that happens
  --faults A,B   with --seed: only these of its faults, by number; `none` for none
  --planted P    plants a fault in the switch and looks for a seed that finds it, among --seeds; `all` plants each in
                 turn, `list` names them; with --seed: shows what it does there";

struct Wanted {
    seeds: u64,
    first: u64,
    limit: Duration,
    one: Option<u64>,
    faults: Option<Vec<usize>>,
    planted: Option<String>,
}

fn main() -> ExitCode {
    let wanted = match read(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(why) => {
            eprintln!("yika-sim: {why}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    // What is a panic here is a violation there; its own words on stderr would only be in the way.
    std::panic::set_hook(Box::new(|_| {}));
    let held = match (wanted.one, &wanted.planted) {
        (Some(seed), name) => {
            name.as_ref().is_none_or(|name| plant(name)) && one(seed, wanted.faults.as_deref())
        }
        (None, Some(name)) => planted(name, &wanted),
        (None, None) => many(&wanted),
    };
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read(mut words: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let mut wanted = Wanted {
        seeds: 10_000,
        first: 0,
        limit: Duration::from_secs(3600),
        one: None,
        faults: None,
        planted: None,
    };
    while let Some(word) = words.next() {
        if word == "--help" || word == "-h" {
            println!("{HELP}");
            std::process::exit(0);
        }
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{word}: {value} is no number"));
        match word.as_str() {
            "--seeds" => wanted.seeds = number()?,
            "--first" => wanted.first = number()?,
            "--minutes" => wanted.limit = Duration::from_secs(number()? * 60),
            "--seed" => wanted.one = Some(number()?),
            "--planted" => wanted.planted = Some(value),
            "--faults" if value == "none" => wanted.faults = Some(Vec::new()),
            "--faults" => {
                let list = value.split(',').map(str::parse).collect::<Result<_, _>>();
                wanted.faults = Some(list.map_err(|_| format!("--faults: {value} is no list of numbers"))?);
            }
            _ => return Err(format!("unknown option {word}")),
        }
    }
    Ok(wanted)
}

/// One seed with its trace.
fn one(seed: u64, only: Option<&[usize]>) -> bool {
    let all = faults_of(seed);
    let chosen = |at: &usize| only.is_none_or(|only| only.contains(at));
    let faults: Vec<Fault> = (0..all.len()).filter(chosen).map(|at| all[at]).collect();
    match run(seed, &faults, true) {
        Ok(outcome) => println!("{}\nseed {seed}: everything holds", outcome.coverage),
        Err(violation) => {
            println!("{violation}");
            return false;
        }
    }
    true
}

/// Plants the fault of this name.
#[cfg(debug_assertions)]
fn plant(name: &str) -> bool {
    let fault = Planted::ALL.iter().find(|fault| format!("{fault:?}") == name);
    fault.inspect(|fault| yika_switch::planted::choose(**fault)).is_some()
}

/// A release has no planted faults.
#[cfg(not(debug_assertions))]
fn plant(_: &str) -> bool {
    eprintln!("yika-sim: this build has no planted faults; use `cargo xtask sim`");
    false
}

/// Plants one fault, or each in turn, and says which seed found it. False when one was not found.
#[cfg(debug_assertions)]
fn planted(name: &str, wanted: &Wanted) -> bool {
    let chosen: Vec<Planted> =
        Planted::ALL.iter().copied().filter(|fault| name == "all" || format!("{fault:?}") == name).collect();
    if name == "list" || chosen.is_empty() {
        Planted::ALL.iter().for_each(|fault| println!("{fault:?}"));
        return name == "list";
    }
    let mut missed = 0;
    for fault in &chosen {
        yika_switch::planted::choose(*fault);
        let found = (wanted.first..wanted.first + wanted.seeds).find_map(|seed| {
            run(seed, &faults_of(seed), false).err().map(|violation| (seed, violation.what))
        });
        match found {
            Some((seed, what)) => {
                let first = what.lines().next().unwrap_or_default();
                println!("{fault:?}: found by seed {seed}, the {}th tried: {first}", seed - wanted.first + 1);
                println!("  replay: cargo xtask sim --planted {fault:?} --seed {seed}");
            }
            None => {
                missed += 1;
                println!("{fault:?}: NOT FOUND in {} seeds", wanted.seeds);
            }
        }
    }
    println!("{} of {} planted faults were found", chosen.len() - missed, chosen.len());
    missed == 0
}

/// A release has no planted faults.
#[cfg(not(debug_assertions))]
fn planted(_: &str, _: &Wanted) -> bool {
    eprintln!("yika-sim: this build has no planted faults; use `cargo xtask sim`");
    false
}

fn many(wanted: &Wanted) -> bool {
    let (next, began) = (AtomicU64::new(0), Instant::now());
    let (coverage, failed) = (Mutex::new(Coverage::default()), Mutex::new(Vec::new()));
    let work = || {
        while began.elapsed() < wanted.limit {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= wanted.seeds {
                return;
            }
            let seed = wanted.first + at;
            match run(seed, &faults_of(seed), false) {
                Ok(outcome) => hold(&coverage).add(&outcome.coverage),
                Err(violation) => {
                    println!("seed {seed}: {}", violation.what.lines().next().unwrap_or_default());
                    hold(&failed).push(seed);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    println!("{}", hold(&coverage));
    let mut failed = std::mem::take(&mut *hold(&failed));
    failed.sort_unstable();
    println!("{} seeds failed in {:.0} s", failed.len(), began.elapsed().as_secs_f64());
    for (at, seed) in failed.iter().take(5).enumerate() {
        let few = shrink(*seed, &faults_of(*seed));
        if let (0, Err(violation)) = (at, run(*seed, &few, true)) {
            println!("{violation}");
        }
        println!("{}", replay_line(*seed, &few));
    }
    failed.is_empty()
}

fn hold<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
