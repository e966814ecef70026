//! The types of single fields: numbers, times, names, texts, and what must not be shown.
//!
//! Each is read once and is then right: a time is a time, a name is printable. Secret ones print their length alone.

use super::layout::{ReadError, Reader, TAG_MANDATORY, Wire, counted, is_iso};
#[cfg(test)]
use super::tests::Maker;
use crate::fields::FieldSet;
use crate::tlv;
use std::fmt;

/// The highest field number of ISO 8583, and so the highest tag that stands for one.
pub(super) const TAG_ISO_MAX: u16 = 128;

/// A number that can stand as a length.
pub(super) trait Counted {
    fn put(len: usize, out: &mut Vec<u8>);
    fn patch(mark: usize, len: usize, out: &mut [u8]);
}

macro_rules! numbers {
    ($($type:ident $bytes:literal,)*) => { $(
        impl<'a> Wire<'a> for $type {
            const SHAPE: &'static str = stringify!($type);
            const BYTES: Option<usize> = Some($bytes);

            fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ReadError> {
                Ok($type::from_be_bytes(reader.array(field)?))
            }

            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            #[cfg(test)]
            fn made(maker: &mut Maker<'a>) -> Self {
                $type::from_be_bytes(maker.array())
            }
        }

        impl Counted for $type {
            fn put(len: usize, out: &mut Vec<u8>) {
                let len = $type::try_from(len).expect("what we write fits its length field");
                out.extend_from_slice(&len.to_be_bytes());
            }

            fn patch(mark: usize, len: usize, out: &mut [u8]) {
                let len = $type::try_from(len).expect("what we write fits its length field");
                out[mark..mark + $bytes].copy_from_slice(&len.to_be_bytes());
            }
        }
    )* };
}

numbers! { u8 1, u16 2, u32 4, u64 8, }

impl<'a, const N: usize> Wire<'a> for [u8; N] {
    const SHAPE: &'static str = "bytes";
    const BYTES: Option<usize> = Some(N);

    fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ReadError> {
        reader.array(field)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    #[cfg(test)]
    fn made(maker: &mut Maker<'a>) -> Self {
        maker.array()
    }
}

/// A moment as a card and a SAM write it: seven bytes of BCD, YYYYMMDDhhmmss, local time UTC+8.
///
/// The bytes are kept because the card's TAC is made over them; they are known to be a moment that exists.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LocalTime([u8; 7]);

impl LocalTime {
    /// The moment of these BCD bytes; `None` if there is none such.
    pub fn new(bcd: [u8; 7]) -> Option<LocalTime> {
        let [_, _, month, day, hour, minute, second] = bcd.map(pair);
        let year = u32::from(pair(bcd[0])?) * 100 + u32::from(pair(bcd[1])?);
        let (month, day) = (month?, day?);
        (hour? < 24 && minute? < 60 && second? < 60 && is_day(year, month, day)).then_some(LocalTime(bcd))
    }

    /// The seven bytes.
    pub const fn bytes(&self) -> &[u8; 7] {
        &self.0
    }

    /// Seconds since 1970-01-01 00:00:00 UTC.
    pub fn seconds_utc(&self) -> i64 {
        let [century, year, month, day, hour, minute, second] =
            self.0.map(|byte| i64::from(byte >> 4) * 10 + i64::from(byte & 0xF));
        let days = days_since_1970(century * 100 + year, month, day);
        days * 86_400 + hour * 3600 + minute * 60 + second - 8 * 3600
    }
}

impl<'a> Wire<'a> for LocalTime {
    const SHAPE: &'static str = "time, BCD";
    const BYTES: Option<usize> = Some(7);

    fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ReadError> {
        let offset = reader.at();
        let bytes = reader.array(field)?;
        LocalTime::new(bytes).ok_or_else(|| reader.wrong(field, offset, "a moment YYYYMMDDhhmmss in BCD"))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    #[cfg(test)]
    fn made(maker: &mut Maker<'a>) -> Self {
        let [month, day, hour, minute] = maker.array();
        let bcd = |value: u8| ((value / 10) << 4) | (value % 10);
        let time = [
            0x20,
            bcd(minute % 100),
            bcd(1 + month % 12),
            bcd(1 + day % 28),
            bcd(hour % 24),
            bcd(minute % 60),
            0,
        ];
        LocalTime::new(time).unwrap()
    }
}

/// A day as a decimal number, 20261126 for 26 November 2026.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Date(u32);

impl Date {
    /// The day of this number; `None` if there is none such.
    pub fn new(number: u32) -> Option<Date> {
        let part = |value: u32| u8::try_from(value % 100).ok();
        is_day(number / 10_000, part(number / 100)?, part(number)?).then_some(Date(number))
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl<'a> Wire<'a> for Date {
    const SHAPE: &'static str = "date, u32";
    const BYTES: Option<usize> = Some(4);

    fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ReadError> {
        let offset = reader.at();
        let number = u32::from_be_bytes(reader.array(field)?);
        Date::new(number).ok_or_else(|| reader.wrong(field, offset, "a day YYYYMMDD"))
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }

    #[cfg(test)]
    fn made(maker: &mut Maker<'a>) -> Self {
        let [month, day, year] = maker.array().map(u32::from);
        Date::new((2000 + year % 100) * 10_000 + (1 + month % 12) * 100 + 1 + day % 28).unwrap()
    }
}

fn pair(byte: u8) -> Option<u8> {
    let (tens, ones) = (byte >> 4, byte & 0xF);
    (tens < 10 && ones < 10).then_some(tens * 10 + ones)
}

fn is_day(year: u32, month: u8, day: u8) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    (1970..=9999).contains(&year) && (1..=days).contains(&day)
}

/// Days in the Gregorian calendar, counted in years that begin with March.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let shifted = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + day_of_year - 719_468
}

/// Declares a type over borrowed bytes: how it is read, and which bytes it allows.
macro_rules! borrowed {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident: $shape:literal, $(length $length:ident,)? $min:literal..=$max:literal, $allowed:expr, $expected:literal, $shown:ident;
    )*) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub struct $name<'a>(&'a [u8]);

        impl<'a> $name<'a> {
            /// The value of these bytes; `None` if they are none, too few or too many.
            pub fn new(bytes: &'a [u8]) -> Option<$name<'a>> {
                let allowed: fn(&[u8]) -> bool = $allowed;
                (($min..=$max).contains(&bytes.len()) && allowed(bytes)).then_some($name(bytes))
            }

            /// The bytes.
            pub const fn bytes(&self) -> &'a [u8] {
                self.0
            }
        }

        impl<'a> Wire<'a> for $name<'a> {
            const SHAPE: &'static str = $shape;
            const BYTES: Option<usize> = None;

            fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ReadError> {
                let offset = reader.at();
                let bytes = borrowed!(@read reader, field $(, $length)?);
                $name::new(bytes).ok_or_else(|| reader.wrong(field, offset, $expected))
            }

            fn write(&self, out: &mut Vec<u8>) {
                $( $length::put(self.0.len(), out); )?
                out.extend_from_slice(self.0);
            }

            #[cfg(test)]
            fn made(maker: &mut Maker<'a>) -> Self {
                let bytes = maker.some($min, $max);
                let usual = [bytes, b"4111111111111111", b"\x9F\x27\x01\x40"];
                usual.into_iter().find_map($name::new).expect("one of them may stand in each")
            }
        }

        borrowed!(@debug $name $shown);
    )* };
    (@read $reader:ident, $field:ident) => { $reader.rest() };
    (@read $reader:ident, $field:ident, $length:ident) => {{
        let len = <$length as Wire>::read($reader, $field)?;
        $reader.take(len as usize, $field)?
    }};
    (@debug $name:ident text) => {
        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", String::from_utf8_lossy(self.0))
            }
        }
    };
    (@debug $name:ident length) => {
        /// Says how long it is, nothing more.
        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({} bytes)", stringify!($name), self.0.len())
            }
        }
    };
}

/// Track 1 and 2 as chip data have them (EMV book 3, annex A), and track 2 of a contactless card.
const TRACKS: [u32; 3] = [0x56, 0x57, 0x9F6B];

