//! Ceremonies: who may do what, in which order, and what nobody may do alone.

use std::path::Path;

use super::*;
use crate::attributes::{Algorithm, Export, Mode, Usage};
use crate::lmk::Lmk;
use crate::testing::unhex;

const PEOPLE: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];
/// Two published components of a TDES key, whose check value is 866C07.
const ONE: &str = "F210F2017A3E3D8920D9B53D1C4913EF";
const TWO: &str = "713390662BF95F8D2863D2B41E177D5C";

fn passphrase(name: &str) -> Vec<u8> {
    format!("the passphrase of {name}").into_bytes()
}

fn store_at(path: &Path) -> Keystore {
    let store = Keystore::create(path, Lmk::test()).unwrap();
    let mut by: Vec<Present> = Vec::new();
    for name in PEOPLE {
        store.add_custodian(name, &passphrase(name), &by.iter().collect::<Vec<_>>()).unwrap();
        by.push(present(&store, name));
    }
    store
}

fn present(store: &Keystore, name: &str) -> Present {
    store.present(name, &passphrase(name)).unwrap()
}

fn zmk() -> Attributes {
    Attributes { usage: Usage::Kek, algorithm: Algorithm::Tdes, mode: Mode::Both, export: Export::N }
}

fn refused<T>(result: Result<T, KeyError>) -> &'static str {
    match result {
        Err(KeyError::Custodian { reason, .. }) => reason,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was let through"),
    }
}

#[test]
fn a_key_comes_of_two_people_and_a_third_who_commits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let store = store_at(&path);
    store.begin_ceremony("zmk", zmk(), 2, &present(&store, "alice")).unwrap();
    drop(store);
    // Each comes on another day.
    let store = Keystore::open(&path, Lmk::test()).unwrap();
    store.enter_component("zmk", &unhex(ONE), &present(&store, "bob")).unwrap();
    assert!(matches!(store.ceremony_check_value("zmk"), Err(KeyError::Components { .. })), "one is missing");
    drop(store);
    let store = Keystore::open(&path, Lmk::test()).unwrap();
    store.enter_component("zmk", &unhex(TWO), &present(&store, "carol")).unwrap();
    assert_eq!(hex(&store.ceremony_check_value("zmk").unwrap()), "866C07");
    assert!(store.info("zmk").is_none(), "no key before it is committed");
    let info = store.commit_ceremony("zmk", &present(&store, "dave")).unwrap();
    assert_eq!((hex(&info.check_value).as_str(), info.origin), ("866C07", Origin::Ceremony));
    assert!(store.ceremonies().is_empty());
    let store = Keystore::open(&path, Lmk::test()).unwrap();
    assert!(store.ceremonies().is_empty() && store.info("zmk").is_some());
    let (log, head) = store.audit_head().unwrap();
    let mut told = Vec::new();
    let mut tell = |record: &crate::AuditRecord| told.push((record.action.clone(), record.actors.join(" ")));
    crate::verify_audit(&log, &store.audit_public_key().unwrap(), Some(head), &mut tell).unwrap();
    let told: Vec<(&str, &str)> =
        told.iter().map(|(action, who)| (action.as_str(), who.as_str())).skip(6).collect();
    let expected = [("begin", "alice"), ("enter", "bob"), ("enter", "carol"), ("commit", "dave")];
    assert_eq!(
        told,
        expected
            .map(|(step, who)| (["ceremony ", step].concat(), who))
            .iter()
            .map(|(s, w)| (s.as_str(), *w))
            .collect::<Vec<_>>()
    );
    for secret in [ONE, TWO, "8323626751C7620408BA6789025E6EB3"] {
        for file in [&path, &log] {
            assert!(
                !std::fs::read_to_string(file).unwrap().contains(secret),
                "{secret} in {}",
                file.display()
            );
        }
    }
}

#[test]
fn nobody_enters_two_and_officers_enter_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_at(&folder.path().join("keys"));
    store.begin_ceremony("zmk", zmk(), 3, &present(&store, "alice")).unwrap();
    let bob = present(&store, "bob");
    store.enter_component("zmk", &unhex(ONE), &bob).unwrap();
    assert!(refused(store.enter_component("zmk", &unhex(TWO), &bob)).contains("nobody knows two"));
    assert!(
        refused(store.enter_component("zmk", &unhex(TWO), &present(&store, "alice")))
            .contains("enters no component")
    );
    store.enter_component("zmk", &unhex(TWO), &present(&store, "carol")).unwrap();
    let early = store.commit_ceremony("zmk", &present(&store, "erin"));
    assert!(matches!(early, Err(KeyError::Components { .. })), "one is missing");
    store
        .enter_component("zmk", &unhex("00112233445566778899AABBCCDDEEFF"), &present(&store, "dave"))
        .unwrap();
    for (name, why) in [("alice", "began it"), ("bob", "entered a component")] {
        assert!(
            refused(store.commit_ceremony("zmk", &present(&store, name))).contains("another officer"),
            "{why}"
        );
    }
    assert!(
        refused(store.enter_component("zmk", &[0x22; 16], &present(&store, "erin")))
            .contains("all components")
    );
    store.commit_ceremony("zmk", &present(&store, "erin")).unwrap();
}

