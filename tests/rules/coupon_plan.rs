//! Rule 18, what `coupons` leaves open: answers that are none or only a part, a crash between an entry and what it
//! releases, and a second leg that fails when a coupon purchase is undone. Whatever is undone is owed in the entry
//! of the outcome itself: the journal is read back for that.

use crate::balanced;
use crate::coupons::{begin, coupon_purchase, grant};
use std::collections::BTreeMap;
use yika_switch::core::entry::{Entry, LegState, Outcome, OwedKind, Reason};
use yika_switch::core::ids::Seq;
use yika_tests::setup::{BANK_A, COUPONS, TIMEOUT_MS, config};
use yika_tests::world::mti;
use yika_tests::{BankRequest, Terminal, Wire, World, purchase};

/// Every entry of the journal, read back from the disk.
fn entries(world: &World) -> Vec<Entry> {
    let reader = world.driver.journal().reader();
    (1..world.driver.core.durable.next_seq.0).map(|seq| reader.entry(Seq(seq)).unwrap()).collect()
}

/// The last outcome of the journal.
fn outcome(world: &World) -> Outcome {
    let found = entries(world).into_iter().rev().find_map(|entry| match entry {
        Entry::Outcome(outcome) => Some(*outcome),
        Entry::Taken(taken) if taken.reversal.is_none() => Some(taken.outcome),
        _ => None,
    });
    found.expect("a transaction ended")
}

/// What the last outcome owes, in its own entry: to whom, and what.
fn owed(world: &World) -> Vec<(String, OwedKind)> {
    let names = &world.driver.core.durable.participants;
    outcome(world).owed.iter().map(|owed| (names[&owed.participant].name.clone(), owed.kind)).collect()
}

/// A coupon purchase whose bank is being asked for its part of 700.
fn at_the_bank(world: &mut World) -> (Terminal, Wire, BankRequest) {
    let (terminal, sent, asked) = begin(world);
    grant(world, &asked, 300);
    let rest = world.at_bank(BANK_A).unwrap();
    assert_eq!(rest.wire.amount(), 700);
    (terminal, sent, rest)
}

/// Answers all that is owed until nothing is; how many different messages each got, and of which type.
fn discharge(world: &mut World) -> BTreeMap<(String, String), usize> {
    let mut seen = BTreeMap::new();
    for _ in 0..20 {
        for name in [COUPONS, BANK_A] {
            while let Some(request) = world.at_bank(name) {
                let kind = request.wire.mti.without_repeat().to_string();
                seen.entry((name.to_owned(), kind, request.wire.stan())).or_insert(());
                world.bank_answers(&request, "00");
            }
        }
        world.advance(500);
    }
    assert_eq!(world.open_obligations(), 0);
    let mut counts = BTreeMap::new();
    for (name, kind, _) in seen.into_keys() {
        *counts.entry((name, kind)).or_insert(0) += 1;
    }
    counts
}

fn reverse(name: &str) -> (String, OwedKind) {
    (name.to_owned(), OwedKind::Reverse)
}

fn reversed(names: &[&str]) -> BTreeMap<(String, String), usize> {
    names.iter().map(|name| (((*name).to_owned(), "0420".to_owned()), 1)).collect()
}

/// The terminal asks again after a restart.
fn asks_again(world: &mut World, sent: &Wire) -> String {
    let terminal = world.terminal();
    world.sends_raw(terminal, &sent.repeated());
    world.answer(terminal).unwrap().code()
}

#[test]
fn rule_18_a_part_from_the_bank_is_never_taken_whether_or_not_its_route_allows_partial_approval() {
    for partial_approval in [false, true] {
        let mut settings = config();
        settings.participants[1].link.as_mut().unwrap().partial_approval = partial_approval;
        let mut world = World::with(settings);
        let (terminal, _, rest) = at_the_bank(&mut world);
        let part = world.answer_to(&rest, "10").with(4, "000000000500");
        world.bank_sends(&rest, &part);
        assert_eq!(world.answer(terminal).unwrap().code(), "51");
        assert_eq!(owed(&world), [reverse(COUPONS), reverse(BANK_A)], "in the same entry");
        let ends: Vec<_> = outcome(&world).legs.iter().map(|end| (end.state, end.agreed)).collect();
        assert_eq!(ends, [(LegState::Compensated, 300), (LegState::Compensated, 500)]);
        assert_eq!(discharge(&mut world), reversed(&[COUPONS, BANK_A]));
        balanced(&world);
    }
}

