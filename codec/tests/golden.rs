//! Golden bytes of both built-in dialects, both ways, and every way to cut them short.
//!
//! The ISO 8583:1987 bytes were compared with what another implementation writes for the same values; the POS
//! purchase has the shape of the published message of the UnionPay MAC example, with a test card.

mod common;

use common::{Golden, ISO_PURCHASE, POS_CHIP_PURCHASE, POS_PURCHASE, POS_SIGN_ON_ANSWER, all, hex};
use yika_codec::{DecodeError, Dialect, Draft, FieldMask, FieldSet, Kind, Layout, Mti, Part};

#[test]
fn each_value_means_what_it_should() {
    for golden in all() {
        let (dialect, wire) = (golden.dialect(), golden.wire());
        let mut layout = Layout::default();
        dialect.decode(&wire, &mut layout).unwrap();
        let message = dialect.message(&wire, &layout);
        assert_eq!(message.mti(), golden.mti());
        assert_eq!(message.header(), golden.header());
        assert!(message.fields().eq(golden.rows.iter().map(|row| row.n)));
        for row in golden.rows {
            let mut value = Vec::new();
            assert!(message.copy(row.n, &mut value));
            assert_eq!(value, row.value(), "{} field {}", golden.dialect, row.n);
            assert_eq!(message.raw(row.n).unwrap(), row.wire(), "{} field {}", golden.dialect, row.n);
            let mut small = vec![0; value.len()];
            assert_eq!(message.text(row.n, &mut small), Some(value.len()));
            assert_eq!(small, value);
            small.pop();
            assert_eq!(message.text(row.n, &mut small), None);
        }
        assert!(!message.has(127) && message.raw(127).is_none() && !message.copy(127, &mut Vec::new()));
    }
}

#[test]
fn values_written_give_the_same_bytes() {
    for golden in all() {
        let (dialect, wire) = (golden.dialect(), golden.wire());
        let header = golden.header();
        let values: Vec<_> = golden.rows.iter().map(|row| (row.n, row.value())).collect();
        let mut draft = Draft::new(golden.mti());
        draft.header(&header);
        // The order of setting does not matter.
        for (n, value) in values.iter().rev() {
            draft.set(*n, value);
        }
        let mut out = b"before".to_vec();
        let encoded = dialect.encode(&draft, &mut out).unwrap();
        assert_eq!(&out[6..], wire, "{}", golden.dialect);
        assert_eq!(encoded.message, 6 + header.len()..out.len());
    }
}

#[test]
fn a_field_set_carries_a_message_over() {
    for golden in all() {
        let (dialect, wire) = (golden.dialect(), golden.wire());
        let mut layout = Layout::default();
        dialect.decode(&wire, &mut layout).unwrap();
        let message = dialect.message(&wire, &layout);
        let mut set = FieldSet::new();
        message.collect(&message.present(), &mut set);
        assert!(
            set.iter().eq(golden
                .rows
                .iter()
                .map(|row| (row.n, row.value()))
                .collect::<Vec<_>>()
                .iter()
                .map(|(n, v)| (*n, &v[..])))
        );
        // Collected again over what is there, values are replaced, not doubled.
        set.set(11, b"other");
        message.collect(&FieldMask::of(&[11, 70, 127]).and(message.present()), &mut set);
        let header = golden.header();
        let mut draft = Draft::new(golden.mti());
        draft.header(&header);
        draft.set_all(&set);
        let mut out = Vec::new();
        dialect.encode(&draft, &mut out).unwrap();
        assert_eq!(out, wire);
    }
}

#[test]
fn spliced_fields_are_copied_as_they_stood() {
    for golden in all() {
        let (dialect, wire) = (golden.dialect(), golden.wire());
        let mut layout = Layout::default();
        dialect.decode(&wire, &mut layout).unwrap();
        let message = dialect.message(&wire, &layout);
        let mut draft = Draft::new(message.mti());
        draft.header(message.header());
        for n in message.fields() {
            draft.splice(&message, n);
        }
        draft.splice(&message, 127);
        let mut out = Vec::new();
        dialect.encode(&draft, &mut out).unwrap();
        assert_eq!(out, wire);
    }
}

#[test]
fn a_message_cut_anywhere_is_refused_at_the_very_part() {
    for golden in all() {
        let (dialect, wire, parts) = (golden.dialect(), golden.wire(), golden.parts());
        let mut layout = Layout::default();
        for cut in 0..wire.len() {
            let &(part, start, needed) =
                parts.iter().find(|(_, start, len)| (*start..start + len).contains(&cut)).unwrap();
            match dialect.decode(&wire[..cut], &mut layout).unwrap_err() {
                DecodeError::Truncated { at, needed: wanted, left } => {
                    assert_eq!((at.part, at.offset), (part, start), "{} cut at {cut}", golden.dialect);
                    assert_eq!((wanted, left), (needed, cut - start), "{} cut at {cut}", golden.dialect);
                }
                other => panic!("{} cut at {cut}: {other}", golden.dialect),
            }
        }
    }
}

