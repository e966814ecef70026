//! Rule 6 and the kinds of rule 14: void, completion, cancels, refunds.

use crate::{approved, balanced};
use yika_tests::setup::{BANK_A, TIMEOUT_MS};
use yika_tests::world::mti;
use yika_tests::{Wire, World, purchase};

/// A request that names `original` by F90.
fn naming(original: &Wire, minor: u64, f3: &str) -> Wire {
    let named = format!("{}{}{}{:022}", original.mti, original.stan(), original.text(7), 0);
    purchase(minor).with(3, f3).with(90, named)
}

fn void(original: &Wire, minor: u64) -> Wire {
    naming(original, minor, "200000")
}

fn refund(original: &Wire, minor: u64) -> Wire {
    let mut wire = naming(original, minor, "200000");
    wire.mti = mti(0x0220);
    wire
}

fn pre_auth(minor: u64) -> Wire {
    let mut wire = purchase(minor).with(3, "030000").with(25, "06");
    wire.mti = mti(0x0100);
    wire
}

fn completion(original: &Wire, minor: u64) -> Wire {
    naming(original, minor, "000000").with(25, "06")
}

/// Sends, and gives the code: the bank's, when it is asked, is 00.
fn code(world: &mut World, terminal: yika_tests::Terminal, wire: &Wire) -> String {
    world.sends(terminal, wire);
    if let Some(request) = world.at_bank(BANK_A) {
        world.bank_answers(&request, "00");
    }
    world.answer(terminal).unwrap().code()
}

#[test]
fn rule_06_a_void_takes_the_whole_payment_back_once() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, _) = approved(&mut world, terminal, &purchase(100));
    assert_eq!(code(&mut world, terminal, &void(&sent, 99)), "64", "full amount only");
    world.sends(terminal, &void(&sent, 100));
    let request = world.at_bank(BANK_A).unwrap();
    assert_eq!(&request.wire.text(90)[4..10], "000001", "named as the bank knows it");
    world.sends(terminal, &void(&sent, 100));
    assert_eq!(world.answer(terminal).unwrap().code(), "94", "a second while one is in flight");
    world.bank_answers(&request, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    assert_eq!(code(&mut world, terminal, &void(&sent, 100)), "12");
    assert_eq!(code(&mut world, terminal, &refund(&sent, 100)), "12");
    balanced(&world);
}

#[test]
fn rule_06_a_void_needs_the_same_terminal_and_business_date() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, answer) = approved(&mut world, terminal, &purchase(100));
    let elsewhere = void(&sent, 100).with(41, "TERM0002").with(37, answer.text(37));
    assert_eq!(code(&mut world, terminal, &elsewhere), "25", "another terminal's payment is not found");
    world.driver.cut_over(1);
    world.step();
    assert_eq!(code(&mut world, terminal, &void(&sent, 100)), "12", "another business date");
    balanced(&world);
}

#[test]
fn rule_04_a_silent_void_is_reversed_and_the_original_stands_again() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, _) = approved(&mut world, terminal, &purchase(100));
    world.sends(terminal, &void(&sent, 100));
    world.at_bank(BANK_A).unwrap();
    world.advance(TIMEOUT_MS + 10);
    assert_eq!(world.answer(terminal).unwrap().code(), "68");
    let reversal = world.at_bank(BANK_A).unwrap();
    assert_eq!(reversal.wire.mti, mti(0x0420));
    world.bank_answers(&reversal, "00");
    assert_eq!(code(&mut world, terminal, &void(&sent, 100)), "00", "it can be voided again");
    balanced(&world);
}

#[test]
fn rule_04_reversing_an_approved_void_reinstates_the_payment() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, _) = approved(&mut world, terminal, &purchase(100));
    let voided = world.sends(terminal, &void(&sent, 100));
    let request = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&request, "00");
    world.answer(terminal).unwrap();
    world.sends_raw(terminal, &voided.reversal("000400"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    let request = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&request, "00");
    assert_eq!(code(&mut world, terminal, &refund(&sent, 100)), "00", "there is money to give back again");
    balanced(&world);
}

