//! The tables of the X9.24-3:2017 supplement, agreement with a second implementation, and every refusal.

use super::*;
use crate::pin::oracle;
use crate::secret::hex;
use crate::testing::{Seeded, cases, store_with, unhex};
use cmac::{KeyInit as _, Mac as _};

const BDK: &str = "FEDCBA9876543210F1F1F1F1F1F1F1F1";
const IK_128: &str = "1273671EA26AC29AFA4D1084127652A1";
const IK_256: &str = "CE9CE0C101D1138F97FB6CAD4DF045A7083D4EAE2D35A31789D01CCF0949550F";

/// Counter and transaction key under the AES-128 base key. 1FFFF stands in the supplement too, with 17 bits set.
const ROWS_128: [(u32, &str); 15] = [
    (0x1, "4F21B565BAD9835E112B6465635EAE44"),
    (0x2, "2F34D68DE10F68D38091A73B9E7C437C"),
    (0x3, "031504E530365CF81264238540518318"),
    (0x4, "0EEFC7ADA628BA68878DA9165A8A1887"),
    (0x5, "C2A7AC328A5DA2D6002D62465BFC028B"),
    (0x6, "D30F7D9351DA58448A2F5E92B4EE3B7D"),
    (0x7, "A8253CEED9AC042C54F75D35C8352278"),
    (0x8, "718EE6CF0B27E53D5F7AF99C4D8146A2"),
    (0x1_FFFE, "E21E8C8D347F8561A2BE752DAA85A111"),
    (0x2_0000, "F7AE9025468A25D37B7249CFFED224C8"),
    (0x2_0001, "692C8EA4013645135B36497131DF9D2C"),
    (0xFFFE_2000, "48E585B694EB0B18D5C35443E163C0BA"),
    (0xFFFE_4000, "396C2C7CA1EA701C03B86B7D41F0C562"),
    (0xFFFE_8000, "0387625F189B58AE03EF0E8CCA41105E"),
    (0xFFFF_0000, "F6BA59389BD14A9855BE9727E7C52E3C"),
];

/// The same under the AES-256 base key, which is that of AES-128 twice.
const ROWS_256: [(u32, &str); 15] = [
    (0x1, "54AC2B32B145EA4A554CB8BC44B17467063A799856B1CCC2A138D36E8DBF78B3"),
    (0x2, "5DD5A0253842BBBE1D7C0DA27021412C6F1FAB53FB928DEAE56DA06090A9DE97"),
    (0x3, "8EEEF7C464AE415BB1D73FAED21993CD669F7999092A579EC6DD3CC680C65171"),
    (0x4, "C18CBED570B3B89ECADA7CEC9C224CD5A86ECF3DE377D3EFAB720F8C4D76B9D0"),
    (0x5, "6B3C3C93307151C25DC2309456F01C5C3108DAD571C321899A9B7E0C009FD2EB"),
    (0x6, "B8BB61AE3E2D5CD8C699E0C578FB2C7B89B0C0CF02DBAB60864D8049C986C844"),
    (0x7, "88D0ACA287B3066F5DE0C93396337D4C2DA8D92C1F720A576D62CEB4C979E01E"),
    (0x8, "20A796D5077D51B8E7613893A4F095B134E02917DC84BD391F3661D0873FF308"),
    (0x1_FFFE, "A289508CBF1228452CD86AB77B15CB35577AC828C18BB66681E5A16D6C9CCED3"),
    (0x2_0000, "D62DDA94A47D7DA5D763443B4ECB15EA8DD62E0E4F915958BA459591F8312E37"),
    (0x2_0001, "44110A1102748D4A3AC326F53D8CAC650212590CA7126D54546DDE0F20E89CEE"),
    (0xFFFE_2000, "4625EB06E4886D4AFCC9AE37ED4F4E4E1653C9E60E3F24742A87A26AA96AB7A6"),
    (0xFFFE_4000, "FF20E1BB575539ACCB44E3111BE8757F83AE8549A2DD71B441A4A424F7FFD4B1"),
    (0xFFFE_8000, "630535C9C53E1EC6524016930B56F6728909C45403536B419AEBCB25B7351C07"),
    (0xFFFF_0000, "6D6DB7AAAE8B3EA90E57A39E4BBA71E173B21B446B30A78D64BFC6A8806C55EE"),
];

