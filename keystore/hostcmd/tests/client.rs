//! The client against HSMs that answer late, wrongly, in another order or not at all.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping it")]

mod common;

use std::thread;
use std::time::Duration;

use common::{LIMIT, Scripted, client, config, random, simulator, simulator_at, wait_for};
use yika_hostcmd::hsm::SimulatorConfig;
use yika_hostcmd::{Address, Client, ClientConfig, Connecting};
use yika_keystore::{Backend, BackendError, HealthState, Operation, Outcome};

/// Answers `N0` with so many bytes of the number that was asked for.
fn bytes_of(body: &[u8]) -> Vec<u8> {
    let count: u8 = std::str::from_utf8(body).unwrap().parse().unwrap();
    [b"N100", &vec![count; usize::from(count)][..]].concat()
}

#[test]
fn replies_in_another_order_find_their_commands() {
    let hsm = Scripted::start();
    let client = client(config(hsm.addr()));
    let mut peer = hsm.connection();
    wait_for(&client, HealthState::Up);
    let answers = thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let batch: Vec<_> = (1..=8).map(|bytes| Operation::Random { bytes }).collect();
            client.submit(&batch)
        });
        let mut commands: Vec<_> = (0..8).map(|_| peer.command()).collect();
        for n in 0..8 {
            assert!(
                commands[n + 1..].iter().all(|other| other.0 != commands[n].0),
                "headers under way differ"
            );
        }
        commands.reverse();
        commands.swap(1, 5);
        for (header, _, body) in commands {
            peer.reply(&header, &bytes_of(&body));
        }
        asked.join().unwrap()
    });
    for (n, answer) in answers.into_iter().enumerate() {
        let Ok(Outcome::Random(bytes)) = answer else { panic!("{answer:?}") };
        assert_eq!(bytes.to_vec(), vec![n as u8 + 1; n + 1]);
    }
}

#[test]
fn a_batch_larger_than_all_windows_is_done_in_turns() {
    let hsm = simulator(SimulatorConfig::default());
    let client = client(ClientConfig { window: 2, connections_count: 2, ..config(hsm.addr()) });
    wait_for(&client, HealthState::Up);
    let batch: Vec<_> = (1..=200).map(|bytes| Operation::Random { bytes }).collect();
    for (n, answer) in client.submit(&batch).into_iter().enumerate() {
        assert!(matches!(answer, Ok(Outcome::Random(bytes)) if bytes.len() == n + 1));
    }
}

#[test]
fn what_finds_no_room_is_overload_and_not_a_queue() {
    let hsm = Scripted::start();
    let client = client(ClientConfig { window: 1, ..config(hsm.addr()) });
    let mut peer = hsm.connection();
    wait_for(&client, HealthState::Up);
    thread::scope(|scope| {
        let first = scope.spawn(|| random(&client, 3));
        let (header, _, body) = peer.command();
        assert_eq!(random(&client, 1), Err(BackendError::Overloaded { limit: 1 }));
        peer.reply(&header, &bytes_of(&body));
        assert_eq!(first.join().unwrap(), Ok(vec![3; 3]));
    });
}

#[test]
fn no_reply_in_time_is_unavailable_and_the_connection_is_made_anew() {
    let hsm = Scripted::start();
    let client = client(ClientConfig { reply_timeout: Duration::from_millis(50), ..config(hsm.addr()) });
    let mut silent = hsm.connection();
    wait_for(&client, HealthState::Up);
    assert!(matches!(random(&client, 3), Err(BackendError::Unavailable { .. })));
    silent.command();
    let mut peer = hsm.connection();
    assert!(silent.is_closed(), "a late reply must find nobody");
    wait_for(&client, HealthState::Up);
    let answer = thread::scope(|scope| {
        let asked = scope.spawn(|| random(&client, 4));
        let (header, _, body) = peer.command();
        peer.reply(&header, &bytes_of(&body));
        asked.join().unwrap()
    });
    assert_eq!(answer, Ok(vec![4; 4]));
}

