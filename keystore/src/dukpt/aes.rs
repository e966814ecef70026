//! DUKPT with AES (ANSI X9.24-3:2017, clause 6): every key is the encryption of what it is for.
//!
//! ```text
//! derivation data  | 01 | block no. | usage: 2 | algorithm: 2 | bits: 2 | initial key id: 8, or derivation id: 4, counter: 4 |
//! ```

#[cfg(test)]
mod tests;

use yika_arena::wiped;
use zeroize::Zeroizing;

use super::{DukptAesDevice, DukptAesKsn, DukptError, DukptPinKey, DukptWay, check_blocks, check_mac};
use crate::attributes::{Algorithm, Mode, Usage};
use crate::authentic::Authentic;
use crate::cipher::{Decipher, Encipher};
use crate::cmac::Cmac;
use crate::error::KeyError;
use crate::pin::{EncryptedPin, PinEncryptKey, PinFormat, PinOpener, translate_pin};
use crate::policy::Need;
use crate::secret::{HOT_STACK_BYTES, KeyBytes};
use crate::state::Deed;
use crate::store::Keystore;

/// The base key of many devices (use B0). It makes their initial keys and does nothing else.
pub struct DukptAesBaseKey {
    cipher: Encipher,
    key_bytes: usize,
    check_value: [u8; 3],
}

/// The initial key of one device: what its transactions come of. Cheap to keep; making it costs one or two blocks of AES.
pub struct DukptAesInitialKey {
    cipher: Encipher,
    key_bytes: usize,
    /// Length of the working keys.
    working_bytes: usize,
    device: DukptAesDevice,
}

const BASE: Need = Need {
    operation: "derive initial keys of AES DUKPT",
    keys: &[(Usage::DukptBase, &[Algorithm::Aes])],
    modes: &[Mode::Both],
    deeds: &[Deed::Protect, Deed::Process],
    needs: "an AES base derivation key (use B0)",
};

const INITIAL: Need = Need {
    operation: "derive transaction keys of AES DUKPT",
    keys: &[(Usage::DukptInitial, &[Algorithm::Aes])],
    needs: "an AES initial key (use B1)",
    ..BASE
};

/// Key usage indicators (clause 6). Generating and encrypting is what the terminal does; the host does the opposite.
const PIN: u16 = 0x1000;
const MAC_BY_TERMINAL: u16 = 0x2000;
const MAC_BY_HOST: u16 = 0x2001;
const MAC_BOTH: u16 = 0x2002;
const DATA_BY_TERMINAL: u16 = 0x3000;
const DATA_BY_HOST: u16 = 0x3001;
const DATA_BOTH: u16 = 0x3002;
const DERIVATION: u16 = 0x8000;
const INITIAL_KEY: u16 = 0x8001;

impl Keystore {
    /// Opens a base derivation key of AES DUKPT.
    ///
    /// # Errors
    /// `NotFound`, `State`, or `NotAllowed` unless it is an AES key of use B0.
    pub fn dukpt_aes_base_key(&self, name: &str) -> Result<DukptAesBaseKey, KeyError> {
        let opened = self.open_for(name, &BASE)?;
        let key = opened.key.as_slice();
        let cipher = Encipher::new(Algorithm::Aes, key)?;
        Ok(DukptAesBaseKey { cipher, key_bytes: key.len(), check_value: opened.check_value })
    }

    /// Opens the initial key of `device`, for a terminal whose base key others keep.
    ///
    /// # Errors
    /// `NotFound`, `State`, or `NotAllowed` unless it is an AES key of use B1.
    pub fn dukpt_aes_initial_key(
        &self,
        name: &str,
        device: DukptAesDevice,
    ) -> Result<DukptAesInitialKey, KeyError> {
        let opened = self.open_for(name, &INITIAL)?;
        DukptAesInitialKey::of_key(&opened.key, device)
    }
}

impl DukptAesBaseKey {
    /// The initial key of a device, as long as the base key.
    ///
    /// # Errors
    /// `Memory` when no more keys can be held.
    pub fn initial_key(&self, device: DukptAesDevice) -> Result<DukptAesInitialKey, DukptError> {
        wiped::<HOT_STACK_BYTES, _>(|| {
            let key = derive(&self.cipher, INITIAL_KEY, self.key_bytes, device.id());
            Ok(DukptAesInitialKey::of_key(&key, device)?)
        })
    }

