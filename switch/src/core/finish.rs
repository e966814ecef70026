//! Ends transactions: one outcome with everything that is owed from it, in one entry (P4), then the
//! answer to every copy that waits. Also starts legs. All families come through here.

use super::Core;
use super::admit::with_given_rrn;
use super::batch::Batch;
use super::counters::Refusal;
use super::durable::OpenTx;
use super::effect::{Body, Effect, Reply, Send, SendOf, Unsent};
use super::entry::{
    Entry, Identity, Intent, LegEnd, LegIntent, LegRole, LegState, Outcome, Owed, OwedKind, Reason, Silence,
    Step, Taken,
};
use super::ids::{BusinessDate, LegRef, Money, Now, ObligationId, ParticipantId, TxId};
use super::plan::{Allowed, End, LegResult, Next, next};
use super::table::AnswerKey;
use super::volatile::{Awaiting, LateWatch, Waiter};
use crate::planted::{Planted, planted};
use yika_codec::{Code, Codes, FieldSet, Kind};

/// What an originator is told.
pub(super) struct Told {
    pub(super) code: Code,
    /// F4, where it differs from what was asked.
    pub(super) amount: Option<u64>,
    pub(super) record: FieldSet,
    pub(super) date: Option<BusinessDate>,
}

impl From<Code> for Told {
    fn from(code: Code) -> Told {
        Told { code, amount: None, record: FieldSet::new(), date: None }
    }
}

impl Core {
    /// The leg under way of a transaction ended like this: go on, or end it.
    pub(super) fn leg_ended(
        &mut self,
        now: Now,
        batch: &mut Batch,
        leg: LegRef,
        result: LegResult,
        record: FieldSet,
    ) {
        let Some(tx) = self.durable.open.get(&leg.tx) else { return };
        if usize::from(leg.leg) + 1 != tx.intent.legs.len() {
            return;
        }
        let sent = &tx.intent.legs[usize::from(leg.leg)];
        let participant = self.settings.participant(sent.participant);
        let allowed = Allowed {
            partial: participant.is_some_and(|p| p.partial_approval) && !is_of_the_whole(tx.intent.kind),
            next_fits: self.next_fits(now, tx),
        };
        let (key, to) = (self.answer_key(sent.participant, &sent.identity), sent.participant);
        let verdict = next(tx, result, allowed);
        let silent = result == LegResult::Silent;
        if !silent {
            self.live.awaiting.take(&key);
        }
        self.leave_flight(to);
        match verdict {
            Next::Start { agreed, amount } => self.start_next(now, batch, leg, agreed, amount),
            // Only when no line could take it: what cannot be written, or came too late, is not for us to decide.
            Next::End(_) if result == LegResult::Unsent(Unsent::NoLine) && self.stands_in(leg.tx) => {
                self.stand_in(now, batch, leg.tx);
            }
            Next::End(end) => self.end(now, batch, leg.tx, end, record),
        }
    }

    /// Ends a transaction whose leg under way ended as `end` says.
    pub(super) fn end(&mut self, now: Now, batch: &mut Batch, tx: TxId, end: End, record: FieldSet) {
        let Some(open) = self.durable.open.get(&tx) else { return };
        let codes = self.codes_of(tx);
        let code = end.code.unwrap_or_else(|| code_for(end.reason, codes, open.intent.silence_code));
        let lies = planted(Planted::SilenceToldApproved) && end.reason == Reason::TimedOut;
        let code = if lies { Code::APPROVED } else { code };
        // A balance is approved over nothing: what stands is told by the reason, not by the amount.
        let stands = matches!(end.reason, Reason::Approved | Reason::Accepted);
        let mut ends = open.ends.clone();
        if let Some(last) = ends.last_mut() {
            *last = end.leg;
        }
        let mut id = ObligationId(self.durable.next_obligation);
        let mut owed = Vec::new();
        for (at, leg_end) in ends.iter_mut().enumerate() {
            let coupon = open.intent.legs[at].role == LegRole::CouponPlatform;
            if planted(Planted::CouponKept) && coupon && leg_end.state == LegState::Approved {
                continue;
            }
            if let Some(kind) = undo(leg_end, open.intent.legs[at].silence, stands) {
                owed.push(self.owed_for(now, open, at, kind, id));
                owed.last_mut().expect("pushed on the line above").stood =
                    (leg_end.state == LegState::Compensated && !planted(Planted::StoodForgotten))
                        .then_some(leg_end.agreed);
                id = ObligationId(id.0 + 1);
            }
        }
        ends.extend(never_started(&open.intent));
        self.spread_stans(&mut owed);
        let record = if end.approved > 0 { with_parts(record, open, &ends) } else { record };
        let record = with_given_rrn(record, &open.intent);
        let outcome = Outcome {
            tx,
            reason: end.reason,
            code,
            approved: end.approved,
            stand_in: false,
            legs: ends,
            answer: record,
            owed,
        };
        self.conclude(now, batch, outcome, None);
    }

