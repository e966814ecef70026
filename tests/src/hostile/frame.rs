//! Cutting a stream into frames, in every framing: where a read ends changes nothing, what comes out can be written
//! again, and nothing waits for more than the limit.
//!
//! Input: a byte that gives the limit, a byte that gives the lengths of reads, then the stream.

use yika_codec::{FrameError, Framing};

/// More than a length, and what may stand around a payload, take.
const AROUND_BYTES_MAX: usize = 16;

pub(super) fn run(data: &[u8]) {
    let &[limit, reads, ref stream @ ..] = data else {
        return;
    };
    let frame_bytes_max = 1 + usize::from(limit) * 4;
    for name in Framing::names() {
        let framing = Framing::parse(&name).expect("a framing has a name that it is found by");
        one(&framing, frame_bytes_max, 1 + usize::from(reads), stream);
    }
}

/// Frames at once, byte by byte, and in reads of equal length: the same frames, and the same error behind them.
fn one(framing: &Framing, frame_bytes_max: usize, read_bytes: usize, stream: &[u8]) {
    let whole = frames(framing, frame_bytes_max, stream.len().max(1), stream);
    for read_bytes in [1, read_bytes] {
        let split = frames(framing, frame_bytes_max, read_bytes, stream);
        assert_eq!(split, whole, "{framing:?} in reads of {read_bytes}, at most {frame_bytes_max}");
    }
}

/// The payloads in a stream that comes in reads of so many bytes, and what ended it.
fn frames(
    framing: &Framing,
    frame_bytes_max: usize,
    read_bytes: usize,
    stream: &[u8],
) -> (Vec<Vec<u8>>, Option<FrameError>) {
    let (mut payloads, mut buffer) = (Vec::new(), Vec::new());
    for read in stream.chunks(read_bytes) {
        buffer.extend_from_slice(read);
        loop {
            match framing.next(&buffer, frame_bytes_max) {
                Ok(Some(span)) => {
                    let payload = buffer[span.start..span.end].to_vec();
                    assert!(!payload.is_empty() && payload.len() <= frame_bytes_max, "{framing:?} {span:?}");
                    buffer.drain(..bytes_of(framing, &payload, &buffer));
                    payloads.push(payload);
                }
                Ok(None) => break,
                Err(error) => return (payloads, Some(error)),
            }
        }
        let room = frame_bytes_max + AROUND_BYTES_MAX;
        assert!(buffer.len() < room, "{framing:?} waits for more than {room} bytes");
    }
    (payloads, None)
}

/// How many bytes of the buffer the frame of this payload took: as many as it takes when it is written again.
fn bytes_of(framing: &Framing, payload: &[u8], buffer: &[u8]) -> usize {
    let mut out = Vec::new();
    let mark = framing.begin(&mut out);
    out.extend_from_slice(payload);
    framing.finish(&mut out, mark).expect("what was read in a framing can be written in it");
    let as_read = buffer.get(..out.len()).unwrap_or_default();
    // A length in hex may come in lower case.
    assert!(out.eq_ignore_ascii_case(as_read), "{framing:?} writes {out:02x?} for {as_read:02x?}");
    out.len()
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let framed = Framing::names().map(|name| {
        let framing = Framing::parse(&name).expect("a framing has a name that it is found by");
        let mut input = vec![64, 6];
        for body in [&b"first message"[..], b"2", &[b'3'; 200]] {
            let mark = framing.begin(&mut input);
            input.extend_from_slice(body);
            // A length of one digit cannot express every body: the rest is a seed all the same.
            let _ = framing.finish(&mut input, mark);
        }
        input
    });
    framed.chain([b"\x40\x03GET / HTTP/1.1\r\n".to_vec(), b"\x40\x03\x16\x03\x01".to_vec()]).collect()
}
