//! Rules 7, 8, 19 and promise P5: what is owed is paid, or named.

use crate::balanced;
use yika_switch::core::effect::Alarm;
use yika_switch::core::ids::ObligationId;
use yika_tests::setup::{BANK_A, TIMEOUT_MS};
use yika_tests::world::mti;
use yika_tests::{BankRequest, World, purchase};

fn advice(minor: u64) -> yika_tests::Wire {
    let mut advice = purchase(minor);
    advice.mti = mti(0x0220);
    advice
}

/// The void of all of this.
fn void_of(sent: &yika_tests::Wire, answer: &yika_tests::Wire) -> yika_tests::Wire {
    purchase(sent.amount())
        .with(3, "200000")
        .with(37, answer.text(37))
        .with(90, format!("{}{}{}{:022}", sent.mti, sent.stan(), sent.text(7), 0))
}

/// A silent purchase's reversal, as it reached the bank.
fn reversal(world: &mut World) -> BankRequest {
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    world.at_bank(BANK_A).unwrap();
    world.advance(TIMEOUT_MS + 10);
    world.at_bank(BANK_A).unwrap()
}

#[test]
fn rule_07_00_94_and_a_late_25_discharge_a_reversal() {
    for code in ["00", "94", "25"] {
        let mut world = World::new();
        let request = reversal(&mut world);
        world.bank_answers(&request, code);
        assert_eq!(world.open_obligations(), 0, "{code}");
        balanced(&world);
    }
}

#[test]
fn rule_07_an_early_25_proves_nothing() {
    let mut world = World::new();
    let terminal = world.terminal();
    let sent = world.sends(terminal, &purchase(100));
    world.at_bank(BANK_A).unwrap();
    world.sends_raw(terminal, &sent.reversal("000050"));
    let first = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&first, "25");
    assert_eq!(world.open_obligations(), 1, "the original may still be on its way");
    world.advance(TIMEOUT_MS + 1000);
    let again = std::iter::from_fn(|| world.at_bank(BANK_A)).last().unwrap();
    assert_eq!(again.wire.mti, mti(0x0421));
    world.bank_answers(&again, "25");
    assert_eq!(world.open_obligations(), 0);
}

#[test]
fn rule_07_temporary_codes_and_silence_are_retried_with_back_off() {
    let mut world = World::new();
    let mut request = reversal(&mut world);
    for code in ["68", "91", "96", "98"] {
        world.bank_answers(&request, code);
        assert_eq!(world.open_obligations(), 1);
        assert!(world.at_bank(BANK_A).is_none(), "not at once");
        world.advance(30_000);
        request = world.at_bank(BANK_A).unwrap();
        while world.at_bank(BANK_A).is_some() {}
    }
    world.bank_answers(&request, "00");
    assert_eq!(world.open_obligations(), 0);
}

#[test]
fn rule_07_a_refused_advice_becomes_a_named_exception_and_what_was_told_stands() {
    let mut world = World::new();
    let terminal = world.terminal();
    let sent = world.sends(terminal, &advice(700));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    let request = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&request, "51");
    assert_eq!(world.open_obligations(), 0);
    let exceptions = &world.driver.core.durable.exceptions;
    assert_eq!(exceptions.values().map(|one| one.books).sum::<i64>(), 700);
    assert!(world.alarms.iter().any(|alarm| matches!(alarm, Alarm::Exception { .. })));
    world.sends_raw(terminal, &sent.repeated());
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    balanced(&world);
    world.now.wall_ms += world.config.limits.original_window_ms;
    world.sends(terminal, &advice(1));
    assert!(world.driver.core.durable.exceptions.is_empty(), "P9: the name goes with the payment");
    balanced(&world);
}

