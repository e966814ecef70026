//! Dialects of ISO 8583: bytes in, fields out.
//!
//! A [`Dialect`] is compiled from a TOML table once; after that it decodes a payload into a [`Layout`] of
//! offsets without allocating, and encodes a [`Draft`] of borrowed values. This crate has no clock, no socket
//! and no file, never panics on bytes from outside, and never puts a card number, track or PIN into an error.

#![warn(missing_docs)]

mod check;
mod codes;
mod convert;
mod decode;
mod describe;
mod dialect;
mod ebcdic;
mod encode;
mod fields;
mod framing;
pub mod gate;
mod kind;
mod load;
mod mask;
mod message;
mod mti;
#[cfg(test)]
mod properties;
mod secret;
mod spec;
mod structure;
mod text;
mod tlv;

pub use codes::{Code, Codes};
pub use decode::{At, DecodeError, Layout, Part};
pub use describe::{PartForm, ValueForm};
pub use dialect::{Dialect, ReversalStyle};
pub use encode::{Draft, EncodeError, Encoded};
pub use fields::{FieldSet, FieldSetError};
pub use framing::{FrameError, FrameSpan, Framing, LengthPrefix, LooksLike};
pub use kind::{Kind, KindRow};
pub use load::{DialectError, DialectErrors};
pub use mask::FieldMask;
pub use message::Message;
pub use mti::Mti;
pub use secret::{Masked, Pan, PinBlock, Track2, masked};
pub use spec::Sensitivity;
pub use structure::{Inner, Node, StructureError, unknown_and_repeated};
pub use text::{digits, hex, unhex, write_digits};
