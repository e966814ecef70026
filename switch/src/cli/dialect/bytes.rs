//! Where bytes come from: hex on the command line, a file of bytes or of hex, a capture, or stdin.

use super::{CliError, pcap, unread};
use std::io::Read as _;
use std::path::Path;
use yika_codec::unhex;

/// What was given.
pub(super) enum Given {
    /// One message, or a stream of frames; where they came as they are, what they may have been meant as.
    Bytes(Vec<u8>, Option<&'static str>),
    /// What each side of each connection said.
    Capture(pcap::Capture),
}

/// More than any capture that is worth reading by eye.
const BYTES_MAX: u64 = 256 << 20;

/// Reads the input: hex if it is hex, else a file; nothing or `-` is stdin.
pub(super) fn read(input: Option<&str>) -> Result<Given, CliError> {
    let Some(input) = input.filter(|input| *input != "-") else {
        let mut bytes = Vec::new();
        let mut stdin = std::io::stdin().lock().take(BYTES_MAX);
        stdin.read_to_end(&mut bytes).map_err(|error| unread(Path::new("-"), &error))?;
        return given(bytes, "stdin");
    };
    if let Some(bytes) = hex(input.as_bytes()) {
        return Ok(Given::Bytes(bytes, None));
    }
    let fault = |error: std::io::Error| {
        let what = "what was given is neither hex (pairs of 0-9 and A-F) nor a file that can be read";
        CliError::Dialect(format!("{what}: {error}"))
    };
    let file = std::fs::File::open(input).map_err(fault)?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes).map_err(fault)?;
    given(bytes, input)
}

fn given(bytes: Vec<u8>, from: &str) -> Result<Given, CliError> {
    if bytes.trim_ascii().is_empty() {
        return Err(CliError::Dialect(format!("{from} is empty: there is nothing to read")));
    }
    if pcap::is_capture(&bytes) {
        let capture = pcap::read(&bytes).map_err(|why| CliError::Dialect(format!("{from}: {why}")))?;
        return Ok(Given::Capture(capture));
    }
    Ok(match hex(&bytes) {
        Some(bytes) => Given::Bytes(bytes, None),
        None => {
            let meant = meant_as(&bytes);
            Given::Bytes(bytes, meant)
        }
    })
}

/// What bytes that are no hex may have been meant as, should they be no message.
fn meant_as(bytes: &[u8]) -> Option<&'static str> {
    let text = bytes.trim_ascii();
    let is_digit = |c: &u8| c.is_ascii_hexdigit() || c.is_ascii_whitespace() || *c == b':';
    match text.first()? {
        b'{' | b'[' => Some("this is JSON: `yika dialect encode` makes a message of it"),
        // Else they were hex.
        _ if text.iter().all(is_digit) => Some("these are hex digits, but an odd number of them"),
        _ if text.is_ascii() && text.iter().filter(|c| is_digit(c)).count() * 10 >= text.len() * 9 => Some(
            "this is nearly hex: only pairs of 0-9 and A-F may stand in it, blanks and colons between them",
        ),
        _ => None,
    }
}

/// The bytes that this text is the hex of; blanks, line ends and colons do not count. None if it is something else.
fn hex(text: &[u8]) -> Option<Vec<u8>> {
    // Some editors put a byte order mark in front.
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let digits: Vec<u8> = text.iter().copied().filter(|c| !c.is_ascii_whitespace() && *c != b':').collect();
    if digits.is_empty() {
        return None;
    }
    unhex(std::str::from_utf8(&digits).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_guessed() {
        for (bytes, word) in [
            (&b" {\"mti\": \"0200\"}"[..], "JSON"),
            (b"02 00 3", "odd"),
            (b"0200 3020 05 80 20 C0 00 0q", "nearly"),
        ] {
            assert!(meant_as(bytes).unwrap().contains(word), "{word}");
        }
        for other in [&b"hello world"[..], b"\x02\x00\x30", b" "] {
            assert_eq!(meant_as(other), None);
        }
    }

    #[test]
    fn hex_is_told_from_a_file_name() {
        assert_eq!(hex(b"02 00:30\n20"), Some(vec![0x02, 0x00, 0x30, 0x20]));
        assert_eq!(hex(b"\xEF\xBB\xBF0200\r\n"), Some(vec![2, 0]));
        for other in [&b"message.bin"[..], b"020", b"", b" \n", b"\x02\x00"] {
            assert_eq!(hex(other), None);
        }
    }
}
