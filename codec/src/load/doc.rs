//! A TOML document with places: every value knows its line, column and key, and wrong types, unknown keys and
//! unknown words become errors that name the nearest right one.

use super::DialectError;
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

type Errors = Vec<DialectError>;

/// A parsed document.
pub(super) struct Doc<'t> {
    source: Source<'t>,
    table: Spanned<DeTable<'t>>,
}

#[derive(Clone, Copy)]
struct Source<'t> {
    origin: &'t str,
    text: &'t str,
}

/// Where a key or value stands; kept by rows whose faults show only later.
#[derive(Clone, Debug)]
pub(super) struct Place {
    origin: Arc<str>,
    line: usize,
    column: usize,
    pub(super) key: String,
}

/// A value and its place.
pub(super) struct At<'t, T> {
    source: Source<'t>,
    span: Range<usize>,
    key: String,
    pub(super) value: T,
}

/// A table of the document.
pub(super) struct Table<'d, 't> {
    source: Source<'t>,
    span: Range<usize>,
    path: String,
    table: &'d DeTable<'t>,
}

impl<'t> Doc<'t> {
    /// Parses the text; `None` with errors if it is no TOML.
    pub(super) fn parse(origin: &'t str, text: &'t str, errors: &mut Errors) -> Option<Doc<'t>> {
        let source = Source { origin, text };
        let (table, faults) = DeTable::parse_recoverable(text);
        for fault in &faults {
            let span = fault.span().unwrap_or(0..0);
            errors.push(source.place(span, String::new()).error(fault.message().to_owned()));
        }
        faults.is_empty().then_some(Doc { source, table })
    }

    /// The document's top table.
    pub(super) fn top(&self) -> Table<'_, 't> {
        Table { source: self.source, span: 0..0, path: String::new(), table: self.table.get_ref() }
    }
}

impl Source<'_> {
    fn place(&self, span: Range<usize>, key: String) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Place { origin: Arc::from(self.origin), line, column, key }
    }
}

impl Place {
    /// Whether both stand in one file.
    pub(super) fn is_in_file_of(&self, other: &Place) -> bool {
        self.origin == other.origin
    }

    /// An error at this place.
    pub(super) fn error(&self, rule: impl Into<String>) -> DialectError {
        DialectError {
            origin: self.origin.to_string(),
            line: self.line,
            column: self.column,
            key: self.key.clone(),
            rule: rule.into(),
            did_you_mean: None,
        }
    }
}

impl<T> At<'_, T> {
    pub(super) fn place(&self) -> Place {
        self.source.place(self.span.clone(), self.key.clone())
    }

    /// An error at this value.
    pub(super) fn error(&self, rule: impl Into<String>) -> DialectError {
        self.place().error(rule)
    }
}

impl<'t> At<'t, &str> {
    /// An error at this word, and which of `names` it may have been meant to be.
    pub(super) fn unlike(&self, rule: &str, names: &[String]) -> DialectError {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        DialectError { did_you_mean: nearest(self.value, &names), ..self.error(rule) }
    }

    /// What the word stands for in `words`, or an error that lists them.
    pub(super) fn one_of<U: Copy>(&self, words: &[(&'static str, U)], errors: &mut Errors) -> Option<U> {
        let found = words.iter().find(|row| row.0 == self.value).map(|row| row.1);
        if found.is_none() {
            let names: Vec<_> = words.iter().map(|row| row.0).collect();
            let mut error = self.error(format!("\"{}\" is none of {}", self.value, names.join(", ")));
            error.did_you_mean = nearest(self.value, &names);
            errors.push(error);
        }
        found
    }
}

impl<'d, 't> Table<'d, 't> {
    /// Reports each key that is not among `known`.
    pub(super) fn only(&self, known: &[&str], errors: &mut Errors) {
        for (key, _) in self.table {
            if !known.contains(&key.get_ref().as_ref()) {
                let mut error =
                    self.source.place(key.span(), self.path_to(key.get_ref())).error("unknown key");
                error.did_you_mean = nearest(key.get_ref(), known);
                errors.push(error);
            }
        }
    }

    /// The text under `key`.
    pub(super) fn text(&self, key: &str, errors: &mut Errors) -> Option<At<'t, &'d str>> {
        self.typed(key, "a string", errors, DeValue::as_str)
    }

    /// The truth value under `key`.
    pub(super) fn flag(&self, key: &str, errors: &mut Errors) -> Option<At<'t, bool>> {
        self.typed(key, "true or false", errors, DeValue::as_bool)
    }

    /// The number under `key`, which must lie in `range`.
    pub(super) fn number(&self, key: &str, range: Range<u16>, errors: &mut Errors) -> Option<At<'t, u16>> {
        let wanted = format!("a number from {} to {}", range.start, range.end - 1);
        self.typed(key, &wanted, errors, |value| small_number(value, &range))
    }

