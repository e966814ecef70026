//! `yika dialect convert`: field descriptions of others become dialects that speak as ours do, byte by byte.

use std::path::{Path, PathBuf};
use yika_tests::process::run;

/// A packager of our own with the forms of the binary edition of 1987.
const JPOS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE isopackager PUBLIC "-//somebody//a packager//EN" "http://127.0.0.1:1/never-asked.dtd">
<isopackager>
  <isofield id="0" length="4" name="type" class="org.jpos.iso.IFB_NUMERIC"/>
  <isofield id="1" length="16" name="bits" class="org.jpos.iso.IFB_BITMAP"/>
  <isofield id="2" length="19" name="card" pad="true" class="org.jpos.iso.IFB_LLNUM"/>
  <isofield id="3" length="6" name="processing" class="org.jpos.iso.IFB_NUMERIC"/>
  <isofield id="4" length="12" name="amount" class="org.jpos.iso.IFB_NUMERIC"/>
  <isofield id="7" length="10" name="sent" class="org.jpos.iso.IFB_NUMERIC"/>
  <isofield id="11" length="6" name="trace" class="org.jpos.iso.IFB_NUMERIC"/>
  <isofield id="22" length="3" name="entry" pad="true" class="org.jpos.iso.IFB_NUMERIC"/>
  <isofield id="28" length="9" name="fee" pad="true" class="org.jpos.iso.IFB_AMOUNT"/>
  <isofield id="32" length="11" name="acquirer" pad="true" class="org.jpos.iso.IFB_LLNUM"/>
  <isofield id="35" length="37" name="track" class="org.jpos.iso.IFB_LLNUM"/>
  <isofield id="41" length="8" name="terminal" class="org.jpos.iso.IF_CHAR"/>
  <isofield id="48" length="999" name="private" class="org.jpos.iso.IFB_LLLCHAR"/>
  <isofield id="52" length="8" name="PIN" class="org.jpos.iso.IFB_BINARY"/>
  <isofield id="55" length="255" name="chip" class="org.jpos.iso.IFB_LLLBINARY"/>
  <isofield id="70" length="3" name="network" pad="true" class="org.jpos.iso.IFB_NUMERIC"/>
  <isofield id="126" length="20" name="ends with a token" class="org.jpos.iso.IF_TCHAR"/>
</isopackager>
"#;

/// A spec of our own with the forms of the ASCII edition of 1987.
const MOOV: &str = r#"{"name": "ASCII of our own", "fields": {
  "0": {"type": "String", "length": 4, "enc": "ASCII", "prefix": "ASCII.Fixed"},
  "1": {"type": "Bitmap", "length": 8, "enc": "HexToASCII", "prefix": "Hex.Fixed"},
  "2": {"type": "String", "length": 19, "description": "card", "enc": "ASCII", "prefix": "ASCII.LL"},
  "3": {"type": "Numeric", "length": 6, "enc": "ASCII", "prefix": "ASCII.Fixed", "padding": {"type": "Left", "pad": "0"}},
  "4": {"type": "String", "length": 12, "enc": "ASCII", "prefix": "ASCII.Fixed", "padding": {"type": "Left", "pad": "0"}},
  "7": {"type": "String", "length": 10, "enc": "ASCII", "prefix": "ASCII.Fixed"},
  "11": {"type": "String", "length": 6, "enc": "ASCII", "prefix": "ASCII.Fixed"},
  "22": {"type": "String", "length": 3, "enc": "ASCII", "prefix": "ASCII.Fixed"},
  "28": {"type": "String", "length": 9, "enc": "ASCII", "prefix": "ASCII.Fixed"},
  "32": {"type": "Numeric", "length": 11, "enc": "ASCII", "prefix": "ASCII.LL"},
  "35": {"type": "Track2", "length": 37, "enc": "ASCII", "prefix": "ASCII.LL"},
  "41": {"type": "String", "length": 8, "enc": "ASCII", "prefix": "ASCII.Fixed"},
  "48": {"type": "String", "length": 999, "enc": "ASCII", "prefix": "ASCII.LLL"},
  "52": {"type": "Binary", "length": 8, "enc": "HexToASCII", "prefix": "Hex.Fixed"},
  "70": {"type": "Numeric", "length": 3, "enc": "ASCII", "prefix": "ASCII.Fixed"}
}}"#;

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    file
}

