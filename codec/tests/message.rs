//! What a decoded message tells, what a draft becomes, and what each refuses.

mod common;

use common::{ISO_PURCHASE, POS_CHIP_PURCHASE, POS_PURCHASE};
use std::sync::Arc;
use yika_codec::{
    Code, DecodeError, Dialect, Draft, EncodeError, FieldMask, FieldSet, Kind, Layout, Mti, Part,
    ReversalStyle,
};

fn dialect(name: &str) -> Arc<Dialect> {
    Dialect::builtin(name).expect("a built-in dialect")
}

/// The wire bytes of a message with these values.
fn written(dialect: &Dialect, mti: u16, values: &[(u8, &str)]) -> Vec<u8> {
    let mut draft = Draft::new(Mti::new(mti));
    for (n, value) in values {
        draft.set(*n, value.as_bytes());
    }
    let mut out = Vec::new();
    dialect.encode(&draft, &mut out).expect("values that fit");
    out
}

/// Asks a message with these values.
fn ask<T>(
    name: &str,
    mti: u16,
    values: &[(u8, &str)],
    question: impl FnOnce(&yika_codec::Message<'_>) -> T,
) -> T {
    let dialect = dialect(name);
    let wire = written(&dialect, mti, values);
    let mut layout = Layout::default();
    dialect.decode(&wire, &mut layout).expect("what was written can be read");
    question(&dialect.message(&wire, &layout))
}

#[test]
fn kinds_of_iso87() {
    let kind = |mti, values: &[(u8, &str)]| ask("iso87-ascii", mti, values, |message| message.kind());
    assert_eq!(kind(0x0200, &[(3, "000000"), (25, "00")]), Some(Kind::Purchase));
    assert_eq!(kind(0x0201, &[(3, "003000")]), Some(Kind::Purchase));
    assert_eq!(kind(0x0200, &[(3, "010000")]), Some(Kind::Cash));
    assert_eq!(kind(0x0200, &[(3, "200000")]), Some(Kind::Void));
    assert_eq!(kind(0x0200, &[(3, "000000"), (25, "06")]), Some(Kind::Completion));
    assert_eq!(kind(0x0200, &[(3, "200000"), (25, "06")]), Some(Kind::CompletionCancel));
    assert_eq!(kind(0x0200, &[(3, "310000")]), Some(Kind::Balance));
    assert_eq!(kind(0x0100, &[(3, "310000")]), Some(Kind::Balance));
    assert_eq!(kind(0x0100, &[(3, "000000")]), Some(Kind::Authorization));
    assert_eq!(kind(0x0100, &[(3, "000000"), (25, "06")]), Some(Kind::PreAuthorization));
    assert_eq!(kind(0x0100, &[(3, "030000")]), Some(Kind::PreAuthorization));
    assert_eq!(kind(0x0100, &[(3, "200000"), (25, "06")]), Some(Kind::PreAuthCancel));
    assert_eq!(kind(0x0100, &[(3, "200000")]), None);
    assert_eq!(kind(0x0120, &[(3, "000000")]), Some(Kind::AuthorizationAdvice));
    assert_eq!(kind(0x0220, &[(3, "000000")]), Some(Kind::PurchaseAdvice));
    assert_eq!(kind(0x0221, &[(3, "000000"), (25, "06")]), Some(Kind::CompletionAdvice));
    assert_eq!(kind(0x0220, &[(3, "200000")]), Some(Kind::Refund));
    for reversal in [0x0400, 0x0401, 0x0420, 0x0421] {
        assert_eq!(kind(reversal, &[(3, "010000")]), Some(Kind::Reversal));
    }
    for mti in [0x0800, 0x0820] {
        assert_eq!(kind(mti, &[(70, "001")]), Some(Kind::SignOn));
        assert_eq!(kind(mti, &[(70, "002")]), Some(Kind::SignOff));
        assert_eq!(kind(mti, &[(70, "101")]), Some(Kind::KeyChange));
        assert_eq!(kind(mti, &[(70, "201")]), Some(Kind::CutOver));
        assert_eq!(kind(mti, &[(70, "301")]), Some(Kind::Echo));
    }
    assert_eq!(kind(0x0200, &[(11, "000001")]), None);
    assert_eq!(kind(0x0210, &[(3, "000000")]), None);
}

#[test]
fn kinds_of_pos() {
    let kind = |mti, f3: &str, f25: &str, f60: &str| {
        let all = [(3, f3), (25, f25), (60, f60)];
        let given: Vec<_> = all.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        ask("pos-bcd", mti, &given, |message| message.kind())
    };
    let batch = |kind: &str| format!("{kind}000001");
    assert_eq!(kind(0x0200, "310000", "00", &batch("01")), Some(Kind::Balance));
    assert_eq!(kind(0x0200, "000000", "00", &batch("22")), Some(Kind::Purchase));
    assert_eq!(kind(0x0200, "200000", "00", &batch("23")), Some(Kind::Void));
    assert_eq!(kind(0x0220, "200000", "00", &batch("25")), Some(Kind::Refund));
    assert_eq!(kind(0x0100, "030000", "06", &batch("10")), Some(Kind::PreAuthorization));
    assert_eq!(kind(0x0100, "200000", "06", &batch("11")), Some(Kind::PreAuthCancel));
    assert_eq!(kind(0x0200, "000000", "06", &batch("20")), Some(Kind::Completion));
    assert_eq!(kind(0x0200, "200000", "06", &batch("21")), Some(Kind::CompletionCancel));
    assert_eq!(kind(0x0220, "000000", "06", &batch("24")), Some(Kind::CompletionAdvice));
    assert_eq!(kind(0x0220, "000000", "00", &batch("30")), Some(Kind::PurchaseAdvice));
    assert_eq!(kind(0x0400, "000000", "00", &batch("22")), Some(Kind::Reversal));
    assert_eq!(kind(0x0800, "", "", "00000001004"), Some(Kind::SignOn));
    assert_eq!(kind(0x0800, "", "", "00000001001"), Some(Kind::SignOn));
    assert_eq!(kind(0x0820, "", "", "00000001002"), Some(Kind::SignOff));
    assert_eq!(kind(0x0820, "", "", "00000001301"), Some(Kind::Echo));
    // Too short to hold a network code, and a code that means something else.
    assert_eq!(kind(0x0800, "", "", "0000000100"), None);
    assert_eq!(kind(0x0800, "", "", "00000001372"), None);
    assert_eq!(kind(0x0200, "000000", "00", &batch("23")), None);
}

/// The row that a kind is sent by must be read back as that kind.
#[test]
fn each_kind_is_read_back_from_its_own_row() {
    for name in Dialect::builtin_names() {
        let dialect = dialect(name);
        for kind in Kind::ALL.iter().copied() {
            let Some(row) = dialect.kind_row(kind) else {
                continue;
            };
            let text = |digits: &[u8]| String::from_utf8(digits.to_vec()).unwrap();
            let mut values = Vec::new();
            values.extend(row.f3.map(|digits| (3, text(&digits) + "0000")));
            values.extend(row.f25.map(|digits| (25, text(&digits))));
            values.extend(row.f60_1.map(|digits| (60, text(&digits) + "000001")));
            values.extend(row.f60_3.map(|digits| (60, "00000001".to_owned() + &text(&digits))));
            values.extend(row.f70.map(|digits| (70, text(&digits))));
            let values: Vec<_> = values.iter().map(|(n, value)| (*n, value.as_str())).collect();
            assert_eq!(ask(name, row.mti.bcd(), &values, |message| message.kind()), Some(kind), "{name}");
        }
    }
    assert!(dialect("pos-bcd").kind_row(Kind::Cash).is_none());
}

#[test]
fn the_card_is_found_in_field_2_then_track_2_then_chip_data() {
    let card = |values: &[(u8, &str)]| {
        ask("iso87-ascii", 0x0200, values, |message| {
            (message.pan().map(|pan| pan.digits().to_vec()), message.expiry(), message.card_sequence())
        })
    };
    let track = (35, "6222000000000018=30122011");
    // Tag 57 with another card and date, 5F34 with a sequence number.
    let chip = (55, "\x57\x0A\x62\x10\x00\x00\x00\x00\x00\x1D\x29\x11\x5F\x34\x01\x07");
    let pan = |digits: &str| Some(digits.as_bytes().to_vec());
    let all = [(2, "4111111111111111"), (14, "2801"), (23, "002"), track, chip];
    assert_eq!(card(&all), (pan("4111111111111111"), Some(*b"2801"), Some(*b"002")));
    assert_eq!(card(&[track, chip]), (pan("6222000000000018"), Some(*b"3012"), Some(*b"007")));
    assert_eq!(card(&[chip]), (pan("621000000000001"), Some(*b"2911"), Some(*b"007")));
    assert_eq!(card(&[(11, "000001")]), (None, None, None));
    // A number too short to be one is not replaced by another card's.
    assert_eq!(card(&[(2, "6222"), track]).0, None);
    assert_eq!(card(&[(35, "62220000000000180")]), (None, None, None));
    let (dialect, wire) = (POS_CHIP_PURCHASE.dialect(), POS_CHIP_PURCHASE.wire());
    let mut layout = Layout::default();
    dialect.decode(&wire, &mut layout).unwrap();
    let message = dialect.message(&wire, &layout);
    let mut amount = Vec::new();
    assert!(message.emv(0x9F02, &mut amount) && !message.emv(0x9F03, &mut amount));
    assert_eq!(amount, [0, 0, 0, 1, 0, 0]);
    assert_eq!(message.track2().unwrap().pan(), message.pan());
    assert_eq!(message.digits(23), Some(*b"001"));
}

#[test]
fn numbers_are_digits_that_fit() {
    ask(
        "iso87-ascii",
        0x0200,
        &[(4, "000000000000"), (41, "12345678"), (43, "x"), (53, "9999999999999999")],
        |m| {
            assert_eq!(m.number(4), Some(0));
            assert_eq!(m.number(41), Some(12_345_678));
            assert_eq!(m.number(53), Some(9_999_999_999_999_999));
            assert_eq!((m.number(43), m.number(5), m.number(0), m.number(255)), (None, None, None, None));
        },
    );
    let f48 = "9".repeat(21);
    assert_eq!(ask("pos-bcd", 0x0500, &[(48, &f48)], |m| m.number(48)), None);
    assert_eq!(ask("pos-bcd", 0x0500, &[(48, &f48[..20])], |m| m.number(48)), None);
    assert_eq!(
        ask("pos-bcd", 0x0500, &[(48, &f48[..19])], |m| m.number(48)),
        Some(9_999_999_999_999_999_999)
    );
}

#[test]
fn missing_fields_are_named_in_order() {
    let missing = |mti, values: &[(u8, &str)]| ask("iso87-ascii", mti, values, |message| message.missing());
    assert_eq!(missing(0x0200, &[(11, "000001")]), Some(3));
    assert_eq!(missing(0x0201, &[(3, "000000"), (11, "000001"), (41, "T")]), Some(7));
    let all = [(3, "000000"), (7, "0615123045"), (11, "000001"), (41, "T")];
    assert_eq!(missing(0x0200, &all), None);
    assert_eq!(missing(0x0220, &all), Some(4));
    assert_eq!(missing(0x0210, &[]), None);
}

/// What was read up to the fault is there, so that a refusal can carry the trace number.
#[test]
fn a_refused_message_still_tells_its_trace_number() {
    let (dialect, mut wire) = (ISO_PURCHASE.dialect(), ISO_PURCHASE.wire());
    // Field 13 follows field 12; a letter in its date.
    let parts = ISO_PURCHASE.parts();
    let &(_, at, _) = parts.iter().find(|part| part.0 == Part::Field(13)).unwrap();
    wire[at + 1] = b'x';
    let mut layout = Layout::default();
    let error = dialect.decode(&wire, &mut layout).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("iso87-ascii: field 13 at byte {at}: expected digits, found byte 0x78")
    );
    let message = dialect.message(&wire, &layout);
    assert_eq!((message.mti(), message.digits(11)), (Mti::new(0x0200), Some(*b"123456")));
    assert!(message.has(12) && !message.has(13) && !message.has(70));
    // And nothing is left of it after a payload that has no message type.
    assert!(dialect.decode(b"02", &mut layout).is_err());
    assert_eq!(dialect.message(b"02", &layout).fields().count(), 0);
    // Nor of its header, when the next one is none of the dialect's.
    let (pos, wire) = (POS_PURCHASE.dialect(), POS_PURCHASE.wire());
    pos.decode(&wire, &mut layout).unwrap();
    assert!(pos.decode(&[0; 20], &mut layout).is_err());
    assert_eq!(pos.message(&[0; 20], &layout).header(), b"");
}

