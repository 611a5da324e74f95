//! The directory's servers, and the connections to them that are ready before they are asked for.
//!
//! All servers hold the same directory. Which one a client gets is decided when its first request needs one, and stays so:
//! a server that is lost takes its clients' connections with it, because no request is ever sent twice.

mod health;
mod server;
mod spare;

use std::sync::Arc;
use std::time::Duration;

use portcullis_core::gate::Gate;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::lane::{Cleaned, DirectoryEnd};
use crate::proxy::Handed;
use crate::upstream::{Upstream, UpstreamError};

pub(crate) use server::Lease;
use server::Server;

/// How often connections that nobody uses are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// Which of several servers a client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balance {
    /// The first that is there; the others are for when it is not.
    #[default]
    InOrder,
    /// The one with the fewest open connections.
    LeastConnections,
}

/// How the servers are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamOptions {
    /// Which of several servers a client gets.
    pub balance: Balance,
    /// Connections to one server at most, spare ones included; none: as many as there are clients.
    pub connections: Option<usize>,
    /// Connections to one server that are kept for clients to come. 256 by default; 0 keeps none, and then a connection is
    /// never handed from one client to the next.
    pub spare: usize,
    /// Connections that are opened before anybody asks for them. 2 by default; never more than `spare`.
    pub warm: usize,
    /// How often each server is asked whether it is there; none: never. 5 s by default.
    pub health_interval: Option<Duration>,
}

impl Default for UpstreamOptions {
    fn default() -> Self {
        Self {
            balance: Balance::default(),
            connections: None,
            spare: 256,
            warm: 2,
            health_interval: Some(Duration::from_secs(5)),
        }
    }
}

/// How one server is, and what was counted of it since the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerStatus {
    /// Host and port.
    pub address: String,
    /// It was there when somebody last tried.
    pub up: bool,
    /// Connections that are open for clients, spare ones included.
    pub open: usize,
    /// Connections that nobody uses at the moment.
    pub spare: usize,
    /// Attempts to connect that succeeded: for clients, ahead of time, and for look-ups.
    pub connected: u64,
    /// Attempts that did not.
    pub failures: u64,
    /// Connections that a client had left and that were kept for another.
    pub handed_on: u64,
}

/// All servers of the directory. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct Upstreams(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    servers: Vec<Arc<Server>>,
    options: UpstreamOptions,
    /// Somebody has taken a spare connection.
    taken: Notify,
}

impl Upstreams {
    /// These servers, in this order.
    #[must_use]
    pub fn new(servers: Vec<Upstream>, options: UpstreamOptions) -> Self {
        let servers = servers.into_iter().map(|upstream| Arc::new(Server::new(upstream, &options))).collect();
        Self(Arc::new(Inner { servers, options, taken: Notify::new() }))
    }

    /// One server whose connections are made when they are needed and given up with their clients.
    #[must_use]
    pub fn single(upstream: Upstream) -> Self {
        Self::new(
            vec![upstream],
            UpstreamOptions { spare: 0, warm: 0, health_interval: None, ..UpstreamOptions::default() },
        )
    }

    /// How each server is, in their order.
    #[must_use]
    pub fn status(&self) -> Vec<ServerStatus> {
        self.0.servers.iter().map(|server| server.status()).collect()
    }

    /// Each server by itself, with its host and port.
    pub fn each(&self) -> impl Iterator<Item = (String, Self)> {
        self.0.servers.iter().map(|server| {
            let (servers, options) = (vec![Arc::clone(server)], self.0.options.clone());
            (server.upstream().address(), Self(Arc::new(Inner { servers, options, taken: Notify::new() })))
        })
    }

    /// Looks after the servers: asks whether they are there, keeps connections ready and gives up old ones. Never ends.
    pub async fn look_after(&self) {
        let checks = self.0.servers.iter().map(|server| health::follow(server, self.0.options.health_interval));
        tokio::join!(futures_util::future::join_all(checks), self.stock());
    }

