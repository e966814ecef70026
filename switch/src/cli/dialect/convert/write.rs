//! The model as a dialect file: comments that say where it comes from and what is missing, then `[wire]` with what most fields
//! have in common, the fields, and the structures.

use super::Source;
use super::meaning::Meant;
use super::model::{
    Encoding, Kind, Length, Model, Numeral, Row, Shape, Side, Size, Structure, Tagged, printable,
};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What a row need not say.
#[derive(Clone, Copy)]
struct Usual {
    lengths: Numeral,
    digits: Encoding,
    text: Encoding,
    binary: Encoding,
}

/// Inside of structures, unless they say otherwise.
const INSIDE: Usual = Usual {
    lengths: Numeral::Ascii,
    digits: Encoding::Ascii,
    text: Encoding::Ascii,
    binary: Encoding::Binary,
};

pub(super) fn write(model: &Model, source: Source, name: &str, file: &str, meant: &Meant) -> String {
    let usual = usual(model);
    let mut out = String::new();
    head(&mut out, model, source, file, meant);
    line(&mut out, format_args!("name = {}", quoted(name)));
    line(&mut out, format_args!("framing = \"binary2\""));
    line(&mut out, format_args!("field_max = {}", model.field_max));
    if model.header_bytes > 0 {
        let zeros = "00".repeat(usize::from(model.header_bytes));
        line(&mut out, format_args!("\n[header]\ndefault = \"{zeros}\""));
    }
    let mti = if model.mti == Encoding::Ebcdic037 { "ebcdic" } else { model.mti.word() };
    line(&mut out, format_args!("\n[wire]\nmti = \"{mti}\"\nbitmap = \"{}\"", model.bitmap.word()));
    if let Some(third) = model.third {
        line(&mut out, format_args!("third_bitmap = \"{third}\""));
    }
    line(
        &mut out,
        format_args!("lengths = \"{}\"\ndigits = \"{}\"", usual.lengths.word(), usual.digits.word()),
    );
    if usual.text != Encoding::Ascii {
        line(&mut out, format_args!("text = \"{}\"", usual.text.word()));
    }
    line(&mut out, format_args!("binary = \"{}\"", usual.binary.word()));
    line(&mut out, format_args!("\n[fields]"));
    for (n, row) in &model.rows {
        line(&mut out, format_args!("{n} = {{ {} }}", keys(row, usual, None)));
    }
    for (name, structure) in &model.structures {
        write_structure(&mut out, name, structure);
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // A text takes whatever is written to it.
    let _ = writeln!(out, "{text}");
}

fn head(out: &mut String, model: &Model, source: Source, file: &str, meant: &Meant) {
    let whose = match source {
        Source::Jpos => "the jPOS packager",
        Source::Moov => "the moov-io/iso8583 spec",
    };
    line(out, format_args!("# Made by `yika dialect convert` from {whose} {}.", comment(file)));
    if !model.title.is_empty() {
        line(out, format_args!("# It calls itself: {}", comment(&model.title)));
    }
    let rest = [
        "It reads and writes messages. To route with it give it mac_field, answer_match, f7_zone, reversal, [codes] and [[kind]]:",
        "`yika dialect show iso87-ascii --toml` has all of them to begin from.",
        "Such a file does not say which length stands in front of a message: set framing.",
    ];
    rest.iter().for_each(|text| line(out, format_args!("# {text}")));
    if !meant.sensitive.is_empty() {
        let list: Vec<String> = meant.sensitive.iter().map(|(n, word)| format!("{n} {word}")).collect();
        let list = list.join(", ");
        line(out, format_args!("# Hidden by the usual meaning of their numbers, not by the file: {list}."));
    }
    if !meant.tracks.is_empty() {
        let list: Vec<String> = meant.tracks.iter().map(u8::to_string).collect();
        line(out, format_args!("# Track digits by their numbers, text in the file: {}.", list.join(", ")));
    }
    if !model.notes.is_empty() {
        line(out, format_args!("# Not as in the file:"));
        // A file of nonsense has a note for each line.
        const NOTES_MAX: usize = 200;
        for note in model.notes.iter().take(NOTES_MAX) {
            line(out, format_args!("#   {}", comment(&note.to_string())));
        }
        if let Some(more) = model.notes.len().checked_sub(NOTES_MAX).filter(|more| *more > 0) {
            line(out, format_args!("#   and {more} more"));
        }
    }
}

fn comment(text: &str) -> String {
    printable(text, 300)
}

/// What most rows have: a file with it is the shortest to read.
fn usual(model: &Model) -> Usual {
    let rows = || model.rows.values();
    let of = |kinds: &'static [Kind]| rows().filter(|row| kinds.contains(&row.kind)).map(|row| row.encoding);
    let lengths = rows().filter_map(|row| match row.size {
        Size::Variable { length, .. } => Some(length.numeral),
        Size::Fixed(_) | Size::UpTo(_) => None,
    });
    Usual {
        lengths: most(lengths).unwrap_or(Numeral::Ascii),
        digits: most(of(&[Kind::N, Kind::Z])).unwrap_or(Encoding::Ascii),
        // Signed numbers stand with the text unless they are BCD.
        text: most(of(&[Kind::Ans])).unwrap_or(Encoding::Ascii),
        binary: most(of(&[Kind::B])).unwrap_or(Encoding::Binary),
    }
}

fn most<T: Ord + Copy>(all: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    all.for_each(|one| *counts.entry(one).or_default() += 1);
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(one, _)| one)
}

