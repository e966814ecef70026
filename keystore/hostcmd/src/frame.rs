//! Frames of the host command protocol.
//!
//! ```text
//! offset  0        2          2+m      4+m
//!         | length | header   | code   | body                                  |
//!         | 2, big | m, as it | 2      | a reply: error code (2), fields       |
//!         | endian | came     |        | perhaps X'19' and a trailer of 0 to 32|
//! ```
//! The length counts what follows it. Parsing is total: every byte string is a frame, the beginning of one, or an error.

use bytes::{Buf as _, BytesMut};

/// Before the optional trailer.
pub const END_OF_MESSAGE: u8 = 0x19;
/// No trailer is longer.
pub const TRAILER_BYTES_MAX: usize = 32;
/// A payShield has buffers of 32 KiB.
pub const FRAME_BYTES_MAX: usize = 32 * 1024;
/// The length field.
const LENGTH_BYTES: usize = 2;
const CODE_BYTES: usize = 2;

/// A command or a reply, without its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Given back as it came.
    pub header: &'a [u8],
    /// Such as `NC`, or `ND` in a reply.
    pub code: [u8; 2],
    /// Its fields, with the trailer behind them: only who knows the fields knows where it begins.
    pub body: &'a [u8],
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length leaves no room for a header and a code.
    #[error("a frame of {bytes} bytes has no room for a header of {header_bytes} bytes and a command code")]
    Short {
        /// Its length.
        bytes: usize,
        /// That of the header agreed on.
        header_bytes: usize,
    },
    /// The length is beyond the limit.
    #[error("a frame of {bytes} bytes is longer than the limit of {max}")]
    Long {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
}

/// Takes the next frame out of what was received, without its length; nothing when it is not whole yet.
///
/// # Errors
/// `Long` for one beyond `max`; the bytes stay.
pub fn next(received: &mut BytesMut, max: usize) -> Result<Option<BytesMut>, FrameError> {
    let Some(length) = received.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let bytes = usize::from(u16::from_be_bytes(*length));
    if bytes > max {
        return Err(FrameError::Long { bytes, max });
    }
    if received.len() < LENGTH_BYTES + bytes {
        return Ok(None);
    }
    received.advance(LENGTH_BYTES);
    Ok(Some(received.split_to(bytes)))
}

/// Appends a frame.
///
/// # Errors
/// `Long` when its length does not fit two bytes; `out` is then as it was.
pub fn write(out: &mut Vec<u8>, header: &[u8], code: [u8; 2], parts: &[&[u8]]) -> Result<(), FrameError> {
    let bytes = header.len() + CODE_BYTES + parts.iter().map(|part| part.len()).sum::<usize>();
    let max = usize::from(u16::MAX);
    let length = u16::try_from(bytes).map_err(|_| FrameError::Long { bytes, max })?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(header);
    out.extend_from_slice(&code);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    Ok(())
}

impl Message<'_> {
    /// Parses a frame without its length.
    ///
    /// # Errors
    /// `Short`.
    pub fn parse(frame: &[u8], header_bytes: usize) -> Result<Message<'_>, FrameError> {
        let short = FrameError::Short { bytes: frame.len(), header_bytes };
        let (header, rest) = frame.split_at_checked(header_bytes).ok_or(short)?;
        let (code, body) = rest.split_first_chunk::<CODE_BYTES>().ok_or(short)?;
        Ok(Message { header, code: *code, body })
    }
}

/// The code that answers a command: its second letter plus one.
#[must_use]
pub fn reply_code([first, second]: [u8; 2]) -> [u8; 2] {
    [first, second.wrapping_add(1)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    #[test]
    fn a_diagnostics_command_has_golden_bytes() {
        let mut out = Vec::new();
        write(&mut out, b"HEAD", *b"NC", &[]).unwrap();
        assert_eq!(out, b"\0\x06HEADNC");
        let mut received = BytesMut::from(&b"\0\x06HEADNC\0\x08HEADB2"[..]);
        let frame = next(&mut received, FRAME_BYTES_MAX).unwrap().unwrap();
        assert_eq!(Message::parse(&frame, 4), Ok(Message { header: b"HEAD", code: *b"NC", body: b"" }));
        assert_eq!(next(&mut received, FRAME_BYTES_MAX), Ok(None), "two bytes are missing");
        assert_eq!(&received[..], b"\0\x08HEADB2");
        assert_eq!((reply_code(*b"NC"), reply_code(*b"A8"), reply_code(*b"G0")), (*b"ND", *b"A9", *b"G1"));
    }

    #[test]
    fn lengths_beyond_the_limit_and_below_the_least_are_refused() {
        let mut received = BytesMut::from(&[0x80, 1, 0][..]);
        assert_eq!(next(&mut received, 0x8000), Err(FrameError::Long { bytes: 0x8001, max: 0x8000 }));
        assert_eq!(received.len(), 3);
        for bytes in 0..6 {
            let refused = Message::parse(&b"HEADNC"[..bytes], 4);
            assert_eq!(refused, Err(FrameError::Short { bytes, header_bytes: 4 }));
        }
        assert!(write(&mut Vec::new(), b"HEAD", *b"M6", &[&[0; 65_529]]).is_ok());
        let mut out = Vec::new();
        assert!(write(&mut out, b"HEAD", *b"M6", &[&[0; 65_530]]).is_err());
        assert!(out.is_empty());
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_however_it_is_cut(
            header in proptest::collection::vec(any::<u8>(), 0..12),
            code in any::<[u8; 2]>(),
            body in proptest::collection::vec(any::<u8>(), 0..300),
            cut in any::<usize>(),
        ) {
            let mut out = Vec::new();
            write(&mut out, &header, code, &[&body]).unwrap();
            let cut = cut % out.len();
            let mut received = BytesMut::from(&out[..cut]);
            assert_eq!(next(&mut received, FRAME_BYTES_MAX), Ok(None));
            received.extend_from_slice(&out[cut..]);
            let frame = next(&mut received, FRAME_BYTES_MAX).unwrap().unwrap();
            let message = Message { header: &header, code, body: &body };
            assert_eq!(Message::parse(&frame, header.len()), Ok(message));
            assert!(received.is_empty());
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..400), header in 0_usize..300) {
            let mut received = BytesMut::from(&bytes[..]);
            while let Ok(Some(frame)) = next(&mut received, 200) {
                let _ = Message::parse(&frame, header);
            }
        }
    }
}
