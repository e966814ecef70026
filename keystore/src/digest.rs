//! SHA-256 (FIPS 180-4) for what is public: contents of batches and records. Nothing secret goes through here.

use ring::digest::{Context, SHA256, digest};

/// A digest under way; a copy goes on from where the original stands.
#[derive(Clone)]
pub struct Sha256(Context);

impl Sha256 {
    /// Of nothing yet.
    #[must_use]
    pub fn new() -> Sha256 {
        Sha256(Context::new(&SHA256))
    }

    /// Goes on over these bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all that went in.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        whole(&self.0.finish())
    }

    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> [u8; 32] {
        whole(&digest(&SHA256, bytes))
    }
}

impl Default for Sha256 {
    fn default() -> Sha256 {
        Sha256::new()
    }
}

fn whole(digest: &ring::digest::Digest) -> [u8; 32] {
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4, the example "abc".
    #[test]
    fn the_digest_of_abc_in_one_piece_and_in_two() {
        let mut parts = Sha256::new();
        parts.update(b"a");
        let other = parts.clone();
        parts.update(b"bc");
        let digest = parts.finish();
        assert_eq!(
            crate::secret::hex(&digest),
            "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"
        );
        assert_eq!((Sha256::of(b"abc"), Sha256::of(b"a")), (digest, other.finish()));
    }
}
