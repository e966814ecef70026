//! Key schedules of DES, TDES and AES as plain values: the caller says where they are.
//!
//! aws-lc-rs keeps them in values that move over the stack, and copies each key to the heap to get there; a schedule of AES
//! begins with the key itself, one of DES gives it back with little work. Here a schedule is expanded where it stands,
//! and wiped on drop. It promises that nothing is allocated, and refuses the keys that aws-lc-rs refuses. It knows
//! blocks and CBC; it never pads.
//!
//! ```compile_fail,E0277
//! fn print(key: &yika_rounds::Des) {
//!     println!("{key:?}");
//! }
//! ```
//! ```compile_fail,E0599
//! fn copy(key: &yika_rounds::AesEncrypt) -> yika_rounds::AesEncrypt {
//!     key.clone()
//! }
//! ```
#![warn(missing_docs)]

mod aes;
mod des;
mod ffi;

pub use aes::{AesDecrypt, AesEncrypt};
pub use des::{Des, Tdes2, Tdes3};

/// The key is weak, or its parts are equal, so that TDES is no more than DES (SP 800-67 3.1 and 3.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeakKey;
