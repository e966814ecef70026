//! The listeners' ports, in two steps: all are taken before the journal is touched, so that a port in use changes
//! nothing; connections are let in only when the recovery is durable.

use super::serve::{ServeError, Shared, accept};
use crate::config::Config;
use crate::core::ids::ListenerNo;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that the kernel holds for a listener until they are accepted.
const BACKLOG: u32 = 4096;

/// Ports that are taken and not open: who connects is refused.
pub(super) struct Bound(Vec<(SocketAddr, TcpSocket)>);

/// Takes the port of every listener.
///
/// # Errors
/// `ServeError::Listen` for the first that cannot be taken; the others are given back.
pub(super) fn bind_all(config: &Config) -> Result<Bound, ServeError> {
    let bound = config.listeners.iter().map(|listener| {
        let address = listener.address;
        bind(address).map(|socket| (address, socket)).map_err(|source| ServeError::Listen { address, source })
    });
    Ok(Bound(bound.collect::<Result<_, _>>()?))
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of an earlier life that still wind down must not keep the port from us.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

impl Bound {
    /// Lets connections in, and gives the addresses that are really listened on.
    ///
    /// # Errors
    /// `ServeError::Listen`, when another program took the same port between the two steps.
    pub(super) fn open(self, config: &Config, shared: &Rc<Shared>) -> Result<Vec<SocketAddr>, ServeError> {
        let mut opened: Vec<(SocketAddr, TcpListener)> = Vec::new();
        // All are open before any is served: one that fails must not leave half a switch.
        for (address, socket) in self.0 {
            let socket = socket.listen(BACKLOG).map_err(|source| ServeError::Listen { address, source })?;
            opened.push((socket.local_addr().unwrap_or(address), socket));
        }
        let addresses = opened.iter().map(|(address, _)| *address).collect();
        for (at, (address, socket)) in opened.into_iter().enumerate() {
            let listener = &config.listeners[at];
            tracing::info!(%address, participant = listener.participant, dialect = listener.dialect.name(), "listening");
            tokio::task::spawn_local(accept(shared.clone(), socket, ListenerNo(at as u16)));
        }
        Ok(addresses)
    }
}