    /// The list of numbers under `key`, each of which must lie in `range`.
    pub(super) fn numbers(
        &self,
        key: &str,
        range: Range<u16>,
        errors: &mut Errors,
    ) -> Option<At<'t, Vec<u16>>> {
        let wanted = format!("a list of numbers from {} to {}", range.start, range.end - 1);
        self.typed(key, &wanted, errors, |value| {
            value.as_array()?.iter().map(|item| small_number(item.get_ref(), &range)).collect()
        })
    }

    /// The table under `key`.
    pub(super) fn table(&self, key: &str, errors: &mut Errors) -> Option<Table<'d, 't>> {
        let found = self.typed(key, "a table", errors, DeValue::as_table)?;
        Some(Table { source: self.source, span: found.span, path: found.key, table: found.value })
    }

    /// The tables of the list `[[key]]`.
    pub(super) fn tables(&self, key: &str, errors: &mut Errors) -> Option<Vec<Table<'d, 't>>> {
        let list = self.typed(key, "a list of tables", errors, DeValue::as_array)?;
        let mut tables = Vec::new();
        for (i, item) in list.value.iter().enumerate() {
            let path = format!("{}[{}]", list.key, i + 1);
            match item.get_ref().as_table() {
                Some(table) => tables.push(Table { source: self.source, span: item.span(), path, table }),
                None => errors.push(self.source.place(item.span(), path).error("expected a table")),
            }
        }
        Some(tables)
    }

    /// Keys and their places, in no particular order.
    pub(super) fn keys(&self) -> impl Iterator<Item = At<'t, &'d str>> {
        self.table.keys().map(|key| At {
            source: self.source,
            span: key.span(),
            key: self.path_to(key.get_ref()),
            value: key.get_ref().as_ref(),
        })
    }

    /// Where the table begins.
    pub(super) fn place(&self) -> Place {
        self.source.place(self.span.clone(), self.path.clone())
    }

    fn typed<T>(
        &self,
        key: &str,
        wanted: &str,
        errors: &mut Errors,
        take: impl FnOnce(&'d DeValue<'t>) -> Option<T>,
    ) -> Option<At<'t, T>> {
        let found = self.table.get(key)?;
        let value = take(found.get_ref());
        let at = At { source: self.source, span: found.span(), key: self.path_to(key), value: () };
        match value {
            Some(value) => Some(At { source: at.source, span: at.span, key: at.key, value }),
            None => {
                errors.push(at.error(format!("expected {wanted}")));
                None
            }
        }
    }

    fn path_to(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

fn small_number(value: &DeValue<'_>, range: &Range<u16>) -> Option<u16> {
    let integer = value.as_integer()?;
    u16::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|number| range.contains(number))
}

/// The candidate most like `word`, if one is like it at all.
pub(super) fn nearest(word: &str, candidates: &[&str]) -> Option<String> {
    let likeness = |candidate: &&str| strsim::jaro_winkler(word, candidate);
    let best = candidates.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    // Below 0.7 two words share little more than a letter or two.
    (likeness(&best) >= 0.7).then(|| best.to_owned())
}
