//! The same for programs. What changes something is a form of the session.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use portcullis_core::incident::{Incident, IncidentAction, IncidentReport, IncidentVerdict};
use serde::{Deserialize, Serialize};

use super::list::place;
use super::{Id, NotDone, Noted, act, read, report};
use crate::app::App;
use crate::console::api::{last_of_full, limited};
use crate::failure::{ClientFailure, Failure, refused};
use crate::routes::NOTE_LIMIT;
use crate::session::{Confirmed, ConfirmedWith, SignedIn, SignedInClient};

/// What the list is asked for with.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    limit: Option<u32>,
    before: Option<String>,
}

/// The answer to `GET /api/v1/incidents`.
#[derive(Debug, Serialize)]
pub(crate) struct Incidents {
    /// Those that are not resolved first, the most severe before others.
    incidents: Vec<Incident>,
    /// How many are not resolved.
    open: u64,
    /// Value of `before` for those that come next; none when the list ends here.
    next_before: Option<String>,
}

/// `GET /api/v1/incidents?limit=&before=`.
pub(crate) async fn all(
    State(app): State<App>,
    _: SignedInClient,
    query: Result<Query<Page>, QueryRejection>,
) -> Result<Json<Incidents>, ClientFailure> {
    let Query(Page { limit, before }) = query.map_err(|_| Failure::Malformed)?;
    let limit = limited(limit)?;
    let incidents = app.state.incidents.incidents_after(place(before.as_deref())?, limit).await?;
    let open = app.state.incidents.open_incidents().await?;
    let next_before = last_of_full(&incidents, limit).map(|last| last.place().to_string());
    Ok(Json(Incidents { incidents, open, next_before }))
}

/// `GET /api/v1/incidents/{id}`: the incident and its history.
pub(crate) async fn one(
    State(app): State<App>,
    _: SignedInClient,
    id: Id,
) -> Result<Json<IncidentReport>, ClientFailure> {
    Ok(Json(report(&app, read(id)?).await?))
}

impl IntoResponse for NotDone {
    fn into_response(self) -> Response {
        match self {
            Self::Failure(failure) => ClientFailure::from(failure).into_response(),
            Self::Because(why) => refused(StatusCode::CONFLICT, why),
        }
    }
}

async fn done(app: &App, id: Id, signed_in: &SignedIn, action: IncidentAction) -> Result<StatusCode, NotDone> {
    act(app, read(id)?, signed_in, action).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/incidents/{id}/take`.
pub(crate) async fn take(
    State(app): State<App>,
    id: Id,
    Confirmed(signed_in): Confirmed,
) -> Result<StatusCode, NotDone> {
    done(&app, id, &signed_in, IncidentAction::Take).await
}

/// `POST /api/v1/incidents/{id}/release`.
pub(crate) async fn release(
    State(app): State<App>,
    id: Id,
    Confirmed(signed_in): Confirmed,
) -> Result<StatusCode, NotDone> {
    done(&app, id, &signed_in, IncidentAction::Release).await
}

/// `POST /api/v1/incidents/{id}/reopen`.
pub(crate) async fn reopen(
    State(app): State<App>,
    id: Id,
    Confirmed(signed_in): Confirmed,
) -> Result<StatusCode, NotDone> {
    done(&app, id, &signed_in, IncidentAction::Reopen).await
}

/// The form of `POST …/resolve`.
#[derive(Debug, Deserialize)]
pub(crate) struct Resolved {
    verdict: Option<IncidentVerdict>,
}

/// `POST /api/v1/incidents/{id}/resolve`: `verdict` is `true-positive` or `false-positive`, or not there.
pub(crate) async fn resolve(
    State(app): State<App>,
    id: Id,
    form: ConfirmedWith<Resolved>,
) -> Result<StatusCode, NotDone> {
    let (signed_in, Resolved { verdict }) = form.filled()?;
    done(&app, id, &signed_in, IncidentAction::Resolve(verdict)).await
}

/// `POST /api/v1/incidents/{id}/note`: `text`.
pub(crate) async fn note(
    State(app): State<App>,
    id: Id,
    form: ConfirmedWith<Noted, NOTE_LIMIT>,
) -> Result<Response, NotDone> {
    let (signed_in, noted) = form.filled()?;
    match noted.read() {
        Ok(text) => Ok(done(&app, id, &signed_in, IncidentAction::Note(text)).await?.into_response()),
        Err(why) => Ok(refused(StatusCode::UNPROCESSABLE_ENTITY, why)),
    }
}
