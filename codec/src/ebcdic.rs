//! EBCDIC: the printable characters of ASCII in code pages 037 and 1047 (IBM character data representation
//! architecture). Both agree but for three characters. Everything else, letters with accents among it, has no ASCII
//! and is refused where text is checked.

/// A code page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Page {
    Cp037,
    Cp1047,
}

impl Page {
    /// The ASCII character of this byte; 0 if it has none that is printable.
    #[inline]
    pub(crate) const fn to_ascii(self, byte: u8) -> u8 {
        match self {
            Page::Cp037 => CP037.ascii[byte as usize],
            Page::Cp1047 => CP1047.ascii[byte as usize],
        }
    }

    /// The byte of this ASCII character; 0 if it is not printable.
    #[inline]
    pub(crate) const fn of_ascii(self, c: u8) -> u8 {
        match self {
            Page::Cp037 => CP037.ebcdic[c as usize],
            Page::Cp1047 => CP1047.ebcdic[c as usize],
        }
    }

    /// True if all bytes are printable characters that `good` lets in.
    pub(crate) fn all(self, bytes: &[u8], good: impl Fn(u8) -> bool) -> bool {
        bytes.iter().all(|&byte| {
            let c = self.to_ascii(byte);
            c != 0 && good(c)
        })
    }
}

struct Table {
    ascii: [u8; 256],
    ebcdic: [u8; 256],
}

/// Runs of characters that stand side by side in both codes: first of ASCII, first of EBCDIC, how many.
const RUNS: [(u8, u8, u8); 10] = [
    (b'0', 0xF0, 10),
    (b'A', 0xC1, 9),
    (b'J', 0xD1, 9),
    (b'S', 0xE2, 8),
    (b'a', 0x81, 9),
    (b'j', 0x91, 9),
    (b's', 0xA2, 8),
    (b' ', 0x40, 1),
    (b'-', 0x60, 1),
    (b'.', 0x4B, 1),
];

const SINGLES: [(u8, u8); 27] = [
    (b'!', 0x5A),
    (b'"', 0x7F),
    (b'#', 0x7B),
    (b'$', 0x5B),
    (b'%', 0x6C),
    (b'&', 0x50),
    (b'\'', 0x7D),
    (b'(', 0x4D),
    (b')', 0x5D),
    (b'*', 0x5C),
    (b'+', 0x4E),
    (b',', 0x6B),
    (b'/', 0x61),
    (b':', 0x7A),
    (b';', 0x5E),
    (b'<', 0x4C),
    (b'=', 0x7E),
    (b'>', 0x6E),
    (b'?', 0x6F),
    (b'@', 0x7C),
    (b'\\', 0xE0),
    (b'_', 0x6D),
    (b'`', 0x79),
    (b'{', 0xC0),
    (b'|', 0x4F),
    (b'}', 0xD0),
    (b'~', 0xA1),
];

const CP037: Table = table([(b'[', 0xBA), (b']', 0xBB), (b'^', 0xB0)]);
const CP1047: Table = table([(b'[', 0xAD), (b']', 0xBD), (b'^', 0x5F)]);

const fn table(own: [(u8, u8); 3]) -> Table {
    let mut table = Table { ascii: [0; 256], ebcdic: [0; 256] };
    let mut i = 0;
    while i < RUNS.len() {
        let (ascii, ebcdic, count) = RUNS[i];
        let mut k = 0;
        while k < count {
            table = put(table, ascii + k, ebcdic + k);
            k += 1;
        }
        i += 1;
    }
    i = 0;
    while i < SINGLES.len() {
        table = put(table, SINGLES[i].0, SINGLES[i].1);
        i += 1;
    }
    i = 0;
    while i < own.len() {
        table = put(table, own[i].0, own[i].1);
        i += 1;
    }
    table
}

const fn put(mut table: Table, ascii: u8, ebcdic: u8) -> Table {
    table.ascii[ebcdic as usize] = ascii;
    table.ebcdic[ascii as usize] = ebcdic;
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_printable_character_has_a_byte_of_its_own() {
        for page in [Page::Cp037, Page::Cp1047] {
            for c in 0..=255u8 {
                let byte = page.of_ascii(c);
                assert_eq!(byte != 0, matches!(c, b' '..=b'~'), "{c:#x}");
                assert!(byte == 0 || page.to_ascii(byte) == c, "{c:#x}");
            }
            let known = (0..=255u8).filter(|byte| page.to_ascii(*byte) != 0).count();
            assert_eq!(known, 95);
        }
    }

    #[test]
    fn the_pages_differ_in_brackets_and_caret() {
        let differ: Vec<u8> =
            (b' '..=b'~').filter(|c| Page::Cp037.of_ascii(*c) != Page::Cp1047.of_ascii(*c)).collect();
        assert_eq!(differ, b"[]^");
        let text = |page: Page| b"A1z [^]".map(|c| page.of_ascii(c));
        assert_eq!(text(Page::Cp037), [0xC1, 0xF1, 0xA9, 0x40, 0xBA, 0xB0, 0xBB]);
        assert_eq!(text(Page::Cp1047), [0xC1, 0xF1, 0xA9, 0x40, 0xAD, 0x5F, 0xBD]);
    }
}