#[test]
fn rule_07_thirty_three_times_parks_it_and_an_operator_settles_by_name() {
    let mut world = World::new();
    let mut request = reversal(&mut world);
    for _ in 0..2 {
        world.bank_answers(&request, "30");
        world.advance(30_000);
        request = world.at_bank(BANK_A).unwrap();
        while world.at_bank(BANK_A).is_some() {}
    }
    world.bank_answers(&request, "30");
    assert!(world.alarms.iter().any(|alarm| matches!(alarm, Alarm::ObligationParked { .. })));
    world.advance(120_000);
    assert!(world.at_bank(BANK_A).is_none(), "parked");
    assert_eq!(world.open_obligations(), 1, "never dropped");
    world.crash();
    world.advance(60_000);
    assert!(world.at_bank(BANK_A).is_none(), "parked also after a restart");
    world.driver.settle(ObligationId(1), "agreed by telephone".into(), 7);
    world.step();
    assert_eq!(world.open_obligations(), 0);
    let exceptions = &world.driver.core.durable.exceptions;
    assert!(exceptions.values().any(|one| one.why.contains("agreed by telephone")));
    balanced(&world);
}

#[test]
fn rule_08_one_obligation_a_card_at_a_time_in_order_and_the_window_counts_cards() {
    let mut world = World::new();
    world.goes_down(BANK_A);
    let terminal = world.terminal();
    for card in 0..12u64 {
        for minor in [100, 200] {
            world.sends(terminal, &advice(minor).with(2, format!("41111100000{card:05}")));
            assert_eq!(world.answer(terminal).unwrap().code(), "00");
        }
    }
    world.comes_up(BANK_A);
    let mut seen = std::collections::BTreeMap::<String, Vec<u64>>::new();
    let first: Vec<_> = std::iter::from_fn(|| world.at_bank(BANK_A)).collect();
    assert_eq!(first.len(), 8, "the window");
    let mut queue = std::collections::VecDeque::from(first);
    while let Some(request) = queue.pop_front() {
        seen.entry(request.wire.text(2)).or_default().push(request.wire.amount());
        world.bank_answers(&request, "00");
        queue.extend(std::iter::from_fn(|| world.at_bank(BANK_A)));
    }
    assert_eq!(seen.len(), 12);
    assert!(seen.values().all(|amounts| *amounts == [100, 200]), "in order per card: {seen:?}");
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

#[test]
fn rule_08_live_requests_pass_the_queue_but_a_void_waits_for_its_original() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.goes_down(BANK_A);
    let sent = world.sends(terminal, &advice(100));
    let answer = world.answer(terminal).unwrap();
    world.comes_up(BANK_A);
    let told = world.at_bank(BANK_A).unwrap();
    let void = void_of(&sent, &answer);
    world.sends(terminal, &void);
    assert!(world.at_bank(BANK_A).is_none(), "the void queues behind the advice");
    world.sends(terminal, &purchase(900));
    assert_eq!(world.at_bank(BANK_A).unwrap().wire.amount(), 900, "a new payment passes");
    world.bank_answers(&told, "00");
    let void = world.at_bank(BANK_A).unwrap();
    assert_eq!(void.wire.text(3), "200000");
    world.bank_answers(&void, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    balanced(&world);
}

#[test]
fn rule_08_a_second_void_waits_for_the_reversal_of_the_first() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, answer) = crate::approved(&mut world, terminal, &purchase(100));
    let void = || void_of(&sent, &answer);
    world.sends(terminal, &void());
    world.at_bank(BANK_A).expect("the first void, which the bank does and does not answer");
    world.advance(TIMEOUT_MS + 10);
    assert_eq!(world.answer(terminal).unwrap().code(), "68");
    let reversal = world.at_bank(BANK_A).unwrap();
    assert_eq!(reversal.wire.mti, mti(0x0420));
    world.sends(terminal, &void());
    assert!(world.at_bank(BANK_A).is_none(), "the second void queues behind it");
    world.bank_answers(&reversal, "00");
    let second = world.at_bank(BANK_A).unwrap();
    assert_eq!(second.wire.text(3), "200000");
    world.bank_answers(&second, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    balanced(&world);
}

