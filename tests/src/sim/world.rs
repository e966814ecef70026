//! The world of a run: time, network, disk, terminals and banks around one switch that may die and start again.
//! Events happen in order of virtual time; between two of them the switch turns until nothing moves.

use super::coverage::Coverage;
use super::fault::Fault;
use super::observe::Seen;
use super::run::Violation;
use super::setting::{BEGINNING_MS, CONNECTIONS, Setting};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use yika_codec::Dialect;
use yika_keystore::{Keystore, Lmk};
use yika_loadgen::{Crew, Desk};
use yika_switch::core::ids::{LineId, ListenerNo, Now, Seq, SessionId};
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
    pub(super) faults: Vec<Fault>,
    /// New operations come until then.
    pub(super) accepting: bool,
    pub(super) seen: Seen,
    pub(super) coverage: Coverage,
    pub(super) trace: Option<Vec<String>>,
}

pub(super) struct Bank {
    pub(super) name: &'static str,
    pub(super) desk: Desk,
    pub(super) dialect: Arc<Dialect>,
    pub(super) down: bool,
    pub(super) deaf: bool,
    pub(super) stalls: bool,
    /// What it would have said while it stalled.
    pub(super) held: Vec<(LineId, u32, Vec<u8>)>,
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
    to_switch_us: u64,
    from_switch_us: u64,
    inbox: Vec<u8>,
}

/// A connection of terminals.
pub(super) struct Connection {
    pub(super) crew: usize,
    pub(super) number: u32,
    pub(super) session: Option<SessionId>,
    pub(super) deaf: bool,
    /// Requests wait in `held`.
    pub(super) holds: bool,
    pub(super) held: Vec<Vec<u8>>,
    pub(super) pipe: Pipe,
    /// Arrived, and not read by the switch.
    unread: VecDeque<Vec<u8>>,
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
    Fault(usize),
    Over(usize),
    Boot(u32),
}

/// Timers of everybody are looked at this often.
const TICK_US: u64 = 5_000;

