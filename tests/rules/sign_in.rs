//! Rule 15 about terminals that get their working keys by signing in: what F62 holds, when keys come into use, and what
//! happens when an answer is lost, comes twice, or the switch dies in between.

use crate::balanced;
use yika_keystore::{EncryptedPin, MacKey, PinFormat, PinKey, Usage, encrypt_test_pin, matches_test_pin};
use yika_switch::config::{SignInConfig, SignInLayout};
use yika_tests::setup::{BANK_B, config};
use yika_tests::world::mti;
use yika_tests::{KeyRing, Terminal, Wire, World, purchase};

const TMK: &str = "tmk-TERM0001";
const CARD: &str = "6222020000000000";
const OVERLAP_MS: u64 = 60_000;

/// A pos-bcd listener whose terminals sign in for their keys; bank B has a PIN key.
fn world_of(layout: SignInLayout, mac: Usage) -> (World, KeyRing) {
    let (ring, keys) = KeyRing::agreed(&[TMK, "pin-b"]);
    let mut settings = config();
    settings.listeners[1].sign_in = Some(SignInConfig { layout, kek_prefix: "tmk-".into(), mac });
    let bank = settings.participants.iter_mut().find(|held| held.name == BANK_B).unwrap();
    bank.pin_key = Some("pin-b".into());
    (World::with_keys(settings, keys), ring)
}

fn usual() -> (World, KeyRing) {
    world_of(SignInLayout::L60, Usage::MacUnionPayEcb)
}

/// Keys as the terminal has them.
struct Held {
    mac: MacKey,
    pin: PinKey,
}

fn sign_in(stan: &str) -> Wire {
    Wire::new(0x0800).with(11, stan).with(41, "TERM0001").with(42, "MERCHANT0000001").with(60, "00000001003")
}

/// Signs in; F62 of the answer.
fn signs_in(world: &mut World, terminal: Terminal, stan: &str) -> Vec<u8> {
    world.terminal_mac = None;
    world.sends_raw(terminal, &sign_in(stan));
    let answer = world.answer_frame(terminal).unwrap();
    assert_eq!((answer.wire.mti, answer.wire.code().as_str()), (mti(0x0810), "00"));
    assert!(answer.wire.fields.get(64).is_none(), "an answer that brings keys has no MAC yet");
    answer.wire.fields.get(62).unwrap().to_vec()
}

fn held(ring: &KeyRing, field: &[u8], layout: SignInLayout, mac: Usage) -> Held {
    let (pin, mac_part, check) = match layout {
        SignInLayout::L24 => (0..8, 12..20, 4),
        SignInLayout::L40 => (0..16, 20..28, 4),
        SignInLayout::L57 => (0..16, 19..35, 3),
        SignInLayout::L60 => (0..16, 20..36, 4),
        SignInLayout::L84 => (0..24, 28..52, 4),
    };
    let behind = |part: &std::ops::Range<usize>, width: usize| field[part.start + width..][..check].to_vec();
    let mac_width = if layout == SignInLayout::L40 { 16 } else { mac_part.len() };
    Held {
        pin: ring.terminal_pin(TMK, &field[pin.clone()], &behind(&pin, pin.len())),
        mac: ring.terminal_mac(TMK, mac, &field[mac_part.clone()], &behind(&mac_part, mac_width)),
    }
}

fn usual_keys(ring: &KeyRing, field: &[u8]) -> Held {
    held(ring, field, SignInLayout::L60, Usage::MacUnionPayEcb)
}

fn pos_purchase() -> Wire {
    purchase(100).with(2, CARD).with(60, "22000001000").without(7)
}

/// A payment under these keys: what it is answered, `None` when the switch asked nobody and said nothing.
fn pays(world: &mut World, terminal: Terminal, keys: &Held, at_bank: &PinKey) -> String {
    world.terminal_mac = Some(keys.mac.clone());
    let format = PinFormat::Iso0;
    let pin = encrypt_test_pin(&keys.pin, format, CARD.as_bytes(), b"1234").unwrap();
    world.sends(terminal, &pos_purchase().with(52, pin.as_bytes()));
    let Some(request) = world.at_bank(BANK_B) else { return world.answer(terminal).unwrap().code() };
    let block = EncryptedPin::from_bytes(request.wire.fields.get(52).unwrap()).unwrap();
    assert_eq!(matches_test_pin(at_bank, format, CARD.as_bytes(), &block, b"1234"), Ok(true));
    world.bank_answers(&request, "00");
    let answer = world.answer_frame(terminal).unwrap();
    let dialect = yika_tests::setup::dialect("pos-bcd");
    assert!(answer.is_under(&keys.mac, &dialect), "answered under the key that it came under");
    answer.wire.code()
}

#[test]
fn rule_15_a_terminal_signs_in_and_pays_under_the_keys_that_it_got() {
    for (layout, bytes, mac) in [
        (SignInLayout::L24, 24, Usage::MacUnionPayEcb),
        (SignInLayout::L40, 40, Usage::MacUnionPayEcb),
        (SignInLayout::L57, 57, Usage::MacUnionPayEcb),
        (SignInLayout::L57, 57, Usage::MacRetail),
        (SignInLayout::L60, 60, Usage::MacUnionPayEcb),
        (SignInLayout::L84, 84, Usage::MacUnionPayEcb),
    ] {
        let (mut world, ring) = world_of(layout, mac);
        let terminal = world.terminal_at(1);
        let field = signs_in(&mut world, terminal, "000001");
        assert_eq!(field.len(), bytes, "{layout:?}");
        let keys = held(&ring, &field, layout, mac);
        assert_eq!(pays(&mut world, terminal, &keys, &ring.pin("pin-b")), "00", "{layout:?}");
        balanced(&world);
    }
}

