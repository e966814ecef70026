//! What nobody may do to an audit log: change, drop, swap, repeat or cut anything. Each is found, with its line.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::attributes::{Algorithm, Export, Mode, Usage};
use crate::store::Keystore;

/// A key file after `deeds` deeds, its log and public key.
fn log_of(deeds: usize) -> (tempfile::TempDir, PathBuf, [u8; 32]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.jsonl");
    let store = Keystore::create(&path, Lmk::test()).unwrap();
    store.acts(&["alice", "bob"]);
    store.tell_time(1_795_000_000_000);
    for n in 1..deeds {
        store.generate(&format!("zak.{n}"), Usage::MacCmac, Algorithm::Aes, Mode::Both, Export::E).unwrap();
    }
    let public_key = store.audit_public_key().unwrap();
    (folder, path, public_key)
}

fn head_of(path: &Path) -> Option<AuditHead> {
    Keystore::open(path, Lmk::test()).ok()?.audit_head().map(|(_, head)| head)
}

fn verified(path: &Path, key: &[u8; 32], head: Option<AuditHead>) -> Result<Vec<AuditRecord>, KeyError> {
    let mut records = Vec::new();
    verify_audit(&audit_path(path), key, head, |record| records.push(record.clone()))?;
    Ok(records)
}

fn damaged_line(result: Result<Vec<AuditRecord>, KeyError>) -> Option<usize> {
    match result {
        Err(KeyError::Damaged { line, .. }) => Some(line),
        Err(other) => panic!("{other}"),
        Ok(_) => None,
    }
}

#[test]
fn a_log_names_who_did_what_with_which_key_and_holds_no_key() {
    let (_folder, path, key) = log_of(3);
    let records = verified(&path, &key, head_of(&path)).unwrap();
    let told: Vec<(u64, &str, Option<&str>)> =
        records.iter().map(|r| (r.seq, r.action.as_str(), r.key.as_deref())).collect();
    assert_eq!(told, [(1, "init", None), (2, "generate", Some("zak.1")), (3, "generate", Some("zak.2"))]);
    assert_eq!(
        (&records[2].actors[..], records[2].at_ms),
        (&["alice".to_owned(), "bob".into()][..], 1_795_000_000_000)
    );
    let store = Keystore::open(&path, Lmk::test()).unwrap();
    assert_eq!(
        records[1].check_value.as_deref(),
        Some(hex(&store.info("zak.1").unwrap().check_value).as_str())
    );
    let opened = store.open_named("zak.1").unwrap();
    let log = fs::read_to_string(audit_path(&path)).unwrap();
    assert!(!log.contains(&hex(opened.key.as_slice())));
}

#[test]
fn every_single_bit_that_changes_is_found() {
    let (_folder, path, key) = log_of(3);
    let (log, head) = (audit_path(&path), head_of(&path));
    let bytes = fs::read(&log).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            fs::write(&log, &changed).unwrap();
            assert!(verified(&path, &key, head).is_err(), "bit {bit} of byte {at}");
            // Without the master key and the key file, chain and signatures alone tell.
            assert!(verified(&path, &key, None).is_err(), "bit {bit} of byte {at}, by the public key alone");
        }
        // A change of the signature is for whoever verifies; everything else keeps the key file from opening.
    }
}

#[test]
fn every_truncation_is_found_by_the_key_file() {
    let (_folder, path, key) = log_of(4);
    let (log, head) = (audit_path(&path), head_of(&path));
    let bytes = fs::read(&log).unwrap();
    for end in 0..bytes.len() {
        fs::write(&log, &bytes[..end]).unwrap();
        assert!(verified(&path, &key, head).is_err(), "cut at {end}");
        assert!(Keystore::open(&path, Lmk::test()).is_err(), "cut at {end}, and the key file opens");
    }
    fs::remove_file(&log).unwrap();
    assert!(matches!(Keystore::open(&path, Lmk::test()), Err(KeyError::Io { .. })));
}

#[test]
fn lines_cannot_be_dropped_swapped_repeated_added_or_borrowed() {
    let (_folder, path, key) = log_of(4);
    let (_other, foreign, _) = log_of(4);
    let (log, head) = (audit_path(&path), head_of(&path));
    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let foreign_text = fs::read_to_string(audit_path(&foreign)).unwrap();
    let borrowed = foreign_text.lines().nth(3).unwrap();
    for (what, order, line) in [
        ("dropped", vec![lines[0], lines[2], lines[3]], 2),
        ("swapped", vec![lines[0], lines[2], lines[1], lines[3]], 2),
        ("repeated", vec![lines[0], lines[1], lines[1], lines[2], lines[3]], 3),
        ("the first dropped", vec![lines[1], lines[2], lines[3]], 1),
        ("the last borrowed", vec![lines[0], lines[1], lines[2], borrowed], 4),
        ("the last repeated", vec![lines[0], lines[1], lines[2], lines[3], lines[3]], 5),
    ] {
        fs::write(&log, order.join("\n") + "\n").unwrap();
        assert_eq!(damaged_line(verified(&path, &key, head)), Some(line), "{what}");
        assert!(Keystore::open(&path, Lmk::test()).is_err(), "{what}, and the key file opens");
    }
    fs::write(&log, lines[..3].join("\n") + "\n").unwrap();
    assert!(verified(&path, &key, head).is_err(), "the last dropped");
    assert_eq!(verified(&path, &key, None).unwrap().len(), 3, "which the key file alone can tell");
}

#[test]
fn another_signer_is_found() {
    let (_folder, path, _) = log_of(2);
    let other = public_key(&signer(&Lmk::random()).unwrap());
    assert_eq!(damaged_line(verified(&path, &other, None)), Some(1));
}

#[test]
fn a_crash_between_log_and_key_file_keeps_the_line_and_goes_on() {
    let (_folder, path, key) = log_of(2);
    let before = fs::read(&path).unwrap();
    let short = fs::read(audit_path(&path)).unwrap();
    let store = Keystore::open(&path, Lmk::test()).unwrap();
    store.note("export", Some("zak.1"), "to a partner").unwrap();
    let long = fs::read(audit_path(&path)).unwrap();
    drop(store);
    for end in short.len()..=long.len() {
        // The line is in the log up to `end`, the header of the key file is the one before.
        fs::write(&path, &before).unwrap();
        fs::write(audit_path(&path), &long[..end]).unwrap();
        let store = Keystore::open(&path, Lmk::test()).unwrap();
        store.note("export", Some("zak.1"), "again").unwrap();
        let records = verified(&path, &key, store.audit_head().map(|(_, head)| head)).unwrap();
        // A whole line is followed by one that says what became of it.
        let expected = if end == long.len() { 5 } else { 3 };
        assert_eq!(records.len(), expected, "crash at {end}");
        assert_eq!(records.last().unwrap().detail, "again");
    }
}