    /// Records an outcome (with its intent, when both are one entry), watches its silent legs, queues what it
    /// owes, and answers every copy that waits.
    pub(super) fn conclude(&mut self, now: Now, batch: &mut Batch, outcome: Outcome, fresh: Option<Intent>) {
        let tx = outcome.tx;
        let (kind, asked, date, watches) = match (&fresh, self.durable.open.get(&tx)) {
            (Some(intent), _) => (intent.kind, intent.money.minor, intent.date, Vec::new()),
            (None, Some(open)) => {
                let (kind, money, date) = (open.intent.kind, open.intent.money, open.intent.date);
                let watches = self.late_watches(now, open, &outcome);
                self.leave_place(money.currency);
                (kind, money.minor, date, watches)
            }
            (None, None) => return,
        };
        self.counters.outcome(outcome.reason);
        let (code, approved) = (outcome.code, outcome.approved);
        let amount = (approved > 0 && approved != asked).then_some(approved);
        let owed: Vec<_> = outcome.owed.iter().map(|owed| (owed.id, owed.participant, owed.of)).collect();
        let unwritten = self.unwritten_legs(tx);
        for waiter in self.live.live.take(&tx).map(|live| live.waiters).into_iter().flatten() {
            let told = Told { code, amount, record: outcome.answer.clone(), date: Some(date) };
            self.reply(batch, waiter, kind, told);
        }
        let entry = match fresh {
            Some(intent) => Entry::Taken(Box::new(Taken { intent, outcome, reversal: None })),
            None => Entry::Outcome(Box::new(outcome)),
        };
        batch.record(&mut self.durable, entry);
        for watch in watches {
            self.watch_late(now, batch, watch);
        }
        for (id, participant, of) in owed {
            let wait = unwritten.contains(&of.leg).then_some(of);
            self.enqueue(now, id, participant, wait, 0);
        }
        self.pump_all(now, batch);
    }

    pub(super) fn reply(&mut self, batch: &mut Batch, to: Waiter, kind: Kind, told: impl Into<Told>) {
        let Told { code, amount, record, date } = told.into();
        batch.effect(Effect::Reply(Reply { peer: to.peer, msg: to.msg, kind, code, amount, record, date }));
    }

    /// A code without a transaction: no entry, and a repeat is a new attempt (rule 2).
    pub(super) fn refuse(&mut self, batch: &mut Batch, to: Waiter, kind: Kind, code: Code, why: Refusal) {
        self.counters.refusal(why);
        self.reply(batch, to, kind, code);
    }

    fn start_next(&mut self, now: Now, batch: &mut Batch, leg: LegRef, agreed: u64, amount: u64) {
        let Some(open) = self.durable.open.get(&leg.tx) else { return };
        let at = open.intent.legs.len();
        let planned = open.intent.later[at - 1].clone();
        let (kind, rrn) = (open.intent.kind, open.intent.rrn);
        let stood = LegEnd { state: LegState::Approved, agreed };
        let decline = |reason| End { reason, code: None, approved: 0, leg: stood };
        if !self.reachable(planned.participant) {
            self.end(now, batch, leg.tx, decline(Reason::IssuerDown), FieldSet::new());
            return;
        }
        let Some(identity) = self.identity(now, planned.participant, kind, rrn) else {
            self.end(now, batch, leg.tx, decline(Reason::Unsupported), FieldSet::new());
            return;
        };
        let next = LegIntent {
            role: planned.role,
            participant: planned.participant,
            identity,
            amount,
            silence: open.intent.legs[at - 1].silence,
            original: planned.original,
        };
        batch.record(
            &mut self.durable,
            Entry::Step(Box::new(Step { tx: leg.tx, leg: leg.leg, agreed, next })),
        );
        self.launch(now, batch, LegRef { tx: leg.tx, leg: at as u8 });
    }

    /// Awaits a leg's answer and lets its request go, unless it must queue behind an obligation (rule 8).
    pub(super) fn launch(&mut self, now: Now, batch: &mut Batch, leg: LegRef) {
        let Some(open) = self.durable.open.get(&leg.tx) else { return };
        let sent = &open.intent.legs[usize::from(leg.leg)];
        let Some(participant) = self.settings.participant(sent.participant) else { return };
        let due = now.mono_us + participant.timeout_us;
        let key = self.answer_key(sent.participant, &sent.identity);
        let to = sent.participant;
        self.live.awaiting.put(key, Awaiting::Leg(leg));
        *self.live.inflight.entry(to).or_insert(0) += 1;
        self.live.deadlines.entry(to).or_default().push_back((due, leg));
        self.emit_in_turn(now, batch, leg);
    }

