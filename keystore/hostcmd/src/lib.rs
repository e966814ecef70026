//! HSMs that speak payShield host commands over TCP: a backend of the keystore, and a simulator of such an HSM.
//!
//! [`Client`] is a [`yika_keystore::Backend`]: what it is asked becomes commands, several at a time on each of a few
//! connections, and the HSM does the work. [`hsm::Simulator`] answers the same commands with the keystore of this process,
//! for tests and for those who have no HSM at hand; the command `yika-hsm` runs it. `docs/hsm.md` has the layouts.
//!
//! A PIN is never clear on either side of the wire, and the wire shows no clear key: keys are key blocks under the HSM's
//! master key. Nothing here trusts a length or a field that came from outside.
#![warn(missing_docs)]

mod client;
mod code;
mod command;
mod fields;
pub mod frame;
pub mod hsm;
mod stream;
#[cfg(feature = "tls")]
pub mod tls;

pub use client::{Address, Client, ClientConfig, ClientError};
pub use stream::{Accepting, Connecting};
