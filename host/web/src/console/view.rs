//! How the Activity page looks.

use maud::{Markup, html};
use portcullis_core::cloud::SourceStatus;
use portcullis_core::event::{AccessEvent, AdministrationEvent, Event};
use portcullis_core::incident::{Incident, IncidentState};
use portcullis_core::store::StoredEvent;

use super::incident::Back;
use super::{details, summary};
use crate::session::SignedIn;
use crate::time::{Show, time};
use crate::words::{self, Badge};

/// What is on the page.
pub(super) struct Content {
    /// The newest first.
    pub(super) events: Vec<StoredEvent>,
    /// There are older ones.
    pub(super) older: bool,
    /// The page begins before this event; none for the newest page, which is live.
    pub(super) before: Option<u64>,
    /// Those that are not resolved first, the most severe before others.
    pub(super) incidents: Vec<Incident>,
    /// How many are not resolved.
    pub(super) open: u64,
    /// The cloud services that are read.
    pub(super) sources: Vec<SourceStatus>,
}

pub(super) fn page(content: &Content, signed_in: &SignedIn) -> Markup {
    let live = content.before.is_none();
    html! {
        div.title {
            h1 { "Activity" }
            @if live {
                p.live-state id="live-state" role="status" data-state="off" { "Not live" }
                button.button.quiet.small id="pause" type="button" hidden { "Pause" }
            } @else {
                a.button.quiet.small href="/activity" { "Back to the newest" }
            }
        }
        div id="live" data-kind="activity" data-events=[live.then_some("/activity/events")]
            data-fragment=[live.then_some("/activity/fragment")] { (part(content, signed_in)) }
    }
}

/// The live part.
pub(super) fn part(content: &Content, signed_in: &SignedIn) -> Markup {
    html! {
        (incidents(content, signed_in))
        @if !content.sources.is_empty() { (sources(&content.sources)) }
        section aria-labelledby="events-title" {
            h2 id="events-title" { "Events" }
            (events(&content.events))
            @if let Some(last) = content.events.last().filter(|_| content.older) {
                p.more { a.button.quiet id="older" href={ "/activity?before=" (last.sequence.0) } { "Older events" } }
            }
        }
    }
}

pub(super) fn badge(badge: Badge, kind: &str) -> Markup {
    html! {
        span.badge data-kind=(kind) data-name=(badge.name) {
            span.icon aria-hidden="true" { (badge.icon) } span.word { (badge.word) }
        }
    }
}

fn incidents(content: &Content, signed_in: &SignedIn) -> Markup {
    let (resolved, open): (Vec<_>, Vec<_>) =
        content.incidents.iter().partition(|incident| incident.state == IncidentState::Resolved);
    let shown = open.len() as u64;
    html! {
        section.incidents aria-labelledby="incidents-title" {
            h2 id="incidents-title" {
                "Incidents " span.count {
                    (words::number(content.open)) " open"
                    @if content.open > shown { ", " (words::number(shown)) " shown" }
                }
            }
            @if open.is_empty() {
                p.empty { "No open incidents." }
            } @else {
                ul.cards { @for one in open { li { (incident(one, Back::Activity, signed_in)) } } }
            }
            @if !resolved.is_empty() {
                details data-key="resolved" {
                    summary id="resolved" { "Resolved lately (" (resolved.len()) ")" }
                    ul.cards { @for one in resolved { li { (incident(one, Back::Activity, signed_in)) } } }
                }
            }
            p.more { a.button.quiet id="all-incidents" href="/incidents" { "All incidents" } }
        }
    }
}

fn sources(sources: &[SourceStatus]) -> Markup {
    html! {
        section aria-labelledby="sources-title" {
            h2 id="sources-title" { "Cloud services" }
            ul { @for one in sources { li { (source(one)) } } }
        }
    }
}

/// "okta ✓ Up to date, last read 10:00:01; 1,204 events since the start."
fn source(status: &SourceStatus) -> Markup {
    html! {
        strong { (status.source) } " " (badge(words::source_state(status), "decision"))
        @if let Some(at) = status.last_success { " last read " (time(at, Show::Full)) }
        @if let Some(to) = status.complete_to { ", complete up to " (time(to, Show::Full)) }
        ", " (words::count(status.stored, "event", "events")) " since the start"
        @if let Some((at, why)) = &status.last_error { br; span.fault { (time(*at, Show::Full)) ": " (why) } }
    }
}

