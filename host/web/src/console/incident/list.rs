//! The page with all incidents.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use maud::{Markup, html};
use portcullis_core::incident::{Incident, IncidentPlace};
use serde::Deserialize;

use super::Back;
use crate::app::App;
use crate::console::api::last_of_full;
use crate::console::view;
use crate::failure::Failure;
use crate::page;
use crate::session::SignedIn;
use crate::words;

/// How many the page shows.
const SHOWN: u32 = 50;

/// Where the list begins.
#[derive(Debug, Deserialize)]
pub(crate) struct Begin {
    before: Option<String>,
}

/// What was the last of a list before.
pub(super) fn place(before: Option<&str>) -> Result<Option<IncidentPlace>, Failure> {
    before.map(|text| text.parse().map_err(|_| Failure::Malformed)).transpose()
}

/// `GET /incidents?before=`.
pub(crate) async fn page(
    State(app): State<App>,
    signed_in: SignedIn,
    query: Result<Query<Begin>, QueryRejection>,
) -> Result<Response, Failure> {
    let Query(Begin { before }) = query.map_err(|_| Failure::Malformed)?;
    let found = app.state.incidents.incidents_after(place(before.as_deref())?, SHOWN).await?;
    let open = app.state.incidents.open_incidents().await?;
    Ok(page::console("Incidents", &signed_in, &list(&found, open, before.is_some(), &signed_in)))
}

fn list(incidents: &[Incident], open: u64, is_later: bool, signed_in: &SignedIn) -> Markup {
    html! {
        div.title {
            h1 { "Incidents " span.count { (words::number(open)) " open" } }
            a.button.quiet.small href="/incidents" { @if is_later { "Back to the first" } @else { "Look again" } }
        }
        p.hint { "Those that are not resolved come first, the most severe before others; among equals, what changed last." }
        @if incidents.is_empty() {
            p.empty { @if is_later { "There are no more." } @else { "There are none." } }
        } @else {
            ul.cards.below { @for one in incidents { li { (view::incident(one, Back::Incidents, signed_in)) } } }
            @if let Some(last) = last_of_full(incidents, SHOWN) {
                p.more { a.button.quiet href={ "/incidents?before=" (last.place()) } { "More incidents" } }
            }
            p.hint.times { "All times are UTC." }
        }
    }
}
