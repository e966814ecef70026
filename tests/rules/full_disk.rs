//! A disk that is full for hours (rule 2, P9): nothing that can wait is journalled, and what was admitted still ends.

use crate::{approved, balanced};
use yika_switch::config::Config;
use yika_switch::core::Bound;
use yika_switch::journal::faulty::Faults;
use yika_switch::journal::writer::SPARES_MIN;
use yika_tests::setup::{BANK_A, config};
use yika_tests::{Terminal, Wire, World, purchase};

/// So many payments, so far apart: their keys expire one by one for hours.
const PAYMENTS: u64 = 720;
const APART_S: u64 = 10;

/// Segments of 64 blocks, so that a few hundred needless entries use the spares up.
fn small() -> Config {
    let mut settings = config();
    settings.journal.segment_bytes = 64 * 4096;
    settings.limits.dedupe_window_ms = PAYMENTS * APART_S * 1000;
    settings.listeners.iter_mut().for_each(|listener| listener.sign_on_required = true);
    settings
}

/// Time passes in steps of a second.
fn passes(world: &mut World, seconds: u64) {
    for _ in 0..seconds {
        world.now.mono_us += 1_000_000;
        world.now.wall_ms += 1000;
        world.step();
    }
}

fn full(world: &World, full: bool) {
    world.disk.set_faults(Faults { full, ..Faults::default() });
}

fn signs(world: &mut World, terminal: Terminal, code: &str, name: &str) -> String {
    let wire = Wire::new(0x0800).with(7, "1123233015").with(11, "000001").with(70, code).with(41, name);
    world.sends_raw(terminal, &wire);
    world.answer(terminal).unwrap().code()
}

#[test]
fn p9_a_disk_that_is_full_for_hours_ends_no_switch_and_payments_go_on_when_it_is_not() {
    let mut world = World::with(small());
    let terminal = world.terminal();
    assert_eq!(signs(&mut world, terminal, "001", "TERM0001"), "00");
    for _ in 0..PAYMENTS {
        approved(&mut world, terminal, &purchase(100));
        passes(&mut world, APART_S);
    }
    full(&world, true);
    passes(&mut world, PAYMENTS * APART_S);
    // It came to the point where nothing new is admitted, and stayed there.
    assert!(world.driver.journal().spare_count() < SPARES_MIN, "the disk was not full for long enough");
    assert!(world.driver.journal().spare_count() > 0);
    let before = world.driver.core.durable.next_seq;
    passes(&mut world, 4 * 3600);
    for hour in 0..3 {
        let terminal = world.terminal();
        world.sends(terminal, &purchase(100));
        assert_eq!(world.answer(terminal).unwrap().code(), "96", "hour {hour}");
        for name in ["TERM0001", "TERM0002"] {
            assert_eq!(
                signs(&mut world, terminal, "001", name),
                if name == "TERM0001" { "00" } else { "96" }
            );
        }
        assert_eq!(signs(&mut world, terminal, "002", "TERM0001"), "96", "it would not be durable");
        passes(&mut world, 3600);
    }
    assert_eq!(world.driver.core.durable.next_seq, before, "nothing that can wait is journalled");
    assert!(world.driver.core.counters.refused_at.of(Bound::Journal) >= 9);
    full(&world, false);
    world.driver.journal_mut().step_idle(world.now.wall_ms).unwrap();
    let terminal = world.terminal();
    approved(&mut world, terminal, &purchase(100));
    passes(&mut world, 2);
    assert_eq!(world.driver.core.durable.dedupe.len(), 1, "what lies outside its window is forgotten then");
    balanced(&world);
}

#[test]
fn p9_what_is_owed_waits_for_a_full_disk_and_every_answer_that_may_come_has_its_place() {
    let mut settings = small();
    settings.listeners.iter_mut().for_each(|listener| listener.sign_on_required = false);
    let mut world = World::with(settings);
    let terminal = world.terminal();
    let sent: Vec<Wire> = (0..PAYMENTS).map(|_| approved(&mut world, terminal, &purchase(100)).0).collect();
    full(&world, true);
    world.goes_down(BANK_A);
    let mut told = 0;
    for (n, payment) in sent.iter().enumerate() {
        world.sends_raw(terminal, &payment.reversal(&format!("{:06}", 900_000 + n)));
        // In the end they get no answer, and are repeated until there is room.
        told += usize::from(world.answer(terminal).is_some_and(|answer| answer.code() == "00"));
    }
    assert!(told > 50 && told < sent.len(), "reversals are taken until there is no room: {told}");
    assert_eq!(world.open_obligations(), told);
    world.comes_up(BANK_A);
    // Each answer is an entry and a frame of its own, with time for a watermark between: the worst for the disk.
    for _ in 0..sent.len() {
        if let Some(request) = world.at_bank(BANK_A) {
            world.bank_answers(&request, "00");
        }
        world.driver.journal_mut().step_idle(world.now.wall_ms).unwrap();
        passes(&mut world, 10);
    }
    assert_eq!(world.driver.journal().failure(), None);
    assert!(world.open_obligations() > 0, "the disk was full before all of them could go");
    full(&world, false);
    world.driver.journal_mut().step_idle(world.now.wall_ms).unwrap();
    for _ in 0..2 * told {
        passes(&mut world, 10);
        while let Some(request) = world.at_bank(BANK_A) {
            world.bank_answers(&request, "00");
        }
    }
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}
