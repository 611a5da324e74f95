//! Server-sent events for `portcullis notify`: challenges of the machine that listens (WHATWG HTML, section 9.2).
//!
//! Whoever listens is told what the challenge page would show at the same address, and no more.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::stream::unfold;
use portcullis_core::challenge::{ChallengeState, ChallengeView};
use portcullis_core::{ChallengeId, Timestamp};
use serde::Serialize;
use subtle::ConstantTimeEq as _;
use tokio::time::{Instant, sleep, sleep_until};

use crate::app::{App, Peer};
use crate::challenge::sse;
use crate::failure::{ClientFailure, Failure};
use crate::seats::{LONGEST_STREAM, Seat};

/// How often is looked for new challenges.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A challenge, for a notification.
#[derive(Serialize)]
struct Message<'a> {
    /// Path of its page.
    path: String,
    application: &'a str,
    login: &'a str,
    endpoint: Option<&'a str>,
    opened_at: Timestamp,
    expires_at: Timestamp,
}

/// `GET /notify/events`.
pub(crate) async fn listen(
    State(app): State<App>,
    Peer(address): Peer,
    headers: HeaderMap,
) -> Result<Response, ClientFailure> {
    check_token(&app, &headers)?;
    let seat = app.notify_streams.take(address).ok_or(Failure::Busy)?;
    let until = Instant::now() + LONGEST_STREAM;
    let listener = Listener { app, address, told: HashSet::new(), waiting: Vec::new(), until, _seat: seat };
    Ok(sse(unfold(listener, async |mut listener| Some((Ok(listener.next().await?), listener)))))
}

/// RFC 6750, section 2.1. A token of another length is told apart sooner; its length is no secret.
fn check_token(app: &App, headers: &HeaderMap) -> Result<(), Failure> {
    let Some(expected) = &app.notify_token else { return Ok(()) };
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let right: bool = shown.as_bytes().ct_eq(expected.reveal().as_bytes()).into();
    if right { Ok(()) } else { Err(Failure::NoToken) }
}

struct Listener {
    app: App,
    address: IpAddr,
    told: HashSet<ChallengeId>,
    waiting: Vec<ChallengeView>,
    until: Instant,
    _seat: Seat,
}

impl Listener {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(view) = self.waiting.pop() {
                return Some(message(&view));
            }
            self.look().await;
            if self.waiting.is_empty() {
                tokio::select! {
                    () = self.app.shutdown.cancelled() => return None,
                    () = sleep_until(self.until) => return None,
                    () = sleep(LOOK_EVERY) => {}
                }
            }
        }
    }

    async fn look(&mut self) {
        let views = self.app.state.desk.of_address(self.address).await;
        let open = views.into_iter().filter(|view| view.state == ChallengeState::Open);
        let open: Vec<_> = open.collect();
        // Only those that are open are remembered, so that the memory of a listener does not grow.
        self.told.retain(|id| open.iter().any(|view| view.id == *id));
        self.waiting = open.into_iter().filter(|view| self.told.insert(view.id)).collect();
    }
}

fn message(view: &ChallengeView) -> Event {
    let message = Message {
        path: format!("/challenge/{}", view.link.reveal()),
        application: &view.application,
        login: &view.login,
        endpoint: view.endpoint_name.as_deref(),
        opened_at: view.opened_at,
        expires_at: view.expires_at,
    };
    // JSON has no line breaks of its own, which a message must not have. These fields cannot fail to serialize.
    Event::default().data(serde_json::to_string(&message).unwrap_or_default())
}
