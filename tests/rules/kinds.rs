//! Rule 14: kinds that other tests do not walk from end to end: plain authorizations, their advices, repeats and
//! completions, cash, and network advices (0820).

use crate::{approved, balanced};
use yika_switch::core::ids::LineId;
use yika_switch::core::settings::StandIn;
use yika_tests::setup::{BANK_A, BANK_B, TIMEOUT_MS, config};
use yika_tests::world::mti;
use yika_tests::{Wire, World, purchase};

fn authorization(minor: u64) -> Wire {
    Wire { mti: mti(0x0100), ..purchase(minor) }
}

fn naming(of: &Wire) -> String {
    format!("{}{}{}{:022}", of.mti, of.stan(), of.text(7), 0)
}

fn told(world: &World) -> i64 {
    world.driver.core.durable.books.books().map(|(_, book)| book.told).sum()
}

#[test]
fn rule_14_a_plain_authorization_is_a_hold_until_it_is_completed() {
    let mut world = World::new();
    let terminal = world.terminal();
    let sent = world.sends(terminal, &authorization(1000));
    let request = world.at_bank(BANK_A).unwrap();
    assert_eq!((request.wire.mti, request.wire.text(25)), (mti(0x0100), "00".into()));
    world.bank_answers(&request, "00");
    let answer = world.answer(terminal).unwrap();
    assert_eq!((answer.mti, answer.code()), (mti(0x0110), "00".into()));
    assert_eq!(told(&world), 0, "P7: a hold is no money");
    let (completed, _) =
        approved(&mut world, terminal, &purchase(900).with(25, "06").with(90, naming(&sent)));
    assert_eq!(told(&world), 900);
    world.sends(terminal, &completed.without(11));
    assert_eq!(world.answer(terminal).unwrap().code(), "12", "once");
    balanced(&world);
}

#[test]
fn rule_14_a_silent_authorization_is_reversed_with_f90_naming_an_0100() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.sends(terminal, &authorization(1000));
    let request = world.at_bank(BANK_A).unwrap();
    world.advance(TIMEOUT_MS + 10);
    assert_eq!(world.answer(terminal).unwrap().code(), "68");
    let reversal = world.at_bank(BANK_A).unwrap();
    assert_eq!(&reversal.wire.text(90)[..10], format!("0100{}", request.wire.stan()));
    world.bank_answers(&reversal, "00");
    assert_eq!((world.open_obligations(), told(&world)), (0, 0));
    balanced(&world);
}

#[test]
fn rule_14_a_repeated_authorization_0101_is_the_same_authorization() {
    let mut world = World::new();
    let terminal = world.terminal();
    let sent = world.sends(terminal, &authorization(1000));
    let request = world.at_bank(BANK_A).unwrap();
    let again = sent.repeated();
    assert_eq!(again.mti, mti(0x0101));
    world.sends_raw(terminal, &again);
    assert!(world.at_bank(BANK_A).is_none(), "in flight: it waits for the one answer");
    world.bank_answers(&request, "00");
    let (one, two) = (world.answer(terminal).unwrap(), world.answer(terminal).unwrap());
    assert_eq!((one.code(), one.text(38)), (two.code(), two.text(38)));
    world.crash();
    let terminal = world.terminal();
    world.sends_raw(terminal, &again);
    assert_eq!(world.answer(terminal).unwrap().text(38), one.text(38), "and after a restart");
    assert!(world.banks_are_quiet());
    balanced(&world);
}

