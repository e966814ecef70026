//! What a key is for: use, algorithm, mode and exportability, as a key block header binds them.
//!
//! The letters are those of the ANSI X9.143 header. `check` is the one place that says which
//! combinations exist; `may` the one place that says what a mode allows.

use std::fmt;

use crate::error::KeyError;

/// What a key may be used for (X9.143 "key usage").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Usage {
    /// `M6`: MAC by AES-CMAC (ISO 9797-1:2011 algorithm 5).
    MacCmac,
    /// `M3`: retail MAC (ISO 9797-1 algorithm 3 with DES).
    MacRetail,
    /// `90`: UnionPay terminal "ECB MAC". X9.143 has no code for it; codes of two digits are reserved for
    /// private agreements, and this one is ours.
    MacUnionPayEcb,
    /// `P0`: PIN encryption.
    Pin,
    /// `K0`: key encryption. May carry key blocks and, when it is TDES, legacy ECB cryptograms: taking a
    /// TDES `K0` key into the store is the permission for that zone.
    Kek,
    /// `K1`: key block protection. Carries key blocks only, never a bare cryptogram.
    KeyBlockProtection,
    /// `D0`: data encryption.
    Data,
    /// `B3`: derivation of other keys, by another method than that of X9.24: the zone key of a gateway.
    Derivation,
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

/// What may be told about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its name in the store; empty for a working key that is not in it.
    pub name: String,
    /// Its use.
    pub usage: Usage,
    /// Its cipher.
    pub algorithm: Algorithm,
    /// Its direction.
    pub mode: Mode,
    /// Whether it may leave.
    pub export: Export,
    /// Its check value, 3 bytes.
    pub check_value: [u8; 3],
    /// Whether it lives under the well-known test master key.
    pub test: bool,
}

/// Use, algorithm, mode and exportability together: the header of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) usage: Usage,
    pub(crate) algorithm: Algorithm,
    pub(crate) mode: Mode,
    pub(crate) export: Export,
}

impl Attributes {
    /// Refuses combinations that no operation could use.
    pub(crate) fn check(&self) -> Result<(), KeyError> {
        let Attributes { usage, algorithm, mode, .. } = *self;
        let hint = if !usage.algorithms().contains(&algorithm) {
            match usage {
                Usage::MacCmac => "CMAC keys are AES",
                Usage::MacRetail => "retail MAC keys are TDES",
                Usage::MacUnionPayEcb => "UnionPay ECB MAC keys are DES or TDES",
                Usage::Derivation => "key derivation keys are AES",
                _ => "use TDES or AES",
            }
        } else if usage == Usage::Derivation && !mode.is_free() {
            "this key derives others (X) or is free (N)"
        } else if usage.is_mac() != matches!(mode, Mode::Generate | Mode::Verify) && !mode.is_free() {
            if usage.is_mac() {
                "MAC keys generate (G), verify (V), do both (C) or are free (N)"
            } else {
                "this key encrypts (E), decrypts (D), does both (B) or is free (N)"
            }
        } else {
            return Ok(());
        };
        Err(KeyError::Attributes { usage, algorithm, mode, hint })
    }

    /// Refuses a length that the algorithm, or the MAC method, does not have.
    pub(crate) fn check_length(&self, bytes: usize) -> Result<(), KeyError> {
        let algorithm = self.algorithm;
        if self.usage == Usage::MacRetail && bytes != 16 {
            return Err(KeyError::Length { algorithm, bytes, expected: "16 bytes for a retail MAC" });
        }
        if !algorithm.fits(bytes) {
            return Err(KeyError::Length { algorithm, bytes, expected: algorithm.lengths() });
        }
        Ok(())
    }

    /// How a message calls the key.
    pub(crate) fn describe(&self) -> String {
        format!("{}, {}, mode {}, export {}", self.usage, self.algorithm, self.mode, self.export)
    }
}

impl Usage {
    pub(crate) const ALL: [Usage; 8] = [
        Usage::MacCmac,
        Usage::MacRetail,
        Usage::MacUnionPayEcb,
        Usage::Pin,
        Usage::Kek,
        Usage::KeyBlockProtection,
        Usage::Data,
        Usage::Derivation,
    ];

    /// The two characters in a key block header.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Usage::MacCmac => "M6",
            Usage::MacRetail => "M3",
            Usage::MacUnionPayEcb => "90",
            Usage::Pin => "P0",
            Usage::Kek => "K0",
            Usage::KeyBlockProtection => "K1",
            Usage::Data => "D0",
            Usage::Derivation => "B3",
        }
    }

    pub(crate) fn from_code(code: &str) -> Option<Usage> {
        Usage::ALL.into_iter().find(|usage| usage.code() == code)
    }

    pub(crate) fn is_mac(self) -> bool {
        matches!(self, Usage::MacCmac | Usage::MacRetail | Usage::MacUnionPayEcb)
    }

    fn algorithms(self) -> &'static [Algorithm] {
        match self {
            Usage::MacCmac | Usage::Derivation => &[Algorithm::Aes],
            Usage::MacRetail => &[Algorithm::Tdes],
            Usage::MacUnionPayEcb => &[Algorithm::Des, Algorithm::Tdes],
            Usage::Pin | Usage::Kek | Usage::KeyBlockProtection | Usage::Data => {
                &[Algorithm::Tdes, Algorithm::Aes]
            }
        }
    }
}

impl Algorithm {
    pub(crate) const ALL: [Algorithm; 3] = [Algorithm::Des, Algorithm::Tdes, Algorithm::Aes];

    /// The character in a key block header.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Algorithm::Des => 'D',
            Algorithm::Tdes => 'T',
            Algorithm::Aes => 'A',
        }
    }

    pub(crate) fn from_letter(letter: char) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.letter() == letter)
    }

    pub(crate) fn block_bytes(self) -> usize {
        if self == Algorithm::Aes { 16 } else { 8 }
    }

    pub(crate) fn lengths(self) -> &'static str {
        match self {
            Algorithm::Des => "8 bytes",
            Algorithm::Tdes => "16 or 24 bytes (a single-length key must say DES)",
            Algorithm::Aes => "16, 24 or 32 bytes",
        }
    }

    pub(crate) fn fits(self, bytes: usize) -> bool {
        match self {
            Algorithm::Des => bytes == 8,
            Algorithm::Tdes => matches!(bytes, 16 | 24),
            Algorithm::Aes => matches!(bytes, 16 | 24 | 32),
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
            Mode::Both if usage.is_mac() => 'C',
            Mode::Both if usage == Usage::Derivation => 'X',
            Mode::Both => 'B',
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
            Usage::MacCmac => "CMAC",
            Usage::MacRetail => "retail MAC",
            Usage::MacUnionPayEcb => "UnionPay ECB MAC",
            Usage::Pin => "PIN",
            Usage::Kek => "key encryption",
            Usage::KeyBlockProtection => "key block protection",
            Usage::Data => "data encryption",
            Usage::Derivation => "key derivation",
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
