//! Framing: where one message ends and the next begins in a stream of bytes.
//!
//! Promises: incremental (a partial prefix or body is "not yet"), no copy, and a length above the limit is an
//! error at once, before a byte of the body is awaited. Wrong lengths are diagnosed by what they look like.

use std::fmt;

/// How the length is written in front of each message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum LengthPrefix {
    /// Two bytes, big-endian: the usual form between terminals, gateways and hosts.
    #[default]
    Binary2,
    /// Four bytes, big-endian.
    Binary4,
    /// Four ASCII digits.
    Ascii4,
}

/// A length prefix, and whether the length counts the prefix itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Framing {
    /// How the length is written.
    pub prefix: LengthPrefix,
    /// True if the length includes the bytes of the prefix.
    pub inclusive: bool,
}

/// One whole message in a buffer: payload at `start..end`; all bytes up to `end` are consumed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameSpan {
    /// First byte of the payload.
    pub start: usize,
    /// One past its last byte.
    pub end: usize,
}

/// Why the stream cannot be cut into messages. The connection is lost: nothing says where the next one begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// The length is over the limit of this connection, or over what the prefix can express.
    #[error(
        "frame of {length} bytes is over the limit of {limit}{looks_like}; check the framing of both ends"
    )]
    TooLong {
        /// Payload bytes announced (or, when writing, to be announced).
        length: usize,
        /// The most that is allowed.
        limit: usize,
        /// What the prefix looks like, if that explains it.
        looks_like: LooksLike,
    },
    /// The length leaves no payload.
    #[error("frame length {length} leaves no payload (prefix of {prefix_bytes} bytes)")]
    Empty {
        /// The length as written.
        length: usize,
        /// Bytes of the prefix, which an inclusive length counts.
        prefix_bytes: usize,
    },
    /// An ASCII length holds something that is no digit.
    #[error("frame length is not four ASCII digits{looks_like}; check the framing of both ends")]
    NotDigits {
        /// What the prefix looks like, if that explains it.
        looks_like: LooksLike,
    },
}

/// The classics of wrong framing, recognised by the bytes where a length was expected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LooksLike {
    /// Nothing that is recognised.
    Unknown,
    /// ASCII digits where a binary length was expected.
    AsciiDigits,
    /// A binary length where ASCII digits were expected.
    BinaryLength,
    /// The first bytes of a TLS handshake on a plain listener.
    Tls,
    /// The first bytes of an HTTP request.
    Http,
}

impl fmt::Display for LooksLike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LooksLike::Unknown => "",
            LooksLike::AsciiDigits => {
                " (the length bytes are ASCII digits: does the peer send an ASCII length?)"
            }
            LooksLike::BinaryLength => " (the bytes look like a binary length: does the peer send one?)",
            LooksLike::Tls => " (the bytes are a TLS handshake: is this the plain port?)",
            LooksLike::Http => " (the bytes are an HTTP request)",
        })
    }
}

impl LengthPrefix {
    /// Bytes of the prefix.
    pub const fn bytes(self) -> usize {
        match self {
            LengthPrefix::Binary2 => 2,
            LengthPrefix::Binary4 | LengthPrefix::Ascii4 => 4,
        }
    }

    const fn value_max(self) -> usize {
        match self {
            LengthPrefix::Binary2 => u16::MAX as usize,
            LengthPrefix::Binary4 => u32::MAX as usize,
            LengthPrefix::Ascii4 => 9999,
        }
    }
}

const NAMES: [(&str, LengthPrefix, bool); 6] = [
    ("binary2", LengthPrefix::Binary2, false),
    ("binary2-inclusive", LengthPrefix::Binary2, true),
    ("binary4", LengthPrefix::Binary4, false),
    ("binary4-inclusive", LengthPrefix::Binary4, true),
    ("ascii4", LengthPrefix::Ascii4, false),
    ("ascii4-inclusive", LengthPrefix::Ascii4, true),
];

