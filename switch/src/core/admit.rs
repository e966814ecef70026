//! The way in: dedupe first, then admission, then the plan of the first leg (rules 2, 3). Only the core
//! refuses for overload, only after the look-up, and only a new key.

use super::Core;
use super::batch::Batch;
use super::clock::month_to_second;
use super::counters::{Bound, Refusal};
use super::dedupe::{Held, HeldBy};
use super::effect::{Effect, Request};
use super::entry::{
    Entry, Few, Identity, Intent, LaterLeg, LegIntent, LegRole, Outcome, Owed, OwedKind, Reason, ReversalOf,
    Silence, Taken,
};
use super::facts::Facts;
use super::finish::{Told, code_for};
use super::handles::Handle;
use super::ids::{KeyedHash, LegRef, Now, ObligationId, OriginalNo, ParticipantId, Seq, TxId};
use super::original::{Life, Original, first_life};
use super::volatile::{Copy, Live, Room, Waiter};
use crate::planted::{Planted, planted};
use smallvec::smallvec;
use yika_codec::{Code, FieldSet, Kind, Mti, digits};

/// One leg of a plan before it has an identity.
pub(super) struct PlannedLeg {
    pub(super) role: LegRole,
    pub(super) participant: ParticipantId,
    /// None: what is left of the transaction's amount.
    pub(super) amount: Option<u64>,
    pub(super) original: Option<Identity>,
}

impl Core {
    pub(super) fn request(&mut self, now: Now, batch: &mut Batch, request: Request) {
        self.counters.requests += 1;
        let waiter = Waiter { peer: request.peer, msg: request.msg };
        if network_kind(request.facts.kind) {
            return self.network(batch, waiter, &request);
        }
        if request.reference.is_some_and(|reference| self.durable.references.clashes(reference)) {
            return batch.effect(Effect::ReferenceTaken { peer: waiter.peer, msg: waiter.msg });
        }
        let key = self.dedupe_key(&request.facts);
        let held = self.durable.dedupe.get(&key);
        let is_done = |held: &Held| matches!(held.by, HeldBy::Done(_));
        match held.filter(|held| !(planted(Planted::CopyIsNew) && is_done(held))) {
            Some(held) => self.copy(batch, waiter, request, key, held),
            None => self.fresh(now, batch, request, key),
        }
    }

    /// A copy of something held: join the wait, or answer from the journal, or refuse a clash.
    fn copy(&mut self, batch: &mut Batch, waiter: Waiter, request: Request, key: KeyedHash, held: Held) {
        let facts = request.facts;
        self.counters.copies += 1;
        let Some(listener) = self.settings.listener(facts.listener) else { return };
        let clash = listener.codes.duplicate;
        if held.fingerprint != self.fingerprint(&facts) {
            return self.refuse(batch, waiter, facts.kind, clash, Refusal::Duplicate);
        }
        if let Err(bound) = self.note_second_reference(batch, request.reference, key) {
            self.counters.reached.note(bound);
            return batch.effect(Effect::Forget { peer: waiter.peer, msg: waiter.msg });
        }
        match held.by {
            HeldBy::InFlight(tx) => {
                let bound = self.settings.bounds.copies_max;
                match self.live.live.get_mut(&tx) {
                    Some(live) if live.waiters.len() < bound => live.waiters.push(waiter),
                    _ => {
                        self.counters.reached.note(Bound::Copies);
                        batch.effect(Effect::Forget { peer: waiter.peer, msg: waiter.msg });
                    }
                }
            }
            HeldBy::Done(seq) => {
                let bounds = &self.settings.bounds;
                let many = self.live.fetching.len() >= bounds.fetches_max;
                let waiting = self.live.fetching.get(&seq).map(Vec::len);
                if waiting.map_or(many, |count| count >= bounds.copies_max) {
                    // Only a new key is refused (rule 2): a finished one is not told a decline that it did not get.
                    self.counters.reached.note(if waiting.is_some() {
                        Bound::Copies
                    } else {
                        Bound::Fetches
                    });
                    return batch.effect(Effect::Forget { peer: waiter.peer, msg: waiter.msg });
                }
                let waiting = self.live.fetching.entry_or(seq, Vec::new);
                waiting.push(Copy { waiter, facts: Box::new(facts) });
                if waiting.len() == 1 {
                    batch.effect(Effect::Fetch(seq));
                }
            }
        }
    }

