//! Secure messaging: what goes to the card after the answer, with a MAC and, when it is secret, encrypted
//! (EMV 4.3 book 2, clause 9).

use std::sync::Arc;

use yika_arena::wiped;

use super::super::CardError;
use super::derive::{CardKey, EmvCard, card_key, diversify, visa_script_key};
use super::retail;
use crate::attributes::{Algorithm, Mode, Usage};
use crate::cipher::Encipher;
use crate::error::KeyError;
use crate::policy::Need;
use crate::retail::Padding;
use crate::secret::HOT_STACK_BYTES;
use crate::state::Deed;
use crate::store::Keystore;

/// An issuer master key that makes the MACs of scripts (use E2). Cheap to clone.
#[derive(Clone)]
pub struct EmvIntegrityKey(Arc<Encipher>);

/// An issuer master key that encrypts the data of scripts (use E1). Cheap to clone.
#[derive(Clone)]
pub struct EmvConfidentialityKey(Arc<Encipher>);

/// Where the session key of a script comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptSession {
    /// EMV common session key, of the application cryptogram of the transaction (MasterCard counts it up per command).
    Common {
        /// The cryptogram, counted up where the scheme does so.
        cryptogram: [u8; 8],
    },
    /// Visa: of the application transaction counter.
    Visa {
        /// Tag 9F36.
        counter: [u8; 2],
    },
}

/// How the blocks of a script are encrypted, by the scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptMode {
    /// Each block alone.
    Ecb,
    /// Chained from a block of zeros.
    Cbc,
}

const MACS: Need = Need {
    operation: "make MACs of scripts",
    keys: &[(Usage::EmvIntegrity, &[Algorithm::Tdes])],
    modes: &[Mode::Both],
    deeds: &[Deed::Protect],
    needs: "an EMV master key for integrity (use E2)",
};

const ENCRYPTS: Need = Need {
    operation: "encrypt data of scripts",
    keys: &[(Usage::EmvConfidentiality, &[Algorithm::Tdes])],
    needs: "an EMV master key for confidentiality (use E1)",
    ..MACS
};

impl Keystore {
    /// Opens an issuer master key that makes the MACs of scripts.
    ///
    /// # Errors
    /// `NotFound`, `State`, or `NotAllowed` unless it is an E2 key.
    pub fn emv_integrity_key(&self, name: &str) -> Result<EmvIntegrityKey, KeyError> {
        self.cipher_for(name, &MACS).map(EmvIntegrityKey)
    }

    /// Opens an issuer master key that encrypts the data of scripts.
    ///
    /// # Errors
    /// `NotFound`, `State`, or `NotAllowed` unless it is an E1 key.
    pub fn emv_confidentiality_key(&self, name: &str) -> Result<EmvConfidentialityKey, KeyError> {
        self.cipher_for(name, &ENCRYPTS).map(EmvConfidentialityKey)
    }
}

impl EmvIntegrityKey {
    /// The MAC of a script command: ISO 9797-1 algorithm 3 with padding method 2 over `data`, which is what the
    /// scheme says (header, then often counter and cryptogram, then command data). Cut it to 4 bytes where it says so.
    ///
    /// # Errors
    /// `Pan` or `Parameter` for a card that has no key, `WeakKey`.
    pub fn script_mac(
        &self,
        card: &EmvCard<'_>,
        session: ScriptSession,
        data: &[u8],
    ) -> Result<[u8; 8], CardError> {
        wiped::<HOT_STACK_BYTES, _>(|| {
            let key = session.key(&card_key(&self.0, card)?)?;
            Ok(retail(&key)?.mac(data, Padding::OneAndZeros))
        })
    }
}

impl EmvConfidentialityKey {
    /// Encrypts the data of a script in place; the caller has padded it as the scheme says. Not for PINs, which may
    /// not be in the caller's hands.
    ///
    /// # Errors
    /// `Parameter` unless it is whole blocks of 8 bytes; those of the card.
    pub fn encrypt_script(
        &self,
        card: &EmvCard<'_>,
        session: ScriptSession,
        mode: ScriptMode,
        data: &mut [u8],
    ) -> Result<(), CardError> {
        if data.is_empty() || !data.len().is_multiple_of(8) {
            return Err(CardError::Parameter { what: "script data", expected: "whole blocks of 8 bytes" });
        }
        wiped::<HOT_STACK_BYTES, _>(|| {
            let key = session.key(&card_key(&self.0, card)?)?;
            let cipher = Encipher::brief(Algorithm::Tdes, key.as_slice()).map_err(|_| CardError::WeakKey)?;
            match mode {
                ScriptMode::Cbc => cipher.cbc(&[0; 8], data),
                ScriptMode::Ecb => data.chunks_exact_mut(8).for_each(|block| cipher.block(block)),
            }
            Ok(())
        })
    }
}

impl ScriptSession {
    fn key(self, card: &CardKey) -> Result<CardKey, CardError> {
        match self {
            ScriptSession::Common { cryptogram } => diversify(card, cryptogram),
            ScriptSession::Visa { counter } => Ok(visa_script_key(card, counter)),
        }
    }
}

/// Handles without a store, for thousands of keys.
#[cfg(test)]
pub(super) fn of_cipher(cipher: Arc<Encipher>) -> (EmvIntegrityKey, EmvConfidentialityKey) {
    (EmvIntegrityKey(cipher.clone()), EmvConfidentialityKey(cipher))
}
