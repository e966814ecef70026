//! The books of a simulated issuer or coupon platform: what it booked, and what it answers.
//!
//! Pure: a request goes in, a decision comes out; no socket, no clock. It books each message once however often it
//! comes, remembers a reversal that comes before its original, and follows the script for the rest.

use crate::clock::digits;
use crate::ledger::{CardBook, Entry, Ledger, Side, State};
use crate::script::{Decision, Delivery, Fate, Script};
use crate::text::Text;
use std::collections::HashMap;
use std::time::Duration;
use yika_codec::{Code, Kind, Mti, Pan};

/// What a host plays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// A bank that issues cards.
    Issuer,
    /// The platform that grants coupons.
    CouponPlatform,
}

/// A request, as far as the books look at it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) kind: Kind,
    pub(crate) mti: Mti,
    pub(crate) terminal: [u8; 8],
    pub(crate) rrn: Option<[u8; 12]>,
    pub(crate) stan: u32,
    /// F7, else F13 and F12, as a number.
    pub(crate) at: u32,
    pub(crate) amount: u64,
    pub(crate) currency: u16,
    pub(crate) pan: Option<Pan>,
    pub(crate) original: Named,
    /// The second part of F60; zero without one.
    pub(crate) batch: u32,
    /// The PIN block does not hold the test PIN.
    pub(crate) pin_wrong: bool,
}

/// The message that a reversal names; of one that a void, completion, cancellation or refund names the batch alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Named {
    /// Without it (F61) any type is meant.
    pub(crate) mti: Option<Mti>,
    pub(crate) stan: u32,
    /// Zero if it is not said.
    pub(crate) at: u32,
    /// The batch in F61; zero if it is not said, and then any is meant.
    pub(crate) batch: u32,
}

/// What to answer, and how it travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Decided {
    pub(crate) code: Code,
    /// F4, where it differs from what was asked.
    pub(crate) amount: Option<u64>,
    /// F38 of an approval.
    pub(crate) approval: Option<[u8; 6]>,
    pub(crate) delivery: Delivery,
    pub(crate) twice: bool,
    pub(crate) delay: Duration,
}

/// What the books have counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct BookCounts {
    /// Booked.
    pub approved: u64,
    /// Refused.
    pub declined: u64,
    /// Reversals that undid a booking.
    pub reversed: u64,
    /// Reversals of what is not known, remembered.
    pub reversals_unknown: u64,
    /// Originals that came after their reversal, refused.
    pub reversed_before: u64,
    /// Messages that came again and were answered as before.
    pub repeats: u64,
}

pub(crate) struct Books {
    role: Role,
    seed: u64,
    pub(crate) script: Script,
    reversal_unknown: Code,
    rows: Vec<Row>,
    /// The latest row of each payment; rows of a payment are chained.
    latest: HashMap<Key, u32>,
    approvals: u64,
    pub(crate) counts: BookCounts,
}

/// F41 and F37.
type Key = [u8; 20];

/// One message, 96 bytes.
struct Row {
    key: Key,
    before: u32,
    mti: u16,
    kind: Kind,
    stan: u32,
    at: u32,
    batch: u32,
    asked: u64,
    booked: u64,
    /// Voided, completed or refunded so far.
    used: u64,
    /// The row that this one voids, completes or refunds.
    target: u32,
    pan: u64,
    pan_digits: u8,
    currency: u16,
    approval: u32,
    code: Code,
    state: RowState,
    reversal_seen: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum RowState {
    /// The script lost it: as if it had never come.
    Lost,
    Approved,
    Declined,
    Reversed,
    /// Its reversal came first.
    ReversedBefore,
}

const NONE: u32 = u32::MAX;

/// The most messages in one set of books; about 6 GiB.
const ROWS_MAX: usize = 64_000_000;

const PARTIAL: Code = Code::new(*b"10");
const INVALID: Code = Code::new(*b"12");
const NOT_FOUND: Code = Code::new(*b"25");
const FUNDS: Code = Code::new(*b"51");
const WRONG_PIN: Code = Code::new(*b"55");
const OTHER_AMOUNT: Code = Code::new(*b"64");
const FULL: Code = Code::new(*b"96");

impl Books {
    /// `payments` are expected; more only cost the time to grow.
    pub(crate) fn new(
        role: Role,
        script: Script,
        seed: u64,
        reversal_unknown: Code,
        payments: usize,
    ) -> Books {
        Books {
            role,
            seed,
            script,
            reversal_unknown,
            rows: Vec::with_capacity(payments),
            latest: HashMap::with_capacity(payments),
            approvals: 0,
            counts: BookCounts::default(),
        }
    }

