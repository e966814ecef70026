//! The one arena of a process: which kind of pages it has, how they become slots, and where it ends.

use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::pages::{self, CHUNK_BYTES, Refused, Slot};
use crate::slab::{Slab, Stay};

/// What keeps others from the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArenaKind {
    /// `memfd_secret`: out of the kernel's own map of memory, unreadable through `/proc/PID/mem` and to other processes.
    Secret,
    /// Private pages, locked into memory and left out of core dumps. Whoever may read the process's memory reads them.
    Locked,
}

/// How full the arena is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArenaUsage {
    /// Bytes of slots in use.
    pub held_bytes: usize,
    /// Bytes taken from the system, guard pages not counted.
    pub locked_bytes: usize,
}

/// Why a secret has no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArenaError {
    /// The process may not lock more memory.
    #[error(
        "no more memory can be locked for keys ({locked_kib} KiB are): raise the limit on locked memory, now {limit_kib} KiB (`ulimit -l`, or LimitMEMLOCK= of the service)"
    )]
    Limit {
        /// What the arena has.
        locked_kib: usize,
        /// What the process may lock in all; `u64::MAX` when there is no limit.
        limit_kib: u64,
    },
    /// The arena is as large as it may ever be.
    #[error("the memory for keys is full: {bytes_max} bytes are the most it takes; open fewer keys")]
    Full {
        /// Its limit.
        bytes_max: usize,
    },
    /// The system gives no such pages.
    #[error("cannot {what}: {}", std::io::Error::from_raw_os_error(*code))]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's error number.
        code: i32,
    },
}

/// Memory for secrets. There is one in a process; it begins with the first secret, or with [`Arena::start`].
pub struct Arena {
    kind: ArenaKind,
    chunks_max: usize,
    slabs: [Mutex<Slab<Slot>>; CLASSES.len()],
    room: Mutex<Room>,
}

/// Bytes of slots, powers of two: a key, a DES schedule, one of TDES or AES, one of three-part TDES, one of AES-GCM.
const CLASSES: [usize; 6] = [32, 64, 128, 256, 512, 1024];
pub(crate) const SLOT_BYTES_MAX: usize = CLASSES[CLASSES.len() - 1];
/// A chunk is dealt out to the slabs in such parts.
const SPAN_BYTES: usize = 4096;
/// 256 MiB: half a million schedules, more than any limit on locked memory that is not "unlimited".
const CHUNKS_MAX: usize = 256 * 1024 * 1024 / CHUNK_BYTES;

static ARENA: OnceLock<Result<Arena, ArenaError>> = OnceLock::new();

/// What is not yet dealt out.
struct Room {
    chunks: usize,
    spans: Vec<Slot>,
}

impl Arena {
    /// Begins the arena with pages of this kind, to have its errors at start and not with the first key. Without
    /// `memfd_secret` in the kernel, `Secret` becomes `Locked`. Gives the kind it has, also when it had begun before.
    ///
    /// # Errors
    /// When the first pages cannot be had.
    pub fn start(wanted: ArenaKind) -> Result<ArenaKind, ArenaError> {
        let arena = ARENA.get_or_init(|| {
            let secret = wanted == ArenaKind::Secret && pages::has_secret();
            Arena::new(if secret { ArenaKind::Secret } else { ArenaKind::Locked }, CHUNKS_MAX)
        });
        arena.as_ref().map(|arena| arena.kind).map_err(|error| *error)
    }

    /// The kind of pages in use; begins the arena.
    ///
    /// # Errors
    /// As [`Arena::start`].
    pub fn kind() -> Result<ArenaKind, ArenaError> {
        Arena::start(ArenaKind::Secret)
    }

    /// How full it is; zeros before it began.
    #[must_use]
    pub fn usage() -> ArenaUsage {
        match ARENA.get() {
            Some(Ok(arena)) => arena.usage_now(),
            Some(Err(_)) | None => ArenaUsage { held_bytes: 0, locked_bytes: 0 },
        }
    }

