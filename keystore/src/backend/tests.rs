//! The conformance cases in this process, and what the soft backend does beside them: keeping handles, keys that come in,
//! and what its errors and values say.

use std::sync::Arc;

use super::*;
use crate::attributes::{Algorithm, Attributes, Export, Mode, Usage};
use crate::conformance::{self, TestKey};
use crate::lmk::{Lmk, LmkBlock};
use crate::mac::MacPadding;
use crate::store::{Keystore, WrapForm, Wrapped};
use crate::testing::{put, unhex};

const RULE: MacRule = MacRule { method: MacMethod::Retail, padding: MacPadding::Zeros, bytes: 8 };

fn store() -> Arc<Keystore> {
    Arc::new(Keystore::in_memory(Lmk::test()))
}

fn attributes(usage: Usage, algorithm: Algorithm) -> Attributes {
    Attributes { usage, algorithm, mode: Mode::Both, export: Export::E }
}

fn mac_key(store: &Keystore) -> KeyRef {
    let block = store.generate_working(attributes(Usage::MacRetail, Algorithm::Tdes), 16).unwrap();
    KeyRef::new(block.as_str()).unwrap()
}

#[test]
fn soft_passes_every_case() {
    let store = store();
    let backend = SoftBackend::new(store.clone());
    let load = |key: &TestKey| KeyRef::new(conformance::rest(&store, key).unwrap().as_str()).unwrap();
    let report = conformance::run(&backend, load);
    assert!(report.failures.is_empty(), "{}", report.failures.join("\n"));
    assert_eq!(report.skipped_count(), 0);
    assert!(report.tried_count() > 1_500, "{report:?}");
    for kind in report.tried.values() {
        assert!(*kind >= 5, "{report:?}");
    }
}

#[test]
fn a_batch_is_answered_in_its_order() {
    let store = store();
    let (backend, key) = (SoftBackend::new(store.clone()), mac_key(&store));
    let asked = [
        Operation::Random { bytes: 3 },
        Operation::GenerateMac { key: &key, rule: RULE, data: b"0200" },
        Operation::Random { bytes: 0 },
        Operation::CheckValue { key: &key },
    ];
    let answers = backend.submit(&asked);
    assert!(matches!(&answers[0], Ok(Outcome::Random(bytes)) if bytes.len() == 3));
    let Ok(Outcome::Mac(mac)) = &answers[1] else { panic!("{:?}", answers[1]) };
    assert!(matches!(answers[2], Err(BackendError::Input { .. })));
    assert!(matches!(answers[3], Ok(Outcome::CheckValue(_))));
    let verify = Operation::VerifyMac { key: &key, rule: RULE, data: b"0200", mac: mac.as_bytes() };
    assert!(matches!(backend.submit(&[verify])[0], Ok(Outcome::Verified(true))));
    assert!(backend.submit(&[]).is_empty());
}

#[test]
fn no_more_keys_are_kept_than_allowed_and_forgotten_ones_come_back() {
    let store = store();
    let backend = SoftBackend::with_keys_max(store.clone(), 4);
    let keys: Vec<KeyRef> = (0..9).map(|_| mac_key(&store)).collect();
    for key in keys.iter().chain(&keys) {
        let asked = Operation::GenerateMac { key, rule: RULE, data: b"0200" };
        assert!(backend.submit(&[asked])[0].is_ok());
        assert!(backend.keys_kept() <= 4);
    }
    assert_eq!(backend.keys_kept(), 4);
    keys.iter().for_each(|key| backend.forget(key));
    assert_eq!(backend.keys_kept(), 0);
}

#[test]
fn a_zone_that_agrees_anew_gets_a_handle_of_its_own() {
    let store = store();
    let (backend, key) = (SoftBackend::new(store.clone()), mac_key(&store));
    let mac = |rule| {
        let asked = Operation::GenerateMac { key: &key, rule, data: b"0200 and more" };
        match backend.submit(&[asked]).remove(0) {
            Ok(Outcome::Mac(mac)) => mac.as_bytes().to_vec(),
            other => panic!("{other:?}"),
        }
    };
    let (whole, padded) = (mac(RULE), mac(MacRule { padding: MacPadding::OneThenZeros, ..RULE }));
    assert_ne!(whole, padded);
    assert_eq!(mac(MacRule { bytes: 4, ..RULE }), whole[..4]);
    assert_eq!(mac(RULE), whole, "the first handle is still itself");
}

