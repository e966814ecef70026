//! What a key file records, and what each record means to what is held. Replaying the records in their order gives
//! the store; a record that cannot follow those before it is damage.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::custody::Ceremony;
use crate::custodian::Custodian;
use crate::info::{KeyInfo, Origin, Validity};
use crate::lmk::{Lmk, LmkBlock};
use crate::secret::hex;
use crate::state::KeyState;

/// One line of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Record {
    /// A key is in the store from here on.
    Key(KeyRecord),
    /// A key goes from one state to another.
    State(StateRecord),
    /// A custodian is known from here on, or has another passphrase.
    Custodian(Custodian),
    /// A ceremony as it stands from here on.
    Ceremony(Ceremony),
    /// The ceremony of this name ended without a key.
    Abandoned(String),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyRecord {
    pub(super) name: String,
    pub(super) check_value: String,
    /// None for a destroyed key: the file was written anew without it.
    pub(super) block: Option<LmkBlock>,
    pub(super) state: KeyState,
    pub(super) origin: Origin,
    #[serde(default, skip_serializing_if = "Validity::is_open")]
    pub(super) validity: Validity,
    /// What a destroyed key was, as its block said: `P0TB00E`, with use, algorithm, mode, version and exportability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) was: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StateRecord {
    pub(super) name: String,
    pub(super) state: KeyState,
}

/// A key that is held.
pub(super) struct Stored {
    pub(super) info: KeyInfo,
    pub(super) block: Option<LmkBlock>,
}

/// Everything that the records say.
#[derive(Default)]
pub(super) struct Held {
    pub(super) keys: BTreeMap<String, Stored>,
    pub(super) custodians: BTreeMap<String, Custodian>,
    pub(super) ceremonies: BTreeMap<String, Ceremony>,
}

impl Held {
    /// Carries out one record; on an error nothing is changed.
    ///
    /// # Errors
    /// Why it cannot follow, for a message about the file.
    pub(super) fn apply(&mut self, record: Record, lmk: &Lmk) -> Result<(), String> {
        match record {
            Record::Key(record) => self.apply_key(record, lmk),
            Record::State(StateRecord { name, state }) => {
                let stored = self.keys.get_mut(&name);
                let stored =
                    stored.ok_or_else(|| format!("a state of {name:?}, which is no key before it"))?;
                if !stored.info.state.may_become(state) {
                    return Err(format!("{name:?} cannot go from {} to {state}", stored.info.state));
                }
                stored.info.state = state;
                Ok(())
            }
            Record::Custodian(custodian) => {
                self.custodians.insert(custodian.name.clone(), custodian);
                Ok(())
            }
            Record::Ceremony(ceremony) => {
                self.ceremonies.insert(ceremony.name.clone(), ceremony);
                Ok(())
            }
            Record::Abandoned(name) => match self.ceremonies.remove(&name) {
                Some(_) => Ok(()),
                None => Err(format!("the end of a ceremony for {name:?}, which did not begin")),
            },
        }
    }

    fn apply_key(&mut self, record: KeyRecord, lmk: &Lmk) -> Result<(), String> {
        let name = &record.name;
        if self.keys.contains_key(name) {
            return Err(format!("a second key named {name:?}"));
        }
        let info = match (&record.block, &record.was) {
            (Some(block), None) => {
                let opened = lmk.unwrap(block).map_err(|e| e.to_string())?;
                if opened.label.as_deref() != Some(name) || hex(&opened.check_value) != record.check_value {
                    return Err(format!("the key block is not that of {name:?}"));
                }
                KeyInfo {
                    state: record.state,
                    origin: record.origin,
                    validity: record.validity,
                    ..lmk.info(name, &opened)
                }
            }
            (None, Some(was)) if record.state == KeyState::Destroyed => {
                let gone = KeyInfo::of_destroyed(name, was, &record.check_value, lmk.is_test());
                KeyInfo {
                    origin: record.origin,
                    validity: record.validity,
                    ..gone.ok_or_else(|| format!("nobody can tell what {name:?} was"))?
                }
            }
            _ => return Err(format!("{name:?} is neither a key nor a destroyed one")),
        };
        // A ceremony ends by its key.
        self.ceremonies.remove(name);
        self.keys.insert(record.name, Stored { info, block: record.block });
        Ok(())
    }

    /// What a file written anew holds: each custodian and key as it stands now.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let custodians = self.custodians.values().cloned().map(Record::Custodian);
        let ceremonies = self.ceremonies.values().cloned().map(Record::Ceremony);
        custodians.chain(ceremonies).chain(self.keys.values().map(|stored| Record::Key(stored.record())))
    }
}

impl Stored {
    pub(super) fn record(&self) -> KeyRecord {
        let info = &self.info;
        KeyRecord {
            name: info.name.clone(),
            check_value: hex(&info.check_value),
            block: self.block.clone(),
            state: info.state,
            origin: info.origin,
            validity: info.validity,
            was: self.block.is_none().then(|| info.header_letters()),
        }
    }
}
