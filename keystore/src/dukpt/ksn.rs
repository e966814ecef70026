//! Key serial numbers: which device, and the how-manieth of its transactions.
//!
//! ```text
//! TDES  | key set, device: 59 bits                    | counter: 21 bits | 10 bytes
//! AES   | base key id: 4 bytes | derivation id: 4 bytes | counter: 32 bits | 12 bytes
//! ```
//! A counter that no terminal may use is refused when it is parsed. Nothing here is secret.

use std::fmt;

use crate::secret::hex;

/// Counter bits of a TDES key serial number.
const TDES_COUNTER: u32 = 0x001F_FFFF;
/// Bits a counter may have set: the most derivations a terminal holds keys for (X9.24-1:2009 annex A.1.2).
const TDES_BITS_MAX: u32 = 10;
/// The same of X9.24-3:2017 clause 6.
const AES_BITS_MAX: u32 = 16;

/// The key serial number of a transaction of TDES DUKPT, 10 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DukptTdesKsn {
    device: DukptTdesDevice,
    counter: u32,
}

/// The key serial number of a transaction of AES DUKPT, 12 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DukptAesKsn {
    device: DukptAesDevice,
    counter: u32,
}

/// The device in a TDES key serial number: its 59 bits on the left, and zeros.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DukptTdesDevice([u8; 10]);

/// The device in an AES key serial number, its initial key id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DukptAesDevice([u8; 8]);

/// Why bytes are no key serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KsnError {
    /// The length is wrong.
    #[error("{bytes} bytes are no key serial number: expected {expected}")]
    Length {
        /// The length given.
        bytes: usize,
        /// That of this generation of DUKPT.
        expected: usize,
    },
    /// The counter is zero: that is the initial key, which secures no transaction.
    #[error("the key serial number has a counter of zero: no transaction is secured by the initial key")]
    NoTransaction,
    /// The terminal should have skipped this counter.
    #[error(
        "the counter {counter:X} has {bits} bits set, more than the {max} of a terminal that keeps to the standard"
    )]
    TooManyBits {
        /// The counter.
        counter: u32,
        /// Its bits that are set.
        bits: u32,
        /// How many may be.
        max: u32,
    },
}

impl DukptTdesKsn {
    /// Takes 10 bytes.
    ///
    /// # Errors
    /// See [`KsnError`]; a counter has at most 10 bits set.
    pub fn from_bytes(ksn: &[u8]) -> Result<DukptTdesKsn, KsnError> {
        let device = DukptTdesDevice::from_bytes(ksn)?;
        let low = ksn.last_chunk().map_or(0, |low| u32::from_be_bytes(*low));
        Ok(DukptTdesKsn { device, counter: counter(low & TDES_COUNTER, TDES_BITS_MAX)? })
    }

    /// The device alone.
    #[must_use]
    pub fn device(&self) -> DukptTdesDevice {
        self.device
    }

    /// The how-manieth transaction, as the terminal counts (it skips some).
    #[must_use]
    pub fn counter(&self) -> u32 {
        self.counter
    }

    /// As it is sent.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 10] {
        let mut bytes = self.device.0;
        bytes[6..].iter_mut().zip(self.counter.to_be_bytes()).for_each(|(byte, counter)| *byte |= counter);
        bytes
    }
}

impl DukptTdesDevice {
    /// Takes the 10 bytes of any key serial number of the device, that of its initial key included.
    ///
    /// # Errors
    /// `Length`.
    pub fn from_bytes(ksn: &[u8]) -> Result<DukptTdesDevice, KsnError> {
        let (bytes, expected) = (ksn.len(), 10);
        let mut device: [u8; 10] = ksn.try_into().map_err(|_| KsnError::Length { bytes, expected })?;
        device[6..].iter_mut().zip((!TDES_COUNTER).to_be_bytes()).for_each(|(byte, mask)| *byte &= mask);
        Ok(DukptTdesDevice(device))
    }

    /// The left 8 bytes, of which the initial key is made.
    pub(super) fn left(&self) -> [u8; 8] {
        std::array::from_fn(|n| self.0[n])
    }

    /// The right 8 bytes, with which the derivation of transaction keys starts.
    pub(super) fn right(&self) -> [u8; 8] {
        std::array::from_fn(|n| self.0[2 + n])
    }
}

impl DukptAesKsn {
    /// Takes 12 bytes.
    ///
    /// # Errors
    /// See [`KsnError`]; a counter has at most 16 bits set.
    pub fn from_bytes(ksn: &[u8]) -> Result<DukptAesKsn, KsnError> {
        let (bytes, expected) = (ksn.len(), 12);
        match (ksn.first_chunk(), ksn.last_chunk()) {
            (Some(device), Some(low)) if bytes == expected => Ok(DukptAesKsn {
                device: DukptAesDevice(*device),
                counter: counter(u32::from_be_bytes(*low), AES_BITS_MAX)?,
            }),
            _ => Err(KsnError::Length { bytes, expected }),
        }
    }

