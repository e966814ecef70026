//! The local master key, and the blocks that rest under it.
//!
//! It owns the wrapping of every key of the store (X9.143 version D, AES-256) and the derivation of the
//! few keys that belong to the store itself. The master key never leaves; it comes in as components.
//!
//! ```compile_fail,E0277
//! fn print(key: &yika_keystore::Lmk) {
//!     println!("{key:?}");
//! }
//! ```

use std::fmt;

use ring::hkdf;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use yika_arena::wiped;

use crate::attributes::{Algorithm, Attributes, Export, Mode, Usage};
use crate::block::{Header, Optional, Protection, Version};
use crate::error::{BlockError, KeyError};
use crate::info::{Environment, KeyInfo, Origin, Validity};
use crate::secret::{COLD_STACK_BYTES, KeyBytes, hex};
use crate::state::KeyState;

/// Local master key (AES-256): every key of the store rests under it.
pub struct Lmk {
    key: KeyBytes,
    protection: Protection,
    check_value: [u8; 3],
    test: bool,
    environment: Environment,
}

/// The test master key is public on purpose: whoever reads a dump must see that it protects nothing.
const TEST_KEY: &[u8; 32] = b"Yika TEST master key, no secret!";

/// A key wrapped under the master key, as ASCII. It may be stored and sent to another process that has
/// the same master key; it says nothing about the key to anyone else. Debug shows header and check value.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LmkBlock(String);

/// Label: whose key this is. Inside the MAC, so that a name cannot be moved to another key.
const LABEL: [u8; 2] = *b"LB";
/// Check value (X9.143 optional block KC: method, then the value).
const CHECK_VALUE: [u8; 2] = *b"KC";
/// Environment: `T` or `P`. A private block; X9.143 leaves identifiers of digits to private agreements.
const ENVIRONMENT: [u8; 2] = *b"90";
/// Begins the labels of what the store keeps for itself. It cannot be in a key name.
pub(crate) const INTERNAL: char = '*';

/// An unwrapped key with what its block says.
pub(crate) struct Opened {
    pub(crate) key: KeyBytes,
    pub(crate) attributes: Attributes,
    pub(crate) check_value: [u8; 3],
    pub(crate) label: Option<String>,
    /// That of the store for a named key; a working key is in use as long as it is held.
    pub(crate) state: KeyState,
}

impl Lmk {
    /// The well-known test master key. It says of itself that it is one: see [`Lmk::is_test`].
    #[must_use]
    pub fn test() -> Lmk {
        Lmk::from_key(KeyBytes::new(TEST_KEY).expect("32 bytes are the longest key we hold"))
            .expect("32 bytes are an AES-256 key")
    }

    /// Joins the custodians' components by exclusive or.
    ///
    /// # Errors
    /// `Components` for fewer than two, equal ones, or ones of zeros.
    pub fn from_components(components: &[[u8; 32]]) -> Result<Lmk, KeyError> {
        wiped::<COLD_STACK_BYTES, _>(|| Lmk::from_key(KeyBytes::from_components(Algorithm::Aes, components)?))
    }

    /// A master key that nobody knows and that ends with the process.
    ///
    /// # Panics
    /// When the operating system has no random numbers.
    #[must_use]
    pub fn random() -> Lmk {
        Lmk::from_key(KeyBytes::random(Algorithm::Aes, 32)).expect("32 bytes are an AES-256 key")
    }

