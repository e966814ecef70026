//! What goes wrong in a run, and when. Faults are a list beside the seed: leaving one out changes nothing else.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// One fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    pub kind: FaultKind,
    pub at_us: u64,
    /// How long it lasts, where it lasts.
    pub lasts_us: u64,
    /// Which one it hits: a bank, a line, a connection, as many as there are.
    pub pick: u64,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident,)+) => {
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum FaultKind { $($(#[$doc])* $kind,)+ }

        impl FaultKind {
            pub const ALL: &[FaultKind] = &[$(FaultKind::$kind),+];
        }
    };
}

kinds! {
    /// The machine loses power: of what was not synced, any sectors may have reached the disk.
    PowerCut,
    /// It loses power, and again while it starts.
    PowerCutTwice,
    /// The process is killed; what it wrote stays.
    Kill,
    /// An operator stops the switch, which drains, and starts it.
    Drain,
    /// A bank closes its connections and refuses new ones.
    BankDown,
    /// A bank takes no byte from its connections.
    BankDeaf,
    /// A bank answers nothing until it is over.
    BankStalls,
    /// One connection to a bank breaks; what is under way on it is lost.
    LineCut,
    /// One connection of terminals breaks.
    SessionCut,
    /// A bank closes its side of a connection; what is on its way to it still arrives, and is answered to nobody.
    LineHalfClosed,
    /// Every request reaches a bank twice.
    BankDoubles,
    /// Bytes of what a bank says are others; the MACs tell.
    BankGarbles,
    /// A bank signs off, and on again when it is over.
    BankSignsOff,
    /// A gateway has said all on one connection, and waits for its answers.
    SessionHalfClosed,
    /// A gateway sends everything twice, hears nothing, and loses its connection in the end.
    GatewayDoubles,
    /// Bytes of what terminals send on one connection are others; the MACs tell.
    GatewayGarbles,
    /// What one line carries to its bank arrives only when it is over; what other lines carry overtakes it.
    LineSlow,
    /// Requests on one connection of terminals are held back until it is over; reversals pass them.
    GatewayHolds,
    /// Somebody asks for what cannot be had: nobody's card, no amount, a strange currency, an unknown payment.
    Outsider,
    /// Terminals do not read.
    TerminalDeaf,
    /// Something that is no message comes on a connection of terminals.
    SessionGarbage,
    /// Something that is no message comes from a bank.
    LineGarbage,
    /// Commits take a hundred times as long.
    SlowDisk,
    /// A write of the journal fails.
    FailedWrite,
    /// A sync of the journal fails.
    FailedSync,
    /// No file can be made.
    FullDisk,
    /// The wall clock jumps ahead.
    ClockAhead,
    /// The wall clock is set back.
    ClockBack,
    /// An operator, or a bank by its message, moves the business date on.
    CutOver,
    /// An operator drains a participant until it is over.
    ParticipantDrained,
    /// An operator settles an obligation by name.
    Settled,
    /// An operator signs all terminals off; they sign on again when it is over.
    TerminalsSignedOff,
    /// Power is lost and a bit of what was durable is flipped: the start must refuse; the disk is then mended.
    BitRot,
}

impl FaultKind {
    /// Whether the switch ends by it.
    pub fn ends_the_process(self) -> bool {
        use FaultKind::{BitRot, Drain, FailedSync, FailedWrite, Kill, PowerCut, PowerCutTwice};
        matches!(self, PowerCut | PowerCutTwice | Kill | Drain | FailedWrite | FailedSync | BitRot)
    }
}

/// The faults of a seed, in order, all within the first `run_us`.
pub fn plan(seed: u64, run_us: u64) -> Vec<Fault> {
    let mut random = StdRng::seed_from_u64(seed ^ 0x6661_756c_7473);
    let count = random.random_range(3..14);
    let mut faults: Vec<Fault> = (0..count)
        .map(|_| Fault {
            kind: FaultKind::ALL[random.random_range(0..FaultKind::ALL.len())],
            at_us: random.random_range(run_us / 10..run_us),
            lasts_us: random.random_range(50_000..4_000_000),
            pick: random.random(),
        })
        .collect();
    if random.random_bool(0.3) {
        // An outage over the change of the date: what is owed is carried.
        let at_us = random.random_range(3_000_000..4_900_000);
        let pick = random.random();
        faults.push(Fault { kind: FaultKind::BankDown, at_us, lasts_us: 8_000_000, pick });
    }
    faults.sort_by_key(|fault| fault.at_us);
    faults
}
