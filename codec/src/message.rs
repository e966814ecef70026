//! A decoded message: a view of the payload through its layout, in canonical values.
//!
//! Canonical means: numbers as ASCII digits without pad, text as it is, binary as bytes, track data with `=`.
//! Nothing here allocates except the caller's buffers. A view over the wrong payload gives wrong or absent
//! values, never a panic.

use crate::decode::Layout;
use crate::dialect::Dialect;
use crate::ebcdic::Page;
use crate::fields::FieldSet;
use crate::mask::FieldMask;
use crate::mti::Mti;
use crate::secret::{Pan, PinBlock, Track2};
use crate::spec::{Content, Spec, Wire};
use crate::tlv::Tlv;
use std::fmt;

/// A decoded message.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    dialect: &'a Dialect,
    payload: &'a [u8],
    layout: &'a Layout,
}

/// Where one value stands.
struct Value<'a> {
    spec: &'a Spec,
    wire: &'a [u8],
    units: usize,
    start: usize,
}

/// So many digits fit into 64 bits whatever they are.
const DIGITS_OF_U64: usize = 19;

/// The track 2 equivalent, and the sequence number, in chip data (EMV book 3, annex A).
const TAG_TRACK2: u32 = 0x57;
const TAG_SEQUENCE: u32 = 0x5F34;

impl Dialect {
    /// The view of `payload` through the layout that [`Dialect::decode`] made of it.
    #[inline]
    pub fn message<'a>(&'a self, payload: &'a [u8], layout: &'a Layout) -> Message<'a> {
        Message { dialect: self, payload, layout }
    }
}

impl<'a> Message<'a> {
    /// The message type; 0000 after a decode that did not get that far.
    #[inline]
    pub fn mti(&self) -> Mti {
        self.layout.mti
    }

    /// True if field `n` is present.
    #[inline]
    pub fn has(&self, n: u8) -> bool {
        self.layout.present.has(n)
    }

    /// The numbers of all fields, ascending.
    pub fn fields(&self) -> impl Iterator<Item = u8> {
        self.layout.present.iter()
    }

    /// The same as a set.
    pub fn present(&self) -> FieldMask {
        self.layout.present
    }

