//! What a zone agrees on beside the key: how messages are padded and how much of the tag travels.
//! Both are chosen when a handle is opened and are the same for every message; no message chooses for itself.

use crate::attributes::Usage;
use crate::error::KeyError;

/// Padding of a CBC-MAC (ISO 9797-1:2011, 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MacPadding {
    /// Method 1: zeros up to a whole block, at least one block. Messages that differ in trailing zeros alone
    /// have one MAC; their length must be known otherwise.
    #[default]
    Zeros,
    /// Method 2: one bit 1 (byte `80`), then zeros up to a whole block.
    OneThenZeros,
    /// Method 3: zeros as in method 1, and before all a block with the length in bits.
    LengthFirst,
}

/// The zone's choices. The default is that of terminals and their hosts: padding method 1, nothing cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MacRules {
    /// For keys of use M0, M1 and M3; [`MacPadding::Zeros`] when nothing is said. Other methods define their own.
    pub padding: Option<MacPadding>,
    /// How many leading bytes of the tag are the MAC: at least 4, at most the whole tag. When nothing is said, a
    /// field of 8 bytes carries the first 8, and the full form carries the whole tag.
    pub bytes: Option<usize>,
}

/// No MAC is cut shorter (ISO 9797-1:2011 annex C; PCI PIN).
const MAC_BYTES_MIN: usize = 4;

impl MacRules {
    /// Refuses what the method does not have.
    pub(super) fn check(&self, name: &str, usage: Usage, tag_bytes: usize) -> Result<(), KeyError> {
        let refuse = |rule: String, expected: String| {
            Err(KeyError::MacRule { name: name.to_owned(), usage, rule, expected })
        };
        let pads = matches!(usage, Usage::MacIso16609 | Usage::MacIso9797Alg1 | Usage::MacRetail);
        if let Some(padding) = self.padding.filter(|_| !pads) {
            return refuse(format!("padding {padding:?}"), "none, the method pads by itself".to_owned());
        }
        // The characters that UnionPay's method spells are the field; nothing of it is left out.
        let least = if usage == Usage::MacUnionPayEcb { tag_bytes } else { MAC_BYTES_MIN };
        match self.bytes {
            Some(bytes) if !(least..=tag_bytes).contains(&bytes) => {
                refuse(format!("a MAC of {bytes} bytes"), format!("{least} to {tag_bytes} bytes"))
            }
            _ => Ok(()),
        }
    }
}

/// A MAC as long as the zone agreed: up to 32 bytes. Two of them are compared by `verify_full`, in constant time.
#[derive(Clone, Copy)]
pub struct MacTag {
    bytes: [u8; 32],
    len: usize,
}

impl MacTag {
    pub(super) fn new(bytes: [u8; 32], len: usize) -> MacTag {
        debug_assert!(len <= 32);
        MacTag { bytes, len }
    }

    /// Takes a MAC that was made elsewhere, of 1 to 32 bytes.
    #[must_use]
    pub fn from_bytes(mac: &[u8]) -> Option<MacTag> {
        let mut bytes = [0; 32];
        bytes.get_mut(..mac.len())?.copy_from_slice(mac);
        (!mac.is_empty()).then_some(MacTag { bytes, len: mac.len() })
    }

    /// The MAC, to be written into a message.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
