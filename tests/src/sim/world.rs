//! The world of a run: time, network, disk, terminals and banks around one switch that may die and start again.
//! Events happen in order of virtual time; between two of them the switch turns until nothing moves.

use super::coverage::Coverage;
use super::fault::Fault;
use super::gateways::Depot;
use super::observe::Seen;
use super::run::Violation;
use super::setting::{BEGINNING_MS, Setting, ZONE};
use super::trace::Trace;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use yika_codec::Dialect;
use yika_keystore::Keystore;
use yika_loadgen::{Crew, Desk};
use yika_switch::config::Config;
use yika_switch::core::ids::{LineId, Now, Seq, SessionId};
use yika_switch::driver::{Driver, Output};
use yika_switch::journal::faulty::FaultyDisk;

pub(super) struct World {
    pub(super) setting: Setting,
    pub(super) random: StdRng,
    pub(super) now: Now,
    /// How far the wall clock is off, milliseconds.
    pub(super) clock_off_ms: i64,
    events: BTreeMap<(u64, u64), Event>,
    numbers: u64,
    pub(super) disk: FaultyDisk,
    pub(super) keys: Arc<Keystore>,
    pub(super) switch: Option<Driver>,
    /// Counts the processes: what was meant for an earlier one is dropped.
    pub(super) life: u32,
    commit_due: bool,
    pub(super) slow_disk: bool,
    pub(super) crews: Vec<Crew>,
    pub(super) banks: Vec<Bank>,
    pub(super) terminals: Vec<Connection>,
    pub(super) lines: BTreeMap<LineId, Pipe>,
    pub(super) depots: Vec<Depot>,
    pub(super) faults: Vec<Fault>,
    /// New operations come until then.
    pub(super) accepting: bool,
    pub(super) seen: Seen,
    pub(super) coverage: Coverage,
    pub(super) trace: Option<Trace>,
}

pub(super) struct Bank {
    pub(super) name: &'static str,
    pub(super) desk: Desk,
    pub(super) dialect: Arc<Dialect>,
    pub(super) down: bool,
    pub(super) deaf: bool,
    pub(super) stalls: bool,
    /// Every request comes to it twice.
    pub(super) doubles: bool,
    pub(super) garbles: bool,
    /// An operator drains it.
    pub(super) drained: bool,
    /// It has signed off.
    pub(super) signed_off: bool,
    /// What it would have said while it stalled.
    pub(super) held: Vec<(LineId, u32, Vec<u8>)>,
}

impl Bank {
    fn new(config: &Config, name: &'static str, desk: Desk) -> Bank {
        let participant = config.participants.iter().find(|one| one.name == name);
        let link = participant.and_then(|one| one.link.as_ref()).expect("each bank has a link");
        Bank {
            name,
            desk,
            dialect: link.dialect.clone(),
            down: false,
            deaf: false,
            stalls: false,
            doubles: false,
            garbles: false,
            drained: false,
            signed_off: false,
            held: Vec::new(),
        }
    }
}

/// One direction pair of bytes; the epoch tells one connection from the next.
#[derive(Default)]
pub(super) struct Pipe {
    pub(super) bank: usize,
    pub(super) attempt: u32,
    /// What goes to the bank arrives not before.
    pub(super) slow_until_us: u64,
    pub(super) epoch: u32,
    pub(super) up: bool,
    pub(super) to_switch_us: u64,
    pub(super) from_switch_us: u64,
    /// What the bank has received, and what the switch has, that is no whole frame yet.
    pub(super) inbox: Vec<u8>,
    pub(super) outbox: Vec<u8>,
}

/// A connection of terminals.
pub(super) struct Connection {
    pub(super) crew: usize,
    pub(super) number: u32,
    pub(super) session: Option<SessionId>,
    pub(super) deaf: bool,
    /// Requests wait in `held`.
    pub(super) holds: bool,
    /// Everything is sent twice, and nothing heard.
    pub(super) doubles: bool,
    pub(super) garbles: bool,
    /// It sends nothing more and waits for its answers.
    pub(super) said_all: bool,
    pub(super) held: Vec<Vec<u8>>,
    pub(super) pipe: Pipe,
    /// Arrived, and not read by the switch.
    pub(super) unread: VecDeque<Vec<u8>>,
}

