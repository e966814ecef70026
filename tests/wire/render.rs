//! The parts of `docs/wire.md` that are made of the code: byte tables, worked examples, codes, the session.

use crate::samples;
use crate::session;
use std::fmt::Write as _;
use yika_codec::gate::*;

/// Bytes of a line of hexadecimal.
const LINE_BYTES: usize = 24;
/// Length, kind and version of a record.
const RECORD_HEAD: usize = 4;

/// Name and text of each part; the page has them between `<!-- begin name -->` and `<!-- end name -->`.
pub(crate) fn parts() -> Vec<(&'static str, String)> {
    vec![
        ("verdicts", verdicts()),
        ("errors", errors()),
        ("reasons", reasons()),
        ("messages", messages()),
        ("records", records()),
        ("groups", groups()),
        ("session", session::rendered()),
    ]
}

fn verdicts() -> String {
    Verdict::ALL.iter().fold(
        String::from("| number | meaning | the gateway |\n|---|---|---|\n"),
        |mut out, one| {
            writeln!(out, "| {} | {} | {} |", one.number(), one.meaning(), one.advice().word()).unwrap();
            out
        },
    )
}

fn errors() -> String {
    let head = String::from("| code | name | meaning | the gateway |\n|---|---|---|---|\n");
    ErrorCode::ALL.iter().fold(head, |mut out, one| {
        writeln!(out, "| {} | {one:?} | {} | {} |", one.number(), one.meaning(), one.advice().word())
            .unwrap();
        out
    })
}

fn reasons() -> String {
    let head = String::from("| reason | name | meaning | the gateway |\n|---|---|---|---|\n");
    Reason::ALL.iter().fold(head, |mut out, one| {
        writeln!(out, "| {} | {one:?} | {} | {} |", one.number(), one.meaning(), one.advice().word())
            .unwrap();
        out
    })
}

fn messages() -> String {
    let samples = samples::messages();
    let mut out = String::new();
    for (sender, described) in Message::described() {
        let who = match sender {
            Sender::Client => "from the client",
            Sender::Server => "from the server",
            Sender::Both => "from either side",
        };
        let sample = samples.iter().find(|one| one.kind() == described.number).unwrap();
        let mut bytes = Vec::new();
        sample.encode(&mut bytes);
        writeln!(out, "### {:02X} {}, {who}\n", described.number, described.name).unwrap();
        section(&described, 0, &mut out);
        writeln!(out, "\n```hex {:02X} {}", described.number, described.name).unwrap();
        example(&described, &bytes, 0, &mut out);
        out.push_str("```\n\n");
    }
    out
}

fn records() -> String {
    let samples = samples::records();
    let mut out = String::new();
    for described in Record::described() {
        let sample = samples.iter().find(|one| one.kind() == described.number).unwrap();
        let mut bytes = Vec::new();
        sample.encode(&mut bytes);
        writeln!(out, "### Record {:02X}: {}\n", described.number, described.name).unwrap();
        section(&described, RECORD_HEAD, &mut out);
        writeln!(out, "\n```hex record {:02X} {}", described.number, described.name).unwrap();
        hex_lines(&bytes[..RECORD_HEAD], "length, kind, version", &mut out);
        example(&described, &bytes, RECORD_HEAD, &mut out);
        out.push_str("```\n\n");
    }
    out
}

fn groups() -> String {
    let mut out = String::new();
    for described in groups_of_fields() {
        writeln!(out, "### {}\n", described.name).unwrap();
        section(&described, 0, &mut out);
        out.push('\n');
    }
    out
}

fn groups_of_fields() -> Vec<Described> {
    yika_codec::gate::groups()
}

/// Meaning and byte table; fixed fields begin at `from`.
fn section(described: &Described, from: usize, out: &mut String) {
    writeln!(out, "{}\n", described.meaning).unwrap();
    out.push_str("| at | bytes | field | type | meaning |\n|---|---|---|---|---|\n");
    let mut at = Some(from);
    for row in &described.rows {
        let place = match (row.tag, at) {
            (Some(tag), _) => format!("tag {tag:04X}"),
            (None, Some(at)) => at.to_string(),
            (None, None) => "behind".to_owned(),
        };
        let bytes = row.bytes.map_or("any".to_owned(), |bytes| bytes.to_string());
        let (field, shape, meaning) = (row.field, row.shape, row.meaning);
        writeln!(out, "| {place} | {bytes} | {field} | {shape} | {meaning} |").unwrap();
        at = at.zip(row.bytes).map(|(at, bytes)| at + bytes);
    }
}

/// The bytes field by field.
fn example(described: &Described, bytes: &[u8], from: usize, out: &mut String) {
    let mut at = from;
    for row in described.rows.iter().filter(|row| row.tag.is_none()) {
        if row.shape.starts_with("tags ") {
            at = tagged(bytes, at, 0x80, &|tag| format!("field {tag}"), out);
            continue;
        }
        let len = row.bytes.unwrap_or_else(|| length_of(row.shape, &bytes[at..]));
        hex_lines(&bytes[at..at + len], row.field, out);
        at += len;
    }
    let name = |tag| described.rows.iter().find(|row| row.tag == Some(tag)).unwrap().field.to_owned();
    assert_eq!(tagged(bytes, at, u16::MAX, &name, out), bytes.len(), "{}", described.name);
}

/// Optional fields up to a tag; returns where they end.
fn tagged(
    bytes: &[u8],
    mut at: usize,
    tag_max: u16,
    name: &dyn Fn(u16) -> String,
    out: &mut String,
) -> usize {
    while let Some(&[a, b, c, d]) = bytes.get(at..at + 4) {
        let tag = u16::from_be_bytes([a, b]);
        if tag > tag_max {
            break;
        }
        let end = at + 4 + usize::from(u16::from_be_bytes([c, d]));
        hex_lines(&bytes[at..end], &format!("{tag:04X} {}", name(tag)), out);
        at = end;
    }
    at
}

/// How long a field without a fixed length is.
fn length_of(shape: &str, bytes: &[u8]) -> usize {
    let number =
        |from: usize, to: usize| bytes[from..to].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    match shape {
        "name" | "digits" => 1 + number(0, 1),
        "block" | "record" | "count u16, u8 each" => 2 + number(0, 2),
        "count u16, bytes u32, records" => 6 + number(2, 6),
        "count u32, bytes u32, entries" => 8 + number(4, 8),
        other => panic!("say here how long {other:?} is"),
    }
}

/// Hexadecimal in lines, the remark behind the first.
pub(crate) fn hex_lines(bytes: &[u8], remark: &str, out: &mut String) {
    let mut remark = Some(remark);
    for line in bytes.chunks(LINE_BYTES) {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02X}")).collect();
        out.push_str(&hex.join(" "));
        if let Some(remark) = remark.take() {
            write!(out, "  # {remark}").unwrap();
        }
        out.push('\n');
    }
}
