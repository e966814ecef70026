//! Sessions with one token: a bounded number, opened as they are needed, logged in, given back after each piece of work.
//!
//! When the token or its login is gone, all idle sessions are dropped, the token is looked for again by its label, and the
//! work is tried once more. A PIN that was refused is not tried a second time: tokens count.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use crate::error::{TokenError, is_lost};

/// Libraries that were loaded, which stay so: PKCS#11 lets a process initialize each but once.
static LIBRARIES: Mutex<Vec<(PathBuf, Pkcs11)>> = Mutex::new(Vec::new());

pub(crate) struct Pool {
    library: Pkcs11,
    label: String,
    pin: AuthPin,
    sessions_max: usize,
    state: Mutex<State>,
    given_back: Condvar,
}

struct State {
    idle: Vec<Session>,
    out: usize,
    /// The token refused the PIN: nobody tries it again.
    locked_out: bool,
    /// Why the last work found no token; nothing while it works.
    trouble: Option<String>,
}

impl Pool {
    /// Opens the first session, so that all that can be wrong is told now.
    pub(crate) fn open(
        library: &Path,
        label: &str,
        pin: AuthPin,
        sessions_max: usize,
    ) -> Result<Pool, TokenError> {
        let library = load(library)?;
        let state = State { idle: Vec::new(), out: 0, locked_out: false, trouble: None };
        let pool = Pool {
            library,
            label: label.to_owned(),
            pin,
            sessions_max,
            state: Mutex::new(state),
            given_back: Condvar::new(),
        };
        let first = pool.connect()?;
        pool.state().idle.push(first);
        Ok(pool)
    }

    /// Does `work` in a session; `what` is it for a message. Waits while all sessions are in use.
    pub(crate) fn with<T>(
        &self,
        what: &'static str,
        mut work: impl FnMut(&Session) -> Result<T, Error>,
    ) -> Result<T, TokenError> {
        let failed = |source| TokenError::Failed { what, source };
        let session = self.take()?;
        match work(&session) {
            Err(error) if is_lost(&error) => {}
            done => {
                self.give_back(Some(session));
                return done.map_err(failed);
            }
        }
        drop(session);
        self.state().idle.clear();
        match self.connect() {
            Ok(session) => {
                let done = work(&session);
                self.give_back(done.as_ref().err().is_none_or(|error| !is_lost(error)).then_some(session));
                done.map_err(failed)
            }
            Err(error) => {
                self.give_back(None);
                Err(error)
            }
        }
    }

    /// Its label, and why it does not work, if it does not.
    pub(crate) fn stands(&self) -> (&str, Option<String>) {
        (&self.label, self.state().trouble.clone())
    }

    fn take(&self) -> Result<Session, TokenError> {
        let mut state = self.state();
        loop {
            if let Some(session) = state.idle.pop() {
                state.out += 1;
                return Ok(session);
            }
            if state.out < self.sessions_max {
                break;
            }
            state = self.given_back.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.out += 1;
        drop(state);
        self.connect().inspect_err(|_| self.give_back(None))
    }

    fn give_back(&self, session: Option<Session>) {
        let mut state = self.state();
        state.out -= 1;
        state.idle.extend(session);
        self.given_back.notify_one();
    }

    fn connect(&self) -> Result<Session, TokenError> {
        let connected = self.connect_now();
        self.state().trouble = connected.as_ref().err().map(ToString::to_string);
        connected
    }

    fn connect_now(&self) -> Result<Session, TokenError> {
        let failed = |what| move |source| TokenError::Failed { what, source };
        let wrong = |tries| TokenError::WrongPin { token: self.label.clone(), tries };
        if self.state().locked_out {
            return Err(wrong("it was refused before and is not tried again"));
        }
        let slot = self.slot()?;
        let session = self.library.open_rw_session(slot).map_err(failed("open a session"))?;
        match session.login(UserType::User, Some(&self.pin)) {
            // The login is the process's, whichever of its sessions made it.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(Error::Pkcs11(
                RvError::PinIncorrect | RvError::PinLocked | RvError::PinInvalid | RvError::PinLenRange,
                _,
            )) => {
                self.state().locked_out = true;
                Err(wrong(self.tries_left(slot)))
            }
            Err(source) => Err(TokenError::Failed { what: "log in", source }),
        }
    }

    fn slot(&self) -> Result<Slot, TokenError> {
        let failed = |source| TokenError::Failed { what: "list its slots", source };
        let mut found = Vec::new();
        for slot in self.library.get_slots_with_token().map_err(failed)? {
            let Ok(info) = self.library.get_token_info(slot) else { continue };
            if !info.token_initialized() {
                continue;
            }
            if info.label() == self.label {
                return Ok(slot);
            }
            found.push(info.label().to_owned());
        }
        Err(TokenError::NotFound { wanted: self.label.clone(), found })
    }

    fn tries_left(&self, slot: Slot) -> &'static str {
        match self.library.get_token_info(slot) {
            Ok(info) if info.user_pin_locked() => "it is locked; its security officer has to set a new one",
            Ok(info) if info.user_pin_final_try() => "one try is left before it locks",
            Ok(info) if info.user_pin_count_low() => {
                "a wrong one was entered since the last login, and few tries may be left"
            }
            _ => "the token does not say how many tries are left",
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(path: &Path) -> Result<Pkcs11, TokenError> {
    let refuse = |reason: String| TokenError::Library { path: path.to_owned(), reason };
    let mut libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, library)) = libraries.iter().find(|(known, _)| known == path) {
        return Ok(library.clone());
    }
    let library = Pkcs11::new(path).map_err(|error| refuse(error.to_string()))?;
    match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(refuse(error.to_string())),
    }
    libraries.push((path.to_owned(), library.clone()));
    Ok(library)
}
