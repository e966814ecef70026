//! Each class and each encoding becomes the row it should, and what cannot come over is named.

use super::*;
use yika_codec::Dialect;

fn jpos(rows: &str) -> Converted {
    let text = format!(
        "<isopackager><isofield id='0' length='4' class='org.jpos.iso.IFA_NUMERIC'/>\
         <isofield id='1' length='16' class='org.jpos.iso.IFB_BITMAP'/>{rows}</isopackager>"
    );
    loads(convert(text.as_bytes(), None, None, "sample.xml").unwrap())
}

fn moov(fields: &str) -> Converted {
    let text = format!(
        "{{\"fields\":{{\"0\":{{\"type\":\"String\",\"length\":4,\"enc\":\"ASCII\",\"prefix\":\"ASCII.Fixed\"}},\
         \"1\":{{\"type\":\"Bitmap\",\"length\":8,\"enc\":\"Binary\",\"prefix\":\"Binary.Fixed\"}},{fields}}}}}"
    );
    loads(convert(text.as_bytes(), None, None, "sample.json").unwrap())
}

/// Whatever comes out is a dialect file.
fn loads(converted: Converted) -> Converted {
    if let Err(errors) = Dialect::from_toml("converted.toml", &converted.toml, &|_| None) {
        panic!("{errors}\n{}", converted.toml);
    }
    converted
}

/// The form of a field in words.
fn form(converted: &Converted, n: u8) -> String {
    let dialect = Dialect::from_toml("converted.toml", &converted.toml, &|_| None).unwrap();
    dialect.form(n).unwrap_or_default()
}

fn class(name: &str, length: u32, pad: bool) -> (String, Vec<String>) {
    let row = format!(
        "<isofield id='48' length='{length}' pad='{pad}' class='org.jpos.iso.{name}'/>\
         <isofield id='3' length='6' class='IFA_NUMERIC'/>"
    );
    let converted = jpos(&row);
    (form(&converted, 48), converted.notes.iter().map(|note| note.what.clone()).collect())
}

#[test]
fn each_class_becomes_its_row() {
    for (name, length, pad, expected) in [
        ("IF_CHAR", 8, false, "ans 8, ASCII"),
        ("IF_ECHAR", 8, false, "ans 8, EBCDIC 037"),
        ("IFA_NUMERIC", 3, false, "n 3, ASCII"),
        ("IFB_NUMERIC", 3, true, "n 3, BCD, odd padded left"),
        ("IFB_NUMERIC", 3, false, "n 3, BCD, odd padded right"),
        ("IFE_NUMERIC", 3, false, "n 3, EBCDIC 037"),
        ("IFA_LLNUM", 19, false, "n ..19, length ll in ASCII, ASCII"),
        ("IFB_LLNUM", 19, false, "n ..19, length ll in BCD, BCD, odd padded right"),
        ("IFB_LLHNUM", 250, true, "n ..250, length ll in binary, BCD, odd padded left"),
        ("IFE_LLLNUM", 19, false, "n ..19, length lll in EBCDIC, EBCDIC 037"),
        ("IFA_LLLCHAR", 999, false, "ans ..999, length lll in ASCII, ASCII"),
        ("IFA_LLLLLLCHAR", 60_000, false, "ans ..60000, length llllll in ASCII, ASCII"),
        ("IFB_LLLLCHAR", 9999, false, "ans ..9999, length llll in BCD, ASCII"),
        ("IFB_LLHCHAR", 255, false, "ans ..255, length ll in binary, ASCII"),
        ("IFB_LLLHECHAR", 999, false, "ans ..999, length llll in binary, EBCDIC 037"),
        ("IFE_LLCHAR", 20, false, "ans ..20, length ll in EBCDIC, EBCDIC 037"),
        ("IFEA_LLCHAR", 20, false, "ans ..20, length ll in EBCDIC, ASCII"),
        ("IFAE_LLCHAR", 20, false, "ans ..20, length ll in ASCII, EBCDIC 037"),
        ("IFA_BINARY", 8, false, "b 8, hex"),
        ("IFB_BINARY", 8, false, "b 8, binary"),
        ("IFE_BINARY", 8, false, "b 8, hex in EBCDIC"),
        ("IFB_HEX", 15, false, "b 8, binary"),
        ("IFA_LLLBINARY", 255, false, "b ..255, length lll in ASCII, binary"),
        ("IFB_LLBINARY", 48, false, "b ..48, length ll in BCD, binary"),
        ("IFB_LLLHBINARY", 999, false, "b ..999, length llll in binary, binary"),
        ("IFE_LLLBINARY", 255, false, "b ..255, length lll in EBCDIC, binary"),
        ("IFA_LLLABINARY", 99, false, "b ..99, length lll in ASCII of bytes, hex"),
        ("IFA_AMOUNT", 9, false, "x+n 9, ASCII"),
        ("IFB_AMOUNT", 9, true, "x+n 9, sign and BCD"),
        ("IFE_AMOUNT", 9, false, "x+n 9, EBCDIC 037"),
        ("IFB_AMOUNT2003", 16, false, "n 16, BCD, odd padded right"),
        ("IFEB_LLNUM", 19, false, "n ..19, length ll in EBCDIC of bytes, BCD, odd padded right with F"),
    ] {
        assert_eq!(class(name, length, pad), (expected.to_owned(), vec![]), "{name}");
    }
}

