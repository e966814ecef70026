//! Helpers of the unit tests: hexadecimal, and stores that hold a key of known value.
//! Compiled for tests only.

use crate::attributes::{Algorithm, Export, Mode, Usage};
use crate::lmk::Lmk;
use crate::store::Keystore;

/// Reads hexadecimal; spaces are for the eye.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|c| *c != b' ').collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).expect("hex in a test"))
        .collect()
}

/// Two components of a key: a fixed mask, and the rest.
pub(crate) fn components(key: &[u8]) -> Vec<Vec<u8>> {
    let mask: Vec<u8> = (0..key.len()).map(|n| 0x5D ^ (n as u8).wrapping_mul(29)).collect();
    vec![key.iter().zip(&mask).map(|(a, b)| a ^ b).collect(), mask]
}

/// A test store with one free, exportable key of known value, named `key`.
pub(crate) fn store_with(usage: Usage, algorithm: Algorithm, key: &[u8]) -> Keystore {
    let store = Keystore::in_memory(Lmk::test());
    put(&store, "key", usage, algorithm, Mode::Both, key);
    store
}

/// Adds a key of known value, exportability S.
pub(crate) fn put(store: &Keystore, name: &str, usage: Usage, algorithm: Algorithm, mode: Mode, key: &[u8]) {
    store.import_components(name, usage, algorithm, mode, Export::S, &components(key)).unwrap();
}

/// A published UnionPay terminal message, MTI to field 63 (its MAC is `8A9E91B8`).
pub(crate) const UNIONPAY_DATA: &str = "0200302004C020C0981100000000000000005100183402100006324392260009942820D1312101120084393136363838303134303030303030303030303030303031313536ACF46E73838A82F92600000000000000000822000001";

/// How many cases a differential test tries: 10,000, or what `YIKA_DIFFERENTIAL_CASES` says.
pub(crate) fn cases() -> u64 {
    match std::env::var("YIKA_DIFFERENTIAL_CASES") {
        Ok(count) => count.parse().expect("YIKA_DIFFERENTIAL_CASES is a number of cases"),
        Err(_) => 10_000,
    }
}

/// Bytes that look random and are the same in every run (SplitMix64).
pub(crate) struct Seeded(u64);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Seeded {
        Seeded(seed)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % end as u64).unwrap()
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.number() as u8).collect()
    }

    /// Up to `end` bytes, of any length below it.
    pub(crate) fn some(&mut self, end: usize) -> Vec<u8> {
        let count = self.below(end);
        self.bytes(count)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.number() as u8)
    }

    /// Decimal digits as text.
    pub(crate) fn digits(&mut self, len: usize) -> String {
        (0..len).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }
}