    /// The device alone.
    #[must_use]
    pub fn device(&self) -> DukptAesDevice {
        self.device
    }

    /// The how-manieth transaction, as the terminal counts (it skips some).
    #[must_use]
    pub fn counter(&self) -> u32 {
        self.counter
    }

    /// As it is sent.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.device.0);
        bytes[8..].copy_from_slice(&self.counter.to_be_bytes());
        bytes
    }
}

impl DukptAesDevice {
    /// Takes the initial key id.
    #[must_use]
    pub fn new(initial_key_id: [u8; 8]) -> DukptAesDevice {
        DukptAesDevice(initial_key_id)
    }

    pub(super) fn id(&self) -> [u8; 8] {
        self.0
    }

    /// The right half: what tells the devices under one base key apart.
    pub(super) fn derivation_id(&self) -> [u8; 4] {
        std::array::from_fn(|n| self.0[4 + n])
    }
}

fn counter(counter: u32, max: u32) -> Result<u32, KsnError> {
    match counter.count_ones() {
        0 => Err(KsnError::NoTransaction),
        bits if bits > max => Err(KsnError::TooManyBits { counter, bits, max }),
        _ => Ok(counter),
    }
}

impl fmt::Debug for DukptTdesKsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DukptTdesKsn({})", hex(&self.to_bytes()))
    }
}

impl fmt::Debug for DukptAesKsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DukptAesKsn({})", hex(&self.to_bytes()))
    }
}

impl fmt::Debug for DukptTdesDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DukptTdesDevice({})", hex(&self.0))
    }
}

impl fmt::Debug for DukptAesDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DukptAesDevice({})", hex(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::unhex;

    #[test]
    fn tdes_numbers_are_parsed_and_spelled() {
        let ksn = DukptTdesKsn::from_bytes(&unhex("FFFF9876543210EFF800")).unwrap();
        assert_eq!((ksn.counter(), hex(&ksn.to_bytes())), (0xF_F800, "FFFF9876543210EFF800".into()));
        assert_eq!(format!("{:?}", ksn.device()), "DukptTdesDevice(FFFF9876543210E00000)");
        assert_eq!(DukptTdesDevice::from_bytes(&unhex("FFFF9876543210E00000")), Ok(ksn.device()));
        let parse = |text: &str| DukptTdesKsn::from_bytes(&unhex(text)).map(|ksn| ksn.counter());
        assert_eq!(parse("FFFF9876543210F00000"), Ok(0x10_0000), "all 21 bits count");
        assert_eq!(parse("FFFF9876543210E00000"), Err(KsnError::NoTransaction));
        assert_eq!(parse("FFFF9876543210E003FF"), Ok(0x3FF));
        let (counter, bits, max) = (0x7FF, 11, 10);
        assert_eq!(parse("FFFF9876543210E007FF"), Err(KsnError::TooManyBits { counter, bits, max }));
        for bytes in [0, 8, 9, 11, 12] {
            let refused = DukptTdesKsn::from_bytes(&vec![1; bytes]);
            assert_eq!(refused, Err(KsnError::Length { bytes, expected: 10 }));
        }
    }

    #[test]
    fn aes_numbers_are_parsed_and_spelled() {
        let ksn = DukptAesKsn::from_bytes(&unhex("1234567890123456 0001FFFE")).unwrap();
        assert_eq!((ksn.counter(), hex(&ksn.to_bytes())), (0x1_FFFE, "12345678901234560001FFFE".into()));
        assert_eq!(ksn.device(), DukptAesDevice::new(unhex("1234567890123456").try_into().unwrap()));
        let parse = |text: &str| DukptAesKsn::from_bytes(&unhex(text)).map(|ksn| ksn.counter());
        assert_eq!(parse("1234567890123456FFFF0000"), Ok(0xFFFF_0000));
        assert_eq!(parse("123456789012345600000000"), Err(KsnError::NoTransaction));
        let (counter, bits, max) = (0x1_FFFF, 17, 16);
        assert_eq!(parse("12345678901234560001FFFF"), Err(KsnError::TooManyBits { counter, bits, max }));
        for bytes in [0, 10, 11, 13, 16] {
            let refused = DukptAesKsn::from_bytes(&vec![1; bytes]);
            assert_eq!(refused, Err(KsnError::Length { bytes, expected: 12 }));
        }
    }
}
