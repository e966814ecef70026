//! Names in backticks in ARCHITECTURE.md exist: paths as files or folders, names of code as words of code, and what
//! the tables of promises and rules call a test is one. A renamed test therefore takes its table row along.

use crate::source::{code_of, words};
use crate::tree::{Finding, Tree};
use std::collections::BTreeSet;

const PAGE: &str = "ARCHITECTURE.md";
/// Under these headings a lower-case name with an underscore is a test.
const SECTIONS_OF_TESTS: [&str; 3] = ["Promises", "Rules", "Commitments of the journal"];

/// What the page names and the tree does not have.
pub(crate) fn architecture(tree: &Tree) -> Vec<Finding> {
    let known = names_of_code(tree);
    let tests = names_of_tests(tree);
    let mut findings = Vec::new();
    if tree.text(PAGE).is_empty() {
        findings.push(Finding { path: PAGE.to_owned(), line: 1, what: "there is no such page".to_owned() });
    }
    let (mut of_tests, mut fenced) = (false, false);
    for (at, line) in tree.text(PAGE).lines().enumerate() {
        if line.starts_with("```") {
            fenced = !fenced;
        }
        if let Some(heading) = line.strip_prefix("## ") {
            of_tests = SECTIONS_OF_TESTS.contains(&heading);
        }
        for name in backticked(line).filter(|_| !fenced) {
            if let Some(what) = missing(tree, &known, &tests, of_tests, name) {
                findings.push(Finding { path: PAGE.to_owned(), line: at + 1, what });
            }
        }
    }
    findings
}

fn missing(
    tree: &Tree,
    known: &BTreeSet<String>,
    tests: &BTreeSet<String>,
    of_tests: bool,
    name: &str,
) -> Option<String> {
    let is_path = name.contains('/') || [".rs", ".toml", ".md"].iter().any(|end| name.ends_with(end));
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:<>()/.-".contains(&byte));
    if !is_plain {
        return None; // a command, a value, a pattern
    }
    if is_path {
        return (!tree.has(name)).then(|| format!("there is no {name}: write where it is now"));
    }
    if !name.bytes().any(|byte| byte.is_ascii_lowercase()) || name.contains('-') {
        return None; // a field, a code, a dialect
    }
    if of_tests && name.contains('_') && !name.contains([':', '(', '.']) {
        return (!tests.contains(name)).then(|| format!("there is no test {name}: write its name now"));
    }
    let unknown = words(name).map(|(_, word)| word).find(|word| !known.contains(*word))?;
    Some(format!("nothing in the code is called {unknown}: write its name now"))
}

/// What stands between single backticks in a line.
fn backticked(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn names_of_code(tree: &Tree) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for (path, text) in tree.rust_files() {
        // The rules themselves speak of names that must not exist.
        if !path.starts_with("tests/tidy/") {
            known.extend(words(&code_of(text)).map(|(_, word)| word.to_owned()));
        }
        known.extend(path.split('/').map(|part| part.trim_end_matches(".rs").to_owned()));
    }
    for (_, text) in tree.files().filter(|(path, _)| path.ends_with(".toml")) {
        known.extend(words(text).map(|(_, word)| word.to_owned()));
    }
    known
}

/// Functions that stand behind a `#[test]`, at most a few attributes later.
fn names_of_tests(tree: &Tree) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for (_, text) in tree.rust_files() {
        let code = code_of(text);
        for (at, mark) in code.match_indices("#[test]") {
            let behind = words(&code[at + mark.len()..]);
            let name = behind.map(|(_, word)| word).skip_while(|word| *word != "fn").nth(1);
            tests.extend(name.map(str::to_owned));
        }
    }
    tests
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "//! Code.\npub struct Core;\nimpl Core { pub fn apply(&self) {} }\n\
                        #[test]\nfn rule_01_holds() {}\nfn not_a_test() {}\n";

    fn lines(page: &str) -> Vec<usize> {
        let tree =
            Tree::of(&[(PAGE, page), ("switch/src/core/mod.rs", CODE), ("codec/Cargo.toml", "name = 1")]);
        architecture(&tree).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn what_exists_may_be_named() {
        let page = "`switch/src/core/mod.rs` `switch/src/core/` `Core::apply` `apply()` `cargo xtask test` `F90`\n\
                    `iso87-ascii` `core`\n```\n`nothing` fenced\n```\n## Rules\n| 1 | `rule_01_holds` |\n";
        assert_eq!(lines(page), [0; 0]);
    }

    #[test]
    fn what_is_gone_is_found() {
        assert_eq!(lines(""), [1]);
        assert_eq!(
            lines("fine\n`switch/src/core/gone.rs`\n`Core::gone`\n`gone.toml` `gone`\n"),
            [2, 3, 4, 4]
        );
    }

    #[test]
    fn a_function_that_is_no_test_proves_no_rule() {
        assert_eq!(
            lines("`not_a_test`\n## Promises\n`rule_01_holds` `not_a_test`\n## Rules\n`rule_02`\n"),
            [3, 5]
        );
    }
}
