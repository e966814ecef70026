//! One connection to a participant's host, as a pure machine: connect with back-off and jitter, sign on,
//! ask for signs of life, read answers. It is healthy because its peer answers, not because a socket is
//! open.
//!
//! ```text
//! Down --(due)--> Connecting --(connected)--> SigningOn --(0810/00)--> Open
//!   ^                 |                            |                     |
//!   `-----------------`------- failed, refused, silent, or closed -------'
//! ```
//! Without a sign-on, Connecting goes to Open. Each attempt has a number: what is heard of an earlier one is not
//! taken for the present one.
//!
//! A line whose peer's MACs were wrong three times running is *unkeyed* (rule 11): it stays connected and is
//! listened to, but carries no requests, until a key change or a new connection.

use super::buffer::{InBuf, OutBuf};
use super::messages::Proof;
use super::rim::{Keys, LineRim, Rim};
use super::session::{Verified, served_by, took_offer, verified};
use super::wire::{RECORD, Towards, write_network};
use super::working_keys::{OFFER_STANS, brings_single_key};
use crate::config::SignOn;
use crate::core::effect::{Answer, Event};
use crate::core::ids::{CardToken, Currency, LineId, Now};
use std::time::Duration;
use yika_codec::{Code, Dialect, FieldSet, Kind, Layout, Message};
use yika_keystore::{Tokenizer, Waiver, waive};

pub struct Line {
    pub id: LineId,
    pub state: LineState,
    /// Number of the latest attempt to connect, and of the connection it led to.
    pub attempt: u32,
    pub input: InBuf,
    pub out: OutBuf,
    layout: Layout,
    /// When the state must change by itself.
    due_us: u64,
    /// Connections that failed in a row.
    failures: u32,
    last_heard_us: u64,
    /// F11 of the network message that waits for its answer.
    asked: Option<(u32, Kind)>,
    next_stan: u32,
    /// Wrong MACs in a row.
    bad_macs: u32,
    unkeyed: bool,
    /// Requests of the participant's own on this line that wait for their answer.
    pub own_requests: u32,
    /// Its participant signed off, or an operator drains it.
    pub halted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineState {
    Down,
    Connecting,
    SigningOn,
    Open,
}

/// What a line asks of the rim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineNeeds {
    Nothing,
    Connect,
    Close,
}

/// Counts of what came over all lines and was no answer.
#[derive(Clone, Copy, Default, Debug)]
pub struct LineCounts {
    pub frames: u64,
    pub undecodable: u64,
    /// Our own messages that the network gave back with a reject code: no answer, so their time runs out.
    pub rejected: u64,
    pub bad_mac: u64,
    /// Lines that became unkeyed.
    pub unkeyed: u64,
    /// Lines closed because the peer did not read our answers.
    pub closed_slow: u64,
    pub unexpected: u64,
    /// Key changes that were refused.
    pub keys_refused: u64,
    pub echo_lost: u64,
    pub connects: u64,
    pub connect_failures: u64,
}

/// Bad MACs in a row before a line is unkeyed (rule 11).
const BAD_MACS_MAX: u32 = 3;
/// Bytes a peer has not read before the line takes no more requests. Answers to its own requests may go beyond
/// by as much as a session may hold.
pub const OUT_BYTES_MAX: usize = 4 << 20;
const NETWORK_TIMEOUT_US: u64 = 5_000_000;

/// What a line needs of its surroundings while it reads.
pub struct LineAround<'a> {
    pub rim: &'a Rim,
    pub keys: &'a Keys,
    pub tokens: &'a Tokenizer,
    pub counts: &'a mut LineCounts,
    pub now: Now,
}

/// What a frame on a line is.
#[expect(clippy::large_enum_variant, reason = "moved once into a queue of events, never kept")]
pub enum Heard {
    Event(Event),
    /// A request of the participant's own (0800): its payload, and how it proved itself.
    Request(Vec<u8>, Proof),
    /// The answer to a network message that the line did not ask itself: F11, the code, and how it proved itself.
    NetworkAnswer(u32, Code, Proof),
    /// The line is unkeyed from now on.
    Unkeyed,
}

