//! The keystore of Yika: secrets go in, only results come out.
//!
//! It owns the master key, every key wrapped under it, and what needs a key: MAC, PIN translation, sealing,
//! tokens. A key does only what its key block allows; no clear key and no clear PIN leaves the crate. It
//! must never print a secret, guess at a damaged key file, or know of messages, sockets and time.
//!
//! Keys rest as X9.143 version D blocks under the [`Lmk`]; key-encryption keys carry working keys in and
//! out; a handle such as [`MacKey`] is opened and checked once, and is then free of look-ups and locks:
//!
//! ```
//! use yika_keystore::{Algorithm, Export, Keystore, Lmk, Mode, Usage};
//!
//! let store = Keystore::in_memory(Lmk::test());
//! store.generate("zak.bank-a", Usage::MacCmac, Algorithm::Aes, Mode::Both, Export::E)?;
//! let key = store.mac_key("zak.bank-a")?;
//! let mac = key.generate(b"0200...");
//! let request = key.verify(b"0200...", &mac, "a decoded request").map_err(|(error, _)| error);
//! assert_eq!(request.map(|proof| proof.into_inner()), Ok("a decoded request"));
//! # Ok::<(), yika_keystore::KeyError>(())
//! ```
#![warn(missing_docs)]

mod attributes;
mod audit;
mod authentic;
mod backend;
mod block;
mod card;
mod cipher;
mod cmac;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod custodian;
mod data;
mod decimal;
mod digest;
mod dukpt;
mod error;
mod gate;
mod info;
mod lmk;
mod mac;
mod pin;
mod policy;
mod random;
mod retail;
mod seal;
mod secret;
mod shares;
mod sm2;
mod state;
mod store;
mod tac;
#[cfg(test)]
mod testing;
mod token;

pub use attributes::{Algorithm, Attributes, Export, Mode, Usage};
pub use audit::{AuditHead, AuditRecord, audit_path, verify_audit};
pub use authentic::{Authentic, Waiver, waive};
pub use backend::{
    Arpc, ArqcAnswer, Backend, BackendError, CvvCard, Health, HealthState, KeyRef, MacMethod, MacRule,
    Operation, OperationKind, Outcome, PinFrom, PinIn, SoftBackend,
};
pub use block::KeyBlockFacts;
pub use card::{
    ArpcKey, CardError, CardKeyOption, CvvGenerateKey, CvvKind, CvvVerifyKey, EmvCard, EmvConfidentialityKey,
    EmvCryptogramKey, EmvDynamicNumberKey, EmvIntegrityKey, EmvPadding, EmvScheme, EmvSession,
    EmvTransaction, ScriptMode, ScriptSession, VerifiedArqc,
};
pub use data::{DataDecryptKey, DataEncryptKey, DataError};
pub use digest::{Sha256, Sm3};
pub use dukpt::{
    DukptAesBaseKey, DukptAesDevice, DukptAesInitialKey, DukptAesKsn, DukptError, DukptPinKey,
    DukptTdesBaseKey, DukptTdesDevice, DukptTdesInitialKey, DukptTdesKsn, DukptWay, KsnError,
};
pub use error::{BlockError, KeyError};
pub use gate::{GateKey, GateSession, GateSide};
pub use info::{Environment, KeyInfo, Origin, Validity};
pub use lmk::{Lmk, LmkBlock};
pub use mac::{MacError, MacGenerateKey, MacKey, MacPadding, MacRules, MacTag, MacVerifyKey};
pub use pin::{
    DecimalTable, EncryptedPin, Ibm3624GenerateKey, Ibm3624VerifyKey, PinDecryptKey, PinEncryptKey, PinError,
    PinFormat, PinKey, PinOffset, PinSource, PvvGenerateKey, PvvVerifyKey, ValidationData, encrypt_test_pin,
    matches_test_pin, translate_pin,
};
pub use seal::{DATA_KEY_WRAPPED_BYTES, SEAL_TAG_BYTES, SealError, SealKey};
pub use shares::Share;
pub use sm2::{
    CERTIFICATE_BYTES, CODE_BYTES, Chain, ChainError, IssuerCertificate, Sm2Error, Sm2PublicKey, VerifiedCode,
};
pub use state::KeyState;
pub use store::{CeremonyInfo, Keystore, Present, WrapForm, Wrapped};
pub use tac::{TacMasterKey, TacRecord};
pub use token::Tokenizer;
pub use yika_arena::{Arena, ArenaError, ArenaKind, ArenaUsage};
