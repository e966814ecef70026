//! Custody of the master key: it rests as two components, each sealed under a key that never leaves the token.
//!
//! ```text
//! yika-lmk-1 <check value, 6 hex> <first part, 120 hex> <second part, 120 hex>
//! a part     nonce: 12 bytes | AES-256-GCM of a component: 32 bytes | tag: 16 bytes
//! ```
//! The number of the part is authenticated with it. PKCS#11 cannot derive the keys of key blocks inside the token, so the
//! master key itself comes out of it at a start, into the keystore's arena; between starts nobody has it without the token.

use std::fmt;

use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use yika_keystore::Lmk;
use zeroize::Zeroizing;

use crate::error::TokenError;
use crate::keys::Purpose;
use crate::token::Token;

/// A master key at rest. No secret to whoever has not the token.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedLmk {
    check_value: [u8; 3],
    parts: [Vec<u8>; 2],
}

const MARK: &str = "yika-lmk-1";
const NONCE_BYTES: usize = 12;
const COMPONENT_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const PART_BYTES: usize = NONCE_BYTES + COMPONENT_BYTES + TAG_BYTES;

/// What custodians bring.
type Components = [Zeroizing<[u8; COMPONENT_BYTES]>; 2];

impl Token {
    /// Draws a master key and seals it under the custody key `label`. One component is the token's random number, the other
    /// the system's: neither of them alone decides.
    ///
    /// # Errors
    /// `NoKey`, `Failed`.
    pub fn draw_lmk(&self, label: &str) -> Result<(Lmk, SealedLmk), TokenError> {
        let mut components = Components::default();
        self.random(components[0].as_mut_slice())?;
        let mut filled = 0;
        while filled < COMPONENT_BYTES {
            let rest = &mut components[1][filled..];
            filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())
                .map_err(|_| TokenError::Sealed { reason: "the system gives no random numbers" })?;
        }
        self.seal_lmk(label, &components)
    }

    /// Seals a master key that custodians bring as two components, as [`Lmk::from_components`] takes them.
    ///
    /// # Errors
    /// `Sealed` when they make no key, `NoKey`, `Failed`.
    pub fn seal_lmk(&self, label: &str, components: &Components) -> Result<(Lmk, SealedLmk), TokenError> {
        let lmk = joined(components)?;
        let mut parts = [const { Vec::new() }; 2];
        for (number, (part, component)) in (1..).zip(parts.iter_mut().zip(components)) {
            let mut nonce = [0; NONCE_BYTES];
            self.random(&mut nonce)?;
            let cipher = self.with_key("seal the master key", label, Purpose::Custody, |session, key| {
                session.encrypt(&gcm(&mut nonce, &aad(number))?, key, component.as_slice())
            })?;
            part.extend_from_slice(&nonce);
            part.extend_from_slice(&cipher);
        }
        let sealed = SealedLmk { check_value: lmk.check_value(), parts };
        Ok((lmk, sealed))
    }

    /// Opens a sealed master key.
    ///
    /// # Errors
    /// `Sealed` when it was changed or belongs to another token, `NoKey`, `Failed`.
    pub fn open_lmk(&self, label: &str, sealed: &SealedLmk) -> Result<Lmk, TokenError> {
        const OTHER: TokenError =
            TokenError::Sealed { reason: "it was changed, or sealed by another token or key" };
        let mut components = Components::default();
        for (number, (part, component)) in (1..).zip(sealed.parts.iter().zip(components.iter_mut())) {
            let (nonce, cipher) = part.split_first_chunk::<NONCE_BYTES>().ok_or(OTHER)?;
            let opened = self.with_key("open the master key", label, Purpose::Custody, |session, key| {
                session.decrypt(&gcm(&mut nonce.clone(), &aad(number))?, key, cipher).map(Zeroizing::new)
            });
            let opened = match opened {
                Err(TokenError::Failed { source: Error::Pkcs11(..), .. }) => return Err(OTHER),
                other => other?,
            };
            **component = opened.as_slice().try_into().map_err(|_| OTHER)?;
        }
        let lmk = joined(&components)?;
        if lmk.check_value() == sealed.check_value { Ok(lmk) } else { Err(OTHER) }
    }
}

impl SealedLmk {
    /// Reads what [`SealedLmk::text`] wrote.
    ///
    /// # Errors
    /// `Sealed` for any other text.
    pub fn parse(text: &str) -> Result<SealedLmk, TokenError> {
        let refuse = || TokenError::Sealed {
            reason: "it is not one line of \"yika-lmk-1\", a check value and two parts",
        };
        let words: Vec<&str> = text.trim_end().split(' ').collect();
        let [MARK, check_value, one, two] = words[..] else { return Err(refuse()) };
        let part = |text: &str| unhex(text).filter(|part| part.len() == PART_BYTES);
        let check_value = unhex(check_value).and_then(|bytes| bytes.try_into().ok());
        match (check_value, part(one), part(two)) {
            (Some(check_value), Some(one), Some(two)) => Ok(SealedLmk { check_value, parts: [one, two] }),
            _ => Err(refuse()),
        }
    }

    /// One line of text, to be kept in a file.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{MARK} {} {} {}", hex(&self.check_value), hex(&self.parts[0]), hex(&self.parts[1]))
    }

    /// The check value of the master key.
    #[must_use]
    pub fn check_value(&self) -> [u8; 3] {
        self.check_value
    }
}

impl fmt::Debug for SealedLmk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedLmk(check value {})", hex(&self.check_value))
    }
}

fn joined(components: &Components) -> Result<Lmk, TokenError> {
    let both = Zeroizing::new([*components[0], *components[1]]);
    Lmk::from_components(both.as_slice())
        .map_err(|_| TokenError::Sealed { reason: "its two components make no key: equal, or zeros" })
}

fn aad(number: u8) -> [u8; 12] {
    let mut aad = *b"yika-lmk-1 0";
    aad[11] += number;
    aad
}

fn gcm<'a>(nonce: &'a mut [u8; NONCE_BYTES], aad: &'a [u8]) -> Result<Mechanism<'a>, Error> {
    GcmParams::new(nonce, aad, (TAG_BYTES as u64 * 8).into()).map(Mechanism::AesGcm)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}
