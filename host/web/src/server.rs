//! Serving, from a bound socket to its end.

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use portcullis_core::challenge::ChallengeDesk;
use portcullis_core::channel::ChannelDesk;
use portcullis_core::cloud::SourceStatus;
use portcullis_core::demotion::DemotionStore;
use portcullis_core::exclusion::ExclusionDesk;
use portcullis_core::fence::FenceDesk;
use portcullis_core::policies::PolicyDesk;
use portcullis_core::risk::RiskDesk;
use portcullis_core::status::ConnectorStatus;
use portcullis_core::store::{EventStore, IncidentStore, SettingsStore};
use portcullis_core::{Clock, Ids, Secret};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::WebError;
use crate::app::App;
use crate::connection::Door;
use crate::routes::router;

/// A client has so long for its TLS handshake, and again for the head of a request; also how long a connection may idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A client may refuse to read an answer for so long.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Requests that are being answered when the server ends have so long.
const DRAIN: Duration = Duration::from_secs(5);
/// The largest head of a request, in bytes.
const HEAD_LIMIT: usize = 32 * 1024;
const CONNECTIONS: usize = 2_000;
const CONNECTIONS_PER_ADDRESS: usize = 64;

/// How to serve.
#[derive(Clone, Default)]
pub struct WebOptions {
    /// Speaks TLS by this; none serves clear text, which is for loopback. Behind a proxy everybody has the proxy's address.
    /// What is sent later counts for the connections that come from then
    /// on. The protocols for ALPN are set by [`serve`].
    pub tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    /// The address by which people reach the pages, e.g. `https://portcullis.example.com`, where a proxy in front makes it
    /// another one than that of the socket. When it begins with `https://`, cookies are marked as secure.
    pub public_url: Option<String>,
    /// What `portcullis notify` has to show; none lets every machine listen for its own challenges without.
    pub notify_token: Option<Secret>,
}

impl fmt::Debug for WebOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebOptions").field("tls", &self.tls.is_some()).field("public_url", &self.public_url).finish()
    }
}

/// What the pages show and do.
#[derive(Clone)]
pub struct WebState {
    /// Challenges.
    pub desk: Arc<dyn ChallengeDesk>,
    /// Events.
    pub events: Arc<dyn EventStore>,
    /// Incidents.
    pub incidents: Arc<dyn IncidentStore>,
    /// Accounts that were taken out of groups.
    pub demotions: Arc<dyn DemotionStore>,
    /// What people do not want to be told of detections.
    pub exclusions: Arc<dyn ExclusionDesk>,
    /// Channels by which people are told.
    pub channels: Arc<dyn ChannelDesk>,
    /// Administrators and their sessions.
    pub settings: Arc<dyn SettingsStore>,
    /// Risks, and what accounts are.
    pub risks: Arc<dyn RiskDesk>,
    /// Fences of service accounts.
    pub fences: Arc<dyn FenceDesk>,
    /// The list of policies.
    pub policies: Arc<dyn PolicyDesk>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Identifiers, cookies and salts.
    pub ids: Arc<dyn Ids>,
    /// How the connectors stand. Must not block.
    pub connectors: Arc<dyn Fn() -> Vec<ConnectorStatus> + Send + Sync>,
    /// Whether everything that the gateway needs works. Must not block.
    pub healthy: Arc<dyn Fn() -> bool + Send + Sync>,
    /// How reading the cloud services goes.
    pub sources: Arc<dyn Fn() -> Vec<SourceStatus> + Send + Sync>,
}

impl fmt::Debug for WebState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebState").finish_non_exhaustive()
    }
}

/// Serves until `shutdown` is cancelled, then ends event streams at once and gives other requests five seconds.
///
/// # Errors
/// The socket cannot be used, or the operating system has no memory for a password hash.
pub async fn serve(
    listener: TcpListener,
    options: WebOptions,
    state: WebState,
    shutdown: CancellationToken,
) -> Result<(), WebError> {
    let secure = options.tls.is_some() || options.public_url.as_deref().is_some_and(|url| url.starts_with("https://"));
    let router = router(App::new(state, secure, options.public_url, options.notify_token, shutdown.clone()).await?);
    let handle: Handle<SocketAddr> = Handle::new();
    let mut server = Server::from_listener(listener);
    server.http_builder().http1().header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_LIMIT);
    let server = server.http1_only().first_request_timeout(HEAD_TIMEOUT).handle(handle.clone());
    let door = Door::new(CONNECTIONS, CONNECTIONS_PER_ADDRESS, WRITE_TIMEOUT);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = async {
        match options.tls {
            Some(mut tls) => {
                let config = RustlsConfig::from_config(for_http(&tls.borrow_and_update()));
                let acceptor = RustlsAcceptor::new(config.clone()).handshake_timeout(HEAD_TIMEOUT).acceptor(door);
                tokio::select! {
                    ended = server.acceptor(acceptor).serve(service) => ended,
                    never = follow(tls, config) => match never {},
                }
            }
            None => server.acceptor(door).serve(service).await,
        }
    };
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return Ok(ended?),
        () = shutdown.cancelled() => handle.graceful_shutdown(Some(DRAIN)),
    }
    Ok(serving.await?)
}

/// Serves by the newest TLS settings.
async fn follow(mut tls: watch::Receiver<Arc<ServerConfig>>, config: RustlsConfig) -> Infallible {
    while tls.changed().await.is_ok() {
        config.reload_from_config(for_http(&tls.borrow_and_update()));
    }
    pending().await
}

fn for_http(tls: &ServerConfig) -> Arc<ServerConfig> {
    let mut tls = tls.clone();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(tls)
}