/// A payment as `decode --json` prints it, and a network message of the second bitmap.
fn messages(chip: &str) -> String {
    format!(
        r#"{{"mti":"0200","fields":{{"2":"6210000000000000011","3":"000000","4":"000000012345","7":"1126191500","11":"000123",
        "22":"051","28":"D00000150","32":"12345678901","35":"6210000000000000011=3012","41":"TERM0001","48":"as it is",
        "52":"0123456789ABCDEF"{chip}}}}}{{"mti":"0800","fields":{{"7":"1126191501","11":"000124","70":"301"}}}}"#
    )
}

/// The bytes of these messages in a dialect, one line each.
fn bytes(dialect: &str, messages: &Path) -> String {
    let (code, hex, err) =
        run("yika", &["dialect", "encode", "--dialect", dialect, messages.to_str().unwrap()]);
    assert_eq!((code, err.as_str()), (0, ""), "{dialect}");
    hex
}

/// Converts, checks, encodes in both dialects, and decodes what the other wrote.
fn speaks_as(folder: &Path, file: &Path, builtin: &str, messages: &str) -> String {
    let (code, toml, report) = run("yika", &["dialect", "convert", file.to_str().unwrap()]);
    assert_eq!(code, 0, "{report}");
    let dialect = written(folder, "converted.toml", &toml);
    let dialect = dialect.to_str().unwrap();
    let (code, out, err) = run("yika", &["dialect", "check", dialect]);
    assert!(code == 0 && out.contains("for reading and writing only"), "{err}");
    let messages = written(folder, "messages.json", messages);
    let ours = bytes(builtin, &messages);
    assert_eq!(bytes(dialect, &messages), ours);
    for wire in ours.lines() {
        let (code, out, err) = run("yika", &["dialect", "decode", "--dialect", dialect, wire]);
        assert_eq!((code, err.as_str()), (0, ""));
        for secret in ["6210000000000000011", "0123456789ABCDEF"] {
            assert!(!out.contains(secret), "{secret} in {out}");
        }
    }
    report
}

#[test]
fn a_jpos_packager_becomes_a_dialect_that_writes_what_iso87_binary_writes() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), "bank.xml", JPOS);
    let chip = r#","55":{"9F02":"000000012345","82":"2000"}"#;
    let report = speaks_as(folder.path(), &file, "iso87-binary", &messages(chip));
    assert_eq!(
        report,
        "126: IF_TCHAR: a value that ends with a token has no length that a dialect can say: left out\n"
    );
}

#[test]
fn a_moov_spec_becomes_a_dialect_that_writes_what_iso87_ascii_writes() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), "spec.json", MOOV);
    let report = speaks_as(folder.path(), &file, "iso87-ascii", &messages(""));
    assert_eq!(
        report,
        "4: padding Left \"0\": digits now, of exactly this length: nothing is filled with zeros\n"
    );
    let (code, json, err) =
        run("yika", &["dialect", "convert", "--json", "--name", "theirs", file.to_str().unwrap()]);
    assert_eq!((code, err.as_str()), (0, ""));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json["toml"].as_str().unwrap().contains("\nname = \"theirs\"\n"), "{json}");
    assert_eq!(
        (json["report"][0]["field"].as_str(), json["report"].as_array().unwrap().len()),
        (Some("4"), 1)
    );
}

#[test]
fn what_is_no_description_of_fields_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, said) in [
        ("a.xml", "<isopackager>\n  <isofield id=\"2\"\n</isopackager>", ":3:1: is no XML"),
        ("b.xml", "<html/>", ":1:1: the outermost element is <html>"),
        ("c.json", "{\"fields\": {\"2\": nothing}}", ": is no JSON"),
        ("d.yaml", "just words", ": is neither a jPOS packager"),
        (
            "e.xml",
            "<!DOCTYPE a [<!ENTITY e \"ha\">]><isopackager>&e;</isopackager>",
            "unknown entity reference",
        ),
    ] {
        let file = written(folder.path(), name, text);
        let file = file.to_str().unwrap();
        let (code, out, err) = run("yika", &["dialect", "convert", file]);
        assert_eq!((code, out.as_str()), (65, ""), "{name}: {err}");
        assert!(err.contains(said) && err.starts_with(&format!("yika: {file}:")), "{name}: {err}");
    }
    let file = written(folder.path(), "bank.xml", JPOS);
    let (code, _, err) = run("yika", &["dialect", "convert", "--from", "moov", file.to_str().unwrap()]);
    assert!(code == 65 && err.contains("YAML"), "{err}");
}
