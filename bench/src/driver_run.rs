//! The driver at work without sockets: whole payments from the bytes of a request to the bytes of its answer, with a MAC on
//! both sides, a PIN in one of five and the journal sealed, all on this thread, so that time and allocations can be told by part.
//!
//! Terminals and banks are those of the load generator; what they do is not timed. What the system and the disk cost is not in
//! it either: the end-to-end rows have that.

use crate::alloc;
use crate::city::{ACQUIRER_MAC, ACQUIRER_PIN, BANK_MAC, BANK_PIN, Mac};
use crate::core_run::{BEGINNING_MS, config};
use crate::error::BenchError;
use crate::measure::Cost;
use crate::nowhere::Nowhere;
use crate::report::{Report, Row, figure};
use std::sync::Arc;
use std::time::{Duration, Instant};
use yika_keystore::{Export, Keystore, Lmk};
use yika_loadgen::{Crew, Desk, IssuerConfig, Load, RunConfig, Share, Wire, test_mac_key, test_pin_key};
use yika_switch::config::Config;
use yika_switch::core::effect::Alarm;
use yika_switch::core::ids::{LineId, ListenerNo, Now, SessionId};
use yika_switch::driver::{Driver, Output};
use yika_switch::start::{Commits, Replayed};

/// What a part of the way was measured to take.
#[derive(Clone, Copy, Default)]
struct Spent {
    ns: u64,
    allocations: u64,
}

/// The parts, in the order of a payment's way; each is passed twice, with the request and with the answer.
#[derive(Clone, Copy)]
enum Step {
    In,
    Core,
    Journal,
    Out,
}

const STEPS: [(Step, &str); 4] = [
    (Step::In, "bytes in: frames, decode, MAC, facts"),
    (Step::Core, "the core's turns"),
    (Step::Journal, "frames made and sealed"),
    (Step::Out, "bytes out: PIN, encode, MAC"),
];

/// Time between two rounds: at 1,024 payments a round some 100,000 a second, as on the whole switch.
const ROUND_US: u64 = 10_000;
/// Short, so that forgetting is part of the figure.
const WINDOW_MS: u64 = 2_000;

pub(crate) fn run(quick: bool, report: &mut Report) -> Result<(), BenchError> {
    let repeats = if quick { 5 } else { 15 };
    for (connections, outstanding, rounds) in [(64, 16, 40), (1, 1, 4_000)] {
        let mut booth = Booth::open(connections, outstanding)?;
        booth.rounds(filling(connections * outstanding))?;
        let mut repeated = Vec::new();
        for _ in 0..repeats {
            let before = booth.replies();
            let spent = booth.rounds(rounds)?;
            repeated.push((spent, (booth.replies() - before) as f64));
        }
        booth.check(connections * outstanding)?;
        rows(&format!("{connections} x {outstanding}"), &repeated, report);
    }
    Ok(())
}

/// Rounds that fill the window, or as many as can be waited for where payments are few.
fn filling(payments_a_round: u32) -> u64 {
    if payments_a_round > 1 { WINDOW_MS * 1000 / ROUND_US + 20 } else { 2_000 }
}

fn rows(load: &str, repeated: &[([Spent; 4], f64)], report: &mut Report) {
    let ns = |of: &dyn Fn(&[Spent; 4]) -> u64| {
        Cost::of(repeated.iter().map(|(spent, payments)| of(spent) as f64 / payments).collect())
    };
    let payments: f64 = repeated.iter().map(|(_, payments)| payments).sum();
    let allocations = |of: &dyn Fn(&[Spent; 4]) -> u64| {
        let sum: u64 = repeated.iter().map(|(spent, _)| of(spent)).sum();
        format!("{} allocations a payment", figure(sum as f64 / payments))
    };
    let whole = |spent: &[Spent; 4]| spent.iter().map(|part| part.ns).sum();
    let made = allocations(&|spent| spent.iter().map(|part| part.allocations).sum());
    let what = format!("{load}: a payment in process, no sockets");
    report.add(Row::cost("driver", what, ns(&whole)).beside(made));
    for (step, name) in STEPS {
        let at = step as usize;
        let made = allocations(&|spent| spent[at].allocations);
        report.add(Row::cost("driver", format!("of that: {name}"), ns(&|spent| spent[at].ns)).beside(made));
    }
}

/// A driver between terminals and banks that are all in this process.
struct Booth {
    driver: Driver,
    now: Now,
    crew: Crew,
    sessions: Vec<SessionId>,
    lines: Vec<BankLine>,
    banks: Vec<Desk>,
    outputs: Vec<Output>,
}

/// A connection to a bank, by its number in `Booth::banks`.
struct BankLine {
    bank: usize,
    received: Vec<u8>,
}

