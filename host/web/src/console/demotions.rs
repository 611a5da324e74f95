//! The Demotions page: who was taken out of which group, and putting accounts back.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use portcullis_core::demotion::{Demotion, DemotionState};
use serde::Serialize;

use super::api::{Page, last_of_full};
use super::view::badge;
use crate::app::App;
use crate::failure::{ClientFailure, Failure};
use crate::page;
use crate::session::{Confirmed, SignedIn, SignedInClient};
use crate::time::{Show, time};
use crate::words::Badge;

/// How many the page shows.
const SHOWN: u32 = 100;

/// `GET /demotions?before=`.
pub(crate) async fn page(
    State(app): State<App>,
    query: Result<Query<Page>, QueryRejection>,
    signed_in: SignedIn,
) -> Result<Response, Failure> {
    let Query(place) = query.map_err(|_| Failure::Malformed)?;
    let found = app.state.demotions.demotions(place.before(), SHOWN).await?;
    Ok(page::console("Demotions", &signed_in, &view(&found, &signed_in)))
}

/// The answer to `GET /api/v1/demotions`.
#[derive(Debug, Serialize)]
pub(crate) struct Demotions {
    /// The newest first.
    demotions: Vec<Demotion>,
}

/// `GET /api/v1/demotions?limit=&before=`.
pub(crate) async fn all(
    State(app): State<App>,
    _: SignedInClient,
    query: Result<Query<Page>, QueryRejection>,
) -> Result<Json<Demotions>, ClientFailure> {
    let Query(place) = query.map_err(|_| Failure::Malformed)?;
    let demotions = app.state.demotions.demotions(place.before(), place.limit()?).await.map_err(Failure::from)?;
    Ok(Json(Demotions { demotions }))
}

/// `POST /demotions/{number}/restore`.
pub(crate) async fn restore(
    State(app): State<App>,
    number: Result<Path<u64>, PathRejection>,
    Confirmed(signed_in): Confirmed,
) -> Result<impl IntoResponse, Failure> {
    // Where its time was over, or somebody was faster, the page shows it.
    want_back(&app, number, &signed_in).await?;
    Ok(Redirect::to("/demotions"))
}

/// The same for programs: `POST /api/v1/demotions/{number}/restore`.
pub(crate) async fn restore_by_program(
    State(app): State<App>,
    number: Result<Path<u64>, PathRejection>,
    Confirmed(signed_in): Confirmed,
) -> Result<StatusCode, ClientFailure> {
    let done = want_back(&app, number, &signed_in).await?;
    if done { Ok(StatusCode::NO_CONTENT) } else { Err(Failure::NotFound.into()) }
}

/// Says whether there was something to undo.
async fn want_back(app: &App, number: Result<Path<u64>, PathRejection>, signed_in: &SignedIn) -> Result<bool, Failure> {
    let Path(number) = number.map_err(|_| Failure::NotFound)?;
    let detail = format!("Demotion {number} is to be undone.");
    let event = app.administration(signed_in.login(), "restoration-wanted", detail);
    Ok(app.state.demotions.restore_demotion(number, signed_in.login(), app.now(), event).await?)
}

fn view(demotions: &[Demotion], signed_in: &SignedIn) -> Markup {
    html! {
        div.title {
            h1 { "Demotions" }
            a.button.quiet.small href="/demotions" { "Look again" }
        }
        @if demotions.is_empty() {
            p.empty { "No policy has taken an account out of a group." }
        } @else {
            ul.cards { @for one in demotions { li { (demotion(one, signed_in)) } } }
            @if let Some(Demotion { number, .. }) = last_of_full(demotions, SHOWN) {
                p.more { a.button.quiet href={ "/demotions?before=" (number) } { "Older demotions" } }
            }
            p.hint.times { "All times are UTC." }
        }
    }
}

fn demotion(one: &Demotion, signed_in: &SignedIn) -> Markup {
    let Demotion { number, wanted, membership, .. } = one;
    let group = membership.as_ref().map_or(&wanted.group, |place| &place.group);
    let is_waiting = one.restore_at.is_some() && one.restore_by.is_some();
    html! {
        article.connector aria-labelledby={ "demotion-" (number) } {
            header {
                h2 id={ "demotion-" (number) } { (wanted.login) }
                (badge(state(one), "demotion"))
            }
            p { (group) }
            @if !one.note.is_empty() { p.fault { (one.note) } }
            dl.facts {
                div { dt { "Wanted" } dd { (time(wanted.at, Show::Full)) " by policy " (wanted.policy) } }
                div { dt { "Since" } dd { (time(one.changed_at, Show::Full)) } }
                @if one.state == DemotionState::Demoted {
                    div {
                        dt { "Back" }
                        dd {
                            @match (one.restore_at, &one.restore_by) {
                                (Some(_), Some(person)) => { "now, because " (person) " wants so" },
                                (Some(at), None) => (time(at, Show::Full)),
                                (None, _) => "when a person puts it back",
                            }
                        }
                    }
                }
            }
            @if one.state == DemotionState::Demoted && !is_waiting {
                form method="post" action={ "/demotions/" (number) "/restore" } {
                    input type="hidden" name="csrf" value=(signed_in.csrf());
                    button.button.small type="submit" {
                        "Put back" span.unseen { " " (wanted.login) " into " (group) }
                    }
                }
            }
        }
    }
}

fn state(demotion: &Demotion) -> Badge {
    match demotion.state {
        DemotionState::Wanted | DemotionState::Leaving => {
            Badge { name: "recorded", icon: "…", word: "Being taken out" }
        }
        DemotionState::Demoted if !demotion.note.is_empty() => {
            Badge { name: "refused", icon: "!", word: "Could not be put back" }
        }
        DemotionState::Demoted => Badge { name: "block", icon: "↓", word: "Out of the group" },
        DemotionState::Restored => Badge { name: "allow", icon: "✓", word: "Put back" },
        DemotionState::Failed => Badge { name: "refused", icon: "!", word: "Not taken out" },
    }
}
