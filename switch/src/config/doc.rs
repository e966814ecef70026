//! A TOML document with places: every value knows its line, column and key. Asking a table for a key makes
//! the key known; `finish` reports each key that nobody asked for, so that no list of keys can go stale.
//! Faults are collected and never end the reading.

use super::error::ConfigError;
use super::units::{DURATION_RULE, SIZE_RULE, parse_duration, parse_size};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

/// The text being read, and what was found wrong with it.
pub(super) struct Doc<'t> {
    origin: &'t str,
    text: &'t str,
    faults: RefCell<Vec<(usize, ConfigError)>>,
    not_shown: Cell<usize>,
    asked: RefCell<BTreeSet<(String, &'static str)>>,
}

/// Faults that are told; each costs a look for its line and its likeness. Who has more begins with these.
const FAULTS_MAX: usize = 100;
/// Bytes of a line that is shown.
const LINE_SHOWN_MAX: usize = 1000;

/// Where a key or value stands.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) key: String,
    span: Range<usize>,
}

/// A table of the document.
pub(super) struct Table<'d> {
    doc: &'d Doc<'d>,
    raw: &'d DeTable<'d>,
    place: Place,
    /// Its key without the numbers of list items: what the reference file calls it.
    shape: String,
    asked: RefCell<Vec<&'static str>>,
}

/// Hexadecimal digits in a row that may be a key or a card number: a DES key has sixteen.
const HIDDEN_DIGITS_MIN: usize = 13;

/// The text with such digits as stars, as wide as before: a faulty line is shown, a key in it is not (P10).
fn hide_keys(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let run = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
        let (digits, after) = rest.split_at(run);
        if run >= HIDDEN_DIGITS_MIN {
            shown.extend(digits.chars().map(|_| '*'))
        } else {
            shown.push_str(digits)
        }
        let other = after.chars().next().map_or(0, char::len_utf8);
        let (one, after) = after.split_at(other);
        shown.push_str(one);
        rest = after;
    }
    shown
}

impl<'t> Doc<'t> {
    pub(super) fn new(origin: &'t str, text: &'t str) -> Doc<'t> {
        Doc { origin, text, faults: RefCell::default(), not_shown: Cell::new(0), asked: RefCell::default() }
    }

    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    pub(super) fn fault(&self, place: &Place, rule: impl Into<String>) {
        self.fault_like(place, rule, None);
    }

    /// Whether so much is wrong that more is only counted.
    pub(super) fn is_full(&self) -> bool {
        self.faults.borrow().len() >= FAULTS_MAX
    }

    pub(super) fn fault_like(&self, place: &Place, rule: impl Into<String>, did_you_mean: Option<String>) {
        if self.is_full() {
            self.not_shown.set(self.not_shown.get() + 1);
            return;
        }
        let span = place.span.clone();
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let text = self.text[line_start..].lines().next().unwrap_or("");
        // Nobody looks for a caret in a line of thousands; its place is told all the same.
        let text = if text.len() > LINE_SHOWN_MAX { "(a long line)" } else { text };
        // A value of several lines is marked on its first.
        let marked = self.text.get(span.clone()).and_then(|marked| marked.lines().next()).unwrap_or("");
        let error = ConfigError {
            origin: self.origin.to_owned(),
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            width: marked.chars().take(LINE_SHOWN_MAX).count(),
            text: hide_keys(text),
            key: place.key.clone(),
            rule: hide_keys(&rule.into()),
            did_you_mean,
        };
        self.faults.borrow_mut().push((span.start, error));
    }

    /// A fault of the TOML itself.
    pub(super) fn syntax_fault(&self, error: &toml::de::Error) {
        let place = Place { key: String::new(), span: error.span().unwrap_or(0..0) };
        self.fault(&place, error.message());
    }

    /// The faults in the order of the text, and how many more there are.
    pub(super) fn take_faults(&self) -> (Vec<ConfigError>, usize) {
        let mut faults = self.faults.take();
        faults.sort_by_key(|(at, _)| *at);
        (faults.into_iter().map(|(_, error)| error).collect(), self.not_shown.take())
    }

    /// Every key the reader knows, with the table it stands in.
    #[cfg(test)]
    pub(super) fn known_keys(&self) -> BTreeSet<(String, &'static str)> {
        self.asked.take()
    }
}

