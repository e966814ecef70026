//! Which keys a switch may run on, and who may read what it writes.

use crate::city::{Settings, Town};
use crate::peer::Bank;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use yika_keystore::{Algorithm, Environment, Export, Keystore, Lmk, Mode, Usage};
use yika_tests::process::{Yika, program};

/// The test master key, as anybody may read it in the keystore's source.
const TEST_KEY: &[u8; 32] = b"Yika TEST master key, no secret!";
const ONE: [u8; 32] = [0x5A; 32];

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Writes a configuration with a key file under this master key, and the file with its two components.
pub(crate) fn with_key_file(folder: &Path, environment: &str, lmk: &[u8; 32]) {
    let (a, b) = (Bank::open("bank-a", "iso87-ascii"), Bank::open("bank-b", "pos-bcd"));
    Town::build(folder, &a, &b, &Settings::default());
    let path = folder.join("yika.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let wanted = format!("environment = \"{environment}\"\nkey_file = \"keys\"");
    // Production believes nobody without a MAC.
    let text = text.replace("role = ", "mac_key = \"mac\"\nrole = ");
    std::fs::write(&path, text.replace("environment = \"test\"", &wanted)).unwrap();
    let world = if environment == "test" { Environment::Test } else { Environment::Production };
    key_file(folder, world, lmk);
}

/// Writes a key file with a MAC key and an AES PIN key, and the two components of its master key.
fn key_file(folder: &Path, world: Environment, lmk: &[u8; 32]) {
    let mut two = *lmk;
    two.iter_mut().zip(ONE).for_each(|(byte, mask)| *byte ^= mask);
    write_for_owner(&folder.join("components"), &format!("{}\n{}\n", hex(&ONE), hex(&two)));
    let lmk = Lmk::from_components(&[ONE, two]).unwrap().in_environment(world);
    let store = Keystore::create(&folder.join("keys"), lmk).unwrap();
    for (name, usage) in [("mac", Usage::MacCmac), ("aes-pin", Usage::Pin)] {
        let components = [vec![0x11; 16], vec![0x2E; 16]];
        store.import_components(name, usage, Algorithm::Aes, Mode::Both, Export::N, &components).unwrap();
    }
}

pub(crate) fn write_for_owner(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Its blocks would have sixteen bytes, and F52 has eight: each PIN would be declined.
#[test]
fn an_aes_pin_key_of_a_key_file_is_refused_by_check_and_start() {
    let folder = tempfile::tempdir().unwrap();
    with_key_file(folder.path(), "test", TEST_KEY);
    let path = folder.path().join("yika.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    for role in ["issuer", "acquirer"] {
        let role = format!("role = \"{role}\"");
        std::fs::write(&path, text.replace(&role, &format!("{role}\npin_key = \"aes-pin\""))).unwrap();
        for command in ["check", "serve"] {
            let (code, _, err) = yika(folder.path(), &[command]);
            assert!(
                code == 78 && err.contains("\"aes-pin\"") && err.contains("a TDES key"),
                "{command}: {err}"
            );
        }
    }
}

/// Runs a command with the components' file; exit code, stdout and stderr.
pub(crate) fn yika(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(program("yika"));
    command.args(arguments).arg("--config").arg(folder.join("yika.toml"));
    let ended = command.env("YIKA_LMK_FILE", folder.join("components")).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (ended.status.code().unwrap_or(-1), text(ended.stdout), text(ended.stderr))
}

pub(crate) fn started(folder: &Path) -> Yika {
    let components = folder.join("components").display().to_string();
    Yika::start_with(folder, &[("YIKA_LMK_FILE", &components)])
}

#[test]
fn production_refuses_a_key_file_under_the_test_master_key() {
    let folder = tempfile::tempdir().unwrap();
    with_key_file(folder.path(), "production", TEST_KEY);
    std::fs::create_dir_all(folder.path().join("data/journal")).unwrap();
    for command in [
        ["serve"].as_slice(),
        &["check"],
        &["journal", "verify"],
        &["journal", "stats"],
        &["journal", "dump"],
        &["saf", "list"],
    ] {
        let (code, out, err) = yika(folder.path(), command);
        assert_eq!((code, out.as_str()), (78, ""), "{command:?}: {err}");
        assert!(
            err.contains("TEST master key") && err.contains("openssl rand -hex 32"),
            "{command:?}: {err}"
        );
    }
}

#[test]
fn a_test_switch_is_loud_about_the_test_master_key_once() {
    let folder = tempfile::tempdir().unwrap();
    with_key_file(folder.path(), "test", TEST_KEY);
    let (code, out, _) = yika(folder.path(), &["check"]);
    assert!(code == 0 && out.contains("under the TEST master key"), "{out}");
    let yika = started(folder.path());
    assert_eq!(yika.log().matches("TEST MASTER KEY").count(), 1, "{}", yika.log());
    assert!(yika.stop().success());
}

#[test]
fn check_warns_of_whoever_is_believed_without_a_mac_beyond_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    with_key_file(folder.path(), "test", TEST_KEY);
    let path = folder.path().join("yika.toml");
    let text = std::fs::read_to_string(&path).unwrap().replace("[\"127.0.0.1:", "[\"192.0.2.1:");
    std::fs::write(&path, &text).unwrap();
    let (code, out, err) = yika(folder.path(), &["check"]);
    assert!(code == 0 && !out.contains("warnings"), "{out}{err}");
    std::fs::write(&path, text.replace("mac_key = \"mac\"\n", "")).unwrap();
    let (code, out, err) = yika(folder.path(), &["check"]);
    assert!(
        code == 0 && out.contains("warnings") && out.contains("may be anybody's: no mac_key"),
        "{out}{err}"
    );
}