    /// Books a request, or finds what was booked, and says what to answer.
    pub(crate) fn handle(&mut self, asked: &Asked) -> Decided {
        if self.rows.len() >= ROWS_MAX {
            return Decided::now(FULL);
        }
        match asked.kind {
            Kind::Reversal => self.reverse(asked),
            Kind::Balance => {
                let fate = self.fate(asked, &key_of(asked, asked.stan));
                Decided { approval: Some(self.next_approval()), ..Decided::by(fate, Code::APPROVED) }
            }
            _ => self.book(asked),
        }
    }

    /// What stands in the books.
    pub(crate) fn ledger(&self, name: &str) -> Ledger {
        let side = match self.role {
            Role::Issuer => Side::Issuer,
            Role::CouponPlatform => Side::CouponPlatform,
        };
        let mut cards = CardBook::new();
        let entries = self.rows.iter().filter_map(|row| row.entry(&mut cards)).collect();
        Ledger { side, name: name.to_owned(), entries }
    }

    fn book(&mut self, asked: &Asked) -> Decided {
        let key = key_of(asked, asked.stan);
        let mti = asked.mti.without_repeat().bcd();
        let same = |row: &Row| {
            row.stan == asked.stan
                && (row.mti == mti || row.mti == 0)
                && (row.at == asked.at || row.at == 0 && row.state == RowState::ReversedBefore)
        };
        let held = self.find(&key, same);
        let fate = match held {
            Some(at) => match self.rows[at].state {
                RowState::Lost => Fate { delivery: Delivery::Answer, ..self.fate(asked, &key) },
                RowState::ReversedBefore => {
                    self.counts.reversed_before += 1;
                    return Decided::now(INVALID);
                }
                _ => return self.again(at),
            },
            None => self.fate(asked, &key),
        };
        let at = held.unwrap_or_else(|| self.push(key, mti, asked.stan, asked.at));
        self.fill(at, asked);
        if fate.delivery == Delivery::Lost {
            return Decided::by(fate, Code::APPROVED);
        }
        let (code, booked) = match self.examine(at, &key, asked) {
            Err(code) => (code, 0),
            Ok(target) => {
                let (code, booked) = decide(self.role, fate.decision, asked);
                if booked > 0 {
                    self.rows[at].target = target;
                    self.use_target(target, asked.kind, booked);
                }
                (code, booked)
            }
        };
        let stands = code == Code::APPROVED || code == PARTIAL;
        if stands {
            self.counts.approved += 1;
            self.approvals += 1;
        } else {
            self.counts.declined += 1;
        }
        let approval = (self.approvals % 1_000_000) as u32;
        let row = &mut self.rows[at];
        row.code = code;
        row.booked = booked;
        row.approval = approval;
        row.state = if stands { RowState::Approved } else { RowState::Declined };
        Decided { delivery: fate.delivery, twice: fate.twice, delay: fate.delay, ..self.rows[at].answer() }
    }

    /// The same answer as before, without the script's faults.
    fn again(&mut self, at: usize) -> Decided {
        self.counts.repeats += 1;
        self.rows[at].answer()
    }

