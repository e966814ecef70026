//! What can be asked of a backend, and what comes back. Values stand as they do in a message: PIN blocks, PANs and MACs are
//! bytes here and become types that cannot be wrong where they are used. Nothing here prints more than its kind.

use std::fmt;

use zeroize::Zeroizing;

use super::KeyRef;
use crate::card::{EmvCard, EmvScheme, EmvTransaction};
use crate::dukpt::DukptWay;
use crate::mac::{MacPadding, MacTag};
use crate::pin::{EncryptedPin, PinFormat};

/// One thing to be done with keys.
#[derive(Clone, Copy)]
pub enum Operation<'a> {
    /// Makes a MAC: [`Outcome::Mac`].
    GenerateMac {
        /// A MAC key of mode G, C or N.
        key: &'a KeyRef,
        /// What the zone agreed on.
        rule: MacRule,
        /// The message.
        data: &'a [u8],
    },
    /// Checks a MAC: [`Outcome::Verified`].
    VerifyMac {
        /// A MAC key of mode V, C or N.
        key: &'a KeyRef,
        /// What the zone agreed on.
        rule: MacRule,
        /// The message.
        data: &'a [u8],
        /// As many bytes as the rule says; another number does not hold.
        mac: &'a [u8],
    },
    /// Moves a PIN to another key and format, for the same PAN: [`Outcome::Pin`].
    TranslatePin {
        /// The PIN as it came.
        pin: PinIn<'a>,
        /// A PIN key (P0) of mode E, B or N.
        to: &'a KeyRef,
        /// The format it leaves in; PCI PIN requirement 3-3 says which may follow which.
        to_format: PinFormat,
    },
    /// Verifies a PIN by its PVV: [`Outcome::Verified`].
    VerifyPvv {
        /// The PIN as it came.
        pin: PinIn<'a>,
        /// A PVV key (V2) of mode V, C or N.
        key: &'a KeyRef,
        /// The PVV key index, 0 to 6.
        index: u8,
        /// Four ASCII digits.
        pvv: &'a [u8; 4],
    },
    /// Verifies a PIN by IBM 3624: [`Outcome::Verified`].
    VerifyIbm3624 {
        /// The PIN as it came.
        pin: PinIn<'a>,
        /// An IBM 3624 key (V1) of mode V, C or N.
        key: &'a KeyRef,
        /// Decimalisation table, 16 ASCII digits for the nibbles 0 to F.
        table: &'a [u8; 16],
        /// Validation data, 16 nibbles.
        validation: &'a [u8; 8],
        /// PIN offset, 4 to 12 ASCII digits: as many as the PIN has.
        offset: &'a [u8],
    },
    /// Makes a card verification value: [`Outcome::Cvv`].
    GenerateCvv {
        /// A card verification key (C0) of mode G, C or N.
        key: &'a KeyRef,
        /// What it is made of.
        card: CvvCard<'a>,
    },
    /// Checks a card verification value: [`Outcome::Verified`].
    VerifyCvv {
        /// A card verification key (C0) of mode V, C or N.
        key: &'a KeyRef,
        /// What it is made of.
        card: CvvCard<'a>,
        /// Three ASCII digits.
        value: &'a [u8; 3],
    },
    /// Verifies an application cryptogram, and answers it when asked to: [`Outcome::Answered`] when it holds and an
    /// answer was asked for, [`Outcome::Verified`] otherwise.
    VerifyArqc {
        /// An issuer master key for cryptograms (E0).
        key: &'a KeyRef,
        /// The card.
        card: EmvCard<'a>,
        /// How its scheme makes cryptograms.
        scheme: EmvScheme,
        /// What it was made over, without padding.
        of: EmvTransaction<'a>,
        /// The cryptogram.
        arqc: [u8; 8],
        /// The answer that is wanted.
        answer: Option<ArqcAnswer<'a>>,
    },
    /// Encrypts data by CBC with padding method 2 of ISO 9797-1: [`Outcome::Data`].
    EncryptData {
        /// A data key (D0) of mode E, B or N.
        key: &'a KeyRef,
        /// One block of the key's cipher.
        iv: &'a [u8],
        /// The text.
        data: &'a [u8],
    },
    /// The inverse: [`Outcome::Data`].
    DecryptData {
        /// A data key (D0) of mode D, B or N.
        key: &'a KeyRef,
        /// As it was encrypted with.
        iv: &'a [u8],
        /// Whole blocks.
        data: &'a [u8],
    },
    /// Checks the MAC of a DUKPT terminal's request: [`Outcome::Verified`].
    VerifyDukptMac {
        /// A base derivation key (B0).
        base: &'a KeyRef,
        /// Key serial number: 10 bytes for TDES, 12 for AES.
        ksn: &'a [u8],
        /// Whether requests and responses have keys of their own; TDES keeps the key of requests apart always.
        way: DukptWay,
        /// The message.
        data: &'a [u8],
        /// 4 to 8 bytes.
        mac: &'a [u8],
    },
    /// Random bytes: [`Outcome::Random`].
    Random {
        /// How many, 1 to 256.
        bytes: usize,
    },
    /// The check value of a key: [`Outcome::CheckValue`].
    CheckValue {
        /// Any key.
        key: &'a KeyRef,
    },
}

/// The names of the operations, for counters and tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is explained at the operation of the same name")]
pub enum OperationKind {
    GenerateMac,
    VerifyMac,
    TranslatePin,
    VerifyPvv,
    VerifyIbm3624,
    GenerateCvv,
    VerifyCvv,
    VerifyArqc,
    EncryptData,
    DecryptData,
    VerifyDukptMac,
    Random,
    CheckValue,
}

