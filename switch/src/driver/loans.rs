//! Bytes that somebody beside the driver gives to the kernel: lent, and given back with how far it came. Only what sessions
//! are told is lent. What lines carry is not: whether a request left decides what is owed (rule 9).

use super::Driver;
use crate::core::ids::SessionId;
use crate::wipe::wipe;

impl Driver {
    /// Whether the kernel has all that was ever said to the session.
    pub fn session_has_all(&self, id: SessionId) -> bool {
        self.session(id).is_none_or(|session| session.out.is_empty())
    }

    /// Lends what is pending for the session to whoever writes it beside us. Nothing more is pending for it until
    /// `session_given_back`; `spare` is memory for what is said meanwhile.
    pub fn lend_session(&mut self, id: SessionId, spare: &mut Vec<u8>) -> Option<Vec<u8>> {
        let session = self.sessions.get_mut(id.slot as usize)?.as_mut()?;
        if session.id == id { session.out.lend(spare) } else { None }
    }

    /// Whether somebody else is writing to the session, so that what is said after it cannot be written yet.
    pub fn session_is_lent(&self, id: SessionId) -> bool {
        self.session(id).is_some_and(|session| session.out.is_lent())
    }

    /// What was lent is back; the kernel took the first `taken` bytes. Returns memory that is free again.
    pub fn session_given_back(&mut self, id: SessionId, mut bytes: Vec<u8>, taken: usize) -> Vec<u8> {
        match self.sessions.get_mut(id.slot as usize) {
            Some(Some(session)) if session.id == id => session.out.give_back(bytes, taken),
            _ => {
                wipe(&mut bytes);
                bytes.clear();
                bytes
            }
        }
    }
}