#[test]
fn rule_07_25_for_what_the_bank_had_approved_becomes_a_named_exception() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, _) = crate::approved(&mut world, terminal, &purchase(700));
    world.sends_raw(terminal, &sent.reversal("000051"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    for _ in 0..20 {
        while let Some(request) = world.at_bank(BANK_A) {
            world.bank_answers(&request, "25");
        }
        world.advance(TIMEOUT_MS);
    }
    assert_eq!(world.open_obligations(), 0);
    let exceptions = &world.driver.core.durable.exceptions;
    assert_eq!(exceptions.values().map(|one| one.books).sum::<i64>(), -700, "not taken for undone");
    assert!(world.alarms.iter().any(|alarm| matches!(alarm, Alarm::Exception { .. })));
    balanced(&world);
}

#[test]
fn p9_voids_that_time_out_behind_an_obligation_leave_nothing_waiting() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.goes_down(BANK_A);
    let sent = world.sends(terminal, &advice(100));
    let answer = world.answer(terminal).unwrap();
    world.comes_up(BANK_A);
    let told = world.at_bank(BANK_A).unwrap();
    for _ in 0..50 {
        let void = void_of(&sent, &answer);
        world.sends(terminal, &void);
        world.advance(TIMEOUT_MS + 10);
        assert_ne!(world.answer(terminal).unwrap().code(), "00", "it never left");
        assert!(world.driver.core.waiting_behind() <= 1);
        while world.at_bank(BANK_A).is_some() {}
    }
    world.bank_answers(&told, "00");
    balanced(&world);
}

#[test]
fn a_clock_that_jumps_ahead_is_told_and_one_that_runs_is_not() {
    let mut world = World::new();
    world.advance(3_600_000);
    let ahead = |world: &World| world.alarms.iter().any(|one| matches!(one, Alarm::ClockAhead { .. }));
    assert!(!ahead(&world));
    world.now.wall_ms += 20_000;
    world.step();
    assert!(ahead(&world));
}

#[test]
fn p5_obligations_survive_a_crash_and_are_retried_until_discharged() {
    let mut world = World::new();
    world.goes_down(BANK_A);
    let terminal = world.terminal();
    world.sends(terminal, &advice(100));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    world.crash();
    assert_eq!(world.open_obligations(), 1);
    world.crash();
    world.comes_up(BANK_A);
    let request = world.at_bank(BANK_A).unwrap();
    assert_eq!((request.wire.mti, request.wire.amount()), (mti(0x0221), 100), "it may have been sent before");
    world.bank_answers(&request, "00");
    world.crash();
    world.advance(60_000);
    assert!(world.at_bank(BANK_A).is_none());
    balanced(&world);
}

#[test]
fn rule_08_a_third_void_waits_too_when_the_second_never_left() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, answer) = crate::approved(&mut world, terminal, &purchase(100));
    world.sends(terminal, &void_of(&sent, &answer));
    world.at_bank(BANK_A).expect("the first void, which the bank does and does not answer");
    world.advance(TIMEOUT_MS + 10);
    world.sends(terminal, &void_of(&sent, &answer));
    world.advance(TIMEOUT_MS + 10);
    world.sends(terminal, &void_of(&sent, &answer));
    let mut reversal = None;
    while let Some(request) = world.at_bank(BANK_A) {
        assert_eq!(request.wire.mti.class(), 0x04, "no void passes the reversal of the first");
        reversal = Some(request);
    }
    world.bank_answers(&reversal.unwrap(), "00");
    let third = world.at_bank(BANK_A).unwrap();
    assert_eq!(third.wire.text(3), "200000");
    world.bank_answers(&third, "00");
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

#[test]
fn rule_07_an_advice_is_discharged_by_every_code_that_agrees() {
    for code in ["00", "94", "08", "11", "16", "A2"] {
        let mut world = World::new();
        let terminal = world.terminal();
        world.sends(terminal, &advice(700));
        let request = world.at_bank(BANK_A).unwrap();
        world.bank_answers(&request, code);
        let durable = &world.driver.core.durable;
        assert!(durable.exceptions.is_empty(), "{code}: the bank booked it");
        assert_eq!(durable.books.books().map(|(_, book)| book.agreed).sum::<i64>(), 700);
        assert_eq!(world.open_obligations(), 0);
        balanced(&world);
    }
}
