//! Framing: where one message ends and the next begins in a stream of bytes.
//!
//! Promises: incremental (a partial prefix or body is "not yet"), no copy, and a length above the limit is an
//! error at once, before a byte of the body is awaited. Wrong lengths are diagnosed by what they look like.

use std::fmt;
use std::ops::RangeInclusive;

/// How the length is written in front of each message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum LengthPrefix {
    /// So many bytes, big-endian, 2 to 4; two are the usual form between terminals, gateways and hosts.
    Binary(u8),
    /// So many ASCII digits, 1 to 8.
    Ascii(u8),
    /// So many bytes of two digits each, 1 to 4.
    Bcd(u8),
    /// So many hex characters, 1 to 8; written in upper case, read in either.
    Hex(u8),
}

impl Default for LengthPrefix {
    fn default() -> LengthPrefix {
        LengthPrefix::Binary(2)
    }
}

/// A length prefix, what the length counts, and what else stands between messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Framing {
    /// How the length is written.
    pub prefix: LengthPrefix,
    /// True if the length includes the bytes of the prefix.
    pub inclusive: bool,
    /// A byte that ends each message; the length counts it.
    pub trailer: Option<u8>,
    /// True if a length that leaves no payload is a sign of life and not a fault; a frame of that kind has an empty
    /// span, and no trailer.
    pub keep_alive: bool,
}

/// One whole message in a buffer: payload at `start..end`; all bytes up to `next` are consumed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameSpan {
    /// First byte of the payload.
    pub start: usize,
    /// One past its last byte; `start` for a sign of life.
    pub end: usize,
    /// Where the next frame begins.
    pub next: usize,
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
    /// The length holds something that is no digit.
    #[error("frame length is not {}{looks_like}; check the framing of both ends", digits_of(*.prefix))]
    NotDigits {
        /// What was expected.
        prefix: LengthPrefix,
        /// What the prefix looks like, if that explains it.
        looks_like: LooksLike,
    },
    /// The message does not end with the byte that ends each.
    #[error(
        "frame ends with byte {found:#04x} where {expected:#04x} ends each message; check the framing of both ends"
    )]
    Trailer {
        /// The byte that ends each message.
        expected: u8,
        /// The byte found in its place.
        found: u8,
    },
}

fn digits_of(prefix: LengthPrefix) -> String {
    match prefix {
        LengthPrefix::Binary(bytes) => format!("{bytes} bytes"),
        LengthPrefix::Ascii(digits) => format!("{digits} ASCII digits"),
        LengthPrefix::Bcd(bytes) => format!("{bytes} bytes of two digits"),
        LengthPrefix::Hex(chars) => format!("{chars} hex characters"),
    }
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
            LengthPrefix::Binary(n)
            | LengthPrefix::Ascii(n)
            | LengthPrefix::Bcd(n)
            | LengthPrefix::Hex(n) => n as usize,
        }
    }

    /// The base of the number, and how many digits of it the prefix has.
    const fn scale(self) -> (usize, u32) {
        match self {
            LengthPrefix::Binary(bytes) => (256, bytes as u32),
            LengthPrefix::Ascii(digits) => (10, digits as u32),
            LengthPrefix::Bcd(bytes) => (100, bytes as u32),
            LengthPrefix::Hex(chars) => (16, chars as u32),
        }
    }

    /// The longest length it can express.
    const fn value_max(self) -> usize {
        let (base, digits) = self.scale();
        match base.checked_pow(digits) {
            Some(end) => end - 1,
            None => usize::MAX,
        }
    }

    /// The length in these bytes, which are the prefix; `None` if one of them is no digit.
    #[inline]
    fn read(self, prefix: &[u8]) -> Option<usize> {
        let (base, _) = self.scale();
        prefix.iter().try_fold(0usize, |sum, &byte| {
            let digit = match self {
                LengthPrefix::Binary(_) => usize::from(byte),
                LengthPrefix::Ascii(_) => usize::from(byte.checked_sub(b'0').filter(|digit| *digit <= 9)?),
                LengthPrefix::Bcd(_) => {
                    let (high, low) = (byte >> 4, byte & 0xF);
                    (high <= 9 && low <= 9).then(|| usize::from(high) * 10 + usize::from(low))?
                }
                LengthPrefix::Hex(_) => char::from(byte).to_digit(16)? as usize,
            };
            Some(sum * base + digit)
        })
    }

    fn write(self, mut length: usize, prefix: &mut [u8]) {
        let (base, _) = self.scale();
        for place in prefix.iter_mut().rev() {
            let digit = (length % base) as u8;
            *place = match self {
                LengthPrefix::Binary(_) => digit,
                LengthPrefix::Ascii(_) => b'0' + digit,
                LengthPrefix::Bcd(_) => ((digit / 10) << 4) | (digit % 10),
                LengthPrefix::Hex(_) => b"0123456789ABCDEF"[usize::from(digit & 0xF)],
            };
            length /= base;
        }
    }
}

