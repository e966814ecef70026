//! One terminal, moved through time by hand: what it sends when nobody answers, and what it believes in the end.

use super::*;
use crate::cards;
use crate::ledger::Entry;
use crate::wire::Wire;
use yika_codec::{Draft, Mti};

const MS: u64 = 1_000_000;

/// A machine with one terminal on one connection that is up.
struct Bench {
    terminals: Terminals,
    wire: Wire,
    now_ns: u64,
}

/// A message as its receiver sees it: type and canonical fields.
struct Sent {
    mti: Mti,
    fields: Vec<(u8, String)>,
}

impl Sent {
    fn field(&self, n: u8) -> &str {
        self.fields.iter().find(|field| field.0 == n).map_or("", |field| &field.1)
    }
}

impl Bench {
    fn new(dialect: &str, act: Act) -> Bench {
        Bench::with(dialect, Mix::only(act), 1)
    }

    fn with(dialect: &str, mix: Mix, terminals: u32) -> Bench {
        let wire = Wire::named(dialect, None, None).unwrap();
        let composer = Composer {
            wire: wire.clone(),
            cards: cards::make(&["6210".to_owned()], 1, None).unwrap(),
            terminal_prefix: *b"LG",
            run_tag: *b"TEST",
        };
        let terminals = Terminals::new(Plan {
            composer,
            mix,
            policy: Policy {
                answer_timeout: Duration::from_millis(100),
                repeats: 2,
                retry_pause: Duration::from_millis(30),
            },
            connections: 1,
            terminals,
            closed: false,
            sign_on: false,
            amount_min: 1000,
            amount_max: 1000,
            pin_share: Share::NONE,
            seed: 1,
            warm_up_ns: 0,
            end_ns: u64::MAX,
        });
        let mut bench = Bench { terminals, wire, now_ns: 0 };
        bench.terminals.set_wall(1_764_000_000);
        bench.terminals.handle_connected(0, 0);
        bench
    }

    fn begin(&mut self) -> Sent {
        assert!(self.terminals.handle_due(self.now_ns, self.now_ns));
        self.sent().expect("a due operation is sent")
    }

    /// What happens in the next `ms` milliseconds: at most one message.
    fn after(&mut self, ms: u64) -> Option<Sent> {
        self.now_ns += ms * MS;
        self.terminals.handle_time(self.now_ns);
        self.sent()
    }

    fn sent(&mut self) -> Option<Sent> {
        self.terminals.poll_dirty()?;
        let bytes = std::mem::take(self.terminals.outbox(0));
        let frame = self.wire.framing.next(&bytes, 9999).unwrap()?;
        assert_eq!(frame.next, bytes.len(), "one message at a time");
        let mut layout = Layout::default();
        let payload = &bytes[frame.start..frame.end];
        self.wire.dialect.decode(payload, &mut layout).unwrap();
        let message = self.wire.dialect.message(payload, &layout);
        assert_eq!(message.missing(), None);
        let text = |n| {
            let mut value = Vec::new();
            message.copy(n, &mut value);
            String::from_utf8_lossy(&value).into_owned()
        };
        Some(Sent { mti: message.mti(), fields: message.fields().map(|n| (n, text(n))).collect() })
    }

    fn answer(&mut self, to: &Sent, code: &str, more: &[(u8, &str)]) {
        let mut draft = Draft::new(to.mti.response());
        for n in [4, 11, 37, 41] {
            if !to.field(n).is_empty() {
                draft.set(n, to.field(n).as_bytes());
            }
        }
        draft.set(39, code.as_bytes());
        more.iter().for_each(|(n, value)| draft.set(*n, value.as_bytes()));
        let mut payload = Vec::new();
        self.wire.dialect.encode(&draft, &mut payload).unwrap();
        self.terminals.handle_message(0, &payload, self.now_ns);
    }

    fn last_entry(&self) -> Entry {
        self.terminals.ledger("").entries.last().cloned().unwrap()
    }
}

