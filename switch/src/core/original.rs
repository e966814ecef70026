//! Kept payments: what a later void, completion, refund or reversal may still do to each (rule 6).
//! A record lives for the original window and is changed only by absorbing entries.

use super::durable::Handles;
use super::entry::{Few, Identity, LegRole};
use super::ids::{BusinessDate, CardToken, Money, OriginalNo, ParticipantId, TxId};
use serde::{Deserialize, Serialize};
use yika_codec::{Kind, Mti};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Original {
    pub tx: TxId,
    pub kind: Kind,
    /// As the terminal sent it, without repeat digit.
    pub mti: Mti,
    pub life: Life,
    /// The void, completion or refund of it that is in flight.
    pub busy: Option<TxId>,
    /// Approved by stand-in: reversing it gives the limits back.
    pub stand_in: bool,
    pub acquirer: ParticipantId,
    pub terminal: [u8; 8],
    pub stan: u32,
    pub sent_at: u32,
    pub rrn: [u8; 12],
    pub card: Option<CardToken>,
    /// As approved.
    pub money: Money,
    /// F4 of the request: more than `money` after a partial approval.
    pub asked: u64,
    /// The sum of refunds so far, or the amount of its completion.
    pub used: u64,
    pub date: BusinessDate,
    pub expires_ms: u64,
    /// What this one voided, completed or refunded.
    pub target: Option<OriginalNo>,
    /// Its terminal was told that it is reversed, and nothing was sent: a void or cancel of it stood, which stays; or
    /// it is that void or cancel.
    pub reversed_while_undone: bool,
    /// The last that did so to this one: what is owed from it goes first (rule 8).
    pub last_on_it: Option<TxId>,
    pub origin: u64,
    pub handles: Handles,
    pub legs: Few<KeptLeg>,
}

/// A leg that stands at its participant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeptLeg {
    pub role: LegRole,
    /// Its place in the plan.
    pub leg: u8,
    pub participant: ParticipantId,
    pub identity: Identity,
    /// F4 as sent, and what its participant agreed to.
    pub amount: u64,
    pub agreed: u64,
}

/// ```text
/// Held ------> Completed         Approved -----> Voided | Reversed
///   `--------> Cancelled | Reversed    `-- refunds add to `used`
/// ```
/// Reversing a void, completion or cancel moves its target back; cancelling a completion moves the hold back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Life {
    Held,
    Completed,
    Cancelled,
    Approved,
    Voided,
    Reversed,
}

/// The life an approved transaction of this kind starts with; None when nothing can follow it.
pub fn first_life(kind: Kind) -> Option<Life> {
    match kind {
        Kind::Authorization | Kind::PreAuthorization | Kind::AuthorizationAdvice => Some(Life::Held),
        Kind::Purchase
        | Kind::Cash
        | Kind::PurchaseAdvice
        | Kind::Completion
        | Kind::CompletionAdvice
        | Kind::Void
        | Kind::CompletionCancel
        | Kind::PreAuthCancel
        | Kind::Refund => Some(Life::Approved),
        _ => None,
    }
}

/// Whether messages of this kind carry another payment's F37 in theirs.
pub fn names_an_original(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Void
            | Kind::Refund
            | Kind::Completion
            | Kind::CompletionCancel
            | Kind::CompletionAdvice
            | Kind::PreAuthCancel
            | Kind::Reversal
    )
}

/// What an approved transaction of `kind` over `minor` does to the payment it names.
pub fn apply_to_target(target: &mut Original, kind: Kind, minor: u64) {
    match kind {
        Kind::Void | Kind::CompletionCancel => target.life = Life::Voided,
        Kind::PreAuthCancel => target.life = Life::Cancelled,
        Kind::Completion | Kind::CompletionAdvice => {
            target.life = Life::Completed;
            target.used = minor;
        }
        Kind::Refund => target.used = target.used.saturating_add(minor),
        _ => {}
    }
}

/// The opposite: that transaction was reversed, and the payment it named is as before (rule 4).
pub fn undo_on_target(target: &mut Original, kind: Kind, minor: u64) {
    match kind {
        Kind::Void | Kind::CompletionCancel => target.life = Life::Approved,
        Kind::PreAuthCancel => target.life = Life::Held,
        Kind::Completion | Kind::CompletionAdvice => {
            target.life = Life::Held;
            target.used = 0;
        }
        Kind::Refund => target.used = target.used.saturating_sub(minor),
        _ => {}
    }
}
