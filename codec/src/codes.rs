//! Response codes (F39): the two characters, and the table a dialect gives for what the switch itself decides.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// A response code, two characters of F39.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code([u8; 2]);

impl Code {
    /// 00: approved.
    pub const APPROVED: Code = Code(*b"00");

    /// The code of these two characters.
    pub const fn new(text: [u8; 2]) -> Code {
        Code(text)
    }

    /// The two characters.
    pub const fn bytes(&self) -> &[u8; 2] {
        &self.0
    }

    /// Whether this is 00; a partial approval (10) is not.
    pub const fn is_approved(&self) -> bool {
        matches!(&self.0, b"00")
    }

    /// The code in this text: two letters or digits.
    pub fn parse(text: &str) -> Option<Code> {
        let code = Code(text.as_bytes().try_into().ok()?);
        code.0.iter().all(u8::is_ascii_alphanumeric).then_some(code)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.0.map(|c| if c.is_ascii_graphic() { char::from(c) } else { '?' });
        write!(f, "{first}{second}")
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The same text as Display, without its machinery: a code stands in every outcome of the journal.
        let text = self.0.map(|c| if c.is_ascii_graphic() { c } else { b'?' });
        serializer.serialize_str(std::str::from_utf8(&text).unwrap_or("??"))
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Code, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Code;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a response code of two letters or digits")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Code, E> {
                Code::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Declares the table once; the keys of a dialect file are the names of the fields.
macro_rules! codes {
    ($($(#[$doc:meta])* $field:ident,)+) => {
        /// What the switch answers when it decides by itself; a table per dialect.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct Codes { $($(#[$doc])* pub $field: Code,)+ }

        impl Codes {
            /// The keys of the table in a dialect file.
            pub(crate) const KEYS: &[&str] = &[$(stringify!($field)),+];

            /// The table made of the code that `find` gives for each key; `None` if one is missing. All keys
            /// are asked for, so that `find` can report each.
            pub(crate) fn collect(mut find: impl FnMut(&'static str) -> Option<Code>) -> Option<Codes> {
                $(let $field = find(stringify!($field));)+
                Some(Codes { $($field: $field?,)+ })
            }
        }
    };
}

codes! {
    /// The message cannot be read.
    format,
    /// The MAC is wrong or missing.
    mac,
    /// The sender has not signed on.
    not_signed_on,
    /// The terminal is unknown.
    terminal,
    /// The kind of transaction is not supported.
    unsupported,
    /// The amount is invalid.
    amount,
    /// The currency is not accepted.
    currency,
    /// No route for the card.
    no_route,
    /// The issuer cannot be reached; nothing was sent.
    issuer_down,
    /// The issuer did not answer in time, or the outcome is in doubt.
    no_answer,
    /// A limit of the switch is reached.
    overload,
    /// The key of a transaction is taken by another one.
    duplicate,
    /// The reversal came before the original.
    reversed_before,
    /// The original is not held.
    original_not_found,
    /// The amount does not agree with the original.
    original_amount,
    /// The transaction is not allowed in this state.
    invalid,
    /// The PIN block cannot be translated.
    pin,
    /// Partial reversals are not supported.
    partial_reversal,
    /// The issuer approved less and the route does not allow that.
    funds_partial,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_two_letters_or_digits() {
        assert_eq!(Code::parse("00"), Some(Code::APPROVED));
        assert_eq!(Code::parse("A0").map(|code| code.to_string()), Some("A0".to_owned()));
        assert_eq!(Code::parse("0"), None);
        assert_eq!(Code::parse("0 "), None);
        assert_eq!(Code::new([0x1B, b'0']).to_string(), "?0");
    }

    #[test]
    fn the_table_asks_for_every_key_and_needs_each() {
        let all = Codes::collect(|key| Code::parse(&key.to_uppercase()[..2])).unwrap();
        assert_eq!((all.mac, all.no_route), (Code::new(*b"MA"), Code::new(*b"NO")));
        let mut asked = 0;
        let none = Codes::collect(|key| {
            asked += 1;
            (key != "format").then_some(Code::APPROVED)
        });
        assert_eq!((none, asked), (None, Codes::KEYS.len()));
    }
}
