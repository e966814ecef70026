//! What held cards and tracks is overwritten before its memory is used for something else.

/// Overwrites what a buffer held of cards and tracks, at the speed of a plain fill: these bytes are many.
pub(crate) fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    // Whoever optimises must take the zeros for read, or the fill would be dropped.
    std::hint::black_box(bytes);
}
