//! Published MAC vectors, agreement with the second implementation, and the rules of a zone.

use super::*;
use crate::testing::{Seeded, cases, store_with, unhex};

const ISO_KEYS: &str = "0123456789ABCDEF FEDCBA9876543210";
const PADDINGS: [MacPadding; 3] = [MacPadding::Zeros, MacPadding::OneThenZeros, MacPadding::LengthFirst];

fn key(usage: Usage, algorithm: Algorithm, bytes: &[u8]) -> MacKey {
    store_with(usage, algorithm, bytes).mac_key("key").unwrap()
}

fn padded_key(usage: Usage, algorithm: Algorithm, bytes: &[u8], padding: MacPadding) -> MacKey {
    let rules = MacRules { padding: Some(padding), bytes: None };
    store_with(usage, algorithm, bytes).mac_key_with("key", &rules).unwrap()
}

#[test]
fn iso_9797_vectors() {
    // ISO/IEC 9797-1:2011 annex B: algorithms 1 and 3 with each padding.
    let keys = unhex(ISO_KEYS);
    for (message, alg_3, alg_1) in [
        (
            &b"Now is the time for all "[..],
            ["A1C72E74EA3FA9B6", "E9086230CA3BE796", "AB059463D7A7D170"],
            ["70A30640CC76DD8B", "10E1F0F108341B6D", "2C58FB8FF12AAEAC"],
        ),
        (
            b"Now is the time for it",
            ["2E2B1428CC78254F", "5A692CE64F404145", "C59F7EED328DDD69"],
            ["E45B3AD2B7CC0856", "A924C72136149211", "B1ECD6FC8B37C392"],
        ),
    ] {
        for n in 0..3 {
            let retail = padded_key(Usage::MacRetail, Algorithm::Tdes, &keys, PADDINGS[n]);
            assert_eq!(retail.generate(message)[..], unhex(alg_3[n]), "algorithm 3, {:?}", PADDINGS[n]);
            assert_eq!(oracle::retail('T', n as u8 + 1, &keys, message), unhex(alg_3[n]));
            let cbc = padded_key(Usage::MacIso9797Alg1, Algorithm::Des, &keys[..8], PADDINGS[n]);
            assert_eq!(cbc.generate(message)[..], unhex(alg_1[n]), "algorithm 1, {:?}", PADDINGS[n]);
            assert_eq!(oracle::cbc('D', n as u8 + 1, &keys[..8], message), unhex(alg_1[n]));
        }
    }
    // What no rule says is padding method 1, which makes at least one block, also of nothing.
    let iso = key(Usage::MacRetail, Algorithm::Tdes, &keys);
    assert_eq!(iso.generate(b"Now is the time for it")[..], unhex("2E2B1428CC78254F"));
    assert_eq!(iso.generate(b""), iso.generate(&[0; 8]));
    // The Bouncy Castle test suite.
    let other = unhex("7CA110454A1A6E57 0131D9619DC1376E");
    let expected = unhex("F09B856213BAB83B");
    assert_eq!(key(Usage::MacRetail, Algorithm::Tdes, &other).generate(b"Hello World !!!!")[..], expected);
    assert_eq!(oracle::retail('T', 1, &other, b"Hello World !!!!"), expected);
}

#[test]
fn aes_cmac_vectors() {
    // RFC 4493 section 4.
    let bytes = unhex("2B7E151628AED2A6ABF7158809CF4F3C");
    let key = key(Usage::MacCmac, Algorithm::Aes, &bytes);
    let message = unhex(
        "6BC1BEE22E409F96E93D7E117393172A AE2D8A571E03AC9C9EB76FAC45AF8E51 \
         30C81C46A35CE411E5FBC1191A0A52EF F69F2445DF4F9B17AD2B417BE66C3710",
    );
    for (len, mac) in [
        (0, "BB1D6929E95937287FA37D129B756746"),
        (16, "070A16B46B4D4144F79BDD9DD04A287C"),
        (40, "DFA66747DE9AE63030CA32611497C827"),
        (64, "51F0BEBF7E3B9D92FC49741779363CFE"),
    ] {
        let data = &message[..len];
        assert_eq!(key.generate_full(data).as_bytes(), unhex(mac), "length {len}");
        assert_eq!(key.generate(data)[..], unhex(mac)[..8], "length {len}");
        assert_eq!(oracle::cmac('A', &bytes, data), unhex(mac), "length {len}");
    }
}

