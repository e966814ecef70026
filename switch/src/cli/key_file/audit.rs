//! The audit log, proved and shown.

use super::super::keys::unhex;
use super::super::out::json_line;
use super::{CliError, Which, hex, key_error, open};
use crate::core::clock::rfc3339;
use clap::Subcommand;
use std::io::Write;
use yika_keystore::{AuditRecord, audit_path, verify_audit};

#[derive(Subcommand)]
pub(in crate::cli) enum AuditCommand {
    /// Prove every line: chain, numbers, signatures, and that the key file counts as many
    Verify {
        #[command(flatten)]
        which: Which,
        /// Instead of the master key: the public key that was kept. It cannot tell whether the end was cut off
        #[arg(long)]
        public_key: Option<String>,
    },
    /// Show it, proved as far as it is shown
    Show {
        #[command(flatten)]
        which: Which,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn carry_out(out: &mut impl Write, command: AuditCommand) -> Result<(), CliError> {
    match command {
        AuditCommand::Verify { which, public_key: Some(text) } => {
            let mut key = [0; 32];
            unhex(&mut key, text.trim().as_bytes())
                .ok_or_else(|| CliError::Usage("--public-key is not 64 hexadecimal digits".to_owned()))?;
            let head = verify_audit(&audit_path(&which.file), &key, None, |_| ()).map_err(key_error)?;
            Ok(writeln!(
                out,
                "{} deeds hold together and are signed by this key; the last hash is {}. Whether later ones were cut off, the key \
                 file and its master key tell",
                head.count,
                hex(&head.hash)
            )?)
        }
        AuditCommand::Verify { which, public_key: None } => {
            let head = walk(&which, |_| ())?;
            Ok(writeln!(
                out,
                "{} deeds hold together, are signed, and are all that the key file counts; the last hash is {}",
                head.count,
                hex(&head.hash)
            )?)
        }
        AuditCommand::Show { which, json } => {
            let mut records = Vec::new();
            walk(&which, |record| records.push(record.clone()))?;
            records
                .iter()
                .try_for_each(|record| if json { json_line(out, record) } else { line(out, record) })
        }
    }
}

fn walk(which: &Which, each: impl FnMut(&AuditRecord)) -> Result<yika_keystore::AuditHead, CliError> {
    let store = open(which)?;
    let (Some((log, head)), Some(key)) = (store.audit_head(), store.audit_public_key()) else {
        let what = "a key file of version 1 has no audit log: it begins with the next change".to_owned();
        return Err(CliError::Input(what));
    };
    verify_audit(&log, &key, Some(head), each).map_err(key_error)
}

fn line(out: &mut impl Write, record: &AuditRecord) -> Result<(), CliError> {
    let AuditRecord { seq, at_ms, actors, action, key, check_value, detail } = record;
    let key = match (key, check_value) {
        (Some(key), Some(value)) => format!(" {key} ({value})"),
        _ => String::new(),
    };
    Ok(writeln!(out, "{seq:>6} {} {}: {action}{key}: {detail}", rfc3339(*at_ms), actors.join(", "))?)
}
