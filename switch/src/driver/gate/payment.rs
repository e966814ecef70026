//! Payments of a gateway: a record of fields by number becomes a message of the listener's dialect and goes the way of any
//! other; the answer comes back as a record.

use super::taps::made_ms;
use super::{Driver, Gate};
use crate::core::Bound;
use crate::core::effect::{Event, Reply, Request};
use crate::core::ids::{BusinessDate, MsgHandle, Now, Peer, SessionId};
use crate::core::reference::Reference;
use crate::driver::facts::facts;
use crate::driver::messages::{NotHeld, Proof};
use yika_codec::gate::{
    ErrorCode, Fault, Fields, Message, Payment, RawRecord, Record, Transaction, TransactionAnswer,
};
use yika_codec::{Code, Draft, FieldSet, Mti};
use yika_keystore::{Authentic, Sha256};

/// The outcome is known; or nobody can say yet and the gateway asks again.
const FINAL: u8 = 0;
const IN_DOUBT: (u8, Code) = (1, Code::new(*b"96"));

impl Driver {
    pub(super) fn gate_payment(
        &mut self,
        id: SessionId,
        gate: &mut Gate,
        correlation: u32,
        proof: Authentic<()>,
        transaction: &Transaction<'_>,
        now: Now,
    ) {
        let refused = match Record::decode(transaction.record) {
            Ok(Record::Payment(payment)) => match self.hold_payment(id, &payment, now) {
                Ok(mut request) => {
                    // Unlike a time of a message it has a year.
                    request.facts.made_ms = Some(made_ms(payment.head.time));
                    request.reference = Some(self.reference_of(gate, &payment, transaction.record));
                    gate.asked.insert(request.msg, correlation);
                    if let Some(Some(session)) = self.sessions.get_mut(id.slot as usize) {
                        session.inflight += 1;
                    }
                    self.requests.push_back(Event::Request(proof.map(|()| request)));
                    return;
                }
                Err(code) => code,
            },
            Ok(_) => {
                gate.records_answered += 1;
                let fault = Fault::of(ErrorCode::Family, false);
                return self.gate_fault(id, gate, correlation, fault, now);
            }
            Err(error) => {
                gate.records_answered += 1;
                return self.gate_fault(
                    id,
                    gate,
                    correlation,
                    Fault::unreadable(&error, Transaction::RECORD_AT),
                    now,
                );
            }
        };
        gate.records_answered += 1;
        let outcome = refused.map_or(IN_DOUBT, |code| (FINAL, code));
        self.say_outcome(id, gate, correlation, outcome, (&FieldSet::new(), None), now);
    }

    /// What the gateway calls this payment, and the record it calls so.
    fn reference_of(&self, gate: &Gate, payment: &Payment<'_>, record: RawRecord<'_>) -> Reference {
        let (durable, participant) = (&self.core.durable, gate.gateway.participant);
        let key = durable.keyed(b'F', participant, &[&payment.head.reference]);
        Reference { key, print: durable.keyed(b'N', participant, &[&Sha256::of(record.bytes())]).0 }
    }

    /// The live message of a payment. Err: the code to refuse it with; None where nothing can be remembered of it.
    fn hold_payment(
        &mut self,
        id: SessionId,
        payment: &Payment<'_>,
        now: Now,
    ) -> Result<Request, Option<Code>> {
        let no = self.session(id).map(|session| session.listener).ok_or(None)?;
        let listener = self.rim.listener(no).ok_or(None)?;
        let codes = listener.dialect.codes();
        let format = Some(codes.format);
        let mti = Mti::from_bcd(u16::from_be_bytes(payment.message_kind)).ok_or(format)?;
        if !mti.is_request() || mti.class() & 0xF == 0x8 {
            return Err(Some(codes.unsupported));
        }
        let mut draft = Draft::new(mti);
        let mac = listener.dialect.mac_field();
        for (n, value) in payment.fields.iter().filter(|(n, _)| *n != mac && *n != 64) {
            draft.set(n, value);
        }
        let mut payload = Vec::new();
        if let Err(error) = listener.dialect.encode(&draft, &mut payload) {
            tracing::debug!(session = id.slot, %error, "a gateway's payment cannot be a message");
            return Err(format);
        }
        let held = self.messages.hold(&listener.dialect, no, now.mono_us, &payload);
        zeroize::Zeroize::zeroize(&mut payload);
        let msg = match held {
            Ok(msg) => msg,
            Err(NotHeld::Full) => {
                self.counts.sessions.no_memory += 1;
                self.counts.sessions.reached.note(Bound::MessageMemory);
                return Err(None);
            }
            Err(NotHeld::Undecodable(_)) => return Err(format),
        };
        self.messages.note(msg, Proof::default());
        match self.payment_request(id, msg, now) {
            Ok(request) => Ok(request),
            Err(code) => {
                self.messages.forget(msg);
                self.counts.sessions.unfit += 1;
                Err(Some(code))
            }
        }
    }

