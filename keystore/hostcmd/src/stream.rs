//! A connection, under TLS or not: whatever reads and writes bytes.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Both in one.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How a client's connections are protected.
#[derive(Clone, Default)]
pub enum Connecting {
    /// Not at all: for the loopback, or a link that is protected otherwise.
    #[default]
    Plain,
    /// By TLS; see [`crate::tls::connecting`].
    #[cfg(feature = "tls")]
    Tls(tokio_rustls::TlsConnector, rustls::pki_types::ServerName<'static>),
}

/// How a server's connections are protected.
#[derive(Clone, Default)]
pub enum Accepting {
    /// Not at all.
    #[default]
    Plain,
    /// By TLS; see [`crate::tls::accepting`].
    #[cfg(feature = "tls")]
    Tls(tokio_rustls::TlsAcceptor),
}

impl Connecting {
    pub(crate) async fn protect(&self, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        match self {
            Connecting::Plain => Ok(Box::new(stream)),
            #[cfg(feature = "tls")]
            Connecting::Tls(connector, name) => Ok(Box::new(connector.connect(name.clone(), stream).await?)),
        }
    }
}

impl Accepting {
    pub(crate) async fn protect(&self, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        match self {
            Accepting::Plain => Ok(Box::new(stream)),
            #[cfg(feature = "tls")]
            Accepting::Tls(acceptor) => Ok(Box::new(acceptor.accept(stream).await?)),
        }
    }
}
