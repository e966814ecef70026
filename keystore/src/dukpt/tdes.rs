//! DUKPT with TDES (ANSI X9.24-1:2009 annex A): one step of single DES for each bit of the counter.

#[cfg(test)]
mod tests;

use yika_arena::{Held, Stay, wiped};
use yika_rounds::{Des, WeakKey};
use zeroize::Zeroize as _;

use super::{DukptError, DukptPinKey, DukptTdesDevice, DukptTdesKsn, DukptWay, check_blocks, check_mac};
use crate::attributes::{Algorithm, Mode, Usage};
use crate::authentic::Authentic;
use crate::cipher::{Decipher, Encipher};
use crate::error::KeyError;
use crate::lmk::Opened;
use crate::pin::{EncryptedPin, PinEncryptKey, PinFormat, PinOpener, translate_pin};
use crate::policy::Need;
use crate::retail::{DerivedRetail, Padding};
use crate::secret::{HOT_STACK_BYTES, KeyBytes};
use crate::state::Deed;
use crate::store::Keystore;

/// The base key of many devices (use B0). It makes their initial keys and does nothing else.
pub struct DukptTdesBaseKey {
    left: Encipher,
    /// The base key under the mask of the right half.
    right: Encipher,
    check_value: [u8; 3],
}

/// The initial key of one device: what its transactions come of. Cheap to keep; making it costs two blocks of TDES.
pub struct DukptTdesInitialKey {
    key: Held<[u8; 16]>,
    device: DukptTdesDevice,
}

/// The key of a transaction, or one on the way to it, and what a step needs.
#[derive(Default)]
struct Walk {
    key: [u8; 16],
    des: Des,
}

impl Drop for Walk {
    fn drop(&mut self) {
        // The arena wipes its slots; this is for the day when a walk is somewhere else.
        self.key.zeroize();
    }
}

const BASE: Need = Need {
    operation: "derive initial keys of TDES DUKPT",
    keys: &[(Usage::DukptBase, &[Algorithm::Tdes])],
    modes: &[Mode::Both],
    deeds: &[Deed::Protect, Deed::Process],
    needs: "a TDES base derivation key (use B0)",
};

const INITIAL: Need = Need {
    operation: "derive transaction keys of TDES DUKPT",
    keys: &[(Usage::DukptInitial, &[Algorithm::Tdes])],
    needs: "a TDES initial key (use B1)",
    ..BASE
};

/// Tells the two halves of a derivation apart (A.2): over each part of the key.
const HALF: u64 = 0xC0C0_C0C0_0000_0000;
/// Offset in each half of the byte that a variant turns over (A.4.1).
const PIN: usize = 7;
const MAC_REQUEST: usize = 6;
const MAC_RESPONSE: usize = 4;
const DATA_REQUEST: usize = 5;
const DATA_RESPONSE: usize = 3;

impl Keystore {
    /// Opens a base derivation key of TDES DUKPT.
    ///
    /// # Errors
    /// `NotFound`, `State`, or `NotAllowed` unless it is a TDES key of use B0.
    pub fn dukpt_tdes_base_key(&self, name: &str) -> Result<DukptTdesBaseKey, KeyError> {
        let opened = self.open_for(name, &BASE)?;
        DukptTdesBaseKey::expand(two_parts(&opened)?, opened.check_value)
    }

    /// Opens the initial key of `device`, for a terminal whose base key others keep.
    ///
    /// # Errors
    /// `NotFound`, `State`, or `NotAllowed` unless it is a TDES key of use B1.
    pub fn dukpt_tdes_initial_key(
        &self,
        name: &str,
        device: DukptTdesDevice,
    ) -> Result<DukptTdesInitialKey, KeyError> {
        let opened = self.open_for(name, &INITIAL)?;
        let key = two_parts(&opened)?;
        let key = Held::new_with(Stay::Lasting, |bytes: &mut [u8; 16]| bytes.copy_from_slice(key))?;
        Ok(DukptTdesInitialKey { key, device })
    }
}

fn two_parts(opened: &Opened) -> Result<&[u8; 16], KeyError> {
    let key = opened.key.as_slice();
    let (algorithm, bytes) = (Algorithm::Tdes, key.len());
    let refuse = KeyError::Length { algorithm, bytes, expected: "16 bytes for a TDES key of DUKPT" };
    key.try_into().map_err(|_| refuse)
}