impl Booth {
    fn open(connections: u32, outstanding: u32) -> Result<Booth, BenchError> {
        let setup = BenchError::setup("the driver");
        let mut config = config()?;
        config.limits.dedupe_window_ms = WINDOW_MS;
        config.limits.original_window_ms = WINDOW_MS;
        let now = Now { mono_us: 1, wall_ms: BEGINNING_MS };
        let replayed = Replayed::read(Arc::new(Nowhere::default()), Arc::new(keys(&config)?));
        let started = replayed.and_then(|replayed| replayed.start(&config, now, Commits::Stepped));
        let mut driver = started.map_err(|e| setup(&e))?.driver;
        let banks = [bank("bank-a", "iso87-ascii")?, bank("bank-b", "pos-bcd")?].into();
        let lines = driver
            .lines()
            .map(|(rim, _)| BankLine { bank: usize::from(rim.name == "bank-b"), received: Vec::new() });
        let lines = lines.collect();
        let opened = (0..connections).map(|_| driver.session_opened(ListenerNo(0), now));
        let sessions = opened.collect::<Option<Vec<_>>>().ok_or_else(|| setup(&"a session is refused"))?;
        let crew = crew(connections, outstanding)?;
        let mut booth = Booth { driver, now, crew, sessions, lines, banks, outputs: Vec::new() };
        let mut unmeasured = [Spent::default(); 4];
        // Time passes until the lines are up and the core knows it.
        for _ in 0..10 {
            booth.now.mono_us += ROUND_US;
            booth.turn(&mut unmeasured)?;
        }
        for connection in 0..connections {
            booth.crew.handle_connected(connection, Duration::from_micros(booth.now.mono_us));
        }
        Ok(booth)
    }

    fn replies(&self) -> u64 {
        self.driver.counts.replies
    }

    /// So many rounds, in each of which every payment under way ends and another one begins.
    fn rounds(&mut self, count: u64) -> Result<[Spent; 4], BenchError> {
        let mut spent = [Spent::default(); 4];
        for _ in 0..count {
            self.now.mono_us += ROUND_US;
            self.now.wall_ms = BEGINNING_MS + self.now.mono_us / 1000;
            self.crew.handle_wall(u32::try_from(self.now.wall_ms / 1000).unwrap_or(u32::MAX));
            while let Some((connection, bytes)) = self.crew.poll_output() {
                let (session, now) = (self.sessions[connection as usize], self.now);
                timed(&mut spent, Step::In, || self.driver.session_bytes(session, &bytes, now));
            }
            // Requests become durable and go to the banks; then the answers do, and go to the terminals.
            self.turn(&mut spent)?;
            self.banks_answer(&mut spent)?;
            self.turn(&mut spent)?;
        }
        Ok(spent)
    }

    /// A turn of the core, what it decided made durable, and a turn that sends what is released.
    fn turn(&mut self, spent: &mut [Spent; 4]) -> Result<(), BenchError> {
        let now = self.now;
        timed(spent, Step::Core, || self.driver.turn(now));
        let mut more = Ok(true);
        timed(spent, Step::Journal, || {
            while matches!(more, Ok(true)) {
                more = self.driver.journal_mut().step();
            }
        });
        more.map_err(|e| BenchError::setup("the driver")(&e))?;
        timed(spent, Step::Out, || self.driver.turn(now));
        self.perform(spent)
    }

    /// What the sockets' side does: here it moves bytes to terminals and banks.
    fn perform(&mut self, spent: &mut [Spent; 4]) -> Result<(), BenchError> {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.driver.take_outputs(&mut outputs);
        for output in outputs.drain(..) {
            match output {
                Output::SessionOut(id) => {
                    let bytes = self.driver.session_pending(id).to_vec();
                    timed(spent, Step::Out, || self.driver.session_wrote(id, bytes.len()));
                    let at = Duration::from_micros(self.now.mono_us);
                    let taken = self.crew.handle_bytes(id.slot, &bytes, at, |_| {});
                    taken
                        .map_err(|_| BenchError::setup("the driver")(&"terminals cannot cut its answers"))?;
                }
                Output::LineOut(id) => {
                    let bytes = self.driver.line_pending(id);
                    let count = bytes.len();
                    self.lines[id.0 as usize].received.extend_from_slice(bytes);
                    timed(spent, Step::Out, || self.driver.line_wrote(id, count));
                }
                Output::Connect(id, attempt, _) => {
                    self.driver.line_connected(id, attempt, self.now);
                }
                // The first batch of a day opens it: no fault.
                Output::Alarm(Alarm::DateOpened { .. }) => {}
                other => {
                    return Err(BenchError::setup("the driver")(&format!("it asks for {other:?}")));
                }
            }
        }
        self.outputs = outputs;
        Ok(())
    }

