//! The dialects of a configuration. Each file is read once, however many tables name it and by whatever path, so
//! that one file is one dialect: what comes in one and goes out in the same is passed on as it stands.

use super::doc::{Place, Table, nearest};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use yika_codec::Dialect;

pub(super) struct Dialects<'b> {
    /// Where relative paths start.
    base: &'b Path,
    /// By canonical path, or by name for a built-in one; None: refused, and that was said.
    read: RefCell<BTreeMap<PathBuf, Option<Arc<Dialect>>>>,
}

impl<'b> Dialects<'b> {
    pub(super) fn new(base: &'b Path) -> Dialects<'b> {
        Dialects { base, read: RefCell::default() }
    }

    /// What the key `dialect` names: a built-in dialect, or a `.toml` file. None is already reported.
    pub(super) fn named(&self, table: &Table<'_>) -> Option<Arc<Dialect>> {
        let name = table.needed_text("dialect", "a built-in one by name, or a .toml file")?;
        let place = table.place_of("dialect");
        let path = if name.ends_with(".toml") { self.base.join(name) } else { PathBuf::from(name) };
        let known = if name.ends_with(".toml") { std::fs::canonicalize(&path) } else { Ok(path.clone()) };
        // What cannot be found is said so when it is read.
        let key = known.unwrap_or_else(|_| path.clone());
        if let Some(read) = self.read.borrow().get(&key) {
            return read.clone();
        }
        let found = if name.ends_with(".toml") {
            from_file(table, &place, &path)
        } else {
            builtin(table, &place, name)
        };
        let found = found.filter(|dialect| routes(table, &place, dialect));
        let found = found.filter(|dialect| self.is_only_one(table, &place, &path, dialect));
        self.read.borrow_mut().insert(key, found.clone());
        found
    }

    /// Logs and errors call a dialect by its name, so two may not have the same.
    fn is_only_one(&self, table: &Table<'_>, place: &Place, path: &Path, dialect: &Dialect) -> bool {
        let read = self.read.borrow();
        let same = |other: &Arc<Dialect>| other.name() == dialect.name();
        let Some((other, _)) = read.iter().find(|(_, other)| other.as_ref().is_some_and(same)) else {
            return true;
        };
        let rule = format!(
            "{} and {} are two dialects with the one name \"{}\": give each a `name` of its own",
            other.display(),
            path.display(),
            dialect.name()
        );
        table.fault(place, rule);
        false
    }
}

fn routes(table: &Table<'_>, place: &Place, dialect: &Dialect) -> bool {
    if !dialect.routes() {
        let rule = format!(
            "dialect \"{}\" says how messages look and not how to route them: it has no [codes] and no [[kind]] rows",
            dialect.name()
        );
        table.fault(place, rule);
    }
    dialect.routes()
}

fn builtin(table: &Table<'_>, place: &Place, name: &str) -> Option<Arc<Dialect>> {
    let found = Dialect::builtin(name);
    if found.is_none() {
        let routes = |name: &&str| Dialect::builtin(name).is_some_and(|dialect| dialect.routes());
        let known: Vec<&str> = Dialect::builtin_names().filter(routes).collect();
        let rule = format!(
            "no dialect is named \"{name}\"; there are {}, or a path that ends with .toml",
            known.join(", ")
        );
        table.doc().fault_like(place, rule, nearest(name, &known));
    }
    found
}

fn from_file(table: &Table<'_>, place: &Place, path: &Path) -> Option<Arc<Dialect>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            table.fault(place, format!("cannot read {}: {error}", path.display()));
            return None;
        }
    };
    let folder: PathBuf = path.parent().map(Path::to_owned).unwrap_or_default();
    // A file beside it comes before a built-in dialect of the same name.
    let resolve = |other: &str| {
        let beside = std::fs::read_to_string(folder.join(format!("{other}.toml"))).ok();
        beside.or_else(|| Dialect::builtin_text(other).map(str::to_owned))
    };
    match Dialect::from_toml(&path.display().to_string(), &text, &resolve) {
        Ok(dialect) => Some(Arc::new(dialect)),
        Err(errors) => {
            table.fault(place, format!("the dialect is refused:\n{errors}"));
            None
        }
    }
}
