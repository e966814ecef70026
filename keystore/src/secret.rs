//! Clear key bytes: at most 32, in the arena, wiped when dropped, without Debug, Clone or Serialize.
//! Everything in the crate that holds a clear key between two ciphers holds it in this type, and fills it in place. What
//! opens, derives or joins keys runs inside `yika_arena::wiped`, as registers and values in flight leave traces on the stack.

use ring::hmac;
use yika_arena::Held;
use zeroize::Zeroizing;

use crate::attributes::{Algorithm, Usage};
use crate::cipher::Encipher;
use crate::cmac::Cmac;
use crate::error::KeyError;
use crate::random;

/// The longest key handled here: AES-256.
pub(crate) const KEY_BYTES_MAX: usize = 32;

/// What is wiped of the stack after a key was opened, derived or joined: the deepest of it, signatures and HKDF of ring, stays
/// below 12 KiB.
pub(crate) const COLD_STACK_BYTES: usize = 16 * 1024;

/// What is wiped of the stack on the hot path, after a PIN or the key of a transaction: only block ciphers are below it.
pub(crate) const HOT_STACK_BYTES: usize = 2 * 1024;

/// Clear key bytes.
pub(crate) struct KeyBytes {
    bytes: Held<[u8; KEY_BYTES_MAX]>,
    len: usize,
}

impl KeyBytes {
    /// Copies a key, or gives nothing when it is longer than any key we know.
    pub(crate) fn new(key: &[u8]) -> Option<KeyBytes> {
        (key.len() <= KEY_BYTES_MAX).then(|| KeyBytes::made(key.len(), |bytes| bytes.copy_from_slice(key)))
    }

    /// A key of `len` bytes, which `fill` makes of zeros.
    ///
    /// # Panics
    /// When no key is so long.
    pub(crate) fn made(len: usize, fill: impl FnOnce(&mut [u8])) -> KeyBytes {
        let mut key = KeyBytes { bytes: Held::brief(), len };
        fill(&mut key.bytes[..len]);
        key
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// A fresh key of `len` bytes; DES parts get odd parity, as devices expect.
    pub(crate) fn random(algorithm: Algorithm, len: usize) -> KeyBytes {
        let mut key = KeyBytes::made(len, random::fill);
        key.set_parity(algorithm);
        key
    }

    /// Joins the components of a key of this use.
    pub(crate) fn of_components(
        usage: Usage,
        algorithm: Algorithm,
        components: &[impl AsRef<[u8]>],
    ) -> Result<KeyBytes, KeyError> {
        match usage {
            // The derivation of transaction keys takes its parity bits as data (X9.24-1:2009 annex A).
            Usage::DukptInitial => KeyBytes::joined(components),
            _ => KeyBytes::from_components(algorithm, components),
        }
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
        let mut key = KeyBytes { bytes: Held::brief(), len: components[0].as_ref().len() };
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
                full.copy_from_slice(&Cmac::brief(algorithm, self.as_slice())?.tag(&[0; 16])[..8]);
            }
            // Of the two keys of an SM4 retail MAC, the first.
            Algorithm::Des | Algorithm::Tdes | Algorithm::Sm4 => {
                let key = self.as_slice();
                let key = if algorithm == Algorithm::Sm4 { &key[..key.len().min(16)] } else { key };
                let mut block = [0; 16];
                let cipher = Encipher::brief(algorithm, key)?;
                cipher.block(&mut block[..algorithm.block_bytes()]);
                full.copy_from_slice(&block[..8]);
            }
        }
        Ok(full)
    }

    /// The check value by a method of X9.143 (optional blocks KC and KP): `00` encrypts a block of zeros, `01`
    /// takes its CMAC. Nothing for other methods, and for HMAC, which is no cipher.
    pub(crate) fn check_value_by(
        &self,
        method: &str,
        algorithm: Algorithm,
    ) -> Result<Option<[u8; 8]>, KeyError> {
        if algorithm == Algorithm::Hmac || !matches!(method, "00" | "01") {
            return Ok(None);
        }
        // Of the two keys of an SM4 retail MAC, the first.
        let key = self.as_slice();
        let key = if algorithm == Algorithm::Sm4 { &key[..key.len().min(16)] } else { key };
        let n = algorithm.block_bytes();
        let mut block = [0; 16];
        if method == "01" {
            block = Cmac::brief(algorithm, key)?.tag(&[0; 16][..n]);
        } else {
            Encipher::brief(algorithm, key)?.block(&mut block[..n]);
        }
        let mut full = [0; 8];
        full.copy_from_slice(&block[..8]);
        Ok(Some(full))
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

impl AsRef<[u8]> for KeyBytes {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

/// Odd parity in the low bit of each byte, as DES keys carry it.
pub(crate) fn set_odd_parity(bytes: &mut [u8]) {
    for byte in bytes {
        let odd = (*byte >> 1).count_ones() % 2 == 1;
        *byte = (*byte & 0xFE) | u8::from(!odd);
    }
}

/// Upper-case hexadecimal, for check values and key blocks; and for shares, so no piece of it is left elsewhere.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]).for_each(|nibble| {
        let letters = u8::from(nibble > 9) * (b'A' - b'9' - 1);
        text.push(char::from(b'0' + nibble + letters));
    });
    text
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

