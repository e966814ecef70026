//! Rules 17 and 18: the coupon purchase, the plan of two legs, with every failure of each.

use crate::{approved, balanced};
use yika_tests::setup::{BANK_A, BANK_B, COUPONS, TIMEOUT_MS};
use yika_tests::world::mti;
use yika_tests::{BankRequest, Terminal, Wire, World, purchase};

/// 1000 in all, 300 asked of the coupon.
pub(crate) fn coupon_purchase() -> Wire {
    purchase(1000).with(48, "CP024COUPON000001000000000300")
}

pub(crate) fn begin(world: &mut World) -> (Terminal, Wire, BankRequest) {
    let terminal = world.terminal();
    let sent = world.sends(terminal, &coupon_purchase());
    let asked = world.at_bank(COUPONS).unwrap();
    assert_eq!(asked.wire.amount(), 300);
    assert!(world.at_bank(BANK_A).is_none(), "rule 17: legs in order");
    (terminal, sent, asked)
}

/// A coupon purchase that stands at both: its terminal, the request, and F90 of a message that names it.
fn paid_by_both(world: &mut World) -> (Terminal, Wire, String) {
    let (terminal, sent, asked) = begin(world);
    grant(world, &asked, 300);
    let rest = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&rest, "00");
    world.answer(terminal).unwrap();
    let named = format!("0200{}{}{:022}", sent.stan(), sent.text(7), 0);
    (terminal, sent, named)
}

pub(crate) fn grant(world: &mut World, request: &BankRequest, minor: u64) {
    let granted = world.answer_to(request, "00").with(4, format!("{minor:012}"));
    world.bank_sends(request, &granted);
}

#[test]
fn rule_18_the_bank_pays_the_rest_and_the_answer_tells_both_parts() {
    let mut world = World::new();
    let (terminal, _, asked) = begin(&mut world);
    grant(&mut world, &asked, 200);
    let rest = world.at_bank(BANK_A).unwrap();
    assert_eq!(rest.wire.amount(), 800);
    world.bank_answers(&rest, "00");
    let answer = world.answer(terminal).unwrap();
    assert_eq!((answer.code().as_str(), answer.amount()), ("00", 1000));
    assert_eq!(answer.text(54), "00CP156D00000000020000BK156D000000000800");
    balanced(&world);
}

#[test]
fn rule_18_a_coupon_that_pays_all_skips_the_bank() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.sends(terminal, &purchase(300).with(48, "CP024COUPON000001000000000300"));
    let asked = world.at_bank(COUPONS).unwrap();
    grant(&mut world, &asked, 300);
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    assert!(world.at_bank(BANK_A).is_none());
    balanced(&world);
}

/// How a leg fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Failure {
    Declined,
    Silent,
    Down,
    Crash,
    ReversedByTerminal,
}

const FAILURES: [Failure; 5] =
    [Failure::Declined, Failure::Silent, Failure::Down, Failure::Crash, Failure::ReversedByTerminal];

/// Lets the leg that `request` is fail; true when the terminal is told by it, false when it must ask again.
fn fail(world: &mut World, sent: &Wire, terminal: Terminal, request: &BankRequest, failure: Failure) -> bool {
    match failure {
        Failure::Declined => world.bank_answers(request, "51"),
        Failure::Silent => world.advance(TIMEOUT_MS + 10),
        Failure::Down => unreachable!("decided before the leg is sent"),
        Failure::Crash => {
            world.crash();
            return false;
        }
        Failure::ReversedByTerminal => world.sends_raw(terminal, &sent.reversal("000600")),
    }
    true
}

/// Answers every reversal that the two participants get; which of them got one.
fn reversals(world: &mut World) -> Vec<String> {
    let mut reversed = Vec::new();
    world.advance(1000);
    for name in [COUPONS, BANK_A] {
        while let Some(request) = world.at_bank(name) {
            assert!(
                request.wire.mti.without_repeat() == mti(0x0420),
                "only reversals may follow: {:?}",
                request.wire.mti
            );
            world.bank_answers(&request, "00");
            if !reversed.contains(&name.to_owned()) {
                reversed.push(name.to_owned());
            }
        }
    }
    reversed
}

