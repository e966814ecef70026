//! The values that stand in the journal: their bytes there, and what is refused when they come back damaged.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use yika_codec::{Code, FieldSet, Kind, Mti};

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Stored {
    mti: Mti,
    kind: Kind,
    code: Code,
    fields: FieldSet,
}

fn stored() -> Stored {
    let mut fields = FieldSet::new();
    fields.set(4, b"100");
    Stored { mti: Mti::new(0x0200), kind: Kind::Purchase, code: Code::new(*b"A0"), fields }
}

/// 0x0200 as a variable-length number, the kind by position, two characters, six bytes.
const GOLDEN: &[u8] = b"\x80\x04\x01\x02A0\x06\x04\x03\x00100";

#[test]
fn golden_bytes_both_ways() {
    assert_eq!(postcard::to_stdvec(&stored()).unwrap(), GOLDEN);
    assert_eq!(postcard::from_bytes::<Stored>(GOLDEN).unwrap(), stored());
    let text = serde_json::to_string(&stored()).unwrap();
    assert_eq!(text, r#"{"mti":512,"kind":"purchase","code":"A0","fields":[4,3,0,49,48,48]}"#);
    assert_eq!(serde_json::from_str::<Stored>(&text).unwrap(), stored());
}

#[test]
fn damaged_values_are_refused() {
    fn refused<T: DeserializeOwned>(bytes: &[u8]) -> bool {
        postcard::from_bytes::<T>(bytes).is_err()
    }
    // A nibble above nine; a blank in a code, one character, three; fields out of order; a record cut off.
    assert!(refused::<Mti>(&[0x80, 0x14]));
    assert!(refused::<Code>(b"\x02A ") && refused::<Code>(b"\x01A") && refused::<Code>(b"\x03A00"));
    assert!(refused::<FieldSet>(b"\x06\x04\x00\x00\x03\x00\x00"));
    assert!(refused::<FieldSet>(b"\x04\x04\x02\x001"));
    assert!(refused::<Kind>(&[0x7F]));
    assert!(serde_json::from_str::<FieldSet>("[4,3,0,49]").is_err());
    assert!(serde_json::from_str::<FieldSet>("\"text\"").is_err());
}

/// The journal stores kinds by position: a kind may be added at the end, never in between.
#[test]
fn kinds_keep_their_positions() {
    let positions: Vec<_> = Kind::ALL.iter().map(|kind| postcard::to_stdvec(kind).unwrap()).collect();
    assert!(positions.iter().enumerate().all(|(i, bytes)| bytes[..] == [i as u8]));
    let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    let first = [
        "authorization",
        "purchase",
        "cash",
        "pre-authorization",
        "pre-auth-cancel",
        "completion",
        "completion-cancel",
        "void",
        "refund",
        "balance",
        "authorization-advice",
        "purchase-advice",
        "completion-advice",
        "reversal",
        "sign-on",
        "sign-off",
        "echo",
        "key-change",
        "cut-over",
    ];
    assert_eq!(names[..first.len()], first);
}
