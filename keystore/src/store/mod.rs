//! The store: named keys under the master key, in memory and in one key file.
//!
//! It owns names and what a name may do; clear keys exist only inside one call. A key is added once,
//! durable in the file before it can be used, and never overwritten. Handles are opened here, where use,
//! mode and algorithm are checked; using a handle takes no lock and asks nothing of the store.

mod custody;
mod exchange;
mod file;
mod life;
mod record;
mod rewrap;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

pub use custody::{CeremonyInfo, Present};
pub use exchange::{WrapForm, Wrapped};

use crate::attributes::{Algorithm, Attributes, Export, Mode, Usage};
use crate::audit::AuditRecord;
use crate::cipher::Encipher;
use crate::error::KeyError;
use crate::gate::GateKey;
use crate::info::{Environment, KeyInfo, Origin, Validity};
use crate::lmk::{INTERNAL, Lmk, LmkBlock, Opened};
use crate::mac::{MacGenerateKey, MacKey, MacVerifyKey};
use crate::pin::PinKey;
use crate::policy::Need;
use crate::random;
use crate::seal::{DATA_KEY_WRAPPED_BYTES, SealKey};
use crate::secret::{KeyBytes, hex};
use crate::state::KeyState;
use crate::token::Tokenizer;
use file::KeyFile;
use record::{Held, Record, Stored};

/// The most keys one store holds; about 500 bytes each.
const KEYS_MAX: usize = 500_000;

/// Named keys under one master key. Shared between threads by reference or `Arc`.
///
/// The key file is append-only: one JSON line per record, each key an X9.143 version D block under the master
/// key, sealed into a chain (see the module `store::file`), with an audit log beside it.
pub struct Keystore {
    lmk: Lmk,
    /// Master keys that this one took the place of, newest first: what rests elsewhere under them still opens.
    retired: Vec<Lmk>,
    held: RwLock<Held>,
    /// Taken before `held` when both are needed.
    file: Mutex<Option<KeyFile>>,
    /// Who acts, for the audit log.
    actors: Mutex<Vec<String>>,
    /// The time as it was last told; 0 before that.
    now_ms: AtomicU64,
}

const NAME_CHARS_MAX: usize = 64;

/// The label of data keys; `*` cannot be in a key name, so no named key can pass for one.
const DATA_KEY_LABEL: &str = "*data";

impl Keystore {
    /// A store without a file.
    #[must_use]
    pub fn in_memory(lmk: Lmk) -> Keystore {
        Keystore {
            lmk,
            retired: Vec::new(),
            held: RwLock::default(),
            file: Mutex::default(),
            actors: Mutex::new(vec!["yika".to_owned()]),
            now_ms: AtomicU64::new(0),
        }
    }

    /// Makes a new key file and its audit log, readable by their owner only.
    ///
    /// # Errors
    /// `Io` when a file exists or cannot be made durable.
    pub fn create(path: &Path, lmk: Lmk) -> Result<Keystore, KeyError> {
        Keystore::in_memory(lmk).into_file(path)
    }

    /// As [`Keystore::create`], of a store in memory that was told who acts and when. Its keys stay behind.
    ///
    /// # Errors
    /// As [`Keystore::create`].
    pub fn into_file(self, path: &Path) -> Result<Keystore, KeyError> {
        let detail =
            format!("a new key file for {}, master key {}", self.environment(), hex(&self.lmk.check_value()));
        let file = KeyFile::create(path, &self.lmk, self.deed("init", None, detail))?;
        Ok(Keystore { file: Mutex::new(Some(file)), held: RwLock::default(), ..self })
    }

    /// Opens a key file and proves every line of it. Nothing is loaded from a damaged file.
    ///
    /// # Errors
    /// `WrongLmk`, `Damaged` with line, reason and remedy, or `Io`.
    pub fn open(path: &Path, lmk: Lmk) -> Result<Keystore, KeyError> {
        let (file, held, lmk) = KeyFile::open(path, lmk)?;
        let retired = rewrap::retired(&held, &lmk)?;
        Ok(Keystore {
            held: RwLock::new(held),
            file: Mutex::new(Some(file)),
            retired,
            ..Keystore::in_memory(lmk)
        })
    }

