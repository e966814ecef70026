//! Payloads under every dialect: whatever the bytes, an answer or an error; and what was let in can be written again,
//! reads the same, and is written the same once more.

use super::assert_tells_no_value;
use super::seeds::{dialects, read};
use yika_codec::{Dialect, Draft, FieldSet, Layout, Message, Mti, masked};

pub(super) fn run(payload: &[u8]) {
    let dialects = dialects();
    for dialect in &dialects {
        let Some((mti, values)) = hold(dialect, payload) else { continue };
        dialects.iter().for_each(|other| write_elsewhere(mti, &values, other));
    }
}

/// All that must hold of a payload in one dialect; its message type and values, if it is a message.
pub(super) fn hold(dialect: &Dialect, payload: &[u8]) -> Option<(Mti, FieldSet)> {
    let mut layout = Layout::default();
    let decoded = dialect.decode(payload, &mut layout);
    let message = dialect.message(payload, &layout);
    ask_everything(&message, payload);
    // A view over other bytes than were decoded may answer nonsense, but has to answer.
    ask_everything(&dialect.message(&payload[..payload.len() / 2], &layout), payload);
    if let Err(error) = decoded {
        assert_tells_no_value(&error.to_string());
        return None;
    }
    let values = values_of(&message);
    write_again(&message, &values, payload);
    Some((message.mti(), values))
}

/// Everything that reads a message, of every field number; and each value lies in the payload, behind the one before.
fn ask_everything(message: &Message<'_>, payload: &[u8]) {
    let (mut out, mut buf) = (Vec::new(), [0; 64]);
    let mut last_end = payload.as_ptr();
    for n in 0..=u8::MAX {
        if let Some(raw) = message.raw(n).filter(|raw| !raw.is_empty()) {
            let place = raw.as_ptr_range();
            assert!(
                last_end <= place.start && place.end <= payload.as_ptr_range().end,
                "field {n} is outside"
            );
            last_end = place.end;
        }
        assert!(!message.copy(n, &mut out) || message.has(n), "field {n} is copied and absent");
        let _ = (message.number(n), message.digits::<6>(n), message.text(n, &mut buf));
        let _ = masked(message.dialect(), message, n).to_string();
    }
    let _ = (message.kind(), message.missing(), message.header(), message.mac(), message.mac_input());
    let _ = (message.expiry(), message.card_sequence(), message.track2(), message.pin_block());
    message.emv(0x9F02, &mut out);
    assert!(out.len() <= 4 * payload.len() + 16, "{} bytes of values from {}", out.len(), payload.len());
    if let Some(pan) = message.pan() {
        let shown = pan.to_string().bytes().filter(u8::is_ascii_digit).count();
        assert!(shown < pan.digits().len(), "a card number prints whole");
    }
}

fn values_of(message: &Message<'_>) -> FieldSet {
    let mut values = FieldSet::new();
    message.collect(&message.present(), &mut values);
    values
}

/// What the values are when they are written and read: a MAC in 64 goes behind the fields above it.
fn as_sent(values: &FieldSet, dialect: &Dialect) -> FieldSet {
    let mut sent = values.clone();
    let above = values.iter().any(|(n, _)| n > 64);
    if let Some(mac) = values.get(64).filter(|_| above && dialect.knows(128) && !values.has(128)) {
        sent.set(128, mac);
        sent.remove(64);
    }
    sent
}

/// From its values in its own dialect: no longer than it was, it reads the same, and is then written the same.
fn write_again(message: &Message<'_>, values: &FieldSet, payload: &[u8]) {
    let dialect = message.dialect();
    let again = encode(message, values);
    assert!(again.len() <= payload.len(), "{} bytes became {}", payload.len(), again.len());
    let mut layout = Layout::default();
    dialect.decode(&again, &mut layout).expect("what was encoded decodes");
    let second = dialect.message(&again, &layout);
    let second_values = values_of(&second);
    assert_eq!((second.mti(), second.header()), (message.mti(), message.header()));
    assert!(second_values == as_sent(values, dialect), "other values: {values:?} {second_values:?}");
    assert_eq!(encode(&second, &second_values), again, "a canonical message changed");
    assert_eq!(splice(&second), again, "a spliced message changed");
    let (spliced, sent) = (splice(message), as_sent(values, dialect));
    let read = read(dialect, &spliced).expect("what was spliced decodes");
    assert!(read.iter().map(|(n, value)| (*n, &value[..])).eq(sent.iter()), "splicing changed a value");
}

fn encode(message: &Message<'_>, values: &FieldSet) -> Vec<u8> {
    let dialect = message.dialect();
    let mut draft = Draft::new(message.mti());
    draft.header(message.header());
    draft.set_all(values);
    let mut out = Vec::new();
    let encoded = dialect.encode(&draft, &mut out).expect("what was decoded can be encoded");
    let ends_in_mac = matches!(as_sent(values, dialect).iter().last(), Some((64 | 128, _)));
    assert_eq!(encoded.mac.is_some(), ends_in_mac);
    if ends_in_mac {
        let mut sealed = out.clone();
        dialect.set_mac(&mut sealed, &encoded, b"sealed!!");
        let mut layout = Layout::default();
        dialect.decode(&sealed, &mut layout).expect("a MAC changes no structure");
        let sealed = dialect.message(&sealed, &layout);
        assert_eq!(sealed.mac(), Some(*b"sealed!!"));
        let covered = encoded.mac.map(|mac| &out[encoded.message.start..mac.start]);
        assert_eq!(sealed.mac_input(), covered);
    }
    out
}

fn splice(message: &Message<'_>) -> Vec<u8> {
    let mut draft = Draft::new(message.mti());
    draft.header(message.header());
    message.fields().for_each(|n| draft.splice(message, n));
    let mut out = Vec::new();
    message.dialect().encode(&draft, &mut out).expect("a decoded message can be spliced");
    out
}

/// In another dialect the values may not fit: then nothing is written. What is written can be read there.
fn write_elsewhere(mti: Mti, values: &FieldSet, dialect: &Dialect) {
    let mut draft = Draft::new(mti);
    draft.set_all(values);
    let mut out = b"before".to_vec();
    match dialect.encode(&draft, &mut out) {
        Ok(encoded) => {
            let header = dialect.default_header().len();
            assert_eq!(encoded.message, 6 + header..out.len());
            assert!(read(dialect, &out[6..]).is_some(), "{dialect:?} cannot read what it wrote: {values:?}");
        }
        Err(error) => {
            assert_eq!(out, b"before");
            assert_tells_no_value(&error.to_string());
        }
    }
}
