//! `yika demo`: a whole city in one process tree. The switch runs as a child process on a real file system;
//! two banks, the coupon platform and the terminals are simulated here with the load generator's library. In
//! the middle one bank fails and the switch is killed; at the end every ledger must agree to the fen. This is
//! the only module that may use the load generator.

mod child;
mod city;
mod folder;
mod interrupt;
mod table;

use crate::journal::disk::FileDisk;
use crate::journal::replay;
use child::Switch;
use city::City;
use folder::Folder;
use interrupt::Interrupt;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use table::Summary;
use yika_keystore::{Keystore, Lmk};
use yika_loadgen::{IssuerError, Progress, Reconciliation, RunError, reconcile};

/// What the demo's command line says.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    pub seconds: u64,
    /// Payments per second.
    pub rate: u32,
    /// No outage and no kill.
    pub calm: bool,
    /// The summary as one JSON object on stdout, and nothing else there.
    pub json: bool,
    /// Where the journal goes; None: the system's folder for temporary files.
    pub folder: Option<PathBuf>,
    /// Leave the folder behind, for `yika journal`.
    pub keep: bool,
    /// A file system in memory makes durability a pretence; it must be asked for.
    pub allow_tmpfs: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("cannot {doing} {what}: {source}")]
    Io { doing: &'static str, what: String, source: std::io::Error },
    #[error(
        "{folder} is on tmpfs: nothing there is durable, so the figures would be a pretence. Name a folder on a disk with \
         --dir, or say --allow-tmpfs"
    )]
    Tmpfs { folder: String },
    #[error("interrupted: the switch is stopped and the folder is removed")]
    Interrupted,
    #[error("the switch did not come up within {limit_s} s; its log: {log}")]
    NotUp { limit_s: u64, log: String },
    #[error("the switch ended by itself ({status}); its log: {log}")]
    Ended { status: String, log: String },
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    #[error(transparent)]
    Load(#[from] RunError),
    #[error("{0}")]
    Control(String),
    #[error("the journal cannot be read back: {0}")]
    Journal(#[from] crate::journal::recovery::RecoveryError),
    #[error("the demo's own configuration is refused, which is a fault of this build: {0}")]
    Config(String),
}

/// How long the end may take: everything answered, no obligation open.
const SETTLE: Duration = Duration::from_secs(30);

/// Runs the demo. `Ok(false)` when the ledgers do not balance or something was left open.
///
/// # Errors
/// `DemoError` when it cannot be run at all.
pub fn run(options: &DemoOptions) -> Result<bool, DemoError> {
    let interrupt = Interrupt::watch()?;
    let folder = Folder::make(options)?;
    let say = |text: String| say(options.json, &text);
    say(format!("yika demo: folder {} on {}", folder.path().display(), folder.file_system()));
    let city = City::start(&folder, options)?;
    let mut switch = Switch::spawn(&folder)?;
    say(format!(
        "switch {} listens on {}; banks on {} (iso87-ascii) and {} (pos-bcd), coupons on {}",
        switch.pid(),
        city.listener(),
        city.bank_a().addr(),
        city.bank_b().addr(),
        city.coupons().addr()
    ));
    let load = city.start_terminals(options)?;
    let began = Instant::now();
    let length = Duration::from_secs(options.seconds);
    let mut plan = Troubles::new(options, length);
    let mut recovery_ms = Vec::new();
    let mut before = Progress::default();
    while began.elapsed() < length {
        std::thread::sleep(Duration::from_millis(100));
        plan.bank(began.elapsed(), &city, &say)?;
        if plan.kill_is_due(began.elapsed()) {
            let pid = switch.pid();
            switch.kill()?;
            say(format!("   kill -9 {pid}: the switch is gone; starting it again"));
            let down = Instant::now();
            switch = Switch::spawn(&folder)?;
            let took = down.elapsed().as_millis() as u64;
            recovery_ms.push(took);
            say(format!("   switch {} is up again after {took} ms, its journal replayed", switch.pid()));
        }
        interrupt.check()?;
        switch.check()?;
        let now = load.progress();
        if now.elapsed_s.floor() > before.elapsed_s.floor() {
            say(live(&now, &before));
            before = now;
        }
    }
    plan.end(&city)?;
    load.stop_new_traffic();
    let open = settle(&load, &folder, &interrupt, &say)?;
    let report = load.finish(Duration::from_secs(1))?;
    switch.stop()?;
    let issuers = city.stop()?;
    let result = reconcile(std::slice::from_ref(&report.ledger), &issuers);
    let keys = Keystore::in_memory(Lmk::test());
    let opened = replay(&FileDisk::read_only(&folder.journal()), &keys)?;
    let counts = table::count(&FileDisk::read_only(&folder.journal()), &keys)?;
    let summary =
        Summary::new(&report, &result, &opened.durable, counts, &recovery_ms, open, options.seconds);
    show(options, &summary, &result);
    if options.keep {
        say(format!("kept: look into it with `yika journal stats --data {}`", folder.data().display()));
        folder.keep();
    }
    Ok(summary.balanced())
}

fn show(options: &DemoOptions, summary: &Summary, result: &Reconciliation) {
    let mut text = if options.json { summary.json() } else { summary.table() };
    text.push('\n');
    let mismatches = result.mismatches.iter().take(if options.json { 0 } else { 10 });
    mismatches.for_each(|mismatch| text += &format!("   {mismatch:?}\n"));
    // A reader that went away is told by the exit code all the same.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn say(json: bool, text: &str) {
    if json {
        // A reader that went away is no reason to stop.
        let _ = writeln!(std::io::stderr(), "{text}");
    } else {
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}

fn live(now: &Progress, before: &Progress) -> String {
    let seconds = (now.elapsed_s - before.elapsed_s).max(0.001);
    format!(
        "{:>4.0} s  {:>7.0}/s  approved {:>8}  declined {:>6}  reversed {:>4}  waiting {:>5}  p50 {:>6.2} ms  p99 {:>8.2} ms  connections {}",
        now.elapsed_s,
        now.ended.saturating_sub(before.ended) as f64 / seconds,
        now.approved,
        now.declined,
        now.reversed,
        now.under_way,
        now.p50_ms,
        now.p99_ms,
        now.connections_up
    )
}

/// Waits until all are answered and no obligation is open; how many obligations were left.
fn settle(
    load: &yika_loadgen::RunHandle,
    folder: &Folder,
    interrupt: &Interrupt,
    say: &impl Fn(String),
) -> Result<u64, DemoError> {
    let began = Instant::now();
    say("no new payments; waiting until all are answered and nothing is owed".into());
    loop {
        interrupt.check()?;
        let open = folder.open_obligations()?;
        if (load.is_done() && open == 0) || began.elapsed() > SETTLE {
            return Ok(open);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What goes wrong, and when: bank A is down from 30 to 45 % of the time, the switch is killed at 60 %.
struct Troubles {
    down: Option<Duration>,
    up: Option<Duration>,
    kill: Option<Duration>,
}

impl Troubles {
    fn new(options: &DemoOptions, length: Duration) -> Troubles {
        let at = |percent: u32| (!options.calm).then(|| length * percent / 100);
        Troubles { down: at(30), up: at(45), kill: at(60) }
    }

    fn bank(&mut self, now: Duration, city: &City, say: &impl Fn(String)) -> Result<(), DemoError> {
        if self.down.take_if(|at| *at <= now).is_some() {
            city.bank_a().go_down()?;
            say("   bank-a is down: the switch stands in for it within limits".into());
        }
        if self.up.take_if(|at| *at <= now).is_some() {
            city.bank_a().come_up()?;
            say("   bank-a is up again: advices and reversals drain".into());
        }
        Ok(())
    }

    fn kill_is_due(&mut self, now: Duration) -> bool {
        self.kill.take_if(|at| *at <= now).is_some()
    }

    /// A very short demo may end before the outage does.
    fn end(&mut self, city: &City) -> Result<(), DemoError> {
        if self.down.is_none() && self.up.take().is_some() {
            city.bank_a().come_up()?;
        }
        Ok(())
    }
}