#[test]
fn errors_say_what_was_expected_and_what_was_there() {
    let iso = dialect("iso87-ascii");
    let pos = dialect("pos-bcd");
    let text = |dialect: &Dialect, wire: &[u8]| {
        dialect.decode(wire, &mut Layout::default()).unwrap_err().to_string()
    };
    assert_eq!(
        text(&iso, b"02x0"),
        "iso87-ascii: message type at byte 0: expected four digits, found byte 0x30"
    );
    assert_eq!(
        text(&iso, b"0200400000000000000020"),
        "iso87-ascii: length of field 2 at byte 20: says 20, the most is 19"
    );
    assert_eq!(
        text(&iso, b"02004000000000000000xx"),
        "iso87-ascii: length of field 2 at byte 20: expected digits, found byte 0x78"
    );
    assert_eq!(
        text(&iso, b"020000000000000G0000"),
        "iso87-ascii: bitmap at byte 4: expected hex characters, found byte 0x47"
    );
    assert_eq!(
        text(&iso, b"020080000000000000008000000000000000"),
        "iso87-ascii: field 65 at byte 36: the dialect has no such field"
    );
    assert_eq!(
        text(&pos, b"\x68\0\0\0\0\0\0\0\0\0\0"),
        "pos-bcd: header at byte 0: expected the first byte of this dialect's header, found byte 0x68"
    );
    let mut wire = POS_PURCHASE.wire();
    wire[13] |= 0x80;
    assert_eq!(text(&pos, &wire), "pos-bcd: field 1 at byte 21: the dialect has no such field");
    let long = vec![b'0'; 65_536];
    assert!(matches!(
        iso.decode(&long, &mut Layout::default()),
        Err(DecodeError::TooLong { bytes: 65_536, .. })
    ));
}

