//! Keys that travel: imported and exported under a key-encryption key.
//!
//! Three forms: X9.143 key blocks; those of its deprecated variant binding (versions A and C); and the legacy
//! TDES-ECB cryptogram with check value that many zones and all UnionPay terminals still use. The last two need a
//! TDES key-encryption key of use `K0`, the zone's permission for what is old. No form carries a key under a
//! weaker one, and no call shows a clear key.

use subtle::ConstantTimeEq as _;
use yika_arena::wiped;

use super::Keystore;
use super::working_name;
use crate::attributes::{Algorithm, Attributes, Export, Mode, Usage};
use crate::block::{Header, KeyBlockFacts, Optional, Protection, Version};
use crate::cipher::{Decipher, Encipher};
use crate::error::{BlockError, KeyError};
use crate::info::{KeyInfo, Origin};
use crate::lmk::{LmkBlock, Opened};
use crate::policy::Need;
use crate::secret::{COLD_STACK_BYTES, KeyBytes, hex};
use crate::state::{Deed, KeyState};

/// A key under a key-encryption key, as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrapped {
    /// An X9.143 key block: version D under an AES key, B under a TDES key, 4 under an SM4 key; or the deprecated
    /// A and C, which only a TDES key of use `K0` takes.
    KeyBlock(String),
    /// Each 8 bytes of the key encrypted under TDES, and the leading bytes of its check value.
    TdesEcb {
        /// 8, 16 or 24 bytes.
        cryptogram: Vec<u8>,
        /// 3 to 8 bytes on import; 4 on export (cut it to 3 where the layout says so).
        check_value: Vec<u8>,
    },
}

/// In which form to export a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrapForm {
    /// X9.143; the version (B, D or 4) follows from the key-encryption key.
    KeyBlock,
    /// X9.143 version C: the deprecated variant binding, for partners that know nothing newer.
    VariantKeyBlock,
    /// Legacy; see [`Wrapped::TdesEcb`].
    TdesEcb,
}

/// Exported check values: what UnionPay layouts carry.
const CHECK_VALUE_BYTES: usize = 4;

impl Keystore {
    /// Takes a key that came under the key-encryption key `kek` into the store.
    ///
    /// Exportability is that of the block; a bare cryptogram says nothing, so its key stays (`N`).
    ///
    /// # Errors
    /// `Block` or `CheckValue` when it does not open, `Mismatch` when it is not what was announced,
    /// `NotAllowed` and `KekTooWeak` for the wrong key-encryption key, and those of [`Keystore::generate`].
    pub fn import_wrapped(
        &self,
        name: &str,
        kek: &str,
        wrapped: &Wrapped,
        usage: Usage,
        algorithm: Algorithm,
        mode: Mode,
    ) -> Result<KeyInfo, KeyError> {
        let (key, attributes) = self.open_wrapped(kek, wrapped, usage, algorithm, mode)?;
        self.add(name, attributes, &key, Origin::Imported, &format!("under {kek:?}"))
    }

    /// As [`Keystore::import_wrapped`], but returns the key under the master key instead of storing it:
    /// working keys live in the journal, not in the key file.
    ///
    /// # Errors
    /// As [`Keystore::import_wrapped`], without those about names and files.
    pub fn rewrap(
        &self,
        kek: &str,
        wrapped: &Wrapped,
        usage: Usage,
        algorithm: Algorithm,
        mode: Mode,
    ) -> Result<LmkBlock, KeyError> {
        let (key, attributes) = self.open_wrapped(kek, wrapped, usage, algorithm, mode)?;
        self.lmk.wrap(&key, &attributes, None)
    }

    /// Sends a stored key out under the key-encryption key `kek`.
    ///
    /// # Errors
    /// `NotAllowed` when either key forbids it: the key's exportability must be E or S for a key block and
    /// S for a bare cryptogram. A bare cryptogram and a block of version C need a TDES `K0` key to carry them.
    /// `KekTooWeak`, `NotFound`.
    pub fn export_wrapped(&self, name: &str, kek: &str, form: WrapForm) -> Result<Wrapped, KeyError> {
        let opened = self.open_named(name)?;
        // One that is not yet in use is sent first and activated when the other side has it.
        if !matches!(opened.state, KeyState::PreActive | KeyState::Active) {
            let (name, operation) = (name.to_owned(), "be exported");
            return Err(KeyError::State { name, operation, state: opened.state });
        }
        self.carry_out(name, &opened, kek, form)
    }

