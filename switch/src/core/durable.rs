//! The state that the journal carries: every change is the absorption of an entry, and absorbing
//! reads the entry and this state alone. Replaying the same entries therefore gives the same bytes
//! (P8). What lives only while the process lives is in `volatile`.

use super::books::Books;
use super::dedupe::Dedupe;
use super::ended::Ended;
use super::entry::{Few, Intent, KeySent, KeyUse, LegEnd, Limits, Owed, OwedKind, Way};
use super::handles::{Handle, HandleTable};
use super::ids::{
    BusinessDate, CardToken, KeyedHash, Money, ObligationId, OriginalNo, ParticipantId, Seq, TxId,
};
use super::kept::Originals;
use super::original::Original;
use super::reference::References;
use super::ring::Ring;
use super::table::Table;
use super::taps::Taps;
use super::window::Window;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use std::collections::{BTreeMap, VecDeque};
use yika_codec::{Code, Mti};

#[derive(Serialize, Deserialize)]
pub struct Durable {
    /// Secret of the keyed hashes; from the keystore, the same at every start.
    pub seed: [u8; 16],
    pub limits: Limits,
    /// Wall time of the newest entry, milliseconds.
    pub wall_ms: u64,
    pub next_seq: Seq,
    pub next_tx: u64,
    pub next_obligation: u64,
    pub participants: BTreeMap<ParticipantId, Participant>,
    pub open: Table<TxId, OpenTx>,
    pub dedupe: Dedupe,
    /// Finished keys by the moment they expire, oldest first.
    pub dedupe_ring: Ring<Expiry<KeyedHash>>,
    pub(super) handles: HandleTable,
    /// Payments whose reversal came first (P6), by terminal, message type, F11, F7 and origin (0 where it did not say).
    pub reversed_before: Table<KeyedHash, u64>,
    /// Handles of what ended without effect, and payments reversed before they came, by when they expire.
    pub handle_ring: Ring<Expiry<KeyedHash>>,
    pub originals: Originals,
    pub obligations: BTreeMap<ObligationId, Obligation>,
    /// How many obligations of a transaction are open (rule 8).
    pub owing: Table<TxId, u8>,
    /// Reversals that ended as "unknown", until a late approval can no longer come (P6); by when they expire.
    pub lapsed: Ended<Owed>,
    pub stand_in_cards: Table<(ParticipantId, CardToken), Spent>,
    pub stand_in_issuers: BTreeMap<ParticipantId, Spent>,
    pub books: Books,
    /// By when each ended.
    pub exceptions: Ended<Exception>,
    /// How many of `obligations` and `exceptions` are each participant's: whoever watches asks often.
    pub counts: BTreeMap<ParticipantId, PartyCounts>,
    pub dates: Dates,
    /// Terminals that signed on and not off, by acquirer, F41 and F42.
    pub signed_on: Table<KeyedHash, ()>,
    /// Working keys of terminals that signed in, at most `terminals_max`.
    pub terminal_keys: BTreeMap<(ParticipantId, [u8; 8]), TerminalKeys>,
    pub taps: Taps,
    pub references: References,
    /// How long payments are known by their dedupe keys, from when they were made on.
    pub repeat_window: Window,
    pub tap_window: Window,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Participant {
    pub name: String,
    /// The last F11 given to a message for it; 0 before the first.
    pub last_stan: u32,
    pub signed_off: bool,
    /// By an operator: what is new is not sent to it.
    pub drained: bool,
    pub keys: BTreeMap<KeyUse, KeyEpoch>,
    /// When the keys in use were sent, of those that came with a time.
    pub keys_sent: BTreeMap<KeyUse, KeySent>,
    /// Keys of ours that the participant has not taken yet.
    pub offers: BTreeMap<KeyUse, Offer>,
    /// Check values of keys that were in use before, the last `KEYS_PAST_MAX` of each use: none of them comes back.
    pub keys_past: BTreeMap<KeyUse, VecDeque<String>>,
    /// None for an acquirer, which connects to us.
    pub way: Option<Way>,
}

impl Participant {
    /// Whether nothing new may be sent to it.
    pub fn is_halted(&self) -> bool {
        self.signed_off || self.drained
    }
}

/// A key of ours that the participant has not taken yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Offer {
    /// Under the master key.
    pub block: String,
    pub since_ms: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyEpoch {
    pub epoch: u32,
    pub block: String,
    /// When it came into force, milliseconds of wall time: the overlap with the one before runs from here.
    pub since_ms: u64,
    /// The block before it; None when that was the configured key.
    pub before: Option<String>,
}

/// What a terminal has of its last sign-in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TerminalKeys {
    pub keys: BTreeMap<KeyUse, String>,
    /// Those that it used last, until it uses these.
    pub before: BTreeMap<KeyUse, String>,
    pub sent: KeySent,
    pub since_ms: u64,
    pub field: Vec<u8>,
    /// The terminal has used them.
    pub used: bool,
}

