//! Specs of moov-io/iso8583 in JSON or YAML: fields by number, each with type, length, enc, prefix and padding.
//!
//! Lengths there count characters, digits or bytes of the value, in a composite the bytes of its parts. `Hex` prefixes are
//! those of its current versions: hexadecimal digits, two to an L.

use super::Fault;
use super::model::{
    Encoding, Kind, Length, Model, Numeral, PARTS_MAX, Part, Row, STRUCTURES_MAX, Shape, Side, Size,
    Structure, Tagged, printable,
};
use serde_json::{Map, Value};

/// Parts within parts; the codec opens eight.
const DEPTH_MAX: usize = 6;

pub(super) fn read(text: &str, model: &mut Model) -> Result<(), Fault> {
    let spec = parse(text)?;
    let Some(fields) = spec.get("fields").and_then(Value::as_object) else {
        let what = if spec.get("elements").is_some() {
            "has \"elements\": that older form of moov-io/iso8583 is not read, save it as one with \"fields\""
        } else {
            "is neither a jPOS packager (XML) nor a moov-io/iso8583 spec (JSON or YAML with \"fields\")"
        };
        return Err(Fault::new(what));
    };
    model.title =
        spec.get("name").and_then(Value::as_str).map_or_else(String::new, |name| printable(name, 80));
    let has_bitmap = fields.get("1").is_some();
    (model.field_max, model.bitmap) = (128, Encoding::Binary);
    if fields.keys().any(|key| key.parse().is_ok_and(|n: u32| (129..=192).contains(&n))) {
        (model.field_max, model.third) = (192, Some("contiguous"));
    }
    for (key, field) in fields.iter().take(PARTS_MAX) {
        match key.trim().parse::<u32>() {
            Ok(0) => message_type(field, model),
            Ok(1) => bitmap(field, model),
            Ok(65) if model.third.is_some() => {
                model.note(key, text_of(field, "type"), "it is the third bitmap: left out");
            }
            Ok(n @ 2..=192) if !model.rows.contains_key(&(n as u8)) => {
                if let Some(row) = row(field, &n.to_string(), 0, model) {
                    model.rows.insert(n as u8, row);
                }
            }
            Ok(2..=192) => {
                model.note(key, text_of(field, "type"), "the number is there twice: the first counts")
            }
            _ => model.note(key, text_of(field, "type"), "fields are numbered 0 to 192: left out"),
        }
    }
    let field_max = model.field_max;
    let above: Vec<u8> = model.rows.keys().copied().filter(|n| *n > field_max).collect();
    for n in above {
        model.rows.remove(&n);
        model.note(&n.to_string(), "its number", format!("the bitmap ends at field {field_max}: left out"));
    }
    if !has_bitmap {
        model.note("1", "no field 1", "a bitmap in binary is assumed: see wire.bitmap");
    }
    if fields.get("0").is_none() {
        model.note("0", "no field 0", "a message type in ASCII is assumed: see wire.mti");
    }
    Ok(())
}

fn parse(text: &str) -> Result<Value, Fault> {
    if text.trim_start().starts_with(['{', '[']) {
        return serde_json::from_str(text).map_err(|error| {
            let place = Some((error.line() as u64, error.column() as u64));
            Fault {
                place,
                what: format!("is no JSON that can be read: {}", printable(&error.to_string(), 200)),
            }
        });
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map(|at| (at.line(), at.column()));
        let said = error.without_snippet().to_string();
        let said = said.lines().next().unwrap_or_default();
        Fault { place, what: format!("is no YAML that can be read: {}", printable(said, 200)) }
    })
}

fn message_type(field: &Value, model: &mut Model) {
    match text_of(field, "enc") {
        "ASCII" | "Binary" => {}
        "BCD" | "LBCD" => model.mti = Encoding::Bcd,
        "EBCDIC" | "EBCDIC1047" => model.mti = Encoding::Ebcdic037,
        other => model.note("0", other, "no message type that is known here: ASCII is assumed, see wire.mti"),
    }
    if length(field) != Some(4) {
        model.note("0", "its length", "a message type has four digits");
    }
}

