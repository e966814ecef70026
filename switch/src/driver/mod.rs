//! One place where sessions, lines, core and journal meet: `turn()` gives what came in to the core, hands
//! the batch to the journal, and performs the effects that the journal releases. It has no socket, thread,
//! clock or random number: bytes, `now` and jitter are told, and what the rim must do is asked for. The
//! same code runs under tokio, in the tests and in a simulator.

pub mod buffer;
mod clock;
mod commands;
pub mod facts;
pub mod gate;
mod hsm;
pub mod line;
mod loans;
pub mod messages;
mod perform;
pub mod rim;
pub mod session;
mod sign_in;
mod told;
pub mod wire;
mod working_keys;

use crate::core::batch::Batch;
use crate::core::durable::Participant;
use crate::core::effect::{Alarm, Effect, Event, SendOf, Unsent};
use crate::core::entry::Entry;
use crate::core::ids::{LineId, ListenerNo, Now, ParticipantId, Seq, SessionId};
use crate::core::{Bound, Core, Room};
use crate::journal::{Journal, JournalSize, Released, TURN_BYTES_MAX};
use clock::WallClock;
pub use commands::Terminal;
use gate::{Gate, GateBatches, GateCounts};
use hsm::AtHsm;
pub use hsm::{HsmCounts, PinJob, PinLost};
use line::{Heard, Line, LineAround, LineCounts, LineNeeds};
use messages::Messages;
use rim::{Keys, Rim};
use session::{Around, Closed, Session, SessionCounts};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use told::Told;
use wire::Scratch;
use working_keys::Offers;
use yika_keystore::Tokenizer;

pub struct Driver {
    pub core: Core,
    journal: Journal,
    size: JournalSize,
    rim: Rim,
    keys: Keys,
    tokens: Tokenizer,
    messages: Messages,
    sessions: Vec<Option<Session>>,
    generations: Vec<u32>,
    free: Vec<u32>,
    lines: Vec<Line>,
    /// Lines of each participant, and which goes next.
    groups: BTreeMap<ParticipantId, Group>,
    /// Answers and what happened to sends: before requests, so that overload never starves them.
    answers: VecDeque<Event>,
    requests: VecDeque<Event>,
    outputs: Vec<Output>,
    released: Vec<Released<Effect>>,
    /// Empty between reads; its memory is used again.
    heard: Vec<Heard>,
    /// Empty between turns; its memory is used again.
    batch: Batch,
    scratch: Scratch,
    last_tick_us: u64,
    last_idle_us: u64,
    clock: WallClock,
    offers: Offers,
    at_hsm: AtHsm,
    keys_refused: Told,
    late_approvals: Told,
    gate_batches: GateBatches,
    draining: bool,
    pub counts: Counts,
    pub latency: Latency,
}

#[derive(Default)]
struct Group {
    lines: Vec<LineId>,
    next: usize,
    carrying: u16,
}

/// Something for the rim to do.
#[derive(Debug)]
pub enum Output {
    /// A session has bytes to write.
    SessionOut(SessionId),
    CloseSession(SessionId, Closed),
    LineOut(LineId),
    /// Connect a line; the number is told back with how the attempt went.
    Connect(LineId, u32, SocketAddr),
    CloseLine(LineId),
    /// Read an entry from the journal and give it to `fetched`.
    Fetch(Seq),
    /// Have the HSM move a PIN, and give it to `pin_translated`.
    TranslatePin(Box<PinJob>),
    Alarm(Alarm),
    /// An operator's command is done, or why not.
    Done {
        ticket: u64,
        refused: Option<String>,
    },
}

#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    pub sessions: SessionCounts,
    pub lines: LineCounts,
    pub accepted: u64,
    pub refused_connections: u64,
    pub closed_framing: u64,
    pub closed_garbage: u64,
    pub closed_slow: u64,
    pub closed_idle: u64,
    pub replies: u64,
    pub replies_to_nobody: u64,
    pub replies_unwritable: u64,
    pub turns: u64,
    pub events: u64,
    pub gates: GateCounts,
    pub hsm: HsmCounts,
}

/// From a request's arrival to its answer's release, in fixed buckets.
#[derive(Clone, Debug)]
pub struct Latency {
    pub counts: [u64; LATENCY_BOUNDS_US.len() + 1],
    pub sum_us: u64,
}

