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

/// Exceptions listed at most; the count in the metrics is always exact.
const LISTED_MAX: usize = 10_000;

/// Oldest first.
pub fn exceptions(durable: &Durable) -> Vec<ExceptionView> {
    let view = |(id, held): (ObligationId, &Exception)| ExceptionView {
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
        at: rfc3339(held.wall_ms),
    };
    durable.exceptions.iter().take(LISTED_MAX).map(view).collect()
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
    let wanted =
        |at: &BusinessDate| date.map_or_else(|| durable.dates.open.contains_key(at), |date| at.0 == date);
    let mut totals = Vec::new();
    for ((at, currency), book) in durable.books.books().filter(|((at, _), _)| wanted(at)) {
        let own = durable.books.sums().filter(|((date, of, ..), _)| date == at && of == currency);
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