borrowed! {
    /// A name that may stand in logs and file names: 1 to 32 visible ASCII characters behind one byte of length.
    Name: "name", length u8, 1..=32, |bytes| bytes.iter().all(u8::is_ascii_graphic),
        "a name of 1 to 32 visible ASCII characters", text;
    /// A text for people: UTF-8 of at most 256 bytes, as the whole value of a tag.
    Text: "text", 0..=256, |bytes| std::str::from_utf8(bytes).is_ok(), "UTF-8 text of at most 256 bytes", text;
    /// An identifier that another system gave: 1 to 64 visible ASCII characters, as the whole value of a tag.
    Id: "id", 1..=64, |bytes| bytes.iter().all(u8::is_ascii_graphic), "1 to 64 visible ASCII characters", text;
    /// What belongs to a person: a name, an ID number, a code that is shown once. UTF-8 of 1 to 512 bytes, as the
    /// whole value of a tag.
    Secret: "secret text", 1..=512, |bytes| std::str::from_utf8(bytes).is_ok(), "UTF-8 text of 1 to 512 bytes", length;
    /// The number of a bank card or account: 8 to 32 ASCII digits behind one byte of length.
    Account: "digits", length u8, 8..=32, |bytes| bytes.iter().all(u8::is_ascii_digit), "8 to 32 digits", length;
    /// Bytes of another format, whole, behind two bytes of length: a QR code, chip data.
    Block: "block", length u16, 1..=2048, |_| true, "1 to 2,048 bytes", length;
    /// Chip data as in field 55, behind two bytes of length, well formed. No track may stand in it, at any depth.
    Chip: "block", length u16, 1..=2048, |bytes| tlv::is_without(bytes, &TRACKS),
        "1 to 2,048 bytes of whole BER-TLV objects without tags 56, 57 and 9F6B", length;
    /// Bytes of another format as the whole value of a tag.
    Raw: "bytes", 1..=2048, |_| true, "1 to 2,048 bytes", length;
}

/// Values by field number of ISO 8583: optional fields whose tags are the field numbers 2 to 128, ascending.
///
/// Values are canonical: text without filling, binary fields as bytes. They may be card data, so Debug names the
/// numbers alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// None.
    pub const EMPTY: Fields<'static> = Fields(&[]);

    /// Those that were written by [`Fields::push`].
    ///
    /// # Errors
    /// When a tag is out of order, or none of a field.
    pub fn new(bytes: &'a [u8]) -> Result<Fields<'a>, ReadError> {
        let mut reader = Reader::new(bytes, "fields");
        let fields = Fields::read(&mut reader, "fields")?;
        reader.end("fields")?;
        Ok(fields)
    }

    /// Appends one field to `out`; numbers must ascend.
    ///
    /// # Panics
    /// When `number` is not 2 to 128, or the value is longer than 65,535 bytes.
    pub fn push(number: u8, value: &[u8], out: &mut Vec<u8>) {
        assert!(is_iso(u16::from(number)), "fields are numbered 2 to 128");
        out.extend_from_slice(&u16::from(number).to_be_bytes());
        counted::<u16>(out, |out| out.extend_from_slice(value));
    }

    /// Numbers and values, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        let (mut reader, mut last) = (Reader::new(self.0, "fields"), 0);
        std::iter::from_fn(move || {
            let tlv = reader.tlv(&mut last).ok().flatten()?;
            Some((u8::try_from(tlv.number()).ok()?, tlv.bytes()))
        })
    }

    /// The value of field `number`.
    pub fn get(&self, number: u8) -> Option<&'a [u8]> {
        self.iter().find(|&(field, _)| field == number).map(|(_, value)| value)
    }

    /// The same fields as the switch keeps them.
    pub fn to_set(&self) -> FieldSet {
        let mut set = FieldSet::with_capacity(self.0.len());
        for (number, value) in self.iter() {
            set.set(number, value);
        }
        set
    }
}