impl Framing {
    /// The framing of this name: one of [`Framing::names`].
    pub fn parse(name: &str) -> Option<Framing> {
        let &(_, prefix, inclusive) = NAMES.iter().find(|row| row.0 == name)?;
        Some(Framing { prefix, inclusive })
    }

    /// All names that [`Framing::parse`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|row| row.0)
    }

    /// The next whole message at the front of `buf`, or `None` while bytes are missing.
    ///
    /// # Errors
    /// When the prefix is wrong; see [`FrameError`]. `frame_bytes_max` limits the payload.
    #[inline]
    pub fn next(&self, buf: &[u8], frame_bytes_max: usize) -> Result<Option<FrameSpan>, FrameError> {
        let start = self.prefix.bytes();
        let Some(prefix) = buf.get(..start) else {
            return Ok(None);
        };
        let length = self.read(prefix)?;
        let payload = if self.inclusive { length.saturating_sub(start) } else { length };
        if payload == 0 {
            return Err(FrameError::Empty { length, prefix_bytes: start });
        }
        if payload > frame_bytes_max {
            let looks_like = looks_like(prefix);
            return Err(FrameError::TooLong { length: payload, limit: frame_bytes_max, looks_like });
        }
        // `frame_bytes_max` may be anything, so the sum is checked; a frame that long never completes.
        let end = start.checked_add(payload).filter(|&end| end <= buf.len());
        Ok(end.map(|end| FrameSpan { start, end }))
    }

    /// Reserves room for the prefix at the end of `out` and returns the mark to pass to [`Framing::finish`].
    #[inline]
    pub fn begin(&self, out: &mut Vec<u8>) -> usize {
        let mark = out.len();
        out.extend_from_slice(&[0; 4][..self.prefix.bytes()]);
        mark
    }

    /// Writes the length of all that followed `mark` into the prefix reserved there.
    ///
    /// # Errors
    /// If nothing followed, or more than the prefix can express; `out` is then cut back to `mark`.
    ///
    /// # Panics
    /// If `mark` did not come from [`Framing::begin`] on this buffer.
    #[inline]
    pub fn finish(&self, out: &mut Vec<u8>, mark: usize) -> Result<(), FrameError> {
        let prefix_bytes = self.prefix.bytes();
        let body = mark + prefix_bytes;
        assert!(body <= out.len(), "finish() takes the mark that begin() returned");
        let payload = out.len() - body;
        let length = if self.inclusive { payload + prefix_bytes } else { payload };
        let limit = self.prefix.value_max();
        if payload == 0 || length > limit {
            out.truncate(mark);
            return Err(if payload == 0 {
                FrameError::Empty { length, prefix_bytes }
            } else {
                FrameError::TooLong { length, limit, looks_like: LooksLike::Unknown }
            });
        }
        self.write(&mut out[mark..body], length);
        Ok(())
    }

    fn read(&self, prefix: &[u8]) -> Result<usize, FrameError> {
        if self.prefix == LengthPrefix::Ascii4 {
            if !prefix.iter().all(u8::is_ascii_digit) {
                return Err(FrameError::NotDigits { looks_like: looks_like(prefix) });
            }
            return Ok(prefix.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')));
        }
        Ok(prefix.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte)))
    }

    fn write(&self, prefix: &mut [u8], mut length: usize) {
        let (base, zero) = if self.prefix == LengthPrefix::Ascii4 { (10, b'0') } else { (256, 0) };
        for place in prefix.iter_mut().rev() {
            *place = zero + (length % base) as u8;
            length /= base;
        }
    }
}

