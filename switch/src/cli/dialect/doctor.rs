//! `yika dialect doctor`: given bytes that fail, which framing, header and dialect would make sense of them.
//!
//! Everything is tried: every length in front that agrees with the bytes, some bytes skipped, every dialect. A reading
//! is as good as it is whole: all fields and nothing left over first, then whoever came furthest.

use super::bytes::{Given, read};
use super::{CliError, DATA_ERROR, Source, dialect};
use crate::cli::out::{Out, json_line};
use serde_json::json;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use yika_codec::{Dialect, Framing, Layout, Mti, unhex};

/// One way to read the bytes.
struct Attempt {
    /// What was taken off, and the dialect.
    how: String,
    whole: bool,
    /// Bytes left out as an unknown header: the more, the more likely by chance.
    skipped: usize,
    /// Fields that were read.
    fields: usize,
    /// What stood in the way, or what it is.
    what: String,
}

/// Headers are shorter; the 46 bytes of UnionPay are the longest known.
const SKIP_MAX: usize = 64;
const TOLD_MAX: usize = 5;

pub(super) fn doctor(
    out: &mut Out,
    source: &Source,
    extra: Option<&str>,
    as_json: bool,
) -> Result<ExitCode, CliError> {
    let mut meant = None;
    let bytes = match read(source.input.as_deref())? {
        Given::Bytes(bytes, guess) => {
            meant = guess;
            bytes
        }
        Given::Capture(capture) => {
            let longest = capture.streams.into_iter().flat_map(|stream| stream.runs).max_by_key(Vec::len);
            longest.ok_or_else(|| CliError::Dialect("no TCP payload stands in the capture".into()))?
        }
    };
    let mut dialects: Vec<Arc<Dialect>> = Dialect::builtin_names().filter_map(Dialect::builtin).collect();
    if let Some(name) = extra {
        dialects.insert(0, dialect(name)?);
    }
    let attempts = examine(&bytes, &dialects);
    let mut hints = hints(&bytes);
    hints.extend(meant.map(str::to_owned));
    let whole = attempts.iter().any(|attempt| attempt.whole);
    let told = attempts.iter().filter(|attempt| attempt.whole || !whole).take(TOLD_MAX);
    if as_json {
        let told: Vec<_> = told
            .map(|one| json!({ "how": one.how, "whole": one.whole, "fields": one.fields, "what": one.what }))
            .collect();
        json_line(out, &json!({ "bytes": bytes.len(), "hints": hints, "readings": told }))?;
    } else {
        for hint in &hints {
            writeln!(out, "hint     {hint}")?;
        }
        for one in told {
            let word = if one.whole { "reads " } else { "nearly" };
            writeln!(out, "{word}   {}: {}", one.how, one.what)?;
        }
        if attempts.is_empty() && hints.is_empty() {
            writeln!(out, "nothing  no dialect, with any length or header in front, reads a single field")?;
        }
    }
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(DATA_ERROR) })
}

/// All readings that got somewhere, the best first.
fn examine(bytes: &[u8], dialects: &[Arc<Dialect>]) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    let mut payloads = vec![("no length in front".to_owned(), bytes)];
    let forms = Framing::names().flat_map(|name| [name.clone(), format!("{name}-trailer03")]);
    for framing in forms.filter_map(|name| Framing::parse(&name)) {
        if let Ok(Some(span)) = framing.next(bytes, usize::from(u16::MAX)) {
            // A length that leaves most of the bytes over is chance, unless others follow to the end.
            let payload = &bytes[span.start..span.end];
            match frames_of(framing, bytes) {
                Some(count) if count > 1 => {
                    payloads.push((format!("framing {framing}, the first of {count} frames"), payload));
                }
                _ if span.next * 2 > bytes.len() => payloads.push((format!("framing {framing}"), payload)),
                _ => {}
            }
        }
    }
    for (framing, payload) in &payloads {
        for dialect in dialects {
            attempts.extend(attempt(framing.clone(), 0, payload, dialect));
            for skip in 1..=SKIP_MAX.min(payload.len()) {
                let how = format!("{framing}, {skip} bytes of a header skipped");
                // The dialect's own header is none of those bytes.
                let bare = [dialect.default_header(), &payload[skip..]].concat();
                let read = attempt(how, skip, &bare, dialect);
                attempts.extend(read.filter(|one| one.whole));
            }
        }
    }
    attempts.sort_by_key(|one| (!one.whole, one.skipped, std::cmp::Reverse(one.fields), one.how.len()));
    attempts
}

