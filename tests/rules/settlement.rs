//! Rule 13 and promise P7: business dates and sums.

use crate::{approved, balanced};
use yika_switch::core::books::Side;
use yika_switch::core::entry::{Entry, Outcome};
use yika_switch::core::ids::{BusinessDate, ObligationId, Seq};
use yika_tests::setup::{BANK_A, BANK_B, TIMEOUT_MS, config};
use yika_tests::world::mti;
use yika_tests::{Wire, World, purchase};

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
fn rule_13_a_settlement_date_that_differs_is_counted_and_recorded_and_not_adopted() {
    for (listener, bank, card) in [(0, BANK_A, "4111111111111111"), (1, BANK_B, "6222000000000000")] {
        let mut world = World::new();
        let terminal = world.terminal_at(listener);
        let differing = |world: &World| {
            let durable = &world.driver.core.durable;
            let id = durable.participant_by_name(bank).unwrap();
            world.driver.core.dates_differing.get(&id).copied().unwrap_or(0)
        };
        let wire = purchase(100).with(2, card);
        let wire = if listener == 1 { wire.with(60, "22000001000") } else { wire };
        // Ours is 1124; zeros name none.
        for (date, count) in [("1124", 0), ("0000", 0), ("1123", 1), ("1125", 2)] {
            let sent = world.sends(terminal, &wire);
            let request = world.at_bank(bank).unwrap();
            let answer = world.answer_to(&request, "00").with(15, date);
            world.bank_sends(&request, &answer);
            let told = world.answer(terminal).unwrap();
            assert_eq!((told.code().as_str(), told.text(15).as_str()), ("00", ""), "{date} is not told on");
            assert_eq!(differing(&world), count, "{date}");
            let entry = last_outcome(&world);
            assert_eq!(entry.answer.get(15), (count > 0).then_some(date.as_bytes()), "{date}");
            world.sends_raw(terminal, &sent);
            assert_eq!(world.answer(terminal).unwrap(), told, "the same answer again");
        }
        assert_eq!(world.driver.core.durable.dates.current, TODAY);
        assert_eq!(told(&world, TODAY), 400);
        balanced(&world);
    }
}

/// The newest outcome of the journal.
fn last_outcome(world: &World) -> Outcome {
    let reader = world.driver.journal().reader();
    let before = (1..world.driver.core.durable.next_seq.0).rev();
    let found = before.filter_map(|seq| reader.entry(Seq(seq))).find_map(|entry| match entry {
        Entry::Outcome(outcome) => Some(*outcome),
        _ => None,
    });
    found.unwrap()
}

