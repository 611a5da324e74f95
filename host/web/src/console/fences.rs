//! The page Service accounts: accounts that seem to be something else than what is known of them, and fences for those that are
//! service accounts. The same for programs.

mod view;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use portcullis_core::AccountId;
use portcullis_core::fence::{Acceptance, FenceError, FenceProposal, Fences};
use portcullis_core::policy::Mode;
use portcullis_core::revision::Revision;
use serde::Deserialize;

use super::api::Most;
use super::policy::api::Refused;
use super::policy::refusal;
use super::risk::said_kind;
use crate::app::App;
use crate::failure::Failure;
use crate::page;
use crate::session::{ConfirmedWith, SignedIn, SignedInClient};

/// How many accounts the page shows of either kind.
const SHOWN: usize = 100;
/// One more tells whether that is all.
const ASKED: u32 = 101;

/// Why something was not done, as a sentence and a status.
fn refused(error: &FenceError) -> Result<(StatusCode, String), Failure> {
    let status = match error {
        FenceError::NotFound => return Err(Failure::NotFound),
        FenceError::Policies(error) => return refusal(error),
        FenceError::Changed => StatusCode::CONFLICT,
        FenceError::Nothing(_) | FenceError::List(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Ok((status, error.to_string()))
}

/// `GET /service-accounts`.
pub(crate) async fn page(State(app): State<App>, signed_in: SignedIn) -> Result<Response, Failure> {
    whole(&app, &signed_in, None).await
}

/// The whole page, with a word on what was just not done.
async fn whole(app: &App, signed_in: &SignedIn, said: Option<(StatusCode, String)>) -> Result<Response, Failure> {
    let kinds = app.state.risks.proposed_kinds(ASKED).await?;
    let (fences, said) = match (app.state.fences.fences(ASKED).await, said) {
        (Ok(fences), said) => (Some(fences), said),
        (Err(error), None) => (None, Some(refused(&error)?)),
        (Err(_), said) => (None, said),
    };
    let (status, text) = said.map_or((StatusCode::OK, None), |(status, text)| (status, Some(text)));
    let body = view::page(&kinds, fences.as_ref(), signed_in, text.as_deref());
    Ok(page::console_with(status, "Service accounts", signed_in, &body))
}

/// The form of `POST /service-accounts/kind`.
#[derive(Debug, Deserialize)]
pub(crate) struct DecidedKind {
    account: String,
    kind: String,
}

/// `POST /service-accounts/kind`.
pub(crate) async fn kind(State(app): State<App>, form: ConfirmedWith<DecidedKind>) -> Result<Redirect, Failure> {
    let (signed_in, DecidedKind { account, kind }) = form.filled()?;
    app.state.risks.decide_kind(&AccountId::new(account), signed_in.login(), said_kind(&kind)?).await?;
    Ok(Redirect::to("/service-accounts"))
}

/// What is accepted: the revision and the rule that were shown.
#[derive(Debug, Deserialize)]
pub(crate) struct Accepted {
    /// A number as text: what is beside the anti-forgery secret in a form is text.
    revision: String,
    seal: String,
    mode: String,
}

impl Accepted {
    fn read(self) -> Result<Acceptance, Failure> {
        let mode = match self.mode.as_str() {
            "monitor" => Mode::Monitor,
            "enforce" => Mode::Enforce,
            _ => return Err(Failure::Malformed),
        };
        let revision = self.revision.parse().map_err(|_| Failure::Malformed)?;
        Ok(Acceptance { seal: Some(self.seal), revision: Some(revision), mode })
    }
}

/// The form of `POST /service-accounts/fence`.
#[derive(Debug, Deserialize)]
pub(crate) struct AcceptedFor {
    account: String,
    #[serde(flatten)]
    accepted: Accepted,
}

/// `POST /service-accounts/fence`.
pub(crate) async fn accept(State(app): State<App>, form: ConfirmedWith<AcceptedFor>) -> Result<Response, Failure> {
    let (signed_in, AcceptedFor { account, accepted }) = form.filled()?;
    let acceptance = accepted.read()?;
    match app.state.fences.accept_fence(signed_in.login(), &AccountId::new(account), acceptance).await {
        Ok(_) => Ok(Redirect::to("/service-accounts").into_response()),
        Err(error) => whole(&app, &signed_in, Some(refused(&error)?)).await,
    }
}

/// For programs, the status and the sentence as JSON.
fn told(error: FenceError) -> Refused {
    match error {
        FenceError::Policies(error) => Refused::Policy(error),
        error => match refused(&error) {
            Ok((status, text)) => Refused::Told(status, text),
            Err(failure) => failure.into(),
        },
    }
}

/// `GET /api/v1/accounts/fences?limit=`.
pub(crate) async fn all(
    State(app): State<App>,
    _: SignedInClient,
    query: Result<Query<Most>, QueryRejection>,
) -> Result<Json<Fences>, Refused> {
    let Query(most) = query.map_err(|_| Failure::Malformed)?;
    Ok(Json(app.state.fences.fences(most.limit()?).await.map_err(told)?))
}

/// `GET /api/v1/accounts/{key}/fence`.
pub(crate) async fn one(
    State(app): State<App>,
    _: SignedInClient,
    key: Result<Path<String>, PathRejection>,
) -> Result<Json<FenceProposal>, Refused> {
    let Path(key) = key.map_err(|_| Failure::NotFound)?;
    Ok(Json(app.state.fences.fence(&AccountId::new(key)).await.map_err(told)?))
}

/// `POST /api/v1/accounts/{key}/fence/accept`: `revision`, `seal` and `mode`.
pub(crate) async fn accept_by_program(
    State(app): State<App>,
    key: Result<Path<String>, PathRejection>,
    form: ConfirmedWith<Accepted>,
) -> Result<Json<Revision>, Refused> {
    let Path(key) = key.map_err(|_| Failure::NotFound)?;
    let (signed_in, accepted) = form.filled()?;
    let accepted = accepted.read()?;
    let done = app.state.fences.accept_fence(signed_in.login(), &AccountId::new(key), accepted).await;
    Ok(Json(done.map_err(told)?))
}
