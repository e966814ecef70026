//! The signature chain of a transit QR code: root key, issuer certificate, code. All numbers are big-endian.
//!
//! ```text
//! certificate, 145 bytes, signed by the root      code, 103 bytes, signed by the issuer's key
//!   0  version, 11 hex                              0  version, 21 hex
//!   1  issuer id (4)                                1  key id (4)
//!   5  key id (4)                                   5  card or account token (16)
//!   9  valid from, unix day, inclusive (4)         21  issue time, unix seconds (8)
//!  13  valid until, unix day, inclusive (4)        29  valid for, seconds (2)
//!  17  public key, x and y (64)                    31  random (8)
//!  81  signature over 0..81, r and s (64)          39  signature over 0..39, r and s (64)
//! ```
//! The upper half of a version says which record it is, so that neither passes for the other. Signers have the default
//! ID. Days are those of UTC. The layout is our own: operators have theirs, and a reader of those puts bytes in here.
//! A verified code is a proof, and nobody else can make one:
//!
//! ```compile_fail,E0451
//! let code = yika_keystore::VerifiedCode { issuer: 1, key_id: 1, token: [0; 16], issued_s: 0, valid_s: 1, random: [0; 8] };
//! ```

use std::collections::BTreeMap;

use super::Sm2PublicKey;

/// Bytes of an issuer certificate.
pub const CERTIFICATE_BYTES: usize = 145;
/// Bytes of a code.
pub const CODE_BYTES: usize = 103;

const CERTIFICATE_VERSION: u8 = 0x11;
const CODE_VERSION: u8 = 0x21;
const SIGNATURE_BYTES: usize = 64;

/// No city has more issuer keys at one time.
const KEYS_MAX: usize = 4096;
const DAY_S: u64 = 86_400;

/// The root key and the issuer keys that it vouches for.
pub struct Chain {
    root: Sm2PublicKey,
    skew_s: u32,
    keys: BTreeMap<u32, (IssuerCertificate, Sm2PublicKey)>,
}

/// What an admitted certificate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssuerCertificate {
    /// Whose key it is.
    pub issuer: u32,
    /// The name of the key in codes; unique under one root.
    pub key_id: u32,
    /// The first unix day on which it counts.
    pub from_day: u32,
    /// The last unix day on which it counts.
    pub until_day: u32,
}

/// A code whose signature holds and whose time is now. Only [`Chain::verify`] makes one. It says nothing of whether
/// the code was shown before: whoever takes it remembers token, time and random until it expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCode {
    issuer: u32,
    key_id: u32,
    token: [u8; 16],
    issued_s: u64,
    valid_s: u16,
    random: [u8; 8],
}

/// Why a certificate or a code is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The bytes are no such record.
    #[error("{record} is malformed at offset {offset}: expected {expected}")]
    Malformed {
        /// `certificate` or `code`.
        record: &'static str,
        /// The first byte that is wrong.
        offset: usize,
        /// What belongs there.
        expected: &'static str,
    },
    /// The signature does not hold.
    #[error("the signature of the {record} does not hold: changed, or signed by another key")]
    Signature {
        /// `certificate` or `code`.
        record: &'static str,
    },
    /// No certificate with this key was admitted.
    #[error("key {key_id:08X} belongs to no issuer known here: admit its certificate first")]
    UnknownIssuer {
        /// The key that the code names.
        key_id: u32,
    },
    /// Another issuer has a key of this id.
    #[error("key {key_id:08X} is already that of issuer {issuer:08X}: key ids are unique under one root")]
    KeyIdTaken {
        /// The id.
        key_id: u32,
        /// Who has it.
        issuer: u32,
    },
    /// Its time has not come.
    #[error("the {record} counts from {from_s} (unix seconds) on, and it is {now_s}: check the clocks")]
    NotYetValid {
        /// `certificate` or `code`.
        record: &'static str,
        /// From when on.
        from_s: u64,
        /// The time of the check.
        now_s: u64,
    },
    /// Its time is over.
    #[error("the {record} counted until {until_s} (unix seconds), and it is {now_s}: ask for a new one")]
    Expired {
        /// `certificate` or `code`.
        record: &'static str,
        /// The first second at which it does not count.
        until_s: u64,
        /// The time of the check.
        now_s: u64,
    },
    /// There is no room for another issuer key.
    #[error("{max} issuer keys are admitted, which is the most: build the chain anew without old ones")]
    Full {
        /// The limit.
        max: usize,
    },
}

const CERTIFICATE: &str = "certificate";
const CODE: &str = "code";

impl Chain {
    /// A chain with no issuers yet. Codes may be issued up to `skew_s` seconds ahead of the clock here: telephones go
    /// before and behind, and a code that is refused holds up a gate.
    #[must_use]
    pub fn new(root: Sm2PublicKey, skew_s: u32) -> Chain {
        Chain { root, skew_s, keys: BTreeMap::new() }
    }

