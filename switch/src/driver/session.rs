//! One accepted connection, as a pure machine: bytes in, events and bytes out. It frames, decodes, checks
//! the MAC, and answers by itself only what never becomes a transaction. It never decides about money. Which
//! terminals are signed on is durable and the core's; only the sign-on of the connection itself, and one that did not
//! prove who sent it, lives and ends here (rule 15).

use super::buffer::{InBuf, OutBuf};
use super::facts::facts;
use super::gate::Gate;
use super::messages::{Messages, NotHeld, Proof};
use super::rim::{Epochs, Keys, ListenerRim, Rim, terminal_of};
use super::sign_in;
use super::wire::{Scratch, Towards, write_format_error, write_refusal};
use crate::core::effect::{Event, Request};
use crate::core::entry::{KeyUse, ServedBy, SignedIn};
use crate::core::facts::Facts;
use crate::core::ids::{ListenerNo, MsgHandle, Now, ParticipantId, Peer, SessionId};
use crate::core::{Bound, Reached};
use yika_codec::{Code, Kind, Layout, Message};
use yika_keystore::{Authentic, MacKey, Tokenizer, Waiver, waive};

pub struct Session {
    pub id: SessionId,
    pub listener: ListenerNo,
    pub input: InBuf,
    pub out: OutBuf,
    /// Requests that wait for their answer.
    pub inflight: usize,
    pub last_heard_us: u64,
    own: Own,
    /// A message just came under a key that was only offered.
    took_offer: bool,
    /// A terminal that just used the keys of its last sign-in for the first time.
    uses: Option<[u8; 8]>,
    /// What a message just came under, when that is not the key in force.
    served: Option<ServedBy>,
    /// Frames in a row that could not be decoded.
    garbage: u32,
    pub closing: bool,
    /// Its end of the gateway protocol, where the listener speaks that.
    pub gate: Option<Box<Gate>>,
}

/// Undecodable frames in a row before a session is closed: a peer that speaks another dialect will not
/// learn ours.
const GARBAGE_MAX: u32 = 3;

/// What signed on for as long as the connection lives: all of it, by an 0800 without F41, or terminals whose acquirer has
/// a key and that did not use it.
#[derive(Default)]
struct Own {
    whole: bool,
    terminals: Vec<([u8; 8], [u8; 15])>,
}

/// Terminals that one connection signs on without a MAC: a gateway has more, and a key.
const OWN_MAX: usize = 64;

impl Own {
    /// Err: the code to refuse with. A sign-off outlives the connection: nobody else may say it for a terminal that has
    /// a key.
    fn note(&mut self, facts: &Facts, listener: &ListenerRim, proven: bool) -> Result<(), Code> {
        let codes = listener.dialect.codes();
        let on = match facts.kind {
            Kind::SignOn => true,
            Kind::SignOff => false,
            _ => return Ok(()),
        };
        if !facts.names_terminal() {
            self.whole = on;
            return Ok(());
        }
        let strict = listener.sign_on_required;
        match (on, proven) {
            (false, false) if strict => return Err(codes.mac),
            (false, _) => {
                let merchants = facts.merchants();
                self.terminals.retain(|(terminal, merchant)| {
                    *terminal != facts.terminal || !merchants.contains(merchant)
                });
            }
            (true, false) if strict && !self.covers(facts) => {
                if self.terminals.len() >= OWN_MAX {
                    return Err(codes.overload);
                }
                self.terminals.push((facts.terminal, facts.merchant));
            }
            (true, _) => {}
        }
        Ok(())
    }

    fn covers(&self, facts: &Facts) -> bool {
        let named = |(terminal, merchant): &([u8; 8], [u8; 15])| {
            *terminal == facts.terminal && facts.merchants().contains(merchant)
        };
        self.whole || self.terminals.iter().any(named)
    }
}

/// Why a session ended by our doing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Closed {
    ByPeer,
    Framing,
    Garbage,
    SlowReader,
    Idle,
    Drained,
    /// By the rules of the gateway protocol: the last frame says why.
    Gate,
}