#[test]
fn names_and_keys_of_the_store_are_none_here() {
    let store = store();
    put(
        &store,
        "zak",
        Usage::MacRetail,
        Algorithm::Tdes,
        Mode::Both,
        &unhex("0123456789ABCDEF FEDCBA9876543210"),
    );
    let backend = SoftBackend::new(store.clone());
    let key = KeyRef::new("zak").unwrap();
    let asked = Operation::GenerateMac { key: &key, rule: RULE, data: b"0200" };
    assert!(matches!(backend.submit(&[asked])[0], Err(BackendError::Key { .. })));
    let other = Keystore::in_memory(Lmk::from_components(&[[1; 32], [2; 32]]).unwrap());
    let foreign = mac_key(&other);
    let asked = Operation::GenerateMac { key: &foreign, rule: RULE, data: b"0200" };
    assert!(matches!(backend.submit(&[asked])[0], Err(BackendError::Key { .. })), "another master key");
}

#[test]
fn a_key_comes_in_under_another_with_what_its_block_says() {
    let store = store();
    let backend = SoftBackend::new(store.clone());
    let kek = store.generate_working(attributes(Usage::Kek, Algorithm::Aes), 32).unwrap();
    let transport = KeyRef::new(kek.as_str()).unwrap();
    let zak = mac_key(&store);
    let zak_block = LmkBlock::try_from(zak.as_str().to_owned()).unwrap();
    let Wrapped::KeyBlock(sent) = store.export_working(&zak_block, kek.as_str(), WrapForm::KeyBlock).unwrap()
    else {
        panic!("a key block was asked for")
    };
    let taken = backend.import(&sent, &transport).unwrap();
    let mac =
        |key| match backend.submit(&[Operation::GenerateMac { key, rule: RULE, data: b"0800" }]).remove(0) {
            Ok(Outcome::Mac(mac)) => mac.as_bytes().to_vec(),
            other => panic!("{other:?}"),
        };
    assert_eq!(mac(&taken), mac(&zak));
    for n in 0..sent.len() {
        let mut changed = sent.clone();
        changed.replace_range(n..=n, if &sent[n..=n] == "0" { "1" } else { "0" });
        assert!(backend.import(&changed, &transport).is_err(), "character {n}");
    }
    for n in [0, 1, 16, sent.len() - 1] {
        assert!(backend.import(&sent[..n], &transport).is_err(), "{n} characters");
    }
    assert!(
        matches!(backend.import(&sent, &zak), Err(BackendError::Refused { .. })),
        "a MAC key carries none"
    );
}

#[test]
fn components_that_rest_are_joined_and_only_with_their_own_kind() {
    let store = store();
    let zak = attributes(Usage::MacRetail, Algorithm::Tdes);
    let part = |value: &str| {
        let value = unhex(value);
        store
            .working_from_components(zak, &[value.iter().map(|b| b ^ 0x55).collect(), vec![0x55; 16]])
            .unwrap()
    };
    let (one, two) = (part("0123456789ABCDEF FEDCBA9876543210"), part("F039121BEC83D26B 169BDCD5B22AAF8F"));
    let whole = store.working_from_blocks(zak, &[one.clone(), two.clone()]).unwrap();
    let joined = part("F11A577C65281F84 E847664DC47E9D9F");
    let check_value = |block| store.working_info(block).unwrap().check_value;
    assert_eq!(check_value(&whole), check_value(&joined));
    assert!(
        store.working_from_blocks(zak, std::slice::from_ref(&one)).is_err(),
        "one component is no split knowledge"
    );
    assert!(store.working_from_blocks(zak, &[one.clone(), one.clone()]).is_err());
    let pin = attributes(Usage::Pin, Algorithm::Tdes);
    assert!(store.working_from_blocks(pin, &[one, two]).is_err());
}

#[test]
fn neither_keys_nor_values_are_printed() {
    let store = store();
    let (backend, key) = (SoftBackend::new(store.clone()), mac_key(&store));
    let asked = Operation::GenerateMac { key: &key, rule: RULE, data: b"0200 a secret" };
    let outcome = backend.submit(&[asked]).remove(0).unwrap();
    assert_eq!(format!("{asked:?} {outcome:?}"), "Operation(GenerateMac) Mac(not shown)");
    assert!(format!("{key:?}").len() < 30);
    let refused =
        backend.submit(&[Operation::EncryptData { key: &key, iv: &[0; 8], data: b"secret" }]).remove(0);
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("may not encrypt data") && !text.contains(&key.as_str()[20..40]), "{text}");
}

#[test]
fn what_is_no_text_is_no_key() {
    for text in ["", "a\nb", "caf\u{e9}", &"x".repeat(10_001)] {
        assert!(matches!(KeyRef::new(text), Err(BackendError::Key { .. })));
    }
}

#[test]
fn health_tells_of_the_test_master_key() {
    let health = SoftBackend::new(store()).health();
    assert_eq!(health.state, HealthState::Up);
    assert!(health.detail.contains("test master key"));
    assert_eq!(health.master_check_value.map(|value| value.len()), Some(6));
}
