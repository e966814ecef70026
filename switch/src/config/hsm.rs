//! `[hsm]` and `[[hsm_key]]`: an HSM that holds PIN keys, and the keys as it knows them.

use super::doc::Table;
use super::rows::{Places, connect_to, millis};
use super::{HsmConfig, HsmKey, HsmTls};
use std::path::Path;
use std::time::Duration;
use yika_keystore::KeyRef;

pub(super) fn hsm(table: &Table<'_>, base: &Path) -> Option<HsmConfig> {
    table.need("connect", "its address and port, and that of another with the same master key");
    let connect = connect_to(table);
    let header_length = table.number("header_length", 2..=64).unwrap_or(4) as usize;
    let timeout = table.duration("timeout", millis(50, 60_000), Duration::from_secs(1));
    let connections = table.count("connections", 1..=64, 4);
    let waiting_max = table.count("waiting_max", 1..=100_000, 4096);
    let tls = tls(table, base);
    let plain = table.flag("allow_plaintext").unwrap_or(false);
    if tls.is_none() && !plain && connect.iter().any(|address| !address.ip().is_loopback()) {
        table.fault(
            &table.place_of("connect"),
            "PIN blocks and keys would cross a network in the clear: give ca_file and server_name, or say allow_plaintext = true where the link is protected otherwise",
        );
    }
    if connect.len() > 2 {
        table.fault(&table.place_of("connect"), "two addresses at most: an HSM, and the one that takes over");
    }
    table.finish();
    let config = HsmConfig { connect, header_length, timeout, connections, tls, waiting_max };
    (!config.connect.is_empty()).then_some(config)
}

fn tls(table: &Table<'_>, base: &Path) -> Option<HsmTls> {
    let path = |key| table.path(key).map(|path| base.join(path));
    let (ca_file, certificate, key) = (path("ca_file"), path("certificate_file"), path("private_key_file"));
    let server_name = table.text("server_name").map(str::to_owned);
    if ca_file.is_some() != server_name.is_some() {
        let rule = "ca_file says who vouches for the HSM and server_name for whom: both, or neither";
        table.fault(&table.place_of(if ca_file.is_some() { "ca_file" } else { "server_name" }), rule);
    }
    if certificate.is_some() != key.is_some() {
        let rule = "certificate_file and private_key_file go together";
        let place = if certificate.is_some() { "certificate_file" } else { "private_key_file" };
        table.fault(&table.place_of(place), rule);
    }
    Some(HsmTls { ca_file: ca_file?, server_name: server_name?, own: certificate.zip(key) })
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
