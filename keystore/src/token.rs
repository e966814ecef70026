//! Card tokens: a keyed hash that stands for a PAN wherever the PAN itself must not be (PCI DSS 3.5.1.1 names HMAC,
//! CMAC and GMAC). Stable for one master key, useless without it; it never keeps the PAN.
//!
//! AES-CMAC, because a PAN fits into one block: a tenth of the time of an HMAC, on every message.

use crate::attributes::Algorithm;
use crate::cmac::Cmac;
use std::sync::Arc;

/// Makes tokens. Cheap to clone; holds a key derived from the master key.
#[derive(Clone)]
pub struct Tokenizer {
    key: Arc<Cmac>,
}

impl Tokenizer {
    /// # Panics
    /// Never: AES takes every key of 32 bytes.
    pub(crate) fn new(derived: &[u8]) -> Tokenizer {
        let key = Cmac::brief(Algorithm::Aes, derived).expect("AES has keys of 32 bytes, none of them weak");
        Tokenizer { key: Arc::new(key) }
    }

    /// The token of a PAN given as ASCII digits: AES-256-CMAC of one block, the number of digits and then the digits in
    /// BCD, filled up with F. Digits beyond 30 do not count; a PAN has at most 19 (ISO/IEC 7812-1).
    #[must_use]
    pub fn token(&self, pan: &[u8]) -> [u8; 16] {
        let mut block = [0xFF; 16];
        let (count, places) = block.split_at_mut(1);
        count[0] = pan.len() as u8;
        for (place, pair) in places.iter_mut().zip(pan.chunks(2)) {
            *place = pair[0] << 4 | pair.get(1).map_or(0xF, |digit| digit & 0xF);
        }
        self.key.tag(&block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_cmac_of_length_and_digits() {
        let key = [7; 32];
        let tokens = Tokenizer::new(&key);
        let block = *b"\x0F\x41\x11\x11\x11\x11\x11\x11\x1F\xFF\xFF\xFF\xFF\xFF\xFF\xFF";
        let cmac = Cmac::new(Algorithm::Aes, &key).unwrap();
        assert_eq!(tokens.token(b"411111111111111"), cmac.tag(&block));
    }

    #[test]
    fn other_digits_other_lengths_and_other_keys_give_other_tokens() {
        let tokens = Tokenizer::new(&[7; 32]);
        let pans: [&[u8]; 6] =
            [b"", b"0", b"00", b"6210940000000001", b"621094000000000001", b"6210940000000000001"];
        let mut seen: Vec<[u8; 16]> = pans.iter().map(|pan| tokens.token(pan)).collect();
        seen.push(Tokenizer::new(&[8; 32]).token(b"6210940000000001"));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 7);
    }
}
