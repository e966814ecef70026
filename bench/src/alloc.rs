//! Counts allocations of the calling thread, so that "0 allocations in decode" is a figure and no claim.
//! The only unsafe code of the workspace: it forwards to the system's allocator and does nothing else.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(
    unsafe_code,
    reason = "an allocator cannot be written otherwise; every call goes to the system's as it came"
)]
// SAFETY: each method passes its arguments unchanged to `System`, which upholds the contract of `GlobalAlloc`;
// the count is a thread's own cell, takes no lock and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        tick();
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `at` came from `System` through `alloc` or `realloc` with this layout.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        tick();
        // SAFETY: as `dealloc`; the new size is the caller's promise.
        unsafe { System.realloc(at, layout, bytes) }
    }
}

fn tick() {
    // A thread that is ending has no cell any more; its allocations are nobody's figure.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

/// Allocations that `work` makes on this thread.
pub(crate) fn count(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn an_allocation_is_counted_and_its_absence_too() {
        assert_eq!(count(|| drop(std::hint::black_box(Box::new(7)))), 1);
        let sum = |on_stack: [u8; 8]| on_stack.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        assert_eq!(count(|| assert_eq!(sum(std::hint::black_box([1; 8])), 8)), 0);
    }
}
