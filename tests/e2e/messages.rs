//! `yika dialect`: messages from bytes to words and back, as an operator types it.

use std::path::Path;
use yika_tests::process::run;

/// The golden messages of the codec: dialect and bytes in hex.
fn golden() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../codec/tests/golden");
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let (_, wire) = text.split_once("\nwire\n").unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        found.push((name, wire.replace('\n', "")));
    }
    found
}

fn of(dialect: &str) -> String {
    golden().into_iter().find(|row| row.0 == dialect).unwrap().1
}

#[test]
fn what_is_decoded_to_json_is_encoded_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    for (dialect, wire) in golden() {
        let (code, json, err) =
            run("yika", &["dialect", "decode", "--dialect", &dialect, "--json", "--clear", &wire]);
        assert_eq!((code, err.as_str()), (0, ""), "{dialect}");
        let file = folder.path().join("message.json");
        std::fs::write(&file, &json).unwrap();
        let (code, hex, err) = run("yika", &["dialect", "encode", file.to_str().unwrap()]);
        assert_eq!((code, hex.trim_end(), err.as_str()), (0, wire.as_str(), ""), "{dialect}");
        let (_, framed, _) =
            run("yika", &["dialect", "encode", "--framing", "binary2", file.to_str().unwrap()]);
        assert_eq!(framed.trim_end(), format!("{:04X}{wire}", wire.len() / 2), "{dialect}");
        let decoded = ["dialect", "decode", "--dialect", &dialect, "--framing", "binary2", framed.trim_end()];
        assert_eq!(run("yika", &decoded).0, 0, "{dialect}");
    }
}

