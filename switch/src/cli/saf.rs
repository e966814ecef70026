//! Commands to a running switch: status, obligations, cut-over. Obligations can also be listed from the
//! journal of a switch that does not run.

use super::{CliError, Place, keys};
use crate::admin::control::{Answer, Request, ask, status as ask_status};
use crate::admin::{ObligationView, obligations_of};
use crate::data_dir::{control_socket_in, journal_in};
use crate::journal::disk::FileDisk;
use crate::journal::replay;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

pub(super) fn status(place: &Place, json: bool) -> Result<ExitCode, CliError> {
    let status = ask_status(&place.data()?).map_err(CliError::Control)?;
    if json {
        println!("{}", serde_json::to_string(&status).expect("a status always makes JSON"));
        return Ok(ExitCode::SUCCESS);
    }
    let line = |name: &str, value: String| println!("{name:<24}{value}");
    line("process", status.pid.to_string());
    line("state", if status.draining { "draining" } else { "serving" }.into());
    line("business date", status.business_date.to_string());
    line("sessions", status.sessions.to_string());
    line("transactions in flight", status.open_transactions.to_string());
    line("obligations open", status.open_obligations.to_string());
    line("keys in dedupe window", status.dedupe_keys.to_string());
    line("journal entries", status.journal_entries.to_string());
    line("unaccounted", status.unaccounted.to_string());
    for one in &status.participants {
        line(
            &one.name,
            format!("{} of {} lines open, {} obligations", one.lines_open, one.lines, one.obligations),
        );
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn list(place: &Place, json: bool) -> Result<ExitCode, CliError> {
    let data = place.data()?;
    // A killed switch leaves its socket behind: only one that somebody listens on is a running switch.
    let listed = if UnixStream::connect(control_socket_in(&data)).is_ok() {
        match ask(&data, &Request::SafList).map_err(CliError::Control)? {
            Answer::Obligations(listed) => listed,
            other => return Err(CliError::Control(format!("the switch answered something else: {other:?}"))),
        }
    } else {
        eprintln!("no switch runs on {}: this is what its journal says", data.display());
        let keystore = match place.config()? {
            Some(config) => keys::open(&config)?,
            None => keys::open_plain()?,
        };
        obligations_of(&replay(&FileDisk::read_only(&journal_in(&data)), &keystore)?.durable)
    };
    if json {
        println!("{}", serde_json::to_string(&listed).expect("obligations always make JSON"));
    } else {
        print(&listed);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(listed: &[ObligationView]) {
    if listed.is_empty() {
        println!("nothing is owed");
        return;
    }
    println!(
        "{:>8} {:<8} {:<16} {:>12} {:>14} {:>4} {:<14} state",
        "id", "kind", "participant", "transaction", "amount", "cur", "card"
    );
    for one in listed {
        let state =
            one.parked.as_ref().map_or("waiting".to_owned(), |code| format!("parked: refused with {code}"));
        println!(
            "{:>8} {:<8} {:<16} {:>12} {:>14} {:>4} {:<14} {state}",
            one.id, one.kind, one.participant, one.transaction, one.amount, one.currency, one.card
        );
    }
}

pub(super) fn settle(place: &Place, id: u64, reason: String) -> Result<ExitCode, CliError> {
    if reason.trim().is_empty() {
        return Err(CliError::Control("--reason must say why: it stays in the journal".into()));
    }
    ask(&place.data()?, &Request::SafSettle { id, reason }).map_err(CliError::Control)?;
    println!("obligation {id} is settled and stays on the books as an exception");
    Ok(ExitCode::SUCCESS)
}

pub(super) fn cut_over(place: &Place) -> Result<ExitCode, CliError> {
    let data = place.data()?;
    ask(&data, &Request::CutOver).map_err(CliError::Control)?;
    let status = ask_status(&data).map_err(CliError::Control)?;
    println!("the business date is {}", status.business_date);
    Ok(ExitCode::SUCCESS)
}
