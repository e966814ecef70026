//! MAC keys: three algorithms behind one face, chosen by the key's use.
//!
//! It promises: schedules are expanded once per handle, making or checking a MAC allocates nothing and
//! takes no lock, and checks run in constant time. A handle exists only if the key may do what it offers.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use subtle::ConstantTimeEq as _;

use crate::attributes::{Algorithm, Mode, Usage};
use crate::authentic::Authentic;
use crate::cipher::{Decipher, Encipher};
use crate::cmac::Cmac;
use crate::error::KeyError;
use crate::lmk::Opened;
use crate::policy::Need;
use crate::secret::KeyBytes;
use crate::state::Deed;

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
    check_value: [u8; 3],
}

const GENERATE: Need = Need {
    operation: "make MACs",
    keys: &[
        (Usage::MacCmac, &[Algorithm::Tdes, Algorithm::Aes, Algorithm::Sm4]),
        (Usage::MacRetail, &[Algorithm::Tdes]),
        (Usage::MacUnionPayEcb, &[Algorithm::Des, Algorithm::Tdes]),
    ],
    modes: &[Mode::Generate],
    deeds: &[Deed::Protect],
    needs: "a MAC key (use M3, M6 or 90) of mode G, C or N",
};

const VERIFY: Need = Need {
    operation: "check MACs",
    modes: &[Mode::Verify],
    deeds: &[Deed::Process],
    needs: "a MAC key (use M3, M6 or 90) of mode V, C or N",
    ..GENERATE
};

const BOTH: Need = Need {
    operation: "make and check MACs",
    modes: &[Mode::Generate, Mode::Verify],
    deeds: &[Deed::Protect, Deed::Process],
    needs: "a MAC key (use M3, M6 or 90) of mode C or N",
    ..GENERATE
};

enum Method {
    Cmac(Cmac),
    Retail(Box<Retail>),
    UnionPayEcb(Encipher),
}

/// The two DES parts of a retail MAC key, each in the one direction it is used in.
struct Retail {
    left: Encipher,
    right: Decipher,
}

impl MacKey {
    /// The MAC of `data`: the left 8 bytes of the tag, or for UnionPay the 8 upper-case hex characters
    /// that go into field 64.
    #[must_use]
    pub fn generate(&self, data: &[u8]) -> [u8; 8] {
        self.0.generate(data)
    }

    /// Checks `mac` over `data` in constant time and turns `value` into a proof.
    ///
    /// # Errors
    /// When the MAC does not hold; the value comes back untouched.
    pub fn verify<T>(&self, data: &[u8], mac: &[u8; 8], value: T) -> Result<Authentic<T>, (MacError, T)> {
        self.0.verify(data, mac, value)
    }

    /// The check value of the key.
    #[must_use]
    pub fn check_value(&self) -> [u8; 3] {
        self.0.check_value
    }

