//! Chunks of pages from the system, each between two guard pages.
//!
//! ```text
//! guard | 64 KiB of slots | guard      one mapping; the guards are PROT_NONE
//! ```
//! A chunk is never given back: its slots are used again and again. All that asks the system for memory stands here.
#![expect(unsafe_code, reason = "mappings have no safe interface")]

use std::ffi::c_void;
use std::ptr::{self, NonNull};

use rustix::fs::ftruncate;
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};
use rustix::mm::{madvise, mlock, mmap, mmap_anonymous, mprotect, munmap};
use rustix::param::page_size;

use crate::arena::ArenaKind;

/// Small beside the usual limit of 8 MiB, large beside a slot; a multiple of every page size there is.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;

/// Why there is no chunk: what was tried, and the system's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) what: &'static str,
    pub(crate) errno: Errno,
}

/// The first byte of a part of a chunk.
#[derive(Clone, Copy)]
pub(crate) struct Slot(pub(crate) NonNull<u8>);

// SAFETY: chunks are never unmapped, so the address is good in every thread; who may follow it is decided by the lists.
unsafe impl Send for Slot {}

/// A new chunk of zeros: its first byte, [`CHUNK_BYTES`] follow.
pub(crate) fn chunk(kind: ArenaKind) -> Result<Slot, Refused> {
    let mapping = match kind {
        ArenaKind::Secret => secret_mapping()?,
        ArenaKind::Locked => Mapping::new("map memory for keys", |bytes| {
            // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
            unsafe { mmap_anonymous(ptr::null_mut(), bytes, ProtFlags::empty(), MapFlags::PRIVATE) }
        })?,
    };
    mapping.protect()?;
    if kind == ArenaKind::Locked {
        mapping.lock()?;
    }
    mapping.advise()?;
    mapping.touch();
    Ok(mapping.keep())
}

/// Whether the kernel has `memfd_secret`, and lets us use it.
pub(crate) fn has_secret() -> bool {
    // Also under a limit of file sizes (ulimit -f), which counts for these pages too.
    secret::memfd_secret().is_ok_and(|file| ftruncate(&file, secret_bytes()).is_ok())
}

fn secret_bytes() -> u64 {
    (CHUNK_BYTES + 2 * page_size()) as u64
}

/// A file descriptor would let others map the pages: none outlives this function.
fn secret_mapping() -> Result<Mapping, Refused> {
    let file =
        secret::memfd_secret().map_err(|errno| Refused { what: "make a secret memory area", errno })?;
    ftruncate(&file, secret_bytes()).map_err(|errno| Refused { what: "size a secret memory area", errno })?;
    Mapping::new("map secret memory for keys", |bytes| {
        // SAFETY: as for the anonymous mapping; the file is ours alone.
        unsafe { mmap(ptr::null_mut(), bytes, ProtFlags::empty(), MapFlags::SHARED, &file, 0) }
    })
}

/// A chunk with its guards, unmapped again unless it is kept.
struct Mapping {
    start: *mut c_void,
    bytes: usize,
}

impl Mapping {
    fn new(
        what: &'static str,
        map: impl FnOnce(usize) -> rustix::io::Result<*mut c_void>,
    ) -> Result<Mapping, Refused> {
        let bytes = CHUNK_BYTES + 2 * page_size();
        let start = map(bytes).map_err(|errno| Refused { what, errno })?;
        Ok(Mapping { start, bytes })
    }

    /// Opens what is between the guards.
    fn protect(&self) -> Result<(), Refused> {
        let opened = MprotectFlags::READ | MprotectFlags::WRITE;
        // SAFETY: the range is inside this mapping, to which nobody else has a pointer.
        let done = unsafe { mprotect(self.inside(), CHUNK_BYTES, opened) };
        done.map_err(|errno| Refused { what: "open memory for keys", errno })
    }

    fn lock(&self) -> Result<(), Refused> {
        // SAFETY: the range is inside this mapping; locking does not change it.
        let done = unsafe { mlock(self.inside(), CHUNK_BYTES) };
        done.map_err(|errno| Refused { what: "lock memory for keys", errno })
    }

    /// In no core dump, and in no child: a child that looked for a key would end, not find one.
    fn advise(&self) -> Result<(), Refused> {
        for advice in [Advice::LinuxDontDump, Advice::LinuxDontFork] {
            // SAFETY: the range is the whole of this mapping; both only change what others see of it.
            let done = unsafe { madvise(self.start, self.bytes, advice) };
            done.map_err(|errno| Refused { what: "keep keys out of dumps", errno })?;
        }
        Ok(())
    }

    /// Has every page made now: when there is no memory left, the process ends here and not in the middle of a key.
    fn touch(&self) {
        for offset in (0..CHUNK_BYTES).step_by(page_size()) {
            let page = self.inside().cast::<u8>().wrapping_add(offset);
            // SAFETY: the byte is inside this mapping, which was opened for writing.
            unsafe { page.write_volatile(0) };
        }
    }

    fn inside(&self) -> *mut c_void {
        self.start.wrapping_byte_add(page_size())
    }

    fn keep(self) -> Slot {
        let inside = NonNull::new(self.inside().cast()).expect("a page above the beginning of a mapping");
        std::mem::forget(self);
        Slot(inside)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was not kept, so nobody has a pointer into it. Failing to unmap only wastes it.
        let _ = unsafe { munmap(self.start, self.bytes) };
    }
}

/// The call that no library of ours offers.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod secret {
    use std::os::fd::{FromRawFd as _, OwnedFd};

    use rustix::io::Errno;

    /// Its number, the same on all architectures, and the one flag it takes besides none: `O_CLOEXEC`.
    const MEMFD_SECRET: usize = 447;
    const CLOSE_ON_EXEC: usize = 0o2_000_000;

    pub(super) fn memfd_secret() -> Result<OwnedFd, Errno> {
        let answer: isize;
        #[cfg(target_arch = "x86_64")]
        // SAFETY: one argument, no pointer; the kernel keeps all registers but these three.
        unsafe {
            std::arch::asm!(
                "syscall",
                inlateout("rax") MEMFD_SECRET => answer,
                in("rdi") CLOSE_ON_EXEC,
                lateout("rcx") _,
                lateout("r11") _,
                options(nostack)
            );
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: one argument, no pointer; the kernel keeps all registers but x0.
        unsafe {
            std::arch::asm!(
                "svc 0",
                in("x8") MEMFD_SECRET,
                inlateout("x0") CLOSE_ON_EXEC => answer,
                options(nostack)
            );
        }
        match i32::try_from(answer) {
            // SAFETY: the kernel has just opened it, and for us alone.
            Ok(fd @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
            Ok(negative) => Err(Errno::from_raw_os_error(-negative)),
            Err(_) => Err(Errno::NOSYS),
        }
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod secret {
    use rustix::io::Errno;

    pub(super) fn memfd_secret() -> Result<std::os::fd::OwnedFd, Errno> {
        Err(Errno::NOSYS)
    }
}
