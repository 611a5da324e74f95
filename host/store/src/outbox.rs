//! What is still to be told, and to whom.

use async_trait::async_trait;
use portcullis_core::channel::{
    ChannelLog, LONGEST_PAUSE, NoticeKind, OutboxStore, Settled, Subscription, Told, Waiting, wanted,
};
use portcullis_core::event::Event;
use portcullis_core::incident::whose;
use portcullis_core::store::StoreError;
use portcullis_core::{AccountId, ChannelName, EventId, IncidentId, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::types::Type;
use sqlx::{Decode, Row as _, Sqlite, SqliteConnection};
use uuid::Uuid;

use crate::Store;
use crate::events::EventRow;
use crate::fault::{Fault, damaged, store_error};
use crate::incidents::{severity, severity_number};
use crate::numbers::{millis, signed, timestamp, unsigned};
use crate::work::{Entry, Work};

/// Rows that are kept for one channel. What comes on top is counted.
const MOST_WAITING: i64 = 1_000;
/// The hour in which messages are counted, in milliseconds.
const HOUR: i64 = 3_600_000;

/// A row that is to be written with its event.
pub(crate) struct NewRow {
    channel: ChannelName,
    source: String,
    account: AccountId,
    login: String,
    text: String,
}

/// What became of rows, ready to be written.
pub(crate) struct Settlement {
    pub(crate) channel: ChannelName,
    pub(crate) rows: Vec<u64>,
    pub(crate) what: Outcome,
    pub(crate) at: Timestamp,
}

pub(crate) enum Outcome {
    Delivered { left_out: u64 },
    Later { not_before: Timestamp, why: String },
    GivenUp { why: String, entry: Box<Entry> },
}

#[async_trait]
impl OutboxStore for Store {
    async fn set_channels(&self, channels: Vec<Subscription>) -> Result<(), StoreError> {
        self.queue(Work::SetChannels(channels))?.done().await.map(drop)
    }

    async fn channels_due(&self, now: Timestamp) -> Result<Vec<ChannelName>, StoreError> {
        let names: Vec<String> =
            sqlx::query_scalar("SELECT DISTINCT channel FROM outbox WHERE not_before <= ?1 OR not_before > ?2")
                .bind(millis(now))
                .bind(millis(now.plus(LONGEST_PAUSE)))
                .fetch_all(self.readers())
                .await
                .map_err(store_error)?;
        Ok(names.into_iter().map(ChannelName::new).collect())
    }

    async fn due(&self, channel: &ChannelName, now: Timestamp, limit: u32) -> Result<Vec<Waiting>, StoreError> {
        let rows = sqlx::query(
            "SELECT number, kind, at, event, incident, severity, account, login, source, text, tries, first_try
             FROM outbox WHERE channel = ?1 AND (not_before <= ?2 OR not_before > ?4) ORDER BY number LIMIT ?3",
        )
        .bind(channel.as_str())
        .bind(millis(now))
        .bind(limit)
        .bind(millis(now.plus(LONGEST_PAUSE)))
        .fetch_all(self.readers())
        .await
        .map_err(store_error)?;
        rows.iter().map(waiting).collect()
    }

    async fn settle(
        &self,
        channel: &ChannelName,
        rows: Vec<u64>,
        what: Settled,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let what = match what {
            Settled::Delivered { left_out } => Outcome::Delivered { left_out },
            Settled::Later { not_before, why } => Outcome::Later { not_before, why },
            Settled::GivenUp { why, record } => Outcome::GivenUp { why, entry: Box::new(Entry::of(*record)?) },
        };
        let settlement = Settlement { channel: channel.clone(), rows, what, at };
        self.queue(Work::Settle(Box::new(settlement)))?.done().await.map(drop)
    }

    async fn channel_logs(&self) -> Result<Vec<(ChannelName, ChannelLog)>, StoreError> {
        let rows = sqlx::query(
            "SELECT name, delivered, given_up, left_out, success_at, error_at, error, hour_began, hour_sent,
                    (SELECT COUNT(*) FROM outbox WHERE outbox.channel = channels.name) AS waiting
             FROM channels ORDER BY name",
        )
        .fetch_all(self.readers())
        .await
        .map_err(store_error)?;
        rows.iter().map(log).collect()
    }
}

impl NewRow {
    /// What enforced policies want to be told about the event.
    pub(crate) fn all_of(event: &Event) -> Vec<Self> {
        let Event::Access(event) = event else { return Vec::new() };
        let row = |(channel, policy, text): (ChannelName, portcullis_core::PolicyName, &str)| {
            let address = event.access.endpoint.as_ref().map(|endpoint| endpoint.address);
            let (account, login) = whose(event.access.account.as_ref(), address);
            Self { channel, source: policy.to_string(), account, login, text: text.to_owned() }
        };
        wanted(event).into_iter().map(row).collect()
    }
}

/// Puts what a policy says into the outbox, with the event `row` from which it follows.
pub(crate) async fn add(connection: &mut SqliteConnection, row: &EventRow, new: &NewRow) -> Result<(), Fault> {
    let done = sqlx::query(
        "INSERT INTO outbox (channel, kind, at, event, account, login, source, text)
         SELECT ?1, 'policy', ?2, ?3, ?4, ?5, ?6, ?7
         WHERE (SELECT COUNT(*) FROM outbox WHERE channel = ?1) < ?8",
    )
    .bind(new.channel.as_str())
    .bind(row.at)
    .bind(row.id.as_slice())
    .bind(new.account.as_str())
    .bind(new.login.as_str())
    .bind(new.source.as_str())
    .bind(new.text.as_str())
    .bind(MOST_WAITING)
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() == 0 {
        sqlx::query("UPDATE channels SET left_out = left_out + 1 WHERE name = ?1")
            .bind(new.channel.as_str())
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// An incident is not any more as it was: where it was opened, became more severe or was resolved since channels were last told
/// of it, those that are to know get a row. The event behind it is `row`.
pub(crate) async fn incident_changed(
    connection: &mut SqliteConnection,
    row: &EventRow,
    incident: &[u8],
) -> Result<(), Fault> {
    let (severity, is_resolved, told): (i64, bool, Option<i64>) =
        sqlx::query_as("SELECT severity, state = 'resolved', told FROM incidents WHERE id = ?1")
            .bind(incident)
            .fetch_one(&mut *connection)
            .await?;
    let kind = match (is_resolved, told) {
        (true, Some(1..)) => NoticeKind::IncidentResolved,
        (false, None) => NoticeKind::IncidentOpened,
        (false, Some(0)) => NoticeKind::IncidentReopened,
        (false, Some(before)) if before < severity => NoticeKind::IncidentRaised,
        _ => return Ok(()),
    };
    sqlx::query("UPDATE incidents SET told = ?2 WHERE id = ?1")
        .bind(incident)
        .bind(if is_resolved { 0 } else { severity })
        .execute(&mut *connection)
        .await?;
    let concerned = "channels.incidents <= ?1 AND (channels.resolved OR NOT ?2)";
    let full = "(SELECT COUNT(*) FROM outbox WHERE outbox.channel = channels.name) >= ?3";
    let sql = format!("UPDATE channels SET left_out = left_out + 1 WHERE {concerned} AND {full}");
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(severity)
        .bind(is_resolved)
        .bind(MOST_WAITING)
        .execute(&mut *connection)
        .await?;
    let sql = format!(
        "INSERT INTO outbox (channel, kind, at, event, incident, severity, account, login, source, text)
         SELECT channels.name, ?4, ?5, ?6, incidents.id, incidents.severity, account, login, policy, title
         FROM channels JOIN incidents ON incidents.id = ?7 WHERE {concerned} AND NOT {full} ORDER BY channels.name"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(severity)
        .bind(is_resolved)
        .bind(MOST_WAITING)
        .bind(word(kind))
        .bind(row.at)
        .bind(row.id.as_slice())
        .bind(incident)
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn set_channels(connection: &mut SqliteConnection, channels: &[Subscription]) -> Result<u64, Fault> {
    let known: Vec<String> = sqlx::query_scalar("SELECT name FROM channels").fetch_all(&mut *connection).await?;
    for name in known.iter().filter(|name| !channels.iter().any(|channel| channel.name.as_str() == *name)) {
        sqlx::query("DELETE FROM channels WHERE name = ?1").bind(name).execute(&mut *connection).await?;
    }
    for channel in channels {
        sqlx::query(
            "INSERT INTO channels (name, incidents, resolved) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET incidents = excluded.incidents, resolved = excluded.resolved",
        )
        .bind(channel.name.as_str())
        .bind(channel.incidents.map(severity_number))
        .bind(channel.resolved)
        .execute(&mut *connection)
        .await?;
    }
    Ok(u64::try_from(channels.len()).unwrap_or(u64::MAX))
}

pub(crate) async fn settle(connection: &mut SqliteConnection, settlement: &Settlement) -> Result<u64, Fault> {
    let Settlement { channel, rows, what, at } = settlement;
    let at = millis(*at);
    for number in rows {
        let sql = match what {
            Outcome::Delivered { .. } | Outcome::GivenUp { .. } => "DELETE FROM outbox WHERE number = ?1",
            Outcome::Later { .. } => {
                "UPDATE outbox SET tries = tries + 1, not_before = ?2, first_try = COALESCE(first_try, ?3)
                 WHERE number = ?1"
            }
        };
        let mut query = sqlx::query(sql).bind(signed(*number));
        if let Outcome::Later { not_before, .. } = what {
            query = query.bind(millis(*not_before)).bind(at);
        }
        query.execute(&mut *connection).await?;
    }
    let count = signed(u64::try_from(rows.len()).unwrap_or(u64::MAX));
    let query = match what {
        Outcome::Delivered { left_out } => sqlx::query(
            "UPDATE channels SET delivered = delivered + 1, success_at = ?2, left_out = MAX(left_out - ?3, 0),
                    hour_sent = CASE WHEN hour_began <= ?2 AND hour_began + ?4 > ?2 THEN hour_sent + 1 ELSE 1 END,
                    hour_began = CASE WHEN hour_began <= ?2 AND hour_began + ?4 > ?2 THEN hour_began ELSE ?2 END
             WHERE name = ?1",
        )
        .bind(channel.as_str())
        .bind(at)
        .bind(signed(*left_out))
        .bind(HOUR),
        Outcome::Later { why, .. } => sqlx::query("UPDATE channels SET error_at = ?2, error = ?3 WHERE name = ?1")
            .bind(channel.as_str())
            .bind(at)
            .bind(why.as_str()),
        Outcome::GivenUp { why, .. } => {
            sqlx::query("UPDATE channels SET error_at = ?2, error = ?3, given_up = given_up + ?4 WHERE name = ?1")
                .bind(channel.as_str())
                .bind(at)
                .bind(why.as_str())
                .bind(count)
        }
    };
    Ok(query.execute(connection).await?.rows_affected())
}

fn waiting(row: &SqliteRow) -> Result<Waiting, StoreError> {
    let kind: &str = column(row, "kind")?;
    let known = NoticeKind::ALL.iter().find(|(_, word)| *word == kind);
    let told = Told {
        kind: known.map(|(kind, _)| *kind).ok_or_else(|| damaged("the kind of a notice", kind))?,
        at: timestamp(column(row, "at")?),
        event: EventId(uuid(column(row, "event")?)?),
        incident: column::<Option<&[u8]>>(row, "incident")?.map(uuid).transpose()?.map(IncidentId),
        severity: column::<Option<i64>>(row, "severity")?.map(severity).transpose()?,
        account: AccountId::new(column::<String>(row, "account")?),
        login: column(row, "login")?,
        source: column(row, "source")?,
        text: column(row, "text")?,
    };
    Ok(Waiting {
        number: unsigned(column(row, "number")?),
        tries: u32::try_from(column::<i64>(row, "tries")?).unwrap_or(u32::MAX),
        first_try: column::<Option<i64>>(row, "first_try")?.map(timestamp),
        told,
    })
}

fn log(row: &SqliteRow) -> Result<(ChannelName, ChannelLog), StoreError> {
    let moment = |name| Ok::<_, StoreError>(column::<Option<i64>>(row, name)?.map(timestamp));
    let number = |name| Ok::<_, StoreError>(unsigned(column(row, name)?));
    let sent = u32::try_from(column::<i64>(row, "hour_sent")?).unwrap_or(u32::MAX);
    let log = ChannelLog {
        waiting: number("waiting")?,
        delivered: number("delivered")?,
        given_up: number("given_up")?,
        left_out: number("left_out")?,
        last_success: moment("success_at")?,
        last_error: moment("error_at")?.zip(column(row, "error")?),
        hour: moment("hour_began")?.map(|began| (began, sent)),
    };
    Ok((ChannelName::new(column::<String>(row, "name")?), log))
}

fn word(kind: NoticeKind) -> &'static str {
    NoticeKind::ALL.iter().find(|(known, _)| *known == kind).map_or("", |(_, word)| word)
}

fn column<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(row: &'r SqliteRow, name: &str) -> Result<T, StoreError> {
    row.try_get(name).map_err(store_error)
}

fn uuid(bytes: &[u8]) -> Result<Uuid, StoreError> {
    Uuid::from_slice(bytes).map_err(|error| damaged("an identifier in the outbox", error))
}
