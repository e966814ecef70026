//! Properties of decode and encode over messages made from the field tables themselves.

use crate::spec::{Content, Prefix, Spec, Wire};
use crate::{Dialect, Draft, FieldSet, Layout, Mti};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A canonical value that stands on the wire just as it is written: fixed fields have their full length.
fn value(spec: Spec) -> BoxedStrategy<Vec<u8>> {
    let alphabet: &'static [u8] = match spec.content {
        Content::Digits | Content::Signed => b"0123456789",
        Content::Track => b"0123456789=",
        Content::Letters => b"abcXYZ ",
        Content::Alnum => b"abcXYZ 0123456789",
        Content::Printable => b" !abcXYZ0123456789~=\"",
        Content::Text => b" ab\xD6\xD8\xC7\xEC\xFE\x40",
        Content::Binary => &[0x00, 0x01, 0x30, 0x39, 0x7F, 0x80, 0xFF],
    };
    // All fields at their longest must fit into one message.
    let longest = spec.canonical_bytes(usize::from(spec.units_max));
    let max = if spec.prefix == Prefix::Fixed { longest } else { longest.min(300) };
    let min = if spec.prefix == Prefix::Fixed { max } else { 0 };
    // Long fields are tried at their ends; in between nothing new happens.
    let len = prop_oneof![4 => min..=max.min(min + 24), 1 => Just(max)];
    let signed = spec.content == Content::Signed;
    len.prop_flat_map(move |len| prop::collection::vec(prop::sample::select(alphabet), len))
        .prop_map(move |mut value| {
            if let Some(first) = value.first_mut().filter(|_| signed) {
                *first = if *first < b'5' { b'C' } else { b'D' };
            }
            value
        })
        .boxed()
}

type Values = BTreeMap<u8, Vec<u8>>;

/// A dialect, a message type, and values for some of its fields.
fn message() -> impl Strategy<Value = (&'static str, Mti, Values)> {
    let name = prop::sample::select(Dialect::builtin_names().collect::<Vec<_>>());
    let mti = prop::sample::select(vec![0x0100, 0x0200, 0x0210, 0x0401, 0x0420, 0x0800]).prop_map(Mti::new);
    let fields = name.prop_flat_map(|name| {
        let dialect = Dialect::builtin(name).unwrap();
        let one = |n: u8| prop::option::weighted(0.3, value(*dialect.spec(n).unwrap()));
        let all: Vec<_> = dialect.known.iter().map(|n| one(n).prop_map(move |value| (n, value))).collect();
        all.prop_map(move |values| (name, values.into_iter().filter_map(|(n, v)| Some((n, v?))).collect()))
    });
    (fields, mti).prop_map(|((name, mut values), mti): ((_, Values), _)| {
        // Encode would move a MAC from 64 behind the fields above it.
        if values.keys().any(|n| (65..128).contains(n)) && !values.contains_key(&128) {
            values.remove(&64);
        }
        (name, mti, values)
    })
}

fn encode(dialect: &Dialect, mti: Mti, values: &Values) -> Vec<u8> {
    let mut draft = Draft::new(mti);
    for (n, value) in values {
        draft.set(*n, value);
    }
    let mut out = Vec::new();
    dialect.encode(&draft, &mut out).unwrap();
    out
}

/// Calls everything that reads a message; none of it may panic, whatever the message holds.
fn ask_everything(dialect: &Dialect, payload: &[u8], layout: &Layout) {
    let message = dialect.message(payload, layout);
    let (mut set, mut out, mut buf) = (FieldSet::new(), Vec::new(), [0; 64]);
    message.collect(&message.present(), &mut set);
    for n in 0..=255 {
        let _ = (
            message.copy(n, &mut out),
            message.number(n),
            message.digits::<6>(n),
            message.text(n, &mut buf),
            message.wire(n),
        );
        let _ = crate::masked(dialect, &message, n).to_string();
    }
    let _ = (message.kind(), message.missing(), message.header(), message.mac_input(), message.mac());
    let _ = (message.pan(), message.expiry(), message.card_sequence(), message.track2(), message.pin_block());
    let _ = message.emv(0x9F02, &mut out);
}

