//! The small, dialect-free record the core decides on. The rim makes it from a decoded, authentic
//! message; after that nobody looks at wire bytes to decide anything.

use super::ids::{CardToken, Currency, ListenerNo, Money, ParticipantId};
use yika_codec::{Kind, Mti};

/// What a request says, in the core's words.
#[derive(Clone, Debug)]
pub struct Facts {
    pub kind: Kind,
    /// As received: the repeat digit still in it.
    pub mti: Mti,
    pub listener: ListenerNo,
    /// From the listener, never from the message (rule 3).
    pub acquirer: ParticipantId,
    /// F41, space padded.
    pub terminal: [u8; 8],
    /// F42, space padded.
    pub merchant: [u8; 15],
    /// F11.
    pub stan: u32,
    /// F7 as the number MMDDhhmmss, where the message has it.
    pub sent_at: Option<u32>,
    /// F13 and F12 as the number MMDDhhmmss, where the message has them.
    pub local_at: Option<u32>,
    /// When the terminal made the message, wall milliseconds, the year inferred nearest to now.
    pub made_ms: Option<u64>,
    /// F37, where the message has it.
    pub rrn: Option<[u8; 12]>,
    /// F60.2, the terminal's batch, in dialects that have it.
    pub batch: Option<u32>,
    pub card: Option<CardFacts>,
    pub amount: u64,
    pub currency: Currency,
    /// F3.
    pub processing: [u8; 6],
    pub has_pin: bool,
    /// What a void, completion, refund or reversal names.
    pub original: OriginalRef,
    pub coupon: Option<Coupon>,
    /// F95 names an amount: a partial reversal, which is refused (rule 5).
    pub replacement: bool,
}

impl Facts {
    /// Whether it has an F41.
    pub fn names_terminal(&self) -> bool {
        self.terminal != [b' '; 8]
    }

    /// F42 as it says it, and blank: a terminal may have signed on without one.
    pub fn merchants(&self) -> [[u8; 15]; 2] {
        [self.merchant, [b' '; 15]]
    }

    pub fn money(&self) -> Money {
        Money { minor: self.amount, currency: self.currency }
    }
}

/// A card: its token, and its first digits for routing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CardFacts {
    pub token: CardToken,
    pub prefix: CardPrefix,
}

/// The first eight digits of a card number (the issuer identification number of ISO/IEC 7812-1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CardPrefix(pub u32);

/// How a message names an earlier one: F90, or F61 and F37.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OriginalRef {
    pub mti: Option<Mti>,
    pub stan: Option<u32>,
    pub sent_at: Option<u32>,
    pub rrn: Option<[u8; 12]>,
    /// F61.1, the batch it was made in.
    pub batch: Option<u32>,
    /// Where it names no message type: the only one that its own F3, F25 and F60.1 fit.
    pub likely: Option<Mti>,
}

/// F48 tag `CP`: the coupon and how much of the amount the terminal asks it to pay (rule 18).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Coupon {
    pub asked: u64,
}
