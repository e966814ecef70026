//! Runs the real driver in virtual time and plays everybody around it.

use crate::setup::{ACQUIRER, config};
use crate::sim::start::start;
use crate::wire::{Frame, Wire};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use yika_codec::{Dialect, Mti};
use yika_keystore::{
    Backend, EncryptedPin, Keystore, Lmk, MacKey, Operation, Outcome, PinFormat, PinFrom, PinIn,
};
use yika_switch::config::Config;
use yika_switch::core::effect::Alarm;
use yika_switch::core::ids::{LineId, ListenerNo, Now, SessionId};
use yika_switch::driver::{Driver, Output, PinJob, PinLost};
use yika_switch::journal::faulty::FaultyDisk;
use yika_switch::journal::replay;

/// A session of a terminal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Terminal(pub SessionId, pub u16);

/// A request as it reached a bank, and the connection it came on.
#[derive(Clone, Debug)]
pub struct BankRequest {
    pub bank: String,
    pub wire: Wire,
    pub line: LineId,
    pub frame: Frame,
}

pub struct World {
    pub config: Config,
    pub disk: FaultyDisk,
    pub now: Now,
    /// How far the system clock was set back.
    pub clock_back_ms: u64,
    pub alarms: Vec<Alarm>,
    /// The journal commits by itself on every step; switch off to hold a commit back.
    pub commits: bool,
    pub driver: Driver,
    keys: Arc<Keystore>,
    /// What each bank makes its MACs with; none without an entry.
    pub bank_macs: BTreeMap<String, MacKey>,
    pub terminal_mac: Option<MacKey>,
    /// Banks that take no byte from their connections.
    pub deaf: BTreeSet<String>,
    /// Banks that leave connection attempts undecided: these, by number.
    pub hangs: BTreeSet<String>,
    pub attempts: Vec<(LineId, u32)>,
    /// What spreads the next attempt to connect.
    pub jitter: u64,
    /// Banks that refuse connections.
    down: BTreeSet<String>,
    connected: BTreeMap<LineId, String>,
    at_banks: VecDeque<BankRequest>,
    at_terminals: BTreeMap<SessionId, VecDeque<Frame>>,
    line_bytes: BTreeMap<LineId, Vec<u8>>,
    session_bytes: BTreeMap<SessionId, (u16, Vec<u8>)>,
    closed: Vec<SessionId>,
    next_stan: u32,
    /// Without one nobody answers for PINs that go to it.
    pub hsm: Option<Arc<dyn Backend>>,
    /// At once; else what it is asked waits.
    pub hsm_answers: bool,
    pub at_hsm: VecDeque<PinJob>,
}

/// 2026-11-23 23:30:15 UTC.
const BEGINNING_MS: u64 = 1_795_476_615_000;

impl World {
    pub fn new() -> World {
        World::with(config())
    }

    pub fn with(config: Config) -> World {
        World::with_keys(config, Keystore::in_memory(Lmk::test()))
    }

    pub fn with_keys(config: Config, keys: Keystore) -> World {
        let keys = Arc::new(keys);
        let now = Now { mono_us: 1, wall_ms: BEGINNING_MS };
        let disk = FaultyDisk::default();
        let driver = start(&config, &disk, &keys, now, None).unwrap().unwrap();
        let mut world = World {
            config,
            disk,
            now,
            clock_back_ms: 0,
            alarms: Vec::new(),
            commits: true,
            driver,
            keys,
            bank_macs: BTreeMap::new(),
            terminal_mac: None,
            deaf: BTreeSet::new(),
            hangs: BTreeSet::new(),
            attempts: Vec::new(),
            jitter: 1,
            down: BTreeSet::new(),
            connected: BTreeMap::new(),
            at_banks: VecDeque::new(),
            at_terminals: BTreeMap::new(),
            line_bytes: BTreeMap::new(),
            session_bytes: BTreeMap::new(),
            closed: Vec::new(),
            next_stan: 1,
            hsm: None,
            hsm_answers: true,
            at_hsm: VecDeque::new(),
        };
        world.advance(10);
        world
    }

    /// A connection to the iso87-ascii listener.
    pub fn terminal(&mut self) -> Terminal {
        self.terminal_at(0)
    }

    pub fn terminal_at(&mut self, listener: u16) -> Terminal {
        let id = self.driver.session_opened(ListenerNo(listener), self.now).unwrap();
        self.session_bytes.insert(id, (listener, Vec::new()));
        Terminal(id, listener)
    }