    /// The dialect it was decoded by.
    pub fn dialect(&self) -> &'a Dialect {
        self.dialect
    }

    /// TPDU and header, as received; may be empty.
    pub fn header(&self) -> &'a [u8] {
        self.payload.get(..usize::from(self.layout.mti_at)).unwrap_or_default()
    }

    /// The value as it stands on the wire, without its length prefix.
    pub fn raw(&self, n: u8) -> Option<&'a [u8]> {
        Some(self.value(n)?.wire)
    }

    /// Appends the canonical value to `out`; false if the field is absent.
    pub fn copy(&self, n: u8, out: &mut Vec<u8>) -> bool {
        let Some(value) = self.value(n) else {
            return false;
        };
        let at = out.len();
        out.resize(at + value.len(), 0);
        value.expand(&mut out[at..]);
        true
    }

    /// A numeric field as an integer; `None` if absent, not of digits, or too large.
    pub fn number(&self, n: u8) -> Option<u64> {
        self.value(n)?.number()
    }

    /// The canonical value if it has exactly `N` bytes.
    pub fn digits<const N: usize>(&self, n: u8) -> Option<[u8; N]> {
        let value = self.value(n)?;
        let mut digits = [0; N];
        (value.len() == N).then(|| value.expand(&mut digits))?;
        Some(digits)
    }

    /// Writes the canonical value to the front of `buf` and returns its length; `None` if the field is absent or
    /// `buf` is too small.
    pub fn text(&self, n: u8, buf: &mut [u8]) -> Option<usize> {
        let value = self.value(n)?;
        let len = value.len();
        value.expand(buf.get_mut(..len)?);
        Some(len)
    }

    /// Copies the listed fields that are present to `out`, replacing what it holds of them.
    pub fn collect(&self, whitelist: &FieldMask, out: &mut FieldSet) {
        // Fields come in ascending order, so into an empty set each goes to the end, without a search.
        let mut last = out.last().unwrap_or(0);
        for n in self.layout.present.and(*whitelist).iter() {
            let Some(value) = self.value(n) else {
                continue;
            };
            if n > last && value.is_canonical() {
                out.push(n, value.wire);
                last = n;
            } else if n > last {
                out.push_with(n, value.len(), |place| value.expand(place));
                last = n;
            } else {
                out.set_with(n, value.len(), |place| value.expand(place));
            }
        }
    }

    /// The card number: F2, else F35 up to the separator, else tag 57 of the chip data.
    pub fn pan(&self) -> Option<Pan> {
        if self.has(2) {
            let mut digits = [0; Pan::DIGITS_MAX];
            let len = self.text(2, &mut digits)?;
            let pan = Pan::new(&digits[..len]);
            zeroize::Zeroize::zeroize(&mut digits);
            return pan;
        }
        self.track2()?.pan()
    }

    /// The expiry date YYMM: F14, else from track 2, else from tag 57.
    pub fn expiry(&self) -> Option<[u8; 4]> {
        self.digits(14).or_else(|| self.track2()?.expiry())
    }

    /// The card sequence number, three digits: F23, else tag 5F34.
    pub fn card_sequence(&self) -> Option<[u8; 3]> {
        self.digits(23).or_else(|| {
            let bcd = self.chip_tag(TAG_SEQUENCE)?.next()?;
            let digits = [b'0', b'0' + (bcd >> 4), b'0' + (bcd & 0xF)];
            digits.iter().all(u8::is_ascii_digit).then_some(digits)
        })
    }

    /// Track 2: F35, else tag 57 of the chip data.
    pub fn track2(&self) -> Option<Track2> {
        match self.value(35) {
            Some(value) => Track2::fill(value.len(), |place| value.expand(place)),
            None => Track2::from_nibbles(self.chip_tag(TAG_TRACK2)?),
        }
    }

    /// The encrypted PIN block of F52.
    pub fn pin_block(&self) -> Option<PinBlock> {
        self.digits(52).map(PinBlock::new)
    }

    /// Appends the value of an EMV tag of F55 to `out`; false if there is none.
    pub fn emv(&self, tag: u32, out: &mut Vec<u8>) -> bool {
        self.chip_tag(tag).map(|bytes| out.extend(bytes)).is_some()
    }

    /// The first field that the dialect demands for this message type and that is absent.
    pub fn missing(&self) -> Option<u8> {
        let mti = self.mti().without_repeat();
        let rows = self.dialect.demands.iter().filter(|row| row.mti == mti);
        let demanded = rows.fold(FieldMask::EMPTY, |sum, row| sum.or(row.mandatory));
        demanded.minus(self.layout.present).first()
    }

    /// The first field that the dialect does not allow in this message type and that is there.
    pub fn forbidden(&self) -> Option<u8> {
        let mti = self.mti().without_repeat();
        let rows = self.dialect.demands.iter().filter(|row| row.mti == mti);
        let forbidden = rows.fold(FieldMask::EMPTY, |sum, row| sum.or(row.forbidden));
        forbidden.and(self.layout.present).first()
    }

    /// The reject code in the header, where the dialect has one and it is not all zeros: the network gives the message
    /// back and did not process it.
    pub fn reject_code(&self) -> Option<&'a [u8]> {
        let [at, len] = self.dialect.header.reject?;
        let code = self.header().get(at..at + len)?;
        code.iter().any(|c| *c != b'0').then_some(code)
    }

    /// What the MAC is made over: the wire bytes from the message type up to the value of the MAC field.
    ///
    /// `None` without a MAC field, and also if fields follow the MAC: it would not cover them, and a MAC has to
    /// be the last field (ISO 8583:1987, fields 64 and 128).
    pub fn mac_input(&self) -> Option<&'a [u8]> {
        let value = self.mac_value()?;
        self.payload.get(usize::from(self.layout.mti_at)..value.start)
    }

    /// The MAC as eight bytes, whatever its form on the wire; `None` in the same cases as
    /// [`Message::mac_input`].
    pub fn mac(&self) -> Option<[u8; 8]> {
        let value = self.mac_value()?;
        let mut mac = [0; 8];
        (value.len() == mac.len()).then(|| value.expand(&mut mac))?;
        Some(mac)
    }

    /// `N` canonical bytes from position `at` of field `n`.
    pub(crate) fn part<const N: usize>(&self, n: u8, at: usize) -> Option<[u8; N]> {
        let value = self.value(n)?;
        let mut part = [0; N];
        for (i, place) in part.iter_mut().enumerate() {
            *place = value.canonical_byte(at + i)?;
        }
        Some(part)
    }

    /// The field with its length prefix, as it stands on the wire.
    pub(crate) fn wire(&self, n: u8) -> Option<&'a [u8]> {
        let value = self.value(n)?;
        let start = value.start.checked_sub(value.spec.prefix.bytes())?;
        self.payload.get(start..value.start + value.wire.len())
    }

    fn mac_value(&self) -> Option<Value<'a>> {
        let mac_field = if self.has(128) { 128 } else { 64 };
        let last = self.layout.present.last()?;
        if last == mac_field { self.value(mac_field) } else { None }
    }

    fn chip_tag(&self, tag: u32) -> Option<impl Iterator<Item = u8> + use<'a>> {
        let value = self.value(55)?;
        Tlv::new(value.wire, value.spec.wire == Wire::Hex).find(tag)
    }

    #[inline]
    fn value(&self, n: u8) -> Option<Value<'a>> {
        if !self.has(n) {
            return None;
        }
        let spec = self.dialect.spec(n)?;
        let slot = self.layout.slots.get(usize::from(n))?;
        let (start, units) = (usize::from(slot.start), usize::from(slot.units));
        let wire = self.payload.get(start..start + spec.wire_bytes(units))?;
        Some(Value { spec, wire, units, start })
    }
}

