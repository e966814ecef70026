//! `yika dialect diff`: what differs between two messages. Values of secrets are compared, and not shown.

use super::bytes::{Given, read};
use super::values::{Row, rows};
use super::{CliError, Reading, dialect, framing};
use crate::cli::out::Out;
use std::io::Write as _;
use std::process::ExitCode;
use yika_codec::{Layout, hex};

/// Exit code where two messages differ, as diff(1) has it.
const DIFFERENT: u8 = 1;

pub(super) fn diff(
    out: &mut Out,
    a: &str,
    b: &str,
    reading: &Reading,
    dialect_b: Option<&str>,
    clear: bool,
) -> Result<ExitCode, CliError> {
    let a = message_rows(("the first message", a), &reading.dialect, reading, clear)?;
    let b = message_rows(("the second message", b), dialect_b.unwrap_or(&reading.dialect), reading, clear)?;
    let differing = differing(&a, &b);
    let wide = differing.iter().map(|(path, ..)| path.len()).max().unwrap_or(0);
    for (path, name, was, is) in &differing {
        writeln!(out, "{path:<wide$}  {was} -> {is}  ({name})")?;
    }
    Ok(if differing.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}

/// What was typed may be the message itself: faults call it by `which` and do not repeat it.
fn message_rows(
    (which, input): (&str, &str),
    name: &str,
    reading: &Reading,
    clear: bool,
) -> Result<Vec<Row>, CliError> {
    let dialect = dialect(name)?;
    let Given::Bytes(bytes, _) = read(Some(input))? else {
        return Err(CliError::Dialect(format!(
            "{which} is a capture: two messages are compared, give them apart"
        )));
    };
    let mut payload = &bytes[..];
    if let Some(name) = &reading.framing {
        let span = framing(name, &dialect)?.next(&bytes, usize::from(u16::MAX));
        let span = span.map_err(|error| CliError::Dialect(format!("{which}: {error}")))?;
        let span = span.ok_or_else(|| CliError::Dialect(format!("{which} is no whole frame")))?;
        payload = &bytes[span.start..span.end];
    }
    let mut layout = Layout::default();
    dialect.decode(payload, &mut layout).map_err(|error| CliError::Dialect(format!("{which}: {error}")))?;
    let message = dialect.message(payload, &layout);
    let head = |path: &str, name: &str, shown: String| Row {
        path: path.to_owned(),
        depth: 0,
        name: name.to_owned(),
        raw: shown.clone().into_bytes(),
        shown,
    };
    let mut all = vec![head("mti", "message type", message.mti().to_string())];
    if !message.header().is_empty() {
        all.push(head("header", "header", hex(message.header())));
    }
    all.extend(rows(&message, clear));
    Ok(all)
}

/// Path, name, and both values as they are shown.
type Difference<'r> = (&'r str, &'r str, String, String);

fn differing<'r>(a: &'r [Row], b: &'r [Row]) -> Vec<Difference<'r>> {
    let mut found = Vec::new();
    let mut met = vec![false; b.len()];
    for row in a {
        let other = b.iter().enumerate().position(|(at, other)| !met[at] && other.path == row.path);
        match other {
            Some(at) => {
                met[at] = true;
                let (was, is) = (&row.shown, &b[at].shown);
                // A field with parts is told by its parts.
                if row.raw != b[at].raw && !(was.is_empty() && is.is_empty()) {
                    let differs = if was == is { format!("{is} (another)") } else { is.clone() };
                    found.push((&row.path[..], &row.name[..], was.clone(), differs));
                }
            }
            None if row.shown.is_empty() => {}
            None => found.push((&row.path, &row.name, row.shown.clone(), "nothing".to_owned())),
        }
    }
    for (row, _) in b.iter().zip(&met).filter(|(row, met)| !**met && !row.shown.is_empty()) {
        found.push((&row.path, &row.name, "nothing".to_owned(), row.shown.clone()));
    }
    found
}