    /// The row that a void, completion or refund builds on, or why it may not.
    fn examine(&self, own: usize, key: &Key, asked: &Asked) -> Result<u32, Code> {
        if asked.pin_wrong {
            return Err(WRONG_PIN);
        }
        let wanted: fn(Kind) -> bool = match asked.kind {
            Kind::Void | Kind::Refund => |kind| {
                matches!(
                    kind,
                    Kind::Purchase | Kind::PurchaseAdvice | Kind::Completion | Kind::CompletionAdvice
                )
            },
            Kind::CompletionCancel => |kind| kind == Kind::Completion,
            Kind::Completion | Kind::CompletionAdvice | Kind::PreAuthCancel => {
                |kind| matches!(kind, Kind::PreAuthorization | Kind::Authorization)
            }
            _ => return Ok(NONE),
        };
        let named = |row: &Row| asked.original.is_in(row.batch);
        let found = self.find(key, |row| wanted(row.kind) && row.state == RowState::Approved && named(row));
        let at = found.filter(|at| *at != own).ok_or(NOT_FOUND)?;
        let row = &self.rows[at];
        let left = row.booked.saturating_sub(row.used);
        let fits = match asked.kind {
            Kind::Refund => asked.amount <= left,
            // At most 115 % of what is held (the usual rule of pre-authorizations), and once.
            Kind::Completion | Kind::CompletionAdvice => {
                row.used == 0 && asked.amount <= row.booked * 23 / 20
            }
            _ => row.used == 0 && asked.amount == row.booked,
        };
        let at = u32::try_from(at).unwrap_or(NONE);
        if fits { Ok(at) } else { Err(OTHER_AMOUNT) }
    }

    fn use_target(&mut self, target: u32, kind: Kind, amount: u64) {
        if let Some(row) = self.rows.get_mut(target as usize) {
            row.used = if kind == Kind::Refund { row.used.saturating_add(amount) } else { row.booked.max(1) };
        }
    }

    fn reverse(&mut self, asked: &Asked) -> Decided {
        let Named { mti, stan, at, .. } = asked.original;
        let key = key_of(asked, stan);
        let named = |row: &Row| {
            row.stan == stan
                && mti.is_none_or(|mti| row.mti == mti.without_repeat().bcd() || row.mti == 0)
                && (at == 0 || row.at == at || row.at == 0)
                && asked.original.is_in(row.batch)
        };
        let held = self.find(&key, named).unwrap_or_else(|| {
            let mti = mti.map_or(0, |mti| mti.without_repeat().bcd());
            let row = self.push(key, mti, stan, at);
            self.fill(row, asked);
            row
        });
        let first = !self.rows[held].reversal_seen && !asked.mti.is_repeat();
        self.rows[held].reversal_seen = true;
        let fate = if first { self.fate(asked, &key) } else { Fate::PLAIN };
        if fate.delivery == Delivery::Lost {
            return Decided::by(fate, Code::APPROVED);
        }
        if fate.busy {
            return Decided::now(FULL);
        }
        let code = match self.rows[held].state {
            RowState::Approved => {
                self.counts.reversed += 1;
                self.rows[held].state = RowState::Reversed;
                self.give_back(held);
                Code::APPROVED
            }
            RowState::Reversed | RowState::Declined => {
                self.counts.repeats += 1;
                Code::APPROVED
            }
            RowState::Lost | RowState::ReversedBefore => {
                self.counts.reversals_unknown += 1;
                if !self.script.fate(self.seed, &key, asked.stan).forgets {
                    self.rows[held].state = RowState::ReversedBefore;
                }
                self.reversal_unknown
            }
        };
        Decided::by(fate, code)
    }

    /// Reversing a void, completion or refund puts its original back as it was.
    fn give_back(&mut self, at: usize) {
        let (kind, target, booked) = (self.rows[at].kind, self.rows[at].target, self.rows[at].booked);
        if let Some(row) = self.rows.get_mut(target as usize) {
            row.used = if kind == Kind::Refund { row.used.saturating_sub(booked) } else { 0 };
        }
    }

    fn push(&mut self, key: Key, mti: u16, stan: u32, at: u32) -> usize {
        let place = self.rows.len();
        let before = self.latest.insert(key, u32::try_from(place).unwrap_or(NONE)).unwrap_or(NONE);
        self.rows.push(Row {
            key,
            before,
            mti,
            kind: Kind::Purchase,
            stan,
            at,
            batch: 0,
            asked: 0,
            booked: 0,
            used: 0,
            target: NONE,
            pan: 0,
            pan_digits: 0,
            currency: 0,
            approval: 0,
            code: INVALID,
            state: RowState::Lost,
            reversal_seen: false,
        });
        place
    }