#[test]
fn rule_18_every_failure_of_the_first_leg_declines_and_never_asks_the_bank() {
    for failure in FAILURES {
        let mut world = World::new();
        if failure == Failure::Down {
            world.goes_down(COUPONS);
            let terminal = world.terminal();
            world.sends(terminal, &coupon_purchase());
            assert_eq!(world.answer(terminal).unwrap().code(), "91");
            assert!(world.banks_are_quiet() && world.open_obligations() == 0);
            continue;
        }
        let (terminal, sent, asked) = begin(&mut world);
        let told = fail(&mut world, &sent, terminal, &asked, failure);
        let terminal = if told { terminal } else { world.terminal() };
        if !told {
            world.sends_raw(terminal, &sent.repeated());
        }
        let answer = world.answer(terminal).unwrap();
        assert_ne!(answer.code(), "00", "{failure:?}");
        let expected: &[&str] = if failure == Failure::Declined { &[] } else { &[COUPONS] };
        assert_eq!(reversals(&mut world), expected, "{failure:?}");
        assert_eq!(world.open_obligations(), 0, "{failure:?}");
        balanced(&world);
    }
}

#[test]
fn rule_18_every_failure_of_the_second_leg_gives_the_coupon_back_in_the_same_entry() {
    for failure in FAILURES {
        let mut world = World::new();
        let (terminal, sent, asked) = begin(&mut world);
        if failure == Failure::Down {
            world.goes_down(BANK_A);
            grant(&mut world, &asked, 300);
            assert_eq!(world.answer(terminal).unwrap().code(), "91");
            assert_eq!(reversals(&mut world), [COUPONS]);
            balanced(&world);
            continue;
        }
        grant(&mut world, &asked, 300);
        let rest = world.at_bank(BANK_A).unwrap();
        let told = fail(&mut world, &sent, terminal, &rest, failure);
        let terminal = if told { terminal } else { world.terminal() };
        if !told {
            world.sends_raw(terminal, &sent.repeated());
        }
        let answer = world.answer(terminal).unwrap();
        assert_ne!(answer.code(), "00", "{failure:?}");
        let expected: &[&str] = if failure == Failure::Declined { &[COUPONS] } else { &[COUPONS, BANK_A] };
        assert_eq!(reversals(&mut world), expected, "{failure:?}");
        assert_eq!(world.open_obligations(), 0, "{failure:?}");
        balanced(&world);
    }
}

#[test]
fn rule_17_a_later_leg_does_not_start_when_its_time_does_not_fit() {
    let mut settings = yika_tests::setup::config();
    settings.listeners[0].deadline = std::time::Duration::from_millis(TIMEOUT_MS + 1000);
    let mut world = World::with(settings);
    let (terminal, _, asked) = begin(&mut world);
    world.advance(1500);
    grant(&mut world, &asked, 300);
    assert_eq!(world.answer(terminal).unwrap().code(), "68");
    assert!(world.at_bank(BANK_A).is_none());
    assert_eq!(reversals(&mut world), [COUPONS]);
    balanced(&world);
}

#[test]
fn rule_18_reversal_and_void_undo_both_parts_and_a_partial_refund_the_bank_part_only() {
    for undo in ["reversal", "void", "refund"] {
        let mut world = World::new();
        let (terminal, sent, named) = paid_by_both(&mut world);
        match undo {
            "reversal" => {
                world.sends_raw(terminal, &sent.reversal("000600"));
                assert_eq!(world.answer(terminal).unwrap().code(), "00");
                assert_eq!(reversals(&mut world), [COUPONS, BANK_A]);
            }
            "void" => {
                world.sends(terminal, &purchase(1000).with(3, "200000").with(90, named));
                let coupon = world.at_bank(COUPONS).unwrap();
                assert_eq!((coupon.wire.text(3).as_str(), coupon.wire.amount()), ("200000", 300));
                world.bank_answers(&coupon, "00");
                let bank = world.at_bank(BANK_A).unwrap();
                assert_eq!((bank.wire.text(3).as_str(), bank.wire.amount()), ("200000", 700));
                world.bank_answers(&bank, "00");
                assert_eq!(world.answer(terminal).unwrap().code(), "00");
            }
            _ => {
                let mut refund = purchase(800).with(3, "200000").with(90, named);
                refund.mti = mti(0x0220);
                world.sends(terminal, &refund);
                assert_eq!(world.answer(terminal).unwrap().code(), "64", "more than the bank's part");
                world.sends(terminal, &refund.with(4, "000000000700"));
                let bank = world.at_bank(BANK_A).unwrap();
                assert_eq!(bank.wire.amount(), 700);
                world.bank_answers(&bank, "00");
                assert_eq!(world.answer(terminal).unwrap().code(), "00");
                assert!(world.at_bank(COUPONS).is_none());
            }
        }
        assert_eq!(world.open_obligations(), 0, "{undo}");
        balanced(&world);
    }
}