/// One of a list; the list is shown again when its button has resolved it.
pub(super) fn incident(incident: &Incident, list: Back, signed_in: &SignedIn) -> Markup {
    html! {
        article.incident data-severity=(words::severity(incident.severity).name) {
            header {
                (badge(words::severity(incident.severity), "severity"))
                span.state { (words::incident_state(incident.state)) }
                @if incident.count > 1 { span.times { "×" (incident.count) } }
                span.when { (time(incident.changed_at, Show::Full)) }
            }
            h3 { a id={ "incident-" (incident.id) } href={ "/incidents/" (incident.id) } { (incident.title) } }
            p.who { strong { (incident.login) } " · " (words::incident_source(&incident.source)) }
            p.since {
                "Opened " (time(incident.opened_at, Show::Full))
                @if let Some(login) = &incident.assignee { " · " (login) " works on it" }
                @if let Some(person) = &incident.resolved_by_person { " · resolved by " (person) }
                @else if incident.resolved_by.is_some() { " · resolved by the policy, with proof" }
            }
            @if incident.state != IncidentState::Resolved {
                form method="post" action={ "/incidents/" (incident.id) "/resolve" } {
                    input type="hidden" name="csrf" value=(signed_in.csrf());
                    input type="hidden" name="back" value=(list.name());
                    button.button.quiet.small id={ "resolve-" (incident.id) } type="submit" {
                        "Resolve" span.unseen { " the incident of " (incident.login) }
                    }
                }
            }
        }
    }
}

fn events(events: &[StoredEvent]) -> Markup {
    html! {
        @if events.is_empty() {
            p.empty {
                "No events yet. They appear here as soon as an application signs somebody in through the gateway."
            }
        } @else {
            table.events {
                thead {
                    tr {
                        th scope="col" { "Time (UTC)" }
                        th scope="col" { "Account" }
                        th scope="col" { "Machine" }
                        th scope="col" { "Application" }
                        th scope="col" { "Operation" }
                        th scope="col" { "Decision" }
                        th scope="col" { "Policy" }
                    }
                }
                @for stored in events {
                    @match &stored.event {
                        Event::Access(event) => (access(event)),
                        Event::Administration(event) => (administration(event)),
                        Event::Summary(summary) => (summary::rows(summary)),
                        // What happened long ago or elsewhere is no activity; the store does not tell of it here.
                        Event::Imported(_) => {}
                    }
                }
            }
        }
    }
}

fn access(event: &AccessEvent) -> Markup {
    let access = &event.access;
    html! {
        tbody id={ "event-" (access.id) } {
            tr {
                td data-label="Time" { (time(access.at, Show::Full)) }
                td data-label="Account" {
                    @match &access.account {
                        Some(account) => strong { (account.login) },
                        None => span.none { "nobody" },
                    }
                }
                td data-label="Machine" {
                    @match &access.endpoint {
                        Some(endpoint) => @match &endpoint.name {
                            Some(name) => span title=(endpoint.address) { (name) },
                            None => (endpoint.address),
                        },
                        None => span.none { "not known" },
                    }
                    @if let Some(place) = event.foreign.as_ref().and_then(|foreign| foreign.place.as_ref()) {
                        br; (place)
                    }
                }
                td data-label="Application" { (access.target.application) }
                td data-label="Operation" {
                    (words::operation(&access.operation))
                    @match &event.foreign {
                        Some(foreign) if foreign.follows.is_some() => { br; "answered afterwards" }
                        Some(foreign) if !foreign.detail.is_empty() => { br; (foreign.detail) }
                        _ => {}
                    }
                }
                td data-label="Decision" {
                    @let word = if event.foreign.is_some() { words::foreign_decision } else { words::decision };
                    (badge(word(event.decision), "decision"))
                }
                td data-label="Policy" {
                    @match &event.decided_by {
                        Some(policy) => (policy),
                        None => span.none { "none" },
                    }
                }
            }
            tr.why {
                td colspan="7" {
                    details data-key=(access.id) {
                        summary id={ "why-" (access.id) } { (event.reason) }
                        (details::access(event))
                    }
                }
            }
        }
    }
}

fn administration(event: &AdministrationEvent) -> Markup {
    let recorded = Badge { name: "recorded", icon: "•", word: "Recorded" };
    html! {
        tbody.administration id={ "event-" (event.id) } {
            tr {
                td data-label="Time" { (time(event.at, Show::Full)) }
                td data-label="Account" { strong { (event.actor) } }
                td data-label="Machine" { span.none { "–" } }
                td data-label="Application" { "Portcullis" }
                td data-label="Operation" { (event.action) }
                td data-label="Decision" { (badge(recorded, "decision")) }
                td data-label="Policy" { span.none { "–" } }
            }
            tr.why { td colspan="7" { p.said { (event.detail) } } }
        }
    }
}
