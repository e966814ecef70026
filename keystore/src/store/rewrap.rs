//! A new master key in place of the old one, for a whole store. Every key is wrapped under the new one into a file beside
//! the old, which then takes its name: there is no moment at which some keys rest under the one and some under the
//! other. A step that is broken off is begun again from the old file. Switches that run keep their handles.
//!
//! What rests elsewhere stays readable: the old master key itself rests in the new file, under the new one, and opens
//! the data keys and working keys of journals. Card tokens go on from the first master key.

use super::{Held, Keystore, RwLock};
use crate::attributes::{Algorithm, Attributes, Export, Mode, Usage};
use crate::error::KeyError;
use crate::info::Origin;
use crate::lmk::Lmk;
use crate::secret::hex;
use crate::store::record::{KeyRecord, Record, Stored};
use std::sync::{Mutex, PoisonError};

/// Begins the label of a master key that was replaced; then a number that counts up, and its check value.
const RETIRED: &str = "*lmk.";

/// What a master key is when it rests in a file.
const AT_REST: Attributes = Attributes {
    usage: Usage::KeyBlockProtection,
    algorithm: Algorithm::Aes,
    mode: Mode::Decrypt,
    export: Export::N,
};

/// The master keys that rest in a file, newest first.
pub(super) fn retired(held: &Held, lmk: &Lmk) -> Result<Vec<Lmk>, KeyError> {
    let mut retired = Vec::new();
    for stored in held.keys.range(RETIRED.to_owned()..).take_while(|(name, _)| name.starts_with(RETIRED)) {
        if let Some(block) = &stored.1.block {
            retired.push(Lmk::from_rest(lmk.unwrap(block)?.key, lmk.environment())?);
        }
    }
    retired.reverse();
    Ok(retired)
}

impl Keystore {
    /// Wraps the whole store under `next`, in its file as in memory; returns the store under it.
    ///
    /// # Errors
    /// The file's errors; unless it was the last sync that failed, the old file stands.
    pub fn rewrap_under(self, next: Lmk) -> Result<Keystore, KeyError> {
        let Keystore { lmk, retired, held, file, actors, now_ms } = self;
        let next = next.in_environment(lmk.environment());
        let (old, new) = (hex(&lmk.check_value()), hex(&next.check_value()));
        let held = held.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut file = file.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &mut file {
            file.take_over_if_old(&held, &lmk)?;
        }
        let mut anew = rewrapped(&held, &lmk, &next)?;
        let number = retired.len() + 1;
        let name = format!("{RETIRED}{number:04}.{old}");
        let block = Some(next.wrap(lmk.key(), &AT_REST, Some(&name))?);
        let info = crate::info::KeyInfo {
            origin: Origin::Generated,
            ..next.info(&name, &next.unwrap(block.as_ref().expect("made in the line above"))?)
        };
        let record = Stored { info, block }.record();
        apply(&mut anew, Record::Key(record), &next)?;

        let store = Keystore {
            retired: self::retired(&anew, &next)?,
            lmk: next,
            held: RwLock::new(anew),
            file: Mutex::new(None),
            actors,
            now_ms,
        };
        if let Some(mut file) = file {
            let detail = format!("from {old} to {new}, {} keys", store.list().len());
            file.replace(&store.held(), store.deed("change master key", None, detail), &store.lmk)?;
            *store.file() = Some(file);
        }
        Ok(store)
    }
}

/// The same records, each key under the new master key.
fn rewrapped(held: &Held, lmk: &Lmk, next: &Lmk) -> Result<Held, KeyError> {
    let mut anew = Held::default();
    for record in held.records() {
        let record = match record {
            Record::Key(KeyRecord { name, block: Some(block), .. }) => {
                let opened = lmk.unwrap(&block)?;
                let block = next.wrap(&opened.key, &opened.attributes, Some(&name))?;
                let stored = &held.keys[&name];
                Record::Key(KeyRecord { block: Some(block), ..stored.record() })
            }
            Record::Ceremony(ceremony) => Record::Ceremony(ceremony.rewrapped(lmk, next)?),
            other => other,
        };
        apply(&mut anew, record, next)?;
    }
    Ok(anew)
}

fn apply(held: &mut Held, record: Record, lmk: &Lmk) -> Result<(), KeyError> {
    held.apply(record, lmk).map_err(|reason| KeyError::Damaged {
        path: "the store in memory".into(),
        line: 0,
        reason,
        remedy: "nothing was changed; report it",
    })
}
