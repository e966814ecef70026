//! What lives only while the process lives: who waits for which answer, which lines carry requests,
//! which deadlines run on the monotonic clock. Outside P8; after a restart it is rebuilt from the
//! durable state and by living again.
//!
//! Every table has its bound (P9): what is live, in flight or waits behind an obligation is a leg of a transaction in
//! flight (`open_max`; then 96), who waits for one is a copy (`copies_max`; then no answer), what is queued to go out
//! is an obligation (`obligations_max`), and a deadline is a request whose key is still in the window (`dedupe_max`).

use super::entry::Few;
use super::facts::Facts;
use super::ids::{
    BusinessDate, CardToken, Currency, LegRef, ListenerNo, Money, MsgHandle, ObligationId, ParticipantId,
    Peer, Seq, TxId,
};
use super::saf::SafQueue;
use super::table::{AnswerKey, Table};
use std::collections::{BTreeMap, VecDeque};
use yika_codec::Kind;

#[derive(Default)]
pub(crate) struct Volatile {
    /// How many lines of a participant carry requests now.
    pub lines: BTreeMap<ParticipantId, u16>,
    /// Legs sent and not answered.
    pub inflight: BTreeMap<ParticipantId, usize>,
    pub awaiting: Table<AnswerKey, Awaiting>,
    pub live: Table<TxId, Live>,
    /// Per participant, in order: each leg's deadline. Time-outs are one per participant, so the queue is sorted.
    pub deadlines: BTreeMap<ParticipantId, VecDeque<(u64, LegRef)>>,
    pub saf: BTreeMap<ParticipantId, SafQueue>,
    /// Legs that wait for the last open obligation of the transaction they build on (rule 8): no more keys than
    /// obligations are open, and under each the one leg in flight, besides those that ended since it was queued.
    pub behind: BTreeMap<TxId, Vec<LegRef>>,
    /// Reversals that wait until their original is written or not (rule 8): each an open obligation.
    pub unwritten: BTreeMap<LegRef, ObligationId>,
    /// At most `fetches_max` cold reads, with `copies_max` copies each; more get no answer and come again.
    pub fetching: Table<Seq, Vec<Copy>>,
    /// At most `late_max` unanswered legs; one is let go whose reversal was acknowledged, else the oldest: its reversal
    /// stays, its answer is unmatched.
    pub late_order: VecDeque<(u64, AnswerKey)>,
    /// Transactions in flight in currencies that no listener names: no more keys than `open_max`, and than
    /// `currencies_max`.
    pub strange: BTreeMap<Currency, usize>,
    pub room: Room,
}

/// What the journal has room for (rule 2): new transactions stop first, then the reversals that terminals send and the
/// sending of what is owed; outcomes and obligations of what is in flight always fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Room {
    #[default]
    All,
    /// As `Reversals`, because the switch stops.
    Draining,
    Reversals,
    Outcomes,
}

/// A transaction in flight: who waits for its answer.
pub(crate) struct Live {
    pub listener: ListenerNo,
    pub waiters: Few<Waiter>,
    pub deadline_us: u64,
    /// A PIN rules stand-in out (rule 10).
    pub has_pin: bool,
    /// Bit per leg: its bytes reached the kernel.
    pub written: u8,
    /// Bit per leg: its send was emitted.
    pub emitted: u8,
}

/// One received copy of a request; each gets one answer on its own session (rule 20).
#[derive(Clone, std::marker::Copy, PartialEq, Eq, Debug)]
pub(crate) struct Waiter {
    pub peer: Peer,
    pub msg: MsgHandle,
}

/// A copy of an ended transaction that waits for the cold read of its outcome.
pub(crate) struct Copy {
    pub waiter: Waiter,
    pub facts: Box<Facts>,
}

/// What an answer with this key would be an answer to.
pub(crate) enum Awaiting {
    Leg(LegRef),
    Obligation(ObligationId),
    Late(Box<LateWatch>),
}

/// A leg whose transaction ended without its answer.
pub(crate) struct LateWatch {
    pub leg: LegRef,
    pub participant: ParticipantId,
    pub ended_us: u64,
    pub kind: Kind,
    pub date: BusinessDate,
    /// F4 as sent.
    pub money: Money,
    pub terminal: [u8; 8],
    pub rrn: [u8; 12],
    pub card: Option<CardToken>,
    pub owed: Option<ObligationId>,
}
