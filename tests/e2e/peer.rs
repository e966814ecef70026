//! Scripted peers over real sockets: a terminal that says exactly this, a bank that answers exactly that. They
//! read and write with the codec and share nothing else with the switch; every wait of theirs has a limit.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use yika_codec::{Dialect, FieldSet, ReversalStyle};
use yika_switch::core::clock::month_to_second;
use yika_tests::Wire;
use yika_tests::setup::dialect;

/// Longer than anything here takes on a busy machine.
const HEARS_WITHIN: Duration = Duration::from_secs(30);

/// Fields that an answer takes over from its request.
const ECHO: [u8; 11] = [2, 3, 4, 7, 11, 12, 13, 37, 41, 42, 60];

/// One connection, and what came on it.
pub(crate) struct Peer {
    stream: TcpStream,
    dialect: Arc<Dialect>,
    bytes: Vec<u8>,
    heard: VecDeque<Heard>,
}

/// A message and the header it came with, which its answer must turn around.
pub(crate) struct Heard {
    pub(crate) wire: Wire,
    header: Vec<u8>,
}

impl Peer {
    pub(crate) fn connect(address: SocketAddr, dialect_name: &str) -> Peer {
        Peer::over(TcpStream::connect(address).unwrap(), dialect(dialect_name))
    }

    /// A connection that stands already.
    pub(crate) fn over(stream: TcpStream, dialect: Arc<Dialect>) -> Peer {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(HEARS_WITHIN)).unwrap();
        stream.set_write_timeout(Some(HEARS_WITHIN)).unwrap();
        Peer { stream, dialect, bytes: Vec::new(), heard: VecDeque::new() }
    }

    pub(crate) fn sends(&mut self, wire: &Wire) {
        let bytes = wire.encode(&self.dialect, self.dialect.default_header());
        self.sends_bytes(&bytes);
    }

    pub(crate) fn sends_bytes(&mut self, bytes: &[u8]) {
        // A connection that is gone is noticed by whoever listens next.
        let _ = self.stream.write_all(bytes);
    }

    /// Sends nothing more; it still listens.
    pub(crate) fn has_said_all(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// The next message.
    #[track_caller]
    pub(crate) fn hears(&mut self) -> Wire {
        self.hears_or_ends().expect("the connection was closed").wire
    }

    /// The next message; None when the other side closed the connection.
    #[track_caller]
    pub(crate) fn hears_or_ends(&mut self) -> Option<Heard> {
        let mut part = [0; 4096];
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return Some(heard);
            }
            match self.stream.read(&mut part) {
                Ok(0) => return None,
                Ok(count) => self.bytes.extend_from_slice(&part[..count]),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return None,
                Err(e) => panic!("nothing was said within {HEARS_WITHIN:?}: {e}"),
            }
            let found = Wire::take_all(&self.dialect, &mut self.bytes).into_iter();
            self.heard.extend(found.map(|frame| Heard { wire: frame.wire, header: frame.header }));
        }
    }

    /// Sends a request and hears its answer.
    #[track_caller]
    pub(crate) fn asks(&mut self, wire: &Wire) -> Wire {
        self.sends(wire);
        self.hears()
    }
}

/// A bank whose every answer is given by hand. The switch connects to it with one line.
pub(crate) struct Bank {
    pub(crate) name: &'static str,
    pub(crate) dialect: &'static str,
    listener: TcpListener,
    line: Option<Peer>,
}

impl Bank {
    pub(crate) fn open(name: &'static str, dialect: &'static str) -> Bank {
        Bank { name, dialect, listener: TcpListener::bind(("127.0.0.1", 0)).unwrap(), line: None }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The next request that reaches it; a line that was closed is taken up again first.
    #[track_caller]
    pub(crate) fn hears(&mut self) -> Heard {
        loop {
            let line = self
                .line
                .get_or_insert_with(|| Peer::over(self.listener.accept().unwrap().0, dialect(self.dialect)));
            match line.hears_or_ends() {
                Some(heard) => return heard,
                None => self.line = None,
            }
        }
    }

    /// Drops its line and all that came on it and was not heard.
    pub(crate) fn hangs_up(&mut self) {
        self.line = None;
    }

    pub(crate) fn answers(&mut self, request: &Heard, code: &str) {
        let wire = &request.wire;
        let mut answer = Wire { mti: wire.mti.response(), fields: FieldSet::new() };
        for n in ECHO {
            if let Some(value) = wire.fields.get(n) {
                answer = answer.with(n, value);
            }
        }
        if code == "00" {
            answer = answer.with(38, "A12345");
        }
        let line = self.line.as_mut().expect("a request was heard on it");
        let bytes = answer.with(39, code).encode(&line.dialect, &request.header);
        line.sends_bytes(&bytes);
    }
}

/// F7 of now in UTC, F13 and F12 of now in the switch's zone.
fn now() -> (String, String, String) {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let local = format!("{:010}", month_to_second(wall, 480));
    (format!("{:010}", month_to_second(wall, 0)), local[4..].to_owned(), local[..4].to_owned())
}

/// A purchase as a terminal of this dialect sends it.
pub(crate) fn purchase(dialect_name: &str, pan: &str, stan: u32, minor: u64) -> Wire {
    let (utc, time, date) = now();
    let wire =
        yika_tests::purchase(minor).with(2, pan).with(11, format!("{stan:06}")).with(12, time).with(13, date);
    match dialect(dialect_name).reversal() {
        ReversalStyle::F90Advice => wire.with(7, utc),
        // F60: type 22 (purchase), batch, network code.
        ReversalStyle::F61Request => wire.with(60, "22000001000"),
    }
}

/// The reversal of `wire` as a terminal of its dialect sends it.
pub(crate) fn reversal(dialect_name: &str, wire: &Wire, stan: u32) -> Wire {
    match dialect(dialect_name).reversal() {
        ReversalStyle::F90Advice => wire.reversal(&format!("{stan:06}")),
        ReversalStyle::F61Request => {
            let original = format!("000001{}{}", wire.stan(), wire.text(13));
            let mut reversal = Wire::new(0x0400).with(39, "98").with(61, original);
            for (n, value) in wire.fields.iter() {
                reversal = reversal.with(n, value);
            }
            reversal
        }
    }
}

/// The F11 of the message that a reversal undoes.
pub(crate) fn names(reversal: &Wire) -> String {
    let f90 = reversal.text(90);
    if f90.is_empty() { reversal.text(61)[6..12].to_owned() } else { f90[4..10].to_owned() }
}