/// How many frames the bytes are, without a rest.
fn frames_of(framing: Framing, bytes: &[u8]) -> Option<usize> {
    let (mut at, mut count) = (0, 0);
    while at < bytes.len() {
        let span = framing.next(&bytes[at..], usize::from(u16::MAX)).ok()??;
        at += span.next;
        count += 1;
    }
    Some(count)
}

fn attempt(framing: String, skipped: usize, payload: &[u8], dialect: &Dialect) -> Option<Attempt> {
    let mut layout = Layout::default();
    let result = dialect.decode(payload, &mut layout);
    let message = dialect.message(payload, &layout);
    let fields = message.present().len();
    let how = format!("{framing}, dialect {}", dialect.name());
    match result {
        Ok(()) if fields > 0 && is_usual(message.mti()) => {
            let kind = message.kind().map_or(String::new(), |kind| format!(" ({})", kind.as_str()));
            let what = format!("{}{kind}, {fields} fields, nothing left over", message.mti());
            Some(Attempt { how, whole: true, skipped, fields, what })
        }
        Err(error) if fields > 1 => {
            Some(Attempt { how, whole: false, skipped, fields, what: error.to_string() })
        }
        _ => None,
    }
}

/// Version, class, function and origin that ISO 8583 gives a meaning: others are digits that stand there by chance.
fn is_usual(mti: Mti) -> bool {
    let [version, class, function, origin] = mti.digits();
    matches!((version, class), (b'0'..=b'2', b'1'..=b'8')) && function <= b'4' && origin <= b'5'
}

/// What the first bytes look like.
fn hints(bytes: &[u8]) -> Vec<String> {
    let mut hints = Vec::new();
    // The message of the framing that expects other bytes names the classics.
    for name in ["binary2", "ascii4"] {
        if let Some(Err(error)) = Framing::parse(name).map(|framing| framing.next(bytes, 4096)) {
            let text = error.to_string();
            if let Some((from, to)) = text.find('(').zip(text.find(')')) {
                hints.push(format!("with {name}: {}", &text[from + 1..to]));
            }
        }
    }
    if std::str::from_utf8(bytes).ok().and_then(unhex).is_some() {
        hints.push(
            "the bytes are the hex of other bytes: were they copied as text and put to hex once more?".into(),
        );
    }
    if bytes.starts_with(&[0xF0])
        || bytes.get(2..6).is_some_and(|mti| mti.iter().all(|c| (0xF0..=0xF9).contains(c)))
    {
        hints.push("digits stand in EBCDIC (F0 to F9): try dialect iso87-ebcdic".into());
    }
    hints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(bytes: &[u8]) -> String {
        let dialects: Vec<_> = Dialect::builtin_names().filter_map(Dialect::builtin).collect();
        let attempts = examine(bytes, &dialects);
        attempts.first().filter(|one| one.whole).map_or(String::new(), |one| one.how.clone())
    }

    #[test]
    fn framing_header_and_dialect_are_found() {
        let iso = b"0800822000000000000004000000000000000615123045123456301".to_vec();
        assert_eq!(best(&iso), "no length in front, dialect iso87-ascii");
        let framed = [&[0, iso.len() as u8][..], &iso].concat();
        assert_eq!(best(&framed), "framing binary2, dialect iso87-ascii");
        let three = framed.repeat(3);
        assert_eq!(best(&three), "framing binary2, the first of 3 frames, dialect iso87-ascii");
        let inclusive = [format!("{:04}", iso.len() + 4).as_bytes(), &iso].concat();
        assert_eq!(best(&inclusive), "framing ascii4-inclusive, dialect iso87-ascii");
        let headed = [b"ISO026000077", &iso[..]].concat();
        assert_eq!(best(&headed), "no length in front, 12 bytes of a header skipped, dialect iso87-ascii");
        assert_eq!(best(b"GET / HTTP/1.1\r\n"), "");
    }

    #[test]
    fn classics_are_hinted_at() {
        assert!(
            hints(b"0120xxxx").iter().any(|hint| hint.contains("ASCII digits")),
            "{:?}",
            hints(b"0120xxxx")
        );
        assert!(hints(&[0x16, 0x03, 0x01, 0x02]).iter().any(|hint| hint.contains("TLS")));
        assert!(hints(b"30323030").iter().any(|hint| hint.contains("hex of other bytes")));
        assert!(hints(&[0, 9, 0xF0, 0xF2, 0xF0, 0xF0]).iter().any(|hint| hint.contains("EBCDIC")));
    }
}