    /// As [`Keystore::export_wrapped`], for a working key that is not in the store.
    ///
    /// # Errors
    /// As [`Keystore::export_wrapped`], and `Block` when it is not under this master key.
    pub fn export_working(&self, block: &LmkBlock, kek: &str, form: WrapForm) -> Result<Wrapped, KeyError> {
        let opened = self.open_working(block)?;
        self.carry_out(&working_name(&opened), &opened, kek, form)
    }

    /// A fresh working key under the master key, to be sent under a key-encryption key: 16 bytes, or 8 for DES.
    ///
    /// # Errors
    /// `Attributes` when there is no such key.
    pub fn new_working_key(&self, usage: Usage, algorithm: Algorithm) -> Result<LmkBlock, KeyError> {
        let attributes = Attributes { usage, algorithm, mode: Mode::Both, export: Export::S };
        attributes.check()?;
        let key = KeyBytes::random(algorithm, if algorithm == Algorithm::Des { 8 } else { 16 });
        self.lmk.wrap(&key, &attributes, None)
    }

    /// As [`Keystore::new_working_key`], of this length, with its cryptogram under the TDES key `kek` and the 8 bytes of
    /// its check value: what a terminal gets when it signs in.
    ///
    /// # Errors
    /// `Attributes`, `Length`, and those of [`Keystore::export_wrapped`] for a bare cryptogram.
    pub fn new_terminal_key(
        &self,
        kek: &str,
        usage: Usage,
        algorithm: Algorithm,
        bytes: usize,
    ) -> Result<(LmkBlock, Vec<u8>, [u8; 8]), KeyError> {
        let attributes = Attributes { usage, algorithm, mode: Mode::Both, export: Export::S };
        attributes.check()?;
        attributes.check_length(bytes)?;
        let key = KeyBytes::random(algorithm, bytes);
        let kek_key = self.open_for(kek, &WRAP_ECB)?;
        check_strength(kek, &kek_key, algorithm, &key)?;
        let cryptogram = cryptogram(&kek_key, &key)?;
        let check_value = key.check_value_full(algorithm)?;
        Ok((self.lmk.wrap(&key, &attributes, None)?, cryptogram, check_value))
    }

    fn carry_out(&self, name: &str, opened: &Opened, kek: &str, form: WrapForm) -> Result<Wrapped, KeyError> {
        let refuse = |operation, needs| {
            Err(KeyError::NotAllowed {
                name: name.to_owned(),
                operation,
                has: opened.attributes.describe(),
                needs,
            })
        };
        match (form, opened.attributes.export) {
            (_, Export::N) => return refuse("be exported", "exportability E or S"),
            (WrapForm::TdesEcb, Export::E) => {
                return refuse(
                    "be exported as a bare cryptogram",
                    "exportability S: this form does not meet X9.24",
                );
            }
            _ => {}
        }
        let need = match form {
            WrapForm::KeyBlock => &WRAP_BLOCK,
            WrapForm::VariantKeyBlock => &WRAP_VARIANT,
            WrapForm::TdesEcb => &WRAP_ECB,
        };
        let kek_key = self.open_for(kek, need)?;
        check_strength(kek, &kek_key, opened.attributes.algorithm, &opened.key)?;
        match form {
            WrapForm::KeyBlock | WrapForm::VariantKeyBlock => {
                let variant = (form == WrapForm::VariantKeyBlock).then_some(Version::C);
                let header = opened.attributes.header(hash_of(opened.attributes.algorithm));
                let wrap = || Ok(protection(&kek_key, variant)?.wrap(&header, &opened.key));
                wiped::<COLD_STACK_BYTES, _>(wrap).map(Wrapped::KeyBlock)
            }
            WrapForm::TdesEcb => {
                if !opened.attributes.algorithm.is_des() {
                    return refuse("be exported as a bare cryptogram", "a DES or TDES key");
                }
                let cryptogram = cryptogram(&kek_key, &opened.key)?;
                let full = opened.key.check_value_full(opened.attributes.algorithm)?;
                Ok(Wrapped::TdesEcb { cryptogram, check_value: full[..CHECK_VALUE_BYTES].to_vec() })
            }
        }
    }

