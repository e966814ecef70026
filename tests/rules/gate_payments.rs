//! Payments of gateways (`docs/wire.md`): a payment is a payment, whoever it comes from.

use crate::balanced;
use crate::town::{Line, Town, answered, payment, record_of, transaction};
use yika_codec::Mti;
use yika_codec::gate::{ErrorCode, Message, RawRecord, Record, Transaction};
use yika_keystore::{PinFormat, encrypt_test_pin};
use yika_tests::Wire;
use yika_tests::gateway::Said;
use yika_tests::setup::BANK_A;

const REFERENCE: &[u8; 16] = b"payment number 1";

#[test]
fn a_payment_of_a_gateway_goes_to_its_bank_and_is_answered_once() {
    let mut town = Town::new();
    let mut line = town.connects();
    let stamped = town.world.stamped(&yika_tests::purchase(1234));
    let bytes = record_of(b"payment number 1", &town, &stamped);
    let message = transaction(&bytes);
    assert!(town.asks(&mut line, &message).is_empty(), "its bank is asked first");
    let request = town.world.at_bank(BANK_A).unwrap();
    assert_eq!((request.wire.amount(), request.wire.text(2)), (1234, stamped.text(2)));
    town.world.bank_answers(&request, "00");
    let all = line.peer.hears(&town.world.bytes_at(line.end));
    let first = answered(&all);
    assert_eq!((first.0, first.1.as_str()), (0, "00"));
    assert!(first.2.is_some() && first.3.is_some(), "{first:?}");
    // The same record on another connection: the same answer, and the bank hears nothing.
    let mut line = town.connects();
    let again = town.asks(&mut line, &message);
    assert_eq!(answered(&again), first);
    assert!(town.world.banks_are_quiet());
    // A payment that is no message is refused with its code.
    let mut bytes = Vec::new();
    Record::Payment(payment(b"payment number 2", town.now(), b"")).encode(&mut bytes);
    let record = RawRecord::new(&bytes).unwrap();
    let all = town.asks(&mut line, &Message::Transaction(Transaction { wait_ms: 1, record }));
    assert_eq!(answered(&all).1, "40");
    balanced(&town.world);
}

#[test]
fn a_reversal_of_a_gateway_names_its_payment_in_field_90_and_reaches_the_bank() {
    let mut town = Town::new();
    let mut line = town.connects();
    let stamped = town.world.stamped(&yika_tests::purchase(1250));
    let bytes = record_of(b"payment number 1", &town, &stamped);
    town.asks(&mut line, &transaction(&bytes));
    let request = town.world.at_bank(BANK_A).unwrap();
    town.world.bank_answers(&request, "00");
    let paid = answered(&line.peer.hears(&town.world.bytes_at(line.end)));
    assert_eq!(paid.1, "00");
    let bytes = record_of(b"reversal of no.1", &town, &stamped.reversal("900001"));
    let all = town.asks(&mut line, &transaction(&bytes));
    assert_eq!((answered(&all).0, answered(&all).1.as_str()), (0, "00"));
    let reversal = town.world.at_bank(BANK_A).unwrap();
    assert_eq!((reversal.wire.mti.class(), reversal.wire.amount()), (0x04, 1250));
    let named = reversal.wire.text(90);
    assert_eq!(named[4..10], request.wire.text(11), "the trace number that the bank knows");
    town.world.bank_answers(&reversal, "00");
    assert!(town.world.driver.core.durable.obligations.is_empty());
    balanced(&town.world);
}

