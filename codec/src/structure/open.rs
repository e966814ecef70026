//! From a value to its parts.

use super::{DEPTH_MAX, Inner, Node, PartSpec, Shape, Structure, StructureError, Structures, Tag, ber};
use crate::check;
use crate::spec::{Content, Prefix, Sensitivity, Spec};
use zeroize::Zeroizing;

pub(super) fn open(
    structures: &Structures,
    structure: &Structure,
    value: &[u8],
    path: &str,
) -> Result<Vec<Node>, StructureError> {
    Opening { structures, depth: 0 }.parts(structure, value, path)
}

struct Opening<'a> {
    structures: &'a Structures,
    depth: usize,
}

/// A value, how far it has been read, and where it stands.
struct Reader<'v> {
    value: &'v [u8],
    at: usize,
    path: &'v str,
}

impl<'v> Reader<'v> {
    fn rest(&self) -> &'v [u8] {
        self.value.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, needed: usize) -> Result<&'v [u8], StructureError> {
        let rest = self.rest();
        let Some(taken) = rest.get(..needed) else {
            return Err(self.truncated(needed));
        };
        self.at += needed;
        Ok(taken)
    }

    fn truncated(&self, needed: usize) -> StructureError {
        let (path, offset, left) = (self.path.to_owned(), self.at, self.rest().len());
        StructureError::Truncated { path, offset, needed, left }
    }

    fn content(&self, expected: impl Into<String>) -> StructureError {
        StructureError::Content { path: self.path.to_owned(), offset: self.at, expected: expected.into() }
    }

    fn tag(&mut self, tag: Tag) -> Result<String, StructureError> {
        let bytes = self.take(usize::from(tag.bytes))?;
        tag.id(bytes).ok_or_else(|| self.content(format!("a tag of {} characters", tag.bytes)))
    }

    fn length(&mut self, prefix: Prefix) -> Result<usize, StructureError> {
        let bytes = self.take(prefix.bytes())?;
        prefix.read(bytes).ok_or_else(|| self.content("the digits of a length"))
    }
}