impl Line {
    pub fn new(id: LineId, now: Now) -> Line {
        Line {
            id,
            state: LineState::Down,
            attempt: 0,
            input: InBuf::default(),
            out: OutBuf::default(),
            layout: Layout::default(),
            due_us: now.mono_us,
            failures: 0,
            last_heard_us: now.mono_us,
            asked: None,
            next_stan: 1,
            bad_macs: 0,
            unkeyed: false,
            own_requests: 0,
            halted: false,
        }
    }

    /// Whether requests may go out on it now.
    pub fn carries(&self) -> bool {
        self.state == LineState::Open && !self.halted && !self.unkeyed && self.out.len() < OUT_BYTES_MAX
    }

    /// Whether it has a connection.
    pub fn is_up(&self) -> bool {
        matches!(self.state, LineState::SigningOn | LineState::Open)
    }

    /// Its participant's keys changed: what was wrong under the old ones says nothing of the new.
    pub fn keyed(&mut self) {
        self.unkeyed = false;
        self.bad_macs = 0;
    }

    /// Time passed. `jitter` is any number; it spreads reconnects of many switches.
    pub fn due(&mut self, rim: &LineRim, around: &mut LineAround<'_>, jitter: u64) -> LineNeeds {
        let now_us = around.now.mono_us;
        match self.state {
            LineState::Down if now_us >= self.due_us => {
                self.state = LineState::Connecting;
                self.attempt = self.attempt.wrapping_add(1);
                self.due_us = now_us + micros(rim.link.connect_timeout);
                around.counts.connects += 1;
                LineNeeds::Connect
            }
            LineState::Connecting if now_us >= self.due_us => {
                around.counts.connect_failures += 1;
                self.fall("it cannot be reached", rim, now_us, jitter);
                LineNeeds::Close
            }
            LineState::SigningOn if now_us >= self.due_us => {
                self.fall("our sign-on was not answered", rim, now_us, jitter);
                LineNeeds::Close
            }
            LineState::Open => self.ask_for_life(rim, around, jitter),
            _ => LineNeeds::Nothing,
        }
    }

    /// False when this attempt was given up meanwhile.
    pub fn connected(&mut self, attempt: u32, rim: &LineRim, around: &mut LineAround<'_>) -> bool {
        if self.state != LineState::Connecting || self.attempt != attempt {
            return false;
        }
        self.last_heard_us = around.now.mono_us;
        self.asked = None;
        match rim.link.sign_on {
            SignOn::None => self.open(rim),
            SignOn::Required => {
                self.state = LineState::SigningOn;
                self.due_us = around.now.mono_us + NETWORK_TIMEOUT_US;
                self.send_network(Kind::SignOn, rim, around);
            }
        }
        true
    }

    /// The connection failed or closed.
    pub fn lost(&mut self, rim: &LineRim, now: Now, jitter: u64) {
        let why = match self.state {
            LineState::Down => return,
            LineState::Connecting => "it cannot be reached",
            LineState::SigningOn => "the participant closed it before our sign-on was answered",
            LineState::Open => "the participant closed it, or the network did",
        };
        self.fall(why, rim, now.mono_us, jitter);
    }

