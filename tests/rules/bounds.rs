//! Promise P9: each bound that is reached is counted by the name of the key that sets it, and so is each refusal.

use crate::balanced;
use yika_switch::config::Config;
use yika_switch::core::Bound;
use yika_switch::core::ids::ListenerNo;
use yika_tests::setup::{BANK_A, TIMEOUT_MS, config};
use yika_tests::{Wire, World, purchase};

fn reached(world: &World, bound: Bound) -> u64 {
    let (core, rim) = (&world.driver.core.counters, &world.driver.counts.sessions);
    core.reached.of(bound) + rim.reached.of(bound)
}

/// Sets a bound so low that a purchase, its copy, its silence and its repeat reach it.
fn lower(settings: &mut Config, bound: Bound) {
    let (bounds, rim) = (&mut settings.bounds, &mut settings.rim);
    match bound {
        Bound::Open => bounds.open_max = 0,
        Bound::Dedupe => bounds.dedupe_max = 0,
        Bound::Obligations => bounds.obligations_max = 0,
        Bound::Originals => settings.limits.originals_max = 0,
        Bound::Copies => bounds.copies_max = 1,
        Bound::Fetches => bounds.fetches_max = 0,
        Bound::Late => bounds.late_max = 0,
        Bound::Currencies => bounds.currencies_max = 0,
        Bound::Terminals => bounds.terminals_max = 0,
        Bound::Taps => bounds.taps_max = 0,
        Bound::Batches => bounds.batches_max = 0,
        Bound::TapSums => bounds.tap_sums_max = 0,
        Bound::Inflight => settings.participants[1].link.as_mut().unwrap().inflight_max = 0,
        Bound::Journal => settings.journal.pending_bytes_max = 0,
        Bound::Sessions => rim.sessions_max = 1,
        Bound::SessionInflight => rim.session_inflight_max = 1,
        Bound::SessionOut => rim.out_bytes_max = 10,
        Bound::MessageMemory => rim.message_bytes_max = 10,
    }
}

/// A commit that does not come holds bytes back; what comes meanwhile finds the journal full.
fn stalls(world: &mut World) {
    let terminal = world.terminal();
    world.commits = false;
    world.sends(terminal, &purchase(50));
}

/// It comes.
fn goes_on(world: &mut World) {
    world.commits = true;
    world.step();
}

#[test]
fn p9_each_bound_that_is_reached_is_counted_by_its_own_name() {
    // Payments do not reach those of gateways: `taps.rs` does.
    let of_payments = |bound: &Bound| !matches!(bound, Bound::Taps | Bound::Batches | Bound::TapSums);
    for (bound, key) in Bound::ALL.into_iter().filter(|(bound, _)| of_payments(bound)) {
        let mut settings = config();
        settings.listeners[0].sign_on_required = bound == Bound::Terminals;
        lower(&mut settings, bound);
        let mut world = World::with(settings);
        let terminal = world.terminal();
        world.driver.session_opened(ListenerNo(0), world.now);
        let sign_on = Wire::new(0x0800).with(7, "1123233015").with(11, "000001").with(70, "001");
        world.sends_raw(terminal, &sign_on.with(41, "TERM0001"));
        if bound == Bound::Journal {
            stalls(&mut world);
        }
        // A listener's own currency always has its place.
        let currency = if bound == Bound::Currencies { "840" } else { "156" };
        let sent = world.sends(terminal, &purchase(100).with(49, currency));
        goes_on(&mut world);
        world.sends_raw(terminal, &sent);
        world.at_bank(BANK_A);
        world.advance(TIMEOUT_MS + 10);
        world.sends_raw(terminal, &sent);
        assert!(reached(&world, bound) > 0, "{key}");
        for (other, name) in Bound::ALL.iter().filter(|(other, _)| *other != bound) {
            assert_eq!(reached(&world, *other), 0, "{name} was reached instead of {key}");
        }
        balanced(&world);
    }
}

#[test]
fn p9_a_refusal_is_counted_by_its_reason() {
    let refused = |bound: Bound| {
        let mut settings = config();
        lower(&mut settings, bound);
        let mut world = World::with(settings);
        let terminal = world.terminal();
        if bound == Bound::Journal {
            stalls(&mut world);
        }
        world.sends(terminal, &purchase(100));
        goes_on(&mut world);
        assert_eq!(world.answer(terminal).unwrap().code(), "96");
        world.driver.core.counters
    };
    for bound in
        [Bound::Open, Bound::Dedupe, Bound::Obligations, Bound::Originals, Bound::Inflight, Bound::Journal]
    {
        let counters = refused(bound);
        assert_eq!(counters.refused_at.of(bound), 1, "{bound:?}");
    }
    let mut world = World::new();
    let terminal = world.terminal();
    let sent = world.sends(terminal, &purchase(100));
    world.sends_raw(terminal, &sent.with(4, "000000000200"));
    assert_eq!(world.answer(terminal).unwrap().code(), "94");
    world.driver.drain();
    world.sends(terminal, &purchase(100));
    assert_eq!(world.answer(terminal).unwrap().code(), "96");
    let counters = &world.driver.core.counters;
    assert_eq!((counters.refused_duplicate, counters.refused_draining), (1, 1));
}
