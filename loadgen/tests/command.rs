//! The command as scripts see it: exit codes, friendly errors, ledgers that pass from one call to the next.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may unwrap")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn loadgen(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_yika-loadgen")).args(args).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// An issuer on a free port that ends by itself after a few seconds at most, and its address.
fn issuer(ledger: &Path, script: &str) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_yika-loadgen"))
        .args([
            "issuer",
            "--listen",
            "127.0.0.1:0",
            "--seconds",
            "2",
            "--json",
            "--script",
            script,
            "--ledger",
        ])
        .arg(ledger)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split_whitespace().find(|word| word.starts_with("127.0.0.1:")).unwrap();
    let address = address.trim_end_matches(';').to_owned();
    (child, address)
}

#[test]
fn ledgers_of_a_run_balance_and_a_missing_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("terminals"), dir.path().join("issuer"));
    let (terminals, bank) = (a.to_str().unwrap(), b.to_str().unwrap());
    let (mut child, address) = issuer(&b, "decline=10%");
    let args = ["--mix", "purchase=8,void=1,balance=1", "--quiet", "--json", "--ledger", terminals];
    let run = [&["run", "--target", &address, "--rate", "500", "--duration", "500ms"], &args[..]].concat();
    let output = loadgen(&run);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["version"], &report["verdict"]), (&1.into(), &"pass".into()));
    assert_eq!(report["totals"]["under_way"], 0);
    assert!(report["response"]["p9999_ms"].as_f64().unwrap() > 0.0);
    assert!(child.wait().unwrap().success());

    let output = loadgen(&["reconcile", terminals, bank]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("BALANCED"));
    let lines = std::fs::read_to_string(&b).unwrap();
    let kept: Vec<&str> = lines.lines().filter(|line| !line.contains("\"approved\"")).collect();
    let entries = kept.len() - 1;
    let total = lines.lines().count() - 1;
    let head = kept[0].replace(&format!("\"entries\":{total}"), &format!("\"entries\":{entries}"));
    std::fs::write(&b, [&[head.as_str()], &kept[1..]].concat().join("\n")).unwrap();
    let output = loadgen(&["reconcile", terminals, bank, "--json"]);
    assert_eq!(output.status.code(), Some(5), "{}", text(&output));
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["mismatches"][0]["reason"], "missing-at-issuer");
    assert!(!lines.contains("411111000000"), "no card number in a ledger");
}

#[test]
fn faults_of_the_command_line_exit_with_1_and_say_what_to_do() {
    for (args, expected) in [
        (&["run"][..], "--target"),
        (&["run", "--target", "127.0.0.1:1", "--mix", "purchases=1"], "`purchases` is unknown"),
        (&["run", "--target", "127.0.0.1:1", "--prefixes", "4000"], "not for tests"),
        (&["run", "--target", "127.0.0.1:1", "--dialect", "iso99"], "there are iso87-ascii"),
        (&["run", "--target", "127.0.0.1:1", "--rate", "0"], "a rate of 0"),
        (&["run", "--target", "127.0.0.1:1", "--pin-share", "5%"], "no PIN key"),
        (&["issuer", "--script", "decline=5,silense=2%"], "`silense` is unknown"),
        (&["issuer", "--mac", "cmac:12"], "in hexadecimal"),
    ] {
        let output = loadgen(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", text(&output));
        assert!(text(&output).contains(expected), "{args:?}: {}", text(&output));
    }
    assert_eq!(loadgen(&["--help"]).status.code(), Some(0));
    assert!(text(&loadgen(&["run", "--help"])).contains("Exit codes"));
}

#[test]
fn the_time_that_cards_take_to_make_is_not_taken_from_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, address) = issuer(&dir.path().join("issuer"), "decline=1%");
    // Making them takes longer than the run has.
    let many = ["--cards", "500000", "--window", "1", "--duration", "200ms", "--quiet", "--json"];
    let output = loadgen(&[&["run", "--target", &address], &many[..]].concat());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["duration_s"].as_f64().unwrap() >= 0.2, "{}", report["duration_s"]);
    assert!(child.wait().unwrap().success());
}

#[test]
fn other_faults_have_codes_of_their_own() {
    let output = loadgen(&["reconcile", "/nowhere/ledger"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    // Nobody listens: nothing is answered in time, and what was offered says nothing about a host.
    let nobody =
        ["run", "--target", "127.0.0.1:1", "--rate", "2000", "--duration", "300ms", "--terminals", "10"];
    let output = loadgen(&[&nobody[..], &["--drain", "100ms", "--quiet"]].concat());
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    let dir = tempfile::tempdir().unwrap();
    let (mut child, address) = issuer(&dir.path().join("issuer"), "delay=20ms");
    let slow =
        ["run", "--target", &address, "--window", "1", "--duration", "200ms", "--p99-max", "5ms", "--quiet"];
    let output = loadgen(&slow);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(child.wait().unwrap().success());
}