#[test]
fn what_a_dialect_cannot_say_is_said_nearly_and_named() {
    for (name, length, expected, said) in [
        ("IFB_FLLNUM", 19, "n ..19, length ll in BCD, BCD, odd padded right", "where jPOS writes F"),
        ("IFB_FNUMERIC", 3, "n 3, BCD, odd padded right", "where jPOS writes F"),
        ("IFA_LLBNUM", 19, "n ..19, length ll in ASCII, BCD, odd padded right", "as if it were even"),
        ("IFA_FLLCHAR", 20, "ans 22, ASCII", "filled up to a fixed size"),
        ("IFB_LLHFBINARY", 20, "b 21, binary", "filled up to a fixed size"),
        ("IFE_SIGNED_NUMERIC", 8, "ans 8, EBCDIC 037", "the last digit"),
        ("IFB_LLNUM", 400, "n ..99, length ll in BCD, BCD, odd padded right", "cannot say more than 99"),
        ("IFA_BINARY", 40_000, "", "at most 32767"),
        ("IFA_LLCHAR", 0, "", "no length"),
        ("IFA_LLLLLLLCHAR", 9, "", "one to six digits"),
        ("IFB_LLHEX", 9, "", "counts nibbles"),
        ("IF_TCHAR", 9, "", "ends with a token"),
        ("IF_NOP", 9, "", "without bytes"),
        ("IFA_TTLLCHAR", 9, "", "a field of such parts alone"),
        ("MyOwnField", 9, "", "not known here"),
    ] {
        let (form, notes) = class(name, length, false);
        assert_eq!(form, expected, "{name}");
        assert!(notes.len() == 1 && notes[0].contains(said), "{name}: {notes:?}");
    }
}

fn encoded(form_of: &str) -> (String, usize) {
    let converted = moov(&format!(
        "\"48\":{{{form_of}}},\"3\":{{\"type\":\"Numeric\",\"length\":6,\"enc\":\"ASCII\",\"prefix\":\"ASCII.Fixed\"}}"
    ));
    (form(&converted, 48), converted.notes.len())
}

#[test]
fn each_encoding_and_prefix_of_moov_becomes_its_row() {
    for (kind, enc, prefix, expected) in [
        ("String", "ASCII", "ASCII.LL", "ans ..8, length ll in ASCII, ASCII"),
        ("Numeric", "ASCII", "None.Fixed", "n 8, ASCII"),
        ("String", "BCD", "BCD.LLL", "n ..8, length lll in BCD, BCD, odd padded left"),
        ("Numeric", "LBCD", "BCD.LL", "n ..8, length ll in BCD, BCD, odd padded right"),
        ("Track2", "LBCD", "Binary.L", "z ..8, length ll in binary, BCD, odd padded right"),
        ("Track1", "EBCDIC", "EBCDIC.LL", "ans ..8, length ll in EBCDIC, EBCDIC 037"),
        ("String", "EBCDIC1047", "EBCDIC1047.LLLL", "ans ..8, length llll in EBCDIC, EBCDIC 1047"),
        ("Binary", "Binary", "Binary.LL", "b ..8, length llll in binary, binary"),
        ("Hex", "Binary", "Binary.Fixed", "b 8, binary"),
        ("Binary", "HexToASCII", "Hex.Fixed", "b 8, hex"),
        ("String", "Hex", "ASCII.LLL", "b ..8, length lll in ASCII of bytes, hex"),
        ("String", "ASCIIToHex", "Hex.LL", "b ..8, length llll in hex, binary"),
    ] {
        let of = format!(
            "\"type\":\"{kind}\",\"length\":8,\"enc\":\"{enc}\",\"prefix\":\"{prefix}\",\"description\":\"x\""
        );
        assert_eq!(encoded(&of), (expected.to_owned(), 0), "{kind} {enc} {prefix}");
    }
    for (kind, enc, prefix) in
        [("String", "ASCII", "Hex.LLLL"), ("String", "UCS2", "ASCII.LL"), ("Bitmap", "Binary", "Hex.Fixed")]
    {
        let of = format!("\"type\":\"{kind}\",\"length\":8,\"enc\":\"{enc}\",\"prefix\":\"{prefix}\"");
        assert_eq!(encoded(&of), (String::new(), 1), "{kind} {enc} {prefix}");
    }
}

