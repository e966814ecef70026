//! The memory of a running switch, as a core dump or a debugger would have it: after traffic with MACs and PINs, no key of
//! the city, no PIN field and no clear PIN block is in anything that can be read.

#[path = "../../keystore/tests/memory/scan.rs"]
mod scan;

use crate::city::{City, Settings};
use scan::{MASK, Mapping, Needles, mappings, scan as look_through};
use std::io::ErrorKind;
use std::time::Duration;
use yika_codec::{Pan, unhex};
use yika_loadgen::{Load, TEST_PIN, TEST_PREFIXES, run};
use yika_tests::city::Keys;
use yika_tests::process::Yika;

/// Drawn at random, so that nothing else looks like them; published keys stand in every cipher's self-test.
const KEYS: Keys = Keys {
    acquirer_mac: "6C93F1E02B7D4A5891B6DE37C4A80F15",
    bank_mac: "E4176BD08F3A925C7E01C9A36D58B2F4",
    acquirer_pin: "5D8AC27F3E91B6046BF4137C98D5E02A",
    bank_pin: "A72F645BC1E9380DD3582C9B7610F4EF",
};
/// Cards of each prefix that the terminals use.
const CARDS: u32 = 5;

#[test]
fn no_key_and_no_pin_is_in_the_memory_of_a_busy_switch() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { keyed: true, keys: KEYS, ..Settings::default() };
    let city = City::build_with(folder.path(), "decline=5%,delay=1ms", &settings);
    let yika = Yika::start(folder.path());
    for dialect in ["iso87-ascii", "pos-bcd"] {
        let mut config = city.terminals(dialect);
        config.load = Load::Closed { outstanding: 2 };
        config.connections = 4;
        config.cards = CARDS;
        config.pin_share = "100%".parse().unwrap();
        config.duration = Duration::from_secs(1);
        config.mix = "purchase=8,void=1".parse().unwrap();
        let report = run::run(config, Duration::from_secs(30), |_| {}).unwrap();
        assert!(report.totals.ended > 10, "{report}");
    }
    let process = yika.pid().to_string();
    let needles = needles();
    let scanned = match look_through(&process, &needles, Mapping::is_arena) {
        Ok(scanned) => scanned,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            println!("left out: another process may look into the switch's memory as root alone ({error})");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert!(scanned.found.is_empty(), "{}", scan::told(&scanned.found));
    assert!(scanned.bytes > 1 << 22, "only {} bytes were looked at", scanned.bytes);
    let arena = mappings(&process).unwrap();
    assert!(arena.iter().any(|one| one.is_arena() && one.has("lo")), "its keys are nowhere");

    // What it does hold is found: the folder of its data, for one.
    let mut there = Needles::new();
    let name = folder.path().join("data").display().to_string();
    there.bytes("its folder", &name.bytes().map(|byte| byte ^ MASK).collect::<Vec<_>>());
    let scanned = look_through(&process, &there, Mapping::is_arena).unwrap();
    assert!(scanned.found.iter().any(|one| one.what == "its folder"));
    assert!(yika.stop().success());
    city.banks.into_iter().for_each(|bank| drop(bank.stop()));
}

fn needles() -> Needles {
    let mut needles = Needles::new();
    let masked = |bytes: &[u8]| bytes.iter().map(|byte| byte ^ MASK).collect::<Vec<u8>>();
    for (name, key) in [
        ("the acquirer's MAC key", KEYS.acquirer_mac),
        ("the bank's MAC key", KEYS.bank_mac),
        ("the acquirer's PIN key", KEYS.acquirer_pin),
        ("the bank's PIN key", KEYS.bank_pin),
    ] {
        needles.key(name, &masked(&unhex(key).unwrap()));
    }
    // ISO 9564 format 0 before encryption: the PIN field by itself, and with the card's digits over it.
    let mut nibbles = vec![0, TEST_PIN.len() as u8];
    nibbles.extend(TEST_PIN.iter().map(|digit| digit - b'0'));
    nibbles.resize(16, 0xF);
    let field = packed(&nibbles);
    needles.bytes("the PIN field", &masked(&field));
    for card in cards() {
        let mut nibbles = vec![0; 4];
        nibbles.extend(card[3..15].iter().map(|digit| digit - b'0'));
        let block: Vec<u8> = field.iter().zip(packed(&nibbles)).map(|(one, other)| one ^ other).collect();
        needles.bytes("a clear PIN block", &masked(&block));
    }
    needles
}

fn cards() -> Vec<Vec<u8>> {
    let numbers = (1..=CARDS).flat_map(|number| TEST_PREFIXES.map(|prefix| (prefix, number)));
    let card = |(prefix, number): (&str, u32)| {
        let mut card = format!("{prefix}{number:0width$}", width = 15 - prefix.len()).into_bytes();
        card.push(Pan::check_digit(&card));
        card
    };
    numbers.map(card).collect()
}

fn packed(nibbles: &[u8]) -> Vec<u8> {
    nibbles.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
