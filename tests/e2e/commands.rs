//! What an operator types, what comes back, and with which exit code; drain and stop.

use crate::city::{City, Settings, Town};
use crate::peer::{Bank, Peer, purchase};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use yika_loadgen::{Load, run};
use yika_switch::admin::control::status;
use yika_tests::process::{Held, Yika, free_port, program, run as command, wait_for};

#[test]
fn every_refusal_says_what_and_where_and_has_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("wrong.toml"), "[switch]\ndata_dri = \"x\"\n").unwrap();
    std::fs::write(path("good.toml"), "[switch]\ndata_dir = \"x\"\n").unwrap();
    for (arguments, code, says) in [
        (vec![], 2, "Usage: yika"),
        (vec!["frobnicate"], 2, "unrecognized subcommand"),
        (vec!["serve"], 2, "--config"),
        (vec!["check", "--config", &path("none.toml")], 78, "cannot read the configuration"),
        (vec!["check", "--config", &path("wrong.toml")], 78, "did you mean `data_dir`?"),
        (vec!["status", "--data", &path("nobody")], 74, "no switch answers on"),
        (vec!["status"], 2, "--config"),
        (vec!["journal", "verify", "--data", &path("nothing")], 74, "there is no journal at"),
        (vec!["saf", "list", "--data", &path("nothing")], 74, "--data must name the data folder"),
        (vec!["saf", "settle", "1", "--reason", "  ", "--data", &path("x")], 2, "say why, and with whom"),
        (
            vec!["saf", "settle", "1", "--reason", "4111 1111 1111 1111", "--data", &path("x")],
            2,
            "card number",
        ),
        (vec!["serve", "--config", &path("good.toml"), "--data", &path("wrong.toml")], 74, "cannot make"),
        (vec!["demo", "--seconds", "0"], 2, "3..=3600"),
        (vec!["demo", "--rate", "0"], 2, "1..=200000"),
    ] {
        let (found, out, err) = command("yika", &arguments);
        assert_eq!(found, code, "{arguments:?}: {err}");
        assert!(err.contains(says), "{arguments:?}: {err}");
        assert!(out.is_empty());
        assert!(!err.contains("panicked"), "{err}");
        assert!(!err.contains("1111"), "a card number is repeated: {err}");
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
fn a_hang_up_is_ignored_and_told_of_and_a_dead_host_is_no_pass() {
    let folder = tempfile::tempdir().unwrap();
    let city = City::build(folder.path(), "delay=1ms");
    let yika = Yika::start(folder.path());
    yika.signal("HUP");
    wait_for("it to be told", Duration::from_secs(10), || yika.log().contains("SIGHUP"));
    assert!(status(&yika.data()).is_ok(), "it goes on");
    assert!(yika.stop().success());
    let target = city.listener.to_string();
    let arguments =
        ["run", "--target", &target, "--duration", "1s", "--rate", "20", "--drain", "1s", "--quiet"];
    let (code, out, err) = command("yika-loadgen", &arguments);
    assert_eq!(code, 4, "{out}{err}");
    assert!(out.contains("nothing was measured"), "{out}{err}");
}

/// Bank A is silent; the switch is killed when something is owed to it, and started without it.
#[test]
fn rule_19_a_participant_that_something_is_owed_to_cannot_be_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let city = City::build(folder.path(), "silence=100%");
    let yika = Yika::start(folder.path());
    let data = yika.data();
    let mut terminals = city.terminals("iso87-ascii");
    terminals.load = Load::Closed { outstanding: 1 };
    terminals.prefixes = vec!["411111".into()];
    terminals.duration = Duration::from_millis(200);
    let going = run::start(terminals).unwrap();
    wait_for("a reversal to be owed", Duration::from_secs(20), || {
        status(&data).is_ok_and(|status| status.open_obligations > 0)
    });
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
fn rule_19_a_participant_with_a_request_in_flight_cannot_be_dropped_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bank, other) = (Bank::open("bank-a", "iso87-ascii"), Bank::open("bank-b", "pos-bcd"));
    let settings = Settings { timeout: "15s", ..Settings::default() };
    let town = Town::build(folder.path(), &bank, &other, &settings);
    let yika = Yika::start(folder.path());
    let mut terminal = Peer::connect(town.listener, "iso87-ascii");
    terminal.sends(&purchase("iso87-ascii", "4111111111111111", 1, 100));
    bank.hears();
    yika.kill();
    let (path, data) = (folder.path().join("yika.toml"), folder.path().join("data").display().to_string());
    let stats = || command("yika", &["journal", "stats", "--data", &data]).1;
    let before = stats();
    assert!(before.contains("open transactions 1, open obligations 0"), "{before}");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"bank-a\"", "\"bank-x\"")).unwrap();
    let (code, _, err) = command("yika", &["serve", "--config", path.to_str().unwrap()]);
    assert!(code == 78 && err.contains("participant \"bank-a\" is owed 1"), "{code}: {err}");
    assert_eq!(stats(), before, "a refused start changes nothing");
    let (here, there) = (bank.address().to_string(), free_port().to_string());
    std::fs::write(&path, text.replace(&here, &there)).unwrap();
    let (code, _, err) = command("yika", &["serve", "--config", path.to_str().unwrap()]);
    assert!(code == 78 && err.contains("participant \"bank-a\" is owed 1"), "{code}: {err}");
    assert!(err.contains(&here) && err.contains(&there), "both ways are named: {err}");
    assert_eq!(stats(), before);
}

#[test]
fn a_demo_that_is_interrupted_leaves_no_process_and_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let out = tempfile::NamedTempFile::new().unwrap();
    let mut demo = Command::new(program("yika"));
    demo.args(["demo", "--rate", "50", "--allow-tmpfs", "--dir"]).arg(folder.path());
    demo.stdin(Stdio::null()).stdout(out.reopen().unwrap()).stderr(Stdio::null());
    let mut demo = Held(demo.spawn().unwrap());
    let said = || std::fs::read_to_string(out.path()).unwrap();
    wait_for("its switch", Duration::from_secs(30), || said().contains(" listens on "));
    let switch = said().split("switch ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    assert!(Path::new("/proc").join(&switch).exists());
    assert!(Command::new("kill").arg("-INT").arg(demo.0.id().to_string()).status().unwrap().success());
    assert_eq!(demo.ends_within(Duration::from_secs(30)).code(), Some(130));
    assert!(!Path::new("/proc").join(&switch).exists(), "its switch outlives it");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
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
