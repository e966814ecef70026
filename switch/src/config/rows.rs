//! The rows of a configuration: participants, listeners, routes and test keys, each read from its own table,
//! and where each stood, for the rules between them.

use super::dialects::Dialects;
use super::doc::{Place, Table};
use super::terminals::terminals;
use super::{
    GateConfig, LinkConfig, ListenerConfig, ParticipantConfig, RouteConfig, Sharing, SignInConfig,
    SignInLayout, SignOn, TestKey,
};
use crate::core::settings::{AnswerMatch, StandIn};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use yika_codec::{Dialect, Framing, unhex};
use yika_keystore::{Algorithm, Export, Keystore, Lmk, Mode, Usage};

/// Where each thing that cross checks speak of stands; every list runs beside the configuration's own.
#[derive(Default)]
pub(super) struct Places {
    pub(super) participants: Vec<ParticipantPlaces>,
    pub(super) listeners: Vec<ListenerPlaces>,
    pub(super) routes: Vec<RoutePlaces>,
    pub(super) test_keys: Vec<Place>,
    pub(super) hsm_keys: Vec<Place>,
    pub(super) switch: Option<SwitchPlaces>,
    /// Names of participants whose own table is faulty: what refers to them is not wrong as well.
    pub(super) faulty: BTreeSet<String>,
}

pub(super) struct SwitchPlaces {
    pub(super) data_dir: Place,
    pub(super) admin: Place,
}

pub(super) struct ParticipantPlaces {
    pub(super) name: Place,
    pub(super) connect: Place,
    pub(super) reconnect_first: Place,
    pub(super) backoff_first: Place,
    pub(super) inflight_max: Place,
    /// Of `mac_key`, `pin_key`, `kek`, `gate_key` and `gate_key_next`.
    pub(super) keys: [Place; 5],
}

pub(super) struct ListenerPlaces {
    pub(super) address: Place,
    pub(super) participant: Place,
    pub(super) deadline: Place,
    /// Plain TCP is meant, although other machines reach the address.
    pub(super) plain: bool,
}

pub(super) struct RoutePlaces {
    pub(super) prefix: Place,
    pub(super) to: Place,
}

pub(super) fn address(table: &Table<'_>, key: &'static str) -> Option<SocketAddr> {
    table.parsed(key, "an address and port such as \"127.0.0.1:7100\"", |text| text.parse().ok())
}

fn framing(table: &Table<'_>, dialect: &Dialect) -> Framing {
    let rule = format!("a framing: {}", Framing::FORMS);
    table.parsed("framing", &rule, Framing::parse).unwrap_or(dialect.framing())
}

/// In seconds.
const DAY: u64 = 86_400;

pub(super) fn participant(
    table: &Table<'_>,
    dialects: &Dialects<'_>,
    places: &mut Places,
) -> Option<ParticipantConfig> {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Part {
        Acquirer,
        Issuer,
        CouponPlatform,
    }
    let name = table.needed_text("name", "how logs, reports and other tables call it");
    let words =
        [("acquirer", Part::Acquirer), ("issuer", Part::Issuer), ("coupon-platform", Part::CouponPlatform)];
    table.need("role", "acquirer, issuer or coupon-platform");
    let part = table.word("role", &words);
    let key = |key| table.text(key).map(str::to_owned);
    let (mac_key, pin_key, kek) = (key("mac_key"), key("pin_key"), key("kek"));
    let key_change = table
        .skip("key_change")
        .then(|| table.duration("key_change", seconds(1, 366 * DAY), Duration::from_secs(DAY)));
    if let (Some(_), None) = (key_change, &kek) {
        let rule = "a new key travels under the key-encryption key that both sides agreed: name that as kek";
        table.fault(&table.place_of("key_change"), rule);
    }
    let gate_keys: Vec<String> = [key("gate_key"), key("gate_key_next")].into_iter().flatten().collect();
    let link = match part {
        Some(Part::Acquirer) => {
            no_link_keys(table);
            None
        }
        Some(Part::Issuer | Part::CouponPlatform) => link(table, dialects),
        None => None,
    };
    // Without its part nobody knows which keys it may have.
    if part.is_some() {
        table.finish();
    }
    let name = name?;
    let place = |key| table.place_of(key);
    if part.is_none() || (link.is_none() && part != Some(Part::Acquirer)) {
        places.faulty.insert(name.to_owned());
    }
    places.participants.push(ParticipantPlaces {
        name: place("name"),
        connect: place("connect"),
        reconnect_first: place("reconnect_first"),
        backoff_first: place("backoff_first"),
        inflight_max: place("inflight_max"),
        keys: ["mac_key", "pin_key", "kek", "gate_key", "gate_key_next"].map(place),
    });
    Some(ParticipantConfig {
        name: name.to_owned(),
        link,
        mac_key,
        gate_keys,
        pin_key,
        kek,
        key_change,
        coupon_platform: part == Some(Part::CouponPlatform),
    })
}

