//! The token against the real SoftHSM2. Where its tokens are is a variable of the environment, so each case is a process of
//! its own with a folder of its own: this program starts itself once for each.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod cases;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Which case this process is; its folder.
const CASE: &str = "YIKA_SOFTHSM_CASE";
const FOLDER: &str = "YIKA_SOFTHSM_FOLDER";
/// Where systems put it.
const LIBRARIES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
];

fn main() -> ExitCode {
    let Some(library) = LIBRARIES.iter().map(Path::new).find(|path| path.exists()) else {
        println!("left out, as the package softhsm2 is not installed\n");
        println!("test result: ok. 0 passed; 0 failed; {} ignored", cases::ALL.len());
        return ExitCode::SUCCESS;
    };
    if let (Ok(case), Some(folder)) = (std::env::var(CASE), std::env::var_os(FOLDER)) {
        let (_, run) = cases::ALL.into_iter().find(|(name, _)| *name == case).unwrap();
        run(library, &PathBuf::from(folder));
        return ExitCode::SUCCESS;
    }
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let chosen: Vec<_> = cases::ALL.into_iter().filter(|(name, _)| name.contains(&filter)).collect();
    println!("\nrunning {} tests", chosen.len());
    // All at once: they share nothing.
    let running: Vec<_> = chosen.iter().map(|(name, _)| (*name, begin(name))).collect();
    let mut failed = 0;
    for (name, (folder, child)) in running {
        let output = child.wait_with_output().unwrap();
        let passed = output.status.success();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        if !passed {
            failed += 1;
            println!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        drop(folder);
    }
    let (word, passed) = (if failed == 0 { "ok" } else { "FAILED" }, chosen.len() - failed);
    println!("\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn begin(case: &str) -> (tempfile::TempDir, std::process::Child) {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let conf = folder.path().join("softhsm2.conf");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    std::fs::write(&conf, text).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .env(CASE, case)
        .env(FOLDER, folder.path())
        .env("SOFTHSM2_CONF", conf)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    (folder, child)
}
