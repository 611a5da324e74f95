//! TLS towards clients, as it is at the moment.

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// TLS towards clients as it is at the moment. Each handshake takes the newest, and a connection keeps the one that it
/// began with: so a certificate can be replaced while the gateway runs.
pub type ServerTls = watch::Receiver<Arc<ServerConfig>>;

/// What does the next handshake.
pub(crate) fn acceptor(tls: &ServerTls) -> TlsAcceptor {
    TlsAcceptor::from(Arc::clone(&tls.borrow()))
}