#[test]
fn rule_18_what_is_no_answer_of_the_bank_lets_its_leg_run_to_the_time_out() {
    for garbled in ["amount", "card", "code", "bytes"] {
        let mut world = World::new();
        let (terminal, _, rest) = at_the_bank(&mut world);
        let good = world.answer_to(&rest, "00");
        match garbled {
            "amount" => world.bank_sends(&rest, &good.clone().with(4, "000000000701")),
            "card" => world.bank_sends(&rest, &good.clone().with(2, "4111110000000008")),
            "code" => world.bank_sends(&rest, &good.clone().without(39)),
            _ => {
                world.driver.line_bytes(rest.line, b"\x00\x100210garbagegarba", world.now);
                world.step();
            }
        }
        assert!(world.answer(terminal).is_none(), "{garbled}");
        world.advance(TIMEOUT_MS + 10);
        assert_eq!(world.answer(terminal).unwrap().code(), "68", "{garbled}");
        assert_eq!(owed(&world), [reverse(COUPONS), reverse(BANK_A)], "{garbled}");
        // The real answer comes late: recorded, and nothing changes but what the reversal undoes.
        world.bank_sends(&rest, &good);
        assert!(matches!(entries(&world).last(), Some(Entry::Late(_))), "{garbled}");
        assert_eq!(discharge(&mut world), reversed(&[COUPONS, BANK_A]), "{garbled}");
        balanced(&world);
    }
}

#[test]
fn rule_18_a_refused_coupon_is_the_reason_and_the_banks_leg_stays_planned() {
    for (code, minor, told) in [("51", None, "51"), ("00", Some(0), "51"), ("62", None, "62")] {
        let mut world = World::new();
        let (terminal, _, asked) = begin(&mut world);
        match minor {
            Some(minor) => grant(&mut world, &asked, minor),
            None => world.bank_answers(&asked, code),
        }
        assert_eq!(world.answer(terminal).unwrap().code(), told);
        let outcome = outcome(&world);
        assert_eq!(outcome.reason, Reason::Coupon);
        assert_eq!(outcome.legs.len(), 2);
        assert_eq!(outcome.legs[1].state, LegState::Planned, "never asked");
        assert!(world.at_bank(BANK_A).is_none());
        balanced(&world);
    }
    let mut world = World::new();
    world.goes_down(COUPONS);
    let terminal = world.terminal();
    world.sends(terminal, &coupon_purchase());
    let states: Vec<_> = outcome(&world).legs.iter().map(|end| end.state).collect();
    assert_eq!(states, [LegState::NotSent, LegState::Planned]);
    world.crash();
    balanced(&world);
}

/// The batch that waits becomes durable, and the machine dies before anything of it leaves.
fn durable_and_dead(world: &mut World) {
    assert!(world.driver.journal_mut().step().unwrap());
    world.commits = true;
    world.crash();
}

#[test]
fn rule_18_a_crash_after_each_entry_and_before_what_it_releases_gives_the_coupon_back_once() {
    // The intent: the platform never saw its request.
    let mut world = World::new();
    let terminal = world.terminal();
    world.commits = false;
    let sent = world.sends(terminal, &coupon_purchase());
    durable_and_dead(&mut world);
    assert_eq!(owed(&world), [reverse(COUPONS)]);
    assert_eq!(asks_again(&mut world, &sent), "68");
    assert_eq!(discharge(&mut world), reversed(&[COUPONS]), "the bank is never asked");
    balanced(&world);
    // The step: the coupon is granted, the bank never saw its request.
    let mut world = World::new();
    let (_, sent, asked) = begin(&mut world);
    world.commits = false;
    grant(&mut world, &asked, 300);
    durable_and_dead(&mut world);
    assert!(entries(&world).iter().any(|entry| matches!(entry, Entry::Step(_))));
    assert_eq!(owed(&world), [reverse(COUPONS), reverse(BANK_A)]);
    assert_eq!(asks_again(&mut world, &sent), "68");
    assert_eq!(discharge(&mut world), reversed(&[COUPONS, BANK_A]));
    balanced(&world);
    // The outcome: the terminal was never told, no reversal left.
    let mut world = World::new();
    let (_, sent, rest) = at_the_bank(&mut world);
    world.commits = false;
    world.bank_answers(&rest, "51");
    durable_and_dead(&mut world);
    assert_eq!(owed(&world), [reverse(COUPONS)]);
    assert_eq!(asks_again(&mut world, &sent), "51");
    assert_eq!(discharge(&mut world), reversed(&[COUPONS]));
    balanced(&world);
    // The outcome of a success: both parts stand, and the terminal gets its answer from the journal.
    let mut world = World::new();
    let (_, sent, rest) = at_the_bank(&mut world);
    world.commits = false;
    world.bank_answers(&rest, "00");
    durable_and_dead(&mut world);
    assert_eq!(asks_again(&mut world, &sent), "00");
    assert!(discharge(&mut world).is_empty());
    balanced(&world);
}