/// An acquirer connects to us: what says how to reach it would never be used.
fn no_link_keys(table: &Table<'_>) {
    for key in ["dialect", "framing", "connect", "timeout", "stand_in"] {
        if table.skip(key) {
            table.fault(
                &table.place_of(key),
                "an acquirer connects to a [[listener]]: this belongs to an issuer",
            );
        }
    }
}

/// The addresses under `connect`; a fault for each that is none.
pub(super) fn connect_to(table: &Table<'_>) -> Vec<SocketAddr> {
    table
        .texts("connect")
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(text, place)| match text.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                table.fault(
                    &place,
                    format!("\"{text}\" is not an address and port such as \"127.0.0.1:7200\""),
                );
                None
            }
        })
        .collect()
}

fn link(table: &Table<'_>, dialects: &Dialects<'_>) -> Option<LinkConfig> {
    let dialect = dialects.named(table);
    table.need("connect", "the addresses of its host");
    let connect = connect_to(table);
    let ms = Duration::from_millis;
    let flag = |key| table.flag(key).unwrap_or(false);
    let forward = [("forward", true), ("decline", false)];
    let lines = u16::try_from(table.count("lines", 1..=64, 1)).unwrap_or(1);
    let framing_of = dialect.as_ref().map(|dialect| framing(table, dialect));
    let link = LinkConfig {
        framing: framing_of.unwrap_or_default(),
        answer_match: answer_match(table, dialect.as_deref()),
        dialect: dialect.clone().unwrap_or_else(fallback),
        connect,
        lines,
        sharing: table
            .word("sharing", &[("all", Sharing::All), ("primary", Sharing::Primary)])
            .unwrap_or(Sharing::All),
        sign_on: table
            .word("sign_on", &[("none", SignOn::None), ("required", SignOn::Required)])
            .unwrap_or(SignOn::None),
        connect_timeout: table.duration("connect_timeout", millis(100, 60_000), ms(3_000)),
        reconnect_first: table.duration("reconnect_first", millis(10, 60_000), ms(200)),
        reconnect_max: table.duration("reconnect_max", millis(10, 600_000), ms(5_000)),
        echo_idle: table.duration("echo_idle", seconds(0, 3600), ms(60_000)),
        timeout: table.duration("timeout", millis(50, 300_000), ms(20_000)),
        inflight_max: table.count("inflight_max", 1..=900_000, 100_000),
        saf_window: table.count("saf_window", 1..=10_000, 8),
        backoff_first: table.duration("backoff_first", millis(10, 600_000), ms(1_000)),
        backoff_max: table.duration("backoff_max", millis(10, 86_400_000), ms(60_000)),
        stand_in: table.table("stand_in").as_ref().map(stand_in),
        partial_approval: flag("partial_approval"),
        forward_unknown_original: table.word("unknown_original", &forward).unwrap_or(false),
    };
    dialect.map(|_| link)
}

/// Stands in for a dialect that was refused, so that the other keys are still checked.
fn fallback() -> Arc<Dialect> {
    Dialect::builtin("iso87-ascii").expect("a dialect of this name is built in")
}