    pub(crate) fn open(name: &str, opened: &Opened) -> Result<MacKey, KeyError> {
        Inner::open(name, opened, &BOTH).map(MacKey)
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

    /// The check value of the key.
    #[must_use]
    pub fn check_value(&self) -> [u8; 3] {
        self.0.check_value
    }

    pub(crate) fn open(name: &str, opened: &Opened) -> Result<MacVerifyKey, KeyError> {
        Inner::open(name, opened, &VERIFY).map(MacVerifyKey)
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

    /// The check value of the key.
    #[must_use]
    pub fn check_value(&self) -> [u8; 3] {
        self.0.check_value
    }

    pub(crate) fn open(name: &str, opened: &Opened) -> Result<MacGenerateKey, KeyError> {
        Inner::open(name, opened, &GENERATE).map(MacGenerateKey)
    }

    pub(crate) fn of_session(key: &KeyBytes) -> MacGenerateKey {
        MacGenerateKey(Inner::of_session(key))
    }
}

impl Inner {
    fn open(name: &str, opened: &Opened, need: &Need) -> Result<Arc<Inner>, KeyError> {
        let attributes = &opened.attributes;
        need.check(name, attributes, opened.state)?;
        let key = opened.key.as_slice();
        let cipher = || Encipher::new(attributes.algorithm, key);
        let method = match attributes.usage {
            Usage::MacCmac => Method::Cmac(Cmac::new(cipher()?)),
            Usage::MacRetail => Method::Retail(Box::new(Retail::new(key)?)),
            Usage::MacUnionPayEcb => Method::UnionPayEcb(cipher()?),
            usage => unreachable!("{usage} is not among those of the need"),
        };
        Ok(Arc::new(Inner { method, check_value: opened.check_value }))
    }

    /// An AES-CMAC key that was derived a moment ago and rests nowhere.
    fn of_session(key: &KeyBytes) -> Arc<Inner> {
        let cipher = Encipher::new(Algorithm::Aes, key.as_slice()).expect("a derived key has 16 bytes");
        let check_value = key.check_value(Algorithm::Aes).expect("a derived key has 16 bytes");
        Arc::new(Inner { method: Method::Cmac(Cmac::new(cipher)), check_value })
    }

    fn generate(&self, data: &[u8]) -> [u8; 8] {
        match &self.method {
            Method::Cmac(cmac) => left_8(&cmac.tag(data)),
            Method::Retail(retail) => retail.mac(data),
            Method::UnionPayEcb(cipher) => unionpay_ecb_mac(cipher, data),
        }
    }

    fn verify<T>(&self, data: &[u8], mac: &[u8; 8], value: T) -> Result<Authentic<T>, (MacError, T)> {
        if bool::from(self.generate(data).ct_eq(mac)) {
            Ok(Authentic::verified(value))
        } else {
            Err((MacError { check_value: self.check_value }, value))
        }
    }
}

impl Retail {
    /// ISO 9797-1 algorithm 3 is defined for a key of two DES parts.
    fn new(key: &[u8]) -> Result<Retail, KeyError> {
        let Some((left, right)) = key.split_at_checked(8).filter(|(_, right)| right.len() == 8) else {
            let (algorithm, bytes) = (Algorithm::Tdes, key.len());
            return Err(KeyError::Length { algorithm, bytes, expected: "16 bytes for a retail MAC" });
        };
        Ok(Retail {
            left: Encipher::new(Algorithm::Des, left)?,
            right: Decipher::new(Algorithm::Des, right)?,
        })
    }

    /// ISO 9797-1 algorithm 3, padding method 1 (zeros up to a whole block, at least one block): the
    /// method of ANSI X9.19. Single DES along the chain, and only the last block pays for three.
    fn mac(&self, data: &[u8]) -> [u8; 8] {
        let (head, tail) = data.split_at(data.len().saturating_sub(1) / 8 * 8);
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        let mut state = left_8(&self.left.chain(head, &last));
        self.right.block(&mut state);
        self.left.block(&mut state);
        state
    }
}

/// The terminals' "ECB MAC": fold all blocks by exclusive or, spell the result as 16 hex characters,
/// encrypt the first half, add the second, encrypt again, and spell the left 4 bytes as 8 characters.
fn unionpay_ecb_mac(cipher: &Encipher, data: &[u8]) -> [u8; 8] {
    let mut folded = [0; 8];
    for block in data.chunks(8) {
        folded.iter_mut().zip(block).for_each(|(byte, data)| *byte ^= data);
    }
    let mut state = spell([folded[0], folded[1], folded[2], folded[3]]);
    let second = spell([folded[4], folded[5], folded[6], folded[7]]);
    cipher.block(&mut state);
    state.iter_mut().zip(second).for_each(|(byte, data)| *byte ^= data);
    cipher.block(&mut state);
    spell([state[0], state[1], state[2], state[3]])
}

/// Four bytes as eight upper-case hex characters.
fn spell(bytes: [u8; 4]) -> [u8; 8] {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 };
    let mut text = [0; 8];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = digit(byte >> 4);
        pair[1] = digit(byte & 0x0F);
    }
    text
}

fn left_8(tag: &[u8; 16]) -> [u8; 8] {
    let mut left = [0; 8];
    left.copy_from_slice(&tag[..8]);
    left
}
