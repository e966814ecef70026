//! Rule 4, 9, 12 and promises P4, P6: what becomes of a leg that is not answered, and of late answers.

use crate::balanced;
use yika_switch::core::effect::Alarm;
use yika_switch::core::ids::{LineId, ObligationId};
use yika_tests::setup::{BANK_A, TIMEOUT_MS, config};
use yika_tests::world::mti;
use yika_tests::{BankRequest, Terminal, Wire, World, purchase};

#[test]
fn rule_04_a_silent_purchase_is_declined_and_reversed_until_acknowledged() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    let request = world.at_bank(BANK_A).unwrap();
    world.advance(TIMEOUT_MS - 20);
    assert!(world.answer(terminal).is_none());
    world.advance(30);
    assert_eq!(world.answer(terminal).unwrap().code(), "68");
    let first = world.at_bank(BANK_A).unwrap();
    assert_eq!(first.wire.mti, mti(0x0420));
    assert_eq!(&first.wire.text(90)[4..10], request.wire.stan());
    world.advance(TIMEOUT_MS + 1000);
    let again = world.at_bank(BANK_A).unwrap();
    assert_eq!(
        (again.wire.mti, again.wire.stan()),
        (mti(0x0421), first.wire.stan()),
        "rule 1: only the repeat digit"
    );
    world.bank_answers(&again, "00");
    world.advance(60_000);
    assert!(world.at_bank(BANK_A).is_none());
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

#[test]
fn rule_04_a_decline_has_the_f37_that_the_request_lacked() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    let request = world.at_bank(BANK_A).unwrap();
    world.advance(TIMEOUT_MS + 10);
    let told = world.answer(terminal).unwrap();
    assert_eq!((told.code().as_str(), told.text(37)), ("68", request.wire.text(37)));
    world.goes_down(BANK_A);
    for wire in [purchase(200), purchase(0), purchase(300).with(2, "5000000000000000")] {
        world.sends(terminal, &wire);
        let told = world.answer(terminal).unwrap();
        assert!(told.code() != "00" && told.text(37).len() == 12, "{told:?}");
    }
}

#[test]
fn rule_04_a_silent_balance_owes_nothing() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.sends(terminal, &purchase(0).with(3, "310000"));
    world.at_bank(BANK_A).unwrap();
    world.advance(TIMEOUT_MS + 10);
    assert_eq!(world.answer(terminal).unwrap().code(), "68");
    assert!(world.at_bank(BANK_A).is_none());
    assert_eq!(world.open_obligations(), 0);
}

#[test]
fn rule_04_an_approved_balance_owes_nothing_either() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.sends(terminal, &purchase(0).with(3, "310000"));
    let request = world.at_bank(BANK_A).unwrap();
    let answer = world.answer_to(&request, "00").with(54, "0002156C000000012345");
    world.bank_sends(&request, &answer);
    let told = world.answer(terminal).unwrap();
    assert_eq!((told.code().as_str(), told.text(54).as_str()), ("00", "0002156C000000012345"));
    assert_eq!(world.open_obligations(), 0);
    assert!(world.at_bank(BANK_A).is_none());
    balanced(&world);
}

#[test]
fn rule_04_a_silent_refund_is_accepted_and_repeated() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (_, answer) = crate::approved(&mut world, terminal, &purchase(1000));
    let mut refund = purchase(300).with(3, "200000").with(37, answer.text(37));
    refund.mti = mti(0x0220);
    world.sends(terminal, &refund);
    let first = world.at_bank(BANK_A).unwrap();
    assert_eq!(first.wire.mti, mti(0x0220));
    world.advance(TIMEOUT_MS + 10);
    assert_eq!(world.answer(terminal).unwrap().code(), "00", "taken into custody");
    let again = world.at_bank(BANK_A).unwrap();
    assert_eq!((again.wire.mti, again.wire.stan()), (mti(0x0221), first.wire.stan()));
    world.bank_answers(&again, "00");
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