#[cfg(test)]
mod tests {
    use des::cipher::{Block, BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _};

    use super::*;
    use crate::testing::{Seeded, cases, unhex};

    fn key(bytes: &[u8]) -> KeyBytes {
        KeyBytes::new(bytes).unwrap()
    }

    #[test]
    fn published_check_values_are_met() {
        for (algorithm, bytes, check_value) in [
            // The keys of the key blocks of TR-31:2018 and of a payShield 10K.
            (Algorithm::Tdes, "F039121BEC83D26B169BDCD5B22AAF8F", "CB9DEA"),
            (Algorithm::Tdes, "3F419E1CB7079442AA37474C2EFBF8B8", "57C409"),
            (Algorithm::Tdes, "EDB380DD340BC2620247D445F5B8D678", "F4B08D"),
            (Algorithm::Tdes, "E8BC63E5479455E26577F715D587FE68", "9A4212"),
            (Algorithm::Tdes, "5DB50B454F8389ADCE573BE50861F2BF", "5C9405"),
            (Algorithm::Aes, "3F419E1CB7079442AA37474C2EFBF8B8", "08793E"),
            (Algorithm::Tdes, "1FA1F7CEC798D91545DA8AE0C7796BD9", "FF5087"),
            // A terminal's master key of two components, published with its value; the terminal is an SM4 one, the
            // value is that of TDES. Below it, that of SM4 as openssl computes it.
            (Algorithm::Tdes, "8323626751C7620408BA6789025E6EB3", "866C07"),
            (Algorithm::Sm4, "8323626751C7620408BA6789025E6EB3", "9DEDB35FB382E332"),
            // An SM4 terminal's master key; its check value travels with 8 bytes.
            (Algorithm::Sm4, "376D90E7945AA5CFDB4C07CCB35CEFD3", "08EEDEC70D7C0682"),
        ] {
            let (key, expected) = (key(&unhex(bytes)), unhex(check_value));
            assert_eq!(key.check_value_full(algorithm).unwrap()[..expected.len()], expected, "{bytes}");
            assert_eq!(key.check_value(algorithm).unwrap(), expected[..3], "{bytes}");
        }
    }

    #[test]
    fn terminal_master_keys_come_out_of_a_cryptogram_and_of_components() {
        let protect = sm4::Sm4::new_from_slice(b"B1F15C84DD6817B9").unwrap();
        let mut block = Block::<sm4::Sm4>::try_from(&unhex("89A4CA515B89220AAFA32D695D95A890")[..]).unwrap();
        protect.decrypt_block(&mut block);
        assert_eq!(hex(&block), "376D90E7945AA5CFDB4C07CCB35CEFD3");
        let parts = [unhex("F210F2017A3E3D8920D9B53D1C4913EF"), unhex("713390662BF95F8D2863D2B41E177D5C")];
        let whole = KeyBytes::from_components(Algorithm::Tdes, &parts).unwrap();
        assert_eq!(hex(whole.as_slice()), "8323626751C7620408BA6789025E6EB3");
    }

    #[test]
    fn check_values_agree_with_a_second_implementation() {
        let mut random = Seeded::new(0xCEC);
        for case in 0..cases() {
            let (algorithm, bytes) = [
                (Algorithm::Des, 8),
                (Algorithm::Tdes, 16),
                (Algorithm::Tdes, 24),
                (Algorithm::Aes, 16),
                (Algorithm::Aes, 32),
                (Algorithm::Sm4, 16),
                (Algorithm::Sm4, 32),
                (Algorithm::Hmac, 24),
            ][case as usize % 8];
            let bytes = random.bytes(bytes);
            assert_eq!(
                key(&bytes).check_value_full(algorithm).unwrap()[..],
                by_the_book(algorithm, &bytes)[..8],
                "{algorithm} {}",
                bytes.len()
            );
        }
    }

    fn by_the_book(algorithm: Algorithm, key: &[u8]) -> Vec<u8> {
        use cmac::Mac as _;
        macro_rules! zeros {
            ($cipher:ty, $key:expr) => {{
                let mut block = Block::<$cipher>::default();
                <$cipher>::new_from_slice($key).unwrap().encrypt_block(&mut block);
                block.to_vec()
            }};
        }
        macro_rules! cmac {
            ($cipher:ty) => {
                cmac::Cmac::<$cipher>::new_from_slice(key)
                    .unwrap()
                    .chain_update([0; 16])
                    .finalize()
                    .into_bytes()
                    .to_vec()
            };
        }
        match (algorithm, key.len()) {
            (Algorithm::Des, _) => zeros!(des::Des, key),
            (Algorithm::Tdes, 16) => zeros!(des::TdesEde2, key),
            (Algorithm::Tdes, _) => zeros!(des::TdesEde3, key),
            (Algorithm::Sm4, _) => zeros!(sm4::Sm4, &key[..16]),
            (Algorithm::Aes, 16) => cmac!(aes::Aes128),
            (Algorithm::Aes, _) => cmac!(aes::Aes256),
            (Algorithm::Hmac, _) => crate::mac::oracle::hmac_sha256(key, b""),
        }
    }
}
