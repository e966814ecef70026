//! Lists that go down to the gates: deny lists, issuers, cities. Versions, a hash over the whole, an acknowledgement.

use super::layout::{ReadError, Reader, Wire, counted, layout};
#[cfg(test)]
use super::tests::Maker;
use super::values::Text;

layout! {
    /// Asks for what is new in a list.
    ListPoll = "list poll" {
        /// the list
        list: u32,
        /// version that the gateway has; 0 for none
        version: u32,
        ;
    }
}

layout! {
    /// What is new in a list.
    ListDelta<'a> = "list delta" {
        /// the list
        list: u32,
        /// version that it starts from; 0: forget what you have
        from: u32,
        /// version that it leads to; the same as `from` when nothing is new
        to: u32,
        /// the newest version there is; ask again while it is above `to`
        latest: u32,
        /// this is part `part` of `parts`, counted from 1; apply them together
        part: u16,
        /// so many parts lead to `to`
        parts: u16,
        /// when it comes into force, milliseconds since 1970-01-01 UTC
        effective_ms: u64,
        /// SHA-256 over the whole list after the last part: entries ascending, each with its byte of length
        hash: [u8; 32],
        /// entries to add
        adds: Entries<'a>,
        /// entries to take out
        removes: Entries<'a>,
        ;
        /// name of the list, for people
        0x0001 name: Text<'a>,
    }
}

layout! {
    /// A list is in use at the gates.
    ListAck = "list acknowledgement" {
        /// the list
        list: u32,
        /// its version
        version: u32,
        /// hash as the gateway makes it
        hash: [u8; 32],
        /// since when, milliseconds since 1970-01-01 UTC
        since_ms: u64,
        /// gates and buses that this gateway has
        devices: u32,
        /// of them use this version or a newer one
        devices_current: u32,
        /// the oldest version that one of them uses
        oldest: u32,
        ;
    }
}

/// Entries of a list, each 1 to 255 bytes: an application serial number, an issuer, an account.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entries<'a> {
    count: u32,
    bytes: &'a [u8],
}

impl<'a> Entries<'a> {
    /// None.
    pub const EMPTY: Entries<'static> = Entries { count: 0, bytes: &[] };

    /// The `count` entries that [`Entries::push`] wrote.
    ///
    /// # Errors
    /// When there are more or fewer, or one is empty.
    pub fn new(count: u32, bytes: &'a [u8]) -> Result<Entries<'a>, ReadError> {
        let (mut reader, mut found) = (Reader::new(bytes, "entries"), 0);
        while reader.left() > 0 {
            let offset = reader.at();
            let len = u8::read(&mut reader, "entries")?;
            if len == 0 {
                return Err(reader.wrong("entries", offset, "an entry of 1 to 255 bytes"));
            }
            reader.take(usize::from(len), "entries")?;
            found += 1_u32;
        }
        if found != count {
            return Err(reader.wrong("entries", 0, "as many entries as it counts"));
        }
        Ok(Entries { count, bytes })
    }

    /// Appends one entry.
    ///
    /// # Panics
    /// When it is empty or longer than 255 bytes.
    pub fn push(entry: &[u8], out: &mut Vec<u8>) {
        assert!(!entry.is_empty(), "an entry has at least one byte");
        counted::<u8>(out, |out| out.extend_from_slice(entry));
    }

    /// How many there are.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// They themselves.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut reader = Reader::new(self.bytes, "entries");
        std::iter::from_fn(move || {
            let len = u8::read(&mut reader, "entries").ok()?;
            reader.take(usize::from(len), "entries").ok()
        })
    }
}

/// Shows their number: entries name cards.
impl std::fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entries({})", self.count)
    }
}

impl<'a> Wire<'a> for Entries<'a> {
    const SHAPE: &'static str = "count u32, bytes u32, entries";
    const BYTES: Option<usize> = None;

    fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ReadError> {
        let offset = reader.at();
        let count = u32::read(reader, field)?;
        let len = u32::read(reader, field)?;
        let bytes = reader.take(len as usize, field)?;
        Entries::new(count, bytes)
            .map_err(|_| reader.wrong(field, offset, "as many entries of 1 to 255 bytes as it counts"))
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.count.write(out);
        counted::<u32>(out, |out| out.extend_from_slice(self.bytes));
    }

    #[cfg(test)]
    fn made(maker: &mut Maker<'a>) -> Self {
        maker.entries()
    }
}
