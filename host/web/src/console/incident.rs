//! The page of an incident, and what people do with it.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{Redirect, Response};
use maud::{Markup, html};
use portcullis_core::IncidentId;
use portcullis_core::incident::{
    Incident, IncidentAction, IncidentEntry, IncidentReport, IncidentState, IncidentStep, IncidentVerdict,
};
use serde::Deserialize;

use super::exclusion;
use super::view::badge;
use crate::app::App;
use crate::failure::{ClientFailure, Failure};
use crate::page;
use crate::session::{Confirmed, ConfirmedWith, SignedIn, SignedInClient};
use crate::time::{Show, time};
use crate::words;

/// The longest note, in bytes.
const LONGEST_NOTE: usize = 4_000;

type Id = Result<Path<String>, PathRejection>;

pub(super) fn read(id: Id) -> Result<IncidentId, Failure> {
    let Path(id) = id.map_err(|_| Failure::NotFound)?;
    id.parse().map_err(|_| Failure::NotFound)
}

/// `GET /incidents/{id}`.
pub(crate) async fn page(State(app): State<App>, signed_in: SignedIn, id: Id) -> Result<Response, Failure> {
    let report = app.state.incidents.incident(read(id)?).await?.ok_or(Failure::NotFound)?;
    Ok(page::console("Incident", &signed_in, &view(&app, &report, &signed_in, None)))
}

/// `GET /api/v1/incidents/{id}`: the incident and its history.
pub(crate) async fn one(
    State(app): State<App>,
    _: SignedInClient,
    id: Id,
) -> Result<Json<IncidentReport>, ClientFailure> {
    let report = app.state.incidents.incident(read(id)?).await?;
    Ok(Json(report.ok_or(Failure::NotFound)?))
}

/// `POST /incidents/{id}/take`.
pub(crate) async fn take(State(app): State<App>, id: Id, Confirmed(signed_in): Confirmed) -> Result<Redirect, Failure> {
    act(&app, read(id)?, &signed_in, IncidentAction::Take).await
}

/// `POST /incidents/{id}/release`.
pub(crate) async fn release(
    State(app): State<App>,
    id: Id,
    Confirmed(signed_in): Confirmed,
) -> Result<Redirect, Failure> {
    act(&app, read(id)?, &signed_in, IncidentAction::Release).await
}

/// `POST /incidents/{id}/reopen`.
pub(crate) async fn reopen(
    State(app): State<App>,
    id: Id,
    Confirmed(signed_in): Confirmed,
) -> Result<Redirect, Failure> {
    act(&app, read(id)?, &signed_in, IncidentAction::Reopen).await
}

/// The form of `POST …/resolve`.
#[derive(Debug, Deserialize)]
pub(crate) struct Resolved {
    verdict: Option<IncidentVerdict>,
}

/// `POST /incidents/{id}/resolve`: `verdict` is `true-positive` or `false-positive`, or not there.
pub(crate) async fn resolve(
    State(app): State<App>,
    id: Id,
    form: ConfirmedWith<Resolved>,
) -> Result<Redirect, Failure> {
    let id = read(id)?;
    let (signed_in, Resolved { verdict }) = form.filled()?;
    let to_page = act(&app, id, &signed_in, IncidentAction::Resolve(verdict)).await?;
    // The button on the Activity page asks for no verdict.
    Ok(if verdict.is_some() { to_page } else { Redirect::to("/activity") })
}

/// The form of `POST …/note`.
#[derive(Debug, Deserialize)]
pub(crate) struct Noted {
    text: String,
}

/// `POST /incidents/{id}/note`: `text`.
pub(crate) async fn note(State(app): State<App>, id: Id, form: ConfirmedWith<Noted>) -> Result<Redirect, Failure> {
    let id = read(id)?;
    let (signed_in, Noted { text }) = form.filled()?;
    let text = text.trim();
    let is_strange = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t');
    if text.is_empty() || text.len() > LONGEST_NOTE || text.chars().any(is_strange) {
        return Err(Failure::Malformed);
    }
    act(&app, id, &signed_in, IncidentAction::Note(text.to_owned())).await
}

async fn act(app: &App, id: IncidentId, signed_in: &SignedIn, action: IncidentAction) -> Result<Redirect, Failure> {
    let (name, what) = match &action {
        IncidentAction::Take => ("incident-taken", "Took"),
        IncidentAction::Release => ("incident-released", "Gave back"),
        IncidentAction::Resolve(None) => ("incident-resolved", "Resolved"),
        IncidentAction::Resolve(Some(IncidentVerdict::TruePositive)) => {
            ("incident-resolved", "Resolved as true positive")
        }
        IncidentAction::Resolve(Some(IncidentVerdict::FalsePositive)) => {
            ("incident-resolved", "Resolved as false positive")
        }
        IncidentAction::Reopen => ("incident-reopened", "Reopened"),
        IncidentAction::Note(_) => ("incident-noted", "Wrote a note on"),
    };
    let event = app.administration(signed_in.login(), name, format!("{what} incident {id}."));
    if !app.state.incidents.act(id, action, signed_in.login(), event).await? {
        // Somebody, or a policy, was faster: the page shows who.
        tracing::info!(%id, action = name, "nothing was done with an incident that is not there or in another state");
    }
    Ok(Redirect::to(&format!("/incidents/{id}")))
}

