//! Rules 1, 11, 14, 16: who a leg is, what matches it, what is no answer.

use crate::{approved, balanced};
use yika_tests::setup::{BANK_A, BANK_B, TIMEOUT_MS, config};
use yika_tests::world::mti;
use yika_tests::{World, purchase};

#[test]
fn rule_01_a_leg_has_its_own_trace_number_and_keeps_it_over_a_restart() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (_, _) = approved(&mut world, terminal, &purchase(500));
    world.sends(terminal, &purchase(700).with(11, "000777"));
    let request = world.at_bank(BANK_A).unwrap();
    assert_eq!(request.wire.stan(), "000002", "the core counts F11 per participant");
    assert_eq!(request.wire.text(37), "000000000002", "F37 is assigned where the terminal sent none");
    assert_eq!(request.wire.text(32), "10000001");
    world.crash();
    let terminal = world.terminal();
    let reversal = world.at_bank(BANK_A).unwrap();
    assert!(reversal.wire.mti == mti(0x0420) || reversal.wire.mti == mti(0x0421));
    assert_eq!(reversal.wire.stan(), "000003", "the counter goes on behind its last durable value");
    assert_eq!(&reversal.wire.text(90)[..10], "0200000002");
    assert_eq!(&reversal.wire.text(90)[10..20], request.wire.text(7));
    world.sends(terminal, &purchase(900));
    assert_eq!(world.at_bank(BANK_A).unwrap().wire.stan(), "000004");
}

#[test]
fn rule_01_the_same_trace_number_from_two_terminals_is_never_crossed() {
    let mut world = World::new();
    let (one, two) = (world.terminal(), world.terminal());
    world.sends(one, &purchase(100).with(11, "000042").with(41, "TERM0001"));
    world.sends(two, &purchase(200).with(11, "000042").with(41, "TERM0002"));
    let first = world.at_bank(BANK_A).unwrap();
    let second = world.at_bank(BANK_A).unwrap();
    assert_ne!(first.wire.stan(), second.wire.stan());
    world.bank_answers(&second, "00");
    assert!(world.answer(one).is_none());
    let answer = world.answer(two).unwrap();
    assert_eq!(
        (answer.amount(), answer.stan().as_str(), answer.text(41).as_str()),
        (200, "000042", "TERM0002")
    );
    world.bank_answers(&first, "51");
    let answer = world.answer(one).unwrap();
    assert_eq!((answer.amount(), answer.code().as_str()), (100, "51"));
    balanced(&world);
}

#[test]
fn rule_01_the_same_trace_number_from_one_terminal_at_two_moments_is_never_crossed() {
    let mut world = World::new();
    let terminal = world.terminal();
    let first = world.sends(terminal, &purchase(100).with(11, "000042"));
    world.advance(1_000);
    let second = world.sends(terminal, &purchase(200).with(11, "000042"));
    assert_ne!(first.text(7), second.text(7));
    let (one, two) = (world.at_bank(BANK_A).unwrap(), world.at_bank(BANK_A).unwrap());
    world.bank_answers(&two, "00");
    let answer = world.answer(terminal).unwrap();
    assert_eq!((answer.amount(), answer.code().as_str(), answer.text(7)), (200, "00", second.text(7)));
    world.bank_answers(&one, "51");
    let answer = world.answer(terminal).unwrap();
    assert_eq!((answer.amount(), answer.code().as_str(), answer.text(7)), (100, "51", first.text(7)));
    balanced(&world);
}