/// Counter, PIN key, MAC key of the terminal, data key of the terminal, and the PIN block under the first.
const WORKING_128: [(u32, &str, &str, &str, &str); 3] = [
    (
        1,
        "AF8CB133A78F8DC2D1359F18527593FB",
        "A2DC23DE6FDE0824A2BC321E08E4B8B7",
        "A35C412EFD41FDB98B69797C02DCD08F",
        "A912150391AB65A67E52883D81CE2D15",
    ),
    (
        2,
        "D30BDC73EC9714B000BEC66BDB7B6D09",
        "484C3B06E8562704528CD5B46FB12FB6",
        "D639514AA33AC43AD9229E433D6D4E5B",
        "52A00503BD34BA1383F6A7EE9FE2547F",
    ),
    (
        3,
        "7D69F01F3B45449F62C7816ECE723268",
        "A5DF7D9D800CA769766F0C77CA4E6E6C",
        "EF17F6AB45B4820C93A3DCB21BC491AD",
        "A5A27E82B43A9A866A93D7ABE89CEF93",
    ),
];

fn ksn(counter: u32) -> DukptAesKsn {
    DukptAesKsn::from_bytes(&unhex(&format!("1234567890123456{counter:08X}"))).unwrap()
}

fn initial(bdk: &str) -> DukptAesInitialKey {
    let store = store_with(Usage::DukptBase, Algorithm::Aes, &unhex(bdk));
    store.dukpt_aes_base_key("key").unwrap().initial_key(ksn(1).device()).unwrap()
}

fn zone() -> (Vec<u8>, PinEncryptKey) {
    let key = unhex("13579BDF02468ACE1122334455667788");
    let store = store_with(Usage::Pin, Algorithm::Tdes, &key);
    (key, store.pin_encrypt_key("key").unwrap())
}

/// The second implementation: derivation data as hex text, the counter told backwards from its lowest bit.
mod book {
    use super::*;

    pub(super) fn derive(key: &[u8], usage: &str, bytes: usize, context: &str) -> Vec<u8> {
        let algorithm = ["0002", "0003", "0004"][bytes / 8 - 2];
        let blocks = ["01", "02"].map(|number| {
            let data = format!("01{number}{usage}{algorithm}{:04X}{context}", bytes * 8);
            oracle::aes(key, &unhex(&data), true)
        });
        blocks.concat()[..bytes].to_vec()
    }

    pub(super) fn transaction(initial: &[u8], device: &str, counter: u32) -> Vec<u8> {
        if counter == 0 {
            return initial.to_vec();
        }
        let before = transaction(initial, device, counter & (counter - 1));
        derive(&before, "8000", initial.len(), &format!("{}{counter:08X}", &device[8..]))
    }

    pub(super) fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
        match key.len() {
            16 => tag(cmac::Cmac::<aes::Aes128>::new_from_slice(key).unwrap().chain_update(data)),
            24 => tag(cmac::Cmac::<aes::Aes192>::new_from_slice(key).unwrap().chain_update(data)),
            _ => tag(cmac::Cmac::<aes::Aes256>::new_from_slice(key).unwrap().chain_update(data)),
        }
    }

    fn tag(mac: impl cmac::Mac) -> Vec<u8> {
        mac.finalize().into_bytes()[..8].to_vec()
    }
}

/// What a key makes of a block of zeros: keys are compared by it where the product shows none.
fn zeros_under(key: &Encipher) -> String {
    let mut block = [0; 16];
    key.block(&mut block);
    hex(&block)
}

#[test]
fn every_row_of_the_standard() {
    let twice = BDK.repeat(2);
    for (bdk, ik, rows) in [(BDK, IK_128, &ROWS_128), (&twice, IK_256, &ROWS_256)] {
        let initial = initial(bdk);
        assert_eq!(zeros_under(&initial.cipher), hex(&oracle::aes(&unhex(ik), &[0; 16], true)));
        assert_eq!(hex(&book::derive(&unhex(bdk), "8001", bdk.len() / 2, "1234567890123456")), ik);
        for (counter, key) in rows {
            let ours = initial.transaction_key(&ksn(*counter)).unwrap();
            assert_eq!(zeros_under(&ours), hex(&oracle::aes(&unhex(key), &[0; 16], true)), "{counter:X}");
            assert_eq!(
                hex(&book::transaction(&unhex(ik), "1234567890123456", *counter)),
                *key,
                "{counter:X}"
            );
        }
    }
}

