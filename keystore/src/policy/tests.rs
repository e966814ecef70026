//! Every operation against every key there can be: each use, algorithm, mode and state.
//!
//! The table says in the letters of the key block header which keys an operation takes; it is written by hand from
//! X9.143 and knows nothing of the needs in the code. What is not in it must be refused.

mod cards;

use crate::attributes::{Algorithm, Attributes, Export, Mode, Usage};
use crate::error::KeyError;
use crate::lmk::Lmk;
use crate::state::KeyState;
use crate::store::{Keystore, WrapForm, Wrapped};
use crate::testing::put;

/// One operation: how it opens a key by name, and the keys it takes.
struct Row {
    operation: &'static str,
    open: fn(&Keystore, &str) -> Result<(), KeyError>,
    /// `use:algorithms:modes`, such as `P0:TA:DBN`.
    takes: &'static [&'static str],
    states: &'static [KeyState],
}

const ACTIVE: &[KeyState] = &[KeyState::Active];
const ACTIVE_OR_RETIRING: &[KeyState] = &[KeyState::Active, KeyState::Retiring];

fn rows() -> Vec<Row> {
    [cards::rows(), mac_rows(), card_and_data_rows(), wrap_rows(), unwrap_rows()]
        .into_iter()
        .flatten()
        .collect()
}

fn mac_rows() -> Vec<Row> {
    vec![
        Row {
            operation: "make and check MACs",
            open: |store, name| store.mac_key(name).map(drop),
            takes: &["M0:T:CN", "M1:D4:CN", "M3:T4:CN", "M6:TA4:CN", "M7:H:CN", "90:DT4:CN"],
            states: ACTIVE,
        },
        Row {
            operation: "make MACs",
            open: |store, name| store.mac_generate_key(name).map(drop),
            takes: &["M0:T:GCN", "M1:D4:GCN", "M3:T4:GCN", "M6:TA4:GCN", "M7:H:GCN", "90:DT4:GCN"],
            states: ACTIVE,
        },
        Row {
            operation: "check MACs",
            open: |store, name| store.mac_verify_key(name).map(drop),
            takes: &["M0:T:VCN", "M1:D4:VCN", "M3:T4:VCN", "M6:TA4:VCN", "M7:H:VCN", "90:DT4:VCN"],
            states: ACTIVE_OR_RETIRING,
        },
        Row {
            operation: "derive session keys of a gateway",
            open: |store, name| store.gate_key(name).map(drop),
            takes: &["B3:A:XN"],
            states: ACTIVE,
        },
    ]
}

fn card_and_data_rows() -> Vec<Row> {
    vec![
        Row {
            operation: "encrypt data",
            open: |store, name| store.data_encrypt_key(name).map(drop),
            takes: &["D0:TA4:EBN"],
            states: ACTIVE,
        },
        Row {
            operation: "decrypt data",
            open: |store, name| store.data_decrypt_key(name).map(drop),
            takes: &["D0:TA4:DBN"],
            states: ACTIVE_OR_RETIRING,
        },
        Row {
            operation: "check TACs",
            open: |store, name| store.tac_master_key(name).map(drop),
            takes: &["91:T4:XN"],
            states: ACTIVE_OR_RETIRING,
        },
    ]
}

fn wrap_rows() -> Vec<Row> {
    vec![
        Row {
            operation: "carry keys out in a key block",
            open: |store, kek| store.export_wrapped("cargo", kek, WrapForm::KeyBlock).map(drop),
            takes: &["K0:TA4:BEN", "K1:TA4:BEN"],
            states: ACTIVE,
        },
        Row {
            operation: "carry keys out in a key block of version C",
            open: |store, kek| store.export_wrapped("cargo", kek, WrapForm::VariantKeyBlock).map(drop),
            takes: &["K0:T:BEN"],
            states: ACTIVE,
        },
        Row {
            operation: "carry keys out as bare cryptograms",
            open: |store, kek| store.export_wrapped("cargo", kek, WrapForm::TdesEcb).map(drop),
            takes: &["K0:T:BEN"],
            states: ACTIVE,
        },
    ]
}

