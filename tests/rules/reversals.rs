//! Rule 5: reversals from terminals.

use crate::{approved, balanced};
use yika_tests::setup::{BANK_A, TIMEOUT_MS, config};
use yika_tests::world::mti;
use yika_tests::{Wire, World, purchase};

#[test]
fn rule_05_a_reversal_of_an_approved_payment_is_answered_00_and_sent_once() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, _) = approved(&mut world, terminal, &purchase(100));
    let reversal = sent.reversal("000050");
    world.sends_raw(terminal, &reversal);
    let answer = world.answer(terminal).unwrap();
    assert_eq!((answer.mti, answer.code().as_str()), (mti(0x0430), "00"));
    let undone = world.at_bank(BANK_A).unwrap();
    assert_eq!((undone.wire.mti, undone.wire.amount()), (mti(0x0420), 100));
    balanced(&world);
    world.sends_raw(terminal, &reversal.repeated());
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    world.sends_raw(terminal, &sent.reversal("000051"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00", "a second reversal finds it reversed");
    world.bank_answers(&undone, "00");
    assert!(world.at_bank(BANK_A).is_none(), "at most one issuer reversal per leg");
    world.sends_raw(terminal, &sent.repeated());
    assert_eq!(world.answer(terminal).unwrap().code(), "12", "a repeat of the original gets the decline");
    balanced(&world);
}

#[test]
fn rule_05_a_repeat_of_a_reversed_payment_gets_the_decline_after_its_f11_was_used_again() {
    for own in [false, true] {
        let mut world = World::new();
        let terminal = world.terminal();
        let wire = purchase(100).with(11, "000077");
        let wire = if own { wire.with(37, "900000000001") } else { wire };
        let (sent, answer) = approved(&mut world, terminal, &wire);
        world.advance(2000);
        approved(&mut world, terminal, &purchase(200).with(11, "000077"));
        world.sends_raw(terminal, &sent.reversal("000050").with(37, answer.text(37)));
        assert_eq!(world.answer(terminal).unwrap().code(), "00");
        let undone = world.at_bank(BANK_A).unwrap();
        assert_eq!(undone.wire.amount(), 100, "F37 finds the first");
        world.bank_answers(&undone, "00");
        world.sends_raw(terminal, &sent.repeated());
        assert_eq!(world.answer(terminal).unwrap().code(), "12");
        balanced(&world);
    }
}

#[test]
fn rule_05_in_flight_the_original_is_declined_and_reversed_whatever_the_issuer_says() {
    for code in ["00", "51"] {
        let mut world = World::new();
        let terminal = world.terminal();
        let sent = world.sends(terminal, &purchase(100));
        let request = world.at_bank(BANK_A).unwrap();
        world.sends_raw(terminal, &sent.reversal("000050"));
        let (one, two) = (world.answer(terminal).unwrap(), world.answer(terminal).unwrap());
        assert_eq!((one.mti, one.code().as_str()), (mti(0x0210), "12"));
        assert_eq!((two.mti, two.code().as_str()), (mti(0x0430), "00"));
        world.bank_answers(&request, code);
        let undone = world.at_bank(BANK_A).unwrap();
        assert_eq!(undone.wire.mti, mti(0x0420));
        world.bank_answers(&undone, "00");
        assert!(world.answer(terminal).is_none());
        assert_eq!(world.open_obligations(), 0);
        balanced(&world);
    }
}

#[test]
fn rule_05_unknown_is_answered_00_and_an_original_that_comes_later_is_declined() {
    let mut world = World::new();
    let terminal = world.terminal();
    let template = world.sends(terminal, &purchase(1));
    let request = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&request, "00");
    world.answer(terminal).unwrap();
    let original = template.with(11, "000333").with(4, "000000000100");
    world.sends_raw(terminal, &original.reversal("000334"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    world.crash();
    let terminal = world.terminal();
    world.sends_raw(terminal, &original);
    assert_eq!(world.answer(terminal).unwrap().code(), "12");
    assert!(world.at_bank(BANK_A).is_none());
    balanced(&world);
}

#[test]
fn rule_05_a_declined_original_needs_nothing() {
    let mut world = World::new();
    let terminal = world.terminal();
    let sent = world.sends(terminal, &purchase(100));
    let request = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&request, "51");
    world.answer(terminal).unwrap();
    world.sends_raw(terminal, &sent.reversal("000050"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    assert!(world.at_bank(BANK_A).is_none());
    world.sends_raw(terminal, &sent.repeated());
    assert_eq!(world.answer(terminal).unwrap().code(), "51");
}

#[test]
fn rule_05_an_f95_of_zeros_replaces_nothing_and_the_whole_is_reversed() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, _) = approved(&mut world, terminal, &purchase(100));
    world.sends_raw(terminal, &sent.reversal("000052").with(95, "0".repeat(42)));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    assert_eq!(world.at_bank(BANK_A).unwrap().wire.mti, mti(0x0420));
    balanced(&world);
}

#[test]
fn rule_05_card_and_amount_must_agree_and_a_partial_reversal_is_40() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, _) = approved(&mut world, terminal, &purchase(100));
    world.sends_raw(terminal, &sent.reversal("000050").with(4, "000000000099"));
    assert_eq!(world.answer(terminal).unwrap().code(), "25");
    world.sends_raw(terminal, &sent.reversal("000051").with(2, "4111110000000008"));
    assert_eq!(world.answer(terminal).unwrap().code(), "25");
    world.sends_raw(terminal, &sent.reversal("000052").with(95, format!("{:042}", 40)));
    assert_eq!(world.answer(terminal).unwrap().code(), "40");
    assert!(world.at_bank(BANK_A).is_none());
    balanced(&world);
}

