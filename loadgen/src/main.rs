//! The command `yika-loadgen`: terminals, simulated issuers, and the comparison of their ledgers.
//! Thin: reads the command line, calls the library, prints, and turns the result into an exit code.

mod cli;

use clap::Parser;
use cli::{Cli, Command, Exit};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way, too, and are no fault.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Pass };
            if error.print().is_err() {
                return Exit::Run.into();
            }
            return exit.into();
        }
    };
    if let Err(error) = cli::outlive_file_size_limit() {
        eprintln!("yika-loadgen: a file-size limit (ulimit -f) may end this process without a word: {error}");
    }
    let result = match cli.command {
        Command::Run(args) => cli::run::run(*args),
        Command::Issuer(args) => cli::issuer::run(*args),
        Command::Reconcile(args) => cli::reconcile::run(&args),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("yika-loadgen: {error}");
            error.exit().into()
        }
    }
}
