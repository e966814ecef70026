//! Kinds of transaction, and the table by which a dialect tells them apart (message type, F3, F25, F60, F70).

use crate::message::Message;
use crate::mti::Mti;
use serde::{Deserialize, Serialize};

/// Declares the kinds once: variant and name.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// What a message asks for, whatever its dialect.
        ///
        /// Stored by position in the journal: new kinds are added at the end.
        #[non_exhaustive]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Kind { $($(#[$doc])* $variant,)+ }

        impl Kind {
            /// All kinds.
            pub const ALL: &[Kind] = &[$(Kind::$variant),+];

            /// The kind's name in configs, logs and reports.
            pub const fn as_str(self) -> &'static str {
                match self { $(Kind::$variant => $name,)+ }
            }
        }
    };
}

kinds! {
    /// Asks whether a payment would be honoured; no money moves.
    Authorization = "authorization",
    /// Pays for goods or services.
    Purchase = "purchase",
    /// Pays out cash.
    Cash = "cash",
    /// Holds an amount to be completed later.
    PreAuthorization = "pre-authorization",
    /// Gives a held amount back.
    PreAuthCancel = "pre-auth-cancel",
    /// Takes a held amount.
    Completion = "completion",
    /// Undoes a completion.
    CompletionCancel = "completion-cancel",
    /// Undoes a purchase of the same day.
    Void = "void",
    /// Gives money back for an earlier purchase.
    Refund = "refund",
    /// Asks for the balance.
    Balance = "balance",
    /// Tells of an authorization given elsewhere.
    AuthorizationAdvice = "authorization-advice",
    /// Tells of a purchase made elsewhere.
    PurchaseAdvice = "purchase-advice",
    /// Tells of a completion made elsewhere.
    CompletionAdvice = "completion-advice",
    /// Undoes a message whose outcome the sender does not know.
    Reversal = "reversal",
    /// Opens a session of a terminal or link.
    SignOn = "sign-on",
    /// Closes it.
    SignOff = "sign-off",
    /// Asks for a sign of life.
    Echo = "echo",
    /// Changes working keys.
    KeyChange = "key-change",
    /// Begins the next business date.
    CutOver = "cut-over",
}

impl Kind {
    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }
}

/// One row of a dialect's kind table: a message is of this kind if all that is given here agrees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KindRow {
    /// The kind.
    pub kind: Kind,
    /// The message type, without repeat digit.
    pub mti: Mti,
    /// The first two digits of the processing code.
    pub f3: Option<[u8; 2]>,
    /// The condition code.
    pub f25: Option<[u8; 2]>,
    /// The first two digits of F60 (POS dialects: type of message).
    pub f60_1: Option<[u8; 2]>,
    /// The network management code.
    pub f70: Option<[u8; 3]>,
    /// Digits 9 to 11 of F60 (POS dialects: network management code).
    pub f60_3: Option<[u8; 3]>,
}

impl KindRow {
    /// Neither a reversal nor a network message: a later message may name it.
    pub(crate) fn may_be_original(&self) -> bool {
        !matches!(self.mti.class() & 0xf, 0x4 | 0x8)
    }
}

/// Where the parts of F60 begin in POS dialects: type n2, batch n6, network code n3.
const F60_1_AT: usize = 0;
const F60_3_AT: usize = 8;

impl Message<'_> {
    /// The kind of transaction by the dialect's table: the first row that agrees, `None` if none does.
    pub fn kind(&self) -> Option<Kind> {
        let mti = self.mti().without_repeat();
        let mut rows = self.dialect().kinds.iter().filter(|row| row.mti == mti);
        rows.find(|row| self.agrees(row)).map(|row| row.kind)
    }

    /// The message type of what a reversal is of, by its F3, F25 and F60, which it has from its original; `None`
    /// where they fit messages of none or of several types.
    pub fn original_mti(&self) -> Option<Mti> {
        let mut rows = self.dialect().kinds.iter().filter(|row| row.may_be_original() && self.agrees(row));
        let mti = rows.next()?.mti;
        rows.all(|row| row.mti == mti).then_some(mti)
    }

    fn agrees(&self, row: &KindRow) -> bool {
        row.f3.is_none_or(|digits| self.part(3, 0) == Some(digits))
            && row.f25.is_none_or(|digits| self.part(25, 0) == Some(digits))
            && row.f60_1.is_none_or(|digits| self.part(60, F60_1_AT) == Some(digits))
            && row.f70.is_none_or(|digits| self.part(70, 0) == Some(digits))
            && row.f60_3.is_none_or(|digits| self.part(60, F60_3_AT) == Some(digits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found_again() {
        for &kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::parse("Purchase"), None);
        assert_eq!(Kind::PreAuthCancel.as_str(), "pre-auth-cancel");
    }
}
