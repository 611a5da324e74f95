//! What all pages have in common.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};

use crate::assets;
use crate::session::SignedIn;

/// What keeps a page up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Live {
    /// There may be something new: seconds after which a browser without scripts loads the page again.
    pub(crate) reload: Option<u64>,
}

/// A page for anybody: one column, no navigation.
pub(crate) fn simple(status: StatusCode, title: &str, live: Option<Live>, body: &Markup) -> Response {
    let page = document(
        title,
        live,
        &html! {
            header.bar { (wordmark()) }
            main.narrow id="main" { (body) }
        },
    );
    respond(status, page)
}

/// The pages of the console, by their titles.
const PAGES: [(&str, &str); 8] = [
    ("Activity", "/activity"),
    ("Incidents", "/incidents"),
    ("Policy", "/policy"),
    ("Service accounts", "/service-accounts"),
    ("Demotions", "/demotions"),
    ("Exclusions", "/exclusions"),
    ("Connectors", "/connectors"),
    ("Notifications", "/notifications"),
];

/// A page of the console.
pub(crate) fn console(title: &str, signed_in: &SignedIn, body: &Markup) -> Response {
    console_with(StatusCode::OK, title, signed_in, body)
}

/// The same for what was not done.
pub(crate) fn console_with(status: StatusCode, title: &str, signed_in: &SignedIn, body: &Markup) -> Response {
    let page = document(
        title,
        Some(Live { reload: None }),
        &html! {
            a.skip href="#main" { "Skip to content" }
            header.bar {
                (wordmark())
                nav aria-label="Console" {
                    @for (name, address) in PAGES {
                        a href=(address) aria-current=[(name == title).then_some("page")] { (name) }
                    }
                }
                form.session method="post" action="/sign-out" {
                    input type="hidden" name="csrf" value=(signed_in.csrf());
                    span.login { (signed_in.login()) }
                    button.button.quiet.small type="submit" { "Sign out" }
                }
            }
            main.wide id="main" { (body) }
        },
    );
    respond(status, page)
}

/// A page, or a part of one.
pub(crate) fn respond(status: StatusCode, markup: Markup) -> Response {
    (status, Html(markup.into_string())).into_response()
}

fn document(title: &str, live: Option<Live>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " – Portcullis" }
                link rel="icon" href=(assets::address("mark.svg")) type="image/svg+xml";
                link rel="stylesheet" href=(assets::address("console.css"));
                @if let Some(live) = live {
                    script src=(assets::address("live.js")) defer {}
                    @if let Some(seconds) = live.reload {
                        noscript { meta http-equiv="refresh" content=(seconds); }
                    }
                }
            }
            body { (body) }
        }
    }
}

fn wordmark() -> Markup {
    html! {
        a.wordmark href="/" { img src=(assets::address("mark.svg")) alt="" width="22" height="22"; "Portcullis" }
    }
}