fn unwrap_rows() -> Vec<Row> {
    vec![
        Row {
            operation: "bring keys in by a key block",
            open: |store, kek| brings_in(store, kek, &Wrapped::KeyBlock(String::new())),
            takes: &["K0:TA4:BDN", "K1:TA4:BDN"],
            states: ACTIVE_OR_RETIRING,
        },
        Row {
            operation: "bring keys in by a key block of version A",
            open: |store, kek| brings_in(store, kek, &Wrapped::KeyBlock("A".to_owned())),
            takes: &["K0:T:BDN"],
            states: ACTIVE_OR_RETIRING,
        },
        Row {
            operation: "bring keys in by a key block of version C",
            open: |store, kek| brings_in(store, kek, &Wrapped::KeyBlock("C".to_owned())),
            takes: &["K0:T:BDN"],
            states: ACTIVE_OR_RETIRING,
        },
        Row {
            operation: "look into a key block",
            open: |store, kek| looks_into(store, kek, "B"),
            takes: &["K0:TA4:BDN", "K1:TA4:BDN"],
            states: ACTIVE_OR_RETIRING,
        },
        Row {
            operation: "look into a key block of version C",
            open: |store, kek| looks_into(store, kek, "C"),
            takes: &["K0:T:BDN"],
            states: ACTIVE_OR_RETIRING,
        },
        Row {
            operation: "bring keys in as bare cryptograms",
            open: |store, kek| {
                brings_in(store, kek, &Wrapped::TdesEcb { cryptogram: vec![0; 16], check_value: vec![] })
            },
            takes: &["K0:T:BDN"],
            states: ACTIVE_OR_RETIRING,
        },
    ]
}

/// Whether the key is let near what it should open; that this is no key is found out afterwards.
fn brings_in(store: &Keystore, kek: &str, wrapped: &Wrapped) -> Result<(), KeyError> {
    match store.rewrap(kek, wrapped, Usage::MacRetail, Algorithm::Tdes, Mode::Both) {
        Err(KeyError::Block { .. } | KeyError::CheckValue { .. } | KeyError::Weak { .. }) => Ok(()),
        other => other.map(drop),
    }
}

/// As [`brings_in`].
fn looks_into(store: &Keystore, kek: &str, block: &str) -> Result<(), KeyError> {
    match store.inspect_key_block(kek, block) {
        Err(KeyError::Block { .. }) => Ok(()),
        other => other.map(drop),
    }
}

/// Every combination that a key block header can hold and that makes sense.
fn every_key() -> Vec<Attributes> {
    let mut keys = Vec::new();
    for usage in Usage::ALL {
        for algorithm in Algorithm::ALL {
            for mode in Mode::ALL {
                let attributes = Attributes { usage, algorithm, mode, export: Export::N };
                if attributes.check().is_ok() {
                    keys.push(attributes);
                }
            }
        }
    }
    keys
}

fn expected(row: &Row, key: &Attributes, state: KeyState) -> bool {
    row.states.contains(&state)
        && row.takes.iter().any(|taken| {
            let parts: Vec<&str> = taken.split(':').collect();
            parts[0] == key.usage.code()
                && parts[1].contains(key.algorithm.letter())
                && parts[2].contains(key.mode.letter(key.usage))
        })
}

#[test]
fn every_operation_takes_its_keys_and_refuses_all_others() {
    let (mut taken, mut refused) = (0_u32, 0_u32);
    let keys = every_key();
    assert!(keys.len() > 100, "{} keys are not every key", keys.len());
    for key in &keys {
        for state in KeyState::ALL {
            let store = Keystore::in_memory(Lmk::test());
            store.generate("key", key.usage, key.algorithm, key.mode, key.export).unwrap();
            store.put_state("key", state);
            put(
                &store,
                "cargo",
                Usage::MacRetail,
                Algorithm::Tdes,
                Mode::Both,
                &[0x13, 0x57, 0x9B, 0xDF, 0x02, 0x46, 0x8A, 0xCE]
                    .repeat(2)
                    .iter()
                    .enumerate()
                    .map(|(n, b)| b ^ n as u8)
                    .collect::<Vec<u8>>(),
            );
            for row in rows() {
                let opened = (row.open)(&store, "key");
                let what = format!("{} with a key that is {}, {state}", row.operation, key.describe());
                assert_eq!(opened.is_ok(), expected(&row, key, state), "{what}: {opened:?}");
                match opened {
                    Ok(()) => taken += 1,
                    Err(KeyError::NotAllowed { .. } | KeyError::State { .. }) => refused += 1,
                    Err(other) => panic!("{what}: {other}"),
                }
            }
        }
    }
    assert!(taken > 0 && refused > taken, "{taken} taken, {refused} refused");
}

#[test]
fn every_row_of_the_table_names_a_key_that_exists() {
    let keys = every_key();
    for row in rows() {
        for taken in row.takes {
            let one = Row {
                operation: row.operation,
                open: row.open,
                takes: std::slice::from_ref(taken),
                states: ACTIVE,
            };
            let found = keys.iter().filter(|key| expected(&one, key, KeyState::Active)).count();
            let letters = taken.split(':').map(str::len).collect::<Vec<_>>();
            assert_eq!(found, letters[1] * letters[2], "{}: {taken}", row.operation);
        }
    }
}
