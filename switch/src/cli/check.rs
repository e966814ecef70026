//! `yika check`: what was understood, so that an operator sees a misunderstanding before the switch runs.

use super::CliError;
use crate::config::units::{show_clock, show_duration, show_size, show_zone};
use crate::config::{Config, Environment, LinkConfig, Sharing, SignOn};
use crate::driver::rim::check_pin_key;
use std::io::Write;
use std::time::Duration;
use yika_keystore::Keystore;

/// `keys` is the opened keystore, when the master key was at hand.
pub(super) fn print(out: &mut impl Write, config: &Config, keys: Option<&Keystore>) -> Result<(), CliError> {
    let mut page = Page(String::new());
    switch(&mut page, config, keys);
    participants(&mut page, config);
    listeners(&mut page, config);
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
    Ok(out.write_all(page.0.as_bytes())?)
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

    fn line(&mut self, name: &str, value: String) {
        self.0 += &format!("  {name:<26}{value}\n");
    }
}

fn switch(page: &mut Page, config: &Config, opened: Option<&Keystore>) {
    let environment = if config.environment == Environment::Test { "test" } else { "production" };
    let (limits, bounds) = (&config.limits, &config.bounds);
    page.heading("switch");
    page.line("environment", environment.into());
    page.line("data folder", config.data_dir.display().to_string());
    page.line("keys", keys(config, opened));
    page.line("admin port", config.admin.map_or("none".into(), |address| address.to_string()));
    page.line("institution (F32)", config.institution.clone());
    page.line("local time", show_zone(config.zone_minutes));
    page.line("cut-over", config.cut_over_minute.map_or("by message or operator".into(), show_clock));
    page.line("drain", show_duration(config.drain));
    page.line("dedupe window", format!("{}, {} keys", millis(limits.dedupe_window_ms), bounds.dedupe_max));
    page.line("kept payments", format!("{}, {}", millis(limits.original_window_ms), limits.originals_max));
    let in_flight = format!("{} transactions, {} obligations", bounds.open_max, bounds.obligations_max);
    page.line("in flight", in_flight);
    page.line("journal segments", show_size(config.journal.segment_bytes));
}

fn participants(page: &mut Page, config: &Config) {
    page.heading("participants");
    for participant in &config.participants {
        let part = match (&participant.link, participant.coupon_platform) {
            (None, _) => "acquirer".to_owned(),
            (Some(link), true) => format!("coupon platform, {}", described(link)),
            (Some(link), false) => format!("issuer, {}", described(link)),
        };
        let mac = if participant.mac_key.is_some() { "MAC" } else { "no MAC" };
        page.line(&participant.name, format!("{part}; {mac}"));
    }
}

fn listeners(page: &mut Page, config: &Config) {
    page.heading("listeners");
    for listener in &config.listeners {
        let sign_on = if listener.sign_on_required { "sign-on required" } else { "sign-on optional" };
        let deadline = show_duration(listener.deadline);
        let what = format!(
            "{} for {}, {sign_on}, deadline {deadline}",
            listener.dialect.name(),
            listener.participant
        );
        page.line(&listener.address.to_string(), what);
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

fn described(link: &LinkConfig) -> String {
    let addresses: Vec<String> = link.connect.iter().map(ToString::to_string).collect();
    let sharing = if link.sharing == Sharing::All { "shared" } else { "first that is up" };
    let sign_on = if link.sign_on == SignOn::Required { "signs on" } else { "no sign-on" };
    let stand_in = if link.stand_in.is_some() { "stand-in" } else { "no stand-in" };
    format!(
        "{} at {} x {} ({sharing}), time-out {}, {sign_on}, {stand_in}",
        link.dialect.name(),
        addresses.join(" and "),
        link.lines,
        show_duration(link.timeout)
    )
}

fn millis(ms: u64) -> String {
    show_duration(Duration::from_millis(ms))
}
