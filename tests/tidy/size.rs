//! How long files and functions may be, and how each file begins.

use crate::source::{code_of, functions};
use crate::tree::{Finding, Tree};

/// Beyond this nobody reads a file to its end (style: near 300 lines, always under 600).
const FILE_LINES_BELOW: usize = 600;
/// What still fits on a screen (style: under 70 lines).
const FUNCTION_LINES_BELOW: usize = 70;
/// Functions that are one `match` that dispatches a machine, as (file, function): splitting hides the machine.
const DISPATCHES: [(&str, &str); 0] = [];

/// Lengths, beginnings, and that no exemption outlives its function.
pub(crate) fn all(tree: &Tree) -> Vec<Finding> {
    let mut findings = check(tree, &DISPATCHES);
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    findings
}

fn check(tree: &Tree, exempt: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut unused = exempt.to_vec();
    for (path, text) in tree.rust_files() {
        let mut find = |line, what| findings.push(Finding { path: path.to_owned(), line, what });
        if !text.starts_with("//!") {
            find(1, "begin the file with `//!`: what it owns, promises, and must never do".to_owned());
        }
        let lines = text.lines().count();
        if lines >= FILE_LINES_BELOW {
            find(lines, format!("{lines} lines: split the file by idea (below {FILE_LINES_BELOW})"));
        }
        let code = code_of(text);
        for long in functions(&code).iter().filter(|one| one.lines >= FUNCTION_LINES_BELOW) {
            match unused.iter().position(|entry| *entry == (path, long.name)) {
                Some(at) => drop(unused.swap_remove(at)),
                None => find(
                    long.line,
                    format!(
                        "{} has {} lines: split it (below {FUNCTION_LINES_BELOW})",
                        long.name, long.lines
                    ),
                ),
            }
        }
    }
    findings.extend(unused.iter().map(|(path, name)| {
        let what = format!("{name} is not long any more: take it out of DISPATCHES in tests/tidy/size.rs");
        Finding { path: (*path).to_owned(), line: 1, what }
    }));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function_of(lines: usize) -> String {
        format!("//! A file.\nfn long() {{\n{}}}\n", "    work();\n".repeat(lines - 2))
    }

    #[test]
    fn a_long_file_is_found() {
        for (lines, findings) in [(FILE_LINES_BELOW - 1, 0), (FILE_LINES_BELOW, 1)] {
            let text = "//! A file.\n".repeat(lines);
            assert_eq!(check(&Tree::of(&[("codec/src/a.rs", &text)]), &[]).len(), findings, "{lines}");
        }
    }

    #[test]
    fn a_long_function_is_found_unless_it_is_exempt() {
        for (lines, findings) in [(FUNCTION_LINES_BELOW - 1, 0), (FUNCTION_LINES_BELOW, 1)] {
            assert_eq!(check(&Tree::of(&[("a.rs", &function_of(lines))]), &[]).len(), findings, "{lines}");
        }
        let tree = Tree::of(&[("a.rs", &function_of(FUNCTION_LINES_BELOW))]);
        assert!(check(&tree, &[("a.rs", "long")]).is_empty());
        assert_eq!(check(&tree, &[("a.rs", "long"), ("a.rs", "gone")]).len(), 1);
    }

    #[test]
    fn a_file_that_does_not_say_what_it_owns_is_found() {
        assert_eq!(check(&Tree::of(&[("a.rs", "use std::fmt;\n"), ("b.rs", "")]), &[]).len(), 2);
    }
}
