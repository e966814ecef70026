//! What each operation asks of a key: uses, algorithms, mode and state. Whatever is not named here is refused.
//!
//! Each handle says its need as a constant beside its type and opens through [`Need::check`], once; afterwards the
//! type is the proof, so that a wrong pair of key and operation does not compile. The test lists every need and tries
//! it against every key there can be.

#[cfg(test)]
mod tests;

use crate::attributes::{Algorithm, Attributes, Mode, Usage};
use crate::error::KeyError;
use crate::state::{Deed, KeyState};

/// The key that an operation accepts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    /// What it does, for a message: "make MACs".
    pub(crate) operation: &'static str,
    /// Each use with its algorithms.
    pub(crate) keys: &'static [(Usage, &'static [Algorithm])],
    /// All of these must be allowed by the key's mode.
    pub(crate) modes: &'static [Mode],
    /// All of these must be allowed by the key's state.
    pub(crate) deeds: &'static [Deed],
    /// What would be accepted, for a message: "a PIN key (use P0)".
    pub(crate) needs: &'static str,
}

impl Need {
    /// The one check of use, algorithm, mode and state; nobody checks again afterwards.
    pub(crate) fn check(&self, name: &str, has: &Attributes, state: KeyState) -> Result<(), KeyError> {
        let fits = |(usage, algorithms): &(Usage, &[Algorithm])| {
            *usage == has.usage && algorithms.contains(&has.algorithm)
        };
        if !self.keys.iter().any(fits) || !self.modes.iter().all(|&wanted| has.mode.may(wanted)) {
            return Err(KeyError::NotAllowed {
                name: name.to_owned(),
                operation: self.operation,
                has: has.describe(),
                needs: self.needs,
            });
        }
        if !self.deeds.iter().all(|&deed| state.may(deed)) {
            return Err(KeyError::State { name: name.to_owned(), operation: self.operation, state });
        }
        Ok(())
    }
}
