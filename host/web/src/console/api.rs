//! The same for programs: JSON of the core's types.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use portcullis_core::cloud::SourceStatus;
use portcullis_core::event::Event;
use portcullis_core::status::ConnectorRole;
use portcullis_core::store::Sequence;
use portcullis_core::{ConnectorName, Timestamp};
use serde::{Deserialize, Serialize};

use super::connectors::{Stands, stands};
use crate::app::App;
use crate::failure::{ClientFailure, Failure};
use crate::session::SignedInClient;

const USUAL_LIMIT: u32 = 50;
const HIGHEST_LIMIT: u32 = 500;

/// What a list is asked for with.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    limit: Option<u32>,
    before: Option<u64>,
}

/// What a list without pages is asked for with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Most {
    limit: Option<u32>,
}

impl Most {
    pub(crate) fn limit(&self) -> Result<u32, Failure> {
        limited(self.limit)
    }
}

pub(super) fn limited(limit: Option<u32>) -> Result<u32, Failure> {
    match limit.unwrap_or(USUAL_LIMIT) {
        limit @ 1..=HIGHEST_LIMIT => Ok(limit),
        _ => Err(Failure::Malformed),
    }
}

/// The last of as many as were asked for: there may be more behind it.
pub(super) fn last_of_full<T>(found: &[T], limit: u32) -> Option<&T> {
    found.last().filter(|_| u32::try_from(found.len()).is_ok_and(|count| count == limit))
}

impl Page {
    pub(crate) fn limit(&self) -> Result<u32, Failure> {
        limited(self.limit)
    }

    pub(crate) fn before(&self) -> Option<u64> {
        self.before
    }
}

/// The answer to `GET /api/v1/events`.
#[derive(Debug, Serialize)]
pub(crate) struct Events {
    /// The newest first.
    events: Vec<Numbered>,
    /// Value of `before` for those that come next; none when the log ends here.
    next_before: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Numbered {
    sequence: u64,
    event: Event,
}

/// `GET /api/v1/events?limit=&before=`.
pub(crate) async fn events(
    State(app): State<App>,
    _: SignedInClient,
    query: Result<Query<Page>, QueryRejection>,
) -> Result<Json<Events>, ClientFailure> {
    let Query(page) = query.map_err(|_| Failure::Malformed)?;
    let limit = page.limit()?;
    let found = app.state.events.recent(page.before.map(Sequence), limit).await?;
    let next_before = last_of_full(&found, limit).map(|stored| stored.sequence.0);
    let events =
        found.into_iter().map(|stored| Numbered { sequence: stored.sequence.0, event: stored.event }).collect();
    Ok(Json(Events { events, next_before }))
}

/// The answer to `GET /api/v1/connectors`.
#[derive(Debug, Serialize)]
pub(crate) struct Connectors {
    /// By name.
    connectors: Vec<Connector>,
}

#[derive(Debug, Serialize)]
struct Connector {
    name: ConnectorName,
    /// Name and version of its plugin; none where that could not be loaded.
    plugin: Option<Plugin>,
    roles: Vec<ConnectorRole>,
    state: ConnectorState,
    /// Which organisation and whose credentials, or why it does not work.
    detail: String,
    /// What works and should be looked at nevertheless.
    warnings: Vec<String>,
    /// When it was tried last: milliseconds since 1970.
    tried_at: Option<Timestamp>,
    /// How reading its events goes; none where it has none.
    reading: Option<Reading>,
}

#[derive(Debug, Serialize)]
struct Plugin {
    name: String,
    version: String,
}

/// Counts are those since the gateway was started; times are milliseconds since 1970.
#[derive(Debug, Serialize)]
struct Reading {
    last_success: Option<Timestamp>,
    last_error: Option<ReadingError>,
    /// Everything that happened before is stored.
    complete_to: Option<Timestamp>,
    /// More is waiting there than has been read.
    behind: bool,
    events: u64,
    events_again: u64,
    polls: u64,
    failures: u64,
}

#[derive(Debug, Serialize)]
struct ReadingError {
    at: Timestamp,
    detail: String,
}

impl From<SourceStatus> for Reading {
    fn from(status: SourceStatus) -> Self {
        Self {
            last_success: status.last_success,
            last_error: status.last_error.map(|(at, detail)| ReadingError { at, detail }),
            complete_to: status.complete_to,
            behind: status.behind,
            events: status.stored,
            events_again: status.again,
            polls: status.polls,
            failures: status.failures,
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum ConnectorState {
    Working,
    Failing,
    NotTried,
}

impl Connector {
    fn new((status, source): Stands) -> Self {
        let (state, detail, warnings, tried_at) = match status.tried {
            None => (ConnectorState::NotTried, String::new(), Vec::new(), None),
            Some((at, Ok(health))) => (ConnectorState::Working, health.detail, health.warnings, Some(at)),
            Some((at, Err(why))) => (ConnectorState::Failing, why, Vec::new(), Some(at)),
        };
        let plugin = status.about.plugin.map(|(name, version)| Plugin { name, version });
        let reading = source.map(Reading::from);
        Self { name: status.name, plugin, roles: status.about.roles, state, detail, warnings, tried_at, reading }
    }
}

/// `GET /api/v1/connectors`.
pub(crate) async fn connectors(State(app): State<App>, _: SignedInClient) -> Json<Connectors> {
    Json(Connectors { connectors: stands(&app).into_iter().map(Connector::new).collect() })
}
