//! Ctrl-C and SIGTERM: the switch under test and whatever else was started is stopped, and it is said where the folder is.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::thread;
use tokio::signal::unix::{SignalKind, signal};

/// What a shell calls a program that was interrupted.
const INTERRUPTED: i32 = 130;

/// From now on an interruption ends this program in an orderly way.
///
/// # Errors
/// Why that cannot be; nothing has been started then.
pub(crate) fn watch(folder: PathBuf) -> Result<(), ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.map_err(|why| {
        eprintln!("yika-chaos: no signals can be waited for: {why}");
        ExitCode::FAILURE
    })?;
    thread::spawn(move || {
        let waited = runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut terminate = signal(SignalKind::terminate())?;
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            Ok::<(), std::io::Error>(())
        });
        if waited.is_ok() {
            stop_children();
            eprintln!("\ninterrupted: nothing was compared; kept: {}", folder.display());
            std::process::exit(INTERRUPTED);
        }
    });
    Ok(())
}

/// Each thread's children, as the system lists them.
fn stop_children() {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    for child in lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()) {
        // One that has ended meanwhile is what is wanted.
        let _ = Command::new("kill").arg("-KILL").arg(child).status();
    }
}
