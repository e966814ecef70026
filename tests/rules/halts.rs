//! Rule 15: a participant that an operator drains, and terminals whose sign-on outlives a restart.

use crate::{approved, balanced};
use yika_switch::core::settings::StandIn;
use yika_tests::setup::{BANK_A, COUPONS, TIMEOUT_MS, config};
use yika_tests::world::mti;
use yika_tests::{World, purchase};

fn drains(world: &mut World, name: &str, on: bool) {
    world.driver.drain_participant(name, on, 1).unwrap();
    world.step();
}

#[test]
fn rule_15_a_drained_participant_gets_nothing_new_and_what_is_in_flight_ends() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    let request = world.at_bank(BANK_A).unwrap();
    drains(&mut world, BANK_A, true);
    world.bank_answers(&request, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00", "in flight ends");
    world.sends(terminal, &purchase(200));
    assert_eq!(world.answer(terminal).unwrap().code(), "91");
    world.crash();
    let terminal = world.terminal();
    world.sends(terminal, &purchase(300));
    assert_eq!(world.answer(terminal).unwrap().code(), "91", "also after a restart");
    assert!(world.banks_are_quiet());
    drains(&mut world, BANK_A, false);
    approved(&mut world, terminal, &purchase(400));
    balanced(&world);
}

#[test]
fn rule_15_what_is_owed_to_a_drained_participant_waits_and_stand_in_decides() {
    let mut settings = config();
    settings.participants[1].link.as_mut().unwrap().stand_in = Some(StandIn {
        per_transaction_max: 500,
        per_card_count_max: 5,
        per_card_sum_max: 5_000,
        issuer_sum_max: 5_000,
    });
    let mut world = World::with(settings);
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    world.at_bank(BANK_A).unwrap();
    drains(&mut world, BANK_A, true);
    world.advance(TIMEOUT_MS + 10);
    assert_eq!(world.answer(terminal).unwrap().code(), "68");
    world.sends(terminal, &purchase(200));
    assert_eq!(world.answer(terminal).unwrap().code(), "00", "as when it cannot be reached");
    world.crash();
    world.advance(60_000);
    assert!(world.banks_are_quiet(), "what is owed waits, also over a restart");
    assert_eq!(world.open_obligations(), 2);
    drains(&mut world, BANK_A, false);
    for kind in [0x0421, 0x0221] {
        let owed = world.at_bank(BANK_A).unwrap();
        assert_eq!(owed.wire.mti, mti(kind), "at once, in order; an earlier life may have sent it");
        world.bank_answers(&owed, "00");
    }
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

#[test]
fn rule_15_a_drain_and_a_sign_off_each_hold_until_their_own_end() {
    let mut world = World::new();
    let terminal = world.terminal();
    let line = yika_switch::core::ids::LineId(0);
    let network =
        |code: &str| yika_tests::Wire::new(0x0800).with(7, "1123233015").with(11, "000001").with(70, code);
    drains(&mut world, BANK_A, true);
    let entries = world.driver.core.durable.next_seq;
    drains(&mut world, BANK_A, true);
    assert_eq!(world.driver.core.durable.next_seq, entries, "what is so already is not journalled again");
    for code in ["002", "001"] {
        world.bank_sends_on(line, &network(code), &[]);
        assert_eq!(world.at_bank(BANK_A).unwrap().wire.code(), "00");
        world.sends(terminal, &purchase(100));
        assert_eq!(world.answer(terminal).unwrap().code(), "91", "still drained after {code}");
    }
    drains(&mut world, BANK_A, false);
    approved(&mut world, terminal, &purchase(100));
    drains(&mut world, COUPONS, true);
    approved(&mut world, terminal, &purchase(100));
    for stranger in ["acquirer", "nobody"] {
        let refused = world.driver.drain_participant(stranger, true, 1).unwrap_err();
        assert!(refused.contains(stranger) && refused.contains("bank-a, bank-b, coupons"), "{refused}");
    }
    balanced(&world);
}
