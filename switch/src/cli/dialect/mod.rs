//! `yika dialect`: what dialects there are and how their fields look; messages from bytes to words and back; what bytes
//! might be that no one can read. Card numbers are masked and other secrets hidden unless somebody says --clear.

mod bytes;
pub mod convert;
mod decode;
mod diff;
mod doctor;
mod encode;
mod foreign;
mod list;
mod pcap;
mod values;

use super::CliError;
use super::out::Out;
use clap::{Args, Subcommand};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use yika_codec::{Dialect, Framing};

/// Exit code of input that is no message of its dialect (sysexits.h, EX_DATAERR).
pub(super) const DATA_ERROR: u8 = 65;

#[derive(Subcommand)]
pub(super) enum DialectCommand {
    /// The dialects that ship with the switch
    List {
        /// One JSON array
        #[arg(long)]
        json: bool,
    },
    /// The fields of a dialect, and how each looks on the wire
    Show {
        /// A built-in dialect by name, or a .toml file
        dialect: String,
        /// One JSON object
        #[arg(long)]
        json: bool,
        /// The file itself, to begin another from
        #[arg(long, conflicts_with = "json")]
        toml: bool,
    },
    /// Read a dialect file and name everything that is wrong with it, with line and column
    Check {
        /// The .toml file
        file: PathBuf,
    },
    /// From the field descriptions of others to a dialect file on stdout; what did not come over as it stood on stderr
    Convert {
        /// A jPOS GenericPackager (XML), or a moov-io/iso8583 spec (JSON or YAML); - for stdin
        file: PathBuf,
        /// What it is; told from the contents if not given
        #[arg(long, value_parser = ["jpos", "moov"])]
        from: Option<String>,
        /// The name of the dialect; else that of the file
        #[arg(long)]
        name: Option<String>,
        /// One JSON object: toml, and report
        #[arg(long)]
        json: bool,
    },
    /// From bytes to fields: hex, a file of bytes or hex, a capture (pcap or pcapng), or stdin
    Decode {
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        reading: Reading,
        /// One JSON object to a message, one message to a line
        #[arg(long)]
        json: bool,
        /// Show card numbers, PIN blocks, tracks and other secrets as they are: for test data only
        #[arg(long)]
        clear: bool,
    },
    /// From JSON, as decode --json --clear prints it, to bytes in hex
    Encode {
        /// A file of JSON, one object to a message; - or nothing for stdin
        file: Option<PathBuf>,
        /// A built-in dialect by name, or a .toml file; else what the object says
        #[arg(long)]
        dialect: Option<String>,
        /// Put the length in front that this framing has; `usual` for that of the dialect
        #[arg(long)]
        framing: Option<String>,
    },
    /// What differs between two messages; exit code 1 if anything does
    Diff {
        /// Hex, or a file
        a: String,
        /// Hex, or a file
        b: String,
        #[command(flatten)]
        reading: Reading,
        /// The dialect of the second message, if it is another
        #[arg(long)]
        dialect_b: Option<String>,
        /// Show secrets as they are: for test data only
        #[arg(long)]
        clear: bool,
    },
    /// Given bytes that fail: which framing, header and dialect would make sense of them
    Doctor {
        #[command(flatten)]
        source: Source,
        /// Try this one too: a .toml file
        #[arg(long)]
        dialect: Option<String>,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Where bytes come from.
#[derive(Args)]
pub(super) struct Source {
    /// Hex (blanks and colons may stand in it), or a file; - or nothing for stdin
    input: Option<String>,
}

/// How bytes are read.
#[derive(Args)]
pub(super) struct Reading {
    /// A built-in dialect by name, or a .toml file
    #[arg(long)]
    dialect: String,
    /// The bytes are frames with this length in front (`usual`: that of the dialect); captures are always read so
    #[arg(long)]
    framing: Option<String>,
    /// Of a capture, only what goes to or comes from this TCP port
    #[arg(long)]
    port: Option<u16>,
}

pub(super) fn carry_out(out: &mut Out, command: DialectCommand) -> Result<ExitCode, CliError> {
    match command {
        DialectCommand::List { json } => list::list(out, json)?,
        DialectCommand::Show { dialect, json, toml } => list::show(out, &dialect, json, toml)?,
        DialectCommand::Check { file } => list::check(out, &file)?,
        DialectCommand::Convert { file, from, name, json } => {
            foreign::convert(out, &file, from.as_deref(), name.as_deref(), json)?;
        }
        DialectCommand::Decode { source, reading, json, clear } => {
            return decode::decode(out, &source, &reading, json, clear);
        }
        DialectCommand::Encode { file, dialect, framing } => {
            encode::encode(out, file.as_deref(), dialect.as_deref(), framing.as_deref())?;
        }
        DialectCommand::Diff { a, b, reading, dialect_b, clear } => {
            return diff::diff(out, &a, &b, &reading, dialect_b.as_deref(), clear);
        }
        DialectCommand::Doctor { source, dialect, json } => {
            return doctor::doctor(out, &source, dialect.as_deref(), json);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A dialect by name, or from a file that ends with `.toml`; what that extends stands beside it or is built in.
fn dialect(name: &str) -> Result<Arc<Dialect>, CliError> {
    if let Some(found) = Dialect::builtin(name) {
        return Ok(found);
    }
    if !name.ends_with(".toml") {
        let known: Vec<&str> = Dialect::builtin_names().collect();
        return Err(CliError::Dialect(format!(
            "no dialect has the name that was given; there are {}, or a path that ends with .toml",
            known.join(", ")
        )));
    }
    from_file(Path::new(name)).map(Arc::new)
}

fn from_file(path: &Path) -> Result<Dialect, CliError> {
    let text = text_of(path)?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let resolve = |other: &str| {
        let beside = std::fs::read_to_string(folder.join(format!("{other}.toml"))).ok();
        beside.or_else(|| Dialect::builtin_text(other).map(str::to_owned))
    };
    Dialect::from_toml(&path.display().to_string(), &text, &resolve)
        .map_err(|errors| CliError::Dialect(errors.to_string()))
}

/// The text of a file, or of stdin where the path is `-`.
/// More than any dialect, specification or list of messages has.
const TEXT_BYTES_MAX: u64 = 64 << 20;

fn text_of(path: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    let read = match path.as_os_str() == "-" {
        true => std::io::stdin().lock().take(TEXT_BYTES_MAX + 1).read_to_string(&mut text),
        false => {
            std::fs::File::open(path).and_then(|file| file.take(TEXT_BYTES_MAX + 1).read_to_string(&mut text))
        }
    };
    read.map_err(|error| unread(path, &error))?;
    if text.len() as u64 > TEXT_BYTES_MAX {
        let what = format!("{} is longer than {} MiB", path.display(), TEXT_BYTES_MAX >> 20);
        return Err(CliError::Dialect(what));
    }
    Ok(text)
}

fn unread(path: &Path, error: &std::io::Error) -> CliError {
    let what = if path.as_os_str() == "-" { "stdin".into() } else { path.display().to_string() };
    let said = format!("cannot read {what}: {error}");
    // What is there and is no text is bad data, all else a disk's fault.
    if error.kind() == ErrorKind::InvalidData { CliError::Dialect(said) } else { CliError::Input(said) }
}

/// The framing of this name; `usual` is that of the dialect.
fn framing(name: &str, dialect: &Dialect) -> Result<Framing, CliError> {
    if name == "usual" {
        return Ok(dialect.framing());
    }
    Framing::parse(name).ok_or_else(|| {
        CliError::Dialect(format!(
            "no framing has the name that was given; there are usual, {}",
            Framing::FORMS
        ))
    })
}
