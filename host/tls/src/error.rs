//! What can be wrong with files.

use std::path::{Path, PathBuf};

use rustls::server::VerifierBuilderError;
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
    /// The file holds no certificate revocation list.
    #[error("{} holds no certificate revocation list; give a file in PEM format with \"BEGIN X509 CRL\" in it", path.display())]
    NoCrl {
        /// Which.
        path: PathBuf,
    },
    /// Clients' certificates cannot be verified with these files.
    #[error("clients' certificates cannot be verified with {}: {source}", path.display())]
    Verifier {
        /// The revocation list, or else the authorities.
        path: PathBuf,
        /// Why.
        source: VerifierBuilderError,
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
    Library(#[from] rustls::Error),
}

impl TlsError {
    /// The file that has to be looked at; of certificate and key, the certificate.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. }
            | Self::NoCertificate { path }
            | Self::Root { path, .. }
            | Self::NoCrl { path }
            | Self::Verifier { path, .. }
            | Self::Pair { certificate: path, .. } => Some(path),
            Self::NoAuthority | Self::Library(_) => None,
        }
    }
}
