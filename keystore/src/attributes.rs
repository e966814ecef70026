//! What a key is for: use, algorithm, mode and exportability, as a key block header binds them.
//!
//! The letters are those of the ANSI X9.143 header. `check` is the one place that says which
//! combinations exist; `may` the one place that says what a mode allows.

use std::fmt;

use crate::error::KeyError;

/// What a key may be used for (X9.143 "key usage"). Codes of two digits are reserved for private agreements; those are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Usage {
    /// `B0`: base derivation key of DUKPT.
    DukptBase,
    /// `B1`: initial key of one DUKPT device.
    DukptInitial,
    /// `B3`: derivation of other keys, by another method than that of X9.24: the zone key of a gateway.
    Derivation,
    /// `C0`: card verification (CVV, iCVV, CVV2).
    CardVerification,
    /// `D0`: data encryption.
    Data,
    /// `E0`: issuer master key for application cryptograms (EMV).
    EmvCryptogram,
    /// `E1`: issuer master key for secure messaging, confidentiality.
    EmvConfidentiality,
    /// `E2`: issuer master key for secure messaging, integrity.
    EmvIntegrity,
    /// `E4`: issuer master key for dynamic numbers (CVC3).
    EmvDynamicNumbers,
    /// `K0`: key encryption. May carry key blocks and, when it is TDES, legacy ECB cryptograms: taking a
    /// TDES `K0` key into the store is the permission for that zone.
    Kek,
    /// `K1`: key block protection. Carries key blocks only, never a bare cryptogram.
    KeyBlockProtection,
    /// `M0`: CBC-MAC of TDES (ISO 16609 algorithm 1).
    MacIso16609,
    /// `M1`: CBC-MAC (ISO 9797-1 algorithm 1) with DES or SM4.
    MacIso9797Alg1,
    /// `M3`: retail MAC (ISO 9797-1 algorithm 3) with the two parts of a TDES key, or with two SM4 keys.
    MacRetail,
    /// `M6`: CMAC (ISO 9797-1:2011 algorithm 5).
    MacCmac,
    /// `M7`: HMAC.
    MacHmac,
    /// `P0`: PIN encryption.
    Pin,
    /// `V1`: PIN verification by IBM 3624.
    PinVerifyIbm3624,
    /// `V2`: PIN verification by PVV.
    PinVerifyPvv,
    /// `90`: UnionPay terminal "ECB MAC".
    MacUnionPayEcb,
    /// `91`: master of the cards' TAC keys (transaction authorization code of a purse).
    TacMaster,
}

/// What the modes of a use are called: by what its keys do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Encrypt and decrypt: B, E, D, N.
    Cipher,
    /// Generate and verify: C, G, V, N.
    Check,
    /// Derive other keys: X, N.
    Derive,
}

/// The cipher a key belongs to (X9.143 "algorithm").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// `D`: single DES. Exists for single-length UnionPay terminal MAC keys and nothing else.
    Des,
    /// `T`: two- or three-key TDES.
    Tdes,
    /// `A`: AES.
    Aes,
    /// `4`: SM4 (GB/T 32907). X9.143 has no letter for it; digits are reserved for private agreements.
    Sm4,
    /// `H`: HMAC-SHA256.
    Hmac,
}

/// In which direction a key may work (X9.143 "mode of use").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// `C` for MAC keys (generate and verify), `X` for those that derive, `B` for others (encrypt and decrypt).
    Both,
    /// `G`: generate a MAC only.
    Generate,
    /// `V`: verify a MAC only.
    Verify,
    /// `E`: encrypt or wrap only.
    Encrypt,
    /// `D`: decrypt or unwrap only.
    Decrypt,
    /// `N`: no special restriction.
    NoRestrictions,
}

/// Whether a key may leave (X9.143 "exportability").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Export {
    /// `E`: in a key block, which meets X9.24.
    E,
    /// `N`: never.
    N,
    /// `S`: in a key block or in a legacy form that does not meet X9.24 (ECB cryptogram).
    S,
}

/// Use, algorithm, mode and exportability together: the header of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Its use.
    pub usage: Usage,
    /// Its cipher.
    pub algorithm: Algorithm,
    /// Its direction.
    pub mode: Mode,
    /// Whether it may leave.
    pub export: Export,
}

