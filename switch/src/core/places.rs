//! Places for currencies (P9): each has a book on every business date, and totals for each participant, so there are only
//! so many. A message can ask for any; none that leaves no book may keep a place.

use super::Core;
use super::counters::Bound;
use super::ids::{Currency, Now};

impl Core {
    /// Whether the business date has a place for a book in this currency. A currency that a listener names always has;
    /// any other while it has a book or a transaction in flight, or while fewer than `currencies_max` do.
    pub(super) fn has_book(&mut self, now: Now, currency: Currency) -> bool {
        let (named, strange) = (&self.settings.currencies, &self.live.strange);
        if named.contains(&currency) || strange.contains_key(&currency) {
            return true;
        }
        let (mut has, mut others) = (false, strange.len());
        for booked in self.durable.books.currencies(self.date(now)).filter(|booked| !named.contains(booked)) {
            has |= booked == currency;
            others += usize::from(!strange.contains_key(&booked));
        }
        if !has && others >= self.settings.bounds.currencies_max {
            self.counters.reached.note(Bound::Currencies);
            return false;
        }
        true
    }

    /// A transaction in a currency that no listener names is in flight.
    pub(super) fn take_place(&mut self, currency: Currency) {
        if !self.settings.currencies.contains(&currency) {
            *self.live.strange.entry(currency).or_insert(0) += 1;
        }
    }

    /// It ended: with a book, or with nothing that needs one.
    pub(super) fn leave_place(&mut self, currency: Currency) {
        if let Some(count) = self.live.strange.get_mut(&currency) {
            *count -= 1;
            if *count == 0 {
                self.live.strange.remove(&currency);
            }
        }
    }
}
