//! Card verification values: three digits over PAN, expiry and service code (Visa's CVV, MasterCard's CVC 1; CVV2 and
//! iCVV are the same method with a service code of their own).
//!
//! Comparison and the choice of digits take the same time for every value. A key that verifies cannot make values:
//!
//! ```compile_fail,E0599
//! use yika_keystore::{CvvKind, CvvVerifyKey};
//! fn make(key: &CvvVerifyKey, pan: &[u8], expiry: &[u8; 4]) {
//!     let _ = key.generate(pan, expiry, CvvKind::Chip);
//! }
//! ```

use std::sync::Arc;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{CardError, pan_digits};
use crate::attributes::{Algorithm, Mode, Usage};
use crate::decimal::decimal_digits;
use crate::error::KeyError;
use crate::policy::Need;
use crate::retail::{DerivedRetail, Padding};
use crate::state::Deed;
use crate::store::Keystore;

/// A key that verifies card verification values (use C0, mode V, C or N; also when it is retiring). Cheap to clone.
#[derive(Clone)]
pub struct CvvVerifyKey(Arc<DerivedRetail>);

/// A key that makes card verification values (use C0, mode G, C or N). Cheap to clone.
#[derive(Clone)]
pub struct CvvGenerateKey(Arc<DerivedRetail>);

/// Which of the values is meant: they differ in the service code that goes into them. The stripe's own code is
/// checked, so that a value that was read off the back or the chip does not pass for one of a stripe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CvvKind {
    /// CVV: on the stripe, over its service code of three ASCII digits, neither 000 nor 999.
    Stripe([u8; 3]),
    /// CVV2: printed on the card, service code 000.
    Printed,
    /// iCVV: in the track data of the chip, service code 999.
    Chip,
}

const GENERATE: Need = Need {
    operation: "make card verification values",
    keys: &[(Usage::CardVerification, &[Algorithm::Tdes])],
    modes: &[Mode::Generate],
    deeds: &[Deed::Protect],
    needs: "a card verification key (use C0) of mode G, C or N",
};

const VERIFY: Need = Need {
    operation: "check card verification values",
    modes: &[Mode::Verify],
    deeds: &[Deed::Process],
    needs: "a card verification key (use C0) of mode V, C or N",
    ..GENERATE
};

impl Keystore {
    /// Opens a key that verifies card verification values.
    ///
    /// # Errors
    /// `NotFound`, `State`, or `NotAllowed` unless it is a C0 key of mode V, C or N.
    pub fn cvv_verify_key(&self, name: &str) -> Result<CvvVerifyKey, KeyError> {
        self.cvk(name, &VERIFY).map(CvvVerifyKey)
    }

    /// Opens a key that makes card verification values.
    ///
    /// # Errors
    /// `NotFound`, `State`, or `NotAllowed` unless it is a C0 key of mode G, C or N.
    pub fn cvv_generate_key(&self, name: &str) -> Result<CvvGenerateKey, KeyError> {
        self.cvk(name, &GENERATE).map(CvvGenerateKey)
    }

    fn cvk(&self, name: &str, need: &Need) -> Result<Arc<DerivedRetail>, KeyError> {
        let opened = self.open_for(name, need)?;
        DerivedRetail::from_slice(opened.key.as_slice()).map(Arc::new)
    }
}

impl CvvVerifyKey {
    /// Whether `value` (three ASCII digits) is that of the card.
    ///
    /// `pan` is the full PAN of 12 to 19 digits; `expiry` four digits in the order in which the issuer lays them, as
    /// a rule YYMM on stripe and chip.
    ///
    /// # Errors
    /// `Pan` and `Parameter` for what is no number. A wrong value is no error.
    pub fn verify(
        &self,
        pan: &[u8],
        expiry: &[u8; 4],
        kind: CvvKind,
        value: &[u8; 3],
    ) -> Result<bool, CardError> {
        if !value.iter().all(u8::is_ascii_digit) {
            return Err(CardError::Parameter { what: "card verification value", expected: "3 digits" });
        }
        Ok(cvv(&self.0, pan, expiry, kind)?.ct_eq(value).into())
    }
}

impl CvvGenerateKey {
    /// The value of the card, three ASCII digits; arguments as in [`CvvVerifyKey::verify`].
    ///
    /// # Errors
    /// As [`CvvVerifyKey::verify`].
    pub fn generate(&self, pan: &[u8], expiry: &[u8; 4], kind: CvvKind) -> Result<[u8; 3], CardError> {
        cvv(&self.0, pan, expiry, kind).map(|value| *value)
    }
}

impl CvvKind {
    /// The kind that a service code of three ASCII digits stands for: 000 printed, 999 chip, any other the stripe.
    #[must_use]
    pub fn of_service(code: [u8; 3]) -> CvvKind {
        match &code {
            b"000" => CvvKind::Printed,
            b"999" => CvvKind::Chip,
            _ => CvvKind::Stripe(code),
        }
    }

    fn service(self) -> Result<[u8; 3], CardError> {
        match self {
            CvvKind::Printed => Ok(*b"000"),
            CvvKind::Chip => Ok(*b"999"),
            CvvKind::Stripe(code)
                if code.iter().all(u8::is_ascii_digit) && self == CvvKind::of_service(code) =>
            {
                Ok(code)
            }
            CvvKind::Stripe(_) => Err(CardError::Parameter {
                what: "service code of a stripe",
                expected: "3 digits, neither 000 nor 999",
            }),
        }
    }
}

