//! What the journal holds: decisions, complete in themselves. An entry never refers to the
//! configuration, the clock or anything volatile, so that absorbing it needs the entry and the
//! state alone (P8). Encoding is postcard after one version byte. Postcard does not describe itself: a variant
//! may be appended to an enum, and nothing else may change. What needs a new field gets a new variant, or all
//! of them a new version; the golden bytes in the tests hold the layout still.

use super::books::signed;
use super::ids::{
    BusinessDate, CardToken, KeyedHash, LegRef, Money, ObligationId, OriginalNo, ParticipantId, TxId, raw,
    raw_number,
};
use super::reference::Reference;
use super::taps::{BatchEnded, BatchOpened, TapsTaken};
use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::fmt;
use yika_codec::{Code, FieldSet, Kind, Mti};

/// A list that has one element nearly always, and then takes no memory of its own.
pub type Few<T> = SmallVec<[T; 1]>;

/// The longest custody; it stands in the intent and in each obligation.
pub const CUSTODY_BYTES_MAX: usize = 1024;

/// Version byte in front of every encoded entry. 1 had other card tokens: what it holds would match no card any more.
pub const ENTRY_VERSION: u8 = 2;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Entry {
    /// A participant of the configuration gets its lasting id.
    Named {
        id: ParticipantId,
        name: String,
    },
    /// How long things are remembered; written at the start and when the configuration changes it.
    Limits(Limits),
    /// A transaction is admitted and its first leg is about to leave (P1).
    Intent(Box<Intent>),
    /// A leg was approved and the next is about to leave.
    Step(Box<Step>),
    /// How a transaction ended, what its originator is told and what is owed from it (P2, P4).
    Outcome(Box<Outcome>),
    /// A transaction decided on the spot: intent and outcome are one (declines, advices taken into
    /// custody, stand-in, reversals from terminals).
    Taken(Box<Taken>),
    /// An answer that came after its outcome (P6).
    Late(Late),
    /// An obligation ended (P5).
    Discharged {
        id: ObligationId,
        how: Discharge,
    },
    /// An obligation was refused three times for good and waits for an operator.
    Parked {
        id: ObligationId,
        code: Code,
    },
    /// The business date moves on; the old one closes when nothing of it is in flight (rule 13).
    CutOver {
        to: BusinessDate,
        trigger: CutOverTrigger,
    },
    DateClosed {
        date: BusinessDate,
    },
    /// A working key came into use; the block rests under the master key.
    KeyEpoch {
        participant: ParticipantId,
        usage: KeyUse,
        epoch: u32,
        block: String,
    },
    /// An explicit sign-off (`off`), or the sign-on that ends it (rule 15).
    SignedOff {
        participant: ParticipantId,
        off: bool,
    },
    /// Time passed without any other entry: what lies outside its window is forgotten.
    TimePassed,
    /// How a participant is reached, at the start that first knew it and whenever that changed (rule 19).
    Reached {
        participant: ParticipantId,
        way: Way,
    },
    /// An operator drains a participant (`on`), or ends that (rule 15).
    Drained {
        participant: ParticipantId,
        on: bool,
    },
    /// A terminal signed on or off where its listener wants that (rule 15): F41, and F42 as it said it or blank.
    TerminalSigned {
        acquirer: ParticipantId,
        #[serde(with = "raw")]
        terminal: [u8; 8],
        #[serde(with = "raw")]
        merchant: [u8; 15],
        on: bool,
    },
    /// An operator signed all terminals off.
    TerminalsSignedOff,
    /// What was remembered of an ended obligation goes before its time: no late answer can come for it any more, or a
    /// newer one takes its place.
    Forgotten {
        id: ObligationId,
    },
    /// New taps of a gateway, with their bytes.
    Taps(Box<TapsTaken>),
    /// A gateway announced a batch.
    BatchOpened(Box<BatchOpened>),
    /// All of a batch came, and what it came to.
    BatchEnded(Box<BatchEnded>),
    /// The payment with this dedupe key, whose intent follows or is held, came under a gateway's reference.
    Referenced {
        reference: Reference,
        payment: KeyedHash,
    },
    /// How long taps are known; written as `Limits` is.
    TapWindow {
        length_ms: u64,
    },
    /// What happens to working keys besides coming into use.
    Working(Box<WorkingKey>),
}

