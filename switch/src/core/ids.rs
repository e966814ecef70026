//! The identities the core speaks of. Each is a type of its own, so that two bare integers never
//! stand side by side in a call. Ids that rest in the journal are assigned by entries, never by
//! positions in a file.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
        pub struct $name(pub $inner);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

id!(
    /// An institution: acquirer, issuer or platform. Assigned by `Entry::Named`, kept for good.
    ParticipantId(u16)
);
id!(
    /// One transaction: shard in the top byte, then a count that only grows.
    TxId(u64)
);
id!(
    /// One entry of the journal: its number since the journal began. Also the position to fetch it by.
    Seq(u64)
);
id!(
    /// Something the switch owes a participant; printed and typed by operators.
    ObligationId(u64)
);
id!(
    /// One kept payment (an approved transaction that a void, completion, refund or reversal may name).
    OriginalNo(u64)
);
id!(
    /// A settlement day, as the number yyyymmdd.
    BusinessDate(u32)
);
id!(
    /// Which listener a request came through: an index into the running configuration, never journalled.
    ListenerNo(u16)
);
id!(
    /// One connection to a participant's host.
    LineId(u32)
);

/// One accepted connection. The generation tells a reused slot from the old one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SessionId {
    pub slot: u32,
    pub generation: u32,
}

/// Where a request came from and its answer goes: a terminal's session, or a participant's line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Peer {
    Session(SessionId),
    Line(LineId),
}

/// A live message in the driver's slab; valid until its answer has left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct MsgHandle {
    pub slot: u32,
    pub generation: u32,
}

/// A leg of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct LegRef {
    pub tx: TxId,
    pub leg: u8,
}

/// A keyed 64-bit hash: what comes from outside may key a table only like this (P11). What it finds is checked by more: a
/// dedupe key by its fingerprint, a payment by its card and amount.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct KeyedHash(#[serde(with = "raw_number")] pub u64);

/// A card as everything but the wire knows it: a keyed hash of its number (P10).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CardToken(#[serde(with = "raw")] pub [u8; 16]);

/// Bytes, of a fixed number or any, as one run: postcard would write and read them one by one.
pub(super) mod raw {
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};
    use std::fmt;
    use std::marker::PhantomData;

    pub(crate) fn serialize<S: Serializer>(bytes: &impl AsRef<[u8]>, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_bytes(bytes.as_ref())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: for<'a> TryFrom<&'a [u8]>>(
        input: D,
    ) -> Result<T, D::Error> {
        struct Run<T>(PhantomData<T>);
        impl<T: for<'a> TryFrom<&'a [u8]>> Visitor<'_> for Run<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "the bytes of {}", std::any::type_name::<T>())
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<T, E> {
                T::try_from(bytes).map_err(|_| E::invalid_length(bytes.len(), &self))
            }
        }
        input.deserialize_bytes(Run(PhantomData))
    }
}

/// A secret-keyed number as eight bytes: as a varint it would take ten, and ten steps.
pub(super) mod raw_number {
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(number: &u64, out: S) -> Result<S::Ok, S::Error> {
        super::raw::serialize(&number.to_le_bytes(), out)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<u64, D::Error> {
        super::raw::deserialize(input).map(u64::from_le_bytes)
    }
}

impl fmt::Debug for CardToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "card:{self}")
    }
}

impl fmt::Display for CardToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0[..6] {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// The moment a batch is decided at: short deadlines use `mono_us`, everything that must survive
/// a restart uses `wall_ms`, which never runs backwards.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Now {
    pub mono_us: u64,
    pub wall_ms: u64,
}

/// An amount in minor units of one currency (F4 with F49); never converted (rule 16).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Money {
    pub minor: u64,
    pub currency: Currency,
}

/// ISO 4217 numeric code (F49).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Currency(pub u16);
