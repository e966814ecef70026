//! X9.143 key blocks (formerly TR-31), versions B (TDES) and D (AES): wrap and unwrap.
//!
//! ```text
//! version D  | header, a multiple of 16 | E(KBEK, length | key | padding), hex | CMAC, 32 hex |
//! version B  | header, a multiple of 8  | the same under TDES                  | CMAC, 16 hex |
//! ```
//! The MAC covers the header and the clear payload and serves as the IV (the standard's "derivation
//! binding"). Versions A and C, its "variant binding", are refused: they are deprecated there.

mod header;
#[cfg(test)]
mod tests;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

pub(crate) use header::{Header, Optional};

use crate::attributes::Algorithm;
use crate::cipher::{Decipher, Encipher};
use crate::cmac::Cmac;
use crate::error::{BlockError, KeyError};
use crate::random;
use crate::secret::{KeyBytes, hex, unhex};

/// A key block protection key, expanded: the two keys derived from it.
pub(crate) struct Protection {
    version: Version,
    encipher: Encipher,
    decipher: Decipher,
    authentication: Cmac,
}

/// The two methods we make and take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    B,
    D,
    /// `4`: the method of D with SM4 in place of AES. Digits are reserved for private agreements; this one is ours.
    Sm4,
}

impl Version {
    pub(crate) fn letter(self) -> char {
        match self {
            Version::B => 'B',
            Version::D => 'D',
            Version::Sm4 => '4',
        }
    }

    pub(crate) fn block_bytes(self) -> usize {
        match self {
            Version::B => 8,
            Version::D | Version::Sm4 => 16,
        }
    }

    /// Characters of the MAC: one cipher block in hex.
    pub(crate) fn mac_chars(self) -> usize {
        self.block_bytes() * 2
    }
}

impl Protection {
    /// Derives the encryption and authentication keys (X9.143, key derivation binding method).
    pub(crate) fn new(algorithm: Algorithm, key: &[u8]) -> Result<Protection, KeyError> {
        let version = match algorithm {
            Algorithm::Aes => Version::D,
            Algorithm::Sm4 => Version::Sm4,
            Algorithm::Des | Algorithm::Tdes | Algorithm::Hmac => Version::B,
        };
        let kdf = Cmac::new(Encipher::new(algorithm, key)?);
        let derive = |purpose| derive(&kdf, version, purpose, key.len());
        let encryption = derive(ENCRYPTION);
        let encipher = Encipher::new(algorithm, encryption.as_slice())?;
        let decipher = Decipher::new(algorithm, encryption.as_slice())?;
        let authentication = Cmac::new(Encipher::new(algorithm, derive(AUTHENTICATION).as_slice())?);
        Ok(Protection { version, encipher, decipher, authentication })
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

        let tag = self.authentication.tag(&input);
        let tag = &tag[..self.version.block_bytes()];
        let payload = &mut input[text.len()..];
        self.encipher.cbc(tag, payload);
        format!("{text}{}{}", hex(payload), hex(tag))
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

        self.decipher.cbc(&tag, &mut input[header.chars..]);
        let expected = self.authentication.tag(&input);
        if !bool::from(expected[..tag.len()].ct_eq(&tag)) {
            return Err(BlockError::NotAuthentic { offset: mac_offset });
        }
        let key = payload_key(header.algorithm, &input[header.chars..])?;
        Ok((header, key))
    }
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
        (Version::B, 16) => 0,
        (Version::B, _) => 1,
        (Version::D, 16) => 2,
        (Version::D, 24) => 3,
        (Version::D, _) => 4,
        // X9.143 numbers no SM4; beyond its own numbers.
        (Version::Sm4, _) => 0x8002,
    };
    let bits = u16::try_from(key_bytes * 8).expect("the cipher took this key, so it has at most 32 bytes");
    let mut derived = Zeroizing::new(Vec::with_capacity(48));
    for counter in 1u8.. {
        let [purpose_high, purpose_low] = purpose.to_be_bytes();
        let [algorithm_high, algorithm_low] = algorithm.to_be_bytes();
        let [bits_high, bits_low] = bits.to_be_bytes();
        let input =
            [counter, purpose_high, purpose_low, 0, algorithm_high, algorithm_low, bits_high, bits_low];
        let block = Zeroizing::new(kdf.tag(&input));
        derived.extend_from_slice(&block[..version.block_bytes()]);
        if derived.len() >= key_bytes {
            break;
        }
    }
    KeyBytes::new(&derived[..key_bytes]).expect("the cipher took a key of this length")
}