/// Working keys on their way (rule 15).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum WorkingKey {
    /// When the sender of the key that comes into use next said that it was sent: one that was sent before it, and comes
    /// later, changes nothing.
    Sent { participant: ParticipantId, usage: KeyUse, at: KeySent },
    /// A key of ours is offered to a participant; it comes into use when the participant takes it.
    Offered { participant: ParticipantId, usage: KeyUse, block: String },
    /// The participant refused it: the key before stays in use.
    Withdrawn { participant: ParticipantId, usage: KeyUse },
    /// A terminal signed in and gets these keys; those before stay good until it uses them.
    SignedIn(SignedIn),
    /// A message was served by another key than the one in force here: the one before, or one that was only offered. What
    /// no such entry names was served by the key in force.
    Served(ServedBy),
    /// A terminal uses the keys of its last sign-in: those before go.
    Uses {
        acquirer: ParticipantId,
        #[serde(with = "raw")]
        terminal: [u8; 8],
    },
}

/// Which key served a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServedBy {
    /// Whose key.
    pub participant: ParticipantId,
    /// None: the participant's own; else that of its terminal.
    pub terminal: Option<[u8; 8]>,
    pub usage: KeyUse,
    /// The number of the key; of a terminal's 0 for the keys before those of its last sign-in.
    pub epoch: u32,
    /// F11 of the message.
    pub stan: u32,
}

/// The working keys of a terminal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SignedIn {
    pub acquirer: ParticipantId,
    #[serde(with = "raw")]
    pub terminal: [u8; 8],
    /// Each under the master key.
    pub keys: Vec<(KeyUse, String)>,
    /// The sign-in, so that a repeat of it gets the same keys: F11, and F12 and F13 or 0.
    pub sent: KeySent,
    /// F62 of the answer: the keys under the terminal's own master key.
    pub field: Vec<u8>,
}

/// Which of two key changes was sent first: F7, and within its second F11.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeySent {
    pub sent_at: u32,
    pub stan: u32,
}

/// How a participant is reached: as what, in which dialect, and where. What is owed was made for this way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Way {
    pub role: LegRole,
    /// Its name, and `yika_codec::Dialect::digest` of it.
    pub dialect: String,
    #[serde(with = "raw_number")]
    pub digest: u64,
    /// Addresses of its host, sorted.
    pub addresses: Vec<String>,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = self.role.as_str();
        write!(f, "role \"{role}\", dialect \"{}\"", self.dialect)?;
        if self.digest != 0 {
            write!(f, " of digest {:016x}", self.digest)?;
        }
        write!(f, ", connect [{}]", self.addresses.join(", "))
    }
}

/// Windows that absorbing needs, so that expiry never asks the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Limits {
    pub dedupe_window_ms: u64,
    pub original_window_ms: u64,
    pub originals_max: u64,
}

/// An admitted transaction: everything that a crash must not take.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Intent {
    pub tx: TxId,
    pub key: KeyedHash,
    #[serde(with = "raw_number")]
    pub fingerprint: u64,
    pub kind: Kind,
    /// As the terminal sent it, without repeat digit.
    pub mti: Mti,
    pub acquirer: ParticipantId,
    #[serde(with = "raw")]
    pub terminal: [u8; 8],
    pub stan: u32,
    /// F7 as the terminal sent it, 0 when it sent none.
    pub sent_at: u32,
    /// F37 as the terminal sent it, or as the core assigned it.
    #[serde(with = "raw")]
    pub rrn: [u8; 12],
    /// The core assigned it: a terminal's own may be equal and is another.
    pub rrn_given: bool,
    pub card: Option<CardToken>,
    pub money: Money,
    pub date: BusinessDate,
    /// What the terminal is told when a leg's fate is unknown, by its dialect's table (rule 12).
    pub silence_code: Code,
    /// The kept payment that this one voids, completes, cancels or refunds.
    pub target: Option<OriginalNo>,
    /// The legs that have left or are leaving, in order; `Step` appends.
    pub legs: Few<LegIntent>,
    /// The legs that follow once those stand.
    pub later: Vec<LaterLeg>,
    /// The whitelisted fields that a reversal, repeat or deferred send needs; at most 1 KiB.
    pub custody: FieldSet,
    /// Keyed hash of F42 and F60.2, which tell payments with the same F41 and F11 apart; 0 when there is no F42.
    #[serde(with = "raw_number")]
    pub origin: u64,
}

