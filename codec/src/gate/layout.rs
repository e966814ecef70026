//! How the layouts of the gateway protocol are declared, read and written.
//!
//! `layout!` is given each field once, with its type and meaning; struct, decoder, encoder and the rows of the byte
//! table in `docs/wire.md` come of that one place. Reading never indexes, never panics and allocates nothing; an error
//! names layout, field and offset, never a value.

use super::values::{Counted, TAG_ISO_MAX};

/// Set in a tag: whoever does not know the tag must refuse the whole body, and name it.
pub const TAG_MANDATORY: u16 = 0x8000;

/// Why a body or a record cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    /// It ends inside a field.
    #[error("{layout}: {field} at byte {offset} is cut off")]
    Short {
        /// The layout.
        layout: &'static str,
        /// The field, or the element that ends early.
        field: &'static str,
        /// Where the field begins.
        offset: usize,
    },
    /// A field holds what it must not hold.
    #[error("{layout}: {field} at byte {offset} is not {expected}")]
    Value {
        /// The layout.
        layout: &'static str,
        /// The field.
        field: &'static str,
        /// Where the field begins.
        offset: usize,
        /// What it must be.
        expected: &'static str,
    },
    /// A tag that is not above the one before it: twice, or out of order.
    #[error("{layout}: tag {tag:04X} at byte {offset} is there twice or out of order")]
    Order {
        /// The layout.
        layout: &'static str,
        /// The tag as it stands.
        tag: u16,
        /// Where it stands.
        offset: usize,
    },
    /// A mandatory tag that is not known here.
    #[error("{layout}: tag {tag:04X} at byte {offset} is mandatory and not known here")]
    Unknown {
        /// The layout.
        layout: &'static str,
        /// The tag as it stands.
        tag: u16,
        /// Where it stands.
        offset: usize,
    },
    /// No message, or no record, of this number or version exists here.
    #[error("{what} {number} is not known here")]
    NoSuch {
        /// "message type", "record kind" or "record version".
        what: &'static str,
        /// The number.
        number: u8,
    },
}

impl ReadError {
    /// The tag that is at fault, or 0.
    pub const fn tag(&self) -> u16 {
        match *self {
            ReadError::Order { tag, .. } | ReadError::Unknown { tag, .. } => tag,
            _ => 0,
        }
    }

    /// The byte of the body (or of the record, from its length on) where the fault is, or 0.
    pub const fn offset(&self) -> usize {
        match *self {
            ReadError::Short { offset, .. }
            | ReadError::Value { offset, .. }
            | ReadError::Order { offset, .. }
            | ReadError::Unknown { offset, .. } => offset,
            ReadError::NoSuch { .. } => 0,
        }
    }
}

/// A place in bytes from outside.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    layout: &'static str,
}

/// One optional field as it stands.
pub(super) struct Tlv<'a> {
    pub(super) tag: u16,
    pub(super) offset: usize,
    layout: &'static str,
    value: Reader<'a>,
}

/// A type that a field can have.
pub trait Wire<'a>: Sized {
    /// What the byte table of the page calls it.
    const SHAPE: &'static str;
    /// Its length, when that is always the same.
    const BYTES: Option<usize>;

    /// Reads one; `field` is for the error.
    ///
    /// # Errors
    /// When it is cut off or no value of the type.
    fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ReadError>;

    /// Appends it.
    fn write(&self, out: &mut Vec<u8>);

    /// Adds its rows to a byte table: one, unless it is a group of fields.
    fn rows(field: &'static str, meaning: &'static str, into: &mut Vec<Row>) {
        into.push(Row { field, tag: None, shape: Self::SHAPE, bytes: Self::BYTES, meaning: meaning.trim() });
    }

    /// One made of arbitrary bytes, for the property tests.
    #[cfg(test)]
    fn made(maker: &mut super::tests::Maker<'a>) -> Self;
}

/// A whole body or record: declared by `layout!`.
pub trait Layout<'a>: Wire<'a> {
    /// Its name in errors and on the page.
    const NAME: &'static str;
    /// What it is for.
    const MEANING: &'static str;

