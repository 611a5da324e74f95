//! The same for programs. What changes something is a form of the session; answers are JSON, also those that say no.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use portcullis_core::policies::{BacktestState, CheckedDraft, PoliciesInForce, PolicyError, PolicyProblem};
use portcullis_core::revision::{ListedPolicy, PolicyChange, Revision};
use serde::{Deserialize, Serialize};

use super::super::api::Page;
use super::{Applied, Reverted, Versioned, Wanted, refusal};
use crate::app::App;
use crate::failure::{ClientFailure, Failure};
use crate::routes::POLICY_LIMIT;
use crate::session::{Confirmed, ConfirmedWith, SignedInClient};

/// Why something was not done: JSON with one sentence in `error`, and what is wrong with which setting in `problems`.
pub(crate) enum Refused {
    Failure(ClientFailure),
    Policy(PolicyError),
    /// A list that is none.
    Unreadable(String),
    /// Something else, in one sentence.
    Told(StatusCode, String),
}

impl<F: Into<Failure>> From<F> for Refused {
    fn from(failure: F) -> Self {
        Self::Failure(ClientFailure::from(failure))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let error = match self {
            Self::Failure(failure) => return failure.into_response(),
            Self::Policy(error) => error,
            Self::Unreadable(why) => {
                return said(StatusCode::BAD_REQUEST, &format!("the list cannot be read: {why}"), &[]);
            }
            Self::Told(status, text) => return said(status, &text, &[]),
        };
        let problems = match &error {
            PolicyError::Problems(problems) => problems.clone(),
            _ => Vec::new(),
        };
        match refusal(&error) {
            Ok((status, text)) => said(status, &text, &problems),
            Err(failure) => ClientFailure::from(failure).into_response(),
        }
    }
}

fn said(status: StatusCode, error: &str, problems: &[PolicyProblem]) -> Response {
    (status, Json(serde_json::json!({ "error": error, "problems": problems }))).into_response()
}

/// `GET /api/v1/policies`.
pub(crate) async fn in_force(State(app): State<App>, _: SignedInClient) -> Result<Json<PoliciesInForce>, Refused> {
    Ok(Json(app.state.policies.in_force().await.map_err(Refused::Policy)?))
}

/// The answer to `GET /api/v1/policies/draft`.
#[derive(Serialize)]
pub(crate) struct Draft {
    /// What a change has to name.
    version: u64,
    /// None where there is no draft.
    draft: Option<CheckedDraft>,
}

/// `GET /api/v1/policies/draft`.
pub(crate) async fn draft(State(app): State<App>, _: SignedInClient) -> Result<Json<Draft>, Refused> {
    let (version, draft) = app.state.policies.draft().await.map_err(Refused::Policy)?;
    Ok(Json(Draft { version, draft }))
}

/// The answer to `GET /api/v1/policies/revisions`.
#[derive(Serialize)]
pub(crate) struct Revisions {
    /// The newest first.
    revisions: Vec<Revision>,
    /// Value of `before` for those that come next; none where there are no more.
    next_before: Option<u64>,
}

/// `GET /api/v1/policies/revisions?limit=&before=`.
pub(crate) async fn revisions(
    State(app): State<App>,
    _: SignedInClient,
    query: Result<Query<Page>, QueryRejection>,
) -> Result<Json<Revisions>, Refused> {
    let Query(page) = query.map_err(|_| Failure::Malformed)?;
    let revisions = app.state.policies.revisions(page.before(), page.limit()?).await.map_err(Refused::Policy)?;
    let next_before = revisions.last().map(|revision| revision.number).filter(|number| *number > 1);
    Ok(Json(Revisions { revisions, next_before }))
}

/// The answer to `GET /api/v1/policies/revisions/{number}`.
#[derive(Serialize)]
pub(crate) struct One {
    revision: Revision,
    /// What is different from the one before.
    difference: Vec<PolicyChange>,
}

/// `GET /api/v1/policies/revisions/{number}`.
pub(crate) async fn revision(
    State(app): State<App>,
    _: SignedInClient,
    number: Result<Path<u64>, PathRejection>,
) -> Result<Json<One>, Refused> {
    let Path(number) = number.map_err(|_| Failure::NotFound)?;
    let (revision, difference) = app.state.policies.revision(number).await.map_err(Refused::Policy)?;
    Ok(Json(One { revision, difference }))
}

/// The form of `POST …/draft/save`: the version that the change is based on, and the list as JSON. Where the newest revision is
/// named as well, nothing is saved once there is another one.
#[derive(Deserialize)]
pub(crate) struct Saved {
    version: u64,
    revision: Option<u64>,
    policies: String,
}

/// `POST /api/v1/policies/draft/save`.
pub(crate) async fn save(
    State(app): State<App>,
    form: ConfirmedWith<Saved, POLICY_LIMIT>,
) -> Result<Json<CheckedDraft>, Refused> {
    let (signed_in, Saved { version, revision, policies }) = form.filled()?;
    let policies: Vec<ListedPolicy> = match serde_json::from_str(&policies) {
        Ok(policies) => policies,
        Err(error) => return Err(Refused::Unreadable(error.to_string())),
    };
    let saved = app.state.policies.save(signed_in.login(), version, revision, policies).await;
    Ok(Json(saved.map_err(Refused::Policy)?))
}

/// `POST /api/v1/policies/draft/drop`: `version`.
pub(crate) async fn drop_draft(State(app): State<App>, form: ConfirmedWith<Versioned>) -> Result<StatusCode, Refused> {
    let (signed_in, Versioned { version }) = form.filled()?;
    app.state.policies.drop_draft(signed_in.login(), version).await.map_err(Refused::Policy)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/policies/draft/apply`: `version` and, where there is one, `comment`.
pub(crate) async fn apply(State(app): State<App>, form: ConfirmedWith<Applied>) -> Result<Json<Revision>, Refused> {
    let (signed_in, form) = form.filled()?;
    let applied = app.state.policies.apply(signed_in.login(), form.version, form.comment()?).await;
    Ok(Json(applied.map_err(Refused::Policy)?))
}

/// `POST /api/v1/policies/revert`: `revision`.
pub(crate) async fn revert(State(app): State<App>, form: ConfirmedWith<Reverted>) -> Result<Json<Revision>, Refused> {
    let (signed_in, Reverted { revision }) = form.filled()?;
    Ok(Json(app.state.policies.revert(signed_in.login(), revision).await.map_err(Refused::Policy)?))
}

/// `GET /api/v1/policies/backtest`.
pub(crate) async fn backtest(State(app): State<App>, _: SignedInClient) -> Json<BacktestState> {
    Json(app.state.policies.backtest())
}

/// `POST /api/v1/policies/backtest/start`: `of` (`draft`, or the number of a revision) and, where wanted, `days`.
pub(crate) async fn start_backtest(State(app): State<App>, form: ConfirmedWith<Wanted>) -> Result<StatusCode, Refused> {
    let (_, form) = form.filled()?;
    let (of, days) = form.read()?;
    app.state.policies.start_backtest(of, days).await.map_err(Refused::Policy)?;
    Ok(StatusCode::ACCEPTED)
}

/// `POST /api/v1/policies/backtest/cancel`.
pub(crate) async fn cancel_backtest(State(app): State<App>, Confirmed(_): Confirmed) -> StatusCode {
    app.state.policies.cancel_backtest();
    StatusCode::NO_CONTENT
}
