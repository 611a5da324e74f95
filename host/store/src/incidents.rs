//! Incidents.

use async_trait::async_trait;
use portcullis_core::escalation::{DueEscalation, EscalationStore};
use portcullis_core::event::Event;
use portcullis_core::incident::{
    Incident, IncidentAction, IncidentChange, IncidentPlace, IncidentReport, IncidentSource, IncidentState,
    IncidentStep, IncidentVerdict,
};
use portcullis_core::policy::Severity;
use portcullis_core::store::{IncidentStore, StoreError};
use portcullis_core::{AccountId, EventId, IncidentId, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::types::Type;
use sqlx::{Decode, Row as _, Sqlite, SqliteConnection};
use uuid::Uuid;

use crate::Store;
use crate::challenges;
use crate::events::EventRow;
use crate::fault::{Fault, damaged, store_error};
use crate::numbers::{millis, timestamp, unsigned};
use crate::work::{Answer, Work};

mod history;
pub(crate) mod severity;

use severity::Review;

/// Higher than the number of any severity.
const ABOVE_ALL: i64 = 9;

#[async_trait]
impl IncidentStore for Store {
    async fn incidents_after(&self, place: Option<IncidentPlace>, limit: u32) -> Result<Vec<Incident>, StoreError> {
        // The expressions are those of the index; the first condition is how SQLite finds the place in it.
        let rows = sqlx::query(
            "SELECT id, account, login, policy, address, severity, title, state, opened_at, changed_at, count, raised_by,
                    resolved_by, resolved_by_person, verdict, assignee, escalates_at
             FROM incidents
             WHERE CASE WHEN state = 'resolved' THEN 0 ELSE severity END <= ?1
               AND (CASE WHEN state = 'resolved' THEN 0 ELSE severity END, changed_at, id) < (?1, ?2, ?3)
             ORDER BY CASE WHEN state = 'resolved' THEN 0 ELSE severity END DESC, changed_at DESC, id DESC LIMIT ?4",
        )
        .bind(place.map_or(ABOVE_ALL, |place| place.severity.map_or(0, severity_number)))
        .bind(place.map_or(0, |place| millis(place.changed_at)))
        .bind(place.map_or(Uuid::nil(), |place| place.id.0).as_bytes().as_slice())
        .bind(limit)
        .fetch_all(self.readers())
        .await
        .map_err(store_error)?;
        rows.iter().map(incident).collect()
    }

    async fn open_incidents(&self) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM incidents WHERE state <> 'resolved'")
            .fetch_one(self.readers())
            .await
            .map_err(store_error)?;
        Ok(unsigned(count))
    }

    async fn incident(&self, id: IncidentId) -> Result<Option<IncidentReport>, StoreError> {
        // Both in one transaction, so that they tell of the same moment.
        let mut reader = self.readers().begin().await.map_err(store_error)?;
        let row = sqlx::query(
            "SELECT id, account, login, policy, address, severity, title, state, opened_at, changed_at, count, raised_by,
                    resolved_by, resolved_by_person, verdict, assignee, escalates_at
             FROM incidents WHERE id = ?1",
        )
        .bind(id.0.as_bytes().as_slice())
        .fetch_optional(&mut *reader)
        .await
        .map_err(store_error)?;
        let Some(row) = row else { return Ok(None) };
        let history = history::read(&mut reader, id).await?;
        Ok(Some(IncidentReport { incident: incident(&row)?, history }))
    }

    async fn act(
        &self,
        id: IncidentId,
        action: IncidentAction,
        person: &str,
        event: Event,
    ) -> Result<bool, StoreError> {
        let event = Box::new(EventRow::of(&event)?);
        let work = Work::ActOnIncident { id, action, person: person.to_owned(), event };
        Ok(self.queue(work)?.done().await? > 0)
    }
}

#[async_trait]
impl EscalationStore for Store {
    async fn due_escalations(&self, now: Timestamp, limit: u32) -> Result<Vec<DueEscalation>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, account, login, policy, address, severity, title, state, opened_at, changed_at, count, raised_by,
                    resolved_by, resolved_by_person, verdict, assignee, escalates_at, since, escalations
             FROM incidents WHERE escalates_at <= ?1 AND state <> 'resolved' ORDER BY escalates_at LIMIT ?2",
        )
        .bind(millis(now))
        .bind(limit)
        .fetch_all(self.readers())
        .await
        .map_err(store_error)?;
        let mut due = Vec::with_capacity(rows.len());
        for row in &rows {
            if let Some(escalation) = severity::standing(row)?.reached(now) {
                due.push(DueEscalation { incident: incident(row)?, escalation });
            }
        }
        Ok(due)
    }

    async fn escalate(&self, due: &DueEscalation, event: Event) -> Result<bool, StoreError> {
        let (due, event) = (Box::new(due.clone()), Box::new(EventRow::of(&event)?));
        Ok(self.queue(Work::Escalate { due, event })?.done().await? > 0)
    }
}

