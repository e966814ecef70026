//! The binding of use, mode and algorithm, the wrapped forms, and the doors of the store.
//! The key file has its own tests in `store::file_tests`.

use super::*;
use crate::block::Header;
use crate::block::Protection;
use crate::error::BlockError;
use crate::testing::{UNIONPAY_DATA, put, unhex};

const UNIONPAY_TMK: &str = "70F2A84CCBC2AE8625CBB0F2C22AB923";
const UNIONPAY_MAK: &str = "96D605EA176B7E9E";

fn store() -> Keystore {
    Keystore::in_memory(Lmk::test())
}

fn ecb(cryptogram: &str, check_value: &str) -> Wrapped {
    Wrapped::TdesEcb { cryptogram: unhex(cryptogram), check_value: unhex(check_value) }
}

fn key_block(wrapped: Wrapped) -> String {
    match wrapped {
        Wrapped::KeyBlock(block) => block,
        Wrapped::TdesEcb { .. } => panic!("expected a key block"),
    }
}

#[test]
fn exportability_is_obeyed() {
    let store = store();
    store.generate("zmk", Usage::Kek, Algorithm::Tdes, Mode::Both, Export::N).unwrap();
    for (export, block, bare) in
        [(Export::N, false, false), (Export::E, true, false), (Export::S, true, true)]
    {
        let name = format!("zpk.{export}");
        store.generate(&name, Usage::Pin, Algorithm::Tdes, Mode::Both, export).unwrap();
        assert_eq!(store.export_wrapped(&name, "zmk", WrapForm::KeyBlock).is_ok(), block, "{export}");
        assert_eq!(store.export_wrapped(&name, "zmk", WrapForm::TdesEcb).is_ok(), bare, "{export}");
    }
}

#[test]
fn keys_travel_and_keep_their_attributes() {
    for (kek, algorithm, letter) in [("aes", Algorithm::Aes, 'D'), ("tdes", Algorithm::Tdes, 'B')] {
        let (here, there) = (store(), Keystore::in_memory(Lmk::random()));
        let bytes = [0x5A, 0x13].repeat(if algorithm == Algorithm::Aes { 16 } else { 4 });
        let bytes = [&bytes[..], &bytes.iter().map(|b| b ^ 0x3C).collect::<Vec<_>>()].concat();
        let bytes = &bytes[..if algorithm == Algorithm::Aes { 32 } else { 16 }];
        put(&here, kek, Usage::KeyBlockProtection, algorithm, Mode::Both, bytes);
        put(&there, kek, Usage::KeyBlockProtection, algorithm, Mode::Both, bytes);
        let sent = here.generate("zak", Usage::MacRetail, Algorithm::Tdes, Mode::Both, Export::E).unwrap();
        let wrapped = here.export_wrapped("zak", kek, WrapForm::KeyBlock).unwrap();
        let got = there
            .import_wrapped("zak", kek, &wrapped, Usage::MacRetail, Algorithm::Tdes, Mode::Both)
            .unwrap();
        assert_eq!(KeyInfo { test: true, origin: sent.origin, ..got }, sent);
        let (here, there) = (here.mac_key("zak").unwrap(), there.mac_key("zak").unwrap());
        assert!(there.verify(b"message", &here.generate(b"message"), ()).is_ok());
        assert!(key_block(wrapped).starts_with(letter));
    }
}

#[test]
fn a_published_block_is_imported() {
    // X9.143:2021 8.1: a PIN key of AES-128, mode E.
    let store = store();
    let kbpk = unhex("88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6");
    put(&store, "kbpk", Usage::KeyBlockProtection, Algorithm::Aes, Mode::Both, &kbpk);
    let block = "D0144P0AE00E00002C77FA3F4A553BED6E88AE5C172A4166E3D4ACA8E2AC71C158A476FAC12C13C3829DE55D3AB54C48F4C4FEF7AC75E90FC47F1B77E7B19A73ED46E64410082557";
    let wrapped = Wrapped::KeyBlock(block.to_owned());
    let import = |name: &str, usage, algorithm, mode| {
        store.import_wrapped(name, "kbpk", &wrapped, usage, algorithm, mode)
    };
    let info = import("zpk", Usage::Pin, Algorithm::Aes, Mode::Encrypt).unwrap();
    assert_eq!((info.export, info.check_value), (Export::E, [0x08, 0x79, 0x3E]));
    for (usage, algorithm, mode, field) in [
        (Usage::Data, Algorithm::Aes, Mode::Encrypt, "use"),
        (Usage::Pin, Algorithm::Tdes, Mode::Encrypt, "algorithm"),
        (Usage::Pin, Algorithm::Aes, Mode::Both, "mode"),
    ] {
        let error = import("other", usage, algorithm, mode).unwrap_err();
        assert!(matches!(error, KeyError::Mismatch { field: f, .. } if f == field), "{error}");
    }
    let mut changed = block.to_owned();
    changed.replace_range(8..9, "B");
    let changed = Wrapped::KeyBlock(changed);
    let error = store.rewrap("kbpk", &changed, Usage::Pin, Algorithm::Aes, Mode::Both).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, KeyError::Block { source: BlockError::NotAuthentic { offset: 112 }, .. }),
        "{text}"
    );
}