impl Attributes {
    /// Refuses combinations that no operation could use.
    pub(crate) fn check(&self) -> Result<(), KeyError> {
        let Attributes { usage, algorithm, mode, .. } = *self;
        let hint = if !usage.algorithms().contains(&algorithm) {
            usage.algorithms_hint()
        } else if !usage.family().has(mode) {
            match usage.family() {
                Family::Derive => "this key derives others (X) or is free (N)",
                Family::Check => "such keys generate (G), verify (V), do both (C) or are free (N)",
                Family::Cipher => "this key encrypts (E), decrypts (D), does both (B) or is free (N)",
            }
        } else {
            return Ok(());
        };
        Err(KeyError::Attributes { usage, algorithm, mode, hint })
    }

    /// Refuses a length that the algorithm, or the method, does not have.
    pub(crate) fn check_length(&self, bytes: usize) -> Result<(), KeyError> {
        let Attributes { usage, algorithm, .. } = *self;
        let expected = match (usage, algorithm) {
            (Usage::MacRetail, Algorithm::Tdes) if bytes != 16 => "16 bytes for a retail MAC",
            (Usage::MacRetail, Algorithm::Sm4) if bytes == 32 => return Ok(()),
            (Usage::MacRetail, Algorithm::Sm4) => "32 bytes, two SM4 keys, for a retail MAC",
            (
                Usage::CardVerification
                | Usage::PinVerifyPvv
                | Usage::EmvCryptogram
                | Usage::EmvConfidentiality
                | Usage::EmvIntegrity
                | Usage::EmvDynamicNumbers,
                _,
            ) if bytes != 16 => "16 bytes for this use",
            (Usage::DukptBase | Usage::DukptInitial, Algorithm::Tdes) if bytes != 16 => {
                "16 bytes for a TDES key of DUKPT"
            }
            _ if algorithm.fits(bytes) => return Ok(()),
            _ => algorithm.lengths(),
        };
        Err(KeyError::Length { algorithm, bytes, expected })
    }

    /// In the letters of a key block header, from key usage to exportability: `P0TB00E`.
    pub(crate) fn letters(&self) -> String {
        let Attributes { usage, algorithm, mode, export } = self;
        format!("{}{}{}00{export}", usage.code(), algorithm.letter(), mode.letter(*usage))
    }

    /// The inverse of [`Attributes::letters`].
    pub(crate) fn from_letters(letters: &str) -> Option<Attributes> {
        let mut rest = letters.get(2..)?.chars();
        let usage = Usage::from_code(letters.get(..2)?)?;
        let algorithm = Algorithm::from_letter(rest.next()?)?;
        let mode = Mode::from_letter(rest.next()?, usage)?;
        let export = Export::from_letter(rest.nth(2)?)?;
        Some(Attributes { usage, algorithm, mode, export })
    }

    /// How a message calls the key.
    pub(crate) fn describe(&self) -> String {
        format!("{}, {}, mode {}, export {}", self.usage, self.algorithm, self.mode, self.export)
    }
}

impl Usage {
    pub(crate) const ALL: [Usage; 21] = [
        Usage::DukptBase,
        Usage::DukptInitial,
        Usage::Derivation,
        Usage::CardVerification,
        Usage::Data,
        Usage::EmvCryptogram,
        Usage::EmvConfidentiality,
        Usage::EmvIntegrity,
        Usage::EmvDynamicNumbers,
        Usage::Kek,
        Usage::KeyBlockProtection,
        Usage::MacIso16609,
        Usage::MacIso9797Alg1,
        Usage::MacRetail,
        Usage::MacCmac,
        Usage::MacHmac,
        Usage::Pin,
        Usage::PinVerifyIbm3624,
        Usage::PinVerifyPvv,
        Usage::MacUnionPayEcb,
        Usage::TacMaster,
    ];

