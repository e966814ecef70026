//! From rows to a dialect: the rules between rows, and the compiled form of each field.

use super::DialectError;
use super::doc::Place;
use super::read::{Defaults, Encoding, FieldKind, FieldRow, Rows, Side};
use super::structures;
use crate::check::Check;
use crate::codes::{Code, Codes};
use crate::dialect::{Demand, Dialect, Header, ReversalStyle, SPECS, TOTAL_DIGITS, ThirdBitmap};
use crate::mask::FieldMask;
use crate::spec::{Content, Prefix, Spec, Wire};
use crate::structure::Shape;
use std::sync::Arc;

type Errors = Vec<DialectError>;

/// Bytes of a MAC, and of a TPDU: id, destination, source.
const MAC_BYTES: usize = 8;
const TPDU_BYTES: usize = 5;

/// The dialect of these rows; `None` only with errors.
pub(super) fn build(rows: &Rows, errors: &mut Errors) -> Option<Dialect> {
    let top = rows.top.as_ref()?;
    let field_max = demand(rows.field_max, "field_max", top, errors);
    let third = match rows.third {
        Some((third, ref place)) => {
            if field_max.is_some_and(|max| max < 192) {
                errors.push(place.error("a third bitmap is for a dialect whose field_max is 192"));
            }
            third
        }
        None => ThirdBitmap::None,
    };
    let (mut structures, numbers) = structures::build(&rows.structures, errors);
    let mut specs = Box::new([None; SPECS]);
    let mut known = FieldMask::EMPTY;
    for (&n, row) in &rows.fields {
        if n == 65 && third != ThirdBitmap::None {
            // One that another file gives makes way.
            if row.place.is_in_file_of(top) {
                errors.push(row.place.error("where there is a third bitmap, 65 is its bit and no field"));
            }
            continue;
        }
        if field_max.is_some_and(|max| n > max) {
            errors.push(row.place.error("the number is above field_max"));
        }
        if let Some(spec) = compile(row, &rows.wire, errors) {
            specs[usize::from(n)] = Some(spec);
            known = known.with(n);
        }
        structures.of_field.extend(structures::number(row, &numbers, errors).map(|no| (n, no)));
    }
    let name = demand(rows.name.as_deref(), "name", top, errors);
    let mti = demand(rows.mti, "wire.mti", top, errors);
    let bitmap = demand(rows.bitmap, "wire.bitmap", top, errors);
    let header = build_header(rows, top, errors);
    let habits = Habits::build(rows, &specs, known, field_max, top, errors);
    let demands = build_demands(rows, known, errors);
    if field_max == Some(192) && third == ThirdBitmap::None {
        demand::<ThirdBitmap>(None, "wire.third_bitmap", top, errors);
    }
    let habits = habits?;
    Some(Dialect {
        name: Arc::from(name?),
        framing: rows.framing.unwrap_or_default(),
        header,
        mti: mti?,
        bitmap: bitmap?,
        third,
        field_max: field_max?,
        mac_field: habits.mac_field,
        specs,
        known,
        field_names: rows.fields.iter().map(|(n, row)| (*n, row.name.clone())).collect(),
        answer_match: habits.answer_match,
        f7_offset_minutes: habits.f7_offset_minutes,
        reversal: habits.reversal,
        codes: habits.codes,
        kinds: rows.kinds.clone(),
        routes: habits.routes,
        demands,
        structures,
        digest: 0,
    })
}

/// What a switch has to know beyond the fields.
struct Habits {
    mac_field: u8,
    answer_match: Vec<u8>,
    f7_offset_minutes: i16,
    reversal: ReversalStyle,
    codes: Codes,
    routes: bool,
}