#[test]
fn working_keys_of_the_standard() {
    let store = store_with(Usage::DukptInitial, Algorithm::Aes, &unhex(IK_128));
    let stored = store.dukpt_aes_initial_key("key", ksn(1).device()).unwrap();
    let (pan, (zone_key, zone)) = ("4111111111111111", zone());
    for (counter, pin_key, mac_key, data_key, block) in WORKING_128 {
        let ksn = ksn(counter);
        for initial in [&initial(BDK), &stored] {
            for (usage, key) in [(PIN, pin_key), (MAC_BY_TERMINAL, mac_key), (DATA_BY_TERMINAL, data_key)] {
                let ours = initial.working_key(&ksn, usage).unwrap();
                assert_eq!(hex(ours.as_slice()), key, "{counter} {usage:X}");
                let theirs = book::transaction(&unhex(IK_128), "1234567890123456", counter);
                let context = format!("90123456{counter:08X}");
                assert_eq!(hex(&book::derive(&theirs, &format!("{usage:04X}"), 16, &context)), key);
            }
            let block = EncryptedPin::from_bytes(&unhex(block)).unwrap();
            let (from, to) = (PinFormat::Iso4, PinFormat::Iso0);
            let moved = initial.translate_pin(&ksn, from, &zone, to, pan.as_bytes(), &block).unwrap();
            assert_eq!(oracle::open(to, &zone_key, pan, moved.as_bytes()).as_deref(), Some("1234"));
        }
    }
}

#[test]
fn another_device_is_refused_by_every_operation() {
    let (initial, (_, zone)) = (initial(BDK), zone());
    let way = DukptWay::OneWay;
    // Other devices, and another base key for the same device.
    for other in ["123456789012345700000001", "123456799012345600000001"] {
        let other = DukptAesKsn::from_bytes(&unhex(other)).unwrap();
        let block = EncryptedPin::from_bytes(&[0; 16]).unwrap();
        let (mut data, refused) = ([0; 16], Some(DukptError::OtherDevice));
        let moved = initial.translate_pin(
            &other,
            PinFormat::Iso4,
            &zone,
            PinFormat::Iso0,
            b"4111111111111111",
            &block,
        );
        assert_eq!(moved.err(), refused);
        assert_eq!(initial.pin_key(&other).err(), refused);
        assert_eq!(initial.verify_mac(&other, way, b"", &[0; 4], 7).err(), refused.map(|error| (error, 7)));
        assert_eq!(initial.generate_mac(&other, way, b"").err(), refused);
        assert_eq!(initial.decrypt(&other, way, &[0; 16], &mut data).err(), refused);
        assert_eq!(initial.encrypt(&other, way, &[0; 16], &mut data).err(), refused);
    }
}

#[test]
fn lengths_bits_formats_and_counters_are_refused() {
    let (initial_key, (_, zone), way) = (initial(BDK), zone(), DukptWay::OneWay);
    let request = book::mac(&unhex(WORKING_128[0].2), b"data");
    let proof = initial_key.verify_mac(&ksn(1), way, b"data", &request, 7);
    assert_eq!(proof.map(Authentic::into_inner), Ok(7));
    for bit in 0..64 {
        let mut wrong = request.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        let refused = initial_key.verify_mac(&ksn(1), way, b"data", &wrong, 7);
        assert_eq!(refused.err(), Some((DukptError::Mac, 7)));
    }
    let refused = |ksn: &DukptAesKsn, way| initial_key.verify_mac(ksn, way, b"data", &request, ()).err();
    assert_eq!(refused(&ksn(2), way), Some((DukptError::Mac, ())));
    assert_eq!(refused(&ksn(1), DukptWay::BothWays), Some((DukptError::Mac, ())));
    for bytes in [0, 3, 9, 16] {
        let refused = initial_key.verify_mac(&ksn(1), way, b"", &vec![0; bytes], ());
        assert_eq!(refused.err(), Some((DukptError::MacLength { bytes }, ())));
    }
    for bytes in [0, 8, 15, 17] {
        let (mut data, refused) = (vec![0; bytes], Err(DukptError::DataLength { bytes, block_bytes: 16 }));
        assert_eq!(initial_key.decrypt(&ksn(1), way, &[0; 16], &mut data), refused);
        assert_eq!(initial_key.encrypt(&ksn(1), way, &[0; 16], &mut data), refused);
    }
    let block = EncryptedPin::from_bytes(&unhex(WORKING_128[0].4)).unwrap();
    let translate = |counter, format, to_format| {
        let pan = b"4111111111111111";
        initial_key.translate_pin(&ksn(counter), format, &zone, to_format, pan, &block).map(drop)
    };
    use PinFormat::{Iso0, Iso1, Iso4};
    let forbidden = crate::PinError::Translation { from: Iso4, to: Iso1 };
    assert_eq!(translate(1, Iso4, Iso1), Err(DukptError::Pin(forbidden)));
    let misfit = crate::PinError::Format { format: Iso0, algorithm: Algorithm::Aes };
    assert_eq!(translate(1, Iso0, Iso0), Err(DukptError::Pin(misfit)));
    assert_eq!(translate(2, Iso4, Iso0), Err(DukptError::Pin(crate::PinError::Block)));
    for bytes in [0, 8, 17, 24, 32] {
        let refused = initial(BDK).with_working_bytes(bytes).err();
        assert_eq!(refused, Some(DukptError::WorkingLength { bytes }));
    }
}

