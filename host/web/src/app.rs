//! What all handlers share.

use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use portcullis_core::event::{AdministrationEvent, Event, Record};
use portcullis_core::store::StoreError;
use portcullis_core::{Secret, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::connection::canonical;
use crate::failure::Failure;
use crate::password::Passwords;
use crate::seats::Seats;
use crate::throttle::Throttle;
use crate::{WebError, WebState};

/// Streams of challenge pages, which anybody can open: kept apart from those of the console, so that they cannot take
/// its place.
const CHALLENGE_STREAMS: usize = 512;
const CHALLENGE_STREAMS_PER_ADDRESS: usize = 16;
/// Machines that listen for their challenges. No more than half of all connections, so that the pages stay reachable however
/// many listen.
const NOTIFY_STREAMS: usize = 1_000;
/// Several people can be signed in to one machine.
const NOTIFY_STREAMS_PER_ADDRESS: usize = 8;
const CONSOLE_STREAMS: usize = 128;
const CONSOLE_STREAMS_PER_ADDRESS: usize = 16;

/// Shared by all handlers.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) state: WebState,
    /// People reach the pages over TLS.
    pub(crate) secure: bool,
    /// `scheme://host:port` of the public address.
    pub(crate) public_origin: Option<String>,
    pub(crate) passwords: Passwords,
    pub(crate) throttle: Throttle,
    pub(crate) challenge_streams: Arc<Seats>,
    pub(crate) console_streams: Arc<Seats>,
    pub(crate) notify_streams: Arc<Seats>,
    pub(crate) notify_token: Option<Secret>,
    pub(crate) shutdown: CancellationToken,
}

impl Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    pub(crate) async fn new(
        state: WebState,
        secure: bool,
        public_url: Option<String>,
        notify_token: Option<Secret>,
        shutdown: CancellationToken,
    ) -> Result<Self, WebError> {
        let passwords = Passwords::new(state.ids.as_ref()).await?;
        Ok(Self(Arc::new(Inner {
            state,
            secure,
            public_origin: public_url.as_deref().and_then(crate::origin::origin_of),
            passwords,
            throttle: Throttle::default(),
            challenge_streams: Seats::new(CHALLENGE_STREAMS, CHALLENGE_STREAMS_PER_ADDRESS),
            console_streams: Seats::new(CONSOLE_STREAMS, CONSOLE_STREAMS_PER_ADDRESS),
            notify_streams: Seats::new(NOTIFY_STREAMS, NOTIFY_STREAMS_PER_ADDRESS),
            notify_token,
            shutdown,
        })))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.state.clock.now()
    }

    /// 32 bytes of randomness.
    pub(crate) fn random(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for half in bytes.chunks_exact_mut(16) {
            half.copy_from_slice(&self.state.ids.random());
        }
        bytes
    }

    pub(crate) fn administration(&self, actor: &str, action: &str, detail: String) -> Event {
        let at = self.now();
        let id = self.state.ids.event_id(at);
        Event::Administration(AdministrationEvent {
            id,
            at,
            actor: actor.to_owned(),
            action: action.to_owned(),
            detail,
        })
    }

    /// Stores what an administrator did; ends when it is durable.
    pub(crate) async fn note(&self, actor: &str, action: &str, detail: String) -> Result<(), StoreError> {
        let event = self.administration(actor, action, detail);
        self.state.events.append(Record { event, learned: None, incidents: Vec::new() }).await
    }
}

/// The client's address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl FromRequestParts<App> for Peer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Failure> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        peer.map(|ConnectInfo(peer)| Self(canonical(peer.ip()))).ok_or(Failure::Unavailable)
    }
}
