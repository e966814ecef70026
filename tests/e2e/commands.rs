//! What an operator types, what comes back, and with which exit code; drain and stop.

use crate::city::City;
use std::path::Path;
use std::time::Duration;
use yika_loadgen::{Load, run};
use yika_switch::admin::control::status;
use yika_tests::process::{Yika, run as command, wait_for};

#[test]
fn every_refusal_says_what_and_where_and_has_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("wrong.toml"), "[switch]\ndata_dri = \"x\"\n").unwrap();
    for (arguments, code, says) in [
        (vec!["frobnicate"], 2, "unrecognized subcommand"),
        (vec!["serve"], 2, "--config"),
        (vec!["check", "--config", &path("none.toml")], 78, "cannot read the configuration"),
        (vec!["check", "--config", &path("wrong.toml")], 78, "did you mean `data_dir`?"),
        (vec!["status", "--data", &path("nobody")], 74, "no switch answers on"),
        (vec!["journal", "verify", "--data", &path("nothing")], 74, "cannot list"),
        (vec!["saf", "settle", "1", "--reason", " ", "--data", &path("x")], 74, "--reason must say why"),
        (vec!["demo", "--seconds", "1"], 2, "3..=3600"),
    ] {
        let (found, out, err) = command("yika", &arguments);
        assert_eq!(found, code, "{arguments:?}: {err}");
        assert!(err.contains(says), "{arguments:?}: {err}");
        assert!(out.is_empty());
        assert!(!err.contains("panicked"), "{err}");
    }
}

#[test]
fn a_second_start_and_a_port_in_use_are_refused_and_a_damaged_journal_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let city = City::build(folder.path(), "delay=1ms");
    let config = folder.path().join("yika.toml").display().to_string();
    let yika = Yika::start(folder.path());
    let (code, _, err) = command("yika", &["serve", "--config", &config]);
    assert_eq!(code, 74);
    assert!(err.contains("another yika runs on"), "{err}");
    let other = tempfile::tempdir().unwrap();
    let (code, _, err) =
        command("yika", &["serve", "--config", &config, "--data", other.path().to_str().unwrap()]);
    assert_eq!(code, 74);
    assert!(err.contains(&format!("cannot listen on {}", city.listener)), "{err}");
    let mut terminals = city.terminals("iso87-ascii");
    terminals.load = Load::Closed { outstanding: 1 };
    terminals.duration = Duration::from_secs(1);
    run::run(terminals, Duration::from_secs(20), |_| {}).unwrap();
    assert!(yika.stop().success());
    let (code, out, err) = command("yika", &["journal", "verify", "--config", &config]);
    assert_eq!((code, err.as_str()), (0, ""), "{err}");
    assert!(out.contains("the journal is good"), "{out}");
    let segment = folder.path().join("data/journal/segment-00000000.yj");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[3 * 4096 + 40] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let (code, _, err) = command("yika", &["serve", "--config", &config]);
    assert_eq!(code, 74, "{err}");
    assert!(
        err.contains("journal damaged") && err.contains("segment-00000000.yj") && err.contains("offset"),
        "{err}"
    );
}

