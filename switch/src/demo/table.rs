//! The demo's end: one table, or the same as JSON. What the switch did by itself is counted from its journal,
//! which remembers it over the kill.

use crate::core::durable::Durable;
use crate::core::entry::{Entry, OwedKind, Reason};
use crate::journal::disk::Disk;
use crate::journal::recovery::{RecoveryError, scan};
use serde::Serialize;
use yika_keystore::Keystore;
use yika_loadgen::{Reconciliation, Report};

/// Counted from the journal.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    timed_out: u64,
    in_doubt: u64,
    stand_in: u64,
    reversals: u64,
    late: u64,
    entries: u64,
}

pub(super) fn count(disk: &dyn Disk, keys: &Keystore) -> Result<Counts, RecoveryError> {
    let mut counts = Counts::default();
    scan(disk, keys, |_, record| {
        counts.entries += 1;
        let outcome = match Entry::decode(record.entry).map_err(|e| e.to_string())? {
            Entry::Outcome(outcome) => *outcome,
            Entry::Taken(taken) if taken.reversal.is_none() => taken.outcome,
            Entry::Late(_) => {
                counts.late += 1;
                return Ok(());
            }
            _ => return Ok(()),
        };
        match outcome.reason {
            Reason::TimedOut => counts.timed_out += 1,
            Reason::InDoubt => counts.in_doubt += 1,
            Reason::StandIn => counts.stand_in += 1,
            _ => {}
        }
        // A terminal's own reversal is its act, not the switch's; those stand in `Taken`.
        counts.reversals += outcome.owed.iter().filter(|owed| owed.kind == OwedKind::Reverse).count() as u64;
        Ok(())
    })?;
    Ok(counts)
}

#[derive(Serialize)]
pub(super) struct Summary {
    transactions: u64,
    tps: f64,
    p50_us: u64,
    p99_us: u64,
    p999_us: u64,
    approved: u64,
    declined: u64,
    timed_out: u64,
    reversals: u64,
    stand_in: u64,
    restarts: u64,
    recovery_ms: u64,
    unaccounted_fen: u64,
    /// Found open after the kill, and ended by the switch.
    in_doubt: u64,
    late_answers: u64,
    /// Payments that no terminal got an end for.
    unanswered: u64,
    obligations_open: u64,
    mismatches: u64,
    journal_entries: u64,
    skipped: u64,
    repeats: u64,
    balanced: bool,
}

impl Summary {
    pub(super) fn new(
        report: &Report,
        result: &Reconciliation,
        durable: &Durable,
        counts: Counts,
        recovery_ms: &[u64],
        obligations_open: u64,
        seconds: u64,
    ) -> Summary {
        let us = |ms: f64| (ms * 1000.0).round() as u64;
        let own: u64 = durable.books.unaccounted();
        let unanswered = report.totals.under_way;
        Summary {
            transactions: report.totals.ended,
            tps: (report.totals.ended as f64 / seconds.max(1) as f64 * 10.0).round() / 10.0,
            p50_us: us(report.response.p50_ms),
            p99_us: us(report.response.p99_ms),
            p999_us: us(report.response.p999_ms),
            approved: report.totals.approved,
            declined: report.totals.declined,
            timed_out: counts.timed_out + counts.in_doubt,
            reversals: counts.reversals,
            stand_in: counts.stand_in,
            restarts: recovery_ms.len() as u64,
            recovery_ms: recovery_ms.iter().copied().max().unwrap_or(0),
            unaccounted_fen: result.unaccounted_fen + result.unaccounted_holds_fen + own,
            in_doubt: counts.in_doubt,
            late_answers: counts.late,
            unanswered,
            obligations_open,
            mismatches: result.mismatch_count,
            journal_entries: counts.entries,
            skipped: report.totals.skipped,
            repeats: report.totals.repeats,
            balanced: result.balanced && own == 0 && obligations_open == 0 && unanswered == 0,
        }
    }

    pub(super) fn balanced(&self) -> bool {
        self.balanced
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).expect("numbers and names always make JSON")
    }

    pub(super) fn table(&self) -> String {
        let ms = |us: u64| format!("{:.2} ms", us as f64 / 1000.0);
        let rows = [
            ("transactions", self.transactions.to_string()),
            ("throughput", format!("{:.0}/s", self.tps)),
            (
                "latency p50 / p99 / p99.9",
                format!("{} / {} / {}", ms(self.p50_us), ms(self.p99_us), ms(self.p999_us)),
            ),
            ("approved", self.approved.to_string()),
            ("declined", self.declined.to_string()),
            ("timed out or in doubt", self.timed_out.to_string()),
            ("automatic reversals", self.reversals.to_string()),
            ("stand-in approvals", self.stand_in.to_string()),
            ("late answers", self.late_answers.to_string()),
            ("repeats by terminals", self.repeats.to_string()),
            ("restarts", self.restarts.to_string()),
            ("recovery", format!("{} ms", self.recovery_ms)),
            ("journal entries", self.journal_entries.to_string()),
            ("obligations left open", self.obligations_open.to_string()),
        ];
        let mut text = String::from("\n");
        for (name, value) in rows {
            text += &format!("  {name:<28}{value:>36}\n");
        }
        let verdict = if self.balanced { "balanced" } else { "NOT BALANCED" };
        text += &format!("\nledger: {verdict}, {} fen unaccounted", self.unaccounted_fen);
        if !self.balanced {
            text += &format!(
                " ({} mismatches, {} payments without an end, {} obligations open)",
                self.mismatches, self.unanswered, self.obligations_open
            );
        }
        text
    }
}
