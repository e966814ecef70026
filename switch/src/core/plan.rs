//! The plan machine: given a transaction's legs and how the one under way ended, what happens next.
//! Pure decisions over data; time-outs, reversals, restarts and stand-in are written once, here and
//! in `finish`, for plans of any number of legs (rules 4, 17, 18).

use super::durable::OpenTx;
use super::effect::Unsent;
use super::entry::{LegEnd, LegRole, LegState, Reason, Silence};
use crate::planted::{Planted, planted};
use yika_codec::Code;

/// How the leg under way ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LegResult {
    /// The participant agrees to this much.
    Approved(u64),
    /// F39 = 10 with a smaller amount.
    Partial(u64),
    Declined(Code),
    /// Sent, and no answer by its deadline, or found open after a crash.
    Silent,
    Unsent(Unsent),
}

/// What happens next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// The leg stands; the next one starts with this amount.
    Start {
        agreed: u64,
        amount: u64,
    },
    End(End),
}

/// How the transaction ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    pub reason: Reason,
    /// None: the code of the reason in the originator's table.
    pub code: Option<Code>,
    /// Told as approved, minor units.
    pub approved: u64,
    /// The leg under way, as it ended.
    pub leg: LegEnd,
}

/// What the surroundings allow.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    pub partial: bool,
    /// The next leg's whole time-out fits what is left of the plan's deadline (rule 17).
    pub next_fits: bool,
}

/// `Code` of a partial approval.
pub const PARTIAL: Code = Code::new(*b"10");

pub fn next(tx: &OpenTx, result: LegResult, allowed: Allowed) -> Next {
    let end = |reason, code, approved, state, agreed| {
        Next::End(End { reason, code, approved, leg: LegEnd { state, agreed } })
    };
    let total = tx.intent.money.minor;
    match result {
        LegResult::Approved(agreed) => match later_amount(tx, agreed) {
            None | Some(0) if is_single(tx) => {
                end(Reason::Approved, Some(Code::APPROVED), agreed, LegState::Approved, agreed)
            }
            None | Some(0) => end(Reason::Approved, Some(Code::APPROVED), total, LegState::Approved, agreed),
            Some(_) if !allowed.next_fits => end(Reason::TimedOut, None, 0, LegState::Approved, agreed),
            Some(amount) => Next::Start { agreed, amount },
        },
        LegResult::Partial(part) if allowed.partial && is_single(tx) => {
            let told = if planted(Planted::PartToldWhole) { total } else { part };
            end(Reason::Approved, Some(PARTIAL), told, LegState::Approved, part)
        }
        // A coupon that grants nothing: the bank is not asked for the whole (rule 18).
        LegResult::Partial(part) if is_coupon(tx) => end(Reason::Coupon, None, 0, LegState::Approved, part),
        LegResult::Partial(part) => end(Reason::PartialNotAllowed, None, 0, LegState::Approved, part),
        LegResult::Declined(code) if is_coupon(tx) => {
            end(Reason::Coupon, Some(code), 0, LegState::Declined, 0)
        }
        LegResult::Declined(code) => end(Reason::Declined, Some(code), 0, LegState::Declined, 0),
        LegResult::Silent if silence(tx) == Silence::Repeat && is_last(tx) => {
            end(Reason::Accepted, Some(Code::APPROVED), total, LegState::Sent, 0)
        }
        LegResult::Silent => end(Reason::TimedOut, None, 0, LegState::Sent, 0),
        LegResult::Unsent(Unsent::Pin) => end(Reason::PinFault, None, 0, LegState::NotSent, 0),
        LegResult::Unsent(Unsent::Unwritable) => end(Reason::Unsupported, None, 0, LegState::NotSent, 0),
        LegResult::Unsent(_) => end(Reason::IssuerDown, None, 0, LegState::NotSent, 0),
    }
}

/// One leg, and none to follow.
pub fn is_single(tx: &OpenTx) -> bool {
    tx.intent.legs.len() == 1 && tx.intent.later.is_empty()
}

/// No leg follows the one under way.
fn is_last(tx: &OpenTx) -> bool {
    tx.intent.later.len() < tx.intent.legs.len()
}

/// The amount of the leg that follows the one under way, if one does.
fn later_amount(tx: &OpenTx, agreed: u64) -> Option<u64> {
    let later = tx.intent.later.get(tx.intent.legs.len() - 1)?;
    let before: u64 = tx.ends.iter().map(|end| end.agreed).sum();
    let before = if planted(Planted::CouponAndWhole) { 0 } else { before + agreed };
    Some(later.amount.unwrap_or(tx.intent.money.minor.saturating_sub(before)))
}

/// The leg under way asks the coupon platform.
fn is_coupon(tx: &OpenTx) -> bool {
    tx.intent.legs.last().is_some_and(|leg| leg.role == LegRole::CouponPlatform)
}

fn silence(tx: &OpenTx) -> Silence {
    tx.intent.legs.last().map_or(Silence::Nothing, |leg| leg.silence)
}
