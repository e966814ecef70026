//! Store and forward: obligations on their way out (P5, rules 7, 8). What is owed is durable; this is who
//! goes next, how often it was tried and when it is due again. Per participant a window of cards; per card
//! one obligation at a time, in the order they arose.

use super::Core;
use super::answer::approves;
use super::batch::Batch;
use super::counters::Bound;
use super::effect::{Alarm, Body, Effect, Send, SendOf, Unsent};
use super::entry::{Discharge, Entry, Identity, OwedKind};
use super::ids::{CardToken, LegRef, Now, ObligationId, ParticipantId, TxId};
use super::settings::ParticipantSettings;
use super::table::AnswerKey;
use super::volatile::{Awaiting, Room};
use crate::planted::{Planted, planted};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use yika_codec::{Code, Kind};

/// Refusals that no retry will mend, before an operator is asked.
const REFUSALS_MAX: u8 = 3;

#[derive(Default)]
pub(crate) struct SafQueue {
    /// Obligations of each card in order; only the first may go. One without a card queues by itself.
    lanes: BTreeMap<Lane, VecDeque<ObligationId>>,
    /// First obligations of their lanes, by when they may go.
    due: BTreeSet<(u64, ObligationId)>,
    /// Sent, with the moment their answer is overdue.
    out: BTreeMap<ObligationId, u64>,
    tries: BTreeMap<ObligationId, Tries>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Card(CardToken),
    Alone(ObligationId),
}

#[derive(Clone, Copy, Default)]
struct Tries {
    sent: u32,
    refused: u8,
    /// Its place in `due`, while it has one.
    due_us: Option<u64>,
}

impl SafQueue {
    /// How many are sent and not answered.
    pub(super) fn out(&self) -> usize {
        self.out.len()
    }

    /// Lets an obligation go at this moment; it stands in the queue once.
    fn schedule(&mut self, id: ObligationId, at_us: u64) {
        self.unschedule(id);
        self.tries.entry(id).or_default().due_us = Some(at_us);
        self.due.insert((at_us, id));
    }

    fn unschedule(&mut self, id: ObligationId) {
        if let Some(at_us) = self.tries.get_mut(&id).and_then(|tries| tries.due_us.take()) {
            self.due.remove(&(at_us, id));
        }
    }
}

/// The kind of message an obligation is sent as.
pub(super) fn sends_as(owed: OwedKind, tx_kind: Kind) -> Kind {
    match (owed, tx_kind) {
        (OwedKind::Reverse, _) => Kind::Reversal,
        (OwedKind::Repeat, kind) => kind,
        (OwedKind::Advice, Kind::Authorization | Kind::PreAuthorization | Kind::AuthorizationAdvice) => {
            Kind::AuthorizationAdvice
        }
        (OwedKind::Advice, Kind::Completion | Kind::CompletionAdvice) => Kind::CompletionAdvice,
        (OwedKind::Advice, _) => Kind::PurchaseAdvice,
    }
}

impl Core {
    /// Queues an open obligation. `wait` holds it until that leg is written or not; `sent` counts attempts
    /// that an earlier life of the process may have made.
    pub(super) fn enqueue(
        &mut self,
        now: Now,
        id: ObligationId,
        participant: ParticipantId,
        wait: Option<LegRef>,
        sent: u32,
    ) {
        let Some(held) = self.durable.obligations.get(&id) else { return };
        let lane = lane(held.owed.card, id);
        let queue = self.live.saf.entry(participant).or_default();
        queue.tries.insert(id, Tries { sent, ..Tries::default() });
        let waiting = queue.lanes.entry(lane).or_default();
        waiting.push_back(id);
        let first = waiting.len() == 1;
        match wait {
            Some(leg) => {
                self.live.unwritten.insert(leg, id);
            }
            None if first => {
                queue.schedule(id, now.mono_us);
            }
            None => {}
        }
    }

    /// The leg an obligation waited for is written: it may go when it is first of its lane.
    pub(super) fn release_obligation(&mut self, now: Now, batch: &mut Batch, id: ObligationId) {
        let Some(held) = self.durable.obligations.get(&id) else { return };
        let (participant, lane) = (held.owed.participant, lane(held.owed.card, id));
        if let Some(queue) = self.live.saf.get_mut(&participant)
            && queue.lanes.get(&lane).and_then(|waiting| waiting.front()) == Some(&id)
        {
            queue.schedule(id, now.mono_us);
        }
        self.pump(now, batch, participant);
    }

