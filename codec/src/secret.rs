//! Values that must not be shown: card number, track 2, PIN block. And the one way to print a field.
//!
//! They live on the stack, are wiped on drop, and have no Debug with contents. A card number prints masked.

use crate::dialect::Dialect;
use crate::message::Message;
use crate::spec::{Content, Sensitivity};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A card number of 8 to 19 digits (ISO/IEC 7812-1). Debug and Display print it masked.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Pan {
    digits: [u8; Pan::DIGITS_MAX],
    len: u8,
}

impl Pan {
    /// The most digits a card number has.
    pub const DIGITS_MAX: usize = 19;
    const DIGITS_MIN: usize = 8;

    /// The card number of these ASCII digits; `None` if there are too few, too many, or others than digits.
    pub fn new(digits: &[u8]) -> Option<Pan> {
        let len = digits.len();
        if !(Pan::DIGITS_MIN..=Pan::DIGITS_MAX).contains(&len) || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let mut pan = Pan { digits: [0; Pan::DIGITS_MAX], len: len as u8 };
        pan.digits[..len].copy_from_slice(digits);
        Some(pan)
    }

    /// The ASCII digits.
    pub fn digits(&self) -> &[u8] {
        &self.digits[..usize::from(self.len)]
    }

    /// The first `n` digits as a number, all of them if there are fewer.
    pub fn iin(&self, n: usize) -> u64 {
        self.digits().iter().take(n).fold(0, |value, digit| value * 10 + u64::from(digit - b'0'))
    }

    /// True if the last digit agrees with the others (ISO/IEC 7812-1, annex B).
    pub fn luhn_ok(&self) -> bool {
        self.digits().split_last().is_some_and(|(last, rest)| *last == Pan::check_digit(rest))
    }

    /// The check digit to put after these ASCII digits.
    pub fn check_digit(digits: &[u8]) -> u8 {
        let sum: u32 = digits
            .iter()
            .rev()
            .enumerate()
            .map(|(i, digit)| {
                let weighed = u32::from(digit & 0xF) << u32::from(i % 2 == 0);
                if weighed > 9 { weighed - 9 } else { weighed }
            })
            .sum();
        b'0' + ((10 - sum % 10) % 10) as u8
    }
}

impl fmt::Display for Pan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        // First six and last four may be shown, but only where that leaves digits hidden.
        let (head, tail) = if digits.len() >= 13 { (6, 4) } else { (0, 4) };
        for (i, &digit) in digits.iter().enumerate() {
            let shown = i < head || i >= digits.len() - tail;
            fmt::Write::write_char(f, if shown { char::from(digit) } else { '*' })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Pan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Track 2 in its canonical form: digits with `=` before the expiry date (ISO/IEC 7813).
#[derive(PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Track2 {
    text: [u8; Track2::LEN_MAX],
    len: u8,
}

impl Track2 {
    const LEN_MAX: usize = 37;

    /// The track of this canonical text; `None` if it is too long or holds anything but digits and `=`.
    pub fn new(text: &[u8]) -> Option<Track2> {
        Track2::fill(text.len(), |place| place.copy_from_slice(text))
    }

    /// The digits and the separator.
    pub fn text(&self) -> &[u8] {
        &self.text[..usize::from(self.len)]
    }

    /// The card number before the separator.
    pub fn pan(&self) -> Option<Pan> {
        Pan::new(self.halves()?.0)
    }

    /// The expiry date YYMM behind the separator.
    pub fn expiry(&self) -> Option<[u8; 4]> {
        self.halves()?.1.first_chunk().copied()
    }

    fn halves(&self) -> Option<(&[u8], &[u8])> {
        let at = self.text().iter().position(|c| *c == b'=')?;
        Some((&self.text()[..at], &self.text()[at + 1..]))
    }

    pub(crate) fn fill(len: usize, fill: impl FnOnce(&mut [u8])) -> Option<Track2> {
        let mut track = Track2 { text: [0; Track2::LEN_MAX], len: 0 };
        fill(track.text.get_mut(..len)?);
        track.len = len as u8;
        track.text().iter().all(|c| c.is_ascii_digit() || *c == b'=').then_some(track)
    }

    /// The track of tag 57: two nibbles per byte, 0xD as separator, filled up with 0xF.
    pub(crate) fn from_nibbles(bytes: impl Iterator<Item = u8>) -> Option<Track2> {
        let mut track = Track2 { text: [0; Track2::LEN_MAX], len: 0 };
        let nibbles = bytes.flat_map(|byte| [byte >> 4, byte & 0xF]).take_while(|nibble| *nibble != 0xF);
        for nibble in nibbles {
            let c = match nibble {
                0..=9 => b'0' + nibble,
                0xD => b'=',
                _ => return None,
            };
            *track.text.get_mut(usize::from(track.len))? = c;
            track.len += 1;
        }
        Some(track)
    }
}

