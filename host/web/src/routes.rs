//! Everything that can be asked for, and what one needs for it.

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Redirect};
use axum::routing::{MethodRouter, get, post};

use crate::app::App;
use crate::console::{activity, api, channels, connectors, demotions, exclusion, fences, incident, policy, risk};
use crate::failure::Failure;
use crate::{assets, challenge, headers, notify, session, sign_in};

/// The largest body of a request, in bytes.
pub(crate) const BODY_LIMIT: usize = 16 * 1024;

/// The same for a note of 4,000 characters, of which each can be nine octets in a form.
pub(crate) const NOTE_LIMIT: usize = 64 * 1024;

/// The same for a list of policies with all its settings.
pub(crate) const POLICY_LIMIT: usize = 512 * 1024;

/// What a request has to bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// Nothing. What is shown depends at most on the address that it is asked from.
    Anybody,
    /// The address that is listened for, and, where the administrator demands it, the token of those who listen.
    Machine,
    /// A form that does not come from another site.
    OwnForm,
    /// The unguessable link of a challenge.
    Link,
    /// The link, and a form that does not come from another site.
    LinkAndOwnForm,
    /// A console session; a browser is sent to the sign-in page without one.
    Session,
    /// A console session; a program is told 401 without one.
    ClientSession,
    /// A console session and its anti-forgery secret, in a form that does not come from another site. A program is told 401
    /// without a session, a person that he is signed out.
    SessionForm,
}

/// A route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Path; what stands in braces is a parameter.
    pub path: &'static str,
    /// What it takes.
    pub authority: Authority,
}

/// All routes. Whatever is not in this list is answered with 404 or 405.
#[must_use]
pub fn routes() -> Vec<Route> {
    table().into_iter().map(|(route, _)| route).collect()
}

pub(crate) fn router(app: App) -> Router {
    let mut router = Router::new();
    for (route, handler) in table() {
        router = router.route(route.path, handler);
    }
    router
        .fallback(async || Failure::NotFound)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn_with_state(app.clone(), headers::around))
        .with_state(app)
}

