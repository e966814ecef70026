//! What may come in from a hostile wire or file, and what must hold of it: one plain function for each target, which
//! panics when something does not.
//!
//! The fuzzer (`tests/fuzz`) and the smoke in the test command run the same functions. A new target is a function and a
//! row of [`TARGETS`]; it must not depend on a clock, on chance, or on what it was given before.

mod convert;
mod decode;
mod dialect;
mod frame;
mod gate;
mod mutate;
mod seeds;
mod tlv;

use mutate::Mutator;
use std::fmt;
use std::panic::catch_unwind;

/// Something that takes bytes from outside.
pub struct Target {
    pub name: &'static str,
    /// Panics when a property does not hold for these bytes.
    pub run: fn(&[u8]),
    /// Where mutation begins.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Longer inputs bring nothing new.
    pub input_bytes_max: usize,
    /// Mutations in the test command: as many as take a second or two.
    pub smoke_cases: u32,
}

pub const TARGETS: [Target; 6] = [
    Target {
        name: "frame",
        run: frame::run,
        seeds: frame::seeds,
        input_bytes_max: 1024,
        smoke_cases: 20_000,
    },
    Target {
        name: "decode",
        run: decode::run,
        seeds: seeds::messages,
        input_bytes_max: 2048,
        smoke_cases: 20_000,
    },
    Target { name: "tlv", run: tlv::run, seeds: tlv::seeds, input_bytes_max: 300, smoke_cases: 20_000 },
    // A text costs two hundred times what a message costs.
    Target {
        name: "dialect",
        run: dialect::run,
        seeds: dialect::seeds,
        input_bytes_max: 24_576,
        smoke_cases: 2_000,
    },
    Target {
        name: "convert",
        run: convert::run,
        seeds: convert::seeds,
        input_bytes_max: 8192,
        smoke_cases: 4_000,
    },
    Target { name: "gate", run: gate::run, seeds: gate::seeds, input_bytes_max: 2048, smoke_cases: 20_000 },
];

/// An input that a target did not stand, and what it said.
#[derive(Debug)]
pub struct Found {
    pub input: Vec<u8>,
    pub said: String,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.said)?;
        self.input.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Runs a target over its seeds, over `kept` inputs, and over `cases` mutations of both, the same in every run.
///
/// # Errors
/// The first input that it does not stand.
pub fn smoke(target: &Target, kept: &[Vec<u8>], cases: u32) -> Result<(), Found> {
    let mut pool = (target.seeds)();
    pool.extend_from_slice(kept);
    pool.iter().try_for_each(|input| stand(target, input))?;
    let mut mutator = Mutator::new(target.input_bytes_max);
    (0..cases).try_for_each(|_| stand(target, &mutator.from(&pool)))
}

fn stand(target: &Target, input: &[u8]) -> Result<(), Found> {
    let run = target.run;
    catch_unwind(|| run(input)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let said = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Found { input: input.to_vec(), said: said.unwrap_or_default() }
    })
}

/// An error names offsets and lengths, never a card number or another long value: more digits than a length has are one.
fn assert_tells_no_value(text: &str) {
    let longest = text.split(|letter: char| !letter.is_ascii_digit()).map(str::len).max();
    assert!(longest.unwrap_or(0) <= 6, "an error tells a value: {text}");
}
