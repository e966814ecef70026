//! Random operations: what the client gets over a socket is what the keystore of this process says, kind by kind.
//! 10,000 of them, or as many as `YIKA_DIFFERENTIAL_CASES` says; the same in every run.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping it")]

mod common;

use std::sync::Arc;

use common::{client, config, simulator, wait_for};
use yika_hostcmd::ClientConfig;
use yika_hostcmd::hsm::SimulatorConfig;
use yika_keystore::conformance::{TestKey, rest};
use yika_keystore::{
    Algorithm, Arpc, ArqcAnswer, Backend, BackendError, CardKeyOption, CvvCard, DukptWay, EmvCard, EmvScheme,
    EmvTransaction, HealthState, KeyRef, Keystore, Lmk, LmkBlock, MacMethod, MacPadding, MacRule, Mode,
    Operation, Outcome, PinFormat, PinFrom, PinIn, PinKey, SoftBackend, Usage, encrypt_test_pin,
};

/// SplitMix64.
struct Seeded(u64);

impl Seeded {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % end as u64).unwrap()
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.number() as u8).collect()
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.bytes(N).try_into().unwrap()
    }

    fn digits(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| b'0' + self.below(10) as u8).collect()
    }
}

/// The values that an operation borrows.
struct Drawn {
    kind: usize,
    keys: [usize; 2],
    rule: MacRule,
    data: Vec<u8>,
    mac: Vec<u8>,
    pan: Vec<u8>,
    formats: [PinFormat; 2],
    block: Vec<u8>,
    ksn: Vec<u8>,
    four: [u8; 4],
    three: [u8; 3],
    offset: Vec<u8>,
    eight: [u8; 8],
    small: u8,
    scheme: EmvScheme,
    option: CardKeyOption,
}

const USES: [(Usage, Algorithm); 14] = [
    (Usage::MacRetail, Algorithm::Tdes),
    (Usage::MacCmac, Algorithm::Aes),
    (Usage::MacIso9797Alg1, Algorithm::Des),
    (Usage::MacRetail, Algorithm::Sm4),
    (Usage::Pin, Algorithm::Tdes),
    (Usage::Pin, Algorithm::Tdes),
    (Usage::Pin, Algorithm::Aes),
    (Usage::DukptBase, Algorithm::Tdes),
    (Usage::DukptBase, Algorithm::Aes),
    (Usage::PinVerifyPvv, Algorithm::Tdes),
    (Usage::PinVerifyIbm3624, Algorithm::Tdes),
    (Usage::CardVerification, Algorithm::Tdes),
    (Usage::EmvCryptogram, Algorithm::Tdes),
    (Usage::Kek, Algorithm::Aes),
];

/// Mostly the keys that the kind takes; now and then any.
fn draw(random: &mut Seeded) -> Drawn {
    const KEYS: [(&[usize], &[usize]); 9] = [
        (&[0, 1, 2, 3], &[0]),
        (&[0, 1, 2, 3], &[0]),
        (&[4, 5, 6], &[4, 5, 6]),
        (&[7, 8], &[4, 5, 6]),
        (&[4, 5, 7], &[9]),
        (&[4, 5, 7], &[10]),
        (&[11], &[11]),
        (&[12], &[12]),
        (&[7, 8], &[7]),
    ];
    let kind = random.below(KEYS.len());
    let mut keys = [random.one(KEYS[kind].0), random.one(KEYS[kind].1)];
    if random.below(10) == 0 {
        keys[random.below(2)] = random.below(USES.len());
    }
    let (aes, own) = (USES[keys[0]].1 == Algorithm::Aes, USES[keys[0]].0);
    let method = match (own, random.below(20)) {
        (_, 0) => random.one(&[MacMethod::Cbc, MacMethod::Retail, MacMethod::Cmac]),
        (Usage::MacCmac, _) => MacMethod::Cmac,
        (Usage::MacIso9797Alg1, _) => MacMethod::Cbc,
        _ => MacMethod::Retail,
    };
    let padding = random.one(&[MacPadding::Zeros, MacPadding::OneThenZeros, MacPadding::LengthFirst]);
    let bytes = random.one(&[4, 8]);
    let some = random.below(200);
    let pan_digits = random.one(&[8, 12, 13, 15, 16, 16, 16, 17, 18, 19]);
    let from =
        if aes { PinFormat::Iso4 } else { random.one(&[PinFormat::Iso0, PinFormat::Iso1, PinFormat::Iso3]) };
    let to = random.one(&[PinFormat::Iso0, PinFormat::Iso0, PinFormat::Iso4, PinFormat::Iso1]);
    let mut ksn = random.bytes(if aes { 12 } else { 10 });
    // Counters with few bits: most of them are legal.
    let end = ksn.len();
    ksn[end - 3] &= 0xE0;
    ksn[end - 2] &= 0x11;
    if aes {
        ksn[end - 4] = 0;
    }
    let offset_digits = 4 + random.below(9);
    Drawn {
        kind,
        keys,
        rule: MacRule { method, padding, bytes },
        data: random.bytes(some),
        mac: random.bytes(bytes),
        pan: random.digits(pan_digits),
        formats: [from, to],
        block: random.bytes(if aes { 16 } else { 8 }),
        ksn,
        four: random.digits(4).try_into().unwrap(),
        three: random.digits(3).try_into().unwrap(),
        offset: random.digits(offset_digits),
        eight: random.array(),
        small: random.below(8) as u8,
        scheme: random.one(&[EmvScheme::VISA_CVN10, EmvScheme::MASTERCARD, EmvScheme::VISA_CVN18]),
        option: random.one(&[CardKeyOption::A, CardKeyOption::B]),
    }
}

