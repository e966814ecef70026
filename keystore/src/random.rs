//! The one door to the operating system's random numbers.
//! It either fills the buffer or ends the process: no key is ever made of anything less.

use ring::rand::{SecureRandom as _, SystemRandom};

/// Fills `out` with random bytes.
///
/// # Panics
/// When the operating system has none to give; there is no safe way to go on then.
pub(crate) fn fill(out: &mut [u8]) {
    let filled = SystemRandom::new().fill(out);
    assert!(filled.is_ok(), "the operating system gives no random numbers: no key can be made safely");
}
