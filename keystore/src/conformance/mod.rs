//! The cases that every backend has to pass, as data: keys by their clear test values, what is asked, what must come back.
//!
//! [`cases`] makes the list, [`run`] tries it against any [`Backend`] with a way to load keys into it. Published vectors
//! stand beside what must be refused; the values that are not published were computed with openssl. Compiled for tests
//! and under the feature `conformance`; the test keys here are public.

mod cards;
mod macs;
mod pins;
mod policy;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::attributes::{Algorithm, Attributes, Export, Mode, Usage};
use crate::backend::{
    Arpc, ArqcAnswer, Backend, BackendError, CvvCard, KeyRef, MacRule, Operation, OperationKind, Outcome,
    PinFrom, PinIn,
};
use crate::card::{CardKeyOption, EmvCard, EmvScheme, EmvTransaction};
use crate::dukpt::DukptWay;
use crate::error::KeyError;
use crate::lmk::LmkBlock;
use crate::pin::PinFormat;
use crate::store::Keystore;

/// A key of a case, by its clear value.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TestKey {
    /// Its use.
    pub usage: Usage,
    /// Its cipher.
    pub algorithm: Algorithm,
    /// Its direction.
    pub mode: Mode,
    /// Its value, which is public.
    pub value: Vec<u8>,
}

/// One case.
pub struct Case {
    /// For a message.
    pub name: String,
    /// The first is that of the operation; PIN operations name theirs by their place here.
    pub keys: Vec<TestKey>,
    /// What is done to the text of the first key before it is used.
    pub damage: Damage,
    /// What is asked.
    pub asked: Asked,
    /// What must come back.
    pub expected: Expected,
}

/// What is done to the text of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Nothing.
    None,
    /// Its last characters are cut off.
    Cut,
    /// A character of its MAC is another one.
    Changed,
    /// The use in its header is another one.
    Relabelled,
}

/// As [`Operation`], with values of its own and with keys by their place in [`Case::keys`].
#[allow(missing_docs, reason = "as at the operation of the same name")]
pub enum Asked {
    GenerateMac {
        rule: MacRule,
        data: Vec<u8>,
    },
    VerifyMac {
        rule: MacRule,
        data: Vec<u8>,
        mac: Vec<u8>,
    },
    /// The key to go to is the second; with `through`, a third one shows in format 0 what came of it.
    TranslatePin {
        pin: Pin,
        to_format: PinFormat,
        through: bool,
    },
    VerifyPvv {
        pin: Pin,
        index: u8,
        pvv: [u8; 4],
    },
    VerifyIbm3624 {
        pin: Pin,
        table: [u8; 16],
        validation: [u8; 8],
        offset: Vec<u8>,
    },
    GenerateCvv {
        pan: String,
        expiry: [u8; 4],
        service: [u8; 3],
    },
    VerifyCvv {
        pan: String,
        expiry: [u8; 4],
        service: [u8; 3],
        value: [u8; 3],
    },
    VerifyArqc {
        card: Card,
        scheme: EmvScheme,
        arqc: [u8; 8],
        answer: Option<Answer>,
    },
    EncryptData {
        iv: Vec<u8>,
        data: Vec<u8>,
    },
    DecryptData {
        iv: Vec<u8>,
        data: Vec<u8>,
    },
    VerifyDukptMac {
        ksn: Vec<u8>,
        way: DukptWay,
        data: Vec<u8>,
        mac: Vec<u8>,
    },
    Random {
        bytes: usize,
    },
    CheckValue,
}

/// A PIN as it came; its key is the first of the case.
pub struct Pin {
    /// The serial number when the key is a base key of DUKPT.
    pub ksn: Option<Vec<u8>>,
    /// The format of its block.
    pub format: PinFormat,
    /// The full PAN.
    pub pan: String,
    /// The encrypted block.
    pub block: Vec<u8>,
}

/// A card and what it computed over.
#[derive(Clone)]
#[allow(missing_docs, reason = "as in EmvCard and EmvTransaction")]
pub struct Card {
    pub pan: String,
    pub sequence: u8,
    pub option: CardKeyOption,
    pub counter: [u8; 2],
    pub unpredictable: [u8; 4],
    pub data: Vec<u8>,
}

/// As [`ArqcAnswer`].
#[derive(Clone)]
#[allow(missing_docs, reason = "as in ArqcAnswer")]
pub enum Answer {
    Method1([u8; 2]),
    Method2([u8; 4], Vec<u8>),
}

/// What must come back.
pub enum Expected {
    /// Exactly this MAC, PIN block, value, answer, data or check value.
    Bytes(Vec<u8>),
    /// So many random bytes, not all alike.
    Random(usize),
    /// Whether it holds.
    Verified(bool),
    /// [`BackendError::Refused`].
    Refused,
    /// [`BackendError::Input`].
    Input,
    /// [`BackendError::Key`].
    Key,
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Cases that were tried, for each kind.
    pub tried: BTreeMap<OperationKind, usize>,
    /// Cases that the backend denies by [`Backend::can`].
    pub skipped: BTreeMap<OperationKind, usize>,
    /// What did not come back as it must, in words.
    pub failures: Vec<String>,
}

