//! Custodians and the ceremonies in which a key is made of what each of them alone knows (PCI PIN requirements 6 and 12:
//! split knowledge and dual control).
//!
//! ```text
//! begin (officer) --> enter (custodian 1) --> .. --> enter (custodian n) --> commit (another officer)
//!        `------------------ abandon (anybody who takes part) ------------------'
//! ```
//! A ceremony rests in the key file between its steps, so each person comes when it suits and leaves with nothing open.
//! Components rest as key blocks of their own. Nobody enters two components, and who enters one neither begins nor
//! commits; who commits did not begin.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use yika_arena::wiped;

use super::record::Record;
use super::{Keystore, check_name};
use crate::attributes::Attributes;
use crate::custodian::Custodian;
use crate::error::KeyError;
use crate::info::{KeyInfo, Origin};
use crate::lmk::{Lmk, LmkBlock};
use crate::secret::{COLD_STACK_BYTES, KeyBytes, hex};

/// More components than any zone asks for.
const COMPONENTS_MAX: u8 = 9;
/// Ceremonies that are open at once.
const CEREMONIES_MAX: usize = 32;
/// Custodians that one file knows.
const CUSTODIANS_MAX: usize = 256;

/// The label of a component at rest; `*` cannot be in a key name.
const COMPONENT_LABEL: &str = "*component";

/// A ceremony under way, as the key file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ceremony {
    pub(crate) name: String,
    /// Use, algorithm, mode and exportability, in the letters of a key block header.
    letters: String,
    components: u8,
    officer: String,
    entered: Vec<Entered>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entered {
    custodian: String,
    check_value: String,
    block: LmkBlock,
}

/// What may be told of a ceremony under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CeremonyInfo {
    /// The key that will be made.
    pub name: String,
    /// Its header letters, such as `K0TB00N`.
    pub letters: String,
    /// Who began it.
    pub officer: String,
    /// Components it takes.
    pub components: u8,
    /// Who entered one, in the order of entry, with its check value in hex.
    pub entered: Vec<(String, String)>,
}

/// A custodian who proved to be one, for one step.
pub struct Present {
    name: String,
}

impl Present {
    /// The custodian's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Keystore {
    /// Makes a custodian known, or gives one another passphrase. `by` are the custodians who stand by: two of them, but
    /// for the first two of a file.
    ///
    /// # Errors
    /// `Custodian`, or the file's errors.
    pub fn add_custodian(&self, name: &str, passphrase: &[u8], by: &[&Present]) -> Result<(), KeyError> {
        let custodian = Custodian::new(name, passphrase)?;
        let file = self.file();
        let known: Vec<String> = self.held().custodians.keys().cloned().collect();
        let needed = if known.len() < 2 && !known.iter().any(|other| other == name) { 0 } else { 2 };
        let present: BTreeSet<&str> =
            by.iter().map(|present| present.name()).filter(|other| *other != name).collect();
        if known.iter().any(|other| other == name) && !self.held().ceremonies.is_empty() {
            return refuse(
                name,
                "passphrases stay as they are while a ceremony is under way: nobody may become another",
            );
        }
        if present.len() < needed {
            return refuse(
                name,
                "two custodians must stand by when another is added or gets a new passphrase",
            );
        }
        if known.len() >= CUSTODIANS_MAX {
            return refuse(name, "the file knows 256 custodians, which is its limit");
        }
        let deed = self.deed("custodian", None, format!("{name:?} has a passphrase; present: {present:?}"));
        self.commit(file, Some(Record::Custodian(custodian)), deed)
    }

    /// Proves a custodian; takes some tenths of a second.
    ///
    /// # Errors
    /// `Custodian` for a wrong name or passphrase; which of the two is not told. It is noted in the audit log.
    pub fn present(&self, name: &str, passphrase: &[u8]) -> Result<Present, KeyError> {
        let known = self.held().custodians.get(name).cloned();
        if known.is_some_and(|custodian| custodian.is(passphrase)) {
            return Ok(Present { name: name.to_owned() });
        }
        let shown: String = name.chars().filter(|c| !c.is_control()).take(32).collect();
        self.note("refused", None, &format!("custodian {shown:?}: wrong name or passphrase"))?;
        refuse(&shown, "no custodian of this name has this passphrase")
    }

