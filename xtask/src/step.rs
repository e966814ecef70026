//! One step of a longer command: what is run, how long it took, and how to repeat it when it failed.
//!
//! A step prints itself before and its time after; it never hides the output of what it runs.

use crate::tally::Tally;
use crate::workspace;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

/// A program with its arguments and the variables it is given.
pub(crate) struct Step {
    name: &'static str,
    program: OsString,
    pub(crate) arguments: Vec<String>,
    variables: Vec<(&'static str, OsString)>,
}

/// Why a command ended early, and what to do about it.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The program ran and said no, or could not be started.
    Step { name: &'static str, why: String, repeat: String },
    /// Something this machine lacks.
    Missing { what: String, cure: String },
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Step { name, why, repeat } => {
                write!(f, "{name} failed: {why}\nto repeat this step alone: {repeat}")
            }
            Failed::Missing { what, cure } => write!(f, "{what}\n{cure}"),
        }
    }
}

impl Step {
    pub(crate) fn new(name: &'static str, program: impl Into<OsString>, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Step { name, program: program.into(), arguments, variables: Vec::new() }
    }

    /// A cargo command, with the cargo that runs us.
    pub(crate) fn cargo(name: &'static str, arguments: &[&str]) -> Self {
        Step::new(name, "cargo", arguments)
    }

    pub(crate) fn with(mut self, variable: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.push((variable, value.into()));
        self
    }

    /// Runs the step with its output where ours goes.
    pub(crate) fn run(&self) -> Result<(), Failed> {
        self.timed(|step| {
            let status = step.command().status().map_err(|error| error.to_string())?;
            if status.success() { Ok(()) } else { Err(status.to_string()) }
        })
    }

    /// Runs the step, passing each line of its output on and counting test results in it.
    pub(crate) fn run_counting(&self, tally: &mut Tally) -> Result<(), Failed> {
        self.timed(|step| {
            let mut child =
                step.command().stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
            if let Some(output) = child.stdout.take() {
                let passed_on = pass_on(BufReader::new(output), io::stdout().lock(), tally);
                passed_on.map_err(|error| error.to_string())?;
            }
            let status = child.wait().map_err(|error| error.to_string())?;
            if status.success() { Ok(()) } else { Err(status.to_string()) }
        })
    }

    /// Whether the program can be run and ends well; prints nothing.
    pub(crate) fn works(&self) -> bool {
        let quiet = self.command().stdout(Stdio::null()).stderr(Stdio::null()).status();
        quiet.is_ok_and(|status| status.success())
    }

    fn timed(&self, work: impl FnOnce(&Step) -> Result<(), String>) -> Result<(), Failed> {
        println!("== {}: {}", self.name, self.typed());
        let started = Instant::now();
        let ended = work(self);
        let word = if ended.is_ok() { "ok" } else { "FAILED" };
        println!("== {}: {word} after {:.1} s\n", self.name, started.elapsed().as_secs_f64());
        ended.map_err(|why| Failed::Step { name: self.name, why, repeat: self.typed() })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(workspace()).stdin(Stdio::null());
        for (variable, value) in &self.variables {
            command.env(variable, value);
        }
        command
    }

    /// The step as one would type it in a shell.
    fn typed(&self) -> String {
        let variables = self.variables.iter().map(|(name, value)| format!("{name}={}", value.display()));
        let program = std::iter::once(self.program.display().to_string());
        variables.chain(program).chain(self.arguments.iter().cloned()).collect::<Vec<_>>().join(" ")
    }
}

fn pass_on(from: impl BufRead, mut to: impl Write, tally: &mut Tally) -> io::Result<()> {
    for line in from.split(b'\n') {
        let line = line?;
        tally.read(&String::from_utf8_lossy(&line));
        to.write_all(&line)?;
        to.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_says_how_to_repeat_it() {
        let step = Step::new("lint", "false", &["--all"]).with("YIKA_VENV", "/tmp/venv");
        let said = step.run().unwrap_err().to_string();
        assert!(said.contains("lint failed"), "{said}");
        assert!(said.ends_with("YIKA_VENV=/tmp/venv false --all"), "{said}");
    }

    #[test]
    fn a_program_that_is_not_there_does_not_work() {
        assert!(!Step::new("none", "yika-no-such-program", &[]).works());
        assert!(Step::new("cargo", "cargo", &["--version"]).works());
    }

    #[test]
    fn results_are_counted_while_they_pass_by() {
        let (mut tally, mut passed_on) = (Tally::default(), Vec::new());
        let output = b"running 3 tests\ntest result: ok. 3 passed; 0 failed; 0 ignored; 0 measured\n";
        pass_on(&output[..], &mut passed_on, &mut tally).unwrap();
        assert_eq!(passed_on, output);
        assert_eq!(tally.to_string(), "3 passed, 0 failed");
    }
}
