//! The Activity page: events and incidents, live.

use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::response::sse::Event as Message;
use futures_util::stream::unfold;
use portcullis_core::store::Sequence;
use serde::Deserialize;
use tokio::time::{Instant, sleep, sleep_until};

use super::view::{self, Content};
use crate::app::{App, Peer};
use crate::challenge::sse;
use crate::failure::Failure;
use crate::page;
use crate::seats::{LONGEST_STREAM, Seat};
use crate::session::{SignedIn, SignedInClient};

/// Events on one page.
const EVENTS: u32 = 50;
/// Incidents on the page.
const INCIDENTS: u32 = 30;
/// A page is told of changes at most this often.
const CALM: Duration = Duration::from_secs(1);
/// After this the session is looked at even when nothing has changed.
const SESSION_CHECK: Duration = Duration::from_secs(30);
/// Where the list begins.
#[derive(Debug, Deserialize)]
pub(crate) struct Place {
    before: Option<u64>,
}

async fn content(app: &App, before: Option<u64>) -> Result<Content, Failure> {
    // One more than is shown tells whether there are older ones.
    let mut events = app.state.events.recent(before.map(Sequence), EVENTS + 1).await?;
    let older = events.len() > usize::try_from(EVENTS).unwrap_or(usize::MAX);
    if older {
        events.pop();
    }
    let incidents = app.state.incidents.incidents(INCIDENTS).await?;
    let open = app.state.incidents.open_incidents().await?;
    let sources = (app.state.sources)();
    Ok(Content { events, older, before, incidents, open, sources })
}

/// `GET /activity?before=`.
pub(crate) async fn page(
    State(app): State<App>,
    signed_in: SignedIn,
    place: Result<Query<Place>, QueryRejection>,
) -> Result<Response, Failure> {
    let Query(place) = place.map_err(|_| Failure::Malformed)?;
    let content = content(&app, place.before).await?;
    Ok(page::console("Activity", &signed_in, &view::page(&content, &signed_in)))
}

/// `GET /activity/fragment`: the live part of the newest page.
pub(crate) async fn fragment(
    State(app): State<App>,
    SignedInClient(signed_in): SignedInClient,
) -> Result<Response, Failure> {
    let content = content(&app, None).await?;
    Ok(page::respond(StatusCode::OK, view::part(&content, &signed_in)))
}

/// `GET /activity/events`: server-sent events that say that there is something new, and nothing of what it is.
pub(crate) async fn follow(
    State(app): State<App>,
    Peer(address): Peer,
    SignedInClient(signed_in): SignedInClient,
) -> Result<Response, Failure> {
    let seat = app.console_streams.take(address).ok_or(Failure::Busy)?;
    let until = Instant::now() + LONGEST_STREAM;
    let follower = Follower { app, signed_in, seen: Sequence(0), until, done: false, _seat: seat };
    Ok(sse(unfold(follower, async |mut follower| Some((Ok(follower.next().await?), follower)))))
}

struct Follower {
    app: App,
    signed_in: SignedIn,
    seen: Sequence,
    until: Instant,
    done: bool,
    _seat: Seat,
}

impl Follower {
    async fn next(&mut self) -> Option<Message> {
        if self.done {
            return None;
        }
        let first = self.seen == Sequence(0);
        loop {
            let changed = tokio::select! {
                () = self.app.shutdown.cancelled() => return None,
                () = sleep_until(self.until) => return None,
                () = sleep(SESSION_CHECK) => None,
                mark = self.changed(first) => Some(mark),
            };
            if self.signed_in.has_ended(&self.app).await {
                self.done = true;
                return Some(Message::default().data("signed-out"));
            }
            if let Some(mark) = changed {
                self.seen = mark;
                return Some(Message::default().data(if first { "ready" } else { "changed" }));
            }
        }
    }

    async fn changed(&self, first: bool) -> Sequence {
        if !first {
            sleep(CALM).await;
        }
        self.app.state.events.changed(self.seen).await
    }
}
