//! Listening for clients, with limits on how many there may be.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_core::ListenerName;
use portcullis_core::gate::Gate;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::frame::DEFAULT_LIMIT;
use crate::session;
use crate::upstream::Upstream;

/// First and longest pause after a connection could not be accepted (mostly: no file descriptor left).
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// What sessions get beyond their drain time to say goodbye.
const GOODBYES: Duration = Duration::from_secs(4);

/// How clients protect their connections.
#[derive(Debug, Clone)]
pub enum Mode {
    /// In the clear, with StartTLS (RFC 4511, section 4.14) where a certificate is given.
    Plain {
        /// What StartTLS is answered with.
        starttls: Option<Arc<ServerConfig>>,
    },
    /// TLS from the first octet.
    Ldaps(Arc<ServerConfig>),
}

/// What to do with SASL mechanisms that may put a security layer on the connection (GSSAPI, GSS-SPNEGO, DIGEST-MD5, and all
/// that are unknown). Behind a layer the gateway sees nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OpaqueSasl {
    /// Refused with authMethodNotSupported (7).
    #[default]
    Refuse,
    /// Decided on as somebody who cannot be told, and when permitted relayed unseen from then on.
    Relay,
}

/// What binds a listener takes. The default is the strictest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BindRules {
    /// Forward binds with a name and no password (RFC 4513, section 5.1.2), which directories answer with success.
    pub allow_unauthenticated_bind: bool,
    /// SASL mechanisms that hide the stream.
    pub opaque_sasl: OpaqueSasl,
    /// On a plain listener: before StartTLS, take nothing but reads of the root DSE.
    pub require_tls: bool,
}

/// Limits of a listener and of its connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all. 10 000 by default.
    pub connections: usize,
    /// Connections from one address. 1 000 by default.
    pub connections_per_address: usize,
    /// Until TLS is established. 10 s by default.
    pub handshake_timeout: Duration,
    /// Until the first whole message. 60 s by default.
    pub first_message_timeout: Duration,
    /// How long a connection may be silent with nothing under way. None by default.
    pub idle_timeout: Option<Duration>,
    /// Octets of a client's message. 16 MiB by default.
    pub request_size: usize,
    /// Octets of a directory's message. 16 MiB by default.
    pub answer_size: usize,
    /// How long what is under way may take when the gateway ends. 5 s by default.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 1_000,
            handshake_timeout: Duration::from_secs(10),
            first_message_timeout: Duration::from_secs(60),
            idle_timeout: None,
            request_size: DEFAULT_LIMIT,
            answer_size: DEFAULT_LIMIT,
            drain: Duration::from_secs(5),
        }
    }
}

/// A port that clients come to.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Name; the guard derives the application from it and from the client's address.
    pub name: ListenerName,
    /// Where the caller of [`serve`] is to bind the socket.
    pub address: SocketAddr,
    /// Protection.
    pub mode: Mode,
    /// What binds it takes.
    pub rules: BindRules,
    /// Limits.
    pub limits: Limits,
}

impl Listener {
    /// A listener with the default rules and limits.
    #[must_use]
    pub fn new(name: ListenerName, address: SocketAddr, mode: Mode) -> Self {
        Self { name, address, mode, rules: BindRules::default(), limits: Limits::default() }
    }
}

/// What all connections of a listener share.
#[derive(Debug)]
pub struct Shared<G> {
    listener: Listener,
    upstream: Upstream,
    gate: Arc<G>,
    seats: Arc<Seats>,
}

impl<G: Gate> Shared<G> {
    /// Puts a listener, its directory and the gate together.
    #[must_use]
    pub fn new(listener: Listener, upstream: Upstream, gate: Arc<G>) -> Self {
        Self { listener, upstream, gate, seats: Arc::default() }
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.seats.lock().all
    }

    pub(crate) fn listener(&self) -> &Listener {
        &self.listener
    }

    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    pub(crate) fn gate(&self) -> &G {
        &self.gate
    }
}

/// Serves clients until `stop` is cancelled; then what is under way gets [`Limits::drain`] to finish, every client gets a
/// Notice of Disconnection, and the function comes back. A failure to accept a connection is waited out.
pub async fn serve<G: Gate>(socket: TcpListener, shared: Arc<Shared<G>>, stop: CancellationToken) {
    let mut sessions = JoinSet::new();
    let mut pause = PAUSE_MIN;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = sessions.join_next(), if !sessions.is_empty() => continue,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, client)) => {
                pause = PAUSE_MIN;
                admit(&mut sessions, stream, client, &shared, &stop);
            }
            Err(error) => {
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
    client: SocketAddr,
    shared: &Arc<Shared<G>>,
    stop: &CancellationToken,
) {
    // An address is the same whether it comes in through an IPv4 or a dual-stack socket.
    let client = SocketAddr::new(client.ip().to_canonical(), client.port());
    let Some(seat) = shared.seats.take(client.ip(), &shared.listener.limits) else {
        tracing::warn!(listener = %shared.listener.name, %client, "too many connections; this one is closed");
        return;
    };
    let (shared, stop) = (Arc::clone(shared), stop.clone());
    sessions.spawn(async move {
        let _seat = seat;
        session::serve_client(&shared, stream, client, &stop).await;
    });
}

/// Open connections.
#[derive(Debug, Default)]
struct Seats(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Seats {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>, address: IpAddr, limits: &Limits) -> Option<Seat> {
        let mut taken = self.lock();
        let here = taken.by_address.get(&address).copied().unwrap_or(0);
        if taken.all >= limits.connections || here >= limits.connections_per_address {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(address, here + 1);
        Some(Seat { seats: Arc::clone(self), address })
    }
}

/// The right of one connection to be there.
struct Seat {
    seats: Arc<Seats>,
    address: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.all -= 1;
        if let Some(count) = taken.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_limited_and_given_back() {
        let seats = Arc::new(Seats::default());
        let limits = Limits { connections: 3, connections_per_address: 2, ..Limits::default() };
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = seats.take(one, &limits);
        let second = seats.take(one, &limits);
        assert!(first.is_some() && second.is_some());
        assert!(seats.take(one, &limits).is_none());
        let third = seats.take(other, &limits);
        assert!(third.is_some());
        assert!(seats.take(other, &limits).is_none());
        drop(first);
        assert!(seats.take(one, &limits).is_some());
        drop((second, third));
        let left = seats.lock();
        assert_eq!((left.all, left.by_address.len()), (0, 0));
    }
}
