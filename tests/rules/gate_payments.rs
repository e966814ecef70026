//! Payments of gateways (`docs/wire.md`): a payment is a payment, whoever it comes from.

use crate::balanced;
use crate::town::{Town, answered, payment, record_of, transaction};
use yika_codec::Mti;
use yika_codec::gate::{Message, RawRecord, Record, Transaction};
use yika_tests::setup::BANK_A;

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
