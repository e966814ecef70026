//! Test cards: numbers under the three test prefixes, with a Luhn digit, and the PIN block of the test PIN.
//! No other prefix can be made here, so that no real card number can leave this tool by accident.

use yika_codec::Pan;
use yika_keystore::{PinError, PinFormat, PinKey, encrypt_test_pin};

/// The prefixes under which card numbers are made.
pub const TEST_PREFIXES: [&str; 3] = ["411111", "6210", "6222"];

/// The PIN of every test card.
pub const TEST_PIN: &[u8] = b"1234";

/// Digits of a test card number.
const PAN_DIGITS: usize = 16;

/// The most cards under one prefix: they are held in memory, some 40 bytes each.
const CARDS_MAX: u32 = 10_000_000;

/// A prefix that is not for tests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CardsError {
    /// Only test prefixes are served.
    #[error("card prefix `{prefix}` is not for tests; take some of {}", TEST_PREFIXES.join(", "))]
    Prefix {
        /// The prefix given.
        prefix: String,
    },
    /// None, or too many.
    #[error("{count} cards per prefix; take 1 to {CARDS_MAX}")]
    Count {
        /// The number given.
        count: u32,
    },
    /// The PIN key cannot make the block of a test PIN.
    #[error("PIN block of a test card: {0}")]
    Pin(#[from] PinError),
}

/// One test card.
pub(crate) struct TestCard {
    pub(crate) pan: Pan,
    pub(crate) pin_block: Option<[u8; 8]>,
}

/// `count` cards under each prefix, in turn; with their PIN blocks if a key is given.
pub(crate) fn make(
    prefixes: &[String],
    count: u32,
    pin: Option<&PinKey>,
) -> Result<Vec<TestCard>, CardsError> {
    if !(1..=CARDS_MAX).contains(&count) {
        return Err(CardsError::Count { count });
    }
    if let Some(prefix) = prefixes.iter().find(|prefix| !TEST_PREFIXES.contains(&prefix.as_str())) {
        return Err(CardsError::Prefix { prefix: prefix.clone() });
    }
    let mut cards = Vec::new();
    for number in 1..=count {
        for prefix in prefixes {
            let pan = test_pan(prefix, number);
            let block = pin.map(|key| encrypt_test_pin(key, PinFormat::Iso0, pan.digits(), TEST_PIN));
            let pin_block = block.transpose()?.and_then(|block| block.as_bytes().try_into().ok());
            cards.push(TestCard { pan, pin_block });
        }
    }
    Ok(cards)
}

fn test_pan(prefix: &str, number: u32) -> Pan {
    let middle = PAN_DIGITS - 1 - prefix.len();
    let mut digits = format!("{prefix}{number:0middle$}").into_bytes();
    digits.push(Pan::check_digit(&digits));
    Pan::new(&digits).expect("sixteen digits are a card number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_cards_have_test_prefixes_and_a_check_digit() {
        let prefixes = TEST_PREFIXES.map(str::to_owned);
        let cards = make(&prefixes, 50, None).unwrap();
        assert_eq!(cards.len(), 150);
        for card in &cards {
            assert!(card.pan.luhn_ok());
            assert_eq!(card.pan.digits().len(), 16);
            assert!(TEST_PREFIXES.iter().any(|prefix| card.pan.digits().starts_with(prefix.as_bytes())));
        }
        let distinct: std::collections::HashSet<&[u8]> = cards.iter().map(|card| card.pan.digits()).collect();
        assert_eq!(distinct.len(), 150);
    }

    #[test]
    fn other_prefixes_are_refused() {
        let refused = make(&["4000".to_owned()], 1, None).err().unwrap().to_string();
        assert!(refused.contains("`4000` is not for tests"), "{refused}");
        assert!(make(&[], 0, None).is_err());
    }
}