    /// What a key block says of itself, once its MAC holds under `kek`: the KSN that came with an initial key, a
    /// label, a time. Blocks with uses that are not served here are told too; nothing is taken into the store.
    ///
    /// # Errors
    /// `Block` when it does not open or contradicts itself, `NotAllowed` for the wrong key-encryption key.
    pub fn inspect_key_block(&self, kek: &str, block: &str) -> Result<KeyBlockFacts, KeyError> {
        let kek_key = self.open_kek_of(kek, block)?;
        let (version, header, _) = open_block(kek, &kek_key, block)?;
        Ok(KeyBlockFacts::new(version, &header))
    }

    /// As [`Keystore::rewrap`], for a bare cryptogram that came without a check value: `mac` over `data`, the message that
    /// brought it, was made with the new key, and proves it.
    ///
    /// # Errors
    /// As [`Keystore::rewrap`]; `NotProven` when the MAC does not hold.
    pub fn rewrap_proven(
        &self,
        kek: &str,
        cryptogram: &[u8],
        usage: Usage,
        algorithm: Algorithm,
        data: &[u8],
        mac: &[u8; 8],
    ) -> Result<LmkBlock, KeyError> {
        let attributes = Attributes { usage, algorithm, mode: Mode::Both, export: Export::N };
        attributes.check()?;
        let kek_key = self.open_for(kek, &UNWRAP_ECB)?;
        let key = open_cryptogram(&kek_key, cryptogram, algorithm)?;
        check_strength(kek, &kek_key, algorithm, &key)?;
        attributes.check_length(key.as_slice().len())?;
        let block = self.lmk.wrap(&key, &attributes, None)?;
        match self.mac_key_from_block(&block)?.verify(data, mac, ()) {
            Ok(_) => Ok(block),
            Err(_) => Err(KeyError::NotProven { kek: kek.to_owned() }),
        }
    }

    fn open_wrapped(
        &self,
        kek: &str,
        wrapped: &Wrapped,
        usage: Usage,
        algorithm: Algorithm,
        mode: Mode,
    ) -> Result<(KeyBytes, Attributes), KeyError> {
        let announced = Attributes { usage, algorithm, mode, export: Export::N };
        announced.check()?;
        let (key, attributes) = match wrapped {
            Wrapped::KeyBlock(block) => {
                let kek_key = self.open_kek_of(kek, block)?;
                let (key, attributes) = open_key_block(kek, &kek_key, block, &announced)?;
                check_strength(kek, &kek_key, algorithm, &key)?;
                (key, attributes)
            }
            Wrapped::TdesEcb { cryptogram, check_value } => {
                let kek_key = self.open_for(kek, &UNWRAP_ECB)?;
                let key = open_cryptogram(&kek_key, cryptogram, algorithm)?;
                check_check_value(kek, &key, check_value, algorithm)?;
                check_strength(kek, &kek_key, algorithm, &key)?;
                (key, announced)
            }
        };
        attributes.check_length(key.as_slice().len())?;
        Ok((key, attributes))
    }

    /// Opens the key-encryption key for a key block; the deprecated versions ask more of it.
    fn open_kek_of(&self, kek: &str, block: &str) -> Result<Opened, KeyError> {
        let variant = Version::variant_of(block).is_some();
        self.open_for(kek, if variant { &UNWRAP_VARIANT } else { &UNWRAP_BLOCK })
    }
}

const UNWRAP_BLOCK: Need = Need {
    operation: "bring keys in",
    keys: &[
        (Usage::Kek, &[Algorithm::Tdes, Algorithm::Aes, Algorithm::Sm4]),
        (Usage::KeyBlockProtection, &[Algorithm::Tdes, Algorithm::Aes, Algorithm::Sm4]),
    ],
    modes: &[Mode::Decrypt],
    deeds: &[Deed::Process],
    needs: "a key-encryption key (use K0 or K1) of mode D, B or N",
};

