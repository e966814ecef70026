//! Answers from participants: matched by what was sent, checked for being an answer at all (rules 1, 11),
//! then given to the leg, the obligation, or the late watch they belong to (P6).

use super::Core;
use super::batch::Batch;
use super::effect::{Alarm, Answer, Effect};
use super::entry::{Entry, Late, LateEffect, LegRole, Owed, OwedKind};
use super::finish::next_stan;
use super::ids::{BusinessDate, CardToken, LegRef, Money, Now, ObligationId};
use super::plan::{LegResult, PARTIAL};
use super::table::AnswerKey;
use super::volatile::{Awaiting, LateWatch};
use crate::planted::{Planted, planted};
use yika_codec::Code;

/// What an answer must agree with, besides its key.
struct Sent {
    terminal: [u8; 8],
    rrn: [u8; 12],
    card: Option<CardToken>,
    money: Money,
    date: BusinessDate,
    /// A coupon platform grants up to the amount; everyone else agrees to it or declines.
    may_grant_less: bool,
}

impl Core {
    pub(super) fn answer(&mut self, now: Now, batch: &mut Batch, mut answer: Answer) {
        let Some(participant) = self.settings.participant(answer.participant) else { return };
        let matching = participant.answer_match;
        let key = AnswerKey {
            participant: answer.participant,
            class: answer.mti.class(),
            stan: answer.stan,
            sent_at: if matching.sent_at { answer.sent_at.unwrap_or(0) } else { 0 },
        };
        let Some(sent) = self.live.awaiting.get(&key).and_then(|held| self.sent(held)) else {
            self.counters.unmatched_unknown_key += 1;
            return;
        };
        if matching.terminal && answer.terminal.is_some_and(|terminal| terminal != sent.terminal) {
            self.counters.unmatched_terminal += 1;
            return;
        }
        if matching.rrn && answer.rrn.is_some_and(|rrn| rrn != sent.rrn) {
            self.counters.unmatched_rrn += 1;
            return;
        }
        let Some(code) = answer.code else {
            self.counters.invalid_code += 1;
            return;
        };
        if answer.card.is_some() && sent.card.is_some() && answer.card != sent.card {
            self.counters.invalid_card += 1;
            return;
        }
        let partial = code == PARTIAL;
        let Some(agreed) = agreed(&answer, &sent, partial) else {
            self.counters.invalid_amount += 1;
            return;
        };
        self.note_settlement(&mut answer, sent.date);
        match self.live.awaiting.get(&key) {
            Some(Awaiting::Leg(leg)) => {
                let leg = *leg;
                let whole = agreed >= sent.money.minor;
                let result = match approves(code) {
                    // A coupon that grants nothing is no coupon: the bank is not asked for the whole (rule 18).
                    true if sent.may_grant_less && agreed == 0 => LegResult::Partial(0),
                    true => LegResult::Approved(agreed),
                    false if partial && whole => LegResult::Approved(agreed),
                    false if partial => LegResult::Partial(agreed),
                    false => LegResult::Declined(code),
                };
                self.let_reversal_go(now, batch, leg);
                self.leg_ended(now, batch, leg, result, answer.record);
            }
            Some(Awaiting::Obligation(id)) => {
                let id = *id;
                self.obligation_answered(now, batch, id, code);
            }
            Some(Awaiting::Late(_)) => self.late(now, batch, key, code, agreed),
            None => {}
        }
    }

    fn sent(&self, held: &Awaiting) -> Option<Sent> {
        match held {
            Awaiting::Leg(leg) => {
                let tx = self.durable.open.get(&leg.tx)?;
                let sent = tx.intent.legs.get(usize::from(leg.leg))?;
                Some(Sent {
                    terminal: tx.intent.terminal,
                    rrn: sent.identity.rrn,
                    card: tx.intent.card,
                    money: Money { minor: sent.amount, ..tx.intent.money },
                    date: tx.intent.date,
                    may_grant_less: sent.role == LegRole::CouponPlatform,
                })
            }
            Awaiting::Obligation(id) => {
                let owed = &self.durable.obligations.get(id)?.owed;
                Some(Sent {
                    terminal: owed.terminal,
                    rrn: owed.identity.rrn,
                    card: owed.card,
                    money: owed.money,
                    date: owed.date,
                    may_grant_less: true,
                })
            }
            Awaiting::Late(watch) => Some(Sent {
                terminal: watch.terminal,
                rrn: watch.rrn,
                card: watch.card,
                money: watch.money,
                date: watch.date,
                may_grant_less: true,
            }),
        }
    }

    /// A settlement date (F15) that is not ours is counted and kept in the answer record, never adopted and never told
    /// on (rule 13).
    fn note_settlement(&mut self, answer: &mut Answer, date: BusinessDate) {
        let Some(theirs) = answer.settled.filter(|theirs| u32::from(*theirs) != date.0 % 10_000) else {
            return;
        };
        *self.dates_differing.entry(answer.participant).or_insert(0) += 1;
        answer.record.set(15, format!("{theirs:04}").as_bytes());
    }

