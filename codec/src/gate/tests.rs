//! Properties of all layouts: what is written is read as it was, what is read is written as it was, and no bytes panic.

use super::*;
use proptest::prelude::*;

/// Makes values of every field type out of arbitrary bytes; zeros when they are used up.
pub struct Maker<'a> {
    pool: &'a [u8],
}

impl<'a> Maker<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let bytes = self.cut(N);
        array[..bytes.len()].copy_from_slice(bytes);
        array
    }

    /// Between `min` and `max` bytes, or fewer when they are used up.
    pub(super) fn some(&mut self, min: usize, max: usize) -> &'a [u8] {
        let [len] = self.array();
        self.cut(min + usize::from(len) % (max - min + 1))
    }

    pub(super) fn maybe<T: Wire<'a>>(&mut self) -> Option<T> {
        let [yes] = self.array();
        (yes % 2 == 1).then(|| T::made(self))
    }

    pub(super) fn fields(&mut self) -> Fields<'a> {
        const SOME: &[u8] = b"\0\x03\0\x06000000\0\x0B\0\x06000001\x80\x80\0\0";
        let [count] = self.array();
        Fields::unchecked(&SOME[..[0, 10, 20, 24][usize::from(count) % 4]])
    }

    pub(super) fn record(&mut self) -> RawRecord<'a> {
        RawRecord::new(&RECORDS[..6]).unwrap()
    }

    pub(super) fn records(&mut self) -> Records<'a> {
        let [count] = self.array();
        if count % 2 == 0 { Records::new(1, &RECORDS[..6]) } else { Records::new(2, RECORDS) }.unwrap()
    }

    pub(super) fn entries(&mut self) -> Entries<'a> {
        Entries::new(2, b"\x01a\x02bc").unwrap()
    }

    fn cut(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.pool.split_at(len.min(self.pool.len()));
        self.pool = rest;
        bytes
    }
}

const RECORDS: &[u8] = b"\0\x04\x01\x01ab\0\x02\x03\x09";

fn encoded(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    out
}

fn pool() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..600)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_message_is_read_as_it_was_written(kind: u8, pool in pool()) {
        let message = Message::made(kind, &mut Maker { pool: &pool });
        let bytes = encoded(&message);
        prop_assert_eq!(Message::decode(message.kind(), &bytes), Ok(message));
    }

    #[test]
    fn a_record_is_read_as_it_was_written(kind: u8, pool in pool()) {
        let record = Record::made(kind, &mut Maker { pool: &pool });
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        prop_assert_eq!(Record::decode(RawRecord::new(&bytes).unwrap()), Ok(record));
    }

    #[test]
    fn what_is_read_is_written_as_it_was(kind in 0_u8..0x50, pool in pool()) {
        if let Ok(message) = Message::decode(kind, &pool) {
            // Unknown optional tags are not kept: only what is canonical comes back byte for byte.
            let bytes = encoded(&message);
            prop_assert_eq!(Message::decode(kind, &bytes), Ok(message));
            prop_assert!(bytes.len() <= pool.len());
        }
    }

    #[test]
    fn any_bytes_never_panic(buf in pool(), limit in 0_usize..2000) {
        if let Ok(Some(frame)) = next(&buf, limit) {
            prop_assert!(frame.bytes <= limit && frame.bytes <= buf.len());
            let _ = frame.message();
        }
        for kind in 0..=u8::MAX {
            let _ = Message::decode(kind, &buf);
        }
    }

    #[test]
    fn any_record_never_panics(mut buf in prop::collection::vec(any::<u8>(), 4..600), kind in 0_u8..0x18) {
        let len = u16::try_from(buf.len() - 2).unwrap();
        buf[..2].copy_from_slice(&len.to_be_bytes());
        (buf[2], buf[3]) = (kind, 1);
        if let Ok(record) = Record::decode(RawRecord::new(&buf).unwrap()) {
            let _ = (record.amount_fen(), format!("{record:?}"));
        }
    }

    #[test]
    fn every_flip_and_cut_of_a_message_is_read_or_refused(
        kind: u8, pool in pool(), at: prop::sample::Index, flip: u8, cut: prop::sample::Index,
    ) {
        let message = Message::made(kind, &mut Maker { pool: &pool });
        let mut bytes = encoded(&message);
        let kept = cut.index(bytes.len() + 1);
        let _ = Message::decode(message.kind(), &bytes[..kept]);
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let _ = Message::decode(message.kind(), &bytes);
        }
    }
}

#[test]
fn optional_fields_ascend_in_every_layout() {
    let messages = Message::described().into_iter().map(|(_, described)| described);
    for described in messages.chain(Record::described()) {
        let tags: Vec<u16> = described.rows.iter().filter_map(|row| row.tag).collect();
        assert!(tags.windows(2).all(|two| two[0] < two[1]), "{}", described.name);
        assert!(tags.iter().all(|tag| *tag < TAG_MANDATORY), "{}", described.name);
    }
}

#[test]
fn tags_are_skipped_refused_or_out_of_order() {
    let body = |tlvs: &str| unhex(&format!("00{tlvs}"));
    let decode = |tlvs: &str| Message::decode(6, &body(tlvs)).map(|message| message.kind());
    assert_eq!(decode("7FFF0003010203"), Ok(6), "unknown and not mandatory");
    assert_eq!(decode("8001000141"), Ok(6), "known and mandatory");
    let refused = |tlvs: &str| decode(tlvs).unwrap_err();
    assert_eq!(refused("FFFF0000"), ReadError::Unknown { layout: "goodbye", tag: 0xFFFF, offset: 1 });
    assert_eq!(
        refused("00010000800100"),
        ReadError::Short { layout: "goodbye", field: "the length of a tag", offset: 7 }
    );
    assert_eq!(refused("0001000080010000"), ReadError::Order { layout: "goodbye", tag: 0x8001, offset: 5 });
    assert_eq!(refused("000200000001000041"), ReadError::Order { layout: "goodbye", tag: 1, offset: 5 });
    assert_eq!(
        refused("000000"),
        ReadError::Short { layout: "goodbye", field: "the length of a tag", offset: 3 }
    );
    assert_eq!(refused("00000000"), ReadError::Order { layout: "goodbye", tag: 0, offset: 1 });
    assert_eq!(
        refused("0001000241"),
        ReadError::Short { layout: "goodbye", field: "the value of a tag", offset: 5 }
    );
    assert!(matches!(refused("00010001FF"), ReadError::Value { field: "text", offset: 5, .. }));
}

#[test]
fn a_record_that_cannot_be_read_leaves_the_others() {
    let records = Records::new(2, RECORDS).unwrap();
    let verdicts: Vec<_> = records.iter().map(|raw| Record::decode(raw).unwrap_err()).collect();
    assert_eq!(verdicts[0], ReadError::Short { layout: "closed-loop tap", field: "source", offset: 4 });
    assert_eq!(verdicts[1], ReadError::NoSuch { what: "record version", number: 9 });
    assert_eq!(Unreadable::of(&verdicts[0]), Unreadable { code: 17, tag: 0, offset: 4 });
    for (count, bytes) in [(1, RECORDS), (3, RECORDS), (0, &[][..]), (1, &b"\0\x01\x01"[..])] {
        assert!(Records::new(count, bytes).is_err(), "{count}");
    }
}

fn unhex(text: &str) -> Vec<u8> {
    crate::unhex(text).unwrap()
}
