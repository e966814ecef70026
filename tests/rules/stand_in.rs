//! Rule 10: deciding for an issuer that cannot be reached.

use crate::balanced;
use yika_switch::core::settings::StandIn;
use yika_tests::setup::{BANK_A, COUPONS, TIMEOUT_MS, config};
use yika_tests::world::mti;
use yika_tests::{Wire, World, purchase};

fn world() -> World {
    let mut settings = config();
    settings.participants[1].link.as_mut().unwrap().stand_in = Some(StandIn {
        per_transaction_max: 500,
        per_card_count_max: 2,
        per_card_sum_max: 800,
        issuer_sum_max: 2_000,
    });
    World::with(settings)
}

#[test]
fn rule_10_an_unreachable_issuer_is_stood_in_for_and_advised() {
    let mut world = world();
    world.goes_down(BANK_A);
    let terminal = world.terminal();
    world.sends(terminal, &purchase(500));
    let answer = world.answer(terminal).unwrap();
    assert_eq!(answer.code(), "00");
    assert!(answer.text(38).starts_with('S'));
    assert_eq!(world.open_obligations(), 1, "approval and advice are one entry");
    balanced(&world);
    world.comes_up(BANK_A);
    let advice = world.at_bank(BANK_A).unwrap();
    assert_eq!((advice.wire.mti, advice.wire.amount()), (mti(0x0220), 500));
    assert_eq!(advice.wire.text(38), answer.text(38));
    world.bank_answers(&advice, "00");
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

#[test]
fn rule_10_a_line_lost_before_the_write_is_stood_in_for_too() {
    let mut world = world();
    let terminal = world.terminal();
    world.commits = false;
    world.sends(terminal, &purchase(500));
    world.goes_down(BANK_A);
    world.commits = true;
    world.step();
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    world.comes_up(BANK_A);
    let advice = world.at_bank(BANK_A).unwrap();
    assert_eq!((advice.wire.mti, advice.wire.amount()), (mti(0x0220), 500));
    world.bank_answers(&advice, "00");
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

#[test]
fn rule_10_limits_hold_per_transaction_card_and_survive_a_crash() {
    let mut world = world();
    world.goes_down(BANK_A);
    let terminal = world.terminal();
    world.sends(terminal, &purchase(501));
    assert_eq!(world.answer(terminal).unwrap().code(), "91", "over the floor limit");
    world.sends(terminal, &purchase(400));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    world.crash();
    let terminal = world.terminal();
    world.sends(terminal, &purchase(401));
    assert_eq!(world.answer(terminal).unwrap().code(), "91", "over the card's sum, which was durable");
    world.sends(terminal, &purchase(100));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    world.sends(terminal, &purchase(100));
    assert_eq!(world.answer(terminal).unwrap().code(), "91", "over the card's count");
    world.sends(terminal, &purchase(100).with(2, "4111110000000008"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00", "another card has its own limits");
    balanced(&world);
}

#[test]
fn rule_10_a_reversal_gives_the_limit_back() {
    let mut world = world();
    world.goes_down(BANK_A);
    let terminal = world.terminal();
    let sent = world.sends(terminal, &purchase(500));
    world.answer(terminal).unwrap();
    world.sends(terminal, &purchase(400));
    assert_eq!(world.answer(terminal).unwrap().code(), "91");
    let reversal = sent.reversal("000099");
    world.sends_raw(terminal, &reversal);
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    world.sends(terminal, &purchase(400));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    balanced(&world);
    world.comes_up(BANK_A);
    let advice = world.at_bank(BANK_A).unwrap();
    assert_eq!(advice.wire.mti, mti(0x0220), "rule 8: in order per card");
    assert!(world.at_bank(BANK_A).is_none(), "one at a time");
    world.bank_answers(&advice, "00");
    let undone = world.at_bank(BANK_A).unwrap();
    assert_eq!(undone.wire.mti, mti(0x0420));
    assert_eq!(&undone.wire.text(90)[..10], format!("0220{}", advice.wire.stan()), "it reverses the advice");
    world.bank_answers(&undone, "00");
    let last = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&last, "00");
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

#[test]
fn rule_10_never_with_a_pin_on_cash_or_balance_nor_after_a_time_out() {
    let mut world = world();
    world.goes_down(BANK_A);
    let terminal = world.terminal();
    for wire in [
        purchase(100).with(52, [1, 2, 3, 4, 5, 6, 7, 8]),
        purchase(100).with(3, "010000"),
        purchase(0).with(3, "310000"),
        // A hold: no advice message tells of one.
        {
            let mut hold = purchase(100).with(3, "030000").with(25, "06");
            hold.mti = mti(0x0100);
            hold
        },
    ] {
        world.sends(terminal, &wire);
        assert_eq!(world.answer(terminal).unwrap().code(), "91");
    }
    world.comes_up(BANK_A);
    world.sends(terminal, &purchase(100));
    world.at_bank(BANK_A).unwrap();
    world.advance(TIMEOUT_MS + 10);
    assert_eq!(world.answer(terminal).unwrap().code(), "68", "it may have been approved there");
}

#[test]
fn rule_10_what_was_stood_in_for_on_a_date_that_is_over_takes_nothing_from_the_next() {
    let mut world = world();
    let terminal = world.terminal();
    world.commits = false;
    let sent = world.sends(terminal, &purchase(500));
    world.driver.cut_over(1);
    world.goes_down(BANK_A);
    world.commits = true;
    world.step();
    assert_eq!(world.answer(terminal).unwrap().code(), "00", "stood in for on the date of its intent");
    world.sends_raw(terminal, &sent.reversal("000050"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    for _ in 0..2 {
        world.sends(terminal, &purchase(400));
        assert_eq!(world.answer(terminal).unwrap().code(), "00", "800 for a card on a date");
    }
    balanced(&world);
}

#[test]
fn rule_10_an_advice_that_is_refused_and_its_reversal_are_both_named_and_net_to_zero() {
    let mut world = world();
    world.goes_down(BANK_A);
    let terminal = world.terminal();
    let sent = world.sends(terminal, &purchase(500));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    world.sends_raw(terminal, &sent.reversal("000099"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    world.comes_up(BANK_A);
    let advice = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&advice, "51");
    for _ in 0..20 {
        while let Some(reversal) = world.at_bank(BANK_A) {
            world.bank_answers(&reversal, "25");
        }
        world.advance(TIMEOUT_MS);
    }
    assert_eq!(world.open_obligations(), 0);
    let exceptions = &world.driver.core.durable.exceptions;
    assert_eq!(exceptions.values().map(|one| one.books).collect::<Vec<_>>(), [500, -500]);
    balanced(&world);
}

#[test]
fn rule_10_limits_begin_anew_with_the_business_date() {
    for crash in [false, true] {
        let mut world = world();
        world.goes_down(BANK_A);
        let mut terminal = world.terminal();
        let code = |world: &mut World, terminal, minor| {
            world.sends(terminal, &purchase(minor));
            world.answer(terminal).unwrap().code()
        };
        assert_eq!(code(&mut world, terminal, 400), "00");
        assert_eq!(code(&mut world, terminal, 400), "00");
        assert_eq!(code(&mut world, terminal, 1), "91", "twice and 800 a card on a date");
        world.driver.cut_over(1);
        world.step();
        if crash {
            world.crash();
            terminal = world.terminal();
        }
        assert_eq!(code(&mut world, terminal, 400), "00", "a new date");
        assert_eq!(code(&mut world, terminal, 401), "91", "with the same limits");
        assert_eq!(code(&mut world, terminal, 400), "00");
        balanced(&world);
    }
}

#[test]
fn rule_10_the_sum_of_an_issuer_holds_over_all_its_cards() {
    let mut world = world();
    world.goes_down(BANK_A);
    let mut terminal = world.terminal();
    let stood_in = |world: &mut World, terminal, card: u32, minor| {
        let sent = world.sends(terminal, &purchase(minor).with(2, format!("411111{card:010}")));
        (world.answer(terminal).unwrap().code(), sent)
    };
    let mut first = None;
    for card in 0..4 {
        let (code, sent) = stood_in(&mut world, terminal, card, 500);
        assert_eq!(code, "00");
        first.get_or_insert(sent);
        if card == 1 {
            world.crash();
            terminal = world.terminal();
        }
    }
    assert_eq!(stood_in(&mut world, terminal, 4, 1).0, "91", "2000 of the issuer on a date");
    world.sends_raw(terminal, &first.unwrap().reversal("000090"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    assert_eq!(stood_in(&mut world, terminal, 5, 500).0, "00", "a reversal gives it back to the issuer, too");
    assert_eq!(stood_in(&mut world, terminal, 6, 1).0, "91");
    balanced(&world);
}

#[test]
fn rule_10_never_on_a_refund_a_void_or_the_banks_part_of_a_coupon_purchase() {
    let mut world = world();
    let terminal = world.terminal();
    let (sent, _) = crate::approved(&mut world, terminal, &purchase(100));
    let named = format!("0200{}{}{:022}", sent.stan(), sent.text(7), 0);
    world.goes_down(BANK_A);
    let void = purchase(100).with(3, "200000").with(90, named.clone());
    let refund = Wire { mti: mti(0x0220), ..purchase(50).with(3, "200000").with(90, named) };
    for wire in [void, refund] {
        world.sends(terminal, &wire);
        assert_eq!(world.answer(terminal).unwrap().code(), "91");
        assert_eq!(world.open_obligations(), 0, "nothing was decided, nothing is owed");
    }
    world.sends(terminal, &purchase(400).with(48, "CP024COUPON000001000000000300"));
    let asked = world.at_bank(COUPONS).unwrap();
    world.bank_answers(&asked, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "91");
    let undone = world.at_bank(COUPONS).unwrap();
    assert_eq!(undone.wire.mti, mti(0x0420));
    world.bank_answers(&undone, "00");
    assert_eq!(world.open_obligations(), 0);
    assert!(world.driver.core.durable.stand_in_issuers.is_empty(), "no limit was used");
    balanced(&world);
}
