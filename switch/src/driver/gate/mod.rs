//! One connection of a gateway, as a pure machine (`docs/wire.md`): hello, keys, sequence, credits, and what each frame
//! asks. It never decides whether a tap is new or a payment is paid; that is the core's.
//!
//! ```text
//! Greeting --hello--> Proving --first good MAC--> Up --goodbye, fault--> closed
//! ```

mod answers;
mod batches;
mod payment;
mod taps;
mod watch;

pub use batches::GateBatches;

use super::session::Closed;
use super::{Driver, Output};
use crate::config::GateConfig;
use crate::core::effect::Event;
use crate::core::ids::{MsgHandle, Now, ParticipantId, SessionId};
use crate::core::taps::{Asked, GateEvent, Gateway, Part};
use std::collections::BTreeMap;
use std::sync::Arc;
use yika_codec::gate::{
    Credit, ErrorCode, FRAME_BYTES_BEFORE_ANSWER, Fault, Frame, Goodbye, Heartbeat, HeartbeatAnswer, Hello,
    HelloAnswer, Message, OpenBatches, Reason, Sender, Sequence, Text, VERSION, feature, level, next, write,
    write_open,
};
use yika_keystore::{Authentic, GateSession, GateSide};

/// What one connection knows of itself.
pub struct Gate {
    config: GateConfig,
    state: State,
    keys: Option<GateSession>,
    came: Sequence,
    sent: Sequence,
    gateway: Arc<Gateway>,
    /// Chosen by the gateway and kept over reconnects.
    session: [u8; 16],
    features: u64,
    /// Records that came, and records that were answered: the rest is under way.
    records_came: u64,
    records_answered: u64,
    began_us: u64,
    last_said_us: u64,
    /// It said goodbye: when nothing of it is under way any more, so do we.
    leaving: bool,
    /// The credits that it was told last.
    credits_told: u64,
    /// Batches that are open, by their id.
    open: BTreeMap<u64, batches::OpenHere>,
    /// By correlation: what the gateway counts, until ours is known.
    counted: BTreeMap<u32, answers::Counted>,
    /// Payments under way, and the correlation that each came with.
    asked: BTreeMap<MsgHandle, u32>,
    /// The correlation of our newest question.
    question: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Greeting,
    Proving,
    Up,
}

/// Counts of what came over all gates.
#[derive(Clone, Copy, Default, Debug)]
pub struct GateCounts {
    pub frames: u64,
    pub bad_mac: u64,
    /// Questions refused, and connections ended, with an error frame.
    pub faults: u64,
    pub taken_over: u64,
    /// Batches that came whole and were not what was announced.
    pub batches_differ: u64,
}

/// The frame with which a connection ends.
enum End {
    Fault(ErrorCode),
    Goodbye(Reason),
    Quiet,
}

/// What is offered here.
const FEATURES: u64 = feature::TAPS | feature::BATCHES | feature::TRANSACTIONS | feature::TOTALS;
/// A part of 256 records of the longest kind that is usual.
const FRAME_BYTES_MAX: usize = 256 << 10;
const BATCH_RECORDS_MAX: u32 = 10_000;
const PART_RECORDS_MAX: u16 = 256;
/// When a refusal for want of room may be tried again.
const RETRY_MS: u32 = 1_000;
/// How long a connection may take from its beginning to its first good MAC.
const PROOF_TIME_MAX_US: u64 = 10_000_000;
/// Heartbeats missed before a gateway is given up.
const SILENCES_MAX: u64 = 3;

impl Gate {
    pub fn new(config: GateConfig, now: Now) -> Box<Gate> {
        Box::new(Gate {
            config,
            state: State::Greeting,
            keys: None,
            came: Sequence::default(),
            sent: Sequence::default(),
            gateway: Arc::new(Gateway { participant: ParticipantId(0), name: String::new() }),
            session: [0; 16],
            features: 0,
            records_came: 0,
            records_answered: 0,
            began_us: now.mono_us,
            last_said_us: 0,
            leaving: false,
            credits_told: 0,
            open: BTreeMap::new(),
            counted: BTreeMap::new(),
            asked: BTreeMap::new(),
            question: 0,
        })
    }

    /// It said goodbye and nothing of it is under way any more.
    fn came_last(&self, inflight: usize) -> bool {
        self.leaving && inflight == 0
    }

