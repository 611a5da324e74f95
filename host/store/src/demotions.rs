//! Demotions.

use async_trait::async_trait;
use portcullis_core::demotion::{
    Demotion, DemotionState, DemotionStep, DemotionStore, DueDemotion, Membership, WantedDemotion,
};
use portcullis_core::event::{Event, Record};
use portcullis_core::store::StoreError;
use portcullis_core::{AccountId, BoxFuture, EventId, PolicyName, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::types::Type;
use sqlx::{Decode, Row as _, Sqlite, SqliteConnection};
use uuid::Uuid;

use crate::Store;
use crate::events::EventRow;
use crate::fault::{Fault, damaged, store_error};
use crate::numbers::{millis, signed, timestamp, unsigned};
use crate::settle::sequence_of;
use crate::work::{Entry, Work};

const COLUMNS: &str =
    "number, event, account, login, policy, wanted_group, restore_after, from_times, wanted_at, state,
                       changed_at, group_dn, attribute, value, restore_at, restore_by, note";

/// A step, ready to be written.
pub(crate) struct Step {
    pub(crate) number: u64,
    pub(crate) from: DemotionState,
    pub(crate) to: DemotionStep,
    pub(crate) entry: Option<Entry>,
    pub(crate) at: Timestamp,
}

#[async_trait]
impl DemotionStore for Store {
    fn want_demotion(&self, wanted: WantedDemotion) -> BoxFuture<'static, Result<(), StoreError>> {
        let queued = self.queue(Work::WantDemotion(Box::new(wanted)));
        Box::pin(async move { queued?.done().await.map(drop) })
    }

    async fn due_demotions(&self, now: Timestamp, after: u64, limit: u32) -> Result<Vec<DueDemotion>, StoreError> {
        let place = sequence_of("demotions.event");
        let sql = format!(
            "SELECT {COLUMNS},
                    {place} IS NOT NULL AS is_stored,
                    COALESCE((SELECT count FROM incidents
                              WHERE incidents.account = demotions.account AND incidents.policy = demotions.policy
                                AND incidents.state <> 'resolved'), 0) AS times
             FROM demotions
             WHERE number > ?1 AND (state IN ('wanted', 'leaving') OR (state = 'demoted' AND restore_at <= ?2))
             ORDER BY number LIMIT ?3"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(signed(after)).bind(millis(now)).bind(limit);
        let rows = rows.fetch_all(self.readers()).await.map_err(store_error)?;
        let due = |row| {
            let times = u32::try_from(column::<i64>(row, "times")?).unwrap_or(u32::MAX);
            Ok(DueDemotion { demotion: demotion(row)?, is_stored: column(row, "is_stored")?, times })
        };
        rows.iter().map(due).collect()
    }

    async fn demotions(&self, before: Option<u64>, limit: u32) -> Result<Vec<Demotion>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM demotions WHERE ?1 IS NULL OR number < ?1 ORDER BY number DESC LIMIT ?2");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(before.map(signed)).bind(limit);
        rows.fetch_all(self.readers()).await.map_err(store_error)?.iter().map(demotion).collect()
    }

    async fn standing_demotions(&self, account: &AccountId) -> Result<Vec<Demotion>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM demotions WHERE account = ?1 AND state IN ('leaving', 'demoted') ORDER BY number"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(account.as_str().to_owned());
        rows.fetch_all(self.readers()).await.map_err(store_error)?.iter().map(demotion).collect()
    }

    async fn step_demotion(
        &self,
        number: u64,
        from: DemotionState,
        step: DemotionStep,
        record: Option<Record>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let entry = record.map(Entry::of).transpose()?;
        let step = Step { number, from, to: step, entry, at };
        Ok(self.queue(Work::StepDemotion(Box::new(step)))?.done().await? > 0)
    }

    async fn restore_demotion(
        &self,
        number: u64,
        person: &str,
        at: Timestamp,
        event: Event,
    ) -> Result<bool, StoreError> {
        let (person, event) = (person.to_owned(), Box::new(EventRow::of(&event)?));
        Ok(self.queue(Work::RestoreDemotion { number, person, at, event })?.done().await? > 0)
    }
}

