//! Under TLS: both sides with certificates, and what happens to whoever has none or the wrong one.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping it")]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{LIMIT, LOOPBACK, client, config, random, wait_for};
use yika_hostcmd::hsm::{Server, Simulator, SimulatorConfig};
use yika_hostcmd::tls::{Identity, accepting, connecting};
use yika_hostcmd::{Address, ClientConfig};
use yika_keystore::{Backend, HealthState, Keystore, Lmk};

fn identity(folder: &Path, name: &str) -> Identity {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let identity = Identity {
        certificates: folder.join(format!("{name}.pem")),
        key: folder.join(format!("{name}.key")),
    };
    std::fs::write(&identity.certificates, made.cert.pem()).unwrap();
    std::fs::write(&identity.key, made.signing_key.serialize_pem()).unwrap();
    identity
}

#[test]
fn both_sides_show_certificates_and_strangers_stay_outside() {
    let folder = tempfile::tempdir().unwrap();
    let [hsm, host, stranger] =
        ["hsm.test", "host.test", "stranger.test"].map(|name| identity(folder.path(), name));
    let simulator = Simulator::new(Arc::new(Keystore::in_memory(Lmk::test())), SimulatorConfig::default());
    let server =
        Server::start(LOOPBACK, simulator, accepting(&hsm, Some(&host.certificates)).unwrap()).unwrap();
    let with = |roots: &Identity, name: &str, own: Option<&Identity>| {
        let connecting = connecting(&roots.certificates, name, own).unwrap();
        let primary = Address { addr: server.addr(), connecting };
        client(ClientConfig { primary, breaker_failures: 2, ..config(server.addr()) })
    };

    let known = with(&hsm, "hsm.test", Some(&host));
    wait_for(&known, HealthState::Up);
    assert_eq!(random(&known, 32).map(|bytes| bytes.len()), Ok(32));

    for (what, refused) in [
        ("no certificate", with(&hsm, "hsm.test", None)),
        ("a stranger's", with(&hsm, "hsm.test", Some(&stranger))),
        ("another issuer of the HSM", with(&stranger, "hsm.test", Some(&host))),
        ("another name of the HSM", with(&hsm, "other.test", Some(&host))),
        (
            "no TLS",
            client(ClientConfig {
                breaker_failures: 2,
                connect_timeout: std::time::Duration::from_millis(200),
                ..config(server.addr())
            }),
        ),
    ] {
        assert!(
            refused.wait_until(|health| health.detail.contains("given up"), LIMIT),
            "{what}: {:?}",
            refused.health()
        );
        assert_eq!(refused.health().master_check_value, None, "{what}");
    }
    assert_eq!(random(&known, 8).map(|bytes| bytes.len()), Ok(8));
}

#[test]
fn files_that_hold_no_certificate_or_key_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let good = identity(folder.path(), "hsm.test");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let wrong = Identity { certificates: empty.clone(), ..good.clone() };
    let says = accepting(&wrong, None).err().unwrap().to_string();
    assert!(says.contains("empty.pem"), "{says}");
    let wrong = Identity { key: empty.clone(), ..good.clone() };
    assert!(accepting(&wrong, None).err().unwrap().to_string().contains("private key"));
    assert!(connecting(&empty, "hsm.test", None).is_err());
    assert!(connecting(&good.certificates, "not a name", None).is_err());
}