#[test]
fn rule_13_cut_over_is_idempotent_and_its_clock_trigger_fires_once() {
    let mut world = World::new();
    world.driver.cut_over(1);
    world.driver.cut_over(2);
    world.step();
    assert_eq!(world.driver.core.durable.dates.current, TOMORROW);
    let mut settings = config();
    // It is 20:30 in this zone.
    settings.zone_minutes += 13 * 60;
    settings.cut_over_minute = Some(20 * 60 + 31);
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
    advice.mti = mti(0x0220);
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
fn rule_13_what_comes_after_its_date_has_closed_books_to_the_current_one() {
    let mut world = World::new();
    let terminal = world.terminal();
    let (sent, _) = approved(&mut world, terminal, &purchase(100));
    world.sends(terminal, &purchase(70));
    let silent = world.at_bank(BANK_A).unwrap();
    world.driver.cut_over(1);
    world.advance(TIMEOUT_MS + 10);
    assert!(!world.driver.core.durable.dates.open.contains_key(&TODAY));
    world.sends_raw(terminal, &sent.reversal("000500"));
    world.bank_answers(&silent, "00");
    balanced(&world);
    assert_eq!((told(&world, TODAY), told(&world, TOMORROW)), (100, -100));
    world.crash();
    for _ in 0..3 {
        while let Some(owed) = world.at_bank(BANK_A) {
            world.bank_answers(&owed, "00");
        }
        world.advance(TIMEOUT_MS);
    }
    assert_eq!(world.open_obligations(), 0);
    assert!(world.driver.core.durable.books.books().all(|(_, book)| book.owed == 0));
    balanced(&world);
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

#[test]
fn p9_the_sums_of_a_closed_date_go_with_the_original_window() {
    let mut world = World::new();
    let mut seen = Vec::new();
    for day in 0..8 {
        let terminal = world.terminal();
        approved(&mut world, terminal, &purchase(100));
        seen.push(world.driver.core.durable.dates.current);
        world.now.mono_us += 86_400_000_000;
        world.advance(10);
        world.driver.cut_over(day);
        world.advance(10);
        balanced(&world);
    }
    let books = &world.driver.core.durable.books;
    let kept: Vec<_> = books.books().map(|((date, _), _)| *date).collect();
    assert_eq!(kept, seen[5..], "the window is a day, and one more is left for other zones");
    assert!(books.sums().all(|((date, ..), _)| kept.contains(date)));
    world.crash();
    balanced(&world);
}

#[test]
fn p9_a_payment_in_a_currency_beyond_the_bound_is_declined() {
    let mut settings = config();
    settings.bounds.currencies_max = 1;
    let mut world = World::with(settings);
    let terminal = world.terminal();
    approved(&mut world, terminal, &purchase(100));
    let (sent, _) = approved(&mut world, terminal, &purchase(100).with(49, "840"));
    world.crash();
    let terminal = world.terminal();
    approved(&mut world, terminal, &purchase(100).with(49, "840"));
    for other in [purchase(100), Wire { mti: mti(0x0220), ..purchase(100) }] {
        world.sends(terminal, &other.with(49, "978"));
        assert_eq!(world.answer(terminal).unwrap().code(), "12", "declined, and never asked for");
        assert!(world.banks_are_quiet());
    }
    world.sends_raw(terminal, &sent.reversal("000050"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00", "what gives back needs no place");
    world.at_bank(BANK_A).unwrap();
    world.driver.cut_over(1);
    world.step();
    approved(&mut world, terminal, &purchase(100).with(49, "978"));
    balanced(&world);
}

#[test]
fn p9_a_currency_takes_a_place_only_while_it_has_a_book_or_is_in_flight() {
    let mut settings = config();
    settings.bounds.currencies_max = 1;
    settings.listeners[1].currencies = vec![392];
    let mut world = World::with(settings);
    let terminal = world.terminal();
    // Declined, never sent, and in flight: none of them leaves a book.
    world.sends(terminal, &purchase(100).with(49, "978"));
    let request = world.at_bank(BANK_A).unwrap();
    world.sends(terminal, &purchase(100).with(49, "840"));
    assert_eq!(world.answer(terminal).unwrap().code(), "12", "one place, and it is taken");
    world.bank_answers(&request, "51");
    assert_eq!(world.answer(terminal).unwrap().code(), "51");
    world.goes_down(BANK_A);
    world.sends(terminal, &purchase(100).with(49, "826"));
    assert_eq!(world.answer(terminal).unwrap().code(), "91");
    world.comes_up(BANK_A);
    approved(&mut world, terminal, &purchase(100).with(49, "840"));
    world.sends(terminal, &purchase(100).with(49, "978"));
    assert_eq!(world.answer(terminal).unwrap().code(), "12", "its place has a book now");
    for named in ["156", "392", "840"] {
        approved(&mut world, terminal, &purchase(100).with(49, named));
    }
    balanced(&world);
}

#[test]
fn p9_what_is_no_longer_owed_blocks_no_payment_and_the_oldest_of_it_is_forgotten() {
    for (wire, code) in [(purchase(100), "25"), (Wire { mti: mti(0x0220), ..purchase(100) }, "51")] {
        let mut settings = config();
        settings.bounds.obligations_max = 4;
        settings.bounds.late_max = 4;
        let mut world = World::with(settings);
        let terminal = world.terminal();
        for _ in 0..6 {
            world.sends(terminal, &wire);
            if wire.mti == mti(0x0200) {
                world.at_bank(BANK_A).unwrap();
                world.advance(TIMEOUT_MS + 10);
            }
            assert_ne!(world.answer(terminal).unwrap().code(), "96");
            let owed = world.at_bank(BANK_A).unwrap();
            world.bank_answers(&owed, code);
            balanced(&world);
        }
        let durable = &world.driver.core.durable;
        assert_eq!((durable.obligations.len(), durable.lapsed.len() + durable.exceptions.len()), (0, 4));
        assert!(!durable.exceptions.has(ObligationId(1)) && !durable.lapsed.has(ObligationId(1)));
        approved(&mut world, terminal, &purchase(100));
        world.crash();
        balanced(&world);
    }
}

#[test]
fn p6_a_reversal_that_ended_as_unknown_goes_with_the_watch_for_its_late_answer() {
    let mut world = World::new();
    let terminal = world.terminal();
    let unknown = |world: &mut World| {
        world.sends(terminal, &purchase(100));
        let request = world.at_bank(BANK_A).unwrap();
        world.advance(TIMEOUT_MS + 10);
        world.answer(terminal).unwrap();
        let owed = world.at_bank(BANK_A).unwrap();
        world.bank_answers(&owed, "25");
        assert_eq!(world.driver.core.durable.lapsed.len(), 1);
        request
    };
    let request = unknown(&mut world);
    world.bank_answers(&request, "51");
    assert!(world.driver.core.durable.lapsed.is_empty(), "the first final answer was a decline");
    unknown(&mut world);
    world.advance(world.config.limits.dedupe_window_ms + 10);
    assert!(world.driver.core.durable.lapsed.is_empty(), "nobody waits for an answer any more");
    balanced(&world);
}

#[test]
fn p9_exceptions_are_forgotten_in_the_order_in_which_they_ended() {
    let mut settings = config();
    settings.limits.original_window_ms = 3_600_000;
    let mut world = World::with(settings);
    let terminal = world.terminal();
    let advice = |card: &str| Wire { mti: mti(0x0220), ..purchase(100) }.with(2, card);
    world.sends(terminal, &advice("4111111111111111"));
    world.sends(terminal, &advice("6210948000000011"));
    let (first, second) = (world.at_bank(BANK_A).unwrap(), world.at_bank(BANK_A).unwrap());
    world.bank_answers(&second, "51");
    world.now.mono_us += 1_800_000_000;
    world.advance(10);
    world.bank_answers(&first, "51");
    assert_eq!(world.driver.core.durable.exceptions.len(), 2);
    world.now.mono_us += 1_800_000_000;
    world.advance(2_000);
    let exceptions = &world.driver.core.durable.exceptions;
    assert!(exceptions.has(ObligationId(1)) && !exceptions.has(ObligationId(2)));
    balanced(&world);
}

#[test]
fn p9_reversals_fill_a_quarter_more_slots_and_none_that_are_reserved() {
    let mut settings = config();
    settings.bounds.obligations_max = 8;
    let mut world = World::with(settings);
    let terminal = world.terminal();
    let sent: Vec<Wire> = (0..12).map(|_| approved(&mut world, terminal, &purchase(100)).0).collect();
    // Two in flight hold four slots.
    for _ in 0..2 {
        world.sends(terminal, &purchase(100));
    }
    for one in &sent {
        let stan = world.stan();
        world.sends_raw(terminal, &one.reversal(&stan));
    }
    assert_eq!(world.open_obligations(), 5, "four and these make nine of ten; one more might be two");
    world.advance(TIMEOUT_MS + 10);
    assert_eq!(world.open_obligations(), 7);
    balanced(&world);
}
