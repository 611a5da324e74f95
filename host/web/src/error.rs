//! What can go wrong before and while pages are served.

use std::io;

use portcullis_core::store::StoreError;
use thiserror::Error;

/// Why the web server cannot start, or ended.
#[derive(Debug, Error)]
pub enum WebError {
    /// The socket, or the operating system.
    #[error("the web server's socket: {0}")]
    Socket(#[from] io::Error),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A password hash could not be computed.
    #[error("a password could not be hashed: {0}")]
    Hash(String),
}
