//! The configuration, checked: what `yika serve` runs on. Parsed once, at the start; after that nobody
//! checks again. Every key documents unit, default, effect and limit in `configs/reference.toml`.

mod addresses;
mod build;
mod check;
mod dialects;
mod doc;
mod error;
mod hsm;
mod read;
mod risk;
mod rows;
mod terminals;
#[cfg(test)]
mod tests;
pub mod units;

pub use build::{core_settings, participant_names, ways};
pub use error::{ConfigError, ConfigErrors};
pub use read::{load, parse};
pub use rows::{ALGORITHMS, USAGES};
pub use terminals::Terminals;

use crate::core::entry::Limits;
use crate::core::settings::{AnswerMatch, Bounds, StandIn};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use yika_codec::{Dialect, Framing};
use yika_keystore::{Algorithm, Mode, Usage};

#[derive(Clone)]
pub struct Config {
    pub environment: Environment,
    /// Folder of the journal, the lock and the control socket.
    pub data_dir: PathBuf,
    /// The key file; None: keys live in memory, made from `test_keys` under the test master key.
    pub key_file: Option<PathBuf>,
    /// How the master key of the key file comes at a start.
    pub unlock: Unlock,
    pub test_keys: Vec<TestKey>,
    /// Where PIN keys live that this process never holds; None: in the key file.
    pub hsm: Option<HsmConfig>,
    pub hsm_keys: Vec<HsmKey>,
    pub admin: Option<SocketAddr>,
    pub admin_bounds: AdminBounds,
    /// F32 of what we send.
    pub institution: String,
    pub zone_minutes: i32,
    pub cut_over_minute: Option<u32>,
    pub completion_percent_max: u64,
    /// How long a drain may take before what is in flight is left to recovery.
    pub drain: Duration,
    pub limits: Limits,
    pub bounds: Bounds,
    pub rim: RimBounds,
    pub journal: JournalConfig,
    pub participants: Vec<ParticipantConfig>,
    pub listeners: Vec<ListenerConfig>,
    pub routes: Vec<RouteConfig>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Environment {
    /// Test keys and plain loopback listeners are fine.
    Test,
    /// Test keys are refused.
    Production,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unlock {
    /// From the file that `YIKA_LMK_FILE` names.
    File,
    /// From custodians, who give their shares one after another.
    Custodians,
}

/// An HSM that is asked by host commands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HsmConfig {
    /// In order of preference.
    pub connect: Vec<SocketAddr>,
    /// Characters of the header that it echoes.
    pub header_length: usize,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Connections to each address.
    pub connections: usize,
    /// PINs that wait for it; with more, a payment with a PIN is declined at once.
    pub waiting_max: usize,
}

/// A key as the HSM gave it: under the HSM's own master key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HsmKey {
    pub name: String,
    pub block: String,
}

/// A key that anybody may know, from components in the configuration; refused in production.
#[derive(Clone)]
pub struct TestKey {
    pub name: String,
    pub usage: Usage,
    pub algorithm: Algorithm,
    pub mode: Mode,
    pub components: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, Debug)]
pub struct JournalConfig {
    pub segment_bytes: u64,
    pub pending_bytes_max: u64,
}

/// Bounds of sockets and buffers (P9).
#[derive(Clone, Copy, Debug)]
pub struct RimBounds {
    pub sessions_max: usize,
    /// Requests of one session that wait for their answer; beyond it the session is not read.
    pub session_inflight_max: usize,
    /// Answers a session has not read; beyond it the session is closed.
    pub out_bytes_max: usize,
    pub frame_bytes_max: usize,
    /// Live messages, all together; beyond it requests get no answer, and a repeat is a new attempt.
    pub message_bytes_max: usize,
    /// A session that sends nothing for so long is closed.
    pub idle: Duration,
}

/// Bounds of the admin port and of the control socket, each for itself (P9).
#[derive(Clone, Copy, Debug)]
pub struct AdminBounds {
    /// More are closed at once.
    pub connections_max: usize,
    /// From connecting to the last byte of the answer.
    pub time: Duration,
    /// What one connection may say; closed when it says more.
    pub request_bytes_max: usize,
}

