//! MAC keys: the methods behind one face, chosen by the key's use and the zone's rules.
//!
//! It promises: schedules are expanded once per handle, making or checking a MAC allocates nothing and
//! takes no lock, and checks run in constant time. A handle exists only if the key may do what it offers; what
//! only checks cannot make:
//!
//! ```compile_fail,E0599
//! fn make(key: &yika_keystore::MacVerifyKey) -> [u8; 8] {
//!     key.generate(b"0200")
//! }
//! ```
//! ```compile_fail,E0599
//! fn check(key: &yika_keystore::MacGenerateKey) -> bool {
//!     key.verify(b"0200", &[0; 8], ()).is_ok()
//! }
//! ```
//! ```compile_fail,E0277
//! fn print(key: &yika_keystore::MacKey) {
//!     println!("{key:?}");
//! }
//! ```

mod method;
#[cfg(test)]
pub(crate) mod oracle;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use subtle::ConstantTimeEq as _;

pub use rules::{MacPadding, MacRules, MacTag};

use crate::attributes::{Algorithm, Attributes, Export, Mode, Usage};
use crate::authentic::Authentic;
use crate::error::KeyError;
use crate::lmk::{LmkBlock, Opened};
use crate::policy::Need;
use crate::secret::KeyBytes;
use crate::state::Deed;
use crate::store::{Keystore, working_name};
use method::Method;

/// A key that makes and checks MACs. Cheap to clone.
#[derive(Clone)]
pub struct MacKey(Arc<Inner>);

/// A key that only checks MACs (mode V): the receiving half of a pair.
#[derive(Clone)]
pub struct MacVerifyKey(Arc<Inner>);

/// A key that only makes MACs (mode G): the sending half of a pair.
#[derive(Clone)]
pub struct MacGenerateKey(Arc<Inner>);

/// The MAC does not belong to the data: changed on the way, or made with another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the MAC does not hold under the key with check value {:02X}{:02X}{:02X}: changed data or another key", check_value[0], check_value[1], check_value[2])]
pub struct MacError {
    /// The key that was tried.
    pub check_value: [u8; 3],
}

struct Inner {
    method: Method,
    /// What the zone agreed on; see [`MacRules::bytes`].
    bytes: Option<usize>,
    check_value: [u8; 3],
}

impl Keystore {
    /// As [`Keystore::mac_key`], by the rules of a zone.
    ///
    /// # Errors
    /// As there, and `MacRule` when the key's method cannot follow the rules.
    pub fn mac_key_with(&self, name: &str, rules: &MacRules) -> Result<MacKey, KeyError> {
        Inner::open(name, &self.open_named(name)?, &BOTH, rules).map(MacKey)
    }

    /// As [`Keystore::mac_verify_key`], by the rules of a zone.
    ///
    /// # Errors
    /// As [`Keystore::mac_key_with`].
    pub fn mac_verify_key_with(&self, name: &str, rules: &MacRules) -> Result<MacVerifyKey, KeyError> {
        Inner::open(name, &self.open_named(name)?, &VERIFY, rules).map(MacVerifyKey)
    }

    /// As [`Keystore::mac_generate_key`], by the rules of a zone.
    ///
    /// # Errors
    /// As [`Keystore::mac_key_with`].
    pub fn mac_generate_key_with(&self, name: &str, rules: &MacRules) -> Result<MacGenerateKey, KeyError> {
        Inner::open(name, &self.open_named(name)?, &GENERATE, rules).map(MacGenerateKey)
    }

    /// As [`Keystore::mac_key_from_block`], by the rules of a zone.
    ///
    /// # Errors
    /// As there, and `MacRule` when the key's method cannot follow the rules.
    pub fn mac_key_from_block_with(&self, block: &LmkBlock, rules: &MacRules) -> Result<MacKey, KeyError> {
        let opened = self.open_working(block)?;
        Inner::open(&working_name(&opened), &opened, &BOTH, rules).map(MacKey)
    }
}

