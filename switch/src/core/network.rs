//! Network management (0800, 0820) and the business date. A sign-off on a participant's line is durable, and so is
//! a terminal's sign-on: it needs no new one after a restart or on a new connection (rule 15). The next date opens
//! before the old one closes (rule 13).

use super::Core;
use super::batch::Batch;
use super::clock::{DAY_MS, business_date, local, next_date};
use super::counters::{Bound, Refusal};
use super::durable::Participant;
use super::effect::{Alarm, Effect, Request, TerminalName};
use super::entry::{CutOverTrigger, Entry};
use super::facts::Facts;
use super::finish::Told;
use super::ids::{BusinessDate, Now, ParticipantId, Peer};
use super::volatile::Waiter;
use yika_codec::{Code, Kind};

/// A cut-over so soon after the last is the same one, told by another: half a day, as dates are a day long.
const CUT_OVER_GUARD_MS: u64 = DAY_MS / 2;

impl Core {
    pub(super) fn network(&mut self, batch: &mut Batch, waiter: Waiter, request: &Request) {
        let Request { facts, proven, sign_in, .. } = request;
        let on_line = matches!(waiter.peer, Peer::Line(_));
        let code = match facts.kind {
            Kind::SignOn | Kind::SignOff if on_line => {
                self.note_sign(batch, facts.acquirer, facts.kind == Kind::SignOff);
                Code::APPROVED
            }
            Kind::SignOn | Kind::SignOff => self.sign_terminal(batch, facts, *proven),
            Kind::Echo => Code::APPROVED,
            Kind::CutOver if on_line => {
                // Whether it opened a date or came second: the next date is open, and that is what the bank asks.
                let _ = self.cut_over(batch, CutOverTrigger::Message);
                Code::APPROVED
            }
            // A terminal does not move the business date, and its keys come by its own sign-in.
            _ => self.settings.listener(facts.listener).map_or(Code::new(*b"40"), |l| l.codes.unsupported),
        };
        let signed_in = sign_in.as_deref().filter(|_| code == Code::APPROVED);
        let Some(signed_in) = signed_in else { return self.reply(batch, waiter, facts.kind, code) };
        match self.sign_in(batch, signed_in.clone()) {
            Ok(record) => self.reply(batch, waiter, facts.kind, Told { record, ..Told::from(code) }),
            Err(why) => {
                self.counters.refusal(why);
                let code = self.settings.listener(facts.listener).map_or(code, |l| l.codes.overload);
                self.reply(batch, waiter, facts.kind, code);
            }
        }
    }

    fn note_sign(&mut self, batch: &mut Batch, participant: ParticipantId, off: bool) {
        let held = self.durable.participants.get(&participant);
        if held.is_some_and(|held| held.signed_off != off) {
            batch.record(&mut self.durable, Entry::SignedOff { participant, off });
            self.note_halt(batch, participant);
        }
    }

    /// Journalled when it changes something, only where a listener asks for it, and only when its sender is known: else
    /// anybody could fill the table. Nobody is signed off to make room.
    fn sign_terminal(&mut self, batch: &mut Batch, facts: &Facts, proven: bool) -> Code {
        let on = facts.kind == Kind::SignOn;
        let listener = self.settings.listener(facts.listener).filter(|listener| listener.sign_on_required);
        let Some(listener) = listener.filter(|_| facts.names_terminal() && proven) else {
            return Code::APPROVED;
        };
        if self.is_signed_on(facts) == on {
            return Code::APPROVED;
        }
        let overload = listener.codes.overload;
        let full = on && self.durable.signed_on.len() >= self.settings.bounds.terminals_max;
        if let Some(why) = self.no_room().or(full.then_some(Refusal::Full(Bound::Terminals))) {
            self.counters.refusal(why);
            return overload;
        }
        let (acquirer, terminal) = (facts.acquirer, facts.terminal);
        if on {
            let merchant = facts.merchant;
            batch.record(&mut self.durable, Entry::TerminalSigned { acquirer, terminal, merchant, on });
        } else {
            for merchant in facts.merchants() {
                self.sign_off_one(batch, TerminalName { acquirer, terminal, merchant });
            }
        }
        Code::APPROVED
    }

    pub(super) fn is_signed_on(&self, facts: &Facts) -> bool {
        let key = |merchant| self.durable.terminal_key(facts.acquirer, &facts.terminal, &merchant);
        facts.merchants().into_iter().any(|merchant| self.durable.signed_on.has(&key(merchant)))
    }

    /// False when it was not signed on under this name.
    fn sign_off_one(&mut self, batch: &mut Batch, name: TerminalName) -> bool {
        let TerminalName { acquirer, terminal, merchant } = name;
        let held = self.durable.signed_on.has(&self.durable.terminal_key(acquirer, &terminal, &merchant));
        if held {
            let entry = Entry::TerminalSigned { acquirer, terminal, merchant, on: false };
            batch.record(&mut self.durable, entry);
        }
        held
    }

