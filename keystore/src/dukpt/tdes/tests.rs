//! The table of X9.24-1:2009 annex A.4, agreement with a second implementation, and every refusal.

use super::*;
use crate::attributes::Export;
use crate::lmk::Lmk;
use crate::pin::oracle;
use crate::secret::hex;
use crate::testing::{Seeded, cases, components, store_with, unhex};
use retail_mac::{KeyInit as _, Mac as _};

const BDK: &str = "0123456789ABCDEFFEDCBA9876543210";
const IPEK: &str = "6AC292FAA1315B4D858AB3A3D7D5933A";
const PAN: &str = "4012345678909";

/// Annex A.4.2 and A.4.3: end of the serial number, transaction key, encrypted PIN block.
const ROWS: [(&str, &str, &str); 34] = [
    ("E00001", "042666B49184CFA368DE9628D0397BC9", "1B9C1845EB993A7A"),
    ("E00002", "C46551CEF9FD24B0AA9AD834130D3BC7", "10A01C8D02C69107"),
    ("E00003", "0DF3D9422ACA56E547676D07AD6BADFA", "18DC07B94797B466"),
    ("E00004", "279C0F6AEED0BE652B2C733E1383AE91", "0BC79509D5645DF7"),
    ("E00005", "5F8DC6D2C845C125508DDC048093B83F", "5BC0AF22AD87B327"),
    ("E00006", "5E415CB0BAF9F03CD0C14B63FB62FF43", "A16DF70AE36158D8"),
    ("E00007", "0C8F780B7C8B49D0AE84A9EB2A6CE660", "27711C16CB257F8E"),
    ("E00008", "27F66D5244FF62E1AA6F6120EDEB4280", "50E55547A5027551"),
    ("E00009", "27E31064FDC565698900E2057F658E7E", "536CF7F678ACFC8D"),
    ("E0000A", "6CF2500A22507C7CC776CEADC1E33014", "EDABBA23221833FE"),
    ("E0000B", "3E8260BA04B2D620C01482B3819A18B7", "2328981C57B4BDBA"),
    ("E0000C", "B716E1E11CF53D80726CAEE75C3A624F", "038D03CC926CF286"),
    ("E0000D", "E072EDF95340535FB6C581C58FBF2533", "6C8AA97088B62C68"),
    ("E0000E", "A80046087F5B8F245AAD95E18429084F", "F17C9E1D72CD4950"),
    ("E0000F", "93DD5B956C4878472E453AAEFD32A5AA", "B170F6E7F7F2F64A"),
    ("E00010", "59598DCBD9BD94C094165CE453585F57", "D5D9638559EF53D6"),
    ("E00011", "2B5F01F4F0CC05EA639D523231BF1BA2", "D544F8CDD292C863"),
    ("E00012", "9CF640F279C2AEE615F725EEEAC2CBAF", "7A21BD10F36DC41D"),
    ("E00013", "C3DF489FDF1153B4F03DE97C27DC4C2F", "78649BD17D0DFA60"),
    ("E00014", "658488507721B3F14737FA93F923CBD2", "7E7E16EA0C31AD56"),
    ("E00015", "E161D1956A61F6D2F37AFD7F9CC3699A", "72105C22EBC791E6"),
    ("EFF800", "F9CDFEBF4F5B1D9EB3EC12454527E176", "33365F5CC6F23C35"),
    ("EFF801", "5BEE92627E97825C911BF619DF72CA3B", "3A86BF003F835C9D"),
    ("EFF802", "64CA2F8AB93F61B01620B00BF77C7301", "3DB977D05C36DF3F"),
    ("EFF804", "35A168695B3BA83307E871C42021DD37", "BA832433 05712099"),
    ("EFF808", "12C380FCB72ED3C26FC6079AF63F4787", "B0DA04AC90A36D85"),
    ("EFF810", "D8007C833A1E3C49C6889B97A68C54FF", "2CF02BD9C309EEDA"),
    ("EFF820", "A9C9FF9B735FDD49591F296B0BF0FD70", "9D1E2F77AEEE81C6"),
    ("EFF840", "0E3E221062CB5E03A384602783A004FA", "40870B0F8BA2011C"),
    ("EFF880", "CA8225C587124DFBB87F279C0BE29727", "22E340D6ABB40981"),
    ("EFF900", "906AAC1751D4971A144D52C76C6E1F97", "1A4C10AFBA03A430"),
    ("EFFA00", "2B9E2CE7C2750337E10B54D2989EA6AF", "849763B43E5F9CFF"),
    ("EFFC00", "F9430DF975082491C77BE4EF4FDB91EE", "DEFC6F09F8927B71"),
    ("F00000", "AA4D58DB653EC74A48C75F2F047DD2B5", "73EC88AD0AC5830E"),
];