    pub(super) fn pump_all(&mut self, now: Now, batch: &mut Batch) {
        let idle = |queue: &SafQueue| queue.due.first().is_none_or(|first| first.0 > now.mono_us);
        let ready: Vec<_> =
            self.live.saf.iter().filter(|(_, queue)| !idle(queue)).map(|(id, _)| *id).collect();
        for participant in ready {
            self.pump(now, batch, participant);
        }
    }

    /// Sends what is due while the window allows.
    pub(super) fn pump(&mut self, now: Now, batch: &mut Batch, participant: ParticipantId) {
        if !self.reachable(participant) {
            return;
        }
        if self.live.room == Room::Outcomes {
            // Its answer would have to be journalled.
            return;
        }
        let Some(settings) = self.settings.participant(participant) else { return };
        let (window, timeout_us) = (settings.saf_window, settings.timeout_us);
        let Some(queue) = self.live.saf.get_mut(&participant) else { return };
        while queue.out.len() < window {
            let Some(first) = queue.due.first().copied().filter(|first| first.0 <= now.mono_us) else {
                return;
            };
            let id = first.1;
            queue.due.remove(&first);
            queue.unschedule(id);
            let Some(held) = self.durable.obligations.get(&id).filter(|held| held.parked.is_none()) else {
                continue;
            };
            let owed = &held.owed;
            let key = AnswerKey::of(participant, &owed.identity, settings.answer_match.sent_at);
            if matches!(self.live.awaiting.get(&key), Some(Awaiting::Leg(_))) {
                // F11 went round while this waited: one answer could not be told from the other.
                queue.schedule(id, now.mono_us + timeout_us);
                continue;
            }
            let tries = queue.tries.entry(id).or_default();
            let stan = owed.identity.stan + if planted(Planted::FreshTraceNumbers) { tries.sent } else { 0 };
            let repeat = tries.sent > 0 || held.owed.kind == OwedKind::Repeat;
            tries.sent = tries.sent.saturating_add(1);
            queue.out.insert(id, now.mono_us + timeout_us);
            self.live.awaiting.put(key, Awaiting::Obligation(id));
            self.counters.obligations_sent += 1;
            batch.effect(Effect::Send(Box::new(Send {
                of: SendOf::Obligation(id),
                participant,
                kind: sends_as(owed.kind, owed.tx_kind),
                owed: Some(owed.kind),
                identity: Identity { stan, ..owed.identity },
                repeat,
                money: owed.money,
                original: owed.original,
                body: Body::Kept(owed.custody.clone()),
                not_after_us: now.mono_us + timeout_us,
            })));
        }
    }

    /// Whether this is the attempt that an obligation waits for, told by its time.
    pub(super) fn is_out(&self, id: ObligationId, not_after_us: u64) -> bool {
        let Some(held) = self.durable.obligations.get(&id) else { return false };
        let queue = self.live.saf.get(&held.owed.participant);
        queue.and_then(|queue| queue.out.get(&id)).is_some_and(|at| *at == not_after_us)
    }

    /// Rule 7, once for all kinds.
    pub(super) fn obligation_answered(&mut self, now: Now, batch: &mut Batch, id: ObligationId, code: Code) {
        let Some(held) = self.durable.obligations.get(&id) else { return };
        let agrees = approves(code) || code.bytes() == b"94";
        if held.parked.is_some() && !agrees {
            return;
        }
        let (participant, kind) = (held.owed.participant, held.owed.kind);
        let timeout_ms = self.settings.participant(participant).map_or(0, |p| p.timeout_us / 1000);
        let settled = now.wall_ms > held.owed.original_ms.saturating_add(timeout_ms);
        match (kind, code.bytes()) {
            _ if agrees => self.discharge(now, batch, id, Discharge::Acknowledged { code }),
            (_, b"96") if planted(Planted::BusyDischarges) => {
                self.discharge(now, batch, id, Discharge::Acknowledged { code });
            }
            (_, b"68" | b"91" | b"96" | b"98") => self.back_off(now, id, participant),
            (_, b"A0") => self.wait_for_keys(now, id, participant),
            // It agreed once and says now that it knows nothing: not undone, so the sum gets a name.
            (OwedKind::Reverse, b"25") if settled && held.owed.stood.is_some() => {
                self.discharge(now, batch, id, Discharge::Refused { code });
            }
            (OwedKind::Reverse, b"25") if settled => self.discharge(now, batch, id, Discharge::Unknown),
            (OwedKind::Reverse, b"25") => self.back_off(now, id, participant),
            (OwedKind::Reverse, _) | (_, b"30") => self.refused(now, batch, id, participant, code),
            (OwedKind::Repeat | OwedKind::Advice, _) => {
                self.discharge(now, batch, id, Discharge::Refused { code });
            }
        }
        self.pump(now, batch, participant);
    }