    /// The outcome of an ended transaction came back from the journal: the same answer again (P3).
    pub(super) fn fetched(&mut self, batch: &mut Batch, seq: Seq, entry: Option<Box<Entry>>) {
        let copies = self.live.fetching.take(&seq).unwrap_or_default();
        let outcome = match entry.map(|entry| *entry) {
            Some(Entry::Outcome(outcome)) => Some(*outcome),
            Some(Entry::Taken(taken)) => Some(taken.outcome),
            _ => None,
        };
        for Copy { waiter, facts } in copies {
            let Some(outcome) = &outcome else {
                batch.effect(Effect::Forget { peer: waiter.peer, msg: waiter.msg });
                continue;
            };
            self.counters.repeats_answered += 1;
            let kept = self.kept_of(&facts, outcome);
            if kept.as_ref().is_some_and(|kept| kept.life == Life::Reversed || kept.reversed_while_undone) {
                let Some(listener) = self.settings.listener(facts.listener) else { continue };
                let code = listener.codes.reversed_before;
                self.reply(batch, waiter, facts.kind, code);
                continue;
            }
            let amount =
                (outcome.approved > 0 && outcome.approved != facts.amount).then_some(outcome.approved);
            let code = if planted(Planted::CopyToldApproved) { Code::APPROVED } else { outcome.code };
            let record = outcome.answer.clone();
            let told = Told { code, amount, record, date: kept.map(|kept| kept.date) };
            self.reply(batch, waiter, facts.kind, told);
        }
    }

    /// Whether a reversal of this payment came before it (P6).
    fn reversed_before(&self, facts: &Facts) -> bool {
        let (durable, who, terminal) = (&self.durable, facts.acquirer, &facts.terminal);
        if durable.reversed_before.is_empty() {
            return false;
        }
        // What the reversal did not say fits everything.
        let origins = [0, durable.origin(who, &facts.merchant, facts.batch)];
        let moments = [0, facts.sent_at.unwrap_or(0)];
        let of = |mti, sent_at, origin| {
            let key = durable.reversed_key(who, terminal, mti, facts.stan, sent_at, origin);
            durable.reversed_before.has(&key)
        };
        let said = |mti| moments.iter().any(|at| origins.iter().any(|origin| of(mti, *at, *origin)));
        said(None) || said(Some(facts.mti.without_repeat()))
    }

    /// What is kept of a payment that was answered: when it was reversed since, a repeat gets the decline (rule 5). Another
    /// payment may have taken its F11 meanwhile; its F37 still finds it.
    fn kept_of(&self, facts: &Facts, outcome: &Outcome) -> Option<Original> {
        let own = |held: &Handle| matches!(held, Handle::Kept(no) if self.durable.original(*no).is_some_and(|held| held.tx == outcome.tx));
        let mti = facts.mti.without_repeat();
        let given = || outcome.answer.get(37).and_then(|rrn| rrn.try_into().ok());
        let by_rrn = || self.at_rrn(facts, facts.rrn.or_else(given)?, own);
        match self.at_stan(facts, mti, facts.stan, own).or_else(by_rrn)? {
            Handle::Kept(no) => self.durable.original(no),
            _ => None,
        }
    }

