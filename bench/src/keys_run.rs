//! What a switch asks of its keys, one operation at a time and in batches, on one thread: as long as the cipher itself takes
//! in the same run, and the figures that were asked for.

use crate::error::BenchError;
use crate::measure::{Cost, cost};
use crate::report::{Budget, Report, Row};
use aws_lc_rs::cipher::{self, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use std::hint::black_box;
use std::sync::Arc;
use yika_keystore::{
    Algorithm, Backend, CvvKind, DukptTdesKsn, Export, KeyError, KeyRef, Keystore, Lmk, Mode, Operation,
    PinFormat, PinFrom, PinIn, SoftBackend, TacRecord, Usage, encrypt_test_pin, translate_pin,
};

const PAN: &[u8] = b"4111111111111111";
const PIN: &[u8] = b"1234";
/// The published test keys of X9.24-1:2009 annex A.4, and another of the same bytes.
const BDK: [u8; 16] = *b"\x01\x23\x45\x67\x89\xAB\xCD\xEF\xFE\xDC\xBA\x98\x76\x54\x32\x10";
const OTHER: [u8; 16] = *b"\x1C\x1C\x2A\x2A\x4F\x4F\x70\x70\x89\xAB\xCD\xEF\x01\x23\x45\x67";
const MESSAGE: [u8; 256] = [0x5A; 256];
/// What a backend is handed at once.
const BATCH: usize = 64;

pub(crate) fn run(quick: bool, report: &mut Report) -> Result<(), BenchError> {
    let setup = BenchError::setup("keys");
    let store = Arc::new(Keystore::in_memory(Lmk::test()));
    let bare = bare_block(quick)?;
    report.add(Row::cost("keys", "one TDES block, the bare cipher of aws-lc", bare));
    macs(quick, &store, report).map_err(|e| setup(&e))?;
    pins(quick, &store, bare, report).map_err(|e| setup(&e))?;
    dukpt(quick, &store, report).map_err(|e| setup(&e))?;
    cards(quick, &store, report).map_err(|e| setup(&e))?;
    taps(quick, &store, report).map_err(|e| setup(&e))
}

type Done = Result<(), Box<dyn std::error::Error>>;

/// Operations a second, of one thread.
fn row(what: impl Into<String>, cost: Cost, wanted_per_s: Option<f64>) -> Row {
    let row = Row::cost("keys", what, cost).beside(format!("{:.0} /s", 1e9 / cost.median_ns));
    match wanted_per_s {
        Some(wanted) => row.budget(Budget::AtMost(1e9 / wanted)),
        None => row,
    }
}

fn put(store: &Keystore, name: &str, usage: Usage, algorithm: Algorithm, key: &[u8]) -> Result<(), KeyError> {
    let mask: Vec<u8> = (0..key.len()).map(|at| 0x5A ^ (at as u8).wrapping_mul(31)).collect();
    let rest = key.iter().zip(&mask).map(|(byte, mask)| byte ^ mask).collect();
    store.import_components(name, usage, algorithm, Mode::Both, Export::S, &[mask, rest]).map(drop)
}

fn bare_block(quick: bool) -> Result<Cost, BenchError> {
    let setup = BenchError::setup("the bare cipher");
    #[expect(deprecated, reason = "marked legacy by the library; payment networks still run on TDES")]
    let key = UnboundCipherKey::new(&cipher::DES_EDE_FOR_LEGACY_USE_ONLY, &BDK).map_err(|e| setup(&e))?;
    let key = EncryptingKey::cbc(key).map_err(|e| setup(&e))?;
    let mut block = [0x11; 8];
    Ok(cost(quick, || {
        let iv = EncryptionContext::Iv64(FixedLength::from(&[0; 8]));
        let _ = black_box(key.less_safe_encrypt(black_box(&mut block), iv));
    }))
}

fn macs(quick: bool, store: &Keystore, report: &mut Report) -> Done {
    put(store, "cmac", Usage::MacCmac, Algorithm::Aes, &BDK)?;
    put(store, "retail", Usage::MacRetail, Algorithm::Tdes, &BDK)?;
    put(store, "sm4", Usage::MacCmac, Algorithm::Sm4, &BDK)?;
    for (name, what, wanted) in [
        ("cmac", "AES-CMAC over 256 bytes", Some(2.5e6)),
        ("retail", "retail MAC over 256 bytes (TDES)", Some(200e3)),
        ("sm4", "SM4-CMAC over 256 bytes", None),
    ] {
        let key = store.mac_key(name)?;
        let mac = cost(quick, || {
            black_box(key.generate(black_box(&MESSAGE)));
        });
        report.add(row(what, mac, wanted));
    }
    Ok(())
}

fn pins(quick: bool, store: &Arc<Keystore>, bare: Cost, report: &mut Report) -> Done {
    let blocks = [BDK, OTHER].map(|key| {
        let parts = [vec![0x35; 16], key.iter().map(|byte| byte ^ 0x35).collect()];
        let attributes = yika_keystore::Attributes {
            usage: Usage::Pin,
            algorithm: Algorithm::Tdes,
            mode: Mode::Both,
            export: Export::N,
        };
        store.working_from_components(attributes, &parts)
    });
    let [from_block, to_block] = blocks;
    let (from_block, to_block) = (from_block?, to_block?);
    let (from, to) = (store.pin_key_from_block(&from_block)?, store.pin_key_from_block(&to_block)?);
    let block = encrypt_test_pin(&from, PinFormat::Iso0, PAN, PIN)?;
    let (source, target) = (from.decrypting()?, to.encrypting()?);
    let one = cost(quick, || {
        let moved = translate_pin(source, PinFormat::Iso0, target, PinFormat::Iso0, PAN, black_box(&block));
        let _ = black_box(moved);
    });
    let ratio = one.median_ns / (2.0 * bare.median_ns);
    let told = format!("{:.0} /s; {ratio:.2} x two blocks of the bare cipher", 1e9 / one.median_ns);
    report.add(row("PIN translate, format 0 to 0 (TDES)", one, Some(1.5e6)).beside(told));

    let backend = SoftBackend::new(store.clone());
    let (from, to) = (KeyRef::new(from_block.as_str())?, KeyRef::new(to_block.as_str())?);
    let operation = Operation::TranslatePin {
        pin: PinIn { from: PinFrom::Zone(&from), format: PinFormat::Iso0, pan: PAN, block: block.as_bytes() },
        to: &to,
        to_format: PinFormat::Iso0,
    };
    let batch = [operation; BATCH];
    let handed = cost(quick, || {
        black_box(backend.submit(black_box(&batch)));
    });
    let per_pin = Cost { best_ns: handed.best_ns / BATCH as f64, median_ns: handed.median_ns / BATCH as f64 };
    report.add(row(format!("the same, handed to the backend {BATCH} at a time"), per_pin, None));
    Ok(())
}

fn dukpt(quick: bool, store: &Keystore, report: &mut Report) -> Done {
    put(store, "bdk", Usage::DukptBase, Algorithm::Tdes, &BDK)?;
    put(store, "zpk", Usage::Pin, Algorithm::Tdes, &OTHER)?;
    let (base, target) = (store.dukpt_tdes_base_key("bdk")?, store.pin_encrypt_key("zpk")?);
    for (counter, bits, wanted) in
        [([0xE0, 0, 0x01], 1, None), ([0xE0, 0x00, 0x1F], 5, Some(250e3)), ([0xE0, 0x03, 0xFF], 10, None)]
    {
        let mut ksn = *b"\xFF\xFF\x98\x76\x54\x32\x10\0\0\0";
        ksn[7..].copy_from_slice(&counter);
        let ksn = DukptTdesKsn::from_bytes(&ksn)?;
        let initial = base.initial_key(ksn.device())?;
        // Whatever the block holds: the work is the same but for the last check.
        let block = yika_keystore::EncryptedPin::from_bytes(&[0x31; 8])?;
        let moved = cost(quick, || {
            let done = initial.translate_pin(
                &ksn,
                PinFormat::Iso0,
                &target,
                PinFormat::Iso0,
                PAN,
                black_box(&block),
            );
            let _ = black_box(done.is_err());
        });
        report.add(row(format!("DUKPT PIN to a zone (TDES), {bits} counter bits"), moved, wanted));
    }
    Ok(())
}

fn cards(quick: bool, store: &Keystore, report: &mut Report) -> Done {
    put(store, "cvk", Usage::CardVerification, Algorithm::Tdes, &BDK)?;
    let cvk = store.cvv_verify_key("cvk")?;
    let cvv = cost(quick, || {
        let _ = black_box(cvk.verify(PAN, b"2912", CvvKind::Chip, black_box(b"123")));
    });
    report.add(row("iCVV verify", cvv, None));
    Ok(())
}

fn taps(quick: bool, store: &Keystore, report: &mut Report) -> Done {
    put(store, "tac", Usage::TacMaster, Algorithm::Tdes, &BDK)?;
    let key = store.tac_master_key("tac")?;
    let data = [0x21; 24];
    for (what, same) in [("of one card", true), ("of as many cards", false)] {
        let records: Vec<TacRecord<'_>> = (0..BATCH)
            .map(|at| TacRecord { card: [if same { 7 } else { at as u8 }; 8], data: &data, tac: [0; 4] })
            .collect();
        let mut verdicts = Vec::with_capacity(BATCH);
        let all = cost(quick, || {
            verdicts.clear();
            key.verify_all(black_box(&records), &mut verdicts);
        });
        let one = Cost { best_ns: all.best_ns / BATCH as f64, median_ns: all.median_ns / BATCH as f64 };
        report.add(row(format!("TAC verify (TDES), {BATCH} records {what}"), one, None));
    }
    Ok(())
}