#[test]
fn a_second_bitmap_without_fields_is_read() {
    let wire = b"080080000000000000000000000000000000";
    let mut layout = Layout::default();
    let iso = dialect("iso87-ascii");
    iso.decode(wire, &mut layout).unwrap();
    assert_eq!(iso.message(wire, &layout).fields().count(), 0);
}

#[test]
fn mac_covers_all_that_stands_before_it() {
    for (name, value, on_wire) in [
        ("iso87-ascii", &b"\xA1\xB2\xC3\xD4\xE5\xF6\x07\x18"[..], &b"A1B2C3D4E5F60718"[..]),
        ("pos-bcd", b"8A9E91B8", b"8A9E91B8"),
    ] {
        let dialect = dialect(name);
        assert_eq!(dialect.mac_is_hex_text(), name == "iso87-ascii");
        let mut draft = Draft::new(Mti::new(0x0200));
        draft.set(11, b"000001");
        draft.set(dialect.mac_field(), &[0; 8]);
        let mut out = b"prefix".to_vec();
        let encoded = dialect.encode(&draft, &mut out).unwrap();
        let place = encoded.mac.clone().unwrap();
        let input = out[encoded.message.start..place.start].to_vec();
        dialect.set_mac(&mut out, &encoded, value.try_into().unwrap());
        assert_eq!(&out[place], on_wire);
        let mut layout = Layout::default();
        dialect.decode(&out[6..], &mut layout).unwrap();
        let message = dialect.message(&out[6..], &layout);
        assert_eq!(message.mac().unwrap(), value);
        assert_eq!(message.mac_input().unwrap(), input);
    }
}