#[test]
fn a_payment_that_gets_no_answer_of_its_own_is_in_doubt_and_gives_its_credit_back() {
    let mut town = Town::with(|settings| settings.bounds.obligations_max = 0);
    let mut line = town.connects();
    let mut advice = town.world.stamped(&yika_tests::purchase(300));
    advice.mti = Mti::new(0x0220);
    let bytes = record_of(b"an advice no. 01", &town, &advice);
    let all = town.asks(&mut line, &transaction(&bytes));
    assert_eq!(town.world.driver.core.counters.advices_dropped, 1);
    assert_eq!(answered(&all).0, 1, "it may ask again");
    let Message::TransactionAnswer(said) = all[0].message() else { panic!("{all:?}") };
    assert_eq!(said.credits, 1001);
    balanced(&town.world);
}

/// The code of the error frame that answers.
fn refused(all: &[Said]) -> ErrorCode {
    let Message::Fault(fault) = all[0].message() else { panic!("{all:?}") };
    assert_eq!(fault.fatal, 0);
    ErrorCode::of(fault.code).unwrap()
}

/// A payment of this amount, asked for and approved.
fn pays(town: &mut Town, line: &mut Line, reference: &[u8; 16], wire: &Wire) {
    let bytes = record_of(reference, town, wire);
    assert!(town.asks(line, &transaction(&bytes)).is_empty());
    let request = town.world.at_bank(BANK_A).unwrap();
    town.world.bank_answers(&request, "00");
    assert_eq!(answered(&line.peer.hears(&town.world.bytes_at(line.end))).1, "00");
}

#[test]
fn a_reference_names_one_payment_in_flight_afterwards_and_after_a_crash() {
    let mut town = Town::new();
    let mut line = town.connects();
    let wire = town.world.stamped(&yika_tests::purchase(1250));
    let again = wire.clone().with(11, "654321");
    let bytes = record_of(REFERENCE, &town, &wire);
    let other = record_of(REFERENCE, &town, &again);
    assert!(town.asks(&mut line, &transaction(&bytes)).is_empty(), "its bank is asked first");
    let request = town.world.at_bank(BANK_A).unwrap();
    let all = town.asks(&mut line, &transaction(&other));
    assert_eq!(refused(&all), ErrorCode::Reference, "while the first is in flight");
    town.world.bank_answers(&request, "00");
    let first = answered(&line.peer.hears(&town.world.bytes_at(line.end)));
    assert_eq!(first.1, "00");
    let all = town.asks(&mut line, &transaction(&other));
    assert_eq!(refused(&all), ErrorCode::Reference);
    assert!(matches!(all[1].message(), Message::Credit(said) if said.credits == 1003), "{all:?}");
    town.world.crash();
    let mut line = town.connects();
    let all = town.asks(&mut line, &transaction(&other));
    assert_eq!(refused(&all), ErrorCode::Reference, "after a crash");
    assert_eq!(answered(&town.asks(&mut line, &transaction(&bytes))), first, "the record itself");
    assert!(town.world.banks_are_quiet(), "one payment was paid");
    balanced(&town.world);
}

#[test]
fn a_payment_under_a_second_reference_is_the_same_and_both_name_it() {
    let mut town = Town::new();
    let mut line = town.connects();
    let wire = town.world.stamped(&yika_tests::purchase(1250));
    pays(&mut town, &mut line, REFERENCE, &wire);
    let second = record_of(b"payment number 2", &town, &wire);
    assert_eq!(answered(&town.asks(&mut line, &transaction(&second))).1, "00");
    let other = record_of(b"payment number 2", &town, &wire.with(11, "654321"));
    assert_eq!(refused(&town.asks(&mut line, &transaction(&other))), ErrorCode::Reference);
    assert!(town.world.banks_are_quiet(), "one payment was paid");
    balanced(&town.world);
}