/// Besides F11, which always counts: some of 7, 41 and 37.
fn answer_match(table: &Table<'_>, dialect: Option<&Dialect>) -> AnswerMatch {
    let fields: Vec<u64> = match table.numbers("answer_match", 2..=128) {
        Some(fields) => fields,
        None => dialect
            .map_or(Vec::new(), |dialect| dialect.answer_match().iter().map(|n| u64::from(*n)).collect()),
    };
    if table.has("answer_match")
        && let Some(strange) = fields.iter().find(|n| ![7, 11, 37, 41].contains(*n))
    {
        table.fault(
            &table.place_of("answer_match"),
            format!("answers are matched by some of 7, 11, 37, 41, not {strange}"),
        );
    }
    AnswerMatch { sent_at: fields.contains(&7), terminal: fields.contains(&41), rrn: fields.contains(&37) }
}

fn stand_in(table: &Table<'_>) -> StandIn {
    let needed = |key: &'static str| {
        table.need(key, "a limit in minor units");
        table.number(key, 0..=999_999_999_999_999).unwrap_or(0)
    };
    let limits = StandIn {
        per_transaction_max: needed("per_transaction"),
        per_card_count_max: u32::try_from(needed("card_count")).unwrap_or(u32::MAX),
        per_card_sum_max: needed("card_sum"),
        issuer_sum_max: needed("issuer_sum"),
    };
    table.finish();
    limits
}

pub(super) fn listener(
    table: &Table<'_>,
    dialects: &Dialects<'_>,
    base: &Path,
    places: &mut Places,
) -> Option<ListenerConfig> {
    table.need("address", "where terminals connect");
    let address = address(table, "address");
    let participant = table.needed_text("participant", "the acquirer whose terminals connect");
    let gate = gate(table);
    let dialect = if gate.is_some() && !table.has("dialect") {
        Dialect::builtin("iso87-ascii")
    } else {
        dialects.named(table)
    };
    let framing = dialect.as_ref().map(|dialect| framing(table, dialect)).unwrap_or_default();
    let currency = table.number("currency", 1..=999).unwrap_or(156) as u16;
    let currencies = table.numbers("currencies", 1..=999).unwrap_or_default();
    let deadline = table.duration("deadline", millis(100, 600_000), Duration::from_secs(25));
    let sign_on = table.word("sign_on", &[("optional", false), ("required", true)]).unwrap_or(false);
    let plain = table.flag("allow_plaintext").unwrap_or(false);
    let terminals = terminals(table, base);
    let sign_in = sign_in(table);
    table.finish();
    let listener = ListenerConfig {
        address: address?,
        participant: participant?.to_owned(),
        framing,
        dialect: dialect?,
        currency,
        currencies: currencies.into_iter().map(|code| code as u16).collect(),
        deadline,
        sign_on_required: sign_on,
        terminals,
        sign_in,
        gate,
    };
    places.listeners.push(ListenerPlaces {
        address: table.place_of("address"),
        participant: table.place_of("participant"),
        deadline: table.place_of("deadline"),
        plain,
    });
    Some(listener)
}

fn sign_in(table: &Table<'_>) -> Option<SignInConfig> {
    let layouts = [
        ("24", SignInLayout::L24),
        ("40", SignInLayout::L40),
        ("57", SignInLayout::L57),
        ("60", SignInLayout::L60),
        ("84", SignInLayout::L84),
    ];
    let layout = table.word("sign_in", &layouts);
    let kek_prefix = table.text("sign_in_kek").unwrap_or("tmk.").to_owned();
    let macs = [("mac-unionpay", Usage::MacUnionPayEcb), ("mac-retail", Usage::MacRetail)];
    let mac = table.word("sign_in_mac", &macs).unwrap_or(Usage::MacUnionPayEcb);
    let layout = layout?;
    let short = matches!(layout, SignInLayout::L24 | SignInLayout::L40);
    if mac == Usage::MacRetail && (short || layout == SignInLayout::L84) {
        table.fault(
            &table.place_of("sign_in_mac"),
            "a retail MAC key has 16 bytes, and those of this sign_in have 8 or 24: 57 and 60 have such keys",
        );
    }
    Some(SignInConfig { layout, kek_prefix, mac })
}

fn gate(table: &Table<'_>) -> Option<GateConfig> {
    let is_gate = table.word("protocol", &[("iso8583", false), ("gate", true)]).unwrap_or(false);
    let heartbeat = table.duration("heartbeat", seconds(1, 3600), Duration::from_secs(30));
    let credits = table.count("credits", 256..=1_000_000, 4096) as u64;
    is_gate.then_some(GateConfig { heartbeat, credits })
}

