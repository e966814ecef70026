//! Start, run and stop of the switch: lock and ports first, recovery made durable, then connections.

use super::clock::{self, ClockJudge};
use super::connection::{Connection, End};
use super::hsm::HsmDesk;
use super::listen::{Bound, bind_all};
use super::sender::{LEND_FROM, Loan, Sender};
use super::signals::Signals;
use crate::admin;
use crate::config::{Config, Environment};
use crate::core::entry::Entry;
use crate::core::ids::{LineId, ListenerNo, Now, Seq, SessionId};
use crate::data_dir::{DataDir, DataDirError, Guard};
use crate::driver::{Driver, Output, PinLost};
use crate::journal::Reader;
use crate::journal::disk::{Disk, FileDisk};
use crate::start::{Commits, Replayed, StartError, Started};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use yika_keystore::{Backend, Keystore};

/// Why the switch did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error("cannot open the journal's folder {folder}: {source}")]
    Folder { folder: String, source: io::Error },
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot listen on {address}: {source}; is another program, or another yika, using it?")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot serve the admin port or control socket: {0}")]
    Admin(String),
    #[error("the journal failed and the switch stopped answering: {0}")]
    Failed(String),
    #[error(
        "the system clock is {days} days ahead of the journal's last entry, and all that the switch keeps would end at once: \
         set the clock right, or, if it is right and the switch stood still for so long, start with --accept-clock"
    )]
    Clock { days: u64 },
    #[error("cannot start the runtime: {0}")]
    Runtime(io::Error),
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// Everything in flight was finished.
    Drained,
    /// A second signal, or the drain's deadline: what was in flight is left to recovery.
    AtOnce { in_flight: usize },
}

/// What every connection's task shares; lives on the runtime's thread.
pub(super) struct Shared {
    pub(super) driver: RefCell<Driver>,
    /// A turn is wanted.
    pub(super) work: Arc<Notify>,
    sessions: RefCell<HashMap<SessionId, Rc<Connection>>>,
    lines: RefCell<HashMap<LineId, Rc<Connection>>>,
    started: Instant,
    fetch: std::sync::mpsc::SyncSender<Seq>,
    hsm: Option<HsmDesk>,
    sender: RefCell<Option<Sender>>,
    stopping: Notify,
}

impl Shared {
    pub(super) fn now(&self) -> Now {
        now_since(self.started)
    }

    /// A connection's task is over.
    pub(super) fn ended(&self, connection: &Connection) {
        let now = self.now();
        match connection.end {
            End::Session(id) => {
                self.sessions.borrow_mut().remove(&id);
                self.driver.borrow_mut().session_closed(id);
            }
            End::Line(id, attempt) => {
                // A line that the driver already let go may be connecting again.
                let own = self
                    .lines
                    .borrow()
                    .get(&id)
                    .is_some_and(|held| std::ptr::eq(Rc::as_ptr(held), connection));
                if own {
                    self.lines.borrow_mut().remove(&id);
                    self.driver.borrow_mut().line_lost(id, attempt, now, now.mono_us);
                }
            }
        }
        self.work.notify_one();
    }
}

/// The clock of the machine, in milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)
}

fn now_since(started: Instant) -> Now {
    Now {
        // Never 0: a deadline of 0 would lie in the past.
        mono_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX).saturating_add(1),
        wall_ms: wall_ms(),
    }
}

/// Runs the switch until it is told to stop. Blocks the calling thread.
///
/// # Errors
/// `ServeError`: before any listener opened, or because the journal failed.
pub fn serve(
    config: &Config,
    keystore: Arc<Keystore>,
    hsm: Option<Arc<dyn Backend>>,
    clock: ClockJudge,
) -> Result<Stop, ServeError> {
    let production = config.environment == Environment::Production;
    let data = DataDir::lock(&config.data_dir, if production { Guard::Refuse } else { Guard::Warn })?;
    let config = &within_open_files(config, raise_open_files());
    let (commands, inbox) = mpsc::channel(64);
    let ready = admin::Readiness::default();
    let admin = admin::start(config, &data, admin::Handle::new(commands), ready.clone())
        .map_err(ServeError::Admin)?;
    // A port in use ends the start here: once the journal is started, it has a segment more.
    let ports = bind_all(config)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::Runtime)?;
    let work = Arc::new(Notify::new());
    // One origin of monotonic time: what recovery scheduled must mean the same afterwards.
    let started = Instant::now();
    let (driver, reader) = open(config, keystore, clock, &data, started, work.clone())?;
    let (fetch, fetched) = start_reader(reader, work.clone());
    let waiting_max = config.hsm.as_ref().map_or(1, |hsm| hsm.waiting_max);
    let hsm = hsm.map(|backend| HsmDesk::start(&backend, waiting_max, &work));
    let shared = Rc::new(Shared {
        driver: RefCell::new(driver),
        sender: RefCell::new(Sender::start(work.clone()).map_err(ServeError::Runtime)?),
        work,
        sessions: RefCell::default(),
        lines: RefCell::default(),
        started,
        fetch,
        hsm,
        stopping: Notify::new(),
    });
    let office = Office { admin, inbox, ready };
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(run(config, shared, fetched, office, ports, &data)))
}