    /// Records that may have been sent in all since the hello.
    fn credits(&self) -> u64 {
        self.records_answered + self.config.credits
    }

    /// The same for a frame that tells it.
    fn grant(&mut self) -> u64 {
        self.credits_told = self.credits();
        self.credits_told
    }

    /// A correlation for a question of ours: never 0.
    fn next_question(&mut self) -> u32 {
        self.question = self.question.checked_add(1).unwrap_or(1);
        self.question
    }

    /// What came back without a word of it: with a refusal, or for a payment that got no answer.
    fn has_untold_credits(&self) -> bool {
        self.state == State::Up && !self.leaving && self.credits_told < self.credits()
    }

    /// Counts records against what was granted.
    fn spend(&mut self, records: u64) -> Result<(), End> {
        self.records_came = self.records_came.saturating_add(records);
        if self.records_came > self.credits() { Err(End::Fault(ErrorCode::Credit)) } else { Ok(()) }
    }

    /// Records of a question that is refused as a whole cost nothing: whoever counted them hears of it.
    fn give_back(&mut self, records: u64) {
        let records = records.min(self.credits().saturating_sub(self.records_came));
        self.records_came += records;
        self.records_answered += records;
    }

    fn frame_bytes_max(&self) -> usize {
        if self.state == State::Greeting { FRAME_BYTES_BEFORE_ANSWER } else { FRAME_BYTES_MAX }
    }

    /// Appends a frame; false when its numbers are used up and the connection must end.
    fn say(&mut self, out: &mut Vec<u8>, correlation: u32, message: &Message<'_>, now: Now) -> bool {
        let Some(sequence) = self.sent.give() else { return false };
        self.last_said_us = now.mono_us;
        match &self.keys {
            Some(keys) => write(out, sequence, correlation, message, |signed| keys.make.generate(signed)),
            None => write_open(out, sequence, correlation, message),
        }
        true
    }
}

/// The feature that a message belongs to; 0 for those that every connection has.
fn feature_of(message: &Message<'_>) -> u64 {
    match message {
        Message::Tap(_) => feature::TAPS,
        Message::BatchOpen(_) | Message::BatchPart(_) => feature::BATCHES,
        Message::Transaction(_) => feature::TRANSACTIONS,
        Message::ListPoll(_) | Message::ListAck(_) => feature::LISTS,
        Message::Totals(_) => feature::TOTALS,
        _ => 0,
    }
}

impl Driver {
    /// What was read on a gateway's connection. The gate is taken out of its session meanwhile.
    pub(super) fn gate_bytes(&mut self, id: SessionId, mut gate: Box<Gate>, bytes: &[u8], now: Now) {
        let Some(Some(session)) = self.sessions.get_mut(id.slot as usize) else { return };
        session.last_heard_us = now.mono_us;
        let mut input = std::mem::take(&mut session.input);
        let joined = input.join(bytes);
        let mut used = 0;
        let end = loop {
            match next(&joined[used..], gate.frame_bytes_max()) {
                Ok(Some(frame)) => {
                    used += frame.bytes;
                    self.counts.gates.frames += 1;
                    if let Err(end) = self.gate_frame(id, &mut gate, &frame, now) {
                        break Some(end);
                    }
                }
                Ok(None) => break None,
                Err(_) => break Some(End::Fault(ErrorCode::Frame)),
            }
        };
        if end.is_none() {
            input.keep(bytes, used);
        }
        match &end {
            Some(end) => self.gate_end(id, &mut gate, end, now),
            None => self.say_credits(id, &mut gate, now),
        }
        if let Some(Some(session)) = self.sessions.get_mut(id.slot as usize) {
            if end.is_none() {
                session.input = input;
            }
            session.gate = Some(gate);
            let slow = session.out.unread() > self.rim.bounds.out_bytes_max;
            if slow {
                self.close_session(id, Closed::SlowReader);
            }
        }
        if end.is_some() {
            self.close_session(id, Closed::Gate);
        }
    }

