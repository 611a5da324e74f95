//! Answers for what was not done.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;
use portcullis_core::store::StoreError;

use crate::page;

/// Why a request was not done. The person is told what to do; the log has the details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There is no such page.
    NotFound,
    /// A challenge link that is unknown, too old or no link at all. All three look the same.
    NoSuchChallenge,
    /// A page of the console without a session.
    SignInFirst,
    /// A request of a program without a session.
    NoSession,
    /// Somebody who listens for challenges without the token for that.
    NoToken,
    /// A form without the session's own secret.
    NotConfirmed,
    /// A form of another site.
    OtherSite,
    /// A form or a query that is not one of ours.
    Malformed,
    /// A body over the limit.
    TooLarge,
    /// Too many at once.
    Busy,
    /// The store, or we, cannot do it now.
    Unavailable,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a page could not be served");
        Self::Unavailable
    }
}

impl Failure {
    fn words(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "Page not found", "Check the address, or go back to the start."),
            Self::NoSuchChallenge => (
                StatusCode::NOT_FOUND,
                "This link is no longer valid",
                "Links to a sign-in confirmation work for a few minutes only. Sign in to your application again; it will \
                 show you a new link. From the machine that you sign in on you can also open the page below.",
            ),
            Self::SignInFirst | Self::NoSession => {
                (StatusCode::UNAUTHORIZED, "Sign in first", "This needs a session of the console.")
            }
            Self::NoToken => (
                StatusCode::UNAUTHORIZED,
                "A token is needed",
                "Ask your administrator for the token for notifications.",
            ),
            Self::NotConfirmed => (
                StatusCode::FORBIDDEN,
                "This form has expired",
                "Nothing was changed. Go back, reload the page and try again.",
            ),
            Self::OtherSite => (
                StatusCode::FORBIDDEN,
                "Refused",
                "This request came from another site, so nothing was changed. Open the page itself and try again.",
            ),
            Self::Malformed => {
                (StatusCode::BAD_REQUEST, "Not understood", "The request is incomplete. Go back and try again.")
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Too large", "The request is larger than any of ours."),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Too busy",
                "There are too many requests just now. Try again shortly.",
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Not available",
                "The gateway cannot answer this just now. Try again shortly; if it stays so, tell your administrator.",
            ),
        }
    }
}

impl Failure {
    fn with_headers(self, mut response: Response) -> Response {
        let (name, value) = match self {
            // RFC 9110, section 15.5.2, wants a challenge; this scheme is none that a browser would ask a password for.
            Self::NoSession => (header::WWW_AUTHENTICATE, "Session realm=\"portcullis\""),
            Self::NoToken => (header::WWW_AUTHENTICATE, "Bearer realm=\"portcullis\""),
            Self::Busy => (header::RETRY_AFTER, "5"),
            _ => return response,
        };
        response.headers_mut().insert(name, HeaderValue::from_static(value));
        response
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.page();
        response.extensions_mut().insert(self);
        response
    }
}

impl Failure {
    fn page(self) -> Response {
        if self == Self::SignInFirst {
            return Redirect::to("/sign-in").into_response();
        }
        let (status, title, advice) = self.words();
        let link = match self {
            Self::NoSuchChallenge => ("/challenge", "Look for sign-ins from this machine"),
            _ => ("/", "Go to the start"),
        };
        let body = html! {
            section.card.notice {
                h1 { (title) }
                p { (advice) }
                p { a.button.quiet href=(link.0) { (link.1) } }
            }
        };
        self.with_headers(page::simple(status, title, None, &body))
    }
}

/// The same for a program: JSON with one sentence in `error`. What is asked for under `/api/` is answered so in any case; this is
/// for other addresses that scripts ask for.
#[derive(Debug)]
pub(crate) struct ClientFailure(Failure);

impl<F: Into<Failure>> From<F> for ClientFailure {
    fn from(failure: F) -> Self {
        match failure.into() {
            Failure::SignInFirst => Self(Failure::NoSession),
            failure => Self(failure),
        }
    }
}

/// The same for a reason of its own.
pub(crate) fn refused(status: StatusCode, error: &str) -> Response {
    (status, Json(serde_json::json!({ "error": error }))).into_response()
}

impl IntoResponse for ClientFailure {
    fn into_response(self) -> Response {
        let (status, title, _) = self.0.words();
        self.0.with_headers(refused(status, title))
    }
}
