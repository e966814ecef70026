//! Proof as a value: an [`Authentic`] can only come from a verified MAC or from a waiver that says why.
//! This module must never offer another way to make one.

/// A value whose origin was verified, or waived for a stated reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authentic<T> {
    value: T,
    waiver: Option<Waiver>,
}

/// Why a value is taken without a MAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Waiver {
    /// No MAC key is configured for the participant, whoever reaches the address; production refuses that.
    NoMacKey,
    /// The peer was authenticated by mutual TLS and its dialect has no MAC.
    MutualTlsWithoutMac,
    /// A sign-on or key-exchange message, which travels before a MAC key exists.
    BeforeKeys,
    /// The switch made it itself: obligations, recovery, timers.
    OwnCustody,
}

/// Declares a value authentic for the reason given; the only way around a MAC.
pub fn waive<T>(why: Waiver, value: T) -> Authentic<T> {
    Authentic { value, waiver: Some(why) }
}

impl<T> Authentic<T> {
    /// Only a verified MAC may call this.
    pub(crate) fn verified(value: T) -> Authentic<T> {
        Authentic { value, waiver: None }
    }

    /// The value.
    pub fn get(&self) -> &T {
        &self.value
    }

    /// Gives the value up, and the proof with it.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// Derives another value from this one; the proof goes along.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Authentic<U> {
        Authentic { value: f(self.value), waiver: self.waiver }
    }

    /// The reason when no MAC was verified.
    pub fn waiver(&self) -> Option<Waiver> {
        self.waiver
    }
}
