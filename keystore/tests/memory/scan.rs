//! Looks for secrets in the memory of a process, as a core dump or a debugger would find them: every mapping that can be
//! read, byte by byte. What is looked for is held masked, and what is read is masked word by word as it is compared: the
//! search must not find itself, nor what it has read.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Over every byte of what is looked for.
pub(crate) const MASK: u8 = 0xA5;
/// Enough that nothing else looks so: one wrong hit in 2^64 bytes and needles.
const PIECE_BYTES: usize = 8;

/// What is looked for, by its first bytes.
pub(crate) struct Needles {
    by_piece: HashMap<u64, Vec<(String, Vec<u8>)>>,
    /// Which first two bytes there are.
    begins: Vec<bool>,
}

/// A secret that was found.
pub(crate) struct Found {
    pub(crate) what: String,
    pub(crate) address: u64,
    pub(crate) mapping: String,
}

/// A range of addresses and what the system says of it.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) name: String,
    pub(crate) readable: bool,
    /// As in the line VmFlags: `lo` locked, `dd` in no dump, `dc` in no child.
    flags: String,
}

/// How much was looked at, and what was in it.
pub(crate) struct Scan {
    pub(crate) found: Vec<Found>,
    pub(crate) bytes: u64,
}

impl Needles {
    pub(crate) fn new() -> Needles {
        Needles { by_piece: HashMap::new(), begins: vec![false; 1 << 16] }
    }

    /// A masked key: each 8 bytes of it, also with other parity bits, with the bytes of its words turned round, and as
    /// hexadecimal.
    pub(crate) fn key(&mut self, name: &str, masked: &[u8]) {
        type Change = fn(u8) -> u8;
        let odd: Change = |byte| byte & 0xFE | u8::from((byte & 0xFE).count_ones() % 2 == 0);
        let changes: [(&str, Change); 4] = [
            ("", |byte| byte),
            ("odd parity", odd),
            ("no parity", |byte| byte & 0xFE),
            ("", |byte| byte | 1),
        ];
        for (n, piece) in masked.chunks_exact(PIECE_BYTES).enumerate() {
            for (change_name, change) in changes {
                let changed: Vec<u8> = piece.iter().map(|byte| change(byte ^ MASK) ^ MASK).collect();
                let words = |bytes: usize| -> Vec<u8> {
                    changed.chunks(bytes).flat_map(|word| word.iter().rev().copied()).collect()
                };
                let name = format!("{name}, bytes from {}, {change_name}", n * PIECE_BYTES);
                self.bytes(&format!("{name} as quadwords"), &words(8));
                self.bytes(&format!("{name} as words"), &words(4));
                for letters in [b'A', b'a'] {
                    self.bytes(&format!("{name} in hex"), &hex(&changed, letters));
                }
                self.bytes(&name, &changed);
            }
        }
    }

    /// Masked bytes as they are; at least eight.
    pub(crate) fn bytes(&mut self, name: &str, masked: &[u8]) {
        let piece = masked.first_chunk::<PIECE_BYTES>().expect("at least eight bytes are looked for");
        self.begins[usize::from(u16::from_le_bytes([piece[0], piece[1]]))] = true;
        let same = self.by_piece.entry(u64::from_le_bytes(*piece)).or_default();
        same.push((name.to_owned(), masked.to_vec()));
    }

    fn within(&self, bytes: &[u8]) -> Vec<(String, usize)> {
        let mut found = Vec::new();
        for at in 0..bytes.len().saturating_sub(PIECE_BYTES - 1) {
            let begin = u16::from_le_bytes([bytes[at], bytes[at + 1]]) ^ u16::from_le_bytes([MASK; 2]);
            if !self.begins[usize::from(begin)] {
                continue;
            }
            let piece = bytes[at..].first_chunk().map(|piece| u64::from_le_bytes(*piece));
            let piece = piece.map(|piece| piece ^ u64::from_le_bytes([MASK; PIECE_BYTES]));
            let is = |masked: &Vec<u8>| {
                bytes.len() - at >= masked.len()
                    && bytes[at..].iter().zip(masked).all(|(byte, masked)| byte ^ MASK == *masked)
            };
            let hits = piece.and_then(|piece| self.by_piece.get(&piece)).into_iter().flatten();
            found.extend(hits.filter(|(_, masked)| is(masked)).map(|(name, _)| (name.clone(), at)));
        }
        found
    }
}