#[test]
fn a_running_switch_is_asked_settled_cut_over_and_drained() {
    let folder = tempfile::tempdir().unwrap();
    let city = City::build(folder.path(), "silence=100%");
    let mut yika = Yika::start(folder.path());
    let data = yika.data();
    let place = data.display().to_string();
    let mut terminals = city.terminals("iso87-ascii");
    terminals.load = Load::Closed { outstanding: 1 };
    terminals.connections = 1;
    terminals.prefixes = vec!["411111".into()];
    terminals.duration = Duration::from_millis(200);
    let going = run::start(terminals).unwrap();
    wait_for("a reversal to be owed", Duration::from_secs(20), || {
        status(&data).is_ok_and(|status| status.open_obligations > 0)
    });
    let (_, out, _) = command("yika", &["saf", "list", "--data", &place, "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&out).unwrap();
    let id = listed[0]["id"].as_u64().unwrap().to_string();
    assert_eq!(listed[0]["kind"], "reverse");
    let (code, _, err) = command("yika", &["saf", "settle", "999999", "--reason", "x", "--data", &place]);
    assert_eq!(code, 74);
    assert!(err.contains("no open obligation has the id 999999"), "{err}");
    let (code, out, err) =
        command("yika", &["saf", "settle", &id, "--reason", "agreed by telephone", "--data", &place]);
    assert!(code == 0 && out.contains("is settled"), "{err}");
    let (code, out, err) = command("yika", &["cut-over", "--data", &place]);
    assert!(code == 0 && out.contains("the business date is"), "{err}");
    // In flight and never answered: the first signal drains, the second does not wait for it.
    yika.signal("TERM");
    wait_for("the drain", Duration::from_secs(10), || yika.log().contains("draining"));
    yika.signal("TERM");
    assert!(yika.wait().success());
    drop(going);
    let (code, out, err) = command("yika", &["journal", "dump", "--data", &place]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("agreed by telephone"));
    let (code, _, err) = command("yika", &["saf", "list", "--data", &place]);
    assert!(code == 0 && err.contains("no switch runs on"), "{err}");
}

#[test]
fn rule_19_a_participant_that_something_is_owed_to_cannot_be_dropped() {
    dropping_bank_a("a reversal to be owed", |data| {
        status(data).is_ok_and(|status| status.open_obligations > 0)
    });
}

/// Nothing is owed yet when the switch is killed: the start itself finds out, and refuses all the same.
#[test]
fn rule_19_a_participant_with_a_transaction_in_doubt_cannot_be_dropped() {
    dropping_bank_a("a transaction to be open on disk", |data| {
        let (code, out, _) = command("yika", &["journal", "stats", "--data", data.to_str().unwrap()]);
        code == 0 && !out.contains("open transactions 0,")
    });
}

/// Bank A is silent; the switch is killed when `when` holds, and started without bank A.
#[track_caller]
fn dropping_bank_a(what: &str, when: impl Fn(&Path) -> bool) {
    let folder = tempfile::tempdir().unwrap();
    let city = City::build(folder.path(), "silence=100%");
    let yika = Yika::start(folder.path());
    let data = yika.data();
    let mut terminals = city.terminals("iso87-ascii");
    terminals.load = Load::Closed { outstanding: 1 };
    terminals.prefixes = vec!["411111".into()];
    terminals.duration = Duration::from_millis(200);
    let going = run::start(terminals).unwrap();
    wait_for(what, Duration::from_secs(20), || when(&data));
    yika.kill();
    drop(going);
    let path = folder.path().join("yika.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"bank-a\"", "\"bank-x\"")).unwrap();
    let (code, _, err) = command("yika", &["serve", "--config", path.to_str().unwrap()]);
    assert_eq!(code, 78, "{err}");
    assert!(err.contains("participant \"bank-a\" is owed"), "{err}");
}

#[test]
fn the_demo_balances_over_an_outage_and_a_kill_and_says_so_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().display().to_string();
    let arguments = ["demo", "--seconds", "4", "--rate", "200", "--json", "--allow-tmpfs", "--dir", &place];
    let (code, out, err) = command("yika", &arguments);
    assert_eq!(code, 0, "{out}\n{err}");
    let summary: serde_json::Value = serde_json::from_str(&out).unwrap();
    for key in [
        "transactions",
        "tps",
        "p50_us",
        "p99_us",
        "p999_us",
        "approved",
        "declined",
        "timed_out",
        "reversals",
        "stand_in",
        "restarts",
        "recovery_ms",
        "unaccounted_fen",
    ] {
        assert!(summary[key].is_number(), "{key} is missing: {out}");
    }
    assert_eq!((summary["unaccounted_fen"].as_u64(), summary["restarts"].as_u64()), (Some(0), Some(1)));
    assert!(summary["approved"].as_u64().unwrap() > 300);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the demo leaves nothing behind");
}