    fn gate_frame(&mut self, id: SessionId, gate: &mut Gate, frame: &Frame<'_>, now: Now) -> Result<(), End> {
        if gate.state == State::Greeting {
            return self.greet(id, gate, frame, now);
        }
        if gate.leaving {
            // Goodbye was its last frame.
            return Err(End::Fault(ErrorCode::Turn));
        }
        let proof = self.prove(gate, frame)?;
        if gate.state == State::Proving {
            gate.state = State::Up;
            self.gate_batches.note_session(&gate.gateway, gate.session);
            self.take_over(id, gate, now);
        }
        let correlation = frame.head.correlation;
        let message = match frame.message() {
            Ok(message) if message.sender() == Sender::Server => return Err(End::Fault(ErrorCode::Turn)),
            Ok(message) => message,
            Err(error) => {
                gate.give_back(frame.records());
                self.gate_fault(id, gate, correlation, Fault::unreadable(&error, 0), now);
                return Ok(());
            }
        };
        if correlation == 0 && message.asks() {
            return Err(End::Fault(ErrorCode::Frame));
        }
        let needed = feature_of(&message);
        if needed & !gate.features != 0 {
            gate.give_back(frame.records());
            self.gate_fault(id, gate, correlation, Fault::of(ErrorCode::NotAgreed, false), now);
            return Ok(());
        }
        self.gate_message(id, gate, (correlation, proof), message, now)
    }

    /// What a frame asks that is proven and agreed on.
    fn gate_message(
        &mut self,
        id: SessionId,
        gate: &mut Gate,
        (correlation, proof): (u32, Authentic<()>),
        message: Message<'_>,
        now: Now,
    ) -> Result<(), End> {
        match message {
            Message::Heartbeat(Heartbeat { time_ms }) => {
                let answer = HeartbeatAnswer { asked_ms: time_ms, time_ms: now.wall_ms };
                self.gate_say(id, gate, correlation, &Message::HeartbeatAnswer(answer), now);
                Ok(())
            }
            Message::HeartbeatAnswer(_) => Ok(()),
            Message::Goodbye(_) => {
                gate.leaving = true;
                if gate.came_last(self.session(id).map_or(0, |session| session.inflight)) {
                    return Err(End::Goodbye(Reason::Done));
                }
                Ok(())
            }
            Message::Fault(fault) => {
                tracing::debug!(session = id.slot, code = fault.code, "a gateway reports an error");
                if fault.fatal == 0 { Ok(()) } else { Err(End::Quiet) }
            }
            Message::Tap(tap) => {
                gate.spend(1)?;
                let taps = vec![self.tap_of(gate, tap.record)];
                let records = tap.record.bytes().to_vec();
                let part = Part { batch: None, first: 0, taps, records };
                self.gate_ask(id, gate, correlation, proof, GateEvent::Taps(part));
                Ok(())
            }
            Message::BatchOpen(open) => {
                self.batch_open(id, gate, correlation, proof, &open, now);
                Ok(())
            }
            Message::BatchPart(part) => self.batch_part(id, gate, correlation, proof, &part, now),
            Message::Transaction(transaction) => {
                gate.spend(1)?;
                self.gate_payment(id, gate, correlation, proof, &transaction, now);
                Ok(())
            }
            Message::Totals(totals) => {
                let date = crate::core::ids::BusinessDate(totals.date.number());
                gate.compare(correlation, &totals);
                self.gate_ask(id, gate, correlation, proof, GateEvent::Totals { date, kind: totals.kind });
                Ok(())
            }
            // A second hello: there is no way back to the beginning.
            _ => Err(End::Fault(ErrorCode::Turn)),
        }
    }

    /// MAC, then sequence: nothing of a frame is believed before.
    fn prove(&mut self, gate: &mut Gate, frame: &Frame<'_>) -> Result<Authentic<()>, End> {
        let checked =
            frame.mac.zip(gate.keys.as_ref()).map(|(mac, keys)| keys.check.verify(frame.signed, mac, ()));
        let Some(Ok(proof)) = checked else {
            self.counts.gates.bad_mac += 1;
            return Err(End::Fault(ErrorCode::Mac));
        };
        gate.came.take(frame.head.sequence).map_err(|_| End::Fault(ErrorCode::Sequence))?;
        Ok(proof)
    }

