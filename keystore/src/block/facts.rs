//! What a key block says of itself: its header and optional blocks, proven by its MAC and free of secrets.
//! It is data for the caller (a KSN, an initial key's identifier, a label); what a key may do is not read from here.

use super::{Header, Version};
use crate::secret::unhex;

/// The plain part of a key block whose MAC holds under its key-encryption key. The codes are those of X9.143,
/// also where they are none that this store serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyBlockFacts {
    /// `A`, `B`, `C`, `D`, or `4` for SM4.
    pub version: char,
    /// Two characters, such as `B1`.
    pub usage: String,
    /// One character, such as `T`.
    pub algorithm: char,
    /// One character, such as `X`.
    pub mode: char,
    /// Two characters; `00` when the sender does not count versions.
    pub key_version: String,
    /// `E`, `N` or `S`.
    pub export: char,
    /// The optional blocks in their order, each as identifier and data; the padding block is left out.
    pub optional: Vec<(String, String)>,
}

impl KeyBlockFacts {
    /// The data of an optional block, such as `LB`.
    #[must_use]
    pub fn optional(&self, id: &str) -> Option<&str> {
        self.optional.iter().find(|(found, _)| found == id).map(|(_, data)| data.as_str())
    }

    /// The KSN or key set identifier of a TDES DUKPT key (block `KS`), 8 to 12 bytes.
    #[must_use]
    pub fn key_set(&self) -> Option<Vec<u8>> {
        self.bytes("KS")
    }

    /// The identifier of an AES DUKPT initial key (block `IK`), 8 bytes.
    #[must_use]
    pub fn initial_key_id(&self) -> Option<Vec<u8>> {
        self.bytes("IK")
    }

    /// The identifier of a base derivation key (block `BI`) without its leading method: 5 bytes for TDES, 4 for AES.
    #[must_use]
    pub fn base_key_id(&self) -> Option<Vec<u8>> {
        self.bytes("BI").map(|bytes| bytes[1..].to_vec())
    }

    pub(crate) fn new(version: Version, header: &Header) -> KeyBlockFacts {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        KeyBlockFacts {
            version: version.letter(),
            usage: text(&header.usage),
            algorithm: char::from(header.algorithm),
            mode: char::from(header.mode),
            key_version: text(&header.key_version),
            export: char::from(header.export),
            optional: header.optional.iter().map(|block| (text(&block.id), block.data.clone())).collect(),
        }
    }

    /// The form was checked when the header was parsed.
    fn bytes(&self, id: &str) -> Option<Vec<u8>> {
        self.optional(id).and_then(|digits| unhex(digits.as_bytes()).ok()).map(|bytes| bytes.to_vec())
    }
}