impl Opening<'_> {
    fn parts(&self, structure: &Structure, value: &[u8], path: &str) -> Result<Vec<Node>, StructureError> {
        let mut reader = Reader { value, at: 0, path };
        let mut nodes = Vec::new();
        match structure.shape {
            Shape::Positional => self.positional(structure, &mut reader, &mut nodes)?,
            Shape::Ber => self.ber(structure, &mut reader, &mut nodes)?,
            Shape::Tagged { tag, length, length_first, covers_tag } => {
                let order = (length_first, covers_tag);
                while !reader.rest().is_empty() {
                    nodes.push(self.tagged(structure, &mut reader, tag, length, order)?);
                }
            }
            Shape::Usage { tag } => {
                let id = reader.tag(tag)?;
                let part = structure.parts.iter().find(|part| part.id == id);
                let path = format!("{}.{id}", reader.path);
                nodes.push(self.node(id, part, reader.rest(), &path, 0)?);
            }
            Shape::DataSets => {
                while !reader.rest().is_empty() {
                    nodes.push(self.data_set(structure, &mut reader)?);
                }
            }
        }
        Ok(nodes)
    }

    fn positional(
        &self,
        structure: &Structure,
        reader: &mut Reader<'_>,
        nodes: &mut Vec<Node>,
    ) -> Result<(), StructureError> {
        for part in &structure.parts {
            if reader.rest().is_empty() {
                return Ok(());
            }
            let path = format!("{}.{}", reader.path, part.id);
            let units = if part.open_ended {
                part.spec.units_counted(reader.rest().len(), reader.rest()).unwrap_or_default()
            } else if part.spec.prefix == Prefix::Fixed {
                usize::from(part.spec.units_max)
            } else {
                let at = reader.at;
                let counted = Reader { path: &path, ..*reader }.length(part.spec.prefix)?;
                reader.at = at + part.spec.prefix.bytes();
                part.spec.units_counted(counted, reader.rest()).ok_or_else(|| reader.truncated(counted))?
            };
            let wire = Reader { path: &path, ..*reader }.take(part.spec.wire_bytes(units))?;
            reader.at += wire.len();
            nodes.push(self.known(part.id.clone(), part, wire, units, &path, 0)?);
        }
        let extra = reader.rest().len();
        if extra > 0 {
            return Err(reader.content(format!("the end, {extra} bytes follow the last part")));
        }
        Ok(())
    }

    fn ber(
        &self,
        structure: &Structure,
        reader: &mut Reader<'_>,
        nodes: &mut Vec<Node>,
    ) -> Result<(), StructureError> {
        while let Some(&first) = reader.rest().first() {
            // Zero bytes may stand between objects as filling (EMV book 3, annex B).
            if first == 0 {
                reader.at += 1;
                nodes.push(filler());
                continue;
            }
            let tag =
                ber::tag(reader.rest()).ok_or_else(|| reader.content("a whole tag of up to four bytes"))?;
            reader.at += tag.len();
            let id = crate::text::hex(tag);
            let path = format!("{}.{id}", reader.path);
            let (length, bytes) =
                ber::length(reader.rest()).ok_or_else(|| reader.content("a length in definite form"))?;
            reader.at += usize::from(bytes);
            let value = Reader { path: &path, ..*reader }.take(length)?;
            reader.at += length;
            let length_bytes = if bytes == ber::length_bytes(length) { 0 } else { bytes };
            let part = structure.parts.iter().find(|part| part.id == id);
            let node = if ber::is_constructed(tag) && part.is_none_or(|part| part.inside.is_none()) {
                let inner = Inner::Parts(self.deeper(&path)?.parts(structure, value, &path)?);
                let name = part.map_or(String::new(), |part| part.name.clone());
                Node { id, name, sensitivity: Sensitivity::None, is_text: false, length_bytes, inner }
            } else {
                self.node(id, part, value, &path, length_bytes)?
            };
            nodes.push(node);
        }
        Ok(())
    }

    fn tagged(
        &self,
        structure: &Structure,
        reader: &mut Reader<'_>,
        tag: Tag,
        prefix: Prefix,
        (length_first, covers_tag): (bool, bool),
    ) -> Result<Node, StructureError> {
        let (id, counted) = if length_first {
            let counted = reader.length(prefix)?;
            (reader.tag(tag)?, counted)
        } else {
            (reader.tag(tag)?, reader.length(prefix)?)
        };
        let tag_bytes = if covers_tag { usize::from(tag.bytes) } else { 0 };
        let Some(length) = counted.checked_sub(tag_bytes) else {
            return Err(reader.content(format!("a length of at least {tag_bytes}, which its tag takes")));
        };
        let path = format!("{}.{id}", reader.path);
        let value = Reader { path: &path, ..*reader }.take(length)?;
        reader.at += length;
        let part = structure.parts.iter().find(|part| part.id == id);
        self.node(id, part, value, &path, 0)
    }

    fn data_set(&self, structure: &Structure, reader: &mut Reader<'_>) -> Result<Node, StructureError> {
        let id = crate::text::hex(reader.take(1)?);
        let path = format!("{}.{id}", reader.path);
        let length = reader.take(2)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let value = Reader { path: &path, ..*reader }.take(length)?;
        reader.at += length;
        match structure.parts.iter().find(|part| part.id == id) {
            Some(part) => self.node(id, Some(part), value, &path, 0),
            // Identifiers 01 to 70 hold BER-TLV, 71 to FE a bitmap (ISO 8583:2003): without a row, bytes.
            None => self.node(id, None, value, &path, 0),
        }
    }

    /// A part whose bytes are known from what stands around it.
    fn node(
        &self,
        id: String,
        part: Option<&PartSpec>,
        wire: &[u8],
        path: &str,
        length_bytes: u8,
    ) -> Result<Node, StructureError> {
        let Some(part) = part else {
            let inner = Inner::Value(Zeroizing::new(wire.to_vec()));
            // What nobody described may be anything, a card number too.
            let sensitivity = Sensitivity::Secret;
            return Ok(Node { id, name: String::new(), sensitivity, is_text: false, length_bytes, inner });
        };
        let units = part.spec.units_counted(wire.len(), wire).unwrap_or_default();
        self.known(id, part, wire, units, path, length_bytes)
    }

    fn known(
        &self,
        id: String,
        part: &PartSpec,
        wire: &[u8],
        units: usize,
        path: &str,
        length_bytes: u8,
    ) -> Result<Node, StructureError> {
        let spec: &Spec = &part.spec;
        let max = usize::from(spec.units_max);
        let fixed = spec.prefix == Prefix::Fixed && !part.open_ended;
        if units > max || fixed && units != max {
            let allowed = if fixed { format!("exactly {max}") } else { format!("at most {max}") };
            return Err(StructureError::Length { path: path.to_owned(), found: units, allowed });
        }
        if !check::wire(spec.check, wire, units) {
            let expected = check::expected(spec.check).to_owned();
            return Err(StructureError::Content { path: path.to_owned(), offset: 0, expected });
        }
        let mut value = Zeroizing::new(vec![0; spec.canonical_bytes(units)]);
        spec.expand(wire, &mut value);
        let inside = part.inside.and_then(|no| self.structures.list.get(usize::from(no)));
        let inner = match inside {
            Some(structure) => Inner::Parts(self.deeper(path)?.parts(structure, &value, path)?),
            None => Inner::Value(value),
        };
        let (name, is_text) = (part.name.clone(), spec.content != Content::Binary);
        Ok(Node { id, name, sensitivity: spec.sensitivity, is_text, length_bytes, inner })
    }

    fn deeper(&self, path: &str) -> Result<Opening<'_>, StructureError> {
        if self.depth == DEPTH_MAX {
            return Err(StructureError::Depth { path: path.to_owned() });
        }
        Ok(Opening { structures: self.structures, depth: self.depth + 1 })
    }
}

fn filler() -> Node {
    Node {
        id: "00".to_owned(),
        name: "filler".to_owned(),
        sensitivity: Sensitivity::None,
        is_text: false,
        length_bytes: 0,
        inner: Inner::Value(Zeroizing::new(Vec::new())),
    }
}
