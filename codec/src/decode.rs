//! Decode: from a payload to the place of each field in it.
//!
//! Promises: allocates nothing, copies no value, reads each byte about once, and lets nothing in that a field
//! of the dialect may not hold. Whatever the bytes, it ends with a layout or with an error that names field and
//! offset.

mod error;

pub use error::{At, DecodeError, Part};

use crate::check;
use crate::convert::u64_of_hex;
use crate::dialect::{BitmapWire, Dialect, MtiWire, SPECS, TOTAL_DIGITS, ThirdBitmap};
use crate::ebcdic::Page;
use crate::mask::FieldMask;
use crate::mti::Mti;
use crate::spec::{Prefix, Spec};

/// Where the fields of one decoded message stand; 800 bytes, no heap, to be used again for the next message.
///
/// After an error it holds what came before the fault, so that a refusal can carry the trace number.
#[derive(Clone, Debug)]
pub struct Layout {
    pub(crate) mti: Mti,
    pub(crate) mti_at: u16,
    pub(crate) present: FieldMask,
    pub(crate) slots: [Slot; SPECS],
}

/// Where the value of one field stands, and its length in units (see `spec`).
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Slot {
    pub(crate) start: u16,
    pub(crate) units: u16,
}

impl Default for Layout {
    fn default() -> Layout {
        Layout { mti: NO_MTI, mti_at: 0, present: FieldMask::EMPTY, slots: [Slot::default(); SPECS] }
    }
}

const NO_MTI: Mti = Mti::new(0);

impl Dialect {
    /// Finds the fields of `payload`, one whole message with its header, and writes their places to `layout`.
    ///
    /// # Errors
    /// If the payload is no message of this dialect; `layout` then holds the fields before the fault.
    pub fn decode(&self, payload: &[u8], layout: &mut Layout) -> Result<(), DecodeError> {
        let mut walk = Walk { dialect: self, payload, offset: 0, below: 0 };
        (layout.mti, layout.mti_at, layout.present) = (NO_MTI, 0, FieldMask::EMPTY);
        // Offsets are kept in 16 bits; the check here makes every narrowing below exact.
        if payload.len() > usize::from(u16::MAX) {
            return Err(walk.too_long());
        }
        walk.header().ok_or_else(|| walk.why_not_header())?;
        layout.mti_at = walk.offset as u16;
        layout.mti = walk.mti().ok_or_else(|| walk.why_not_mti())?;
        let primary = walk.bitmap().ok_or_else(|| walk.why_not_bitmap())?;
        let left = if primary & ANOTHER == 0 {
            walk.part(primary, 0, layout)
        } else {
            walk.longer(primary & !ANOTHER, layout)?
        };
        if left == 0 && walk.offset == payload.len() {
            return Ok(());
        }
        Err(walk.why_stopped(left))
    }
}

/// Bit 1 of a bitmap says that another one follows (ISO 8583:1987, bit map; bit 65 in later editions).
const ANOTHER: u64 = 1 << 63;

/// One pass over a payload. Each step moves on and returns something, or stays and returns nothing; what is
/// wrong is then found out from where it stands.
struct Walk<'a> {
    dialect: &'a Dialect,
    payload: &'a [u8],
    offset: usize,
    /// The last field of the bitmaps before the one whose fields are taken.
    below: u8,
}

impl<'a> Walk<'a> {
    #[inline]
    fn header(&mut self) -> Option<()> {
        let ours = self.dialect.default_header();
        let header = self.rest().get(..ours.len())?;
        let rules = &self.dialect.header;
        if rules.has_mark() && header.first() != ours.first() {
            return None;
        }
        if let Some(at) = rules.total_at
            && header_total(header, at) != Some(self.payload.len())
        {
            return None;
        }
        self.offset += ours.len();
        Some(())
    }

    #[inline]
    fn mti(&mut self) -> Option<Mti> {
        let mti = match self.dialect.mti {
            MtiWire::Ascii => Mti::from_digits(*self.rest().first_chunk()?)?,
            MtiWire::Bcd => Mti::from_bcd(u16::from_be_bytes(*self.rest().first_chunk()?))?,
            // Digits are the same in all pages.
            MtiWire::Ebcdic => {
                Mti::from_digits(self.rest().first_chunk()?.map(|byte: u8| byte.wrapping_sub(0xF0 - b'0')))?
            }
        };
        self.offset += self.dialect.mti.bytes();
        Some(mti)
    }

