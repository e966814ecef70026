//! Performs released effects: requests out on a line of their participant, answers to their sessions, keys
//! into use. Nothing here decides; what cannot be done goes back to the core as an event.

use super::buffer::Queued;
use super::line::{Line, OUT_BYTES_MAX};
use super::messages::{NotHeld, Proof};
use super::session::Closed;
use super::wire::{Scratch, Towards, write_reply, write_request};
use super::{Driver, Output};
use crate::config::Sharing;
use crate::core::Bound;
use crate::core::effect::{Alarm, Effect, Event, Reply, Request, Send, Unsent};
use crate::core::facts::{Facts, OriginalRef};
use crate::core::ids::{Currency, LineId, ListenerNo, MsgHandle, Now, ParticipantId, Peer};
use crate::journal::Released;
use yika_codec::{FieldSet, Kind, Message};
use yika_keystore::{EncryptedPin, Waiver, waive};

/// Requests of a participant's own (0800) on one line that wait for their answer.
const OWN_REQUESTS_MAX: u32 = 64;

impl Driver {
    pub(super) fn perform_released(&mut self, now: Now) {
        let mut released = std::mem::take(&mut self.released);
        self.journal.released(&mut released);
        for effect in released.drain(..) {
            self.perform(now, effect);
        }
        self.released = released;
    }

    fn perform(&mut self, now: Now, effect: Released<Effect>) {
        match effect.into_inner() {
            Effect::Send(send) => {
                if let Some(send) = self.ask_hsm(send) {
                    self.send(now, &send);
                }
            }
            Effect::Reply(reply) => self.reply(now, &reply),
            Effect::Fetch(seq) => self.outputs.push(Output::Fetch(seq)),
            Effect::Forget { peer, msg } => self.forget(now, peer, msg),
            Effect::ReferenceTaken { peer, msg } => self.gate_reference_taken(now, peer, msg),
            Effect::UseKey { participant, usage, epoch, block } => {
                self.use_key(participant, usage, epoch, &block, now);
                self.each_line(participant, Line::keyed);
            }
            Effect::UseTerminalKeys(signed_in) => self.use_terminal_keys(&signed_in, now),
            Effect::TerminalUses { acquirer, terminal } => {
                self.keys.terminal_uses(acquirer, terminal, now.mono_us);
            }
            Effect::OfferKey(offer) => self.offer_key(offer, now),
            Effect::Halted { participant, halted } => {
                self.each_line(participant, |line| line.halted = halted);
            }
            Effect::Gate(said) => self.gate_said(*said, now),
            Effect::Alarm(alarm) => self.tell(alarm, now),
            Effect::Done { ticket, refused } => self.outputs.push(Output::Done { ticket, refused }),
        }
    }

    pub(super) fn each_line(&mut self, participant: ParticipantId, work: impl Fn(&mut Line)) {
        let lines = self.groups.get(&participant).map(|group| group.lines.clone()).unwrap_or_default();
        for id in lines {
            work(&mut self.lines[id.0 as usize]);
            self.after_line(id);
        }
    }

    /// Writes a request to a line of its participant, or says why no byte of it left (rule 9).
    fn send(&mut self, now: Now, send: &Send) {
        if let Err(why) = self.try_send(now, send, None) {
            self.answers.push_back(Event::NotSent(send.of, why));
        }
    }

    /// `pin`: as the HSM gave it, for a request whose PIN was there.
    pub(super) fn try_send(
        &mut self,
        now: Now,
        send: &Send,
        pin: Option<EncryptedPin>,
    ) -> Result<(), Unsent> {
        if now.mono_us > send.not_after_us {
            return Err(Unsent::TooOld);
        }
        let id = self.choose_line(send.participant).ok_or(Unsent::NoLine)?;
        let rim = &self.rim.lines[id.0 as usize];
        let live = match &send.body {
            crate::core::effect::Body::Live(msg) => Some(*msg),
            crate::core::effect::Body::Kept(_) => None,
        };
        let from = live.and_then(|msg| self.messages.listener(msg)).and_then(|no| self.rim.listener(no));
        let to = Towards::line(rim, &self.rim, &self.keys, now);
        let line = &mut self.lines[id.0 as usize];
        let (was_empty, start) = (line.out.is_empty(), line.out.tail().len());
        let message = live.and_then(|msg| self.messages.view(msg));
        let from_keys = from.zip(message.as_ref()).and_then(|(at, message)| self.keys.at(at, message));
        write_request(send, message, (from_keys, pin), &to, &mut self.scratch, line.out.tail())?;
        line.out.mark(start, Queued { of: send.of, not_after_us: send.not_after_us });
        if was_empty {
            self.outputs.push(Output::LineOut(id));
        }
        Ok(())
    }

