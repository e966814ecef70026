//! The codes of the gateway protocol, and what a gateway does on each: errors, reasons of a goodbye, verdicts.
//!
//! On the wire they are numbers, and a number that is not here is no format error: a newer peer may have more.

use super::layout::ReadError;

/// What a gateway does when it is told a code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Advice {
    /// The records may be deleted as soon as the level agreed on is reached.
    Delete,
    /// Ask again later on this connection, after `retry_after_ms` when that is told.
    Retry,
    /// Open the batch again and go on from the next index it names.
    Reopen,
    /// Connect again after the back-off and resend what is not acknowledged.
    Reconnect,
    /// Keep what it concerns, do not send it again by itself, and show it to a person.
    Keep,
    /// Stop: program or settings are wrong, and repeating changes nothing. Call the operator of the switch.
    Call,
    /// Stay away until a person says otherwise.
    Stop,
}

impl Advice {
    /// As the page calls it.
    pub const fn word(self) -> &'static str {
        match self {
            Advice::Delete => "delete",
            Advice::Retry => "retry",
            Advice::Reopen => "reopen",
            Advice::Reconnect => "reconnect",
            Advice::Keep => "keep",
            Advice::Call => "call",
            Advice::Stop => "stop",
        }
    }
}

/// Declares codes with number, meaning and advice: one list for code and page.
macro_rules! codes {
    (
        $(#[doc = $doc:literal])+
        $name:ident: $number:ident { $( $(#[doc = $about:literal])+ $value:literal $variant:ident $advice:ident, )+ }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum $name { $( $(#[doc = $about])+ $variant, )+ }

        impl $name {
            /// All of them, by number.
            pub const ALL: &'static [$name] = &[$( $name::$variant, )+];

            /// The number on the wire.
            pub const fn number(self) -> $number {
                match self { $( $name::$variant => $value, )+ }
            }

            /// The code of this number, if it is one that is known here.
            pub const fn of(number: $number) -> Option<$name> {
                match number { $( $value => Some($name::$variant), )+ _ => None }
            }

            /// What a gateway does on it.
            pub const fn advice(self) -> Advice {
                match self { $( $name::$variant => Advice::$advice, )+ }
            }

            /// What it says, as the page has it.
            pub fn meaning(self) -> &'static str {
                match self { $( $name::$variant => concat!($($about),+).trim(), )+ }
            }
        }
    };
}

codes! {
    /// What became of a record.
    Verdict: u8 {
        /// Stored.
        0 Stored Delete,
        /// Stored earlier: a repeat, of which nothing is posted twice.
        1 StoredEarlier Delete,
        /// Not stored: it cannot be read; the reason names the code and the place.
        2 Unreadable Keep,
        /// Not stored: older than the window, or more than five minutes ahead of the server's clock.
        3 OutsideWindow Keep,
        /// Not stored: records of this kind, city or device are not taken from this gateway.
        4 NotAccepted Keep,
        /// Stored apart: another record with the same key and other contents is there; a person decides.
        5 Conflict Delete,
        /// Stored and suspended: its TAC or signature is wrong; a person decides.
        6 Suspended Delete,
    }
}

codes! {
    /// Why something was refused.
    ErrorCode: u16 {
        /// No protocol version in common; the error names those that the server speaks.
        1 Version Call,
        /// A feature that the client needs is not offered; the error names those that are.
        2 Feature Call,
        /// Participant or gateway is not known here.
        3 Unknown Call,
        /// The participant has no key with the check value of the hello.
        4 Key Call,
        /// The MAC does not hold.
        5 Mac Reconnect,
        /// A frame is missing or came twice.
        6 Sequence Reconnect,
        /// A frame over the limit, too short, with flags that are not known, or a question with correlation 0.
        7 Frame Call,
        /// A message that may not come now, or not from this side.
        8 Turn Call,
        /// More records were sent than were granted.
        9 Credit Reconnect,
        /// A message type, record kind or record version that is not known.
        16 NoSuch Call,
        /// A body or record ends inside a field.
        17 Short Call,
        /// A field holds what it must not hold.
        18 Value Call,
        /// A tag is there twice or out of order.
        19 Order Call,
        /// A mandatory tag is not known.
        20 Tag Call,
        /// The feature was not agreed on in the hello.
        21 NotAgreed Call,
        /// Too much is going on; nothing was stored.
        32 Overload Retry,
        /// The switch is starting, draining or without room for new records; nothing was stored.
        33 NotReady Retry,
        /// No batch of this id is open.
        48 BatchUnknown Reopen,
        /// The batch was opened with another hash, count, sum or content.
        49 BatchConflict Keep,
        /// A part leaves a gap, or reaches beyond the batch.
        50 BatchIndex Reopen,
        /// A batch announces no records or too many, or a part has too many.
        51 BatchSize Call,
        /// More batches are open than a gateway may have.
        52 BatchMany Retry,
        /// The reference was used for a transaction with other contents.
        64 Reference Keep,
        /// Transactions of this kind are not taken from this gateway.
        65 Family Call,
        /// No list of this id.
        80 ListUnknown Call,
        /// The version is not one of this list: ask from version 0.
        81 ListVersion Retry,
        /// No books of this date are kept.
        96 DateUnknown Keep,
    }
}

codes! {
    /// Why a connection ends.
    Reason: u8 {
        /// The sender has nothing more to say.
        0 Done Reconnect,
        /// Another connection of the same session has taken over.
        1 TakenOver Stop,
        /// The switch stops or drains.
        2 Draining Reconnect,
        /// Nothing was heard for three heartbeats.
        3 Idle Reconnect,
        /// The sender failed at something that it does not explain.
        4 Error Reconnect,
        /// The zone key changed: a new hello agrees on new keys.
        5 KeyChange Reconnect,
        /// The sequence is used up.
        6 SequenceEnd Reconnect,
        /// An operator closed it.
        7 Operator Call,
        /// More connections than the participant may have.
        8 TooMany Reconnect,
    }
}

impl ReadError {
    /// The code that tells a peer of it.
    pub const fn code(&self) -> ErrorCode {
        match self {
            ReadError::Short { .. } => ErrorCode::Short,
            ReadError::Value { .. } => ErrorCode::Value,
            ReadError::Order { .. } => ErrorCode::Order,
            ReadError::Unknown { .. } => ErrorCode::Tag,
            ReadError::NoSuch { .. } => ErrorCode::NoSuch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_one_code_and_they_ascend() {
        assert!(ErrorCode::ALL.windows(2).all(|two| two[0].number() < two[1].number()));
        assert!(ErrorCode::ALL.iter().all(|code| ErrorCode::of(code.number()) == Some(*code)));
        assert!(Verdict::ALL.iter().all(|code| Verdict::of(code.number()) == Some(*code)));
        assert!(Reason::ALL.iter().all(|code| Reason::of(code.number()) == Some(*code)));
        assert_eq!((ErrorCode::of(0), Verdict::of(7), Reason::of(9)), (None, None, None));
    }
}
