//! The inside of a field: parts in fixed order, tags and lengths in several forms, and parts within parts.
//!
//! Off the hot path: a switch forwards private fields as they are; this is for those who read and write messages.
//! What is opened and closed again is the same bytes: unknown and repeated tags, fillers and long forms of lengths
//! are kept. Whatever the bytes, opening ends with parts or with an error that names the place.

mod ber;
mod close;
mod open;
#[cfg(test)]
mod tests;

use crate::dialect::Dialect;
use crate::spec::{Prefix, Sensitivity, Spec};
use std::fmt;
use zeroize::Zeroizing;

/// Parts within parts; more is a mistake of the file or of the bytes.
const DEPTH_MAX: usize = 8;

/// One part of a structured value.
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    /// Position from 1, or tag: hexadecimal where tags are bytes, else the characters.
    pub id: String,
    /// What the dialect calls it; empty where it does not know the tag.
    pub name: String,
    /// Why the value must not be shown.
    pub sensitivity: Sensitivity,
    /// True if the value is characters, false if it is bytes.
    pub is_text: bool,
    /// Bytes of the length as it was written; 0 for the shortest form. Kept so that what is closed again is the same.
    pub length_bytes: u8,
    /// What it holds.
    pub inner: Inner,
}

/// What a part holds.
#[derive(Clone, PartialEq, Eq)]
pub enum Inner {
    /// A canonical value, wiped when dropped.
    Value(Zeroizing<Vec<u8>>),
    /// Parts of its own.
    Parts(Vec<Node>),
}

impl Node {
    /// True if the dialect knows the part.
    pub fn is_known(&self) -> bool {
        !self.name.is_empty()
    }
}

/// Names the part, not its value.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner {
            Inner::Value(value) => write!(f, "{}({} bytes)", self.id, value.len()),
            Inner::Parts(parts) => write!(f, "{}{parts:?}", self.id),
        }
    }
}

/// How many parts the dialect does not know, at any depth, and how many tags came a second time among their neighbours.
pub fn unknown_and_repeated(nodes: &[Node]) -> (usize, usize) {
    let (mut unknown, mut repeated) = (0, 0);
    for (at, node) in nodes.iter().enumerate() {
        unknown += usize::from(!node.is_known());
        repeated += usize::from(nodes[..at].iter().any(|earlier| earlier.id == node.id));
        if let Inner::Parts(parts) = &node.inner {
            let (inner_unknown, inner_repeated) = unknown_and_repeated(parts);
            unknown += inner_unknown;
            repeated += inner_repeated;
        }
    }
    (unknown, repeated)
}

/// Why a value does not have the structure of its field, or parts cannot be put together to one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StructureError {
    /// The value ends too early.
    #[error("{path}: needs {needed} bytes at byte {offset}, {left} are left")]
    Truncated {
        /// Field and parts, outermost first, as `55.70.9F26`.
        path: String,
        /// Where in the value that the structure belongs to.
        offset: usize,
        /// Bytes needed.
        needed: usize,
        /// Bytes there are.
        left: usize,
    },
    /// Bytes or characters that may not stand there.
    #[error("{path}: expected {expected} at byte {offset}")]
    Content {
        /// Field and parts, outermost first.
        path: String,
        /// Where in the value that the structure belongs to.
        offset: usize,
        /// What was expected.
        expected: String,
    },
    /// A part is too long or too short.
    #[error("{path}: has {found} units, the dialect allows {allowed}")]
    Length {
        /// Field and parts, outermost first.
        path: String,
        /// Digits, characters or bytes found.
        found: usize,
        /// What is allowed.
        allowed: String,
    },
    /// A part that has no place there.
    #[error("{path}: {what}")]
    Misplaced {
        /// Field and parts, outermost first.
        path: String,
        /// What is wrong with it, and what would be right.
        what: String,
    },
    /// Parts within parts beyond the bound.
    #[error("{path}: parts stand within parts more than {DEPTH_MAX} deep")]
    Depth {
        /// Field and parts, outermost first.
        path: String,
    },
}

/// A position in the list of structures of a dialect.
pub(crate) type StructureNo = u16;

/// The structures of a dialect, and which field has which.
#[derive(Default)]
pub(crate) struct Structures {
    pub(crate) list: Vec<Structure>,
    pub(crate) of_field: Vec<(u8, StructureNo)>,
}

/// How the inside of a field or part looks.
pub(crate) struct Structure {
    pub(crate) shape: Shape,
    pub(crate) parts: Vec<PartSpec>,
}

/// How parts follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    /// In a fixed order; the value may end after any of them.
    Positional,
    /// BER-TLV (ISO/IEC 8825-1 as EMV book 3, annex B uses it); constructed tags hold the same again.
    Ber,
    /// Tag and length of fixed sizes, in front of each part.
    Tagged { tag: Tag, length: Prefix, length_first: bool, covers_tag: bool },
    /// One tag in front, which says what all the rest is.
    Usage { tag: Tag },
    /// Data sets (ISO 8583:2003, data set identifiers): an identifier of one byte, a length of two, then BER-TLV.
    DataSets,
}

/// A tag of fixed size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tag {
    pub(crate) bytes: u8,
    /// Characters; else bytes, written as hexadecimal.
    pub(crate) is_text: bool,
}

impl Tag {
    fn id(self, bytes: &[u8]) -> Option<String> {
        if !self.is_text {
            return Some(crate::text::hex(bytes));
        }
        bytes.iter().all(u8::is_ascii_graphic).then(|| bytes.iter().copied().map(char::from).collect())
    }

    /// The bytes of a tag, if it is one of this size.
    pub(crate) fn parse(self, id: &str) -> Option<Vec<u8>> {
        let bytes = if self.is_text {
            Some(id.as_bytes().to_vec()).filter(|bytes| bytes.iter().all(u8::is_ascii_graphic))
        } else {
            crate::text::unhex(id)
        };
        bytes.filter(|bytes| bytes.len() == usize::from(self.bytes))
    }
}

/// One part that a structure knows.
pub(crate) struct PartSpec {
    /// Position from 1, or tag in the spelling of [`Node::id`].
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) spec: Spec,
    /// It ends where what holds it ends.
    pub(crate) open_ended: bool,
    pub(crate) inside: Option<StructureNo>,
}

impl Dialect {
    /// True if the dialect says how the inside of field `n` looks.
    pub fn has_structure(&self, n: u8) -> bool {
        self.structure_of(n).is_some()
    }

    /// The parts of the canonical value of field `n`; `None` if the dialect does not say how its inside looks.
    ///
    /// # Errors
    /// If the value does not have that structure.
    pub fn open(&self, n: u8, value: &[u8]) -> Option<Result<Vec<Node>, StructureError>> {
        let structure = self.structure_of(n)?;
        Some(open::open(&self.structures, structure, value, &n.to_string()))
    }

    /// The canonical value of field `n` that these parts make; `None` if the dialect does not say how its inside looks. Names
    /// and sensitivities of the parts are not looked at.
    ///
    /// # Errors
    /// If a part has no place there, or does not fit into it.
    pub fn close(&self, n: u8, nodes: &[Node]) -> Option<Result<Zeroizing<Vec<u8>>, StructureError>> {
        let structure = self.structure_of(n)?;
        Some(close::close(&self.structures, structure, nodes, &n.to_string()))
    }

    fn structure_of(&self, n: u8) -> Option<&Structure> {
        let (_, no) = self.structures.of_field.iter().find(|row| row.0 == n)?;
        self.structures.list.get(usize::from(*no))
    }
}