impl Report {
    /// Cases that were tried.
    #[must_use]
    pub fn tried_count(&self) -> usize {
        self.tried.values().sum()
    }

    /// Cases that were skipped.
    #[must_use]
    pub fn skipped_count(&self) -> usize {
        self.skipped.values().sum()
    }
}

/// All cases.
#[must_use]
pub fn cases() -> Vec<Case> {
    [macs::cases(), pins::cases(), cards::cases(), policy::cases()].into_iter().flatten().collect()
}

/// Rests a test key as a working key under the master key of `store`: how keys come into the soft backend, and into a
/// simulator with the same master key.
///
/// # Errors
/// As [`Keystore::working_from_components`].
pub fn rest(store: &Keystore, key: &TestKey) -> Result<LmkBlock, KeyError> {
    let TestKey { usage, algorithm, mode, ref value } = *key;
    let mask: Vec<u8> = (0_u8..).map(|n| n.wrapping_mul(29) ^ 0x5D).take(value.len()).collect();
    let other: Vec<u8> = value.iter().zip(&mask).map(|(a, b)| a ^ b).collect();
    store.working_from_components(Attributes { usage, algorithm, mode, export: Export::E }, &[other, mask])
}

/// Tries every case; `load` brings a key into the backend, and is asked once for each key.
pub fn run(backend: &dyn Backend, mut load: impl FnMut(&TestKey) -> KeyRef) -> Report {
    let mut report = Report::default();
    let mut loaded: HashMap<TestKey, KeyRef> = HashMap::new();
    for case in cases() {
        let mut keys: Vec<KeyRef> = case
            .keys
            .iter()
            .map(|key| loaded.entry(key.clone()).or_insert_with(|| load(key)).clone())
            .collect();
        case.damage.inflict(&mut keys);
        case.operation(&keys, |operation| {
            let kind = operation.kind();
            if !backend.can(operation) {
                *report.skipped.entry(kind).or_default() += 1;
                return;
            }
            *report.tried.entry(kind).or_default() += 1;
            let answer = case.answer(backend, &keys, operation);
            if let Some(difference) = case.expected.difference(&answer) {
                report.failures.push(format!("{kind:?}, {}: {difference}", case.name));
            }
        });
    }
    report
}

impl Case {
    fn new(name: impl Into<String>, keys: Vec<TestKey>, asked: Asked, expected: Expected) -> Case {
        Case { name: name.into(), keys, damage: Damage::None, asked, expected }
    }

    fn operation<T>(&self, keys: &[KeyRef], give: impl FnOnce(&Operation<'_>) -> T) -> T {
        // Only `Random` has no key, and does not look at this one.
        let none = KeyRef::new("none").expect("a plain word");
        let key = keys.first().unwrap_or(&none);
        match &self.asked {
            Asked::GenerateMac { rule, data } => give(&Operation::GenerateMac { key, rule: *rule, data }),
            Asked::VerifyMac { rule, data, mac } => {
                give(&Operation::VerifyMac { key, rule: *rule, data, mac })
            }
            Asked::TranslatePin { pin, to_format, .. } => {
                give(&Operation::TranslatePin { pin: pin.with(key), to: &keys[1], to_format: *to_format })
            }
            Asked::VerifyPvv { pin, index, pvv } => {
                give(&Operation::VerifyPvv { pin: pin.with(key), key: &keys[1], index: *index, pvv })
            }
            Asked::VerifyIbm3624 { pin, table, validation, offset } => {
                let pin = pin.with(key);
                give(&Operation::VerifyIbm3624 { pin, key: &keys[1], table, validation, offset })
            }
            Asked::GenerateCvv { pan, expiry, service } => {
                let card = CvvCard { pan: pan.as_bytes(), expiry: *expiry, service: *service };
                give(&Operation::GenerateCvv { key, card })
            }
            Asked::VerifyCvv { pan, expiry, service, value } => {
                let card = CvvCard { pan: pan.as_bytes(), expiry: *expiry, service: *service };
                give(&Operation::VerifyCvv { key, card, value })
            }
            Asked::VerifyArqc { card, scheme, arqc, answer } => give(&Operation::VerifyArqc {
                key,
                card: EmvCard { pan: card.pan.as_bytes(), sequence: card.sequence, option: card.option },
                scheme: *scheme,
                of: EmvTransaction {
                    counter: card.counter,
                    unpredictable: card.unpredictable,
                    data: &card.data,
                },
                arqc: *arqc,
                answer: answer.as_ref().map(Answer::borrowed),
            }),
            Asked::EncryptData { iv, data } => give(&Operation::EncryptData { key, iv, data }),
            Asked::DecryptData { iv, data } => give(&Operation::DecryptData { key, iv, data }),
            Asked::VerifyDukptMac { ksn, way, data, mac } => {
                give(&Operation::VerifyDukptMac { base: key, ksn, way: *way, data, mac })
            }
            Asked::Random { bytes } => give(&Operation::Random { bytes: *bytes }),
            Asked::CheckValue => give(&Operation::CheckValue { key }),
        }
    }

    /// Asks, and shows a PIN that was put into a random block in format 0.
    fn answer(
        &self,
        backend: &dyn Backend,
        keys: &[KeyRef],
        operation: &Operation<'_>,
    ) -> Result<Outcome, BackendError> {
        let first = one(backend, operation)?;
        match (&self.asked, first) {
            (Asked::TranslatePin { pin, to_format, through: true }, Outcome::Pin(block)) => {
                let (from, to) = (PinFrom::Zone(&keys[1]), &keys[2]);
                let block = block.as_bytes();
                let pin = PinIn { from, format: *to_format, pan: pin.pan.as_bytes(), block };
                one(backend, &Operation::TranslatePin { pin, to, to_format: PinFormat::Iso0 })
            }
            (_, first) => Ok(first),
        }
    }
}

fn one(backend: &dyn Backend, operation: &Operation<'_>) -> Result<Outcome, BackendError> {
    let mut answers = backend.submit(std::slice::from_ref(operation));
    assert_eq!(answers.len(), 1, "one answer for each operation");
    answers.remove(0)
}

impl Pin {
    fn with<'a>(&'a self, key: &'a KeyRef) -> PinIn<'a> {
        let from = match &self.ksn {
            None => PinFrom::Zone(key),
            Some(ksn) => PinFrom::Dukpt { base: key, ksn },
        };
        PinIn { from, format: self.format, pan: self.pan.as_bytes(), block: &self.block }
    }
}

impl Answer {
    fn borrowed(&self) -> ArqcAnswer<'_> {
        match self {
            Answer::Method1(code) => ArqcAnswer::Method1(*code),
            Answer::Method2(status, own) => ArqcAnswer::Method2(*status, own),
        }
    }
}

