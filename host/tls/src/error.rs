//! What can be wrong with files.

use std::path::PathBuf;

use rustls_pki_types::pem;
use thiserror::Error;

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
    /// Neither the system nor a file names a certificate authority.
    #[error(
        "no certificate authority is known, so no certificate could be trusted: install the system's, or name a file"
    )]
    NoAuthority,
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
    Library(#[from] rustls::Error),
}
