//! The gateway protocol spoken by a client that was written from `docs/wire.md` alone (`gate_client.py`), against the
//! real switch and a simulated bank.

use crate::lab::python;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use yika_loadgen::{IssuerConfig, Role, Wire, issuer};
use yika_tests::process::{Yika, free_port, held_output};

/// Two components, and the key that they make.
const COMPONENTS: [&str; 2] = ["00112233445566778899AABBCCDDEEFF", "0F0E0D0C0B0A09080706050403020100"];
const ZONE: &str = "0f1f2f3f4f5f6f7f8f9fafbfcfdfefff";

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop").join(name)
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/wire.md")
}

/// Runs a script of ours to its end: exit code, what it printed, and what it complained of.
pub(crate) fn run(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(python());
    command.arg(script(arguments[0])).args(&arguments[1..]);
    held_output(command)
}

#[test]
fn a_client_written_from_the_page_makes_the_session_of_the_page_byte_for_byte() {
    let (code, out, err) = run(&["gate_client.py", "transcript", page().to_str().unwrap()]);
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn a_client_written_from_the_page_speaks_with_the_switch() {
    let folder = tempfile::tempdir().unwrap();
    let wire = Wire::named("iso87-ascii", None, None).unwrap();
    let mut config = IssuerConfig::new("bank-a", ([127, 0, 0, 1], 0).into(), wire);
    config.role = Role::Issuer;
    let bank = issuer::start(config).unwrap();
    let gate = free_port();
    let [one, two] = COMPONENTS;
    let text = format!(
        "[switch]\nenvironment = \"test\"\ndata_dir = \"data\"\n\
         [[test_key]]\nname = \"zone\"\nusage = \"derivation\"\nalgorithm = \"aes\"\ncomponents = [\"{one}\", \"{two}\"]\n\
         [[participant]]\nname = \"city\"\nrole = \"acquirer\"\ngate_key = \"zone\"\n\
         [[participant]]\nname = \"bank-a\"\nrole = \"issuer\"\ndialect = \"iso87-ascii\"\nconnect = [\"{}\"]\n\
         [[listener]]\naddress = \"{gate}\"\nparticipant = \"city\"\nprotocol = \"gate\"\n\
         [[route]]\nprefix = \"\"\nto = \"bank-a\"\n",
        bank.addr()
    );
    std::fs::write(folder.path().join("yika.toml"), text).unwrap();
    let yika = Yika::start(folder.path());
    let (host, port) = (gate.ip().to_string(), gate.port().to_string());
    let place = ["gate_client.py", "run", "--host", &host, "--port", &port, "--participant", "city"];
    let who = ["--gateway", "depot-3", "--zone-key", ZONE];
    let scenarios: [&[&str]; 7] = [
        &["tap"],
        &["batch", "600"],
        &["resume", "700"],
        &["conflict"],
        &["payment", "4111111111111111", "1234"],
        &["takeover"],
        &["hostile"],
    ];
    for scenario in scenarios {
        let (code, out, err) = run(&[&place[..], &who, scenario].concat());
        let steps: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let wrong: Vec<&Value> = steps.iter().filter(|step| step["ok"] != true).collect();
        assert!(code == 0 && wrong.is_empty() && steps.len() > 2, "{scenario:?}: {wrong:#?}\n{err}");
    }
    assert!(yika.stop().success());
}
