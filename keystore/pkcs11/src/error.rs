//! What can go wrong with a token, and what to do about it. No message holds the token's PIN or a key.

use std::path::PathBuf;

use cryptoki::error::{Error, RvError};

/// Why a token did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The PKCS#11 library cannot be used.
    #[error(
        "the PKCS#11 library {} cannot be used: {reason}; install the token's software (for SoftHSM2 the package softhsm2) or name its library",
        path.display()
    )]
    Library {
        /// Its path.
        path: PathBuf,
        /// What was wrong.
        reason: String,
    },
    /// No token has this label.
    #[error("there is no token {wanted:?}: {}", listed(found))]
    NotFound {
        /// The label asked for.
        wanted: String,
        /// The labels there are.
        found: Vec<String>,
    },
    /// The file with the user's PIN cannot be used.
    #[error("the PIN file {} cannot be used: {reason}", path.display())]
    PinFile {
        /// Its path.
        path: PathBuf,
        /// What was wrong, and what to do.
        reason: String,
    },
    /// The token does not take the PIN. It is not tried again by itself.
    #[error(
        "the token {token:?} does not take the user's PIN: {tries}; correct the PIN file before you start again"
    )]
    WrongPin {
        /// The token's label.
        token: String,
        /// How many tries may be left, as far as the token tells.
        tries: &'static str,
    },
    /// The token has no such key.
    #[error("the token has no key {label:?} for {purpose}: make it, or name another one")]
    NoKey {
        /// The label.
        label: String,
        /// What it was wanted for.
        purpose: &'static str,
    },
    /// The token has a key of this name already.
    #[error("the token has a key {label:?} already: choose another name, or delete it there")]
    KeyExists {
        /// The label.
        label: String,
    },
    /// A value is not what the operation takes.
    #[error("the {what} is refused: expected {expected}")]
    Input {
        /// Which one.
        what: &'static str,
        /// What would fit.
        expected: &'static str,
    },
    /// The sealed master key does not open to itself.
    #[error("the sealed master key cannot be opened: {reason}")]
    Sealed {
        /// Why not.
        reason: &'static str,
    },
    /// The token refused, or is gone.
    #[error("the token could not {what}: {source}")]
    Failed {
        /// What was tried.
        what: &'static str,
        /// Its answer.
        source: Error,
    },
}

fn listed(found: &[String]) -> String {
    if found.is_empty() {
        "the library has none at all; initialize one".to_owned()
    } else {
        format!("there are {}", found.iter().map(|label| format!("{label:?}")).collect::<Vec<_>>().join(", "))
    }
}

/// Whether the session or the login is gone, so that a new one may help.
pub(crate) fn is_lost(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::SessionHandleInvalid
                | RvError::SessionClosed
                | RvError::DeviceRemoved
                | RvError::DeviceError
                | RvError::TokenNotPresent
                | RvError::UserNotLoggedIn
                | RvError::CryptokiNotInitialized,
            _
        )
    )
}