    pub(crate) fn global() -> Result<&'static Arena, ArenaError> {
        if ARENA.get().is_none() {
            Arena::kind()?;
        }
        ARENA.get().expect("begun in the line above").as_ref().map_err(|error| *error)
    }

    fn new(kind: ArenaKind, chunks_max: usize) -> Result<Arena, ArenaError> {
        let arena = Arena {
            kind,
            chunks_max,
            slabs: std::array::from_fn(|_| Mutex::new(Slab::new())),
            room: Mutex::new(Room { chunks: 0, spans: Vec::new() }),
        };
        for (class, slab) in arena.slabs.iter().enumerate() {
            let span = arena.span()?;
            lock(slab).add(slots(span, class), Stay::Brief);
        }
        Ok(arena)
    }

    /// A slot of a class, with the list to which it goes back.
    pub(crate) fn take(&self, class: usize, stay: Stay) -> Result<(Slot, Stay), ArenaError> {
        let mut slab = lock(&self.slabs[class]);
        if let Some(taken) = slab.take(stay) {
            return Ok(taken);
        }
        slab.add(slots(self.span()?, class), Stay::Lasting);
        Ok(slab.take(stay).expect("slots were added in the line above"))
    }

    /// Takes back a slot that was wiped.
    pub(crate) fn give_back(&self, class: usize, slot: Slot, list: Stay) {
        lock(&self.slabs[class]).give_back(slot, list);
    }

    fn span(&self) -> Result<Slot, ArenaError> {
        let mut room = lock(&self.room);
        if let Some(span) = room.spans.pop() {
            return Ok(span);
        }
        if room.chunks == self.chunks_max {
            return Err(ArenaError::Full { bytes_max: self.chunks_max * CHUNK_BYTES });
        }
        let chunk = pages::chunk(self.kind).map_err(|refused| error(refused, room.chunks))?;
        room.chunks += 1;
        room.spans.extend(parts(chunk, CHUNK_BYTES, SPAN_BYTES));
        Ok(room.spans.pop().expect("a chunk has more than one span"))
    }

    fn usage_now(&self) -> ArenaUsage {
        let held = self.slabs.iter().zip(CLASSES).map(|(slab, bytes)| lock(slab).held() * bytes);
        ArenaUsage { held_bytes: held.sum(), locked_bytes: lock(&self.room).chunks * CHUNK_BYTES }
    }
}

/// The class with the smallest slots that take so many bytes.
pub(crate) const fn class_of(bytes: usize) -> usize {
    let mut class = 0;
    while CLASSES[class] < bytes {
        class += 1;
    }
    class
}

pub(crate) const fn class_bytes(class: usize) -> usize {
    CLASSES[class]
}

fn slots(span: Slot, class: usize) -> impl ExactSizeIterator<Item = Slot> {
    parts(span, SPAN_BYTES, CLASSES[class])
}

/// Parts are aligned to their size, as chunks are to pages and all sizes are powers of two.
fn parts(whole: Slot, bytes: usize, part_bytes: usize) -> impl ExactSizeIterator<Item = Slot> {
    (0..bytes / part_bytes).map(move |n| {
        let part = whole.0.as_ptr().wrapping_add(n * part_bytes);
        Slot(NonNull::new(part).expect("inside a mapping, which is not at zero"))
    })
}

/// The lists stay whole whatever panics: they are changed by single steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn error(refused: Refused, chunks: usize) -> ArenaError {
    match refused.errno {
        // The kernel's answers to a process that has locked what it may.
        Errno::AGAIN | Errno::NOMEM | Errno::PERM => ArenaError::Limit {
            locked_kib: chunks * CHUNK_BYTES / 1024,
            limit_kib: getrlimit(Resource::Memlock).current.map_or(u64::MAX, |bytes| bytes / 1024),
        },
        errno => ArenaError::System { what: refused.what, code: errno.raw_os_error() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_aligned_and_apart() {
        for kind in [ArenaKind::Secret, ArenaKind::Locked] {
            let arena = Arena::new(kind, 2).unwrap();
            let mut taken: Vec<(usize, usize)> = Vec::new();
            for class in (0..CLASSES.len()).cycle().take(120) {
                let (slot, _) = arena.take(class, Stay::Lasting).unwrap();
                let address = slot.0.addr().get();
                assert!(address.is_multiple_of(CLASSES[class]), "{address:x} for {}", CLASSES[class]);
                taken.push((address, address + CLASSES[class]));
            }
            taken.sort_unstable();
            assert!(taken.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        }
    }

    #[test]
    fn a_full_arena_says_so_and_brief_work_goes_on() {
        let arena = Arena::new(ArenaKind::Locked, 1).unwrap();
        let class = class_of(256);
        let lasting =
            std::iter::repeat_with(|| arena.take(class, Stay::Lasting)).take_while(Result::is_ok).count();
        // Of 16 spans one each is kept back in six classes.
        assert_eq!(lasting, 10 * SPAN_BYTES / 256);
        assert_eq!(arena.take(class, Stay::Lasting).err(), Some(ArenaError::Full { bytes_max: CHUNK_BYTES }));
        let (slot, list) = arena.take(class, Stay::Brief).unwrap();
        arena.give_back(class, slot, list);
        assert_eq!(arena.usage_now(), ArenaUsage { held_bytes: lasting * 256, locked_bytes: CHUNK_BYTES });
    }

    #[test]
    fn every_size_has_the_smallest_class_that_takes_it() {
        for bytes in 0..=SLOT_BYTES_MAX {
            let class = class_of(bytes);
            assert!(CLASSES[class] >= bytes && (class == 0 || CLASSES[class - 1] < bytes), "{bytes}");
        }
    }

    #[test]
    fn a_limit_names_its_remedy() {
        for errno in [Errno::AGAIN, Errno::NOMEM, Errno::PERM] {
            let text = error(Refused { what: "lock memory for keys", errno }, 3).to_string();
            assert!(text.contains("192 KiB are") && text.contains("ulimit -l"), "{text}");
        }
        let other = error(Refused { what: "keep keys out of dumps", errno: Errno::INVAL }, 0).to_string();
        assert!(other.starts_with("cannot keep keys out of dumps: Invalid argument"), "{other}");
    }
}
