//! One run: a seed and its faults, to the end or to the first thing that is wrong; and the search for the fewest faults
//! that still show it.

use super::check;
use super::coverage::Coverage;
use super::fault::{Fault, plan};
use super::setting::Setting;
use super::world::World;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Something that must not be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    pub what: String,
    /// What happened, where the run was traced.
    pub trace: Vec<String>,
    /// F37 of the payment that shows it.
    rrn: Option<[u8; 12]>,
}

impl Violation {
    pub(super) fn new(what: impl Into<String>) -> Violation {
        Violation { what: what.into(), trace: Vec::new(), rrn: None }
    }

    /// Names the payment that shows it.
    pub(super) fn of(self, rrn: Option<[u8; 12]>) -> Violation {
        Violation { rrn, ..self }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.trace.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        f.write_str(&self.what)
    }
}

/// A run in which everything held.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub coverage: Coverage,
}

/// Virtual time after which everything must have come to rest.
const REST_US: u64 = 400_000_000;

/// The faults that a seed has by itself.
pub fn faults_of(seed: u64) -> Vec<Fault> {
    plan(seed, Setting::of(seed).run_us)
}

/// # Errors
/// The first violation; a panic of the switch is one.
pub fn run(seed: u64, faults: &[Fault], trace: bool) -> Result<Outcome, Violation> {
    let mut world = World::new(seed, faults.to_vec(), trace);
    let held = catch_unwind(AssertUnwindSafe(|| live(&mut world)));
    let violation = match held {
        Ok(Ok(())) => {
            world.coverage.runs = 1;
            world.coverage.virtual_us = world.now.mono_us;
            return Ok(Outcome { coverage: world.coverage });
        }
        Ok(Err(violation)) => violation,
        Err(panic) => Violation::new(format!("P11: a panic: {}", words(&*panic))),
    };
    let trace = world.trace.map(|trace| trace.lines(violation.rrn)).unwrap_or_default();
    Err(Violation { trace, ..violation })
}

fn live(world: &mut World) -> Result<(), Violation> {
    let run_us = world.setting.run_us;
    let over_us =
        world.faults.iter().map(|fault| fault.at_us + fault.lasts_us).max().unwrap_or(0).max(run_us);
    while world.now.mono_us < run_us {
        world.step()?;
    }
    world.accepting = false;
    world.crews.iter_mut().for_each(yika_loadgen::Crew::stop_new);
    while world.now.mono_us < over_us || !is_at_rest(world) {
        world.settle_parked();
        world.step()?;
        if world.now.mono_us > over_us + REST_US {
            return Err(Violation::new(format!(
                "P5: no rest after {} s: {}",
                REST_US / 1_000_000,
                unrest(world)
            )));
        }
    }
    world.note_stored();
    check::at_rest(world)
}

fn is_at_rest(world: &World) -> bool {
    let quiet = |driver: &yika_switch::driver::Driver| {
        let durable = &driver.core.durable;
        let owes = !durable.obligations.is_empty();
        !driver.is_draining() && durable.open.is_empty() && !owes && driver.journal().is_idle()
    };
    world.crews.iter().all(|crew| crew.under_way() == 0)
        && world.depots.iter().all(|depot| depot.is_at_rest())
        && world.switch.as_ref().is_some_and(quiet)
}

fn unrest(world: &World) -> String {
    let depots: Vec<String> =
        world.depots.iter().filter(|depot| !depot.is_at_rest()).map(|depot| depot.ledger.unrest()).collect();
    let depots = depots.join(", ");
    let terminals: u32 = world.crews.iter().map(yika_loadgen::Crew::under_way).sum();
    let Some(driver) = &world.switch else { return "the switch is not up".into() };
    let durable = &driver.core.durable;
    let first =
        durable.obligations.values().next().map(|held| format!("{:?}", held.owed.kind)).unwrap_or_default();
    format!(
        "{terminals} terminals wait and the gateways [{depots}], {} transactions are open, {} obligations ({first})",
        durable.open.len(),
        durable.obligations.len()
    )
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words").to_owned()
}

/// The line that repeats a run; `faults` are some of the seed's own.
pub fn replay_line(seed: u64, faults: &[Fault]) -> String {
    let all = faults_of(seed);
    let numbers: Vec<String> =
        (0..all.len()).filter(|at| faults.contains(&all[*at])).map(|at| at.to_string()).collect();
    let list = match numbers.len() {
        0 => " --faults none".to_owned(),
        some if some == all.len() => String::new(),
        _ => format!(" --faults {}", numbers.join(",")),
    };
    format!("replay: cargo xtask sim --seed {seed}{list}")
}

/// The fewest of these faults that still violate something, found by leaving out halves, then one after another.
pub fn shrink(seed: u64, faults: &[Fault]) -> Vec<Fault> {
    let fails = |faults: &[Fault]| run(seed, faults, false).is_err();
    let mut held = faults.to_vec();
    let mut size = held.len() / 2;
    while size > 0 {
        let mut from = 0;
        while from < held.len() {
            let to = (from + size).min(held.len());
            let fewer: Vec<Fault> = [&held[..from], &held[to..]].concat();
            if fails(&fewer) {
                held = fewer;
            } else {
                from = to;
            }
        }
        size /= 2;
    }
    held
}
