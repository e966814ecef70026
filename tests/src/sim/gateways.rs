//! The gateways of a world: they hand taps over, alone and in batches, and payments, over a road that breaks. Each keeps
//! what no verdict has settled, sends it again after every break, and writes down what it was told (`docs/wire.md`).

mod ledger;

pub(super) use ledger::Ledger;

use super::run::Violation;
use super::setting::BEGINNING_MS;
use super::traffic::after;
use super::world::{Event, Pipe, World};
use crate::gateway::{self, Gateway, Said};
use crate::purchase;
use crate::setup::ACQUIRER;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, VecDeque};
use yika_codec::gate::{
    BatchPart, Heartbeat, HeartbeatAnswer, Message, RawRecord, Records, Tap, Transaction, next,
};
use yika_keystore::GateKey;
use yika_switch::core::ids::{ListenerNo, SessionId};

/// The listener of gateways: behind those of the two crews.
pub(super) const LISTENER: u16 = 2;
const NAMES: [&str; 2] = ["depot-1", "depot-2"];
/// Records of a part, at most.
const PART_MAX: usize = 24;
/// Batches that a gateway has under way.
const BATCHES_MAX: usize = 4;
/// Something is begun, or sent again, after so long at most.
const WAIT_US: u64 = 250_000;

pub(super) struct Depot {
    key: GateKey,
    random: StdRng,
    peer: Gateway,
    /// The hello was answered.
    is_up: bool,
    pub(super) session: Option<SessionId>,
    pub(super) pipe: Pipe,
    pub(super) unread: VecDeque<Vec<u8>>,
    /// What came and is no whole hello answer yet.
    inbox: Vec<u8>,
    credits: u64,
    spent: u64,
    /// What each question under way is about.
    asked: BTreeMap<u32, About>,
    pub(super) ledger: Ledger,
}

#[derive(Clone, Copy)]
enum About {
    /// A row of the ledger.
    Tap(usize),
    /// A batch of it.
    Open(usize),
    /// A batch, and the first record of the part.
    Part(usize, usize),
    Payment(usize),
    /// A payment that another record has the reference of.
    Clash,
    Beat,
}

impl Depot {
    /// `window_ms`: how long the switch knows a payment.
    pub(super) fn all(seed: u64, window_ms: u64, key: impl Fn() -> GateKey) -> Vec<Depot> {
        // Its clock may jump ahead, and it is careful about those of terminals.
        let forgotten_ms = (window_ms * 3 / 4).saturating_sub(25_000);
        let mut random = StdRng::seed_from_u64(seed ^ 0x6465_706f_7473);
        let count = random.random_range(0..=NAMES.len());
        let depot = |(at, name): (usize, &&'static str)| Depot {
            key: key(),
            random: StdRng::seed_from_u64(seed ^ 0x6465_706f ^ (at as u64) << 40),
            peer: Gateway::new([at as u8; 16]),
            is_up: false,
            session: None,
            pipe: Pipe::default(),
            unread: VecDeque::new(),
            inbox: Vec::new(),
            credits: 0,
            spent: 0,
            asked: BTreeMap::new(),
            ledger: Ledger::new(at as u8, name, forgotten_ms),
        };
        NAMES[..count].iter().enumerate().map(depot).collect()
    }

    /// Nothing is left to be sent or heard.
    pub(super) fn is_at_rest(&self) -> bool {
        self.ledger.is_settled()
    }

    fn lose(&mut self) {
        (self.is_up, self.credits, self.spent) = (false, 0, 0);
        self.asked.clear();
        self.inbox.clear();
        self.unread.clear();
        self.pipe.epoch += 1;
        self.ledger.lose();
    }

    fn says(&mut self, out: &mut Vec<u8>, about: About, message: &Message<'_>) {
        let (bytes, correlation) = self.peer.says(message);
        out.extend_from_slice(&bytes);
        self.asked.insert(correlation, about);
    }

