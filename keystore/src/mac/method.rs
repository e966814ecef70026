//! The MAC methods: CBC-MAC, retail MAC, CMAC, HMAC and UnionPay's "ECB MAC", each with its key expanded.
//! A tag is computed on the stack, whatever the length of the message.

use ring::hmac;
use yika_arena::{Held, Stay, wiped};

use super::rules::{MacPadding, MacRules};
use crate::attributes::{Algorithm, Attributes, Usage};
use crate::cipher::{BLOCK_BYTES_MAX, Decipher, Encipher};
use crate::cmac::Cmac;
use crate::error::KeyError;
use crate::secret::COLD_STACK_BYTES;

/// A method with its key.
pub(super) enum Method {
    Cmac(Cmac),
    Cbc(Cbc),
    Retail(Retail),
    UnionPayEcb(Encipher),
    /// ring does not wipe its keys on drop; the arena does.
    Hmac(Held<hmac::Key>),
}

/// ISO 9797-1 algorithm 1: the last block of a CBC chain.
pub(super) struct Cbc {
    cipher: Encipher,
    padding: MacPadding,
}

/// ISO 9797-1 algorithm 3: the two parts of the key, each in the one direction it is used in.
pub(super) struct Retail {
    left: Cbc,
    right: Decipher,
}

impl Method {
    /// # Errors
    /// `Length` and `Weak` of the ciphers.
    ///
    /// # Panics
    /// For a use that is none of a MAC key.
    pub(super) fn new(attributes: &Attributes, key: &[u8], rules: &MacRules) -> Result<Method, KeyError> {
        let cipher = || Encipher::new(attributes.algorithm, key);
        let padding = rules.padding.unwrap_or_default();
        Ok(match attributes.usage {
            Usage::MacCmac => Method::Cmac(Cmac::new(attributes.algorithm, key)?),
            Usage::MacIso16609 | Usage::MacIso9797Alg1 => Method::Cbc(Cbc { cipher: cipher()?, padding }),
            Usage::MacRetail => Method::Retail(Retail::new(attributes.algorithm, key, padding)?),
            Usage::MacUnionPayEcb => Method::UnionPayEcb(cipher()?),
            Usage::MacHmac => Method::Hmac(wiped::<COLD_STACK_BYTES, _>(|| {
                Held::new(Stay::Lasting, hmac::Key::new(hmac::HMAC_SHA256, key))
            })?),
            usage => unreachable!("{usage} is not among the uses of MAC keys"),
        })
    }

    /// Bytes of a whole tag.
    pub(super) fn tag_bytes(&self) -> usize {
        match self {
            Method::Cmac(cmac) => cmac.block_bytes(),
            Method::Cbc(cbc) => cbc.cipher.block_bytes(),
            Method::Retail(retail) => retail.left.cipher.block_bytes(),
            Method::UnionPayEcb(_) => 8,
            Method::Hmac(_) => 32,
        }
    }

    /// The whole tag, left-justified.
    pub(super) fn tag(&self, data: &[u8]) -> [u8; 32] {
        let mut tag = [0; 32];
        match self {
            Method::Cmac(cmac) => tag[..16].copy_from_slice(&cmac.tag(data)),
            Method::Cbc(cbc) => tag[..16].copy_from_slice(&cbc.tag(data)),
            Method::Retail(retail) => tag[..16].copy_from_slice(&retail.tag(data)),
            Method::UnionPayEcb(cipher) => tag[..8].copy_from_slice(&unionpay_ecb_mac(cipher, data)),
            Method::Hmac(key) => tag.copy_from_slice(hmac::sign(key, data).as_ref()),
        }
        tag
    }
}

impl Cbc {
    pub(super) fn tag(&self, data: &[u8]) -> [u8; BLOCK_BYTES_MAX] {
        let n = self.cipher.block_bytes();
        let mut last = [0; BLOCK_BYTES_MAX];
        let whole = match self.padding {
            // At least one block, also of nothing.
            MacPadding::Zeros | MacPadding::LengthFirst => data.len().saturating_sub(1) / n * n,
            MacPadding::OneThenZeros => data.len() / n * n,
        };
        let (head, tail) = data.split_at(whole);
        last[..tail.len()].copy_from_slice(tail);
        if self.padding == MacPadding::OneThenZeros {
            last[tail.len()] = 0x80;
        }
        let mut start = [0; BLOCK_BYTES_MAX];
        if self.padding == MacPadding::LengthFirst {
            let bits = data.len() as u64 * 8;
            start[n - 8..n].copy_from_slice(&bits.to_be_bytes());
            self.cipher.block(&mut start[..n]);
        }
        self.cipher.chain_from(start, head, &last[..n])
    }
}

impl Retail {
    /// TDES: two DES parts. SM4: two keys of 16 bytes, as GB/T 15852.1 has it.
    fn new(algorithm: Algorithm, key: &[u8], padding: MacPadding) -> Result<Retail, KeyError> {
        let (part, part_bytes, expected) = match algorithm {
            Algorithm::Sm4 => (Algorithm::Sm4, 16, "32 bytes, two SM4 keys, for a retail MAC"),
            _ => (Algorithm::Des, 8, "16 bytes for a retail MAC"),
        };
        let Some((left, right)) = key.split_at_checked(part_bytes).filter(|(_, r)| r.len() == part_bytes)
        else {
            return Err(KeyError::Length { algorithm, bytes: key.len(), expected });
        };
        Ok(Retail {
            left: Cbc { cipher: Encipher::new(part, left)?, padding },
            right: Decipher::new(part, right)?,
        })
    }

    /// The method of ANSI X9.19: the left part along the chain, and only the last block pays for three.
    fn tag(&self, data: &[u8]) -> [u8; BLOCK_BYTES_MAX] {
        let mut state = self.left.tag(data);
        let last = &mut state[..self.left.cipher.block_bytes()];
        self.right.block(last);
        self.left.cipher.block(last);
        state
    }
}

/// The terminals' "ECB MAC": fold all blocks by exclusive or, spell the result as hex characters, encrypt the first
/// half of them, add the second, encrypt again, and spell the left 4 bytes as 8 characters, which are field 64.
///
/// With DES and TDES blocks have 8 bytes and are spelled as 16 characters, as UnionPay's terminal specification says.
/// With SM4 blocks have 16 bytes and are spelled as 32. For SM4 the folding is common knowledge; the steps behind it
/// are by analogy with DES and not from a published text: ask the partner for an example before relying on it.
fn unionpay_ecb_mac(cipher: &Encipher, data: &[u8]) -> [u8; 8] {
    let n = cipher.block_bytes();
    let mut folded = [0; BLOCK_BYTES_MAX];
    for block in data.chunks(n) {
        folded.iter_mut().zip(block).for_each(|(byte, data)| *byte ^= data);
    }
    let mut spelled = [0; 2 * BLOCK_BYTES_MAX];
    spell(&folded[..n], &mut spelled);
    let (state, rest) = spelled.split_at_mut(n);
    cipher.block(state);
    state.iter_mut().zip(&rest[..n]).for_each(|(byte, data)| *byte ^= data);
    cipher.block(state);
    let mut mac = [0; 8];
    spell(&state[..4], &mut mac);
    mac
}

/// Bytes as upper-case hex characters, into the beginning of `text`.
fn spell(bytes: &[u8], text: &mut [u8]) {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 };
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = digit(byte >> 4);
        pair[1] = digit(byte & 0x0F);
    }
}
