//! The Notifications page: by which channels people are told, and how each fares.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use portcullis_core::ChannelName;
use portcullis_core::channel::{ChannelLog, ChannelStatus};
use serde::Serialize;

use super::view::badge;
use crate::app::App;
use crate::failure::{ClientFailure, Failure};
use crate::page;
use crate::session::{Confirmed, SignedIn, SignedInClient};
use crate::time::{Show, time};
use crate::words::{self, Badge};

/// A person waits so long for a test.
const PATIENCE: Duration = Duration::from_secs(5);

/// `GET /notifications`.
pub(crate) async fn page(State(app): State<App>, signed_in: SignedIn) -> Result<Response, Failure> {
    show(&app, &signed_in, StatusCode::OK, None).await
}

async fn show(app: &App, signed_in: &SignedIn, status: StatusCode, said: Option<&str>) -> Result<Response, Failure> {
    let channels = app.state.channels.channels().await?;
    Ok(page::console_with(status, "Notifications", signed_in, &view(&channels, said, signed_in)))
}

/// The answer to `GET /api/v1/channels`.
#[derive(Debug, Serialize)]
pub(crate) struct Channels {
    channels: Vec<ChannelStatus>,
}

/// `GET /api/v1/channels`.
pub(crate) async fn all(State(app): State<App>, _: SignedInClient) -> Result<Json<Channels>, ClientFailure> {
    let channels = app.state.channels.channels().await.map_err(Failure::from)?;
    Ok(Json(Channels { channels }))
}

/// `POST /notifications/{name}/test`. How it went stands on the page. A receiver may take its time, and one that does not answer
/// takes the longest; the test goes on and is put on record when nobody waits for it any more.
pub(crate) async fn test(
    State(app): State<App>,
    name: Result<Path<String>, PathRejection>,
    Confirmed(signed_in): Confirmed,
) -> Result<Response, Failure> {
    let Path(name) = name.map_err(|_| Failure::NotFound)?;
    let name = ChannelName::new(name);
    let testing = tokio::spawn(try_out(app.clone(), name.clone(), signed_in.login().to_owned()));
    match tokio::time::timeout(PATIENCE, testing).await {
        Ok(tried) => {
            tried.unwrap_or(Err(Failure::Unavailable))?;
            Ok(Redirect::to("/notifications").into_response())
        }
        Err(_) => {
            let said = format!(
                "{name} has not answered the test yet. How it goes on stands here and in Activity: look again."
            );
            show(&app, &signed_in, StatusCode::ACCEPTED, Some(&said)).await
        }
    }
}

async fn try_out(app: App, name: ChannelName, login: String) -> Result<(), Failure> {
    let detail = match app.state.channels.test(&name, &login).await.ok_or(Failure::NotFound)? {
        Ok(()) => format!("A test message went out through {name}."),
        Err(error) => format!("A test message did not go out through {name}: {error}."),
    };
    Ok(app.note(&login, "channel-tested", detail).await?)
}

fn view(channels: &[ChannelStatus], said: Option<&str>, signed_in: &SignedIn) -> Markup {
    html! {
        div.title {
            h1 { "Notifications" }
            a.button.quiet.small href="/notifications" { "Look again" }
        }
        @if let Some(text) = said { p.problem role="alert" { (text) } }
        @if channels.is_empty() {
            p.empty {
                "No channel is configured. A section [[channel]] of the configuration adds one, and SIGHUP puts it into force."
            }
        } @else {
            ul.cards.connectors { @for one in channels { li { (channel(one, signed_in)) } } }
            p.hint.times { "All times are UTC." }
        }
    }
}

fn state(channel: &ChannelStatus) -> Badge {
    let ChannelLog { last_success, last_error, .. } = &channel.log;
    let is_failing = last_error.as_ref().is_some_and(|(at, _)| last_success.is_none_or(|success| success < *at));
    match (channel.stopped, is_failing, last_success) {
        (true, ..) => Badge { name: "block", icon: "✕", word: "Stopped" },
        (_, true, _) => Badge { name: "refused", icon: "!", word: "Does not get through" },
        (_, _, Some(_)) => Badge { name: "allow", icon: "✓", word: "Works" },
        (_, _, None) => Badge { name: "recorded", icon: "…", word: "Nothing sent yet" },
    }
}

fn channel(one: &ChannelStatus, signed_in: &SignedIn) -> Markup {
    let (state, log) = (state(one), &one.log);
    html! {
        article.connector data-name=(state.name) aria-labelledby={ "channel-" (one.name) } {
            header {
                h2 id={ "channel-" (one.name) } { (one.name) }
                (badge(state, "channel"))
            }
            p.who { (one.kind) " · " (one.target) }
            @if one.stopped {
                p.fault { "The receiver wants no messages any more. SIGHUP, or a test that arrives, begins anew." }
            }
            dl.facts {
                div {
                    dt { "Told of" }
                    dd {
                        @match one.incidents {
                            Some(severity) => {
                                "incidents from " (words::severity(severity).word.to_lowercase()) " on"
                                @if one.resolved { ", their end too" }
                                ", and what policies say"
                            },
                            None => "what policies say",
                        }
                    }
                }
                div { dt { "At most" } dd { (words::count(u64::from(one.per_hour), "message", "messages")) " an hour" } }
                div { dt { "Waiting" } dd { (words::number(log.waiting)) } }
                div {
                    dt { "Last sent" }
                    dd {
                        @match log.last_success {
                            Some(at) => (time(at, Show::Full)),
                            None => span.none { "never" },
                        }
                    }
                }
                div { dt { "Sent" } dd { (words::count(log.delivered, "message", "messages")) } }
                @if log.given_up > 0 { div { dt { "Given up" } dd { (words::number(log.given_up)) } } }
                @if let Some((at, why)) = &log.last_error {
                    div { dt { "Last error" } dd { (time(*at, Show::Full)) br; span.fault { (why) } } }
                }
            }
            form method="post" action={ "/notifications/" (one.name) "/test" } {
                input type="hidden" name="csrf" value=(signed_in.csrf());
                button.button.small type="submit" aria-label={ "Send a test message through " (one.name) } { "Send a test" }
            }
        }
    }
}
