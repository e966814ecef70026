//! The backend of this process: the handles of a [`Keystore`], opened once for each key and kept.
//!
//! Keys are blocks under the store's master key. What a key may do is checked when its handle is opened; a handle that is
//! kept stays as good as its key, since a working key has no states: whoever ends one calls [`SoftBackend::forget`].

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroizing;

use super::{
    Arpc, ArqcAnswer, Backend, BackendError, Health, HealthState, KeyRef, MacMethod, MacRule, Operation,
    Outcome, PinFrom, PinIn,
};
use crate::card::{CardError, CvvGenerateKey, CvvKind, CvvVerifyKey, EmvCryptogramKey};
use crate::data::{DataDecryptKey, DataEncryptKey};
use crate::dukpt::{DukptAesBaseKey, DukptAesKsn, DukptError, DukptTdesBaseKey, DukptTdesKsn, DukptWay};
use crate::error::KeyError;
use crate::lmk::LmkBlock;
use crate::mac::{MacGenerateKey, MacPadding, MacRules, MacVerifyKey};
use crate::pin::{
    DecimalTable, EncryptedPin, Ibm3624VerifyKey, PinDecryptKey, PinEncryptKey, PinOffset, PinSource,
    PvvVerifyKey, ValidationData, translate_pin,
};
use crate::secret::hex;
use crate::store::Keystore;

/// Keys that are kept open; about 2 KiB each with their schedules.
const KEYS_KEPT_MAX: usize = 16_384;
/// As a host command would; more is asked for in parts.
const RANDOM_BYTES_MAX: usize = 256;

/// Keys that work in this process.
pub struct SoftBackend {
    store: Arc<Keystore>,
    kept: RwLock<HashMap<KeyRef, Vec<Handle>>>,
    keys_max: usize,
}

/// A handle that was opened, with what it was opened for.
enum Handle {
    MacGenerate(MacRules, MacGenerateKey),
    MacVerify(MacRules, MacVerifyKey),
    PinDecrypt(PinDecryptKey),
    PinEncrypt(PinEncryptKey),
    Pvv(PvvVerifyKey),
    Ibm3624(Ibm3624VerifyKey),
    CvvGenerate(CvvGenerateKey),
    CvvVerify(CvvVerifyKey),
    Emv(EmvCryptogramKey),
    DataEncrypt(Arc<DataEncryptKey>),
    DataDecrypt(Arc<DataDecryptKey>),
    DukptTdes(Arc<DukptTdesBaseKey>),
    DukptAes(Arc<DukptAesBaseKey>),
}

/// Opens a handle, or takes the one that is kept.
macro_rules! kept {
    ($self:ident, $key:expr, $variant:ident, $open:ident) => {
        $self.kept(
            $key,
            |handle| if let Handle::$variant(kept) = handle { Some(kept.clone()) } else { None },
            |handle| Handle::$variant(handle),
            |store, block| store.$open(block).map(Into::into),
        )
    };
}

impl SoftBackend {
    /// Over the master key of `store`.
    #[must_use]
    pub fn new(store: Arc<Keystore>) -> SoftBackend {
        SoftBackend { store, kept: RwLock::default(), keys_max: KEYS_KEPT_MAX }
    }

