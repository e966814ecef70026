//! SM2 signatures (GB/T 32918.2) and what transit QR codes build on them. Public keys only: nothing here signs.
//!
//! The curve is that of GB/T 32918.5. A signature covers Z and the message; Z is the SM3 of the signer's ID, the curve
//! and the public key, so that a signature under one key or ID never passes for one under another. Beware of peers
//! that sign with an empty ID: name theirs by [`Sm2PublicKey::with_id`].

mod chain;
#[cfg(test)]
mod chain_tests;
#[cfg(test)]
mod tests;

pub use chain::{CERTIFICATE_BYTES, CODE_BYTES, Chain, ChainError, IssuerCertificate, VerifiedCode};

use sm2::dsa::signature::Verifier as _;
use sm2::dsa::{Signature, VerifyingKey};

/// A public key that checks signatures, with the ID of its owner.
#[derive(Debug, Clone)]
pub struct Sm2PublicKey(VerifyingKey);

/// Why a public key or a signature is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Sm2Error {
    /// The bytes are no point of the curve.
    #[error("the public key is no point of the SM2 curve: ask its owner for x and y, 32 bytes each")]
    Point,
    /// The ID is longer than its length field can say: 8,191 bytes.
    #[error("the signer's ID has {bytes} bytes: at most 8191 fit")]
    Id {
        /// Its length.
        bytes: usize,
    },
    /// The signature does not belong to message, key and ID.
    #[error("the SM2 signature does not hold: changed data, another key or another ID")]
    Signature,
}

/// The ID that GB/T 35276 gives to whoever agreed on no other.
const DEFAULT_ID: &str = "1234567812345678";

/// The length of the ID in bits stands in two bytes.
const ID_BYTES_MAX: usize = 8191;

impl Sm2PublicKey {
    /// Takes x and y, big-endian, of a signer with the default ID `1234567812345678`.
    ///
    /// # Errors
    /// `Point`.
    pub fn new(bytes: &[u8; 64]) -> Result<Sm2PublicKey, Sm2Error> {
        Sm2PublicKey::with_id(bytes, DEFAULT_ID)
    }

    /// As [`Sm2PublicKey::new`], of a signer with this ID.
    ///
    /// # Errors
    /// `Point` or `Id`.
    pub fn with_id(bytes: &[u8; 64], id: &str) -> Result<Sm2PublicKey, Sm2Error> {
        if id.len() > ID_BYTES_MAX {
            return Err(Sm2Error::Id { bytes: id.len() });
        }
        // SEC 1: 04 announces an uncompressed point.
        let mut point = [4; 65];
        point[1..].copy_from_slice(bytes);
        VerifyingKey::from_sec1_bytes(id, &point).map(Sm2PublicKey).map_err(|_| Sm2Error::Point)
    }

    /// Checks a signature, r and s of 32 bytes each. Costs some 250 microseconds.
    ///
    /// # Errors
    /// `Signature`.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), Sm2Error> {
        let signature = Signature::from_slice(signature).map_err(|_| Sm2Error::Signature)?;
        self.0.verify(message, &signature).map_err(|_| Sm2Error::Signature)
    }
}
