//! Who may use whom: between crates by their manifests, between modules by the paths in their code.
//! The tables below are the map in ARCHITECTURE.md; a new arrow is a decision and is drawn in both.

use crate::source::{code_of, line_of, words};
use crate::tree::{Finding, Tree};

/// A crate, which of our crates it may use, and which others it must never use.
struct Crate {
    folder: &'static str,
    may: &'static [&'static str],
    never: &'static [&'static str],
}

const RUNTIMES: &[&str] = &["tokio", "mio", "async-std", "smol"];
const EVERYTHING: &[&str] = &["yika-codec", "yika-hostcmd", "yika-keystore", "yika-loadgen", "yika-switch"];

const CRATES: [Crate; 12] = [
    Crate { folder: "codec", may: &[], never: &["tokio", "mio", "async-std", "smol", "socket2", "rand"] },
    Crate { folder: "keystore", may: &["yika-arena", "yika-rounds"], never: RUNTIMES },
    Crate { folder: "keystore/arena", may: &[], never: RUNTIMES },
    Crate { folder: "keystore/hostcmd", may: &["yika-keystore"], never: &["rand"] },
    Crate { folder: "keystore/pkcs11", may: &["yika-keystore"], never: RUNTIMES },
    Crate { folder: "keystore/rounds", may: &[], never: RUNTIMES },
    Crate {
        folder: "switch",
        may: &["yika-codec", "yika-hostcmd", "yika-keystore", "yika-loadgen"],
        never: &["rand"],
    },
    Crate { folder: "loadgen", may: &["yika-codec", "yika-keystore"], never: &[] },
    Crate { folder: "bench", may: EVERYTHING, never: &[] },
    Crate { folder: "tests", may: EVERYTHING, never: &[] },
    Crate { folder: "tests/fuzz", may: EVERYTHING, never: &[] },
    Crate { folder: "xtask", may: &[], never: RUNTIMES },
];

/// The crates of the workspace depend on each other as the table says.
pub(crate) fn crates(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| path.ends_with("/Cargo.toml")) {
        let folder = path.trim_end_matches("/Cargo.toml");
        let Some(own) = CRATES.iter().find(|one| one.folder == folder) else {
            let what = "a crate that the map does not know: add it to CRATES and to ARCHITECTURE.md";
            findings.push(Finding { path: path.to_owned(), line: 1, what: what.to_owned() });
            continue;
        };
        for dependency in dependencies(text) {
            let (name, line) = (dependency.name, dependency.line);
            let ours = name.starts_with("yika-") || name == "xtask";
            if ours && !own.may.contains(&name) || own.never.contains(&name) {
                let what = format!("{folder} must not use {name}: move the code to where it may be used");
                findings.push(Finding { path: path.to_owned(), line, what });
            }
        }
    }
    findings
}

/// Each dependency of a crate says in its line what it saves.
pub(crate) fn reasons(tree: &Tree) -> Vec<Finding> {
    let manifests = tree.files().filter(|(path, _)| path.ends_with("/Cargo.toml"));
    let unexplained = manifests.flat_map(|(path, text)| {
        dependencies(text).filter(|one| one.reason_words < 2).map(|one| {
            let what = format!("{}: say behind it, after `#`, what it saves", one.name);
            Finding { path: path.to_owned(), line: one.line, what }
        })
    });
    unexplained.collect()
}

struct Dependency<'a> {
    name: &'a str,
    line: usize,
    reason_words: usize,
}

/// The dependencies of a manifest, of every kind, one in a line.
fn dependencies(text: &str) -> impl Iterator<Item = Dependency<'_>> {
    let mut inside = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let (entry, reason) = line.split_once('#').unwrap_or((line, ""));
        let name = if let Some(header) = entry.trim().strip_prefix('[') {
            let header = header.trim_end_matches(']');
            inside = header.ends_with("dependencies");
            header.rsplit_once("dependencies.").map(|(_, name)| name)
        } else {
            let key = entry.split(['=', '.']).next().unwrap_or_default().trim();
            Some(key).filter(|key| inside && !key.is_empty())
        }?;
        Some(Dependency { name, line: at + 1, reason_words: reason.split_whitespace().count() })
    })
}