#[test]
fn rule_09_nothing_sent_is_declined_91_and_owes_nothing() {
    let mut world = World::new();
    world.goes_down(BANK_A);
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    assert_eq!(world.answer(terminal).unwrap().code(), "91");
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

/// Sends `wire`, and the bank's line goes down between the decision and the write.
fn loses_its_line(world: &mut World, terminal: Terminal, wire: &Wire) {
    world.commits = false;
    world.sends(terminal, wire);
    world.goes_down(BANK_A);
    world.commits = true;
    world.step();
}

#[test]
fn rule_09_a_line_lost_before_the_write_is_nothing_sent() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (_, answer) = crate::approved(&mut world, terminal, &purchase(1000));
    let mut refund = purchase(300).with(3, "200000").with(37, answer.text(37));
    refund.mti = mti(0x0220);
    for wire in [purchase(100), refund] {
        loses_its_line(&mut world, terminal, &wire);
        assert_eq!(world.answer(terminal).unwrap().code(), "91");
        assert_eq!(world.open_obligations(), 0);
        world.comes_up(BANK_A);
        assert!(world.at_bank(BANK_A).is_none(), "nothing is owed that never left");
        balanced(&world);
    }
}

#[test]
fn rule_09_a_request_that_no_byte_left_of_goes_out_on_another_line() {
    let mut config = config();
    config.participants[1].link.as_mut().unwrap().lines = 2;
    let mut world = World::with(config);
    let terminal = world.terminal();
    world.deaf.insert(BANK_A.into());
    world.sends(terminal, &purchase(100));
    let [line] = world.lines_with_pending()[..] else { panic!("it waits on one line") };
    world.deaf.clear();
    world.loses_line(line);
    let request = world.at_bank(BANK_A).unwrap();
    assert_ne!(request.line, line);
    world.bank_answers(&request, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    assert!(world.banks_are_quiet() && world.open_obligations() == 0);
    balanced(&world);
}

/// Bank A on two lines, deaf: what it is sent waits on the line that is given.
fn waits_on_a_line(wire: &Wire) -> (World, Terminal, LineId) {
    let mut config = config();
    config.participants[1].link.as_mut().unwrap().lines = 2;
    let mut world = World::with(config);
    let terminal = world.terminal();
    world.deaf.insert(BANK_A.into());
    world.sends(terminal, wire);
    let [line] = world.lines_with_pending()[..] else { panic!("it waits on one line") };
    (world, terminal, line)
}

/// Its line is lost: it goes nowhere, and nothing is owed.
fn it_never_left(mut world: World, line: LineId) {
    world.deaf.clear();
    world.loses_line(line);
    world.advance(1000);
    assert!(world.banks_are_quiet(), "it never left, and nothing is owed");
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

#[test]
fn rule_09_a_request_whose_time_has_passed_is_not_handed_to_another_line() {
    let (mut world, terminal, line) = waits_on_a_line(&purchase(100));
    world.advance(TIMEOUT_MS + 10);
    assert_eq!(world.answer(terminal).unwrap().code(), "68");
    it_never_left(world, line);
}

#[test]
fn rule_09_a_request_that_its_terminal_took_back_is_not_handed_to_another_line() {
    let (mut world, terminal, line) = waits_on_a_line(&purchase(100).with(11, "000070"));
    world.sends(terminal, &Wire { mti: mti(0x0400), ..purchase(100) }.with(11, "000070"));
    assert_eq!(world.answer(terminal).unwrap().code(), "12");
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    it_never_left(world, line);
}

#[test]
fn rule_08_an_obligation_that_was_sent_again_or_settled_meanwhile_is_not_handed_to_another_line() {
    for settled in [false, true] {
        let (mut world, terminal, line) = waits_on_a_line(&Wire { mti: mti(0x0220), ..purchase(100) });
        assert_eq!(world.answer(terminal).unwrap().code(), "00");
        let id = *world.driver.core.durable.obligations.first_key_value().unwrap().0;
        if settled {
            world.driver.settle(id, "by phone".into(), 1);
            world.step();
        } else {
            world.advance(TIMEOUT_MS + 1_000);
            assert_eq!(world.lines_with_pending().len(), 2, "the next attempt waits on the other line");
        }
        world.deaf.clear();
        world.loses_line(line);
        world.advance(10);
        let mut got = 0;
        while let Some(request) = world.at_bank(BANK_A) {
            assert_ne!(request.line, line);
            got += 1;
        }
        assert_eq!(got, usize::from(!settled), "one attempt of each, at most");
        balanced(&world);
    }
}

#[test]
fn rule_09_a_request_that_a_byte_left_of_stays_where_it_was_sent() {
    let mut config = config();
    config.participants[1].link.as_mut().unwrap().lines = 2;
    let mut world = World::with(config);
    let terminal = world.terminal();
    world.deaf.insert(BANK_A.into());
    world.sends(terminal, &purchase(100));
    let [line] = world.lines_with_pending()[..] else { panic!("it waits on one line") };
    world.driver.line_wrote(line, 1);
    world.deaf.clear();
    world.loses_line(line);
    assert!(world.at_bank(BANK_A).is_none(), "its fate is unknown: it is not sent again");
    world.advance(TIMEOUT_MS + 10);
    assert_eq!(world.answer(terminal).unwrap().code(), "68");
    assert_eq!(world.at_bank(BANK_A).unwrap().wire.mti, mti(0x0420));
}

#[test]
fn rule_09_a_refund_told_while_the_journal_stood_still_goes_out_for_the_first_time() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (_, answer) = crate::approved(&mut world, terminal, &purchase(1000));
    let mut refund = purchase(300).with(3, "200000").with(37, answer.text(37));
    refund.mti = mti(0x0220);
    world.commits = false;
    world.sends(terminal, &refund);
    world.advance(TIMEOUT_MS + 10);
    assert!(world.at_bank(BANK_A).is_none() && world.answer(terminal).is_none());
    world.commits = true;
    world.step();
    assert_eq!(world.answer(terminal).unwrap().code(), "00", "taken into custody");
    let first = world.at_bank(BANK_A).unwrap();
    assert_eq!(first.wire.amount(), 300);
    world.bank_answers(&first, "00");
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

#[test]
fn p6_a_late_approval_changes_no_outcome_and_its_reversal_exists() {
    let mut world = World::new();
    let terminal = world.terminal();
    let sent = world.sends(terminal, &purchase(100));
    let request = world.at_bank(BANK_A).unwrap();
    world.advance(TIMEOUT_MS + 10);
    assert_eq!(world.answer(terminal).unwrap().code(), "68");
    world.bank_answers(&request, "00");
    assert!(world.answer(terminal).is_none());
    assert!(world.alarms.iter().any(|alarm| matches!(alarm, Alarm::LateApproval { .. })));
    balanced(&world);
    let reversal = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&reversal, "00");
    assert_eq!(world.open_obligations(), 0);
    world.sends_raw(terminal, &sent.repeated());
    assert_eq!(world.answer(terminal).unwrap().code(), "68");
    world.bank_answers(&request, "00");
    balanced(&world);
}

#[test]
fn p6_a_late_approval_after_an_unknown_reversal_opens_it_again() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    let request = world.at_bank(BANK_A).unwrap();
    world.advance(TIMEOUT_MS + 10);
    world.answer(terminal).unwrap();
    let reversal = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&reversal, "25");
    assert_eq!(world.open_obligations(), 0, "rule 7: a 25 this late is believed");
    world.bank_answers(&request, "00");
    assert_eq!(world.open_obligations(), 1, "P6: the approval re-opens it");
    balanced(&world);
    let again = world.at_bank(BANK_A).unwrap();
    assert_eq!(&again.wire.text(90)[4..10], request.wire.stan());
    world.bank_answers(&again, "00");
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

