//! X9.143 key blocks (formerly TR-31): wrap and unwrap.
//!
//! ```text
//! version D  | header, a multiple of 16 | E(KBEK, length | key | padding), hex | CMAC, 32 hex    |
//! version B  | header, a multiple of 8  | the same under TDES                  | CMAC, 16 hex    |
//! version 4  as D, under SM4
//! A and C    | header, a multiple of 8  | the same under TDES                  | CBC-MAC, 8 hex  |
//! ```
//! B, D and 4 ("derivation binding"): both keys are derived, the MAC covers the header and the clear payload and
//! serves as the IV. A and C ("variant binding"): both keys are variants, the header is the IV and the MAC covers
//! the cipher text. The standard deprecates A and C; whether a zone still may is decided in `store::exchange`.

#[cfg(test)]
mod exchange_tests;
mod facts;
mod header;
#[cfg(test)]
mod malformed_tests;
mod optional;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

pub use facts::KeyBlockFacts;
pub(crate) use header::{Header, Optional};

use crate::attributes::Algorithm;
use crate::cipher::{Decipher, Encipher};
use crate::cmac::Cmac;
use crate::error::{BlockError, KeyError};
use crate::random;
use crate::secret::{KeyBytes, hex, unhex};

/// A key block protection key, expanded: the two keys that come of it.
pub(crate) struct Protection {
    version: Version,
    encipher: Encipher,
    decipher: Decipher,
    authentication: Authentication,
}

/// The MAC of a block, and with it the order of the two steps.
enum Authentication {
    /// Over header and clear payload, and then the IV.
    Derived(Cmac),
    /// Over header and cipher text, by CBC-MAC (ISO 16609); the IV is the header's beginning.
    Variant(Encipher),
}

/// The methods we make and take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// The method of C in its first edition; differs by its letter alone.
    A,
    B,
    C,
    D,
    /// `4`: the method of D with SM4 in place of AES. Digits are reserved for private agreements; this one is ours.
    Sm4,
}

impl Version {
    const ALL: [Version; 5] = [Version::A, Version::B, Version::C, Version::D, Version::Sm4];

    pub(crate) fn letter(self) -> char {
        match self {
            Version::A => 'A',
            Version::B => 'B',
            Version::C => 'C',
            Version::D => 'D',
            Version::Sm4 => '4',
        }
    }

    pub(crate) fn from_letter(letter: char) -> Option<Version> {
        Version::ALL.into_iter().find(|version| version.letter() == letter)
    }

    /// The version of a block that has the variant binding; nothing for all other texts.
    pub(crate) fn variant_of(block: &str) -> Option<Version> {
        block.chars().next().and_then(Version::from_letter).filter(|v| matches!(v, Version::A | Version::C))
    }

    pub(crate) fn block_bytes(self) -> usize {
        match self {
            Version::A | Version::B | Version::C => 8,
            Version::D | Version::Sm4 => 16,
        }
    }

    /// Characters of the MAC in hex: one cipher block, or half of one in the variant binding.
    pub(crate) fn mac_chars(self) -> usize {
        match self {
            Version::A | Version::C => 8,
            Version::B | Version::D | Version::Sm4 => self.block_bytes() * 2,
        }
    }

    /// The cipher of the keys that protect such blocks, as messages call it.
    fn cipher(self) -> &'static str {
        match self {
            Version::A | Version::B | Version::C => "TDES",
            Version::D => "AES",
            Version::Sm4 => "SM4",
        }
    }
}

/// X9.143, variant binding: each byte of the protection key xor these gives the two keys.
const ENCRYPTION_VARIANT: u8 = 0x45;
const AUTHENTICATION_VARIANT: u8 = 0x4D;

impl Protection {
    /// Derives the encryption and authentication keys (X9.143, key derivation binding method).
    pub(crate) fn new(algorithm: Algorithm, key: &[u8]) -> Result<Protection, KeyError> {
        let version = match algorithm {
            Algorithm::Aes => Version::D,
            Algorithm::Sm4 => Version::Sm4,
            Algorithm::Des | Algorithm::Tdes | Algorithm::Hmac => Version::B,
        };
        let kdf = Cmac::brief(algorithm, key)?;
        let derive = |purpose| derive(&kdf, version, purpose, key.len());
        let encryption = derive(ENCRYPTION);
        let encipher = Encipher::new(algorithm, encryption.as_slice())?;
        let decipher = Decipher::new(algorithm, encryption.as_slice())?;
        let authentication = Cmac::new(algorithm, derive(AUTHENTICATION).as_slice())?;
        Ok(Protection {
            version,
            encipher,
            decipher,
            authentication: Authentication::Derived(authentication),
        })
    }