/// One request to one participant, as it will be sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LegIntent {
    pub role: LegRole,
    pub participant: ParticipantId,
    pub identity: Identity,
    pub amount: u64,
    pub silence: Silence,
    /// The message that this leg voids, completes or refunds, as its participant knows it.
    pub original: Option<Identity>,
}

/// A leg that starts when the one before it stands; its identity is assigned then.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LaterLeg {
    pub role: LegRole,
    pub participant: ParticipantId,
    /// None: what the legs before it left of the transaction's amount.
    pub amount: Option<u64>,
    pub original: Option<Identity>,
}

/// Who a leg goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum LegRole {
    Issuer,
    CouponPlatform,
}

impl LegRole {
    /// As a configuration and a dump call it.
    pub fn as_str(self) -> &'static str {
        match self {
            LegRole::Issuer => "issuer",
            LegRole::CouponPlatform => "coupon-platform",
        }
    }
}

/// A message's identity at its participant; the same on every attempt, line and restart (rule 1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Identity {
    pub mti: Mti,
    /// F11.
    pub stan: u32,
    /// F7 as the number MMDDhhmmss.
    pub sent_at: u32,
    /// F37.
    #[serde(with = "raw")]
    pub rrn: [u8; 12],
}

/// What becomes of a leg that was sent and never answered (rule 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Silence {
    Reverse,
    Repeat,
    Nothing,
}

/// A leg stands; the next one leaves.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Step {
    pub tx: TxId,
    pub leg: u8,
    /// What the leg's participant agreed to.
    pub agreed: u64,
    pub next: LegIntent,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Outcome {
    pub tx: TxId,
    pub reason: Reason,
    /// F39 as told to the originator.
    pub code: Code,
    /// The amount told as approved; 0 when declined.
    pub approved: u64,
    pub stand_in: bool,
    /// How each leg ended, in order.
    pub legs: Few<LegEnd>,
    /// The answer record: every answer field that is no echo of the request.
    pub answer: FieldSet,
    pub owed: Vec<Owed>,
}

/// Why a transaction ended as it did: for reports and metrics; the code is what was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Reason {
    Approved,
    /// By a participant.
    Declined,
    StandIn,
    StandInLimit,
    /// An advice, refund or reversal was taken into custody.
    Accepted,
    TimedOut,
    /// Found open after a crash.
    InDoubt,
    /// A reversal came while it was in flight, or before it.
    Reversed,
    NoRoute,
    IssuerDown,
    NotAllowed,
    OriginalNotFound,
    AmountMismatch,
    Busy,
    PinFault,
    PartialNotAllowed,
    Coupon,
    BadAmount,
    BadCurrency,
    Unsupported,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LegEnd {
    pub state: LegState,
    /// What its participant agreed to, in minor units.
    pub agreed: u64,
}

/// The life of a leg.
///
/// ```text
/// Planned -> Sent -> Approved -> Compensated (undone: an obligation reverses it)
///    |        |----> Declined
///    |        `----> Unknown (an obligation repeats or reverses it, or nothing is owed)
///    `-> NotSent
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum LegState {
    Planned,
    Sent,
    Approved,
    Declined,
    Unknown,
    NotSent,
    Compensated,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Taken {
    pub intent: Intent,
    pub outcome: Outcome,
    /// What a reversal found (rule 5); None for other kinds.
    pub reversal: Option<ReversalOf>,
}

/// What a terminal's reversal named.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ReversalOf {
    /// Not held: remembered, so that an original that arrives later is declined.
    Unknown { handle: KeyedHash, sent_at: u32 },
    /// It ended without effect, or is reversed already.
    WithoutEffect,
    /// In flight: its own outcome stands in the same batch.
    InFlight(TxId),
    /// A kept payment, now undone.
    Kept(OriginalNo),
    /// A kept payment that a void or cancel had undone already and that must not come to stand again; or such a void
    /// or cancel, whose own reversal would bring it back.
    Undone(OriginalNo),
}

