//! Decode: from a payload to the place of each field in it.
//!
//! Promises: allocates nothing, copies no value, reads each byte about once, and lets nothing in that a field
//! of the dialect may not hold. Whatever the bytes, it ends with a layout or with an error that names field and
//! offset.

mod error;

pub use error::{At, DecodeError, Part};

use crate::check;
use crate::convert::u64_of_hex;
use crate::dialect::{BitmapWire, Dialect, MtiWire};
use crate::mask::FieldMask;
use crate::mti::Mti;
use crate::spec::{Prefix, Spec};

/// Where the fields of one decoded message stand; 600 bytes, no heap, to be used again for the next message.
///
/// After an error it holds what came before the fault, so that a refusal can carry the trace number.
#[derive(Clone, Debug)]
pub struct Layout {
    pub(crate) mti: Mti,
    pub(crate) mti_at: u16,
    pub(crate) present: FieldMask,
    pub(crate) slots: [Slot; 129],
}

/// Where the value of one field stands, and its length in units (see `spec`).
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Slot {
    pub(crate) start: u16,
    pub(crate) units: u16,
}

impl Default for Layout {
    fn default() -> Layout {
        Layout { mti: NO_MTI, mti_at: 0, present: FieldMask::EMPTY, slots: [Slot::default(); 129] }
    }
}

const NO_MTI: Mti = Mti::new(0);

impl Dialect {
    /// Finds the fields of `payload`, one whole message with its header, and writes their places to `layout`.
    ///
    /// # Errors
    /// If the payload is no message of this dialect; `layout` then holds the fields before the fault.
    pub fn decode(&self, payload: &[u8], layout: &mut Layout) -> Result<(), DecodeError> {
        let mut walk = Walk { dialect: self, payload, offset: 0 };
        (layout.mti, layout.mti_at, layout.present) = (NO_MTI, 0, FieldMask::EMPTY);
        // Offsets are kept in 16 bits; the check here makes every narrowing below exact.
        if payload.len() > usize::from(u16::MAX) {
            return Err(walk.too_long());
        }
        walk.header().ok_or_else(|| walk.why_not_header())?;
        layout.mti_at = walk.offset as u16;
        layout.mti = walk.mti().ok_or_else(|| walk.why_not_mti())?;
        let primary = walk.bitmap().ok_or_else(|| walk.why_not_bitmap())?;
        let mut secondary = 0;
        // In ISO 8583 bit 1 says that a second bitmap follows.
        if primary >> 63 == 1 {
            if self.field_max() <= 64 {
                return Err(walk.unknown_field(1));
            }
            secondary = walk.bitmap().ok_or_else(|| walk.why_not_bitmap())?;
        }
        let primary = primary & !(1 << 63);
        let left = walk.fields(primary, 0, layout);
        layout.present = FieldMask::from_halves(primary & !left, 0);
        if left == 0 {
            let left = walk.fields(secondary, 64, layout);
            layout.present = FieldMask::from_halves(primary, secondary & !left);
            if left == 0 && walk.offset == payload.len() {
                return Ok(());
            }
            return Err(walk.why_stopped(left, 64));
        }
        Err(walk.why_stopped(left, 0))
    }
}

/// One pass over a payload. Each step moves on and returns something, or stays and returns nothing; what is
/// wrong is then found out from where it stands.
struct Walk<'a> {
    dialect: &'a Dialect,
    payload: &'a [u8],
    offset: usize,
}

impl<'a> Walk<'a> {
    #[inline]
    fn header(&mut self) -> Option<()> {
        let ours = self.dialect.default_header();
        let header = self.rest().get(..ours.len())?;
        // The first byte of a TPDU says what it is; the rest are addresses and versions.
        if self.dialect.header.tpdu && header.first() != ours.first() {
            return None;
        }
        self.offset += ours.len();
        Some(())
    }

    #[inline]
    fn mti(&mut self) -> Option<Mti> {
        let (mti, bytes) = match self.dialect.mti {
            MtiWire::Ascii => (Mti::from_digits(*self.rest().first_chunk()?)?, 4),
            MtiWire::Bcd => (Mti::from_bcd(u16::from_be_bytes(*self.rest().first_chunk()?))?, 2),
        };
        self.offset += bytes;
        Some(mti)
    }

    /// The bits of 64 fields, the lowest number topmost.
    #[inline]
    fn bitmap(&mut self) -> Option<u64> {
        let (bits, bytes) = match self.dialect.bitmap {
            BitmapWire::Binary => (u64::from_be_bytes(*self.rest().first_chunk()?), 8),
            BitmapWire::Hex => (u64_of_hex(self.rest().first_chunk()?)?, 16),
        };
        self.offset += bytes;
        Some(bits)
    }

    /// Takes one field after the other; `bits` are those of fields `below + 1` to `below + 64`. Returns the bits
    /// that are left at the first field that does not fit, or 0.
    #[inline]
    fn fields(&mut self, bits: u64, below: u8, layout: &mut Layout) -> u64 {
        let mut left = bits;
        let mut offset = self.offset;
        while left != 0 {
            let lead = left.leading_zeros();
            let n = usize::from(below) + 1 + lead as usize;
            let taken =
                self.dialect.specs.get(n).and_then(|spec| field(self.payload, offset, spec.as_ref()?));
            let (Some((slot, end)), Some(place)) = (taken, layout.slots.get_mut(n)) else {
                break;
            };
            *place = slot;
            offset = end;
            left &= !(1 << 63 >> lead);
        }
        self.offset = offset;
        left
    }

    #[cold]
    fn why_stopped(&mut self, left: u64, below: u8) -> DecodeError {
        if left == 0 {
            return self.trailing(self.payload.len().saturating_sub(self.offset));
        }
        self.why_not_field(below + 1 + left.leading_zeros() as u8)
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.payload.get(self.offset..).unwrap_or_default()
    }
}

/// The value of one field that begins, with its prefix, at `offset`, and where it ends.
#[inline]
fn field(payload: &[u8], offset: usize, spec: &Spec) -> Option<(Slot, usize)> {
    let (units, start) = match spec.prefix {
        Prefix::Fixed => (usize::from(spec.units_max), offset),
        prefix => (prefix.read(payload.get(offset..)?)?, offset + prefix.bytes()),
    };
    let end = start + spec.wire_bytes(units);
    let value = payload.get(start..end)?;
    let good = units <= usize::from(spec.units_max) && check::wire(spec.check, value, units);
    good.then_some((Slot { start: start as u16, units: units as u16 }, end))
}