#[test]
fn rule_06_a_pre_authorization_is_a_hold_completed_once_within_115_percent() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (held, _) = approved(&mut world, terminal, &pre_auth(1000));
    let books: i64 = world.driver.core.durable.books.books().map(|(_, book)| book.told).sum();
    assert_eq!(books, 0, "P7: a hold is no money");
    assert_eq!(code(&mut world, terminal, &completion(&held, 1151)), "64");
    assert_eq!(code(&mut world, terminal, &completion(&held, 1150)), "00");
    assert_eq!(code(&mut world, terminal, &completion(&held, 100)), "12", "once");
    let books: i64 = world.driver.core.durable.books.books().map(|(_, book)| book.told).sum();
    assert_eq!(books, 1150);
    balanced(&world);
}

#[test]
fn rule_06_a_cancelled_hold_cannot_be_completed() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (held, _) = approved(&mut world, terminal, &pre_auth(1000));
    let mut cancel = naming(&held, 1000, "200000").with(25, "06");
    cancel.mti = mti(0x0100);
    assert_eq!(code(&mut world, terminal, &cancel), "00");
    assert_eq!(code(&mut world, terminal, &completion(&held, 100)), "12");
    balanced(&world);
}

#[test]
fn rule_06_a_completion_is_cancelled_whole_and_not_after_a_refund() {
    for refunded in [false, true] {
        let mut world = World::new();
        let terminal = world.terminal();
        let (held, _) = approved(&mut world, terminal, &pre_auth(1000));
        let (completed, _) = approved(&mut world, terminal, &completion(&held, 1000));
        if refunded {
            assert_eq!(code(&mut world, terminal, &refund(&completed, 1000)), "00");
        }
        let cancel = naming(&completed, 1000, "200000").with(25, "06");
        let told = code(&mut world, terminal, &cancel);
        assert_eq!(told, if refunded { "12" } else { "00" }, "the money goes back once");
        let books: i64 = world.driver.core.durable.books.books().map(|(_, book)| book.told).sum();
        assert_eq!(books, 0);
        balanced(&world);
    }
}

#[test]
fn rule_06_a_refund_finds_its_payment_by_f37_after_its_f11_was_used_again() {
    let mut world = World::new();
    let terminal = world.terminal();
    let payment = |rrn: &str| purchase(1000).with(11, "000005").with(37, rrn);
    let (first, _) = approved(&mut world, terminal, &payment("000000000001"));
    world.advance(2_000);
    approved(&mut world, terminal, &payment("000000000002"));
    let refund = refund(&first, 300).with(37, "000000000001");
    assert_eq!(code(&mut world, terminal, &refund), "00");
    balanced(&world);
}

#[test]
fn rule_06_refunds_sum_to_at_most_the_original() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, _) = approved(&mut world, terminal, &purchase(1000));
    assert_eq!(code(&mut world, terminal, &refund(&sent, 600)), "00");
    assert_eq!(code(&mut world, terminal, &refund(&sent, 401)), "64");
    assert_eq!(code(&mut world, terminal, &refund(&sent, 400)), "00");
    assert_eq!(code(&mut world, terminal, &refund(&sent, 1)), "64");
    assert_eq!(
        code(&mut world, terminal, &refund(&sent, 1).with(2, "4111110000000008")),
        "25",
        "another card"
    );
    balanced(&world);
}

#[test]
fn rule_06_an_original_that_is_not_held_is_25_or_forwarded_by_route() {
    let stranger = Wire::new(0x0200).with(11, "000777").with(7, "1123000000");
    let mut world = World::new();
    let terminal = world.terminal();
    assert_eq!(code(&mut world, terminal, &refund(&stranger, 100)), "25");
    let mut settings = yika_tests::setup::config();
    settings.participants[1].link.as_mut().unwrap().forward_unknown_original = true;
    let mut world = World::with(settings);
    let terminal = world.terminal();
    world.sends(terminal, &refund(&stranger, 100));
    let request = world.at_bank(BANK_A).unwrap();
    assert_eq!(&request.wire.text(90)[..20], "02000007771123000000");
    world.bank_answers(&request, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    balanced(&world);
}

#[test]
fn rule_06_a_follow_up_with_its_originals_f37_does_not_hide_the_original() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (_, answer) = approved(&mut world, terminal, &purchase(1000));
    let by_reference = |minor: u64| {
        let mut wire = purchase(minor).with(3, "200000").with(37, answer.text(37));
        wire.mti = mti(0x0220);
        wire
    };
    assert_eq!(code(&mut world, terminal, &by_reference(300)), "00");
    assert_eq!(code(&mut world, terminal, &by_reference(300)), "00", "the payment is still found by its F37");
    assert_eq!(code(&mut world, terminal, &by_reference(500)), "64");
    balanced(&world);
}

