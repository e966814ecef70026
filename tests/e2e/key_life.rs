//! `yika keys` as officers and custodians use it: a key's life, a ceremony, shares, another master key, the audit log.

use crate::keys::{keys, started, with_key_file, write_for_owner, yika};
use std::path::Path;
use std::time::Duration;
use yika_tests::process::{Yika, wait_for};

const COMPONENTS: &str = "components";

/// Runs `yika keys` in a folder, under its master key.
fn run(folder: &Path, arguments: &str) -> (i32, String, String) {
    keys(folder, &arguments.split(' ').collect::<Vec<_>>(), Some(COMPONENTS), "")
}

/// As `run`, of what must be done; what was said.
fn done(folder: &Path, arguments: &str) -> String {
    let (code, out, err) = run(folder, arguments);
    assert_eq!(code, 0, "{arguments}: {err}");
    out
}

/// As `run`, of what must be refused with exit code 78; why.
fn refused(folder: &Path, arguments: &str) -> String {
    let (code, out, err) = run(folder, arguments);
    assert!(code == 78 && out.is_empty(), "{arguments}: {code} {out} {err}");
    err
}

fn folder_with_components() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let components = format!("{}\n{}\n", "5A".repeat(32), "C3".repeat(32));
    write_for_owner(&folder.path().join(COMPONENTS), &components);
    folder
}

#[test]
fn a_key_lives_from_its_making_to_its_end_and_all_of_it_is_in_the_log() {
    let folder = folder_with_components();
    let folder = folder.path();
    assert!(done(folder, "init keys").contains("is made for production"));
    done(folder, "generate keys zmk --usage kek --algorithm aes");
    let made = done(folder, "generate keys zak --usage mac-cmac --algorithm aes --exportable block");
    let block = done(folder, "export keys zak --kek zmk");
    assert!(block.starts_with("D0144M6AC00E"), "{block}");
    let came = done(
        folder,
        &format!("import keys zak.copy --usage mac-cmac --algorithm aes --kek zmk --block {}", block.trim()),
    );
    assert_eq!(made.split_once(": ").unwrap().1, came.split_once(": ").unwrap().1, "one key under two names");
    let changed = block.trim().replace("M6AC", "M6AG");
    let wrong = format!(
        "import keys bad --usage mac-cmac --algorithm aes --mode generate --kek zmk --block {changed}"
    );
    assert!(refused(folder, &wrong).contains("MAC at offset"));
    assert!(refused(folder, "export keys zmk --kek zmk").contains("exportability"));

    assert!(done(folder, "rotate keys zak zak.2").contains("zak: retiring"));
    assert!(refused(folder, "rotate keys zak zak.3").contains("is retiring and cannot become retiring"));
    assert!(refused(folder, "activate keys zak --reason x").contains("cannot become active"));
    done(folder, "suspend keys zak.2 --reason asked-by-the-bank");
    assert!(done(folder, "list keys").contains("suspended"));
    done(folder, "activate keys zak.2 --reason asked-by-the-bank");
    done(folder, "validity keys zak.2 --from 20260101 --until 20300101");
    assert!(done(folder, "show keys zak.2").contains("from 2026-01-01 to 2030-01-01"));
    done(folder, "compromise keys zak --reason found-on-a-desk");
    // The log keeps a reason in clear for good, and shows it a line at a time.
    for reason in ["4111111111111111", "one\u{1b}[2Jtwo", ""] {
        let (code, _, err) = run(folder, &format!("suspend keys zak.2 --reason={reason}"));
        assert!(code == 2 && err.contains("--reason: "), "{reason:?}: {code} {err}");
    }
    let (code, _, err) = run(folder, "destroy keys zak --reason over");
    assert!(code == 2 && err.contains("--yes"), "{err}");
    done(folder, "destroy keys zak --reason over --yes");
    let shown = done(folder, "show keys zak");
    assert!(shown.contains("destroyed") && shown.contains("M6AC00E"), "{shown}");

    let log = done(folder, "audit show keys");
    for deed in [
        "init",
        "generate zmk",
        "export zak",
        "import zak.copy",
        "refused",
        "retire zak",
        "compromise zak",
        "destroy zak",
    ] {
        assert!(log.contains(&format!(": {deed}")), "{deed}: {log}");
    }
    assert!(log.contains("found-on-a-desk") && log.contains("uid "), "{log}");
    assert!(done(folder, "audit verify keys").contains("all that the key file counts"));
}

