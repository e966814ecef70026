//! Real processes: the switch as its users run it, on free ports, in a folder of its own, ended with the test.
//! The one place where tests wait: for a stated condition, with a limit, and never longer than it takes.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use yika_switch::data_dir::{Addresses, addresses_in};

/// Between two looks at a condition: short against all that tests wait for, long enough to leave the processors
/// to those who bring it about.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Waits until `done` is true; panics with `what` when the limit passes.
#[track_caller]
pub fn wait_for(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    assert!(comes_true(limit, &mut done), "waited {limit:?} for {what}");
}

/// Waits until `done` is true; false when the limit passes first.
pub fn comes_true(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !done() {
        if began.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    true
}

/// Lets time pass, for programs whose subject is time: a test waits for a condition.
pub fn passes(time: Duration) {
    std::thread::sleep(time);
}

/// A program of this workspace, built by `cargo xtask test` before the tests run.
pub fn program(name: &str) -> PathBuf {
    // Programs stand beside us when we are one, and one folder above when we are a test.
    let own = std::env::current_exe().unwrap();
    let above =
        || own.ancestors().skip(1).take(2).map(Path::to_owned).find(|folder| folder.join(name).exists());
    let path =
        std::env::var_os("YIKA_BIN_DIR").map(PathBuf::from).or_else(above).unwrap_or_default().join(name);
    assert!(path.exists(), "{} is missing: cargo build --workspace --bins --profile checked", path.display());
    path
}

/// Ports below those that systems give to outgoing connections (from 32768 on Linux), so that a switch finds its
/// own again after a restart however many connections were made meanwhile.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A port that nobody listens on now, and that no other caller in this process got.
pub fn free_port() -> SocketAddr {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Processes that run at the same time begin at different places.
    let begin = (std::process::id() % 120) as u16 * 100;
    for _ in PORTS {
        let at = TAKEN.fetch_add(1, Ordering::Relaxed).wrapping_add(begin) % PORTS.len() as u16;
        let address = SocketAddr::from(([127, 0, 0, 1], PORTS.start + at));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port from {} to {} is free", PORTS.start, PORTS.end);
}

/// A running switch.
pub struct Yika {
    child: Held,
    folder: PathBuf,
}

const UP_WITHIN: Duration = Duration::from_secs(60);

impl Yika {
    /// Starts on `folder/yika.toml` with `folder/data`, and waits until it listens.
    pub fn start(folder: &Path) -> Yika {
        Yika::start_with(folder, &[])
    }

    pub fn start_with(folder: &Path, environment: &[(&str, &str)]) -> Yika {
        let mut command = Command::new(program("yika"));
        command.envs(environment.iter().copied());
        Yika::try_start(folder, command).unwrap_or_else(|status| {
            let log = std::fs::read_to_string(folder.join("yika.log")).unwrap_or_default();
            panic!("the switch ended with {status}: {log}")
        })
    }

    /// Starts by this command, to which the arguments are added; Err: how it ended instead of listening.
    pub fn try_start(folder: &Path, command: Command) -> Result<Yika, ExitStatus> {
        let mut yika = Yika::begin(folder, command);
        let mut ended = None;
        wait_for("the switch to listen", UP_WITHIN, || {
            ended = yika.child.0.try_wait().unwrap();
            ended.is_some() || yika.addresses().is_some()
        });
        ended.map_or(Ok(yika), Err)
    }

    /// Starts and waits for nothing: it may still be reading its journal.
    pub fn begin(folder: &Path, command: Command) -> Yika {
        // A file of an earlier life would name its ports.
        let _ = std::fs::remove_file(addresses_in(&folder.join("data")));
        Yika { child: spawn(folder, command), folder: folder.to_owned() }
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
        self.child.0.id()
    }

    /// Resident memory, KiB.
    pub fn memory_kib(&self) -> u64 {
        self.status_of("VmRSS:")
    }

    pub fn threads(&self) -> u64 {
        self.status_of("Threads:")
    }

    /// Open file descriptors, without those of segments: up to 64 of these are kept for reading back, and how many it is
    /// depends on what was read. None without root: a process that leaves no core dumps lets nobody else count.
    pub fn descriptors(&self) -> Option<u64> {
        let all = std::fs::read_dir(format!("/proc/{}/fd", self.pid())).ok()?;
        // One that is closed meanwhile is no longer there to be read.
        let targets = all.filter_map(|one| std::fs::read_link(one.ok()?.path()).ok());
        Some(targets.filter(|target| !target.to_string_lossy().contains("/segment-")).count() as u64)
    }

    /// A number from proc(5), `status`.
    fn status_of(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.0.kill().unwrap();
        self.child.0.wait().unwrap();
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
        self.child.ends_within(UP_WITHIN)
    }

    /// Whether it has not ended.
    pub fn is_alive(&mut self) -> bool {
        self.child.0.try_wait().unwrap().is_none()
    }
}

/// A process that ends with its handle, however the test ends.
pub struct Held(pub Child);

impl Held {
    /// How it ended; panics when it still runs after `limit`.
    #[track_caller]
    pub fn ends_within(&mut self, limit: Duration) -> ExitStatus {
        let mut status = None;
        wait_for("the process to end", limit, || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(folder: &Path, mut command: Command) -> Held {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("yika.log")).unwrap();
    command.args(["serve", "--config"]).arg(folder.join("yika.toml"));
    Held(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
}

/// Longer than any command may take on a busy machine; one that hangs fails its test.
const COMMAND_WITHIN: Duration = Duration::from_secs(120);

/// Runs a command of ours to its end: exit code, stdout, stderr.
#[track_caller]
pub fn run(name: &str, arguments: &[&str]) -> (i32, String, String) {
    run_within(name, arguments, COMMAND_WITHIN)
}

/// The same for a command that may take long.
#[track_caller]
pub fn run_within(name: &str, arguments: &[&str], limit: Duration) -> (i32, String, String) {
    let mut command = Command::new(program(name));
    command.args(arguments);
    output_within(command, limit)
}

/// The same for a program of others.
#[track_caller]
pub fn held_output(command: Command) -> (i32, String, String) {
    output_within(command, COMMAND_WITHIN)
}

fn output_within(mut command: Command, limit: Duration) -> (i32, String, String) {
    // Files take any amount without anybody reading; pipes would not.
    let (out, err) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    command.stdin(Stdio::null()).stdout(out.reopen().unwrap()).stderr(err.reopen().unwrap());
    let status = Held(command.spawn().unwrap()).ends_within(limit);
    let text = |file: &Path| String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
    (status.code().unwrap_or(-1), text(out.path()), text(err.path()))
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
