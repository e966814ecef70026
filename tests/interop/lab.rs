//! The lab: the switch with the shipped configuration, and peers in Python on its fixed ports. A lock keeps others
//! out meanwhile.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use yika_switch::admin::control::status;
use yika_tests::process::{program, wait_for};

const VERSIONS: [&str; 2] = ["pyiso8583==4.0.1", "cryptography==50.0.2"];

/// A Python peer; lines it prints come out of `said`.
pub(crate) struct Peer {
    child: Child,
    input: ChildStdin,
    said: Receiver<String>,
}

impl Peer {
    fn start(python: &Path, role: &str, dialect: &str, port: u16) -> Peer {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/peers.py");
        let mut child = Command::new(python)
            .arg(script)
            .args([role, dialect, &port.to_string()])
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

    /// A host, once it listens.
    fn host(python: &Path, role: &str, dialect: &str, port: u16) -> Peer {
        let peer = Peer::start(python, role, dialect, port);
        assert_eq!(peer.hears(), "listening");
        peer
    }

    /// The next message that reached it, or the answer to what it asked.
    pub(crate) fn hears(&self) -> serde_json::Value {
        let line = self.said.recv_timeout(Duration::from_secs(20)).expect("the peer says nothing");
        serde_json::from_str(&line).unwrap_or(serde_json::Value::String(line))
    }

    pub(crate) fn asks(&mut self, request: &serde_json::Value) -> serde_json::Value {
        writeln!(self.input, "{request}").unwrap();
        self.hears()
    }

    /// A request and its retransmission, which is sent while the first is in flight; both answers.
    pub(crate) fn asks_twice(&mut self, request: &serde_json::Value) -> [serde_json::Value; 2] {
        let mut again = request.clone();
        again["t"] = "0201".into();
        writeln!(self.input, "{}", serde_json::json!([request, again])).unwrap();
        [self.hears(), self.hears()]
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
pub(crate) fn python() -> PathBuf {
    // One test makes it, the others wait.
    static MADE: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    MADE.get_or_init(environment).clone()
}

fn environment() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let venv = std::env::var_os("YIKA_VENV").map_or_else(|| root.join("target/venv"), PathBuf::from);
    let python = venv.join("bin/python");
    let ready = |python: &Path| {
        let import = Command::new(python).args(["-c", "import iso8583, cryptography"]).status();
        import.is_ok_and(|status| status.success())
    };
    if !ready(&python) {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&venv).status();
        assert!(made.is_ok_and(|status| status.success()), "python3 -m venv failed: install python3-venv");
        let installed =
            Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(VERSIONS).status();
        assert!(installed.is_ok_and(|status| status.success()), "pip install {VERSIONS:?} failed");
    }
    python
}

/// Bank A on 7200, bank B on 7201, the coupon platform on 7202; terminals on 7100 and 7101.
pub(crate) struct Lab {
    pub(crate) terminal: Peer,
    pub(crate) pos: Peer,
    pub(crate) bank_a: Peer,
    pub(crate) bank_b: Peer,
    pub(crate) coupons: Peer,
    data: PathBuf,
    _switch: Killed,
    _folder: tempfile::TempDir,
    _ports: std::fs::File,
}

impl Lab {
    pub(crate) fn open() -> Lab {
        let lock = std::env::temp_dir().join("yika-lab.lock");
        let ports = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(lock).unwrap();
        ports.lock().unwrap();
        let python = python();
        let bank_a = Peer::host(&python, "issuer", "ascii", 7200);
        let bank_b = Peer::host(&python, "issuer", "pos", 7201);
        let coupons = Peer::host(&python, "coupons", "ascii", 7202);
        let folder = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let data = folder.path().join("data");
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/lab.toml");
        let mut command = Command::new(program("yika"));
        command.args(["serve", "--config"]).arg(config).arg("--data").arg(&data);
        let switch = Killed(command.stdin(Stdio::null()).stderr(log).spawn().unwrap());
        wait_for("a line to each host", Duration::from_secs(30), || {
            status(&data)
                .is_ok_and(|status| status.participants.iter().all(|one| one.lines_open == one.lines))
        });
        let terminal = Peer::start(&python, "acquirer", "ascii", 7100);
        let pos = Peer::start(&python, "acquirer", "pos", 7101);
        Lab { terminal, pos, bank_a, bank_b, coupons, data, _switch: switch, _folder: folder, _ports: ports }
    }

    /// All that is owed was acknowledged, and the books balance.
    pub(crate) fn balances(&self) {
        wait_for("all reversals to be acknowledged", Duration::from_secs(20), || {
            status(&self.data).is_ok_and(|status| status.open_obligations == 0 && status.unaccounted == 0)
        });
    }
}