#[test]
fn whoever_touches_the_log_or_the_key_file_is_found_out() {
    let folder = folder_with_components();
    let folder = folder.path();
    let public_key = done(folder, "init keys");
    let public_key = public_key.trim().rsplit(' ').next().unwrap().to_owned();
    done(folder, "generate keys zak --usage mac-cmac --algorithm aes");
    let by_key = format!("audit verify keys --public-key {public_key}");
    assert!(done(folder, &by_key).contains("2 deeds hold together"));
    let log = std::fs::read_to_string(folder.join("keys.audit")).unwrap();
    std::fs::write(folder.join("keys.audit"), log.replace("\"generate\"", "\"import\"")).unwrap();
    assert!(refused(folder, &by_key).contains("line 2: the hash does not hold"));
    for command in ["audit verify keys", "list keys", "generate keys other --usage pin --algorithm tdes"] {
        assert!(refused(folder, command).contains("keep this file as it is for the auditor"), "{command}");
    }
    let first = &log[..=log.find('\n').unwrap()];
    std::fs::write(folder.join("keys.audit"), first).unwrap();
    assert!(refused(folder, "list keys").contains("the log ends after 1 deeds of 2"));
    assert!(done(folder, &by_key).contains("1 deeds"), "of which the public key alone knows nothing");
    std::fs::write(folder.join("keys.audit"), &log).unwrap();
    assert!(done(folder, "list keys").contains("zak"));
    std::fs::remove_file(folder.join("keys.audit")).unwrap();
    assert!(refused(folder, "list keys").contains("cannot open the audit log"));
}

/// Four people with passphrases in files of their own.
fn with_people(folder: &Path) {
    for name in ["alice", "bob", "carol", "dave"] {
        write_for_owner(&folder.join(name), &format!("the passphrase of {name}\n"));
    }
    done(folder, "init keys");
    done(folder, "custodian add keys alice --passphrase-file alice");
    done(folder, "custodian add keys bob --passphrase-file bob");
    assert!(
        refused(folder, "custodian add keys carol --passphrase-file carol")
            .contains("two custodians must stand by")
    );
    for name in ["carol", "dave"] {
        let by = "--by alice --by bob --passphrase-file alice --passphrase-file bob";
        done(folder, &format!("custodian add keys {name} --passphrase-file {name} {by}"));
    }
    assert_eq!(done(folder, "custodian list keys"), "alice\nbob\ncarol\ndave\n");
}

#[test]
fn a_ceremony_needs_its_people_and_nobody_may_be_two_of_them() {
    let folder = folder_with_components();
    let folder = folder.path();
    with_people(folder);
    // Published components and the check value of the key that they make.
    write_for_owner(&folder.join("one"), "F210F2017A3E3D8920D9B53D1C4913EF\n");
    write_for_owner(&folder.join("two"), "713390662BF95F8D2863D2B41E177D5C\n");
    let by = |name: &str| format!("--as {name} --passphrase-file {name}");
    done(
        folder,
        &format!("ceremony begin keys zmk --usage kek --algorithm tdes --components 2 {}", by("alice")),
    );
    let entered = done(folder, &format!("ceremony enter keys zmk --component-file one {}", by("bob")));
    assert!(entered.contains("taken from bob; check value"), "{entered}");
    for (name, why) in [("bob", "nobody knows two"), ("alice", "enters no component")] {
        let again = refused(folder, &format!("ceremony enter keys zmk --component-file two {}", by(name)));
        assert!(again.contains(why), "{again}");
    }
    let other = "ceremony enter keys zmk --component-file two --as carol --passphrase-file bob";
    assert!(refused(folder, other).contains("no custodian of this name has this passphrase"));
    assert!(done(folder, "list keys").contains("1 of 2 components"));
    done(folder, &format!("ceremony enter keys zmk --component-file two {}", by("carol")));
    let wrong = format!("ceremony commit keys zmk --check-value 000000 {}", by("dave"));
    let told = refused(folder, &wrong);
    assert!(told.contains("another check value than 000000") && !told.contains("866C07"), "{told}");
    assert!(
        refused(folder, &format!("ceremony commit keys zmk --check-value 866C07 {}", by("carol")))
            .contains("another officer")
    );
    let made = done(folder, &format!("ceremony commit keys zmk --check-value 866c07 {}", by("dave")));
    assert!(made.contains("check value 866C07"), "{made}");
    let log = done(folder, "audit show keys");
    for line in ["bob: ceremony enter", "carol: ceremony enter", "dave: ceremony commit zmk (866C07)"] {
        assert!(log.contains(line), "{line}: {log}");
    }
    let everything =
        ["keys", "keys.audit"].map(|file| std::fs::read_to_string(folder.join(file)).unwrap()).concat();
    for secret in ["F210F2017A3E", "713390662BF9", "8323626751C7", "passphrase of"] {
        assert!(!everything.contains(secret), "{secret}");
    }
}

