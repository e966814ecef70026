//! The keys and the PIN that are looked for, all masked; and their components, which are wiped after use.

use super::scan::{MASK, Needles};
use yika_keystore::{Algorithm, Algorithm::*, Usage};
use zeroize::Zeroizing;

/// A key of the store.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) usage: Usage,
    pub(crate) algorithm: Algorithm,
    bytes: usize,
}

const fn key(name: &'static str, usage: Usage, algorithm: Algorithm, bytes: usize) -> Key {
    Key { name, usage, algorithm, bytes }
}

/// One of each kind of work.
pub(crate) const KEYS: [Key; 29] = [
    key("mac.cmac", Usage::MacCmac, Aes, 16),
    key("mac.cmac-256", Usage::MacCmac, Aes, 32),
    key("mac.cmac-tdes", Usage::MacCmac, Tdes, 16),
    key("mac.retail", Usage::MacRetail, Tdes, 16),
    key("mac.retail-sm4", Usage::MacRetail, Sm4, 32),
    key("mac.cbc", Usage::MacIso9797Alg1, Sm4, 16),
    key("mac.ecb", Usage::MacUnionPayEcb, Des, 8),
    key("mac.hmac", Usage::MacHmac, Hmac, 32),
    key("pin.tdes", Usage::Pin, Tdes, 16),
    key("pin.tdes-3", Usage::Pin, Tdes, 24),
    key("pin.aes", Usage::Pin, Aes, 16),
    key("pin.sm4", Usage::Pin, Sm4, 16),
    key("data.tdes", Usage::Data, Tdes, 16),
    key("data.aes", Usage::Data, Aes, 32),
    key("kek.aes", Usage::KeyBlockProtection, Aes, 32),
    key("kek.tdes", Usage::Kek, Tdes, 16),
    key("gate", Usage::Derivation, Aes, 16),
    key("dukpt.tdes", Usage::DukptBase, Tdes, 16),
    key("dukpt.aes", Usage::DukptBase, Aes, 16),
    key("dukpt.aes-initial", Usage::DukptInitial, Aes, 16),
    key("emv.ac", Usage::EmvCryptogram, Tdes, 16),
    key("emv.mac", Usage::EmvIntegrity, Tdes, 16),
    key("emv.enc", Usage::EmvConfidentiality, Tdes, 16),
    key("emv.dn", Usage::EmvDynamicNumbers, Tdes, 16),
    key("cvk", Usage::CardVerification, Tdes, 16),
    key("pvk", Usage::PinVerifyPvv, Tdes, 16),
    key("pgk", Usage::PinVerifyIbm3624, Tdes, 16),
    key("tac", Usage::TacMaster, Tdes, 16),
    key("tac.sm4", Usage::TacMaster, Sm4, 16),
];

/// The base key of X9.24-1:2009 annex A.4, and what comes of it for the first transaction of FFFF9876543210E: the initial
/// key, the transaction's key, its PIN key. Masked. The base key itself is in every program that hashes by SHA-1.
pub(crate) const DUKPT_BASE: [u8; 16] = *b"\xA4\x86\xE0\xC2\x2C\x0E\x68\x4A\x5B\x79\x1F\x3D\xD3\xF1\x97\xB5";
const DUKPT_DERIVED: [(&str, [u8; 16]); 3] = [
    ("dukpt.initial", *b"\xCF\x67\x37\x5F\x04\x94\xFE\xE8\x20\x2F\x16\x06\x72\x70\x36\x9F"),
    ("dukpt.transaction", *b"\xA1\x83\xC3\x11\x34\x21\x6A\x06\xCD\x7B\x33\x8D\x75\x9C\xDE\x6C"),
    ("dukpt.pin", *b"\xA1\x83\xC3\x11\x34\x21\x6A\xF9\xCD\x7B\x33\x8D\x75\x9C\xDE\x93"),
];
pub(crate) const KSN: [u8; 10] = *b"\xFF\xFF\x98\x76\x54\x32\x10\xE0\x00\x01";

pub(crate) const PAN: &[u8] = b"4111111111111111";
/// 12 digits, masked: long enough to be nothing else.
const PIN: [u8; 12] = *b"\x92\x96\x9C\x94\x93\x91\x9D\x97\x95\x90\x92\x94";

