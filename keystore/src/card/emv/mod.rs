//! EMV on the issuer's side: application cryptograms, the answers to them, scripts to the card, dynamic CVC3.
//!
//! From an issuer master key to the key of a card and to that of a transaction (EMV 4.3 book 2, annex A1), each wiped at
//! the end of the call. An answer to the card is made of a [`VerifiedArqc`] only, and that only by verifying.
//!
//! ```compile_fail,E0277
//! fn print(proof: &yika_keystore::VerifiedArqc) {
//!     println!("{proof:?}");
//! }
//! ```
//!
//! ```compile_fail,E0599
//! use yika_keystore::{EmvCard, EmvIntegrityKey, EmvScheme, EmvTransaction};
//! fn wrong_use(key: &EmvIntegrityKey, card: &EmvCard, of: &EmvTransaction) {
//!     let _ = key.verify_arqc(card, EmvScheme::VISA_CVN10, of, &[0; 8]);
//! }
//! ```

mod derive;
mod script;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use subtle::ConstantTimeEq as _;
use yika_arena::wiped;

pub use derive::{CardKeyOption, EmvCard};
pub use script::{EmvConfidentialityKey, EmvIntegrityKey, ScriptMode, ScriptSession};

use super::CardError;
use crate::attributes::{Algorithm, Mode, Usage};
use crate::cipher::Encipher;
use crate::error::KeyError;
use crate::policy::Need;
use crate::retail::{DerivedRetail, Padding};
use crate::secret::HOT_STACK_BYTES;
use crate::state::Deed;
use crate::store::Keystore;
use derive::{CardKey, card_key, diversify};

/// An issuer master key that verifies application cryptograms and answers them (use E0). Cheap to clone.
#[derive(Clone)]
pub struct EmvCryptogramKey(Arc<Encipher>);

/// An issuer master key for dynamic card verification codes (use E4). Cheap to clone.
#[derive(Clone)]
pub struct EmvDynamicNumberKey(Arc<Encipher>);

/// How a scheme makes its cryptograms: which session key, which padding, which key answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmvScheme {
    session: EmvSession,
    padding: EmvPadding,
    arpc: ArpcKey,
}

/// Where the key of one transaction comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmvSession {
    /// The key of the card is used as it is.
    None,
    /// EMV common session key of the transaction counter (book 2, A1.3.1).
    Common,
    /// MasterCard's SKD: of the transaction counter and the unpredictable number.
    Mastercard,
}

/// How the data under a cryptogram is filled up (ISO 9797-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmvPadding {
    /// Method 1: zeros up to whole blocks, none when they are whole.
    Zeros,
    /// Method 2: the byte 80, then zeros.
    Byte80,
}

/// Which key answers the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArpcKey {
    /// The key of the card.
    Card,
    /// The key of the transaction.
    Session,
}

/// What the card computed over.
#[derive(Debug, Clone, Copy)]
pub struct EmvTransaction<'a> {
    /// Application transaction counter, tag 9F36.
    pub counter: [u8; 2],
    /// Unpredictable number, tag 9F37; only MasterCard's session keys and CVC3 look at it.
    pub unpredictable: [u8; 4],
    /// The values under the cryptogram in the scheme's order, without padding.
    pub data: &'a [u8],
}

/// An application cryptogram that was verified, with the key that answers it.
pub struct VerifiedArqc {
    arqc: [u8; 8],
    answer: DerivedRetail,
}

impl EmvScheme {
    /// Visa CVN 10: no session key, zeros; answer by [`VerifiedArqc::arpc_1`].
    pub const VISA_CVN10: EmvScheme = EmvScheme::new(EmvSession::None, EmvPadding::Zeros, ArpcKey::Card);
    /// Visa CVN 18: common session key, padding 80; answer by [`VerifiedArqc::arpc_2`].
    pub const VISA_CVN18: EmvScheme =
        EmvScheme::new(EmvSession::Common, EmvPadding::Byte80, ArpcKey::Session);
    /// Common session key as the EMV common core has it, answered under that key.
    pub const COMMON: EmvScheme = EmvScheme::VISA_CVN18;
    /// M/Chip with its own session keys, answered under the key of the card.
    pub const MASTERCARD: EmvScheme =
        EmvScheme::new(EmvSession::Mastercard, EmvPadding::Byte80, ArpcKey::Card);

    /// A scheme that is not among the constants.
    #[must_use]
    pub const fn new(session: EmvSession, padding: EmvPadding, arpc: ArpcKey) -> EmvScheme {
        EmvScheme { session, padding, arpc }
    }
}

const CRYPTOGRAMS: Need = Need {
    operation: "verify and answer application cryptograms",
    keys: &[(Usage::EmvCryptogram, &[Algorithm::Tdes])],
    modes: &[Mode::Both],
    deeds: &[Deed::Protect, Deed::Process],
    needs: "an EMV master key for cryptograms (use E0)",
};

const DYNAMIC_NUMBERS: Need = Need {
    operation: "verify dynamic card verification codes",
    keys: &[(Usage::EmvDynamicNumbers, &[Algorithm::Tdes])],
    deeds: &[Deed::Process],
    needs: "an EMV master key for dynamic numbers (use E4)",
    ..CRYPTOGRAMS
};

impl Keystore {
    /// Opens an issuer master key that verifies and answers application cryptograms.
    ///
    /// # Errors
    /// `NotFound`, `State`, or `NotAllowed` unless it is an E0 key.
    pub fn emv_cryptogram_key(&self, name: &str) -> Result<EmvCryptogramKey, KeyError> {
        self.cipher_for(name, &CRYPTOGRAMS).map(EmvCryptogramKey)
    }

