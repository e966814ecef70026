//! The rows of a dialect file as they are written, laid over the rows of the dialect it extends.
//!
//! What is given replaces what was inherited: single values by key, fields by number, codes by key, the kind
//! table and the list of mandatory fields as a whole.

use super::DialectError;
use super::doc::{At, Place, Table};
use super::structures::{self, StructureRow};
use crate::codes::{Code, Codes};
use crate::dialect::{BitmapWire, MtiWire, ReversalStyle, ThirdBitmap};
use crate::ebcdic::Page;
use crate::framing::Framing;
use crate::kind::{Kind, KindRow};
use crate::mask::FIELD_MAX;
use crate::mti::Mti;
use crate::spec::{Numeral, Sensitivity};
use std::collections::BTreeMap;

type Errors = Vec<DialectError>;

/// All rows of a dialect.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) name: Option<String>,
    pub(super) framing: Option<Framing>,
    pub(super) field_max: Option<u8>,
    pub(super) mac_field: Option<(u8, Option<Place>)>,
    pub(super) tpdu: Option<bool>,
    pub(super) header: Option<(Vec<u8>, Option<Place>)>,
    pub(super) addresses: Option<([usize; 3], Place)>,
    pub(super) total_at: Option<(usize, Place)>,
    pub(super) reject: Option<([usize; 2], Place)>,
    pub(super) mti: Option<MtiWire>,
    pub(super) bitmap: Option<BitmapWire>,
    pub(super) third: Option<(ThirdBitmap, Place)>,
    pub(super) wire: Defaults,
    pub(super) answer_match: Option<(Vec<u8>, Option<Place>)>,
    pub(super) f7_offset_minutes: Option<i16>,
    pub(super) reversal: Option<ReversalStyle>,
    pub(super) fields: BTreeMap<u8, FieldRow>,
    pub(super) codes: BTreeMap<&'static str, Code>,
    pub(super) kinds: Vec<KindRow>,
    pub(super) demands: Vec<DemandRow>,
    pub(super) structures: BTreeMap<String, StructureRow>,
    /// Where to point for what is missing altogether.
    pub(super) top: Option<Place>,
}

/// How values stand on the wire unless their own row says otherwise.
#[derive(Clone, Copy, Default)]
pub(super) struct Defaults {
    pub(super) lengths: Option<Numeral>,
    pub(super) digits: Option<Encoding>,
    pub(super) text: Option<Encoding>,
    pub(super) binary: Option<Encoding>,
}

/// What a message type demands, as written.
#[derive(Clone)]
pub(super) struct DemandRow {
    pub(super) mti: Mti,
    pub(super) mandatory: Vec<u8>,
    pub(super) forbidden: Vec<u8>,
    pub(super) place: Place,
}

