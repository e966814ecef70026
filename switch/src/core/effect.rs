//! What comes into the core and what leaves it. Events carry facts; effects are plans that only
//! the journal may release (see `journal::Released`), once what they rest on is durable.

use super::entry::{Entry, Identity, KeyUse, OwedKind, ServedBy, SignedIn};
use super::facts::Facts;
use super::ids::{
    BusinessDate, CardToken, Currency, LegRef, LineId, Money, MsgHandle, ObligationId, ParticipantId, Peer,
    Seq,
};
use super::reference::Reference;
use super::taps::{Asked, GateEvent, GateSaid};
use super::working_keys::KeyCame;
use yika_codec::{Code, FieldSet, Kind, Mti};
use yika_keystore::Authentic;

/// Something happened outside.
pub enum Event {
    Request(Authentic<Request>),
    Answer(Authentic<Answer>),
    /// All bytes of a send reached the kernel.
    Written(SendOf),
    /// No byte of a send reached the kernel (rule 9).
    NotSent(SendOf, Unsent),
    /// A participant's lines can, or can no longer, carry requests: signed on, keyed, not drained.
    Reachable {
        participant: ParticipantId,
        lines: u16,
    },
    /// A cold read came back; None when the position is no longer held.
    Fetched {
        seq: Seq,
        entry: Option<Box<Entry>>,
    },
    /// A participant sent a working key.
    KeyChange {
        peer: Peer,
        msg: MsgHandle,
        came: KeyCame,
    },
    /// A working key of ours was drawn for a participant, by an operator (`ticket`) or because it was time.
    OfferKey {
        participant: ParticipantId,
        usage: KeyUse,
        /// Under the master key.
        block: String,
        ticket: Option<u64>,
    },
    /// A terminal proved itself by the keys of its last sign-in, for the first time.
    TerminalUses {
        acquirer: ParticipantId,
        terminal: [u8; 8],
    },
    /// A message was served by another key than the one in force.
    ServedBy(ServedBy),
    /// It answered the offer with this code; 00 also when a MAC held under the key that was offered.
    OfferAnswered {
        participant: ParticipantId,
        usage: KeyUse,
        code: Code,
    },
    /// An operator settles an obligation by name.
    Settle {
        id: ObligationId,
        reason: String,
        ticket: u64,
    },
    CutOver {
        ticket: u64,
    },
    /// An operator drains a participant (`on`), or ends that.
    Drain {
        participant: ParticipantId,
        on: bool,
        ticket: u64,
    },
    /// An operator signs a terminal off, or all of them.
    SignOff {
        whom: Option<TerminalName>,
        ticket: u64,
    },
    /// A gateway's question, proven by the MAC of its frame.
    Gate(Authentic<Box<(Asked, GateEvent)>>),
    /// Time passed.
    Tick,
}

/// A terminal as its sign-on named it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TerminalName {
    pub acquirer: ParticipantId,
    /// F41, space padded.
    pub terminal: [u8; 8],
    /// F42, space padded; blank when it said none.
    pub merchant: [u8; 15],
}

/// A decoded, authentic request with its live message's handle.
pub struct Request {
    pub peer: Peer,
    pub msg: MsgHandle,
    pub facts: Facts,
    pub custody: FieldSet,
    /// Its connection signed on for it: as a whole, or for this terminal.
    pub signed_on: bool,
    /// It came with a good MAC, or its sender has no key to make one with.
    pub proven: bool,
    /// What a gateway calls it.
    pub reference: Option<Reference>,
    /// The keys that a sign-in gives, drawn by the keystore.
    pub sign_in: Option<Box<SignedIn>>,
}

/// A decoded, authentic answer from a participant.
pub struct Answer {
    pub participant: ParticipantId,
    pub line: LineId,
    pub mti: Mti,
    pub stan: u32,
    pub sent_at: Option<u32>,
    pub terminal: Option<[u8; 8]>,
    pub rrn: Option<[u8; 12]>,
    pub code: Option<Code>,
    pub amount: Option<u64>,
    pub currency: Option<Currency>,
    pub card: Option<CardToken>,
    /// F15 as the number MMDD, where it has one.
    pub settled: Option<u16>,
    /// The answer fields that are no echo of the request.
    pub record: FieldSet,
}

/// Why nothing of a send reached the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsent {
    /// No line of the participant could take it.
    NoLine,
    /// The send was older than its `not_after`.
    TooOld,
    /// The live message was gone, or could not be written in the participant's dialect.
    Unwritable,
    /// The PIN could not be translated.
    Pin,
    /// The HSM that holds the PIN keys did not answer.
    NoHsm,
}

