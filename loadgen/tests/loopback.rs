//! Terminals directly against simulated issuers on loopback: what both sides believe has to agree to the fen,
//! whatever the issuer's script does to answers. Short runs with small time-outs.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use yika_keystore::{Algorithm, Export, Keystore, Lmk, Mode, Usage};
use yika_loadgen::issuer::{self, IssuerConfig, IssuerHandle};
use yika_loadgen::{
    Arrivals, Load, Mix, Policy, Reconciliation, Report, RunConfig, Script, Share, Wire, reconcile, run,
};

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Time given to a run to get its last answers; reached only when something is wrong.
const DRAIN: Duration = Duration::from_secs(20);

const EVERYTHING: &str = "purchase=60,void=8,refund=8,pre-auth=6,completion=6,balance=4,reversal=4,advice=4";

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
        assert!(report.kinds.len() >= 6, "{:?}", report.kinds);
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
