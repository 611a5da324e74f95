//! Console sessions: cookie, anti-forgery secret, and the values that prove both.

use std::time::Duration;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::rejection::FormRejection;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::{Form, Json};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use maud::html;
use portcullis_core::Secret;
use portcullis_core::store::{ConsoleSession, StoreError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::app::{App, Peer};
use crate::failure::{ClientFailure, Failure};
use crate::routes::{BODY_LIMIT, NOTE_LIMIT};
use crate::{origin, page};

/// How long a session lasts.
const LIFETIME: Duration = Duration::from_secs(8 * 3_600);

/// Somebody is signed in. Can only be made of a request with the cookie of a session that has not ended.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn {
    login: String,
    token_hash: [u8; 32],
    csrf: String,
}

impl SignedIn {
    pub(crate) fn login(&self) -> &str {
        &self.login
    }

    /// The anti-forgery secret, for a hidden field of the forms of this session's own pages.
    pub(crate) fn csrf(&self) -> &str {
        &self.csrf
    }

    /// Whether the session has ended. A store that cannot be asked does not say so.
    pub(crate) async fn has_ended(&self, app: &App) -> bool {
        matches!(app.state.settings.session(&self.token_hash, app.now()).await, Ok(None))
    }

    async fn end(&self, app: &App) -> Result<(), StoreError> {
        app.state.settings.end_session(&self.token_hash).await
    }
}

/// The session of a request; none without a cookie, or when it has ended.
///
/// # Errors
/// The store cannot be asked.
pub(crate) async fn of(app: &App, headers: &HeaderMap) -> Result<Option<SignedIn>, Failure> {
    let Some(cookie) = cookie(app, headers) else { return Ok(None) };
    let token_hash = Sha256::digest(cookie).into();
    let session = app.state.settings.session(&token_hash, app.now()).await?;
    let csrf = URL_SAFE_NO_PAD.encode(Sha256::new().chain_update("csrf").chain_update(cookie).finalize());
    Ok(session.map(|session| SignedIn { login: session.login, token_hash, csrf }))
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        of(app, &parts.headers).await?.ok_or(Failure::SignInFirst)
    }
}

/// The same for requests of programs and scripts, which are told 401 instead of being sent to the sign-in page.
#[derive(Debug)]
pub(crate) struct SignedInClient(pub(crate) SignedIn);

impl FromRequestParts<App> for SignedInClient {
    type Rejection = ClientFailure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ClientFailure> {
        Ok(of(app, &parts.headers).await?.map(Self).ok_or(Failure::NoSession)?)
    }
}

/// Somebody is signed in and means it: the form is one of this session's own pages.
#[derive(Debug)]
pub(crate) struct Confirmed(pub(crate) SignedIn);

#[derive(Deserialize)]
struct CsrfField {
    csrf: String,
}

impl FromRequest<App> for Confirmed {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let (signed_in, request) = from_own_page(app, request).await?;
        confirmed(app, signed_in, request).await.map(Self).map_err(Failure::into_response)
    }
}

/// Whoever is signed in and sends it from one of our own pages, as far as that is seen before anything of the body is read.
async fn from_own_page(app: &App, request: Request) -> Result<(SignedIn, Request), Response> {
    origin::check(app, request.headers()).map_err(Failure::into_response)?;
    match of(app, request.headers()).await {
        Ok(Some(signed_in)) => Ok((signed_in, request)),
        Ok(None) => Err(signed_out(app, request).await),
        Err(failure) => Err(failure.into_response()),
    }
}

/// Whoever has been signed out meanwhile gets back what he has written: it may be nowhere else. What is larger than a note is not
/// read, because anybody can send it.
async fn signed_out(app: &App, request: Request) -> Response {
    let is_small = request.body().size_hint().upper().is_some_and(|most| most <= NOTE_LIMIT as u64);
    let form = if is_small { Form::from_request(request, app).await.ok() } else { None };
    let fields: Vec<(String, String)> = form.map(|Form(fields)| fields).unwrap_or_default();
    let written: Vec<_> = fields.iter().filter(|(name, text)| name != "csrf" && !text.trim().is_empty()).collect();
    let body = html! {
        section.card.notice {
            h1 { "You are signed out" }
            p { "Nothing was saved. Sign in again and do it once more." }
            @if !written.is_empty() {
                p { "This is what you have sent:" }
                @for (number, (name, text)) in written.iter().enumerate() {
                    label for={ "field-" (number) } { (name) }
                    textarea id={ "field-" (number) } rows="4" readonly { "\n" (text) }
                }
            }
            p { a.button href="/sign-in" { "Sign in" } }
        }
    };
    let mut response = page::simple(StatusCode::FORBIDDEN, "You are signed out", None, &body);
    response.extensions_mut().insert(Failure::SignInFirst);
    response
}

