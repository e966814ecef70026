//! Structures of every shape, opened and closed again.

use super::*;
use crate::text::unhex;
use proptest::prelude::*;

/// A dialect with a field of every shape, and parts within parts.
const TEXT: &str = r#"
name = "nested"
field_max = 128
wire = { mti = "ascii", bitmap = "binary", lengths = "ascii", digits = "ascii", binary = "binary" }

[fields]
48 = { name = "usage", kind = "ans", max = 999, prefix = "lll", structure = "usage" }
54 = { name = "amounts", kind = "ans", max = 120, prefix = "lll", structure = "amounts" }
55 = { name = "chip", kind = "b", max = 999, prefix = "lll", structure = "emv" }
57 = { name = "tagged", kind = "ans", max = 999, prefix = "lll", structure = "tagged" }
60 = { name = "positional", kind = "n", max = 17, prefix = "lll", structure = "f60" }
62 = { name = "packed", kind = "b", max = 999, prefix = "lll", structure = "packed" }
63 = { name = "ltv", kind = "b", max = 999, prefix = "lll", structure = "ltv" }
104 = { name = "data sets", kind = "b", max = 999, prefix = "lll", structure = "sets" }

[structure.f60]
shape = "positional"
parts = [
  { name = "type", kind = "n", length = 2 },
  { name = "batch", kind = "n", length = 6 },
  { name = "network code", kind = "n", length = 3 },
  { name = "rest", kind = "n", max = 6 },
]

[structure.amounts]
shape = "positional"
parts = [
  { name = "account", kind = "n", length = 2 },
  { name = "amount", kind = "x+n", length = 13 },
]

[structure.usage]
shape = "usage"
tag_bytes = 2
parts = [
  { id = "NK", name = "new key", kind = "ans", max = 510, sensitivity = "secret" },
  { id = "BC", name = "risk", kind = "ans", max = 19, structure = "risk" },
]

[structure.risk]
shape = "positional"
parts = [
  { name = "level", kind = "n", length = 3 },
  { name = "flag", kind = "n", length = 1 },
  { name = "text", kind = "ans", max = 8, prefix = "l" },
]

[structure.tagged]
shape = "tagged"
tag_bytes = 2
length = "lll"
parts = [
  { id = "AB", name = "additional", kind = "ans", max = 100 },
  { id = "QR", name = "query", kind = "ans", max = 100, structure = "risk" },
]

[structure.packed]
shape = "positional"
digits = "bcd"
lengths = "bcd"
parts = [
  { name = "card", kind = "n", max = 19, prefix = "ll" },
  { name = "left", kind = "n", length = 3, pad = "left" },
  { name = "signed", kind = "x+n", length = 9, encoding = "bcd" },
  { name = "counted", kind = "n", max = 9, prefix = "ll", counts = "bytes" },
  { name = "key", kind = "b", max = 8, prefix = "lll", prefix_encoding = "binary", encoding = "hex" },
  { name = "open", kind = "n", max = 9 },
]

[structure.ltv]
shape = "tagged"
tag = "binary"
tag_bytes = 1
length = "ll"
length_encoding = "binary"
order = "length-tag"
length_covers_tag = true
parts = [{ id = "0A", name = "ten", kind = "b", max = 20 }]

[structure.sets]
shape = "data-sets"
parts = [{ id = "01", name = "chip", kind = "b", max = 999, structure = "emv" }]
"#;

fn dialect() -> Dialect {
    Dialect::from_toml("nested.toml", TEXT, &|_| None).unwrap()
}