#[test]
fn p6_an_answer_that_comes_twice_counts_once() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    let request = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&request, "00");
    world.bank_answers(&request, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    assert!(world.answer(terminal).is_none());
    assert_eq!(world.driver.core.counters.unmatched_unknown_key, 1);
    balanced(&world);
}

#[test]
fn rule_12_codes_come_from_the_originators_dialect() {
    let mut world = World::new();
    let pos = world.terminal_at(1);
    world.sends(pos, &purchase(100).with(60, "22000001"));
    world.at_bank(BANK_A).unwrap();
    world.advance(TIMEOUT_MS + 10);
    assert_eq!(world.answer(pos).unwrap().code(), "98", "pos says 98 where iso87 says 68");
    let iso = world.terminal();
    for (wire, code) in [
        (purchase(100).with(2, "5555550000000004"), "92"),
        (purchase(0), "13"),
        (purchase(100).without(2), "30"),
        (purchase(100).with(3, "990000"), "40"),
    ] {
        world.sends(iso, &wire);
        assert_eq!(world.answer(iso).unwrap().code(), code);
    }
    let mut settings = config();
    settings.listeners[0].currencies = vec![156];
    let mut world = World::with(settings);
    let iso = world.terminal();
    world.sends(iso, &purchase(100).with(49, "840"));
    assert_eq!(world.answer(iso).unwrap().code(), "12");
}