/// Says that there is one, nothing more.
impl fmt::Debug for Track2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Track2(..)")
    }
}

/// An encrypted PIN block of eight bytes (ISO 9564-1).
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PinBlock([u8; 8]);

impl PinBlock {
    /// The block of these bytes.
    pub const fn new(bytes: [u8; 8]) -> PinBlock {
        PinBlock(bytes)
    }

    /// The eight bytes.
    pub const fn bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

/// Says that there is one, nothing more.
impl fmt::Debug for PinBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinBlock(..)")
    }
}

/// Field `n` of a message for a dump: card numbers masked, other sensitive values as `<hidden n bytes>`, binary
/// as hex, unprintable characters as dots; `-` if absent.
pub fn masked<'a>(dialect: &Dialect, message: &Message<'a>, n: u8) -> Masked<'a> {
    Masked { sensitivity: dialect.sensitivity(n), message: *message, n }
}

/// What [`masked`] prints.
pub struct Masked<'a> {
    sensitivity: Sensitivity,
    message: Message<'a>,
    n: u8,
}

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(wire) = self.message.raw(self.n) else {
            return f.write_str("-");
        };
        let hidden = |f: &mut fmt::Formatter<'_>| write!(f, "<hidden {} bytes>", wire.len());
        match self.sensitivity {
            Sensitivity::None => self.plain(f),
            Sensitivity::Pan => {
                let mut digits = [0; Pan::DIGITS_MAX];
                let pan = self.message.text(self.n, &mut digits).and_then(|len| Pan::new(&digits[..len]));
                digits.zeroize();
                match pan {
                    Some(pan) => write!(f, "{pan}"),
                    None => hidden(f),
                }
            }
            _ => hidden(f),
        }
    }
}

impl Masked<'_> {
    fn plain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = Vec::new();
        self.message.copy(self.n, &mut value);
        let spec = self.message.dialect().spec(self.n);
        if spec.is_some_and(|spec| spec.content == Content::Binary) {
            return value.iter().try_for_each(|byte| write!(f, "{byte:02X}"));
        }
        let printable = |byte: u8| if (0x20..0x7F).contains(&byte) { char::from(byte) } else { '.' };
        value.iter().try_for_each(|&byte| fmt::Write::write_char(f, printable(byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_number_prints_masked() {
        let pan = |digits: &str| Pan::new(digits.as_bytes()).unwrap();
        assert_eq!(pan("4111111111111111").to_string(), "411111******1111");
        assert_eq!(format!("{:?}", pan("6222000000000000018")), "622200*********0018");
        assert_eq!(pan("62100001").to_string(), "****0001");
        assert_eq!(pan("621000000001").to_string(), "********0001");
        assert!(Pan::new(b"6210000").is_none() && Pan::new(b"62100000000000000000").is_none());
        assert!(Pan::new(b"6210 00000000").is_none());
    }

    #[test]
    fn luhn_and_prefix() {
        let pan = Pan::new(b"4111111111111111").unwrap();
        assert!(pan.luhn_ok());
        assert!(!Pan::new(b"4111111111111112").unwrap().luhn_ok());
        assert_eq!(Pan::check_digit(b"411111111111111"), b'1');
        assert_eq!((pan.iin(6), pan.iin(0), pan.iin(99)), (411_111, 0, 4_111_111_111_111_111));
    }

    #[test]
    fn track_two_gives_number_and_expiry() {
        let track = Track2::new(b"6222000000000018=301210100000").unwrap();
        assert_eq!(track.pan(), Pan::new(b"6222000000000018"));
        assert_eq!(track.expiry(), Some(*b"3012"));
        let nibbles = [0x62, 0x22, 0x00, 0x00, 0x01, 0xD3, 0x01, 0x2F, 0xFF];
        let track = Track2::from_nibbles(nibbles.into_iter()).unwrap();
        assert_eq!(track.text(), b"6222000001=3012");
        assert!(Track2::from_nibbles([0xA0].into_iter()).is_none());
        assert!(Track2::from_nibbles([0x11; 19].into_iter()).is_none());
        assert!(Track2::new(b"6222000000000018").unwrap().pan().is_none());
        assert!(Track2::new(b"6222000000000018=30").unwrap().expiry().is_none());
        assert!(Track2::new(b"62?").is_none() && Track2::new(&[b'1'; 38]).is_none());
    }

    #[test]
    fn debug_shows_no_contents() {
        assert_eq!(format!("{:?}", Track2::new(b"6222000000000018=3012")), "Some(Track2(..))");
        assert_eq!(format!("{:?}", PinBlock::new(*b"12345678")), "PinBlock(..)");
    }
}