    fn fill(&mut self, at: usize, asked: &Asked) {
        let row = &mut self.rows[at];
        row.asked = asked.amount;
        row.currency = asked.currency;
        row.batch = asked.batch;
        if asked.kind == Kind::Reversal {
            // Its original has not come: it is known as it was named.
            row.batch = asked.original.batch;
        } else {
            row.kind = asked.kind;
        }
        if let Some(pan) = &asked.pan {
            row.pan = pan.iin(Pan::DIGITS_MAX);
            row.pan_digits = pan.digits().len() as u8;
        }
    }

    fn find(&self, key: &Key, wanted: impl Fn(&Row) -> bool) -> Option<usize> {
        let mut at = *self.latest.get(key)?;
        while let Some(row) = self.rows.get(at as usize) {
            if wanted(row) {
                return Some(at as usize);
            }
            at = row.before;
        }
        None
    }

    fn fate(&self, asked: &Asked, key: &Key) -> Fate {
        let mut fate = self.script.fate(self.seed, key, asked.stan);
        // What is already a repeat was lost or answered once: it gets its answer.
        if asked.mti.is_repeat() {
            fate.delivery = Delivery::Answer;
        }
        fate
    }

    fn next_approval(&mut self) -> [u8; 6] {
        self.approvals += 1;
        digits(self.approvals)
    }
}

/// What the script does with a request that could be approved, and the amount booked.
fn decide(role: Role, decision: Decision, asked: &Asked) -> (Code, u64) {
    // What was given elsewhere, or gives money back, cannot be refused.
    let told_only =
        asked.mti.without_repeat() != Mti::new(0x0200) && asked.mti.without_repeat() != Mti::new(0x0100);
    let divisible = matches!(asked.kind, Kind::Purchase | Kind::PreAuthorization) && asked.amount > 1;
    match decision {
        Decision::Decline if !told_only => (FUNDS, 0),
        Decision::Half if divisible && !told_only => {
            let code = if role == Role::CouponPlatform { Code::APPROVED } else { PARTIAL };
            (code, asked.amount / 2)
        }
        _ => (Code::APPROVED, asked.amount),
    }
}

/// A request without F37 is known by the trace number of its original.
fn key_of(asked: &Asked, stan: u32) -> Key {
    let mut key = [b' '; 20];
    key[..8].copy_from_slice(&asked.terminal);
    match asked.rrn {
        Some(rrn) => key[8..].copy_from_slice(&rrn),
        None => key[14..].copy_from_slice(&digits::<6>(u64::from(stan))),
    }
    key
}

impl Named {
    /// Whether a message of this batch can be meant.
    fn is_in(self, batch: u32) -> bool {
        self.batch == 0 || self.batch == batch
    }
}

impl Decided {
    pub(crate) fn now(code: Code) -> Decided {
        Decided::by(Fate::PLAIN, code)
    }

    fn by(fate: Fate, code: Code) -> Decided {
        let Fate { delivery, twice, delay, .. } = fate;
        Decided { code, amount: None, approval: None, delivery, twice, delay }
    }
}

impl Row {
    fn answer(&self) -> Decided {
        let stood = self.code == Code::APPROVED || self.code == PARTIAL;
        Decided {
            amount: (stood && self.booked != self.asked).then_some(self.booked),
            approval: stood.then(|| digits(u64::from(self.approval))),
            ..Decided::now(self.code)
        }
    }

    fn entry(&self, cards: &mut CardBook) -> Option<Entry> {
        let state = match self.state {
            RowState::Lost => return None,
            RowState::Approved => State::Approved,
            RowState::Declined => State::Declined,
            RowState::Reversed | RowState::ReversedBefore => State::Reversed,
        };
        let (terminal, rrn) = self.key.split_at(8);
        let number = digits::<{ Pan::DIGITS_MAX }>(self.pan);
        let pan = Pan::new(&number[Pan::DIGITS_MAX - usize::from(self.pan_digits)..]);
        Some(Entry {
            terminal: Text(terminal.try_into().ok()?),
            rrn: Text(rrn.try_into().ok()?),
            kind: self.kind,
            stan: self.stan,
            at: self.at,
            amount: if state == State::Approved { self.booked } else { self.asked },
            coupon: 0,
            currency: self.currency,
            card: pan.map(|pan| cards.card(&pan)).unwrap_or_default(),
            state,
            code: Text(*self.code.bytes()),
        })
    }
}

#[cfg(test)]
mod tests;