type LengthRow = (&'static str, RangeInclusive<u8>, fn(u8) -> LengthPrefix);

/// The lengths by name, and how many digits or bytes each may have.
const LENGTHS: [LengthRow; 4] = [
    ("binary", 2..=4, LengthPrefix::Binary),
    ("ascii", 1..=8, LengthPrefix::Ascii),
    ("bcd", 1..=4, LengthPrefix::Bcd),
    ("hex", 1..=8, LengthPrefix::Hex),
];

impl Framing {
    /// What [`Framing::parse`] takes, for error messages.
    pub const FORMS: &str = "binary2 to binary4 (bytes), ascii1 to ascii8 (digits), bcd1 to bcd4 (bytes) or hex1 to hex8 \
        (characters); then, as wanted, -inclusive, -trailer03 (a byte after each message, in hex), -keepalive";

    /// The framing of this name, in one of [`Framing::FORMS`].
    pub fn parse(name: &str) -> Option<Framing> {
        let mut words = name.split('-');
        let length = words.next()?;
        let (form, size) = length.split_at(length.find(|c: char| c.is_ascii_digit())?);
        let (_, sizes, make) = LENGTHS.iter().find(|row| row.0 == form)?;
        // One digit: a name has one spelling.
        let size = size.parse().ok().filter(|_| size.len() == 1).filter(|size| sizes.contains(size))?;
        let mut framing = Framing { prefix: make(size), ..Framing::default() };
        for word in words {
            match word {
                "inclusive" => framing.inclusive = true,
                "keepalive" => framing.keep_alive = true,
                _ => {
                    let byte = word.strip_prefix("trailer").filter(|hex| hex.len() == 2)?;
                    framing.trailer = Some(u8::from_str_radix(byte, 16).ok()?);
                }
            }
        }
        // The order of the words, and each at most once, are part of the spelling too.
        (framing.to_string().eq_ignore_ascii_case(name)).then_some(framing)
    }

    /// Every length by name, with and without the prefix in it; the other words of [`Framing::FORMS`] may follow each.
    pub fn names() -> impl Iterator<Item = String> {
        LENGTHS.iter().flat_map(|(form, sizes, _)| {
            sizes.clone().flat_map(move |size| [format!("{form}{size}"), format!("{form}{size}-inclusive")])
        })
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
        let Some(length) = self.prefix.read(prefix) else {
            return Err(FrameError::NotDigits {
                prefix: self.prefix,
                looks_like: looks_like(self.prefix, prefix),
            });
        };
        let counted = if self.inclusive { length.saturating_sub(start) } else { length };
        let trailer_bytes = usize::from(self.trailer.is_some());
        if counted <= trailer_bytes {
            let sign_of_life = length == if self.inclusive { start } else { 0 };
            if self.keep_alive && sign_of_life {
                return Ok(Some(FrameSpan { start, end: start, next: start }));
            }
            return Err(FrameError::Empty { length, prefix_bytes: start });
        }
        let payload = counted - trailer_bytes;
        if payload > frame_bytes_max {
            let looks_like = looks_like(self.prefix, prefix);
            return Err(FrameError::TooLong { length: payload, limit: frame_bytes_max, looks_like });
        }
        // `frame_bytes_max` may be anything, so the sum is checked; a frame that long never completes.
        let Some(next) = start.checked_add(counted).filter(|&next| next <= buf.len()) else {
            return Ok(None);
        };
        let end = next - trailer_bytes;
        if let (Some(expected), Some(&found)) = (self.trailer, buf.get(end))
            && expected != found
        {
            return Err(FrameError::Trailer { expected, found });
        }
        Ok(Some(FrameSpan { start, end, next }))
    }

    /// Reserves room for the prefix at the end of `out` and returns the mark to pass to [`Framing::finish`].
    #[inline]
    pub fn begin(&self, out: &mut Vec<u8>) -> usize {
        let mark = out.len();
        out.extend_from_slice(&[0; 8][..self.prefix.bytes()]);
        mark
    }

    /// Writes the length of all that followed `mark` into the prefix reserved there, and ends the frame.
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
        let counted = payload + usize::from(self.trailer.is_some());
        let length = if self.inclusive { counted + prefix_bytes } else { counted };
        let limit = self.prefix.value_max();
        if payload == 0 || length > limit {
            out.truncate(mark);
            return Err(if payload == 0 {
                FrameError::Empty { length, prefix_bytes }
            } else {
                FrameError::TooLong { length, limit, looks_like: LooksLike::Unknown }
            });
        }
        self.prefix.write(length, &mut out[mark..body]);
        out.extend(self.trailer);
        Ok(())
    }
}

