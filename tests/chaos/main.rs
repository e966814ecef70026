//! `yika-chaos`: the real switch under load while things are done to it (`chaos`), or while nothing is (`soak`).
//!
//! Promises: everything is bounded in count and time; it ends by itself; all of it stays on the loopback; the folder is
//! kept when something disagrees or it is interrupted, and only then. What cannot be done on this machine is said and left out.

mod faults;
mod interrupt;
mod namespace;
mod options;
mod round;
mod soak;
mod traffic;
mod verdict;
mod world;

use options::{Options, What};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("yika-chaos: {why}\n\n{}", options::HELP);
            return ExitCode::from(2);
        }
    };
    let own_network = match options.what {
        What::Help => {
            println!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        What::Soak => Err("a soak has no faults".to_owned()),
        What::Chaos => namespace::enter(),
    };
    let mut place = tempfile::Builder::new();
    place.prefix("yika-chaos-").disable_cleanup(true);
    let made = options.folder.as_ref().map_or_else(|| place.tempdir(), |folder| place.tempdir_in(folder));
    let folder = match made {
        Ok(folder) => folder.keep(),
        Err(why) => {
            eprintln!("yika-chaos: no folder for it: {why}; name one with --dir");
            return ExitCode::FAILURE;
        }
    };
    if let Err(code) = interrupt::watch(folder.clone()) {
        return code;
    }
    // A panic has told its message; the processes it leaves behind end with their handles.
    let ended = catch_unwind(AssertUnwindSafe(|| match options.what {
        What::Soak => soak::run(&folder, &options),
        _ => chaos(&folder, &options, &own_network),
    }));
    match ended.unwrap_or_else(|_| Err("a wait or a step of its own failed, see above".to_owned())) {
        Ok(()) => {
            // What cannot be removed is left, and harms nobody.
            let _ = std::fs::remove_dir_all(&folder);
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("\nFAILED: {why}\nkept: {}", folder.display());
            eprintln!(
                "look at yika.log and *.ledger there, then: yika journal verify --data DIR, yika journal dump --json --data DIR"
            );
            ExitCode::FAILURE
        }
    }
}

fn chaos(folder: &Path, options: &Options, own_network: &Result<(), String>) -> Result<(), String> {
    let outcome = round::all(folder, options, own_network)?;
    if options.json {
        println!("{}", outcome.json());
    } else {
        println!("\n{}", outcome.table());
    }
    Ok(())
}
