//! The HSM of a configuration: connected by itself, and not waited for. Until it answers, payments with a PIN are declined.

use super::CliError;
use crate::config::{Config, HsmConfig};
use std::net::SocketAddr;
use std::sync::Arc;
use yika_hostcmd::tls::{Identity, connecting};
use yika_hostcmd::{Address, Client, ClientConfig, Connecting};
use yika_keystore::Backend;

/// The client of the HSM, where there is one.
///
/// # Errors
/// When its certificates cannot be read, or its thread cannot be started.
pub(super) fn backend(config: &Config) -> Result<Option<Arc<dyn Backend>>, CliError> {
    let Some(hsm) = &config.hsm else { return Ok(None) };
    let failed = |error: &dyn std::fmt::Display| CliError::Key(format!("the HSM of [hsm]: {error}"));
    let protection = protection(hsm).map_err(|error| failed(&error))?;
    let address = |addr: SocketAddr| Address { addr, connecting: protection.clone() };
    let mut addresses = hsm.connect.iter().map(|addr| address(*addr));
    let Some(primary) = addresses.next() else { return Ok(None) };
    let client = Client::start(ClientConfig {
        secondary: addresses.next(),
        header_bytes: hsm.header_length,
        connections_count: hsm.connections,
        reply_timeout: hsm.timeout,
        ..ClientConfig::new(primary)
    });
    Ok(Some(Arc::new(client.map_err(|error| failed(&error))?)))
}

fn protection(hsm: &HsmConfig) -> Result<Connecting, yika_hostcmd::tls::TlsError> {
    let Some(tls) = &hsm.tls else { return Ok(Connecting::Plain) };
    let own = tls.own.clone().map(|(certificates, key)| Identity { certificates, key });
    connecting(&tls.ca_file, &tls.server_name, own.as_ref())
}
