//! The books against the rules: once each, reversals before and after, follow-ups, and each fault of the script.

use super::*;

fn books(script: &str) -> Books {
    Books::new(Role::Issuer, script.parse().unwrap(), 1, NOT_FOUND, 16)
}

fn purchase(stan: u32, amount: u64) -> Asked {
    Asked {
        kind: Kind::Purchase,
        mti: Mti::new(0x0200),
        terminal: *b"LG000001",
        rrn: Some(*b"R00000000001"),
        stan,
        at: 1_123_000_000,
        amount,
        currency: 156,
        pan: Pan::new(b"4111110000000018"),
        original: Named::default(),
        batch: 0,
        pin_wrong: false,
    }
}

fn repeat(of: &Asked) -> Asked {
    Asked { mti: of.mti.with_repeat(), ..of.clone() }
}

fn reversal(of: &Asked) -> Asked {
    let original = Named { mti: Some(of.mti), stan: of.stan, at: of.at, batch: 0 };
    Asked { kind: Kind::Reversal, mti: Mti::new(0x0420), stan: of.stan + 1, original, ..of.clone() }
}

fn follow_up(of: &Asked, kind: Kind, mti: u16, amount: u64) -> Asked {
    Asked { kind, mti: Mti::new(mti), stan: of.stan + 100, amount, ..of.clone() }
}

fn standing(books: &Books) -> Vec<(Kind, u64)> {
    let entries = books.ledger("").entries;
    entries.iter().filter(|e| e.state == State::Approved).map(|e| (e.kind, e.amount)).collect()
}

#[test]
fn a_purchase_is_booked_once_however_often_it_comes() {
    let mut books = books("");
    let asked = purchase(1, 500);
    let first = books.handle(&asked);
    assert_eq!(first.code, Code::APPROVED);
    for _ in 0..3 {
        assert_eq!(books.handle(&repeat(&asked)), first);
    }
    assert_eq!(standing(&books), [(Kind::Purchase, 500)]);
    assert_eq!((books.counts.approved, books.counts.repeats), (1, 3));
    let other = Asked { at: asked.at + 1, ..asked };
    books.handle(&other);
    assert_eq!(standing(&books).len(), 2, "another time is another message");
}

#[test]
fn a_reversal_undoes_once_and_is_answered_again() {
    let mut books = books("");
    let asked = purchase(1, 500);
    books.handle(&asked);
    for _ in 0..2 {
        assert_eq!(books.handle(&reversal(&asked)).code, Code::APPROVED);
    }
    assert!(standing(&books).is_empty());
    assert_eq!(books.counts.reversed, 1);
    let by_f61 = Asked { original: Named { stan: 1, ..Named::default() }, ..reversal(&asked) };
    assert_eq!(books.handle(&by_f61).code, Code::APPROVED);
}

#[test]
fn a_reversal_that_comes_first_is_remembered() {
    let mut books = books("");
    let asked = purchase(1, 500);
    assert_eq!(books.handle(&reversal(&asked)).code, NOT_FOUND);
    assert_eq!(books.handle(&reversal(&asked)).code, NOT_FOUND);
    assert_eq!(books.handle(&asked).code, INVALID);
    assert_eq!(books.handle(&repeat(&asked)).code, INVALID);
    assert!(standing(&books).is_empty());
    assert_eq!(books.counts.reversed_before, 2);
    let by_f61 = Asked { original: Named { stan: 7, ..Named::default() }, ..reversal(&asked) };
    books.handle(&by_f61);
    assert_eq!(books.handle(&purchase(7, 500)).code, INVALID);
}

#[test]
fn a_void_needs_its_original_and_its_reversal_reinstates_it() {
    let mut books = books("");
    let sale = purchase(1, 500);
    let void = follow_up(&sale, Kind::Void, 0x0200, 500);
    assert_eq!(books.handle(&void).code, NOT_FOUND);
    books.handle(&sale);
    let void = Asked { stan: 200, ..void };
    assert_eq!(books.handle(&Asked { amount: 499, stan: 199, ..void.clone() }).code, OTHER_AMOUNT);
    assert_eq!(books.handle(&void).code, Code::APPROVED);
    assert_eq!(books.handle(&Asked { stan: 201, ..void.clone() }).code, OTHER_AMOUNT);
    books.handle(&reversal(&void));
    assert_eq!(standing(&books), [(Kind::Purchase, 500)]);
    assert_eq!(books.handle(&Asked { stan: 202, ..void }).code, Code::APPROVED);
}

#[test]
fn refunds_add_up_to_the_original_at_most() {
    let mut books = books("decline=100%");
    let sale = Asked { kind: Kind::PurchaseAdvice, mti: Mti::new(0x0220), ..purchase(1, 500) };
    assert_eq!(books.handle(&sale).code, Code::APPROVED, "an advice cannot be refused");
    let refund = |stan, amount| Asked { stan, ..follow_up(&sale, Kind::Refund, 0x0220, amount) };
    assert_eq!(books.handle(&refund(10, 300)).code, Code::APPROVED);
    assert_eq!(books.handle(&refund(11, 201)).code, OTHER_AMOUNT);
    assert_eq!(books.handle(&refund(12, 200)).code, Code::APPROVED);
}