#[test]
fn a_key_wrapped_twice_says_the_same_and_another_key_or_use_does_not() {
    let store = store();
    put(&store, "zmk", Usage::Kek, Algorithm::Tdes, Mode::Both, &unhex(UNIONPAY_TMK));
    for name in ["first", "second"] {
        store.generate(name, Usage::Pin, Algorithm::Tdes, Mode::Both, Export::S).unwrap();
    }
    let rewrapped = |name, usage| {
        let wrapped = store.export_wrapped(name, "zmk", WrapForm::TdesEcb).unwrap();
        store.rewrap("zmk", &wrapped, usage, Algorithm::Tdes, Mode::Both).unwrap()
    };
    let (once, again) = (rewrapped("first", Usage::Pin), rewrapped("first", Usage::Pin));
    assert_ne!(once.as_str(), again.as_str());
    assert!(once.says_as(&again));
    assert!(!once.says_as(&rewrapped("second", Usage::Pin)));
    assert!(!once.says_as(&rewrapped("first", Usage::MacRetail)));
}

#[test]
fn a_unionpay_terminal_gets_its_mac_key() {
    let store = store();
    put(&store, "tmk.1", Usage::Kek, Algorithm::Tdes, Mode::Both, &unhex(UNIONPAY_TMK));
    let plain = crate::testing::store_with(Usage::MacUnionPayEcb, Algorithm::Des, &unhex("C24A8FB57AA20123"));
    let check_value = hex(&plain.info("key").unwrap().check_value);
    let rewrap = |check_value: &str, algorithm| {
        let wrapped = ecb(UNIONPAY_MAK, check_value);
        store.rewrap("tmk.1", &wrapped, Usage::MacUnionPayEcb, algorithm, Mode::Both)
    };
    let block = rewrap(&check_value, Algorithm::Des).unwrap();
    let key = store.mac_key_from_block(&block).unwrap();
    assert_eq!(&key.generate(&unhex(UNIONPAY_DATA)), b"8A9E91B8");
    assert_eq!(hex(&key.check_value()), check_value);

    assert!(matches!(rewrap("000000", Algorithm::Des), Err(KeyError::CheckValue { .. })));
    assert!(matches!(rewrap(&check_value[..4], Algorithm::Des), Err(KeyError::CheckValue { .. })));
    assert!(matches!(rewrap("", Algorithm::Des), Err(KeyError::CheckValue { .. })));
    assert!(matches!(rewrap("0000000000000000000000", Algorithm::Des), Err(KeyError::CheckValue { .. })));
    // A single-length key does not pass for a double one.
    assert!(matches!(rewrap(&check_value, Algorithm::Tdes), Err(KeyError::Length { bytes: 8, .. })));
}

#[test]
fn a_bare_cryptogram_is_what_both_sides_expect() {
    let store = store();
    put(&store, "tmk", Usage::Kek, Algorithm::Tdes, Mode::Both, &unhex(UNIONPAY_TMK));
    put(&store, "mak", Usage::MacUnionPayEcb, Algorithm::Des, Mode::Both, &unhex("C24A8FB57AA20123"));
    let Wrapped::TdesEcb { cryptogram, check_value } =
        store.export_wrapped("mak", "tmk", WrapForm::TdesEcb).unwrap()
    else {
        panic!("expected a bare cryptogram");
    };
    // Imported components get odd parity, so bit 0 of each byte may differ from the published key.
    assert_eq!(check_value[..3], store.info("mak").unwrap().check_value);
    assert_eq!((cryptogram.len(), check_value.len()), (8, 4));
    let back = Wrapped::TdesEcb { cryptogram, check_value };
    store.rewrap("tmk", &back, Usage::MacUnionPayEcb, Algorithm::Des, Mode::Both).unwrap();
    for bytes in [0, 7, 9, 32, 4096] {
        let wrapped = Wrapped::TdesEcb { cryptogram: vec![1; bytes], check_value: vec![0; 3] };
        let refused = store.rewrap("tmk", &wrapped, Usage::Pin, Algorithm::Tdes, Mode::Both);
        assert!(matches!(refused, Err(KeyError::Length { .. })), "{bytes}");
        let refused = store.rewrap("tmk", &wrapped, Usage::Pin, Algorithm::Aes, Mode::Both);
        assert!(matches!(refused, Err(KeyError::Length { .. })), "{bytes}");
    }
}