    /// Opens an issuer master key that verifies CVC3; one that is retiring still does.
    ///
    /// # Errors
    /// `NotFound`, `State`, or `NotAllowed` unless it is an E4 key.
    pub fn emv_dynamic_number_key(&self, name: &str) -> Result<EmvDynamicNumberKey, KeyError> {
        self.cipher_for(name, &DYNAMIC_NUMBERS).map(EmvDynamicNumberKey)
    }
}

impl EmvCryptogramKey {
    /// Verifies the application cryptogram (tag 9F26) of a card. Expands four or five schedules of DES.
    ///
    /// # Errors
    /// `Cryptogram` when it does not hold, `Pan` or `Parameter` for a card that has no key, `WeakKey`.
    pub fn verify_arqc(
        &self,
        card: &EmvCard<'_>,
        scheme: EmvScheme,
        of: &EmvTransaction<'_>,
        arqc: &[u8; 8],
    ) -> Result<VerifiedArqc, CardError> {
        wiped::<HOT_STACK_BYTES, _>(|| self.verify_now(card, scheme, of, arqc))
    }

    fn verify_now(
        &self,
        card: &EmvCard<'_>,
        scheme: EmvScheme,
        of: &EmvTransaction<'_>,
        arqc: &[u8; 8],
    ) -> Result<VerifiedArqc, CardError> {
        let card = card_key(&self.0, card)?;
        let session = session_key(&card, scheme.session, of)?;
        let mac = retail(&session)?;
        let padding = match scheme.padding {
            EmvPadding::Zeros => Padding::Zeros,
            EmvPadding::Byte80 => Padding::OneAndZeros,
        };
        if !bool::from(mac.mac(of.data, padding).ct_eq(arqc)) {
            return Err(CardError::Cryptogram);
        }
        let answer = match scheme.arpc {
            ArpcKey::Card => retail(&card)?,
            ArpcKey::Session => mac,
        };
        Ok(VerifiedArqc { arqc: *arqc, answer })
    }
}

impl VerifiedArqc {
    /// ARPC by method 1 (EMV book 2, 8.2.1) for a response code of two bytes: TDES of cryptogram xor code.
    #[must_use]
    pub fn arpc_1(&self, response_code: [u8; 2]) -> [u8; 8] {
        let mut block = self.arqc;
        block.iter_mut().zip(response_code).for_each(|(byte, code)| *byte ^= code);
        self.answer.mac(&block, Padding::Zeros)
    }

    /// ARPC by method 2 (EMV book 2, 8.2.2) for a card status update and up to 8 bytes of the issuer's own.
    ///
    /// # Errors
    /// `Parameter` when there are more.
    pub fn arpc_2(&self, status_update: [u8; 4], proprietary: &[u8]) -> Result<[u8; 4], CardError> {
        let mut data = [0; 20];
        data[..8].copy_from_slice(&self.arqc);
        data[8..12].copy_from_slice(&status_update);
        let own = data[12..].get_mut(..proprietary.len());
        own.ok_or(CardError::Parameter {
            what: "proprietary authentication data",
            expected: "0 to 8 bytes",
        })?
        .copy_from_slice(proprietary);
        let [a, b, c, d, ..] = self.answer.mac(&data[..12 + proprietary.len()], Padding::OneAndZeros);
        Ok([a, b, c, d])
    }
}

impl EmvDynamicNumberKey {
    /// Whether `code`, 1 to 5 ASCII digits as the track has room for, is the CVC3 of the card (MasterCard PayPass).
    ///
    /// `of.data` is the static track: track 2 as packed nibbles, track 1 as text.
    ///
    /// # Errors
    /// `Parameter` for a code that is no number, and those of the card. A wrong code is no error.
    pub fn verify_cvc3(
        &self,
        card: &EmvCard<'_>,
        of: &EmvTransaction<'_>,
        code: &[u8],
    ) -> Result<bool, CardError> {
        if !(1..=5).contains(&code.len()) || !code.iter().all(u8::is_ascii_digit) {
            return Err(CardError::Parameter { what: "CVC3", expected: "1 to 5 digits" });
        }
        let number = || Ok(cvc3(&retail(&card_key(&self.0, card)?)?, of));
        let mut number = wiped::<HOT_STACK_BYTES, _>(number)?;
        let mut digits = [0; 5];
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(number % 10).expect("a digit is below 10");
            number /= 10;
        }
        Ok(digits[5 - code.len()..].ct_eq(code).into())
    }
}

/// The last two bytes of the MAC over the track, the unpredictable number and the counter under TDES; of that the last
/// two bytes, as a number.
fn cvc3(key: &DerivedRetail, of: &EmvTransaction<'_>) -> u16 {
    let [.., a, b] = key.mac(of.data, Padding::OneAndZeros);
    let [c, d, e, f] = of.unpredictable;
    let [g, h] = of.counter;
    let [.., high, low] = key.mac(&[a, b, c, d, e, f, g, h], Padding::Zeros);
    u16::from_be_bytes([high, low])
}

fn session_key(card: &CardKey, session: EmvSession, of: &EmvTransaction<'_>) -> Result<CardKey, CardError> {
    let ([a, b], [c, d, e, f]) = (of.counter, of.unpredictable);
    match session {
        EmvSession::None => Ok(card.clone()),
        EmvSession::Common => diversify(card, [a, b, 0, 0, 0, 0, 0, 0]),
        EmvSession::Mastercard => diversify(card, [a, b, 0, 0, c, d, e, f]),
    }
}

fn retail(key: &CardKey) -> Result<DerivedRetail, CardError> {
    DerivedRetail::new(key).map_err(|_| CardError::WeakKey)
}
