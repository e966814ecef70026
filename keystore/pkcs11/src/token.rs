//! The token as others see it: settings, the PIN file, random numbers.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use crate::error::TokenError;
use crate::pool::Pool;

/// Where a token is, and how it is opened.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// The token's PKCS#11 library; for SoftHSM2 of Debian `/usr/lib/softhsm/libsofthsm2.so`.
    pub library: PathBuf,
    /// The token's label.
    pub token: String,
    /// A file that holds the user's PIN and nothing else; its owner alone may read it (mode 0600).
    pub pin_file: PathBuf,
    /// Sessions at a time, 1 to 64; work beyond them waits.
    pub sessions_max: usize,
}

/// A token that was opened and logged into. Shared between threads; calls block.
pub struct Token {
    pub(crate) pool: Pool,
}

/// More than any token lets one application have.
const SESSIONS_MAX: usize = 64;
/// More than any PIN has.
const PIN_FILE_BYTES_MAX: u64 = 256;

impl Token {
    /// Loads the library, finds the token and logs in.
    ///
    /// # Errors
    /// `Library`, `NotFound` with the labels there are, `PinFile`, `WrongPin`, `Input`, `Failed`.
    pub fn open(settings: &TokenSettings) -> Result<Token, TokenError> {
        if !(1..=SESSIONS_MAX).contains(&settings.sessions_max) {
            return Err(TokenError::Input { what: "number of sessions", expected: "1 to 64" });
        }
        let pin = read_pin(&settings.pin_file)?;
        let pool = Pool::open(&settings.library, &settings.token, pin, settings.sessions_max)?;
        Ok(Token { pool })
    }

    /// Fills `out` from the token's generator.
    ///
    /// # Errors
    /// `Failed`; what is in `out` is then not to be used.
    pub fn random(&self, out: &mut [u8]) -> Result<(), TokenError> {
        self.pool.with("draw random numbers", |session| session.generate_random_slice(out))
    }
}

fn read_pin(path: &Path) -> Result<AuthPin, TokenError> {
    let refuse = |reason: String| TokenError::PinFile { path: path.to_owned(), reason };
    let read = |error: std::io::Error| refuse(error.to_string());
    let file = File::open(path).map_err(read)?;
    let mode = file.metadata().map_err(read)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(refuse(format!("others may use it (mode {:03o}): chmod 600 it", mode & 0o777)));
    }
    // As long as it gets: text that grows leaves what it was behind.
    let mut text = Zeroizing::new(String::with_capacity(PIN_FILE_BYTES_MAX as usize + 1));
    file.take(PIN_FILE_BYTES_MAX).read_to_string(&mut text).map_err(read)?;
    let pin = text.trim_end_matches(['\r', '\n']);
    if pin.is_empty() || pin.contains('\n') {
        return Err(refuse("expected the PIN on one line, and nothing else".to_owned()));
    }
    Ok(AuthPin::new(pin.into()))
}
