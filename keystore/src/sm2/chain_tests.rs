//! The chain of a QR code from root to code: what passes, and the precise answer to everything that does not.
//! Signing is done here alone, by keys that are made up here.

use sm2::dsa::SigningKey;
use sm2::dsa::signature::Signer as _;

use super::chain::*;
use super::{DEFAULT_ID, Sm2PublicKey};

const ROOT: [u8; 32] = [0x11; 32];
const ISSUER: [u8; 32] = [0x22; 32];
const OTHER: [u8; 32] = [0x33; 32];

const KEY_ID: u32 = 0x0102_0304;
const ISSUER_ID: u32 = 0x2000_0001;
const DAY: u32 = 20_784; // 2026-11-27
const NOON_S: u64 = 20_784 * 86_400 + 43_200;

fn signer(private: &[u8; 32]) -> SigningKey {
    SigningKey::from_slice(DEFAULT_ID, private).unwrap()
}

fn point(private: &[u8; 32]) -> [u8; 64] {
    use sm2::elliptic_curve::sec1::ToSec1Point as _;
    let point = signer(private).verifying_key().as_affine().to_sec1_point(false);
    point.as_bytes()[1..].try_into().unwrap()
}

fn signed(mut record: Vec<u8>, private: &[u8; 32]) -> Vec<u8> {
    let signature = signer(private).sign(&record).to_bytes();
    record.extend_from_slice(&signature);
    record
}

fn certificate(issuer: u32, key_id: u32, days: [u32; 2], subject: &[u8; 32], by: &[u8; 32]) -> Vec<u8> {
    let mut record = vec![0x11];
    for number in [issuer, key_id, days[0], days[1]] {
        record.extend_from_slice(&number.to_be_bytes());
    }
    record.extend_from_slice(&point(subject));
    signed(record, by)
}

fn code(key_id: u32, issued_s: u64, valid_s: u16, by: &[u8; 32]) -> Vec<u8> {
    let mut record = vec![0x21];
    record.extend_from_slice(&key_id.to_be_bytes());
    record.extend_from_slice(b"a token of a car");
    record.extend_from_slice(&issued_s.to_be_bytes());
    record.extend_from_slice(&valid_s.to_be_bytes());
    record.extend_from_slice(b"random 8");
    signed(record, by)
}

fn good_certificate() -> Vec<u8> {
    certificate(ISSUER_ID, KEY_ID, [DAY - 10, DAY + 10], &ISSUER, &ROOT)
}

fn chain() -> Chain {
    let mut chain = Chain::new(Sm2PublicKey::new(&point(&ROOT)).unwrap(), 5);
    chain.admit(&good_certificate()).unwrap();
    chain
}

#[test]
fn a_code_of_a_known_issuer_is_read() {
    let mut chain = Chain::new(Sm2PublicKey::new(&point(&ROOT)).unwrap(), 5);
    let code = code(KEY_ID, NOON_S, 60, &ISSUER);
    assert_eq!(chain.verify(&code, NOON_S), Err(ChainError::UnknownIssuer { key_id: KEY_ID }));
    let (issuer, key_id, from_day, until_day) = (ISSUER_ID, KEY_ID, DAY - 10, DAY + 10);
    let facts = IssuerCertificate { issuer, key_id, from_day, until_day };
    assert_eq!(chain.admit(&good_certificate()), Ok(facts));
    let found = chain.verify(&code, NOON_S + 59).unwrap();
    assert_eq!((found.issuer(), found.key_id(), found.token()), (ISSUER_ID, KEY_ID, b"a token of a car"));
    assert_eq!((found.issued_s(), found.valid_s(), found.random()), (NOON_S, 60, b"random 8"));
}

/// The layouts as bytes: what stands here must stay readable.
#[test]
fn the_layouts_have_golden_bytes() {
    let (certificate, code) = (good_certificate(), code(KEY_ID, NOON_S, 60, &ISSUER));
    assert_eq!((certificate.len(), code.len()), (CERTIFICATE_BYTES, CODE_BYTES));
    let hex = |bytes: &[u8]| crate::secret::hex(bytes);
    assert_eq!(hex(&certificate[..17]), "112000000101020304000051260000513A");
    assert_eq!(certificate[17..81], point(&ISSUER));
    assert_eq!(hex(&code[..5]), "2101020304");
    assert_eq!(&code[5..21], b"a token of a car");
    assert_eq!(hex(&code[21..31]), "000000006B0970C0003C");
    assert_eq!(&code[31..39], b"random 8");
}

#[test]
fn time_is_asked_to_the_second() {
    let chain = chain();
    let at = |issued_s, now_s| chain.verify(&code(KEY_ID, issued_s, 60, &ISSUER), now_s).map(drop);
    let early = |now_s| Err(ChainError::NotYetValid { record: "code", from_s: NOON_S, now_s });
    let late = |now_s| Err(ChainError::Expired { record: "code", until_s: NOON_S + 60, now_s });
    assert_eq!(at(NOON_S, NOON_S - 5), Ok(()));
    assert_eq!(at(NOON_S, NOON_S - 6), early(NOON_S - 6));
    assert_eq!(at(NOON_S, NOON_S + 59), Ok(()));
    assert_eq!(at(NOON_S, NOON_S + 60), late(NOON_S + 60));
    // The certificate's first and last second.
    let (first_s, end_s) = (u64::from(DAY - 10) * 86_400, u64::from(DAY + 11) * 86_400);
    assert_eq!(at(first_s, first_s), Ok(()));
    let before = first_s - 1;
    let error = ChainError::NotYetValid { record: "certificate", from_s: first_s, now_s: before };
    assert_eq!(at(before, before), Err(error));
    assert_eq!(at(end_s - 1, end_s - 1), Ok(()));
    let error = ChainError::Expired { record: "certificate", until_s: end_s, now_s: end_s };
    assert_eq!(at(end_s - 1, end_s), Err(error));
    // Numbers at their ends do not wrap.
    assert!(matches!(at(u64::MAX, NOON_S), Err(ChainError::NotYetValid { record: "code", .. })));
    assert!(matches!(at(0, NOON_S), Err(ChainError::Expired { record: "code", until_s: 60, .. })));
    assert!(matches!(at(NOON_S, u64::MAX), Err(ChainError::Expired { record: "certificate", .. })));
    assert!(matches!(
        chain.verify(&code(KEY_ID, NOON_S, 0, &ISSUER), NOON_S),
        Err(ChainError::Expired { record: "code", .. })
    ));
}