/// A folder (or file) of code, and what must not occur in it.
struct Module {
    within: &'static str,
    words: &'static [&'static str],
    paths: &'static [&'static str],
    why: &'static str,
}

const MODULES: [Module; 10] = [
    Module {
        within: "switch/src/core/",
        words: &[
            "tokio",
            "rand",
            "await",
            "async",
            "HashMap",
            "HashSet",
            "Mutex",
            "RwLock",
            "Condvar",
            "Instant",
            "SystemTime",
        ],
        paths: &[
            "std::fs",
            "std::net",
            "std::thread",
            "std::env",
            "std::process",
            "crate::journal",
            "crate::driver",
            "crate::net",
            "crate::config",
            "crate::admin",
            "crate::cli",
        ],
        why: "the core is pure, so that the same journal always gives the same state (P8)",
    },
    Module {
        within: "switch/src/journal/",
        words: &["tokio", "await", "async"],
        paths: &["crate::driver", "crate::net", "crate::config", "crate::admin", "crate::cli"],
        why: "the journal knows entries and effects, and nobody above it",
    },
    Module {
        within: "switch/src/driver/",
        words: &["tokio", "await", "async", "Instant", "SystemTime"],
        paths: &["std::fs", "std::thread", "crate::net", "crate::admin", "crate::cli"],
        why: "the driver is told bytes and time, so that it runs under tokio and in virtual time alike",
    },
    Module {
        within: "switch/src/net/",
        words: &[],
        paths: &["crate::cli", "crate::demo"],
        why: "the command line stands above the sockets",
    },
    Module {
        within: "switch/src/config/",
        words: &["tokio", "await", "async", "Instant", "SystemTime"],
        paths: &[
            "crate::journal",
            "crate::driver",
            "crate::net",
            "crate::admin",
            "crate::cli",
            "crate::demo",
        ],
        why: "the configuration becomes checked settings, and knows nobody who uses them",
    },
    Module {
        within: "switch/src/admin/",
        words: &[],
        paths: &["crate::journal", "crate::net", "crate::cli", "crate::demo"],
        why: "admin asks the running switch by its queue, and nobody past it",
    },
    Module {
        within: "switch/src/cli/",
        words: &["await", "async"],
        paths: &[],
        why: "a command asks and prints; what waits for sockets stands in net and admin",
    },
    Module {
        within: "switch/src/demo/",
        words: &[],
        paths: &["crate::net", "crate::driver", "crate::cli"],
        why: "the demo runs the switch as a process of its own, as an operator would",
    },
    Module {
        within: "codec/src/",
        words: &["tokio", "await", "async", "Instant", "SystemTime"],
        paths: &["std::fs", "std::net", "std::thread"],
        why: "the codec turns bytes into fields; it has no clock and no I/O",
    },
    Module {
        within: "keystore/src/",
        words: &["tokio", "await", "async"],
        paths: &["std::net"],
        why: "the keystore is called, it waits for nobody",
    },
];

/// The demo alone may play terminals and banks.
const MAY_NAME_LOADGEN: &str = "switch/src/demo";

/// Modules use only what the table lets them.
pub(crate) fn modules(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust_files() {
        let code = code_of(text);
        let mut refuse = |at, name: &str, why: &str| {
            let what = format!("{name} has no place here: {why}");
            findings.push(Finding { path: path.to_owned(), line: line_of(&code, at), what });
        };
        for module in MODULES.iter().filter(|module| path.starts_with(module.within)) {
            words(&code)
                .filter(|(_, word)| module.words.contains(word))
                .for_each(|(at, word)| refuse(at, word, module.why));
            used_paths(&code)
                .into_iter()
                .filter(|(_, used)| module.paths.contains(&used.as_str()))
                .for_each(|(at, used)| refuse(at, &used, module.why));
        }
        if path.starts_with("switch/src/") && !path.starts_with(MAY_NAME_LOADGEN) {
            words(&code)
                .filter(|(_, word)| *word == "yika_loadgen")
                .for_each(|(at, word)| refuse(at, word, "only the demo plays terminals and banks"));
        }
    }
    findings
}

