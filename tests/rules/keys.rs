//! Rules 7, 11 and 15 about keys: they change over a line with an overlap, wrong MACs unkey a line, and what is
//! owed waits for keys.

use crate::balanced;
use std::collections::BTreeMap;
use std::time::Duration;
use yika_keystore::{EncryptedPin, MacKey, PinFormat, PinKey, WrapForm, encrypt_test_pin, matches_test_pin};
use yika_switch::core::effect::Alarm;
use yika_switch::core::entry::KeyUse;
use yika_switch::core::ids::LineId;
use yika_tests::keys::{KEK_AES, KEK_DES};
use yika_tests::setup::{ACQUIRER, BANK_A, TIMEOUT_MS, config};
use yika_tests::world::mti;
use yika_tests::{BankRequest, KeyRing, Terminal, Wire, World, purchase};

const LINE: LineId = LineId(0);
const OVERLAP_MS: u64 = 60_000;
const PAN: &[u8] = b"4111111111111111";

fn network(code: &str) -> Wire {
    Wire::new(0x0800).with(7, "1123233015").with(11, "000001").with(70, code)
}

fn key_change(which: &str, carried: &str) -> Wire {
    network("101").with(53, format!("{which:0<16}")).with(48, carried)
}

/// Bank A with these keys, which the switch has too: (MAC, PIN), and the acquirer's PIN key.
pub(crate) fn world_of(mac: &str, kek: &str) -> (World, KeyRing) {
    world_that_changes(mac, kek, None)
}

/// The same; bank A is offered new keys when its own are as old as `every`.
pub(crate) fn world_that_changes(mac: &str, kek: &str, every: Option<Duration>) -> (World, KeyRing) {
    let (ring, keys) = KeyRing::agreed(&[mac, "pin-0", "pin-a"]);
    let mut settings = config();
    for held in &mut settings.participants {
        match held.name.as_str() {
            BANK_A => {
                held.mac_key = Some(mac.into());
                held.pin_key = Some("pin-0".into());
                held.kek = Some(kek.into());
                held.key_change = every;
            }
            ACQUIRER => held.pin_key = Some("pin-a".into()),
            _ => {}
        }
    }
    let mut world = World::with_keys(settings, keys);
    world.bank_macs = BTreeMap::from([(BANK_A.to_owned(), ring.mac(mac))]);
    (world, ring)
}

fn keyed() -> (World, KeyRing) {
    world_of("mac-0", KEK_AES)
}

/// A purchase on its way at the bank.
pub(crate) fn asked(world: &mut World, terminal: Terminal) -> BankRequest {
    world.sends(terminal, &purchase(100));
    world.at_bank(BANK_A).unwrap()
}

/// Bank A asks for something of network management; what it is answered.
fn bank_asks(world: &mut World, wire: &Wire) -> BankRequest {
    world.bank_sends_on(LINE, wire, &[]);
    let answer = world.at_bank(BANK_A).unwrap();
    assert_eq!(answer.wire.mti, mti(0x0810));
    answer
}

fn changes(world: &mut World, ring: &KeyRing, name: &str) {
    // Each change is a message of its own; the last digit of the name tells which came after which.
    let stan = format!("0001{:0>2}", name.rsplit('-').next().unwrap());
    let wire = key_change("2", &ring.carried(name, WrapForm::KeyBlock)).with(11, stan);
    let answer = bank_asks(world, &wire);
    assert_eq!(answer.wire.code(), "00");
}

/// The bank answers, its MAC under this key.
fn answers_under(world: &mut World, request: &BankRequest, key: MacKey) {
    world.bank_macs.insert(BANK_A.into(), key);
    world.bank_answers(request, "00");
}

fn is_under(world: &World, request: &BankRequest, key: &MacKey) -> bool {
    request.frame.is_under(key, &world.line_dialect(request.line))
}