/// Descriptors for everything that is no session: lines, segments, the admin port, the control socket.
const OPEN_FILES_KEPT: usize = 256;

/// Terminals never take the last descriptors: fewer sessions are allowed when the system gives too few files.
fn within_open_files(config: &Config, limit: u64) -> Config {
    let mut config = config.clone();
    let room = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(OPEN_FILES_KEPT).max(1);
    if config.rim.sessions_max > room {
        tracing::info!(
            sessions_max = config.rim.sessions_max,
            open_files = limit,
            sessions = room,
            "the limit of open files (ulimit -Hn) allows fewer sessions than sessions_max"
        );
        config.rim.sessions_max = room;
    }
    config
}

/// Sessions, lines and segments each take a descriptor: asks for as many as the system allows this user, and gives
/// the limit that is then in force.
pub fn raise_open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Refused, the old limit stays; what it is good for is for the caller to judge.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Replays, recovers and makes the recovery durable: P4 and P5 hold before anyone can connect.
fn open(
    config: &Config,
    keystore: Arc<Keystore>,
    clock: ClockJudge,
    data: &DataDir,
    began: Instant,
    work: Arc<Notify>,
) -> Result<(Driver, Reader), ServeError> {
    let folder = data.journal();
    let disk = FileDisk::create_in(&folder)
        .map_err(|source| ServeError::Folder { folder: folder.display().to_string(), source })?;
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let replayed = Replayed::read(disk, keystore)?;
    let now = now_since(began);
    if let Some(torn) = &replayed.opened.scan.torn {
        tracing::warn!(
            file = torn.file,
            offset = torn.offset,
            "the journal's tail was torn and is cut; nothing in it was acknowledged"
        );
    }
    clock::judge(replayed.opened.durable.wall_ms, now.wall_ms, clock)?;
    let wake = Commits::Threaded(Box::new(move || work.notify_one()));
    let Started { driver, scan, in_doubt, obligations } = replayed.start(config, now, wake)?;
    let reader = driver.journal().reader();
    while !driver.journal().is_durable() {
        if let Some(why) = driver.journal().failure() {
            return Err(ServeError::Failed(why));
        }
        std::thread::yield_now();
    }
    tracing::info!(
        entries = scan.records,
        segments = scan.segments.len(),
        in_doubt,
        obligations,
        took_ms = began.elapsed().as_millis() as u64,
        "journal replayed"
    );
    Ok((driver, reader))
}

/// What operators reach, open since before the journal was touched.
struct Office {
    admin: admin::Admin,
    inbox: mpsc::Receiver<admin::Command>,
    ready: admin::Readiness,
}

async fn run(
    config: &Config,
    shared: Rc<Shared>,
    fetched: Fetched,
    office: Office,
    ports: Bound,
    data: &DataDir,
) -> Result<Stop, ServeError> {
    let Office { admin, inbox, ready } = office;
    let signals = Signals::new().map_err(ServeError::Runtime)?;
    let addresses = ports.open(config, &shared)?;
    data.write_addresses(&addresses, admin.address());
    ready.set_ready();
    let mut life =
        Life { shared, inbox, fetched, signals, ready, desk: admin::Desk::default(), deadline: None };
    life.live(config.drain).await
}

/// A running switch: what its main loop listens to.
struct Life {
    shared: Rc<Shared>,
    inbox: mpsc::Receiver<admin::Command>,
    fetched: Fetched,
    signals: Signals,
    ready: admin::Readiness,
    desk: admin::Desk,
    /// Set by the first signal: when the drain must be over.
    deadline: Option<Instant>,
}