#[test]
fn no_key_travels_under_a_weaker_one() {
    let store = store();
    let key = unhex("0123456789ABCDEF FEDCBA9876543210 1122334455667788");
    put(&store, "kek.80", Usage::Kek, Algorithm::Tdes, Mode::Both, &key[..16]);
    put(&store, "kek.80.long", Usage::Kek, Algorithm::Tdes, Mode::Both, &[&key[..16], &key[..8]].concat());
    put(&store, "kek.112", Usage::Kek, Algorithm::Tdes, Mode::Both, &key);
    put(&store, "kek.128", Usage::Kek, Algorithm::Aes, Mode::Both, &key[..16]);
    put(&store, "tdes.80", Usage::Pin, Algorithm::Tdes, Mode::Both, &key[..16]);
    put(&store, "tdes.112", Usage::Pin, Algorithm::Tdes, Mode::Both, &key);
    put(&store, "aes.128", Usage::Pin, Algorithm::Aes, Mode::Both, &key[..16]);
    put(&store, "aes.192", Usage::Pin, Algorithm::Aes, Mode::Both, &key);
    let keks = ["kek.80", "kek.80.long", "kek.112", "kek.128"];
    for (name, carriers) in [("tdes.80", 4), ("tdes.112", 2), ("aes.128", 1), ("aes.192", 0)] {
        for (n, kek) in keks.into_iter().rev().enumerate() {
            let exported = store.export_wrapped(name, kek, WrapForm::KeyBlock);
            assert_eq!(exported.is_ok(), n < carriers, "{name} under {kek}");
            assert!(exported.is_ok() || matches!(exported, Err(KeyError::KekTooWeak { .. })));
        }
    }
    // Inwards too: a block made elsewhere under a weak key is not taken.
    let weak = Protection::new(Algorithm::Tdes, &key[..16]).unwrap();
    let attributes =
        Attributes { usage: Usage::Pin, algorithm: Algorithm::Aes, mode: Mode::Both, export: Export::E };
    let block = weak.wrap(&attributes.header(Vec::new()), &KeyBytes::new(&[9; 32]).unwrap());
    let refused = store.rewrap("kek.80", &Wrapped::KeyBlock(block), Usage::Pin, Algorithm::Aes, Mode::Both);
    assert!(matches!(refused, Err(KeyError::KekTooWeak { kek_bits: 80, key_bits: 256, .. })));
}

#[test]
fn components_must_make_a_key() {
    let store = store();
    let import = |algorithm, components: &[Vec<u8>]| {
        store.import_components("key", Usage::Pin, algorithm, Mode::Both, Export::N, components).map(drop)
    };
    let a = vec![0x12; 16];
    let b: Vec<u8> = (1..=16).collect();
    for (what, components) in [
        ("none", vec![]),
        ("one", vec![a.clone()]),
        ("equal", vec![a.clone(), a.clone()]),
        ("two of three equal", vec![a.clone(), b.clone(), a.clone()]),
        ("zeros", vec![a.clone(), vec![0; 16]]),
        ("unequal lengths", vec![a.clone(), vec![1; 24]]),
        ("empty", vec![vec![], vec![]]),
        ("too long", vec![vec![1; 33], vec![2; 33]]),
        ("zero sum", vec![vec![1; 16], vec![2; 16], vec![3; 16]]),
    ] {
        let error = import(Algorithm::Aes, &components).unwrap_err();
        assert!(matches!(error, KeyError::Components { .. }), "{what}: {error}");
    }
    let odd = import(Algorithm::Aes, &[vec![1; 17], vec![2; 17]]);
    assert!(matches!(odd, Err(KeyError::Length { bytes: 17, .. })));
    let triple = [unhex("0123456789ABCDEF FEDCBA9876543210 1122334455667788"), vec![0x11; 24]];
    let retail =
        store.import_components("r", Usage::MacRetail, Algorithm::Tdes, Mode::Both, Export::N, &triple);
    assert!(matches!(retail, Err(KeyError::Length { bytes: 24, .. })), "a retail MAC key has two parts");
    let weak = import(Algorithm::Tdes, &[vec![1; 16], vec![0xFF; 16]]);
    assert!(matches!(weak, Err(KeyError::Weak { .. })), "equal halves");
    import(Algorithm::Tdes, &[a.clone(), b.clone()]).unwrap();
    // The published check value of a key that came in two parts.
    let whole = unhex("5DB50B454F8389ADCE573BE50861F2BF");
    put(&store, "zmk", Usage::Kek, Algorithm::Tdes, Mode::Both, &whole);
    assert_eq!(store.info("zmk").unwrap().check_value, [0x5C, 0x94, 0x05]);
}