impl World {
    pub(super) fn new(seed: u64, faults: Vec<Fault>, trace: bool) -> World {
        let setting = Setting::of(seed);
        let bank = |(name, desk): (&'static str, Desk)| {
            let config = setting.config.participants.iter().find(|one| one.name == name);
            let link = config.and_then(|one| one.link.as_ref()).expect("each bank has a link");
            let dialect = link.dialect.clone();
            Bank { name, desk, dialect, down: false, deaf: false, stalls: false, held: Vec::new() }
        };
        let banks = setting.desks().into_iter().map(bank).collect();
        let crews = setting.crews();
        let terminals = (0..crews.len()).flat_map(|crew| (0..CONNECTIONS).map(move |number| (crew, number)));
        let connection = |(crew, number)| Connection {
            crew,
            number,
            session: None,
            deaf: false,
            holds: false,
            held: Vec::new(),
            pipe: Pipe::default(),
            unread: VecDeque::new(),
        };
        let terminals: Vec<Connection> = terminals.map(connection).collect();
        let mut world = World {
            random: StdRng::seed_from_u64(seed),
            now: Now { mono_us: 1, wall_ms: BEGINNING_MS },
            clock_off_ms: 0,
            events: BTreeMap::new(),
            numbers: 0,
            disk: FaultyDisk::default(),
            keys: Arc::new(Keystore::in_memory(Lmk::test())),
            switch: None,
            life: 0,
            commit_due: false,
            slow_disk: false,
            crews,
            banks,
            terminals,
            lines: BTreeMap::new(),
            faults,
            accepting: true,
            seen: Seen::default(),
            coverage: Coverage::default(),
            trace: trace.then(Vec::new),
            setting,
        };
        world.schedule(0, Event::Boot(0));
        world.schedule(TICK_US, Event::Tick);
        world.schedule(100_000, Event::Due);
        (0..world.terminals.len()).for_each(|at| world.schedule(1_000, Event::Dial(at)));
        let starts: Vec<u64> = world.faults.iter().map(|fault| fault.at_us).collect();
        starts.into_iter().enumerate().for_each(|(at, when)| world.schedule(when, Event::Fault(at)));
        world
    }

    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>11.6} s  {}", self.now.mono_us as f64 / 1e6, what()));
        }
    }

    /// In so many microseconds.
    pub(super) fn schedule(&mut self, in_us: u64, event: Event) {
        self.schedule_at(self.now.mono_us + in_us, event);
    }

    fn schedule_at(&mut self, at_us: u64, event: Event) {
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
                if let Some(driver) = &mut self.switch {
                    driver.line_bytes(line, &bytes, self.now);
                }
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
        if let Some(driver) = &mut self.switch {
            if driver.journal().is_durable() && driver.journal_mut().step_idle(self.now.wall_ms).is_err() {
                return self.die(1_000_000);
            }
            super::check::bounds(driver, &self.setting.config)?;
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
            Ok(_) => Ok(()),
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
                }
            }
            Output::CloseSession(id, why) => {
                self.note(|| format!("session {} closed: {why:?}", id.slot));
                if let Some(at) = self.terminals.iter().position(|one| one.session == Some(id)) {
                    self.hang_up(at);
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
            Output::Done { .. } => {}
        }
    }

    fn dial(&mut self, at: usize) {
        let connection = &mut self.terminals[at];
        if connection.session.is_some() {
            return;
        }
        let opened = self
            .switch
            .as_mut()
            .and_then(|driver| driver.session_opened(ListenerNo(connection.crew as u16), self.now));
        if opened.is_none() {
            return self.schedule(150_000, Event::Dial(at));
        }
        let connection = &mut self.terminals[at];
        connection.session = opened;
        connection.pipe.epoch += 1;
        connection.unread.clear();
        let (crew, number, now) = (connection.crew, connection.number, self.since());
        self.crews[crew].handle_connected(number, now);
    }

    /// A connection of terminals ends on both sides; they dial again.
    pub(super) fn hang_up(&mut self, at: usize) {
        let connection = &mut self.terminals[at];
        connection.pipe.epoch += 1;
        connection.unread.clear();
        if let Some(id) = connection.session.take() {
            if let Some(driver) = &mut self.switch {
                driver.session_closed(id);
            }
            self.crews[connection.crew].handle_disconnected(connection.number);
            self.schedule(60_000, Event::Dial(at));
        }
    }

    /// What terminals have to say goes on its way.
    fn crews_speak(&mut self) {
        for crew in 0..self.crews.len() {
            while let Some((number, bytes)) = self.crews[crew].poll_output() {
                let listener = &self.setting.config.listeners[crew];
                let frames = frames(&bytes, listener.framing);
                frames.for_each(|frame| self.seen.by_terminal(&listener.dialect, frame));
                let own = |one: &Connection| one.crew == crew && one.number == number;
                let Some(at) = self.terminals.iter().position(own) else { continue };
                let bytes = if self.terminals[at].holds { self.hold_back(at, &bytes) } else { bytes };
                self.send_from(at, bytes);
            }
        }
    }

    pub(super) fn send_from(&mut self, at: usize, bytes: Vec<u8>) {
        self.send_in_pieces(bytes, |piece, world, when| {
            let epoch = world.terminals[at].pipe.epoch;
            let when = after(&mut world.terminals[at].pipe.to_switch_us, when);
            world.schedule_at(when, Event::FromTerminal(at, epoch, piece));
        });
    }

    /// Of these frames the reversals; the others stay behind.
    fn hold_back(&mut self, at: usize, bytes: &[u8]) -> Vec<u8> {
        let listener = &self.setting.config.listeners[self.terminals[at].crew];
        let (mut passes, mut rest) = (Vec::new(), bytes);
        while let Ok(Some(frame)) = listener.framing.next(rest, 65_535) {
            let whole = &rest[..frame.end];
            if super::observe::is_reversal(&listener.dialect, &rest[frame.start..frame.end]) {
                passes.extend_from_slice(whole);
            } else {
                self.terminals[at].held.push(whole.to_vec());
            }
            rest = &rest[frame.end..];
        }
        passes
    }

    /// Bytes travel in one to three pieces.
    fn send_in_pieces(&mut self, bytes: Vec<u8>, mut send: impl FnMut(Vec<u8>, &mut World, u64)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let cut = if self.random.random_bool(0.8) {
                rest.len()
            } else {
                self.random.random_range(1..=rest.len())
            };
            let tail = rest.split_off(cut);
            let when = self.now.mono_us + self.latency();
            send(std::mem::replace(&mut rest, tail), self, when);
        }
    }

    fn read_terminal(&mut self, at: usize) {
        let Some(driver) = &mut self.switch else { return };
        let connection = &mut self.terminals[at];
        let Some(id) = connection.session else { return };
        while driver.session_wants_read(id) {
            let Some(bytes) = connection.unread.pop_front() else { break };
            driver.session_bytes(id, &bytes, self.now);
        }
    }

    fn flush_terminal(&mut self, at: usize) {
        let Some(driver) = &mut self.switch else { return };
        let connection = &self.terminals[at];
        let Some(id) = connection.session.filter(|_| !connection.deaf) else { return };
        let bytes = driver.session_pending(id).to_vec();
        driver.session_wrote(id, bytes.len());
        self.send_in_pieces(bytes, |piece, world, when| {
            let epoch = world.terminals[at].pipe.epoch;
            let when = after(&mut world.terminals[at].pipe.from_switch_us, when);
            world.schedule_at(when, Event::ToTerminal(at, epoch, piece));
        });
    }

    fn hear_at_terminal(&mut self, at: usize, bytes: &[u8]) {
        let connection = &self.terminals[at];
        let (crew, number, now) = (connection.crew, connection.number, self.since());
        let (dialect, seen) = (&self.setting.config.listeners[crew].dialect, &mut self.seen);
        let heard =
            self.crews[crew].handle_bytes(number, bytes, now, |frame| seen.at_terminal(dialect, frame));
        if heard.is_err() {
            self.hang_up(at);
        }
    }

    fn connect(&mut self, line: LineId, attempt: u32) {
        let Some(driver) = &mut self.switch else { return };
        let name = driver.lines().nth(line.0 as usize).map(|(rim, _)| rim.name.clone()).unwrap_or_default();
        let Some(bank) = self.banks.iter().position(|bank| bank.name == name) else { return };
        if self.banks[bank].down {
            return driver.line_lost(line, attempt, self.now, self.random.random());
        }
        let pipe = self.lines.entry(line).or_default();
        let epoch = pipe.epoch + 1;
        *pipe = Pipe { bank, attempt, epoch, up: true, ..Pipe::default() };
        driver.line_connected(line, attempt, self.now);
    }

    fn flush_line(&mut self, line: LineId) {
        let (Some(driver), Some(pipe)) = (&mut self.switch, self.lines.get(&line)) else { return };
        if !pipe.up || self.banks[pipe.bank].deaf {
            return;
        }
        let mut bytes = driver.line_pending(line).to_vec();
        if bytes.is_empty() {
            return;
        }
        if self.random.random_bool(0.1) {
            bytes.truncate(self.random.random_range(1..=bytes.len()));
        }
        driver.line_wrote(line, bytes.len());
        self.send_in_pieces(bytes, |piece, world, when| {
            let Some(pipe) = world.lines.get_mut(&line) else { return };
            let when = when.max(pipe.slow_until_us);
            let (epoch, when) = (pipe.epoch, after(&mut pipe.from_switch_us, when));
            world.schedule_at(when, Event::ToBank(line, epoch, piece));
        });
    }

    fn hear_at_bank(&mut self, line: LineId, epoch: u32, bytes: &[u8]) {
        if !self.is_open(line, epoch) {
            return;
        }
        let Some(pipe) = self.lines.get_mut(&line) else { return };
        let bank = &mut self.banks[pipe.bank];
        pipe.inbox.extend_from_slice(bytes);
        let framing = bank.desk.framing();
        let mut said = Vec::new();
        while let Ok(Some(frame)) = framing.next(&pipe.inbox, 65_535) {
            let payload = &pipe.inbox[frame.start..frame.end];
            self.seen.at_bank(bank.name, &bank.dialect, payload);
            let mut out = Vec::new();
            let delay = bank.desk.take_frame(payload, &mut out);
            if !out.is_empty() {
                said.push((delay, out));
            }
            pipe.inbox.drain(..frame.end);
        }
        for (delay, out) in said {
            self.schedule(delay.as_micros() as u64, Event::Says(line, epoch, out));
        }
    }

    pub(super) fn bank_says(&mut self, line: LineId, epoch: u32, bytes: Vec<u8>) {
        if !self.is_open(line, epoch) {
            return;
        }
        let Some(pipe) = self.lines.get(&line) else { return };
        let bank = &mut self.banks[pipe.bank];
        if bank.stalls {
            return bank.held.push((line, epoch, bytes));
        }
        self.send_in_pieces(bytes, |piece, world, when| {
            let Some(pipe) = world.lines.get_mut(&line) else { return };
            let when = after(&mut pipe.to_switch_us, when);
            world.schedule_at(when, Event::FromBank(line, epoch, piece));
        });
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

/// Not before what was sent before on the same way.
fn after(last_us: &mut u64, when_us: u64) -> u64 {
    *last_us = when_us.max(*last_us + 1);
    *last_us
}

/// The whole frames in these bytes.
fn frames(bytes: &[u8], framing: yika_codec::Framing) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let frame = framing.next(rest, 65_535).ok().flatten()?;
        let payload = &rest[frame.start..frame.end];
        rest = &rest[frame.end..];
        Some(payload)
    })
}