proptest! {
    #[test]
    fn what_is_written_is_read_and_written_again((name, mti, values) in message()) {
        let dialect = Dialect::builtin(name).unwrap();
        let wire = encode(&dialect, mti, &values);
        let mut layout = Layout::default();
        dialect.decode(&wire, &mut layout).unwrap();
        let message = dialect.message(&wire, &layout);
        prop_assert_eq!(message.mti(), mti);
        let mut set = FieldSet::new();
        message.collect(&message.present(), &mut set);
        prop_assert!(set.iter().eq(values.iter().map(|(n, value)| (*n, &value[..]))));
        prop_assert_eq!(encode(&dialect, mti, &values), &wire[..]);
        let mut spliced = Draft::new(mti);
        for n in message.fields() {
            spliced.splice(&message, n);
        }
        let mut out = Vec::new();
        dialect.encode(&spliced, &mut out).unwrap();
        prop_assert_eq!(&out, &wire);
        ask_everything(&dialect, &wire, &layout);
    }

    #[test]
    fn a_cut_or_longer_message_is_refused((name, mti, values) in message(), at in any::<prop::sample::Index>()) {
        let dialect = Dialect::builtin(name).unwrap();
        let mut wire = encode(&dialect, mti, &values);
        let mut layout = Layout::default();
        let cut = at.index(wire.len());
        prop_assert!(dialect.decode(&wire[..cut], &mut layout).is_err());
        ask_everything(&dialect, &wire[..cut], &layout);
        wire.push(b'0');
        prop_assert!(dialect.decode(&wire, &mut layout).is_err());
        ask_everything(&dialect, &wire, &layout);
    }

    /// Whatever is let in can be written again from its values, and then reads the same.
    #[test]
    fn damaged_messages_are_refused_or_read_soundly(
        (name, mti, values) in message(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let dialect = Dialect::builtin(name).unwrap();
        let mut wire = encode(&dialect, mti, &values);
        for (at, byte) in damage {
            let at = at.index(wire.len());
            wire[at] = byte;
        }
        let mut layout = Layout::default();
        let read = dialect.decode(&wire, &mut layout);
        ask_everything(&dialect, &wire, &layout);
        let message = dialect.message(&wire, &layout);
        // Encode would move such a MAC, see above.
        let moved_mac = message.has(64) && message.present().words()[1] != 0 && !message.has(128);
        if read.is_ok() && !moved_mac {
            let mut set = FieldSet::new();
            message.collect(&message.present(), &mut set);
            let mut draft = Draft::new(message.mti());
            draft.header(message.header());
            draft.set_all(&set);
            let mut again = Vec::new();
            dialect.encode(&draft, &mut again).unwrap();
            let mut layout = Layout::default();
            dialect.decode(&again, &mut layout).unwrap();
            let mut read_again = FieldSet::new();
            dialect.message(&again, &layout).collect(&message.present(), &mut read_again);
            prop_assert_eq!(&read_again, &set);
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), other in 0..300usize) {
        for name in Dialect::builtin_names() {
            let dialect = Dialect::builtin(name).unwrap();
            let mut layout = Layout::default();
            let mut payload = dialect.default_header().to_vec();
            payload.extend_from_slice(&bytes);
            let _ = dialect.decode(&payload, &mut layout);
            ask_everything(&dialect, &payload, &layout);
            // A view over other bytes than were decoded may answer nonsense, but has to answer.
            ask_everything(&dialect, payload.get(..other).unwrap_or(b""), &layout);
        }
    }
}

/// The tables above stand on this: a fixed field's units are its whole length, and hex doubles them.
#[test]
fn every_field_at_its_longest_comes_back_and_its_units_agree() {
    for name in Dialect::builtin_names() {
        let dialect = Dialect::builtin(name).unwrap();
        for n in dialect.known.iter() {
            let spec = dialect.spec(n).unwrap();
            let canonical = spec.canonical_bytes(usize::from(spec.units_max));
            assert_eq!(spec.units(canonical), usize::from(spec.units_max), "{name} field {n}");
            assert!(spec.units_max <= spec.prefix.units_max() && spec.units_max > 0, "{name} field {n}");
            let hex = matches!(name, "iso87-ascii" | "iso93-ascii") && spec.content == Content::Binary;
            assert_eq!(spec.wire == Wire::Hex, hex, "{name} field {n}");
            if (n == 64 || n == 128) && spec.content == Content::Binary {
                continue;
            }
            let filled = match spec.content {
                Content::Binary => 0xA5,
                Content::Digits | Content::Track => b'7',
                _ => b'C',
            };
            let mut value = vec![filled; canonical];
            if spec.content == Content::Signed {
                value[1..].fill(b'7');
            }
            let values = Values::from([(n, value)]);
            let wire = encode(&dialect, Mti::new(0x0200), &values);
            let mut layout = Layout::default();
            dialect.decode(&wire, &mut layout).unwrap();
            let mut read = Vec::new();
            dialect.message(&wire, &layout).copy(n, &mut read);
            assert_eq!(read, values[&n], "{name} field {n} at its longest");
        }
    }
}
