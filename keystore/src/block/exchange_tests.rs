//! Key blocks through the doors of the store: what a zone permits, what a block says of itself, what travels.

use super::oracle;
use crate::attributes::{Algorithm, Export, Mode, Usage};
use crate::error::{BlockError, KeyError};
use crate::lmk::Lmk;
use crate::store::{Keystore, WrapForm, Wrapped};
use crate::testing::{put, unhex};

const TDES: &str = "EFE0853B256B583D868F251CE99EA1D9";
const AES: &str = "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6";

/// A permitting and a strict TDES key, and an AES key.
fn store() -> Keystore {
    let store = Keystore::in_memory(Lmk::test());
    put(&store, "zmk.old", Usage::Kek, Algorithm::Tdes, Mode::Both, &unhex(TDES));
    put(&store, "zmk.new", Usage::KeyBlockProtection, Algorithm::Tdes, Mode::Both, &unhex(TDES));
    put(&store, "zmk.aes", Usage::Kek, Algorithm::Aes, Mode::Both, &unhex(AES));
    store
}

fn block(text: &str) -> Wrapped {
    Wrapped::KeyBlock(text.to_owned())
}

/// A block with these optional blocks, made by the second implementation.
fn made(version: char, middle: &str, optional: &[(&str, &str)]) -> String {
    let kbpk = unhex(if version == 'D' { AES } else { TDES });
    let (key, fill) = match middle.as_bytes()[2] {
        b'H' => (vec![9; 32], 14),
        _ => (unhex("5DB50B454F8389ADCE573BE50861F2BF"), if version == 'D' { 14 } else { 6 }),
    };
    oracle::wrap(version, &kbpk, middle, optional, &key, &vec![0x5A; fill])
}

#[test]
fn a_block_of_a_payshield_comes_in_where_the_zone_permits_it() {
    let store = store();
    for (n, text) in [
        "A0072K0TN00N0000F40D5672C6D0EC86F860BA88D44D00F0CA9A8CE8CD2F640287A9A9EB",
        "C0072K0TN00N0000C9B875FF7A5316BF221C09ED52080DE0B45632A4EA9CE87699CB565E",
    ]
    .into_iter()
    .enumerate()
    {
        let import = |kek| {
            let (usage, mode) = (Usage::Kek, Mode::NoRestrictions);
            store.import_wrapped(&format!("key.{n}"), kek, &block(text), usage, Algorithm::Tdes, mode)
        };
        for kek in ["zmk.new", "zmk.aes"] {
            let error = import(kek).unwrap_err();
            assert!(matches!(error, KeyError::NotAllowed { .. }), "{error}");
            assert!(error.to_string().contains("version A or C"), "{error}");
        }
        let info = import("zmk.old").unwrap();
        assert_eq!((info.check_value, info.export), ([0x5C, 0x94, 0x05], Export::N));
    }
}

#[test]
fn a_key_goes_out_in_version_c_and_is_the_same_there() {
    let store = store();
    let sent = store.generate("zak", Usage::MacRetail, Algorithm::Tdes, Mode::Both, Export::E).unwrap();
    assert!(matches!(
        store.export_wrapped("zak", "zmk.new", WrapForm::VariantKeyBlock),
        Err(KeyError::NotAllowed { .. })
    ));
    let wrapped = store.export_wrapped("zak", "zmk.old", WrapForm::VariantKeyBlock).unwrap();
    let Wrapped::KeyBlock(text) = &wrapped else { panic!("a key block was asked for") };
    assert!(text.starts_with("C0088M3TC00E0000"), "{text}");
    assert_eq!(oracle::unwrap(&unhex(TDES), text).map(|key| key.len()), Some(16));
    let got = store
        .import_wrapped("again", "zmk.old", &wrapped, Usage::MacRetail, Algorithm::Tdes, Mode::Both)
        .unwrap();
    assert_eq!(got.check_value, sent.check_value);
    // A key that never leaves does not leave in the old form either, nor a strong one under a weak one.
    store.generate("stays", Usage::MacRetail, Algorithm::Tdes, Mode::Both, Export::N).unwrap();
    store.generate("strong", Usage::MacCmac, Algorithm::Aes, Mode::Both, Export::S).unwrap();
    let export = |name| store.export_wrapped(name, "zmk.old", WrapForm::VariantKeyBlock);
    assert!(matches!(export("stays"), Err(KeyError::NotAllowed { .. })));
    assert!(matches!(export("strong"), Err(KeyError::KekTooWeak { .. })));
}

