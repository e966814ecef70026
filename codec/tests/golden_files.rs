//! Golden messages of the shipped dialects, in `tests/golden/`: what another implementation (the Python library
//! pyiso8583) writes for the same values, both ways, and every way to cut them short. Test cards only.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping it")]

use std::collections::BTreeMap;
use yika_codec::{Dialect, Draft, Inner, Layout, Mti, Node, hex, unhex, unknown_and_repeated};

const FILES: [&str; 6] = [
    include_str!("golden/iso87-binary.txt"),
    include_str!("golden/iso87-ebcdic.txt"),
    include_str!("golden/iso93-ascii.txt"),
    include_str!("golden/iso93-binary.txt"),
    include_str!("golden/iso2003-binary.txt"),
    include_str!("golden/cups-ascii.txt"),
];

struct Golden {
    dialect: String,
    mti: Mti,
    header: Vec<u8>,
    values: BTreeMap<u8, Vec<u8>>,
    wire: Vec<u8>,
}

fn golden(text: &str) -> Golden {
    let (head, wire) = text.split_once("\nwire\n").unwrap();
    let mut found = Golden {
        dialect: String::new(),
        mti: Mti::new(0),
        header: Vec::new(),
        values: BTreeMap::new(),
        wire: unhex(&wire.replace('\n', "")).unwrap(),
    };
    for line in head.lines().filter(|line| !line.starts_with('#')) {
        let (key, value) = line.split_once(' ').unwrap();
        match key {
            "dialect" => found.dialect = value.to_owned(),
            "mti" => found.mti = Mti::from_digits(value.as_bytes().try_into().unwrap()).unwrap(),
            "header" => found.header = unhex(value).unwrap(),
            n => {
                let bytes = value.strip_prefix("x:").map_or_else(|| value.into(), |hex| unhex(hex).unwrap());
                found.values.insert(n.parse().unwrap(), bytes);
            }
        }
    }
    found
}

#[test]
fn each_shipped_dialect_has_a_golden_message() {
    let mut named: Vec<String> = FILES.iter().map(|text| golden(text).dialect).collect();
    // Theirs stand in `common/mod.rs`, field by field.
    named.extend(["iso87-ascii", "pos-bcd"].map(str::to_owned));
    for name in Dialect::builtin_names() {
        assert!(named.iter().any(|golden| golden == name), "{name}");
    }
}

#[test]
fn what_another_implementation_wrote_is_read_and_written() {
    for golden in FILES.map(golden) {
        let dialect = Dialect::builtin(&golden.dialect).unwrap();
        let mut layout = Layout::default();
        dialect.decode(&golden.wire, &mut layout).unwrap();
        let message = dialect.message(&golden.wire, &layout);
        assert_eq!(message.mti(), golden.mti);
        assert_eq!((message.missing(), message.forbidden(), message.reject_code()), (None, None, None));
        let read = message.fields().map(|n| {
            let mut value = Vec::new();
            assert!(message.copy(n, &mut value));
            (n, value)
        });
        assert_eq!(read.collect::<BTreeMap<_, _>>(), golden.values, "{}", golden.dialect);
        let mut draft = Draft::new(golden.mti);
        draft.header(&golden.header);
        for (n, value) in &golden.values {
            draft.set(*n, value);
        }
        let mut out = Vec::new();
        let encoded = dialect.encode(&draft, &mut out).unwrap();
        assert_eq!(hex(&out), hex(&golden.wire), "{}", golden.dialect);
        assert_eq!(encoded.mac, Some(out.len() - message.raw(128).unwrap().len()..out.len()));
        for end in 0..golden.wire.len() {
            assert!(dialect.decode(&golden.wire[..end], &mut layout).is_err(), "cut at {end}");
        }
    }
}

/// Tags, values and parts of a field, in one line.
fn opened(golden: &Golden, n: u8) -> String {
    fn shown(nodes: &[Node]) -> String {
        let one = |node: &Node| match &node.inner {
            Inner::Parts(parts) => format!("{}[{}]", node.id, shown(parts)),
            Inner::Value(value) if node.is_text => format!("{}={}", node.id, String::from_utf8_lossy(value)),
            Inner::Value(value) => format!("{}={}", node.id, hex(value)),
        };
        nodes.iter().map(one).collect::<Vec<_>>().join(" ")
    }
    let dialect = Dialect::builtin(&golden.dialect).unwrap();
    let nodes = dialect.open(n, &golden.values[&n]).unwrap().unwrap();
    assert_eq!(*dialect.close(n, &nodes).unwrap().unwrap(), golden.values[&n], "closed again");
    shown(&nodes)
}

#[test]
fn the_inside_of_fields_is_what_the_published_layouts_say() {
    let [binary, _, ascii93, _, of2003, cups] = FILES.map(golden);
    let chip = "9F02=000000010000 82=2000 5F34=01";
    assert_eq!(opened(&binary, 55), chip);
    assert_eq!(opened(&binary, 90), "1=0200 2=123456 3=0615123045 4=00000123456 5=00000000000");
    assert_eq!(opened(&ascii93, 56), "1=1200 2=123456 3=260615123045 4=123456");
    assert_eq!(opened(&of2003, 4), "1=156 2=2 3=000000010000");
    assert_eq!(opened(&of2003, 104), "72=ABCD");
    assert_eq!(opened(&of2003, 21), "1=1 2=000000060000010 3=01 4=0000");
    assert_eq!(opened(&cups, 48), "ON=1234567890");
    assert_eq!(opened(&cups, 57), "AB=XYZ ZZ=6F6B");
    assert_eq!(opened(&cups, 60), "1=0000 2=0 3=5 4=0 5=0 6=03 7=0 8=0 9=01 10=0 11=000");
    let dialect = Dialect::builtin("cups-ascii").unwrap();
    let nodes = dialect.open(57, &cups.values[&57]).unwrap().unwrap();
    assert_eq!(unknown_and_repeated(&nodes), (1, 0));
}

#[test]
fn a_header_of_46_bytes_counts_its_message_and_may_give_it_back() {
    let golden = golden(FILES[5]);
    let dialect = Dialect::builtin("cups-ascii").unwrap();
    let mut layout = Layout::default();
    let mut reply = Vec::new();
    dialect.reply_header(&golden.header, &mut reply);
    assert_eq!(&reply[6..17], &golden.header[17..28]);
    assert_eq!(&reply[17..28], &golden.header[6..17]);
    let mut returned = golden.wire.clone();
    returned[41..46].copy_from_slice(b"00012");
    dialect.decode(&returned, &mut layout).unwrap();
    assert_eq!(dialect.message(&returned, &layout).reject_code(), Some(&b"00012"[..]));
    let mut wrong = golden.wire.clone();
    wrong[5] ^= 1;
    let error = dialect.decode(&wrong, &mut layout).unwrap_err().to_string();
    assert!(error.contains("header at byte 0: its length says "), "{error}");
    wrong[5] = b'x';
    let error = dialect.decode(&wrong, &mut layout).unwrap_err().to_string();
    assert!(error.contains("its length says no number"), "{error}");
    wrong[0] = 0x2F;
    let error = dialect.decode(&wrong, &mut layout).unwrap_err().to_string();
    assert!(error.contains("first byte of this dialect's header, found byte 0x2f"), "{error}");
}