#[test]
fn p6_a_reversal_that_ended_unknown_opens_again_also_after_a_restart() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    let request = world.at_bank(BANK_A).unwrap();
    world.advance(TIMEOUT_MS + 10);
    let reversal = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&reversal, "25");
    world.crash();
    assert_eq!(world.open_obligations(), 0);
    world.bank_answers(&request, "00");
    assert_eq!(world.open_obligations(), 1);
    let again = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&again, "00");
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

#[test]
fn p9_beyond_the_bound_of_late_answers_the_oldest_is_unmatched_and_its_reversal_stays() {
    let mut settings = config();
    settings.bounds.late_max = 1;
    let mut world = World::with(settings);
    let terminal = world.terminal();
    let asked = [100, 200].map(|minor| {
        world.sends(terminal, &purchase(minor).with(2, format!("411111000000{minor:04}")));
        world.at_bank(BANK_A).unwrap()
    });
    world.advance(TIMEOUT_MS + 10);
    for request in &asked {
        world.bank_answers(request, "00");
    }
    let counters = &world.driver.core.counters;
    assert_eq!((counters.unmatched_unknown_key, counters.late_approvals), (1, 1));
    assert_eq!(world.open_obligations(), 2);
    while let Some(reversal) = world.at_bank(BANK_A) {
        world.bank_answers(&reversal, "00");
    }
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

#[test]
fn p6_at_the_bound_of_late_answers_those_go_first_whose_reversal_is_acknowledged() {
    let (mut world, mut silent) = world_of_watches(2);
    let (unknown, its_reversal) = silent(&mut world);
    let (_, acknowledged) = silent(&mut world);
    world.bank_answers(&its_reversal, "25");
    world.bank_answers(&acknowledged, "00");
    // A third to watch for: the second goes, from which nothing can come, and not the older first.
    let (_, third) = silent(&mut world);
    world.bank_answers(&third, "00");
    world.bank_answers(&unknown, "00");
    assert_eq!(world.open_obligations(), 1, "it is owed again");
    let again = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&again, "00");
    assert_eq!((world.open_obligations(), world.driver.core.counters.ended_forgotten), (0, 0));
    balanced(&world);
}

/// A world in which so many watches for late answers may stand, and what makes one: a payment that the bank never answers.
fn world_of_watches(late_max: usize) -> (World, impl FnMut(&mut World) -> (BankRequest, BankRequest)) {
    let mut settings = config();
    settings.bounds.late_max = late_max;
    let mut world = World::with(settings);
    let terminal = world.terminal();
    let mut minor = 0;
    let silent = move |world: &mut World| {
        minor += 1;
        world.sends(terminal, &purchase(minor).with(2, format!("411111000000{minor:04}")));
        let request = world.at_bank(BANK_A).unwrap();
        world.advance(TIMEOUT_MS + 10);
        (request, world.at_bank(BANK_A).unwrap())
    };
    (world, silent)
}

#[test]
fn p6_at_the_bound_of_late_answers_the_oldest_goes_where_each_is_needed() {
    let (mut world, mut silent) = world_of_watches(70);
    let unknown: Vec<BankRequest> = (0..70)
        .map(|_| {
            let (request, its_reversal) = silent(&mut world);
            world.bank_answers(&its_reversal, "25");
            request
        })
        .collect();
    let (_, last) = silent(&mut world);
    world.bank_answers(&last, "00");
    for request in &unknown {
        world.bank_answers(request, "00");
    }
    assert_eq!(world.open_obligations(), 69, "all but the first are owed again");
    balanced(&world);
}

#[test]
fn p7_at_the_bound_of_late_answers_one_whose_reversal_is_an_exception_is_not_let_go_first() {
    let (mut world, mut silent) = world_of_watches(2);
    let (settled, _) = silent(&mut world);
    world.driver.settle(ObligationId(1), "the bank says that it has nothing".into(), 7);
    world.step();
    let (_, acknowledged) = silent(&mut world);
    world.bank_answers(&acknowledged, "00");
    let (_, last) = silent(&mut world);
    world.bank_answers(&last, "00");
    world.bank_answers(&settled, "00");
    let exceptions = &world.driver.core.durable.exceptions;
    assert_eq!(exceptions.values().map(|one| one.books).sum::<i64>(), -1, "what the bank had is named");
    balanced(&world);
}

