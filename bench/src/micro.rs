//! The keystore, one operation at a time, on one message: no disk, no socket, no other thread.

use crate::city::{ACQUIRER_MAC, ACQUIRER_PIN, BANK_PIN};
use crate::codec_run::REFERENCE;
use crate::error::BenchError;
use crate::measure::cost;
use crate::report::{Report, Row};
use std::hint::black_box;
use yika_keystore::{
    Algorithm, DukptTdesKsn, Export, KeyError, Keystore, Lmk, Mode, PinFormat, PinKey, Usage,
    encrypt_test_pin, translate_pin,
};
use yika_loadgen::{TEST_PIN, test_mac_key, test_pin_key};

const PAN: &[u8] = b"4111111111111111";

pub(crate) fn run(quick: bool, report: &mut Report) -> Result<(), BenchError> {
    let setup = BenchError::setup("the keystore");
    for (what, key) in [
        ("AES-CMAC of the reference message", format!("cmac:{ACQUIRER_MAC}")),
        ("retail MAC of the same (TDES)", format!("retail:{ACQUIRER_MAC}")),
        ("UnionPay ECB MAC of the same (TDES)", format!("unionpay:{ACQUIRER_MAC}")),
    ] {
        let key = test_mac_key(&key).map_err(|e| setup(&e))?;
        let mac = cost(quick, || {
            black_box(key.generate(black_box(REFERENCE)));
        });
        report.add(Row::cost("keystore", what, mac));
    }
    let (from, to) = (test_pin_key(ACQUIRER_PIN), test_pin_key(BANK_PIN));
    let (from, to) = (from.map_err(|e| setup(&e))?, to.map_err(|e| setup(&e))?);
    let block = encrypt_test_pin(&from, PinFormat::Iso0, PAN, TEST_PIN).map_err(|e| setup(&e))?;
    let (tdes, to) = (from.decrypting().map_err(|e| setup(&e))?, to.encrypting().map_err(|e| setup(&e))?);
    translate_pin(tdes, PinFormat::Iso0, to, PinFormat::Iso0, PAN, &block).map_err(|e| setup(&e))?;
    let pin = cost(quick, || {
        let done = translate_pin(tdes, PinFormat::Iso0, to, PinFormat::Iso0, PAN, black_box(&block));
        let _ = black_box(done);
    });
    report.add(Row::cost("keystore", "PIN translate, format 0 to 0 (TDES)", pin));
    let from = aes_pin_key().map_err(|e| setup(&e))?;
    let block = encrypt_test_pin(&from, PinFormat::Iso4, PAN, TEST_PIN).map_err(|e| setup(&e))?;
    let aes = from.decrypting().map_err(|e| setup(&e))?;
    translate_pin(aes, PinFormat::Iso4, to, PinFormat::Iso0, PAN, &block).map_err(|e| setup(&e))?;
    let pin = cost(quick, || {
        let done = translate_pin(aes, PinFormat::Iso4, to, PinFormat::Iso0, PAN, black_box(&block));
        let _ = black_box(done);
    });
    report.add(Row::cost("keystore", "PIN translate, format 4 (AES) to 0 (TDES)", pin));
    dukpt(quick, report).map_err(|e| setup(&e))?;
    let tokens = Keystore::in_memory(Lmk::test()).tokenizer();
    let token = cost(quick, || {
        black_box(tokens.token(black_box(PAN)));
    });
    report.add(Row::cost("keystore", "card token (AES-CMAC)", token));
    Ok(())
}

/// The PIN key of a terminal's transaction, with a step for each bit of its counter.
fn dukpt(quick: bool, report: &mut Report) -> Result<(), Box<dyn std::error::Error>> {
    let store = Keystore::in_memory(Lmk::test());
    let parts = [vec![0x5a; 16], (0..16).collect()];
    store.import_components("base", Usage::DukptBase, Algorithm::Tdes, Mode::Both, Export::N, &parts)?;
    let base = store.dukpt_tdes_base_key("base")?;
    for (what, counter) in [
        ("PIN key of TDES DUKPT, 1 counter bit", [0, 1]),
        ("PIN key of TDES DUKPT, 10 counter bits", [3, 0xFF]),
    ] {
        let ksn = DukptTdesKsn::from_bytes(&[&b"\xFF\xFF\x98\x76\x54\x32\x10\xE0"[..], &counter].concat())?;
        let initial = base.initial_key(ksn.device())?;
        initial.pin_key(&ksn)?;
        let derived = cost(quick, || {
            let _ = black_box(initial.pin_key(black_box(&ksn)));
        });
        report.add(Row::cost("keystore", what, derived));
    }
    Ok(())
}

/// A published test key in two components, for PIN blocks of format 4.
fn aes_pin_key() -> Result<PinKey, KeyError> {
    let store = Keystore::in_memory(Lmk::test());
    let parts = [vec![0x5a; 16], (0..16).collect()];
    store.import_components("aes-pin", Usage::Pin, Algorithm::Aes, Mode::Both, Export::N, &parts)?;
    store.pin_key("aes-pin")
}
