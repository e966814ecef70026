//! The field classes of jPOS by name: `IFA_LLNUM`, `IFB_BINARY`, `IFEPE_LLCHAR`, ...
//!
//! The first letters say how length and value are written (A: ASCII, B: binary and BCD, E: EBCDIC), the `L`s how many digits
//! the length has, the rest what the value is. What a class writes that a dialect cannot say becomes the nearest that it can,
//! with a sentence; what has no near form is refused with one.

use super::model::{Encoding, Kind, Length, Numeral, Row, Side, Size, Tagged};

/// What a class makes of a field.
pub(super) enum Class {
    /// A row, and what is different about it.
    Row(Row, Option<&'static str>),
    /// A tag, a length and text in front of a part.
    Tagged(Tagged, Row, Tags),
    /// No bytes at all.
    Nothing,
    /// None that a dialect can say, or that is known.
    Unlike(&'static str),
}

/// Where the tags of tagged parts come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tags {
    /// The number of the part, as many digits as the tag has.
    Number,
    /// The same in EBCDIC.
    EbcdicNumber,
    /// Java code that is not in the file.
    Mapper,
}

/// How a family of classes writes.
struct Family {
    lengths: Numeral,
    digits: Encoding,
    text: Encoding,
    /// Bytes of fixed length.
    bytes: Encoding,
}

const fn family(name: &[u8]) -> Option<Family> {
    let (lengths, digits, text, bytes) = match name {
        b"IFA" => (Numeral::Ascii, Encoding::Ascii, Encoding::Ascii, Encoding::Hex),
        b"IFB" => (Numeral::Bcd, Encoding::Bcd, Encoding::Ascii, Encoding::Binary),
        b"IFE" => (Numeral::Ebcdic, Encoding::Ebcdic037, Encoding::Ebcdic037, Encoding::EbcdicHex),
        b"IFAE" => (Numeral::Ascii, Encoding::Ebcdic037, Encoding::Ebcdic037, Encoding::EbcdicHex),
        b"IFEA" => (Numeral::Ebcdic, Encoding::Ascii, Encoding::Ascii, Encoding::Hex),
        b"IFEB" => (Numeral::Ebcdic, Encoding::Bcd, Encoding::Ascii, Encoding::Binary),
        _ => return None,
    };
    Some(Family { lengths, digits, text, bytes })
}

const UNKNOWN: &str = "the class is not known here: left out; give the field a row by hand";
const TOKEN: &str = "a value that ends with a token has no length that a dialect can say: left out";

/// The class of this name, without its package, in a field of `length`; `pad_left` is what `pad` says.
pub(super) fn of(name: &str, length: u32, pad_left: bool) -> Class {
    let Some((family_name, rest)) = name.split_once('_') else { return Class::Unlike(UNKNOWN) };
    match (family_name, rest) {
        ("IF", "CHAR") => return plain(Kind::Ans, Size::Fixed(length), Encoding::Ascii),
        ("IF", "ECHAR") => return plain(Kind::Ans, Size::Fixed(length), Encoding::Ebcdic037),
        ("IF", "NOP" | "UNUSED") => return Class::Nothing,
        ("IF", rest) if rest.starts_with('T') || rest == "FSTBINARY" => return Class::Unlike(TOKEN),
        ("IFEP" | "IFEPE" | "IFMC" | "IFEMC" | "IFIPM", _) => return numbered(family_name, rest, length),
        ("IFA", _) if rest.starts_with("TT") => return mapped(rest, length),
        _ => {}
    }
    let Some(family) = family(family_name.as_bytes()) else { return Class::Unlike(UNKNOWN) };
    if let Some(rest) = rest.strip_prefix('F').filter(|rest| rest.starts_with('L')) {
        let (digits, kind) = letters(rest);
        return filled(family_name, &family, digits, kind, length, pad_left);
    }
    match letters(rest) {
        (0, kind) => fixed(family_name, &family, kind, length, pad_left),
        (digits, kind) => variable(family_name, &family, digits, kind, length, pad_left),
    }
}

fn plain(kind: Kind, size: Size, encoding: Encoding) -> Class {
    Class::Row(Row::new(kind, size, encoding), None)
}

/// How many `L`s, and what stands behind them.
fn letters(rest: &str) -> (u8, &str) {
    let kind = rest.trim_start_matches('L');
    (u8::try_from(rest.len() - kind.len()).unwrap_or(u8::MAX), kind)
}

/// The side of an odd digit; only BCD has one.
fn side(encoding: Encoding, pad_left: bool) -> Option<Side> {
    let side = if pad_left { Side::Left } else { Side::Right };
    (encoding == Encoding::Bcd).then_some(side)
}

fn fixed(family_name: &str, family: &Family, kind: &str, length: u32, pad_left: bool) -> Class {
    const FILLED_F: &str = "an odd digit is written with a nibble of 0, where jPOS writes F; either is read";
    const SIGN_IN_DIGIT: &str = "the sign stands in the last digit, and a dialect has no such numbers: text now, sign and digit as one character";
    let digits = |encoding, pad| {
        let row = Row::new(Kind::N, Size::Fixed(length), encoding);
        Row { pad: side(encoding, pad), ..row }
    };
    match (family_name, kind) {
        (_, "NUMERIC" | "AMOUNT2003") => Class::Row(digits(family.digits, pad_left), None),
        ("IFB", "FNUMERIC") => Class::Row(digits(Encoding::Bcd, pad_left), odd(length, FILLED_F)),
        ("IFE", "SIGNED_NUMERIC") => {
            Class::Row(Row::new(Kind::Ans, Size::Fixed(length), family.text), Some(SIGN_IN_DIGIT))
        }
        (_, "CHAR") => plain(Kind::Ans, Size::Fixed(length), family.text),
        (_, "AMOUNT") => plain(Kind::XN, Size::Fixed(length), family.digits),
        (_, "BINARY") => plain(Kind::B, Size::Fixed(length), family.bytes),
        ("IFB", "HEX") => plain(Kind::B, Size::Fixed(length.div_ceil(2)), Encoding::Binary),
        _ => Class::Unlike(UNKNOWN),
    }
}

fn odd(length: u32, what: &'static str) -> Option<&'static str> {
    (length % 2 == 1).then_some(what)
}

fn variable(
    family_name: &str,
    family: &Family,
    digits: u8,
    kind: &str,
    length: u32,
    pad_left: bool,
) -> Class {
    const EVEN: &str = "jPOS writes the length of an odd number as if it were even, here it is the number of digits: \
                        ask whether the other side counts the filler";
    const NIBBLES: &str = "its length counts nibbles of bytes, which a dialect cannot say: left out";
    const TRANSLATED: &str = "bytes that jPOS translates to EBCDIC: text now";
    let sized = |kind, encoding, length_form| {
        Row::new(kind, Size::Variable { max: length, length: length_form }, encoding)
    };
    if kind == "HEX" || kind == "HHEX" {
        return Class::Unlike(NIBBLES);
    }
    let (numeral, digits, kind) = match kind.strip_prefix('H') {
        // One byte for LL, two for LLL and more.
        Some(kind) if family_name == "IFB" => (Numeral::Binary, if digits <= 2 { 2 } else { 4 }, kind),
        _ => (family.lengths, digits, kind),
    };
    let usual = Length::new(digits, numeral);
    match (family_name, kind) {
        ("IFEB", "NUM") => {
            let row = sized(Kind::N, Encoding::Bcd, Length::of_bytes(digits, numeral));
            Class::Row(Row { pad: Some(Side::Right), ..row }, None)
        }
        (_, "NUM") => {
            let row = sized(Kind::N, family.digits, usual);
            Class::Row(Row { pad: side(family.digits, pad_left), ..row }, None)
        }
        ("IFA", "BNUM") => {
            let row = sized(Kind::N, Encoding::Bcd, usual);
            Class::Row(Row { pad: side(Encoding::Bcd, pad_left), ..row }, Some(EVEN))
        }
        (_, "CHAR") => Class::Row(sized(Kind::Ans, family.text, usual), None),
        ("IFB", "ECHAR") => Class::Row(sized(Kind::Ans, Encoding::Ebcdic037, usual), None),
        (_, "BINARY") => Class::Row(sized(Kind::B, Encoding::Binary, usual), None),
        (_, "ABINARY") => Class::Row(sized(Kind::B, Encoding::Hex, Length::of_bytes(digits, numeral)), None),
        ("IFE", "EBINARY") => Class::Row(sized(Kind::Ans, family.text, usual), Some(TRANSLATED)),
        ("IFB", "FBINARY") if numeral == Numeral::Binary => filled_bytes(length),
        _ => Class::Unlike(UNKNOWN),
    }
}

const FILLED: &str = "a length in front and filled up to a fixed size, which a dialect cannot say: one value of fixed length \
                      now, its length in front and its filling behind";

fn filled_bytes(length: u32) -> Class {
    Class::Row(Row::new(Kind::B, Size::Fixed(length.saturating_add(1)), Encoding::Binary), Some(FILLED))
}

/// `F` in front: of BCD a nibble of F behind an odd digit, of ASCII a value that is filled up.
fn filled(family_name: &str, family: &Family, digits: u8, kind: &str, length: u32, pad_left: bool) -> Class {
    const NIBBLE: &str = "an odd digit is written with a nibble of 0, where jPOS writes F; either is read";
    match (family_name, kind) {
        ("IFB", "NUM") => {
            let size = Size::Variable { max: length, length: Length::new(digits, family.lengths) };
            let row = Row { pad: side(Encoding::Bcd, pad_left), ..Row::new(Kind::N, size, Encoding::Bcd) };
            Class::Row(row, (!pad_left).then_some(NIBBLE))
        }
        ("IFA", "NUM" | "CHAR") => {
            let size = Size::Fixed(length.saturating_add(u32::from(digits)));
            Class::Row(Row::new(Kind::Ans, size, Encoding::Ascii), Some(FILLED))
        }
        _ => Class::Unlike(UNKNOWN),
    }
}

/// Parts whose tag is their number: Europay puts the length first and counts the tag with it.
fn numbered(family_name: &str, rest: &str, length: u32) -> Class {
    let (digits, "CHAR") = letters(rest) else { return Class::Unlike(UNKNOWN) };
    if !(1..=6).contains(&digits) {
        return Class::Unlike(UNKNOWN);
    }
    let usual = Tagged {
        tag_bytes: 2,
        tag_is_text: true,
        digits,
        numeral: Numeral::Ascii,
        length_first: false,
        covers_tag: false,
    };
    let (tagged, text, tags) = match family_name {
        "IFEP" => (Tagged { length_first: true, covers_tag: true, ..usual }, Encoding::Ascii, Tags::Number),
        "IFMC" => (usual, Encoding::Ascii, Tags::Number),
        "IFIPM" => (Tagged { tag_bytes: 4, ..usual }, Encoding::Ascii, Tags::Number),
        "IFEMC" => (Tagged { numeral: Numeral::Ebcdic, ..usual }, Encoding::Ebcdic037, Tags::Number),
        _ => {
            let tagged = Tagged { numeral: Numeral::Ebcdic, tag_is_text: false, ..usual };
            (tagged, Encoding::Ebcdic037, Tags::EbcdicNumber)
        }
    };
    Class::Tagged(tagged, Row::new(Kind::Ans, Size::UpTo(length), text), tags)
}

/// `TTLLCHAR`: a tag of so many characters, then a length.
fn mapped(rest: &str, length: u32) -> Class {
    let behind = rest.trim_start_matches('T');
    let tag_bytes = u8::try_from(rest.len() - behind.len()).unwrap_or(u8::MAX);
    let (digits, kind) = letters(behind);
    let (kind, encoding) = match kind {
        "CHAR" => (Kind::Ans, Encoding::Ascii),
        "BINARY" => (Kind::B, Encoding::Binary),
        _ => return Class::Unlike(UNKNOWN),
    };
    if !(1..=8).contains(&tag_bytes) || !(1..=6).contains(&digits) {
        return Class::Unlike(UNKNOWN);
    }
    let tagged = Tagged {
        tag_bytes,
        tag_is_text: true,
        digits,
        numeral: Numeral::Ascii,
        length_first: false,
        covers_tag: false,
    };
    Class::Tagged(tagged, Row::new(kind, Size::UpTo(length), encoding), Tags::Mapper)
}
