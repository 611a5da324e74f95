//! Exclusions: making one while an incident is resolved, the page that lists them, and taking them back.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use maud::{Markup, html};
use portcullis_core::exclusion::{Choice, Exclusion, ExclusionError, ExclusionState, Silenced, Wish, network_of};
use portcullis_core::incident::{Incident, IncidentState};
use portcullis_core::{IncidentId, Timestamp};
use serde::{Deserialize, Serialize};

use super::api::{Page, last_of_full};
use super::incident::{self, Said};
use super::view::badge;
use crate::app::App;
use crate::failure::{ClientFailure, Failure, refused};
use crate::page;
use crate::session::{Confirmed, ConfirmedWith, SignedIn, SignedInClient};
use crate::time::{Show, time};
use crate::words::Badge;

/// How many the page shows.
const SHOWN: u32 = 100;
/// The longest reason, in characters of the field.
const LONGEST_REASON: usize = 900;

type Id = Result<Path<String>, PathRejection>;
type Number = Result<Path<u64>, PathRejection>;

/// The form of `POST …/exclude`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Form {
    /// `detection` or `group`.
    detections: String,
    /// `yes`: of the incident's account only.
    #[serde(default)]
    account: String,
    /// An address or a network; empty for anywhere.
    #[serde(default)]
    network: String,
    /// The last day of it, in UTC; empty for no end.
    #[serde(default)]
    until: String,
    reason: String,
    /// `yes`: it may silence what is as good as always an attack.
    #[serde(default)]
    sure: String,
}

impl Form {
    /// As the incident suggests: the narrowest.
    fn suggested(incident: &Incident) -> Self {
        Self {
            detections: "detection".to_owned(),
            account: "yes".to_owned(),
            network: incident.address.map(|address| address.to_string()).unwrap_or_default(),
            until: String::new(),
            reason: String::new(),
            sure: String::new(),
        }
    }

    fn wish(&self) -> Result<Wish, String> {
        let group = match self.detections.as_str() {
            "detection" => false,
            "group" => true,
            _ => return Err("Choose the detection or its group.".to_owned()),
        };
        let network = match self.network.trim() {
            "" => None,
            text => Some(
                network_of(text).ok_or_else(|| format!("“{text}” is no address and no network like 10.1.0.0/16."))?,
            ),
        };
        let until = match self.until.trim() {
            "" => None,
            text => Some(end_of(text).ok_or_else(|| format!("“{text}” is no day like 2027-01-31."))?),
        };
        let is_yes = |text: &str| text == "yes";
        let reason = self.reason.clone();
        Ok(Wish { group, for_account: is_yes(&self.account), network, until, reason, sure: is_yes(&self.sure) })
    }
}

/// The end of a day in UTC.
fn end_of(day: &str) -> Option<Timestamp> {
    let next: Date = day.parse::<Date>().ok()?.tomorrow().ok()?;
    let midnight = TimeZone::UTC.to_timestamp(next.at(0, 0, 0, 0)).ok()?.as_millisecond();
    u64::try_from(midnight).ok().map(Timestamp)
}

/// What somebody wanted of which incident, and what came of it.
struct Wanted {
    id: IncidentId,
    form: Form,
    signed_in: SignedIn,
    done: Result<(), ExclusionError>,
}

/// Resolves the incident and makes the exclusion.
async fn make(app: &App, id: Id, form: ConfirmedWith<Form>) -> Result<Wanted, Failure> {
    let id = incident::read(id)?;
    let (signed_in, form) = form.filled()?;
    let report = app.state.incidents.incident(id).await?.ok_or(Failure::NotFound)?;
    let done = match form.wish() {
        Ok(wish) => app.state.exclusions.exclude(&report.incident, wish, signed_in.login()).await,
        Err(why) => Err(ExclusionError::Refused(why)),
    };
    Ok(Wanted { id, form, signed_in, done })
}

/// `POST /incidents/{id}/exclude`.
pub(crate) async fn exclude(State(app): State<App>, id: Id, form: ConfirmedWith<Form>) -> Result<Response, Failure> {
    let Wanted { id, form, signed_in, done } = make(&app, id, form).await?;
    let (problem, refusal) = match done {
        Ok(()) => return Ok(incident::to_page(id)),
        Err(ExclusionError::Store(error)) => return Err(error.into()),
        Err(ExclusionError::TooLate) => (Some("Nothing was done: the incident is resolved."), None),
        Err(ExclusionError::Refused(why)) => (None, Some(why)),
    };
    let said = Said { problem, exclusion: refusal.as_deref().map(|why| (&form, why)), note: None };
    incident::show(&app, id, &signed_in, StatusCode::CONFLICT, &said).await
}

/// The same for programs: `POST /api/v1/incidents/{id}/exclude`.
pub(crate) async fn exclude_by_program(
    State(app): State<App>,
    id: Id,
    form: ConfirmedWith<Form>,
) -> Result<Response, Failure> {
    match make(&app, id, form).await?.done {
        Ok(()) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(ExclusionError::Store(error)) => Err(error.into()),
        Err(error) => Ok(refused(StatusCode::CONFLICT, &error.to_string())),
    }
}

