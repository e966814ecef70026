//! The sums by which each business date must balance (P7), and the totals that each participant
//! reconciles against. Amounts are signed as the money moves: a purchase is positive at both sides,
//! a refund or void negative; holds (authorizations) are counted apart and are no money.

use super::entry::OwedKind;
use super::ids::{BusinessDate, Currency, ParticipantId};
use crate::planted::{Planted, planted};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use yika_codec::Kind;

/// One business date and currency. `told = agreed + owed + exceptions + carried - in_flight`,
/// at every moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Book {
    /// Approved to acquirers, less what was reversed, voided and refunded.
    pub told: i64,
    /// Agreed by participants, less what they undid.
    pub agreed: i64,
    /// What open obligations will move when they are discharged.
    pub owed: i64,
    /// Obligations that ended as named exceptions.
    pub exceptions: i64,
    /// Agreed by a leg of a transaction that has no outcome yet.
    pub in_flight: i64,
    /// Owed when this date closed and discharged on a later one; negative where it was carried to (rule 13).
    pub carried: i64,
}

impl Book {
    /// The part that nothing explains; 0 unless the switch itself is wrong.
    pub fn unaccounted(&self) -> i64 {
        self.told - (self.agreed + self.owed + self.exceptions + self.carried - self.in_flight)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    pub count: u64,
    pub minor: u64,
}

impl Tally {
    fn add(&mut self, minor: u64) {
        self.count += 1;
        self.minor = self.minor.saturating_add(minor);
    }
}

/// What one participant and the switch exchanged on one date, as 0500 totals would say it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Sums {
    pub debits: Tally,
    pub debit_reversals: Tally,
    pub credits: Tally,
    pub credit_reversals: Tally,
    pub holds: Tally,
    pub hold_reversals: Tally,
}

/// Which side of the switch a participant stands on in a sum.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Side {
    Acquirer,
    Issuer,
}

/// Where a sum is kept: date, currency, side, participant.
pub type SumKey = (BusinessDate, Currency, Side, ParticipantId);

#[derive(Default, Serialize, Deserialize)]
pub struct Books {
    books: BTreeMap<(BusinessDate, Currency), Book>,
    sums: BTreeMap<SumKey, Sums>,
    /// Sum of what each book leaves unexplained, kept at every change: a scrape asks for it.
    unaccounted: u64,
}

impl Books {
    pub fn change(&mut self, date: BusinessDate, currency: Currency, work: impl FnOnce(&mut Book)) {
        let book = self.books.entry((date, currency)).or_default();
        let before = book.unaccounted().unsigned_abs();
        work(book);
        let after = book.unaccounted().unsigned_abs();
        self.unaccounted = self.unaccounted.wrapping_add(after).wrapping_sub(before);
    }

    pub fn len(&self) -> usize {
        self.books.len()
    }

    pub fn is_empty(&self) -> bool {
        self.books.is_empty()
    }

    pub fn books(&self) -> impl Iterator<Item = (&(BusinessDate, Currency), &Book)> {
        self.books.iter()
    }

    /// What is still owed from a closing date will be discharged on the next: both stay balanced.
    pub fn carry(&mut self, from: BusinessDate, to: BusinessDate) {
        let owing: Vec<_> = self.of_date(from).map(|((_, c), b)| (*c, b.owed)).collect();
        for (currency, owed) in owing.into_iter().filter(|(_, owed)| *owed != 0) {
            for (date, moved) in [(from, -owed), (to, owed)] {
                let forgotten = date == from && planted(Planted::CarriedNowhere);
                self.change(date, currency, |book| {
                    book.owed += moved;
                    book.carried -= if forgotten { 0 } else { moved };
                });
            }
        }
    }

    /// Forgets closed dates before this one. Each balances by itself, so the others still do.
    pub fn forget(&mut self, before: BusinessDate, is_open: impl Fn(&BusinessDate) -> bool) {
        let keeps = |date: &BusinessDate| *date >= before || is_open(date);
        let unaccounted = &mut self.unaccounted;
        self.books.retain(|(date, _), book| {
            let keeps = keeps(date);
            if !keeps {
                *unaccounted = unaccounted.wrapping_sub(book.unaccounted().unsigned_abs());
            }
            keeps
        });
        self.sums.retain(|(date, ..), _| keeps(date));
    }