impl Life {
    async fn live(&mut self, drain: Duration) -> Result<Stop, ServeError> {
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut outputs = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = self.shared.work.notified() => {}
                Some(command) = self.inbox.recv() => self.desk.take(command, &mut self.shared.driver.borrow_mut()),
                () = self.signals.next() => {
                    if self.deadline.is_some() {
                        return Ok(self.stop_at_once());
                    }
                    self.begin_drain(drain);
                }
                _ = tick.tick() => {}
            }
            for (seq, entry) in self.fetched.try_iter() {
                self.shared.driver.borrow_mut().fetched(seq, entry);
            }
            for (ticket, pin) in self.shared.hsm.iter().flat_map(HsmDesk::take) {
                let now = self.shared.now();
                self.shared.driver.borrow_mut().pin_translated(ticket, pin, now);
            }
            turn(&self.shared, &mut outputs, &mut self.desk);
            if let Some(why) = self.shared.driver.borrow().journal().failure() {
                self.ready.set_failed(&why);
                return Err(ServeError::Failed(why));
            }
            if let Some(stop) = self.drained() {
                return Ok(stop);
            }
        }
    }

    fn begin_drain(&mut self, drain: Duration) {
        tracing::info!(
            limit_s = drain.as_secs(),
            "draining: no new work is taken; a second signal stops at once"
        );
        self.deadline = Some(Instant::now() + drain);
        self.ready.set_draining();
        self.shared.driver.borrow_mut().drain();
        self.shared.stopping.notify_waiters();
    }

    fn drained(&self) -> Option<Stop> {
        let limit = self.deadline?;
        if self.shared.driver.borrow().is_drained() && self.answers_are_out() {
            return Some(Stop::Drained);
        }
        (Instant::now() >= limit).then(|| self.stop_at_once())
    }

    /// The kernel has every answer of every session that still reads.
    fn answers_are_out(&self) -> bool {
        let sessions = self.shared.sessions.borrow();
        sessions.values().all(|connection| connection.closing.get() || connection.has_sent_all(&self.shared))
    }

    fn stop_at_once(&self) -> Stop {
        Stop::AtOnce { in_flight: self.shared.driver.borrow().core.durable.open.len() }
    }
}

/// One turn of the driver, then what it asks for.
fn turn(shared: &Rc<Shared>, outputs: &mut Vec<Output>, desk: &mut admin::Desk) {
    take_loans_back(shared);
    let now = shared.now();
    {
        let mut driver = shared.driver.borrow_mut();
        driver.turn(now);
        driver.take_outputs(outputs);
    }
    lend(shared, outputs);
    for output in outputs.drain(..) {
        match output {
            Output::SessionOut(id) => {
                let held = shared.sessions.borrow().get(&id).cloned();
                flush(shared, held);
            }
            Output::LineOut(id) => {
                let held = shared.lines.borrow().get(&id).cloned();
                flush(shared, held);
            }
            Output::CloseSession(id, why) => {
                tracing::debug!(session = id.slot, ?why, "session closed");
                close(shared.sessions.borrow().get(&id));
            }
            Output::CloseLine(id) => {
                let held = shared.lines.borrow_mut().remove(&id);
                close(held.as_ref());
            }
            Output::Connect(id, attempt, address) => {
                tokio::task::spawn_local(connect(shared.clone(), id, attempt, address));
            }
            Output::Fetch(seq) => {
                // The bound of fetches under way is the core's; the channel holds as many.
                if shared.fetch.try_send(seq).is_err() {
                    shared.driver.borrow_mut().fetched(seq, None);
                }
            }
            Output::TranslatePin(job) => {
                let ticket = job.ticket;
                if shared.hsm.as_ref().is_none_or(|hsm| hsm.leave(*job).is_err()) {
                    let lost = Err(PinLost::NoHsm);
                    shared.driver.borrow_mut().pin_translated(ticket, lost, shared.now());
                }
            }
            Output::Alarm(alarm) => {
                let driver = shared.driver.borrow();
                admin::log_alarm(&alarm, alarm.participant().map_or("", |id| driver.name_of(id)));
            }
            Output::Done { ticket, refused } => desk.done(ticket, refused),
        }
    }
    if shared.driver.borrow().has_work() {
        shared.work.notify_one();
    }
}

