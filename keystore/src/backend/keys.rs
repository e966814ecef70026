//! Working keys as an HSM's host sees them: made, joined, brought in and sent out as blocks under the master key, without
//! a name in the store. None of it shows a clear key; a clear key comes in as two or more components.

use crate::attributes::{Algorithm, Attributes};
use crate::error::KeyError;
use crate::info::KeyInfo;
use crate::lmk::LmkBlock;
use crate::secret::KeyBytes;
use crate::store::{Keystore, Wrapped};

impl Keystore {
    /// A fresh working key of these attributes and this many bytes, under the master key.
    ///
    /// # Errors
    /// `Attributes` when there is no such key, `Length` when the algorithm has none of this length.
    pub fn generate_working(&self, attributes: Attributes, bytes: usize) -> Result<LmkBlock, KeyError> {
        attributes.check()?;
        attributes.check_length(bytes)?;
        self.wrap_working(&KeyBytes::random(attributes.algorithm, bytes), &attributes)
    }

    /// Joins clear components by exclusive or into a working key under the master key.
    ///
    /// # Errors
    /// `Components`, `Attributes`, `Length`, `Weak`.
    pub fn working_from_components(
        &self,
        attributes: Attributes,
        components: &[impl AsRef<[u8]>],
    ) -> Result<LmkBlock, KeyError> {
        attributes.check()?;
        let key = KeyBytes::from_components(attributes.algorithm, components)?;
        attributes.check_length(key.as_slice().len())?;
        self.wrap_working(&key, &attributes)
    }

    /// Joins components that rest as blocks under the master key themselves; each has to be of the attributes that the
    /// key is to have.
    ///
    /// # Errors
    /// `Mismatch` for a component of other attributes, `Block`, and those of [`Keystore::working_from_components`].
    pub fn working_from_blocks(
        &self,
        attributes: Attributes,
        blocks: &[LmkBlock],
    ) -> Result<LmkBlock, KeyError> {
        let mut components = Vec::with_capacity(blocks.len());
        for block in blocks {
            let opened = self.open_working(block)?;
            if opened.attributes != attributes {
                return Err(KeyError::Mismatch {
                    field: "attributes of a component",
                    found: opened.attributes.describe(),
                    expected: attributes.describe(),
                });
            }
            components.push(opened.key);
        }
        let parts: Vec<&[u8]> = components.iter().map(KeyBytes::as_slice).collect();
        self.working_from_components(attributes, &parts)
    }

    /// What may be told about a working key; its name is empty.
    ///
    /// # Errors
    /// `Block` when it is not under this master key, `NotAllowed` for the block of a named key.
    pub fn working_info(&self, block: &LmkBlock) -> Result<KeyInfo, KeyError> {
        let opened = self.open_working(block)?;
        Ok(self.info_of(&opened))
    }

    /// Takes a key out of a key block under the working key `kek` and rests it under the master key, with the use, mode and
    /// exportability that the block says.
    ///
    /// # Errors
    /// `Block` when either does not open, `NotAllowed` and `KekTooWeak` for the wrong key-encryption key.
    pub fn rewrap_as_told(&self, kek: &LmkBlock, key_block: &str) -> Result<LmkBlock, KeyError> {
        let facts = self.inspect_key_block(kek.as_str(), key_block)?;
        let letters = format!("{}{}{}{}{}", facts.usage, facts.algorithm, facts.mode, "00", facts.export);
        let Some(attributes) = Attributes::from_letters(&letters) else {
            return Err(KeyError::Mismatch {
                field: "use, algorithm, mode and export",
                found: letters,
                expected: "a key that is served here".to_owned(),
            });
        };
        let Attributes { usage, algorithm, mode, .. } = attributes;
        self.rewrap(kek.as_str(), &Wrapped::KeyBlock(key_block.to_owned()), usage, algorithm, mode)
    }
}

impl Attributes {
    /// The attributes in the letters of a key block header: two of the use, one of the algorithm, one of the mode, one of
    /// the exportability, such as `P0`, `T`, `B`, `E`. Nothing for those that are not served.
    #[must_use]
    pub fn of_letters(usage: &str, algorithm: char, mode: char, export: char) -> Option<Attributes> {
        let attributes = Attributes::from_letters(&format!("{usage}{algorithm}{mode}00{export}"))?;
        attributes.check().is_ok().then_some(attributes)
    }
}

/// The length of a key as host commands write it behind the algorithm: `T2`, `A3`.
impl Algorithm {
    /// Bytes of a key with so many parts: DES and TDES of 8, AES of 16, 24 or 32, SM4 of 16.
    #[must_use]
    pub fn bytes_of_parts(self, parts: u8) -> Option<usize> {
        match (self, parts) {
            (Algorithm::Des, 1) => Some(8),
            (Algorithm::Tdes, 2 | 3) => Some(8 * usize::from(parts)),
            (Algorithm::Aes, 1..=3) => Some(8 + 8 * usize::from(parts)),
            (Algorithm::Sm4, 1) => Some(16),
            (Algorithm::Hmac, 1) => Some(32),
            _ => None,
        }
    }
}