/// `GET /exclusions?before=`.
pub(crate) async fn page(
    State(app): State<App>,
    query: Result<Query<Page>, QueryRejection>,
    signed_in: SignedIn,
) -> Result<Response, Failure> {
    let Query(place) = query.map_err(|_| Failure::Malformed)?;
    let found = app.state.exclusions.exclusions(place.before(), SHOWN).await?;
    Ok(page::console("Exclusions", &signed_in, &list(&found, app.now(), &signed_in)))
}

/// The answer to `GET /api/v1/exclusions`.
#[derive(Debug, Serialize)]
pub(crate) struct Exclusions {
    /// The newest first.
    exclusions: Vec<Standing>,
}

#[derive(Debug, Serialize)]
struct Standing {
    #[serde(flatten)]
    exclusion: Exclusion,
    state: ExclusionState,
}

/// `GET /api/v1/exclusions?limit=&before=`.
pub(crate) async fn all(
    State(app): State<App>,
    _: SignedInClient,
    query: Result<Query<Page>, QueryRejection>,
) -> Result<Json<Exclusions>, ClientFailure> {
    let Query(place) = query.map_err(|_| Failure::Malformed)?;
    let (found, now) = (app.state.exclusions.exclusions(place.before(), place.limit()?).await?, app.now());
    let standing = |exclusion: Exclusion| Standing { state: exclusion.state(now), exclusion };
    Ok(Json(Exclusions { exclusions: found.into_iter().map(standing).collect() }))
}

/// `POST /exclusions/{number}/undo`.
pub(crate) async fn undo(
    State(app): State<App>,
    number: Number,
    Confirmed(signed_in): Confirmed,
) -> Result<Redirect, Failure> {
    let Path(number) = number.map_err(|_| Failure::NotFound)?;
    if !app.state.exclusions.undo(number, signed_in.login()).await? {
        // Somebody was faster: the page shows it.
        tracing::info!(number, "an exclusion that is not there or undone was to be undone");
    }
    Ok(Redirect::to("/exclusions"))
}

/// The same for programs: `POST /api/v1/exclusions/{number}/undo`.
pub(crate) async fn undo_by_program(
    State(app): State<App>,
    number: Number,
    Confirmed(signed_in): Confirmed,
) -> Result<StatusCode, Failure> {
    let Path(number) = number.map_err(|_| Failure::NotFound)?;
    let done = app.state.exclusions.undo(number, signed_in.login()).await?;
    if done { Ok(StatusCode::NO_CONTENT) } else { Err(Failure::NotFound) }
}

/// What is beside the buttons of an incident that is not resolved, where an exclusion can be made for it. `wrong` is a form that was
/// refused, and why.
pub(super) fn offer(app: &App, incident: &Incident, signed_in: &SignedIn, wrong: Option<(&Form, &str)>) -> Markup {
    let choice = app.state.exclusions.choice(incident).filter(|_| incident.state != IncidentState::Resolved);
    let Some(choice) = choice else { return html! {} };
    let suggested = Form::suggested(incident);
    let form = wrong.map_or(&suggested, |(form, _)| form);
    html! {
        details.exclude open[wrong.is_some()] {
            summary { "Resolve: false positive, and do not tell again" }
            @if let Some((_, why)) = wrong { p.problem role="alert" { (why) } }
            form method="post" action={ "/incidents/" (incident.id) "/exclude" } {
                input type="hidden" name="csrf" value=(signed_in.csrf());
                (what(&choice, form))
                (whom(&choice, incident, form))
                div {
                    label for="until" { "Until the end of (UTC)" }
                    input id="until" name="until" type="date" value=(form.until) aria-describedby="until-hint";
                    p.hint id="until-hint" { "Empty: until somebody undoes it." }
                }
                div {
                    label for="reason" { "Reason" }
                    textarea id="reason" name="reason" rows="2" maxlength=(LONGEST_REASON) required { (form.reason) }
                }
                (warning(&choice, form))
                button.button type="submit" { "Resolve and exclude" }
                p.hint {
                    "Signals that are left out are seen by no policy, add to no risk and open no incident. "
                    a href="/exclusions" { "Exclusions" } " lists all, each with a button that undoes it."
                }
            }
        }
    }
}

fn what(choice: &Choice, form: &Form) -> Markup {
    let is_group = form.detections == "group";
    let others: Vec<_> = choice.members.iter().map(|one| one.name.as_str()).collect();
    html! {
        fieldset {
            legend { "What" }
            label.check {
                input type="radio" name="detections" value="detection" checked[!is_group];
                span { "only " code { (choice.detection.name) } }
            }
            label.check {
                input type="radio" name="detections" value="group" checked[is_group];
                span { "its whole group " code { (choice.group) } ": " (others.join(", ")) }
            }
        }
    }
}