    fn fresh(&mut self, now: Now, batch: &mut Batch, request: Request, key: KeyedHash) {
        let facts = &request.facts;
        let waiter = Waiter { peer: request.peer, msg: request.msg };
        let kind = facts.kind;
        let Some(listener) = self.settings.listener(facts.listener) else { return };
        let codes = listener.codes;
        let custodial = takes_custody(kind);
        if listener.sign_on_required && !request.signed_on && !self.is_signed_on(facts) {
            return self.refuse(batch, waiter, kind, codes.not_signed_on, Refusal::SignOn);
        }
        // A reversal is answered 00 whatever it finds (rule 5), however old: it undoes once.
        // A gateway repeats the very record: nobody can tell a repeat of it from the first.
        let may_be_repeat = facts.mti.is_repeat() || request.reference.is_some();
        if may_be_repeat && kind != Kind::Reversal && !self.inside_window(now, facts) {
            return self.refuse(batch, waiter, kind, codes.duplicate, Refusal::Duplicate);
        }
        let full = match kind {
            Kind::Reversal => self.full_for_reversals(),
            _ => self.full().or_else(|| {
                let full = first_life(kind).is_some() && self.originals_full(now);
                full.then_some(Refusal::Full(Bound::Originals))
            }),
        };
        if let Some(why) = full {
            if custodial {
                self.counters.advices_dropped += 1;
                if let Refusal::Full(bound) = why {
                    self.counters.reached.note(bound);
                }
                return batch.effect(Effect::Forget { peer: request.peer, msg: request.msg });
            }
            return self.refuse(batch, waiter, kind, codes.overload, why);
        }
        if kind == Kind::Reversal {
            return self.reversal(now, batch, request, key);
        }
        if facts.card.is_none() {
            return self.refuse(batch, waiter, kind, codes.format, Refusal::Format);
        }
        if self.reversed_before(facts) {
            return self.decline(now, batch, request, key, Reason::Reversed);
        }
        if facts.amount == 0 && kind != Kind::Balance {
            return self.decline(now, batch, request, key, Reason::BadAmount);
        }
        if !listener.currencies.is_empty() && !listener.currencies.contains(&facts.currency) {
            return self.decline(now, batch, request, key, Reason::BadCurrency);
        }
        match kind {
            Kind::Void
            | Kind::Completion
            | Kind::CompletionCancel
            | Kind::PreAuthCancel
            | Kind::Refund
            | Kind::CompletionAdvice => self.follow_up(now, batch, request, key),
            Kind::AuthorizationAdvice | Kind::PurchaseAdvice => {
                self.take_advice(now, batch, request, key, None)
            }
            Kind::Authorization | Kind::Purchase | Kind::Cash | Kind::PreAuthorization | Kind::Balance => {
                self.payment(now, batch, request, key);
            }
            _ => self.decline(now, batch, request, key, Reason::Unsupported),
        }
    }

    fn payment(&mut self, now: Now, batch: &mut Batch, request: Request, key: KeyedHash) {
        let facts = &request.facts;
        let Some(issuer) = facts.card.and_then(|card| self.settings.routes.find(card.prefix)) else {
            return self.decline(now, batch, request, key, Reason::NoRoute);
        };
        let leg = |role, participant, amount| PlannedLeg { role, participant, amount, original: None };
        let legs = match facts.coupon.filter(|_| facts.kind == Kind::Purchase) {
            None => smallvec![leg(LegRole::Issuer, issuer, Some(facts.amount))],
            Some(coupon) => {
                let Some(platform) = self.settings.coupon_platform else {
                    return self.decline(now, batch, request, key, Reason::NoRoute);
                };
                if coupon.asked == 0 || coupon.asked > facts.amount {
                    return self.decline(now, batch, request, key, Reason::BadAmount);
                }
                smallvec![
                    leg(LegRole::CouponPlatform, platform, Some(coupon.asked)),
                    leg(LegRole::Issuer, issuer, None),
                ]
            }
        };
        self.begin(now, batch, request, key, legs, None);
    }

