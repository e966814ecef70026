//! The words of a dump: one for each thing that an entry may say. Scripts look for them, so they stay as they are when
//! the code's own names change.

use crate::core::entry::{
    CutOverTrigger, Discharge, Entry, KeyUse, LateEffect, LegState, OwedKind, Reason, ReversalOf, Silence,
    WorkingKey,
};

pub(super) fn entry(entry: &Entry) -> &'static str {
    match entry {
        Entry::Limits(_) => "limits",
        Entry::Named { .. } => "named",
        Entry::Intent(_) => "intent",
        Entry::Step(_) => "step",
        Entry::Outcome(_) => "outcome",
        Entry::Taken(_) => "taken",
        Entry::Late(_) => "late",
        Entry::Discharged { .. } => "discharged",
        Entry::Parked { .. } => "parked",
        Entry::Forgotten { .. } => "forgotten",
        Entry::CutOver { .. } => "cut-over",
        Entry::DateClosed { .. } => "date-closed",
        Entry::KeyEpoch { .. } => "key-epoch",
        Entry::SignedOff { .. } => "signed-off",
        Entry::TimePassed => "time-passed",
        Entry::Reached { .. } => "reached",
        Entry::Drained { .. } => "drained",
        Entry::TerminalSigned { .. } => "terminal-signed",
        Entry::TerminalsSignedOff => "terminals-signed-off",
        Entry::Taps(_) => "taps",
        Entry::BatchOpened(_) => "batch-opened",
        Entry::BatchEnded(_) => "batch-ended",
        Entry::Referenced { .. } => "referenced",
        Entry::TapWindow { .. } => "tap-window",
        Entry::Working(one) => match **one {
            WorkingKey::Sent { .. } => "key-sent",
            WorkingKey::Offered { .. } => "key-offered",
            WorkingKey::Withdrawn { .. } => "key-withdrawn",
            WorkingKey::Served(_) => "key-served",
            WorkingKey::SignedIn(_) => "terminal-keys",
            WorkingKey::Uses { .. } => "terminal-keys-used",
        },
    }
}

pub(super) fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Approved => "approved",
        Reason::Declined => "declined",
        Reason::StandIn => "stand-in",
        Reason::StandInLimit => "stand-in-limit",
        Reason::Accepted => "accepted",
        Reason::TimedOut => "timed-out",
        Reason::InDoubt => "in-doubt",
        Reason::Reversed => "reversed",
        Reason::NoRoute => "no-route",
        Reason::IssuerDown => "issuer-down",
        Reason::NotAllowed => "not-allowed",
        Reason::OriginalNotFound => "original-not-found",
        Reason::AmountMismatch => "amount-mismatch",
        Reason::Busy => "busy",
        Reason::PinFault => "pin-fault",
        Reason::PartialNotAllowed => "partial-not-allowed",
        Reason::Coupon => "coupon",
        Reason::BadAmount => "bad-amount",
        Reason::BadCurrency => "bad-currency",
        Reason::Unsupported => "unsupported",
    }
}

pub(super) fn silence(silence: Silence) -> &'static str {
    match silence {
        Silence::Reverse => "reverse",
        Silence::Repeat => "repeat",
        Silence::Nothing => "nothing",
    }
}

pub(super) fn state(state: LegState) -> &'static str {
    match state {
        LegState::Planned => "planned",
        LegState::Sent => "sent",
        LegState::Approved => "approved",
        LegState::Declined => "declined",
        LegState::Unknown => "unknown",
        LegState::NotSent => "not-sent",
        LegState::Compensated => "compensated",
    }
}

pub(super) fn reversal(found: ReversalOf) -> &'static str {
    match found {
        ReversalOf::Unknown { .. } => "unknown",
        ReversalOf::WithoutEffect => "without-effect",
        ReversalOf::InFlight(_) => "in-flight",
        ReversalOf::Kept(_) => "kept",
        ReversalOf::Undone(_) => "undone",
    }
}

pub(super) fn owed(kind: OwedKind) -> &'static str {
    match kind {
        OwedKind::Reverse => "reverse",
        OwedKind::Repeat => "repeat",
        OwedKind::Advice => "advice",
    }
}

pub(super) fn late(effect: &LateEffect) -> &'static str {
    match effect {
        LateEffect::None => "none",
        LateEffect::ReversalPending(_) => "reversal-pending",
        LateEffect::AlreadyReversed => "already-reversed",
        LateEffect::Reopened(_) => "reopened",
        LateEffect::Settles(_) => "settles",
        LateEffect::Excepted(_) => "excepted",
    }
}

pub(super) fn discharge(how: &Discharge) -> &'static str {
    match how {
        Discharge::Acknowledged { .. } => "acknowledged",
        Discharge::Unknown => "unknown",
        Discharge::Refused { .. } => "refused",
        Discharge::NeverSent => "never-sent",
        Discharge::Settled { .. } => "settled",
    }
}

pub(super) fn trigger(trigger: CutOverTrigger) -> &'static str {
    match trigger {
        CutOverTrigger::Start => "start",
        CutOverTrigger::Clock => "clock",
        CutOverTrigger::Message => "message",
        CutOverTrigger::Operator => "operator",
    }
}

pub(super) fn key_use(usage: KeyUse) -> &'static str {
    match usage {
        KeyUse::Mac => "mac",
        KeyUse::Pin => "pin",
    }
}