#[test]
fn what_a_block_says_is_told_once_its_mac_holds() {
    let store = store();
    let text = made(
        'B',
        "B1TX12S",
        &[
            ("KS", "00604B120F9292800000"),
            ("LB", "terminal 7"),
            ("KC", "005C9405"),
            ("KP", "005C9405"),
            ("TS", "20261127101530Z"),
            ("ZZ", "anything"),
        ],
    );
    // The key-encryption key and the key have the same bytes here only by the name of their check value.
    let error = store.inspect_key_block("zmk.new", &text).unwrap_err();
    let KeyError::Block { source: BlockError::CheckValue { field: "KP", computed, .. }, .. } = error else {
        panic!("{error}");
    };
    let text = made(
        'B',
        "B1TX12S",
        &[
            ("KS", "00604B120F9292800000"),
            ("LB", "terminal 7"),
            ("KC", "005C9405"),
            ("KP", &format!("00{computed}")),
        ],
    );
    let facts = store.inspect_key_block("zmk.new", &text).unwrap();
    assert_eq!((facts.version, facts.usage.as_str(), facts.algorithm, facts.mode), ('B', "B1", 'T', 'X'));
    assert_eq!((facts.key_version.as_str(), facts.export), ("12", 'S'));
    assert_eq!(facts.key_set(), Some(unhex("00604B120F9292800000")));
    assert_eq!((facts.optional("LB"), facts.optional("PB")), (Some("terminal 7"), None));
    assert_eq!((facts.initial_key_id(), facts.base_key_id()), (None, None));
    let mut changed = text.clone();
    changed.replace_range(20..22, "01");
    assert!(matches!(
        store.inspect_key_block("zmk.new", &changed),
        Err(KeyError::Block { source: BlockError::NotAuthentic { .. }, .. })
    ));
    // AES identifiers, in a block whose use is none of ours.
    let text = made('D', "S0AS00E", &[("IK", "1234567890123456"), ("BI", "0112345678")]);
    let facts = store.inspect_key_block("zmk.aes", &text).unwrap();
    assert_eq!(facts.initial_key_id(), Some(unhex("1234567890123456")));
    assert_eq!(facts.base_key_id(), Some(unhex("12345678")));
}

#[test]
fn a_block_that_contradicts_itself_is_refused() {
    let store = store();
    let import = |text: &str, kek, algorithm, usage| {
        store.rewrap(kek, &block(text), usage, algorithm, Mode::Both).map(drop)
    };
    for (check_value, taken) in [
        ("005C9405", true),
        ("005C94", true),
        ("005C9406", false),
        ("015C9405", false),
        // A method that nobody has numbered proves nothing.
        ("7700000000", true),
    ] {
        let text = made('C', "P0TB00E", &[("KC", check_value)]);
        let result = import(&text, "zmk.old", Algorithm::Tdes, Usage::Pin);
        assert_eq!(result.is_ok(), taken, "{check_value}: {result:?}");
        let named = matches!(
            result,
            Ok(()) | Err(KeyError::Block { source: BlockError::CheckValue { field: "KC", .. }, .. })
        );
        assert!(named, "{check_value}");
    }
    // An HMAC key says its hash, and ours is SHA-256.
    for (optional, field) in
        [(&[][..], "optional blocks"), (&[("HM", "22")], "optional block HM"), (&[("HM", "21")], "")]
    {
        let text = made('D', "M7HC00E", optional);
        match import(&text, "zmk.aes", Algorithm::Hmac, Usage::MacHmac) {
            Err(KeyError::Block { source: BlockError::Malformed { field: found, .. }, .. }) => {
                assert_eq!(found, field);
            }
            other => assert!(other.is_ok() && field.is_empty(), "{field}: {other:?}"),
        }
    }
    // Ours says it too.
    store.generate("hmac", Usage::MacHmac, Algorithm::Hmac, Mode::Both, Export::E).unwrap();
    let wrapped = store.export_wrapped("hmac", "zmk.aes", WrapForm::KeyBlock).unwrap();
    let Wrapped::KeyBlock(text) = &wrapped else { panic!("a key block was asked for") };
    assert_eq!(store.inspect_key_block("zmk.aes", text).unwrap().optional("HM"), Some("21"));
    store.import_wrapped("hmac.2", "zmk.aes", &wrapped, Usage::MacHmac, Algorithm::Hmac, Mode::Both).unwrap();
}
