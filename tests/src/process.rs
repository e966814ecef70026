//! Real processes: the switch as its users run it, on free ports, in a folder of its own, ended with the test.

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use yika_switch::data_dir::{Addresses, addresses_in};

/// Waits until `done` is true; panics with `what` when the limit passes. A condition, not a sleep.
pub fn wait_for(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < limit, "waited {limit:?} for {what}");
        std::thread::yield_now();
    }
}

/// A program of this workspace, built by `cargo xtask test` before the tests run.
pub fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("YIKA_BIN_DIR").map(PathBuf::from).unwrap_or_else(|| {
        let test = std::env::current_exe().unwrap();
        test.parent().and_then(Path::parent).unwrap().to_owned()
    });
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: cargo build --workspace --bins --profile checked", path.display());
    path
}

/// A port that nobody listens on now.
pub fn free_port() -> SocketAddr {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

/// A running switch.
pub struct Yika {
    child: Child,
    folder: PathBuf,
}

const UP_WITHIN: Duration = Duration::from_secs(60);

impl Yika {
    /// Starts on `folder/yika.toml` with `folder/data`, and waits until it listens.
    pub fn start(folder: &Path) -> Yika {
        Yika::start_with(folder, &[])
    }

    pub fn start_with(folder: &Path, environment: &[(&str, &str)]) -> Yika {
        let _ = std::fs::remove_file(addresses_in(&folder.join("data")));
        let mut yika = Yika { child: spawn(folder, environment), folder: folder.to_owned() };
        wait_for("the switch to listen", UP_WITHIN, || {
            if let Some(status) = yika.child.try_wait().unwrap() {
                panic!("the switch ended with {status}: {}", yika.log());
            }
            yika.addresses().is_some()
        });
        yika
    }

    pub fn addresses(&self) -> Option<Addresses> {
        let text = std::fs::read_to_string(addresses_in(&self.data())).ok()?;
        serde_json::from_str(&text).ok()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("yika.log")).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory, KiB.
    pub fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// SIGTERM, and how it ended.
    pub fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_for("the switch to end", UP_WITHIN, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Yika {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &Path, environment: &[(&str, &str)]) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("yika.log")).unwrap();
    Command::new(program("yika"))
        .args(["serve", "--config"])
        .arg(folder.join("yika.toml"))
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Runs a command of ours to its end: exit code, stdout, stderr.
pub fn run(name: &str, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(program(name)).args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// One HTTP GET over a raw socket.
pub fn get(address: SocketAddr, path: &str) -> String {
    use std::io::Write;
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}
