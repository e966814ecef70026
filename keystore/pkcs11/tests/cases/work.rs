//! Keys, MACs, data and signatures, held to second implementations under keys that the test puts into the token.

use std::path::Path;

use aes::cipher::{Block, BlockCipherEncrypt, KeyInit};
use cmac::Mac as _;
use cryptoki::context::Pkcs11;
use cryptoki::object::{Attribute, KeyType, ObjectClass};
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use yika_keystore::{
    Algorithm, Backend, BackendError, Export, HealthState, KeyRef, Keystore, Lmk, MacMethod, MacPadding,
    MacRule, Mode, Operation, Outcome, PinFormat, PinFrom, PinIn, Usage,
};
use yika_pkcs11::{Chaining, Purpose, Signer, Token, TokenError};

use super::{LABEL, context, opened};

/// The same numbers in every run (xorshift64).
struct Random(u64);

impl Random {
    fn byte(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u8
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }
}

fn cases() -> u32 {
    std::env::var("YIKA_DIFFERENTIAL_CASES").map_or(10_000, |text| text.parse().unwrap())
}

/// A token with keys of known value in it, marked by the test as the product would.
fn with_keys(library: &Path, folder: &Path, keys: &[(&str, &[u8], KeyType, &[u8])]) -> Token {
    let token = opened(library, folder);
    put(library, keys);
    token
}

pub(super) fn keys_do_what_they_were_made_for_alone(library: &Path, folder: &Path) {
    let token = opened(library, folder);
    let keys = [
        ("custody", Purpose::Custody),
        ("mac", Purpose::Cmac(16)),
        ("aes", Purpose::DataAes),
        ("tdes", Purpose::DataTdes),
    ];
    for (label, purpose) in keys {
        token.create_key(label, purpose).unwrap();
        assert!(matches!(token.create_key(label, purpose), Err(TokenError::KeyExists { .. })));
    }
    token.create_signer("signer", Signer::P256).unwrap();
    assert!(matches!(token.create_signer("mac", Signer::P256), Err(TokenError::KeyExists { .. })));
    assert!(matches!(token.create_key("odd", Purpose::Cmac(24)), Err(TokenError::Input { .. })));
    for label in ["custody", "mac", "aes", "tdes", "signer", "none"] {
        let no_key =
            |error: TokenError| assert!(matches!(error, TokenError::NoKey { .. }), "{label}: {error}");
        if label != "mac" {
            no_key(token.cmac(label, b"data").unwrap_err());
            no_key(token.cmac_holds(label, b"data", &[0; 16]).unwrap_err());
        }
        if !["aes", "tdes"].contains(&label) {
            no_key(token.encrypt(label, Chaining::Ecb, &[0; 16]).unwrap_err());
            no_key(token.decrypt(label, Chaining::Ecb, &[0; 16]).unwrap_err());
        }
        if label != "custody" {
            no_key(token.draw_lmk(label).err().unwrap());
        }
        if label != "signer" {
            no_key(token.sign(label, Signer::P256, &[0; 32]).unwrap_err());
            no_key(token.public_key(label).unwrap_err());
        }
    }
    for (label, iv, data) in
        [("aes", &[0; 8][..], 16), ("tdes", &[0; 16], 16), ("aes", &[0; 16], 8), ("aes", &[0; 16], 0)]
    {
        let refused = token.encrypt(label, Chaining::Cbc(iv), &vec![0; data]);
        assert!(matches!(refused, Err(TokenError::Input { .. })), "{label} {data}");
    }
    // A PIN key that somebody else put there is none of ours.
    let marks: [&[u8]; 3] = [b"", b"P0", b"yika:P0"];
    let foreign: Vec<_> = marks.iter().map(|mark| ("pin", *mark, KeyType::AES, &[7; 16][..])).collect();
    put(library, &foreign);
    assert!(matches!(token.decrypt("pin", Chaining::Ecb, &[0; 16]), Err(TokenError::NoKey { .. })));
}

