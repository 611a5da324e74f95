//! Reading PEM files (RFC 7468).

use std::path::Path;

use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::TlsError;

/// At least one certificate, in the order of the file.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Vec<CertificateDer<'static>> = all(path)?;
    if found.is_empty() { Err(TlsError::NoCertificate { path: path.to_owned() }) } else { Ok(found) }
}

/// The first private key (PKCS #8, PKCS #1 or SEC 1).
pub(crate) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| TlsError::File { path: path.to_owned(), source })
}

/// Trusts every certificate of the file.
pub(crate) fn add_roots(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsError> {
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|source| TlsError::Root { path: path.to_owned(), source })?;
    }
    Ok(())
}

pub(crate) fn all<T: PemObject>(path: &Path) -> Result<Vec<T>, TlsError> {
    let file = |source| TlsError::File { path: path.to_owned(), source };
    T::pem_file_iter(path).map_err(file)?.collect::<Result<_, _>>().map_err(file)
}