    /// The check value of the base key.
    #[must_use]
    pub fn check_value(&self) -> [u8; 3] {
        self.check_value
    }
}

impl DukptAesInitialKey {
    fn of_key(key: &KeyBytes, device: DukptAesDevice) -> Result<DukptAesInitialKey, KeyError> {
        let key_bytes = key.as_slice().len();
        let cipher = Encipher::new(Algorithm::Aes, key.as_slice())?;
        Ok(DukptAesInitialKey { cipher, key_bytes, working_bytes: key_bytes, device })
    }

    /// The device whose key this is.
    #[must_use]
    pub fn device(&self) -> DukptAesDevice {
        self.device
    }

    /// The same with shorter working keys of 16, 24 or 32 bytes, for devices that derive them so; otherwise they are as
    /// long as the initial key.
    ///
    /// # Errors
    /// `WorkingLength` for others, and for longer ones than the initial key.
    pub fn with_working_bytes(self, bytes: usize) -> Result<DukptAesInitialKey, DukptError> {
        if Algorithm::Aes.fits(bytes) && bytes <= self.key_bytes {
            Ok(DukptAesInitialKey { working_bytes: bytes, ..self })
        } else {
            Err(DukptError::WorkingLength { bytes })
        }
    }

    /// The PIN key of a transaction, to translate or to verify its PIN.
    ///
    /// # Errors
    /// `OtherDevice`.
    pub fn pin_key(&self, ksn: &DukptAesKsn) -> Result<DukptPinKey, DukptError> {
        wiped::<HOT_STACK_BYTES, _>(|| {
            let key = self.working_key(ksn, PIN)?;
            Ok(DukptPinKey(PinOpener::new(Algorithm::Aes, key.as_slice())?))
        })
    }

    /// Moves the PIN of a transaction to the key of another zone, for the same PAN; see [`translate_pin`].
    ///
    /// # Errors
    /// `OtherDevice` and, as `Pin`, those of [`translate_pin`].
    pub fn translate_pin(
        &self,
        ksn: &DukptAesKsn,
        format: PinFormat,
        to: &PinEncryptKey,
        to_format: PinFormat,
        pan: &[u8],
        block: &EncryptedPin,
    ) -> Result<EncryptedPin, DukptError> {
        Ok(translate_pin(&self.pin_key(ksn)?, format, to, to_format, pan, block)?)
    }

    /// Checks the MAC of a request (AES-CMAC) and turns `value` into a proof. As many bytes are compared as are given:
    /// how many a zone takes is for the caller to insist on, whatever the message brings.
    ///
    /// # Errors
    /// `Mac`, `MacLength` unless they are 4 to 8, `OtherDevice`; the value comes back untouched.
    pub fn verify_mac<T>(
        &self,
        ksn: &DukptAesKsn,
        way: DukptWay,
        data: &[u8],
        mac: &[u8],
        value: T,
    ) -> Result<Authentic<T>, (DukptError, T)> {
        let usage = if way == DukptWay::OneWay { MAC_BY_TERMINAL } else { MAC_BOTH };
        match self.mac(ksn, usage, data) {
            Ok(computed) => check_mac(&computed, mac, value),
            Err(error) => Err((error, value)),
        }
    }

    /// The left 8 bytes of the MAC of a response (AES-CMAC). Cut it as the zone says, never below 4 bytes.
    ///
    /// # Errors
    /// `OtherDevice`.
    pub fn generate_mac(&self, ksn: &DukptAesKsn, way: DukptWay, data: &[u8]) -> Result<[u8; 8], DukptError> {
        let usage = if way == DukptWay::OneWay { MAC_BY_HOST } else { MAC_BOTH };
        self.mac(ksn, usage, data)
    }

