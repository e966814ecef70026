//! `yika journal` beside a running switch: what is being written is no damage, and damage is none the less found.

use crate::city::{City, in_service};
use crate::peer::{Peer, purchase};
use serde_json::Value;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};
use yika_loadgen::{Load, run};
use yika_tests::process::{Yika, run as command, wait_for};

const CARD: &str = "4111111111111111";

/// Runs `yika journal` with `--data`: exit code, stdout, stderr.
fn journal(data: &Path, arguments: &[&str]) -> (i32, String, String) {
    let place = data.display().to_string();
    command("yika", &[&["journal"], arguments, &["--data", &place]].concat())
}

fn verified(data: &Path) -> Value {
    let (code, out, err) = journal(data, &["verify", "--json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    serde_json::from_str(&out).unwrap()
}

#[test]
fn a_journal_that_is_being_written_is_read_without_false_alarm() {
    let folder = tempfile::tempdir().unwrap();
    let city = City::build(folder.path(), "decline=5%");
    let yika = Yika::start(folder.path());
    let mut terminals = city.terminals("iso87-ascii");
    terminals.load = Load::Closed { outstanding: 8 };
    terminals.connections = 8;
    terminals.duration = Duration::from_secs(2);
    let going = run::start(terminals).unwrap();
    let (began, mut entries) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_millis(1800) {
        for arguments in [["verify"].as_slice(), &["verify", "--json"], &["stats"], &["dump", "--json"]] {
            let (code, out, err) = journal(&yika.data(), arguments);
            assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}");
            assert!(!out.contains("torn"), "{arguments:?}: {out}");
        }
        let now = verified(&yika.data())["entries"].as_u64().unwrap();
        assert!(now >= entries, "entries went away");
        entries = now;
    }
    assert!(entries > 100, "{entries} entries: nothing was written meanwhile");
    drop(going);
    let (_, out, _) = journal(&yika.data(), &["dump", "--json"]);
    for (at, line) in out.lines().enumerate() {
        let told: Value = serde_json::from_str(line).unwrap();
        assert_eq!(told["seq"], at + 1);
        assert!(told["time"].as_str().unwrap().ends_with('Z') && told["entry"].is_string(), "{line}");
    }
    yika.kill();
}

#[test]
fn the_tail_of_a_running_journal_is_being_written_and_damage_before_it_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bank, _other, town, yika) = in_service(folder.path());
    let mut terminal = Peer::connect(town.listener, "iso87-ascii");
    terminal.sends(&purchase("iso87-ascii", CARD, 1, 100));
    let request = bank.hears();
    bank.answers(&request, "00");
    assert_eq!(terminal.hears().code(), "00");
    let (mut end, mut since) = (0, Instant::now());
    wait_for("the writer to rest behind its last frame", Duration::from_secs(10), || {
        let now = verified(&yika.data())["segments"][0]["bytes_used"].as_u64().unwrap();
        if now != end {
            (end, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_millis(150)
    });
    let data = yika.data();
    let segment = data.join("journal/segment-00000000.yj");
    let file = std::fs::File::options().read(true).write(true).open(&segment).unwrap();
    file.write_all_at(&[0xAA; 100], end).unwrap();
    let (code, out, _) = journal(&data, &["verify"]);
    assert!(code == 0 && out.contains("is being written now") && !out.contains("torn"), "{out}");
    assert_eq!(verified(&data)["tail"], "being-written");
    let (code, out, err) = journal(&data, &["stats", "--json"]);
    let stats: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, stats["tail"].as_str()), (0, Some("being-written")), "{err}");
    assert!(
        stats["entries"]["intent"]["count"] == 1 && stats["to"].as_str().unwrap().ends_with('Z'),
        "{out}"
    );
    let mut byte = [0];
    file.read_exact_at(&mut byte, 4096 + 60).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 4096 + 60).unwrap();
    for arguments in [["verify"].as_slice(), &["stats"], &["dump"]] {
        let (code, _, err) = journal(&data, arguments);
        assert_eq!(code, 74, "{arguments:?}");
        assert!(err.contains("journal damaged") && err.contains("offset 4096"), "{arguments:?}: {err}");
    }
    file.write_all_at(&byte, 4096 + 60).unwrap();
    yika.kill();
    let (code, out, _) = journal(&data, &["verify"]);
    assert!(code == 0 && out.contains(&format!("is torn at offset {end}")), "{out}");
    assert_eq!(verified(&data)["tail"], "torn");
}
