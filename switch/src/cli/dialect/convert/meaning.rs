//! What the files do not say and the numbers do: which fields hold cards, tracks, PINs, keys and chip data, where the editions of
//! ISO 8583 (1987, 1993, 2003) agree or the kind of the field tells them apart.

use super::model::{Encoding, Kind, Model, Row, Shape};

/// What was given to fields by their number.
pub(super) struct Meant {
    /// Field and word.
    pub(super) sensitive: Vec<(u8, &'static str)>,
    /// Fields that hold track digits now, and text before.
    pub(super) tracks: Vec<u8>,
}

/// The name of the structure for chip data that every dialect has.
const EMV: &str = "emv";

pub(super) fn give(model: &mut Model) -> Meant {
    let mut meant = Meant { sensitive: Vec::new(), tracks: Vec::new() };
    let (rows, structures) = (&mut model.rows, &mut model.structures);
    let mut hidden = Vec::new();
    let mut text_of_chip = false;
    for (&n, row) in rows.iter_mut() {
        if matches!(n, 35 | 36) && is_track_digits(row) {
            if row.kind == Kind::Ans {
                meant.tracks.push(n);
                row.pad = None;
            }
            row.kind = Kind::Z;
        }
        if n == 55 && row.kind == Kind::B && row.structure.is_none() {
            row.structure = Some(EMV.to_owned());
        }
        text_of_chip |= n == 55 && row.kind != Kind::B;
        let Some(word) = sensitivity(n, row) else { continue };
        row.sensitivity = Some(word);
        meant.sensitive.push((n, word));
        hidden.extend(row.structure.clone().map(|name| (name, word)));
    }
    // What holds a secret is not shown by its parts either.
    while let Some((name, word)) = hidden.pop() {
        let Some(structure) = structures.get_mut(&name) else { continue };
        for part in structure.parts.iter_mut().filter(|part| part.row.sensitivity.is_none()) {
            part.row.sensitivity = Some(word);
            hidden.extend(part.row.structure.clone().map(|name| (name, word)));
        }
    }
    for structure in structures.values_mut().filter(|structure| structure.shape == Shape::Ber) {
        for part in &mut structure.parts {
            part.row.sensitivity =
                tag_sensitivity(part.id.as_deref().unwrap_or_default()).or(part.row.sensitivity);
        }
    }
    if text_of_chip {
        let what = "chip data is bytes, and the file has text: if it is hexadecimal, make it kind \"b\" with encoding \"hex\" \
                    and structure \"emv\"";
        model.note("55", "text", what);
    }
    meant
}

/// Digits and a separator, by the usual meaning of fields 35 and 36.
fn is_track_digits(row: &Row) -> bool {
    matches!(row.kind, Kind::N | Kind::Ans | Kind::Z)
        && row.structure.is_none()
        && matches!(
            row.encoding,
            Encoding::Ascii | Encoding::Bcd | Encoding::Ebcdic037 | Encoding::Ebcdic1047
        )
}

fn sensitivity(n: u8, row: &Row) -> Option<&'static str> {
    let is_bytes = row.kind == Kind::B;
    match n {
        2 => Some("pan"),
        // An extended card number (1987, 1993), or data of electronic commerce in bytes (2003).
        34 if !is_bytes => Some("pan"),
        35 | 36 | 45 => Some("track"),
        // A currency (1987, 1993), or what verifies the cardholder in bytes (2003).
        49 if is_bytes => Some("secret"),
        52 => Some("pin"),
        53 if is_bytes => Some("secret"),
        55 => Some("emv"),
        61 | 62 => Some("secret"),
        96 => Some("secret"),
        102 | 103 => Some("pan"),
        _ => None,
    }
}

/// Of a tag of chip data outside of field 55 (EMV book 3, annex A).
fn tag_sensitivity(tag: &str) -> Option<&'static str> {
    match tag {
        "5A" => Some("pan"),
        "56" | "57" | "9F1F" | "9F20" | "9F6B" => Some("track"),
        "99" => Some("pin"),
        _ => None,
    }
}
