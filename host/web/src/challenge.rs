//! The challenge page: what is being asked, and how it ends, live.

mod follow;
mod view;

use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use portcullis_core::challenge::{ChallengeState, ChallengeView, LinkToken};

use crate::app::{App, Peer};
use crate::failure::Failure;
use crate::{origin, page};
use view::Shown;

pub(crate) use follow::{follow_here, follow_one, sse};

/// After a dismissal the page is shown when it has taken effect, or after this.
const DISMISSAL: Duration = Duration::from_secs(2);

/// The link of a challenge: who has it may see the challenge and dismiss it. Has the form of a link, whether or not there
/// is a challenge behind it.
#[derive(Debug)]
pub(crate) struct Link(LinkToken);

impl FromRequestParts<App> for Link {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, app).await;
        let Path(text) = path.map_err(|_| Failure::NoSuchChallenge)?;
        LinkToken::parse(&text).map(Self).ok_or(Failure::NoSuchChallenge)
    }
}

impl Link {
    async fn view(&self, app: &App) -> Result<ChallengeView, Failure> {
        app.state.desk.by_link(&self.0).await.ok_or(Failure::NoSuchChallenge)
    }
}

/// `GET /challenge`: what is being asked about the machine that the page is opened on.
pub(crate) async fn here(State(app): State<App>, Peer(address): Peer) -> Response {
    let shown = Shown::of(app.state.desk.of_address(address).await);
    show(&shown, "/challenge/events", true, &app)
}

/// `GET /challenge/{token}`.
pub(crate) async fn one(State(app): State<App>, link: Link) -> Result<Response, Failure> {
    let view = link.view(&app).await?;
    let open = view.state == ChallengeState::Open;
    let events = format!("/challenge/{}/events", link.0.reveal());
    Ok(show(&Shown::One(Box::new(view)), &events, open, &app))
}

/// `POST /challenge/{token}/dismiss`.
pub(crate) async fn dismiss(
    State(app): State<App>,
    link: Link,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Failure> {
    origin::check(&app, &headers)?;
    let view = link.view(&app).await?;
    if app.state.desk.dismiss(&link.0).await {
        // Whoever follows the challenge ends it a moment later; without waiting, the page would still say that it is open.
        let _ = tokio::time::timeout(DISMISSAL, app.state.desk.changed(&link.0, view.version)).await;
    }
    Ok(Redirect::to(&format!("/challenge/{}", link.0.reveal())))
}

fn show(shown: &Shown, events: &str, follow: bool, app: &App) -> Response {
    let body = view::page(shown, follow.then_some(events), app.now());
    page::simple(StatusCode::OK, shown.title(), Some(page::Live { reload: follow }), &body)
}
