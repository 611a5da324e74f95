//! TLS towards clients, as it is at the moment.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_core::{ListenerName, Tls};
use portcullis_tls::established;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::pipe::Stream;

/// TLS towards clients as it is at the moment. Each handshake takes the newest, and a connection keeps the one that it
/// began with: so a certificate can be replaced while the gateway runs.
pub type ServerTls = watch::Receiver<Arc<ServerConfig>>;

/// Puts TLS on a client's connection, and tells what came of it.
pub(crate) async fn accept(tls: &ServerTls, socket: TcpStream) -> io::Result<(Stream, Arc<Tls>)> {
    let acceptor = TlsAcceptor::from(Arc::clone(&tls.borrow()));
    let stream = acceptor.accept(socket).await?;
    let known = established(stream.get_ref().1)
        .map_err(|why| io::Error::new(io::ErrorKind::InvalidData, format!("the client's certificate: {why}")))?;
    Ok((Stream::Tls(Box::new(stream.into())), Arc::new(known)))
}

/// Says in the log why there is no TLS. What a certificate has to do with is for the administrator; the rest is mostly
/// somebody who tries ports.
pub(crate) fn no_handshake(client: SocketAddr, listener: &ListenerName, error: &io::Error) {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::NoCertificatesPresented) => {
            tracing::info!(%client, %listener, "a client is turned away: it shows no certificate, and has to");
        }
        Some(rustls::Error::InvalidCertificate(why)) => {
            tracing::info!(%client, %listener, "a client is turned away: its certificate does not count: {why}");
        }
        None if error.kind() == io::ErrorKind::InvalidData => {
            tracing::info!(%client, %listener, "a client is turned away: {error}");
        }
        _ => tracing::debug!(%client, %listener, %error, "no TLS handshake"),
    }
}
