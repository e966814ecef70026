//! The rows of PINs, cards and DUKPT, by hand from X9.143 as all others.

use super::{ACTIVE, ACTIVE_OR_RETIRING, Row};
use crate::dukpt::{DukptAesDevice, DukptTdesDevice};

pub(super) fn rows() -> Vec<Row> {
    pins().into_iter().chain(cards()).chain(dukpt()).collect()
}

fn pins() -> Vec<Row> {
    vec![
        Row {
            operation: "take PINs out of blocks",
            open: |store, name| store.pin_decrypt_key(name).map(drop),
            takes: &["P0:TA4:BDN"],
            states: ACTIVE_OR_RETIRING,
        },
        Row {
            operation: "put PINs into blocks",
            open: |store, name| store.pin_encrypt_key(name).map(drop),
            takes: &["P0:TA4:BEN"],
            states: ACTIVE,
        },
        Row {
            operation: "move PINs in the directions of the mode",
            open: |store, name| store.pin_key(name).map(drop),
            takes: &["P0:DTA4:BEDN"],
            states: ACTIVE,
        },
        Row {
            operation: "make PVVs",
            open: |store, name| store.pvv_generate_key(name).map(drop),
            takes: &["V2:T:GCN"],
            states: ACTIVE,
        },
        Row {
            operation: "verify PINs by PVV",
            open: |store, name| store.pvv_verify_key(name).map(drop),
            takes: &["V2:T:VCN"],
            states: ACTIVE_OR_RETIRING,
        },
        Row {
            operation: "make IBM 3624 offsets",
            open: |store, name| store.ibm3624_generate_key(name).map(drop),
            takes: &["V1:T:GCN"],
            states: ACTIVE,
        },
        Row {
            operation: "verify PINs by IBM 3624",
            open: |store, name| store.ibm3624_verify_key(name).map(drop),
            takes: &["V1:T:VCN"],
            states: ACTIVE_OR_RETIRING,
        },
    ]
}

fn cards() -> Vec<Row> {
    vec![
        Row {
            operation: "make card verification values",
            open: |store, name| store.cvv_generate_key(name).map(drop),
            takes: &["C0:T:GCN"],
            states: ACTIVE,
        },
        Row {
            operation: "check card verification values",
            open: |store, name| store.cvv_verify_key(name).map(drop),
            takes: &["C0:T:VCN"],
            states: ACTIVE_OR_RETIRING,
        },
        Row {
            operation: "verify and answer application cryptograms",
            open: |store, name| store.emv_cryptogram_key(name).map(drop),
            takes: &["E0:T:XN"],
            states: ACTIVE,
        },
        Row {
            operation: "encrypt data of scripts",
            open: |store, name| store.emv_confidentiality_key(name).map(drop),
            takes: &["E1:T:XN"],
            states: ACTIVE,
        },
        Row {
            operation: "make MACs of scripts",
            open: |store, name| store.emv_integrity_key(name).map(drop),
            takes: &["E2:T:XN"],
            states: ACTIVE,
        },
        Row {
            operation: "verify dynamic card verification codes",
            open: |store, name| store.emv_dynamic_number_key(name).map(drop),
            takes: &["E4:T:XN"],
            states: ACTIVE_OR_RETIRING,
        },
    ]
}

fn dukpt() -> Vec<Row> {
    vec![
        Row {
            operation: "derive initial keys of TDES DUKPT",
            open: |store, name| store.dukpt_tdes_base_key(name).map(drop),
            takes: &["B0:T:XN"],
            states: ACTIVE,
        },
        Row {
            operation: "derive transaction keys of TDES DUKPT",
            open: |store, name| {
                let device = DukptTdesDevice::from_bytes(&[0; 10]).unwrap();
                store.dukpt_tdes_initial_key(name, device).map(drop)
            },
            takes: &["B1:T:XN"],
            states: ACTIVE,
        },
        Row {
            operation: "derive initial keys of AES DUKPT",
            open: |store, name| store.dukpt_aes_base_key(name).map(drop),
            takes: &["B0:A:XN"],
            states: ACTIVE,
        },
        Row {
            operation: "derive transaction keys of AES DUKPT",
            open: |store, name| store.dukpt_aes_initial_key(name, DukptAesDevice::new([0; 8])).map(drop),
            takes: &["B1:A:XN"],
            states: ACTIVE,
        },
    ]
}
