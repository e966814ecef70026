//! The operator's way in: a control socket in the data folder for commands, and an admin port for metrics and
//! health. Both run on a thread of their own and reach the switch only through `Handle`, a bounded queue that
//! the switch's own thread empties between turns.

mod books;
pub mod control;
mod desk;
mod door;
mod help;
mod http;
mod metrics;
mod reason;

pub use books::{
    DateTotals, ExceptionView, Exceptions, PartyTotals, exceptions as exceptions_of, totals as totals_of,
};
pub use desk::{Desk, obligations as obligations_of};
pub use reason::check_reason;

use crate::config::Config;
use crate::core::effect::Alarm;
use crate::core::entry::KeyUse;
use crate::core::ids::ObligationId;
use crate::data_dir::DataDir;
use crate::driver::Terminal;
use door::Door;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// What an operator may ask of the switch.
pub enum Command {
    /// Whether the switch's thread turns: answered without a look at anything.
    Ping(oneshot::Sender<()>),
    /// Why no traffic should come, as the switch's own thread sees it.
    Ready(oneshot::Sender<Result<(), String>>),
    Status(oneshot::Sender<Status>),
    Obligations(oneshot::Sender<Vec<ObligationView>>),
    Exceptions(oneshot::Sender<Exceptions>),
    /// Of a date, or of those that are open.
    Totals(Option<u32>, oneshot::Sender<Vec<DateTotals>>),
    Settle {
        id: ObligationId,
        reason: String,
        reply: oneshot::Sender<Result<(), String>>,
    },
    CutOver(oneshot::Sender<Result<(), String>>),
    /// Nothing new to a participant, or again.
    Drain {
        name: String,
        on: bool,
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// A participant is offered a new working key.
    KeyChange {
        name: String,
        usage: KeyUse,
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// A terminal is signed off, or all are.
    SignOff {
        whom: Option<Terminal>,
        reply: oneshot::Sender<Result<(), String>>,
    },
    Snapshot(oneshot::Sender<Box<metrics::Snapshot>>),
}

/// The switch at a glance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub pid: u32,
    pub draining: bool,
    pub business_date: u32,
    pub sessions: usize,
    pub open_transactions: usize,
    pub open_obligations: u64,
    pub dedupe_keys: usize,
    pub journal_entries: u64,
    /// Gateways that are connected and proven.
    pub gateways: usize,
    /// Taps inside their window.
    pub taps: usize,
    /// Batches of taps that are announced and not complete.
    pub batches_open: u64,
    /// P7: what no book explains, minor units over all dates; 0 unless the switch itself is wrong.
    pub unaccounted: u64,
    pub participants: Vec<ParticipantStatus>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ParticipantStatus {
    pub name: String,
    pub lines_open: usize,
    pub lines: usize,
    pub obligations: u64,
    /// It signed off by a message of its own.
    pub signed_off: bool,
    /// By an operator.
    pub drained: bool,
}

/// One obligation as an operator sees it: no card number, only its token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObligationView {
    pub id: u64,
    pub kind: String,
    pub participant: String,
    pub transaction: u64,
    pub card: String,
    pub amount: u64,
    pub currency: u16,
    pub stan: u32,
    pub date: u32,
    /// The code it was refused with, when it waits for an operator.
    pub parked: Option<String>,
}

/// The admin thread's end of the queue to the switch.
#[derive(Clone)]
pub struct Handle(mpsc::Sender<Command>);

/// Longer than any turn takes; a switch that does not answer by then is in trouble.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

impl Handle {
    pub fn new(commands: mpsc::Sender<Command>) -> Handle {
        Handle(commands)
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// When the switch is gone, too busy, or silent for two seconds.
    pub async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, String> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.0.send(command(reply)).await.map_err(|_| "the switch is stopping".to_owned())?;
            answer.await.map_err(|_| "the switch is stopping".to_owned())
        };
        match tokio::time::timeout(ANSWER_WITHIN, asked).await {
            Ok(answered) => answered,
            Err(_) => Err("the switch did not answer within 2 s".into()),
        }
    }
}

/// Whether the switch may get traffic, and why not.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<ReadyState>>);

#[derive(Clone, Default, PartialEq, Eq, Debug)]
enum ReadyState {
    #[default]
    Starting,
    Ready,
    Draining,
    Failed(String),
}

