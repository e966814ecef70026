//! Memory for secrets, apart from heap and stack.
//!
//! It owns pages that are never swapped out, are in no core dump, are not inherited by a forked child, and stand between
//! pages that nobody may touch. Where the kernel has `memfd_secret` they are taken out of the kernel's own map as well, so
//! that not even `/proc/PID/mem` or `process_vm_readv` reads them; else they are locked. It promises that a slot is
//! wiped before it is used again and that limits end in an error, never in unlocked memory. It must never print
//! what it holds, copy it, or fall back to the heap.
//!
//! ```
//! use yika_arena::{ArenaError, Held, Stay};
//!
//! let key = Held::<[u8; 16]>::new_with(Stay::Lasting, |key| key.copy_from_slice(b"sixteen bytes..."))?;
//! assert_eq!(key[0], b's');
//! # Ok::<(), ArenaError>(())
//! ```
//! What is held cannot be printed or copied:
//!
//! ```compile_fail,E0277
//! fn print(key: &yika_arena::Held<[u8; 16]>) {
//!     println!("{key:?}");
//! }
//! ```
//! ```compile_fail,E0599
//! fn copy(key: &yika_arena::Held<Vec<u8>>) -> yika_arena::Held<Vec<u8>> {
//!     key.clone()
//! }
//! ```
//! It does not protect from root, who may attach a debugger, nor from code of this process; registers that the
//! kernel saves and the frames of running functions are outside it, see [`wiped`].
#![warn(missing_docs)]

mod arena;
mod held;
mod pages;
mod slab;
mod stack;

pub use arena::{Arena, ArenaError, ArenaKind, ArenaUsage};
pub use held::{HELD_BYTES_MAX, Held};
pub use slab::Stay;
pub use stack::wiped;