#[test]
fn silence_ends_in_repeats_and_a_reversal_that_names_its_original() {
    let mut bench = Bench::new("iso87-ascii", Act::Purchase);
    let first = bench.begin();
    assert_eq!(first.mti, Mti::new(0x0200));
    assert!(bench.after(99).is_none());
    for _ in 0..2 {
        let again = bench.after(100).unwrap();
        assert_eq!(again.mti, Mti::new(0x0201));
        assert_eq!(again.fields, first.fields, "a repeat says the same");
    }
    let reversal = bench.after(100).unwrap();
    assert_eq!(reversal.mti, Mti::new(0x0420));
    let named = format!("0200{}{}{:022}", first.field(11), first.field(7), 0);
    assert_eq!(reversal.field(90), named);
    assert_ne!(reversal.field(11), first.field(11));
    assert_eq!((reversal.field(37), reversal.field(4)), (first.field(37), first.field(4)));
    for _ in 0..5 {
        assert_eq!(bench.after(100).unwrap().mti, Mti::new(0x0421));
    }
    // The first answer comes at last: the payment has been given up.
    bench.answer(&first, "00", &[]);
    assert_eq!((bench.last_entry().state, bench.terminals.metrics.late_or_second), (State::Open, 1));
    bench.answer(&reversal, "96", &[]);
    assert_eq!(bench.last_entry().state, State::Open);
    assert_eq!(bench.after(30).unwrap().mti, Mti::new(0x0421), "a refused reversal is sent again");
    bench.answer(&reversal, "00", &[]);
    assert_eq!(bench.last_entry().state, State::Reversed);
    assert_eq!(bench.terminals.under_way(), 0);
    assert!(bench.after(1000).is_none());
}

#[test]
fn a_reversal_of_the_terminals_dialect_is_repeated_unchanged() {
    let mut bench = Bench::new("pos-bcd", Act::Purchase);
    let first = bench.begin();
    bench.after(100);
    bench.after(100);
    let reversal = bench.after(100).unwrap();
    assert_eq!((reversal.mti, reversal.field(39)), (Mti::new(0x0400), "98"));
    assert_eq!(reversal.field(61), format!("000001{}{}", first.field(11), first.field(13)));
    assert_eq!(reversal.field(11), first.field(11));
    let again = bench.after(100).unwrap();
    assert_eq!((again.mti, again.fields), (reversal.mti, reversal.fields));
}

#[test]
fn a_refund_is_repeated_until_it_is_answered_and_never_reversed() {
    let mut bench = Bench::new("iso87-ascii", Act::Refund);
    let sale = bench.begin();
    assert_eq!(sale.mti, Mti::new(0x0200), "a refund needs a sale first");
    bench.answer(&sale, "00", &[(38, "A00001")]);
    let refund = bench.begin();
    assert_eq!((refund.mti, refund.field(4), refund.field(38)), (Mti::new(0x0220), "000000000500", "A00001"));
    assert_eq!(refund.field(37), sale.field(37));
    assert!(refund.field(90).starts_with(&format!("0200{}", sale.field(11))));
    for _ in 0..6 {
        assert_eq!(bench.after(100).unwrap().mti, Mti::new(0x0221));
    }
    bench.answer(&refund, "96", &[]);
    assert_eq!(bench.after(30).unwrap().mti, Mti::new(0x0221));
    bench.answer(&refund, "00", &[]);
    let entry = bench.last_entry();
    assert_eq!((entry.kind, entry.amount, entry.state), (Kind::Refund, 500, State::Approved));
}

#[test]
fn a_refusal_of_one_copy_says_nothing_of_the_others() {
    for refusal in ["30", "58", "77", "94", "96", "97", "A0"] {
        // The repeat was accepted while the refusal of the first copy was on its way.
        let mut bench = Bench::new("iso87-ascii", Act::Purchase);
        let first = bench.begin();
        let repeat = bench.after(100).unwrap();
        bench.answer(&first, refusal, &[]);
        assert_eq!(bench.last_entry().state, State::Open, "{refusal}");
        bench.answer(&repeat, "00", &[]);
        assert_eq!(bench.last_entry().state, State::Approved, "{refusal}");
        // Each copy was refused: nothing moved.
        let mut bench = Bench::new("iso87-ascii", Act::Purchase);
        let first = bench.begin();
        bench.after(100).unwrap();
        bench.answer(&first, refusal, &[]);
        bench.answer(&first, refusal, &[]);
        assert_eq!(
            (bench.last_entry().state, bench.terminals.under_way()),
            (State::Declined, 0),
            "{refusal}"
        );
    }
}

#[test]
fn a_copy_whose_connection_ended_may_have_moved_money_whatever_another_is_refused() {
    let mut bench = Bench::new("iso87-ascii", Act::Purchase);
    bench.begin();
    bench.terminals.handle_disconnected(0);
    bench.terminals.handle_connected(0, bench.now_ns);
    let repeat = bench.sent().unwrap();
    bench.answer(&repeat, "96", &[]);
    let again = bench.after(100).unwrap();
    assert_eq!(again.mti, Mti::new(0x0201));
    bench.answer(&again, "96", &[]);
    let reversal = bench.after(100).unwrap();
    assert_eq!((reversal.mti, bench.last_entry().state), (Mti::new(0x0420), State::Open));
    bench.answer(&reversal, "00", &[]);
    assert_eq!(bench.last_entry().state, State::Reversed);
}

