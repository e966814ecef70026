//! Tags and lengths of BER-TLV (ISO/IEC 8825-1), as bytes.

/// The bytes of the tag at the front: one, or more where the first says so and as long as each says that another
/// follows. `None` if it is cut off or has more than four, which no scheme uses.
pub(super) fn tag(bytes: &[u8]) -> Option<&[u8]> {
    const TAG_BYTES_MAX: usize = 4;
    let first = bytes.first()?;
    if first & 0x1F != 0x1F {
        return bytes.get(..1);
    }
    let more = bytes.iter().skip(1).take(TAG_BYTES_MAX - 1).position(|byte| byte & 0x80 == 0)?;
    bytes.get(..more + 2)
}

/// True if what stands under the tag is more of the same.
pub(super) fn is_constructed(tag: &[u8]) -> bool {
    tag.first().is_some_and(|first| first & 0x20 != 0)
}

/// A length and the bytes it takes; `None` if it is cut off, indefinite, or longer than any field.
pub(super) fn length(bytes: &[u8]) -> Option<(usize, u8)> {
    let (&first, rest) = bytes.split_first()?;
    match first {
        0..=0x7F => Some((usize::from(first), 1)),
        0x81..=0x83 => {
            let count = first & 0x7F;
            let digits = rest.get(..usize::from(count))?;
            Some((digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), count + 1))
        }
        _ => None,
    }
}

/// Bytes of the shortest form.
pub(super) const fn length_bytes(length: usize) -> u8 {
    match length {
        0..=0x7F => 1,
        0x80..=0xFF => 2,
        0x100..=0xFFFF => 3,
        _ => 4,
    }
}

/// Writes a length in so many bytes, or in the shortest form if that is longer.
pub(super) fn write_length(length: usize, bytes: u8, out: &mut Vec<u8>) {
    let bytes = bytes.max(length_bytes(length)).min(4);
    if bytes > 1 {
        out.push(0x80 | (bytes - 1));
    }
    let digits = usize::from((bytes - 1).max(1));
    out.extend((0..digits).rev().map(|at| (length >> (8 * at)) as u8));
}
