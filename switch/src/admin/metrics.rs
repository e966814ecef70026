//! Metrics: plain counts are read from the driver at a scrape and rendered as Prometheus text. Nothing on the
//! way of a payment touches a metrics library, and no label comes from a message.

use super::desk::{Tally, tallies};
use super::door::DoorCounts;
use super::help::HELP;
use crate::core::{Bound, Reached};
use crate::driver::{Driver, LATENCY_BOUNDS_US};
use metrics::{Label, counter, describe_counter, describe_gauge, gauge, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// Everything a scrape shows, copied on the switch's thread.
pub struct Snapshot {
    counters: Vec<Counted>,
    gauges: Vec<(&'static str, f64)>,
    participants: Vec<Tally>,
    bounds: Vec<(Bound, &'static str, u64)>,
    /// Bounds by which the core refused with 96.
    refused_at: Reached,
    latency: Vec<u64>,
    latency_sum_us: u64,
}

/// Bounds whose answer is 96.
const REFUSING: [Bound; 7] = [
    Bound::Open,
    Bound::Dedupe,
    Bound::Obligations,
    Bound::Originals,
    Bound::Inflight,
    Bound::Terminals,
    Bound::Journal,
];

impl Snapshot {
    pub fn of(driver: &Driver) -> Snapshot {
        let (core, rim) = (&driver.core.counters, &driver.counts.sessions);
        let reached = |(bound, key)| (bound, key, core.reached.of(bound) + rim.reached.of(bound));
        Snapshot {
            bounds: Bound::ALL.map(reached).to_vec(),
            refused_at: core.refused_at,
            counters: [counters(driver), gateway_and_hsm_counters(driver)].concat(),
            gauges: gauges(driver),
            participants: tallies(driver).into_values().collect(),
            latency: driver.latency.counts.to_vec(),
            latency_sum_us: driver.latency.sum_us,
        }
    }

    /// What the doors of admin port and control socket have closed.
    pub(super) fn add_doors(&mut self, [port, control]: [&DoorCounts; 2]) {
        let name = "yika_admin_connections_closed_total";
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        self.counters.extend([
            (name, [("to", "port"), ("why", "full")].as_slice(), of(&port.full)),
            (name, &[("to", "port"), ("why", "time")], of(&port.time)),
            (name, &[("to", "port"), ("why", "size")], of(&port.size)),
            (name, &[("to", "control"), ("why", "full")], of(&control.full)),
            (name, &[("to", "control"), ("why", "time")], of(&control.time)),
            (name, &[("to", "control"), ("why", "size")], of(&control.size)),
        ]);
    }

    /// Prometheus text, version 0.0.4.
    pub fn render(&self) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, || {
            for (name, help) in HELP {
                // A counter's name says that it is one; the other description is never asked for.
                describe_counter!(*name, *help);
                describe_gauge!(*name, *help);
            }
            gauge!("yika_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
            for (name, labels, value) in &self.counters {
                let labels: Vec<Label> =
                    labels.iter().map(|(key, value)| Label::from_static_parts(key, value)).collect();
                counter!(*name, labels).absolute(*value);
            }
            for (bound, key, count) in &self.bounds {
                counter!("yika_bounds_reached_total", "bound" => *key).absolute(*count);
                if REFUSING.contains(bound) {
                    counter!("yika_refusals_total", "by" => *key).absolute(self.refused_at.of(*bound));
                }
            }
            for (name, value) in &self.gauges {
                gauge!(*name).set(*value);
            }
            for tally in &self.participants {
                let of_participant = [
                    ("yika_lines_open", tally.lines_open as f64),
                    ("yika_lines", tally.lines as f64),
                    ("yika_obligations_open", tally.counts.obligations as f64),
                    ("yika_participant_exceptions", tally.counts.exceptions as f64),
                    ("yika_participant_exceptions_minor", tally.counts.exceptions_minor as f64),
                    ("yika_participant_signed_off", f64::from(u8::from(tally.signed_off))),
                    ("yika_participant_drained", f64::from(u8::from(tally.drained))),
                ];
                counter!("yika_settlement_dates_differing_total", "participant" => tally.name.clone())
                    .absolute(tally.dates_differing);
                for (name, value) in of_participant {
                    gauge!(name, "participant" => tally.name.clone()).set(value);
                }
            }
        });
        let mut text = recorder.handle().render();
        self.render_latency(&mut text);
        text
    }

    /// A native histogram from fixed buckets: the exporter's own would keep every sample until a scrape.
    fn render_latency(&self, text: &mut String) {
        let name = "yika_request_duration_seconds";
        let mut sum = 0;
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP {name} {DURATION_HELP}\n# TYPE {name} histogram");
        for (bound, count) in LATENCY_BOUNDS_US.iter().zip(&self.latency) {
            sum += count;
            let _ = writeln!(text, "{name}_bucket{{le=\"{}\"}} {sum}", *bound as f64 / 1e6);
        }
        let all: u64 = self.latency.iter().sum();
        let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {all}");
        let _ = writeln!(text, "{name}_sum {}\n{name}_count {all}", self.latency_sum_us as f64 / 1e6);
    }
}

const DURATION_HELP: &str = "Time from a request's arrival to its answer's release";

/// Name, labels, value. Labels are fixed words of this file: none can come from a message.
type Counted = (&'static str, &'static [(&'static str, &'static str)], u64);

fn counters(driver: &Driver) -> Vec<Counted> {
    let (core, counts, journal) = (&driver.core.counters, &driver.counts, driver.journal().stats());
    let format = counts.sessions.unfit + counts.sessions.undecodable + core.refused_format;
    vec![
        ("yika_requests_total", &[], core.requests),
        ("yika_outcomes_total", &[("result", "approved")], core.approved),
        ("yika_outcomes_total", &[("result", "declined")], core.declined),
        ("yika_outcomes_total", &[("result", "in-doubt")], core.in_doubt),
        ("yika_stand_in_approvals_total", &[], core.stand_in),
        ("yika_time_outs_total", &[], core.timed_out),
        ("yika_refusals_total", &[("by", "duplicate")], core.refused_duplicate),
        ("yika_refusals_total", &[("by", "draining")], core.refused_draining),
        ("yika_refusals_total", &[("by", "mac")], counts.sessions.bad_mac),
        ("yika_refusals_total", &[("by", "terminal")], counts.sessions.unknown_terminals),
        ("yika_refusals_total", &[("by", "sign-on")], core.refused_sign_on),
        ("yika_refusals_total", &[("by", "format")], format),
        ("yika_refusals_total", &[("by", "memory")], counts.sessions.no_memory),
        ("yika_copies_total", &[], core.copies),
        ("yika_repeats_answered_total", &[], core.repeats_answered),
        ("yika_reversals_received_total", &[], core.reversals_received),
        ("yika_advices_dropped_total", &[], core.advices_dropped),
        ("yika_sends_not_sent_total", &[], core.not_sent),
        ("yika_obligations_sent_total", &[], core.obligations_sent),
        ("yika_obligations_discharged_total", &[], core.discharged),
        ("yika_exceptions_total", &[], core.exceptions),
        ("yika_ended_forgotten_total", &[], core.ended_forgotten),
        ("yika_late_answers_total", &[("result", "any")], core.late),
        ("yika_late_answers_total", &[("result", "approved")], core.late_approvals),
        ("yika_unmatched_answers_total", &[("field", "key")], core.unmatched_unknown_key),
        ("yika_unmatched_answers_total", &[("field", "41")], core.unmatched_terminal),
        ("yika_unmatched_answers_total", &[("field", "37")], core.unmatched_rrn),
        ("yika_invalid_answers_total", &[("field", "4")], core.invalid_amount),
        ("yika_invalid_answers_total", &[("field", "2")], core.invalid_card),
        ("yika_invalid_answers_total", &[("field", "39")], core.invalid_code),
        ("yika_invalid_answers_total", &[("field", "mac")], counts.lines.bad_mac),
        ("yika_invalid_answers_total", &[("field", "any")], counts.lines.undecodable),
        ("yika_invalid_answers_total", &[("field", "reject")], counts.lines.rejected),
        ("yika_line_connects_total", &[("result", "tried")], counts.lines.connects),
        ("yika_line_connects_total", &[("result", "failed")], counts.lines.connect_failures),
        ("yika_lines_unkeyed_total", &[], counts.lines.unkeyed),
        ("yika_lines_closed_total", &[("why", "slow-reader")], counts.lines.closed_slow),
        ("yika_key_changes_refused_total", &[], counts.lines.keys_refused),
        ("yika_line_echoes_lost_total", &[], counts.lines.echo_lost),
        ("yika_sessions_accepted_total", &[], counts.accepted),
        ("yika_sessions_refused_total", &[], counts.refused_connections),
        ("yika_sessions_closed_total", &[("why", "framing")], counts.closed_framing),
        ("yika_sessions_closed_total", &[("why", "garbage")], counts.closed_garbage),
        ("yika_sessions_closed_total", &[("why", "slow-reader")], counts.closed_slow),
        ("yika_sessions_closed_total", &[("why", "idle")], counts.closed_idle),
        ("yika_replies_total", &[("to", "session")], counts.replies),
        ("yika_replies_total", &[("to", "nobody")], counts.replies_to_nobody),
        ("yika_replies_total", &[("to", "unwritable")], counts.replies_unwritable),
        ("yika_turns_total", &[], counts.turns),
        ("yika_log_lines_lost_total", &[], crate::logs::lines_lost()),
        ("yika_journal_commits_total", &[], journal.commits.load(Ordering::Relaxed)),
        ("yika_journal_records_total", &[], journal.records.load(Ordering::Relaxed)),
        ("yika_journal_bytes_total", &[], journal.bytes.load(Ordering::Relaxed)),
    ]
}

fn gateway_and_hsm_counters(driver: &Driver) -> Vec<Counted> {
    let (core, counts) = (&driver.core.counters, &driver.counts);
    vec![
        ("yika_taps_total", &[("result", "stored")], core.taps_stored),
        ("yika_taps_total", &[("result", "repeated")], core.taps_repeated),
        ("yika_taps_total", &[("result", "apart")], core.taps_apart),
        ("yika_taps_total", &[("result", "refused")], core.taps_refused),
        ("yika_gate_busy_total", &[], core.taps_busy),
        ("yika_gate_frames_total", &[], counts.gates.frames),
        ("yika_gate_faults_total", &[("by", "any")], counts.gates.faults),
        ("yika_gate_faults_total", &[("by", "mac")], counts.gates.bad_mac),
        ("yika_gate_taken_over_total", &[], counts.gates.taken_over),
        ("yika_gate_batches_differ_total", &[], counts.gates.batches_differ),
        ("yika_hsm_pins_total", &[("result", "asked")], counts.hsm.asked),
        ("yika_hsm_pins_total", &[("result", "refused")], counts.hsm.refused),
        ("yika_hsm_pins_total", &[("result", "no-answer")], counts.hsm.lost),
    ]
}

fn gauges(driver: &Driver) -> Vec<(&'static str, f64)> {
    let (durable, journal) = (&driver.core.durable, driver.journal());
    let stats = journal.stats();
    let seconds = |nanos: u64| nanos as f64 / 1e9;
    let unaccounted: u64 = durable.books.unaccounted();
    vec![
        ("yika_sessions_open", driver.sessions_open() as f64),
        ("yika_transactions_open", durable.open.len() as f64),
        ("yika_terminals_signed_on", durable.signed_on.len() as f64),
        ("yika_dedupe_keys", durable.dedupe.len() as f64),
        ("yika_references", durable.references.len() as f64),
        ("yika_originals_kept", durable.originals.len() as f64),
        ("yika_messages_live_bytes", driver.messages().bytes() as f64),
        ("yika_journal_pending_bytes", journal.pending_bytes() as f64),
        ("yika_journal_spare_segments", journal.spare_count() as f64),
        ("yika_journal_commit_seconds_sum", seconds(stats.commit_ns.load(Ordering::Relaxed))),
        ("yika_journal_commit_seconds_max", seconds(stats.commit_ns_max.load(Ordering::Relaxed))),
        ("yika_business_date", f64::from(durable.dates.current.0)),
        ("yika_taps_kept", durable.taps.len() as f64),
        ("yika_batches_open", durable.taps.batches_open() as f64),
        ("yika_books_kept", durable.books.len() as f64),
        ("yika_exceptions_kept", durable.exceptions.len() as f64),
        ("yika_reversals_unknown", durable.lapsed.len() as f64),
        ("yika_unaccounted_minor", unaccounted as f64),
        ("yika_draining", f64::from(u8::from(driver.is_draining()))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::durable::PartyCounts;
    use std::collections::BTreeSet;

    fn snapshot() -> Snapshot {
        let counts = PartyCounts { obligations: 3, ..PartyCounts::default() };
        let tally = Tally { name: "bank-a".into(), lines_open: 1, lines: 2, counts, ..Tally::default() };
        Snapshot {
            counters: vec![
                ("yika_requests_total", &[], 7),
                ("yika_outcomes_total", &[("result", "approved")], 5),
                ("yika_outcomes_total", &[("result", "declined")], 2),
            ],
            gauges: vec![("yika_sessions_open", 4.0)],
            bounds: Vec::new(),
            refused_at: Reached::default(),
            participants: vec![tally],
            latency: vec![1; LATENCY_BOUNDS_US.len() + 1],
            latency_sum_us: 1_500_000,
        }
    }

    #[test]
    fn a_scrape_says_what_each_metric_is() {
        let text = snapshot().render();
        let of = |mark: &str| -> BTreeSet<String> {
            let told = text.lines().filter_map(|line| line.strip_prefix(mark));
            told.filter_map(|rest| rest.split(' ').next()).map(str::to_owned).collect()
        };
        assert_eq!(of("# HELP "), of("# TYPE "), "{text}");
        assert!(text.contains("# TYPE yika_requests_total counter\n"), "{text}");
        assert!(text.contains("# TYPE yika_obligations_open gauge\n"), "{text}");
        for line in [
            "yika_requests_total 7",
            "yika_outcomes_total{result=\"declined\"} 2",
            "yika_obligations_open{participant=\"bank-a\"} 3",
            concat!("yika_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "yika_request_duration_seconds_count 15",
            "yika_request_duration_seconds_sum 1.5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
