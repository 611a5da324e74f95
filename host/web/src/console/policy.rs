//! The Policy page: what is in force, the draft of what may be next, revisions, backtests.

pub(crate) mod api;
mod editor;
mod report;
mod view;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::html;
use portcullis_core::policies::{BacktestOf, PolicyError};
use serde::Deserialize;

use crate::app::App;
use crate::failure::Failure;
use crate::page;
use crate::routes::POLICY_LIMIT;
use crate::session::{Confirmed, ConfirmedWith, SignedIn};

/// Revisions on the page.
const REVISIONS: u32 = 20;
/// Characters of a comment.
const LONGEST_COMMENT: usize = 200;
/// Days of a backtest at most.
const MOST_DAYS: u32 = 3_650;

/// Why something was not done, as a sentence and a status.
pub(crate) fn refusal(error: &PolicyError) -> Result<(StatusCode, String), Failure> {
    let status = match &error {
        PolicyError::Conflict | PolicyError::NoDraft | PolicyError::Busy => StatusCode::CONFLICT,
        PolicyError::NoRevision(_) => StatusCode::NOT_FOUND,
        PolicyError::Problems(_) => StatusCode::UNPROCESSABLE_ENTITY,
        PolicyError::Store(error) => return Err(error.clone().into()),
        PolicyError::Failed(why) => {
            tracing::error!(why, "the policies could not be worked on");
            return Err(Failure::Unavailable);
        }
    };
    Ok((status, error.to_string()))
}

/// The whole page, with a word on what was just not done.
async fn whole(app: &App, signed_in: &SignedIn, refused: Option<(StatusCode, String)>) -> Result<Response, Failure> {
    let policies = &app.state.policies;
    let content = async {
        let in_force = policies.in_force().await?;
        let (_, draft) = policies.draft().await?;
        let revisions = policies.revisions(None, REVISIONS).await?;
        Ok::<_, PolicyError>(view::Content { in_force, draft, revisions, backtest: policies.backtest() })
    };
    let content = match content.await {
        Ok(content) => content,
        Err(error) => {
            // No revision: there is nothing to show.
            let (_, text) = refusal(&error)?;
            return Ok(page::console("Policy", signed_in, &html! { h1 { "Policy" } p.empty { (text) } }));
        }
    };
    let (status, text) = refused.map_or((StatusCode::OK, None), |(status, text)| (status, Some(text)));
    Ok(page::console_with(status, "Policy", signed_in, &view::page(&content, signed_in, text.as_deref())))
}

/// Back to the page when it was done, else the page with the reason.
async fn after<T>(app: &App, signed_in: &SignedIn, done: Result<T, PolicyError>) -> Result<Response, Failure> {
    match done {
        Ok(_) => Ok(Redirect::to("/policy").into_response()),
        Err(error) => whole(app, signed_in, Some(refusal(&error)?)).await,
    }
}

/// `GET /policy`.
pub(crate) async fn page(State(app): State<App>, signed_in: SignedIn) -> Result<Response, Failure> {
    whole(&app, &signed_in, None).await
}

/// `GET /policy/edit`.
pub(crate) async fn edit(State(app): State<App>, signed_in: SignedIn) -> Result<Response, Failure> {
    let (version, draft) = app.state.policies.draft().await.map_err(|error| unavailable(&error))?;
    let in_force = app.state.policies.in_force().await.map_err(|error| unavailable(&error))?;
    let (list, problems) = match &draft {
        Some(checked) => (&checked.draft.policies, &checked.problems),
        None => (&in_force.revision.policies, &in_force.problems),
    };
    let form = editor::Form::of(version, in_force.newest(), list, problems);
    Ok(page::console("Policy", &signed_in, &editor::page(&form, &signed_in, None)))
}

fn unavailable(error: &PolicyError) -> Failure {
    refusal(error).err().unwrap_or(Failure::NotFound)
}

/// `GET /policy/revisions/{number}`.
pub(crate) async fn revision(
    State(app): State<App>,
    number: Result<Path<u64>, PathRejection>,
    signed_in: SignedIn,
) -> Result<Response, Failure> {
    let Path(number) = number.map_err(|_| Failure::NotFound)?;
    let (revision, changes) = app.state.policies.revision(number).await.map_err(|error| unavailable(&error))?;
    let in_force = app.state.policies.in_force().await.map_err(|error| unavailable(&error))?.revision.number;
    Ok(page::console("Policy", &signed_in, &view::revision(&revision, &changes, in_force, &signed_in)))
}

