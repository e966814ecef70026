//! The one way of a command to its reader. A reader that closes the pipe has seen enough: that ends the command
//! quietly and with 0; any other failed write is an error, so that nobody takes half an answer for a whole one.

use super::CliError;
use std::io::{self, BufWriter, StdoutLock, Write};

/// Standard output, buffered; `finish` must be called for the last of it.
pub(super) struct Out(BufWriter<StdoutLock<'static>>);

impl Out {
    pub(super) fn new() -> Out {
        Out(BufWriter::new(io::stdout().lock()))
    }

    /// # Errors
    /// When what is still held cannot be written.
    pub(super) fn finish(mut self) -> Result<(), CliError> {
        Ok(self.0.flush()?)
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// One value as one line of JSON.
///
/// # Errors
/// When it cannot be written.
pub(super) fn json_line(out: &mut impl Write, value: &impl serde::Serialize) -> Result<(), CliError> {
    // By way of a text: an error of the writer must keep its kind.
    let text = serde_json::to_string(value).map_err(io::Error::other)?;
    Ok(writeln!(out, "{text}")?)
}

/// A line on standard error.
pub(super) fn complain(text: &str) {
    crate::logs::say(text);
}