/// Path, name and form of every part.
fn parts(converted: &Converted, n: u8) -> Vec<String> {
    let dialect = Dialect::from_toml("converted.toml", &converted.toml, &|_| None).unwrap();
    let (shape, parts) = dialect.parts(n).unwrap_or_default();
    let line = |part: &yika_codec::PartForm| format!("{} {}", part.id, part.form);
    std::iter::once(shape.to_owned()).chain(parts.iter().map(line)).collect()
}

fn packager(class: &str, packager: &str, rest: &str, parts: &str) -> Converted {
    jpos(&format!(
        "<isofieldpackager id='48' length='99' class='{class}' packager='org.jpos.iso.packager.{packager}' {rest}>{parts}\
         </isofieldpackager>"
    ))
}

#[test]
fn parts_in_fixed_order_stand_in_text_or_in_bytes() {
    let text = "<isofield id='0' length='9' class='IF_CHAR'/><isofield id='1' length='3' class='IFA_NUMERIC'/>\
                <isofield id='2' length='9' class='IFA_LLCHAR'/>";
    let fixed = "emitBitmap='false'";
    let converted = packager("IFB_LLLCHAR", "GenericSubFieldPackager", fixed, text);
    assert_eq!(form(&converted, 48), "ans ..99, length lll in BCD, ASCII");
    let expected = ["parts in fixed order", "1 n 3, ASCII", "2 ans ..9, length ll in ASCII, ASCII"];
    assert_eq!(parts(&converted, 48), expected);
    assert_eq!(converted.notes.len(), 1, "part 0 is not written: {:?}", converted.notes);
    let first = "emitBitmap='false' firstField='0'";
    let bytes = format!("{text}<isofield id='3' length='3' pad='true' class='IFB_NUMERIC'/>");
    let converted = packager("IFB_LLLCHAR", "GenericSubFieldPackager", first, &bytes);
    assert_eq!(form(&converted, 48), "b ..99, length lll in BCD, binary");
    let found = parts(&converted, 48);
    assert_eq!((&found[1][..], &found[4][..]), ("0 ans 9, ASCII", "3 n 3, BCD, odd padded left"));
}

#[test]
fn parts_with_tags_have_the_form_of_their_classes() {
    let two = |class: &str| {
        format!("<isofield id='1' length='9' class='{class}'/><isofield id='20' length='9' class='{class}'/>")
    };
    let euro = packager("IFA_LLLCHAR", "EuroSubFieldPackager", "", &two("IFEP_LLCHAR"));
    assert_eq!(parts(&euro, 48), ["length, tag, value", "01 ans ..9, ASCII", "20 ans ..9, ASCII"]);
    assert!(euro.toml.contains("length_covers_tag = true"), "{}", euro.toml);
    let ebcdic = packager("IFE_LLLBINARY", "EuroSubFieldPackager", "", &two("IFEPE_LLCHAR"));
    assert_eq!(parts(&ebcdic, 48)[1..], ["F0F1 ans ..9, EBCDIC 037", "F2F0 ans ..9, EBCDIC 037"]);
    let mapped =
        packager("IFA_LLLCHAR", "GenericTaggedFieldsPackager", "tagMapper='x.Y'", &two("IFA_TTLLLCHAR"));
    assert_eq!(parts(&mapped, 48), ["tag, length, value"]);
    assert!(mapped.notes[0].what.contains("each by its tag"), "{:?}", mapped.notes);
    let chip = packager("IFB_LLLBINARY", "BERTLVBinaryPackager", "", "");
    assert_eq!(parts(&chip, 48)[0], "BER-TLV");
    for (of, said) in [
        (packager("IFB_LLLBINARY", "GenericSubFieldPackager", "", &two("IF_CHAR")), "a bitmap says"),
        (
            packager("IFA_LLLCHAR", "MasterCardEBCDICSubFieldPackager", "", &two("IFMC_LLCHAR")),
            "category code",
        ),
        (packager("IFA_LLLCHAR", "BERTLVAsciiHexPackager", "", ""), "read from bytes"),
        (packager("IFA_LLLCHAR", "x.MyPackager", "", &two("IF_CHAR")), "not known here"),
    ] {
        assert!(of.notes.len() == 1 && of.notes[0].what.contains(said), "{said}: {:?}", of.notes);
        assert_eq!(parts(&of, 48), [""]);
    }
}