/// ISO 8583 keeps the last bit of each bitmap for the MAC; in 64 it would leave the fields above unprotected.
#[test]
fn mac_moves_behind_the_last_field() {
    let iso = dialect("iso87-ascii");
    let mut draft = Draft::new(Mti::new(0x0420));
    draft.set(11, b"000001");
    draft.set(64, &[0; 8]);
    draft.set(90, b"020000000106151230450000000000000000000000");
    let mut out = Vec::new();
    let encoded = iso.encode(&draft, &mut out).unwrap();
    iso.set_mac(&mut out, &encoded, b"\x01\x02\x03\x04\x05\x06\x07\x08");
    assert!(out.ends_with(b"0102030405060708"));
    let mut layout = Layout::default();
    iso.decode(&out, &mut layout).unwrap();
    let message = iso.message(&out, &layout);
    assert!(message.has(128) && !message.has(64));
    assert_eq!(message.mac_input().unwrap().len(), out.len() - 16);
    // A peer that puts it in 64 nevertheless has sent no MAC that covers the message.
    let wire = b"042080000000000000010400000000000000AAAAAAAAAAAAAAAA301";
    iso.decode(wire, &mut layout).unwrap();
    let message = iso.message(wire, &layout);
    assert!(message.has(64) && message.has(70));
    assert_eq!((message.mac(), message.mac_input()), (None, None));
}