impl Value<'_> {
    #[inline]
    fn len(&self) -> usize {
        self.spec.canonical_bytes(self.units)
    }

    /// Whether it stands on the wire as it is.
    #[inline]
    fn is_canonical(&self) -> bool {
        self.spec.wire == Wire::Plain && self.spec.content != Content::Track
    }

    #[inline]
    fn expand(&self, place: &mut [u8]) {
        self.spec.expand(self.wire, place);
    }

    /// The value as an integer; `None` if empty, not of digits, or too large.
    #[inline]
    fn number(&self) -> Option<u64> {
        if self.spec.content == Content::Digits && (1..=DIGITS_OF_U64).contains(&self.units) {
            // Decode let nothing but digits in, and so many of them cannot overflow.
            let pair = |sum: u64, byte: &u8| sum * 100 + u64::from((byte >> 4) * 10 + (byte & 0xF));
            let digit = |sum: u64, byte: &u8| sum * 10 + u64::from(byte & 0xF);
            match self.spec.wire {
                Wire::Plain => return Some(self.wire.iter().fold(0, digit)),
                Wire::BcdPadRight | Wire::BcdPadLeft if self.units.is_multiple_of(2) => {
                    return Some(self.wire.iter().fold(0, pair));
                }
                _ => {}
            }
        }
        // 999 is the longest field; 20 digits are the most a u64 has.
        let mut digits = [0; 20];
        let digits = digits.get_mut(..self.len()).filter(|digits| !digits.is_empty())?;
        self.expand(digits);
        digits.iter().try_fold(0u64, |value, digit| {
            let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
            value.checked_mul(10)?.checked_add(u64::from(digit))
        })
    }

    /// One byte of the canonical value of a field that is text or digits.
    fn canonical_byte(&self, at: usize) -> Option<u8> {
        if at >= self.len() {
            return None;
        }
        let nibble = match self.spec.wire {
            Wire::Plain | Wire::Hex => return self.wire.get(at).copied(),
            Wire::EbcdicHex => return Some(Page::Cp037.to_ascii(*self.wire.get(at)?)),
            Wire::Ebcdic(page) => return Some(page.to_ascii(*self.wire.get(at)?)),
            // The sign has a byte of its own.
            Wire::BcdSigned if at == 0 => return self.wire.first().copied(),
            Wire::BcdSigned => at + 1 + (self.units + 1) % 2,
            Wire::BcdPadRight => at,
            Wire::BcdPadLeft => at + (self.units & 1),
        };
        let byte = self.wire.get(nibble / 2)?;
        Some(b'0' + if nibble & 1 == 0 { byte >> 4 } else { byte & 0xF })
    }
}

/// Names type and fields, no values.
impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.dialect.name(), self.mti(), self.layout.present)
    }
}
