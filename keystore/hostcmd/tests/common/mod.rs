//! HSMs that do what a test says: a simulator at a free port, and a server whose every frame the test writes itself.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping it")]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use yika_hostcmd::hsm::{Server, Simulator, SimulatorConfig};
use yika_hostcmd::{Accepting, Address, Client, ClientConfig, Connecting};
use yika_keystore::{Backend, BackendError, HealthState, Keystore, Lmk, Operation, Outcome};

pub(crate) const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Nothing here takes so long; whoever waits longer has found a bug.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn simulator(config: SimulatorConfig) -> Server {
    simulator_at(LOOPBACK, config)
}

pub(crate) fn simulator_at(addr: SocketAddr, config: SimulatorConfig) -> Server {
    let simulator = Simulator::new(Arc::new(Keystore::in_memory(Lmk::test())), config);
    Server::start(addr, simulator, Accepting::Plain).unwrap()
}

/// A client with short times and one connection.
pub(crate) fn config(addr: SocketAddr) -> ClientConfig {
    ClientConfig {
        connections_count: 1,
        window: 8,
        reconnect_min: Duration::from_millis(1),
        reconnect_max: Duration::from_millis(20),
        breaker_failures: 1_000,
        reply_timeout: LIMIT,
        connect_timeout: LIMIT,
        ..ClientConfig::new(Address { addr, connecting: Connecting::Plain })
    }
}

pub(crate) fn client(config: ClientConfig) -> Client {
    Client::start(config).unwrap()
}

pub(crate) fn wait_for(client: &Client, state: HealthState) {
    assert!(
        client.wait_until(|health| health.state == state, LIMIT),
        "never {state:?}: {:?}",
        client.health()
    );
}

/// So many random bytes: the plainest command that there is.
pub(crate) fn random(client: &Client, bytes: usize) -> Result<Vec<u8>, BackendError> {
    match client.submit(&[Operation::Random { bytes }]).remove(0)? {
        Outcome::Random(random) => Ok(random.to_vec()),
        other => panic!("{other:?}"),
    }
}

/// A server whose frames are the test's.
pub(crate) struct Scripted(TcpListener);

/// One connection to it.
pub(crate) struct Peer(pub(crate) TcpStream);

impl Scripted {
    pub(crate) fn start() -> Scripted {
        Scripted(TcpListener::bind(LOOPBACK).unwrap())
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// The next connection as it comes.
    pub(crate) fn accept(&self) -> TcpStream {
        self.0.accept().unwrap().0
    }

    /// The next connection, its diagnostics answered.
    pub(crate) fn connection(&self) -> Peer {
        let mut peer = Peer(self.accept());
        peer.0.set_read_timeout(Some(LIMIT)).unwrap();
        let (header, code, _) = peer.command();
        assert_eq!(code, "NC");
        peer.reply(&header, b"ND002686047595482904YIKA-TEST");
        peer
    }
}

impl Peer {
    pub(crate) fn connect(addr: SocketAddr) -> Peer {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Peer(stream)
    }

    /// Header of four, code and body of the next frame.
    pub(crate) fn command(&mut self) -> (Vec<u8>, String, Vec<u8>) {
        let frame = self.frame();
        (frame[..4].to_vec(), String::from_utf8(frame[4..6].to_vec()).unwrap(), frame[6..].to_vec())
    }

    /// The next frame without its length.
    pub(crate) fn frame(&mut self) -> Vec<u8> {
        let mut length = [0; 2];
        self.0.read_exact(&mut length).unwrap();
        let mut frame = vec![0; usize::from(u16::from_be_bytes(length))];
        self.0.read_exact(&mut frame).unwrap();
        frame
    }

    pub(crate) fn reply(&mut self, header: &[u8], rest: &[u8]) {
        self.send(&[header, rest].concat());
    }

    /// A frame with its length.
    pub(crate) fn send(&mut self, frame: &[u8]) {
        let length = u16::try_from(frame.len()).unwrap().to_be_bytes();
        self.raw(&[&length, frame].concat());
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Whether the other side has closed it.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        matches!(self.0.read_to_end(&mut rest), Ok(0) | Err(_)) && rest.is_empty()
    }
}