pub(crate) async fn want(connection: &mut SqliteConnection, wanted: &WantedDemotion) -> Result<u64, Fault> {
    let done = sqlx::query(
        "INSERT INTO demotions (event, account, login, policy, wanted_group, restore_after, from_times, wanted_at, state,
                                changed_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'wanted', ?8)",
    )
    .bind(wanted.event.0.as_bytes().as_slice())
    .bind(wanted.account.as_str())
    .bind(wanted.login.as_str())
    .bind(wanted.policy.as_str())
    .bind(wanted.group.as_str())
    .bind(wanted.restore_after_seconds)
    .bind(wanted.from_times)
    .bind(millis(wanted.at))
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Returns how many were in the state that the step leads on from: one or none.
pub(crate) async fn step(connection: &mut SqliteConnection, step: &Step) -> Result<u64, Fault> {
    let (place, restore_at, state, note) = match &step.to {
        DemotionStep::Dropped => {
            let done = sqlx::query("DELETE FROM demotions WHERE number = ?1 AND state = ?2")
                .bind(signed(step.number))
                .bind(word(step.from))
                .execute(connection)
                .await?;
            return Ok(done.rows_affected());
        }
        DemotionStep::Leaving(place) => (Some(place), None, DemotionState::Leaving, ""),
        DemotionStep::Demoted(until) => (None, *until, DemotionState::Demoted, ""),
        DemotionStep::Restored => (None, None, DemotionState::Restored, ""),
        DemotionStep::Failed(why) => (None, None, DemotionState::Failed, why.as_str()),
        DemotionStep::NotRestored(why) => (None, None, DemotionState::Demoted, why.as_str()),
    };
    let done = sqlx::query(
        "UPDATE demotions
         SET state = ?3, changed_at = ?4, restore_at = ?5, note = ?6, group_dn = COALESCE(?7, group_dn),
             attribute = COALESCE(?8, attribute), value = COALESCE(?9, value)
         WHERE number = ?1 AND state = ?2 AND (restore_by IS NULL OR NOT ?10)",
    )
    .bind(signed(step.number))
    .bind(word(step.from))
    .bind(word(state))
    .bind(millis(step.at))
    .bind(restore_at.map(millis))
    .bind(note)
    .bind(place.map(|place| place.group.as_str()))
    .bind(place.map(|place| place.attribute.as_str()))
    .bind(place.map(|place| place.value.as_str()))
    // What a person wants back is not to stay out for longer.
    .bind(matches!(step.to, DemotionStep::Demoted(_)))
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Returns how many there were to restore: one or none.
pub(crate) async fn restore(
    connection: &mut SqliteConnection,
    number: u64,
    person: &str,
    at: Timestamp,
) -> Result<u64, Fault> {
    let done = sqlx::query(
        "UPDATE demotions SET restore_at = ?3, restore_by = ?2, note = '' WHERE number = ?1 AND state = 'demoted'",
    )
    .bind(signed(number))
    .bind(person)
    .bind(millis(at))
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

fn demotion(row: &SqliteRow) -> Result<Demotion, StoreError> {
    let place = (column(row, "group_dn")?, column(row, "attribute")?, column(row, "value")?);
    let membership = match place {
        (Some(group), Some(attribute), Some(value)) => Some(Membership { group, attribute, value }),
        _ => None,
    };
    let event = Uuid::from_slice(column(row, "event")?).map_err(|error| damaged("the event of a demotion", error))?;
    let number = |name| Ok::<_, StoreError>(u32::try_from(column::<i64>(row, name)?).unwrap_or(u32::MAX));
    Ok(Demotion {
        number: unsigned(column(row, "number")?),
        wanted: WantedDemotion {
            event: EventId(event),
            at: timestamp(column(row, "wanted_at")?),
            account: AccountId::new(column::<String>(row, "account")?),
            login: column(row, "login")?,
            policy: PolicyName::new(column::<String>(row, "policy")?),
            group: column(row, "wanted_group")?,
            restore_after_seconds: number("restore_after")?,
            from_times: number("from_times")?,
        },
        state: state(column(row, "state")?)?,
        changed_at: timestamp(column(row, "changed_at")?),
        membership,
        restore_at: column::<Option<i64>>(row, "restore_at")?.map(timestamp),
        restore_by: column(row, "restore_by")?,
        note: column(row, "note")?,
    })
}

fn column<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(row: &'r SqliteRow, name: &str) -> Result<T, StoreError> {
    row.try_get(name).map_err(store_error)
}

fn word(state: DemotionState) -> &'static str {
    match state {
        DemotionState::Wanted => "wanted",
        DemotionState::Leaving => "leaving",
        DemotionState::Demoted => "demoted",
        DemotionState::Restored => "restored",
        DemotionState::Failed => "failed",
    }
}

fn state(text: &str) -> Result<DemotionState, StoreError> {
    match text {
        "wanted" => Ok(DemotionState::Wanted),
        "leaving" => Ok(DemotionState::Leaving),
        "demoted" => Ok(DemotionState::Demoted),
        "restored" => Ok(DemotionState::Restored),
        "failed" => Ok(DemotionState::Failed),
        other => Err(damaged("the state of a demotion", other)),
    }
}