    /// A refusal that a retry will not mend: three of them and an operator must look.
    fn refused(
        &mut self,
        now: Now,
        batch: &mut Batch,
        id: ObligationId,
        participant: ParticipantId,
        code: Code,
    ) {
        let queue = self.live.saf.entry(participant).or_default();
        let tries = queue.tries.entry(id).or_default();
        tries.refused = tries.refused.saturating_add(1);
        if tries.refused < REFUSALS_MAX {
            return self.back_off(now, id, participant);
        }
        queue.out.remove(&id);
        batch.record(&mut self.durable, Entry::Parked { id, code });
        batch.effect(Effect::Alarm(Alarm::ObligationParked { id, participant, code }));
    }

    fn back_off(&mut self, now: Now, id: ObligationId, participant: ParticipantId) {
        let Some(settings) = self.settings.participant(participant) else { return };
        let Some(queue) = self.live.saf.get_mut(&participant) else { return };
        let sent = queue.tries.get(&id).map_or(1, |tries| tries.sent.max(1));
        queue.out.remove(&id);
        queue.schedule(id, now.mono_us + wait_us(settings, sent));
    }

    /// Our MAC does not hold there: a key change or lines that come up let it go (`hasten`), or else the longest wait,
    /// so that one mistaken A0 is not for ever.
    fn wait_for_keys(&mut self, now: Now, id: ObligationId, participant: ParticipantId) {
        let Some(settings) = self.settings.participant(participant) else { return };
        let Some(queue) = self.live.saf.get_mut(&participant) else { return };
        queue.out.remove(&id);
        queue.schedule(id, now.mono_us + settings.backoff_max_us);
    }

    /// No line was free: later. A message that cannot be written in the participant's dialect never will be: that
    /// counts as a refusal, so that an operator hears of it.
    pub(super) fn obligation_not_sent(&mut self, now: Now, batch: &mut Batch, id: ObligationId, why: Unsent) {
        let Some(held) = self.durable.obligations.get(&id) else { return };
        let participant = held.owed.participant;
        match why {
            Unsent::Unwritable => self.refused(now, batch, id, participant, Code::new(*b"30")),
            Unsent::NoLine | Unsent::TooOld | Unsent::Pin | Unsent::NoHsm => {
                self.back_off(now, id, participant)
            }
        }
        self.pump(now, batch, participant);
    }

    pub(super) fn time_out_obligations(&mut self, now: Now, batch: &mut Batch) {
        let mut overdue = Vec::new();
        for (participant, queue) in &self.live.saf {
            let late = queue.out.iter().filter(|(_, at)| **at <= now.mono_us);
            overdue.extend(late.map(|(id, _)| (*participant, *id)));
        }
        for (participant, id) in overdue {
            self.back_off(now, id, participant);
            self.pump(now, batch, participant);
        }
    }

    /// Lines came up, or keys changed: what waited out its back-off only because of that goes now.
    pub(super) fn hasten(&mut self, now: Now, participant: ParticipantId) {
        if let Some(queue) = self.live.saf.get_mut(&participant) {
            let waiting: Vec<_> =
                queue.due.iter().filter(|(at, _)| *at > now.mono_us).map(|(_, id)| *id).collect();
            for id in waiting {
                queue.schedule(id, now.mono_us);
            }
        }
    }

