//! Wiping of the stack behind work that had secrets in its frames: parts of a key in a register that was spilled, the clear
//! block inside a cipher.

use zeroize::zeroize_stack;

/// Runs `work` in a frame of its own and then overwrites `N` bytes below the caller's frame, where that frame and those of
/// everything it called were. `N` has to cover the deepest of them; a panic leaves the stack as it is.
#[inline(never)]
pub fn wiped<const N: usize, R>(work: impl FnOnce() -> R) -> R {
    let result = apart(work);
    zeroize_stack::<N>();
    result
}

/// Never inlined: the frames below must begin where the wipe begins.
#[inline(never)]
fn apart<R>(work: impl FnOnce() -> R) -> R {
    work()
}
