//! Keys that come and go: components, key blocks and bare cryptograms in; key blocks and bare cryptograms out.

use super::components::{bytes_of, from_files, typed};
use super::{CliError, KeyArgs, Which, hex, key_error, one_of, open, said};
use clap::{ArgGroup, Args};
use std::io::Write;
use std::path::PathBuf;
use yika_keystore::{Attributes, KeyInfo, Keystore, WrapForm, Wrapped};

#[derive(Args)]
#[command(group = ArgGroup::new("wrapped").args(["block", "cryptogram"]))]
pub(in crate::cli) struct ImportArgs {
    #[command(flatten)]
    which: Which,
    /// What the configuration calls the key
    name: String,
    #[command(flatten)]
    attributes: KeyArgs,
    /// Read components from here instead of the terminal, one a line in hex; - is standard input; may be repeated
    #[arg(long, conflicts_with = "wrapped")]
    component_file: Vec<PathBuf>,
    /// The key-encryption key of this file that the key came under
    #[arg(long, requires = "wrapped")]
    kek: Option<String>,
    /// The key as an X9.143 key block
    #[arg(long, requires = "kek")]
    block: Option<String>,
    /// The key as a bare cryptogram under a TDES key, in hex
    #[arg(long, requires_all = ["kek", "check_value"])]
    cryptogram: Option<String>,
    /// The check value that came with the cryptogram, 6 to 16 hexadecimal digits
    #[arg(long, requires = "cryptogram")]
    check_value: Option<String>,
}

#[derive(Args)]
pub(in crate::cli) struct ExportArgs {
    #[command(flatten)]
    which: Which,
    /// The key to be sent
    name: String,
    /// The key-encryption key of this file that it goes under
    #[arg(long)]
    kek: String,
    /// block: an X9.143 key block; ecb: a bare cryptogram with its check value, for partners that know nothing else
    #[arg(long, default_value = "block", value_parser = form)]
    form: WrapForm,
}

fn form(text: &str) -> Result<WrapForm, String> {
    one_of(text, &[("block", WrapForm::KeyBlock), ("ecb", WrapForm::TdesEcb)])
}

pub(super) fn import(out: &mut impl Write, args: ImportArgs) -> Result<(), CliError> {
    let ImportArgs { which, name, attributes, component_file, kek, block, cryptogram, check_value } = args;
    let store = open(&which)?;
    let attributes = attributes.attributes();
    let wrapped = match (block, cryptogram) {
        (Some(block), _) => Some(Wrapped::KeyBlock(block)),
        (None, Some(cryptogram)) => Some(Wrapped::TdesEcb {
            cryptogram: digits("--cryptogram", &cryptogram)?,
            check_value: digits("--check-value", &check_value.unwrap_or_default())?,
        }),
        (None, None) => None,
    };
    let info = match (wrapped, kek) {
        (Some(wrapped), Some(kek)) => unwrapped(&store, &name, &kek, &wrapped, attributes)?,
        _ => {
            let Attributes { usage, algorithm, mode, export } = attributes;
            let components = match component_file.is_empty() {
                true => typed(&format!("the key \"{name}\""), algorithm)?,
                false => from_files(out, &component_file, algorithm)?,
            };
            store.import_components(&name, usage, algorithm, mode, export, &components).map_err(key_error)?
        }
    };
    said(out, &info)
}

/// A refusal is noted too: whoever tries keys is seen.
fn unwrapped(
    store: &Keystore,
    name: &str,
    kek: &str,
    wrapped: &Wrapped,
    attributes: Attributes,
) -> Result<KeyInfo, CliError> {
    let Attributes { usage, algorithm, mode, .. } = attributes;
    let taken = store.import_wrapped(name, kek, wrapped, usage, algorithm, mode);
    taken.map_err(|error| noted(store, "import", error))
}

pub(super) fn export(out: &mut impl Write, args: &ExportArgs) -> Result<(), CliError> {
    let ExportArgs { which, name, kek, form } = args;
    let store = open(which)?;
    let wrapped = store.export_wrapped(name, kek, *form).map_err(|error| noted(&store, "export", error))?;
    // What is not in the log did not happen: first the line, then the key.
    store.note("export", Some(name), &format!("under {kek:?}, {form:?}")).map_err(key_error)?;
    match wrapped {
        Wrapped::KeyBlock(block) => Ok(writeln!(out, "{block}")?),
        Wrapped::TdesEcb { cryptogram, check_value } => {
            Ok(writeln!(out, "{} check value {}", hex(&cryptogram), hex(&check_value))?)
        }
    }
}

fn noted(store: &Keystore, what: &str, error: yika_keystore::KeyError) -> CliError {
    match store.note("refused", None, &format!("{what}: {error}")) {
        Ok(()) => key_error(error),
        Err(log) => CliError::Key(format!("{error}; and it could not be noted in the audit log: {log}")),
    }
}

fn digits(argument: &str, text: &str) -> Result<Vec<u8>, CliError> {
    let bytes = bytes_of(text.trim().as_bytes()).filter(|bytes| !bytes.is_empty());
    let bytes = bytes
        .ok_or_else(|| CliError::Usage(format!("{argument} is not an even number of hexadecimal digits")))?;
    Ok(bytes.to_vec())
}
