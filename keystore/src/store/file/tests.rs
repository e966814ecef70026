//! The key file: what is found on open, what a crash may leave, and what nobody may change.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::attributes::{Algorithm, Export, Mode, Usage};
use crate::info::{Environment, KeyInfo, Validity};
use crate::state::KeyState;
use crate::store::{Keystore, WrapForm};
use crate::testing::{put, unhex};

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
fn every_single_bit_that_changes_is_found() {
    let (_dir, path) = new_file(2);
    let store = Keystore::open(&path, Lmk::test()).unwrap();
    store.set_state("zak.0", KeyState::Retiring, "replaced").unwrap();
    drop(store);
    let bytes = fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            fs::write(&path, &changed).unwrap();
            assert!(Keystore::open(&path, Lmk::test()).is_err(), "bit {bit} of byte {at}");
        }
    }
    fs::write(&path, &bytes).unwrap();
    Keystore::open(&path, Lmk::test()).unwrap();
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
    for content in ["", "\n", "{}\n", "not json\n", &good.replace("\"yika_keys\":2", "\"yika_keys\":3")] {
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
    let golden = |store: &Keystore, names: &[&str]| {
        let found: Vec<String> = store.list().into_iter().map(|info| info.name).collect();
        assert_eq!(found, names);
        assert_eq!(hex(&store.mac_key("zak.a").unwrap().generate(b"golden")), "93C762677779B87F");
    };
    golden(&store, &["tmk.1", "zak.a", "zpk.a"]);
    assert_eq!(store.audit_head(), None, "it had no audit log");
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        include_str!("golden_v1.jsonl"),
        "reading changes nothing"
    );
    add(&store, 1).unwrap();
    assert!(fs::read_to_string(&path).unwrap().starts_with("{\"yika_keys\":2,"));
    golden(&Keystore::open(&path, Lmk::test()).unwrap(), &["tmk.1", "zak.1", "zak.a", "zpk.a"]);
    let mut actions = Vec::new();
    let (log, head) = store.audit_head().unwrap();
    let key = store.audit_public_key().unwrap();
    crate::verify_audit(&log, &key, Some(head), |record| actions.push(record.action.clone())).unwrap();
    assert_eq!(actions, ["take-over", "generate"]);
}

#[test]
fn a_damaged_file_of_the_first_release_is_refused_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.jsonl");
    let golden = include_str!("golden_v1.jsonl");
    for (what, content, line) in [
        ("a name", golden.replace("\"tmk.1\"", "\"tmk.2\""), 2),
        ("cut", golden[..golden.len() - 1].to_owned(), 1),
        ("a number", golden.replace("\"records\":      3", "\"records\":      2"), 1),
        ("a line more", golden.to_owned() + "note\n", 0),
    ] {
        fs::write(&path, content).unwrap();
        // What lies behind the counted lines of an old file goes when it is written anew.
        let opened = Keystore::open(&path, Lmk::test());
        match opened {
            Err(KeyError::Damaged { line: found, .. }) => assert_eq!(found, line, "{what}"),
            other => assert_eq!((other.is_ok(), line), (true, 0), "{what}"),
        }
    }
}

/// The file of this release, byte by byte; a change of it needs another version.
#[test]
fn the_file_of_this_release_has_golden_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.jsonl");
    fs::write(&path, include_str!("golden_v2.jsonl")).unwrap();
    fs::write(crate::audit_path(&path), include_str!("golden_v2.audit.jsonl")).unwrap();
    let store = Keystore::open(&path, Lmk::test()).unwrap();
    let told: Vec<(String, KeyState)> =
        store.list().into_iter().map(|info| (info.name, info.state)).collect();
    let expected =
        [("zak.a", KeyState::Retiring), ("zak.b", KeyState::Active), ("zpk.old", KeyState::Destroyed)];
    assert_eq!(told, expected.map(|(name, state)| (name.to_owned(), state)));
    assert_eq!(hex(&store.mac_key("zak.b").unwrap().generate(b"golden")), "3898984ABD5AF6CF");
    let (log, head) = store.audit_head().unwrap();
    let verified = crate::verify_audit(&log, &store.audit_public_key().unwrap(), Some(head), |_| ()).unwrap();
    assert_eq!(verified.count, 6);
}

