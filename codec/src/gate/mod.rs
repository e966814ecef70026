//! The gateway protocol: how transit and platform gateways hand over taps, batches and transactions.
//!
//! Bytes in, borrowed views out, and back. [`next`] cuts a stream into frames; whoever takes a [`Frame`] checks its MAC
//! and [`Sequence`] and then reads its [`Message`]; a record inside is cut out first and read later, so that a bad one
//! costs nobody else. Memory is bounded by the frame limit, decoding allocates nothing, and no bytes from outside can
//! panic. `docs/wire.md` is the protocol for those who write the other side; its tables are made of these layouts.

mod batch;
mod codes;
mod frame;
mod hello;
mod layout;
mod lists;
mod message;
mod record;
mod taps;
#[cfg(test)]
mod tests;
mod totals;
mod transaction;
mod values;

pub use batch::{
    BatchClosed, BatchOpen, BatchPart, BatchState, BatchVerdicts, Earlier, Reasons, Safe, Tap, TapVerdict,
    Unreadable, Verdicts,
};
pub use codes::{Advice, ErrorCode, Reason, Verdict};
pub use frame::{
    FLAG_NO_MAC, FRAME_BYTES_BEFORE_ANSWER, FRAME_BYTES_MAX, Frame, GateFrameError, HEAD_BYTES, Head,
    MAC_BYTES, Sequence, SequenceError, next, write, write_open,
};
pub use hello::{
    Credit, Fault, Goodbye, Heartbeat, HeartbeatAnswer, Hello, HelloAnswer, OpenBatches, VERSION, feature,
    level,
};
pub use layout::{Layout, ReadError, Reader, Row, TAG_MANDATORY, Wire};
pub use lists::{Entries, ListAck, ListDelta, ListPoll};
pub use message::{Described, Message, Sender, groups};
pub use record::{RawRecord, Record, Records};
pub use taps::{ClosedTap, Discount, Label, LastUse, OpenTap, Place, QrRide, Staff, TapHead, Transfer};
pub use totals::{Totals, TotalsAnswer};
pub use transaction::{
    CardStatus, CostParts, DisbursementLine, Identity, Medical, Payment, Person, Shares, Transaction,
    TransactionAnswer, TransactionHead,
};
pub use values::{Account, Block, Chip, Date, Fields, Id, LocalTime, Name, Raw, Secret, Text};
