//! What is wrong with a dialect file is named with its place, all of it in one run.

use crate::{Code, Dialect, DialectErrors, Draft, Kind, Layout, Mti};

const ISO: &str = include_str!("../../../configs/dialects/iso87-ascii.toml");
const POS: &str = include_str!("../../../configs/dialects/pos-bcd.toml");

fn load(text: &str) -> Result<Dialect, DialectErrors> {
    Dialect::from_toml("test.toml", text, &|name| (name == "iso87-ascii").then(|| ISO.to_owned()))
}

/// The errors of a shipped file in which `from`, which stands there once, is replaced.
fn errors_of(text: &str, from: &str, to: &str) -> Vec<String> {
    assert_eq!(text.matches(from).count(), 1, "{from} stands there once");
    load(&text.replacen(from, to, 1)).expect_err("a broken file").iter().map(ToString::to_string).collect()
}

/// The place of `what` in `text`, as errors print it.
fn place(text: &str, what: &str) -> String {
    let before = &text[..text.find(what).expect("what is looked for")];
    let line = before.lines().count() + usize::from(before.ends_with('\n') || before.is_empty());
    let column = before.len() - before.rfind('\n').map_or(0, |newline| newline + 1) + 1;
    format!("test.toml:{line}:{column}: ")
}

/// One replacement, the text whose place the error names, and what it says.
fn assert_one(text: &str, from: &str, to: &str, at: &str, says: &str) {
    let errors = errors_of(text, from, to);
    let expected = place(&text.replacen(from, to, 1), at) + says;
    assert_eq!(errors, [expected]);
}

#[test]
fn the_shipped_files_compile() {
    for (name, text) in [("iso87-ascii", ISO), ("pos-bcd", POS)] {
        assert_eq!(load(text).unwrap().name(), name);
    }
}

#[test]
fn misspelt_keys_and_words_name_the_nearest() {
    assert_one(
        ISO,
        "11 = { name = \"trace number\", kind = \"n\", length = 6 }",
        "11 = { name = \"trace number\", kind = \"n\", length = 6, sensitvity = \"pan\" }",
        "sensitvity",
        "fields.11.sensitvity: unknown key; did you mean \"sensitivity\"?",
    );
    assert_one(
        ISO,
        "f7_zone = \"utc\"",
        "f7_zone = \"utc\"\nfield_maxx = 3",
        "field_maxx",
        "field_maxx: unknown key; did you mean \"field_max\"?",
    );
    assert_one(
        ISO,
        "kind = \"cash\"",
        "kind = \"chas\"",
        "\"chas\"",
        &format!(
            "kind[10].kind: \"chas\" is none of {}; did you mean \"cash\"?",
            Kind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
        ),
    );
    assert_one(
        POS,
        "bitmap = \"binary\"",
        "bitmap = \"binry\"",
        "\"binry\"",
        "wire.bitmap: \"binry\" is none of hex, binary, ebcdic-hex; did you mean \"binary\"?",
    );
    assert_one(
        POS,
        "not_signed_on = \"77\"",
        "no_signed_on = \"77\"\nnot_signed_on = \"77\"",
        "no_signed_on",
        "codes.no_signed_on: unknown key; did you mean \"not_signed_on\"?",
    );
    assert_one(
        POS,
        "framing = \"binary2\"",
        "framing = \"zzz\"",
        "\"zzz\"",
        &format!("framing: expected {}", crate::Framing::FORMS),
    );
}

#[test]
fn rules_of_values() {
    assert_one(
        ISO,
        "f7_zone = \"utc\"",
        "f7_zone = \"+8:00\"",
        "\"+8:00\"",
        "f7_zone: expected \"utc\" or an offset such as \"+08:00\"",
    );
    assert_one(
        ISO,
        "no_route = \"92\"",
        "no_route = \"9\"",
        "\"9\"\nissuer",
        "codes.no_route: a response code is two letters or digits",
    );
    assert_one(ISO, "no_route = \"92\"", "no_route = 92", "92\nissuer", "codes.no_route: expected a string");
    assert_one(
        ISO,
        "field_max = 128",
        "field_max = 100",
        "100\n",
        "field_max: a message has 64, 128 or 192 fields",
    );
    assert_one(
        ISO,
        "mti = \"0120\"\nf3",
        "mti = \"0121\"\nf3",
        "\"0121\"",
        "kind[15].mti: expected four digits, the last one even: repeats need no row of their own",
    );
    assert_one(POS, "f60_1 = \"36\"", "f60_1 = \"3\"", "\"3\"\n", "kind[11].f60_1: expected 2 digits");
    assert_one(POS, "tpdu = true", "tpdu = 1", "1\n# TPDU", "header.tpdu: expected true or false");
    assert_one(
        POS,
        "\"6000030000603100310100\"",
        "\"600003\"",
        "\"600003\"",
        "header.default: a TPDU has five bytes: id, destination, source",
    );
    assert_one(
        POS,
        "\"6000030000603100310100\"",
        "\"60000300006\"",
        "\"60000300006\"",
        "header.default: expected pairs of hex characters",
    );
    assert_one(
        POS,
        "answer_match = [11, 41]",
        "answer_match = [11, 41, 42]",
        "[11, 41, 42]",
        "answer_match: answers are matched by some of 7, 11, 37 and 41, not by 42",
    );
    assert_one(
        POS,
        "answer_match = [11, 41]",
        "answer_match = []",
        "[]",
        "answer_match: an answer has to be matched by at least one field",
    );
    assert_one(
        POS,
        "answer_match = [11, 41]",
        "answer_match = [1]",
        "[1]",
        "answer_match: expected a list of numbers from 2 to 192",
    );
}

