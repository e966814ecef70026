//! `yika totals`: the sums of a business date by currency and participant, as both sides reconcile them.

use super::out::json_line;
use super::saf::told;
use super::{CliError, Place};
use crate::admin::control::{Answer, Request};
use crate::admin::{DateTotals, totals_of};
use crate::core::durable::Durable;
use crate::core::ids::{Currency, Money};
use std::io::Write;

pub(super) fn totals(
    out: &mut impl Write,
    place: &Place,
    date: Option<u32>,
    json: bool,
) -> Result<(), CliError> {
    let of_journal = |durable: &Durable| totals_of(durable, date);
    let totals = told(place, &Request::Totals { date }, of_journal, |answer| match answer {
        Answer::Totals(totals) => Ok(totals),
        other => Err(other),
    })?;
    if json {
        return json_line(out, &totals);
    }
    if totals.is_empty() {
        let of = date.map_or("the open dates".to_owned(), |date| date.to_string());
        return Ok(writeln!(out, "no sums are kept of {of}")?);
    }
    for (at, one) in totals.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        print(out, one)?;
    }
    Ok(())
}

/// Sums with the digits of their currency; a count stands before each.
fn print(out: &mut impl Write, one: &DateTotals) -> Result<(), CliError> {
    let DateTotals { date, currency, told, agreed, owed, exceptions, in_flight, carried, .. } = one;
    let of = Currency(*currency);
    writeln!(out, "{date} in currency {currency}")?;
    let sums = [
        ("told", *told),
        ("agreed", *agreed),
        ("owed", *owed),
        ("exceptions", *exceptions),
        ("in flight", *in_flight),
        ("carried", *carried),
        ("unaccounted", one.unaccounted),
    ];
    let sums = sums.map(|(name, minor)| format!("{name} {}", of.decimal(minor)));
    writeln!(out, "  {}", sums.join(", "))?;
    writeln!(
        out,
        "  {:<9} {:<16} {:>22} {:>22} {:>22} {:>22} {:>22} {:>22}",
        "side", "participant", "debits", "reversed", "credits", "reversed", "holds", "reversed"
    )?;
    for party in &one.participants {
        write!(out, "  {:<9} {:<16}", party.side, party.participant)?;
        let sums = &party.sums;
        for tally in [
            sums.debits,
            sums.debit_reversals,
            sums.credits,
            sums.credit_reversals,
            sums.holds,
            sums.hold_reversals,
        ] {
            let sum = Money { minor: tally.minor, currency: of }.decimal();
            write!(out, " {:>7} {sum:>14}", tally.count)?;
        }
        writeln!(out)?;
    }
    Ok(())
}