    /// Reads all of `bytes`.
    ///
    /// # Errors
    /// When a field is cut off or wrong, a tag is out of order or mandatory and unknown, or bytes are left over.
    fn decode(bytes: &'a [u8]) -> Result<Self, ReadError> {
        let mut reader = Reader::new(bytes, Self::NAME);
        let value = Self::read(&mut reader, Self::NAME)?;
        reader.end(Self::NAME)?;
        Ok(value)
    }

    /// Appends it to `out`, optional fields ascending.
    ///
    /// # Panics
    /// When one of its values is longer than its length field can say, or none of its type: both are our own doing.
    fn encode(&self, out: &mut Vec<u8>) {
        self.write(out);
    }
}

/// One row of a byte table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// The field.
    pub field: &'static str,
    /// Its tag when it is optional.
    pub tag: Option<u16>,
    /// Its type in words.
    pub shape: &'static str,
    /// Its length, when that is fixed.
    pub bytes: Option<usize>,
    /// What it means.
    pub meaning: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8], layout: &'static str) -> Reader<'a> {
        Reader { bytes, at: 0, layout }
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(super) const fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `len` bytes.
    pub(super) fn take(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], ReadError> {
        let short = ReadError::Short { layout: self.layout, field, offset: self.at };
        let end = self.at.checked_add(len).ok_or(short)?;
        let taken = self.bytes.get(self.at..end).ok_or(short)?;
        self.at = end;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], ReadError> {
        let offset = self.at;
        let taken = self.take(N, field)?;
        taken.try_into().map_err(|_| ReadError::Short { layout: self.layout, field, offset })
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at = self.bytes.len();
        rest
    }

    /// What stands here is no value of its field.
    pub(super) const fn wrong(
        &self,
        field: &'static str,
        offset: usize,
        expected: &'static str,
    ) -> ReadError {
        ReadError::Value { layout: self.layout, field, offset, expected }
    }

    /// The next optional field; `last` is the number of the one before.
    pub(super) fn tlv(&mut self, last: &mut u16) -> Result<Option<Tlv<'a>>, ReadError> {
        if self.left() == 0 {
            return Ok(None);
        }
        let offset = self.at;
        let tag = u16::from_be_bytes(self.array("a tag")?);
        let len = u16::from_be_bytes(self.array("the length of a tag")?);
        let number = tag & !TAG_MANDATORY;
        if number <= *last {
            return Err(ReadError::Order { layout: self.layout, tag, offset });
        }
        *last = number;
        let start = self.at;
        self.take(usize::from(len), "the value of a tag")?;
        // The value's offsets count from the same byte as all others, so its reader keeps what stands before it.
        let bytes = self.bytes.get(..self.at).unwrap_or_default();
        let value = Reader { bytes, at: start, layout: self.layout };
        Ok(Some(Tlv { tag, offset, layout: self.layout, value }))
    }

    /// All optional fields of a number up to `number_max`, unread; what they hold is checked for order only.
    pub(super) fn tlvs_up_to(&mut self, number_max: u16) -> Result<&'a [u8], ReadError> {
        let (start, mut last) = (self.at, 0);
        loop {
            let next = self.bytes.get(self.at..).and_then(|left| left.first_chunk::<2>());
            if next.is_none_or(|tag| u16::from_be_bytes(*tag) & !TAG_MANDATORY > number_max) {
                return Ok(self.bytes.get(start..self.at).unwrap_or_default());
            }
            self.tlv(&mut last)?;
        }
    }

    pub(super) fn end(&self, field: &'static str) -> Result<(), ReadError> {
        if self.left() == 0 {
            return Ok(());
        }
        Err(self.wrong(field, self.at, "at its end: bytes are left over"))
    }
}

impl<'a> Tlv<'a> {
    pub(super) const fn number(&self) -> u16 {
        self.tag & !TAG_MANDATORY
    }

    /// The value, all of it.
    pub(super) fn value<T: Wire<'a>>(mut self, field: &'static str) -> Result<T, ReadError> {
        let value = T::read(&mut self.value, field)?;
        self.value.end(field)?;
        Ok(value)
    }

    /// Goes on without it, unless it must be known.
    pub(super) fn skip(self) -> Result<(), ReadError> {
        if self.tag & TAG_MANDATORY == 0 {
            return Ok(());
        }
        Err(ReadError::Unknown { layout: self.layout, tag: self.tag, offset: self.offset })
    }

    pub(super) fn bytes(mut self) -> &'a [u8] {
        self.value.rest()
    }
}

