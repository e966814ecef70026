//! SHA-256 (FIPS 180-4) and SM3 (GB/T 32905) for what is public: contents of batches, records and certificates.
//! Nothing secret goes through here.

use ring::digest::{Context, SHA256, digest};
use sm3::Digest as _;

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

/// An SM3 digest under way; a copy goes on from where the original stands.
#[derive(Clone, Default)]
pub struct Sm3(sm3::Sm3);

impl Sm3 {
    /// Of nothing yet.
    #[must_use]
    pub fn new() -> Sm3 {
        Sm3::default()
    }

    /// Goes on over these bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all that went in.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }

    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> [u8; 32] {
        sm3::Sm3::digest(bytes).into()
    }
}

fn whole(digest: &ring::digest::Digest) -> [u8; 32] {
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::hex;
    use crate::testing::{Seeded, cases};

    /// GB/T 32905 A.1 and A.2.
    #[test]
    fn published_sm3_digests_are_met() {
        for (text, digest) in [
            ("abc".to_owned(), "66C7F0F462EEEDD9D1F2D46BDC10E4E24167C4875CF2F7A2297DA02B8F4BA8E0"),
            ("abcd".repeat(16), "DEBE9FF92275B8A138604889C18E5A4D6FDB70E5387E5765293DCBA39C0C5732"),
        ] {
            assert_eq!(hex(&Sm3::of(text.as_bytes())), digest);
            assert_eq!(hex(&libsmx::sm3::Sm3Hasher::digest(text.as_bytes())), digest);
        }
    }

    #[test]
    fn sm3_agrees_with_a_second_implementation_in_one_piece_and_in_two() {
        let mut random = Seeded::new(0x533);
        for _ in 0..cases() {
            let data = random.some(300);
            let (head, tail) = data.split_at(random.below(data.len() + 1));
            let mut parts = Sm3::new();
            parts.update(head);
            let other = parts.clone();
            parts.update(tail);
            assert_eq!(parts.finish(), libsmx::sm3::Sm3Hasher::digest(&data));
            assert_eq!(other.finish(), Sm3::of(head));
        }
    }

    /// FIPS 180-4, the example "abc".
    #[test]
    fn the_digest_of_abc_in_one_piece_and_in_two() {
        let mut parts = Sha256::new();
        parts.update(b"a");
        let other = parts.clone();
        parts.update(b"bc");
        let digest = parts.finish();
        assert_eq!(hex(&digest), "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD");
        assert_eq!((Sha256::of(b"abc"), Sha256::of(b"a")), (digest, other.finish()));
    }
}
