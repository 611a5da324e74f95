//! How severe an incident is. All that makes one more severe goes through [`Review::store`].

use portcullis_core::escalation::{DueEscalation, Escalation, Standing};
use portcullis_core::incident::{IncidentSource, IncidentState, IncidentStep};
use portcullis_core::policy::Severity;
use portcullis_core::store::StoreError;
use portcullis_core::{AccountId, IncidentId, Timestamp};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::{column, history, severity, severity_number, state};
use crate::challenges;
use crate::events::EventRow;
use crate::fault::{Fault, damaged};
use crate::numbers::{millis, timestamp};
use crate::outbox;

/// An incident whose severity is looked at anew.
pub(super) struct Review {
    id: Vec<u8>,
    account: AccountId,
    source: IncidentSource,
    state: IncidentState,
    /// As severe it was.
    before: Severity,
    pub(super) standing: Standing,
}

impl Review {
    pub(super) async fn of(connection: &mut SqliteConnection, id: &[u8]) -> Result<Option<Self>, Fault> {
        let row = sqlx::query(
            "SELECT account, policy, severity, state, count, since, escalations FROM incidents WHERE id = ?1",
        )
        .bind(id)
        .fetch_optional(connection)
        .await?;
        Ok(row.map(|row| Self::read(id, &row)).transpose()?)
    }

    fn read(id: &[u8], row: &SqliteRow) -> Result<Self, StoreError> {
        let standing = standing(row)?;
        Ok(Self {
            id: id.to_vec(),
            account: AccountId::new(column::<String>(row, "account")?),
            source: IncidentSource::from(column::<String>(row, "policy")?),
            state: state(column(row, "state")?)?,
            before: standing.severity,
            standing,
        })
    }

    /// Stores how it stands after the event, which has an entry of its own in the history where an escalation has been reached.
    pub(super) async fn store(mut self, connection: &mut SqliteConnection, row: &EventRow) -> Result<(), Fault> {
        let reached = match self.state {
            IncidentState::Resolved => None,
            IncidentState::Open | IncidentState::InProgress => self.standing.reached(timestamp(row.at)),
        };
        if let Some(escalation) = reached {
            self.standing.rise(escalation.severity);
        }
        let next_at = self.standing.next_at().filter(|_| self.state != IncidentState::Resolved);
        sqlx::query(
            "UPDATE incidents SET severity = ?2, escalations = ?3, escalates_at = ?4, changed_at = MAX(changed_at, ?5)
             WHERE id = ?1",
        )
        .bind(self.id.as_slice())
        .bind(severity_number(self.standing.severity))
        .bind(json(&self.standing.escalations)?)
        .bind(next_at.map(millis))
        .bind(row.at)
        .execute(&mut *connection)
        .await?;
        // Who is told of it is found by how it stands now.
        match reached {
            Some(escalation) => {
                let text = format!("{}: {escalation}", escalation.severity);
                history::add(connection, row, &self.id, IncidentStep::Escalated, None, &text).await?;
            }
            None => outbox::incident_changed(connection, row, &self.id).await?,
        }
        // Whoever only guesses makes people be asked again once for each step that somebody has configured, and no oftener.
        if reached.is_some() && self.standing.severity > self.before && speaks_of(&self.source, self.standing.severity)
        {
            challenges::forget_for_incident(connection, &self.account, row.at).await?;
        }
        Ok(())
    }
}

/// Whether an incident that is raised so severely ends what is remembered of the account's approvals. Whoever guesses passwords must
/// not be able to make people be asked again: that takes a policy's word, or something that speaks of the account itself.
pub(super) fn speaks_of(source: &IncidentSource, severity: Severity) -> bool {
    matches!(source, IncidentSource::Policy(_)) || severity >= Severity::High
}

/// The state of the incident has changed, and with it what time can do.
pub(super) async fn review(connection: &mut SqliteConnection, row: &EventRow, id: &[u8]) -> Result<(), Fault> {
    match Review::of(connection, id).await? {
        Some(review) => review.store(connection, row).await,
        None => Ok(()),
    }
}

/// Makes an incident more severe because its time has come. Returns how many it was: none where it stands otherwise by now.
pub(crate) async fn escalate(
    connection: &mut SqliteConnection,
    row: &EventRow,
    due: &DueEscalation,
) -> Result<u64, Fault> {
    let Some(review) = Review::of(connection, due.incident.id.0.as_bytes()).await? else { return Ok(0) };
    let still_holds = review.state != IncidentState::Resolved
        && review.before == due.incident.severity
        && review.standing.reached(timestamp(row.at)) == Some(due.escalation);
    if !still_holds {
        return Ok(0);
    }
    review.store(connection, row).await?;
    Ok(1)
}

/// How an incident stands; of a row with the columns `severity`, `state`, `count`, `since` and `escalations`.
pub(super) fn standing(row: &SqliteRow) -> Result<Standing, StoreError> {
    let escalations: &str = column(row, "escalations")?;
    Ok(Standing {
        severity: severity(column(row, "severity")?)?,
        count: u32::try_from(column::<i64>(row, "count")?).unwrap_or(u32::MAX),
        since: timestamp(column(row, "since")?),
        taken: state(column(row, "state")?)? == IncidentState::InProgress,
        escalations: serde_json::from_str(escalations)
            .map_err(|error| damaged("the escalations of an incident", error))?,
    })
}

/// From when on the time of a new incident is counted. A cloud service tells of what has happened hours ago: nobody could have
/// looked at it before its incident was there, which is when its id was made (RFC 9562, section 5.7).
pub(super) fn begins_at(id: IncidentId, event_at: i64) -> i64 {
    made_at(id.0).map_or(event_at, |made_at| millis(made_at).max(event_at))
}

fn made_at(id: Uuid) -> Option<Timestamp> {
    let (seconds, nanoseconds) = id.get_timestamp()?.to_unix();
    Some(Timestamp(seconds.saturating_mul(1_000).saturating_add(u64::from(nanoseconds / 1_000_000))))
}

fn json(escalations: &[Escalation]) -> Result<String, Fault> {
    let text = serde_json::to_string(escalations);
    Ok(text.map_err(|error| StoreError::Unavailable(format!("escalations cannot be written: {error}")))?)
}