#[test]
fn production_runs_on_a_master_key_of_its_own_and_shows_no_component() {
    let folder = tempfile::tempdir().unwrap();
    with_key_file(folder.path(), "production", &[0xC3; 32]);
    let (code, out, err) = yika(folder.path(), &["check"]);
    assert!(code == 0 && out.contains("master key with check value"), "{out}{err}");
    let switch = started(folder.path());
    let log = switch.log();
    assert!(!log.contains("TEST MASTER KEY") && !log.contains(&hex(&ONE)), "{log}");
    assert!(switch.stop().success());
    std::fs::write(folder.path().join("components"), format!("{}\n{}", hex(&ONE), &hex(&ONE)[1..])).unwrap();
    let (code, out, err) = yika(folder.path(), &["serve"]);
    assert!(code == 78 && err.contains("component 2 is not 64 hexadecimal digits"), "{err}");
    assert!(!(out + &err).contains(&hex(&ONE)[1..]), "a component was shown");
}

#[test]
fn a_data_folder_belongs_to_its_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    with_key_file(folder.path(), "production", &[0xC3; 32]);
    // Whatever the shell would let others do.
    let mut lax = Command::new("sh");
    lax.args(["-c", "umask 0; exec \"$@\"", "sh"]).arg(program("yika"));
    lax.env("YIKA_LMK_FILE", folder.path().join("components"));
    let switch = Yika::try_start(folder.path(), lax).unwrap();
    let data = switch.data();
    assert_private(&data);
    assert!(switch.stop().success());
    std::fs::set_permissions(&data, PermissionsExt::from_mode(0o755)).unwrap();
    let cure = format!("chmod 700 {}", data.display());
    let (code, _, err) = yika(folder.path(), &["serve"]);
    assert!(code == 78 && err.contains(&cure), "{err}");
    let path = folder.path().join("yika.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"production\"", "\"test\"")).unwrap();
    let (code, _, err) = yika(folder.path(), &["serve"]);
    assert!(code == 78 && err.contains("are for production") && err.contains("never mix"), "{err}");
    for made in ["keys", "keys.audit"] {
        std::fs::remove_file(folder.path().join(made)).unwrap();
    }
    key_file(folder.path(), Environment::Test, &[0xC3; 32]);
    let switch = started(folder.path());
    assert!(switch.log().contains(&cure), "{}", switch.log());
    assert!(switch.stop().success());
}

/// Every folder has mode 0700, every file and socket 0600.
fn assert_private(folder: &Path) {
    let mode = |path: &Path| std::fs::symlink_metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(folder), 0o700, "{}", folder.display());
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            assert_private(&entry.path());
        } else {
            assert!(kind.is_file() || kind.is_socket());
            assert_eq!(mode(&entry.path()), 0o600, "{}", entry.path().display());
        }
    }
}