#[test]
fn rule_01_an_answer_counts_before_it_is_known_that_its_request_was_written() {
    let mut world = World::new();
    let terminal = world.terminal();
    // The bank has all bytes and answers; how many the kernel took is told afterwards.
    world.deaf.insert(BANK_A.into());
    world.sends(terminal, &purchase(100));
    let request = world.read_untold(BANK_A);
    world.bank_answers(&request, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    world.deaf.clear();
    world.advance(TIMEOUT_MS * 2);
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

#[test]
fn rule_01_an_answer_that_differs_in_terminal_or_reference_matches_nothing() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    let request = world.at_bank(BANK_A).unwrap();
    let right = world.answer_to(&request, "00");
    for (n, wrong) in [(41, "TERM9999"), (37, "999999999999"), (7, "0101000000"), (11, "999999")] {
        world.bank_sends(&request, &right.clone().with(n, wrong));
        assert!(world.answer(terminal).is_none(), "F{n} was not compared");
    }
    let counters = world.driver.core.counters;
    assert_eq!(
        (counters.unmatched_terminal, counters.unmatched_rrn, counters.unmatched_unknown_key),
        (1, 1, 2)
    );
    world.bank_sends(&request, &right);
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
}

#[test]
fn rule_01_an_answer_on_another_connection_counts() {
    let mut settings = config();
    settings.participants[1].link.as_mut().unwrap().lines = 2;
    let mut world = World::with(settings);
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    world.sends(terminal, &purchase(200));
    let first = world.at_bank(BANK_A).unwrap();
    let second = world.at_bank(BANK_A).unwrap();
    assert_ne!(first.line, second.line, "requests go round the lines");
    let answer = world.answer_to(&first, "00");
    world.bank_sends(&second, &answer);
    assert_eq!(world.answer(terminal).unwrap().amount(), 100);
}

#[test]
fn rule_11_another_amount_card_or_currency_is_no_answer() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    let request = world.at_bank(BANK_A).unwrap();
    let right = world.answer_to(&request, "00");
    world.bank_sends(&request, &right.clone().with(4, "000000000999"));
    world.bank_sends(&request, &right.clone().with(2, "4111110000000008"));
    world.bank_sends(&request, &right.clone().with(49, "840"));
    assert!(world.answer(terminal).is_none());
    let counters = world.driver.core.counters;
    assert_eq!((counters.invalid_amount, counters.invalid_card), (2, 1));
    world.advance(TIMEOUT_MS + 10);
    assert_eq!(world.answer(terminal).unwrap().code(), "68", "the leg runs to its time-out");
    assert_eq!(world.at_bank(BANK_A).unwrap().wire.mti, mti(0x0420), "and is reversed");
    balanced(&world);
}

#[test]
fn rule_11_a_partial_approval_passes_only_where_the_route_allows_it() {
    for allowed in [true, false] {
        let mut settings = config();
        settings.participants[1].link.as_mut().unwrap().partial_approval = allowed;
        let mut world = World::with(settings);
        let terminal = world.terminal();
        world.sends(terminal, &purchase(1000));
        let request = world.at_bank(BANK_A).unwrap();
        let partial = world.answer_to(&request, "10").with(4, "000000000400");
        world.bank_sends(&request, &partial);
        let answer = world.answer(terminal).unwrap();
        if allowed {
            assert_eq!((answer.code().as_str(), answer.amount()), ("10", 400), "told is what was booked");
            assert!(world.at_bank(BANK_A).is_none());
        } else {
            assert_eq!(answer.code(), "51");
            let reversal = world.at_bank(BANK_A).unwrap();
            assert_eq!((reversal.wire.mti, reversal.wire.amount()), (mti(0x0420), 1000), "reversed in full");
            world.bank_answers(&reversal, "00");
            assert_eq!(world.open_obligations(), 0);
        }
        balanced(&world);
    }
}

#[test]
fn rule_14_pos_bcd_is_reversed_by_0400_with_f61_and_reason_repeated_unchanged() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100).with(2, "6222000000000000003"));
    let request = world.at_bank(BANK_B).unwrap();
    world.advance(TIMEOUT_MS + 10);
    assert_eq!(world.answer(terminal).unwrap().code(), "68");
    let first = world.at_bank(BANK_B).unwrap();
    assert_eq!(first.wire.mti, mti(0x0400));
    assert_eq!(&first.wire.text(61)[6..12], request.wire.stan());
    assert_eq!(first.wire.text(39), "98");
    world.advance(TIMEOUT_MS + 1000);
    let again = world.at_bank(BANK_B).unwrap();
    assert_eq!((again.wire.mti, again.wire.stan()), (mti(0x0400), first.wire.stan()));
}

