//! Rule 13: one cut-over, whoever tells of it and on whichever side of midnight. It is 07:30 of 24 November in the
//! switch's zone when a world begins.

use crate::balanced;
use yika_switch::core::ids::LineId;
use yika_switch::driver::Output;
use yika_tests::setup::{BANK_B, config, link, participant};
use yika_tests::{Wire, World};

const BEGINNING_MINUTE: u64 = 7 * 60 + 30;
const BANK_A_LINE: LineId = LineId(0);
const BANK_B_LINE: LineId = LineId(1);

/// Two banks that speak a dialect with a cut-over; by message only, or by the clock as well.
fn world(cut_over_minute: Option<u32>) -> World {
    let mut settings = config();
    settings.cut_over_minute = cut_over_minute;
    settings.participants[2] = participant(BANK_B, Some(link("iso87-ascii", 2)));
    World::with(settings)
}

/// Moves time to this minute of a day, counted from the day the world begins on.
fn until(world: &mut World, day: u64, minute: u64) {
    let at_us = (day * 1440 + minute - BEGINNING_MINUTE) * 60_000_000;
    assert!(at_us > world.now.mono_us, "time runs forward");
    world.now.mono_us = at_us;
    world.advance(10);
}

fn tells(world: &mut World, line: LineId) {
    let wire = Wire::new(0x0800).with(11, "000001").with(7, "1123233015").with(70, "201");
    world.bank_sends_on(line, &wire, &[]);
}

fn current(world: &World) -> u32 {
    world.driver.core.durable.dates.current.0
}

/// What the operator is told of a cut-over.
fn operator(world: &mut World) -> Option<String> {
    world.driver.cut_over(7);
    world.driver.turn(world.now);
    while world.driver.journal_mut().step().unwrap() {}
    world.driver.turn(world.now);
    let mut outputs = Vec::new();
    world.driver.take_outputs(&mut outputs);
    let done = outputs.into_iter().find_map(|output| match output {
        Output::Done { ticket: 7, refused } => Some(refused),
        _ => None,
    });
    done.expect("an operator is answered")
}

#[test]
fn rule_13_two_banks_on_either_side_of_midnight_open_one_date() {
    for restart in [false, true] {
        let mut world = world(None);
        until(&mut world, 0, 23 * 60 + 59);
        tells(&mut world, BANK_A_LINE);
        assert_eq!(current(&world), 20_261_125);
        if restart {
            world.restart().unwrap();
        }
        until(&mut world, 1, 1);
        tells(&mut world, BANK_B_LINE);
        assert_eq!(current(&world), 20_261_125, "the 26th would skip a date");
        // The next night the other one is first.
        until(&mut world, 1, 23 * 60 + 58);
        tells(&mut world, BANK_B_LINE);
        assert_eq!(current(&world), 20_261_126);
        until(&mut world, 2, 2);
        tells(&mut world, BANK_A_LINE);
        assert_eq!(current(&world), 20_261_126);
        balanced(&world);
    }
}

#[test]
fn rule_13_the_clock_and_a_message_after_midnight_open_one_date() {
    for crash in [false, true] {
        let mut world = world(Some(23 * 60));
        until(&mut world, 0, 23 * 60 + 1);
        assert_eq!(current(&world), 20_261_125);
        if crash {
            world.crash();
        }
        until(&mut world, 1, 5);
        tells(&mut world, BANK_A_LINE);
        tells(&mut world, BANK_B_LINE);
        assert_eq!(current(&world), 20_261_125);
        until(&mut world, 1, 22 * 60 + 50);
        tells(&mut world, BANK_A_LINE);
        assert_eq!(current(&world), 20_261_126);
        until(&mut world, 1, 23 * 60 + 1);
        assert_eq!(current(&world), 20_261_126, "the clock finds it open");
        balanced(&world);
    }
}

#[test]
fn rule_13_a_switch_that_first_starts_after_the_cut_over_of_its_day_takes_no_second_one() {
    let mut settings = config();
    // The world begins at 20:30 here, half an hour after the cut-over.
    settings.zone_minutes += 13 * 60;
    settings.cut_over_minute = Some(20 * 60);
    let mut world = World::with(settings);
    assert_eq!(current(&world), 20_261_125);
    tells(&mut world, BANK_A_LINE);
    until(&mut world, 0, 9 * 60);
    tells(&mut world, BANK_A_LINE);
    assert_eq!(current(&world), 20_261_125);
}

#[test]
fn rule_13_a_cut_over_after_midnight_opens_the_date_that_began() {
    for minute in [0, 30, 11 * 60 + 59] {
        let mut world = world(Some(minute));
        let minute = u64::from(minute);
        let began = if minute > BEGINNING_MINUTE { 20_261_123 } else { 20_261_124 };
        assert_eq!(current(&world), began, "the first date is that of the last cut-over");
        for (day, date) in [(1, 20_261_125), (2, 20_261_126)] {
            until(&mut world, day - 1, 23 * 60 + 59);
            assert_eq!(current(&world), date - 1, "it lasts over midnight");
            if minute > 0 {
                until(&mut world, day, minute - 1);
                assert_eq!(current(&world), date - 1);
            }
            until(&mut world, day, minute);
            assert_eq!(current(&world), date);
        }
        until(&mut world, 3, 12 * 60);
        assert_eq!(current(&world), 20_261_127, "and never more than one a day");
        balanced(&world);
    }
}

#[test]
fn rule_13_a_cut_over_from_noon_on_opens_the_date_of_the_next_day() {
    for minute in [12 * 60, 23 * 60 + 59] {
        let mut world = world(Some(minute));
        assert_eq!(current(&world), 20_261_124);
        until(&mut world, 0, u64::from(minute) - 1);
        assert_eq!(current(&world), 20_261_124);
        until(&mut world, 0, u64::from(minute));
        assert_eq!(current(&world), 20_261_125);
        until(&mut world, 1, 1);
        assert_eq!(current(&world), 20_261_125);
    }
}

#[test]
fn rule_13_a_message_that_comes_after_midnight_opens_the_date_that_began() {
    let mut world = world(None);
    until(&mut world, 1, 10);
    tells(&mut world, BANK_A_LINE);
    assert_eq!(current(&world), 20_261_125, "last night's cut-over, late; the 26th would skip a date");
    until(&mut world, 2, 20);
    tells(&mut world, BANK_B_LINE);
    assert_eq!(current(&world), 20_261_126);
    // Nobody told for two days: the date catches up with the calendar.
    until(&mut world, 4, 23 * 60);
    tells(&mut world, BANK_A_LINE);
    assert_eq!(current(&world), 20_261_129);
}

#[test]
fn rule_13_an_operators_cut_over_within_half_a_day_of_the_last_is_refused_and_told_why() {
    let mut world = world(None);
    until(&mut world, 0, 10 * 60);
    assert_eq!(operator(&mut world), None);
    assert_eq!(current(&world), 20_261_125);
    until(&mut world, 0, 21 * 60 + 59);
    let why = operator(&mut world).unwrap();
    assert!(why.contains("the business date is 20261125 since 719 minutes"), "{why}");
    until(&mut world, 0, 23 * 60);
    assert!(operator(&mut world).is_some(), "the day after tomorrow is not opened today");
    until(&mut world, 1, 1);
    assert_eq!(operator(&mut world), None, "later than half a day, and on another day");
    assert_eq!(current(&world), 20_261_126);
    balanced(&world);
}