/// Runs `yika keys`; exit code, stdout and stderr. `typed` is standard input.
pub(crate) fn keys(
    folder: &Path,
    arguments: &[&str],
    lmk: Option<&str>,
    typed: &str,
) -> (i32, String, String) {
    use std::io::Write;
    use std::process::Stdio;
    let mut command = Command::new("setsid");
    // Without a terminal nobody can be asked.
    command.arg("--wait").arg(program("yika")).arg("keys").args(arguments).current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).env_remove("YIKA_LMK_FILE");
    if let Some(name) = lmk {
        command.env("YIKA_LMK_FILE", folder.join(name));
    }
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let ended = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (ended.status.code().unwrap_or(-1), text(ended.stdout), text(ended.stderr))
}

#[test]
fn production_is_entered_with_a_key_file_that_the_commands_made() {
    let folder = tempfile::tempdir().unwrap();
    with_key_file(folder.path(), "production", &[0xC3; 32]);
    for made in ["keys", "keys.audit"] {
        std::fs::remove_file(folder.path().join(made)).unwrap();
    }
    let (code, _, err) = yika(folder.path(), &["serve"]);
    assert!(code == 78 && err.contains("`yika keys init FILE` makes a key file"), "{err}");
    let run = |arguments: &[&str], typed: &str| keys(folder.path(), arguments, Some("components"), typed);
    let (code, out, err) = run(&["init", "keys"], "");
    assert!(code == 0 && out.contains("under the master key with check value"), "{out}{err}");
    assert_eq!(std::fs::metadata(folder.path().join("keys")).unwrap().mode() & 0o777, 0o600);
    let (code, _, err) = run(&["init", "keys"], "");
    assert!(code == 78 && err.contains("exists"), "a key file is never overwritten: {err}");
    let (one, two) = ("11".repeat(16), "2E".repeat(16));
    write_for_owner(&folder.path().join("part-1"), &format!("{one}\n"));
    let import = ["import", "keys", "mac", "--usage", "mac-cmac", "--algorithm", "aes"];
    let alone = run(&[&import[..], &["--component-file", "part-1"]].concat(), "");
    assert!(alone.0 == 78 && alone.2.contains("at least two"), "{}", alone.2);
    let files = ["--component-file", "part-1", "--component-file", "-"];
    let odd = run(&[&import[..], &files].concat(), &two[1..]);
    assert!(odd.0 == 78 && odd.2.contains("component 2 is not an even number") && !odd.2.contains("2E2E"));
    let (code, out, err) = run(&[&import[..], &files].concat(), &two);
    assert!(code == 0 && out.contains("component 1: check value") && out.contains("mac: CMAC"), "{out}{err}");
    let (_, listed, _) = run(&["list", "keys", "--json"], "");
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let value = listed[0]["check_value"].as_str().unwrap();
    assert!(
        listed[0]["name"] == "mac" && listed[0]["usage"] == "mac-cmac" && out.contains(value),
        "{listed}"
    );
    for said in [&out, &err, &run(&["list", "keys"], "").1] {
        assert!(!said.contains(&one) && !said.contains(&two) && !said.contains(&"3F".repeat(16)), "{said}");
    }
    let switch = started(folder.path());
    assert!(!switch.log().contains("TEST MASTER KEY"));
    assert!(switch.stop().success());
    std::fs::write(folder.path().join("others"), format!("{}\n{}", hex(&ONE), hex(&[0x77; 32]))).unwrap();
    let (code, _, err) = keys(folder.path(), &["list", "keys"], Some("others"), "");
    assert!(code == 78 && err.contains("master key"), "{err}");
}

#[test]
fn a_key_file_under_the_test_master_key_is_made_only_where_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, err) = keys(folder.path(), &["init", "keys"], None, "");
    assert!(code == 78 && err.contains("from the terminal") && err.contains("YIKA_LMK_FILE"), "{err}");
    with_key_file(folder.path(), "test", TEST_KEY);
    let (code, _, err) = keys(folder.path(), &["init", "other"], Some("components"), "");
    assert!(code == 78 && err.contains("TEST master key") && !folder.path().join("other").exists(), "{err}");
    let (code, _, err) = keys(folder.path(), &["init", "other", "--test-master-key"], None, "");
    assert!(code == 0 && err.contains("TEST MASTER KEY"), "{err}");
    let (code, out, _) = keys(folder.path(), &["list", "other", "--test-master-key"], None, "");
    assert!(code == 0 && out.contains("master key with check value"), "{out}");
}
