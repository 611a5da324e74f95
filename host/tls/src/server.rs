//! The side that listens.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::Ticketer;
use rustls::server::ServerSessionMemoryCache;

use crate::{MinVersion, TlsError, files, provider};

/// Sessions that are remembered for clients of TLS 1.2 which take no tickets. The oldest is forgotten for the newest.
const REMEMBERED: usize = 1024;

/// What a listener's TLS is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFiles {
    /// Certificate chain (PEM), the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key (PEM: PKCS #8, PKCS #1 or SEC 1).
    pub key: PathBuf,
    /// The oldest version that is spoken.
    pub at_least: MinVersion,
}

impl ServerFiles {
    /// TLS 1.2 and 1.3 with these two files.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificate: certificate.into(), key: key.into(), at_least: MinVersion::default() }
    }
}

/// TLS towards clients.
///
/// Sessions are resumed: by tickets, whose key is made here, is replaced every six hours and opens tickets for twelve, and by
/// a bounded cache. Both belong to the result alone. So a session of an earlier certificate, or of another listener, is
/// never resumed: its ticket is not understood, and the handshake is a whole one. Early data is not taken; it could be
/// replayed.
///
/// # Errors
/// When a file cannot be read, or certificate and key do not belong together. Blocks while it reads.
pub fn server_config(files: &ServerFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = files::certificates(&files.certificate)?;
    let key = files::key(&files.key)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(files.at_least.versions())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|source| TlsError::Pair { certificate: files.certificate.clone(), key: files.key.clone(), source })?;
    config.ticketer = Ticketer::new()?;
    config.session_storage = ServerSessionMemoryCache::new(REMEMBERED);
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_config;

    #[test]
    fn unusable_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (made(), made());
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        std::fs::write(&certificate, one.cert.pem()).unwrap();
        std::fs::write(&key, other.signing_key.serialize_pem()).unwrap();
        let files = ServerFiles::new(&certificate, &key);
        assert!(matches!(server_config(&files), Err(TlsError::Pair { .. })));
        let no_key = server_config(&ServerFiles::new(&certificate, &certificate)).unwrap_err();
        assert!(matches!(&no_key, TlsError::File { path, .. } if *path == certificate), "{no_key}");
        let missing = server_config(&ServerFiles::new(folder.path().join("none.pem"), &key)).unwrap_err().to_string();
        assert!(missing.contains("none.pem") && missing.contains("PEM"), "{missing}");
        std::fs::write(&key, one.signing_key.serialize_pem()).unwrap();
        assert!(server_config(&files).is_ok());
        assert!(client_config(Some(&certificate), MinVersion::Tls13).is_ok());
    }

    fn made() -> rcgen::CertifiedKey<rcgen::KeyPair> {
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap()
    }
}
