//! A backend whose keys work in an HSM: operations become commands on a few connections that stay open.
//!
//! [`Client::submit`] blocks the caller; the sockets live on a thread of their own. Several commands are under way on each
//! connection and find their replies by the header that comes back. What is lost with a connection is asked once more, on
//! another one or at the second address: everything here may be done twice. It never waits without a limit, and never
//! keeps more commands than the windows of its connections hold.

mod breaker;
mod link;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use yika_keystore::{Backend, BackendError, Health, HealthState, KeyRef, Operation, Outcome};

use crate::code::Code;
use crate::command::{self, Command, KEY_TYPE};
use crate::fields::Fields;
use crate::stream::Connecting;
use breaker::Breaker;

/// Where an HSM listens, and how connections to it are protected.
#[derive(Clone)]
pub struct Address {
    /// Address and port.
    pub addr: SocketAddr,
    /// By TLS or not.
    pub connecting: Connecting,
}

/// How a client works; [`ClientConfig::new`] has what fits a payShield in the same building.
#[derive(Clone)]
pub struct ClientConfig {
    /// The HSM that does the work.
    pub primary: Address,
    /// The one that does it when the first does not answer; with the same master key.
    pub secondary: Option<Address>,
    /// Bytes of the header, as configured in the HSM: 2 to 64.
    pub header_bytes: usize,
    /// Connections to each address: 1 to 64.
    pub connections_count: usize,
    /// Commands under way on each connection: 1 to 256.
    pub window: usize,
    /// The most that connecting, TLS and the first diagnostics may take.
    pub connect_timeout: Duration,
    /// The most that a reply may take; then the connection is closed.
    pub reply_timeout: Duration,
    /// After how much silence a connection is tried with an echo.
    pub idle_echo: Duration,
    /// Between two attempts to connect, at first; doubled each time, with a random part.
    pub reconnect_min: Duration,
    /// Between two attempts, at last.
    pub reconnect_max: Duration,
    /// So many failures in a row open the circuit of an address.
    pub breaker_failures: u32,
    /// For so long; then one connection tries.
    pub breaker_open: Duration,
}

/// Why a client did not start.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A value that cannot work.
    #[error("{field} of an HSM client is {found}: expected {expected}")]
    Config {
        /// Which one.
        field: &'static str,
        /// What it is.
        found: String,
        /// What would do.
        expected: &'static str,
    },
    /// No thread or no runtime.
    #[error("cannot start the thread of an HSM client: {0}")]
    Thread(io::Error),
}

/// A backend that asks an HSM.
pub struct Client {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// What the callers and the tasks of the connections both see.
struct Shared {
    config: ClientConfig,
    sites: Vec<Site>,
    /// Counts every connection that comes or goes, for those who wait.
    changes: Mutex<u64>,
    changed: Condvar,
}

struct Site {
    address: Address,
    breaker: Mutex<Breaker>,
    links: Vec<Link>,
    /// Check value of the master key and firmware, as last told.
    facts: Mutex<Option<Facts>>,
}

#[derive(Clone)]
struct Facts {
    master_check_value: String,
    firmware: String,
}

struct Link {
    up: AtomicBool,
    under_way: AtomicUsize,
    jobs: mpsc::Sender<Job>,
}

/// A command on its way, and whom to tell.
struct Job {
    index: usize,
    command: Arc<Command>,
    answer: SyncSender<(usize, Result<Reply, BackendError>)>,
}

struct Reply {
    code: Code,
    body: Vec<u8>,
}

/// What became of an attempt to send.
enum Sent {
    Yes,
    /// There are connections, and no room on any of them.
    Full,
    /// There is no connection.
    Down,
}

/// Of one command: what is lost with a connection is asked once more.
const ATTEMPTS_MAX: u32 = 2;

impl ClientConfig {
    /// For one HSM in the same building.
    #[must_use]
    pub fn new(primary: Address) -> ClientConfig {
        ClientConfig {
            primary,
            secondary: None,
            header_bytes: 4,
            connections_count: 4,
            window: 16,
            connect_timeout: Duration::from_secs(2),
            reply_timeout: Duration::from_secs(2),
            idle_echo: Duration::from_secs(30),
            reconnect_min: Duration::from_millis(100),
            reconnect_max: Duration::from_secs(10),
            breaker_failures: 5,
            breaker_open: Duration::from_secs(5),
        }
    }

