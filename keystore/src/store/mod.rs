//! The store: named keys under the master key, in memory and in one key file.
//!
//! It owns names and what a name may do; clear keys exist only inside one call. A key is added once,
//! durable in the file before it can be used, and never overwritten. Handles are opened here, where use,
//! mode and algorithm are checked; using a handle takes no lock and asks nothing of the store.

mod exchange;
mod file;
#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

pub use exchange::{WrapForm, Wrapped};

use crate::attributes::{Algorithm, Attributes, Export, KeyInfo, Mode, Usage};
use crate::error::KeyError;
use crate::gate::GateKey;
use crate::lmk::{Lmk, LmkBlock, Opened};
use crate::mac::{MacGenerateKey, MacKey, MacVerifyKey};
use crate::pin::PinKey;
use crate::random;
use crate::seal::{DATA_KEY_WRAPPED_BYTES, SealKey};
use crate::secret::{KeyBytes, hex};
use crate::state::KeyState;
use crate::token::Tokenizer;
use file::KeyFile;

/// The most keys one store holds; about 500 bytes each.
const KEYS_MAX: usize = 500_000;

/// Named keys under one master key. Shared between threads by reference or `Arc`.
///
/// The key file is append-only: one JSON line per key, each an X9.143 version D block under the master
/// key, sealed into a chain (see the module `store::file`).
pub struct Keystore {
    lmk: Lmk,
    keys: RwLock<BTreeMap<String, Stored>>,
    /// Taken before `keys` when both are needed.
    file: Mutex<Option<KeyFile>>,
}

struct Stored {
    info: KeyInfo,
    block: LmkBlock,
}

/// The label of data keys; `*` cannot be in a key name, so no named key can pass for one.
const DATA_KEY_LABEL: &str = "*data";

impl Keystore {
    /// A store without a file.
    #[must_use]
    pub fn in_memory(lmk: Lmk) -> Keystore {
        Keystore { lmk, keys: RwLock::default(), file: Mutex::default() }
    }

    /// Makes a new key file, readable by its owner only.
    ///
    /// # Errors
    /// `Io` when the file exists or cannot be made durable.
    pub fn create(path: &Path, lmk: Lmk) -> Result<Keystore, KeyError> {
        let file = KeyFile::create(path, &lmk)?;
        Ok(Keystore { lmk, keys: RwLock::default(), file: Mutex::new(Some(file)) })
    }

    /// Opens a key file and proves every line of it. Nothing is loaded from a damaged file.
    ///
    /// # Errors
    /// `WrongLmk`, `Damaged` with line, reason and remedy, or `Io`.
    pub fn open(path: &Path, lmk: Lmk) -> Result<Keystore, KeyError> {
        let (file, records) = KeyFile::open(path, &lmk)?;
        let keys = records.into_iter().map(|(info, block)| (info.name.clone(), Stored { info, block }));
        Ok(Keystore { keys: RwLock::new(keys.collect()), lmk, file: Mutex::new(Some(file)) })
    }

    /// The check value of the master key: tells operators which one is in use.
    #[must_use]
    pub fn lmk_check_value(&self) -> [u8; 3] {
        self.lmk.check_value()
    }