#[test]
fn a_completion_takes_what_is_held_once() {
    let mut books = books("");
    let hold = Asked { kind: Kind::PreAuthorization, mti: Mti::new(0x0100), ..purchase(1, 100) };
    books.handle(&hold);
    let completion = |stan, amount| Asked { stan, ..follow_up(&hold, Kind::Completion, 0x0200, amount) };
    assert_eq!(books.handle(&completion(10, 116)).code, OTHER_AMOUNT);
    assert_eq!(books.handle(&completion(11, 115)).code, Code::APPROVED);
    assert_eq!(books.handle(&completion(12, 1)).code, OTHER_AMOUNT);
}

#[test]
fn declined_partial_and_wrong_pin() {
    let asked = purchase(1, 501);
    assert_eq!(books("decline=100%").handle(&asked).code, FUNDS);
    let half = books("partial=100%").handle(&asked);
    assert_eq!((half.code, half.amount), (PARTIAL, Some(250)));
    let mut platform = Books::new(Role::CouponPlatform, "partial=100%".parse().unwrap(), 1, NOT_FOUND, 1);
    let granted = platform.handle(&asked);
    assert_eq!((granted.code, granted.amount), (Code::APPROVED, Some(250)));
    let wrong = Asked { pin_wrong: true, ..asked };
    assert_eq!(books("").handle(&wrong).code, WRONG_PIN);
}

#[test]
fn silence_books_and_loss_does_not() {
    let asked = purchase(1, 500);
    let mut silent = books("silence=100%");
    assert_eq!(silent.handle(&asked).delivery, Delivery::Silence);
    assert_eq!(standing(&silent).len(), 1);
    assert_eq!(silent.handle(&repeat(&asked)).delivery, Delivery::Answer);
    assert_eq!(standing(&silent).len(), 1);

    let mut lost = books("lost=100%");
    assert_eq!(lost.handle(&asked).delivery, Delivery::Lost);
    assert!(lost.ledger("").entries.is_empty());
    let taken = lost.handle(&repeat(&asked));
    assert_eq!((taken.delivery, taken.code), (Delivery::Answer, Code::APPROVED));

    let mut both = books("lost=100%");
    both.handle(&asked);
    assert_eq!(both.handle(&reversal(&asked)).delivery, Delivery::Lost);
    assert_eq!(both.handle(&reversal(&asked)).code, NOT_FOUND, "repeated unchanged, it gets through");
    assert_eq!(both.handle(&repeat(&asked)).code, INVALID);
}

#[test]
fn without_a_reference_a_reversal_finds_its_original_by_trace_number() {
    let mut books = books("");
    let asked = Asked { rrn: None, ..purchase(1, 500) };
    books.handle(&asked);
    assert_eq!(books.handle(&reversal(&asked)).code, Code::APPROVED);
    assert!(standing(&books).is_empty());
}

#[test]
fn a_hold_is_cancelled_once_and_a_completion_too() {
    let mut books = books("");
    let hold = Asked { kind: Kind::PreAuthorization, mti: Mti::new(0x0100), ..purchase(1, 100) };
    books.handle(&hold);
    let cancel = |stan| Asked { stan, ..follow_up(&hold, Kind::PreAuthCancel, 0x0100, 100) };
    assert_eq!(books.handle(&cancel(10)).code, Code::APPROVED);
    assert_eq!(books.handle(&cancel(11)).code, OTHER_AMOUNT);
    let completion = |stan| Asked { stan, ..follow_up(&hold, Kind::Completion, 0x0200, 100) };
    assert_eq!(books.handle(&completion(12)).code, OTHER_AMOUNT, "nothing is held any more");
    books.handle(&reversal(&cancel(10)));
    assert_eq!(books.handle(&completion(13)).code, Code::APPROVED, "the cancellation did not stand");
    let undo = |stan| Asked { stan, ..follow_up(&hold, Kind::CompletionCancel, 0x0200, 100) };
    assert_eq!(books.handle(&undo(14)).code, Code::APPROVED);
    assert_eq!(books.handle(&undo(15)).code, OTHER_AMOUNT);
}

#[test]
fn an_original_named_in_another_batch_is_not_found() {
    let mut books = books("");
    let sale = Asked { batch: 7, ..purchase(1, 500) };
    books.handle(&sale);
    let named = |batch| Named { batch, ..Named::default() };
    let void =
        |stan, batch| Asked { stan, original: named(batch), ..follow_up(&sale, Kind::Void, 0x0200, 500) };
    assert_eq!(books.handle(&void(10, 8)).code, NOT_FOUND);
    assert_eq!(books.handle(&void(11, 7)).code, Code::APPROVED);
    let reversal = |batch| Asked { original: Named { stan: 11, ..named(batch) }, ..reversal(&void(11, 7)) };
    assert_eq!(books.handle(&reversal(8)).code, NOT_FOUND);
    assert_eq!(standing(&books).len(), 2, "nothing was undone");
    assert_eq!(books.handle(&reversal(7)).code, Code::APPROVED);
    assert_eq!(books.handle(&void(12, 0)).code, Code::APPROVED, "no batch is said: any is meant");
}
