//! The terminals of a run: what each does next, what it waits for, and what it believes in the end.
//!
//! Pure: bytes and the time go in, bytes for each connection come out; no socket, no clock. A terminal has one
//! operation under way; it ends answered, or reversed and acknowledged, never forgotten. No allocation per message.

mod answers;
mod metrics;
mod timers;

use crate::compose::{Composer, Copy, Operation};
use crate::ledger::{CardBook, Entry, Ledger, Side, State};
use crate::mix::{Act, Mix};
use crate::script::Share;
use crate::text::Text;
pub(crate) use metrics::{Metrics, histogram};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::VecDeque;
use std::time::Duration;
use timers::Timers;
use yika_codec::{Framing, Kind, Layout};

/// What a terminal does when no answer comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// How long it waits for an answer.
    pub answer_timeout: Duration,
    /// How often it repeats before it reverses. Advices and refunds are repeated until they are answered.
    pub repeats: u32,
    /// Pause before a refused reversal or advice is sent again.
    pub retry_pause: Duration,
}

impl Default for Policy {
    fn default() -> Policy {
        let (answer_timeout, retry_pause) = (Duration::from_secs(5), Duration::from_secs(1));
        Policy { answer_timeout, repeats: 2, retry_pause }
    }
}

/// What the machine needs to know of a run.
pub(crate) struct Plan {
    pub(crate) composer: Composer,
    pub(crate) mix: Mix,
    pub(crate) policy: Policy,
    pub(crate) connections: u32,
    pub(crate) terminals: u32,
    /// A terminal that is done begins anew at once.
    pub(crate) closed: bool,
    /// Each connection signs on before anything else is sent on it.
    pub(crate) sign_on: bool,
    pub(crate) amount_min: u64,
    pub(crate) amount_max: u64,
    pub(crate) pin_share: Share,
    pub(crate) seed: u64,
    /// Operations due before this are not measured.
    pub(crate) warm_up_ns: u64,
    /// No operation begins at or after this.
    pub(crate) end_ns: u64,
}

pub(crate) struct Terminals {
    plan: Plan,
    random: StdRng,
    operations: Vec<Operation>,
    terminals: Vec<Terminal>,
    idle: VecDeque<u32>,
    lines: Vec<Line>,
    dirty: Vec<u32>,
    timers: Timers,
    layout: Layout,
    accepting: bool,
    under_way: u32,
    numbers: u64,
    /// Wall time of the current batch.
    wall_s: u32,
    pub(crate) metrics: Metrics,
}

/// One connection as the terminals see it.
struct Line {
    up: bool,
    dirty: bool,
    outbox: Vec<u8>,
}

struct Terminal {
    phase: Phase,
    operation: u32,
    /// Copies sent in this phase.
    sent: u32,
    /// Answers to the operation under way that told of one copy alone.
    refused: u32,
    /// The newest timer of this terminal; others have no say.
    timer: u32,
    last_stan: u32,
    reversal_stan: u32,
    reversal_made_s: u32,
    reversal_reason: [u8; 2],
    due_ns: u64,
    sent_ns: u64,
    /// The last purchase that still stands, the last pre-authorization, and the last completion of one.
    sale: u32,
    hold: u32,
    completion: u32,
}

/// ```text
/// Idle -> Waiting -- answer (refusal: of each copy) -----> Idle
///            |  `-- no answer: repeat (advice: for ever)
///            `----- no answer to the repeats -> Reversing -- acknowledged --> Idle
///                                                   `------- else: again
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Idle,
    Waiting,
    Reversing,
}

const NONE: u32 = u32::MAX;

/// Idle terminals that are looked at for one that has what an act builds on.
const RECENT_MAX: usize = 64;

/// Trace numbers have six digits; 0 is not used.
const STAN_MAX: u32 = 999_999;

/// Reasons of a reversal in F39: no answer, and the customer's wish (domain table of terminals).
const NO_ANSWER: [u8; 2] = *b"98";
const CUSTOMER: [u8; 2] = *b"06";

