//! What is measured: latency from when a request was due, from when it was sent, and the generator's own lag.
//! Plain integers and histograms owned by one thread; nothing is shared on the way.

use crate::compose::Operation;
use crate::latencies::Latencies;
use crate::ledger::State;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use yika_codec::Kind;

/// Longest latency told apart from longer ones: an hour.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

pub(crate) struct Metrics {
    /// From due to answered, repeats included.
    pub(crate) response: Latencies,
    /// The same since somebody asked for it.
    pub(crate) interval: Latencies,
    /// From sent to answered.
    pub(crate) service_ns: Histogram<u64>,
    /// From due to sent.
    pub(crate) lag_ns: Histogram<u64>,
    /// Requests sent in one turn.
    pub(crate) bursts: Histogram<u64>,
    pub(crate) begun: u64,
    pub(crate) ended: u64,
    pub(crate) measured: u64,
    pub(crate) approved: u64,
    pub(crate) declined: u64,
    pub(crate) reversed: u64,
    pub(crate) unanswered: u64,
    /// Fen told as approved, whatever became of it later.
    pub(crate) approved_fen: u64,
    /// Declines that are no decision of an issuer, and what was given up.
    pub(crate) errors: u64,
    pub(crate) repeats: u64,
    pub(crate) reversals: u64,
    pub(crate) reversals_refused: u64,
    pub(crate) skipped: u64,
    pub(crate) unmatched: u64,
    pub(crate) late_or_second: u64,
    pub(crate) late_ms_max: u64,
    pub(crate) parse_errors: u64,
    pub(crate) first_parse_error: Option<String>,
    pub(crate) frame_errors: u64,
    pub(crate) mac_missing: u64,
    pub(crate) mac_wrong: u64,
    pub(crate) wrong_amounts: u64,
    pub(crate) unwritable: u64,
    pub(crate) connects: u64,
    pub(crate) disconnects: u64,
    pub(crate) sign_ons_refused: u64,
    /// A run has few different codes; the latest stands first.
    codes: Vec<([u8; 2], u64)>,
    kinds: Vec<(Kind, u64)>,
}

/// Codes by which a switch says that it could not get a decision.
const ERRORS: [[u8; 2]; 11] =
    [*b"30", *b"58", *b"68", *b"77", *b"91", *b"92", *b"94", *b"96", *b"97", *b"98", *b"A0"];

impl Metrics {
    pub(super) fn new() -> Metrics {
        Metrics {
            response: Latencies::default(),
            interval: Latencies::default(),
            service_ns: histogram(LATENCY_NS_MAX),
            lag_ns: histogram(LATENCY_NS_MAX),
            bursts: histogram(1 << 20),
            begun: 0,
            ended: 0,
            measured: 0,
            approved: 0,
            declined: 0,
            reversed: 0,
            unanswered: 0,
            approved_fen: 0,
            errors: 0,
            repeats: 0,
            reversals: 0,
            reversals_refused: 0,
            skipped: 0,
            unmatched: 0,
            late_or_second: 0,
            late_ms_max: 0,
            parse_errors: 0,
            first_parse_error: None,
            frame_errors: 0,
            mac_missing: 0,
            mac_wrong: 0,
            wrong_amounts: 0,
            unwritable: 0,
            connects: 0,
            disconnects: 0,
            sign_ons_refused: 0,
            codes: Vec::new(),
            kinds: Vec::new(),
        }
    }

    /// A burst of requests went out in one turn.
    pub(crate) fn burst(&mut self, requests: u64) {
        self.bursts.saturating_record(requests);
    }

    pub(super) fn sent(&mut self, due_ns: u64, now_ns: u64, warm_up_ns: u64) {
        if due_ns >= warm_up_ns {
            self.lag_ns.saturating_record(now_ns.saturating_sub(due_ns));
        }
    }

    pub(super) fn code(&mut self, code: [u8; 2]) {
        count(&mut self.codes, code);
    }

    pub(super) fn ended(
        &mut self,
        operation: &Operation,
        due_ns: u64,
        sent_ns: u64,
        now_ns: u64,
        warm_up_ns: u64,
    ) {
        self.ended += 1;
        count(&mut self.kinds, operation.kind);
        match operation.state {
            State::Approved => {
                self.approved += 1;
                self.approved_fen = self.approved_fen.saturating_add(operation.told);
            }
            State::Declined => self.declined += 1,
            State::Reversed => self.reversed += 1,
            State::Unanswered | State::Open => self.unanswered += 1,
        }
        let failed = match operation.state {
            State::Declined => ERRORS.contains(&operation.code),
            // A payment that was reversed because nobody answered has no code.
            State::Reversed => operation.code == *b"  ",
            state => state != State::Approved,
        };
        self.errors += u64::from(failed);
        if due_ns >= warm_up_ns {
            self.measured += 1;
            self.response.record(now_ns.saturating_sub(due_ns));
            self.interval.record(now_ns.saturating_sub(due_ns));
            self.service_ns.saturating_record(now_ns.saturating_sub(sent_ns.max(due_ns)));
        }
    }

    /// Answers by F39.
    pub(crate) fn codes(&self) -> BTreeMap<String, u64> {
        self.codes.iter().map(|(code, n)| (String::from_utf8_lossy(code).into_owned(), *n)).collect()
    }

    /// Operations that ended, by kind.
    pub(crate) fn kinds(&self) -> BTreeMap<String, u64> {
        self.kinds.iter().map(|(kind, n)| (kind.as_str().to_owned(), *n)).collect()
    }
}

fn count<T: Copy + PartialEq>(counts: &mut Vec<(T, u64)>, what: T) {
    match counts.iter_mut().find(|row| row.0 == what) {
        Some(row) => row.1 += 1,
        None => counts.push((what, 1)),
    }
}

/// Three digits of precision; a few hundred kilobytes.
pub(crate) fn histogram(max: u64) -> Histogram<u64> {
    Histogram::new_with_bounds(1, max, 3).expect("bounds are constants: 1 is less than half of the maximum")
}
