//! Chip data of field 55, through the messages that carry it: each tag is what a second, plain reading of the same bytes
//! finds, in every dialect, and nothing is read past the field.
//!
//! Input: the chip data.

use super::seeds::dialects;
use yika_codec::{Dialect, Draft, EncodeError, Layout, Message, Mti};

const TRACK2: u32 = 0x57;
/// Tags that are asked for whether or not they are there.
const ASKED: [u32; 7] = [0, 0x5A, TRACK2, 0x5F34, 0x9F02, 0x9F26, 0xDF_8129];

pub(super) fn run(chip: &[u8]) {
    for dialect in dialects().iter().filter(|dialect| dialect.knows(55)) {
        let mut draft = Draft::new(Mti::new(0x0200));
        draft.set(55, chip);
        let mut wire = Vec::new();
        match dialect.encode(&draft, &mut wire) {
            Ok(_) => one(dialect, &wire, chip),
            Err(EncodeError::Length { found, max, .. }) => assert!(found > max && !chip.is_empty()),
            Err(other) => panic!("{dialect:?}: {other}"),
        }
    }
}

fn one(dialect: &Dialect, wire: &[u8], chip: &[u8]) {
    let mut layout = Layout::default();
    dialect.decode(wire, &mut layout).expect("chip data is any bytes");
    let message = dialect.message(wire, &layout);
    let objects = objects(chip);
    for tag in ASKED.into_iter().chain(objects.iter().map(|(tag, _)| *tag)) {
        let expected = objects.iter().find(|(found, _)| *found == tag).map(|(_, value)| value.to_vec());
        let mut value = Vec::new();
        let found = message.emv(tag, &mut value).then_some(value);
        assert_eq!(found, expected, "{dialect:?} tag {tag:x}");
    }
    card(&message, objects.iter().find(|(tag, _)| *tag == TRACK2).map(|(_, value)| *value));
}

/// The card is the one of the chip's track 2, digit by digit.
fn card(message: &Message<'_>, track: Option<&[u8]>) {
    let nibbles: String = track.unwrap_or_default().iter().map(|byte| format!("{byte:02X}")).collect();
    let canonical = nibbles.replace('D', "=");
    if let Some(track) = message.track2() {
        let text = String::from_utf8_lossy(track.text());
        assert!(canonical.starts_with(&*text), "the track is not that of the chip");
        assert!(
            text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'='),
            "a track holds other characters"
        );
    }
    if let Some(pan) = message.pan() {
        assert!(canonical.as_bytes().starts_with(pan.digits()), "the card is not that of the chip");
    }
    let _ = (message.expiry(), message.card_sequence());
}

/// Tag and value.
type Object<'a> = (u32, &'a [u8]);

/// The objects at the top level, as far as the data is well formed (EMV book 3, annex B).
fn objects(chip: &[u8]) -> Vec<Object<'_>> {
    let mut objects = Vec::new();
    let mut rest = chip;
    while let Some((object, after)) = object(rest) {
        objects.push(object);
        rest = after;
    }
    objects
}

/// The first object, and what stands behind it.
fn object(data: &[u8]) -> Option<(Object<'_>, &[u8])> {
    let filling = data.iter().take_while(|byte| **byte == 0).count();
    let (first, mut rest) = data[filling..].split_first()?;
    let mut tag = u32::from(*first);
    let mut more = first & 0x1F == 0x1F;
    while more {
        let (byte, after) = rest.split_first().filter(|_| tag <= 0xFF_FFFF)?;
        (tag, rest, more) = (tag << 8 | u32::from(*byte), after, byte & 0x80 != 0);
    }
    let (len, rest) = match *rest {
        [len @ 0..=0x7F, ref rest @ ..] | [0x81, len, ref rest @ ..] => (usize::from(len), rest),
        [0x82, high, low, ref rest @ ..] => (usize::from(high) << 8 | usize::from(low), rest),
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(len)?;
    Some(((tag, value), rest))
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let whole: [&[u8]; 5] = [
        b"\x9F\x02\x06\0\0\0\x01\0\0\x82\x02\x20\0\x5F\x34\x01\x01",
        b"\x9F\x02\x06\0\0\0\x01\0\0\x5F\x34\x01\x01\x57\x0D\x62\x22\0\0\0\0\0\0\0\x12\xD3\x01\x20\x0F",
        b"\0\0\x5A\x08\x62\x22\0\0\0\0\0\x18\x57\x81\x03\x62\x2D\x3F\x82\0",
        b"\x70\x05\x9F\x26\x02\xAB\xCD\xDF\x81\x29\x82\0\x01\x07",
        b"",
    ];
    whole.map(<[u8]>::to_vec).to_vec()
}