/// Counts of what sessions refused by themselves.
#[derive(Clone, Copy, Default, Debug)]
pub struct SessionCounts {
    pub frames: u64,
    pub undecodable: u64,
    pub bad_mac: u64,
    pub unknown_terminals: u64,
    pub unfit: u64,
    pub no_memory: u64,
    pub reached: Reached,
}

/// What a session needs of its surroundings while it reads.
pub struct Around<'a> {
    pub rim: &'a Rim,
    pub keys: &'a Keys,
    pub tokens: &'a Tokenizer,
    pub messages: &'a mut Messages,
    pub scratch: &'a mut Scratch,
    pub counts: &'a mut SessionCounts,
    pub now: Now,
}

impl Session {
    pub fn new(id: SessionId, listener: ListenerNo, now: Now) -> Session {
        Session {
            id,
            listener,
            input: InBuf::default(),
            out: OutBuf::default(),
            inflight: 0,
            last_heard_us: now.mono_us,
            own: Own::default(),
            took_offer: false,
            uses: None,
            served: None,
            garbage: 0,
            closing: false,
            gate: None,
        }
    }

    /// Takes what was read.
    ///
    /// # Errors
    /// Why the session must be closed; requests already taken stay taken.
    pub fn handle_bytes(
        &mut self,
        bytes: &[u8],
        around: &mut Around<'_>,
        mut event: impl FnMut(Event),
    ) -> Result<(), Closed> {
        let Some(listener) = around.rim.listener(self.listener) else { return Err(Closed::Drained) };
        self.last_heard_us = around.now.mono_us;
        let mut input = std::mem::take(&mut self.input);
        let joined = input.join(bytes);
        let mut used = 0;
        let outcome = loop {
            match listener.framing.next(&joined[used..], around.rim.bounds.frame_bytes_max) {
                Ok(Some(span)) => {
                    let payload = &joined[used + span.start..used + span.end];
                    used += span.next;
                    // A length without a payload is a sign of life, where the framing has one.
                    if payload.is_empty() {
                        continue;
                    }
                    if let Err(closed) = self.handle_frame(payload, listener, around, &mut event) {
                        break Err(closed);
                    }
                }
                Ok(None) => break Ok(()),
                Err(_) => break Err(Closed::Framing),
            }
        };
        if outcome.is_ok() {
            input.keep(bytes, used);
            self.input = input;
        }
        outcome
    }

    fn handle_frame(
        &mut self,
        payload: &[u8],
        listener: &ListenerRim,
        around: &mut Around<'_>,
        event: &mut impl FnMut(Event),
    ) -> Result<(), Closed> {
        around.counts.frames += 1;
        let held = around.messages.hold(&listener.dialect, self.listener, around.now.mono_us, payload);
        let msg = match held {
            Ok(msg) => msg,
            Err(NotHeld::Full) => {
                // Nothing can be remembered about it, so nothing is said: a repeat is a new attempt.
                around.counts.no_memory += 1;
                around.counts.reached.note(Bound::MessageMemory);
                return Ok(());
            }
            Err(NotHeld::Undecodable(_)) => return self.undecodable(payload, listener, around),
        };
        self.garbage = 0;
        let admitted = self.admit(msg, listener, around);
        if std::mem::take(&mut self.took_offer) {
            event(took_offer(listener.participant));
        }
        if let Some(terminal) = self.uses.take() {
            event(sign_in::uses(listener, terminal));
        }
        if let Some(served) = self.served.take() {
            event(Event::ServedBy(served));
        }
        match admitted {
            Ok(request) => {
                self.inflight += 1;
                if self.inflight == around.rim.bounds.session_inflight_max {
                    // It is not read until an answer makes room.
                    around.counts.reached.note(Bound::SessionInflight);
                }
                event(Event::Request(request));
            }
            Err(Some(code)) => {
                self.refuse(msg, code, listener, around);
                around.messages.forget(msg);
            }
            Err(None) => around.messages.forget(msg),
        }
        Ok(())
    }