impl Damage {
    fn inflict(self, keys: &mut [KeyRef]) {
        let Some(key) = keys.first_mut().filter(|_| self != Damage::None) else { return };
        let mut text = key.as_str().to_owned();
        let last = text.pop();
        match self {
            Damage::None => {}
            Damage::Cut => drop(text.pop()),
            Damage::Changed => text.push(if last == Some('0') { '1' } else { '0' }),
            Damage::Relabelled => {
                text.extend(last);
                // Behind the version letter and the four digits of the length; before it may stand a scheme letter.
                let at = if text.starts_with('S') { 6 } else { 5 };
                text.replace_range(at..at + 2, "M6");
            }
        }
        *key = KeyRef::new(&text).expect("the text of a key with a letter changed");
    }
}

impl Expected {
    /// What differs, in words without the values.
    fn difference(&self, answer: &Result<Outcome, BackendError>) -> Option<String> {
        let fits = match (self, answer) {
            (Expected::Bytes(expected), Ok(outcome)) => bytes_of(outcome).as_ref() == Some(expected),
            (Expected::Random(bytes), Ok(Outcome::Random(random))) => {
                random.len() == *bytes && (*bytes < 8 || random.iter().any(|byte| *byte != random[0]))
            }
            (Expected::Verified(expected), Ok(Outcome::Verified(holds))) => expected == holds,
            (Expected::Refused, Err(BackendError::Refused { .. }))
            | (Expected::Input, Err(BackendError::Input { .. }))
            | (Expected::Key, Err(BackendError::Key { .. })) => true,
            _ => false,
        };
        (!fits).then(|| format!("expected {self}, got {answer:?}"))
    }
}

fn bytes_of(outcome: &Outcome) -> Option<Vec<u8>> {
    Some(match outcome {
        Outcome::Mac(mac) => mac.as_bytes().to_vec(),
        Outcome::Pin(block) => block.as_bytes().to_vec(),
        Outcome::Cvv(value) => value.to_vec(),
        Outcome::Answered(Arpc::Method1(answer)) => answer.to_vec(),
        Outcome::Answered(Arpc::Method2(answer)) => answer.to_vec(),
        Outcome::Data(data) => data.to_vec(),
        Outcome::CheckValue(value) => value.to_vec(),
        Outcome::Verified(_) | Outcome::Random(_) => return None,
    })
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Bytes(bytes) => write!(f, "{} certain bytes", bytes.len()),
            Expected::Random(bytes) => write!(f, "{bytes} random bytes"),
            Expected::Verified(holds) => write!(f, "Verified({holds})"),
            Expected::Refused => f.write_str("Refused"),
            Expected::Input => f.write_str("Input"),
            Expected::Key => f.write_str("Key"),
        }
    }
}

/// A free key.
fn key(usage: Usage, algorithm: Algorithm, value: &str) -> TestKey {
    TestKey { usage, algorithm, mode: Mode::Both, value: hex(value) }
}

/// Reads hexadecimal of this module; spaces are for the eye.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter_map(|c| char::from(c).to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().expect("a literal of this module has the length that its field has")
}
