//! Faults planted on purpose, one at a time, to see that the simulated worlds find each of them. They exist only where
//! debug assertions do: a release has none of this.

/// The enum and the list of all in it, from one list.
macro_rules! planted_faults {
    ($($(#[$what:meta])* $name:ident,)*) => {
        /// What is wrong while it is chosen.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Planted {
            $($(#[$what])* $name,)*
        }

        impl Planted {
            pub const ALL: &[Planted] = &[$(Planted::$name),*];
        }
    };
}

planted_faults! {
    /// Effects leave before their batch is durable.
    ReleasedEarly,
    /// A commit is not synced.
    NoSync,
    /// A start does not write again what no watermark vouches for.
    NoTailAgain,
    /// A frame that a watermark vouches for is cut like a torn one.
    WatermarkIgnored,
    /// Records stand in the padding of their frame, in clear.
    ClearPadding,
    /// A copy of an ended request is a new transaction.
    CopyIsNew,
    /// A copy of a declined request is told an approval.
    CopyToldApproved,
    /// A dedupe key is forgotten after a thousandth of its window.
    KeysForgottenEarly,
    /// Nothing is owed from a leg that was not answered.
    SilenceOwesNothing,
    /// A payment that was not answered is told as approved.
    SilenceToldApproved,
    /// Legs never time out.
    NoTimeOut,
    /// A refusal for the moment discharges.
    BusyDischarges,
    /// A start leaves one transaction in doubt.
    DoubtLeftOpen,
    /// A start forgets to send what was owed.
    OwedNotQueued,
    /// An outcome's obligations are not kept.
    OwedNotKept,
    /// A late approval is not looked at.
    LateIgnored,
    /// A reversal that comes first is not remembered.
    EarlyReversalForgotten,
    /// A reversal in flight is answered, and nothing ends.
    ReversalInFlightIgnored,
    /// A reversal finds another message of its payment by F37.
    ReversalByF37,
    /// A coupon is not given back.
    CouponKept,
    /// The bank is asked for the whole beside the coupon.
    CouponAndWhole,
    /// A part is told as the whole.
    PartToldWhole,
    /// A stand-in approval is never advised.
    StandInUnadvised,
    /// Each attempt of an obligation has a new F11.
    FreshTraceNumbers,
    /// An agreed amount is booked twice.
    BookedTwice,
    /// What is owed from a closed date is carried to nowhere.
    CarriedNowhere,
    /// What a reversal undoes is not known to its book.
    StoodForgotten,
    /// A tap that is stored is not known when it comes again.
    TapStoredAgain,
    /// What a part stored is not added to the sums.
    TapsNotSummed,
    /// A gateway is told verdicts of another date than the taps count for.
    TapDateOfToday,
    /// A reference names any payment.
    ReferenceIgnored,
    /// What a part repeats is counted again.
    BatchCountsRepeats,
    /// State changes beside the entries.
    StateBesideEntries,
}

/// The chosen one, counted from 1; 0 for none.
#[cfg(debug_assertions)]
static CHOSEN: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// Whether the switches of this process have this fault. Never, in a release.
#[inline(always)]
pub(crate) fn planted(fault: Planted) -> bool {
    #[cfg(debug_assertions)]
    return CHOSEN.load(std::sync::atomic::Ordering::Relaxed) == fault as usize + 1;
    #[cfg(not(debug_assertions))]
    {
        let _ = fault;
        false
    }
}

/// Gives the switches of this process a fault from now on.
#[cfg(debug_assertions)]
pub fn choose(fault: Planted) {
    CHOSEN.store(fault as usize + 1, std::sync::atomic::Ordering::Relaxed);
}
