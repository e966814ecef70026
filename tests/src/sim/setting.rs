//! The world of a seed before anything goes wrong: configuration, load, banks' scripts, delays.

use crate::keys::KeyRing;
use crate::setup::{BANK_A, BANK_B, COUPONS, config};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use yika_codec::Code;
use yika_keystore::{Keystore, MacKey};
use yika_loadgen::{Arrivals, Crew, Desk, IssuerConfig, Load, Mix, Policy, Role, RunConfig, Script, Wire};
use yika_switch::config::{Config, GateConfig, LinkConfig, ListenerConfig, Sharing, SignOn};
use yika_switch::core::settings::StandIn;

/// 2026-11-23 23:30:54 UTC: six seconds before the minute of the cut-over.
pub(super) const BEGINNING_MS: u64 = 1_795_476_654_000;
/// 07:31 local time.
const CUT_OVER_MINUTE: u32 = 451;

pub(super) struct Setting {
    pub(super) config: Config,
    pub(super) keys: Arc<Keystore>,
    pub(super) ring: KeyRing,
    /// The one key of all MACs, where there are any.
    pub(super) mac: Option<MacKey>,
    pub(super) run_us: u64,
    /// Operations a second of all terminals together.
    pub(super) rate: f64,
    pub(super) latency_us: Range<u64>,
    pub(super) commit_us: Range<u64>,
    scripts: [String; 3],
    /// What each bank answers to a reversal of what it does not know.
    unknown: [Code; 3],
    seed: u64,
    policy: Policy,
}

/// Terminals of each crew, and the connections that they share. Where they sign on, each has its own.
const TERMINALS: u32 = 12;
const CONNECTIONS: u32 = 3;

impl Setting {
    pub(super) fn of(seed: u64) -> Setting {
        let mut random = StdRng::seed_from_u64(seed ^ 0x7365_7474_696e);
        let mut config = config();
        let timeout_ms = random.random_range(300..2_000);
        for participant in &mut config.participants {
            let coupons = participant.coupon_platform;
            if let Some(link) = &mut participant.link {
                shape(link, &mut random, timeout_ms, coupons);
            }
        }
        for listener in &mut config.listeners {
            listener.deadline = Duration::from_millis(timeout_ms * random.random_range(2..5));
        }
        config.journal.segment_bytes = random.random_range(48..200) * 4096;
        config.bounds.open_max = random.random_range(8..400);
        // A terminal that repeats beyond the window is told 94, and its belief is no longer the switch's doing.
        let small = random.random_bool(0.2);
        config.bounds.dedupe_max = if small { 60 } else { 100_000 };
        config.limits.dedupe_window_ms = if small { 100_000 } else { random.random_range(100_000..600_000) };
        shape_owed(&mut config, seed);
        let (ring, keys, mac) = shape_keys(&mut config, seed);
        shape_gateways(&mut config, seed);
        // The listeners' own has a place; no other gets one.
        config.bounds.currencies_max = 0;
        config.rim.session_inflight_max = random.random_range(2..200);
        config.cut_over_minute = random.random_bool(0.5).then_some(CUT_OVER_MINUTE);
        let latency_us = random.random_range(20..400);
        let commit_us = random.random_range(50..2_000);
        let scripts = std::array::from_fn(|_| script(&mut random, timeout_ms));
        Setting {
            config,
            keys: Arc::new(keys),
            ring,
            mac,
            unknown: std::array::from_fn(|bank| unknown(seed, bank as u64)),
            run_us: random.random_range(4_000_000..14_000_000),
            rate: random.random_range(5.0..40.0),
            latency_us: latency_us..latency_us * random.random_range(2..40),
            commit_us: commit_us..commit_us * random.random_range(2..10),
            scripts,
            seed,
            policy: Policy {
                // Some lose patience before the switch does.
                answer_timeout: Duration::from_millis(timeout_ms * random.random_range(2..24) / 4 + 100),
                repeats: random.random_range(0..4),
                retry_pause: Duration::from_millis(random.random_range(100..1_500)),
            },
        }
    }

    /// Of each crew.
    pub(super) fn connections(&self) -> u32 {
        let own = self.config.listeners.iter().any(|listener| listener.sign_on_required);
        if own { TERMINALS } else { CONNECTIONS }
    }

    /// The terminals: one crew in each dialect.
    pub(super) fn crews(&self) -> Vec<Crew> {
        let mixes = [
            "purchase=40,coupon=15,void=8,refund=8,pre-auth=8,completion=6,pre-auth-cancel=3,completion-cancel=3,\
             balance=3,reversal=6,advice=4",
            "purchase=45,void=10,refund=8,pre-auth=9,completion=7,pre-auth-cancel=4,completion-cancel=3,balance=4,\
             reversal=7",
        ];
        let dialects = [("iso87-ascii", *b"SA"), ("pos-bcd", *b"SB")];
        let crew = |(at, (dialect, prefix)): (usize, (&str, [u8; 2]))| {
            let wire = Wire::named(dialect, None, self.mac.clone()).expect("a built-in dialect");
            let mut run = RunConfig::new(([127, 0, 0, 1], 1).into(), wire);
            run.load = Load::Open { rate: self.rate, arrivals: Arrivals::Poisson, terminals: TERMINALS };
            run.connections = self.connections();
            run.sign_on = self.config.listeners[at].sign_on_required;
            run.mix = mixes[at].parse::<Mix>().expect("a mix");
            run.cards = 4;
            run.terminal_prefix = prefix;
            run.policy = self.policy;
            run.seed = self.seed.wrapping_mul(2) + at as u64;
            run.began_s = Some(run.seed as u32);
            Crew::new(&run).expect("a run that can be run")
        };
        dialects.into_iter().enumerate().map(crew).collect()
    }

