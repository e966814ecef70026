//! Rule 15 about keys in both directions: the switch offers a participant keys of its own, again until they are answered,
//! and no key that was sent earlier, or comes twice, ever pushes a newer one out.

use crate::balanced;
use crate::keys::{asked, epoch, world_of, world_that_changes};
use std::time::Duration;
use yika_keystore::{MacKey, PinFormat, WrapForm, encrypt_test_pin, matches_test_pin};
use yika_switch::core::effect::Alarm;
use yika_switch::core::entry::KeyUse;
use yika_switch::core::ids::LineId;
use yika_tests::keys::{KEK_AES, KEK_DES};
use yika_tests::setup::BANK_A;
use yika_tests::world::mti;
use yika_tests::{BankRequest, KeyRing, Terminal, Wire, World, purchase};

const LINE: LineId = LineId(0);
const PAN: &[u8] = b"4111111111111111";
/// An offer is repeated so often, and after three of them once a minute.
const RETRY_MS: u64 = 5_000;

/// An operator asks for a new key; what the bank then hears.
fn offered(world: &mut World, usage: KeyUse) -> BankRequest {
    world.driver.change_key(BANK_A, usage, 1).unwrap();
    world.step();
    let request = world.at_bank(BANK_A).unwrap();
    is_offer(&request, usage);
    request
}

fn is_offer(request: &BankRequest, usage: KeyUse) {
    assert_eq!((request.wire.mti, request.wire.text(70).as_str()), (mti(0x0800), "101"));
    let which = if usage == KeyUse::Pin { "1" } else { "2" };
    assert_eq!(request.wire.text(53), format!("{which:0<16}"));
}

/// The next payment goes out under this key, and the answer under it counts.
fn pays_under(world: &mut World, terminal: Terminal, key: &MacKey) {
    let request = asked(world, terminal);
    assert!(request.frame.is_under(key, &world.line_dialect(request.line)), "under another key");
    world.bank_macs.insert(BANK_A.into(), key.clone());
    world.bank_answers(&request, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
}

#[test]
fn rule_15_a_mac_key_of_ours_is_in_use_when_the_bank_took_it_and_not_before() {
    for (mac, kek) in [("mac-0", KEK_AES), ("retail-0", KEK_DES)] {
        let (mut world, ring) = world_of(mac, kek);
        let terminal = world.terminal();
        let offer = offered(&mut world, KeyUse::Mac);
        let fresh = ring.taken_mac(&offer.wire.text(48), kek);
        assert!(offer.frame.is_under(&ring.mac(mac), &world.line_dialect(LINE)), "sent under the key in use");
        pays_under(&mut world, terminal, &ring.mac(mac));
        world.bank_answers(&offer, "00");
        pays_under(&mut world, terminal, &fresh);
        assert_eq!(epoch(&world, KeyUse::Mac), 1);
        world.advance(RETRY_MS * 2);
        assert!(world.banks_are_quiet(), "the offer is over");
        world.crash();
        let terminal = world.terminal();
        pays_under(&mut world, terminal, &fresh);
        balanced(&world);
    }
}

#[test]
fn rule_15_a_pin_key_of_ours_carries_the_next_pin_when_the_bank_took_it() {
    let (mut world, ring) = world_of("mac-0", KEK_AES);
    let terminal = world.terminal();
    let offer = offered(&mut world, KeyUse::Pin);
    let fresh = ring.taken_pin(&offer.wire.text(48), KEK_AES);
    for (key, taken) in [(ring.pin("pin-0"), false), (fresh, true)] {
        if taken {
            world.bank_answers(&offer, "00");
        }
        let pin = encrypt_test_pin(&ring.pin("pin-a"), PinFormat::Iso0, PAN, b"1234").unwrap();
        world.sends(terminal, &purchase(100).with(52, pin.as_bytes()));
        let request = world.at_bank(BANK_A).unwrap();
        let block = yika_keystore::EncryptedPin::from_bytes(request.wire.fields.get(52).unwrap()).unwrap();
        assert_eq!(matches_test_pin(&key, PinFormat::Iso0, PAN, &block, b"1234"), Ok(true), "taken: {taken}");
        world.bank_answers(&request, "00");
        assert_eq!(world.answer(terminal).unwrap().code(), "00");
    }
    balanced(&world);
}

#[test]
fn rule_15_an_offer_is_repeated_as_it_was_until_it_is_answered() {
    let (mut world, _) = world_of("mac-0", KEK_AES);
    let first = offered(&mut world, KeyUse::Mac);
    for try_no in 2..=4 {
        world.advance(RETRY_MS);
        let again = world.at_bank(BANK_A).unwrap();
        assert_eq!(again.wire, first.wire, "try {try_no}");
    }
    let told = |world: &World| world.alarms.iter().filter(|a| matches!(a, Alarm::KeyClash { .. })).count();
    assert_eq!(told(&world), 1, "three tries without an answer are told of");
    world.advance(RETRY_MS);
    assert!(world.banks_are_quiet(), "from then on once a minute");
    world.advance(60_000);
    let last = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&last, "00");
    assert_eq!(epoch(&world, KeyUse::Mac), 1);
    let refused = world.driver.change_key("nobody", KeyUse::Mac, 2).unwrap_err();
    assert!(refused.contains("those are"), "{refused}");
}