#[test]
fn what_was_lost_with_a_connection_is_asked_once_more() {
    let hsm = Scripted::start();
    let client = client(ClientConfig { connections_count: 2, ..config(hsm.addr()) });
    let (one, two) = (hsm.connection(), hsm.connection());
    wait_for(&client, HealthState::Up);
    let answer = thread::scope(|scope| {
        let asked = scope.spawn(|| random(&client, 5));
        // Nobody knows which connection it takes, so the one that has it says so.
        one.0.set_nonblocking(true).unwrap();
        let first_has_it = loop {
            let mut byte = [0];
            if one.0.peek(&mut byte).is_ok() {
                break true;
            }
            two.0.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            if two.0.peek(&mut byte).is_ok() {
                break false;
            }
        };
        one.0.set_nonblocking(false).unwrap();
        two.0.set_read_timeout(Some(LIMIT)).unwrap();
        let (dies, mut lives) = if first_has_it { (one, two) } else { (two, one) };
        drop(dies);
        let (header, _, body) = lives.command();
        lives.reply(&header, &bytes_of(&body));
        asked.join().unwrap()
    });
    assert_eq!(answer, Ok(vec![5; 5]));
}

/// What an HSM must not say, and what becomes of the command that was under way.
#[test]
fn answers_that_make_no_sense_are_not_used() {
    type Wrong = fn(&[u8]) -> Vec<u8>;
    let wrong: [(Wrong, bool); 6] = [
        (|header| [header, b"N5003333"].concat(), true),
        (|header| [header, b"N1"].concat(), true),
        (|header| [header, b"N100", b"\x01\x02"].concat(), true),
        (|header| [header, b"N1??"].concat(), true),
        (|_| b"ZZZZN100\x03\x03\x03".to_vec(), false),
        (|_| b"short".to_vec(), false),
    ];
    for (n, (wrong, is_protocol)) in wrong.into_iter().enumerate() {
        let hsm = Scripted::start();
        let client = client(config(hsm.addr()));
        let mut peer = hsm.connection();
        wait_for(&client, HealthState::Up);
        let answer = thread::scope(|scope| {
            let asked = scope.spawn(|| random(&client, 3));
            let (header, _, _) = peer.command();
            peer.send(&wrong(&header));
            asked.join().unwrap()
        });
        let protocol = matches!(answer, Err(BackendError::Protocol { .. }));
        let unavailable = matches!(answer, Err(BackendError::Unavailable { .. }));
        assert_eq!((protocol, unavailable), (is_protocol, !is_protocol), "{n}: {answer:?}");
    }
}