#[test]
fn rule_15_without_keys_of_its_own_a_terminal_is_asked_to_sign_in() {
    let (mut world, ring) = usual();
    let terminal = world.terminal_at(1);
    world.sends(terminal, &pos_purchase());
    assert_eq!(world.answer(terminal).unwrap().code(), "77", "nothing of it is believed");
    let field = signs_in(&mut world, terminal, "000001");
    let keys = usual_keys(&ring, &field);
    world.terminal_mac = None;
    world.sends(terminal, &pos_purchase());
    assert_eq!(world.answer(terminal).unwrap().code(), "A0", "from then on with a MAC");
    world.sends(terminal, &pos_purchase().with(41, "TERM0002"));
    assert_eq!(world.answer(terminal).unwrap().code(), "77", "each terminal for itself");
    world.sends_raw(terminal, &sign_in("000002").with(41, "TERM0002"));
    assert_eq!(world.answer(terminal).unwrap().code(), "97", "and only those that have a master key");
    assert!(world.banks_are_quiet());
    assert_eq!(pays(&mut world, terminal, &keys, &ring.pin("pin-b")), "00");
}

#[test]
fn rule_15_keys_of_a_sign_in_survive_a_crash() {
    let (mut world, ring) = usual();
    let terminal = world.terminal_at(1);
    let field = signs_in(&mut world, terminal, "000001");
    let keys = usual_keys(&ring, &field);
    world.crash();
    let (live, replayed) = world.live_and_replayed();
    assert_eq!(live, replayed);
    let terminal = world.terminal_at(1);
    assert_eq!(pays(&mut world, terminal, &keys, &ring.pin("pin-b")), "00");
    balanced(&world);
}

#[test]
fn rule_15_a_lost_answer_to_a_sign_in_leaves_the_keys_before_for_as_long_as_it_takes() {
    let (mut world, ring) = usual();
    let terminal = world.terminal_at(1);
    let bank = ring.pin("pin-b");
    let old = usual_keys(&ring, &signs_in(&mut world, terminal, "000001"));
    assert_eq!(pays(&mut world, terminal, &old, &bank), "00");
    // Two sign-ins whose answers never came, with more than a minute between them.
    let lost = signs_in(&mut world, terminal, "000003");
    world.advance(OVERLAP_MS);
    assert_ne!(signs_in(&mut world, terminal, "000004"), lost);
    for crash in [false, true] {
        world.advance(2 * OVERLAP_MS);
        let terminal = if crash {
            world.crash();
            world.terminal_at(1)
        } else {
            terminal
        };
        assert_eq!(pays(&mut world, terminal, &old, &bank), "00", "crash: {crash}");
    }
    let terminal = world.terminal_at(1);
    let new = usual_keys(&ring, &signs_in(&mut world, terminal, "000005"));
    assert_eq!(pays(&mut world, terminal, &new, &bank), "00");
    assert_eq!(pays(&mut world, terminal, &old, &bank), "00", "what was on its way");
    world.advance(OVERLAP_MS);
    assert_eq!(pays(&mut world, terminal, &old, &bank), "A0", "the new ones are in use since a minute");
    assert_eq!(pays(&mut world, terminal, &new, &bank), "00");
    world.crash();
    let terminal = world.terminal_at(1);
    assert_eq!(pays(&mut world, terminal, &old, &bank), "A0", "also after a crash");
    balanced(&world);
}

#[test]
fn rule_15_a_sign_in_that_comes_twice_gets_the_same_keys() {
    let (mut world, ring) = usual();
    let terminal = world.terminal_at(1);
    let first = signs_in(&mut world, terminal, "000001");
    assert_eq!(signs_in(&mut world, terminal, "000001"), first);
    world.crash();
    let terminal = world.terminal_at(1);
    assert_eq!(signs_in(&mut world, terminal, "000001"), first, "also after a crash");
    assert_eq!(signs_in(&mut world, terminal, "000008"), first, "nobody has used them, whoever asks");
    let keys = usual_keys(&ring, &first);
    assert_eq!(pays(&mut world, terminal, &keys, &ring.pin("pin-b")), "00");
    let second = signs_in(&mut world, terminal, "000009");
    assert_ne!(second, first, "they are in use: another sign-in gets others");
    assert_eq!(pays(&mut world, terminal, &keys, &ring.pin("pin-b")), "00", "and the terminal keeps its own");
    world.advance(OVERLAP_MS);
    assert_ne!(
        signs_in(&mut world, terminal, "000001"),
        first,
        "the same number on another day is another one"
    );
}

#[test]
fn p9_no_more_terminals_have_keys_than_there_is_room_for() {
    let (ring, keys) = KeyRing::agreed(&["tmk-TERM0001", "tmk-TERM0002"]);
    let mut settings = config();
    let mac = Usage::MacUnionPayEcb;
    settings.listeners[1].sign_in =
        Some(SignInConfig { layout: SignInLayout::L60, kek_prefix: "tmk-".into(), mac });
    settings.bounds.terminals_max = 1;
    let mut world = World::with_keys(settings, keys);
    let terminal = world.terminal_at(1);
    signs_in(&mut world, terminal, "000001");
    world.sends_raw(terminal, &sign_in("000002").with(41, "TERM0002"));
    assert_eq!(world.answer(terminal).unwrap().code(), "96");
    let again = usual_keys(&ring, &signs_in(&mut world, terminal, "000003"));
    world.terminal_mac = Some(again.mac);
    world.sends(terminal, &pos_purchase());
    assert!(world.at_bank(BANK_B).is_some(), "whoever has some gets others");
}