    /// Checks a certificate against the root and keeps its key. One that is not valid yet, or no more, is kept too:
    /// time is asked at each code. A new certificate for a key of the same issuer takes the place of the old one.
    ///
    /// # Errors
    /// `Malformed`, `Signature`, `KeyIdTaken` or `Full`; nothing is kept then.
    pub fn admit(&mut self, certificate: &[u8]) -> Result<IssuerCertificate, ChainError> {
        let malformed = |offset, expected| ChainError::Malformed { record: CERTIFICATE, offset, expected };
        let Ok(bytes) = <&[u8; CERTIFICATE_BYTES]>::try_from(certificate) else {
            return Err(malformed(certificate.len().min(CERTIFICATE_BYTES), "145 bytes"));
        };
        if bytes[0] != CERTIFICATE_VERSION {
            return Err(malformed(0, "version 11"));
        }
        let facts = IssuerCertificate {
            issuer: u32::from_be_bytes(part(bytes, 1)),
            key_id: u32::from_be_bytes(part(bytes, 5)),
            from_day: u32::from_be_bytes(part(bytes, 9)),
            until_day: u32::from_be_bytes(part(bytes, 13)),
        };
        if facts.until_day < facts.from_day {
            return Err(malformed(13, "a last day that is not before the first"));
        }
        let key =
            Sm2PublicKey::new(&part(bytes, 17)).map_err(|_| malformed(17, "a point of the SM2 curve"))?;
        check_signature(&self.root, CERTIFICATE, bytes)?;
        match self.keys.get(&facts.key_id) {
            Some((held, _)) if held.issuer != facts.issuer => {
                let (key_id, issuer) = (facts.key_id, held.issuer);
                return Err(ChainError::KeyIdTaken { key_id, issuer });
            }
            None if self.keys.len() >= KEYS_MAX => return Err(ChainError::Full { max: KEYS_MAX }),
            _ => {}
        }
        self.keys.insert(facts.key_id, (facts, key));
        Ok(facts)
    }

    /// Checks a code at the time `now_s`, in unix seconds. What costs little is asked first, so that old and foreign
    /// codes are turned away without a signature being computed; their answer is then about bytes nobody has proven.
    ///
    /// # Errors
    /// `Malformed`, `UnknownIssuer`, `NotYetValid` and `Expired` of certificate and code, `Signature`.
    pub fn verify(&self, code: &[u8], now_s: u64) -> Result<VerifiedCode, ChainError> {
        let malformed = |offset, expected| ChainError::Malformed { record: CODE, offset, expected };
        let Ok(bytes) = <&[u8; CODE_BYTES]>::try_from(code) else {
            return Err(malformed(code.len().min(CODE_BYTES), "103 bytes"));
        };
        if bytes[0] != CODE_VERSION {
            return Err(malformed(0, "version 21"));
        }
        let key_id = u32::from_be_bytes(part(bytes, 1));
        let (certificate, key) = self.keys.get(&key_id).ok_or(ChainError::UnknownIssuer { key_id })?;
        let found = VerifiedCode {
            issuer: certificate.issuer,
            key_id,
            token: part(bytes, 5),
            issued_s: u64::from_be_bytes(part(bytes, 21)),
            valid_s: u16::from_be_bytes(part(bytes, 29)),
            random: part(bytes, 31),
        };
        let first_s = u64::from(certificate.from_day) * DAY_S;
        let end_s = (u64::from(certificate.until_day) + 1) * DAY_S;
        check_time(CERTIFICATE, first_s, end_s, now_s, 0)?;
        let end_s = found.issued_s.saturating_add(u64::from(found.valid_s));
        check_time(CODE, found.issued_s, end_s, now_s, self.skew_s)?;
        check_signature(key, CODE, bytes)?;
        Ok(found)
    }
}

impl VerifiedCode {
    /// The issuer whose key signed it.
    #[must_use]
    pub fn issuer(&self) -> u32 {
        self.issuer
    }

    /// The key that signed it.
    #[must_use]
    pub fn key_id(&self) -> u32 {
        self.key_id
    }

    /// Stands for the card or account.
    #[must_use]
    pub fn token(&self) -> &[u8; 16] {
        &self.token
    }

    /// When it was made, in unix seconds.
    #[must_use]
    pub fn issued_s(&self) -> u64 {
        self.issued_s
    }

    /// How long it counts, in seconds.
    #[must_use]
    pub fn valid_s(&self) -> u16 {
        self.valid_s
    }

    /// Tells codes of one second apart.
    #[must_use]
    pub fn random(&self) -> &[u8; 8] {
        &self.random
    }
}

fn check_time(
    record: &'static str,
    from_s: u64,
    until_s: u64,
    now_s: u64,
    skew_s: u32,
) -> Result<(), ChainError> {
    if from_s > now_s.saturating_add(u64::from(skew_s)) {
        return Err(ChainError::NotYetValid { record, from_s, now_s });
    }
    if now_s >= until_s {
        return Err(ChainError::Expired { record, until_s, now_s });
    }
    Ok(())
}

/// The last 64 bytes are the signature over all before them.
fn check_signature<const N: usize>(
    key: &Sm2PublicKey,
    record: &'static str,
    bytes: &[u8; N],
) -> Result<(), ChainError> {
    let signed = N - SIGNATURE_BYTES;
    key.verify(&bytes[..signed], &part(bytes, signed)).map_err(|_| ChainError::Signature { record })
}

/// A field of a layout whose length was checked.
fn part<const N: usize, const LEN: usize>(bytes: &[u8; LEN], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the layouts above end within their records")
}
