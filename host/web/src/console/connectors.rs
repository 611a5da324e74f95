//! The Connectors page: what the gateway is connected to, and how that stands.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use portcullis_core::Timestamp;
use portcullis_core::cloud::SourceStatus;
use portcullis_core::status::ConnectorStatus;

use super::view::badge;
use crate::app::App;
use crate::page;
use crate::session::SignedIn;
use crate::time::{Show, time};
use crate::words::{self, Badge};

/// A connector, and how reading its events goes where it has any.
pub(super) type Stands = (ConnectorStatus, Option<SourceStatus>);

/// All connectors, by name.
pub(super) fn stands(app: &App) -> Vec<Stands> {
    let mut sources = (app.state.sources)();
    let with_source = |status: ConnectorStatus| {
        let place = sources.iter().position(|source| source.source == status.name);
        let source = place.map(|place| sources.swap_remove(place));
        (status, source)
    };
    (app.state.connectors)().into_iter().map(with_source).collect()
}

/// `GET /connectors`.
pub(crate) async fn page(State(app): State<App>, signed_in: SignedIn) -> Response {
    page::console("Connectors", &signed_in, &view(&stands(&app), app.now()))
}

fn view(stands: &[Stands], now: Timestamp) -> Markup {
    html! {
        div.title {
            h1 { "Connectors" }
            a.button.quiet.small href="/connectors" { "Look again" }
        }
        @if stands.is_empty() {
            p.empty {
                "No connector is configured. A section [[connector]] of the configuration adds one, and SIGHUP puts it into "
                "force."
            }
        } @else {
            ul.cards.connectors { @for (status, source) in stands { li { (connector(status, source.as_ref(), now)) } } }
            p.hint.times { "All times are UTC." }
        }
    }
}

fn state(status: &ConnectorStatus) -> Badge {
    match &status.tried {
        None => Badge { name: "recorded", icon: "…", word: "Not tried yet" },
        Some((_, Ok(health))) if health.warnings.is_empty() => Badge { name: "allow", icon: "✓", word: "Works" },
        Some((_, Ok(_))) => Badge { name: "refused", icon: "!", word: "Works, with warnings" },
        Some((_, Err(_))) => Badge { name: "block", icon: "✕", word: "Does not work" },
    }
}

fn connector(status: &ConnectorStatus, source: Option<&SourceStatus>, now: Timestamp) -> Markup {
    let state = state(status);
    let roles: Vec<_> = status.about.roles.iter().map(|role| words::role(*role)).collect();
    html! {
        article.connector data-name=(state.name) aria-labelledby={ "connector-" (status.name) } {
            header {
                h2 id={ "connector-" (status.name) } { (status.name) }
                (badge(state, "connector"))
            }
            p.who {
                @match &status.about.plugin {
                    Some((name, version)) => { (name) " " (version) },
                    None => span.fault { "Its plugin could not be loaded" },
                }
                @if !roles.is_empty() { " · " (roles.join(", ")) }
            }
            @if let Some((_, outcome)) = &status.tried {
                @match outcome {
                    Ok(health) => {
                        p { (health.detail) }
                        @if !health.warnings.is_empty() {
                            ul.warnings aria-label="Warnings" { @for warning in &health.warnings { li { (warning) } } }
                        }
                    },
                    Err(why) => p.fault { (why) },
                }
            }
            dl.facts {
                div {
                    dt { "Tried" }
                    dd {
                        @match &status.tried {
                            Some((at, _)) => (time(*at, Show::Full)),
                            None => span.none { "not yet" },
                        }
                    }
                }
                @if let Some(source) = source { (reading(source, now)) }
            }
        }
    }
}

/// How far its events are read.
fn reading(source: &SourceStatus, now: Timestamp) -> Markup {
    html! {
        div { dt { "Events" } dd { (badge(words::source_state(source), "decision")) } }
        div {
            dt { "Last read" }
            dd {
                @match source.last_success {
                    Some(at) => (time(at, Show::Full)),
                    None => span.none { "not yet" },
                }
            }
        }
        div {
            dt { "Complete to" }
            dd {
                @match source.complete_to {
                    Some(to) => {
                        (time(to, Show::Full))
                        @if source.behind { br; (words::span(now.since(to))) " still to read" }
                    },
                    None => span.none { "not known" },
                }
            }
        }
        div {
            dt { "Read" }
            dd {
                (words::count(source.stored, "event", "events")) " in " (words::count(source.polls, "poll", "polls"))
                " since the start"
                @if source.again > 0 { ", " (words::number(source.again)) " more came again" }
            }
        }
        @if let Some((at, why)) = &source.last_error {
            div { dt { "Last error" } dd { (time(*at, Show::Full)) br; span.fault { (why) } } }
        }
    }
}