    /// Admits a transaction whose legs are known: intent, then the first request (P1). When its first
    /// participant cannot be reached, stand-in or a decline instead (rules 9, 10).
    pub(super) fn begin(
        &mut self,
        now: Now,
        batch: &mut Batch,
        mut request: Request,
        key: KeyedHash,
        legs: Few<PlannedLeg>,
        target: Option<OriginalNo>,
    ) {
        let kind = request.facts.kind;
        let waiter = Waiter { peer: request.peer, msg: request.msg };
        let mut legs = legs.into_iter();
        let Some(first) = legs.next() else {
            return self.decline(now, batch, request, key, Reason::Unsupported);
        };
        let (to, listener) = (first.participant, request.facts.listener);
        if !self.has_book(now, request.facts.currency) {
            return self.decline(now, batch, request, key, Reason::BadCurrency);
        }
        let Some(participant) = self.settings.participant(to) else {
            return self.decline(now, batch, request, key, Reason::NoRoute);
        };
        let Some(acquirer) = self.settings.listener(listener) else { return };
        if self.live.inflight.get(&to).copied().unwrap_or(0) >= participant.inflight_max {
            let code = acquirer.codes.overload;
            return self.refuse(batch, waiter, kind, code, Refusal::Full(Bound::Inflight));
        }
        let deadline_us = now.mono_us + acquirer.deadline_us;
        let mut intent = self.intent(now, batch, &mut request, key, target);
        let Some(identity) = self.identity(now, to, kind, intent.rrn) else {
            return self.decline(now, batch, request, key, Reason::Unsupported);
        };
        intent.legs.push(LegIntent {
            role: first.role,
            participant: to,
            identity,
            amount: first.amount.unwrap_or(intent.money.minor),
            silence: silence_of(kind),
            original: first.original,
        });
        intent.later = legs
            .map(|leg| LaterLeg {
                role: leg.role,
                participant: leg.participant,
                amount: leg.amount,
                original: leg.original,
            })
            .collect();
        let (tx, has_pin) = (intent.tx, request.facts.has_pin);
        let live =
            Live { listener, waiters: smallvec![waiter], deadline_us, has_pin, written: 0, emitted: 0 };
        self.live.live.put(tx, live);
        if !self.reachable(to) {
            return self.cannot_send(now, batch, intent, has_pin);
        }
        self.take_place(intent.money.currency);
        batch.record(&mut self.durable, Entry::Intent(Box::new(intent)));
        self.launch(now, batch, LegRef { tx, leg: 0 });
    }

    /// An outcome without a leg: the reason's code, durable before it is told (P2).
    pub(super) fn decline(
        &mut self,
        now: Now,
        batch: &mut Batch,
        request: Request,
        key: KeyedHash,
        reason: Reason,
    ) {
        let Some(listener) = self.settings.listener(request.facts.listener) else { return };
        let code = code_for(reason, Some(&listener.codes), listener.codes.no_answer);
        self.take(
            now,
            batch,
            request,
            key,
            Verdict { reason, code, approved: 0, owed: Vec::new(), of: None, target: None },
        );
    }

    /// Decides on the spot: intent and outcome in one entry, then the answer.
    pub(super) fn take(
        &mut self,
        now: Now,
        batch: &mut Batch,
        mut request: Request,
        key: KeyedHash,
        verdict: Verdict,
    ) {
        let mut intent = self.intent(now, batch, &mut request, key, verdict.target);
        let (tx, date) = (intent.tx, intent.date);
        let mut owed = verdict.owed;
        for (at, one) in owed.iter_mut().enumerate() {
            one.id = ObligationId(self.durable.next_obligation + at as u64);
        }
        if owed.is_empty() {
            intent.custody = FieldSet::new();
        }
        self.spread_stans(&mut owed);
        let answer = with_given_rrn(FieldSet::new(), &intent);
        let outcome = Outcome {
            tx,
            reason: verdict.reason,
            code: verdict.code,
            approved: verdict.approved,
            stand_in: false,
            legs: Few::new(),
            answer: answer.clone(),
            owed,
        };
        self.counters.outcome(verdict.reason);
        let queue: Vec<_> = outcome.owed.iter().map(|one| (one.id, one.participant, one.of)).collect();
        let taken = Taken { intent, outcome, reversal: verdict.of };
        batch.record(&mut self.durable, Entry::Taken(Box::new(taken)));
        for (id, participant, _) in queue {
            self.enqueue(now, id, participant, None, 0);
        }
        let waiter = Waiter { peer: request.peer, msg: request.msg };
        let told = Told { code: verdict.code, amount: None, record: answer, date: Some(date) };
        self.reply(batch, waiter, request.facts.kind, told);
        self.pump_all(now, batch);
    }

