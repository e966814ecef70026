//! The configuration of the small world: one acquirer with an iso87-ascii and a pos-bcd listener, two banks,
//! the coupon platform.

use std::sync::Arc;
use std::time::Duration;
use yika_codec::Dialect;
use yika_switch::config::{
    AdminBounds, Config, Environment, JournalConfig, LinkConfig, ListenerConfig, ParticipantConfig,
    RimBounds, RouteConfig, Sharing, SignOn, Unlock,
};
use yika_switch::core::entry::Limits;
use yika_switch::core::settings::{AnswerMatch, Bounds};

/// Bank of prefixes 411111 and 6210, iso87-ascii.
pub const BANK_A: &str = "bank-a";
/// Bank of prefix 6222, pos-bcd.
pub const BANK_B: &str = "bank-b";
pub const COUPONS: &str = "coupons";
pub const ACQUIRER: &str = "acquirer";
/// How long a bank may take.
pub const TIMEOUT_MS: u64 = 3_000;

pub fn dialect(name: &str) -> Arc<Dialect> {
    Dialect::builtin(name).unwrap()
}

pub fn link(dialect_name: &str, port: u16) -> LinkConfig {
    let dialect = dialect(dialect_name);
    LinkConfig {
        framing: dialect.framing(),
        answer_match: AnswerMatch { sent_at: dialect_name == "iso87-ascii", terminal: true, rrn: true },
        dialect,
        connect: vec![([127, 0, 0, 1], port).into()],
        lines: 1,
        sharing: Sharing::All,
        sign_on: SignOn::None,
        connect_timeout: Duration::from_secs(2),
        reconnect_first: Duration::from_millis(50),
        reconnect_max: Duration::from_millis(500),
        echo_idle: Duration::ZERO,
        timeout: Duration::from_millis(TIMEOUT_MS),
        inflight_max: 10_000,
        saf_window: 8,
        backoff_first: Duration::from_millis(500),
        backoff_max: Duration::from_secs(30),
        stand_in: None,
        partial_approval: false,
        forward_unknown_original: false,
    }
}

pub fn participant(name: &str, link: Option<LinkConfig>) -> ParticipantConfig {
    ParticipantConfig {
        name: name.into(),
        link,
        mac_key: None,
        gate_keys: Vec::new(),
        pin_key: None,
        kek: None,
        key_change: None,
        coupon_platform: name == COUPONS,
    }
}

fn listener(dialect_name: &str) -> ListenerConfig {
    let dialect = dialect(dialect_name);
    ListenerConfig {
        address: ([127, 0, 0, 1], 0).into(),
        participant: ACQUIRER.into(),
        framing: dialect.framing(),
        dialect,
        currency: 156,
        currencies: Vec::new(),
        deadline: Duration::from_secs(20),
        sign_on_required: false,
        sign_in: None,
        terminals: None,
        gate: None,
    }
}

pub fn config() -> Config {
    Config {
        environment: Environment::Test,
        data_dir: "unused".into(),
        key_file: None,
        unlock: Unlock::File,
        test_keys: Vec::new(),
        hsm: None,
        hsm_keys: Vec::new(),
        admin: None,
        admin_bounds: AdminBounds {
            connections_max: 32,
            time: Duration::from_secs(10),
            request_bytes_max: 64 << 10,
        },
        institution: "10000001".into(),
        zone_minutes: 480,
        cut_over_minute: None,
        completion_percent_max: 115,
        drain: Duration::from_secs(5),
        limits: Limits { dedupe_window_ms: 600_000, original_window_ms: 86_400_000, originals_max: 100_000 },
        bounds: Bounds {
            open_max: 10_000,
            dedupe_max: 100_000,
            taps_max: 100_000,
            tap_window_ms: 3 * 86_400_000,
            batches_max: 1_000,
            tap_sums_max: 100,
            obligations_max: 10_000,
            copies_max: 8,
            fetches_max: 64,
            late_max: 10_000,
            currencies_max: 32,
            terminals_max: 10_000,
        },
        rim: RimBounds {
            sessions_max: 100,
            session_inflight_max: 1000,
            out_bytes_max: 1 << 20,
            frame_bytes_max: 8192,
            message_bytes_max: 8 << 20,
            idle: Duration::from_secs(3600),
        },
        journal: JournalConfig { segment_bytes: 512 * 1024, pending_bytes_max: 1 << 20 },
        participants: vec![
            participant(ACQUIRER, None),
            participant(BANK_A, Some(link("iso87-ascii", 1))),
            participant(BANK_B, Some(link("pos-bcd", 2))),
            participant(COUPONS, Some(link("iso87-ascii", 3))),
        ],
        listeners: vec![listener("iso87-ascii"), listener("pos-bcd")],
        routes: vec![
            RouteConfig { prefix: "411111".into(), to: BANK_A.into() },
            RouteConfig { prefix: "6210".into(), to: BANK_A.into() },
            RouteConfig { prefix: "6222".into(), to: BANK_B.into() },
        ],
    }
}
