//! Terminals directly against simulated issuers on loopback: what both sides believe has to agree to the fen,
//! whatever the issuer's script does to answers. Short runs with small time-outs.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may unwrap")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use yika_loadgen::issuer::{self, IssuerConfig, IssuerHandle};
use yika_loadgen::{
    Arrivals, Latencies, Load, Policy, Reconciliation, Report, RunConfig, Share, Verdict, Wire, reconcile,
    run, test_mac_key, test_pin_key,
};

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Time given to a run to get its last answers; reached only when something is wrong.
const DRAIN: Duration = Duration::from_secs(20);

const EVERYTHING: &str = "purchase=52,void=8,refund=8,pre-auth=8,completion=6,pre-auth-cancel=3,completion-cancel=3,balance=4,\
                          reversal=4,advice=4";

fn wire(dialect: &str) -> Wire {
    Wire::named(dialect, None, None).unwrap()
}

fn bank(wire: Wire, script: &str) -> IssuerHandle {
    let config =
        IssuerConfig { script: script.parse().unwrap(), ..IssuerConfig::new("bank", ANY_PORT, wire) };
    issuer::start(config).unwrap()
}

/// Purchases in closed windows for half a second, with time-outs that fit a test.
fn config(bank: &IssuerHandle, wire: Wire) -> RunConfig {
    RunConfig {
        load: Load::Closed { outstanding: 8 },
        connections: 3,
        duration: Duration::from_millis(500),
        policy: Policy {
            answer_timeout: Duration::from_millis(40),
            repeats: 1,
            retry_pause: Duration::from_millis(20),
        },
        ..RunConfig::new(bank.addr(), wire)
    }
}

fn settle(config: RunConfig, bank: IssuerHandle) -> (Report, Reconciliation) {
    let report = run::run(config, DRAIN, |_| {}).unwrap();
    let books = bank.stop().unwrap();
    let result = reconcile(std::slice::from_ref(&report.ledger), &[books]);
    (report, result)
}

#[test]
fn purchases_balance_in_both_dialects() {
    for dialect in ["iso87-ascii", "pos-bcd"] {
        let bank = bank(wire(dialect), "");
        let (report, result) = settle(config(&bank, wire(dialect)), bank);
        assert!(result.balanced, "{dialect}: {result}");
        assert!(report.totals.approved > 100, "{report}");
        assert_eq!(report.totals.approved, report.totals.begun, "{report}");
        assert_eq!(report.silence, Default::default());
        assert_eq!(u64::try_from(result.issuer_net_fen), Ok(report.totals.approved_fen));
    }
}

#[test]
fn every_kind_and_every_fault_still_balances() {
    let script = "decline=5%,silence=3%,lost=3%,duplicate=3%,garble=2%,late=1%:90ms,partial=2%,delay=exp:1ms";
    for dialect in ["iso87-ascii", "pos-bcd"] {
        let bank = bank(wire(dialect), script);
        let config = RunConfig { mix: EVERYTHING.parse().unwrap(), ..config(&bank, wire(dialect)) };
        let (report, result) = settle(config, bank);
        assert!(result.balanced, "{dialect}: {result}\n{report}");
        let (totals, silence) = (&report.totals, &report.silence);
        assert_eq!(totals.under_way, 0);
        assert!(totals.declined > 0 && totals.reversed > 0 && totals.repeats > 0, "{report}");
        assert!(silence.parse_errors > 0 && silence.late_or_second > 0, "{report}");
        assert!(report.kinds.len() >= 8, "{:?}", report.kinds);
    }
}

#[test]
fn silence_ends_in_a_reversal_that_is_acknowledged() {
    let bank = bank(wire("iso87-ascii"), "garble=30%");
    let policy = Policy { repeats: 0, ..config(&bank, wire("iso87-ascii")).policy };
    let config = RunConfig { policy, ..config(&bank, wire("iso87-ascii")) };
    let (report, result) = settle(config, bank);
    assert!(report.totals.reversed > 0, "{report}");
    assert!(result.balanced, "{result}");
}

#[test]
fn an_outage_in_the_middle_is_survived() {
    let bank = bank(wire("iso87-ascii"), "");
    let config = RunConfig {
        mix: EVERYTHING.parse().unwrap(),
        duration: Duration::from_secs(60),
        load: Load::Open { rate: 2000.0, arrivals: Arrivals::Poisson, terminals: 200 },
        ..config(&bank, wire("iso87-ascii"))
    };
    let handle = run::start(config).unwrap();
    let approved = |more: u64| {
        let goal = handle.progress().approved + more;
        wait_for(|| handle.progress().approved >= goal);
    };
    approved(200);
    bank.go_down().unwrap();
    assert_eq!(bank.stats().unwrap().connections_open, 0);
    wait_for(|| handle.progress().connections_up == 0);
    bank.come_up().unwrap();
    approved(200);
    let report = handle.finish(DRAIN).unwrap();
    let result = reconcile(std::slice::from_ref(&report.ledger), &[bank.stop().unwrap()]);
    assert!(result.balanced, "{result}\n{report}");
    assert!(report.disconnects >= 3 && report.connects >= 6, "{report}");
    assert_eq!(report.totals.under_way, 0);
}

