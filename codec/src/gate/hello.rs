//! How a connection begins, lives and ends: hello and its answer, heartbeat, credit, error, goodbye.

use super::layout::{ReadError, Reader, Wire, layout};
#[cfg(test)]
use super::tests::Maker;
use super::values::{Name, Text};

/// The one version of the protocol that there is.
pub const VERSION: u8 = 1;

/// Features, as bits of the hello.
pub mod feature {
    /// Single taps.
    pub const TAPS: u64 = 1;
    /// Batches.
    pub const BATCHES: u64 = 1 << 1;
    /// Transactions.
    pub const TRANSACTIONS: u64 = 1 << 2;
    /// Lists.
    pub const LISTS: u64 = 1 << 3;
    /// Totals.
    pub const TOTALS: u64 = 1 << 4;
}

/// How far a record is kept, as bits of the hello's answer and as the level of a verdict.
pub mod level {
    /// Durable on this node.
    pub const STORED: u8 = 1;
    /// Durable on a second copy as well.
    pub const SAFE: u8 = 1 << 1;
}

layout! {
    /// The first frame of a connection, from the client, without a MAC.
    Hello<'a> = "hello" {
        /// lowest protocol version the client speaks
        version_min: u8,
        /// highest one
        version_max: u8,
        /// features it can use, as bits
        features: u64,
        /// those of them without which it goes away
        features_needed: u64,
        /// check value of the zone key it will use
        key_check: [u8; 3],
        /// fresh random bytes
        random: [u8; 16],
        /// chosen once by the gateway at random, the same over all its connections
        session: [u8; 16],
        /// the participant
        participant: Name<'a>,
        /// the gateway, one of the participant's
        gateway: Name<'a>,
        ;
        /// program and version, for people
        0x0001 software: Text<'a>,
    }
}

layout! {
    /// The server's answer; from here on both sides have session keys.
    HelloAnswer<'a> = "hello answer" {
        /// the version that is spoken from here on
        version: u8,
        /// the features that are: a subset of those of the hello
        features: u64,
        /// fresh random bytes
        random: [u8; 16],
        /// 1 if the session id is known from an earlier connection, else 0
        resumed: u8,
        /// the most that a frame may measure from here on
        frame_bytes_max: u32,
        /// the most records of a batch
        batch_records_max: u32,
        /// the most records of a part
        part_records_max: u16,
        /// send something at least so often; three times without is the end
        heartbeat_seconds: u16,
        /// the server's clock, milliseconds since 1970-01-01 UTC
        server_time_ms: u64,
        /// levels offered: bit 0 stored, bit 1 safe
        levels: u8,
        /// records that may have been sent in all since the hello
        credits: u64,
        /// batches of this gateway that are open
        batches_open: u16,
        ;
        /// of those, at most 32: batch id and next index of each
        0x0001 batches: OpenBatches<'a>,
        /// program and version, for people
        0x0002 software: Text<'a>,
    }
}

layout! {
    /// Nothing else was to be said for a while. Either side; the other answers.
    Heartbeat = "heartbeat" {
        /// the sender's clock, milliseconds since 1970-01-01 UTC
        time_ms: u64,
        ;
    }
}

layout! {
    /// The answer to a heartbeat.
    HeartbeatAnswer = "heartbeat answer" {
        /// the time that was asked with
        asked_ms: u64,
        /// the clock of whoever answers
        time_ms: u64,
        ;
    }
}

layout! {
    /// The client may send more.
    Credit = "credit" {
        /// records that may have been sent in all since the hello
        credits: u64,
        ;
    }
}

layout! {
    /// The last frame of a side; the connection is closed behind it.
    Goodbye<'a> = "goodbye" {
        /// one of the reasons of a goodbye
        reason: u8,
        ;
        /// for people
        0x0001 text: Text<'a>,
    }
}

layout! {
    /// Something is refused: what the correlation names, or the connection.
    Fault<'a> = "error" {
        /// one of the error codes
        code: u16,
        /// 1 if the connection is closed behind this frame, else 0
        fatal: u8,
        /// the tag that is at fault, or 0
        tag: u16,
        /// the byte of the body that is at fault, or 0
        offset: u32,
        ;
        /// for people
        0x0001 text: Text<'a>,
        /// lowest and highest version that the server speaks
        0x0002 versions: [u8; 2],
        /// features that it offers
        0x0003 features: u64,
        /// wait so long before the next try
        0x0004 retry_after_ms: u32,
    }
}

/// Batches that are open: id and next index of each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenBatches<'a>(&'a [[u8; 12]]);

impl<'a> OpenBatches<'a> {
    /// The most that a hello answer names.
    pub const COUNT_MAX: usize = 32;

    /// Those that [`OpenBatches::push`] wrote; `None` when it is no whole number of them, or more than 32.
    pub fn new(bytes: &'a [u8]) -> Option<OpenBatches<'a>> {
        let (rows, rest) = bytes.as_chunks();
        (rest.is_empty() && rows.len() <= OpenBatches::COUNT_MAX).then_some(OpenBatches(rows))
    }

    /// Appends one to bytes for [`OpenBatches::new`].
    pub fn push(batch: u64, next: u32, out: &mut Vec<u8>) {
        batch.write(out);
        next.write(out);
    }

    /// Batch id and next index.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u32)> + use<'a> {
        self.0.iter().map(|&[a, b, c, d, e, f, g, h, i, j, k, l]| {
            (u64::from_be_bytes([a, b, c, d, e, f, g, h]), u32::from_be_bytes([i, j, k, l]))
        })
    }
}

impl<'a> Wire<'a> for OpenBatches<'a> {
    const SHAPE: &'static str = "n times u64, u32";
    const BYTES: Option<usize> = None;

    fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ReadError> {
        let offset = reader.at();
        let bytes = reader.rest();
        OpenBatches::new(bytes).ok_or_else(|| reader.wrong(field, offset, "at most 32 times 12 bytes"))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_flattened());
    }

    #[cfg(test)]
    fn made(maker: &mut Maker<'a>) -> Self {
        OpenBatches(maker.some(0, 60).as_chunks().0)
    }
}

impl Goodbye<'_> {
    /// A goodbye without a text.
    pub const fn of(reason: super::Reason) -> Goodbye<'static> {
        Goodbye { reason: reason.number(), text: None }
    }
}

impl<'a> Fault<'a> {
    /// An error of this code.
    pub const fn of(code: super::ErrorCode, fatal: bool) -> Fault<'a> {
        Fault {
            code: code.number(),
            fatal: fatal as u8,
            tag: 0,
            offset: 0,
            text: None,
            versions: None,
            features: None,
            retry_after_ms: None,
        }
    }

    /// The error that tells of what could not be read, in what begins at this byte of the body.
    pub fn unreadable(error: &ReadError, begins_at: usize) -> Fault<'a> {
        let offset = u32::try_from(begins_at + error.offset()).unwrap_or(u32::MAX);
        Fault { tag: error.tag(), offset, ..Fault::of(error.code(), false) }
    }
}
