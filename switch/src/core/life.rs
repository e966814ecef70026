//! Transactions that build on an earlier one: void, completion, cancels, refund (rule 6), and advices
//! taken into custody. What each may do to the payment it names is decided here.

use super::Core;
use super::admit::{PlannedLeg, Verdict};
use super::batch::Batch;
use super::effect::Request;
use super::entry::{Few, Identity, LegRole, OwedKind, Reason};
use super::facts::Facts;
use super::handles::Handle;
use super::ids::{KeyedHash, LegRef, Now, OriginalNo, ParticipantId, TxId};
use super::original::{KeptLeg, Life, Original};
use smallvec::smallvec;
use yika_codec::{Code, Kind};

impl Core {
    pub(super) fn follow_up(&mut self, now: Now, batch: &mut Batch, request: Request, key: KeyedHash) {
        let facts = &request.facts;
        let no = match self.named(now, facts) {
            Some(Handle::Kept(no)) => no,
            Some(Handle::Open(_)) => return self.decline(now, batch, request, key, Reason::Busy),
            Some(Handle::Ended { .. }) => {
                return self.decline(now, batch, request, key, Reason::OriginalNotFound);
            }
            None => return self.unheld(now, batch, request, key),
        };
        let Some(target) = self.durable.original(no) else { return self.unheld(now, batch, request, key) };
        if let Some(reason) = self.objection(now, facts, &target) {
            return self.decline(now, batch, request, key, reason);
        }
        let legs = legs_on(&target, facts);
        if facts.kind == Kind::CompletionAdvice {
            let first = target.legs.first().map(|leg| (leg.participant, leg.identity));
            return self.take_advice(now, batch, request, key, first.map(|first| (no, first)));
        }
        self.begin(now, batch, request, key, legs, Some(no));
    }

    /// Why rule 6 forbids it; None when it does not.
    fn objection(&self, now: Now, facts: &Facts, target: &Original) -> Option<Reason> {
        if target.card != facts.card.map(|card| card.token) || target.money.currency != facts.currency {
            return Some(Reason::OriginalNotFound);
        }
        if target.busy.is_some() {
            return Some(Reason::Busy);
        }
        let same_day = target.date == self.date(now) && target.terminal == facts.terminal;
        let whole = target.money.minor == facts.amount;
        let (allowed, amount_fits) = match facts.kind {
            Kind::Void | Kind::CompletionCancel => {
                (target.life == Life::Approved && target.used == 0 && same_day, whole)
            }
            Kind::PreAuthCancel => (target.life == Life::Held, whole),
            Kind::Completion | Kind::CompletionAdvice => {
                (target.life == Life::Held, self.completion_fits(target, facts.amount))
            }
            Kind::Refund => {
                let left = target.money.minor.saturating_sub(target.used);
                (target.life == Life::Approved, refund_fits(target, facts.amount, left))
            }
            _ => (false, false),
        };
        match (allowed && builds_on(facts.kind, target.kind), amount_fits) {
            (false, _) => Some(Reason::NotAllowed),
            (true, false) => Some(Reason::AmountMismatch),
            (true, true) => None,
        }
    }

    fn completion_fits(&self, target: &Original, minor: u64) -> bool {
        let most = u128::from(target.money.minor) * u128::from(self.settings.completion_percent_max) / 100;
        u128::from(minor) <= most
    }

    /// The original is not held: forward it by route where that is allowed, else 25.
    fn unheld(&mut self, now: Now, batch: &mut Batch, request: Request, key: KeyedHash) {
        let facts = &request.facts;
        let issuer = facts.card.and_then(|card| self.settings.routes.find(card.prefix));
        let forward = issuer.and_then(|to| Some((to, self.settings.participant(to)?)));
        let Some((participant, _)) = forward.filter(|(_, settings)| settings.forward_unknown_original) else {
            return self.decline(now, batch, request, key, Reason::OriginalNotFound);
        };
        if facts.kind == Kind::CompletionAdvice {
            return self.take_advice(now, batch, request, key, None);
        }
        let amount = Some(facts.amount);
        let leg =
            PlannedLeg { role: LegRole::Issuer, participant, amount, original: original_as_told(facts) };
        self.begin(now, batch, request, key, smallvec![leg], None);
    }