/// Upper bounds of the latency buckets, microseconds.
pub const LATENCY_BOUNDS_US: [u64; 14] = [
    250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 3_000_000,
    10_000_000,
];

/// Timers are looked at this often.
const TICK_US: u64 = 2_000;
/// Idle sessions are looked for this often: there may be very many.
const IDLE_CHECK_US: u64 = 1_000_000;
/// A few turns' worth of events.
const BEHIND_EVENTS: usize = 4 * EVENTS_MAX;
/// Events of one batch: bounds a turn, and with it the wait of whoever came in meanwhile.
const EVENTS_MAX: usize = 1024;

impl Driver {
    /// Puts a recovered core and its journal to work. Everything `Core::recover` put into `first` becomes
    /// durable before anything it released happens.
    pub fn new(
        core: Core,
        journal: Journal,
        size: JournalSize,
        rim: Rim,
        keys: Keys,
        first: Batch,
        now: Now,
    ) -> Driver {
        let mut lines: Vec<Line> = (0..rim.lines.len()).map(|at| Line::new(LineId(at as u32), now)).collect();
        for (line, rim) in lines.iter_mut().zip(&rim.lines) {
            let held = core.durable.participants.get(&rim.participant);
            line.halted = held.is_some_and(Participant::is_halted);
        }
        let mut groups: BTreeMap<ParticipantId, Group> = BTreeMap::new();
        for (at, line) in rim.lines.iter().enumerate() {
            groups.entry(line.participant).or_default().lines.push(LineId(at as u32));
        }
        let tokens = keys.store().tokenizer();
        let mut driver = Driver {
            messages: Messages::new(rim.bounds.message_bytes_max),
            clock: WallClock::new(core.durable.wall_ms, now),
            core,
            journal,
            size,
            rim,
            keys,
            tokens,
            sessions: Vec::new(),
            generations: Vec::new(),
            free: Vec::new(),
            lines,
            groups,
            answers: VecDeque::new(),
            requests: VecDeque::new(),
            outputs: Vec::new(),
            released: Vec::new(),
            heard: Vec::new(),
            batch: Batch::default(),
            scratch: Scratch::default(),
            offers: Offers::default(),
            at_hsm: AtHsm::default(),
            keys_refused: Told::default(),
            late_approvals: Told::default(),
            gate_batches: GateBatches::default(),
            last_tick_us: now.mono_us,
            last_idle_us: now.mono_us,
            draining: false,
            counts: Counts::default(),
            latency: Latency { counts: [0; LATENCY_BOUNDS_US.len() + 1], sum_us: 0 },
        };
        driver.journal.submit(first);
        driver
    }

    /// One turn: timers, events, journal, effects; again until nothing is left to do now.
    pub fn turn(&mut self, now: Now) {
        let now = self.wall_forward(now);
        self.counts.turns += 1;
        if now.mono_us.saturating_sub(self.last_tick_us) >= TICK_US {
            self.last_tick_us = now.mono_us;
            self.look_at_timers(now);
            self.send_offers(now);
            self.answers.push_back(Event::Tick);
        }
        if self.draining {
            self.let_gates_go(now);
        }
        loop {
            self.perform_released(now);
            if self.answers.is_empty() && self.requests.is_empty() {
                break;
            }
            let room = self.journal.room(&self.size, self.core.answers_to_come());
            // What is in flight may still be reversed while the switch drains.
            let room = if self.draining && room == Room::All { Room::Draining } else { room };
            self.core.set_room(room);
            let mut batch = std::mem::take(&mut self.batch);
            batch.wall_ms = now.wall_ms;
            for _ in 0..EVENTS_MAX {
                if batch.records.len() >= TURN_BYTES_MAX {
                    break;
                }
                let Some(event) = self.answers.pop_front().or_else(|| self.requests.pop_front()) else {
                    break;
                };
                self.counts.events += 1;
                self.core.apply(now, event, &mut batch);
            }
            if !batch.is_empty() {
                self.journal.take(&mut batch);
            }
            self.batch = batch;
        }
    }

    /// What the rim must do since the last call.
    pub fn take_outputs(&mut self, into: &mut Vec<Output>) {
        into.append(&mut self.outputs);
    }

    /// Whether an event waits for a turn.
    pub fn has_work(&self) -> bool {
        !self.answers.is_empty() || !self.requests.is_empty()
    }