/// The page; `wrong` is a form for an exclusion that was refused, and why.
pub(super) fn view(
    app: &App,
    report: &IncidentReport,
    signed_in: &SignedIn,
    wrong: Option<(&exclusion::Form, &str)>,
) -> Markup {
    let incident = &report.incident;
    html! {
        div.title {
            h1 { "Incident" }
            a.button.quiet.small href="/activity" { "Back to Activity" }
        }
        article.incident data-severity=(words::severity(incident.severity).name) {
            header {
                (badge(words::severity(incident.severity), "severity"))
                span.state { (words::incident_state(incident.state)) }
                @if incident.count > 1 { span.times { "×" (incident.count) } }
            }
            h2 { (incident.title) }
            (facts(incident))
            (actions(incident, signed_in))
            (exclusion::offer(app, incident, signed_in, wrong))
        }
        section.life aria-labelledby="history-title" {
            h2 id="history-title" { "History" }
            ol.history { @for entry in &report.history { li { (self::entry(entry)) } } }
            form.note method="post" action={ "/incidents/" (incident.id) "/note" } {
                input type="hidden" name="csrf" value=(signed_in.csrf());
                label for="note" { "Note" }
                textarea id="note" name="text" rows="3" maxlength=(LONGEST_NOTE) required {}
                button.button type="submit" { "Add the note" }
            }
            p.hint.times { "All times are UTC. Notes cannot be changed." }
        }
    }
}

fn facts(incident: &Incident) -> Markup {
    html! {
        dl.facts {
            div { dt { "Account" } dd { strong { (incident.login) } } }
            div { dt { "Source" } dd { (words::incident_source(&incident.source)) } }
            @if let Some(address) = incident.address { div { dt { "From" } dd { code { (address) } } } }
            div { dt { "Opened" } dd { (time(incident.opened_at, Show::Full)) } }
            div { dt { "Last change" } dd { (time(incident.changed_at, Show::Full)) } }
            @if let Some(at) = incident.escalates_at.filter(|_| incident.state != IncidentState::Resolved) {
                div { dt { "More severe" } dd { (time(at, Show::Full)) ", unless it is resolved" } }
            }
            div { dt { "Works on it" } dd {
                @match &incident.assignee { Some(login) => (login), None => span.none { "nobody" } }
            } }
            div { dt { "Latest event" } dd { code { (incident.raised_by) } } }
            @if let Some(event) = &incident.resolved_by { div { dt { "Proof" } dd { code { (event) } } } }
            @if let Some(person) = &incident.resolved_by_person {
                div { dt { "Resolved by" } dd {
                    (person)
                    @if let Some(verdict) = incident.verdict { ", as " (words::incident_verdict(verdict)) }
                } }
            }
        }
    }
}

fn actions(incident: &Incident, signed_in: &SignedIn) -> Markup {
    let form = |action: &str, verdict: Option<&str>, label: &str| {
        html! {
            form method="post" action={ "/incidents/" (incident.id) "/" (action) } {
                input type="hidden" name="csrf" value=(signed_in.csrf());
                @if let Some(verdict) = verdict { input type="hidden" name="verdict" value=(verdict); }
                button.button.quiet.small type="submit" { (label) }
            }
        }
    };
    html! {
        div.actions {
            @if incident.state == IncidentState::Resolved {
                (form("reopen", None, "Reopen"))
            } @else {
                @if incident.assignee.as_deref() != Some(signed_in.login()) { (form("take", None, "Take")) }
                @if incident.state == IncidentState::InProgress { (form("release", None, "Give back")) }
                (form("resolve", Some("true-positive"), "Resolve: true positive"))
                (form("resolve", Some("false-positive"), "Resolve: false positive"))
            }
        }
    }
}

fn entry(entry: &IncidentEntry) -> Markup {
    let what = match entry.step {
        IncidentStep::Opened => "Opened",
        IncidentStep::Raised => "Raised again",
        IncidentStep::Escalated => "More severe",
        IncidentStep::Taken => "Taken",
        IncidentStep::Released => "Given back",
        IncidentStep::Resolved => "Resolved",
        IncidentStep::Reopened => "Reopened",
        IncidentStep::Noted => "Note",
    };
    html! {
        p.what {
            (time(entry.at, Show::Full)) " · " strong { (what) }
            @match &entry.person {
                Some(person) => { " by " (person) },
                None => @if entry.step == IncidentStep::Resolved { " by the policy, with proof" },
            }
        }
        @if !entry.text.is_empty() { p.said { (entry.text) } }
        p.hint { "Event " code { (entry.event) } }
    }
}
