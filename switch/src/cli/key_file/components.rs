//! Components as custodians give them: typed without being shown, or from files of their owner. Each gets its check value
//! back; errors say which one is wrong and never what it is.

use super::super::keys::{LMK_FILE, read_secret, unhex};
use super::super::typed::Silent;
use super::{CliError, hex, key_error};
use std::io::Write;
use std::path::{Path, PathBuf};
use yika_keystore::{Algorithm, Keystore, Lmk};
use zeroize::Zeroizing;

/// A key's component, or several; wiped when dropped.
pub(super) type Components = Zeroizing<Vec<Vec<u8>>>;

/// The master key of components that are typed.
pub(super) fn typed_master_key() -> Result<Lmk, CliError> {
    let parts = typed("the master key", Algorithm::Aes)?;
    let mut joined = Zeroizing::new(vec![[0; 32]; parts.len()]);
    for (at, (whole, part)) in joined.iter_mut().zip(parts.iter()).enumerate() {
        let fits = <[u8; 32]>::try_from(part.as_slice());
        *whole = fits.map_err(|_| {
            CliError::Key(format!("component {} of the master key is not 64 hexadecimal digits", at + 1))
        })?;
    }
    Lmk::from_components(&joined).map_err(key_error)
}

/// Each custodian types a component and sees its check value.
pub(super) fn typed(what: &str, algorithm: Algorithm) -> Result<Components, CliError> {
    let gone = |e: std::io::Error| {
        CliError::Key(format!(
            "cannot read components of {what} from the terminal: {e} (keys come by --component-file as well, the master key by {LMK_FILE})"
        ))
    };
    let mut terminal = Silent::open().map_err(gone)?;
    let mut components = Components::default();
    loop {
        let at = components.len() + 1;
        let more = if at > 2 { ", or Enter when there is none" } else { "" };
        let line =
            terminal.ask(&format!("component {at} of {what}, in hex, not shown{more}: ")).map_err(gone)?;
        if at > 2 && line.trim_ascii().is_empty() {
            return Ok(components);
        }
        let (part, value) = component(line.trim_ascii(), at, algorithm)?;
        terminal.say(&format!("component {at}: check value {value}\n")).map_err(gone)?;
        components.push(part);
    }
}

/// From files, in which each line is one.
pub(super) fn from_files(
    out: &mut impl Write,
    files: &[PathBuf],
    algorithm: Algorithm,
) -> Result<Components, CliError> {
    let mut components = Components::default();
    for file in files {
        let text = secret_of(file, "components")?;
        for line in text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
        {
            let at = components.len() + 1;
            let (part, value) = component(line, at, algorithm)?;
            writeln!(out, "component {at}: check value {value}")?;
            components.push(part);
        }
    }
    Ok(components)
}

/// One secret line: from a file, or typed without being shown.
pub(in crate::cli) fn one_secret(file: Option<&Path>, prompt: &str) -> Result<Zeroizing<Vec<u8>>, CliError> {
    if let Some(file) = file {
        let text = secret_of(file, "a secret")?;
        return Ok(Zeroizing::new(text.trim_ascii().to_vec()));
    }
    let gone = |e: std::io::Error| CliError::Key(format!("cannot ask at the terminal: {e} (or name a file)"));
    Silent::open().map_err(gone)?.ask(prompt).map_err(gone)
}

/// Of a file that its owner alone can read; - is standard input.
pub(super) fn secret_of(file: &Path, what: &str) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let from = if file == Path::new("-") { Path::new("/dev/stdin") } else { file };
    read_secret(from).map_err(|e| CliError::Key(format!("cannot read {what} from {}: {e}", file.display())))
}

/// Its bytes and its check value.
pub(super) fn component(text: &[u8], at: usize, algorithm: Algorithm) -> Result<(Vec<u8>, String), CliError> {
    let mut part = bytes_of(text).ok_or_else(|| {
        CliError::Key(format!("component {at} is not an even number of hexadecimal digits"))
    })?;
    let value = Keystore::component_check_value(algorithm, &part)
        .map_err(|e| CliError::Key(format!("component {at}: {e}")))?;
    Ok((std::mem::take(&mut *part), hex(&value)))
}

/// Secret bytes from hexadecimal digits.
pub(super) fn bytes_of(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    // Of its full size from the start: a vector that grows leaves its old place unwiped.
    let mut bytes = Zeroizing::new(vec![0; text.len() / 2]);
    unhex(&mut bytes, text)?;
    Some(bytes)
}