    fn payment_request(&self, id: SessionId, msg: MsgHandle, now: Now) -> Result<Request, Code> {
        let no = self.messages.listener(msg).unwrap_or_default();
        let (Some(message), Some(listener)) = (self.messages.view(msg), self.rim.listener(no)) else {
            return Err(Code::new(*b"96"));
        };
        let zone = self.rim.zone_minutes;
        let read = facts(&message, listener, no, now.wall_ms, zone, &self.tokens).map_err(|unfit| unfit.code);
        let (facts, custody) = read?;
        let known = listener.terminals.as_ref().is_none_or(|known| known.knows(&facts.terminal));
        if facts.names_terminal() && !known {
            return Err(listener.dialect.codes().terminal);
        }
        Ok(Request {
            peer: Peer::Session(id),
            msg,
            facts,
            custody,
            signed_on: true,
            proven: true,
            reference: None,
            sign_in: None,
        })
    }

    /// The answer to a payment of a gateway.
    pub(in crate::driver) fn gate_reply(&mut self, id: SessionId, reply: &Reply, now: Now) {
        let Some(mut gate) = self.take_gate(id) else { return };
        if let Some(correlation) = gate.asked.remove(&reply.msg) {
            gate.records_answered += 1;
            let mut record = reply.record.clone();
            if let Some(minor) = reply.amount {
                record.set(4, &yika_codec::digits::<12>(minor));
            }
            // The code has a place of its own.
            record.remove(39);
            self.counts.replies += 1;
            self.say_outcome(id, &mut gate, correlation, (FINAL, reply.code), (&record, reply.date), now);
        }
        self.put_gate_after(id, gate, now);
    }

    /// A payment of a gateway that gets no answer of its own: it may ask again.
    pub(in crate::driver) fn gate_forgets(&mut self, id: SessionId, msg: MsgHandle, now: Now) {
        let Some(mut gate) = self.take_gate(id) else { return };
        if let Some(correlation) = gate.asked.remove(&msg) {
            gate.records_answered += 1;
            self.say_outcome(id, &mut gate, correlation, IN_DOUBT, (&FieldSet::new(), None), now);
        }
        self.put_gate_after(id, gate, now);
    }

    /// A payment whose reference names another one is refused; nothing became of it.
    pub(in crate::driver) fn gate_reference_taken(&mut self, now: Now, peer: Peer, msg: MsgHandle) {
        if let Peer::Session(id) = peer
            && let Some(mut gate) = self.take_gate(id)
        {
            if let Some(correlation) = gate.asked.remove(&msg) {
                gate.records_answered += 1;
                let fault = Fault::of(ErrorCode::Reference, false);
                self.gate_fault(id, &mut gate, correlation, fault, now);
            }
            self.put_gate(id, gate);
        }
        self.forget(now, peer, msg);
    }

    fn say_outcome(
        &mut self,
        id: SessionId,
        gate: &mut Gate,
        correlation: u32,
        (state, code): (u8, Code),
        (record, date): (&FieldSet, Option<BusinessDate>),
        now: Now,
    ) {
        let mut bytes = Vec::new();
        for (n, value) in record.iter().filter(|(n, _)| *n <= 128) {
            Fields::push(n, value, &mut bytes);
        }
        // They ascend, as they must.
        let fields = Fields::new(&bytes).unwrap_or(Fields::EMPTY);
        let said = TransactionAnswer {
            state,
            code: *code.bytes(),
            business_date: self.date(date.unwrap_or(self.core.durable.dates.current)),
            credits: gate.grant(),
            fields,
            settlement: None,
            shares: None,
            person: None,
            domains: None,
            line_state: None,
            text: None,
        };
        self.gate_say(id, gate, correlation, &Message::TransactionAnswer(said), now);
    }
}
