//! Records: what a gateway hands over one by one or in batches, each behind its length, kind and version.
//!
//! A part is cut into records without reading them, so that one that cannot be read gets its own verdict and the
//! others theirs. The bytes of a record, from its length on, are what hashes are made over.

use super::layout::{Layout, ReadError, Reader, Wire, counted};
use super::message::{Described, describe};
use super::taps::{ClosedTap, OpenTap, QrRide, TapHead};
#[cfg(test)]
use super::tests::Maker;
use super::transaction::{CardStatus, DisbursementLine, Identity, Medical, Payment};

/// A record as it stands, unread.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RawRecord<'a> {
    /// The kind.
    pub kind: u8,
    /// The version of the kind's layout.
    pub version: u8,
    bytes: &'a [u8],
}

/// Length, kind and version.
const RECORD_HEAD_BYTES: usize = 4;
/// The version of all layouts.
const RECORD_VERSION: u8 = 1;

impl<'a> RawRecord<'a> {
    /// The one record in these bytes, as [`Record::encode`] wrote it.
    ///
    /// # Errors
    /// When it is cut off or bytes are left over.
    pub fn new(bytes: &'a [u8]) -> Result<RawRecord<'a>, ReadError> {
        let mut reader = Reader::new(bytes, "record");
        let record = RawRecord::read(&mut reader, "record")?;
        reader.end("record")?;
        Ok(record)
    }

    /// All its bytes, from its length on: what a hash is made over.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Shows kind and length: a record may hold card data.
impl std::fmt::Debug for RawRecord<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawRecord({:02X}, {} bytes)", self.kind, self.bytes.len())
    }
}

impl<'a> Wire<'a> for RawRecord<'a> {
    const SHAPE: &'static str = "record";
    const BYTES: Option<usize> = None;

    fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ReadError> {
        let (offset, start) = (reader.at(), *reader);
        let len = usize::from(u16::read(reader, field)?);
        let mut content = Reader::new(reader.take(len, field)?, "record");
        let cut = |_| ReadError::Short { layout: "record", field, offset };
        let (kind, version) =
            (u8::read(&mut content, field).map_err(cut)?, u8::read(&mut content, field).map_err(cut)?);
        let mut whole = start;
        Ok(RawRecord { kind, version, bytes: whole.take(len + 2, field)? })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.bytes);
    }

    #[cfg(test)]
    fn made(maker: &mut Maker<'a>) -> Self {
        maker.record()
    }
}