/// One field, or part of a structure, as written.
#[derive(Clone)]
pub(super) struct FieldRow {
    pub(super) place: Place,
    pub(super) name: String,
    pub(super) kind: FieldKind,
    pub(super) length: Option<u16>,
    pub(super) max: Option<u16>,
    /// Decimal digits of the length.
    pub(super) prefix: Option<u8>,
    pub(super) prefix_encoding: Option<Numeral>,
    pub(super) counts_bytes: bool,
    pub(super) encoding: Option<Encoding>,
    pub(super) pad: Option<Side>,
    pub(super) sensitivity: Sensitivity,
    /// How its inside looks, by name.
    pub(super) structure: Option<(String, Place)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldKind {
    N,
    XN,
    Z,
    A,
    An,
    Ans,
    B,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Ascii,
    Bcd,
    Binary,
    Hex,
    Gbk,
    Ebcdic(Page),
    EbcdicHex,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

const TOP_KEYS: [&str; 15] = [
    "name",
    "extends",
    "framing",
    "field_max",
    "mac_field",
    "answer_match",
    "f7_zone",
    "reversal",
    "header",
    "wire",
    "fields",
    "structure",
    "codes",
    "kind",
    "require",
];
const FIELD_KINDS: [(&str, FieldKind); 7] = [
    ("n", FieldKind::N),
    ("x+n", FieldKind::XN),
    ("z", FieldKind::Z),
    ("a", FieldKind::A),
    ("an", FieldKind::An),
    ("ans", FieldKind::Ans),
    ("b", FieldKind::B),
];
const ENCODINGS: [(&str, Encoding); 8] = [
    ("ascii", Encoding::Ascii),
    ("bcd", Encoding::Bcd),
    ("ebcdic-037", Encoding::Ebcdic(Page::Cp037)),
    ("ebcdic-1047", Encoding::Ebcdic(Page::Cp1047)),
    ("gbk", Encoding::Gbk),
    ("binary", Encoding::Binary),
    ("hex", Encoding::Hex),
    ("ebcdic-hex", Encoding::EbcdicHex),
];
const DIGIT_ENCODINGS: &[(&str, Encoding)] = ENCODINGS.split_at(4).0;
const BINARY_ENCODINGS: &[(&str, Encoding)] = ENCODINGS.split_at(5).1;
const SENSITIVITIES: [(&str, Sensitivity); 7] = [
    ("none", Sensitivity::None),
    ("pan", Sensitivity::Pan),
    ("track", Sensitivity::Track),
    ("pin", Sensitivity::Pin),
    ("emv", Sensitivity::Emv),
    ("cvv", Sensitivity::Cvv),
    ("secret", Sensitivity::Secret),
];
pub(super) const NUMERALS: [(&str, Numeral); 5] = [
    ("ascii", Numeral::Ascii),
    ("bcd", Numeral::Bcd),
    ("binary", Numeral::Binary),
    ("hex", Numeral::Hex),
    ("ebcdic", Numeral::Ebcdic),
];
pub(super) const PREFIXES: [(&str, u8); 6] =
    [("l", 1), ("ll", 2), ("lll", 3), ("llll", 4), ("lllll", 5), ("llllll", 6)];
/// One past the highest field number, and one past the longest field, which is as long as a message.
const FIELDS_END: u16 = FIELD_MAX as u16 + 1;
const LENGTHS_END: u16 = u16::MAX;

/// The rows of `top` over `rows`.
pub(super) fn read(top: &Table<'_, '_>, mut rows: Rows, errors: &mut Errors) -> Rows {
    top.only(&TOP_KEYS, errors);
    rows.top = Some(top.place());
    read_habits(top, &mut rows, errors);
    if let Some(header) = top.table("header", errors) {
        read_header(&header, &mut rows, errors);
    }
    if let Some(wire) = top.table("wire", errors) {
        read_wire(&wire, &mut rows, errors);
    }
    if let Some(fields) = top.table("fields", errors) {
        read_fields(&fields, &mut rows, errors);
    }
    if let Some(codes) = top.table("codes", errors) {
        codes.only(Codes::KEYS, errors);
        for &key in Codes::KEYS {
            if let Some(text) = codes.text(key, errors) {
                match Code::parse(text.value) {
                    Some(code) => _ = rows.codes.insert(key, code),
                    None => errors.push(text.error("a response code is two letters or digits")),
                }
            }
        }
    }
    if let Some(kinds) = top.tables("kind", errors) {
        rows.kinds = kinds.iter().filter_map(|row| read_kind(row, errors)).collect();
    }
    if let Some(required) = top.tables("require", errors) {
        rows.demands = required.iter().filter_map(|row| read_demand(row, errors)).collect();
    }
    if let Some(table) = top.table("structure", errors) {
        structures::read(&table, &mut rows.structures, errors);
    }
    rows
}

fn read_header(header: &Table<'_, '_>, rows: &mut Rows, errors: &mut Errors) {
    header.only(&["tpdu", "default", "addresses", "total_at", "reject"], errors);
    replace(&mut rows.tpdu, header.flag("tpdu", errors).map(|flag| flag.value));
    if let Some(text) = header.text("default", errors) {
        replace(&mut rows.header, bytes_of(&text, errors).map(|bytes| (bytes, Some(text.place()))));
    }
    if let Some(list) = header.numbers("addresses", 0..256, errors) {
        match *list.value {
            [to, from, len] => rows.addresses = Some(([to, from, len].map(usize::from), list.place())),
            _ => errors.push(list.error("expected [first, second, bytes of each]")),
        }
    }
    if let Some(list) = header.numbers("reject", 0..256, errors) {
        match *list.value {
            [at, len] => rows.reject = Some(([at, len].map(usize::from), list.place())),
            _ => errors.push(list.error("expected [first, bytes]")),
        }
    }
    if let Some(number) = header.number("total_at", 0..256, errors) {
        rows.total_at = Some((usize::from(number.value), number.place()));
    }
}

fn read_habits(top: &Table<'_, '_>, rows: &mut Rows, errors: &mut Errors) {
    replace(&mut rows.name, top.text("name", errors).map(|name| name.value.to_owned()));
    if let Some(name) = top.text("framing", errors) {
        let framing = Framing::parse(name.value);
        if framing.is_none() {
            let names: Vec<String> = Framing::names().collect();
            errors.push(name.unlike(&format!("expected {}", Framing::FORMS), &names));
        }
        replace(&mut rows.framing, framing);
    }
    if let Some(number) = top.number("field_max", 64..FIELDS_END, errors) {
        match number.value {
            64 | 128 | 192 => rows.field_max = Some(number.value as u8),
            _ => errors.push(number.error("a message has 64, 128 or 192 fields")),
        }
    }
    if let Some(number) = top.number("mac_field", 64..FIELDS_END, errors) {
        rows.mac_field = Some((number.value as u8, Some(number.place())));
    }
    if let Some(list) = top.numbers("answer_match", 2..FIELDS_END, errors) {
        rows.answer_match = Some((narrow(&list.value), Some(list.place())));
    }
    if let Some(zone) = top.text("f7_zone", errors) {
        match zone_minutes(zone.value) {
            Some(minutes) => rows.f7_offset_minutes = Some(minutes),
            None => errors.push(zone.error("expected \"utc\" or an offset such as \"+08:00\"")),
        }
    }
    if let Some(style) = top.text("reversal", errors) {
        let styles = [("f90-0420", ReversalStyle::F90Advice), ("f61-0400", ReversalStyle::F61Request)];
        replace(&mut rows.reversal, style.one_of(&styles, errors));
    }
}

fn read_wire(wire: &Table<'_, '_>, rows: &mut Rows, errors: &mut Errors) {
    wire.only(&["mti", "bitmap", "third_bitmap", "lengths", "digits", "text", "binary"], errors);
    let mut word = |key| wire.text(key, errors);
    let (mti, bitmap, third) = (word("mti"), word("bitmap"), word("third_bitmap"));
    let mti_words = [("ascii", MtiWire::Ascii), ("bcd", MtiWire::Bcd), ("ebcdic", MtiWire::Ebcdic)];
    let bitmap_words =
        [("hex", BitmapWire::Hex), ("binary", BitmapWire::Binary), ("ebcdic-hex", BitmapWire::EbcdicHex)];
    let third_words = [("contiguous", ThirdBitmap::Contiguous), ("field-65", ThirdBitmap::Field65)];
    replace(&mut rows.mti, mti.and_then(|text| text.one_of(&mti_words, errors)));
    replace(&mut rows.bitmap, bitmap.and_then(|text| text.one_of(&bitmap_words, errors)));
    if let Some(text) = third {
        replace(&mut rows.third, text.one_of(&third_words, errors).map(|third| (third, text.place())));
    }
    read_defaults(wire, &mut rows.wire, errors);
}

/// How values stand on the wire, in `[wire]` and in a structure.
pub(super) fn read_defaults(table: &Table<'_, '_>, rows: &mut Defaults, errors: &mut Errors) {
    let mut word = |key| table.text(key, errors);
    let (lengths, digits, text, binary) = (word("lengths"), word("digits"), word("text"), word("binary"));
    replace(&mut rows.lengths, lengths.and_then(|text| text.one_of(&NUMERALS, errors)));
    replace(&mut rows.digits, digits.and_then(|text| text.one_of(DIGIT_ENCODINGS, errors)));
    replace(&mut rows.text, text.and_then(|text| text.one_of(&TEXT_ENCODINGS, errors)));
    replace(&mut rows.binary, binary.and_then(|text| text.one_of(BINARY_ENCODINGS, errors)));
}

const TEXT_ENCODINGS: [(&str, Encoding); 3] = [ENCODINGS[0], ENCODINGS[2], ENCODINGS[3]];

fn read_fields(fields: &Table<'_, '_>, rows: &mut Rows, errors: &mut Errors) {
    for key in fields.keys() {
        match key.value.parse::<u8>() {
            Ok(n @ 2..=FIELD_MAX) => {
                if let Some(table) = fields.table(key.value, errors) {
                    table.only(&FIELD_KEYS, errors);
                    rows.fields.extend(read_field(&table, errors).map(|row| (n, row)));
                }
            }
            _ => errors.push(key.error("fields are numbered 2 to 192; 1 is the second bitmap")),
        }
    }
}

pub(super) const FIELD_KEYS: [&str; 11] = [
    "name",
    "kind",
    "length",
    "max",
    "prefix",
    "prefix_encoding",
    "counts",
    "encoding",
    "pad",
    "sensitivity",
    "structure",
];

pub(super) fn read_field(table: &Table<'_, '_>, errors: &mut Errors) -> Option<FieldRow> {
    let Some(kind) = table.text("kind", errors) else {
        errors.push(table.place().error("the field needs a kind"));
        return None;
    };
    let mut word = |key| table.text(key, errors);
    let (prefix, prefix_encoding, encoding) = (word("prefix"), word("prefix_encoding"), word("encoding"));
    let (pad, sensitivity, name) = (word("pad"), word("sensitivity"), word("name"));
    let (counts, structure) = (word("counts"), word("structure"));
    let sides = [("left", Side::Left), ("right", Side::Right)];
    let counts = counts.and_then(|text| text.one_of(&[("digits", false), ("bytes", true)], errors));
    Some(FieldRow {
        place: table.place(),
        name: name.map_or_else(String::new, |name| name.value.to_owned()),
        kind: kind.one_of(&FIELD_KINDS, errors)?,
        length: table.number("length", 1..LENGTHS_END, errors).map(|at| at.value),
        max: table.number("max", 1..LENGTHS_END, errors).map(|at| at.value),
        prefix: prefix.and_then(|text| text.one_of(&PREFIXES, errors)),
        prefix_encoding: prefix_encoding.and_then(|text| text.one_of(&NUMERALS, errors)),
        counts_bytes: counts.unwrap_or(false),
        encoding: encoding.and_then(|text| text.one_of(&ENCODINGS, errors)),
        pad: pad.and_then(|text| text.one_of(&sides, errors)),
        sensitivity: sensitivity.and_then(|text| text.one_of(&SENSITIVITIES, errors)).unwrap_or_default(),
        structure: structure.map(|text| (text.value.to_owned(), text.place())),
    })
}

fn read_kind(row: &Table<'_, '_>, errors: &mut Errors) -> Option<KindRow> {
    row.only(&["kind", "mti", "f3", "f25", "f60_1", "f60_3", "f70"], errors);
    let words: Vec<_> = Kind::ALL.iter().map(|kind| (kind.as_str(), *kind)).collect();
    let kind = row.text("kind", errors).and_then(|text| text.one_of(&words, errors));
    let found = KindRow {
        kind: kind.unwrap_or(Kind::Purchase),
        mti: read_mti(row, errors)?,
        f3: read_digits(row, "f3", errors),
        f25: read_digits(row, "f25", errors),
        f60_1: read_digits(row, "f60_1", errors),
        f70: read_digits(row, "f70", errors),
        f60_3: read_digits(row, "f60_3", errors),
    };
    kind.map(|_| found)
}

fn read_demand(row: &Table<'_, '_>, errors: &mut Errors) -> Option<DemandRow> {
    row.only(&["mti", "fields", "forbidden"], errors);
    let mti = read_mti(row, errors);
    let fields = row.numbers("fields", 2..FIELDS_END, errors);
    let forbidden = row.numbers("forbidden", 2..FIELDS_END, errors);
    if fields.is_none() && forbidden.is_none() {
        errors.push(row.place().error("the row needs fields, or forbidden ones"));
    }
    let numbers = |list: Option<At<'_, Vec<u16>>>| list.map_or_else(Vec::new, |list| narrow(&list.value));
    let place = row.place();
    Some(DemandRow { mti: mti?, mandatory: numbers(fields), forbidden: numbers(forbidden), place })
}

fn read_mti(row: &Table<'_, '_>, errors: &mut Errors) -> Option<Mti> {
    let Some(text) = row.text("mti", errors) else {
        errors.push(row.place().error("the row needs a message type, mti"));
        return None;
    };
    let digits = text.value.as_bytes().try_into().ok();
    let mti = digits.and_then(Mti::from_digits).filter(|mti| !mti.is_repeat());
    if mti.is_none() {
        errors.push(text.error("expected four digits, the last one even: repeats need no row of their own"));
    }
    mti
}

fn read_digits<const N: usize>(row: &Table<'_, '_>, key: &str, errors: &mut Errors) -> Option<[u8; N]> {
    let text = row.text(key, errors)?;
    let digits: Option<[u8; N]> = text.value.as_bytes().try_into().ok();
    let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_digit));
    if digits.is_none() {
        errors.push(text.error(format!("expected {N} digits")));
    }
    digits
}