fn bitmap(field: &Value, model: &mut Model) {
    match text_of(field, "enc") {
        "Binary" => {}
        "Hex" | "HexToASCII" => model.bitmap = Encoding::Hex,
        other => model.note("1", other, "no bitmap that is known here: binary is assumed, see wire.bitmap"),
    }
    // Without more bitmaps to come, a length of eight bytes is all there is.
    let grows = field.get("disableautoexpand").and_then(Value::as_bool) != Some(true);
    if !grows {
        (model.field_max, model.third) = match length(field) {
            Some(24) => (192, Some("contiguous")),
            Some(16) => (128, None),
            _ => (64, None),
        };
    }
}

/// The row of a field or part; what is wrong with it is noted.
fn row(field: &Value, path: &str, depth: usize, model: &mut Model) -> Option<Row> {
    let kind = text_of(field, "type");
    let size = match size(field) {
        Ok(size) => size,
        Err(what) => {
            model.note(path, &format!("prefix {}", text_of(field, "prefix")), what);
            return None;
        }
    };
    let mut row = if kind == "Composite" || field.get("subfields").is_some() {
        composite(field, size, path, depth, model)
    } else {
        simple(field, kind, size, path, model)?
    };
    row.name = printable(text_of(field, "description"), 80);
    padding(field, &mut row, path, model);
    match row.fit() {
        Ok(None) => {}
        Ok(Some(what)) => model.note(path, &format!("length {}", length(field).unwrap_or_default()), what),
        Err(what) => {
            model.note(path, &format!("{kind} of length {}", length(field).unwrap_or_default()), what);
            return None;
        }
    }
    Some(row)
}

fn size(field: &Value) -> Result<Size, &'static str> {
    let max = length(field).unwrap_or_default();
    let prefix = text_of(field, "prefix");
    if prefix == "BerTLV" {
        return Ok(Size::UpTo(if max == 0 { 65_534 } else { max }));
    }
    let (numeral, form) = prefix.split_once('.').unwrap_or((prefix, "Fixed"));
    let ls = u8::try_from(form.len()).unwrap_or(u8::MAX);
    if form == "Fixed" {
        return Ok(Size::Fixed(max));
    }
    if form.is_empty() || !form.bytes().all(|c| c == b'L') {
        return Err("no prefix that is known here: left out");
    }
    let length = match numeral {
        "ASCII" => Length::new(ls, Numeral::Ascii),
        "BCD" => Length::new(ls, Numeral::Bcd),
        "EBCDIC" | "EBCDIC1047" => Length::new(ls, Numeral::Ebcdic),
        "Binary" => Length::new(ls.saturating_mul(2), Numeral::Binary),
        "Hex" => Length::new(ls.saturating_mul(2), Numeral::Hex),
        _ => return Err("no prefix that is known here: left out"),
    };
    Ok(Size::Variable { max, length })
}

