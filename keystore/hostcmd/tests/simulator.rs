//! The simulator's sockets: garbage, lengths that lie, frames in halves, too many connections, and the command itself.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping it")]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::{Peer, client, config, random, simulator, wait_for};
use yika_hostcmd::hsm::SimulatorConfig;
use yika_keystore::{BackendError, HealthState};

fn still_answers(peer: &mut Peer) {
    peer.raw(b"\0\x06HEADNC");
    let reply = peer.frame();
    assert_eq!((reply.len(), &reply[..8]), (0x21, &b"HEADND00"[..]));
}

/// SplitMix64, so that every run sends the same garbage.
fn garbage(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[test]
fn garbage_is_answered_and_the_connection_goes_on() {
    let hsm = simulator(SimulatorConfig::default());
    let mut peer = Peer::connect(hsm.addr());
    let mut seed = 1;
    for round in 0..2_000 {
        let bytes = (garbage(&mut seed) % 300) as usize;
        let frame: Vec<u8> = (0..bytes).map(|_| garbage(&mut seed) as u8).collect();
        peer.send(&frame);
        let reply = peer.frame();
        let (header, rest) = reply.split_at(4);
        assert_eq!(header[..bytes.min(4)], frame[..bytes.min(4)], "round {round}");
        // What looks like a trailer comes back.
        let trailer = rest[4..].is_empty() || rest[4] == 0x19;
        assert!(rest[2..4] != *b"00" && trailer, "round {round}: {rest:?}");
    }
    still_answers(&mut peer);
}

#[test]
fn a_frame_longer_than_the_limit_is_passed_over() {
    let hsm = simulator(SimulatorConfig { frame_bytes_max: 64, ..SimulatorConfig::default() });
    let mut peer = Peer::connect(hsm.addr());
    for bytes in [65, 1_000, 65_535] {
        let mut frame = b"LONGM6".to_vec();
        frame.resize(bytes, 0x19);
        peer.send(&frame);
        assert_eq!(peer.frame(), b"LONGM780");
        still_answers(&mut peer);
    }
    peer.send(b"");
    assert_eq!(peer.frame(), b"0000ZZ15");
    peer.send(b"HEA");
    assert_eq!(peer.frame(), b"HEA0ZZ15");
}

#[test]
fn frames_in_halves_and_several_at_once_are_read_all_the_same() {
    let hsm = simulator(SimulatorConfig::default());
    let mut peer = Peer::connect(hsm.addr());
    for byte in b"\0\x0EHEADB20004ping" {
        peer.raw(&[*byte]);
    }
    assert_eq!(peer.frame(), b"HEADB300ping");
    peer.raw(b"\0\x0E0001B20004ping\0\x0E0002B20004pong\0\x0E00");
    assert_eq!((peer.frame(), peer.frame()), (b"0001B300ping".to_vec(), b"0002B300pong".to_vec()));
    // The rest never comes; others are served.
    drop(peer);
    still_answers(&mut Peer::connect(hsm.addr()));
}

#[test]
fn connections_beyond_the_limit_are_closed() {
    let hsm = simulator(SimulatorConfig { connections_max: 2, ..SimulatorConfig::default() });
    let mut peers = [Peer::connect(hsm.addr()), Peer::connect(hsm.addr())];
    peers.iter_mut().for_each(still_answers);
    assert!(Peer::connect(hsm.addr()).is_closed());
    peers.iter_mut().for_each(still_answers);
}

#[test]
fn faults_come_as_often_as_they_are_asked_for() {
    let hsm = simulator(SimulatorConfig { fail_every: 3, ..SimulatorConfig::default() });
    let client = client(config(hsm.addr()));
    wait_for(&client, HealthState::Up);
    // The first was the diagnostics. A code 41 is worth a second attempt nowhere: the HSM did answer.
    let failed: Vec<bool> =
        (0..8).map(|_| matches!(random(&client, 4), Err(BackendError::Unavailable { .. }))).collect();
    assert_eq!(failed, [false, true, false, false, true, false, false, true]);
}

#[test]
fn the_command_says_where_it_is_and_what_it_is_and_stops_when_told() {
    let mut hsm = Command::new(env!("CARGO_BIN_EXE_yika-hsm"))
        .args(["--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(hsm.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let addr = line.split_whitespace().nth(3).unwrap().trim_end_matches(',');
    still_answers(&mut Peer::connect(addr.parse().unwrap()));
    let process = rustix::process::Pid::from_child(&hsm);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    let output = hsm.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    assert!(errors.contains("SIMULATOR") && errors.contains("stopped"), "{errors}");
}

#[test]
fn the_command_refuses_what_is_dangerous_or_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = |text: &str| {
        let path = folder.path().join("lmk");
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_yika-hsm")).args(args).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (went, says) = run(&["--listen", "0.0.0.0:0"]);
    assert!(!went && says.contains("--allow-remote"), "{says}");
    let one = "01".repeat(32);
    for (text, why) in
        [(one.as_str(), "at least two"), ("0102", "line 1"), (&format!("{one}\n{one}"), "equal")]
    {
        let (went, says) = run(&["--listen", "127.0.0.1:0", "--lmk-file", &file(text)]);
        assert!(!went && says.contains(why) && !says.contains("0101"), "{says}");
    }
}
