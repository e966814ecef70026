//! Rule 15: a participant that an operator drains, and terminals whose sign-on outlives a restart.

use crate::{approved, balanced};
use yika_switch::core::settings::StandIn;
use yika_tests::setup::{BANK_A, COUPONS, TIMEOUT_MS, config};
use yika_tests::world::mti;
use yika_tests::{KeyRing, Terminal, Wire, World, purchase};

/// 0800 of iso87-ascii.
fn network(code: &str) -> Wire {
    Wire::new(0x0800).with(7, "1123233015").with(11, "000001").with(70, code)
}

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

/// Both listeners want a sign-on.
fn strict() -> yika_switch::config::Config {
    let mut settings = config();
    settings.listeners.iter_mut().for_each(|listener| listener.sign_on_required = true);
    settings
}

fn asks(world: &mut World, terminal: Terminal, wire: &Wire) -> String {
    world.sends_raw(terminal, wire);
    world.answer(terminal).unwrap().code()
}

fn of(wire: Wire, terminal: &str) -> Wire {
    wire.with(41, terminal)
}

#[test]
fn rule_15_a_terminal_needs_no_new_sign_on_after_a_restart_or_on_a_new_connection() {
    let mut world = World::with(strict());
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    assert_eq!(world.answer(terminal).unwrap().code(), "58");
    assert_eq!(asks(&mut world, terminal, &of(network("001"), "TERM0001")), "00");
    let entries = world.driver.core.durable.next_seq;
    assert_eq!(asks(&mut world, terminal, &of(network("001"), "TERM0001")), "00");
    assert_eq!(world.driver.core.durable.next_seq, entries, "what is so already is not journalled again");
    approved(&mut world, terminal, &purchase(100));
    let other = world.terminal();
    approved(&mut world, other, &purchase(100));
    world.sends(other, &of(purchase(100), "TERM0002"));
    assert_eq!(world.answer(other).unwrap().code(), "58", "another terminal on the same connection");
    world.crash();
    let terminal = world.terminal();
    approved(&mut world, terminal, &purchase(100));
    balanced(&world);
}

#[test]
fn rule_15_a_sign_off_ends_it_for_every_connection_and_over_a_restart() {
    let mut world = World::with(strict());
    let (one, two) = (world.terminal(), world.terminal());
    asks(&mut world, one, &of(network("001"), "TERM0001"));
    let (sent, _) = approved(&mut world, one, &purchase(100));
    assert_eq!(asks(&mut world, two, &of(network("002"), "TERM0001")), "00");
    for restart in [false, true] {
        if restart {
            world.crash();
        }
        let terminal = world.terminal();
        world.sends(terminal, &purchase(100));
        assert_eq!(world.answer(terminal).unwrap().code(), "58");
        assert_eq!(asks(&mut world, terminal, &sent), "00", "a repeat hears what became of it");
    }
    assert_eq!(world.driver.core.durable.signed_on.len(), 0);
    balanced(&world);
}

#[test]
fn rule_15_a_sign_off_of_a_keyed_terminal_needs_its_mac() {
    let (ring, mut world) = keyed();
    let terminal = world.terminal();
    assert_eq!(asks(&mut world, terminal, &of(network("001"), "TERM0001")), "00", "before its keys");
    assert_eq!(asks(&mut world, terminal, &of(network("002"), "TERM0001")), "A0");
    world.terminal_mac = Some(ring.mac("mac-0"));
    approved(&mut world, terminal, &purchase(100));
    assert_eq!(asks(&mut world, terminal, &of(network("002"), "TERM0001")), "00");
    world.sends(terminal, &purchase(100));
    assert_eq!(world.answer(terminal).unwrap().code(), "58");
}

/// A strict world whose acquirer has a key.
fn keyed() -> (KeyRing, World) {
    let (ring, keys) = KeyRing::agreed(&["mac-0"]);
    let mut settings = strict();
    settings.participants[0].mac_key = Some("mac-0".into());
    (ring, World::with_keys(settings, keys))
}