/// A field without parts.
fn simple(field: &Value, kind: &str, size: Size, path: &str, model: &mut Model) -> Option<Row> {
    let enc = text_of(field, "enc");
    let kind = match kind {
        "String" | "Track1" => Kind::Ans,
        "Numeric" => Kind::N,
        "Track2" | "Track3" => Kind::Z,
        "Binary" | "Hex" => Kind::B,
        other => {
            model.note(path, &format!("type {other}"), "no type that is known here: left out");
            return None;
        }
    };
    let counting_bytes = |size| match size {
        Size::Variable { max, length } => {
            Size::Variable { max, length: Length::of_bytes(length.digits, length.numeral) }
        }
        other => other,
    };
    let digits = if kind == Kind::Z { Kind::Z } else { Kind::N };
    let packed = |side| Row { pad: Some(side), ..Row::new(digits, size, Encoding::Bcd) };
    let row = match (enc, kind) {
        ("ASCII" | "Binary", Kind::B) => Row::new(Kind::B, size, Encoding::Binary),
        ("ASCII", _) => Row::new(kind, size, Encoding::Ascii),
        ("Binary", _) => {
            let what =
                "characters as they are: ASCII now, others are refused; for any bytes make it kind \"b\"";
            model.note(path, "enc Binary", what);
            Row::new(kind, size, Encoding::Ascii)
        }
        ("EBCDIC", Kind::Ans | Kind::N | Kind::Z) => Row::new(kind, size, Encoding::Ebcdic037),
        ("EBCDIC1047", Kind::Ans | Kind::N | Kind::Z) => Row::new(kind, size, Encoding::Ebcdic1047),
        ("BCD", Kind::Ans | Kind::N | Kind::Z) => packed(Side::Left),
        ("LBCD", Kind::Ans | Kind::N | Kind::Z) => packed(Side::Right),
        ("Hex" | "HexToASCII", _) => Row::new(Kind::B, counting_bytes(size), Encoding::Hex),
        ("ASCIIToHex", _) => Row::new(Kind::B, size, Encoding::Binary),
        (other, _) => {
            model.note(path, &format!("enc {other}"), "no encoding that fits its type here: left out");
            return None;
        }
    };
    Some(row)
}

fn padding(field: &Value, row: &mut Row, path: &str, model: &mut Model) {
    let Some(padding) = field.get("padding") else { return };
    let (side, with) = (text_of(padding, "type"), text_of(padding, "pad"));
    let is_fixed = matches!(row.size, Size::Fixed(_));
    let found = format!("padding {side} \"{with}\"");
    match (side, with, row.kind) {
        ("None", ..) | ("", "", _) | ("Right", " ", Kind::Ans) | ("Left", "0", Kind::N | Kind::Z) => {}
        ("Left", "0", Kind::Ans) if is_fixed => {
            row.kind = Kind::N;
            model.note(path, &found, "digits now, of exactly this length: nothing is filled with zeros");
        }
        ("Left", " ", Kind::Ans) if is_fixed => row.pad = Some(Side::Left),
        _ => model.note(
            path,
            &found,
            "a dialect does not fill so: give values of the length they have on the wire",
        ),
    }
}

/// A field of parts: text if all of them are, else bytes.
fn composite(field: &Value, size: Size, path: &str, depth: usize, model: &mut Model) -> Row {
    let mut row = Row::new(Kind::B, size, Encoding::Binary);
    match structure(field, path, depth, model) {
        Ok(structure) if model.structures.len() < STRUCTURES_MAX => {
            let tags_are_text = match structure.shape {
                Shape::Tagged(tagged) => tagged.tag_is_text && tagged.numeral == Numeral::Ascii,
                Shape::Positional => true,
                Shape::Ber => false,
            };
            if tags_are_text && structure.parts.iter().all(|part| part.row.is_ascii()) {
                (row.kind, row.encoding) = (Kind::Ans, Encoding::Ascii);
            }
            let name = structure_name(path, depth, model);
            model.structures.insert(name.clone(), structure);
            row.structure = Some(name);
        }
        Ok(_) => {
            model.note(path, "Composite", "the file has too many fields with parts: one value of bytes now")
        }
        Err((found, what)) => {
            model.note(path, &found, format!("{what}: the field is one value of bytes, without parts"));
        }
    }
    row
}

/// Ids of parts may be any text, so that below a field they are counted.
fn structure_name(path: &str, depth: usize, model: &Model) -> String {
    let field: String = path.chars().take_while(char::is_ascii_digit).collect();
    if depth == 0 { format!("f{field}") } else { format!("f{field}-{}", model.structures.len() + 1) }
}

/// Why there are no parts: what stood there, and what is wrong with it.
type Whole = (String, String);

