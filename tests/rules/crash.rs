//! Promises P1, P2, P3, P5, P8 on a disk that loses what was not synced, and rule 19's kind of care: nothing
//! leaves before it is durable, and a crash at any moment leaves both sides agreeing.

use crate::balanced;
use yika_switch::journal::faulty::Faults;
use yika_tests::setup::{BANK_A, TIMEOUT_MS};
use yika_tests::world::mti;
use yika_tests::{World, purchase};

#[test]
fn p1_no_request_leaves_before_its_intent_is_durable() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.commits = false;
    world.sends(terminal, &purchase(100));
    assert!(world.at_bank(BANK_A).is_none());
    world.advance(1000);
    assert!(world.at_bank(BANK_A).is_none());
    world.commits = true;
    world.step();
    assert!(world.at_bank(BANK_A).is_some());
}

#[test]
fn p2_no_reply_leaves_before_its_outcome_is_durable() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    let request = world.at_bank(BANK_A).unwrap();
    world.commits = false;
    world.bank_answers(&request, "00");
    assert!(world.answer(terminal).is_none());
    world.commits = true;
    world.step();
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
}

#[test]
fn p1_what_a_bank_saw_is_reversed_after_a_crash() {
    let mut world = World::new();
    let terminal = world.terminal();
    let sent = world.sends(terminal, &purchase(100));
    let seen = world.at_bank(BANK_A).unwrap();
    world.crash();
    let reversal = world.at_bank(BANK_A).unwrap();
    assert_eq!(reversal.wire.mti.without_repeat(), mti(0x0420));
    assert_eq!(&reversal.wire.text(90)[4..10], seen.wire.stan());
    world.bank_answers(&reversal, "00");
    let terminal = world.terminal();
    world.sends_raw(terminal, &sent.repeated());
    assert_eq!(world.answer(terminal).unwrap().code(), "68", "P4: in doubt after a crash");
    balanced(&world);
}

#[test]
fn p2_what_a_terminal_was_told_stands_after_a_crash() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, told) = crate::approved(&mut world, terminal, &purchase(100));
    world.crash();
    let terminal = world.terminal();
    world.sends_raw(terminal, &sent.repeated());
    assert_eq!(world.answer(terminal).unwrap(), told);
    assert!(world.at_bank(BANK_A).is_none());
    balanced(&world);
}

/// Deleting the sync must fail a test: here it is deleted, and what must not happen does.
#[test]
fn the_checks_of_p1_and_p2_fail_on_a_disk_whose_sync_does_nothing() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.disk.set_faults(Faults { lying_sync: true, ..Faults::default() });
    let (sent, told) = crate::approved(&mut world, terminal, &purchase(100));
    world.crash();
    let terminal = world.terminal();
    world.sends_raw(terminal, &sent.repeated());
    let lost = world.answer(terminal).is_none_or(|answer| answer != told);
    assert!(lost, "a payment that was never synced cannot have survived: the faulty disk does not bite");
}

#[test]
fn a_failed_sync_stops_all_answers_and_loses_nothing_acknowledged() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, told) = crate::approved(&mut world, terminal, &purchase(100));
    world.disk.set_faults(Faults { fail_sync: Some(1), ..Faults::default() });
    world.commits = false;
    world.sends(terminal, &purchase(200));
    let failed = world.driver.journal_mut().step();
    assert!(failed.is_err());
    assert!(world.driver.journal().failure().unwrap().contains("injected sync failure"));
    world.advance(TIMEOUT_MS * 2);
    assert!(world.at_bank(BANK_A).is_none() && world.answer(terminal).is_none());
    world.commits = true;
    world.crash();
    let terminal = world.terminal();
    world.sends_raw(terminal, &sent.repeated());
    assert_eq!(world.answer(terminal).unwrap(), told);
    balanced(&world);
}

/// After a failed sync the file still reads as it was written: a start must not build on what only the cache holds.
#[test]
fn what_a_start_read_after_a_failed_sync_survives_the_next_loss_of_power() {
    let mut world = World::new();
    let terminal = world.terminal();
    let sent = world.sends(terminal, &purchase(100));
    let request = world.at_bank(BANK_A).unwrap();
    world.disk.set_faults(Faults { fail_sync: Some(1), ..Faults::default() });
    world.commits = false;
    world.bank_answers(&request, "51");
    assert!(world.driver.journal_mut().step().is_err(), "the outcome is written, and its sync fails");
    world.commits = true;
    world.disk.set_faults(Faults::default());
    world.restart().unwrap();
    let terminal = world.terminal();
    world.sends_raw(terminal, &sent.repeated());
    let told = world.answer(terminal).unwrap();
    assert_eq!(told.code(), "51", "the start read the outcome");
    world.try_crash().unwrap();
    let terminal = world.terminal();
    world.sends_raw(terminal, &sent.repeated());
    assert_eq!(world.answer(terminal).unwrap(), told);
    balanced(&world);
}