#[test]
fn a_coupon_purchase_asks_in_field_48_and_reads_its_parts_from_field_54() {
    let mut bench = Bench::new("iso87-ascii", Act::Coupon);
    let sent = bench.begin();
    assert_eq!(sent.field(48), "CP024CQTEST000001000000000050");
    bench.answer(&sent, "00", &[(54, "00CP156D00000000005000BK156D000000000950")]);
    let entry = bench.last_entry();
    assert_eq!((entry.amount, entry.coupon, entry.state), (1000, 50, State::Approved));
}

#[test]
fn what_is_unanswered_is_repeated_when_the_connection_is_back() {
    let mut bench = Bench::new("iso87-ascii", Act::Purchase);
    let first = bench.begin();
    bench.terminals.handle_disconnected(0);
    assert!(bench.after(5000).is_none(), "nothing goes out, and nothing is given up");
    bench.terminals.handle_connected(0, bench.now_ns);
    let again = bench.sent().unwrap();
    assert_eq!((again.mti, again.fields), (Mti::new(0x0201), first.fields));
}

#[test]
fn what_comes_due_while_the_connection_is_down_goes_out_as_a_first_copy() {
    let mut bench = Bench::new("iso87-ascii", Act::Purchase);
    bench.terminals.handle_disconnected(0);
    assert!(bench.terminals.handle_due(0, 0));
    assert!(bench.after(50).is_none());
    assert!(!bench.terminals.handle_due(0, 0), "the one terminal is taken");
    bench.terminals.handle_connected(0, bench.now_ns);
    assert_eq!(bench.sent().unwrap().mti, Mti::new(0x0200));
    assert_eq!(bench.terminals.metrics.lag_ns.max() / MS, 50, "its lag counts from when it was due");
}

#[test]
fn a_partial_approval_stands_over_what_was_told() {
    let mut bench = Bench::new("iso87-ascii", Act::Purchase);
    let sent = bench.begin();
    bench.answer(&sent, "10", &[(4, "000000000400")]);
    let entry = bench.last_entry();
    assert_eq!((entry.amount, entry.state), (400, State::Approved));
}

#[test]
fn answers_that_belong_to_nothing_are_told_apart() {
    let mut bench = Bench::new("iso87-ascii", Act::Purchase);
    let sent = bench.begin();
    for (n, value) in [(41, "LG999999"), (41, "XX000000"), (37, "OTHER0000000"), (11, "000077")] {
        bench.answer(&sent, "00", &[(n, value)]);
    }
    assert_eq!(bench.terminals.metrics.unmatched, 4);
    bench.terminals.handle_message(0, b"no message", 0);
    assert_eq!(bench.terminals.metrics.parse_errors, 1);
    assert_eq!(bench.last_entry().state, State::Open);
    bench.answer(&sent, "00", &[]);
    bench.answer(&sent, "00", &[]);
    assert_eq!(bench.terminals.metrics.late_or_second, 1);
    assert_eq!(bench.last_entry().state, State::Approved);
}

#[test]
fn a_cancellation_builds_on_its_hold_or_its_completion() {
    for dialect in ["iso87-ascii", "pos-bcd"] {
        let mut bench = Bench::new(dialect, Act::PreAuthCancel);
        let hold = bench.begin();
        assert_eq!(hold.mti, Mti::new(0x0100), "nothing is held yet");
        bench.answer(&hold, "00", &[(38, "A00001")]);
        let cancel = bench.begin();
        assert_eq!((cancel.mti, cancel.field(3), cancel.field(38)), (Mti::new(0x0100), "200000", "A00001"));
        assert_eq!((cancel.field(37), cancel.field(4)), (hold.field(37), hold.field(4)));
        bench.answer(&cancel, "00", &[]);
        assert_eq!(bench.last_entry().kind, Kind::PreAuthCancel);
        assert_eq!(bench.begin().field(3), hold.field(3), "it is cancelled once");

        let mut bench = Bench::new(dialect, Act::CompletionCancel);
        let mut sent = Vec::new();
        for _ in 0..3 {
            let one = bench.begin();
            bench.answer(&one, "00", &[(38, "A00002")]);
            sent.push((one.mti.bcd(), one.field(3).starts_with("20")));
        }
        assert_eq!(sent, [(0x0100, false), (0x0200, false), (0x0200, true)], "{dialect}");
        assert_eq!(bench.last_entry().kind, Kind::CompletionCancel);
    }
}

#[test]
fn many_terminals_in_a_short_run_get_as_far_as_follow_ups() {
    let mut bench = Bench::with("iso87-ascii", "purchase=50,void=50".parse().unwrap(), 1000);
    for _ in 0..100 {
        let sent = bench.begin();
        bench.answer(&sent, "00", &[]);
    }
    let entries = bench.terminals.ledger("").entries;
    let voids = entries.iter().filter(|entry| entry.kind == Kind::Void).count();
    assert!(voids > 30, "{voids} of a hundred are voids");
}
