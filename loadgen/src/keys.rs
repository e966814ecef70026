//! Test keys from the command line or from a test: opened under the test master key, which production refuses.
//! A key given here in clear is no secret; no live key may ever be.

use yika_codec::unhex;
use yika_keystore::{Algorithm, Export, KeyError, Keystore, Lmk, MacKey, Mode, PinKey, Usage};

/// Longest key: AES-256.
const KEY_BYTES_MAX: usize = 32;

/// A test key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TestKeyError {
    /// Not of the form asked for. The text is not shown: it may be a key.
    #[error("test key: expected {expected}")]
    Form {
        /// What was expected.
        expected: &'static str,
    },
    /// The keystore refuses it.
    #[error("test key: {0}")]
    Refused(#[from] KeyError),
}

/// Opens a MAC key from `cmac:HEX` (AES), `retail:HEX` (TDES) or `unionpay:HEX` (DES or TDES).
///
/// # Errors
/// When the text has another form, or the key is too short or weak.
pub fn test_mac_key(text: &str) -> Result<MacKey, TestKeyError> {
    const EXPECTED: &str = "cmac:, retail: or unionpay: and the key in hexadecimal";
    let (method, hex) = text.split_once(':').ok_or(TestKeyError::Form { expected: EXPECTED })?;
    let key = key_bytes(hex)?;
    let (usage, algorithm) = match method {
        "cmac" => (Usage::MacCmac, Algorithm::Aes),
        "retail" => (Usage::MacRetail, Algorithm::Tdes),
        "unionpay" if key.len() == 8 => (Usage::MacUnionPayEcb, Algorithm::Des),
        "unionpay" => (Usage::MacUnionPayEcb, Algorithm::Tdes),
        _ => return Err(TestKeyError::Form { expected: EXPECTED }),
    };
    Ok(store(usage, algorithm, &key)?.mac_key("test")?)
}

/// Opens a TDES key for PIN blocks of format 0 from hexadecimal.
///
/// # Errors
/// When the text has another form, or the key is too short or weak.
pub fn test_pin_key(hex: &str) -> Result<PinKey, TestKeyError> {
    Ok(store(Usage::Pin, Algorithm::Tdes, &key_bytes(hex)?)?.pin_key("test")?)
}

/// The keystore takes keys in components only; this makes two of one.
fn store(usage: Usage, algorithm: Algorithm, key: &[u8]) -> Result<Keystore, KeyError> {
    let store = Keystore::in_memory(Lmk::test());
    let mask: Vec<u8> = (0..key.len()).map(|at| 0x5A ^ (at as u8).wrapping_mul(31)).collect();
    let rest = key.iter().zip(&mask).map(|(byte, mask)| byte ^ mask).collect();
    store.import_components("test", usage, algorithm, Mode::Both, Export::N, &[mask, rest])?;
    Ok(store)
}

fn key_bytes(text: &str) -> Result<Vec<u8>, TestKeyError> {
    const EXPECTED: &str = "8, 16, 24 or 32 bytes in hexadecimal";
    let fits = |key: &Vec<u8>| key.len().is_multiple_of(8) && (8..=KEY_BYTES_MAX).contains(&key.len());
    unhex(text).filter(fits).ok_or(TestKeyError::Form { expected: EXPECTED })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_each_method_open() {
        let (des, tdes) = ("0123456789ABCDEF", "0123456789ABCDEFFEDCBA9876543210");
        for text in [format!("cmac:{tdes}"), format!("retail:{tdes}"), format!("unionpay:{des}")] {
            let (one, two) = (test_mac_key(&text).unwrap(), test_mac_key(&text).unwrap());
            assert_eq!(one.generate(b"0200"), two.generate(b"0200"));
        }
        assert_eq!(
            test_pin_key(tdes).unwrap().check_value(),
            test_pin_key(&tdes.to_lowercase()).unwrap().check_value()
        );
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        for text in
            ["cmac", "hmac:0123456789ABCDEF0123456789ABCDEF", "cmac:xyz", "cmac:0123456789ABCD", "cmac:"]
        {
            let error = test_mac_key(text).err().unwrap().to_string();
            assert!(error.starts_with("test key: ") && !error.contains("0123456789"), "{error}");
        }
        assert!(test_pin_key("0123456789ABCDEF").is_err());
    }
}