#[test]
fn a_destroyed_key_leaves_the_file_and_its_record_stays() {
    let (_dir, path) = new_file(2);
    let store = Keystore::open(&path, Lmk::test()).unwrap();
    let block = fs::read_to_string(&path).unwrap();
    let block = &block[block.find("D0").unwrap()..][..100];
    store.set_state("zak.0", KeyState::Compromised, "a component was left on a desk").unwrap();
    store.destroy("zak.0", "compromised").unwrap();
    assert!(!fs::read_to_string(&path).unwrap().contains(block), "its block is still there");
    for store in [store, Keystore::open(&path, Lmk::test()).unwrap()] {
        let info = store.info("zak.0").unwrap();
        assert_eq!((info.state, info.usage, info.mode), (KeyState::Destroyed, Usage::MacCmac, Mode::Both));
        assert!(matches!(store.mac_key("zak.0"), Err(KeyError::State { state: KeyState::Destroyed, .. })));
        assert!(matches!(add(&store, 0), Err(KeyError::NameTaken { .. })), "a name is used once");
        store.mac_key("zak.1").unwrap();
    }
    add(&Keystore::open(&path, Lmk::test()).unwrap(), 7).unwrap();
    assert_eq!(Keystore::open(&path, Lmk::test()).unwrap().list().len(), 3);
}

#[test]
fn a_rotated_key_checks_what_it_made_and_makes_nothing_new() {
    let (_dir, path) = new_file(1);
    let store = Keystore::open(&path, Lmk::test()).unwrap();
    let mac = store.mac_key("zak.0").unwrap().generate(b"x");
    let next = store.rotate("zak.0", "zak.1").unwrap();
    let store = Keystore::open(&path, Lmk::test()).unwrap();
    assert_eq!((next.usage, next.state), (Usage::MacCmac, KeyState::Active));
    assert!(store.mac_verify_key("zak.0").unwrap().verify(b"x", &mac, ()).is_ok());
    assert!(matches!(store.mac_generate_key("zak.0"), Err(KeyError::State { .. })));
    assert_ne!(store.mac_key("zak.1").unwrap().generate(b"x"), mac);
    assert!(matches!(store.rotate("zak.0", "zak.2"), Err(KeyError::Transition { .. })));
}

#[test]
fn a_key_is_for_use_in_its_time_and_only_for_whoever_knows_the_time() {
    let (_dir, path) = new_file(1);
    let validity = Validity { from_ms: Some(1_000), until_ms: Some(2_000) };
    Keystore::open(&path, Lmk::test()).unwrap().set_validity("zak.0", validity).unwrap();
    let store = Keystore::open(&path, Lmk::test()).unwrap();
    for (now_ms, holds) in [(0, false), (999, false), (1_000, true), (1_999, true), (2_000, false)] {
        store.tell_time(now_ms);
        assert_eq!(store.mac_key("zak.0").is_ok(), holds, "{now_ms}");
        let refused = store.mac_key("zak.0").map(drop);
        assert!(holds || matches!(refused, Err(KeyError::NotValid { .. })), "{now_ms}");
    }
}

#[test]
fn the_environment_stays_with_the_file_and_its_keys() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.jsonl");
    let components = [[1; 32], [2; 32]];
    let lmk = || Lmk::from_components(&components).unwrap();
    let store = Keystore::create(&path, lmk().in_environment(Environment::Test)).unwrap();
    add(&store, 0).unwrap();
    let reopened = Keystore::open(&path, lmk()).unwrap();
    assert_eq!(reopened.environment(), Environment::Test);
    reopened.mac_key("zak.0").unwrap();
    // The block alone, under the same master key in the other world.
    let block = store.held().keys["zak.0"].block.clone().unwrap();
    let error = lmk().unwrap(&block).err().unwrap().to_string();
    assert!(error.contains("environment") && error.contains("for production"), "{error}");
}