pub(crate) fn epoch(world: &World, usage: KeyUse) -> u32 {
    let durable = &world.driver.core.durable;
    let bank = durable.participants.values().find(|held| held.name == BANK_A).unwrap();
    bank.keys.get(&usage).map_or(0, |key| key.epoch)
}

#[test]
fn rule_15_a_bank_changes_the_mac_key_and_the_old_one_counts_while_both_overlap() {
    let cases = [
        ("mac-0", "mac-1", KEK_AES, WrapForm::KeyBlock),
        ("retail-0", "retail-1", KEK_DES, WrapForm::TdesEcb),
    ];
    for (first, second, kek, form) in cases {
        let (mut world, ring) = world_of(first, kek);
        let (old, new) = (ring.mac(first), ring.mac(second));
        let terminal = world.terminal();
        let before = asked(&mut world, terminal);
        assert!(is_under(&world, &before, &old), "{first}");
        let answer = bank_asks(&mut world, &key_change("2", &ring.carried(second, form)));
        assert_eq!(answer.wire.code(), "00", "{second}");
        assert!(is_under(&world, &answer, &old), "answered under the key it was asked under");
        let after = asked(&mut world, terminal);
        assert!(is_under(&world, &after, &new) && !is_under(&world, &after, &old));
        answers_under(&mut world, &before, old.clone());
        assert_eq!(world.answer(terminal).unwrap().code(), "00", "an answer under the old key counts");
        answers_under(&mut world, &after, new);
        assert_eq!(world.answer(terminal).unwrap().code(), "00");
        world.advance(OVERLAP_MS);
        let later = asked(&mut world, terminal);
        answers_under(&mut world, &later, old);
        assert!(world.answer(terminal).is_none(), "the overlap is over");
        world.advance(TIMEOUT_MS + 10);
        assert_eq!(world.answer(terminal).unwrap().code(), "68");
        assert_eq!(world.driver.counts.lines.bad_mac, 1);
        balanced(&world);
    }
}

/// F52 of a purchase at bank A, and whether it holds the PIN under this key.
fn pin_under(world: &mut World, terminal: Terminal, from: &PinKey, at_bank: &PinKey) -> bool {
    let pin = encrypt_test_pin(from, PinFormat::Iso0, PAN, b"1234").unwrap();
    world.sends(terminal, &purchase(100).with(52, pin.as_bytes()));
    let request = world.at_bank(BANK_A).unwrap();
    let block = EncryptedPin::from_bytes(request.wire.fields.get(52).unwrap()).unwrap();
    world.bank_answers(&request, "00");
    matches_test_pin(at_bank, PinFormat::Iso0, PAN, &block, b"1234") == Ok(true)
}

#[test]
fn rule_15_a_bank_changes_the_pin_key_and_the_next_pin_goes_out_under_it() {
    for (form, kek) in [(WrapForm::KeyBlock, KEK_AES), (WrapForm::TdesEcb, KEK_DES)] {
        let (mut world, ring) = world_of("mac-0", kek);
        let terminal = world.terminal();
        let from = ring.pin("pin-a");
        assert!(pin_under(&mut world, terminal, &from, &ring.pin("pin-0")));
        let answer = bank_asks(&mut world, &key_change("1", &ring.carried("pin-1", form)));
        assert_eq!(answer.wire.code(), "00");
        assert!(pin_under(&mut world, terminal, &from, &ring.pin("pin-1")));
        world.crash();
        let terminal = world.terminal();
        assert!(pin_under(&mut world, terminal, &from, &ring.pin("pin-1")), "durable");
        balanced(&world);
    }
}

