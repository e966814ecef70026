//! The command line: what it accepts, how its errors read, and what its exit codes say.

pub(crate) mod issuer;
pub(crate) mod reconcile;
pub(crate) mod run;

use clap::{Args, Parser, Subcommand};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use yika_loadgen::{
    IssuerError, LedgerError, RunError, TestKeyError, Wire, WireError, test_mac_key, test_pin_key,
};

const EXIT_CODES: &str = "Exit codes: 0 pass; 1 usage; 2 the run failed; 3 limits not met; \
                          4 the generator was too slow, so the figures say nothing; 5 ledgers do not agree.";

/// Load, simulated issuers and reconciliation for any ISO 8583 host. Sends test cards only.
#[derive(Parser)]
#[command(version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// SIGXFSZ on Linux (signal(7)).
const FILE_SIZE_SIGNAL: i32 = 25;

/// A ledger over the file-size limit fails with its reason; by default the signal ends the process where it stands.
pub(crate) fn outlive_file_size_limit() -> std::io::Result<()> {
    // The handler is the process's own and outlives the runtime that it was asked from.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    signal(SignalKind::from_raw(FILE_SIZE_SIGNAL)).map(drop)
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Terminals: payments by a schedule or in a closed window, measured and written to a ledger.
    #[command(after_help = EXIT_CODES)]
    Run(Box<run::RunArgs>),
    /// A simulated issuer or coupon platform.
    #[command(after_help = EXIT_CODES)]
    Issuer(Box<issuer::IssuerArgs>),
    /// Compares the ledgers of terminals, issuers and coupon platforms to the fen.
    #[command(after_help = EXIT_CODES)]
    Reconcile(reconcile::ReconcileArgs),
}

/// How messages look, and the keys of both directions.
#[derive(Args)]
pub(crate) struct WireArgs {
    /// Dialect of the messages
    #[arg(long, default_value = "iso87-ascii")]
    dialect: String,
    /// Framing, if it is not the dialect's usual one (binary2, ascii4, ...)
    #[arg(long)]
    framing: Option<String>,
    /// Test MAC key: cmac:HEX, retail:HEX or unionpay:HEX
    #[arg(long, value_name = "KEY")]
    mac: Option<String>,
    /// Test PIN key (TDES) in hexadecimal
    #[arg(long, value_name = "HEX")]
    pub(crate) pin_key: Option<String>,
}

impl WireArgs {
    pub(crate) fn wire(&self) -> Result<Wire, CliError> {
        let mac = self.mac.as_deref().map(test_mac_key).transpose()?;
        Ok(Wire::named(&self.dialect, self.framing.as_deref(), mac)?)
    }

    pub(crate) fn pin(&self) -> Result<Option<yika_keystore::PinKey>, CliError> {
        Ok(self.pin_key.as_deref().map(test_pin_key).transpose()?)
    }
}

/// What the exit code says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    Pass = 0,
    Usage = 1,
    Run = 2,
    LimitsNotMet = 3,
    Invalid = 4,
    NotBalanced = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Key(#[from] TestKeyError),
    #[error("{option}: {source}")]
    Option { option: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("{what}: {source}")]
    System { what: &'static str, source: std::io::Error },
}

impl CliError {
    /// The fault of whoever typed, or of the run.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            CliError::Wire(_) | CliError::Key(_) | CliError::Option { .. } => Exit::Usage,
            CliError::Run(RunError::Thread { .. } | RunError::Panicked) => Exit::Run,
            CliError::Run(_) => Exit::Usage,
            CliError::Issuer(_) | CliError::Ledger(_) | CliError::System { .. } => Exit::Run,
        }
    }
}

/// Calls `every` each `period` until it says true, or until someone asks the process to stop.
pub(crate) fn until_stopped(
    period: std::time::Duration,
    mut every: impl FnMut() -> bool,
) -> Result<(), CliError> {
    let fail = |source| CliError::System { what: "waiting for signals", source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fail)?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(fail)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(fail)?;
        let mut ticks = tokio::time::interval(period);
        loop {
            tokio::select! {
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                _ = ticks.tick() => if every() { return Ok(()) },
            }
        }
    })
}

/// A value parser's error names the option and keeps the words of the library.
pub(crate) fn option<T, E>(option: &'static str, parsed: Result<T, E>) -> Result<T, CliError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    parsed.map_err(|error| CliError::Option { option, source: error.into() })
}
