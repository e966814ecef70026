//! The mix: which kinds of payment terminals make, by weight.
//!
//! Some kinds need an earlier payment of the same terminal (a void, a refund, a completion, a cancellation, a
//! reversal); without one a purchase or pre-authorization is made instead, so the shares made can differ from those
//! asked for.

use std::fmt;
use std::str::FromStr;
use yika_codec::{Dialect, Kind};

/// One thing that a terminal does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// A purchase.
    Purchase,
    /// A purchase partly paid by a coupon.
    Coupon,
    /// A void of the terminal's last purchase.
    Void,
    /// A refund of half of the terminal's last purchase.
    Refund,
    /// A pre-authorization.
    PreAuth,
    /// A completion of the terminal's last pre-authorization.
    Completion,
    /// A cancellation of the terminal's last pre-authorization.
    PreAuthCancel,
    /// A cancellation of the terminal's last completion.
    CompletionCancel,
    /// A balance inquiry.
    Balance,
    /// A reversal of the terminal's last purchase, as when a customer walks away.
    Reversal,
    /// An advice of a purchase that was made offline.
    Advice,
}

const NAMES: [(&str, Act); 11] = [
    ("purchase", Act::Purchase),
    ("coupon", Act::Coupon),
    ("void", Act::Void),
    ("refund", Act::Refund),
    ("pre-auth", Act::PreAuth),
    ("completion", Act::Completion),
    ("pre-auth-cancel", Act::PreAuthCancel),
    ("completion-cancel", Act::CompletionCancel),
    ("balance", Act::Balance),
    ("reversal", Act::Reversal),
    ("advice", Act::Advice),
];

/// Weights add up to at most this.
const WEIGHT_MAX: u32 = 1_000_000;

/// What terminals do, by weight.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mix {
    weights: [u32; NAMES.len()],
}

/// A mix that cannot be read or made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MixError {
    /// A word that no mix has.
    #[error("mix: `{name}` is unknown; there are {}", names())]
    Name {
        /// The word.
        name: String,
    },
    /// A weight that is no number.
    #[error("mix: `{text}`: expected a kind and its weight, such as purchase=80")]
    Weight {
        /// The word.
        text: String,
    },
    /// Nothing to do, or weights too large.
    #[error("mix: weights add up to {sum}; they have to be 1 to {WEIGHT_MAX} together")]
    Sum {
        /// Their sum.
        sum: u64,
    },
    /// The dialect has no such message.
    #[error("mix: {name} cannot be sent in {dialect}, which has no message for it")]
    Dialect {
        /// The word.
        name: &'static str,
        /// The dialect.
        dialect: String,
    },
}

impl Default for Mix {
    fn default() -> Mix {
        Mix::only(Act::Purchase)
    }
}

impl Mix {
    /// One thing and nothing else.
    pub fn only(act: Act) -> Mix {
        let mut weights = [0; NAMES.len()];
        weights[act as usize] = 1;
        Mix { weights }
    }

    /// True if some of it is this.
    pub fn has(&self, act: Act) -> bool {
        self.weights.get(act as usize).is_some_and(|weight| *weight > 0)
    }

    /// Checks that the dialect has a message for each thing in it.
    ///
    /// # Errors
    /// Names the first that it has none for.
    pub fn check(&self, dialect: &Dialect) -> Result<(), MixError> {
        for (name, act) in NAMES.into_iter().filter(|row| self.has(row.1)) {
            // The coupon's tag is letters, which field 48 of the terminals' dialect does not take.
            let speaks =
                dialect.kind_row(act.kind()).is_some() && !(act == Act::Coupon && dialect.field_max() < 128);
            if !speaks {
                return Err(MixError::Dialect { name, dialect: dialect.name().to_owned() });
            }
        }
        Ok(())
    }

    /// The act for a draw; any number gives one.
    pub(crate) fn pick(&self, draw: u64) -> Act {
        let sum: u64 = self.weights.iter().map(|weight| u64::from(*weight)).sum();
        let mut left = draw % sum.max(1);
        for (row, weight) in NAMES.iter().zip(self.weights) {
            match left.checked_sub(u64::from(weight)) {
                Some(rest) => left = rest,
                None => return row.1,
            }
        }
        Act::Purchase
    }
}

impl Act {
    /// The kind of message it is.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Act::Purchase | Act::Coupon => Kind::Purchase,
            Act::Void => Kind::Void,
            Act::Refund => Kind::Refund,
            Act::PreAuth => Kind::PreAuthorization,
            Act::Completion => Kind::Completion,
            Act::PreAuthCancel => Kind::PreAuthCancel,
            Act::CompletionCancel => Kind::CompletionCancel,
            Act::Balance => Kind::Balance,
            Act::Reversal => Kind::Reversal,
            Act::Advice => Kind::PurchaseAdvice,
        }
    }
}

impl FromStr for Mix {
    type Err = MixError;

    /// Reads `purchase=80,void=5,balance=15`.
    fn from_str(text: &str) -> Result<Mix, MixError> {
        let mut weights = [0; NAMES.len()];
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let (name, weight) =
                word.split_once('=').ok_or_else(|| MixError::Weight { text: word.to_owned() })?;
            let at = NAMES.iter().position(|row| row.0 == name);
            let at = at.ok_or_else(|| MixError::Name { name: name.to_owned() })?;
            weights[at] = weight.parse().map_err(|_| MixError::Weight { text: word.to_owned() })?;
        }
        let sum = weights.iter().map(|weight| u64::from(*weight)).sum();
        if (1..=u64::from(WEIGHT_MAX)).contains(&sum) {
            Ok(Mix { weights })
        } else {
            Err(MixError::Sum { sum })
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = NAMES.iter().zip(self.weights).filter(|part| part.1 > 0);
        for (at, (row, weight)) in parts.enumerate() {
            write!(f, "{}{}={weight}", if at > 0 { "," } else { "" }, row.0)?;
        }
        Ok(())
    }
}

fn names() -> String {
    NAMES.map(|row| row.0).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_read_and_picked_from() {
        let mix: Mix = "purchase=80, void=5,balance=15".parse().unwrap();
        assert_eq!(mix.to_string(), "purchase=80,void=5,balance=15");
        let count = |act| (0..100).filter(|draw| mix.pick(*draw) == act).count();
        assert_eq!((count(Act::Purchase), count(Act::Void), count(Act::Balance)), (80, 5, 15));
        assert_eq!(Mix::only(Act::Advice).pick(12_345), Act::Advice);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let error = |text: &str| text.parse::<Mix>().unwrap_err().to_string();
        assert!(error("purchases=1").contains("`purchases` is unknown"));
        assert!(error("purchase").contains("purchase=80"));
        assert!(error("void=x").contains("void=x"));
        assert!(error("").contains("add up to 0"));
        assert!(error("void=4294967295,refund=4294967295").contains("8589934590"));
    }

    #[test]
    fn what_a_dialect_cannot_say_is_refused() {
        let pos = Dialect::builtin("pos-bcd").unwrap();
        let refused = Mix::only(Act::Coupon).check(&pos).unwrap_err().to_string();
        assert!(refused.contains("coupon cannot be sent in pos-bcd"), "{refused}");
        assert_eq!(Mix::only(Act::Refund).check(&pos), Ok(()));
        assert_eq!(Mix::only(Act::Coupon).check(&Dialect::builtin("iso87-ascii").unwrap()), Ok(()));
    }
}