    fn check(&self) -> Result<(), ClientError> {
        let limits = [
            ("header_bytes", self.header_bytes, 2, 64, "2 to 64, so that replies are told apart"),
            ("connections_count", self.connections_count, 1, 64, "1 to 64"),
            ("window", self.window, 1, 256, "1 to 256"),
            ("breaker_failures", self.breaker_failures as usize, 1, 1_000, "1 to 1,000"),
        ];
        for (field, value, min, max, expected) in limits {
            if !(min..=max).contains(&value) {
                return Err(ClientError::Config { field, found: value.to_string(), expected });
            }
        }
        for (field, value) in [
            ("connect_timeout", self.connect_timeout),
            ("reply_timeout", self.reply_timeout),
            ("idle_echo", self.idle_echo),
            ("reconnect_min", self.reconnect_min),
            ("reconnect_max", self.reconnect_max.saturating_sub(self.reconnect_min).max(self.reconnect_min)),
            ("breaker_open", self.breaker_open),
        ] {
            if value.is_zero() {
                return Err(ClientError::Config { field, found: "zero".to_owned(), expected: "some time" });
            }
        }
        Ok(())
    }
}

impl Client {
    /// Starts the thread, which connects by itself; [`Client::wait_until`] waits for that.
    ///
    /// # Errors
    /// `Config` and `Thread`.
    pub fn start(config: ClientConfig) -> Result<Client, ClientError> {
        config.check()?;
        let mut receivers = Vec::new();
        let addresses = std::iter::once(&config.primary).chain(&config.secondary);
        let sites: Vec<Site> = addresses.map(|address| Site::new(address, &config, &mut receivers)).collect();
        let shared = Arc::new(Shared { config, sites, changes: Mutex::new(0), changed: Condvar::new() });
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ClientError::Thread)?;
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new().name("yika-hostcmd".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let mut links = JoinSet::new();
                let count = of_thread.config.connections_count;
                for (n, jobs) in receivers.into_iter().enumerate() {
                    links.spawn(link::drive_link(
                        of_thread.clone(),
                        n / count,
                        n % count,
                        jobs,
                        stopped.clone(),
                    ));
                }
                while links.join_next().await.is_some() {}
            });
        });
        Ok(Client { shared, stop, thread: Some(thread.map_err(ClientError::Thread)?) })
    }

    /// Waits until it stands so, but no longer than `limit`; says whether it does.
    #[must_use]
    pub fn wait_until(&self, wanted: impl Fn(&Health) -> bool, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let before = *lock(&self.shared.changes);
            if wanted(&self.health()) {
                return true;
            }
            let changes = lock(&self.shared.changes);
            let left = deadline.saturating_duration_since(Instant::now());
            let waited = self.shared.changed.wait_timeout_while(changes, left, |changes| *changes == before);
            if waited.unwrap_or_else(PoisonError::into_inner).1.timed_out() {
                return wanted(&self.health());
            }
        }
    }

    /// Sends commands and collects their replies.
    fn exchange(&self, commands: Vec<Result<Command, BackendError>>) -> Vec<Result<Reply, BackendError>> {
        let (answer, answers) = sync_channel(commands.len().max(1));
        let mut round = Round {
            waiting: VecDeque::new(),
            attempts: vec![0; commands.len()],
            done: Vec::with_capacity(commands.len()),
            commands: Vec::with_capacity(commands.len()),
            under_way: 0,
        };
        for (index, command) in commands.into_iter().enumerate() {
            match command {
                Ok(command) => {
                    round.waiting.push_back(index);
                    round.done.push(None);
                    round.commands.push(Some(Arc::new(command)));
                }
                Err(error) => {
                    round.done.push(Some(Err(error)));
                    round.commands.push(None);
                }
            }
        }
        while !round.waiting.is_empty() || round.under_way > 0 {
            round.send(&self.shared, &answer);
            if round.under_way > 0 {
                round.receive(&self.shared.config, &answers);
            }
        }
        let lost = || Err(BackendError::Unavailable { reason: "no answer came".to_owned() });
        round.done.into_iter().map(|done| done.unwrap_or_else(lost)).collect()
    }
}

