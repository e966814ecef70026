//! The message type identifier: four decimal digits that say version, class, function and origin
//! (ISO 8583:1987, message type identifier). Kept as BCD in a `u16`, so that a comparison is one instruction.
//! A value of this type always holds four decimal digits.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// A message type such as 0200.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mti(u16);

impl Mti {
    /// The type whose digits are the four nibbles of `bcd`: `Mti::new(0x0200)` is 0200.
    ///
    /// # Panics
    /// If a nibble is no decimal digit; in a `const` that is a compile error. For numbers from outside use
    /// [`Mti::from_bcd`].
    pub const fn new(bcd: u16) -> Mti {
        match Mti::from_bcd(bcd) {
            Some(mti) => mti,
            None => panic!("a message type has four decimal digits"),
        }
    }

    /// The type with these BCD digits, or `None` if a nibble is above 9.
    pub const fn from_bcd(bcd: u16) -> Option<Mti> {
        // A nibble is above 9 when bit 3 is set together with bit 2 or bit 1.
        let above_nine = (bcd >> 3) & ((bcd >> 2) | (bcd >> 1)) & 0x1111;
        if above_nine == 0 { Some(Mti(bcd)) } else { None }
    }

    /// The type written as four ASCII digits, or `None` if one of them is no digit.
    pub fn from_digits(digits: [u8; 4]) -> Option<Mti> {
        let mut bcd = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            bcd = bcd << 4 | u16::from(digit - b'0');
        }
        Some(Mti(bcd))
    }

    /// The four digits as nibbles.
    pub const fn bcd(self) -> u16 {
        self.0
    }

    /// The four digits in ASCII.
    pub fn digits(self) -> [u8; 4] {
        [12, 8, 4, 0].map(|shift| b'0' + (self.0 >> shift & 0xF) as u8)
    }

    /// Version and class, the first two digits, as BCD: 0x02 for 02xx.
    pub const fn class(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// True for a request, an advice or a notification: something that asks for an answer or tells.
    pub const fn is_request(self) -> bool {
        matches!(self.function(), 0 | 2 | 4)
    }

    /// True for the answer to one of these.
    pub const fn is_response(self) -> bool {
        matches!(self.function(), 1 | 3 | 5)
    }

    /// True for a repeat (0201, 0421, ...): the last digit is odd.
    pub const fn is_repeat(self) -> bool {
        self.0 & 1 == 1
    }

    /// The same type as first sent.
    pub const fn without_repeat(self) -> Mti {
        Mti(self.0 & !1)
    }

    /// The same type marked as a repeat. An origin digit of 9 has no repeat form of its own and stays.
    pub const fn with_repeat(self) -> Mti {
        Mti(self.0 | 1)
    }

    /// The type that answers this one: 0200 and 0201 give 0210, 0420 gives 0430. An answer gives itself.
    pub const fn response(self) -> Mti {
        let first = self.without_repeat();
        if first.is_request() { Mti(first.0 + 0x10) } else { first }
    }

    const fn function(self) -> u8 {
        (self.0 >> 4 & 0xF) as u8
    }
}

impl fmt::Display for Mti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}", self.0)
    }
}

impl fmt::Debug for Mti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Mti {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.0)
    }
}

impl<'de> Deserialize<'de> for Mti {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Mti, D::Error> {
        let bcd = u16::deserialize(deserializer)?;
        Mti::from_bcd(bcd).ok_or_else(|| de::Error::custom("message type with a nibble above 9"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_repeats_and_classes() {
        for (asked, answered) in
            [(0x0200, 0x0210), (0x0201, 0x0210), (0x0120, 0x0130), (0x0121, 0x0130), (0x0420, 0x0430)]
        {
            assert_eq!(Mti::new(asked).response(), Mti::new(answered));
            assert!(Mti::new(asked).is_request() && !Mti::new(asked).is_response());
            assert!(Mti::new(answered).is_response() && !Mti::new(answered).is_request());
        }
        assert_eq!(Mti::new(0x0210).response(), Mti::new(0x0210));
        assert_eq!(Mti::new(0x0401).without_repeat(), Mti::new(0x0400));
        assert_eq!(Mti::new(0x0420).with_repeat(), Mti::new(0x0421));
        assert!(Mti::new(0x0421).is_repeat() && !Mti::new(0x0420).is_repeat());
        assert_eq!(Mti::new(0x0820).class(), 0x08);
    }

    #[test]
    fn digits_there_and_back() {
        assert_eq!(Mti::from_digits(*b"0430"), Some(Mti::new(0x0430)));
        assert_eq!(Mti::new(0x0430).digits(), *b"0430");
        assert_eq!(Mti::new(0x0043).to_string(), "0043");
        assert_eq!(Mti::from_digits(*b"02A0"), None);
        assert_eq!(Mti::from_bcd(0x0A00), None);
        assert_eq!(Mti::from_bcd(0x9999).map(Mti::bcd), Some(0x9999));
    }
}