impl Habits {
    /// All of it is demanded as soon as kinds or codes are given: a dialect without either only reads and writes.
    fn build(
        rows: &Rows,
        specs: &Specs,
        known: FieldMask,
        field_max: Option<u8>,
        top: &Place,
        errors: &mut Errors,
    ) -> Option<Habits> {
        let routes = !rows.kinds.is_empty() || !rows.codes.is_empty();
        if !routes {
            let mac_field = match rows.mac_field {
                Some(_) => build_mac(rows, specs, field_max, top, errors)?,
                None => 0,
            };
            let answer_match = match rows.answer_match {
                Some(_) => build_match(rows, known, top, errors),
                None => Vec::new(),
            };
            let codes = Codes::collect(|_| Some(Code::new(*b"96")))?;
            let f7_offset_minutes = rows.f7_offset_minutes.unwrap_or_default();
            let reversal = rows.reversal.unwrap_or(ReversalStyle::F90Advice);
            return Some(Habits { mac_field, answer_match, f7_offset_minutes, reversal, codes, routes });
        }
        let codes = Codes::collect(|key| {
            let code = rows.codes.get(key).copied();
            demand(code, &format!("codes.{key}"), top, errors)
        });
        let mac_field = build_mac(rows, specs, field_max, top, errors);
        let answer_match = build_match(rows, known, top, errors);
        let f7_offset_minutes = demand(rows.f7_offset_minutes, "f7_zone", top, errors);
        let reversal = demand(rows.reversal, "reversal", top, errors);
        Some(Habits {
            mac_field: mac_field?,
            answer_match,
            f7_offset_minutes: f7_offset_minutes?,
            reversal: reversal?,
            codes: codes?,
            routes,
        })
    }
}

type Specs = [Option<Spec>; SPECS];

fn demand<T>(given: Option<T>, key: &str, top: &Place, errors: &mut Errors) -> Option<T> {
    if given.is_none() && !blamed(errors, key) {
        let mut place = top.clone();
        key.clone_into(&mut place.key);
        errors.push(place.error("is missing"));
    }
    given
}

/// True if the key, or one below it, is wrong already: then what follows from that is not worth a line.
fn blamed(errors: &Errors, key: &str) -> bool {
    let below = |rest: &str| rest.is_empty() || rest.starts_with('.');
    errors.iter().any(|error| error.key.strip_prefix(key).is_some_and(below))
}

fn build_header(rows: &Rows, top: &Place, errors: &mut Errors) -> Header {
    let (default, place) = rows.header.clone().unwrap_or_default();
    let tpdu = rows.tpdu.unwrap_or_default();
    if tpdu && default.len() < TPDU_BYTES && !blamed(errors, "header.default") {
        errors.push(place.as_ref().unwrap_or(top).error("a TPDU has five bytes: id, destination, source"));
    }
    let inside = |place: &Place, end: usize, errors: &mut Errors| {
        if end > default.len() && !blamed(errors, "header.default") {
            errors.push(
                place.error(format!("lies outside the header, whose default has {} bytes", default.len())),
            );
        }
    };
    if let Some(([to, from, len], place)) = &rows.addresses {
        inside(place, to.max(from) + len, errors);
        if to.abs_diff(*from) < *len || *len == 0 {
            errors.push(place.error("the two addresses overlap, or are empty"));
        }
    }
    if let Some((at, place)) = &rows.total_at {
        inside(place, at + TOTAL_DIGITS, errors);
    }
    if let Some(([at, len], place)) = &rows.reject {
        inside(place, at + len, errors);
    }
    // Id, destination, source.
    let tpdu_addresses = tpdu.then_some([1, 3, 2]);
    Header {
        default,
        addresses: rows.addresses.as_ref().map(|row| row.0).or(tpdu_addresses),
        total_at: rows.total_at.as_ref().map(|row| row.0),
        reject: rows.reject.as_ref().map(|row| row.0),
    }
}

/// The MAC is the last field of either bitmap (ISO 8583:1987, fields 64 and 128), and encode may have to use
/// both.
fn build_mac(
    rows: &Rows,
    specs: &Specs,
    field_max: Option<u8>,
    top: &Place,
    errors: &mut Errors,
) -> Option<u8> {
    let (mac_field, place) = demand(rows.mac_field.clone(), "mac_field", top, errors)?;
    let place = place.as_ref().unwrap_or(top);
    if !matches!(mac_field, 64 | 128) {
        errors.push(place.error("the MAC is in field 64 or 128"));
        return None;
    }
    let is_mac = |spec: &Spec| {
        let bytes = spec.canonical_bytes(usize::from(spec.units_max));
        spec.content == Content::Binary && spec.prefix == Prefix::Fixed && bytes == MAC_BYTES
    };
    let specs: Vec<_> = [64, field_max?.min(128)].iter().map(|n| specs[usize::from(*n)]).collect();
    let all_alike = specs.iter().all(|spec| spec.is_some_and(|spec| is_mac(&spec)))
        && specs.first().map(wire_of) == specs.last().map(wire_of);
    let blamed = blamed(errors, "fields.64") || blamed(errors, "fields.128");
    if (mac_field > field_max? || !all_alike) && !blamed {
        let rule = "fields 64 and, in a dialect of more than 64 fields, 128 must be there, both fixed, binary, 8 bytes";
        errors.push(place.error(rule));
    }
    Some(mac_field)
}

