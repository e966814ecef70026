//! The processes of an end-to-end run: started from the folder of this program, looked at through `/proc` and
//! the switch's metrics, and killed when dropped, so that none outlives a run.

use crate::error::BenchError;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A process that says on its first line where it listens.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    /// Held open: a process that writes to a closed pipe ends.
    _out: Option<ChildStdout>,
    _err: Option<BufReader<ChildStderr>>,
}

/// One of our programs, built beside this one.
pub(crate) fn beside_us(name: &str) -> Result<PathBuf, BenchError> {
    let own = std::env::current_exe().map_err(BenchError::io("find", "this program"))?;
    let path = own.with_file_name(name);
    if path.is_file() { Ok(path) } else { Err(BenchError::NoBinary { path: path.display().to_string() }) }
}

impl Server {
    /// Time of all its threads on a processor, nanoseconds.
    pub(crate) fn used_ns(&self) -> u64 {
        Usage::of(self.child.id()).all_ns()
    }

    /// Starts it and reads its address from the first line of stderr.
    pub(crate) fn start(program: &Path, arguments: &[&OsStr]) -> Result<Server, BenchError> {
        let mut child = spawn(program, arguments, Stdio::null(), Stdio::piped())?;
        let mut err = child.stderr.take().map(BufReader::new);
        let mut line = String::new();
        if let Some(err) = &mut err {
            err.read_line(&mut line).map_err(BenchError::io("read from", program.display()))?;
        }
        let words = line.split([' ', ';', '\n']);
        let address = words.filter_map(|word| word.parse().ok()).next();
        let server =
            Server { child, address: address.unwrap_or(([0, 0, 0, 0], 0).into()), _out: None, _err: err };
        if address.is_none() {
            let who = program.display().to_string();
            return Err(BenchError::Process { who, what: "did not say where it listens".into(), said: line });
        }
        Ok(server)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// `yika serve` with a configuration of ours.
pub(crate) struct Switch {
    child: Child,
    pub(crate) listener: SocketAddr,
    admin: SocketAddr,
}

impl Switch {
    /// Returns when `lines` connections to the banks are up.
    pub(crate) fn start(config: &Path, data: &Path, log: &Path, lines: usize) -> Result<Switch, BenchError> {
        let err = std::fs::File::create(log).map_err(BenchError::io("make", log.display()))?;
        let program = beside_us("yika")?;
        let arguments = [OsStr::new("serve"), OsStr::new("--config"), config.as_os_str()];
        let child = spawn(&program, &arguments, Stdio::null(), err.into())?;
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut switch = Switch { child, listener: nowhere, admin: nowhere };
        let said = || std::fs::read_to_string(log).unwrap_or_default();
        // 10 s in steps of 10 ms: it makes its first segments durable before it listens.
        for _ in 0..1000 {
            std::thread::sleep(Duration::from_millis(10));
            if let Ok(Some(status)) = switch.child.try_wait() {
                return Err(BenchError::Process {
                    who: "yika serve".into(),
                    what: format!("ended: {status}"),
                    said: said(),
                });
            }
            if switch.read_addresses(data).is_some()
                && switch
                    .metrics()
                    .is_ok_and(|metrics| metrics.get("yika_lines_open") == Some(&(lines as f64)))
            {
                return Ok(switch);
            }
        }
        Err(BenchError::Process {
            who: "yika serve".into(),
            what: "did not come up in 10 s".into(),
            said: said(),
        })
    }

    /// Counters and gauges; those that differ in labels only are added up.
    pub(crate) fn metrics(&self) -> Result<BTreeMap<String, f64>, BenchError> {
        let failed = || BenchError::io("ask for metrics at", self.admin);
        let mut stream = TcpStream::connect(self.admin).map_err(failed())?;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            .map_err(failed())?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map_err(failed())?;
        let mut sums = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with("yika_")) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let name = name.split('{').next().unwrap_or(name);
            *sums.entry(name.to_owned()).or_insert(0.0) += value.parse().unwrap_or(0.0);
        }
        Ok(sums)
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.child.id())
    }

    /// System calls of all its threads while `length` goes by, counted by `perf stat`; None where that is missing or not
    /// allowed. Blocks for `length`.
    pub(crate) fn system_calls(&self, length: Duration) -> Option<f64> {
        let seconds = length.as_secs_f64().to_string();
        let pid = self.child.id().to_string();
        let counted = Command::new("perf")
            .args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", &pid, "--", "sleep", &seconds])
            .stdin(Stdio::null())
            .output();
        // The figure stands first in its line, on stderr.
        let said = String::from_utf8(counted.ok()?.stderr).ok()?;
        said.lines().find(|line| line.contains("sys_enter"))?.split(',').next()?.parse().ok()
    }

    /// Samples the stacks of all its threads into a file while `length` goes by. Blocks for `length`.
    ///
    /// # Errors
    /// When `perf` is missing or may not.
    pub(crate) fn sample(&self, length: Duration, into: &Path) -> Result<(), BenchError> {
        let (pid, seconds) = (self.child.id().to_string(), length.as_secs_f64().to_string());
        let arguments = ["record", "-F", "4000", "-g", "-p", &pid, "-o"].map(OsStr::new);
        let asleep = ["--", "sleep", &seconds].map(OsStr::new);
        perf(&[&arguments[..], &[into.as_os_str()], &asleep].concat()).map(drop)
    }

    fn read_addresses(&mut self, data: &Path) -> Option<()> {
        let text = std::fs::read_to_string(yika_switch::data_dir::addresses_in(data)).ok()?;
        let addresses: yika_switch::data_dir::Addresses = serde_json::from_str(&text).ok()?;
        (self.listener, self.admin) = (*addresses.listeners.first()?, addresses.admin?);
        Some(())
    }
}