/// A transaction without an outcome.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct OpenTx {
    pub intent: Box<Intent>,
    pub wall_ms: u64,
    pub ends: Few<LegEnd>,
    /// Where others find it meanwhile, and afterwards by what became of it.
    pub handles: Handles,
}

/// The places of one transaction in `Durable::handles`: by its F11, and by its F37 unless that is another's. A
/// place that it does not have is 0, which no keyed hash will be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Handles {
    pub by_stan: KeyedHash,
    pub by_rrn: KeyedHash,
}

impl Handles {
    pub fn iter(&self) -> impl Iterator<Item = KeyedHash> + use<> {
        [self.by_stan, self.by_rrn].into_iter().filter(|handle| *handle != KeyedHash(0))
    }
}

/// When a key is forgotten.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Expiry<K> {
    pub at_ms: u64,
    pub key: K,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Obligation {
    pub owed: Owed,
    /// Waits for an operator; the code it was last refused with.
    pub parked: Option<Code>,
}

/// What stand-in has approved on the open business date.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Spent {
    pub count: u32,
    pub minor: u64,
}

/// An obligation that ended otherwise than paid: its sum stays on the books, its name for the original window.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Exception {
    pub participant: ParticipantId,
    pub tx: TxId,
    pub kind: OwedKind,
    /// F41 of the originator.
    pub terminal: [u8; 8],
    /// F4 as it was sent.
    pub money: Money,
    /// The date whose book holds the sum.
    pub date: BusinessDate,
    /// What the participant's books should have moved by, signed.
    pub books: i64,
    pub why: String,
}

/// What is open at one participant, and what ended otherwise than paid.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PartyCounts {
    pub obligations: u64,
    pub exceptions: u64,
    /// What the exceptions would have moved, each without its sign.
    pub exceptions_minor: u128,
}

impl PartyCounts {
    pub(super) fn add_exception(&mut self, books: i64) {
        self.exceptions += 1;
        self.exceptions_minor += u128::from(books.unsigned_abs());
    }

