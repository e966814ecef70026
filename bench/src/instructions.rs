//! Instructions of one operation, counted by valgrind's callgrind: the same whoever else uses the machine, and the same
//! from run to run. The program runs itself twice, with few and with more of the operation; the difference is its own.

use crate::codec_run::operations;
use crate::error::BenchError;
use std::env;
use std::io;
use std::process::{Command, Stdio};

const FEW: u32 = 100;
const MORE: u32 = 1_100;

/// Instructions of the codec's operation of this name, or why they are not known.
pub(crate) fn of(name: &str) -> Result<f64, String> {
    let (few, more) = (counted(name, FEW)?, counted(name, MORE)?);
    Ok((more as f64 - few as f64) / f64::from(MORE - FEW))
}

fn counted(name: &str, count: u32) -> Result<u64, String> {
    let own = env::current_exe().map_err(|e| e.to_string())?;
    let ran = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(own)
        .args(["operation", "--name", name, "--count", &count.to_string()])
        .stdin(Stdio::null())
        .output();
    let ran = ran.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => "there is no valgrind".to_owned(),
        _ => format!("valgrind did not start: {e}"),
    })?;
    let said = String::from_utf8_lossy(&ran.stderr);
    let count = collected(&said).filter(|_| ran.status.success());
    count.ok_or_else(|| format!("valgrind said: {}", said.lines().last().unwrap_or_default()))
}

/// The sum in callgrind's last lines.
fn collected(said: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.split_once("Collected :"))?;
    line.1.trim().parse().ok()
}

/// What the program does under valgrind: the operation of this name, `count` times.
pub(crate) fn repeat(name: &str, count: u32) -> Result<(), BenchError> {
    let found = operations()?.into_iter().find(|one| one.name == name);
    let mut operation =
        found.ok_or_else(|| BenchError::setup("an operation")(&format!("there is no {name}")))?;
    (0..count).for_each(|_| (operation.once)());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_read_from_what_callgrind_says() {
        let said =
            "==7== Events    : Ir\n==7== Collected : 1234567\n==7== \n==7== I   refs:      1,234,567\n";
        assert_eq!(collected(said), Some(1_234_567));
        assert_eq!(collected("valgrind: no such tool\n"), None);
    }
}