    /// The check value of the master key: tells operators which one is in use.
    #[must_use]
    pub fn lmk_check_value(&self) -> [u8; 3] {
        self.lmk.check_value()
    }

    /// Which world the keys belong to.
    #[must_use]
    pub fn environment(&self) -> Environment {
        self.lmk.environment()
    }

    /// Says who acts from here on, for the audit log.
    pub fn acts(&self, actors: &[&str]) {
        let actors = actors.iter().map(|&actor| actor.to_owned()).collect();
        *self.actors.lock().unwrap_or_else(PoisonError::into_inner) = actors;
    }

    /// Says what time it is, in milliseconds since 1970: keys with a validity are refused before that, and the audit
    /// log has no times.
    pub fn tell_time(&self, now_ms: u64) {
        self.now_ms.store(now_ms, Ordering::Relaxed);
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
        self.add(name, attributes, &KeyBytes::random(algorithm, bytes), Origin::Generated, "drawn here")
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
        let key = KeyBytes::of_components(usage, algorithm, components)?;
        let detail = format!("joined from {} components", components.len());
        self.add(name, attributes, &key, Origin::Components, &detail)
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
        let held = self.held();
        let named = held.keys.iter().filter(|(name, _)| !name.starts_with(INTERNAL));
        named.map(|(_, stored)| stored.info.clone()).collect()
    }