    /// MAC and facts. Err: the code to refuse with; None says nothing.
    fn admit(
        &mut self,
        msg: MsgHandle,
        listener: &ListenerRim,
        around: &mut Around<'_>,
    ) -> Result<Authentic<Request>, Option<Code>> {
        let Some(message) = around.messages.view(msg) else { return Err(None) };
        if !message.mti().is_request() || message.reject_code().is_some() {
            around.counts.unfit += 1;
            return Err(None);
        }
        let codes = listener.dialect.codes();
        let held = around.keys.at(listener, &message);
        let keyed = held.and_then(|keys| keys.mac.as_ref());
        let (proof, verified_under) = self.prove(&message, listener, keyed, around.counts, around.now)?;
        self.uses = self.uses.filter(|_| held.is_some_and(|keys| keys.unused));
        let read = facts(
            &message,
            listener,
            self.listener,
            around.now.wall_ms,
            around.rim.zone_minutes,
            around.tokens,
        );
        around.messages.note(msg, Proof { epoch: verified_under, attempt: 0 });
        let (facts, custody) = read.map_err(|unfit| {
            around.counts.unfit += 1;
            tracing::debug!(session = self.id.slot, code = %unfit.code, what = unfit.what, "request refused");
            Some(unfit.code)
        })?;
        let known = listener.terminals.as_ref().is_none_or(|known| known.knows(&facts.terminal));
        if facts.names_terminal() && !known {
            around.counts.unknown_terminals += 1;
            return Err(Some(codes.terminal));
        }
        let proven = keyed.is_none() || verified_under.is_some();
        if let Err(code) = self.own.note(&facts, listener, proven) {
            match code == codes.mac {
                true => around.counts.bad_mac += 1,
                false => around.counts.reached.note(Bound::Terminals),
            }
            return Err(Some(code));
        }
        let sign_in = self.sign_in(&facts, listener, around)?;
        // A key of its own says as much as a sign-on.
        let own_key = listener.sign_in.is_some() && verified_under.is_some();
        let (peer, signed_on) = (Peer::Session(self.id), own_key || self.own.covers(&facts));
        Ok(proof.map(|()| Request { peer, msg, facts, custody, signed_on, proven, reference: None, sign_in }))
    }

    /// Who sent it, as far as its MAC tells, and the number of the key that it was made with.
    fn prove(
        &mut self,
        message: &Message<'_>,
        listener: &ListenerRim,
        keyed: Option<&Epochs<MacKey>>,
        counts: &mut SessionCounts,
        now: Now,
    ) -> Result<(Authentic<()>, Option<u32>), Option<Code>> {
        let codes = listener.dialect.codes();
        let network = message.mti().class() == 0x08;
        let epochs = match keyed {
            // Without keys nobody can tell who it is: a sign-in gives some.
            None if listener.sign_in.is_some() && !network => {
                counts.unfit += 1;
                return Err(Some(codes.not_signed_on));
            }
            None => return Ok((waive(Waiver::NoMacKey, ()), None)),
            // Sign-on and echo come before and beside the keys.
            Some(_) if network && message.mac().is_none() => {
                return Ok((waive(Waiver::BeforeKeys, ()), None));
            }
            Some(epochs) => epochs,
        };
        let Some(Verified { proof, epoch, offered }) = verified(message, epochs, now.mono_us) else {
            counts.bad_mac += 1;
            return Err(Some(codes.mac));
        };
        self.took_offer |= offered;
        let own = listener.sign_in.is_some().then(|| terminal_of(message)).flatten();
        self.served = served_by(listener.participant, own, epochs, epoch, message);
        self.uses = own.filter(|_| epoch == epochs.epoch);
        Ok((proof, Some(epoch)))
    }

