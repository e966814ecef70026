//! How one side writes and checks messages: dialect, framing and MAC key together, and the buffers of one socket.
//!
//! Promises: one buffer in and one out per socket, no allocation per message once they have grown. A message that
//! cannot be encoded is a fault of ours and is reported, never sent in part.

use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use yika_codec::{Dialect, Draft, EncodeError, Framing, Message};
use yika_keystore::MacKey;

/// The longest message taken from a peer.
pub(crate) const FRAME_BYTES_MAX: usize = 8192;

/// Room made before each read; about a hundred messages.
const READ_BYTES: usize = 32 * 1024;

/// What the value of the MAC field is until the MAC is made.
const MAC_PLACE: [u8; 8] = [0; 8];

/// How messages look between two sides.
#[derive(Clone)]
pub struct Wire {
    /// Header, fields, kinds.
    pub dialect: Arc<Dialect>,
    /// How the length is written.
    pub framing: Framing,
    /// The key of both directions; without one no MAC is sent or looked for.
    pub mac: Option<MacKey>,
}

/// A dialect or framing that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// No such built-in dialect.
    #[error("no dialect is named `{name}`; there are {known}")]
    Dialect {
        /// The name given.
        name: String,
        /// Names that exist.
        known: String,
    },
    /// No such framing.
    #[error("no framing is named `{name}`; there are {known}")]
    Framing {
        /// The name given.
        name: String,
        /// Names that exist.
        known: String,
    },
}

/// What the MAC of a received message is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MacCheck {
    /// Good, or none is agreed on.
    Holds,
    /// There is none, though there has to be.
    Missing,
    /// It does not belong to the message.
    Wrong,
}

impl Wire {
    /// A built-in dialect with its usual framing, or another one by name.
    ///
    /// # Errors
    /// When there is no such dialect or framing; the error lists those there are.
    pub fn named(dialect: &str, framing: Option<&str>, mac: Option<MacKey>) -> Result<Wire, WireError> {
        let list = |names: &mut dyn Iterator<Item = &'static str>| names.collect::<Vec<_>>().join(", ");
        let found = Dialect::builtin(dialect).ok_or_else(|| WireError::Dialect {
            name: dialect.to_owned(),
            known: list(&mut Dialect::builtin_names()),
        })?;
        let framing = match framing {
            None => found.framing(),
            Some(name) => Framing::parse(name).ok_or_else(|| WireError::Framing {
                name: name.to_owned(),
                known: Framing::FORMS.to_owned(),
            })?,
        };
        Ok(Wire { dialect: found, framing, mac })
    }

    /// Appends the message with its length, and with its MAC if a key is set.
    pub(crate) fn write<'a>(&self, draft: &mut Draft<'a>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.write_under(self.mac.as_ref(), draft, out)
    }

    /// Appends the message without a MAC: network messages travel before there are keys.
    pub(crate) fn write_plain(&self, draft: &mut Draft<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.write_under(None, draft, out)
    }

    fn write_under<'a>(
        &self,
        mac: Option<&MacKey>,
        draft: &mut Draft<'a>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if mac.is_some() {
            draft.set(self.dialect.mac_field(), &MAC_PLACE);
        }
        let mark = self.framing.begin(out);
        let encoded = self.dialect.encode(draft, out).inspect_err(|_| out.truncate(mark))?;
        if let (Some(key), Some(place)) = (mac, &encoded.mac) {
            let mac = key.generate(&out[encoded.message.start..place.start]);
            self.dialect.set_mac(out, &encoded, &mac);
        }
        self.framing.finish(out, mark).expect("the fields of our dialects end far below 9999 bytes");
        Ok(())
    }

    /// Checks the MAC of a received message.
    pub(crate) fn check_mac(&self, message: &Message<'_>) -> MacCheck {
        let Some(key) = &self.mac else { return MacCheck::Holds };
        let (Some(data), Some(mac)) = (message.mac_input(), message.mac()) else { return MacCheck::Missing };
        if key.verify(data, &mac, ()).is_ok() { MacCheck::Holds } else { MacCheck::Wrong }
    }
}

/// Reads what is there; `Ok(false)` when nothing was.
///
/// # Errors
/// When the connection is gone; the end of the stream is `UnexpectedEof`.
pub(crate) fn read_some(stream: &TcpStream, inbox: &mut Vec<u8>) -> io::Result<bool> {
    inbox.reserve(READ_BYTES);
    match stream.try_read_buf(inbox) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes as much as the socket takes and keeps the rest; `Ok(true)` when nothing is left.
///
/// # Errors
/// When the connection is gone.
pub(crate) fn write_some(stream: &TcpStream, outbox: &mut Vec<u8>) -> io::Result<bool> {
    let mut written = 0;
    let result = loop {
        if written == outbox.len() {
            break Ok(true);
        }
        match stream.try_write(&outbox[written..]) {
            Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
            Ok(bytes) => written += bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(false),
            Err(error) => break Err(error),
        }
    };
    outbox.drain(..written);
    result
}
