//! Fields of commands and replies: read one after the other from a body that may end anywhere, or hold anything.

use crate::frame::{END_OF_MESSAGE, TRAILER_BYTES_MAX};

/// A body that is being read.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(&'a [u8]);

/// A field is missing, or is not of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl<'a> Fields<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Fields<'a> {
        Fields(body)
    }

    pub(crate) fn take(&mut self, bytes: usize) -> Result<&'a [u8], Malformed> {
        let (field, rest) = self.0.split_at_checked(bytes).ok_or(Malformed)?;
        self.0 = rest;
        Ok(field)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (field, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*field)
    }

    /// One character.
    pub(crate) fn letter(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[letter]| letter)
    }

    /// Exactly this character.
    pub(crate) fn expect(&mut self, letter: u8) -> Result<(), Malformed> {
        if self.letter()? == letter { Ok(()) } else { Err(Malformed) }
    }

    /// Whether the next character is this one; it is taken then.
    pub(crate) fn accept(&mut self, letter: u8) -> bool {
        let Some(rest) = self.0.strip_prefix(&[letter]) else { return false };
        self.0 = rest;
        true
    }

    /// Decimal digits as they stand.
    pub(crate) fn digits(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        self.take(count)
            .and_then(|field| if field.iter().all(u8::is_ascii_digit) { Ok(field) } else { Err(Malformed) })
    }

    /// A decimal number of at most 9 digits.
    pub(crate) fn number(&mut self, digits: usize) -> Result<usize, Malformed> {
        let field = self.digits(digits)?;
        Ok(field.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
    }

    /// A hexadecimal number of at most 8 digits.
    pub(crate) fn hex_number(&mut self, digits: usize) -> Result<usize, Malformed> {
        self.take(digits)?.iter().try_fold(0, |number, digit| Ok(number * 16 + usize::from(nibble(*digit)?)))
    }

    /// So many bytes, each as two hexadecimal digits.
    pub(crate) fn hex(&mut self, bytes: usize) -> Result<Vec<u8>, Malformed> {
        let pairs = self.take(bytes.checked_mul(2).ok_or(Malformed)?)?.chunks_exact(2);
        pairs.map(|pair| Ok(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect()
    }

    /// What stands before a delimiter, which is taken, too.
    pub(crate) fn until(&mut self, delimiter: u8, max: usize) -> Result<&'a [u8], Malformed> {
        let at = self.0.iter().take(max + 1).position(|byte| *byte == delimiter).ok_or(Malformed)?;
        let field = self.take(at)?;
        self.expect(delimiter)?;
        Ok(field)
    }

    /// A key block without its scheme letter, as long as its own header says: a version letter, then four digits.
    pub(crate) fn key_block(&mut self) -> Result<&'a str, Malformed> {
        let length = Fields(self.0.get(1..).ok_or(Malformed)?).number(4)?;
        let text = std::str::from_utf8(self.take(length.max(16))?).map_err(|_| Malformed)?;
        if text.is_ascii() { Ok(text) } else { Err(Malformed) }
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Nothing more, or an end delimiter and a trailer: gives them back with their delimiter.
    pub(crate) fn end(&self) -> Result<&'a [u8], Malformed> {
        match self.0 {
            [] => Ok(self.0),
            [END_OF_MESSAGE, trailer @ ..] if trailer.len() <= TRAILER_BYTES_MAX => Ok(self.0),
            _ => Err(Malformed),
        }
    }
}

pub(crate) fn nibble(digit: u8) -> Result<u8, Malformed> {
    let value = char::from(digit).to_digit(16).ok_or(Malformed)?;
    u8::try_from(value).map_err(|_| Malformed)
}

/// Upper-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_their_order_and_no_further() {
        let mut fields = Fields::new(b"A12FFx;4111;\x19trailer");
        assert_eq!((fields.letter(), fields.number(2), fields.hex(1)), (Ok(b'A'), Ok(12), Ok(vec![0xFF])));
        assert_eq!((fields.accept(b'y'), fields.accept(b'x')), (false, true));
        assert_eq!((fields.expect(b';'), fields.until(b';', 19)), (Ok(()), Ok(&b"4111"[..])));
        assert_eq!(fields.end(), Ok(&b"\x19trailer"[..]));
        assert_eq!(fields.take(9), Err(Malformed));
        assert_eq!(Fields::new(b"123456;").until(b';', 5), Err(Malformed));
        assert_eq!(Fields::new(b"xx").end(), Err(Malformed));
        assert_eq!(Fields::new(&[END_OF_MESSAGE; 34]).end(), Err(Malformed), "a trailer is at most 32");
        for wrong in [&b"1x"[..], b"-1", b"1", b""] {
            assert_eq!(Fields::new(wrong).number(2), Err(Malformed));
        }
        assert_eq!(Fields::new(b"G0").hex(1), Err(Malformed));
        assert_eq!(Fields::new(b"0").hex(usize::MAX), Err(Malformed));
    }

    #[test]
    fn a_key_block_is_as_long_as_it_says_and_not_longer_than_what_is_there() {
        assert_eq!(Fields::new(b"D0016P0TE00E0000more").key_block(), Ok("D0016P0TE00E0000"));
        for wrong in
            [&b""[..], b"D", b"D0017P0TE00E0000", b"D00x6P0TE00E0000", b"D0000", b"D0016P0TE00E000\xFF"]
        {
            assert_eq!(Fields::new(wrong).key_block(), Err(Malformed));
        }
    }
}