#[test]
fn bytes_behind_the_last_field_are_refused() {
    for golden in all() {
        let (dialect, mut wire) = (golden.dialect(), golden.wire());
        let end = wire.len();
        wire.extend_from_slice(b"00");
        match dialect.decode(&wire, &mut Layout::default()).unwrap_err() {
            DecodeError::Trailing { at, extra: 2 } => assert_eq!((at.part, at.offset), (Part::End, end)),
            other => panic!("{other}"),
        }
    }
}

/// Whatever is wrong with a message, its error must not tell what only the card or the issuer may know.
#[test]
fn errors_never_show_a_secret() {
    for golden in all() {
        let (dialect, wire) = (golden.dialect(), golden.wire());
        let mut layout = Layout::default();
        for at in 0..wire.len() {
            for byte in [0x00, 0x7F, 0xBB, b'9', b'='] {
                let mut damaged = wire.clone();
                damaged[at] = byte;
                if let Err(error) = dialect.decode(&damaged, &mut layout) {
                    let text = format!("{error} {error:?}");
                    assert!(!text.contains("62220000") && !text.contains("0123456789"), "{text}");
                    let in_secret = golden.rows.iter().find(|row| error.at().part == Part::Field(row.n));
                    if in_secret.is_some_and(|row| [2, 35, 52, 55, 62, 102].contains(&row.n)) {
                        assert!(!text.contains("found byte"), "{text}");
                    }
                }
            }
        }
    }
}

#[test]
fn dumps_show_no_secret() {
    for golden in all() {
        let (dialect, wire) = (golden.dialect(), golden.wire());
        let mut layout = Layout::default();
        dialect.decode(&wire, &mut layout).unwrap();
        let message = dialect.message(&wire, &layout);
        let dump: Vec<_> = (2..=128).map(|n| yika_codec::masked(&dialect, &message, n).to_string()).collect();
        let text = dump.join("\n");
        assert!(!text.contains("6222000000") && !text.contains("0123456789ABCDEF"), "{text}");
        assert!(!format!("{message:?}").contains("62220000"));
        let of = |n: u8| &dump[usize::from(n) - 2];
        assert_eq!(of(11), "123456");
        assert_eq!(of(127), "-");
        for n in [35, 52, 55, 62].into_iter().filter(|n| message.has(*n)) {
            assert!(of(n).starts_with("<hidden "), "{} field {n}: {}", golden.dialect, of(n));
        }
        if golden.dialect == "iso87-ascii" {
            assert_eq!((&of(2)[..], &of(55)[..]), ("622200******0018", "<hidden 34 bytes>"));
            assert_eq!((&of(102)[..], &of(128)[..]), ("622200******0018", "A1B2C3D4E5F60718"));
        }
    }
}

#[test]
fn reference_message() {
    const WIRE: &[u8] = b"02007238000008C0800016411111111111111100000000000001000006151230451234561230450615\
        412345678901TERM0001MERCHANT0000001840";
    let dialect = Dialect::builtin("iso87-ascii").unwrap();
    let mut layout = Layout::default();
    dialect.decode(WIRE, &mut layout).unwrap();
    let message = dialect.message(WIRE, &layout);
    assert_eq!((message.mti(), message.kind()), (Mti::new(0x0200), Some(Kind::Purchase)));
    assert_eq!(message.number(4), Some(10_000));
    assert_eq!(message.digits(11), Some(*b"123456"));
    assert_eq!(message.digits::<7>(11), None);
    assert_eq!(message.pan().unwrap().to_string(), "411111******1111");
    assert_eq!((message.missing(), message.mac(), message.mac_input()), (None, None, None));
    assert_eq!(message.header(), b"");
}

#[test]
fn goldens_are_the_messages_they_claim_to_be() {
    let kind = |golden: &Golden| {
        let (dialect, wire) = (golden.dialect(), golden.wire());
        let mut layout = Layout::default();
        dialect.decode(&wire, &mut layout).unwrap();
        dialect.message(&wire, &layout).kind()
    };
    assert_eq!(kind(&ISO_PURCHASE), Some(Kind::Purchase));
    assert_eq!(kind(&POS_PURCHASE), Some(Kind::Purchase));
    assert_eq!(kind(&POS_CHIP_PURCHASE), Some(Kind::Purchase));
    // An answer is no request, whatever it answers.
    assert_eq!(kind(&POS_SIGN_ON_ANSWER), None);
}

/// The published message ends before field 64; with the MAC of the example its positions are these.
#[test]
fn fields_of_the_published_purchase_stand_where_they_are_published() {
    let wire = POS_PURCHASE.wire();
    assert_eq!(wire.len(), 11 + 91 + 8);
    let dialect = POS_PURCHASE.dialect();
    let mut layout = Layout::default();
    dialect.decode(&wire, &mut layout).unwrap();
    let message = dialect.message(&wire, &layout);
    assert_eq!(message.mac_input().unwrap(), &wire[11..11 + 91]);
    assert_eq!(message.mac(), Some(*b"8A9E91B8"));
    assert_eq!(message.raw(52).unwrap(), &wire[11 + 69..11 + 77]);
    assert_eq!(message.raw(52).unwrap(), hex("ACF46E73838A82F9"));
    assert_eq!(message.number(4), Some(51));
    assert_eq!(message.expiry(), Some(*b"3121"));
}
