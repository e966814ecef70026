//! One test for each numbered rule of money, named after it, and for each promise that needs no process.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping it")]

use yika_tests::setup::BANK_A;
use yika_tests::{World, purchase};

#[test]
fn a_purchase_is_routed_approved_and_balanced() {
    let mut world = World::new();
    let terminal = world.terminal();
    let sent = world.sends(terminal, &purchase(1000));
    let request = world.at_bank(BANK_A).unwrap();
    assert_eq!(request.wire.amount(), 1000);
    world.bank_answers(&request, "00");
    let answer = world.answer(terminal).unwrap();
    assert_eq!((answer.code().as_str(), answer.stan(), answer.amount()), ("00", sent.stan(), 1000));
    assert_eq!(world.unaccounted(), 0);
    let (live, replayed) = world.live_and_replayed();
    assert_eq!(live, replayed);
}