#[test]
#[should_panic(expected = "MAC field set")]
fn a_mac_without_a_place_is_our_own_fault() {
    let iso = dialect("iso87-ascii");
    let mut out = Vec::new();
    let encoded = iso.encode(&Draft::new(Mti::new(0x0200)), &mut out).unwrap();
    iso.set_mac(&mut out, &encoded, &[0; 8]);
}

#[test]
fn drafts_that_do_not_fit_leave_the_buffer_alone() {
    let pos = dialect("pos-bcd");
    let refused = |n: u8, value: &[u8]| {
        let mut draft = Draft::new(Mti::new(0x0200));
        draft.set(3, b"000000");
        draft.set(n, value);
        let mut out = b"kept".to_vec();
        let error = pos.encode(&draft, &mut out).unwrap_err();
        assert_eq!(out, b"kept");
        error
    };
    let text = |n, value: &[u8]| refused(n, value).to_string();
    assert_eq!(text(11, b"12345"), "pos-bcd: field 11 has 5 units, the dialect allows exactly 6");
    assert_eq!(text(2, &[b'1'; 20]), "pos-bcd: field 2 has 20 units, the dialect allows at most 19");
    assert_eq!(
        text(35, b"6222000000000018D3012"),
        "pos-bcd: field 35 holds characters that the dialect does not allow there"
    );
    assert!(matches!(refused(52, &[0; 7]), EncodeError::Length { field: 52, .. }));
    assert!(matches!(refused(90, b"1"), EncodeError::UnknownField { field: 90, .. }));
    assert!(matches!(refused(0, b""), EncodeError::UnknownField { field: 0, .. }));
    assert!(matches!(refused(1, b""), EncodeError::UnknownField { field: 1, .. }));
    assert!(matches!(refused(200, b""), EncodeError::UnknownField { field: 200, .. }));
    assert!(matches!(refused(41, b"TERM\x0001"), EncodeError::Content { field: 41, .. }));
    let mut draft = Draft::new(Mti::new(0x0200));
    draft.header(b"short");
    let error = pos.encode(&draft, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "pos-bcd: header of 5 bytes, the dialect has 11");
}

#[test]
fn short_text_is_filled_with_blanks_and_short_numbers_are_not() {
    let filled = |n: u8, value: &str| {
        ask("iso87-ascii", 0x0200, &[(n, value)], |message| message.raw(n).map(<[u8]>::to_vec))
    };
    assert_eq!(filled(41, "T1"), Some(b"T1      ".to_vec()));
    assert_eq!(filled(41, ""), Some(b"        ".to_vec()));
    assert_eq!(filled(44, "ab"), Some(b"ab".to_vec()));
    let mut draft = Draft::new(Mti::new(0x0200));
    draft.set(4, b"100");
    let iso = dialect("iso87-ascii");
    assert!(matches!(iso.encode(&draft, &mut Vec::new()), Err(EncodeError::Length { fixed: true, .. })));
}

#[test]
fn a_splice_stays_in_its_dialect() {
    let (pos, wire) = (POS_PURCHASE.dialect(), POS_PURCHASE.wire());
    let mut layout = Layout::default();
    pos.decode(&wire, &mut layout).unwrap();
    let message = pos.message(&wire, &layout);
    let mut draft = Draft::new(Mti::new(0x0200));
    draft.splice(&message, 4);
    let iso = dialect("iso87-ascii");
    let foreign = |draft: &Draft<'_>| iso.encode(draft, &mut Vec::new()).unwrap_err();
    assert!(matches!(foreign(&draft), EncodeError::Foreign { field: 4, .. }));
    // Once its value is set instead, nothing foreign is left.
    draft.set(4, b"000000000051");
    assert!(iso.encode(&draft, &mut Vec::new()).is_ok());
    let iso_wire = ISO_PURCHASE.wire();
    let mut iso_layout = Layout::default();
    iso.decode(&iso_wire, &mut iso_layout).unwrap();
    let mut mixed = Draft::new(Mti::new(0x0200));
    mixed.splice(&message, 4);
    mixed.splice(&iso.message(&iso_wire, &iso_layout), 11);
    assert!(matches!(foreign(&mixed), EncodeError::Foreign { field: 11, .. }));
}

