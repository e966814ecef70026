//! Each way in which two ledgers can disagree is planted once, and has to be found for what it is.

use super::*;
use crate::ledger::tests::entry;

fn terminals(entries: Vec<Entry>) -> Vec<Ledger> {
    vec![Ledger { side: Side::Terminal, name: "terminals".to_owned(), entries }]
}

fn bank(entries: Vec<Entry>) -> Ledger {
    Ledger { side: Side::Issuer, name: "bank".to_owned(), entries }
}

fn platform(entries: Vec<Entry>) -> Ledger {
    Ledger { side: Side::CouponPlatform, name: "coupons".to_owned(), entries }
}

fn sale(rrn: &str, amount: u64, state: State) -> Entry {
    entry(rrn, Kind::Purchase, amount, state)
}

/// The one mismatch between a terminal's and a bank's entries.
fn only(told: Vec<Entry>, booked: Vec<Entry>) -> (Reason, u64) {
    let result = reconcile(&terminals(told), &[bank(booked)]);
    assert!(!result.balanced);
    assert_eq!(result.mismatch_count, 1, "{result}");
    (result.mismatches[0].reason, result.unaccounted_fen)
}

#[test]
fn a_day_of_all_kinds_balances() {
    let told = vec![
        sale("R1", 1000, State::Approved),
        sale("R2", 500, State::Declined),
        sale("R3", 700, State::Approved),
        entry("R3", Kind::Void, 700, State::Approved),
        sale("R4", 900, State::Reversed),
        entry("R5", Kind::PreAuthorization, 300, State::Approved),
        entry("R5", Kind::Completion, 300, State::Approved),
        sale("R6", 200, State::Approved),
        entry("R6", Kind::Refund, 50, State::Approved),
        entry("R7", Kind::Balance, 0, State::Unanswered),
    ];
    let mut booked = told.clone();
    booked.retain(|entry| entry.rrn != Text::new("R4"));
    let result = reconcile(&terminals(told), &[bank(booked)]);
    assert!(result.balanced, "{result}");
    assert_eq!((result.terminal_net_fen, result.issuer_net_fen), (1450, 1450));
    assert_eq!((result.payments, result.unaccounted_fen), (6, 0));
}

#[test]
fn a_coupon_payment_stands_at_bank_and_platform() {
    let told = terminals(vec![sale("R1", 10_000, State::Approved)]);
    let parts =
        [bank(vec![sale("R1", 9500, State::Approved)]), platform(vec![sale("R1", 500, State::Approved)])];
    let result = reconcile(&told, &parts);
    assert!(result.balanced, "{result}");
    assert_eq!((result.coupon_net_fen, result.issuer_net_fen), (500, 10_000));
    let unbalanced = reconcile(&told, &parts[..1]);
    assert_eq!(unbalanced.mismatches[0].reason, Reason::AmountDiffers);
    assert_eq!(unbalanced.unaccounted_fen, 500);
}

#[test]
fn a_missing_booking_is_found() {
    let told = || vec![sale("R1", 100, State::Approved)];
    assert_eq!(only(told(), vec![]), (Reason::MissingAtIssuer, 100));
    assert_eq!(only(told(), vec![sale("R1", 100, State::Reversed)]), (Reason::MissingAtIssuer, 100));
}

#[test]
fn a_booking_that_the_terminal_does_not_agree_to_is_found() {
    let booked = || vec![sale("R1", 100, State::Approved)];
    assert_eq!(only(vec![sale("R1", 100, State::Reversed)], booked()), (Reason::NotAgreedByTerminal, 100));
    assert_eq!(only(vec![sale("R1", 100, State::Declined)], booked()), (Reason::NotAgreedByTerminal, 100));
    assert_eq!(only(vec![], booked()), (Reason::UnknownToTerminals, 100));
}

#[test]
fn a_double_booking_is_found_even_when_the_sums_agree() {
    let twice = vec![sale("R1", 100, State::Approved), sale("R1", 100, State::Approved)];
    assert_eq!(only(vec![sale("R1", 100, State::Approved)], twice), (Reason::BookedTwice, 100));
    let halves = vec![sale("R1", 50, State::Approved), sale("R1", 50, State::Approved)];
    assert_eq!(only(vec![sale("R1", 100, State::Approved)], halves), (Reason::BookedTwice, 0));
}

#[test]
fn another_amount_or_card_is_found() {
    let told = || vec![sale("R1", 100, State::Approved)];
    assert_eq!(only(told(), vec![sale("R1", 101, State::Approved)]), (Reason::AmountDiffers, 1));
    let mut other = sale("R1", 100, State::Approved);
    other.card.digest += 1;
    assert_eq!(only(told(), vec![other]), (Reason::CardDiffers, 0));
}

#[test]
fn a_missing_void_does_not_hide_behind_a_missing_sale() {
    let told = vec![sale("R1", 100, State::Approved), entry("R1", Kind::Void, 100, State::Approved)];
    let result = reconcile(&terminals(told), &[bank(vec![])]);
    assert_eq!((result.mismatch_count, result.unaccounted_fen), (2, 200));
    assert_eq!(result.terminal_net_fen, 0);
}

#[test]
fn what_is_open_is_no_mismatch_and_no_balance() {
    let told = vec![sale("R1", 100, State::Open)];
    let result = reconcile(&terminals(told), &[bank(vec![sale("R1", 100, State::Approved)])]);
    assert!(!result.balanced);
    assert_eq!((result.open, result.mismatch_count, result.unaccounted_fen), (1, 0, 0));
}

#[test]
fn a_hold_is_compared_and_is_no_money() {
    let told = vec![entry("R1", Kind::PreAuthorization, 300, State::Approved)];
    let result = reconcile(&terminals(told), &[bank(vec![])]);
    assert_eq!((result.unaccounted_fen, result.unaccounted_holds_fen), (0, 300));
    assert_eq!((result.mismatch_count, result.terminal_net_fen), (1, 0));
}

#[test]
fn a_bank_that_ignores_a_cancelled_hold_is_found() {
    let hold = || entry("R1", Kind::PreAuthorization, 300, State::Approved);
    let told = || vec![hold(), entry("R1", Kind::PreAuthCancel, 300, State::Approved)];
    let result = reconcile(&terminals(told()), &[bank(vec![hold()])]);
    assert!(!result.balanced, "{result}");
    let found = &result.mismatches[0];
    assert_eq!((found.class, found.reason), (Class::Release, Reason::MissingAtIssuer));
    assert_eq!((result.unaccounted_fen, result.unaccounted_holds_fen), (0, 300));
    assert!(reconcile(&terminals(told()), &[bank(told())]).balanced);
}

#[test]
fn the_same_reference_at_two_terminals_is_two_payments() {
    let mut other = sale("R1", 100, State::Approved);
    other.terminal = Text::new("LG000002");
    let both = || vec![sale("R1", 100, State::Approved), other.clone()];
    let result = reconcile(&terminals(both()), &[bank(both())]);
    assert!(result.balanced, "{result}");
    assert_eq!(result.payments, 2);
}

#[test]
fn money_prints_as_yuan() {
    assert_eq!((yuan(0), yuan(5), yuan(-12_345)), ("0.00".into(), "0.05".into(), "-123.45".into()));
}