    /// Sends a request with F11, F7, F12 and F13 filled in where they are missing; returns it as sent.
    pub fn sends(&mut self, from: Terminal, wire: &Wire) -> Wire {
        let wire = self.stamped(wire);
        self.sends_raw(from, &wire);
        wire
    }

    /// Sends exactly this.
    pub fn sends_raw(&mut self, from: Terminal, wire: &Wire) {
        self.feeds(from, wire);
        self.step();
    }

    /// The driver gets the bytes, and has not turned yet.
    pub fn feeds(&mut self, from: Terminal, wire: &Wire) {
        let dialect = self.config.listeners[usize::from(from.1)].dialect.clone();
        let bytes = wire.encode_under(self.terminal_mac.as_ref(), &dialect, dialect.default_header());
        self.driver.session_bytes(from.0, &bytes, self.now);
    }

    pub fn sends_bytes(&mut self, from: Terminal, bytes: &[u8]) {
        self.driver.session_bytes(from.0, bytes, self.now);
        self.step();
    }

    /// The next answer a terminal got.
    pub fn answer(&mut self, to: Terminal) -> Option<Wire> {
        self.answer_frame(to).map(|frame| frame.wire)
    }

    pub fn answer_frame(&mut self, to: Terminal) -> Option<Frame> {
        self.at_terminals.get_mut(&to.0)?.pop_front()
    }

    /// All bytes that came to a gateway since it last looked.
    pub fn bytes_at(&mut self, gateway: Terminal) -> Vec<u8> {
        self.session_bytes.get_mut(&gateway.0).map(|held| std::mem::take(&mut held.1)).unwrap_or_default()
    }

    /// The next request that reached a bank.
    pub fn at_bank(&mut self, bank: &str) -> Option<BankRequest> {
        let at = self.at_banks.iter().position(|request| request.bank == bank)?;
        self.at_banks.remove(at)
    }

    pub fn banks_are_quiet(&self) -> bool {
        self.at_banks.is_empty()
    }

    /// The answer a bank would give: the echo fields and a code; approvals carry F38.
    pub fn answer_to(&self, request: &BankRequest, code: &str) -> Wire {
        let mut wire = Wire { mti: request.wire.mti.response(), fields: Default::default() };
        for n in [2, 3, 4, 7, 11, 12, 13, 37, 41, 42, 49, 60] {
            if let Some(value) = request.wire.fields.get(n) {
                wire.fields.set(n, value);
            }
        }
        if code == "00" {
            wire.fields.set(38, b"A12345");
        }
        wire.with(39, code)
    }

    pub fn bank_answers(&mut self, request: &BankRequest, code: &str) {
        let wire = self.answer_to(request, code);
        self.bank_sends(request, &wire);
    }

    /// A bank sends anything on the connection a request came on.
    pub fn bank_sends(&mut self, request: &BankRequest, wire: &Wire) {
        self.bank_sends_on(request.line, wire, &request.frame.header);
    }

    pub fn bank_sends_on(&mut self, line: LineId, wire: &Wire, header: &[u8]) {
        let dialect = self.line_dialect(line);
        let key = self.connected.get(&line).and_then(|bank| self.bank_macs.get(bank));
        let bytes = wire.encode_under(key, &dialect, header);
        self.driver.line_bytes(line, &bytes, self.now);
        self.step();
    }

    /// Lets time pass in steps of at most 5 ms, so that timers fire when they are due.
    pub fn advance(&mut self, ms: u64) {
        let until = self.now.mono_us + ms * 1000;
        while self.now.mono_us < until {
            let step = (until - self.now.mono_us).min(5000);
            self.now.mono_us += step;
            self.now.wall_ms = BEGINNING_MS + self.now.mono_us / 1000 - self.clock_back_ms;
            self.step();
        }
    }

    /// Turns the driver and commits until nothing moves.
    pub fn step(&mut self) {
        loop {
            self.driver.turn(self.now);
            let moved = self.perform();
            let committed = self.commits && self.driver.journal_mut().step().unwrap();
            if !moved && !committed && !self.driver.has_work() {
                return;
            }
        }
    }

    /// A bank closes its connections and refuses new ones.
    pub fn goes_down(&mut self, bank: &str) {
        self.down.insert(bank.into());
        let lines: Vec<_> =
            self.connected.iter().filter(|(_, name)| *name == bank).map(|(id, _)| *id).collect();
        for line in lines {
            self.connected.remove(&line);
            let attempt = self.line_attempt(line);
            self.driver.line_lost(line, attempt, self.now, self.jitter);
        }
        self.step();
    }

