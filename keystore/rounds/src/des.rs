//! DES, and TDES of two and three parts (FIPS 46-3, SP 800-67). One schedule serves both directions.

use zeroize::Zeroize as _;

use crate::WeakKey;
use crate::ffi::{self, DesRounds, Way};

/// The schedule of one DES key: 128 bytes.
#[derive(Default)]
pub struct Des {
    rounds: DesRounds,
}

/// Two DES schedules: encrypt under the first, decrypt under the second, encrypt under the first.
#[derive(Default)]
pub struct Tdes2 {
    parts: [Des; 2],
}

/// Three DES schedules.
#[derive(Default)]
pub struct Tdes3 {
    parts: [Des; 3],
}

/// Weak keys and pairs of semi-weak ones, with odd parity (SP 800-67r2, 3.3.2).
const WEAK: [u64; 16] = [
    0x0101_0101_0101_0101,
    0xFEFE_FEFE_FEFE_FEFE,
    0x1F1F_1F1F_0E0E_0E0E,
    0xE0E0_E0E0_F1F1_F1F1,
    0x01FE_01FE_01FE_01FE,
    0xFE01_FE01_FE01_FE01,
    0x1FE0_1FE0_0EF1_0EF1,
    0xE01F_E01F_F10E_F10E,
    0x01E0_01E0_01F1_01F1,
    0xE001_E001_F101_F101,
    0x1FFE_1FFE_0EFE_0EFE,
    0xFE1F_FE1F_FE0E_FE0E,
    0x011F_011F_010E_010E,
    0x1F01_1F01_0E01_0E01,
    0xE0FE_E0FE_F1FE_F1FE,
    0xFEE0_FEE0_FEF1_FEF1,
];

impl Des {
    /// Expands a key in place. Its parity does not matter, but to whether it is weak: a weak key with other parity bits
    /// is not taken for one.
    ///
    /// # Errors
    /// For weak and semi-weak keys; the schedule is then as it was.
    pub fn expand(&mut self, key: &[u8; 8]) -> Result<(), WeakKey> {
        if is_weak(u64::from_be_bytes(*key)) {
            return Err(WeakKey);
        }
        ffi::des_expand(key, &mut self.rounds);
        Ok(())
    }

    /// Encrypts one block.
    pub fn encrypt(&self, block: &mut [u8; 8]) {
        ffi::des_block(&self.rounds, Way::Encrypt, block);
    }

    /// Decrypts one block.
    pub fn decrypt(&self, block: &mut [u8; 8]) {
        ffi::des_block(&self.rounds, Way::Decrypt, block);
    }

    /// CBC over whole blocks, in place; `iv` becomes the last cipher block.
    ///
    /// # Panics
    /// Unless `blocks` is whole blocks.
    pub fn cbc_encrypt(&self, iv: &mut [u8; 8], blocks: &mut [u8]) {
        ffi::des_cbc(&self.rounds, Way::Encrypt, iv, blocks);
    }

    /// The inverse of [`Des::cbc_encrypt`].
    ///
    /// # Panics
    /// As there.
    pub fn cbc_decrypt(&self, iv: &mut [u8; 8], blocks: &mut [u8]) {
        ffi::des_cbc(&self.rounds, Way::Decrypt, iv, blocks);
    }
}

impl Drop for Des {
    fn drop(&mut self) {
        self.rounds.subkeys.zeroize();
    }
}

impl Tdes2 {
    /// Expands a key in place.
    ///
    /// # Errors
    /// For weak and semi-weak parts, and for equal ones.
    pub fn expand(&mut self, key: &[u8; 16]) -> Result<(), WeakKey> {
        let [left, right] = parts::<2>(key);
        if equal(left, right) {
            return Err(WeakKey);
        }
        self.parts[0].expand(left)?;
        self.parts[1].expand(right)
    }

    fn rounds(&self) -> [&DesRounds; 3] {
        [&self.parts[0].rounds, &self.parts[1].rounds, &self.parts[0].rounds]
    }
}

impl Tdes3 {
    /// Expands a key in place.
    ///
    /// # Errors
    /// For weak and semi-weak parts, and when two are equal.
    pub fn expand(&mut self, key: &[u8; 24]) -> Result<(), WeakKey> {
        let [one, two, three] = parts::<3>(key);
        if equal(one, two) | equal(two, three) | equal(one, three) {
            return Err(WeakKey);
        }
        self.parts[0].expand(one)?;
        self.parts[1].expand(two)?;
        self.parts[2].expand(three)
    }