#[test]
fn p10_no_secret_is_shown_unless_it_is_asked_for() {
    let wire = of("cups-ascii");
    for extra in [None, Some("--json")] {
        let mut arguments = vec!["dialect", "decode", "--dialect", "cups-ascii", &wire];
        arguments.extend(extra);
        let (code, out, _) = run("yika", &arguments);
        assert_eq!(code, 0);
        for secret in ["6222000000000000003", "0123456789ABCDEF", "110101199001011237", "012"] {
            // The code of three digits is also part of other values; those of its own place are quoted or stand alone.
            let shown = out.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == secret);
            assert!(!shown, "{secret} in {out}");
        }
        assert!(out.contains("622200*********0003"), "{out}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("masked.json");
    let (_, json, _) = run("yika", &["dialect", "decode", "--dialect", "cups-ascii", "--json", &wire]);
    std::fs::write(&file, json).unwrap();
    let (code, out, err) = run("yika", &["dialect", "encode", file.to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (65, ""));
    assert!(err.contains("masked: decode it with --clear"), "{err}");
}

#[test]
fn people_read_names_parts_and_what_is_wrong() {
    let (_, out, _) = run("yika", &["dialect", "decode", "--dialect", "cups-ascii", &of("cups-ascii")]);
    for line in [
        "mti      0200  purchase",
        "  48.ON    order number",
        "  55.9F02  amount, authorised",
        "  57.ZZ    unknown",
    ] {
        assert!(out.contains(line), "{line} in\n{out}");
    }
    let (code, out, err) = run("yika", &["dialect", "decode", "--dialect", "pos-bcd", "0200"]);
    assert_eq!((code, out.as_str()), (65, ""));
    assert!(err.contains("pos-bcd: header at byte 0: needs 11 bytes, 2 are left"), "{err}");
    let (code, _, err) = run("yika", &["dialect", "decode", "--dialect", "pos", "0200"]);
    assert!(code == 65 && err.contains("no dialect has the name that was given"), "{err}");
    let (code, _, err) = run("yika", &["dialect", "decode", "--dialect", "pos-bcd", "4111111111111111x"]);
    assert!(code == 65 && err.contains("neither hex") && !err.contains("4111111111111111"), "{err}");
}

#[test]
fn p10_what_was_typed_is_not_repeated_for_it_may_be_a_card_number() {
    let pan = "4111111111111111";
    let wire = format!("02004000000000000000{pan}");
    let all: [&[&str]; 6] = [
        &["decode", "--dialect", pan, "30"],
        &["decode", "--dialect", "iso87-binary", "--framing", pan, "30"],
        &["diff", "--dialect", "pos-bcd", pan, pan],
        &["diff", "--dialect", "iso87-ascii", &wire, &wire],
        &["diff", "--dialect", "iso87-ascii", "--framing", "binary2", &wire, &wire],
        &["diff", "--dialect", pan, "30", "30"],
    ];
    for arguments in all {
        let (code, out, err) = run("yika", &[&["dialect"], arguments].concat());
        assert_eq!((code, out.as_str()), (65, ""), "{arguments:?}");
        assert!(!err.is_empty() && !err.contains(pan), "{arguments:?}: {err}");
    }
}

#[test]
fn a_file_that_is_not_there_is_no_bad_data() {
    for arguments in [&["check", "none.toml"][..], &["encode", "none.json"], &["convert", "none.xml"]] {
        let (code, out, err) = run("yika", &[&["dialect"], arguments].concat());
        assert_eq!((code, out.as_str()), (74, ""), "{arguments:?}: {err}");
        assert!(err.contains("cannot read none."), "{err}");
    }
}

#[test]
fn two_messages_are_compared_by_their_values_whatever_their_bytes() {
    let (binary, ebcdic) = (of("iso87-binary"), of("iso87-ebcdic"));
    let compare = |a: &str, b: &str, dialect_b: &str| {
        run("yika", &["dialect", "diff", "--dialect", "iso87-binary", "--dialect-b", dialect_b, a, b])
    };
    let (code, out, _) = compare(&binary, &binary, "iso87-binary");
    assert_eq!((code, out.as_str()), (0, ""));
    let (code, out, _) = compare(&binary, &ebcdic, "iso87-ebcdic");
    assert_eq!((code, out.as_str()), (1, "19  156 -> nothing  (country of acquirer)\n"));
    let other_pin = binary.replace("0123456789ABCDEF", "0123456789ABCDEE");
    let (code, out, _) = compare(&binary, &other_pin, "iso87-binary");
    assert_eq!(
        (code, out.as_str()),
        (1, "52  <hidden 8 bytes> -> <hidden 8 bytes> (another)  (PIN block)\n")
    );
}

#[test]
fn a_doctor_finds_length_header_and_dialect() {
    let wire = of("iso87-binary");
    let framed = format!("{:04X}{wire}", wire.len() / 2);
    let (code, out, _) = run("yika", &["dialect", "doctor", &framed]);
    assert!(
        code == 0 && out.contains("reads    framing binary2, dialect iso87-binary: 0200 (purchase)"),
        "{out}"
    );
    let (code, out, _) = run("yika", &["dialect", "doctor", "--json", &format!("6000030000{wire}")]);
    assert!(code == 0 && out.contains("5 bytes of a header skipped, dialect iso87-binary"), "{out}");
    let (code, out, _) = run("yika", &["dialect", "doctor", &wire[..wire.len() - 2]]);
    assert!(code == 65 && out.contains("nearly"), "{out}");
    let (code, out, _) = run("yika", &["dialect", "doctor", "474554202F20485454502F312E31"]);
    assert!(code == 65 && out.contains("HTTP request"), "{out}");
}

#[test]
fn dialects_are_listed_shown_and_checked_with_line_and_column() {
    let (code, out, _) = run("yika", &["dialect", "list"]);
    assert!(code == 0 && out.lines().count() == 8 && out.contains("iso2003-binary"), "{out}");
    let (_, out, _) = run("yika", &["dialect", "show", "pos-bcd"]);
    assert!(out.contains("  2  card number") && out.contains("n ..19, length ll in BCD, BCD"), "{out}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    std::fs::write(&file, "name = \"mine\"\nextends = \"iso87-ascii\"\n[fields]\n48 = { kind = \"ans\", max = 9, prefix = \"ll\", structure = \"emw\" }\n").unwrap();
    let name = file.to_str().unwrap();
    let (code, out, err) = run("yika", &["dialect", "check", name]);
    assert_eq!((code, out.as_str()), (65, ""));
    assert!(
        err.contains(&format!("{name}:4:58: fields.48.structure: there is no structure \"emw\"")),
        "{err}"
    );
    assert!(err.contains("did you mean \"emv\"?"), "{err}");
    let (_, shipped, _) = run("yika", &["dialect", "show", "iso93-ascii", "--toml"]);
    std::fs::write(&file, shipped).unwrap();
    let (code, out, _) = run("yika", &["dialect", "check", name]);
    assert!(code == 0 && out.contains("for reading and writing only"), "{out}");
}