/// What a send carries: a leg of a live transaction, or an obligation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendOf {
    Leg(LegRef),
    Obligation(ObligationId),
}

/// Something to do once the batch is durable.
pub enum Effect {
    Send(Box<Send>),
    Reply(Reply),
    Fetch(Seq),
    /// A request gets no answer; its live message is needed no longer.
    Forget {
        peer: Peer,
        msg: MsgHandle,
    },
    /// A gateway's reference names another payment already; the live message is needed no longer.
    ReferenceTaken {
        peer: Peer,
        msg: MsgHandle,
    },
    /// A working key comes into use at the rim.
    UseKey {
        participant: ParticipantId,
        usage: KeyUse,
        epoch: u32,
        block: String,
    },
    /// A key of ours is offered to a participant again and again, or no longer.
    OfferKey(KeyOffer),
    /// The keys of a terminal's sign-in come into use.
    UseTerminalKeys(Box<SignedIn>),
    /// The keys that a terminal used before are good for a minute more.
    TerminalUses {
        acquirer: ParticipantId,
        terminal: [u8; 8],
    },
    /// A participant signed off or was drained: nothing new goes out on its lines, or does again.
    Halted {
        participant: ParticipantId,
        halted: bool,
    },
    /// The answer to a gateway.
    Gate(Box<(Asked, GateSaid)>),
    /// An operator should look.
    Alarm(Alarm),
    /// An operator's command is done; None means it was.
    Done {
        ticket: u64,
        refused: Option<String>,
    },
}

/// What is offered to a participant now.
pub struct KeyOffer {
    pub participant: ParticipantId,
    pub usage: KeyUse,
    /// Under the master key; None: nothing any more.
    pub block: Option<String>,
}

/// One request on its way to a participant.
pub struct Send {
    pub of: SendOf,
    pub participant: ParticipantId,
    pub kind: Kind,
    /// What an obligation is, None for a live leg.
    pub owed: Option<OwedKind>,
    pub identity: Identity,
    pub repeat: bool,
    pub money: Money,
    pub original: Option<Identity>,
    pub body: Body,
    /// Not written after this moment of the monotonic clock.
    pub not_after_us: u64,
}

/// Where the rest of the message comes from.
pub enum Body {
    Live(MsgHandle),
    Kept(FieldSet),
}

/// One answer on its way to an originator.
pub struct Reply {
    pub peer: Peer,
    pub msg: MsgHandle,
    pub kind: Kind,
    pub code: Code,
    /// F4, where it differs from what was asked.
    pub amount: Option<u64>,
    /// F37 where the originator sent none, and everything of the answer record.
    pub record: FieldSet,
    /// The business date that it counts for; None where nothing is told that counts.
    pub date: Option<BusinessDate>,
}

/// What an operator should know at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Alarm {
    ObligationParked {
        id: ObligationId,
        participant: ParticipantId,
        code: Code,
    },
    Exception {
        id: ObligationId,
        participant: ParticipantId,
        money: Money,
        code: Code,
    },
    LateApproval {
        of: LegRef,
        participant: ParticipantId,
        late_ms: u64,
        /// Late approvals since the last such alarm that were only counted.
        held_back: u64,
    },
    DateOpened {
        date: BusinessDate,
    },
    DateClosed {
        date: BusinessDate,
    },
    ClockBack {
        by_ms: u64,
    },
    ClockAhead {
        by_ms: u64,
    },
    KeyClash {
        participant: ParticipantId,
        why: String,
        /// Refusals since the last such alarm that were only counted.
        held_back: u64,
    },
    /// Three MACs in a row were wrong: the line carries no requests (rule 11).
    LineUnkeyed {
        participant: ParticipantId,
        line: LineId,
    },
}

impl Alarm {
    /// Whom it is about.
    pub fn participant(&self) -> Option<ParticipantId> {
        match self {
            Alarm::ObligationParked { participant, .. }
            | Alarm::Exception { participant, .. }
            | Alarm::LateApproval { participant, .. }
            | Alarm::KeyClash { participant, .. }
            | Alarm::LineUnkeyed { participant, .. } => Some(*participant),
            Alarm::DateOpened { .. }
            | Alarm::DateClosed { .. }
            | Alarm::ClockBack { .. }
            | Alarm::ClockAhead { .. } => None,
        }
    }
}