const SUB: &str = "\"type\":\"String\",\"length\":9,\"enc\":\"ASCII\",\"prefix\":\"ASCII.LL\"";

fn composite(rest: &str) -> Converted {
    moov(&format!("\"48\":{{\"type\":\"Composite\",\"length\":99,\"prefix\":\"ASCII.LLL\",{rest}}}"))
}

#[test]
fn composites_have_places_tags_or_ber_tlv() {
    let places = composite(&format!("\"subfields\":{{\"10\":{{{SUB}}},\"2\":{{{SUB}}},\"1\":{{{SUB}}}}}"));
    assert_eq!(form(&places, 48), "ans ..99, length lll in ASCII, ASCII");
    let ids: Vec<String> = parts(&places, 48)[1..].iter().map(|part| part[..2].trim().to_owned()).collect();
    assert_eq!(ids, ["1", "2", "10"]);
    let tags = composite(&format!(
        "\"tag\":{{\"length\":3,\"enc\":\"ASCII\",\"padding\":{{\"type\":\"Left\",\"pad\":\"0\"}}}},\"subfields\":{{\"7\":{{{SUB}}}}}"
    ));
    assert_eq!(parts(&tags, 48), ["tag, length, value", "007 ans ..9, ASCII"]);
    let ber = composite(
        "\"tag\":{\"enc\":\"BerTLVTag\"},\"subfields\":{\"9F02\":{\"type\":\"Hex\",\"enc\":\"Binary\",\"prefix\":\"BerTLV\"},\
         \"5A\":{\"type\":\"Numeric\",\"enc\":\"BCD\",\"prefix\":\"BerTLV\",\"length\":19}}",
    );
    assert_eq!(form(&ber, 48), "b ..99, length lll in ASCII, binary");
    assert_eq!(parts(&ber, 48).len(), 3);
    assert!(ber.toml.contains("sensitivity = \"pan\""), "a card number in a tag is shown: {}", ber.toml);
    let map = composite(&format!("\"bitmap\":{{}},\"subfields\":{{\"1\":{{{SUB}}}}}"));
    assert!(map.notes.len() == 1 && map.notes[0].what.contains("a bitmap says"), "{:?}", map.notes);
    let fixed = composite(
        "\"tag\":{\"length\":2,\"enc\":\"ASCII\"},\"subfields\":{\"01\":{\"type\":\"String\",\"length\":2,\"enc\":\"ASCII\",\
         \"prefix\":\"ASCII.Fixed\"}}",
    );
    assert!(fixed.notes[0].what.contains("needs a length in front"), "{:?}", fixed.notes);
}

#[test]
fn p10_secrets_are_hidden_by_the_number_of_their_field_and_in_its_parts() {
    let parts = "<isofield id='1' length='9' class='IFA_LLCHAR'/>";
    let converted = jpos(&format!(
        "<isofield id='2' length='19' class='IFA_LLNUM'/><isofield id='52' length='8' class='IFB_BINARY'/>\
         <isofield id='35' length='37' class='IFA_LLCHAR'/><isofield id='55' length='255' class='IFA_LLLBINARY'/>\
         <isofieldpackager id='61' length='99' class='IFA_LLLCHAR' packager='GenericSubFieldPackager' emitBitmap='false'>{parts}\
         </isofieldpackager>"
    ));
    for row in [
        "2 = { kind = \"n\", max = 19, prefix = \"ll\", sensitivity = \"pan\" }",
        "35 = { kind = \"z\", max = 37, prefix = \"ll\", sensitivity = \"track\" }",
        "52 = { kind = \"b\", length = 8, sensitivity = \"pin\" }",
        "55 = { kind = \"b\", max = 255, prefix = \"lll\", sensitivity = \"emv\", structure = \"emv\" }",
        "  { name = \"part 1\", kind = \"ans\", max = 9, prefix = \"ll\", sensitivity = \"secret\" },",
        "# Hidden by the usual meaning of their numbers, not by the file: 2 pan, 35 track, 52 pin, 55 emv, 61 secret.",
    ] {
        assert!(converted.toml.contains(row), "{row} in\n{}", converted.toml);
    }
}

