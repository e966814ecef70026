//! Cards: card verification values and application cryptograms, right and wrong, and their answers; check values.

use super::{Answer, Asked, Card, Case, Damage, Expected, array, hex, key};
use crate::attributes::{Algorithm, Usage};
use crate::card::{CardKeyOption, EmvScheme};

const KEY: &str = "0123456789ABCDEFFEDCBA9876543210";

pub(super) fn cases() -> Vec<Case> {
    [cvv(), arqc(), check_values()].into_iter().flatten().collect()
}

/// The values of the Thales simulator's tests and of psec.
fn cvv() -> Vec<Case> {
    let mut cases = Vec::new();
    for (cvk, pan, expiry, service, value) in [
        (KEY, "4123456789012345", "8701", "101", "561"),
        (KEY, "4999988887777", "9105", "111", "649"),
        (KEY, "4123456789012345", "8701", "999", "651"),
        (KEY, "4123456789012345", "8701", "000", "636"),
        ("99999999999999998888888888888888", "2222222222222222", "3333", "111", "361"),
    ] {
        let keys = || vec![key(Usage::CardVerification, Algorithm::Tdes, cvk)];
        let name = |what: &str| format!("{what}, CVV {value}");
        let make = |pan: &str, expiry: &str, service: &str| Asked::GenerateCvv {
            pan: pan.to_owned(),
            expiry: text(expiry),
            service: text(service),
        };
        let verify = |pan: &str, expiry: &str, value: &str| Asked::VerifyCvv {
            pan: pan.to_owned(),
            expiry: text(expiry),
            service: text(service),
            value: text(value),
        };
        let mut case =
            |what: &str, asked, expected| cases.push(Case::new(name(what), keys(), asked, expected));
        case("made", make(pan, expiry, service), Expected::Bytes(value.into()));
        case("right", verify(pan, expiry, value), Expected::Verified(true));
        for at in 0..3 {
            let mut wrong = value.as_bytes().to_vec();
            wrong[at] = b'0' + (wrong[at] - b'0' + 1) % 10;
            let wrong = String::from_utf8(wrong).expect("digits");
            case("one digit wrong", verify(pan, expiry, &wrong), Expected::Verified(false));
        }
        case("other expiry", verify(pan, "0101", value), Expected::Verified(false));
        case("no value", verify(pan, expiry, "56x"), Expected::Input);
        case("no expiry", make(pan, "87x1", service), Expected::Input);
        case("no service code", make(pan, expiry, "1x1"), Expected::Input);
        for pan in ["", "41234567890", "41234567890123456789", "412345678901234x"] {
            case("no PAN", make(pan, expiry, service), Expected::Input);
            case("no PAN", verify(pan, expiry, value), Expected::Input);
        }
        for damage in [Damage::Cut, Damage::Changed, Damage::Relabelled] {
            let asked = make(pan, expiry, service);
            cases.push(Case { damage, ..Case::new(name("damaged key"), keys(), asked, Expected::Key) });
        }
    }
    cases
}

fn text<const N: usize>(text: &str) -> [u8; N] {
    text.as_bytes().try_into().expect("a literal of this module has the length that its field has")
}

/// pyemv's transactions, which its author checked with an HSM.
fn arqc() -> Vec<Case> {
    let visa = "000000004000 000000000000 0124 8000048000 0124 191105 01 52BF4585 1800 001C";
    let interac = "000000009999 000000000000 0124 8000000000 0124 209906 00 ABCDEF12 1800 001C \
                   1501850440B100000000B00000000000000000000000";
    let few = "00000000400000000000000001248000048000012419110501 52BF45851800001C06011203A0B800";
    let card = |pan: &str, sequence, option, unpredictable: &str, data: &str| Card {
        pan: pan.to_owned(),
        sequence,
        option,
        counter: [0, 0x1C],
        unpredictable: array(unpredictable),
        data: hex(data),
    };
    let (a, b) = (CardKeyOption::A, CardKeyOption::B);
    let mut cases = Vec::new();
    for (name, scheme, card, arqc, answer, arpc) in [
        (
            "CVN 10",
            EmvScheme::VISA_CVN10,
            card("1234567890123456", 0, a, "52BF4585", &format!("{visa} 03A06010")),
            "29CCA15AE665FA2E",
            Some(Answer::Method1(*b"00")),
            "28993816AFAE4AEB",
        ),
        (
            "CVN 18",
            EmvScheme::VISA_CVN18,
            card("1234567890123456", 0, a, "52BF4585", &format!("{visa} 06011203A0B800")),
            "7A788EA6B8A3E733",
            Some(Answer::Method2([0; 4], vec![])),
            "9AF514C1",
        ),
        (
            "common, option B",
            EmvScheme::COMMON,
            card("000000000000000005", 23, b, "52BF4585", few),
            "8CAD6F2489C640B1",
            Some(Answer::Method2([0; 4], hex("12345678"))),
            "E39F1876",
        ),
        (
            "MasterCard's session keys",
            EmvScheme::MASTERCARD,
            card("1234567890123456", 0, a, "ABCDEF12", interac),
            "18932FECA2D84326",
            None,
            "",
        ),
    ] {
        of_transaction(name, scheme, &card, arqc, answer, arpc, &mut cases);
    }
    cases
}