    /// Makes the two variants of a TDES key (X9.143, key variant binding method). `version` is A or C.
    pub(crate) fn variant(version: Version, key: &[u8]) -> Result<Protection, KeyError> {
        debug_assert!(matches!(version, Version::A | Version::C));
        let variant = |mask: u8| {
            KeyBytes::made(key.len(), |variant| {
                variant.iter_mut().zip(key).for_each(|(byte, part)| *byte = part ^ mask);
            })
        };
        let encryption = variant(ENCRYPTION_VARIANT);
        let encipher = Encipher::new(Algorithm::Tdes, encryption.as_slice())?;
        let decipher = Decipher::new(Algorithm::Tdes, encryption.as_slice())?;
        let authentication = Encipher::new(Algorithm::Tdes, variant(AUTHENTICATION_VARIANT).as_slice())?;
        Ok(Protection {
            version,
            encipher,
            decipher,
            authentication: Authentication::Variant(authentication),
        })
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Wraps a key under `header`, whose lengths are filled in here. The payload is padded to that of the
    /// longest key of the algorithm, so that the block does not tell the key's length (X9.143, key length obfuscation).
    pub(crate) fn wrap(&self, header: &Header, key: &KeyBytes) -> String {
        let longest = if b"A4H".contains(&header.algorithm) { 32 } else { 24 };
        let payload_bytes =
            (2 + longest.max(key.as_slice().len())).next_multiple_of(self.version.block_bytes());
        let text = header.format(self.version, payload_bytes);

        let mut input = Zeroizing::new(vec![0; text.len() + payload_bytes]);
        let (head, payload) = input.split_at_mut(text.len());
        head.copy_from_slice(text.as_bytes());
        random::fill(payload);
        let bits = u16::try_from(key.as_slice().len() * 8).expect("a key has at most 32 bytes");
        payload[..2].copy_from_slice(&bits.to_be_bytes());
        payload[2..2 + key.as_slice().len()].copy_from_slice(key.as_slice());

        let tag = match &self.authentication {
            Authentication::Derived(cmac) => {
                let tag = cmac.tag(&input);
                self.encipher.cbc(&tag[..self.version.block_bytes()], &mut input[text.len()..]);
                tag
            }
            Authentication::Variant(mac) => {
                self.encipher.cbc(&text.as_bytes()[..8], &mut input[text.len()..]);
                cbc_mac(mac, &input)
            }
        };
        format!("{text}{}{}", hex(&input[text.len()..]), hex(&tag[..self.version.mac_chars() / 2]))
    }

    /// Checks a block and takes the key out of it.
    pub(crate) fn unwrap(&self, block: &str) -> Result<(Header, KeyBytes), BlockError> {
        let header = Header::parse(block, Some(self.version))?;
        let mac_offset = block.len() - self.version.mac_chars();
        let field = |field: &'static str, offset: usize, end: usize| {
            unhex(&block.as_bytes()[offset..end])
                .map_err(|at| header::malformed(block, field, offset + at, "an upper-case hex digit", 1))
        };
        let tag = field("MAC", mac_offset, block.len())?;
        let mut input = Zeroizing::new(block.as_bytes()[..header.chars].to_vec());
        input.extend_from_slice(&field("encrypted payload", header.chars, mac_offset)?);

        let expected = match &self.authentication {
            Authentication::Derived(cmac) => {
                self.decipher.cbc(&tag, &mut input[header.chars..]);
                cmac.tag(&input)
            }
            Authentication::Variant(mac) => {
                let expected = cbc_mac(mac, &input);
                self.decipher.cbc(&block.as_bytes()[..8], &mut input[header.chars..]);
                expected
            }
        };
        if !bool::from(expected[..tag.len()].ct_eq(&tag)) {
            return Err(BlockError::NotAuthentic { offset: mac_offset });
        }
        let key = payload_key(header.algorithm, &input[header.chars..])?;
        Ok((header, key))
    }
}

/// CBC-MAC over whole blocks: header and payload are such by their format.
fn cbc_mac(mac: &Encipher, data: &[u8]) -> [u8; 16] {
    let (head, last) = data.split_at(data.len() - mac.block_bytes());
    mac.chain(head, last)
}

/// The key inside an authentic payload: two bytes of length in bits, then the key.
fn payload_key(algorithm: u8, payload: &[u8]) -> Result<KeyBytes, BlockError> {
    let bits = match payload {
        [high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    };
    let refuse = BlockError::KeyLength { bits };
    // Two SM4 keys may go together, those of a retail MAC; `check_length` asks that of the use.
    let fits = Algorithm::from_letter(char::from(algorithm))
        .is_some_and(|a| a.fits(bits / 8) || (a == Algorithm::Sm4 && bits == 256));
    if !fits || !bits.is_multiple_of(8) {
        return Err(refuse);
    }
    payload.get(2..2 + bits / 8).and_then(KeyBytes::new).ok_or(refuse)
}

const ENCRYPTION: u16 = 0;
const AUTHENTICATION: u16 = 1;

/// The derivation of X9.143 (NIST SP 800-108 form): CMAC in counter mode over counter, purpose, separator, algorithm and
/// length; as many blocks as the key needs.
fn derive(kdf: &Cmac, version: Version, purpose: u16, key_bytes: usize) -> KeyBytes {
    let algorithm: u16 = match (version, key_bytes) {
        (Version::A | Version::B | Version::C, 16) => 0,
        (Version::A | Version::B | Version::C, _) => 1,
        (Version::D, 16) => 2,
        (Version::D, 24) => 3,
        (Version::D, _) => 4,
        // X9.143 numbers no SM4; beyond its own numbers.
        (Version::Sm4, _) => 0x8002,
    };
    let bits = u16::try_from(key_bytes * 8).expect("the cipher took this key, so it has at most 32 bytes");
    KeyBytes::made(key_bytes, |derived| {
        for (counter, part) in (1u8..).zip(derived.chunks_mut(version.block_bytes())) {
            let [purpose_high, purpose_low] = purpose.to_be_bytes();
            let [algorithm_high, algorithm_low] = algorithm.to_be_bytes();
            let [bits_high, bits_low] = bits.to_be_bytes();
            let input =
                [counter, purpose_high, purpose_low, 0, algorithm_high, algorithm_low, bits_high, bits_low];
            let block = Zeroizing::new(kdf.tag(&input));
            part.copy_from_slice(&block[..part.len()]);
        }
    })
}