/// The commands of one call.
struct Round {
    waiting: VecDeque<usize>,
    attempts: Vec<u32>,
    commands: Vec<Option<Arc<Command>>>,
    done: Vec<Option<Result<Reply, BackendError>>>,
    under_way: usize,
}

impl Round {
    /// Sends as many as there is room for. When there is none at all, and none of ours will make some, they are refused.
    fn send(&mut self, shared: &Shared, answer: &SyncSender<(usize, Result<Reply, BackendError>)>) {
        while let Some(&index) = self.waiting.front() {
            let Some(command) = &self.commands[index] else { unreachable!("only commands wait") };
            let failed = match shared.send(index, command, answer) {
                Sent::Yes => {
                    self.attempts[index] += 1;
                    self.under_way += 1;
                    None
                }
                Sent::Full if self.under_way > 0 => return,
                Sent::Full => Some(BackendError::Overloaded { limit: shared.room() }),
                Sent::Down => Some(BackendError::Unavailable { reason: shared.nobody() }),
            };
            self.waiting.pop_front();
            if let Some(error) = failed {
                self.done[index] = Some(Err(error));
            }
        }
    }

    /// Takes one reply. A link answers every job, also one that is lost; the limit is there for the case that it does not.
    fn receive(&mut self, config: &ClientConfig, answers: &Receiver<(usize, Result<Reply, BackendError>)>) {
        let Ok((index, reply)) = answers.recv_timeout(config.reply_timeout * 2 + config.connect_timeout)
        else {
            self.waiting.clear();
            self.under_way = 0;
            return;
        };
        self.under_way -= 1;
        match reply {
            Err(BackendError::Unavailable { .. }) if self.attempts[index] < ATTEMPTS_MAX => {
                self.waiting.push_back(index);
            }
            reply => self.done[index] = Some(reply),
        }
    }
}

impl Shared {
    /// To the first address that is not given up, on its connection with the least to do.
    fn send(
        &self,
        index: usize,
        command: &Arc<Command>,
        answer: &SyncSender<(usize, Result<Reply, BackendError>)>,
    ) -> Sent {
        let mut full = false;
        for site in self.sites.iter().filter(|site| !lock(&site.breaker).is_open()) {
            let up = site.links.iter().filter(|link| link.up.load(Ordering::Acquire));
            let Some(link) = up.min_by_key(|link| link.under_way.load(Ordering::Relaxed)) else { continue };
            if link.under_way.fetch_add(1, Ordering::AcqRel) < self.config.window {
                let job = Job { index, command: command.clone(), answer: answer.clone() };
                if link.jobs.try_send(job).is_ok() {
                    return Sent::Yes;
                }
            }
            link.under_way.fetch_sub(1, Ordering::AcqRel);
            full = true;
        }
        if full { Sent::Full } else { Sent::Down }
    }

    fn room(&self) -> usize {
        self.config.connections_count * self.config.window * self.sites.len()
    }

    fn nobody(&self) -> String {
        let addresses: Vec<String> = self.sites.iter().map(|site| site.address.addr.to_string()).collect();
        format!("no connection to {} stands", addresses.join(" or "))
    }

    /// Tells those who wait that something changed.
    fn tell(&self) {
        *lock(&self.changes) += 1;
        self.changed.notify_all();
    }
}