    pub(super) fn drop_exception(&mut self, books: i64) {
        self.exceptions -= 1;
        self.exceptions_minor -= u128::from(books.unsigned_abs());
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Dates {
    /// The date that new transactions belong to.
    pub current: BusinessDate,
    /// Dates not yet closed, with how many of their transactions are in flight.
    pub open: BTreeMap<BusinessDate, u64>,
    /// Wall milliseconds of the last cut-over; 0 before the first.
    pub cut_over_ms: u64,
}

impl Durable {
    pub fn new(seed: [u8; 16]) -> Self {
        Durable {
            seed,
            limits: Limits::default(),
            wall_ms: 0,
            next_seq: Seq(1),
            next_tx: 1,
            next_obligation: 1,
            participants: BTreeMap::new(),
            open: Table::new(),
            dedupe: Dedupe::default(),
            dedupe_ring: Ring::new(),
            handles: HandleTable::default(),
            reversed_before: Table::new(),
            handle_ring: Ring::new(),
            originals: Originals::default(),
            obligations: BTreeMap::new(),
            owing: Table::new(),
            lapsed: Ended::default(),
            stand_in_cards: Table::new(),
            stand_in_issuers: BTreeMap::new(),
            books: Books::default(),
            exceptions: Ended::default(),
            counts: BTreeMap::new(),
            dates: Dates::default(),
            signed_on: Table::new(),
            terminal_keys: BTreeMap::new(),
            taps: Taps::default(),
            references: References::default(),
            repeat_window: Window::default(),
            tap_window: Window::default(),
        }
    }

    /// The whole state as canonical bytes: equal states have equal bytes, whatever their history.
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("the state holds no type that postcard cannot write")
    }

    /// Payments by which repeats are told, or references of gateways, whichever are more.
    pub fn repeatable(&self) -> usize {
        self.dedupe.len().max(self.references.len())
    }

    pub fn participant_by_name(&self, name: &str) -> Option<ParticipantId> {
        self.participants.iter().find(|(_, p)| p.name == name).map(|(id, _)| *id)
    }

    pub fn original(&self, no: OriginalNo) -> Option<Original> {
        self.originals.get(no)
    }

    /// What is found under this handle.
    pub fn handle(&self, key: KeyedHash) -> Option<Handle> {
        self.handles.get(&key)
    }

    /// The date that money of `date` books to: itself while open, afterwards the current one (rule 13).
    pub fn book_date(&self, date: BusinessDate) -> BusinessDate {
        if self.dates.open.contains_key(&date) { date } else { self.dates.current }
    }

    /// Handle of a message by its terminal, type and F11.
    pub fn handle_by_stan(
        &self,
        acquirer: ParticipantId,
        terminal: &[u8; 8],
        mti: Mti,
        stan: u32,
    ) -> KeyedHash {
        self.keyed(b'S', acquirer, &[terminal, &mti.bcd().to_le_bytes(), &stan.to_le_bytes()])
    }

    /// Handle of a message whose F41, type and F11 are in use by a payment of another origin.
    pub fn handle_by_origin(
        &self,
        acquirer: ParticipantId,
        terminal: &[u8; 8],
        mti: Mti,
        stan: u32,
        origin: u64,
    ) -> KeyedHash {
        let parts: [&[u8]; 4] =
            [terminal, &mti.bcd().to_le_bytes(), &stan.to_le_bytes(), &origin.to_le_bytes()];
        self.keyed(b'M', acquirer, &parts)
    }

    /// Where a reversal that came before its original is remembered.
    pub fn reversed_key(
        &self,
        acquirer: ParticipantId,
        terminal: &[u8; 8],
        mti: Option<Mti>,
        stan: u32,
        sent_at: u32,
        origin: u64,
    ) -> KeyedHash {
        let mti = mti.map_or(0, Mti::bcd);
        let parts: [&[u8]; 5] = [
            terminal,
            &mti.to_le_bytes(),
            &stan.to_le_bytes(),
            &sent_at.to_le_bytes(),
            &origin.to_le_bytes(),
        ];
        self.keyed(b'B', acquirer, &parts)
    }

    /// F42 and batch as one number; 0 without F42: such a message fits any origin.
    pub fn origin(&self, acquirer: ParticipantId, merchant: &[u8; 15], batch: Option<u32>) -> u64 {
        if merchant.iter().all(|c| *c == b' ') {
            return 0;
        }
        self.keyed(b'O', acquirer, &[merchant, &batch.unwrap_or(0).to_le_bytes()]).0 | 1
    }

    /// The origin of what holds a place, where it still matters.
    pub fn origin_of(&self, held: &Handle) -> u64 {
        match held {
            Handle::Open(tx) => self.open.get(tx).map_or(0, |open| open.intent.origin),
            Handle::Kept(no) => self.original(*no).map_or(0, |original| original.origin),
            Handle::Ended { .. } => 0,
        }
    }

    /// A terminal as `signed_on` knows it; blank where it said no F42.
    pub fn terminal_key(
        &self,
        acquirer: ParticipantId,
        terminal: &[u8; 8],
        merchant: &[u8; 15],
    ) -> KeyedHash {
        self.keyed(b'T', acquirer, &[terminal, merchant])
    }

    /// Handle of a message by its terminal and the F37 it sent.
    pub fn handle_by_rrn(&self, acquirer: ParticipantId, terminal: &[u8; 8], rrn: &[u8; 12]) -> KeyedHash {
        self.keyed(b'R', acquirer, &[terminal, rrn])
    }

    /// The same for an F37 that the switch gave: a terminal's own may be equal.
    pub fn handle_by_given_rrn(
        &self,
        acquirer: ParticipantId,
        terminal: &[u8; 8],
        rrn: &[u8; 12],
    ) -> KeyedHash {
        self.keyed(b'G', acquirer, &[terminal, rrn])
    }

    /// A keyed hash over these parts one after another; `purpose` keeps the uses apart.
    ///
    /// # Panics
    /// If the parts are longer than 61 bytes together: each caller's have fixed lengths.
    #[inline]
    pub fn keyed(&self, purpose: u8, acquirer: ParticipantId, parts: &[&[u8]]) -> KeyedHash {
        let (bytes, len) = joined(purpose, acquirer, parts);
        KeyedHash(SipHasher13::new_with_key(&self.seed).hash(&bytes[..len]))
    }
}

/// The parts in one piece: hashes are fast at one and slow at many. Inlined, it is a few moves.
#[inline(always)]
fn joined(purpose: u8, acquirer: ParticipantId, parts: &[&[u8]]) -> ([u8; 64], usize) {
    let mut bytes = [0; 64];
    bytes[0] = purpose;
    bytes[1..3].copy_from_slice(&acquirer.0.to_le_bytes());
    let mut len = 3;
    for part in parts {
        bytes[len..len + part.len()].copy_from_slice(part);
        len += part.len();
    }
    (bytes, len)
}
