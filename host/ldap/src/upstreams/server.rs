//! One of the directory's servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::spare::{Kind, Spare};
use super::{ServerStatus, UpstreamOptions};
use crate::metrics::Count;
use crate::pipe::Stream;
use crate::proxy::Handed;
use crate::upstream::{Upstream, UpstreamError};

#[derive(Debug)]
pub(crate) struct Server {
    upstream: Upstream,
    most: usize,
    open: AtomicUsize,
    up: AtomicBool,
    /// Wakes who watches the server's health.
    pub(super) lost: Notify,
    spare: Spare,
    connected: Count,
    failures: Count,
    handed_on: Count,
    /// It takes no anonymous binds, so a connection that a client has left cannot be handed on.
    keeps_identity: AtomicBool,
}

/// The right to one connection to a server; given back when dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    server: Arc<Server>,
    made: Instant,
}

impl Lease {
    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// When the connection was begun.
    pub(super) fn made(&self) -> Instant {
        self.made
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.server.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Server {
    pub(super) fn new(upstream: Upstream, options: &UpstreamOptions) -> Self {
        Self {
            most: options.connections.unwrap_or(usize::MAX),
            open: AtomicUsize::new(0),
            up: AtomicBool::new(true),
            lost: Notify::new(),
            // A connection that says whose it is, is nobody else's.
            spare: Spare::new(if upstream.send_proxy_protocol { 0 } else { options.spare }),
            connected: Count::default(),
            failures: Count::default(),
            handed_on: Count::default(),
            keeps_identity: AtomicBool::new(false),
            upstream,
        }
    }

    pub(super) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Connections that clients have.
    pub(super) fn in_use(&self) -> usize {
        self.open.load(Ordering::Relaxed).saturating_sub(self.spare.len())
    }

    pub(super) fn status(&self) -> ServerStatus {
        ServerStatus {
            address: self.upstream.address(),
            up: self.is_up(),
            open: self.open.load(Ordering::Relaxed),
            spare: self.spare.len(),
            connected: self.connected.get(),
            failures: self.failures.get(),
            handed_on: self.handed_on.get(),
        }
    }

    /// Counts an attempt to connect, and notes what it tells of the server.
    fn tried<T>(&self, connected: &Result<T, UpstreamError>) {
        if connected.is_ok() { &self.connected } else { &self.failures }.one();
        self.note(connected.as_ref().map(drop));
    }

    /// Notes whether the server is there, and logs when that changes.
    pub(super) fn note(&self, found: Result<(), &UpstreamError>) {
        let server = self.upstream.address();
        match found {
            Ok(()) if !self.up.swap(true, Ordering::Relaxed) => {
                tracing::info!(server, "the directory's server is there again");
            }
            Err(error) if self.up.swap(false, Ordering::Relaxed) => {
                tracing::warn!(server, %error, "the directory's server is lost");
                self.spare.clear();
                self.lost.notify_one();
            }
            _ => {}
        }
    }

    /// A seat for one more connection; at the limit, a spare one makes room.
    fn seat(self: &Arc<Self>) -> Result<Lease, UpstreamError> {
        loop {
            let taken = self
                .open
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| (open < self.most).then_some(open + 1));
            if taken.is_ok() {
                return Ok(Lease { server: Arc::clone(self), made: Instant::now() });
            }
            if !self.spare.drop_one() {
                return Err(UpstreamError::Full { address: self.upstream.address(), limit: self.most });
            }
        }
    }

    pub(super) async fn connect(
        self: &Arc<Self>,
        limit: usize,
        handed: Option<Handed>,
    ) -> Result<(Stream, Lease), UpstreamError> {
        let lease = self.seat()?;
        let connected = self.upstream.connect(limit, handed).await;
        self.tried(&connected);
        connected.map(|stream| (stream, lease))
    }

    pub(super) async fn dial(&self) -> Result<TcpStream, UpstreamError> {
        let dialled = self.upstream.dial().await;
        self.tried(&dialled);
        dialled
    }

    pub(super) fn take_spare(&self, begins_with_bind: bool) -> Option<(Stream, Lease)> {
        self.spare.take(begins_with_bind)
    }

    pub(super) fn has_room(&self) -> bool {
        self.is_up() && self.spare.has_room() && !self.keeps_identity.load(Ordering::Relaxed)
    }

    pub(super) fn keep(&self, stream: Stream, lease: Lease) {
        self.handed_on.one();
        self.spare.put(stream, lease, Kind::Used);
    }

    /// It has answered an anonymous bind with this result.
    pub(crate) fn cannot_be_cleaned(&self, code: u32) {
        if !self.keeps_identity.swap(true, Ordering::Relaxed) {
            let server = self.upstream.address();
            tracing::info!(
                server,
                code,
                "the directory takes no anonymous binds: its connections end with their clients"
            );
        }
    }

    pub(super) fn sweep(&self) {
        self.spare.sweep();
    }

    /// Opens connections until this many are spare.
    pub(super) async fn stock(self: &Arc<Self>, wanted: usize) {
        while self.is_up() && self.spare.len() < wanted && self.spare.has_room() {
            // What is opened ahead of time has nobody who would set another limit; it is sent nothing before it is taken.
            let Ok((stream, lease)) = self.connect(crate::frame::DEFAULT_LIMIT, None).await else { return };
            self.spare.put(stream, lease, Kind::Fresh);
        }
    }
}