impl Terminals {
    pub(crate) fn new(plan: Plan) -> Terminals {
        let line = || Line { up: false, dirty: false, outbox: Vec::new() };
        let terminal = || Terminal {
            phase: Phase::Idle,
            operation: NONE,
            sent: 0,
            refused: 0,
            timer: 0,
            last_stan: 0,
            reversal_stan: 0,
            reversal_made_s: 0,
            reversal_reason: NO_ANSWER,
            due_ns: 0,
            sent_ns: 0,
            sale: NONE,
            hold: NONE,
            completion: NONE,
        };
        Terminals {
            random: StdRng::seed_from_u64(plan.seed),
            operations: Vec::with_capacity(1 << 16),
            terminals: (0..plan.terminals).map(|_| terminal()).collect(),
            idle: if plan.closed { VecDeque::new() } else { (0..plan.terminals).collect() },
            lines: (0..plan.connections).map(|_| line()).collect(),
            dirty: Vec::new(),
            timers: Timers::new(plan.policy),
            layout: Layout::default(),
            accepting: true,
            under_way: 0,
            numbers: 0,
            wall_s: 0,
            metrics: Metrics::new(),
            plan,
        }
    }

    /// Tells the wall time, once per batch.
    pub(crate) fn set_wall(&mut self, wall_s: u32) {
        self.wall_s = wall_s;
    }

    /// How frames are cut.
    pub(crate) fn framing(&self) -> Framing {
        self.plan.composer.wire.framing
    }

    /// Operations that have not ended.
    pub(crate) fn under_way(&self) -> u32 {
        self.under_way
    }

    /// Connections that are up.
    pub(crate) fn lines_up(&self) -> u32 {
        self.lines.iter().map(|line| u32::from(line.up)).sum()
    }

    /// From now on nothing new begins; what is under way goes on.
    pub(crate) fn stop_new(&mut self) {
        self.accepting = false;
    }

    /// An operation is due: an idle terminal begins it. False if none is idle.
    pub(crate) fn handle_due(&mut self, due_ns: u64, now_ns: u64) -> bool {
        if !self.accepting {
            return true;
        }
        let act = self.draw();
        let Some(terminal) = self.idle_for(act) else {
            self.metrics.skipped += 1;
            return false;
        };
        self.begin(terminal, act, due_ns, now_ns);
        true
    }

    /// A connection is made: it signs on first, if the plan says so.
    pub(crate) fn handle_connected(&mut self, line: u32, now_ns: u64) {
        let Some(state) = self.lines.get_mut(line as usize) else { return };
        state.outbox.clear();
        if !self.plan.sign_on {
            return self.open_line(line, now_ns);
        }
        if self.plan.composer.write_sign_on(line, self.wall_s, &mut state.outbox).is_err() {
            self.metrics.unwritable += 1;
        }
        self.mark_dirty(line);
    }

    /// A connection may be used: what is unanswered on it goes out at once, and idle terminals of a closed window
    /// begin.
    fn open_line(&mut self, line: u32, now_ns: u64) {
        self.lines[line as usize].up = true;
        let own: Vec<u32> = (line..self.plan.terminals).step_by(self.plan.connections as usize).collect();
        for terminal in own {
            match self.terminals[terminal as usize].phase {
                Phase::Idle if self.plan.closed => self.begin_if_open(terminal, now_ns),
                Phase::Idle => {}
                Phase::Waiting | Phase::Reversing => self.transmit(terminal, now_ns),
            }
        }
    }

    fn mark_dirty(&mut self, line: u32) {
        let state = &mut self.lines[line as usize];
        if !state.dirty {
            state.dirty = true;
            self.dirty.push(line);
        }
    }

    /// A connection is gone: what was queued on it is lost, what was sent may be.
    pub(crate) fn handle_disconnected(&mut self, line: u32) {
        if let Some(state) = self.lines.get_mut(line as usize) {
            state.up = false;
            state.outbox.clear();
        }
    }

