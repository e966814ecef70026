//! Commands to a running switch: status, obligations, drain, cut-over. Obligations and exceptions can also be listed
//! from the journal of a switch that does not run.

use super::out::{complain, json_line};
use super::{CliError, Place, keys};
use crate::admin::check_reason;
use crate::admin::control::{Answer, Request, ask, status as ask_status};
use crate::admin::{ExceptionView, ObligationView, exceptions_of, obligations_of};
use crate::core::durable::Durable;
use crate::core::entry::KeyUse;
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
    if status.gateways > 0 || status.taps > 0 || status.batches_open > 0 {
        line("gateways", format!("{} connected", status.gateways));
        line("taps in their window", format!("{}, {} batches open", status.taps, status.batches_open));
    }
    line("unaccounted", format!("{} minor units", status.unaccounted));
    for one in &status.participants {
        let halts = [(one.signed_off, ", signed off"), (one.drained, ", drained by an operator")];
        let halts: String = halts.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
        let (open, lines, owed) = (one.lines_open, one.lines, one.obligations);
        line(&one.name, format!("{open} of {lines} lines open, {owed} obligations{halts}"));
    }
    Ok(out.write_all(text.as_bytes())?)
}

pub(super) fn list(out: &mut impl Write, place: &Place, json: bool) -> Result<(), CliError> {
    let listed = told(place, &Request::SafList, obligations_of, |answer| match answer {
        Answer::Obligations(listed) => Ok(listed),
        other => Err(other),
    })?;
    if json { json_line(out, &listed) } else { print(out, &listed) }
}

/// What a running switch answers, or what the journal of a stopped one says.
pub(super) fn told<T>(
    place: &Place,
    request: &Request,
    of_journal: impl FnOnce(&Durable) -> T,
    of_answer: impl FnOnce(Answer) -> Result<T, Answer>,
) -> Result<T, CliError> {
    let data = place.data()?;
    if is_running(&data).map_err(CliError::Control)? {
        let answer = ask(&data, request).map_err(CliError::Control)?;
        return of_answer(answer)
            .map_err(|other| CliError::Control(format!("the switch answered something else: {other:?}")));
    }
    complain(&format!("no switch runs on {}: this is what its journal says", data.display()));
    let keystore = match place.config()? {
        Some(config) => keys::open(&config)?,
        None => keys::open_plain()?,
    };
    Ok(of_journal(&replay(&FileDisk::read_only(&place.journal()?), &keystore)?.durable))
}

pub(super) fn exceptions(out: &mut impl Write, place: &Place, json: bool) -> Result<(), CliError> {
    let listed = told(place, &Request::SafExceptions, exceptions_of, |answer| match answer {
        Answer::Exceptions(listed) => Ok(listed),
        other => Err(other),
    })?;
    if json {
        return json_line(out, &listed);
    }
    if listed.count == 0 {
        return Ok(writeln!(out, "there is no exception")?);
    }
    writeln!(
        out,
        "{:>8} {:<8} {:<16} {:<8} {:>12} {:>14} {:>14} {:>4} {:>8} {:<24} why",
        "id", "kind", "participant", "terminal", "transaction", "amount", "asked", "cur", "date", "at"
    )?;
    for one in &listed.exceptions {
        let ExceptionView { id, kind, participant, terminal, transaction, currency, .. } = one;
        let ExceptionView { date, at, why, .. } = one;
        let of = Currency(*currency);
        let plus = if one.amount > 0 { "+" } else { "" };
        let amount = format!("{plus}{}", of.decimal(one.amount));
        let asked = Money { minor: one.asked, currency: of }.decimal();
        writeln!(
            out,
            "{id:>8} {kind:<8} {participant:<16} {terminal:<8} {transaction:>12} {amount:>14} {asked:>14} {currency:>4} {date:>8} {at:<24} {why}"
        )?;
    }
    let (shown, count) = (listed.exceptions.len() as u64, listed.count);
    let cut = if shown < count { format!(", the newest {shown} of them shown") } else { String::new() };
    Ok(writeln!(out, "{count} in all{cut}")?)
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

/// The reason is checked here and not by the parser of the command line, which would repeat it.
pub(super) fn settle(out: &mut impl Write, place: &Place, id: u64, reason: &str) -> Result<(), CliError> {
    let reason = check_reason(reason).map_err(|why| CliError::Usage(format!("--reason: {why}")))?.to_owned();
    ask(&place.data()?, &Request::SafSettle { id, reason }).map_err(CliError::Control)?;
    Ok(writeln!(out, "obligation {id} is settled and stays on the books as an exception")?)
}

pub(super) fn drain(out: &mut impl Write, place: &Place, name: &str, end: bool) -> Result<(), CliError> {
    let request = Request::Drain { name: name.to_owned(), on: !end };
    ask(&place.data()?, &request).map_err(CliError::Control)?;
    let said = match end {
        false => "drained: nothing new goes to it, and what is owed waits, also over a restart, until --end",
        true => "drained no longer",
    };
    Ok(writeln!(out, "{name} is {said}")?)
}

pub(super) fn key_change(
    out: &mut impl Write,
    place: &Place,
    name: &str,
    usage: KeyUse,
) -> Result<(), CliError> {
    ask(&place.data()?, &Request::KeyChange { name: name.to_owned(), usage }).map_err(CliError::Control)?;
    let word = usage.word();
    Ok(writeln!(
        out,
        "{name} is offered a new {word} key; it comes into use when {name} takes it, and an alarm says if not"
    )?)
}

/// Without a terminal: all of them.
pub(super) fn sign_off(
    out: &mut impl Write,
    place: &Place,
    whom: Option<crate::driver::Terminal>,
) -> Result<(), CliError> {
    let said = whom.as_ref().map_or("all terminals are".to_owned(), |whom| format!("{} is", whom.terminal));
    ask(&place.data()?, &Request::SignOff { whom }).map_err(CliError::Control)?;
    Ok(writeln!(out, "{said} signed off")?)
}

pub(super) fn cut_over(out: &mut impl Write, place: &Place) -> Result<(), CliError> {
    let data = place.data()?;
    ask(&data, &Request::CutOver).map_err(CliError::Control)?;
    let status = ask_status(&data).map_err(CliError::Control)?;
    Ok(writeln!(out, "the business date is {}", status.business_date)?)
}