    /// The banks and the coupon platform, by name.
    pub(super) fn desks(&self) -> Vec<(&'static str, Desk)> {
        let hosts = [(BANK_A, "iso87-ascii"), (BANK_B, "pos-bcd"), (COUPONS, "iso87-ascii")];
        let desk = |(at, (name, dialect)): (usize, (&'static str, &str))| {
            let wire = Wire::named(dialect, None, self.mac.clone()).expect("a built-in dialect");
            let mut host = IssuerConfig::new(name, ([127, 0, 0, 1], 1).into(), wire);
            host.script = self.scripts[at].parse::<Script>().expect("a script");
            host.seed = self.seed;
            host.reversal_unknown = self.unknown[at];
            if name == COUPONS {
                host.role = Role::CouponPlatform;
            }
            (name, Desk::new(&host))
        };
        hosts.into_iter().enumerate().map(desk).collect()
    }
}

const MAC: &str = "mac-of-all";
/// The zone key of all gateways.
pub(super) const ZONE: &str = "zone-of-all";

/// A bound of late answers that is reached.
pub(super) const TINY_LATE_MAX: usize = 20;

/// How much may be owed and watched for. Drawn apart, so that what else a seed means stays.
fn shape_owed(config: &mut Config, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed ^ 0x6f77_6564);
    if random.random_bool(0.3) {
        config.bounds.obligations_max = random.random_range(8..80);
    }
    if random.random_bool(0.3) {
        config.bounds.late_max = random.random_range(1..=TINY_LATE_MAX);
    }
}

/// Half of the worlds have MACs on all lines and sessions, a quarter has terminals that sign on.
fn shape_keys(config: &mut Config, seed: u64) -> (KeyRing, Keystore, Option<MacKey>) {
    let mut random = StdRng::seed_from_u64(seed ^ 0x6b65_7973);
    if random.random_bool(0.25) {
        config.listeners.iter_mut().for_each(|listener| listener.sign_on_required = true);
    }
    if random.random_bool(0.5) {
        let (ring, keys) = KeyRing::agreed(&[ZONE]);
        return (ring, keys, None);
    }
    for participant in &mut config.participants {
        participant.mac_key = Some(MAC.to_owned());
    }
    let (ring, keys) = KeyRing::agreed(&[MAC, ZONE]);
    let mac = ring.mac(MAC);
    (ring, keys, Some(mac))
}

/// A listener of gateways behind those of the terminals.
fn shape_gateways(config: &mut Config, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed ^ 0x6761_7465);
    let gate = GateConfig {
        heartbeat: Duration::from_millis(random.random_range(300..3_000)),
        credits: random.random_range(24..400),
    };
    config.participants[0].gate_keys = vec![ZONE.to_owned()];
    let listener = ListenerConfig { gate: Some(gate), ..config.listeners[0].clone() };
    config.listeners.push(listener);
    assert_eq!(config.listeners.len(), usize::from(super::gateways::LISTENER) + 1);
}

/// 25 nearly always; a bank that has another word for it makes an operator look.
fn unknown(seed: u64, bank: u64) -> Code {
    let mut random = StdRng::seed_from_u64(seed ^ 0x756e_6b6e ^ bank << 32);
    if random.random_bool(0.04) { Code::new(*b"12") } else { Code::new(*b"25") }
}

/// The bank of this name.
pub(super) fn bank_named(name: &str) -> Option<&'static str> {
    [BANK_A, BANK_B, COUPONS].into_iter().find(|bank| *bank == name)
}

fn shape(link: &mut LinkConfig, random: &mut StdRng, timeout_ms: u64, coupons: bool) {
    link.lines = random.random_range(1..4);
    link.sharing = if random.random_bool(0.3) { Sharing::Primary } else { Sharing::All };
    link.sign_on = if random.random_bool(0.3) { SignOn::Required } else { SignOn::None };
    link.echo_idle = Duration::from_millis(if random.random_bool(0.5) { 700 } else { 0 });
    link.timeout = Duration::from_millis(timeout_ms);
    link.inflight_max = random.random_range(4..200);
    link.saf_window = random.random_range(1..9);
    link.backoff_first = Duration::from_millis(random.random_range(50..500));
    link.backoff_max = Duration::from_millis(random.random_range(500..3_000));
    link.partial_approval = random.random_bool(0.3);
    link.forward_unknown_original = random.random_bool(0.3);
    link.stand_in = (!coupons && random.random_bool(0.5)).then(|| StandIn {
        per_transaction_max: random.random_range(1_000..20_000),
        per_card_count_max: random.random_range(1..6),
        per_card_sum_max: 40_000,
        issuer_sum_max: 200_000,
    });
}

/// A bank that approves most of what it gets, and does everything else, too. Half of all banks are calm.
fn script(random: &mut StdRng, timeout_ms: u64) -> String {
    if random.random_bool(0.3) {
        return "decline=3%,delay=1ms-20ms".to_owned();
    }
    let mut share = |most: u32| random.random_range(0..=most);
    let (decline, partial, silence, lost) = (share(10), share(4), share(5), share(4));
    let (duplicate, garble, wrong, late) = (share(6), share(3), share(2), share(5));
    let (busy, forgets) = (share(10), share(60));
    let late_ms = timeout_ms + u64::from(share(400));
    format!(
        "decline={decline}%,partial={partial}%,silence={silence}%,lost={lost}%,duplicate={duplicate}%,garble={garble}%,\
         wrong-amount={wrong}%,late={late}%:{late_ms}ms,busy={busy}%,forgets={forgets}%,delay=1ms-{}ms",
        2 + u64::from(share(100)).min(timeout_ms / 3)
    )
}
