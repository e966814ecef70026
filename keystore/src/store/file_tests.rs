//! The key file: what is found on open, what a crash may leave, and what nobody may change.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn new_file(keys: usize) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.jsonl");
    let store = Keystore::create(&path, Lmk::test()).unwrap();
    for n in 0..keys {
        add(&store, n).unwrap();
    }
    (dir, path)
}

fn add(store: &Keystore, n: usize) -> Result<KeyInfo, KeyError> {
    store.generate(&format!("zak.{n}"), Usage::MacCmac, Algorithm::Aes, Mode::Both, Export::E)
}

/// Opens a file and tells what its keys are and do.
fn meaning(path: &Path) -> Result<Vec<(KeyInfo, [u8; 8])>, KeyError> {
    let store = Keystore::open(path, Lmk::test())?;
    store
        .list()
        .into_iter()
        .map(|info| Ok((info.clone(), store.mac_key(&info.name)?.generate(b"x"))))
        .collect()
}

fn damaged_line(result: Result<Vec<(KeyInfo, [u8; 8])>, KeyError>) -> Option<usize> {
    match result {
        Err(KeyError::Damaged { line, .. }) => Some(line),
        Err(other) => panic!("{other}"),
        Ok(_) => None,
    }
}

#[test]
fn keys_survive_in_order_and_do_the_same() {
    let (_dir, path) = new_file(3);
    let before = meaning(&path).unwrap();
    assert_eq!(before.len(), 3);
    let store = Keystore::open(&path, Lmk::test()).unwrap();
    assert!(matches!(add(&store, 1), Err(KeyError::NameTaken { .. })));
    add(&store, 3).unwrap();
    assert_eq!(meaning(&path).unwrap()[..3], before);
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 5);
}

#[test]
fn every_single_byte_change_is_found() {
    let (_dir, path) = new_file(2);
    let (bytes, before) = (fs::read(&path).unwrap(), meaning(&path).unwrap());
    let mut refused = 0;
    for at in 0..bytes.len() {
        for change in [0x01, 0x02, 0x10, 0x20, 0x80, bytes[at], bytes[at] ^ b'\n', bytes[at] ^ b' '] {
            let mut changed = bytes.clone();
            changed[at] ^= change;
            fs::write(&path, &changed).unwrap();
            match meaning(&path) {
                Ok(found) => assert_eq!(found, before, "byte {at} changed by {change:02X}"),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > bytes.len() * 6, "only {refused} of {} changes were refused", bytes.len() * 8);
}

#[test]
fn every_truncation_is_refused_with_its_line() {
    let (_dir, path) = new_file(3);
    let bytes = fs::read(&path).unwrap();
    for end in 0..bytes.len() {
        fs::write(&path, &bytes[..end]).unwrap();
        let line = 1 + bytes[..end].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(damaged_line(meaning(&path)), Some(line), "cut at {end}");
    }
}

#[test]
fn lines_cannot_be_dropped_moved_repeated_or_borrowed() {
    let (_dir, path) = new_file(3);
    let (_other_dir, other) = new_file(3);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let foreign_text = fs::read_to_string(&other).unwrap();
    let foreign: Vec<&str> = foreign_text.lines().collect();
    for (what, order, line) in [
        ("dropped", [lines[0], lines[1], lines[3], ""], 3),
        ("moved", [lines[0], lines[2], lines[1], lines[3]], 2),
        ("repeated", [lines[0], lines[1], lines[1], lines[2]], 3),
        ("borrowed", [lines[0], lines[1], foreign[2], lines[3]], 3),
        ("other header", [foreign[0], lines[1], lines[2], lines[3]], 1),
    ] {
        fs::write(&path, order.join("\n") + "\n").unwrap();
        assert_eq!(damaged_line(meaning(&path)), Some(line), "{what}");
    }
}

#[test]
fn a_crash_while_adding_loses_only_the_key_being_added() {
    let (_dir, path) = new_file(2);
    let (two, before) = (fs::read(&path).unwrap(), meaning(&path).unwrap());
    add(&Keystore::open(&path, Lmk::test()).unwrap(), 2).unwrap();
    let three = fs::read(&path).unwrap();
    for end in two.len()..=three.len() {
        // The line is written up to `end`, the header not yet.
        let crashed = [&two[..], &three[two.len()..end]].concat();
        fs::write(&path, &crashed).unwrap();
        assert_eq!(meaning(&path).unwrap(), before, "crash at {end}");
    }
    let store = Keystore::open(&path, Lmk::test()).unwrap();
    add(&store, 9).unwrap();
    let names: Vec<String> = meaning(&path).unwrap().into_iter().map(|(info, _)| info.name).collect();
    assert_eq!(names, ["zak.0", "zak.1", "zak.9"]);
}

#[test]
fn lines_added_by_hand_are_refused() {
    let (_dir, path) = new_file(2);
    let text = fs::read_to_string(&path).unwrap();
    let last = text.lines().last().unwrap();
    for extra in ["\n", "{}\n", "note\nnote\n", &format!("{last}\n"), &format!("{last}\n{last}\n")] {
        fs::write(&path, format!("{text}{extra}")).unwrap();
        assert_eq!(damaged_line(meaning(&path)), Some(4), "{extra:?}");
    }
}

#[test]
fn another_master_key_is_said_as_such() {
    let (_dir, path) = new_file(1);
    let Err(KeyError::WrongLmk { file, given, .. }) = Keystore::open(&path, Lmk::random()) else {
        panic!("expected WrongLmk");
    };
    assert_eq!(file, hex(&Lmk::test().check_value()));
    assert_ne!(file, given);
}

#[test]
fn what_is_no_key_file_is_refused() {
    let (_dir, path) = new_file(0);
    let good = fs::read_to_string(&path).unwrap();
    for content in ["", "\n", "{}\n", "not json\n", &good.replace("\"yika_keys\":1", "\"yika_keys\":2")] {
        fs::write(&path, content).unwrap();
        assert_eq!(damaged_line(meaning(&path)), Some(1), "{content:?}");
    }
    assert!(matches!(Keystore::create(&path, Lmk::test()), Err(KeyError::Io { .. })), "never overwritten");
    let missing = path.with_file_name("missing");
    assert!(matches!(Keystore::open(&missing, Lmk::test()), Err(KeyError::Io { .. })));
}

#[test]
fn two_stores_over_one_file_do_not_overwrite_each_other() {
    let (_dir, path) = new_file(1);
    let (first, second) = (Keystore::open(&path, Lmk::test()), Keystore::open(&path, Lmk::test()));
    let (first, second) = (first.unwrap(), second.unwrap());
    add(&first, 1).unwrap();
    assert!(matches!(add(&second, 2), Err(KeyError::Stale { .. })));
    assert!(second.info("zak.2").is_none());
    assert_eq!(meaning(&path).unwrap().len(), 2);
    add(&first, 3).unwrap();
}

#[test]
fn the_file_of_the_first_release_opens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.jsonl");
    fs::write(&path, include_str!("golden_v1.jsonl")).unwrap();
    let store = Keystore::open(&path, Lmk::test()).unwrap();
    let names: Vec<String> = store.list().into_iter().map(|info| info.name).collect();
    assert_eq!(names, ["tmk.1", "zak.a", "zpk.a"]);
    assert_eq!(hex(&store.mac_key("zak.a").unwrap().generate(b"golden")), "93C762677779B87F");
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_dir, path) = new_file(0);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}
