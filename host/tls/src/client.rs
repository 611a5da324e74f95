//! The side that connects.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};

use crate::{MinVersion, TlsError, files, provider};

/// Sessions that are remembered, for all server names together; a name has at most eight.
const REMEMBERED: usize = 64;

/// TLS towards a server: the system's roots are trusted and, where given, those of `ca_file` (PEM) in addition. Connections
/// that share the result resume each other's sessions (RFC 8446, section 2.2), which saves either side the certificates.
///
/// # Errors
/// When the file cannot be read or holds no usable certificate, and when nothing would be trusted. Blocks while it reads.
pub fn client_config(ca_file: Option<&Path>, at_least: MinVersion) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "a certificate authority of the system cannot be loaded");
    }
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = ca_file {
        files::add_roots(&mut roots, path)?;
    }
    if roots.is_empty() {
        return Err(TlsError::NoAuthority);
    }
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(at_least.versions())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(REMEMBERED);
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_file_and_say_what_to_do() {
        let of = |path: &Path| client_config(Some(path), MinVersion::default()).unwrap_err();
        let missing = of(Path::new("/nonexistent/ca.pem")).to_string();
        assert!(missing.contains("/nonexistent/ca.pem") && missing.contains("PEM"), "{missing}");
        let empty = tempfile::NamedTempFile::new().unwrap();
        let none = of(empty.path());
        assert!(matches!(none, TlsError::NoCertificate { .. }), "{none}");
    }
}
