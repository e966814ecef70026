//! AES with keys of 16, 24 and 32 bytes (FIPS 197). A schedule serves one direction; each is a type.

use zeroize::Zeroize as _;

use crate::ffi::{self, AesRounds, Way};

macro_rules! aes {
    ($name:ident, $way:expr, $does:literal, $block:ident, $cbc:ident, $iv:literal) => {
        #[doc = concat!("A schedule that ", $does, ": 244 bytes, the first of which are the key itself when encrypting.")]
        pub struct $name {
            rounds: AesRounds,
        }

        impl Default for $name {
            /// No key yet: using it panics.
            fn default() -> $name {
                $name { rounds: AesRounds { rd_key: [0; 60], rounds: 0 } }
            }
        }

        impl $name {
            /// Expands a key in place; false when AES has no keys of this length, and nothing is changed.
            #[must_use]
            pub fn expand(&mut self, key: &[u8]) -> bool {
                ffi::aes_expand(key, $way, &mut self.rounds)
            }

            #[doc = concat!("The cipher on one block: ", $does, ".")]
            ///
            /// # Panics
            /// Before a key was expanded.
            pub fn $block(&self, block: &mut [u8; 16]) {
                ffi::aes_block(&self.rounds, $way, block);
            }

            #[doc = concat!("CBC over whole blocks, in place: ", $does, $iv)]
            ///
            /// # Panics
            /// Before a key was expanded, and unless `blocks` is whole blocks.
            pub fn $cbc(&self, iv: &mut [u8; 16], blocks: &mut [u8]) {
                ffi::aes_cbc(&self.rounds, $way, iv, blocks);
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                self.rounds.rd_key.zeroize();
                self.rounds.rounds = 0;
            }
        }
    };
}

aes!(AesEncrypt, Way::Encrypt, "encrypts", encrypt, cbc_encrypt, "; `iv` becomes the last cipher block.");
aes!(AesDecrypt, Way::Decrypt, "decrypts", decrypt, cbc_decrypt, "; `iv` becomes the last cipher block.");
