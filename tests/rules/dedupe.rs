//! Rules 2, 3, 20 and promise P3: once, and the same answer again.

use crate::{approved, balanced};
use yika_tests::setup::{BANK_A, BANK_B, config};
use yika_tests::world::mti;
use yika_tests::{Wire, World, purchase};

#[test]
fn rule_03_a_copy_in_flight_waits_for_the_one_answer() {
    let mut world = World::new();
    let terminal = world.terminal();
    let sent = world.sends(terminal, &purchase(100));
    let request = world.at_bank(BANK_A).unwrap();
    world.sends_raw(terminal, &sent.repeated());
    assert!(world.at_bank(BANK_A).is_none(), "a copy is never forwarded");
    world.bank_answers(&request, "00");
    let (one, two) = (world.answer(terminal).unwrap(), world.answer(terminal).unwrap());
    assert_eq!((one.code().as_str(), one.text(38)), ("00", two.text(38)));
    assert!(world.answer(terminal).is_none(), "rule 20: each copy gets one answer");
    balanced(&world);
}

#[test]
fn rule_03_a_copy_after_the_answer_and_after_a_crash_gets_the_same_answer() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, first) = approved(&mut world, terminal, &purchase(100));
    world.sends_raw(terminal, &sent.repeated());
    assert_eq!(world.answer(terminal).unwrap(), first);
    world.crash();
    let terminal = world.terminal();
    world.sends_raw(terminal, &sent.repeated());
    assert_eq!(world.answer(terminal).unwrap(), first, "also from the journal of an earlier life");
    assert!(world.at_bank(BANK_A).is_none());
    balanced(&world);
}

#[test]
fn rule_03_the_same_key_with_another_fingerprint_is_94() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, _) = approved(&mut world, terminal, &purchase(100));
    for other in [sent.clone().with(4, "000000000200"), sent.clone().with(2, "6210000000000000000")] {
        world.sends_raw(terminal, &other);
        assert_eq!(world.answer(terminal).unwrap().code(), "94");
    }
    assert!(world.at_bank(BANK_A).is_none());
}

#[test]
fn rule_03_a_reversal_with_a_used_f11_that_names_another_payment_is_94() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (one, _) = approved(&mut world, terminal, &purchase(100));
    let (other, _) = approved(&mut world, terminal, &purchase(100));
    let reversal = one.reversal("000050");
    world.sends_raw(terminal, &reversal);
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    world.at_bank(BANK_A).unwrap();
    world.sends_raw(terminal, &other.reversal("000050"));
    assert_eq!(world.answer(terminal).unwrap().code(), "94", "it was never reversed");
    world.sends_raw(terminal, &reversal.repeated());
    assert_eq!(world.answer(terminal).unwrap().code(), "00", "a repeat names the same and gets the same");
    let of = |wire: &Wire| format!("{}{}{}{:022}", wire.mti, wire.stan(), wire.text(7), 0);
    let void = purchase(100).with(3, "200000").with(11, "000060").with(90, of(&other));
    world.sends(terminal, &void);
    world.sends(terminal, &void.with(90, of(&one)));
    assert_eq!(world.answer(terminal).unwrap().code(), "94", "a void likewise");
    balanced(&world);
}

#[test]
fn rule_03_a_repeat_without_its_original_is_new_inside_the_window_and_94_outside() {
    let mut world = World::new();
    let terminal = world.terminal();
    let fresh = world.sends(terminal, &purchase(100));
    let request = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&request, "00");
    world.answer(terminal).unwrap();
    let unknown = fresh.with(11, "000900").repeated();
    world.sends_raw(terminal, &unknown);
    let request = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&request, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    world.sends_raw(terminal, &unknown.with(11, "000901").with(7, "1122000000"));
    assert_eq!(world.answer(terminal).unwrap().code(), "94");
}

#[test]
fn rule_03_the_window_is_bounded_and_never_evicts_early() {
    let mut settings = config();
    settings.bounds.dedupe_max = 2;
    let mut world = World::with(settings);
    let terminal = world.terminal();
    let (first, answer) = approved(&mut world, terminal, &purchase(100));
    approved(&mut world, terminal, &purchase(200));
    world.sends(terminal, &purchase(300));
    assert_eq!(world.answer(terminal).unwrap().code(), "96", "a new key is refused");
    world.sends_raw(terminal, &first.repeated());
    assert_eq!(world.answer(terminal).unwrap(), answer, "a held one still has its answer");
    world.advance(600_000 + 1000);
    world.sends(terminal, &purchase(400));
    assert_eq!(world.at_bank(BANK_A).unwrap().wire.amount(), 400, "after the window there is room again");
}