    /// Whether this is the well-known test master key, which production must refuse.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.test
    }

    /// The left 3 bytes of the AES-CMAC of a block of zeros; custodians compare it aloud.
    #[must_use]
    pub fn check_value(&self) -> [u8; 3] {
        self.check_value
    }

    fn from_key(key: KeyBytes) -> Result<Lmk, KeyError> {
        let expand = || {
            let protection = Protection::new(Algorithm::Aes, key.as_slice())?;
            Ok::<_, KeyError>((protection, key.check_value(Algorithm::Aes)?))
        };
        let (protection, check_value) = wiped::<COLD_STACK_BYTES, _>(expand)?;
        let test = key.as_slice().ct_eq(TEST_KEY).into();
        let environment = if test { Environment::Test } else { Environment::Production };
        Ok(Lmk { key, protection, check_value, test, environment })
    }

    /// Whose keys this one protects: each key's block names it, and a block of the other world is refused. The test
    /// master key stays in the test environment whatever is asked.
    #[must_use]
    pub fn in_environment(mut self, environment: Environment) -> Lmk {
        if !self.test {
            self.environment = environment;
        }
        self
    }

    /// The environment of the keys under it.
    #[must_use]
    pub fn environment(&self) -> Environment {
        self.environment
    }

    /// The key itself, for resting under the master key that takes its place.
    pub(crate) fn key(&self) -> &KeyBytes {
        &self.key
    }

    /// A master key that was put together from shares.
    pub(crate) fn from_joined(key: KeyBytes) -> Result<Lmk, KeyError> {
        Lmk::from_key(key)
    }

    /// A master key that rested under its successor.
    pub(crate) fn from_rest(key: KeyBytes, environment: Environment) -> Result<Lmk, KeyError> {
        Lmk::from_key(key).map(|lmk| lmk.in_environment(environment))
    }

    /// A key of the store's own, by HKDF-SHA256 (RFC 5869) with the purpose as info. One purpose, one key.
    pub(crate) fn derive(&self, purpose: &'static str, bytes: usize) -> KeyBytes {
        struct Bytes(usize);
        impl hkdf::KeyType for Bytes {
            fn len(&self) -> usize {
                self.0
            }
        }
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"yika keystore 1");
        let fill = |key: &mut [u8]| {
            salt.extract(self.key.as_slice())
                .expand(&[purpose.as_bytes()], Bytes(bytes))
                .and_then(|okm| okm.fill(key))
                .expect("a key is far below HKDF's limit of 255 hashes, and the length asked is the length filled");
        };
        wiped::<COLD_STACK_BYTES, _>(|| KeyBytes::made(bytes, fill))
    }

    /// Wraps a key for rest, with its check value and (for named keys) its label inside the MAC.
    pub(crate) fn wrap(
        &self,
        key: &KeyBytes,
        attributes: &Attributes,
        label: Option<&str>,
    ) -> Result<LmkBlock, KeyError> {
        wiped::<COLD_STACK_BYTES, _>(|| self.wrap_now(key, attributes, label))
    }

    fn wrap_now(
        &self,
        key: &KeyBytes,
        attributes: &Attributes,
        label: Option<&str>,
    ) -> Result<LmkBlock, KeyError> {
        let check_value = key.check_value(attributes.algorithm)?;
        let method = match attributes.algorithm {
            Algorithm::Aes => "01",
            Algorithm::Des | Algorithm::Tdes => "00",
            // Private: X9.143 numbers no others.
            Algorithm::Sm4 => "91",
            Algorithm::Hmac => "92",
        };
        let mut optional = vec![Optional { id: CHECK_VALUE, data: format!("{method}{}", hex(&check_value)) }];
        optional.extend(label.map(|label| Optional { id: LABEL, data: label.to_owned() }));
        if label.is_some_and(|label| !label.starts_with(INTERNAL)) {
            optional.push(Optional { id: ENVIRONMENT, data: self.environment.letter().to_string() });
        }
        Ok(LmkBlock(self.protection.wrap(&attributes.header(optional), key)))
    }

    /// Opens a block made by [`Lmk::wrap`].
    pub(crate) fn unwrap(&self, block: &LmkBlock) -> Result<Opened, KeyError> {
        wiped::<COLD_STACK_BYTES, _>(|| self.unwrap_now(block))
    }

    fn unwrap_now(&self, block: &LmkBlock) -> Result<Opened, KeyError> {
        let fail = |source| KeyError::Block { what: "a key under the master key".to_owned(), source };
        let (header, key) = self.protection.unwrap(&block.0).map_err(fail)?;
        let environment = header.optional(ENVIRONMENT);
        if environment.is_some_and(|letter| letter != self.environment.letter().to_string()) {
            return Err(fail(BlockError::Malformed {
                field: "environment (optional block 90)",
                offset: 16,
                expected: format!(
                    "{}, as the keys here are for {}",
                    self.environment.letter(),
                    self.environment
                ),
                found: environment.unwrap_or_default().to_owned(),
            }));
        }
        let attributes = Attributes::from_header(&header).map_err(fail)?;
        let check_value = key.check_value(attributes.algorithm)?;
        Ok(Opened {
            key,
            attributes,
            check_value,
            label: header.optional(LABEL).map(str::to_owned),
            state: KeyState::Active,
        })
    }

    /// What may be told about an opened key.
    pub(crate) fn info(&self, name: &str, opened: &Opened) -> KeyInfo {
        let Attributes { usage, algorithm, mode, export } = opened.attributes;
        let check_value = opened.check_value;
        KeyInfo {
            name: name.to_owned(),
            usage,
            algorithm,
            mode,
            export,
            state: opened.state,
            origin: Origin::Unknown,
            validity: Validity::default(),
            check_value,
            test: self.test,
        }
    }
}

