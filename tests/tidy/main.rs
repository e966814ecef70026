//! The rules of the house that no compiler knows: who may use whom, how long things may be, that names in
//! ARCHITECTURE.md exist, which card numbers and which words may stand in the tree.
//!
//! Each rule is a plain function from a tree of files to findings. Here it runs over the real tree; beside
//! it, in its own file, stands a small tree that breaks it.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping it")]

mod borders;
mod cards;
mod names;
mod size;
mod source;
mod tree;
mod words;

use tree::{Finding, Tree};

fn expect_none(rule: impl Fn(&Tree) -> Vec<Finding>) {
    let tree = Tree::of_workspace();
    assert!(tree.files().count() > 100, "the walk lost the tree: it found {} files", tree.files().count());
    let findings = rule(&tree);
    let list: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(findings.is_empty(), "\n{}\n", list.join("\n"));
}

#[test]
fn crates_use_only_whom_they_may() {
    expect_none(borders::crates);
}

#[test]
fn every_dependency_says_what_it_saves() {
    expect_none(borders::reasons);
}

#[test]
fn modules_use_only_whom_they_may() {
    expect_none(borders::modules);
}

#[test]
fn files_and_functions_are_short_and_begin_with_what_they_own() {
    expect_none(size::all);
}

#[test]
fn names_in_the_architecture_exist() {
    expect_none(names::architecture);
}

#[test]
fn card_numbers_are_test_numbers() {
    expect_none(cards::test_ranges);
}

#[test]
fn words_that_must_not_land_are_absent() {
    expect_none(words::all);
}