fn wire_of(spec: &Option<Spec>) -> Option<Wire> {
    spec.map(|spec| spec.wire)
}

fn build_match(rows: &Rows, known: FieldMask, top: &Place, errors: &mut Errors) -> Vec<u8> {
    let Some((fields, place)) = demand(rows.answer_match.clone(), "answer_match", top, errors) else {
        return Vec::new();
    };
    let place = place.as_ref().unwrap_or(top);
    if fields.is_empty() {
        errors.push(place.error("an answer has to be matched by at least one field"));
    }
    for n in fields.iter().filter(|n| !MATCHING.contains(n)) {
        errors.push(place.error(format!("answers are matched by some of 7, 11, 37 and 41, not by {n}")));
    }
    let usable: Vec<u8> = fields.iter().copied().filter(|n| MATCHING.contains(n)).collect();
    unknown_fields(&usable, known, place, errors);
    usable
}

/// The fields that an answer can be matched by.
const MATCHING: [u8; 4] = [7, 11, 37, 41];

fn build_demands(rows: &Rows, known: FieldMask, errors: &mut Errors) -> Vec<Demand> {
    let mask = |fields: &[u8]| fields.iter().fold(FieldMask::EMPTY, |mask, n| mask.with(*n));
    let mut demands = Vec::new();
    for row in &rows.demands {
        unknown_fields(&row.mandatory, known, &row.place, errors);
        let (mandatory, forbidden) = (mask(&row.mandatory), mask(&row.forbidden));
        if let Some(both) = mandatory.and(forbidden).first() {
            errors.push(row.place.error(format!("field {both} is both mandatory and forbidden")));
        }
        demands.push(Demand { mti: row.mti, mandatory, forbidden });
    }
    demands
}

fn unknown_fields(fields: &[u8], known: FieldMask, place: &Place, errors: &mut Errors) {
    for n in fields.iter().filter(|n| !known.has(**n)) {
        if blamed(errors, &format!("fields.{n}")) {
            continue;
        }
        errors.push(place.error(format!("field {n} is not in the table of fields")));
    }
}

fn compile(row: &FieldRow, wire: &Defaults, errors: &mut Errors) -> Option<Spec> {
    if blamed(errors, &row.place.key) {
        return None;
    }
    let value = compile_value(row, wire, errors)?;
    let length = compile_length(row, wire, errors)?;
    compiled(row, value, length, errors)
}

/// A part of a structure, and whether it ends where what holds it ends. Where tags carry the length, a part has none of
/// its own.
pub(super) fn compile_part(
    row: &FieldRow,
    wire: &Defaults,
    shape: Shape,
    errors: &mut Errors,
) -> Option<(Spec, bool)> {
    let value = compile_value(row, wire, errors)?;
    let open_ended = row.length.is_none() && row.prefix.is_none();
    if shape != Shape::Positional && row.prefix.is_some() {
        errors.push(row.place.error("its tag has the length: give length or max, and no prefix"));
        return None;
    }
    let length = match row.max {
        Some(max) if open_ended => (Prefix::Fixed, max),
        _ => compile_length(row, wire, errors)?,
    };
    let spec = compiled(row, value, length, errors)?;
    // Where the end is told in bytes, an odd digit shows by its pad alone.
    let counts_bytes =
        spec.counts_bytes || open_ended && matches!(spec.wire, Wire::BcdPadLeft | Wire::BcdPadRight);
    Some((Spec { counts_bytes, ..spec }, open_ended))
}