/// Looks for the session's secret in the form.
async fn confirmed(app: &App, signed_in: SignedIn, request: Request) -> Result<SignedIn, Failure> {
    let form = Form::<CsrfField>::from_request(request, app).await;
    let Form(field) = form.map_err(|rejection| match form_failure(&rejection) {
        Failure::TooLarge => Failure::TooLarge,
        _ => Failure::NotConfirmed,
    })?;
    let matches: bool = field.csrf.as_bytes().ct_eq(signed_in.csrf.as_bytes()).into();
    if matches { Ok(signed_in) } else { Err(Failure::NotConfirmed) }
}

/// The same with what else is in the form. Who may not send it is not told what is wrong with it.
///
/// A form that may be larger than others names its limit, in bytes; its route has to allow as much.
#[derive(Debug)]
pub(crate) struct ConfirmedWith<T, const LIMIT: usize = BODY_LIMIT>(SignedIn, Option<T>);

impl<T, const LIMIT: usize> ConfirmedWith<T, LIMIT> {
    /// Who sent it, and what it says.
    ///
    /// # Errors
    /// Something is missing.
    pub(crate) fn filled(self) -> Result<(SignedIn, T), Failure> {
        self.1.map(|form| (self.0, form)).ok_or(Failure::Malformed)
    }
}

impl<T: DeserializeOwned, const LIMIT: usize> FromRequest<App> for ConfirmedWith<T, LIMIT> {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let (signed_in, request) = from_own_page(app, request).await?;
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, LIMIT).await.map_err(|_| Failure::TooLarge.into_response())?;
        let again = Request::from_parts(parts.clone(), Body::from(body.clone()));
        let signed_in = confirmed(app, signed_in, again).await.map_err(Failure::into_response)?;
        let form = Form::<T>::from_request(Request::from_parts(parts, Body::from(body)), app).await;
        Ok(Self(signed_in, form.ok().map(|Form(form)| form)))
    }
}

/// What a person types that nobody else is to see.
pub(crate) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}

/// The answer to `GET /api/v1/session`.
#[derive(Serialize)]
pub(crate) struct About {
    login: String,
    /// What the forms of this session have to name.
    csrf: String,
}

/// `GET /api/v1/session`.
pub(crate) async fn about(SignedInClient(SignedIn { login, csrf, .. }): SignedInClient) -> Json<About> {
    Json(About { login, csrf })
}

/// What was wrong with a form.
pub(crate) fn form_failure(rejection: &FormRejection) -> Failure {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE { Failure::TooLarge } else { Failure::Malformed }
}

/// Begins a session and stores that it began. Returns the value of `Set-Cookie`.
///
/// # Errors
/// The store does not take it; there is no session then.
pub(crate) async fn begin(app: &App, login: &str, peer: Peer) -> Result<String, StoreError> {
    let cookie = URL_SAFE_NO_PAD.encode(app.random());
    let (token_hash, now) = (Sha256::digest(&cookie).into(), app.now());
    let session = ConsoleSession { token_hash, login: login.to_owned(), expires_at: now.plus(LIFETIME) };
    app.state.settings.put_session(&session, now).await?;
    if let Err(error) = app.note(login, "console-sign-in", format!("Signed in from {}.", peer.0)).await {
        // A session that is not on record must not be used.
        app.state.settings.end_session(&token_hash).await?;
        return Err(error);
    }
    Ok(set_cookie(app, &cookie, LIFETIME))
}

/// `POST /sign-out`.
pub(crate) async fn sign_out(
    State(app): State<App>,
    peer: Peer,
    Confirmed(signed_in): Confirmed,
) -> Result<Response, Failure> {
    signed_in.end(&app).await?;
    app.note(&signed_in.login, "console-sign-out", format!("Signed out from {}.", peer.0)).await?;
    let expired = set_cookie(&app, "", Duration::ZERO);
    Ok(([(header::SET_COOKIE, expired)], Redirect::to("/sign-in")).into_response())
}

/// With TLS the prefix makes the browser insist on what the attributes say (RFC 6265bis, section 4.1.3).
fn cookie_name(app: &App) -> &'static str {
    if app.secure { "__Host-portcullis" } else { "portcullis" }
}

fn set_cookie(app: &App, value: &str, lifetime: Duration) -> String {
    let secure = if app.secure { "; Secure" } else { "" };
    let (name, seconds) = (cookie_name(app), lifetime.as_secs());
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

fn cookie<'a>(app: &App, headers: &'a HeaderMap) -> Option<&'a str> {
    let name = cookie_name(app);
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(found, value)| (found == name).then_some(value))
}