#[test]
fn all_working_keys_agree_with_another() {
    let mut seeded = Seeded::new(9243);
    let (zone_key, zone) = zone();
    for case in 0..cases() {
        let key_bytes = [16, 24, 32][seeded.below(3)];
        let working_bytes = [16, 24, 32][seeded.below(1 + key_bytes / 8 - 2)];
        let (bdk, device): (_, [u8; 8]) = (seeded.bytes(key_bytes), seeded.array());
        let counter = (0..1 + seeded.below(16)).fold(0_u32, |bits, _| bits | 1 << seeded.below(32));
        let ksn = [&device[..], &counter.to_be_bytes()].concat();
        let ksn = DukptAesKsn::from_bytes(&ksn).unwrap();
        let cipher = Encipher::new(Algorithm::Aes, &bdk).unwrap();
        let base = DukptAesBaseKey { cipher, key_bytes, check_value: [0; 3] };
        let ours = base.initial_key(ksn.device()).unwrap().with_working_bytes(working_bytes).unwrap();

        let device = hex(&device);
        let initial = book::derive(&bdk, "8001", key_bytes, &device);
        let transaction = book::transaction(&initial, &device, counter);
        let context = format!("{}{counter:08X}", &device[8..]);
        let theirs = |usage: &str| book::derive(&transaction, usage, working_bytes, &context);

        let (pin, pan) = (seeded.digits(4 + case as usize % 9), seeded.digits(16));
        let block = oracle::seal(PinFormat::Iso4, &theirs("1000"), &pin, &pan, &hex(&seeded.array::<8>()));
        let block = EncryptedPin::from_bytes(&block).unwrap();
        let (from, to) = (PinFormat::Iso4, PinFormat::Iso0);
        let moved = ours.translate_pin(&ksn, from, &zone, to, pan.as_bytes(), &block).unwrap();
        assert_eq!(oracle::open(to, &zone_key, &pan, moved.as_bytes()), Some(pin), "case {case}");

        let (way, by_terminal, by_host) =
            if case % 2 == 0 { (DukptWay::OneWay, "0", "1") } else { (DukptWay::BothWays, "2", "2") };
        let data = seeded.bytes(case as usize % 50);
        let mac = book::mac(&theirs(&format!("200{by_terminal}")), &data);
        let mac = &mac[..4 + case as usize % 5];
        assert!(ours.verify_mac(&ksn, way, &data, mac, ()).is_ok(), "case {case}");
        let mac = ours.generate_mac(&ksn, way, &data).unwrap();
        assert_eq!(mac[..], book::mac(&theirs(&format!("200{by_host}")), &data), "case {case}");

        let (clear, iv): ([u8; 16], [u8; 16]) = (seeded.array(), seeded.array());
        let start = (u128::from_be_bytes(clear) ^ u128::from_be_bytes(iv)).to_be_bytes();
        let sealed = oracle::aes(&theirs(&format!("300{by_terminal}")), &start, true);
        let mut block: [u8; 16] = sealed.try_into().unwrap();
        ours.decrypt(&ksn, way, &iv, &mut block).unwrap();
        assert_eq!(block, clear, "case {case}");
        ours.encrypt(&ksn, way, &iv, &mut block).unwrap();
        assert_eq!(block[..], oracle::aes(&theirs(&format!("300{by_host}")), &start, true), "case {case}");
    }
}