fn operation<'a>(drawn: &'a Drawn, keys: &'a [KeyRef]) -> Operation<'a> {
    let (key, other) = (&keys[drawn.keys[0]], &keys[drawn.keys[1]]);
    let from = match USES[drawn.keys[0]].0 {
        Usage::DukptBase => PinFrom::Dukpt { base: key, ksn: &drawn.ksn },
        _ => PinFrom::Zone(key),
    };
    let pin = PinIn { from, format: drawn.formats[0], pan: &drawn.pan, block: &drawn.block };
    let card = CvvCard { pan: &drawn.pan, expiry: drawn.four, service: drawn.three };
    match drawn.kind {
        0 => Operation::GenerateMac { key, rule: drawn.rule, data: &drawn.data },
        1 => Operation::VerifyMac { key, rule: drawn.rule, data: &drawn.data, mac: &drawn.mac },
        2 | 3 => Operation::TranslatePin { pin, to: other, to_format: drawn.formats[1] },
        4 => Operation::VerifyPvv { pin, key: other, index: drawn.small, pvv: &drawn.four },
        5 => Operation::VerifyIbm3624 {
            pin,
            key: other,
            table: b"0123456789012345",
            validation: &drawn.eight,
            offset: &drawn.offset,
        },
        6 if drawn.small < 4 => Operation::GenerateCvv { key, card },
        6 => Operation::VerifyCvv { key, card, value: &drawn.three },
        7 => Operation::VerifyArqc {
            key,
            card: EmvCard { pan: &drawn.pan, sequence: drawn.small * 7, option: drawn.option },
            scheme: drawn.scheme,
            of: EmvTransaction { counter: [drawn.small, 1], unpredictable: drawn.four, data: &drawn.data },
            arqc: drawn.eight,
            answer: (drawn.small < 4).then_some(ArqcAnswer::Method1([drawn.small, 2])),
        },
        _ => {
            let way = if drawn.small < 4 { DukptWay::OneWay } else { DukptWay::BothWays };
            Operation::VerifyDukptMac { base: key, ksn: &drawn.ksn, way, data: &drawn.data, mac: &drawn.mac }
        }
    }
}