/// `POST /policy/save`: the editor's form.
pub(crate) async fn save(
    State(app): State<App>,
    form: ConfirmedWith<Vec<(String, String)>, POLICY_LIMIT>,
) -> Result<Response, Failure> {
    let (signed_in, fields) = form.filled()?;
    let mut form = editor::Form::filled(&fields)?;
    let again = |status, form: &editor::Form, text: &str| {
        page::console_with(status, "Policy", &signed_in, &editor::page(form, &signed_in, Some(text)))
    };
    let Some(policies) = form.policies() else {
        let text = "Nothing was saved: look at what is marked below.";
        return Ok(again(StatusCode::UNPROCESSABLE_ENTITY, &form, text));
    };
    match app.state.policies.save(signed_in.login(), form.version, Some(form.newest), policies).await {
        Ok(_) => Ok(Redirect::to("/policy").into_response()),
        Err(error) => {
            let (status, text) = refusal(&error)?;
            Ok(again(status, &form, &format!("Nothing was saved: {text}.")))
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Versioned {
    version: u64,
}

/// `POST /policy/drop`.
pub(crate) async fn drop_draft(State(app): State<App>, form: ConfirmedWith<Versioned>) -> Result<Response, Failure> {
    let (signed_in, Versioned { version }) = form.filled()?;
    let done = app.state.policies.drop_draft(signed_in.login(), version).await;
    after(&app, &signed_in, done).await
}

#[derive(Deserialize)]
pub(crate) struct Applied {
    version: u64,
    #[serde(default)]
    comment: String,
}

impl Applied {
    fn comment(&self) -> Result<&str, Failure> {
        let comment = self.comment.trim();
        let is_good = comment.chars().count() <= LONGEST_COMMENT && !comment.chars().any(char::is_control);
        is_good.then_some(comment).ok_or(Failure::Malformed)
    }
}

/// `POST /policy/apply`.
pub(crate) async fn apply(State(app): State<App>, form: ConfirmedWith<Applied>) -> Result<Response, Failure> {
    let (signed_in, form) = form.filled()?;
    let done = app.state.policies.apply(signed_in.login(), form.version, form.comment()?).await;
    after(&app, &signed_in, done).await
}

#[derive(Deserialize)]
pub(crate) struct Reverted {
    revision: u64,
}

/// `POST /policy/revert`.
pub(crate) async fn revert(State(app): State<App>, form: ConfirmedWith<Reverted>) -> Result<Response, Failure> {
    let (signed_in, Reverted { revision }) = form.filled()?;
    let done = app.state.policies.revert(signed_in.login(), revision).await;
    after(&app, &signed_in, done).await
}

/// The form of a backtest: `of` is `draft` or the number of a revision; without `days`, as the configuration says.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    of: String,
    #[serde(default)]
    days: String,
}

impl Wanted {
    fn read(&self) -> Result<(BacktestOf, u32), Failure> {
        let of = match self.of.as_str() {
            "draft" => BacktestOf::Draft,
            number => BacktestOf::Revision(number.parse().map_err(|_| Failure::Malformed)?),
        };
        let days = match self.days.trim() {
            "" => 0,
            days => days.parse().ok().filter(|days| (1..=MOST_DAYS).contains(days)).ok_or(Failure::Malformed)?,
        };
        Ok((of, days))
    }
}

/// `POST /policy/backtest`.
pub(crate) async fn backtest(State(app): State<App>, form: ConfirmedWith<Wanted>) -> Result<Response, Failure> {
    let (signed_in, form) = form.filled()?;
    let (of, days) = form.read()?;
    let done = app.state.policies.start_backtest(of, days).await;
    after(&app, &signed_in, done).await
}

/// `POST /policy/backtest/cancel`.
pub(crate) async fn cancel(State(app): State<App>, Confirmed(_): Confirmed) -> Redirect {
    app.state.policies.cancel_backtest();
    Redirect::to("/policy")
}
