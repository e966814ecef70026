//! Rule 15 and promises P9, P10, P11 at the rim: sign-on, bounds, hostile bytes, silent secrets.

use crate::{approved, balanced};
use yika_switch::driver::line::LineState;
use yika_tests::setup::{BANK_A, config};
use yika_tests::world::mti;
use yika_tests::{Wire, World, purchase};

fn network(code: &str) -> Wire {
    Wire::new(0x0800).with(7, "1123233015").with(11, "000001").with(70, code)
}

#[test]
fn rule_15_a_connection_signs_on_for_all_behind_it_where_the_listener_wants_it() {
    let mut settings = config();
    settings.listeners[0].sign_on_required = true;
    let mut world = World::with(settings);
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    assert_eq!(world.answer(terminal).unwrap().code(), "58");
    world.sends_raw(terminal, &network("001"));
    let answer = world.answer(terminal).unwrap();
    assert_eq!((answer.mti, answer.code().as_str(), answer.text(70).as_str()), (mti(0x0810), "00", "001"));
    approved(&mut world, terminal, &purchase(100));
    world.sends_raw(terminal, &network("301"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    world.sends_raw(terminal, &network("002"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    world.sends(terminal, &purchase(100));
    assert_eq!(world.answer(terminal).unwrap().code(), "58");
    world.sends_raw(terminal, &network("001"));
    world.answer(terminal).unwrap();
    let another = world.terminal();
    world.sends(another, &purchase(100));
    assert_eq!(world.answer(another).unwrap().code(), "58", "each connection for itself");
}

#[test]
fn rule_15_a_banks_sign_off_is_durable_and_its_obligations_wait() {
    let mut world = World::new();
    let terminal = world.terminal();
    approved(&mut world, terminal, &purchase(1));
    let line = yika_switch::core::ids::LineId(0);
    world.bank_sends_on(line, &network("002"), &[]);
    assert_eq!(world.at_bank(BANK_A).unwrap().wire.mti, mti(0x0810));
    world.sends(terminal, &purchase(100));
    assert_eq!(world.answer(terminal).unwrap().code(), "91");
    world.crash();
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    assert_eq!(world.answer(terminal).unwrap().code(), "91", "also after a restart");
    world.bank_sends_on(line, &network("001"), &[]);
    world.at_bank(BANK_A).unwrap();
    approved(&mut world, terminal, &purchase(100));
    balanced(&world);
}

#[test]
fn rule_13_a_terminal_cannot_cut_over_but_a_bank_can() {
    let mut world = World::new();
    let terminal = world.terminal();
    let before = world.driver.core.durable.dates.current;
    world.sends_raw(terminal, &network("201"));
    assert_eq!(world.answer(terminal).unwrap().code(), "40");
    assert_eq!(world.driver.core.durable.dates.current, before);
    world.bank_sends_on(yika_switch::core::ids::LineId(0), &network("201"), &[]);
    assert!(world.driver.core.durable.dates.current > before);
}

#[test]
fn p11_garbage_closes_its_own_session_and_no_other() {
    let mut world = World::new();
    let (good, bad, worse) = (world.terminal(), world.terminal(), world.terminal());
    world.sends_bytes(bad, &[0xff; 64]);
    assert!(world.was_closed(bad), "a frame longer than any is no frame");
    for _ in 0..3 {
        world.sends_bytes(worse, b"\x00\x100200garbagegarba");
    }
    assert!(world.was_closed(worse));
    assert_eq!(
        world.answer(worse).map(|answer| answer.code()),
        Some("30".into()),
        "told where it can be addressed"
    );
    approved(&mut world, good, &purchase(100));
}

#[test]
fn p11_a_format_error_names_the_request_it_refuses_and_shows_nothing_of_its_card() {
    for (listener, name) in [(0, "iso87-ascii"), (1, "pos-bcd")] {
        let mut world = World::new();
        let terminal = world.terminal_at(listener);
        let dialect = yika_tests::setup::dialect(name);
        let wire = purchase(100).with(35, "4111111111111111=29122010000000000");
        let wire = if name == "pos-bcd" { wire.with(60, "22000123000") } else { wire };
        let sent = world.sends(terminal, &wire);
        while world.answer(terminal).is_some() {}
        // Bytes behind the last field, and an end before the last field: both after F41.
        let whole = sent.encode(&dialect, dialect.default_header());
        let payload = &whole[2..];
        for wrong in [[payload, b"?"].concat(), payload[..payload.len() - 1].to_vec()] {
            let len = u16::try_from(wrong.len()).unwrap().to_be_bytes();
            world.sends_bytes(terminal, &[&len[..], &wrong].concat());
            let answer = world.answer(terminal).unwrap();
            assert_eq!(
                (answer.code(), answer.stan(), answer.text(41)),
                ("30".into(), sent.stan(), sent.text(41))
            );
            assert_eq!(answer.mti, sent.mti.response());
            for n in [2, 4, 14, 35] {
                assert!(!answer.fields.has(n), "{name}: F{n} is repeated");
            }
        }
        assert!(!world.was_closed(terminal), "{name}");
    }
}

#[test]
fn p11_bytes_may_come_one_at_a_time_or_many_frames_at_once() {
    let mut world = World::new();
    let terminal = world.terminal();
    let dialect = yika_tests::setup::dialect("iso87-ascii");
    let mut bytes = Vec::new();
    for minor in [100, 200] {
        let wire =
            purchase(minor).with(11, world.stan()).with(7, "1123233015").with(12, "073015").with(13, "1124");
        bytes.extend(wire.encode(&dialect, &[]));
    }
    for byte in &bytes {
        world.sends_bytes(terminal, &[*byte]);
    }
    let twice: Vec<u64> =
        std::iter::from_fn(|| world.at_bank(BANK_A)).map(|request| request.wire.amount()).collect();
    assert_eq!(twice, [100, 200]);
    world.sends_bytes(terminal, &bytes);
    assert!(world.at_bank(BANK_A).is_none(), "the same again are copies");
}

#[test]
fn p9_a_session_that_does_not_read_is_closed_and_its_answer_is_had_by_repeating() {
    let mut settings = config();
    settings.rim.out_bytes_max = 1000;
    let mut world = World::with(settings);
    let slow = world.terminal();
    let mut requests = Vec::new();
    for _ in 0..20 {
        let sent = world.sends(slow, &purchase(100));
        requests.push((sent, world.at_bank(BANK_A).unwrap()));
    }
    // Nobody takes bytes from the session: the driver is fed directly, without the world's collecting.
    for (_, request) in &requests {
        let dialect = yika_tests::setup::dialect("iso87-ascii");
        let bytes = world.answer_to(request, "00").encode(&dialect, &[]);
        world.driver.line_bytes(request.line, &bytes, world.now);
    }
    world.driver.turn(world.now);
    while world.driver.journal_mut().step().unwrap() {}
    world.driver.turn(world.now);
    world.step();
    assert!(world.was_closed(slow));
    assert_eq!(world.driver.counts.closed_slow, 1);
    let again = world.terminal();
    world.sends_raw(again, &requests[19].0.repeated());
    assert_eq!(world.answer(again).unwrap().code(), "00");
    balanced(&world);
}

#[test]
fn p9_a_bank_that_floods_and_never_reads_loses_its_line_and_costs_no_memory() {
    let mut settings = config();
    settings.rim.out_bytes_max = 1000;
    let mut world = World::with(settings);
    let line = yika_switch::core::ids::LineId(0);
    let dialect = yika_tests::setup::dialect("iso87-ascii");
    // As many as a line may have unanswered at a time.
    let many: Vec<u8> = (0..64).flat_map(|_| network("301").encode(&dialect, &[])).collect();
    world.deaf.insert(BANK_A.into());
    let bound = yika_switch::driver::line::OUT_BYTES_MAX + 1000 + 200;
    let mut sent = 0;
    while world.driver.counts.lines.closed_slow == 0 {
        world.driver.line_bytes(line, &many, world.now);
        world.step();
        sent += many.len();
        assert!(world.driver.line_pending(line).len() <= bound, "after {sent} bytes");
        assert!(sent < 3 * bound, "it was let send for ever");
    }
    assert!(world.driver.line_pending(line).is_empty());
    assert_eq!((world.driver.messages().count(), world.driver.messages().bytes()), (0, 0));
    world.driver.line_bytes(line, &many, world.now);
    world.step();
    assert!(world.driver.line_pending(line).is_empty(), "a line that is down takes no answers");
    world.deaf.clear();
    world.advance(1000);
    assert!(world.banks_are_quiet(), "nothing of it comes out of the next connection");
    let terminal = world.terminal();
    approved(&mut world, terminal, &purchase(100));
    balanced(&world);
}

#[test]
fn rule_20_a_reply_to_a_line_that_went_down_is_dropped() {
    let mut world = World::new();
    world.commits = false;
    world.bank_sends_on(yika_switch::core::ids::LineId(0), &network("002"), &[]);
    world.goes_down(BANK_A);
    world.comes_up(BANK_A);
    world.commits = true;
    world.step();
    assert!(world.at_bank(BANK_A).is_none(), "it was asked on another connection");
    assert_eq!(world.driver.counts.replies_to_nobody, 1);
    assert_eq!(world.driver.messages().count(), 0);
}

#[test]
fn p9_what_becomes_of_an_earlier_attempt_to_connect_is_not_taken_for_the_present_one() {
    let mut world = World::new();
    world.hangs.insert(BANK_A.into());
    world.goes_down(BANK_A);
    // The first is given up when it has taken too long.
    while world.attempts.len() < 2 {
        world.advance(5);
    }
    let [(line, first), (_, present)] = world.attempts[..] else { panic!("{:?}", world.attempts) };
    let state = |world: &World| world.driver.lines().next().unwrap().1.state;
    let now = world.now;
    world.driver.line_lost(line, first, now, 1);
    assert_eq!(state(&world), LineState::Connecting, "the failure of the first is no failure of this one");
    assert!(!world.driver.line_connected(line, first, now), "too late: its connection is dropped");
    assert!(world.driver.line_connected(line, present, now));
    assert_eq!(state(&world), LineState::Open);
    world.driver.line_lost(line, first, now, 1);
    assert_eq!(state(&world), LineState::Open);
    world.driver.line_lost(line, present, now, 1);
    assert_eq!(state(&world), LineState::Down);
}

#[test]
fn p10_what_is_on_disk_holds_no_card_number_pin_or_track_in_clear() {
    let mut world = World::new();
    let terminal = world.terminal();
    let wire = purchase(100).with(35, "4111111111111111=29122010000000000").with(52, *b"PINBLOCK");
    approved(&mut world, terminal, &wire);
    world.sends(terminal, &purchase(200));
    let bytes = world.disk.all_bytes();
    assert!(bytes.len() > 100_000);
    for secret in [b"4111111111111111".as_slice(), b"PINBLOCK", b"2912201"] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
}