#[test]
fn a_refused_payment_leaves_its_reference_free_and_a_declined_one_does_not() {
    let mut town = Town::new();
    let mut line = town.connects();
    let wire = town.world.stamped(&yika_tests::purchase(1250));
    let bytes = record_of(REFERENCE, &town, &wire.clone().without(2));
    assert_eq!(answered(&town.asks(&mut line, &transaction(&bytes))).1, "30", "no card");
    pays(&mut town, &mut line, REFERENCE, &wire);
    let unpayable = town.world.stamped(&yika_tests::purchase(0));
    let bytes = record_of(b"payment number 2", &town, &unpayable);
    assert_eq!(answered(&town.asks(&mut line, &transaction(&bytes))).1, "13");
    let payable = town.world.stamped(&yika_tests::purchase(5));
    let bytes = record_of(b"payment number 2", &town, &payable);
    assert_eq!(refused(&town.asks(&mut line, &transaction(&bytes))), ErrorCode::Reference);
    balanced(&town.world);
}

#[test]
fn a_reference_is_forgotten_with_its_payment_and_not_before() {
    let mut town = Town::new();
    let mut line = town.connects();
    let wire = town.world.stamped(&yika_tests::purchase(1250));
    let bytes = record_of(REFERENCE, &town, &wire);
    assert!(town.asks(&mut line, &transaction(&bytes)).is_empty());
    town.world.advance(3_000);
    let request = town.world.at_bank(BANK_A).unwrap();
    town.world.bank_answers(&request, "00");
    let window_ms = town.world.driver.core.settings().limits.dedupe_window_ms;
    let known = |town: &Town| {
        let durable = &town.world.driver.core.durable;
        (durable.dedupe.len(), durable.references.len())
    };
    assert_eq!(known(&town), (1, 1));
    town.world.advance(window_ms - 2_000);
    assert_eq!(known(&town), (1, 1), "its window began when it ended");
    town.world.advance(4_000);
    assert_eq!(known(&town), (0, 1));
    town.world.advance(60_000);
    assert_eq!(known(&town), (0, 0));
    balanced(&town.world);
}

#[test]
fn p3_a_record_that_comes_again_when_its_payment_is_forgotten_is_not_paid_again() {
    let mut town = Town::new();
    let mut line = town.connects();
    let wire = town.world.stamped(&yika_tests::purchase(1250));
    let bytes = record_of(REFERENCE, &town, &wire);
    pays(&mut town, &mut line, REFERENCE, &wire);
    let reversal = record_of(b"reversal of no.1", &town, &wire.reversal("900001"));
    let window_ms = town.world.driver.core.settings().limits.dedupe_window_ms;
    for _ in 0..3 {
        town.world.advance(window_ms / 2);
        let mut line = town.connects();
        let code = answered(&town.asks(&mut line, &transaction(&bytes))).1;
        assert!(code == "00" || code == "94", "{code}");
        assert!(town.world.banks_are_quiet(), "one payment was paid");
    }
    town.world.config.limits.dedupe_window_ms = 100 * window_ms;
    town.world.restart().unwrap();
    let mut line = town.connects();
    assert_eq!(answered(&town.asks(&mut line, &transaction(&bytes))).1, "94", "a longer window");
    assert!(town.world.banks_are_quiet());
    // A reversal is taken at any age.
    assert_eq!(answered(&town.asks(&mut line, &transaction(&reversal))).1, "00");
    let undone = town.world.at_bank(BANK_A).unwrap();
    town.world.bank_answers(&undone, "00");
    balanced(&town.world);
}