const WRAP_BLOCK: Need = Need {
    operation: "carry keys out",
    modes: &[Mode::Encrypt],
    deeds: &[Deed::Protect],
    needs: "a key-encryption key (use K0 or K1) of mode E, B or N",
    ..UNWRAP_BLOCK
};

const UNWRAP_ECB: Need = Need {
    keys: &[(Usage::Kek, &[Algorithm::Tdes])],
    needs: "a TDES key of use K0, which alone permits bare cryptograms, of mode D, B or N",
    ..UNWRAP_BLOCK
};

const WRAP_ECB: Need = Need {
    keys: &[(Usage::Kek, &[Algorithm::Tdes])],
    needs: "a TDES key of use K0, which alone permits bare cryptograms, of mode E, B or N",
    ..WRAP_BLOCK
};

const UNWRAP_VARIANT: Need = Need {
    operation: "bring keys in by a key block of version A or C",
    needs: "a TDES key of use K0, which alone permits this deprecated form, of mode D, B or N",
    ..UNWRAP_ECB
};

const WRAP_VARIANT: Need = Need {
    operation: "carry keys out in a key block of version C",
    needs: "a TDES key of use K0, which alone permits this deprecated form, of mode E, B or N",
    ..WRAP_ECB
};

/// Expands a key-encryption key for blocks of the variant given, or of its own version.
fn protection(kek_key: &Opened, variant: Option<Version>) -> Result<Protection, KeyError> {
    let key = kek_key.key.as_slice();
    match variant {
        Some(version) => Protection::variant(version, key),
        None => Protection::new(kek_key.attributes.algorithm, key),
    }
}

/// Opens a key block and holds it to what it says of itself: check values and hash.
fn open_block(kek: &str, kek_key: &Opened, block: &str) -> Result<(Version, Header, KeyBytes), KeyError> {
    wiped::<COLD_STACK_BYTES, _>(|| open_block_now(kek, kek_key, block))
}

fn open_block_now(kek: &str, kek_key: &Opened, block: &str) -> Result<(Version, Header, KeyBytes), KeyError> {
    let fail = |source| KeyError::Block { what: format!("key block under {kek:?}"), source };
    let protection = protection(kek_key, Version::variant_of(block))?;
    let (header, key) = protection.unwrap(block).map_err(fail)?;
    let key_algorithm = Algorithm::from_letter(char::from(header.algorithm));
    for (id, field, algorithm, checked) in [
        (KEY_CHECK_VALUE, "KC", key_algorithm, &key),
        (PROTECTION_CHECK_VALUE, "KP", Some(kek_key.attributes.algorithm), &kek_key.key),
    ] {
        if let (Some(stated), Some(algorithm)) = (header.optional(id), algorithm) {
            check_stated(field, stated, algorithm, checked)?.map_err(fail)?;
        }
    }
    // Which hash it names was checked when the header was parsed.
    if key_algorithm == Some(Algorithm::Hmac) && header.optional(HASH).is_none() {
        let expected = "a block HM, as an HMAC key must say its hash".to_owned();
        let (field, found) = ("optional blocks", String::new());
        return Err(fail(BlockError::Malformed { field, offset: 16, expected, found }));
    }
    Ok((protection.version(), header, key))
}

/// Check value of the key, and of the key that protects it.
const KEY_CHECK_VALUE: [u8; 2] = *b"KC";
const PROTECTION_CHECK_VALUE: [u8; 2] = *b"KP";
/// The hash of an HMAC key.
const HASH: [u8; 2] = *b"HM";
const SHA_256: &str = "21";

/// The optional block without which an HMAC key is ambiguous.
fn hash_of(algorithm: Algorithm) -> Vec<Optional> {
    let hash = (algorithm == Algorithm::Hmac).then(|| Optional { id: HASH, data: SHA_256.to_owned() });
    hash.into_iter().collect()
}

