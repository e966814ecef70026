//! Loads keys of known value, does everything with them, and looks for them in the process's memory while they are still
//! in use: outside of the arena there must be no trace of a key, a PIN or a clear PIN block.
//!
//! Keys come as components, which are the caller's to wipe; the keys themselves stand here masked alone. Then secrets are
//! left behind on purpose, and have to be found.

mod keys;
pub(crate) mod scan;
mod work;

use scan::{MASK, Needles, mappings, scan};
use std::hint::black_box;
use yika_arena::{Arena, ArenaKind};

/// Runs the whole on an arena of this kind. One call in a process.
pub(crate) fn no_secret_is_outside_the_arena(wanted: ArenaKind) {
    let kind = Arena::start(wanted).expect("an arena");
    if kind != wanted {
        println!("the kernel has no memfd_secret: tried with {kind:?} pages");
    }
    let needles = keys::needles();
    let folder = tempfile::tempdir().expect("a folder");
    let waiting = work::everything(folder.path());
    assert!(waiting.count() > 50);

    let arena: Vec<_> = mappings("self").expect("our own").into_iter().filter(|one| one.is_arena()).collect();
    let arena_bytes: u64 = arena.iter().map(|one| one.end - one.start).sum();
    assert_eq!(
        arena_bytes,
        Arena::usage().locked_bytes as u64,
        "the arena is locked, in no dump, in no child"
    );
    let memory = std::fs::File::open("/proc/self/mem").expect("our own");
    for mapping in &arena {
        let read = std::os::unix::fs::FileExt::read_at(&memory, &mut [0; 1], mapping.start);
        assert_eq!(read.is_ok(), kind == ArenaKind::Locked, "{mapping:?} of {kind:?}");
    }

    let clean = scan("self", &needles, scan::Mapping::is_arena).expect("our own");
    assert!(clean.bytes > 1 << 20, "only {} bytes were looked at", clean.bytes);
    assert!(clean.found.is_empty(), "{}", scan::told(&clean.found));

    for (name, masked) in keys::samples() {
        let leaked: Vec<u8> = masked.iter().map(|byte| byte ^ MASK).collect();
        black_box(&leaked);
        let dirty = scan("self", &needles, scan::Mapping::is_arena).expect("our own");
        assert!(dirty.found.iter().any(|one| one.what.starts_with(&name)), "{name} was left, and not found");
        drop(wiped(leaked));
    }
    freed_memory_is_looked_at(&needles);
    waiting.end();
}

fn freed_memory_is_looked_at(needles: &Needles) {
    let (name, masked) = keys::samples().remove(0);
    // Many, as the search itself is the next to use what was freed; each between two that stay.
    let copy = || -> Vec<u8> { masked.iter().cycle().take(1000).map(|byte| byte ^ MASK).collect() };
    let blocks: Vec<(Vec<u8>, Vec<u8>)> = (0..200).map(|n| (copy(), vec![n; 1000])).collect();
    let stay: Vec<Vec<u8>> = black_box(blocks).into_iter().map(|(_, stays)| stays).collect();
    let dirty = scan("self", needles, scan::Mapping::is_arena).expect("our own");
    assert!(dirty.found.iter().any(|one| one.what.starts_with(&name)), "a freed copy was not found");
    drop(black_box(stay));
}

fn wiped(mut bytes: Vec<u8>) -> Vec<u8> {
    zeroize::Zeroize::zeroize(bytes.as_mut_slice());
    bytes
}