/// Does what an event asks for. The event itself is `row`.
pub(crate) async fn change(
    connection: &mut SqliteConnection,
    row: &EventRow,
    change: &IncidentChange,
) -> Result<(), Fault> {
    match change {
        IncidentChange::Raise { .. } => raise(connection, row, change).await?,
        IncidentChange::Resolve { account, source } => {
            let resolved: Option<Vec<u8>> = sqlx::query_scalar(
                "UPDATE incidents
                 SET state = 'resolved', changed_at = MAX(changed_at, ?3), resolved_by = ?4
                 WHERE account = ?1 AND policy = ?2 AND state <> 'resolved' RETURNING id",
            )
            .bind(account.as_str())
            .bind(source.to_string())
            .bind(row.at)
            .bind(row.id.as_slice())
            .fetch_optional(&mut *connection)
            .await?;
            if let Some(id) = resolved {
                history::add(connection, row, &id, IncidentStep::Resolved, None, "").await?;
            }
        }
        IncidentChange::Distrust { account, since, why } => {
            let again: Vec<Vec<u8>> = sqlx::query_scalar(
                "UPDATE incidents AS old
                 SET state = 'open', since = MAX(changed_at, ?3), changed_at = MAX(changed_at, ?3), assignee = NULL,
                     resolved_by = NULL
                 WHERE account = ?1 AND state = 'resolved' AND resolved_by IS NOT NULL
                   AND EXISTS (SELECT 1 FROM incident_history AS entry
                               WHERE entry.incident = old.id AND entry.step = 'resolved' AND entry.at >= ?2)
                   AND id = (SELECT latest.id FROM incidents AS latest
                             WHERE latest.account = old.account AND latest.policy = old.policy
                             ORDER BY (latest.state = 'resolved'), latest.changed_at DESC, latest.id DESC LIMIT 1)
                 RETURNING id",
            )
            .bind(account.as_str())
            .bind(millis(*since))
            .bind(row.at)
            .fetch_all(&mut *connection)
            .await?;
            for id in again {
                history::add(connection, row, &id, IncidentStep::Reopened, None, why).await?;
                severity::review(connection, row, &id).await?;
            }
        }
    }
    Ok(())
}

/// Opens an incident, or adds to the one that is open.
async fn raise(connection: &mut SqliteConnection, row: &EventRow, change: &IncidentChange) -> Result<(), Fault> {
    let IncidentChange::Raise { new_id, account, login, source, severity, title, escalate } = change else {
        return Ok(());
    };
    // The unique index of unresolved incidents decides between a new one and more of the same.
    let (id, count, stored, waiting): (Vec<u8>, i64, i64, String) = sqlx::query_as(
        "INSERT INTO incidents (id, account, login, policy, severity, title, state, opened_at, changed_at,
                                count, raised_by, since, address)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'open', ?7, ?7, 1, ?8, ?9, ?10)
         ON CONFLICT (account, policy) WHERE state <> 'resolved' DO UPDATE SET
             title = excluded.title,
             changed_at = MAX(changed_at, excluded.changed_at),
             count = count + 1,
             raised_by = excluded.raised_by,
             address = COALESCE(excluded.address, address)
         RETURNING id, count, severity, escalations",
    )
    .bind(new_id.0.as_bytes().as_slice())
    .bind(account.as_str())
    .bind(login.as_str())
    .bind(source.to_string())
    .bind(severity_number(*severity))
    .bind(title.as_str())
    .bind(row.at)
    .bind(row.id.as_slice())
    .bind(severity::begins_at(*new_id, row.at))
    .bind(row.endpoint.as_deref())
    .fetch_one(&mut *connection)
    .await?;
    let step = if count == 1 { IncidentStep::Opened } else { IncidentStep::Raised };
    history::add(connection, row, &id, step, None, title).await?;
    if severity::speaks_of(source, *severity) {
        challenges::forget_for_incident(connection, account, row.at).await?;
    }
    let may_rise = severity_number(*severity) > stored || !escalate.is_empty() || waiting != "[]";
    if may_rise && let Some(mut review) = Review::of(connection, &id).await? {
        review.standing.rise(*severity);
        review.standing.add(escalate);
        review.store(connection, row).await?;
    }
    Ok(())
}