    /// The custodians of the file, by name.
    #[must_use]
    pub fn custodians(&self) -> Vec<String> {
        self.held().custodians.keys().cloned().collect()
    }

    /// Begins a ceremony for a key of this name.
    ///
    /// # Errors
    /// `Attributes`, `NameInvalid`, `NameTaken`, `Components` for a number that cannot be, or the file's errors.
    pub fn begin_ceremony(
        &self,
        name: &str,
        attributes: Attributes,
        components: u8,
        officer: &Present,
    ) -> Result<(), KeyError> {
        check_name(name)?;
        attributes.check()?;
        if !(2..=COMPONENTS_MAX).contains(&components) {
            return Err(KeyError::Components { reason: "a ceremony takes 2 to 9 of them" });
        }
        let file = self.file();
        if self.held().keys.contains_key(name) || self.held().ceremonies.contains_key(name) {
            return Err(KeyError::NameTaken { name: name.to_owned() });
        }
        if self.held().ceremonies.len() >= CEREMONIES_MAX {
            return Err(KeyError::Full { max: CEREMONIES_MAX });
        }
        let ceremony = Ceremony {
            name: name.to_owned(),
            letters: attributes.letters(),
            components,
            officer: officer.name.clone(),
            entered: Vec::new(),
        };
        self.acts(&[&officer.name]);
        let deed = self.deed(
            "ceremony begin",
            None,
            format!("{name:?}: {}, {components} components", attributes.describe()),
        );
        self.commit(file, Some(Record::Ceremony(ceremony)), deed)
    }

    /// Takes one custodian's component; returns its check value.
    ///
    /// # Errors
    /// `NotFound`, `Custodian` for one who may not enter it, `Length`, `Components`, or the file's errors.
    pub fn enter_component(
        &self,
        name: &str,
        component: &[u8],
        custodian: &Present,
    ) -> Result<[u8; 3], KeyError> {
        let file = self.file();
        let mut ceremony = self.ceremony(name)?;
        let who = custodian.name();
        let reason = if ceremony.entered.iter().any(|entered| entered.custodian == who) {
            Some("has entered a component of this key already: nobody knows two")
        } else if ceremony.officer == who {
            Some("began this ceremony as its officer, who enters no component")
        } else if ceremony.entered.len() >= usize::from(ceremony.components) {
            Some("all components of this key are entered")
        } else {
            None
        };
        if let Some(reason) = reason {
            drop(file);
            self.note("refused", None, &format!("ceremony {name:?}, custodian {who:?}: {reason}"))?;
            return refuse(who, reason);
        }
        let attributes = ceremony.attributes()?;
        attributes.check_length(component.len())?;
        let too_long = KeyError::Components { reason: "it is longer than any key" };
        let part = KeyBytes::new(component).ok_or(too_long)?;
        if component.iter().all(|&byte| byte == 0) {
            return Err(KeyError::Components { reason: "it is all zeros and protects nothing" });
        }
        let check_value = part.check_value(attributes.algorithm)?;
        let block = self.lmk.wrap(&part, &attributes, Some(COMPONENT_LABEL))?;
        let entered = Entered { custodian: who.to_owned(), check_value: hex(&check_value), block };
        ceremony.entered.push(entered);
        let (at, of) = (ceremony.entered.len(), ceremony.components);
        self.acts(&[who]);
        let detail = format!("{name:?}: component {at} of {of}, check value {}", hex(&check_value));
        let deed = self.deed("ceremony enter", None, detail);
        self.commit(file, Some(Record::Ceremony(ceremony)), deed)?;
        Ok(check_value)
    }

    /// The check value that the whole key has, once all components are in: officers compare it with the sender's.
    ///
    /// # Errors
    /// `NotFound`, or `Components` while some are missing or do not make a key.
    pub fn ceremony_check_value(&self, name: &str) -> Result<[u8; 3], KeyError> {
        let ceremony = self.ceremony(name)?;
        self.joined(&ceremony)?.check_value(ceremony.attributes()?.algorithm)
    }