pub(super) fn route(table: &Table<'_>, places: &mut Places) -> Option<RouteConfig> {
    table.need("prefix", "the first digits of the cards");
    let rule = "up to eight digits";
    let digits =
        |text: &str| (text.len() <= 8 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.to_owned());
    let prefix = table.parsed("prefix", rule, digits);
    let to = table.needed_text("to", "the issuer's name");
    table.finish();
    let route = RouteConfig { prefix: prefix?, to: to?.to_owned() };
    places.routes.push(RoutePlaces { prefix: table.place_of("prefix"), to: table.place_of("to") });
    Some(route)
}

/// What operators call the uses of a key.
pub const USAGES: [(&str, Usage); 21] = [
    ("mac-cmac", Usage::MacCmac),
    ("mac-retail", Usage::MacRetail),
    ("mac-unionpay", Usage::MacUnionPayEcb),
    ("mac-cbc", Usage::MacIso9797Alg1),
    ("mac-cbc-tdes", Usage::MacIso16609),
    ("mac-hmac", Usage::MacHmac),
    ("pin", Usage::Pin),
    ("pin-pvv", Usage::PinVerifyPvv),
    ("pin-ibm3624", Usage::PinVerifyIbm3624),
    ("kek", Usage::Kek),
    ("key-block", Usage::KeyBlockProtection),
    ("data", Usage::Data),
    ("derivation", Usage::Derivation),
    ("dukpt-base", Usage::DukptBase),
    ("dukpt-initial", Usage::DukptInitial),
    ("card-verification", Usage::CardVerification),
    ("emv-cryptogram", Usage::EmvCryptogram),
    ("emv-confidentiality", Usage::EmvConfidentiality),
    ("emv-integrity", Usage::EmvIntegrity),
    ("emv-dynamic", Usage::EmvDynamicNumbers),
    ("tac", Usage::TacMaster),
];

/// What operators call the ciphers of a key.
pub const ALGORITHMS: [(&str, Algorithm); 5] = [
    ("tdes", Algorithm::Tdes),
    ("aes", Algorithm::Aes),
    ("sm4", Algorithm::Sm4),
    ("des", Algorithm::Des),
    ("hmac", Algorithm::Hmac),
];

pub(super) fn test_key(table: &Table<'_>, places: &mut Places) -> Option<TestKey> {
    let name = table.needed_text("name", "how other tables call it");
    for (key, what) in [
        ("usage", "what the key is for"),
        ("algorithm", "tdes, aes or des"),
        ("components", "two or more, in hex"),
    ] {
        table.need(key, what);
    }
    let usage = table.word("usage", &USAGES);
    let algorithm = table.word("algorithm", &ALGORITHMS);
    let mode = table.word("mode", &[("both", Mode::Both)]).unwrap_or(Mode::Both);
    let components = table.texts("components").unwrap_or_default();
    let count = components.len();
    let mut parts = Vec::new();
    for (text, place) in components {
        match unhex(text) {
            Some(part) => parts.push(part),
            None => table.fault(&place, "a component is an even number of hexadecimal digits"),
        }
    }
    table.finish();
    let whole = parts.len() == count;
    let key =
        TestKey { name: name?.to_owned(), usage: usage?, algorithm: algorithm?, mode, components: parts };
    places.test_keys.push(table.place_of("name"));
    if whole && table.has("components") {
        try_key(table, &key);
    }
    Some(key)
}

/// Makes the key once, so that a weak or misfitting one is found here and not at the start.
fn try_key(table: &Table<'_>, key: &TestKey) {
    let store = Keystore::in_memory(Lmk::test());
    let made =
        store.import_components(&key.name, key.usage, key.algorithm, key.mode, Export::N, &key.components);
    if let Err(error) = made {
        table.fault(&table.place_of("components"), error.to_string());
    }
}

pub(super) fn seconds(from: u64, to: u64) -> std::ops::RangeInclusive<Duration> {
    Duration::from_secs(from)..=Duration::from_secs(to)
}

pub(super) fn millis(from: u64, to: u64) -> std::ops::RangeInclusive<Duration> {
    Duration::from_millis(from)..=Duration::from_millis(to)
}
