//! The life of a key (ISO 11568, NIST SP 800-57 part 1, clause 7): its states and what each still allows.
//!
//! ```text
//! pre-active --> active --> retiring --> destroyed
//!      |           | ^          |            ^
//!      |           v |          |            |
//!      |        suspended ------+------------+
//!      +-----------+------ compromised ------+
//! ```
//! States only ever move along an arrow; what a state allows is said in one place, [`KeyState::may`].

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a key stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyState {
    /// Made, and not yet to be used.
    PreActive,
    /// In full use.
    Active,
    /// Replaced: opens and checks what was made before, makes nothing new.
    Retiring,
    /// Stopped for a time; nothing is done with it.
    Suspended,
    /// Known, or feared to be known, to others; nothing is done with it ever again.
    Compromised,
    /// Its bytes are gone; the record that it was remains.
    Destroyed,
}

/// What an operation does with a key, as far as its state cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Makes something new under it: encrypts, generates, wraps.
    Protect,
    /// Opens or checks something that exists: decrypts, verifies, unwraps.
    Process,
}

impl KeyState {
    /// Every state, in the order of a life.
    pub const ALL: [KeyState; 6] = [
        KeyState::PreActive,
        KeyState::Active,
        KeyState::Retiring,
        KeyState::Suspended,
        KeyState::Compromised,
        KeyState::Destroyed,
    ];

    /// Whether a key in this state may do that.
    pub(crate) fn may(self, deed: Deed) -> bool {
        match self {
            KeyState::Active => true,
            KeyState::Retiring => deed == Deed::Process,
            KeyState::PreActive | KeyState::Suspended | KeyState::Compromised | KeyState::Destroyed => false,
        }
    }

    /// Whether a key may go from this state to that one.
    #[must_use]
    pub fn may_become(self, next: KeyState) -> bool {
        use KeyState::{Active, Compromised, Destroyed, PreActive, Retiring, Suspended};
        match self {
            PreActive => matches!(next, Active | Suspended | Compromised | Destroyed),
            Active => matches!(next, Retiring | Suspended | Compromised | Destroyed),
            Suspended => matches!(next, Active | Retiring | Compromised | Destroyed),
            Retiring => matches!(next, Suspended | Compromised | Destroyed),
            Compromised => next == Destroyed,
            Destroyed => false,
        }
    }

    /// The word that files, commands and messages use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            KeyState::PreActive => "pre-active",
            KeyState::Active => "active",
            KeyState::Retiring => "retiring",
            KeyState::Suspended => "suspended",
            KeyState::Compromised => "compromised",
            KeyState::Destroyed => "destroyed",
        }
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_ends_and_never_begins_again() {
        for from in KeyState::ALL {
            assert!(!from.may_become(from), "{from} to itself is no change");
            assert!(!from.may_become(KeyState::PreActive), "{from} to pre-active");
            assert_eq!(from.may_become(KeyState::Destroyed), from != KeyState::Destroyed, "{from}");
        }
        assert!(!KeyState::Compromised.may_become(KeyState::Active));
        assert!(!KeyState::Retiring.may_become(KeyState::Active), "what was replaced stays so");
    }

    #[test]
    fn a_retiring_key_checks_and_makes_nothing_new() {
        assert!(KeyState::Retiring.may(Deed::Process) && !KeyState::Retiring.may(Deed::Protect));
        let free: Vec<_> = KeyState::ALL.into_iter().filter(|s| s.may(Deed::Protect)).collect();
        assert_eq!(free, [KeyState::Active]);
    }
}