impl Attributes {
    pub(crate) fn header(&self, optional: Vec<Optional>) -> Header {
        let [a, b] = [0, 1].map(|n| self.usage.code().as_bytes()[n]);
        Header {
            usage: [a, b],
            algorithm: letter(self.algorithm.letter()),
            mode: letter(self.mode.letter(self.usage)),
            key_version: *b"00",
            export: letter(self.export.letter()),
            optional,
            chars: 0,
        }
    }

    /// Reads the attributes of a block; a use, algorithm or mode we do not serve is an error, as an
    /// attribute that is not understood cannot be enforced.
    pub(crate) fn from_header(header: &Header) -> Result<Attributes, BlockError> {
        let unknown = |field, offset, expected: &str, found: &[u8]| BlockError::Malformed {
            field,
            offset,
            expected: expected.to_owned(),
            found: String::from_utf8_lossy(found).into_owned(),
        };
        let usage = std::str::from_utf8(&header.usage).ok().and_then(Usage::from_code).ok_or_else(|| {
            unknown("key usage", 5, "a key usage of X9.143 that is served here", &header.usage)
        })?;
        let algorithm = Algorithm::from_letter(char::from(header.algorithm))
            .ok_or_else(|| unknown("algorithm", 7, "A, D, T, H or 4 (SM4)", &[header.algorithm]))?;
        let mode = Mode::from_letter(char::from(header.mode), usage).ok_or_else(|| {
            unknown("mode of use", 8, "C, G, V, N (checks), X, N (derivation) or B, E, D, N", &[header.mode])
        })?;
        let export = Export::from_letter(char::from(header.export))
            .ok_or_else(|| unknown("exportability", 11, "E, N or S", &[header.export]))?;
        let attributes = Attributes { usage, algorithm, mode, export };
        match attributes.check() {
            Ok(()) => Ok(attributes),
            Err(_) => Err(unknown("key usage", 5, "a use that fits algorithm and mode", &header.usage)),
        }
    }
}

fn letter(letter: char) -> u8 {
    u8::try_from(letter).expect("header letters are ASCII")
}

impl LmkBlock {
    /// The block as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The check value that the block states, hex; whether it is true is found out when it is opened.
    #[must_use]
    pub fn stated_check_value(&self) -> Option<String> {
        let header = Header::parse(&self.0, Some(Version::D)).ok()?;
        header.optional(CHECK_VALUE)?.get(2..).map(str::to_owned)
    }

    /// Whether both say they hold the same key for the same use: check value, use, algorithm, mode and length
    /// agree. Wrapping pads with random bytes, so the texts of one key differ each time. Nothing is opened.
    #[must_use]
    pub fn says_as(&self, other: &LmkBlock) -> bool {
        let says = |block: &LmkBlock| {
            let header = Header::parse(&block.0, Some(Version::D)).ok()?;
            // Version, length, use, algorithm, mode.
            Some((block.0.get(..9)?.to_owned(), header.optional(CHECK_VALUE)?.to_owned()))
        };
        says(self).is_some_and(|own| says(other) == Some(own))
    }
}

impl TryFrom<String> for LmkBlock {
    type Error = BlockError;

    /// Takes text that has the shape of a version D block; whether it opens is found out when it is used.
    fn try_from(text: String) -> Result<LmkBlock, BlockError> {
        Header::parse(&text, Some(Version::D))?;
        Ok(LmkBlock(text))
    }
}

impl From<LmkBlock> for String {
    fn from(block: LmkBlock) -> String {
        block.0
    }
}

impl fmt::Debug for LmkBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = Header::parse(&self.0, Some(Version::D)).ok();
        let check_value =
            header.as_ref().and_then(|h| h.optional(CHECK_VALUE)?.get(2..)).unwrap_or("unknown");
        write!(f, "LmkBlock({}, check value {check_value})", self.0.get(..16).unwrap_or_default())
    }
}