#[test]
fn rule_15_a_key_change_survives_a_crash_with_what_is_left_of_its_overlap() {
    let (mut world, ring) = keyed();
    let (zero, one, two) = (ring.mac("mac-0"), ring.mac("mac-1"), ring.mac("mac-2"));
    changes(&mut world, &ring, "mac-1");
    world.crash();
    let terminal = world.terminal();
    let request = asked(&mut world, terminal);
    assert!(is_under(&world, &request, &one), "the new key is in force");
    answers_under(&mut world, &request, zero.clone());
    assert_eq!(world.answer(terminal).unwrap().code(), "00", "the old one still verifies");
    world.advance(OVERLAP_MS);
    world.bank_macs.insert(BANK_A.into(), one.clone());
    changes(&mut world, &ring, "mac-2");
    world.crash();
    let terminal = world.terminal();
    for (key, counts) in [(zero, false), (one.clone(), true), (two, true)] {
        let request = asked(&mut world, terminal);
        answers_under(&mut world, &request, key);
        assert_eq!(world.answer(terminal).is_some(), counts, "only the last two are good");
    }
    world.advance(OVERLAP_MS);
    world.crash();
    let terminal = world.terminal();
    let request = asked(&mut world, terminal);
    answers_under(&mut world, &request, one);
    assert!(world.answer(terminal).is_none(), "a restart begins no new overlap");
    assert_eq!(epoch(&world, KeyUse::Mac), 2);
    let (live, replayed) = world.live_and_replayed();
    assert_eq!(live, replayed);
}