    pub(super) fn discharge(&mut self, now: Now, batch: &mut Batch, id: ObligationId, how: Discharge) {
        let Some(held) = self.durable.obligations.get(&id) else { return };
        let (participant, card, tx) = (held.owed.participant, held.owed.card, held.owed.of.tx);
        let (key, money) = (self.answer_key(participant, &held.owed.identity), held.owed.money);
        let watched = held.owed.original.is_some_and(|sent| self.is_watched(participant, &sent, id));
        self.counters.discharged += 1;
        if let Discharge::Refused { code } = how {
            self.counters.exceptions += 1;
            batch.effect(Effect::Alarm(Alarm::Exception { id, participant, money, code }));
        }
        if matches!(self.live.awaiting.get(&key), Some(Awaiting::Obligation(_))) {
            self.live.awaiting.take(&key);
        }
        self.make_room(batch, &how);
        let unknown = matches!(how, Discharge::Unknown);
        batch.record(&mut self.durable, Entry::Discharged { id, how });
        if unknown && !watched {
            self.let_lapsed_go(batch, Some(id));
        }
        self.after_discharge(now, batch, id, participant, card, tx);
    }

    /// Whether a late answer to this message would find the obligation.
    fn is_watched(&self, participant: ParticipantId, sent: &Identity, id: ObligationId) -> bool {
        let held = self.live.awaiting.get(&self.answer_key(participant, sent));
        matches!(held, Some(Awaiting::Late(watch)) if watch.owed == Some(id))
    }

    /// What ends otherwise than paid is remembered; at the bound, in the place of the oldest.
    fn make_room(&mut self, batch: &mut Batch, how: &Discharge) {
        let (bounds, durable) = (&self.settings.bounds, &self.durable);
        let (bound, len, max, oldest) = match how {
            Discharge::Unknown => {
                (Bound::Late, durable.lapsed.len(), bounds.late_max, durable.lapsed.oldest())
            }
            Discharge::Refused { .. } | Discharge::Settled { .. } => {
                let exceptions = &durable.exceptions;
                (Bound::Obligations, exceptions.len(), bounds.obligations_max, exceptions.oldest())
            }
            Discharge::Acknowledged { .. } | Discharge::NeverSent => return,
        };
        if let Some((_, id)) = oldest.filter(|_| len >= max) {
            self.counters.reached.note(bound);
            self.counters.ended_forgotten += 1;
            batch.record(&mut self.durable, Entry::Forgotten { id });
        }
    }

    /// The next of its lane may go, and what queued behind the transaction too (rule 8).
    pub(super) fn after_discharge(
        &mut self,
        now: Now,
        batch: &mut Batch,
        id: ObligationId,
        participant: ParticipantId,
        card: Option<CardToken>,
        tx: TxId,
    ) {
        self.live.unwritten.retain(|_, waiting| *waiting != id);
        if let Some(queue) = self.live.saf.get_mut(&participant) {
            queue.out.remove(&id);
            queue.unschedule(id);
            queue.tries.remove(&id);
            let lane = lane(card, id);
            if let Some(waiting) = queue.lanes.get_mut(&lane) {
                waiting.retain(|held| *held != id);
                match waiting.front() {
                    Some(next) if !self.live.unwritten.values().any(|held| held == next) => {
                        let next = *next;
                        queue.schedule(next, now.mono_us);
                    }
                    Some(_) => {}
                    None => {
                        queue.lanes.remove(&lane);
                    }
                }
            }
        }
        if !self.durable.owing.has(&tx) {
            for leg in self.live.behind.remove(&tx).unwrap_or_default() {
                if self.under_way(leg) {
                    self.emit_in_turn(now, batch, leg);
                }
            }
        }
        self.pump(now, batch, participant);
    }

    pub(super) fn settle(
        &mut self,
        now: Now,
        batch: &mut Batch,
        id: ObligationId,
        reason: String,
        ticket: u64,
    ) {
        let refused = (!self.is_owed(id)).then(|| format!("no open obligation has the id {id}"));
        if refused.is_none() {
            self.discharge(now, batch, id, Discharge::Settled { reason });
        }
        batch.effect(Effect::Done { ticket, refused });
    }
}

fn lane(card: Option<CardToken>, id: ObligationId) -> Lane {
    card.map_or(Lane::Alone(id), Lane::Card)
}

/// Doubles from the first wait to the longest.
fn wait_us(settings: &ParticipantSettings, sent: u32) -> u64 {
    let doubled = settings.backoff_first_us.saturating_mul(1 << (sent - 1).min(20));
    doubled.min(settings.backoff_max_us)
}
