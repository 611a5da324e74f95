//! What can go wrong before and while pages are served.

use std::io;
use std::path::PathBuf;

use portcullis_core::store::StoreError;
use thiserror::Error;

/// Why the web server cannot start, or ended.
#[derive(Debug, Error)]
pub enum WebError {
    /// The socket, or the operating system.
    #[error("the web server's socket: {0}")]
    Socket(#[from] io::Error),
    /// The file with the certificate chain.
    #[error("the certificate file {} cannot be used: {reason}; give a file in PEM format that this process may read", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file with the private key.
    #[error("the key file {} cannot be used: {reason}; give a file in PEM format that this process may read", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key do not go together.
    #[error("certificate {} and key {} cannot be used together: {source}; check that the key belongs to the first certificate", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// No TLS version is left.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A password hash could not be computed.
    #[error("a password could not be hashed: {0}")]
    Hash(String),
}
