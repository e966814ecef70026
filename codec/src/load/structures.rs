//! The tables `[structure.NAME]`: rows as they are written, and their compiled form.
//!
//! `shape` says how parts follow each other; `parts` lists those that are known. Inside, digits and text are ASCII and
//! binary is binary unless the table or the part says otherwise.

use super::DialectError;
use super::build;
use super::doc::{Place, Table};
use super::read::{self, Defaults, Encoding, FIELD_KEYS, FieldRow};
use crate::spec::{Numeral, Prefix};
use crate::structure::{PartSpec, Shape, Structure, StructureNo, Structures, Tag};
use std::collections::BTreeMap;

type Errors = Vec<DialectError>;

/// One structure as written.
#[derive(Clone)]
pub(super) struct StructureRow {
    place: Place,
    shape: Shape,
    defaults: Defaults,
    parts: Vec<(String, Place, FieldRow)>,
}

pub(super) fn read(table: &Table<'_, '_>, rows: &mut BTreeMap<String, StructureRow>, errors: &mut Errors) {
    for name in table.keys() {
        if let Some(structure) = table.table(name.value, errors) {
            rows.extend(read_one(&structure, errors).map(|row| (name.value.to_owned(), row)));
        }
    }
}

#[derive(Clone, Copy)]
enum Word {
    Positional,
    Ber,
    Tagged,
    Usage,
    DataSets,
}

fn read_one(table: &Table<'_, '_>, errors: &mut Errors) -> Option<StructureRow> {
    const KEYS: [&str; 12] = [
        "shape",
        "tag",
        "tag_bytes",
        "length",
        "length_encoding",
        "order",
        "length_covers_tag",
        "lengths",
        "digits",
        "text",
        "binary",
        "parts",
    ];
    table.only(&KEYS, errors);
    let Some(word) = table.text("shape", errors) else {
        errors.push(table.place().error("the structure needs a shape"));
        return None;
    };
    let words = [
        ("positional", Word::Positional),
        ("ber-tlv", Word::Ber),
        ("tagged", Word::Tagged),
        ("usage", Word::Usage),
        ("data-sets", Word::DataSets),
    ];
    let shape = match word.one_of(&words, errors)? {
        Word::Positional => Shape::Positional,
        Word::Ber => Shape::Ber,
        Word::DataSets => Shape::DataSets,
        Word::Usage => Shape::Usage { tag: read_tag(table, errors)? },
        Word::Tagged => read_tagged(table, errors)?,
    };
    let mut defaults = Defaults {
        lengths: Some(Numeral::Ascii),
        digits: Some(Encoding::Ascii),
        text: Some(Encoding::Ascii),
        binary: Some(Encoding::Binary),
    };
    read::read_defaults(table, &mut defaults, errors);
    let parts = table.tables("parts", errors).unwrap_or_default();
    let parts =
        parts.iter().enumerate().filter_map(|(at, part)| read_part(part, at, shape, errors)).collect();
    Some(StructureRow { place: table.place(), shape, defaults, parts })
}

fn read_tag(table: &Table<'_, '_>, errors: &mut Errors) -> Option<Tag> {
    let is_text =
        table.text("tag", errors).map(|text| text.one_of(&[("text", true), ("binary", false)], errors));
    let bytes = table.number("tag_bytes", 1..9, errors);
    if bytes.is_none() {
        errors.push(table.place().error("the structure needs tag_bytes, the size of its tags"));
    }
    Some(Tag { bytes: bytes?.value as u8, is_text: is_text.unwrap_or(Some(true))? })
}

fn read_tagged(table: &Table<'_, '_>, errors: &mut Errors) -> Option<Shape> {
    let tag = read_tag(table, errors);
    let digits = table.text("length", errors).and_then(|text| text.one_of(&read::PREFIXES, errors));
    if digits.is_none() {
        errors.push(
            table.place().error("the structure needs length, the digits of its lengths, such as \"lll\""),
        );
    }
    let numeral = table.text("length_encoding", errors).map(|text| text.one_of(&read::NUMERALS, errors));
    let orders = [("tag-length", false), ("length-tag", true)];
    let length_first = table.text("order", errors).map(|text| text.one_of(&orders, errors));
    let covers_tag = table.flag("length_covers_tag", errors).is_some_and(|flag| flag.value);
    let length = Prefix::new(numeral.unwrap_or(Some(Numeral::Ascii))?, digits?);
    Some(Shape::Tagged { tag: tag?, length, length_first: length_first.unwrap_or(Some(false))?, covers_tag })
}