#[test]
fn p6_a_late_approval_after_an_operator_settled_its_reversal_is_named_in_the_exception() {
    for crash in [false, true] {
        let mut world = World::new();
        let terminal = world.terminal();
        world.sends(terminal, &purchase(100));
        let request = world.at_bank(BANK_A).unwrap();
        world.advance(TIMEOUT_MS + 10);
        world.driver.settle(ObligationId(1), "the bank says that it has nothing".into(), 7);
        world.step();
        assert_eq!(world.open_obligations(), 0);
        world.bank_answers(&request, "00");
        let durable = &world.driver.core.durable;
        assert_eq!(durable.books.books().map(|(_, book)| book.agreed).sum::<i64>(), 100, "it had");
        assert_eq!(durable.exceptions.values().map(|one| one.books).sum::<i64>(), -100, "and owes it");
        if crash {
            world.crash();
        }
        world.bank_answers(&request, "00");
        assert_eq!(world.driver.core.durable.exceptions.values().map(|one| one.books).sum::<i64>(), -100);
        balanced(&world);
    }
}

/// A refund that was taken into custody, and the first message of it that the bank saw.
fn refund_in_custody(world: &mut World) -> (Terminal, Wire, BankRequest) {
    let terminal = world.terminal();
    let (_, answer) = crate::approved(world, terminal, &purchase(1000));
    let refund = Wire { mti: mti(0x0220), ..purchase(300).with(3, "200000").with(37, answer.text(37)) };
    let sent = world.sends(terminal, &refund);
    let first = world.at_bank(BANK_A).unwrap();
    world.advance(TIMEOUT_MS + 10);
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    (terminal, sent, first)
}

#[test]
fn p6_a_late_partial_answer_does_not_pay_a_refund_that_was_told_whole() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    world.at_bank(BANK_A).unwrap();
    world.advance(TIMEOUT_MS + 10);
    world.answer(terminal).unwrap();
    let ahead = world.at_bank(BANK_A).expect("the card's reversal, which keeps the repeat back");
    let (_, _, first) = refund_in_custody(&mut world);
    while world.at_bank(BANK_A).is_some() {}
    let part = world.answer_to(&first, "10").with(4, "000000000100");
    world.bank_sends(&first, &part);
    assert_eq!(world.open_obligations(), 2, "the whole is still owed");
    world.bank_answers(&ahead, "00");
    let repeat = world.at_bank(BANK_A).unwrap();
    assert_eq!((repeat.wire.mti, repeat.wire.amount()), (mti(0x0221), 300));
    world.bank_answers(&repeat, "00");
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

#[test]
fn rule_04_a_refund_in_custody_and_its_reversal_reach_the_bank_in_order_and_net_to_zero() {
    let mut world = World::new();
    let (terminal, sent, _) = refund_in_custody(&mut world);
    world.sends_raw(terminal, &sent.reversal("000400"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    world.crash();
    world.advance(1000);
    let repeat = world.at_bank(BANK_A).unwrap();
    assert_eq!(repeat.wire.mti, mti(0x0221));
    assert!(world.at_bank(BANK_A).is_none(), "the refund goes first");
    world.bank_answers(&repeat, "00");
    let undone = world.at_bank(BANK_A).unwrap();
    assert_eq!(&undone.wire.text(90)[..10], format!("0220{}", repeat.wire.stan()));
    world.bank_answers(&undone, "00");
    assert_eq!(world.open_obligations(), 0);
    let agreed: i64 = world.driver.core.durable.books.books().map(|(_, book)| book.agreed).sum();
    assert_eq!(agreed, 1000);
    balanced(&world);
}

#[test]
fn p9_a_bank_that_answers_late_by_the_hundred_makes_a_line_a_minute_and_a_count() {
    let mut world = World::new();
    let terminal = world.terminal();
    let late = |world: &mut World, count| {
        let asked: Vec<_> = (0..count)
            .map(|_| {
                world.sends(terminal, &purchase(100));
                world.at_bank(BANK_A).unwrap()
            })
            .collect();
        world.advance(TIMEOUT_MS + 10);
        for request in &asked {
            world.bank_answers(request, "00");
        }
        while world.at_bank(BANK_A).is_some() {}
    };
    late(&mut world, 100);
    world.advance(60_000);
    while world.at_bank(BANK_A).is_some() {}
    late(&mut world, 1);
    let told: Vec<u64> = world
        .alarms
        .iter()
        .filter_map(|alarm| match alarm {
            Alarm::LateApproval { held_back, .. } => Some(*held_back),
            _ => None,
        })
        .collect();
    assert_eq!(told, [0, 99]);
    assert_eq!(world.driver.core.counters.late_approvals, 101);
    balanced(&world);
}