#[test]
fn rule_14_an_authorization_that_is_stood_in_for_is_advised_by_0120_and_repeated_as_0121() {
    let mut settings = config();
    settings.participants[1].link.as_mut().unwrap().stand_in = Some(StandIn {
        per_transaction_max: 500,
        per_card_count_max: 2,
        per_card_sum_max: 800,
        issuer_sum_max: 2_000,
    });
    let mut world = World::with(settings);
    world.goes_down(BANK_A);
    let terminal = world.terminal();
    world.sends(terminal, &authorization(501));
    assert_eq!(world.answer(terminal).unwrap().code(), "91", "over the floor limit");
    let sent = world.sends(terminal, &authorization(500));
    let answer = world.answer(terminal).unwrap();
    assert_eq!(answer.code(), "00");
    world.comes_up(BANK_A);
    let advice = world.at_bank(BANK_A).unwrap();
    assert_eq!((advice.wire.mti, advice.wire.text(38)), (mti(0x0120), answer.text(38)));
    world.advance(TIMEOUT_MS + 1000);
    let again = world.at_bank(BANK_A).unwrap();
    assert_eq!((again.wire.mti, again.wire.stan()), (mti(0x0121), advice.wire.stan()));
    world.bank_answers(&again, "00");
    assert_eq!((world.open_obligations(), told(&world)), (0, 0));
    // The hold stands for a completion, which names the advice at the bank.
    world.sends(terminal, &purchase(400).with(25, "06").with(90, naming(&sent)));
    let completion = world.at_bank(BANK_A).unwrap();
    assert_eq!(&completion.wire.text(90)[..10], format!("0120{}", advice.wire.stan()));
    world.bank_answers(&completion, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    assert_eq!(told(&world), 400);
    balanced(&world);
}

#[test]
fn rule_14_a_terminals_own_authorization_advice_is_stored_and_told_to_the_bank() {
    let mut world = World::new();
    world.goes_down(BANK_A);
    let terminal = world.terminal();
    let sent = world.sends(terminal, &Wire { mti: mti(0x0120), ..purchase(300).with(38, "T12345") });
    let answer = world.answer(terminal).unwrap();
    assert_eq!((answer.mti, answer.code()), (mti(0x0130), "00".into()), "acknowledged: it is in custody");
    world.sends_raw(terminal, &sent.repeated());
    assert_eq!(world.answer(terminal).unwrap().code(), "00", "0121 is the same advice");
    assert_eq!(world.open_obligations(), 1);
    world.crash();
    world.comes_up(BANK_A);
    let advice = world.at_bank(BANK_A).unwrap();
    assert_eq!(advice.wire.mti, mti(0x0121), "an earlier life may have sent it");
    assert_eq!((advice.wire.amount(), advice.wire.text(38)), (300, "T12345".into()));
    world.bank_answers(&advice, "00");
    assert_eq!((world.open_obligations(), told(&world)), (0, 0), "P7: a hold is no money");
    balanced(&world);
}

#[test]
fn rule_14_a_completion_advice_0220_of_condition_06_completes_the_hold_it_names_once() {
    let mut world = World::new();
    let terminal = world.terminal();
    let hold = authorization(1000).with(3, "030000").with(25, "06");
    let (held, _) = approved(&mut world, terminal, &hold);
    let advice = Wire { mti: mti(0x0220), ..purchase(800).with(25, "06").with(90, naming(&held)) };
    world.goes_down(BANK_A);
    world.sends(terminal, &advice);
    let answer = world.answer(terminal).unwrap();
    assert_eq!((answer.mti, answer.code()), (mti(0x0230), "00".into()));
    assert_eq!(told(&world), 800);
    world.sends(terminal, &advice);
    assert_eq!(world.answer(terminal).unwrap().code(), "12", "rule 6: once");
    world.comes_up(BANK_A);
    let request = world.at_bank(BANK_A).unwrap();
    assert_eq!((request.wire.mti, request.wire.amount()), (mti(0x0220), 800));
    assert_eq!(request.wire.text(25), "06");
    assert_eq!(&request.wire.text(90)[..4], "0100", "it names the hold");
    world.bank_answers(&request, "00");
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

#[test]
fn rule_14_approved_cash_is_money_and_can_be_voided() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, _) = approved(&mut world, terminal, &purchase(500).with(3, "010000"));
    assert_eq!(told(&world), 500);
    let void = purchase(500).with(3, "200000").with(90, naming(&sent));
    approved(&mut world, terminal, &void);
    assert_eq!(told(&world), 0);
    // In the other dialect there is no such kind: nothing is asked.
    world.sends(terminal, &purchase(500).with(3, "010000").with(2, "6222000000000000003"));
    assert_eq!(world.answer(terminal).unwrap().code(), "40");
    assert!(world.at_bank(BANK_B).is_none());
    balanced(&world);
}

#[test]
fn rule_15_network_advices_0820_are_answered_0830_on_a_session_and_on_a_line() {
    let mut world = World::new();
    let terminal = world.terminal();
    let network = |code: &str| Wire::new(0x0820).with(7, "1123233015").with(11, "000001").with(70, code);
    for code in ["001", "301", "002"] {
        world.sends_raw(terminal, &network(code));
        let answer = world.answer(terminal).unwrap();
        assert_eq!((answer.mti, answer.code(), answer.text(70)), (mti(0x0830), "00".into(), code.into()));
    }
    world.sends_raw(terminal, &network("201"));
    assert_eq!(world.answer(terminal).unwrap().code(), "40", "a terminal moves no date");
    let line = LineId(0);
    for (code, carries) in [("301", true), ("002", false), ("001", true)] {
        world.bank_sends_on(line, &network(code), &[]);
        let answer = world.at_bank(BANK_A).unwrap();
        assert_eq!((answer.wire.mti, answer.wire.code()), (mti(0x0830), "00".into()));
        world.sends(terminal, &purchase(100));
        match world.at_bank(BANK_A) {
            Some(request) if carries => world.bank_answers(&request, "00"),
            request => assert!(request.is_none() && !carries, "{code}"),
        }
        assert_eq!(world.answer(terminal).unwrap().code(), if carries { "00" } else { "91" }, "{code}");
    }
    let before = world.driver.core.durable.dates.current;
    world.bank_sends_on(line, &network("201"), &[]);
    assert_eq!(world.at_bank(BANK_A).unwrap().wire.code(), "00");
    assert!(world.driver.core.durable.dates.current > before);
    balanced(&world);
}
