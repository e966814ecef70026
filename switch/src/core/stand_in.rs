//! Deciding for an issuer that cannot be reached (rule 10): only when no byte of the leg was sent, never
//! with a PIN, on cash, refund, void, balance or coupon, and within durable limits that a reversal gives
//! back. Approval and its advice are one entry.

use super::Core;
use super::admit::with_given_rrn;
use super::batch::Batch;
use super::durable::Spent;
use super::entry::{Few, Intent, LegEnd, LegRole, LegState, Outcome, Owed, OwedKind, Reason};
use super::finish::{code_for, never_started};
use super::ids::{LegRef, Now, ObligationId, TxId};
use super::settings::StandIn;
use crate::planted::{Planted, planted};
use smallvec::smallvec;
use yika_codec::{Code, FieldSet, Kind, write_digits};

impl Core {
    /// A new transaction whose first participant has no line: decide here, in one entry.
    pub(super) fn cannot_send(&mut self, now: Now, batch: &mut Batch, intent: Intent, has_pin: bool) {
        let outcome = match self.stand_in_verdict(&intent, has_pin) {
            Some(Ok(())) => self.approve_here(now, &intent),
            Some(Err(reason)) => self.unsent(&intent, reason),
            None => self.unsent(&intent, Reason::IssuerDown),
        };
        self.conclude(now, batch, outcome, Some(intent));
    }

    /// Whether an admitted transaction whose request could not be sent may be decided here.
    pub(super) fn stands_in(&self, tx: TxId) -> bool {
        let Some(open) = self.durable.open.get(&tx) else { return false };
        let has_pin = self.live.live.get(&tx).is_none_or(|live| live.has_pin);
        matches!(self.stand_in_verdict(&open.intent, has_pin), Some(Ok(())))
    }

    pub(super) fn stand_in(&mut self, now: Now, batch: &mut Batch, tx: TxId) {
        let Some(open) = self.durable.open.get(&tx) else { return };
        let outcome = self.approve_here(now, &open.intent);
        self.conclude(now, batch, outcome, None);
    }

    /// None: this issuer or transaction has no stand-in. Err: it has, and a limit is reached.
    fn stand_in_verdict(&self, intent: &Intent, has_pin: bool) -> Option<Result<(), Reason>> {
        let leg = intent.legs.first().filter(|leg| leg.role == LegRole::Issuer && intent.legs.len() == 1)?;
        // Only what an advice message exists for: a stood-in hold could never be told.
        let kind = matches!(intent.kind, Kind::Purchase | Kind::Authorization);
        let limits = self.settings.participant(leg.participant)?.stand_in?;
        if has_pin || !kind || !intent.later.is_empty() {
            return None;
        }
        let card =
            self.durable.stand_in_cards.get(&(leg.participant, intent.card?)).copied().unwrap_or_default();
        let issuer = self.durable.stand_in_issuers.get(&leg.participant).copied().unwrap_or_default();
        let fits = within(&limits, card, issuer, intent.money.minor);
        Some(if fits { Ok(()) } else { Err(Reason::StandInLimit) })
    }

    fn approve_here(&self, now: Now, intent: &Intent) -> Outcome {
        let leg = &intent.legs[0];
        let approval = approval_code(intent.tx);
        let mut answer = FieldSet::new();
        answer.set(37, &intent.rrn);
        answer.set(38, &approval);
        let mut custody = intent.custody.clone();
        custody.set(38, &approval);
        let kind = OwedKind::Advice;
        let owed = Owed {
            id: ObligationId(self.durable.next_obligation),
            kind,
            participant: leg.participant,
            of: LegRef { tx: intent.tx, leg: 0 },
            tx_kind: intent.kind,
            card: intent.card,
            identity: self.advice_identity(now, intent),
            original: None,
            terminal: intent.terminal,
            money: intent.money,
            date: intent.date,
            stood: None,
            original_ms: now.wall_ms,
            custody,
        };
        Outcome {
            tx: intent.tx,
            reason: Reason::StandIn,
            code: Code::APPROVED,
            approved: intent.money.minor,
            stand_in: true,
            legs: smallvec![LegEnd { state: LegState::NotSent, agreed: 0 }],
            answer,
            owed: if planted(Planted::StandInUnadvised) { Vec::new() } else { vec![owed] },
        }
    }

    /// The advice's identity; its F11 must not be the one the intent of the same entry takes.
    fn advice_identity(&self, now: Now, intent: &Intent) -> super::entry::Identity {
        let leg = &intent.legs[0];
        let mut identity =
            self.owed_identity(now, leg.participant, OwedKind::Advice, intent.kind, leg.identity.rrn);
        if identity.stan == leg.identity.stan {
            identity.stan = super::finish::next_stan(identity.stan);
        }
        identity
    }

    fn unsent(&self, intent: &Intent, reason: Reason) -> Outcome {
        let codes = self.codes_of(intent.tx);
        let mut legs: Few<LegEnd> = smallvec![LegEnd { state: LegState::NotSent, agreed: 0 }];
        legs.extend(never_started(intent));
        Outcome {
            tx: intent.tx,
            reason,
            code: code_for(reason, codes, intent.silence_code),
            approved: 0,
            stand_in: false,
            legs,
            answer: with_given_rrn(FieldSet::new(), intent),
            owed: Vec::new(),
        }
    }
}

fn within(limits: &StandIn, card: Spent, issuer: Spent, minor: u64) -> bool {
    minor <= limits.per_transaction_max
        && card.count < limits.per_card_count_max
        && card.minor.saturating_add(minor) <= limits.per_card_sum_max
        && issuer.minor.saturating_add(minor) <= limits.issuer_sum_max
}

/// F38 of a stand-in approval: `S` and five digits of the transaction's number.
fn approval_code(tx: TxId) -> [u8; 6] {
    let mut code = *b"S00000";
    write_digits(tx.0, &mut code[1..]);
    code
}