#[test]
fn signatures_of_others_do_not_hold() {
    let mut chain = chain();
    let bad = |record| Some(ChainError::Signature { record });
    assert_eq!(chain.verify(&code(KEY_ID, NOON_S, 60, &OTHER), NOON_S).err(), bad("code"));
    assert_eq!(chain.verify(&code(KEY_ID, NOON_S, 60, &ROOT), NOON_S).err(), bad("code"));
    for by in [OTHER, ISSUER] {
        let forged = certificate(ISSUER_ID, KEY_ID + 1, [0, u32::MAX], &OTHER, &by);
        assert_eq!(chain.admit(&forged).err(), bad("certificate"));
    }
    let unknown = chain.verify(&code(KEY_ID + 1, NOON_S, 60, &OTHER), NOON_S);
    assert_eq!(unknown.err(), Some(ChainError::UnknownIssuer { key_id: KEY_ID + 1 }));
}

#[test]
fn every_changed_bit_of_either_record_is_refused() {
    let chain = chain();
    let good = code(KEY_ID, NOON_S, 60, &ISSUER);
    assert!(chain.verify(&good, NOON_S).is_ok());
    for bit in 0..good.len() * 8 {
        let mut wrong = good.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        let error = chain.verify(&wrong, NOON_S).err();
        let fits = matches!(
            (bit / 8, error),
            (0, Some(ChainError::Malformed { record: "code", offset: 0, .. }))
                | (1..=4, Some(ChainError::UnknownIssuer { .. }))
                | (_, Some(ChainError::Signature { record: "code" }))
                | (21..=30, Some(ChainError::NotYetValid { .. } | ChainError::Expired { .. }))
        );
        assert!(fits, "bit {bit}: {error:?}");
    }
    let good = good_certificate();
    for bit in 0..good.len() * 8 {
        let mut wrong = good.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        let error = Chain::new(Sm2PublicKey::new(&point(&ROOT)).unwrap(), 0).admit(&wrong).err();
        let fits = matches!(
            (bit / 8, error),
            (0, Some(ChainError::Malformed { offset: 0, .. }))
                | (9..=16, Some(ChainError::Malformed { offset: 13, .. }))
                | (17..=80, Some(ChainError::Malformed { offset: 17, .. }))
                | (_, Some(ChainError::Signature { record: "certificate" }))
        );
        assert!(fits, "bit {bit}: {error:?}");
    }
}

#[test]
fn other_lengths_and_the_other_record_are_malformed() {
    let mut chain = chain();
    let (good, certificate) = (code(KEY_ID, NOON_S, 60, &ISSUER), good_certificate());
    let malformed = |record, offset, expected| Some(ChainError::Malformed { record, offset, expected });
    for len in 0..good.len() {
        assert_eq!(chain.verify(&good[..len], NOON_S).err(), malformed("code", len, "103 bytes"));
    }
    for len in 0..certificate.len() {
        assert_eq!(chain.admit(&certificate[..len]).err(), malformed("certificate", len, "145 bytes"));
    }
    let longer = |record: &[u8]| [record, &[0]].concat();
    assert_eq!(chain.verify(&longer(&good), NOON_S).err(), malformed("code", 103, "103 bytes"));
    assert_eq!(chain.admit(&longer(&certificate)).err(), malformed("certificate", 145, "145 bytes"));
    assert_eq!(chain.verify(&certificate[..103], NOON_S).err(), malformed("code", 0, "version 21"));
    assert_eq!(chain.admit(&[&good[..], &[0; 42]].concat()).err(), malformed("certificate", 0, "version 11"));
}

#[test]
fn one_key_id_is_one_issuer() {
    let mut chain = chain();
    let foreign = certificate(ISSUER_ID + 1, KEY_ID, [DAY, DAY], &OTHER, &ROOT);
    let taken = ChainError::KeyIdTaken { key_id: KEY_ID, issuer: ISSUER_ID };
    assert_eq!(chain.admit(&foreign).err(), Some(taken));
    assert!(chain.verify(&code(KEY_ID, NOON_S, 60, &ISSUER), NOON_S).is_ok(), "the first one stays");
    // Its own issuer may renew it.
    let renewed = certificate(ISSUER_ID, KEY_ID, [DAY + 1, DAY + 400], &OTHER, &ROOT);
    assert_eq!(chain.admit(&renewed).unwrap().until_day, DAY + 400);
    let tomorrow_s = NOON_S + 86_400;
    assert!(chain.verify(&code(KEY_ID, tomorrow_s, 60, &OTHER), tomorrow_s).is_ok());
    assert_eq!(
        chain.verify(&code(KEY_ID, tomorrow_s, 60, &ISSUER), tomorrow_s).err(),
        Some(ChainError::Signature { record: "code" })
    );
}
