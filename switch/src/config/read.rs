//! From text to a checked `Config`: every key once, with its default and its bounds. All faults of a file
//! are found in one run.

use super::check::cross_check;
use super::dialects::Dialects;
use super::doc::{Doc, Table};
use super::error::ConfigErrors;
use super::hsm::{hsm, hsm_key};
use super::rows::{Places, SwitchPlaces, address, listener, participant, route, seconds, test_key};
use super::units::{parse_clock, parse_size, parse_zone};
use super::{AdminBounds, Config, Environment, JournalConfig, RimBounds, Unlock};
use crate::core::entry::Limits;
use crate::core::settings::Bounds;
use std::path::Path;
use std::time::Duration;

/// Reads and checks a configuration file.
///
/// # Errors
/// Everything that is wrong with it, each with its place.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigErrors::Unreadable { path: path.to_owned(), source })?;
    let base = path.parent().unwrap_or(Path::new("."));
    parse(&path.display().to_string(), &text, base)
}

/// Reads and checks a configuration; relative paths in it start at `base`.
///
/// # Errors
/// As `load`.
pub fn parse(origin: &str, text: &str, base: &Path) -> Result<Config, ConfigErrors> {
    let doc = Doc::new(origin, text);
    let config = read_doc(&doc, base);
    let (errors, not_shown) = doc.take_faults();
    match config {
        Some(config) if errors.is_empty() => Ok(config),
        _ => Err(ConfigErrors::Wrong { origin: origin.to_owned(), errors, not_shown }),
    }
}

pub(super) fn read_doc(doc: &Doc<'_>, base: &Path) -> Option<Config> {
    match toml::de::DeTable::parse(doc.text()) {
        Ok(table) => read(&Table::top(doc, table.get_ref()), base),
        Err(error) => {
            doc.syntax_fault(&error);
            None
        }
    }
}

fn read<'d>(top: &Table<'d>, base: &Path) -> Option<Config> {
    let mut places = Places::default();
    let switch = top.table("switch");
    if switch.is_none() && !top.has("switch") {
        top.fault(&top.place_of("switch"), "needs a table [switch] with at least data_dir");
    }
    let limits = top.table("limits");
    let journal = top.table("journal");
    let test_keys = top.tables("test_key").iter().filter_map(|table| test_key(table, &mut places)).collect();
    let hsm = top.table("hsm").and_then(|table| hsm(&table));
    let hsm_keys = top.tables("hsm_key").iter().filter_map(|table| hsm_key(table, &mut places)).collect();
    let dialects = Dialects::new(base);
    let participants = top
        .tables("participant")
        .iter()
        .filter_map(|table| participant(table, &dialects, &mut places))
        .collect();
    let listeners = top
        .tables("listener")
        .iter()
        .filter_map(|table| listener(table, &dialects, base, &mut places))
        .collect();
    let routes = top.tables("route").iter().filter_map(|table| route(table, &mut places)).collect();
    top.finish();
    let (limits, bounds, rim, admin_bounds) = read_limits(limits.as_ref());
    let journal = read_journal(journal.as_ref());
    let switch = switch?;
    places.switch =
        Some(SwitchPlaces { data_dir: switch.place_of("data_dir"), admin: switch.place_of("admin") });
    let config = Config {
        environment: switch
            .word("environment", &[("test", Environment::Test), ("production", Environment::Production)])
            .unwrap_or(Environment::Test),
        data_dir: switch
            .needed_path("data_dir", "the folder of journal and lock")
            .map(|path| base.join(path))
            .unwrap_or_default(),
        key_file: switch.path("key_file").map(|path| base.join(path)),
        unlock: switch
            .word("unlock", &[("file", Unlock::File), ("custodians", Unlock::Custodians)])
            .unwrap_or(Unlock::File),
        test_keys,
        hsm,
        hsm_keys,
        admin: address(&switch, "admin"),
        admin_bounds,
        institution: institution(&switch),
        zone_minutes: switch
            .parsed("time_zone", "a zone such as \"+08:00\" or \"utc\"", parse_zone)
            .unwrap_or(480),
        cut_over_minute: switch.parsed("cut_over", "a time of day such as \"23:00\"", parse_clock),
        completion_percent_max: switch.number("completion_percent_max", 100..=200).unwrap_or(115),
        drain: switch.duration("drain", seconds(0, 600), Duration::from_secs(10)),
        limits,
        bounds,
        rim,
        journal,
        participants,
        listeners,
        routes,
    };
    switch.finish();
    cross_check(top, &config, &places);
    Some(config)
}