    /// Takes what was read.
    ///
    /// # Errors
    /// The peer does not speak our framing, or refuses our sign-on: close the line.
    pub fn handle_bytes(
        &mut self,
        bytes: &[u8],
        rim: &LineRim,
        around: &mut LineAround<'_>,
        mut heard: impl FnMut(Heard),
    ) -> Result<(), &'static str> {
        if !self.is_up() {
            // Read before the connection that was given up is closed.
            return Ok(());
        }
        self.last_heard_us = around.now.mono_us;
        let mut input = std::mem::take(&mut self.input);
        let mut layout = std::mem::take(&mut self.layout);
        let joined = input.join(bytes);
        let mut used = 0;
        let outcome = loop {
            match rim.link.framing.next(&joined[used..], around.rim.bounds.frame_bytes_max) {
                Ok(Some(span)) => {
                    let payload = &joined[used + span.start..used + span.end];
                    used += span.next;
                    // A length without a payload is a sign of life, where the framing has one.
                    if payload.is_empty() {
                        continue;
                    }
                    if let Err(why) = self.handle_frame(payload, &mut layout, rim, around, &mut heard) {
                        break Err(why);
                    }
                }
                Ok(None) => break Ok(()),
                Err(_) => break Err("its framing is not ours"),
            }
        };
        if outcome.is_ok() {
            input.keep(bytes, used);
            self.input = input;
        }
        self.layout = layout;
        outcome
    }

    fn handle_frame(
        &mut self,
        payload: &[u8],
        layout: &mut Layout,
        rim: &LineRim,
        around: &mut LineAround<'_>,
        heard: &mut impl FnMut(Heard),
    ) -> Result<(), &'static str> {
        around.counts.frames += 1;
        let dialect: &Dialect = &rim.link.dialect;
        if dialect.decode(payload, layout).is_err() {
            around.counts.undecodable += 1;
            return Ok(());
        }
        let message = dialect.message(payload, layout);
        if message.reject_code().is_some() {
            around.counts.rejected += 1;
            return Ok(());
        }
        let keyed = around.keys.of(rim.participant).and_then(|keys| keys.mac.as_ref());
        let network = message.mti().class() == 0x08;
        let (proof, epoch) = match keyed {
            None => (waive(Waiver::NoMacKey, ()), None),
            Some(_) if network && message.mac().is_none() => (waive(Waiver::BeforeKeys, ()), None),
            Some(epochs) => match verified(&message, epochs, around.now.mono_us) {
                Some(Verified { proof, epoch, offered }) => {
                    self.bad_macs = 0;
                    if let Some(served) = served_by(rim.participant, None, epochs, epoch, &message) {
                        heard(Heard::Event(Event::ServedBy(served)));
                    }
                    if offered {
                        heard(Heard::Event(took_offer(rim.participant)));
                    }
                    (proof, Some(epoch))
                }
                // Its MAC is made with the key that it brings.
                None if brings_single_key(&message) => (waive(Waiver::BeforeKeys, ()), None),
                None => {
                    self.bad_mac(around, heard);
                    return Ok(());
                }
            },
        };
        if message.mti().is_request() {
            heard(Heard::Request(payload.to_vec(), Proof { epoch, attempt: self.attempt }));
        } else if network {
            let proof = Proof { epoch, attempt: self.attempt };
            return self.network_answer(&message, proof, rim, heard);
        } else if let Some(answer) = answer(&message, self.id, rim, around.tokens) {
            heard(Heard::Event(Event::Answer(proof.map(|()| answer))));
        } else {
            around.counts.undecodable += 1;
        }
        Ok(())
    }

    /// Counted, and no answer; the third in a row unkeys the line (rule 11).
    fn bad_mac(&mut self, around: &mut LineAround<'_>, heard: &mut impl FnMut(Heard)) {
        around.counts.bad_mac += 1;
        self.bad_macs = self.bad_macs.saturating_add(1);
        if self.bad_macs >= BAD_MACS_MAX && !self.unkeyed {
            self.unkeyed = true;
            around.counts.unkeyed += 1;
            heard(Heard::Unkeyed);
        }
    }

    fn open(&mut self, rim: &LineRim) {
        if self.failures > 0 {
            tracing::info!(
                participant = rim.name,
                line = self.id.0,
                failures = self.failures,
                "line open again"
            );
        }
        self.state = LineState::Open;
        self.failures = 0;
    }

    fn network_answer(
        &mut self,
        message: &Message<'_>,
        proof: Proof,
        rim: &LineRim,
        heard: &mut impl FnMut(Heard),
    ) -> Result<(), &'static str> {
        let stan = message.number(11).and_then(|stan| u32::try_from(stan).ok());
        let code = message.digits::<2>(39).and_then(|text| Code::parse(std::str::from_utf8(&text).ok()?));
        let Some((_, kind)) = self.asked.filter(|(asked, _)| Some(*asked) == stan) else {
            heard(Heard::NetworkAnswer(stan.unwrap_or(0), code.unwrap_or(Code::new(*b"96")), proof));
            return Ok(());
        };
        self.asked = None;
        let approved = code == Some(Code::APPROVED);
        match (kind, self.state) {
            (Kind::SignOn, LineState::SigningOn) if approved => {
                self.open(rim);
                Ok(())
            }
            (Kind::SignOn, LineState::SigningOn) => Err("the sign-on was refused"),
            _ => Ok(()),
        }
    }

    /// An idle line is asked; one that does not answer is no line.
    fn ask_for_life(&mut self, rim: &LineRim, around: &mut LineAround<'_>, jitter: u64) -> LineNeeds {
        let (now_us, idle_us) = (around.now.mono_us, micros(rim.link.echo_idle));
        if self.asked.is_some() && now_us >= self.due_us {
            around.counts.echo_lost += 1;
            self.fall("our echo test was not answered", rim, now_us, jitter);
            return LineNeeds::Close;
        }
        if idle_us > 0 && self.asked.is_none() && now_us.saturating_sub(self.last_heard_us) >= idle_us {
            self.due_us = now_us + NETWORK_TIMEOUT_US;
            self.send_network(Kind::Echo, rim, around);
        }
        LineNeeds::Nothing
    }

    fn send_network(&mut self, kind: Kind, rim: &LineRim, around: &mut LineAround<'_>) {
        let stan = self.next_stan;
        self.next_stan = stan_after(stan);
        let to = Towards::line(rim, around.rim, around.keys, around.now);
        if write_network(kind, stan, &to, self.out.tail()) {
            self.asked = Some((stan, kind));
        }
    }

    /// Down, with the next attempt after a doubled and jittered wait. One line of the log for an outage, however often
    /// it is tried meanwhile.
    pub fn fall(&mut self, why: &str, rim: &LineRim, now_us: u64, jitter: u64) {
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 {
            tracing::warn!(participant = rim.name, line = self.id.0, address = %rim.address, why, "line closed");
        }
        let first = micros(rim.link.reconnect_first).max(1);
        let wait = first
            .saturating_mul(1 << self.failures.saturating_sub(1).min(16))
            .min(micros(rim.link.reconnect_max));
        // Between half of the wait and all of it.
        self.due_us = now_us + wait / 2 + jitter % (wait / 2 + 1);
        self.state = LineState::Down;
        self.input = InBuf::default();
        self.own_requests = 0;
        self.asked = None;
        self.keyed();
    }
}

