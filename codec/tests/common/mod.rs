//! Golden messages, field by field: length prefix and value as they stand on the wire, and the canonical value.

#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(unreachable_pub, reason = "a module shared by test files")]

use std::sync::Arc;
use yika_codec::{Dialect, Mti, Part};

/// One message of one dialect.
pub struct Golden {
    pub dialect: &'static str,
    pub header: &'static str,
    pub mti: &'static str,
    pub mti_bytes: usize,
    pub bitmap: &'static [Bytes],
    pub rows: &'static [Row],
}

/// One field.
pub struct Row {
    pub n: u8,
    pub prefix: Bytes,
    pub wire: Bytes,
    pub value: Bytes,
}

/// Bytes as text or in hex.
pub enum Bytes {
    Text(&'static str),
    Hex(&'static str),
}
use Bytes::{Hex, Text};

/// A field of text without a prefix, whose canonical value is its wire value.
const fn text(n: u8, value: &'static str) -> Row {
    Row { n, prefix: Text(""), wire: Text(value), value: Text(value) }
}

/// The same behind a length of ASCII digits.
const fn long(n: u8, prefix: &'static str, value: &'static str) -> Row {
    Row { n, prefix: Text(prefix), wire: Text(value), value: Text(value) }
}

/// Bytes that stand as hex characters on the wire.
const fn hex_text(n: u8, prefix: &'static str, value: &'static str) -> Row {
    Row { n, prefix: Text(prefix), wire: Text(value), value: Hex(value) }
}

/// Digits that stand as BCD on the wire.
const fn bcd(n: u8, prefix: &'static str, wire: &'static str, value: &'static str) -> Row {
    Row { n, prefix: Hex(prefix), wire: Hex(wire), value: Text(value) }
}

/// Text or bytes behind a length in BCD.
const fn bytes(n: u8, prefix: &'static str, wire: &'static str) -> Row {
    Row { n, prefix: Hex(prefix), wire: Hex(wire), value: Hex(wire) }
}

/// A field of ASCII text without a prefix in the POS dialect.
const fn pos_text(n: u8, value: &'static str) -> Row {
    Row { n, prefix: Hex(""), wire: Text(value), value: Text(value) }
}

pub const ISO_PURCHASE: Golden = Golden {
    dialect: "iso87-ascii",
    header: "",
    mti: "0200",
    mti_bytes: 4,
    bitmap: &[Text("F23C46D1A8E19E10"), Text("0400004114000001")],
    rows: &[
        long(2, "16", "6222000000000018"),
        text(3, "000000"),
        text(4, "000000010000"),
        text(7, "0615123045"),
        text(11, "123456"),
        text(12, "123045"),
        text(13, "0615"),
        text(14, "3012"),
        text(18, "5311"),
        text(22, "051"),
        text(23, "001"),
        text(25, "00"),
        text(26, "12"),
        text(28, "C00000012"),
        long(32, "08", "06123456"),
        long(33, "11", "10000000001"),
        long(35, "29", "6222000000000018=301220100000"),
        text(37, "412345678901"),
        text(41, "TERM0001"),
        text(42, "MERCHANT0000001"),
        text(43, "TEST SHOP               CHONGQING    CN "),
        long(48, "018", "CP0012COUPON000001"),
        text(49, "156"),
        hex_text(52, "", "0123456789ABCDEF"),
        text(53, "2600000000000000"),
        long(54, "020", "0040156D000000001000"),
        hex_text(55, "034", "9F0206000000010000820220005F340101"),
        long(60, "008", "22000001"),
        text(70, "301"),
        text(90, "020012345606151230450000012345600000000000"),
        hex_text(96, "", "0011223344556677"),
        long(100, "11", "12345678901"),
        long(102, "16", "6222000000000018"),
        hex_text(128, "", "A1B2C3D4E5F60718"),
    ],
};

pub const POS_PURCHASE: Golden = Golden {
    dialect: "pos-bcd",
    header: "6000030000603100310100",
    mti: "0200",
    mti_bytes: 2,
    bitmap: &[Hex("302004C020C09811")],
    rows: &[
        bcd(3, "", "000000", "000000"),
        bcd(4, "", "000000000051", "000000000051"),
        bcd(11, "", "123456", "123456"),
        bcd(22, "", "0210", "021"),
        bcd(25, "", "00", "00"),
        bcd(26, "", "06", "06"),
        bcd(35, "32", "6222000000000018D312101120008439", "6222000000000018=312101120008439"),
        pos_text(41, "16688014"),
        pos_text(42, "000000000000001"),
        pos_text(49, "156"),
        bytes(52, "", "ACF46E73838A82F9"),
        bcd(53, "", "2600000000000000", "2600000000000000"),
        bcd(60, "0008", "22000001", "22000001"),
        pos_text(64, "8A9E91B8"),
    ],
};

/// Odd digits padded on either side, GBK text, chip data with a track in tag 57, a raw MAC.
pub const POS_CHIP_PURCHASE: Golden = Golden {
    dialect: "pos-bcd",
    header: "6000030001603200324017",
    mti: "0200",
    mti_bytes: 2,
    bitmap: &[Hex("7024068020E08211")],
    rows: &[
        bcd(2, "19", "62220000000000000120", "6222000000000000012"),
        bcd(3, "", "000000", "000000"),
        bcd(4, "", "000000010000", "000000010000"),
        bcd(11, "", "123456", "123456"),
        bcd(14, "", "3012", "3012"),
        bcd(22, "", "0510", "051"),
        bcd(23, "", "0001", "001"),
        bcd(25, "", "00", "00"),
        bcd(35, "25", "6222000000000000012D301220", "6222000000000000012=30122"),
        pos_text(41, "TERM0001"),
        pos_text(42, "MERCHANT0000001"),
        // "Chongqing" in GBK, filled up with blanks.
        bytes(43, "", "D6D8C7EC202020202020202020202020202020202020202020202020202020202020202020202020"),
        pos_text(49, "156"),
        bytes(55, "0028", "9F02060000000100005F340101570D6222000000000000012D30120F"),
        bcd(60, "0011", "220000010000", "22000001000"),
        bytes(64, "", "A1B2C3D4E5F60718"),
    ],
};

pub const POS_SIGN_ON_ANSWER: Golden = Golden {
    dialect: "pos-bcd",
    header: "6000000003603100310100",
    mti: "0810",
    mti_bytes: 2,
    bitmap: &[Hex("003800010AC00114")],
    rows: &[
        bcd(11, "", "123456", "123456"),
        bcd(12, "", "123045", "123045"),
        bcd(13, "", "0615", "0615"),
        bcd(32, "08", "06123456", "06123456"),
        pos_text(37, "412345678901"),
        pos_text(39, "00"),
        pos_text(41, "TERM0001"),
        pos_text(42, "MERCHANT0000001"),
        bytes(56, "0004", "D6D8C7EC"),
        bcd(60, "0011", "000000010040", "00000001004"),
        bytes(62, "0040", "0123456789ABCDEF0123456789ABCDEF01234567FEDCBA98765432100000000000000000FEDCBA98"),
    ],
};

pub fn all() -> [&'static Golden; 4] {
    [&ISO_PURCHASE, &POS_PURCHASE, &POS_CHIP_PURCHASE, &POS_SIGN_ON_ANSWER]
}

impl Golden {
    pub fn dialect(&self) -> Arc<Dialect> {
        Dialect::builtin(self.dialect).expect("a built-in dialect")
    }

    pub fn header(&self) -> Vec<u8> {
        hex(self.header)
    }

    pub fn mti(&self) -> Mti {
        let digits = self.mti.as_bytes().try_into().expect("four digits");
        Mti::from_digits(digits).expect("four digits")
    }

    pub fn wire(&self) -> Vec<u8> {
        let mti = if self.mti_bytes == 2 { hex(self.mti) } else { self.mti.into() };
        let bitmaps = self.bitmap.iter().flat_map(Bytes::get);
        let fields = self.rows.iter().flat_map(|row| [row.prefix.get(), row.wire.get()].concat());
        self.header().into_iter().chain(mti).chain(bitmaps).chain(fields).collect()
    }

    /// Each part of the message with its offset and length.
    pub fn parts(&self) -> Vec<(Part, usize, usize)> {
        let mut lengths = vec![(Part::Header, self.header().len()), (Part::Mti, self.mti_bytes)];
        lengths.extend(self.bitmap.iter().map(|half| (Part::Bitmap, half.get().len())));
        for row in self.rows {
            lengths.push((Part::Length(row.n), row.prefix.get().len()));
            lengths.push((Part::Field(row.n), row.wire.get().len()));
        }
        let mut start = 0;
        lengths
            .into_iter()
            .map(|(part, len)| {
                start += len;
                (part, start - len, len)
            })
            .collect()
    }
}

impl Row {
    pub fn wire(&self) -> Vec<u8> {
        self.wire.get()
    }

    pub fn value(&self) -> Vec<u8> {
        self.value.get()
    }
}

impl Bytes {
    fn get(&self) -> Vec<u8> {
        match self {
            Text(text) => text.as_bytes().to_vec(),
            Hex(digits) => hex(digits),
        }
    }
}

pub fn hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(pair, 16).expect("hex digits")
        })
        .collect()
}
