//! Lines as machines, in virtual time: a line is healthy because its peer answers, comes back with a growing and
//! spread wait, and carries what its participant's sharing says.

use crate::approved;
use std::time::Duration;
use yika_switch::config::{Config, Sharing, SignOn};
use yika_switch::core::ids::LineId;
use yika_switch::driver::line::LineState;
use yika_tests::setup::{BANK_A, config};
use yika_tests::world::mti;
use yika_tests::{BankRequest, Wire, World, purchase};

const LINE: LineId = LineId(0);
const IDLE_MS: u64 = 10_000;
/// How long a network message may go unanswered.
const ANSWER_MS: u64 = 5_000;
/// Timers are looked at every 2 ms, and the tests step by at most 5.
const GRAIN_MS: u64 = 10;

fn with_link(change: impl Fn(&mut yika_switch::config::LinkConfig)) -> Config {
    let mut settings = config();
    change(settings.participants[1].link.as_mut().unwrap());
    settings
}

fn echoing() -> World {
    World::with(with_link(|link| link.echo_idle = Duration::from_millis(IDLE_MS)))
}

fn state(world: &World, line: LineId) -> LineState {
    world.driver.lines().nth(line.0 as usize).unwrap().1.state
}

/// The echo that the bank is asked.
fn echo(world: &mut World) -> BankRequest {
    let request = world.at_bank(BANK_A).expect("an idle line is asked for a sign of life");
    assert_eq!((request.wire.mti, request.wire.text(70)), (mti(0x0800), "301".into()));
    request
}

#[test]
fn a_line_is_healthy_while_its_echo_is_answered() {
    let mut world = echoing();
    for _ in 0..5 {
        world.advance(IDLE_MS + GRAIN_MS);
        let request = echo(&mut world);
        assert!(world.at_bank(BANK_A).is_none(), "one question at a time");
        world.advance(ANSWER_MS - 2 * GRAIN_MS);
        assert_eq!(state(&world, LINE), LineState::Open);
        world.bank_answers(&request, "00");
    }
    let counts = world.driver.counts.lines;
    assert_eq!((counts.echo_lost, counts.connects, counts.unexpected), (0, 3, 0), "each line connected once");
    let terminal = world.terminal();
    approved(&mut world, terminal, &purchase(100));
}

#[test]
fn a_line_that_is_used_is_not_asked() {
    let mut world = echoing();
    let terminal = world.terminal();
    for _ in 0..6 {
        world.advance(IDLE_MS / 2);
        approved(&mut world, terminal, &purchase(100));
    }
    assert!(world.banks_are_quiet());
}

#[test]
fn a_lost_echo_closes_the_line_whatever_else_the_peer_says() {
    for talkative in [false, true] {
        let mut world = echoing();
        world.advance(IDLE_MS + GRAIN_MS);
        let request = echo(&mut world);
        if talkative {
            // An answer to another question, and one of no question at all.
            let other = world.answer_to(&request, "00").with(11, "000777");
            world.bank_sends(&request, &other);
            let stray = Wire::new(0x0210).with(4, "000000000100").with(11, "000001").with(39, "00");
            world.bank_sends(&request, &stray);
        }
        world.advance(ANSWER_MS - 2 * GRAIN_MS);
        assert_eq!(state(&world, LINE), LineState::Open, "it has its time");
        world.advance(3 * GRAIN_MS);
        assert_eq!(world.driver.counts.lines.echo_lost, 1);
        assert_eq!(state(&world, LINE), LineState::Down, "an open socket is no sign of life");
        // It is connected again, and that connection carries payments.
        world.advance(1000);
        assert_eq!(state(&world, LINE), LineState::Open);
        let terminal = world.terminal();
        approved(&mut world, terminal, &purchase(100));
        // What was owed to the old connection counts for nothing on the new.
        world.bank_answers(&request, "00");
        assert_eq!(state(&world, LINE), LineState::Open);
        assert_eq!(world.driver.counts.lines.echo_lost, 1);
    }
}

/// When each attempt to connect line 0 began, in milliseconds from now, over this long.
fn attempts(world: &mut World, ms: u64) -> Vec<u64> {
    let attempt = |world: &World| world.driver.lines().next().unwrap().1.attempt;
    let (mut found, mut last) = (Vec::new(), attempt(world));
    for at in 1..=ms {
        world.advance(1);
        if attempt(world) != last {
            last = attempt(world);
            found.push(at);
        }
    }
    found
}

/// The waits between attempts of a bank that refuses every connection: 50 ms, doubled to 500.
fn waits(jitter: u64) -> Vec<u64> {
    let mut world = World::new();
    world.jitter = jitter;
    world.goes_down(BANK_A);
    let times = attempts(&mut world, 4000);
    let mut before = 0;
    let mut waits = Vec::new();
    for at in times {
        waits.push(at - before);
        before = at;
    }
    waits
}