/// Puts keys into the token that is open: its login is the process's.
fn put(library: &Path, keys: &[(&str, &[u8], KeyType, &[u8])]) {
    let context = context(library);
    let slots = context.get_slots_with_token().unwrap();
    let slot =
        slots.into_iter().find(|slot| context.get_token_info(*slot).unwrap().label() == LABEL).unwrap();
    let session = context.open_rw_session(slot).unwrap();
    for (label, mark, kind, value) in keys {
        let macs = mark.ends_with(b"M6");
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(*kind),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Label((*label).into()),
            Attribute::Id(mark.to_vec()),
            Attribute::Value(value.to_vec()),
            Attribute::Sign(macs),
            Attribute::Verify(macs),
            Attribute::Encrypt(!macs),
            Attribute::Decrypt(!macs),
        ];
        session.create_object(&template).unwrap();
    }
}

/// RFC 4493, and random messages.
pub(super) fn macs_agree_with_a_second_implementation(library: &Path, folder: &Path) {
    let key: [u8; 16] = *b"\x2B\x7E\x15\x16\x28\xAE\xD2\xA6\xAB\xF7\x15\x88\x09\xCF\x4F\x3C";
    let long = [0x5A; 32];
    let token = with_keys(
        library,
        folder,
        &[("rfc", b"yika:M6", KeyType::AES, &key), ("long", b"yika:M6", KeyType::AES, &long)],
    );
    assert_eq!(token.cmac("rfc", b"").unwrap(), 0xBB1D_6929_E959_3728_7FA3_7D12_9B75_6746_u128.to_be_bytes());
    let mut random = Random(0xC3AC);
    for case in 0..cases() {
        let data = random.bytes(case as usize % 70);
        let label = if case % 2 == 0 { "rfc" } else { "long" };
        let theirs: [u8; 16] = if case % 2 == 0 {
            cmac::Cmac::<aes::Aes128>::new(&key.into()).chain_update(&data).finalize().into_bytes().into()
        } else {
            cmac::Cmac::<aes::Aes256>::new(&long.into()).chain_update(&data).finalize().into_bytes().into()
        };
        assert_eq!(token.cmac(label, &data).unwrap(), theirs, "case {case}");
    }
    let mac = token.cmac("rfc", b"data").unwrap();
    assert!(token.cmac_holds("rfc", b"data", &mac).unwrap());
    for bit in 0..128 {
        let wrong = (u128::from_be_bytes(mac) ^ 1 << bit).to_be_bytes();
        assert!(!token.cmac_holds("rfc", b"data", &wrong).unwrap(), "bit {bit}");
    }
    // X9.143, check value of the key of RFC 4493: the CMAC of a block of zeros.
    let zeros = cmac::Cmac::<aes::Aes128>::new(&key.into()).chain_update([0; 16]).finalize().into_bytes();
    assert_eq!(token.check_value("rfc").unwrap(), zeros[..3]);
}