    /// The request as it is journalled; takes its custody, and notes its reference, which an entry with the intent follows.
    pub(super) fn intent(
        &mut self,
        now: Now,
        batch: &mut Batch,
        request: &mut Request,
        key: KeyedHash,
        target: Option<OriginalNo>,
    ) -> Intent {
        let custody = std::mem::take(&mut request.custody);
        if let Some(reference) = request.reference.take() {
            self.note_reference(batch, reference, key);
        }
        let facts = &request.facts;
        let tx = TxId(u64::from(self.settings.shard) << 56 | self.durable.next_tx);
        let silence_code = self
            .settings
            .listener(facts.listener)
            .map_or(Code::new(*b"68"), |listener| listener.codes.no_answer);
        Intent {
            tx,
            key,
            fingerprint: self.fingerprint(facts),
            kind: facts.kind,
            mti: facts.mti.without_repeat(),
            acquirer: facts.acquirer,
            terminal: facts.terminal,
            stan: facts.stan,
            sent_at: facts.sent_at.unwrap_or(0),
            rrn: facts.rrn.unwrap_or_else(|| assigned_rrn(self.durable.next_tx)),
            rrn_given: facts.rrn.is_none(),
            card: facts.card.map(|card| card.token),
            money: facts.money(),
            date: self.date(now),
            silence_code,
            target,
            legs: Few::new(),
            later: Vec::new(),
            custody,
            origin: self.durable.origin(facts.acquirer, &facts.merchant, facts.batch),
        }
    }

    /// Another kept payment would push out one that may still be repeated or reversed by its terminal.
    fn originals_full(&self, now: Now) -> bool {
        let limits = &self.settings.limits;
        let kept = self.durable.originals.len() + self.durable.open.len() as u64;
        let young = |expires_ms: u64| {
            let kept_ms = expires_ms.saturating_sub(limits.original_window_ms);
            kept_ms.saturating_add(limits.dedupe_window_ms) > now.wall_ms
        };
        kept >= limits.originals_max && self.durable.originals.oldest_expires_ms().is_none_or(young)
    }

    /// Why no new transaction is admitted.
    fn full(&self) -> Option<Refusal> {
        let (bounds, durable) = (&self.settings.bounds, &self.durable);
        if let Some(why) = self.no_room() {
            return Some(why);
        }
        let reached = [
            (Bound::Open, durable.open.len() >= bounds.open_max),
            (Bound::Dedupe, durable.repeatable() >= bounds.dedupe_max),
            (Bound::Obligations, self.slots_wanted() > bounds.obligations_max),
        ];
        reached.into_iter().find(|(_, is)| *is).map(|(bound, _)| Refusal::Full(bound))
    }

    /// Why nothing is journalled that can be refused.
    pub(super) fn no_room(&self) -> Option<Refusal> {
        match self.live.room {
            Room::All => None,
            Room::Draining => Some(Refusal::Draining),
            Room::Reversals | Room::Outcomes => Some(Refusal::Full(Bound::Journal)),
        }
    }

    /// Reversals give room back: they are taken beyond what new transactions may fill (C10).
    fn full_for_reversals(&self) -> Option<Refusal> {
        let bounds = &self.settings.bounds;
        let dedupe_max = bounds.dedupe_max + bounds.dedupe_max / RESERVED;
        let obligations_max = bounds.obligations_max + bounds.obligations_max / RESERVED;
        let reached = [
            (Bound::Journal, self.live.room == Room::Outcomes),
            (Bound::Dedupe, self.durable.repeatable() >= dedupe_max),
            (Bound::Obligations, self.slots_wanted() > obligations_max),
        ];
        reached.into_iter().find(|(_, is)| *is).map(|(bound, _)| Refusal::Full(bound))
    }

    /// Obligations that would be open if one more transaction came and nothing in flight were answered: each has two
    /// legs at most.
    fn slots_wanted(&self) -> usize {
        self.durable.obligations.len() + (self.durable.open.len() + 1) * 2
    }