impl Connection {
    fn new(crew: usize, number: u32) -> Connection {
        Connection {
            crew,
            number,
            session: None,
            deaf: false,
            holds: false,
            doubles: false,
            garbles: false,
            said_all: false,
            held: Vec::new(),
            pipe: Pipe::default(),
            unread: VecDeque::new(),
        }
    }
}

pub(super) enum Event {
    /// Terminals begin an operation.
    Due,
    Tick,
    Commit(u32),
    Fetch(u32, Seq),
    Dial(usize),
    FromTerminal(usize, u32, Vec<u8>),
    ToTerminal(usize, u32, Vec<u8>),
    Connect(u32, LineId, u32),
    ToBank(LineId, u32, Vec<u8>),
    /// A bank writes.
    Says(LineId, u32, Vec<u8>),
    FromBank(LineId, u32, Vec<u8>),
    DepotActs(usize),
    DepotDials(usize),
    /// The switch has closed it.
    DepotLost(usize, u32),
    FromDepot(usize, u32, Vec<u8>),
    ToDepot(usize, u32, Vec<u8>),
    Fault(usize),
    Over(usize),
    Boot(u32),
}

/// Timers of everybody are looked at this often.
pub(super) const TICK_US: u64 = 5_000;

impl World {
    pub(super) fn new(seed: u64, faults: Vec<Fault>, trace: bool) -> World {
        let setting = Setting::of(seed);
        let desks = setting.desks().into_iter();
        let banks = desks.map(|(name, desk)| Bank::new(&setting.config, name, desk)).collect();
        let crews = setting.crews();
        let numbers = 0..setting.connections();
        let terminals = (0..crews.len())
            .flat_map(|crew| numbers.clone().map(move |number| Connection::new(crew, number)))
            .collect();
        let mut world = World {
            random: StdRng::seed_from_u64(seed),
            now: Now { mono_us: 1, wall_ms: BEGINNING_MS },
            clock_off_ms: 0,
            events: BTreeMap::new(),
            numbers: 0,
            disk: FaultyDisk::default(),
            keys: setting.keys.clone(),
            switch: None,
            life: 0,
            commit_due: false,
            slow_disk: false,
            crews,
            banks,
            terminals,
            lines: BTreeMap::new(),
            depots: Depot::all(seed, setting.config.limits.dedupe_window_ms, || setting.ring.gate(ZONE)),
            faults,
            accepting: true,
            seen: Seen::default(),
            coverage: Coverage::default(),
            trace: trace.then(Trace::default),
            setting,
        };
        world.schedule(0, Event::Boot(0));
        world.schedule(TICK_US, Event::Tick);
        world.schedule(100_000, Event::Due);
        (0..world.terminals.len()).for_each(|at| world.schedule(1_000, Event::Dial(at)));
        for at in 0..world.depots.len() {
            world.schedule(2_000, Event::DepotDials(at));
            world.schedule(150_000, Event::DepotActs(at));
        }
        let starts: Vec<u64> = world.faults.iter().map(|fault| fault.at_us).collect();
        starts.into_iter().enumerate().for_each(|(at, when)| world.schedule(when, Event::Fault(at)));
        world
    }

    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.note(self.now.mono_us, what());
        }
    }

    /// In so many microseconds.
    pub(super) fn schedule(&mut self, in_us: u64, event: Event) {
        self.schedule_at(self.now.mono_us + in_us, event);
    }

    pub(super) fn schedule_at(&mut self, at_us: u64, event: Event) {
        self.numbers += 1;
        self.events.insert((at_us, self.numbers), event);
    }

    /// The next event happens.
    ///
    /// # Errors
    /// What it showed to be wrong.
    pub(super) fn step(&mut self) -> Result<(), Violation> {
        let Some(((at_us, _), event)) = self.events.pop_first() else {
            return Err(Violation::new("the simulator has nothing left to happen"));
        };
        self.now.mono_us = self.now.mono_us.max(at_us);
        let wall = BEGINNING_MS + self.now.mono_us / 1000;
        self.now.wall_ms = wall.saturating_add_signed(self.clock_off_ms);
        self.happen(event)?;
        self.crews_speak();
        self.pump();
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Due => self.begin_operation(),
            Event::Tick => self.tick()?,
            Event::Commit(life) if life == self.life => self.commit()?,
            Event::Fetch(life, seq) if life == self.life => {
                if let Some(driver) = &mut self.switch {
                    let entry = driver.journal().reader().entry(seq);
                    driver.fetched(seq, entry);
                }
            }
            Event::Dial(at) => self.dial(at),
            Event::FromTerminal(at, epoch, bytes) if self.terminals[at].pipe.epoch == epoch => {
                self.terminals[at].unread.push_back(bytes);
                self.read_terminal(at);
            }
            Event::ToTerminal(at, epoch, bytes) if self.terminals[at].pipe.epoch == epoch => {
                self.hear_at_terminal(at, &bytes);
            }
            Event::Connect(life, line, attempt) if life == self.life => self.connect(line, attempt),
            Event::ToBank(line, epoch, bytes) => self.hear_at_bank(line, epoch, &bytes),
            Event::Says(line, epoch, bytes) => self.bank_says(line, epoch, bytes),
            Event::FromBank(line, epoch, bytes) if self.is_open(line, epoch) => {
                self.hear_from_bank(line, &bytes);
            }
            Event::DepotActs(at) => self.depot_acts(at),
            Event::DepotDials(at) => self.depot_dials(at),
            Event::DepotLost(at, epoch) if self.depots[at].pipe.epoch == epoch => self.depot_hangs_up(at),
            Event::FromDepot(at, epoch, bytes) if self.depots[at].pipe.epoch == epoch => {
                self.depots[at].unread.push_back(bytes);
                self.read_depot(at);
            }
            Event::ToDepot(at, epoch, bytes) if self.depots[at].pipe.epoch == epoch => {
                self.depot_hears(at, &bytes)?;
            }
            Event::Fault(at) => self.begin_fault(at)?,
            Event::Over(at) => self.end_fault(at),
            Event::Boot(life) if life == self.life => self.boot()?,
            _ => {}
        }
        Ok(())
    }

    fn begin_operation(&mut self) {
        if !self.accepting {
            return;
        }
        let (at, now) = (self.random.random_range(0..self.crews.len()), self.since());
        self.crews[at].handle_due(now);
        let mean_us = 1e6 / self.setting.rate;
        let wait = -mean_us * (1.0 - self.random.random::<f64>()).ln();
        self.schedule(wait as u64, Event::Due);
    }

    fn tick(&mut self) -> Result<(), Violation> {
        self.schedule(TICK_US, Event::Tick);
        // Terminals have clocks of their own.
        let (wall_s, now) = ((BEGINNING_MS + self.now.mono_us / 1000) / 1000, self.since());
        for crew in &mut self.crews {
            crew.handle_wall(wall_s as u32);
            crew.handle_time(now);
        }
        (0..self.terminals.len()).for_each(|at| self.read_terminal(at));
        let lines: Vec<LineId> = self.lines.keys().copied().collect();
        lines.into_iter().for_each(|line| self.flush_line(line));
        (0..self.terminals.len()).for_each(|at| self.flush_terminal(at));
        for at in 0..self.depots.len() {
            self.flush_depot(at);
            self.read_depot(at);
        }
        self.let_go_who_said_all();
        self.operator_and_banks_insist();
        if let Some(driver) = &mut self.switch {
            if driver.journal().is_durable() && driver.journal_mut().step_idle(self.now.wall_ms).is_err() {
                return self.die(1_000_000);
            }
            super::check::living(driver, &self.setting.config)?;
            driver.lines().for_each(|(_, line)| self.coverage.line(super::kinds::line(&line.state)));
            if driver.is_draining() && driver.is_drained() {
                self.note(|| "the switch is drained and ends".into());
                return self.die(200_000);
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Violation> {
        self.commit_due = false;
        let Some(driver) = &mut self.switch else { return Ok(()) };
        match driver.journal_mut().step() {
            Ok(_) => {
                if driver.journal().is_durable() {
                    self.seen.durable();
                }
                Ok(())
            }
            Err(error) => {
                self.note(|| format!("the journal fails, the process ends: {error}"));
                self.coverage.journal_failures += 1;
                self.die(1_000_000)
            }
        }
    }

    /// Turns the switch until nothing moves, and has it commit what it decided.
    fn pump(&mut self) {
        let mut outputs = Vec::new();
        while let Some(driver) = &mut self.switch {
            driver.turn(self.now);
            driver.take_outputs(&mut outputs);
            if outputs.is_empty() && !driver.has_work() {
                break;
            }
            outputs.drain(..).for_each(|output| self.perform(output));
            self.crews_speak();
        }
        let Some(driver) = &self.switch else { return };
        if !driver.journal().is_durable() && !self.commit_due {
            self.commit_due = true;
            let took = self.random.random_range(self.setting.commit_us.clone());
            let took = if self.slow_disk { took * 100 } else { took };
            self.schedule(took, Event::Commit(self.life));
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::SessionOut(id) => {
                if let Some(at) = self.terminals.iter().position(|one| one.session == Some(id)) {
                    self.flush_terminal(at);
                    self.read_terminal(at);
                } else if let Some(at) = self.depot_of(id) {
                    self.flush_depot(at);
                    self.read_depot(at);
                }
            }
            Output::CloseSession(id, why) => {
                self.note(|| format!("session {} closed: {why:?}", id.slot));
                if let Some(at) = self.terminals.iter().position(|one| one.session == Some(id)) {
                    self.hang_up(at);
                } else if let Some(at) = self.depot_of(id) {
                    self.depot_is_closed(at);
                }
            }
            Output::LineOut(line) => self.flush_line(line),
            Output::CloseLine(line) => {
                if let Some(pipe) = self.lines.get_mut(&line) {
                    (pipe.up, pipe.epoch) = (false, pipe.epoch + 1);
                }
            }
            Output::Connect(line, attempt, _) => {
                let after = self.latency();
                self.schedule(after, Event::Connect(self.life, line, attempt));
            }
            Output::Fetch(seq) => {
                let after = self.latency();
                self.schedule(after, Event::Fetch(self.life, seq));
            }
            Output::Alarm(alarm) => {
                self.coverage.alarm(&alarm);
                self.note(|| format!("alarm: {alarm:?}"));
            }
            Output::TranslatePin(_) | Output::Done { .. } => {}
        }
    }

    /// Takes what is on its way to a bank on one connection, in order.
    pub(super) fn take_under_way(&mut self, line: LineId, epoch: u32) -> Vec<Vec<u8>> {
        let own = |event: &Event| matches!(event, Event::ToBank(to, on, _) if (*to, *on) == (line, epoch));
        let at: Vec<_> = self.events.iter().filter(|(_, event)| own(event)).map(|(at, _)| *at).collect();
        let bytes = |event| if let Event::ToBank(_, _, bytes) = event { Some(bytes) } else { None };
        at.iter().filter_map(|at| self.events.remove(at).and_then(bytes)).collect()
    }

    pub(super) fn is_open(&self, line: LineId, epoch: u32) -> bool {
        self.lines.get(&line).is_some_and(|pipe| pipe.up && pipe.epoch == epoch)
    }

    /// What the dead process wanted to commit is nobody's any more.
    pub(super) fn forget_commit(&mut self) {
        self.commit_due = false;
    }

    pub(super) fn latency(&mut self) -> u64 {
        self.random.random_range(self.setting.latency_us.clone())
    }

    pub(super) fn since(&self) -> Duration {
        Duration::from_micros(self.now.mono_us)
    }
}
