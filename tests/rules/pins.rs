//! Rule 9: a PIN that cannot be handed on is refused with 99, before anything leaves, and owes nothing.

use crate::balanced;
use yika_keystore::{PinFormat, encrypt_test_pin};
use yika_tests::setup::{ACQUIRER, BANK_A, config};
use yika_tests::{KeyRing, World, purchase};

const PAN: &[u8] = b"4111111111111111";

/// A world in which these have a PIN key.
fn world(acquirer: bool, bank: bool) -> (World, KeyRing) {
    let (ring, keys) = KeyRing::agreed(&["pin-0", "pin-a"]);
    let mut settings = config();
    for held in &mut settings.participants {
        held.pin_key = match held.name.as_str() {
            ACQUIRER if acquirer => Some("pin-a".into()),
            BANK_A if bank => Some("pin-0".into()),
            _ => None,
        };
    }
    (World::with_keys(settings, keys), ring)
}

/// What a terminal is told of a purchase with this F52; when it is 99 nothing left and nothing is owed.
fn told(world: &mut World, block: &[u8]) -> String {
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100).with(52, block));
    if let Some(request) = world.at_bank(BANK_A) {
        world.bank_answers(&request, "00");
    }
    let code = world.answer(terminal).unwrap().code();
    if code == "99" {
        assert!(world.banks_are_quiet());
        assert_eq!(world.open_obligations(), 0);
    }
    balanced(world);
    code
}

#[test]
fn rule_09_a_pin_with_a_key_on_one_side_only_is_99() {
    for (acquirer, bank, code) in
        [(true, false, "99"), (false, true, "99"), (false, false, "00"), (true, true, "00")]
    {
        let (mut world, ring) = world(acquirer, bank);
        let block = encrypt_test_pin(&ring.pin("pin-a"), PinFormat::Iso0, PAN, b"1234").unwrap();
        assert_eq!(told(&mut world, block.as_bytes()), code, "acquirer {acquirer}, bank {bank}");
    }
}

#[test]
fn rule_09_a_block_that_holds_no_pin_is_99_and_the_next_payment_goes_on() {
    let (mut world, ring) = world(true, true);
    let of_another_card =
        encrypt_test_pin(&ring.pin("pin-a"), PinFormat::Iso0, b"6210000000000000000", b"1234");
    let under_another_key = encrypt_test_pin(&ring.pin("pin-x"), PinFormat::Iso0, PAN, b"1234");
    for block in
        [of_another_card.unwrap().as_bytes(), under_another_key.unwrap().as_bytes(), &[0; 8], &[0xff; 8]]
    {
        assert_eq!(told(&mut world, block), "99");
    }
    let good = encrypt_test_pin(&ring.pin("pin-a"), PinFormat::Iso0, PAN, b"1234").unwrap();
    assert_eq!(told(&mut world, good.as_bytes()), "00");
}

#[test]
fn rule_09_a_payment_refused_for_its_pin_gets_99_again_also_after_a_crash() {
    let (mut world, _) = world(true, true);
    let terminal = world.terminal();
    let sent = world.sends(terminal, &purchase(100).with(52, [0; 8]));
    assert_eq!(world.answer(terminal).unwrap().code(), "99");
    world.crash();
    let terminal = world.terminal();
    world.sends_raw(terminal, &sent.repeated());
    assert_eq!(world.answer(terminal).unwrap().code(), "99");
    assert!(world.banks_are_quiet());
    balanced(&world);
}
