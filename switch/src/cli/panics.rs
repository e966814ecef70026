//! A fault of the program itself: whichever thread panics, one line says what and where, and the process ends with
//! 70. Nothing is lost by that: what was told is durable, and the next start ends what was open.

use crate::logs;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};

/// As in the table of exit codes.
pub(super) const INTERNAL: u8 = 70;

/// What a panic does to the process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OnPanic {
    /// It ends as it stands, on whichever thread: a switch with a part of its threads gone would hang.
    End,
    /// The thread unwinds, so that the processes it started end with it; on the main thread the command is over.
    Unwind,
}

/// From here on a panic is told in one line.
pub(super) fn tell(then: OnPanic) {
    std::panic::set_hook(Box::new(move |info| {
        logs::say(&told(info));
        if then == OnPanic::End {
            logs::flush();
            std::process::exit(INTERNAL.into());
        }
    }));
}

/// What `command` gives; None when it panicked, which has been told then.
pub(super) fn caught<T>(command: impl FnOnce() -> T) -> Option<T> {
    // Nothing that the command may have left half done is used again.
    catch_unwind(AssertUnwindSafe(command)).ok()
}

fn told(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text =
        payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    let what = text.unwrap_or("no reason given").replace('\n', " ");
    let place = info.location().map_or("an unknown place".to_owned(), ToString::to_string);
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed");
    format!(
        "yika: internal fault: {what} (at {place}, thread {name}); please report this line. What was acknowledged is durable"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const WHERE: &str = "YIKA_TEST_PANICS_IN";

    /// Runs the test below in a process of its own; its exit code and standard error.
    fn panics_in(place: &str) -> (Option<i32>, String) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let arguments =
            ["--exact", "cli::panics::tests::the_one_that_panics", "--nocapture", "--test-threads=1"];
        let ended = command.args(arguments).env(WHERE, place).output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    }

    #[test]
    fn a_panic_on_any_thread_ends_the_process_with_70_and_one_line() {
        for place in ["main", "journal", "unwinding"] {
            let (code, said) = panics_in(place);
            assert_eq!(code, Some(70), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
            assert!(said.starts_with("yika: internal fault: a seam gave way (at "), "{said}");
            assert!(said.contains("panics.rs:"), "{said}");
            assert_eq!(said.contains("thread journal"), place == "journal", "{said}");
        }
    }

    #[test]
    fn the_one_that_panics() {
        let Some(place) = std::env::var_os(WHERE) else { return };
        let work = || panic!("a seam\ngave way");
        if place == "unwinding" {
            tell(OnPanic::Unwind);
            assert!(caught(|| 7) == Some(7));
            std::process::exit(caught(work).map_or(INTERNAL.into(), |()| 0));
        }
        tell(OnPanic::End);
        if place == "main" {
            work();
        }
        let thread = std::thread::Builder::new().name("journal".into()).spawn(work).unwrap();
        let _ = thread.join();
    }
}