    /// The hello: who it is, what both speak, and the keys of this connection.
    fn greet(&mut self, id: SessionId, gate: &mut Gate, frame: &Frame<'_>, now: Now) -> Result<(), End> {
        let hello = match frame.message() {
            Ok(Message::Hello(hello)) if frame.mac.is_none() => hello,
            Ok(_) => return Err(End::Fault(ErrorCode::Turn)),
            Err(error) => return Err(End::Fault(error.code())),
        };
        if frame.head.correlation == 0 {
            return Err(End::Fault(ErrorCode::Frame));
        }
        gate.came.take(frame.head.sequence).map_err(|_| End::Fault(ErrorCode::Sequence))?;
        if !(hello.version_min..=hello.version_max).contains(&VERSION) {
            return Err(End::Fault(ErrorCode::Version));
        }
        if hello.features_needed & !FEATURES != 0 {
            return Err(End::Fault(ErrorCode::Feature));
        }
        let listener = self.session(id).map(|session| session.listener);
        let participant = listener.and_then(|no| self.rim.listener(no)).map(|listener| listener.participant);
        let named = participant.filter(|id| self.name_of(*id).as_bytes() == hello.participant.bytes());
        let (Some(participant), Ok(name)) = (named, std::str::from_utf8(hello.gateway.bytes())) else {
            return Err(End::Fault(ErrorCode::Unknown));
        };
        let gateway = Gateway { participant, name: name.to_owned() };
        let open = self.open_batches(&gateway);
        let answer = self.hello_answer(id, gate, &gateway, &hello, &open, now);
        let mut body = Vec::new();
        Message::HelloAnswer(answer).encode(&mut body);
        let keys = self.keys.of(participant).map_or(&[][..], |keys| &keys.gates[..]);
        let Some(zone) = keys.iter().find(|key| key.check_value() == hello.key_check) else {
            return Err(End::Fault(ErrorCode::Key));
        };
        gate.keys = Some(zone.session(GateSide::Server, frame.body, &body));
        gate.gateway = Arc::new(gateway);
        gate.session = hello.session;
        gate.features = hello.features & FEATURES;
        gate.state = State::Proving;
        self.gate_say(id, gate, frame.head.correlation, &Message::HelloAnswer(answer), now);
        Ok(())
    }

    /// Open batches of a gateway, each with the index from which it goes on, as the hello answer has them.
    fn open_batches(&self, gateway: &Gateway) -> Vec<u8> {
        let mut bytes = Vec::new();
        for batch in self.core.durable.taps.open_of(gateway).take(OpenBatches::COUNT_MAX) {
            let next = self.gate_batches.reached(gateway, batch).unwrap_or(0);
            OpenBatches::push(batch, next, &mut bytes);
        }
        bytes
    }