    /// Round the open lines, or the first of them.
    pub(super) fn choose_line(&mut self, participant: ParticipantId) -> Option<LineId> {
        let group = self.groups.get_mut(&participant)?;
        let primary = group
            .lines
            .first()
            .is_some_and(|line| self.rim.lines[line.0 as usize].link.sharing == Sharing::Primary);
        let first = if primary { 0 } else { group.next };
        let count = group.lines.len();
        let chosen = (0..count)
            .map(|step| (first + step) % count)
            .find(|at| self.lines[group.lines[*at].0 as usize].carries())?;
        group.next = chosen + 1;
        Some(group.lines[chosen])
    }

    fn reply(&mut self, now: Now, reply: &Reply) {
        match reply.peer {
            Peer::Session(_) => self.reply_to_session(now, reply),
            Peer::Line(line) => self.reply_to_line(now, line, reply),
        }
        self.messages.forget(reply.msg);
    }

    fn reply_to_session(&mut self, now: Now, reply: &Reply) {
        let Peer::Session(id) = reply.peer else { return };
        if let Some(arrived) = self.messages.arrived_us(reply.msg) {
            self.latency.record(now.mono_us.saturating_sub(arrived));
        }
        let Some(Some(session)) = self.sessions.get_mut(id.slot as usize) else {
            self.counts.replies_to_nobody += 1;
            return;
        };
        let (Some(message), true) = (self.messages.view(reply.msg), session.id == id) else {
            self.counts.replies_to_nobody += 1;
            return;
        };
        session.inflight = session.inflight.saturating_sub(1);
        if session.gate.is_some() {
            return self.gate_reply(id, reply, now);
        }
        let Some(listener) = self.rim.listener(session.listener) else { return };
        let epoch = self.messages.proof(reply.msg).and_then(|proof| proof.epoch);
        let to = Towards::listener(listener, &self.rim, &self.keys, &message, now).answering(epoch);
        let was_empty = session.out.is_empty();
        let out = session.out.tail();
        if write_reply(reply, &message, &to, &mut self.scratch, out)
            || write_bare_reply(reply, &message, &to, &mut self.scratch, out)
        {
            self.counts.replies += 1;
        } else {
            self.counts.replies_unwritable += 1;
        }
        let too_much = session.out.unread() > self.rim.bounds.out_bytes_max;
        if was_empty {
            self.outputs.push(Output::SessionOut(id));
        }
        if too_much {
            self.close_session(id, Closed::SlowReader);
        }
    }

    /// An answer to a participant's own request goes out on the connection that the request came on, or nowhere.
    fn reply_to_line(&mut self, now: Now, id: LineId, reply: &Reply) {
        let (Some(rim), Some(line)) = (self.rim.lines.get(id.0 as usize), self.lines.get_mut(id.0 as usize))
        else {
            return;
        };
        let (Some(message), Some(proof)) = (self.messages.view(reply.msg), self.messages.proof(reply.msg))
        else {
            return;
        };
        line.own_requests = line.own_requests.saturating_sub(1);
        if !line.is_up() || line.attempt != proof.attempt {
            self.counts.replies_to_nobody += 1;
            return;
        }
        let to = Towards::line(rim, &self.rim, &self.keys, now).answering(proof.epoch);
        if write_reply(reply, &message, &to, &mut self.scratch, line.out.tail()) {
            self.outputs.push(Output::LineOut(id));
        } else {
            self.counts.replies_unwritable += 1;
        }
        if line.out.len() > OUT_BYTES_MAX + self.rim.bounds.out_bytes_max {
            self.counts.lines.closed_slow += 1;
            self.drop_line(id, "it sends requests and does not read the answers", now);
        }
    }

    pub(super) fn forget(&mut self, now: Now, peer: Peer, msg: MsgHandle) {
        if let Peer::Line(id) = peer {
            self.let_request_go(id);
        }
        if let Peer::Session(id) = peer
            && let Some(Some(session)) = self.sessions.get_mut(id.slot as usize)
            && session.id == id
        {
            session.inflight = session.inflight.saturating_sub(1);
            // A paused session may be read again.
            self.outputs.push(Output::SessionOut(id));
            self.gate_forgets(id, msg, now);
        }
        self.messages.forget(msg);
    }