/// What both must agree on; a PIN block with random fill has its length alone.
fn said(drawn: &Drawn, answer: &Result<Outcome, BackendError>) -> (&'static str, Vec<u8>) {
    match answer {
        Ok(Outcome::Mac(mac)) => ("mac", mac.as_bytes().to_vec()),
        Ok(Outcome::Verified(holds)) => ("verified", vec![u8::from(*holds)]),
        Ok(Outcome::Pin(block)) if drawn.formats[1] == PinFormat::Iso0 => ("pin", block.as_bytes().to_vec()),
        Ok(Outcome::Pin(block)) => ("pin", vec![0; block.as_bytes().len()]),
        Ok(Outcome::Cvv(value)) => ("cvv", value.to_vec()),
        Ok(Outcome::Answered(Arpc::Method1(answer))) => ("arpc", answer.to_vec()),
        Ok(_) => ("other", vec![]),
        Err(BackendError::Refused { .. }) => ("refused", vec![]),
        Err(BackendError::Input { .. }) => ("input", vec![]),
        Err(BackendError::Key { .. }) => ("key", vec![]),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn random_operations_are_answered_alike_by_both_backends() {
    let cases = match std::env::var("YIKA_DIFFERENTIAL_CASES") {
        Ok(count) => count.parse().expect("YIKA_DIFFERENTIAL_CASES is a number of cases"),
        Err(_) => 10_000,
    };
    let store = Arc::new(Keystore::in_memory(Lmk::test()));
    let soft = SoftBackend::new(store.clone());
    let server = simulator(SimulatorConfig::default());
    let hsm = client(ClientConfig { connections_count: 4, window: 64, ..config(server.addr()) });
    wait_for(&hsm, HealthState::Up);

    let mut random = Seeded(0x1500);
    let blocks: Vec<String> = USES
        .iter()
        .map(|(usage, algorithm)| {
            let bytes = match (usage, algorithm) {
                (_, Algorithm::Des) => 8,
                (Usage::MacRetail, Algorithm::Sm4) => 32,
                _ => 16,
            };
            let value = random.bytes(bytes);
            let key = TestKey { usage: *usage, algorithm: *algorithm, mode: Mode::Both, value };
            rest(&store, &key).unwrap().as_str().to_owned()
        })
        .collect();
    let here: Vec<KeyRef> = blocks.iter().map(|block| KeyRef::new(block).unwrap()).collect();
    let there: Vec<KeyRef> = blocks.iter().map(|block| KeyRef::new(&format!("S{block}")).unwrap()).collect();

    let pin_keys: Vec<Option<PinKey>> = blocks
        .iter()
        .map(|block| store.pin_key_from_block(&LmkBlock::try_from(block.clone()).unwrap()).ok())
        .collect();
    let mut next = || {
        let mut drawn = draw(&mut random);
        // Most blocks of zones hold a PIN; the others, and those of terminals, hold anything.
        let digits = 4 + random.below(9);
        let pin = random.digits(digits);
        if let (Some(key), true) = (&pin_keys[drawn.keys[0]], random.below(8) > 0)
            && let Ok(block) = encrypt_test_pin(key, drawn.formats[0], &drawn.pan, &pin)
        {
            drawn.block = block.as_bytes().to_vec();
        }
        drawn
    };
    let drawn: Vec<Drawn> = (0..cases).map(|_| next()).collect();
    let drawn: Vec<&Drawn> = drawn.iter().filter(|drawn| hsm.can(&operation(drawn, &there))).collect();
    assert!(drawn.len() > cases * 3 / 4, "{} of {cases}", drawn.len());
    let (mut met, mut told_apart) = (std::collections::BTreeMap::new(), 0);
    for part in drawn.chunks(500) {
        let ours: Vec<_> = part.iter().map(|drawn| operation(drawn, &here)).collect();
        let theirs: Vec<_> = part.iter().map(|drawn| operation(drawn, &there)).collect();
        for ((drawn, ours), theirs) in part.iter().zip(soft.submit(&ours)).zip(hsm.submit(&theirs)) {
            let (expected, found) = (said(drawn, &ours), said(drawn, &theirs));
            let name = format!("{:?} with {:?}: {ours:?}, {theirs:?}", operation(drawn, &here), drawn.keys);
            // Where several things are wrong at once, each may tell another one.
            let both_wrong = ours.is_err() && theirs.is_err();
            assert!(expected == found || both_wrong, "{name}");
            told_apart += usize::from(expected != found);
            *met.entry((drawn.kind, expected.0)).or_insert(0) += 1;
        }
    }
    assert!(told_apart * 50 < drawn.len(), "{told_apart} of {} were refused for another reason", drawn.len());
    let words: std::collections::BTreeSet<&str> = met.keys().map(|(_, word)| *word).collect();
    for word in ["mac", "verified", "cvv", "refused", "input", "pin"] {
        assert!(words.contains(word), "{met:?}");
    }
}
