//! From parts to a value.

use super::{DEPTH_MAX, Inner, Node, PartSpec, Shape, Structure, StructureError, Structures, ber};
use crate::check;
use crate::encode::{units_on_wire, write_value};
use crate::spec::{Prefix, Spec};
use zeroize::Zeroizing;

pub(super) fn close(
    structures: &Structures,
    structure: &Structure,
    nodes: &[Node],
    path: &str,
) -> Result<Zeroizing<Vec<u8>>, StructureError> {
    Closing { structures, depth: 0 }.parts(structure, nodes, path)
}

struct Closing<'a> {
    structures: &'a Structures,
    depth: usize,
}

impl Closing<'_> {
    fn parts(
        &self,
        structure: &Structure,
        nodes: &[Node],
        path: &str,
    ) -> Result<Zeroizing<Vec<u8>>, StructureError> {
        let mut out = Zeroizing::new(Vec::new());
        if matches!(structure.shape, Shape::Usage { .. }) && nodes.len() != 1 {
            return Err(misplaced(path, format!("one tag says what it holds, not {}", nodes.len())));
        }
        for (at, node) in nodes.iter().enumerate() {
            let path = format!("{path}.{}", node.id);
            match structure.shape {
                Shape::Positional => {
                    let Some(part) = structure.parts.get(at).filter(|part| part.id == node.id) else {
                        let wanted = structure.parts.get(at).map_or("none", |part| &part.id);
                        return Err(misplaced(&path, format!("part {wanted} stands in its place")));
                    };
                    out.extend_from_slice(&self.value(Some(part), node, &path, true)?);
                }
                Shape::Ber => self.ber(structure, node, &path, &mut out)?,
                _ => self.tagged(structure, node, &path, &mut out)?,
            }
        }
        Ok(out)
    }

    fn ber(
        &self,
        structure: &Structure,
        node: &Node,
        path: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), StructureError> {
        let tag = crate::text::unhex(&node.id).unwrap_or_default();
        if tag == [0] {
            out.push(0);
            return Ok(());
        }
        if ber::tag(&tag).is_none_or(|whole| whole.len() != tag.len()) {
            return Err(misplaced(path, "is no tag of one to four bytes in hexadecimal"));
        }
        let part = structure.parts.iter().find(|part| part.id == node.id);
        let value = match &node.inner {
            Inner::Parts(parts) if part.is_none_or(|part| part.inside.is_none()) => {
                if !ber::is_constructed(&tag) {
                    return Err(misplaced(path, "the tag is a primitive one and holds no parts"));
                }
                self.deeper(path)?.parts(structure, parts, path)?
            }
            _ => self.value(part, node, path, false)?,
        };
        out.extend_from_slice(&tag);
        ber::write_length(value.len(), node.length_bytes, out);
        out.extend_from_slice(&value);
        Ok(())
    }

    fn tagged(
        &self,
        structure: &Structure,
        node: &Node,
        path: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), StructureError> {
        let part = structure.parts.iter().find(|part| part.id == node.id);
        let value = self.value(part, node, path, false)?;
        let tag_of = |tag: super::Tag| {
            let what = if tag.is_text { "characters" } else { "bytes in hexadecimal" };
            tag.parse(&node.id).ok_or_else(|| misplaced(path, format!("a tag has {} {what}", tag.bytes)))
        };
        let prefix = |length: Prefix, counted: usize, out: &mut Vec<u8>| {
            let max = usize::from(length.units_max());
            if counted > max {
                let allowed = format!("at most {max}, its length has no more room");
                return Err(StructureError::Length { path: path.to_owned(), found: counted, allowed });
            }
            let at = out.len();
            out.resize(at + length.bytes(), 0);
            length.write(counted, &mut out[at..]);
            Ok(())
        };
        match structure.shape {
            Shape::Tagged { tag, length, length_first, covers_tag } => {
                let tag = tag_of(tag)?;
                let counted = value.len() + if covers_tag { tag.len() } else { 0 };
                if length_first {
                    prefix(length, counted, out)?;
                    out.extend_from_slice(&tag);
                } else {
                    out.extend_from_slice(&tag);
                    prefix(length, counted, out)?;
                }
            }
            Shape::Usage { tag } => out.extend_from_slice(&tag_of(tag)?),
            _ => {
                out.extend_from_slice(&tag_of(super::Tag { bytes: 1, is_text: false })?);
                prefix(Prefix::new(crate::spec::Numeral::Binary, 4), value.len(), out)?;
            }
        }
        out.extend_from_slice(&value);
        Ok(())
    }

    /// What stands on the wire for one part; with its length where it has its own.
    fn value(
        &self,
        part: Option<&PartSpec>,
        node: &Node,
        path: &str,
        with_prefix: bool,
    ) -> Result<Zeroizing<Vec<u8>>, StructureError> {
        let inside = part.and_then(|part| self.structures.list.get(usize::from(part.inside?)));
        let canonical = match (&node.inner, inside) {
            (Inner::Parts(parts), Some(structure)) => self.deeper(path)?.parts(structure, parts, path)?,
            (Inner::Value(value), _) => value.clone(),
            (Inner::Parts(_), None) => return Err(misplaced(path, "has no parts in this dialect")),
        };
        let Some(part) = part else { return Ok(canonical) };
        write_part(part, &canonical, path, with_prefix)
    }

    fn deeper(&self, path: &str) -> Result<Closing<'_>, StructureError> {
        if self.depth == DEPTH_MAX {
            return Err(StructureError::Depth { path: path.to_owned() });
        }
        Ok(Closing { structures: self.structures, depth: self.depth + 1 })
    }
}

fn write_part(
    part: &PartSpec,
    canonical: &[u8],
    path: &str,
    with_prefix: bool,
) -> Result<Zeroizing<Vec<u8>>, StructureError> {
    let spec = &part.spec;
    if !check::canonical(spec.content, canonical) {
        let expected = check::expected(check::Check::of(spec.content, crate::spec::Wire::Plain)).to_owned();
        return Err(StructureError::Content { path: path.to_owned(), offset: 0, expected });
    }
    let units = if part.open_ended { open_units(spec, canonical) } else { units_on_wire(spec, canonical) };
    let Some(units) = units else {
        let exactly = spec.prefix == Prefix::Fixed && !part.open_ended;
        let allowed = format!("{} {}", if exactly { "exactly" } else { "at most" }, spec.units_max);
        return Err(StructureError::Length {
            path: path.to_owned(),
            found: spec.units(canonical.len()),
            allowed,
        });
    };
    let prefix_bytes = if with_prefix { spec.prefix.bytes() } else { 0 };
    let mut out = Zeroizing::new(vec![0; prefix_bytes + spec.wire_bytes(units)]);
    let (prefix, place) = out.split_at_mut(prefix_bytes);
    if with_prefix {
        spec.prefix.write(spec.counted(units), prefix);
    }
    write_value(spec, canonical, place);
    Ok(out)
}

fn open_units(spec: &Spec, canonical: &[u8]) -> Option<usize> {
    let units = spec.units(canonical.len());
    (units <= usize::from(spec.units_max)).then_some(units)
}

fn misplaced(path: &str, what: impl Into<String>) -> StructureError {
    StructureError::Misplaced { path: path.to_owned(), what: what.into() }
}