fn bytes_of(text: &At<'_, &str>, errors: &mut Errors) -> Option<Vec<u8>> {
    let hex = text.value.as_bytes();
    if !hex.len().is_multiple_of(2) || !crate::check::hex(hex) {
        errors.push(text.error("expected pairs of hex characters"));
        return None;
    }
    let mut bytes = vec![0; hex.len() / 2];
    crate::convert::bytes_of_hex(hex, &mut bytes);
    Some(bytes)
}

/// Minutes ahead of UTC of `utc` or `+hh:mm`.
fn zone_minutes(text: &str) -> Option<i16> {
    if text == "utc" {
        return Some(0);
    }
    let (sign, rest) = text.split_at_checked(1)?;
    let (hours, minutes) = rest.split_once(':').filter(|pair| pair.0.len() == 2 && pair.1.len() == 2)?;
    let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
    // Zones of the world lie between -12:00 and +14:00.
    let total = (hours <= 14 && minutes < 60).then(|| i16::from(hours) * 60 + i16::from(minutes))?;
    match sign {
        "+" => Some(total),
        "-" => Some(-total),
        _ => None,
    }
}

/// Field numbers, which `Table::numbers` has kept below 193.
fn narrow(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().map(|number| *number as u8).collect()
}

fn replace<T>(place: &mut Option<T>, given: Option<T>) {
    if given.is_some() {
        *place = given;
    }
}
