//! Opens the keys that a configuration names: test keys in memory under the test master key, or a key file
//! whose master key comes in components from a file that only custodians can read.

use super::CliError;
use crate::config::Config;
use std::path::Path;
use yika_keystore::{Export, Keystore, Lmk};

/// Names the file with the master key's components, one per line, 64 hexadecimal digits each.
const LMK_FILE: &str = "YIKA_LMK_FILE";

pub(super) fn open(config: &Config) -> Result<Keystore, CliError> {
    let store = match &config.key_file {
        Some(path) => Keystore::open(path, master_key()?).map_err(|e| CliError::Key(e.to_string()))?,
        None => Keystore::in_memory(Lmk::test()),
    };
    for key in &config.test_keys {
        store
            .import_components(&key.name, key.usage, key.algorithm, key.mode, Export::N, &key.components)
            .map_err(|e| CliError::Key(format!("test_key \"{}\": {e}", key.name)))?;
    }
    Ok(store)
}

/// For a journal without a configuration: the master key of the environment, else the test master key.
pub(super) fn open_plain() -> Result<Keystore, CliError> {
    let lmk = if std::env::var_os(LMK_FILE).is_some() { master_key()? } else { Lmk::test() };
    Ok(Keystore::in_memory(lmk))
}

fn master_key() -> Result<Lmk, CliError> {
    let Some(path) = std::env::var_os(LMK_FILE) else {
        let what = format!(
            "the master key is missing: set {LMK_FILE} to a file with its components, one of 64 hexadecimal digits per line"
        );
        return Err(CliError::Key(what));
    };
    let path = Path::new(&path);
    let text = std::fs::read_to_string(path).map_err(|e| {
        CliError::Key(format!("cannot read the master key's components from {}: {e}", path.display()))
    })?;
    let mut components = Vec::new();
    for (at, line) in text.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let component = component(line).ok_or_else(|| {
            CliError::Key(format!("{}: component {} is not 64 hexadecimal digits", path.display(), at + 1))
        })?;
        components.push(component);
    }
    Lmk::from_components(&components).map_err(|e| CliError::Key(format!("{}: {e}", path.display())))
}

fn component(line: &str) -> Option<[u8; 32]> {
    if line.len() != 64 || !line.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&line[at * 2..at * 2 + 2], 16).ok()?;
    }
    Some(bytes)
}
