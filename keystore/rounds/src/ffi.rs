//! The C functions of aws-lc, each behind a safe one of the same effect. Nothing else in the crate is unsafe.
#![expect(unsafe_code, reason = "the ciphers are C functions")]

use std::sync::Once;

use aws_lc_sys as c;

/// Sixteen rounds of two words.
pub(crate) type DesRounds = c::DES_key_schedule;
/// Up to 15 round keys, and their number.
pub(crate) type AesRounds = c::AES_KEY;

/// The direction of a cipher.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Encrypt,
    Decrypt,
}

impl Way {
    fn flag(self) -> i32 {
        match self {
            Way::Encrypt => c::DES_ENCRYPT,
            Way::Decrypt => c::DES_DECRYPT,
        }
    }
}

pub(crate) fn des_expand(key: &[u8; 8], rounds: &mut DesRounds) {
    // SAFETY: reads the 8 bytes of a DES_cblock, which is an array of bytes, and writes one schedule.
    unsafe { c::DES_set_key_unchecked(key.as_ptr().cast(), rounds) };
}

pub(crate) fn des_block(rounds: &DesRounds, way: Way, block: &mut [u8; 8]) {
    let block: *mut c::DES_cblock = block.as_mut_ptr().cast();
    // SAFETY: reads 8 bytes into registers before it writes 8 in their place.
    unsafe { c::DES_ecb_encrypt(block, block, rounds, way.flag()) };
}

/// `blocks` is whole blocks; `iv` is left as the last of them.
pub(crate) fn des_cbc(rounds: &DesRounds, way: Way, iv: &mut [u8; 8], blocks: &mut [u8]) {
    assert!(blocks.len().is_multiple_of(8));
    let (data, iv) = (blocks.as_mut_ptr(), iv.as_mut_ptr().cast());
    // SAFETY: works in place, block by block, over so many bytes; the IV has the 8 bytes of a DES_cblock.
    unsafe { c::DES_ncbc_encrypt(data, data, blocks.len(), rounds, iv, way.flag()) };
}

pub(crate) fn tdes_block([one, two, three]: [&DesRounds; 3], way: Way, block: &mut [u8; 8]) {
    let block: *mut c::DES_cblock = block.as_mut_ptr().cast();
    // SAFETY: reads 8 bytes into registers before it writes 8 in their place.
    unsafe { c::DES_ecb3_encrypt(block, block, one, two, three, way.flag()) };
}

/// As [`des_cbc`].
pub(crate) fn tdes_cbc([one, two, three]: [&DesRounds; 3], way: Way, iv: &mut [u8; 8], blocks: &mut [u8]) {
    assert!(blocks.len().is_multiple_of(8));
    let (data, iv) = (blocks.as_mut_ptr(), iv.as_mut_ptr().cast());
    // SAFETY: works in place, block by block, over so many bytes; the IV has the 8 bytes of a DES_cblock.
    unsafe { c::DES_ede3_cbc_encrypt(data, data, blocks.len(), one, two, three, iv, way.flag()) };
}

/// Whether there is an AES key of this length; the rounds are untouched otherwise.
pub(crate) fn aes_expand(key: &[u8], way: Way, rounds: &mut AesRounds) -> bool {
    static PROCESSOR: Once = Once::new();
    // SAFETY: takes nothing and may be called from any thread. Which code runs, and how its schedule looks, follows from the
    // processor, so that must be known before the first schedule.
    PROCESSOR.call_once(|| unsafe { c::CRYPTO_library_init() });
    let bits = match key.len() {
        16 => 128,
        24 => 192,
        32 => 256,
        _ => return false,
    };
    let expand = match way {
        Way::Encrypt => c::AES_set_encrypt_key,
        Way::Decrypt => c::AES_set_decrypt_key,
    };
    // SAFETY: reads as many bytes as the bits say, and writes one schedule.
    unsafe { expand(key.as_ptr(), bits, rounds) == 0 }
}

pub(crate) fn aes_block(rounds: &AesRounds, way: Way, block: &mut [u8; 16]) {
    assert!(rounds.rounds != 0, "no key was expanded here");
    let block = block.as_mut_ptr();
    match way {
        // SAFETY: reads 16 bytes into registers before it writes 16 in their place; the schedule was expanded.
        Way::Encrypt => unsafe { c::AES_encrypt(block, block, rounds) },
        // SAFETY: as above.
        Way::Decrypt => unsafe { c::AES_decrypt(block, block, rounds) },
    }
}

/// `blocks` is whole blocks; `iv` is left as the last of them.
pub(crate) fn aes_cbc(rounds: &AesRounds, way: Way, iv: &mut [u8; 16], blocks: &mut [u8]) {
    assert!(rounds.rounds != 0, "no key was expanded here");
    assert!(blocks.len().is_multiple_of(16));
    let (data, iv) = (blocks.as_mut_ptr(), iv.as_mut_ptr());
    let flag = if way == Way::Encrypt { c::AES_ENCRYPT } else { c::AES_DECRYPT };
    // SAFETY: works in place over so many bytes; the IV has 16 bytes; the schedule was expanded for this way.
    unsafe { c::AES_cbc_encrypt(data, data, blocks.len(), rounds, iv, flag) };
}