    /// A participant's own request: network management only.
    pub(super) fn line_request(&mut self, id: LineId, payload: &[u8], proof: Proof, now: Now) {
        let Some(rim) = self.rim.lines.get(id.0 as usize).cloned() else { return };
        let Some(line) = self.lines.get_mut(id.0 as usize) else { return };
        if line.own_requests >= OWN_REQUESTS_MAX {
            // Not answered, as if it had been lost: whoever means it sends it again.
            self.counts.lines.unexpected += 1;
            return;
        }
        line.own_requests += 1;
        let held = self.messages.hold(&rim.link.dialect, rim.listener, now.mono_us, payload);
        let msg = match held {
            Ok(msg) => msg,
            Err(NotHeld::Full) => {
                self.let_request_go(id);
                return self.counts.sessions.reached.note(Bound::MessageMemory);
            }
            Err(NotHeld::Undecodable(_)) => return self.let_request_go(id),
        };
        self.messages.note(msg, proof);
        let Some(message) = self.messages.view(msg) else { return };
        let kind = message.kind().filter(|_| message.mti().class() == 0x08);
        let Some(kind) = kind else {
            self.counts.lines.unexpected += 1;
            self.let_request_go(id);
            return self.messages.forget(msg);
        };
        let peer = Peer::Line(id);
        if self.needs_mac(kind, rim.participant, proof) {
            self.counts.lines.bad_mac += 1;
            let code = rim.link.dialect.codes().mac;
            let reply = Reply { peer, msg, kind, code, amount: None, record: FieldSet::new(), date: None };
            return self.reply(now, &reply);
        }
        let event = if kind == Kind::KeyChange {
            match self.unwrap_key(&rim, &message) {
                Ok(came) => Event::KeyChange { peer, msg, came },
                Err((code, why)) => {
                    self.tell_key_refused(rim.participant, &why, now);
                    let reply =
                        Reply { peer, msg, kind, code, amount: None, record: FieldSet::new(), date: None };
                    return self.reply(now, &reply);
                }
            }
        } else {
            let facts = network_facts(kind, &message, rim.participant, rim.listener);
            let request = Request {
                peer,
                msg,
                facts,
                custody: FieldSet::new(),
                signed_on: false,
                proven: true,
                reference: None,
                sign_in: None,
            };
            Event::Request(waive(Waiver::BeforeKeys, request))
        };
        self.answers.push_back(event);
    }

    /// One of a line's own requests needs no answer any more.
    fn let_request_go(&mut self, id: LineId) {
        if let Some(line) = self.lines.get_mut(id.0 as usize) {
            line.own_requests = line.own_requests.saturating_sub(1);
        }
    }

    /// A slow bank answers late by the hundred: one alarm a minute says it, and the metric counts them all.
    fn tell(&mut self, alarm: Alarm, now: Now) {
        let alarm = match alarm {
            Alarm::LateApproval { of, participant, late_ms, .. } => {
                let Some(held_back) = self.late_approvals.may_tell(participant, now.mono_us) else { return };
                Alarm::LateApproval { of, participant, late_ms, held_back }
            }
            Alarm::KeyClash { participant, why, .. } => {
                let Some(held_back) = self.keys_refused.may_tell(participant, now.mono_us) else { return };
                Alarm::KeyClash { participant, why, held_back }
            }
            other => other,
        };
        self.outputs.push(Output::Alarm(alarm));
    }
}

/// The same answer with nothing but F37 and F38: for a record that the originator's dialect cannot hold.
fn write_bare_reply(
    reply: &Reply,
    request: &Message<'_>,
    to: &Towards<'_>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> bool {
    let mut record = FieldSet::new();
    for n in [37, 38] {
        if let Some(value) = reply.record.get(n) {
            record.set(n, value);
        }
    }
    let bare = Reply { record, ..*reply };
    write_reply(&bare, request, to, scratch, out)
}

fn network_facts(
    kind: Kind,
    message: &Message<'_>,
    participant: ParticipantId,
    listener: ListenerNo,
) -> Facts {
    let small = |n| message.number(n).and_then(|number| u32::try_from(number).ok());
    Facts {
        kind,
        mti: message.mti(),
        listener,
        acquirer: participant,
        terminal: [b' '; 8],
        merchant: [b' '; 15],
        stan: small(11).unwrap_or(0),
        sent_at: small(7),
        local_at: None,
        made_ms: None,
        rrn: None,
        batch: None,
        card: None,
        amount: 0,
        currency: Currency(0),
        processing: [b'0'; 6],
        has_pin: false,
        original: OriginalRef::default(),
        coupon: None,
        replacement: false,
    }
}
