//! The border behind which keys work: the keystore of this process, or an HSM that is asked by a wire.
//!
//! A request is data ([`Operation`]), so that a backend takes many in one call and the caller can queue, send on or count
//! them without knowing what they do. A backend never shows a clear key or a clear PIN, tells a value that does not hold
//! from work that was not done ([`Outcome::Verified`] and [`BackendError`]), and says in [`Backend::can`] what it cannot do.
//!
//! ```
//! use std::sync::Arc;
//! use yika_keystore::{Backend, Keystore, Lmk, Operation, Outcome, SoftBackend};
//!
//! let backend = SoftBackend::new(Arc::new(Keystore::in_memory(Lmk::test())));
//! let answers = backend.submit(&[Operation::Random { bytes: 8 }]);
//! assert!(matches!(&answers[0], Ok(Outcome::Random(bytes)) if bytes.len() == 8));
//! ```
//!
//! What comes back is shown by Debug as its kind alone, and is not copied:
//!
//! ```compile_fail,E0599
//! fn copy(outcome: &yika_keystore::Outcome) -> yika_keystore::Outcome {
//!     outcome.clone()
//! }
//! ```
//! ```compile_fail,E0277
//! fn print(backend: &yika_keystore::SoftBackend) {
//!     println!("{backend:?}");
//! }
//! ```

mod error;
mod keys;
mod operation;
mod soft;
#[cfg(test)]
mod tests;

pub use error::BackendError;
pub use operation::{
    Arpc, ArqcAnswer, CvvCard, MacMethod, MacRule, Operation, OperationKind, Outcome, PinFrom, PinIn,
};
pub use soft::SoftBackend;

use std::fmt;
use std::sync::Arc;

/// Where keys work. Shared between threads; calls block, so whoever must not wait calls from a bounded pool.
pub trait Backend: Send + Sync {
    /// Does the operations and answers each in its place. Their order of execution is not defined, and none depends on
    /// another. Blocks for as long as the slowest.
    fn submit(&self, batch: &[Operation<'_>]) -> Vec<Result<Outcome, BackendError>>;

    /// Whether this backend does such an operation at all: kind, method, formats and lengths are looked at, keys and
    /// data are not. Asks nobody and costs nothing. What it denies is answered by [`BackendError::NotServed`].
    fn can(&self, operation: &Operation<'_>) -> bool;

    /// Takes a key that came in a key block under the key `transport`, a key-encryption key of this backend.
    ///
    /// # Errors
    /// `Key` when either block does not open, `Refused` when they do not fit each other, and those of the way there.
    fn import(&self, key_block: &str, transport: &KeyRef) -> Result<KeyRef, BackendError>;

    /// How it stands, as it was last seen; asks nobody and does not block.
    fn health(&self) -> Health;
}

/// A key as its backend knows it: for [`SoftBackend`] a block under its master key, for an HSM the HSM's own block.
/// Whoever holds one can use the key there and nowhere else. Cheap to clone; Debug shows the header alone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyRef(Arc<str>);

/// What a backend says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether it does work now.
    pub state: HealthState,
    /// The check value of its master key in hex, once that is known.
    pub master_check_value: Option<String>,
    /// For an operator: what it is, and what is wrong with it.
    pub detail: String,
}

/// Whether a backend does work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthState {
    /// Everything that belongs to it answers.
    Up,
    /// It works, but not on its first address, or not on all connections.
    Degraded,
    /// Nothing answers; operations fail at once.
    Down,
}

/// Longer than any key block (X9.143: a length of four digits, and a scheme letter before it).
const KEY_REF_CHARS_MAX: usize = 10_000;

impl KeyRef {
    /// Takes the text of a key; what it means is found out when it is used.
    ///
    /// # Errors
    /// `Key` unless it is 1 to 10,000 letters and digits.
    pub fn new(text: &str) -> Result<KeyRef, BackendError> {
        let fits = (1..=KEY_REF_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|c| c.is_ascii_graphic() || c == b' ');
        if fits {
            Ok(KeyRef(text.into()))
        } else {
            Err(BackendError::Key {
                reason: "a key is referred to by 1 to 10,000 printable characters".into(),
            })
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRef({}..)", self.0.get(..17).unwrap_or_default())
    }
}
