//! How the connection of an access is protected.

use serde::{Deserialize, Serialize};

/// Whether somebody on the way could have read along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// Everybody on the way could.
    Cleartext,
    /// Nobody could, between the client and the gateway.
    Tls(Tls),
}

/// TLS on a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// `TLS 1.2` or `TLS 1.3`.
    pub version: String,
    /// The cipher suite's name in IANA's registry.
    pub cipher_suite: String,
    /// What the client showed, verified.
    pub client_certificate: Option<ClientCertificate>,
}

/// A certificate that a client holds the key of, issued by an authority that the listener trusts for that. It is evidence
/// about the machine and no login: who asks is what a bind says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCertificate {
    /// Distinguished name (RFC 4514). Every special character inside a value is written as its hexadecimal digits (`\2C`), so
    /// that a comma always ends a value.
    pub subject: String,
    /// Subject alternative names (RFC 5280, section 4.2.1.6): `dns:`, `email:`, `uri:` or `ip:`, and the name.
    pub alternative_names: Vec<String>,
    /// SHA-256 of the certificate in 64 lower-case hexadecimal digits.
    pub fingerprint: String,
}
