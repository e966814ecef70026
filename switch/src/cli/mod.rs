//! The command line: what an operator types, one clear line when it cannot be done, and an exit code that a
//! script can judge by.

mod check;
mod dialect;
mod hsm;
mod journal;
mod key_file;
mod keys;
mod out;
mod panics;
mod saf;
mod totals;
mod typed;
mod unlock;

use crate::config::{Config, ConfigErrors, load};
use crate::core::entry::KeyUse;
use crate::data_dir::{DataDirError, journal_in};
use crate::demo::{DemoError, DemoOptions};
use crate::driver::Terminal;
use crate::journal::recovery::RecoveryError;
use crate::logs;
use crate::net::{ClockJudge, ServeError, Stop, outlive_file_size_limit, serve};
use crate::start::StartError;
use clap::{Args, Parser, Subcommand};
pub use dialect::convert;
use out::{Out, complain};
use panics::OnPanic;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tracing_subscriber::EnvFilter;

/// Yika, a transaction switch: card payments routed, journalled before they are sent, reversed by itself.
#[derive(Parser)]
#[command(
    name = "yika",
    version,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, also when the reader of stdout closed the pipe; 1 the demo's ledgers do not balance, or two messages differ; 2 usage; 65 bytes that are no message, or a file that is no description of one; \
                  70 a fault of yika itself; 74 disk or network; 78 configuration.\nLogs go to stderr; YIKA_LOG sets their level (info, debug, ...), YIKA_LOG_JSON=1 their form."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the switch until SIGTERM, which drains; a second one stops at once
    Serve {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
        /// Use this data folder instead of the one in the configuration
        #[arg(long)]
        data: Option<PathBuf>,
        /// Start although the system clock is more than a year ahead of the journal
        #[arg(long)]
        accept_clock: bool,
    },
    /// Read a configuration, say what it means, or everything that is wrong with it
    Check {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
    },
    /// Watch it work: a switch, two banks, a coupon platform and terminals, with an outage and a kill in the middle
    Demo(DemoArgs),
    /// A running switch at a glance
    Status {
        #[command(flatten)]
        place: Place,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// What the switch owes: reversals and advices not yet acknowledged
    #[command(subcommand)]
    Saf(Saf),
    /// What each side counts on a business date, by currency and participant; of the open dates unless one is named
    Totals {
        /// A date whose sums are kept, as yyyymmdd
        #[arg(long)]
        date: Option<u32>,
        #[command(flatten)]
        place: Place,
        /// One JSON array
        #[arg(long)]
        json: bool,
    },
    /// Look into a journal, also while a switch runs on it; give back a lost anchor
    #[command(subcommand)]
    Journal(Journal),
    /// Send nothing new to a participant until --end: what is in flight ends, what is owed waits
    Drain {
        /// The participant's name
        name: String,
        /// It gets requests again, and what is owed
        #[arg(long)]
        end: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Sign a terminal off where a listener wants its sign-on, or all that ever signed on
    SignOff {
        /// Its F41
        #[arg(required_unless_present = "all", value_parser = fits::<8>)]
        terminal: Option<String>,
        /// The acquirer's name
        #[arg(long, required_unless_present = "all")]
        acquirer: Option<String>,
        /// Its F42, when its sign-on said one
        #[arg(long, default_value = "", value_parser = fits::<15>)]
        merchant: String,
        /// Every terminal
        #[arg(long, conflicts_with_all = ["terminal", "acquirer"])]
        all: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Offer a participant a new working key in place of the one in use; sent until it is answered
    KeyChange {
        /// The participant's name
        name: String,
        /// mac or pin
        #[arg(long = "key", value_parser = key_use)]
        usage: KeyUse,
        #[command(flatten)]
        place: Place,
    },
    /// Give your share of the master key to a switch that waits for its custodians
    Unlock {
        /// The configuration file of the switch
        #[arg(long)]
        config: PathBuf,
        /// Read the share from here instead of the terminal
        #[arg(long)]
        share_file: Option<PathBuf>,
    },
    /// Make and fill a key file, take keys through their life, hold ceremonies, read the audit log
    #[command(subcommand)]
    Keys(key_file::Keys),
    /// Dialects, and messages in them: list, show, check, convert, decode, encode, diff, doctor
    #[command(subcommand)]
    Dialect(dialect::DialectCommand),
    /// Open the next business date now
    CutOver {
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Args)]
struct DemoArgs {
    /// How long payments begin
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(3..=3600))]
    seconds: u64,
    /// Payments per second
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    rate: u32,
    /// No bank outage and no kill
    #[arg(long)]
    calm: bool,
    /// The summary as one JSON object on stdout
    #[arg(long)]
    json: bool,
    /// Where the journal goes; the folder for temporary files if not given
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Leave the folder behind, to look into its journal
    #[arg(long)]
    keep: bool,
    /// Run although the folder is in memory, where nothing is durable
    #[arg(long)]
    allow_tmpfs: bool,
}