fn structure(field: &Value, path: &str, depth: usize, model: &mut Model) -> Result<Structure, Whole> {
    let whole = |found: &str, what: &str| Err((found.to_owned(), what.to_owned()));
    let Some(subfields) = field.get("subfields").and_then(Value::as_object).filter(|map| !map.is_empty())
    else {
        return whole("no subfields", "it names no parts");
    };
    if depth >= DEPTH_MAX || subfields.len() > PARTS_MAX {
        return whole("subfields", "there are too many parts, or too deep");
    }
    if field.get("bitmap").is_some() {
        return whole(
            "bitmap",
            "a bitmap says which parts there are, and a dialect has none inside of fields",
        );
    }
    let tag = field.get("tag").unwrap_or(&Value::Null);
    match text_of(tag, "enc") {
        "" => positional(subfields, tag, path, depth, model),
        "BerTLVTag" => Ok(ber(subfields, path, depth, model)),
        enc => tagged(subfields, tag, enc, path, depth, model),
    }
}

fn positional(
    subfields: &Map<String, Value>,
    tag: &Value,
    path: &str,
    depth: usize,
    model: &mut Model,
) -> Result<Structure, Whole> {
    let radix = if text_of(tag, "sort") == "StringsByHex" { 16 } else { 10 };
    let mut sorted: Vec<(&String, &Value)> = subfields.iter().collect();
    sorted.sort_by_key(|(id, _)| (u64::from_str_radix(id, radix).unwrap_or(u64::MAX), (*id).clone()));
    let mut parts = Vec::new();
    for (at, (id, value)) in sorted.into_iter().enumerate() {
        let Some(mut row) = row(value, &format!("{path}.{id}"), depth + 1, model) else {
            return Err((format!("subfield {id}"), "the part cannot be carried over".to_owned()));
        };
        if let Size::UpTo(max) = row.size {
            return Err((
                format!("subfield {id} of up to {max}"),
                "nothing says where the part ends".to_owned(),
            ));
        }
        name_part(&mut row, id);
        let shown = printable(id, 20);
        let id = if shown.is_empty() { (at + 1).to_string() } else { shown };
        if parts.iter().any(|earlier: &Part| earlier.id.as_ref() == Some(&id)) {
            return Err((format!("subfield {id}"), "two parts have one id".to_owned()));
        }
        parts.push(Part { id: Some(id), row });
    }
    let by_place =
        |(at, part): (usize, &Part)| part.id.as_ref().is_some_and(|id| *id == (at + 1).to_string());
    if parts.iter().enumerate().all(by_place) {
        parts.iter_mut().for_each(|part| part.id = None);
    }
    Ok(Structure { shape: Shape::Positional, parts })
}

fn name_part(row: &mut Row, id: &str) {
    if row.name.is_empty() {
        row.name = format!("part {}", printable(id, 20));
    }
}

fn ber(subfields: &Map<String, Value>, path: &str, depth: usize, model: &mut Model) -> Structure {
    let mut parts: Vec<Part> = Vec::new();
    for (id, value) in subfields {
        let path = format!("{path}.{id}");
        let tag = id.to_ascii_uppercase();
        let is_tag = matches!(tag.len(), 2 | 4 | 6 | 8) && tag.bytes().all(|c| c.is_ascii_hexdigit());
        if !is_tag || parts.iter().any(|part| part.id.as_ref() == Some(&tag)) {
            model.note(&path, id, "no tag of BER-TLV, or there twice: left out");
            continue;
        }
        let Some(mut row) = row(value, &path, depth + 1, model) else { continue };
        open_ended(&mut row);
        name_part(&mut row, id);
        parts.push(Part { id: Some(tag), row });
    }
    Structure { shape: Shape::Ber, parts }
}

/// A part whose tag has its length.
fn open_ended(row: &mut Row) {
    if let Size::Variable { max, .. } = row.size {
        row.size = Size::UpTo(max);
    }
}

