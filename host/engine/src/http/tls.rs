//! Whose certificates are believed.

use std::path::Path;
use std::sync::Arc;

use portcullis_tls::{MinVersion, client_config};
use rustls::ClientConfig;

/// TLS 1.2 and 1.3 with the system's certificate authorities, and those in the file besides.
pub(super) fn config(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let config = client_config(ca_file, MinVersion::Tls12).map_err(|error| error.to_string())?;
    let mut config = Arc::unwrap_or_clone(config);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
