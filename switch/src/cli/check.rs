//! `yika check`: what was understood, key by key, so that an operator sees a misunderstanding before the switch runs.

use super::CliError;
use crate::config::units::{show_clock, show_duration, show_size, show_zone};
use crate::config::{
    Config, Environment, LinkConfig, ListenerConfig, ParticipantConfig, Sharing, SignInConfig, SignOn,
    USAGES, Unlock,
};
use crate::core::settings::StandIn;
use crate::driver::rim::check_pin_key;
use std::io::Write;
use std::time::Duration;
use yika_keystore::Keystore;

/// `keys` is the opened keystore, when the master key was at hand.
pub(super) fn print(out: &mut impl Write, config: &Config, keys: Option<&Keystore>) -> Result<(), CliError> {
    Ok(out.write_all(page(config, keys).as_bytes())?)
}

fn page(config: &Config, keys: Option<&Keystore>) -> String {
    let mut page = Page(String::new());
    switch(&mut page, config, keys);
    limits(&mut page, config);
    for participant in &config.participants {
        page.heading(&format!("participant {}", participant.name));
        self::participant(&mut page, participant);
    }
    for listener in &config.listeners {
        page.heading(&format!("listener {}", listener.address));
        self::listener(&mut page, listener);
    }
    page.heading("routes");
    for route in &config.routes {
        let prefix = if route.prefix.is_empty() { "all other cards" } else { &route.prefix };
        page.line(prefix, format!("to {}", route.to));
    }
    let unprotected = config.unprotected();
    if !unprotected.is_empty() {
        page.heading("warnings");
    }
    for what in unprotected {
        page.line("no MAC", what);
    }
    page.0
}

/// Refuses what a start would refuse.
pub(super) fn pin_keys(config: &Config, keys: &Keystore) -> Result<(), CliError> {
    for participant in &config.participants {
        let Some(name) = &participant.pin_key else { continue };
        check_pin_key(keys, config, participant, name).map_err(|e| CliError::Key(e.to_string()))?;
    }
    Ok(())
}

struct Page(String);

impl Page {
    fn heading(&mut self, text: &str) {
        self.0 += text;
        self.0.push('\n');
    }

    fn line(&mut self, name: &str, value: impl ToString) {
        self.0 += &format!("  {name:<24}{}\n", value.to_string());
    }

    fn lines(&mut self, rows: &[(&str, String)]) {
        for (name, value) in rows {
            self.line(name, value);
        }
    }
}

fn switch(page: &mut Page, config: &Config, opened: Option<&Keystore>) {
    let environment = if config.environment == Environment::Test { "test" } else { "production" };
    page.heading("switch");
    page.lines(&[
        ("environment", environment.into()),
        ("data_dir", config.data_dir.display().to_string()),
        (if config.key_file.is_some() { "key_file" } else { "test_key" }, keys(config, opened)),
        ("unlock", if config.unlock == Unlock::File { "file" } else { "custodians" }.into()),
        ("admin", config.admin.map_or("none".into(), |address| address.to_string())),
        ("institution", config.institution.clone()),
        ("time_zone", show_zone(config.zone_minutes)),
        ("cut_over", config.cut_over_minute.map_or("by message or operator".into(), show_clock)),
        ("completion_percent_max", format!("{} %", config.completion_percent_max)),
        ("drain", show_duration(config.drain)),
    ]);
}

fn sign_in(sign_in: &SignInConfig) -> String {
    let mac = USAGES.iter().find(|(_, usage)| *usage == sign_in.mac).map_or("other", |(word, _)| word);
    let bytes = sign_in.layout.bytes();
    format!("{bytes} bytes of keys under {}F41, MAC key {mac}", sign_in.kek_prefix)
}