#[test]
fn rule_05_a_reversal_of_a_payment_whose_void_is_in_flight_undoes_both() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, _) = approved(&mut world, terminal, &purchase(100));
    world.sends(terminal, &void(&sent, 100));
    let asked = world.at_bank(BANK_A).unwrap();
    world.sends_raw(terminal, &sent.reversal("000700"));
    assert_eq!(world.answer(terminal).unwrap().code(), "12", "the void ends as reversed");
    assert_eq!(world.answer(terminal).unwrap().code(), "00", "and the reversal is taken");
    world.bank_answers(&asked, "00");
    let mut named = Vec::new();
    while let Some(request) = world.at_bank(BANK_A) {
        named.push(request.wire.text(90)[4..10].to_owned());
        world.bank_answers(&request, "00");
    }
    assert_eq!(named, [asked.wire.stan(), "000001".to_owned()], "first the void, then the payment");
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

/// Sends a reversal; its code, and which message of what type reached the bank with it (and was acknowledged).
fn reverses(world: &mut World, terminal: yika_tests::Terminal, reversal: &Wire) -> (String, Vec<String>) {
    world.sends_raw(terminal, reversal);
    let code = world.answer(terminal).unwrap().code();
    let mut undone = Vec::new();
    while let Some(request) = world.at_bank(BANK_A) {
        assert_eq!(request.wire.mti, mti(0x0420));
        undone.push(request.wire.text(90)[..10].to_owned());
        world.bank_answers(&request, "00");
    }
    (code, undone)
}

/// Only what a bank did is undone there, and once.
fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn rule_05_a_completed_hold_is_not_reversed_until_its_completion_is_undone() {
    for cancelled in [false, true] {
        let mut world = World::new();
        let terminal = world.terminal();
        let (held, _) = approved(&mut world, terminal, &pre_auth(1000));
        let (completed, _) = approved(&mut world, terminal, &completion(&held, 900));
        let early = held.reversal("000700");
        assert_eq!(reverses(&mut world, terminal, &early), ("25".into(), nothing()), "its money was taken");
        if cancelled {
            let cancel = naming(&completed, 900, "200000").with(25, "06");
            assert_eq!(code(&mut world, terminal, &cancel), "00");
        } else {
            let undone = reverses(&mut world, terminal, &completed.reversal("000701"));
            assert_eq!(undone, ("00".into(), vec!["0200000002".into()]));
        }
        let repeated = early.repeated();
        assert_eq!(
            reverses(&mut world, terminal, &repeated),
            ("25".into(), nothing()),
            "the same answer again"
        );
        let undone = reverses(&mut world, terminal, &held.reversal("000702"));
        assert_eq!(undone, ("00".into(), vec!["0100000001".into()]));
        let again = reverses(&mut world, terminal, &held.reversal("000703"));
        assert_eq!(again, ("00".into(), nothing()), "once");
        assert_eq!(code(&mut world, terminal, &completion(&held, 900)), "12");
        world.crash();
        balanced(&world);
    }
}

#[test]
fn rule_05_a_hold_that_was_reversed_cannot_be_completed() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (held, _) = approved(&mut world, terminal, &pre_auth(1000));
    let undone = reverses(&mut world, terminal, &held.reversal("000700"));
    assert_eq!(undone, ("00".into(), vec!["0100000001".into()]));
    world.sends(terminal, &completion(&held, 1000));
    assert_eq!(world.answer(terminal).unwrap().code(), "12");
    assert!(world.banks_are_quiet());
    balanced(&world);
}