    /// Decrypts data of a request in place (CBC).
    ///
    /// # Errors
    /// `DataLength` unless it is whole blocks of 16 bytes, `OtherDevice`.
    pub fn decrypt(
        &self,
        ksn: &DukptAesKsn,
        way: DukptWay,
        iv: &[u8; 16],
        data: &mut [u8],
    ) -> Result<(), DukptError> {
        check_blocks(data, 16)?;
        let usage = if way == DukptWay::OneWay { DATA_BY_TERMINAL } else { DATA_BOTH };
        wiped::<HOT_STACK_BYTES, _>(|| {
            let key = self.working_key(ksn, usage)?;
            Decipher::brief(Algorithm::Aes, key.as_slice())?.cbc(iv, data);
            Ok(())
        })
    }

    /// Encrypts data of a response in place (CBC).
    ///
    /// # Errors
    /// As [`DukptAesInitialKey::decrypt`].
    pub fn encrypt(
        &self,
        ksn: &DukptAesKsn,
        way: DukptWay,
        iv: &[u8; 16],
        data: &mut [u8],
    ) -> Result<(), DukptError> {
        check_blocks(data, 16)?;
        let usage = if way == DukptWay::OneWay { DATA_BY_HOST } else { DATA_BOTH };
        wiped::<HOT_STACK_BYTES, _>(|| {
            schedule(&self.working_key(ksn, usage)?).cbc(iv, data);
            Ok(())
        })
    }

    fn mac(&self, ksn: &DukptAesKsn, usage: u16, data: &[u8]) -> Result<[u8; 8], DukptError> {
        wiped::<HOT_STACK_BYTES, _>(|| {
            let key = self.working_key(ksn, usage)?;
            let tag = Zeroizing::new(Cmac::brief(Algorithm::Aes, key.as_slice())?.tag(data));
            Ok(std::array::from_fn(|n| tag[n]))
        })
    }

    fn working_key(&self, ksn: &DukptAesKsn, usage: u16) -> Result<KeyBytes, DukptError> {
        let key = self.transaction_key(ksn)?;
        Ok(derive(&key, usage, self.working_bytes, self.context(ksn.counter())))
    }

    /// Walks the bits of the counter from the left, a key for each that is set.
    fn transaction_key(&self, ksn: &DukptAesKsn) -> Result<Encipher, DukptError> {
        if ksn.device() != self.device {
            return Err(DukptError::OtherDevice);
        }
        let mut walked = 1 << ksn.counter().ilog2();
        let mut key = self.next(&self.cipher, walked);
        for bit in (0..walked.ilog2()).rev().map(|n| 1 << n).filter(|bit| ksn.counter() & bit != 0) {
            walked |= bit;
            key = self.next(&key, walked);
        }
        Ok(key)
    }

    fn next(&self, from: &Encipher, counter: u32) -> Encipher {
        schedule(&derive(from, DERIVATION, self.key_bytes, self.context(counter)))
    }

    fn context(&self, counter: u32) -> [u8; 8] {
        let ([a, b, c, d], [e, f, g, h]) = (self.device.derivation_id(), counter.to_be_bytes());
        [a, b, c, d, e, f, g, h]
    }
}

/// One key: as many blocks as it needs, each the encryption of its derivation data.
fn derive(from: &Encipher, usage: u16, key_bytes: usize, context: [u8; 8]) -> KeyBytes {
    let algorithm: u16 = match key_bytes {
        16 => 2,
        24 => 3,
        _ => 4,
    };
    let bits = u16::try_from(key_bytes * 8).expect("a key has at most 32 bytes");
    KeyBytes::made(key_bytes, |key| {
        let mut whole = Zeroizing::new([0; 16]);
        for (number, part) in (1..).zip(key.chunks_mut(16)) {
            whole[..2].copy_from_slice(&[1, number]);
            whole[2..4].copy_from_slice(&usage.to_be_bytes());
            whole[4..6].copy_from_slice(&algorithm.to_be_bytes());
            whole[6..8].copy_from_slice(&bits.to_be_bytes());
            whole[8..].copy_from_slice(&context);
            from.block(whole.as_mut_slice());
            part.copy_from_slice(&whole[..part.len()]);
        }
    })
}

fn schedule(key: &KeyBytes) -> Encipher {
    Encipher::brief(Algorithm::Aes, key.as_slice()).expect("AES takes every key of 16, 24 or 32 bytes")
}