pub(super) fn data_agrees_with_a_second_implementation(library: &Path, folder: &Path) {
    let (aes, tdes) = (
        [0xA7; 32],
        *b"\x01\x23\x45\x67\x89\xAB\xCD\xEF\x23\x45\x67\x89\xAB\xCD\xEF\x01\x45\x67\x89\xAB\xCD\xEF\x01\x23",
    );
    let token = with_keys(
        library,
        folder,
        &[("aes", b"yika:D0", KeyType::AES, &aes), ("tdes", b"yika:D0", KeyType::DES3, &tdes)],
    );
    // SP 800-67 B.1.
    let sample = token.encrypt("tdes", Chaining::Ecb, b"The qufck brown fox jump").unwrap();
    assert_eq!(sample[..8], 0xA826_FD8C_E53B_855F_u64.to_be_bytes());
    assert_eq!(token.check_value("tdes").unwrap(), by_the_book::<des::TdesEde3>(&tdes, None, &[0; 8])[..3]);
    let mut random = Random(0xDA7A);
    for case in 0..cases() / 2 {
        let (label, n) = if case % 2 == 0 { ("aes", 16) } else { ("tdes", 8) };
        let (iv, clear) = (random.bytes(n), random.bytes(n * (1 + case as usize % 5)));
        let chained = case % 4 < 2;
        let chaining = if chained { Chaining::Cbc(&iv) } else { Chaining::Ecb };
        let iv = chained.then_some(iv.as_slice());
        let theirs = match label {
            "aes" => by_the_book::<aes::Aes256>(&aes, iv, &clear),
            _ => by_the_book::<des::TdesEde3>(&tdes, iv, &clear),
        };
        let ours = token.encrypt(label, chaining, &clear).unwrap();
        assert_eq!(ours, theirs, "case {case}");
        assert_eq!(*token.decrypt(label, chaining, &ours).unwrap(), clear, "case {case}");
    }
}

fn by_the_book<C: KeyInit + BlockCipherEncrypt>(key: &[u8], iv: Option<&[u8]>, clear: &[u8]) -> Vec<u8> {
    let cipher = C::new_from_slice(key).unwrap();
    let n = C::block_size();
    let (mut out, mut before) = (Vec::new(), iv.map_or(vec![0; n], <[u8]>::to_vec));
    for block in clear.chunks(n) {
        let mixed: Vec<u8> = block.iter().zip(&before).map(|(one, other)| one ^ other).collect();
        let mut next = Block::<C>::try_from(mixed.as_slice()).unwrap();
        cipher.encrypt_block(&mut next);
        if iv.is_some() {
            before = next.to_vec();
        }
        out.extend_from_slice(&next);
    }
    out
}

pub(super) fn signatures_hold_by_a_second_implementation(library: &Path, folder: &Path) {
    let token = opened(library, folder);
    token.create_signer("ed", Signer::Ed25519).unwrap();
    token.create_signer("ec", Signer::P256).unwrap();
    let root = ring::digest::digest(&ring::digest::SHA256, b"a root of the audit log");
    let (ed, ec) = (token.public_key("ed").unwrap(), token.public_key("ec").unwrap());
    let mut signed = token.sign("ed", Signer::Ed25519, root.as_ref()).unwrap();
    assert!(UnparsedPublicKey::new(&ED25519, &ed).verify(root.as_ref(), &signed).is_ok());
    signed[3] ^= 1;
    assert!(UnparsedPublicKey::new(&ED25519, &ed).verify(root.as_ref(), &signed).is_err());
    let signed = token.sign("ec", Signer::P256, root.as_ref()).unwrap();
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &ec);
    assert!(public.verify(b"a root of the audit log", &signed).is_ok());
    assert!(public.verify(b"another root of it", &signed).is_err());
    assert!(matches!(token.sign("ec", Signer::P256, b"no digest"), Err(TokenError::Input { .. })));
}