const GENERATE: Need = Need {
    operation: "make MACs",
    keys: &[
        (Usage::MacCmac, &[Algorithm::Tdes, Algorithm::Aes, Algorithm::Sm4]),
        (Usage::MacIso16609, &[Algorithm::Tdes]),
        (Usage::MacIso9797Alg1, &[Algorithm::Des, Algorithm::Sm4]),
        (Usage::MacRetail, &[Algorithm::Tdes, Algorithm::Sm4]),
        (Usage::MacHmac, &[Algorithm::Hmac]),
        (Usage::MacUnionPayEcb, &[Algorithm::Des, Algorithm::Tdes, Algorithm::Sm4]),
    ],
    modes: &[Mode::Generate],
    deeds: &[Deed::Protect],
    needs: "a MAC key (use M0, M1, M3, M6, M7 or 90) of mode G, C or N",
};

const VERIFY: Need = Need {
    operation: "check MACs",
    modes: &[Mode::Verify],
    deeds: &[Deed::Process],
    needs: "a MAC key (use M0, M1, M3, M6, M7 or 90) of mode V, C or N",
    ..GENERATE
};

const BOTH: Need = Need {
    operation: "make and check MACs",
    modes: &[Mode::Generate, Mode::Verify],
    deeds: &[Deed::Protect, Deed::Process],
    needs: "a MAC key (use M0, M1, M3, M6, M7 or 90) of mode C or N",
    ..GENERATE
};

impl MacKey {
    /// The MAC of `data` for a field of 8 bytes: the left 8 bytes of the tag, or for UnionPay the 8 upper-case hex
    /// characters that go into field 64. Where the zone agreed on fewer bytes, zeros follow them.
    #[must_use]
    pub fn generate(&self, data: &[u8]) -> [u8; 8] {
        self.0.generate(data)
    }

    /// The MAC of `data` as long as the zone agreed: the whole tag when it agreed on nothing.
    #[must_use]
    pub fn generate_full(&self, data: &[u8]) -> MacTag {
        self.0.generate_full(data)
    }

    /// Checks `mac` over `data` in constant time and turns `value` into a proof. It never holds where the zone
    /// agreed on more than 8 bytes: use [`MacKey::verify_full`] there.
    ///
    /// # Errors
    /// When the MAC does not hold; the value comes back untouched.
    pub fn verify<T>(&self, data: &[u8], mac: &[u8; 8], value: T) -> Result<Authentic<T>, (MacError, T)> {
        self.0.verify(data, mac, value)
    }

    /// As [`MacKey::verify`], for a MAC as long as the zone agreed and no other.
    ///
    /// # Errors
    /// When the MAC does not hold; the value comes back untouched.
    pub fn verify_full<T>(&self, data: &[u8], mac: &[u8], value: T) -> Result<Authentic<T>, (MacError, T)> {
        self.0.verify_full(data, mac, value)
    }

    /// The check value of the key.
    #[must_use]
    pub fn check_value(&self) -> [u8; 3] {
        self.0.check_value
    }

    pub(crate) fn open(name: &str, opened: &Opened) -> Result<MacKey, KeyError> {
        Inner::open(name, opened, &BOTH, &MacRules::default()).map(MacKey)
    }
}

impl MacVerifyKey {
    /// As [`MacKey::verify`].
    ///
    /// # Errors
    /// When the MAC does not hold; the value comes back untouched.
    pub fn verify<T>(&self, data: &[u8], mac: &[u8; 8], value: T) -> Result<Authentic<T>, (MacError, T)> {
        self.0.verify(data, mac, value)
    }

    /// As [`MacKey::verify_full`].
    ///
    /// # Errors
    /// When the MAC does not hold; the value comes back untouched.
    pub fn verify_full<T>(&self, data: &[u8], mac: &[u8], value: T) -> Result<Authentic<T>, (MacError, T)> {
        self.0.verify_full(data, mac, value)
    }

    /// The check value of the key.
    #[must_use]
    pub fn check_value(&self) -> [u8; 3] {
        self.0.check_value
    }