#[test]
fn rule_18_a_crash_before_each_entry_is_durable_leaves_what_stood_before() {
    for lost in ["step", "outcome"] {
        let mut world = World::new();
        let (_, sent, asked) = begin(&mut world);
        if lost == "step" {
            world.commits = false;
            grant(&mut world, &asked, 300);
        } else {
            grant(&mut world, &asked, 300);
            let rest = world.at_bank(BANK_A).unwrap();
            world.commits = false;
            world.bank_answers(&rest, "00");
        }
        world.commits = true;
        world.crash();
        assert_eq!(asks_again(&mut world, &sent), "68", "{lost}");
        let both: &[&str] = if lost == "step" { &[COUPONS] } else { &[COUPONS, BANK_A] };
        assert_eq!(discharge(&mut world), reversed(both), "{lost}");
        balanced(&world);
    }
}

/// How the second leg of a void or refund ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Second {
    Declined,
    Partial,
    Silent,
    Down,
    Crash,
}

/// A coupon purchase that stands, and its void or whole refund, which the platform agreed to.
fn undoing(world: &mut World, refund: bool, bank_down: bool) -> (Terminal, Wire) {
    let (terminal, sent, rest) = at_the_bank(world);
    world.bank_answers(&rest, "00");
    world.answer(terminal).unwrap();
    let named = format!("0200{}{}{:022}", sent.stan(), sent.text(7), 0);
    let mut undo = purchase(1000).with(3, "200000").with(90, named);
    undo.mti = mti(if refund { 0x0220 } else { 0x0200 });
    let undo = world.sends(terminal, &undo);
    let coupon = world.at_bank(COUPONS).unwrap();
    assert_eq!(coupon.wire.amount(), 300);
    if bank_down {
        world.goes_down(BANK_A);
    }
    world.bank_answers(&coupon, "00");
    (terminal, undo)
}

/// The code told and what is owed when the second leg ends so.
fn undone(refund: bool, second: Second) -> (&'static str, Vec<(String, OwedKind)>) {
    let both = vec![reverse(COUPONS), reverse(BANK_A)];
    match (second, refund) {
        (Second::Declined, _) => ("51", vec![reverse(COUPONS)]),
        // A void is of the whole; a refund of two legs as well.
        (Second::Partial, _) => ("51", both),
        (Second::Down, _) => ("91", vec![reverse(COUPONS)]),
        (Second::Silent | Second::Crash, false) => ("68", both),
        // Rule 4: a silent refund is accepted and repeated, and the coupon part stands with it.
        (Second::Silent | Second::Crash, true) => ("00", vec![(BANK_A.to_owned(), OwedKind::Repeat)]),
    }
}

#[test]
fn rule_18_a_failed_second_leg_of_a_void_or_a_whole_refund_is_undone_in_the_same_entry() {
    for refund in [false, true] {
        for second in [Second::Declined, Second::Partial, Second::Silent, Second::Down, Second::Crash] {
            let case = format!("refund {refund}, {second:?}");
            let mut world = World::new();
            let (terminal, undo) = undoing(&mut world, refund, second == Second::Down);
            let bank = world.at_bank(BANK_A);
            match second {
                Second::Declined => world.bank_answers(&bank.unwrap(), "51"),
                Second::Partial => {
                    let bank = bank.unwrap();
                    let part = world.answer_to(&bank, "10").with(4, "000000000500");
                    world.bank_sends(&bank, &part);
                }
                Second::Silent => world.advance(TIMEOUT_MS + 10),
                Second::Down => assert!(bank.is_none()),
                Second::Crash => world.crash(),
            }
            let (code, owes) = undone(refund, second);
            assert_eq!(owed(&world), owes, "{case}");
            let told = match second {
                Second::Crash => asks_again(&mut world, &undo),
                _ => world.answer(terminal).unwrap().code(),
            };
            assert_eq!(told, code, "{case}");
            world.comes_up(BANK_A);
            discharge(&mut world);
            balanced(&world);
            // The payment stands again, or is given back whole: both sides say the same.
            let told: i64 = world.driver.core.durable.books.books().map(|(_, book)| book.told).sum();
            assert_eq!(told, if code == "00" { 0 } else { 1000 }, "{case}");
        }
    }
}
