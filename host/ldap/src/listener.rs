//! Listening for clients, with limits on how many there may be.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use portcullis_core::ListenerName;
use portcullis_core::gate::Gate;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::frame::{DEFAULT_LIMIT, op};
use crate::metrics::{Limit, Metrics};
use crate::referral::Referrals;
use crate::room::Room;
use crate::seldom::Seldom;
use crate::tls::ServerTls;
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

/// How clients protect their connections.
#[derive(Debug, Clone)]
pub enum Mode {
    /// In the clear, with StartTLS (RFC 4511, section 4.14) where a certificate is given.
    Plain {
        /// What StartTLS is answered with.
        starttls: Option<ServerTls>,
    },
    /// TLS from the first octet.
    Ldaps(ServerTls),
}

/// What to do with SASL binds that put a security layer on the connection, or may do so (GSSAPI and GSS-SPNEGO where they
/// sign or seal or do not show whether they do, DIGEST-MD5, and all that are unknown), behind which the gateway sees nothing,
/// and with those of which nobody says who binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OpaqueSasl {
    /// Refused with authMethodNotSupported (7).
    #[default]
    Refuse,
    /// Decided on with what the bind shows, and when permitted relayed unseen from then on.
    Relay,
}

/// What binds a listener takes. The default is the strictest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BindRules {
    /// Forward binds with a name and no password (RFC 4513, section 5.1.2), which directories answer with success.
    pub allow_unauthenticated_bind: bool,
    /// SASL binds that hide the stream.
    pub opaque_sasl: OpaqueSasl,
    /// On a plain listener: before StartTLS, take nothing but reads of the root DSE.
    pub require_tls: bool,
    /// On a plain listener that offers StartTLS: before it, take passwords all the same, in binds and password changes.
    pub allow_cleartext_passwords: bool,
    /// What stands between a password and a one-time code behind it, of 6 to 10 digits; none: passwords are passed as they
    /// are.
    pub appended_codes: Option<String>,
}

/// Limits of a listener and of its connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all. 10 000 by default.
    pub connections: usize,
    /// Connections from one address, or from one network of 2⁶⁴ where it is IPv6, of which one host may have them all.
    /// 1 000 by default.
    pub connections_per_address: usize,
    /// Until a load balancer has said whose connection it is, and from then until TLS is established. 10 s by default.
    pub handshake_timeout: Duration,
    /// Until the first whole message. 60 s by default.
    pub first_message_timeout: Duration,
    /// From a later message's first octet until it is whole. 60 s by default.
    pub message_timeout: Duration,
    /// How long a connection may be silent with nothing under way. None by default.
    pub idle_timeout: Option<Duration>,
    /// How long the directory may take for anything but a search. Then the client is told that it is unavailable, and the
    /// directory that it is abandoned; a bind takes its connection to the directory with it. 300 s by default.
    pub operation_timeout: Option<Duration>,
    /// The same for searches, which are answered with timeLimitExceeded. None by default: persistent searches are meant to
    /// go on for ever.
    pub search_timeout: Option<Duration>,
    /// Operations of a connection that the directory may have got and not answered; more are answered with busy. 4 096 by
    /// default.
    pub outstanding: usize,
    /// Octets that are kept of what a client sends behind something that has to be waited for, and of its undecided requests
    /// from which on no more are taken. 64 KiB by default.
    pub waiting_octets: usize,
    /// Octets of a client's message. 16 MiB by default.
    pub request_size: usize,
    /// The same for a client that is nobody, where that is less. 256 KiB by default.
    pub anonymous_request_size: usize,
    /// Octets of a directory's message. 16 MiB by default.
    pub answer_size: usize,
    /// Octets that all connections together may hold of messages under way, the first 256 KiB of each connection not
    /// counted. 512 MiB by default.
    pub large_messages: usize,
    /// How long what is under way may take when the gateway ends. 5 s by default.
    pub drain: Duration,
    /// How much time one summary of what nobody watches covers. 60 s by default.
    pub summary_period: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 1_000,
            handshake_timeout: Duration::from_secs(10),
            first_message_timeout: Duration::from_secs(60),
            message_timeout: Duration::from_secs(60),
            idle_timeout: None,
            operation_timeout: Some(Duration::from_secs(300)),
            search_timeout: None,
            outstanding: 4_096,
            waiting_octets: 64 * 1024,
            request_size: DEFAULT_LIMIT,
            anonymous_request_size: 256 * 1024,
            answer_size: DEFAULT_LIMIT,
            large_messages: 512 * 1024 * 1024,
            drain: Duration::from_secs(5),
            summary_period: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// How long the directory may take for a request with this application number.
    pub(crate) fn time_for(&self, request: u8) -> Option<Duration> {
        if request == op::SEARCH { self.search_timeout } else { self.operation_timeout }
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
    /// Networks of load balancers whose connections begin with a PROXY protocol header. It is believed, so nobody else may
    /// have an address there; from everywhere else a header is no LDAP. Empty by default.
    pub proxy_protocol_from: Vec<IpNet>,
    /// What the directory's referrals are made to lead to. None by default: they stay as they are.
    pub referrals: Option<Arc<Referrals>>,
    /// What binds it takes.
    pub rules: BindRules,
    /// Limits.
    pub limits: Limits,
}