    fn hello_answer<'o>(
        &self,
        id: SessionId,
        gate: &mut Gate,
        gateway: &Gateway,
        hello: &Hello<'_>,
        open: &'o [u8],
        now: Now,
    ) -> HelloAnswer<'o> {
        let resumed = self.gate_batches.knows(gateway, &hello.session);
        let batches = OpenBatches::new(open).filter(|_| !open.is_empty());
        HelloAnswer {
            version: VERSION,
            features: hello.features & FEATURES,
            random: self.fresh(id, now),
            resumed: u8::from(resumed),
            frame_bytes_max: FRAME_BYTES_MAX as u32,
            batch_records_max: BATCH_RECORDS_MAX,
            part_records_max: PART_RECORDS_MAX,
            heartbeat_seconds: u16::try_from(gate.config.heartbeat.as_secs()).unwrap_or(u16::MAX),
            server_time_ms: now.wall_ms,
            levels: level::STORED,
            credits: gate.grant(),
            batches_open: batches.map_or(0, |open| open.iter().count() as u16),
            batches,
            software: None,
        }
    }

    /// Sixteen bytes that no other connection has and nobody else can tell: keyed hashes of what makes it the only one.
    fn fresh(&self, id: SessionId, now: Now) -> [u8; 16] {
        let mut bytes = [0; 16];
        for (half, place) in bytes.chunks_exact_mut(8).enumerate() {
            let parts: [&[u8]; 5] = [
                &now.wall_ms.to_le_bytes(),
                &now.mono_us.to_le_bytes(),
                &id.slot.to_le_bytes(),
                &id.generation.to_le_bytes(),
                &self.counts.accepted.to_le_bytes(),
            ];
            let hash = self.core.durable.keyed(b'1' + half as u8, ParticipantId(0), &parts);
            place.copy_from_slice(&hash.0.to_le_bytes());
        }
        bytes
    }

    /// An older connection with the same session id is most likely dead: it is told and closed.
    fn take_over(&mut self, id: SessionId, gate: &Gate, now: Now) {
        let same = |other: &Gate| other.session == gate.session && other.gateway == gate.gateway;
        let older: Vec<SessionId> = self
            .sessions
            .iter()
            .flatten()
            .filter(|session| session.id != id && !session.closing)
            .filter(|session| {
                session.gate.as_ref().is_some_and(|other| other.state == State::Up && same(other))
            })
            .map(|session| session.id)
            .collect();
        for id in older {
            self.counts.gates.taken_over += 1;
            self.gate_leave(id, Reason::TakenOver, now);
        }
    }

    fn take_gate(&mut self, id: SessionId) -> Option<Box<Gate>> {
        let session = self.sessions.get_mut(id.slot as usize)?.as_mut().filter(|session| session.id == id)?;
        session.gate.take()
    }

    /// Puts a gate back into its session after an answer; the last one ends with a goodbye.
    fn put_gate_after(&mut self, id: SessionId, mut gate: Box<Gate>, now: Now) {
        self.say_credits(id, &mut gate, now);
        let Some(session) = self.session(id) else { return };
        let (last, slow) =
            (gate.came_last(session.inflight), session.out.unread() > self.rim.bounds.out_bytes_max);
        if last {
            self.gate_end(id, &mut gate, &End::Goodbye(Reason::Done), now);
        }
        self.put_gate(id, gate);
        if last || slow {
            self.close_session(id, if last { Closed::Gate } else { Closed::SlowReader });
        }
    }

    fn put_gate(&mut self, id: SessionId, gate: Box<Gate>) {
        if let Some(Some(session)) = self.sessions.get_mut(id.slot as usize)
            && session.id == id
        {
            session.gate = Some(gate);
        }
    }

    fn gate_end(&mut self, id: SessionId, gate: &mut Gate, end: &End, now: Now) {
        match end {
            End::Quiet => {}
            End::Goodbye(reason) => {
                self.gate_say(id, gate, 0, &Message::Goodbye(Goodbye::of(*reason)), now);
            }
            End::Fault(code) => {
                let said = Text::new(code.meaning().as_bytes());
                let mut fault = Fault { text: said, ..Fault::of(*code, true) };
                match code {
                    ErrorCode::Version => fault.versions = Some([VERSION, VERSION]),
                    ErrorCode::Feature => fault.features = Some(FEATURES),
                    _ => {}
                }
                self.gate_fault(id, gate, 0, fault, now);
            }
        }
    }

    fn say_credits(&mut self, id: SessionId, gate: &mut Gate, now: Now) {
        if gate.has_untold_credits() {
            let credits = gate.grant();
            self.gate_say(id, gate, 0, &Message::Credit(Credit { credits }), now);
        }
    }

    fn gate_fault(&mut self, id: SessionId, gate: &mut Gate, correlation: u32, fault: Fault<'_>, now: Now) {
        self.counts.gates.faults += 1;
        self.gate_say(id, gate, correlation, &Message::Fault(fault), now);
    }

    fn gate_say(
        &mut self,
        id: SessionId,
        gate: &mut Gate,
        correlation: u32,
        message: &Message<'_>,
        now: Now,
    ) {
        let Some(Some(session)) = self.sessions.get_mut(id.slot as usize) else { return };
        if session.id != id || session.closing {
            return;
        }
        let was_empty = session.out.is_empty();
        let said = gate.say(session.out.tail(), correlation, message, now);
        if was_empty {
            self.outputs.push(Output::SessionOut(id));
        }
        if !said {
            // After four thousand million frames; the gateway connects anew.
            self.close_session(id, Closed::Gate);
        }
    }

    fn gate_ask(
        &mut self,
        id: SessionId,
        gate: &Gate,
        correlation: u32,
        proof: Authentic<()>,
        event: GateEvent,
    ) {
        if let Some(Some(session)) = self.sessions.get_mut(id.slot as usize) {
            session.inflight += 1;
        }
        let asked = Asked { session: id, correlation, gateway: gate.gateway.clone() };
        self.requests.push_back(Event::Gate(proof.map(|()| Box::new((asked, event)))));
    }
}