    /// Stores an advice and answers 00: acknowledging is taking custody, not the issuer's word.
    pub(super) fn take_advice(
        &mut self,
        now: Now,
        batch: &mut Batch,
        request: Request,
        key: KeyedHash,
        target: Option<(OriginalNo, (ParticipantId, Identity))>,
    ) {
        let facts = &request.facts;
        let routed = facts.card.and_then(|card| self.settings.routes.find(card.prefix));
        let Some(participant) = target.map(|(_, (to, _))| to).or(routed) else {
            return self.decline(now, batch, request, key, Reason::NoRoute);
        };
        if !self.has_book(now, facts.currency) {
            return self.decline(now, batch, request, key, Reason::BadCurrency);
        }
        let (kind, minor) = (facts.kind, facts.amount);
        let of = LegRef { tx: TxId(u64::from(self.settings.shard) << 56 | self.durable.next_tx), leg: 0 };
        let original = target.map(|(_, (_, identity))| identity);
        let owed = self.owe(now, &request, OwedKind::Advice, kind, participant, of, minor, original);
        let verdict = Verdict {
            reason: Reason::Accepted,
            code: Code::APPROVED,
            approved: minor,
            owed: vec![owed],
            of: None,
            target: target.map(|(no, _)| no),
        };
        self.take(now, batch, request, key, verdict);
    }
}

/// The legs that undo or use what stands: all of them in order, but a partial refund the bank part only
/// (rule 18).
fn legs_on(target: &Original, facts: &Facts) -> Few<PlannedLeg> {
    let planned = |leg: &KeptLeg, amount| PlannedLeg {
        role: leg.role,
        participant: leg.participant,
        amount: Some(amount),
        original: Some(leg.identity),
    };
    match facts.kind {
        Kind::Refund if facts.amount < target.money.minor => {
            let bank = target.legs.iter().find(|leg| leg.role == LegRole::Issuer);
            bank.map(|leg| planned(leg, facts.amount)).into_iter().collect()
        }
        Kind::Completion => target.legs.iter().map(|leg| planned(leg, facts.amount)).collect(),
        _ => target.legs.iter().map(|leg| planned(leg, leg.agreed)).collect(),
    }
}

/// A partial refund comes out of the bank part; a whole one out of all parts.
fn refund_fits(target: &Original, minor: u64, left: u64) -> bool {
    let bank: u64 = target.legs.iter().filter(|leg| leg.role == LegRole::Issuer).map(|leg| leg.agreed).sum();
    let whole = minor == target.money.minor && target.used == 0;
    minor <= left && (whole || minor + target.used <= bank)
}

fn original_as_told(facts: &Facts) -> Option<Identity> {
    Some(Identity {
        mti: facts.original.mti.unwrap_or(yika_codec::Mti::new(0x0200)),
        stan: facts.original.stan?,
        sent_at: facts.original.sent_at.unwrap_or(0),
        rrn: facts.original.rrn.or(facts.rrn).unwrap_or([b'0'; 12]),
    })
}

/// What each kind of follow-up may name (rule 6).
pub(super) fn builds_on(kind: Kind, target: Kind) -> bool {
    let debit = matches!(target, Kind::Purchase | Kind::Cash | Kind::PurchaseAdvice);
    let completion = matches!(target, Kind::Completion | Kind::CompletionAdvice);
    let hold = matches!(target, Kind::Authorization | Kind::PreAuthorization | Kind::AuthorizationAdvice);
    match kind {
        Kind::Void => debit,
        Kind::CompletionCancel => completion,
        Kind::Refund => debit || completion,
        Kind::PreAuthCancel | Kind::Completion | Kind::CompletionAdvice => hold,
        _ => false,
    }
}