/// The keys of the master key and of the one that takes its place.
pub(crate) const MASTERS: [&str; 2] = ["lmk", "next lmk"];

/// The masked bytes of a key: numbers that look random and are the same in every run, by the key's name.
fn masked(name: &str, bytes: usize) -> Vec<u8> {
    let mut state = name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// Two components of a key that stands masked.
pub(crate) fn split(name: &str, masked: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let mask = self::masked(&format!("the first component of {name}"), masked.len());
    let other = masked.iter().zip(&mask).map(|(byte, mask)| byte ^ (mask ^ MASK)).collect();
    vec![Zeroizing::new(other), Zeroizing::new(mask)]
}

impl Key {
    pub(crate) fn components(&self) -> Vec<Vec<u8>> {
        split(self.name, &masked(self.name, self.bytes)).into_iter().map(|part| part.to_vec()).collect()
    }
}

pub(crate) fn master(name: &str) -> [Zeroizing<[u8; 32]>; 2] {
    let parts = split(name, &masked(name, 32));
    [0, 1].map(|n| Zeroizing::new(parts[n].as_slice().try_into().expect("32 bytes")))
}

pub(crate) fn pin() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(PIN.iter().map(|digit| digit ^ MASK).collect())
}

pub(crate) fn needles() -> Needles {
    let mut needles = Needles::new();
    for name in MASTERS {
        needles.key(name, &masked(name, 32));
    }
    for Key { name, bytes, algorithm, .. } in KEYS {
        needles.key(name, &masked(name, bytes));
        if algorithm == Hmac {
            // What HMAC mixes in before it hashes (FIPS 198-1).
            for pad in [0x36, 0x5C] {
                let padded: Vec<u8> = masked(name, bytes).iter().map(|byte| byte ^ pad).collect();
                needles.key(&format!("{name} under the pad {pad:02x}"), &padded);
            }
        }
    }
    DUKPT_DERIVED.iter().for_each(|(name, masked)| needles.key(name, masked));
    for (name, masked) in pin_forms() {
        needles.bytes(&name, &masked);
        needles.bytes(&format!("{name}, turned round"), &masked.iter().rev().copied().collect::<Vec<u8>>());
    }
    needles
}

/// The PIN as digits, as nibbles, in the fields of formats 0 and 4, and in the clear block of format 0, all masked.
fn pin_forms() -> Vec<(String, Vec<u8>)> {
    let digit = |n: usize| (PIN[n] ^ MASK) & 0x0F;
    let field = |control: u8, filler: u8| -> Vec<u8> {
        let packed = (0..6).map(|n| digit(2 * n) << 4 | digit(2 * n + 1));
        [control << 4 | 12]
            .into_iter()
            .chain(packed)
            .chain([filler << 4 | filler])
            .map(|byte| byte ^ MASK)
            .collect()
    };
    // Four zeros and the twelve digits before the check digit.
    let pan: Vec<u8> = [&b"0000"[..], &PAN[3..15]]
        .concat()
        .chunks(2)
        .map(|pair| (pair[0] - b'0') << 4 | (pair[1] - b'0'))
        .collect();
    let block = field(0, 0xF).iter().zip(&pan).map(|(byte, pan)| byte ^ pan).collect();
    vec![
        ("the PIN".to_owned(), PIN.to_vec()),
        ("the PIN as nibbles".to_owned(), (0..12).map(|n| digit(n) ^ MASK).collect()),
        ("the PIN field of format 0".to_owned(), field(0, 0xF)),
        ("the PIN field of format 4".to_owned(), field(4, 0xA)),
        ("the clear PIN block of format 0".to_owned(), block),
    ]
}

/// Secrets to be left behind on purpose: of each sort one.
pub(crate) fn samples() -> Vec<(String, Vec<u8>)> {
    let mut samples = vec![
        ("mac.cmac-256".to_owned(), masked("mac.cmac-256", 32)),
        ("lmk".to_owned(), masked("lmk", 32)),
        ("dukpt.pin".to_owned(), DUKPT_DERIVED[2].1.to_vec()),
    ];
    samples.extend(pin_forms());
    samples
}