/// Right with and without an answer; each byte of cryptogram and data in one bit, another card, another counter.
fn of_transaction(
    name: &str,
    scheme: EmvScheme,
    card: &Card,
    arqc: &str,
    answer: Option<Answer>,
    arpc: &str,
    cases: &mut Vec<Case>,
) {
    let right: [u8; 8] = array(arqc);
    let mut case = |what: &str, card: &Card, arqc, answer: Option<Answer>, expected| {
        let asked = Asked::VerifyArqc { card: card.clone(), scheme, arqc, answer };
        let keys = vec![key(Usage::EmvCryptogram, Algorithm::Tdes, KEY)];
        cases.push(Case::new(format!("{what}, {name}"), keys, asked, expected));
    };
    case("right", card, right, None, Expected::Verified(true));
    for at in 0..8 {
        let mut wrong = right;
        wrong[at] ^= 1 << at;
        case("one bit wrong", card, wrong, None, Expected::Verified(false));
        case("one bit wrong, to be answered", card, wrong, answer.clone(), Expected::Verified(false));
    }
    for at in 0..card.data.len() {
        let mut other = card.clone();
        other.data[at] ^= 1 << (at % 8);
        case("other data", &other, right, None, Expected::Verified(false));
    }
    let other = Card { sequence: card.sequence + 1, ..card.clone() };
    case("other sequence number", &other, right, None, Expected::Verified(false));
    let mut other = card.clone();
    other.pan.replace_range(12..13, if &card.pan[12..13] == "9" { "1" } else { "9" });
    case("other card", &other, right, None, Expected::Verified(false));
    if scheme != EmvScheme::VISA_CVN10 {
        let other = Card { counter: [0, 0x1D], ..card.clone() };
        case("other counter", &other, right, None, Expected::Verified(false));
    }
    let nobody = Card { pan: "12345x7890123456".to_owned(), ..card.clone() };
    case("no PAN", &nobody, right, None, Expected::Input);
    let no_number = Card { sequence: 100, ..card.clone() };
    case("no sequence number", &no_number, right, None, Expected::Input);
    if let Some(answer) = answer {
        case("answered", card, right, Some(answer), Expected::Bytes(hex(arpc)));
    }
}

/// Published with the key blocks of TR-31:2018 and of a payShield 10K, and of terminals.
fn check_values() -> Vec<Case> {
    let mut cases = Vec::new();
    for (usage, algorithm, value, check_value) in [
        (Usage::Pin, Algorithm::Tdes, "F039121BEC83D26B169BDCD5B22AAF8F", "CB9DEA"),
        (Usage::Pin, Algorithm::Tdes, "3F419E1CB7079442AA37474C2EFBF8B8", "57C409"),
        (Usage::DukptBase, Algorithm::Tdes, "EDB380DD340BC2620247D445F5B8D678", "F4B08D"),
        (Usage::DukptBase, Algorithm::Tdes, "E8BC63E5479455E26577F715D587FE68", "9A4212"),
        (Usage::Kek, Algorithm::Tdes, "5DB50B454F8389ADCE573BE50861F2BF", "5C9405"),
        (Usage::Pin, Algorithm::Aes, "3F419E1CB7079442AA37474C2EFBF8B8", "08793E"),
        (Usage::Kek, Algorithm::Tdes, "1FA1F7CEC798D91545DA8AE0C7796BD9", "FF5087"),
        (Usage::Kek, Algorithm::Tdes, "8323626751C7620408BA6789025E6EB3", "866C07"),
        (Usage::Kek, Algorithm::Sm4, "376D90E7945AA5CFDB4C07CCB35CEFD3", "08EEDE"),
    ] {
        let keys = || vec![key(usage, algorithm, value)];
        let expected = Expected::Bytes(hex(check_value));
        cases.push(Case::new(format!("of {check_value}"), keys(), Asked::CheckValue, expected));
        for damage in [Damage::Cut, Damage::Changed, Damage::Relabelled] {
            let case = Case::new(format!("damaged {check_value}"), keys(), Asked::CheckValue, Expected::Key);
            cases.push(Case { damage, ..case });
        }
    }
    cases
}