#[test]
fn a_pin_of_a_gateway_goes_on_under_the_key_of_the_bank() {
    let mut town = Town::with(|settings| {
        settings.participants[0].pin_key = Some("pin-a".into());
        for held in settings.participants.iter_mut().filter(|held| held.name == BANK_A) {
            held.pin_key = Some("pin-0".into());
        }
    });
    let (ours, theirs) = (town.ring.pin("pin-a"), town.ring.pin("pin-0"));
    let mut line = town.connects();
    let wire = town.world.stamped(&yika_tests::purchase(1250));
    let pan = wire.text(2);
    let block = |key| encrypt_test_pin(key, PinFormat::Iso0, pan.as_bytes(), b"1234").unwrap();
    let bytes = record_of(REFERENCE, &town, &wire.clone().with(52, block(&ours).as_bytes()));
    town.asks(&mut line, &transaction(&bytes));
    let request = town.world.at_bank(BANK_A).unwrap();
    assert_eq!(request.wire.fields.get(52).unwrap(), block(&theirs).as_bytes());
    town.world.bank_answers(&request, "00");
    assert_eq!(answered(&line.peer.hears(&town.world.bytes_at(line.end))).1, "00");
    let wire = town.world.stamped(&yika_tests::purchase(1250)).with(52, block(&theirs).as_bytes());
    let bytes = record_of(b"payment number 2", &town, &wire);
    assert_eq!(answered(&town.asks(&mut line, &transaction(&bytes))).1, "99", "under another key");
    assert!(town.world.banks_are_quiet());
    balanced(&town.world);
}

#[test]
fn a_record_that_cannot_be_read_is_refused_with_the_byte_of_the_body_that_is_at_fault() {
    let mut town = Town::new();
    let mut line = town.connects();
    let wire = town.world.stamped(&yika_tests::purchase(1250));
    let mut bytes = record_of(REFERENCE, &town, &wire);
    // The month of its time, behind length, kind, version and reference.
    bytes[2 + 2 + 16 + 2] = 0x13;
    let all = town.asks(&mut line, &transaction(&bytes));
    let Message::Fault(fault) = all[0].message() else { panic!("{all:?}") };
    assert_eq!((fault.code, fault.fatal), (ErrorCode::Value.number(), 0));
    assert_eq!(fault.offset, 4 + 2 + 2 + 16, "behind the time that whoever asks will wait");
    balanced(&town.world);
}

#[test]
fn a_switch_that_drains_answers_what_is_under_way_and_says_goodbye() {
    let mut town = Town::new();
    let (mut idle, mut busy) = (town.connects(), town.connects_as("depot-4"));
    let wire = town.world.stamped(&yika_tests::purchase(1250));
    let bytes = record_of(REFERENCE, &town, &wire);
    assert!(town.asks(&mut busy, &transaction(&bytes)).is_empty());
    let request = town.world.at_bank(BANK_A).unwrap();
    town.world.driver.drain();
    town.world.step();
    let draining = |said: &Said| matches!(said.message(), Message::Goodbye(bye) if bye.reason == 2);
    let all = idle.peer.hears(&town.world.bytes_at(idle.end));
    assert!(matches!(&all[..], [bye] if draining(bye)), "{all:?}");
    assert!(town.world.was_closed(idle.end) && !town.world.was_closed(busy.end));
    town.world.bank_answers(&request, "00");
    let all = busy.peer.hears(&town.world.bytes_at(busy.end));
    assert_eq!(answered(&all).1, "00");
    assert!(draining(all.last().unwrap()) && town.world.was_closed(busy.end), "{all:?}");
    assert!(town.world.driver.is_drained());
    balanced(&town.world);
}

#[test]
fn the_date_of_a_payment_is_told_again_after_a_cut_over() {
    let mut town = Town::new();
    let mut line = town.connects();
    let wire = town.world.stamped(&yika_tests::purchase(1250));
    pays(&mut town, &mut line, REFERENCE, &wire);
    let date = |all: &[Said]| match all[0].message() {
        Message::TransactionAnswer(said) => said.business_date.number(),
        other => panic!("{other:?}"),
    };
    let bytes = record_of(REFERENCE, &town, &wire);
    let before = date(&town.asks(&mut line, &transaction(&bytes)));
    town.world.driver.cut_over(1);
    town.world.step();
    assert_ne!(town.world.driver.core.durable.dates.current.0, before);
    assert_eq!(date(&town.asks(&mut line, &transaction(&bytes))), before);
    town.world.crash();
    let mut line = town.connects();
    assert_eq!(date(&town.asks(&mut line, &transaction(&bytes))), before);
    balanced(&town.world);
}