    pub(crate) fn open(name: &str, opened: &Opened) -> Result<MacVerifyKey, KeyError> {
        Inner::open(name, opened, &VERIFY, &MacRules::default()).map(MacVerifyKey)
    }

    pub(crate) fn of_session(key: &KeyBytes) -> MacVerifyKey {
        MacVerifyKey(Inner::of_session(key))
    }
}

impl MacGenerateKey {
    /// As [`MacKey::generate`].
    #[must_use]
    pub fn generate(&self, data: &[u8]) -> [u8; 8] {
        self.0.generate(data)
    }

    /// As [`MacKey::generate_full`].
    #[must_use]
    pub fn generate_full(&self, data: &[u8]) -> MacTag {
        self.0.generate_full(data)
    }

    /// The check value of the key.
    #[must_use]
    pub fn check_value(&self) -> [u8; 3] {
        self.0.check_value
    }

    pub(crate) fn open(name: &str, opened: &Opened) -> Result<MacGenerateKey, KeyError> {
        Inner::open(name, opened, &GENERATE, &MacRules::default()).map(MacGenerateKey)
    }

    pub(crate) fn of_session(key: &KeyBytes) -> MacGenerateKey {
        MacGenerateKey(Inner::of_session(key))
    }
}

/// The field that carries a MAC in most dialects.
const FIELD_BYTES: usize = 8;

impl Inner {
    fn open(name: &str, opened: &Opened, need: &Need, rules: &MacRules) -> Result<Arc<Inner>, KeyError> {
        let attributes = &opened.attributes;
        need.check(name, attributes, opened.state)?;
        let method = Method::new(attributes, opened.key.as_slice(), rules)?;
        rules.check(name, attributes.usage, method.tag_bytes())?;
        Ok(Arc::new(Inner { method, bytes: rules.bytes, check_value: opened.check_value }))
    }

    /// An AES-CMAC key that was derived a moment ago and rests nowhere.
    fn of_session(key: &KeyBytes) -> Arc<Inner> {
        let (usage, algorithm) = (Usage::MacCmac, Algorithm::Aes);
        let attributes = Attributes { usage, algorithm, mode: Mode::Both, export: Export::N };
        let method = Method::new(&attributes, key.as_slice(), &MacRules::default());
        let method = method.expect("a derived key has 16 bytes");
        let check_value = key.check_value(Algorithm::Aes).expect("a derived key has 16 bytes");
        Arc::new(Inner { method, bytes: None, check_value })
    }

    fn generate(&self, data: &[u8]) -> [u8; 8] {
        let mut field = [0; FIELD_BYTES];
        let carried = self.bytes.unwrap_or(FIELD_BYTES).min(FIELD_BYTES);
        field[..carried].copy_from_slice(&self.method.tag(data)[..carried]);
        field
    }

    fn generate_full(&self, data: &[u8]) -> MacTag {
        MacTag::new(self.method.tag(data), self.bytes.unwrap_or(self.method.tag_bytes()))
    }

    fn verify<T>(&self, data: &[u8], mac: &[u8; 8], value: T) -> Result<Authentic<T>, (MacError, T)> {
        // A zone that agreed on more is not content with the part that fits the field.
        let fits = self.bytes.is_none_or(|bytes| bytes <= FIELD_BYTES);
        self.judge(fits && bool::from(self.generate(data).ct_eq(mac)), value)
    }

    fn verify_full<T>(&self, data: &[u8], mac: &[u8], value: T) -> Result<Authentic<T>, (MacError, T)> {
        // Slices of unequal length are not equal; the length is no secret.
        self.judge(bool::from(self.generate_full(data).as_bytes().ct_eq(mac)), value)
    }

    fn judge<T>(&self, holds: bool, value: T) -> Result<Authentic<T>, (MacError, T)> {
        if holds {
            Ok(Authentic::verified(value))
        } else {
            Err((MacError { check_value: self.check_value }, value))
        }
    }
}