/// What came of an operation.
pub enum Outcome {
    /// A MAC, as long as the rule says.
    Mac(MacTag),
    /// Whether the value that was sent holds.
    Verified(bool),
    /// A PIN block under the other key.
    Pin(EncryptedPin),
    /// A card verification value: three ASCII digits.
    Cvv([u8; 3]),
    /// The cryptogram holds, and this answers the card.
    Answered(Arpc),
    /// Cipher text or text.
    Data(Zeroizing<Vec<u8>>),
    /// Random bytes.
    Random(Zeroizing<Vec<u8>>),
    /// The first three bytes of a key's check value.
    CheckValue([u8; 3]),
}

/// How a zone makes its MACs; the method has to be that of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MacRule {
    /// The method.
    pub method: MacMethod,
    /// The padding of [`MacMethod::Cbc`] and [`MacMethod::Retail`]; the others pad by themselves and ignore it.
    pub padding: MacPadding,
    /// How many leading bytes of the tag are the MAC: at least 4.
    pub bytes: usize,
}

/// The methods of MACs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MacMethod {
    /// ISO 9797-1 algorithm 1, a key of use M0 or M1.
    Cbc,
    /// ISO 9797-1 algorithm 3, a key of use M3.
    Retail,
    /// CMAC, a key of use M6.
    Cmac,
    /// HMAC-SHA256, a key of use M7.
    Hmac,
    /// UnionPay's "ECB MAC", a key of use 90: 8 characters.
    UnionPayEcb,
}

/// A PIN as it came.
#[derive(Clone, Copy)]
pub struct PinIn<'a> {
    /// The key that it is under.
    pub from: PinFrom<'a>,
    /// The format of its block.
    pub format: PinFormat,
    /// The full PAN as ASCII digits, check digit included; it is that of both sides.
    pub pan: &'a [u8],
    /// The encrypted block.
    pub block: &'a [u8],
}

/// The key that a PIN is under.
#[derive(Debug, Clone, Copy)]
pub enum PinFrom<'a> {
    /// That of a zone or a terminal (P0) of mode D, B or N.
    Zone(&'a KeyRef),
    /// That of one transaction of a DUKPT terminal.
    Dukpt {
        /// A base derivation key (B0).
        base: &'a KeyRef,
        /// Key serial number: 10 bytes for TDES, 12 for AES.
        ksn: &'a [u8],
    },
}

/// What a card verification value is made of.
#[derive(Clone, Copy)]
pub struct CvvCard<'a> {
    /// The full PAN, 12 to 19 ASCII digits.
    pub pan: &'a [u8],
    /// Four ASCII digits in the issuer's order.
    pub expiry: [u8; 4],
    /// Three ASCII digits: 000 for the printed value, 999 for that of the chip.
    pub service: [u8; 3],
}

/// Which answer a card is to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArqcAnswer<'a> {
    /// Method 1 (EMV book 2, 8.2.1): the response code.
    Method1([u8; 2]),
    /// Method 2 (EMV book 2, 8.2.2): the card status update and up to 8 bytes of the issuer's own.
    Method2([u8; 4], &'a [u8]),
}

/// An answer to a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arpc {
    /// By method 1.
    Method1([u8; 8]),
    /// By method 2.
    Method2([u8; 4]),
}

impl Operation<'_> {
    /// Its name.
    #[must_use]
    pub fn kind(&self) -> OperationKind {
        match self {
            Operation::GenerateMac { .. } => OperationKind::GenerateMac,
            Operation::VerifyMac { .. } => OperationKind::VerifyMac,
            Operation::TranslatePin { .. } => OperationKind::TranslatePin,
            Operation::VerifyPvv { .. } => OperationKind::VerifyPvv,
            Operation::VerifyIbm3624 { .. } => OperationKind::VerifyIbm3624,
            Operation::GenerateCvv { .. } => OperationKind::GenerateCvv,
            Operation::VerifyCvv { .. } => OperationKind::VerifyCvv,
            Operation::VerifyArqc { .. } => OperationKind::VerifyArqc,
            Operation::EncryptData { .. } => OperationKind::EncryptData,
            Operation::DecryptData { .. } => OperationKind::DecryptData,
            Operation::VerifyDukptMac { .. } => OperationKind::VerifyDukptMac,
            Operation::Random { .. } => OperationKind::Random,
            Operation::CheckValue { .. } => OperationKind::CheckValue,
        }
    }
}

impl OperationKind {
    /// For a message: what it does.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            OperationKind::GenerateMac => "making a MAC",
            OperationKind::VerifyMac => "checking a MAC",
            OperationKind::TranslatePin => "translating a PIN",
            OperationKind::VerifyPvv => "verifying a PIN by PVV",
            OperationKind::VerifyIbm3624 => "verifying a PIN by IBM 3624",
            OperationKind::GenerateCvv => "making a card verification value",
            OperationKind::VerifyCvv => "checking a card verification value",
            OperationKind::VerifyArqc => "verifying an application cryptogram",
            OperationKind::EncryptData => "encrypting data",
            OperationKind::DecryptData => "decrypting data",
            OperationKind::VerifyDukptMac => "checking a MAC of a DUKPT terminal",
            OperationKind::Random => "drawing random bytes",
            OperationKind::CheckValue => "telling a check value",
        }
    }
}

impl fmt::Debug for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Operation({:?})", self.kind())
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Mac(_) => "Mac(not shown)",
            Outcome::Verified(true) => "Verified(true)",
            Outcome::Verified(false) => "Verified(false)",
            Outcome::Pin(_) => "Pin(not shown)",
            Outcome::Cvv(_) => "Cvv(not shown)",
            Outcome::Answered(_) => "Answered(not shown)",
            Outcome::Data(_) => "Data(not shown)",
            Outcome::Random(_) => "Random(not shown)",
            Outcome::CheckValue(_) => "CheckValue(..)",
        })
    }
}
