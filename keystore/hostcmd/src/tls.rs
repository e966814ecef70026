//! TLS for both sides: certificates and keys from PEM files, the provider ring, versions 1.2 and 1.3.
//! Whoever may reach an HSM can use its keys, so both sides show certificates wherever the HSM can check them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::stream::{Accepting, Connecting};

/// A certificate chain and its key, as PEM files.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The chain, own certificate first.
    pub certificates: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not there, or holds nothing of its kind.
    #[error("cannot read {what} from {}: {reason}", path.display())]
    File {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The library refuses what was read.
    #[error("the TLS configuration is refused: {reason}")]
    Config {
        /// In its words.
        reason: String,
    },
}

/// For a client that trusts the issuers in `roots` and expects the name `server`; `own` is shown to the HSM.
///
/// # Errors
/// `File` and `Config`.
pub fn connecting(roots: &Path, server: &str, own: Option<&Identity>) -> Result<Connecting, TlsError> {
    let name = ServerName::try_from(server.to_owned()).map_err(config)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(config)?
        .with_root_certificates(root_store(roots)?);
    let client = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            builder.with_client_auth_cert(chain(&own.certificates)?, key(&own.key)?).map_err(config)?
        }
    };
    Ok(Connecting::Tls(Arc::new(client).into(), name))
}

/// For a server; with `clients`, only those whose certificates these issuers signed are let in.
///
/// # Errors
/// `File` and `Config`.
pub fn accepting(own: &Identity, clients: Option<&Path>) -> Result<Accepting, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(config)?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let roots = Arc::new(root_store(clients)?);
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots, provider).build().map_err(config)?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let server = builder.with_single_cert(chain(&own.certificates)?, key(&own.key)?).map_err(config)?;
    Ok(Accepting::Tls(Arc::new(server).into()))
}

fn root_store(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(path)? {
        roots.add(certificate).map_err(config)?;
    }
    Ok(roots)
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = |reason: String| TlsError::File { what: "certificates", path: path.to_owned(), reason };
    let read = CertificateDer::pem_file_iter(path).map_err(|e| file(e.to_string()))?;
    let chain: Vec<_> = read.collect::<Result<_, _>>().map_err(|e| file(e.to_string()))?;
    if chain.is_empty() { Err(file("there is none in it".to_owned())) } else { Ok(chain) }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| TlsError::File {
        what: "a private key",
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

fn config(error: impl ToString) -> TlsError {
    TlsError::Config { reason: error.to_string() }
}
