//! The codec and the keystore, one operation at a time, on one message: no disk, no socket, no other thread.

use crate::alloc;
use crate::city::{ACQUIRER_MAC, ACQUIRER_PIN, BANK_PIN};
use crate::error::BenchError;
use crate::measure::cost;
use crate::report::{Budget, Report, Row};
use std::hint::black_box;
use std::sync::Arc;
use yika_codec::{Dialect, Draft, EncodeError, FieldSet, Layout};
use yika_keystore::{
    Algorithm, Export, KeyError, Keystore, Lmk, Mode, PinFormat, PinKey, Usage, encrypt_test_pin,
    translate_pin,
};
use yika_loadgen::{TEST_PIN, test_mac_key, test_pin_key};

/// The reference message: a purchase of eleven fields, iso87-ascii with a hexadecimal bitmap.
pub(crate) const REFERENCE: &[u8] = b"02007238000008C08000\
    164111111111111111000000000000010000061512304512345612304506154123\
    45678901TERM0001MERCHANT0000001840";

const PAN: &[u8] = b"4111111111111111";

pub(crate) fn run(quick: bool, report: &mut Report) -> Result<(), BenchError> {
    codec(quick, report)?;
    keystore(quick, report)
}

fn codec(quick: bool, report: &mut Report) -> Result<(), BenchError> {
    let setup = BenchError::setup("the codec");
    let iso = Dialect::builtin("iso87-ascii").ok_or_else(|| setup(&"there is no iso87-ascii"))?;
    let pos = Dialect::builtin("pos-bcd").ok_or_else(|| setup(&"there is no pos-bcd"))?;
    let (values, mti) = {
        let mut layout = Layout::default();
        iso.decode(REFERENCE, &mut layout).map_err(|e| setup(&e))?;
        let message = iso.message(REFERENCE, &layout);
        let mut values = FieldSet::new();
        message.collect(&message.present(), &mut values);
        (values, message.mti())
    };
    for (dialect, decode_max_ns, encode_max_ns) in [(&iso, 150.0, 200.0), (&pos, 250.0, 250.0)] {
        let values = spoken(dialect, &values, mti).map_err(|e| setup(&e))?;
        let mut wire = Vec::new();
        let written = draft(&values, mti, |draft| dialect.encode(draft, &mut wire)).map_err(|e| setup(&e))?;
        black_box(written);
        let about = format!("{} bytes, {} fields", wire.len(), values.iter().count());
        decode_row(quick, report, dialect, &wire, decode_max_ns, &about).map_err(|e| setup(&e))?;
        let mut out = Vec::with_capacity(512);
        let encode = cost(quick, || {
            out.clear();
            let done = draft(&values, mti, |draft| dialect.encode(draft, &mut out));
            let _ = black_box(done);
        });
        let what = format!("encode, {}", dialect.name());
        let beside = format!("{about}, from canonical values");
        report.add(Row::cost("codec", what, encode).budget(Budget::AtMost(encode_max_ns)).beside(beside));
    }
    Ok(())
}

fn decode_row(
    quick: bool,
    report: &mut Report,
    dialect: &Arc<Dialect>,
    wire: &[u8],
    max_ns: f64,
    about: &str,
) -> Result<(), yika_codec::DecodeError> {
    let mut layout = Layout::default();
    dialect.decode(wire, &mut layout)?;
    let decode = cost(quick, || {
        let done = dialect.decode(black_box(wire), &mut layout);
        let _ = black_box(done);
    });
    let allocations = alloc::count(|| {
        for _ in 0..1000 {
            let done = dialect.decode(black_box(wire), &mut layout);
            let _ = black_box(done);
        }
    });
    let what = format!("decode, {}", dialect.name());
    report.add(Row::cost("codec", what, decode).budget(Budget::AtMost(max_ns)).beside(about));
    let what = format!("allocations in 1000 decodes, {}", dialect.name());
    report.add(Row::new("codec", what, allocations as f64, "").budget(Budget::AtMost(0.0)));
    Ok(())
}

/// The values that `dialect` has a field for.
fn spoken(dialect: &Dialect, values: &FieldSet, mti: yika_codec::Mti) -> Result<FieldSet, EncodeError> {
    let mut kept = values.clone();
    loop {
        let mut wire = Vec::new();
        match draft(&kept, mti, |draft| dialect.encode(draft, &mut wire)) {
            Ok(_) => return Ok(kept),
            Err(EncodeError::UnknownField { field, .. }) => {
                let mut fewer = FieldSet::new();
                kept.iter().filter(|(n, _)| *n != field).for_each(|(n, value)| fewer.set(n, value));
                kept = fewer;
            }
            Err(other) => return Err(other),
        }
    }
}

#[inline]
fn draft<R>(values: &FieldSet, mti: yika_codec::Mti, then: impl FnOnce(&Draft<'_>) -> R) -> R {
    let mut draft = Draft::new(mti);
    draft.set_all(values);
    then(&draft)
}

fn keystore(quick: bool, report: &mut Report) -> Result<(), BenchError> {
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
    translate_pin(&from, PinFormat::Iso0, &to, PinFormat::Iso0, PAN, &block).map_err(|e| setup(&e))?;
    let pin = cost(quick, || {
        let done = translate_pin(&from, PinFormat::Iso0, &to, PinFormat::Iso0, PAN, black_box(&block));
        let _ = black_box(done);
    });
    report.add(Row::cost("keystore", "PIN translate, format 0 to 0 (TDES)", pin));
    let from = aes_pin_key().map_err(|e| setup(&e))?;
    let block = encrypt_test_pin(&from, PinFormat::Iso4, PAN, TEST_PIN).map_err(|e| setup(&e))?;
    translate_pin(&from, PinFormat::Iso4, &to, PinFormat::Iso0, PAN, &block).map_err(|e| setup(&e))?;
    let pin = cost(quick, || {
        let done = translate_pin(&from, PinFormat::Iso4, &to, PinFormat::Iso0, PAN, black_box(&block));
        let _ = black_box(done);
    });
    report.add(Row::cost("keystore", "PIN translate, format 4 (AES) to 0 (TDES)", pin));
    let tokens = Keystore::in_memory(Lmk::test()).tokenizer();
    let token = cost(quick, || {
        black_box(tokens.token(black_box(PAN)));
    });
    report.add(Row::cost("keystore", "card token (AES-CMAC)", token));
    Ok(())
}

/// A published test key in two components, for PIN blocks of format 4.
fn aes_pin_key() -> Result<PinKey, KeyError> {
    let store = Keystore::in_memory(Lmk::test());
    let parts = [vec![0x5a; 16], (0..16).collect()];
    store.import_components("aes-pin", Usage::Pin, Algorithm::Aes, Mode::Both, Export::N, &parts)?;
    store.pin_key("aes-pin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_dialects_speak_most_of_the_reference_message() {
        assert_eq!(REFERENCE.len(), 120);
        let iso = Dialect::builtin("iso87-ascii").unwrap();
        let mut layout = Layout::default();
        iso.decode(REFERENCE, &mut layout).unwrap();
        let message = iso.message(REFERENCE, &layout);
        let mut values = FieldSet::new();
        message.collect(&message.present(), &mut values);
        assert_eq!(spoken(&iso, &values, message.mti()).unwrap().iter().count(), 11);
        let pos = Dialect::builtin("pos-bcd").unwrap();
        assert!(spoken(&pos, &values, message.mti()).unwrap().iter().count() >= 8);
    }
}
