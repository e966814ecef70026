//! How taps and lines come in and what is said of them: one by one, and in batches.
//!
//! A batch is announced with count, sum and hash, sent in parts, and closed when all of it is in. Whatever is sent
//! again gets the same verdicts and is posted once.

use super::codes::Verdict;
use super::layout::{ReadError, Reader, Wire, counted, layout};
use super::record::{RawRecord, Records};
#[cfg(test)]
use super::tests::Maker;
use super::values::{Date, Id, Raw};

layout! {
    /// One tap. Costs one credit.
    Tap<'a> = "tap" {
        /// a tap, a QR ride or an open-loop tap
        record: RawRecord<'a>,
        ;
    }
}

layout! {
    /// What became of one tap.
    TapVerdict = "tap verdict" {
        /// one of the verdicts
        verdict: u8,
        /// level that is reached: 1 stored, 2 safe; 0 for a record that is not stored
        level: u8,
        /// date that it counts for, also when it was stored earlier; of one that is not stored, the date that is open
        business_date: Date,
        /// records that may have been sent in all since the hello
        credits: u64,
        ;
        /// why it cannot be read
        0x0001 reason: Unreadable,
    }
}

layout! {
    /// Why a record cannot be read.
    Unreadable = "reason" {
        /// one of the error codes
        code: u16,
        /// the tag that is at fault, or 0
        tag: u16,
        /// the byte of the record that is at fault, counted from its length on
        offset: u16,
    }
}

layout! {
    /// Announces a batch, or asks how far one is.
    BatchOpen<'a> = "batch open" {
        /// chosen by the gateway, never used again for another batch
        batch: u64,
        /// 1 taps, 2 disbursement lines
        content: u8,
        /// records in it
        records: u32,
        /// their amounts, summed up, in fen
        amount_fen: u64,
        /// SHA-256 over the bytes of all its records, in order
        hash: [u8; 32],
        /// the gateway's day; recorded, not adopted
        date: Date,
        ;
        /// who pays, of disbursement lines
        0x0001 payer: Id<'a>,
        /// the policy they are paid under
        0x0002 policy: Id<'a>,
        /// the period they are paid for, YYYYMM as a number
        0x0003 period: u32,
        /// the payer's signature over the hash
        0x0004 signature: Raw<'a>,
    }
}

layout! {
    /// How far a batch is.
    BatchState = "batch state" {
        /// the batch
        batch: u64,
        /// 0 open, 1 closed
        state: u8,
        /// records stored so far
        stored: u32,
        /// index of the next record to send, counted from 0
        next: u32,
        /// records that may have been sent in all since the hello
        credits: u64,
        ;
    }
}

layout! {
    /// Some of the records of a batch, in order. Costs a credit each.
    BatchPart<'a> = "batch part" {
        /// the batch
        batch: u64,
        /// index of the first of them, counted from 0
        first: u32,
        /// the records
        records: Records<'a>,
        ;
    }
}

layout! {
    /// What became of the records of a part.
    BatchVerdicts<'a> = "batch verdicts" {
        /// the batch
        batch: u64,
        /// index of the first of them
        first: u32,
        /// level that is reached by those that are stored: 1 stored, 2 safe
        level: u8,
        /// date that those count for that are stored now
        business_date: Date,
        /// records that may have been sent in all since the hello
        credits: u64,
        /// one verdict for each record of the part, in order
        verdicts: Verdicts<'a>,
        ;
        /// why the unreadable ones are: index within the part, code, tag, offset
        0x0001 reasons: Reasons<'a>,
        /// those stored earlier that count for another date: index within the part, how many, date
        0x0002 earlier: Earlier<'a>,
    }
}

layout! {
    /// All records of a batch have their verdict, and count, sum and hash were compared.
    BatchClosed = "batch closed" {
        /// the batch
        batch: u64,
        /// 0 all agrees; else bit 0 count, bit 1 sum, bit 2 hash differ; the sum only where all could be read
        differs: u8,
        /// date that was open when the last record came
        business_date: Date,
        /// amount of the records that the server could read, in fen
        amount_fen: u64,
        /// hash as the server makes it
        hash: [u8; 32],
        /// records with verdict 0
        stored: u32,
        /// with verdict 1
        stored_earlier: u32,
        /// with verdict 2
        unreadable: u32,
        /// with verdict 3
        outside_window: u32,
        /// with verdict 4
        not_accepted: u32,
        /// with verdict 5
        conflict: u32,
        /// with verdict 6
        suspended: u32,
        ;
    }
}

layout! {
    /// Records are safe: durable on a second copy as well.
    Safe = "safe" {
        /// the batch; 0 for the single taps of this connection
        batch: u64,
        /// so many are, from the first on; never fewer than was told before
        records: u64,
        ;
    }
}

/// One verdict for each record, as numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdicts<'a>(&'a [u8]);

