//! jPOS `GenericPackager` XML: `isofield` and `isofieldpackager` elements with id, length, name, class and pad.
//!
//! A DOCTYPE is blanked before the parser sees it, so that no entity beyond XML's own five is known, let alone expanded.

use super::Fault;
use super::class::{self, Class, Tags};
use super::model::{
    Encoding, Kind, Model, PARTS_MAX, Part, Row, STRUCTURES_MAX, Shape, Structure, Tagged, printable,
};
use roxmltree::{Document, Node, ParsingOptions};
use std::collections::BTreeMap;

/// A file of 4 MiB has no more that mean anything.
const NODES_MAX: u32 = 500_000;
/// Parts within parts; the codec opens eight.
const DEPTH_MAX: usize = 6;

pub(super) fn read(text: &str, model: &mut Model) -> Result<(), Fault> {
    let text = without_doctype(text);
    bounded(&text)?;
    let options = ParsingOptions { nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    let document = Document::parse_with_options(&text, options).map_err(|error| {
        let at = error.pos();
        let what = format!("is no XML that can be read: {}", printable(&error.to_string(), 200));
        Fault { place: Some((u64::from(at.row), u64::from(at.col))), what }
    })?;
    let root = document.root_element();
    if root.tag_name().name() != "isopackager" {
        let at = document.text_pos_at(root.range().start);
        let found = printable(root.tag_name().name(), 40);
        let what =
            format!("the outermost element is <{found}>, and that of a jPOS packager is <isopackager>");
        return Err(Fault { place: Some((u64::from(at.row), u64::from(at.col))), what });
    }
    head(root, model);
    for (id, node) in children(root, "", model) {
        match id {
            0 => message_type(node, model),
            1 => bitmap(node, model),
            2..=192 => {
                let path = id.to_string();
                if is_bitmap(class_name(node)) && id == 65 {
                    model.third = Some("field-65");
                    model.field_max = 192;
                } else if let Some(row) = field(node, &path, 0, model) {
                    model.rows.insert(id as u8, row);
                }
            }
            _ => model.note(&id.to_string(), class_name(node), "fields are numbered 0 to 192: left out"),
        }
    }
    above_the_bitmap(model);
    Ok(())
}

/// The parser compares each attribute with all others of its element, and hands namespaces down to every element below: both
/// have their bound before it sees them.
fn bounded(text: &str) -> Result<(), Fault> {
    const ATTRIBUTES_MAX: usize = 100;
    const NAMESPACES_MAX: usize = 100;
    if text.matches("xmlns").count() > NAMESPACES_MAX {
        return Err(Fault::new(format!("names more than {NAMESPACES_MAX} namespaces, and no packager does")));
    }
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        let end = if rest.starts_with("<!--") {
            rest.find("-->")
        } else if rest.starts_with("<![CDATA[") {
            rest.find("]]>")
        } else {
            let (bytes, attributes) = tag(rest);
            if attributes > ATTRIBUTES_MAX {
                let what =
                    format!("has an element of more than {ATTRIBUTES_MAX} attributes, and no packager has");
                return Err(Fault::new(what));
            }
            Some(bytes)
        };
        rest = end.and_then(|end| rest.get(end.max(1)..)).unwrap_or_default();
    }
    Ok(())
}

/// The bytes of the tag in front, and its attributes.
fn tag(text: &str) -> (usize, usize) {
    let (mut quote, mut attributes) = (None, 0);
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'=') => attributes += 1,
            (None, b'>') => return (at, attributes),
            _ => {}
        }
    }
    (text.len(), attributes)
}

/// What stands at the outermost element.
fn head(root: Node<'_, '_>, model: &mut Model) {
    // Until field 1 says otherwise.
    (model.field_max, model.bitmap) = (128, Encoding::Binary);
    if root.attribute("emitBitmap").is_some_and(|emit| emit.eq_ignore_ascii_case("false")) {
        model.note("1", "emitBitmap=\"false\"", "a dialect's messages have a bitmap: these cannot be read");
    }
    if let Some(length) = root.attribute("headerLength") {
        match length.parse() {
            Ok(bytes @ 1..=u8::MAX) => {
                model.header_bytes = bytes;
                let found = format!("headerLength=\"{bytes}\"");
                model.note("header", &found, "written as zeros: put the bytes of ours into header.default");
            }
            Ok(0) => {}
            _ => model.note("header", length, "a header has at most 255 bytes: left out"),
        }
    }
    let known = ["maxValidField", "emitBitmap", "headerLength"];
    for attribute in root.attributes() {
        let usual = matches!((attribute.name(), attribute.value()), ("bitmapField", "1"));
        if !known.contains(&attribute.name()) && !usual {
            let found = format!("{}=\"{}\"", attribute.name(), attribute.value());
            model.note("isopackager", &found, "the attribute says nothing to a dialect: look at it by hand");
        }
    }
    if root.children().filter(Node::is_element).all(|node| node.attribute("id") != Some("1")) {
        model.note("1", "no field 1", "a bitmap in binary is assumed, of fields up to 128: see wire.bitmap");
    }
    if root.children().filter(Node::is_element).all(|node| node.attribute("id") != Some("0")) {
        model.note("0", "no field 0", "a message type in ASCII is assumed: see wire.mti");
    }
}

