//! The challenge page: what is being asked, and how it ends, live.

mod follow;
mod view;

use std::time::Duration;

use axum::Form;
use axum::extract::rejection::{FormRejection, PathRejection, StringRejection};
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Redirect, Response};
use portcullis_core::Secret;
use portcullis_core::challenge::{ChallengeState, ChallengeView, LinkToken, NotTaken, PageId, Presence};
use serde::Deserialize;

use crate::app::{App, Peer};
use crate::failure::Failure;
use crate::{origin, page, session};
use view::Shown;

pub(crate) use follow::{follow_here, follow_one, sse};

/// After a dismissal the page is shown when it has taken effect, or after this.
const DISMISSAL: Duration = Duration::from_secs(2);
/// A service may take its time to judge a code. After this the page is shown as it is, and follows by itself.
const VERDICT: Duration = Duration::from_secs(12);
/// Seconds after which a browser without scripts looks for news.
const RELOAD_SECONDS: u64 = 3;

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

/// What the form for a code sends.
#[derive(Deserialize)]
pub(crate) struct Typed {
    #[serde(deserialize_with = "session::secret")]
    code: Secret,
}

/// `POST /challenge/{token}/code`. Answered by a redirection to the page, so that loading it again sends nothing.
pub(crate) async fn code(
    State(app): State<App>,
    link: Link,
    headers: HeaderMap,
    fields: Result<Form<Typed>, FormRejection>,
) -> Result<Redirect, Failure> {
    origin::check(&app, &headers)?;
    link.view(&app).await?;
    let Form(Typed { code }) = fields.map_err(|rejection| session::form_failure(&rejection))?;
    Ok(link.answered(app.state.desk.verify(&link.0, code)).await)
}

/// What the form with the ways to be asked sends.
#[derive(Deserialize)]
pub(crate) struct Chosen {
    choice: String,
}

/// `POST /challenge/{token}/choose`.
pub(crate) async fn choose(
    State(app): State<App>,
    link: Link,
    headers: HeaderMap,
    fields: Result<Form<Chosen>, FormRejection>,
) -> Result<Redirect, Failure> {
    origin::check(&app, &headers)?;
    link.view(&app).await?;
    let Form(Chosen { choice }) = fields.map_err(|rejection| session::form_failure(&rejection))?;
    Ok(link.answered(app.state.desk.choose(&link.0, &choice)).await)
}

/// `POST /challenge/{token}/dismiss`.
pub(crate) async fn dismiss(State(app): State<App>, link: Link, headers: HeaderMap) -> Result<Redirect, Failure> {
    origin::check(&app, &headers)?;
    let view = link.view(&app).await?;
    let was_open = app.state.desk.dismiss(&link.0).await;
    Ok(link.ended(&app, &view, was_open).await)
}

/// `POST /challenge/{token}/deny`: it was somebody else who asked.
pub(crate) async fn deny(State(app): State<App>, link: Link, headers: HeaderMap) -> Result<Redirect, Failure> {
    origin::check(&app, &headers)?;
    let view = link.view(&app).await?;
    let was_open = app.state.desk.deny(&link.0).await;
    Ok(link.ended(&app, &view, was_open).await)
}

/// `POST /challenge/{token}/seen`: a page's script tells that the page is there, or no longer. The body is the page's number
/// and a word. 204 while the challenge is open, 410 when it is not.
pub(crate) async fn seen(
    State(app): State<App>,
    link: Link,
    headers: HeaderMap,
    body: Result<String, StringRejection>,
) -> Result<StatusCode, Failure> {
    origin::check(&app, &headers)?;
    link.view(&app).await?;
    let body = body.map_err(|_| Failure::Malformed)?;
    let (page, presence) = said(&body).ok_or(Failure::Malformed)?;
    let open = app.state.desk.seen(&link.0, page, presence).await;
    Ok(if open { StatusCode::NO_CONTENT } else { StatusCode::GONE })
}

fn said(body: &str) -> Option<(PageId, Presence)> {
    let (page, word) = body.split_once(' ')?;
    let presence = match word {
        "visible" => Presence::Visible,
        "hidden" => Presence::Hidden,
        "elsewhere" => Presence::Elsewhere,
        "gone" => Presence::Gone,
        _ => return None,
    };
    Some((PageId(page.parse().ok()?), presence))
}

impl Link {
    fn to_page(&self) -> Redirect {
        Redirect::to(&format!("/challenge/{}", self.0.reveal()))
    }

    /// To the page, once it shows what came of it. What was not taken needs no page of its own: the challenge has ended, which
    /// its page says, or the form was sent twice, and the page will show what comes of the first.
    async fn answered(&self, taken: impl Future<Output = Result<(), NotTaken>>) -> Redirect {
        let _ = tokio::time::timeout(VERDICT, taken).await;
        self.to_page()
    }

    async fn ended(&self, app: &App, before: &ChallengeView, was_open: bool) -> Redirect {
        if was_open {
            // Whoever follows the challenge ends it a moment later; without waiting, the page would still say that it is open.
            let _ = tokio::time::timeout(DISMISSAL, app.state.desk.changed(&self.0, before.version)).await;
        }
        self.to_page()
    }
}

fn show(shown: &Shown, events: &str, follow: bool, app: &App) -> Response {
    let now = app.now();
    // A page that is loaded again loses what is being typed, so without scripts that is done when it is too late anyway.
    let reload = shown.code_until().map_or(RELOAD_SECONDS, |until| until.since(now).as_secs() + 1);
    let body = view::page(shown, follow.then_some(events), now);
    page::simple(StatusCode::OK, shown.title(), Some(page::Live { reload: follow.then_some(reload) }), &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_says_is_a_number_and_a_word() {
        assert_eq!(said("7 visible"), Some((PageId(7), Presence::Visible)));
        assert_eq!(said("18446744073709551615 gone"), Some((PageId(u64::MAX), Presence::Gone)));
        for other in ["", "7", "7 ", "x gone", "-1 gone", "18446744073709551616 gone", "7 gone ", "7  gone", "7 open"] {
            assert_eq!(said(other), None, "{other}");
        }
    }
}