/// The name, in the spelling that [`Framing::parse`] reads.
impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (form, size) = match self.prefix {
            LengthPrefix::Binary(size) => ("binary", size),
            LengthPrefix::Ascii(size) => ("ascii", size),
            LengthPrefix::Bcd(size) => ("bcd", size),
            LengthPrefix::Hex(size) => ("hex", size),
        };
        write!(f, "{form}{size}{}", if self.inclusive { "-inclusive" } else { "" })?;
        if let Some(byte) = self.trailer {
            write!(f, "-trailer{byte:02x}")?;
        }
        f.write_str(if self.keep_alive { "-keepalive" } else { "" })
    }
}

#[cold]
fn looks_like(expected: LengthPrefix, prefix: &[u8]) -> LooksLike {
    const HTTP: [&[u8]; 4] = [b"GET ", b"POST", b"HEAD", b"PUT "];
    let binary = matches!(expected, LengthPrefix::Binary(_) | LengthPrefix::Bcd(_));
    if binary && prefix.iter().all(u8::is_ascii_digit) {
        LooksLike::AsciiDigits
    } else if prefix.starts_with(&[0x16, 0x03]) {
        LooksLike::Tls
    } else if HTTP.iter().any(|verb| verb.starts_with(prefix)) {
        LooksLike::Http
    } else if !binary && prefix.first().is_some_and(|&byte| byte < 0x20) {
        LooksLike::BinaryLength
    } else {
        LooksLike::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Framing> {
        let ends = ["", "-trailer03", "-keepalive", "-trailerff-keepalive"];
        Framing::names()
            .flat_map(move |name| ends.map(|end| Framing::parse(&format!("{name}{end}")).unwrap()))
            // One digit or character holds no length worth testing at every split.
            .filter(|framing| framing.prefix.value_max() >= 99)
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
            let start = framing.prefix.bytes();
            let next = start + 5 + usize::from(framing.trailer.is_some());
            let first = FrameSpan { start, end: start + 5, next };
            for cut in 0..first.next {
                assert_eq!(framing.next(&out[..cut], 100), Ok(None), "{framing} cut at {cut}");
            }
            assert_eq!(framing.next(&out, 100), Ok(Some(first)));
            let rest = &out[first.next..];
            let second = framing.next(rest, 100).unwrap().unwrap();
            assert_eq!(&rest[second.start..second.end], b"2");
            assert_eq!(second.next, rest.len());
        }
    }

    #[test]
    fn golden_prefixes() {
        let expected: [(&str, &[u8]); 13] = [
            ("binary2", &[1, 44]),
            ("binary2-inclusive", &[1, 46]),
            ("binary3", &[0, 1, 44]),
            ("binary4", &[0, 0, 1, 44]),
            ("binary4-inclusive", &[0, 0, 1, 48]),
            ("ascii3", b"300"),
            ("ascii4", b"0300"),
            ("ascii4-inclusive", b"0304"),
            ("ascii8", b"00000300"),
            ("bcd2", &[0x03, 0x00]),
            ("bcd3-inclusive", &[0x00, 0x03, 0x03]),
            ("hex4", b"012C"),
            ("binary2-trailer03", &[1, 45]),
        ];
        for (name, prefix) in expected {
            let framing = Framing::parse(name).unwrap();
            let mut out = Vec::new();
            let mark = framing.begin(&mut out);
            out.resize(mark + framing.prefix.bytes() + 300, 0);
            framing.finish(&mut out, mark).unwrap();
            assert_eq!(&out[..framing.prefix.bytes()], prefix, "{name}");
            assert_eq!(out.last().copied(), Some(framing.trailer.unwrap_or(0)), "{name}");
        }
    }

    #[test]
    fn a_name_has_one_spelling() {
        for framing in all() {
            assert_eq!(Framing::parse(&framing.to_string()), Some(framing));
        }
        for wrong in [
            "",
            "binary",
            "binary1",
            "binary5",
            "binary02",
            "ascii0",
            "ascii9",
            "bcd5",
            "hex9",
            "binary2-",
            "binary2-big",
            "binary2-keepalive-inclusive",
            "binary2-inclusive-inclusive",
            "binary2-trailer3",
            "binary2-trailer+3",
        ] {
            assert_eq!(Framing::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_sign_of_life_is_a_frame_without_payload_where_it_is_agreed() {
        for (name, bytes) in [
            ("binary2-keepalive", &[0, 0, 9][..]),
            ("binary2-inclusive-keepalive", &[0, 2, 9]),
            ("ascii4-keepalive", b"00009"),
            ("binary2-trailer03-keepalive", &[0, 0, 9]),
        ] {
            let framing = Framing::parse(name).unwrap();
            let at = framing.prefix.bytes();
            assert_eq!(
                framing.next(bytes, 9),
                Ok(Some(FrameSpan { start: at, end: at, next: at })),
                "{name}"
            );
        }
        let trailed = Framing::parse("binary2-trailer03-keepalive").unwrap();
        assert!(matches!(trailed.next(&[0, 1, 3], 9), Err(FrameError::Empty { .. })));
    }

    #[test]
    fn another_byte_where_each_message_ends_is_refused() {
        let framing = Framing::parse("binary2-trailer03").unwrap();
        assert_eq!(framing.next(&[0, 2, 7, 3], 9), Ok(Some(FrameSpan { start: 2, end: 3, next: 4 })));
        let error = framing.next(&[0, 2, 7, 4], 9).unwrap_err();
        assert_eq!(error, FrameError::Trailer { expected: 3, found: 4 });
        assert!(error.to_string().contains("ends with byte 0x04 where 0x03"), "{error}");
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
        assert!(text(&ascii4, b"12x4").contains("not 4 ASCII digits"));
        let bcd2 = Framing::parse("bcd2").unwrap();
        assert!(text(&bcd2, &[0x1A, 0]).contains("not 2 bytes of two digits"));
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