    /// Repeats, reverses or gives up what has waited too long.
    pub(crate) fn handle_time(&mut self, now_ns: u64) {
        while let Some((terminal, timer)) = self.timers.due(now_ns) {
            if self.terminals[terminal as usize].timer == timer {
                self.handle_silence(terminal, now_ns);
            }
        }
    }

    /// Connections that have bytes to write, each once.
    pub(crate) fn poll_dirty(&mut self) -> Option<u32> {
        let line = self.dirty.pop()?;
        self.lines[line as usize].dirty = false;
        Some(line)
    }

    /// The bytes to be written on a connection.
    pub(crate) fn outbox(&mut self, line: u32) -> &mut Vec<u8> {
        &mut self.lines[line as usize].outbox
    }

    /// What the terminals believe.
    pub(crate) fn ledger(&self, name: &str) -> Ledger {
        let mut cards = CardBook::new();
        let composer = &self.plan.composer;
        let entries = self.operations.iter().map(|operation| Entry {
            terminal: Text(composer.terminal_id(operation.terminal)),
            rrn: Text(composer.reference(operation.number)),
            kind: operation.kind,
            stan: operation.stan,
            at: operation.made_s,
            amount: if operation.state == State::Approved { operation.told } else { operation.amount },
            coupon: operation.coupon_paid,
            currency: 156,
            card: composer
                .cards
                .get(operation.card as usize)
                .map(|card| cards.card(&card.pan))
                .unwrap_or_default(),
            state: operation.state,
            code: Text(operation.code),
        });
        Ledger { side: Side::Terminal, name: name.to_owned(), entries: entries.collect() }
    }

    fn begin_if_open(&mut self, terminal: u32, now_ns: u64) {
        if self.accepting && now_ns < self.plan.end_ns {
            let act = self.draw();
            self.begin(terminal, act, now_ns, now_ns);
        }
    }

    fn draw(&mut self) -> Act {
        let draw = self.random.random();
        self.plan.mix.pick(draw)
    }

    /// An idle terminal for this act: of those that were busy last one that has what it builds on, so that also many
    /// terminals in a short run get so far; else the one that is idle longest.
    fn idle_for(&mut self, act: Act) -> Option<u32> {
        let recent = self.idle.len().saturating_sub(RECENT_MAX)..self.idle.len();
        let mut ready =
            recent.rev().filter(|at| builds_on_earlier(act) && self.possible(self.idle[*at], act) == act);
        match ready.next() {
            Some(at) => self.idle.remove(at),
            None => self.idle.pop_front(),
        }
    }

    fn begin(&mut self, at: u32, act: Act, due_ns: u64, now_ns: u64) {
        self.under_way += 1;
        self.metrics.begun += 1;
        let act = self.possible(at, act);
        let terminal = &mut self.terminals[at as usize];
        terminal.due_ns = due_ns;
        (terminal.sent, terminal.refused) = (0, 0);
        if act == Act::Reversal {
            terminal.operation = terminal.sale;
            self.operations[terminal.sale as usize].state = State::Open;
            terminal.sale = NONE;
            self.reverse(at, CUSTOMER, now_ns);
            return;
        }
        terminal.last_stan = terminal.last_stan % STAN_MAX + 1;
        terminal.phase = Phase::Waiting;
        let (stan, earlier) = (terminal.last_stan, earlier(terminal, act));
        let operation = self.operation(at, act, stan, earlier);
        self.terminals[at as usize].operation = u32::try_from(self.operations.len()).unwrap_or(NONE);
        self.operations.push(operation);
        self.transmit(at, now_ns);
    }