impl<'d> Table<'d> {
    pub(super) fn top(doc: &'d Doc<'d>, raw: &'d DeTable<'d>) -> Table<'d> {
        let place = Place { key: String::new(), span: 0..0 };
        Table { doc, raw, place, shape: String::new(), asked: RefCell::default() }
    }

    pub(super) fn fault(&self, place: &Place, rule: impl Into<String>) {
        self.doc.fault(place, rule);
    }

    pub(super) fn doc(&self) -> &'d Doc<'d> {
        self.doc
    }

    /// The value under `key`, or the table itself where the key is missing.
    pub(super) fn place_of(&self, key: &str) -> Place {
        let path = self.path_to(key);
        match self.raw.get(key) {
            Some(found) => Place { key: path, span: found.span() },
            None => self.place.clone(),
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.raw.get(key).is_some()
    }

    /// Makes `key` known here without reading it; true when it is there, for a rule of its own about it.
    pub(super) fn skip(&self, key: &'static str) -> bool {
        self.asked.borrow_mut().push(key);
        self.has(key)
    }

    pub(super) fn text(&self, key: &'static str) -> Option<&'d str> {
        self.typed(key, "a string", DeValue::as_str)
    }

    /// Reports `key` when it is missing.
    pub(super) fn need(&self, key: &'static str, what: &str) {
        self.ask(key);
        if !self.has(key) {
            self.fault(&self.place, format!("needs `{key}`: {what}"));
        }
    }

    /// A text that must be there; None is already reported.
    pub(super) fn needed_text(&self, key: &'static str, what: &str) -> Option<&'d str> {
        self.need(key, what);
        self.text(key)
    }

    /// The name of a file or folder.
    pub(super) fn path(&self, key: &'static str) -> Option<PathBuf> {
        self.parsed(key, "the name of a file or folder", |text| {
            (!text.is_empty()).then(|| PathBuf::from(text))
        })
    }

    pub(super) fn needed_path(&self, key: &'static str, what: &str) -> Option<PathBuf> {
        self.need(key, what);
        self.path(key)
    }

    pub(super) fn flag(&self, key: &'static str) -> Option<bool> {
        self.typed(key, "true or false", DeValue::as_bool)
    }

    pub(super) fn number(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        self.typed(key, &wanted, |value| integer(value).filter(|number| range.contains(number)))
    }

    pub(super) fn count(&self, key: &'static str, range: RangeInclusive<u64>, default: usize) -> usize {
        self.number(key, range).map_or(default, |number| usize::try_from(number).unwrap_or(usize::MAX))
    }

    pub(super) fn numbers(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<Vec<u64>> {
        let wanted = format!("a list of whole numbers from {} to {}", range.start(), range.end());
        self.typed(key, &wanted, |value| {
            let one = |item: &DeValue<'_>| integer(item).filter(|number| range.contains(number));
            value.as_array()?.iter().map(|item| one(item.get_ref())).collect()
        })
    }

    /// A list of texts, each with its own place.
    pub(super) fn texts(&self, key: &'static str) -> Option<Vec<(&'d str, Place)>> {
        let path = self.path_to(key);
        let place = |span| Place { key: path.clone(), span };
        self.typed(key, "a list of strings", |value| {
            value
                .as_array()?
                .iter()
                .map(|item| Some((item.get_ref().as_str()?, place(item.span()))))
                .collect()
        })
    }

    /// A duration in `range`.
    pub(super) fn duration(
        &self,
        key: &'static str,
        range: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        let read = |text: &str| parse_duration(text).filter(|found| range.contains(found));
        let rule = format!(
            "{DURATION_RULE}, from {} to {}",
            super::units::show_duration(*range.start()),
            super::units::show_duration(*range.end())
        );
        self.parsed(key, &rule, read).unwrap_or(default)
    }

    /// A size in `range`, bytes.
    pub(super) fn size(&self, key: &'static str, range: RangeInclusive<u64>, default: u64) -> u64 {
        let read = |text: &str| parse_size(text).filter(|found| range.contains(found));
        let rule = format!(
            "{SIZE_RULE}, from {} to {}",
            super::units::show_size(*range.start()),
            super::units::show_size(*range.end())
        );
        self.parsed(key, &rule, read).unwrap_or(default)
    }

    /// A text in a form that `read` knows.
    pub(super) fn parsed<T>(
        &self,
        key: &'static str,
        rule: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(key)?;
        let found = read(text);
        if found.is_none() {
            self.fault(&self.place_of(key), format!("\"{text}\" is not {rule}"));
        }
        found
    }

    /// What the word under `key` stands for.
    pub(super) fn word<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|row| row.0 == text).map(|row| row.1);
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|row| row.0).collect();
            let rule = format!("\"{text}\" is none of {}", names.join(", "));
            self.doc.fault_like(&self.place_of(key), rule, nearest(text, &names));
        }
        found
    }

    pub(super) fn table(&self, key: &'static str) -> Option<Table<'d>> {
        let raw = self.typed(key, "a table", DeValue::as_table)?;
        Some(self.child(raw, self.place_of(key), key))
    }

    /// The tables of `[[key]]`; none where there is none.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Table<'d>> {
        let list = self.typed(
            key,
            "a list of tables, each headed by its name in double brackets",
            DeValue::as_array,
        );
        let mut tables = Vec::new();
        for (at, item) in list.into_iter().flat_map(|list| list.iter()).enumerate() {
            let place = Place { key: format!("{}[{}]", self.path_to(key), at + 1), span: item.span() };
            match item.get_ref().as_table() {
                Some(raw) => tables.push(self.child(raw, place, key)),
                None => self.fault(&place, "expected a table"),
            }
        }
        tables
    }

    /// Reports each key that was never asked for, with the nearest that was.
    pub(super) fn finish(&self) {
        let asked = self.asked.borrow();
        for (key, _) in self.raw {
            let name: &str = key.get_ref().as_ref();
            if !asked.contains(&name) {
                let place = Place { key: self.path_to(name), span: key.span() };
                let like = if self.doc.is_full() { None } else { nearest(name, &asked) };
                self.doc.fault_like(&place, "unknown key", like);
            }
        }
    }

    fn child(&self, raw: &'d DeTable<'d>, place: Place, key: &str) -> Table<'d> {
        let shape = if self.shape.is_empty() { key.to_owned() } else { format!("{}.{key}", self.shape) };
        Table { doc: self.doc, raw, place, shape, asked: RefCell::default() }
    }

    fn ask(&self, key: &'static str) {
        self.asked.borrow_mut().push(key);
        self.doc.asked.borrow_mut().insert((self.shape.clone(), key));
    }

    fn typed<T>(
        &self,
        key: &'static str,
        wanted: &str,
        take: impl FnOnce(&'d DeValue<'d>) -> Option<T>,
    ) -> Option<T> {
        self.ask(key);
        let found = self.raw.get(key)?;
        let value = take(found.get_ref());
        if value.is_none() {
            self.fault(&self.place_of(key), format!("expected {wanted}"));
        }
        value
    }

    fn path_to(&self, key: &str) -> String {
        if self.place.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place.key) }
    }
}

fn integer(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// Longer than any name that somebody mistyped; likeness costs the square of it.
const NAME_LIKE_MAX: usize = 100;

/// The candidate most like `word`, if one is like it at all.
pub(super) fn nearest(word: &str, candidates: &[&str]) -> Option<String> {
    if word.len() > NAME_LIKE_MAX {
        return None;
    }
    let likeness = |candidate: &&str| strsim::jaro_winkler(word, candidate);
    let best = candidates.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    // Below this two words share little more than a letter or two.
    (likeness(&best) >= 0.75).then(|| best.to_owned())
}