#[cold]
fn looks_like(prefix: &[u8]) -> LooksLike {
    const HTTP: [&[u8]; 4] = [b"GET ", b"POST", b"HEAD", b"PUT "];
    if prefix.iter().all(u8::is_ascii_digit) {
        LooksLike::AsciiDigits
    } else if prefix.starts_with(&[0x16, 0x03]) {
        LooksLike::Tls
    } else if HTTP.iter().any(|verb| verb.starts_with(prefix)) {
        LooksLike::Http
    } else if prefix.len() == 4 && prefix.first().is_some_and(|&byte| byte < 0x20) {
        LooksLike::BinaryLength
    } else {
        LooksLike::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Framing> {
        Framing::names().map(|name| Framing::parse(name).unwrap())
    }

    #[test]
    fn what_is_written_is_read_at_every_split() {
        for framing in all() {
            let mut out = Vec::new();
            for body in [&b"first"[..], b"2"] {
                let mark = framing.begin(&mut out);
                out.extend_from_slice(body);
                framing.finish(&mut out, mark).unwrap();
            }
            let first = FrameSpan { start: framing.prefix.bytes(), end: framing.prefix.bytes() + 5 };
            for cut in 0..first.end {
                assert_eq!(framing.next(&out[..cut], 100), Ok(None), "{framing:?} cut at {cut}");
            }
            assert_eq!(framing.next(&out, 100), Ok(Some(first)));
            let rest = &out[first.end..];
            let second = framing.next(rest, 100).unwrap().unwrap();
            assert_eq!(&rest[second.start..second.end], b"2");
            assert_eq!(second.end, rest.len());
        }
    }

    #[test]
    fn golden_prefixes() {
        let written = all().map(|framing| {
            let mut out = Vec::new();
            let mark = framing.begin(&mut out);
            out.resize(mark + framing.prefix.bytes() + 300, 0);
            framing.finish(&mut out, mark).unwrap();
            out[..framing.prefix.bytes()].to_vec()
        });
        let expected: [&[u8]; 6] = [&[1, 44], &[1, 46], &[0, 0, 1, 44], &[0, 0, 1, 48], b"0300", b"0304"];
        assert!(written.eq(expected.iter().map(|bytes| bytes.to_vec())));
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_the_body() {
        let binary = Framing::default();
        let error = binary.next(&[0x01, 0x01], 256).unwrap_err();
        assert_eq!(error, FrameError::TooLong { length: 257, limit: 256, looks_like: LooksLike::Unknown });
        assert!(binary.next(&[0x01, 0x00], 256).unwrap().is_none());
    }

    #[test]
    fn classics_are_named() {
        let binary2 = Framing::default();
        let ascii4 = Framing::parse("ascii4").unwrap();
        let binary4 = Framing::parse("binary4").unwrap();
        let text = |framing: &Framing, bytes: &[u8]| framing.next(bytes, 2048).unwrap_err().to_string();
        assert!(text(&binary2, b"0120").contains("length bytes are ASCII digits"));
        assert!(text(&binary4, b"0120").contains("length bytes are ASCII digits"));
        assert!(text(&binary2, &[0x16, 0x03, 0x01]).contains("TLS"));
        assert!(text(&binary2, b"GET / HTTP/1.1").contains("HTTP"));
        assert!(text(&ascii4, &[0, 120, b'0', b'2']).contains("binary length"));
        assert!(text(&ascii4, b"12x4").contains("not four ASCII digits"));
    }

    #[test]
    fn a_message_without_bytes_is_refused_both_ways() {
        for framing in all() {
            let mut out = b"kept".to_vec();
            let mark = framing.begin(&mut out);
            assert!(matches!(framing.finish(&mut out, mark), Err(FrameError::Empty { .. })));
            assert_eq!(out, b"kept");
        }
        assert!(matches!(Framing::default().next(&[0, 0, 1], 9), Err(FrameError::Empty { .. })));
        let inclusive = Framing::parse("binary2-inclusive").unwrap();
        assert!(matches!(inclusive.next(&[0, 1, 9], 9), Err(FrameError::Empty { length: 1, .. })));
        assert!(matches!(inclusive.next(&[0, 2, 9], 9), Err(FrameError::Empty { length: 2, .. })));
    }

    #[test]
    fn what_the_prefix_cannot_express_is_refused() {
        let ascii4 = Framing::parse("ascii4-inclusive").unwrap();
        let mut out = Vec::new();
        let mark = ascii4.begin(&mut out);
        out.resize(4 + 9996, 0);
        assert!(matches!(ascii4.finish(&mut out, mark), Err(FrameError::TooLong { limit: 9999, .. })));
        assert!(out.is_empty());
    }
}