    async fn stock(&self) {
        let mut swept = Instant::now();
        loop {
            let wanted = self.0.options.warm.min(self.0.options.spare);
            let stocked = match self.0.options.balance {
                Balance::InOrder => self.0.servers.iter().find(|server| server.is_up()).into_iter().collect(),
                Balance::LeastConnections => self.0.servers.iter().filter(|server| server.is_up()).collect::<Vec<_>>(),
            };
            for server in stocked {
                server.stock(wanted).await;
            }
            // Not each time that one is taken: it looks at all of them, and who takes one looks at that himself.
            if swept.elapsed() >= SWEEP {
                self.0.servers.iter().for_each(|server| server.sweep());
                swept = Instant::now();
            }
            let _ = tokio::time::timeout(SWEEP, self.0.taken.notified()).await;
        }
    }

    /// The servers in the order in which they are to be tried: those that are there before those that seem not to be.
    fn order(&self) -> Vec<&Arc<Server>> {
        let mut servers: Vec<_> = self.0.servers.iter().collect();
        match self.0.options.balance {
            Balance::InOrder => servers.sort_by_key(|server| !server.is_up()),
            Balance::LeastConnections => servers.sort_by_key(|server| (!server.is_up(), server.in_use())),
        }
        servers
    }

    /// A connection that is ready now. One that another client has used is given only to a client that begins with a bind.
    pub(crate) fn take_spare<G: Gate>(&self, begins_with_bind: bool, limit: usize) -> Option<DirectoryEnd<G>> {
        if self.0.options.spare == 0 {
            return None;
        }
        let first = match (self.0.servers.as_slice(), self.0.options.balance) {
            ([only], _) => only,
            (servers, Balance::InOrder) => servers.iter().find(|server| server.is_up())?,
            (servers, Balance::LeastConnections) => {
                servers.iter().filter(|server| server.is_up()).min_by_key(|server| server.in_use())?
            }
        };
        let (stream, lease) = first.take_spare(begins_with_bind)?;
        self.0.taken.notify_one();
        Some(DirectoryEnd::new(stream, limit, Some(lease)))
    }

    /// A fresh connection to the first server that gives one, for the client of `handed`.
    ///
    /// # Errors
    /// When none does: what the last one said.
    pub(crate) async fn connect<G: Gate>(
        &self,
        limit: usize,
        handed: Handed,
    ) -> Result<DirectoryEnd<G>, UpstreamError> {
        let mut refused = UpstreamError::NoServer;
        for server in self.order() {
            match server.connect(limit, Some(handed)).await {
                Ok((stream, lease)) => return Ok(DirectoryEnd::new(stream, limit, Some(lease))),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Whether a server may put a SASL security layer on a connection.
    pub(crate) fn may_layer(&self) -> bool {
        self.0.servers.iter().any(|server| server.upstream().may_layer())
    }

    /// Whether this is Active Directory.
    pub(crate) fn is_active_directory(&self) -> bool {
        self.0.servers.iter().all(|server| server.upstream().active_directory)
    }

    /// Whether a connection that a client has left is wanted.
    pub(crate) fn keeps(&self, lease: &Lease) -> bool {
        lease.server().has_room()
    }

    /// Keeps a connection that the directory takes for nobody's again.
    pub(crate) fn keep(cleaned: Cleaned) {
        let Cleaned { stream, lease } = cleaned;
        let server = Arc::clone(lease.server());
        server.keep(stream, lease);
    }

    /// A bare TCP connection for a client that does the rest itself, and whose it is.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub(crate) async fn dial(&self) -> Result<(TcpStream, &Upstream), UpstreamError> {
        let mut refused = UpstreamError::NoServer;
        for server in self.order() {
            match server.dial().await {
                Ok(stream) => return Ok((stream, server.upstream())),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }
}
