//! What happened to each incident.

use portcullis_core::incident::{IncidentEntry, IncidentStep};
use portcullis_core::store::StoreError;
use portcullis_core::{EventId, IncidentId};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::{column, uuid};
use crate::events::EventRow;
use crate::fault::{Fault, damaged, store_error};
use crate::numbers::timestamp;
use crate::outbox;

/// Entries of an incident that more of the same is added to. How often it was raised is counted all the same.
const MOST_RAISED: i64 = 200;
/// Entries of an incident that a note is added to.
const MOST: i64 = 1_000;

const STEPS: [(IncidentStep, &str); 8] = [
    (IncidentStep::Opened, "opened"),
    (IncidentStep::Raised, "raised"),
    (IncidentStep::Escalated, "escalated"),
    (IncidentStep::Taken, "taken"),
    (IncidentStep::Released, "released"),
    (IncidentStep::Resolved, "resolved"),
    (IncidentStep::Reopened, "reopened"),
    (IncidentStep::Noted, "noted"),
];

/// Adds an entry for the event, and sees to it that those are told who are to know. A history that is long already is not made longer by more of the same.
pub(super) async fn add(
    connection: &mut SqliteConnection,
    row: &EventRow,
    incident: &[u8],
    step: IncidentStep,
    person: Option<&str>,
    text: &str,
) -> Result<(), Fault> {
    outbox::incident_changed(connection, row, incident).await?;
    let most = if step == IncidentStep::Raised { MOST_RAISED } else { i64::MAX };
    let word = STEPS.iter().find(|(known, _)| *known == step).map_or("", |(_, word)| word);
    sqlx::query(
        "INSERT INTO incident_history (incident, at, step, person, text, event)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6
         WHERE (SELECT COUNT(*) FROM (SELECT 1 FROM incident_history WHERE incident = ?1 LIMIT ?7)) < ?7",
    )
    .bind(incident)
    .bind(row.at)
    .bind(word)
    .bind(person)
    .bind(text)
    .bind(row.id.as_slice())
    .bind(most)
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether there is no room for another note.
pub(super) async fn is_full(connection: &mut SqliteConnection, incident: &[u8]) -> Result<bool, Fault> {
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM incident_history WHERE incident = ?1")
        .bind(incident)
        .fetch_one(connection)
        .await?;
    Ok(count >= MOST)
}

/// The oldest first.
pub(super) async fn read(
    connection: &mut SqliteConnection,
    incident: IncidentId,
) -> Result<Vec<IncidentEntry>, StoreError> {
    let rows = sqlx::query(
        "SELECT at, step, person, text, event FROM incident_history WHERE incident = ?1 ORDER BY number LIMIT ?2",
    )
    .bind(incident.0.as_bytes().as_slice())
    .bind(2 * MOST)
    .fetch_all(connection)
    .await
    .map_err(store_error)?;
    rows.iter().map(entry).collect()
}

fn entry(row: &SqliteRow) -> Result<IncidentEntry, StoreError> {
    let word: &str = column(row, "step")?;
    let step = STEPS.iter().find(|(_, known)| *known == word).map(|(step, _)| *step);
    Ok(IncidentEntry {
        at: timestamp(column(row, "at")?),
        step: step.ok_or_else(|| damaged("a step of an incident", word))?,
        person: column(row, "person")?,
        text: column(row, "text")?,
        event: EventId(uuid(column(row, "event")?)?),
    })
}