/// PAN, expiry and service code, zeros up to 32 digits. The first half under the left key part, exclusive or with the
/// second, then both parts as TDES: the chain of a retail MAC over two blocks. Three digits of that.
fn cvv(
    key: &DerivedRetail,
    pan: &[u8],
    expiry: &[u8; 4],
    kind: CvvKind,
) -> Result<Zeroizing<[u8; 3]>, CardError> {
    let pan = pan_digits(pan, 12, "12 to 19 digits")?;
    let service = kind.service()?;
    if !expiry.iter().all(u8::is_ascii_digit) {
        return Err(CardError::Parameter { what: "expiry", expected: "4 digits" });
    }
    let mut data = [0; 16];
    for (n, digit) in pan.iter().chain(expiry).chain(&service).enumerate() {
        data[n / 2] |= (digit - b'0') << (4 * ((n + 1) % 2));
    }
    let block = Zeroizing::new(key.mac(&data, Padding::Zeros));
    Ok(Zeroizing::new(decimal_digits::<3>(block.as_slice()).map(|digit| digit | b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pin::oracle;
    use crate::secret::hex;
    use crate::testing::{Seeded, cases, store_with, unhex};

    const CVK: &str = "0123456789ABCDEFFEDCBA9876543210";

    fn keys(key: &[u8]) -> (CvvGenerateKey, CvvVerifyKey) {
        let store = store_with(Usage::CardVerification, Algorithm::Tdes, key);
        (store.cvv_generate_key("key").unwrap(), store.cvv_verify_key("key").unwrap())
    }

    /// The method told with text: single DES is TDES under three equal parts.
    fn by_the_book(key: &[u8], pan: &str, expiry: &str, service: &str) -> String {
        let text = format!("{:0<32}", format!("{pan}{expiry}{service}"));
        let first = oracle::tdes(&key[..8].repeat(3), &unhex(&text[..16]), true);
        let second: Vec<u8> = first.iter().zip(unhex(&text[16..])).map(|(a, b)| a ^ b).collect();
        let cipher = hex(&oracle::tdes(key, &second, true));
        let (digits, letters): (String, String) = cipher.chars().partition(char::is_ascii_digit);
        let letters = letters.chars().map(|c| char::from(c as u8 - b'A' + b'0'));
        digits.chars().chain(letters).take(3).collect()
    }

    #[test]
    fn published_values() {
        for (key, pan, expiry, service, value) in [
            (CVK, "4123456789012345", "8701", "101", "561"),
            (CVK, "4999988887777", "9105", "111", "649"),
            (CVK, "4123456789012345", "8701", "999", "651"),
            (CVK, "4123456789012345", "8701", "000", "636"),
            ("99999999999999998888888888888888", "2222222222222222", "3333", "111", "361"),
        ] {
            let (generate, verify) = keys(&unhex(key));
            let bytes = |text: &str| -> Vec<u8> { text.as_bytes().to_vec() };
            let kind = CvvKind::of_service(bytes(service).try_into().unwrap());
            let expiry_bytes: [u8; 4] = bytes(expiry).try_into().unwrap();
            let made = generate.generate(pan.as_bytes(), &expiry_bytes, kind).unwrap();
            assert_eq!(&made[..], value.as_bytes(), "{pan} {service}");
            assert_eq!(by_the_book(&unhex(key), pan, expiry, service), value);
            assert_eq!(verify.verify(pan.as_bytes(), &expiry_bytes, kind, &made), Ok(true));
            for at in 0..3 {
                let mut wrong = made;
                wrong[at] = b'0' + (wrong[at] - b'0' + 1) % 10;
                assert_eq!(verify.verify(pan.as_bytes(), &expiry_bytes, kind, &wrong), Ok(false));
            }
        }
    }

    #[test]
    fn a_value_of_the_chip_does_not_pass_for_the_stripe() {
        let (generate, _) = keys(&unhex(CVK));
        let pan = b"4111111111111111";
        for code in [*b"000", *b"999", *b"1a1", *b"  1"] {
            let made = generate.generate(pan, b"3012", CvvKind::Stripe(code));
            assert!(matches!(made, Err(CardError::Parameter { what: "service code of a stripe", .. })));
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let (generate, verify) = keys(&unhex(CVK));
        for pan in [&b""[..], b"41111111111", b"41111111111111111111", b"411111111111111x"] {
            let made = generate.generate(pan, b"3012", CvvKind::Printed);
            assert_eq!(made, Err(CardError::Pan { bytes: pan.len(), expected: "12 to 19 digits" }));
        }
        assert!(generate.generate(b"4111111111111111", b"30x2", CvvKind::Chip).is_err());
        assert!(verify.verify(b"4111111111111111", b"3012", CvvKind::Chip, b"12x").is_err());
    }

    #[test]
    fn agrees_with_another() {
        let mut seeded = Seeded::new(561);
        for case in 0..cases() {
            let key: [u8; 16] = seeded.array();
            let (pan, expiry) = (seeded.digits(12 + case as usize % 8), seeded.digits(4));
            let service = if case % 5 == 0 { "999".to_owned() } else { seeded.digits(3) };
            let kind = CvvKind::of_service(service.as_bytes().try_into().unwrap());
            let retail = DerivedRetail::new(&key).unwrap();
            let expiry_bytes = expiry.as_bytes().try_into().unwrap();
            let ours = cvv(&retail, pan.as_bytes(), expiry_bytes, kind).unwrap();
            assert_eq!(&ours[..], by_the_book(&key, &pan, &expiry, &service).as_bytes(), "case {case}");
        }
    }
}