    /// Lets a leg's request go, or queues it behind what is owed from the payment it builds on, or from the last
    /// that did so before it (rule 8).
    pub(super) fn emit_in_turn(&mut self, now: Now, batch: &mut Batch, leg: LegRef) {
        let Some(open) = self.durable.open.get(&leg.tx) else { return };
        let original = open.intent.target.and_then(|no| self.durable.original(no));
        let before = original.map(|held| [Some(held.tx), held.last_on_it]).unwrap_or_default();
        match before.into_iter().flatten().find(|tx| self.durable.owing.has(tx)) {
            Some(tx) => self.queue_behind(tx, leg),
            None => self.emit(now, batch, leg),
        }
    }

    /// Those that timed out while they waited make room.
    fn queue_behind(&mut self, tx: TxId, leg: LegRef) {
        let mut waiting = self.live.behind.remove(&tx).unwrap_or_default();
        waiting.retain(|other| self.under_way(*other));
        waiting.push(leg);
        self.live.behind.insert(tx, waiting);
    }

    pub(super) fn emit(&mut self, now: Now, batch: &mut Batch, leg: LegRef) {
        let Some(open) = self.durable.open.get(&leg.tx) else { return };
        let Some(live) = self.live.live.get_mut(&leg.tx) else { return };
        let Some(first) = live.waiters.first() else { return };
        live.emitted |= 1 << leg.leg;
        let sent = &open.intent.legs[usize::from(leg.leg)];
        let timeout_us = self.settings.participant(sent.participant).map_or(0, |p| p.timeout_us);
        batch.effect(Effect::Send(Box::new(Send {
            of: SendOf::Leg(leg),
            participant: sent.participant,
            kind: open.intent.kind,
            owed: None,
            identity: sent.identity,
            repeat: false,
            money: Money { minor: sent.amount, ..open.intent.money },
            original: sent.original,
            body: Body::Live(first.msg),
            not_after_us: now.mono_us + timeout_us,
        })));
    }

    /// Legs of a transaction whose bytes are not known to have reached the kernel.
    fn unwritten_legs(&self, tx: TxId) -> Vec<u8> {
        let Some(live) = self.live.live.get(&tx) else { return Vec::new() };
        (0..8).filter(|leg| live.emitted & !live.written & 1 << leg != 0).collect()
    }

    fn late_watches(&self, now: Now, open: &OpenTx, outcome: &Outcome) -> Vec<(AnswerKey, LateWatch)> {
        let silent = outcome.legs.iter().enumerate().filter(|(_, end)| end.state == LegState::Unknown);
        let watches = silent.map(|(at, _)| {
            let leg = &open.intent.legs[at];
            let watch = LateWatch {
                leg: LegRef { tx: outcome.tx, leg: at as u8 },
                participant: leg.participant,
                ended_us: now.mono_us,
                kind: open.intent.kind,
                date: open.intent.date,
                money: Money { minor: leg.amount, ..open.intent.money },
                terminal: open.intent.terminal,
                rrn: leg.identity.rrn,
                card: open.intent.card,
                owed: outcome.owed.iter().find(|owed| usize::from(owed.of.leg) == at).map(|owed| owed.id),
            };
            (self.answer_key(leg.participant, &leg.identity), watch)
        });
        watches.collect()
    }

    /// The obligation that a leg turns into. Its F11 is set by `spread_stans`.
    fn owed_for(&self, now: Now, open: &OpenTx, at: usize, kind: OwedKind, id: ObligationId) -> Owed {
        let leg = &open.intent.legs[at];
        let identity = match kind {
            OwedKind::Repeat => leg.identity,
            OwedKind::Reverse | OwedKind::Advice => {
                self.owed_identity(now, leg.participant, kind, open.intent.kind, leg.identity.rrn)
            }
        };
        Owed {
            id,
            kind,
            participant: leg.participant,
            of: LegRef { tx: open.intent.tx, leg: at as u8 },
            tx_kind: open.intent.kind,
            card: open.intent.card,
            identity,
            original: (kind == OwedKind::Reverse).then_some(leg.identity).or(leg.original),
            terminal: open.intent.terminal,
            money: Money { minor: leg.amount, ..open.intent.money },
            date: open.intent.date,
            stood: None,
            original_ms: open.wall_ms,
            custody: open.intent.custody.clone(),
        }
    }

