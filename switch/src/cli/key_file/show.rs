//! What may be told of the keys of a file.

use super::super::out::json_line;
use super::{CliError, hex, key_error, life};
use crate::config::USAGES;
use serde::Serialize;
use std::io::Write;
use yika_keystore::{KeyError, KeyInfo, Keystore};

#[derive(Serialize)]
struct Listed {
    name: String,
    usage: &'static str,
    algorithm: String,
    /// As in a key block header: use, algorithm, mode, version, exportability.
    header: String,
    state: String,
    origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until_ms: Option<u64>,
    check_value: String,
    test: bool,
}

fn row(info: &KeyInfo) -> Listed {
    Listed {
        name: info.name.clone(),
        usage: USAGES.iter().find(|(_, usage)| *usage == info.usage).map_or("other", |(word, _)| word),
        algorithm: info.algorithm.to_string().to_lowercase(),
        header: info.header_letters(),
        state: info.state.to_string(),
        origin: format!("{:?}", info.origin).to_lowercase(),
        from_ms: info.validity.from_ms,
        until_ms: info.validity.until_ms,
        check_value: hex(&info.check_value),
        test: info.test,
    }
}

pub(super) fn list(out: &mut impl Write, store: &Keystore, json: bool) -> Result<(), CliError> {
    let listed: Vec<Listed> = store.list().iter().map(row).collect();
    if json {
        return json_line(out, &listed);
    }
    let (value, environment) = (hex(&store.lmk_check_value()), store.environment());
    writeln!(out, "for {environment}, master key with check value {value}")?;
    for Listed { name, usage, algorithm, check_value, state, .. } in &listed {
        let state = if state == "active" { String::new() } else { format!("  {state}") };
        writeln!(out, "  {name:<24} {usage:<14} {algorithm:<5} check value {check_value}{state}")?;
    }
    for ceremony in store.ceremonies() {
        let (entered, of) = (ceremony.entered.len(), ceremony.components);
        writeln!(out, "  {:<24} ceremony under way: {entered} of {of} components", ceremony.name)?;
    }
    Ok(())
}

pub(super) fn show(out: &mut impl Write, store: &Keystore, name: &str, json: bool) -> Result<(), CliError> {
    let info = store.info(name).ok_or_else(|| key_error(KeyError::NotFound { name: name.to_owned() }))?;
    if json {
        return json_line(out, &row(&info));
    }
    let Listed { header, state, origin, check_value, .. } = row(&info);
    writeln!(out, "{name}")?;
    for (what, value) in [
        ("use", info.usage.to_string()),
        ("algorithm", info.algorithm.to_string()),
        ("mode", info.mode.to_string()),
        ("exportability", info.export.to_string()),
        ("key block header", header),
        ("check value", check_value),
        ("state", state),
        ("for use", life::words(&info.validity)),
        ("came", origin),
        ("environment", store.environment().to_string()),
    ] {
        writeln!(out, "  {what:<18} {value}")?;
    }
    Ok(())
}
