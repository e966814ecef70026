//! A token behind PKCS#11, such as an HSM or SoftHSM2: it keeps the master key sealed, draws random numbers, signs, and
//! works with keys for MACs and data that never leave it.
//!
//! It has no operation on PINs and never will have: PKCS#11 has no PIN translation, and decrypting here to encrypt there
//! would put the clear PIN into the memory of the host, which PCI PIN forbids. A key that was not made for the work at
//! hand is refused, whatever the token would do with it. It is a [`yika_keystore::Backend`] for what it can do. `docs/pkcs11.md` says how to set one up, and what it cannot do.
//!
//! ```compile_fail,E0599
//! fn turn(token: &yika_pkcs11::Token) {
//!     let _ = token.translate_pin();
//! }
//! ```
//! ```compile_fail,E0277
//! fn print(token: &yika_pkcs11::Token) {
//!     println!("{token:?}");
//! }
//! ```
#![warn(missing_docs)]

mod backend;
mod custody;
mod error;
mod keys;
mod pool;
mod token;

pub use custody::SealedLmk;
pub use error::TokenError;
pub use keys::{Chaining, Purpose, Signer};
pub use token::{Token, TokenSettings};
