//! The side that listens.

use std::path::PathBuf;
use std::sync::Arc;

use portcullis_core::Tls;
use rustls::crypto::ring::Ticketer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{ProtocolVersion, RootCertStore, ServerConfig, ServerConnection};
use rustls_pki_types::CertificateRevocationListDer;

use crate::{MinVersion, TlsError, certificate, files, provider};

/// Sessions that are remembered for clients of TLS 1.2 which take no tickets. The oldest is forgotten for the newest.
const REMEMBERED: usize = 1024;

/// Who vouches for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Certificate authorities (PEM). They and nobody else: the system's are not trusted for clients.
    pub ca: PathBuf,
    /// Certificate revocation lists (PEM), where given one for every authority in a chain. A certificate of which none of
    /// them knows, or for which they are out of date, is refused.
    pub crl: Option<PathBuf>,
}

/// Whether clients show a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ClientCertificates {
    /// They are not asked.
    #[default]
    None,
    /// They are asked and may have none; one that cannot be verified ends the handshake.
    Asked(Authority),
    /// Without one, the handshake ends.
    Required(Authority),
}

/// What a listener's TLS is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFiles {
    /// Certificate chain (PEM), the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key (PEM: PKCS #8, PKCS #1 or SEC 1).
    pub key: PathBuf,
    /// The oldest version that is spoken.
    pub at_least: MinVersion,
    /// What is asked of clients.
    pub clients: ClientCertificates,
}

impl ServerFiles {
    /// TLS 1.2 and 1.3 with these two files, for any client.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
            at_least: MinVersion::default(),
            clients: ClientCertificates::None,
        }
    }
}

/// TLS towards clients.
///
/// Sessions are resumed: by tickets, whose key is made here, is replaced every six hours and opens tickets for twelve, and by
/// a bounded cache. Both belong to the result alone. So a session of an earlier certificate, or of another listener, is
/// never resumed: its ticket is not understood, and the handshake is a whole one. Early data is not taken; it could be
/// replayed. Where clients are asked for certificates nothing is resumed: each connection proves that the client has the
/// key and that its certificate still counts.
///
/// # Errors
/// When a file cannot be read, or certificate and key do not belong together. Blocks while it reads.
pub fn server_config(files: &ServerFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = files::certificates(&files.certificate)?;
    let key = files::key(&files.key)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(files.at_least.versions())?
        .with_client_cert_verifier(verifier(&files.clients)?)
        .with_single_cert(chain, key)
        .map_err(|source| TlsError::Pair { certificate: files.certificate.clone(), key: files.key.clone(), source })?;
    if files.clients == ClientCertificates::None {
        config.ticketer = Ticketer::new()?;
        config.session_storage = ServerSessionMemoryCache::new(REMEMBERED);
        // Making one takes a twentieth of a handshake, and a client has use for one: it can be shown again.
        config.send_tls13_tickets = 1;
    } else {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Arc::new(config))
}

fn verifier(clients: &ClientCertificates) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let (authority, may_have_none) = match clients {
        ClientCertificates::None => return Ok(WebPkiClientVerifier::no_client_auth()),
        ClientCertificates::Asked(authority) => (authority, true),
        ClientCertificates::Required(authority) => (authority, false),
    };
    let mut roots = RootCertStore::empty();
    files::add_roots(&mut roots, &authority.ca)?;
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    if let Some(path) = &authority.crl {
        let lists: Vec<CertificateRevocationListDer<'static>> = files::all(path)?;
        if lists.is_empty() {
            return Err(TlsError::NoCrl { path: path.clone() });
        }
        builder = builder.with_crls(lists).enforce_revocation_expiration();
    }
    if may_have_none {
        builder = builder.allow_unauthenticated();
    }
    let path = authority.crl.as_ref().unwrap_or(&authority.ca);
    builder.build().map_err(|source| TlsError::Verifier { path: path.clone(), source })
}

/// What is known of a connection whose handshake is done.
///
/// # Errors
/// Why the client's certificate, which was verified, cannot be read. Then the connection must not be served.
pub fn established(connection: &ServerConnection) -> Result<Tls, &'static str> {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => return Err("its version of TLS is unknown"),
    };
    let suite = connection.negotiated_cipher_suite().ok_or("its cipher suite is unknown")?.suite();
    // The library calls those of TLS 1.3 by names of its own, which begin with the version.
    let suite = suite.as_str().map_or_else(|| format!("{suite:?}"), |name| name.replacen("TLS13_", "TLS_", 1));
    let shown = connection.peer_certificates().and_then(<[_]>::first);
    let client_certificate = shown.map(certificate::read).transpose()?;
    Ok(Tls { version: version.to_owned(), cipher_suite: suite, client_certificate })
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
