//! Interoperability: exactly `configs/lab.toml`, with terminals, banks and a coupon platform written on the
//! independent Python library pyiso8583 (`peers.py`), in both dialects.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping it")]

mod gateways;
mod lab;
mod wireshark;

use lab::{Lab, Peer};
use serde_json::{Value, json};

const CARD_A: &str = "4111111111111111";
/// 19 digits: an odd number of them is padded in BCD.
const CARD_B: &str = "6222000000000000003";

fn request(mti: &str, card: &str, stan: u32, fen: u64) -> Value {
    json!({
        "t": mti, "2": card, "3": "000000", "4": format!("{fen:012}"), "7": seven(), "11": format!("{stan:06}"),
        "12": "073015", "13": "1124", "22": "021", "25": "00", "41": "TERM0001", "42": "MERCHANT0000001", "49": "156",
    })
}

/// A purchase as a POS terminal sends it: a TPDU and a header, no F7, F60 with type and batch.
fn pos_request(card: &str, stan: u32, fen: u64) -> Value {
    json!({
        "h": "6000030000603100310100", "t": "0200", "2": card, "3": "000000", "4": format!("{fen:012}"),
        "11": format!("{stan:06}"), "22": "021", "25": "00", "41": "POSTERM1", "42": "MERCHANT0000001", "49": "156",
        "60": "22000001000",
    })
}

/// F7 of now, UTC: a repeat must lie inside the window.
fn seven() -> String {
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    format!("{:010}", yika_switch::core::clock::month_to_second(wall, 0))
}

#[test]
fn the_lab_speaks_with_peers_that_share_no_code() {
    let mut lab = Lab::open();
    iso87(&mut lab);
    pos_bcd(&mut lab);
    between_dialects(&mut lab);
    coupon(&mut lab);
    lab.balances();
}

/// The message's type and amount.
fn is(message: &Value, mti: &str, fen: u64) -> bool {
    message["t"] == mti && message["4"] == format!("{fen:012}")
}

fn echoes(answer: &Value, request: &Value, fields: &[&str]) {
    for n in fields {
        assert_eq!(answer[n], request[n], "F{n} is an echo");
    }
    assert_eq!(answer["37"].as_str().map(str::len), Some(12));
}

fn iso87(lab: &mut Lab) {
    let purchase = request("0200", CARD_A, 1, 1000);
    let approved = lab.terminal.asks(&purchase);
    assert!(is(&lab.bank_a.hears(), "0200", 1000));
    assert_eq!([&approved["t"], &approved["39"], &approved["38"]], ["0210", "00", "PY8583"]);
    echoes(&approved, &purchase, &["2", "3", "4", "7", "11", "41", "42"]);
    let declined = lab.terminal.asks(&request("0200", CARD_A, 2, 51));
    assert_eq!(declined["39"], "51");
    assert!(declined["38"].is_null() && is(&lab.bank_a.hears(), "0200", 51));
    let mut again = purchase.clone();
    again["t"] = "0201".into();
    assert_eq!(lab.terminal.asks(&again), approved, "a retransmission gets the same answer");
    // The bank never answers, so the retransmission surely comes while the first is in flight.
    let [silent, copy] = lab.terminal.asks_twice(&request("0200", CARD_A, 3, 68));
    assert_eq!(silent["39"], "68");
    assert_eq!(copy, silent, "each copy gets the one answer");
    times_out_by_f90(&lab.bank_a, 68);
    is_reversed(lab, &purchase);
}

/// An unanswered request and the 0420 that names it in F90; no repeat came between them.
fn times_out_by_f90(bank: &Peer, fen: u64) {
    let unanswered = bank.hears();
    assert!(is(&unanswered, "0200", fen), "{unanswered}");
    let reversal = bank.hears();
    assert!(is(&reversal, "0420", fen), "{reversal}");
    let named = format!("0200{}{}", unanswered["11"].as_str().unwrap(), unanswered["7"].as_str().unwrap());
    assert_eq!(reversal["90"].as_str().map(|original| &original[..20]), Some(named.as_str()));
}

fn is_reversed(lab: &mut Lab, purchase: &Value) {
    let mut reverse = purchase.clone();
    reverse["t"] = "0400".into();
    reverse["11"] = "000004".into();
    reverse["90"] = format!("0200000001{}{:022}", purchase["7"].as_str().unwrap(), 0).into();
    let reversed = lab.terminal.asks(&reverse);
    assert_eq!([&reversed["t"], &reversed["39"]], ["0410", "00"]);
    assert!(is(&lab.bank_a.hears(), "0420", 1000));
}