impl Listener {
    /// A listener with the default rules and limits.
    #[must_use]
    pub fn new(name: ListenerName, address: SocketAddr, mode: Mode) -> Self {
        Self {
            name,
            address,
            mode,
            proxy_protocol_from: Vec::new(),
            referrals: None,
            rules: BindRules::default(),
            limits: Limits::default(),
        }
    }
}

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
        self.seats.lock().all
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

/// Serves clients until `stop` is cancelled; then what is under way gets [`Limits::drain`] to finish, every client gets a
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

    fn take(self: &Arc<Self>, limits: &Limits) -> Option<Seat> {
        let mut taken = self.lock();
        if taken.all >= limits.connections {
            return None;
        }
        taken.all += 1;
        Some(Seat { seats: Arc::clone(self), address: None })
    }
}

/// The right of one connection to be there. Behind a load balancer it is taken before it is known for whom.
struct Seat {
    seats: Arc<Seats>,
    address: Option<IpAddr>,
}

impl Seat {
    /// Says whose seat it is. False when that address has as many as it may.
    fn name(&mut self, address: IpAddr, limits: &Limits) -> bool {
        let address = whole(address);
        let mut taken = self.seats.lock();
        let here = taken.by_address.get(&address).copied().unwrap_or(0);
        if here >= limits.connections_per_address {
            return false;
        }
        taken.by_address.insert(address, here + 1);
        self.address = Some(address);
        true
    }
}

/// What one host has: an IPv4 address, or an IPv6 network (RFC 4291, section 2.5.4), named by its first address.
fn whole(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.all -= 1;
        let Some(address) = self.address else { return };
        if let Some(count) = taken.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&address);
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
        let take = |address| seats.take(&limits).and_then(|mut seat| seat.name(address, &limits).then_some(seat));
        let first = take(one);
        let second = take(one);
        assert!(first.is_some() && second.is_some());
        assert!(take(one).is_none());
        let third = take(other);
        assert!(third.is_some());
        assert!(take(other).is_none());
        drop(first);
        assert!(take(one).is_some());
        // One that is not anybody's yet counts among all.
        let nobody = seats.take(&limits);
        assert!(nobody.is_some() && seats.take(&limits).is_none());
        drop(nobody);
        drop(third);
        // The same host under two of its addresses, and another.
        let host = ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"].map(|host| host.parse().unwrap());
        let limits = Limits { connections: 10, connections_per_address: 1, ..Limits::default() };
        let mut seen = host.map(|host| (seats.take(&limits).unwrap(), host));
        assert_eq!(seen.each_mut().map(|(seat, host)| seat.name(*host, &limits)), [true, false, true]);
        drop(seen);
        drop(second);
        let left = seats.lock();
        assert_eq!((left.all, left.by_address.len()), (0, 0));
    }
}