impl Mapping {
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.split(' ').any(|one| one == flag)
    }

    /// Locked, in no dump and in no child: pages of the arena.
    pub(crate) fn is_arena(&self) -> bool {
        self.readable && ["lo", "dd", "dc"].iter().all(|flag| self.has(flag))
    }
}

/// The mappings of `process`, which is `self` or a number.
pub(crate) fn mappings(process: &str) -> io::Result<Vec<Mapping>> {
    let mut mappings: Vec<Mapping> = Vec::new();
    for line in std::fs::read_to_string(format!("/proc/{process}/smaps"))?.lines() {
        if let (Some(flags), Some(mapping)) = (line.strip_prefix("VmFlags:"), mappings.last_mut()) {
            flags.trim().clone_into(&mut mapping.flags);
        } else if let Some((start, end)) = range(line) {
            let mut words = line.split_ascii_whitespace().skip(1);
            let readable = words.next().is_some_and(|rights| rights.starts_with('r'));
            let name = words.skip(3).collect::<Vec<_>>().join(" ");
            mappings.push(Mapping { start, end, name, readable, flags: String::new() });
        }
    }
    Ok(mappings)
}

fn range(line: &str) -> Option<(u64, u64)> {
    let (start, end) = line.split(' ').next()?.split_once('-')?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}

/// Looks through every mapping but those that `skip` names.
///
/// # Errors
/// When the process may not be looked into.
pub(crate) fn scan(process: &str, needles: &Needles, skip: impl Fn(&Mapping) -> bool) -> io::Result<Scan> {
    const BUFFER_BYTES: usize = 256 * 1024;
    const OVERLAP_BYTES: usize = 64;
    let memory = File::open(format!("/proc/{process}/mem"))?;
    let mut scan = Scan { found: Vec::new(), bytes: 0 };
    let mut buffer = vec![0; BUFFER_BYTES];
    for mapping in mappings(process)?.iter().filter(|mapping| mapping.readable && !skip(mapping)) {
        let mut at = mapping.start;
        while at < mapping.end {
            let wanted = usize::try_from(mapping.end - at).unwrap_or(usize::MAX).min(BUFFER_BYTES);
            // What the kernel itself owns, and what went away meanwhile, cannot be read.
            let Ok(read @ 1..) = memory.read_at(&mut buffer[..wanted], at) else { break };
            scan.found.extend(needles.within(&buffer[..read]).into_iter().map(|(what, offset)| Found {
                what,
                address: at + offset as u64,
                mapping: mapping.name.clone(),
            }));
            scan.bytes += read as u64;
            let step =
                if at + (read as u64) < mapping.end { read.saturating_sub(OVERLAP_BYTES) } else { read };
            at += step.max(1) as u64;
        }
    }
    Ok(scan)
}

/// What was found, one in a line.
pub(crate) fn told(found: &[Found]) -> String {
    let line = |one: &Found| format!("{} at {:#x} in {:?}\n", one.what, one.address, one.mapping);
    found.iter().map(line).collect()
}

/// The masked bytes that spell masked bytes.
fn hex(masked: &[u8], letters: u8) -> Vec<u8> {
    let spelled = |nibble: u8| (if nibble < 10 { b'0' + nibble } else { letters + nibble - 10 }) ^ MASK;
    masked.iter().flat_map(|byte| [spelled((byte ^ MASK) >> 4), spelled((byte ^ MASK) & 0x0F)]).collect()
}