    /// The obligation that an advice, or the reversal of a kept leg, becomes; id and F11 are set by `take`.
    #[expect(clippy::too_many_arguments, reason = "an obligation is this many facts, each of another type")]
    pub(super) fn owe(
        &self,
        now: Now,
        request: &Request,
        kind: OwedKind,
        tx_kind: Kind,
        participant: ParticipantId,
        of: LegRef,
        minor: u64,
        original: Option<Identity>,
    ) -> Owed {
        let facts = &request.facts;
        // A reversal has the F37 that its participant knows the payment by.
        let of_original = original.map(|original| original.rrn);
        let rrn = match kind {
            OwedKind::Reverse => of_original.or(facts.rrn),
            OwedKind::Repeat | OwedKind::Advice => facts.rrn.or(of_original),
        };
        let rrn = rrn.unwrap_or_else(|| assigned_rrn(self.durable.next_tx));
        Owed {
            id: ObligationId(0),
            kind,
            participant,
            of,
            tx_kind,
            card: facts.card.map(|card| card.token),
            identity: self.owed_identity(now, participant, kind, tx_kind, rrn),
            original,
            terminal: facts.terminal,
            money: super::ids::Money { minor, ..facts.money() },
            date: self.date(now),
            stood: None,
            original_ms: now.wall_ms,
            custody: request.custody.clone(),
        }
    }

    pub(super) fn date(&self, now: Now) -> super::ids::BusinessDate {
        if self.durable.dates.current.0 != 0 {
            return self.durable.dates.current;
        }
        super::clock::business_date(now.wall_ms, self.settings.zone_minutes)
    }

    /// The identity of an obligation's own message.
    pub(super) fn owed_identity(
        &self,
        now: Now,
        participant: ParticipantId,
        kind: OwedKind,
        tx_kind: Kind,
        rrn: [u8; 12],
    ) -> Identity {
        let sends_as = super::saf::sends_as(kind, tx_kind);
        self.identity(now, participant, sends_as, rrn).unwrap_or_else(|| {
            // Its dialect has no such message any more: the obligation stays, refused at each attempt, until settled.
            let sent_at = month_to_second(now.wall_ms, 0);
            let last = self.durable.participants.get(&participant).map_or(0, |p| p.last_stan);
            let mti = Mti::new(if kind == OwedKind::Reverse { 0x0420 } else { 0x0220 });
            Identity { mti, stan: super::finish::next_stan(last), sent_at, rrn }
        })
    }
}

/// A quarter more than new transactions may fill is kept for reversals.
const RESERVED: usize = 4;

/// What `take` decides.
pub(super) struct Verdict {
    pub(super) reason: Reason,
    pub(super) code: Code,
    pub(super) approved: u64,
    pub(super) owed: Vec<Owed>,
    pub(super) of: Option<ReversalOf>,
    pub(super) target: Option<OriginalNo>,
}

/// F37 where the terminal sent none: the transaction's own number, which does not come again.
pub(super) fn assigned_rrn(tx: u64) -> [u8; 12] {
    digits(tx)
}

/// An answer has F37 in it where the request had none, whatever it says.
pub(super) fn with_given_rrn(mut record: FieldSet, intent: &Intent) -> FieldSet {
    if intent.rrn_given && !record.has(37) {
        record.set(37, &intent.rrn);
    }
    record
}

/// Rule 4.
fn silence_of(kind: Kind) -> Silence {
    match kind {
        Kind::Balance => Silence::Nothing,
        Kind::Refund => Silence::Repeat,
        _ => Silence::Reverse,
    }
}

/// Messages that are answered because they were stored, not because they were decided.
fn takes_custody(kind: Kind) -> bool {
    matches!(kind, Kind::Reversal | Kind::AuthorizationAdvice | Kind::PurchaseAdvice | Kind::CompletionAdvice)
}

fn network_kind(kind: Kind) -> bool {
    matches!(kind, Kind::SignOn | Kind::SignOff | Kind::Echo | Kind::KeyChange | Kind::CutOver)
}
