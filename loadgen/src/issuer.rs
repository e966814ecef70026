//! A simulated issuer host or coupon platform: one thread, one listener, any number of connections.
//!
//! Promises: answers are made and written in batches, one write per connection and turn; what the script delays is
//! bounded; going down closes every connection before it returns. Decisions are the books' alone.

mod answer;
mod desk;
mod host;

pub use desk::Desk;

use crate::books::{BookCounts, Role};
use crate::ledger::Ledger;
use crate::script::Script;
use crate::wire::Wire;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::Notify;
use yika_codec::Code;
use yika_keystore::PinKey;

/// Commands that may wait for the host's thread.
const COMMANDS_MAX: usize = 16;

/// How long a command may take; a ledger of millions of rows takes seconds.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(60);

/// What to play, and where.
#[derive(Clone)]
pub struct IssuerConfig {
    /// For people and for the ledger.
    pub name: String,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How messages look.
    pub wire: Wire,
    /// Bank or coupon platform.
    pub role: Role,
    /// What to do with requests.
    pub script: Script,
    /// With it, a PIN block that does not hold the test PIN is declined with 55.
    pub pin: Option<PinKey>,
    /// The answer to a reversal whose original is not known; it is remembered in any case.
    pub reversal_unknown: Code,
    /// Seeds the fates of messages.
    pub seed: u64,
    /// Payments expected: books of that size are made at the start.
    pub payments: usize,
    /// The most connections at a time.
    pub connections_max: usize,
}

impl IssuerConfig {
    /// A bank that approves everything at once.
    pub fn new(name: &str, listen: SocketAddr, wire: Wire) -> IssuerConfig {
        IssuerConfig {
            name: name.to_owned(),
            listen,
            wire,
            role: Role::Issuer,
            script: Script::approve_all(),
            pin: None,
            reversal_unknown: Code::new(*b"25"),
            seed: 1,
            payments: 1 << 16,
            connections_max: 1024,
        }
    }
}

/// Why a host could not be started or asked.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The address cannot be listened on.
    #[error("issuer {name}: cannot listen on {listen}: {source}")]
    Listen {
        /// Name of the host.
        name: String,
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The thread or its runtime cannot be made.
    #[error("issuer {name}: no thread: {source}")]
    Thread {
        /// Name of the host.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The host's thread has ended or does not answer.
    #[error("issuer {name} does not answer; its thread has ended or is stuck")]
    Gone {
        /// Name of the host.
        name: String,
    },
}

/// What a host has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct IssuerStats {
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub connections_open: u64,
    /// Requests understood.
    pub requests: u64,
    /// Answers written, second copies included.
    pub answers: u64,
    /// Frames that are no message of the dialect, or lack what an answer needs.
    pub parse_errors: u64,
    /// Connections closed because the stream could not be cut into frames.
    pub frame_errors: u64,
    /// Messages whose MAC is missing or does not hold; answered with A0.
    pub mac_failures: u64,
    /// Sign-on, sign-off and echo messages answered.
    pub network: u64,
    /// PIN blocks that hold the test PIN under our key.
    pub pins_good: u64,
    /// PIN blocks that do not.
    pub pins_wrong: u64,
    /// Booked, and never answered, as the script says.
    pub silenced: u64,
    /// Answers dropped because their connection was gone or too many were delayed.
    pub answers_dropped: u64,
    /// What the books have counted.
    pub books: BookCounts,
}

/// A host that runs in its own thread; dropping the handle stops it.
pub struct IssuerHandle {
    name: String,
    addr: SocketAddr,
    commands: SyncSender<Command>,
    kick: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

/// What the handle asks of the thread, each with the place for its answer.
enum Command {
    SetScript(Script, SyncSender<()>),
    GoDown(SyncSender<()>),
    ComeUp(SyncSender<io::Result<()>>),
    Ledger(SyncSender<Ledger>),
    Stats(SyncSender<IssuerStats>),
    Stop,
}

/// Starts a host.
///
/// # Errors
/// When the address cannot be listened on, or there is no thread to be had.
pub fn start(config: IssuerConfig) -> Result<IssuerHandle, IssuerError> {
    let name = config.name.clone();
    let thread_failed = |source| IssuerError::Thread { name: name.clone(), source };
    let listen_failed = |source| IssuerError::Listen { name: name.clone(), listen: config.listen, source };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(thread_failed)?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind(config.listen)).map_err(listen_failed)?;
    let addr = listener.local_addr().map_err(listen_failed)?;
    let (commands, inbox) = sync_channel(COMMANDS_MAX);
    let kick = Arc::new(Notify::new());
    let host_kick = Arc::clone(&kick);
    let thread = std::thread::Builder::new()
        .name(format!("issuer-{name}"))
        .spawn(move || host::run(&runtime, listener, addr, config, inbox, host_kick))
        .map_err(thread_failed)?;
    Ok(IssuerHandle { name, addr, commands, kick, thread: Some(thread) })
}

impl IssuerHandle {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Follows another script from now on.
    ///
    /// # Errors
    /// When the host's thread is gone.
    pub fn set_script(&self, script: Script) -> Result<(), IssuerError> {
        self.ask(|reply| Command::SetScript(script, reply))
    }

    /// Closes all connections and the listener; the books stay. New connections are refused.
    ///
    /// # Errors
    /// When the host's thread is gone.
    pub fn go_down(&self) -> Result<(), IssuerError> {
        self.ask(Command::GoDown)
    }

    /// Listens again on the same address.
    ///
    /// # Errors
    /// When the address is taken by now, or the host's thread is gone.
    pub fn come_up(&self) -> Result<(), IssuerError> {
        let (name, listen) = (self.name.clone(), self.addr);
        self.ask(Command::ComeUp)?.map_err(|source| IssuerError::Listen { name, listen, source })
    }

    /// What stands in the books now.
    ///
    /// # Errors
    /// When the host's thread is gone.
    pub fn ledger(&self) -> Result<Ledger, IssuerError> {
        self.ask(Command::Ledger)
    }

    /// What was counted so far.
    ///
    /// # Errors
    /// When the host's thread is gone.
    pub fn stats(&self) -> Result<IssuerStats, IssuerError> {
        self.ask(Command::Stats)
    }

    /// Ends the host and gives its ledger.
    ///
    /// # Errors
    /// When the host's thread is gone already.
    pub fn stop(self) -> Result<Ledger, IssuerError> {
        self.ledger()
    }

    fn ask<T>(&self, command: impl FnOnce(SyncSender<T>) -> Command) -> Result<T, IssuerError> {
        let (reply, answer): (SyncSender<T>, Receiver<T>) = sync_channel(1);
        let gone = || IssuerError::Gone { name: self.name.clone() };
        self.commands.send(command(reply)).map_err(|_| gone())?;
        self.kick.notify_one();
        answer.recv_timeout(COMMAND_TIME_MAX).map_err(|_| gone())
    }
}

impl Drop for IssuerHandle {
    fn drop(&mut self) {
        // A thread that has ended needs no command; one that panicked has said so itself.
        if self.commands.send(Command::Stop).is_ok() {
            self.kick.notify_one();
        }
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}