    /// Any answer proves that the leg's bytes arrived: a reversal that waited for that may go.
    fn let_reversal_go(&mut self, now: Now, batch: &mut Batch, leg: LegRef) {
        if let Some(id) = self.live.unwritten.remove(&leg) {
            self.release_obligation(now, batch, id);
        }
    }

    /// First final answer wins; a later one is recorded with how late it was, and an approval makes sure
    /// that its reversal exists (P6).
    fn late(&mut self, now: Now, batch: &mut Batch, key: AnswerKey, code: Code, agreed: u64) {
        let Some(Awaiting::Late(watch)) = self.live.awaiting.take(&key) else { return };
        let late_ms = now.mono_us.saturating_sub(watch.ended_us) / 1000;
        let approved = approves(code) || code == PARTIAL;
        self.counters.late += 1;
        let effect = match approved {
            true => self.late_effect(now, &watch, agreed, approves(code)),
            false => LateEffect::None,
        };
        if approved {
            self.counters.late_approvals += 1;
            let (of, participant) = (watch.leg, watch.participant);
            batch.effect(Effect::Alarm(Alarm::LateApproval { of, participant, late_ms, held_back: 0 }));
        }
        let requeue = match &effect {
            LateEffect::Reopened(owed) => Some((owed.id, owed.participant)),
            _ => None,
        };
        let settles = match effect {
            LateEffect::Settles(id) => Some(id),
            _ => None,
        };
        let late = Late {
            of: watch.leg,
            participant: watch.participant,
            code,
            late_ms,
            kind: watch.kind,
            money: Money { minor: if approved { agreed } else { 0 }, ..watch.money },
            date: watch.date,
            effect,
        };
        batch.record(&mut self.durable, Entry::Late(late));
        self.let_lapsed_go(batch, watch.owed);
        self.let_reversal_go(now, batch, watch.leg);
        if let Some((id, participant)) = requeue {
            self.enqueue(now, id, participant, None, 1);
            self.pump(now, batch, participant);
        }
        if let Some(id) = settles {
            self.counters.discharged += 1;
            self.after_discharge(now, batch, id, watch.participant, watch.card, watch.leg.tx);
        }
    }

    fn late_effect(&self, now: Now, watch: &LateWatch, agreed: u64, whole: bool) -> LateEffect {
        let Some(id) = watch.owed.filter(|_| !planted(Planted::LateIgnored)) else { return LateEffect::None };
        if let Some(held) = self.durable.obligations.get(&id) {
            return match held.owed.kind {
                OwedKind::Reverse => LateEffect::ReversalPending(id),
                OwedKind::Repeat | OwedKind::Advice if whole => LateEffect::Settles(id),
                // The whole was told, and is still owed.
                OwedKind::Repeat | OwedKind::Advice => LateEffect::None,
            };
        }
        if self.durable.exceptions.has(id) {
            return LateEffect::Excepted(id);
        }
        match self.durable.lapsed.get(id) {
            Some(owed) => LateEffect::Reopened(Box::new(self.reopened(now, owed, agreed))),
            None => LateEffect::AlreadyReversed,
        }
    }

    fn reopened(&self, now: Now, owed: &Owed, agreed: u64) -> Owed {
        let mut again = owed.clone();
        let fresh = self.fresh_identity(now, owed.participant, owed.identity.mti, owed.identity.rrn);
        let last = self.durable.participants.get(&owed.participant).map_or(0, |p| p.last_stan);
        again.identity.stan = fresh.map_or(next_stan(last), |identity| identity.stan);
        again.identity.sent_at = fresh.map_or(owed.identity.sent_at, |identity| identity.sent_at);
        again.stood = Some(agreed);
        again
    }

    /// Whether an obligation of this id is open: not one that ended, and not one that never was.
    pub(super) fn is_owed(&self, id: ObligationId) -> bool {
        self.durable.obligations.contains_key(&id)
    }
}

/// Codes by which a participant agrees: 00, and those that add something to it (ID seen, VIP, track update, and
/// UnionPay's "accepted, confirmed later"). The terminal is told 00.
pub(super) fn approves(code: Code) -> bool {
    matches!(code.bytes(), b"00" | b"08" | b"11" | b"16" | b"A2" | b"A4" | b"A5" | b"A6")
}

/// What the participant agrees to; None when amount or currency make it no answer (rule 11).
fn agreed(answer: &Answer, sent: &Sent, partial: bool) -> Option<u64> {
    if answer.currency.is_some_and(|currency| currency != sent.money.currency) {
        return None;
    }
    match answer.amount {
        None if sent.may_grant_less || partial => None.or((!partial).then_some(sent.money.minor)),
        None => Some(sent.money.minor),
        Some(minor) if minor == sent.money.minor => Some(minor),
        Some(0) if partial => None,
        Some(minor) if minor < sent.money.minor && (partial || sent.may_grant_less) => Some(minor),
        Some(_) => None,
    }
}