    /// So many events wait that the next turn should come before anything more is read: whoever floods must not fill
    /// the memory between two turns.
    pub fn is_behind(&self) -> bool {
        self.answers.len() + self.requests.len() > BEHIND_EVENTS
    }

    /// A connection was accepted; None when the bound is reached or the switch drains: close it.
    pub fn session_opened(&mut self, listener: ListenerNo, now: Now) -> Option<SessionId> {
        let open = self.sessions.len() - self.free.len();
        let full = open >= self.rim.bounds.sessions_max;
        if self.draining || full {
            self.counts.refused_connections += 1;
            if full {
                self.counts.sessions.reached.note(Bound::Sessions);
            }
            return None;
        }
        self.counts.accepted += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.sessions.push(None);
            self.generations.push(0);
            (self.sessions.len() - 1) as u32
        });
        let id = SessionId { slot, generation: self.generations[slot as usize] };
        let mut session = Session::new(id, listener, now);
        session.gate = self.rim.listener(listener).and_then(|rim| rim.gate).map(|gate| Gate::new(gate, now));
        self.sessions[slot as usize] = Some(session);
        Some(id)
    }

    pub fn session_bytes(&mut self, id: SessionId, bytes: &[u8], now: Now) {
        let now = self.wall_forward(now);
        let Some(slot) = self.sessions.get_mut(id.slot as usize) else { return };
        let Some(session) = slot.as_mut().filter(|session| session.id == id && !session.closing) else {
            return;
        };
        if let Some(gate) = session.gate.take() {
            return self.gate_bytes(id, gate, bytes, now);
        }
        let mut around = Around {
            rim: &self.rim,
            keys: &self.keys,
            tokens: &self.tokens,
            messages: &mut self.messages,
            scratch: &mut self.scratch,
            counts: &mut self.counts.sessions,
            now,
        };
        let requests = &mut self.requests;
        let outcome = session.handle_bytes(bytes, &mut around, |event| requests.push_back(event));
        if !session.out.is_empty() {
            self.outputs.push(Output::SessionOut(id));
        }
        let slow = session.out.unread() > self.rim.bounds.out_bytes_max;
        let outcome = if slow { Err(Closed::SlowReader) } else { outcome };
        if let Err(why) = outcome {
            self.close_session(id, why);
        }
    }

    /// The peer closed, or the socket failed. Its transactions go on; their answers go nowhere.
    pub fn session_closed(&mut self, id: SessionId) {
        let Some(slot) = self.sessions.get_mut(id.slot as usize) else { return };
        if slot.as_ref().is_some_and(|session| session.id == id) {
            *slot = None;
            self.generations[id.slot as usize] = self.generations[id.slot as usize].wrapping_add(1);
            self.free.push(id.slot);
        }
    }

    /// Whether the session may be read: not while too many of its requests wait (P9).
    pub fn session_wants_read(&self, id: SessionId) -> bool {
        let bound = self.rim.bounds.session_inflight_max;
        self.session(id).is_some_and(|session| !session.closing && session.inflight < bound)
    }

    /// Whether something is still to be said to the session: a request in flight, or bytes not written yet.
    pub fn session_is_owed(&self, id: SessionId) -> bool {
        self.session(id)
            .is_some_and(|session| !session.closing && (session.inflight > 0 || !session.out.is_empty()))
    }

    pub fn session_pending(&self, id: SessionId) -> &[u8] {
        self.session(id).map_or(&[], |session| session.out.pending())
    }

    /// The kernel took this many bytes of what was pending.
    pub fn session_wrote(&mut self, id: SessionId, count: usize) {
        if let Some(Some(session)) = self.sessions.get_mut(id.slot as usize)
            && session.id == id
        {
            session.out.took(count, |_| {});
        }
    }

    /// An attempt to connect succeeded; false when the line no longer waits for it: drop the connection.
    pub fn line_connected(&mut self, id: LineId, attempt: u32, now: Now) -> bool {
        let wanted = self.with_line(id, now, |line, rim, around| line.connected(attempt, rim, around));
        self.after_line(id);
        wanted.unwrap_or(false)
    }

    pub fn line_bytes(&mut self, id: LineId, bytes: &[u8], now: Now) {
        let mut heard = std::mem::take(&mut self.heard);
        let outcome = self.with_line(id, now, |line, rim, around| {
            line.handle_bytes(bytes, rim, around, |one| heard.push(one))
        });
        for one in heard.drain(..) {
            match one {
                Heard::Event(event) => self.answers.push_back(event),
                Heard::Request(payload, proof) => self.line_request(id, &payload, proof, now),
                Heard::NetworkAnswer(stan, code, proof) => self.offer_answered(id, stan, code, proof),
                Heard::Unkeyed => {
                    let participant = self.rim.lines[id.0 as usize].participant;
                    self.outputs.push(Output::Alarm(Alarm::LineUnkeyed { participant, line: id }));
                }
            }
        }
        self.heard = heard;
        if let Some(Err(why)) = outcome {
            self.drop_line(id, why, now);
        }
        self.after_line(id);
    }

    /// The connection of this attempt failed, closed, or never came up.
    pub fn line_lost(&mut self, id: LineId, attempt: u32, now: Now, jitter: u64) {
        if self.lines.get(id.0 as usize).is_none_or(|line| line.attempt != attempt) {
            return;
        }
        self.with_line(id, now, |line, rim, around| line.lost(rim, around.now, jitter));
        self.abandon_line(id, now);
        self.after_line(id);
    }

    pub fn line_pending(&self, id: LineId) -> &[u8] {
        self.lines.get(id.0 as usize).map_or(&[], |line| line.out.pending())
    }

    pub fn line_wrote(&mut self, id: LineId, count: usize) {
        let Some(line) = self.lines.get_mut(id.0 as usize) else { return };
        let answers = &mut self.answers;
        line.out.took(count, |of| answers.push_back(Event::Written(of)));
        self.note_carrying(id);
    }

    /// A cold read is done.
    pub fn fetched(&mut self, seq: Seq, entry: Option<Entry>) {
        self.answers.push_back(Event::Fetched { seq, entry: entry.map(Box::new) });
    }

    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    pub fn journal_mut(&mut self) -> &mut Journal {
        &mut self.journal
    }

    pub fn rim(&self) -> &Rim {
        &self.rim
    }

    pub fn messages(&self) -> &Messages {
        &self.messages
    }

    /// What logs call a participant.
    pub fn name_of(&self, participant: ParticipantId) -> &str {
        self.core.durable.participants.get(&participant).map_or("", |held| held.name.as_str())
    }

    pub fn sessions_open(&self) -> usize {
        self.sessions.len() - self.free.len()
    }

    pub fn lines(&self) -> impl Iterator<Item = (&rim::LineRim, &Line)> {
        self.rim.lines.iter().zip(&self.lines)
    }

    fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(id.slot as usize)?.as_ref().filter(|session| session.id == id)
    }

    /// `now` with the wall time that batches carry.
    fn wall_forward(&mut self, now: Now) -> Now {
        let (now, alarm) = self.clock.forward(now);
        self.outputs.extend(alarm.map(Output::Alarm));
        now
    }

    fn with_line<R>(
        &mut self,
        id: LineId,
        now: Now,
        work: impl FnOnce(&mut Line, &rim::LineRim, &mut LineAround<'_>) -> R,
    ) -> Option<R> {
        let now = self.wall_forward(now);
        let (line, rim) = (self.lines.get_mut(id.0 as usize)?, self.rim.lines.get(id.0 as usize)?);
        let mut around = LineAround {
            rim: &self.rim,
            keys: &self.keys,
            tokens: &self.tokens,
            counts: &mut self.counts.lines,
            now,
        };
        Some(work(line, rim, &mut around))
    }

    /// Bytes to write, and whether the participant's reachability changed.
    fn after_line(&mut self, id: LineId) {
        let Some(line) = self.lines.get(id.0 as usize) else { return };
        if !line.out.is_empty() {
            self.outputs.push(Output::LineOut(id));
        }
        self.note_carrying(id);
    }

    /// Tells the core when its participant gains or loses a line that carries requests.
    fn note_carrying(&mut self, id: LineId) {
        let Some(participant) = self.rim.lines.get(id.0 as usize).map(|rim| rim.participant) else { return };
        let Some(group) = self.groups.get_mut(&participant) else { return };
        let carrying = group.lines.iter().filter(|line| self.lines[line.0 as usize].carries()).count() as u16;
        if carrying != group.carrying {
            group.carrying = carrying;
            self.answers.push_back(Event::Reachable { participant, lines: carrying });
        }
    }

    /// A line that is down gives up what it had not sent: to another line of its participant, as it is (rule 9). Where
    /// none takes it, or its time has passed, nothing was sent.
    fn abandon_line(&mut self, id: LineId, now: Now) {
        let Some(line) = self.lines.get_mut(id.0 as usize) else { return };
        let mut out = std::mem::take(&mut line.out);
        let participant = self.rim.lines[id.0 as usize].participant;
        out.abandon(|send, left| {
            let Some(bytes) = left else { return self.answers.push_back(Event::Written(send.of)) };
            if !self.core.waits_for(send.of, send.not_after_us) {
                // An obligation goes out again by itself, and must not be told of its last attempt.
                if let SendOf::Leg(_) = send.of {
                    self.answers.push_back(Event::NotSent(send.of, Unsent::TooOld));
                }
                return;
            }
            if now.mono_us > send.not_after_us {
                return self.answers.push_back(Event::NotSent(send.of, Unsent::TooOld));
            }
            let Some(other) = self.choose_line(participant) else {
                return self.answers.push_back(Event::NotSent(send.of, Unsent::NoLine));
            };
            let out = &mut self.lines[other.0 as usize].out;
            let start = out.tail().len();
            out.tail().extend_from_slice(bytes);
            out.mark(start, send);
            self.outputs.push(Output::LineOut(other));
        });
    }

    fn drop_line(&mut self, id: LineId, why: &str, now: Now) {
        self.outputs.push(Output::CloseLine(id));
        self.with_line(id, now, |line, rim, around| {
            line.fall(why, rim, around.now.mono_us, u64::from(id.0));
        });
        self.abandon_line(id, now);
        self.after_line(id);
    }

    fn look_at_timers(&mut self, now: Now) {
        for at in 0..self.lines.len() {
            let id = LineId(at as u32);
            let jitter =
                now.mono_us.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(u64::from(id.0)) >> 33;
            match self.with_line(id, now, |line, rim, around| line.due(rim, around, jitter)) {
                Some(LineNeeds::Connect) => {
                    let (attempt, address) = (self.lines[at].attempt, self.rim.lines[at].address);
                    self.outputs.push(Output::Connect(id, attempt, address));
                }
                Some(LineNeeds::Close) => {
                    self.abandon_line(id, now);
                    self.outputs.push(Output::CloseLine(id));
                    self.after_line(id);
                }
                Some(LineNeeds::Nothing) | None => {
                    if !self.lines[at].out.is_empty() {
                        self.outputs.push(Output::LineOut(id));
                    }
                }
            }
        }
        if now.mono_us.saturating_sub(self.last_idle_us) >= IDLE_CHECK_US {
            self.last_idle_us = now.mono_us;
            self.close_idle_sessions(now);
            self.look_at_gates(now);
            self.change_old_keys(now);
        }
    }

    fn close_idle_sessions(&mut self, now: Now) {
        let idle_us = u64::try_from(self.rim.bounds.idle.as_micros()).unwrap_or(u64::MAX);
        let idle = |session: &&Session| {
            session.inflight == 0
                && !session.closing
                && now.mono_us.saturating_sub(session.last_heard_us) > idle_us
        };
        let stale: Vec<SessionId> =
            self.sessions.iter().flatten().filter(idle).map(|session| session.id).collect();
        for id in stale {
            self.close_session(id, Closed::Idle);
        }
    }

    fn close_session(&mut self, id: SessionId, why: Closed) {
        let Some(Some(session)) = self.sessions.get_mut(id.slot as usize) else { return };
        if session.id != id || session.closing {
            return;
        }
        session.closing = true;
        match why {
            Closed::Framing => self.counts.closed_framing += 1,
            Closed::Garbage => self.counts.closed_garbage += 1,
            Closed::SlowReader => {
                self.counts.closed_slow += 1;
                self.counts.sessions.reached.note(Bound::SessionOut);
            }
            Closed::Idle => self.counts.closed_idle += 1,
            Closed::ByPeer | Closed::Drained | Closed::Gate => {}
        }
        self.outputs.push(Output::CloseSession(id, why));
    }
}

impl Latency {
    fn record(&mut self, us: u64) {
        let at = LATENCY_BOUNDS_US.partition_point(|bound| *bound < us);
        self.counts[at] += 1;
        self.sum_us = self.sum_us.saturating_add(us);
    }
}