#[test]
fn sm4_vectors() {
    // GB/T 15852.1-2020 annex B.
    let k = unhex("0123456789ABCDEFFEDCBA9876543210");
    let both = [&k[..], &unhex("4149D2ADED9456681EC8B511D9E7EE04")].concat();
    let cmac = key(Usage::MacCmac, Algorithm::Sm4, &k);
    let cbc = padded_key(Usage::MacIso9797Alg1, Algorithm::Sm4, &k, MacPadding::OneThenZeros);
    let retail = padded_key(Usage::MacRetail, Algorithm::Sm4, &both, MacPadding::OneThenZeros);
    for (message, alg_5, alg_1, alg_3) in [
        (
            &b""[..],
            "29E154322E5C7BD8EE6A25BA549B24BC",
            "8C338E5A27E349BEAE39214FEDA97099",
            "B4736BE9A174FAA34DB1E9F1DACD5D62",
        ),
        (
            b"This is the test message for mac",
            "692C437100F3B5EE2B8ABCEF373D990C",
            "4B6553AF3C4E27448412315AC7849535",
            "51E9928C2238330C3231B8752A9AFD7F",
        ),
        (
            b"This is the test message ",
            "4738A6C760B280FC0C8A8AF3886E9F5D",
            "421AD1690AA152E2846FA2A5D83445A9",
            "197247229CE9D7B6AE405BF885B27057",
        ),
    ] {
        assert_eq!(cmac.generate_full(message).as_bytes(), unhex(alg_5));
        assert_eq!(cbc.generate_full(message).as_bytes(), unhex(alg_1));
        assert_eq!(retail.generate_full(message).as_bytes(), unhex(alg_3));
        assert_eq!(oracle::cmac('4', &k, message), unhex(alg_5));
        assert_eq!(oracle::cbc('4', 2, &k, message), unhex(alg_1));
        assert_eq!(oracle::retail('4', 2, &both, message), unhex(alg_3));
    }
}

#[test]
fn hmac_vectors() {
    // RFC 4231, those of its keys that fit: test cases 1, 3, 4.
    let counted: Vec<u8> = (1..=25).collect();
    for (bytes, data, mac) in [
        (
            &[0x0B; 20][..],
            &b"Hi There"[..],
            "B0344C61D8DB38535CA8AFCEAF0BF12B881DC200C9833DA726E9376C2E32CFF7",
        ),
        (&[0xAA; 20], &[0xDD; 50], "773EA91E36800E46854DB8EBD09181A72959098B3EF8C122D9635514CED565FE"),
        (&counted, &[0xCD; 50], "82558A389A443C0EA4CC819899F2083A85F0FAA3E578F8077A2E3FF46729665B"),
    ] {
        let key = key(Usage::MacHmac, Algorithm::Hmac, bytes);
        assert_eq!(key.generate_full(data).as_bytes(), unhex(mac));
        assert_eq!(oracle::hmac_sha256(bytes, data), unhex(mac));
    }
    // Test case 5: cut to 16 bytes.
    let store = store_with(Usage::MacHmac, Algorithm::Hmac, &[0x0C; 20]);
    let cut = store.mac_key_with("key", &MacRules { padding: None, bytes: Some(16) }).unwrap();
    let mac = unhex("A3B6167473100EE06E0C796C2955552B");
    assert_eq!(cut.generate_full(b"Test With Truncation").as_bytes(), mac);
    assert!(cut.verify_full(b"Test With Truncation", &mac, ()).is_ok());
}

#[test]
fn unionpay_vector() {
    // A published terminal message with its field 64; the key arrives wrapped in `store::tests`.
    let bytes = unhex("C24A8FB57AA20123");
    let key = key(Usage::MacUnionPayEcb, Algorithm::Des, &bytes);
    let data = unhex(crate::testing::UNIONPAY_DATA);
    assert_eq!(&key.generate(&data), b"8A9E91B8");
    assert_eq!(key.generate_full(&data).as_bytes(), b"8A9E91B8");
    assert_eq!(oracle::unionpay('D', &bytes, &data), "8A9E91B8");
}

/// Random keys and messages under one use and cipher: the product against the second implementation.
fn agree(usage: Usage, algorithm: Algorithm, sizes: &[usize], theirs: fn(u8, &[u8], &[u8]) -> Vec<u8>) {
    let attributes = Attributes { usage, algorithm, mode: Mode::Both, export: Export::N };
    let pads = matches!(usage, Usage::MacIso16609 | Usage::MacIso9797Alg1 | Usage::MacRetail);
    let mut random = Seeded::new(0x3AC);
    for case in 0..cases() {
        let size = sizes[random.below(sizes.len())];
        let key = random.bytes(size);
        // A long message now and then goes through the chain in several pieces.
        let data = random.some(if case % 20 == 0 { 700 } else { 60 });
        let method = random.below(3);
        let rules = MacRules { padding: pads.then(|| PADDINGS[method]), bytes: None };
        let ours = Method::new(&attributes, &key, &rules).unwrap();
        let expected = theirs(method as u8 + 1, &key, &data);
        assert_eq!(ours.tag(&data)[..ours.tag_bytes()], expected, "{usage} {algorithm}, case {case}");
    }
}

