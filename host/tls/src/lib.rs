//! TLS settings from files, for whoever listens and whoever connects, with errors that name the file and say what to do.
//!
//! No room: it knows neither LDAP nor HTTP, and does no I/O but reading these files.

mod certificate;
mod client;
mod error;
mod files;
mod server;

pub use client::client_config;
pub use error::TlsError;
pub use server::{Authority, ClientCertificates, ServerFiles, established, server_config};

use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::version::{TLS12, TLS13};

/// The oldest version of TLS that is spoken. What is older than 1.2 is not spoken at all (RFC 8996).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MinVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

static SINCE_12: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
static SINCE_13: &[&SupportedProtocolVersion] = &[&TLS13];

impl MinVersion {
    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Tls12 => SINCE_12,
            Self::Tls13 => SINCE_13,
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