#[test]
fn rule_05_the_original_is_found_by_f37_where_f90_is_absent() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, answer) = approved(&mut world, terminal, &purchase(100));
    let reversal = sent.reversal("000050").without(90).with(37, answer.text(37));
    world.sends_raw(terminal, &reversal);
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    assert_eq!(world.at_bank(BANK_A).unwrap().wire.mti, mti(0x0420));
}

#[test]
fn rule_05_pos_reversals_name_their_original_in_f61() {
    let mut world = World::new();
    let pos = world.terminal_at(1);
    let sent = world.sends(pos, &purchase(100).with(60, "22000001"));
    let request = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&request, "00");
    world.answer(pos).unwrap();
    let mut reversal =
        sent.clone().with(11, "000050").with(61, format!("000001{}1124", sent.stan())).with(39, "98");
    reversal.mti = mti(0x0400);
    world.sends_raw(pos, &reversal);
    let answer = world.answer(pos).unwrap();
    assert_eq!((answer.mti, answer.code().as_str()), (mti(0x0410), "00"));
    assert_eq!(world.at_bank(BANK_A).unwrap().wire.mti, mti(0x0420), "in the bank's own dialect");
    balanced(&world);
}

#[test]
fn rule_08_a_reversal_queues_behind_the_advice_of_the_same_card() {
    let mut world = World::new();
    let terminal = world.terminal();
    let mut advice = purchase(100);
    advice.mti = mti(0x0220);
    world.goes_down(BANK_A);
    let sent = world.sends(terminal, &advice);
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    world.sends_raw(terminal, &sent.reversal("000050"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    world.comes_up(BANK_A);
    let first = world.at_bank(BANK_A).unwrap();
    assert_eq!(first.wire.mti, mti(0x0220));
    assert!(world.at_bank(BANK_A).is_none());
    world.advance(TIMEOUT_MS + 1000);
    let first = world.at_bank(BANK_A).unwrap();
    assert_eq!(first.wire.mti, mti(0x0221), "still the advice");
    world.bank_answers(&first, "00");
    let second = world.at_bank(BANK_A).unwrap();
    assert_eq!(second.wire.mti, mti(0x0420));
    world.bank_answers(&second, "00");
    balanced(&world);
}

#[test]
fn rule_05_the_same_f11_of_another_moment_is_another_payment() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, _) = approved(&mut world, terminal, &purchase(100).with(11, "000001"));
    let lost = sent.clone().with(7, "1123235959");
    world.sends_raw(terminal, &lost.reversal("000050"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    assert!(world.at_bank(BANK_A).is_none(), "the payment that was made stands");
    world.sends_raw(terminal, &sent.reversal("000051"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    assert_eq!(world.at_bank(BANK_A).unwrap().wire.mti, mti(0x0420), "and is found by its own reversal");
    world.sends_raw(terminal, &lost);
    assert_ne!(world.answer(terminal).unwrap().code(), "00", "the lost one is declined when it comes");
    balanced(&world);
}

#[test]
fn rule_05_two_merchants_may_use_one_terminal_number_and_f11() {
    let mut world = World::new();
    let terminal = world.terminal();
    let payment = |merchant: &str| purchase(100).with(11, "000005").with(42, merchant);
    let (one, _) = approved(&mut world, terminal, &payment("MERCHANT0000001"));
    world.advance(2_000);
    let (other, _) = approved(&mut world, terminal, &payment("MERCHANT0000002"));
    for sent in [one, other] {
        world.sends_raw(terminal, &sent.reversal("000051"));
        assert_eq!(world.answer(terminal).unwrap().code(), "00");
        let reversal = world.at_bank(BANK_A).expect("each is found");
        assert_eq!(reversal.wire.text(42), sent.text(42));
        world.bank_answers(&reversal, "00");
    }
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

#[test]
fn rule_05_without_f90_a_reversal_goes_by_its_own_f11_and_f37_narrows_it() {
    let mut world = World::new();
    let terminal = world.terminal();
    let payment = |stan: &str| purchase(100).with(11, stan).with(37, "ABC000000001");
    let payments = ["000001", "000002"].map(|stan| approved(&mut world, terminal, &payment(stan)).0);
    for (sent, leg) in payments.iter().zip([1, 2]) {
        world.sends_raw(terminal, &sent.reversal(&sent.stan()).without(90));
        assert_eq!(world.answer(terminal).unwrap().code(), "00");
        let reversal = world.at_bank(BANK_A).expect("each finds its own, though both have one F37");
        assert_eq!(&reversal.wire.text(90)[4..10], format!("{leg:06}"));
        world.bank_answers(&reversal, "00");
    }
    balanced(&world);
}

#[test]
fn rule_05_a_reversal_finds_its_payment_whether_or_not_it_names_the_merchant() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, _) = approved(&mut world, terminal, &purchase(100));
    world.sends_raw(terminal, &sent.reversal("000051").without(42));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    assert_eq!(world.at_bank(BANK_A).unwrap().wire.mti, mti(0x0420));
    balanced(&world);
}

#[test]
fn rule_05_a_payment_reversed_after_its_void_does_not_come_back_with_the_voids_reversal() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, answer) = approved(&mut world, terminal, &purchase(100));
    let void = purchase(100)
        .with(3, "200000")
        .with(37, answer.text(37))
        .with(90, format!("0200{}{}{:022}", sent.stan(), sent.text(7), 0));
    let (voided, _) = approved(&mut world, terminal, &void);
    for (wire, stan) in [(&sent, "000071"), (&voided, "000072")] {
        world.sends_raw(terminal, &wire.reversal(stan));
        assert_eq!(world.answer(terminal).unwrap().code(), "00");
        assert!(world.at_bank(BANK_A).is_none(), "the void stands, and with it both reversals");
    }
    world.crash();
    let terminal = world.terminal();
    for wire in [&sent, &voided] {
        world.sends_raw(terminal, &wire.repeated());
        assert_eq!(world.answer(terminal).unwrap().code(), "12", "a repeat gets the decline");
    }
    balanced(&world);
}

#[test]
fn rule_05_a_repeated_reversal_is_answered_00_however_old() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, _) = approved(&mut world, terminal, &purchase(100));
    world.now.wall_ms += 3 * world.config.limits.dedupe_window_ms;
    world.sends_raw(terminal, &sent.reversal("000051").repeated());
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    assert_eq!(world.at_bank(BANK_A).unwrap().wire.mti, mti(0x0420), "its payment is still held");
    balanced(&world);
}

