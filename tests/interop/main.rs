//! Interoperability: exactly `configs/lab.toml`, with an acquirer and an issuer written on the independent
//! Python library pyiso8583 (`peers.py`). The ports are fixed, so a lock keeps others out meanwhile.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping it")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use yika_switch::admin::control::status;
use yika_tests::process::{program, wait_for};

const VERSION: &str = "pyiso8583==4.0.1";

/// A Python peer; lines it prints come out of `said`.
struct Peer {
    child: Child,
    input: ChildStdin,
    said: Receiver<String>,
}

impl Peer {
    fn start(python: &Path, role: &str, port: u16) -> Peer {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/peers.py");
        let mut child = Command::new(python)
            .arg(script)
            .args([role, &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (tell, said) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Peer { child, input, said }
    }

    fn hears(&self) -> serde_json::Value {
        let line = self.said.recv_timeout(Duration::from_secs(20)).expect("the peer says nothing");
        serde_json::from_str(&line).unwrap_or(serde_json::Value::String(line))
    }

    fn asks(&mut self, request: &serde_json::Value) -> serde_json::Value {
        writeln!(self.input, "{request}").unwrap();
        self.hears()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The environment that `cargo xtask test` made, or one made here.
fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let venv = std::env::var_os("YIKA_VENV").map_or_else(|| root.join("target/venv"), PathBuf::from);
    let python = venv.join("bin/python");
    let ready = |python: &Path| {
        let import = Command::new(python).args(["-c", "import iso8583"]).status();
        import.is_ok_and(|status| status.success())
    };
    if !ready(&python) {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&venv).status();
        assert!(made.is_ok_and(|status| status.success()), "python3 -m venv failed: install python3-venv");
        let installed = Command::new(&python).args(["-m", "pip", "install", "--quiet", VERSION]).status();
        assert!(installed.is_ok_and(|status| status.success()), "pip install {VERSION} failed");
    }
    python
}

fn request(mti: &str, stan: u32, fen: u64) -> serde_json::Value {
    serde_json::json!({
        "t": mti, "2": "4111111111111111", "3": "000000", "4": format!("{fen:012}"), "7": seven(), "11": format!("{stan:06}"),
        "12": "073015", "13": "1124", "22": "021", "25": "00", "41": "TERM0001", "42": "MERCHANT0000001", "49": "156",
    })
}

/// F7 of now, UTC: a repeat must lie inside the window.
fn seven() -> String {
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    format!("{:010}", yika_switch::core::clock::month_to_second(wall, 0))
}

/// The lab: bank A in Python on 7200, the switch with the shipped configuration, an acquirer in Python on 7100.
struct Lab {
    acquirer: Peer,
    issuer: Peer,
    data: PathBuf,
    _switch: Killed,
    _folder: tempfile::TempDir,
    _ports: std::fs::File,
}

impl Lab {
    fn open() -> Lab {
        let lock = std::env::temp_dir().join("yika-lab.lock");
        let ports = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(lock).unwrap();
        ports.lock().unwrap();
        let python = python();
        let issuer = Peer::start(&python, "issuer", 7200);
        assert_eq!(issuer.hears(), "listening");
        let folder = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let data = folder.path().join("data");
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/lab.toml");
        let mut command = Command::new(program("yika"));
        command.args(["serve", "--config"]).arg(config).arg("--data").arg(&data);
        let switch = Killed(command.stdin(Stdio::null()).stderr(log).spawn().unwrap());
        wait_for("the line to bank-a", Duration::from_secs(30), || {
            let open = |status: yika_switch::admin::Status| {
                status.participants.iter().any(|p| p.name == "bank-a" && p.lines_open == 1)
            };
            status(&data).is_ok_and(open)
        });
        let acquirer = Peer::start(&python, "acquirer", 7100);
        Lab { acquirer, issuer, data, _switch: switch, _folder: folder, _ports: ports }
    }
}

#[test]
fn the_lab_speaks_with_peers_that_share_no_code() {
    let mut lab = Lab::open();
    let purchase = request("0200", 1, 1000);
    let approved = lab.acquirer.asks(&purchase);
    let seen = lab.issuer.hears();
    assert_eq!((&seen["t"], &seen["4"]), (&"0200".into(), &"000000001000".into()));
    assert_eq!(
        (&approved["t"], &approved["39"], &approved["38"]),
        (&"0210".into(), &"00".into(), &"PY8583".into())
    );
    for n in ["2", "3", "4", "7", "11", "41", "42"] {
        assert_eq!(approved[n], purchase[n], "F{n} is an echo");
    }
    assert_eq!(approved["37"].as_str().map(str::len), Some(12));
    let declined = lab.acquirer.asks(&request("0200", 2, 51));
    assert_eq!(declined["39"], "51");
    assert!(declined["38"].is_null() && lab.issuer.hears()["4"] == "000000000051");
    let mut again = purchase.clone();
    again["t"] = "0201".into();
    assert_eq!(lab.acquirer.asks(&again), approved, "a retransmission gets the same answer");
    times_out(&mut lab);
    is_reversed(&mut lab, &purchase);
    wait_for("both reversals to be acknowledged", Duration::from_secs(20), || {
        status(&lab.data).is_ok_and(|status| status.open_obligations == 0 && status.unaccounted == 0)
    });
}

fn times_out(lab: &mut Lab) {
    let silent = lab.acquirer.asks(&request("0200", 3, 68));
    assert_eq!(silent["39"], "68");
    let unanswered = lab.issuer.hears();
    assert_eq!(
        (&unanswered["t"], &unanswered["4"]),
        (&"0200".into(), &"000000000068".into()),
        "the repeat never came"
    );
    let reversal = lab.issuer.hears();
    assert_eq!(reversal["t"], "0420");
    let named = format!("0200{}{}", unanswered["11"].as_str().unwrap(), unanswered["7"].as_str().unwrap());
    assert_eq!(reversal["90"].as_str().map(|original| &original[..20]), Some(named.as_str()));
}

fn is_reversed(lab: &mut Lab, purchase: &serde_json::Value) {
    let mut reverse = purchase.clone();
    reverse["t"] = "0400".into();
    reverse["11"] = "000004".into();
    reverse["90"] = format!("0200000001{}{:022}", purchase["7"].as_str().unwrap(), 0).into();
    let reversed = lab.acquirer.asks(&reverse);
    assert_eq!((&reversed["t"], &reversed["39"]), (&"0410".into(), &"00".into()));
    let told = lab.issuer.hears();
    assert_eq!((&told["t"], &told["4"]), (&"0420".into(), &"000000001000".into()));
}