fn table() -> Vec<(Route, MethodRouter<App>)> {
    use Authority::{Anybody, ClientSession, Link, LinkAndOwnForm, Machine, OwnForm, Session, SessionForm};
    let read = |path, authority, handler| (Route { method: "GET", path, authority }, handler);
    let write = |path, authority, handler| (Route { method: "POST", path, authority }, handler);
    vec![
        read("/", Anybody, get(async || Redirect::to("/activity"))),
        read("/healthz", Anybody, get(health)),
        read("/static/console.css", Anybody, get(assets::style)),
        read("/static/live.js", Anybody, get(assets::script)),
        read("/static/mark.svg", Anybody, get(assets::mark)),
        read("/challenge", Anybody, get(challenge::here)),
        read("/challenge/events", Anybody, get(challenge::follow_here)),
        read("/challenge/{token}", Link, get(challenge::one)),
        read("/challenge/{token}/events", Link, get(challenge::follow_one)),
        write("/challenge/{token}/code", LinkAndOwnForm, post(challenge::code)),
        write("/challenge/{token}/choose", LinkAndOwnForm, post(challenge::choose)),
        write("/challenge/{token}/deny", LinkAndOwnForm, post(challenge::deny)),
        write("/challenge/{token}/dismiss", LinkAndOwnForm, post(challenge::dismiss)),
        write("/challenge/{token}/seen", LinkAndOwnForm, post(challenge::seen)),
        read("/sign-in", Anybody, get(sign_in::form)),
        write("/sign-in", OwnForm, post(sign_in::sign_in)),
        write("/sign-out", SessionForm, post(session::sign_out)),
        read("/activity", Session, get(activity::page)),
        read("/activity/fragment", ClientSession, get(activity::fragment)),
        read("/activity/events", ClientSession, get(activity::follow)),
        read("/incidents", Session, get(incident::list::page)),
        read("/incidents/{id}", Session, get(incident::page)),
        write("/incidents/{id}/take", SessionForm, post(incident::take)),
        write("/incidents/{id}/release", SessionForm, post(incident::release)),
        write("/incidents/{id}/resolve", SessionForm, post(incident::resolve)),
        write("/incidents/{id}/exclude", SessionForm, post(exclusion::exclude)),
        write("/incidents/{id}/reopen", SessionForm, post(incident::reopen)),
        write("/incidents/{id}/note", SessionForm, up_to(NOTE_LIMIT, post(incident::note))),
        read("/policy", Session, get(policy::page)),
        read("/policy/edit", Session, get(policy::edit)),
        read("/policy/revisions/{number}", Session, get(policy::revision)),
        write("/policy/save", SessionForm, up_to(POLICY_LIMIT, post(policy::save))),
        write("/policy/drop", SessionForm, post(policy::drop_draft)),
        write("/policy/apply", SessionForm, post(policy::apply)),
        write("/policy/revert", SessionForm, post(policy::revert)),
        write("/policy/backtest", SessionForm, post(policy::backtest)),
        write("/policy/backtest/cancel", SessionForm, post(policy::cancel)),
        read("/connectors", Session, get(connectors::page)),
        read("/demotions", Session, get(demotions::page)),
        read("/notifications", Session, get(channels::page)),
        write("/notifications/{name}/test", SessionForm, post(channels::test)),
        write("/demotions/{number}/restore", SessionForm, post(demotions::restore)),
        read("/service-accounts", Session, get(fences::page)),
        write("/service-accounts/kind", SessionForm, post(fences::kind)),
        write("/service-accounts/fence", SessionForm, post(fences::accept)),
        read("/exclusions", Session, get(exclusion::page)),
        write("/exclusions/{number}/undo", SessionForm, post(exclusion::undo)),
        read("/api/v1/session", ClientSession, get(session::about)),
        read("/api/v1/events", ClientSession, get(api::events)),
        read("/api/v1/incidents", ClientSession, get(incident::api::all)),
        read("/api/v1/incidents/{id}", ClientSession, get(incident::api::one)),
        write("/api/v1/incidents/{id}/take", SessionForm, post(incident::api::take)),
        write("/api/v1/incidents/{id}/release", SessionForm, post(incident::api::release)),
        write("/api/v1/incidents/{id}/resolve", SessionForm, post(incident::api::resolve)),
        write("/api/v1/incidents/{id}/reopen", SessionForm, post(incident::api::reopen)),
        write("/api/v1/incidents/{id}/note", SessionForm, up_to(NOTE_LIMIT, post(incident::api::note))),
        write("/api/v1/incidents/{id}/exclude", SessionForm, post(exclusion::exclude_by_program)),
        read("/api/v1/exclusions", ClientSession, get(exclusion::all)),
        write("/api/v1/exclusions/{number}/undo", SessionForm, post(exclusion::undo_by_program)),
        read("/api/v1/connectors", ClientSession, get(api::connectors)),
        read("/api/v1/demotions", ClientSession, get(demotions::all)),
        write("/api/v1/demotions/{number}/restore", SessionForm, post(demotions::restore_by_program)),
        read("/api/v1/channels", ClientSession, get(channels::all)),
        read("/api/v1/risk/{kind}", ClientSession, get(risk::riskiest)),
        read("/api/v1/risk/{kind}/{key}", ClientSession, get(risk::one)),
        write("/api/v1/risk/{kind}/{key}/add", SessionForm, post(risk::add)),
        write("/api/v1/risk/{kind}/{key}/put-out", SessionForm, post(risk::put_out)),
        read("/api/v1/accounts/kinds", ClientSession, get(risk::kinds)),
        write("/api/v1/accounts/{key}/kind", SessionForm, post(risk::decide)),
        read("/api/v1/accounts/fences", ClientSession, get(fences::all)),
        read("/api/v1/accounts/{key}/fence", ClientSession, get(fences::one)),
        write("/api/v1/accounts/{key}/fence/accept", SessionForm, post(fences::accept_by_program)),
        read("/api/v1/policies", ClientSession, get(policy::api::in_force)),
        read("/api/v1/policies/revisions", ClientSession, get(policy::api::revisions)),
        read("/api/v1/policies/revisions/{number}", ClientSession, get(policy::api::revision)),
        read("/api/v1/policies/draft", ClientSession, get(policy::api::draft)),
        write("/api/v1/policies/draft/save", SessionForm, up_to(POLICY_LIMIT, post(policy::api::save))),
        write("/api/v1/policies/draft/drop", SessionForm, post(policy::api::drop_draft)),
        write("/api/v1/policies/draft/apply", SessionForm, post(policy::api::apply)),
        write("/api/v1/policies/revert", SessionForm, post(policy::api::revert)),
        read("/api/v1/policies/backtest", ClientSession, get(policy::api::backtest)),
        write("/api/v1/policies/backtest/start", SessionForm, post(policy::api::start_backtest)),
        write("/api/v1/policies/backtest/cancel", SessionForm, post(policy::api::cancel_backtest)),
        read("/notify/events", Machine, get(notify::listen)),
    ]
}

/// A route whose body may have so many bytes.
fn up_to(limit: usize, handler: MethodRouter<App>) -> MethodRouter<App> {
    handler.layer(DefaultBodyLimit::max(limit))
}

async fn health(State(app): State<App>) -> impl IntoResponse {
    if (app.state.healthy)() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "degraded") }
}
