//! The master key of a key file: split into shares for custodians, and changed.

use super::super::keys::master_key_of;
use super::{CliError, Which, create, hex, key_error, lmk, open};
use clap::Subcommand;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use yika_keystore::{Environment, Lmk, Share};

#[derive(Subcommand)]
pub(in crate::cli) enum MasterKeyCommand {
    /// Write the master key as shares: 2/3 makes three, any two of which unlock. Older shares and components stay good
    Split {
        #[command(flatten)]
        which: Which,
        /// How many are needed, of how many
        #[arg(long, value_parser = of)]
        shares: (u8, u8),
        /// The folder that they are written into, one file each
        #[arg(long)]
        into: PathBuf,
    },
    /// Wrap every key under another master key; the old one is needed no more, and journals and card tokens stay good
    Change {
        #[command(flatten)]
        which: Which,
        /// The file with the components or shares of the new master key
        #[arg(long)]
        new: PathBuf,
    },
}

/// `2/3`: two of three.
pub(super) fn of(text: &str) -> Result<(u8, u8), String> {
    let parts = text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
    parts.ok_or_else(|| "it is no pair such as 2/3, which means any two of three".to_owned())
}

/// A file under a master key that nobody has seen whole.
pub(super) fn init_drawn(
    out: &mut impl Write,
    which: &Which,
    environment: Environment,
    of: (u8, u8),
    into: &Path,
) -> Result<(), CliError> {
    if which.file.exists() {
        let what = format!("{} is already there: name another key file", which.file.display());
        return Err(CliError::Input(what));
    }
    let lmk = Lmk::random().in_environment(environment);
    // A master key whose shares could not be written is lost: first they, then the file.
    let split = lmk.split(of.0, of.1).map_err(key_error)?;
    write_shares(out, &split, of, into)?;
    create(out, which, lmk).map(drop)
}

pub(super) fn carry_out(out: &mut impl Write, command: MasterKeyCommand) -> Result<(), CliError> {
    match command {
        MasterKeyCommand::Split { which, shares, into } => {
            let store = open(&which)?;
            let lmk = lmk(which.test_master_key)?;
            if lmk.check_value() != store.lmk_check_value() {
                let what =
                    "the master key changed since the key file was opened: its shares would open nothing";
                return Err(CliError::Key(what.to_owned()));
            }
            let split = lmk.split(shares.0, shares.1).map_err(key_error)?;
            // Before they are there: no share may exist that the log does not tell of.
            let detail = format!("any {} of {}", shares.0, shares.1);
            store.note("split master key", None, &detail).map_err(key_error)?;
            write_shares(out, &split, shares, &into)
        }
        MasterKeyCommand::Change { which, new } => {
            let store = open(&which)?;
            let next = master_key_of(&new)?;
            if next.is_test() {
                let what = "that is the public TEST master key, which protects nothing: draw another";
                return Err(CliError::Key(what.to_owned()));
            }
            let old = hex(&store.lmk_check_value());
            let store = store.rewrap_under(next).map_err(key_error)?;
            let (new, keys) = (hex(&store.lmk_check_value()), store.list().len());
            Ok(writeln!(
                out,
                "{keys} keys are under the master key with check value {new} in place of {old}; a switch that runs goes on, and \
                 its next start needs the new one. Copies of the old file still open under the old one: destroy both"
            )?)
        }
    }
}

fn write_shares(
    out: &mut impl Write,
    shares: &[Share],
    (k, n): (u8, u8),
    into: &Path,
) -> Result<(), CliError> {
    std::fs::create_dir_all(into)
        .map_err(|e| CliError::Input(format!("cannot make {}: {e}", into.display())))?;
    for share in shares {
        let path = into.join(format!("share-{}", share.index()));
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| {
            file.write_all(share.text().as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        });
        written.map_err(|e| CliError::Input(format!("cannot write {}: {e}", path.display())))?;
        writeln!(out, "{}: for one custodian; take it away from here", path.display())?;
    }
    Ok(writeln!(out, "any {k} of these {n}, one a line in the file that YIKA_LMK_FILE names, unlock")?)
}