impl Site {
    fn new(address: &Address, config: &ClientConfig, receivers: &mut Vec<mpsc::Receiver<Job>>) -> Site {
        let links = (0..config.connections_count).map(|_| {
            let (jobs, receiver) = mpsc::channel(config.window);
            receivers.push(receiver);
            Link { up: AtomicBool::new(false), under_way: AtomicUsize::new(0), jobs }
        });
        Site {
            address: address.clone(),
            breaker: Mutex::new(Breaker::new(config.breaker_failures, config.breaker_open)),
            links: links.collect(),
            facts: Mutex::new(None),
        }
    }

    fn up(&self) -> usize {
        self.links.iter().filter(|link| link.up.load(Ordering::Acquire)).count()
    }

    fn words(&self) -> String {
        let (addr, up, all) = (self.address.addr, self.up(), self.links.len());
        let facts = lock(&self.facts).clone();
        let firmware = facts.map_or(String::new(), |facts| format!(", firmware {}", facts.firmware));
        let open = if lock(&self.breaker).is_open() { ", given up for a while" } else { "" };
        format!("{addr}: {up} of {all} connections{firmware}{open}")
    }
}

impl Backend for Client {
    fn submit(&self, batch: &[Operation<'_>]) -> Vec<Result<Outcome, BackendError>> {
        let settled: Vec<Option<Outcome>> = batch.iter().map(command::settled).collect();
        let open = batch.iter().zip(&settled).filter(|(_, settled)| settled.is_none());
        let mut replies =
            self.exchange(open.map(|(operation, _)| command::of(operation)).collect()).into_iter();
        let outcomes = batch.iter().zip(settled).map(|(operation, settled)| match settled {
            Some(outcome) => Ok(outcome),
            None => {
                let reply = replies.next().expect("one for each that is open")?;
                command::outcome(operation, reply.code, &reply.body)
            }
        });
        outcomes.collect()
    }

    fn can(&self, operation: &Operation<'_>) -> bool {
        command::can(operation)
    }

    /// By A6, as `R` and the key block; the HSM has to be in authorised state.
    fn import(&self, key_block: &str, transport: &KeyRef) -> Result<KeyRef, BackendError> {
        if !key_block.bytes().all(|c| c.is_ascii_alphanumeric() || c == b' ') {
            return Err(BackendError::Key { reason: "a key block has letters and digits only".to_owned() });
        }
        let transport = command::key_field(transport)?;
        let body = [KEY_TYPE, &transport[..], b"R", key_block.as_bytes(), b"S"].concat();
        let reply = self.exchange(vec![Ok(Command { code: *b"A6", body })]).remove(0)?;
        // 01 is advice: its parity was not odd and is now.
        if !matches!(reply.code, Code::OK | Code::NOT_VERIFIED) {
            return Err(reply.code.error("bringing a key in"));
        }
        let malformed = |_| BackendError::Protocol { reason: "the answer to A6 holds no key".to_owned() };
        let mut fields = Fields::new(&reply.body);
        fields.expect(b'S').map_err(malformed)?;
        KeyRef::new(&format!("S{}", fields.key_block().map_err(malformed)?))
    }

    fn health(&self) -> Health {
        let sites = &self.shared.sites;
        let all = sites.iter().map(Site::up).sum::<usize>();
        let state = match sites.first() {
            Some(first) if first.up() == first.links.len() => HealthState::Up,
            _ if all > 0 => HealthState::Degraded,
            _ => HealthState::Down,
        };
        let told: Vec<Facts> = sites.iter().filter_map(|site| lock(&site.facts).clone()).collect();
        let differ = told.windows(2).any(|pair| pair[0].master_check_value != pair[1].master_check_value);
        let mut detail = sites.iter().map(Site::words).collect::<Vec<_>>().join("; ");
        if differ {
            detail.push_str("; their master keys differ: keys of the one do not work in the other");
        }
        Health {
            state,
            master_check_value: told.first().map(|facts| facts.master_check_value.clone()),
            detail,
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Nobody listens when the thread has ended.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the locks guard is changed in one step each, so a panic elsewhere leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
