//! `cargo xtask fuzz`: the coverage-guided fuzzer over the targets of `tests/src/hostile`.
//!
//! Builds `tests/fuzz` on the stable toolchain, with the coverage that libFuzzer listens to, into a folder of its own, and
//! shares the minutes over the targets. What a run learnt stays in `fuzz/` of the target folder for the next; an input
//! that a target does not stand is left there too, with a line that repeats it.

use crate::setup::target_folder;
use crate::step::{Failed, Step};
use crate::workspace;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The passes of LLVM that libFuzzer listens to; they are part of every toolchain, and need no sanitizer.
const COVERAGE: [&str; 6] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// An input that takes longer than this, or more memory, is a finding; the heaviest of the seeds takes milliseconds.
const INPUT_SECONDS_MAX: u64 = 5;
const MEMORY_MIB_MAX: u64 = 1024;

const USAGE: &str = "usage: cargo xtask fuzz [--minutes N] [--target NAME] [--replay FILE]";

/// What was typed.
#[derive(Debug, PartialEq)]
struct Options {
    minutes: u64,
    target: Option<String>,
    replay: Option<PathBuf>,
}

/// A target as the fuzzer lists it.
struct Target {
    name: String,
    input_bytes_max: String,
}

pub(crate) fn run(rest: &[String]) -> Result<(), Failed> {
    let options =
        options(rest).ok_or_else(|| Failed::Missing { what: rest.join(" "), cure: USAGE.to_owned() })?;
    let target_folder = target_folder()?;
    let fuzzer = build(&target_folder.join("fuzz/build"))?;
    let mut targets = list(&fuzzer)?;
    targets.retain(|target| options.target.as_ref().is_none_or(|name| *name == target.name));
    if targets.is_empty() {
        return Err(Failed::Missing { what: "there is no such target".to_owned(), cure: USAGE.to_owned() });
    }
    if let Some(input) = &options.replay {
        return replay(&fuzzer, &targets, input);
    }
    let seconds = options.minutes * 60 / targets.len() as u64;
    let ended: Vec<_> = targets
        .iter()
        .map(|target| fuzz(&fuzzer, target, seconds, &target_folder.join("fuzz").join(&target.name)))
        .collect();
    ended.into_iter().collect()
}

fn options(rest: &[String]) -> Option<Options> {
    let mut options = Options { minutes: 4, target: None, replay: None };
    for pair in rest.chunks(2) {
        let [key, value] = pair else { return None };
        match key.as_str() {
            "--minutes" => options.minutes = value.parse().ok().filter(|minutes| *minutes > 0)?,
            "--target" => options.target = Some(value.clone()),
            "--replay" => options.replay = Some(std::path::absolute(value).ok()?),
            _ => return None,
        }
    }
    // Which target an input is for, nothing in it says.
    (options.replay.is_none() || options.target.is_some()).then_some(options)
}

/// Builds the fuzzer and returns its path.
fn build(folder: &Path) -> Result<PathBuf, Failed> {
    if !["c++", "g++", "clang++"].iter().any(|tool| Step::new(tool, *tool, &["--version"]).works()) {
        return Err(Failed::Missing {
            what: "libFuzzer is compiled with the fuzzer, and there is no C++ compiler (c++, g++ or clang++)"
                .to_owned(),
            cure: "install one (on Debian, as root: apt-get install g++) and run this again; without one, \
                   `cargo test -p yika-tests --profile checked --test hostile` runs the same targets unguided"
                .to_owned(),
        });
    }
    let host = host()?;
    // A named host keeps the flags away from build scripts, which libFuzzer is not linked to.
    let manifest = ["--manifest-path", "tests/fuzz/Cargo.toml", "--target", &host];
    // Elsewhere a lock file that our own manifests have outrun is brought up to date, and shows in the next commit.
    let locked: &[&str] = if env::var_os("CI").is_some() { &["--locked"] } else { &[] };
    Step::cargo("build", &[&["build", "--release"], &manifest[..], locked].concat())
        .with("RUSTFLAGS", COVERAGE.join(" "))
        .with("CARGO_TARGET_DIR", folder)
        .run()?;
    Ok(folder.join(host).join("release/yika-fuzz"))
}