    /// Something new.
    fn begins(&mut self, wall_ms: u64) {
        match self.random.random_range(0..100) {
            0..50 => self.ledger.tap(wall_ms),
            50..65 if self.ledger.batches_open() < BATCHES_MAX => {
                let count = self.random.random_range(1..60);
                self.ledger.batch(count, wall_ms);
            }
            65..80 => self.ledger.again(self.random.random_range(0..10_000)),
            80..85 => self.ledger.conflict(self.random.random_range(0..10_000), wall_ms),
            85..95 => self.ledger.payment(wall_ms),
            _ => {}
        }
    }

    /// All that is not settled and not under way, as far as the credits go. `clashes`: now and then another payment under
    /// a reference that is taken, too.
    fn speaks(&mut self, wall_ms: u64, clashes: bool) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.is_up {
            return out;
        }
        for at in self.ledger.unsettled() {
            if self.spend(1) {
                let bytes = self.ledger.ask(at);
                let record = RawRecord::new(&bytes).expect("a record of the ledger");
                self.says(&mut out, About::Tap(at), &Message::Tap(Tap { record }));
            }
        }
        for at in self.ledger.unsettled_payments() {
            if self.spend(1) {
                self.ledger.payments[at].asked = true;
                self.asks_payment(at, About::Payment(at), &mut out);
            }
            let taken = self.ledger.payments[at].answer.is_some();
            if clashes && taken && self.spend(1) {
                self.asks_payment(at, About::Clash, &mut out);
            }
        }
        (0..self.ledger.batches.len()).for_each(|at| self.speaks_of_batch(at, &mut out));
        if self.random.random_bool(0.2) {
            self.says(&mut out, About::Beat, &Message::Heartbeat(Heartbeat { time_ms: wall_ms }));
        }
        out
    }

    /// Takes so many records from the credits, if they are there.
    fn spend(&mut self, records: u64) -> bool {
        let is_there = self.spent + records <= self.credits;
        self.spent += if is_there { records } else { 0 };
        is_there
    }

    fn asks_payment(&mut self, at: usize, about: About, out: &mut Vec<u8>) {
        let payment = &self.ledger.payments[at];
        // What clashes would be paid, and its bank would tell.
        let other = u32::from(matches!(about, About::Clash));
        let wire = purchase(u64::from(other)).with(11, format!("{:06}", payment.stan + other));
        let bytes = gateway::payment(&payment.reference, &wire, payment.made_ms);
        let record = RawRecord::new(&bytes).expect("a payment record");
        self.says(out, about, &Message::Transaction(Transaction { wait_ms: 1_000, record }));
    }

    fn speaks_of_batch(&mut self, at: usize, out: &mut Vec<u8>) {
        let batch = &mut self.ledger.batches[at];
        if batch.is_settled() || batch.asked {
            return;
        }
        let Some(reach) = batch.reach else {
            batch.asked = true;
            let open = batch.open();
            return self.says(out, About::Open(at), &Message::BatchOpen(open));
        };
        let Some(next) = batch.next(reach) else { return };
        let len = batch.records.len();
        // Sometimes it repeats what came.
        let from = if self.random.random_bool(0.2) { next / 2 } else { next };
        let count = self.random.random_range(1..=PART_MAX).min(len - from);
        if !self.spend(count as u64) {
            return;
        }
        let batch = &mut self.ledger.batches[at];
        batch.asked = true;
        let bytes = batch.records[from..from + count].concat();
        let records = Records::new(count as u16, &bytes).expect("records of the ledger");
        let part = BatchPart { batch: batch.id, first: from as u32, records };
        self.says(out, About::Part(at, from), &Message::BatchPart(part));
    }

    /// One frame of the switch; what it is answered goes to `out`. True when the switch leaves.
    ///
    /// # Errors
    /// What the page does not allow.
    fn hears(&mut self, said: &Said, wall_ms: u64, out: &mut Vec<u8>) -> Result<bool, String> {
        let message = said.message();
        if let Message::Heartbeat(beat) = message {
            let answer = HeartbeatAnswer { asked_ms: beat.time_ms, time_ms: beat.time_ms };
            out.extend(self.peer.answers(said.correlation, &Message::HeartbeatAnswer(answer)));
            return Ok(false);
        }
        // A batch is closed under the correlation that opened it, which was answered before.
        let about = self.asked.remove(&said.correlation);
        let credits = match (about, message) {
            (Some(About::Beat), Message::HeartbeatAnswer(_)) => 0,
            (None, Message::Credit(told)) => told.credits,
            (None, Message::Goodbye(_)) => return Ok(true),
            (Some(About::Tap(at)), Message::TapVerdict(told)) => {
                self.ledger.verdict(at, told.verdict, told.business_date.number())?;
                told.credits
            }
            (Some(About::Open(at)), Message::BatchState(told)) => {
                self.ledger.batches[at].opened(told.next as usize);
                told.credits
            }
            (Some(About::Part(at, from)), Message::BatchVerdicts(told)) => {
                self.ledger.batches[at].verdicts(from, &told)?;
                told.credits
            }
            (Some(About::Payment(at)), Message::TransactionAnswer(told)) => {
                self.ledger.paid(at, &told, wall_ms)?;
                told.credits
            }
            (None, Message::BatchClosed(told)) if told.differs == 0 => {
                let closed = self.ledger.batches.iter_mut().find(|batch| batch.id == told.batch);
                closed.ok_or("a batch is closed that is not its own")?.closed = true;
                0
            }
            (Some(about), Message::Fault(fault)) if fault.fatal == 0 => {
                self.refused(about, fault.code)?;
                0
            }
            (_, other) => return Err(format!("unasked, or not as it should be: {other:?}")),
        };
        self.credits = self.credits.max(credits);
        Ok(false)
    }

    /// What is refused is sent again later, unless it never can be.
    fn refused(&mut self, about: About, code: u16) -> Result<(), String> {
        let ledger = &mut self.ledger;
        match (about, code) {
            (About::Clash, 64) => {}
            (About::Tap(at), 32 | 33) => ledger.rows[at].asked = false,
            (About::Open(at), 32 | 33 | 52) => ledger.batches[at].asked = false,
            (About::Part(at, _), 32 | 33) => ledger.batches[at].asked = false,
            (About::Part(at, _), 48 | 50) => {
                (ledger.batches[at].asked, ledger.batches[at].reach) = (false, None);
            }
            _ => return Err(format!("error {code}")),
        }
        Ok(())
    }
}

