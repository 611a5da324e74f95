//! The page of an incident, and what people do with it. The list of all, and the same for programs.

pub(crate) mod api;
pub(crate) mod list;
mod view;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use portcullis_core::IncidentId;
use portcullis_core::incident::{IncidentAction, IncidentReport, IncidentState, IncidentVerdict};
use portcullis_core::store::StoreError;
use serde::Deserialize;

use crate::app::App;
use crate::failure::Failure;
use crate::page;
use crate::routes::NOTE_LIMIT;
use crate::session::{Confirmed, ConfirmedWith, SignedIn};

pub(super) use view::Said;

/// The longest note, in characters; a line break is one. A browser counts some characters twice, and none as less.
const LONGEST_NOTE: usize = 4_000;

type Id = Result<Path<String>, PathRejection>;

pub(super) fn read(id: Id) -> Result<IncidentId, Failure> {
    let Path(id) = id.map_err(|_| Failure::NotFound)?;
    id.parse().map_err(|_| Failure::NotFound)
}

async fn report(app: &App, id: IncidentId) -> Result<IncidentReport, Failure> {
    app.state.incidents.incident(id).await?.ok_or(Failure::NotFound)
}

/// The page of an incident as it stands now.
pub(super) async fn show(
    app: &App,
    id: IncidentId,
    signed_in: &SignedIn,
    status: StatusCode,
    said: &Said<'_>,
) -> Result<Response, Failure> {
    let report = report(app, id).await?;
    let title = format!("{} – Incident", report.incident.title);
    Ok(page::console_with(status, &title, signed_in, &view::page(app, &report, signed_in, said)))
}

/// `GET /incidents/{id}`.
pub(crate) async fn page(State(app): State<App>, signed_in: SignedIn, id: Id) -> Result<Response, Failure> {
    show(&app, read(id)?, &signed_in, StatusCode::OK, &Said::default()).await
}

/// `POST /incidents/{id}/take`.
pub(crate) async fn take(State(app): State<App>, id: Id, Confirmed(signed_in): Confirmed) -> Result<Response, Failure> {
    act_and_show(&app, read(id)?, &signed_in, IncidentAction::Take, None).await
}

/// `POST /incidents/{id}/release`.
pub(crate) async fn release(
    State(app): State<App>,
    id: Id,
    Confirmed(signed_in): Confirmed,
) -> Result<Response, Failure> {
    act_and_show(&app, read(id)?, &signed_in, IncidentAction::Release, None).await
}

/// `POST /incidents/{id}/reopen`.
pub(crate) async fn reopen(
    State(app): State<App>,
    id: Id,
    Confirmed(signed_in): Confirmed,
) -> Result<Response, Failure> {
    act_and_show(&app, read(id)?, &signed_in, IncidentAction::Reopen, None).await
}

/// The form of `POST …/resolve`.
#[derive(Debug, Deserialize)]
pub(crate) struct Resolved {
    verdict: Option<IncidentVerdict>,
    back: Option<Back>,
}

/// The list that a button stands in; it is shown again.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Back {
    Activity,
    Incidents,
}

impl Back {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Activity => "activity",
            Self::Incidents => "incidents",
        }
    }
}

/// `POST /incidents/{id}/resolve`: `verdict` is `true-positive` or `false-positive`, or not there.
pub(crate) async fn resolve(
    State(app): State<App>,
    id: Id,
    form: ConfirmedWith<Resolved>,
) -> Result<Response, Failure> {
    let id = read(id)?;
    let (signed_in, Resolved { verdict, back }) = form.filled()?;
    act_and_show(&app, id, &signed_in, IncidentAction::Resolve(verdict), back).await
}

/// The form of `POST …/note`.
#[derive(Debug, Deserialize)]
pub(crate) struct Noted {
    text: String,
}

impl Noted {
    fn read(&self) -> Result<String, &'static str> {
        let text = self.text.replace("\r\n", "\n");
        let text = text.trim();
        if text.is_empty() {
            return Err("A note needs a text.");
        }
        if text.chars().count() > LONGEST_NOTE {
            return Err("A note has 4,000 characters at most.");
        }
        if text.chars().any(|letter| letter.is_control() && !matches!(letter, '\n' | '\t')) {
            return Err("A note has no control characters but line breaks and tabulators.");
        }
        Ok(text.to_owned())
    }
}

