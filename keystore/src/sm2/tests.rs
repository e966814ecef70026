//! The signature of the standard, agreement with a second implementation, and what is no key or signature.

use libsmx::sm2 as other;
use rand_core_06::{CryptoRng, RngCore};
use sm2::dsa::SigningKey;
use sm2::dsa::signature::Signer as _;

use super::*;
use crate::digest::Sm3;
use crate::testing::{Seeded, cases, unhex};

// GB/T 32918.5 annex A.2.
const D: &str = "3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8";
const Z: &str = "B2E14C5C79C6DF5B85F4FE7ED8DB7A262B9DA7E07CCB0EA9F4747B8CCDA8A4F3";
const E: &str = "F0B43E94BA45ACCAACE692ED534382EB17E6AB5A19CE7B31F4486FDFC0D28640";
const SIGNATURE: &str = "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3 \
                         B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA";
const MESSAGE: &[u8] = b"message digest";

/// The order of the curve's group.
const N: &str = "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123";

/// The tests' numbers for the second implementation, which wants a source of its own kind.
struct Numbers(Seeded);

impl RngCore for Numbers {
    fn next_u32(&mut self) -> u32 {
        self.0.number() as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0.number()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.iter_mut().for_each(|byte| *byte = self.0.number() as u8);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core_06::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Numbers {}

fn point(private: &[u8]) -> [u8; 65] {
    other::PrivateKey::from_bytes(private.try_into().unwrap()).unwrap().public_key()
}

fn public(private: &[u8]) -> [u8; 64] {
    point(private)[1..].try_into().unwrap()
}

/// A private key that exists: below the order by its first byte, and not zero.
fn private(random: &mut Seeded) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[1..].copy_from_slice(&random.bytes(31));
    bytes[31] |= 1;
    bytes
}

#[test]
fn the_signature_of_the_standard_holds() {
    let d = unhex(D);
    let signature: [u8; 64] = unhex(SIGNATURE).try_into().unwrap();
    let key = Sm2PublicKey::new(&public(&d)).unwrap();
    assert_eq!(key.verify(MESSAGE, &signature), Ok(()));
    assert_eq!(other::verify_message(MESSAGE, DEFAULT_ID.as_bytes(), &point(&d), &signature), Ok(()));
    // Z and e, the steps between.
    let z = other::get_z(DEFAULT_ID.as_bytes(), &point(&d));
    assert_eq!(z[..], unhex(Z));
    assert_eq!(Sm3::of(&[&unhex(Z), MESSAGE].concat())[..], unhex(E));
    let e: [u8; 32] = unhex(E).try_into().unwrap();
    assert_eq!(other::verify(&e, &point(&d), &signature), Ok(()));
}

#[test]
fn every_changed_bit_and_every_other_id_is_refused() {
    let (public, signature) = (public(&unhex(D)), unhex(SIGNATURE));
    let key = Sm2PublicKey::new(&public).unwrap();
    let check = |key: &Sm2PublicKey, message: &[u8], signature: &[u8]| {
        key.verify(message, signature.try_into().unwrap())
    };
    for bit in 0..512 {
        let mut wrong = signature.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(check(&key, MESSAGE, &wrong), Err(Sm2Error::Signature), "signature bit {bit}");
    }
    for bit in 0..MESSAGE.len() * 8 {
        let mut wrong = MESSAGE.to_vec();
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(check(&key, &wrong, &signature), Err(Sm2Error::Signature), "message bit {bit}");
    }
    for id in ["", "1234567812345679", "ALICE123@YAHOO.COM"] {
        let key = Sm2PublicKey::with_id(&public, id).unwrap();
        assert_eq!(check(&key, MESSAGE, &signature), Err(Sm2Error::Signature), "{id:?}");
    }
    // r and s lie between 1 and the order.
    let (r, s) = signature.split_at(32);
    for wrong in
        [[&[0; 32], s].concat(), [r, &[0; 32]].concat(), [&unhex(N), s].concat(), [r, &[0xFF; 32]].concat()]
    {
        assert_eq!(check(&key, MESSAGE, &wrong), Err(Sm2Error::Signature));
    }
}

#[test]
fn what_is_no_point_is_no_key() {
    let good = public(&unhex(D));
    assert_eq!(Sm2PublicKey::new(&[0; 64]).err(), Some(Sm2Error::Point));
    assert_eq!(Sm2PublicKey::new(&[0xFF; 64]).err(), Some(Sm2Error::Point));
    for bit in 0..512 {
        let mut wrong = good;
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Sm2PublicKey::new(&wrong).err(), Some(Sm2Error::Point), "bit {bit}");
    }
    assert!(Sm2PublicKey::with_id(&good, &"i".repeat(8191)).is_ok());
    let long = Sm2PublicKey::with_id(&good, &"i".repeat(8192));
    assert_eq!(long.err(), Some(Sm2Error::Id { bytes: 8192 }));
}

/// Signatures of both implementations, judged by both. A fortieth of the cases of other tests: each is four
/// multiplications on the curve, and the second implementation takes its time.
#[test]
fn signatures_agree_with_a_second_implementation() {
    let mut random = Seeded::new(0x5312);
    for case in 0..cases().div_ceil(40) {
        let d = private(&mut random);
        let (message, id) = (random.some(100), ["1234567812345678", "", "ID"][case as usize % 3]);
        let key = Sm2PublicKey::with_id(&public(&d), id).unwrap();
        let signed = if case % 2 == 0 {
            let mut numbers = Numbers(Seeded::new(random.number()));
            let signer = other::PrivateKey::from_bytes(&d).unwrap();
            other::sign_message(&message, id.as_bytes(), &signer, &mut numbers)
        } else {
            SigningKey::from_slice(id, &d).unwrap().sign(&message).to_bytes().into()
        };
        // One in two is spoiled, in the signature or in the message.
        let (mut signature, mut message) = (signed, message);
        let spoiled = case / 2 % 2 == 1;
        if spoiled && (message.is_empty() || random.below(2) == 0) {
            signature[random.below(64)] ^= 1 << random.below(8);
        } else if spoiled {
            let at = random.below(message.len());
            message[at] ^= 1 << random.below(8);
        }
        let theirs = other::verify_message(&message, id.as_bytes(), &point(&d), &signature);
        assert_eq!(
            (key.verify(&message, &signature).is_ok(), theirs.is_ok()),
            (!spoiled, !spoiled),
            "{case}"
        );
    }
}
