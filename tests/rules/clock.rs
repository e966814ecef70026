//! A system clock that was set back: what went out before keeps its place in time.

use crate::{approved, balanced};
use yika_switch::core::effect::Alarm;
use yika_tests::setup::BANK_A;
use yika_tests::{Terminal, World, purchase};

/// F7 of the request that a purchase makes.
fn f7(world: &mut World, terminal: Terminal) -> u32 {
    world.sends(terminal, &purchase(100));
    let request = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&request, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    request.wire.text(7).parse().unwrap()
}

#[test]
fn rule_01_f7_moves_on_while_the_system_clock_is_behind() {
    let mut world = World::new();
    let terminal = world.terminal();
    approved(&mut world, terminal, &purchase(100));
    let before = f7(&mut world, terminal);
    world.clock_back_ms = 20_000;
    world.advance(4_000);
    let behind = f7(&mut world, terminal);
    assert!(before < behind, "no F11 that comes round meets its F7 again: {before}, {behind}");
    world.crash();
    world.advance(2_000);
    let terminal = world.terminal();
    let restarted = f7(&mut world, terminal);
    assert!(behind < restarted, "neither after a restart: {behind}, {restarted}");
    world.advance(60_000);
    assert!(restarted + 30 < f7(&mut world, terminal), "caught up, and followed again");
    let told = world.alarms.iter().filter(|one| matches!(one, Alarm::ClockBack { .. })).count();
    assert_eq!(told, 2, "once in each life");
    balanced(&world);
}