/// A pre-authorization of the same card, over `minor`.
fn pre_auth(minor: u64) -> Wire {
    Wire { mti: mti(0x0100), ..purchase(minor).with(3, "030000").with(25, "06") }
}

/// Which message types reached the bank in reversals; all are acknowledged.
fn types_undone(world: &mut World) -> Vec<String> {
    let mut named = Vec::new();
    while let Some(request) = world.at_bank(BANK_A) {
        named.push(request.wire.text(90)[..4].to_owned());
        world.bank_answers(&request, "00");
    }
    named
}

#[test]
fn rule_05_a_reversal_undoes_the_message_type_that_it_names() {
    let advice = |wire: Wire| Wire { mti: mti(0x0220), ..wire };
    let payments = [pre_auth(100), purchase(100), advice(purchase(100))].map(|wire| wire.with(11, "000005"));
    for first in 0..payments.len() {
        let mut world = World::new();
        let terminal = world.terminal();
        let mut sent = payments.to_vec();
        sent.rotate_left(first);
        let sent: Vec<_> = sent.iter().map(|wire| approved(&mut world, terminal, wire).0).collect();
        for (at, wire) in sent.iter().enumerate() {
            world.sends_raw(terminal, &wire.reversal(&format!("00005{at}")));
            assert_eq!(world.answer(terminal).unwrap().code(), "00");
            assert_eq!(
                types_undone(&mut world),
                [wire.mti.to_string()],
                "all have one F11, F7, card and amount"
            );
        }
        balanced(&world);
    }
}

