//! CMAC (NIST SP 800-38B, RFC 4493; ISO 9797-1 algorithm 5) over AES, TDES and SM4.
//!
//! Built on the CBC chain of `cipher` because the library's own CMAC copies its context to the heap for
//! each message; this one allocates nothing. Tests compare it with two other implementations.

use zeroize::Zeroize as _;

use crate::cipher::{BLOCK_BYTES_MAX, Encipher};

/// A key ready to make CMACs: schedule and both subkeys.
pub(crate) struct Cmac {
    cipher: Encipher,
    whole: [u8; BLOCK_BYTES_MAX],
    padded: [u8; BLOCK_BYTES_MAX],
}

impl Cmac {
    pub(crate) fn new(cipher: Encipher) -> Cmac {
        let n = cipher.block_bytes();
        let mut whole = [0; BLOCK_BYTES_MAX];
        cipher.block(&mut whole[..n]);
        double(&mut whole[..n]);
        let mut padded = whole;
        double(&mut padded[..n]);
        Cmac { cipher, whole, padded }
    }

    pub(crate) fn block_bytes(&self) -> usize {
        self.cipher.block_bytes()
    }

    /// The tag: one cipher block, left-justified in the array.
    pub(crate) fn tag(&self, data: &[u8]) -> [u8; BLOCK_BYTES_MAX] {
        let n = self.cipher.block_bytes();
        let (head, tail) = data.split_at(data.len().saturating_sub(1) / n * n);
        let mut last = if tail.len() == n { self.whole } else { self.padded };
        last.iter_mut().zip(tail).for_each(|(byte, data)| *byte ^= data);
        if tail.len() < n {
            last[tail.len()] ^= 0x80;
        }
        self.cipher.chain(head, &last[..n])
    }
}

impl Drop for Cmac {
    fn drop(&mut self) {
        self.whole.zeroize();
        self.padded.zeroize();
    }
}

/// Multiplies by x in GF(2^128) or GF(2^64), without a branch on the secret (SP 800-38B 5.3).
fn double(block: &mut [u8]) {
    let reduction = if block.len() == 16 { 0x87 } else { 0x1B };
    let carry_out = block[0] >> 7;
    let mut carry = 0;
    for byte in block.iter_mut().rev() {
        let next = *byte >> 7;
        *byte = *byte << 1 | carry;
        carry = next;
    }
    block[block.len() - 1] ^= carry_out.wrapping_neg() & reduction;
}
