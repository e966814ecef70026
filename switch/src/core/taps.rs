//! Taps of gateways: which are held, under what key and date, what batches were announced, and the sums that a gateway
//! compares with its own.
//!
//! A tap is known by its source and counter, and told from another by a print of its bytes. Each is stored once, in the
//! journal; here stands what finds it again for as long as the window lasts. Nothing here moves money.

mod decide;
mod durable;

pub use durable::{HeldTap, TapSums, Taps};

use super::ids::{BusinessDate, KeyedHash, ParticipantId, SessionId, raw, raw_number};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use yika_codec::gate::Verdict;

/// Who hands taps over: a gateway of a participant, by the name of its hello.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Gateway {
    pub participant: ParticipantId,
    /// At most 32 visible characters.
    pub name: String,
}

/// What a gateway announces of a batch; another announcement under the same id is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Announced {
    pub content: u8,
    pub records: u32,
    pub amount_fen: u64,
    /// SHA-256 over all records in order.
    #[serde(with = "raw")]
    pub hash: [u8; 32],
    pub date: BusinessDate,
}

/// What a batch came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Closed {
    /// Bits: 1 the count, 2 the sum, 4 the hash.
    pub differs: u8,
    pub amount_fen: u64,
    #[serde(with = "raw")]
    pub hash: [u8; 32],
    /// Records by the number of their verdict.
    pub counts: [u32; VERDICTS],
    pub date: BusinessDate,
}

/// Verdicts that a record may get.
pub const VERDICTS: usize = Verdict::ALL.len();

/// New taps of one part, as the journal holds them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TapsTaken {
    pub gateway: Gateway,
    /// None: a single tap.
    pub batch: Option<u64>,
    pub date: BusinessDate,
    /// Until when a copy is told from a new one, milliseconds of wall time.
    pub keep_until_ms: u64,
    pub taps: Vec<TapTaken>,
    /// Their bytes as they came, one behind the other.
    #[serde(with = "raw")]
    pub records: Vec<u8>,
}

/// One of them.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct TapTaken {
    pub key: KeyedHash,
    #[serde(with = "raw_number")]
    pub print: u64,
    #[serde(with = "raw")]
    pub hash: [u8; 32],
    pub kind: u8,
    pub amount_fen: u64,
    /// Another record has its key: this one is kept apart and counts nowhere.
    pub apart: bool,
    /// Bytes of its record.
    pub bytes: u32,
}

/// A batch is announced.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BatchOpened {
    pub gateway: Gateway,
    pub batch: u64,
    pub announced: Announced,
    pub keep_until_ms: u64,
}

/// A batch is complete.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BatchEnded {
    pub gateway: Gateway,
    pub batch: u64,
    pub closed: Closed,
}

/// Where the answer to a gateway's question goes.
#[derive(Clone, PartialEq, Debug)]
pub struct Asked {
    pub session: SessionId,
    pub correlation: u32,
    pub gateway: Arc<Gateway>,
}

/// What a gateway asks, already read and checked by the rim.
pub enum GateEvent {
    Open {
        batch: u64,
        announced: Announced,
    },
    Taps(Part),
    /// All parts of a batch were decided; what it came to.
    Close {
        batch: u64,
        closed: Closed,
    },
    Totals {
        date: BusinessDate,
        kind: u8,
    },
}

/// Taps of one frame.
pub struct Part {
    /// None: a single tap.
    pub batch: Option<u64>,
    pub first: u32,
    pub taps: Vec<Tap>,
    /// Their bytes, one behind the other.
    pub records: Vec<u8>,
}

/// One tap as it came.
pub struct Tap {
    /// What it is known by; of no meaning where the rim gave a verdict.
    pub key: KeyedHash,
    pub print: u64,
    pub hash: [u8; 32],
    pub kind: u8,
    pub amount_fen: u64,
    pub bytes: u32,
    /// When it was made, by its device's clock.
    pub made_ms: u64,
    /// The rim's verdict: it cannot be read, or may not be taken.
    pub refused: Option<Verdict>,
}

/// What a gateway is told, once it is durable.
pub enum GateSaid {
    /// How far a batch is.
    State {
        batch: u64,
        announced: Announced,
        stored: u32,
        closed: Option<Closed>,
    },
    /// Another announcement has this id.
    Conflict,
    /// A part of a batch that nobody announced, or that is forgotten.
    Unannounced {
        batch: u64,
        /// Of the part.
        records: u32,
    },
    /// So many batches of the gateway are open already.
    TooMany,
    Verdicts {
        part: Part,
        verdicts: Vec<(Verdict, BusinessDate)>,
    },
    Closed {
        batch: u64,
        closed: Closed,
    },
    /// No room now; nothing was stored.
    Busy {
        /// What it is of; None: an announcement.
        part: Option<Part>,
        draining: bool,
    },
    Totals {
        date: BusinessDate,
        kind: u8,
        sums: TapSums,
        known: bool,
        open: bool,
    },
}
