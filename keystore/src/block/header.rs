//! The header of a key block: sixteen fixed characters and optional blocks, parsed and formatted.
//!
//! ```text
//! offset 0 version | 1 length (4) | 5 usage (2) | 7 algorithm | 8 mode | 9 key version (2)
//!        | 11 exportability | 12 number of optional blocks (2) | 14 reserved (2) | 16 optional blocks
//! optional block: identifier (2) | length (2 hex, itself included; 00 = extended) | data
//! ```
//! Parsing never trusts a length: each is checked against the text before it is used.

use super::{Version, optional};
use crate::error::BlockError;
use crate::secret::hex_digit;

/// The fixed part.
const FIXED_CHARS: usize = 16;

/// A parsed header, or one to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// Two characters, such as `P0`.
    pub(crate) usage: [u8; 2],
    pub(crate) algorithm: u8,
    pub(crate) mode: u8,
    pub(crate) key_version: [u8; 2],
    pub(crate) export: u8,
    /// In the order of the block; the padding block is left out.
    pub(crate) optional: Vec<Optional>,
    /// Characters up to the encrypted payload; set by parsing.
    pub(crate) chars: usize,
}

/// One optional block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Optional {
    pub(crate) id: [u8; 2],
    pub(crate) data: String,
}

/// The padding block, which fills the header up to a multiple of the cipher's block.
const PADDING: [u8; 2] = *b"PB";

/// No real block has more: X9.143 names about twenty.
const OPTIONAL_BLOCKS_MAX: usize = 32;

impl Header {
    /// Parses the header and checks the frame around it: version, total length, room for payload and MAC.
    /// `version` is what the protection key can open; `None` takes any.
    pub(crate) fn parse(block: &str, version: Option<Version>) -> Result<Header, BlockError> {
        if let Some(at) = block.bytes().position(|byte| !(0x20..0x7F).contains(&byte)) {
            return Err(malformed(block, "text", at, "printable ASCII", 1));
        }
        let text = block.as_bytes();
        let Some((fixed, _)) = text.split_first_chunk::<FIXED_CHARS>() else {
            return Err(malformed(block, "header", 0, "at least 16 characters", FIXED_CHARS));
        };
        let version = parse_version(block, fixed[0], version)?;
        parse_length(block, [fixed[1], fixed[2], fixed[3], fixed[4]])?;
        for (name, at, chars) in
            [("key usage", 5, 2), ("algorithm", 7, 1), ("mode of use", 8, 1), ("key version number", 9, 2)]
        {
            if !fixed[at..at + chars].iter().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()) {
                // Key versions may hold lower-case and component marks; we neither make nor need them.
                return Err(malformed(block, name, at, "upper-case letters or digits", chars));
            }
        }
        if !b"ENS".contains(&fixed[11]) {
            return Err(malformed(block, "exportability", 11, "E, N or S", 1));
        }
        if fixed[14..16] != *b"00" {
            return Err(malformed(block, "reserved", 14, "00", 2));
        }
        let (optional, chars) = parse_optional(block, [fixed[12], fixed[13]])?;
        if !chars.is_multiple_of(version.block_bytes()) {
            let expected = format!("a header of a multiple of {} characters", version.block_bytes());
            return Err(malformed(block, "optional blocks", chars, expected, 4));
        }
        let payload = text.len().saturating_sub(chars + version.mac_chars());
        let digits = version.block_bytes() * 2;
        if payload == 0 || !payload.is_multiple_of(digits) {
            let expected = format!("a payload of a multiple of {digits} hex digits and a MAC");
            return Err(malformed(block, "encrypted payload", chars, expected, 8));
        }
        Ok(Header {
            usage: [fixed[5], fixed[6]],
            algorithm: fixed[7],
            mode: fixed[8],
            key_version: [fixed[9], fixed[10]],
            export: fixed[11],
            optional,
            chars,
        })
    }

    /// Writes the header for a payload of `payload_bytes`, padded by a `PB` block where needed.
    pub(super) fn format(&self, version: Version, payload_bytes: usize) -> String {
        let mut blocks = String::new();
        for Optional { id, data } in &self.optional {
            push_optional(&mut blocks, *id, data);
        }
        let mut count = self.optional.len();
        let align = version.block_bytes();
        if !(FIXED_CHARS + blocks.len()).is_multiple_of(align) {
            // The padding block itself takes at least its four characters.
            let end = (FIXED_CHARS + blocks.len() + 4).next_multiple_of(align);
            let fill = end - FIXED_CHARS - blocks.len() - 4;
            push_optional(&mut blocks, PADDING, &"0".repeat(fill));
            count += 1;
        }
        let total = FIXED_CHARS + blocks.len() + payload_bytes * 2 + version.mac_chars();
        assert!(total <= 9999 && count <= 99, "our own blocks are short");
        format!(
            "{}{total:04}{}{}{}{}{}{count:02}00{blocks}",
            version.letter(),
            self.usage.as_ascii_str(),
            char::from(self.algorithm),
            char::from(self.mode),
            self.key_version.as_ascii_str(),
            char::from(self.export),
        )
    }

    /// The data of an optional block.
    pub(crate) fn optional(&self, id: [u8; 2]) -> Option<&str> {
        self.optional.iter().find(|block| block.id == id).map(|block| block.data.as_str())
    }
}

