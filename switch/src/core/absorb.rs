//! How each entry changes the durable state. Nothing else does. An entry that contradicts the state
//! (an outcome of a transaction that is not open) can only come from a journal this code did not
//! write: it is refused, and the start stops (P12).

use super::books::{Side, signed, undoes};
use super::clock::{DAY_MS, business_date};
use super::durable::{Durable, Exception, Expiry, Handles, Obligation, OpenTx, Participant};
use super::entry::{
    CutOverTrigger, Discharge, Entry, Intent, Late, LateEffect, LegEnd, LegRole, LegState, Outcome, Owed,
    OwedKind, ReversalOf, Step, Taken,
};
use super::handles::Became;
use super::ids::{BusinessDate, KeyedHash, Money, ObligationId, OriginalNo, ParticipantId, Seq};
use super::original::{
    KeptLeg, Life, Original, apply_to_target, first_life, names_an_original, undo_on_target,
};
use super::window::AHEAD_MAX_MS;
use crate::planted::{Planted, planted};
use yika_codec::Kind;

/// The entry does not fit the state: the journal is not of this switch, or this build is wrong.
#[derive(Debug, thiserror::Error)]
#[error("entry {seq} does not fit the state before it: {what}")]
pub struct Misfit {
    pub seq: Seq,
    pub what: &'static str,
}

impl Durable {
    /// Absorbs one entry with the sequence and wall time it was journalled at.
    ///
    /// # Errors
    /// `Misfit` when it contradicts the state.
    pub fn absorb(&mut self, seq: Seq, wall_ms: u64, entry: Entry) -> Result<(), Misfit> {
        let misfit = |what| Misfit { seq, what };
        if seq != self.next_seq {
            return Err(misfit("its number does not follow the last one"));
        }
        self.next_seq = Seq(seq.0 + 1);
        if wall_ms > self.wall_ms {
            self.wall_ms = wall_ms;
            self.expire();
        }
        match entry {
            Entry::Limits(limits) => {
                self.limits = limits;
                self.repeat_window.set(limits.dedupe_window_ms, self.wall_ms, self.wall_ms);
            }
            Entry::Named { id, name } => {
                let fresh = Participant { name, ..Participant::default() };
                self.participants.insert(id, fresh);
            }
            Entry::Intent(intent) => self.absorb_intent(intent),
            Entry::Step(step) => self.absorb_step(*step).map_err(misfit)?,
            Entry::Outcome(outcome) => self.absorb_outcome(seq, *outcome).map_err(misfit)?,
            Entry::Taken(taken) => self.absorb_taken(seq, *taken).map_err(misfit)?,
            Entry::Late(late) => self.absorb_late(late).map_err(misfit)?,
            Entry::Discharged { id, how } => self.absorb_discharge(id, how).map_err(misfit)?,
            Entry::Parked { id, code } => {
                let held =
                    self.obligations.get_mut(&id).ok_or_else(|| misfit("it parks an unknown obligation"))?;
                held.parked = Some(code);
            }
            Entry::TimePassed => {}
            // The time of this very entry may have made it be forgotten already.
            Entry::Forgotten { id } => {
                self.lapsed.remove(id);
                if let Some(gone) = self.exceptions.remove(id) {
                    self.counts.entry(gone.participant).or_default().drop_exception(gone.books);
                }
            }
            Entry::CutOver { to, trigger } => self.absorb_cut_over(to, trigger),
            Entry::DateClosed { date } => {
                self.dates.open.remove(&date);
                let current = self.dates.current;
                self.books.carry(date, current);
                self.forget_books();
            }
            Entry::KeyEpoch { .. }
            | Entry::Working(_)
            | Entry::SignedOff { .. }
            | Entry::Reached { .. }
            | Entry::Drained { .. } => self.absorb_of_participant(entry).map_err(misfit)?,
            Entry::TerminalsSignedOff => self.signed_on.clear(),
            Entry::Taps(_)
            | Entry::BatchOpened(_)
            | Entry::BatchEnded(_)
            | Entry::Referenced { .. }
            | Entry::TapWindow { .. } => self.absorb_of_gateway(entry).map_err(misfit)?,
            Entry::TerminalSigned { acquirer, terminal, merchant, on } => {
                self.absorb_signed(self.terminal_key(acquirer, &terminal, &merchant), on);
            }
        }
        Ok(())
    }