    /// The keys that a sign-in gives here. Err: the code to refuse with.
    fn sign_in(
        &mut self,
        facts: &Facts,
        listener: &ListenerRim,
        around: &mut Around<'_>,
    ) -> Result<Option<Box<SignedIn>>, Option<Code>> {
        let Some(sign_in) = listener.sign_in.as_ref().filter(|_| facts.kind == Kind::SignOn) else {
            return Ok(None);
        };
        sign_in::draw(around.keys, listener, sign_in, facts).map(Box::new).map(Some).map_err(|error| {
            around.counts.unknown_terminals += 1;
            tracing::debug!(session = self.id.slot, %error, "a sign-in without a key to answer it with");
            Some(listener.dialect.codes().terminal)
        })
    }

    fn refuse(&mut self, msg: MsgHandle, code: Code, listener: &ListenerRim, around: &mut Around<'_>) {
        let Some(message) = around.messages.view(msg) else { return };
        let epoch = around.messages.proof(msg).and_then(|proof| proof.epoch);
        let to = Towards::listener(listener, around.rim, around.keys, &message, around.now).answering(epoch);
        write_refusal(&message, code, &to, around.scratch, self.out.tail());
    }

    /// A format error goes back where the message can at least be addressed: a request's type could be read. What
    /// else was read before the fault says which request is meant.
    fn undecodable(
        &mut self,
        payload: &[u8],
        listener: &ListenerRim,
        around: &mut Around<'_>,
    ) -> Result<(), Closed> {
        around.counts.undecodable += 1;
        self.garbage += 1;
        let mut layout = Layout::default();
        // That it fails is known; the layout then holds the fields before the fault.
        let _ = listener.dialect.decode(payload, &mut layout);
        let message = listener.dialect.message(payload, &layout);
        if message.mti().class() != 0 && message.mti().is_request() {
            let code = listener.dialect.codes().format;
            let to = Towards::listener(listener, around.rim, around.keys, &message, around.now);
            write_format_error(&message, code, &to, around.scratch, self.out.tail());
        }
        if self.garbage >= GARBAGE_MAX { Err(Closed::Garbage) } else { Ok(()) }
    }
}

/// What the journal should know of a message whose MAC was made with another key than the one in force.
pub fn served_by(
    participant: ParticipantId,
    terminal: Option<[u8; 8]>,
    epochs: &Epochs<MacKey>,
    epoch: u32,
    message: &Message<'_>,
) -> Option<ServedBy> {
    if epoch == epochs.epoch {
        return None;
    }
    let stan = message.number(11).and_then(|stan| u32::try_from(stan).ok()).unwrap_or(0);
    let epoch = if terminal.is_some() { 0 } else { epoch };
    Some(ServedBy { participant, terminal, usage: KeyUse::Mac, epoch, stan })
}

/// A MAC under a key that was offered is as good an answer to the offer as any.
pub fn took_offer(participant: ParticipantId) -> Event {
    Event::OfferAnswered { participant, usage: KeyUse::Mac, code: Code::APPROVED }
}

/// A MAC that holds.
pub struct Verified {
    pub proof: Authentic<()>,
    /// The number of the key that it was made with.
    pub epoch: u32,
    /// It is one that was only offered: its receiver has taken it.
    pub offered: bool,
}

/// The MAC under the current key, under the one before while both are good, or under one that is offered.
pub fn verified(message: &Message<'_>, epochs: &Epochs<MacKey>, now_us: u64) -> Option<Verified> {
    let (input, mac) = (message.mac_input()?, message.mac()?);
    let under = |key: &MacKey, epoch, offered| {
        key.verify(input, &mac, ()).ok().map(|proof| Verified { proof, epoch, offered })
    };
    under(&epochs.current, epochs.epoch, false)
        .or_else(|| epochs.before(now_us).and_then(|before| under(&before.key, before.epoch, false)))
        .or_else(|| epochs.offered.as_ref().and_then(|key| under(key, epochs.epoch + 1, true)))
}