#[test]
fn a_draft_holds_every_field_there_is() {
    let iso = dialect("iso87-ascii");
    let value = vec![b'0'; 999];
    let fit = |n: u8| {
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 16, 17, 25, 40, 42].into_iter().find(|len| {
            let mut draft = Draft::new(Mti::new(0x0200));
            draft.set(n, &value[..*len]);
            iso.encode(&draft, &mut Vec::new()).is_ok()
        })
    };
    // C is a sign and a letter, so that signed amounts fit too.
    let signed = [b"C".as_slice(), &value[..16]].concat();
    let mut draft = Draft::new(Mti::new(0x0200));
    let known: Vec<u8> = (2..=128).filter(|n| iso.knows(*n)).collect();
    assert_eq!(known.len(), 126);
    for n in known.iter().rev() {
        match (*n, fit(*n)) {
            (28..=31, _) => draft.set(*n, &signed[..9]),
            (97, _) => draft.set(*n, &signed),
            (_, Some(len)) => draft.set(*n, &value[..len]),
            (n, None) => panic!("no length fits field {n}"),
        }
    }
    draft.set(11, b"654321");
    draft.unset(12);
    assert!(draft.has(11) && !draft.has(12));
    let mut out = Vec::new();
    let encoded = iso.encode(&draft, &mut out).unwrap();
    assert!(encoded.mac.is_some());
    let mut layout = Layout::default();
    iso.decode(&out, &mut layout).unwrap();
    let message = iso.message(&out, &layout);
    assert!(message.fields().eq(known.iter().copied().filter(|n| *n != 12)));
    assert_eq!(message.digits(11), Some(*b"654321"));
}

#[test]
fn replies_swap_the_tpdu_addresses_and_keep_the_header() {
    let pos = dialect("pos-bcd");
    let mut out = b"x".to_vec();
    pos.reply_header(&common::hex("6000030001603200324017"), &mut out);
    assert_eq!(out[1..], common::hex("6000010003603200324017"));
    out.clear();
    pos.reply_header(b"not a header", &mut out);
    assert_eq!(out, pos.default_header());
    let iso = dialect("iso87-ascii");
    iso.reply_header(b"", &mut out);
    assert_eq!(out.len(), 11);
}

#[test]
fn habits_of_the_dialects() {
    let (iso, pos) = (dialect("iso87-ascii"), dialect("pos-bcd"));
    assert_eq!((iso.field_max(), pos.field_max()), (128, 64));
    assert_eq!((iso.f7_offset_minutes(), pos.f7_offset_minutes()), (0, 480));
    assert_eq!((iso.reversal(), pos.reversal()), (ReversalStyle::F90Advice, ReversalStyle::F61Request));
    assert_eq!((iso.answer_match(), pos.answer_match()), (&[7, 11, 41, 37][..], &[11, 41][..]));
    assert_eq!(
        (iso.codes().not_signed_on, pos.codes().not_signed_on),
        (Code::new(*b"58"), Code::new(*b"77"))
    );
    assert_eq!((iso.codes().no_answer, pos.codes().no_answer), (Code::new(*b"68"), Code::new(*b"98")));
    assert_eq!(iso.kind_row(Kind::Reversal).unwrap().mti, Mti::new(0x0420));
    assert_eq!(pos.kind_row(Kind::Reversal).unwrap().mti, Mti::new(0x0400));
    assert_eq!((iso.field_name(11), iso.field_name(65)), ("trace number", ""));
    assert!(!pos.knows(5) && !pos.knows(0) && !pos.knows(200));
    assert!(std::ptr::eq(&*iso, &*dialect("iso87-ascii")));
    assert!(Dialect::builtin("iso93").is_none());
    assert_eq!(format!("{pos:?}"), "Dialect(\"pos-bcd\")");
}

#[test]
fn collecting_takes_what_is_listed_and_present() {
    let (iso, wire) = (ISO_PURCHASE.dialect(), ISO_PURCHASE.wire());
    let mut layout = Layout::default();
    iso.decode(&wire, &mut layout).unwrap();
    const LISTED: FieldMask = FieldMask::of(&[4, 11, 15, 49, 52]);
    let mut set = FieldSet::new();
    set.set(37, b"kept");
    iso.message(&wire, &layout).collect(&LISTED.without(52), &mut set);
    let numbers: Vec<_> = set.iter().map(|(n, _)| n).collect();
    assert_eq!(numbers, [4, 11, 37, 49]);
    assert_eq!((set.get(4), set.get(37)), (Some(&b"000000010000"[..]), Some(&b"kept"[..])));
}
