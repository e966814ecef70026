//! Reversals from terminals (rule 5): answered 00 once durable, whatever they find. In flight, the
//! original ends declined in the same batch and each leg that may stand is reversed; kept, it is undone
//! at every participant; unknown, it is remembered so that an original that comes later is declined.

use super::Core;
use super::admit::Verdict;
use super::batch::Batch;
use super::effect::Request;
use super::entry::{LegEnd, LegState, Owed, OwedKind, Reason, ReversalOf};
use super::handles::Handle;
use super::ids::{KeyedHash, LegRef, Now, OriginalNo, TxId};
use super::original::{Life, Original};
use super::plan::End;
use crate::planted::{Planted, planted};
use yika_codec::{Code, FieldSet, Kind};

impl Core {
    pub(super) fn reversal(&mut self, now: Now, batch: &mut Batch, request: Request, key: KeyedHash) {
        self.counters.reversals_received += 1;
        let facts = &request.facts;
        if facts.replacement {
            let Some(listener) = self.settings.listener(facts.listener) else { return };
            let code = listener.codes.partial_reversal;
            let verdict = verdict(Reason::Unsupported, code, None, Vec::new());
            return self.take(now, batch, request, key, verdict);
        }
        match self.named(now, facts) {
            Some(Handle::Open(tx)) => self.reverse_in_flight(now, batch, request, key, tx),
            Some(Handle::Kept(no)) => self.reverse_kept(now, batch, request, key, no),
            Some(Handle::Ended { .. }) => {
                let of = ReversalOf::WithoutEffect;
                self.acknowledge(now, batch, request, key, of, Vec::new());
            }
            None => {
                let stan = facts.original.stan.unwrap_or(facts.stan);
                let sent_at = facts.original.sent_at.unwrap_or(0);
                let (who, terminal, mti) = (facts.acquirer, &facts.terminal, facts.original.mti);
                let batch_no = facts.original.batch.or(facts.batch);
                let origin = self.durable.origin(who, &facts.merchant, batch_no);
                let handle = self.durable.reversed_key(who, terminal, mti, stan, sent_at, origin);
                let of = ReversalOf::Unknown { handle, sent_at };
                self.acknowledge(now, batch, request, key, of, Vec::new());
            }
        }
    }

    fn reverse_in_flight(&mut self, now: Now, batch: &mut Batch, request: Request, key: KeyedHash, tx: TxId) {
        let Some(open) = self.durable.open.get(&tx) else { return };
        let facts = &request.facts;
        let other_card = facts.card.is_some_and(|card| Some(card.token) != open.intent.card);
        if other_card || (facts.amount != 0 && facts.money() != open.intent.money) {
            return self.decline(now, batch, request, key, Reason::OriginalNotFound);
        }
        if !planted(Planted::ReversalInFlightIgnored) {
            self.end_as_reversed(now, batch, tx);
        }
        let of = ReversalOf::InFlight(tx);
        self.acknowledge(now, batch, request, key, of, Vec::new());
    }

    /// Ends a transaction in flight as reversed: each leg that may stand is undone.
    fn end_as_reversed(&mut self, now: Now, batch: &mut Batch, tx: TxId) {
        let Some(open) = self.durable.open.get(&tx) else { return };
        let under_way = open.intent.legs.len() - 1;
        let to = open.intent.legs[under_way].participant;
        let emitted = self.live.live.get(&tx).is_some_and(|live| live.emitted & 1 << under_way != 0);
        let state = if emitted { LegState::Sent } else { LegState::NotSent };
        let leg = LegEnd { state, agreed: 0 };
        if !emitted {
            let key = self.answer_key(to, &open.intent.legs[under_way].identity);
            self.live.awaiting.take(&key);
        }
        self.leave_flight(to);
        self.end(
            now,
            batch,
            tx,
            End { reason: Reason::Reversed, code: None, approved: 0, leg },
            FieldSet::new(),
        );
    }

    fn reverse_kept(
        &mut self,
        now: Now,
        batch: &mut Batch,
        request: Request,
        key: KeyedHash,
        no: OriginalNo,
    ) {
        let Some(original) = self.durable.original(no) else { return };
        let facts = &request.facts;
        let other_card = facts.card.is_some_and(|card| Some(card.token) != original.card);
        let amounts = [0, original.money.minor, original.asked];
        let other_amount = !amounts.contains(&facts.amount) || facts.currency != original.money.currency;
        if other_card || other_amount {
            return self.decline(now, batch, request, key, Reason::OriginalNotFound);
        }
        if self.is_used(&original) {
            return self.decline(now, batch, request, key, Reason::OriginalNotFound);
        }
        let stays = self.must_stay(&original);
        let undone = stays || matches!(original.life, Life::Voided | Life::Cancelled);
        if undone || !matches!(original.life, Life::Approved | Life::Held) {
            let of = if undone { ReversalOf::Undone(no) } else { ReversalOf::WithoutEffect };
            return self.acknowledge(now, batch, request, key, of, Vec::new());
        }
        if let Some(busy) = original.busy {
            // Its void or completion is in flight: that ends first, reversed; then the payment itself.
            self.end_as_reversed(now, batch, busy);
        }
        let Some(original) = self.durable.original(no) else { return };
        let (date, kind, tx) = (original.date, original.kind, original.tx);
        let owed: Vec<Owed> = original
            .legs
            .iter()
            .map(|leg| {
                let of = LegRef { tx, leg: leg.leg };
                let identity = Some(leg.identity);
                let mut owed = self.owe(
                    now,
                    &request,
                    OwedKind::Reverse,
                    kind,
                    leg.participant,
                    of,
                    leg.amount,
                    identity,
                );
                owed.stood = Some(leg.agreed);
                owed.date = date;
                owed.card = original.card;
                owed
            })
            .collect();
        let of = ReversalOf::Kept(no);
        self.acknowledge(now, batch, request, key, of, owed);
    }

    /// 00, once it is durable (rule 5).
    fn acknowledge(
        &mut self,
        now: Now,
        batch: &mut Batch,
        request: Request,
        key: KeyedHash,
        of: ReversalOf,
        owed: Vec<Owed>,
    ) {
        self.take(now, batch, request, key, verdict(Reason::Accepted, Code::APPROVED, Some(of), owed));
    }

    /// What a whole reversal would undo is not there any more: part of it was refunded, the hold was completed, or
    /// the completion that this one cancelled would stand again on a hold that moved on since.
    fn is_used(&self, original: &Original) -> bool {
        let target = || self.durable.original(original.target?);
        match (original.life, original.kind) {
            (Life::Completed, _) => true,
            (Life::Approved, Kind::CompletionCancel) if !self.must_stay(original) => {
                let hold = target().and_then(|completion| self.durable.original(completion.target?));
                hold.is_some_and(|hold| hold.life != Life::Held || hold.busy.is_some())
            }
            (Life::Approved, _) => original.used > 0,
            _ => false,
        }
    }

    /// Undoing this void or cancel would bring back a payment whose terminal was told that it is reversed.
    fn must_stay(&self, original: &Original) -> bool {
        let target = original.target.and_then(|no| self.durable.original(no));
        target.is_some_and(|target| target.reversed_while_undone)
    }
}

fn verdict(reason: Reason, code: Code, of: Option<ReversalOf>, owed: Vec<Owed>) -> Verdict {
    Verdict { reason, code, approved: 0, owed, of, target: None }
}
