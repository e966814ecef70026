//! Fixed-length ids as they stand in messages (F37, F41), small enough to copy and to sort by.
//! Prints and serialises without the blanks on the right. Bytes that are no printable ASCII show as `?`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// Text of at most `N` characters, filled up with blanks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<const N: usize>(pub [u8; N]);

impl<const N: usize> Text<N> {
    /// The text, cut or filled up to `N`.
    pub fn new(text: &str) -> Text<N> {
        let mut bytes = [b' '; N];
        bytes.iter_mut().zip(text.bytes()).for_each(|(place, byte)| *place = byte);
        Text(bytes)
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Text<N> {
        Text([b' '; N])
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
        self.0[..end].iter().try_for_each(|&byte| {
            let shown = if (0x20..0x7F).contains(&byte) { char::from(byte) } else { '?' };
            fmt::Write::write_char(f, shown)
        })
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const N: usize> Serialize for Text<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Text<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<N>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() > N {
            return Err(de::Error::custom(format!("an id of {} characters, at most {N} fit", text.len())));
        }
        Ok(Text::new(&text))
    }
}
