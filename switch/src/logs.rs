//! The log on its way to standard error. Whoever logs puts a line into a bounded queue and goes on; a thread of its own
//! writes. A reader that stands still (a full pipe) costs lines, which are counted and told of, and never a payment.

use crossbeam::channel::{Receiver, Sender, bounded};
use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Lines that wait for the reader of standard error; about 1 MiB of them.
const LINES_MAX: usize = 4096;
/// How long an end of the process waits for that reader.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

static QUEUE: OnceLock<Sender<Part>> = OnceLock::new();
static LOST: AtomicU64 = AtomicU64::new(0);

enum Part {
    Line(Vec<u8>),
    /// Everything before it is written.
    Flush(Sender<()>),
}

/// From here on standard error is written by the thread. Without one, as in a test, lines go out directly.
pub fn start() {
    let (queue, parts) = bounded(LINES_MAX);
    let thread = std::thread::Builder::new().name("log".into());
    if thread.spawn(move || write_out(&parts)).is_ok() {
        // A second start only happens in tests; the first one stays.
        let _ = QUEUE.set(queue);
    }
}

fn write_out(parts: &Receiver<Part>) {
    let mut told = 0;
    for part in parts {
        match part {
            Part::Line(line) => write(&line),
            Part::Flush(done) => {
                let _ = done.try_send(());
            }
        }
        let lost = lines_lost();
        if lost > told && parts.is_empty() {
            tracing::warn!(lines = lost - told, "lines of the log were lost: nobody read standard error");
            told = lost;
        }
    }
}

/// When it fails there is nobody left to tell.
fn write(line: &[u8]) {
    let _ = io::stderr().write_all(line);
}

/// Lines that found no place since the start.
pub fn lines_lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// Writes one event of the log, which comes in one piece.
pub struct LogLine;

/// What the log is written with.
pub fn line() -> LogLine {
    LogLine
}

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match QUEUE.get() {
            None => io::stderr().write(bytes),
            Some(queue) => {
                if queue.try_send(Part::Line(bytes.to_vec())).is_err() {
                    LOST.fetch_add(1, Ordering::Relaxed);
                }
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A line to whoever typed the command, behind what the log has said. Blocks for a second at most.
pub fn say(text: &str) {
    let line = format!("{text}\n").into_bytes();
    match QUEUE.get() {
        None => write(&line),
        Some(queue) => {
            if queue.send_timeout(Part::Line(line), FLUSH_WITHIN).is_err() {
                LOST.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Waits until all that was said is written; for a second at most.
pub fn flush() {
    let Some(queue) = QUEUE.get() else { return };
    let (done, written) = bounded(1);
    if queue.send_timeout(Part::Flush(done), FLUSH_WITHIN).is_ok() {
        let _ = written.recv_timeout(FLUSH_WITHIN);
    }
}
