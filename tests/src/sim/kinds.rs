//! The kinds that a run should meet: variants of what the journal holds, by name. Each list is made from the same line
//! as the function that tells a value's kind, so that a new variant cannot be left out.

use yika_switch::core::entry::{
    CutOverTrigger, Discharge, Entry, LateEffect, LegState, OwedKind, Reason, ReversalOf,
};
use yika_switch::driver::line::LineState;

/// What no run can meet yet, and why.
pub const NEVER: &[(&str, &str)] = &[
    ("entry KeyEpoch", "no bank of the load generator changes keys; `tests/rules/keys.rs` has some that do"),
    (
        "entry Working",
        "no bank of the load generator changes keys; `tests/rules/key_offers.rs` has some that do",
    ),
    ("outcome Busy", "a terminal has one request under way at a time; `tests/rules/life.rs` has two"),
    ("outcome AmountMismatch", "terminals ask for no more than was paid; `tests/rules/life.rs` does"),
    ("outcome PinFault", "worlds have no PINs; `tests/rules/pins.rs` has"),
    ("leg Sent", "what was sent and not answered is unknown when its outcome is written"),
    (
        "reversal Undone",
        "terminals reverse no payment that they have voided; `tests/rules/reversals.rs` does",
    ),
];

macro_rules! kinds {
    ($($group:literal $of:ident $type:ident: $($variant:ident)+;)+) => {
        $(
            /// The name of this kind.
            pub(super) fn $of(value: &$type) -> &'static str {
                match value {
                    $($type::$variant { .. } => concat!($group, " ", stringify!($variant)),)+
                }
            }
        )+

        /// All kinds there are.
        pub const ALL: &[&str] = &[$($(concat!($group, " ", stringify!($variant)),)+)+];
    };
}

kinds! {
    "entry" entry Entry: Named Limits Intent Step Outcome Taken Late Discharged Parked CutOver DateClosed KeyEpoch
        SignedOff TimePassed Reached Drained TerminalSigned TerminalsSignedOff Forgotten Taps
        BatchOpened BatchEnded Referenced TapWindow Working;
    "outcome" outcome Reason: Approved Declined StandIn StandInLimit Accepted TimedOut InDoubt Reversed NoRoute IssuerDown
        NotAllowed OriginalNotFound AmountMismatch Busy PinFault PartialNotAllowed Coupon BadAmount BadCurrency
        Unsupported;
    "leg" leg LegState: Planned Sent Approved Declined Unknown NotSent Compensated;
    "owed" owed OwedKind: Reverse Repeat Advice;
    "discharge" discharge Discharge: Acknowledged Unknown Refused NeverSent Settled;
    "late" late LateEffect: None ReversalPending AlreadyReversed Reopened Settles Excepted;
    "reversal" reversal ReversalOf: Unknown WithoutEffect InFlight Kept Undone;
    "cut-over" cut_over CutOverTrigger: Start Clock Message Operator;
    "line" line LineState: Down Connecting SigningOn Open;
}