#[test]
fn rule_14_a_repeated_reversal_differs_in_nothing_although_the_terminal_sent_no_time() {
    for (card, bank) in [("6222000000000000003", BANK_B), ("4111111111111111", BANK_A)] {
        let mut world = World::new();
        let pos = world.terminal_at(1);
        world.sends_raw(pos, &purchase(100).with(2, card).with(11, "000007").with(60, "22000001000"));
        world.at_bank(bank).unwrap();
        world.advance(TIMEOUT_MS + 10);
        let first = world.at_bank(bank).unwrap();
        world.advance(TIMEOUT_MS + 5000);
        let again = world.at_bank(bank).unwrap();
        assert_eq!(again.wire.fields, first.wire.fields);
        assert_eq!(first.wire.text(13), "1124", "local, though F7 may be UTC");
    }
}

#[test]
fn rule_14_the_card_is_read_from_track_2_where_f2_is_absent() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100).without(2).with(35, "4111111111111111=29122010000000000"));
    let request = world.at_bank(BANK_A).unwrap();
    assert_eq!(request.wire.text(35), "4111111111111111=29122010000000000");
    world.advance(TIMEOUT_MS + 10);
    world.answer(terminal).unwrap();
    let reversal = world.at_bank(BANK_A).unwrap();
    assert_eq!(
        (reversal.wire.text(2).as_str(), reversal.wire.text(14).as_str()),
        ("4111111111111111", "2912")
    );
    assert!(!reversal.wire.fields.has(35), "a track is never kept");
}

#[test]
fn rule_16_f7_is_utc_for_iso87_and_local_for_unionpay_and_currency_has_a_default() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100).without(49));
    let to_a = world.at_bank(BANK_A).unwrap();
    assert_eq!(to_a.wire.text(49), "156", "the listener's currency");
    world.sends(terminal, &purchase(100).with(2, "6222000000000000003"));
    let to_b = world.at_bank(BANK_B).unwrap();
    assert_eq!(&to_a.wire.text(7)[..8], "11232330");
    assert_eq!(&to_b.wire.text(7)[..8], "11240730");
}

#[test]
fn rule_11_a_partial_approval_can_be_reversed_and_one_over_the_whole_is_an_approval() {
    let mut settings = config();
    settings.participants[1].link.as_mut().unwrap().partial_approval = true;
    let mut world = World::with(settings);
    let terminal = world.terminal();
    let sent = world.sends(terminal, &purchase(1000));
    let request = world.at_bank(BANK_A).unwrap();
    let partial = world.answer_to(&request, "10").with(4, "000000000400");
    world.bank_sends(&request, &partial);
    assert_eq!(world.answer(terminal).unwrap().code(), "10");
    world.sends_raw(terminal, &sent.reversal("000800"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    let undone = world.at_bank(BANK_A).unwrap();
    assert_eq!((undone.wire.mti, undone.wire.amount()), (mti(0x0420), 1000));
    world.bank_answers(&undone, "00");
    world.sends(terminal, &purchase(500));
    let request = world.at_bank(BANK_A).unwrap();
    let whole = world.answer_to(&request, "10");
    world.bank_sends(&request, &whole);
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    balanced(&world);
}

#[test]
fn rule_01_a_repeated_refund_does_not_turn_the_trace_counter_back() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (_, answer) = approved(&mut world, terminal, &purchase(1000));
    let mut refund = purchase(300).with(3, "200000").with(37, answer.text(37));
    refund.mti = mti(0x0220);
    world.sends(terminal, &refund);
    let silent = world.at_bank(BANK_A).unwrap();
    let (_, _) = approved(&mut world, terminal, &purchase(10));
    world.advance(TIMEOUT_MS + 10);
    let repeat = world.at_bank(BANK_A).unwrap();
    assert_eq!(repeat.wire.stan(), silent.wire.stan());
    world.sends(terminal, &purchase(20));
    assert_eq!(world.at_bank(BANK_A).unwrap().wire.stan(), "000004");
}