    /// Closes what is kept open of a key.
    pub fn forget(&self, key: &KeyRef) {
        self.kept.write().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// The store whose master key this is.
    #[must_use]
    pub fn store(&self) -> &Arc<Keystore> {
        &self.store
    }

    #[cfg(test)]
    pub(super) fn with_keys_max(store: Arc<Keystore>, keys_max: usize) -> SoftBackend {
        SoftBackend { keys_max, ..SoftBackend::new(store) }
    }

    #[cfg(test)]
    pub(super) fn keys_kept(&self) -> usize {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn kept<H: Clone>(
        &self,
        key: &KeyRef,
        pick: impl Fn(&Handle) -> Option<H>,
        keep: impl FnOnce(H) -> Handle,
        open: impl FnOnce(&Keystore, &str) -> Result<H, KeyError>,
    ) -> Result<H, BackendError> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = kept.get(key).and_then(|handles| handles.iter().find_map(&pick)) {
            return Ok(handle);
        }
        drop(kept);
        block_of(key)?;
        let handle = open(&self.store, key.as_str())?;
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= self.keys_max && !kept.contains_key(key) {
            // Which one goes does not matter: it is opened again when it is asked for.
            if let Some(other) = kept.keys().next().cloned() {
                kept.remove(&other);
            }
        }
        let handles = kept.entry(key.clone()).or_default();
        // Another thread may have been quicker.
        if handles.iter().find_map(&pick).is_none() {
            handles.push(keep(handle.clone()));
        }
        Ok(handle)
    }

    fn answer(&self, operation: &Operation<'_>) -> Result<Outcome, BackendError> {
        match *operation {
            Operation::GenerateMac { key, rule, data } => {
                Ok(Outcome::Mac(self.mac_generate_key(key, rule)?.generate_full(data)))
            }
            Operation::VerifyMac { key, rule, data, mac } => {
                let verified = self.mac_verify_key(key, rule)?.verify_full(data, mac, ());
                Ok(Outcome::Verified(verified.is_ok()))
            }
            Operation::TranslatePin { pin, to, to_format } => {
                let to = kept!(self, to, PinEncrypt, pin_encrypt_key)?;
                self.with_pin(&pin, |from, block| {
                    translate_pin(from, pin.format, &to, to_format, pin.pan, block)
                })
                .map(Outcome::Pin)
            }
            Operation::VerifyPvv { pin, key, index, pvv } => {
                let key = kept!(self, key, Pvv, pvv_verify_key)?;
                self.with_pin(&pin, |from, block| key.verify(from, pin.format, pin.pan, block, index, pvv))
                    .map(Outcome::Verified)
            }
            Operation::VerifyIbm3624 { pin, key, table, validation, offset } => {
                let key = kept!(self, key, Ibm3624, ibm3624_verify_key)?;
                let (table, offset) = (DecimalTable::new(table)?, PinOffset::new(offset)?);
                let data = ValidationData::from_bytes(*validation);
                self.with_pin(&pin, |from, block| {
                    key.verify(from, pin.format, pin.pan, block, &data, &table, &offset)
                })
                .map(Outcome::Verified)
            }
            Operation::GenerateCvv { key, card } => {
                let key = kept!(self, key, CvvGenerate, cvv_generate_key)?;
                Ok(Outcome::Cvv(key.generate(card.pan, &card.expiry, CvvKind::of_service(card.service))?))
            }
            Operation::VerifyCvv { key, card, value } => {
                let key = kept!(self, key, CvvVerify, cvv_verify_key)?;
                let kind = CvvKind::of_service(card.service);
                Ok(Outcome::Verified(key.verify(card.pan, &card.expiry, kind, value)?))
            }
            Operation::VerifyArqc { .. } => self.arqc(operation),
            Operation::EncryptData { key, iv, data } => {
                let mut data = Zeroizing::new(data.to_vec());
                kept!(self, key, DataEncrypt, data_encrypt_key)?.encrypt(iv, &mut data)?;
                Ok(Outcome::Data(data))
            }
            Operation::DecryptData { key, iv, data } => {
                let mut data = Zeroizing::new(data.to_vec());
                kept!(self, key, DataDecrypt, data_decrypt_key)?.decrypt(iv, &mut data)?;
                Ok(Outcome::Data(data))
            }
            Operation::VerifyDukptMac { base, ksn, way, data, mac } => {
                self.dukpt_mac(base, ksn, way, data, mac)
            }
            Operation::Random { bytes } => {
                if !(1..=RANDOM_BYTES_MAX).contains(&bytes) {
                    return Err(BackendError::input("number of random bytes", "expected 1 to 256"));
                }
                let mut random = Zeroizing::new(vec![0; bytes]);
                self.store.random(&mut random);
                Ok(Outcome::Random(random))
            }
            Operation::CheckValue { key } => {
                Ok(Outcome::CheckValue(self.store.working_info(&block_of(key)?)?.check_value))
            }
        }
    }

    fn mac_generate_key(&self, key: &KeyRef, rule: MacRule) -> Result<MacGenerateKey, BackendError> {
        let rules = rules_of(key, rule)?;
        self.kept(
            key,
            |handle| match handle {
                Handle::MacGenerate(of, kept) if *of == rules => Some(kept.clone()),
                _ => None,
            },
            |handle| Handle::MacGenerate(rules, handle),
            |store, block| store.mac_generate_key_with(block, &rules),
        )
    }

    fn mac_verify_key(&self, key: &KeyRef, rule: MacRule) -> Result<MacVerifyKey, BackendError> {
        let rules = rules_of(key, rule)?;
        self.kept(
            key,
            |handle| match handle {
                Handle::MacVerify(of, kept) if *of == rules => Some(kept.clone()),
                _ => None,
            },
            |handle| Handle::MacVerify(rules, handle),
            |store, block| store.mac_verify_key_with(block, &rules),
        )
    }

    /// Finds the key that a PIN is under, and gives it away for the time of one operation.
    fn with_pin<T, E>(
        &self,
        pin: &PinIn<'_>,
        work: impl FnOnce(PinSource<'_>, &EncryptedPin) -> Result<T, E>,
    ) -> Result<T, BackendError>
    where
        BackendError: From<E>,
    {
        let block = EncryptedPin::from_bytes(pin.block)?;
        match pin.from {
            PinFrom::Zone(key) => {
                let from = kept!(self, key, PinDecrypt, pin_decrypt_key)?;
                Ok(work((&from).into(), &block)?)
            }
            PinFrom::Dukpt { base, ksn } if is_aes(base) => {
                let ksn = DukptAesKsn::from_bytes(ksn)?;
                let base: Arc<DukptAesBaseKey> = kept!(self, base, DukptAes, dukpt_aes_base_key)?;
                Ok(work((&base.initial_key(ksn.device())?.pin_key(&ksn)?).into(), &block)?)
            }
            PinFrom::Dukpt { base, ksn } => {
                let ksn = DukptTdesKsn::from_bytes(ksn)?;
                let base: Arc<DukptTdesBaseKey> = kept!(self, base, DukptTdes, dukpt_tdes_base_key)?;
                Ok(work((&base.initial_key(ksn.device())?.pin_key(&ksn)?).into(), &block)?)
            }
        }
    }

    fn arqc(&self, operation: &Operation<'_>) -> Result<Outcome, BackendError> {
        let Operation::VerifyArqc { key, card, scheme, of, arqc, answer } = *operation else {
            unreachable!("called for this kind alone")
        };
        let proof = match kept!(self, key, Emv, emv_cryptogram_key)?.verify_arqc(&card, scheme, &of, &arqc) {
            Ok(proof) => proof,
            Err(CardError::Cryptogram) => return Ok(Outcome::Verified(false)),
            Err(error) => return Err(error.into()),
        };
        Ok(match answer {
            None => Outcome::Verified(true),
            Some(ArqcAnswer::Method1(code)) => Outcome::Answered(Arpc::Method1(proof.arpc_1(code))),
            Some(ArqcAnswer::Method2(status, own)) => {
                Outcome::Answered(Arpc::Method2(proof.arpc_2(status, own)?))
            }
        })
    }

    fn dukpt_mac(
        &self,
        base: &KeyRef,
        ksn: &[u8],
        way: DukptWay,
        data: &[u8],
        mac: &[u8],
    ) -> Result<Outcome, BackendError> {
        let verified = if is_aes(base) {
            let ksn = DukptAesKsn::from_bytes(ksn)?;
            let base: Arc<DukptAesBaseKey> = kept!(self, base, DukptAes, dukpt_aes_base_key)?;
            base.initial_key(ksn.device())?.verify_mac(&ksn, way, data, mac, ()).map(drop)
        } else {
            let ksn = DukptTdesKsn::from_bytes(ksn)?;
            let base: Arc<DukptTdesBaseKey> = kept!(self, base, DukptTdes, dukpt_tdes_base_key)?;
            base.initial_key(ksn.device())?.verify_mac(&ksn, data, mac, ()).map(drop)
        };
        match verified {
            Ok(()) => Ok(Outcome::Verified(true)),
            Err((DukptError::Mac, ())) => Ok(Outcome::Verified(false)),
            Err((error, ())) => Err(error.into()),
        }
    }
}

impl Backend for SoftBackend {
    fn submit(&self, batch: &[Operation<'_>]) -> Vec<Result<Outcome, BackendError>> {
        batch.iter().map(|operation| self.answer(operation)).collect()
    }

    fn can(&self, _: &Operation<'_>) -> bool {
        true
    }

    fn import(&self, key_block: &str, transport: &KeyRef) -> Result<KeyRef, BackendError> {
        let rested = self.store.rewrap_as_told(&block_of(transport)?, key_block)?;
        KeyRef::new(rested.as_str())
    }

    fn health(&self) -> Health {
        let test = if self.store.is_test() { ", the test master key" } else { "" };
        Health {
            state: HealthState::Up,
            master_check_value: Some(hex(&self.store.lmk_check_value())),
            detail: format!("software in this process{test}"),
        }
    }
}

/// A name is no key here: its state may change, and what is kept would not know.
fn block_of(key: &KeyRef) -> Result<LmkBlock, BackendError> {
    LmkBlock::try_from(key.as_str().to_owned())
        .map_err(|error| BackendError::Key { reason: error.to_string() })
}

/// The header of a block says it, and its MAC holds the header once a handle is opened.
fn is_aes(key: &KeyRef) -> bool {
    key.as_str().as_bytes().get(7) == Some(&b'A')
}

fn rules_of(key: &KeyRef, rule: MacRule) -> Result<MacRules, BackendError> {
    let MacRule { method, padding, bytes } = rule;
    let uses: &[&str] = match method {
        MacMethod::Cbc => &["M0", "M1"],
        MacMethod::Retail => &["M3"],
        MacMethod::Cmac => &["M6"],
        MacMethod::Hmac => &["M7"],
        MacMethod::UnionPayEcb => &["90"],
    };
    block_of(key)?;
    let usage = key.as_str().get(5..7).unwrap_or_default();
    if !uses.contains(&usage) {
        let reason =
            format!("a key of use {usage} makes no MAC by the method {method:?}: this needs {uses:?}");
        return Err(BackendError::Refused { reason });
    }
    let pads = matches!(method, MacMethod::Cbc | MacMethod::Retail);
    let padding: Option<MacPadding> = pads.then_some(padding);
    Ok(MacRules { padding, bytes: Some(bytes) })
}
