//! The cases of the keystore, unchanged, by the client over a real socket against the simulator.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping it")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use yika_hostcmd::hsm::{Server, Simulator, SimulatorConfig};
use yika_hostcmd::{Accepting, Address, Client, ClientConfig, Connecting};
use yika_keystore::conformance::{self, TestKey};
use yika_keystore::{HealthState, KeyRef, Keystore, Lmk, OperationKind};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[test]
fn an_hsm_passes_every_case_that_a_host_command_has_room_for() {
    let store = Arc::new(Keystore::in_memory(Lmk::test()));
    let simulator = Simulator::new(Arc::new(Keystore::in_memory(Lmk::test())), SimulatorConfig::default());
    let server = Server::start(LOOPBACK, simulator, Accepting::Plain).unwrap();
    let address = Address { addr: server.addr(), connecting: Connecting::Plain };
    let client = Client::start(ClientConfig::new(address)).unwrap();
    assert!(client.wait_until(|health| health.state == HealthState::Up, Duration::from_secs(20)));

    let load = |key: &TestKey| {
        let block = conformance::rest(&store, key).unwrap();
        KeyRef::new(&format!("S{}", block.as_str())).unwrap()
    };
    let report = conformance::run(&client, load);
    println!("tried {:?}\nskipped {:?}", report.tried, report.skipped);
    assert!(report.failures.is_empty(), "{} failures\n{}", report.failures.len(), report.failures.join("\n"));
    assert!(report.tried_count() >= 1_000, "{report:?}");
    // What has no command at all, or no code for a format, a method or a length.
    assert!(!report.tried.contains_key(&OperationKind::EncryptData));
    for kind in [
        OperationKind::GenerateMac,
        OperationKind::VerifyMac,
        OperationKind::TranslatePin,
        OperationKind::VerifyPvv,
        OperationKind::VerifyIbm3624,
        OperationKind::GenerateCvv,
        OperationKind::VerifyCvv,
        OperationKind::VerifyArqc,
        OperationKind::VerifyDukptMac,
        OperationKind::Random,
        OperationKind::CheckValue,
    ] {
        assert!(report.tried.get(&kind).is_some_and(|count| *count >= 5), "{kind:?}: {report:?}");
    }
}