/// The facts of an answer; None when it has no F11 to match by.
fn answer(message: &Message<'_>, line: LineId, rim: &LineRim, tokens: &Tokenizer) -> Option<Answer> {
    let small = |n| message.number(n).and_then(|number| u32::try_from(number).ok());
    let mut record = FieldSet::new();
    message.collect(&RECORD, &mut record);
    let code = message.digits::<2>(39).and_then(|text| Code::parse(std::str::from_utf8(&text).ok()?));
    Some(Answer {
        participant: rim.participant,
        line,
        mti: message.mti(),
        stan: small(11)?,
        sent_at: small(7),
        terminal: message.digits::<8>(41),
        rrn: message.digits::<12>(37),
        code,
        amount: message.number(4),
        currency: small(49).map(|code| Currency(code as u16)),
        settled: small(15).and_then(|date| u16::try_from(date).ok()).filter(|date| *date != 0),
        card: message.pan().filter(|_| message.has(2)).map(|pan| CardToken(tokens.token(pan.digits()))),
        record,
    })
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The next F11 of a line's own sign-ons and echo tests; those of key offers are others, so that no answer is taken for
/// one to the other.
fn stan_after(stan: u32) -> u32 {
    if stan + 1 < *OFFER_STANS.start() { stan + 1 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_line_asks_and_what_is_offered_never_share_a_number() {
        assert_eq!((stan_after(1), stan_after(899_998), stan_after(899_999)), (2, 899_999, 1));
        assert!([1, 899_999].iter().all(|stan| !OFFER_STANS.contains(stan)));
    }
}
