//! Why a backend did not do an operation. Each variant is an answer to "what will the caller do?"; none holds a key, a PIN,
//! a PAN or a cryptogram.

use crate::card::CardError;
use crate::data::DataError;
use crate::dukpt::{DukptError, KsnError};
use crate::error::KeyError;
use crate::pin::PinError;

/// Why an operation was not done. A MAC, PIN or cryptogram that does not hold is no error: see
/// [`super::Outcome::Verified`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// The key may not do this, or nobody may. Trying again is useless: the configuration is wrong, or somebody probes.
    #[error("refused by policy: {reason}")]
    Refused {
        /// What is forbidden and what would be allowed.
        reason: String,
    },
    /// The key does not open here: another master key, damage, no key at all. Replace it; no other request is affected.
    #[error("the key cannot be used: {reason}")]
    Key {
        /// What is wrong with it.
        reason: String,
    },
    /// A value in the request is not what the method takes. Decline this request.
    #[error("the {field} is refused: {reason}")]
    Input {
        /// Which value.
        field: &'static str,
        /// What would fit.
        reason: String,
    },
    /// This backend does not do such operations, or not in this form. Ask another one.
    #[error("{operation} is not served by this backend: {reason}")]
    NotServed {
        /// The operation.
        operation: &'static str,
        /// What it lacks.
        reason: String,
    },
    /// It does not answer. The operation may have been done; all of them may be done twice. Try again, or another one.
    #[error("the backend is unavailable: {reason}")]
    Unavailable {
        /// What does not answer, and since when.
        reason: String,
    },
    /// Too much is under way. Try again later, with less.
    #[error("the backend is overloaded: {limit} operations are under way, the most it takes")]
    Overloaded {
        /// The limit that was reached.
        limit: usize,
    },
    /// It answered what makes no sense. Tell an operator; do not use the answer.
    #[error("the backend broke the protocol: {reason}")]
    Protocol {
        /// What was expected and what came.
        reason: String,
    },
}

impl BackendError {
    pub(crate) fn input(field: &'static str, reason: impl ToString) -> BackendError {
        BackendError::Input { field, reason: reason.to_string() }
    }
}

impl From<KeyError> for BackendError {
    /// Names are left out: a key is named by its block here, which belongs in no message.
    fn from(error: KeyError) -> BackendError {
        let refused = |reason| BackendError::Refused { reason };
        let key = |reason| BackendError::Key { reason };
        match error {
            KeyError::NotAllowed { operation, has, needs, .. } => {
                refused(format!("a key may not {operation}: it is {has}, and this needs {needs}"))
            }
            KeyError::State { operation, state, .. } => {
                refused(format!("a key is {state} and may not {operation}"))
            }
            KeyError::NotValid { operation, .. } => {
                refused(format!("a key may not {operation} at this time"))
            }
            KeyError::KekTooWeak { kek_bits, key_bits, .. } => {
                refused(format!("a key of {kek_bits} bits must not carry one of {key_bits} bits"))
            }
            KeyError::MacRule { rule, expected, .. } => {
                BackendError::Input { field: "MAC rule", reason: format!("{rule}: expected {expected}") }
            }
            KeyError::Block { source, .. } => key(source.to_string()),
            KeyError::NotFound { .. } => key("it is no key block".to_owned()),
            KeyError::CheckValue { .. } => {
                key("its check value does not belong to it: wrong transport key, or damaged".to_owned())
            }
            other @ (KeyError::Length { .. } | KeyError::Weak { .. } | KeyError::Components { .. }) => {
                key(other.to_string())
            }
            other @ (KeyError::Attributes { .. } | KeyError::Mismatch { .. }) => refused(other.to_string()),
            // Files, ceremonies and custodians: nothing that an operation touches.
            other => BackendError::Unavailable { reason: other.to_string() },
        }
    }
}

impl From<PinError> for BackendError {
    fn from(error: PinError) -> BackendError {
        match error {
            PinError::Block | PinError::BlockLength { .. } => BackendError::input("PIN block", error),
            PinError::PinLength => BackendError::input("PIN length", error),
            PinError::Pan { .. } => BackendError::input("PAN", error),
            PinError::Parameter { what, .. } => BackendError::input(what, error),
            PinError::Format { .. }
            | PinError::Translation { .. }
            | PinError::Mode { .. }
            | PinError::NotATestKey => BackendError::Refused { reason: error.to_string() },
        }
    }
}

impl From<CardError> for BackendError {
    fn from(error: CardError) -> BackendError {
        match error {
            CardError::Pan { .. } => BackendError::input("PAN", error),
            CardError::Parameter { what, .. } => BackendError::input(what, error),
            CardError::Cryptogram => BackendError::input("cryptogram", error),
            CardError::WeakKey => BackendError::Key { reason: error.to_string() },
        }
    }
}

impl From<DukptError> for BackendError {
    fn from(error: DukptError) -> BackendError {
        match error {
            DukptError::Pin(pin) => pin.into(),
            DukptError::Memory(_) => BackendError::Unavailable { reason: error.to_string() },
            DukptError::OtherDevice => BackendError::input("key serial number", error),
            DukptError::Mac | DukptError::MacLength { .. } => BackendError::input("MAC", error),
            DukptError::DataLength { .. } => BackendError::input("data", error),
            DukptError::WeakKey | DukptError::WorkingLength { .. } => {
                BackendError::Key { reason: error.to_string() }
            }
        }
    }
}

impl From<KsnError> for BackendError {
    fn from(error: KsnError) -> BackendError {
        BackendError::input("key serial number", error)
    }
}

impl From<DataError> for BackendError {
    fn from(error: DataError) -> BackendError {
        match error {
            DataError::Iv { .. } => BackendError::input("IV", error),
            DataError::Length { .. } | DataError::Padding => BackendError::input("data", error),
        }
    }
}