/// End of the serial number, MAC of a request and of a response over the same text.
const MACS: [(&str, &str, &str); 6] = [
    ("E00001", "9CCC7817", "20364223"),
    ("E00002", "F608A9BC", "D1FCA6BE"),
    ("E00003", "20B59A4F", "BAD4CC9C"),
    ("E00015", "B2033EBD", "BDA3AEE1"),
    ("EFF800", "23E3CB62", "5776C376"),
    ("F00000", "7DFA9315", "1444BEC3"),
];

fn ksn(end: &str) -> DukptTdesKsn {
    DukptTdesKsn::from_bytes(&unhex(&format!("FFFF9876543210{end}"))).unwrap()
}

fn initial() -> DukptTdesInitialKey {
    let store = store_with(Usage::DukptBase, Algorithm::Tdes, &unhex(BDK));
    store.dukpt_tdes_base_key("key").unwrap().initial_key(ksn("E00001").device()).unwrap()
}

fn zone() -> (Vec<u8>, PinEncryptKey) {
    let key = unhex("13579BDF02468ACE1122334455667788");
    let store = store_with(Usage::Pin, Algorithm::Tdes, &key);
    (key, store.pin_encrypt_key("key").unwrap())
}

/// The second implementation: keys as numbers, the derivation told backwards, from the counter to the initial key.
mod book {
    use super::*;

    const C0: u128 = 0xC0C0_C0C0_0000_0000_C0C0_C0C0_0000_0000;

    pub(super) fn initial(bdk: u128, ksn: &[u8]) -> u128 {
        let serial = u64::from_be_bytes(ksn[..8].try_into().unwrap()) & !0x1F;
        u128::from(tdes(bdk, serial)) << 64 | u128::from(tdes(bdk ^ C0, serial))
    }

    /// The key of a counter comes of that of the counter without its lowest bit.
    pub(super) fn transaction(initial: u128, ksn: &[u8]) -> u128 {
        let serial = u64::from_be_bytes(ksn[2..].try_into().unwrap());
        let counter = serial & 0x1F_FFFF;
        if counter == 0 {
            return initial;
        }
        let lowest = counter & counter.wrapping_neg();
        let mut before = ksn.to_vec();
        before[2..].copy_from_slice(&(serial ^ lowest).to_be_bytes());
        let key = transaction(initial, &before);
        u128::from(one_way(key ^ C0, serial)) << 64 | u128::from(one_way(key, serial))
    }

    fn one_way(key: u128, serial: u64) -> u64 {
        let (left, right) = ((key >> 64) as u64, key as u64);
        // Single DES is TDES under three equal parts.
        number(&oracle::tdes(&left.to_be_bytes().repeat(3), &(serial ^ right).to_be_bytes(), true)) ^ right
    }

    /// Both halves of a key changed by the same mask.
    pub(super) fn masked(key: u128, mask: u64) -> u128 {
        key ^ (u128::from(mask) << 64 | u128::from(mask))
    }

    pub(super) fn data_key(key: u128, mask: u64) -> u128 {
        let key = masked(key, mask);
        u128::from(tdes(key, (key >> 64) as u64)) << 64 | u128::from(tdes(key, key as u64))
    }

    pub(super) fn tdes(key: u128, block: u64) -> u64 {
        number(&oracle::tdes(&key.to_be_bytes(), &block.to_be_bytes(), true))
    }