    /// By an operator: one terminal, or all that ever signed on.
    pub(super) fn sign_off(&mut self, batch: &mut Batch, whom: Option<TerminalName>, ticket: u64) {
        let refused = match whom {
            Some(name) if !self.sign_off_one(batch, name) => Some(
                "no such terminal is signed on: it is named as its sign-on named it, with F42 or without"
                    .into(),
            ),
            None if !self.durable.signed_on.is_empty() => {
                batch.record(&mut self.durable, Entry::TerminalsSignedOff);
                None
            }
            _ => None,
        };
        batch.effect(Effect::Done { ticket, refused });
    }

    /// What is in flight ends; what is owed waits, and new requests find the participant unreachable (rule 15).
    pub(super) fn drain(&mut self, batch: &mut Batch, participant: ParticipantId, on: bool, ticket: u64) {
        let held = self.durable.participants.get(&participant);
        if held.is_some_and(|held| held.drained != on) {
            batch.record(&mut self.durable, Entry::Drained { participant, on });
            self.note_halt(batch, participant);
        }
        batch.effect(Effect::Done { ticket, refused: None });
    }

    fn note_halt(&self, batch: &mut Batch, participant: ParticipantId) {
        let halted = self.durable.participants.get(&participant).is_some_and(Participant::is_halted);
        batch.effect(Effect::Halted { participant, halted });
    }

    /// Opens the next date, once: several banks and the clock tell of the same cut-over, on either side of midnight,
    /// and whoever is second within `CUT_OVER_GUARD_MS` changes nothing. Err says so.
    pub(super) fn cut_over(&mut self, batch: &mut Batch, trigger: CutOverTrigger) -> Result<(), String> {
        let zone_minutes = self.settings.zone_minutes;
        let today = business_date(batch.wall_ms, zone_minutes);
        let dates = &self.durable.dates;
        let since_ms = batch.wall_ms.saturating_sub(dates.cut_over_ms);
        if dates.current > today || since_ms < CUT_OVER_GUARD_MS {
            return Err(format!(
                "the business date is {} since {} minutes: a cut-over within 12 hours of the last, or beyond \
                 tomorrow, changes nothing",
                dates.current.0,
                since_ms / 60_000
            ));
        }
        // Early in the day it is yesterday's cut-over that comes late, unless that was made.
        let early = local(batch.wall_ms, zone_minutes).day_ms < DAY_MS / 2;
        let to = if early && dates.current < today { today } else { next_date(today) };
        self.open_date(batch, to, trigger);
        Ok(())
    }

    /// The clock names the date it opens, so that it needs no guard: what is open already is not opened again.
    pub(super) fn cut_over_by_clock(&mut self, now: Now, batch: &mut Batch) {
        let due = date_by_clock(now.wall_ms, self.settings.zone_minutes, self.settings.cut_over_minute);
        if self.durable.dates.current.0 == 0 {
            let first = due.unwrap_or_else(|| business_date(now.wall_ms, self.settings.zone_minutes));
            self.open_date(batch, first, CutOverTrigger::Start);
        }
        if let Some(due) = due.filter(|due| *due > self.durable.dates.current) {
            self.open_date(batch, due, CutOverTrigger::Clock);
        }
    }

    fn open_date(&mut self, batch: &mut Batch, to: BusinessDate, trigger: CutOverTrigger) {
        batch.record(&mut self.durable, Entry::CutOver { to, trigger });
        batch.effect(Effect::Alarm(Alarm::DateOpened { date: to }));
    }

    /// A past date closes when nothing of it is in flight.
    pub(super) fn close_dates(&mut self, batch: &mut Batch) {
        let current = self.durable.dates.current;
        let done = self.durable.dates.open.iter().find(|(date, count)| **date < current && **count == 0);
        if let Some(date) = done.map(|(date, _)| *date) {
            batch.record(&mut self.durable, Entry::DateClosed { date });
            batch.effect(Effect::Alarm(Alarm::DateClosed { date }));
        }
    }
}

/// The business date that a daily cut-over at `minute` makes of this moment. From noon on it is the evening's, and opens
/// the date of the next day; before noon it comes after midnight, and opens the date of the day that began.
fn date_by_clock(wall_ms: u64, zone_minutes: i32, minute: Option<u32>) -> Option<BusinessDate> {
    let minute_ms = u64::from(minute?) * 60_000;
    let past = local(wall_ms, zone_minutes).day_ms >= minute_ms;
    let today = business_date(wall_ms, zone_minutes);
    Some(match (minute_ms < DAY_MS / 2, past) {
        (true, false) => business_date(wall_ms.saturating_sub(DAY_MS), zone_minutes),
        (true, true) | (false, false) => today,
        (false, true) => next_date(today),
    })
}