#[test]
fn rules_of_fields() {
    let field = |row: &str, says: &str| {
        let to = format!("15 = {row}");
        assert_one(
            POS,
            "15 = { name = \"settlement date\", kind = \"n\", length = 4 }",
            &to,
            row,
            &format!("fields.15: {says}"),
        );
    };
    let either = "a field has either length, or max and prefix";
    field("{ kind = \"n\" }", either);
    field("{ kind = \"n\", length = 4, max = 4, prefix = \"ll\" }", either);
    field("{ kind = \"n\", max = 4 }", either);
    field("{ kind = \"n\", length = 4, prefix_encoding = \"bcd\" }", either);
    field("{ length = 4 }", "the field needs a kind");
    field("{ kind = \"n\", max = 100, prefix = \"ll\" }", "max is over the 99 that the prefix can express");
    field(
        "{ kind = \"b\", max = 500, prefix = \"lll\", encoding = \"hex\" }",
        "max is over the 999 that the prefix can express",
    );
    field(
        "{ kind = \"n\", length = 4, encoding = \"ascii\", pad = \"left\" }",
        "pad is for BCD and for text of fixed length",
    );
    field(
        "{ kind = \"ans\", max = 4, prefix = \"ll\", pad = \"left\" }",
        "pad is for BCD and for text of fixed length",
    );
    let encodings = "n, z and x+n are ascii, bcd or ebcdic, b is binary, hex or ebcdic-hex, ans is ascii, ebcdic or gbk, the others are \
                     ascii or ebcdic";
    field("{ kind = \"an\", length = 4, encoding = \"gbk\" }", encodings);
    field("{ kind = \"b\", length = 4, encoding = \"bcd\" }", encodings);
    field("{ kind = \"x+n\", length = 9, encoding = \"gbk\" }", encodings);
    field("{ kind = \"x+n\", max = 9, prefix = \"ll\" }", "x+n has a fixed length");
    assert_one(
        POS,
        "15 = {",
        "65 = {",
        "{ name = \"settlement date\"",
        "fields.65: the number is above field_max",
    );
    assert_one(
        POS,
        "15 = {",
        "1 = {",
        "1 = { name = \"settlement",
        "fields.1: fields are numbered 2 to 192; 1 is the second bitmap",
    );
    assert_one(
        POS,
        "64 = { name = \"MAC\", kind = \"b\", length = 8 }",
        "64 = { kind = \"b\", length = 4 }",
        "64\nanswer",
        "mac_field: fields 64 and, in a dialect of more than 64 fields, 128 must be there, both fixed, binary, 8 bytes",
    );
}

#[test]
fn where_there_is_a_third_bitmap_65_is_no_field() {
    let text = ISO.replacen("field_max = 128", "field_max = 192", 1);
    for place in ["contiguous", "field-65"] {
        let text = text.replacen("[wire]\n", &format!("[wire]\nthird_bitmap = \"{place}\"\n"), 1);
        assert!(load(&text).is_ok());
        let text = text.replacen("[fields]\n", "[fields]\n65 = { kind = \"b\", length = 1 }\n", 1);
        let errors = load(&text).unwrap_err();
        let found: Vec<_> = errors.iter().map(|error| (error.key.as_str(), error.rule.as_str())).collect();
        assert_eq!(found, [("fields.65", "where there is a third bitmap, 65 is its bit and no field")]);
        // That of a file which this one extends makes way.
        let own = format!(
            "name = \"own\"\nextends = \"iso\"\nfield_max = 192\n[wire]\nthird_bitmap = \"{place}\"\n"
        );
        let with_65 = ISO.replacen("[fields]\n", "[fields]\n65 = { kind = \"b\", length = 1 }\n", 1);
        let dialect = Dialect::from_toml("own.toml", &own, &|_| Some(with_65.clone())).unwrap();
        assert!(!dialect.knows(65) && dialect.knows(66));
    }
}