    /// The act, or what has to come before it.
    fn possible(&self, at: u32, act: Act) -> Act {
        let terminal = &self.terminals[at as usize];
        let sale = self.operations.get(terminal.sale as usize);
        match act {
            // A void or refund leaves the sale; a purchase replaces it. An advice is voided at once, too.
            Act::Void | Act::Refund | Act::Reversal if sale.is_none() => Act::Purchase,
            Act::Refund if sale.is_some_and(|sale| sale.told < 2) => Act::Purchase,
            Act::CompletionCancel if terminal.completion == NONE => self.possible(at, Act::Completion),
            Act::Completion | Act::PreAuthCancel if terminal.hold == NONE => Act::PreAuth,
            act => act,
        }
    }

    fn operation(&mut self, terminal: u32, act: Act, stan: u32, earlier: u32) -> Operation {
        let before = self.operations.get(earlier as usize).cloned();
        let amount = self.random.random_range(self.plan.amount_min..=self.plan.amount_max);
        let cards = self.plan.composer.cards.len() as u64;
        let card = (self.random.random::<u64>() % cards.max(1)) as u32;
        let with_pin = self.random.random_range(0..10_000) < self.plan.pin_share.parts();
        self.numbers += 1;
        let mut operation = Operation {
            terminal,
            kind: act.kind(),
            state: State::Open,
            with_pin: with_pin && matches!(act, Act::Purchase | Act::Coupon | Act::PreAuth | Act::Balance),
            stan,
            made_s: self.wall_s,
            number: self.numbers,
            amount,
            // A twentieth, at least one fen: small against the amount, so that the bank has its part.
            coupon_asked: if act == Act::Coupon { (amount / 20).max(1) } else { 0 },
            told: 0,
            coupon_paid: 0,
            card,
            approval: [0; 6],
            code: *b"  ",
        };
        if let Some(before) = before {
            operation.number = before.number;
            operation.card = before.card;
            // A payment with a coupon is refunded whole, so that both parts go back.
            let part = act == Act::Refund && before.coupon_paid == 0;
            operation.amount = if part { before.told / 2 } else { before.told };
        }
        if act == Act::Balance {
            operation.amount = 0;
        }
        operation
    }

    /// Writes the next copy of what the terminal has under way, and waits for the answer. On a connection that is
    /// down nothing is written and nothing waits: it goes out when the connection is up again.
    fn transmit(&mut self, at: u32, now_ns: u64) {
        let line = at % self.plan.connections;
        if !self.lines[line as usize].up {
            self.timers.stop(&mut self.terminals[at as usize].timer);
            return;
        }
        let terminal = &mut self.terminals[at as usize];
        let repeat = terminal.sent > 0;
        let copy = match terminal.phase {
            Phase::Reversing => terminal.reversal(),
            _ if repeat => Copy::Repeat,
            _ => Copy::First,
        };
        if repeat {
            self.metrics.repeats += 1;
        } else if terminal.phase == Phase::Waiting {
            terminal.sent_ns = now_ns;
            self.metrics.sent(terminal.due_ns, now_ns, self.plan.warm_up_ns);
        }
        terminal.sent = terminal.sent.saturating_add(1);
        self.timers.wait_for_answer(at, now_ns, &mut terminal.timer);
        let operation = &self.operations[terminal.operation as usize];
        let original = earlier_of(&self.operations, operation, terminal);
        let line_state = &mut self.lines[line as usize];
        if self.plan.composer.write(operation, original, copy, &mut line_state.outbox).is_err() {
            self.metrics.unwritable += 1;
        }
        self.mark_dirty(line);
    }

    fn handle_silence(&mut self, at: u32, now_ns: u64) {
        let terminal = &self.terminals[at as usize];
        let kind = self.operations[terminal.operation as usize].kind;
        match terminal.phase {
            // Nobody could have answered: it goes on when the connection is up again.
            _ if !self.lines[(at % self.plan.connections) as usize].up => {}
            Phase::Idle => {}
            Phase::Reversing => self.transmit(at, now_ns),
            Phase::Waiting if until_answered(kind) => self.transmit(at, now_ns),
            Phase::Waiting if terminal.sent <= self.plan.policy.repeats => self.transmit(at, now_ns),
            Phase::Waiting if kind == Kind::Balance => self.end(at, State::Unanswered, now_ns),
            Phase::Waiting => self.reverse(at, NO_ANSWER, now_ns),
        }
    }