fn pos_bcd(lab: &mut Lab) {
    let purchase = pos_request(CARD_B, 11, 2000);
    let approved = lab.pos.asks(&purchase);
    let seen = lab.bank_b.hears();
    assert!(is(&seen, "0200", 2000) && seen["2"] == CARD_B, "{seen}");
    assert_eq!(seen["h"], "6000030000603100310100");
    assert_eq!(seen["60"].as_str().map(|private| &private[..2]), Some("22"));
    assert_eq!([&approved["t"], &approved["39"], &approved["38"]], ["0210", "00", "PY8583"]);
    assert_eq!(approved["h"], "6000000003603100310100", "the TPDU comes back turned round");
    echoes(&approved, &purchase, &["2", "3", "4", "11", "41", "42", "60"]);
    let declined = lab.pos.asks(&pos_request(CARD_B, 12, 51));
    assert_eq!(declined["39"], "51");
    assert!(declined["38"].is_null() && is(&lab.bank_b.hears(), "0200", 51));
    let mut again = purchase.clone();
    again["t"] = "0201".into();
    assert_eq!(lab.pos.asks(&again), approved, "a retransmission gets the same answer");
    let [silent, copy] = lab.pos.asks_twice(&pos_request(CARD_B, 13, 67));
    assert_eq!((&silent["39"], &copy), (&"98".into(), &silent));
    times_out_by_f61(&lab.bank_b, 67);
    pos_is_reversed(lab, &purchase);
}

/// An unanswered request and the 0400 that names it in F61, unchanged until it is answered.
fn times_out_by_f61(bank: &Peer, fen: u64) {
    let unanswered = bank.hears();
    assert!(is(&unanswered, "0200", fen), "{unanswered}");
    let reversal = bank.hears();
    assert!(is(&reversal, "0400", fen), "{reversal}");
    assert_eq!(reversal["39"], "98", "the reason: no answer");
    let original = reversal["61"].as_str().unwrap();
    assert_eq!((original.len(), &original[6..12]), (16, unanswered["11"].as_str().unwrap()));
    assert_eq!(bank.hears(), reversal, "repeated unchanged");
}

fn pos_is_reversed(lab: &mut Lab, purchase: &Value) {
    let mut reverse = purchase.clone();
    reverse["t"] = "0400".into();
    reverse["39"] = "06".into();
    let reversed = lab.pos.asks(&reverse);
    assert_eq!([&reversed["t"], &reversed["39"]], ["0410", "00"]);
    assert!(is(&lab.bank_b.hears(), "0400", 2000));
}

/// A POS terminal with bank A's card, and an iso87-ascii terminal with bank B's.
fn between_dialects(lab: &mut Lab) {
    let purchase = pos_request(CARD_A, 21, 3000);
    let approved = lab.pos.asks(&purchase);
    assert_eq!([&approved["t"], &approved["39"], &approved["38"]], ["0210", "00", "PY8583"]);
    echoes(&approved, &purchase, &["2", "3", "4", "11", "41", "42"]);
    let seen = lab.bank_a.hears();
    assert!(is(&seen, "0200", 3000) && seen["41"] == "POSTERM1", "{seen}");
    assert!(seen["60"].is_null(), "private fields stay at home");
    assert_eq!(lab.pos.asks(&pos_request(CARD_A, 22, 68))["39"], "98");
    times_out_by_f90(&lab.bank_a, 68);
    let purchase = request("0200", CARD_B, 23, 4000);
    let approved = lab.terminal.asks(&purchase);
    assert_eq!([&approved["39"], &approved["38"]], ["00", "PY8583"]);
    echoes(&approved, &purchase, &["2", "3", "4", "7", "11", "41", "42"]);
    let seen = lab.bank_b.hears();
    assert!(is(&seen, "0200", 4000) && seen["7"].is_string(), "{seen}");
}

/// 300 fen asked of the coupon, of which the platform grants 200; the bank pays the rest of 1000, or declines 51
/// of 251 and the coupon is given back.
fn coupon(lab: &mut Lab) {
    let mut purchase = request("0200", CARD_A, 31, 1000);
    purchase["48"] = "CP024COUPON000001000000000300".into();
    let approved = lab.terminal.asks(&purchase);
    assert!(is(&lab.coupons.hears(), "0200", 300));
    assert!(is(&lab.bank_a.hears(), "0200", 800));
    assert_eq!([&approved["39"], &approved["4"]], ["00", "000000001000"]);
    assert_eq!(approved["54"], "00CP156D00000000020000BK156D000000000800");
    let mut refused = request("0200", CARD_A, 32, 251);
    refused["48"] = "CP024COUPON000002000000000200".into();
    assert_eq!(lab.terminal.asks(&refused)["39"], "51");
    assert!(is(&lab.coupons.hears(), "0200", 200));
    assert!(is(&lab.bank_a.hears(), "0200", 51));
    let given_back = lab.coupons.hears();
    assert!(is(&given_back, "0420", 200), "{given_back}");
}
