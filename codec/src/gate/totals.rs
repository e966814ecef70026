//! Reconciliation: what a gateway counts of a date and a kind of record, and what the switch counts beside it.

use super::layout::layout;
use super::values::{Date, Text};

layout! {
    /// What the gateway counts. May be asked at any time, also of a date that is open.
    Totals = "totals" {
        /// the business date
        date: Date,
        /// kind of record
        kind: u8,
        /// records with verdict 0, 1 or 6 of that date
        count: u64,
        /// their amounts, in fen
        amount_fen: u64,
        /// the SHA-256 of each of them, joined by exclusive or
        hash: [u8; 32],
        ;
    }
}

layout! {
    /// What the switch counts, and whether they agree.
    TotalsAnswer<'a> = "totals answer" {
        /// the business date
        date: Date,
        /// kind of record
        kind: u8,
        /// 0 they agree, 1 they differ
        result: u8,
        /// 0 the date is open and may still change, 1 closed
        closed: u8,
        /// records, as the switch counts them
        count: u64,
        /// their amounts, in fen
        amount_fen: u64,
        /// their hash
        hash: [u8; 32],
        ;
        /// what differs, for people
        0x0001 text: Text<'a>,
    }
}
