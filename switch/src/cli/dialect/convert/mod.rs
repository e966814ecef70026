//! From the field descriptions of others to a dialect file: jPOS `GenericPackager` XML, moov-io/iso8583 specs in JSON or YAML.
//!
//! [`jpos`] and [`moov`] fill one [`model`], `write` prints it. Whatever the bytes, the result is a dialect file that
//! loads, with a note of each thing that did not come over as it stood, or a fault with its place. Nothing that a file
//! names is fetched, and no entity or alias grows.

mod class;
mod jpos;
mod meaning;
mod model;
mod moov;
#[cfg(test)]
mod tests;
mod write;

use model::Model;
pub use model::Note;
use std::fmt;

/// Longer files describe no messages.
pub const FILE_BYTES_MAX: usize = 4 << 20;

/// Whose field descriptions they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// XML of the jPOS class `GenericPackager`.
    Jpos,
    /// JSON or YAML as moov-io/iso8583 reads it.
    Moov,
}

/// What came of a file.
#[derive(Debug)]
pub struct Converted {
    /// The dialect file.
    pub toml: String,
    /// What did not come over as it stood.
    pub notes: Vec<Note>,
}

/// Why the file is none that is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Line and column from 1, where the parser has them.
    pub place: Option<(u64, u64)>,
    /// What was expected.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "{line}:{column}: {}", self.what),
            None => write!(f, "{}", self.what),
        }
    }
}

impl std::error::Error for Fault {}

impl Fault {
    fn new(what: impl Into<String>) -> Fault {
        Fault { place: None, what: what.into() }
    }
}

/// The dialect file that these field descriptions make. `source` is told from the contents if it is not given, the name of the
/// dialect from the file if `name` is not; `file` is what the output calls its origin.
///
/// # Errors
/// When the bytes are no such description, are over [`FILE_BYTES_MAX`], or hold no field that can be carried over.
pub fn convert(
    bytes: &[u8],
    source: Option<Source>,
    name: Option<&str>,
    file: &str,
) -> Result<Converted, Fault> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Fault::new(format!(
            "has {} bytes, and at most {FILE_BYTES_MAX} are read: no field description is so long",
            bytes.len()
        )));
    }
    let text = text(bytes);
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    let source = source.unwrap_or_else(|| guess(text));
    let mut model = Model::default();
    match source {
        Source::Jpos => jpos::read(text, &mut model)?,
        Source::Moov => moov::read(text, &mut model)?,
    }
    if model.rows.is_empty() {
        let first = model.notes.first().map_or_else(String::new, |note| format!("; the first: {note}"));
        return Err(Fault::new(format!("no field of it could be carried over{first}")));
    }
    let meant = meaning::give(&mut model);
    let stem = file.rsplit(['/', '\\']).next().unwrap_or_default();
    let title =
        if model.title.is_empty() { stem.split('.').next().unwrap_or_default() } else { &model.title };
    let name = slug(name.unwrap_or(title));
    let toml = write::write(&model, source, &name, stem, &meant);
    Ok(Converted { toml, notes: model.notes })
}

/// UTF-8, or the Latin alphabet of older XML files.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

fn guess(text: &str) -> Source {
    if text.trim_start().starts_with('<') { Source::Jpos } else { Source::Moov }
}

/// A name as dialects have them: small letters, digits, dashes.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars().take(48) {
        match c {
            'a'..='z' | '0'..='9' | 'A'..='Z' => slug.push(c.to_ascii_lowercase()),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "converted".to_owned() } else { slug.to_owned() }
}
