//! The page with what the gateway counts, on a socket of its own.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum_server::{Handle, Server};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::WebError;
use crate::connection::Door;

/// A client has so long for the head of a request; also how long a connection may idle. Collectors that ask more seldom
/// open another one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A client may refuse to read an answer for so long.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
const HEAD_LIMIT: usize = 16 * 1024;
/// A handful of collectors is what there is; anybody else must not cost anything.
const CONNECTIONS: usize = 64;
const CONNECTIONS_PER_ADDRESS: usize = 16;
const DRAIN: Duration = Duration::from_secs(1);
/// <https://prometheus.io/docs/specs/om/open_metrics_spec/#protocol-negotiation>
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Makes the page in the OpenMetrics text format. Called for each request; must not block.
pub type MetricsPage = Arc<dyn Fn() -> Result<String, fmt::Error> + Send + Sync>;

/// Serves `GET /metrics`, in clear text and to anybody who reaches the socket, until `shutdown` is cancelled.
///
/// # Errors
/// The socket cannot be used.
pub async fn serve_metrics(
    listener: TcpListener,
    page: MetricsPage,
    shutdown: CancellationToken,
) -> Result<(), WebError> {
    let router = Router::new().route("/metrics", get(show)).with_state(page);
    let handle: Handle<SocketAddr> = Handle::new();
    let mut server = Server::from_listener(listener);
    server.http_builder().http1().header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_LIMIT);
    let server = server.http1_only().first_request_timeout(HEAD_TIMEOUT).handle(handle.clone());
    let door = Door::new(CONNECTIONS, CONNECTIONS_PER_ADDRESS, WRITE_TIMEOUT);
    let serving = server.acceptor(door).serve(router.into_make_service());
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return Ok(ended?),
        () = shutdown.cancelled() => handle.graceful_shutdown(Some(DRAIN)),
    }
    Ok(serving.await?)
}

async fn show(State(page): State<MetricsPage>) -> Response {
    match page() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS), (header::CACHE_CONTROL, "no-store")], text).into_response(),
        // Half a page would be read as a gateway that counts less.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
