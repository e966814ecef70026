//! What becomes of a message between two sides: one dialect from a file on both, or a dialect that cannot hold
//! what the other says. Never a payment lost to a shop's name, never a field of money dropped.

use crate::{approved, balanced};
use std::collections::BTreeMap;
use yika_switch::config::{Config, parse};
use yika_tests::setup::{BANK_A, BANK_B, TIMEOUT_MS, config};
use yika_tests::world::mti;
use yika_tests::{KeyRing, Wire, World, purchase};

/// 测试商店 in GBK.
const SHOP: [u8; 8] = [0xB2, 0xE2, 0xCA, 0xD4, 0xC9, 0xCC, 0xB5, 0xEA];
const CARD_B: &str = "6222000000000000003";

/// A purchase at a terminal that speaks pos-bcd, in its batch 000123.
fn pos_purchase(minor: u64) -> Wire {
    purchase(minor).with(60, "22000123000")
}

#[test]
fn rule_14_f61_names_the_batch_that_the_original_was_in() {
    let mut world = World::new();
    let pos = world.terminal_at(1);
    world.sends(pos, &pos_purchase(100).with(2, CARD_B));
    let request = world.at_bank(BANK_B).unwrap();
    assert_eq!(request.wire.text(60), "22000123000");
    world.advance(TIMEOUT_MS + 10);
    let reversal = world.at_bank(BANK_B).unwrap();
    let named = format!("000123{}{}", request.wire.stan(), request.wire.text(13));
    assert_eq!((reversal.wire.mti, reversal.wire.text(61)), (mti(0x0400), named));
    // After a crash it is made from custody alone, and still the same.
    world.crash();
    assert_eq!(world.at_bank(BANK_B).unwrap().wire.text(61), reversal.wire.text(61));
}

#[test]
fn rule_14_a_void_keeps_the_batch_that_its_terminal_named() {
    let mut world = World::new();
    let pos = world.terminal_at(1);
    let sent = world.sends(pos, &pos_purchase(100).with(2, CARD_B));
    let paid = world.at_bank(BANK_B).unwrap();
    world.bank_answers(&paid, "00");
    world.answer(pos).unwrap();
    let original = format!("000123{}{}", sent.stan(), sent.text(13));
    let void = pos_purchase(100).with(2, CARD_B).with(3, "200000").with(60, "23000124000").with(61, original);
    world.sends(pos, &void);
    let request = world.at_bank(BANK_B).unwrap();
    let named = |batch: &str, of: &Wire| format!("{batch}{}{}", of.stan(), of.text(13));
    assert_eq!(request.wire.text(61), named("000123", &paid.wire));
    world.advance(TIMEOUT_MS + 10);
    let reversal = world.at_bank(BANK_B).unwrap();
    assert_eq!(reversal.wire.text(61), named("000124", &request.wire), "the void stood in the next batch");
}

/// The small world, with this dialect file for the terminals of the first listener and for bank A.
fn with_file(text: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("own.toml"), text).unwrap();
    let whole = "[switch]\ndata_dir = \"data\"\n\
        [[participant]]\nname = \"city\"\nrole = \"acquirer\"\n\
        [[participant]]\nname = \"bank\"\nrole = \"issuer\"\ndialect = \"own.toml\"\n\
        connect = [\"127.0.0.1:1\"]\n\
        [[listener]]\naddress = \"127.0.0.1:7100\"\nparticipant = \"city\"\ndialect = \"./own.toml\"\n";
    let read = parse("test.toml", whole, folder.path()).map_err(|e| e.to_string()).unwrap();
    let mut settings = config();
    settings.listeners[0].dialect = read.listeners[0].dialect.clone();
    settings.participants[1].link.as_mut().unwrap().dialect =
        read.participants[1].link.as_ref().unwrap().dialect.clone();
    settings
}

#[test]
fn rule_01_one_dialect_file_on_both_sides_is_one_dialect() {
    let mut world = World::with(with_file("name = \"own\"\nextends = \"iso87-ascii\"\n"));
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100).with(63, "private"));
    let request = world.at_bank(BANK_A).unwrap();
    assert_eq!(request.wire.text(63), "private", "of the same dialect it goes through");
    world.bank_answers(&request, "00");
    assert_eq!(world.answer(terminal).unwrap().code(), "00");
    balanced(&world);
}

#[test]
fn rule_01_dialects_are_told_apart_by_what_they_are_and_not_by_their_name() {
    let mut settings = with_file("name = \"own\"\nextends = \"iso87-ascii\"\n");
    let other = with_file("name = \"own\"\nextends = \"iso87-ascii\"\n");
    settings.listeners[0].dialect = other.listeners[0].dialect.clone();
    let mut world = World::with(settings);
    let terminal = world.terminal();
    approved(&mut world, terminal, &purchase(100));
    balanced(&world);
}

