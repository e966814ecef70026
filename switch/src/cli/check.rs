//! `yika check`: what was understood, so that an operator sees a misunderstanding before the switch runs.

use crate::config::units::{show_clock, show_duration, show_size, show_zone};
use crate::config::{Config, Environment, LinkConfig, Sharing, SignOn};
use std::time::Duration;

pub(super) fn print(config: &Config) {
    let line = |name: &str, value: String| println!("  {name:<26}{value}");
    println!("switch");
    line("environment", if config.environment == Environment::Test { "test" } else { "production" }.into());
    line("data folder", config.data_dir.display().to_string());
    line("keys", keys(config));
    line("admin port", config.admin.map_or("none".into(), |address| address.to_string()));
    line("institution (F32)", config.institution.clone());
    line("local time", show_zone(config.zone_minutes));
    line("cut-over", config.cut_over_minute.map_or("by message or operator".into(), show_clock));
    line("drain", show_duration(config.drain));
    line(
        "dedupe window",
        format!("{}, {} keys", millis(config.limits.dedupe_window_ms), config.bounds.dedupe_max),
    );
    line(
        "kept payments",
        format!("{}, {}", millis(config.limits.original_window_ms), config.limits.originals_max),
    );
    line(
        "in flight",
        format!("{} transactions, {} obligations", config.bounds.open_max, config.bounds.obligations_max),
    );
    line("journal segments", show_size(config.journal.segment_bytes));
    println!("participants");
    for participant in &config.participants {
        let part = match (&participant.link, participant.coupon_platform) {
            (None, _) => "acquirer".to_owned(),
            (Some(link), true) => format!("coupon platform, {}", described(link)),
            (Some(link), false) => format!("issuer, {}", described(link)),
        };
        let mac = if participant.mac_key.is_some() { "MAC" } else { "no MAC" };
        line(&participant.name, format!("{part}; {mac}"));
    }
    println!("listeners");
    for listener in &config.listeners {
        let sign_on = if listener.sign_on_required { "sign-on required" } else { "sign-on optional" };
        let deadline = show_duration(listener.deadline);
        let what = format!(
            "{} for {}, {sign_on}, deadline {deadline}",
            listener.dialect.name(),
            listener.participant
        );
        line(&listener.address.to_string(), what);
    }
    println!("routes");
    for route in &config.routes {
        line(
            if route.prefix.is_empty() { "all other cards" } else { &route.prefix },
            format!("to {}", route.to),
        );
    }
}

fn keys(config: &Config) -> String {
    match &config.key_file {
        Some(path) => format!("{} (master key from YIKA_LMK_FILE)", path.display()),
        None => format!("{} test keys under the TEST master key", config.test_keys.len()),
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
