//! A start that cannot go on changes nothing, and one that goes on leaves no way to its memory.

use crate::city::{Settings, Town};
use crate::peer::{Bank, Peer, purchase};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use yika_keystore::{Keystore, Lmk};
use yika_switch::admin::control::status;
use yika_switch::core::batch::Batch;
use yika_switch::core::name_participants;
use yika_switch::journal::disk::FileDisk;
use yika_switch::journal::{Journal, JournalSize, replay};
use yika_tests::process::{Held, Yika, program, run as command, wait_for};

/// The files of a folder and what is in them.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

fn town(folder: &Path) -> (Bank, Town) {
    let (bank, other) = (Bank::open("bank-a", "iso87-ascii"), Bank::open("bank-b", "pos-bcd"));
    let town = Town::build(folder, &bank, &other, &Settings::default());
    (bank, town)
}

#[test]
fn a_start_whose_port_is_in_use_leaves_the_journal_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (_bank, town) = town(folder.path());
    let yika = Yika::start(folder.path());
    let journal = yika.data().join("journal");
    assert!(yika.stop().success());
    let before = files(&journal);
    let config = folder.path().join("yika.toml").display().to_string();
    // The last of all listeners: those before it were bound already.
    let other = TcpListener::bind(town.pos_listener).unwrap();
    for _ in 0..2 {
        let (code, _, err) = command("yika", &["serve", "--config", &config]);
        assert_eq!(code, 74, "{err}");
        assert!(err.contains(&format!("cannot listen on {}", town.pos_listener)), "{err}");
    }
    assert!(files(&journal) == before, "a refused start changed the journal");
    drop(other);
    assert!(Yika::start(folder.path()).stop().success());
}

#[test]
fn p9_a_terminal_that_has_said_all_hears_its_answers_and_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bank, town) = town(folder.path());
    let yika = Yika::start(folder.path());
    let card = "4111111111111111";
    let mut terminal = Peer::connect(town.listener, "iso87-ascii");
    terminal.sends(&purchase("iso87-ascii", card, 1, 100));
    terminal.sends(&purchase("iso87-ascii", card, 2, 200));
    terminal.has_said_all();
    for _ in 0..2 {
        let request = bank.hears();
        bank.answers(&request, "00");
    }
    assert_eq!((terminal.hears().code(), terminal.hears().code()), ("00".into(), "00".into()));
    assert!(terminal.hears_or_ends().is_none(), "with its last answer out, the connection is closed");
    // One that is gone altogether is let go when its answer comes.
    let mut gone = Peer::connect(town.listener, "iso87-ascii");
    gone.sends(&purchase("iso87-ascii", card, 3, 300));
    let request = bank.hears();
    drop(gone);
    bank.answers(&request, "00");
    let data = yika.data();
    wait_for("both to be let go", Duration::from_secs(10), || status(&data).unwrap().sessions == 0);
    assert!(yika.stop().success());
}

/// 2024-01-01 00:00:00 UTC: the last entry of a switch that then stood still.
const LAST_MS: u64 = 1_704_067_200_000;

/// A journal with one entry of long ago.
fn old_journal(folder: &Path) {
    let disk = Arc::new(FileDisk::create_in(folder).unwrap());
    let keys = Arc::new(Keystore::in_memory(Lmk::test()));
    let mut opened = replay(&*disk, &keys).unwrap();
    let mut batch = Batch::new(LAST_MS);
    name_participants(&mut opened.durable, &mut batch, ["city"]);
    let size = JournalSize { segment_bytes: 4 << 20, pending_bytes_max: 1 << 20 };
    let mut journal = Journal::start_stepped(disk, keys, &opened.scan, size).unwrap();
    journal.submit(batch);
    while journal.step().unwrap() {}
}

#[test]
fn a_clock_a_year_ahead_of_the_journal_is_refused_until_it_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let (_bank, _town) = town(folder.path());
    let (config, data) = (folder.path().join("yika.toml"), folder.path().join("data"));
    let journal = data.join("journal");
    old_journal(&journal);
    let before = files(&journal);
    let place = config.display().to_string();
    let (code, _, err) = command("yika", &["serve", "--config", &place]);
    assert_eq!(code, 78, "{err}");
    assert!(err.contains("days ahead of the journal") && err.contains("--accept-clock"), "{err}");
    assert!(files(&journal) == before, "a refused start changed the journal");
    let mut serve = Command::new(program("yika"));
    serve.args(["serve", "--accept-clock", "--config", &place]);
    serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut yika = Held(serve.spawn().unwrap());
    wait_for("the switch to serve", Duration::from_secs(20), || status(&data).is_ok());
    assert!(Command::new("kill").arg(yika.0.id().to_string()).status().unwrap().success());
    assert!(yika.ends_within(Duration::from_secs(20)).success());
}

#[test]
fn p10_a_switch_leaves_no_core_dump() {
    let folder = tempfile::tempdir().unwrap();
    let (_bank, _town) = town(folder.path());
    let yika = Yika::start(folder.path());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", yika.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let values: Vec<&str> = line.split_whitespace().skip(4).take(2).collect();
    assert_eq!(values, ["0", "0"], "{line}");
    assert!(yika.stop().success());
}

#[test]
fn p10_a_command_that_takes_keys_leaves_no_core_dump() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys").display().to_string();
    let (code, _, err) = command("yika", &["keys", "init", &file, "--test-master-key"]);
    assert_eq!(code, 0, "{err}");
    let mut import = Command::new(program("yika"));
    import.args(["keys", "import", &file, "pin", "--usage", "pin", "--algorithm", "tdes"]);
    // Standard input stays open: the key file is open, and a component is waited for.
    import.args(["--test-master-key", "--component-file", "-"]);
    import.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut import = Held(import.spawn().unwrap());
    let limits = format!("/proc/{}/limits", import.0.id());
    wait_for("core dumps to be off", Duration::from_secs(20), || {
        let limits = std::fs::read_to_string(&limits).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        line.split_whitespace().skip(4).take(2).eq(["0", "0"])
    });
    drop(import.0.stdin.take());
    assert_eq!(import.ends_within(Duration::from_secs(20)).code(), Some(78), "no component came");
}