/// What `perf` prints when it is run like this.
///
/// # Errors
/// When it is missing, or says no.
pub(crate) fn perf(arguments: &[&OsStr]) -> Result<Vec<u8>, BenchError> {
    let failed = BenchError::setup("a profile");
    let done = Command::new("perf").args(arguments).stdin(Stdio::null()).output();
    let done = done.map_err(|e| failed(&format!("perf did not start: {e}; install it (linux-perf)")))?;
    match done.status.success() {
        true => Ok(done.stdout),
        false => Err(failed(&String::from_utf8_lossy(&done.stderr).trim())),
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// What a process has used since it began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    /// Time on a processor by the name of the thread, nanoseconds.
    pub(crate) threads_ns: BTreeMap<String, u64>,
    pub(crate) voluntary_switches: u64,
    pub(crate) resident_kb: u64,
}

impl Usage {
    fn of(pid: u32) -> Usage {
        let mut usage = Usage::default();
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for task in tasks.map(|entry| entry.path()) {
            // A thread may end while we look; then it has nothing to say.
            let read = |name| std::fs::read_to_string(task.join(name)).unwrap_or_default();
            let on_cpu =
                read("schedstat").split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
            *usage.threads_ns.entry(read("comm").trim().to_owned()).or_insert(0) += on_cpu;
            usage.voluntary_switches += number_after(&read("status"), "voluntary_ctxt_switches:");
        }
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        usage.resident_kb = number_after(&status, "VmRSS:");
        usage
    }

    pub(crate) fn all_ns(&self) -> u64 {
        self.threads_ns.values().sum()
    }
}

fn number_after(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// A program that runs to its end and prints JSON.
pub(crate) struct Job {
    name: String,
    child: Child,
}

impl Job {
    /// Time of all its threads on a processor, nanoseconds.
    pub(crate) fn used_ns(&self) -> u64 {
        Usage::of(self.child.id()).all_ns()
    }

    pub(crate) fn start(name: &str, program: &Path, arguments: &[&OsStr]) -> Result<Job, BenchError> {
        let child = spawn(program, arguments, Stdio::piped(), Stdio::piped())?;
        Ok(Job { name: name.to_owned(), child })
    }

    /// What it printed; its exit code is part of what the JSON says.
    pub(crate) fn finish(mut self) -> Result<serde_json::Value, BenchError> {
        let (mut out, mut err) = (String::new(), String::new());
        if let Some(mut pipe) = self.child.stdout.take() {
            pipe.read_to_string(&mut out).map_err(BenchError::io("read from", &self.name))?;
        }
        if let Some(mut pipe) = self.child.stderr.take() {
            pipe.read_to_string(&mut err).map_err(BenchError::io("read from", &self.name))?;
        }
        let status = self.child.wait().map_err(BenchError::io("wait for", &self.name))?;
        serde_json::from_str(&out).map_err(|e| BenchError::Process {
            who: self.name.clone(),
            what: format!("ended ({status}) without a report ({e})"),
            said: err,
        })
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn spawn(program: &Path, arguments: &[&OsStr], out: Stdio, err: Stdio) -> Result<Child, BenchError> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(out).stderr(err);
    command.spawn().map_err(BenchError::io("start", program.display()))
}

fn end(child: &mut Child) {
    // Both fail only when it has ended already.
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_can_be_looked_at() {
        let usage = Usage::of(std::process::id());
        assert!(usage.all_ns() > 0 && usage.resident_kb > 0);
        assert_eq!(number_after("a: 1\nvoluntary_ctxt_switches:\t42\n", "voluntary_ctxt_switches:"), 42);
    }
}
