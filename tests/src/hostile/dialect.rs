//! Dialect files: any text is refused with places that exist, or gives a dialect in which messages are written and read.
//!
//! Input: the text; or, when its first byte is a control character, the number of a built-in text and edits of it.

use super::decode;
use super::seeds::{read, values, write};
use yika_codec::{Dialect, DialectErrors, EncodeError};

/// Bytes below this stand in no text that begins a file, so they choose a built-in one.
const FIRST_OF_TEXT: u8 = 0x08;
const ORIGIN: &str = "hostile.toml";

pub(super) fn run(data: &[u8]) {
    let text = match *data {
        [number, ref edits @ ..] if number < FIRST_OF_TEXT => edited(number, edits),
        _ => String::from_utf8_lossy(data).into_owned(),
    };
    let resolve = |name: &str| match name {
        // A file may name itself or one that does not end; neither may hang.
        "hostile" => Some(text.clone()),
        _ => Dialect::builtin_text(name).map(str::to_owned),
    };
    match Dialect::from_toml(ORIGIN, &text, &resolve) {
        Ok(dialect) => speak(&dialect),
        Err(errors) => point(&errors, &text),
    }
}

/// The lines of a built-in text, some of them moved, taken out or changed in one byte: each edit is three bytes.
fn edited(number: u8, edits: &[u8]) -> String {
    let texts: Vec<&str> = Dialect::builtin_names().filter_map(Dialect::builtin_text).collect();
    let text = texts[usize::from(number) % texts.len()];
    let mut lines: Vec<Vec<u8>> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
    for edit in edits.as_chunks::<3>().0 {
        let [line, what, with] = *edit;
        let at = usize::from(line) % lines.len();
        match what {
            0xFF => drop(lines.remove(at)),
            0xFE => lines.insert(usize::from(with) % lines.len(), lines[at].clone()),
            0xFD => lines[at].truncate(usize::from(with)),
            _ => {
                if let Some(byte) = lines[at].get_mut(usize::from(what)) {
                    *byte = with;
                }
            }
        }
        if lines.is_empty() {
            break;
        }
    }
    String::from_utf8_lossy(&lines.join(&b'\n')).into_owned()
}

/// What a dialect takes field by field it takes together, and reads again; and hostile bytes find it as sound as ours.
pub(super) fn speak(dialect: &Dialect) {
    assert_ne!(dialect.name(), "", "a dialect without a name");
    for longest in [false, true] {
        let mut values = values(dialect, longest);
        // A MAC would go behind the fields above it.
        values.retain(|(n, _)| *n != 64 || !dialect.knows(128));
        let wire = match write(dialect, 0x0200, &values) {
            Ok(wire) => wire,
            // A header tells a length of four digits, and no message is longer than 16 bits say.
            Err(EncodeError::TooLong { .. }) if longest => continue,
            Err(error) => panic!("{dialect:?} takes each of these and not all: {error}: {values:?}"),
        };
        // Offsets have 16 bits: a message of the longest values may be too long to read.
        let Some(again) = read(dialect, &wire) else {
            assert!(wire.len() > usize::from(u16::MAX), "{dialect:?} cannot read what it wrote: {values:?}");
            continue;
        };
        assert!(again == values, "{dialect:?} reads other values than it wrote");
        decode::hold(dialect, &wire);
        decode::hold(dialect, &wire[..wire.len() / 2]);
    }
}

/// Each error is one that a person can find and read.
fn point(errors: &DialectErrors, text: &str) {
    assert!(errors.iter().next().is_some(), "refused without a reason");
    for error in errors.iter() {
        let lines = 1 + text.matches('\n').count();
        let known = error.origin != ORIGIN;
        assert!(known || (1..=lines).contains(&error.line), "line {} of {lines}: {error}", error.line);
        assert!(error.column >= 1 && !error.rule.is_empty(), "{error}");
    }
    assert!(!errors.to_string().is_empty());
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    const EXTENDING: [&str; 4] = [
        "name = \"a\"\nextends = \"iso87-ascii\"\n[fields]\n48 = { name = \"x\", kind = \"b\", max = 255, prefix = \"lll\" }\n",
        "name = \"a\"\nextends = \"iso87-ascii\"\n[wire]\nmti = \"bcd\"\nbitmap = \"binary\"\nlengths = \"bcd\"\ndigits = \"bcd\"\n\
         binary = \"binary\"\n",
        "name = \"a\"\nextends = \"pos-bcd\"\nframing = \"ascii4\"\n[header]\ntpdu = false\ndefault = \"00\"\n[codes]\nmac = \"A1\"\n",
        "name = \"a\"\nextends = \"hostile\"\n",
    ];
    let texts = Dialect::builtin_names().filter_map(Dialect::builtin_text).chain(EXTENDING);
    let edits =
        (0u8..).zip(Dialect::builtin_names()).map(|(number, _)| vec![number, 30, 0xFF, 0, 40, 12, b'n']);
    texts.map(|text| text.as_bytes().to_vec()).chain(edits).collect()
}