#[test]
fn a_server_that_is_no_hsm_is_never_up() {
    let web = Scripted::start();
    let client = client(ClientConfig { breaker_failures: 2, ..config(web.addr()) });
    for _ in 0..2 {
        let mut peer = common::Peer(web_accept(&web));
        peer.command();
        peer.raw(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    }
    assert!(client.wait_until(|health| health.detail.contains("given up"), LIMIT), "{:?}", client.health());
    assert_eq!(client.health().state, HealthState::Down);
}

fn web_accept(web: &Scripted) -> std::net::TcpStream {
    let stream = web.accept();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

#[test]
fn the_second_address_works_when_the_first_is_gone() {
    let (first, second) = (simulator(SimulatorConfig::default()), simulator(SimulatorConfig::default()));
    let secondary = Some(Address { addr: second.addr(), connecting: Connecting::Plain });
    let client = client(ClientConfig { secondary, ..config(first.addr()) });
    let both =
        |client: &Client| client.wait_until(|health| health.detail.matches("1 of 1").count() == 2, LIMIT);
    assert!(both(&client), "{:?}", client.health());
    assert_eq!(random(&client, 7).map(|bytes| bytes.len()), Ok(7));
    let addr = first.addr();
    drop(first);
    for bytes in 1..50 {
        assert_eq!(random(&client, bytes).map(|random| random.len()), Ok(bytes), "no command is lost");
    }
    wait_for(&client, HealthState::Degraded);
    let _first = simulator_at(addr, SimulatorConfig::default());
    wait_for(&client, HealthState::Up);
    assert!(both(&client));
}

#[test]
fn an_hsm_that_lost_its_master_key_is_left_for_the_second_one() {
    let (tampered, second) = (Scripted::start(), simulator(SimulatorConfig::default()));
    let secondary = Some(Address { addr: second.addr(), connecting: Connecting::Plain });
    let client = client(ClientConfig { secondary, breaker_failures: 2, ..config(tampered.addr()) });
    let mut peer = tampered.connection();
    assert!(client.wait_until(|health| health.detail.matches("1 of 1").count() == 2, LIMIT));
    let answer = thread::scope(|scope| {
        let asked = scope.spawn(|| random(&client, 6));
        let (header, _, _) = peer.command();
        peer.reply(&header, b"N113");
        asked.join().unwrap()
    });
    assert_eq!(answer.map(|bytes| bytes.len()), Ok(6), "the second one did it");
    let mut again = common::Peer(web_accept(&tampered));
    let (header, _, _) = again.command();
    again.reply(&header, b"ND13");
    assert!(client.wait_until(|health| health.detail.contains("given up"), LIMIT), "{:?}", client.health());
    assert_eq!(random(&client, 2).map(|bytes| bytes.len()), Ok(2));
}

#[test]
fn the_circuit_opens_after_failures_in_a_row_and_closes_by_a_probe() {
    let addr = Scripted::start().addr();
    let client = client(ClientConfig {
        breaker_failures: 3,
        breaker_open: Duration::from_millis(20),
        connections_count: 3,
        ..config(addr)
    });
    assert!(client.wait_until(|health| health.detail.contains("given up"), LIMIT), "{:?}", client.health());
    let refused = random(&client, 1);
    let Err(BackendError::Unavailable { reason }) = refused else { panic!("{refused:?}") };
    assert!(reason.contains(&addr.to_string()), "{reason}");
    let _hsm = simulator_at(addr, SimulatorConfig::default());
    wait_for(&client, HealthState::Up);
    assert!(!client.health().detail.contains("given up"));
    assert_eq!(random(&client, 9).map(|bytes| bytes.len()), Ok(9));
}

#[test]
fn a_quiet_connection_is_tried_and_left_when_it_is_dead() {
    let hsm = Scripted::start();
    let (idle_echo, reply_timeout) = (Duration::from_millis(10), Duration::from_millis(200));
    let client = client(ClientConfig { idle_echo, reply_timeout, ..config(hsm.addr()) });
    let mut peer = hsm.connection();
    let (header, code, body) = peer.command();
    assert_eq!((code.as_str(), &body[..]), ("B2", &b"0004YIKA"[..]));
    peer.reply(&header, b"B300YIKA");
    assert_eq!(peer.command().1, "B2", "and again");
    let _anew = hsm.connection();
    wait_for(&client, HealthState::Up);
}

#[test]
fn health_tells_what_the_hsm_told() {
    let hsm = Scripted::start();
    let client = client(config(hsm.addr()));
    assert_eq!(client.health().state, HealthState::Down);
    let _peer = hsm.connection();
    wait_for(&client, HealthState::Up);
    let health = client.health();
    assert_eq!(health.master_check_value.as_deref(), Some("2686047595482904"));
    assert!(health.detail.contains("firmware YIKA-TEST"), "{health:?}");
}

#[test]
fn headers_of_other_lengths_work_and_impossible_settings_do_not() {
    for header_bytes in [2, 12, 64] {
        let hsm = simulator(SimulatorConfig { header_bytes, ..SimulatorConfig::default() });
        let client = client(ClientConfig { header_bytes, ..config(hsm.addr()) });
        wait_for(&client, HealthState::Up);
        assert_eq!(random(&client, 5).map(|bytes| bytes.len()), Ok(5));
    }
    let good = config(common::LOOPBACK);
    for (name, config) in [
        ("header_bytes", ClientConfig { header_bytes: 1, ..good.clone() }),
        ("connections_count", ClientConfig { connections_count: 0, ..good.clone() }),
        ("window", ClientConfig { window: 257, ..good.clone() }),
        ("reply_timeout", ClientConfig { reply_timeout: Duration::ZERO, ..good.clone() }),
    ] {
        let refused = Client::start(config).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains(name), "{refused}");
    }
}

#[test]
fn a_command_whose_hsm_goes_away_for_good_is_answered() {
    let hsm = Scripted::start();
    let client = std::sync::Arc::new(client(config(hsm.addr())));
    let mut peer = hsm.connection();
    wait_for(&client, HealthState::Up);
    let asked = thread::spawn({
        let client = client.clone();
        move || random(&client, 3)
    });
    peer.command();
    drop(peer);
    drop(hsm);
    assert!(matches!(asked.join().unwrap(), Err(BackendError::Unavailable { .. })));
    drop(client);
}