#[test]
fn rule_06_a_cancelled_completion_gives_its_hold_back_and_takes_it_again_when_the_cancel_is_reversed() {
    for moved_on in [false, true] {
        let mut world = World::new();
        let terminal = world.terminal();
        let (held, _) = approved(&mut world, terminal, &pre_auth(1000));
        let (completed, _) = approved(&mut world, terminal, &completion(&held, 1000));
        let cancel = naming(&completed, 1000, "200000").with(25, "06");
        let (cancel, _) = approved(&mut world, terminal, &cancel);
        if moved_on {
            approved(&mut world, terminal, &completion(&held, 500));
        }
        let undone = reverses(&mut world, terminal, &cancel.reversal("000700"));
        let expected =
            if moved_on { ("25".into(), nothing()) } else { ("00".into(), vec!["0200000003".into()]) };
        assert_eq!(undone, expected, "one hold is never completed twice");
        assert_eq!(code(&mut world, terminal, &completion(&held, 100)), "12");
        let books: i64 = world.driver.core.durable.books.books().map(|(_, book)| book.told).sum();
        assert_eq!(books, if moved_on { 500 } else { 1000 });
        balanced(&world);
    }
}

#[test]
fn rule_05_a_reversal_of_a_hold_whose_completion_is_in_flight_undoes_both() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (held, _) = approved(&mut world, terminal, &pre_auth(1000));
    world.sends(terminal, &completion(&held, 900));
    let asked = world.at_bank(BANK_A).unwrap();
    world.sends_raw(terminal, &held.reversal("000700"));
    assert_eq!(world.answer(terminal).unwrap().code(), "12", "the completion ends as reversed");
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    world.bank_answers(&asked, "00");
    let mut named = Vec::new();
    while let Some(request) = world.at_bank(BANK_A) {
        named.push(request.wire.text(90)[..10].to_owned());
        world.bank_answers(&request, "00");
    }
    assert_eq!(named, ["0200000002", "0100000001"], "first the completion, then the hold");
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

#[test]
fn rule_05_a_reversal_of_what_was_voided_is_00_without_effect_and_of_what_was_refunded_25() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, _) = approved(&mut world, terminal, &purchase(100));
    assert_eq!(code(&mut world, terminal, &void(&sent, 100)), "00");
    world.sends_raw(terminal, &sent.reversal("000700"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    let (sent, _) = approved(&mut world, terminal, &purchase(100));
    assert_eq!(code(&mut world, terminal, &refund(&sent, 40)), "00");
    world.sends_raw(terminal, &sent.reversal("000702"));
    assert_eq!(world.answer(terminal).unwrap().code(), "25");
    assert!(world.at_bank(BANK_A).is_none());
    balanced(&world);
}

#[test]
fn rule_06_a_payment_older_than_the_window_is_not_held_however_quiet_it_was_since() {
    for back in ["reversal", "refund"] {
        let mut world = World::new();
        let terminal = world.terminal();
        let (sent, _) = approved(&mut world, terminal, &purchase(100));
        world.advance(602_000);
        assert_eq!(world.driver.core.durable.originals.len(), 1);
        world.now.mono_us += 86_400_000_000;
        world.advance(10);
        let terminal = world.terminal();
        if back == "reversal" {
            assert_eq!(reverses(&mut world, terminal, &sent.reversal("000700")), ("00".into(), nothing()));
        } else {
            assert_eq!(code(&mut world, terminal, &refund(&sent, 100)), "25");
        }
        assert!(world.driver.core.durable.originals.is_empty());
        balanced(&world);
    }
}

#[test]
fn rule_11_a_void_is_of_the_whole_and_never_partly_approved() {
    let mut settings = yika_tests::setup::config();
    settings.participants[1].link.as_mut().unwrap().partial_approval = true;
    let mut world = World::with(settings);
    let terminal = world.terminal();
    let (sent, _) = approved(&mut world, terminal, &purchase(100));
    world.sends(terminal, &void(&sent, 100));
    let request = world.at_bank(BANK_A).unwrap();
    let part = world.answer_to(&request, "10").with(4, "000000000040");
    world.bank_sends(&request, &part);
    assert_eq!(world.answer(terminal).unwrap().code(), "51");
    let undone = world.at_bank(BANK_A).unwrap();
    assert_eq!(undone.wire.text(90)[4..10], request.wire.stan());
    world.bank_answers(&undone, "00");
    assert_eq!(code(&mut world, terminal, &void(&sent, 100)), "00", "the payment stands and can be voided");
    balanced(&world);
}