/// With many sessions to answer, another thread gives their answers to the kernel.
fn lend(shared: &Shared, outputs: &[Output]) {
    let waiting = || {
        outputs.iter().filter_map(|output| match output {
            Output::SessionOut(id) => Some(*id),
            _ => None,
        })
    };
    if waiting().count() < LEND_FROM {
        return;
    }
    let (mut sender, mut driver) = (shared.sender.borrow_mut(), shared.driver.borrow_mut());
    let Some(sender) = &mut *sender else { return };
    let sessions = shared.sessions.borrow();
    let mut loans = Vec::new();
    for id in waiting() {
        let Some(connection) = sessions.get(&id).filter(|connection| !connection.closing.get()) else {
            continue;
        };
        let mut spare = sender.spare();
        loans.extend(driver.lend_session(id, &mut spare).map(|bytes| Loan::new(id, connection, bytes)));
        sender.keep(spare);
    }
    sender.hand_over(&mut loans);
}

/// What was lent comes back; what was said meanwhile can be sent.
fn take_loans_back(shared: &Rc<Shared>) {
    let mut loans = Vec::new();
    if let Some(sender) = &*shared.sender.borrow() {
        sender.take_back(&mut loans);
    }
    for mut loan in loans {
        let bytes = std::mem::take(&mut loan.bytes);
        let free = shared.driver.borrow_mut().session_given_back(loan.session, bytes, loan.taken);
        if let Some(sender) = &mut *shared.sender.borrow_mut() {
            sender.keep(free);
        }
        let held = shared.sessions.borrow().get(&loan.session).cloned();
        if let Some(connection) = held.as_ref().filter(|_| loan.broken) {
            connection.closing.set(true);
        }
        flush(shared, held);
    }
}

fn flush(shared: &Rc<Shared>, connection: Option<Rc<Connection>>) {
    let Some(connection) = connection else { return };
    connection.flush(shared);
    // Its task must wait for room to write, read on after a pause, or close.
    if connection.closing.get() || connection.paused.get() || !connection.pending_is_empty(shared) {
        connection.changed.notify_one();
    }
}

fn close(connection: Option<&Rc<Connection>>) {
    if let Some(connection) = connection {
        connection.closing.set(true);
        connection.changed.notify_one();
    }
}

pub(super) async fn accept(shared: Rc<Shared>, socket: TcpListener, listener: ListenerNo) {
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = shared.stopping.notified() => return,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, or a connection that was gone before it was taken: let others end first.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let now = shared.now();
        let Some(id) = shared.driver.borrow_mut().session_opened(listener, now) else { continue };
        if stream.set_nodelay(true).is_err() {
            shared.driver.borrow_mut().session_closed(id);
            continue;
        }
        let connection = Connection::new(stream, End::Session(id));
        shared.sessions.borrow_mut().insert(id, connection.clone());
        tokio::task::spawn_local(connection.drive(shared.clone()));
    }
}

async fn connect(shared: Rc<Shared>, id: LineId, attempt: u32, address: SocketAddr) {
    let limit = shared.driver.borrow().rim().lines[id.0 as usize].link.connect_timeout;
    // The line's own timer has given up by then; the kernel would try for minutes and keep a descriptor for it.
    let Ok(stream) = tokio::time::timeout(limit, TcpStream::connect(address)).await else { return };
    let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
    let now = shared.now();
    match stream {
        Ok(stream) => {
            // The line may have given up on this attempt meanwhile.
            if shared.driver.borrow_mut().line_connected(id, attempt, now) {
                let connection = Connection::new(stream, End::Line(id, attempt));
                shared.lines.borrow_mut().insert(id, connection.clone());
                tokio::task::spawn_local(connection.drive(shared.clone()));
            }
        }
        Err(error) => {
            tracing::debug!(%address, %error, "cannot connect");
            shared.driver.borrow_mut().line_lost(id, attempt, now, now.mono_us);
        }
    }
    shared.work.notify_one();
}

type Fetched = std::sync::mpsc::Receiver<(Seq, Option<Entry>)>;

/// Cold reads happen on a thread of their own, so that a slow disk holds up nobody else.
fn start_reader(reader: Reader, work: Arc<Notify>) -> (std::sync::mpsc::SyncSender<Seq>, Fetched) {
    let (ask, asked) = std::sync::mpsc::sync_channel::<Seq>(4096);
    let (answer, answers) = std::sync::mpsc::sync_channel(4096);
    std::thread::spawn(move || {
        for seq in asked {
            if answer.send((seq, reader.entry(seq))).is_err() {
                return;
            }
            work.notify_one();
        }
    });
    (ask, answers)
}
