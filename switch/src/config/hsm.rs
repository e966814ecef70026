//! `[hsm]` and `[[hsm_key]]`: an HSM that holds PIN keys, and the keys as it knows them.

use super::doc::Table;
use super::rows::{Places, connect_to, millis};
use super::{HsmConfig, HsmKey};
use std::time::Duration;
use yika_keystore::KeyRef;

pub(super) fn hsm(table: &Table<'_>) -> Option<HsmConfig> {
    table.need("connect", "its address and port, and that of another with the same master key");
    let connect = connect_to(table);
    let header_length = table.number("header_length", 2..=64).unwrap_or(4) as usize;
    let timeout = table.duration("timeout", millis(50, 60_000), Duration::from_secs(1));
    let connections = table.count("connections", 1..=64, 4);
    let waiting_max = table.count("waiting_max", 1..=100_000, 4096);
    table.finish();
    let config = HsmConfig { connect, header_length, timeout, connections, waiting_max };
    (!config.connect.is_empty()).then_some(config)
}

pub(super) fn hsm_key(table: &Table<'_>, places: &mut Places) -> Option<HsmKey> {
    let name = table.needed_text("name", "what pin_key calls it");
    let rule = "the key block that the HSM gave for it";
    table.need("block", rule);
    let block = table.parsed("block", rule, |text| KeyRef::new(text).is_ok().then(|| text.to_owned()));
    table.finish();
    let key = HsmKey { name: name?.to_owned(), block: block? };
    places.hsm_keys.push(table.place_of("name"));
    Some(key)
}