/// Answers how many incidents it was done with: one or none. The event that tells of it is `row`.
pub(crate) async fn act(
    connection: &mut SqliteConnection,
    row: &EventRow,
    id: IncidentId,
    action: &IncidentAction,
    person: &str,
) -> Result<Answer, Fault> {
    let id = id.0.as_bytes().as_slice();
    let verdict = match action {
        IncidentAction::Resolve(verdict) => verdict.map(verdict_text),
        _ => None,
    };
    let (step, text, sql) = match action {
        IncidentAction::Take => (
            IncidentStep::Taken,
            "",
            "UPDATE incidents SET state = 'in-progress', assignee = ?3, changed_at = MAX(changed_at, ?2)
             WHERE id = ?1 AND state <> 'resolved'",
        ),
        IncidentAction::Release => (
            IncidentStep::Released,
            "",
            "UPDATE incidents SET state = 'open', assignee = NULL, changed_at = MAX(changed_at, ?2)
             WHERE id = ?1 AND state = 'in-progress'",
        ),
        IncidentAction::Resolve(_) => (
            IncidentStep::Resolved,
            verdict.unwrap_or_default(),
            "UPDATE incidents
             SET state = 'resolved', changed_at = MAX(changed_at, ?2), resolved_by_person = ?3, verdict = ?4
             WHERE id = ?1 AND state <> 'resolved'",
        ),
        IncidentAction::Reopen => (
            IncidentStep::Reopened,
            "",
            "UPDATE incidents AS old
             SET state = 'open', since = MAX(changed_at, ?2), changed_at = MAX(changed_at, ?2), assignee = NULL,
                 verdict = NULL, resolved_by = NULL, resolved_by_person = NULL
             WHERE id = ?1 AND state = 'resolved'
               AND NOT EXISTS (SELECT 1 FROM incidents AS newer WHERE newer.account = old.account
                               AND newer.policy = old.policy AND newer.state <> 'resolved')",
        ),
        IncidentAction::Note(text) => {
            (IncidentStep::Noted, text.as_str(), "UPDATE incidents SET changed_at = MAX(changed_at, ?2) WHERE id = ?1")
        }
    };
    if matches!(action, IncidentAction::Note(_)) && history::is_full(connection, id).await? {
        return Ok(Err(StoreError::Quota("the incident has as many notes as one may have".to_owned())));
    }
    let done = sqlx::query(sql).bind(id).bind(row.at).bind(person).bind(verdict).execute(&mut *connection).await?;
    if done.rows_affected() > 0 {
        history::add(connection, row, id, step, Some(person), text).await?;
        if !matches!(action, IncidentAction::Note(_)) {
            severity::review(connection, row, id).await?;
        }
    }
    Ok(Ok(done.rows_affected()))
}

/// Writes something down that a person has said with what else he did.
pub(crate) async fn note(
    connection: &mut SqliteConnection,
    row: &EventRow,
    id: IncidentId,
    person: &str,
    text: &str,
) -> Result<(), Fault> {
    history::add(connection, row, id.0.as_bytes(), IncidentStep::Noted, Some(person), text).await
}

fn incident(row: &SqliteRow) -> Result<Incident, StoreError> {
    let state = state(column(row, "state")?)?;
    let address: Option<&str> = column(row, "address")?;
    let escalates_at: Option<i64> = column(row, "escalates_at")?;
    Ok(Incident {
        id: IncidentId(uuid(column(row, "id")?)?),
        account: AccountId::new(column::<String>(row, "account")?),
        login: column(row, "login")?,
        source: IncidentSource::from(column::<String>(row, "policy")?),
        address: address.map(str::parse).transpose().map_err(|e| damaged("the address of an incident", e))?,
        severity: severity(column(row, "severity")?)?,
        title: column(row, "title")?,
        state,
        opened_at: timestamp(column(row, "opened_at")?),
        changed_at: timestamp(column(row, "changed_at")?),
        count: u32::try_from(column::<i64>(row, "count")?).unwrap_or(u32::MAX),
        raised_by: EventId(uuid(column(row, "raised_by")?)?),
        resolved_by: column::<Option<&[u8]>>(row, "resolved_by")?.map(uuid).transpose()?.map(EventId),
        resolved_by_person: column(row, "resolved_by_person")?,
        verdict: column::<Option<&str>>(row, "verdict")?.map(verdict).transpose()?,
        assignee: column(row, "assignee")?,
        escalates_at: escalates_at.filter(|_| state != IncidentState::Resolved).map(timestamp),
    })
}

fn column<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(row: &'r SqliteRow, name: &str) -> Result<T, StoreError> {
    row.try_get(name).map_err(store_error)
}

fn uuid(bytes: &[u8]) -> Result<Uuid, StoreError> {
    Uuid::from_slice(bytes).map_err(|error| damaged("an identifier of an incident", error))
}

pub(crate) fn severity_number(severity: Severity) -> i64 {
    match severity {
        Severity::Low => 1,
        Severity::Medium => 2,
        Severity::High => 3,
        Severity::Critical => 4,
    }
}

pub(crate) fn severity(number: i64) -> Result<Severity, StoreError> {
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

fn verdict_text(verdict: IncidentVerdict) -> &'static str {
    match verdict {
        IncidentVerdict::TruePositive => "true-positive",
        IncidentVerdict::FalsePositive => "false-positive",
    }
}

fn verdict(text: &str) -> Result<IncidentVerdict, StoreError> {
    match text {
        "true-positive" => Ok(IncidentVerdict::TruePositive),
        "false-positive" => Ok(IncidentVerdict::FalsePositive),
        other => Err(damaged("the verdict on an incident", other)),
    }
}