#[test]
fn a_new_master_key_takes_over_everything_that_rested_under_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.jsonl");
    let lmks: Vec<[[u8; 32]; 2]> = (1..4).map(|n| [[n; 32], [0x77; 32]]).collect();
    let lmk = |n: usize| Lmk::from_components(&lmks[n]).unwrap();
    let mut store = Keystore::create(&path, lmk(0)).unwrap();
    let kek = unhex("000102030405060708090A0B0C0D0E0F 101112131415161718191A1B1C1D1E1F");
    put(&store, "kek", Usage::Kek, Algorithm::Aes, Mode::Both, &kek);
    add(&store, 0).unwrap();
    let working = store.export_wrapped("zak.0", "kek", WrapForm::KeyBlock).unwrap();
    let working = store.rewrap("kek", &working, Usage::MacCmac, Algorithm::Aes, Mode::Both).unwrap();
    let (sealer, wrapped) = store.new_data_key().unwrap();
    let mut sealed = b"a frame".to_vec();
    sealer.seal(7, b"", &mut sealed);
    let (mac, token, seed) =
        (store.mac_key("zak.0").unwrap().generate(b"x"), store.tokenizer().token(b"6222"), store.hash_seed());
    store.destroy("kek", "no longer needed").unwrap();
    for n in 1..3 {
        store = store.rewrap_under(lmk(n)).unwrap();
        assert!(matches!(Keystore::open(&path, lmk(n - 1)), Err(KeyError::WrongLmk { .. })));
        store.note("start", None, "after the change").unwrap();
        drop(store);
        store = Keystore::open(&path, lmk(n)).unwrap();
        assert_eq!(store.mac_key("zak.0").unwrap().generate(b"x"), mac);
        assert_eq!(
            store.mac_key_from_block(&working).unwrap().generate(b"x"),
            mac,
            "a working key of a journal"
        );
        assert_eq!(
            store.open_data_key(&wrapped).unwrap().open(7, b"", &mut sealed.clone()).unwrap(),
            b"a frame"
        );
        assert_eq!((store.tokenizer().token(b"6222"), store.hash_seed()), (token, seed));
        let names: Vec<String> = store.list().into_iter().map(|info| info.name).collect();
        assert_eq!(names, ["kek", "zak.0"], "what the store keeps for itself is not shown");
    }
    let (log, head) = store.audit_head().unwrap();
    let mut changes = 0;
    let mut count = |record: &AuditRecord| changes += usize::from(record.action == "change master key");
    crate::verify_audit(&log, &store.audit_public_key().unwrap(), Some(head), &mut count).unwrap();
    assert_eq!(changes, 2, "one log and one signer through all of it");
}

#[test]
fn a_file_that_another_process_wrote_anew_is_stale() {
    let (_dir, path) = new_file(1);
    let (first, second) = (Keystore::open(&path, Lmk::test()), Keystore::open(&path, Lmk::test()));
    let (first, second) = (first.unwrap(), second.unwrap());
    first.destroy("zak.0", "a test").unwrap();
    assert!(matches!(add(&second, 2), Err(KeyError::Stale { .. })));
    add(&first, 3).unwrap();
    assert_eq!(Keystore::open(&path, Lmk::test()).unwrap().list().len(), 2);
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_dir, path) = new_file(0);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// The key file as it was before a deed, beside the log after it: what a crash between the two leaves.
fn broken_off(path: &Path, deed: impl FnOnce(&Keystore)) {
    let before = fs::read(path).unwrap();
    deed(&Keystore::open(path, Lmk::test()).unwrap());
    fs::write(path, before).unwrap();
}

fn actions(store: &Keystore) -> Vec<String> {
    let (log, head) = store.audit_head().unwrap();
    let mut actions = Vec::new();
    let tell = |record: &AuditRecord| actions.push(record.action.clone());
    crate::verify_audit(&log, &store.audit_public_key().unwrap(), Some(head), tell).unwrap();
    actions
}

#[test]
fn deeds_that_are_broken_off_one_after_another_lock_nobody_out_and_are_told_of() {
    let (_dir, path) = new_file(1);
    for round in 0..3 {
        broken_off(&path, |store| drop(store.set_state("zak.0", KeyState::Suspended, "a try").unwrap()));
        let store = Keystore::open(&path, Lmk::test()).unwrap();
        store.note("start", None, "goes on").unwrap();
        assert_eq!(store.info("zak.0").unwrap().state, KeyState::Active, "round {round}");
        let told = actions(&store);
        assert_eq!(told[told.len() - 2..], ["broken off", "start"], "{told:?}");
    }
}