/// The keys of a row or part.
fn keys(row: &Row, usual: Usual, id: Option<&str>) -> String {
    let mut keys = Vec::new();
    let mut key = |name: &str, value: String| keys.push(format!("{name} = {value}"));
    if let Some(id) = id {
        key("id", quoted(id));
    }
    if !row.name.is_empty() {
        key("name", quoted(&row.name));
    }
    key("kind", quoted(row.kind.word()));
    match row.size {
        Size::Fixed(units) => key("length", units.to_string()),
        Size::UpTo(units) => key("max", units.to_string()),
        Size::Variable { max, length } => {
            key("max", max.to_string());
            key("prefix", quoted(&Length::word(length.digits)));
            if length.numeral != usual.lengths {
                key("prefix_encoding", quoted(length.numeral.word()));
            }
            if length.counts_bytes {
                key("counts", quoted("bytes"));
            }
        }
    }
    let expected = match row.kind {
        Kind::N | Kind::Z => usual.digits,
        Kind::XN | Kind::Ans => usual.text,
        Kind::B => usual.binary,
    };
    if row.encoding != expected {
        key("encoding", quoted(row.encoding.word()));
    }
    if row.pad == Some(Side::Left) {
        key("pad", quoted("left"));
    }
    if let Some(sensitivity) = row.sensitivity {
        key("sensitivity", quoted(sensitivity));
    }
    if let Some(structure) = &row.structure {
        key("structure", quoted(structure));
    }
    keys.join(", ")
}

fn write_structure(out: &mut String, name: &str, structure: &Structure) {
    line(out, format_args!("\n[structure.{name}]"));
    match structure.shape {
        Shape::Positional => line(out, format_args!("shape = \"positional\"")),
        Shape::Ber => line(out, format_args!("shape = \"ber-tlv\"")),
        Shape::Tagged(tagged) => write_tagged(out, tagged),
    }
    if structure.parts.is_empty() {
        return;
    }
    line(out, format_args!("parts = ["));
    for part in &structure.parts {
        line(out, format_args!("  {{ {} }},", keys(&part.row, INSIDE, part.id.as_deref())));
    }
    line(out, format_args!("]"));
}

fn write_tagged(out: &mut String, tagged: Tagged) {
    line(out, format_args!("shape = \"tagged\""));
    if !tagged.tag_is_text {
        line(out, format_args!("tag = \"binary\""));
    }
    line(
        out,
        format_args!("tag_bytes = {}\nlength = {}", tagged.tag_bytes, quoted(&Length::word(tagged.digits))),
    );
    if tagged.numeral != Numeral::Ascii {
        line(out, format_args!("length_encoding = \"{}\"", tagged.numeral.word()));
    }
    if tagged.length_first {
        line(out, format_args!("order = \"length-tag\""));
    }
    if tagged.covers_tag {
        line(out, format_args!("length_covers_tag = true"));
    }
}

/// Text as a string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
