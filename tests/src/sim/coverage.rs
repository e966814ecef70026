//! What runs have reached: a fault that never fired, or an entry that was never written, is a fault of the simulator.

use super::fault::FaultKind;
use super::kinds;
use std::collections::BTreeMap;
use std::fmt;
use yika_switch::core::effect::Alarm;

#[derive(Clone, Default, Debug)]
pub struct Coverage {
    pub runs: u64,
    /// Virtual time, microseconds.
    pub virtual_us: u64,
    pub faults: BTreeMap<FaultKind, u64>,
    /// What journals held and lines were: kinds of entries, outcomes, legs, obligations and the rest of `kinds::ALL`,
    /// intents by kind of transaction.
    pub met: BTreeMap<String, u64>,
    pub alarms: BTreeMap<String, u64>,
    pub deaths: u64,
    pub torn_commits: u64,
    pub journal_failures: u64,
    pub flips: u64,
    pub flips_refused: u64,
}

impl Coverage {
    pub(super) fn fault(&mut self, kind: FaultKind) {
        *self.faults.entry(kind).or_default() += 1;
    }

    pub(super) fn alarm(&mut self, alarm: &Alarm) {
        let text = format!("{alarm:?}");
        let name = text.split([' ', '{']).next().unwrap_or_default().to_owned();
        *self.alarms.entry(name).or_default() += 1;
    }

    pub(super) fn read(&mut self, kinds: &BTreeMap<String, u64>) {
        kinds.iter().for_each(|(kind, count)| *self.met.entry(kind.clone()).or_default() += count);
    }

    pub fn add(&mut self, other: &Coverage) {
        self.runs += other.runs;
        self.virtual_us += other.virtual_us;
        self.deaths += other.deaths;
        self.torn_commits += other.torn_commits;
        self.journal_failures += other.journal_failures;
        self.flips += other.flips;
        self.flips_refused += other.flips_refused;
        other.faults.iter().for_each(|(kind, count)| *self.faults.entry(*kind).or_default() += count);
        self.read(&other.met);
        for (name, count) in &other.alarms {
            *self.alarms.entry(name.clone()).or_default() += count;
        }
    }

    /// A line was seen in this state.
    pub(super) fn line(&mut self, kind: &'static str) {
        match self.met.get_mut(kind) {
            Some(count) => *count += 1,
            None => drop(self.met.insert(kind.to_owned(), 1)),
        }
    }

    /// Kinds that no run met, those aside that none can meet; and of those, the ones that were met.
    pub fn surprises(&self) -> Vec<&'static str> {
        let never = |kind: &str| kinds::NEVER.iter().any(|(name, _)| *name == kind);
        kinds::ALL.iter().copied().filter(|kind| self.met.contains_key(*kind) == never(kind)).collect()
    }

    /// Faults that no run had.
    pub fn unused_faults(&self) -> Vec<FaultKind> {
        FaultKind::ALL.iter().copied().filter(|kind| !self.faults.contains_key(kind)).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} runs, {:.1} virtual hours", self.runs, self.virtual_us as f64 / 3.6e9)?;
        writeln!(
            f,
            "{} deaths of the process, {} torn commits, {} failures of the journal, {} of {} flipped bits noticed",
            self.deaths, self.torn_commits, self.journal_failures, self.flips_refused, self.flips
        )?;
        let faults: Vec<String> =
            self.faults.iter().map(|(kind, count)| format!("{kind:?} {count}")).collect();
        writeln!(f, "faults: {}", faults.join(", "))?;
        let list = |of: &BTreeMap<String, u64>| {
            of.iter().map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ")
        };
        writeln!(f, "met: {}", list(&self.met))?;
        write!(f, "alarms: {}", list(&self.alarms))
    }
}
