//! Keys in the token: made there, never given out, each for one purpose that stands in its CKA_ID.
//!
//! ```text
//! yika:K   seals the master key         AES-256          AES-GCM
//! yika:M6  AES-CMAC                     AES-128, -256    encrypts nothing
//! yika:D0  data                         AES-256, TDES    ECB and CBC, makes no MACs
//! yika:S   signs roots of audit logs    Ed25519, P-256
//! ```
//! A key without such a mark is not used, whatever attributes it has; there is no mark for PIN keys.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use zeroize::Zeroizing;

use crate::error::TokenError;
use crate::token::Token;

/// What a secret key in the token is for, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Seals the master key (AES-256).
    Custody,
    /// Makes and checks AES-CMACs; bytes of the key, 16 or 32.
    Cmac(u8),
    /// Encrypts and decrypts data (AES-256).
    DataAes,
    /// Encrypts and decrypts data (TDES of three parts).
    DataTdes,
}

/// What signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA over P-256 with SHA-256 (FIPS 186-5).
    P256,
}

/// How blocks of data hang together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chaining<'a> {
    /// Each block alone.
    Ecb,
    /// Chained from this block: 8 bytes (TDES) or 16 (AES).
    Cbc(&'a [u8]),
}

const DATA: &[u8] = b"yika:D0";
const SIGNER: &[u8] = b"yika:S";

impl Purpose {
    fn mark(self) -> &'static [u8] {
        match self {
            Purpose::Custody => b"yika:K",
            Purpose::Cmac(_) => b"yika:M6",
            Purpose::DataAes | Purpose::DataTdes => DATA,
        }
    }
}

/// A DER object identifier, as CKA_EC_PARAMS has it: that of edwards25519 and that of P-256.
const EDWARDS_25519: &[u8] = b"\x13\x0Cedwards25519";
const P_256: &[u8] = b"\x06\x08\x2A\x86\x48\xCE\x3D\x03\x01\x07";