#[test]
fn cbc_macs_agree_with_a_second_implementation() {
    agree(Usage::MacIso9797Alg1, Algorithm::Des, &[8], |m, key, data| oracle::cbc('D', m, key, data));
    agree(Usage::MacIso9797Alg1, Algorithm::Sm4, &[16], |m, key, data| oracle::cbc('4', m, key, data));
    agree(Usage::MacIso16609, Algorithm::Tdes, &[16, 24], |m, key, data| oracle::cbc('T', m, key, data));
}

#[test]
fn retail_macs_agree_with_a_second_implementation() {
    agree(Usage::MacRetail, Algorithm::Tdes, &[16], |m, key, data| oracle::retail('T', m, key, data));
    agree(Usage::MacRetail, Algorithm::Sm4, &[32], |m, key, data| oracle::retail('4', m, key, data));
}

#[test]
fn retail_mac_agrees_with_a_third_implementation() {
    use retail_mac::{KeyInit as _, Mac as _, RetailMac};
    let mut random = Seeded::new(0x919);
    for _ in 0..cases() {
        // It pads nothing to nothing; the standard makes a block.
        let (key, data) = (random.bytes(16), [random.bytes(1), random.some(60)].concat());
        let theirs = RetailMac::<des::Des>::new_from_slice(&key).unwrap().chain_update(&data);
        assert_eq!(oracle::retail('T', 1, &key, &data), theirs.finalize().into_bytes()[..]);
    }
}

#[test]
fn cmacs_agree_with_a_second_implementation() {
    agree(Usage::MacCmac, Algorithm::Aes, &[16, 24, 32], |_, key, data| oracle::cmac('A', key, data));
    agree(Usage::MacCmac, Algorithm::Tdes, &[16, 24], |_, key, data| oracle::cmac('T', key, data));
    agree(Usage::MacCmac, Algorithm::Sm4, &[16], |_, key, data| oracle::cmac('4', key, data));
}

#[test]
fn aes_cmac_agrees_with_a_third_implementation() {
    use aws_lc_rs::cmac;
    let mut random = Seeded::new(0xCAC);
    for case in 0..cases() {
        let algorithm = [cmac::AES_128, cmac::AES_192, cmac::AES_256][case as usize % 3];
        let key = random.bytes([16, 24, 32][case as usize % 3]);
        let data = random.some(200);
        let theirs = cmac::sign(&cmac::Key::new(algorithm, &key).unwrap(), &data).unwrap();
        assert_eq!(oracle::cmac('A', &key, &data), theirs.as_ref());
    }
}

#[test]
fn hmac_agrees_with_a_second_implementation() {
    let sizes: Vec<usize> = (16..=32).collect();
    agree(Usage::MacHmac, Algorithm::Hmac, &sizes, |_, key, data| oracle::hmac_sha256(key, data));
}

#[test]
fn unionpay_macs_agree_with_a_second_implementation() {
    let usage = Usage::MacUnionPayEcb;
    agree(usage, Algorithm::Des, &[8], |_, key, data| oracle::unionpay('D', key, data).into_bytes());
    agree(usage, Algorithm::Tdes, &[16, 24], |_, key, data| oracle::unionpay('T', key, data).into_bytes());
    agree(usage, Algorithm::Sm4, &[16], |_, key, data| oracle::unionpay('4', key, data).into_bytes());
}

#[test]
fn verify_turns_a_value_into_a_proof_and_gives_it_back_otherwise() {
    for (usage, algorithm, bytes) in [
        (Usage::MacCmac, Algorithm::Aes, 16),
        (Usage::MacIso9797Alg1, Algorithm::Des, 8),
        (Usage::MacIso16609, Algorithm::Tdes, 24),
        (Usage::MacRetail, Algorithm::Sm4, 32),
        (Usage::MacHmac, Algorithm::Hmac, 32),
        (Usage::MacUnionPayEcb, Algorithm::Sm4, 16),
    ] {
        let key = key(usage, algorithm, &Seeded::new(7).bytes(bytes));
        let mac = key.generate(b"payload");
        let proof = key.verify(b"payload", &mac, 42).unwrap();
        assert_eq!((proof.get(), proof.waiver()), (&42, None));
        assert_eq!(proof.map(|n| n + 1).into_inner(), 43);
        for bit in 0..64 {
            let mut wrong = mac;
            wrong[bit / 8] ^= 1 << (bit % 8);
            let (error, value) = key.verify(b"payload", &wrong, 42).unwrap_err();
            assert_eq!((error.check_value, value), (key.check_value(), 42));
        }
        assert!(key.verify(b"payloae", &mac, ()).is_err());

        let full = key.generate_full(b"payload");
        assert!(key.verify_full(b"payload", full.as_bytes(), ()).is_ok());
        for bit in 0..full.as_bytes().len() * 8 {
            let mut wrong = full.as_bytes().to_vec();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(key.verify_full(b"payload", &wrong, ()).is_err());
        }
        // Neither a part of it nor more than it.
        for len in 0..full.as_bytes().len() {
            assert!(key.verify_full(b"payload", &full.as_bytes()[..len], ()).is_err(), "{len}");
        }
        assert!(key.verify_full(b"payload", &[full.as_bytes(), &[0]].concat(), ()).is_err());
    }
}