    /// Makes the key of a ceremony, when a second officer has seen its check value.
    ///
    /// # Errors
    /// As [`Keystore::ceremony_check_value`], `Custodian` for one who took part before, or the file's errors.
    pub fn commit_ceremony(&self, name: &str, officer: &Present) -> Result<KeyInfo, KeyError> {
        let ceremony = self.ceremony(name)?;
        let who = officer.name();
        if ceremony.officer == who || ceremony.entered.iter().any(|entered| entered.custodian == who) {
            let reason = "took part in this ceremony: another officer commits";
            self.note("refused", None, &format!("ceremony {name:?}, officer {who:?}: {reason}"))?;
            return refuse(who, reason);
        }
        let key = self.joined(&ceremony)?;
        let entered: Vec<&str> = ceremony.entered.iter().map(|entered| entered.custodian.as_str()).collect();
        self.acts(&[who]);
        let detail = format!("begun by {:?}, components by {entered:?}", ceremony.officer);
        // The ceremony ends by the key of its name.
        self.add(name, ceremony.attributes()?, &key, Origin::Ceremony, &detail)
    }

    /// Ends a ceremony without a key. Its components leave the file with the next time it is written anew.
    ///
    /// # Errors
    /// `NotFound`, or the file's errors.
    pub fn abandon_ceremony(&self, name: &str, by: &Present) -> Result<(), KeyError> {
        let file = self.file();
        let ceremony = self.ceremony(name)?;
        let takes_part = |one: &Entered| one.custodian == by.name();
        if ceremony.officer != by.name() && !ceremony.entered.iter().any(takes_part) {
            return refuse(
                by.name(),
                "takes no part in this ceremony: its officer, or who entered a component, abandons it",
            );
        }
        self.acts(&[by.name()]);
        let deed = self.deed("ceremony abandon", None, format!("{name:?}"));
        self.commit(file, Some(Record::Abandoned(name.to_owned())), deed)
    }

    /// The ceremonies under way, by name.
    #[must_use]
    pub fn ceremonies(&self) -> Vec<CeremonyInfo> {
        let told = |ceremony: &Ceremony| CeremonyInfo {
            name: ceremony.name.clone(),
            letters: ceremony.letters.clone(),
            officer: ceremony.officer.clone(),
            components: ceremony.components,
            entered: ceremony
                .entered
                .iter()
                .map(|entered| (entered.custodian.clone(), entered.check_value.clone()))
                .collect(),
        };
        self.held().ceremonies.values().map(told).collect()
    }

    fn ceremony(&self, name: &str) -> Result<Ceremony, KeyError> {
        let ceremony = self.held().ceremonies.get(name).cloned();
        ceremony.ok_or_else(|| KeyError::NoCeremony { name: name.to_owned() })
    }

    fn joined(&self, ceremony: &Ceremony) -> Result<KeyBytes, KeyError> {
        if ceremony.entered.len() < usize::from(ceremony.components) {
            return Err(KeyError::Components { reason: "not all of them are entered yet" });
        }
        let mut parts = Vec::with_capacity(ceremony.entered.len());
        for entered in &ceremony.entered {
            let opened = self.lmk.unwrap(&entered.block)?;
            if opened.label.as_deref() != Some(COMPONENT_LABEL) {
                return Err(KeyError::Components { reason: "one of them is not one" });
            }
            parts.push(opened.key);
        }
        let Attributes { usage, algorithm, .. } = ceremony.attributes()?;
        wiped::<COLD_STACK_BYTES, _>(|| KeyBytes::of_components(usage, algorithm, &parts))
    }
}

impl Ceremony {
    /// The same with its components under another master key.
    pub(super) fn rewrapped(mut self, lmk: &Lmk, next: &Lmk) -> Result<Ceremony, KeyError> {
        for entered in &mut self.entered {
            let opened = lmk.unwrap(&entered.block)?;
            entered.block = next.wrap(&opened.key, &opened.attributes, Some(COMPONENT_LABEL))?;
        }
        Ok(self)
    }

    fn attributes(&self) -> Result<Attributes, KeyError> {
        let attributes = Attributes::from_letters(&self.letters);
        attributes.ok_or(KeyError::Components { reason: "nobody can tell what key they are for" })
    }
}

fn refuse<T>(name: &str, reason: &'static str) -> Result<T, KeyError> {
    Err(KeyError::Custodian { name: name.to_owned(), reason })
}
