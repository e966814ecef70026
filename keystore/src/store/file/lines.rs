//! The lines of a key file: header and records, how they are spelled and sealed.

use ring::hmac;
use serde::{Deserialize, Serialize};
use yika_arena::{Held, Stay, wiped};

use crate::audit::AuditHead;
use crate::error::KeyError;
use crate::info::Environment;
use crate::lmk::Lmk;
use crate::secret::{COLD_STACK_BYTES, hex, unhex};
use crate::store::record::Record;

/// The version this program writes.
pub(super) const VERSION: u32 = 2;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderLine {
    pub(super) yika_keys: u32,
    pub(super) lmk: String,
    environment: String,
    pub(super) records: usize,
    pub(super) bytes: u64,
    audit: u64,
    audit_hash: String,
    seal: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordLine {
    record: Record,
    seal: String,
}

impl HeaderLine {
    pub(super) fn environment(&self) -> Option<Environment> {
        [Environment::Test, Environment::Production]
            .into_iter()
            .find(|e| e.to_string() == self.environment.trim_end())
    }

    pub(super) fn audit_head(&self) -> Option<AuditHead> {
        let hash = unhex(self.audit_hash.as_bytes()).ok()?.as_slice().try_into().ok()?;
        Some(AuditHead { count: self.audit, hash })
    }
}

/// The key of the seals, with what each header says.
pub(super) struct Seals {
    key: Held<hmac::Key>,
    lmk: String,
    environment: Environment,
}

impl Seals {
    pub(super) fn new(lmk: &Lmk) -> Result<Seals, KeyError> {
        let derived = lmk.derive("key file", 32);
        let key = || Held::new(Stay::Lasting, hmac::Key::new(hmac::HMAC_SHA256, derived.as_slice()));
        Ok(Seals {
            key: wiped::<COLD_STACK_BYTES, _>(key)?,
            lmk: hex(&lmk.check_value()),
            environment: lmk.environment(),
        })
    }

    /// The header, which has the same width whatever it counts.
    pub(super) fn header(&self, records: usize, bytes: u64, audit: AuditHead, last_seal: &str) -> String {
        let (lmk, hash, environment) = (&self.lmk, hex(&audit.hash), self.environment.to_string());
        let count = audit.count.to_string();
        let parts = [
            "header 2",
            lmk,
            &environment,
            &records.to_string(),
            &bytes.to_string(),
            &count,
            &hash,
            last_seal,
        ];
        let seal = self.seal(&parts);
        format!(
            "{{\"yika_keys\":{VERSION},\"lmk\":\"{lmk}\",\"environment\":\"{environment:<10}\",\"records\":{records:>7},\"bytes\":{bytes:>10},\
             \"audit\":{count:>8},\"audit_hash\":\"{hash}\",\"seal\":\"{seal}\"}}\n"
        )
    }

    /// The line of a record, and its seal.
    pub(super) fn line(&self, previous: &str, record: &Record) -> serde_json::Result<(String, String)> {
        let seal = self.record_seal(previous, record)?;
        let mut line = serde_json::to_string(&RecordLine { record: record.clone(), seal: seal.clone() })?;
        line.push('\n');
        Ok((line, seal))
    }

    /// The record of a line without its end, and its seal.
    ///
    /// # Errors
    /// What is wrong with it, for a message.
    pub(super) fn read(&self, previous: &str, text: &[u8]) -> Result<(Record, String), String> {
        let line: RecordLine =
            serde_json::from_slice(text).map_err(|error| format!("not a key record ({error})"))?;
        let holds = self.record_seal(previous, &line.record).is_ok_and(|seal| seal == line.seal);
        if !holds {
            return Err("the seal does not hold: the line, or one before it, was changed or moved".to_owned());
        }
        // A space or an escape does not stand in the seal, and must be as we write it.
        if serde_json::to_vec(&line).ok().as_deref() != Some(text) {
            return Err("not as this program writes it".to_owned());
        }
        Ok((line.record, line.seal))
    }

    fn record_seal(&self, previous: &str, record: &Record) -> serde_json::Result<String> {
        Ok(self.seal(&["record 2", previous, &serde_json::to_string(record)?]))
    }

    /// The parts are joined by a character that none of them can hold: JSON escapes it.
    pub(super) fn seal(&self, parts: &[&str]) -> String {
        let tag = hmac::sign(&self.key, parts.join("\n").as_bytes());
        hex(&tag.as_ref()[..16])
    }
}
