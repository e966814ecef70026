//! From the text of a dialect file to a dialect.
//!
//! Two steps: `read` takes the rows out of the TOML, `build` checks them against each other and compiles. Both
//! go on after a fault, so that one run names everything that is wrong, with line, column, key and rule.

mod build;
mod doc;
mod read;
mod structures;
#[cfg(test)]
mod tests;

use crate::dialect::Dialect;
use std::fmt;

/// One thing that is wrong with a dialect file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DialectError {
    /// The file.
    pub origin: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The key, with the tables it stands in.
    pub key: String,
    /// The rule that is broken.
    pub rule: String,
    /// The nearest thing that would have been right.
    pub did_you_mean: Option<String>,
}

impl fmt::Display for DialectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DialectError { origin, line, column, key, rule, did_you_mean } = self;
        write!(f, "{origin}:{line}:{column}: ")?;
        if !key.is_empty() {
            write!(f, "{key}: ")?;
        }
        f.write_str(rule)?;
        did_you_mean.as_ref().map_or(Ok(()), |nearest| write!(f, "; did you mean \"{nearest}\"?"))
    }
}

/// All that is wrong with a dialect file, in the order of the text; at least one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DialectErrors(Vec<DialectError>);

impl DialectErrors {
    /// The errors.
    pub fn iter(&self) -> impl Iterator<Item = &DialectError> {
        self.0.iter()
    }
}

impl fmt::Display for DialectErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(i, error)| {
            f.write_str(if i == 0 { "" } else { "\n" })?;
            fmt::Display::fmt(error, f)
        })
    }
}

impl std::error::Error for DialectErrors {}

/// How many dialects may stand behind each other by `extends`; more is a circle.
const EXTENDS_MAX: usize = 4;

pub(crate) fn load(
    origin: &str,
    text: &str,
    resolve: &dyn Fn(&str) -> Option<String>,
) -> Result<Dialect, DialectErrors> {
    let mut errors = Vec::new();
    let rows = rows_of(origin, text, resolve, EXTENDS_MAX, &mut errors);
    // Rules between rows are only worth reporting when the rows themselves could be read.
    let dialect = rows.and_then(|rows| build::build(&rows, &mut errors));
    match dialect {
        Some(dialect) if errors.is_empty() => Ok(Dialect { digest: digest(text, resolve), ..dialect }),
        _ => {
            errors.sort_by_key(|error: &DialectError| (error.line, error.column));
            Err(DialectErrors(errors))
        }
    }
}

/// FNV-1a over the lines that say something, of this text and of those it extends, down to a built-in one.
fn digest(text: &str, resolve: &dyn Fn(&str) -> Option<String>) -> u64 {
    let builtin = |text: &str| Dialect::builtin_names().any(|name| Dialect::builtin_text(name) == Some(text));
    let (mut hash, mut text) = (0, text.to_owned());
    for _ in 0..=EXTENDS_MAX {
        if builtin(&text) {
            break;
        }
        let said = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let start = if hash == 0 { 0xcbf2_9ce4_8422_2325 } else { hash };
        hash = said
            .flat_map(|line| line.bytes().chain([b'\n']))
            .fold(start, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let doc = doc::Doc::parse("", &text, &mut Vec::new());
        let base = doc.and_then(|doc| Some(doc.top().text("extends", &mut Vec::new())?.value.to_owned()));
        let Some(base) = base.and_then(|base| resolve(&base)) else { break };
        text = base;
    }
    hash
}

/// The rows of this text over those of the dialect it extends.
fn rows_of(
    origin: &str,
    text: &str,
    resolve: &dyn Fn(&str) -> Option<String>,
    extends_left: usize,
    errors: &mut Vec<DialectError>,
) -> Option<read::Rows> {
    let doc = doc::Doc::parse(origin, text, errors)?;
    let top = doc.top();
    let base = top.text("extends", errors).and_then(|base| {
        let Some(left) = extends_left.checked_sub(1) else {
            errors.push(base.error(format!("more than {EXTENDS_MAX} dialects extend each other")));
            return None;
        };
        let Some(base_text) = resolve(base.value) else {
            errors.push(base.error(format!("there is no dialect \"{}\"", base.value)));
            return None;
        };
        rows_of(base.value, &base_text, resolve, left, errors)
    });
    let base = base.unwrap_or_else(|| shipped_structures(errors));
    Some(read::read(&top, base, errors))
}

/// The structures that every dialect knows.
fn shipped_structures(errors: &mut Vec<DialectError>) -> read::Rows {
    const EMV: &str = include_str!("../../configs/structures/emv.toml");
    let doc = doc::Doc::parse("configs/structures/emv.toml", EMV, errors);
    doc.map_or_else(read::Rows::default, |doc| read::read(&doc.top(), read::Rows::default(), errors))
}
