//! Rule 14: card number, expiry and sequence from the chip data where no field has them.

use crate::balanced;
use yika_tests::setup::{BANK_A, BANK_B, TIMEOUT_MS};
use yika_tests::{Wire, World, purchase};

/// Tag 57 of the test card of a bank, expiry 2912, and tag 5F34, sequence 7.
const CHIP_A: [u8; 19] = [
    0x57, 0x11, 0x41, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0xD2, 0x91, 0x22, 0x01, 0x00, 0x00, 0x00,
    0x00, 0x00,
];
const CHIP_B: [u8; 19] = [
    0x57, 0x11, 0x62, 0x22, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xD2, 0x91, 0x22, 0x01, 0x00, 0x00, 0x00,
    0x00, 0x00,
];
const SEQUENCE: [u8; 4] = [0x5F, 0x34, 0x01, 0x07];
const TRACE: [u8; 5] = [0x9F, 0x36, 0x02, 0x00, 0x2A];

fn chip(tags: &[&[u8]]) -> Wire {
    purchase(100).with(22, "051").with(55, tags.concat())
}

/// Lets the bank be silent: what its reversal carries, also after a crash.
fn reversals(world: &mut World, bank: &str) -> [Wire; 2] {
    world.advance(TIMEOUT_MS + 10);
    let first = world.at_bank(bank).unwrap();
    world.crash();
    let again = world.at_bank(bank).unwrap();
    world.bank_answers(&again, "00");
    balanced(world);
    [first.wire, again.wire]
}

#[test]
fn rule_14_the_sequence_of_the_chip_stands_in_f23_of_the_request_and_of_its_reversal() {
    for (bank, card) in [(BANK_A, "4111111111111111"), (BANK_B, "6222000000000000003")] {
        let mut world = World::new();
        let terminal = world.terminal();
        world.sends(terminal, &chip(&[&TRACE, &SEQUENCE]).with(2, card));
        let request = world.at_bank(bank).unwrap();
        assert_eq!(request.wire.text(23), "007", "{bank}");
        for reversal in reversals(&mut world, bank) {
            assert_eq!(reversal.text(23), "007", "{bank}");
            assert_eq!(
                reversal.fields.get(55),
                Some(TRACE.as_slice()),
                "{bank}: only what a reversal may carry"
            );
        }
    }
}

#[test]
fn rule_14_a_terminals_own_f23_goes_before_the_chips() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.sends(terminal, &chip(&[&SEQUENCE]).with(23, "001"));
    assert_eq!(world.at_bank(BANK_A).unwrap().wire.text(23), "001");
    for reversal in reversals(&mut world, BANK_A) {
        assert_eq!(reversal.text(23), "001");
    }
    // Neither field nor tag: none is made up.
    let terminal = world.terminal();
    world.sends(terminal, &chip(&[&TRACE]));
    assert!(!world.at_bank(BANK_A).unwrap().wire.fields.has(23));
}

#[test]
fn rule_14_card_and_expiry_are_read_from_tag_57_where_no_field_has_them() {
    for (bank, track, card) in [(BANK_A, CHIP_A, "4111111111111111"), (BANK_B, CHIP_B, "6222000000000003")] {
        let mut world = World::new();
        let terminal = world.terminal();
        let sent = world.sends(terminal, &chip(&[&track, &SEQUENCE]).without(2));
        assert!(!sent.fields.has(2) && !sent.fields.has(35) && !sent.fields.has(14));
        world.at_bank(bank).expect("routed by the number in the chip");
        for reversal in reversals(&mut world, bank) {
            assert_eq!((reversal.text(2).as_str(), reversal.text(14).as_str()), (card, "2912"));
            assert!(!reversal.fields.has(55), "{bank}: tag 57 is a track, and never kept");
        }
        // A repeat is known by the same card.
        let terminal = world.terminal();
        world.sends_raw(terminal, &sent.repeated());
        assert_eq!(world.answer(terminal).unwrap().code(), "68", "{bank}");
    }
}