#[test]
fn rule_18_the_bank_may_speak_another_dialect_than_the_terminal() {
    for silent in [false, true] {
        let mut world = World::new();
        let terminal = world.terminal();
        world.sends(terminal, &coupon_purchase().with(2, "6222000000000000003").with(60, "free text"));
        let asked = world.at_bank(COUPONS).unwrap();
        grant(&mut world, &asked, 300);
        let rest = world.at_bank(BANK_B).unwrap();
        assert_eq!(rest.wire.amount(), 700);
        if !silent {
            world.bank_answers(&rest, "00");
            assert_eq!(world.answer(terminal).unwrap().code(), "00");
        } else {
            world.advance(TIMEOUT_MS + 10);
            assert_eq!(world.answer(terminal).unwrap().code(), "68");
            let bank = world.at_bank(BANK_B).unwrap();
            assert_eq!(bank.wire.mti, mti(0x0400));
            world.bank_answers(&bank, "00");
            let coupon = world.at_bank(COUPONS).unwrap();
            world.bank_answers(&coupon, "00");
        }
        assert_eq!(world.open_obligations(), 0);
        balanced(&world);
    }
}

#[test]
fn rule_18_a_coupon_that_grants_nothing_never_charges_the_whole_amount() {
    let mut world = World::new();
    let (terminal, _, asked) = begin(&mut world);
    grant(&mut world, &asked, 0);
    assert_eq!(world.answer(terminal).unwrap().code(), "51");
    assert!(world.at_bank(BANK_A).is_none());
    assert_eq!(reversals(&mut world), [COUPONS]);
    balanced(&world);
}

/// Whoever asks for a coupon never pays the whole because the switch could not read how much the coupon is for.
#[test]
fn rule_18_a_coupon_that_cannot_be_read_is_a_format_error_and_no_plain_purchase() {
    for f48 in [
        "CP012COUPON000001",
        "CP016COUPON0000010300",
        "CP024COUPON00000100000000O300",
        "CP024COUPON00000100000000030",
        "CP025COUPON0000010000000003000",
        "CPO24COUPON000001000000000300",
        "CP02",
        "AB003xyzCP",
        "ABO02xyCP024COUPON000001000000000300",
        "AB004xyCP024COUPON000001000000000300",
        "CP024COUPON000001000000000300AB009xy",
        "CP024COUPON000001000000000300CP024COUPON000002000000000100",
    ] {
        let mut world = World::new();
        let terminal = world.terminal();
        world.sends(terminal, &purchase(1000).with(48, f48));
        assert_eq!(world.answer(terminal).unwrap().code(), "30", "{f48}");
        assert!(world.banks_are_quiet(), "{f48}");
    }
}

#[test]
fn rule_18_a_coupon_on_anything_but_a_purchase_is_refused() {
    let mut world = World::new();
    let terminal = world.terminal();
    let mut authorization = purchase(1000).with(48, "CP024000000000001000000000300");
    authorization.mti = mti(0x0100);
    world.sends(terminal, &authorization);
    assert_eq!(world.answer(terminal).unwrap().code(), "40");
    assert!(world.banks_are_quiet(), "the whole amount is never charged instead");
    balanced(&world);
}

#[test]
fn rule_18_a_private_f48_that_names_no_coupon_is_left_alone() {
    let mut world = World::new();
    let terminal = world.terminal();
    for f48 in ["AB003xyz", "AB009xyz", "GATE B, COUPON DESK, CPU 7", "0123456789", "A", "AB002CP"] {
        approved(&mut world, terminal, &purchase(1000).with(48, f48));
    }
    balanced(&world);
}

#[test]
fn rule_18_a_void_whose_first_leg_cannot_be_taken_back_is_declined_and_parked_by_name() {
    let mut world = World::new();
    let (terminal, _, named) = paid_by_both(&mut world);
    world.sends(terminal, &purchase(1000).with(3, "200000").with(90, named.clone()));
    let coupon = world.at_bank(COUPONS).unwrap();
    world.bank_answers(&coupon, "00");
    let bank = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&bank, "51");
    assert_eq!(world.answer(terminal).unwrap().code(), "51");
    for _ in 0..3 {
        let undone = std::iter::from_fn(|| world.at_bank(COUPONS)).last().unwrap();
        assert_eq!(undone.wire.text(90)[4..10], coupon.wire.stan());
        world.bank_answers(&undone, "12");
        world.advance(30_000);
    }
    assert!(world.at_bank(COUPONS).is_none(), "refused three times: parked");
    assert_eq!(world.open_obligations(), 1);
    balanced(&world);
    world.sends(terminal, &purchase(1000).with(3, "200000").with(90, named));
    assert!(world.banks_are_quiet(), "another void waits for it");
    world.advance(TIMEOUT_MS + 10);
    assert_eq!(world.answer(terminal).unwrap().code(), "91");
    let id = *world.driver.core.durable.obligations.first_key_value().unwrap().0;
    world.driver.settle(id, "the platform gave it back by hand".into(), 1);
    world.step();
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
    world.crash();
    balanced(&world);
}
