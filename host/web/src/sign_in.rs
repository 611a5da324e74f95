//! The sign-in page.

use std::time::Duration;

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::html;
use portcullis_core::Secret;
use serde::Deserialize;

use crate::app::{App, Peer};
use crate::failure::Failure;
use crate::password::Busy;
use crate::{origin, page, session};

/// A longer login is nobody's.
const LONGEST_LOGIN: usize = 256;

/// `GET /sign-in`.
pub(crate) async fn form(State(app): State<App>, headers: HeaderMap) -> Result<Response, Failure> {
    if session::of(&app, &headers).await?.is_some() {
        return Ok(Redirect::to("/activity").into_response());
    }
    Ok(show(StatusCode::OK, None))
}

/// What the form sends.
#[derive(Deserialize)]
pub(crate) struct Fields {
    login: String,
    #[serde(deserialize_with = "session::secret")]
    password: Secret,
}

/// `POST /sign-in`.
pub(crate) async fn sign_in(
    State(app): State<App>,
    peer: Peer,
    headers: HeaderMap,
    fields: Result<Form<Fields>, FormRejection>,
) -> Result<Response, Failure> {
    origin::check(&app, &headers)?;
    let Form(Fields { login, password }) = fields.map_err(|rejection| session::form_failure(&rejection))?;
    if let Err(wait) = app.throttle.attempt(&login, peer.0, app.now()) {
        tracing::warn!(address = %peer.0, "a sign-in to the console came too early after others that failed");
        return Ok(too_early(wait));
    }
    let administrator =
        if login.len() > LONGEST_LOGIN { None } else { app.state.settings.administrator(&login).await? };
    // What was typed as a login may be a password in the wrong field: only logins that exist are put on record.
    let actor = administrator.as_ref().map_or_else(|| "unknown".to_owned(), |found| found.login.clone());
    let hash = administrator.map(|found| found.password_hash);
    let matches = app.passwords.verify(password, hash).await.map_err(|Busy| Failure::Busy)?;
    if !matches {
        let detail = format!("Refused from {}: login or password is wrong.", peer.0);
        app.note(&actor, "console-sign-in-refused", detail).await?;
        return Ok(show(StatusCode::UNAUTHORIZED, Some("Login or password is wrong.")));
    }
    app.throttle.forget(&login, peer.0, app.now());
    let cookie = session::begin(&app, &actor, peer).await?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/activity")).into_response())
}

fn too_early(wait: Duration) -> Response {
    let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
    let said = format!("Too many attempts. Try again in {seconds} s.");
    let mut response = show(StatusCode::TOO_MANY_REQUESTS, Some(&said));
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn show(status: StatusCode, problem: Option<&str>) -> Response {
    let body = html! {
        section.card.sign-in {
            h1 { "Sign in to the console" }
            @if let Some(problem) = problem {
                p.problem role="alert" id="problem" { (problem) }
            }
            form method="post" action="/sign-in" {
                label for="login" { "Login" }
                input id="login" name="login" type="text" autocomplete="username" autocapitalize="none" spellcheck="false"
                    required autofocus maxlength=(LONGEST_LOGIN) aria-describedby=[problem.map(|_| "problem")];
                label for="password" { "Password" }
                input id="password" name="password" type="password" autocomplete="current-password" required;
                button.button type="submit" { "Sign in" }
            }
            p.hint { "The first password was printed once, when the gateway was started for the first time." }
        }
    };
    page::simple(status, "Sign in", None, &body)
}
