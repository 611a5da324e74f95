//! TLS settings from files, with errors that name the file and say what to do.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::Ticketer;
use rustls::server::ServerSessionMemoryCache;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// TLS towards clients as it is at the moment. Each handshake takes the newest, and a connection keeps the one that it
/// began with: so a certificate can be replaced while the gateway runs.
pub type ServerTls = watch::Receiver<Arc<ServerConfig>>;

/// Sessions that are remembered for clients of TLS 1.2 which take no tickets. The oldest is forgotten for the newest.
const REMEMBERED_SESSIONS: usize = 1024;
/// Sessions with directories that are remembered, for all server names together; a name has at most eight.
const REMEMBERED_DIRECTORY_SESSIONS: usize = 64;

/// TLS cannot be set up as configured.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The file cannot be read, or is no PEM.
    #[error("cannot read {}: {source}; give a file in PEM format that this process may read", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The file holds no certificate.
    #[error("{} holds no certificate; give a file in PEM format with \"BEGIN CERTIFICATE\" in it", path.display())]
    NoCertificate {
        /// Which.
        path: PathBuf,
    },
    /// A certificate of the file cannot be trusted as a root.
    #[error("a certificate in {} cannot be used as a certificate authority: {source}", path.display())]
    Root {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// Certificate and key do not fit.
    #[error("certificate {} and key {} cannot be used together: {source}; check that the key belongs to the first certificate", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The TLS library refuses its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Library(rustls::Error),
}

/// TLS towards the directory: the system's roots and, where given, those of `ca_file` (PEM) in addition. Connections that
/// share the result resume each other's sessions (RFC 8446, section 2.2), which saves either side the certificates.
///
/// # Errors
/// When the file cannot be read or holds no usable certificate.
pub fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "a certificate authority of the system cannot be loaded");
    }
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = ca_file {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|source| TlsError::Root { path: path.to_owned(), source })?;
        }
    }
    if roots.is_empty() {
        tracing::warn!("no certificate authority is known: every directory's certificate will be refused");
    }
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Library)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(REMEMBERED_DIRECTORY_SESSIONS);
    Ok(Arc::new(config))
}

/// TLS towards clients, with the certificate chain and the private key of these files (PEM).
///
/// Sessions are resumed: by tickets, whose key is made here, is replaced every six hours and opens tickets for twelve, and by
/// a bounded cache. Both belong to the result alone. So a session of an earlier certificate, or of another listener, is
/// never resumed: its ticket is not understood, and the handshake is a whole one. Early data is not taken; it could be
/// replayed.
///
/// # Errors
/// When a file cannot be read, or certificate and key do not belong together.
pub fn server_config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(certificate)?;
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|source| TlsError::File { path: key.to_owned(), source })?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Library)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|source| TlsError::Pair { certificate: certificate.to_owned(), key: key.to_owned(), source })?;
    config.ticketer = Ticketer::new().map_err(TlsError::Library)?;
    config.session_storage = ServerSessionMemoryCache::new(REMEMBERED_SESSIONS);
    Ok(Arc::new(config))
}

/// What does the next handshake.
pub(crate) fn acceptor(tls: &ServerTls) -> TlsAcceptor {
    TlsAcceptor::from(Arc::clone(&tls.borrow()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = |source| TlsError::File { path: path.to_owned(), source };
    let found: Vec<_> = CertificateDer::pem_file_iter(path).map_err(file)?.collect::<Result<_, _>>().map_err(file)?;
    if found.is_empty() { Err(TlsError::NoCertificate { path: path.to_owned() }) } else { Ok(found) }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_file_and_say_what_to_do() {
        let missing = client_config(Some(Path::new("/nonexistent/ca.pem"))).unwrap_err().to_string();
        assert!(missing.contains("/nonexistent/ca.pem") && missing.contains("PEM"), "{missing}");
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        let none = client_config(Some(&empty)).unwrap_err();
        assert!(matches!(none, TlsError::NoCertificate { .. }), "{none}");
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (made(), made());
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        std::fs::write(&certificate, one.cert.pem()).unwrap();
        std::fs::write(&key, other.signing_key.serialize_pem()).unwrap();
        assert!(matches!(server_config(&certificate, &key), Err(TlsError::Pair { .. })));
        std::fs::write(&key, one.signing_key.serialize_pem()).unwrap();
        assert!(server_config(&certificate, &key).is_ok());
        assert!(client_config(Some(&certificate)).is_ok());
    }

    fn made() -> rcgen::CertifiedKey<rcgen::KeyPair> {
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap()
    }
}