fn read_part(
    table: &Table<'_, '_>,
    at: usize,
    shape: Shape,
    errors: &mut Errors,
) -> Option<(String, Place, FieldRow)> {
    table.only(&[&["id"][..], &FIELD_KEYS].concat(), errors);
    let id = table.text("id", errors);
    let (id, place) = match (shape, id) {
        (Shape::Positional, None) => ((at + 1).to_string(), table.place()),
        (_, Some(id)) => (id.value.to_owned(), id.place()),
        (_, None) => {
            errors.push(table.place().error("the part needs an id, its tag"));
            return None;
        }
    };
    let row = read::read_field(table, errors)?;
    if row.name.is_empty() {
        errors.push(table.place().error("the part needs a name"));
    }
    Some((id, place, row))
}

/// The compiled structures, and their numbers by name.
pub(super) fn build(
    rows: &BTreeMap<String, StructureRow>,
    errors: &mut Errors,
) -> (Structures, BTreeMap<String, StructureNo>) {
    let numbers: BTreeMap<String, StructureNo> =
        rows.keys().zip(0..).map(|(name, no)| (name.clone(), no)).collect();
    let list = rows.values().map(|row| build_one(row, &numbers, errors)).collect();
    (Structures { list, of_field: Vec::new() }, numbers)
}

fn build_one(row: &StructureRow, numbers: &BTreeMap<String, StructureNo>, errors: &mut Errors) -> Structure {
    let mut parts: Vec<PartSpec> = Vec::new();
    for (id, place, part) in &row.parts {
        if let Some(rule) = misspelt(row.shape, id) {
            errors.push(place.error(rule));
        } else if parts.iter().any(|earlier| earlier.id == *id) {
            errors.push(place.error(format!("\"{id}\" is there already")));
        }
        let Some((spec, open_ended)) = build::compile_part(part, &row.defaults, row.shape, errors) else {
            continue;
        };
        let inside = number(part, numbers, errors);
        let last = matches!(row.shape, Shape::Positional) && parts.last().is_some_and(|part| part.open_ended);
        if last {
            errors.push(
                place.error(
                    "a part in front of it takes all that follows: give that one a length or a prefix",
                ),
            );
        }
        parts.push(PartSpec { id: id.clone(), name: part.name.clone(), spec, open_ended, inside });
    }
    if parts.is_empty() && row.shape == Shape::Positional {
        errors.push(row.place.error("a positional structure needs parts"));
    }
    Structure { shape: row.shape, parts }
}

/// The number of the structure that the row names.
pub(super) fn number(
    row: &FieldRow,
    numbers: &BTreeMap<String, StructureNo>,
    errors: &mut Errors,
) -> Option<StructureNo> {
    let (name, place) = row.structure.as_ref()?;
    let found = numbers.get(name).copied();
    if found.is_none() {
        let known: Vec<&str> = numbers.keys().map(String::as_str).collect();
        let mut error = place.error(format!("there is no structure \"{name}\""));
        error.did_you_mean = super::doc::nearest(name, &known);
        errors.push(error);
    }
    found
}

/// Why this cannot be the id of a part of such a structure.
fn misspelt(shape: Shape, id: &str) -> Option<&'static str> {
    let hex = |bytes: std::ops::RangeInclusive<usize>| {
        let upper = !id.bytes().any(|c| c.is_ascii_lowercase());
        crate::text::unhex(id).is_some_and(|tag| upper && bytes.contains(&tag.len()))
    };
    match shape {
        Shape::Positional => id.is_empty().then_some("the id is empty"),
        Shape::Ber => (!hex(1..=4)).then_some("expected a tag in upper-case hexadecimal, such as \"9F26\""),
        Shape::DataSets => {
            (!hex(1..=1)).then_some("expected an identifier of one byte in hexadecimal, such as \"71\"")
        }
        Shape::Tagged { tag, .. } | Shape::Usage { tag } => {
            let good = tag.parse(id).is_some() && (tag.is_text || hex(1..=8));
            (!good).then_some("the id has another size than tag_bytes says, or is no such tag")
        }
    }
}
