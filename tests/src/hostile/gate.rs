//! The gateway protocol: where a read ends changes nothing, what is read is written again as the same, nothing waits for more
//! than the limit, and no error tells a value.
//!
//! Input: a byte that gives the limit, then a stream of frames; or 0xFF, a count of two bytes, and records.

use super::assert_tells_no_value;
use yika_codec::gate::{Frame, Message, RawRecord, ReadError, Record, Records, next};

const RECORDS: u8 = 0xFF;
/// More of a frame than its head is not awaited before its length is judged.
const HEAD_BYTES: usize = 16;

pub(super) fn run(data: &[u8]) {
    match *data {
        [RECORDS, high, low, ref bytes @ ..] => {
            records(u16::from_be_bytes([high, low]), bytes);
            told(RawRecord::new(bytes).map(record));
        }
        [limit, ref stream @ ..] => frames(HEAD_BYTES + usize::from(limit) * 8, stream),
        [] => {}
    }
}

fn frames(frame_bytes_max: usize, stream: &[u8]) {
    let mut rest = stream;
    loop {
        match next(rest, frame_bytes_max) {
            Ok(Some(frame)) => {
                assert!(frame.bytes <= frame_bytes_max && frame.bytes >= HEAD_BYTES, "{frame:?}");
                whole(&frame, rest, frame_bytes_max);
                rest = &rest[frame.bytes..];
            }
            Ok(None) => {
                assert!(rest.len() < frame_bytes_max, "waits for more than {frame_bytes_max} bytes");
                return;
            }
            Err(error) => {
                // More bytes make it no better.
                let longer = [rest, &[0; HEAD_BYTES]].concat();
                assert_eq!(next(&longer, frame_bytes_max), Err(error));
                return;
            }
        }
    }
}

fn whole(frame: &Frame<'_>, stream: &[u8], frame_bytes_max: usize) {
    for cut in [0, 3, 4, HEAD_BYTES - 1, frame.bytes - 1] {
        assert_eq!(next(&stream[..cut.min(frame.bytes - 1)], frame_bytes_max), Ok(None), "cut at {cut}");
    }
    told(frame.message().map(|message| {
        let mut body = Vec::new();
        message.encode(&mut body);
        let again = Message::decode(message.kind(), &body);
        assert_eq!(again, Ok(message), "is read otherwise than it was written");
        match message {
            Message::Tap(tap) => record(tap.record),
            Message::Transaction(transaction) => record(transaction.record),
            Message::BatchPart(part) => part.records.iter().for_each(record),
            _ => {}
        }
    }));
}

fn records(count: u16, bytes: &[u8]) {
    told(Records::new(count, bytes).map(|records| {
        assert_eq!(records.iter().count(), usize::from(count), "not as many records as were counted");
        let measured: usize = records.iter().map(|record| record.bytes().len()).sum();
        assert_eq!(measured, bytes.len(), "bytes that belong to no record");
        records.iter().for_each(record);
    }));
}

fn record(raw: RawRecord<'_>) {
    told(Record::decode(raw).map(|record| {
        let _ = (record.amount_fen(), record.tap_head());
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        let again = RawRecord::new(&bytes).and_then(Record::decode);
        assert_eq!(again, Ok(record), "is read otherwise than it was written");
    }));
}

fn told(read: Result<(), ReadError>) {
    if let Err(error) = read {
        assert_tells_no_value(&error.to_string());
    }
}

/// The golden bytes of the protocol: bodies as open frames, and records as they are.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    include_str!("../../wire/golden.txt").lines().filter_map(seed).collect()
}

fn seed(line: &str) -> Option<Vec<u8>> {
    let (name, hex) = line.split_once(": ")?;
    let body: Vec<u8> = hex.split(' ').filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect();
    if name.starts_with("record") {
        return Some([&[RECORDS, 0, 1], &body[..]].concat());
    }
    let length = u32::try_from(body.len() + HEAD_BYTES - 4).ok()?.to_be_bytes();
    let head = [u8::from_str_radix(name, 16).ok()?, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    Some([&[u8::MAX - 1], &length[..], &head, &body].concat())
}
