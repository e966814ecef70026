//! CMAC (NIST SP 800-38B, RFC 4493; ISO 9797-1 algorithm 5) over AES, TDES and SM4.
//!
//! Built on the CBC chain of `cipher` because the library's own CMAC copies its context to the heap for
//! each message; this one allocates nothing. Tests compare it with two other implementations.

use yika_arena::{Held, Stay};
use zeroize::Zeroize as _;

use crate::attributes::Algorithm;
use crate::cipher::{BLOCK_BYTES_MAX, Encipher};
use crate::error::KeyError;

/// A key ready to make CMACs: schedule and both subkeys.
pub(crate) struct Cmac {
    cipher: Encipher,
    subkeys: Held<Subkeys>,
}

/// For a last block that is whole, and for one that is padded.
#[derive(Default)]
struct Subkeys {
    whole: [u8; BLOCK_BYTES_MAX],
    padded: [u8; BLOCK_BYTES_MAX],
}

impl Cmac {
    /// # Errors
    /// Those of [`Encipher::new`].
    pub(crate) fn new(algorithm: Algorithm, key: &[u8]) -> Result<Cmac, KeyError> {
        Cmac::over(Encipher::new(algorithm, key)?, Stay::Lasting)
    }

    /// For a key that ends with the call.
    ///
    /// # Errors
    /// Those of [`Encipher::brief`].
    pub(crate) fn brief(algorithm: Algorithm, key: &[u8]) -> Result<Cmac, KeyError> {
        Cmac::over(Encipher::brief(algorithm, key)?, Stay::Brief)
    }

    fn over(cipher: Encipher, stay: Stay) -> Result<Cmac, KeyError> {
        let n = cipher.block_bytes();
        let subkeys = Held::new_with(stay, |subkeys: &mut Subkeys| {
            cipher.block(&mut subkeys.whole[..n]);
            double(&mut subkeys.whole[..n]);
            subkeys.padded = subkeys.whole;
            double(&mut subkeys.padded[..n]);
        })?;
        Ok(Cmac { cipher, subkeys })
    }

    pub(crate) fn block_bytes(&self) -> usize {
        self.cipher.block_bytes()
    }

    /// The tag: one cipher block, left-justified in the array.
    pub(crate) fn tag(&self, data: &[u8]) -> [u8; BLOCK_BYTES_MAX] {
        let n = self.cipher.block_bytes();
        let (head, tail) = data.split_at(data.len().saturating_sub(1) / n * n);
        let mut last = if tail.len() == n { self.subkeys.whole } else { self.subkeys.padded };
        last.iter_mut().zip(tail).for_each(|(byte, data)| *byte ^= data);
        if tail.len() < n {
            last[tail.len()] ^= 0x80;
        }
        let tag = self.cipher.chain(head, &last[..n]);
        // With the data, which is no secret, it would give a subkey.
        last.zeroize();
        tag
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