    /// The two characters in a key block header.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Usage::DukptBase => "B0",
            Usage::DukptInitial => "B1",
            Usage::Derivation => "B3",
            Usage::CardVerification => "C0",
            Usage::Data => "D0",
            Usage::EmvCryptogram => "E0",
            Usage::EmvConfidentiality => "E1",
            Usage::EmvIntegrity => "E2",
            Usage::EmvDynamicNumbers => "E4",
            Usage::Kek => "K0",
            Usage::KeyBlockProtection => "K1",
            Usage::MacIso16609 => "M0",
            Usage::MacIso9797Alg1 => "M1",
            Usage::MacRetail => "M3",
            Usage::MacCmac => "M6",
            Usage::MacHmac => "M7",
            Usage::Pin => "P0",
            Usage::PinVerifyIbm3624 => "V1",
            Usage::PinVerifyPvv => "V2",
            Usage::MacUnionPayEcb => "90",
            Usage::TacMaster => "91",
        }
    }

    pub(crate) fn from_code(code: &str) -> Option<Usage> {
        Usage::ALL.into_iter().find(|usage| usage.code() == code)
    }

    pub(crate) fn family(self) -> Family {
        match self {
            Usage::Data | Usage::Kek | Usage::KeyBlockProtection | Usage::Pin => Family::Cipher,
            Usage::DukptBase
            | Usage::DukptInitial
            | Usage::Derivation
            | Usage::EmvCryptogram
            | Usage::EmvConfidentiality
            | Usage::EmvIntegrity
            | Usage::EmvDynamicNumbers
            | Usage::TacMaster => Family::Derive,
            Usage::CardVerification
            | Usage::MacIso16609
            | Usage::MacIso9797Alg1
            | Usage::MacRetail
            | Usage::MacCmac
            | Usage::MacHmac
            | Usage::PinVerifyIbm3624
            | Usage::PinVerifyPvv
            | Usage::MacUnionPayEcb => Family::Check,
        }
    }

    /// The one place that says which ciphers a use has.
    pub(crate) fn algorithms(self) -> &'static [Algorithm] {
        use Algorithm::{Aes, Des, Hmac, Sm4, Tdes};
        match self {
            Usage::Derivation => &[Aes],
            Usage::MacHmac => &[Hmac],
            Usage::MacIso9797Alg1 => &[Des, Sm4],
            Usage::MacRetail | Usage::TacMaster => &[Tdes, Sm4],
            Usage::MacUnionPayEcb => &[Des, Tdes, Sm4],
            Usage::DukptBase | Usage::DukptInitial => &[Tdes, Aes],
            Usage::MacIso16609
            | Usage::CardVerification
            | Usage::EmvCryptogram
            | Usage::EmvConfidentiality
            | Usage::EmvIntegrity
            | Usage::EmvDynamicNumbers
            | Usage::PinVerifyIbm3624
            | Usage::PinVerifyPvv => &[Tdes],
            Usage::Pin => &[Des, Tdes, Aes, Sm4],
            Usage::MacCmac | Usage::Kek | Usage::KeyBlockProtection | Usage::Data => &[Tdes, Aes, Sm4],
        }
    }

    fn algorithms_hint(self) -> &'static str {
        match self.algorithms() {
            [Algorithm::Aes] => "such keys are AES",
            [Algorithm::Tdes] => "such keys are TDES",
            [Algorithm::Hmac] => "such keys are HMAC",
            [Algorithm::Des, Algorithm::Sm4] => "such keys are DES or SM4",
            [Algorithm::Tdes, Algorithm::Sm4] => "such keys are TDES or SM4",
            [Algorithm::Des, _, _] => "such keys are DES, TDES or SM4",
            [Algorithm::Des, ..] => "such keys are DES, TDES, AES or SM4",
            [_, _] => "such keys are TDES or AES",
            _ => "such keys are TDES, AES or SM4",
        }
    }
}

impl Family {
    /// Whether keys of this family can have the mode.
    fn has(self, mode: Mode) -> bool {
        match self {
            Family::Cipher => !matches!(mode, Mode::Generate | Mode::Verify),
            Family::Check => !matches!(mode, Mode::Encrypt | Mode::Decrypt),
            Family::Derive => mode.is_free(),
        }
    }
}

impl Algorithm {
    pub(crate) const ALL: [Algorithm; 5] =
        [Algorithm::Des, Algorithm::Tdes, Algorithm::Aes, Algorithm::Sm4, Algorithm::Hmac];

