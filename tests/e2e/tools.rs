//! The tools on the journal of a switch that was killed: what is owed is listed, what is damaged is named.

use crate::city::{Settings, Town, in_service};
use crate::peer::{Bank, Peer, names, purchase};
use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;
use yika_switch::admin::control::status;
use yika_tests::process::{Yika, run as command, wait_for};

const CARD: &str = "4111111111111111";

#[test]
fn what_a_killed_switch_owes_is_listed_from_its_journal_and_paid_by_its_next_life() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bank, _other, town, yika) = in_service(folder.path());
    let data = yika.data();
    let place = data.display().to_string();
    let mut terminal = Peer::connect(town.listener, "iso87-ascii");
    terminal.sends(&purchase("iso87-ascii", CARD, 1, 4321));
    let request = bank.hears();
    assert_eq!(terminal.hears().code(), "68");
    let shown = ["saf", "list", "--data", &place];
    let (code, running, err) = command("yika", &shown);
    assert_eq!((code, err.as_str()), (0, ""), "{err}");
    assert!(
        running.contains("reverse") && running.contains("bank-a") && running.contains("43.21"),
        "{running}"
    );
    yika.kill();
    // Only the next life shall be heard: this one may have sent its reversal already.
    bank.hangs_up();
    let (code, offline, err) = command("yika", &shown);
    assert!(code == 0 && err.contains("no switch runs on"), "{err}");
    assert_eq!(offline, running, "the journal says what the switch said");
    for arguments in [
        ["status", "--data", &place].as_slice(),
        &["saf", "settle", "1", "--reason", "x", "--data", &place],
        &["cut-over", "--data", &place],
    ] {
        let (code, out, err) = command("yika", arguments);
        assert!(code == 74 && err.contains("no switch answers on"), "{arguments:?}: {out}{err}");
    }
    let (code, out, err) = command("yika", &["journal", "stats", "--data", &place]);
    assert!(code == 0 && out.contains("open obligations 1"), "{out}{err}");
    let (code, out, err) = command("yika", &["journal", "dump", "--data", &place]);
    assert!(code == 0 && out.contains("reason=timed-out code=68"), "{out}{err}");
    assert!(out.contains("card=411111******1111 "), "{out}");
    let yika = Yika::start(folder.path());
    let reversal = bank.hears();
    assert_eq!(names(&reversal.wire), request.wire.stan());
    bank.answers(&reversal, "00");
    wait_for("nothing to be owed", Duration::from_secs(20), || {
        status(&data).is_ok_and(|status| status.open_obligations == 0)
    });
    let (_, out, _) = command("yika", &shown);
    assert_eq!(out, "nothing is owed\n");
    assert!(yika.stop().success());
}

#[test]
fn a_check_says_what_was_understood() {
    let folder = tempfile::tempdir().unwrap();
    let (bank, other) = (Bank::open("bank-a", "iso87-ascii"), Bank::open("bank-b", "pos-bcd"));
    let town = Town::build(folder.path(), &bank, &other, &Settings::default());
    let config = folder.path().join("yika.toml").display().to_string();
    let (code, out, err) = command("yika", &["check", "--config", &config]);
    assert_eq!((code, err.as_str()), (0, ""));
    let pos = format!("{}", town.pos_listener);
    for says in ["participant bank-a", "iso87-ascii", "pos-bcd", &pos, "700ms", "to bank-b", "10min"] {
        assert!(out.contains(says), "{says} is not in\n{out}");
    }
    assert!(!folder.path().join("data").exists(), "a check makes nothing");
}

#[test]
fn a_segment_that_was_cut_stops_the_start_with_file_and_offset_and_stays_as_it_is() {
    let folder = three_payments();
    let config = folder.path().join("yika.toml").display().to_string();
    let place = folder.path().join("data").display().to_string();
    let segment = folder.path().join("data/journal/segment-00000000.yj");
    // In the middle of its frames, behind its header, within its header: what it held can only be guessed.
    for cut in [2 * 4096 + 100, 4096, 100] {
        OpenOptions::new().write(true).open(&segment).unwrap().set_len(cut).unwrap();
        for arguments in [
            ["serve", "--config", &config].as_slice(),
            &["journal", "verify", "--data", &place],
            &["journal", "dump", "--data", &place],
            &["saf", "list", "--data", &place],
        ] {
            let (code, _, err) = command("yika", arguments);
            assert_eq!(code, 74, "{arguments:?}: {err}");
            let place = format!("segment-00000000.yj, offset {cut}");
            assert!(err.contains("journal damaged") && err.contains(&place), "{err}");
        }
        assert_eq!(std::fs::metadata(&segment).unwrap().len(), cut, "nothing was changed");
    }
}

#[test]
fn the_newest_segment_deleted_while_spares_stand_beside_it_stops_the_start() {
    let folder = three_payments();
    let config = folder.path().join("yika.toml").display().to_string();
    let journal = folder.path().join("data/journal");
    std::fs::remove_file(journal.join("segment-00000000.yj")).unwrap();
    let files = |folder: &Path| std::fs::read_dir(folder).unwrap().count();
    let before = files(&journal);
    assert!(before > 2, "spares and anchor");
    let (code, _, err) = command("yika", &["serve", "--config", &config]);
    assert_eq!(code, 74, "{err}");
    assert!(err.contains("segment-00000000.yj") && err.contains("the anchor names it"), "{err}");
    assert_eq!(files(&journal), before, "nothing was changed");
}

/// A switch has run here, with three payments in its journal, and was stopped.
fn three_payments() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (mut bank, _other, town, yika) = in_service(folder.path());
    let mut terminal = Peer::connect(town.listener, "iso87-ascii");
    for stan in 1..=3 {
        terminal.sends(&purchase("iso87-ascii", CARD, stan, 100));
        let request = bank.hears();
        bank.answers(&request, "00");
        assert_eq!(terminal.hears().code(), "00");
    }
    assert!(yika.stop().success());
    folder
}
