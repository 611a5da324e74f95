//! `portcullis notify`: listens, on a person's machine, for the challenges of that machine.
//!
//! The gateway says what its challenge page would show at the same address. What comes from it is shown and never run: a
//! page is opened only at the address that the person gave, with a path of one form.

mod backoff;
mod desktop;
mod listen;
mod stream;

use std::path::PathBuf;

use portcullis_core::Secret;
use thiserror::Error;

pub use listen::listen;

/// What to listen to, and what to do then.
#[derive(Debug, Clone)]
pub struct Options {
    /// The gateway's address for people, e.g. `https://portcullis.example.com`.
    pub gateway: String,
    /// PEM file of certificate authorities that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// What the gateway's administrator demands of those who listen.
    pub token: Option<Secret>,
    /// Writes a line for each challenge instead of showing a notification and opening its page.
    pub print: bool,
}

/// Why it does not go on.
#[derive(Debug, Error)]
pub enum NotifyError {
    /// The address cannot be used.
    #[error("`{0}` is no address of a gateway: write it like https://portcullis.example.com")]
    Address(String),
    /// The token would travel in clear text.
    #[error("the token would go to `{0}` in clear text: use https://")]
    ClearText(String),
    /// TLS cannot be set up.
    #[error("{0}")]
    Setup(String),
    /// The gateway refuses, and goes on to until something is changed.
    #[error("{0}")]
    Refused(String),
    /// Nobody reads what is printed.
    #[error("cannot write: {0}")]
    Output(#[from] std::io::Error),
}
