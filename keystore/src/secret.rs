//! Clear key bytes: at most 32, wiped when dropped, without Debug, Clone or Serialize.
//! Everything in the crate that holds a clear key between two ciphers holds it in this type. A move may
//! leave a copy on the stack that nobody wipes: keys are passed by reference wherever they live on.

use ring::hmac;
use zeroize::{Zeroize as _, Zeroizing};

use crate::attributes::Algorithm;
use crate::cipher::Encipher;
use crate::cmac::Cmac;
use crate::error::KeyError;
use crate::random;

/// The longest key handled here: AES-256.
pub(crate) const KEY_BYTES_MAX: usize = 32;

/// Clear key bytes.
pub(crate) struct KeyBytes {
    bytes: [u8; KEY_BYTES_MAX],
    len: usize,
}

impl KeyBytes {
    /// Copies a key, or gives nothing when it is longer than any key we know.
    pub(crate) fn new(key: &[u8]) -> Option<KeyBytes> {
        let mut bytes = [0; KEY_BYTES_MAX];
        bytes.get_mut(..key.len())?.copy_from_slice(key);
        Some(KeyBytes { bytes, len: key.len() })
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// A fresh key of `len` bytes; DES parts get odd parity, as devices expect.
    pub(crate) fn random(algorithm: Algorithm, len: usize) -> KeyBytes {
        debug_assert!(len <= KEY_BYTES_MAX);
        let mut key = KeyBytes { bytes: [0; KEY_BYTES_MAX], len };
        random::fill(&mut key.bytes[..len]);
        key.set_parity(algorithm);
        key
    }

    /// Joins components by exclusive or (split knowledge: each alone says nothing about the key); DES parts get odd
    /// parity.
    pub(crate) fn from_components(
        algorithm: Algorithm,
        components: &[impl AsRef<[u8]>],
    ) -> Result<KeyBytes, KeyError> {
        let mut key = KeyBytes::joined(components)?;
        key.set_parity(algorithm);
        Ok(key)
    }

    /// [`KeyBytes::from_components`] with every bit as it is, for keys that are more than keys of DES.
    pub(crate) fn joined(components: &[impl AsRef<[u8]>]) -> Result<KeyBytes, KeyError> {
        let refuse = |reason| Err(KeyError::Components { reason });
        if components.len() < 2 {
            return refuse("at least two are needed, so that nobody knows the key alone");
        }
        let mut key = KeyBytes { bytes: [0; KEY_BYTES_MAX], len: components[0].as_ref().len() };
        for (n, component) in components.iter().map(AsRef::as_ref).enumerate() {
            if component.len() != key.len || key.len > KEY_BYTES_MAX {
                return refuse("all must have the same length, that of the key");
            }
            if component.iter().all(|&byte| byte == 0) {
                return refuse("one of them is all zeros and protects nothing");
            }
            if components[..n].iter().any(|earlier| earlier.as_ref() == component) {
                return refuse("two of them are equal and cancel each other out");
            }
            key.bytes.iter_mut().zip(component).for_each(|(byte, part)| *byte ^= part);
        }
        if key.as_slice().iter().all(|&byte| byte == 0) {
            return refuse("together they make a key of zeros");
        }
        Ok(key)
    }

    /// The public fingerprint of a key, 3 bytes: DES, TDES and SM4 encrypt a block of zeros, AES takes the CMAC
    /// of one, HMAC that of nothing (X9.24-1:2017 annex A).
    pub(crate) fn check_value(&self, algorithm: Algorithm) -> Result<[u8; 3], KeyError> {
        let full = self.check_value_full(algorithm)?;
        Ok([full[0], full[1], full[2]])
    }

    /// As many bytes of the check value as a legacy layout may show: 8.
    pub(crate) fn check_value_full(&self, algorithm: Algorithm) -> Result<[u8; 8], KeyError> {
        let mut full = [0; 8];
        match algorithm {
            Algorithm::Hmac => full.copy_from_slice(
                &hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, self.as_slice()), &[]).as_ref()[..8],
            ),
            Algorithm::Aes => {
                let cipher = Encipher::new(algorithm, self.as_slice())?;
                full.copy_from_slice(&Cmac::new(cipher).tag(&[0; 16])[..8]);
            }
            // Of the two keys of an SM4 retail MAC, the first.
            Algorithm::Des | Algorithm::Tdes | Algorithm::Sm4 => {
                let key = self.as_slice();
                let key = if algorithm == Algorithm::Sm4 { &key[..key.len().min(16)] } else { key };
                let mut block = [0; 16];
                let cipher = Encipher::new(algorithm, key)?;
                cipher.block(&mut block[..algorithm.block_bytes()]);
                full.copy_from_slice(&block[..8]);
            }
        }
        Ok(full)
    }

    /// Effective strength in bits (NIST SP 800-57 part 1, table 2).
    pub(crate) fn strength_bits(&self, algorithm: Algorithm) -> u32 {
        match (algorithm, self.as_slice()) {
            (Algorithm::Des, _) => 56,
            // Two parts, also when they are sent as K1 K2 K1.
            (Algorithm::Tdes, key) if key.len() < 24 || key[..8] == key[16..] => 80,
            (Algorithm::Tdes, _) => 112,
            (Algorithm::Sm4, _) => 128,
            (Algorithm::Aes | Algorithm::Hmac, key) => {
                u32::try_from(key.len() * 8).expect("a key has at most 32 bytes")
            }
        }
    }

    fn set_parity(&mut self, algorithm: Algorithm) {
        if algorithm.is_des() {
            set_odd_parity(&mut self.bytes[..self.len]);
        }
    }
}

impl Drop for KeyBytes {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

/// Odd parity in the low bit of each byte, as DES keys carry it.
pub(crate) fn set_odd_parity(bytes: &mut [u8]) {
    for byte in bytes {
        let odd = (*byte >> 1).count_ones() % 2 == 1;
        *byte = (*byte & 0xFE) | u8::from(!odd);
    }
}

/// Upper-case hexadecimal, for check values and key blocks.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The value of one upper-case hexadecimal digit; key blocks know no other (X9.143 type H).
pub(crate) fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Reads upper-case hexadecimal; an error is the index of the first character that is none.
pub(crate) fn unhex(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, usize> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() / 2));
    for (n, pair) in text.chunks(2).enumerate() {
        let high = hex_digit(pair[0]).ok_or(n * 2)?;
        let low = pair.get(1).copied().and_then(hex_digit).ok_or(n * 2 + 1)?;
        bytes.push(high << 4 | low);
    }
    Ok(bytes)
}