    /// What may be told about one key.
    #[must_use]
    pub fn info(&self, name: &str) -> Option<KeyInfo> {
        let held = self.held();
        held.keys.get(name).filter(|_| !name.starts_with(INTERNAL)).map(|stored| stored.info.clone())
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

    /// Makes card tokens, stable for this store, also when its master key changes.
    #[must_use]
    pub fn tokenizer(&self) -> Tokenizer {
        Tokenizer::new(self.first_lmk().derive("card token cmac", 32).as_slice())
    }

    /// A secret seed for keyed hashes of outside data, as stable as the tokens.
    #[must_use]
    pub fn hash_seed(&self) -> [u8; 16] {
        let seed = self.first_lmk().derive("hash seed", 16);
        seed.as_slice().try_into().expect("as many bytes as asked for")
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
        let opened = self.unwrap(&block)?;
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
    fn add(
        &self,
        name: &str,
        attributes: Attributes,
        key: &KeyBytes,
        origin: Origin,
        detail: &str,
    ) -> Result<KeyInfo, KeyError> {
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
            origin,
            validity: Validity::default(),
            check_value,
            test: self.is_test(),
        };
        let file = self.file();
        // A ceremony ends by its own key and by no other.
        let in_ceremony = origin != Origin::Ceremony && self.held().ceremonies.contains_key(name);
        if in_ceremony || self.held().keys.contains_key(name) {
            return Err(KeyError::NameTaken { name: name.to_owned() });
        }
        if self.held().keys.len() >= KEYS_MAX {
            return Err(KeyError::Full { max: KEYS_MAX });
        }
        let record = Stored { info: info.clone(), block: Some(block) }.record();
        let action = match origin {
            Origin::Generated => "generate",
            Origin::Ceremony => "ceremony commit",
            _ => "import",
        };
        let detail = format!("{}; {detail}", attributes.describe());
        self.commit(file, Some(Record::Key(record)), self.deed(action, Some(&info), detail))?;
        Ok(info)
    }

    /// Makes a record durable with its line in the audit log, and only then lets it be seen.
    fn commit(
        &self,
        mut file: MutexGuard<'_, Option<KeyFile>>,
        record: Option<Record>,
        deed: AuditRecord,
    ) -> Result<(), KeyError> {
        if let Some(file) = file.as_mut() {
            file.commit(record.as_ref(), deed, &self.held(), &self.lmk)?;
        }
        if let Some(record) = record {
            let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
            held.apply(record, &self.lmk).expect("it was checked under the lock of the file");
        }
        Ok(())
    }

    /// A line for the audit log, by whoever acts now.
    fn deed(&self, action: &str, key: Option<&KeyInfo>, detail: impl Into<String>) -> AuditRecord {
        AuditRecord {
            seq: 0,
            at_ms: self.now_ms.load(Ordering::Relaxed),
            actors: self.actors.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            action: action.to_owned(),
            key: key.map(|info| info.name.clone()),
            check_value: key.map(|info| hex(&info.check_value)),
            detail: detail.into(),
        }
    }

    /// Opens a key by its name, or a working key by the text of its block: no name is as long as a block.
    pub(crate) fn open_named(&self, name: &str) -> Result<Opened, KeyError> {
        if name.len() > NAME_CHARS_MAX {
            return match LmkBlock::try_from(name.to_owned()) {
                Ok(block) => self.open_working(&block),
                Err(source) => Err(KeyError::Block { what: "a working key".to_owned(), source }),
            };
        }
        let held = self.held();
        let Some(stored) = held.keys.get(name).filter(|_| !name.starts_with(INTERNAL)) else {
            return Err(KeyError::NotFound { name: name.to_owned() });
        };
        let (state, validity) = (stored.info.state, stored.info.validity);
        let Some(block) = &stored.block else {
            return Err(KeyError::State { name: name.to_owned(), operation: "be opened", state });
        };
        if !validity.is_open() && !validity.holds(self.now_ms.load(Ordering::Relaxed)) {
            return Err(KeyError::NotValid { name: name.to_owned(), operation: "be opened", validity });
        }
        self.lmk.unwrap(block).map(|opened| Opened { state, ..opened })
    }

    /// Opens a key for one operation: use, algorithm, mode and state are checked here.
    pub(crate) fn open_for(&self, name: &str, need: &Need) -> Result<Opened, KeyError> {
        let opened = self.open_named(name)?;
        need.check(name, &opened.attributes, opened.state)?;
        Ok(opened)
    }

    /// The same for a key of which the operation needs the cipher alone, forwards.
    pub(crate) fn cipher_for(&self, name: &str, need: &Need) -> Result<Arc<Encipher>, KeyError> {
        let opened = self.open_for(name, need)?;
        Ok(Arc::new(Encipher::new(opened.attributes.algorithm, opened.key.as_slice())?))
    }

    /// Opens a block that rests outside of the store, under this master key or one that it took the place of.
    fn unwrap(&self, block: &LmkBlock) -> Result<Opened, KeyError> {
        let opened = self.lmk.unwrap(block);
        let older = |_: &KeyError| self.retired.iter().find_map(|lmk| lmk.unwrap(block).ok());
        opened.or_else(|error| older(&error).ok_or(error))
    }

    /// Rests a key under the master key without a name.
    pub(crate) fn wrap_working(&self, key: &KeyBytes, attributes: &Attributes) -> Result<LmkBlock, KeyError> {
        self.lmk.wrap(key, attributes, None)
    }

    pub(crate) fn info_of(&self, opened: &Opened) -> KeyInfo {
        self.lmk.info("", opened)
    }

    /// The master key that the store began with.
    fn first_lmk(&self) -> &Lmk {
        self.retired.last().unwrap_or(&self.lmk)
    }

    /// Sets a state without a record of it.
    #[cfg(test)]
    pub(crate) fn put_state(&self, name: &str, state: KeyState) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.keys.get_mut(name).expect("the test made it").info.state = state;
    }

    /// A working key carries no label: a named key or a data key cannot come in by this door.
    pub(crate) fn open_working(&self, block: &LmkBlock) -> Result<Opened, KeyError> {
        let opened = self.unwrap(block)?;
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

    /// A panic elsewhere cannot leave the maps half changed: they are changed by single records.
    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self) -> MutexGuard<'_, Option<KeyFile>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seal_key(key: &KeyBytes) -> Result<SealKey, KeyError> {
    match key.as_slice().try_into() {
        Ok(bytes) => SealKey::new(bytes),
        Err(_) => Err(KeyError::Length {
            algorithm: Algorithm::Aes,
            bytes: key.as_slice().len(),
            expected: "32 bytes for sealing",
        }),
    }
}

pub(crate) fn working_name(opened: &Opened) -> String {
    format!("working key {}", hex(&opened.check_value))
}

/// Names go into key blocks, files and logs: plain characters only.
fn check_name(name: &str) -> Result<(), KeyError> {
    let fits = (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"._:/-".contains(&c));
    if fits { Ok(()) } else { Err(KeyError::NameInvalid { name: name.chars().take(80).collect() }) }
}