impl World {
    pub(super) fn depot_dials(&mut self, at: usize) {
        if self.depots[at].session.is_some() {
            return;
        }
        let opened =
            self.switch.as_mut().and_then(|driver| driver.session_opened(ListenerNo(LISTENER), self.now));
        let Some(session) = opened else { return self.schedule(150_000, Event::DepotDials(at)) };
        let depot = &mut self.depots[at];
        depot.lose();
        depot.session = Some(session);
        depot.peer = Gateway::new([at as u8 + 1; 16]);
        let bytes = depot.peer.greets(depot.peer.hello(&depot.key, ACQUIRER, depot.ledger.name));
        self.depot_sends(at, bytes);
    }

    /// Its turn: it begins something, says what waits, and loses its connection now and then.
    pub(super) fn depot_acts(&mut self, at: usize) {
        let (wall_ms, begins) = (BEGINNING_MS + self.now.mono_us / 1000, self.accepting);
        let depot = &mut self.depots[at];
        if begins {
            depot.begins(wall_ms);
        }
        let clashes = begins && depot.random.random_bool(0.5);
        let breaks = begins && depot.random.random_bool(0.04);
        let wait_us = depot.random.random_range(1..WAIT_US);
        let bytes = depot.speaks(wall_ms, clashes);
        self.depot_sends(at, bytes);
        if breaks {
            self.depot_hangs_up(at);
        }
        self.schedule(wait_us, Event::DepotActs(at));
    }

    fn depot_sends(&mut self, at: usize, bytes: Vec<u8>) {
        self.depot_carries(at, bytes, |pipe| &mut pipe.to_switch_us, Event::FromDepot);
    }

    /// Bytes go on their way in pieces, each behind the one before.
    fn depot_carries(
        &mut self,
        at: usize,
        bytes: Vec<u8>,
        last_us: fn(&mut Pipe) -> &mut u64,
        arrives: fn(usize, u32, Vec<u8>) -> Event,
    ) {
        for piece in self.depots[at].pieces(bytes) {
            let (latency_us, depot) = (self.setting.latency_us.clone(), &mut self.depots[at]);
            let when_us = self.now.mono_us + depot.random.random_range(latency_us);
            let when_us = after(last_us(&mut depot.pipe), when_us);
            let epoch = depot.pipe.epoch;
            self.schedule_at(when_us, arrives(at, epoch, piece));
        }
    }

