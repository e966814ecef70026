//! From rows to a dialect: the rules between rows, and the compiled form of each field.

use super::DialectError;
use super::doc::Place;
use super::read::{Digits, Encoding, FieldKind, FieldRow, PrefixDigits, Rows, Side};
use crate::check::Check;
use crate::codes::Codes;
use crate::dialect::{Dialect, Header};
use crate::mask::FieldMask;
use crate::spec::{Content, Prefix, Spec, Wire};
use std::sync::Arc;

type Errors = Vec<DialectError>;

/// Bytes of a MAC, and of a TPDU: id, destination, source.
const MAC_BYTES: usize = 8;
const TPDU_BYTES: usize = 5;

/// The dialect of these rows; `None` only with errors.
pub(super) fn build(rows: &Rows, errors: &mut Errors) -> Option<Dialect> {
    let top = rows.top.as_ref()?;
    let field_max = demand(rows.field_max, "field_max", top, errors);
    let mut specs = Box::new([None; 129]);
    let mut known = FieldMask::EMPTY;
    for (&n, row) in &rows.fields {
        if field_max.is_some_and(|max| n > max) {
            errors.push(row.place.error("the number is above field_max"));
        }
        if let Some(spec) = compile(row, rows, errors) {
            specs[usize::from(n)] = Some(spec);
            known = known.with(n);
        }
    }
    let codes = Codes::collect(|key| {
        let code = rows.codes.get(key).copied();
        demand(code, &format!("codes.{key}"), top, errors)
    });
    let header = build_header(rows, top, errors);
    let mac_field = build_mac(rows, &specs, field_max, top, errors);
    let answer_match = build_match(rows, known, top, errors);
    let name = demand(rows.name.as_deref(), "name", top, errors);
    let mti = demand(rows.mti, "wire.mti", top, errors);
    let bitmap = demand(rows.bitmap, "wire.bitmap", top, errors);
    let f7_offset_minutes = demand(rows.f7_offset_minutes, "f7_zone", top, errors);
    let reversal = demand(rows.reversal, "reversal", top, errors);
    let required = build_required(rows, known, errors);
    Some(Dialect {
        name: Arc::from(name?),
        framing: rows.framing.unwrap_or_default(),
        header,
        mti: mti?,
        bitmap: bitmap?,
        field_max: field_max?,
        mac_field: mac_field?,
        specs,
        known,
        field_names: rows.fields.iter().map(|(n, row)| (*n, row.name.clone())).collect(),
        answer_match,
        f7_offset_minutes: f7_offset_minutes?,
        reversal: reversal?,
        codes: codes?,
        kinds: rows.kinds.clone(),
        required,
        digest: 0,
    })
}

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
    Header { default, tpdu }
}

/// The MAC is the last field of either bitmap (ISO 8583:1987, fields 64 and 128), and encode may have to use
/// both.
fn build_mac(
    rows: &Rows,
    specs: &[Option<Spec>; 129],
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
    let specs: Vec<_> = [64, field_max?].iter().map(|n| specs[usize::from(*n)]).collect();
    let all_alike = specs.iter().all(|spec| spec.is_some_and(|spec| is_mac(&spec)))
        && specs.first().map(wire_of) == specs.last().map(wire_of);
    let blamed = blamed(errors, "fields.64") || blamed(errors, "fields.128");
    if (mac_field > field_max? || !all_alike) && !blamed {
        let rule =
            "fields 64 and, in a dialect of 128 fields, 128 must be there, both fixed, binary, 8 bytes";
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

fn build_required(rows: &Rows, known: FieldMask, errors: &mut Errors) -> Vec<(crate::mti::Mti, FieldMask)> {
    let mut required = Vec::new();
    for (mti, fields, place) in &rows.required {
        unknown_fields(fields, known, place, errors);
        required.push((*mti, fields.iter().fold(FieldMask::EMPTY, |mask, n| mask.with(*n))));
    }
    required
}

fn unknown_fields(fields: &[u8], known: FieldMask, place: &Place, errors: &mut Errors) {
    for n in fields.iter().filter(|n| !known.has(**n)) {
        if blamed(errors, &format!("fields.{n}")) {
            continue;
        }
        errors.push(place.error(format!("field {n} is not in the table of fields")));
    }
}

fn compile(row: &FieldRow, rows: &Rows, errors: &mut Errors) -> Option<Spec> {
    if blamed(errors, &row.place.key) {
        return None;
    }
    let (content, wire) = compile_value(row, rows, errors)?;
    let (prefix, length) = compile_length(row, rows, errors)?;
    let units_max = if wire == Wire::Hex { length.checked_mul(2)? } else { length };
    let limit = prefix.units_max();
    if units_max > limit {
        errors.push(row.place.error(format!("max is over the {limit} that the prefix can express")));
    }
    let is_text = !matches!(content, Content::Digits | Content::Signed | Content::Track | Content::Binary);
    let can_pad = matches!(wire, Wire::BcdPadLeft | Wire::BcdPadRight) || is_text && prefix == Prefix::Fixed;
    if row.pad.is_some() && !can_pad {
        errors.push(row.place.error("pad is for BCD and for text of fixed length"));
    }
    let fill_left = is_text && row.pad == Some(Side::Left);
    let check = Check::of(content, wire);
    Some(Spec { check, content, wire, prefix, units_max, fill_left, sensitivity: row.sensitivity })
}

fn compile_value(row: &FieldRow, rows: &Rows, errors: &mut Errors) -> Option<(Content, Wire)> {
    let by_kind = match row.kind {
        FieldKind::N | FieldKind::Z => rows.digits,
        FieldKind::B => rows.binary,
        FieldKind::XN | FieldKind::A | FieldKind::An | FieldKind::Ans => Some(Encoding::Ascii),
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
        (FieldKind::Ans, Encoding::Gbk) => Some((Content::Text, Wire::Plain)),
        (FieldKind::N | FieldKind::Z, Encoding::Bcd) => Some((content, bcd)),
        (kind, Encoding::Ascii) if kind != FieldKind::B => Some((content, Wire::Plain)),
        _ => {
            let rule =
                "n and z are ascii or bcd, b is binary or hex, ans is ascii or gbk, the others are ascii";
            errors.push(row.place.error(rule));
            None
        }
    }
}

fn compile_length(row: &FieldRow, rows: &Rows, errors: &mut Errors) -> Option<(Prefix, u16)> {
    let encoding = row.prefix_encoding.or(rows.lengths);
    match (row.length, row.max, row.prefix, encoding) {
        (Some(length), None, None, _) if row.prefix_encoding.is_none() => Some((Prefix::Fixed, length)),
        (None, Some(max), Some(PrefixDigits::Two), Some(Digits::Ascii)) => Some((Prefix::Ascii2, max)),
        (None, Some(max), Some(PrefixDigits::Three), Some(Digits::Ascii)) => Some((Prefix::Ascii3, max)),
        (None, Some(max), Some(PrefixDigits::Two), Some(Digits::Bcd)) => Some((Prefix::Bcd1, max)),
        (None, Some(max), Some(PrefixDigits::Three), Some(Digits::Bcd)) => Some((Prefix::Bcd2, max)),
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