/// The elements that describe fields, by number; of two with one number the later counts, as in jPOS.
fn children<'a, 'i>(above: Node<'a, 'i>, path: &str, model: &mut Model) -> BTreeMap<u32, Node<'a, 'i>> {
    let mut found = BTreeMap::new();
    for node in above.children().filter(Node::is_element) {
        let name = node.tag_name().name();
        let id = node.attribute("id").unwrap_or_default();
        let path = if path.is_empty() { id.to_owned() } else { format!("{path}.{id}") };
        if name != "isofield" && name != "isofieldpackager" {
            model.note(&path, &format!("<{name}>"), "the element is not known here: left out");
            continue;
        }
        match id.trim().parse::<u32>() {
            Ok(number) if found.len() < PARTS_MAX => {
                if found.insert(number, node).is_some() {
                    model.note(&path, class_name(node), "the number is there twice: the later one counts");
                }
            }
            Ok(_) => model.note(&path, class_name(node), "there are too many: left out"),
            Err(_) => model.note(&path, &format!("id=\"{id}\""), "the id is no number: left out"),
        }
    }
    found
}

fn message_type(node: Node<'_, '_>, model: &mut Model) {
    let class = class_name(node);
    match class {
        "IFB_NUMERIC" => model.mti = Encoding::Bcd,
        "IFE_NUMERIC" | "IFE_CHAR" | "IF_ECHAR" => model.mti = Encoding::Ebcdic037,
        "IFA_NUMERIC" | "IF_CHAR" => {}
        _ => {
            model.note("0", class, "no message type that is known here: ASCII is assumed, see wire.mti");
        }
    }
    if length(node) != Some(4) {
        model.note(
            "0",
            &format!("length=\"{}\"", attribute(node, "length")),
            "a message type has four digits",
        );
    }
}

fn is_bitmap(class: &str) -> bool {
    class.ends_with("_BITMAP")
}

fn bitmap(node: Node<'_, '_>, model: &mut Model) {
    let class = class_name(node);
    match class {
        "IFA_BITMAP" => model.bitmap = Encoding::Hex,
        "IFB_BITMAP" => {}
        "IFE_BITMAP" => model.bitmap = Encoding::EbcdicHex,
        _ => model.note("1", class, "no bitmap that is known here: binary is assumed, see wire.bitmap"),
    }
    match length(node) {
        Some(8) => model.field_max = 64,
        Some(24) => (model.field_max, model.third) = (192, Some("contiguous")),
        Some(16) => {}
        _ => {
            let found = format!("length=\"{}\"", attribute(node, "length"));
            model.note("1", &found, "bitmaps have 8, 16 or 24 bytes: 16 are assumed");
        }
    }
}

/// Fields that no bitmap can announce, and the one that is a bitmap itself.
fn above_the_bitmap(model: &mut Model) {
    let field_max = model.field_max;
    let third = model.third.is_some();
    let (kept, lost) = std::mem::take(&mut model.rows)
        .into_iter()
        .partition(|(n, _)| *n <= field_max && !(third && *n == 65));
    model.rows = kept;
    for (n, row) in lost {
        let what = if n == 65 {
            "it is the third bitmap: left out".to_owned()
        } else {
            format!("the bitmap ends at field {field_max}: left out; a longer one is field_max")
        };
        model.note(&n.to_string(), &row.name, what);
    }
}