#[test]
fn components_that_make_no_key_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_at(&folder.path().join("keys"));
    store.begin_ceremony("zmk", zmk(), 2, &present(&store, "alice")).unwrap();
    let (bob, carol) = (present(&store, "bob"), present(&store, "carol"));
    assert!(matches!(store.enter_component("zmk", &[1; 15], &bob), Err(KeyError::Length { bytes: 15, .. })));
    assert!(matches!(store.enter_component("zmk", &[0; 16], &bob), Err(KeyError::Components { .. })));
    store.enter_component("zmk", &unhex(ONE), &bob).unwrap();
    store.enter_component("zmk", &unhex(ONE), &carol).unwrap();
    let equal = store.commit_ceremony("zmk", &present(&store, "erin"));
    assert!(matches!(equal, Err(KeyError::Components { .. })), "they cancel each other out");
    store.abandon_ceremony("zmk", &carol).unwrap();
    assert!(matches!(store.commit_ceremony("zmk", &bob), Err(KeyError::NoCeremony { .. })));
    store.begin_ceremony("zmk", zmk(), 2, &carol).unwrap();
    for (name, components) in [("zmk", 2), ("one", 1), ("ten", 10)] {
        assert!(store.begin_ceremony(name, zmk(), components, &carol).is_err(), "{name}");
    }
}

#[test]
fn custodians_are_added_by_two_others_and_known_by_their_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let store = Keystore::create(&folder.path().join("keys"), Lmk::test()).unwrap();
    store.add_custodian("alice", &passphrase("alice"), &[]).unwrap();
    assert!(refused(store.add_custodian("alice", &passphrase("mallory"), &[])).contains("two custodians"));
    store.add_custodian("bob", &passphrase("bob"), &[]).unwrap();
    let (alice, bob) = (present(&store, "alice"), present(&store, "bob"));
    assert!(
        refused(store.add_custodian("carol", &passphrase("carol"), &[&alice])).contains("two custodians")
    );
    assert!(
        refused(store.add_custodian("carol", &passphrase("carol"), &[&alice, &alice]))
            .contains("two custodians")
    );
    store.add_custodian("carol", &passphrase("carol"), &[&alice, &bob]).unwrap();
    assert_eq!(store.custodians(), ["alice", "bob", "carol"]);
    refused(store.present("alice", &passphrase("bob")));
    refused(store.present("nobody\n", &passphrase("bob")));
    let (log, _) = store.audit_head().unwrap();
    assert_eq!(std::fs::read_to_string(log).unwrap().matches("\"refused\"").count(), 2, "tries are noted");
}

#[test]
fn a_ceremony_goes_on_under_a_new_master_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let store = store_at(&path);
    store.begin_ceremony("zmk", zmk(), 2, &present(&store, "alice")).unwrap();
    store.enter_component("zmk", &unhex(ONE), &present(&store, "bob")).unwrap();
    let next = Lmk::from_components(&[[1; 32], [2; 32]]).unwrap();
    let store = store.rewrap_under(next).unwrap();
    store.enter_component("zmk", &unhex(TWO), &present(&store, "carol")).unwrap();
    assert_eq!(hex(&store.commit_ceremony("zmk", &present(&store, "dave")).unwrap().check_value), "866C07");
}

#[test]
fn nobody_becomes_another_by_a_new_passphrase_and_no_key_slips_in_under_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_at(&folder.path().join("keys"));
    let (alice, bob) = (present(&store, "alice"), present(&store, "bob"));
    store.begin_ceremony("zmk", zmk(), 2, &alice).unwrap();
    let reset = store.add_custodian("carol", &passphrase("bob"), &[&alice, &bob]);
    assert!(refused(reset).contains("while a ceremony is under way"));
    let made = store.generate("zmk", Usage::Pin, Algorithm::Tdes, Mode::Both, Export::N);
    assert!(matches!(made, Err(KeyError::NameTaken { .. })));
    assert!(refused(store.abandon_ceremony("zmk", &bob)).contains("takes no part"));
    store.abandon_ceremony("zmk", &alice).unwrap();
    let own = store.add_custodian("carol", &passphrase("x"), &[&alice, &present(&store, "carol")]);
    assert!(refused(own).contains("two custodians must stand by"), "oneself is no other");
}

/// X9.24-1:2009 annex A.4: the initial key as published, whose parity bits are data.
#[test]
fn an_initial_key_of_dukpt_keeps_its_bits_in_a_ceremony() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_at(&folder.path().join("keys"));
    let attributes = Attributes {
        usage: Usage::DukptInitial,
        algorithm: Algorithm::Tdes,
        mode: Mode::Both,
        export: Export::N,
    };
    let whole = unhex("6AC292FAA1315B4D858AB3A3D7D5933A");
    let one = unhex("0123456789ABCDEFFEDCBA9876543211");
    let two: Vec<u8> = whole.iter().zip(&one).map(|(a, b)| a ^ b).collect();
    store.begin_ceremony("ik", attributes, 2, &present(&store, "alice")).unwrap();
    store.enter_component("ik", &one, &present(&store, "bob")).unwrap();
    store.enter_component("ik", &two, &present(&store, "carol")).unwrap();
    store.commit_ceremony("ik", &present(&store, "dave")).unwrap();
    assert_eq!(store.open_named("ik").unwrap().key.as_slice(), whole);
}
