//! A start that waits for its custodians: the switch listens nowhere and reads no journal until as many of them have given
//! their shares as the master key asks for. Each comes on a terminal of their own (`yika unlock`), through a socket in
//! the data folder that belongs to the switch's user alone. Nobody, and no file, holds the master key before or after.

use super::CliError;
use super::key_file::one_secret;
use super::keys::check_owner;
use crate::config::{Config, Environment};
use crate::data_dir::{DataDir, Guard};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use yika_keystore::{KeyError, Keystore, Lmk, Share};
use zeroize::Zeroizing;

/// A share in text, with room to spare.
const LINE_BYTES_MAX: u64 = 256;
/// Whoever connects says it at once: it is typed before.
const SAY_TIME: Duration = Duration::from_secs(5);
const OPEN: &str = "unlocked";

fn socket_in(data_dir: &Path) -> PathBuf {
    data_dir.join("unlock")
}

/// Waits for the shares of the master key of `key_file`, without end: a signal ends it as any process.
///
/// # Errors
/// When the data folder cannot be used, or the key file is damaged.
pub(super) fn wait(config: &Config, key_file: &Path) -> Result<Keystore, CliError> {
    check_owner(key_file)?;
    let guard = match config.environment {
        Environment::Production => Guard::Refuse,
        Environment::Test => Guard::Warn,
    };
    let _held = DataDir::lock(&config.data_dir, guard).map_err(|e| CliError::Key(e.to_string()))?;
    let path = socket_in(&config.data_dir);
    // One that an earlier process left: this one holds the lock.
    let _ = std::fs::remove_file(&path);
    let failed = |e: std::io::Error| CliError::Key(format!("cannot listen on {}: {e}", path.display()));
    let socket = UnixListener::bind(&path).map_err(failed)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    tracing::warn!(
        "LOCKED: waiting for the custodians' shares of the master key (`yika unlock --config FILE`)"
    );
    let mut shares = Vec::new();
    let store = loop {
        let (stream, _) = socket.accept().map_err(failed)?;
        match hear(stream, &mut shares, key_file) {
            Ok(Some(store)) => break store,
            Ok(None) => {}
            Err(HearError::Gone(error)) => tracing::warn!(%error, "a custodian went away while unlocking"),
            Err(HearError::File(error)) => {
                let _ = std::fs::remove_file(&path);
                return Err(error);
            }
        }
    };
    let _ = std::fs::remove_file(&path);
    tracing::info!("unlocked by {} custodians", shares.len());
    Ok(store)
}

enum HearError {
    Gone(std::io::Error),
    File(CliError),
}

impl From<std::io::Error> for HearError {
    fn from(error: std::io::Error) -> HearError {
        HearError::Gone(error)
    }
}

/// Takes one share and answers; the store when it was the last that was needed.
fn hear(
    mut stream: UnixStream,
    shares: &mut Vec<Share>,
    key_file: &Path,
) -> Result<Option<Keystore>, HearError> {
    stream.set_read_timeout(Some(SAY_TIME))?;
    stream.set_write_timeout(Some(SAY_TIME))?;
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_BYTES_MAX as usize));
    BufReader::with_capacity(1, (&stream).take(LINE_BYTES_MAX)).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        // Somebody asked whether anybody listens here, and said nothing.
        return Ok(None);
    }
    let share = match Share::parse(&line) {
        Ok(share) => share,
        Err(error) => {
            tracing::warn!(%error, "a share was refused");
            return Ok(writeln!(stream, "refused: {error}").map(|()| None)?);
        }
    };
    if shares.iter().any(|other| other.index() == share.index()) {
        let what = "refused: this share was given already; another custodian gives another one";
        return Ok(writeln!(stream, "{what}").map(|()| None)?);
    }
    let (index, threshold) = (share.index(), usize::from(share.threshold()));
    shares.push(share);
    tracing::info!(share = index, "share {} of the {threshold} that are needed", shares.len());
    if shares.len() < threshold {
        return Ok(writeln!(stream, "taken: {} of {threshold}", shares.len()).map(|()| None)?);
    }
    let why = match Lmk::from_shares(shares).and_then(|lmk| Keystore::open(key_file, lmk)) {
        Ok(store) => {
            // Who gave the last share need not wait to hear of it.
            let _ = writeln!(stream, "{OPEN}");
            return Ok(Some(store));
        }
        Err(error @ (KeyError::Components { .. } | KeyError::WrongLmk { .. })) => error,
        Err(error) => return Err(HearError::File(CliError::Key(error.to_string()))),
    };
    // One of them is wrong and nobody can tell which.
    shares.clear();
    tracing::warn!(%why, "the shares do not unlock; all must be given again");
    Ok(writeln!(stream, "refused: {why}; all shares must be given again").map(|()| None)?)
}

/// `yika unlock`: gives one share to a switch that waits for it.
///
/// # Errors
/// When no switch waits, or it refuses the share.
pub(super) fn give(out: &mut impl Write, config: &Config, share: Option<&Path>) -> Result<(), CliError> {
    let path = socket_in(&config.data_dir);
    let connect = || {
        UnixStream::connect(&path).map_err(|e| {
            let path = path.display();
            CliError::Control(format!(
                "no switch waits for shares at {path} ({e}): is it locked, and is this its configuration?"
            ))
        })
    };
    // Before a secret is typed in vain; and anew afterwards, as typing takes longer than the switch listens.
    drop(connect()?);
    let mut line = one_secret(share, "your share, not shown: ")?;
    line.push(b'\n');
    let mut stream = connect()?;
    let failed = |e: std::io::Error| CliError::Control(format!("the switch did not answer: {e}"));
    stream.write_all(&line).map_err(failed)?;
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer).map_err(failed)?;
    match answer.trim_end() {
        "" => Err(CliError::Control("the switch closed the connection without an answer".to_owned())),
        refused if refused.starts_with("refused") => Err(CliError::Key(refused.to_owned())),
        taken => Ok(writeln!(out, "{taken}")?),
    }
}
