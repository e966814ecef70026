//! The load generator and the simulated issuers of Yika, as a library: the demo, the bench and the tests use it.
//!
//! Both sides keep a ledger; [`reconcile()`] compares them to the fen. Nothing here knows the switch: terminals and
//! issuers speak a dialect over TCP to whatever stands between them. Only test cards are ever sent.

mod books;
mod cards;
mod clock;
mod compose;
mod crew;
pub mod issuer;
mod keys;
mod latencies;
pub mod ledger;
mod mix;
mod pace;
pub mod reconcile;
pub mod report;
pub mod run;
mod script;
mod terminals;
mod text;
mod wire;

pub use books::{BookCounts, Role};
pub use cards::{CardsError, TEST_PIN, TEST_PREFIXES};
pub use crew::{BadFraming, Crew};
pub use issuer::{Desk, IssuerConfig, IssuerError, IssuerHandle, IssuerStats};
pub use keys::{TestKeyError, test_mac_key, test_pin_key};
pub use latencies::{Latencies, Percentiles};
pub use ledger::{Ledger, LedgerError};
pub use mix::{Act, Mix, MixError};
pub use pace::Arrivals;
pub use reconcile::{Reconciliation, reconcile};
pub use report::{Limits, Progress, Report, Verdict};
pub use run::{Load, RunConfig, RunError, RunHandle};
pub use script::{Delay, Script, ScriptError, Share, parse_duration};
pub use terminals::Policy;
pub use text::Text;
pub use wire::{Wire, WireError};