/// Two header characters as text; they are ASCII by construction, and shown as `?` if ever not.
trait AsAsciiStr {
    fn as_ascii_str(&self) -> &str;
}

impl AsAsciiStr for [u8; 2] {
    fn as_ascii_str(&self) -> &str {
        std::str::from_utf8(self).unwrap_or("??")
    }
}

fn parse_version(block: &str, letter: u8, wanted: Option<Version>) -> Result<Version, BlockError> {
    let found = Version::from_letter(char::from(letter));
    match (found, wanted) {
        (Some(found), None) => Ok(found),
        (Some(found), Some(wanted)) if found == wanted => Ok(found),
        (_, Some(wanted)) => {
            let (letter, cipher) = (wanted.letter(), wanted.cipher());
            let expected = format!("{letter}, as the protection key is {cipher}");
            Err(malformed(block, "version", 0, expected, 1))
        }
        (None, None) => Err(malformed(block, "version", 0, "A, B, C, D or 4 (SM4)", 1)),
    }
}

fn parse_length(block: &str, digits: [u8; 4]) -> Result<(), BlockError> {
    let length = digits
        .iter()
        .try_fold(0, |length, digit| digit.is_ascii_digit().then(|| length * 10 + usize::from(digit - b'0')));
    match length {
        None => Err(malformed(block, "block length", 1, "four digits", 4)),
        Some(length) if length != block.len() => {
            Err(malformed(block, "block length", 1, format!("{:04}, the length received", block.len()), 4))
        }
        Some(_) => Ok(()),
    }
}

/// Walks the optional blocks; returns them and where they end.
fn parse_optional(block: &str, count: [u8; 2]) -> Result<(Vec<Optional>, usize), BlockError> {
    let [tens, ones] = count;
    if !tens.is_ascii_digit() || !ones.is_ascii_digit() {
        return Err(malformed(block, "number of optional blocks", 12, "two digits", 2));
    }
    let count = usize::from(tens - b'0') * 10 + usize::from(ones - b'0');
    if count > OPTIONAL_BLOCKS_MAX {
        let expected = format!("at most {OPTIONAL_BLOCKS_MAX}");
        return Err(malformed(block, "number of optional blocks", 12, expected, 2));
    }
    let mut optional: Vec<Optional> = Vec::with_capacity(count);
    let mut at = FIXED_CHARS;
    for n in 1..=count {
        let (id, data, end) = optional_at(block, at)?;
        if id == PADDING {
            // X9.143: the padding block is the last one.
            if n != count {
                return Err(malformed(block, "optional block PB", at, "the padding block last", 4));
            }
        } else if optional.iter().any(|earlier| earlier.id == id) {
            return Err(malformed(block, "optional block", at, "each identifier once", 2));
        } else {
            optional::check(block, id, data, end - data.len())?;
            optional.push(Optional { id, data: data.to_owned() });
        }
        at = end;
    }
    Ok((optional, at))
}

/// The optional block at `at`: identifier, data, end.
fn optional_at(block: &str, at: usize) -> Result<([u8; 2], &str, usize), BlockError> {
    let text = block.as_bytes();
    let id = match text.get(at..at + 2) {
        Some([a, b]) if a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric() => [*a, *b],
        _ => return Err(malformed(block, "optional block identifier", at, "two letters or digits", 2)),
    };
    let number = |at: usize, chars: usize| {
        text.get(at..at + chars)
            .and_then(|digits| {
                digits.iter().try_fold(0, |n, digit| Some(n * 16 + usize::from(hex_digit(*digit)?)))
            })
            .ok_or_else(|| malformed(block, "optional block length", at, "upper-case hex digits", chars))
    };
    // Length 00 announces the extended form: digits of the length, then the length.
    let (length, head) = match number(at + 2, 2)? {
        0 => match number(at + 4, 2)? {
            digits @ 1..=4 => (number(at + 6, digits)?, 6 + digits),
            _ => {
                return Err(malformed(
                    block,
                    "optional block length",
                    at + 4,
                    "01 to 04 digits of length",
                    2,
                ));
            }
        },
        length => (length, 4),
    };
    if length < head {
        let expected = format!("at least {head:02X}, the length of its own head");
        return Err(malformed(block, "optional block length", at + 2, expected, 2));
    }
    match block.get(at + head..at + length) {
        Some(data) => Ok((id, data, at + length)),
        None => {
            let expected = format!("{length} characters from offset {at}");
            Err(malformed(block, "optional block length", at + 2, expected, 2))
        }
    }
}

fn push_optional(blocks: &mut String, id: [u8; 2], data: &str) {
    let length = data.len() + 4;
    assert!(length <= 0xFF, "our own optional blocks are short");
    blocks.push_str(&format!("{}{length:02X}{data}", id.as_ascii_str()));
}

/// Builds the error; header text is no secret and is shown, at most 16 characters of it.
pub(super) fn malformed(
    block: &str,
    field: &'static str,
    offset: usize,
    expected: impl Into<String>,
    chars: usize,
) -> BlockError {
    let end = offset.saturating_add(chars.min(FIXED_CHARS)).min(block.len());
    let found = String::from_utf8_lossy(block.as_bytes().get(offset..end).unwrap_or_default()).into_owned();
    BlockError::Malformed { field, offset, expected: expected.into(), found }
}