/// The row of an element; what is wrong with it is noted.
fn field(node: Node<'_, '_>, path: &str, depth: usize, model: &mut Model) -> Option<Row> {
    let class = class_name(node);
    let Some(length) = length(node) else {
        model.note(path, &format!("length=\"{}\"", attribute(node, "length")), "no length: left out");
        return None;
    };
    let mut row = match class::of(class, length, pads(node)) {
        Class::Row(row, changed) => {
            if let Some(what) = changed {
                model.note(path, class, what);
            }
            row
        }
        Class::Tagged(..) => {
            model.note(path, class, "a part with a tag stands in a field of such parts alone: left out");
            return None;
        }
        Class::Nothing => {
            model.note(path, class, "a field without bytes: left out");
            return None;
        }
        Class::Unlike(what) => {
            model.note(path, class, what);
            return None;
        }
    };
    row.name = printable(attribute(node, "name"), 80);
    match row.fit() {
        Ok(None) => {}
        Ok(Some(what)) => model.note(path, &format!("{class} length=\"{length}\""), what),
        Err(what) => {
            model.note(path, &format!("{class} length=\"{length}\""), what);
            return None;
        }
    }
    if node.tag_name().name() == "isofieldpackager" {
        match structure(node, &mut row, path, depth, model) {
            Ok(name) => row.structure = Some(name),
            Err((found, what)) => {
                model.note(path, &found, format!("{what}: the field is one value, without parts"));
            }
        }
    }
    Some(row)
}

/// Why there are no parts: what stood there, and what is wrong with it.
type Whole = (String, String);

/// The parts of a field, by the name of their structure.
fn structure(
    node: Node<'_, '_>,
    row: &mut Row,
    path: &str,
    depth: usize,
    model: &mut Model,
) -> Result<String, Whole> {
    let packager = last(attribute(node, "packager"));
    let whole = |what: &str| Err((packager.to_owned(), what.to_owned()));
    if depth >= DEPTH_MAX {
        return whole("parts stand within parts too deep");
    }
    if packager.contains("TLV") {
        return if packager.contains("Binary") && row.kind == Kind::B {
            Ok(ber(path, packager, node, model))
        } else {
            whole("BER-TLV is read from bytes")
        };
    }
    if packager.starts_with("MasterCard") {
        return whole("a category code stands in front of its tags, which a dialect cannot say");
    }
    let below = children(node, path, model);
    let tagged: Vec<_> = below.iter().filter_map(|(id, node)| tagged(*id, *node)).collect();
    let structure = if !tagged.is_empty() {
        if tagged.len() != below.len() || tagged.iter().any(|one| one.1 != tagged[0].1) {
            return whole("its parts have tags and lengths of several forms");
        }
        tags(tagged, path, model)
    } else if packager != "GenericSubFieldPackager" {
        return whole("the packager is not known here");
    } else if !attribute(node, "emitBitmap").eq_ignore_ascii_case("false") {
        return whole("a bitmap says which parts there are, and a dialect has none inside of fields");
    } else {
        positional(node, below, path, depth, model)?
    };
    if !hold(row, &structure) {
        return whole("its parts are bytes, and the field is no bytes");
    }
    if model.structures.len() >= STRUCTURES_MAX {
        return whole("the file has too many fields with parts");
    }
    let name = format!("f{}", path.replace('.', "-"));
    model.structures.insert(name.clone(), structure);
    Ok(name)
}

/// Chip data has names for its tags in every dialect.
fn ber(path: &str, packager: &str, node: Node<'_, '_>, model: &mut Model) -> String {
    if node.children().any(|child| child.is_element()) {
        model.note(
            path,
            packager,
            "its tags are those of structure \"emv\" now: names of its own are left out",
        );
    }
    "emv".to_owned()
}

fn tagged(id: u32, node: Node<'_, '_>) -> Option<(u32, Tagged, Row, Tags)> {
    match class::of(class_name(node), length(node)?, pads(node)) {
        Class::Tagged(tagged, mut row, tags) => {
            row.name = printable(attribute(node, "name"), 80);
            Some((id, tagged, row, tags))
        }
        _ => None,
    }
}

fn tags(found: Vec<(u32, Tagged, Row, Tags)>, path: &str, model: &mut Model) -> Structure {
    let form = found[0].1;
    let mut parts = Vec::new();
    let mut is_mapped = false;
    for (number, _, mut row, tags) in found {
        let digits = usize::from(form.tag_bytes);
        let id = format!("{number:0digits$}");
        if row.name.is_empty() {
            row.name = format!("part {number}");
        }
        let path = format!("{path}.{number}");
        match (tags, row.fit()) {
            (Tags::Mapper, _) => is_mapped = true,
            (_, Err(what)) => model.note(&path, &row.name, what),
            _ if id.len() > digits => {
                model.note(&path, &row.name, "its number has more digits than the tag: left out");
            }
            (Tags::Number, _) => parts.push(Part { id: Some(id), row }),
            (Tags::EbcdicNumber, _) => {
                let id = id.chars().map(|digit| format!("F{digit}")).collect();
                parts.push(Part { id: Some(id), row });
            }
        }
    }
    if is_mapped {
        let what = "which tag is which part stands in Java code, not in the file: list the parts in the structure, each by its tag";
        model.note(path, "tagMapper", what);
    }
    Structure { shape: Shape::Tagged(form), parts }
}

