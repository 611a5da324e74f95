//! Accepting clients and giving each a session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::gate::Gate;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::listener::Listener;
use crate::metrics::{Limit, Metrics};
use crate::room::Room;
use crate::seats::Seats;
use crate::seldom::Seldom;
use crate::upstreams::Upstreams;
use crate::workers::{Places, Workers};
use crate::{proxy, session};

/// First and longest pause after a connection could not be accepted (mostly: no file descriptor left).
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// What sessions get beyond their drain time to say goodbye.
const GOODBYES: Duration = Duration::from_secs(4);
/// How often what is left of ended sessions is given back.
const TIDY: Duration = Duration::from_millis(500);

/// What all connections of a listener share.
#[derive(Debug)]
pub struct Shared<G> {
    listener: Listener,
    upstreams: Upstreams,
    gate: Arc<G>,
    seats: Arc<Seats>,
    room: Room,
    places: Option<Places>,
    metrics: Metrics,
    lines: Lines,
}

/// Lines of the log that clients can cause as often as they like.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    full: Seldom,
    unintroduced: Seldom,
    pub(crate) cleartext: Seldom,
    pub(crate) protocol: Seldom,
    pub(crate) layer: Seldom,
    pub(crate) stranger: Seldom,
    pub(crate) channel_binding: Seldom,
}

impl<G: Gate> Shared<G> {
    /// Puts a listener, its directory and the gate together.
    #[must_use]
    pub fn new(listener: Listener, upstreams: Upstreams, gate: Arc<G>) -> Self {
        Self {
            listener,
            upstreams,
            gate,
            seats: Arc::default(),
            room: Room::default(),
            places: None,
            metrics: Metrics::default(),
            lines: Lines::default(),
        }
    }

    /// The same, with its connections on these threads and not on the runtime that accepts them.
    #[must_use]
    pub fn on(self, workers: &Workers) -> Self {
        Self { places: Some(workers.places()), ..self }
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.seats.taken()
    }

    /// What has been counted.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The listener.
    #[must_use]
    pub fn listener(&self) -> &Listener {
        &self.listener
    }

    /// There is no room for a connection.
    fn turn_away(&self, limit: Limit, client: SocketAddr) {
        self.metrics.reach(limit);
        if let Some(left_out) = self.lines.full.due(Instant::now()) {
            let (listener, limit) = (&self.listener.name, limit.name());
            tracing::warn!(%listener, %client, limit, left_out, "too many connections; this one is closed");
        }
    }

    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    pub(crate) fn lines(&self) -> &Lines {
        &self.lines
    }

    pub(crate) fn upstreams(&self) -> &Upstreams {
        &self.upstreams
    }

    pub(crate) fn gate(&self) -> &G {
        &self.gate
    }
}

/// Serves clients until `stop` is cancelled; then what is under way gets [`crate::Limits::drain`] to finish, every client gets a
/// Notice of Disconnection, and the function comes back. A failure to accept a connection is waited out.
pub async fn serve<G: Gate>(socket: TcpListener, shared: Arc<Shared<G>>, stop: CancellationToken) {
    let Some(place) = shared.places.as_ref().and_then(Places::take) else {
        return accept(socket, shared, stop).await;
    };
    // On one of those threads: for its share of the clients, no other one has to be woken.
    let moved = socket.into_std();
    let accepting = place.runtime.spawn(async move {
        match moved.and_then(TcpListener::from_std) {
            Ok(socket) => accept(socket, shared, stop).await,
            Err(error) => {
                tracing::error!(listener = %shared.listener.name, %error, "nothing can be accepted");
            }
        }
    });
    // Whoever gives this up gives up the clients as well.
    if let Err(error) = AbortOnDropHandle::new(accepting).await {
        tracing::error!(%error, "a listener has ended");
    }
}

async fn accept<G: Gate>(socket: TcpListener, shared: Arc<Shared<G>>, stop: CancellationToken) {
    let mut sessions = JoinSet::new();
    let mut pause = PAUSE_MIN;
    let mut tidy = interval(TIDY);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = socket.accept() => accepted,
            // Being told of each end would wake this thread each time.
            _ = tidy.tick() => {
                while sessions.try_join_next().is_some() {}
                continue;
            }
        };
        match accepted {
            Ok((stream, client)) => {
                pause = PAUSE_MIN;
                shared.metrics.accepted.one();
                admit(&mut sessions, stream, client, &shared, &stop);
            }
            Err(error) => {
                shared.metrics.accept_failures.one();
                tracing::warn!(listener = %shared.listener.name, %error, "a connection cannot be accepted");
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
                }
            }
        }
    }
    drop(socket);
    let end = Instant::now() + shared.listener.limits.drain + GOODBYES;
    while let Ok(Some(_)) = timeout_at(end, sessions.join_next()).await {}
    sessions.shutdown().await;
}

fn admit<G: Gate>(
    sessions: &mut JoinSet<()>,
    stream: TcpStream,
    peer: SocketAddr,
    shared: &Arc<Shared<G>>,
    stop: &CancellationToken,
) {
    // An address is the same whether it comes in through an IPv4 or a dual-stack socket.
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let listener = &shared.listener;
    let Some(mut seat) = shared.seats.take(&listener.limits) else {
        return shared.turn_away(Limit::Connections, peer);
    };
    let behind = proxy::is_trusted(&listener.proxy_protocol_from, peer.ip());
    if !behind && !seat.name(peer.ip(), &listener.limits) {
        return shared.turn_away(Limit::ConnectionsPerAddress, peer);
    }
    let (shared, stop) = (Arc::clone(shared), stop.clone());
    let place = shared.places.as_ref().and_then(Places::take);
    let here = Handle::current();
    let runtime = place.as_ref().map_or_else(|| here.clone(), |place| place.runtime.clone());
    let stream = if runtime.id() == here.id() { Ok(stream) } else { Err(stream.into_std()) };
    let session = async move {
        let _place = place;
        let Ok(mut stream) = stream.or_else(|moved| moved.and_then(TcpStream::from_std)) else { return };
        let client = if behind {
            let Some(client) = introduced(&shared, &mut stream, peer, &stop).await else { return };
            if !seat.name(client.ip(), &shared.listener.limits) {
                return shared.turn_away(Limit::ConnectionsPerAddress, client);
            }
            client
        } else {
            peer
        };
        session::serve_client(&shared, stream, client, &stop).await;
    };
    sessions.spawn_on(session, &runtime);
}

/// Whose connection a load balancer hands on; none when it does not say so properly.
async fn introduced<G: Gate>(
    shared: &Shared<G>,
    stream: &mut TcpStream,
    balancer: SocketAddr,
    stop: &CancellationToken,
) -> Option<SocketAddr> {
    let Shared { listener, metrics, .. } = shared;
    let header = timeout(listener.limits.handshake_timeout, proxy::read_client(stream));
    let read = tokio::select! {
        () = stop.cancelled() => return None,
        read = header => read,
    };
    let why = match read {
        Ok(Ok(client)) => return Some(client.unwrap_or(balancer)),
        Ok(Err(error)) => {
            metrics.bad_proxy_headers.one();
            error.to_string()
        }
        Err(_) => {
            metrics.reach(Limit::Handshake);
            "no whole PROXY protocol header came in time".to_owned()
        }
    };
    if let Some(left_out) = shared.lines.unintroduced.due(Instant::now()) {
        let listener = &listener.name;
        tracing::warn!(%listener, %balancer, left_out, "a load balancer's connection is closed: {why}");
    }
    None
}