fn compiled(
    row: &FieldRow,
    (content, wire): (Content, Wire),
    (prefix, length): (Prefix, u16),
    errors: &mut Errors,
) -> Option<Spec> {
    let hex = matches!(wire, Wire::Hex | Wire::EbcdicHex);
    let packed = matches!(wire, Wire::BcdPadLeft | Wire::BcdPadRight);
    let Some(units_max) = length.checked_mul(if hex { 2 } else { 1 }) else {
        errors
            .push(row.place.error("a field is at most 32767 bytes long where two characters stand for one"));
        return None;
    };
    if row.counts_bytes && (prefix == Prefix::Fixed || !hex && !packed) {
        errors.push(row.place.error("counts is for BCD and hex behind a prefix; elsewhere a unit is a byte"));
    }
    let fill_left = is_text(content) && row.pad == Some(Side::Left);
    let check = Check::of(content, wire);
    let spec =
        Spec::new(check, content, wire, prefix, units_max, fill_left, row.counts_bytes, row.sensitivity);
    let limit = prefix.units_max();
    if spec.counted(usize::from(units_max)) > usize::from(limit) {
        errors.push(row.place.error(format!("max is over the {limit} that the prefix can express")));
    }
    if row.pad.is_some() && !packed && !(is_text(content) && prefix == Prefix::Fixed) {
        errors.push(row.place.error("pad is for BCD and for text of fixed length"));
    }
    if content == Content::Signed && prefix != Prefix::Fixed {
        errors.push(row.place.error("x+n has a fixed length"));
    }
    Some(spec)
}

fn is_text(content: Content) -> bool {
    !matches!(content, Content::Digits | Content::Signed | Content::Track | Content::Binary)
}

fn compile_value(row: &FieldRow, defaults: &Defaults, errors: &mut Errors) -> Option<(Content, Wire)> {
    let by_kind = match row.kind {
        FieldKind::N | FieldKind::Z => defaults.digits,
        FieldKind::B => defaults.binary,
        FieldKind::XN | FieldKind::A | FieldKind::An | FieldKind::Ans => {
            Some(defaults.text.unwrap_or(Encoding::Ascii))
        }
    };
    let Some(encoding) = row.encoding.or(by_kind) else {
        errors.push(row.place.error("the field needs an encoding, or its kind one in [wire]"));
        return None;
    };
    let content = match row.kind {
        FieldKind::N => Content::Digits,
        FieldKind::XN => Content::Signed,
        FieldKind::Z => Content::Track,
        FieldKind::A => Content::Letters,
        FieldKind::An => Content::Alnum,
        FieldKind::Ans => Content::Printable,
        FieldKind::B => Content::Binary,
    };
    let bcd = if row.pad == Some(Side::Left) { Wire::BcdPadLeft } else { Wire::BcdPadRight };
    match (row.kind, encoding) {
        (FieldKind::B, Encoding::Binary) => Some((content, Wire::Plain)),
        (FieldKind::B, Encoding::Hex) => Some((content, Wire::Hex)),
        (FieldKind::B, Encoding::EbcdicHex) => Some((content, Wire::EbcdicHex)),
        (FieldKind::Ans, Encoding::Gbk) => Some((Content::Text, Wire::Plain)),
        (FieldKind::N | FieldKind::Z, Encoding::Bcd) => Some((content, bcd)),
        (FieldKind::XN, Encoding::Bcd) => Some((content, Wire::BcdSigned)),
        (kind, Encoding::Ebcdic(page)) if kind != FieldKind::B => Some((content, Wire::Ebcdic(page))),
        (kind, Encoding::Ascii) if kind != FieldKind::B => Some((content, Wire::Plain)),
        _ => {
            let rule = "n, z and x+n are ascii, bcd or ebcdic, b is binary, hex or ebcdic-hex, ans is ascii, ebcdic or gbk, \
                        the others are ascii or ebcdic";
            errors.push(row.place.error(rule));
            None
        }
    }
}

fn compile_length(row: &FieldRow, defaults: &Defaults, errors: &mut Errors) -> Option<(Prefix, u16)> {
    let encoding = row.prefix_encoding.or(defaults.lengths);
    match (row.length, row.max, row.prefix, encoding) {
        (Some(length), None, None, _) if row.prefix_encoding.is_none() => Some((Prefix::Fixed, length)),
        (None, Some(max), Some(digits), Some(numeral)) => Some((Prefix::new(numeral, digits), max)),
        (None, Some(_), Some(_), None) => {
            errors
                .push(row.place.error("the field needs a prefix_encoding, or [wire] an encoding of lengths"));
            None
        }
        _ => {
            errors.push(row.place.error("a field has either length, or max and prefix"));
            None
        }
    }
}