#[test]
fn a_use_that_is_not_served_is_refused() {
    let store = store();
    let kbpk = unhex("1D22BF32387C600AD97F9B97A51311AC");
    put(&store, "kbpk", Usage::KeyBlockProtection, Algorithm::Tdes, Mode::Both, &kbpk);
    let protection = Protection::new(Algorithm::Tdes, &kbpk).unwrap();
    let key = KeyBytes::random(Algorithm::Tdes, 16);
    let data =
        Attributes { usage: Usage::Data, algorithm: Algorithm::Tdes, mode: Mode::Both, export: Export::E };
    // Authentic, and nothing we know to bind: an asymmetric signature key.
    let block = protection.wrap(&Header { usage: *b"S0", ..data.header(Vec::new()) }, &key);
    let wrapped = Wrapped::KeyBlock(block);
    let error = store.rewrap("kbpk", &wrapped, Usage::Data, Algorithm::Tdes, Mode::Both).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(
            error,
            KeyError::Block { source: BlockError::Malformed { field: "key usage", offset: 5, .. }, .. }
        ),
        "{text}"
    );
}

#[test]
fn of_many_threads_one_gets_the_name() {
    let store = store();
    let winners = std::thread::scope(|scope| {
        let make = || store.generate("key", Usage::Pin, Algorithm::Aes, Mode::Both, Export::N);
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap().ok()).collect::<Vec<_>>()
    });
    assert_eq!(winners, store.list());
}

#[test]
fn names_are_plain_and_used_once() {
    let store = store();
    let generate =
        |name: &str| store.generate(name, Usage::Pin, Algorithm::Aes, Mode::Both, Export::N).map(drop);
    let long = "x".repeat(65);
    for name in ["", "*data", "a b", "a\nb", "ключ", "\"", &long] {
        assert!(matches!(generate(name), Err(KeyError::NameInvalid { .. })), "{name:?}");
    }
    generate(&long[..64]).unwrap();
    generate("zpk.bank-a/2:x_Y").unwrap();
    assert!(matches!(generate("zpk.bank-a/2:x_Y"), Err(KeyError::NameTaken { .. })));
    assert!(matches!(store.pin_key("zpk"), Err(KeyError::NotFound { .. })));
    assert!(store.info("zpk").is_none());
    assert_eq!(store.list().len(), 2);
}

#[test]
fn data_keys_seal_and_open_and_are_nothing_else() {
    let store = store();
    let (key, wrapped) = store.new_data_key().unwrap();
    assert_eq!(wrapped.len(), DATA_KEY_WRAPPED_BYTES);
    let mut sealed = b"entry".to_vec();
    key.seal(7, b"frame header", &mut sealed);
    assert_eq!(sealed.len(), 5 + crate::SEAL_TAG_BYTES);
    let again = store.open_data_key(&wrapped).unwrap();
    assert_eq!(again.open(7, b"frame header", &mut sealed.clone()).unwrap(), b"entry");
    for (nonce, aad) in [(8, &b"frame header"[..]), (7, b"frame headex"), (7, b"")] {
        assert_eq!(again.open(nonce, aad, &mut sealed.clone()).err(), Some(crate::SealError { nonce }));
    }
    for cut in 0..sealed.len() {
        assert!(again.open(7, b"frame header", &mut sealed.clone()[..cut]).is_err());
    }

    assert!(Keystore::in_memory(Lmk::random()).open_data_key(&wrapped).is_err());
    for junk in [&b""[..], &wrapped[1..], &[0xFF; DATA_KEY_WRAPPED_BYTES]] {
        assert!(matches!(store.open_data_key(junk), Err(KeyError::Block { .. })));
    }
    // A data key of the store by name is no sealing key, and a sealing key no working key.
    store.generate("d", Usage::Data, Algorithm::Aes, Mode::Both, Export::N).unwrap();
    let named = store.held().keys["d"].block.clone().unwrap();
    assert!(matches!(store.open_data_key(named.as_str().as_bytes()), Err(KeyError::NotAllowed { .. })));
    let sealing = LmkBlock::try_from(String::from_utf8(wrapped).unwrap()).unwrap();
    assert!(matches!(store.mac_key_from_block(&sealing), Err(KeyError::NotAllowed { .. })));
}