#[derive(Clone)]
pub struct ParticipantConfig {
    pub name: String,
    /// None: an acquirer, which connects to us.
    pub link: Option<LinkConfig>,
    pub mac_key: Option<String>,
    /// Zone keys of its gateways: the one in use, and the next while both are good.
    pub gate_keys: Vec<String>,
    pub pin_key: Option<String>,
    /// The key-encryption key under which new working keys travel, in either direction.
    pub kek: Option<String>,
    /// How old a working key becomes before we offer another; None: only when an operator says so.
    pub key_change: Option<Duration>,
    pub coupon_platform: bool,
}

/// How we reach a participant's host.
#[derive(Clone)]
pub struct LinkConfig {
    pub dialect: Arc<Dialect>,
    pub framing: Framing,
    /// In order of preference.
    pub connect: Vec<SocketAddr>,
    /// Connections to each address.
    pub lines: u16,
    pub sharing: Sharing,
    pub sign_on: SignOn,
    pub connect_timeout: Duration,
    pub reconnect_first: Duration,
    pub reconnect_max: Duration,
    /// An idle line is asked for a sign of life after this; zero: never.
    pub echo_idle: Duration,
    pub timeout: Duration,
    pub answer_match: AnswerMatch,
    pub inflight_max: usize,
    pub saf_window: usize,
    pub backoff_first: Duration,
    pub backoff_max: Duration,
    pub stand_in: Option<StandIn>,
    pub partial_approval: bool,
    pub forward_unknown_original: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sharing {
    /// Requests go round all open lines.
    All,
    /// Requests go to the first open line in the order of `connect`.
    Primary,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignOn {
    /// No sign-on is sent; a line is open once connected.
    None,
    /// A line is open once its 0800 sign-on was answered 00.
    Required,
}

#[derive(Clone)]
pub struct ListenerConfig {
    pub address: SocketAddr,
    /// The acquirer whose terminals connect here.
    pub participant: String,
    pub dialect: Arc<Dialect>,
    pub framing: Framing,
    /// F49 where a message has none.
    pub currency: u16,
    /// Currencies taken; empty: all.
    pub currencies: Vec<u16>,
    pub deadline: Duration,
    /// Terminals must sign on before anything else.
    pub sign_on_required: bool,
    /// Those that may pay here; None: all.
    pub terminals: Option<Arc<Terminals>>,
    /// Terminals get their working keys by signing in.
    pub sign_in: Option<SignInConfig>,
    /// The gateway protocol is spoken here; `dialect` is then what its payments are read by.
    pub gate: Option<GateConfig>,
}

/// How terminals get working keys (F62 of the answer to their sign-in).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignInConfig {
    pub layout: SignInLayout,
    /// The master key of a terminal is named so, with its F41 behind.
    pub kek_prefix: String,
    /// What their MACs are.
    pub mac: Usage,
}

/// F62 with working keys, by its length in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignInLayout {
    /// PIN and MAC key of 8 bytes, each with 4 of its check value: single DES.
    L24,
    /// PIN key of 16 bytes, MAC key of 8 filled up with zeros to 16, each with 4 of its check value.
    L40,
    /// PIN, MAC and track key of 16 bytes, each with 3 of its check value.
    L57,
    /// The same with 4.
    L60,
    /// The same with keys of 24 bytes.
    L84,
}

impl SignInLayout {
    /// The length of F62.
    pub fn bytes(self) -> usize {
        match self {
            SignInLayout::L24 => 24,
            SignInLayout::L40 => 40,
            SignInLayout::L57 => 57,
            SignInLayout::L60 => 60,
            SignInLayout::L84 => 84,
        }
    }
}

/// What a listener offers to gateways.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GateConfig {
    /// Who has said nothing for so long sends a heartbeat.
    pub heartbeat: Duration,
    /// Records that may be under way at once on one connection.
    pub credits: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteConfig {
    pub prefix: String,
    pub to: String,
}
