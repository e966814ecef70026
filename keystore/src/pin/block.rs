//! PIN blocks: a clear PIN into an encrypted block, and back. One function for each way, one arm for each format.
//! The clear PIN lives on the stack of the caller and is wiped there; a block that fails says no more than that.

use super::format::{ClearPin, Filler, Pan, PinFormat};
use super::{EncryptedPin, PinError};
use crate::cipher::{Decipher, Encipher};
use crate::random;

/// Takes the PIN out of a block (ISO 9564-1 clause 9.3 for formats 0, 1 and 3; 9.4.2 for format 4, which is
/// deciphered twice with the PAN in between). The cipher is that of the format.
pub(super) fn open(
    decipher: &Decipher,
    format: PinFormat,
    pan: &Pan,
    block: &EncryptedPin,
) -> Result<ClearPin, PinError> {
    let bytes = block.as_bytes().len();
    if bytes != format.block_bytes() {
        let expected = if format.block_bytes() == 8 { "8 in this format" } else { "16 in this format" };
        return Err(PinError::BlockLength { bytes, expected });
    }
    // Wiped on drop like the block it came from.
    let mut clear = EncryptedPin { bytes: block.bytes, len: block.len };
    decipher.block(&mut clear.bytes[..bytes]);
    if format == PinFormat::Iso4 {
        xor(&mut clear.bytes, &pan.field_4());
        decipher.block(&mut clear.bytes);
    }
    let (field, rest) = halves(&mut clear.bytes);
    match format {
        PinFormat::Iso0 => {
            xor(field, &pan.field_0());
            ClearPin::from_field(field, 0x0, Filler::Always(0xF), 0)
        }
        PinFormat::Iso1 => ClearPin::from_field(field, 0x1, Filler::Any, 0),
        PinFormat::Iso3 => {
            xor(field, &pan.field_0());
            ClearPin::from_field(field, 0x3, Filler::Letters, 0)
        }
        PinFormat::Iso4 => ClearPin::from_field(field, 0x4, Filler::Always(0xA), 0),
        PinFormat::Sm4 => {
            xor(rest, &pan.field_0());
            let wrong = rest.iter().fold(0, |wrong, byte| wrong | !byte);
            ClearPin::from_field(field, 0x0, Filler::Always(0xF), wrong)
        }
    }
}

/// Puts the PIN into a block; formats 1, 3 and 4 with a random fill.
pub(super) fn seal(encipher: &Encipher, format: PinFormat, pan: &Pan, pin: &ClearPin) -> EncryptedPin {
    let mut fill = [0; 16];
    if matches!(format, PinFormat::Iso1 | PinFormat::Iso3 | PinFormat::Iso4) {
        random::fill(&mut fill);
    }
    seal_filled(encipher, format, pan, pin, &fill)
}

/// [`seal`] with the random bytes given: one for each nibble of formats 1 and 3, the right half for format 4.
pub(super) fn seal_filled(
    encipher: &Encipher,
    format: PinFormat,
    pan: &Pan,
    pin: &ClearPin,
    fill: &[u8; 16],
) -> EncryptedPin {
    let len = format.block_bytes();
    let mut out = EncryptedPin { bytes: [0; 16], len: if len == 8 { 8 } else { 16 } };
    let (field, rest) = halves(&mut out.bytes);
    match format {
        PinFormat::Iso0 => {
            pin.write_field(field, 0x0, Filler::Always(0xF), fill);
            xor(field, &pan.field_0());
        }
        PinFormat::Iso1 => pin.write_field(field, 0x1, Filler::Any, fill),
        PinFormat::Iso3 => {
            pin.write_field(field, 0x3, Filler::Letters, fill);
            xor(field, &pan.field_0());
        }
        PinFormat::Iso4 => {
            pin.write_field(field, 0x4, Filler::Always(0xA), fill);
            rest.copy_from_slice(&fill[8..]);
            encipher.block(&mut out.bytes);
            xor(&mut out.bytes, &pan.field_4());
        }
        PinFormat::Sm4 => {
            pin.write_field(field, 0x0, Filler::Always(0xF), fill);
            *rest = [0xFF; 8];
            xor(rest, &pan.field_0());
        }
    }
    encipher.block(&mut out.bytes[..len]);
    out
}

fn halves(block: &mut [u8; 16]) -> (&mut [u8; 8], &mut [u8; 8]) {
    let (left, right) = block.split_at_mut(8);
    (left.try_into().expect("half of 16"), right.try_into().expect("half of 16"))
}

fn xor(left: &mut [u8], right: &[u8]) {
    left.iter_mut().zip(right).for_each(|(left, right)| *left ^= right);
}
