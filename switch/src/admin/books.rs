//! What an operator reconciles by: named exceptions, and the sums of business dates. Read from the state of a running
//! switch, or from what a journal says.

use crate::core::books::{Side, SumKey, Sums};
use crate::core::clock::rfc3339;
use crate::core::durable::{Durable, Exception};
use crate::core::ids::{BusinessDate, ObligationId, ParticipantId};
use serde::{Deserialize, Serialize};

/// An obligation that ended otherwise than paid (rule 7).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExceptionView {
    /// That of the obligation.
    pub id: u64,
    pub kind: String,
    pub participant: String,
    /// F41 of the originator.
    pub terminal: String,
    pub transaction: u64,
    /// What the participant's books should have moved by, minor units: negative gives back. 0 where nobody knows that
    /// the participant had agreed.
    pub amount: i64,
    /// F4 of the message.
    pub asked: u64,
    pub currency: u16,
    pub date: u32,
    pub why: String,
    /// When it ended, UTC.
    pub at: String,
}

/// Exceptions, the newest first: those of the highest numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exceptions {
    /// How many there are; not all of them may be listed.
    pub count: u64,
    pub exceptions: Vec<ExceptionView>,
}

/// Exceptions listed at most; their count is always exact.
const LISTED_MAX: usize = 10_000;

pub fn exceptions(durable: &Durable) -> Exceptions {
    let view = |(id, ended_ms, held): (ObligationId, u64, &Exception)| ExceptionView {
        id: id.0,
        kind: format!("{:?}", held.kind).to_lowercase(),
        participant: name(durable, held.participant),
        terminal: String::from_utf8_lossy(&held.terminal).trim_end().to_owned(),
        transaction: held.tx.0,
        amount: held.books,
        asked: held.money.minor,
        currency: held.money.currency.0,
        date: held.date.0,
        why: held.why.clone(),
        at: rfc3339(ended_ms),
    };
    let newest = durable.exceptions.iter().rev().take(LISTED_MAX);
    Exceptions { count: durable.exceptions.len() as u64, exceptions: newest.map(view).collect() }
}

/// The sums of one business date in one currency, minor units (P7).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DateTotals {
    pub date: u32,
    pub currency: u16,
    pub told: i64,
    pub agreed: i64,
    pub owed: i64,
    pub exceptions: i64,
    pub in_flight: i64,
    pub carried: i64,
    /// 0 unless the switch itself is wrong.
    pub unaccounted: i64,
    pub participants: Vec<PartyTotals>,
}

/// What one participant counts on that date, as the totals of 0500 would say it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PartyTotals {
    /// acquirer or issuer
    pub side: String,
    pub participant: String,
    #[serde(flatten)]
    pub sums: Sums,
}

/// Of this date, or of the dates that are open.
pub fn totals(durable: &Durable, date: Option<u32>) -> Vec<DateTotals> {
    let open = || durable.dates.open.keys().copied().collect();
    let dates = date.map_or_else(open, |date| vec![BusinessDate(date)]);
    let mut totals = Vec::new();
    for ((at, currency), book) in dates.iter().flat_map(|date| durable.books.of_date(*date)) {
        let own = durable.books.sums_of(*at, *currency);
        let party = |((_, _, side, participant), sums): (&SumKey, &Sums)| PartyTotals {
            side: if *side == Side::Acquirer { "acquirer" } else { "issuer" }.to_owned(),
            participant: name(durable, *participant),
            sums: *sums,
        };
        totals.push(DateTotals {
            date: at.0,
            currency: currency.0,
            told: book.told,
            agreed: book.agreed,
            owed: book.owed,
            exceptions: book.exceptions,
            in_flight: book.in_flight,
            carried: book.carried,
            unaccounted: book.unaccounted(),
            participants: own.map(party).collect(),
        });
    }
    totals
}

fn name(durable: &Durable, id: ParticipantId) -> String {
    durable.participants.get(&id).map_or(String::new(), |held| held.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::entry::OwedKind;
    use crate::core::ids::{Currency, Money, TxId};

    #[test]
    fn of_more_exceptions_than_are_listed_the_newest_are_and_the_count_is_true() {
        let mut durable = Durable::new([0; 16]);
        for id in 1..=LISTED_MAX as u64 + 5 {
            let exception = Exception {
                participant: ParticipantId(1),
                tx: TxId(id),
                kind: OwedKind::Advice,
                terminal: *b"TERM0001",
                money: Money { minor: 1, currency: Currency(156) },
                date: BusinessDate(20_261_124),
                books: 1,
                why: String::new(),
            };
            durable.exceptions.insert(ObligationId(id), id, exception);
        }
        let told = exceptions(&durable);
        assert_eq!((told.count, told.exceptions.len()), (LISTED_MAX as u64 + 5, LISTED_MAX));
        assert_eq!((told.exceptions[0].id, told.exceptions[LISTED_MAX - 1].id), (told.count, 6));
    }
}