#[test]
fn what_is_missing_is_named_too() {
    let mut errors = errors_of(POS, "name = \"pos-bcd\"\n", "");
    assert_eq!(errors, ["test.toml:1:1: name: is missing"]);
    errors = errors_of(POS, "overload = \"96\"\n", "");
    assert_eq!(errors, ["test.toml:1:1: codes.overload: is missing"]);
    let missing = |text: &str, keys: &[&str]| {
        let all = load(text).unwrap_err();
        let missing: Vec<_> = all.iter().map(|error| (error.key.as_str(), error.rule.as_str())).collect();
        assert_eq!(missing.len(), keys.len(), "{all}");
        for key in keys {
            assert!(missing.contains(&(key, "is missing")), "{key} in {all}");
        }
    };
    // What only reads and writes messages needs no more than that.
    missing("", &["name", "field_max", "wire.mti", "wire.bitmap"]);
    let start = ISO.find("[codes]").unwrap();
    let routing = format!("{}\n", &ISO[start..ISO.find("[[require]]").unwrap()]);
    let keys =
        ["name", "field_max", "mac_field", "wire.mti", "wire.bitmap", "f7_zone", "reversal", "answer_match"];
    missing(&routing, &keys);
}

#[test]
fn all_faults_are_named_in_one_run() {
    let text = POS
        .replace("f7_zone = \"+08:00\"", "f7_zone = \"east\"")
        .replace("mti = \"bcd\"", "mti = \"bdc\"")
        .replace(
            "41 = { name = \"terminal id\", kind = \"ans\"",
            "41 = { name = \"terminal id\", kind = \"anz\"",
        )
        .replace("amount = \"13\"", "amount = \"1\"");
    let errors = load(&text).unwrap_err();
    let keys: Vec<_> = errors.iter().map(|error| error.key.as_str()).collect();
    // Nothing is said twice: that 41 cannot be matched by is a consequence.
    assert_eq!(keys, ["f7_zone", "wire.mti", "fields.41.kind", "codes.amount"]);
    assert!(errors.iter().all(|error| error.line > 1 && error.column > 1 && error.origin == "test.toml"));
}

#[test]
fn text_that_is_no_toml_is_named_by_place() {
    let errors = load("name = \"x\"\nwire = = 3\n").unwrap_err();
    assert!(errors.iter().all(|error| error.line == 2), "{errors}");
    assert!(!errors.to_string().is_empty());
}

#[test]
fn a_dialect_may_extend_another() {
    let text = "name = \"mine\"\nextends = \"iso87-ascii\"\nfields.48 = { kind = \"b\", max = 10, prefix = \"ll\" }\n\
        wire.bitmap = \"binary\"\ncodes.format = \"09\"\n";
    let mine = load(text).unwrap();
    assert_eq!((mine.name(), mine.field_max()), ("mine", 128));
    assert_eq!((mine.codes().format, mine.codes().mac), (Code::new(*b"09"), Code::new(*b"A0")));
    let mut draft = Draft::new(Mti::new(0x0200));
    draft.set(3, b"000000");
    draft.set(48, &[0xAB]);
    let mut out = Vec::new();
    mine.encode(&draft, &mut out).unwrap();
    let bitmap = [0x20, 0, 0, 0, 0, 1, 0, 0];
    assert_eq!(out, [b"0200", &bitmap[..], b"00000002AB"].concat());
    let mut layout = Layout::default();
    mine.decode(&out, &mut layout).unwrap();
    assert_eq!(mine.message(&out, &layout).kind(), Some(Kind::Purchase));
}

#[test]
fn extending_nothing_or_oneself_is_refused() {
    let errors = load("extends = \"iso88\"").unwrap_err().to_string();
    assert!(errors.contains("test.toml:1:11: extends: there is no dialect \"iso88\""), "{errors}");
    let circle = |_: &str| Some("extends = \"again\"".to_owned());
    let errors = Dialect::from_toml("a", "extends = \"again\"", &circle).unwrap_err().to_string();
    assert!(errors.contains("again:1:11: extends: more than 4 dialects extend each other"), "{errors}");
}

#[test]
fn a_dialects_digest_is_what_its_file_says_and_0_for_a_built_in_one() {
    let digest = |text: &str| load(text).unwrap().digest();
    assert_eq!((digest(ISO), digest(POS)), (0, 0));
    assert_eq!(Dialect::builtin("pos-bcd").unwrap().digest(), 0);
    let mine = "name = \"mine\"\nextends = \"iso87-ascii\"\nf7_zone = \"+08:00\"\n";
    let said = digest(mine);
    assert_ne!(said, 0);
    assert_eq!(digest(&format!("# a remark\n\n  {mine}")), said);
    assert_ne!(digest(&mine.replace("mine", "yours")), said);
    assert_ne!(digest(&mine.replace("f7_zone = \"+08:00\"\n", "")), said);
    let base = |text: &str| {
        let (text, other) = (text.to_owned(), "name = \"top\"\nextends = \"base\"");
        let resolve =
            move |name: &str| if name == "base" { Some(text.clone()) } else { Some(ISO.to_owned()) };
        Dialect::from_toml("top.toml", other, &resolve).unwrap().digest()
    };
    assert_ne!(base(mine), base(&mine.replace("f7_zone = \"+08:00\"\n", "")), "what it extends counts");
}
