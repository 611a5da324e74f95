//! Server-sent events of the challenge page (WHATWG HTML, section 9.2).
//!
//! Each message is one JSON object: what is shown now, and the part of the page that shows it.

use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use futures_util::stream::unfold;
use portcullis_core::challenge::{ChallengeState, LinkToken};
use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until};

use super::Link;
use super::view::{self, Shown};
use crate::app::{App, Peer};
use crate::failure::Failure;
use crate::seats::{LONGEST_STREAM, Seat};

/// How often is looked for new challenges of an address.
const LOOK_EVERY: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Message<'a> {
    /// Same mark, same content.
    mark: String,
    state: &'a str,
    title: &'a str,
    /// For a screen reader.
    say: String,
    html: String,
    /// Nothing more will come.
    done: bool,
}

fn message(shown: &Shown, done: bool, app: &App) -> Event {
    let message = Message {
        mark: shown.mark(),
        state: shown.state(),
        title: shown.title(),
        say: shown.say(),
        html: view::part(shown, app.now()).into_string(),
        done,
    };
    // JSON has no line breaks of its own, which a message must not have. These fields cannot fail to serialize.
    Event::default().data(serde_json::to_string(&message).unwrap_or_default())
}

/// Server-sent events with a sign of life, so that a connection that nobody holds any more is noticed.
pub(crate) fn sse(stream: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response()
}

/// `GET /challenge/{token}/events`.
pub(crate) async fn follow_one(State(app): State<App>, Peer(address): Peer, link: Link) -> Result<Response, Failure> {
    link.view(&app).await?;
    let seat = app.challenge_streams.take(address).ok_or(Failure::Busy)?;
    let follower = One { app, link: link.0, seen: None, done: false, _seat: seat };
    Ok(sse(unfold(follower, async |mut follower| Some((Ok(follower.next().await?), follower)))))
}

struct One {
    app: App,
    link: LinkToken,
    seen: Option<u64>,
    done: bool,
    _seat: Seat,
}

impl One {
    async fn next(&mut self) -> Option<Event> {
        if self.done {
            return None;
        }
        let desk = &self.app.state.desk;
        let view = loop {
            let view = match self.seen {
                None => desk.by_link(&self.link).await?,
                Some(seen) => tokio::select! {
                    () = self.app.shutdown.cancelled() => return None,
                    view = desk.changed(&self.link, seen) => view?,
                },
            };
            if self.seen != Some(view.version) {
                break view;
            }
            // Without a change there is nothing to say.
            sleep(Duration::from_millis(100)).await;
        };
        self.seen = Some(view.version);
        self.done = view.state != ChallengeState::Open;
        Some(message(&Shown::One(Box::new(view)), self.done, &self.app))
    }
}

/// `GET /challenge/events`.
pub(crate) async fn follow_here(State(app): State<App>, Peer(address): Peer) -> Result<Response, Failure> {
    let seat = app.challenge_streams.take(address).ok_or(Failure::Busy)?;
    let until = Instant::now() + LONGEST_STREAM;
    let follower = Here { app, address, shown: None, until, _seat: seat };
    Ok(sse(unfold(follower, async |mut follower| Some((Ok(follower.next().await?), follower)))))
}

struct Here {
    app: App,
    address: IpAddr,
    shown: Option<Shown>,
    until: Instant,
    _seat: Seat,
}

impl Here {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if self.shown.is_some() {
                tokio::select! {
                    () = self.app.shutdown.cancelled() => return None,
                    () = sleep_until(self.until) => return None,
                    () = sleep(LOOK_EVERY) => {}
                    () = self.open_one_changed() => {}
                }
            }
            let shown = Shown::of(self.app.state.desk.of_address(self.address).await);
            if self.shown.as_ref().map(Shown::mark) != Some(shown.mark()) {
                let message = message(&shown, false, &self.app);
                self.shown = Some(shown);
                return Some(message);
            }
        }
    }

    /// Waits for the open challenge that is shown, so that its end is seen at once; for ever where there is none.
    async fn open_one_changed(&self) {
        if let Some(Shown::One(view)) = &self.shown
            && view.state == ChallengeState::Open
        {
            let changed = self.app.state.desk.changed(&view.link, view.version).await;
            if changed.is_some_and(|now| now.version != view.version) {
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}
