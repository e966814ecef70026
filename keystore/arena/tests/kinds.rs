//! What the system says of the pages: locked, in no dump, in no child, between guards; and in secret ones, not to be read.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use yika_arena::{Arena, ArenaKind, Held, Stay};

#[test]
fn the_system_agrees_on_what_the_pages_are() {
    let kind = Arena::start(ArenaKind::Secret).unwrap();
    let held = Held::<[u8; 32]>::new_with(Stay::Lasting, |bytes| bytes.fill(0x77)).unwrap();
    let address = held.as_ptr().addr();
    let flags = flags_of(address);
    for flag in ["lo", "dd", "dc"] {
        assert!(flags.split(' ').any(|one| one == flag), "{flag} in {flags:?} of {kind:?}");
    }
    let memory = File::open("/proc/self/mem").unwrap();
    let read = memory.read_exact_at(&mut [0; 32], address as u64);
    match kind {
        ArenaKind::Secret => assert!(read.is_err(), "secret pages were read through the kernel"),
        ArenaKind::Locked => assert!(read.is_ok()),
    }
    assert!(memory.read_exact_at(&mut [0; 1], guard_below(address)).is_err());
}

/// The flags of the mapping that holds an address.
fn flags_of(address: usize) -> String {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut inside = false;
    for line in smaps.lines() {
        if let Some((start, end)) = range(line) {
            inside = (start..end).contains(&address);
        } else if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| inside) {
            return flags.trim().to_owned();
        }
    }
    panic!("no mapping holds the value");
}

/// An address in the mapping below, which nobody may read.
fn guard_below(address: usize) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let own = maps.lines().filter_map(range).find(|(start, end)| (*start..*end).contains(&address)).unwrap();
    let below = maps.lines().find(|line| range(line).is_some_and(|(_, end)| end == own.0)).unwrap();
    assert!(below.contains(" ---"), "{below}");
    own.0 as u64 - 1
}

fn range(line: &str) -> Option<(usize, usize)> {
    let (start, end) = line.split(' ').next()?.split_once('-')?;
    Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
}