    pub(super) fn mac(key: u128, data: &[u8]) -> Vec<u8> {
        let mac = retail_mac::RetailMac::<des::Des>::new_from_slice(&key.to_be_bytes()).unwrap();
        mac.chain_update(if data.is_empty() { &[0; 8] } else { data }).finalize().into_bytes().to_vec()
    }

    fn number(bytes: &[u8]) -> u64 {
        u64::from_be_bytes(bytes.try_into().unwrap())
    }
}

fn number(text: &str) -> u128 {
    u128::from_str_radix(text, 16).unwrap()
}

#[test]
fn every_row_of_the_standard() {
    let initial = initial();
    assert_eq!(hex(initial.key.as_slice()), IPEK);
    let serial = ksn("E00001").to_bytes();
    assert_eq!(format!("{:032X}", book::initial(number(BDK), &serial)), IPEK);
    let store = store_with(Usage::DukptInitial, Algorithm::Tdes, &unhex(IPEK));
    let stored = store.dukpt_tdes_initial_key("key", ksn("E00001").device()).unwrap();
    let (zone_key, zone) = zone();
    for (end, key, block) in ROWS {
        let ksn = ksn(end);
        assert_eq!(hex(initial.transaction_key(&ksn).unwrap().key.as_slice()), key, "{end}");
        assert_eq!(format!("{:032X}", book::transaction(number(IPEK), &ksn.to_bytes())), key, "{end}");
        for initial in [&initial, &stored] {
            let (format, block) = (PinFormat::Iso0, EncryptedPin::from_bytes(&unhex(block)).unwrap());
            let moved = initial.translate_pin(&ksn, format, &zone, format, PAN.as_bytes(), &block);
            let moved = moved.unwrap_or_else(|error| panic!("{end}: {error}"));
            let pin = oracle::open(format, &zone_key, PAN, moved.as_bytes());
            assert_eq!(pin.as_deref(), Some("1234"), "{end}");
        }
    }
}

/// Odd parity was forced on keys that came in components, and an initial key had become another one.
#[test]
fn every_bit_of_an_initial_key_survives_its_components() {
    let even = unhex("00112233445566778899AABBCCDDEEFE");
    let store = store_with(Usage::DukptInitial, Algorithm::Tdes, &even);
    let initial = store.dukpt_tdes_initial_key("key", ksn("E00001").device()).unwrap();
    assert_eq!(initial.key[..], even);
}

#[test]
fn a_base_key_has_two_parts() {
    let store = Keystore::in_memory(Lmk::test());
    let parts = components(&unhex("0123456789ABCDEFFEDCBA98765432101122334455667788"));
    for usage in [Usage::DukptBase, Usage::DukptInitial] {
        let refused = store.import_components("k", usage, Algorithm::Tdes, Mode::Both, Export::N, &parts);
        assert!(matches!(refused, Err(KeyError::Length { bytes: 24, .. })), "{usage}");
    }
}

#[test]
fn macs_of_the_standard() {
    let (initial, text) = (initial(), b"4012345678909D987");
    for (end, request, response) in MACS {
        let ksn = ksn(end);
        let proof = initial.verify_mac(&ksn, text, &unhex(request), end);
        assert_eq!(proof.map(Authentic::into_inner), Ok(end));
        let made = initial.generate_mac(&ksn, DukptWay::OneWay, text).unwrap();
        assert_eq!(hex(&made[..4]), response, "{end}");
        let key = book::transaction(number(IPEK), &ksn.to_bytes());
        assert_eq!(hex(&book::mac(book::masked(key, 0xFF00), text)[..4]), request);
        assert_eq!(hex(&book::mac(book::masked(key, 0xFF00_0000), text)[..4]), response);
        let both = initial.generate_mac(&ksn, DukptWay::BothWays, text).unwrap();
        assert_eq!(hex(&both[..4]), request, "both ways have the key of requests");
    }
}

/// Annex A.4.1, first transaction: the data key after its one-way step.
#[test]
fn the_data_key_of_the_standard() {
    let walk = initial().data_key(&ksn("E00001"), DATA_REQUEST).unwrap();
    assert_eq!(hex(&walk.key), "448D3F076D8304036A55A3D7E0055A78");
}

