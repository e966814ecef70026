//! Words that must not land: unfinished code, left-over debugging, tests that are switched off or wait by the clock,
//! and names of machines that nobody else has. They stand here in two halves, so that this file may land.

use crate::source::{code_of, line_of};
use crate::tree::{Finding, Tree};

/// In code, not in comments or strings.
const IN_CODE: [(&str, &str); 4] = [
    (concat!("to", "do!("), "finish it"),
    (concat!("unimple", "mented!("), "finish it"),
    (concat!("db", "g!("), "take it out"),
    (concat!("#[ig", "nore"), "mend the test or delete it with its reason in the commit"),
];

/// In the code of tests.
const IN_TESTS: [(&str, &str); 1] =
    [(concat!("sle", "ep("), "move virtual time, or wait for a stated condition with a limit")];

/// The places where a test waits for a stated condition with a limit, for all tests to use.
const WAITING_PLACES: [&str; 1] = ["tests/src/process.rs"];

/// Anywhere in the tree.
const ANYWHERE: [(&str, &str); 8] = [
    (concat!("/wo", "rk/"), "a path of one machine: write it relative to the workspace"),
    (concat!("/ro", "ot/"), "a path of one machine: write it relative to the workspace"),
    (concat!("/ho", "me/"), "a path of one machine: write it relative to the workspace"),
    (concat!("crates", ".io"), "a registry's host: name the package alone"),
    (concat!("pypi", ".org"), "a registry's host: name the package alone"),
    (concat!("pythonhosted", ".org"), "a registry's host: name the package alone"),
    (concat!("npmjs", ".org"), "a registry's host: name the package alone"),
    (concat!("debian", ".org"), "a registry's host: name the package alone"),
];

/// Every such word with its place.
pub(crate) fn all(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files() {
        let mut look = |text: &str, from: usize, words: &[(&str, &str)]| {
            for (word, cure) in words {
                for (at, _) in text[from..].match_indices(word) {
                    let what = format!("{word} must not land: {cure}");
                    findings.push(Finding { path: path.to_owned(), line: line_of(text, from + at), what });
                }
            }
        };
        // A lock file is cargo's and names its registry.
        if !path.ends_with("Cargo.lock") {
            look(text, 0, &ANYWHERE);
        }
        if path.ends_with(".rs") {
            let code = code_of(text);
            look(&code, 0, &IN_CODE);
            if !WAITING_PLACES.contains(&path) {
                look(&code, start_of_tests(path, &code), &IN_TESTS);
            }
        }
    }
    findings
}

/// Where the tests of a file begin; its end when it has none.
fn start_of_tests(path: &str, code: &str) -> usize {
    let all_tests = path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("tests.rs");
    if all_tests { 0 } else { code.find("#[cfg(test)]").unwrap_or(code.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        all(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn each_word_is_found_in_its_place() {
        for (word, _) in IN_CODE {
            assert_eq!(found("codec/src/a.rs", &format!("fn a() {{ {word} }}")), 1, "{word}");
            assert_eq!(
                found("codec/src/a.rs", &format!("// {word}\nconst A: &str = \"{word}\";")),
                0,
                "{word}"
            );
        }
        for (word, _) in ANYWHERE {
            assert_eq!(found("docs/a.md", &format!("see {word} there")), 1, "{word}");
            assert_eq!(found("codec/src/a.rs", &format!("// see {word} there")), 1, "{word}");
            assert_eq!(found("Cargo.lock", word), 0, "{word}");
        }
    }

    #[test]
    fn only_tests_may_not_wait_by_the_clock() {
        let (word, _) = IN_TESTS[0];
        for path in ["tests/e2e/a.rs", "codec/tests/a.rs", "switch/src/journal/tests.rs"] {
            assert_eq!(found(path, &format!("fn a() {{ {word} }}")), 1, "{path}");
        }
        let both = format!("fn a() {{ {word} }}\n#[cfg(test)]\nmod tests {{ fn b() {{ {word} }} }}");
        assert_eq!(found("loadgen/src/a.rs", &both), 1);
    }
}