#[test]
fn the_wait_before_a_line_is_tried_again_doubles_and_is_spread_by_jitter() {
    let mut fourth = Vec::new();
    // Microseconds: what the rim gives is any number.
    for jitter in [0, 60_000, 125_000, 190_000, 240_000, u64::MAX] {
        let waits = waits(jitter);
        assert!(waits.len() >= 8, "{waits:?}");
        for (at, wait) in waits.iter().enumerate() {
            let whole = (50 << at.min(10)).min(500);
            assert!(
                (whole / 2..=whole + 3).contains(wait),
                "wait {at} of {waits:?} is not {}..{whole}",
                whole / 2
            );
        }
        fourth.push(waits[4]);
    }
    fourth.sort_unstable();
    fourth.dedup();
    assert!(fourth.len() >= 5, "many switches do not come back at once: {fourth:?}");
    assert!(fourth[fourth.len() - 1] - fourth[0] > 150, "over half of the wait: {fourth:?}");
}

#[test]
fn a_connection_that_carried_begins_the_waits_anew() {
    let mut world = World::new();
    world.goes_down(BANK_A);
    world.advance(3000);
    world.comes_up(BANK_A);
    assert_eq!(state(&world, LINE), LineState::Open);
    world.goes_down(BANK_A);
    let first = attempts(&mut world, 200)[0];
    assert!(first <= 53, "the first wait again, not the longest: {first}");
}

fn signing_on() -> World {
    World::with(with_link(|link| link.sign_on = SignOn::Required))
}

/// The sign-on that the bank is asked.
fn sign_on(world: &mut World) -> BankRequest {
    let request = world.at_bank(BANK_A).expect("a line signs on");
    assert_eq!((request.wire.mti, request.wire.text(70)), (mti(0x0800), "001".into()));
    request
}

#[test]
fn a_line_whose_sign_on_is_refused_carries_nothing_and_is_tried_with_growing_waits() {
    let mut world = signing_on();
    let terminal = world.terminal();
    let mut refused = Vec::new();
    for ms in 0..3000u64 {
        world.advance(1);
        while let Some(request) = world.at_bank(BANK_A) {
            assert_eq!(request.wire.text(70), "001", "nothing but sign-ons");
            assert_eq!(state(&world, LINE), LineState::SigningOn);
            world.bank_answers(&request, "05");
            assert_eq!(state(&world, LINE), LineState::Down);
            refused.push(ms);
        }
        if ms == 1500 {
            world.sends(terminal, &purchase(100));
            assert_eq!(world.answer(terminal).unwrap().code(), "91");
        }
    }
    let waits: Vec<u64> = refused.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.len() >= 5 && waits.is_sorted(), "{waits:?}");
    assert!((250..=510).contains(waits.last().unwrap()), "to the longest and no further: {waits:?}");
    assert_eq!(world.open_obligations(), 0);
    // Once it is taken, payments go out.
    world.advance(600);
    let request = sign_on(&mut world);
    world.bank_answers(&request, "00");
    assert_eq!(state(&world, LINE), LineState::Open);
    approved(&mut world, terminal, &purchase(100));
}

#[test]
fn a_sign_on_that_is_never_answered_gives_the_line_up() {
    let mut world = signing_on();
    sign_on(&mut world);
    world.advance(ANSWER_MS - 100);
    assert_eq!(state(&world, LINE), LineState::SigningOn);
    world.advance(100 + GRAIN_MS);
    assert_eq!(state(&world, LINE), LineState::Down);
    world.advance(1000);
    let again = sign_on(&mut world);
    world.bank_answers(&again, "00");
    assert_eq!(state(&world, LINE), LineState::Open);
}

/// Bank A at two addresses with two lines each: lines 0 to 3.
fn shared(sharing: Sharing) -> World {
    World::with(with_link(|link| {
        link.connect = vec![([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 11).into()];
        link.lines = 2;
        link.sharing = sharing;
    }))
}

/// The lines that so many purchases go out on.
fn used(world: &mut World, count: usize) -> Vec<u32> {
    let terminal = world.terminal();
    let line = |world: &mut World| {
        world.sends(terminal, &purchase(100));
        let request = world.at_bank(BANK_A).unwrap();
        world.bank_answers(&request, "00");
        assert_eq!(world.answer(terminal).unwrap().code(), "00");
        request.line.0
    };
    (0..count).map(|_| line(world)).collect()
}

#[test]
fn a_primary_line_carries_everything_until_it_is_lost_and_again_when_it_is_back() {
    let mut world = shared(Sharing::Primary);
    assert_eq!(used(&mut world, 5), [0; 5]);
    world.loses_line(LineId(0));
    assert_eq!(used(&mut world, 3), [1; 3], "the next in order");
    world.loses_line(LineId(1));
    assert_eq!(used(&mut world, 3), [2; 3], "the other address");
    world.advance(1000);
    assert_eq!(used(&mut world, 3), [0; 3]);
}

#[test]
fn lines_that_share_carry_in_turn_and_a_lost_one_is_left_out() {
    let mut world = shared(Sharing::All);
    let mut round = used(&mut world, 8);
    let first = round[0];
    assert!(round.windows(2).all(|pair| pair[1] == (pair[0] + 1) % 4), "{round:?} from {first}");
    world.loses_line(LineId(2));
    round = used(&mut world, 6);
    assert!(!round.contains(&2) && [0, 1, 3].iter().all(|line| round.contains(line)), "{round:?}");
}