/// C_Encrypt or C_Decrypt.
type Crypt = fn(&Session, &Mechanism<'_>, ObjectHandle, &[u8]) -> Result<Vec<u8>, Error>;

impl Token {
    /// Makes a secret key in the token, which cannot be read out of it.
    ///
    /// # Errors
    /// `KeyExists`, `Input` for a length that CMAC keys have not, `Failed`.
    pub fn create_key(&self, label: &str, purpose: Purpose) -> Result<(), TokenError> {
        self.must_be_new(label)?;
        let (mechanism, bytes) = match purpose {
            Purpose::DataTdes => (Mechanism::Des3KeyGen, None),
            Purpose::Custody | Purpose::DataAes => (Mechanism::AesKeyGen, Some(32)),
            Purpose::Cmac(bytes @ (16 | 32)) => (Mechanism::AesKeyGen, Some(bytes)),
            Purpose::Cmac(_) => {
                return Err(TokenError::Input { what: "key length", expected: "16 or 32 bytes" });
            }
        };
        let macs = matches!(purpose, Purpose::Cmac(_));
        let mut template = of_token(label, purpose.mark());
        template.extend([
            Attribute::Sign(macs),
            Attribute::Verify(macs),
            Attribute::Encrypt(!macs),
            Attribute::Decrypt(!macs),
            Attribute::Wrap(false),
            Attribute::Unwrap(false),
            Attribute::Derive(false),
        ]);
        template.extend(bytes.map(|bytes| Attribute::ValueLen(u64::from(bytes).into())));
        self.pool.with("make a key", |session| session.generate_key(&mechanism, &template).map(drop))
    }

    /// Makes a pair of keys that signs.
    ///
    /// # Errors
    /// `KeyExists`, `Failed`, also where the token has no such signatures.
    pub fn create_signer(&self, label: &str, signer: Signer) -> Result<(), TokenError> {
        self.must_be_new(label)?;
        let (mechanism, curve) = match signer {
            Signer::Ed25519 => (Mechanism::EccEdwardsKeyPairGen, EDWARDS_25519),
            Signer::P256 => (Mechanism::EccKeyPairGen, P_256),
        };
        let public = [
            Attribute::Token(true),
            Attribute::Private(false),
            Attribute::Verify(true),
            Attribute::Label(label.into()),
            Attribute::Id(SIGNER.to_vec()),
            Attribute::EcParams(curve.to_vec()),
        ];
        let mut private = of_token(label, SIGNER);
        private.extend([Attribute::Sign(true), Attribute::Derive(false)]);
        self.pool.with("make a pair of keys", |session| {
            session.generate_key_pair(&mechanism, &public, &private).map(drop)
        })
    }

    /// The AES-CMAC of `data` under a key for CMACs (SP 800-38B).
    ///
    /// # Errors
    /// `NoKey`, `Failed`.
    pub fn cmac(&self, label: &str, data: &[u8]) -> Result<[u8; 16], TokenError> {
        let mac = self.with_key("make a MAC", label, Purpose::Cmac(16), |session, key| {
            session.sign(&Mechanism::AesCMac, key, data)
        })?;
        mac.as_slice().try_into().map_err(|_| invalid("make a MAC"))
    }

    /// Whether `mac`, 16 bytes, is the AES-CMAC of `data`; compared inside the token.
    ///
    /// # Errors
    /// `NoKey`, `Failed`. A MAC that does not hold is no error.
    pub fn cmac_holds(&self, label: &str, data: &[u8], mac: &[u8; 16]) -> Result<bool, TokenError> {
        self.with_key("check a MAC", label, Purpose::Cmac(16), |session, key| {
            match session.verify(&Mechanism::AesCMac, key, data, mac) {
                Ok(()) => Ok(true),
                Err(Error::Pkcs11(RvError::SignatureInvalid | RvError::SignatureLenRange, _)) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    /// Encrypts whole blocks under a data key.
    ///
    /// # Errors
    /// `NoKey`, `Input` unless they are whole blocks and the IV is one, `Failed`.
    pub fn encrypt(&self, label: &str, chaining: Chaining<'_>, data: &[u8]) -> Result<Vec<u8>, TokenError> {
        self.crypt("encrypt data", label, chaining, data, Session::encrypt)
    }

    /// The inverse of [`Token::encrypt`]; what comes out is wiped on drop.
    ///
    /// # Errors
    /// As there.
    pub fn decrypt(
        &self,
        label: &str,
        chaining: Chaining<'_>,
        data: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        self.crypt("decrypt data", label, chaining, data, Session::decrypt).map(Zeroizing::new)
    }

    /// The check value of a key for CMACs (the CMAC of a block of zeros) or for data (a block of zeros, encrypted; X9.143
    /// optional block KC, methods 01 and 00).
    ///
    /// # Errors
    /// `NoKey`, `Failed`.
    pub fn check_value(&self, label: &str) -> Result<[u8; 3], TokenError> {
        let full = match self.cmac(label, &[0; 16]) {
            Ok(mac) => mac.to_vec(),
            Err(TokenError::NoKey { .. }) => self.encrypt(label, Chaining::Ecb, &[0; 16])?,
            Err(error) => return Err(error),
        };
        full.first_chunk().copied().ok_or_else(|| invalid("tell a check value"))
    }

    /// Signs a message: Ed25519 over it, or ECDSA over the SHA-256 `digest` of it that the caller made; 64 bytes.
    ///
    /// # Errors
    /// `NoKey`, `Input` for a digest that has not 32 bytes, `Failed`.
    pub fn sign(&self, label: &str, signer: Signer, message: &[u8]) -> Result<[u8; 64], TokenError> {
        let mechanism = match signer {
            Signer::Ed25519 => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)),
            Signer::P256 if message.len() == 32 => Mechanism::Ecdsa,
            Signer::P256 => {
                return Err(TokenError::Input { what: "digest", expected: "32 bytes of SHA-256" });
            }
        };
        let signature =
            self.with_object("sign", label, ObjectClass::PRIVATE_KEY, SIGNER, "signing", |session, key| {
                session.sign(&mechanism, key, message)
            })?;
        signature.as_slice().try_into().map_err(|_| invalid("sign"))
    }

    /// The public key of a signer: 32 bytes (Ed25519), or 65, uncompressed (P-256).
    ///
    /// # Errors
    /// `NoKey`, `Failed`.
    pub fn public_key(&self, label: &str) -> Result<Vec<u8>, TokenError> {
        let what = "tell a public key";
        let point =
            self.with_object(what, label, ObjectClass::PUBLIC_KEY, SIGNER, "signing", |session, key| {
                session.get_attributes(key, &[AttributeType::EcPoint])
            })?;
        match point.first() {
            // A DER octet string around the point.
            Some(Attribute::EcPoint(der)) => match der.as_slice() {
                [4, len, point @ ..] if usize::from(*len) == point.len() => Ok(point.to_vec()),
                _ => Err(invalid(what)),
            },
            _ => Err(invalid(what)),
        }
    }

    fn crypt(
        &self,
        what: &'static str,
        label: &str,
        chaining: Chaining<'_>,
        data: &[u8],
        work: Crypt,
    ) -> Result<Vec<u8>, TokenError> {
        let tdes = self.with_key(what, label, Purpose::DataAes, |session, key| {
            let kinds = session.get_attributes(key, &[AttributeType::KeyType])?;
            Ok(kinds.contains(&Attribute::KeyType(KeyType::DES3)))
        })?;
        let block_bytes = if tdes { 8 } else { 16 };
        if data.is_empty() || !data.len().is_multiple_of(block_bytes) {
            return Err(TokenError::Input { what: "data", expected: "whole blocks of the key's cipher" });
        }
        let refuse = |_| TokenError::Input { what: "IV", expected: "one block of the key's cipher" };
        let mechanism = match (chaining, tdes) {
            (Chaining::Ecb, true) => Mechanism::Des3Ecb,
            (Chaining::Ecb, false) => Mechanism::AesEcb,
            (Chaining::Cbc(iv), true) => Mechanism::Des3Cbc(iv.try_into().map_err(refuse)?),
            (Chaining::Cbc(iv), false) => Mechanism::AesCbc(iv.try_into().map_err(refuse)?),
        };
        self.with_key(what, label, Purpose::DataAes, |session, key| work(session, &mechanism, key, data))
    }

    /// Works with a secret key that was made for this.
    pub(crate) fn with_key<T>(
        &self,
        what: &'static str,
        label: &str,
        purpose: Purpose,
        work: impl FnMut(&Session, ObjectHandle) -> Result<T, Error>,
    ) -> Result<T, TokenError> {
        let wanted = match purpose {
            Purpose::Custody => "custody of the master key",
            Purpose::Cmac(_) => "MACs",
            Purpose::DataAes | Purpose::DataTdes => "data",
        };
        self.with_object(what, label, ObjectClass::SECRET_KEY, purpose.mark(), wanted, work)
    }

    fn with_object<T>(
        &self,
        what: &'static str,
        label: &str,
        class: ObjectClass,
        mark: &[u8],
        purpose: &'static str,
        mut work: impl FnMut(&Session, ObjectHandle) -> Result<T, Error>,
    ) -> Result<T, TokenError> {
        let template = [
            Attribute::Token(true),
            Attribute::Class(class),
            Attribute::Label(label.into()),
            Attribute::Id(mark.to_vec()),
        ];
        let done = self.pool.with(what, |session| match session.find_objects(&template)?.first() {
            Some(key) => work(session, *key).map(Some),
            None => Ok(None),
        })?;
        done.ok_or_else(|| TokenError::NoKey { label: label.to_owned(), purpose })
    }

    fn must_be_new(&self, label: &str) -> Result<(), TokenError> {
        let template = [Attribute::Token(true), Attribute::Label(label.into())];
        let found = self.pool.with("look for a key", |session| session.find_objects(&template))?;
        if found.is_empty() { Ok(()) } else { Err(TokenError::KeyExists { label: label.to_owned() }) }
    }
}

/// What every key of ours is: it stays in the token, is shown to its user alone, and is never read.
fn of_token(label: &str, mark: &[u8]) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Label(label.into()),
        Attribute::Id(mark.to_vec()),
    ]
}

fn invalid(what: &'static str) -> TokenError {
    TokenError::Failed { what, source: Error::InvalidValue }
}