fn tagged(
    subfields: &Map<String, Value>,
    tag: &Value,
    enc: &str,
    path: &str,
    depth: usize,
    model: &mut Model,
) -> Result<Structure, Whole> {
    let Some(characters) =
        length(tag).and_then(|length| u8::try_from(length).ok()).filter(|length| *length > 0)
    else {
        return Err(("tag without length".to_owned(), "tags have a length of their own".to_owned()));
    };
    let found = format!("tag of {characters} in {enc}");
    let (tag_bytes, tag_is_text) = match enc {
        "ASCII" | "Binary" => (characters, true),
        "BCD" | "LBCD" => (characters.div_ceil(2), false),
        "EBCDIC" | "EBCDIC1047" | "ASCIIToHex" => (characters, false),
        _ => return Err((found, "no tags that are known here".to_owned())),
    };
    if tag_bytes > 8 {
        return Err((found, "a tag has at most eight bytes".to_owned()));
    }
    let mut form: Option<Length> = None;
    let mut parts: Vec<Part> = Vec::new();
    for (key, value) in subfields {
        let path = format!("{path}.{key}");
        let Some(mut row) = row(value, &path, depth + 1, model) else {
            return Err((format!("subfield {key}"), "the part cannot be carried over".to_owned()));
        };
        let Size::Variable { length, .. } = row.size else {
            return Err((
                format!("subfield {key}"),
                "a part behind a tag needs a length in front".to_owned(),
            ));
        };
        if form.is_some_and(|form| (form.digits, form.numeral) != (length.digits, length.numeral)) {
            return Err((format!("subfield {key}"), "its parts have lengths of several forms".to_owned()));
        }
        if matches!(row.encoding, Encoding::Bcd | Encoding::Hex) {
            return Err((format!("subfield {key}"), "its length does not count bytes".to_owned()));
        }
        form = Some(length);
        open_ended(&mut row);
        name_part(&mut row, key);
        match tag_id(key, enc, usize::from(characters), usize::from(tag_bytes)) {
            Some(id) if parts.iter().all(|part| part.id.as_ref() != Some(&id)) => {
                parts.push(Part { id: Some(id), row });
            }
            _ => model.note(&path, key, "no tag of this size, or there twice: left out"),
        }
    }
    let Some(length) = form else {
        return Err((found, "no part of it says what lengths look like".to_owned()));
    };
    let (digits, numeral) = (length.digits, length.numeral);
    let tagged = Tagged { tag_bytes, tag_is_text, digits, numeral, length_first: false, covers_tag: false };
    Ok(Structure { shape: Shape::Tagged(tagged), parts })
}

/// The tag as the dialect spells it: characters, or bytes in hexadecimal.
fn tag_id(key: &str, enc: &str, characters: usize, bytes: usize) -> Option<String> {
    let digits = |key: &str| key.bytes().all(|c| c.is_ascii_digit());
    let filled = if digits(key) { format!("{key:0>characters$}") } else { key.to_owned() };
    let id = match enc {
        "BCD" if digits(key) => format!("{key:0>width$}", width = bytes * 2),
        "LBCD" if digits(key) => format!("{key:0<width$}", width = bytes * 2),
        // Letters have other codes in EBCDIC; numbers are what tags are made of.
        "EBCDIC" | "EBCDIC1047" if digits(key) => filled.chars().map(|digit| format!("F{digit}")).collect(),
        "ASCIIToHex" => key.to_ascii_uppercase(),
        "ASCII" | "Binary" => filled,
        _ => return None,
    };
    let is_text = matches!(enc, "ASCII" | "Binary");
    let fits = if is_text {
        id.len() == bytes && id.bytes().all(|c| c.is_ascii_graphic())
    } else {
        id.len() == bytes * 2 && id.bytes().all(|c| c.is_ascii_hexdigit())
    };
    fits.then_some(id)
}

fn text_of<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn length(value: &Value) -> Option<u32> {
    value.get("length").and_then(Value::as_u64).and_then(|length| u32::try_from(length).ok())
}