    /// The character in a key block header.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Algorithm::Des => 'D',
            Algorithm::Tdes => 'T',
            Algorithm::Aes => 'A',
            Algorithm::Sm4 => '4',
            Algorithm::Hmac => 'H',
        }
    }

    pub(crate) fn from_letter(letter: char) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.letter() == letter)
    }

    /// Bytes of a cipher block.
    ///
    /// # Panics
    /// For HMAC, which has none.
    pub(crate) fn block_bytes(self) -> usize {
        match self {
            Algorithm::Des | Algorithm::Tdes => 8,
            Algorithm::Aes | Algorithm::Sm4 => 16,
            Algorithm::Hmac => unreachable!("an HMAC key never becomes a block cipher"),
        }
    }

    pub(crate) fn is_des(self) -> bool {
        matches!(self, Algorithm::Des | Algorithm::Tdes)
    }

    pub(crate) fn lengths(self) -> &'static str {
        match self {
            Algorithm::Des => "8 bytes",
            Algorithm::Tdes => "16 or 24 bytes (a single-length key must say DES)",
            Algorithm::Aes => "16, 24 or 32 bytes",
            Algorithm::Sm4 => "16 bytes",
            Algorithm::Hmac => "16 to 32 bytes",
        }
    }

    pub(crate) fn fits(self, bytes: usize) -> bool {
        match self {
            Algorithm::Des => bytes == 8,
            Algorithm::Tdes => matches!(bytes, 16 | 24),
            Algorithm::Aes => matches!(bytes, 16 | 24 | 32),
            Algorithm::Sm4 => bytes == 16,
            Algorithm::Hmac => (16..=32).contains(&bytes),
        }
    }
}

impl Mode {
    pub(crate) const ALL: [Mode; 6] =
        [Mode::Both, Mode::Generate, Mode::Verify, Mode::Encrypt, Mode::Decrypt, Mode::NoRestrictions];

    /// The character in a key block header; [`Mode::Both`] depends on the use.
    #[must_use]
    pub fn letter(self, usage: Usage) -> char {
        match self {
            Mode::Both => match usage.family() {
                Family::Cipher => 'B',
                Family::Check => 'C',
                Family::Derive => 'X',
            },
            Mode::Generate => 'G',
            Mode::Verify => 'V',
            Mode::Encrypt => 'E',
            Mode::Decrypt => 'D',
            Mode::NoRestrictions => 'N',
        }
    }

    pub(crate) fn from_letter(letter: char, usage: Usage) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| mode.letter(usage) == letter)
    }

    /// Whether a key of this mode may do what `wanted` alone would allow.
    pub(crate) fn may(self, wanted: Mode) -> bool {
        self == wanted || self.is_free()
    }

    fn is_free(self) -> bool {
        matches!(self, Mode::Both | Mode::NoRestrictions)
    }
}

impl Export {
    /// The character in a key block header.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Export::E => 'E',
            Export::N => 'N',
            Export::S => 'S',
        }
    }

    pub(crate) fn from_letter(letter: char) -> Option<Export> {
        [Export::E, Export::N, Export::S].into_iter().find(|export| export.letter() == letter)
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Usage::DukptBase => "DUKPT base derivation",
            Usage::DukptInitial => "DUKPT initial",
            Usage::Derivation => "key derivation",
            Usage::CardVerification => "card verification",
            Usage::Data => "data encryption",
            Usage::EmvCryptogram => "EMV cryptogram master",
            Usage::EmvConfidentiality => "EMV confidentiality master",
            Usage::EmvIntegrity => "EMV integrity master",
            Usage::EmvDynamicNumbers => "EMV dynamic number master",
            Usage::Kek => "key encryption",
            Usage::KeyBlockProtection => "key block protection",
            Usage::MacIso16609 => "TDES CBC-MAC",
            Usage::MacIso9797Alg1 => "CBC-MAC",
            Usage::MacRetail => "retail MAC",
            Usage::MacCmac => "CMAC",
            Usage::MacHmac => "HMAC",
            Usage::Pin => "PIN",
            Usage::PinVerifyIbm3624 => "IBM 3624 PIN verification",
            Usage::PinVerifyPvv => "PVV PIN verification",
            Usage::MacUnionPayEcb => "UnionPay ECB MAC",
            Usage::TacMaster => "TAC master",
        };
        write!(f, "{name} ({})", self.code())
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Algorithm::Des => "DES",
            Algorithm::Tdes => "TDES",
            Algorithm::Aes => "AES",
            Algorithm::Sm4 => "SM4",
            Algorithm::Hmac => "HMAC",
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Both => "both (B/C/X)",
            Mode::Generate => "generate (G)",
            Mode::Verify => "verify (V)",
            Mode::Encrypt => "encrypt (E)",
            Mode::Decrypt => "decrypt (D)",
            Mode::NoRestrictions => "free (N)",
        })
    }
}

impl fmt::Display for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.letter())
    }
}