/// The same keys in the token and in a keystore: the same answers, and no PIN.
pub(super) fn a_backend_answers_as_software_does(library: &Path, folder: &Path) {
    let (mac_key, data_key) = ([0x3D; 16], [0xA7; 32]);
    let token = with_keys(
        library,
        folder,
        &[("mac", b"yika:M6", KeyType::AES, &mac_key), ("data", b"yika:D0", KeyType::AES, &data_key)],
    );
    let store = Keystore::in_memory(Lmk::test());
    for (name, usage, key) in [("mac", Usage::MacCmac, &mac_key[..]), ("data", Usage::Data, &data_key)] {
        let parts: [Vec<u8>; 2] = [key.iter().map(|byte| byte ^ 0x5D).collect(), vec![0x5D; key.len()]];
        store.import_components(name, usage, Algorithm::Aes, Mode::Both, Export::N, &parts).unwrap();
    }
    let (software, encrypts) = (store.mac_key("mac").unwrap(), store.data_encrypt_key("data").unwrap());
    let (mac, data) = (KeyRef::new("mac").unwrap(), KeyRef::new("data").unwrap());
    let ask = |operation: Operation<'_>| token.submit(&[operation]).remove(0);
    let mut random = Random(0xBAC);
    for case in 0..1000_usize {
        let text = random.bytes(case % 50);
        let rule = MacRule { method: MacMethod::Cmac, padding: MacPadding::default(), bytes: 4 + case % 13 };
        let expected = &software.generate_full(&text).as_bytes()[..rule.bytes].to_vec();
        let Ok(Outcome::Mac(made)) = ask(Operation::GenerateMac { key: &mac, rule, data: &text }) else {
            panic!()
        };
        assert_eq!(made.as_bytes(), expected, "case {case}");
        let holds = |mac_sent: &[u8]| {
            let answer = ask(Operation::VerifyMac { key: &mac, rule, data: &text, mac: mac_sent });
            matches!(answer, Ok(Outcome::Verified(true)))
        };
        assert!(holds(expected) && !holds(&expected[..rule.bytes - 1]) && !holds(&[0; 16]));
        let (iv, mut cipher) = (random.bytes(16), text.clone());
        encrypts.encrypt(&iv, &mut cipher).unwrap();
        let Ok(Outcome::Data(made)) = ask(Operation::EncryptData { key: &data, iv: &iv, data: &text }) else {
            panic!()
        };
        assert_eq!(*made, cipher, "case {case}");
        let Ok(Outcome::Data(back)) = ask(Operation::DecryptData { key: &data, iv: &iv, data: &cipher })
        else {
            panic!()
        };
        assert_eq!(*back, text, "case {case}");
    }
    for wrong in [&[0x11; 16][..], &[7; 15], &[]] {
        let answer = ask(Operation::DecryptData { key: &data, iv: &[0; 16], data: wrong });
        assert!(matches!(answer, Err(BackendError::Input { .. })), "{answer:?}");
    }
    let other = KeyRef::new("none").unwrap();
    assert!(matches!(ask(Operation::CheckValue { key: &other }), Err(BackendError::Key { .. })));
    let Ok(Outcome::CheckValue(value)) = ask(Operation::CheckValue { key: &mac }) else { panic!() };
    assert_eq!(value, software.check_value());
    assert!(matches!(ask(Operation::Random { bytes: 9 }), Ok(Outcome::Random(bytes)) if bytes.len() == 9));
    let pin = PinIn {
        from: PinFrom::Zone(&data),
        format: PinFormat::Iso4,
        pan: b"4111111111111111",
        block: &[0; 16],
    };
    let pin = Operation::TranslatePin { pin, to: &data, to_format: PinFormat::Iso4 };
    assert!(!token.can(&pin));
    assert!(matches!(ask(pin), Err(BackendError::NotServed { .. })));
    assert!(matches!(token.import("D0112", &mac), Err(BackendError::NotServed { .. })));
    assert_eq!(token.health().state, HealthState::Up);
    Pkcs11::new(library).unwrap().finalize().unwrap();
    assert!(matches!(ask(Operation::Random { bytes: 1 }), Err(BackendError::Unavailable { .. })));
    assert_eq!(token.health().state, HealthState::Down);
    context(library);
    assert!(ask(Operation::Random { bytes: 1 }).is_ok());
    assert_eq!(token.health().state, HealthState::Up);
}

pub(super) fn random_numbers_differ(library: &Path, folder: &Path) {
    let token = opened(library, folder);
    let mut drawn: Vec<[u8; 16]> = Vec::new();
    for _ in 0..1000 {
        let mut bytes = [0; 16];
        token.random(&mut bytes).unwrap();
        drawn.push(bytes);
    }
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), 1000);
    token.random(&mut []).unwrap();
}