#[test]
fn rule_15_whoever_uses_an_offered_key_has_taken_it() {
    let (mut world, ring) = world_of("mac-0", KEK_AES);
    let terminal = world.terminal();
    let request = asked(&mut world, terminal);
    let offer = offered(&mut world, KeyUse::Mac);
    let fresh = ring.taken_mac(&offer.wire.text(48), KEK_AES);
    // The bank's answer to the offer was lost, and it works under the new key.
    world.bank_macs.insert(BANK_A.into(), fresh.clone());
    world.bank_answers(&request, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00", "not declined for its key");
    assert_eq!(epoch(&world, KeyUse::Mac), 1);
    pays_under(&mut world, terminal, &fresh);
    world.advance(RETRY_MS * 2);
    assert!(world.banks_are_quiet(), "the offer is over");
    balanced(&world);
}

#[test]
fn rule_15_a_refused_offer_leaves_the_key_in_use_and_is_told() {
    let (mut world, ring) = world_of("mac-0", KEK_AES);
    let terminal = world.terminal();
    let offer = offered(&mut world, KeyUse::Mac);
    world.bank_answers(&offer, "A0");
    assert!(world.alarms.iter().any(
        |alarm| matches!(alarm, Alarm::KeyClash { why, .. } if why.contains("refused the MAC key") && why.contains("A0"))
    ));
    pays_under(&mut world, terminal, &ring.mac("mac-0"));
    assert_eq!(epoch(&world, KeyUse::Mac), 0);
    world.advance(RETRY_MS * 2);
    assert!(world.banks_are_quiet());
    let again = offered(&mut world, KeyUse::Mac);
    assert_ne!(again.wire.text(48), offer.wire.text(48), "another key");
}

#[test]
fn rule_15_an_offer_survives_a_crash_also_one_that_was_taken_meanwhile() {
    let (mut world, ring) = world_of("mac-0", KEK_AES);
    let offer = offered(&mut world, KeyUse::Mac);
    let fresh = ring.taken_mac(&offer.wire.text(48), KEK_AES);
    world.crash();
    let (live, replayed) = world.live_and_replayed();
    assert_eq!(live, replayed);
    let again = world.at_bank(BANK_A).unwrap();
    is_offer(&again, KeyUse::Mac);
    let same = ring.taken_mac(&again.wire.text(48), KEK_AES);
    assert_eq!(same.check_value(), fresh.check_value(), "the same key, wrapped anew");
    let terminal = world.terminal();
    let request = asked(&mut world, terminal);
    world.bank_macs.insert(BANK_A.into(), fresh.clone());
    world.bank_answers(&request, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    world.crash();
    let terminal = world.terminal();
    pays_under(&mut world, terminal, &fresh);
    balanced(&world);
}

#[test]
fn rule_15_keys_that_are_as_old_as_they_may_become_are_replaced() {
    let (mut world, ring) = world_that_changes("mac-0", KEK_AES, Some(Duration::from_secs(3600)));
    let mut seen = Vec::new();
    for round in 0..3 {
        let (first, waited_ms) = next_offer(&mut world);
        let expected = if round == 0 { 0..=2_000 } else { 3_600_000 - 1..=3_602_000 };
        assert!(expected.contains(&waited_ms), "round {round} after {waited_ms} ms");
        is_offer(&first, KeyUse::Mac);
        let second = world.at_bank(BANK_A).unwrap();
        is_offer(&second, KeyUse::Pin);
        let mac = ring.taken_mac(&first.wire.text(48), KEK_AES);
        [&first, &second].iter().for_each(|offer| world.bank_answers(offer, "00"));
        world.bank_macs.insert(BANK_A.into(), mac.clone());
        assert_eq!((epoch(&world, KeyUse::Mac), epoch(&world, KeyUse::Pin)), (round + 1, round + 1));
        seen.push(mac.check_value());
    }
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

/// Answers echo tests until a key is offered; how long that took.
fn next_offer(world: &mut World) -> (BankRequest, u64) {
    for waited in 0..4_000 {
        while let Some(request) = world.at_bank(BANK_A) {
            if request.wire.text(70) == "101" {
                return (request, waited * 1_000);
            }
            world.bank_answers(&request, "00");
        }
        world.advance(1_000);
    }
    panic!("no key is offered");
}

fn key_change(at: &str, stan: &str, carried: &str) -> Wire {
    Wire::new(0x0800)
        .with(7, at)
        .with(11, stan)
        .with(70, "101")
        .with(53, "2000000000000000")
        .with(48, carried)
}

#[test]
fn rule_15_a_key_that_was_sent_earlier_and_comes_later_changes_nothing() {
    let (mut world, ring) = world_of("mac-0", KEK_AES);
    let carried = |name: &str| ring.carried(name, WrapForm::KeyBlock);
    let send = |world: &mut World, at: &str, stan: &str, name: &str| {
        world.bank_sends_on(LINE, &key_change(at, stan, &carried(name)), &[]);
        let answer = world.at_bank(BANK_A).unwrap();
        assert_eq!(answer.wire.mti, mti(0x0810));
        if answer.wire.code() == "00" {
            // From its answer on the sender uses the new key.
            world.bank_macs.insert(BANK_A.into(), ring.mac(name));
        }
        answer.wire.code()
    };
    assert_eq!(send(&mut world, "1123233015", "000001", "mac-1"), "00");
    assert_eq!(send(&mut world, "1123233016", "000002", "mac-2"), "00");
    for crash in [false, true] {
        if crash {
            world.crash();
        }
        assert_eq!(
            send(&mut world, "1123233015", "000001", "mac-1"),
            "94",
            "delayed, after a crash: {crash}"
        );
        assert_eq!(
            send(&mut world, "1123233014", "000009", "mac-9"),
            "94",
            "overtaken, after a crash: {crash}"
        );
        assert_eq!(send(&mut world, "1123233016", "000002", "mac-2"), "00", "a repeat of the last");
        assert_eq!(epoch(&world, KeyUse::Mac), 2);
        let terminal = world.terminal();
        pays_under(&mut world, terminal, &ring.mac("mac-2"));
    }
    assert_eq!(send(&mut world, "1123233016", "000003", "mac-3"), "00", "the next within the same second");
    let terminal = world.terminal();
    pays_under(&mut world, terminal, &ring.mac("mac-3"));
    balanced(&world);
}

#[test]
fn rule_15_a_key_of_single_length_comes_in_f96_and_is_proven_by_the_mac_made_with_it() {
    let (mut world, ring) = world_of("cbc-0", KEK_DES);
    let terminal = world.terminal();
    let change = |name: &str, stan: &str| {
        Wire::new(0x0800)
            .with(7, "1123233015")
            .with(11, stan)
            .with(70, "101")
            .with(53, "2000000000000000")
            .with(96, ring.cryptogram(name, KEK_DES))
    };
    let send = |world: &mut World, wire: &Wire, under: &str, answered_under: &str| {
        world.bank_macs.insert(BANK_A.into(), ring.mac(under));
        world.bank_sends_on(LINE, wire, &[]);
        world.bank_macs.insert(BANK_A.into(), ring.mac(answered_under));
        world.at_bank(BANK_A).unwrap().wire.code()
    };
    assert_eq!(send(&mut world, &change("cbc-1", "000001"), "cbc-1", "cbc-1"), "00");
    pays_under(&mut world, terminal, &ring.mac("cbc-1"));
    // Under the old key, under another, and as a PIN key, nothing proves it.
    for (wire, under) in [
        (change("cbc-2", "000002"), "cbc-1"),
        (change("cbc-2", "000003"), "cbc-3"),
        (change("cbc-2", "000004").with(96, [7; 8]), "cbc-2"),
    ] {
        assert_eq!(send(&mut world, &wire, under, "cbc-1"), "A0", "{wire:?} under {under}");
    }
    let as_pin = change("cbc-2", "000005").with(53, "1000000000000000");
    assert_eq!(send(&mut world, &as_pin, "cbc-2", "cbc-1"), "99");
    assert_eq!(epoch(&world, KeyUse::Mac), 1);
    pays_under(&mut world, terminal, &ring.mac("cbc-1"));
    balanced(&world);
}

/// What the bank's own change is answered; from a "00" on it works under that key.
fn bank_changes(world: &mut World, ring: &KeyRing, name: &str, wire: &Wire) -> String {
    world.bank_sends_on(LINE, wire, &[]);
    let answer = world.at_bank(BANK_A).unwrap();
    assert_eq!(answer.wire.mti, mti(0x0810));
    if answer.wire.code() == "00" {
        world.bank_macs.insert(BANK_A.into(), ring.mac(name));
    }
    answer.wire.code()
}

#[test]
fn rule_15_a_key_that_was_in_use_before_never_comes_back_whatever_time_its_message_states() {
    let (mut world, ring) = world_of("mac-0", KEK_AES);
    let carried = |name: &str| ring.carried(name, WrapForm::KeyBlock);
    for (stan, name) in [("000001", "mac-1"), ("000002", "mac-2")] {
        let wire = key_change("1123233015", stan, &carried(name));
        assert_eq!(bank_changes(&mut world, &ring, name, &wire), "00");
    }
    for crash in [false, true] {
        if crash {
            world.crash();
        }
        // Caught on the line, and sent once more by somebody without keys.
        let macs = std::mem::take(&mut world.bank_macs);
        for wire in [
            key_change("1123235915", "000077", &carried("mac-1")),
            key_change("1123233015", "000001", &carried("mac-1")).without(7),
            key_change("1123233015", "000001", &carried("mac-9")).without(7),
        ] {
            assert_eq!(bank_changes(&mut world, &ring, "mac-1", &wire), "94", "crash: {crash}, {wire:?}");
        }
        world.bank_macs = macs;
        assert_eq!(epoch(&world, KeyUse::Mac), 2);
        let terminal = world.terminal();
        pays_under(&mut world, terminal, &ring.mac("mac-2"));
    }
    balanced(&world);
}

#[test]
fn rule_15_an_answer_to_an_offer_counts_under_a_mac_alone() {
    for code in ["00", "A0"] {
        let (mut world, ring) = world_of("mac-0", KEK_AES);
        let terminal = world.terminal();
        let offer = offered(&mut world, KeyUse::Mac);
        let macs = std::mem::take(&mut world.bank_macs);
        world.bank_answers(&offer, code);
        assert_eq!(world.driver.counts.lines.bad_mac, 1, "{code}");
        assert_eq!(epoch(&world, KeyUse::Mac), 0, "{code}");
        world.bank_macs = macs;
        pays_under(&mut world, terminal, &ring.mac("mac-0"));
        world.advance(RETRY_MS);
        let again = world.at_bank(BANK_A).unwrap();
        assert_eq!(again.wire, offer.wire, "the offer still stands");
    }
}

#[test]
fn rule_15_of_two_changes_that_cross_the_one_that_was_on_its_way_first_is_made() {
    let (mut world, ring) = world_of("mac-0", KEK_AES);
    let terminal = world.terminal();
    let carried = ring.carried("mac-2", WrapForm::KeyBlock);
    let offer = offered(&mut world, KeyUse::Mac);
    let own = key_change("1123233016", "000002", &carried);
    assert_eq!(bank_changes(&mut world, &ring, "mac-2", &own), "96", "ours is on its way");
    let fresh = ring.taken_mac(&offer.wire.text(48), KEK_AES);
    world.bank_answers(&offer, "00");
    pays_under(&mut world, terminal, &fresh);
    let own = key_change("1123233017", "000003", &carried);
    assert_eq!(bank_changes(&mut world, &ring, "mac-2", &own), "00", "the bank's comes after it");
    pays_under(&mut world, terminal, &ring.mac("mac-2"));
    // An offer that stays unanswered does not keep the bank from its change.
    offered(&mut world, KeyUse::Mac);
    world.advance(4 * RETRY_MS);
    while world.at_bank(BANK_A).is_some() {}
    let own = key_change("1123233050", "000004", &ring.carried("mac-3", WrapForm::KeyBlock));
    assert_eq!(bank_changes(&mut world, &ring, "mac-3", &own), "00");
    world.advance(60_000);
    while let Some(request) = world.at_bank(BANK_A) {
        assert_ne!(request.wire.text(70), "101", "the offer is withdrawn");
    }
    pays_under(&mut world, terminal, &ring.mac("mac-3"));
    balanced(&world);
}

#[test]
fn rule_15_a_bank_that_refuses_keys_for_their_age_is_asked_once_an_hour() {
    let (mut world, _) = world_that_changes("mac-0", KEK_AES, Some(Duration::from_secs(43_200)));
    for hour in 0..2 {
        let mut offers = 0;
        for _ in 0..(60 * 60 - 5) {
            while let Some(request) = world.at_bank(BANK_A) {
                let offer = request.wire.text(70) == "101";
                offers += usize::from(offer);
                world.bank_answers(&request, if offer { "40" } else { "00" });
            }
            world.advance(1_000);
        }
        assert_eq!(offers, 2, "hour {hour}: one MAC key and one PIN key");
        world.advance(5_000);
    }
    assert_eq!(epoch(&world, KeyUse::Mac), 0);
}