/// What follows `crate::`, `std::` or `super::super::`, one step deep, groups taken apart.
fn used_paths(code: &str) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    for (root, named) in [("crate::", "crate::"), ("std::", "std::"), ("super::super::", "crate::")] {
        for (at, _) in code.match_indices(root) {
            for step in first_steps(&code[at + root.len()..]) {
                paths.push((at, format!("{named}{step}")));
            }
        }
    }
    paths
}

/// The name that `rest` begins with, or the first name of each member when it begins with a group.
fn first_steps(rest: &str) -> Vec<&str> {
    let first_word = |text| words(text).next().map(|(_, word)| word);
    let Some(group) = rest.strip_prefix('{') else {
        return first_word(rest).filter(|word| rest.starts_with(word)).into_iter().collect();
    };
    let mut steps = Vec::new();
    let (mut depth, mut member_begins) = (0, true);
    for (at, byte) in group.bytes().enumerate() {
        match byte {
            b'}' if depth == 0 => break,
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => member_begins = true,
            _ if member_begins && !byte.is_ascii_whitespace() => {
                member_begins = false;
                steps.extend(first_word(&group[at..]));
            }
            _ => {}
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_crate_that_uses_what_it_must_not_is_found() {
        let manifest = "[package]\nname = \"yika-codec\"\n[dependencies]\nserde = \"1\"\ntokio = \"1\"\n\
                        [dev-dependencies]\nyika-switch.workspace = true\n[dependencies.yika-keystore]\n";
        let findings = crates(&Tree::of(&[("codec/Cargo.toml", manifest), ("new/Cargo.toml", "")]));
        assert_eq!(lines(&findings), [5, 7, 8, 1]);
        assert!(crates(&Tree::of(&[("loadgen/Cargo.toml", "[dependencies]\nyika-codec = {}\n")])).is_empty());
    }

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let manifest = "[dependencies]\nserde = \"1\" # entries are typed records\ntoml = \"1\"\n\
                        ring = \"1\" # crypto\n\n[lints]\nworkspace = true\n";
        assert_eq!(lines(&reasons(&Tree::of(&[("codec/Cargo.toml", manifest)]))), [3, 4]);
    }

    #[test]
    fn a_module_that_reaches_upward_is_found() {
        for wrong in [
            "use std::time::Instant;",
            "use std::{fmt, fs};",
            "use std::collections::{BTreeMap, HashMap};",
            "use crate::journal::Journal;",
            "use crate::{core::ids, driver::{line, wire}};",
            "use super::super::net::serve;",
            "async fn wait() {}",
            "fn roll() -> u8 { rand::random() }",
            "static STATE: std::sync::Mutex<u8>;",
        ] {
            let tree = Tree::of(&[("switch/src/core/plan.rs", wrong)]);
            assert_eq!(modules(&tree).len(), 1, "{wrong}");
        }
        let right =
            "// std::fs is not for us\nuse crate::core::ids; use std::{fmt, collections::BTreeMap};\n";
        assert!(modules(&Tree::of(&[("switch/src/core/plan.rs", right)])).is_empty());
    }

    #[test]
    fn each_border_is_kept() {
        for (path, wrong) in [
            ("switch/src/journal/writer.rs", "use crate::driver::Driver;"),
            ("switch/src/driver/mod.rs", "use tokio::net::TcpStream;"),
            ("switch/src/net/serve.rs", "use crate::cli::Options;"),
            ("switch/src/net/serve.rs", "use yika_loadgen::run;"),
            ("switch/src/config/read.rs", "use crate::driver::rim::Rim;"),
            ("switch/src/admin/desk.rs", "use crate::cli::saf;"),
            ("switch/src/cli/saf.rs", "async fn ask() {}"),
            ("switch/src/demo/child.rs", "use crate::net::serve;"),
            ("codec/src/decode.rs", "use std::net::IpAddr;"),
            ("keystore/src/lmk.rs", "use tokio::fs;"),
        ] {
            assert_eq!(modules(&Tree::of(&[(path, wrong)])).len(), 1, "{path}: {wrong}");
        }
        assert!(modules(&Tree::of(&[("switch/src/demo/mod.rs", "use yika_loadgen::run;")])).is_empty());
    }
}
