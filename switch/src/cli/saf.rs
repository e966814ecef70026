//! Commands to a running switch: status, obligations, cut-over. Obligations can also be listed from the
//! journal of a switch that does not run.

use super::out::{complain, json_line};
use super::{CliError, Place, keys};
use crate::admin::check_reason;
use crate::admin::control::{Answer, Request, ask, status as ask_status};
use crate::admin::{ObligationView, obligations_of};
use crate::core::ids::{Currency, Money};
use crate::data_dir::is_running;
use crate::journal::disk::FileDisk;
use crate::journal::replay;
use std::io::Write;

pub(super) fn status(out: &mut impl Write, place: &Place, json: bool) -> Result<(), CliError> {
    let status = ask_status(&place.data()?).map_err(CliError::Control)?;
    if json {
        return json_line(out, &status);
    }
    let mut text = String::new();
    let mut line = |name: &str, value: String| text += &format!("{name:<24}{value}\n");
    line("process", status.pid.to_string());
    line("state", if status.draining { "draining" } else { "serving" }.into());
    line("business date", status.business_date.to_string());
    line("sessions", status.sessions.to_string());
    line("transactions in flight", status.open_transactions.to_string());
    line("obligations open", status.open_obligations.to_string());
    line("keys in dedupe window", status.dedupe_keys.to_string());
    line("journal entries", status.journal_entries.to_string());
    line("unaccounted", format!("{} minor units", status.unaccounted));
    for one in &status.participants {
        line(
            &one.name,
            format!("{} of {} lines open, {} obligations", one.lines_open, one.lines, one.obligations),
        );
    }
    Ok(out.write_all(text.as_bytes())?)
}

pub(super) fn list(out: &mut impl Write, place: &Place, json: bool) -> Result<(), CliError> {
    let data = place.data()?;
    let listed = if is_running(&data) {
        match ask(&data, &Request::SafList).map_err(CliError::Control)? {
            Answer::Obligations(listed) => listed,
            other => return Err(CliError::Control(format!("the switch answered something else: {other:?}"))),
        }
    } else {
        complain(&format!("no switch runs on {}: this is what its journal says", data.display()));
        let keystore = match place.config()? {
            Some(config) => keys::open(&config)?,
            None => keys::open_plain()?,
        };
        obligations_of(&replay(&FileDisk::read_only(&place.journal()?), &keystore)?.durable)
    };
    if json { json_line(out, &listed) } else { print(out, &listed) }
}

fn print(out: &mut impl Write, listed: &[ObligationView]) -> Result<(), CliError> {
    if listed.is_empty() {
        return Ok(writeln!(out, "nothing is owed")?);
    }
    writeln!(
        out,
        "{:>8} {:<8} {:<16} {:>12} {:>14} {:>4} {:<14} state",
        "id", "kind", "participant", "transaction", "amount", "cur", "card"
    )?;
    for one in listed {
        let state =
            one.parked.as_ref().map_or("waiting".to_owned(), |code| format!("parked: refused with {code}"));
        writeln!(
            out,
            "{:>8} {:<8} {:<16} {:>12} {:>14} {:>4} {:<14} {state}",
            one.id,
            one.kind,
            one.participant,
            one.transaction,
            Money { minor: one.amount, currency: Currency(one.currency) }.decimal(),
            one.currency,
            one.card
        )?;
    }
    Ok(())
}

/// The reason of a settlement, checked where it is typed: a wrong one is a fault of usage.
///
/// # Errors
/// What is wrong with it.
pub(super) fn reason(text: &str) -> Result<String, String> {
    check_reason(text).map(str::to_owned)
}

pub(super) fn settle(out: &mut impl Write, place: &Place, id: u64, reason: String) -> Result<(), CliError> {
    ask(&place.data()?, &Request::SafSettle { id, reason }).map_err(CliError::Control)?;
    Ok(writeln!(out, "obligation {id} is settled and stays on the books as an exception")?)
}

pub(super) fn cut_over(out: &mut impl Write, place: &Place) -> Result<(), CliError> {
    let data = place.data()?;
    ask(&data, &Request::CutOver).map_err(CliError::Control)?;
    let status = ask_status(&data).map_err(CliError::Control)?;
    Ok(writeln!(out, "the business date is {}", status.business_date)?)
}
