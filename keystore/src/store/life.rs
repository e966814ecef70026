//! What happens to a key after it came in: its states, its validity, its end. Each step is a record in the key file and a
//! line in the audit log before anything is done by it. Handles that are open stay open; whoever keeps them opens anew.

use super::{KeyFile, Keystore, Record};
use crate::attributes::Attributes;
use crate::audit::AuditHead;
use crate::error::KeyError;
use crate::info::{KeyInfo, Origin, Validity};
use crate::secret::KeyBytes;
use crate::state::KeyState;
use crate::store::record::{StateRecord, Stored};
use std::path::PathBuf;
use std::sync::PoisonError;

impl Keystore {
    /// Puts a key into another state; `why` goes into the audit log. Destroying is [`Keystore::destroy`].
    ///
    /// # Errors
    /// `NotFound`, `Transition`, or the file's errors.
    pub fn set_state(&self, name: &str, state: KeyState, why: &str) -> Result<KeyInfo, KeyError> {
        if state == KeyState::Destroyed {
            return self.destroy(name, why);
        }
        let file = self.file();
        let info = self.may_become(name, state)?;
        let deed = self.deed(word(state), Some(&info), format!("{} before; {why}", info.state));
        self.commit(file, Some(Record::State(StateRecord { name: name.to_owned(), state })), deed)?;
        Ok(KeyInfo { state, ..info })
    }

    /// Ends a key: its block leaves the file, which is written anew; that it was, and what, remains.
    ///
    /// # Errors
    /// As [`Keystore::set_state`].
    pub fn destroy(&self, name: &str, why: &str) -> Result<KeyInfo, KeyError> {
        let mut file = self.file();
        let info = self.may_become(name, KeyState::Destroyed)?;
        let deed = self.deed("destroy", Some(&info), format!("{} before; {why}", info.state));
        self.change_held(name, |stored| {
            stored.block = None;
            stored.info.state = KeyState::Destroyed;
        });
        if let Some(file) = file.as_mut() {
            let written = file.replace(&self.held(), deed, &self.lmk);
            // The file still has it: a store that says otherwise would lie at the next start.
            written.inspect_err(|_| file.give_up())?;
        }
        Ok(KeyInfo { state: KeyState::Destroyed, ..info })
    }

    /// Says from when to when a key may be used. The file is written anew.
    ///
    /// # Errors
    /// `NotFound`, or the file's errors.
    pub fn set_validity(&self, name: &str, validity: Validity) -> Result<KeyInfo, KeyError> {
        let mut file = self.file();
        let info = self.named(name)?;
        let deed = self.deed("validity", Some(&info), format!("for use {}", validity.words()));
        self.change_held(name, |stored| stored.info.validity = validity);
        if let Some(file) = file.as_mut() {
            file.replace(&self.held(), deed, &self.lmk).inspect_err(|_| file.give_up())?;
        }
        Ok(KeyInfo { validity, ..info })
    }

    /// Draws a key that takes the place of `name`: the same use, algorithm, mode, exportability and length, under the
    /// name `next`, active at once. The old one is retiring from here on: it opens and checks what was made before.
    ///
    /// # Errors
    /// As [`Keystore::generate`] and [`Keystore::set_state`]; when the second step fails both keys are active.
    pub fn rotate(&self, name: &str, next: &str) -> Result<KeyInfo, KeyError> {
        let old = self.may_become(name, KeyState::Retiring)?;
        let KeyInfo { usage, algorithm, mode, export, .. } = old;
        let bytes = self.open_named(name)?.key.as_slice().len();
        let attributes = Attributes { usage, algorithm, mode, export };
        let key = KeyBytes::random(algorithm, bytes);
        let made =
            self.add(next, attributes, &key, Origin::Generated, &format!("takes the place of {name:?}"))?;
        self.set_state(name, KeyState::Retiring, &format!("{next:?} took its place"))?;
        Ok(made)
    }

    /// Writes a line into the audit log that changes nothing: an export, a refusal, a start.
    ///
    /// # Errors
    /// The file's errors.
    pub fn note(&self, action: &str, key: Option<&str>, detail: &str) -> Result<(), KeyError> {
        let file = self.file();
        let info = key.and_then(|name| self.info(name));
        let deed = self.deed(action, info.as_ref(), detail);
        self.commit(file, None, deed)
    }

    /// The key that checks the signatures of the audit log; None for a store without one.
    #[must_use]
    pub fn audit_public_key(&self) -> Option<[u8; 32]> {
        self.file().as_ref().and_then(KeyFile::audit_public_key)
    }

    /// What the sealed header of the key file says of the audit log, and where that is.
    #[must_use]
    pub fn audit_head(&self) -> Option<(PathBuf, AuditHead)> {
        let file = self.file();
        let file = file.as_ref()?;
        Some((crate::audit::audit_path(file.path()), file.audit_head()?))
    }

    fn named(&self, name: &str) -> Result<KeyInfo, KeyError> {
        self.info(name).ok_or_else(|| KeyError::NotFound { name: name.to_owned() })
    }

    fn may_become(&self, name: &str, to: KeyState) -> Result<KeyInfo, KeyError> {
        let info = self.named(name)?;
        match info.state.may_become(to) {
            true => Ok(info),
            false => Err(KeyError::Transition { name: name.to_owned(), from: info.state, to }),
        }
    }

    fn change_held(&self, name: &str, change: impl FnOnce(&mut Stored)) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.keys.get_mut(name).map(change);
    }
}

/// What the audit log calls the step into a state.
fn word(state: KeyState) -> &'static str {
    match state {
        KeyState::PreActive => "hold back",
        KeyState::Active => "activate",
        KeyState::Retiring => "retire",
        KeyState::Suspended => "suspend",
        KeyState::Compromised => "compromise",
        KeyState::Destroyed => "destroy",
    }
}