    /// Gives each new obligation of one entry an F11 of its own.
    pub(super) fn spread_stans(&self, owed: &mut [Owed]) {
        let mut given: Vec<(ParticipantId, u32)> = Vec::new();
        for one in owed.iter_mut().filter(|one| one.kind != OwedKind::Repeat) {
            let mut stan = one.identity.stan;
            while given.contains(&(one.participant, stan)) {
                stan = next_stan(stan);
            }
            given.push((one.participant, stan));
            one.identity = Identity { stan, ..one.identity };
        }
    }

    fn next_fits(&self, now: Now, tx: &OpenTx) -> bool {
        let Some(later) = tx.intent.later.get(tx.intent.legs.len() - 1) else { return true };
        let timeout_us = self.settings.participant(later.participant).map_or(0, |p| p.timeout_us);
        self.live.live.get(&tx.intent.tx).is_some_and(|live| now.mono_us + timeout_us <= live.deadline_us)
    }

    pub(super) fn codes_of(&self, tx: TxId) -> Option<&Codes> {
        let listener = self.live.live.get(&tx)?.listener;
        Some(&self.settings.listener(listener)?.codes)
    }
}

/// The legs of a plan that did not come to their turn.
pub(super) fn never_started(intent: &Intent) -> impl Iterator<Item = LegEnd> + use<> {
    let started = intent.legs.len();
    (started..intent.later.len() + 1).map(|_| LegEnd { state: LegState::Planned, agreed: 0 })
}

/// Voids and cancels take the whole back (rule 6): a part would leave a rest that nothing can give back.
fn is_of_the_whole(kind: Kind) -> bool {
    matches!(kind, Kind::Void | Kind::CompletionCancel | Kind::PreAuthCancel)
}

/// What a leg that ended like this turns into, given how the transaction ends: nothing is owed, or an
/// obligation. Compensation and reversal go into the same entry, so that no leg is undone alone (rule 17).
fn undo(end: &mut LegEnd, silence: Silence, stands: bool) -> Option<OwedKind> {
    match end.state {
        LegState::Sent if planted(Planted::SilenceOwesNothing) => {
            end.state = LegState::Unknown;
            None
        }
        LegState::Approved if !stands => {
            end.state = LegState::Compensated;
            Some(OwedKind::Reverse)
        }
        LegState::Sent => {
            end.state = LegState::Unknown;
            match silence {
                Silence::Nothing => None,
                Silence::Repeat if stands => Some(OwedKind::Repeat),
                Silence::Repeat | Silence::Reverse => Some(OwedKind::Reverse),
            }
        }
        _ => None,
    }
}

/// The code of a reason in the originator's table (rule 12); after a crash there is no table, and the
/// intent's own code for silence is told.
pub(super) fn code_for(reason: Reason, codes: Option<&Codes>, silence: Code) -> Code {
    let Some(codes) = codes else { return silence };
    match reason {
        Reason::Approved | Reason::StandIn | Reason::Accepted => Code::APPROVED,
        Reason::TimedOut | Reason::InDoubt | Reason::Declined => codes.no_answer,
        Reason::Reversed => codes.reversed_before,
        Reason::NoRoute => codes.no_route,
        Reason::IssuerDown | Reason::StandInLimit => codes.issuer_down,
        Reason::NotAllowed => codes.invalid,
        Reason::OriginalNotFound => codes.original_not_found,
        Reason::AmountMismatch => codes.original_amount,
        Reason::Busy => codes.duplicate,
        Reason::PinFault => codes.pin,
        Reason::PartialNotAllowed | Reason::Coupon => codes.funds_partial,
        Reason::BadAmount => codes.amount,
        Reason::BadCurrency => codes.currency,
        Reason::Unsupported => codes.unsupported,
    }
}

/// The next F11: 1 to 999999, then again.
pub(super) fn next_stan(stan: u32) -> u32 {
    if stan >= 999_999 { 1 } else { stan + 1 }
}

/// F54 of a payment in two parts (rule 18): account 00, amount type CP or BK, currency, D, twelve digits.
fn with_parts(mut record: FieldSet, open: &OpenTx, ends: &[LegEnd]) -> FieldSet {
    if open.intent.legs.first().is_none_or(|leg| leg.role != LegRole::CouponPlatform) {
        return record;
    }
    let granted = ends.first().map_or(0, |end| end.agreed);
    let rest = open.intent.money.minor.saturating_sub(granted);
    let currency = open.intent.money.currency.0;
    let parts = format!("00CP{currency:03}D{granted:012}00BK{currency:03}D{rest:012}");
    record.set(54, parts.as_bytes());
    record
}