#[test]
fn rule_05_a_lost_message_is_not_taken_for_another_type_with_its_f11() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (held, _) =
        approved(&mut world, terminal, &pre_auth(100).with(11, "000005").with(37, "ABC000000001"));
    let lost = Wire { mti: mti(0x0200), ..held.clone() }.with(3, "000000").with(25, "00");
    world.sends_raw(terminal, &lost.reversal("000050"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    assert!(
        world.banks_are_quiet(),
        "what stands is of another type, though its F11, F7, F37 and amount agree"
    );
    world.sends_raw(terminal, &lost);
    assert_eq!(world.answer(terminal).unwrap().code(), "12", "the lost one is declined when it comes");
    let other = Wire { mti: mti(0x0220), ..lost };
    world.sends_raw(terminal, &other);
    assert_eq!(world.answer(terminal).unwrap().code(), "00", "one of another type is not");
    balanced(&world);
}

#[test]
fn rule_05_where_no_type_is_named_the_reversals_own_fields_card_and_amount_tell() {
    let mut world = World::new();
    let pos = world.terminal_at(1);
    let with = |wire: Wire, f60: &str| wire.with(11, "000005").with(60, f60);
    let (bought, _) = approved(&mut world, pos, &with(purchase(100), "22000001"));
    let (held, _) = approved(&mut world, pos, &with(pre_auth(100), "10000001"));
    let (refused, _) = approved(&mut world, pos, &with(purchase(300), "22000002").with(11, "000006"));
    let (other, _) = approved(&mut world, pos, &with(pre_auth(200), "10000002").with(11, "000006"));
    let reversal = |of: &Wire, batch: u32| {
        let named = format!("{batch:06}{}1124", of.stan());
        Wire { mti: mti(0x0400), ..of.clone() }.with(61, named).with(39, "98")
    };
    for (of, batch, stan) in [(&bought, 1, "000050"), (&held, 1, "000051")] {
        world.sends_raw(pos, &reversal(of, batch).with(11, stan));
        assert_eq!(world.answer(pos).unwrap().code(), "00");
        assert_eq!(types_undone(&mut world), [of.mti.to_string()], "F3, F25 and F60.1 tell");
    }
    for (of, stan) in [(&refused, "000052"), (&other, "000053")] {
        world.sends_raw(pos, &reversal(of, 2).with(11, stan).with(3, "990000"));
        assert_eq!(world.answer(pos).unwrap().code(), "00");
        assert_eq!(types_undone(&mut world), [of.mti.to_string()], "the amount tells");
    }
    balanced(&world);
}

/// F37 is shared by a hold and its completion: the reversal of a completion that never came leaves the hold alone.
#[test]
fn rule_05_a_reversal_of_what_never_came_does_not_undo_another_message_of_the_payment() {
    for listener in [0, 1] {
        let mut world = World::new();
        let terminal = world.terminal_at(listener);
        let (held, answer) = approved(&mut world, terminal, &pre_auth(100).with(60, "10000001"));
        let completion =
            Wire { mti: mti(0x0220), ..held.clone() }.with(11, "000777").with(37, answer.text(37));
        let reversal = match listener {
            0 => completion.reversal("000778"),
            _ => Wire { mti: mti(0x0400), ..completion.clone() }.with(61, "0000010007771124").with(39, "98"),
        };
        world.sends_raw(terminal, &reversal);
        assert_eq!(world.answer(terminal).unwrap().code(), "00");
        assert!(world.banks_are_quiet() && world.open_obligations() == 0, "the hold stands");
        balanced(&world);
    }
}

#[test]
fn rule_05_an_f37_that_the_switch_gave_is_not_a_terminals_own_of_the_same_digits() {
    for given_first in [true, false] {
        let mut world = World::new();
        let terminal = world.terminal();
        let number = if given_first { "000000000001" } else { "000000000002" };
        let mut payments = [purchase(100), purchase(200).with(37, number)];
        if !given_first {
            payments.reverse();
        }
        let sent = payments.map(|wire| approved(&mut world, terminal, &wire));
        assert!(sent.iter().all(|(_, answer)| answer.text(37) == number));
        for (at, (wire, answer)) in sent.iter().enumerate() {
            let reversal = wire.reversal(&format!("00005{at}")).without(90).with(37, answer.text(37));
            world.sends_raw(terminal, &reversal);
            assert_eq!(world.answer(terminal).unwrap().code(), "00");
            let undone = world.at_bank(BANK_A).expect("each is found");
            assert_eq!(undone.wire.amount(), wire.amount());
            world.bank_answers(&undone, "00");
        }
        balanced(&world);
    }
}

#[test]
fn rule_05_a_reversal_that_came_first_declines_no_payment_of_another_merchant_or_batch() {
    let mut world = World::new();
    let pos = world.terminal_at(1);
    let lost =
        world.stamped(&purchase(100).with(11, "000005").with(60, "22000001").with(42, "MERCHANT0000001"));
    let reversal = Wire { mti: mti(0x0400), ..lost.clone() }.with(61, "0000010000051124").with(39, "98");
    world.sends_raw(pos, &reversal);
    assert_eq!(world.answer(pos).unwrap().code(), "00");
    approved(&mut world, pos, &lost.clone().with(42, "MERCHANT0000002"));
    approved(&mut world, pos, &lost.clone().with(60, "22000002"));
    world.sends_raw(pos, &lost);
    assert_eq!(world.answer(pos).unwrap().code(), "12", "its own is declined when it comes");
    balanced(&world);
}

const WINDOW_MS: u64 = 10_000;

fn in_a_short_window() -> World {
    let mut settings = config();
    settings.limits.dedupe_window_ms = WINDOW_MS;
    World::with(settings)
}

/// A reversal that names F11 000333 and no moment.
fn reversal_of_333(template: &Wire, stan: &str) -> Wire {
    template.clone().with(11, "000333").reversal(stan).with(90, format!("0200000333{:032}", 0))
}

#[test]
fn rule_05_each_reversal_of_what_is_unknown_holds_for_its_own_window() {
    let mut world = in_a_short_window();
    let terminal = world.terminal();
    let template = world.stamped(&purchase(100));
    world.sends_raw(terminal, &reversal_of_333(&template, "000334"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    world.advance(WINDOW_MS - 1000);
    let template = world.stamped(&purchase(100));
    world.sends_raw(terminal, &reversal_of_333(&template, "000335"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    // The window of the first is over, that of the second is not.
    world.advance(2000);
    world.sends(terminal, &purchase(100).with(11, "000333"));
    assert!(world.at_bank(BANK_A).is_none(), "it was told to be reversed");
    assert_eq!(world.answer(terminal).unwrap().code(), "12");
    world.advance(WINDOW_MS);
    approved(&mut world, terminal, &purchase(100).with(11, "000333"));
    balanced(&world);
}

#[test]
fn rule_05_each_declined_payment_of_one_f11_is_known_for_its_own_window() {
    let mut world = in_a_short_window();
    let terminal = world.terminal();
    let declined = |world: &mut World| {
        let sent = world.sends(terminal, &purchase(100).with(11, "000333"));
        let request = world.at_bank(BANK_A).unwrap();
        world.bank_answers(&request, "51");
        assert_eq!(world.answer(terminal).unwrap().code(), "51");
        sent
    };
    declined(&mut world);
    world.advance(WINDOW_MS - 1000);
    let second = declined(&mut world);
    world.advance(2000);
    world.sends_raw(terminal, &reversal_of_333(&second, "000335"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    // Had the declined one not been found, the next under this F11 would be taken for what the reversal names.
    approved(&mut world, terminal, &purchase(100).with(11, "000333"));
    balanced(&world);
}

#[test]
fn rule_05_a_reversal_without_f37_has_that_of_its_payment_at_the_bank() {
    let mut world = World::new();
    let terminal = world.terminal();
    let sent = world.sends(terminal, &purchase(100));
    assert!(!sent.fields.has(37), "the switch gives one");
    let paid = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&paid, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    world.sends_raw(terminal, &sent.reversal("000077"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    let reversal = world.at_bank(BANK_A).unwrap();
    assert_eq!(reversal.wire.text(37), paid.wire.text(37));
    assert_ne!(reversal.wire.stan(), paid.wire.stan());
    world.bank_answers(&reversal, "00");
    balanced(&world);
}