#[test]
fn another_device_is_refused_by_every_operation() {
    let (initial, (_, zone)) = (initial(), zone());
    let other = DukptTdesKsn::from_bytes(&unhex("FFFF9876543211E00001")).unwrap();
    let block = EncryptedPin::from_bytes(&[0; 8]).unwrap();
    let iso = PinFormat::Iso0;
    let mut data = [0; 8];
    let refused = Some(DukptError::OtherDevice);
    assert_eq!(initial.pin_key(&other).err(), refused);
    assert_eq!(initial.translate_pin(&other, iso, &zone, iso, PAN.as_bytes(), &block).err(), refused);
    assert_eq!(initial.verify_mac(&other, b"", &[0; 4], 7).err(), refused.map(|error| (error, 7)));
    assert_eq!(initial.generate_mac(&other, DukptWay::OneWay, b"").err(), refused);
    assert_eq!(initial.decrypt(&other, &[0; 8], &mut data).err(), refused);
    assert_eq!(initial.encrypt(&other, DukptWay::OneWay, &[0; 8], &mut data).err(), refused);
}

#[test]
fn lengths_bits_formats_and_counters_are_refused() {
    let (initial, (_, zone), ksn) = (initial(), zone(), ksn("E00001"));
    let request = unhex("9CCC7817");
    for bit in 0..32 {
        let mut wrong = request.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        let refused = initial.verify_mac(&ksn, b"4012345678909D987", &wrong, ());
        assert_eq!(refused.err(), Some((DukptError::Mac, ())));
    }
    for bytes in [0, 1, 3, 9, 16] {
        let refused = initial.verify_mac(&ksn, b"", &vec![0; bytes], ());
        assert_eq!(refused.err(), Some((DukptError::MacLength { bytes }, ())));
    }
    for bytes in [0, 1, 7, 9] {
        let (mut data, refused) = (vec![0; bytes], Err(DukptError::DataLength { bytes, block_bytes: 8 }));
        assert_eq!(initial.decrypt(&ksn, &[0; 8], &mut data), refused);
        assert_eq!(initial.encrypt(&ksn, DukptWay::OneWay, &[0; 8], &mut data), refused);
    }
    let block = EncryptedPin::from_bytes(&unhex(ROWS[0].2)).unwrap();
    let translate = |ksn: &DukptTdesKsn, format, to_format, block: &EncryptedPin| {
        initial.translate_pin(ksn, format, &zone, to_format, PAN.as_bytes(), block).map(drop)
    };
    use PinFormat::{Iso0, Iso1, Iso4};
    let pin = |error| Err(DukptError::Pin(error));
    assert_eq!(translate(&ksn, Iso0, Iso0, &block), Ok(()));
    let forbidden = crate::PinError::Translation { from: Iso0, to: Iso1 };
    assert_eq!(translate(&ksn, Iso0, Iso1, &block), pin(forbidden));
    let misfit = crate::PinError::Format { format: Iso4, algorithm: Algorithm::Tdes };
    assert_eq!(translate(&ksn, Iso4, Iso0, &block), pin(misfit));
    let second = self::ksn("E00002");
    assert_eq!(translate(&second, Iso0, Iso0, &block), pin(crate::PinError::Block));
}

fn held(key: [u8; 16]) -> Held<[u8; 16]> {
    Held::new(Stay::Lasting, key).unwrap()
}

/// A weak DES part on the way is refused and never used.
#[test]
fn a_weak_key_is_refused() {
    let key = [[1; 8], [0x13; 8]];
    let initial = DukptTdesInitialKey {
        key: held(key.as_flattened().try_into().unwrap()),
        device: ksn("E00001").device(),
    };
    assert_eq!(initial.pin_key(&ksn("E00001")).err(), Some(DukptError::WeakKey));
}

