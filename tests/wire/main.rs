//! `docs/wire.md` is the gateway protocol: its tables are those of the code, and every byte it shows is true.
//!
//! What the page has between its marks is made of the code (`render`), and then read again as a stranger would read it:
//! from the page alone. `YIKA_WRITE_PAGE=1` with the first test alone writes the marked parts anew after a change.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping it")]

mod render;
mod samples;
mod session;

use std::fs;
use std::path::PathBuf;
use yika_codec::gate::{Message, RawRecord, Record};
use yika_keystore::GateSide;

fn page_path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/wire.md"))
}

fn page() -> String {
    fs::read_to_string(page_path()).unwrap()
}

/// What stands before, between and behind the marks of a part.
fn split<'a>(page: &'a str, part: &str) -> (&'a str, &'a str, &'a str) {
    let (begin, end) = (format!("<!-- begin {part} -->\n"), format!("<!-- end {part} -->"));
    let start = page.find(&begin).unwrap_or_else(|| panic!("the page has no mark {begin}")) + begin.len();
    let stop = start + page[start..].find(&end).unwrap_or_else(|| panic!("the page has no mark {end}"));
    (&page[..start], &page[start..stop], &page[stop..])
}

/// The blocks of hexadecimal: what stands behind `hex` in their first line, and their bytes.
fn blocks(page: &str) -> Vec<(String, Vec<u8>)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("```hex ") {
            let content = lines.by_ref().take_while(|line| *line != "```");
            let digits: String =
                content.map(|line| line.split('#').next().unwrap().replace(' ', "")).collect();
            blocks.push((title.to_owned(), yika_codec::unhex(&digits).unwrap()));
        }
    }
    blocks
}

#[test]
fn the_page_has_the_tables_examples_and_codes_of_the_code() {
    let mut page = page();
    let mut differ = Vec::new();
    for (part, expected) in render::parts() {
        let (before, found, after) = split(&page, part);
        if found != expected {
            differ.push(part);
            page = format!("{before}{expected}{after}");
        }
    }
    if std::env::var_os("YIKA_WRITE_PAGE").is_some() {
        fs::write(page_path(), page).unwrap();
        return;
    }
    assert!(
        differ.is_empty(),
        "docs/wire.md differs from the code in {differ:?}; YIKA_WRITE_PAGE=1 writes it anew"
    );
}

#[test]
fn every_example_of_the_page_is_read_and_written_as_it_stands() {
    let (mut messages, mut records) = (0, 0);
    for (title, bytes) in blocks(&page()) {
        let kind = |text: &str| u8::from_str_radix(text.split(' ').next().unwrap(), 16).unwrap();
        let mut again = Vec::new();
        if let Some(rest) = title.strip_prefix("record ") {
            let record = Record::decode(RawRecord::new(&bytes).unwrap()).unwrap();
            assert_eq!(record.kind(), kind(rest), "{title}");
            record.encode(&mut again);
            records += 1;
        } else if title.starts_with(|first: char| first.is_ascii_hexdigit()) {
            let message = Message::decode(kind(&title), &bytes).unwrap();
            message.encode(&mut again);
            messages += 1;
        } else {
            continue;
        }
        assert_eq!(again, bytes, "{title}");
    }
    assert_eq!((messages, records), (Message::described().len(), Record::described().len()));
}

#[test]
fn the_session_of_the_page_replays_byte_for_byte() {
    let page = page();
    let blocks = blocks(split(&page, "session").1);
    let (keys, frames) = blocks.split_first().unwrap();
    let zone = &keys.1[..16];
    let check_value = session::gate_key(zone).check_value();
    assert_eq!(check_value, keys.1[16..19], "the check value of the zone key");
    let side = |title: &str| if title.starts_with('>') { GateSide::Client } else { GateSide::Server };
    let frames: Vec<_> = frames.iter().map(|(title, bytes)| (side(title), bytes.clone())).collect();
    assert!(frames.len() > 15, "only {} frames", frames.len());
    session::replay(zone, &frames);
}

#[test]
fn the_bounds_of_the_page_are_those_of_the_code() {
    let page = page();
    let (before, after) = (yika_codec::gate::FRAME_BYTES_BEFORE_ANSWER, yika_codec::gate::FRAME_BYTES_MAX);
    let bytes_of = |row: &str| {
        let line = page.lines().find(|line| line.starts_with(row)).unwrap();
        let digits: String = line.chars().filter(char::is_ascii_digit).collect();
        digits.parse::<usize>().unwrap()
    };
    assert_eq!(bytes_of("| frame before the hello answer |"), before);
    assert_eq!(bytes_of("| frame after it |"), after);
    assert!(page.contains(&format!("Version {}.", yika_codec::gate::VERSION)));
}

/// The page may be written anew; these bytes may not. Who changes them changes the protocol for those who speak it.
#[test]
fn every_message_and_record_has_golden_bytes() {
    let golden = include_str!("golden.txt");
    let mut lines = golden.lines();
    let mut check = |name: &str, bytes: &[u8]| {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(lines.next(), Some(format!("{name}: {}", hex.join(" ")).as_str()));
    };
    for message in samples::messages() {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        check(&format!("{:02X}", message.kind()), &bytes);
    }
    for record in samples::records() {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        check(&format!("record {:02X}", record.kind()), &bytes);
    }
    assert_eq!(lines.next(), None);
}