impl DukptTdesBaseKey {
    fn expand(key: &[u8; 16], check_value: [u8; 3]) -> Result<DukptTdesBaseKey, KeyError> {
        let masked = KeyBytes::made(key.len(), |masked| {
            masked.copy_from_slice(key);
            let (parts, _) = masked.as_chunks_mut::<8>();
            parts.iter_mut().for_each(|part| *part = (u64::from_be_bytes(*part) ^ HALF).to_be_bytes());
        });
        let right = Encipher::new(Algorithm::Tdes, masked.as_slice())?;
        let left = Encipher::new(Algorithm::Tdes, key)?;
        Ok(DukptTdesBaseKey { left, right, check_value })
    }

    /// The initial key of a device (A.6): the left 8 bytes of its serial number under the base key, and once more
    /// under the masked one.
    ///
    /// # Errors
    /// `Memory` when no more keys can be held.
    pub fn initial_key(&self, device: DukptTdesDevice) -> Result<DukptTdesInitialKey, DukptError> {
        let derive = |key: &mut [u8; 16]| {
            let (left, right) = key.split_at_mut(8);
            left.copy_from_slice(&device.left());
            right.copy_from_slice(&device.left());
            self.left.block(left);
            self.right.block(right);
        };
        let key = wiped::<HOT_STACK_BYTES, _>(|| Held::new_with(Stay::Lasting, derive))?;
        Ok(DukptTdesInitialKey { key, device })
    }

    /// The check value of the base key.
    #[must_use]
    pub fn check_value(&self) -> [u8; 3] {
        self.check_value
    }
}

impl DukptTdesInitialKey {
    /// The device whose key this is.
    #[must_use]
    pub fn device(&self) -> DukptTdesDevice {
        self.device
    }

    /// The PIN key of a transaction, to translate or to verify its PIN.
    ///
    /// # Errors
    /// `OtherDevice`, `WeakKey`.
    pub fn pin_key(&self, ksn: &DukptTdesKsn) -> Result<DukptPinKey, DukptError> {
        wiped::<HOT_STACK_BYTES, _>(|| {
            let walk = self.variant(ksn, PIN)?;
            Ok(DukptPinKey(PinOpener::new(Algorithm::Tdes, &walk.key)?))
        })
    }

    /// Moves the PIN of a transaction to the key of another zone, for the same PAN; see [`translate_pin`].
    ///
    /// # Errors
    /// Those of [`DukptTdesInitialKey::pin_key`] and, as `Pin`, of [`translate_pin`].
    pub fn translate_pin(
        &self,
        ksn: &DukptTdesKsn,
        format: PinFormat,
        to: &PinEncryptKey,
        to_format: PinFormat,
        pan: &[u8],
        block: &EncryptedPin,
    ) -> Result<EncryptedPin, DukptError> {
        Ok(translate_pin(&self.pin_key(ksn)?, format, to, to_format, pan, block)?)
    }

    /// Checks the MAC of a request (ISO 9797-1 algorithm 3, zeros) and turns `value` into a proof. As many bytes are
    /// compared as are given: how many a zone takes is for the caller to insist on, whatever the message brings.
    ///
    /// # Errors
    /// `Mac`, `MacLength` unless they are 4 to 8, `OtherDevice`, `WeakKey`; the value comes back untouched.
    pub fn verify_mac<T>(
        &self,
        ksn: &DukptTdesKsn,
        data: &[u8],
        mac: &[u8],
        value: T,
    ) -> Result<Authentic<T>, (DukptError, T)> {
        match self.mac(ksn, MAC_REQUEST, data) {
            Ok(computed) => check_mac(&computed, mac, value),
            Err(error) => Err((error, value)),
        }
    }

    /// The MAC of a response; with [`DukptWay::BothWays`] under the key of requests (A.4.1). Cut it as the zone says,
    /// never below 4 bytes.
    ///
    /// # Errors
    /// `OtherDevice`, `WeakKey`.
    pub fn generate_mac(
        &self,
        ksn: &DukptTdesKsn,
        way: DukptWay,
        data: &[u8],
    ) -> Result<[u8; 8], DukptError> {
        let variant = if way == DukptWay::OneWay { MAC_RESPONSE } else { MAC_REQUEST };
        self.mac(ksn, variant, data)
    }