#[test]
fn rule_15_a_sign_on_without_its_mac_is_its_connections_own_and_fills_no_table() {
    let (ring, mut world) = keyed();
    let (terminal, other) = (world.terminal(), world.terminal());
    let entries = world.driver.core.durable.next_seq;
    for number in 1..=64 {
        let name = format!("TERM{number:04}");
        assert_eq!(asks(&mut world, terminal, &of(network("001"), &name)), "00");
    }
    assert_eq!(asks(&mut world, terminal, &of(network("001"), "TERM0065")), "96", "a gateway has a key");
    assert_eq!(asks(&mut world, terminal, &of(network("001"), "TERM0064")), "00");
    assert_eq!(world.driver.core.durable.next_seq, entries, "nothing of it is journalled");
    world.terminal_mac = Some(ring.mac("mac-0"));
    approved(&mut world, terminal, &purchase(100));
    approved(&mut world, terminal, &of(purchase(100), "TERM0064"));
    world.sends(terminal, &of(purchase(100), "TERM0065"));
    assert_eq!(world.answer(terminal).unwrap().code(), "58");
    world.sends(other, &purchase(100));
    assert_eq!(world.answer(other).unwrap().code(), "58", "on another connection");
    assert_eq!(asks(&mut world, other, &of(network("001"), "TERM0001")), "00");
    world.crash();
    let terminal = world.terminal();
    approved(&mut world, terminal, &purchase(100));
    world.sends(terminal, &of(purchase(100), "TERM0064"));
    assert_eq!(world.answer(terminal).unwrap().code(), "58", "it had no MAC and ended with its connection");
    balanced(&world);
}

#[test]
fn rule_15_terminals_of_two_merchants_with_one_f41_sign_on_apart() {
    let mut world = World::with(strict());
    let terminal = world.terminal();
    let (one, two) = ("MERCHANT0000001", "MERCHANT0000002");
    let at = |wire: Wire, merchant: &str| of(wire, "TERM0001").with(42, merchant);
    assert_eq!(asks(&mut world, terminal, &at(network("001"), one)), "00");
    approved(&mut world, terminal, &at(purchase(100), one));
    world.sends(terminal, &at(purchase(100), two));
    assert_eq!(world.answer(terminal).unwrap().code(), "58");
    assert_eq!(asks(&mut world, terminal, &at(network("001"), two)), "00");
    assert_eq!(asks(&mut world, terminal, &at(network("002"), one)), "00");
    approved(&mut world, terminal, &at(purchase(100), two));
    world.sends(terminal, &at(purchase(100), one));
    assert_eq!(world.answer(terminal).unwrap().code(), "58");
    // A sign-on that says no F42 is one for whatever merchant it takes payments of, and so is its sign-off.
    assert_eq!(asks(&mut world, terminal, &of(network("001"), "TERM0001")), "00");
    approved(&mut world, terminal, &at(purchase(100), one));
    assert_eq!(asks(&mut world, terminal, &at(network("002"), one)), "00");
    world.sends(terminal, &at(purchase(100), one));
    assert_eq!(world.answer(terminal).unwrap().code(), "58");
    balanced(&world);
}

#[test]
fn rule_15_an_operator_signs_a_terminal_off_or_all_of_them() {
    let mut world = World::with(strict());
    let terminal = world.terminal();
    for name in ["TERM0001", "TERM0002", "TERM0003"] {
        asks(&mut world, terminal, &of(network("001"), name));
    }
    let named = |terminal: &str, acquirer: &str| yika_switch::driver::Terminal {
        acquirer: acquirer.into(),
        terminal: terminal.into(),
        merchant: String::new(),
    };
    assert!(world.driver.sign_off(Some(&named("TERM0001", "nobody")), 1).is_err());
    for _ in 0..2 {
        world.driver.sign_off(Some(&named("TERM0001", "acquirer")), 1).unwrap();
        world.step();
        assert_eq!(world.driver.core.durable.signed_on.len(), 2);
    }
    world.sends(terminal, &purchase(100));
    assert_eq!(world.answer(terminal).unwrap().code(), "58");
    world.driver.sign_off(None, 2).unwrap();
    world.step();
    assert_eq!(world.driver.core.durable.signed_on.len(), 0);
    world.crash();
    assert_eq!(world.driver.core.durable.signed_on.len(), 0);
    balanced(&world);
}

#[test]
fn p9_terminals_that_are_signed_on_are_bounded_and_none_is_signed_off_for_another() {
    let mut settings = strict();
    settings.bounds.terminals_max = 2;
    let mut world = World::with(settings);
    let terminal = world.terminal();
    let signs = |world: &mut World, code: &str, name: &str| asks(world, terminal, &of(network(code), name));
    assert_eq!(signs(&mut world, "001", "TERM0001"), "00");
    assert_eq!(signs(&mut world, "001", "TERM0002"), "00");
    assert_eq!(signs(&mut world, "001", "TERM0003"), "96");
    assert_eq!(signs(&mut world, "001", "TERM0001"), "00", "it is signed on already");
    assert_eq!(signs(&mut world, "002", "TERM0002"), "00");
    assert_eq!(signs(&mut world, "001", "TERM0003"), "00");
    approved(&mut world, terminal, &purchase(100));
    balanced(&world);
}