fn whom(choice: &Choice, incident: &Incident, form: &Form) -> Markup {
    html! {
        fieldset {
            legend { "Of whom: all that is given has to fit" }
            @if choice.has_account {
                label.check {
                    input type="checkbox" name="account" value="yes" checked[form.account == "yes"];
                    span { "only the account " strong { (incident.login) } }
                }
            }
            label for="network" { "Only from this address or network" }
            input id="network" name="network" value=(form.network) maxlength="64" autocomplete="off" spellcheck="false"
                aria-describedby="network-hint";
            p.hint id="network-hint" {
                @if choice.has_account { "Empty: from anywhere." } @else { "The incident is this machine's, whichever account it tries." }
            }
        }
    }
}

fn warning(choice: &Choice, form: &Form) -> Markup {
    let grave = |list: &[Silenced]| {
        let names = list.iter().filter(|one| one.is_grave()).map(|one| one.name.clone());
        names.collect::<Vec<_>>().join(", ")
    };
    let (own, group) = (grave(choice.silenced(false)), grave(choice.silenced(true)));
    html! {
        @if !own.is_empty() || !group.is_empty() {
            div.warning {
                p {
                    @if own.is_empty() { "The group has " code { (group) } ", which hardly anything but an attack gives." }
                    @else { strong { "Careful: " } "hardly anything but an attack gives " code { (own) } ". Whoever has taken over what is left out here is not seen any more." }
                }
                label.check {
                    input type="checkbox" name="sure" value="yes" checked[form.sure == "yes"] required[!own.is_empty()];
                    span { "I am sure that this is none." }
                }
            }
        }
    }
}

fn list(exclusions: &[Exclusion], now: Timestamp, signed_in: &SignedIn) -> Markup {
    html! {
        div.title {
            h1 { "Exclusions" }
            a.button.quiet.small href="/exclusions" { "Look again" }
        }
        p.hint {
            "What people have decided not to be told of a detection any more. Those of the configuration file are not among them."
        }
        @if exclusions.is_empty() {
            p.empty { "There are none. One is made where an incident of a detection is resolved as a false positive." }
        } @else {
            ul.cards.below { @for one in exclusions { li { (exclusion(one, now, signed_in)) } } }
            @if let Some(Exclusion { number, .. }) = last_of_full(exclusions, SHOWN) {
                p.more { a.button.quiet href={ "/exclusions?before=" (number) } { "Older exclusions" } }
            }
            p.hint.times { "All times are UTC." }
        }
    }
}

fn exclusion(one: &Exclusion, now: Timestamp, signed_in: &SignedIn) -> Markup {
    let Exclusion { number, scope, reason, person, made_at, incident, .. } = one;
    let state = one.state(now);
    html! {
        article.connector data-name=(mark(state).name) aria-labelledby={ "exclusion-" (number) } {
            header {
                h2 id={ "exclusion-" (number) } { (scope.detections) }
                (badge(mark(state), "exclusion"))
            }
            dl.facts {
                div { dt { "Account" } dd {
                    @match (&scope.account, &scope.login) {
                        (None, _) => "any",
                        (Some(_), Some(login)) => strong { (login) },
                        (Some(id), None) => (id),
                    }
                } }
                div { dt { "From" } dd { @match scope.network { Some(network) => code { (network) }, None => "anywhere" } } }
                div { dt { "Until" } dd { @match scope.until { Some(until) => (time(until, Show::Full)), None => "it is undone" } } }
                div { dt { "Made" } dd { (time(*made_at, Show::Full)) " by " (person) } }
                div { dt { "Why" } dd.said { (reason) } }
                div { dt { "Incident" } dd { a href={ "/incidents/" (incident) } { "the false positive" } } }
                @if let Some((at, who)) = &one.undone {
                    div { dt { "Undone" } dd { (time(*at, Show::Full)) " by " (who) } }
                }
            }
            @if state == ExclusionState::InForce {
                form method="post" action={ "/exclusions/" (number) "/undo" } {
                    input type="hidden" name="csrf" value=(signed_in.csrf());
                    button.button.small type="submit" aria-label={ "Undo the exclusion of " (scope) } { "Undo" }
                }
            }
        }
    }
}

fn mark(state: ExclusionState) -> Badge {
    match state {
        ExclusionState::InForce => Badge { name: "refused", icon: "◌", word: "In force" },
        ExclusionState::Expired => Badge { name: "recorded", icon: "–", word: "Expired" },
        ExclusionState::Undone => Badge { name: "allow", icon: "✓", word: "Undone" },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_the_next_midnight() {
        assert_eq!(end_of("2027-01-31"), Some(Timestamp(1_801_440_000_000)));
        for wrong in ["", "2027-02-30", "31.01.2027", "9999-12-31", "1969-01-01"] {
            assert_eq!(end_of(wrong), None, "{wrong}");
        }
    }
}