#[test]
fn rule_02_a_reversal_is_taken_where_a_new_payment_is_refused() {
    let mut settings = config();
    settings.bounds.dedupe_max = 4;
    let mut world = World::with(settings);
    let terminal = world.terminal();
    let (first, _) = approved(&mut world, terminal, &purchase(100));
    for minor in [200, 300, 400] {
        approved(&mut world, terminal, &purchase(minor));
    }
    world.sends(terminal, &purchase(500));
    assert_eq!(world.answer(terminal).unwrap().code(), "96");
    world.sends_raw(terminal, &first.reversal("000900"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    assert_eq!(world.at_bank(BANK_A).unwrap().wire.mti, mti(0x0420));
    world.sends_raw(terminal, &first.reversal("000901"));
    assert!(world.answer(terminal).is_none(), "a quarter is reserved, and no more");
    balanced(&world);
}

#[test]
fn rule_02_a_refusal_for_overload_leaves_no_entry_and_a_repeat_is_a_new_attempt() {
    let mut settings = config();
    settings.bounds.open_max = 1;
    let mut world = World::with(settings);
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    let held = world.at_bank(BANK_A).unwrap();
    let before = world.driver.core.durable.next_seq;
    let refused = world.sends(terminal, &purchase(200));
    assert_eq!(world.answer(terminal).unwrap().code(), "96");
    assert_eq!(world.driver.core.durable.next_seq, before, "no entry");
    world.bank_answers(&held, "00");
    world.answer(terminal).unwrap();
    world.sends_raw(terminal, &refused.repeated());
    let request = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&request, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    balanced(&world);
}

#[test]
fn rule_02_no_slot_for_an_obligation_is_96_and_an_advice_that_cannot_be_stored_gets_no_answer() {
    let mut settings = config();
    settings.bounds.obligations_max = 2;
    let mut world = World::with(settings);
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    world.at_bank(BANK_A).unwrap();
    world.sends(terminal, &purchase(200));
    assert_eq!(world.answer(terminal).unwrap().code(), "96");
    let mut advice = purchase(300);
    advice.mti = mti(0x0220);
    world.sends(terminal, &advice);
    assert!(world.answer(terminal).is_none());
    assert_eq!(world.driver.core.counters.advices_dropped, 1);
}

#[test]
fn rule_20_a_reply_to_a_dead_session_is_dropped_and_the_outcome_stands() {
    let mut world = World::new();
    let terminal = world.terminal();
    let sent = world.sends(terminal, &purchase(100));
    let request = world.at_bank(BANK_A).unwrap();
    world.closes(terminal);
    world.bank_answers(&request, "00");
    assert_eq!(world.driver.counts.replies_to_nobody, 1);
    let again = world.terminal();
    world.sends_raw(again, &sent.repeated());
    assert_eq!(world.answer(again).unwrap().code(), "00");
    balanced(&world);
}

#[test]
fn rule_03_a_kept_payment_is_not_forgotten_inside_the_window_either() {
    let mut settings = config();
    settings.limits.originals_max = 2;
    let mut world = World::with(settings);
    let terminal = world.terminal();
    let (first, _) = approved(&mut world, terminal, &purchase(100));
    approved(&mut world, terminal, &purchase(200));
    world.sends(terminal, &purchase(300));
    assert_eq!(world.answer(terminal).unwrap().code(), "96", "it would push out the first");
    world.sends_raw(terminal, &first.reversal("000051"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00", "what gives back needs no place");
    let reversal = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&reversal, "00");
    world.now.wall_ms += world.config.limits.dedupe_window_ms;
    approved(&mut world, terminal, &purchase(300));
    balanced(&world);
}

#[test]
fn rule_03_a_longer_window_takes_no_repeat_that_a_shorter_one_has_let_go() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (paid, _) = approved(&mut world, terminal, &purchase(100));
    let window_ms = world.config.limits.dedupe_window_ms;
    world.advance(window_ms + 60_000);
    world.config.limits.dedupe_window_ms = 10 * window_ms;
    world.restart().unwrap();
    let terminal = world.terminal();
    world.sends_raw(terminal, &paid.repeated());
    assert_eq!(world.answer(terminal).unwrap().code(), "94", "nobody knows any more that it was paid");
    assert!(world.banks_are_quiet());
    // What is made from now on is known for as long as the new window says.
    let (paid, answer) = approved(&mut world, terminal, &purchase(200));
    world.advance(5 * window_ms);
    let terminal = world.terminal();
    world.sends_raw(terminal, &paid.repeated());
    assert_eq!(world.answer(terminal).unwrap().fields, answer.fields);
    balanced(&world);
}

/// A terminal whose clock is ahead: what it repeats looks younger than it is.
#[test]
fn rule_03_a_clock_that_is_ahead_makes_no_payment_of_a_repeat_that_is_forgotten() {
    let mut world = World::new();
    let window_ms = world.config.limits.dedupe_window_ms;
    let terminal = world.terminal();
    let ahead = purchase(100).at(world.now.wall_ms + window_ms / 9);
    let (paid, _) = approved(&mut world, terminal, &ahead);
    world.advance(window_ms + 1_000);
    let terminal = world.terminal();
    world.sends_raw(terminal, &paid.repeated());
    assert_eq!(world.answer(terminal).unwrap().code(), "94");
    assert!(world.banks_are_quiet());
    balanced(&world);
}

#[test]
fn rule_02_a_copy_beyond_the_bound_of_cold_reads_gets_no_answer_and_never_a_decline() {
    let mut settings = config();
    settings.bounds.fetches_max = 1;
    let mut world = World::with(settings);
    let (one, other) = (world.terminal(), world.terminal());
    let (first, _) = approved(&mut world, one, &purchase(100));
    let (second, _) = approved(&mut world, other, &purchase(200));
    let bytes = |wire: &Wire| {
        let dialect = yika_tests::setup::dialect("iso87-ascii");
        wire.repeated().encode(&dialect, dialect.default_header())
    };
    world.driver.session_bytes(one.0, &bytes(&first), world.now);
    world.driver.session_bytes(other.0, &bytes(&second), world.now);
    world.step();
    assert_eq!(world.answer(one).unwrap().code(), "00");
    assert!(world.answer(other).is_none());
    world.sends_raw(other, &second.repeated());
    assert_eq!(world.answer(other).unwrap().code(), "00");
    balanced(&world);
}

#[test]
fn rule_03_f3_f49_and_f37_are_of_the_fingerprint() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, answer) = approved(&mut world, terminal, &purchase(100).with(37, "000000000900"));
    for other in [
        sent.clone().with(3, "010000"),
        sent.clone().with(49, "840"),
        sent.clone().with(37, "000000000901"),
        sent.clone().without(37),
    ] {
        for other in [other.repeated(), other] {
            world.sends_raw(terminal, &other);
            assert_eq!(world.answer(terminal).unwrap().code(), "94", "{:?}", other.fields);
        }
    }
    assert!(world.at_bank(BANK_A).is_none());
    // What is no part of it may differ.
    world.sends_raw(terminal, &sent.with(22, "022").with(43, "ANOTHER TEXT").repeated());
    assert_eq!(world.answer(terminal).unwrap().text(38), answer.text(38));
    balanced(&world);
}