#[derive(Subcommand)]
enum Saf {
    /// List open obligations, oldest first
    List {
        #[command(flatten)]
        place: Place,
        /// Those that ended otherwise than paid instead: refused for good, or settled by hand
        #[arg(long)]
        exceptions: bool,
        /// One JSON array; of exceptions an object with their count
        #[arg(long)]
        json: bool,
    },
    /// Close an obligation by hand; it stays on the books as an exception with your reason
    Settle {
        /// Its id, from `yika saf list`
        id: u64,
        /// Why, and with whom it was agreed; stays in the journal
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Subcommand)]
enum Journal {
    /// Read every frame, open every seal, replay every entry
    Verify {
        #[command(flatten)]
        place: Place,
        /// One JSON object on one line
        #[arg(long)]
        json: bool,
    },
    /// One line per entry; card numbers are masked, kept fields are named and not shown
    Dump {
        #[command(flatten)]
        place: Place,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Make a new anchor for the whole journal of a stopped switch that has lost its own
    Anchor {
        #[command(flatten)]
        place: Place,
        /// Write it: what is shown is the end of the journal
        #[arg(long)]
        yes: bool,
    },
    /// Sizes, counts by kind, and what is open
    Stats {
        #[command(flatten)]
        place: Place,
        /// One JSON object on one line
        #[arg(long)]
        json: bool,
    },
}

/// Which switch or journal is meant.
#[derive(Args)]
#[group(required = true, multiple = true)]
struct Place {
    /// The configuration file of the switch
    #[arg(long)]
    config: Option<PathBuf>,
    /// Its data folder
    #[arg(long)]
    data: Option<PathBuf>,
}

/// Why a command was not carried out, with the exit code that says of what kind it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error("{0}")]
    Key(String),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Demo(#[from] DemoError),
    #[error(transparent)]
    Journal(#[from] RecoveryError),
    /// What was typed cannot be meant. It is never repeated: it may hold a card number.
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Control(String),
    /// A dialect or a message that cannot be read. Values of messages are never repeated.
    #[error("{0}")]
    Dialect(String),
    /// A file that cannot be read.
    #[error("{0}")]
    Input(String),
    #[error("cannot write to standard output: {0}")]
    Out(#[from] std::io::Error),
}

impl CliError {
    fn code(&self) -> u8 {
        match self {
            CliError::Config(_) | CliError::Key(_) | CliError::Journal(RecoveryError::WrongKey { .. }) => 78,
            CliError::Serve(
                ServeError::Start(
                    StartError::Key(_)
                    | StartError::Debts(_)
                    | StartError::Recovery(RecoveryError::WrongKey { .. }),
                )
                | ServeError::Clock { .. }
                | ServeError::DataDir(DataDirError::OpenToOthers { .. }),
            ) => 78,
            CliError::Demo(DemoError::Tmpfs { .. }) | CliError::Usage(_) => 2,
            CliError::Dialect(_) => dialect::DATA_ERROR,
            // 128 and the number of SIGINT, as shells say it.
            CliError::Demo(DemoError::Interrupted) => 130,
            CliError::Demo(DemoError::Config(_)) => panics::INTERNAL,
            CliError::Serve(_)
            | CliError::Demo(_)
            | CliError::Journal(_)
            | CliError::Control(_)
            | CliError::Input(_)
            | CliError::Out(_) => 74,
        }
    }
}

/// Runs the command of this process's arguments.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    // The demo's switch is a process of its own and must not outlive it.
    let demo = matches!(cli.command, Command::Demo(_));
    panics::tell(if demo { OnPanic::Unwind } else { OnPanic::End });
    init_logs();
    leave_no_dump();
    if let Err(error) = outlive_file_size_limit() {
        tracing::warn!(%error, "a file-size limit (ulimit -f) may end this process without a word");
    }
    if let Err(error) = yika_keystore::Arena::kind() {
        tracing::error!(%error, "there is no memory that keys may be in");
        return ExitCode::from(78);
    }
    let code = match panics::caught(|| carry_out(cli.command)) {
        None => ExitCode::from(panics::INTERNAL),
        Some(Ok(code)) => code,
        // Whoever closed the pipe has seen enough.
        Some(Err(CliError::Out(error))) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Some(Err(error)) => {
            complain(&format!("yika: {error}"));
            ExitCode::from(error.code())
        }
    };
    logs::flush();
    code
}

fn carry_out(command: Command) -> Result<ExitCode, CliError> {
    match command {
        Command::Serve { config, data, accept_clock } => {
            let mut config = load(&config)?;
            if let Some(data) = data {
                config.data_dir = data;
            }
            let clock = if accept_clock { ClockJudge::Accept } else { ClockJudge::Refuse };
            serve_until_stopped(&config, clock)
        }
        Command::Check { config } => {
            let config = load(&config)?;
            let keys = keys::open_if_at_hand(&config)?;
            if let Some(keys) = &keys {
                check::pin_keys(&config, keys)?;
            }
            print(|out| check::print(out, &config, keys.as_ref()))
        }
        Command::Demo(args) => {
            let balanced = crate::demo::run(&DemoOptions {
                seconds: args.seconds,
                rate: args.rate,
                calm: args.calm,
                json: args.json,
                folder: args.dir,
                keep: args.keep,
                allow_tmpfs: args.allow_tmpfs,
            })?;
            Ok(if balanced { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Status { place, json } => print(|out| saf::status(out, &place, json)),
        Command::Saf(Saf::List { place, exceptions: false, json }) => {
            print(|out| saf::list(out, &place, json))
        }
        Command::Saf(Saf::List { place, exceptions: true, json }) => {
            print(|out| saf::exceptions(out, &place, json))
        }
        Command::Totals { date, place, json } => print(|out| totals::totals(out, &place, date, json)),
        Command::Saf(Saf::Settle { id, reason, place }) => print(|out| saf::settle(out, &place, id, &reason)),
        Command::Drain { name, end, place } => print(|out| saf::drain(out, &place, &name, end)),
        Command::SignOff { terminal, acquirer, merchant, place, .. } => {
            let whom =
                terminal.zip(acquirer).map(|(terminal, acquirer)| Terminal { acquirer, terminal, merchant });
            print(|out| saf::sign_off(out, &place, whom))
        }
        Command::Dialect(command) => {
            let mut out = Out::new();
            let done = dialect::carry_out(&mut out, command);
            let finished = out.finish();
            done.and_then(|code| finished.map(|()| code))
        }
        Command::KeyChange { name, usage, place } => print(|out| saf::key_change(out, &place, &name, usage)),
        Command::Unlock { config, share_file } => {
            let config = load(&config)?;
            print(|out| unlock::give(out, &config, share_file.as_deref()))
        }
        Command::Keys(command) => print(|out| key_file::carry_out(out, command)),
        Command::CutOver { place } => print(|out| saf::cut_over(out, &place)),
        Command::Journal(Journal::Verify { place, json }) => print(|out| journal::verify(out, &place, json)),
        Command::Journal(Journal::Dump { place, json }) => print(|out| journal::dump(out, &place, json)),
        Command::Journal(Journal::Anchor { place, yes }) => print(|out| journal::anchor(out, &place, yes)),
        Command::Journal(Journal::Stats { place, json }) => print(|out| journal::stats(out, &place, json)),
    }
}

fn key_use(text: &str) -> Result<KeyUse, String> {
    match text {
        "mac" => Ok(KeyUse::Mac),
        "pin" => Ok(KeyUse::Pin),
        _ => Err("it is neither mac nor pin".to_owned()),
    }
}

/// An F41 or F42 as it is typed.
fn fits<const N: usize>(text: &str) -> Result<String, String> {
    if text.len() <= N { Ok(text.to_owned()) } else { Err(format!("it has at most {N} characters")) }
}

/// Runs a command whose work is what it prints.
fn print(command: impl FnOnce(&mut Out) -> Result<(), CliError>) -> Result<ExitCode, CliError> {
    let mut out = Out::new();
    let done = command(&mut out);
    // What was said before a failure belongs before it.
    let finished = out.finish();
    done.and(finished).map(|()| ExitCode::SUCCESS)
}

fn serve_until_stopped(config: &Config, clock: ClockJudge) -> Result<ExitCode, CliError> {
    // Whatever is made from here on belongs to this user alone, also before its own mode is set.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let keystore = Arc::new(keys::open_to_serve(config)?);
    if keystore.is_test() {
        tracing::warn!(
            "TEST MASTER KEY: anybody can read what this switch seals. Never use it with real cards"
        );
    }
    for what in config.unprotected() {
        tracing::warn!("NO MAC: {what}; never with real money");
    }
    match serve(config, keystore, hsm::backend(config)?, clock)? {
        Stop::Drained => tracing::info!("drained and stopped; nothing was in flight"),
        Stop::AtOnce { in_flight: 0 } => {
            tracing::warn!(
                "stopped at once; nothing was in flight, but not every session had read its answers"
            );
        }
        Stop::AtOnce { in_flight } => {
            tracing::warn!(in_flight, "stopped at once; what was in flight is reversed at the next start");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Keys and cards are in this process's memory, whichever command it runs: no core dump of it is made, and no other process of its user may look
/// into it.
fn leave_no_dump() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let refused = setrlimit(Resource::Core, none).and(set_dumpable_behavior(DumpableBehavior::NotDumpable));
    if let Err(error) = refused {
        tracing::warn!(%error, "core dumps cannot be switched off: a crash may write keys and cards to disk");
    }
}

impl Place {
    fn config(&self) -> Result<Option<Config>, CliError> {
        Ok(self.config.as_deref().map(load).transpose()?)
    }

    /// The journal in it, which must be there: a misspelt folder is not an empty journal.
    fn journal(&self) -> Result<PathBuf, CliError> {
        let folder = journal_in(&self.data()?);
        let what = match std::fs::read_dir(&folder) {
            Ok(_) => return Ok(folder),
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
                format!("cannot read {}: {e}; run this as the user that the switch runs as", folder.display())
            }
            Err(_) => format!(
                "there is no journal at {}: --data must name the data folder of a switch that has run",
                folder.display()
            ),
        };
        Err(CliError::Control(what))
    }

    /// The data folder that is meant.
    fn data(&self) -> Result<PathBuf, CliError> {
        match (&self.data, self.config()?) {
            (Some(data), _) => Ok(data.clone()),
            (None, Some(config)) => Ok(config.data_dir),
            (None, None) => Err(CliError::Control("say --config or --data".into())),
        }
    }
}

fn init_logs() {
    logs::start();
    let wanted = std::env::var("YIKA_LOG").unwrap_or_else(|_| "info".to_owned());
    let filter = EnvFilter::try_new(&wanted).unwrap_or_else(|error| {
        complain(&format!("yika: YIKA_LOG=\"{wanted}\" is no level ({error}): info is used"));
        EnvFilter::new("info")
    });
    // A reader of the log that goes away must not end the switch: by default a failed write is told by a panic.
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(logs::line)
        .with_target(false)
        .log_internal_errors(false);
    // A second call only happens in tests; the first one stays.
    let _ = match std::env::var_os("YIKA_LOG_JSON") {
        Some(_) => logs.json().try_init(),
        None => logs.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever starts it again and again must see that time mends nothing here.
    #[test]
    fn another_master_key_is_a_fault_of_configuration_and_damage_is_not() {
        let wrong = || RecoveryError::WrongKey { file: "segment-1".into(), check_value: "ABCDEF".into() };
        assert_eq!(CliError::Journal(wrong()).code(), 78);
        assert_eq!(CliError::Serve(ServeError::Start(StartError::Recovery(wrong()))).code(), 78);
        let damaged = RecoveryError::Damaged { file: "segment-1".into(), offset: 0, what: "torn".into() };
        assert_eq!(CliError::Journal(damaged).code(), 74);
    }
}
