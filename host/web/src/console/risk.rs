//! Risks and account kinds for programs: read with a session, changed by a form of one.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use portcullis_core::profile::{Subject, SubjectKind};
use portcullis_core::risk::{KindProposal, RiskChange, RiskError, RiskReport};
use portcullis_core::{AccountId, AccountKind};
use serde::{Deserialize, Serialize};

use super::api::Most;
use crate::app::App;
use crate::failure::{ClientFailure, Failure};
use crate::session::{ConfirmedWith, SignedInClient};

/// Octets of a text that is written down.
const LONGEST_NAME: usize = 64;
const LONGEST_REASON: usize = 256;

impl From<RiskError> for Failure {
    fn from(error: RiskError) -> Self {
        match error {
            RiskError::NotFound => Self::NotFound,
            RiskError::Store(error) => error.into(),
        }
    }
}

fn kind(text: &str) -> Result<SubjectKind, Failure> {
    match text {
        "accounts" => Ok(SubjectKind::Account),
        "endpoints" => Ok(SubjectKind::Endpoint),
        "applications" => Ok(SubjectKind::Application),
        _ => Err(Failure::NotFound),
    }
}

fn subject(path: Result<Path<(String, String)>, PathRejection>) -> Result<Subject, Failure> {
    let Path((of, key)) = path.map_err(|_| Failure::NotFound)?;
    Subject::of(kind(&of)?, &key).ok_or(Failure::NotFound)
}

/// The answer to `GET /api/v1/risk/{kind}`.
#[derive(Debug, Serialize)]
pub(crate) struct Risks {
    /// The highest first.
    risks: Vec<RiskReport>,
}

/// `GET /api/v1/risk/{accounts|endpoints|applications}?limit=`.
pub(crate) async fn riskiest(
    State(app): State<App>,
    _: SignedInClient,
    of: Result<Path<String>, PathRejection>,
    query: Result<Query<Most>, QueryRejection>,
) -> Result<Json<Risks>, ClientFailure> {
    let Path(of) = of.map_err(|_| Failure::NotFound)?;
    let Query(most) = query.map_err(|_| Failure::Malformed)?;
    let risks = app.state.risks.riskiest(kind(&of)?, most.limit()?).await?;
    Ok(Json(Risks { risks }))
}

/// `GET /api/v1/risk/{accounts|endpoints|applications}/{key}`.
pub(crate) async fn one(
    State(app): State<App>,
    _: SignedInClient,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<RiskReport>, ClientFailure> {
    let found = app.state.risks.risk(&subject(path)?).await?;
    Ok(Json(found.ok_or(Failure::NotFound)?))
}

/// The form of `POST …/add`.
#[derive(Debug, Deserialize)]
pub(crate) struct Added {
    name: String,
    /// A number as text: what is beside the anti-forgery secret in a form is text.
    weight: String,
    reason: String,
}

/// `POST /api/v1/risk/{accounts|endpoints|applications}/{key}/add`: `name`, `weight` (1 to 100) and `reason`.
pub(crate) async fn add(
    State(app): State<App>,
    path: Result<Path<(String, String)>, PathRejection>,
    form: ConfirmedWith<Added>,
) -> Result<Json<RiskReport>, Failure> {
    let subject = subject(path)?;
    let (signed_in, Added { name, weight, reason }) = form.filled()?;
    let weight = weight.parse().ok().filter(|weight| (1..=100).contains(weight)).ok_or(Failure::Malformed)?;
    let (name, reason) = (text(&name, LONGEST_NAME)?, text(&reason, LONGEST_REASON)?);
    let change = RiskChange::Add { name, weight, reason };
    Ok(Json(app.state.risks.change(&subject, signed_in.login(), change).await?))
}

/// The form of `POST …/put-out`.
#[derive(Debug, Deserialize)]
pub(crate) struct PutOut {
    name: String,
}

/// `POST /api/v1/risk/{accounts|endpoints|applications}/{key}/put-out`: `name` of the factor.
pub(crate) async fn put_out(
    State(app): State<App>,
    path: Result<Path<(String, String)>, PathRejection>,
    form: ConfirmedWith<PutOut>,
) -> Result<Json<RiskReport>, Failure> {
    let subject = subject(path)?;
    let (signed_in, PutOut { name }) = form.filled()?;
    let change = RiskChange::PutOut { name };
    Ok(Json(app.state.risks.change(&subject, signed_in.login(), change).await?))
}

/// The answer to `GET /api/v1/accounts/kinds`.
#[derive(Debug, Serialize)]
pub(crate) struct Kinds {
    proposals: Vec<KindProposal>,
}

/// `GET /api/v1/accounts/kinds?limit=`: accounts that seem to be something else than what is known of them.
pub(crate) async fn kinds(
    State(app): State<App>,
    _: SignedInClient,
    query: Result<Query<Most>, QueryRejection>,
) -> Result<Json<Kinds>, ClientFailure> {
    let Query(most) = query.map_err(|_| Failure::Malformed)?;
    Ok(Json(Kinds { proposals: app.state.risks.proposed_kinds(most.limit()?).await? }))
}

/// The form of `POST /api/v1/accounts/{key}/kind`.
#[derive(Debug, Deserialize)]
pub(crate) struct Decided {
    kind: String,
}

/// `POST /api/v1/accounts/{key}/kind`: `kind` is `service`, `human` or `automatic`.
pub(crate) async fn decide(
    State(app): State<App>,
    key: Result<Path<String>, PathRejection>,
    form: ConfirmedWith<Decided>,
) -> Result<StatusCode, Failure> {
    let Path(key) = key.map_err(|_| Failure::NotFound)?;
    let (signed_in, Decided { kind }) = form.filled()?;
    app.state.risks.decide_kind(&AccountId::new(key), signed_in.login(), said_kind(&kind)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a person says of an account; none where that takes back what was said before.
pub(crate) fn said_kind(kind: &str) -> Result<Option<AccountKind>, Failure> {
    match kind {
        "service" => Ok(Some(AccountKind::Service)),
        "human" => Ok(Some(AccountKind::Human)),
        "automatic" => Ok(None),
        _ => Err(Failure::Malformed),
    }
}

fn text(text: &str, most: usize) -> Result<String, Failure> {
    let text = text.trim();
    let is_good = !text.is_empty() && text.len() <= most && !text.chars().any(char::is_control);
    is_good.then(|| text.to_owned()).ok_or(Failure::Malformed)
}