    pub(super) fn read_depot(&mut self, at: usize) {
        let Some(driver) = &mut self.switch else { return };
        let depot = &mut self.depots[at];
        let Some(id) = depot.session else { return };
        while driver.session_wants_read(id) {
            let Some(bytes) = depot.unread.pop_front() else { break };
            driver.session_bytes(id, &bytes, self.now);
        }
    }

    pub(super) fn flush_depot(&mut self, at: usize) {
        let (Some(driver), Some(id)) = (&mut self.switch, self.depots[at].session) else { return };
        let bytes = driver.session_pending(id).to_vec();
        driver.session_wrote(id, bytes.len());
        self.depot_carries(at, bytes, |pipe| &mut pipe.from_switch_us, Event::ToDepot);
    }

    /// The switch closes the connection: what it said before still arrives.
    pub(super) fn depot_is_closed(&mut self, at: usize) {
        self.flush_depot(at);
        let (epoch, last_us) = (self.depots[at].pipe.epoch, self.depots[at].pipe.from_switch_us);
        self.schedule_at(last_us.max(self.now.mono_us) + 1, Event::DepotLost(at, epoch));
    }

    pub(super) fn depot_hangs_up(&mut self, at: usize) {
        let Some(id) = self.depots[at].session.take() else { return };
        self.depots[at].lose();
        if let Some(driver) = &mut self.switch {
            driver.session_closed(id);
        }
        self.note(|| format!("gateway {at} has lost its connection"));
        self.schedule(60_000, Event::DepotDials(at));
    }

    /// Bytes of the switch reach a gateway.
    ///
    /// # Errors
    /// They are not what the page allows.
    pub(super) fn depot_hears(&mut self, at: usize, bytes: &[u8]) -> Result<(), Violation> {
        let wall_ms = BEGINNING_MS + self.now.mono_us / 1000;
        let depot = &mut self.depots[at];
        let (mut out, mut leaves) = (Vec::new(), false);
        for said in depot.frames(bytes) {
            let heard = depot.hears(&said, wall_ms, &mut out);
            leaves |= heard.map_err(|what| Violation::new(format!("{}: {what}", depot.ledger.name)))?;
        }
        self.depot_sends(at, out);
        if leaves {
            self.depot_hangs_up(at);
        }
        Ok(())
    }

    /// Writes down what gateways were told to be stored.
    pub(super) fn note_stored(&mut self) {
        let told = self.depots.iter().flat_map(|depot| depot.ledger.told_stored());
        self.seen.stored.extend(told.map(<[u8]>::to_vec));
    }

    /// The gateway on this connection.
    pub(super) fn depot_of(&self, id: SessionId) -> Option<usize> {
        self.depots.iter().position(|depot| depot.session == Some(id))
    }
}

impl Depot {
    /// The whole frames that came, behind the hello's answer.
    fn frames(&mut self, bytes: &[u8]) -> Vec<Said> {
        if self.is_up {
            return self.peer.hears(bytes);
        }
        self.inbox.extend_from_slice(bytes);
        if !matches!(next(&self.inbox, 4096), Ok(Some(_))) {
            return Vec::new();
        }
        match self.peer.agrees(&self.key, &std::mem::take(&mut self.inbox)) {
            Ok(answer) => {
                (self.is_up, self.credits) = (true, answer.credits);
                self.peer.hears(&[])
            }
            // Somebody unknown says something: it is heard, and nothing done.
            Err(said) => vec![said],
        }
    }

    /// Bytes travel in one to three pieces.
    fn pieces(&mut self, mut bytes: Vec<u8>) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let whole = self.random.random_bool(0.8);
            let cut = if whole { bytes.len() } else { self.random.random_range(1..=bytes.len()) };
            let rest = bytes.split_off(cut);
            pieces.push(std::mem::replace(&mut bytes, rest));
        }
        pieces
    }
}
