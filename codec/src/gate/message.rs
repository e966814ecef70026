//! The messages by type: which there are, who sends them, and their reading and writing.

use super::batch::{
    BatchClosed, BatchOpen, BatchPart, BatchState, BatchVerdicts, Safe, Tap, TapVerdict, Unreadable,
};
use super::hello::{Credit, Fault, Goodbye, Heartbeat, HeartbeatAnswer, Hello, HelloAnswer};
use super::layout::{Layout, ReadError, Row};
use super::lists::{ListAck, ListDelta, ListPoll};
use super::taps::{Discount, Label, LastUse, Place, Staff, Transfer};
use super::totals::{Totals, TotalsAnswer};
use super::transaction::{CostParts, Person, Shares, Transaction, TransactionAnswer};

/// Who sends a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sender {
    /// The gateway.
    Client,
    /// The switch.
    Server,
    /// Either.
    Both,
}

/// One layout as data: for the page, for a dissector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Described {
    /// The type of the message, or the kind of the record.
    pub number: u8,
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub meaning: &'static str,
    /// Its fields.
    pub rows: Vec<Row>,
}

macro_rules! messages {
    ($( $number:literal $variant:ident($layout:ty) $sender:ident, )+) => {
        /// A message of the gateway protocol.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[expect(missing_docs, reason = "each is named after its layout, which is documented")]
        pub enum Message<'a> { $( $variant($layout), )+ }

        impl<'a> Message<'a> {
            /// Reads a body of this type.
            ///
            /// # Errors
            /// When there is no such type, or the body is not what its layout says.
            pub fn decode(kind: u8, body: &'a [u8]) -> Result<Message<'a>, ReadError> {
                match kind {
                    $( $number => <$layout>::decode(body).map(Message::$variant), )+
                    _ => Err(ReadError::NoSuch { what: "message type", number: kind }),
                }
            }

            /// The type.
            pub const fn kind(&self) -> u8 {
                match self { $( Message::$variant(_) => $number, )+ }
            }

            /// Who sends it.
            pub const fn sender(&self) -> Sender {
                match self { $( Message::$variant(_) => Sender::$sender, )+ }
            }

            /// Appends the body.
            ///
            /// # Panics
            /// When a value is too long for its field.
            pub fn encode(&self, out: &mut Vec<u8>) {
                match self { $( Message::$variant(message) => Layout::encode(message, out), )+ }
            }

            /// All messages as data, by type, with who sends each.
            pub fn described() -> Vec<(Sender, Described)> {
                vec![$( (Sender::$sender, describe::<$layout>($number)), )+]
            }

            #[cfg(test)]
            pub(super) fn made(number: u8, maker: &mut super::tests::Maker<'a>) -> Message<'a> {
                const ALL: &[u8] = &[$( $number, )+];
                match ALL[usize::from(number) % ALL.len()] {
                    $( $number => Message::$variant(super::layout::Wire::made(maker)), )+
                    _ => unreachable!("the list has all types"),
                }
            }
        }
    };
}

messages! {
    0x01 Hello(Hello<'a>) Client,
    0x02 HelloAnswer(HelloAnswer<'a>) Server,
    0x03 Heartbeat(Heartbeat) Both,
    0x04 HeartbeatAnswer(HeartbeatAnswer) Both,
    0x05 Credit(Credit) Server,
    0x06 Goodbye(Goodbye<'a>) Both,
    0x07 Fault(Fault<'a>) Both,
    0x10 Tap(Tap<'a>) Client,
    0x11 TapVerdict(TapVerdict) Server,
    0x12 BatchOpen(BatchOpen<'a>) Client,
    0x13 BatchState(BatchState) Server,
    0x14 BatchPart(BatchPart<'a>) Client,
    0x15 BatchVerdicts(BatchVerdicts<'a>) Server,
    0x16 BatchClosed(BatchClosed) Server,
    0x17 Safe(Safe) Server,
    0x20 Transaction(Transaction<'a>) Client,
    0x21 TransactionAnswer(TransactionAnswer<'a>) Server,
    0x30 ListPoll(ListPoll) Client,
    0x31 ListDelta(ListDelta<'a>) Server,
    0x32 ListAck(ListAck) Client,
    0x40 Totals(Totals) Client,
    0x41 TotalsAnswer(TotalsAnswer<'a>) Server,
}

impl Message<'_> {
    /// Whether it is a question: it has a correlation, and an answer.
    pub const fn asks(&self) -> bool {
        matches!(
            self,
            Message::Hello(_)
                | Message::Heartbeat(_)
                | Message::Tap(_)
                | Message::BatchOpen(_)
                | Message::BatchPart(_)
                | Message::Transaction(_)
                | Message::ListPoll(_)
                | Message::Totals(_)
        )
    }
}

/// The rows of one layout.
pub(super) fn describe<'a, T: Layout<'a>>(number: u8) -> Described {
    let mut rows = Vec::new();
    T::rows("", "", &mut rows);
    Described { number, name: T::NAME, meaning: T::MEANING.trim(), rows }
}

/// The groups of fields that stand as the value of a tag, as data.
pub fn groups() -> Vec<Described> {
    vec![
        describe::<Unreadable>(0),
        describe::<Place>(0),
        describe::<LastUse>(0),
        describe::<Discount>(0),
        describe::<Transfer>(0),
        describe::<Staff>(0),
        describe::<Label>(0),
        describe::<CostParts>(0),
        describe::<Shares>(0),
        describe::<Person>(0),
    ]
}
