//! Walking BER-TLV chip data in place (EMV book 3, annex B), whether it stands as bytes or as hex text.
//!
//! Hostile data ends the walk; it never reads past the field, and each step moves forward.

/// Chip data as it stands on the wire.
pub(crate) struct Tlv<'a> {
    wire: &'a [u8],
    hex: bool,
}

impl<'a> Tlv<'a> {
    pub(crate) fn new(wire: &'a [u8], hex: bool) -> Tlv<'a> {
        Tlv { wire, hex }
    }

    /// The bytes of the first value under `tag` at the top level; `None` if it is not there or the data before
    /// it is malformed.
    pub(crate) fn find(self, tag: u32) -> Option<impl Iterator<Item = u8> + use<'a>> {
        let mut at = 0;
        loop {
            let (found, after_tag) = self.tag(at)?;
            let (len, start) = self.length(after_tag)?;
            let end = start.checked_add(len).filter(|&end| end <= self.len())?;
            if found == tag {
                return Some((start..end).filter_map(move |at| self.byte(at)));
            }
            at = end;
        }
    }

    fn tag(&self, mut at: usize) -> Option<(u32, usize)> {
        // Zero bytes may stand between objects as filling (EMV book 3, annex B).
        while self.byte(at)? == 0 {
            at += 1;
        }
        let mut tag = u32::from(self.byte(at)?);
        at += 1;
        if tag & 0x1F == 0x1F {
            // Tags of EMV have at most three bytes; the fourth is more than any scheme uses.
            for _ in 0..3 {
                let byte = self.byte(at)?;
                at += 1;
                tag = tag << 8 | u32::from(byte);
                if byte & 0x80 == 0 {
                    return Some((tag, at));
                }
            }
            return None;
        }
        Some((tag, at))
    }

    fn length(&self, at: usize) -> Option<(usize, usize)> {
        let byte = |i| self.byte(at + i).map(usize::from);
        match byte(0)? {
            short @ 0..=0x7F => Some((short, at + 1)),
            0x81 => Some((byte(1)?, at + 2)),
            0x82 => Some((byte(1)? << 8 | byte(2)?, at + 3)),
            // A field holds at most 999 bytes, so a longer length is as wrong as the indefinite one.
            _ => None,
        }
    }

    fn len(&self) -> usize {
        if self.hex { self.wire.len() / 2 } else { self.wire.len() }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        if !self.hex {
            return self.wire.get(at).copied();
        }
        let pair = self.wire.get(2 * at..2 * at + 2)?;
        Some(crate::convert::nibble(pair[0]) << 4 | crate::convert::nibble(pair[1]))
    }
}

/// Templates in templates that are looked through; more than EMV has.
const DEPTH_MAX: u32 = 8;

/// True if the bytes are whole objects, and none of these tags is among them or inside of them.
pub(crate) fn is_without(bytes: &[u8], tags: &[u32]) -> bool {
    is_without_at(bytes, tags, DEPTH_MAX)
}

fn is_without_at(bytes: &[u8], tags: &[u32], depth: u32) -> bool {
    let objects = Tlv::new(bytes, false);
    let mut at = 0;
    while bytes.get(at..).is_some_and(|rest| rest.iter().any(|byte| *byte != 0)) {
        let Some((tag, after_tag)) = objects.tag(at) else { return false };
        let Some((len, start)) = objects.length(after_tag) else { return false };
        let Some(value) = start.checked_add(len).and_then(|end| bytes.get(start..end)) else { return false };
        // Bit 6 of the first byte of a tag (ISO/IEC 8825-1).
        let first = tag >> (24 - tag.leading_zeros() / 8 * 8);
        let constructed = first & 0x20 != 0;
        if tags.contains(&tag) || constructed && (depth == 0 || !is_without_at(value, tags, depth - 1)) {
            return false;
        }
        at = start + len;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(data: &[u8], tag: u32) -> Option<Vec<u8>> {
        let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
        let of_bytes = Tlv::new(data, false).find(tag).map(|value| value.collect::<Vec<_>>());
        let of_hex = Tlv::new(hex.as_bytes(), true).find(tag).map(|value| value.collect::<Vec<_>>());
        assert_eq!(of_bytes, of_hex);
        of_bytes
    }

    #[test]
    fn finds_tags_of_one_and_two_bytes() {
        let data = b"\x9F\x02\x02\x01\x00\0\0\x5F\x34\x01\x01\x57\x81\x03\x62\x2D\x3F\x82\x00";
        assert_eq!(find(data, 0x9F02), Some(vec![1, 0]));
        assert_eq!(find(data, 0x5F34), Some(vec![1]));
        assert_eq!(find(data, 0x57), Some(vec![0x62, 0x2D, 0x3F]));
        assert_eq!(find(data, 0x82), Some(vec![]));
        assert_eq!(find(data, 0x95), None);
    }

    #[test]
    fn malformed_data_ends_the_walk() {
        for data in
            [&b"\x57"[..], b"\x57\x02\x62", b"\x57\x80\x62", b"\x57\x82\x01", b"\x9F", b"\x9F\xFF\xFF\xFF"]
        {
            assert_eq!(find(data, 0x57), None, "{data:x?}");
        }
        assert_eq!(find(b"\x95\x05\x00\x57\x01\x62", 0x57), None);
    }

    proptest! {
        #[test]
        fn never_panics(data in prop::collection::vec(any::<u8>(), 0..64), tag in any::<u16>()) {
            find(&data, u32::from(tag));
        }
    }
}