    fn reverse(&mut self, at: u32, reason: [u8; 2], now_ns: u64) {
        self.metrics.reversals += 1;
        let fresh = self.plan.composer.reversal_has_own_stan();
        let terminal = &mut self.terminals[at as usize];
        terminal.phase = Phase::Reversing;
        terminal.sent = 0;
        terminal.reversal_reason = reason;
        terminal.reversal_made_s = self.wall_s;
        if fresh {
            terminal.last_stan = terminal.last_stan % STAN_MAX + 1;
            terminal.reversal_stan = terminal.last_stan;
        } else {
            terminal.reversal_stan = self.operations[terminal.operation as usize].stan;
        }
        self.transmit(at, now_ns);
    }

    /// The operation under way has ended like this; a closed window begins the next.
    fn end(&mut self, at: u32, state: State, now_ns: u64) {
        let terminal = &mut self.terminals[at as usize];
        let operation = &mut self.operations[terminal.operation as usize];
        operation.state = state;
        self.metrics.ended(operation, terminal.due_ns, terminal.sent_ns, now_ns, self.plan.warm_up_ns);
        remember(terminal, operation);
        terminal.phase = Phase::Idle;
        self.timers.stop(&mut terminal.timer);
        self.under_way -= 1;
        if self.plan.closed {
            self.begin_if_open(at, now_ns);
        } else {
            self.idle.push_back(at);
        }
    }
}

impl Terminal {
    /// The next copy of the reversal under way.
    fn reversal(&self) -> Copy {
        Copy::Reversal {
            repeat: self.sent > 0,
            stan: self.reversal_stan,
            made_s: self.reversal_made_s,
            reason: self.reversal_reason,
        }
    }
}

/// Acts that need an earlier payment of the same terminal.
fn builds_on_earlier(act: Act) -> bool {
    matches!(
        act,
        Act::Void
            | Act::Refund
            | Act::Reversal
            | Act::Completion
            | Act::PreAuthCancel
            | Act::CompletionCancel
    )
}

/// Keeps or drops what later operations of the terminal may build on.
fn remember(terminal: &mut Terminal, operation: &Operation) {
    let approved = operation.state == State::Approved;
    match operation.kind {
        Kind::Purchase | Kind::PurchaseAdvice if approved => terminal.sale = terminal.operation,
        Kind::PreAuthorization if approved => terminal.hold = terminal.operation,
        // Whether it stands or not, nothing more is done to that payment: what it builds on may be used up.
        Kind::Void | Kind::Refund => terminal.sale = NONE,
        Kind::Completion => {
            terminal.hold = NONE;
            terminal.completion = if approved { terminal.operation } else { NONE };
        }
        Kind::PreAuthCancel => terminal.hold = NONE,
        Kind::CompletionCancel => terminal.completion = NONE,
        _ => {}
    }
}

fn earlier(terminal: &Terminal, act: Act) -> u32 {
    match act {
        Act::Void | Act::Refund => terminal.sale,
        Act::Completion | Act::PreAuthCancel => terminal.hold,
        Act::CompletionCancel => terminal.completion,
        _ => NONE,
    }
}

/// The payment that the operation under way builds on.
fn earlier_of<'a>(
    operations: &'a [Operation],
    operation: &Operation,
    terminal: &Terminal,
) -> Option<&'a Operation> {
    let at = match operation.kind {
        Kind::Void | Kind::Refund => terminal.sale,
        Kind::Completion | Kind::PreAuthCancel => terminal.hold,
        Kind::CompletionCancel => terminal.completion,
        _ => NONE,
    };
    operations.get(at as usize)
}

/// Tells of something that has happened: repeated until it is acknowledged, never reversed.
fn until_answered(kind: Kind) -> bool {
    matches!(kind, Kind::Refund | Kind::PurchaseAdvice)
}

#[cfg(test)]
mod tests;
