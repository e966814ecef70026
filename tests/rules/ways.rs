//! Rule 19: whoever something is owed to is reached as it was, or the start is refused.

use crate::balanced;
use yika_switch::config::Config;
use yika_tests::setup::{BANK_A, dialect};
use yika_tests::{World, purchase};

/// Another address, another dialect, another role of bank A.
fn moved(config: &Config) -> Vec<(&'static str, Config)> {
    let with = |change: &dyn Fn(&mut yika_switch::config::ParticipantConfig)| {
        let mut config = config.clone();
        change(&mut config.participants[1]);
        config
    };
    vec![
        ("127.0.0.1:9", with(&|bank| bank.link.as_mut().unwrap().connect = vec![([127, 0, 0, 1], 9).into()])),
        ("dialect \"pos-bcd\"", with(&|bank| bank.link.as_mut().unwrap().dialect = dialect("pos-bcd"))),
        ("role \"coupon-platform\"", with(&|bank| bank.coupon_platform = true)),
    ]
}

#[test]
fn rule_19_whoever_is_owed_something_is_not_reached_another_way() {
    for in_flight in [true, false] {
        let mut world = World::new();
        let terminal = world.terminal();
        world.sends(terminal, &purchase(100));
        world.at_bank(BANK_A).unwrap();
        if !in_flight {
            world.crash();
            world.at_bank(BANK_A).unwrap();
        }
        let config = world.config.clone();
        for (change, other) in moved(&config) {
            world.config = other;
            let before = world.disk.all_bytes().len();
            let why = world.restart().unwrap_err();
            assert!(why.contains("participant \"bank-a\" is owed 1 reversals or advices for role"), "{why}");
            assert!(why.contains(change) && why.contains("127.0.0.1:1") && why.contains("saf list"), "{why}");
            assert_eq!(world.disk.all_bytes().len(), before, "a refused start changes nothing");
        }
        world.config = config;
        world.restart().unwrap();
        let reversal = world.at_bank(BANK_A).unwrap();
        world.bank_answers(&reversal, "00");
        assert_eq!(world.open_obligations(), 0);
        balanced(&world);
    }
}

#[test]
fn rule_19_where_nothing_is_owed_a_new_way_is_taken_and_holds_from_then_on() {
    let mut world = World::new();
    let first = world.config.clone();
    let way = |world: &World| {
        let durable = &world.driver.core.durable;
        durable.participants[&durable.participant_by_name(BANK_A).unwrap()].way.clone().unwrap().to_string()
    };
    assert_eq!(way(&world), "role \"issuer\", dialect \"iso87-ascii\", connect [127.0.0.1:1]");
    world.config.participants[1].link.as_mut().unwrap().connect =
        vec![([127, 0, 0, 1], 9).into(), ([127, 0, 0, 1], 8).into()];
    world.restart().unwrap();
    assert!(way(&world).ends_with("connect [127.0.0.1:8, 127.0.0.1:9]"));
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    // The order of addresses is no other way.
    world.config.participants[1].link.as_mut().unwrap().connect.reverse();
    world.try_crash().unwrap();
    assert_eq!(world.open_obligations(), 1);
    world.config = first;
    let why = world.restart().unwrap_err();
    assert!(why.contains("127.0.0.1:8"), "{why}");
    balanced(&world);
}