#[test]
fn the_zone_says_how_much_of_a_tag_travels() {
    let store = store_with(Usage::MacHmac, Algorithm::Hmac, &[0x2C; 32]);
    let whole = store.mac_key("key").unwrap().generate_full(b"data");
    for bytes in 4..=32 {
        let rules = MacRules { padding: None, bytes: Some(bytes) };
        let key = store.mac_key_with("key", &rules).unwrap();
        let cut = key.generate_full(b"data");
        assert_eq!(cut.as_bytes(), &whole.as_bytes()[..bytes]);
        assert!(
            store
                .mac_verify_key_with("key", &rules)
                .unwrap()
                .verify_full(b"data", cut.as_bytes(), ())
                .is_ok()
        );
        assert!(key.verify_full(b"data", whole.as_bytes(), ()).is_ok() == (bytes == 32));

        let field = store.mac_generate_key_with("key", &rules).unwrap().generate(b"data");
        let carried = bytes.min(8);
        assert_eq!(field[..carried], whole.as_bytes()[..carried]);
        assert!(field[carried..].iter().all(|&byte| byte == 0), "zeros fill the field");
        assert_eq!(
            key.verify(b"data", &field, ()).is_ok(),
            bytes <= 8,
            "a longer MAC does not fit the field"
        );
        if bytes < 8 {
            let mut longer = field;
            longer[bytes] = 1;
            assert!(key.verify(b"data", &longer, ()).is_err(), "what is not MAC is zero");
        }
    }
}

#[test]
fn rules_that_a_method_does_not_have_are_refused() {
    let rules = |padding, bytes| MacRules { padding, bytes };
    for (usage, algorithm, key_bytes, tag_bytes, least) in [
        (Usage::MacHmac, Algorithm::Hmac, 32, 32, 4),
        (Usage::MacCmac, Algorithm::Aes, 16, 16, 4),
        (Usage::MacCmac, Algorithm::Tdes, 16, 8, 4),
        (Usage::MacRetail, Algorithm::Tdes, 16, 8, 4),
        (Usage::MacRetail, Algorithm::Sm4, 32, 16, 4),
        (Usage::MacIso9797Alg1, Algorithm::Des, 8, 8, 4),
        (Usage::MacUnionPayEcb, Algorithm::Des, 8, 8, 8),
    ] {
        let store = store_with(usage, algorithm, &Seeded::new(3).bytes(key_bytes));
        for bytes in 0..40 {
            let opened = store.mac_key_with("key", &rules(None, Some(bytes)));
            assert_eq!(opened.is_ok(), (least..=tag_bytes).contains(&bytes), "{usage} {bytes}");
            assert!(matches!(opened, Ok(_) | Err(KeyError::MacRule { .. })));
        }
        let pads = matches!(usage, Usage::MacRetail | Usage::MacIso9797Alg1);
        for padding in PADDINGS {
            let opened = store.mac_generate_key_with("key", &rules(Some(padding), None));
            assert_eq!(opened.is_ok(), pads, "{usage} {padding:?}");
        }
    }
}

#[test]
fn a_working_key_follows_the_rules_too() {
    let store = store_with(Usage::Kek, Algorithm::Tdes, &unhex("70F2A84CCBC2AE8625CBB0F2C22AB923"));
    crate::testing::put(&store, "zak", Usage::MacRetail, Algorithm::Tdes, Mode::Both, &unhex(ISO_KEYS));
    let wrapped = store.export_wrapped("zak", "key", crate::WrapForm::KeyBlock).unwrap();
    let block = store.rewrap("key", &wrapped, Usage::MacRetail, Algorithm::Tdes, Mode::Both).unwrap();
    let rules = MacRules { padding: Some(MacPadding::OneThenZeros), bytes: Some(4) };
    let key = store.mac_key_from_block_with(&block, &rules).unwrap();
    assert_eq!(key.generate(b"Now is the time for it")[..], unhex("5A692CE600000000"));
    let refused = store.mac_key_from_block_with(&block, &MacRules { padding: None, bytes: Some(3) });
    assert!(matches!(refused, Err(KeyError::MacRule { .. })));
}

#[test]
fn a_waiver_says_why() {
    let waived = crate::waive(crate::Waiver::OwnCustody, "reversal").map(str::len);
    assert_eq!((waived.waiver(), waived.into_inner()), (Some(crate::Waiver::OwnCustody), 8));
}