    /// Whether the keys lie under the well-known test master key, which production must refuse.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.lmk.is_test()
    }

    /// Makes a random key: TDES and SM4 16 bytes (32 for an SM4 retail MAC), AES 16 for working keys
    /// and 32 for keys that protect others, HMAC 32.
    ///
    /// # Errors
    /// `Attributes`, `NameInvalid`, `NameTaken`, `Full`, or the file's errors.
    pub fn generate(
        &self,
        name: &str,
        usage: Usage,
        algorithm: Algorithm,
        mode: Mode,
        export: Export,
    ) -> Result<KeyInfo, KeyError> {
        let attributes = Attributes { usage, algorithm, mode, export };
        attributes.check()?;
        let bytes = match (algorithm, usage) {
            (Algorithm::Des, _) => 8,
            (Algorithm::Tdes, _) => 16,
            (Algorithm::Aes, Usage::Kek | Usage::KeyBlockProtection | Usage::Data) => 32,
            (Algorithm::Sm4, Usage::MacRetail) | (Algorithm::Hmac, _) => 32,
            (Algorithm::Aes | Algorithm::Sm4, _) => 16,
        };
        self.add(name, attributes, &KeyBytes::random(algorithm, bytes))
    }

    /// Joins two or more components by exclusive or into a key (split knowledge).
    ///
    /// # Errors
    /// As [`Keystore::generate`], and `Components`, `Length`, `Weak`.
    pub fn import_components(
        &self,
        name: &str,
        usage: Usage,
        algorithm: Algorithm,
        mode: Mode,
        export: Export,
        components: &[Vec<u8>],
    ) -> Result<KeyInfo, KeyError> {
        let attributes = Attributes { usage, algorithm, mode, export };
        attributes.check()?;
        let key = match usage {
            // The derivation of transaction keys takes its parity bits as data (X9.24-1:2009 annex A).
            Usage::DukptInitial => KeyBytes::joined(components)?,
            _ => KeyBytes::from_components(algorithm, components)?,
        };
        self.add(name, attributes, &key)
    }

    /// The check value of one component: its custodian sees that it was typed as it was drawn.
    ///
    /// # Errors
    /// `Length` when no key of the algorithm is so long.
    pub fn component_check_value(algorithm: Algorithm, component: &[u8]) -> Result<[u8; 3], KeyError> {
        let (bytes, expected) = (component.len(), algorithm.lengths());
        let key = KeyBytes::new(component).filter(|_| algorithm.fits(bytes));
        key.ok_or(KeyError::Length { algorithm, bytes, expected })?.check_value(algorithm)
    }

    /// All keys, by name.
    #[must_use]
    pub fn list(&self) -> Vec<KeyInfo> {
        self.keys().values().map(|stored| stored.info.clone()).collect()
    }

    /// What may be told about one key.
    #[must_use]
    pub fn info(&self, name: &str) -> Option<KeyInfo> {
        self.keys().get(name).map(|stored| stored.info.clone())
    }

    /// Opens a key that makes and checks MACs.
    ///
    /// # Errors
    /// `NotFound`, or `NotAllowed` unless it is a MAC key of mode C or N.
    pub fn mac_key(&self, name: &str) -> Result<MacKey, KeyError> {
        MacKey::open(name, &self.open_named(name)?)
    }

    /// Opens a key that checks MACs (mode V, C or N).
    ///
    /// # Errors
    /// `NotFound` or `NotAllowed`.
    pub fn mac_verify_key(&self, name: &str) -> Result<MacVerifyKey, KeyError> {
        MacVerifyKey::open(name, &self.open_named(name)?)
    }

    /// Opens a key that makes MACs (mode G, C or N).
    ///
    /// # Errors
    /// `NotFound` or `NotAllowed`.
    pub fn mac_generate_key(&self, name: &str) -> Result<MacGenerateKey, KeyError> {
        MacGenerateKey::open(name, &self.open_named(name)?)
    }

    /// As [`Keystore::mac_key`], for a working key that is not in the store.
    ///
    /// # Errors
    /// `Block` when it is not under this master key, or `NotAllowed`.
    pub fn mac_key_from_block(&self, block: &LmkBlock) -> Result<MacKey, KeyError> {
        let opened = self.open_working(block)?;
        MacKey::open(&working_name(&opened), &opened)
    }

    /// Opens the zone key of a gateway's participant.
    ///
    /// # Errors
    /// `NotFound`, or `NotAllowed` unless it is a key derivation key.
    pub fn gate_key(&self, name: &str) -> Result<GateKey, KeyError> {
        GateKey::open(name, &self.open_named(name)?)
    }

    /// Opens a PIN key; which direction it may work in is checked again by each translation.
    ///
    /// # Errors
    /// `NotFound`, or `NotAllowed` unless it is a PIN key.
    pub fn pin_key(&self, name: &str) -> Result<PinKey, KeyError> {
        PinKey::open(name, &self.open_named(name)?, self.is_test())
    }

    /// As [`Keystore::pin_key`], for a working key that is not in the store.
    ///
    /// # Errors
    /// `Block` when it is not under this master key, or `NotAllowed`.
    pub fn pin_key_from_block(&self, block: &LmkBlock) -> Result<PinKey, KeyError> {
        let opened = self.open_working(block)?;
        PinKey::open(&working_name(&opened), &opened, self.is_test())
    }

    /// Makes card tokens, stable for this master key.
    #[must_use]
    pub fn tokenizer(&self) -> Tokenizer {
        Tokenizer::new(&self.lmk.derive("card token cmac"))
    }

    /// A secret seed for keyed hashes of outside data, stable for this master key.
    #[must_use]
    pub fn hash_seed(&self) -> [u8; 16] {
        *self.lmk.derive("hash seed")
    }

    /// A fresh key for sealing data at rest, and the same key wrapped: [`DATA_KEY_WRAPPED_BYTES`] bytes of
    /// ASCII to be written beside the data.
    ///
    /// # Errors
    /// None today; a backend outside the process can refuse.
    pub fn new_data_key(&self) -> Result<(SealKey, Vec<u8>), KeyError> {
        let key = KeyBytes::random(Algorithm::Aes, 32);
        let attributes =
            Attributes { usage: Usage::Data, algorithm: Algorithm::Aes, mode: Mode::Both, export: Export::N };
        let wrapped = String::from(self.lmk.wrap(&key, &attributes, Some(DATA_KEY_LABEL))?);
        debug_assert_eq!(wrapped.len(), DATA_KEY_WRAPPED_BYTES);
        Ok((seal_key(&key)?, wrapped.into_bytes()))
    }

    /// Opens what [`Keystore::new_data_key`] wrapped.
    ///
    /// # Errors
    /// `Block` when it was changed or belongs to another master key; `NotAllowed` for any other key.
    pub fn open_data_key(&self, wrapped: &[u8]) -> Result<SealKey, KeyError> {
        let fail = |source| KeyError::Block { what: "a wrapped data key".to_owned(), source };
        let block = LmkBlock::try_from(String::from_utf8_lossy(wrapped).into_owned()).map_err(fail)?;
        let opened = self.lmk.unwrap(&block)?;
        if opened.label.as_deref() != Some(DATA_KEY_LABEL) {
            return Err(KeyError::NotAllowed {
                name: working_name(&opened),
                operation: "seal data at rest",
                has: opened.attributes.describe(),
                needs: "a data key made by this keystore",
            });
        }
        seal_key(&opened.key)
    }

    /// Fills `out` from the operating system.
    ///
    /// # Panics
    /// When the operating system has no random numbers.
    pub fn random(&self, out: &mut [u8]) {
        random::fill(out);
    }

    /// Wraps, stores and only then shows a key.
    fn add(&self, name: &str, attributes: Attributes, key: &KeyBytes) -> Result<KeyInfo, KeyError> {
        check_name(name)?;
        let Attributes { algorithm, usage, mode, export } = attributes;
        attributes.check_length(key.as_slice().len())?;
        let check_value = key.check_value(algorithm)?;
        let block = self.lmk.wrap(key, &attributes, Some(name))?;
        let info = KeyInfo {
            name: name.to_owned(),
            usage,
            algorithm,
            mode,
            export,
            state: KeyState::Active,
            check_value,
            test: self.is_test(),
        };

        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if self.keys().contains_key(name) {
            return Err(KeyError::NameTaken { name: name.to_owned() });
        }
        if self.keys().len() >= KEYS_MAX {
            return Err(KeyError::Full { max: KEYS_MAX });
        }
        if let Some(file) = file.as_mut() {
            file.append(&info, &block)?;
        }
        let stored = Stored { info: info.clone(), block };
        self.keys.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), stored);
        Ok(info)
    }

    /// Sets a state without a record of it.
    #[cfg(test)]
    pub(crate) fn put_state(&self, name: &str, state: KeyState) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.get_mut(name).expect("the test made it").info.state = state;
    }

    pub(crate) fn open_named(&self, name: &str) -> Result<Opened, KeyError> {
        match self.keys().get(name) {
            Some(stored) => {
                let state = stored.info.state;
                self.lmk.unwrap(&stored.block).map(|opened| Opened { state, ..opened })
            }
            None => Err(KeyError::NotFound { name: name.to_owned() }),
        }
    }

    /// A working key carries no label: a named key or a data key cannot come in by this door.
    fn open_working(&self, block: &LmkBlock) -> Result<Opened, KeyError> {
        let opened = self.lmk.unwrap(block)?;
        match &opened.label {
            None => Ok(opened),
            Some(label) => Err(KeyError::NotAllowed {
                name: label.clone(),
                operation: "serve as a working key",
                has: opened.attributes.describe(),
                needs: "a block made by rewrap",
            }),
        }
    }

    /// A panic elsewhere cannot leave the map half changed: it is changed by single inserts.
    fn keys(&self) -> RwLockReadGuard<'_, BTreeMap<String, Stored>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seal_key(key: &KeyBytes) -> Result<SealKey, KeyError> {
    match key.as_slice().try_into() {
        Ok(bytes) => Ok(SealKey::new(bytes)),
        Err(_) => Err(KeyError::Length {
            algorithm: Algorithm::Aes,
            bytes: key.as_slice().len(),
            expected: "32 bytes for sealing",
        }),
    }
}

fn working_name(opened: &Opened) -> String {
    format!("working key {}", hex(&opened.check_value))
}

/// Names go into key blocks, files and logs: plain characters only.
fn check_name(name: &str) -> Result<(), KeyError> {
    let fits = (1..=64).contains(&name.len())
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"._:/-".contains(&c));
    if fits { Ok(()) } else { Err(KeyError::NameInvalid { name: name.chars().take(80).collect() }) }
}
