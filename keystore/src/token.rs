//! Card tokens: a keyed hash that stands for a PAN wherever the PAN itself must not be.
//! Stable for one master key, useless without it; it never keeps the PAN.
//! ring does not wipe the derived key on drop, a limit of that library.

use ring::hmac;

/// Makes tokens. Cheap to clone; holds a key derived from the master key.
#[derive(Clone)]
pub struct Tokenizer {
    key: hmac::Key,
}

impl Tokenizer {
    pub(crate) fn new(derived: &[u8; 32]) -> Tokenizer {
        Tokenizer { key: hmac::Key::new(hmac::HMAC_SHA256, derived) }
    }

    /// The token of a PAN given as ASCII digits: the left 16 bytes of HMAC-SHA256.
    #[must_use]
    pub fn token(&self, pan: &[u8]) -> [u8; 16] {
        let tag = hmac::sign(&self.key, pan);
        let mut token = [0; 16];
        token.copy_from_slice(&tag.as_ref()[..16]);
        token
    }
}