/// Compares a check value inside a block (method, then value) with the key; a method that is none for this
/// cipher proves nothing and passes.
fn check_stated(
    field: &'static str,
    stated: &str,
    algorithm: Algorithm,
    key: &KeyBytes,
) -> Result<Result<(), BlockError>, KeyError> {
    let Some((method, value)) = stated.split_at_checked(2) else { return Ok(Ok(())) };
    let Some(full) = key.check_value_by(method, algorithm)? else { return Ok(Ok(())) };
    let computed = hex(&full[..(value.len() / 2).min(full.len())]);
    if bool::from(computed.as_bytes().ct_eq(value.as_bytes())) {
        return Ok(Ok(()));
    }
    Ok(Err(BlockError::CheckValue { field, stated: value.to_owned(), computed }))
}

/// Opens a key block and compares what it says with what was announced.
fn open_key_block(
    kek: &str,
    kek_key: &Opened,
    block: &str,
    announced: &Attributes,
) -> Result<(KeyBytes, Attributes), KeyError> {
    let fail = |source| KeyError::Block { what: format!("key block under {kek:?}"), source };
    let (_, header, key) = open_block(kek, kek_key, block)?;
    let found = Attributes::from_header(&header).map_err(fail)?;
    let differs = |field, found: String, expected: String| Err(KeyError::Mismatch { field, found, expected });
    if found.usage != announced.usage {
        return differs("use", found.usage.to_string(), announced.usage.to_string());
    }
    if found.algorithm != announced.algorithm {
        return differs("algorithm", found.algorithm.to_string(), announced.algorithm.to_string());
    }
    if found.mode != announced.mode {
        return differs("mode", found.mode.to_string(), announced.mode.to_string());
    }
    Ok((key, found))
}

/// A key under a key-encryption key, part by part. It is clear in the arena alone.
fn cryptogram(kek_key: &Opened, key: &KeyBytes) -> Result<Vec<u8>, KeyError> {
    let cipher = Encipher::brief(Algorithm::Tdes, kek_key.key.as_slice())?;
    let made = KeyBytes::made(key.as_slice().len(), |parts| {
        parts.copy_from_slice(key.as_slice());
        parts.chunks_exact_mut(8).for_each(|part| cipher.block(part));
    });
    Ok(made.as_slice().to_vec())
}

/// Opens a bare cryptogram, which says nothing of the key: whether it is the one that was meant is another question.
fn open_cryptogram(kek_key: &Opened, cryptogram: &[u8], algorithm: Algorithm) -> Result<KeyBytes, KeyError> {
    wiped::<COLD_STACK_BYTES, _>(|| open_cryptogram_now(kek_key, cryptogram, algorithm))
}

fn open_cryptogram_now(
    kek_key: &Opened,
    cryptogram: &[u8],
    algorithm: Algorithm,
) -> Result<KeyBytes, KeyError> {
    let bytes = cryptogram.len();
    if !algorithm.fits(bytes) || !algorithm.is_des() {
        return Err(KeyError::Length { algorithm, bytes, expected: algorithm.lengths() });
    }
    let cipher = Decipher::new(Algorithm::Tdes, kek_key.key.as_slice())?;
    Ok(KeyBytes::made(bytes, |clear| {
        clear.copy_from_slice(cryptogram);
        clear.chunks_exact_mut(8).for_each(|part| cipher.block(part));
    }))
}

fn check_check_value(
    kek: &str,
    key: &KeyBytes,
    check_value: &[u8],
    algorithm: Algorithm,
) -> Result<(), KeyError> {
    let computed = key.check_value_full(algorithm)?;
    let computed = &computed[..check_value.len().min(computed.len())];
    if !(3..=8).contains(&check_value.len()) || !bool::from(computed.ct_eq(check_value)) {
        return Err(KeyError::CheckValue {
            kek: kek.to_owned(),
            given: hex(check_value.get(..8).unwrap_or(check_value)),
            computed: hex(computed),
        });
    }
    Ok(())
}

/// A key is carried only by one at least as strong (X9.24-1, ISO 11568).
fn check_strength(kek: &str, kek_key: &Opened, algorithm: Algorithm, key: &KeyBytes) -> Result<(), KeyError> {
    let kek_bits = kek_key.key.strength_bits(kek_key.attributes.algorithm);
    let key_bits = key.strength_bits(algorithm);
    if kek_bits < key_bits {
        return Err(KeyError::KekTooWeak { kek: kek.to_owned(), kek_bits, key_bits });
    }
    Ok(())
}