/// Appends one optional field.
pub(super) fn put_tlv<'a, T: Wire<'a>>(tag: u16, value: &T, out: &mut Vec<u8>) {
    out.extend_from_slice(&tag.to_be_bytes());
    counted::<u16>(out, |out| value.write(out));
}

/// Appends what `fill` writes behind its length.
///
/// # Panics
/// When that is more than the length can say.
pub(super) fn counted<L: Counted>(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let mark = out.len();
    L::put(0, out);
    let start = out.len();
    fill(out);
    L::patch(mark, out.len() - start, out);
}

/// The length of a group, when all its fields have one.
pub(super) const fn sum(mut parts: &[Option<usize>]) -> Option<usize> {
    let mut bytes = 0;
    while let [first, rest @ ..] = parts {
        match first {
            Some(part) => bytes += *part,
            None => return None,
        }
        parts = rest;
    }
    Some(bytes)
}

/// The highest tag that is a field number of ISO 8583.
pub(super) const fn is_iso(number: u16) -> bool {
    number >= 2 && number <= TAG_ISO_MAX
}

/// Declares a layout: fixed fields in order and, after a `;`, the optional ones by tag, ascending. Without the `;`
/// it is a group, which may stand inside others.
macro_rules! layout {
    (
        $(#[doc = $doc:literal])+
        $name:ident $(<$lt:lifetime>)? = $title:literal {
            $( $(#[doc = $about:literal])+ $field:ident : $type:ty, )*
            $( ; $( $(#[doc = $about_tlv:literal])+ $tag:literal $tlv:ident : $type_tlv:ty, )* )?
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $name $(<$lt>)? {
            $( $(#[doc = $about])+ pub $field: $type, )*
            $( $( $(#[doc = $about_tlv])+ pub $tlv: Option<$type_tlv>, )* )?
        }

        impl<'a> $crate::gate::layout::Wire<'a> for $name $(<$lt>)? {
            const SHAPE: &'static str = $title;
            const BYTES: Option<usize> = $crate::gate::layout::sum(
                &[$( <$type as $crate::gate::layout::Wire<'a>>::BYTES, )*]);

            fn read(
                reader: &mut $crate::gate::layout::Reader<'a>,
                _: &'static str,
            ) -> Result<Self, $crate::gate::layout::ReadError> {
                $( let $field = $crate::gate::layout::Wire::read(reader, stringify!($field))?; )*
                $(
                    $( let mut $tlv = None; )*
                    let mut last = 0;
                    while let Some(tlv) = reader.tlv(&mut last)? {
                        match tlv.number() {
                            $( $tag => $tlv = Some(tlv.value(stringify!($tlv))?), )*
                            _ => tlv.skip()?,
                        }
                    }
                )?
                Ok($name { $( $field, )* $( $( $tlv, )* )? })
            }

            fn write(&self, out: &mut Vec<u8>) {
                $( $crate::gate::layout::Wire::write(&self.$field, out); )*
                $( $(
                    if let Some(value) = &self.$tlv {
                        $crate::gate::layout::put_tlv($tag, value, out);
                    }
                )* )?
                let _ = out;
            }

            fn rows(_: &'static str, _: &'static str, into: &mut Vec<$crate::gate::layout::Row>) {
                $( <$type as $crate::gate::layout::Wire>::rows(
                    stringify!($field), concat!($($about),+), into); )*
                $( $(
                    into.push($crate::gate::layout::Row {
                        field: stringify!($tlv),
                        tag: Some($tag),
                        shape: <$type_tlv as $crate::gate::layout::Wire>::SHAPE,
                        bytes: <$type_tlv as $crate::gate::layout::Wire>::BYTES,
                        meaning: concat!($($about_tlv),+).trim(),
                    });
                )* )?
                let _ = into;
            }

            #[cfg(test)]
            fn made(maker: &mut $crate::gate::tests::Maker<'a>) -> Self {
                $name {
                    $( $field: $crate::gate::layout::Wire::made(maker), )*
                    $( $( $tlv: maker.maybe(), )* )?
                }
            }
        }

        impl<'a> $crate::gate::layout::Layout<'a> for $name $(<$lt>)? {
            const NAME: &'static str = $title;
            const MEANING: &'static str = concat!($($doc),+);
        }
    };
}
pub(super) use layout;