#[test]
fn all_working_keys_agree_with_another() {
    let mut seeded = Seeded::new(924);
    let (zone_key, zone) = zone();
    for case in 0..cases() {
        let (initial_key, mut serial): ([u8; 16], [u8; 10]) = (seeded.array(), seeded.array());
        // At most ten bits, at least one.
        let bits = (0..1 + seeded.below(10)).fold(0_u32, |bits, _| bits | 1 << seeded.below(21));
        serial[7] &= 0xE0;
        serial[7..]
            .iter_mut()
            .zip(&bits.to_be_bytes()[1..])
            .for_each(|(byte, bits)| *byte = *byte & 0xE0 | bits);
        serial[8..].copy_from_slice(&bits.to_be_bytes()[2..]);
        let ksn = DukptTdesKsn::from_bytes(&serial).unwrap();
        let ours = DukptTdesInitialKey { key: held(initial_key), device: ksn.device() };
        let theirs = book::transaction(u128::from_be_bytes(initial_key), &serial);

        let (pin, pan) = (seeded.digits(4 + case as usize % 9), seeded.digits(16));
        let pin_key = book::masked(theirs, 0xFF).to_be_bytes();
        let block = oracle::seal(PinFormat::Iso0, &pin_key, &pin, &pan, "");
        let block = EncryptedPin::from_bytes(&block).unwrap();
        let (iso, pan_bytes) = (PinFormat::Iso0, pan.as_bytes());
        let moved = ours.translate_pin(&ksn, iso, &zone, iso, pan_bytes, &block).unwrap();
        assert_eq!(oracle::open(iso, &zone_key, &pan, moved.as_bytes()), Some(pin), "case {case}");

        let data = seeded.bytes(case as usize % 40);
        let mac = book::mac(book::masked(theirs, 0xFF00), &data);
        assert!(ours.verify_mac(&ksn, &data, &mac[..4 + case as usize % 5], ()).is_ok(), "case {case}");
        let mac = ours.generate_mac(&ksn, DukptWay::OneWay, &data).unwrap();
        assert_eq!(mac[..], book::mac(book::masked(theirs, 0xFF00_0000), &data), "case {case}");

        let clear: [u8; 8] = seeded.array();
        let iv: [u8; 8] = seeded.array();
        let start = u64::from_be_bytes(clear) ^ u64::from_be_bytes(iv);
        let mut block = book::tdes(book::data_key(theirs, 0xFF_0000), start).to_be_bytes();
        ours.decrypt(&ksn, &iv, &mut block).unwrap();
        assert_eq!(block, clear, "case {case}");
        ours.encrypt(&ksn, DukptWay::OneWay, &iv, &mut block).unwrap();
        let expected = book::tdes(book::data_key(theirs, 0xFF_0000_0000), start).to_be_bytes();
        assert_eq!(block, expected, "case {case}");
    }
}

#[test]
fn initial_keys_agree_with_another() {
    let mut seeded = Seeded::new(6);
    for case in 0..cases() {
        let (bdk, serial): ([u8; 16], [u8; 10]) = (seeded.array(), seeded.array());
        let base = DukptTdesBaseKey::expand(&bdk, [0; 3]).unwrap();
        let ours = base.initial_key(DukptTdesDevice::from_bytes(&serial).unwrap()).unwrap();
        let theirs = book::initial(u128::from_be_bytes(bdk), &serial);
        assert_eq!(*ours.key, theirs.to_be_bytes(), "case {case}");
    }
}

/// A PIN of a terminal is verified without a key in between.
#[test]
fn a_pin_is_verified_straight_from_its_transaction() {
    let pvk = unhex("0123456789ABCDEFFEDCBA9876543210");
    let store = store_with(Usage::PinVerifyPvv, Algorithm::Tdes, &pvk);
    let verify = store.pvv_verify_key("key").unwrap();
    let pin_key = initial().pin_key(&ksn("E00001")).unwrap();
    let block = EncryptedPin::from_bytes(&unhex(ROWS[0].2)).unwrap();
    let pvv: [u8; 4] = oracle::pvv(&pvk, PAN, 1, "1234").as_bytes().try_into().unwrap();
    let ask = |pvv| verify.verify(&pin_key, PinFormat::Iso0, PAN.as_bytes(), &block, 1, pvv);
    assert_eq!((ask(&pvv), ask(b"0000")), (Ok(true), Ok(&pvv == b"0000")));
}