impl<'a> Verdicts<'a> {
    /// The verdicts with these numbers; `None` if there are more than a part can have records.
    pub fn new(numbers: &'a [u8]) -> Option<Verdicts<'a>> {
        u16::try_from(numbers.len()).is_ok().then_some(Verdicts(numbers))
    }

    /// The numbers; [`Verdict::of`] knows what they mean.
    pub const fn numbers(&self) -> &'a [u8] {
        self.0
    }

    /// The verdicts, in order; `None` for a number that is not known here.
    pub fn iter(&self) -> impl Iterator<Item = Option<Verdict>> + use<'a> {
        self.0.iter().map(|number| Verdict::of(*number))
    }
}

impl<'a> Wire<'a> for Verdicts<'a> {
    const SHAPE: &'static str = "count u16, u8 each";
    const BYTES: Option<usize> = None;

    fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ReadError> {
        let count = u16::read(reader, field)?;
        Ok(Verdicts(reader.take(usize::from(count), field)?))
    }

    fn write(&self, out: &mut Vec<u8>) {
        counted::<u16>(out, |out| out.extend_from_slice(self.0));
    }

    #[cfg(test)]
    fn made(maker: &mut Maker<'a>) -> Self {
        Verdicts(maker.some(0, 40))
    }
}

/// Why records of a part cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reasons<'a>(&'a [[u8; 8]]);

impl<'a> Reasons<'a> {
    /// Those that [`Reasons::push`] wrote; `None` when it is no whole number of them.
    pub fn new(bytes: &'a [u8]) -> Option<Reasons<'a>> {
        let (rows, rest) = bytes.as_chunks();
        rest.is_empty().then_some(Reasons(rows))
    }

    /// Appends the reason for the record at `index` of the part to bytes for [`Reasons::new`].
    pub fn push(index: u16, reason: &Unreadable, out: &mut Vec<u8>) {
        index.write(out);
        reason.write(out);
    }

    /// Index within the part, and the reason.
    pub fn iter(&self) -> impl Iterator<Item = (u16, Unreadable)> + use<'a> {
        self.0.iter().map(|&[a, b, c, d, e, f, g, h]| {
            let [index, code, tag, offset] = [[a, b], [c, d], [e, f], [g, h]].map(u16::from_be_bytes);
            (index, Unreadable { code, tag, offset })
        })
    }
}

impl<'a> Wire<'a> for Reasons<'a> {
    const SHAPE: &'static str = "n times 4 u16";
    const BYTES: Option<usize> = None;

    fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ReadError> {
        let offset = reader.at();
        let bytes = reader.rest();
        Reasons::new(bytes).ok_or_else(|| reader.wrong(field, offset, "8 bytes for each reason"))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_flattened());
    }

    #[cfg(test)]
    fn made(maker: &mut Maker<'a>) -> Self {
        Reasons(maker.some(0, 40).as_chunks().0)
    }
}

/// Records of a part that were stored earlier and count for another date than those stored now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Earlier<'a>(&'a [[u8; 8]]);

impl<'a> Earlier<'a> {
    /// Those that [`Earlier::push`] wrote; `None` when it is no whole number of them, or one has no date.
    pub fn new(bytes: &'a [u8]) -> Option<Earlier<'a>> {
        let (rows, rest) = bytes.as_chunks();
        let dated =
            |&[_, _, _, _, a, b, c, d]: &[u8; 8]| Date::new(u32::from_be_bytes([a, b, c, d])).is_some();
        (rest.is_empty() && rows.iter().all(dated)).then_some(Earlier(rows))
    }

    /// Appends a run of `count` records that begins at `index` of the part to bytes for [`Earlier::new`].
    pub fn push(index: u16, count: u16, date: Date, out: &mut Vec<u8>) {
        index.write(out);
        count.write(out);
        date.write(out);
    }

    /// Index within the part, how many, and their date.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u16, Date)> + use<'a> {
        self.0.iter().filter_map(|&[a, b, c, d, e, f, g, h]| {
            let date = Date::new(u32::from_be_bytes([e, f, g, h]))?;
            Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]), date))
        })
    }
}

impl<'a> Wire<'a> for Earlier<'a> {
    const SHAPE: &'static str = "n times u16, u16, date";
    const BYTES: Option<usize> = None;

    fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ReadError> {
        let offset = reader.at();
        let bytes = reader.rest();
        Earlier::new(bytes).ok_or_else(|| reader.wrong(field, offset, "8 bytes for each run, with a date"))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_flattened());
    }

    #[cfg(test)]
    fn made(_: &mut Maker<'a>) -> Self {
        Earlier(&[[0, 1, 0, 2, 0x01, 0x35, 0x29, 0x06]])
    }
}

impl Unreadable {
    /// The reason that tells of this error.
    pub fn of(error: &ReadError) -> Unreadable {
        let offset = u16::try_from(error.offset()).unwrap_or(u16::MAX);
        Unreadable { code: error.code().number(), tag: error.tag(), offset }
    }
}
