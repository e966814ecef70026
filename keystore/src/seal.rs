//! Sealing of data at rest: AES-256-GCM, one key per journal segment, the nonce counted by the caller.
//!
//! The caller promises never to seal twice under one key with one nonce (the journal takes the frame
//! number and a fresh key per segment). ring makes its schedule on the stack and does not wipe it on drop;
//! it is moved into the arena, the stack is wiped behind it, and the arena wipes it. The bytes of a key cannot be had or printed:
//!
//! ```compile_fail,E0277
//! fn print(key: &yika_keystore::SealKey) {
//!     println!("{key:?}");
//! }
//! ```
//! ```compile_fail,E0599
//! fn copy(key: &yika_keystore::SealKey) -> yika_keystore::SealKey {
//!     key.clone()
//! }
//! ```

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use yika_arena::{Held, Stay, wiped};

use crate::error::KeyError;
use crate::secret::COLD_STACK_BYTES;

/// Bytes that sealing adds: the GCM tag.
pub const SEAL_TAG_BYTES: usize = 16;

/// Length of a wrapped data key, so that formats can reserve room for one.
pub const DATA_KEY_WRAPPED_BYTES: usize = 176;

/// A key that seals and opens, and nothing else.
pub struct SealKey {
    key: Held<LessSafeKey>,
}

/// Why sealed data could not be opened: changed, cut, or sealed under another key, nonce or header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed data does not open under nonce {nonce}: changed, cut, or sealed under another key or header")]
pub struct SealError {
    /// The nonce tried, which is the frame number in the journal.
    pub nonce: u64,
}

impl SealKey {
    pub(crate) fn new(key: &[u8; 32]) -> Result<SealKey, KeyError> {
        let expand =
            || LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are an AES-256 key"));
        let key = wiped::<COLD_STACK_BYTES, _>(|| Held::new(Stay::Lasting, expand()))?;
        Ok(SealKey { key })
    }

    /// Encrypts in place and appends the tag of [`SEAL_TAG_BYTES`]; `aad` is authenticated, not hidden.
    ///
    /// # Panics
    /// Above 64 GiB, the limit of GCM.
    pub fn seal(&self, nonce: u64, aad: &[u8], in_out: &mut Vec<u8>) {
        self.key
            .seal_in_place_append_tag(nonce_bytes(nonce), Aad::from(aad), in_out)
            .expect("GCM refuses only texts above 64 GiB");
    }

    /// Decrypts in place and returns the text without the tag.
    ///
    /// # Errors
    /// When anything differs from what was sealed; `in_out` is then worthless.
    pub fn open<'a>(&self, nonce: u64, aad: &[u8], in_out: &'a mut [u8]) -> Result<&'a mut [u8], SealError> {
        self.key
            .open_in_place(nonce_bytes(nonce), Aad::from(aad), in_out)
            .map_err(|ring::error::Unspecified| SealError { nonce })
    }
}

/// Four zero bytes and the number, big-endian (SP 800-38D 8.2.1: a deterministic nonce).
fn nonce_bytes(nonce: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&nonce.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}