    fn absorb_of_participant(&mut self, entry: Entry) -> Result<(), &'static str> {
        match entry {
            Entry::KeyEpoch { participant, usage, epoch, block } => {
                self.absorb_key(participant, usage, epoch, block)?;
            }
            Entry::Working(working) => self.absorb_working(*working)?,
            Entry::SignedOff { participant, off } => {
                self.known(participant).ok_or("a stranger signs")?.signed_off = off;
            }
            Entry::Reached { participant, way } => {
                self.known(participant).ok_or("it reaches a stranger")?.way = Some(way);
            }
            Entry::Drained { participant, on } => {
                self.known(participant).ok_or("it drains a stranger")?.drained = on;
            }
            _ => {}
        }
        Ok(())
    }

    fn absorb_of_gateway(&mut self, entry: Entry) -> Result<(), &'static str> {
        match entry {
            Entry::Taps(taken) => self.taps.absorb_taps(&taken),
            Entry::BatchOpened(opened) => self.taps.absorb_opened(*opened),
            Entry::BatchEnded(ended) => self.taps.absorb_ended(*ended)?,
            Entry::Referenced { reference, payment } => {
                let until_ms = self.remembered_until_ms();
                self.references.absorb(reference, payment, until_ms);
            }
            // A tap may be of a clock that is ahead.
            Entry::TapWindow { length_ms } => {
                let since_ms = self.wall_ms.saturating_add(AHEAD_MAX_MS);
                self.tap_window.set(length_ms, since_ms, self.wall_ms);
            }
            _ => {}
        }
        Ok(())
    }

    fn absorb_signed(&mut self, terminal: KeyedHash, on: bool) {
        if on {
            self.signed_on.put(terminal, ());
        } else {
            self.signed_on.take(&terminal);
        }
    }

    pub(super) fn known(&mut self, participant: ParticipantId) -> Option<&mut Participant> {
        self.participants.get_mut(&participant)
    }

    fn absorb_intent(&mut self, intent: Box<Intent>) {
        self.next_tx = self.next_tx.max((intent.tx.0 & !(0xff << 56)) + 1);
        for leg in &intent.legs {
            self.note_stan(leg.participant, leg.identity.stan);
        }
        self.dedupe.begin(intent.key, intent.fingerprint, intent.tx);
        let handles = self.handles_of(&intent);
        for handle in handles.iter() {
            self.handles.occupy(handle, intent.tx);
        }
        if let Some(target) = intent.target {
            self.originals.change(target, |target| target.busy = Some(intent.tx));
        }
        *self.dates.open.entry(intent.date).or_insert(0) += 1;
        let ends = intent.legs.iter().map(|_| LegEnd { state: LegState::Sent, agreed: 0 }).collect();
        self.open.put(intent.tx, OpenTx { intent, wall_ms: self.wall_ms, ends, handles });
    }

    fn absorb_step(&mut self, step: Step) -> Result<(), &'static str> {
        self.note_stan(step.next.participant, step.next.identity.stan);
        let tx = self.open.get_mut(&step.tx).ok_or("it steps a transaction that is not open")?;
        let end = tx.ends.get_mut(usize::from(step.leg)).ok_or("it steps a leg that is not there")?;
        *end = LegEnd { state: LegState::Approved, agreed: step.agreed };
        let leg = &tx.intent.legs[usize::from(step.leg)];
        let (participant, kind, date, currency) =
            (leg.participant, tx.intent.kind, tx.intent.date, tx.intent.money.currency);
        tx.intent.legs.push(step.next);
        tx.ends.push(LegEnd { state: LegState::Sent, agreed: 0 });
        let money = Money { minor: step.agreed, currency };
        self.book_agreed(participant, kind, date, money);
        let date = self.book_date(date);
        self.books.change(date, currency, |book| book.in_flight += signed(kind, step.agreed));
        Ok(())
    }

    fn absorb_taken(&mut self, seq: Seq, taken: Taken) -> Result<(), &'static str> {
        let reversal = taken.reversal;
        self.absorb_intent(Box::new(taken.intent));
        self.absorb_outcome(seq, taken.outcome)?;
        match reversal {
            Some(ReversalOf::Kept(no)) => self.undo_original(no),
            Some(ReversalOf::Unknown { handle, .. }) => {
                let until_ms = self.remember(handle);
                if !planted(Planted::EarlyReversalForgotten) {
                    self.reversed_before.put(handle, until_ms);
                }
            }
            Some(ReversalOf::Undone(no)) => {
                self.originals.change(no, |original| original.reversed_while_undone = true);
            }
            Some(ReversalOf::WithoutEffect | ReversalOf::InFlight(_)) | None => {}
        }
        Ok(())
    }

    fn absorb_outcome(&mut self, seq: Seq, outcome: Outcome) -> Result<(), &'static str> {
        let tx = self.open.take(&outcome.tx).ok_or("it ends a transaction that is not open")?;
        let (kind, currency) = (tx.intent.kind, tx.intent.money.currency);
        let started = outcome.legs.iter().filter(|end| end.state != LegState::Planned);
        for (at, end) in started.enumerate() {
            let before = tx.ends.get(at).ok_or("it ends a leg that was never planned")?;
            let leg = tx.intent.legs.get(at).ok_or("it ends a leg that was never planned")?;
            if before.state == LegState::Approved {
                let date = self.book_date(tx.intent.date);
                self.books.change(date, currency, |book| book.in_flight -= signed(kind, before.agreed));
            } else if end.agreed > 0 {
                let money = Money { minor: end.agreed, currency };
                self.book_agreed(leg.participant, kind, tx.intent.date, money);
            }
        }
        if outcome.approved > 0 {
            let money = Money { minor: outcome.approved, currency };
            self.book_told(tx.intent.acquirer, kind, tx.intent.date, money, false);
        }
        // What a date that is over could not take, its successor does not have to (rule 10).
        if outcome.stand_in && tx.intent.date == self.dates.current {
            self.spend_stand_in(&tx.intent, outcome.approved);
        }
        for owed in outcome.owed.iter().filter(|_| !planted(Planted::OwedNotKept)).cloned() {
            self.owe(owed);
        }
        self.finish_keys(seq, &tx, &outcome);
        let in_flight = self.dates.open.get_mut(&tx.intent.date).ok_or("its business date is closed")?;
        *in_flight = in_flight.saturating_sub(1);
        Ok(())
    }

    /// Dedupe key, handles, kept payment and target of a transaction that just ended.
    fn finish_keys(&mut self, seq: Seq, tx: &OpenTx, outcome: &Outcome) {
        let intent = &tx.intent;
        self.dedupe.finish(intent.key, intent.fingerprint, seq);
        let at_ms = self.wall_ms.saturating_add(self.limits.dedupe_window_ms);
        let at_ms = if planted(Planted::KeysForgottenEarly) {
            self.wall_ms + self.limits.dedupe_window_ms / 1000
        } else {
            at_ms
        };
        self.dedupe_ring.push(Expiry { at_ms, key: intent.key });
        let stands =
            (outcome.code.is_approved() || outcome.approved > 0) && first_life(intent.kind).is_some();
        if let Some(target) = intent.target {
            // One that owes nothing does not hide what its forerunner still owes (rule 8).
            let hides = |last| outcome.owed.is_empty() && self.owing.has(&last);
            self.originals.change(target, |target| {
                target.busy = None;
                if !target.last_on_it.is_some_and(hides) {
                    target.last_on_it = Some(intent.tx);
                }
                if stands {
                    apply_to_target(target, intent.kind, outcome.approved);
                }
            });
        }
        if stands && intent.kind == Kind::CompletionCancel {
            self.move_hold(intent.target, true);
        }
        let became = if stands {
            Became::Kept(self.keep(tx, outcome))
        } else {
            Became::Ended { sent_at: intent.sent_at, until_ms: self.remembered_until_ms() }
        };
        for handle in tx.handles.iter() {
            // A newer transaction of the same terminal and F11 keeps its place.
            if self.handles.leave(handle, intent.tx, became) && !stands {
                self.remember(handle);
            }
        }
    }

    fn keep(&mut self, tx: &OpenTx, outcome: &Outcome) -> OriginalNo {
        let intent = &tx.intent;
        let stood = intent.legs.iter().zip(&outcome.legs).enumerate();
        let stood =
            stood.filter(|(_, (_, end))| end.state == LegState::Approved).map(|(at, (leg, end))| KeptLeg {
                role: leg.role,
                leg: at as u8,
                participant: leg.participant,
                identity: leg.identity,
                amount: leg.amount,
                agreed: end.agreed,
            });
        // What is advised or repeated stands as the message that will carry it.
        let told = outcome.owed.iter().filter(|owed| owed.kind != OwedKind::Reverse).map(|owed| KeptLeg {
            role: LegRole::Issuer,
            leg: owed.of.leg,
            participant: owed.participant,
            identity: owed.identity,
            amount: owed.money.minor,
            agreed: owed.money.minor,
        });
        let legs = stood.chain(told);
        let original = Original {
            tx: intent.tx,
            kind: intent.kind,
            mti: intent.mti,
            life: first_life(intent.kind).unwrap_or(Life::Approved),
            busy: None,
            stand_in: outcome.stand_in,
            acquirer: intent.acquirer,
            terminal: intent.terminal,
            stan: intent.stan,
            sent_at: intent.sent_at,
            rrn: intent.rrn,
            card: intent.card,
            money: Money { minor: outcome.approved, ..intent.money },
            asked: intent.money.minor,
            used: 0,
            date: intent.date,
            expires_ms: self.wall_ms.saturating_add(self.limits.original_window_ms),
            target: intent.target,
            reversed_while_undone: false,
            last_on_it: None,
            origin: intent.origin,
            handles: tx.handles,
            legs: legs.collect(),
        };
        if self.originals.len() >= self.limits.originals_max.max(1) {
            self.drop_oldest_original();
        }
        self.originals.push(original)
    }

    /// A kept payment is reversed: told money goes back, and what it did to another is undone.
    fn undo_original(&mut self, no: OriginalNo) {
        let Some(original) = self.originals.change(no, |held| held.life = Life::Reversed) else { return };
        self.book_told(original.acquirer, original.kind, original.date, original.money, true);
        if let Some(target) = original.target {
            self.originals
                .change(target, |target| undo_on_target(target, original.kind, original.money.minor));
        }
        if original.kind == Kind::CompletionCancel {
            self.move_hold(original.target, false);
        }
        if original.stand_in && original.date == self.dates.current {
            self.give_back_stand_in(&original);
        }
    }

    /// A cancelled completion gives its hold back, and takes it again when the cancel is reversed.
    fn move_hold(&mut self, completion: Option<OriginalNo>, back: bool) {
        let Some(done) = completion.and_then(|no| self.originals.get(no)) else { return };
        let (kind, minor) = (done.kind, done.money.minor);
        let Some(hold) = done.target else { return };
        let moved = if back { undo_on_target } else { apply_to_target };
        self.originals.change(hold, |hold| moved(hold, kind, minor));
    }

    fn absorb_late(&mut self, late: Late) -> Result<(), &'static str> {
        match late.effect {
            LateEffect::None | LateEffect::AlreadyReversed => {}
            LateEffect::ReversalPending(id) => {
                self.book_agreed(late.participant, late.kind, late.date, late.money);
                let date = self.book_date(late.date);
                let held =
                    self.obligations.get_mut(&id).ok_or("a late answer names an unknown obligation")?;
                held.owed.stood = Some(late.money.minor);
                let moved = held.owed.books();
                self.books.change(date, late.money.currency, |book| book.owed += moved);
            }
            LateEffect::Reopened(owed) => {
                self.book_agreed(late.participant, late.kind, late.date, late.money);
                self.lapsed.remove(owed.id);
                self.owe(*owed);
            }
            LateEffect::Excepted(id) => {
                self.book_agreed(late.participant, late.kind, late.date, late.money);
                let date = self.book_date(late.date);
                let moved = signed(late.kind, late.money.minor);
                self.books.change(date, late.money.currency, |book| book.exceptions -= moved);
                // Its name may have been forgotten a moment ago; its sum is on the books all the same.
                if let Some(held) = self.exceptions.get_mut(id) {
                    let counts = self.counts.entry(held.participant).or_default();
                    counts.drop_exception(held.books);
                    held.books -= moved;
                    counts.add_exception(held.books);
                }
            }
            LateEffect::Settles(id) => {
                self.absorb_discharge(id, Discharge::Acknowledged { code: late.code })?;
            }
        }
        Ok(())
    }

    fn absorb_discharge(&mut self, id: ObligationId, how: Discharge) -> Result<(), &'static str> {
        let Obligation { owed, .. } = self.obligations.remove(&id).ok_or("it ends an unknown obligation")?;
        if let Some(count) = self.owing.get_mut(&owed.of.tx) {
            *count -= 1;
            if *count == 0 {
                self.owing.take(&owed.of.tx);
            }
        }
        let date = self.book_date(owed.date);
        let books = owed.books();
        let (agreed, excepted) = match how {
            Discharge::Acknowledged { .. } | Discharge::NeverSent | Discharge::Unknown => (books, 0),
            Discharge::Refused { .. } | Discharge::Settled { .. } => (0, books),
        };
        self.books.change(date, owed.money.currency, |book| {
            book.owed -= books;
            book.agreed += agreed;
            book.exceptions += excepted;
        });
        self.counts.entry(owed.participant).or_default().obligations -= 1;
        let why = match how {
            Discharge::Acknowledged { .. } | Discharge::NeverSent => {
                let moved = if undoes(owed.kind) { owed.stood } else { Some(owed.money.minor) };
                if let Some(minor) = moved {
                    let key = (date, owed.money.currency, Side::Issuer, owed.participant);
                    self.books.count(key, owed.tx_kind, minor, undoes(owed.kind));
                }
                return Ok(());
            }
            Discharge::Unknown => {
                let expires_ms = self.wall_ms.saturating_add(self.limits.dedupe_window_ms);
                self.lapsed.insert(id, expires_ms, owed);
                return Ok(());
            }
            Discharge::Refused { code } => format!("refused with {code}"),
            Discharge::Settled { reason } => format!("settled by an operator: {reason}"),
        };
        self.counts.entry(owed.participant).or_default().add_exception(books);
        let exception = Exception {
            participant: owed.participant,
            tx: owed.of.tx,
            kind: owed.kind,
            terminal: owed.terminal,
            money: owed.money,
            date,
            books,
            why,
        };
        self.exceptions.insert(id, self.wall_ms, exception);
        Ok(())
    }

    fn absorb_cut_over(&mut self, to: BusinessDate, trigger: CutOverTrigger) {
        self.dates.current = to;
        self.dates.open.entry(to).or_insert(0);
        // The first date of a journal follows none.
        if trigger != CutOverTrigger::Start {
            self.dates.cut_over_ms = self.wall_ms;
        }
        self.stand_in_cards.clear();
        self.stand_in_issuers.clear();
    }

    /// The sums of a date go with its payments. A day more than the window: the date ended in some other zone.
    fn forget_books(&mut self) {
        let age_ms = self.limits.original_window_ms.saturating_add(DAY_MS);
        let first = business_date(self.wall_ms.saturating_sub(age_ms), 0);
        let open = &self.dates.open;
        self.books.forget(first, |date| open.contains_key(date));
        self.taps.forget_sums_before(first);
    }

    fn owe(&mut self, owed: Owed) {
        self.next_obligation = self.next_obligation.max(owed.id.0 + 1);
        if owed.kind != OwedKind::Repeat {
            // A repeat keeps the F11 of its leg, which the counter has long passed.
            self.note_stan(owed.participant, owed.identity.stan);
        }
        *self.owing.entry_or(owed.of.tx, || 0) += 1;
        let date = self.book_date(owed.date);
        self.books.change(date, owed.money.currency, |book| book.owed += owed.books());
        self.counts.entry(owed.participant).or_default().obligations += 1;
        self.obligations.insert(owed.id, Obligation { owed, parked: None });
    }

    fn book_agreed(&mut self, who: ParticipantId, kind: Kind, date: BusinessDate, money: Money) {
        let date = self.book_date(date);
        let times = if planted(Planted::BookedTwice) { 2 } else { 1 };
        let change = times * signed(kind, money.minor);
        self.books.change(date, money.currency, |book| book.agreed += change);
        self.books.count((date, money.currency, Side::Issuer, who), kind, money.minor, false);
    }

    fn book_told(&mut self, who: ParticipantId, kind: Kind, date: BusinessDate, money: Money, undo: bool) {
        let date = self.book_date(date);
        let signed = signed(kind, money.minor);
        self.books.change(date, money.currency, |book| book.told += if undo { -signed } else { signed });
        self.books.count((date, money.currency, Side::Acquirer, who), kind, money.minor, undo);
    }

    fn spend_stand_in(&mut self, intent: &Intent, minor: u64) {
        let Some(leg) = intent.legs.first() else { return };
        if let Some(card) = intent.card {
            let spent = self.stand_in_cards.entry_or((leg.participant, card), Default::default);
            spent.count += 1;
            spent.minor = spent.minor.saturating_add(minor);
        }
        let spent = self.stand_in_issuers.entry(leg.participant).or_default();
        spent.count += 1;
        spent.minor = spent.minor.saturating_add(minor);
    }

    fn give_back_stand_in(&mut self, original: &Original) {
        let Some(leg) = original.legs.first() else { return };
        let minor = original.money.minor;
        let card = original.card.and_then(|card| self.stand_in_cards.get_mut(&(leg.participant, card)));
        for spent in card.into_iter().chain(self.stand_in_issuers.get_mut(&leg.participant)) {
            spent.count = spent.count.saturating_sub(1);
            spent.minor = spent.minor.saturating_sub(minor);
        }
    }

    fn note_stan(&mut self, participant: ParticipantId, stan: u32) {
        if let Some(held) = self.participants.get_mut(&participant) {
            held.last_stan = stan;
        }
    }

    /// Where others will find this transaction. A message that carries its original's F37 does not take over
    /// the original's place, and a reversal is never named by anything.
    fn handles_of(&self, intent: &Intent) -> Handles {
        if intent.kind == Kind::Reversal {
            return Handles::default();
        }
        let (acquirer, terminal) = (intent.acquirer, &intent.terminal);
        let mut by_stan = self.handle_by_stan(acquirer, terminal, intent.mti, intent.stan);
        if self.handle(by_stan).is_some_and(|held| apart(self.origin_of(&held), intent.origin)) {
            by_stan = self.handle_by_origin(acquirer, terminal, intent.mti, intent.stan, intent.origin);
        }
        let by_rrn = match (names_an_original(intent.kind), intent.rrn_given) {
            (true, _) => KeyedHash(0),
            (false, true) => self.handle_by_given_rrn(acquirer, terminal, &intent.rrn),
            (false, false) => self.handle_by_rrn(acquirer, terminal, &intent.rrn),
        };
        Handles { by_stan, by_rrn }
    }

    /// Until when the place is looked at of what ends now without effect, or is reversed before it comes.
    fn remembered_until_ms(&self) -> u64 {
        self.wall_ms.saturating_add(self.limits.dedupe_window_ms)
    }

    fn remember(&mut self, key: KeyedHash) -> u64 {
        let at_ms = self.remembered_until_ms();
        self.handle_ring.push(Expiry { at_ms, key });
        at_ms
    }

    /// Forgets what the wall time of this entry puts outside its window.
    fn expire(&mut self) {
        while let Some(oldest) = self.dedupe_ring.oldest().filter(|oldest| oldest.at_ms <= self.wall_ms) {
            let key = oldest.key;
            self.dedupe.forget(&key);
            self.dedupe_ring.drop_oldest();
        }
        while let Some(oldest) = self.handle_ring.oldest().filter(|oldest| oldest.at_ms <= self.wall_ms) {
            let Expiry { at_ms, key } = *oldest;
            // Whoever came to the same place later has an end of his own.
            self.handles.drop_ended(&key, at_ms);
            self.reversed_before.take_if(&key, |until_ms| *until_ms <= at_ms);
            self.handle_ring.drop_oldest();
        }
        while self.originals.oldest_expires_ms().is_some_and(|expires_ms| expires_ms <= self.wall_ms) {
            self.drop_oldest_original();
        }
        self.taps.expire(self.wall_ms);
        self.references.expire(self.wall_ms, &self.dedupe);
        self.lapsed.forget_until(self.wall_ms, |_| {});
        if let Some(until_ms) = self.wall_ms.checked_sub(self.limits.original_window_ms) {
            let counts = &mut self.counts;
            self.exceptions.forget_until(until_ms, |gone| {
                counts.entry(gone.participant).or_default().drop_exception(gone.books);
            });
        }
    }

    fn drop_oldest_original(&mut self) {
        let Some((no, handles)) = self.originals.drop_oldest() else { return };
        for handle in handles.iter() {
            self.handles.drop_kept(&handle, no);
        }
    }
}

/// Both say where they come from, and it is not the same place.
pub(super) fn apart(one: u64, other: u64) -> bool {
    one != 0 && other != 0 && one != other
}
