//! Rules 2 and 12: what a terminal is told by the table of its dialect, and that a refusal is no transaction.

use crate::{approved, balanced};
use yika_switch::config::{Config, parse};
use yika_tests::setup::{ACQUIRER, BANK_A, config};
use yika_tests::{KeyRing, Wire, World, purchase};

/// A purchase at this listener.
fn at(listener: u16, wire: Wire) -> Wire {
    if listener == 1 { wire.with(60, "22000001000") } else { wire }
}

/// A configuration that knows these terminals only.
fn known(listed: &str) -> Config {
    let text = format!(
        "[switch]\ndata_dir = \"x\"\n[[participant]]\nname = \"{ACQUIRER}\"\nrole = \"acquirer\"\n\
         [[listener]]\naddress = \"127.0.0.1:7100\"\nparticipant = \"{ACQUIRER}\"\ndialect = \"iso87-ascii\"\nterminals = {listed}\n"
    );
    let terminals = parse("test", &text, ".".as_ref()).unwrap().listeners[0].terminals.clone();
    let mut settings = config();
    settings.listeners.iter_mut().for_each(|listener| listener.terminals = terminals.clone());
    settings
}

/// What the switch says of a purchase, and whether that took an entry.
fn told(world: &mut World, listener: u16, wire: &Wire) -> (String, bool) {
    let before = world.driver.core.durable.next_seq;
    let terminal = world.terminal_at(listener);
    world.sends(terminal, &at(listener, wire.clone()));
    let code = world.answer(terminal).unwrap().code();
    assert!(world.banks_are_quiet(), "nobody was asked");
    (code, world.driver.core.durable.next_seq != before)
}

#[test]
fn rule_12_each_dialect_tells_its_own_code_and_a_refusal_makes_no_entry() {
    for (listener, not_signed_on) in [(0, "58"), (1, "77")] {
        let mut strict = config();
        strict.listeners.iter_mut().for_each(|listener| listener.sign_on_required = true);
        let mut full = config();
        full.bounds.open_max = 0;
        let (_, keys) = KeyRing::agreed(&["mac-0"]);
        let mut keyed = config();
        keyed.participants[0].mac_key = Some("mac-0".into());
        let keyed = World::with_keys(keyed, keys);
        let mut down = World::new();
        down.goes_down(BANK_A);
        let stranger = purchase(100).with(2, "5000000000000000");
        for (mut world, wire, code, entry) in [
            (World::with(strict), purchase(100), not_signed_on, false),
            (keyed, purchase(100), "A0", false),
            (World::with(known("[\"TERM0002\"]")), purchase(100), "97", false),
            (World::with(full), purchase(100), "96", false),
            (down, purchase(100), "91", true),
            (World::new(), stranger, "92", true),
        ] {
            assert_eq!(told(&mut world, listener, &wire), (code.to_owned(), entry), "listener {listener}");
            balanced(&world);
        }
    }
}

#[test]
fn rule_12_a_terminal_that_its_listener_does_not_know_is_refused_with_97() {
    let mut world = World::with(known("[\"TERM0001\", \"GATE*\"]"));
    let terminal = world.terminal();
    approved(&mut world, terminal, &purchase(100));
    approved(&mut world, terminal, &purchase(100).with(41, "GATE0007"));
    let network = |code: &str| Wire::new(0x0800).with(7, "1123233015").with(11, "000001").with(70, code);
    for wire in [purchase(100), network("001")] {
        world.sends(terminal, &wire.with(41, "TERM0009"));
        assert_eq!(world.answer(terminal).unwrap().code(), "97");
    }
    world.sends_raw(terminal, &network("301"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00", "an echo without F41 is the connection's");
    assert_eq!(world.driver.counts.sessions.unknown_terminals, 2);
    balanced(&world);
}
