//! Developer commands, run as `cargo xtask COMMAND`: everything that needs more than one line of cargo.
//!
//! Promises: what passes here passes in CI, because `.ci/run` calls the same `cargo xtask test`. Uses the
//! standard library alone, so that it is built in seconds on a machine that has nothing else yet.

mod fuzz;
mod setup;
mod step;
mod tally;
mod test;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use step::{Failed, Step};

const HELP: &str = "\
Developer commands of Yika.

  cargo xtask test          set up, then formatting, licences, lints, build and every test
  cargo xtask tidy          only the rules of the house: borders, lengths, names, card numbers, words
  cargo xtask bench [ARGS]  the measured costs, in release; ARGS go to the bench program
  cargo xtask sim [ARGS]    simulated worlds by seed: --seeds N --minutes M, or --seed S [--faults A,B] for one with its trace
  cargo xtask fuzz [ARGS]   hostile bytes, guided by coverage: --minutes N over all targets, --target NAME for one, --replay FILE
  cargo xtask chaos [ARGS]  the real switch under load with kills, pauses, full and slow disks, lost connections: --minutes M
  cargo xtask soak [ARGS]   the real switch under calm load, whose figures have to stay flat: --minutes M --rate R
  cargo xtask help          this page

`test` needs cargo and python3 with venv; as root on Debian it installs the latter by itself. `fuzz` needs a C++
compiler and says so. All keep what they install and learn under the target folder. Exit codes: 0 all passed, 1 something
failed, 2 unknown command.";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    let ended = match (command, rest) {
        ("test", []) => test::run(),
        ("tidy", []) => Step::cargo("tidy", &test::TIDY).run(),
        ("bench", rest) => bench(rest),
        ("sim", rest) => sim(rest),
        ("fuzz", rest) => fuzz::run(rest),
        ("chaos", rest) => chaos("chaos", rest),
        ("soak", rest) => chaos("soak", rest),
        ("help" | "--help" | "-h", _) => {
            println!("{HELP}");
            Ok(())
        }
        (_, _) => {
            eprintln!("unknown command: {}\n\n{HELP}", arguments.join(" "));
            return ExitCode::from(2);
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("\n{failed}");
            ExitCode::FAILURE
        }
    }
}

/// The end-to-end part runs the switch and the load tool from beside the bench program: all three are built first.
fn bench(rest: &[String]) -> Result<(), Failed> {
    let programs = ["build", "--release", "--package", "yika-switch", "--package", "yika-loadgen"];
    let mut build = Step::cargo("build", &programs);
    let mut step = Step::cargo("bench", &["run", "--release", "--package", "yika-bench", "--"]);
    step.arguments.extend_from_slice(rest);
    if rest.iter().any(|word| word == "profile") {
        // Stacks need frame pointers, and the usual build has none.
        let framed = |step: Step| {
            step.with("RUSTFLAGS", "-C force-frame-pointers=yes")
                .with("CARGO_TARGET_DIR", workspace().join("target/profile"))
        };
        (build, step) = (framed(build), framed(step));
    }
    build.run()?;
    step.run()
}

fn sim(rest: &[String]) -> Result<(), Failed> {
    let run =
        ["run", "--quiet", "--profile", "checked", "--package", "yika-tests", "--bin", "yika-sim", "--"];
    let mut step = Step::cargo("sim", &run);
    step.arguments.extend_from_slice(rest);
    step.run()
}

/// Both run the switch from beside their own program: all are built first, in the same profile.
fn chaos(command: &'static str, rest: &[String]) -> Result<(), Failed> {
    if command == "chaos" {
        setup::prepare_chaos();
    }
    let programs = ["--profile", "checked", "--package", "yika-switch", "--package", "yika-tests", "--bins"];
    Step::cargo("build", &[&["build"], &programs[..]].concat()).run()?;
    let run =
        ["run", "--profile", "checked", "--package", "yika-tests", "--bin", "yika-chaos", "--", command];
    let mut step = Step::cargo(command, &run);
    step.arguments.extend_from_slice(rest);
    step.run()
}

/// The top folder of the workspace; every step runs there, wherever the command was typed.
fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}