    /// The bits of 64 fields, the lowest number topmost.
    #[inline]
    fn bitmap(&mut self) -> Option<u64> {
        let bits = match self.dialect.bitmap {
            BitmapWire::Binary => u64::from_be_bytes(*self.rest().first_chunk()?),
            BitmapWire::Hex => u64_of_hex(self.rest().first_chunk()?)?,
            BitmapWire::EbcdicHex => {
                u64_of_hex(&self.rest().first_chunk()?.map(|byte| Page::Cp037.to_ascii(byte)))?
            }
        };
        self.offset += self.dialect.bitmap.bytes();
        Some(bits)
    }

    /// The fields of a message with more than one bitmap, given the bits of the first. Returns what
    /// [`Walk::fields`] returns where it stopped.
    fn longer(&mut self, primary: u64, layout: &mut Layout) -> Result<u64, DecodeError> {
        if self.dialect.field_max() <= 64 {
            return Err(self.unknown_field(1));
        }
        let mut secondary = self.bitmap().ok_or_else(|| self.why_not_bitmap())?;
        let third = if secondary & ANOTHER == 0 { ThirdBitmap::None } else { self.dialect.third };
        let mut tertiary = 0;
        if third == ThirdBitmap::Contiguous {
            tertiary = self.bitmap().ok_or_else(|| self.why_not_bitmap())?;
        }
        let left = self.part(primary, 0, layout);
        if left != 0 {
            return Ok(left);
        }
        if third == ThirdBitmap::Field65 {
            tertiary = self.bitmap().ok_or_else(|| self.why_not_bitmap())?;
        }
        if third != ThirdBitmap::None {
            secondary &= !ANOTHER;
        }
        let left = self.part(secondary, 64, layout);
        if left != 0 {
            return Ok(left);
        }
        Ok(self.part(tertiary, 128, layout))
    }

    /// [`Walk::fields`], which are then present in `layout`.
    #[inline]
    fn part(&mut self, bits: u64, below: u8, layout: &mut Layout) -> u64 {
        self.below = below;
        let left = self.fields(bits, below, layout);
        let mut words = layout.present.words();
        words[usize::from(below / 64)] = bits & !left;
        layout.present = FieldMask::from_words(words);
        left
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
    fn why_stopped(&mut self, left: u64) -> DecodeError {
        if left == 0 {
            return self.trailing(self.payload.len().saturating_sub(self.offset));
        }
        self.why_not_field(self.below + 1 + left.leading_zeros() as u8)
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.payload.get(self.offset..).unwrap_or_default()
    }
}

/// Header and message in bytes, as four ASCII digits in the header say.
fn header_total(header: &[u8], at: usize) -> Option<usize> {
    let digits = header.get(at..)?.get(..TOTAL_DIGITS)?;
    digits.iter().try_fold(0, |sum, c| {
        let digit = c.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        Some(sum * 10 + usize::from(digit))
    })
}

/// The value of one field that begins, with its prefix, at `offset`, and where it ends.
#[inline]
fn field(payload: &[u8], offset: usize, spec: &Spec) -> Option<(Slot, usize)> {
    let (units, start) = match spec.prefix {
        Prefix::Fixed => (usize::from(spec.units_max), offset),
        prefix => {
            let counted = prefix.read(payload.get(offset..)?)?;
            let start = offset + prefix.bytes();
            // Only what counts bytes has to look at the value for its length.
            let rest = if spec.counts_bytes { payload.get(start..)? } else { &[] };
            (spec.units_counted(counted, rest)?, start)
        }
    };
    let end = start + spec.wire_bytes(units);
    let value = payload.get(start..end)?;
    let good = units <= usize::from(spec.units_max) && check::wire(spec.check, value, units);
    good.then_some((Slot { start: start as u16, units: units as u16 }, end))
}