fn host() -> Result<String, Failed> {
    let told = Command::new("rustc").arg("-vV").output();
    let text = told.ok().and_then(|told| String::from_utf8(told.stdout).ok()).unwrap_or_default();
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned);
    host.ok_or_else(|| Failed::Missing {
        what: "rustc does not tell its host".to_owned(),
        cure: "run `rustc -vV` and look at what it says".to_owned(),
    })
}

/// The targets, as the fuzzer lists them when it is given none.
fn list(fuzzer: &Path) -> Result<Vec<Target>, Failed> {
    let told = Command::new(fuzzer).env_remove("YIKA_FUZZ_TARGET").output();
    let text = told.ok().and_then(|told| String::from_utf8(told.stdout).ok()).unwrap_or_default();
    let rows = text.lines().filter_map(|line| line.split_once(' '));
    let targets: Vec<_> = rows
        .map(|(name, bytes)| Target { name: name.to_owned(), input_bytes_max: bytes.to_owned() })
        .collect();
    Ok(targets)
}

fn fuzz(fuzzer: &Path, target: &Target, seconds: u64, folder: &Path) -> Result<(), Failed> {
    let seeds = folder.join("seeds");
    let learnt = folder.join("learnt");
    let kept = workspace().join("tests/fuzz/corpus").join(&target.name);
    for place in [&seeds, &learnt] {
        fs::create_dir_all(place).map_err(|error| Failed::Missing {
            what: format!("cannot make {}: {error}", place.display()),
            cure: "make the target folder writable".to_owned(),
        })?;
    }
    let mut step = fuzzer_step(fuzzer, target).with("YIKA_FUZZ_SEEDS", &seeds);
    step.arguments.extend([
        format!("-max_total_time={seconds}"),
        format!("-max_len={}", target.input_bytes_max),
        format!("-artifact_prefix={}/", folder.display()),
        "-print_final_stats=1".to_owned(),
        learnt.display().to_string(),
        seeds.display().to_string(),
    ]);
    step.arguments.extend(kept.is_dir().then(|| kept.display().to_string()));
    let before = inputs(folder);
    let ended = step.run();
    for input in inputs(folder).iter().filter(|input| !before.contains(input)) {
        println!("found: cargo xtask fuzz --target {} --replay {}\n", target.name, input.display());
    }
    ended
}

/// What libFuzzer left beside the folders: crash-, timeout-, oom-.
fn inputs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

fn replay(fuzzer: &Path, targets: &[Target], input: &Path) -> Result<(), Failed> {
    targets.iter().try_for_each(|target| {
        let mut step = fuzzer_step(fuzzer, target);
        step.arguments.push(input.display().to_string());
        step.run()
    })
}

fn fuzzer_step(fuzzer: &Path, target: &Target) -> Step {
    let mut step = Step::new("fuzz", fuzzer, &[]).with("YIKA_FUZZ_TARGET", &target.name);
    step.arguments
        .extend([format!("-timeout={INPUT_SECONDS_MAX}"), format!("-rss_limit_mb={MEMORY_MIB_MAX}")]);
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Option<Options> {
        options(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_typed_is_understood_or_refused() {
        assert_eq!(typed(""), Some(Options { minutes: 4, target: None, replay: None }));
        let both = typed("--minutes 30 --target tlv");
        assert_eq!(both, Some(Options { minutes: 30, target: Some("tlv".into()), replay: None }));
        let replay = typed("--target tlv --replay /tmp/crash-1").and_then(|options| options.replay);
        assert_eq!(replay, Some(PathBuf::from("/tmp/crash-1")));
        for wrong in ["--minutes", "--minutes 0", "--minutes x", "--replay /tmp/crash-1", "--targets tlv"] {
            assert_eq!(typed(wrong), None, "{wrong}");
        }
    }
}
