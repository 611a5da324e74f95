//! How the page of an incident looks.

use maud::{Markup, html};
use portcullis_core::incident::{Incident, IncidentEntry, IncidentReport, IncidentState, IncidentStep};

use super::LONGEST_NOTE;
use crate::app::App;
use crate::console::exclusion;
use crate::console::view::badge;
use crate::session::SignedIn;
use crate::time::{Show, time};
use crate::words;

/// What was just not done.
#[derive(Debug, Default)]
pub(in crate::console) struct Said<'a> {
    /// Why nothing was done with the incident.
    pub(in crate::console) problem: Option<&'a str>,
    /// A form for an exclusion that was refused, and why.
    pub(in crate::console) exclusion: Option<(&'a exclusion::Form, &'a str)>,
    /// A note that was not taken, and why.
    pub(in crate::console) note: Option<(&'a str, &'a str)>,
}

pub(super) fn page(app: &App, report: &IncidentReport, signed_in: &SignedIn, said: &Said<'_>) -> Markup {
    let incident = &report.incident;
    html! {
        div.title {
            h1 { "Incident" }
            a.button.quiet.small href="/activity" { "Back to Activity" }
        }
        @if let Some(problem) = said.problem { p.problem role="alert" { (problem) } }
        article.incident data-severity=(words::severity(incident.severity).name) {
            header {
                (badge(words::severity(incident.severity), "severity"))
                span.state { (words::incident_state(incident.state)) }
                @if incident.count > 1 { span.times { "×" (incident.count) } }
            }
            h2 { (incident.title) }
            (facts(incident))
            (actions(incident, signed_in))
            (exclusion::offer(app, incident, signed_in, said.exclusion))
        }
        section.life aria-labelledby="history-title" {
            h2 id="history-title" { "History" }
            ol.history { @for entry in &report.history { li { (self::entry(entry)) } } }
            (note(incident, signed_in, said.note))
            p.hint.times { "All times are UTC. Notes cannot be changed." }
        }
    }
}

fn note(incident: &Incident, signed_in: &SignedIn, refused: Option<(&str, &str)>) -> Markup {
    html! {
        form.note method="post" action={ "/incidents/" (incident.id) "/note" } {
            input type="hidden" name="csrf" value=(signed_in.csrf());
            label for="note" { "Note" }
            @if let Some((_, why)) = refused { p.problem role="alert" id="note-problem" { (why) } }
            textarea id="note" name="text" rows="3" maxlength=(LONGEST_NOTE) required aria-invalid=[refused.map(|_| "true")]
                aria-describedby=[refused.map(|_| "note-problem")] {
                // The parser of HTML drops the first line break.
                @if let Some((text, _)) = refused { "\n" (text) }
            }
            button.button type="submit" { "Add the note" }
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
