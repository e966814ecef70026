//! What may be told about a key: everything but the key. Names, attributes, check value, where it stands in its life, when it
//! may be used, how it came, and whose world it belongs to.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::attributes::{Algorithm, Attributes, Export, Mode, Usage};
use crate::secret::unhex;
use crate::state::KeyState;

/// What may be told about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its name in the store; empty for a working key that is not in it.
    pub name: String,
    /// Its use.
    pub usage: Usage,
    /// Its cipher.
    pub algorithm: Algorithm,
    /// Its direction.
    pub mode: Mode,
    /// Whether it may leave.
    pub export: Export,
    /// Where it stands in its life.
    pub state: KeyState,
    /// How it came.
    pub origin: Origin,
    /// When it may be used.
    pub validity: Validity,
    /// Its check value, 3 bytes.
    pub check_value: [u8; 3],
    /// Whether it lives under the well-known test master key.
    pub test: bool,
}

/// How a key came into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Drawn here.
    Generated,
    /// Joined from the components of one command.
    Components,
    /// Joined from components that custodians entered one after another, and committed by an officer.
    Ceremony,
    /// Came under a key-encryption key.
    Imported,
    /// Taken over from a file that did not say.
    Unknown,
}

/// From when to when a key may be used, in milliseconds since 1970; an end that is open is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validity {
    /// Not before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    /// Not at this time, nor later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

impl Validity {
    pub(crate) fn is_open(&self) -> bool {
        *self == Validity::default()
    }

    /// Whether a key may be used at this time.
    #[must_use]
    pub fn holds(&self, at_ms: u64) -> bool {
        self.from_ms.is_none_or(|from| from <= at_ms) && self.until_ms.is_none_or(|until| at_ms < until)
    }

    pub(crate) fn words(&self) -> String {
        match (self.from_ms, self.until_ms) {
            (Some(from), Some(until)) => format!("from {from} ms to {until} ms since 1970"),
            (Some(from), None) => format!("from {from} ms since 1970 on"),
            (None, Some(until)) => format!("before {until} ms since 1970"),
            (None, None) => "always".to_owned(),
        }
    }
}

/// Which world a key belongs to; the two never mix (PCI PIN requirement 19-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Environment {
    /// Tests and trials.
    Test,
    /// Real cards and money.
    Production,
}

impl Environment {
    /// The character in the private optional block of a key block at rest.
    pub(crate) fn letter(self) -> char {
        match self {
            Environment::Test => 'T',
            Environment::Production => 'P',
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Environment::Test => "test",
            Environment::Production => "production",
        })
    }
}

impl KeyInfo {
    /// Use, algorithm, mode, version and exportability in the letters of a key block header: `P0TB00E`.
    #[must_use]
    pub fn header_letters(&self) -> String {
        let KeyInfo { usage, algorithm, mode, export, .. } = *self;
        Attributes { usage, algorithm, mode, export }.letters()
    }

    /// What may still be told of a key whose bytes are gone.
    pub(crate) fn of_destroyed(name: &str, letters: &str, check_value: &str, test: bool) -> Option<KeyInfo> {
        let Attributes { usage, algorithm, mode, export } = Attributes::from_letters(letters)?;
        let check_value = unhex(check_value.as_bytes()).ok()?.as_slice().try_into().ok()?;
        let (state, origin, validity) = (KeyState::Destroyed, Origin::Unknown, Validity::default());
        Some(KeyInfo {
            name: name.to_owned(),
            usage,
            algorithm,
            mode,
            export,
            state,
            origin,
            validity,
            check_value,
            test,
        })
    }
}