    fn rounds(&self) -> [&DesRounds; 3] {
        self.parts.each_ref().map(|part| &part.rounds)
    }
}

/// What both kinds of TDES do with their rounds.
macro_rules! tdes {
    ($name:ident) => {
        impl $name {
            /// Encrypts one block.
            pub fn encrypt(&self, block: &mut [u8; 8]) {
                ffi::tdes_block(self.rounds(), Way::Encrypt, block);
            }

            /// Decrypts one block.
            pub fn decrypt(&self, block: &mut [u8; 8]) {
                ffi::tdes_block(self.rounds(), Way::Decrypt, block);
            }

            /// CBC over whole blocks, in place; `iv` becomes the last cipher block.
            ///
            /// # Panics
            /// Unless `blocks` is whole blocks.
            pub fn cbc_encrypt(&self, iv: &mut [u8; 8], blocks: &mut [u8]) {
                ffi::tdes_cbc(self.rounds(), Way::Encrypt, iv, blocks);
            }

            /// The inverse of `cbc_encrypt`.
            ///
            /// # Panics
            /// As there.
            pub fn cbc_decrypt(&self, iv: &mut [u8; 8], blocks: &mut [u8]) {
                ffi::tdes_cbc(self.rounds(), Way::Decrypt, iv, blocks);
            }
        }
    };
}

tdes!(Tdes2);
tdes!(Tdes3);

fn parts<const N: usize>(key: &[u8]) -> [&[u8; 8]; N] {
    let (parts, _) = key.as_chunks::<8>();
    std::array::from_fn(|n| &parts[n])
}

/// Without a branch before the end.
fn equal(one: &[u8; 8], two: &[u8; 8]) -> bool {
    u64::from_be_bytes(*one) ^ u64::from_be_bytes(*two) == 0
}

/// Compares with all of them: the time does not tell how near a key was to one. A product of differences is zero as soon
/// as one is, and would be too often as numbers are finite; so each becomes one bit first.
fn is_weak(key: u64) -> bool {
    let same = |weak: &u64| {
        let difference = key ^ weak;
        // The top bit is set unless the difference is zero.
        1 ^ (difference | difference.wrapping_neg()) >> 63
    };
    WEAK.iter().fold(0, |any, weak| any | same(weak)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_weak_keys_is_whole_and_has_odd_parity() {
        let mut list = WEAK.to_vec();
        list.sort_unstable();
        list.dedup();
        assert_eq!(list.len(), 16);
        for key in WEAK {
            assert!(key.to_be_bytes().iter().all(|byte| byte.count_ones() % 2 == 1), "{key:016X}");
            // What makes them weak: the key is its own inverse, or another of the list is its inverse.
            let mut one = Des::default();
            ffi::des_expand(&key.to_be_bytes(), &mut one.rounds);
            let inverses = WEAK.iter().filter(|other| {
                let mut two = Des::default();
                ffi::des_expand(&other.to_be_bytes(), &mut two.rounds);
                let mut block = *b"any text";
                one.encrypt(&mut block);
                two.encrypt(&mut block);
                block == *b"any text"
            });
            assert_eq!(inverses.count(), 1, "{key:016X}");
        }
    }

    #[test]
    fn weak_keys_and_equal_parts_are_refused_and_a_bit_away_they_are_not() {
        for key in WEAK.map(u64::to_be_bytes) {
            assert_eq!(Des::default().expand(&key), Err(WeakKey));
            let good = 0x0123_4567_89AB_CDEF_u64.to_be_bytes();
            for pair in [[good, key], [key, good]] {
                assert_eq!(Tdes2::default().expand(pair.as_flattened().try_into().unwrap()), Err(WeakKey));
            }
            for bit in 0..64 {
                let near = (u64::from_be_bytes(key) ^ 1 << bit).to_be_bytes();
                assert_eq!(Des::default().expand(&near), Ok(()), "{key:02X?} but for bit {bit}");
            }
        }
        let [a, b, c] = [*b"part one", *b"part two", *b"third on"];
        assert_eq!(Tdes3::default().expand([a, b, c].as_flattened().try_into().unwrap()), Ok(()));
        for parts in [[a, a, c], [a, b, b], [a, b, a]] {
            assert_eq!(Tdes3::default().expand(parts.as_flattened().try_into().unwrap()), Err(WeakKey));
        }
        assert_eq!(Tdes2::default().expand([a, a].as_flattened().try_into().unwrap()), Err(WeakKey));
    }
}