impl Readiness {
    pub fn set_ready(&self) {
        self.set(ReadyState::Ready);
    }

    pub fn set_draining(&self) {
        self.set(ReadyState::Draining);
    }

    pub fn set_failed(&self, why: &str) {
        self.set(ReadyState::Failed(why.to_owned()));
    }

    /// Ok, or why no traffic should come.
    ///
    /// # Errors
    /// The reason, for people.
    pub fn check(&self) -> Result<(), String> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            ReadyState::Ready => Ok(()),
            ReadyState::Starting => Err("starting: the journal is being replayed".into()),
            ReadyState::Draining => Err("draining: no new work is taken".into()),
            ReadyState::Failed(why) => Err(format!("failed: {why}")),
        }
    }

    /// Whether the journal is still being replayed.
    pub fn is_starting(&self) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) == ReadyState::Starting
    }

    fn set(&self, state: ReadyState) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// The admin thread; it ends with the process.
pub struct Admin {
    address: Option<SocketAddr>,
}

impl Admin {
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

/// Binds control socket and admin port, and serves them on a low-priority thread. Called before the journal is
/// touched: health is told during a long replay, and whoever finds the socket knows that the folder is in use.
///
/// # Errors
/// What could not be bound, in words.
pub fn start(config: &Config, data: &DataDir, handle: Handle, ready: Readiness) -> Result<Admin, String> {
    let path = data.control_socket();
    // Left over from a process that was killed: the lock says that nobody serves it.
    let _ = std::fs::remove_file(&path);
    let control = control::bind(&path)?;
    let port = match config.admin {
        Some(address) => Some(http::bind(address)?),
        None => None,
    };
    let doors = [(); 2].map(|()| Door::new(config.admin_bounds));
    let address = port.as_ref().and_then(|port| port.local_addr().ok());
    let serve = move || {
        // Metrics must never take time from payments; without the right to be nice it still works.
        let _ = rustix::process::nice(10);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(async {
                let control = control::serve(control, handle.clone(), ready.clone(), doors[1].clone());
                match port {
                    Some(port) => tokio::join!(control, http::serve(port, handle.clone(), ready, doors)).0,
                    None => control.await,
                }
            }),
            Err(error) => tracing::error!(%error, "the admin port cannot be served"),
        }
    };
    std::thread::Builder::new().name("admin".into()).spawn(serve).map_err(|e| e.to_string())?;
    Ok(Admin { address })
}

/// One line per alarm, saying what to do; `participant` is the name of whom it is about.
pub fn log_alarm(alarm: &Alarm, participant: &str) {
    match alarm {
        Alarm::ObligationParked { id, code, .. } => tracing::error!(
            %id, participant, %code,
            "an obligation was refused three times and is parked: clear it with the participant, then `yika saf settle {id} --reason ...`"
        ),
        Alarm::Exception { id, money, code, .. } => tracing::error!(
            %id, participant, amount = %money.decimal(), currency = money.currency.0, %code,
            "an advice, or the reversal of what stood, was refused for good and is now a named exception: settle the amount with the participant"
        ),
        Alarm::LateApproval { of, late_ms, held_back, .. } => tracing::warn!(
            transaction = %of.tx, leg = of.leg, participant, late_ms, held_back,
            "an approval came after its time-out; its reversal is owed or done"
        ),
        Alarm::DateOpened { date } => tracing::info!(%date, "business date opened"),
        Alarm::DateClosed { date } => tracing::info!(%date, "business date closed"),
        Alarm::ClockBack { by_ms } => tracing::warn!(
            by_ms,
            "the system clock was set back; time runs at half speed here until it catches up. Check time synchronisation"
        ),
        Alarm::ClockAhead { by_ms } => tracing::warn!(
            by_ms,
            "the system clock jumped ahead and is followed: windows and business dates end earlier by that much. Check time synchronisation"
        ),
        Alarm::KeyClash { why, held_back, .. } => tracing::error!(
            participant,
            why,
            held_back,
            "a new working key was refused; the old key stays in use. Compare the check values of the key-encryption key on both sides, \
             then have the key sent or offered again"
        ),
        Alarm::LineUnkeyed { line, .. } => tracing::error!(
            participant,
            line = line.0,
            "three MACs in a row were wrong: the line carries no requests until a key change or a new connection. \
             Compare the check values of the MAC key with the participant"
        ),
    }
}