fn limits(page: &mut Page, config: &Config) {
    let (limits, bounds, rim, admin) = (&config.limits, &config.bounds, &config.rim, &config.admin_bounds);
    page.heading("limits");
    page.lines(&[
        ("dedupe_window", millis(limits.dedupe_window_ms)),
        ("dedupe_max", bounds.dedupe_max.to_string()),
        ("original_window", millis(limits.original_window_ms)),
        ("originals_max", limits.originals_max.to_string()),
        ("open_max", bounds.open_max.to_string()),
        ("obligations_max", bounds.obligations_max.to_string()),
        ("copies_max", bounds.copies_max.to_string()),
        ("fetches_max", bounds.fetches_max.to_string()),
        ("late_max", bounds.late_max.to_string()),
        ("currencies_max", bounds.currencies_max.to_string()),
        ("taps_max", bounds.taps_max.to_string()),
        ("tap_window", show_duration(Duration::from_millis(bounds.tap_window_ms))),
        ("batches_max", bounds.batches_max.to_string()),
        ("tap_sums_max", bounds.tap_sums_max.to_string()),
        ("terminals_max", bounds.terminals_max.to_string()),
        ("sessions_max", rim.sessions_max.to_string()),
        ("session_inflight_max", rim.session_inflight_max.to_string()),
        ("session_out_max", size(rim.out_bytes_max)),
        ("frame_max", size(rim.frame_bytes_max)),
        ("message_memory_max", size(rim.message_bytes_max)),
        ("session_idle", show_duration(rim.idle)),
        ("admin_connections_max", admin.connections_max.to_string()),
        ("admin_time", show_duration(admin.time)),
        ("admin_request_max", size(admin.request_bytes_max)),
    ]);
    page.heading("journal");
    page.line("segment", show_size(config.journal.segment_bytes));
    page.line("pending_max", show_size(config.journal.pending_bytes_max));
}

fn participant(page: &mut Page, participant: &ParticipantConfig) {
    let key = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".into());
    let role = match (&participant.link, participant.coupon_platform) {
        (None, _) => "acquirer",
        (Some(_), true) => "coupon-platform",
        (Some(_), false) => "issuer",
    };
    page.line("role", role);
    page.line("mac_key", participant.mac_key.clone().unwrap_or_else(|| "none: messages have no MAC".into()));
    page.line("pin_key", key(&participant.pin_key));
    page.line(
        "gate_key, _next",
        if participant.gate_keys.is_empty() { "none".into() } else { participant.gate_keys.join(", ") },
    );
    if let Some(link) = &participant.link {
        page.line("kek", key(&participant.kek));
        page.line("key_change", participant.key_change.map_or("by an operator".into(), show_duration));
        self::link(page, link);
    }
}

fn link(page: &mut Page, link: &LinkConfig) {
    let addresses: Vec<String> = link.connect.iter().map(ToString::to_string).collect();
    let sharing =
        if link.sharing == Sharing::All { "all: requests go round" } else { "primary: the first that is up" };
    let echo = if link.echo_idle.is_zero() { "never".into() } else { show_duration(link.echo_idle) };
    let unknown = if link.forward_unknown_original { "forward" } else { "decline" };
    let range = |first, last| format!("{} to {}", show_duration(first), show_duration(last));
    page.lines(&[
        ("dialect", link.dialect.name().to_owned()),
        ("framing", link.framing.to_string()),
        ("connect", addresses.join(", then ")),
        ("lines", format!("{} to each address", link.lines)),
        ("sharing", sharing.into()),
        ("sign_on", if link.sign_on == SignOn::Required { "required" } else { "none" }.into()),
        ("connect_timeout", show_duration(link.connect_timeout)),
        ("reconnect_first, _max", range(link.reconnect_first, link.reconnect_max)),
        ("echo_idle", echo),
        ("timeout", show_duration(link.timeout)),
        ("answer_match", matched(link)),
        ("inflight_max", link.inflight_max.to_string()),
        ("saf_window", link.saf_window.to_string()),
        ("backoff_first, _max", range(link.backoff_first, link.backoff_max)),
        (
            "partial_approval",
            if link.partial_approval { "passed on" } else { "reversed and declined" }.into(),
        ),
        ("unknown_original", unknown.into()),
        ("stand_in", link.stand_in.as_ref().map_or("none".into(), stand_in)),
    ]);
}

fn stand_in(limits: &StandIn) -> String {
    format!(
        "up to {} each; {} and {} in sum of a card; {} in sum of all, a business date",
        limits.per_transaction_max, limits.per_card_count_max, limits.per_card_sum_max, limits.issuer_sum_max
    )
}

