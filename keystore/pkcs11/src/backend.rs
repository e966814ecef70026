//! The token as a backend of the keystore, for the little that PKCS#11 can do without showing a secret: AES-CMACs, data,
//! random numbers, check values. A key is referred to by its label. All PIN work is denied.

use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};
use yika_keystore::{
    Backend, BackendError, Health, HealthState, KeyRef, MacMethod, MacRule, MacTag, Operation, Outcome,
};
use zeroize::Zeroizing;

use crate::error::TokenError;
use crate::keys::Chaining;
use crate::token::Token;

/// A megabyte is no key and no nonce.
const RANDOM_BYTES_MAX: usize = 1 << 20;

impl Backend for Token {
    fn submit(&self, batch: &[Operation<'_>]) -> Vec<Result<Outcome, BackendError>> {
        batch.iter().map(|operation| self.answer(operation)).collect()
    }

    fn can(&self, operation: &Operation<'_>) -> bool {
        match operation {
            Operation::GenerateMac { rule, .. } | Operation::VerifyMac { rule, .. } => is_served(rule),
            Operation::Random { bytes } => *bytes <= RANDOM_BYTES_MAX,
            Operation::EncryptData { .. } | Operation::DecryptData { .. } | Operation::CheckValue { .. } => {
                true
            }
            _ => false,
        }
    }

    fn import(&self, _: &str, _: &KeyRef) -> Result<KeyRef, BackendError> {
        let reason = "PKCS#11 opens no X9.143 key blocks: make the key in the token".to_owned();
        Err(BackendError::NotServed { operation: "importing a key", reason })
    }

    fn health(&self) -> Health {
        let (label, trouble) = self.pool.stands();
        Health {
            state: if trouble.is_none() { HealthState::Up } else { HealthState::Down },
            master_check_value: None,
            detail: match trouble {
                None => format!("token {label:?}"),
                Some(trouble) => format!("token {label:?}: {trouble}"),
            },
        }
    }
}

impl Token {
    fn answer(&self, operation: &Operation<'_>) -> Result<Outcome, BackendError> {
        if !self.can(operation) {
            let reason =
                "a token has AES-CMAC of 4 to 16 bytes, data, random numbers and check values".to_owned();
            return Err(BackendError::NotServed { operation: operation.kind().words(), reason });
        }
        match *operation {
            Operation::GenerateMac { key, rule, data } => {
                let mac = self.cmac(key.as_str(), data).map_err(told)?;
                let tag = MacTag::from_bytes(&mac[..rule.bytes]).expect("4 to 16 bytes, as `can` says");
                Ok(Outcome::Mac(tag))
            }
            Operation::VerifyMac { key, rule, data, mac } => {
                let expected = self.cmac(key.as_str(), data).map_err(told)?;
                Ok(Outcome::Verified(expected[..rule.bytes].ct_eq(mac).into()))
            }
            Operation::EncryptData { key, iv, data } => {
                let mut padded = Zeroizing::new(Vec::with_capacity(data.len() + iv.len().max(1)));
                padded.extend_from_slice(data);
                padded.push(0x80);
                let bytes = padded.len().next_multiple_of(iv.len().max(1));
                padded.resize(bytes, 0);
                let cipher = self.encrypt(key.as_str(), Chaining::Cbc(iv), &padded).map_err(told)?;
                Ok(Outcome::Data(Zeroizing::new(cipher)))
            }
            Operation::DecryptData { key, iv, data } => {
                let mut clear = self.decrypt(key.as_str(), Chaining::Cbc(iv), data).map_err(told)?;
                let last = clear.len() - iv.len();
                let kept = unpadded(&clear[last..]).ok_or_else(|| BackendError::Input {
                    field: "data",
                    reason: "it does not decrypt to padded text: wrong key or IV, or changed on the way"
                        .to_owned(),
                })?;
                clear.truncate(last + kept);
                Ok(Outcome::Data(clear))
            }
            Operation::Random { bytes } => {
                let mut drawn = Zeroizing::new(vec![0; bytes]);
                self.random(&mut drawn).map_err(told)?;
                Ok(Outcome::Random(drawn))
            }
            Operation::CheckValue { key } => {
                self.check_value(key.as_str()).map(Outcome::CheckValue).map_err(told)
            }
            _ => unreachable!("denied by `can`, above"),
        }
    }
}

fn is_served(rule: &MacRule) -> bool {
    rule.method == MacMethod::Cmac && (4..=16).contains(&rule.bytes)
}

/// What precedes the bit of one in a last block (ISO 9797-1 method 2), found without a branch on the text.
fn unpadded(last: &[u8]) -> Option<usize> {
    let (mut seen, mut wrong, mut kept) = (Choice::from(0), Choice::from(0), 0_u64);
    for (n, byte) in last.iter().enumerate().rev() {
        let mark = byte.ct_eq(&0x80) & !seen;
        wrong |= !seen & !mark & !byte.ct_eq(&0);
        kept.conditional_assign(&(n as u64), mark);
        seen |= mark;
    }
    if bool::from(seen & !wrong) { usize::try_from(kept).ok() } else { None }
}

fn told(error: TokenError) -> BackendError {
    let reason = error.to_string();
    match error {
        // The label is left out: it may be anything that came in a request.
        TokenError::NoKey { purpose, .. } => {
            BackendError::Key { reason: format!("the token has no such key for {purpose}") }
        }
        TokenError::Input { what, expected } => {
            BackendError::Input { field: what, reason: format!("expected {expected}") }
        }
        _ => BackendError::Unavailable { reason },
    }
}