#[test]
fn connections_that_are_cut_come_back_and_intervals_add_up() {
    let bank = bank(wire("iso87-ascii"), "");
    let run =
        run::start(RunConfig { duration: Duration::from_secs(60), ..config(&bank, wire("iso87-ascii")) })
            .unwrap();
    let mut intervals = Latencies::default();
    for _ in 0..3 {
        let before = run.approved();
        run.cut_connections();
        wait_for(|| run.approved() >= before + 100);
        intervals.add(&run.interval().unwrap());
    }
    let report = run.finish(DRAIN).unwrap();
    let result = reconcile(std::slice::from_ref(&report.ledger), &[bank.stop().unwrap()]);
    assert!(result.balanced, "{result}");
    assert!(report.disconnects >= 3, "one that is not back yet is not cut again: {report}");
    let (parts, whole) = (intervals.percentiles().count, report.latencies.percentiles().count);
    assert!(parts > 0 && parts <= whole && whole == report.totals.ended, "{parts} of {whole}: {report}");
}

#[test]
fn mac_and_pin_are_made_and_checked_on_both_sides() {
    let keys = ["cmac:00112233445566778899AABBCCDDEEFF", "unionpay:0123456789ABCDEFFEDCBA9876543210"];
    for (dialect, key) in ["iso87-ascii", "pos-bcd"].into_iter().zip(keys) {
        let wire = Wire { mac: Some(test_mac_key(key).unwrap()), ..wire(dialect) };
        let pin = Some(test_pin_key("0123456789ABCDEFFEDCBA9876543210").unwrap());
        let script = "bad-mac=5%,silence=1%".parse().unwrap();
        let bank =
            IssuerConfig { pin: pin.clone(), script, ..IssuerConfig::new("bank", ANY_PORT, wire.clone()) };
        let bank = issuer::start(bank).unwrap();
        let config = RunConfig {
            pin,
            pin_share: Share::percent(20),
            sign_on: true,
            mix: EVERYTHING.parse().unwrap(),
            ..config(&bank, wire)
        };
        let report = run::run(config, DRAIN, |_| {}).unwrap();
        let stats = bank.stats().unwrap();
        let result = reconcile(std::slice::from_ref(&report.ledger), &[bank.stop().unwrap()]);
        assert!(result.balanced, "{dialect}: {result}\n{report}");
        assert!(stats.pins_good > 0 && stats.pins_wrong == 0 && stats.mac_failures == 0, "{stats:?}");
        assert_eq!(stats.network, 3);
        assert!(report.silence.mac_wrong > 0, "{report}");
    }
}

#[test]
fn another_key_on_one_side_is_told_apart_from_silence() {
    let with = |key| Wire { mac: Some(test_mac_key(key).unwrap()), ..wire("iso87-ascii") };
    let bank = bank(with("cmac:00112233445566778899AABBCCDDEEFF"), "");
    let config = RunConfig {
        duration: Duration::from_millis(100),
        ..config(&bank, with("cmac:FF112233445566778899AABBCCDDEEFF"))
    };
    let report = run::run(config, Duration::from_millis(200), |_| {}).unwrap();
    assert!(report.silence.mac_wrong > 0 && report.totals.approved == 0, "{report}");
    assert!(bank.stats().unwrap().mac_failures > 0);
}

#[test]
fn limits_decide_the_verdict() {
    let bank = bank(wire("iso87-ascii"), "decline=100%,delay=20ms");
    let mut config = config(&bank, wire("iso87-ascii"));
    config.duration = Duration::from_millis(200);
    config.policy.answer_timeout = Duration::from_secs(2);
    config.limits.p99_max = Some(Duration::from_millis(1));
    config.limits.rate_min = Some(1e9);
    let report = run::run(config.clone(), DRAIN, |_| {}).unwrap();
    assert!(matches!(&report.verdict, Verdict::LimitsNotMet(reasons) if reasons.len() == 2), "{report}");
    assert_eq!(report.errors, 0, "a decline is a decision, not a fault");
    // Two terminals cannot offer this rate while each waits 20 ms for its answer.
    config.load = Load::Open { rate: 5000.0, arrivals: Arrivals::Even, terminals: 2 };
    let report = run::run(config, DRAIN, |_| {}).unwrap();
    assert!(matches!(report.verdict, Verdict::Invalid(_)), "{report}");
    assert!(report.totals.skipped > 0);
}

#[test]
fn latency_counts_from_when_a_request_was_due() {
    let bank = bank(wire("iso87-ascii"), "delay=15ms");
    let mut config = config(&bank, wire("iso87-ascii"));
    config.load = Load::Open { rate: 400.0, arrivals: Arrivals::Even, terminals: 50 };
    config.policy.answer_timeout = Duration::from_secs(2);
    let (report, result) = settle(config, bank);
    assert!(result.balanced, "{result}");
    assert!(report.response.p50_ms >= 15.0, "{report}");
    assert!(report.response.max_ms >= report.service.max_ms && report.lag.count > 100, "{report}");
}

fn wait_for(condition: impl Fn() -> bool) {
    let begin = std::time::Instant::now();
    while !condition() {
        assert!(begin.elapsed() < DRAIN, "waited {DRAIN:?} for a condition that did not come");
        std::thread::yield_now();
    }
}