    /// P7: what no book explains, over all dates and currencies, minor units.
    pub fn unaccounted(&self) -> u64 {
        self.unaccounted
    }

    /// Dates that have a book, each once for each currency.
    pub fn dates(&self) -> impl Iterator<Item = BusinessDate> {
        self.books.keys().map(|(date, _)| *date)
    }

    /// Currencies that a date has a book in.
    pub fn currencies(&self, date: BusinessDate) -> impl Iterator<Item = Currency> {
        self.of_date(date).map(|((_, currency), _)| *currency)
    }

    /// The books of one date, by currency.
    pub fn of_date(&self, date: BusinessDate) -> impl Iterator<Item = (&(BusinessDate, Currency), &Book)> {
        self.books.range((date, Currency(0))..=(date, Currency(u16::MAX)))
    }

    pub fn sums(&self) -> impl Iterator<Item = (&SumKey, &Sums)> {
        self.sums.iter()
    }

    /// What each participant counts on one date in one currency.
    pub fn sums_of(&self, date: BusinessDate, currency: Currency) -> impl Iterator<Item = (&SumKey, &Sums)> {
        let first = (date, currency, Side::Acquirer, ParticipantId(0));
        self.sums.range(first..=(date, currency, Side::Issuer, ParticipantId(u16::MAX)))
    }

    /// Counts one movement of `minor` at a participant; `undo` counts it as a reversal.
    pub fn count(&mut self, key: SumKey, kind: Kind, minor: u64, undo: bool) {
        let sums = self.sums.entry(key).or_default();
        let (done, undone) = match money_of(kind) {
            MoneyOf::Debit => (&mut sums.debits, &mut sums.debit_reversals),
            MoneyOf::Credit => (&mut sums.credits, &mut sums.credit_reversals),
            MoneyOf::UndoesDebit => (&mut sums.debit_reversals, &mut sums.debits),
            MoneyOf::Hold => (&mut sums.holds, &mut sums.hold_reversals),
            MoneyOf::UndoesHold => (&mut sums.hold_reversals, &mut sums.holds),
            MoneyOf::Nothing => return,
        };
        if undo { undone.add(minor) } else { done.add(minor) }
    }
}

/// What a kind of transaction does to money.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MoneyOf {
    Debit,
    Credit,
    /// A void or completion cancel: the debit it names is taken back.
    UndoesDebit,
    Hold,
    UndoesHold,
    Nothing,
}

pub fn money_of(kind: Kind) -> MoneyOf {
    match kind {
        Kind::Purchase | Kind::Cash | Kind::Completion | Kind::PurchaseAdvice | Kind::CompletionAdvice => {
            MoneyOf::Debit
        }
        Kind::Refund => MoneyOf::Credit,
        Kind::Void | Kind::CompletionCancel => MoneyOf::UndoesDebit,
        Kind::Authorization | Kind::PreAuthorization | Kind::AuthorizationAdvice => MoneyOf::Hold,
        Kind::PreAuthCancel => MoneyOf::UndoesHold,
        _ => MoneyOf::Nothing,
    }
}

/// An amount of `kind`, signed as it moves the books.
pub fn signed(kind: Kind, minor: u64) -> i64 {
    let minor = i64::try_from(minor).unwrap_or(i64::MAX);
    match money_of(kind) {
        MoneyOf::Debit => minor,
        MoneyOf::Credit | MoneyOf::UndoesDebit => -minor,
        MoneyOf::Hold | MoneyOf::UndoesHold | MoneyOf::Nothing => 0,
    }
}

/// Whether discharging an obligation undoes a movement of its transaction's kind, or makes it.
pub fn undoes(kind: OwedKind) -> bool {
    matches!(kind, OwedKind::Reverse)
}
