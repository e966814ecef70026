//! What a run is: target, load, mix and limits, checked once before the first connection.

use crate::cards::{self, CardsError, TEST_PREFIXES};
use crate::clock::now_s;
use crate::compose::{Composer, base36};
use crate::mix::{Mix, MixError};
use crate::pace::Arrivals;
use crate::report::Limits;
use crate::script::Share;
use crate::terminals::{Plan, Policy};
use crate::wire::Wire;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use yika_keystore::PinKey;

/// How requests come about.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Load {
    /// By a schedule that waits for nobody; what finds no idle terminal is counted as skipped.
    Open {
        /// Requests per second.
        rate: f64,
        /// Their distances.
        arrivals: Arrivals,
        /// Terminals, which bound how many requests are under way.
        terminals: u32,
    },
    /// Each connection keeps this many under way; its figures say how fast, not how late.
    Closed {
        /// Requests under way on each connection.
        outstanding: u32,
    },
}

/// A run.
#[derive(Clone)]
pub struct RunConfig {
    /// Where to connect; connections are spread over all.
    pub targets: Vec<SocketAddr>,
    /// How messages look.
    pub wire: Wire,
    /// Open schedule or closed window.
    pub load: Load,
    /// Connections.
    pub connections: u32,
    /// How long requests begin, warm-up included.
    pub duration: Duration,
    /// Requests due in this time at the start are not measured.
    pub warm_up: Duration,
    /// What terminals do.
    pub mix: Mix,
    /// Smallest and largest amount, fen.
    pub amounts_fen: (u64, u64),
    /// Card prefixes, some of [`TEST_PREFIXES`].
    pub prefixes: Vec<String>,
    /// Cards under each prefix.
    pub cards: u32,
    /// First two characters of each F41.
    pub terminal_prefix: [u8; 2],
    /// What to do when no answer comes.
    pub policy: Policy,
    /// The terminals' PIN key, needed when some payments have a PIN.
    pub pin: Option<PinKey>,
    /// Payments with a PIN.
    pub pin_share: Share,
    /// Connect again when a connection is lost.
    pub reconnect: bool,
    /// Sign on by 0800 on each new connection.
    pub sign_on: bool,
    /// Seeds kinds, amounts, cards and arrivals.
    pub seed: u64,
    /// What the report is judged by.
    pub limits: Limits,
    /// For the ledger.
    pub name: String,
    /// Seconds since 1970 that its references are made of, so that runs do not share any; None takes the clock's.
    pub began_s: Option<u32>,
}

impl RunConfig {
    /// Purchases at 100 per second for 10 s, on 4 connections.
    pub fn new(target: SocketAddr, wire: Wire) -> RunConfig {
        RunConfig {
            targets: vec![target],
            wire,
            load: Load::Open { rate: 100.0, arrivals: Arrivals::Even, terminals: 1000 },
            connections: 4,
            duration: Duration::from_secs(10),
            warm_up: Duration::ZERO,
            mix: Mix::default(),
            amounts_fen: (100, 20_000),
            prefixes: TEST_PREFIXES.map(str::to_owned).to_vec(),
            cards: 1000,
            terminal_prefix: *b"LG",
            policy: Policy::default(),
            pin: None,
            pin_share: Share::NONE,
            reconnect: true,
            sign_on: false,
            seed: 1,
            limits: Limits::default(),
            name: "terminals".to_owned(),
            began_s: None,
        }
    }

    pub(crate) fn plan(&self) -> Result<Plan, RunError> {
        let limit = |what, found: u64, low: u64, high: u64| {
            if (low..=high).contains(&found) {
                Ok(())
            } else {
                Err(RunError::Limit { what, found, low, high })
            }
        };
        let (terminals, closed) = match self.load {
            Load::Open { rate, terminals, .. } => {
                if !(rate.is_finite() && rate > 0.0 && rate <= RATE_MAX) {
                    return Err(RunError::Rate { rate });
                }
                (terminals, false)
            }
            Load::Closed { outstanding } => (self.connections.saturating_mul(outstanding), true),
        };
        limit("target addresses", self.targets.len() as u64, 1, 1000)?;
        limit("connections", u64::from(self.connections), 1, 10_000)?;
        limit("terminals", u64::from(terminals), 1, TERMINALS_MAX)?;
        limit("seconds", self.duration.as_secs(), 0, DURATION_S_MAX)?;
        limit("largest amount in fen", self.amounts_fen.1, self.amounts_fen.0.max(1), AMOUNT_FEN_MAX)?;
        limit("smallest amount in fen", self.amounts_fen.0, 1, AMOUNT_FEN_MAX)?;
        if self.pin_share > Share::NONE && self.pin.is_none() {
            return Err(RunError::PinKeyMissing);
        }
        self.mix.check(&self.wire.dialect)?;
        let began_s = self.began_s.unwrap_or_else(now_s);
        let tag = u64::from(began_s).wrapping_mul(31).wrapping_add(self.seed);
        Ok(Plan {
            composer: Composer {
                wire: self.wire.clone(),
                cards: cards::make(&self.prefixes, self.cards, self.pin.as_ref())?,
                terminal_prefix: self.terminal_prefix,
                run_tag: base36(tag),
            },
            mix: self.mix.clone(),
            policy: self.policy,
            connections: self.connections,
            terminals,
            closed,
            sign_on: self.sign_on,
            amount_min: self.amounts_fen.0,
            amount_max: self.amounts_fen.1,
            pin_share: self.pin_share,
            seed: self.seed,
            warm_up_ns: nanos(self.warm_up),
            end_ns: nanos(self.duration),
        })
    }
}

/// Far above what one thread can send.
const RATE_MAX: f64 = 5_000_000.0;

/// Six digits of F41 are the terminal's number.
const TERMINALS_MAX: u64 = 1_000_000;

/// A day: every run ends.
const DURATION_S_MAX: u64 = 86_400;

/// F4 has twelve digits.
const AMOUNT_FEN_MAX: u64 = 999_999_999_999;

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A number out of its range.
    #[error("{found} {what}; take {low} to {high}")]
    Limit {
        /// What it counts.
        what: &'static str,
        /// The number.
        found: u64,
        /// The least.
        low: u64,
        /// The most.
        high: u64,
    },
    /// A rate that no schedule has.
    #[error("a rate of {rate} requests/s; take one above 0 and up to {RATE_MAX}")]
    Rate {
        /// The rate.
        rate: f64,
    },
    /// PINs are asked for, and no key is given.
    #[error("some payments are to have a PIN, but there is no PIN key; give one")]
    PinKeyMissing,
    /// The mix does not go with the dialect.
    #[error(transparent)]
    Mix(#[from] MixError),
    /// The cards cannot be made.
    #[error(transparent)]
    Cards(#[from] CardsError),
    /// No thread or runtime.
    #[error("the run has no thread: {source}")]
    Thread {
        /// What the system said.
        source: io::Error,
    },
    /// The thread of the run panicked; it has said why.
    #[error("the thread of the run has panicked")]
    Panicked,
}
