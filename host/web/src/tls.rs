//! TLS for the web server.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::WebError;

/// Reads a certificate chain (PEM, the server's own certificate first) and its private key (PEM: PKCS #8, PKCS #1 or
/// SEC 1) for TLS 1.2 and 1.3.
///
/// # Errors
/// A file cannot be read or holds nothing of the kind, or the two do not go together. Blocks while it reads.
pub fn server_tls(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, WebError> {
    let chain =
        read_chain(certificate).map_err(|reason| WebError::Certificate { path: certificate.to_owned(), reason })?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| WebError::Key { path: key.to_owned(), reason: error.to_string() })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|source| WebError::Pair { certificate: certificate.to_owned(), key: key.to_owned(), source })?;
    Ok(Arc::new(config))
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(|error| error.to_string())?
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    if chain.is_empty() { Err("there is no certificate in it".to_owned()) } else { Ok(chain) }
}