/// The nodes as `id=value` and `id[..]`, bytes in hexadecimal.
fn shown(nodes: &[Node]) -> String {
    let one = |node: &Node| match &node.inner {
        Inner::Parts(parts) => format!("{}[{}]", node.id, shown(parts)),
        Inner::Value(value) if node.is_text => format!("{}={}", node.id, String::from_utf8_lossy(value)),
        Inner::Value(value) => format!("{}={}", node.id, crate::text::hex(value)),
    };
    nodes.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn opens(n: u8, value: &[u8], expected: &str) {
    let dialect = dialect();
    let nodes = dialect.open(n, value).unwrap().unwrap();
    assert_eq!(shown(&nodes), expected);
    assert_eq!(dialect.close(n, &nodes).unwrap().unwrap().as_slice(), value, "closed again");
}

fn refuses(n: u8, value: &[u8], expected: &str) {
    assert_eq!(dialect().open(n, value).unwrap().unwrap_err().to_string(), expected);
}

#[test]
fn parts_in_order_may_end_early() {
    opens(60, b"22000001003", "1=22 2=000001 3=003");
    opens(60, b"2200000100312", "1=22 2=000001 3=003 4=12");
    opens(60, b"22", "1=22");
    opens(60, b"", "");
    refuses(60, b"22000", "60.2: needs 6 bytes at byte 2, 3 are left");
    refuses(60, b"220000010031234567", "60.4: has 7 units, the dialect allows at most 6");
    refuses(54, b"00X000000000100", "54.2: expected C or D and digits at byte 0");
    refuses(54, b"00C000000000100!", "54: expected the end, 1 bytes follow the last part at byte 15");
}

#[test]
fn a_usage_says_what_the_rest_is() {
    opens(48, b"NKabc", "NK=abc");
    opens(48, b"BC12375hello", "BC[1=123 2=7 3=hello]");
    opens(48, b"ZZanything", "ZZ=616E797468696E67");
    refuses(48, b"N", "48: needs 2 bytes at byte 0, 1 are left");
    refuses(48, b"BC12379hello", "48.BC.3: needs 9 bytes at byte 5, 5 are left");
}

#[test]
fn tags_of_fixed_size() {
    opens(57, b"AB003abcZZ001xAB000", "AB=abc ZZ=78 AB=");
    opens(57, b"QR00812393abc", "QR[1=123 2=9 3=abc]");
    refuses(57, b"AB0x3abc", "57: expected the digits of a length at byte 5");
    refuses(57, b"AB004abc", "57.AB: needs 4 bytes at byte 5, 3 are left");
    opens(63, b"\x03\x0A\x01\x02\x01\xFF", "0A=0102 FF=");
    refuses(63, b"\x00\x0A", "63: expected a length of at least 1, which its tag takes at byte 2");
}

#[test]
fn chip_data_is_kept_with_its_fillers_and_long_lengths() {
    let tags = [0x9F, 0x26, 0x02, 0xAA, 0xBB, 0x00, 0x82, 0x81, 0x01, 0x5C, 0x50, 0x02, b'O', b'K'];
    opens(55, &tags, "9F26=AABB 00= 82=5C 50=OK");
    let nested = [0x70, 0x05, 0x9F, 0x36, 0x02, 0x01, 0x02, 0xDF, 0x81, 0x01, 0x00];
    opens(55, &nested, "70[9F36=0102] DF8101=");
    refuses(55, &[0x9F], "55: expected a whole tag of up to four bytes at byte 0");
    refuses(55, &[0x82, 0x80], "55: expected a length in definite form at byte 1");
    refuses(55, &[0x70, 0x03, 0x82, 0x02, 0x01], "55.70.82: needs 2 bytes at byte 2, 1 are left");
    let mut deep = vec![0x82, 0x00];
    for _ in 0..10 {
        deep = [&[0x70, deep.len() as u8], &deep[..]].concat();
    }
    refuses(55, &deep, "55.70.70.70.70.70.70.70.70.70: parts stand within parts more than 8 deep");
}

#[test]
fn packed_digits_show_an_odd_one_by_its_pad() {
    let value = unhex("05123450 0071 4400000012 0312345F 0002 4142 1F".replace(' ', "").as_str()).unwrap();
    opens(62, &value, "1=12345 2=071 3=D00000012 4=12345 5=AB 6=1");
}

#[test]
fn data_sets_hold_tags_or_bytes() {
    opens(
        104,
        &unhex("0100049F360100 71 0002 0102".replace(' ', "").as_str()).unwrap(),
        "01[9F36=00] 71=0102",
    );
}

#[test]
fn what_has_no_place_is_named() {
    let dialect = dialect();
    let closing = |n, nodes: &[Node]| dialect.close(n, nodes).unwrap().unwrap_err().to_string();
    let mut nodes = dialect.open(60, b"22000001003").unwrap().unwrap();
    nodes.swap(0, 1);
    assert_eq!(closing(60, &nodes), "60.2: part 1 stands in its place");
    let of = |n, value: &[u8]| dialect.open(n, value).unwrap().unwrap();
    let chip = of(55, &[0x70, 0x03, 0x82, 0x01, 0x01]);
    assert_eq!(closing(57, &chip), "57.70: has no parts in this dialect");
    let mut long = of(57, b"AB003abc");
    long[0].inner = Inner::Value(Zeroizing::new(vec![b'a'; 101]));
    assert_eq!(closing(57, &long), "57.AB: has 101 units, the dialect allows at most 100");
    long[0].id = "ZZZ".to_owned();
    assert_eq!(closing(57, &long), "57.ZZZ: a tag has 2 characters");
    assert_eq!(closing(48, &[]), "48: one tag says what it holds, not 0");
    assert!(dialect.open(39, b"00").is_none() && !dialect.has_structure(39));
}

proptest! {
    #[test]
    fn any_bytes_open_or_are_refused_and_close_to_what_opens_the_same(
        n in prop::sample::select(vec![48u8, 54, 55, 57, 60, 62, 63, 104]),
        value in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..64),
            prop::collection::vec(prop::sample::select(b"\x00\x01\x02\x03\x0A\x70\x829036ABQR".to_vec()), 0..40),
            "[0-9]{0,20}".prop_map(String::into_bytes),
        ],
    ) {
        let dialect = dialect();
        if let Ok(nodes) = dialect.open(n, &value).unwrap() {
            let closed = dialect.close(n, &nodes).unwrap().unwrap();
            prop_assert_eq!(dialect.open(n, &closed).unwrap().unwrap(), nodes);
            // Pads and the case of hex are the only freedom there is.
            if n != 62 {
                prop_assert_eq!(closed.as_slice(), &value[..]);
            }
        }
    }
}

#[test]
fn unknown_and_repeated_tags_are_counted() {
    let nodes = dialect().open(57, b"AB003abcZZ001xAB000ZZ000").unwrap().unwrap();
    assert_eq!(unknown_and_repeated(&nodes), (2, 2));
}