#[test]
fn rule_15_a_key_that_is_not_what_its_check_value_says_is_refused_and_changes_nothing() {
    let (mut world, ring) = world_of("retail-0", KEK_DES);
    let good = ring.carried("retail-1", WrapForm::TdesEcb);
    let wrong = flipped(&good);
    let pin = flipped(&ring.carried("pin-1", WrapForm::TdesEcb));
    let block = flipped(&ring.carried("mac-1", WrapForm::KeyBlock));
    let cases = [
        (key_change("2", &wrong), "A0"),
        (key_change("1", &pin), "99"),
        (key_change("2", &block), "A0"),
        (key_change("3", &good), "30"),
        (key_change("2", "NK001"), "30"),
        (key_change("2", &good).without(48), "30"),
    ];
    let entries = world.driver.core.durable.next_seq;
    for (wire, code) in &cases {
        let answer = bank_asks(&mut world, wire);
        assert_eq!(answer.wire.code(), *code, "{wire:?}");
    }
    let clashes = world.alarms.iter().filter(|alarm| matches!(alarm, Alarm::KeyClash { .. })).count();
    assert_eq!((clashes, world.driver.counts.lines.keys_refused), (1, cases.len() as u64));
    assert_eq!(world.driver.core.durable.next_seq, entries, "nothing was journalled");
    let terminal = world.terminal();
    let request = asked(&mut world, terminal);
    assert!(is_under(&world, &request, &ring.mac("retail-0")));
    answers_under(&mut world, &request, ring.mac("retail-0"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
}

#[test]
fn p9_a_bank_that_floods_with_wrong_keys_makes_a_line_a_minute_and_a_count() {
    let (mut world, ring) = world_of("retail-0", KEK_DES);
    let wrong = key_change("2", &flipped(&ring.carried("retail-1", WrapForm::TdesEcb)));
    for _ in 0..500 {
        assert_eq!(bank_asks(&mut world, &wrong).wire.code(), "A0");
    }
    world.advance(60_000);
    bank_asks(&mut world, &wrong);
    let told: Vec<u64> = world
        .alarms
        .iter()
        .filter_map(|alarm| match alarm {
            Alarm::KeyClash { held_back, why, .. } => (!why.is_empty()).then_some(*held_back),
            _ => None,
        })
        .collect();
    assert_eq!(told, [0, 499]);
    assert_eq!(world.driver.counts.lines.keys_refused, 501);
}

/// The last digit is another one.
fn flipped(text: &str) -> String {
    let (head, last) = text.split_at(text.len() - 1);
    format!("{head}{}", if last == "0" { "1" } else { "0" })
}

#[test]
fn rule_15_a_key_change_without_an_agreed_key_encryption_key_is_unsupported() {
    let mut world = World::new();
    let answer = bank_asks(&mut world, &key_change("2", "NK001A"));
    assert_eq!(answer.wire.code(), "40");
}

#[test]
fn rule_15_the_same_key_again_is_answered_00_and_makes_no_epoch() {
    let (mut world, ring) = keyed();
    changes(&mut world, &ring, "mac-1");
    let entries = world.driver.core.durable.next_seq;
    world.bank_macs.insert(BANK_A.into(), ring.mac("mac-1"));
    // Wrapped afresh each time, so that no two texts are the same.
    for _ in 0..3 {
        changes(&mut world, &ring, "mac-1");
    }
    assert_eq!(epoch(&world, KeyUse::Mac), 1);
    assert_eq!(world.driver.core.durable.next_seq, entries, "nothing was journalled");
    let terminal = world.terminal();
    let request = asked(&mut world, terminal);
    answers_under(&mut world, &request, ring.mac("mac-0"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00", "the old key was not pushed out");
    balanced(&world);
}

#[test]
fn rule_15_the_configured_key_sent_as_a_new_one_pushes_nothing_out() {
    let (mut world, ring) = keyed();
    changes(&mut world, &ring, "mac-0");
    changes(&mut world, &ring, "mac-1");
    let terminal = world.terminal();
    let request = asked(&mut world, terminal);
    answers_under(&mut world, &request, ring.mac("mac-0"));
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
}

/// Bank A is an acquirer too: its terminals come in under the keys that its line changes. It may take longer
/// for an answer than the overlap lasts.
fn acquiring_bank() -> (World, KeyRing) {
    let (ring, keys) = KeyRing::agreed(&["mac-0", "pin-0"]);
    let mut settings = config();
    settings.listeners[0].participant = BANK_A.into();
    settings.listeners[0].deadline = Duration::from_secs(100);
    let bank = settings.participants.iter_mut().find(|held| held.name == BANK_A).unwrap();
    bank.mac_key = Some("mac-0".into());
    bank.pin_key = Some("pin-0".into());
    bank.kek = Some(KEK_AES.into());
    bank.link.as_mut().unwrap().timeout = Duration::from_secs(90);
    let mut world = World::with_keys(settings, keys);
    world.bank_macs.insert(BANK_A.into(), ring.mac("mac-0"));
    world.terminal_mac = Some(ring.mac("mac-0"));
    (world, ring)
}

#[test]
fn rule_15_a_pin_under_the_old_key_is_translated_while_the_two_overlap() {
    let (mut world, ring) = acquiring_bank();
    let terminal = world.terminal();
    let (old, new) = (ring.pin("pin-0"), ring.pin("pin-1"));
    let answer = bank_asks(&mut world, &key_change("1", &ring.carried("pin-1", WrapForm::KeyBlock)));
    assert_eq!(answer.wire.code(), "00");
    for from in [&old, &new] {
        assert!(pin_under(&mut world, terminal, from, &new));
        assert_eq!(world.answer(terminal).unwrap().code(), "00");
    }
    world.advance(OVERLAP_MS);
    let pin = encrypt_test_pin(&old, PinFormat::Iso0, PAN, b"1234").unwrap();
    world.sends(terminal, &purchase(100).with(52, pin.as_bytes()));
    assert_eq!(world.answer(terminal).unwrap().code(), "99", "the overlap is over");
}

#[test]
fn rule_15_an_answer_uses_the_epoch_its_request_verified_under_while_the_two_overlap() {
    let (mut world, ring) = acquiring_bank();
    let (old, new) = (ring.mac("mac-0"), ring.mac("mac-1"));
    let terminal = world.terminal();
    let dialect = yika_tests::setup::dialect("iso87-ascii");
    let in_flight = [(); 2].map(|()| asked(&mut world, terminal));
    changes(&mut world, &ring, "mac-1");
    world.terminal_mac = Some(new.clone());
    let fresh = asked(&mut world, terminal);
    for (request, key, what) in
        [(&in_flight[0], &old, "asked under the old"), (&fresh, &new, "under the new")]
    {
        world.bank_answers(request, "00");
        let answer = world.answer_frame(terminal).unwrap();
        assert_eq!(answer.wire.code(), "00");
        assert!(answer.is_under(key, &dialect), "{what}");
    }
    world.bank_macs.insert(BANK_A.into(), new.clone());
    world.terminal_mac = Some(old.clone());
    world.sends(terminal, &purchase(0));
    assert!(world.answer_frame(terminal).unwrap().is_under(&old, &dialect), "a refusal too");
    let echo = bank_asks(&mut world, &network("301"));
    assert!(is_under(&world, &echo, &new));
    world.bank_macs.insert(BANK_A.into(), old);
    let echo = bank_asks(&mut world, &network("301"));
    assert!(is_under(&world, &echo, &ring.mac("mac-0")), "a bank's own request likewise");
    world.advance(OVERLAP_MS);
    world.bank_macs.insert(BANK_A.into(), new.clone());
    world.bank_answers(&in_flight[1], "00");
    let answer = world.answer_frame(terminal).unwrap();
    assert!(answer.is_under(&new, &dialect), "the overlap ended before this one was answered");
}

#[test]
fn rule_11_three_bad_macs_running_unkey_the_line_until_a_key_change_or_a_new_connection() {
    let (mut world, ring) = keyed();
    let terminal = world.terminal();
    unkeyed(&mut world, &ring, terminal);
    changes(&mut world, &ring, "mac-1");
    world.bank_macs.insert(BANK_A.into(), ring.mac("mac-1"));
    assert_eq!(reversed(&mut world), 3, "what waited goes at once");
    let request = asked(&mut world, terminal);
    world.bank_answers(&request, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00", "a key change ends it");
    unkeyed(&mut world, &ring, terminal);
    world.goes_down(BANK_A);
    world.comes_up(BANK_A);
    assert_eq!(reversed(&mut world), 3);
    let request = asked(&mut world, terminal);
    world.bank_answers(&request, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00", "and so does a new connection");
    balanced(&world);
}

#[test]
fn rule_15_what_changes_durable_state_over_a_keyed_line_needs_its_mac() {
    let (mut world, ring) = keyed();
    let (sign_on, sign_off, cut_over) = (network("001"), network("002"), network("201"));
    let under = |world: &mut World, mac: bool, wire: &Wire| {
        world.bank_macs = BTreeMap::from([(BANK_A.to_owned(), ring.mac("mac-0"))]);
        world.bank_macs.retain(|_, _| mac);
        let answer = bank_asks(world, wire).wire.code();
        world.bank_macs = BTreeMap::from([(BANK_A.to_owned(), ring.mac("mac-0"))]);
        answer
    };
    let entries = world.driver.core.durable.next_seq;
    for (wire, code) in [(&sign_off, "A0"), (&cut_over, "A0"), (&network("301"), "00"), (&sign_on, "00")] {
        assert_eq!(under(&mut world, false, wire), code, "{wire:?}");
    }
    assert_eq!(world.driver.core.durable.next_seq, entries, "nothing was journalled");
    assert_eq!((world.driver.counts.lines.bad_mac, world.driver.counts.lines.unkeyed), (2, 0));
    let terminal = world.terminal();
    let request = asked(&mut world, terminal);
    world.bank_answers(&request, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00", "the bank is still there");
    let date = world.driver.core.durable.dates.current;
    assert_eq!(under(&mut world, true, &cut_over), "00");
    assert!(world.driver.core.durable.dates.current > date);
    assert_eq!(under(&mut world, true, &sign_off), "00");
    assert_eq!(under(&mut world, false, &sign_on), "A0", "it would end what the bank has said under its key");
    world.sends(terminal, &purchase(100));
    assert_eq!(world.answer(terminal).unwrap().code(), "91");
    assert_eq!(under(&mut world, true, &sign_on), "00");
    let request = asked(&mut world, terminal);
    world.bank_answers(&request, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    balanced(&world);
}

/// Acknowledges every reversal that comes; how many came.
fn reversed(world: &mut World) -> usize {
    let mut count = 0;
    while let Some(request) = world.at_bank(BANK_A) {
        assert_eq!(request.wire.mti.class(), 0x04);
        world.bank_answers(&request, "00");
        count += 1;
    }
    count
}

/// Three answers under a wrong key: their legs run to their time-out, the line carries nothing more, and what is owed
/// waits.
fn unkeyed(world: &mut World, ring: &KeyRing, terminal: Terminal) {
    let right = world.bank_macs[BANK_A].clone();
    let before = world.driver.counts.lines.unkeyed;
    world.alarms.clear();
    for _ in 0..3 {
        assert_eq!(world.driver.counts.lines.unkeyed, before);
        let request = asked(world, terminal);
        answers_under(world, &request, ring.mac("mac-9"));
        assert!(world.answer(terminal).is_none(), "a wrong MAC is no answer");
    }
    assert_eq!(world.driver.counts.lines.unkeyed, before + 1);
    assert!(matches!(world.alarms[..], [Alarm::LineUnkeyed { line: LINE, .. }]), "{:?}", world.alarms);
    world.sends(terminal, &purchase(100));
    assert_eq!(world.answer(terminal).unwrap().code(), "91", "no more requests on it");
    world.advance(TIMEOUT_MS + 10);
    for _ in 0..3 {
        assert_eq!(world.answer(terminal).unwrap().code(), "68");
    }
    assert!(world.open_obligations() >= 3 && world.at_bank(BANK_A).is_none(), "what is owed waits for keys");
    assert!(!world.was_closed(terminal));
    world.bank_macs.insert(BANK_A.into(), right);
    let echo = bank_asks(world, &network("301"));
    assert_eq!(echo.wire.code(), "00", "it is still listened to");
}

#[test]
fn rule_11_a_good_mac_after_two_bad_ones_begins_a_new_count() {
    let (mut world, ring) = keyed();
    let terminal = world.terminal();
    for key in ["mac-9", "mac-9", "mac-0", "mac-9", "mac-9", "mac-0"] {
        let request = asked(&mut world, terminal);
        answers_under(&mut world, &request, ring.mac(key));
        assert_eq!(world.answer(terminal).is_some(), key == "mac-0");
    }
    assert_eq!((world.driver.counts.lines.bad_mac, world.driver.counts.lines.unkeyed), (4, 0));
}

#[test]
fn rule_07_a0_waits_for_keys_and_goes_out_under_the_new_one_at_once() {
    let (mut world, ring) = keyed();
    let terminal = world.terminal();
    asked(&mut world, terminal);
    world.advance(TIMEOUT_MS + 10);
    let reversal = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&reversal, "A0");
    world.advance(20_000);
    assert!(world.at_bank(BANK_A).is_none(), "no retry under a key that does not hold there");
    world.bank_sends_on(LINE, &key_change("2", &ring.carried("mac-1", WrapForm::KeyBlock)), &[]);
    let seen: Vec<BankRequest> = std::iter::from_fn(|| world.at_bank(BANK_A)).collect();
    let again = seen.iter().find(|one| one.wire.mti == mti(0x0421)).unwrap();
    assert!(is_under(&world, again, &ring.mac("mac-1")));
    world.bank_answers(again, "A0");
    world.advance(30_000);
    let last = world.at_bank(BANK_A).unwrap();
    assert_eq!(last.wire.mti, mti(0x0421), "one mistaken A0 is not for ever: after the longest wait");
    answers_under(&mut world, &last, ring.mac("mac-1"));
    assert_eq!(world.open_obligations(), 0);
    balanced(&world);
}

#[test]
fn rule_07_a0_waits_no_longer_than_for_a_new_connection() {
    let (mut world, _) = keyed();
    let terminal = world.terminal();
    asked(&mut world, terminal);
    world.advance(TIMEOUT_MS + 10);
    let reversal = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&reversal, "A0");
    world.goes_down(BANK_A);
    world.comes_up(BANK_A);
    let again = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&again, "00");
    assert_eq!(world.open_obligations(), 0);
}
