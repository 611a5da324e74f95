//! Incidents.

use async_trait::async_trait;
use portcullis_core::event::Event;
use portcullis_core::incident::{Incident, IncidentChange, IncidentState};
use portcullis_core::policy::Severity;
use portcullis_core::store::{IncidentStore, StoreError};
use portcullis_core::{AccountId, EventId, IncidentId, PolicyName};
use sqlx::sqlite::SqliteRow;
use sqlx::types::Type;
use sqlx::{Decode, Row as _, Sqlite, SqliteConnection};
use uuid::Uuid;

use crate::Store;
use crate::challenges;
use crate::events::EventRow;
use crate::fault::{Fault, damaged, store_error};
use crate::numbers::timestamp;
use crate::work::Work;

#[async_trait]
impl IncidentStore for Store {
    async fn incidents(&self, limit: u32) -> Result<Vec<Incident>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, account, login, policy, severity, title, state, opened_at, changed_at, count, raised_by,
                    resolved_by, resolved_by_person
             FROM incidents ORDER BY (state = 'resolved'), changed_at DESC, id DESC LIMIT ?1",
        )
        .bind(limit)
        .fetch_all(self.readers())
        .await
        .map_err(store_error)?;
        rows.iter().map(incident).collect()
    }

    async fn resolve(&self, id: IncidentId, person: &str, event: Event) -> Result<bool, StoreError> {
        let event = Box::new(EventRow::of(&event)?);
        let resolved = self.queue(Work::ResolveIncident { id, person: person.to_owned(), event })?.done().await?;
        Ok(resolved > 0)
    }
}

/// Does what an event asks for. The event itself is `row`.
pub(crate) async fn change(
    connection: &mut SqliteConnection,
    row: &EventRow,
    change: &IncidentChange,
) -> Result<(), Fault> {
    match change {
        IncidentChange::Raise { new_id, account, login, policy, severity, title } => {
            // The unique index of unresolved incidents decides between a new one and more of the same.
            sqlx::query(
                "INSERT INTO incidents (id, account, login, policy, severity, title, state, opened_at, changed_at,
                                        count, raised_by)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'open', ?7, ?7, 1, ?8)
                 ON CONFLICT (account, policy) WHERE state <> 'resolved' DO UPDATE SET
                     severity = MAX(severity, excluded.severity),
                     title = excluded.title,
                     changed_at = MAX(changed_at, excluded.changed_at),
                     count = count + 1,
                     raised_by = excluded.raised_by",
            )
            .bind(new_id.0.as_bytes().as_slice())
            .bind(account.as_str())
            .bind(login.as_str())
            .bind(policy.as_str())
            .bind(severity_number(*severity))
            .bind(title.as_str())
            .bind(row.at)
            .bind(row.id.as_slice())
            .execute(&mut *connection)
            .await?;
            challenges::forget_for_incident(connection, account, row.at).await?;
        }
        IncidentChange::Resolve { account, policy } => {
            sqlx::query(
                "UPDATE incidents
                 SET state = 'resolved', changed_at = MAX(changed_at, ?3), resolved_by = ?4
                 WHERE account = ?1 AND policy = ?2 AND state <> 'resolved'",
            )
            .bind(account.as_str())
            .bind(policy.as_str())
            .bind(row.at)
            .bind(row.id.as_slice())
            .execute(connection)
            .await?;
        }
    }
    Ok(())
}

/// Returns how many were resolved by this: one or none.
pub(crate) async fn resolve_by_person(
    connection: &mut SqliteConnection,
    id: IncidentId,
    person: &str,
    at: i64,
) -> Result<u64, Fault> {
    let done = sqlx::query(
        "UPDATE incidents
         SET state = 'resolved', changed_at = MAX(changed_at, ?2), resolved_by_person = ?3
         WHERE id = ?1 AND state <> 'resolved'",
    )
    .bind(id.0.as_bytes().as_slice())
    .bind(at)
    .bind(person)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

fn incident(row: &SqliteRow) -> Result<Incident, StoreError> {
    Ok(Incident {
        id: IncidentId(uuid(column(row, "id")?)?),
        account: AccountId::new(column::<String>(row, "account")?),
        login: column(row, "login")?,
        policy: PolicyName::new(column::<String>(row, "policy")?),
        severity: severity(column(row, "severity")?)?,
        title: column(row, "title")?,
        state: state(column(row, "state")?)?,
        opened_at: timestamp(column(row, "opened_at")?),
        changed_at: timestamp(column(row, "changed_at")?),
        count: u32::try_from(column::<i64>(row, "count")?).unwrap_or(u32::MAX),
        raised_by: EventId(uuid(column(row, "raised_by")?)?),
        resolved_by: column::<Option<&[u8]>>(row, "resolved_by")?.map(uuid).transpose()?.map(EventId),
        resolved_by_person: column(row, "resolved_by_person")?,
    })
}

fn column<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(row: &'r SqliteRow, name: &str) -> Result<T, StoreError> {
    row.try_get(name).map_err(store_error)
}

fn uuid(bytes: &[u8]) -> Result<Uuid, StoreError> {
    Uuid::from_slice(bytes).map_err(|error| damaged("an identifier of an incident", error))
}

fn severity_number(severity: Severity) -> i64 {
    match severity {
        Severity::Low => 1,
        Severity::Medium => 2,
        Severity::High => 3,
        Severity::Critical => 4,
    }
}

fn severity(number: i64) -> Result<Severity, StoreError> {
    match number {
        1 => Ok(Severity::Low),
        2 => Ok(Severity::Medium),
        3 => Ok(Severity::High),
        4 => Ok(Severity::Critical),
        other => Err(damaged("the severity of an incident", other)),
    }
}

fn state(text: &str) -> Result<IncidentState, StoreError> {
    match text {
        "open" => Ok(IncidentState::Open),
        "in-progress" => Ok(IncidentState::InProgress),
        "resolved" => Ok(IncidentState::Resolved),
        other => Err(damaged("the state of an incident", other)),
    }
}