    /// One connection of a bank breaks; the others stay.
    pub fn loses_line(&mut self, line: LineId) {
        self.connected.remove(&line);
        self.driver.line_lost(line, self.line_attempt(line), self.now, self.jitter);
        self.step();
    }

    /// The lines that hold bytes which their peer has not taken.
    pub fn lines_with_pending(&self) -> Vec<LineId> {
        let lines = self.driver.lines().map(|(_, line)| line.id);
        lines.filter(|id| !self.driver.line_pending(*id).is_empty()).collect()
    }

    /// What a deaf bank could read of its line's bytes, without the driver hearing that they were taken.
    pub fn read_untold(&mut self, bank: &str) -> BankRequest {
        let line = self.lines_with_pending()[0];
        let dialect = self.line_dialect(line);
        let frame = Wire::take_all(&dialect, &mut self.driver.line_pending(line).to_vec()).remove(0);
        BankRequest { bank: bank.into(), wire: frame.wire.clone(), line, frame }
    }

    /// It accepts connections again, and the switch had the time to connect.
    pub fn comes_up(&mut self, bank: &str) {
        self.down.remove(bank);
        self.advance(1000);
    }

    pub fn closes(&mut self, terminal: Terminal) {
        self.driver.session_closed(terminal.0);
        self.step();
    }

    pub fn was_closed(&self, terminal: Terminal) -> bool {
        self.closed.contains(&terminal.0)
    }

    /// The machine loses power: unsynced bytes, connections and everything in memory are gone. It starts again
    /// after a second.
    pub fn crash(&mut self) {
        self.try_crash().unwrap();
    }

    /// # Errors
    /// The start's own message, when the journal is refused.
    pub fn try_crash(&mut self) -> Result<(), String> {
        self.disk.crash();
        self.restart()
    }

    /// The process dies and starts again on the disk as it is.
    ///
    /// # Errors
    /// The start's own message, when the journal is refused.
    pub fn restart(&mut self) -> Result<(), String> {
        self.now.mono_us += 1_000_000;
        self.now.wall_ms += 1_000;
        self.connected.clear();
        self.at_banks.clear();
        self.at_terminals.clear();
        self.line_bytes.clear();
        self.session_bytes.clear();
        self.driver = start(&self.config, &self.disk, &self.keys, self.now, None)?.unwrap();
        self.advance(1000);
        Ok(())
    }

    /// The state as bytes, and as a replay of the journal makes it (P8).
    pub fn live_and_replayed(&self) -> (Vec<u8>, Vec<u8>) {
        let replayed = replay(&self.disk.image(), &self.keys).unwrap();
        (self.driver.core.durable.to_bytes(), replayed.durable.to_bytes())
    }

    /// P7 from inside: what no book explains, over all dates and currencies. What is kept for scrapes must be what a
    /// count of everything gives.
    pub fn unaccounted(&self) -> u64 {
        let durable = &self.driver.core.durable;
        let found: u64 = durable.books.books().map(|(_, book)| book.unaccounted().unsigned_abs()).sum();
        assert_eq!(durable.books.unaccounted(), found);
        for (id, counts) in &durable.counts {
            let open = durable.obligations.values().filter(|held| held.owed.participant == *id).count();
            let ended = || durable.exceptions.values().filter(|held| held.participant == *id);
            let minor: u128 = ended().map(|held| u128::from(held.books.unsigned_abs())).sum();
            let found = (open as u64, ended().count() as u64, minor);
            assert_eq!((counts.obligations, counts.exceptions, counts.exceptions_minor), found);
        }
        found
    }

    pub fn open_obligations(&self) -> usize {
        self.driver.core.durable.obligations.len()
    }

    pub fn keystore(&self) -> &Arc<Keystore> {
        &self.keys
    }

    pub fn stan(&mut self) -> String {
        self.next_stan += 1;
        format!("{:06}", self.next_stan - 1)
    }

    /// With F11, F7, F12 and F13 filled in where they are missing.
    pub fn stamped(&mut self, wire: &Wire) -> Wire {
        let mut wire = wire.clone().at(self.now.wall_ms);
        if !wire.fields.has(11) {
            let stan = self.stan();
            wire.fields.set(11, stan.as_bytes());
        }
        wire
    }

    fn line_attempt(&self, line: LineId) -> u32 {
        self.driver.lines().nth(line.0 as usize).unwrap().1.attempt
    }

