//! PIN keys in an HSM, with the real programs: a switch, `yika-hsm`, terminals and a bank under load; and what becomes of
//! payments while the HSM is away.

use crate::city::{ACQUIRER_PIN, BANK_PIN, City, Settings};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use yika_keystore::{Algorithm, Export, Keystore, Lmk, Mode, Usage};
use yika_loadgen::{Load, Report, run};
use yika_tests::process::{Held, Yika, free_port, get, program, wait_for};

/// A simulator of an HSM under the test master key, on this address; it ends with what is returned.
fn start_hsm(address: SocketAddr) -> Held {
    let mut command = Command::new(program("yika-hsm"));
    command.args(["--listen", &address.to_string()]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child: Child = command.spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.starts_with("yika-hsm listens on "), "{said}");
    Held(child)
}

/// A key block of the HSM: under its master key, which is the test key, without a name.
fn block(hex: &str) -> String {
    let store = Keystore::in_memory(Lmk::test());
    let key = yika_codec::unhex(hex).unwrap();
    let mask = vec![0x35; key.len()];
    let rest: Vec<u8> = key.iter().zip(&mask).map(|(a, b)| a ^ b).collect();
    let kek = [vec![0x21; 32], (0..32).collect()];
    store.import_components("kek", Usage::Kek, Algorithm::Aes, Mode::Both, Export::N, &kek).unwrap();
    store
        .import_components("pin", Usage::Pin, Algorithm::Tdes, Mode::Both, Export::S, &[mask, rest])
        .unwrap();
    let carried = store.export_wrapped("pin", "kek", yika_keystore::WrapForm::KeyBlock).unwrap();
    let block = store.rewrap("kek", &carried, Usage::Pin, Algorithm::Tdes, Mode::Both).unwrap();
    // The scheme letter of key blocks.
    format!("S{}", block.as_str())
}

/// A city whose PIN keys are at these addresses.
fn city(folder: &Path, hsm: &[SocketAddr]) -> City {
    let city = City::build_with(folder, "", &Settings { keyed: true, ..Settings::default() });
    let path = folder.join("yika.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("pin_key = \"acquirer-pin\"", "pin_key = \"acquirer-pin-at-hsm\"");
    let text = text.replace("pin_key = \"bank-pin\"", "pin_key = \"bank-pin-at-hsm\"");
    let addresses: Vec<String> = hsm.iter().map(|address| format!("\"{address}\"")).collect();
    let mut keys = format!("[hsm]\nconnect = [{}]\ntimeout = \"500ms\"\n", addresses.join(", "));
    for (name, key) in [("acquirer-pin-at-hsm", ACQUIRER_PIN), ("bank-pin-at-hsm", BANK_PIN)] {
        keys += &format!("[[hsm_key]]\nname = \"{name}\"\nblock = \"{}\"\n", block(key));
    }
    std::fs::write(&path, text + &keys).unwrap();
    city
}

/// A second of terminals, one in two with a PIN.
fn paid(city: &City, prefix: [u8; 2]) -> Report {
    let mut terminals = city.terminals("iso87-ascii");
    terminals.load = Load::Closed { outstanding: 8 };
    terminals.connections = 4;
    terminals.duration = Duration::from_secs(1);
    terminals.pin_share = "50%".parse().unwrap();
    terminals.terminal_prefix = prefix;
    let going = run::start(terminals).unwrap();
    wait_for("the terminals to end", Duration::from_secs(30), || going.is_done());
    going.finish(Duration::from_secs(10)).unwrap()
}

fn metric(yika: &Yika, name: &str) -> u64 {
    let metrics = get(yika.addresses().unwrap().admin.unwrap(), "/metrics");
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
    value.parse().unwrap()
}

#[test]
fn pins_go_by_the_hsm_and_while_it_is_away_only_they_are_declined() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (free_port(), free_port());
    let hsm = start_hsm(first);
    let city = city(folder.path(), &[first, second]);
    let yika = Yika::start(folder.path());
    wait_for("the switch to reach its HSM", Duration::from_secs(30), || {
        yika.log().contains("connected to an HSM")
    });
    let report = paid(&city, *b"H1");
    assert_eq!(report.codes.keys().collect::<Vec<_>>(), ["00"], "{:?}", report.codes);
    let asked = metric(&yika, "yika_hsm_pins_total{result=\"asked\"}");
    assert!(asked > 100, "{asked} PINs");
    let at_banks: u64 = city.banks.iter().map(|bank| bank.stats().unwrap().pins_good).sum();
    assert_eq!((at_banks, metric(&yika, "yika_hsm_pins_total{result=\"refused\"}")), (asked, 0));

    drop(hsm);
    let report = paid(&city, *b"H2");
    let told: Vec<&str> = report.codes.keys().map(String::as_str).collect();
    assert_eq!(told, ["00", "91"], "{:?}", report.codes);
    assert!(metric(&yika, "yika_hsm_pins_total{result=\"no-answer\"}") > 0);

    // The one that takes over.
    let _second = start_hsm(second);
    wait_for("the other HSM to do the work", Duration::from_secs(30), || {
        paid(&city, *b"H3").codes.keys().all(|code| code == "00")
    });
    let status = yika_switch::admin::control::status(&yika.data()).unwrap();
    assert_eq!(
        (status.open_transactions, status.open_obligations),
        (0, 0),
        "a PIN that was not moved owes nothing"
    );
    assert!(yika.stop().success());
}