/// Something the switch owes a participant until it is discharged (rule 7) or settled by name.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Owed {
    pub id: ObligationId,
    pub kind: OwedKind,
    pub participant: ParticipantId,
    /// The leg it comes from.
    pub of: LegRef,
    /// The kind of the transaction it belongs to.
    pub tx_kind: Kind,
    pub card: Option<CardToken>,
    pub identity: Identity,
    /// F90 or F61: the message that is reversed.
    pub original: Option<Identity>,
    /// F41 of the originator.
    #[serde(with = "raw")]
    pub terminal: [u8; 8],
    /// F4 as sent.
    pub money: Money,
    /// The business date of its transaction.
    pub date: BusinessDate,
    /// What a reversal undoes at the participant's books; None while it is not known to have agreed.
    pub stood: Option<u64>,
    /// Wall milliseconds from which the time-out counts that makes a 25 believable (rule 7): when the leg was
    /// sent, or when its reversal came for a payment that stood.
    pub original_ms: u64,
    pub custody: FieldSet,
}

impl Owed {
    /// What the participant's books move by when this is discharged, in minor units (P7).
    pub fn books(&self) -> i64 {
        match self.kind {
            OwedKind::Reverse => -signed(self.tx_kind, self.stood.unwrap_or(0)),
            OwedKind::Repeat | OwedKind::Advice => signed(self.tx_kind, self.money.minor),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum OwedKind {
    /// 0400 or 0420.
    Reverse,
    /// The same message again, with the repeat digit.
    Repeat,
    /// 0120 or 0220: tells of what was decided here, or at the terminal.
    Advice,
}

/// An answer after the outcome.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Late {
    pub of: LegRef,
    pub participant: ParticipantId,
    pub code: Code,
    pub late_ms: u64,
    pub kind: Kind,
    /// What the participant agreed to; 0 unless approved.
    pub money: Money,
    pub date: BusinessDate,
    pub effect: LateEffect,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum LateEffect {
    /// Recorded only: a decline, or nothing was owed.
    None,
    /// An approval whose reversal is still open: the reversal now undoes booked money.
    ReversalPending(ObligationId),
    /// An approval that was already reversed when it came.
    AlreadyReversed,
    /// An approval whose reversal had been answered "unknown": owed anew (P6).
    Reopened(Box<Owed>),
    /// An approval of a message still being repeated: nothing is owed any more.
    Settles(ObligationId),
    /// An approval whose obligation had ended as a named exception: what it agreed to is named there, too.
    Excepted(ObligationId),
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Discharge {
    /// 00 or 94.
    Acknowledged { code: Code },
    /// A reversal answered 25, late enough to be believed.
    Unknown,
    /// A final refusal of an advice: a named exception (rule 7).
    Refused { code: Code },
    /// No byte of the original ever left: nothing to undo.
    NeverSent,
    /// By an operator, by name.
    Settled { reason: String },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum CutOverTrigger {
    Start,
    Clock,
    Message,
    Operator,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum KeyUse {
    Mac,
    Pin,
}

impl Entry {
    /// Appends version and body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(ENTRY_VERSION);
        postcard::serialize_with_flavor(self, Appending(out))
            .expect("entries hold no type that postcard cannot write");
    }

    /// # Errors
    /// When the bytes are of another version or do not form an entry.
    pub fn decode(bytes: &[u8]) -> Result<Entry, EntryError> {
        let (version, body) = bytes.split_first().ok_or(EntryError::Empty)?;
        if *version != ENTRY_VERSION {
            return Err(EntryError::Version(*version));
        }
        match postcard::take_from_bytes(body) {
            Ok((entry, [])) => Ok(entry),
            Ok((_, rest)) => Err(EntryError::Trailing(rest.len())),
            Err(reason) => Err(EntryError::Malformed(reason)),
        }
    }
}

/// Appends what postcard writes to a buffer with a past.
struct Appending<'b>(&'b mut Vec<u8>);

impl Flavor for Appending<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Why bytes are not an entry. None of them holds a value from the entry.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    #[error("an entry of no bytes")]
    Empty,
    #[error("entry version {0}, this build reads version {ENTRY_VERSION}: use the release that wrote it")]
    Version(u8),
    #[error("{0} bytes follow the entry")]
    Trailing(usize),
    #[error("not an entry: {0}")]
    Malformed(postcard::Error),
}

#[cfg(test)]
mod tests;
