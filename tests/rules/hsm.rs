//! Rule 9 about PINs whose keys an HSM holds: a request is written when its PIN came back, and is not sent when it did not;
//! nobody else waits for it.

use crate::balanced;
use std::sync::Arc;
use yika_keystore::{
    Algorithm, EncryptedPin, Keystore, Lmk, PinFormat, PinKey, SoftBackend, Usage, encrypt_test_pin,
    matches_test_pin,
};
use yika_switch::config::{HsmConfig, HsmKey};
use yika_tests::setup::{ACQUIRER, BANK_A, TIMEOUT_MS, config};
use yika_tests::{BankRequest, Terminal, World, purchase};

const PAN: &[u8] = b"4111111111111111";

/// The PIN keys of a world, as terminal and bank have them.
struct Keys {
    terminal: PinKey,
    bank: PinKey,
}

/// A world whose PIN keys are in an HSM: one that answers, and works over the keys of another process.
fn world() -> (World, Keys) {
    let hsm = Arc::new(Keystore::in_memory(Lmk::test()));
    let blocks = [(); 2].map(|()| hsm.new_working_key(Usage::Pin, Algorithm::Tdes).unwrap());
    let keys = blocks.clone().map(|block| hsm.pin_key_from_block(&block).unwrap());
    let mut settings = config();
    settings.hsm = Some(HsmConfig {
        connect: vec![([127, 0, 0, 1], 1).into()],
        header_length: 4,
        timeout: std::time::Duration::from_secs(1),
        connections: 1,
        waiting_max: 100,
    });
    settings.hsm_keys = ["pin-of-terminals", "pin-of-bank"]
        .into_iter()
        .zip(blocks)
        .map(|(name, block)| HsmKey { name: name.into(), block: block.into() })
        .collect();
    for held in &mut settings.participants {
        held.pin_key = match held.name.as_str() {
            ACQUIRER => Some("pin-of-terminals".into()),
            BANK_A => Some("pin-of-bank".into()),
            _ => None,
        };
    }
    let mut world = World::with(settings);
    world.hsm = Some(Arc::new(SoftBackend::new(hsm)));
    let [terminal, bank] = keys;
    (world, Keys { terminal, bank })
}

fn pays_with_pin(world: &mut World, keys: &Keys, terminal: Terminal) {
    let pin = encrypt_test_pin(&keys.terminal, PinFormat::Iso0, PAN, b"1234").unwrap();
    world.sends(terminal, &purchase(100).with(52, pin.as_bytes()));
}

fn holds_the_pin(request: &BankRequest, keys: &Keys) -> bool {
    let block = EncryptedPin::from_bytes(request.wire.fields.get(52).unwrap()).unwrap();
    matches_test_pin(&keys.bank, PinFormat::Iso0, PAN, &block, b"1234") == Ok(true)
}

#[test]
fn rule_09_a_pin_goes_by_the_hsm_and_reaches_the_bank_under_its_key() {
    let (mut world, keys) = world();
    let terminal = world.terminal();
    pays_with_pin(&mut world, &keys, terminal);
    let request = world.at_bank(BANK_A).unwrap();
    assert!(holds_the_pin(&request, &keys));
    world.bank_answers(&request, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    assert_eq!(world.driver.counts.hsm.asked, 1);
    balanced(&world);
}

#[test]
fn rule_09_nobody_waits_for_the_pin_of_another() {
    let (mut world, keys) = world();
    world.hsm_answers = false;
    let (slow, quick) = (world.terminal(), world.terminal());
    pays_with_pin(&mut world, &keys, slow);
    assert!(world.banks_are_quiet());
    world.sends(quick, &purchase(200).with(41, "TERM0002"));
    let request = world.at_bank(BANK_A).unwrap();
    assert_eq!(request.wire.amount(), 200);
    world.bank_answers(&request, "00");
    assert_eq!(world.answer(quick).unwrap().code(), "00");
    world.hsm_catches_up();
    let request = world.at_bank(BANK_A).unwrap();
    assert!(holds_the_pin(&request, &keys));
    world.bank_answers(&request, "00");
    assert_eq!(world.answer(slow).unwrap().code(), "00");
    balanced(&world);
}

#[test]
fn rule_09_without_its_hsm_a_payment_with_a_pin_is_91_and_owes_nothing() {
    let (mut world, keys) = world();
    world.hsm = None;
    let terminal = world.terminal();
    pays_with_pin(&mut world, &keys, terminal);
    assert_eq!(world.answer(terminal).unwrap().code(), "91");
    assert!(world.banks_are_quiet());
    assert_eq!((world.open_obligations(), world.driver.counts.hsm.lost), (0, 1));
    balanced(&world);
}

#[test]
fn rule_09_a_pin_that_the_hsm_refuses_is_99_and_owes_nothing() {
    let (mut world, keys) = world();
    let terminal = world.terminal();
    let of_another = encrypt_test_pin(&keys.bank, PinFormat::Iso0, PAN, b"1234").unwrap();
    world.sends(terminal, &purchase(100).with(52, of_another.as_bytes()));
    assert_eq!(world.answer(terminal).unwrap().code(), "99");
    assert!(world.banks_are_quiet());
    assert_eq!((world.open_obligations(), world.driver.counts.hsm.refused), (0, 1));
    balanced(&world);
}

#[test]
fn rule_09_an_answer_of_the_hsm_that_comes_too_late_sends_nothing() {
    let (mut world, keys) = world();
    world.hsm_answers = false;
    let terminal = world.terminal();
    pays_with_pin(&mut world, &keys, terminal);
    world.advance(TIMEOUT_MS + 10);
    assert_eq!(world.answer(terminal).unwrap().code(), "68");
    assert!(world.banks_are_quiet(), "its reversal waits: nobody knows yet whether it was sent");
    world.hsm_catches_up();
    world.advance(TIMEOUT_MS);
    assert!(world.banks_are_quiet(), "it was not");
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

#[test]
fn rule_09_a_crash_while_a_pin_is_at_the_hsm_leaves_nothing_open() {
    let (mut world, keys) = world();
    world.hsm_answers = false;
    let terminal = world.terminal();
    pays_with_pin(&mut world, &keys, terminal);
    world.crash();
    world.hsm_catches_up();
    // Nobody knows any more whether it was sent: the bank is asked to take it back.
    let reversal = world.at_bank(BANK_A).unwrap();
    assert_eq!(reversal.wire.mti, yika_tests::world::mti(0x0420));
    world.bank_answers(&reversal, "00");
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}