    fn banks_answer(&mut self, spent: &mut [Spent; 4]) -> Result<(), BenchError> {
        for (at, line) in self.lines.iter_mut().enumerate() {
            let bank = &mut self.banks[line.bank];
            let (mut taken, mut answers) = (0, Vec::new());
            let framing = bank.framing();
            let cut = |bytes| {
                framing.next(bytes, FRAME_BYTES_MAX).map_err(|e| BenchError::setup("a bank in process")(&e))
            };
            while let Some(frame) = cut(&line.received[taken..])? {
                bank.take_frame(&line.received[taken..][frame.start..frame.end], &mut answers);
                taken += frame.next;
            }
            line.received.drain(..taken);
            let (id, now) = (LineId(at as u32), self.now);
            if !answers.is_empty() {
                timed(spent, Step::In, || self.driver.line_bytes(id, &answers, now));
            }
        }
        Ok(())
    }

    /// Every payment was approved, and every PIN came through; but for those that are under way.
    fn check(&self, under_way: u32) -> Result<(), BenchError> {
        let approved = self.driver.core.counters.approved;
        let pins = self.banks.iter().map(Desk::stats).fold((0, 0, 0), |sum, bank| {
            (sum.0 + bank.pins_good, sum.1 + bank.pins_wrong, sum.2 + bank.mac_failures)
        });
        let whole = approved == self.replies() && approved > 0 && self.crew.under_way() == under_way;
        if whole && pins.0 > 0 && (pins.1, pins.2) == (0, 0) && self.crew.faults() == [0, 0] {
            return Ok(());
        }
        let why = format!(
            "{approved} of {} payments were approved; PINs good, wrong, and MACs that failed at banks: {pins:?}",
            self.replies()
        );
        Err(BenchError::Setup { part: "the driver", why })
    }
}

const FRAME_BYTES_MAX: usize = 8192;

/// Does the work and adds what it took to that step.
fn timed(spent: &mut [Spent; 4], step: Step, work: impl FnOnce()) {
    let began = Instant::now();
    let allocations = alloc::count(work);
    let part = &mut spent[step as usize];
    part.ns += began.elapsed().as_nanos() as u64;
    part.allocations += allocations;
}

/// The keys that the configuration brings, as the process opens them.
fn keys(config: &Config) -> Result<Keystore, BenchError> {
    let store = Keystore::in_memory(Lmk::test());
    for key in &config.test_keys {
        let made = store.import_components(
            &key.name,
            key.usage,
            key.algorithm,
            key.mode,
            Export::N,
            &key.components,
        );
        made.map_err(|e| BenchError::setup("the driver's keys")(&e))?;
    }
    Ok(store)
}

fn crew(connections: u32, outstanding: u32) -> Result<Crew, BenchError> {
    let setup = BenchError::setup("the terminals in process");
    let mac = test_mac_key(&Mac::Cmac.option(ACQUIRER_MAC)).map_err(|e| setup(&e))?;
    let wire = Wire::named("iso87-ascii", None, Some(mac)).map_err(|e| setup(&e))?;
    Crew::new(&RunConfig {
        load: Load::Closed { outstanding },
        connections,
        // Nothing here looks at a clock: the run ends when it was asked for enough.
        duration: Duration::from_secs(86_400),
        pin: Some(test_pin_key(ACQUIRER_PIN).map_err(|e| setup(&e))?),
        pin_share: Share::percent(20),
        ..RunConfig::new(([127, 0, 0, 1], 1).into(), wire)
    })
    .map_err(|e| setup(&e))
}

fn bank(name: &str, dialect: &str) -> Result<Desk, BenchError> {
    let setup = BenchError::setup("a bank in process");
    let mac = test_mac_key(&Mac::Cmac.option(BANK_MAC)).map_err(|e| setup(&e))?;
    let wire = Wire::named(dialect, None, Some(mac)).map_err(|e| setup(&e))?;
    let pin = Some(test_pin_key(BANK_PIN).map_err(|e| setup(&e))?);
    Ok(Desk::new(&IssuerConfig { pin, ..IssuerConfig::new(name, ([127, 0, 0, 1], 1).into(), wire) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_payment_of_a_round_is_answered_and_none_of_it_is_free() {
        let mut booth = Booth::open(3, 5).unwrap();
        let spent = booth.rounds(20).unwrap();
        assert_eq!(booth.replies(), 20 * 15);
        booth.check(15).unwrap();
        assert!(spent.iter().all(|part| part.ns > 0));
    }
}