    pub fn line_dialect(&self, line: LineId) -> Arc<Dialect> {
        let (rim, _) = self.driver.lines().nth(line.0 as usize).unwrap();
        rim.link.dialect.clone()
    }

    fn perform(&mut self) -> bool {
        let mut outputs = Vec::new();
        self.driver.take_outputs(&mut outputs);
        let moved = !outputs.is_empty();
        for output in outputs {
            match output {
                Output::SessionOut(id) => self.collect_session(id),
                Output::LineOut(id) => self.collect_line(id),
                Output::CloseSession(id, _) => {
                    self.closed.push(id);
                    self.driver.session_closed(id);
                }
                Output::CloseLine(id) => {
                    self.connected.remove(&id);
                    self.line_bytes.remove(&id);
                }
                Output::Connect(id, attempt, _) => self.connect(id, attempt),
                Output::Fetch(seq) => {
                    let entry = self.driver.journal().reader().entry(seq);
                    self.driver.fetched(seq, entry);
                }
                Output::Alarm(alarm) => self.alarms.push(alarm),
                Output::TranslatePin(job) => match &self.hsm {
                    Some(hsm) if self.hsm_answers => {
                        let pin = moved_pin(&**hsm, &job);
                        self.driver.pin_translated(job.ticket, pin, self.now);
                    }
                    Some(_) => self.at_hsm.push_back(*job),
                    None => self.driver.pin_translated(job.ticket, Err(PinLost::NoHsm), self.now),
                },
                Output::Done { .. } => {}
            }
        }
        moved
    }

    /// The HSM answers what waits for it.
    pub fn hsm_catches_up(&mut self) {
        for job in std::mem::take(&mut self.at_hsm) {
            let pin = self.hsm.as_deref().map_or(Err(PinLost::NoHsm), |hsm| moved_pin(hsm, &job));
            self.driver.pin_translated(job.ticket, pin, self.now);
        }
        self.step();
    }

    fn connect(&mut self, id: LineId, attempt: u32) {
        let name = self.driver.lines().nth(id.0 as usize).unwrap().0.name.clone();
        if self.hangs.contains(&name) {
            self.attempts.push((id, attempt));
        } else if self.down.contains(&name) {
            self.driver.line_lost(id, attempt, self.now, self.jitter);
        } else {
            self.connected.insert(id, name);
            self.driver.line_connected(id, attempt, self.now);
        }
    }

    fn collect_session(&mut self, id: SessionId) {
        let bytes = self.driver.session_pending(id).to_vec();
        self.driver.session_wrote(id, bytes.len());
        let Some((listener, held)) = self.session_bytes.get_mut(&id) else { return };
        held.extend_from_slice(&bytes);
        // What a gateway gets it reads by itself.
        if self.config.listeners[usize::from(*listener)].gate.is_some() {
            return;
        }
        let dialect = self.config.listeners[usize::from(*listener)].dialect.clone();
        let answers = Wire::take_all(&dialect, held);
        self.at_terminals.entry(id).or_default().extend(answers);
    }

    fn collect_line(&mut self, line: LineId) {
        let Some(bank) = self.connected.get(&line).filter(|bank| !self.deaf.contains(*bank)) else { return };
        let bank = bank.clone();
        let bytes = self.driver.line_pending(line).to_vec();
        self.driver.line_wrote(line, bytes.len());
        let dialect = self.line_dialect(line);
        let held = self.line_bytes.entry(line).or_default();
        held.extend_from_slice(&bytes);
        for frame in Wire::take_all(&dialect, held) {
            let wire = frame.wire.clone();
            self.at_banks.push_back(BankRequest { bank: bank.clone(), wire, line, frame });
        }
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// What an HSM makes of a PIN.
fn moved_pin(hsm: &dyn Backend, job: &PinJob) -> Result<EncryptedPin, PinLost> {
    let from = PinFrom::Zone(&job.from);
    let pin = PinIn { from, format: job.format, pan: &job.pan, block: job.block.as_bytes() };
    let outcome =
        hsm.submit(&[Operation::TranslatePin { pin, to: &job.to, to_format: PinFormat::Iso0 }]).pop();
    match outcome {
        Some(Ok(Outcome::Pin(pin))) => Ok(pin),
        _ => Err(PinLost::Refused),
    }
}

/// The MTI a test compares with.
pub fn mti(bcd: u16) -> Mti {
    Mti::new(bcd)
}

/// The acquirer whose terminals connect.
pub fn acquirer() -> &'static str {
    ACQUIRER
}