#[test]
fn bitmaps_of_one_two_and_three_parts() {
    let with = |length: u32, rest: &str| {
        let text = format!(
            "<isopackager><isofield id='0' length='4' class='IFB_NUMERIC'/>\
             <isofield id='1' length='{length}' class='IFA_BITMAP'/><isofield id='2' length='19' class='IFA_LLNUM'/>{rest}</isopackager>"
        );
        loads(convert(text.as_bytes(), None, Some("Mine!"), "x").unwrap())
    };
    let high = "<isofield id='130' length='9' class='IF_CHAR'/>";
    let one = with(8, high);
    assert!(one.toml.contains("field_max = 64") && one.notes[0].what.contains("ends at field 64"), "{one:?}");
    let three = with(24, high);
    assert!(three.toml.contains("third_bitmap = \"contiguous\"") && three.notes.is_empty(), "{three:?}");
    let inside = with(16, &format!("{high}<isofield id='65' length='8' class='IFA_BITMAP'/>"));
    assert!(inside.toml.contains("third_bitmap = \"field-65\""), "{inside:?}");
    assert!(
        inside.toml.contains("name = \"mine\"") && inside.toml.contains("bitmap = \"hex\""),
        "{inside:?}"
    );
}

#[test]
fn nothing_is_fetched_or_expanded_and_faults_have_places() {
    let of = |text: &str| convert(text.as_bytes(), None, None, "x").unwrap_err();
    let outside =
        "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/hostname\">]>\n<isopackager>&x;</isopackager>";
    let fault = of(outside);
    assert!(fault.place == Some((2, 14)) && fault.what.contains("unknown entity"), "{fault}");
    assert_eq!(of("<isopackager>\n<isofield>\n</isopackager>").place, Some((3, 1)));
    assert_eq!(of("<other/>").place, Some((1, 1)));
    assert_eq!(of("{\"fields\":\n nonsense}").place.map(|place| place.0), Some(2));
    assert_eq!(of("fields:\n  2: [").place.map(|place| place.0), Some(2));
    assert!(of("{\"elements\":{}}").what.contains("older form"));
    assert!(of("<isopackager/>").what.contains("no field of it"));
    let many = (0..200).map(|n| format!(" a{n}='1'")).collect::<String>();
    assert!(of(&format!("<isopackager x='>'{many}/>")).what.contains("100 attributes"));
    assert!(of(&" ".repeat(FILE_BYTES_MAX + 1)).what.contains("at most"));
    let laughing = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned()
        + &["a", "b", "c", "d", "e", "f", "g"].windows(2).fold(String::new(), |text, pair| {
            let ten = vec![format!("*{}", pair[0]); 10].join(",");
            format!("{text}{}: &{} [{ten}]\n", pair[1], pair[1])
        });
    assert!(of(&laughing).what.contains("budget"), "aliases grow");
}

#[test]
fn yaml_is_read_as_json_is() {
    let text = "name: Bank of Test\nfields:\n  0: {type: String, length: 4, enc: ASCII, prefix: ASCII.Fixed}\n  \
                1: {type: Bitmap, length: 8, enc: Binary, prefix: Binary.Fixed}\n  \
                2: {type: String, length: 19, description: Card, enc: BCD, prefix: BCD.LL}\n";
    let converted = loads(convert(text.as_bytes(), None, None, "x").unwrap());
    assert!(
        converted.notes.is_empty() && converted.toml.contains("name = \"bank-of-test\""),
        "{converted:?}"
    );
    assert_eq!(form(&converted, 2), "n ..19, length ll in BCD, BCD, odd padded left");
}