#[test]
fn working_keys_come_back_from_text() {
    let store = store();
    store.generate("kek", Usage::Kek, Algorithm::Aes, Mode::Both, Export::N).unwrap();
    store.generate("zpk", Usage::Pin, Algorithm::Aes, Mode::Both, Export::E).unwrap();
    let wrapped = store.export_wrapped("zpk", "kek", WrapForm::KeyBlock).unwrap();
    let block = store.rewrap("kek", &wrapped, Usage::Pin, Algorithm::Aes, Mode::Both).unwrap();
    let json = serde_json::to_string(&block).unwrap();
    let back: LmkBlock = serde_json::from_str(&json).unwrap();
    assert_eq!(back, block);
    let key = store.pin_key_from_block(&back).unwrap();
    assert_eq!(key.check_value(), store.info("zpk").unwrap().check_value);
    assert!(store.mac_key_from_block(&back).is_err(), "a PIN key makes no MAC");
    assert!(serde_json::from_str::<LmkBlock>("\"D0144\"").is_err());
    let other = Keystore::in_memory(Lmk::random());
    assert!(matches!(other.pin_key_from_block(&back), Err(KeyError::Block { .. })));
    // A named key does not come in as a working key.
    let named = store.held().keys["zpk"].block.clone().unwrap();
    assert!(matches!(store.pin_key_from_block(&named), Err(KeyError::NotAllowed { .. })));

    let debug = format!("{block:?}");
    assert_eq!(
        debug,
        format!("LmkBlock({}, check value {})", &block.as_str()[..16], hex(&key.check_value()))
    );
}

#[test]
fn derived_values_belong_to_the_master_key() {
    let (a, b, other) = (store(), store(), Keystore::in_memory(Lmk::random()));
    let pan = b"6222000000000000";
    assert_eq!(a.tokenizer().token(pan), b.tokenizer().token(pan));
    assert_ne!(a.tokenizer().token(pan), a.tokenizer().token(b"6222000000000001"));
    assert_ne!(a.tokenizer().token(pan), other.tokenizer().token(pan));
    assert_eq!(a.hash_seed(), b.hash_seed());
    assert_ne!(a.hash_seed(), other.hash_seed());
    // Journals and dedupe tables live on these: they must not change between releases. The values were
    // computed with another implementation of HKDF, CMAC and HMAC.
    assert_eq!(hex(&a.tokenizer().token(pan)), TOKEN_GOLDEN);
    assert_eq!(hex(&a.hash_seed()), SEED_GOLDEN);
}

const TOKEN_GOLDEN: &str = "74B7DBA08B824B79770B1D1C011926A6";
const SEED_GOLDEN: &str = "A8A2B80097EA4675096A8BBCCA5F8C0B";

#[test]
fn the_test_master_key_says_so() {
    let test = Lmk::test();
    assert!(test.is_test() && !Lmk::random().is_test());
    assert_eq!(hex(&test.check_value()), "57651B");
    // By value: typing the test key in as components does not hide it.
    let mask = [0xA7; 32];
    let mut rest = *b"Yika TEST master key, no secret!";
    rest.iter_mut().for_each(|byte| *byte ^= 0xA7);
    let typed = Lmk::from_components(&[mask, rest]).unwrap();
    assert!(typed.is_test());
    let store = Keystore::in_memory(typed);
    assert!(store.is_test());
    let info = store.generate("key", Usage::Data, Algorithm::Aes, Mode::Both, Export::N).unwrap();
    assert!(info.test);
    assert!(Lmk::from_components(&[mask]).is_err() && Lmk::from_components(&[mask, mask, rest]).is_err());
}

#[test]
fn random_fills() {
    let mut bytes = [0; 32];
    store().random(&mut bytes);
    assert_ne!(bytes, [0; 32]);
}

#[test]
fn store_and_handles_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Keystore>();
    shared::<MacKey>();
    shared::<PinKey>();
    shared::<SealKey>();
    shared::<Tokenizer>();
}