/// `POST /incidents/{id}/note`: `text`.
pub(crate) async fn note(
    State(app): State<App>,
    id: Id,
    form: ConfirmedWith<Noted, NOTE_LIMIT>,
) -> Result<Response, Failure> {
    let id = read(id)?;
    let (signed_in, noted) = form.filled()?;
    let (status, why) = match noted.read() {
        Err(why) => (StatusCode::UNPROCESSABLE_ENTITY, why),
        Ok(text) => match act(&app, id, &signed_in, IncidentAction::Note(text)).await {
            Ok(()) => return Ok(to_page(id)),
            Err(NotDone::Failure(failure)) => return Err(failure),
            Err(NotDone::Because(why)) => (StatusCode::CONFLICT, why),
        },
    };
    show(&app, id, &signed_in, status, &Said { note: Some((&noted.text, why)), ..Said::default() }).await
}

pub(super) fn to_page(id: IncidentId) -> Response {
    Redirect::to(&format!("/incidents/{id}")).into_response()
}

async fn act_and_show(
    app: &App,
    id: IncidentId,
    signed_in: &SignedIn,
    action: IncidentAction,
    back: Option<Back>,
) -> Result<Response, Failure> {
    match act(app, id, signed_in, action).await {
        Ok(()) => Ok(match back {
            None => to_page(id),
            Some(back) => Redirect::to(&format!("/{}", back.name())).into_response(),
        }),
        Err(NotDone::Failure(failure)) => Err(failure),
        Err(NotDone::Because(why)) => {
            show(app, id, signed_in, StatusCode::CONFLICT, &Said { problem: Some(why), ..Said::default() }).await
        }
    }
}

/// Why nothing was done with an incident.
#[derive(Debug)]
pub(crate) enum NotDone {
    Failure(Failure),
    /// It is there, and it cannot be done with it as it stands.
    Because(&'static str),
}

impl<F: Into<Failure>> From<F> for NotDone {
    fn from(failure: F) -> Self {
        Self::Failure(failure.into())
    }
}

async fn act(app: &App, id: IncidentId, signed_in: &SignedIn, action: IncidentAction) -> Result<(), NotDone> {
    let (name, what) = match &action {
        IncidentAction::Take => ("incident-taken", "Took"),
        IncidentAction::Release => ("incident-released", "Gave back"),
        IncidentAction::Resolve(None) => ("incident-resolved", "Resolved"),
        IncidentAction::Resolve(Some(IncidentVerdict::TruePositive)) => {
            ("incident-resolved", "Resolved as true positive")
        }
        IncidentAction::Resolve(Some(IncidentVerdict::FalsePositive)) => {
            ("incident-resolved", "Resolved as false positive")
        }
        IncidentAction::Reopen => ("incident-reopened", "Reopened"),
        IncidentAction::Note(_) => ("incident-noted", "Wrote a note on"),
    };
    let event = app.administration(signed_in.login(), name, format!("{what} incident {id}."));
    match app.state.incidents.act(id, action.clone(), signed_in.login(), event).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(NotDone::Because(hindrance(&action, report(app, id).await?.incident.state))),
        Err(StoreError::Quota(_)) => {
            Err(NotDone::Because("Nothing was written: the incident has as many notes as one may have."))
        }
        Err(error) => Err(error.into()),
    }
}

/// Why that cannot be done with an incident in this state.
fn hindrance(action: &IncidentAction, state: IncidentState) -> &'static str {
    match (action, state) {
        (IncidentAction::Reopen, IncidentState::Resolved) => {
            "Nothing was done: another incident of this account and source is open."
        }
        (IncidentAction::Reopen, _) => "Nothing was done: the incident is not resolved.",
        (_, IncidentState::Resolved) => "Nothing was done: the incident is resolved.",
        (IncidentAction::Release, _) => "Nothing was done: nobody works on the incident.",
        _ => "Nothing was done: the incident has changed meanwhile.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_as_long_as_its_field_takes() {
        let read = |text: &str| Noted { text: text.to_owned() }.read();
        for letter in ["ä", "字", "𝄞", "\r\nx"] {
            // As the field counts: in code units of UTF-16, a line break as one.
            let most = LONGEST_NOTE / letter.replace("\r\n", "\n").encode_utf16().count();
            assert!(read(&letter.repeat(most)).is_ok(), "{letter}");
        }
        assert!(read(&"x".repeat(LONGEST_NOTE + 1)).is_err());
        assert_eq!(read(" a\r\nb\t ").as_deref(), Ok("a\nb"));
        for wrong in ["", " \n", "a\0b", "x\u{85}x"] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
