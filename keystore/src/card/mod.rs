//! What proves a card: the values on its stripe and back, and the cryptograms of its chip.
//!
//! It owns the methods of CVV and EMV over keys of the uses C0 and E0 to E4. Derived keys live in one call and are
//! wiped; what leaves is a value for a card or one bit about one.

mod cvv;
mod emv;

pub use cvv::{CvvGenerateKey, CvvKind, CvvVerifyKey};
pub use emv::{
    ArpcKey, CardKeyOption, EmvCard, EmvConfidentialityKey, EmvCryptogramKey, EmvDynamicNumberKey,
    EmvIntegrityKey, EmvPadding, EmvScheme, EmvSession, EmvTransaction, ScriptMode, ScriptSession,
    VerifiedArqc,
};

/// Why a value of a card was not made or checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// The PAN has not the digits that the method needs.
    #[error("a PAN of {bytes} characters does not serve here: expected {expected}")]
    Pan {
        /// Its length in characters.
        bytes: usize,
        /// What the method takes.
        expected: &'static str,
    },
    /// Another value is not what the method takes.
    #[error("the {what} is refused: expected {expected}")]
    Parameter {
        /// Which one.
        what: &'static str,
        /// What would fit.
        expected: &'static str,
    },
    /// The cryptogram is not that of this card over this data.
    #[error("the application cryptogram does not hold: changed data, another card, key or scheme")]
    Cryptogram,
    /// The derivation gave a weak DES key, which happens once in 2^52 times: the card is to be replaced.
    #[error("the key derived for this card is a weak DES key: nothing is done with it, replace the card")]
    WeakKey,
}

/// The digits of a PAN, checked once.
fn pan_digits<'a>(pan: &'a [u8], min: usize, expected: &'static str) -> Result<&'a [u8], CardError> {
    let fits = (min..=19).contains(&pan.len()) && pan.iter().all(u8::is_ascii_digit);
    if fits { Ok(pan) } else { Err(CardError::Pan { bytes: pan.len(), expected }) }
}