fn positional(
    node: Node<'_, '_>,
    below: BTreeMap<u32, Node<'_, '_>>,
    path: &str,
    depth: usize,
    model: &mut Model,
) -> Result<Structure, Whole> {
    // jPOS begins with part 1 unless the file says another number.
    let first = attribute(node, "firstField").trim().parse().unwrap_or(1);
    let mut parts = Vec::new();
    for (id, node) in below {
        let class = class_name(node);
        let path = format!("{path}.{id}");
        if id < first {
            model.note(&path, class, "jPOS does not write it: left out");
            continue;
        }
        if matches!(class::of(class, 1, false), Class::Nothing) {
            continue;
        }
        let Some(mut row) = field(node, &path, depth + 1, model) else {
            return Err((format!("part {id}"), "the part cannot be carried over".to_owned()));
        };
        if row.name.is_empty() {
            row.name = format!("part {id}");
        }
        let place = u32::try_from(parts.len()).unwrap_or(u32::MAX).saturating_add(1);
        parts.push(Part { id: (id != place).then(|| id.to_string()), row });
    }
    if parts.is_empty() {
        return Err(("no parts".to_owned(), "it names no parts".to_owned()));
    }
    if parts.iter().any(|part| part.id.is_some()) {
        // All by name, lest a number of the file be that of another place.
        for (at, part) in parts.iter_mut().enumerate() {
            part.id.get_or_insert_with(|| (at + 1).to_string());
        }
    }
    Ok(Structure { shape: Shape::Positional, parts })
}

/// Makes the field one that can hold these parts: text becomes bytes where a part is not text.
fn hold(row: &mut Row, structure: &Structure) -> bool {
    let tags_are_text = match structure.shape {
        Shape::Tagged(tagged) => tagged.tag_is_text && tagged.numeral == super::model::Numeral::Ascii,
        Shape::Positional | Shape::Ber => true,
    };
    let is_text = tags_are_text && structure.parts.iter().all(|part| part.row.is_ascii());
    if row.kind == Kind::B || is_text {
        return true;
    }
    let is_plain = row.kind == Kind::Ans && row.encoding == Encoding::Ascii;
    if is_plain {
        (row.kind, row.encoding, row.pad) = (Kind::B, Encoding::Binary, None);
    }
    is_plain
}

fn attribute<'a>(node: Node<'a, '_>, name: &str) -> &'a str {
    node.attribute(name).unwrap_or_default()
}

fn class_name<'a>(node: Node<'a, '_>) -> &'a str {
    last(attribute(node, "class"))
}

/// A Java class without its package.
fn last(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or_default().trim()
}

fn length(node: Node<'_, '_>) -> Option<u32> {
    attribute(node, "length").trim().parse().ok()
}

fn pads(node: Node<'_, '_>) -> bool {
    attribute(node, "pad").eq_ignore_ascii_case("true")
}

/// The text with its DOCTYPE turned into blanks, places kept.
fn without_doctype(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    if let Some((from, to)) = doctype(text) {
        bytes[from..to].iter_mut().filter(|byte| !byte.is_ascii_whitespace()).for_each(|byte| *byte = b' ');
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// Where the DOCTYPE begins and ends; only comments and instructions may stand in front of it.
fn doctype(text: &str) -> Option<(usize, usize)> {
    let mut at = 0;
    loop {
        let rest = text.get(at..)?;
        let skip = rest.len() - rest.trim_start().len();
        let rest = &rest[skip..];
        at += skip;
        let end = if rest.starts_with("<?") {
            "?>"
        } else if rest.starts_with("<!--") {
            "-->"
        } else if rest.get(..9).is_some_and(|word| word.eq_ignore_ascii_case("<!DOCTYPE")) {
            return Some((at, at + doctype_bytes(rest)));
        } else {
            return None;
        };
        at += rest.find(end)? + end.len();
    }
}

fn doctype_bytes(text: &str) -> usize {
    let (mut quote, mut depth) = (None, 0u32);
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'[') => depth = depth.saturating_add(1),
            (None, b']') => depth = depth.saturating_sub(1),
            (None, b'>') if depth == 0 => return at + 1,
            _ => {}
        }
    }
    text.len()
}