#[test]
fn any_two_of_three_shares_unlock() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (code, out, err) =
        keys(folder, &["init", "keys", "--shares", "2/3", "--into", "envelopes"], None, "");
    assert!(code == 0 && out.contains("any 2 of these 3"), "{out}{err}");
    let share = |n: u8| std::fs::read_to_string(folder.join("envelopes").join(format!("share-{n}"))).unwrap();
    for (a, b) in [(1, 2), (3, 1), (2, 3)] {
        write_for_owner(&folder.join("shares"), &format!("{}{}", share(a), share(b)));
        let (code, listed, err) = keys(folder, &["list", "keys"], Some("shares"), "");
        assert!(code == 0 && listed.contains("for production"), "{a} and {b}: {err}");
    }
    for (text, why) in [
        (share(1), "more shares are needed"),
        (share(1) + &share(1), "two shares have one number"),
        (share(1) + &share(2).replace('A', "B"), "share 2: "),
    ] {
        write_for_owner(&folder.join("shares"), &text);
        let (code, _, err) = keys(folder, &["list", "keys"], Some("shares"), "");
        assert!(code == 78 && err.contains(why) && !err.contains(&text[16..40]), "{err}");
    }
}

#[test]
fn under_another_master_key_a_switch_still_reads_its_journal() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    with_key_file(folder, "production", &[0xC3; 32]);
    let switch = started(folder);
    assert!(switch.stop().success());
    write_for_owner(&folder.join("new"), &format!("{}\n{}\n", "13".repeat(32), "57".repeat(32)));
    let said = done(folder, "master-key change keys --new new");
    assert!(said.starts_with("2 keys are under the master key with check value"), "{said}");
    assert!(refused(folder, "list keys").contains("belongs to the master key with check value"));
    let (code, _, err) = yika(folder, &["serve"]);
    assert!(code == 78 && err.contains("load the right components"), "{err}");
    std::fs::rename(folder.join("new"), folder.join(COMPONENTS)).unwrap();
    let switch = started(folder);
    assert!(switch.stop().success());
    let (code, out, err) = yika(folder, &["journal", "verify"]);
    assert!(code == 0, "{out}{err}");
    assert!(done(folder, "audit verify keys").contains("all that the key file counts"));
}

/// Starts `yika serve`, which waits for its custodians.
fn locked(folder: &Path) -> std::thread::JoinHandle<Yika> {
    let folder = folder.to_owned();
    std::thread::spawn(move || Yika::start_with(&folder, &[]))
}

#[test]
fn a_switch_waits_for_its_custodians_and_starts_when_enough_have_come() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    with_key_file(folder, "production", &[0xC3; 32]);
    let config = folder.join("yika.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("key_file = ", "unlock = \"custodians\"\nkey_file = ")).unwrap();
    done(folder, "master-key split keys --shares 2/3 --into envelopes");
    done(folder, "init other --shares 2/2 --into strangers");
    let share = |path: &str| folder.join(path).display().to_string();
    let unlock = |path: &str| yika(folder, &["unlock", "--share-file", &share(path)]);
    let (code, _, err) = unlock("envelopes/share-1");
    assert!(code == 74 && err.contains("no switch waits for shares"), "{err}");

    let started = locked(folder);
    let socket = folder.join("data").join("unlock");
    wait_for("the switch to wait for shares", Duration::from_secs(30), || socket.exists());
    write_for_owner(&folder.join("garbage"), "not a share\n");
    let (code, _, err) = unlock("garbage");
    assert!(code == 78 && err.contains("a share begins with"), "{err}");
    // Two that belong together, and not to this file: all begin again.
    assert_eq!(unlock("strangers/share-1").1, "taken: 1 of 2\n");
    let (code, _, err) = unlock("strangers/share-2");
    assert!(
        code == 78
            && err.contains("belongs to the master key")
            && err.contains("all shares must be given again"),
        "{err}"
    );
    assert_eq!(unlock("envelopes/share-3").1, "taken: 1 of 2\n");
    let (code, _, err) = unlock("envelopes/share-3");
    assert!(code == 78 && err.contains("was given already"), "{err}");
    assert_eq!(unlock("envelopes/share-1").1, "unlocked\n");
    let switch = started.join().unwrap();
    assert!(!socket.exists() && switch.log().contains("unlocked by 2 custodians"), "{}", switch.log());
    assert!(switch.stop().success());
}