fn matched(link: &LinkConfig) -> String {
    let by = &link.answer_match;
    let others = [(by.sent_at, ", F7"), (by.terminal, ", F41"), (by.rrn, ", F37")];
    let others: String = others.iter().filter(|(counts, _)| *counts).map(|(_, field)| *field).collect();
    format!("F11{others}")
}

fn listener(page: &mut Page, listener: &ListenerConfig) {
    let currencies: Vec<String> = listener.currencies.iter().map(|code| format!("{code:03}")).collect();
    let terminals = listener.terminals.as_ref().map_or("all".into(), |known| {
        let (whole, beginnings) = known.counts();
        format!("{whole} named, {beginnings} beginnings; others get {}", listener.dialect.codes().terminal)
    });
    page.lines(&[
        ("participant", listener.participant.clone()),
        ("dialect", listener.dialect.name().to_owned()),
        ("framing", listener.framing.to_string()),
        ("currency", format!("{:03} where F49 is absent", listener.currency)),
        ("currencies", if currencies.is_empty() { "all".into() } else { currencies.join(", ") }),
        ("deadline", show_duration(listener.deadline)),
        ("sign_on", if listener.sign_on_required { "required" } else { "optional" }.into()),
        ("sign_in", listener.sign_in.as_ref().map_or("none".into(), sign_in)),
        ("terminals", terminals),
    ]);
    match listener.gate {
        None => page.line("protocol", "iso8583"),
        Some(gate) => page.lines(&[
            ("protocol", "gate".to_owned()),
            ("heartbeat", show_duration(gate.heartbeat)),
            ("credits", gate.credits.to_string()),
        ]),
    }
}

fn keys(config: &Config, opened: Option<&Keystore>) -> String {
    let master = match opened {
        Some(keys) if keys.is_test() => "under the TEST master key".to_owned(),
        Some(keys) => {
            let value: String = keys.lmk_check_value().iter().map(|byte| format!("{byte:02X}")).collect();
            format!("under the master key with check value {value}")
        }
        None => "not opened: YIKA_LMK_FILE is not set".to_owned(),
    };
    match &config.key_file {
        Some(path) => format!("{} ({master})", path.display()),
        None => format!("{} test keys {master}", config.test_keys.len()),
    }
}

fn millis(ms: u64) -> String {
    show_duration(Duration::from_millis(ms))
}

fn size(bytes: usize) -> String {
    show_size(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;
    use std::path::Path;

    /// What stands in headings, is told in other words, or is a key of the row above.
    const ELSEWHERE: [&str; 20] = [
        "name",
        "usage",
        "algorithm",
        "mode",
        "components",
        "address",
        "prefix",
        "to",
        "key_file",
        "terminals_file",
        "allow_plaintext",
        "reconnect_first",
        "reconnect_max",
        "backoff_first",
        "backoff_max",
        "gate_key_next",
        // Told with `sign_in`.
        "sign_in_kek",
        "sign_in_mac",
        // Told of gateways alone.
        "heartbeat",
        "credits",
    ];

    #[test]
    fn the_page_tells_every_key_of_the_reference_in_one_column() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/reference.toml");
        let page = page(&load(&path).unwrap_or_else(|e| panic!("{e}")), None);
        let text = std::fs::read_to_string(path).unwrap();
        for line in text.lines() {
            let line = line.trim_start_matches("# ");
            let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| !key.contains(' ')) else {
                continue;
            };
            let told = page.lines().any(|line| line.trim_start().split([' ', ',']).next() == Some(key));
            assert!(told || ELSEWHERE.contains(&key), "{key} is not in\n{page}");
        }
        for told in [
            "up to 20000 each; 5 and 50000 in sum of a card; 10000000 in sum of all, a business date",
            "  answer_match            F11, F7, F41, F37\n",
            "  reconnect_first, _max   200ms to 5s\n",
            "  pending_max             32MiB\n",
            "  framing                 binary2\n",
        ] {
            assert!(page.contains(told), "{told} is not in\n{page}");
        }
        for line in page.lines().filter(|line| line.starts_with(' ')) {
            assert!(line.as_bytes()[25] == b' ' && line.as_bytes()[26] != b' ', "not in its column: {line}");
        }
    }
}
