//! Rule 13 and promise P7: business dates and sums.

use crate::{approved, balanced};
use yika_switch::core::books::Side;
use yika_switch::core::ids::BusinessDate;
use yika_tests::setup::{BANK_A, TIMEOUT_MS, config};
use yika_tests::{World, purchase};

const TODAY: BusinessDate = BusinessDate(20_261_124);
const TOMORROW: BusinessDate = BusinessDate(20_261_125);

fn told(world: &World, date: BusinessDate) -> i64 {
    world
        .driver
        .core
        .durable
        .books
        .books()
        .filter(|((at, _), _)| *at == date)
        .map(|(_, book)| book.told)
        .sum()
}

#[test]
fn rule_13_a_transaction_keeps_the_date_of_its_intent_over_a_cut_over() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    let request = world.at_bank(BANK_A).unwrap();
    world.driver.cut_over(1);
    world.step();
    assert!(
        world.driver.core.durable.dates.open.contains_key(&TODAY),
        "the old date waits for what is in flight"
    );
    approved(&mut world, terminal, &purchase(7));
    world.bank_answers(&request, "00");
    assert_eq!((told(&world, TODAY), told(&world, TOMORROW)), (100, 7));
    world.advance(10);
    assert!(!world.driver.core.durable.dates.open.contains_key(&TODAY), "then it closes");
    balanced(&world);
}

#[test]
fn rule_13_cut_over_is_idempotent_and_its_clock_trigger_fires_once() {
    let mut world = World::new();
    world.driver.cut_over(1);
    world.driver.cut_over(2);
    world.step();
    assert_eq!(world.driver.core.durable.dates.current, TOMORROW);
    let mut settings = config();
    // It is 07:30 in the switch's zone.
    settings.cut_over_minute = Some(7 * 60 + 31);
    let mut world = World::with(settings);
    assert_eq!(world.driver.core.durable.dates.current, TODAY);
    world.advance(60_000);
    assert_eq!(world.driver.core.durable.dates.current, TOMORROW);
    world.crash();
    world.advance(60_000);
    assert_eq!(world.driver.core.durable.dates.current, TOMORROW);
}

#[test]
fn rule_13_what_is_owed_from_a_closed_date_is_discharged_on_the_next_and_both_balance() {
    let mut world = World::new();
    let terminal = world.terminal();
    let mut advice = purchase(500);
    advice.mti = yika_tests::world::mti(0x0220);
    world.goes_down(BANK_A);
    world.sends(terminal, &advice);
    world.answer(terminal).unwrap();
    world.driver.cut_over(1);
    world.advance(10);
    assert!(!world.driver.core.durable.dates.open.contains_key(&TODAY));
    balanced(&world);
    world.comes_up(BANK_A);
    let request = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&request, "00");
    balanced(&world);
    let carried = |date| {
        let books = world.driver.core.durable.books.books();
        books.filter(|((at, _), _)| *at == date).map(|(_, book)| book.carried).sum::<i64>()
    };
    assert_eq!((carried(TODAY), carried(TOMORROW)), (500, -500), "with a link between the dates");
}

#[test]
fn p7_totals_per_participant_are_what_each_side_would_count() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, _) = approved(&mut world, terminal, &purchase(100));
    approved(&mut world, terminal, &purchase(50));
    world.sends(terminal, &purchase(70));
    world.at_bank(BANK_A).unwrap();
    world.advance(TIMEOUT_MS + 10);
    let unknown = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&unknown, "00");
    world.sends_raw(terminal, &sent.reversal("000500"));
    let undone = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&undone, "00");
    let sums: Vec<_> = world.driver.core.durable.books.sums().collect();
    for side in [Side::Acquirer, Side::Issuer] {
        let (_, sums) = sums.iter().find(|((_, _, at, _), _)| *at == side).unwrap();
        assert_eq!((sums.debits.count, sums.debits.minor), (2, 150), "{side:?}");
        assert_eq!((sums.debit_reversals.count, sums.debit_reversals.minor), (1, 100), "{side:?}");
    }
    balanced(&world);
}