#[test]
fn a_full_disk_refuses_new_payments_and_finishes_those_in_flight() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.disk.set_faults(Faults { full: true, ..Faults::default() });
    let mut refused = 0;
    let mut pending = Vec::new();
    let mut asked = purchase(0);
    for minor in 1..2000 {
        let sent = world.sends(terminal, &purchase(minor));
        match world.at_bank(BANK_A) {
            Some(request) => {
                pending.push(request);
                asked = sent;
            }
            None => {
                assert_eq!(world.answer(terminal).unwrap().code(), "96");
                refused += 1;
                break;
            }
        }
    }
    assert_eq!(refused, 1, "the spare segments ran low, and a new payment was refused");
    pending.pop();
    world.sends(terminal, &asked.reversal("900000"));
    let codes = [world.answer(terminal).unwrap().code(), world.answer(terminal).unwrap().code()];
    assert_eq!(codes, ["12", "00"], "C10: a reversal is taken, and ends what is in flight");
    for request in pending.drain(..) {
        world.bank_answers(&request, "00");
        assert_eq!(world.answer(terminal).unwrap().code(), "00", "the last spare is for outcomes");
    }
    balanced(&world);
}

/// A crash after every commit of a busy scenario; each time both sides are brought to agree.
#[test]
fn p3_p5_a_crash_at_every_commit_leaves_both_sides_agreeing() {
    for crash_at in 0..24 {
        let mut world = World::new();
        let terminal = world.terminal();
        let mut bank = Bank::default();
        let mut told = Vec::new();
        world.commits = false;
        let mut commits = 0;
        let mut sent = Vec::new();
        'life: for minor in [100, 200, 300, 400] {
            let request = world.sends(terminal, &purchase(minor));
            sent.push(request);
            for _ in 0..6 {
                if commits == crash_at {
                    break 'life;
                }
                if world.driver.journal_mut().step().unwrap() {
                    commits += 1;
                }
                world.step();
                while let Some(request) = world.at_bank(BANK_A) {
                    let answer = bank.serve(&world, &request);
                    if minor != 300 {
                        world.bank_sends(&request, &answer);
                    }
                }
            }
            while let Some(answer) = world.answer(terminal) {
                told.push((answer.stan(), answer.code()));
            }
        }
        world.commits = true;
        world.crash();
        settle(&mut world, &mut bank);
        let terminal = world.terminal();
        let mut approved = 0;
        for request in &sent {
            world.sends_raw(terminal, &request.repeated());
            settle(&mut world, &mut bank);
            world.advance(TIMEOUT_MS + 10);
            settle(&mut world, &mut bank);
            let answer = world.answer(terminal).unwrap();
            if let Some((_, code)) = told.iter().find(|(stan, _)| *stan == answer.stan()) {
                assert_eq!(*code, answer.code(), "crash after commit {crash_at}: another answer than before");
            }
            approved += if answer.code() == "00" { answer.amount() } else { 0 };
        }
        settle(&mut world, &mut bank);
        assert_eq!(world.open_obligations(), 0, "crash after commit {crash_at}");
        assert_eq!(approved, bank.booked(), "crash after commit {crash_at}: told and booked differ");
        balanced(&world);
    }
}

/// Serves whatever reaches the bank until it is quiet.
fn settle(world: &mut World, bank: &mut Bank) {
    for _ in 0..20 {
        while let Some(request) = world.at_bank(BANK_A) {
            let answer = bank.serve(world, &request);
            world.bank_sends(&request, &answer);
        }
        world.advance(500);
    }
}

/// A bank's own book: what it approved and has not reversed, by F11 and F7.
#[derive(Default)]
struct Bank {
    approved: std::collections::BTreeMap<String, u64>,
    reversed: std::collections::BTreeSet<String>,
}

impl Bank {
    fn serve(&mut self, world: &World, request: &yika_tests::BankRequest) -> yika_tests::Wire {
        let wire = &request.wire;
        if wire.mti.class() == 0x04 {
            let named = wire.text(90)[4..20].to_owned();
            self.approved.remove(&named);
            self.reversed.insert(named);
            return world.answer_to(request, "00");
        }
        let own = format!("{}{}", wire.stan(), wire.text(7));
        if self.reversed.contains(&own) {
            return world.answer_to(request, "12");
        }
        self.approved.insert(own, wire.amount());
        world.answer_to(request, "00")
    }

    fn booked(&self) -> u64 {
        self.approved.values().sum()
    }
}

#[test]
fn a_crash_with_thousands_in_flight_is_recovered_in_frames_that_can_be_read_again() {
    let mut settings = yika_tests::setup::config();
    settings.journal.segment_bytes = 8 << 20;
    let mut world = World::with(settings);
    let terminal = world.terminal();
    for _ in 0..900 {
        world.sends(terminal, &purchase(100).with(43, "x".repeat(40)));
        world.sends(terminal, &purchase(100).with(2, "6222000000000000003").with(43, "x".repeat(40)));
    }
    world.crash();
    assert!(world.open_obligations() >= 1700, "all are reversed");
    assert!(world.driver.core.durable.open.is_empty());
    balanced(&world);
    world.crash();
    assert!(world.open_obligations() >= 1700, "and still owed after another crash");
    balanced(&world);
}