#[test]
fn rule_03_f42_f12_and_f13_are_of_the_key() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, _) = approved(&mut world, terminal, &purchase(100));
    let others = [
        sent.clone().with(42, "MERCHANT0000002"),
        sent.clone().with(12, "073016"),
        sent.clone().with(13, "1125"),
        sent.clone().with(41, "TERM0002"),
    ];
    for other in &others {
        approved(&mut world, terminal, other);
    }
    world.crash();
    let terminal = world.terminal();
    for held in others.iter().chain([&sent]) {
        world.sends_raw(terminal, &held.repeated());
        assert_eq!(world.answer(terminal).unwrap().code(), "00", "each keeps its own answer");
    }
    assert!(world.banks_are_quiet());
    balanced(&world);
}

#[test]
fn rule_03_the_batch_of_a_pos_terminal_is_of_the_key() {
    let mut world = World::new();
    let pos = world.terminal_at(1);
    let one = purchase(100).with(2, "6222000000000000003").with(60, "22000123000");
    let sent = world.sends(pos, &one);
    let first = world.at_bank(BANK_B).unwrap();
    world.bank_answers(&first, "00");
    assert_eq!(world.answer(pos).unwrap().code(), "00");
    let next = sent.clone().with(60, "22000124000");
    world.sends_raw(pos, &next);
    let second = world.at_bank(BANK_B).expect("the same F11 in the next batch is another payment");
    world.bank_answers(&second, "51");
    assert_eq!(world.answer(pos).unwrap().code(), "51");
    for (held, code) in [(&sent, "00"), (&next, "51")] {
        world.sends_raw(pos, &held.repeated());
        assert_eq!(world.answer(pos).unwrap().code(), code);
    }
    assert!(world.banks_are_quiet());
    balanced(&world);
}

#[test]
fn p3_a_drain_waits_for_a_copy_that_is_answered_from_the_journal() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, _) = approved(&mut world, terminal, &purchase(100));
    world.driver.drain();
    assert!(world.driver.is_drained());
    world.feeds(terminal, &sent.repeated());
    world.driver.turn(world.now);
    assert!(!world.driver.is_drained(), "its outcome is being read back");
    world.step();
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    assert!(world.driver.is_drained());
}