macro_rules! records {
    ($( $number:literal $variant:ident($layout:ty), )+) => {
        /// A record, read.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[expect(missing_docs, reason = "each is named after its layout, which is documented")]
        pub enum Record<'a> { $( $variant($layout), )+ }

        impl<'a> Record<'a> {
            /// Reads a record. Offsets in errors count from its length on.
            ///
            /// # Errors
            /// When kind or version are not known, or it is not what its layout says.
            pub fn decode(raw: RawRecord<'a>) -> Result<Record<'a>, ReadError> {
                if raw.version != RECORD_VERSION {
                    return Err(ReadError::NoSuch { what: "record version", number: raw.version });
                }
                match raw.kind {
                    $( $number => read_record::<$layout>(raw).map(Record::$variant), )+
                    kind => Err(ReadError::NoSuch { what: "record kind", number: kind }),
                }
            }

            /// The kind.
            pub const fn kind(&self) -> u8 {
                match self { $( Record::$variant(_) => $number, )+ }
            }

            /// Appends it with length, kind and version.
            ///
            /// # Panics
            /// When a value is too long for its field.
            pub fn encode(&self, out: &mut Vec<u8>) {
                counted::<u16>(out, |out| {
                    out.extend_from_slice(&[self.kind(), RECORD_VERSION]);
                    match self { $( Record::$variant(record) => Layout::encode(record, out), )+ }
                });
            }

            /// All records as data, by kind.
            pub fn described() -> Vec<Described> {
                vec![$( describe::<$layout>($number), )+]
            }

            #[cfg(test)]
            pub(super) fn made(number: u8, maker: &mut Maker<'a>) -> Record<'a> {
                const ALL: &[u8] = &[$( $number, )+];
                match ALL[usize::from(number) % ALL.len()] {
                    $( $number => Record::$variant(Wire::made(maker)), )+
                    _ => unreachable!("the list has all kinds"),
                }
            }
        }
    };
}

records! {
    0x01 ClosedTap(ClosedTap<'a>),
    0x02 QrRide(QrRide<'a>),
    0x03 OpenTap(OpenTap<'a>),
    0x10 Payment(Payment<'a>),
    0x11 Medical(Medical<'a>),
    0x12 Identity(Identity<'a>),
    0x13 DisbursementLine(DisbursementLine<'a>),
    0x14 CardStatus(CardStatus<'a>),
}

impl Record<'_> {
    /// The head of a tap, with its key; `None` for what is none.
    pub const fn tap_head(&self) -> Option<&TapHead> {
        match self {
            Record::ClosedTap(ClosedTap { head, .. })
            | Record::QrRide(QrRide { head, .. })
            | Record::OpenTap(OpenTap { head, .. }) => Some(head),
            _ => None,
        }
    }

    /// What it adds to the amount of a batch or a total, in fen.
    pub fn amount_fen(&self) -> u64 {
        match self {
            Record::ClosedTap(ClosedTap { head, .. })
            | Record::QrRide(QrRide { head, .. })
            | Record::OpenTap(OpenTap { head, .. }) => u64::from(head.amount_fen),
            Record::DisbursementLine(line) => line.amount_fen,
            Record::Medical(medical) => medical.total_fen,
            Record::Payment(payment) => payment.amount_fen(),
            Record::Identity(_) | Record::CardStatus(_) => 0,
        }
    }
}

fn read_record<'a, T: Layout<'a>>(raw: RawRecord<'a>) -> Result<T, ReadError> {
    let mut reader = Reader::new(raw.bytes, T::NAME);
    reader.take(RECORD_HEAD_BYTES, "length")?;
    let record = T::read(&mut reader, T::NAME)?;
    reader.end(T::NAME)?;
    Ok(record)
}

/// Records one behind the other: how many, how many bytes, and they themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Records<'a> {
    count: u16,
    bytes: &'a [u8],
}

impl<'a> Records<'a> {
    /// The `count` records that [`Record::encode`] wrote one behind the other.
    ///
    /// # Errors
    /// When there are more or fewer, or none.
    pub fn new(count: u16, bytes: &'a [u8]) -> Result<Records<'a>, ReadError> {
        let mut reader = Reader::new(bytes, "records");
        for _ in 0..count {
            RawRecord::read(&mut reader, "records")?;
        }
        reader.end("records")?;
        if count == 0 {
            return Err(reader.wrong("records", 0, "at least one record"));
        }
        Ok(Records { count, bytes })
    }

    /// How many there are.
    pub const fn count(&self) -> u16 {
        self.count
    }

    /// All their bytes, in order: what a batch's hash goes over.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// They themselves, in order.
    pub fn iter(&self) -> impl Iterator<Item = RawRecord<'a>> + use<'a> {
        let mut reader = Reader::new(self.bytes, "records");
        std::iter::from_fn(move || RawRecord::read(&mut reader, "records").ok())
    }
}

/// Shows their number: records may hold card data.
impl std::fmt::Debug for Records<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Records({})", self.count)
    }
}

impl<'a> Wire<'a> for Records<'a> {
    const SHAPE: &'static str = "count u16, bytes u32, records";
    const BYTES: Option<usize> = None;

    fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ReadError> {
        let offset = reader.at();
        let count = u16::read(reader, field)?;
        let len = u32::read(reader, field)?;
        let bytes = reader.take(len as usize, field)?;
        Records::new(count, bytes)
            .map_err(|_| reader.wrong(field, offset, "as many whole records as it counts, at least one"))
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.count.write(out);
        counted::<u32>(out, |out| out.extend_from_slice(self.bytes));
    }

    #[cfg(test)]
    fn made(maker: &mut Maker<'a>) -> Self {
        maker.records()
    }
}