impl<'a> Wire<'a> for Fields<'a> {
    const SHAPE: &'static str = "tags 0002 to 0080";
    const BYTES: Option<usize> = None;

    fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ReadError> {
        let offset = reader.at();
        let bytes = reader.tlvs_up_to(TAG_ISO_MAX)?;
        // A bitmap is no field, and nothing has the number 0.
        let first = bytes.first_chunk::<2>().map_or(2, |tag| u16::from_be_bytes(*tag) & !TAG_MANDATORY);
        if is_iso(first) {
            Ok(Fields(bytes))
        } else {
            Err(reader.wrong(field, offset, "a field number 2 to 128"))
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }

    #[cfg(test)]
    fn made(maker: &mut Maker<'a>) -> Self {
        maker.fields()
    }
}

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|(number, _)| number)).finish()
    }
}

#[cfg(test)]
impl<'a> Fields<'a> {
    pub(super) fn unchecked(bytes: &'a [u8]) -> Fields<'a> {
        Fields(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_moment_that_exists() {
        let time =
            |text: &str| LocalTime::new(crate::unhex(&text.replace(' ', "")).unwrap().try_into().unwrap());
        assert_eq!(time("20261126 080000").unwrap().seconds_utc(), 1_795_651_200);
        assert_eq!(time("19700101 080000").unwrap().seconds_utc(), 0);
        assert_eq!(time("20240229 235959").unwrap().seconds_utc(), 1_709_222_399);
        for wrong in
            ["20260229 000000", "20261301 000000", "20261126 240000", "20261126 006000", "20261126 0000A0"]
        {
            assert_eq!(time(wrong), None, "{wrong}");
        }
        assert_eq!(LocalTime::new([0; 7]), None);
    }

    #[test]
    fn a_date_is_a_day_that_exists() {
        assert_eq!(Date::new(20_261_126).map(Date::number), Some(20_261_126));
        for wrong in [0, 20_261_131, 20_261_301, 20_260_001, u32::MAX] {
            assert_eq!(Date::new(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn secrets_show_their_length_alone() {
        let shown =
            format!("{:?} {:?}", Account::new(b"6210000000000001").unwrap(), Secret::new(b"person").unwrap());
        assert_eq!(shown, "Account(16 bytes) Secret(6 bytes)");
        let mut bytes = Vec::new();
        Fields::push(2, b"6210000000000001", &mut bytes);
        assert_eq!(format!("{:?}", Fields::new(&bytes).unwrap()), "{2}");
    }

    #[test]
    fn chip_data_with_track_2_is_refused() {
        assert!(Chip::new(b"\x9F\x27\x01\x40").is_some());
        assert!(Chip::new(b"\x9F\x27\x01\x40\x57\x01\x62").is_none());
        assert!(Chip::new(b"").is_none());
        for track in ["70035701 62", "77057003570162", "5601 62", "9F6B0162", "E103DF0100 570162"] {
            let bytes = crate::unhex(&track.replace(' ', "")).unwrap();
            assert!(Chip::new(&bytes).is_none(), "{track}");
        }
        for malformed in
            [&b"\x9F\x27\x01"[..], b"\x70\x80\x57\x01\x62\0\0", b"\xFF\xFF\xFF", b"\x70\x02\x57\x01\x62"]
        {
            assert!(Chip::new(malformed).is_none(), "what cannot be looked through is not stored");
        }
        assert!(Chip::new(b"\x70\x04\x9F\x27\x01\x40\0\0").is_some());
    }

    #[test]
    fn fields_are_numbered_2_to_128_and_ascend() {
        let mut bytes = Vec::new();
        Fields::push(3, b"000000", &mut bytes);
        Fields::push(128, b"12345678", &mut bytes);
        let fields = Fields::new(&bytes).unwrap();
        assert_eq!((fields.get(3), fields.get(4)), (Some(&b"000000"[..]), None));
        assert_eq!(fields.to_set().get(128), Some(&b"12345678"[..]));
        for wrong in ["0001000101", "000000", "0003000100020001", "00810000", "0003000400"] {
            assert!(
                Fields::new(&crate::unhex(wrong).unwrap_or_default()).is_err() || wrong.len() % 2 == 1,
                "{wrong}"
            );
        }
    }
}