#[test]
fn rule_15_a_line_with_a_key_sends_nothing_that_its_mac_cannot_cover() {
    let three = "name = \"own\"\nextends = \"iso87-ascii\"\nfield_max = 192\n\
        [wire]\nthird_bitmap = \"contiguous\"\n[fields]\n130 = { kind = \"an\", length = 4 }\n";
    let mut world = World::with(with_file(three));
    let terminal = world.terminal();
    world.sends(terminal, &purchase(200).with(130, "MORE"));
    assert_eq!(world.at_bank(BANK_A).unwrap().wire.text(130), "MORE", "without a key it goes through");
    let (ring, keys) = KeyRing::agreed(&["mac-0"]);
    let mut settings = with_file(three);
    settings.participants[1].mac_key = Some("mac-0".into());
    let mut world = World::with_keys(settings, keys);
    world.bank_macs = BTreeMap::from([(BANK_A.to_owned(), ring.mac("mac-0"))]);
    let terminal = world.terminal();
    approved(&mut world, terminal, &purchase(100));
    world.sends(terminal, &purchase(200).with(130, "MORE"));
    assert_eq!(
        world.answer(terminal).unwrap().code(),
        "40",
        "field 130 stands behind the MAC's place in 128"
    );
    assert!(world.banks_are_quiet());
    assert_eq!(world.open_obligations(), 0, "no byte of it left");
    balanced(&world);
}

#[test]
fn rule_09_a_shop_name_that_the_bank_cannot_hold_costs_no_payment_and_no_reversal() {
    let mut world = World::new();
    let pos = world.terminal_at(1);
    world.sends(pos, &pos_purchase(100).with(43, SHOP));
    let request = world.at_bank(BANK_A).unwrap();
    assert_eq!((request.wire.amount(), request.wire.text(42)), (100, "MERCHANT0000001".into()));
    assert!(!request.wire.fields.has(43));
    world.bank_answers(&request, "00");
    assert_eq!(world.answer(pos).unwrap().code(), "00");
    world.sends(pos, &pos_purchase(200).with(43, SHOP));
    world.at_bank(BANK_A).unwrap();
    world.advance(TIMEOUT_MS + 10);
    let reversal = world.at_bank(BANK_A).unwrap();
    assert_eq!((reversal.wire.mti, reversal.wire.amount()), (mti(0x0420), 200));
    world.bank_answers(&reversal, "00");
    assert_eq!(world.open_obligations(), 0);
    world.sends(pos, &pos_purchase(300).with(2, CARD_B).with(43, SHOP));
    assert!(
        world.at_bank(BANK_B).unwrap().wire.fields.get(43).unwrap().starts_with(&SHOP),
        "a bank that can"
    );
}

#[test]
fn rule_09_an_answer_text_that_the_terminal_cannot_hold_takes_no_other_field_along() {
    let mut world = World::new();
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100).with(2, CARD_B));
    let request = world.at_bank(BANK_B).unwrap();
    let answer = world.answer_to(&request, "00").with(44, SHOP).with(54, "0002156C000000012345");
    world.bank_sends(&request, &answer);
    let told = world.answer(terminal).unwrap();
    assert_eq!((told.code(), told.text(54)), ("00".into(), "0002156C000000012345".into()));
    assert!(!told.fields.has(44));
    balanced(&world);
}

/// Only what describes is dropped: a merchant number that the bank cannot hold is not.
#[test]
fn rule_09_what_decides_money_is_never_dropped() {
    let mut settings = config();
    let narrow = "name = \"narrow\"\nextends = \"iso87-ascii\"\n[fields]\n\
        42 = { name = \"merchant id\", kind = \"n\", length = 15 }\n";
    let bank = with_file(narrow).participants[1].link.clone();
    settings.participants[1].link = bank;
    let mut world = World::with(settings);
    let terminal = world.terminal();
    world.sends(terminal, &purchase(100));
    assert_eq!(world.answer(terminal).unwrap().code(), "40");
    assert!(world.banks_are_quiet() && world.open_obligations() == 0);
    balanced(&world);
}

#[test]
fn rule_16_a_moment_that_is_none_is_a_format_error() {
    let mut world = World::new();
    let terminal = world.terminal();
    let entries = world.driver.core.durable.next_seq;
    let wrong = [
        (7, "1323233015"),
        (7, "0000000000"),
        (7, "1123253015"),
        (7, "1123236015"),
        (7, "0431120000"),
        (12, "240000"),
        (12, "236000"),
        (12, "233060"),
        (13, "1332"),
        (13, "0000"),
        (13, "0230"),
    ];
    for (n, value) in wrong {
        let sent = world.sends(terminal, &purchase(100).with(n, value));
        let answer = world.answer(terminal).unwrap();
        assert_eq!((answer.code(), answer.stan()), ("30".into(), sent.stan()), "F{n} {value}");
        let undo = sent.reversal("999999");
        world.sends_raw(terminal, &undo);
        assert_eq!(
            world.answer(terminal).unwrap().code(),
            "30",
            "a reversal of no moment is none: F{n} {value}"
        );
    }
    assert!(world.banks_are_quiet());
    assert_eq!(world.driver.core.durable.next_seq, entries, "nothing was journalled");
    approved(&mut world, terminal, &purchase(100).with(13, "0229").with(12, "000000"));
}