fn institution(switch: &Table<'_>) -> String {
    let rule = "an institution code of 1 to 11 digits (F32)";
    let digits = |text: &str| {
        ((1..=11).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.to_owned())
    };
    switch.parsed("institution", rule, digits).unwrap_or_else(|| "10000001".to_owned())
}

/// The defaults of every bound, with the table that may change them.
fn read_limits(table: Option<&Table<'_>>) -> (Limits, Bounds, RimBounds, AdminBounds) {
    let day = 86_400;
    let duration = |key, range, default| table.map_or(default, |table| table.duration(key, range, default));
    let count = |key, range, default| table.map_or(default, |table| table.count(key, range, default));
    let size = |key, range, default: u64| table.map_or(default, |table| table.size(key, range, default));
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    let limits = Limits {
        dedupe_window_ms: ms(duration("dedupe_window", seconds(60, 30 * day), Duration::from_secs(day))),
        original_window_ms: ms(duration(
            "original_window",
            seconds(3600, 400 * day),
            Duration::from_secs(180 * day),
        )),
        originals_max: count("originals_max", 1..=100_000_000, 20_000_000) as u64,
    };
    let bounds = Bounds {
        open_max: count("open_max", 1..=10_000_000, 200_000),
        dedupe_max: count("dedupe_max", 1..=200_000_000, 20_000_000),
        obligations_max: count("obligations_max", 2..=50_000_000, 2_000_000),
        copies_max: count("copies_max", 1..=64, 8),
        fetches_max: count("fetches_max", 1..=4096, 1024),
        late_max: count("late_max", 1..=10_000_000, 200_000),
        currencies_max: count("currencies_max", 1..=999, 32),
        terminals_max: count("terminals_max", 1..=50_000_000, 1_000_000),
        taps_max: count("taps_max", 1..=500_000_000, 10_000_000),
        tap_window_ms: ms(duration("tap_window", seconds(3600, 90 * day), Duration::from_secs(3 * day))),
        batches_max: count("batches_max", 1..=10_000_000, 100_000),
        tap_sums_max: count("tap_sums_max", 1..=10_000_000, 1_000_000),
    };
    let rim = RimBounds {
        sessions_max: count("sessions_max", 1..=1_000_000, 20_000),
        session_inflight_max: count("session_inflight_max", 1..=1_000_000, 4096),
        out_bytes_max: bytes(size("session_out_max", 4096..=1 << 30, 4 << 20)),
        frame_bytes_max: bytes(size("frame_max", 256..=1 << 20, 8192)),
        message_bytes_max: bytes(size("message_memory_max", 1 << 20..=1 << 40, 512 << 20)),
        idle: duration("session_idle", seconds(1, 7 * day), Duration::from_secs(3600)),
    };
    let admin = AdminBounds {
        connections_max: count("admin_connections_max", 1..=1024, 32),
        time: duration("admin_time", seconds(1, 600), Duration::from_secs(10)),
        request_bytes_max: bytes(size("admin_request_max", 4096..=1 << 20, 64 << 10)),
    };
    if let Some(table) = table {
        table.finish();
    }
    (limits, bounds, rim, admin)
}

fn read_journal(table: Option<&Table<'_>>) -> JournalConfig {
    let Some(table) = table else {
        return JournalConfig { segment_bytes: 64 << 20, pending_bytes_max: 32 << 20 };
    };
    let rule = "a size from 1MiB to 4GiB in whole blocks of 4KiB";
    let blocks =
        |text: &str| parse_size(text).filter(|size| (1 << 20..=4 << 30).contains(size) && size % 4096 == 0);
    let segment_bytes = table.parsed("segment", rule, blocks).unwrap_or(64 << 20);
    let pending_most = segment_bytes / 2;
    let pending_bytes_max = table.size("pending_max", 1 << 20..=1 << 34, pending_most.min(32 << 20));
    if pending_bytes_max > pending_most {
        // Twice as much is let in for outcomes: no more than the one segment that is kept for them can take.
        let rule = format!(
            "at most half of a segment ({} of {} bytes): make segment larger, or this smaller",
            pending_most, segment_bytes
        );
        table.fault(&table.place_of("pending_max"), rule);
    }
    let config = JournalConfig { segment_bytes, pending_bytes_max };
    table.finish();
    config
}
