//! Exclusions that people have made.

use async_trait::async_trait;
use portcullis_core::event::Event;
use portcullis_core::exclusion::{Exclusion, ExclusionStore, MOST_EXCLUSIONS, NewExclusion, Scope};
use portcullis_core::incident::{IncidentAction, IncidentSource, IncidentVerdict};
use portcullis_core::store::StoreError;
use portcullis_core::{AccountId, EventId, IncidentId, Timestamp};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::Store;
use crate::events::EventRow;
use crate::fault::{Fault, damaged, store_error};
use crate::incidents;
use crate::numbers::{millis, signed, timestamp, unsigned};
use crate::rows::column;
use crate::work::{Answer, Work};

const COLUMNS: &str =
    "number, incident, detections, account, login, network, until, reason, person, made_at, event, undone_at,
                       undone_by";

#[async_trait]
impl ExclusionStore for Store {
    async fn exclusions(&self, before: Option<u64>, limit: u32) -> Result<Vec<Exclusion>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM exclusions WHERE ?1 IS NULL OR number < ?1 ORDER BY number DESC LIMIT ?2");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(before.map(signed)).bind(limit);
        rows.fetch_all(self.readers()).await.map_err(store_error)?.iter().map(exclusion).collect()
    }

    async fn exclusions_in_force(&self, now: Timestamp) -> Result<Vec<Exclusion>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM exclusions WHERE undone_at IS NULL AND (until IS NULL OR until > ?1) ORDER BY number"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(millis(now));
        rows.fetch_all(self.readers()).await.map_err(store_error)?.iter().map(exclusion).collect()
    }

    async fn exclude(
        &self,
        incident: IncidentId,
        new: NewExclusion,
        person: &str,
        event: Event,
    ) -> Result<bool, StoreError> {
        let (person, event) = (person.to_owned(), Box::new(EventRow::of(&event)?));
        let work = Work::Exclude { incident, new: Box::new(new), person, event };
        Ok(self.queue(work)?.done().await? > 0)
    }

    async fn undo_exclusion(&self, number: u64, person: &str, event: Event) -> Result<bool, StoreError> {
        let (person, event) = (person.to_owned(), Box::new(EventRow::of(&event)?));
        Ok(self.queue(Work::UndoExclusion { number, person, event })?.done().await? > 0)
    }
}

/// Resolves the incident and makes the exclusion. Answers how many it did that with: one, or none where the incident is not there,
/// resolved, or no detection's. The event that tells of it is `row`.
pub(crate) async fn exclude(
    connection: &mut SqliteConnection,
    row: &EventRow,
    incident: IncidentId,
    new: &NewExclusion,
    person: &str,
) -> Result<Answer, Fault> {
    let standing: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM exclusions WHERE undone_at IS NULL AND (until IS NULL OR until > ?1)")
            .bind(row.at)
            .fetch_one(&mut *connection)
            .await?;
    if standing >= i64::from(MOST_EXCLUSIONS) {
        let text = format!("{MOST_EXCLUSIONS} exclusions are in force, which is as many as there may be");
        return Ok(Err(StoreError::Quota(text)));
    }
    let source: Option<String> = sqlx::query_scalar("SELECT policy FROM incidents WHERE id = ?1")
        .bind(incident.0.as_bytes().as_slice())
        .fetch_optional(&mut *connection)
        .await?;
    if !source.is_some_and(|source| matches!(IncidentSource::from(source), IncidentSource::Detection(_))) {
        return Ok(Ok(0));
    }
    let resolve = IncidentAction::Resolve(Some(IncidentVerdict::FalsePositive));
    match incidents::act(connection, row, incident, &resolve, person).await? {
        Ok(1..) => {}
        other => return Ok(other),
    }
    let note = format!("Exclusion of {}: {}", new.scope, new.reason);
    incidents::note(connection, row, incident, person, &note).await?;
    let done = sqlx::query(
        "INSERT INTO exclusions (incident, detections, account, login, network, until, reason, person, made_at, event)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )
    .bind(incident.0.as_bytes().as_slice())
    .bind(new.scope.detections.as_str())
    .bind(new.scope.account.as_ref().map(AccountId::as_str))
    .bind(new.scope.login.as_deref())
    .bind(new.scope.network.map(|network| network.to_string()))
    .bind(new.scope.until.map(millis))
    .bind(new.reason.as_str())
    .bind(person)
    .bind(row.at)
    .bind(row.id.as_slice())
    .execute(connection)
    .await?;
    Ok(Ok(done.rows_affected()))
}

/// Returns how many there were to take back: one or none.
pub(crate) async fn undo(connection: &mut SqliteConnection, number: u64, person: &str, at: i64) -> Result<u64, Fault> {
    let done =
        sqlx::query("UPDATE exclusions SET undone_at = ?3, undone_by = ?2 WHERE number = ?1 AND undone_at IS NULL")
            .bind(signed(number))
            .bind(person)
            .bind(at)
            .execute(connection)
            .await?;
    Ok(done.rows_affected())
}

fn exclusion(row: &SqliteRow) -> Result<Exclusion, StoreError> {
    let id = |name: &str| -> Result<Uuid, StoreError> {
        Uuid::from_slice(column(row, name)?).map_err(|error| damaged("an identifier of an exclusion", error))
    };
    let network: Option<&str> = column(row, "network")?;
    let network = network.map(|text| text.parse().map_err(|error| damaged("the network of an exclusion", error)));
    let undone = (column::<Option<i64>>(row, "undone_at")?, column::<Option<String>>(row, "undone_by")?);
    Ok(Exclusion {
        number: unsigned(column(row, "number")?),
        scope: Scope {
            detections: column(row, "detections")?,
            account: column::<Option<String>>(row, "account")?.map(AccountId::new),
            login: column(row, "login")?,
            network: network.transpose()?,
            until: column::<Option<i64>>(row, "until")?.map(timestamp),
        },
        reason: column(row, "reason")?,
        person: column(row, "person")?,
        made_at: timestamp(column(row, "made_at")?),
        incident: IncidentId(id("incident")?),
        event: EventId(id("event")?),
        undone: undone.0.map(|at| (timestamp(at), undone.1.unwrap_or_default())),
    })
}
