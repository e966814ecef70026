//! `yika-fuzz`: libFuzzer over one target of `tests/src/hostile`. Run by `cargo xtask fuzz`, which builds it with
//! coverage instrumentation.
//!
//! The target's name comes in `YIKA_FUZZ_TARGET`, as libFuzzer owns the arguments; without one the targets are listed.
//! Its seeds are written to the folder in `YIKA_FUZZ_SEEDS` before libFuzzer reads it.

#![no_main]

use hostile::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::sync::OnceLock;
use std::{env, fs, process};

/// The targets' own files, so that nothing else of the tests is compiled with them.
#[path = "../../src/hostile/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "the smoke of the test command stands there too")]
mod hostile;

/// The converter's own files: the whole switch would be linked, instrumented and searched for them.
#[path = "../../../switch/src/cli/dialect/convert/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "the command uses what the fuzzer does not")]
mod converter;

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(init: begin(), |data: &[u8]| {
    let target = TARGET.get().expect("libFuzzer begins with its init");
    (target.run)(data);
});

fn begin() {
    let Ok(name) = env::var("YIKA_FUZZ_TARGET") else {
        TARGETS.iter().for_each(|target| println!("{} {}", target.name, target.input_bytes_max));
        process::exit(0);
    };
    let Some(target) = TARGETS.into_iter().find(|target| target.name == name) else {
        eprintln!("there is no target {name}");
        process::exit(2);
    };
    if let Some(folder) = env::var_os("YIKA_FUZZ_SEEDS") {
        for (number, seed) in (target.seeds)().iter().enumerate() {
            let file = Path::new(&folder).join(format!("seed-{number}"));
            fs::write(&file, seed).unwrap_or_else(|error| panic!("cannot write {}: {error}", file.display()));
        }
    }
    TARGET.get_or_init(|| target);
}