#[test]
fn what_says_that_a_deed_was_broken_off_may_be_broken_off_itself() {
    for torn in [false, true] {
        let (_dir, path) = new_file(1);
        let (before, log) = (fs::read(&path).unwrap(), crate::audit_path(&path));
        broken_off(&path, |store| {
            store.tell_time(5_000);
            store.set_state("zak.0", KeyState::Suspended, "a try").unwrap();
        });
        Keystore::open(&path, Lmk::test()).unwrap().note("start", None, "lost").unwrap();
        // Back to where the line that says so is there, whole or in part, and the header counts neither.
        let text = fs::read_to_string(&log).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let kept = lines[..lines.len() - 1].concat();
        fs::write(&log, &kept[..kept.len() - if torn { 40 } else { 0 }]).unwrap();
        fs::write(&path, before).unwrap();
        let store = Keystore::open(&path, Lmk::test()).unwrap();
        store.note("start", None, "goes on").unwrap();
        let told = actions(&store);
        assert_eq!(told[told.len() - 3..], ["suspend", "broken off", "start"], "torn: {torn}");
        assert_eq!(store.info("zak.0").unwrap().state, KeyState::Active);
        let (log, head) = store.audit_head().unwrap();
        let mut times = Vec::new();
        let tell = |record: &AuditRecord| times.push((record.action.clone(), record.at_ms));
        crate::verify_audit(&log, &store.audit_public_key().unwrap(), Some(head), tell).unwrap();
        let at = times.iter().position(|(action, _)| action == "broken off").unwrap();
        assert_eq!(times[at].1, 5_000, "the time of the deed that it tells of");
    }
}

#[test]
fn a_line_that_nobody_signed_is_not_taken_up() {
    let (_dir, path) = new_file(1);
    let log = crate::audit_path(&path);
    broken_off(&path, |store| store.note("export", None, "true").unwrap());
    let text = fs::read_to_string(&log).unwrap();
    let at = text.rfind("\"signature\":\"").unwrap() + 13;
    fs::write(&log, format!("{}{}\"}}\n", &text[..at], "0".repeat(128))).unwrap();
    let error = Keystore::open(&path, Lmk::test()).err().unwrap().to_string();
    assert!(error.contains("nobody signed"), "{error}");
}

#[test]
fn a_file_of_the_first_release_may_begin_with_a_change_of_its_master_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.jsonl");
    fs::write(&path, include_str!("golden_v1.jsonl")).unwrap();
    let next = || Lmk::from_components(&[[1; 32], [2; 32]]).unwrap().in_environment(Environment::Test);
    drop(Keystore::open(&path, Lmk::test()).unwrap().rewrap_under(next()).unwrap());
    let store = Keystore::open(&path, next()).unwrap();
    assert_eq!(actions(&store), ["take-over", "change master key"]);
}

#[test]
fn an_old_copy_of_the_first_release_beside_a_log_that_goes_on_is_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.jsonl");
    fs::write(&path, include_str!("golden_v1.jsonl")).unwrap();
    Keystore::open(&path, Lmk::test()).unwrap().destroy("zpk.a", "over").unwrap();
    fs::write(&path, include_str!("golden_v1.jsonl")).unwrap();
    let error = add(&Keystore::open(&path, Lmk::test()).unwrap(), 1).unwrap_err().to_string();
    assert!(error.contains("an older copy was put in its place"), "{error}");
}

#[test]
fn what_is_destroyed_is_gone_behind_a_link_too_and_the_file_stays_as_open_as_it_was() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, path) = new_file(2);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    Keystore::open(&link, Lmk::test()).unwrap().destroy("zak.0", "over").unwrap();
    assert!(link.is_symlink());
    assert_eq!(Keystore::open(&path, Lmk::test()).unwrap().info("zak.0").unwrap().state, KeyState::Destroyed);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn what_the_store_keeps_for_itself_cannot_be_named() {
    let (_dir, path) = new_file(1);
    let next = Lmk::from_components(&[[1; 32], [2; 32]]).unwrap();
    let store = Keystore::open(&path, Lmk::test()).unwrap().rewrap_under(next).unwrap();
    let own = store.held().keys.keys().find(|name| name.starts_with('*')).unwrap().clone();
    assert!(matches!(store.destroy(&own, "by hand"), Err(KeyError::NotFound { .. })), "{own}");
}