    /// Decrypts data of a request in place (CBC).
    ///
    /// # Errors
    /// `DataLength` unless it is whole blocks of 8 bytes, `OtherDevice`, `WeakKey`.
    pub fn decrypt(&self, ksn: &DukptTdesKsn, iv: &[u8; 8], data: &mut [u8]) -> Result<(), DukptError> {
        check_blocks(data, 8)?;
        wiped::<HOT_STACK_BYTES, _>(|| {
            let walk = self.data_key(ksn, DATA_REQUEST)?;
            Decipher::brief(Algorithm::Tdes, &walk.key)?.cbc(iv, data);
            Ok(())
        })
    }

    /// Encrypts data of a response in place (CBC); `way` as for [`DukptTdesInitialKey::generate_mac`].
    ///
    /// # Errors
    /// As [`DukptTdesInitialKey::decrypt`].
    pub fn encrypt(
        &self,
        ksn: &DukptTdesKsn,
        way: DukptWay,
        iv: &[u8; 8],
        data: &mut [u8],
    ) -> Result<(), DukptError> {
        check_blocks(data, 8)?;
        let variant = if way == DukptWay::OneWay { DATA_RESPONSE } else { DATA_REQUEST };
        wiped::<HOT_STACK_BYTES, _>(|| {
            let walk = self.data_key(ksn, variant)?;
            Encipher::brief(Algorithm::Tdes, &walk.key)?.cbc(iv, data);
            Ok(())
        })
    }

    fn mac(&self, ksn: &DukptTdesKsn, variant: usize, data: &[u8]) -> Result<[u8; 8], DukptError> {
        wiped::<HOT_STACK_BYTES, _>(|| {
            let walk = self.variant(ksn, variant)?;
            Ok(DerivedRetail::new(&walk.key)?.mac(data, Padding::Zeros))
        })
    }

    /// A data key is a variant whose halves went through TDES under the whole of it, so that the transaction key
    /// does not follow from a data key that got known (A.4.1).
    fn data_key(&self, ksn: &DukptTdesKsn, variant: usize) -> Result<Held<Walk>, DukptError> {
        let mut walk = self.variant(ksn, variant)?;
        let cipher = Encipher::brief(Algorithm::Tdes, &walk.key)?;
        walk.key.chunks_exact_mut(8).for_each(|half| cipher.block(half));
        Ok(walk)
    }

    fn variant(&self, ksn: &DukptTdesKsn, offset: usize) -> Result<Held<Walk>, DukptError> {
        let mut walk = self.transaction_key(ksn)?;
        walk.key[offset] ^= 0xFF;
        walk.key[8 + offset] ^= 0xFF;
        Ok(walk)
    }

    /// Walks the bits of the counter from the left, each that is set through the one-way function (A.2, A.3).
    fn transaction_key(&self, ksn: &DukptTdesKsn) -> Result<Held<Walk>, DukptError> {
        if ksn.device() != self.device {
            return Err(DukptError::OtherDevice);
        }
        let mut walk = Held::<Walk>::brief();
        walk.key = *self.key;
        let mut register = u64::from_be_bytes(self.device.right());
        for bit in (0..21).rev().map(|n| 1_u64 << n).filter(|bit| u64::from(ksn.counter()) & bit != 0) {
            register |= bit;
            walk.step(register)?;
        }
        Ok(walk)
    }
}

impl Walk {
    /// The next key: its left half by the key under the mask, its right half by the key.
    fn step(&mut self, register: u64) -> Result<(), DukptError> {
        let left = self.half(HALF, register)?;
        let right = self.half(0, register)?;
        self.key[..8].copy_from_slice(&left);
        self.key[8..].copy_from_slice(&right);
        Ok(())
    }

    /// The serial number under DES with the left part, the right part xor-ed in before and after.
    fn half(&mut self, mask: u64, register: u64) -> Result<[u8; 8], DukptError> {
        let part = |n: usize| self.key.as_chunks::<8>().0[n];
        let [left, right] = [0, 1].map(|n| u64::from_be_bytes(part(n)) ^ mask);
        self.des.expand(&left.to_be_bytes()).map_err(|WeakKey| DukptError::WeakKey)?;
        let mut block = (register ^ right).to_be_bytes();
        self.des.encrypt(&mut block);
        Ok((u64::from_be_bytes(block) ^ right).to_be_bytes())
    }
}
