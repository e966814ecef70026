//! A key's way through its states.

use super::{CliError, Which, key_error, open};
use crate::admin::check_reason;
use crate::core::clock::{date_begins_ms, rfc3339};
use crate::core::ids::BusinessDate;
use clap::Args;
use std::io::Write;
use yika_keystore::{KeyState, Validity};

#[derive(Args)]
pub(in crate::cli) struct LifeArgs {
    #[command(flatten)]
    which: Which,
    /// The key
    name: String,
    /// Why, and with whom it was agreed; stays in the audit log
    #[arg(long)]
    reason: String,
}

#[derive(Args)]
pub(in crate::cli) struct ValidityArgs {
    #[command(flatten)]
    which: Which,
    /// The key
    name: String,
    /// The first day of use, as yyyymmdd; from always if not given
    #[arg(long, value_parser = day)]
    from: Option<u64>,
    /// The last day of use; for ever if not given
    #[arg(long, value_parser = day)]
    until: Option<u64>,
}

const DAY_MS: u64 = 86_400_000;

/// The beginning of a day in UTC.
fn day(text: &str) -> Result<u64, String> {
    let plain = text.len() == 8 && text.bytes().all(|c| c.is_ascii_digit());
    let day = text.parse().ok().filter(|_| plain).and_then(|date| date_begins_ms(BusinessDate(date)));
    day.ok_or_else(|| "it is no day such as 20270131".to_owned())
}

/// It stays in the audit log for good, in clear.
fn reason(args: &LifeArgs) -> Result<&str, CliError> {
    check_reason(&args.reason).map_err(|why| CliError::Usage(format!("--reason: {why}")))
}

pub(super) fn set(out: &mut impl Write, args: &LifeArgs, state: KeyState) -> Result<(), CliError> {
    let info = open(&args.which)?.set_state(&args.name, state, reason(args)?).map_err(key_error)?;
    Ok(writeln!(out, "{}: {}; a switch that runs sees it at its next start", info.name, info.state)?)
}

pub(super) fn destroy(out: &mut impl Write, args: &LifeArgs, yes: bool) -> Result<(), CliError> {
    if !yes {
        let what = format!(
            "nobody can bring {:?} back once it is destroyed; say --yes if that is meant, and think of copies of the key file",
            args.name
        );
        return Err(CliError::Usage(what));
    }
    let info = open(&args.which)?.destroy(&args.name, reason(args)?).map_err(key_error)?;
    Ok(writeln!(out, "{}: destroyed; copies of the key file made before still hold it", info.name)?)
}

pub(super) fn validity(out: &mut impl Write, args: &ValidityArgs) -> Result<(), CliError> {
    let validity = Validity { from_ms: args.from, until_ms: args.until.map(|day| day + DAY_MS) };
    if validity.from_ms.zip(validity.until_ms).is_some_and(|(from, until)| until <= from) {
        return Err(CliError::Usage("the last day of use is before the first".to_owned()));
    }
    let info = open(&args.which)?.set_validity(&args.name, validity).map_err(key_error)?;
    Ok(writeln!(out, "{}: for use {}", info.name, words(&info.validity))?)
}

/// How a person reads it.
pub(super) fn words(validity: &Validity) -> String {
    let date = |ms: u64| rfc3339(ms)[..10].to_owned();
    match (validity.from_ms, validity.until_ms) {
        (None, None) => "without end".to_owned(),
        (Some(from), None) => format!("from {}", date(from)),
        (None, Some(until)) => format!("to {}", date(until - 1)),
        (Some(from), Some(until)) => format!("from {} to {}", date(from), date(until - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(day("19700101"), Ok(0));
        assert_eq!(day("20000301"), Ok(11_017 * DAY_MS));
        assert_eq!(day("20280229").map(|ms| rfc3339(ms)[..10].to_owned()), Ok("2028-02-29".to_owned()));
        for wrong in ["20270229", "20271301", "20270100", "2027", "19691231", "2027013x", "+2027013"] {
            assert!(day(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_last_day_is_a_day_of_use() {
        let validity =
            Validity { from_ms: day("20270101").ok(), until_ms: day("20270131").ok().map(|d| d + DAY_MS) };
        assert_eq!(words(&validity), "from 2027-01-01 to 2027-01-31");
        assert!(
            validity.holds(day("20270131").unwrap() + DAY_MS - 1)
                && !validity.holds(day("20270201").unwrap())
        );
    }
}
