//! The event log.

use async_trait::async_trait;
use portcullis_core::BoxFuture;
use portcullis_core::event::{Decision, Event, Record};
use portcullis_core::store::{EventStore, Sequence, StoreError, StoredEvent};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection};

use crate::Store;
use crate::chain::{BatchHash, START, event_digest};
use crate::fault::{Fault, damaged, store_error};
use crate::numbers::{millis, signed, unsigned};
use crate::work::{Entry, Work};

#[async_trait]
impl EventStore for Store {
    fn append(&self, record: Record) -> BoxFuture<'static, Result<(), StoreError>> {
        // Queued here and not inside the future, so that the order of calls is the order of events.
        let queued = EventRow::of(&record.event).and_then(|row| {
            self.queue(Work::Append(Box::new(Entry { row, learned: record.learned, incidents: record.incidents })))
        });
        Box::pin(async move { queued?.done().await.map(drop) })
    }

    async fn recent(&self, before: Option<Sequence>, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        let before = before.map_or(i64::MAX, |sequence| signed(sequence.0));
        let rows = sqlx::query("SELECT sequence, json FROM events WHERE sequence < ?1 ORDER BY sequence DESC LIMIT ?2")
            .bind(before)
            .bind(limit)
            .fetch_all(self.readers())
            .await
            .map_err(store_error)?;
        rows.iter().map(stored_event).collect()
    }

    async fn changed(&self, seen: Sequence) -> Sequence {
        let mut mark = self.mark();
        let reached = mark.wait_for(|now| *now != seen.0).await.map(|now| Sequence(*now));
        // The sender lives in `self`, so waiting cannot fail while we are here.
        reached.unwrap_or(seen)
    }
}

fn stored_event(row: &SqliteRow) -> Result<StoredEvent, StoreError> {
    let sequence = unsigned(row.try_get("sequence").map_err(store_error)?);
    let json: &str = row.try_get("json").map_err(store_error)?;
    let event = serde_json::from_str(json).map_err(|error| damaged(&format!("event {sequence}"), error))?;
    Ok(StoredEvent { sequence: Sequence(sequence), event })
}

/// An event as it stands in the table, without its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventRow {
    pub(crate) id: [u8; 16],
    pub(crate) at: i64,
    pub(crate) account: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) decision: Option<&'static str>,
    pub(crate) json: String,
}

impl EventRow {
    pub(crate) fn of(event: &Event) -> Result<Self, StoreError> {
        let json = serde_json::to_string(event)
            .map_err(|error| StoreError::Unavailable(format!("event {} cannot be written: {error}", event.id())))?;
        let (account, endpoint, decision) = match event {
            Event::Access(event) => (
                event.access.account.as_ref(),
                event.access.endpoint.as_ref().map(|endpoint| endpoint.address),
                Some(decision_text(event.decision)),
            ),
            Event::Summary(summary) => (summary.account.as_ref(), Some(summary.endpoint.address), None),
            Event::Administration(_) => (None, None, None),
        };
        Ok(Self {
            id: event.id().0.into_bytes(),
            at: millis(event.at()),
            account: account.map(|account| account.id.as_str().to_owned()),
            endpoint: endpoint.map(|address| address.to_string()),
            decision,
            json,
        })
    }
}

fn decision_text(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Block => "block",
        Decision::Refused => "refused",
        Decision::Abandoned => "abandoned",
    }
}

/// The events of one transaction, on their way into the log. They are written together when the batch is sealed: each
/// statement is handed to the database's thread and back, which costs more than writing a row.
pub(crate) struct Batch<'a> {
    number: u64,
    previous: [u8; 32],
    hash: BatchHash,
    next_sequence: u64,
    rows: Vec<(u64, &'a EventRow)>,
}

impl<'a> Batch<'a> {
    /// Goes on where the log ends. It is asked anew for each transaction, so that the chain also holds when a second
    /// process has written.
    pub(crate) async fn begin(connection: &mut SqliteConnection) -> Result<Self, Fault> {
        let last = sqlx::query("SELECT number, hash, last_sequence FROM batches ORDER BY number DESC LIMIT 1")
            .fetch_optional(&mut *connection)
            .await?;
        let (number, previous, covered) = match last {
            Some(row) => (row.try_get("number")?, hash(&row, "hash")?, row.try_get("last_sequence")?),
            None => (0, START, 0),
        };
        // Somebody may have added an event behind the back of the chain. `verify` names it; new ones go after it.
        let highest: i64 =
            sqlx::query_scalar("SELECT COALESCE(MAX(sequence), 0) FROM events").fetch_one(&mut *connection).await?;
        let number = unsigned(number) + 1;
        let next_sequence = unsigned(i64::max(covered, highest)) + 1;
        Ok(Self { number, previous, hash: BatchHash::new(&previous, number), next_sequence, rows: Vec::new() })
    }

    pub(crate) fn append(&mut self, row: &'a EventRow) {
        self.hash.add(self.next_sequence, &row.json);
        self.rows.push((self.next_sequence, row));
        self.next_sequence += 1;
    }

    /// How many events there are.
    pub(crate) fn count(&self) -> u64 {
        u64::try_from(self.rows.len()).unwrap_or(u64::MAX)
    }

    async fn write(&self, connection: &mut SqliteConnection) -> Result<(), Fault> {
        let head = "INSERT INTO events (sequence, id, at, account, endpoint, decision, json, digest, batch) ";
        let mut insert = QueryBuilder::<Sqlite>::new(head);
        insert.push_values(&self.rows, |mut values, (sequence, row)| {
            values
                .push_bind(signed(*sequence))
                .push_bind(row.id.as_slice())
                .push_bind(row.at)
                .push_bind(row.account.as_deref())
                .push_bind(row.endpoint.as_deref())
                .push_bind(row.decision)
                .push_bind(row.json.as_str())
                .push_bind(event_digest(*sequence, &row.json).to_vec())
                .push_bind(signed(self.number));
        });
        insert.build().execute(connection).await?;
        Ok(())
    }

    /// Adds the batch to the chain, if it has events. Returns the sequence of the last one.
    pub(crate) async fn seal(self, connection: &mut SqliteConnection) -> Result<Option<u64>, Fault> {
        let count = self.count();
        if count == 0 {
            return Ok(None);
        }
        self.write(&mut *connection).await?;
        let last = self.next_sequence - 1;
        sqlx::query(
            "INSERT INTO batches (number, previous, hash, count, first_sequence, last_sequence)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .bind(signed(self.number))
        .bind(self.previous.as_slice())
        .bind(self.hash.finish().as_slice())
        .bind(signed(count))
        .bind(signed(self.next_sequence - count))
        .bind(signed(last))
        .execute(connection)
        .await?;
        Ok(Some(last))
    }
}

/// A hash from a column; one that is not 32 bytes long is damage.
pub(crate) fn hash(row: &SqliteRow, column: &str) -> Result<[u8; 32], StoreError> {
    let bytes: &[u8] = row.try_get(column).map_err(store_error)?;
    bytes.try_into().map_err(|_| damaged(column, format!("{} bytes are no hash", bytes.len())))
}
